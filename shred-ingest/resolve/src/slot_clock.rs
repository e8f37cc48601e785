//! How long the cluster's slots last, learned from when their first shreds came.

use shred_wire::{Nanos, Slot};

/// First arrivals that are looked at: the newest.
const ARRIVALS: usize = 64;
/// Estimates start when there are so many.
const ARRIVALS_MIN: usize = 8;
/// A gap of more slots than this starts it all over: the stream was interrupted, or another one began.
const GAP_MAX: u64 = 64;
/// Shortest slot that is believed; the fastest that SIMD-0525 names is 200 ms.
pub const SLOT_LEN_MIN: Nanos = Nanos(100_000_000);
/// Longest slot that is believed.
pub const SLOT_LEN_MAX: Nanos = Nanos(1_000_000_000);

/// The newest first arrivals, and the slot's length that they tell.
///
/// Each arrival is compared with the one half the memory before it, and the median of the quotients of time and slots
/// is taken: skipped slots count as the time they take, and a few early or late shreds move nothing.
#[derive(Clone, Debug)]
pub struct SlotClock {
    arrivals: [(Slot, Nanos); ARRIVALS],
    /// How many of them are there, up to all.
    held: usize,
    /// Where the next one goes.
    next: usize,
    slot_len: Option<Nanos>,
}

impl Default for SlotClock {
    fn default() -> Self {
        Self::new()
    }
}

