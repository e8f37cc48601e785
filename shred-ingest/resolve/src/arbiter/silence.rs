//! Sources that bring nothing while others do.

use super::SourceTally;
use shred_wire::Nanos;

/// Slots that a source may be silent for.
const SLOTS: u64 = 2;
/// Ticks that each source makes per slot, and the shortest time between two.
const TICKS_PER_SLOT: u64 = 16;
/// A stamp so far behind the newest of its own source means that that one was a mistake.
const STRAYED: u64 = 1_000_000_000;

/// What one source knows of the silence of another.
#[derive(Clone, Copy, Default)]
struct Heard {
    /// Shreds that the other had brought at the last tick.
    shreds: u64,
    /// Time that has passed since that number last moved.
    silent: u64,
}

/// Measures silences.
///
/// Each source's time is that of its own stamps, since two sources may be stamped by different clocks. It passes only
/// while that source brings shreds: silence on all lines is nobody's.
pub(super) struct Silence {
    ticked_at: Box<[Nanos]>,
    /// What each source knows of each.
    heard: Box<[Heard]>,
}

impl Silence {
    pub(super) fn new(sources: usize) -> Self {
        Self {
            ticked_at: vec![Nanos(0); sources].into_boxed_slice(),
            heard: vec![Heard::default(); sources * sources].into_boxed_slice(),
        }
    }

    /// Source `who` has brought a shred stamped `at`. Cost: a comparison, and some times per slot a pass over the
    /// sources.
    #[inline]
    pub(super) fn listen(
        &mut self,
        who: usize,
        at: Nanos,
        slot: Nanos,
        tallies: &mut [SourceTally],
    ) {
        let before = self.ticked_at[who];
        let passed = at.since(before).0;
        if passed >= slot.0 / TICKS_PER_SLOT || before.0.saturating_sub(at.0) > STRAYED {
            self.tick(who, at, passed, slot, tallies);
        }
    }

    #[cold]
    fn tick(
        &mut self,
        who: usize,
        at: Nanos,
        passed: u64,
        slot: Nanos,
        tallies: &mut [SourceTally],
    ) {
        self.ticked_at[who] = at;
        // A pause of its own is no time in which it brought shreds.
        let passed = passed.min(slot.0 / 4);
        let sources = tallies.len();
        let heard = &mut self.heard[who * sources..][..sources];
        for (other, (heard, tally)) in heard.iter_mut().zip(tallies).enumerate() {
            if other == who {
                continue;
            }
            if heard.shreds != tally.shred {
                *heard = Heard {
                    shreds: tally.shred,
                    silent: 0,
                };
                continue;
            }
            heard.silent = heard.silent.saturating_add(passed);
            if heard.silent >= SLOTS * slot.0 && !tally.dead {
                tally.dead = true;
                tally.died += 1;
            }
        }
    }
}
