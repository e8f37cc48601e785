//! Votes seen in our own shreds, counted by stake: a hint of confirmation that is early and asks nobody.
//!
//! A hint, not a confirmation. It is counted from vote transactions *included* in blocks: whether they *succeeded* is
//! not known to somebody who executes nothing, votes that travel by gossip only are missing, and stake is as old as the
//! table. What makes a hint hard to fake all the same: a vote counts only from an authenticated part of a block that
//! was not retracted, only for an account in the stake table, only when that account's node identity is among the
//! signers (whose signatures a valid block needs), only for a slot below the block's own, and once per voter and slot.
//! Nothing may be booked on it.
//!
//! Agave's own optimistic confirmation is the same sum over the same last voted slots and bank hashes, at more than two
//! thirds (`cluster_info_vote_listener.rs`, `VOTE_THRESHOLD_SIZE`), with votes from gossip and from executed
//! transactions.

use crate::merkle::Root;
use crate::sink::ResolvedTxn;
use shred_wire::short_u16::{self, Decoded};
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};
use std::hash::{DefaultHasher, Hasher as _};

/// `Vote111111111111111111111111111111111111111`.
pub const VOTE_PROGRAM: [u8; 32] = [
    0x07, 0x61, 0x48, 0x1d, 0x35, 0x74, 0x74, 0xbb, 0x7c, 0x4d, 0x76, 0x24, 0xeb, 0xd3, 0xbd, 0xb3,
    0xd8, 0x35, 0x5e, 0x73, 0xd1, 0x10, 0x43, 0xfc, 0x0d, 0xa3, 0x53, 0x80, 0, 0, 0, 0,
];
/// Most voters a stake table holds: several times mainnet's.
pub const VOTERS_MAX: usize = 8_192;
/// Slots whose votes are counted at once.
const SLOTS: usize = 128;
/// Bank hashes told apart per slot. Each voter brings one at most; the one with the least stake gives way.
const HASHES: usize = 8;
/// Most lockouts of a vote that are read; the program allows 31 (`MAX_LOCKOUT_HISTORY`).
const LOCKOUTS_MAX: usize = 31;

/// What a vote transaction says of its last voted slot.
///
/// Layouts: crate `solana-vote-interface` 6.0.3, `VoteInstruction` in bincode (variant as `u32`, integers
/// little-endian, `Option` a byte):
///
/// ```text
///  2 Vote, 6 VoteSwitch                    u64 count | slot u64 each | hash 32 | Option<i64>
///  8 UpdateVoteState, 9 ..Switch           u64 count | { slot u64, confirmations u32 } | Option<u64> root | hash 32 | ..
/// 12 CompactUpdateVoteState, 13 ..Switch   root u64 | cu16 count | { LEB128 offset, confirmations u8 } | hash 32 |
///                                          Option<i64>
/// 14 TowerSync, 15 ..Switch                the same, and then block id 32
/// ```
///
/// The switch forms have a proof hash of 32 bytes behind. In the compact forms each slot is the one before it, at first
/// the root (0 when that is `u64::MAX`, none), plus an offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeenVote {
    /// The vote account.
    pub voter: [u8; 32],
    /// The last slot voted for.
    pub slot: Slot,
    /// Its bank's hash, in the voter's view.
    pub bank_hash: [u8; 32],
    /// Its block's id, in the two newest forms.
    pub block_id: Option<Root>,
}

impl SeenVote {
    /// The vote of a vote transaction, which is one whose first instruction is a vote (agave `vote_parser.rs`).
    ///
    /// `None` when it is no vote transaction. Total; cost: up to 31 lockouts.
    #[inline]
    #[must_use]
    pub fn of(view: &TxnView<'_>) -> Option<Result<Self, Malformed>> {
        let first = view.instructions().next()?;
        let keys = view.keys();
        if *keys.get(usize::from(first.program_index))? != VOTE_PROGRAM {
            return None;
        }
        let voter = first.accounts.first();
        let voter = voter.and_then(|index| keys.get(usize::from(*index)));
        match (LastVote::read(first.data), voter) {
            (Ok(None), _) => None,
            (Ok(Some(last)), Some(voter)) => Some(Ok(Self {
                voter: *voter,
                slot: Slot(last.slot),
                bank_hash: last.bank_hash,
                block_id: last.block_id,
            })),
            _ => Some(Err(Malformed)),
        }
    }
}

/// A vote instruction that the vote program would refuse to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct LastVote {
    slot: u64,
    bank_hash: [u8; 32],
    block_id: Option<Root>,
}

