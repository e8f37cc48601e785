//! Which block builds on which, and which block a transaction belongs to.
//!
//! Fed with what a resolver tells: [`SetLink`]s at the first authentic shred of every set, ends of blocks,
//! retractions, equivocations. A block is identified by its slot and the Merkle root of its last set, which is its
//! block id before Alpenglow. The sets of a slot chain to each other by their roots, and its first set chains to the
//! block it builds on, so forks are known from the shreds alone, whether or not the parent was received.
//!
//! Bounded: a ring of slots, up to [`BLOCKS_PER_SLOT`] whole blocks of each, a pool of sets. Questions walk chains and
//! cost up to a slot's sets or the ring's slots; what is fed costs a few comparisons, the end of a block a pass over
//! the ring.

use crate::merkle::Root;
use crate::sink::{BlockEnd, Equivocation, Retract, RetractReason, SetLink};
use shred_wire::shred::SET_SHREDS;
use shred_wire::{FecSetIndex, Slot};

/// Whole versions of one slot's block that are told apart.
pub const BLOCKS_PER_SLOT: usize = 4;
const NONE: u32 = u32::MAX;

/// A block: its slot, and the Merkle root of its last set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BlockKey {
    /// The slot.
    pub slot: Slot,
    /// The last set's root; before Alpenglow, the block id.
    pub id: Root,
}

/// What [`Forks`] is built from. Everything is allocated at construction.
#[derive(Clone, Debug)]
pub struct ForkPlan {
    /// Slots that are remembered; rounded up to a power of two. Some 600 B and 4 B for each set a slot may have.
    pub slots: usize,
    /// Sets one slot may have.
    pub sets_per_slot: usize,
    /// Sets that are remembered over all slots, 80 B each; one slot holds an eighth of them at most.
    pub sets_max: usize,
}

impl Default for ForkPlan {
    /// Mainnet: some 100 seconds, 4 MB.
    fn default() -> Self {
        Self {
            slots: 256,
            sets_per_slot: 1_024,
            sets_max: 32_768,
        }
    }
}

/// What the fork tree was told to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForkEvent {
    /// A block is whole.
    Block {
        /// It.
        block: BlockKey,
        /// The slot it builds on.
        parent_slot: Slot,
        /// The block it builds on, where the chain of roots says which; not after UpdateParent.
        parent_id: Option<Root>,
    },
    /// A second block builds on the same parent, or is of the same slot.
    Fork {
        /// The block that was there.
        first: BlockKey,
        /// The one that came.
        second: BlockKey,
    },
    /// `by` builds on a block before `slot`: on its fork, `slot` is no more. Told once per slot.
    Skipped {
        /// The slot.
        slot: Slot,
        /// What had come of it.
        had: Had,
        /// The first block that jumped over it.
        by: BlockKey,
    },
    /// The leader ended the slot without a block.
    Aborted {
        /// The slot.
        slot: Slot,
    },
    /// The leader moved its block onto another parent (SIMD-0337).
    ParentUpdated {
        /// The slot.
        slot: Slot,
        /// The new parent.
        parent_slot: Slot,
        /// Sets before this one are void.
        before: FecSetIndex,
    },
}

/// What had come of a slot that a later block jumped over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Had {
    /// Nothing: it was skipped.
    Nothing,
    /// Shreds, and no whole block: it was abandoned, or came too late.
    Shreds,
    /// A whole block: it is on another fork.
    Block,
}

/// Which block a set, and so a transaction, belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belongs {
    /// To this block.
    To(BlockKey),
    /// To this one and to others, which part from it after the set.
    Shared(BlockKey),
    /// To a block that is not whole, or not yet.
    Open,
    /// The set is not known: never linked, or too long ago.
    Unknown,
}

/// Whether one block is the other or builds on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ancestry {
    /// It does.
    Yes,
    /// It does not: another fork, or the other way round.
    No,
    /// A block in between is not known.
    Unknown,
}

/// What is known of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotStatus {
    /// Nothing.
    Unknown,
    /// Some of its sets.
    Open,
    /// A whole block, and no block that jumped over it.
    Whole,
    /// Its leader ended it without a block.
    Aborted,
    /// A block of a later slot jumped over it.
    Skipped(Had),
}

