//! Venue terms for the core: a snapshot that somebody slower replaces.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use market::VenueTerms;

/// Snapshots kept after they were replaced: the core never drops the last hold on one, and so never frees.
const RETIRED_KEPT: usize = 4;

/// The terms of the venues as account data has them, once it has said so. One writer, [`TermsWriter`]; the core asks
/// [`TermsReader`] whether there are new ones.
#[derive(Debug, Default)]
pub struct TermsCell {
    terms: ArcSwapOption<VenueTerms>,
    /// Counts replacements; changes after the terms did.
    version: AtomicU64,
}

/// The one who replaces the snapshot of a [`TermsCell`].
#[derive(Debug)]
pub struct TermsWriter {
    cell: Arc<TermsCell>,
    retired: VecDeque<Arc<VenueTerms>>,
}

impl TermsWriter {
    /// A cell that knows nothing yet, and its writer.
    #[must_use]
    pub fn new() -> (Self, Arc<TermsCell>) {
        let cell = Arc::<TermsCell>::default();
        let writer = Self {
            cell: Arc::clone(&cell),
            retired: VecDeque::with_capacity(RETIRED_KEPT + 1),
        };
        (writer, cell)
    }

    /// Replaces what is known; whether that is anything new.
    pub fn publish(&mut self, terms: VenueTerms) -> bool {
        if self.cell.terms.load().as_deref() == Some(&terms) {
            return false;
        }
        self.retired
            .extend(self.cell.terms.swap(Some(Arc::new(terms))));
        if self.retired.len() > RETIRED_KEPT {
            self.retired.pop_front();
        }
        self.cell.version.fetch_add(1, Ordering::Release);
        true
    }
}

/// Tells of each change once.
#[derive(Debug)]
pub struct TermsReader {
    cell: Arc<TermsCell>,
    seen: u64,
}

impl TermsReader {
    /// Of `cell`, whose terms are new to it if there are any.
    #[must_use]
    pub const fn new(cell: Arc<TermsCell>) -> Self {
        Self { cell, seen: 0 }
    }

    /// Lets this thread read without allocating from now on: the first read of a thread takes its place in a list.
    pub fn warm(&self) {
        drop(self.cell.terms.load());
    }

    /// The terms, if they were replaced since the last call. Cost of a no: one load of a number that hardly ever changes.
    #[inline]
    #[must_use]
    pub fn changed(&mut self) -> Option<Arc<VenueTerms>> {
        let version = self.cell.version.load(Ordering::Acquire);
        if version == self.seen {
            return None;
        }
        self.seen = version;
        self.cell.terms.load_full()
    }
}

#[cfg(test)]
mod tests {
    use market::FeeSchedule;

    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let (mut writer, cell) = TermsWriter::new();
        let mut reader = TermsReader::new(cell);
        assert!(reader.changed().is_none());
        let mut terms = VenueTerms {
            pump: FeeSchedule::mainnet(),
            pump_amm: None,
        };
        assert!(writer.publish(terms));
        assert_eq!(reader.changed().as_deref(), Some(&terms));
        assert!(reader.changed().is_none());
        assert!(!writer.publish(terms), "the same is no change");
        assert!(reader.changed().is_none());
        terms.pump = FeeSchedule::new(&[market::FeeTier::default()], false).expect("one tier");
        assert!(writer.publish(terms));
        assert_eq!(reader.changed().as_deref(), Some(&terms));
    }
}
