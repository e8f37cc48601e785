//! Lookup tables for the core: a snapshot that somebody slower replaces.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::ArcSwap;
use market::LookupTables;

/// Snapshots kept after they were replaced: the core never drops the last hold on one, and so never frees.
const RETIRED_KEPT: usize = 4;

/// The lookup tables that are known. Readers load a pointer; one writer, [`TableWriter`], replaces the whole.
#[derive(Debug, Default)]
pub struct TableCell(ArcSwap<LookupTables>);

impl TableCell {
    /// Lets this thread read without allocating from now on: the first read of a thread takes its place in a list.
    pub fn warm(&self) {
        drop(self.0.load());
    }

    /// The tables, for as long as they are held.
    #[inline]
    #[must_use]
    pub fn load(&self) -> Arc<LookupTables> {
        self.0.load_full()
    }
}

/// The one who replaces the snapshot of a [`TableCell`].
#[derive(Debug)]
pub struct TableWriter {
    cell: Arc<TableCell>,
    retired: VecDeque<Arc<LookupTables>>,
}

impl TableWriter {
    /// A cell that knows `tables`, and its writer.
    #[must_use]
    pub fn new(tables: LookupTables) -> (Self, Arc<TableCell>) {
        let cell = Arc::new(TableCell(ArcSwap::from_pointee(tables)));
        let writer = Self {
            cell: Arc::clone(&cell),
            retired: VecDeque::with_capacity(RETIRED_KEPT + 1),
        };
        (writer, cell)
    }

    /// Replaces what is known. A reader that has begun finishes with what it has.
    pub fn publish(&mut self, tables: LookupTables) {
        self.retired.push_back(self.cell.0.swap(Arc::new(tables)));
        if self.retired.len() > RETIRED_KEPT {
            self.retired.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_what_it_began_with() {
        let (mut writer, cell) = TableWriter::new(LookupTables::none());
        let before = cell.load();
        let addresses = [[1; 32]];
        writer.publish(LookupTables::new([([7; 32], &addresses[..])]));
        assert!(before.is_empty());
        assert_eq!(cell.load().get(&[7; 32]), Some(&addresses[..]));
    }
}
