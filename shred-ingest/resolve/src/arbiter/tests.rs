//! The arbiter against a slow, obvious counting of the same.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use shred_wire::shred::ShredReject;

use super::*;
use crate::leader::NoLeaders;

const SOURCES: usize = 4;
const SLOTS: usize = 4;
/// Of one kind, in a slot of these tests.
const SHREDS: u32 = 64;
const MS: u64 = 1_000_000;

/// Everybody leads one slot.
struct Everybody;

impl Leaders for Everybody {
    fn leader(&self, slot: Slot) -> Leader {
        Leader::Identity([slot.0 as u8; 32])
    }
}

/// A datagram that parses as shred `number` of `slot`: data below [`SHREDS`], code above.
fn shred(slot: u64, number: u32) -> Vec<u8> {
    let is_code = number >= SHREDS;
    let index = number % SHREDS;
    let mut bytes = vec![0; if is_code { 1_228 } else { 1_203 }];
    bytes[64] = if is_code { 0x66 } else { 0x96 };
    bytes[65..73].copy_from_slice(&slot.to_le_bytes());
    bytes[73..77].copy_from_slice(&index.to_le_bytes());
    bytes[79..83].copy_from_slice(&(index / 32 * 32).to_le_bytes());
    if is_code {
        bytes[83..85].copy_from_slice(&32u16.to_le_bytes());
        bytes[85..87].copy_from_slice(&32u16.to_le_bytes());
        bytes[87..89].copy_from_slice(&((index % 32) as u16).to_le_bytes());
    } else {
        bytes[83..85].copy_from_slice(&1u16.to_le_bytes());
        bytes[86..88].copy_from_slice(&100u16.to_le_bytes());
    }
    bytes
}

fn arbiter(sets_max: usize) -> Arbiter {
    Arbiter::new(&ArbiterPlan {
        sources: SOURCES,
        limits: ShredLimits {
            shreds_per_slot_max: SHREDS,
        },
        slots: SLOTS,
        sets_max,
        slot_duration: Nanos(400 * MS),
    })
}

/// What is counted of one source, by hand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Row {
    datagram: u64,
    shred: u64,
    won: u64,
    spare: u64,
    unique: u64,
    repeated: u64,
    sets: u64,
    refused: BTreeMap<usize, u64>,
    late_count: u64,
    late_sum: u64,
    late_max: u64,
}

/// Who has brought a shred, in order of arrival.
type Bearers = Vec<(usize, u64)>;

#[derive(Default)]
struct Naive {
    rows: Vec<Row>,
    open: HashSet<u64>,
    shreds: HashMap<(u64, u32), Bearers>,
    /// Shreds that were the 32nd of their set.
    completing: HashSet<(u64, u32)>,
}

impl Naive {
    fn note(&mut self, slot: u64, number: u32, who: usize, at: u64, outcome: Result<(), Reject>) {
        if who >= SOURCES {
            return;
        }
        self.rows[who].datagram += 1;
        if let Err(reason) = outcome
            && !matches!(reason, Reject::Duplicate | Reject::Surplus)
        {
            *self.rows[who].refused.entry(reason.index()).or_default() += 1;
            return;
        }
        self.rows[who].shred += 1;
        let rival = |other: &u64| *other % SLOTS as u64 == slot % SLOTS as u64 && *other != slot;
        for rival in self.open.clone().into_iter().filter(rival) {
            self.forget(rival);
        }
        self.open.insert(slot);
        let bearers = self.shreds.entry((slot, number)).or_default();
        if bearers.iter().any(|(source, _)| *source == who) {
            self.rows[who].repeated += 1;
            return;
        }
        // The earlier arrival wins a tie.
        let best = bearers.iter().copied().min_by_key(|(_, at)| *at);
        bearers.push((who, at));
        let (late_one, late) = match best {
            None => {
                self.rows[who].won += 1;
                self.rows[who].spare += u64::from(outcome.is_err());
                let set = |number: u32| number % SHREDS / 32;
                let in_set = self
                    .shreds
                    .keys()
                    .filter(|(other, shred)| *other == slot && set(*shred) == set(number));
                if in_set.count() == 32 {
                    self.rows[who].sets += 1;
                    self.completing.insert((slot, number));
                }
                return;
            }
            Some((_, first_at)) if at >= first_at => (who, at - first_at),
            Some((loser, first_at)) => {
                self.rows[loser].won -= 1;
                self.rows[who].won += 1;
                if self.completing.contains(&(slot, number)) {
                    self.rows[loser].sets -= 1;
                    self.rows[who].sets += 1;
                }
                (loser, first_at - at)
            }
        };
        let row = &mut self.rows[late_one];
        row.late_count += 1;
        row.late_sum += late;
        row.late_max = row.late_max.max(late);
    }

