//! The same race, by the leader whose shreds they are: who is near to whom.

use super::lateness::octave_of;
use shred_wire::Nanos;

/// Leaders that are remembered. The one whose last slot is the longest ago gives way.
pub const LEADERS_KEPT: usize = 64;
/// Memory for each source.
pub(super) const BYTES_PER_SOURCE: usize = LEADERS_KEPT * size_of::<Share>();

const OCTAVES: usize = 36;

/// What one source has brought of one leader.
#[derive(Clone, Copy)]
struct Share {
    first: u64,
    overtaken: u64,
    /// By power of two of nanoseconds.
    late: [u32; OCTAVES],
}

const NO_SHARE: Share = Share {
    first: 0,
    overtaken: 0,
    late: [0; OCTAVES],
};

#[derive(Clone, Copy)]
struct Row {
    identity: [u8; 32],
    /// Tells a leader from whoever had its place before.
    generation: u32,
    /// When its last slot began, in slots begun; 0 while nobody is here.
    used: u64,
    slots: u64,
}

/// A leader's place in the table.
#[derive(Clone, Copy)]
pub(super) struct LeaderTicket {
    row: u32,
    generation: u32,
}

pub(super) struct LeaderTable {
    sources: usize,
    rows: Box<[Row]>,
    /// By row, then by source.
    shares: Box<[Share]>,
    begun: u64,
}

/// What every source has brought of one leader.
#[derive(Clone, Copy)]
pub struct LeaderShare<'a> {
    row: &'a Row,
    shares: &'a [Share],
}

impl LeaderShare<'_> {
    /// The leader.
    #[must_use]
    pub const fn identity(&self) -> &[u8; 32] {
        &self.row.identity
    }

    /// Slots of it that were seen to begin.
    #[must_use]
    pub const fn slots(&self) -> u64 {
        self.row.slots
    }

    /// Shreds that `source` brought first.
    #[must_use]
    pub fn won(&self, source: usize) -> u64 {
        self.shares
            .get(source)
            .map_or(0, |share| share.first.saturating_sub(share.overtaken))
    }

    /// Shreds that `source` brought after another.
    #[must_use]
    pub fn late(&self, source: usize) -> u64 {
        self.shares
            .get(source)
            .map_or(0, |share| share.late.iter().copied().map(u64::from).sum())
    }

    /// The median of how late they were; an estimate between two powers of two. `None` when none was late. Cost: two
    /// passes over 36 numbers.
    #[must_use]
    pub fn median(&self, source: usize) -> Option<Nanos> {
        let share = self.shares.get(source)?;
        let wanted = self.late(source).div_ceil(2);
        let mut below = 0;
        for (octave, count) in share.late.iter().copied().map(u64::from).enumerate() {
            if count > 0 && below + count >= wanted {
                let low = if octave == 0 { 0 } else { 1 << (octave - 1) };
                let width = (1u64 << octave) - low;
                let part = u128::from(width) * u128::from(wanted - below) / u128::from(count);
                return Some(Nanos(low + part as u64));
            }
            below += count;
        }
        None
    }
}

impl LeaderTable {
    pub(super) fn new(sources: usize) -> Self {
        let row = Row {
            identity: [0; 32],
            generation: 0,
            used: 0,
            slots: 0,
        };
        Self {
            sources,
            rows: vec![row; LEADERS_KEPT].into_boxed_slice(),
            shares: vec![NO_SHARE; LEADERS_KEPT * sources].into_boxed_slice(),
            begun: 0,
        }
    }

    pub(super) fn share(&self, place: usize) -> Option<LeaderShare<'_>> {
        let row = self.rows.get(place).filter(|row| row.used > 0)?;
        let shares = &self.shares[place * self.sources..][..self.sources];
        Some(LeaderShare { row, shares })
    }

    /// A slot of `identity` begins. Cost: one pass over the table.
    pub(super) fn enter(&mut self, identity: &[u8; 32]) -> LeaderTicket {
        self.begun += 1;
        let known = self
            .rows
            .iter()
            .position(|row| row.used > 0 && row.identity == *identity);
        let place = known.unwrap_or_else(|| self.admit(identity));
        let row = &mut self.rows[place];
        row.used = self.begun;
        row.slots += 1;
        LeaderTicket {
            row: place as u32,
            generation: row.generation,
        }
    }

    /// Gives a leader the place of the one that has led the longest ago.
    fn admit(&mut self, identity: &[u8; 32]) -> usize {
        let oldest = (0..self.rows.len())
            .min_by_key(|place| self.rows[*place].used)
            .unwrap_or_default();
        let row = &mut self.rows[oldest];
        *row = Row {
            identity: *identity,
            generation: row.generation.wrapping_add(1),
            used: 0,
            slots: 0,
        };
        self.shares[oldest * self.sources..][..self.sources].fill(NO_SHARE);
        oldest
    }

    #[inline]
    fn of(&mut self, ticket: Option<LeaderTicket>, source: usize) -> Option<&mut Share> {
        let LeaderTicket { row, generation } = ticket?;
        let row = row as usize;
        (self.rows[row].generation == generation)
            .then(|| &mut self.shares[row * self.sources + source])
    }

    #[inline]
    pub(super) fn first(&mut self, ticket: Option<LeaderTicket>, source: usize) {
        if let Some(share) = self.of(ticket, source) {
            share.first += 1;
        }
    }

    #[inline]
    pub(super) fn late(&mut self, ticket: Option<LeaderTicket>, source: usize, late: Nanos) {
        if let Some(share) = self.of(ticket, source) {
            let count = &mut share.late[octave_of(late.0).min(OCTAVES - 1)];
            *count = count.saturating_add(1);
        }
    }

    #[inline]
    pub(super) fn overtaken(&mut self, ticket: Option<LeaderTicket>, source: usize, late: Nanos) {
        if let Some(share) = self.of(ticket, source) {
            share.overtaken += 1;
        }
        self.late(ticket, source, late);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_leader_that_led_the_longest_ago_gives_way() {
        let mut table = LeaderTable::new(2);
        let old = table.enter(&[200; 32]);
        let kept = table.enter(&[201; 32]);
        for leader in 0..LEADERS_KEPT as u8 - 2 {
            table.enter(&[leader; 32]);
        }
        table.enter(&[201; 32]);
        table.enter(&[202; 32]);
        table.first(Some(old), 0);
        table.first(Some(kept), 1);
        let all: Vec<_> = (0..LEADERS_KEPT)
            .filter_map(|place| table.share(place))
            .collect();
        let of = |leader: u8| all.iter().find(|share| *share.identity() == [leader; 32]);
        assert!(of(200).is_none());
        assert_eq!(of(202).unwrap().won(0), 0, "an old ticket counts nowhere");
        assert_eq!((of(201).unwrap().won(1), of(201).unwrap().slots()), (1, 2));
    }

    #[test]
    fn the_median_lies_within_its_power_of_two() {
        let mut table = LeaderTable::new(1);
        let ticket = Some(table.enter(&[1; 32]));
        assert_eq!(table.share(0).unwrap().median(0), None);
        for late in [10, 1_000, 1_010, 1_020, 1_000_000] {
            table.late(ticket, 0, Nanos(late));
        }
        let median = table.share(0).unwrap().median(0).unwrap().0;
        assert!((513..=1_024).contains(&median), "{median}");
        table.late(ticket, 0, Nanos(u64::MAX));
        assert_eq!(table.share(0).unwrap().late(0), 6);
    }
}
