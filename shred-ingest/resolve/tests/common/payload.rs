//! Transactions, entries and markers to put into batches.

use shred_wire::batch::ABORT;

/// A signature that says which transaction it is.
pub fn signature(id: u64) -> [u8; 64] {
    let mut signature = [0x5a; 64];
    signature[..8].copy_from_slice(&id.to_le_bytes());
    signature
}

pub fn id_of(signature: &[u8; 64]) -> u64 {
    u64::from_le_bytes(*signature.first_chunk().unwrap())
}

fn short(len: usize) -> Vec<u8> {
    match len {
        0..=0x7f => vec![len as u8],
        0x80..=0x3fff => vec![len as u8 | 0x80, (len >> 7) as u8],
        _ => vec![len as u8 | 0x80, (len >> 7) as u8 | 0x80, (len >> 14) as u8],
    }
}

fn data(id: u64, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u64 * 31).wrapping_add(id) as u8)
        .collect()
}

const HEADER: [u8; 3] = [1, 0, 1];
const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn body(id: u64, data_len: usize) -> Vec<u8> {
    [
        &HEADER[..],
        &[2],
        &KEYS.concat(),
        &[9; 32],
        &[1, 1, 0],
        &short(data_len),
        &data(id, data_len),
    ]
    .concat()
}

pub fn legacy(id: u64, data_len: usize) -> Vec<u8> {
    [&[1][..], &signature(id), &body(id, data_len)].concat()
}

pub fn v0(id: u64, data_len: usize) -> Vec<u8> {
    [&[1][..], &signature(id), &[0x80], &body(id, data_len), &[0]].concat()
}

pub fn v1(id: u64, data_len: usize) -> Vec<u8> {
    let head = [
        &[0x81][..],
        &HEADER,
        &[0; 4],
        &[9; 32],
        &[1, 2],
        &KEYS.concat(),
    ]
    .concat();
    let instruction = [
        &[1, 0][..],
        &(data_len as u16).to_le_bytes(),
        &data(id, data_len),
    ]
    .concat();
    [head, instruction, signature(id).to_vec()].concat()
}

/// A v1 transaction of `len` bytes in all.
pub fn v1_of_len(id: u64, len: usize) -> Vec<u8> {
    let txn = v1(id, len - v1(id, 0).len());
    assert_eq!(txn.len(), len);
    txn
}

pub fn entry(hash: u8, txns: &[Vec<u8>]) -> Vec<u8> {
    let count = (txns.len() as u64).to_le_bytes();
    [&7u64.to_le_bytes()[..], &[hash; 32], &count, &txns.concat()].concat()
}

pub fn batch(entries: &[Vec<u8>]) -> Vec<u8> {
    [&(entries.len() as u64).to_le_bytes()[..], &entries.concat()].concat()
}

/// One entry with `txns`.
pub fn one_entry(txns: &[Vec<u8>]) -> Vec<u8> {
    batch(&[entry(1, txns)])
}

/// `count` ticks, the last with `hash`.
pub fn ticks(count: u8, hash: u8) -> Vec<u8> {
    batch(
        &(1..=count)
            .map(|tick| entry(if tick == count { hash } else { tick }, &[]))
            .collect::<Vec<_>>(),
    )
}

fn marker(variant: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_le_bytes();
    [&ABORT[..], &[1, 0, variant], &len, payload].concat()
}

pub fn header(parent: u64) -> Vec<u8> {
    marker(1, &[&[1][..], &parent.to_le_bytes(), &[7; 32]].concat())
}

pub fn update_parent(parent: u64) -> Vec<u8> {
    marker(2, &[&[1][..], &parent.to_le_bytes(), &[7; 32]].concat())
}

pub fn footer() -> Vec<u8> {
    marker(
        0,
        &[&[1][..], &[8; 32], &[0; 8], &[4], b"frog", &[0, 0]].concat(),
    )
}
