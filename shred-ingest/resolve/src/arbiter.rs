//! The race between sources: who brings each shred first, how late the others are, and who has gone silent.
//!
//! An [`Arbiter`] is told every datagram after the resolver has judged it. What the resolver used, has already or
//! needs no more counts as a shred, and only that takes room; anything else is counted against its source and
//! forgotten. A shred that is not needed any more was not hashed: whoever has a set's signature can invent those, so
//! they are counted apart as `spare` and prove nothing about a source. Where signatures are checked elsewhere, a shred
//! counts before the answer has come.
//!
//! Time is the datagram's stamp. The order in which sources are drained says little about who was first, so a shred
//! that reaches the core later with an earlier stamp takes the first place from the one that had it.

mod lateness;
mod leader_table;
mod silence;

pub use lateness::{LATENESS_BUCKETS, LATENESS_OCTAVES, Lateness};
pub use leader_table::{LEADERS_KEPT, LeaderShare};

use crate::leader::{Leader, Leaders};
use crate::plan::Plan;
use crate::reject::Reject;
use crate::slot_clock::SlotClock;
use leader_table::{LeaderTable, LeaderTicket};
use shred_wire::shred::{SET_SHREDS, ShredKind, ShredLimits, ShredView};
use shred_wire::{Nanos, Slot, SourceId};
use silence::Silence;

#[cfg(test)]
mod tests;

/// Most sources that are told apart.
pub const SOURCES_MAX: usize = 32;
/// Slots whose beginnings are remembered.
pub const BEGINNINGS_KEPT: usize = 32;

/// Most sets that [`ArbiterPlan::beside`] asks for: 34 MB, room for 512 sets in each of 64 slots.
const SETS_MAX: usize = 32_768;

/// No cell of a set.
const NO_CELL: u8 = u8::MAX;
/// No set.
const NONE: u32 = u32::MAX;

/// What an [`Arbiter`] is built from.
#[derive(Clone, Debug)]
pub struct ArbiterPlan {
    /// Sources told apart, 1 to [`SOURCES_MAX`]. Datagrams of others are counted and ignored.
    pub sources: usize,
    /// The cluster's limits, as the resolver has them.
    pub limits: ShredLimits,
    /// Slots remembered at once; rounded up to a power of two. To be no fewer than the resolver's window.
    pub slots: usize,
    /// Sets remembered at once, 1,040 B each. When all are in use the lowest slot is settled early.
    pub sets_max: usize,
    /// How long a slot is taken to last until the stream has shown it.
    pub slot_duration: Nanos,
}

impl ArbiterPlan {
    /// Room for everything that a resolver built from `plan` has room for, within 34 MB. 400 ms is mainnet's slot time.
    #[must_use]
    pub fn beside(plan: &Plan, sources: usize) -> Self {
        Self {
            sources,
            limits: plan.limits,
            slots: (plan.slots_behind + plan.slots_ahead + 1) as usize,
            sets_max: plan.versions_max.min(SETS_MAX),
            slot_duration: Nanos(400_000_000),
        }
    }

    /// Bytes that are taken: 17 MB for 16,384 sets, some 13 kB for each source, and the ring of slots.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        let sets_per_slot = (self.limits.shreds_per_slot_max as usize).div_ceil(SET_SHREDS);
        let slot = size_of::<SlotRow>() + sets_per_slot * size_of::<u32>();
        let source = size_of::<SourceTally>() + leader_table::BYTES_PER_SOURCE;
        (self.sets_max * (size_of::<Set>() + size_of::<u32>())
            + self.slots.next_power_of_two() * slot
            + self.sources * source) as u64
    }
}

/// What one source has brought. All numbers are cumulative.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceTally {
    /// Datagrams of any kind.
    pub datagram: u64,
    /// Datagrams that are shreds which the resolver used, had, or needed no more.
    pub shred: u64,
    /// Shreds that it brought before all others. Only grows; see [`SourceTally::won`].
    pub first: u64,
    /// Of these, how many another source turned out to have received earlier, by the stamps.
    pub overtaken: u64,
    /// Of the first ones, how many came when their set was whole already.
    pub spare: u64,
    /// Shreds that nobody else had brought by the time their slot was forgotten.
    pub unique: u64,
    /// Shreds that it had brought before itself.
    pub repeated: u64,
    /// Sets that a shred of this source made whole or recoverable. Only grows; see [`SourceTally::sets`].
    pub completed: u64,
    /// Of these, how many another source turned out to have made so earlier, by the stamps.
    pub completed_overtaken: u64,
    /// Times it was found to have gone silent.
    pub died: u64,
    /// Stamp of its newest shred.
    pub last_at: u64,
    /// Datagrams that were refused, by [`Reject::index`].
    pub refused: [u64; Reject::COUNT],
    /// How much later than the first it brought what it did not bring first.
    pub late: Lateness,
    /// It has brought nothing for two slots, and others have.
    pub dead: bool,
}

