//! Votes: beside [`Votes`] somebody who writes every vote down and adds the stakes up anew each time.

use std::collections::{BTreeMap, BTreeSet};

use shred_resolve::{
    Hint, Quorum, ResolvedTxn, SeenVote, SourceId, Stake, StakeReject, StakeTable, VOTE_PROGRAM,
    VOTERS_MAX, VoteCounters, Votes,
};
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Nanos, Slot};

use super::{Corpus, Dice};

/// Slots whose votes are counted at once, and bank hashes told apart per slot: what `votes.rs` promises.
const SLOTS: u64 = 128;
const HASHES: usize = 8;

/// Any transactions in any slots, authentic or not, votes of every form among them, good, damaged and repeated, under
/// stake tables that change: what is hinted, when, and what is counted equals the reference.
pub(super) fn votes(dice: &mut Dice, corpus: &Corpus) -> VoteCounters {
    let real: Vec<&Vec<u8>> = (0..dice.below(4))
        .map(|_| dice.pick(&corpus.votes))
        .collect();
    let cast: BTreeMap<Key, Key> = (1..=1 + dice.below(24) as u8)
        .map(|number| ([number + 100; 32], [number - number % 2; 32]))
        .chain(real.iter().filter_map(|txn| voter_and_payer(txn)))
        .collect();
    let cast: Vec<(Key, Key)> = cast.into_iter().collect();
    let mut votes = Votes::new();
    let mut reference = Reference::default();
    let mut table = StakeTable::empty();
    let mut stakes = BTreeMap::new();
    let mut epoch = 0;
    let mut base = match real.first().and_then(|txn| TxnView::parse(txn).ok()) {
        Some(view) => SeenVote::of(&view).unwrap().unwrap().slot.0 + 1,
        None => 1 + dice.next() % 1_000,
    };
    for step in 0..60 + dice.below(300) {
        if step == 0 || dice.chance(1) {
            epoch += 1;
            if let Some((new, of)) = draw_table(dice, &cast, epoch) {
                (table, stakes) = (new, of);
            }
        }
        if dice.chance(3) {
            base += dice.next() % 200;
        }
        let bytes = match dice.below(12) {
            0 => dice.pick(&corpus.transactions).clone(),
            1 if !real.is_empty() => (*dice.pick(&real)).clone(),
            _ => vote_txn(dice, &cast, base),
        };
        let bytes = damaged(dice, bytes);
        let Ok(view) = TxnView::parse(&bytes) else {
            continue;
        };
        let txn = ResolvedTxn {
            view,
            parent_slot: Slot(base - 1),
            slot: Slot(match dice.below(20) {
                0 => dice.next() >> dice.below(64),
                1 => base - 1,
                _ => base + dice.next() % 4,
            }),
            fec_set_index: FecSetIndex(0),
            merkle_root: None,
            verified: !dice.chance(3),
            retracted: dice.chance(3),
            sequence: step as u64,
            at: Nanos(step as u64),
            source: SourceId(0),
        };
        let (mut told, mut expected) = (Vec::new(), Vec::new());
        votes.transaction(&txn, &table, &mut |hint| told.push(*hint));
        reference.transaction(&txn, (&table, &stakes), &mut expected);
        assert_eq!(told, expected, "step {step}");
        assert_eq!(*votes.counters(), reference.counters, "step {step}");
        assert_eq!(votes.newest().map(|slot| slot.0), reference.newest);
    }
    reference.counters
}

type Key = [u8; 32];

/// Of a real vote: its vote account and who pays for it.
fn voter_and_payer(bytes: &[u8]) -> Option<(Key, Key)> {
    let view = TxnView::parse(bytes).ok()?;
    let voter = SeenVote::of(&view)?.ok()?.voter;
    Some((voter, view.keys()[0]))
}

