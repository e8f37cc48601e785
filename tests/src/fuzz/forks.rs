//! Forks: beside [`Forks`] somebody who keeps sets and blocks in maps, and looks through all of them each time.

use std::collections::BTreeMap;

use shred_resolve::{
    Ancestry, BLOCKS_PER_SLOT, Belongs, BlockEnd, BlockKey, Equivocation, ForkCounters, ForkEvent,
    ForkPlan, Forks, Had, Retract, RetractReason, Root, SetLink, SlotStatus,
};
use shred_wire::{FecSetIndex, Nanos, Slot};

use super::Dice;

/// Blocks on each other and beside each other, told in some order, with what is missing, void, told twice, made up or
/// of the far past and future: every event, count and answer equals the reference's.
pub(super) fn forks(dice: &mut Dice) -> ForkCounters {
    let plan = ForkPlan {
        slots: 1 << (3 + dice.below(4)),
        sets_per_slot: 4 << dice.below(3),
        sets_max: 16 << dice.below(6),
    };
    let mut forks = Forks::new(&plan);
    let mut reference = Reference::new(&plan);
    let mut world = World::new(dice);
    for step in 0..100 + dice.below(300) {
        let told = world.next(dice);
        let (mut events, mut expected) = (Vec::new(), Vec::new());
        match told {
            Told::Set(link) => {
                forks.set(&link);
                reference.set(&link);
            }
            Told::Block(end) => {
                forks.block(&end, &mut |event| events.push(*event));
                reference.block(&end, &mut expected);
            }
            Told::Retract(retract) => {
                forks.retract(&retract, &mut |event| events.push(*event));
                reference.retract(&retract, &mut expected);
            }
            Told::Hint(slot, id) => {
                forks.note_hint(slot, id);
                reference.note_hint(slot.0, id);
            }
            Told::Equivocation(equivocation) => {
                forks.equivocation(&equivocation);
                reference.counters.set_equivocated += 1;
            }
        }
        assert_eq!(events, expected, "step {step}: {told:?}");
        assert_eq!(*forks.counters(), reference.counters, "step {step}");
        assert_eq!(forks.newest(), reference.newest, "step {step}");
        assert_eq!(forks.hinted(), reference.hinted, "step {step}");
        assert_eq!(forks.heaviest(), reference.heaviest(), "step {step}");
        for _ in 0..4 {
            let (one, other) = (world.somebody(dice), world.somebody(dice));
            let (slot, root) = (one.slot, one.id);
            assert_eq!(
                forks.block_of(slot, &root),
                reference.block_of(slot.0, root),
                "step {step}, block of {one:?}"
            );
            assert_eq!(forks.parent_root(slot), reference.parent_root(slot.0));
            assert_eq!(forks.status(slot), reference.status(slot.0), "step {step}");
            assert_eq!(
                forks.is_hinted(one),
                reference.find(one).is_some_and(|it| it.hinted)
            );
            assert_eq!(
                forks.parent_of(one),
                reference.parent_of(one),
                "step {step}, parent of {one:?}"
            );
            assert_eq!(
                forks.is_ancestor(one, other),
                reference.is_ancestor(one, other),
                "step {step}, {one:?} of {other:?}"
            );
        }
    }
    reference.counters
}

#[derive(Clone, Copy, Debug)]
enum Told {
    Set(SetLink),
    Block(BlockEnd),
    Retract(Retract),
    Hint(Slot, Option<Root>),
    Equivocation(Equivocation),
}

/// A cluster whose leaders do as they please.
struct World {
    /// Blocks, whole or not, the newest last.
    blocks: Vec<BlockKey>,
    /// Every set there is.
    sets: Vec<SetLink>,
    /// What is still to be told.
    ahead: Vec<Told>,
    roots: u64,
}

impl World {
    fn new(dice: &mut Dice) -> Self {
        let slot = match dice.below(8) {
            0 => 0,
            1 => u64::MAX - 300,
            _ => dice.next() % 1_000_000,
        };
        let mut world = Self {
            blocks: Vec::new(),
            sets: Vec::new(),
            ahead: Vec::new(),
            roots: 0,
        };
        let id = world.root();
        let slot = Slot(slot);
        world.blocks.push(BlockKey { slot, id });
        world
    }

    fn root(&mut self) -> Root {
        self.roots += 1;
        let mut root = [7; 32];
        root[..8].copy_from_slice(&self.roots.to_le_bytes());
        root
    }

