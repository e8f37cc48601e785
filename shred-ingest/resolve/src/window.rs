//! The slots that are worked on, and the versions of their sets.

use crate::version::NONE;
use shred_wire::{Nanos, Slot};

/// Where a slot lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// It may be worked on.
    Inside,
    /// It may not, unless its shred is authentic: nothing beyond doubt has come for long enough, or ever.
    OnProof,
    /// It may not.
    Outside,
}

/// What is known of one slot.
pub(crate) struct SlotState {
    pub(crate) slot: Slot,
    pub(crate) open: bool,
    /// First version of each set.
    pub(crate) sets: Box<[u32]>,
    /// One past the highest set that has had a version.
    pub(crate) sets_end: usize,
    /// Versions of its sets.
    pub(crate) versions: usize,
    /// Of these, how many hold bytes that were not read to their end.
    pub(crate) unread: usize,
    /// Transactions in sets before this one are void.
    pub(crate) void_before: usize,
}

/// A ring of slots around the highest authenticated one.
pub(crate) struct Window {
    ring: Box<[SlotState]>,
    behind: u64,
    ahead: u64,
    resync_after: Nanos,
    highest: Option<Slot>,
    /// Slots below were given up to make room.
    floor: Slot,
    /// Something beyond doubt has come since the window was moved to where it is. Without leaders one corrupted
    /// shred can move it anywhere, and must not hold it there.
    settled: bool,
    last_authentic_at: Nanos,
}

impl Window {
    pub(crate) fn new(behind: u64, ahead: u64, resync_after: Nanos, sets_per_slot: usize) -> Self {
        let len = (behind + ahead + 1).next_power_of_two() as usize;
        let ring = (0..len)
            .map(|_| SlotState {
                slot: Slot(0),
                open: false,
                sets: vec![NONE; sets_per_slot].into_boxed_slice(),
                sets_end: 0,
                versions: 0,
                unread: 0,
                void_before: 0,
            })
            .collect();
        Self {
            ring,
            behind,
            ahead,
            resync_after,
            highest: None,
            floor: Slot(0),
            settled: false,
            last_authentic_at: Nanos(0),
        }
    }

    pub(crate) const fn highest(&self) -> Option<Slot> {
        self.highest
    }

    fn low_end(&self, highest: Slot) -> u64 {
        highest.0.saturating_sub(self.behind).max(self.floor.0)
    }

    #[inline]
    pub(crate) fn place(&self, slot: Slot, at: Nanos) -> Place {
        let Some(highest) = self.highest else {
            return Place::OnProof;
        };
        if slot.0 >= self.low_end(highest) && slot.0 <= highest.0.saturating_add(self.ahead) {
            Place::Inside
        } else if !self.settled || at.since(self.last_authentic_at) > self.resync_after {
            Place::OnProof
        } else {
            Place::Outside
        }
    }

    /// Notes that something beyond doubt, of an inside slot, arrived. The latest stamp counts, not the highest:
    /// one stamp from a clock gone wrong must not put off all moving after silence.
    pub(crate) fn note_authentic(&mut self, at: Nanos) {
        self.settled = true;
        self.last_authentic_at = at;
    }

    fn at(&self, slot: Slot) -> usize {
        slot.0 as usize & (self.ring.len() - 1)
    }

    /// The state of `slot`, if it is open.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<&SlotState> {
        let state = &self.ring[self.at(slot)];
        (state.open && state.slot == slot).then_some(state)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut SlotState> {
        let at = self.at(slot);
        let state = &mut self.ring[at];
        (state.open && state.slot == slot).then_some(state)
    }

    /// Opens an inside `slot`, or finds it open. Its place in the ring is free, since whatever left the window was
    /// closed by then.
    pub(crate) fn open(&mut self, slot: Slot) -> &mut SlotState {
        let at = self.at(slot);
        let state = &mut self.ring[at];
        debug_assert!(!state.open || state.slot == slot);
        if !state.open {
            state.open = true;
            state.slot = slot;
        }
        state
    }

    /// Raises the highest slot. The caller then closes what [`Window::leaving`] names.
    pub(crate) fn raise(&mut self, slot: Slot) {
        self.highest = Some(self.highest.map_or(slot, |highest| highest.max(slot)));
    }

    /// Moves the window to `slot`, wherever it was.
    pub(crate) fn anchor(&mut self, slot: Slot) {
        self.highest = Some(slot);
        self.floor = Slot(0);
        self.settled = false;
    }

    /// Gives up `slot` and all below it.
    pub(crate) fn raise_floor(&mut self, slot: Slot) {
        self.floor = self.floor.max(Slot(slot.0.saturating_add(1)));
    }

    /// An open slot that has left the window, if any. Cost: one pass over the ring.
    pub(crate) fn leaving(&self) -> Option<Slot> {
        let highest = self.highest?;
        let (low, high) = (self.low_end(highest), highest.0.saturating_add(self.ahead));
        self.ring
            .iter()
            .find(|state| state.open && !(low..=high).contains(&state.slot.0))
            .map(|state| state.slot)
    }

    /// The lowest open slot that satisfies `wanted`. Cost: one pass over the ring.
    pub(crate) fn lowest(&self, wanted: impl Fn(&SlotState) -> bool) -> Option<Slot> {
        self.ring
            .iter()
            .filter(|state| state.open && wanted(state))
            .map(|state| state.slot)
            .min()
    }
}

impl SlotState {
    /// Empties the slot; the caller has freed its versions.
    pub(crate) fn close(&mut self) {
        self.sets[..self.sets_end].fill(NONE);
        self.sets_end = 0;
        self.open = false;
        self.versions = 0;
        self.unread = 0;
        self.void_before = 0;
    }
}