fn damaged(dice: &mut Dice, mut bytes: Vec<u8>) -> Vec<u8> {
    match dice.below(16) {
        0 => dice.mutate(&mut bytes),
        // One byte of what the vote program reads.
        1 | 2 => {
            let at = bytes.len() - 1 - dice.below(bytes.len().min(150));
            bytes[at] = *dice.pick(&[0, 1, 2, 31, 32, 0x7f, 0x80, 0xff]);
        }
        _ => {}
    }
    bytes
}

/// A stake table as the node of `epoch` may tell it, and the stakes in it; `None` when it must be, and is, refused.
fn draw_table(
    dice: &mut Dice,
    cast: &[(Key, Key)],
    epoch: u64,
) -> Option<(StakeTable, BTreeMap<Key, Stake>)> {
    let mut stakes: Vec<Stake> = Vec::new();
    let huge = dice.chance(3);
    for &(voter, node) in cast {
        let lamports = match dice.below(8) {
            0 => 0,
            1 => 1,
            2 if huge => u64::MAX >> dice.below(4),
            3 => 1 + dice.next() % 1_000_000_000_000,
            _ => 100 + dice.next() % 3,
        };
        let copies = if dice.below(200) == 0 { 2 } else { 1 };
        stakes.extend((0..copies).map(|_| Stake {
            voter,
            node,
            lamports,
        }));
    }
    if dice.below(100) == 0 {
        for number in 0..(VOTERS_MAX - cast.len() + dice.below(2 * cast.len())) as u16 {
            let mut voter = [0; 32];
            voter[..2].copy_from_slice(&number.to_le_bytes());
            stakes.push(Stake {
                voter,
                node: voter,
                lamports: 1,
            });
        }
    }
    let staked: Vec<&Stake> = stakes.iter().filter(|stake| stake.lamports > 0).collect();
    let names: BTreeSet<Key> = staked.iter().map(|stake| stake.voter).collect();
    let sum: u128 = staked.iter().map(|stake| u128::from(stake.lamports)).sum();
    let refusal = match staked.len() {
        0 => Some(StakeReject::Empty),
        count if count > VOTERS_MAX => Some(StakeReject::TooManyVoters),
        count if count > names.len() => Some(StakeReject::TwiceNamed),
        _ if sum > u128::from(u64::MAX) => Some(StakeReject::Overflow),
        _ => None,
    };
    let table = StakeTable::new(epoch, stakes.iter().copied());
    assert_eq!(table.as_ref().err(), refusal.as_ref());
    let table = table.ok()?;
    assert_eq!(u128::from(table.total()), sum);
    assert_eq!((table.voter_count(), table.epoch()), (names.len(), epoch));
    let stakes: BTreeMap<Key, Stake> = staked.iter().map(|stake| (stake.voter, **stake)).collect();
    for (voter, _) in cast {
        assert_eq!(table.get(voter).map(|(_, stake)| stake), stakes.get(voter));
    }
    Some((table, stakes))
}

/// A transaction with one instruction of the vote program, good in most cases.
fn vote_txn(dice: &mut Dice, cast: &[(Key, Key)], base: u64) -> Vec<u8> {
    let (voter, node) = *dice.pick(cast);
    let slot = match dice.below(12) {
        0 => dice.next() >> dice.below(64),
        1 => base + dice.next() % 6,
        2 => base.saturating_sub(SLOTS + 4) + dice.next() % (SLOTS + 4),
        _ => base.saturating_sub(1 + dice.next() % 2),
    };
    // Few agree on a slot now and then.
    let hash = match (dice.below(6), slot % 5) {
        (0, _) | (_, 0) => dice.below(14) as u8,
        _ => 1,
    };
    let program = match dice.below(30) {
        0 => [5; 32],
        _ => VOTE_PROGRAM,
    };
    let (stranger, witness) = ([250; 32], [251; 32]);
    // Payer, further signer, and who does not sign.
    let (signers, others) = match dice.below(12) {
        0 => (vec![stranger], vec![voter, node, program]),
        1 | 2 => (vec![stranger, node], vec![voter, witness, program]),
        _ => (vec![node], vec![voter, witness, program]),
    };
    let count = signers.len() as u8;
    let keys: Vec<Key> = signers.into_iter().chain(others).collect();
    let account = match dice.below(40) {
        0 => 200,
        _ => count,
    };
    let data = instruction(dice, slot, [hash; 32]);
    let program_index = keys.len() as u8 - 1;
    let body = [
        &[count, 0, 1, keys.len() as u8],
        &keys.concat()[..],
        &[8; 32],
        &[1, program_index, 2, account, 0],
        &short(data.len() as u64),
        &data,
    ]
    .concat();
    let signatures = [&[count][..], &vec![9; 64 * usize::from(count)]].concat();
    match dice.chance(50) {
        true => [&signatures[..], &body].concat(),
        false => [&signatures[..], &[0x80], &body, &[0]].concat(),
    }
}

