//! The reader: total over any bytes.

use std::fmt;

use ed25519_dalek::{Signature, Verifier, VerifyingKey};

use super::{
    KEY_LEN, LEGACY_LEN_MAX, SIGNATURE_LEN, SIGNATURES_MAX, V0_PREFIX, V1_LEN_MAX, V1_MASK_KNOWN,
    V1_PREFIX, V1_PRIORITY_FEE_BITS,
};
use crate::keys::Key;

/// Why bytes are not one whole transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TxnError {
    /// The bytes end too early.
    Truncated,
    /// Bytes follow the transaction.
    TrailingBytes,
    /// Longer than its form allows.
    TooLong,
    /// A version the market does not know.
    UnknownVersion,
    /// A compact-u16 that is not the shortest form of its value.
    BadShortU16,
    /// Signature, key and header counts contradict each other.
    BadHeader,
    /// An index points outside the keys.
    BadIndex,
    /// A key stands twice.
    DuplicateKey,
}

impl fmt::Display for TxnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for TxnError {}

/// Version of a transaction read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// No version byte.
    Legacy,
    /// Version 0.
    V0,
    /// Version 1.
    V1,
}

/// One instruction read: indexes into the transaction's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedInstruction<'a> {
    /// Index of the program.
    pub program_index: u8,
    /// Indexes of the accounts.
    pub accounts: &'a [u8],
    /// Data.
    pub data: &'a [u8],
}

/// One lookup of a v0 transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedLookup<'a> {
    /// The table.
    pub table: &'a Key,
    /// Indexes of writable accounts in it.
    pub writable: &'a [u8],
    /// Indexes of read-only accounts in it.
    pub readonly: &'a [u8],
}

/// A transaction read from bytes nobody has checked.
#[derive(Debug, Clone)]
pub struct ParsedTxn<'a> {
    version: Version,
    signatures: &'a [[u8; SIGNATURE_LEN]],
    message: &'a [u8],
    header: [u8; 3],
    keys: &'a [Key],
    blockhash: &'a Key,
    instructions: Vec<ParsedInstruction<'a>>,
    lookups: Vec<ParsedLookup<'a>>,
    priority_fee_lamports: Option<u64>,
}

