//! Entry batches out of the payloads of sets, and messages out of batches.

use std::collections::{BTreeMap, VecDeque};

use shred_resolve::{Root, SetPayload};
use shred_wire::Slot;
use shred_wire::batch::{BATCH_HEAD_LEN, ENTRY_HEAD_LEN, EntryHead, entry_count};
use shred_wire::txn::{ScanStep, TxnScan, V1_PREFIX};

/// Longest message that gRPC libraries take unless told otherwise (4 MiB in C++, Go, Java and tonic), less what the
/// message has beside the entries.
const MESSAGE_LEN_MAX: usize = (4 << 20) - 64;

/// What is done with v1 transactions (SIMD-0385).
///
/// Clients that decode with bincode 1 lose the whole batch on the first one; those that decode with wincode do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum V1Batches {
    /// Batches go out as the leader wrote them.
    #[default]
    Whole,
    /// They are left out, and their entries' transaction counts say so. What remains decodes everywhere, but does not
    /// hash to what the entries say.
    WithoutV1,
}

/// Sizes and rules of an [`Assembler`](crate::Assembler)'s batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntriesPlan {
    /// Longest `entries` of one message. A longer batch is split between entries.
    pub message_len_max: usize,
    /// Bytes of unfinished batches that are held; the oldest give way. A slot has at most 31 MB.
    pub held_len_max: usize,
    /// What is done with v1 transactions.
    pub v1: V1Batches,
}

impl Default for EntriesPlan {
    fn default() -> Self {
        Self {
            message_len_max: MESSAGE_LEN_MAX,
            held_len_max: 64 << 20,
            v1: V1Batches::default(),
        }
    }
}

/// What became of batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchTally {
    /// Batches sent.
    pub batch_sent: u64,
    /// Messages they went out in.
    pub message_sent: u64,
    /// Entries in them.
    pub entry_sent: u64,
    /// Transactions in these.
    pub transaction_sent: u64,
    /// v1 transactions met, sent or left out.
    pub v1_seen: u64,
    /// Batches without entries: block markers and aborts.
    pub marker_skipped: u64,
    /// Batches that hold bytes that are no entries.
    pub batch_malformed: u64,
    /// Batches of which a part had to make room before the rest came.
    pub batch_incomplete: u64,
    /// Entries longer than a message may be. Every client is told of them as of messages that it missed.
    pub entry_oversize: u64,
}

/// What goes to clients.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// One message's `entries`.
    Entries(&'a [u8]),
    /// Something that cannot be sent.
    Lost,
}

/// A set's payload that waits for the rest of its batch.
struct Held {
    chained_root: Root,
    begins_batch: bool,
    bytes: Vec<u8>,
}

/// Puts batches together.
pub(crate) struct Batches {
    plan: EntriesPlan,
    held: BTreeMap<(Slot, Root), Held>,
    /// Keys of `held` in the order they came.
    order: VecDeque<(Slot, Root)>,
    held_len: usize,
    batch: Vec<u8>,
    message: Message,
    tally: BatchTally,
}

impl Batches {
    pub(crate) fn new(plan: EntriesPlan) -> Self {
        Self {
            plan,
            held: BTreeMap::new(),
            order: VecDeque::new(),
            held_len: 0,
            batch: Vec::new(),
            message: Message::default(),
            tally: BatchTally::default(),
        }
    }

    pub(crate) fn tally(&self) -> &BatchTally {
        &self.tally
    }