/// How often. Plain numbers: one thread writes, snapshots are copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ForkCounters {
    /// Sets linked.
    pub set_linked: u64,
    /// Sets that found no place, or whose slot had gone.
    pub set_unplaced: u64,
    /// Whole blocks.
    pub block_linked: u64,
    /// Whole blocks that found no place, or whose slot had gone.
    pub block_unplaced: u64,
    /// Second blocks on one parent or of one slot.
    pub fork_seen: u64,
    /// Slots jumped over of which nothing had come.
    pub slot_skipped: u64,
    /// Slots jumped over of which shreds had come, and no whole block.
    pub slot_abandoned: u64,
    /// Slots jumped over that had a whole block.
    pub slot_orphaned: u64,
    /// Slots that their leader ended without a block.
    pub slot_aborted: u64,
    /// Blocks moved onto another parent.
    pub parent_updated: u64,
    /// Sets with two roots.
    pub set_equivocated: u64,
}

impl ForkCounters {
    /// All of them by name, in the order of the fields.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("set_linked", self.set_linked),
            ("set_unplaced", self.set_unplaced),
            ("block_linked", self.block_linked),
            ("block_unplaced", self.block_unplaced),
            ("fork_seen", self.fork_seen),
            ("slot_skipped", self.slot_skipped),
            ("slot_abandoned", self.slot_abandoned),
            ("slot_orphaned", self.slot_orphaned),
            ("slot_aborted", self.slot_aborted),
            ("parent_updated", self.parent_updated),
            ("set_equivocated", self.set_equivocated),
        ]
    }
}

#[derive(Clone, Copy)]
struct SetRecord {
    root: Root,
    chained_root: Root,
    /// The next version of the same set.
    next: u32,
}

/// A whole block.
#[derive(Clone, Copy)]
struct Block {
    id: Root,
    parent_slot: Slot,
    parent_id: Option<Root>,
    /// Most of the stake is seen to have voted for it.
    hinted: bool,
}

#[derive(Clone, Copy)]
struct SlotNode {
    slot: Slot,
    used: bool,
    set_count: usize,
    /// One past the highest set linked.
    sets_end: usize,
    blocks: [Option<Block>; BLOCKS_PER_SLOT],
    aborted: bool,
    /// A block of a later slot jumped over it, when this had come of it.
    skipped: Option<Had>,
    /// The parent that the leader moved the block to.
    new_parent: Option<Slot>,
}

impl SlotNode {
    const VACANT: Self = Self {
        slot: Slot(0),
        used: false,
        set_count: 0,
        sets_end: 0,
        blocks: [None; BLOCKS_PER_SLOT],
        aborted: false,
        skipped: None,
        new_parent: None,
    };

    fn blocks(&self) -> impl Iterator<Item = (BlockKey, &Block)> {
        let slot = self.slot;
        let blocks = self.blocks.iter().flatten();
        blocks.map(move |block| (BlockKey { slot, id: block.id }, block))
    }

    fn had(&self) -> Had {
        if self.blocks[0].is_some() {
            Had::Block
        } else if self.set_count > 0 || self.aborted {
            Had::Shreds
        } else {
            Had::Nothing
        }
    }
}

/// The newest slots' blocks as a tree.
pub struct Forks {
    ring: Box<[SlotNode]>,
    /// First record of each set, `sets_per_slot` for each place of the ring.
    heads: Box<[u32]>,
    sets_per_slot: usize,
    sets: Box<[SetRecord]>,
    free: Vec<u32>,
    newest: Option<BlockKey>,
    /// The highest block that most of the stake is seen to have voted for.
    hinted: Option<BlockKey>,
    counters: ForkCounters,
}

impl Forks {
    /// Takes its memory.
    #[must_use]
    pub fn new(plan: &ForkPlan) -> Self {
        let slots = plan.slots.max(2).next_power_of_two();
        let sets_per_slot = plan.sets_per_slot.max(1);
        let record = SetRecord {
            root: [0; 32],
            chained_root: [0; 32],
            next: NONE,
        };
        Self {
            ring: vec![SlotNode::VACANT; slots].into(),
            heads: vec![NONE; slots * sets_per_slot].into(),
            sets_per_slot,
            sets: vec![record; plan.sets_max].into(),
            free: (0..plan.sets_max as u32).rev().collect(),
            newest: None,
            hinted: None,
            counters: ForkCounters::default(),
        }
    }

    /// What has been seen so far.
    #[must_use]
    pub const fn counters(&self) -> &ForkCounters {
        &self.counters
    }

    /// A set is known.
    pub fn set(&mut self, link: &SetLink) {
        if self.link(link).is_some() {
            self.counters.set_linked += 1;
        } else {
            self.counters.set_unplaced += 1;
        }
    }