impl<'a> ParsedTxn<'a> {
    /// Reads exactly one transaction.
    ///
    /// # Errors
    /// When the bytes are anything else. Signatures are not verified here.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, TxnError> {
        let (parsed, rest) = Self::parse_prefix(bytes)?;
        if rest.is_empty() {
            Ok(parsed)
        } else {
            Err(TxnError::TrailingBytes)
        }
    }

    /// Reads the transaction that `bytes` begin with and returns what follows it.
    ///
    /// # Errors
    /// When they begin with none.
    pub fn parse_prefix(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), TxnError> {
        let mut reader = Reader { rest: bytes };
        let (parsed, len_max) = match bytes.first() {
            None => return Err(TxnError::Truncated),
            Some(&V1_PREFIX) => (Self::parse_v1(bytes, &mut reader)?, V1_LEN_MAX),
            Some(_) => (Self::parse_older(bytes, &mut reader)?, LEGACY_LEN_MAX),
        };
        if bytes.len() - reader.rest.len() > len_max {
            return Err(TxnError::TooLong);
        }
        Ok((parsed.check()?, reader.rest))
    }

    fn parse_older(bytes: &'a [u8], reader: &mut Reader<'a>) -> Result<Self, TxnError> {
        let signature_count = reader.short_u16()?;
        let signatures = reader.chunks::<SIGNATURE_LEN>(signature_count)?;
        let message_at = bytes.len() - reader.rest.len();
        let version = match reader.rest.first() {
            Some(&V0_PREFIX) => {
                reader.take(1)?;
                Version::V0
            }
            Some(first) if *first > V0_PREFIX => return Err(TxnError::UnknownVersion),
            _ => Version::Legacy,
        };
        let header = *reader.array::<3>()?;
        let key_count = reader.short_u16()?;
        let keys = reader.chunks::<KEY_LEN>(key_count)?;
        let blockhash = reader.array()?;
        let instruction_count = reader.short_u16()?;
        let mut instructions = Vec::new();
        for _ in 0..instruction_count {
            let program_index = reader.take(1)?[0];
            let accounts = reader.short_vec()?;
            let data = reader.short_vec()?;
            instructions.push(ParsedInstruction {
                program_index,
                accounts,
                data,
            });
        }
        let mut lookups = Vec::new();
        if version == Version::V0 {
            for _ in 0..reader.short_u16()? {
                let table = reader.array()?;
                let writable = reader.short_vec()?;
                let readonly = reader.short_vec()?;
                lookups.push(ParsedLookup {
                    table,
                    writable,
                    readonly,
                });
            }
        }
        let message = &bytes[message_at..bytes.len() - reader.rest.len()];
        let priority_fee_lamports = None;
        Ok(Self {
            version,
            signatures,
            message,
            header,
            keys,
            blockhash,
            instructions,
            lookups,
            priority_fee_lamports,
        })
    }

    fn parse_v1(bytes: &'a [u8], reader: &mut Reader<'a>) -> Result<Self, TxnError> {
        reader.take(1)?;
        let header = *reader.array::<3>()?;
        let mask = u32::from_le_bytes(*reader.array()?);
        if mask & !V1_MASK_KNOWN != 0
            || !matches!(mask & V1_PRIORITY_FEE_BITS, 0 | V1_PRIORITY_FEE_BITS)
        {
            return Err(TxnError::BadHeader);
        }
        let blockhash = reader.array()?;
        let [instruction_count, key_count] = *reader.array::<2>()?;
        let keys = reader.chunks::<KEY_LEN>(usize::from(key_count))?;
        let values = reader.chunks::<4>(mask.count_ones() as usize)?;
        let priority_fee_lamports = (mask & V1_PRIORITY_FEE_BITS != 0).then(|| {
            u64::from(u32::from_le_bytes(values[0]))
                | u64::from(u32::from_le_bytes(values[1])) << 32
        });
        let headers = reader.chunks::<4>(usize::from(instruction_count))?;
        let mut instructions = Vec::new();
        for [program_index, account_count, low, high] in headers.iter().copied() {
            let accounts = reader.take(usize::from(account_count))?;
            let data = reader.take(usize::from(u16::from_le_bytes([low, high])))?;
            instructions.push(ParsedInstruction {
                program_index,
                accounts,
                data,
            });
        }
        let message = &bytes[..bytes.len() - reader.rest.len()];
        let signatures = reader.chunks::<SIGNATURE_LEN>(usize::from(header[0]))?;
        let (version, lookups) = (Version::V1, Vec::new());
        Ok(Self {
            version,
            signatures,
            message,
            header,
            keys,
            blockhash,
            instructions,
            lookups,
            priority_fee_lamports,
        })
    }

    /// Counts and indexes that no later read has to check again.
    fn check(self) -> Result<Self, TxnError> {
        let [required, readonly_signed, readonly_unsigned] = self.header.map(usize::from);
        let static_count = self.keys.len();
        let fits = required == self.signatures.len()
            && (1..=SIGNATURES_MAX).contains(&required)
            && readonly_signed < required
            && required + readonly_unsigned <= static_count;
        if !fits {
            return Err(TxnError::BadHeader);
        }
        if self
            .keys
            .iter()
            .enumerate()
            .any(|(at, key)| self.keys[..at].contains(key))
        {
            return Err(TxnError::DuplicateKey);
        }
        let looked_up: usize = self
            .lookups
            .iter()
            .map(|lookup| lookup.writable.len() + lookup.readonly.len())
            .sum();
        let account_count = static_count + looked_up;
        let in_range = |instruction: &ParsedInstruction<'_>| {
            usize::from(instruction.program_index) < static_count
                && instruction.program_index != 0
                && instruction
                    .accounts
                    .iter()
                    .all(|index| usize::from(*index) < account_count)
        };
        if account_count > 256 || !self.instructions.iter().all(in_range) {
            return Err(TxnError::BadIndex);
        }
        Ok(self)
    }

    /// Version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// First signature: the transaction's id.
    pub fn signature(&self) -> &'a [u8; 64] {
        &self.signatures[0]
    }

    /// All signatures.
    pub fn signatures(&self) -> &'a [[u8; 64]] {
        self.signatures
    }

    /// Static keys; the first pays.
    pub fn keys(&self) -> &'a [Key] {
        self.keys
    }

    /// Recent blockhash.
    pub fn blockhash(&self) -> &'a Key {
        self.blockhash
    }

    /// Instructions in order.
    pub fn instructions(&self) -> &[ParsedInstruction<'a>] {
        &self.instructions
    }

    /// Lookups in order.
    pub fn lookups(&self) -> &[ParsedLookup<'a>] {
        &self.lookups
    }

    /// A v1 message's whole priority fee, when it names one.
    pub fn priority_fee_lamports(&self) -> Option<u64> {
        self.priority_fee_lamports
    }

    /// Whether the account at `index` signs. Looked-up accounts never do.
    pub fn is_signer(&self, index: usize) -> bool {
        index < usize::from(self.header[0])
    }

    /// Whether the static account at `index` may be changed, by position alone.
    pub fn is_writable(&self, index: usize) -> bool {
        let [required, readonly_signed, readonly_unsigned] = self.header.map(usize::from);
        if index < required {
            index < required - readonly_signed
        } else {
            index < self.keys.len() - readonly_unsigned
        }
    }

    /// Whether every signature verifies against its key.
    pub fn signatures_verify(&self) -> bool {
        self.signatures
            .iter()
            .zip(self.keys)
            .all(|(signature, key)| {
                VerifyingKey::from_bytes(key).is_ok_and(|key| {
                    key.verify(self.message, &Signature::from_bytes(signature))
                        .is_ok()
                })
            })
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], TxnError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(TxnError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], TxnError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(TxnError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn chunks<const N: usize>(&mut self, count: usize) -> Result<&'a [[u8; N]], TxnError> {
        Ok(self.take(count * N)?.as_chunks().0)
    }

    fn short_u16(&mut self) -> Result<usize, TxnError> {
        let mut value = 0_u32;
        for shift in [0, 7, 14] {
            let byte = self.take(1)?[0];
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || shift == 0;
                return if shortest && value <= u32::from(u16::MAX) {
                    Ok(value as usize)
                } else {
                    Err(TxnError::BadShortU16)
                };
            }
        }
        Err(TxnError::BadShortU16)
    }

    fn short_vec(&mut self) -> Result<&'a [u8], TxnError> {
        let len = self.short_u16()?;
        self.take(len)
    }
}
