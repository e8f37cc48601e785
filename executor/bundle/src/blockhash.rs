//! Which blockhash to sign with, learned from the blocks the stream completes.
//!
//! A block's hash is registered at its final tick, and only descendants of that block accept it. Taking the
//! newest gains nothing, since a hash stays valid for [`VALIDITY_BLOCKS`], and it fails wherever a leader or
//! a simulation is on another fork or a block behind. So the tracker walks back from the highest completed
//! block and takes a hash that several observed blocks already build on.
//!
//! Shreds carry no block height: age is counted in ancestors, and a gap in the observed chain ends the walk.
//!
//! Source: agave `runtime/src/bank.rs` (registration at the maximum tick height) and `MAX_PROCESSING_AGE`.

use core::sync::atomic::{AtomicU64, Ordering, fence};

use shred_wire::Slot;

/// Blocks a hash stays valid for after its own. Source: agave `MAX_PROCESSING_AGE` (150).
pub const VALIDITY_BLOCKS: u32 = 150;
/// Slots the tracker remembers. The validity is counted in blocks, and most slots have one, so 512 slots
/// hold it unless two of three slots are skipped; a walk that runs out of memory just ends.
pub const SLOT_COUNT: usize = 512;

/// A hash to sign with, and the slot of its block.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecentBlockhash {
    /// The hash.
    pub hash: [u8; 32],
    /// Slot of the block it closes.
    pub slot: Slot,
}

/// Where the builder's blockhash comes from: the stream, or a value somebody else publishes.
pub trait BlockhashSource {
    /// A hash to sign with now, if one is known.
    fn usable(&self) -> Option<RecentBlockhash>;
}

/// What "usable" means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockhashRule {
    /// Observed descendants a block must have on the chain of the highest completed block.
    pub depth_min: u32,
    /// Most ancestors between the highest completed block and a usable one; below [`VALIDITY_BLOCKS`] by a
    /// margin for the time the bytes take to land.
    pub age_max: u32,
}

impl Default for BlockhashRule {
    /// Two descendants; thirty blocks of margin.
    fn default() -> Self {
        Self {
            depth_min: 2,
            age_max: VALIDITY_BLOCKS - 30,
        }
    }
}

/// The last [`SLOT_COUNT`] slots' blocks, and the hash to use. Fed by completed blocks; allocates only in
/// [`BlockhashTracker::new`].
///
/// Feed it authenticated blocks only: the highest slot decides what is remembered.
pub struct BlockhashTracker {
    blocks: Box<[Option<Block>; SLOT_COUNT]>,
    rule: BlockhashRule,
    highest: Option<Slot>,
    usable: Option<RecentBlockhash>,
}

#[derive(Clone, Copy)]
struct Block {
    slot: Slot,
    parent: Slot,
    hash: [u8; 32],
    /// The final tick was counted, so the hash is the one that was registered.
    complete: bool,
    /// A second, different block was seen in this slot: which one the chain builds on is unknown.
    contested: bool,
}

impl BlockhashTracker {
    /// An empty tracker. A rule that would use dead hashes is cut to [`VALIDITY_BLOCKS`].
    #[must_use]
    pub fn new(rule: BlockhashRule) -> Self {
        let rule = BlockhashRule {
            age_max: rule.age_max.min(VALIDITY_BLOCKS),
            ..rule
        };
        Self {
            blocks: Box::new([None; SLOT_COUNT]),
            rule,
            highest: None,
            usable: None,
        }
    }

    /// Takes a block the stream completed.
    ///
    /// `final_tick_counted` says that all ticks up to the slot's last were seen; a block without it links its
    /// neighbours but its hash is never used. A block whose parent is not below it, or that is older than
    /// the memory, is ignored. Cost: one pass over the memory and one walk of at most
    /// [`BlockhashRule::age_max`] ancestors; no allocation.
    pub fn block(&mut self, slot: Slot, parent: Slot, hash: &[u8; 32], final_tick_counted: bool) {
        if parent >= slot {
            return;
        }
        let entry = &mut self.blocks[position(slot)];
        match entry {
            Some(known) if known.slot > slot => return,
            Some(known) if known.slot == slot => {
                if known.hash != *hash || known.parent != parent {
                    known.contested = true;
                } else {
                    known.complete |= final_tick_counted;
                }
            }
            _ => {
                *entry = Some(Block {
                    slot,
                    parent,
                    hash: *hash,
                    complete: final_tick_counted,
                    contested: false,
                })
            }
        }
        self.refresh();
    }

