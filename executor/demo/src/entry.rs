//! Entry batches: what the shreds carry.
//!
//! Layout (little-endian): entry count `u64`; per entry `num_hashes u64`, `hash [32]`, transaction
//! count `u64`, transactions. Source: agave `entry/src/entry.rs`, bincode with fixed integers.

use sha2::{Digest, Sha256};

use crate::keys::Key;
use crate::poh::{EntryHead, mix, signature_root};
use crate::txn::{ParsedTxn, TxnError};

/// Bytes before the first entry.
const BATCH_HEAD_LEN: usize = 8;

/// Builds one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchWriter {
    bytes: Vec<u8>,
    entry_count: u64,
}

impl Default for BatchWriter {
    fn default() -> Self {
        Self {
            bytes: vec![0; BATCH_HEAD_LEN],
            entry_count: 0,
        }
    }
}

impl BatchWriter {
    /// Appends an entry; a tick has no transactions.
    pub fn push<'a>(
        &mut self,
        head: &EntryHead,
        transactions: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        self.entry_count += 1;
        self.bytes[..BATCH_HEAD_LEN].copy_from_slice(&self.entry_count.to_le_bytes());
        self.bytes.extend_from_slice(&head.num_hashes.to_le_bytes());
        self.bytes.extend_from_slice(&head.hash);
        self.bytes
            .extend_from_slice(&(transactions.len() as u64).to_le_bytes());
        transactions.for_each(|transaction| self.bytes.extend_from_slice(transaction));
    }

    /// The batch so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it has no entry.
    pub fn is_empty(&self) -> bool {
        self.entry_count == 0
    }

    /// Starts over and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.truncate(BATCH_HEAD_LEN);
        self.entry_count = 0;
    }
}

/// Why a batch is not what a leader may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes end too early.
    Truncated,
    /// Bytes follow the last entry.
    TrailingBytes,
    /// A transaction cannot be read.
    Transaction(TxnError),
    /// The hash of the entry at this index does not follow from the one before.
    Hash(usize),
}

/// What a batch holds, once its hashes have been followed.
#[derive(Debug, Clone, Default)]
pub struct BatchContent<'a> {
    /// Hash of the last entry.
    pub hash: Key,
    /// Entries without transactions.
    pub tick_count: u64,
    /// Transactions in order.
    pub transactions: Vec<ParsedTxn<'a>>,
}

/// Reads a whole batch and follows its hash chain from `start`. For tests: an outsider's check.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_batch(start: Key, bytes: &[u8]) -> Result<BatchContent<'_>, BatchError> {
    let mut reader = Reader { rest: bytes };
    let mut content = BatchContent {
        hash: start,
        ..BatchContent::default()
    };
    for index in 0..reader.u64()? {
        let (num_hashes, hash, count) = (reader.u64()?, *reader.array::<32>()?, reader.u64()?);
        let mut signatures = Vec::new();
        for _ in 0..count {
            let (txn, rest) =
                ParsedTxn::parse_prefix(reader.rest).map_err(BatchError::Transaction)?;
            reader.rest = rest;
            signatures.extend_from_slice(txn.signatures());
            content.transactions.push(txn);
        }
        let plain_steps = if count == 0 {
            num_hashes
        } else {
            num_hashes.saturating_sub(1)
        };
        let mut expected = content.hash;
        for _ in 0..plain_steps {
            expected = Sha256::digest(expected).into();
        }
        if count > 0 {
            expected = mix(&expected, &signature_root(signatures.iter()));
        } else {
            content.tick_count += 1;
        }
        if expected != hash {
            return Err(BatchError::Hash(index as usize));
        }
        content.hash = hash;
    }
    if reader.rest.is_empty() {
        Ok(content)
    } else {
        Err(BatchError::TrailingBytes)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], BatchError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(BatchError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn u64(&mut self) -> Result<u64, BatchError> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::poh::Poh;
    use crate::txn::{Form, Instruction, write};

    fn transaction(byte: u8) -> Vec<u8> {
        let signer = ed25519_dalek::SigningKey::from_bytes(&[byte; 32]);
        let instruction = Instruction {
            program: [9; 32],
            accounts: vec![],
            data: vec![byte],
        };
        write(&[&signer], &[instruction], &[1; 32], Form::Legacy)
    }

    fn batch() -> (BatchWriter, Key) {
        let (mut poh, mut writer) = (Poh::new([4; 32], 8), BatchWriter::default());
        for count in [3_u8, 0, 1, 5] {
            let transactions: Vec<Vec<u8>> = (1..=count).map(transaction).collect();
            poh.advance(2, 1);
            let signatures: Vec<[u8; 64]> = transactions
                .iter()
                .map(|bytes| *ParsedTxn::parse(bytes).unwrap().signature())
                .collect();
            let head = match count {
                0 => poh.tick(),
                _ => poh.record(&signature_root(signatures.iter())).unwrap(),
            };
            writer.push(&head, transactions.iter().map(Vec::as_slice));
        }
        (writer, poh.hash())
    }

    #[test]
    fn a_batch_follows_from_its_start_and_from_no_other() {
        let (writer, end) = batch();
        let content = verify_batch([4; 32], writer.bytes()).unwrap();
        assert_eq!(
            (content.hash, content.tick_count, content.transactions.len()),
            (end, 1, 9)
        );
        assert_eq!(
            verify_batch([5; 32], writer.bytes()).unwrap_err(),
            BatchError::Hash(0)
        );
        let cut = &writer.bytes()[..writer.bytes().len() - 1];
        assert_eq!(
            verify_batch([4; 32], cut).unwrap_err(),
            BatchError::Transaction(TxnError::Truncated)
        );
    }

    #[test]
    fn a_tick_always_has_the_same_number_of_steps() {
        let mut poh = Poh::new([4; 32], 8);
        poh.advance(100, 2);
        assert_eq!(poh.room(), 2);
        let entries = [
            poh.record(&[1; 32]),
            poh.record(&[1; 32]),
            poh.record(&[1; 32]),
        ];
        assert!(
            entries[2].is_none(),
            "the tick's own step is never given away"
        );
        let steps: u64 = entries.iter().flatten().map(|head| head.num_hashes).sum();
        assert_eq!(steps + poh.tick().num_hashes, 8);
    }
}
