//! Reads an entry batch out of payload bytes as they become contiguous, one item at a time.
//!
//! A scan belongs to one version of one FEC set. It begins where its predecessor in the chain of Merkle roots
//! left off, or fresh where the predecessor's last data shred ended a batch, and never reads a byte twice but
//! for the unfinished item that crosses a break in contiguity.

use crate::slab::{CARRY_LEN, Slab};
use shred_wire::FecSetIndex;
use shred_wire::batch::{BATCH_HEAD_LEN, ENTRY_HEAD_LEN, EntryHead, Marker, MarkerStep};
use shred_wire::shred::SET_SHREDS;
use shred_wire::txn::{ScanStep, TxnScan};

/// Receives what a scan reads.
pub(crate) trait ScanSink {
    /// A whole transaction, as `scan` has measured it, whose first byte lies in `origin`.
    fn transaction(&mut self, bytes: &[u8], scan: &TxnScan, origin: FecSetIndex);
    /// An entry's head.
    fn entry(&mut self, head: &EntryHead<'_>);
    /// A block marker.
    fn marker(&mut self, marker: &Marker<'_>);
    /// The batch ended.
    fn batch_end(&mut self, end: BatchEnd);
}

/// How a batch ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BatchEnd {
    /// All it announced was there.
    Whole,
    /// Eight zero bytes, or too few bytes to be a batch: the leader gave the block up.
    Empty,
    /// It ended inside an item, or held bytes that are none.
    Malformed,
}

/// What stands next in the batch.
#[derive(Clone, Copy)]
enum Item {
    BatchHead,
    EntryHead,
    Transaction(TxnScan),
    Marker,
    /// Nothing more counts until the batch ends.
    Rest(BatchEnd),
}

/// Whether a scan may run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Where the batch stands at the set's first byte is not known yet.
    Waiting,
    /// Reading.
    Active,
    /// All 32 data shreds were read.
    Done,
}

/// Where reading stands in one version of one set.
#[derive(Clone, Copy)]
pub(crate) struct Scan {
    phase: Phase,
    /// The set's first byte begins a batch.
    begins_batch: bool,
    /// Data shred that is read next.
    place: u8,
    item: Item,
    /// Set that holds the item's first byte.
    origin: FecSetIndex,
    /// Where the item begins in the area, if nothing of it is carried.
    item_at: u32,
    /// Bytes of the item that were carried over a break.
    carried: u32,
    entries_left: u64,
    txns_left: u64,
    /// Payload bytes of the batch in shreds that were read.
    batch_len: u64,
}

