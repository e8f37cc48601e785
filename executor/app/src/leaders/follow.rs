//! What an RPC node knows of the cluster, in cells that the core reads without waiting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use shred_resolve::{
    EpochLeaders, Epochs, Leader, Leaders, Plausible, Schedule, SlotLeaders, Stake, StakeTable,
};
use shred_wire::{Nanos, Slot};
use sidecar::{
    EpochAnswer, EpochInfo, EpochScheduleAnswer, EpochWanted, RefreshCounters, Refreshed,
    Refresher, StakeAnswer,
};

use crate::clock::realtime;
use crate::outage::{Outage, Turn};

/// Snapshots that are kept after they were replaced, which happens a few times an epoch: the core never drops the last
/// hold on one, and so never frees.
const RETIRED_KEPT: usize = 4;
/// Slots by which a finalised slot may miss what the one before it made plausible: a mainnet epoch. A node that has
/// fallen behind, or has caught up, stays within.
const JUMP_MAX: u64 = 432_000;
/// A jump beyond is believed when it is told for this long: the operator has put another node, or another cluster,
/// behind the same address.
const JUMP_HELD: Duration = Duration::from_secs(60);

/// Leaders, stakes and plausible slots as an RPC node last told them. One writer, [`Follower`]; readers load pointers
/// and numbers.
#[derive(Debug)]
pub struct LeaderCell {
    schedule: ArcSwap<Schedule>,
    stakes: ArcSwap<StakeTable>,
    floor: AtomicU64,
    ceiling: AtomicU64,
    /// The finalised slot's epoch; `u64::MAX` before the first whose leaders were taken.
    epoch: AtomicU64,
    finalized: AtomicU64,
    /// When leaders were last taken, UNIX epoch, nanoseconds; 0 before.
    taken_at: AtomicU64,
    /// When the node last told a slot of an epoch whose leaders are known, UNIX epoch, nanoseconds; 0 before.
    answered_at: AtomicU64,
}

impl Default for LeaderCell {
    /// Nobody leads anything, every slot is plausible.
    fn default() -> Self {
        Self {
            schedule: ArcSwap::from_pointee(Schedule::empty()),
            stakes: ArcSwap::from_pointee(StakeTable::empty()),
            floor: AtomicU64::new(Plausible::ANY.floor.0),
            ceiling: AtomicU64::new(Plausible::ANY.ceiling.0),
            epoch: AtomicU64::new(u64::MAX),
            finalized: AtomicU64::new(0),
            taken_at: AtomicU64::new(0),
            answered_at: AtomicU64::new(0),
        }
    }
}

impl LeaderCell {
    /// Lets this thread read without allocating from now on: the first read of a thread takes its place in a list.
    pub fn warm(&self) {
        drop(self.schedule.load());
        drop(self.stakes.load());
    }

    /// The stakes, for the moment of a look-up.
    #[must_use]
    pub fn stakes(&self) -> impl std::ops::Deref<Target = Arc<StakeTable>> {
        self.stakes.load()
    }

    /// The epochs whose leaders are known.
    #[must_use]
    pub fn epochs(&self) -> Vec<u64> {
        self.schedule.load().epochs().collect()
    }

    /// The finalised slot and its epoch, once the node has told them and its leaders.
    #[must_use]
    pub fn finalized(&self) -> Option<(Slot, u64)> {
        let epoch = self.epoch.load(Relaxed);
        (epoch != u64::MAX).then(|| (Slot(self.finalized.load(Relaxed)), epoch))
    }

    /// How long ago leaders were last taken and the node last told a slot of an epoch whose leaders are known; `None`
    /// before. A node whose answers are refused ages as one that does not answer.
    #[must_use]
    pub fn ages(&self) -> (Option<Nanos>, Option<Nanos>) {
        let age = |cell: &AtomicU64| {
            let at = cell.load(Relaxed);
            (at != 0).then(|| realtime().since(Nanos(at)))
        };
        (age(&self.taken_at), age(&self.answered_at))
    }

    /// Slots outside are named to nobody.
    #[must_use]
    pub fn plausible(&self) -> Plausible {
        Plausible {
            floor: Slot(self.floor.load(Relaxed)),
            ceiling: Slot(self.ceiling.load(Relaxed)),
        }
    }
}

impl Leaders for LeaderCell {
    #[inline]
    fn leader(&self, slot: Slot) -> Leader {
        if self.plausible().holds(slot) {
            self.schedule.load().leader(slot)
        } else {
            Leader::Unnamed
        }
    }
}

