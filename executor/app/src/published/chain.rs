//! What the core has learned of the chain, for whoever asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};
use shred_resolve::{ForkCounters, VoteCounters};
use shred_wire::{Nanos, Slot};
use sidecar::{RefreshCounters, Snapshot};

use crate::chain::Chain;
use crate::leaders::LeaderCell;

const FORKS: usize = 11;
const VOTES: usize = 10;
/// Silence of the RPC node that is a fault: two of the longest pauses between questions.
const ANSWER_AGE_MAX: Nanos = Nanos(120_000_000_000);

/// Numbers of forks, votes and the slot's clock, and where leaders come from.
#[derive(Debug, Default)]
pub struct PublishedChain {
    forks: [AtomicU64; FORKS],
    votes: [AtomicU64; VOTES],
    /// 0: not known.
    slot_len: AtomicU64,
    /// 0: none; otherwise one more than the slot.
    newest_block: AtomicU64,
    newest_hint: AtomicU64,
    leaders: OnceLock<LeadersFrom>,
}

/// Where leaders come from, and how that goes.
#[derive(Debug)]
pub struct LeadersFrom {
    source: &'static str,
    /// The first and the last slot that a file names.
    span: Option<(Slot, Slot)>,
    followed: Option<(Arc<LeaderCell>, Arc<RefreshCounters>)>,
}

impl PublishedChain {
    /// Where leaders come from, told once at start.
    pub fn leaders_from(&self, from: LeadersFrom) {
        // A second word changes nothing: the first is what the core was built with.
        let _ = self.leaders.set(from);
    }

    /// What slots or epochs the leaders are of, in words; `None` when nobody names any.
    #[must_use]
    pub fn leaders_named(&self) -> Option<String> {
        self.leaders.get().and_then(LeadersFrom::named)
    }

    /// Copies the numbers in. One writer.
    pub fn publish(&self, chain: &Chain) {
        for (cell, (_, value)) in self.forks.iter().zip(chain.forks().counters().named()) {
            cell.store(value, Relaxed);
        }
        for (cell, (_, value)) in self.votes.iter().zip(chain.votes().counters().named()) {
            cell.store(value, Relaxed);
        }
        let slot_len = chain.clock().slot_len().unwrap_or_default();
        self.slot_len.store(slot_len.0, Relaxed);
        for (cell, slot) in [
            (
                &self.newest_block,
                chain.forks().newest().map(|block| block.slot),
            ),
            (&self.newest_hint, chain.votes().newest()),
        ] {
            cell.store(slot.map_or(0, |slot| slot.0.saturating_add(1)), Relaxed);
        }
    }

    /// For `status`.
    #[must_use]
    pub fn status(&self) -> Value {
        let forks = named(ForkCounters::default().named(), &self.forks);
        let votes = named(VoteCounters::default().named(), &self.votes);
        json!({
            "slot_ms": self.slot_len().map(|nanos| nanos / 1_000_000),
            "newest_block": slot(&self.newest_block),
            "newest_two_thirds_hint": slot(&self.newest_hint),
            "forks": object(&forks),
            "votes": object(&votes),
            "leaders": self.leaders.get().map(LeadersFrom::status),
        })
    }

    /// What is wrong with where leaders come from, in words.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.leaders.get().and_then(LeadersFrom::fault)
    }

    /// For metrics.
    pub fn measure(&self, snapshot: &mut Snapshot) {
        for (family, help, counters) in [
            (
                "chain_events",
                "What is known of blocks and slots, by kind.",
                named(ForkCounters::default().named(), &self.forks),
            ),
            (
                "votes_seen",
                "Votes in own shreds, by what became of them. A hint, not a confirmation.",
                named(VoteCounters::default().named(), &self.votes),
            ),
        ] {
            add(snapshot, family, help, &counters);
        }
        if let Some(nanos) = self.slot_len() {
            let _ = snapshot
                .nanos(
                    "slot_length",
                    "How long slots last, learned from the stream.",
                )
                .with(&[], nanos);
        }
        if let Some(slot) = slot(&self.newest_hint) {
            let help =
                "Highest slot that two thirds of the stake is seen to have voted for. A hint.";
            let _ = snapshot
                .gauge("two_thirds_hint_slot", help)
                .with(&[], slot as i64);
        }
        if let Some(from) = self.leaders.get() {
            from.measure(snapshot);
        }
    }

    fn slot_len(&self) -> Option<u64> {
        let nanos = self.slot_len.load(Relaxed);
        (nanos != 0).then_some(nanos)
    }
}

