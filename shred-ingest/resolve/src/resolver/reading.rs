//! Reading on in sets whose bytes have become contiguous, and telling what is found.

use super::{Arrival, Resolver};
use crate::merkle::Root;
use crate::reject::Counters;
use crate::scan::{BatchEnd, Phase, ScanSink};
use crate::sink::{ResolvedTxn, Retract, RetractReason, SetPayload, Sink};
use crate::version::{NONE, Told};
use shred_wire::batch::{EntryHead, Marker};
use shred_wire::shred::SET_SHREDS;
use shred_wire::txn::{TxnScan, TxnView};
use shred_wire::{FecSetIndex, Slot};

impl Resolver {
    /// Reads on in version `id` and, as far as that carries, in the sets that follow it.
    pub(super) fn advance(&mut self, id: u32, arrival: Arrival, sink: &mut impl Sink) {
        self.start(id);
        self.work.clear();
        self.work.push(id);
        while let Some(id) = self.work.pop() {
            let verified = self.versions[id as usize].verified;
            let retract = self.read(id, arrival, verified, sink);
            self.settle(id, retract, sink);
            self.start_successors(id);
        }
        self.finish_blocks(arrival, sink);
        // Not before: what has just been read may be the oldest that there is.
        self.keep_reserve();
    }

    /// Starts a waiting version if it is known where its batch stands.
    pub(super) fn start(&mut self, id: u32) {
        let version = &self.versions[id as usize];
        if version.scan.phase() != Phase::Waiting {
            return;
        }
        let Some(before) = version.set_number().checked_sub(1) else {
            let set = version.identity.fec_set_index;
            self.versions[id as usize].scan.start_fresh(set);
            return;
        };
        let (slot, root) = (version.identity.slot, version.chained_root);
        let before = self.versions_of(slot, before).find(|id| {
            let before = &self.versions[*id as usize];
            before.root == root && before.awaited.is_none()
        });
        if let Some(before) = before {
            self.hand_over(before, id);
        }
    }

    /// Starts the versions of the next set that chain to `id`.
    fn start_successors(&mut self, id: u32) {
        let version = &self.versions[id as usize];
        if version.tail.is_none() {
            return;
        }
        let (slot, next, root) = (
            version.identity.slot,
            version.set_number() + 1,
            version.root,
        );
        let mut successor = self.versions_of(slot, next).next().unwrap_or(NONE);
        while successor != NONE {
            let candidate = &self.versions[successor as usize];
            let following = candidate.next;
            if candidate.chained_root == root
                && candidate.awaited.is_none()
                && candidate.scan.phase() == Phase::Waiting
                && self.hand_over(id, successor)
            {
                self.work.push(successor);
            }
            successor = following;
        }
    }

    /// Starts `after` where `before` ends, if that is known.
    fn hand_over(&mut self, before: u32, after: u32) -> bool {
        let set = self.versions[after as usize].identity.fec_set_index;
        let to_slab = self.versions[after as usize].slab;
        let from = &self.versions[before as usize];
        let from_slab = from.slab;
        // Nothing may follow the set that ends the slot.
        if from.tail.is_some_and(|tail| tail.last_in_slot) {
            return false;
        }
        if from.tail.is_some_and(|tail| tail.data_complete) {
            self.versions[after as usize].scan.start_fresh(set);
            return true;
        }
        if from.scan.phase() != Phase::Done {
            return false;
        }
        let (from_scan, carried) = (from.scan, from.scan.carried_len());
        if carried > 0 {
            let Ok([from_slab, to_slab]) = self
                .slabs
                .get_disjoint_mut([from_slab as usize, to_slab as usize])
            else {
                // One of the two has lost its bytes, and with them the beginning of what crosses over.
                return false;
            };
            to_slab.carry[..carried].copy_from_slice(&from_slab.carry[..carried]);
        }
        self.versions[after as usize]
            .scan
            .continue_from(&from_scan, set);
        true
    }

    /// Reads what is contiguous in version `id`, and tells its transactions.
    pub(super) fn read(
        &mut self,
        id: u32,
        arrival: Arrival,
        verified: bool,
        sink: &mut impl Sink,
    ) -> Option<Retract> {
        let Self {
            versions,
            slabs,
            window,
            sequence,
            counters,
            ..
        } = self;
        let version = &mut versions[id as usize];
        if version.slab == NONE || version.scan.phase() != Phase::Active {
            return None;
        }
        let (data, capacity) = (version.data, version.capacity());
        let void_before = window
            .get(version.identity.slot)
            .map_or(0, |state| state.void_before);
        let merkle_root = (version.root != [0; 32]).then_some(version.root);
        let slab = &mut slabs[version.slab as usize];
        let place = (data.trailing_zeros() as usize).min(SET_SHREDS - 1);
        let parent_offset = u64::from(slab.head(place).parent_offset());
        let mut teller = Teller {
            slot: version.identity.slot,
            parent_slot: Slot(version.identity.slot.0.saturating_sub(parent_offset)),
            set: version.identity.fec_set_index,
            merkle_root,
            verified,
            void_before,
            arrival,
            told: &mut version.told,
            retract: None,
            sequence,
            counters,
            sink,
        };
        version.scan.run(
            slab,
            data,
            capacity,
            version.identity.fec_set_index,
            &mut teller,
        );
        teller.retract
    }