/// Takes a node's answers, refuses those that do not fit, and publishes the rest in a [`LeaderCell`].
pub struct Follower {
    cell: Arc<LeaderCell>,
    /// Of the resolver's window.
    slots_behind: u64,
    /// The finalised slot, and since when it is.
    finalized: Option<(Slot, Instant)>,
    /// What was told, and when, of an epoch whose leaders are not known yet: nothing follows from it until they are.
    told: Option<(EpochInfo, Instant)>,
    /// A slot far from `finalized`, and since when such slots are told.
    doubted: Option<(Slot, Instant)>,
    retired: VecDeque<(Arc<Schedule>, Arc<StakeTable>)>,
}

impl Follower {
    /// Publishes in `cell`, for a window that reaches `slots_behind` below its highest slot.
    #[must_use]
    pub fn new(cell: Arc<LeaderCell>, slots_behind: u64) -> Self {
        Self {
            cell,
            slots_behind,
            finalized: None,
            told: None,
            doubted: None,
            retired: VecDeque::with_capacity(RETIRED_KEPT + 1),
        }
    }

    /// The node is believed, as of `at`.
    fn believe(&mut self, info: &EpochInfo, at: Instant) {
        let finalized = Slot(info.absolute_slot);
        if self.finalized.is_none_or(|(known, _)| known != finalized) {
            self.finalized = Some((finalized, at));
        }
        (self.told, self.doubted) = (None, None);
        self.cell.finalized.store(finalized.0, Relaxed);
        self.cell.epoch.store(info.epoch, Relaxed);
        self.cell.answered_at.store(realtime().0, Relaxed);
        self.publish_plausible();
    }

    /// Whether `told` may follow on what was believed before, or has been told for long.
    fn doubt(&mut self, told: Slot) -> Result<(), String> {
        let Some((known, since)) = self.finalized else {
            return Ok(());
        };
        if follows(known, since, told) {
            self.doubted = None;
            return Ok(());
        }
        let (_, since) = match self.doubted {
            Some((slot, since)) if follows(slot, since, told) => (slot, since),
            _ => *self.doubted.insert((told, Instant::now())),
        };
        if since.elapsed() >= JUMP_HELD {
            return Ok(());
        }
        Err(format!(
            "slot {} is more than {JUMP_MAX} slots from where slot {}, told before, can have led; believed when it is \
             told for {} s",
            told.0,
            known.0,
            JUMP_HELD.as_secs()
        ))
    }

    fn publish_plausible(&self) {
        let Some((finalized, since)) = self.finalized else {
            return;
        };
        let ago = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let plausible = Plausible::around(finalized, self.slots_behind, Nanos(ago));
        self.cell.floor.store(plausible.floor.0, Relaxed);
        self.cell.ceiling.store(plausible.ceiling.0, Relaxed);
    }

    fn retire(&mut self) {
        let cell = &self.cell;
        self.retired
            .push_back((cell.schedule.load_full(), cell.stakes.load_full()));
        if self.retired.len() > RETIRED_KEPT {
            self.retired.pop_front();
        }
    }
}

/// Whether slot `told` can be finalised now, `JUMP_MAX` more or less, when `known` was at `since`.
fn follows(known: Slot, since: Instant, told: Slot) -> bool {
    let ago = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut plausible = Plausible::around(known, JUMP_MAX, Nanos(ago));
    plausible.ceiling.0 = plausible.ceiling.0.saturating_add(JUMP_MAX);
    plausible.holds(told)
}

/// Says once that the node does not tell what is asked of it, and once that it does again.
#[derive(Debug)]
pub struct LeaderAlarm {
    node: String,
    counters: Arc<RefreshCounters>,
    outage: Outage,
}

impl LeaderAlarm {
    /// Of the node that `refresher` asks.
    #[must_use]
    pub fn new(refresher: &Refresher) -> Self {
        Self {
            node: refresher.endpoint().to_string(),
            counters: Arc::clone(refresher.counters()),
            outage: Outage::default(),
        }
    }

    /// What has changed since the last time, in a line.
    pub fn change(&mut self) -> Option<String> {
        let failure = self.counters.failure();
        match self.outage.turn(failure.is_some(), Instant::now())? {
            Turn::Fails => failure.map(|failure| format!("leaders: {failure}; asked again")),
            Turn::Works => Some(format!("leaders: {} answers again", self.node)),
        }
    }
}

impl Refreshed for Follower {
    fn round(&mut self) {
        self.publish_plausible();
    }

