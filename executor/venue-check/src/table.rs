//! The lookup table that our transactions use, as the chain has it.

use bundle::LookupTable;
use market::Key;
use market::lookup::read_table;

use crate::chain::{Chain, ChainError, Slice};
use crate::shown;
use crate::verdict::Failure;

/// Owner of every lookup table.
const PROGRAM: Key = market::base58::key("AddressLookupTab1e1111111111111111111111111");

/// What is otherwise on the chain than `table` says, if anything: whatever is looked up in it fails then, on every venue,
/// or names another account. That the chain's table has grown since is no matter.
///
/// # Errors
/// As [`Chain::accounts`].
pub(crate) fn difference<C: Chain + ?Sized>(
    chain: &mut C,
    table: &LookupTable,
) -> Result<Option<Failure>, ChainError> {
    let told = chain.accounts(&[table.key], Slice::Whole)?;
    let found = told.accounts.into_iter().next().flatten();
    let what = match found {
        None => Some("is not on the chain".to_owned()),
        Some(account) if account.owner != PROGRAM => Some("is no lookup table".to_owned()),
        Some(account) => {
            let mut held = Vec::new();
            match read_table(&account.data, |key| held.push(*key)) {
                Err(reject) => Some(format!("cannot be used ({reject:?})")),
                Ok(_) => {
                    let mut ours = table.addresses.iter().enumerate();
                    let differs = ours.find(|(index, key)| held.get(*index) != Some(key));
                    differs.map(|(index, key)| {
                        format!("does not hold {} at index {index} on the chain", shown(key))
                    })
                }
            }
        }
    };
    Ok(what.map(|what| Failure {
        program: None,
        code: None,
        line: format!("lookup table {} {what}", shown(&table.key)),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::chain::{Account, Accounts, Recent, Simulated};

    const TABLE: Key = [7; 32];

    struct Holding(Option<Account>);

    impl Chain for Holding {
        fn accounts(&mut self, keys: &[Key], slice: Slice) -> Result<Accounts, ChainError> {
            assert_eq!((keys, slice), (&[TABLE][..], Slice::Whole));
            Ok(Accounts {
                slot: 1,
                accounts: vec![self.0.clone()],
            })
        }

        fn simulate(&mut self, _: &[u8]) -> Result<Simulated, ChainError> {
            Err(ChainError::OutOfTime)
        }

        fn recent(
            &mut self,
            _: &Key,
            _: &mut dyn FnMut(&Recent) -> bool,
        ) -> Result<(), ChainError> {
            Err(ChainError::OutOfTime)
        }
    }

    fn on_chain(deactivated: u64, addresses: &[Key]) -> Account {
        let mut data = [&[1, 0, 0, 0], &deactivated.to_le_bytes()[..]].concat();
        data.resize(56, 0);
        data.extend(addresses.concat());
        Account {
            owner: PROGRAM,
            data,
            ..Account::default()
        }
    }

    #[test]
    fn a_table_that_the_chain_has_otherwise_is_of_no_use() {
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        let table = LookupTable {
            key: TABLE,
            addresses: vec![a, b],
        };
        let said = |account: Option<Account>| {
            let failure = difference(&mut Holding(account), &table).unwrap();
            failure.map(|failure| failure.line)
        };
        assert_eq!(said(Some(on_chain(u64::MAX, &[a, b]))), None);
        assert_eq!(said(Some(on_chain(u64::MAX, &[a, b, c]))), None, "it grew");
        let stranger = Account {
            owner: [8; 32],
            ..on_chain(u64::MAX, &[a, b])
        };
        for (account, words) in [
            (None, "is not on the chain".to_owned()),
            (Some(stranger), "is no lookup table".to_owned()),
            (
                Some(on_chain(5, &[a, b])),
                "cannot be used (Deactivated)".to_owned(),
            ),
            (
                Some(on_chain(u64::MAX, &[a])),
                format!("does not hold {} at index 1", shown(&b)),
            ),
            (
                Some(on_chain(u64::MAX, &[b, a])),
                format!("does not hold {} at index 0", shown(&a)),
            ),
        ] {
            let said = said(account).unwrap();
            assert!(said.contains(&words), "{words}\n{said}");
        }
    }
}
