//! Signed transactions: a writer for the traders' and a reader for the bundles'.
//!
//! Both know the three live forms. Layouts: solana `message` and `transaction` for legacy and v0,
//! SIMD-0385 for v1 (`0x81` first, signatures last, no lookup tables).

mod read;
mod write;

pub use read::{ParsedInstruction, ParsedLookup, ParsedTxn, TxnError, Version};
pub use write::{AccountMeta, Form, Instruction, LookupTable, write};

/// Largest legacy or v0 transaction in bytes (solana `PACKET_DATA_SIZE`).
pub const LEGACY_LEN_MAX: usize = 1_232;
/// Largest v1 transaction in bytes (SIMD-0296).
pub const V1_LEN_MAX: usize = 4_096;
/// Most signatures in one transaction (SIMD-0385; more do not fit the older forms).
pub const SIGNATURES_MAX: usize = 12;

const V0_PREFIX: u8 = 0x80;
const V1_PREFIX: u8 = 0x81;
const SIGNATURE_LEN: usize = 64;
const KEY_LEN: usize = 32;

/// Bits of a v1 message's configuration mask (SIMD-0385).
const V1_PRIORITY_FEE_BITS: u32 = 0b0_0011;
const V1_COMPUTE_UNIT_LIMIT_BIT: u32 = 0b0_0100;
const V1_LOADED_DATA_SIZE_BIT: u32 = 0b0_1000;
const V1_MASK_KNOWN: u32 = 0b1_1111;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::keys::Key;

    fn signer(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    fn sample(owner: Key) -> Vec<Instruction> {
        vec![
            Instruction {
                program: [9; 32],
                accounts: vec![
                    AccountMeta::read([3; 32]),
                    AccountMeta::sign(owner),
                    AccountMeta::write([4; 32]),
                ],
                data: vec![1, 2, 3],
            },
            Instruction {
                program: [8; 32],
                accounts: vec![AccountMeta::write([5; 32])],
                data: vec![7; 200],
            },
        ]
    }

    fn resolved(txn: &ParsedTxn<'_>, tables: &[LookupTable]) -> Vec<Key> {
        let table = |lookup: &ParsedLookup<'_>| {
            tables
                .iter()
                .find(|table| table.key == *lookup.table)
                .unwrap()
                .clone()
        };
        let mut keys = txn.keys().to_vec();
        for lookup in txn.lookups() {
            keys.extend(
                lookup
                    .writable
                    .iter()
                    .map(|at| table(lookup).addresses[usize::from(*at)]),
            );
        }
        for lookup in txn.lookups() {
            keys.extend(
                lookup
                    .readonly
                    .iter()
                    .map(|at| table(lookup).addresses[usize::from(*at)]),
            );
        }
        keys
    }

    #[track_caller]
    fn round_trip(form: Form<'_>, version: Version) {
        let (payer, owner) = (signer(1), signer(2));
        let instructions = sample(owner.verifying_key().to_bytes());
        let bytes = write(&[&payer, &owner], &instructions, &[6; 32], form);
        let txn = ParsedTxn::parse(&bytes).unwrap();
        let tables = if let Form::V0(tables) = form {
            tables
        } else {
            &[]
        };
        let keys = resolved(&txn, tables);
        assert_eq!(txn.version(), version);
        assert_eq!(txn.blockhash(), &[6; 32]);
        assert_eq!(keys[0], payer.verifying_key().to_bytes());
        assert!(txn.signatures_verify());
        for (read, written) in txn.instructions().iter().zip(&instructions) {
            assert_eq!(keys[usize::from(read.program_index)], written.program);
            assert_eq!(read.data, written.data);
            let metas: Vec<Key> = read
                .accounts
                .iter()
                .map(|at| keys[usize::from(*at)])
                .collect();
            assert_eq!(
                metas,
                written
                    .accounts
                    .iter()
                    .map(|meta| meta.key)
                    .collect::<Vec<_>>()
            );
        }
        let at = |key: Key| keys.iter().position(|known| *known == key).unwrap();
        assert!(txn.is_signer(at(owner.verifying_key().to_bytes())) && txn.is_writable(1));
        assert!(!txn.is_writable(at([9; 32])) && !txn.is_signer(at([9; 32])));

        for cut in 0..bytes.len() {
            assert!(ParsedTxn::parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(
            ParsedTxn::parse(&longer).unwrap_err(),
            TxnError::TrailingBytes
        );
        let mut bent = bytes.clone();
        let blockhash_at = bytes
            .windows(32)
            .position(|window| window == [6; 32])
            .unwrap();
        bent[blockhash_at] ^= 1;
        assert!(!ParsedTxn::parse(&bent).unwrap().signatures_verify());
    }

    #[test]
    fn every_form_reads_back_as_written() {
        round_trip(Form::Legacy, Version::Legacy);
        round_trip(Form::V0(&[]), Version::V0);
        round_trip(
            Form::V1 {
                compute_unit_limit: 200_000,
                priority_fee_lamports: 1 << 33,
            },
            Version::V1,
        );
    }

    #[test]
    fn lookup_tables_take_accounts_out_of_the_static_keys() {
        let tables = [
            LookupTable {
                key: [20; 32],
                addresses: vec![[30; 32], [3; 32], [4; 32]],
            },
            LookupTable {
                key: [21; 32],
                addresses: vec![[5; 32], [9; 32]],
            },
        ];
        round_trip(Form::V0(&tables), Version::V0);
        let (payer, owner) = (signer(1), signer(2));
        let instructions = sample(owner.verifying_key().to_bytes());
        let bytes = write(
            &[&payer, &owner],
            &instructions,
            &[6; 32],
            Form::V0(&tables),
        );
        let txn = ParsedTxn::parse(&bytes).unwrap();
        // Payer, owner and the two programs, which may not be looked up, are what stays.
        assert_eq!((txn.keys().len(), txn.lookups().len()), (4, 2));
    }

    #[test]
    fn the_priority_fee_of_a_v1_message_spans_two_values() {
        let payer = signer(1);
        let form = Form::V1 {
            compute_unit_limit: 1,
            priority_fee_lamports: 0x0102_0304_0506_0708,
        };
        let bytes = write(
            &[&payer],
            &sample(payer.verifying_key().to_bytes()),
            &[6; 32],
            form,
        );
        assert_eq!(
            ParsedTxn::parse(&bytes).unwrap().priority_fee_lamports(),
            Some(0x0102_0304_0506_0708)
        );
    }
}