    /// Takes what a set carries; hands on the batch that it ends, if it ends one.
    pub(crate) fn set(&mut self, set: &SetPayload<'_>, mut emit: impl FnMut(Piece<'_>)) {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let whole = if set.begins_batch {
            true
        } else {
            set.ends_batch && self.collect(set, &mut batch)
        };
        if set.ends_batch && whole {
            set.pieces()
                .for_each(|piece| batch.extend_from_slice(piece));
            self.send(&batch, &mut emit);
        } else if set.ends_batch {
            self.tally.batch_incomplete += 1;
        } else {
            self.hold(set);
        }
        self.batch = batch;
    }

    /// The batch's bytes before those of `set`; `false` when some are gone.
    fn collect(&self, set: &SetPayload<'_>, batch: &mut Vec<u8>) -> bool {
        let mut parts = Vec::new();
        let mut root = set.chained_root;
        loop {
            let Some(held) = self.held.get(&(set.slot, root)) else {
                return false;
            };
            parts.push(&held.bytes);
            if held.begins_batch {
                break;
            }
            root = held.chained_root;
        }
        for part in parts.into_iter().rev() {
            batch.extend_from_slice(part);
        }
        true
    }

    /// Keeps what a set carries. It stays when its batch has ended: another version of the next set may go on with it.
    fn hold(&mut self, set: &SetPayload<'_>) {
        let mut bytes = Vec::with_capacity(set.pieces().map(<[u8]>::len).sum());
        set.pieces()
            .for_each(|piece| bytes.extend_from_slice(piece));
        self.held_len += bytes.len();
        let key = (set.slot, set.root);
        let held = Held {
            chained_root: set.chained_root,
            begins_batch: set.begins_batch,
            bytes,
        };
        match self.held.insert(key, held) {
            Some(before) => self.held_len -= before.bytes.len(),
            None => self.order.push_back(key),
        }
        while self.held_len > self.plan.held_len_max
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(gone) = self.held.remove(&oldest) {
                self.held_len -= gone.bytes.len();
            }
        }
    }

    fn send(&mut self, batch: &[u8], emit: &mut impl FnMut(Piece<'_>)) {
        let Self {
            plan,
            message,
            tally,
            ..
        } = self;
        let Some(count) = entry_count(batch).filter(|count| *count > 0) else {
            tally.marker_skipped += 1;
            return;
        };
        let Some(read) = message.read(batch, count, plan.v1) else {
            tally.batch_malformed += 1;
            return;
        };
        tally.batch_sent += 1;
        tally.entry_sent += count;
        tally.transaction_sent += read.transactions;
        tally.v1_seen += read.v1;
        message.split(plan.message_len_max, |piece| {
            match piece {
                Piece::Entries(_) => tally.message_sent += 1,
                Piece::Lost => {
                    tally.entry_oversize += 1;
                    tally.entry_sent -= 1;
                }
            }
            emit(piece);
        });
    }
}

/// A batch's entries as they are sent, behind room for their count.
#[derive(Default)]
struct Message {
    bytes: Vec<u8>,
    /// Where each entry ends.
    ends: Vec<usize>,
}

/// What was read of a batch.
struct Read {
    /// Those that are sent.
    transactions: u64,
    v1: u64,
}

impl Message {
    /// Takes over the `count` entries of `batch`, and nothing that is behind them. `None` when they are not all there.
    fn read(&mut self, batch: &[u8], count: u64, v1: V1Batches) -> Option<Read> {
        let Self { bytes, ends } = self;
        bytes.clear();
        ends.clear();
        bytes.extend_from_slice(&[0; BATCH_HEAD_LEN]);
        let mut read = Read {
            transactions: 0,
            v1: 0,
        };
        let mut rest = batch.get(BATCH_HEAD_LEN..)?;
        for _ in 0..count {
            let head = EntryHead::parse(rest)?;
            let announced = head.txn_count();
            let count_at = bytes.len() + ENTRY_HEAD_LEN - size_of::<u64>();
            bytes.extend_from_slice(rest.get(..ENTRY_HEAD_LEN)?);
            rest = rest.get(ENTRY_HEAD_LEN..)?;
            let mut sent = 0u64;
            for _ in 0..announced {
                let len = match TxnScan::default().advance(rest) {
                    Ok(ScanStep::Done { len }) => len,
                    Ok(ScanStep::NeedMore) | Err(_) => return None,
                };
                let (transaction, behind) = rest.split_at_checked(len)?;
                rest = behind;
                let is_v1 = transaction.first() == Some(&V1_PREFIX);
                read.v1 += u64::from(is_v1);
                if is_v1 && v1 == V1Batches::WithoutV1 {
                    continue;
                }
                bytes.extend_from_slice(transaction);
                sent += 1;
            }
            read.transactions += sent;
            bytes
                .get_mut(count_at..count_at + size_of::<u64>())?
                .copy_from_slice(&sent.to_le_bytes());
            ends.push(bytes.len());
        }
        Some(read)
    }

