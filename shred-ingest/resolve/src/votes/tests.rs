#![allow(clippy::unwrap_used)]

use super::*;
use crate::SourceId;
use proptest::prelude::*;
use shred_wire::FecSetIndex;

/// Instructions as `bincode` 1.3 writes `VoteInstruction` of crate `solana-vote-interface` 6.0.3, made outside this
/// tree, with what was put into them: last voted slot, seed of the bank hash, block id.
type Golden = (&'static str, u64, u8, Option<Root>);

const GOLDEN: [Golden; 11] = [
    // Vote, without a time, VoteSwitch; UpdateVoteState, with a root and a time, ..Switch; CompactUpdateVoteState,
    // ..Switch; TowerSync of 31 lockouts over a root, of two without, ..Switch.
    (
        "020000000300000000000000070000000000000009000000000000000a00000000000000020101010101010101010101 \
         01010101010101010101010101010101010101010100f1536500000000",
        10,
        1,
        None,
    ),
    (
        "020000000300000000000000070000000000000009000000000000000a00000000000000020101010101010101010101 \
         010101010101010101010101010101010101010100",
        10,
        1,
        None,
    ),
    (
        "060000000300000000000000070000000000000009000000000000000a00000000000000020101010101010101010101 \
         0101010101010101010101010101010101010101000a0909090909090909090909090909090909090909090909090909 \
         0909090909",
        10,
        1,
        None,
    ),
    (
        "0800000002000000000000000500000000000000020000002c0100000000000001000000000302020202020202020202 \
         02020202020202020202020202020202020202020200",
        300,
        2,
        None,
    ),
    (
        "0800000002000000000000000500000000000000020000002c0100000000000001000000010400000000000000030202 \
         020202020202020202020202020202020202020202020202020202020201ffffffffffffffff",
        300,
        2,
        None,
    ),
    (
        "0900000002000000000000000500000000000000020000002c0100000000000001000000010400000000000000030202 \
         0202020202020202020202020202020202020202020202020202020202000a0909090909090909090909090909090909 \
         0909090909090909090909090909",
        300,
        2,
        None,
    ),
    (
        "0c000000ffffffffffffffff020502a70201030202020202020202020202020202020202020202020202020202020202 \
         0202010300000000000000",
        300,
        2,
        None,
    ),
    (
        "0d0000000400000000000000020102a70201030202020202020202020202020202020202020202020202020202020202 \
         0202000a09090909090909090909090909090909090909090909090909090909090909",
        300,
        2,
        None,
    ),
    (
        "0e000000583e0f00000000001fe8071f011e011d011c011b011a0119011801170116011501140113011201110110010f \
         010e010d010c010b010a01090108010701060105010401038c2d02c80101040303030303030303030303030303030303 \
         03030303030303030303030303030100f153650000000005040404040404040404040404040404040404040404040404 \
         04040404040404",
        1_006_000,
        3,
        Some(hash(4)),
    ),
    (
        "0e000000ffffffffffffffff020502a70201040303030303030303030303030303030303030303030303030303030303 \
         0303000504040404040404040404040404040404040404040404040404040404040404",
        300,
        3,
        Some(hash(4)),
    ),
    (
        "0f0000000400000000000000020102a70201040303030303030303030303030303030303030303030303030303030303 \
         03030005040404040404040404040404040404040404040404040404040404040404040a090909090909090909090909 \
         09090909090909090909090909090909090909",
        300,
        3,
        Some(hash(4)),
    ),
];

const fn hash(seed: u8) -> [u8; 32] {
    let mut hash = [seed; 32];
    hash[0] = seed + 1;
    hash
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn reads_what_the_official_crate_writes() {
    for (hex, slot, bank_hash, block_id) in GOLDEN {
        let data = bytes(hex);
        let last = LastVote {
            slot,
            bank_hash: hash(bank_hash),
            block_id,
        };
        assert_eq!(LastVote::read(&data), Ok(Some(last)), "{hex}");
        // Every beginning is refused, bytes behind are ignored.
        for len in 0..data.len() {
            assert_eq!(LastVote::read(&data[..len]), Err(Malformed), "{hex} {len}");
        }
        let longer = [&data[..], &[0xff; 3]].concat();
        assert_eq!(LastVote::read(&longer), Ok(Some(last)), "{hex}");
    }
    // UpdateValidatorIdentity, from the same place; a vote for nothing.
    assert_eq!(LastVote::read(&[4, 0, 0, 0]), Ok(None));
    let nothing = [&[2, 0, 0, 0][..], &[0; 8], &[7; 32], &[0]].concat();
    assert_eq!(LastVote::read(&nothing), Ok(None));
}

#[test]
fn refuses_what_the_program_refuses() {
    let compact = |root: u64, lockouts: &[u8]| {
        let root = root.to_le_bytes();
        [&[12, 0, 0, 0], &root[..], lockouts, &[7; 32], &[0]].concat()
    };
    let slot = |data: Vec<u8>| LastVote::read(&data).map(|last| last.map(|last| last.slot));
    assert_eq!(slot(compact(5, &[1, 2, 1])), Ok(Some(7)));
    assert_eq!(slot(compact(u64::MAX, &[1, 2, 1])), Ok(Some(2)));
    assert_eq!(
        slot(compact(u64::MAX - 1, &[1, 2, 1])),
        Err(Malformed),
        "past the last slot"
    );
    assert_eq!(
        slot(compact(5, &[1, 0x82, 0, 1])),
        Err(Malformed),
        "a longer form"
    );
    let long = [&[1][..], &[0xff; 9], &[2, 1]].concat();
    assert_eq!(slot(compact(0, &long)), Err(Malformed), "65 bits");
    let many = [&[32][..], &[1; 64]].concat();
    assert_eq!(slot(compact(0, &many)), Err(Malformed), "32 lockouts");
    let mut huge = [&[2, 0, 0, 0][..], &[0xff; 8]].concat();
    huge.resize(2_000, 1);
    assert_eq!(LastVote::read(&huge), Err(Malformed));
}

/// A legacy transaction: payer `node`, its vote account, the vote program.
fn txn(node: u8, voter: u8, program: [u8; 32], data: &[u8]) -> Vec<u8> {
    [
        &[1][..],
        &[9; 64],
        &[1, 0, 1, 3],
        &[node; 32],
        &[voter; 32],
        &program,
        &[8; 32],
        &[1, 2, 2, 1, 0, data.len() as u8],
        data,
    ]
    .concat()
}

/// A TowerSync for `slot` and the hash of `seed`.
fn tower(slot: u64, seed: u8) -> Vec<u8> {
    let mut data = [&[14, 0, 0, 0][..], &slot.to_le_bytes(), &[1, 0, 1]].concat();
    data.extend(hash(seed));
    data.push(0);
    data.extend(hash(seed + 100));
    data
}

fn stakes(lamports: &[u64]) -> StakeTable {
    let stakes = (1..).zip(lamports).map(|(number, lamports)| Stake {
        voter: [number + 100; 32],
        node: [number; 32],
        lamports: *lamports,
    });
    StakeTable::new(7, stakes).unwrap()
}

struct Count {
    votes: Votes,
    hints: Vec<Hint>,
}

impl Count {
    fn new() -> Self {
        Self {
            votes: Votes::new(),
            hints: Vec::new(),
        }
    }

    fn give(&mut self, bytes: &[u8], slot: u64, stakes: &StakeTable) {
        self.give_as(bytes, slot, stakes, (true, false));
    }

    fn give_as(
        &mut self,
        bytes: &[u8],
        slot: u64,
        stakes: &StakeTable,
        (verified, retracted): (bool, bool),
    ) {
        let txn = ResolvedTxn {
            view: TxnView::parse(bytes).unwrap(),
            slot: Slot(slot),
            parent_slot: Slot(slot.saturating_sub(1)),
            fec_set_index: FecSetIndex(0),
            merkle_root: None,
            verified,
            retracted,
            sequence: 0,
            at: Nanos(5),
            source: SourceId(0),
        };
        let hints = &mut self.hints;
        self.votes
            .transaction(&txn, stakes, &mut |hint| hints.push(*hint));
    }

    /// Voter `number` votes for `slot` and `seed` in the block of the next slot.
    fn vote(&mut self, number: u8, slot: u64, seed: u8, stakes: &StakeTable) {
        let bytes = txn(number, number + 100, VOTE_PROGRAM, &tower(slot, seed));
        self.give(&bytes, slot + 1, stakes);
    }
}

/// Goal: more than a third and more than two thirds, told once each, exact to the lamport.
#[test]
fn quorums_are_told_once_when_they_are_passed() {
    let stakes = stakes(&[30, 30, 30, 1, 8]);
    let mut count = Count::new();
    count.vote(1, 50, 1, &stakes);
    assert_eq!(count.hints, []);
    // 33 of 99 is a third, and not more.
    let third = stakes_of(&[33, 33, 1, 32]);
    let mut exact = Count::new();
    exact.vote(1, 50, 1, &third);
    assert_eq!(exact.hints, []);
    exact.vote(3, 50, 1, &third);
    assert_eq!(exact.hints.len(), 1);
    count.vote(2, 50, 1, &stakes);
    let hint = Hint {
        quorum: Quorum::Third,
        slot: Slot(50),
        bank_hash: hash(1),
        block_id: Some(hash(101)),
        stake: 60,
        total: 99,
        at: Nanos(5),
    };
    assert_eq!(count.hints, [hint]);
    // The same voters again, and another hash, add nothing.
    count.vote(1, 50, 1, &stakes);
    count.vote(2, 50, 2, &stakes);
    count.vote(5, 50, 2, &stakes);
    assert_eq!(count.hints.len(), 1);
    assert_eq!(count.votes.newest(), None);
    count.vote(3, 50, 1, &stakes);
    let most = Hint {
        quorum: Quorum::TwoThirds,
        stake: 90,
        ..hint
    };
    assert_eq!(count.hints, [hint, most]);
    count.vote(4, 50, 1, &stakes);
    assert_eq!(count.hints.len(), 2);
    assert_eq!(count.votes.newest(), Some(Slot(50)));
    let counted = count.votes.counters();
    assert_eq!((counted.vote_counted, counted.vote_repeated), (5, 2));
    // One voter with it all passes both at once.
    let mut alone = Count::new();
    alone.vote(1, 60, 1, &stakes_of(&[u64::MAX]));
    let quorums: Vec<_> = alone.hints.iter().map(|hint| hint.quorum).collect();
    assert_eq!(quorums, [Quorum::Third, Quorum::TwoThirds]);
}

fn stakes_of(lamports: &[u64]) -> StakeTable {
    stakes(lamports)
}

/// Goal: each way of making votes up is refused under its own reason.
#[test]
fn what_anybody_could_write_is_not_counted() {
    let stakes = stakes(&[50, 50]);
    let mut count = Count::new();
    let good = txn(1, 101, VOTE_PROGRAM, &tower(50, 1));
    count.give_as(&good, 51, &stakes, (false, false));
    count.give_as(&good, 51, &stakes, (true, true));
    count.give(&txn(1, 150, VOTE_PROGRAM, &tower(50, 1)), 51, &stakes);
    // Paid for by somebody else than the node of account 2.
    count.give(&txn(1, 102, VOTE_PROGRAM, &tower(50, 1)), 51, &stakes);
    count.give(&good, 50, &stakes);
    count.give(&good, 49, &stakes);
    count.give(&good, 50 + SLOTS as u64, &stakes);
    count.give(
        &txn(1, 101, VOTE_PROGRAM, &tower(u64::MAX - 1, 1)),
        51,
        &stakes,
    );
    count.give(&txn(1, 101, VOTE_PROGRAM, &[14, 0, 0, 0]), 51, &stakes);
    count.give(&txn(1, 101, [5; 32], &tower(50, 1)), 51, &stakes);
    count.give(&txn(1, 101, VOTE_PROGRAM, &[4, 0, 0, 0]), 51, &stakes);
    count.give(&good, 51, &StakeTable::empty());
    assert_eq!(count.hints, []);
    assert_eq!(
        *count.votes.counters(),
        VoteCounters {
            vote_unauthenticated: 2,
            voter_unknown: 2,
            vote_unsigned: 1,
            vote_out_of_range: 4,
            vote_malformed: 1,
            ..VoteCounters::default()
        }
    );
    count.give(&good, 51, &stakes);
    assert_eq!(count.votes.counters().vote_counted, 1);
}

/// Goal: small voters that each make up a hash cannot push out the one that counts, and a slot gives way to the one a
/// ring above it and to no lower one.
#[test]
fn memory_is_bounded_and_the_heaviest_hash_stays() {
    let mut lamports = vec![1; 40];
    lamports[0] = 1_000;
    lamports[1] = 1_000;
    let stakes = stakes(&lamports);
    let mut count = Count::new();
    count.vote(1, 50, 1, &stakes);
    for voter in 3..=40 {
        count.vote(voter, 50, voter, &stakes);
    }
    count.vote(2, 50, 1, &stakes);
    assert_eq!(count.votes.newest(), Some(Slot(50)));
    assert_eq!(
        count.votes.counters().hash_displaced,
        38 - (HASHES as u64 - 1)
    );
    let above = 50 + SLOTS as u64;
    count.vote(1, above, 1, &stakes);
    count.vote(3, 50, 1, &stakes);
    assert_eq!(count.votes.counters().vote_out_of_range, 1);
    count.vote(2, above, 1, &stakes);
    assert_eq!(count.votes.newest(), Some(Slot(above)));
}

#[test]
fn another_table_starts_again() {
    let mut count = Count::new();
    let before = stakes(&[50, 50, 50]);
    count.vote(1, 50, 1, &before);
    count.vote(2, 50, 1, &before);
    assert_eq!(count.hints.len(), 1);
    let after = stakes(&[10, 100, 100]);
    count.vote(1, 50, 1, &after);
    count.vote(2, 50, 1, &after);
    assert_eq!(count.hints.len(), 2);
    assert_eq!(count.hints[1].stake, 110);
    // Even if it has the same sum.
    let moved = stakes(&[100, 10, 100]);
    count.vote(1, 50, 1, &moved);
    assert_eq!(count.hints.len(), 3);
    assert_eq!(count.hints[2].stake, 100);
}

#[test]
fn stake_tables_that_cannot_be_right_are_refused() {
    let stake = |voter: u16, lamports| {
        let mut key = [0; 32];
        key[..2].copy_from_slice(&voter.to_le_bytes());
        Stake {
            voter: key,
            node: key,
            lamports,
        }
    };
    let many = |count: u16| StakeTable::new(0, (0..count).map(|voter| stake(voter, 1)));
    assert_eq!(many(VOTERS_MAX as u16).unwrap().voter_count(), VOTERS_MAX);
    assert_eq!(many(VOTERS_MAX as u16 + 1), Err(StakeReject::TooManyVoters));
    assert_eq!(StakeTable::new(0, [stake(1, 0)]), Err(StakeReject::Empty));
    let twice = StakeTable::new(0, [stake(1, 1), stake(1, 2)]);
    assert_eq!(twice, Err(StakeReject::TwiceNamed));
    let over = StakeTable::new(0, [stake(1, u64::MAX), stake(2, 1)]);
    assert_eq!(over, Err(StakeReject::Overflow));
    assert!(!StakeReject::Overflow.to_string().is_empty());
}

proptest! {
    #[test]
    fn total_on_any_bytes(variant in 0..20u32, tail in prop::collection::vec(any::<u8>(), 0..300)) {
        let data = [&variant.to_le_bytes()[..], &tail].concat();
        let read = LastVote::read(&data);
        prop_assert!(matches!(variant, 2 | 6 | 8 | 9 | 12..=15) || read == Ok(None));
    }

    /// One byte of a good vote changed: another vote or none, never a panic, and never two counts for one voter.
    #[test]
    fn total_on_damaged_votes(golden in 0..GOLDEN.len(), at in 0..200usize, byte: u8, slot in 0..400u64) {
        let mut data = bytes(GOLDEN[golden].0);
        let at = at % data.len();
        data[at] = byte;
        let stakes = stakes(&[5, 5]);
        let mut count = Count::new();
        let bytes = [
            &[1][..], &[9; 64], &[1, 0, 1, 3], &[1; 32], &[101; 32], &VOTE_PROGRAM, &[8; 32],
            &[1, 2, 2, 1, 0, data.len() as u8 & 0x7f | if data.len() > 127 { 0x80 } else { 0 }],
            if data.len() > 127 { &[1] } else { &[] }, &data,
        ].concat();
        count.give(&bytes, slot, &stakes);
        count.give(&bytes, slot, &stakes);
        prop_assert!(count.votes.counters().vote_counted <= 1);
    }
}
