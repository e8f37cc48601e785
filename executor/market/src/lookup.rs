//! Address lookup tables, as a snapshot: which addresses a v0 transaction's lookups lead to.

use crate::units::Key;

/// Addresses of one lookup table at most: an index is a byte.
///
/// Source: solana-address-lookup-table-interface `LOOKUP_TABLE_MAX_ADDRESSES`.
pub const TABLE_LEN_MAX: usize = 256;
/// Bytes of a table's account before its addresses. Source: as above, `LOOKUP_TABLE_META_SIZE`.
const META_LEN: usize = 56;
/// The account is a table (`ProgramState::LookupTable`).
const KIND_TABLE: u32 = 1;
/// A table that was never deactivated. Source: as above, `LookupTableMeta::new`.
const ACTIVE: u64 = u64::MAX;

/// Why an account's bytes are no lookup table. One byte, counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TableReject {
    /// Shorter than a table's own fields.
    Short,
    /// Another kind of account of the lookup table program.
    OtherKind,
    /// The addresses do not end where the account ends, or are too many.
    BadLength,
    /// Being closed: its addresses may go away.
    Deactivated,
}

/// The lookup tables that are known. A whole new snapshot replaces it; it never changes in place.
///
/// A table only grows on the chain, so an index that is found means what it meant; one that is not found is
/// unknown, never guessed. Finding a table costs a binary search.
#[derive(Clone, Debug, Default)]
pub struct LookupTables {
    /// Sorted by key.
    tables: Vec<Table>,
    addresses: Vec<Key>,
}

#[derive(Clone, Copy, Debug)]
struct Table {
    key: Key,
    from: u32,
    len: u32,
}

impl LookupTables {
    /// No table at all.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            tables: Vec::new(),
            addresses: Vec::new(),
        }
    }

    /// A snapshot of `tables`; of one that is given twice the longer is kept. Addresses past
    /// [`TABLE_LEN_MAX`] cannot be named by an index and are left out.
    #[must_use]
    pub fn new<'a>(tables: impl IntoIterator<Item = (Key, &'a [Key])>) -> Self {
        let mut given: Vec<(Key, &[Key])> = tables.into_iter().collect();
        given.sort_by(|(key, addresses), (other, others)| {
            (key, others.len()).cmp(&(other, addresses.len()))
        });
        given.dedup_by_key(|(key, _)| *key);
        let mut addresses = Vec::new();
        let tables = given
            .into_iter()
            .map(|(key, own)| {
                let own = &own[..own.len().min(TABLE_LEN_MAX)];
                let from = addresses.len() as u32;
                addresses.extend_from_slice(own);
                Table {
                    key,
                    from,
                    len: own.len() as u32,
                }
            })
            .collect();
        Self { tables, addresses }
    }

    /// The addresses of `table`.
    #[inline]
    #[must_use]
    pub fn get(&self, table: &Key) -> Option<&[Key]> {
        let at = self
            .tables
            .binary_search_by(|known| known.key.cmp(table))
            .ok()?;
        let Table { from, len, .. } = self.tables[at];
        self.addresses.get(from as usize..(from + len) as usize)
    }

    /// Every table with its addresses, ascending by key.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &[Key])> {
        self.tables
            .iter()
            .map(|table| (table.key, self.get(&table.key).unwrap_or_default()))
    }

    /// How many tables are known.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether none is known.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

/// Calls `each` with every address in the bytes of a lookup table's account, in order; returns how many.
///
/// Layout: `u32` kind, `u64` deactivation slot, and 44 bytes that say who extended it when, then addresses to the
/// end. Source: solana-address-lookup-table-interface `state.rs`.
///
/// # Errors
/// [`TableReject`].
pub fn read_table(data: &[u8], mut each: impl FnMut(&Key)) -> Result<usize, TableReject> {
    let (meta, addresses) = data.split_at_checked(META_LEN).ok_or(TableReject::Short)?;
    let (kind, meta) = meta.split_first_chunk::<4>().ok_or(TableReject::Short)?;
    let (deactivated, _) = meta.split_first_chunk::<8>().ok_or(TableReject::Short)?;
    if u32::from_le_bytes(*kind) != KIND_TABLE {
        return Err(TableReject::OtherKind);
    }
    if u64::from_le_bytes(*deactivated) != ACTIVE {
        return Err(TableReject::Deactivated);
    }
    let (addresses, rest) = addresses.as_chunks::<32>();
    if !rest.is_empty() || addresses.len() > TABLE_LEN_MAX {
        return Err(TableReject::BadLength);
    }
    addresses.iter().for_each(&mut each);
    Ok(addresses.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_by_key_and_the_longer_of_two_stays() {
        let (short, long) = ([[1; 32]], [[1; 32], [2; 32]]);
        let tables = LookupTables::new([
            ([9; 32], &long[..]),
            ([3; 32], &short[..]),
            ([9; 32], &short[..]),
        ]);
        assert_eq!(tables.len(), 2);
        assert_eq!(tables.get(&[9; 32]), Some(&long[..]));
        assert_eq!(tables.get(&[3; 32]), Some(&short[..]));
        assert_eq!(tables.get(&[4; 32]), None);
        assert!(LookupTables::none().is_empty());
    }

    #[test]
    fn what_is_no_table_is_refused_by_name() {
        let mut data = vec![0; META_LEN + 64];
        data[..4].copy_from_slice(&1u32.to_le_bytes());
        data[4..12].copy_from_slice(&u64::MAX.to_le_bytes());
        data[META_LEN + 32..].fill(7);
        let mut read = Vec::new();
        assert_eq!(read_table(&data, |key| read.push(*key)), Ok(2));
        assert_eq!(read, [[0; 32], [7; 32]]);
        let refused = |data: &[u8]| read_table(data, |_| ()).err();
        assert_eq!(refused(&data[..META_LEN - 1]), Some(TableReject::Short));
        assert_eq!(refused(&data[..META_LEN + 1]), Some(TableReject::BadLength));
        assert_eq!(
            refused(&[1; META_LEN + 257 * 32]),
            Some(TableReject::OtherKind)
        );
        data[4] = 0;
        assert_eq!(refused(&data), Some(TableReject::Deactivated));
        data[0] = 2;
        assert_eq!(refused(&data), Some(TableReject::OtherKind));
    }
}