    /// A block or a set of some slot, that was told, is to be, or never will.
    fn somebody(&self, dice: &mut Dice) -> BlockKey {
        let recent = self.blocks.len().saturating_sub(12);
        let mut some = *dice.pick(&self.blocks[recent..]);
        if !self.sets.is_empty() && dice.chance(40) {
            let recent = self.sets.len().saturating_sub(40);
            let set = dice.pick(&self.sets[recent..]);
            some = BlockKey {
                slot: set.slot,
                id: set.root,
            };
        }
        match dice.below(12) {
            0 => some.slot.0 = some.slot.0.wrapping_add(dice.next() % 5).wrapping_sub(2),
            1 => some.id = dice.pick(&self.blocks).id,
            _ => {}
        }
        some
    }

    fn next(&mut self, dice: &mut Dice) -> Told {
        if dice.chance(12) {
            return self.noise(dice);
        }
        while self.ahead.len() < 6 {
            self.lead(dice);
        }
        // In order of slots, by and large.
        let reach = [1, 4, 30][dice.below(3)];
        let told = self.ahead.remove(dice.below(self.ahead.len().min(reach)));
        if dice.chance(5) {
            self.ahead.push(told);
        }
        told
    }

    /// Another block: on one of the newest, or another version of one of them.
    fn lead(&mut self, dice: &mut Dice) {
        let recent = self.blocks.len().saturating_sub(5);
        let mut parent = *dice.pick(&self.blocks[recent..]);
        if dice.chance(70) {
            parent = self.blocks[self.blocks.len() - 1];
        }
        let skip = match dice.below(6) {
            0 => dice.next() % 6,
            1 => dice.next() % 80 / 70 * 40,
            _ => 0,
        };
        let slot = Slot(parent.slot.0.saturating_add(1 + skip));
        let (mut number, mut before) = (0, parent.id);
        let mut links = Vec::new();
        // Parts from a version that is there after one of its sets.
        let shared: Vec<SetLink> = self
            .sets
            .iter()
            .filter(|set| set.slot == slot)
            .copied()
            .collect();
        if !shared.is_empty() && dice.chance(60) {
            let last = dice.pick(&shared);
            (number, before) = (last.fec_set_index.0 / 32 + 1, last.root);
        }
        for _ in 0..1 + dice.below(5) {
            let root = self.root();
            links.push(SetLink {
                slot,
                fec_set_index: FecSetIndex(32 * number),
                root,
                chained_root: before,
                at: Nanos(0),
            });
            (number, before) = (number + 1, root);
        }
        self.sets.extend(&links);
        let mut parent_slot = parent.slot;
        let mut told: Vec<Told> = links.into_iter().map(Told::Set).collect();
        if dice.chance(8) {
            let moved = match dice.chance(80) {
                true => dice.pick(&self.blocks[recent..]).slot,
                false => parent_slot,
            };
            let reason = match dice.chance(70) {
                true => {
                    parent_slot = moved;
                    RetractReason::UpdateParent { parent_slot }
                }
                false => RetractReason::Abandoned,
            };
            let before = FecSetIndex(32 * dice.below(8) as u32);
            let retract = Retract {
                slot,
                before,
                reason,
            };
            told.insert(dice.below(told.len()), Told::Retract(retract));
        }
        if !dice.chance(10) {
            told.push(Told::Block(block(slot, parent_slot, before)));
        }
        if dice.chance(40) {
            told.push(Told::Hint(slot, dice.chance(60).then_some(before)));
        }
        if dice.chance(10) {
            told.remove(dice.below(told.len()));
        }
        self.blocks.push(BlockKey { slot, id: before });
        self.ahead.extend(told);
    }