    fn forget(&mut self, slot: u64) {
        self.open.remove(&slot);
        self.completing.retain(|(other, _)| *other != slot);
        for ((_, _), bearers) in self.shreds.extract_if(|(other, _), _| *other == slot) {
            if let [(source, _)] = bearers[..] {
                self.rows[source].unique += 1;
            }
        }
    }
}

fn row_of(tally: &SourceTally) -> Row {
    let refused = tally.refused.iter().copied().enumerate();
    Row {
        datagram: tally.datagram,
        shred: tally.shred,
        won: tally.won(),
        spare: tally.spare,
        unique: tally.unique,
        repeated: tally.repeated,
        sets: tally.sets(),
        refused: refused.filter(|(_, count)| *count > 0).collect(),
        late_count: tally.late.count(),
        late_sum: tally.late.sum,
        late_max: tally.late.max,
    }
}

fn outcome() -> impl Strategy<Value = Result<(), Reject>> {
    prop_oneof![
        8 => Just(Ok(())),
        3 => Just(Err(Reject::Duplicate)),
        2 => Just(Err(Reject::Surplus)),
        1 => Just(Err(Reject::BadMerkleProof)),
        1 => Just(Err(Reject::Malformed(ShredReject::BadSize))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn counts_what_a_slow_count_counts(
        steps in prop::collection::vec((0..3u64, 0..2 * SHREDS, 0..SOURCES + 1, 0..500u64, outcome()), 0..1_500),
    ) {
        let mut arbiter = arbiter(SLOTS * 2);
        let mut naive = Naive { rows: vec![Row::default(); SOURCES], ..Naive::default() };
        for (step, (ahead, number, who, jitter, outcome)) in (0..).zip(steps) {
            let (slot, at) = (1 + step / 300 + ahead, 1_000 + step * 100 + jitter);
            naive.note(slot, number, who, at, outcome);
            arbiter.note(&shred(slot, number), SourceId(who as u8), Nanos(at), outcome, &Everybody);
        }
        for slot in naive.open.clone() {
            naive.forget(slot);
        }
        arbiter.settle_all();
        prop_assert_eq!(arbiter.untracked(), 0);
        for (source, (row, tally)) in naive.rows.iter().zip(arbiter.sources()).enumerate() {
            prop_assert_eq!(row, &row_of(tally));
            let of_leaders = (0..LEADERS_KEPT).filter_map(|place| arbiter.leader(place));
            let (won, late) = of_leaders.fold((0, 0), |(won, late), share| {
                (won + share.won(source), late + share.late(source))
            });
            prop_assert_eq!((won, late), (row.won, row.late_count));
        }
    }

    #[test]
    fn no_bytes_and_no_stamps_confuse_it(
        datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..100), 0..6u8, any::<u64>(), any::<u64>(), 0..4 * SHREDS), 0..200),
    ) {
        let mut arbiter = arbiter(3);
        for (junk, source, at, slot, number) in datagrams {
            arbiter.note(&junk, SourceId(source), Nanos(at), Ok(()), &NoLeaders);
            arbiter.note(&shred(slot, number), SourceId(source), Nanos(at), Ok(()), &NoLeaders);
        }
        arbiter.settle_all();
        prop_assert_eq!(arbiter.free.len(), 3);
    }
}

/// Goal: the earlier stamp wins although the core saw the other one first, and the counters only grow.
#[test]
fn the_earlier_stamp_takes_the_first_place() {
    let mut arbiter = arbiter(8);
    let bytes = shred(7, 3);
    arbiter.note(&bytes, SourceId(0), Nanos(1_000), Ok(()), &Everybody);
    let duplicate = Err(Reject::Duplicate);
    arbiter.note(&bytes, SourceId(1), Nanos(400), duplicate, &Everybody);
    arbiter.note(&bytes, SourceId(2), Nanos(900), duplicate, &Everybody);
    let [zero, one, two, _] = arbiter.sources() else {
        panic!("four sources")
    };
    assert_eq!((zero.first, zero.overtaken, zero.won()), (1, 1, 0));
    assert_eq!((one.first, one.overtaken, one.won()), (1, 0, 1));
    assert_eq!(
        (zero.late.max, one.late.count(), two.late.max),
        (600, 0, 500)
    );
}

