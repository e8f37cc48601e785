//! What travels from the core to the submit thread: signed bytes and what is needed to account for them.

use core::mem::MaybeUninit;

use market::Lamports;
use shred_wire::txn::{LEGACY_AND_V0_LEN_MAX, SIGNATURE_LEN};
use shred_wire::{Nanos, Slot};
use strategy::LaneClass;

/// Most transactions in a bundle. Source: Jito documentation; jito-solana `derive_bundle_id` callers.
pub const TRANSACTION_COUNT_MAX: usize = 5;
/// Bytes one cell can hold: five full v0 transactions, or one full v1 and one more full v0.
///
/// Five full v1 transactions would take 20 KiB a cell and 1.3 MB a ring of 64; nothing here builds them.
/// The bound is what a ring of cells takes; a copy takes what is in use.
pub const BUNDLE_LEN_MAX: usize = TRANSACTION_COUNT_MAX * LEGACY_AND_V0_LEN_MAX;

/// One bundle: up to five signed transactions, packed, and their bookkeeping. Fixed size, plain data, no
/// pointers; travels through a ring. Cloning copies the bytes in use and leaves the rest alone:
/// [`Clone::clone_from`] into a ring's slot touches few of its cold cache lines.
///
/// Stamps are the caller's: this crate knows no clock.
#[repr(C, align(64))]
pub struct BundleCell {
    /// Intent the first transaction serves.
    pub intent_id: u64,
    /// Stamp of the datagram that led to the intent.
    pub trigger_at: Nanos,
    /// When the bytes were complete; set by the caller after a build.
    pub built_at: Nanos,
    /// Slot of the event that led to the intent.
    pub slot: Slot,
    /// Slot whose block gave the oldest blockhash: the bytes die some 150 blocks after it.
    pub blockhash_slot: Slot,
    /// What the transactions together pay for their place, as tip or as priority fee beyond the configured one.
    pub tip: Lamports,
    /// First signature of the first transaction: the id under which the stream will show it.
    pub signature: [u8; SIGNATURE_LEN],
    /// Where the bytes may go.
    pub lane: LaneClass,
    count: u8,
    intent_ids: [u64; TRANSACTION_COUNT_MAX],
    ends: [u16; TRANSACTION_COUNT_MAX],
    signatures_at: [u16; TRANSACTION_COUNT_MAX],
    messages: [(u16, u16); TRANSACTION_COUNT_MAX],
    /// Written up to the end of the last transaction at least; the rest is never read.
    bytes: [MaybeUninit<u8>; BUNDLE_LEN_MAX],
}

/// The cell has no room for another transaction of that length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CellFull;