/// Seven bits a byte, least significant first.
fn short(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A vote in one of its eight forms, whose last slot is `slot`.
fn instruction(dice: &mut Dice, slot: u64, hash: Key) -> Vec<u8> {
    let variant = *dice.pick(&[2u32, 6, 8, 9, 12, 13, 14, 15]);
    let mut bytes = variant.to_le_bytes().to_vec();
    let count = 1 + dice.below(31) as u64;
    // Further and further back, and the last is `slot`.
    let slots: Vec<u64> = (0..count)
        .rev()
        .map(|back| slot.saturating_sub(back))
        .collect();
    let root = slots[0].saturating_sub(dice.next() % 3);
    match variant {
        2 | 6 => {
            bytes.extend(count.to_le_bytes());
            bytes.extend(slots.iter().flat_map(|slot| slot.to_le_bytes()));
        }
        8 | 9 => {
            bytes.extend(count.to_le_bytes());
            for slot in slots {
                bytes.extend(slot.to_le_bytes());
                bytes.extend([1, 0, 0, 0]);
            }
            match dice.chance(50) {
                true => bytes.extend([&[1][..], &root.to_le_bytes()].concat()),
                false => bytes.push(0),
            }
        }
        _ => {
            // Without a root the first offset counts from 0.
            let mut before = match dice.chance(20) {
                true => {
                    bytes.extend(u64::MAX.to_le_bytes());
                    0
                }
                false => {
                    bytes.extend(root.to_le_bytes());
                    root
                }
            };
            bytes.extend(short(count));
            for slot in slots {
                bytes.extend(short(slot - before));
                bytes.push(1);
                before = slot;
            }
        }
    }
    bytes.extend(hash);
    match dice.chance(50) {
        true => bytes.extend([1, 1, 2, 3, 4, 5, 6, 7, 8]),
        false => bytes.push(0),
    }
    if variant >= 14 {
        bytes.extend([[0; 32], [hash[0] + 100; 32]][dice.below(2)]);
    }
    if variant % 2 == 1 || variant == 6 {
        bytes.extend([7; 32]);
    }
    bytes
}

/// What a transaction says as a vote.
enum Said {
    Nothing,
    Nonsense,
    Vote(SeenVote),
}

/// Reads the vote of a transaction a byte at a time, each number in more bits than it can have.
fn read(view: &TxnView<'_>) -> Said {
    let keys = view.keys();
    let Some(first) = view.instructions().next() else {
        return Said::Nothing;
    };
    if keys.get(usize::from(first.program_index)) != Some(&VOTE_PROGRAM) {
        return Said::Nothing;
    }
    let voter = first.accounts.first();
    let voter = voter.and_then(|index| keys.get(usize::from(*index)));
    let mut bytes = Bytes(first.data.iter());
    match (bytes.vote(), voter) {
        (None, _) | (Some(Some(_)), None) => Said::Nonsense,
        (Some(None), _) => Said::Nothing,
        (Some(Some((slot, bank_hash, block_id))), Some(voter)) => Said::Vote(SeenVote {
            voter: *voter,
            slot: Slot(slot),
            bank_hash,
            block_id,
        }),
    }
}

struct Bytes<'a>(std::slice::Iter<'a, u8>);