    /// Forgets the block of `slot`: it was abandoned or replaced.
    pub fn retract(&mut self, slot: Slot) {
        let entry = &mut self.blocks[position(slot)];
        if entry.is_some_and(|block| block.slot == slot) {
            *entry = None;
            self.refresh();
        }
    }

    /// The hash to sign with under the tracker's rule. A load: the walk was done when the blocks came.
    #[inline]
    #[must_use]
    pub const fn usable(&self) -> Option<RecentBlockhash> {
        self.usable
    }

    /// The newest hash with at least `depth_min` observed descendants on the chain of the highest completed
    /// block, and at most the rule's age. Walks.
    #[must_use]
    pub fn usable_at(&self, depth_min: u32) -> Option<RecentBlockhash> {
        self.usable_where(depth_min, |_| true)
    }

    /// The newest hash older than `slot`'s that is usable under the tracker's rule. Walks.
    #[must_use]
    pub fn usable_before(&self, slot: Slot) -> Option<RecentBlockhash> {
        self.usable_where(self.rule.depth_min, |block| block.slot < slot)
    }

    fn usable_where(
        &self,
        depth_min: u32,
        fits: impl Fn(&Block) -> bool,
    ) -> Option<RecentBlockhash> {
        let is_usable = |depth: u32, block: &Block| {
            depth >= depth_min && block.complete && !block.contested && fits(block)
        };
        self.chain()
            .take_while(|(depth, _)| *depth <= self.rule.age_max)
            .find(|(depth, block)| is_usable(*depth, block))
            .map(|(_, block)| RecentBlockhash {
                hash: block.hash,
                slot: block.slot,
            })
    }

    /// Blocks that came after the one `hash` closes, on the chain of the highest completed block; `None` when
    /// it is not on the observed part of that chain. The hash is dead above [`VALIDITY_BLOCKS`].
    #[must_use]
    pub fn age_of(&self, hash: &[u8; 32]) -> Option<u32> {
        self.chain()
            .find(|(_, block)| block.hash == *hash && !block.contested)
            .map(|(depth, _)| depth)
    }

    /// The highest completed block's slot.
    #[must_use]
    pub const fn highest(&self) -> Option<Slot> {
        self.highest
    }

    fn refresh(&mut self) {
        // Recomputed, not remembered: a retracted tip hands its place to the next.
        let complete = self.blocks.iter().flatten().filter(|block| block.complete);
        self.highest = complete.map(|block| block.slot).max();
        self.usable = self.usable_at(self.rule.depth_min);
    }

    /// The highest completed block and its ancestors with their depth, as far as they were observed.
    fn chain(&self) -> impl Iterator<Item = (u32, &Block)> {
        let first = self.highest.and_then(|slot| self.at(slot));
        // Ends: each parent's slot is below its child's, and the memory is finite.
        core::iter::successors(first, |block| self.at(block.parent))
            .enumerate()
            .map(|(depth, block)| (depth as u32, block))
    }

    fn at(&self, slot: Slot) -> Option<&Block> {
        self.blocks[position(slot)]
            .as_ref()
            .filter(|block| block.slot == slot)
    }
}

impl BlockhashSource for BlockhashTracker {
    #[inline]
    fn usable(&self) -> Option<RecentBlockhash> {
        self.usable
    }
}

fn position(slot: Slot) -> usize {
    (slot.0 % SLOT_COUNT as u64) as usize
}

/// A blockhash one thread publishes and others read without waiting: a sequence lock over plain words.
///
/// For a value fetched elsewhere, such as a confirmed one from an RPC node. A reader that keeps meeting the
/// writer in the middle gives up after [`READ_ATTEMPTS`] and falls back on its other source.
#[derive(Debug, Default)]
pub struct BlockhashCell {
    /// Odd while a write is going on; zero before the first.
    sequence: AtomicU64,
    words: [AtomicU64; 5],
}

/// How often [`BlockhashCell::usable`] tries before it reports nothing.
pub const READ_ATTEMPTS: usize = 4;

impl BlockhashCell {
    /// An empty cell.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            words: [const { AtomicU64::new(0) }; 5],
        }
    }

    /// Publishes `value`. One thread only: with two writers a reader could see a mixture.
    pub fn publish(&self, value: &RecentBlockhash) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        let (hash, _) = value.hash.as_chunks::<8>();
        for (word, bytes) in self.words.iter().zip(hash) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        self.words[4].store(value.slot.0, Ordering::Relaxed);
        self.sequence
            .store(sequence.wrapping_add(2), Ordering::Release);
    }
}

