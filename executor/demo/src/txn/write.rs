//! The writer: compiles instructions into a message and signs it.

use ed25519_dalek::{Signer, SigningKey};

use super::{
    LEGACY_LEN_MAX, SIGNATURE_LEN, V0_PREFIX, V1_COMPUTE_UNIT_LIMIT_BIT, V1_LOADED_DATA_SIZE_BIT,
    V1_PREFIX, V1_PRIORITY_FEE_BITS,
};
use crate::keys::Key;

/// An account of an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountMeta {
    /// Address.
    pub key: Key,
    /// Must sign.
    pub signer: bool,
    /// May be changed.
    pub writable: bool,
}

impl AccountMeta {
    /// Read only.
    pub const fn read(key: Key) -> Self {
        Self {
            key,
            signer: false,
            writable: false,
        }
    }

    /// Writable.
    pub const fn write(key: Key) -> Self {
        Self {
            key,
            signer: false,
            writable: true,
        }
    }

    /// Writable and signing.
    pub const fn sign(key: Key) -> Self {
        Self {
            key,
            signer: true,
            writable: true,
        }
    }
}

/// One instruction before compilation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Program called.
    pub program: Key,
    /// Its accounts, in order.
    pub accounts: Vec<AccountMeta>,
    /// Its data.
    pub data: Vec<u8>,
}

/// An address lookup table and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupTable {
    /// Address of the table.
    pub key: Key,
    /// Addresses in it; at most 256 are reachable.
    pub addresses: Vec<Key>,
}

/// Wire form of a transaction to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// No version byte.
    Legacy,
    /// Version 0; accounts found in the tables leave the static keys.
    V0(&'a [LookupTable]),
    /// Version 1 with its budget in the message instead of in instructions.
    V1 {
        /// Compute units the transaction may use.
        compute_unit_limit: u32,
        /// Whole priority fee.
        priority_fee_lamports: u64,
    },
}

/// Compiles and signs a transaction; `signers[0]` pays.
///
/// # Panics
/// When an account must sign and no signer is given for it, or an index would not fit a byte: the
/// callers are in this crate and write what they know.
pub fn write(
    signers: &[&SigningKey],
    instructions: &[Instruction],
    blockhash: &Key,
    form: Form<'_>,
) -> Vec<u8> {
    let tables = if let Form::V0(tables) = form {
        tables
    } else {
        &[]
    };
    let compiled = Compiled::new(signers, instructions, tables);
    match form {
        Form::Legacy => sign_in_front(
            signers,
            &compiled,
            compiled.message(None, instructions, blockhash),
        ),
        Form::V0(_) => sign_in_front(
            signers,
            &compiled,
            compiled.message(Some(V0_PREFIX), instructions, blockhash),
        ),
        Form::V1 {
            compute_unit_limit,
            priority_fee_lamports,
        } => {
            let mut bytes = compiled.message_v1(
                instructions,
                blockhash,
                compute_unit_limit,
                priority_fee_lamports,
            );
            let signatures = compiled.sign(signers, &bytes);
            signatures
                .iter()
                .for_each(|signature| bytes.extend_from_slice(signature));
            bytes
        }
    }
}

fn sign_in_front(signers: &[&SigningKey], compiled: &Compiled, message: Vec<u8>) -> Vec<u8> {
    let signatures = compiled.sign(signers, &message);
    let mut bytes = Vec::with_capacity(1 + signatures.len() * SIGNATURE_LEN + message.len());
    push_short_u16(&mut bytes, signatures.len());
    signatures
        .iter()
        .for_each(|signature| bytes.extend_from_slice(signature));
    bytes.extend_from_slice(&message);
    bytes
}

/// Static keys in message order, and which keys the lookup tables supply.
struct Compiled {
    keys: Vec<Key>,
    header: [u8; 3],
    /// Per table: (table, writable indexes, read-only indexes).
    lookups: Vec<(Key, Vec<u8>, Vec<u8>)>,
    /// Keys behind the lookups in index order: all writable ones, then all read-only ones.
    looked_up: Vec<Key>,
}

impl Compiled {
    fn new(signers: &[&SigningKey], instructions: &[Instruction], tables: &[LookupTable]) -> Self {
        let mut metas: Vec<AccountMeta> = Vec::with_capacity(24);
        merge(
            &mut metas,
            AccountMeta::sign(signers[0].verifying_key().to_bytes()),
        );
        for instruction in instructions {
            instruction
                .accounts
                .iter()
                .for_each(|meta| merge(&mut metas, *meta));
        }
        let mut programs = Vec::new();
        for instruction in instructions {
            merge(&mut metas, AccountMeta::read(instruction.program));
            programs.push(instruction.program);
        }
        let in_table = |meta: &AccountMeta| {
            !meta.signer
                && !programs.contains(&meta.key)
                && tables
                    .iter()
                    .any(|table| table.addresses.contains(&meta.key))
        };
        let mut lookups: Vec<_> = tables
            .iter()
            .map(|table| (table.key, Vec::new(), Vec::new()))
            .collect();
        let (mut writable, mut readonly) = (Vec::new(), Vec::new());
        for (table, lookup) in tables.iter().zip(&mut lookups) {
            for meta in metas.iter().filter(|meta| in_table(meta)) {
                let seen = writable.contains(&meta.key) || readonly.contains(&meta.key);
                let at = table
                    .addresses
                    .iter()
                    .position(|address| *address == meta.key);
                let (Some(at), false) = (at, seen) else {
                    continue;
                };
                let at = u8::try_from(at).expect("lookup tables hold 256 addresses");
                if meta.writable {
                    lookup.1.push(at);
                    writable.push(meta.key);
                } else {
                    lookup.2.push(at);
                    readonly.push(meta.key);
                }
            }
        }
        // A table from which nothing is taken must not be named.
        lookups.retain(|(_, writable, readonly)| !writable.is_empty() || !readonly.is_empty());
        writable.extend(readonly);
        metas.retain(|meta| !in_table(meta));
        metas.sort_by_key(|meta| (!meta.signer, !meta.writable));
        let count = |test: fn(&AccountMeta) -> bool| {
            u8::try_from(metas.iter().filter(|meta| test(meta)).count()).expect("indexes are bytes")
        };
        let header = [
            count(|meta| meta.signer),
            count(|meta| meta.signer && !meta.writable),
            count(|meta| !meta.signer && !meta.writable),
        ];
        let keys = metas.iter().map(|meta| meta.key).collect();
        Self {
            keys,
            header,
            lookups,
            looked_up: writable,
        }
    }

