//! Ours and its rivals by turns.

use bench::row::{Entrant, NANOS, Row};
use hdrhistogram::Histogram;
use overmind::clock::Ticker;
use overmind::rungs::histogram;

use crate::Context;

/// Unit of what takes less than a few readings of the clock: the mean of a slice, in picoseconds.
pub(crate) const PICOS: &str = "ps";
/// Operations between two readings of the clock, where one alone is too short to be read.
pub(crate) const SLICE: usize = 16;

/// One turn: measures into the log.
pub(crate) type Turn<'a> = Box<dyn FnMut(&mut Histogram<u64>) + 'a>;

/// Who takes part, ours first.
pub(crate) struct Contest<'a> {
    name: String,
    unit: &'static str,
    contestants: Vec<(&'static str, Turn<'a>)>,
}

impl<'a> Contest<'a> {
    /// Latencies of single operations, nanoseconds.
    pub(crate) fn single(
        name: impl Into<String>,
        ours: impl FnMut(&mut Histogram<u64>) + 'a,
    ) -> Self {
        Self::of(name, NANOS, ours)
    }

    /// Means of slices, picoseconds.
    pub(crate) fn sliced(
        name: impl Into<String>,
        ours: impl FnMut(&mut Histogram<u64>) + 'a,
    ) -> Self {
        Self::of(name, PICOS, ours)
    }

    fn of(
        name: impl Into<String>,
        unit: &'static str,
        ours: impl FnMut(&mut Histogram<u64>) + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            unit,
            contestants: vec![("ours", Box::new(ours))],
        }
    }

    /// Against one more.
    pub(crate) fn against(
        mut self,
        rival: &'static str,
        turn: impl FnMut(&mut Histogram<u64>) + 'a,
    ) -> Self {
        self.contestants.push((rival, Box::new(turn)));
        self
    }

    /// Everybody's turn, again and again, in an order that rotates; the first round books nothing. One row for ours,
    /// with the ratios, and one for each rival.
    pub(crate) fn rows(self, context: &Context) -> Vec<Row> {
        let Self {
            name,
            unit,
            mut contestants,
        } = self;
        let count = contestants.len();
        let mut entrants = vec![Entrant::default(); count];
        for round in 0..=context.runs() {
            for turn in 0..count {
                let at = (turn + round) % count;
                let mut log = histogram();
                (contestants[at].1)(&mut log);
                if round > 0 {
                    entrants[at].book(&log);
                }
            }
        }
        let [ours, rivals @ ..] = entrants.as_slice() else {
            return Vec::new();
        };
        let names = contestants.iter().skip(1).map(|(rival, _)| *rival);
        let mut row = Row::of(name.clone(), unit, &ours.total);
        let mut rows = Vec::with_capacity(count);
        for (rival, entrant) in names.zip(rivals) {
            row = row.beside(rival, entrant.over(ours));
            rows.push(Row::of(format!("{name}.{rival}"), unit, &entrant.total));
        }
        rows.insert(0, row);
        rows
    }
}

/// Times one operation.
#[inline]
pub(crate) fn once(ticker: Ticker, log: &mut Histogram<u64>, operation: impl FnOnce()) {
    let start = ticker.nanos();
    operation();
    log.saturating_record(ticker.nanos().wrapping_sub(start));
}

/// Times each of `items` alone.
#[inline]
pub(crate) fn each<T>(
    ticker: Ticker,
    log: &mut Histogram<u64>,
    items: &[T],
    mut operation: impl FnMut(&T),
) {
    for item in items {
        once(ticker, log, || operation(item));
    }
}

/// Times `items` a slice at a time.
#[inline]
pub(crate) fn slices<T>(
    ticker: Ticker,
    log: &mut Histogram<u64>,
    items: &[T],
    mut operation: impl FnMut(&T),
) {
    for slice in items.chunks_exact(SLICE) {
        let start = ticker.nanos();
        slice.iter().for_each(&mut operation);
        let spent = ticker.nanos().wrapping_sub(start);
        log.saturating_record(spent * 1_000 / SLICE as u64);
    }
}