impl LastVote {
    /// `Ok(None)`: an instruction of the vote program that votes for nothing.
    fn read(data: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut bytes = Bytes(data);
        let variant = u32::from_le_bytes(bytes.take()?);
        let (slot, bank_hash) = match variant {
            2 | 6 => (bytes.plain_slots()?, bytes.take()?),
            8 | 9 => {
                let slot = bytes.plain_lockouts()?;
                if bytes.option()? {
                    bytes.take::<8>()?;
                }
                (slot, bytes.take()?)
            }
            12..=15 => (bytes.compact_lockouts()?, bytes.take()?),
            _ => return Ok(None),
        };
        if bytes.option()? {
            bytes.take::<8>()?;
        }
        let block_id = match variant {
            14 | 15 => Some(bytes.take()?),
            _ => None,
        };
        if matches!(variant, 6 | 9 | 13 | 15) {
            bytes.take::<32>()?;
        }
        // A vote for no slot votes for nothing; bytes behind are ignored, as the program does.
        Ok(slot.map(|slot| Self {
            slot,
            bank_hash,
            block_id,
        }))
    }
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn option(&mut self) -> Result<bool, Malformed> {
        match self.take()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(u64::from_le_bytes(self.take()?))
            .ok()
            .filter(|count| *count <= LOCKOUTS_MAX)
            .ok_or(Malformed)
    }

    fn plain_slots(&mut self) -> Result<Option<u64>, Malformed> {
        let mut last = None;
        for _ in 0..self.count()? {
            last = Some(u64::from_le_bytes(self.take()?));
        }
        Ok(last)
    }

    fn plain_lockouts(&mut self) -> Result<Option<u64>, Malformed> {
        let mut last = None;
        for _ in 0..self.count()? {
            last = Some(u64::from_le_bytes(self.take()?));
            self.take::<4>()?;
        }
        Ok(last)
    }

    fn compact_lockouts(&mut self) -> Result<Option<u64>, Malformed> {
        let root = u64::from_le_bytes(self.take()?);
        let Ok(Decoded::Done { value, len }) = short_u16::decode(self.0) else {
            return Err(Malformed);
        };
        self.0 = self.0.get(len..).ok_or(Malformed)?;
        if usize::from(value) > LOCKOUTS_MAX {
            return Err(Malformed);
        }
        let mut slot = if root == u64::MAX { 0 } else { root };
        for _ in 0..value {
            slot = slot.checked_add(self.leb128()?).ok_or(Malformed)?;
            self.take::<1>()?;
        }
        Ok((value > 0).then_some(slot))
    }

    /// Seven bits a byte, least significant first (`solana-serde-varint`).
    fn leb128(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.take()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte of zero is a longer form of what has a shorter one.
                return if byte == 0 && shift > 0 {
                    Err(Malformed)
                } else {
                    Ok(value)
                };
            }
        }
        Err(Malformed)
    }
}

/// What a voter weighs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stake {
    /// The vote account.
    pub voter: [u8; 32],
    /// The identity of its node, which pays for and signs its votes.
    pub node: [u8; 32],
    /// Lamports delegated to it and active.
    pub lamports: u64,
}

/// Why a stake table cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StakeReject {
    /// No stake at all.
    Empty,
    /// More voters than [`VOTERS_MAX`].
    TooManyVoters,
    /// A voter stands in it twice.
    TwiceNamed,
    /// The sum passes `u64::MAX`.
    Overflow,
}

impl std::fmt::Display for StakeReject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "nobody in it has any stake",
            Self::TooManyVoters => "more than 8192 voters have stake",
            Self::TwiceNamed => "a vote account stands in it twice",
            Self::Overflow => "the stakes' sum passes 2^64 lamports",
        })
    }
}

impl std::error::Error for StakeReject {}

/// Who votes with how much: a snapshot, sorted by vote account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StakeTable {
    stakes: Box<[Stake]>,
    total: u64,
    epoch: u64,
    /// Of all of it: tells tables apart.
    fingerprint: u64,
}

impl StakeTable {
    /// A table in which nobody has any stake: nothing is counted.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// From the stakes of `epoch` in any order; those of nothing are left out.
    ///
    /// # Errors
    /// [`StakeReject`].
    pub fn new(epoch: u64, stakes: impl IntoIterator<Item = Stake>) -> Result<Self, StakeReject> {
        let staked = stakes.into_iter().filter(|stake| stake.lamports > 0);
        // One more than is allowed is enough to refuse it.
        let mut stakes: Vec<Stake> = staked.take(VOTERS_MAX + 1).collect();
        if stakes.is_empty() {
            return Err(StakeReject::Empty);
        }
        if stakes.len() > VOTERS_MAX {
            return Err(StakeReject::TooManyVoters);
        }
        stakes.sort_unstable_by_key(|stake| stake.voter);
        if stakes.windows(2).any(|pair| pair[0].voter == pair[1].voter) {
            return Err(StakeReject::TwiceNamed);
        }
        let total = stakes
            .iter()
            .try_fold(0u64, |sum, stake| sum.checked_add(stake.lamports))
            .ok_or(StakeReject::Overflow)?;
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(epoch);
        for stake in &stakes {
            hasher.write(&stake.voter);
            hasher.write_u64(stake.lamports);
        }
        Ok(Self {
            stakes: stakes.into(),
            total,
            epoch,
            fingerprint: hasher.finish(),
        })
    }