impl Bytes<'_> {
    /// Last slot, bank hash and block id; `Some(None)` where nothing is voted for, `None` where it makes no sense.
    #[allow(clippy::option_option)]
    fn vote(&mut self) -> Option<Option<(u64, Key, Option<Key>)>> {
        let variant = self.number(4)?;
        let slots = match variant {
            2 | 6 => {
                let count = self.number(8).filter(|count| *count <= 31)?;
                (0..count)
                    .map(|_| self.number(8))
                    .collect::<Option<Vec<_>>>()?
            }
            8 | 9 => {
                let count = self.number(8).filter(|count| *count <= 31)?;
                let lockout = |bytes: &mut Self| Some((bytes.number(8)?, bytes.number(4)?).0);
                let slots = (0..count)
                    .map(|_| lockout(self))
                    .collect::<Option<Vec<_>>>()?;
                self.maybe(8)?;
                slots
            }
            12..=15 => {
                let root = self.number(8)?;
                let mut at = if root == u128::from(u64::MAX) {
                    0
                } else {
                    root
                };
                let count = self.variable(u128::from(u16::MAX))?;
                let mut slots = Vec::new();
                for _ in 0..Some(count).filter(|count| *count <= 31)? {
                    at += self.variable(u128::from(u64::MAX))?;
                    slots.push(Some(at).filter(|at| *at <= u128::from(u64::MAX))?);
                    self.number(1)?;
                }
                slots
            }
            _ => return Some(None),
        };
        let hash = self.hash()?;
        self.maybe(8)?;
        let id = if variant >= 14 {
            Some(self.hash()?)
        } else {
            None
        };
        if [6, 9, 13, 15].contains(&variant) {
            self.hash()?;
        }
        Some(slots.last().map(|slot| (*slot as u64, hash, id)))
    }

    fn number(&mut self, len: u32) -> Option<u128> {
        (0..len).try_fold(0, |sum, place| {
            Some(sum + (u128::from(*self.0.next()?) << (8 * place)))
        })
    }

    fn hash(&mut self) -> Option<Key> {
        let bytes: Vec<u8> = (0..32).map_while(|_| self.0.next().copied()).collect();
        bytes.try_into().ok()
    }

    /// An `Option` of `len` bytes.
    fn maybe(&mut self, len: u32) -> Option<()> {
        match self.number(1)? {
            0 => Some(()),
            1 => self.number(len).map(|_| ()),
            _ => None,
        }
    }

    /// Seven bits a byte, in the shortest form, `most` at most.
    fn variable(&mut self, most: u128) -> Option<u128> {
        let mut sum = 0;
        for place in 0..10 {
            let byte = *self.0.next()?;
            sum += u128::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(sum)
                    .filter(|sum| *sum <= most && short(*sum as u64).len() == place + 1);
            }
        }
        None
    }
}

/// Everything that counts, by slot.
#[derive(Default)]
struct Reference {
    slots: BTreeMap<u64, Ballot>,
    table: (u64, u64),
    newest: Option<u64>,
    counters: VoteCounters,
}

#[derive(Default)]
struct Ballot {
    voted: BTreeSet<Key>,
    /// Stakes behind each hash, in the order of their places.
    hashes: Vec<(Key, Vec<u64>)>,
}

