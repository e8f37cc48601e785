//! Reading a whole transaction in place.

use super::scan::{
    CONFIG_COMPUTE_UNIT_LIMIT, CONFIG_HEAP_LEN, CONFIG_LOADED_DATA_LEN, CONFIG_PRIORITY_FEE,
    V1_BLOCKHASH_AT, V1_CONFIG_WORD_LEN, V1_INSTRUCTION_HEAD_LEN, v1_instruction_head,
};
use super::{
    BLOCKHASH_LEN, KEY_LEN, SIGNATURE_LEN, ScanStep, TxnReject, TxnScan, TxnVersion, check,
};
use crate::short_u16::{self, Decoded};

/// One whole transaction, checked once; every accessor after that is a load or two.
///
/// The checks are those that every validator makes before a transaction may stand in a block
/// (`VersionedTransaction::sanitize` of `solana-transaction` 4.1.6), less the search for duplicate keys. So in a
/// view every instruction's program is a static key other than the payer, every account index is below the number
/// of static and looked up keys together, and there are as many signatures as signers. Signatures are not
/// verified.
#[derive(Clone, Copy, Debug)]
pub struct TxnView<'a> {
    bytes: &'a [u8],
    signatures: &'a [[u8; SIGNATURE_LEN]],
    keys: &'a [[u8; KEY_LEN]],
    /// From the blockhash on; in v1 from the config words on.
    after_keys: &'a [u8],
    /// From the first instruction on.
    instructions: &'a [u8],
    /// From the first lookup on.
    lookups: &'a [u8],
    instruction_count: u16,
    lookup_count: u8,
    config_mask: u8,
    version: TxnVersion,
}