    /// The running epoch is wanted until its leaders are known, and the next from the middle of the running one: agave
    /// knows it from the beginning, and the rest of the epoch is left for trying again.
    fn epoch_info(
        &mut self,
        info: &EpochInfo,
        schedule: &EpochScheduleAnswer,
    ) -> Result<Vec<EpochWanted>, String> {
        let epochs = Epochs {
            slots_per_epoch: schedule.slots_per_epoch,
            first_normal_epoch: schedule.first_normal_epoch,
            first_normal_slot: Slot(schedule.first_normal_slot),
        };
        let wanted = |epoch: u64| {
            let first_slot = epochs.first_slot(epoch)?.0;
            let slots = epochs.slots_in(epoch);
            Some(EpochWanted {
                epoch,
                first_slot,
                slots,
            })
        };
        let running = wanted(info.epoch).filter(|running| {
            running.slots == info.slots_in_epoch
                && info.slot_index < info.slots_in_epoch
                && running.first_slot.checked_add(info.slot_index) == Some(info.absolute_slot)
        });
        let Some(running) = running else {
            return Err(format!(
                "slot {} cannot be number {} of the {} slots of epoch {}",
                info.absolute_slot, info.slot_index, info.slots_in_epoch, info.epoch
            ));
        };
        self.told = None;
        self.doubt(Slot(info.absolute_slot))?;
        if self.cell.schedule.load().has(info.epoch) {
            self.believe(info, Instant::now());
        } else {
            self.told = Some((*info, Instant::now()));
        }
        let past_middle = info.slot_index >= info.slots_in_epoch / 2;
        let next = info.epoch.checked_add(1).filter(|_| past_middle);
        let held = self.cell.schedule.load();
        Ok(std::iter::once(running)
            .chain(next.and_then(wanted))
            .filter(|wanted| !held.has(wanted.epoch))
            .collect())
    }

    fn leaders(&mut self, answer: &EpochAnswer) -> Result<(), String> {
        let EpochWanted {
            epoch,
            first_slot,
            slots,
        } = answer.wanted;
        let leaders = SlotLeaders::from_indices(Slot(first_slot), slots, &answer.leaders)
            .map_err(|reject| format!("epoch {epoch}: {reject}"))?;
        let new = EpochLeaders {
            epoch,
            leaders: Arc::new(leaders),
        };
        let told = self.told.filter(|(told, _)| told.epoch == epoch);
        let running = match told {
            Some(_) => epoch,
            None => self.cell.epoch.load(Relaxed).min(epoch),
        };
        let schedule = self.cell.schedule.load().with(new, running);
        self.retire();
        self.cell.schedule.store(Arc::new(schedule));
        self.cell.taken_at.store(realtime().0, Relaxed);
        if let Some((info, at)) = told {
            self.believe(&info, at);
        }
        Ok(())
    }

    fn wants_stakes(&self, epoch: u64) -> bool {
        let held = self.cell.stakes.load();
        held.total() == 0 || held.epoch() != epoch
    }

