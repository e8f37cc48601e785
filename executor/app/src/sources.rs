//! The race between sources, for whoever asks: `overmind sources`, status, metrics, the log and the alarm.

mod interface;
mod log;
mod table;
mod watch;

use std::net::SocketAddr;

use serde_json::{Map, Value, json};
use shred_resolve::{LATENESS_BUCKETS, Lateness, Reject, SourceTally};
use sidecar::{LATENCY_BUCKET_COUNT, LatencyRead, Snapshot};

use crate::clock::realtime;
use crate::published::{Published, PublishedSources};
use crate::receive::Received;

pub use self::interface::{Interface, InterfaceAlarms, interface_alarms};
pub use self::log::SourcesLog;
pub use self::table::{Shown, in_words};
pub use self::watch::{Refused, Seen, SourceState, States, Watch};

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
    /// The interface that it hangs on.
    pub interface: Interface,
}

/// What a source's end took and refused, by name.
pub(crate) fn received_object(facts: &SourceFacts) -> Map<String, Value> {
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

/// What is known of shreds that are not used, because of what they are of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stray {
    /// Slot of the newest.
    pub slot: Option<u64>,
    /// Its version.
    pub version: Option<u64>,
}

/// What is to be said when not one shred is used: why, what the leaders are of, and what the stream is of.
#[must_use]
pub fn refusal(refused: &Refused, leaders: Option<String>, stray: Stray) -> String {
    let seconds = watch::PATIENCE.as_secs();
    let mut said = format!("every shred of the last {seconds} s was refused: {refused}");
    let why = refused.0.first().map_or("", |(name, _)| *name);
    let is = |reason: Reject| why == Reject::name_at(reason.index());
    if is(Reject::ForeignVersion) {
        if let Some(version) = stray.version {
            let advice = "is ingest.shred_version of another cluster?";
            said.push_str(&format!("; the stream is of version {version}: {advice}"));
        }
        return said;
    }
    let of_leaders =
        is(Reject::NoLeader) || is(Reject::BadLeaderSignature) || why == "set_discarded";
    let named = leaders.filter(|_| of_leaders);
    let stream = stray
        .slot
        .map(|slot| format!("the stream is at slot {slot}"));
    let facts: Vec<String> = named.into_iter().chain(stream).collect();
    if !facts.is_empty() {
        said.push_str(&format!("; {}", facts.join(", ")));
    }
    said
}