    /// Hands on the entries in messages of at most `len_max` bytes.
    fn split(&mut self, len_max: usize, mut emit: impl FnMut(Piece<'_>)) {
        let mut first = 0;
        let mut start = BATCH_HEAD_LEN;
        while first < self.ends.len() {
            // The count's place is in front of the first entry: over the end of the message before.
            let from = start - BATCH_HEAD_LEN;
            let fitting = self.ends[first..]
                .iter()
                .take_while(|end| **end - from <= len_max)
                .count();
            if fitting == 0 {
                emit(Piece::Lost);
                start = self.ends[first];
                first += 1;
                continue;
            }
            let end = self.ends[first + fitting - 1];
            let count = (fitting as u64).to_le_bytes();
            self.bytes[from..start].copy_from_slice(&count);
            emit(Piece::Entries(&self.bytes[from..end]));
            first += fitting;
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A legacy transaction of one signature that is told apart by `id`.
    fn transaction(id: u8, data_len: u8) -> Vec<u8> {
        let mut bytes = vec![1];
        bytes.extend([id; 64]);
        bytes.extend([1, 0, 1, 2]);
        bytes.extend([[1; 32], [2; 32], [9; 32]].concat());
        bytes.extend([1, 1, 0, data_len]);
        bytes.extend(vec![id; usize::from(data_len)]);
        bytes
    }

    /// A v1 transaction of one signature.
    fn v1(id: u8) -> Vec<u8> {
        let mut bytes = vec![V1_PREFIX, 1, 0, 1, 0, 0, 0, 0];
        bytes.extend([9; 32]);
        bytes.extend([1, 2]);
        bytes.extend([[1; 32], [2; 32]].concat());
        bytes.extend([1, 0, 3, 0, id, id, id]);
        bytes.extend([id; 64]);
        bytes
    }

    fn entry(id: u8, transactions: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = 7u64.to_le_bytes().to_vec();
        bytes.extend([id; 32]);
        bytes.extend((transactions.len() as u64).to_le_bytes());
        bytes.extend(transactions.concat());
        bytes
    }

    fn batch(entries: &[Vec<u8>]) -> Vec<u8> {
        [&(entries.len() as u64).to_le_bytes()[..], &entries.concat()].concat()
    }

    fn sent(plan: EntriesPlan, bytes: &[u8]) -> (Vec<Option<Vec<u8>>>, BatchTally) {
        let mut batches = Batches::new(plan);
        let mut out = Vec::new();
        batches.send(bytes, &mut |piece| {
            out.push(match piece {
                Piece::Entries(bytes) => Some(bytes.to_vec()),
                Piece::Lost => None,
            });
        });
        (out, *batches.tally())
    }

    #[test]
    fn what_trails_the_last_entry_is_cut_and_nothing_else() {
        let whole = batch(&[
            entry(1, &[transaction(1, 30), v1(2)]),
            entry(2, &[]),
            entry(3, &[transaction(3, 0)]),
        ]);
        let padded = [&whole[..], &[0; 100]].concat();
        for bytes in [&whole, &padded] {
            let (out, tally) = sent(EntriesPlan::default(), bytes);
            assert_eq!(out, [Some(whole.clone())]);
            let expected = BatchTally {
                batch_sent: 1,
                message_sent: 1,
                entry_sent: 3,
                transaction_sent: 3,
                v1_seen: 1,
                ..BatchTally::default()
            };
            assert_eq!(tally, expected);
        }
    }

    #[test]
    fn v1_transactions_can_be_left_out() {
        let plan = EntriesPlan {
            v1: V1Batches::WithoutV1,
            ..EntriesPlan::default()
        };
        let whole = batch(&[
            entry(1, &[v1(1), transaction(2, 9), v1(3)]),
            entry(2, &[v1(4)]),
        ]);
        let (out, tally) = sent(plan, &whole);
        let left = batch(&[entry(1, &[transaction(2, 9)]), entry(2, &[])]);
        assert_eq!(out, [Some(left)]);
        assert_eq!((tally.transaction_sent, tally.v1_seen), (1, 3));
    }

    #[test]
    fn long_batches_are_split_between_entries() {
        let entries: Vec<_> = (0..9)
            .map(|id| entry(id, &[transaction(id, if id == 4 { 120 } else { 20 })]))
            .collect();
        let plan = EntriesPlan {
            message_len_max: 8 + entries[0].len() * 3,
            ..EntriesPlan::default()
        };
        let (out, tally) = sent(plan, &batch(&entries));
        let parts = [
            Some(batch(&entries[..3])),
            Some(batch(&entries[3..5])),
            Some(batch(&entries[5..8])),
            Some(batch(&entries[8..])),
        ];
        assert_eq!(out, parts);
        assert_eq!((tally.message_sent, tally.entry_sent), (4, 9));

        let plan = EntriesPlan {
            message_len_max: 8 + entries[0].len(),
            ..EntriesPlan::default()
        };
        let (out, tally) = sent(plan, &batch(&entries[3..6]));
        let parts = [
            Some(batch(&entries[3..4])),
            None,
            Some(batch(&entries[5..6])),
        ];
        assert_eq!(out, parts);
        assert_eq!((tally.entry_oversize, tally.entry_sent), (1, 2));
    }

    #[test]
    fn what_holds_no_entries_is_not_sent() {
        for bytes in [
            &[][..],
            &[0; 1],
            &[0; 8],
            &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3],
        ] {
            let (out, tally) = sent(EntriesPlan::default(), bytes);
            assert_eq!((out.len(), tally.marker_skipped), (0, 1));
        }
        let whole = batch(&[entry(1, &[transaction(1, 30)])]);
        let cut = &whole[..whole.len() - 1];
        let huge = [&u64::MAX.to_le_bytes()[..], &entry(1, &[])].concat();
        for bytes in [cut, &huge, &whole[..20]] {
            let (out, tally) = sent(EntriesPlan::default(), bytes);
            assert_eq!((out.len(), tally.batch_malformed), (0, 1));
        }
    }
}
