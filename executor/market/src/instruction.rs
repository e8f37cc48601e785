//! What a venue's decoder reads from: one outer instruction, its accounts as far as they are known, its arguments.

use shred_wire::txn::{InstructionView, TxnView};

use crate::decode::DecodeReject;
use crate::lookup::LookupTables;
use crate::units::Key;

/// The accounts a transaction names, by index: its own keys, then what its lookup tables lead to.
#[derive(Clone, Copy)]
pub struct AccountKeys<'a> {
    txn: &'a TxnView<'a>,
    keys: &'a [Key],
    tables: &'a LookupTables,
    resolved: Option<&'a Resolved<'a>>,
}

/// Every account that the lookups of a transaction lead to, by its index less the transaction's own keys.
///
/// Finding one costs a walk over the lookups; who asks for many of them asks for all once. An index is a byte.
pub(crate) struct Resolved<'a>([Option<&'a Key>; 256]);

impl<'a> AccountKeys<'a> {
    /// The accounts of `txn`; those behind a table that `tables` does not hold stay unknown.
    #[inline]
    #[must_use]
    pub fn new(txn: &'a TxnView<'a>, tables: &'a LookupTables) -> Self {
        Self {
            txn,
            keys: txn.keys(),
            tables,
            resolved: None,
        }
    }

    /// Where every lookup leads. Cost: a step for each lookup and each account behind one.
    #[cold]
    pub(crate) fn resolve(&self) -> Resolved<'a> {
        let mut resolved = [None; 256];
        let mut at = 0;
        for writable in [true, false] {
            for lookup in self.txn.lookups() {
                let indexes = if writable {
                    lookup.writable
                } else {
                    lookup.readonly
                };
                let addresses = self.tables.get(lookup.table).unwrap_or_default();
                for index in indexes {
                    if let Some(place) = resolved.get_mut(at) {
                        *place = addresses.get(usize::from(*index));
                    }
                    at += 1;
                }
            }
        }
        Resolved(resolved)
    }

    /// The transaction.
    #[inline]
    #[must_use]
    pub const fn txn(&self) -> &'a TxnView<'a> {
        self.txn
    }

    /// The account of that index; `None` when there is none or its table is not known.
    #[inline]
    #[must_use]
    pub fn get(&self, index: u8) -> Option<&'a Key> {
        match self.keys.get(usize::from(index)) {
            Some(key) => Some(key),
            None => {
                let index = usize::from(index) - self.keys.len();
                match self.resolved {
                    Some(resolved) => resolved.0.get(index).copied().flatten(),
                    None => self.looked_up(index),
                }
            }
        }
    }

    /// The runtime appends every table's writable addresses, then every table's readonly ones.
    ///
    /// Source: solana-message `v0::LoadedAddresses`, `AccountKeys::key_segment_iter`.
    #[cold]
    fn looked_up(&self, mut index: usize) -> Option<&'a Key> {
        for writable in [true, false] {
            for lookup in self.txn.lookups() {
                let indexes = if writable {
                    lookup.writable
                } else {
                    lookup.readonly
                };
                match indexes.get(index) {
                    Some(at) => return self.tables.get(lookup.table)?.get(usize::from(*at)),
                    None => index -= indexes.len(),
                }
            }
        }
        None
    }
}

/// One outer instruction.
#[derive(Clone, Copy)]
pub struct Instruction<'a> {
    keys: AccountKeys<'a>,
    indexes: &'a [u8],
    data: &'a [u8],
}

impl<'a> Instruction<'a> {
    /// `view` with the accounts of its transaction.
    #[inline]
    #[must_use]
    pub const fn new(keys: AccountKeys<'a>, view: &InstructionView<'a>) -> Self {
        Self {
            keys,
            indexes: view.accounts,
            data: view.data,
        }
    }

    /// The same instruction with its transaction's lookups resolved, for who looks at its accounts again and again.
    #[inline]
    #[must_use]
    pub(crate) const fn with<'b>(&self, resolved: &'b Resolved<'b>) -> Instruction<'b>
    where
        'a: 'b,
    {
        Instruction {
            keys: AccountKeys {
                txn: self.keys.txn,
                keys: self.keys.keys,
                tables: self.keys.tables,
                resolved: Some(resolved),
            },
            indexes: self.indexes,
            data: self.data,
        }
    }

    /// A part of the instruction's accounts as an instruction of its own: what a router hands on.
    #[inline]
    #[must_use]
    pub fn inner(&self, from: usize, data: &'a [u8]) -> Self {
        Self {
            keys: self.keys,
            indexes: self.indexes.get(from..).unwrap_or_default(),
            data,
        }
    }