    /// All stake, lamports.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The epoch it is of.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Voters with stake.
    #[must_use]
    pub const fn voter_count(&self) -> usize {
        self.stakes.len()
    }

    /// A voter's number and stake. Cost: a binary search.
    #[must_use]
    pub fn get(&self, voter: &[u8; 32]) -> Option<(usize, &Stake)> {
        let found = self.stakes.binary_search_by_key(voter, |stake| stake.voter);
        let number = found.ok()?;
        Some((number, &self.stakes[number]))
    }
}

/// How much of the stake was seen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Quorum {
    /// More than a third: no other block of the slot can get two thirds without somebody being slashable.
    Third,
    /// More than two thirds: what agave calls optimistically confirmed, were all these votes good.
    TwoThirds,
}

/// So much stake is seen to have voted for a bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hint {
    /// How much.
    pub quorum: Quorum,
    /// The bank's slot.
    pub slot: Slot,
    /// The bank's hash.
    pub bank_hash: [u8; 32],
    /// The id of its block, if the vote that made the quorum told it: the older forms do not, and a validator that does
    /// not know it writes zeros.
    pub block_id: Option<Root>,
    /// Lamports counted.
    pub stake: u64,
    /// Lamports there are.
    pub total: u64,
    /// Stamp of the datagram that made the vote known.
    pub at: Nanos,
}

/// How often. Plain numbers: one thread writes, snapshots are copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct VoteCounters {
    /// Votes counted.
    pub vote_counted: u64,
    /// Votes that were no legal instruction.
    pub vote_malformed: u64,
    /// Votes in parts of blocks that are unverified or void.
    pub vote_unauthenticated: u64,
    /// Votes of accounts without stake.
    pub voter_unknown: u64,
    /// Votes that the account's node did not sign.
    pub vote_unsigned: u64,
    /// Votes for a slot that is not below the block's own, or too far below.
    pub vote_out_of_range: u64,
    /// Further votes of a voter for a slot. Not a fault: several versions and forks include the same vote.
    pub vote_repeated: u64,
    /// Bank hashes that gave way to others, with the stake counted for them.
    pub hash_displaced: u64,
    /// Bank hashes that more than a third of the stake is seen to have voted for.
    pub third_hinted: u64,
    /// Bank hashes that more than two thirds of the stake is seen to have voted for.
    pub two_thirds_hinted: u64,
}

impl VoteCounters {
    /// All of them by name, in the order of the fields.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 10] {
        [
            ("vote_counted", self.vote_counted),
            ("vote_malformed", self.vote_malformed),
            ("vote_unauthenticated", self.vote_unauthenticated),
            ("voter_unknown", self.voter_unknown),
            ("vote_unsigned", self.vote_unsigned),
            ("vote_out_of_range", self.vote_out_of_range),
            ("vote_repeated", self.vote_repeated),
            ("hash_displaced", self.hash_displaced),
            ("third_hinted", self.third_hinted),
            ("two_thirds_hinted", self.two_thirds_hinted),
        ]
    }
}

#[derive(Clone, Copy)]
struct Tally {
    bank_hash: [u8; 32],
    stake: u64,
}

struct SlotTally {
    slot: Slot,
    used: bool,
    hashes: [Tally; HASHES],
    hash_count: usize,
    voted: [u64; VOTERS_MAX / 64],
}

/// Counts votes. 180 kB, taken at construction.
pub struct Votes {
    ring: Box<[SlotTally]>,
    /// Fingerprint of the table that was counted by.
    by: u64,
    newest: Option<Slot>,
    counters: VoteCounters,
}

impl Default for Votes {
    fn default() -> Self {
        Self::new()
    }
}

impl Votes {
    /// Takes its memory.
    #[must_use]
    pub fn new() -> Self {
        let vacant = || SlotTally {
            slot: Slot(0),
            used: false,
            hashes: [Tally {
                bank_hash: [0; 32],
                stake: 0,
            }; HASHES],
            hash_count: 0,
            voted: [0; VOTERS_MAX / 64],
        };
        Self {
            ring: std::iter::repeat_with(vacant).take(SLOTS).collect(),
            by: 0,
            newest: None,
            counters: VoteCounters::default(),
        }
    }