impl SlotClock {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            arrivals: [(Slot(0), Nanos(0)); ARRIVALS],
            held: 0,
            next: 0,
            slot_len: None,
        }
    }

    /// Something authentic of `slot` came at `at`. Only the first of a slot higher than all before it says anything.
    ///
    /// Cost: a comparison; for a new slot a sort of 32 numbers.
    #[inline]
    pub fn note(&mut self, slot: Slot, at: Nanos) {
        match self.newest() {
            Some((newest, _)) if slot <= newest && newest.0 - slot.0 <= GAP_MAX => {}
            Some((newest, before)) if slot > newest && slot.0 - newest.0 <= GAP_MAX => {
                // Stamps of two sources may cross; a clock that was set back starts it over.
                if before.since(at) <= SLOT_LEN_MAX {
                    self.add(slot, at);
                } else {
                    self.restart(slot, at);
                }
            }
            _ => self.restart(slot, at),
        }
    }

    /// A slot's length within [`SLOT_LEN_MIN`] and [`SLOT_LEN_MAX`]; `None` before enough slots have come. An
    /// interruption does not take away what was learned before it.
    #[must_use]
    pub const fn slot_len(&self) -> Option<Nanos> {
        self.slot_len
    }

    fn newest(&self) -> Option<(Slot, Nanos)> {
        (self.held > 0).then(|| self.back(0))
    }

    /// The arrival `count` before the newest.
    fn back(&self, count: usize) -> (Slot, Nanos) {
        self.arrivals[(self.next + 2 * ARRIVALS - 1 - count) % ARRIVALS]
    }

    fn restart(&mut self, slot: Slot, at: Nanos) {
        self.held = 0;
        self.push(slot, at);
    }

    fn push(&mut self, slot: Slot, at: Nanos) {
        self.arrivals[self.next] = (slot, at);
        self.next = (self.next + 1) % ARRIVALS;
        self.held = (self.held + 1).min(ARRIVALS);
    }

    #[cold]
    fn add(&mut self, slot: Slot, at: Nanos) {
        self.push(slot, at);
        if self.held < ARRIVALS_MIN {
            return;
        }
        let half = self.held / 2;
        let mut lens = [0; ARRIVALS / 2];
        for (count, len) in lens[..half].iter_mut().enumerate() {
            let (later, earlier) = (self.back(count), self.back(count + half));
            // Slots only ever rise within the memory.
            *len = later.1.since(earlier.1).0 / (later.0.0 - earlier.0.0).max(1);
        }
        let (_, median, _) = lens[..half].select_nth_unstable(half / 2);
        self.slot_len = Some(Nanos(*median).clamp(SLOT_LEN_MIN, SLOT_LEN_MAX));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn learned(arrivals: impl IntoIterator<Item = (u64, u64)>) -> Option<u64> {
        let mut clock = SlotClock::new();
        for (slot, at_ms) in arrivals {
            clock.note(Slot(slot), Nanos(at_ms * MS));
        }
        clock.slot_len().map(|len| len.0 / MS)
    }

    #[test]
    fn learns_each_length_there_has_been() {
        for len in [400, 350, 300, 250, 200] {
            assert_eq!(
                learned((0..20).map(|n| (900 + n, 5_000 + n * len))),
                Some(len)
            );
        }
        assert_eq!(learned((0..7).map(|n| (n, n * 400))), None);
    }

    #[test]
    fn a_late_first_shred_does_not_start_it_over() {
        let late = |n: u64| if n % 7 == 3 { 205 } else { 0 };
        assert_eq!(learned((0..20).map(|n| (n, n * 200 + late(n)))), Some(200));
    }

    #[test]
    fn a_change_of_length_is_followed() {
        let before = (0..100).map(|n| (n, n * 400));
        let after = (0..64).map(|n| (100 + n, 40_000 + n * 300));
        assert_eq!(learned(before.chain(after)), Some(300));
    }

    #[test]
    fn is_bounded_whatever_the_stamps_say() {
        assert_eq!(learned((0..64).map(|n| (n, n))), Some(100));
        assert_eq!(learned((0..64).map(|n| (n, n * 60_000))), Some(1_000));
        assert_eq!(learned((0..64).map(|n| (n, 7))), Some(100));
    }

    #[test]
    fn an_interruption_is_not_a_long_slot() {
        let before = (0..64).map(|n| (n, n * 400));
        let after = (0..6).map(|n| (10_000 + n, 90_000_000 + n * 400));
        assert_eq!(learned(before.clone().chain(after)), Some(400));
        // A clock that was set back, and a stream that begins again far below.
        let back = (0..64).map(|n| (64 + n, n * 200));
        assert_eq!(learned(before.clone().chain(back)), Some(200));
        let below = (0..64).map(|n| (1_000 + n, n * 400));
        let again = (0..64).map(|n| (n, 100_000 + n * 300));
        assert_eq!(learned(below.chain(again)), Some(300));
    }

    proptest! {
        /// Goal: slots skipped at random, first shreds late by up to a slot now and then, and the shreds of older
        /// slots in between: within 5 %.
        #[test]
        fn skips_and_jitter_move_little(
            len in prop_oneof![Just(200u64), Just(300), Just(400)],
            slots in prop::collection::vec((0..100u32, 0..30u64, 0..100u32, 0..3u64), 96..200),
        ) {
            let mut clock = SlotClock::new();
            for (slot, (skip, jitter, late, back)) in (1_000u64..).zip(slots) {
                if skip < 10 {
                    continue;
                }
                let late = if late < 5 { len } else { 0 };
                let at = Nanos((slot * len + jitter + late) * MS);
                clock.note(Slot(slot), at);
                clock.note(Slot(slot - back), at);
            }
            let learned = clock.slot_len().unwrap().0;
            let off = learned.abs_diff(len * MS);
            prop_assert!(off * 20 <= len * MS, "{learned} of {}", len * MS);
        }

        #[test]
        fn total_on_any_stream(notes in prop::collection::vec((any::<u64>(), any::<u64>()), 0..300)) {
            let mut clock = SlotClock::new();
            for (slot, at) in notes {
                clock.note(Slot(slot), Nanos(at));
                if let Some(len) = clock.slot_len() {
                    prop_assert!((SLOT_LEN_MIN..=SLOT_LEN_MAX).contains(&len));
                }
            }
        }
    }
}