impl LeadersFrom {
    /// The word for it, and what follows an RPC node where that is it.
    #[must_use]
    pub const fn new(
        source: &'static str,
        followed: Option<(Arc<LeaderCell>, Arc<RefreshCounters>)>,
    ) -> Self {
        Self {
            source,
            span: None,
            followed,
        }
    }

    /// The first and the last slot that a file names.
    #[must_use]
    pub const fn naming(mut self, span: Option<(Slot, Slot)>) -> Self {
        self.span = span;
        self
    }

    /// What slots or epochs they are of, in words; `None` when nobody names any.
    #[must_use]
    pub fn named(&self) -> Option<String> {
        if let Some((Slot(first), Slot(last))) = self.span {
            return Some(format!("the leaders file names slots {first}..{last}"));
        }
        let (cell, _) = self.followed.as_ref()?;
        let epochs: Vec<_> = cell.epochs().iter().map(u64::to_string).collect();
        let finalized = cell.finalized().map_or_else(String::new, |(slot, _)| {
            format!(", whose finalised slot is {}", slot.0)
        });
        Some(match epochs.is_empty() {
            true => "the RPC node has named no leaders yet".to_owned(),
            false => format!(
                "the RPC node{finalized} names leaders of epochs {}",
                epochs.join(", ")
            ),
        })
    }

    /// What is wrong with it, in words.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let (cell, counters) = self.followed.as_ref()?;
        let failure = counters.last_failure();
        let (epochs, finalized) = (cell.epochs(), cell.finalized());
        if epochs.is_empty() {
            let why = if failure.is_empty() {
                "none was asked for yet".to_owned()
            } else {
                failure
            };
            return Some(format!("no leaders are known: {why}"));
        }
        if let (_, Some(age)) = cell.ages()
            && age > ANSWER_AGE_MAX
        {
            let seconds = age.0 / 1_000_000_000;
            return Some(format!(
                "the RPC node has told nothing for {seconds} s: {failure}"
            ));
        }
        let (_, epoch) = finalized?;
        (!epochs.contains(&epoch))
            .then(|| format!("leaders of epoch {epoch} are not known: {failure}"))
    }

    /// For `status`.
    #[must_use]
    pub fn status(&self) -> Value {
        let Some((cell, counters)) = &self.followed else {
            return json!({"source": self.source});
        };
        let (taken, answered) = cell.ages();
        let seconds = |age: Nanos| age.0 / 1_000_000_000;
        let (finalized, epoch) = cell.finalized().unzip();
        json!({
            "source": self.source,
            "epoch": epoch,
            "epochs_known": cell.epochs(),
            "finalized_slot": finalized.map(|slot| slot.0),
            "schedule_age_s": taken.map(seconds),
            "answer_age_s": answered.map(seconds),
            "stake_lamports": cell.stakes().total(),
            "refresh": object(&counters.named()),
            "last_failure": counters.last_failure(),
        })
    }

    /// For metrics.
    pub fn measure(&self, snapshot: &mut Snapshot) {
        let _ = snapshot
            .gauge("leaders_source", "1 for where leaders come from.")
            .with(&[("source", self.source)], 1);
        let Some((cell, counters)) = &self.followed else {
            return;
        };
        if let Some((_, epoch)) = cell.finalized() {
            let _ = snapshot
                .gauge("epoch", "Epoch of the finalised slot.")
                .with(&[], epoch as i64);
        }
        let (taken, answered) = cell.ages();
        if let Some(age) = taken {
            let _ = snapshot
                .nanos("leaders_age", "Time since leaders were last taken.")
                .with(&[], age.0);
        }
        if let Some(age) = answered {
            let _ = snapshot
                .nanos(
                    "leaders_answer_age",
                    "Time since the RPC node last answered.",
                )
                .with(&[], age.0);
        }
        add(
            snapshot,
            "leaders_refresh",
            "What asking the RPC node for leaders and stakes has brought, by kind.",
            &counters.named(),
        );
    }
}