const NUMBERS: usize = 11;

impl Default for SourceTally {
    fn default() -> Self {
        Self {
            datagram: 0,
            shred: 0,
            first: 0,
            overtaken: 0,
            spare: 0,
            unique: 0,
            repeated: 0,
            completed: 0,
            completed_overtaken: 0,
            died: 0,
            last_at: 0,
            refused: [0; Reject::COUNT],
            late: Lateness::default(),
            dead: false,
        }
    }
}

impl SourceTally {
    /// Shreds that it brought first, as far as is known by now.
    #[must_use]
    pub const fn won(&self) -> u64 {
        self.first.saturating_sub(self.overtaken)
    }

    /// Sets that it completed, as far as is known by now.
    #[must_use]
    pub const fn sets(&self) -> u64 {
        self.completed.saturating_sub(self.completed_overtaken)
    }

    /// Datagrams that were refused.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// The plain numbers with their names. All but `last_at`, which is the last, are counters.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); NUMBERS] {
        [
            ("datagram", self.datagram),
            ("shred", self.shred),
            ("first", self.first),
            ("overtaken", self.overtaken),
            ("spare", self.spare),
            ("unique", self.unique),
            ("repeated", self.repeated),
            ("completed", self.completed),
            ("completed_overtaken", self.completed_overtaken),
            ("died", self.died),
            ("last_at", self.last_at),
        ]
    }

    /// The same numbers, to be written: what [`SourceTally::named`] gave, in its order.
    pub const fn numbers_mut(&mut self) -> [&mut u64; NUMBERS] {
        [
            &mut self.datagram,
            &mut self.shred,
            &mut self.first,
            &mut self.overtaken,
            &mut self.spare,
            &mut self.unique,
            &mut self.repeated,
            &mut self.completed,
            &mut self.completed_overtaken,
            &mut self.died,
            &mut self.last_at,
        ]
    }
}

/// When the first shred of a slot arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Beginning {
    /// The slot.
    pub slot: Slot,
    /// Stamp of the shred that reached the core first.
    pub at: Nanos,
    /// Who brought it.
    pub source: SourceId,
}

/// Who has brought a shred.
#[derive(Clone, Copy)]
struct Cell {
    /// The earliest stamp.
    at: Nanos,
    /// A bit for every source that has brought it.
    brought: u32,
    /// Whose stamp that is.
    first: u8,
}

const NOT_BROUGHT: Cell = Cell {
    at: Nanos(0),
    brought: 0,
    first: 0,
};

/// The shreds of a set, data before code.
struct Set {
    cells: [Cell; 2 * SET_SHREDS],
    /// Different shreds brought so far.
    count: u8,
    /// Cell of the shred with which there were enough of them.
    completing: u8,
}

/// One place of the ring of slots.
struct SlotRow {
    slot: Slot,
    open: bool,
    leader: Option<LeaderTicket>,
    /// By number of the set.
    sets: Box<[u32]>,
    /// One past the highest set that has room.
    sets_end: usize,
    /// By source: shreds that it alone has brought so far.
    sole: [u32; SOURCES_MAX],
}

/// Counts who brings what first. Fixed memory, taken and touched at construction; no I/O and no clock.
pub struct Arbiter {
    limits: ShredLimits,
    tallies: Box<[SourceTally]>,
    ring: Box<[SlotRow]>,
    sets: Box<[Set]>,
    free: Vec<u32>,
    leaders: LeaderTable,
    clock: SlotClock,
    /// Until the clock has learned.
    slot_duration: Nanos,
    silence: Silence,
    beginnings: [Beginning; BEGINNINGS_KEPT],
    begun: u64,
    untracked: u64,
    unplanned: u64,
}

