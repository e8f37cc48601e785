//! State on every fork that is still possible: which slot builds on which, and what a thing's state was before each
//! block that moved it.

use shred_wire::Slot;

/// Slots whose parents are remembered; forks live for a few.
const SLOTS: usize = 256;

/// Which slot builds on which, as the leaders' own shreds say. Fixed size.
#[derive(Clone, Debug)]
pub struct Lineage {
    nodes: Box<[Node; SLOTS]>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    slot: Slot,
    parent: Slot,
    /// An UpdateParent said so, which outweighs what shreds said before.
    moved: bool,
}

impl Default for Lineage {
    fn default() -> Self {
        Self::new()
    }
}

impl Lineage {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        let unknown = Node {
            slot: Slot(u64::MAX),
            parent: Slot(0),
            moved: false,
        };
        Self {
            nodes: Box::new([unknown; SLOTS]),
        }
    }

    /// `slot` builds on `parent`. Of two answers for one slot the later stands, unless the block was moved.
    #[inline]
    pub fn note(&mut self, slot: Slot, parent: Slot) {
        let node = &mut self.nodes[place(slot)];
        if node.slot == slot && (node.moved || node.parent == parent) {
            return;
        }
        // A slot far behind must not push out one that matters.
        if node.slot != Slot(u64::MAX) && node.slot > slot {
            return;
        }
        *node = Node {
            slot,
            parent,
            moved: false,
        };
    }

    /// `slot` was moved onto `parent` (UpdateParent).
    pub fn move_onto(&mut self, slot: Slot, parent: Slot) {
        self.nodes[place(slot)] = Node {
            slot,
            parent,
            moved: true,
        };
    }

    /// The slot that `slot` builds on.
    #[inline]
    #[must_use]
    pub fn parent(&self, slot: Slot) -> Option<Slot> {
        let node = &self.nodes[place(slot)];
        (node.slot == slot && node.parent < slot).then_some(node.parent)
    }

    /// Whether the block of `slot` builds, over any number of blocks, on that of `ancestor`, or is it.
    ///
    /// Where a block in between was never seen the answer is yes: the chain is then taken for straight.
    /// Cost: a step for each block between them, at most 256.
    #[must_use]
    pub fn builds_on(&self, slot: Slot, ancestor: Slot) -> bool {
        let mut at = slot;
        for _ in 0..SLOTS {
            if at <= ancestor {
                return at == ancestor;
            }
            match self.parent(at) {
                Some(parent) => at = parent,
                None => return true,
            }
        }
        true
    }
}

#[inline]
const fn place(slot: Slot) -> usize {
    slot.0 as usize % SLOTS
}

/// A state that can be marked as not to be relied on.
pub trait Doubt {
    /// Marks it, unless a firmer reason forbids its use.
    fn doubt(&mut self);
}

/// What a thing's state was at the end of the last blocks before the one it stands at.
///
/// The state itself is kept by whoever owns this, with the slot of the block that last moved it. Blocks that are too
/// many give way from the oldest.
#[derive(Clone, Copy, Debug)]
pub struct Past<M, const N: usize> {
    /// Ascending by slot; the first `len` are used.
    blocks: [(Slot, M); N],
    len: u8,
}

/// How a block that moves a state comes after the one it stands at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entered<M> {
    /// It is the same one or builds on it: the state goes on.
    Onward,
    /// The state's block builds on it, so the change comes late: it belongs into the state, which stays where it is.
    Late,
    /// It is on another fork, whose state this is.
    Switched(M),
    /// It is on another fork, of which nothing is known any more.
    Lost,
}

/// What dropping a block did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dropped<M> {
    /// The state does not stand at that block; it stays.
    Elsewhere,
    /// The state before the block, and the slot it is from.
    Back(Slot, M),
    /// Nothing before the block is known.
    Nothing,
}

impl<M: Copy + Doubt, const N: usize> Past<M, N> {
    /// No past. `blank` only fills places that are not used.
    #[must_use]
    pub const fn new(blank: M) -> Self {
        Self {
            blocks: [(Slot(0), blank); N],
            len: 0,
        }
    }