    /// A block is whole.
    pub fn block(&mut self, end: &BlockEnd, told: &mut impl FnMut(&ForkEvent)) {
        let key = BlockKey {
            slot: end.slot,
            id: end.last_root,
        };
        let parent_id = self.parent_id_of(key, end.parent_slot);
        let Some(at) = self.open(end.slot) else {
            self.counters.block_unplaced += 1;
            return;
        };
        if self.ring[at].blocks().any(|(known, _)| known == key) {
            return;
        }
        let Some(place) = self.ring[at].blocks.iter().position(Option::is_none) else {
            self.counters.block_unplaced += 1;
            return;
        };
        let block = Block {
            id: key.id,
            parent_slot: end.parent_slot,
            parent_id,
            hinted: false,
        };
        let rival = self.rival_of(key, &block);
        self.ring[at].blocks[place] = Some(block);
        self.counters.block_linked += 1;
        if self.newest.is_none_or(|newest| newest.slot < key.slot) {
            self.newest = Some(key);
        }
        told(&ForkEvent::Block {
            block: key,
            parent_slot: end.parent_slot,
            parent_id,
        });
        if let Some(first) = rival {
            self.counters.fork_seen += 1;
            told(&ForkEvent::Fork { first, second: key });
        }
        self.jump(end.parent_slot, key, told);
    }

    /// Part of a block, or all of it, is void.
    pub fn retract(&mut self, retract: &Retract, told: &mut impl FnMut(&ForkEvent)) {
        let Some(at) = self.open(retract.slot) else {
            return;
        };
        let node = &mut self.ring[at];
        let slot = retract.slot;
        match retract.reason {
            RetractReason::UpdateParent { parent_slot } => {
                node.new_parent = Some(parent_slot);
                self.counters.parent_updated += 1;
                told(&ForkEvent::ParentUpdated {
                    slot,
                    parent_slot,
                    before: retract.before,
                });
            }
            RetractReason::Abandoned => {
                if !node.aborted {
                    node.aborted = true;
                    self.counters.slot_aborted += 1;
                    told(&ForkEvent::Aborted { slot });
                }
            }
        }
    }

    /// A set has two roots. Both were linked; this only counts.
    pub fn equivocation(&mut self, _equivocation: &Equivocation) {
        self.counters.set_equivocated += 1;
    }

    /// Most of the stake is seen to have voted for the block of `slot` with `id`, or where voters do not tell ids for the
    /// slot's only block: a hint, see [`Votes`](crate::Votes). A block that is not whole yet gets none.
    pub fn note_hint(&mut self, slot: Slot, id: Option<Root>) {
        let Some(id) = id.or_else(|| self.only_block(slot)) else {
            return;
        };
        let Some(node) = self.node_mut(slot) else {
            return;
        };
        let mut blocks = node.blocks.iter_mut().flatten();
        let Some(known) = blocks.find(|known| known.id == id) else {
            return;
        };
        known.hinted = true;
        if self.hinted.is_none_or(|hinted| hinted.slot < slot) {
            self.hinted = Some(BlockKey { slot, id });
        }
    }

    /// Whether most of the stake is seen to have voted for `block` itself.
    #[must_use]
    pub fn is_hinted(&self, block: BlockKey) -> bool {
        self.find(block).is_some_and(|known| known.hinted)
    }

    /// The block that holds the set of `slot` with `root`, and so the transactions told with that root.
    ///
    /// Cost: up to the slot's sets times its whole blocks.
    #[must_use]
    pub fn block_of(&self, slot: Slot, root: &Root) -> Belongs {
        let Some(node) = self.node(slot) else {
            return Belongs::Unknown;
        };
        let mut holders = node
            .blocks()
            .filter(|(key, _)| self.chain(key.slot, &key.id).any(|set| set.root == *root))
            .map(|(key, _)| key);
        match (holders.next(), holders.next()) {
            (Some(only), None) => Belongs::To(only),
            (Some(first), Some(_)) => Belongs::Shared(first),
            (None, _) if self.number_of(slot, root).is_some() => Belongs::Open,
            (None, _) => Belongs::Unknown,
        }
    }

    /// The block that the first set of `slot` chains to, known at the slot's first authentic shred of that set; by its
    /// slot only if it was received whole.
    #[must_use]
    pub fn parent_root(&self, slot: Slot) -> Option<Root> {
        self.node(slot)?;
        let head = *self.heads.get(self.head_at(slot, 0)?)?;
        Some(self.sets.get(head as usize)?.chained_root)
    }

