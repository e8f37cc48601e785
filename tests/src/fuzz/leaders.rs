//! Who leads which slot: what an RPC node answers, and what a file says.

use std::collections::BTreeMap;
use std::sync::Arc;

use overmind::leaders::{Follower, LeaderCell, LeaderSchedule};
use shred_resolve::{EPOCHS_MAX, Leader, Leaders, PLAUSIBLE_AHEAD};
use shred_wire::Slot;
use sidecar::{EpochAnswer, EpochInfo, EpochScheduleAnswer, EpochWanted, Refreshed, StakeAnswer};

use super::Dice;

type Key = [u8; 32];

/// Slots by which a finalised slot may miss what the one before made plausible (`JUMP_MAX` of the follower).
const JUMP_MAX: u64 = 432_000;

/// A node that answers anything, in any order: what contradicts itself is refused and changes nothing, what it tells of
/// an epoch counts once its leaders are held, and of the rest each slot has the leader that was told for it, as long as
/// its epoch is held and the slot is plausible.
pub(super) fn follow(dice: &mut Dice) {
    let cell = Arc::new(LeaderCell::default());
    let behind = dice.next() % 60;
    let mut follower = Follower::new(Arc::clone(&cell), behind);
    let mut cluster = Cluster::draw(dice);
    let mut reference = Followed::default();
    for _ in 0..1 + dice.below(40) {
        match dice.below(6) {
            0 | 1 => {
                cluster.advance(dice);
                let (info, schedule) = (cluster.info(), cluster.schedule);
                let info = spoiled(dice, &info_json(&info)).unwrap_or(info);
                let schedule = spoiled(dice, &schedule_json(&schedule)).unwrap_or(schedule);
                let wanted = follower.epoch_info(&info, &schedule).ok();
                assert_eq!(wanted, reference.epoch_info(&info, &schedule));
                for wanted in wanted.into_iter().flatten() {
                    assert!(wanted.slots <= cluster.schedule.slots_per_epoch.max(1 << 20));
                    if wanted.slots < 2_000 {
                        answer(dice, wanted, &mut follower, &mut reference);
                    }
                }
            }
            2 => {
                let wanted = EpochWanted {
                    epoch: cluster.info().epoch.wrapping_add(dice.next() % 3),
                    first_slot: cluster.slot.saturating_sub(dice.next() % 100),
                    slots: dice.next() % 80,
                };
                answer(dice, wanted, &mut follower, &mut reference);
            }
            3 => follower.round(),
            _ => {
                let epoch = cluster.info().epoch;
                let stakes: Vec<StakeAnswer> = (0..dice.below(4) as u8)
                    .map(|voter| StakeAnswer {
                        voter: [voter; 32],
                        node: [9; 32],
                        lamports: dice.next() >> dice.below(64),
                    })
                    .collect();
                let sum: u128 = stakes.iter().map(|stake| u128::from(stake.lamports)).sum();
                let taken = follower.stakes(epoch, &stakes).is_ok();
                assert_eq!(taken, sum > 0 && sum <= u128::from(u64::MAX));
                if taken {
                    reference.stakes = Some((epoch, sum as u64));
                }
            }
        }
        let held = cell.stakes();
        let told = (held.total() > 0).then(|| (held.epoch(), held.total()));
        assert_eq!(told, reference.stakes);
        assert_eq!(
            cell.finalized().map(|(slot, epoch)| (slot.0, epoch)),
            reference.finalized
        );
        assert_eq!(
            cell.epochs(),
            reference.epochs.keys().copied().collect::<Vec<_>>()
        );
        for _ in 0..20 {
            let finalized = reference.finalized.map_or(cluster.slot, |(slot, _)| slot);
            let slot = match dice.below(10) {
                0 => dice.next() >> dice.below(64),
                _ => finalized.wrapping_add(dice.next() % 300).wrapping_sub(120),
            };
            // The ceiling rises with the clock: what is near it may be either.
            let above = slot.saturating_sub(finalized);
            if (PLAUSIBLE_AHEAD + 1..100_000).contains(&above) {
                continue;
            }
            let is_plausible = reference.finalized.is_none()
                || slot >= finalized.saturating_sub(behind) && above <= PLAUSIBLE_AHEAD;
            let leader = reference.leader(slot).filter(|_| is_plausible);
            let expected = leader.map_or(Leader::Unnamed, Leader::Identity);
            assert_eq!(cell.leader(Slot(slot)), expected, "slot {slot}");
        }
    }
}

/// Tells the leaders of `wanted`, not always well.
fn answer(dice: &mut Dice, wanted: EpochWanted, follower: &mut Follower, reference: &mut Followed) {
    let mut leaders: Vec<(Key, Vec<u64>)> = (0..1 + dice.below(5) as u8)
        .map(|_| ([dice.next() as u8; 32], Vec::new()))
        .collect();
    for index in 0..wanted.slots {
        let at = dice.below(leaders.len());
        leaders[at].1.push(index);
    }
    let at = dice.below(leaders.len());
    let indices = &mut leaders[at].1;
    match dice.below(16) {
        0 => drop(indices.pop()),
        1 => indices.push(wanted.slots),
        2 => indices.push(dice.next() % wanted.slots.max(1)),
        3 => indices.push(dice.next()),
        _ => {}
    }
    let answer = EpochAnswer { wanted, leaders };
    let refused = follower.leaders(&answer).err();
    assert_eq!(refused.is_none(), reference.leaders(&answer), "{refused:?}");
}