/// The answer to `sources`, without `ok`. All numbers are cumulative: whoever asks twice has rates. `unique` is null
/// until a first slot was forgotten.
#[must_use]
pub fn answer(facts: &[SourceFacts], published: &Published) -> Value {
    let race = &published.sources;
    let (untracked, unplanned) = race.ignored();
    let states = published.states();
    let has_settled = race.has_settled();
    let sources: Vec<Value> = read(facts, race)
        .zip(&states.sources)
        .map(|((facts, tally), (state, _))| {
            let mut source = tally_object(&tally);
            if !has_settled {
                source.insert("unique".to_owned(), Value::Null);
            }
            source.insert("name".to_owned(), facts.name.as_str().into());
            source.insert("address".to_owned(), facts.address.to_string().into());
            source.insert("redistributable".to_owned(), facts.redistributable.into());
            source.insert("state".to_owned(), state.as_str().into());
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
        "unique_after_slots": race.settled_after(),
        "refusal": published.refusal(&states),
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
pub fn brief(facts: &[SourceFacts], published: &Published) -> Value {
    let states = published.states();
    read(facts, &published.sources)
        .zip(&states.sources)
        .map(|((facts, tally), (state, _))| {
            json!({
                "name": facts.name, "kind": facts.kind, "state": state.as_str(), "shred": tally.shred,
                "won": tally.won(), "received": received_object(facts),
            })
        })
        .collect::<Vec<_>>()
        .into()
}

/// Adds what the metrics say of the sources.
pub fn measure(snapshot: &mut Snapshot, facts: &[SourceFacts], published: &Published) {
    let read: Vec<_> = read(facts, &published.sources).collect();
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
    measure_received(snapshot, read.iter().map(|(facts, _)| *facts));
    let states = published.states().sources;
    let states = states.iter().map(|(state, _)| *state);
    measure_states(snapshot, facts.iter().zip(states));
    let help = "How much later than the first a source brought what it did not bring first.";
    let mut late = snapshot.latency("source_lateness", help);
    for (facts, tally) in &read {
        late = late.with(&[("source", &facts.name)], latency(&tally.late));
    }
}

/// Adds how each source is.
pub(crate) fn measure_states<'a>(
    snapshot: &mut Snapshot,
    sources: impl Iterator<Item = (&'a SourceFacts, SourceState)> + Clone,
) {
    let help = "1 for a source that brought nothing while others did.";
    let mut dead = snapshot.gauge("source_dead", help);
    for (facts, state) in sources.clone() {
        let is = i64::from(state == SourceState::Dead);
        dead = dead.with(&[("source", &facts.name)], is);
    }
    let help = "1 for how each source is (alive, silent, refused, dead), 0 for the others.";
    let mut family = snapshot.gauge("source_state", help);
    for (facts, state) in sources {
        for each in SourceState::ALL {
            let labels = [("source", facts.name.as_str()), ("state", each.as_str())];
            family = family.with(&labels, i64::from(each == state));
        }
    }
}

/// Adds what the receiving ends of sources took and lost.
pub(crate) fn measure_received<'a>(
    snapshot: &mut Snapshot,
    sources: impl Iterator<Item = &'a SourceFacts>,
) {
    let help =
        "What the receiving end of each source took and lost, by kind; `how` is how it receives.";
    let mut received = snapshot.counter("source_receive_events", help);
    for facts in sources {
        for (kind, value) in facts.received.named() {
            let labels = [
                ("source", facts.name.as_str()),
                ("how", facts.kind),
                ("kind", kind),
            ];
            received = received.with(&labels, value);
        }
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

/// Notices sources that die, are refused, and come back. Asked from time to time by a thread that may log.
#[derive(Debug, Default)]
pub struct Alarms {
    /// What was said of each source; nothing is alive.
    said: Vec<Option<SourceState>>,
    all_refused: bool,
}

impl Alarms {
    /// What has changed since the last time: a line for each source, or one for all of them while not one shred is
    /// used.
    pub fn changes(&mut self, facts: &[SourceFacts], published: &Published) -> Vec<String> {
        let states = published.states();
        let mut lines = Vec::new();
        let refusal = published.refusal(&states);
        let before = std::mem::replace(&mut self.all_refused, refusal.is_some());
        match refusal {
            Some(refusal) => {
                lines.extend((!before).then_some(refusal));
                return lines;
            }
            None if before => lines.push(states.refusal_ended().to_owned()),
            None => {}
        }
        self.said.resize(facts.len(), None);
        for ((facts, said), (state, refused)) in
            facts.iter().zip(&mut self.said).zip(&states.sources)
        {
            let now = match state {
                SourceState::Alive => None,
                // Nothing new is known of it, and the age of the newest datagram is told elsewhere.
                SourceState::Silent => *said,
                SourceState::Refused | SourceState::Dead => Some(*state),
            };
            if std::mem::replace(said, now) != now {
                let is = in_alarm(now, refused, published);
                lines.push(format!(
                    "source {} on {} is {is}",
                    facts.name, facts.address
                ));
            }
        }
        lines
    }
}

/// What is said of a source that is not alive, or that is again.
fn in_alarm(state: Option<SourceState>, refused: &Refused, published: &Published) -> String {
    match state {
        Some(SourceState::Refused) => {
            format!("refused: of what it brings nothing can be used ({refused})")
        }
        Some(_) => {
            let two_slots = 2 * published.sources.slot_duration().0 / 1_000_000;
            format!("dead: nothing for two slots ({two_slots} ms) while others bring shreds")
        }
        None => "alive again".to_owned(),
    }
}

/// Sources that cannot receive, are dead, or are refused beside others that are not, in words.
#[must_use]
pub fn alarms(facts: &[SourceFacts], published: &Published) -> Vec<String> {
    let states = published.states();
    let interfaces = interface_alarms(facts);
    if states.all_refused.is_some() {
        return interfaces.collect();
    }
    let sources = facts.iter().zip(&states.sources);
    let states = sources
        .filter(|(_, (state, _))| matches!(state, SourceState::Refused | SourceState::Dead))
        .map(|(facts, (state, refused))| {
            let is = in_alarm(Some(*state), refused, published);
            format!("source {} on {} is {is}", facts.name, facts.address)
        });
    interfaces.chain(states).collect()
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
