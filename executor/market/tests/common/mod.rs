//! Transactions around the instructions that the official package built (`data/pump_instructions.txt`).
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part"
)]

use market::Key;

const FIXTURES: &str = include_str!("../data/pump_instructions.txt");

/// One instruction as its builder made it.
#[derive(Clone)]
pub struct Instruction {
    pub program: Key,
    pub data: Vec<u8>,
    pub accounts: Vec<(Key, bool, bool)>,
}

/// The instruction called `name`.
pub fn instruction(name: &str) -> Instruction {
    instruction_in(FIXTURES, name)
}

/// The instruction called `name` of another file like `data/pump_instructions.txt`.
pub fn instruction_in(fixtures: &str, name: &str) -> Instruction {
    let line = fixtures
        .lines()
        .find(|line| line.split(' ').next() == Some(name))
        .unwrap();
    let cells: Vec<&str> = line.split(' ').collect();
    let account = |cell: &str| {
        let (address, flags) = cell.split_at(64);
        (key(address), flags.contains('s'), flags.contains('w'))
    };
    Instruction {
        program: key(cells[1]),
        data: bytes(cells[2]),
        accounts: cells[3].split(',').map(account).collect(),
    }
}

/// The derived address called `name`.
pub fn derived(name: &str) -> Key {
    derived_in(FIXTURES, name)
}

/// The derived address called `name` of another such file.
pub fn derived_in(fixtures: &str, name: &str) -> Key {
    let line = fixtures
        .lines()
        .find(|line| line.starts_with(&format!("key {name} ")))
        .unwrap();
    key(line.split(' ').nth(2).unwrap())
}

/// A transaction of `instructions`. Keys for which `looked_up` is true go behind a lookup table, which makes
/// it v0; otherwise it is legacy.
pub fn transaction(instructions: &[Instruction], looked_up: impl Fn(&Key) -> bool) -> Vec<u8> {
    let mut metas: Vec<(Key, bool, bool)> = Vec::new();
    let programs = instructions
        .iter()
        .map(|instruction| (instruction.program, false, false));
    for (key, signer, writable) in instructions
        .iter()
        .flat_map(|i| i.accounts.clone())
        .chain(programs)
    {
        match metas.iter_mut().find(|(known, ..)| *known == key) {
            Some(known) => (known.1, known.2) = (known.1 || signer, known.2 || writable),
            None => metas.push((key, signer, writable)),
        }
    }
    let is_program = |key: &Key| {
        instructions
            .iter()
            .any(|instruction| instruction.program == *key)
    };
    let (mut hidden, mut shown): (Vec<_>, Vec<_>) = metas
        .into_iter()
        .partition(|(key, signer, _)| !signer && !is_program(key) && looked_up(key));
    shown.sort_by_key(|(_, signer, writable)| (!signer, !writable));
    hidden.sort_by_key(|(_, _, writable)| !writable);

    let order: Vec<Key> = shown.iter().chain(&hidden).map(|(key, ..)| *key).collect();
    let index = |key: &Key| order.iter().position(|known| known == key).unwrap() as u8;
    let count = |signer: bool, writable: bool| {
        shown
            .iter()
            .filter(|(_, s, w)| *s == signer && *w == writable)
            .count() as u8
    };
    let signature_count = count(true, true) + count(true, false);
    let mut out = vec![signature_count];
    for signature in 0..signature_count {
        out.extend([0xa0 + signature; 64]);
    }
    if !hidden.is_empty() {
        out.push(0x80);
    }
    out.extend([
        signature_count,
        count(true, false),
        count(false, false),
        shown.len() as u8,
    ]);
    shown.iter().for_each(|(key, ..)| out.extend(key));
    out.extend([0xbb; 32]);
    out.push(instructions.len() as u8);
    for instruction in instructions {
        out.extend([
            index(&instruction.program),
            instruction.accounts.len() as u8,
        ]);
        out.extend(instruction.accounts.iter().map(|(key, ..)| index(key)));
        short_u16(&mut out, instruction.data.len());
        out.extend(&instruction.data);
    }
    if !hidden.is_empty() {
        let writable = hidden.iter().filter(|(_, _, writable)| *writable).count();
        out.push(1);
        out.extend([0xcc; 32]);
        out.push(writable as u8);
        out.extend(0..writable as u8);
        out.push((hidden.len() - writable) as u8);
        out.extend(writable as u8..hidden.len() as u8);
    }
    out
}

fn short_u16(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn key(hex: &str) -> Key {
    bytes(hex).try_into().unwrap()
}

/// The bytes that `hex` spells.
pub fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