impl Arbiter {
    /// Takes and touches all the memory that [`ArbiterPlan::bytes`] states.
    #[must_use]
    pub fn new(plan: &ArbiterPlan) -> Self {
        let sources = plan.sources.clamp(1, SOURCES_MAX);
        let sets_per_slot = (plan.limits.shreds_per_slot_max as usize).div_ceil(SET_SHREDS);
        let row = || SlotRow {
            slot: Slot(0),
            open: false,
            leader: None,
            sets: vec![NONE; sets_per_slot].into_boxed_slice(),
            sets_end: 0,
            sole: [0; SOURCES_MAX],
        };
        let set = || Set {
            cells: [NOT_BROUGHT; 2 * SET_SHREDS],
            count: 0,
            completing: NO_CELL,
        };
        Self {
            limits: plan.limits,
            tallies: vec![SourceTally::default(); sources].into_boxed_slice(),
            ring: (0..plan.slots.next_power_of_two()).map(|_| row()).collect(),
            sets: (0..plan.sets_max).map(|_| set()).collect(),
            free: (0..plan.sets_max as u32).rev().collect(),
            leaders: LeaderTable::new(sources),
            clock: SlotClock::new(),
            slot_duration: plan.slot_duration,
            silence: Silence::new(sources),
            beginnings: [Beginning::default(); BEGINNINGS_KEPT],
            begun: 0,
            untracked: 0,
            unplanned: 0,
        }
    }

    /// What every source has brought, by number.
    #[must_use]
    pub fn sources(&self) -> &[SourceTally] {
        &self.tallies
    }

