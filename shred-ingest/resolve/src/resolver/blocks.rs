//! Blocks that have been read from their first to their last entry.

use super::{Arrival, Resolver};
use crate::sink::{BlockEnd, SetLink, Sink};
use crate::version::{Chain, NONE, Version};
use shred_wire::Slot;

impl Resolver {
    /// Tells once where version `id`, which is beyond doubt, stands in the chain of roots.
    #[inline]
    pub(super) fn tell_link(&mut self, id: u32, arrival: Arrival, sink: &mut impl Sink) {
        let version = &mut self.versions[id as usize];
        if version.linked {
            return;
        }
        version.linked = true;
        sink.set(&SetLink {
            slot: version.identity.slot,
            fec_set_index: version.identity.fec_set_index,
            root: version.root,
            chained_root: version.chained_root,
            at: arrival.at,
        });
    }

    /// Adds what was read to its end in this call to the blocks that it belongs to, and tells those that are whole.
    ///
    /// Cost: each version is added once, when it and all before it have been read.
    pub(super) fn finish_blocks(&mut self, arrival: Arrival, sink: &mut impl Sink) {
        while let Some(id) = self.finished.pop() {
            let version = &self.versions[id as usize];
            if version.told.chain.is_some() {
                continue;
            }
            let Some(chain) = self.chain_through(version) else {
                continue;
            };
            if version.tail.is_some_and(|tail| tail.last_in_slot)
                && let Some(block) = self.block_end(version, &chain, arrival)
            {
                self.counters.block_completed += 1;
                sink.block(&block);
            }
            let (slot, next, root) = (
                version.identity.slot,
                version.set_number() + 1,
                version.root,
            );
            self.versions[id as usize].told.chain = Some(chain);
            let mut follower = self.versions_of(slot, next).next().unwrap_or(NONE);
            while follower != NONE {
                let candidate = &self.versions[follower as usize];
                if candidate.told.done
                    && candidate.told.chain.is_none()
                    && candidate.chained_root == root
                {
                    self.finished.push(follower);
                }
                follower = candidate.next;
            }
        }
    }

    /// Sums over the block up to `version`, which was read to its end; `None` while something before it is missing.
    fn chain_through(&self, version: &Version) -> Option<Chain> {
        if version.told.broken {
            return None;
        }
        let slot = version.identity.slot;
        let before = if let Some(parent_slot) = version.told.new_parent {
            // What came before in the slot is void.
            Chain::new(parent_slot)
        } else if let Some(before) = version.set_number().checked_sub(1) {
            self.versions_of(slot, before)
                .map(|id| &self.versions[id as usize])
                .find(|before| before.root == version.chained_root)?
                .told
                .chain?
        } else {
            Chain::new(Slot(
                slot.0.checked_sub(u64::from(version.tail?.parent_offset))?,
            ))
        };
        Some(before.and(&version.told))
    }

    fn block_end(&self, last: &Version, chain: &Chain, arrival: Arrival) -> Option<BlockEnd> {
        let slot = last.identity.slot;
        let ticks_due = self
            .plan
            .ticks_per_slot
            .saturating_mul(slot.0.saturating_sub(chain.parent_slot.0));
        Some(BlockEnd {
            slot,
            parent_slot: chain.parent_slot,
            blockhash: chain.last_hash?,
            last_root: last.root,
            transactions: chain.transactions,
            ticks: chain.ticks,
            ticks_complete: chain.footer || chain.ticks == ticks_due,
            at: arrival.at,
        })
    }
}
