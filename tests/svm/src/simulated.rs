//! The machine as a chain whose venues can be checked.

use market::Key;
use solana_address::Address;
use solana_instruction::error::InstructionError;
use solana_transaction_error::TransactionError;
use venue_check::{Account, Accounts, Chain, ChainError, Fault, Recent, Simulated, Slice};

use crate::machine::{Machine, SLOT};

/// A machine, and what has landed on it of late.
pub struct SvmChain<'a> {
    machine: &'a Machine,
    landed: Vec<Vec<u8>>,
    /// Has its way with every transaction before it is simulated.
    damage: fn(&mut Vec<u8>),
    /// Transactions that were simulated.
    pub simulated: usize,
}

impl<'a> SvmChain<'a> {
    /// A chain on which the transactions `landed`, the newest first.
    #[must_use]
    pub fn new(machine: &'a Machine, landed: &[Vec<u8>]) -> Self {
        Self {
            machine,
            landed: landed.to_vec(),
            damage: |_| {},
            simulated: 0,
        }
    }

    /// The same, whose builders make a mistake.
    #[must_use]
    pub fn damaged(mut self, damage: fn(&mut Vec<u8>)) -> Self {
        self.damage = damage;
        self
    }
}

impl Chain for SvmChain<'_> {
    fn accounts(&mut self, keys: &[Key], slice: Slice) -> Result<Accounts, ChainError> {
        let account = |key: &Key| {
            let account = self.machine.account(&Address::new_from_array(*key))?;
            let len = account.data.len();
            let wanted = match slice {
                Slice::Whole => len,
                Slice::First(wanted) => wanted.min(len),
            };
            Some(Account {
                owner: account.owner.to_bytes(),
                lamports: account.lamports,
                data: account.data[..wanted].to_vec(),
                len: Some(len as u64),
            })
        };
        Ok(Accounts {
            slot: SLOT,
            accounts: keys.iter().map(account).collect(),
        })
    }

    fn simulate(&mut self, transaction: &[u8]) -> Result<Simulated, ChainError> {
        self.simulated += 1;
        let mut bytes = transaction.to_vec();
        (self.damage)(&mut bytes);
        let outcome = self.machine.simulate(&bytes);
        let outcome = outcome.ok_or(ChainError::Refused("not a transaction".to_owned()))?;
        Ok(Simulated {
            fault: outcome.result.as_ref().err().map(fault),
            units: Some(outcome.units),
            logs: outcome.logs,
        })
    }

    fn recent(&mut self, _: &Key, each: &mut dyn FnMut(&Recent) -> bool) -> Result<(), ChainError> {
        for bytes in &self.landed {
            let recent = Recent {
                bytes: bytes.clone(),
                ..Recent::default()
            };
            if each(&recent) {
                break;
            }
        }
        Ok(())
    }
}

/// The error as a node would say it.
fn fault(error: &TransactionError) -> Fault {
    let name = |error: &dyn std::fmt::Debug| {
        let text = format!("{error:?}");
        text.split(['(', ' ']).next().unwrap_or_default().to_owned()
    };
    match error {
        TransactionError::InstructionError(index, error) => Fault {
            name: name(error),
            instruction: Some(u64::from(*index)),
            custom: match error {
                InstructionError::Custom(code) => Some(*code),
                _ => None,
            },
        },
        other => Fault {
            name: name(other),
            instruction: None,
            custom: None,
        },
    }
}