/// Goal: when the memory is in use the lowest slot gives way, and never a higher one for a lower one.
#[test]
fn the_lowest_slot_gives_way() {
    let mut arbiter = arbiter(2);
    let mut bring = |slot: u64, number: u32| {
        let source = SourceId(0);
        arbiter.note(
            &shred(slot, number),
            source,
            Nanos(slot),
            Ok(()),
            &NoLeaders,
        );
        let tally = &arbiter.sources()[0];
        (tally.first, tally.unique, arbiter.untracked())
    };
    assert_eq!(bring(10, 0), (1, 0, 0));
    assert_eq!(bring(11, 0), (2, 0, 0));
    assert_eq!(bring(9, 0), (2, 0, 1), "nothing is lower");
    assert_eq!(bring(11, 32), (3, 1, 1), "slot 10 has gone");
}

/// A stream of one shred every millisecond from each source that `brings` at that time; sources ever found dead, and
/// those dead at the end.
fn after(
    ms: u64,
    brings: impl Fn(usize, u64) -> bool,
    clocks: [u64; SOURCES],
) -> [(u64, bool); SOURCES] {
    let mut arbiter = arbiter(64);
    for now in 0..ms {
        for source in (0..SOURCES).filter(|source| brings(*source, now)) {
            let at = Nanos(clocks[source] + now * MS);
            let bytes = shred(1_000 + now / 400, (now % u64::from(SHREDS)) as u32);
            arbiter.note(&bytes, SourceId(source as u8), at, Ok(()), &NoLeaders);
        }
    }
    std::array::from_fn(|source| {
        let tally = &arbiter.sources()[source];
        (tally.died, tally.dead)
    })
}

const ONE_CLOCK: [u64; SOURCES] = [1_000_000 * MS; SOURCES];
const ALIVE: (u64, bool) = (0, false);

#[test]
fn a_source_is_dead_after_two_slots_of_silence_and_alive_with_its_next_shred() {
    let silent_from = |from: u64| move |source: usize, now: u64| source != 2 || now < from;
    assert_eq!(after(1_750, silent_from(1_000), ONE_CLOCK), [ALIVE; 4]);
    let dead = [ALIVE, ALIVE, (1, true), ALIVE];
    assert_eq!(after(1_850, silent_from(1_000), ONE_CLOCK), dead);
    assert_eq!(
        after(3_000, silent_from(0), ONE_CLOCK),
        dead,
        "never heard of"
    );
    let back = |source: usize, now: u64| source != 2 || !(1_000..2_500).contains(&now);
    let was_dead = [ALIVE, ALIVE, (1, false), ALIVE];
    assert_eq!(after(2_501, back, ONE_CLOCK), was_dead);
    assert_eq!(after(4_000, back, ONE_CLOCK), was_dead);
}

#[test]
fn silence_on_all_lines_and_clocks_that_differ_are_nobodys_death() {
    let pause = |_: usize, now: u64| !(1_000..9_000).contains(&now);
    assert_eq!(after(10_000, pause, ONE_CLOCK), [ALIVE; 4]);
    let resumes_late = |source: usize, now: u64| now < 1_000 || now >= 9_000 + 100 * source as u64;
    assert_eq!(after(10_000, resumes_late, ONE_CLOCK), [ALIVE; 4]);
    let clocks = [1_000_000 * MS, 1_000_005 * MS, 0, 5_000_000 * MS];
    assert_eq!(after(4_000, |_, _| true, clocks), [ALIVE; 4]);
    let alone = |source: usize, _: u64| source == 0;
    let others_dead = [ALIVE, (1, true), (1, true), (1, true)];
    assert_eq!(after(2_000, alone, clocks), others_dead);
}

/// Goal: two slots are two of the slots that the stream shows, not two of those that were expected.
#[test]
fn the_slot_time_is_learned_and_every_beginning_is_at_hand() {
    let mut arbiter = arbiter(64);
    for slot in 1..=100u64 {
        let at = Nanos(5_000 * MS + slot * 200 * MS);
        arbiter.note(&shred(slot, 0), SourceId(1), at, Ok(()), &NoLeaders);
    }
    assert_eq!(arbiter.slot_duration(), Nanos(200 * MS));
    assert_eq!(arbiter.begun(), 100);
    let last = arbiter.beginning(99);
    assert_eq!((last.slot, last.source), (Slot(100), SourceId(1)));
    assert_eq!(arbiter.beginning(80).slot, Slot(81));
}

#[test]
fn what_is_planned_is_what_is_taken() {
    let plan = ArbiterPlan::beside(&Plan::default(), 3);
    assert_eq!(plan.slots.next_power_of_two(), 64);
    assert!(
        (17_000_000..19_000_000).contains(&plan.bytes()),
        "{}",
        plan.bytes()
    );
    assert_eq!(size_of::<Set>(), 1_032);
}
