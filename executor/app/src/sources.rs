//! The race between sources, for whoever asks: `overmind sources`, status, metrics, the log and the alarm.

mod log;
mod table;

use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use shred_resolve::{LATENESS_BUCKETS, Lateness, Reject, SourceTally};
use sidecar::{LATENCY_BUCKET_COUNT, LatencyRead, Snapshot};

use crate::clock::realtime;
use crate::published::{Published, PublishedSources};
use crate::receive::Received;

pub use self::log::SourcesLog;
pub use self::table::{Shown, in_words};

/// What the configuration and the system say of a source.
#[derive(Debug, Clone)]
pub struct SourceFacts {
    /// Its name.
    pub name: String,
    /// Its kind's word.
    pub kind: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether what it brings may be passed on.
    pub redistributable: bool,
    /// Where its end counts what it took and refused.
    pub received: Received,
}

/// What a source's end took and refused, by name.
fn received_object(facts: &SourceFacts) -> Map<String, Value> {
    let named = facts.received.named().into_iter();
    named
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect()
}

/// Each source with what it has brought.
pub(crate) fn read<'a>(
    facts: &'a [SourceFacts],
    published: &'a PublishedSources,
) -> impl Iterator<Item = (&'a SourceFacts, SourceTally)> {
    let tallies = (0..published.len()).filter_map(|source| published.source(source));
    facts.iter().zip(tallies)
}

/// The word for a source's state.
const fn state(tally: &SourceTally) -> &'static str {
    if tally.dead { "dead" } else { "alive" }
}