/// What of `json`, somewhat damaged, can still be read.
fn spoiled<T: serde::de::DeserializeOwned>(dice: &mut Dice, json: &str) -> Option<T> {
    let mut bytes = json.as_bytes().to_vec();
    match dice.below(4) {
        0 => dice.mutate(&mut bytes),
        1 => {
            // A digit for another.
            let digits = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit());
            let digits: Vec<usize> = digits.collect();
            bytes[*dice.pick(&digits)] = b'0' + dice.below(10) as u8;
        }
        _ => {}
    }
    serde_json::from_slice(&bytes).ok()
}

fn info_json(info: &EpochInfo) -> String {
    format!(
        r#"{{"absoluteSlot":{},"blockHeight":1,"epoch":{},"slotIndex":{},"slotsInEpoch":{},"transactionCount":null}}"#,
        info.absolute_slot, info.epoch, info.slot_index, info.slots_in_epoch
    )
}

fn schedule_json(schedule: &EpochScheduleAnswer) -> String {
    format!(
        r#"{{"firstNormalEpoch":{},"firstNormalSlot":{},"leaderScheduleSlotOffset":8,"slotsPerEpoch":{},"warmup":true}}"#,
        schedule.first_normal_epoch, schedule.first_normal_slot, schedule.slots_per_epoch
    )
}

/// A cluster with short epochs, with or without a warm-up.
struct Cluster {
    slot: u64,
    schedule: EpochScheduleAnswer,
}

impl Cluster {
    fn draw(dice: &mut Dice) -> Self {
        let warm_up = dice.next() % 4;
        let schedule = EpochScheduleAnswer {
            slots_per_epoch: 32 << warm_up,
            first_normal_epoch: warm_up,
            first_normal_slot: 32 * ((1 << warm_up) - 1),
        };
        let slot = dice.next() % 2_000;
        Self { slot, schedule }
    }

    fn advance(&mut self, dice: &mut Dice) {
        let len = self.schedule.slots_per_epoch;
        self.slot = match dice.below(12) {
            0 => self.slot.saturating_sub(dice.next() % (2 * len)),
            1 => self.slot + dice.next() % (6 * len),
            _ => self.slot + dice.next() % len,
        };
    }

    fn info(&self) -> EpochInfo {
        let (mut epoch, mut first) = (0, 0);
        loop {
            let slots = len_of(&self.schedule, epoch);
            if u128::from(self.slot) < first + slots {
                return EpochInfo {
                    absolute_slot: self.slot,
                    epoch,
                    slot_index: self.slot - first as u64,
                    slots_in_epoch: slots as u64,
                };
            }
            (epoch, first) = (epoch + 1, first + slots);
        }
    }
}

/// Slots of an epoch: 32, 64 and so on before the first normal one.
fn len_of(schedule: &EpochScheduleAnswer, epoch: u64) -> u128 {
    match epoch < schedule.first_normal_epoch {
        true => 32 << epoch.min(90),
        false => u128::from(schedule.slots_per_epoch),
    }
}

/// First slot and leaders of one epoch.
type Epoch = (u64, BTreeMap<u64, Key>);

/// What was told and fitted.
#[derive(Default)]
struct Followed {
    epochs: BTreeMap<u64, Epoch>,
    /// Slot and epoch.
    finalized: Option<(u64, u64)>,
    /// The same, of an epoch whose leaders are not held yet.
    told: Option<(u64, u64)>,
    stakes: Option<(u64, u64)>,
}

impl Followed {
    fn epoch_info(
        &mut self,
        info: &EpochInfo,
        schedule: &EpochScheduleAnswer,
    ) -> Option<Vec<EpochWanted>> {
        let wanted = |epoch: u64| {
            let slots = len_of(schedule, epoch);
            let first = match epoch.checked_sub(schedule.first_normal_epoch) {
                Some(after) => u128::from(after) * slots + u128::from(schedule.first_normal_slot),
                None => slots - 32,
            };
            Some(EpochWanted {
                epoch,
                first_slot: u64::try_from(first).ok()?,
                slots: u64::try_from(slots).ok()?,
            })
        };
        let running = wanted(info.epoch)?;
        let slot = u128::from(running.first_slot) + u128::from(info.slot_index);
        let fits = running.slots == info.slots_in_epoch
            && info.slot_index < running.slots
            && slot == u128::from(info.absolute_slot);
        if !fits {
            return None;
        }
        let told = info.absolute_slot;
        self.told = None;
        // Within a case no time passes to speak of.
        let follows = |(known, _): (u64, u64)| {
            let highest = known
                .saturating_add(PLAUSIBLE_AHEAD)
                .saturating_add(JUMP_MAX);
            told >= known.saturating_sub(JUMP_MAX) && told <= highest
        };
        if !self.finalized.is_none_or(follows) {
            return None;
        }
        let told = Some((told, info.epoch));
        match self.epochs.contains_key(&info.epoch) {
            true => self.finalized = told,
            false => self.told = told,
        }
        // The next one from the middle on.
        let next =
            (info.slot_index >= running.slots / 2).then(|| wanted(info.epoch.checked_add(1)?));
        let both = [Some(running), next.flatten()];
        let is_new = |wanted: &EpochWanted| !self.epochs.contains_key(&wanted.epoch);
        Some(both.into_iter().flatten().filter(is_new).collect())
    }