impl BundleCell {
    /// An empty cell.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            intent_id: 0,
            trigger_at: Nanos(0),
            built_at: Nanos(0),
            slot: Slot(0),
            blockhash_slot: Slot(0),
            tip: Lamports(0),
            signature: [0; SIGNATURE_LEN],
            lane: LaneClass::PrivateBundle,
            count: 0,
            intent_ids: [0; TRANSACTION_COUNT_MAX],
            ends: [0; TRANSACTION_COUNT_MAX],
            signatures_at: [0; TRANSACTION_COUNT_MAX],
            messages: [(0, 0); TRANSACTION_COUNT_MAX],
            bytes: [MaybeUninit::uninit(); BUNDLE_LEN_MAX],
        }
    }

    /// Forgets the transactions. Their bytes stay until they are overwritten, out of reach.
    #[inline]
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Number of transactions.
    #[inline]
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    /// The signed bytes of transaction `index`, as they go on the wire.
    #[inline]
    #[must_use]
    pub fn transaction(&self, index: usize) -> Option<&[u8]> {
        let (start, end) = self.bounds(index)?;
        let bytes = self.bytes.get(start..end)?;
        // SAFETY: `push` had every byte up to an end written before it set that end, `clone_from` copies all bytes
        // up to the last end with the ends, and nothing else sets one or takes a byte back.
        Some(unsafe { bytes.assume_init_ref() })
    }

    /// All transactions, in order.
    pub fn transactions(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count()).filter_map(|index| self.transaction(index))
    }

    /// The part of transaction `index` that is signed: deterministic, and what replays compare.
    #[inline]
    #[must_use]
    pub fn message(&self, index: usize) -> Option<&[u8]> {
        let (start, end) = self.messages.get(index)?;
        self.transaction(index)?
            .get(usize::from(*start)..usize::from(*end))
    }

    /// First signature of transaction `index`. A bundle's id is the SHA-256, in hexadecimal, of these in
    /// base58 joined by commas (jito-solana `derive_bundle_id`).
    #[inline]
    #[must_use]
    pub fn signature(&self, index: usize) -> Option<&[u8; SIGNATURE_LEN]> {
        let at = usize::from(*self.signatures_at.get(index)?);
        self.transaction(index)?.get(at..)?.first_chunk()
    }

    /// The intent that transaction `index` serves.
    #[inline]
    #[must_use]
    pub fn intent_id_of(&self, index: usize) -> Option<u64> {
        (index < self.count()).then(|| self.intent_ids[index])
    }

    /// Appends a transaction of `len` bytes that `write` fills in; on its error nothing is appended.
    ///
    /// `signature_at` and `message` are offsets in the transaction.
    ///
    /// # Errors
    /// [`CellFull`] converted to `E`, or what `write` returned.
    #[inline]
    pub(crate) fn push<E: From<CellFull>>(
        &mut self,
        intent_id: u64,
        len: usize,
        signature_at: usize,
        message: core::ops::Range<usize>,
        write: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let index = self.count();
        if index == TRANSACTION_COUNT_MAX {
            return Err(CellFull.into());
        }
        let start = self.start(index);
        let bytes = self.bytes.get_mut(start..start + len).ok_or(CellFull)?;
        bytes.fill(MaybeUninit::new(0));
        // SAFETY: all of it was just written.
        write(unsafe { bytes.assume_init_mut() })?;
        self.intent_ids[index] = intent_id;
        // Offsets fit: BUNDLE_LEN_MAX is far below 65,536.
        self.ends[index] = (start + len) as u16;
        self.signatures_at[index] = signature_at as u16;
        self.messages[index] = (message.start as u16, message.end as u16);
        self.count += 1;
        Ok(())
    }

    /// Takes the last transaction off again when an earlier one has its message: the runtime executes a message once,
    /// whatever it is signed with, and the bundle would fail. Returns whether it did.
    #[inline]
    pub(crate) fn pop_repeated(&mut self) -> bool {
        let Some(last) = self.count().checked_sub(1) else {
            return false;
        };
        let repeated = (0..last).any(|index| self.message(index) == self.message(last));
        if repeated {
            self.count -= 1;
        }
        repeated
    }

    /// Takes the first transaction's signature as the bundle's.
    #[inline]
    pub(crate) fn set_id(&mut self) {
        if let Some(signature) = self.signature(0) {
            self.signature = *signature;
        }
    }

    fn start(&self, index: usize) -> usize {
        index
            .checked_sub(1)
            .map_or(0, |previous| usize::from(self.ends[previous]))
    }

    fn bounds(&self, index: usize) -> Option<(usize, usize)> {
        (index < self.count()).then(|| (self.start(index), usize::from(self.ends[index])))
    }
}

const _: () = assert!(BUNDLE_LEN_MAX <= u16::MAX as usize);

impl Clone for BundleCell {
    fn clone(&self) -> Self {
        let mut clone = Self::new();
        clone.clone_from(self);
        clone
    }

    #[inline]
    fn clone_from(&mut self, source: &Self) {
        let Self {
            intent_id,
            trigger_at,
            built_at,
            slot,
            blockhash_slot,
            tip,
            signature,
            lane,
            count,
            intent_ids,
            ends,
            signatures_at,
            messages,
            bytes,
        } = source;
        self.intent_id = *intent_id;
        self.trigger_at = *trigger_at;
        self.built_at = *built_at;
        self.slot = *slot;
        self.blockhash_slot = *blockhash_slot;
        self.tip = *tip;
        self.signature = *signature;
        self.lane = *lane;
        self.count = *count;
        self.intent_ids = *intent_ids;
        self.ends = *ends;
        self.signatures_at = *signatures_at;
        self.messages = *messages;
        let used = ..source.start(source.count());
        self.bytes[used].copy_from_slice(&bytes[used]);
    }
}