    fn stakes(&mut self, epoch: u64, stakes: &[StakeAnswer]) -> Result<(), String> {
        let stakes = stakes.iter().map(|answer| Stake {
            voter: answer.voter,
            node: answer.node,
            lamports: answer.lamports,
        });
        let table = StakeTable::new(epoch, stakes).map_err(|reject| reject.to_string())?;
        self.retire();
        self.cell.stakes.store(Arc::new(table));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SCHEDULE: EpochScheduleAnswer = EpochScheduleAnswer {
        slots_per_epoch: 64,
        first_normal_epoch: 0,
        first_normal_slot: 0,
    };

    fn info(slot: u64) -> EpochInfo {
        EpochInfo {
            absolute_slot: slot,
            epoch: slot / 64,
            slot_index: slot % 64,
            slots_in_epoch: 64,
        }
    }

    fn answer(wanted: EpochWanted, leader: u8) -> EpochAnswer {
        EpochAnswer {
            wanted,
            leaders: vec![([leader; 32], (0..wanted.slots).collect())],
        }
    }

    fn follower() -> (Arc<LeaderCell>, Follower) {
        let cell = Arc::new(LeaderCell::default());
        (Arc::clone(&cell), Follower::new(cell, 47))
    }

    /// Goal: across two edges each epoch has its own leaders, and a slot whose epoch is not known yet has none.
    #[test]
    fn follows_the_cluster_over_epoch_edges() {
        let (cell, mut follower) = follower();
        assert_eq!(cell.leader(Slot(640)), Leader::Unnamed);
        let wanted = follower.epoch_info(&info(640), &SCHEDULE).unwrap();
        assert_eq!(wanted.len(), 1);
        assert_eq!((wanted[0].epoch, wanted[0].first_slot), (10, 640));
        follower.leaders(&answer(wanted[0], 10)).unwrap();
        assert_eq!(cell.leader(Slot(703)), Leader::Identity([10; 32]));
        assert_eq!(cell.leader(Slot(704)), Leader::Unnamed, "not known yet");
        assert_eq!(follower.epoch_info(&info(671), &SCHEDULE).unwrap(), []);
        let wanted = follower.epoch_info(&info(672), &SCHEDULE).unwrap();
        assert_eq!((wanted[0].epoch, wanted[0].first_slot), (11, 704));
        follower.leaders(&answer(wanted[0], 11)).unwrap();
        assert_eq!(cell.leader(Slot(703)), Leader::Identity([10; 32]));
        assert_eq!(cell.leader(Slot(704)), Leader::Identity([11; 32]));
        // The finalised slot trails: the old epoch stays until the one after the next comes.
        assert_eq!(follower.epoch_info(&info(704), &SCHEDULE).unwrap(), []);
        assert_eq!(cell.leader(Slot(703)), Leader::Identity([10; 32]));
        let wanted = follower.epoch_info(&info(740), &SCHEDULE).unwrap();
        follower.leaders(&answer(wanted[0], 12)).unwrap();
        assert_eq!(cell.epochs(), [11, 12]);
        assert_eq!(cell.finalized(), Some((Slot(740), 11)));
        assert!(cell.ages().0.is_some() && cell.ages().1.is_some());
    }

    /// Goal: what contradicts itself changes nothing.
    #[test]
    fn refuses_what_does_not_fit() {
        let (cell, mut follower) = follower();
        for bad in [
            EpochInfo {
                epoch: 9,
                ..info(640)
            },
            EpochInfo {
                slot_index: 64,
                absolute_slot: 704,
                ..info(640)
            },
            EpochInfo {
                slots_in_epoch: 32,
                ..info(640)
            },
            EpochInfo {
                epoch: u64::MAX,
                ..info(640)
            },
            EpochInfo {
                absolute_slot: u64::MAX,
                ..info(640)
            },
        ] {
            assert!(follower.epoch_info(&bad, &SCHEDULE).is_err(), "{bad:?}");
        }
        assert_eq!(cell.finalized(), None);
        assert_eq!(cell.plausible(), Plausible::ANY);
        let wanted = follower.epoch_info(&info(640), &SCHEDULE).unwrap()[0];
        follower.leaders(&answer(wanted, 1)).unwrap();
        let mut short = answer(wanted, 2);
        short.leaders[0].1.pop();
        let mut long = answer(wanted, 2);
        long.leaders[0].1.push(64);
        for bad in [short, long] {
            let refusal = follower.leaders(&bad).unwrap_err();
            assert!(refusal.contains("epoch 10"), "{refusal}");
        }
        assert_eq!(cell.leader(Slot(640)), Leader::Identity([1; 32]));
        assert!(follower.stakes(10, &[]).is_err());
        assert!(follower.wants_stakes(10));
    }

    /// Goal: a recording from before the window is named to nobody, though its epoch's leaders are known, and a dead
    /// node does not close the tip.
    #[test]
    fn an_old_recording_has_no_leader() {
        let (cell, mut follower) = follower();
        let wanted = follower.epoch_info(&info(700), &SCHEDULE).unwrap()[0];
        follower.leaders(&answer(wanted, 1)).unwrap();
        assert_eq!(cell.leader(Slot(652)), Leader::Unnamed);
        assert_eq!(cell.leader(Slot(653)), Leader::Identity([1; 32]));
        assert_eq!(cell.leader(Slot(703)), Leader::Identity([1; 32]));
        let ceiling = cell.plausible().ceiling;
        let earlier = Instant::now().checked_sub(std::time::Duration::from_secs(60));
        follower.finalized = Some((Slot(700), earlier.expect("a minute of uptime")));
        follower.round();
        assert!(cell.plausible().ceiling.0 >= ceiling.0 + 600);
        assert_eq!(cell.plausible().floor, Slot(653));
        // A node that has fallen behind is believed: the floor goes back with it.
        follower.epoch_info(&info(690), &SCHEDULE).unwrap();
        assert_eq!(cell.plausible().floor, Slot(643));
    }

    /// Goal: a slot counts when the leaders of its epoch were taken, and not before. The answers are those of a node
    /// that names an epoch of 2^64 - 1 slots.
    #[test]
    fn a_slot_without_leaders_moves_nothing() {
        let (cell, mut follower) = follower();
        let endless = EpochScheduleAnswer {
            slots_per_epoch: u64::MAX,
            ..SCHEDULE
        };
        let last = EpochInfo {
            absolute_slot: u64::MAX - 1,
            epoch: 0,
            slot_index: u64::MAX - 1,
            slots_in_epoch: u64::MAX,
        };
        let wanted = follower.epoch_info(&last, &endless).unwrap()[0];
        let leaders = vec![([1; 32], vec![0])];
        assert!(follower.leaders(&EpochAnswer { wanted, leaders }).is_err());
        follower.round();
        assert_eq!(cell.plausible(), Plausible::ANY);
        assert_eq!((cell.finalized(), cell.ages()), (None, (None, None)));
        // The same with leaders of another epoch known.
        let wanted = follower.epoch_info(&info(640), &SCHEDULE).unwrap()[0];
        follower.leaders(&answer(wanted, 1)).unwrap();
        let plausible = cell.plausible();
        let wanted = follower.epoch_info(&info(710), &SCHEDULE).unwrap()[0];
        assert_eq!(wanted.epoch, 11);
        let mut short = answer(wanted, 2);
        short.leaders[0].1.pop();
        assert!(follower.leaders(&short).is_err());
        assert_eq!(cell.finalized(), Some((Slot(640), 10)));
        assert_eq!(cell.plausible().floor, plausible.floor);
        assert_eq!(cell.leader(Slot(640)), Leader::Identity([1; 32]));
        follower.leaders(&answer(wanted, 2)).unwrap();
        assert_eq!(cell.finalized(), Some((Slot(710), 11)));
        assert_eq!(cell.epochs(), [11]);
    }

    /// Goal: one answer out of all reason changes nothing; one that is held to does.
    #[test]
    fn a_far_slot_is_believed_when_it_is_held_to() {
        let (cell, mut follower) = follower();
        let near = 64 * 1_000_000;
        let far = near + JUMP_MAX + 10_000;
        for (believed, told) in [(near, far), (far, near)] {
            let wanted = follower.epoch_info(&info(believed), &SCHEDULE).unwrap()[0];
            follower.leaders(&answer(wanted, 1)).unwrap();
            let refusal = follower.epoch_info(&info(told), &SCHEDULE).unwrap_err();
            assert!(refusal.contains(&told.to_string()), "{refusal}");
            assert_eq!(cell.finalized().unwrap().0, Slot(believed));
            // It takes the first back.
            follower.epoch_info(&info(believed + 1), &SCHEDULE).unwrap();
            assert_eq!(follower.doubted, None);
            follower.epoch_info(&info(told), &SCHEDULE).unwrap_err();
            let (slot, since) = follower.doubted.unwrap();
            let since = since.checked_sub(JUMP_HELD).expect("a minute of uptime");
            follower.doubted = Some((slot, since));
            let wanted = follower.epoch_info(&info(told + 9), &SCHEDULE).unwrap()[0];
            follower.leaders(&answer(wanted, 2)).unwrap();
            assert_eq!(cell.finalized().unwrap().0, Slot(told + 9));
            assert_eq!(follower.doubted, None);
            follower.finalized = None;
            cell.schedule.store(Arc::default());
        }
    }

    /// Goal: a node that is not there is spoken of once, by its name and with the cause.
    #[test]
    fn a_node_that_is_not_there_is_named_with_the_cause() {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        let (_cell, follower) = follower();
        let endpoint = sidecar::Endpoint::parse(&format!("http://{address}")).unwrap();
        let plan = sidecar::RefreshPlan::new(endpoint);
        let refresher = sidecar::refresh(plan, Box::new(follower)).unwrap();
        let mut alarm = LeaderAlarm::new(&refresher);
        let started = Instant::now();
        let said = loop {
            if let Some(said) = alarm.change() {
                break said;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "never said");
            std::thread::sleep(Duration::from_millis(5));
        };
        let address = address.to_string();
        for part in ["leaders: getEpochSchedule at", &address, "refused"] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(alarm.change(), None, "once");
    }

    #[test]
    fn stakes_are_taken_once_an_epoch() {
        let (cell, mut follower) = follower();
        cell.warm();
        let stake = StakeAnswer {
            voter: [1; 32],
            node: [2; 32],
            lamports: 5,
        };
        assert!(follower.wants_stakes(10));
        follower.stakes(10, &[stake]).unwrap();
        assert!(!follower.wants_stakes(10) && follower.wants_stakes(11));
        assert_eq!(cell.stakes().total(), 5);
        assert_eq!(cell.stakes().get(&[1; 32]).unwrap().1.node, [2; 32]);
    }
}
