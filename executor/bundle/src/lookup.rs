//! The operator's lookup table.

use market::Key;
use market::lookup::TABLE_LEN_MAX;

/// An address lookup table that v0 transactions name accounts through, by a byte each instead of 32.
///
/// Whoever hands one over says that the chain has it so: a transaction fails whole where the chain's table lacks what it
/// names, and names another account where the chain's table holds another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LookupTable {
    /// Where the table stands.
    pub key: Key,
    /// What it holds, in its order. An index is a byte: what lies past [`TABLE_LEN_MAX`] is not used.
    pub addresses: Vec<Key>,
}

impl LookupTable {
    /// Where `key` stands first.
    pub(crate) fn index_of(&self, key: &Key) -> Option<u8> {
        let mut held = self.addresses.iter().take(TABLE_LEN_MAX);
        held.position(|address| address == key)
            .map(|index| index as u8)
    }
}