/// The answer to `sources`, without `ok`. All numbers are cumulative: whoever asks twice has rates.
#[must_use]
pub fn answer(facts: &[SourceFacts], published: &Published) -> Value {
    let race = &published.sources;
    let (untracked, unplanned) = race.ignored();
    let sources: Vec<Value> = read(facts, race)
        .map(|(facts, tally)| {
            let mut source = tally_object(&tally);
            source.insert("name".to_owned(), facts.name.as_str().into());
            source.insert("address".to_owned(), facts.address.to_string().into());
            source.insert("redistributable".to_owned(), facts.redistributable.into());
            source.insert("state".to_owned(), state(&tally).into());
            source.insert("kind".to_owned(), facts.kind.into());
            source.insert("received".to_owned(), received_object(facts).into());
            source.into()
        })
        .collect();
    let leaders: Vec<Value> = race
        .leaders()
        .into_iter()
        .map(|leader| {
            let shares = facts.iter().zip(&leader.shares).map(|(facts, share)| {
                let (won, late, median) = share;
                json!({ "name": facts.name, "won": won, "late": late, "late_p50_ns": median.map(|nanos| nanos.0) })
            });
            json!({
                "identity": bs58::encode(leader.identity).into_string(),
                "slots": leader.slots,
                "sources": shares.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "at": realtime().0,
        "slot": published.slot.load(std::sync::atomic::Ordering::Relaxed),
        "slot_duration_ns": race.slot_duration().0,
        "untracked": untracked,
        "unplanned": unplanned,
        "sources": sources,
        "leaders": leaders,
    })
}

/// The numbers of one source; refusals and lateness only where there are any.
fn tally_object(tally: &SourceTally) -> Map<String, Value> {
    let named = tally.named().into_iter();
    let mut object: Map<_, _> = named
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    let refused: Map<_, _> = tally
        .refused
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(reason, count)| (Reject::name_at(reason).to_owned(), Value::from(*count)))
        .collect();
    object.insert("won".to_owned(), tally.won().into());
    object.insert("sets".to_owned(), tally.sets().into());
    object.insert("refused".to_owned(), refused.into());
    object.insert("late".to_owned(), late_object(&tally.late));
    object
}

/// Quantiles, and the buckets that hold something: the largest nanoseconds of each, and how many.
fn late_object(late: &Lateness) -> Value {
    let buckets: Vec<Value> = (0..LATENESS_BUCKETS)
        .filter(|bucket| late.counts[*bucket] > 0)
        .map(|bucket| json!([Lateness::bound(bucket), late.counts[bucket]]))
        .collect();
    let quantile = |per_mille| late.quantile(per_mille).map(|nanos| nanos.0);
    json!({
        "count": late.count(),
        "sum_ns": late.sum,
        "max_ns": late.max,
        "p50_ns": quantile(500),
        "p99_ns": quantile(990),
        "buckets": buckets,
    })
}

/// What `status` says of the sources: a short object for each.
#[must_use]
pub fn brief(facts: &[SourceFacts], published: &PublishedSources) -> Value {
    read(facts, published)
        .map(|(facts, tally)| {
            json!({
                "name": facts.name, "kind": facts.kind, "state": state(&tally), "shred": tally.shred,
                "won": tally.won(), "received": received_object(facts),
            })
        })
        .collect::<Vec<_>>()
        .into()
}

/// Adds what the metrics say of the sources.
pub fn measure(snapshot: &mut Snapshot, facts: &[SourceFacts], published: &PublishedSources) {
    let read: Vec<_> = read(facts, published).collect();
    if read.is_empty() {
        return;
    }
    let help = "What each source has brought, by kind; `first` less `overtaken` is what it won.";
    let mut events = snapshot.counter("source_events", help);
    for (facts, tally) in &read {
        let refused = [("refused", tally.refused_total())];
        let counters = tally.named().into_iter().chain(refused);
        for (kind, value) in counters.filter(|(kind, _)| *kind != "last_at") {
            events = events.with(&[("source", &facts.name), ("kind", kind)], value);
        }
    }
    let help =
        "What the receiving end of each source took and lost, by kind; `how` is how it receives.";
    let mut received = snapshot.counter("source_receive_events", help);
    for (facts, _) in &read {
        for (kind, value) in facts.received.named() {
            let labels = [
                ("source", facts.name.as_str()),
                ("how", facts.kind),
                ("kind", kind),
            ];
            received = received.with(&labels, value);
        }
    }
    let help = "1 for a source that brought nothing for two slots while others did.";
    let mut dead = snapshot.gauge("source_dead", help);
    for (facts, tally) in &read {
        dead = dead.with(&[("source", &facts.name)], i64::from(tally.dead));
    }
    let help = "How much later than the first a source brought what it did not bring first.";
    let mut late = snapshot.latency("source_lateness", help);
    for (facts, tally) in &read {
        late = late.with(&[("source", &facts.name)], latency(&tally.late));
    }
}

/// The same histogram, in the buckets of the metrics. What is above half of their highest bound counts as beyond it.
fn latency(late: &Lateness) -> LatencyRead {
    let mut counts = [0; LATENCY_BUCKET_COUNT];
    let mut bucket = 0;
    let octaves = late.octaves();
    for (octave, count) in octaves.iter().enumerate() {
        while LatencyRead::bound_ns(bucket).is_some_and(|bound| bound < 1 << octave) {
            bucket += 1;
        }
        let is_last = octave + 1 == octaves.len();
        let bucket = if is_last {
            LATENCY_BUCKET_COUNT - 1
        } else {
            bucket
        };
        counts[bucket] += count;
    }
    LatencyRead {
        counts,
        sum_ns: late.sum,
        max_ns: late.max,
    }
}

/// Notices sources that go silent and come back. Asked from time to time by a thread that may log.
#[derive(Debug, Default)]
pub struct Alarms {
    dead: Vec<bool>,
}

impl Alarms {
    /// What has changed since the last time, a line for each source.
    pub fn changes(&mut self, facts: &[SourceFacts], published: &PublishedSources) -> Vec<String> {
        self.dead.resize(facts.len(), false);
        let mut lines = Vec::new();
        for (source, (facts, said)) in facts.iter().zip(&mut self.dead).enumerate() {
            let dead = published.is_dead(source);
            if std::mem::replace(said, dead) == dead {
                continue;
            }
            let two_slots = 2 * published.slot_duration().0 / 1_000_000;
            let what = if dead {
                format!("dead: nothing for two slots ({two_slots} ms) while others bring shreds")
            } else {
                "alive again".to_owned()
            };
            lines.push(format!(
                "source {} on {} is {what}",
                facts.name, facts.address
            ));
        }
        lines
    }
}

/// Sources that are dead, in words.
#[must_use]
pub fn alarms(facts: &[SourceFacts], published: &PublishedSources) -> Vec<String> {
    Alarms::default().changes(facts, published)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use shred_wire::Nanos;

    use super::*;

    #[test]
    fn lateness_keeps_its_bounds_in_the_metrics() {
        let mut late = Lateness::default();
        for nanos in [
            0,
            64,
            65,
            128,
            1_000_000,
            17_179_869_184,
            40_000_000_000,
            u64::MAX,
        ] {
            late.record(Nanos(nanos));
        }
        let read = latency(&late);
        assert_eq!(read.count(), late.count());
        assert_eq!((read.counts[0], read.counts[1]), (2, 2));
        let bucket = (0..LATENCY_BUCKET_COUNT)
            .find(|bucket| LatencyRead::bound_ns(*bucket).is_none_or(|bound| bound >= 1_000_000))
            .unwrap();
        assert_eq!(read.counts[bucket], 1);
        assert_eq!(read.counts[LATENCY_BUCKET_COUNT - 3], 1);
        assert_eq!(read.counts[LATENCY_BUCKET_COUNT - 1], 2);
    }
}