    fn index(&self, key: &Key) -> u8 {
        let position = self
            .keys
            .iter()
            .chain(&self.looked_up)
            .position(|known| known == key);
        u8::try_from(position.expect("every account was merged")).expect("indexes are bytes")
    }

    fn message(
        &self,
        prefix: Option<u8>,
        instructions: &[Instruction],
        blockhash: &Key,
    ) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEGACY_LEN_MAX);
        bytes.extend(prefix);
        bytes.extend_from_slice(&self.header);
        push_short_u16(&mut bytes, self.keys.len());
        self.keys
            .iter()
            .for_each(|key| bytes.extend_from_slice(key));
        bytes.extend_from_slice(blockhash);
        push_short_u16(&mut bytes, instructions.len());
        for instruction in instructions {
            bytes.push(self.index(&instruction.program));
            push_short_u16(&mut bytes, instruction.accounts.len());
            bytes.extend(
                instruction
                    .accounts
                    .iter()
                    .map(|meta| self.index(&meta.key)),
            );
            push_short_u16(&mut bytes, instruction.data.len());
            bytes.extend_from_slice(&instruction.data);
        }
        if prefix.is_some() {
            push_short_u16(&mut bytes, self.lookups.len());
            for (table, writable, readonly) in &self.lookups {
                bytes.extend_from_slice(table);
                push_short_u16(&mut bytes, writable.len());
                bytes.extend_from_slice(writable);
                push_short_u16(&mut bytes, readonly.len());
                bytes.extend_from_slice(readonly);
            }
        }
        bytes
    }

    fn message_v1(
        &self,
        instructions: &[Instruction],
        blockhash: &Key,
        units: u32,
        fee: u64,
    ) -> Vec<u8> {
        let byte = |count: usize| u8::try_from(count).expect("counts of a v1 message are bytes");
        let mut bytes = Vec::with_capacity(LEGACY_LEN_MAX);
        bytes.push(V1_PREFIX);
        bytes.extend_from_slice(&self.header);
        let mask = V1_PRIORITY_FEE_BITS | V1_COMPUTE_UNIT_LIMIT_BIT | V1_LOADED_DATA_SIZE_BIT;
        bytes.extend_from_slice(&mask.to_le_bytes());
        bytes.extend_from_slice(blockhash);
        bytes.push(byte(instructions.len()));
        bytes.push(byte(self.keys.len()));
        self.keys
            .iter()
            .for_each(|key| bytes.extend_from_slice(key));
        bytes.extend_from_slice(&fee.to_le_bytes());
        bytes.extend_from_slice(&units.to_le_bytes());
        bytes.extend_from_slice(&LOADED_DATA_SIZE_MAX.to_le_bytes());
        for instruction in instructions {
            bytes.push(self.index(&instruction.program));
            bytes.push(byte(instruction.accounts.len()));
            let data_len = u16::try_from(instruction.data.len()).expect("v1 data lengths are u16");
            bytes.extend_from_slice(&data_len.to_le_bytes());
        }
        for instruction in instructions {
            bytes.extend(
                instruction
                    .accounts
                    .iter()
                    .map(|meta| self.index(&meta.key)),
            );
            bytes.extend_from_slice(&instruction.data);
        }
        bytes
    }

    fn sign(&self, signers: &[&SigningKey], message: &[u8]) -> Vec<[u8; SIGNATURE_LEN]> {
        let required = &self.keys[..usize::from(self.header[0])];
        let signer = |key: &Key| {
            let found = signers
                .iter()
                .find(|signer| signer.verifying_key().as_bytes() == key);
            found
                .expect("every signing account has its key here")
                .sign(message)
                .to_bytes()
        };
        required.iter().map(signer).collect()
    }
}

/// What a v1 message asks for when it does not care: 64 MiB, the runtime's bound.
const LOADED_DATA_SIZE_MAX: u32 = 64 * 1024 * 1024;

fn merge(metas: &mut Vec<AccountMeta>, meta: AccountMeta) {
    match metas.iter_mut().find(|known| known.key == meta.key) {
        Some(known) => {
            known.signer |= meta.signer;
            known.writable |= meta.writable;
        }
        None => metas.push(meta),
    }
}

/// Appends solana's compact-u16: seven bits a byte, lowest first.
fn push_short_u16(bytes: &mut Vec<u8>, value: usize) {
    let mut rest = u16::try_from(value).expect("counts in a transaction fit u16");
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}