    /// Goes from the block of slot `at`, where the state is `state`, to the block of `slot`, in which the state is
    /// about to change, and says what to go on from.
    ///
    /// Shreds of two blocks that follow each other interleave, so a change in the earlier one may come when the later one
    /// was entered already ([`Entered::Late`]). What is remembered of blocks from there on lacks it, and is marked.
    ///
    /// Cost: a comparison when both are the same, else a look at each block kept.
    #[inline]
    pub fn enter(&mut self, at: Slot, state: M, slot: Slot, lineage: &Lineage) -> Entered<M> {
        if at == slot {
            return Entered::Onward;
        }
        self.enter_other(at, state, slot, lineage)
    }

    fn enter_other(&mut self, at: Slot, state: M, slot: Slot, lineage: &Lineage) -> Entered<M> {
        if slot < at && lineage.builds_on(at, slot) {
            self.mark_late(slot, lineage);
            return Entered::Late;
        }
        // The block itself, when it was left for another fork's.
        let own = self.used().iter().find(|(past, _)| *past == slot);
        if let Some(&(_, resumed)) = own {
            self.forget(slot);
            self.keep(at, state);
            return Entered::Switched(resumed);
        }
        self.keep(at, state);
        let below = |(past, _): &&(Slot, M)| *past < slot && lineage.builds_on(slot, *past);
        match self.used().iter().rev().find(below) {
            None => Entered::Lost,
            Some((from, _)) if *from == at => Entered::Onward,
            Some((_, resumed)) => Entered::Switched(*resumed),
        }
    }

    /// The block of `slot` is void, while the state stands at the block of `at`.
    pub fn drop_block(&mut self, at: Slot, slot: Slot, lineage: &Lineage) -> Dropped<M> {
        self.forget(slot);
        if at != slot {
            return Dropped::Elsewhere;
        }
        let below = |(past, _): &(Slot, M)| *past < slot && lineage.builds_on(slot, *past);
        match self.used().iter().rposition(below) {
            None => Dropped::Nothing,
            Some(index) => {
                let (from, state) = self.blocks[index];
                self.forget(from);
                Dropped::Back(from, state)
            }
        }
    }

    /// A change that the blocks of `slot` and later lack; of the former there may have been nothing to remember.
    fn mark_late(&mut self, slot: Slot, lineage: &Lineage) {
        let below = |(past, _): &&(Slot, M)| *past <= slot && lineage.builds_on(slot, *past);
        if let Some(&(_, state)) = self.used().iter().rev().find(below) {
            self.keep(slot, state);
        }
        self.doubt_from(slot);
    }

    /// Marks what is remembered of the blocks of `slot` and later.
    pub fn doubt_from(&mut self, slot: Slot) {
        let used = &mut self.blocks[..usize::from(self.len)];
        let from = used.partition_point(|(past, _)| *past < slot);
        used[from..].iter_mut().for_each(|(_, state)| state.doubt());
    }

    /// The state at each block that is remembered.
    pub fn states_mut(&mut self) -> impl Iterator<Item = &mut M> {
        let used = &mut self.blocks[..usize::from(self.len)];
        used.iter_mut().map(|(_, state)| state)
    }

    /// Forgets every block.
    pub const fn clear(&mut self) {
        self.len = 0;
    }

    fn used(&self) -> &[(Slot, M)] {
        &self.blocks[..usize::from(self.len)]
    }

    fn keep(&mut self, slot: Slot, state: M) {
        self.forget(slot);
        let mut len = usize::from(self.len);
        if len == N {
            self.blocks.copy_within(1.., 0);
            len -= 1;
        }
        let index = self.blocks[..len].partition_point(|(past, _)| *past < slot);
        self.blocks.copy_within(index..len, index + 1);
        self.blocks[index] = (slot, state);
        self.len = len as u8 + 1;
    }

    fn forget(&mut self, slot: Slot) {
        let len = usize::from(self.len);
        if let Some(index) = self.used().iter().position(|(past, _)| *past == slot) {
            self.blocks.copy_within(index + 1..len, index);
            self.len -= 1;
        }
    }
}