    /// The share of every source in the slots of the leader at `place`, which is below [`LEADERS_KEPT`]; `None` while
    /// nobody is there.
    #[must_use]
    pub fn leader(&self, place: usize) -> Option<LeaderShare<'_>> {
        self.leaders.share(place)
    }

    /// How long a slot lasts, by the first arrivals of successive slots.
    #[must_use]
    pub const fn slot_duration(&self) -> Nanos {
        match self.clock.slot_len() {
            Some(learned) => learned,
            None => self.slot_duration,
        }
    }

    /// Slots begun so far. The last [`BEGINNINGS_KEPT`] of them are at hand.
    #[must_use]
    pub const fn begun(&self) -> u64 {
        self.begun
    }

    /// The beginning that was the `number`th; meaningless when it is not at hand.
    #[must_use]
    pub const fn beginning(&self, number: u64) -> Beginning {
        self.beginnings[number as usize % BEGINNINGS_KEPT]
    }

    /// Shreds that there was no room to tell apart.
    #[must_use]
    pub const fn untracked(&self) -> u64 {
        self.untracked
    }

    /// Datagrams of sources that were not planned for.
    #[must_use]
    pub const fn unplanned(&self) -> u64 {
        self.unplanned
    }

    /// Takes note of a datagram from `source`, stamped `at`, of which the resolver said `outcome`.
    ///
    /// Cost: a refused one moves two counters; a shred reads its header and touches one cell of the table, one or two
    /// counters and a bucket. The first of a slot also looks up its leader and
    /// settles the slot whose place it takes.
    #[inline]
    pub fn note(
        &mut self,
        datagram: &[u8],
        source: SourceId,
        at: Nanos,
        outcome: Result<(), Reject>,
        leaders: &impl Leaders,
    ) {
        let who = usize::from(source.0);
        let Some(tally) = self.tallies.get_mut(who) else {
            self.unplanned += 1;
            return;
        };
        tally.datagram += 1;
        let needed = match outcome {
            Ok(()) => true,
            Err(Reject::Duplicate | Reject::Surplus) => false,
            Err(reason) => {
                tally.refused[reason.index()] += 1;
                return;
            }
        };
        let Ok(shred) = ShredView::parse(datagram, &self.limits) else {
            // It was none when the resolver saw it either, or the limits differ.
            self.untracked += 1;
            return;
        };
        tally.shred += 1;
        tally.last_at = at.0;
        tally.dead = false;
        let row = self.row(shred.slot(), source, at, leaders);
        match self.set(row, shred.fec_set_index().0 as usize / SET_SHREDS) {
            Some(set) => self.place(row, set, cell_of(&shred), (who, at), needed),
            None => self.untracked += 1,
        }
        let slot_duration = self.slot_duration();
        self.silence
            .listen(who, at, slot_duration, &mut self.tallies);
    }

    /// Counts what nobody but one source has brought of all the slots that are remembered, and forgets them.
    pub fn settle_all(&mut self) {
        (0..self.ring.len()).for_each(|row| self.settle(row));
    }

    /// Notes that shred `cell` of `set` was brought.
    #[inline]
    fn place(
        &mut self,
        row: usize,
        set: u32,
        cell: usize,
        (who, at): (usize, Nanos),
        needed: bool,
    ) {
        let (row, set) = (&mut self.ring[row], &mut self.sets[set as usize]);
        let number = cell as u8;
        let cell = &mut set.cells[cell];
        let tally = &mut self.tallies[who];
        let bit = 1 << who;
        if cell.brought & bit != 0 {
            tally.repeated += 1;
            return;
        }
        let before = cell.brought;
        cell.brought |= bit;
        if before == 0 {
            (cell.at, cell.first) = (at, who as u8);
            row.sole[who] += 1;
            tally.first += 1;
            tally.spare += u64::from(!needed);
            set.count += 1;
            if usize::from(set.count) == SET_SHREDS {
                set.completing = number;
                tally.completed += 1;
            }
            self.leaders.first(row.leader, who);
            return;
        }
        if before.is_power_of_two() {
            row.sole[before.trailing_zeros() as usize] -= 1;
        }
        if at >= cell.at {
            let late = at.since(cell.at);
            tally.late.record(late);
            self.leaders.late(row.leader, who, late);
            return;
        }
        let completed = u64::from(set.completing == number);
        tally.first += 1;
        tally.completed += completed;
        let (loser, late) = (usize::from(cell.first), cell.at.since(at));
        (cell.at, cell.first) = (at, who as u8);
        let tally = &mut self.tallies[loser];
        tally.overtaken += 1;
        tally.completed_overtaken += completed;
        tally.late.record(late);
        self.leaders.first(row.leader, who);
        self.leaders.overtaken(row.leader, loser, late);
    }

    /// The place of `slot` in the ring, opened if need be.
    #[inline]
    fn row(&mut self, slot: Slot, source: SourceId, at: Nanos, leaders: &impl Leaders) -> usize {
        let place = slot.0 as usize & (self.ring.len() - 1);
        let row = &self.ring[place];
        if !row.open || row.slot != slot {
            self.begin(place, slot, source, at, leaders.leader(slot));
        }
        place
    }

    /// Opens `slot`. Whatever had its place has left the resolver's window, since that is no wider than the ring.
    #[cold]
    fn begin(&mut self, place: usize, slot: Slot, source: SourceId, at: Nanos, leader: Leader) {
        self.settle(place);
        let row = &mut self.ring[place];
        row.slot = slot;
        row.open = true;
        row.leader = match leader {
            Leader::Identity(identity) => Some(self.leaders.enter(&identity)),
            Leader::Unnamed | Leader::NoSource => None,
        };
        self.clock.note(slot, at);
        self.beginnings[self.begun as usize % BEGINNINGS_KEPT] = Beginning { slot, at, source };
        self.begun += 1;
    }

    /// The set with `number` of a row. `None`: there is no room for it.
    #[inline]
    fn set(&mut self, row: usize, number: usize) -> Option<u32> {
        match self.ring[row].sets.get(number) {
            Some(&NONE) => self.open_set(row, number),
            Some(&set) => Some(set),
            None => None,
        }
    }

    #[cold]
    fn open_set(&mut self, row: usize, number: usize) -> Option<u32> {
        if self.free.is_empty() {
            let slot = self.ring[row].slot;
            let lowest = (0..self.ring.len())
                .filter(|other| self.ring[*other].sets_end > 0 && self.ring[*other].slot < slot)
                .min_by_key(|other| self.ring[*other].slot)?;
            self.settle(lowest);
        }
        let id = self.free.pop()?;
        let set = &mut self.sets[id as usize];
        set.cells.fill(NOT_BROUGHT);
        set.count = 0;
        set.completing = NO_CELL;
        let row = &mut self.ring[row];
        row.sets[number] = id;
        row.sets_end = row.sets_end.max(number + 1);
        Some(id)
    }

    /// Counts what only one source has brought of a row's slot, and forgets the slot.
    fn settle(&mut self, row: usize) {
        let row = &mut self.ring[row];
        for (tally, sole) in self.tallies.iter_mut().zip(&mut row.sole) {
            tally.unique += u64::from(std::mem::take(sole));
        }
        for set in &mut row.sets[..row.sets_end] {
            let id = std::mem::replace(set, NONE);
            if id != NONE {
                // As many as were taken from it: there is room.
                self.free.push(id);
            }
        }
        row.sets_end = 0;
        row.open = false;
    }
}

#[inline]
fn cell_of(shred: &ShredView<'_>) -> usize {
    match shred.variant().kind {
        ShredKind::Data => shred.place(),
        ShredKind::Code => SET_SHREDS + shred.place(),
    }
}