impl Scan {
    /// A scan that waits for its predecessor.
    pub(crate) const fn waiting() -> Self {
        Self {
            phase: Phase::Waiting,
            begins_batch: false,
            place: 0,
            item: Item::BatchHead,
            origin: FecSetIndex(0),
            item_at: 0,
            carried: 0,
            entries_left: 0,
            txns_left: 0,
            batch_len: 0,
        }
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether the set's first byte begins a batch; `false` while that is not known.
    pub(crate) const fn begins_batch(&self) -> bool {
        self.begins_batch
    }

    /// Begins at a batch's first byte.
    pub(crate) fn start_fresh(&mut self, set: FecSetIndex) {
        *self = Self {
            phase: Phase::Active,
            begins_batch: true,
            origin: set,
            ..Self::waiting()
        };
    }

    /// Begins where `before`, which is done, left off. Its carried bytes are to be copied along:
    /// [`Scan::carried_len`] of them.
    pub(crate) fn continue_from(&mut self, before: &Scan, set: FecSetIndex) {
        debug_assert!(before.phase == Phase::Done);
        let origin = if before.carried == 0 {
            set
        } else {
            before.origin
        };
        *self = Self {
            phase: Phase::Active,
            begins_batch: false,
            place: 0,
            item_at: 0,
            origin,
            ..*before
        };
    }

    pub(crate) const fn carried_len(&self) -> usize {
        self.carried as usize
    }

    /// Reads as far as the data shreds in `have` reach without a gap.
    ///
    /// Cost: each byte is looked at once, or copied once where contiguity breaks; no allocation.
    pub(crate) fn run(
        &mut self,
        slab: &mut Slab,
        have: u32,
        capacity: usize,
        set: FecSetIndex,
        out: &mut impl ScanSink,
    ) {
        if self.phase != Phase::Active {
            return;
        }
        while usize::from(self.place) < SET_SHREDS && have >> self.place & 1 == 1 {
            let place = usize::from(self.place);
            let head = slab.head(place);
            let (len, data_complete) = (head.payload_len().min(capacity), head.data_complete());
            let start = place * capacity;
            self.read_shred(slab, start, start + len, set, out);
            self.batch_len += len as u64;
            self.place += 1;
            if data_complete {
                self.end_batch(set, out);
            } else if len < capacity || usize::from(self.place) == SET_SHREDS {
                self.break_contiguity(slab, start + len, start + capacity);
            }
        }
        if usize::from(self.place) == SET_SHREDS {
            self.phase = Phase::Done;
        }
    }

    /// Reads the items that `start..end` of the area completes.
    fn read_shred(
        &mut self,
        slab: &mut Slab,
        start: usize,
        end: usize,
        set: FecSetIndex,
        out: &mut impl ScanSink,
    ) {
        if matches!(self.item, Item::Rest(_)) {
            return;
        }
        if self.carried > 0 {
            let carried = self.carried as usize;
            let taken = (end - start).min(CARRY_LEN - carried);
            slab.carry[carried..carried + taken].copy_from_slice(&slab.area[start..start + taken]);
            let Some(len) = self.read_item(&slab.carry[..carried + taken], out) else {
                if !matches!(self.item, Item::Rest(_)) {
                    self.carried += taken as u32;
                    if self.carried as usize == CARRY_LEN {
                        self.give_up();
                    }
                }
                return;
            };
            self.carried = 0;
            self.origin = set;
            // What was carried did not hold the whole item, so it ends behind the carried bytes.
            self.item_at = (start + len.saturating_sub(carried)) as u32;
        }
        while let Some(rest) = slab.area.get(self.item_at as usize..end)
            && let Some(len) = self.read_item(rest, out)
        {
            self.item_at += len as u32;
            self.origin = set;
        }
    }

    /// Reads one item from its first byte; its length when it is whole.
    fn read_item(&mut self, bytes: &[u8], out: &mut impl ScanSink) -> Option<usize> {
        match &mut self.item {
            Item::BatchHead => {
                let entries = u64::from_le_bytes(*bytes.first_chunk::<BATCH_HEAD_LEN>()?);
                self.entries_left = entries;
                if entries == 0 {
                    // A marker's layout begins with the same eight zero bytes.
                    self.item = Item::Marker;
                    return self.read_item(bytes, out);
                }
                self.item = Item::EntryHead;
                Some(BATCH_HEAD_LEN)
            }
            Item::EntryHead => {
                let head = EntryHead::parse(bytes)?;
                out.entry(&head);
                self.txns_left = head.txn_count();
                self.after_transactions();
                Some(ENTRY_HEAD_LEN)
            }
            Item::Transaction(scan) => match scan.advance(bytes) {
                Ok(ScanStep::NeedMore) => None,
                Ok(ScanStep::Done { len }) => {
                    out.transaction(bytes.get(..len)?, scan, self.origin);
                    self.txns_left -= 1;
                    self.after_transactions();
                    Some(len)
                }
                Err(_) => self.give_up(),
            },
            Item::Marker => match Marker::parse(bytes) {
                Ok(MarkerStep::NeedMore { .. }) => None,
                Ok(MarkerStep::Done { marker, len }) => {
                    out.marker(&marker);
                    self.item = Item::Rest(BatchEnd::Whole);
                    Some(len)
                }
                Err(_) => self.give_up(),
            },
            Item::Rest(_) => None,
        }
    }

    /// Chooses the next item when an entry or one of its transactions has been read.
    fn after_transactions(&mut self) {
        self.item = if self.txns_left > 0 {
            Item::Transaction(TxnScan::default())
        } else {
            self.entries_left -= 1;
            if self.entries_left > 0 {
                Item::EntryHead
            } else {
                Item::Rest(BatchEnd::Whole)
            }
        };
    }

    /// Nothing after this point can be read until the next batch.
    fn give_up(&mut self) -> Option<usize> {
        self.item = Item::Rest(BatchEnd::Malformed);
        self.carried = 0;
        None
    }

    fn end_batch(&mut self, set: FecSetIndex, out: &mut impl ScanSink) {
        let end = match self.item {
            Item::Rest(end) => end,
            Item::Marker | Item::BatchHead if self.batch_len <= BATCH_HEAD_LEN as u64 => {
                BatchEnd::Empty
            }
            _ => BatchEnd::Malformed,
        };
        out.batch_end(end);
        // A batch ends with its set, so the next one begins in the successor.
        *self = Self {
            place: self.place,
            phase: self.phase,
            begins_batch: self.begins_batch,
            origin: set,
            ..Self::waiting()
        };
    }

    /// Carries what was read of the unfinished item over the gap between `end` and `next`.
    fn break_contiguity(&mut self, slab: &mut Slab, end: usize, next: usize) {
        if self.carried > 0 {
            return;
        }
        if !matches!(self.item, Item::Rest(_)) {
            let item_at = self.item_at as usize;
            let len = end.saturating_sub(item_at);
            if len > CARRY_LEN {
                self.give_up();
            } else {
                slab.carry[..len].copy_from_slice(&slab.area[item_at..item_at + len]);
                self.carried = len as u32;
            }
        }
        self.item_at = next as u32;
    }
}