impl<'a> TxnView<'a> {
    /// Reads exactly one whole transaction.
    ///
    /// # Errors
    /// Any [`TxnReject`]: those of [`TxnScan::advance`], `Truncated` and `TrailingBytes`, and those of
    /// [`from_scan`](Self::from_scan).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TxnReject> {
        let mut scan = TxnScan::default();
        match scan.advance(bytes)? {
            ScanStep::NeedMore => Err(TxnReject::Truncated),
            ScanStep::Done { len } if len < bytes.len() => Err(TxnReject::TrailingBytes),
            ScanStep::Done { .. } => Self::from_scan(&scan, bytes),
        }
    }

    /// Reads the transaction that `scan` has found the end of, without another walk: what can be refused the scan has
    /// noted on its way, but for a v1 heap.
    ///
    /// `bytes` are those the scan was shown; what they hold past the transaction is left out of the view. Other
    /// bytes give a view of nonsense, whose accessors still never panic.
    ///
    /// # Errors
    /// `Truncated` when the scan does not know the end yet or `bytes` do not reach it; else the reasons of the second
    /// group of [`TxnReject`].
    #[inline]
    pub fn from_scan(scan: &TxnScan, bytes: &'a [u8]) -> Result<Self, TxnReject> {
        let layout = scan.found()?;
        let bytes = bytes
            .get(..usize::from(layout.len))
            .ok_or(TxnReject::Truncated)?;
        let view = Self {
            bytes,
            signatures: list(bytes, layout.signatures_at, layout.signature_count),
            keys: list(bytes, layout.keys_at, layout.key_count),
            after_keys: from(
                bytes,
                usize::from(layout.keys_at) + KEY_LEN * usize::from(layout.key_count),
            ),
            instructions: from(bytes, usize::from(layout.instructions_at)),
            lookups: from(bytes, usize::from(layout.lookups_at)),
            instruction_count: layout.instruction_count,
            lookup_count: layout.lookup_count,
            config_mask: layout.config_mask,
            version: layout.version,
        };
        if layout.version == TxnVersion::V1 {
            check::heap_len(view.config_words().word(CONFIG_HEAP_LEN.trailing_zeros()))?;
        }
        Ok(view)
    }

    /// The whole transaction as it stood on the wire.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What is signed: everything but the signatures (and their count).
    #[inline]
    #[must_use]
    pub fn message(&self) -> &'a [u8] {
        let signatures_len = self.signatures.as_flattened().len();
        match self.version {
            TxnVersion::Legacy | TxnVersion::V0 => from(self.bytes, 1 + signatures_len),
            TxnVersion::V1 => {
                let len = self.bytes.len().saturating_sub(signatures_len);
                self.bytes.get(..len).unwrap_or_default()
            }
        }
    }

    /// Which of the three formats.
    #[inline]
    #[must_use]
    pub fn version(&self) -> TxnVersion {
        self.version
    }

    /// The first signature, which is the transaction's id.
    #[inline]
    #[must_use]
    pub fn signature(&self) -> &'a [u8; SIGNATURE_LEN] {
        self.signatures.first().unwrap_or(&[0; SIGNATURE_LEN])
    }

    /// Every signature, in the order of the keys that made them; 1 to 12.
    #[inline]
    #[must_use]
    pub fn signatures(&self) -> &'a [[u8; SIGNATURE_LEN]] {
        self.signatures
    }

    /// How many keys sign; as many as there are signatures.
    #[inline]
    #[must_use]
    pub fn required_signature_count(&self) -> usize {
        self.signatures.len()
    }

    /// The static account keys, the payer first. Looked up accounts are not among them.
    #[inline]
    #[must_use]
    pub fn keys(&self) -> &'a [[u8; KEY_LEN]] {
        self.keys
    }

    /// Whether the key of that index signs. Looked up accounts never do.
    #[inline]
    #[must_use]
    pub fn is_signer(&self, key_index: usize) -> bool {
        key_index < self.signatures.len()
    }

    /// Whether the transaction asks to write to the static key of that index; `false` past the static keys.
    ///
    /// What is asked, not what the runtime grants: reserved accounts and invoked programs are demoted later.
    #[inline]
    #[must_use]
    pub fn is_writable_static(&self, key_index: usize) -> bool {
        let header_at = usize::from(self.version != TxnVersion::Legacy);
        let Some([required, readonly_signed, readonly_unsigned]) = from(self.message(), header_at)
            .first_chunk()
            .copied()
            .map(|header| header.map(usize::from))
        else {
            return false;
        };
        if key_index < required {
            key_index + readonly_signed < required
        } else {
            key_index + readonly_unsigned < self.keys.len()
        }
    }

    /// The blockhash (or durable nonce) the transaction is valid against.
    #[inline]
    #[must_use]
    pub fn blockhash(&self) -> &'a [u8; BLOCKHASH_LEN] {
        let at_hash = match self.version {
            TxnVersion::Legacy | TxnVersion::V0 => self.after_keys,
            TxnVersion::V1 => from(self.bytes, V1_BLOCKHASH_AT),
        };
        at_hash.first_chunk().unwrap_or(&[0; BLOCKHASH_LEN])
    }

    /// The outer instructions in order.
    #[inline]
    #[must_use]
    pub fn instructions(&self) -> InstructionIter<'a> {
        let rest = self.instructions;
        let left = usize::from(self.instruction_count);
        if self.version != TxnVersion::V1 {
            return InstructionIter {
                heads: None,
                rest,
                left,
            };
        }
        let (heads, rest) = rest
            .split_at_checked(V1_INSTRUCTION_HEAD_LEN * left)
            .unwrap_or_default();
        InstructionIter {
            heads: Some(heads.as_chunks().0),
            rest,
            left,
        }
    }

    /// The address lookups in order; only v0 has any. Looked up accounts are numbered after the static keys: all
    /// writable ones first, lookup by lookup, then all read-only ones.
    #[inline]
    #[must_use]
    pub fn lookups(&self) -> LookupIter<'a> {
        LookupIter {
            rest: self.lookups,
            left: usize::from(self.lookup_count),
        }
    }

    /// What a v1 transaction asks of the compute budget; the older formats say it by instructions, so `None`.
    #[inline]
    #[must_use]
    pub fn config(&self) -> Option<TxnConfig> {
        (self.version == TxnVersion::V1).then(|| self.config_words().read())
    }

    fn config_words(&self) -> ConfigWords<'a> {
        ConfigWords {
            mask: u32::from(self.config_mask),
            words: self.after_keys.as_chunks().0,
        }
    }
}

/// One outer instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionView<'a> {
    /// Index of the program among the static keys; never 0, the payer.
    pub program_index: u8,
    /// Indices of the accounts, static keys first, then looked up ones.
    pub accounts: &'a [u8],
    /// The program's own bytes.
    pub data: &'a [u8],
}