    /// `count` of the accounts from `from` on, as an instruction of its own: what a batch holds.
    #[inline]
    #[must_use]
    pub fn part(&self, from: usize, count: usize, data: &'a [u8]) -> Self {
        let rest = self.indexes.get(from..).unwrap_or_default();
        Self {
            keys: self.keys,
            indexes: rest.get(..count).unwrap_or(rest),
            data,
        }
    }

    /// The accounts of the whole transaction.
    #[inline]
    #[must_use]
    pub const fn keys(&self) -> AccountKeys<'a> {
        self.keys
    }

    /// The instruction's data, discriminator included.
    #[inline]
    #[must_use]
    pub const fn data(&self) -> &'a [u8] {
        self.data
    }

    /// How many accounts it names.
    #[inline]
    #[must_use]
    pub const fn account_count(&self) -> usize {
        self.indexes.len()
    }

    /// The account at `position`; `None` when there is none or it sits behind an unknown lookup table.
    #[inline]
    #[must_use]
    pub fn account(&self, position: usize) -> Option<Key> {
        self.keys.get(*self.indexes.get(position)?).copied()
    }

    /// Whether the accounts at both positions are the same, known or not.
    #[inline]
    #[must_use]
    pub fn is_same(&self, position: usize, other: usize) -> bool {
        matches!((self.indexes.get(position), self.indexes.get(other)), (Some(a), Some(b)) if a == b)
    }

    /// The account at `position`, which signs and so is always among the transaction's own keys.
    ///
    /// # Errors
    /// [`DecodeReject::SignerUnresolved`].
    #[inline]
    pub fn signer(&self, position: usize) -> Result<Key, DecodeReject> {
        let own = |index: &u8| self.keys.keys.get(usize::from(*index)).copied();
        self.indexes
            .get(position)
            .and_then(own)
            .ok_or(DecodeReject::SignerUnresolved)
    }

    /// Whether the account at `position` signs the transaction.
    #[inline]
    #[must_use]
    pub fn is_signer(&self, position: usize) -> bool {
        let signs = |index: &u8| self.keys.txn.is_signer(usize::from(*index));
        self.indexes.get(position).is_some_and(signs)
    }

    /// The first of its accounts that signs the transaction.
    #[inline]
    #[must_use]
    pub fn first_signer(&self) -> Option<Key> {
        (0..self.indexes.len())
            .find(|position| self.is_signer(*position))
            .and_then(|position| self.account(position))
    }

    /// Refuses fewer accounts than the program asks for.
    ///
    /// # Errors
    /// [`DecodeReject::MissingAccounts`].
    #[inline]
    pub const fn at_least(&self, account_count_min: usize) -> Result<(), DecodeReject> {
        if self.indexes.len() < account_count_min {
            Err(DecodeReject::MissingAccounts)
        } else {
            Ok(())
        }
    }

    /// The first eight bytes of the data, and a reader of what follows.
    ///
    /// # Errors
    /// [`DecodeReject::ShortData`].
    #[inline]
    pub fn discriminated(&self) -> Result<(u64, Arguments<'a>), DecodeReject> {
        let mut arguments = Arguments(self.data);
        Ok((arguments.u64()?, arguments))
    }
}

/// An instruction's arguments in borsh, read from the front.
#[derive(Clone, Copy)]
pub struct Arguments<'a>(&'a [u8]);

impl<'a> Arguments<'a> {
    /// Reads `bytes` from the front.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// What has not been read.
    #[inline]
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeReject::ShortData`], as for every reader below.
    #[inline]
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeReject> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(DecodeReject::ShortData)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// A byte.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeReject> {
        Ok(self.take::<1>()?[0])
    }

    /// Two bytes, little end first.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeReject> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeReject> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeReject> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn u128(&mut self) -> Result<u128, DecodeReject> {
        Ok(u128::from_le_bytes(self.take()?))
    }

    /// An address.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn key(&mut self) -> Result<Key, DecodeReject> {
        self.take()
    }

    /// A `bool`.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn flag(&mut self) -> Result<bool, DecodeReject> {
        Ok(self.u8()? != 0)
    }

    /// Pump's `OptionBool`: one byte that older callers leave off.
    #[inline]
    pub fn trailing_flag(&mut self) -> Option<bool> {
        self.flag().ok()
    }

    /// Passes over `len` bytes.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn skip(&mut self, len: usize) -> Result<(), DecodeReject> {
        self.0 = self.0.get(len..).ok_or(DecodeReject::ShortData)?;
        Ok(())
    }

    /// Passes over a string or a byte vector: a length in four bytes, then that many.
    ///
    /// # Errors
    /// As [`Arguments::take`].
    #[inline]
    pub fn skip_bytes(&mut self) -> Result<(), DecodeReject> {
        let len = self.u32()? as usize;
        self.0 = self.0.get(len..).ok_or(DecodeReject::ShortData)?;
        Ok(())
    }
}