    /// What no leader would do, or nobody would expect.
    fn noise(&mut self, dice: &mut Dice) -> Told {
        let (one, other) = (self.somebody(dice), self.somebody(dice));
        let (slot, id) = (one.slot, one.id);
        // A slot of the far end would make all others too old.
        let slot = match dice.below(60) {
            0 => Slot(dice.next() >> dice.below(64)),
            _ => slot,
        };
        let number = match dice.below(6) {
            0 => dice.next() as u32,
            _ => dice.below(40) as u32 * 16,
        };
        match dice.below(6) {
            0 => Told::Block(block(slot, other.slot, id)),
            1 => Told::Hint(slot, dice.chance(50).then_some(other.id)),
            2 => Told::Retract(Retract {
                slot,
                before: FecSetIndex(number),
                reason: match dice.chance(50) {
                    true => RetractReason::Abandoned,
                    false => RetractReason::UpdateParent {
                        parent_slot: other.slot,
                    },
                },
            }),
            3 => Told::Equivocation(Equivocation {
                slot,
                fec_set_index: FecSetIndex(number),
                merkle_roots: [id, other.id],
            }),
            _ => {
                let root = match dice.chance(50) {
                    true => self.root(),
                    false => id,
                };
                let link = SetLink {
                    slot,
                    fec_set_index: FecSetIndex(number),
                    root,
                    chained_root: other.id,
                    at: Nanos(0),
                };
                self.sets.push(link);
                Told::Set(link)
            }
        }
    }
}

fn block(slot: Slot, parent_slot: Slot, last_root: Root) -> BlockEnd {
    BlockEnd {
        slot,
        parent_slot,
        blockhash: [0; 32],
        last_root,
        transactions: 0,
        ticks: 64,
        ticks_complete: true,
        at: Nanos(0),
    }
}

/// All that was told of the slots that are remembered.
struct Reference {
    /// Slots remembered at once: a slot goes when the one so many above it comes.
    span: u64,
    sets_per_slot: usize,
    sets_max: usize,
    slots: BTreeMap<u64, Known>,
    newest: Option<BlockKey>,
    hinted: Option<BlockKey>,
    counters: ForkCounters,
}

#[derive(Default)]
struct Known {
    /// By number: root and chained root of every version, the newest last.
    sets: BTreeMap<usize, Vec<(Root, Root)>>,
    /// Sets that were ever held; those given up for want of room count on.
    set_count: usize,
    blocks: Vec<Block>,
    aborted: bool,
    skipped: bool,
    new_parent: Option<Slot>,
}

#[derive(Clone, Copy)]
struct Block {
    id: Root,
    parent_slot: Slot,
    parent_id: Option<Root>,
    hinted: bool,
}

impl Known {
    fn had(&self) -> Had {
        match (self.blocks.is_empty(), self.set_count, self.aborted) {
            (false, ..) => Had::Block,
            (true, 0, false) => Had::Nothing,
            _ => Had::Shreds,
        }
    }

    /// The highest set with `root`.
    fn number_of(&self, root: Root) -> Option<usize> {
        let mut sets = self.sets.iter().rev();
        let found = sets.find(|(_, versions)| versions.iter().any(|set| set.0 == root));
        found.map(|(number, _)| *number)
    }

    /// The sets that a block whose last one has `root` is made of, as far as they are known, the last first.
    fn parts(&self, root: Root) -> Vec<(usize, Root, Root)> {
        let mut parts = Vec::new();
        let mut next = self.number_of(root).map(|number| (number, root));
        while let Some((number, root)) = next {
            let versions = self.sets.get(&number).map_or(&[][..], |versions| versions);
            let Some((_, chained)) = versions.iter().find(|set| set.0 == root) else {
                break;
            };
            parts.push((number, root, *chained));
            next = number.checked_sub(1).map(|number| (number, *chained));
        }
        parts
    }
}

impl Reference {
    fn new(plan: &ForkPlan) -> Self {
        Self {
            span: plan.slots as u64,
            sets_per_slot: plan.sets_per_slot,
            sets_max: plan.sets_max,
            slots: BTreeMap::new(),
            newest: None,
            hinted: None,
            counters: ForkCounters::default(),
        }
    }

    /// Makes room for `slot`; `None` when a later one has it.
    fn open(&mut self, slot: u64) -> Option<&mut Known> {
        let span = self.span;
        let rival = self
            .slots
            .keys()
            .find(|rival| **rival % span == slot % span);
        match rival.copied() {
            Some(rival) if rival > slot => return None,
            Some(rival) if rival < slot => drop(self.slots.remove(&rival)),
            _ => {}
        }
        Some(self.slots.entry(slot).or_default())
    }

    fn set(&mut self, link: &SetLink) {
        match self.link(link) {
            true => self.counters.set_linked += 1,
            false => self.counters.set_unplaced += 1,
        }
    }