    /// The slot and, where known, the id of the block that `block` builds on.
    #[must_use]
    pub fn parent_of(&self, block: BlockKey) -> Option<(Slot, Option<Root>)> {
        let known = self.find(block)?;
        let id = known
            .parent_id
            .or_else(|| self.only_block(known.parent_slot));
        Some((known.parent_slot, id))
    }

    /// Whether `ancestor` is `block` or an ancestor of it.
    ///
    /// Cost: up to the ring's slots.
    #[must_use]
    pub fn is_ancestor(&self, ancestor: BlockKey, block: BlockKey) -> Ancestry {
        let mut at = block;
        // Parents have lower slots, so this ends.
        while at.slot > ancestor.slot {
            match self.parent_of(at) {
                Some((slot, _)) if slot < ancestor.slot => return Ancestry::No,
                Some((slot, Some(id))) if slot < at.slot => at = BlockKey { slot, id },
                _ => return Ancestry::Unknown,
            }
        }
        if at == ancestor {
            Ancestry::Yes
        } else {
            Ancestry::No
        }
    }

    /// The whole block of the highest slot; of several, the first.
    #[must_use]
    pub const fn newest(&self) -> Option<BlockKey> {
        self.newest
    }

    /// The highest whole block that builds on the highest block which most of the stake is seen to have voted for; the
    /// newest while there is none.
    ///
    /// Cost: up to the ring's blocks times its slots.
    #[must_use]
    pub fn heaviest(&self) -> Option<BlockKey> {
        let Some(hinted) = self.hinted.filter(|hinted| self.find(*hinted).is_some()) else {
            return self.newest;
        };
        let above = self
            .all_blocks()
            .map(|(key, _)| key)
            .filter(|key| self.is_ancestor(hinted, *key) == Ancestry::Yes);
        Some(above.max().unwrap_or(hinted))
    }

    /// The highest block that most of the stake is seen to have voted for.
    #[must_use]
    pub const fn hinted(&self) -> Option<BlockKey> {
        self.hinted
    }

    /// What is known of `slot`, over all forks.
    #[must_use]
    pub fn status(&self, slot: Slot) -> SlotStatus {
        match self.node(slot) {
            None => SlotStatus::Unknown,
            Some(node) => match node.skipped {
                // What came after the jump counts as well.
                Some(_) => SlotStatus::Skipped(node.had()),
                None if node.blocks[0].is_some() => SlotStatus::Whole,
                None if node.aborted => SlotStatus::Aborted,
                None => SlotStatus::Open,
            },
        }
    }

    fn at(&self, slot: Slot) -> usize {
        slot.0 as usize & (self.ring.len() - 1)
    }

    fn node(&self, slot: Slot) -> Option<&SlotNode> {
        let node = &self.ring[self.at(slot)];
        (node.used && node.slot == slot).then_some(node)
    }

    fn node_mut(&mut self, slot: Slot) -> Option<&mut SlotNode> {
        let at = self.at(slot);
        let node = &mut self.ring[at];
        (node.used && node.slot == slot).then_some(node)
    }

    /// The place of `slot`, given up by the slot that had it before; `None` when a later one has it.
    fn open(&mut self, slot: Slot) -> Option<usize> {
        let at = self.at(slot);
        if self.ring[at].used {
            if self.ring[at].slot > slot {
                return None;
            }
            if self.ring[at].slot < slot {
                self.close(at);
            }
        }
        self.ring[at].used = true;
        self.ring[at].slot = slot;
        Some(at)
    }

    fn close(&mut self, at: usize) {
        self.drop_sets(at);
        self.ring[at] = SlotNode::VACANT;
    }

    fn drop_sets(&mut self, at: usize) {
        let first = at * self.sets_per_slot;
        for place in first..first + self.ring[at].sets_end {
            let mut record = std::mem::replace(&mut self.heads[place], NONE);
            while record != NONE {
                self.free.push(record);
                record = self.sets[record as usize].next;
            }
        }
        self.ring[at].sets_end = 0;
    }

    fn head_at(&self, slot: Slot, number: usize) -> Option<usize> {
        (number < self.sets_per_slot).then(|| self.at(slot) * self.sets_per_slot + number)
    }