    /// Whether it is taken.
    fn leaders(&mut self, answer: &EpochAnswer) -> bool {
        let EpochWanted {
            epoch,
            first_slot,
            slots,
        } = answer.wanted;
        let mut leaders = BTreeMap::new();
        for (leader, indices) in &answer.leaders {
            for index in indices {
                if *index >= slots || leaders.insert(*index, *leader).is_some() {
                    return false;
                }
            }
        }
        if slots == 0 || leaders.len() as u64 != slots {
            return false;
        }
        let told = self.told.filter(|(_, told)| *told == epoch);
        let running = match (told, self.finalized) {
            (None, Some((_, running))) => running.min(epoch),
            _ => epoch,
        };
        self.epochs.insert(epoch, (first_slot, leaders));
        self.epochs.retain(|held, _| *held >= running);
        while self.epochs.len() > EPOCHS_MAX {
            self.epochs.pop_last();
        }
        if told.is_some() {
            (self.finalized, self.told) = (told, None);
        }
        true
    }

    fn leader(&self, slot: u64) -> Option<Key> {
        let mut held = self.epochs.values();
        held.find_map(|(first, leaders)| leaders.get(&slot.checked_sub(*first)?).copied())
    }
}

/// A leaders file of either form, also damaged: what it says is what is read, or it is refused in words.
pub(super) fn file(dice: &mut Dice) {
    let first = dice.next() >> (1 + dice.below(63));
    let count = 1 + dice.below(200) as u64;
    let names: Vec<Key> = (0..1 + dice.below(6))
        .map(|_| [dice.next() as u8; 32])
        .collect();
    let mut truth: BTreeMap<u64, Key> = (0..count)
        .map(|at| (first + at, *dice.pick(&names)))
        .collect();
    let name = |key: &Key| bs58::encode(key).into_string();
    let mut text = match dice.chance(50) {
        true => {
            // Slots in between may be missing.
            truth.retain(|slot, _| *slot == first || dice.chance(90));
            let pairs = truth
                .iter()
                .map(|(slot, key)| format!("\"{slot}\":\"{}\"", name(key)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
        false => {
            let mut led: BTreeMap<&Key, Vec<u64>> = BTreeMap::new();
            for (slot, key) in &truth {
                led.entry(key).or_default().push(slot - first);
            }
            let pairs = led
                .iter()
                .map(|(key, slots)| format!("\"{}\":{slots:?}", name(key)));
            let first = format!("\"first_slot\":{first}");
            let mut pairs: Vec<String> = pairs.chain([first]).collect();
            let at = dice.below(pairs.len());
            let last = pairs.len() - 1;
            pairs.swap(at, last);
            format!("{{{}}}", pairs.join(","))
        }
    };
    let is_whole = dice.chance(50);
    if !is_whole {
        let mut bytes = text.into_bytes();
        dice.mutate(&mut bytes);
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    match LeaderSchedule::parse(&text) {
        Err(reason) => assert!(!is_whole && !reason.is_empty(), "{reason}"),
        Ok(schedule) => {
            let said: serde_json::Value = serde_json::from_str(&text).unwrap();
            for slot in (first.saturating_sub(3)..first + count + 3).chain([0, u64::MAX]) {
                let Leader::Identity(leader) = schedule.leader(Slot(slot)) else {
                    assert!(!is_whole || !truth.contains_key(&slot), "slot {slot}");
                    continue;
                };
                if is_whole {
                    assert_eq!(Some(&leader), truth.get(&slot), "slot {slot}");
                    continue;
                }
                // Whatever became of the text, it must say so.
                let is_slot = |name: &str| name.parse() == Ok(slot);
                let says_so = match said.get("first_slot").and_then(serde_json::Value::as_u64) {
                    None => said.as_object().unwrap().iter().any(|(at, leader_of_it)| {
                        is_slot(at) && leader_of_it.as_str() == Some(&name(&leader))
                    }),
                    // Of a name that stands there twice only the last is in `said`.
                    Some(_) if text.matches(&name(&leader)).count() > 1 => true,
                    Some(first) => said[name(&leader)].as_array().is_some_and(|slots| {
                        let index = slot.checked_sub(first);
                        slots.iter().any(|at| at.as_u64() == index)
                    }),
                };
                assert!(says_so, "slot {slot}: {text}");
            }
        }
    }
}