fn slot(cell: &AtomicU64) -> Option<u64> {
    cell.load(Relaxed).checked_sub(1)
}

fn named<const N: usize>(
    names: [(&'static str, u64); N],
    cells: &[AtomicU64; N],
) -> Vec<(&'static str, u64)> {
    let names = names.iter().zip(cells);
    names
        .map(|((name, _), cell)| (*name, cell.load(Relaxed)))
        .collect()
}

fn object(counters: &[(&'static str, u64)]) -> Map<String, Value> {
    let counters = counters.iter();
    counters
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect()
}

fn add(
    snapshot: &mut Snapshot,
    family: &'static str,
    help: &'static str,
    counters: &[(&'static str, u64)],
) {
    let mut family = snapshot.counter(family, help);
    for (name, value) in counters {
        family = family.with(&[("kind", name)], *value);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use shred_resolve::SetLink;
    use shred_wire::FecSetIndex;
    use sidecar::{EpochInfo, EpochScheduleAnswer, Health, Refreshed};

    /// Goal: what the core has learned and where leaders come from can be read, and missing leaders are a fault.
    #[test]
    fn status_metrics_and_faults_say_what_is_known() {
        let published = PublishedChain::default();
        assert_eq!(published.fault(), None);
        assert!(published.status()["leaders"].is_null());
        let cell = Arc::<LeaderCell>::default();
        let followed = Some((Arc::clone(&cell), Arc::default()));
        published.leaders_from(LeadersFrom::new("rpc", followed));
        assert!(published.fault().unwrap().contains("no leaders are known"));
        let mut follower = crate::leaders::Follower::new(cell, 47);
        let info = EpochInfo {
            absolute_slot: 640,
            epoch: 10,
            slot_index: 0,
            slots_in_epoch: 64,
        };
        let epochs = EpochScheduleAnswer {
            slots_per_epoch: 64,
            first_normal_epoch: 0,
            first_normal_slot: 0,
        };
        let wanted = follower.epoch_info(&info, &epochs).unwrap()[0];
        let leaders = vec![([1; 32], (0..64).collect())];
        follower
            .leaders(&sidecar::EpochAnswer { wanted, leaders })
            .unwrap();
        assert_eq!(published.fault(), None);
        let mut chain = Chain::new(None);
        for slot in 0..20 {
            chain.set(&SetLink {
                slot: Slot(640 + slot),
                fec_set_index: FecSetIndex(0),
                root: [slot as u8; 32],
                chained_root: [0; 32],
                at: Nanos(slot * 300_000_000),
            });
        }
        published.publish(&chain);
        let status = published.status();
        assert_eq!(status["slot_ms"], 300);
        assert_eq!(status["forks"]["set_linked"], 20);
        assert!(status["newest_two_thirds_hint"].is_null());
        assert_eq!(status["leaders"]["epoch"], 10);
        let mut snapshot = Snapshot::new(Health::default());
        published.measure(&mut snapshot);
        let metrics = sidecar::render_metrics(snapshot).unwrap();
        for line in [
            "overmind_chain_events_total{kind=\"set_linked\"} 20",
            "overmind_slot_length_seconds 0.3",
            "overmind_leaders_source{source=\"rpc\"} 1",
            "overmind_epoch 10",
        ] {
            assert!(
                metrics.lines().any(|said| said == line),
                "{line}\n{metrics}"
            );
        }
    }
}