/// The instructions of a [`TxnView`], read as they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct InstructionIter<'a> {
    /// v1 keeps the headers apart from the bodies; the others have none.
    heads: Option<&'a [[u8; V1_INSTRUCTION_HEAD_LEN]]>,
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for InstructionIter<'a> {
    type Item = InstructionView<'a>;

    #[inline]
    fn next(&mut self) -> Option<InstructionView<'a>> {
        self.left = self.left.checked_sub(1)?;
        let Some(heads) = self.heads else {
            let (&program_index, rest) = self.rest.split_first()?;
            let (accounts, rest) = short_list(rest)?;
            let (data, rest) = short_list(rest)?;
            self.rest = rest;
            return Some(InstructionView {
                program_index,
                accounts,
                data,
            });
        };
        let (&head, heads) = heads.split_first()?;
        let (program_index, account_count, data_len) = v1_instruction_head(head);
        let (accounts, rest) = self.rest.split_at_checked(account_count)?;
        let (data, rest) = rest.split_at_checked(data_len)?;
        self.heads = Some(heads);
        self.rest = rest;
        Some(InstructionView {
            program_index,
            accounts,
            data,
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for InstructionIter<'_> {}

/// One address lookup of a v0 transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupView<'a> {
    /// Key of the lookup table.
    pub table: &'a [u8; KEY_LEN],
    /// Indices in the table of accounts to load for writing.
    pub writable: &'a [u8],
    /// Indices in the table of accounts to load for reading.
    pub readonly: &'a [u8],
}

/// The lookups of a [`TxnView`], read as they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct LookupIter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for LookupIter<'a> {
    type Item = LookupView<'a>;

    #[inline]
    fn next(&mut self) -> Option<LookupView<'a>> {
        self.left = self.left.checked_sub(1)?;
        let (table, rest) = self.rest.split_first_chunk()?;
        let (writable, rest) = short_list(rest)?;
        let (readonly, rest) = short_list(rest)?;
        self.rest = rest;
        Some(LookupView {
            table,
            writable,
            readonly,
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for LookupIter<'_> {}

/// The compute budget of a v1 transaction; what it does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxnConfig {
    /// Paid on top of the base fee, lamports for the whole transaction.
    pub priority_fee_lamports: Option<u64>,
    /// Compute units the transaction may use.
    pub compute_unit_limit: Option<u32>,
    /// Bytes of account data it may load.
    pub loaded_data_len_max: Option<u32>,
    /// Bytes of heap per program.
    pub heap_len: Option<u32>,
}

/// The config of a v1 transaction as it stands on the wire: a bit in the mask for each word.
#[derive(Clone, Copy, Debug, Default)]
struct ConfigWords<'a> {
    mask: u32,
    words: &'a [[u8; V1_CONFIG_WORD_LEN]],
}

impl ConfigWords<'_> {
    fn read(&self) -> TxnConfig {
        TxnConfig {
            priority_fee_lamports: self.word(0).zip(self.word(1)).map(|(low, high)| {
                // Both halves are there or neither is; the scan saw to it.
                u64::from(high) << 32 | u64::from(low)
            }),
            compute_unit_limit: self.word(CONFIG_COMPUTE_UNIT_LIMIT.trailing_zeros()),
            loaded_data_len_max: self.word(CONFIG_LOADED_DATA_LEN.trailing_zeros()),
            heap_len: self.word(CONFIG_HEAP_LEN.trailing_zeros()),
        }
    }

    /// The word of mask bit `bit`: those of lower bits stand before it.
    fn word(&self, bit: u32) -> Option<u32> {
        let below = (1 << bit) - 1;
        let index = (self.mask & below).count_ones() as usize;
        let word = self
            .words
            .get(index)
            .filter(|_| self.mask & (1 << bit) != 0)?;
        Some(u32::from_le_bytes(*word))
    }
}

const _: () = assert!(
    CONFIG_PRIORITY_FEE == 0b11,
    "the fee's words are those of bits 0 and 1"
);

/// `count` things of `N` bytes at `at`. A layout lies within the bytes of its transaction, so they are there.
#[inline]
fn list<const N: usize>(bytes: &[u8], at: u16, count: u8) -> &[[u8; N]] {
    let (at, len) = (usize::from(at), N * usize::from(count));
    bytes.get(at..at + len).unwrap_or_default().as_chunks().0
}

/// What begins at `at`.
#[inline]
fn from(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

/// A list of bytes with a compact-u16 before it, and what follows.
#[inline]
fn short_list(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let Ok(Decoded::Done { value, len }) = short_u16::decode(bytes) else {
        return None;
    };
    bytes.get(len..)?.split_at_checked(usize::from(value))
}
