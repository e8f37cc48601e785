//! What fills blocks besides the coins: votes, transfers and programs nobody here knows.

use ed25519_dalek::SigningKey;

use crate::keys::{Key, VOTE};
use crate::prng::Prng;
use crate::traders::transfer;
use crate::txn::{AccountMeta, Form, Instruction, LookupTable, write};

const VALIDATORS: usize = 24;
const WALLETS: usize = 48;
/// `VoteInstruction::TowerSync` (solana vote interface).
const TOWER_SYNC: u32 = 14;
/// Lockouts in a full tower.
const LOCKOUTS: u8 = 31;

/// Share of votes among background transactions, in basis points.
const VOTE_BPS: u64 = 4_500;
/// Share of transfers.
const TRANSFER_BPS: u64 = 3_500;

/// Writes background transactions; they change nothing the market knows.
pub(crate) struct Background {
    prng: Prng,
    validators: Vec<(SigningKey, Key)>,
    wallets: Vec<SigningKey>,
    tables: Vec<LookupTable>,
    presigned: Vec<Vec<u8>>,
}

impl Background {
    /// `presigned` > 0 signs that many once and then repeats them: their signatures stay valid,
    /// their blockhash does not move on.
    pub(crate) fn new(mut prng: Prng, presigned: usize, blockhash: &Key) -> Self {
        let signer = |prng: &mut Prng| SigningKey::from_bytes(&prng.bytes());
        let validators = (0..VALIDATORS)
            .map(|_| (signer(&mut prng), prng.bytes()))
            .collect();
        let wallets = (0..WALLETS).map(|_| signer(&mut prng)).collect();
        let table = |prng: &mut Prng| LookupTable {
            key: prng.bytes(),
            addresses: (0..40).map(|_| prng.bytes()).collect(),
        };
        let tables = vec![table(&mut prng), table(&mut prng)];
        let mut background = Self {
            prng,
            validators,
            wallets,
            tables,
            presigned: Vec::new(),
        };
        background.presigned = (0..presigned)
            .map(|_| background.write(0, blockhash))
            .collect();
        background
    }

    /// One transaction of a block after `slot`.
    pub(crate) fn next(&mut self, slot: u64, blockhash: &Key) -> Vec<u8> {
        if self.presigned.is_empty() {
            return self.write(slot, blockhash);
        }
        self.prng.pick(&self.presigned).clone()
    }

    fn write(&mut self, slot: u64, blockhash: &Key) -> Vec<u8> {
        match self.prng.below(10_000) {
            0..VOTE_BPS => self.vote(slot, blockhash),
            share if share < VOTE_BPS + TRANSFER_BPS => self.transfer(blockhash),
            _ => self.unknown(blockhash),
        }
    }

    /// Layout: agave `VoteInstruction::TowerSync`, compact form: root, 31 lockouts of offset and
    /// confirmation count, bank hash, time, block id.
    fn vote(&mut self, slot: u64, blockhash: &Key) -> Vec<u8> {
        let (authority, account) = self.prng.pick(&self.validators);
        let mut data = TOWER_SYNC.to_le_bytes().to_vec();
        data.extend_from_slice(&slot.saturating_sub(u64::from(LOCKOUTS)).to_le_bytes());
        data.push(LOCKOUTS);
        data.extend(
            (1..=LOCKOUTS)
                .rev()
                .flat_map(|confirmations| [1, confirmations]),
        );
        let (bank_hash, block_id) = (self.prng.clone().bytes::<32>(), self.prng.bytes::<32>());
        data.extend_from_slice(&bank_hash);
        data.push(1);
        data.extend_from_slice(&slot.to_le_bytes());
        data.extend_from_slice(&block_id);
        let accounts = vec![
            AccountMeta::write(*account),
            AccountMeta {
                key: authority.verifying_key().to_bytes(),
                signer: true,
                writable: false,
            },
        ];
        write(
            &[authority],
            &[Instruction {
                program: VOTE,
                accounts,
                data,
            }],
            blockhash,
            Form::Legacy,
        )
    }

    fn transfer(&mut self, blockhash: &Key) -> Vec<u8> {
        let to: Key = self.prng.bytes();
        let lamports = self.prng.between(1, 5_000_000_000);
        let from = self.prng.pick(&self.wallets);
        let form = match self.prng.below(10) {
            0 => Form::V1 {
                compute_unit_limit: 1_000,
                priority_fee_lamports: 1,
            },
            1..4 => Form::V0(&[]),
            _ => Form::Legacy,
        };
        write(
            &[from],
            &[transfer(&from.verifying_key().to_bytes(), &to, lamports)],
            blockhash,
            form,
        )
    }

    /// A program of random address with random accounts, some behind lookup tables, and data of any
    /// length its form allows.
    fn unknown(&mut self, blockhash: &Key) -> Vec<u8> {
        let from = self.prng.pick(&self.wallets);
        let tables = &self.tables[..self.prng.below(3) as usize];
        let long = self.prng.chance_bps(1_500);
        let mut accounts: Vec<AccountMeta> = (0..self.prng.between(1, 8))
            .map(|_| AccountMeta::write(self.prng.bytes()))
            .collect();
        for table in tables {
            accounts.push(AccountMeta::write(*self.prng.pick(&table.addresses)));
            accounts.push(AccountMeta::read(*self.prng.pick(&table.addresses)));
        }
        let data_len = if long {
            self.prng.between(800, 3_000)
        } else {
            self.prng.between(8, 420)
        };
        let data = (0..data_len).map(|_| self.prng.next_u64() as u8).collect();
        let instruction = Instruction {
            program: self.prng.bytes(),
            accounts,
            data,
        };
        let form = if long {
            Form::V1 {
                compute_unit_limit: 400_000,
                priority_fee_lamports: 5_000,
            }
        } else if tables.is_empty() {
            Form::Legacy
        } else {
            Form::V0(tables)
        };
        write(&[from], &[instruction], blockhash, form)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeSet;

    use super::*;
    use crate::txn::{LEGACY_LEN_MAX, ParsedTxn, Version};

    #[test]
    fn every_kind_is_a_valid_transaction_within_its_bound() {
        let mut background = Background::new(Prng::new(4), 0, &[1; 32]);
        let (mut forms, mut lookup_counts) = (BTreeSet::new(), BTreeSet::new());
        for slot in 0..2_000 {
            let bytes = background.next(slot, &[1; 32]);
            let txn = ParsedTxn::parse(&bytes).unwrap();
            assert!(txn.version() == Version::V1 || bytes.len() <= LEGACY_LEN_MAX);
            if slot % 20 == 0 {
                assert!(txn.signatures_verify());
            }
            forms.insert(txn.version() as u8);
            lookup_counts.insert(txn.lookups().len());
        }
        assert_eq!(
            (forms.len(), lookup_counts.len()),
            (3, 3),
            "all versions, 0 to 2 lookups"
        );
    }

    #[test]
    fn presigned_transactions_repeat_and_stay_valid() {
        let mut background = Background::new(Prng::new(4), 16, &[1; 32]);
        let distinct: BTreeSet<Vec<u8>> = (0..500)
            .map(|slot| background.next(slot, &[2; 32]))
            .collect();
        assert!(distinct.len() <= 16);
        assert!(
            distinct
                .iter()
                .all(|bytes| ParsedTxn::parse(bytes).unwrap().signatures_verify())
        );
    }
}