impl BlockhashSource for BlockhashCell {
    fn usable(&self) -> Option<RecentBlockhash> {
        for _ in 0..READ_ATTEMPTS {
            let before = self.sequence.load(Ordering::Acquire);
            if before == 0 {
                return None;
            }
            let words = self
                .words
                .each_ref()
                .map(|word| word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                return Some(from_words(&words));
            }
        }
        None
    }
}

fn from_words(words: &[u64; 5]) -> RecentBlockhash {
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    RecentBlockhash {
        hash,
        slot: Slot(words[4]),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn hash_of(slot: u64) -> [u8; 32] {
        let mut hash = [0xab; 32];
        hash[..8].copy_from_slice(&slot.to_le_bytes());
        hash
    }

    fn block(tracker: &mut BlockhashTracker, slot: u64, parent: u64) {
        tracker.block(Slot(slot), Slot(parent), &hash_of(slot), true);
    }

    fn usable_slot(tracker: &BlockhashTracker) -> Option<u64> {
        tracker.usable().map(|usable| {
            assert_eq!(usable.hash, hash_of(usable.slot.0));
            usable.slot.0
        })
    }

    #[test]
    fn a_hash_is_usable_once_two_blocks_build_on_it() {
        let mut tracker = BlockhashTracker::new(BlockhashRule::default());
        block(&mut tracker, 10, 9);
        assert_eq!(usable_slot(&tracker), None);
        block(&mut tracker, 11, 10);
        assert_eq!(usable_slot(&tracker), None);
        // Slots 12 and 13 were skipped.
        block(&mut tracker, 14, 11);
        assert_eq!(usable_slot(&tracker), Some(10));
        assert_eq!(tracker.age_of(&hash_of(10)), Some(2));
        assert_eq!(tracker.usable_before(Slot(10)), None);
        block(&mut tracker, 15, 14);
        let before = |slot| tracker.usable_before(Slot(slot)).map(|hash| hash.slot.0);
        assert_eq!(
            (before(12), before(11), before(10)),
            (Some(11), Some(10), None)
        );
    }

    #[test]
    fn the_chain_of_the_highest_block_decides_between_forks() {
        let mut tracker = BlockhashTracker::new(BlockhashRule::default());
        for (slot, parent) in [(10, 9), (11, 10), (12, 11), (13, 12)] {
            block(&mut tracker, slot, parent);
        }
        assert_eq!(usable_slot(&tracker), Some(11));
        // A longer fork from 10 leaves 11, 12 and 13 behind.
        for (slot, parent) in [(14, 10), (15, 14)] {
            block(&mut tracker, slot, parent);
        }
        assert_eq!(usable_slot(&tracker), Some(10));
        assert_eq!(tracker.age_of(&hash_of(12)), None);
        // Without its tip the old branch is the highest again.
        tracker.retract(Slot(15));
        tracker.retract(Slot(14));
        assert_eq!(usable_slot(&tracker), Some(11));
    }

    #[test]
    fn a_hash_whose_final_tick_was_not_counted_is_passed_over() {
        let mut tracker = BlockhashTracker::new(BlockhashRule::default());
        block(&mut tracker, 10, 9);
        tracker.block(Slot(11), Slot(10), &hash_of(11), false);
        for slot in 12..14 {
            block(&mut tracker, slot, slot - 1);
        }
        assert_eq!(usable_slot(&tracker), Some(10));
        // The missing tick was counted after all.
        tracker.block(Slot(11), Slot(10), &hash_of(11), true);
        assert_eq!(usable_slot(&tracker), Some(11));
    }

    #[test]
    fn an_equivocated_slot_gives_no_hash() {
        let mut tracker = BlockhashTracker::new(BlockhashRule::default());
        for slot in 10..14 {
            block(&mut tracker, slot, slot - 1);
        }
        tracker.block(Slot(11), Slot(10), &[1; 32], true);
        assert_eq!(usable_slot(&tracker), Some(10));
        assert_eq!(tracker.age_of(&hash_of(11)), None);
        // Until one of the two is withdrawn and the other arrives again.
        tracker.retract(Slot(11));
        assert_eq!(usable_slot(&tracker), None);
        block(&mut tracker, 11, 10);
        assert_eq!(usable_slot(&tracker), Some(11));
    }

    #[test]
    fn a_hash_near_its_end_is_not_usable() {
        let rule = BlockhashRule {
            depth_min: 2,
            age_max: 3,
        };
        let mut tracker = BlockhashTracker::new(rule);
        for slot in 10..14 {
            tracker.block(
                Slot(slot),
                Slot(slot - 1),
                &hash_of(slot),
                slot == 10 || slot == 13,
            );
        }
        assert_eq!(usable_slot(&tracker), Some(10), "three blocks old");
        block(&mut tracker, 14, 13);
        assert_eq!(usable_slot(&tracker), None, "four blocks old");
    }

    /// What the tracker promises, said without a ring or a cache.
    #[derive(Default)]
    struct Model(BTreeMap<u64, (u64, bool, bool)>);

    impl Model {
        fn usable(&self, rule: BlockhashRule) -> Option<u64> {
            let mut slot = *self.0.iter().rfind(|(_, (_, complete, _))| *complete)?.0;
            for depth in 0..=rule.age_max {
                let (parent, complete, contested) = *self.0.get(&slot)?;
                if depth >= rule.depth_min && complete && !contested {
                    return Some(slot);
                }
                slot = parent;
            }
            None
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// A block some slots above the highest, on an ancestor some blocks back.
        Grow {
            skipped: u64,
            back: usize,
            complete: bool,
        },
        Retract {
            back: usize,
        },
        Equivocate {
            back: usize,
        },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0u64..4, prop_oneof![6 => Just(0usize), 1 => 0usize..6], prop::bool::weighted(0.9))
                .prop_map(|(skipped, back, complete)| Step::Grow { skipped, back, complete }),
            1 => (0usize..8).prop_map(|back| Step::Retract { back }),
            1 => (0usize..8).prop_map(|back| Step::Equivocate { back }),
        ]
    }

    proptest! {
        /// Goal: through forks, skips, retractions and equivocation the tracker says what the model says.
        #[test]
        fn the_tracker_agrees_with_the_model(
            steps in prop::collection::vec(step(), 1..300),
            depth_min in 0u32..5,
            age_max in 3u32..40,
        ) {
            let rule = BlockhashRule { depth_min, age_max };
            let mut tracker = BlockhashTracker::new(rule);
            let mut model = Model::default();
            let mut next = 1_000u64;
            for step in steps {
                let nth_back = |back: usize| model.0.keys().rev().nth(back).copied();
                match step {
                    Step::Grow { skipped, back, complete } => {
                        let slot = next + skipped;
                        next = slot + 1;
                        let parent = nth_back(back).unwrap_or(slot - 1);
                        tracker.block(Slot(slot), Slot(parent), &hash_of(slot), complete);
                        model.0.insert(slot, (parent, complete, false));
                    }
                    Step::Retract { back } => {
                        if let Some(slot) = nth_back(back) {
                            tracker.retract(Slot(slot));
                            model.0.remove(&slot);
                        }
                    }
                    Step::Equivocate { back } => {
                        if let Some(slot) = nth_back(back) {
                            let parent = model.0[&slot].0;
                            tracker.block(Slot(slot), Slot(parent), &[7; 32], true);
                            model.0.get_mut(&slot).unwrap().2 = true;
                        }
                    }
                }
                // The ring forgets what the model keeps; neither looks that far back.
                model.0.retain(|slot, _| slot + SLOT_COUNT as u64 > next);
                prop_assert_eq!(usable_slot(&tracker), model.usable(rule));
            }
        }

        /// Goal: nothing that can be fed panics, whatever the slots.
        #[test]
        fn any_slots_are_survived(blocks in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>()), 0..64)) {
            let mut tracker = BlockhashTracker::new(BlockhashRule::default());
            for (slot, parent, retract) in blocks {
                tracker.block(Slot(slot), Slot(parent), &hash_of(slot), true);
                if retract {
                    tracker.retract(Slot(parent));
                }
            }
            let _ = tracker.usable();
        }
    }

    /// Goal: a reader never sees half of one value and half of another.
    #[test]
    fn the_cell_gives_whole_values() {
        let cell = BlockhashCell::new();
        assert_eq!(cell.usable(), None);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for slot in 1..20_000u64 {
                    let [a, b, c, d, e, f, g, h] = slot.to_le_bytes();
                    let hash = [[a, b, c, d, e, f, g, h]; 4]
                        .as_flattened()
                        .try_into()
                        .unwrap();
                    cell.publish(&RecentBlockhash {
                        hash,
                        slot: Slot(slot),
                    });
                }
            });
            let mut last = 0;
            for _ in 0..20_000 {
                if let Some(read) = cell.usable() {
                    assert!(
                        read.hash
                            .as_chunks::<8>()
                            .0
                            .iter()
                            .all(|word| *word == read.slot.0.to_le_bytes())
                    );
                    assert!(read.slot.0 >= last);
                    last = read.slot.0;
                }
            }
        });
        assert_eq!(cell.usable().unwrap().slot, Slot(19_999));
    }
}