    fn link(&mut self, link: &SetLink) -> bool {
        let (slot, number) = (link.slot.0, link.fec_set_index.0 as usize / 32);
        let (share, sets_max) = (self.sets_max / 8, self.sets_max);
        if number >= self.sets_per_slot {
            return false;
        }
        let Some(known) = self.open(slot) else {
            return false;
        };
        let versions = known.sets.entry(number).or_default();
        if versions.iter().any(|(root, _)| *root == link.root) {
            return true;
        }
        if known.set_count >= share {
            return false;
        }
        let held = |known: &Known| known.sets.values().map(Vec::len).sum::<usize>();
        if self.slots.values().map(held).sum::<usize>() == sets_max {
            // The oldest slot that has any gives up its sets, and stays.
            let oldest = self.slots.iter_mut().find(|(_, known)| held(known) > 0);
            match oldest {
                Some((oldest, known)) if *oldest != slot => known.sets.clear(),
                _ => return false,
            }
        }
        let known = self.slots.get_mut(&slot).unwrap();
        let versions = known.sets.entry(number).or_default();
        versions.push((link.root, link.chained_root));
        known.set_count += 1;
        true
    }

    fn block(&mut self, end: &BlockEnd, events: &mut Vec<ForkEvent>) {
        let (slot, id, parent_slot) = (end.slot, end.last_root, end.parent_slot);
        let key = BlockKey { slot, id };
        let moved = |known: &&Known| known.new_parent != Some(parent_slot);
        let known = self.slots.get(&slot.0).filter(moved);
        let first = known.and_then(|known| known.parts(id).last().copied());
        let parent_id = first
            .filter(|(number, ..)| *number == 0)
            .map(|(.., chained)| chained);
        let Some(known) = self.open(slot.0) else {
            self.counters.block_unplaced += 1;
            return;
        };
        if known.blocks.iter().any(|known| known.id == id) {
            return;
        }
        if known.blocks.len() == BLOCKS_PER_SLOT {
            self.counters.block_unplaced += 1;
            return;
        }
        let is_rival = |other: &BlockKey, known: &Block| {
            let parents = (known.parent_id, parent_id);
            let same_id = matches!(parents, (Some(one), Some(other)) if one == other);
            let unknown = parents.0.is_none() || parents.1.is_none();
            other.slot == slot || known.parent_slot == parent_slot && (same_id || unknown)
        };
        let rival = self
            .all_blocks()
            .find(|(other, known)| is_rival(other, known));
        let rival = rival.map(|(first, _)| first);
        self.slots.get_mut(&slot.0).unwrap().blocks.push(Block {
            id,
            parent_slot,
            parent_id,
            hinted: false,
        });
        self.counters.block_linked += 1;
        self.newest = match self.newest {
            Some(newest) if newest.slot >= slot => Some(newest),
            _ => Some(key),
        };
        events.push(ForkEvent::Block {
            block: key,
            parent_slot,
            parent_id,
        });
        if let Some(first) = rival {
            self.counters.fork_seen += 1;
            events.push(ForkEvent::Fork { first, second: key });
        }
        for over in slot.0.saturating_sub(self.span - 1)..slot.0 {
            if over <= parent_slot.0 {
                continue;
            }
            let Some(known) = self.open(over) else {
                continue;
            };
            let had = known.had();
            if std::mem::replace(&mut known.skipped, true) {
                continue;
            }
            match had {
                Had::Nothing => self.counters.slot_skipped += 1,
                Had::Shreds => self.counters.slot_abandoned += 1,
                Had::Block => self.counters.slot_orphaned += 1,
            }
            events.push(ForkEvent::Skipped {
                slot: Slot(over),
                had,
                by: key,
            });
        }
    }

    fn retract(&mut self, retract: &Retract, events: &mut Vec<ForkEvent>) {
        let (slot, before) = (retract.slot, retract.before);
        let Some(known) = self.open(slot.0) else {
            return;
        };
        match retract.reason {
            RetractReason::UpdateParent { parent_slot } => {
                known.new_parent = Some(parent_slot);
                self.counters.parent_updated += 1;
                events.push(ForkEvent::ParentUpdated {
                    slot,
                    parent_slot,
                    before,
                });
            }
            RetractReason::Abandoned if known.aborted => {}
            RetractReason::Abandoned => {
                known.aborted = true;
                self.counters.slot_aborted += 1;
                events.push(ForkEvent::Aborted { slot });
            }
        }
    }

