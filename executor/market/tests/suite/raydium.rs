//! What the tests of Raydium's three venues share: an instruction in, what it asks of a pool out; account bytes.

use crate::common::{Instruction, transaction};
use market::{DecodeReject, Key, LookupTables, MarketEvent, PoolCall, Program, decode};
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

/// The account at `position` in [`call`]'s instructions.
pub(crate) fn account(position: usize) -> Key {
    [position as u8 + 1; 32]
}

/// What `program` is asked by `data` with `count` accounts, each [`account`] of its position, of which these sign.
/// Accounts that do not fit a transaction are behind a known lookup table.
pub(crate) fn call(
    program: Program,
    data: &[u8],
    count: usize,
    signers: &[usize],
) -> Result<PoolCall, DecodeReject> {
    const FIT: usize = 20;
    let keys: Vec<Key> = (0..count).map(account).collect();
    let rest: Vec<Key> = (0..count)
        .filter(|position| count > FIT && !signers.contains(position))
        .map(account)
        .collect();
    let tables = LookupTables::new([(TABLE, &rest[..])]);
    decoded(program, data, &keys, signers, &tables, |key| {
        rest.contains(key)
    })
}

/// As [`call`] with these accounts, those for which `hidden` is true behind an unknown lookup table.
pub(crate) fn call_with(
    program: Program,
    data: &[u8],
    keys: &[Key],
    signers: &[usize],
    hidden: impl Fn(&Key) -> bool,
) -> Result<PoolCall, DecodeReject> {
    decoded(program, data, keys, signers, &LookupTables::none(), hidden)
}

/// As [`call`] with an instruction somebody built.
pub(crate) fn call_built(built: &Instruction) -> Result<PoolCall, DecodeReject> {
    let program = Program::of(&built.program).unwrap();
    let keys: Vec<Key> = built.accounts.iter().map(|(key, ..)| *key).collect();
    let accounts = built.accounts.iter().enumerate();
    let signers: Vec<usize> = accounts
        .filter_map(|(at, (_, signs, _))| signs.then_some(at))
        .collect();
    let tables = LookupTables::none();
    decoded(program, &built.data, &keys, &signers, &tables, |_| false)
}

/// The lookup table that `common::transaction` names.
const TABLE: Key = [0xcc; 32];
const REASONS: &[DecodeReject] = &[
    DecodeReject::OtherInstruction,
    DecodeReject::ShortData,
    DecodeReject::MissingAccounts,
    DecodeReject::SignerUnresolved,
    DecodeReject::BadArgument,
];

fn decoded(
    program: Program,
    data: &[u8],
    keys: &[Key],
    signers: &[usize],
    tables: &LookupTables,
    hidden: impl Fn(&Key) -> bool,
) -> Result<PoolCall, DecodeReject> {
    let accounts = keys.iter().enumerate();
    let accounts = accounts.map(|(position, key)| (*key, signers.contains(&position), true));
    // Someone has to sign and pay, whatever the instruction names.
    let payer = Instruction {
        program: [0xfe; 32],
        data: Vec::new(),
        accounts: vec![([0xff; 32], true, true)],
    };
    let instruction = Instruction {
        program: *program.id(),
        data: data.to_vec(),
        accounts: accounts.collect(),
    };
    let bytes = transaction(&[payer, instruction], hidden);
    let view = TxnView::parse(&bytes).unwrap();
    let mut calls = Vec::new();
    let decoded = decode(&view, tables, Slot(7), Nanos(9), &mut |event| match event {
        MarketEvent::Pool(pool) => {
            assert_eq!((pool.program, pool.inferred_from), (program, None));
            assert_eq!((pool.slot, pool.at), (Slot(7), Nanos(9)));
            calls.push(pool.call);
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(decoded.event_count as usize, calls.len());
    assert_eq!(
        decoded.event_count + decoded.rejected.iter().sum::<u32>(),
        1
    );
    let reason = decoded.rejected.iter().position(|count| *count == 1);
    calls.pop().ok_or_else(|| REASONS[reason.unwrap()])
}

/// Instruction data: `head`, then the numbers, little end first.
pub(crate) fn data(head: &[u8], numbers: &[u64]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
    head.iter().copied().chain(numbers).collect()
}

/// An account of `len` zero bytes with these parts written over it.
pub(crate) fn account_data(len: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut data = vec![0; len];
    for (at, part) in parts {
        data[*at..*at + part.len()].copy_from_slice(part);
    }
    data
}

/// The lines of a golden file that are not comments, each as its words.
pub(crate) fn golden(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect())
}

/// A number of a golden file.
#[track_caller]
pub(crate) fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(word: &str) -> T {
    word.parse().unwrap()
}