impl core::fmt::Debug for BundleCell {
    /// Shows no bytes: signed transactions are not for logs, and those of earlier bundles may still lie here.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BundleCell")
            .field("intent_id", &self.intent_id)
            .field("slot", &self.slot)
            .field("lane", &self.lane)
            .field("tip", &self.tip)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Default for BundleCell {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn push(cell: &mut BundleCell, len: usize, fill: u8) -> Result<(), CellFull> {
        cell.push(u64::from(fill), len, 1, 2..len, |bytes| {
            bytes.fill(fill);
            Ok(())
        })
    }

    #[test]
    fn transactions_are_packed_in_order() {
        let mut cell = BundleCell::new();
        for fill in 1..=5 {
            push(&mut cell, 100 * usize::from(fill), fill).unwrap();
        }
        let read: Vec<_> = cell
            .transactions()
            .map(|bytes| (bytes.len(), bytes[0], bytes[bytes.len() - 1]))
            .collect();
        assert_eq!(
            read,
            [
                (100, 1, 1),
                (200, 2, 2),
                (300, 3, 3),
                (400, 4, 4),
                (500, 5, 5)
            ]
        );
        assert_eq!(cell.message(2).unwrap().len(), 298);
        assert_eq!(cell.signature(4), Some(&[5; 64]));
        assert_eq!(
            (cell.intent_id_of(1), cell.intent_id_of(5)),
            (Some(2), None)
        );
        assert_eq!(push(&mut cell, 1, 6), Err(CellFull), "a sixth");
        assert_eq!(cell.transaction(5), None);
        cell.clear();
        assert_eq!(
            (
                cell.count(),
                cell.transaction(0),
                cell.message(0),
                cell.signature(0)
            ),
            (0, None, None, None)
        );
    }

    #[test]
    fn a_message_that_is_there_already_is_taken_off_again() {
        let mut cell = BundleCell::new();
        push(&mut cell, 100, 1).unwrap();
        assert!(!cell.pop_repeated(), "alone");
        push(&mut cell, 100, 2).unwrap();
        assert!(!cell.pop_repeated());
        push(&mut cell, 100, 1).unwrap();
        assert!(cell.pop_repeated());
        assert_eq!((cell.count(), cell.transaction(2)), (2, None));
    }

    #[test]
    fn a_clone_holds_what_is_in_use_whatever_was_there_before() {
        let (mut longer, mut shorter) = (BundleCell::new(), BundleCell::new());
        for fill in 1..=3 {
            push(&mut longer, 1_000, fill).unwrap();
        }
        push(&mut shorter, 300, 9).unwrap();
        shorter.set_id();
        (shorter.intent_id, shorter.tip) = (7, Lamports(5));
        for mut slot in [longer.clone(), BundleCell::new()] {
            slot.clone_from(&shorter);
            assert_eq!(slot.transactions().collect::<Vec<_>>(), [[9; 300]]);
            assert_eq!((slot.intent_id, slot.tip), (7, Lamports(5)));
            assert_eq!(
                (slot.signature, slot.message(0)),
                ([9; 64], shorter.message(0))
            );
            push(&mut slot, 20, 4).unwrap();
            assert_eq!(slot.transaction(1).unwrap(), [4; 20]);
        }
        assert_eq!(longer.clone().transaction(2).unwrap(), [3; 1_000]);
    }

    #[test]
    fn a_cell_does_not_print_its_transactions() {
        let mut cell = BundleCell::new();
        push(&mut cell, 100, 231).unwrap();
        cell.set_id();
        let shown = format!("{cell:?}");
        assert!(!shown.contains("231"), "{shown}");
    }

    #[test]
    fn what_does_not_fit_leaves_the_cell_as_it_was() {
        let mut cell = BundleCell::new();
        push(&mut cell, 4_096, 1).unwrap();
        push(&mut cell, 1_232, 2).unwrap();
        assert_eq!(push(&mut cell, 1_232, 3), Err(CellFull));
        assert_eq!(cell.count(), 2);
        assert_eq!(cell.transaction(1).unwrap(), [2; 1_232]);
    }
}