/// Outcome of offering account data to a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Corrected {
    /// Older than what was taken before.
    Stale,
    /// What it is of was not known.
    New,
    /// It says what was reckoned, now or a few trades ago.
    Agreed,
    /// It says something else, and was taken over.
    Diverged,
    /// What it is of was known to be behind or doubtful, and is so no longer; nothing had been claimed that could be wrong.
    Behind,
    /// Older than what was taken before but for the configuration it depends on, which alone was taken over.
    Terms,
    /// Every place is held.
    Refused,
}

/// States that are held against account data, which lags behind the shreds.
const RECKONED: usize = 64;

/// The last states that trades in shreds led to, so that account data which says one of them is recognised.
#[derive(Clone, Copy, Debug)]
pub struct Reckoned {
    states: [(Slot, u64); RECKONED],
    at: u8,
}

impl Default for Reckoned {
    fn default() -> Self {
        Self::new()
    }
}

impl Reckoned {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            states: [(Slot(u64::MAX), 0); RECKONED],
            at: 0,
        }
    }

    /// A trade in the block of `slot` led to the state of that fingerprint.
    #[inline]
    pub const fn note(&mut self, slot: Slot, fingerprint: u64) {
        self.states[self.at as usize % RECKONED] = (slot, fingerprint);
        self.at = self.at.wrapping_add(1);
    }

    /// Whether an account of that state can have been read in the block of `slot`: one of the last few trades in it led
    /// there, or the last one in a block that it builds on. Who reads an account learns when he read it, not when it
    /// was written.
    #[must_use]
    pub fn holds(&self, slot: Slot, fingerprint: u64, lineage: &Lineage) -> bool {
        let newest_first = (1..=RECKONED).map(|back| {
            let index = usize::from(self.at).wrapping_sub(back) % RECKONED;
            self.states[index]
        });
        let not_later = newest_first.filter(|(at, _)| *at <= slot);
        let on_its_way = not_later.filter(|(at, _)| lineage.builds_on(slot, *at));
        for (at, state) in on_its_way {
            if state == fingerprint {
                return true;
            }
            if at < slot {
                return false;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBTED: u32 = 1_000_000;

    impl Doubt for u32 {
        fn doubt(&mut self) {
            *self += DOUBTED;
        }
    }

    fn straight(parents: &[(u64, u64)]) -> Lineage {
        let mut lineage = Lineage::new();
        for (slot, parent) in parents {
            lineage.note(Slot(*slot), Slot(*parent));
        }
        lineage
    }

    #[test]
    fn a_fork_builds_on_its_own_blocks() {
        let mut lineage = straight(&[(11, 10), (12, 11), (13, 11), (14, 13)]);
        let builds_on =
            |lineage: &Lineage, slot, ancestor| lineage.builds_on(Slot(slot), Slot(ancestor));
        assert!(builds_on(&lineage, 14, 11) && builds_on(&lineage, 14, 14));
        assert!(!builds_on(&lineage, 14, 12) && !builds_on(&lineage, 12, 13));
        assert!(
            builds_on(&lineage, 14, 5),
            "never seen, so taken for straight"
        );
        lineage.move_onto(Slot(14), Slot(12));
        lineage.note(Slot(14), Slot(13));
        assert!(builds_on(&lineage, 14, 12) && !builds_on(&lineage, 14, 13));
        lineage.note(Slot(15), Slot(15));
        assert_eq!(lineage.parent(Slot(15)), None, "no block builds on itself");
        lineage.note(Slot(14 + SLOTS as u64), Slot(13 + SLOTS as u64));
        lineage.note(Slot(14), Slot(3));
        assert_eq!(
            lineage.parent(Slot(14)),
            None,
            "too old to push out a newer"
        );
    }

    #[test]
    fn each_fork_goes_on_from_its_own_state() {
        let lineage = straight(&[(11, 10), (12, 11), (13, 11), (14, 13), (15, 12)]);
        let mut past = Past::<u32, 4>::new(0);
        // 10 left the state at 100; each block adds its own number.
        let (mut at, mut state) = (Slot(10), 100);
        let mut block = |past: &mut Past<u32, 4>, slot: u64| {
            if let Entered::Switched(other) = past.enter(at, state, Slot(slot), &lineage) {
                state = other;
            }
            (at, state) = (Slot(slot), state + slot as u32);
            state
        };
        assert_eq!(block(&mut past, 11), 111);
        assert_eq!(block(&mut past, 12), 123);
        assert_eq!(block(&mut past, 13), 124, "on 11, not on 12");
        assert_eq!(block(&mut past, 12), 135, "12 again, where it was left");
        assert_eq!(block(&mut past, 14), 138, "on 13");
        assert_eq!(block(&mut past, 15), 150, "on 12 as it was left last");
        assert_eq!(
            past.drop_block(Slot(15), Slot(15), &lineage),
            Dropped::Back(Slot(12), 135)
        );
    }

    #[test]
    fn what_a_void_block_moved_goes_back() {
        let lineage = straight(&[(11, 10), (12, 11)]);
        let mut past = Past::<u32, 2>::new(0);
        let onward = Entered::Onward;
        assert_eq!(past.enter(Slot(10), 1, Slot(11), &lineage), onward);
        assert_eq!(past.enter(Slot(11), 2, Slot(12), &lineage), onward);
        assert_eq!(
            past.drop_block(Slot(12), Slot(9), &lineage),
            Dropped::Elsewhere
        );
        assert_eq!(
            past.drop_block(Slot(12), Slot(11), &lineage),
            Dropped::Elsewhere
        );
        assert_eq!(
            past.drop_block(Slot(12), Slot(12), &lineage),
            Dropped::Back(Slot(10), 1)
        );
        assert_eq!(
            past.drop_block(Slot(10), Slot(10), &lineage),
            Dropped::Nothing
        );
    }

    #[test]
    fn a_change_of_an_earlier_block_of_the_same_fork_is_late_and_takes_no_state_back() {
        let lineage = straight(&[(11, 10), (12, 11), (13, 10)]);
        let mut past = Past::<u32, 4>::new(0);
        past.enter(Slot(10), 1, Slot(11), &lineage);
        past.enter(Slot(11), 2, Slot(12), &lineage);
        assert_eq!(
            past.enter(Slot(12), 3, Slot(11), &lineage),
            Entered::Late,
            "its parent's shreds come after its own"
        );
        // What 11 left lacks it, what 10 left does not.
        assert_eq!(
            past.drop_block(Slot(12), Slot(12), &lineage),
            Dropped::Back(Slot(11), DOUBTED + 2)
        );
        assert_eq!(
            past.drop_block(Slot(11), Slot(11), &lineage),
            Dropped::Back(Slot(10), 1)
        );
    }

    #[test]
    fn an_account_may_be_read_in_a_block_that_does_not_write_it() {
        let lineage = straight(&[(11, 10), (12, 11), (13, 10), (14, 12)]);
        let mut reckoned = Reckoned::new();
        assert!(!reckoned.holds(Slot(10), 0, &lineage), "nothing is known");
        for (slot, state) in [(10, 1), (11, 2), (11, 3), (13, 4), (14, 5)] {
            reckoned.note(Slot(slot), state);
        }
        let holds = |slot, state| reckoned.holds(Slot(slot), state, &lineage);
        assert!(holds(11, 2) && holds(11, 3), "while and after 11");
        assert!(holds(11, 1), "in 11, before its first trade");
        assert!(holds(12, 3) && !holds(12, 2), "12 begins as 11 ended");
        assert!(!holds(12, 1), "two blocks ago");
        assert!(holds(13, 4) && holds(13, 1) && !holds(13, 3), "13 is on 10");
        assert!(!holds(12, 5), "later");
        for state in 100..100 + RECKONED as u64 {
            reckoned.note(Slot(14), state);
        }
        assert!(!reckoned.holds(Slot(14), 5, &lineage), "too long ago");
    }

    #[test]
    fn a_fork_of_which_nothing_is_known_is_not_taken_for_another() {
        let lineage = straight(&[(12, 10), (13, 11)]);
        let mut past = Past::<u32, 4>::new(0);
        // The state is of 12, by account data; 13 builds on 11.
        assert_eq!(past.enter(Slot(12), 7, Slot(13), &lineage), Entered::Lost);
    }
}