    /// What has been seen so far.
    #[must_use]
    pub const fn counters(&self) -> &VoteCounters {
        &self.counters
    }

    /// The highest slot that more than two thirds of the stake is seen to have voted for.
    #[must_use]
    pub const fn newest(&self) -> Option<Slot> {
        self.newest
    }

    /// Counts a transaction, if it is a vote; `hint` is called for each quorum that it makes.
    ///
    /// With another table than before all counting starts again: a voter's number is its place in the table.
    ///
    /// Cost: nothing else than a comparison of keys for other transactions; up to 31 lockouts, a binary search and a few
    /// comparisons of hashes for a vote.
    #[inline]
    pub fn transaction(
        &mut self,
        txn: &ResolvedTxn<'_>,
        stakes: &StakeTable,
        hint: &mut impl FnMut(&Hint),
    ) {
        match SeenVote::of(&txn.view) {
            None => {}
            Some(Err(Malformed)) => self.counters.vote_malformed += 1,
            Some(Ok(vote)) => self.vote(&vote, txn, stakes, hint),
        }
    }

    fn vote(
        &mut self,
        vote: &SeenVote,
        txn: &ResolvedTxn<'_>,
        stakes: &StakeTable,
        hint: &mut impl FnMut(&Hint),
    ) {
        if !txn.verified || txn.retracted {
            self.counters.vote_unauthenticated += 1;
            return;
        }
        let Some((number, stake)) = stakes.get(&vote.voter) else {
            self.counters.voter_unknown += 1;
            return;
        };
        let signers = txn.view.required_signature_count();
        if !txn
            .view
            .keys()
            .iter()
            .take(signers)
            .any(|key| *key == stake.node)
        {
            self.counters.vote_unsigned += 1;
            return;
        }
        if vote.slot >= txn.slot || txn.slot.0 - vote.slot.0 >= SLOTS as u64 {
            self.counters.vote_out_of_range += 1;
            return;
        }
        if self.by != stakes.fingerprint {
            self.by = stakes.fingerprint;
            for tally in &mut self.ring {
                tally.used = false;
            }
        }
        let Some((before, after)) = self.count(vote, number, stake.lamports) else {
            return;
        };
        let total = stakes.total;
        for (quorum, thirds) in [(Quorum::Third, 1), (Quorum::TwoThirds, 2)] {
            let reached = |sum: u64| u128::from(sum) * 3 > u128::from(total) * thirds;
            if reached(before) || !reached(after) {
                continue;
            }
            match quorum {
                Quorum::Third => self.counters.third_hinted += 1,
                Quorum::TwoThirds => {
                    self.counters.two_thirds_hinted += 1;
                    self.newest = self.newest.max(Some(vote.slot));
                }
            }
            hint(&Hint {
                quorum,
                slot: vote.slot,
                bank_hash: vote.bank_hash,
                block_id: vote.block_id.filter(|id| *id != [0; 32]),
                stake: after,
                total,
                at: txn.at,
            });
        }
    }

    /// Adds a voter's stake to what it voted for; the sum before and after, `None` when it adds nothing.
    fn count(&mut self, vote: &SeenVote, number: usize, lamports: u64) -> Option<(u64, u64)> {
        let Self { ring, counters, .. } = self;
        let tally = &mut ring[vote.slot.0 as usize % SLOTS];
        if !tally.used || tally.slot < vote.slot {
            tally.used = true;
            tally.slot = vote.slot;
            tally.hash_count = 0;
            tally.voted.fill(0);
        }
        if tally.slot > vote.slot {
            counters.vote_out_of_range += 1;
            return None;
        }
        let (word, bit) = (&mut tally.voted[number / 64], 1 << (number % 64));
        if *word & bit != 0 {
            counters.vote_repeated += 1;
            return None;
        }
        *word |= bit;
        counters.vote_counted += 1;
        let held = &mut tally.hashes[..tally.hash_count];
        let known = held
            .iter()
            .position(|held| held.bank_hash == vote.bank_hash);
        let place = known.unwrap_or_else(|| {
            let place = if tally.hash_count < HASHES {
                tally.hash_count += 1;
                tally.hash_count - 1
            } else {
                counters.hash_displaced += 1;
                let least = (0..HASHES).min_by_key(|place| tally.hashes[*place].stake);
                least.unwrap_or(0)
            };
            tally.hashes[place] = Tally {
                bank_hash: vote.bank_hash,
                stake: 0,
            };
            place
        });
        let before = tally.hashes[place].stake;
        // Each voter is counted once, and all of them fit.
        tally.hashes[place].stake = before.saturating_add(lamports);
        Some((before, tally.hashes[place].stake))
    }
}

#[cfg(test)]
mod tests;
