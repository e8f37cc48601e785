//! What is asked of a chain, whoever answers.

use core::fmt;

use market::{Key, LookupTables};
use shred_wire::txn::TxnView;

use crate::verdict::Fault;

/// An account as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The program that owns it.
    pub owner: Key,
    /// Its balance.
    pub lamports: u64,
    /// What it holds, as far as was asked for.
    pub data: Vec<u8>,
    /// Bytes that it holds in all; `None` when that was not told.
    pub len: Option<u64>,
}

/// Accounts of one moment, in the order of the question; `None` where there is no account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// The slot they are as of.
    pub slot: u64,
    /// The accounts.
    pub accounts: Vec<Option<Account>>,
}

/// How much of an account's data is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// All of it.
    Whole,
    /// So many bytes from its beginning.
    First(usize),
}

/// A transaction that landed a short while ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// Its wire bytes.
    pub bytes: Vec<u8>,
    /// Addresses that it loaded for writing from lookup tables.
    pub writable: Vec<Key>,
    /// Addresses that it loaded for reading.
    pub readonly: Vec<Key>,
}

/// What came of a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simulated {
    /// What it failed with; `None` when it went through.
    pub fault: Option<Fault>,
    /// What the programs logged, the last lines.
    pub logs: Vec<String>,
    /// Compute units it used.
    pub units: Option<u64>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainError {
    /// Nobody answers.
    Unreachable(String),
    /// Whoever answers does not know the method.
    Unsupported(String),
    /// The question was refused.
    Refused(String),
    /// The answer is not what the method answers.
    Malformed(&'static str),
    /// Not asked any more: whoever asks has no time left for this round.
    OutOfTime,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "{why}"),
            Self::Unsupported(method) => write!(f, "the node does not know {method}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Malformed(what) => write!(f, "the answer is malformed: {what}"),
            Self::OutOfTime => f.write_str("not checked: out of time"),
        }
    }
}

impl std::error::Error for ChainError {}

/// Somebody who knows the chain. Calls may take seconds; each, and all of a round together, are bounded by whoever
/// implements it: what comes after the end of a round is [`ChainError::OutOfTime`].
pub trait Chain {
    /// The accounts at `keys`, all of one moment.
    ///
    /// # Errors
    /// [`ChainError`].
    fn accounts(&mut self, keys: &[Key], slice: Slice) -> Result<Accounts, ChainError>;

    /// Runs an unsigned transaction, with a blockhash of its own in place of the one it names, and keeps nothing of it.
    ///
    /// # Errors
    /// [`ChainError`].
    fn simulate(&mut self, transaction: &[u8]) -> Result<Simulated, ChainError>;

    /// Shows transactions that `program` took part in and that went through, the newest first, until `each` says that it
    /// has seen enough.
    ///
    /// # Errors
    /// [`ChainError`].
    fn recent(
        &mut self,
        program: &Key,
        each: &mut dyn FnMut(&Recent) -> bool,
    ) -> Result<(), ChainError>;
}

impl Recent {
    /// The lookup tables of this one transaction, as far as it used them; the rest of each is zeros.
    pub(crate) fn tables(&self, view: &TxnView<'_>) -> LookupTables {
        let (mut writable, mut readonly) = (self.writable.iter(), self.readonly.iter());
        let mut tables: Vec<(Key, Vec<Key>)> = Vec::new();
        for lookup in view.lookups() {
            let mut addresses = Vec::new();
            let mut place = |index: u8, key: Option<&Key>| {
                let index = usize::from(index);
                if addresses.len() <= index {
                    addresses.resize(index + 1, [0; 32]);
                }
                addresses[index] = key.copied().unwrap_or_default();
            };
            for index in lookup.writable {
                place(*index, writable.next());
            }
            for index in lookup.readonly {
                place(*index, readonly.next());
            }
            tables.push((*lookup.table, addresses));
        }
        LookupTables::new(tables.iter().map(|(key, list)| (*key, list.as_slice())))
    }
}