impl Reference {
    fn transaction(
        &mut self,
        txn: &ResolvedTxn<'_>,
        (table, stakes): (&StakeTable, &BTreeMap<Key, Stake>),
        hints: &mut Vec<Hint>,
    ) {
        let said = read(&txn.view);
        let counters = &mut self.counters;
        let vote = match said {
            Said::Nothing => return assert!(SeenVote::of(&txn.view).is_none()),
            Said::Nonsense => {
                counters.vote_malformed += 1;
                return;
            }
            Said::Vote(vote) => vote,
        };
        assert_eq!(SeenVote::of(&txn.view), Some(Ok(vote)));
        let stake = stakes.get(&vote.voter);
        let signers = &txn.view.keys()[..txn.view.required_signature_count()];
        let back = u128::from(txn.slot.0).checked_sub(u128::from(vote.slot.0));
        let refusal = match (stake, back) {
            _ if !txn.verified || txn.retracted => &mut counters.vote_unauthenticated,
            (None, _) => &mut counters.voter_unknown,
            (Some(stake), _) if !signers.contains(&stake.node) => &mut counters.vote_unsigned,
            (_, None | Some(0)) => &mut counters.vote_out_of_range,
            (_, Some(back)) if back >= u128::from(SLOTS) => &mut counters.vote_out_of_range,
            (Some(stake), _) => return self.count(&vote, stake.lamports, (txn.at, table), hints),
        };
        *refusal += 1;
    }

    fn count(
        &mut self,
        vote: &SeenVote,
        lamports: u64,
        (at, table): (Nanos, &StakeTable),
        hints: &mut Vec<Hint>,
    ) {
        if self.table != (table.epoch(), table.total()) {
            self.table = (table.epoch(), table.total());
            self.slots.clear();
        }
        let slot = vote.slot.0;
        let rival = self
            .slots
            .keys()
            .find(|rival| **rival % SLOTS == slot % SLOTS);
        match rival.copied() {
            Some(rival) if rival > slot => {
                self.counters.vote_out_of_range += 1;
                return;
            }
            Some(rival) if rival < slot => {
                self.slots.remove(&rival);
            }
            _ => {}
        }
        let ballot = self.slots.entry(slot).or_default();
        if !ballot.voted.insert(vote.voter) {
            self.counters.vote_repeated += 1;
            return;
        }
        self.counters.vote_counted += 1;
        let hashes = &mut ballot.hashes;
        if !hashes.iter().any(|(hash, _)| *hash == vote.bank_hash) {
            if hashes.len() < HASHES {
                hashes.push((vote.bank_hash, Vec::new()));
            } else {
                self.counters.hash_displaced += 1;
                let least = hashes
                    .iter_mut()
                    .min_by_key(|(_, stakes)| stakes.iter().sum::<u64>());
                *least.unwrap() = (vote.bank_hash, Vec::new());
            }
        }
        let held = hashes.iter_mut().find(|(hash, _)| *hash == vote.bank_hash);
        let (_, stakes) = held.unwrap();
        let before: u64 = stakes.iter().sum();
        stakes.push(lamports);
        let after: u64 = stakes.iter().sum();
        for (quorum, thirds) in [(Quorum::Third, 1), (Quorum::TwoThirds, 2)] {
            let most = u128::from(table.total()) * thirds / 3;
            if u128::from(before) > most || u128::from(after) <= most {
                continue;
            }
            match quorum {
                Quorum::Third => self.counters.third_hinted += 1,
                Quorum::TwoThirds => {
                    self.counters.two_thirds_hinted += 1;
                    self.newest = self.newest.max(Some(slot));
                }
            }
            hints.push(Hint {
                quorum,
                slot: vote.slot,
                bank_hash: vote.bank_hash,
                block_id: vote.block_id.filter(|id| *id != [0; 32]),
                stake: after,
                total: table.total(),
                at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: what the cases are there for does happen in them.
    #[test]
    fn cases_cover_every_count() {
        let corpus = Corpus::load();
        let mut sums = VoteCounters::default().named();
        for case in 0..300 {
            let counted = votes(&mut Dice::of_case(1, case), &corpus).named();
            for (sum, (_, count)) in sums.iter_mut().zip(counted) {
                sum.1 += count;
            }
        }
        for (name, count) in sums {
            assert!(count > 0, "never met: {name}");
        }
    }
}