    /// Books what an authenticated reading brought: a retraction, or the end of the set.
    pub(super) fn settle(&mut self, id: u32, retract: Option<Retract>, sink: &mut impl Sink) {
        let version = &mut self.versions[id as usize];
        let slot = version.identity.slot;
        if let Some(retract) = retract {
            if let Some(state) = self.window.get_mut(slot) {
                state.void_before = state
                    .void_before
                    .max(retract.before.0 as usize / SET_SHREDS);
            }
            match retract.reason {
                RetractReason::UpdateParent { .. } => self.counters.parent_updated += 1,
                RetractReason::Abandoned => self.counters.block_abandoned += 1,
            }
            sink.retract(&retract);
        }
        let version = &mut self.versions[id as usize];
        if version.scan.phase() == Phase::Done && !version.told.done {
            version.told.done = true;
            self.slab_pool.note_read(version.slab, id);
            self.finished.push(id);
            if let Some(state) = self.window.get_mut(slot) {
                state.unread -= 1;
            }
            self.tell_payload(id, sink);
        }
    }

    /// Tells what version `id`, all of which was read, carries.
    fn tell_payload(&self, id: u32, sink: &mut impl Sink) {
        let version = &self.versions[id as usize];
        let Some(slab) = self.slabs.get(version.slab as usize) else {
            return;
        };
        sink.payload(&SetPayload {
            slot: version.identity.slot,
            fec_set_index: version.identity.fec_set_index,
            root: version.root,
            chained_root: version.chained_root,
            verified: version.verified,
            begins_batch: version.scan.begins_batch(),
            ends_batch: slab.head(SET_SHREDS - 1).data_complete(),
            slab,
            capacity: version.capacity(),
        });
    }
}

/// Stands between a scan and the sink: adds what the scan does not know.
struct Teller<'a, S> {
    slot: Slot,
    parent_slot: Slot,
    set: FecSetIndex,
    merkle_root: Option<Root>,
    verified: bool,
    void_before: usize,
    arrival: Arrival,
    told: &'a mut Told,
    retract: Option<Retract>,
    sequence: &'a mut u64,
    counters: &'a mut Counters,
    sink: &'a mut S,
}

impl<S: Sink> ScanSink for Teller<'_, S> {
    #[inline]
    fn transaction(&mut self, bytes: &[u8], scan: &TxnScan, origin: FecSetIndex) {
        self.told.transactions += 1;
        let Ok(view) = TxnView::from_scan(scan, bytes) else {
            self.counters.transaction_malformed += 1;
            return;
        };
        self.counters.transaction += 1;
        self.counters.transaction_unverified += u64::from(!self.verified);
        let sequence = *self.sequence;
        *self.sequence += 1;
        self.sink.transaction(&ResolvedTxn {
            view,
            slot: self.slot,
            parent_slot: self.parent_slot,
            fec_set_index: origin,
            merkle_root: self.merkle_root,
            verified: self.verified,
            retracted: (self.set.0 as usize / SET_SHREDS) < self.void_before,
            sequence,
            at: self.arrival.at,
            source: self.arrival.source,
        });
    }

    fn entry(&mut self, head: &EntryHead<'_>) {
        self.told.ticks += u64::from(head.is_tick());
        self.told.last_hash = Some(*head.hash());
    }

    fn marker(&mut self, marker: &Marker<'_>) {
        self.counters.marker += 1;
        match marker {
            Marker::UpdateParent(parent) => {
                self.told.new_parent = Some(parent.slot);
                self.retract = Some(Retract {
                    slot: self.slot,
                    before: self.set,
                    reason: RetractReason::UpdateParent {
                        parent_slot: parent.slot,
                    },
                });
            }
            Marker::Footer(_) => self.told.footer = true,
            _ => {}
        }
    }

    fn batch_end(&mut self, end: BatchEnd) {
        match end {
            BatchEnd::Whole => self.counters.batch_completed += 1,
            BatchEnd::Malformed => {
                self.told.broken = true;
                self.counters.batch_malformed += 1;
            }
            BatchEnd::Empty => {
                self.told.broken = true;
                self.retract = Some(Retract {
                    slot: self.slot,
                    before: FecSetIndex(self.set.0.saturating_add(SET_SHREDS as u32)),
                    reason: RetractReason::Abandoned,
                });
            }
        }
    }
}