    fn link(&mut self, link: &SetLink) -> Option<()> {
        let number = link.fec_set_index.0 as usize / SET_SHREDS;
        let head = self.head_at(link.slot, number)?;
        let at = self.open(link.slot)?;
        if self
            .versions(link.slot, number)
            .any(|set| set.root == link.root)
        {
            return Some(());
        }
        if self.ring[at].set_count >= self.sets.len() / 8 {
            return None;
        }
        if self.free.is_empty() {
            let oldest = (0..self.ring.len())
                .filter(|place| self.ring[*place].sets_end > 0)
                .min_by_key(|place| self.ring[*place].slot)?;
            if oldest == at {
                return None;
            }
            self.drop_sets(oldest);
        }
        let record = self.free.pop()?;
        self.sets[record as usize] = SetRecord {
            root: link.root,
            chained_root: link.chained_root,
            next: self.heads[head],
        };
        self.heads[head] = record;
        let node = &mut self.ring[at];
        node.set_count += 1;
        node.sets_end = node.sets_end.max(number + 1);
        Some(())
    }

    /// Versions of a set of a slot that is in the ring.
    fn versions(&self, slot: Slot, number: usize) -> impl Iterator<Item = &SetRecord> {
        let head = self.head_at(slot, number);
        let first = head.map_or(NONE, |head| self.heads[head]);
        std::iter::successors(self.sets.get(first as usize), |set| {
            self.sets.get(set.next as usize)
        })
    }

    /// The number of the set of `slot` with `root`, looked for from the last set on.
    fn number_of(&self, slot: Slot, root: &Root) -> Option<usize> {
        let sets_end = self.node(slot)?.sets_end;
        (0..sets_end).rev().find(|number| {
            self.versions(slot, *number)
                .any(|version| version.root == *root)
        })
    }

    /// The set of `slot` with `root` and, one by one, those before it that it chains to.
    fn chain(&self, slot: Slot, root: &Root) -> impl Iterator<Item = &SetRecord> {
        let mut next = self.number_of(slot, root).map(|number| (number, *root));
        std::iter::from_fn(move || {
            let (number, root) = next?;
            let set = self.versions(slot, number).find(|set| set.root == root)?;
            next = number
                .checked_sub(1)
                .map(|number| (number, set.chained_root));
            Some(set)
        })
    }

    /// The id of the block that `key` builds on, as its first set says.
    fn parent_id_of(&self, key: BlockKey, parent_slot: Slot) -> Option<Root> {
        let node = self.node(key.slot)?;
        if node.new_parent == Some(parent_slot) {
            return None;
        }
        let number = self.number_of(key.slot, &key.id)?;
        let first = self.chain(key.slot, &key.id).nth(number)?;
        Some(first.chained_root)
    }

    /// The id of a slot's block, if there is one only.
    fn only_block(&self, slot: Slot) -> Option<Root> {
        let mut blocks = self.node(slot)?.blocks();
        let (key, _) = blocks.next()?;
        blocks.next().is_none().then_some(key.id)
    }

    fn find(&self, key: BlockKey) -> Option<&Block> {
        let mut blocks = self.node(key.slot)?.blocks();
        blocks
            .find(|(known, _)| *known == key)
            .map(|(_, block)| block)
    }

    fn all_blocks(&self) -> impl Iterator<Item = (BlockKey, &Block)> {
        let used = self.ring.iter().filter(|node| node.used);
        used.flat_map(SlotNode::blocks)
    }

    /// The first block of the same slot, or on the same parent.
    fn rival_of(&self, key: BlockKey, block: &Block) -> Option<BlockKey> {
        self.all_blocks()
            .filter(|(other, known)| {
                let same_parent = known.parent_slot == block.parent_slot
                    && match (known.parent_id, block.parent_id) {
                        (Some(one), Some(other)) => one == other,
                        _ => true,
                    };
                *other != key && (other.slot == key.slot || same_parent)
            })
            .map(|(other, _)| other)
            .min_by_key(|other| other.slot)
    }

    /// Marks the slots between a block and its parent.
    fn jump(&mut self, parent_slot: Slot, by: BlockKey, told: &mut impl FnMut(&ForkEvent)) {
        let reach = self.ring.len() as u64;
        let first = (parent_slot.0.saturating_add(1)).max(by.slot.0.saturating_sub(reach - 1));
        for slot in (first..by.slot.0).map(Slot) {
            let Some(at) = self.open(slot) else {
                continue;
            };
            if self.ring[at].skipped.is_some() {
                continue;
            }
            let had = self.ring[at].had();
            self.ring[at].skipped = Some(had);
            match had {
                Had::Nothing => self.counters.slot_skipped += 1,
                Had::Shreds => self.counters.slot_abandoned += 1,
                Had::Block => self.counters.slot_orphaned += 1,
            }
            told(&ForkEvent::Skipped { slot, had, by });
        }
    }
}

#[cfg(test)]
mod tests;