    fn note_hint(&mut self, slot: u64, id: Option<Root>) {
        let Some(id) = id.or_else(|| self.only_block(slot)) else {
            return;
        };
        let known = self.slots.get_mut(&slot);
        let mut blocks = known.into_iter().flat_map(|known| &mut known.blocks);
        let Some(block) = blocks.find(|block| block.id == id) else {
            return;
        };
        block.hinted = true;
        let slot = Slot(slot);
        if self.hinted.is_none_or(|hinted| hinted.slot < slot) {
            self.hinted = Some(BlockKey { slot, id });
        }
    }

    /// In order of slots, and of coming.
    fn all_blocks(&self) -> impl Iterator<Item = (BlockKey, &Block)> {
        self.slots.iter().flat_map(|(slot, known)| {
            let slot = Slot(*slot);
            let blocks = known.blocks.iter();
            blocks.map(move |block| (BlockKey { slot, id: block.id }, block))
        })
    }

    fn find(&self, key: BlockKey) -> Option<&Block> {
        let mut blocks = self.slots.get(&key.slot.0)?.blocks.iter();
        blocks.find(|block| block.id == key.id)
    }

    fn only_block(&self, slot: u64) -> Option<Root> {
        match self.slots.get(&slot)?.blocks[..] {
            [only] => Some(only.id),
            _ => None,
        }
    }

    fn block_of(&self, slot: u64, root: Root) -> Belongs {
        let Some(known) = self.slots.get(&slot) else {
            return Belongs::Unknown;
        };
        let holds = |block: &&Block| known.parts(block.id).iter().any(|part| part.1 == root);
        let holders: Vec<&Block> = known.blocks.iter().filter(holds).collect();
        let key = |block: &Block| BlockKey {
            slot: Slot(slot),
            id: block.id,
        };
        match holders[..] {
            [only] => Belongs::To(key(only)),
            [first, ..] => Belongs::Shared(key(first)),
            [] if known.number_of(root).is_some() => Belongs::Open,
            [] => Belongs::Unknown,
        }
    }

    fn parent_root(&self, slot: u64) -> Option<Root> {
        let versions = self.slots.get(&slot)?.sets.get(&0)?;
        versions.last().map(|(_, chained)| *chained)
    }

    fn parent_of(&self, key: BlockKey) -> Option<(Slot, Option<Root>)> {
        let block = self.find(key)?;
        let only = || self.only_block(block.parent_slot.0);
        Some((block.parent_slot, block.parent_id.or_else(only)))
    }

    fn is_ancestor(&self, ancestor: BlockKey, block: BlockKey) -> Ancestry {
        if block.slot <= ancestor.slot {
            return match block == ancestor {
                true => Ancestry::Yes,
                false => Ancestry::No,
            };
        }
        match self.parent_of(block) {
            // Past it.
            Some((slot, _)) if slot < ancestor.slot => Ancestry::No,
            Some((slot, Some(id))) if slot < block.slot => {
                self.is_ancestor(ancestor, BlockKey { slot, id })
            }
            _ => Ancestry::Unknown,
        }
    }

    fn status(&self, slot: u64) -> SlotStatus {
        let Some(known) = self.slots.get(&slot) else {
            return SlotStatus::Unknown;
        };
        match (known.skipped, known.had(), known.aborted) {
            (true, had, _) => SlotStatus::Skipped(had),
            (false, Had::Block, _) => SlotStatus::Whole,
            (false, _, true) => SlotStatus::Aborted,
            _ => SlotStatus::Open,
        }
    }

    fn heaviest(&self) -> Option<BlockKey> {
        let Some(hinted) = self.hinted.filter(|hinted| self.find(*hinted).is_some()) else {
            return self.newest;
        };
        let all = self.all_blocks().map(|(key, _)| key);
        all.filter(|key| self.is_ancestor(hinted, *key) == Ancestry::Yes)
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what the cases are there for does happen in them.
    #[test]
    fn cases_cover_every_count() {
        let mut sums = ForkCounters::default().named();
        for case in 0..200 {
            let counted = forks(&mut Dice::of_case(1, case)).named();
            for (sum, (_, count)) in sums.iter_mut().zip(counted) {
                sum.1 += count;
            }
        }
        for (name, count) in sums {
            assert!(count > 0, "never met: {name}");
        }
    }
}
