//! What an operator may look at while a relay runs: status, the race between its sources, health, metrics.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shred_quic::{Destination, PeerId, SenderCounters};
use shred_relay::{
    AssemblerCounters, DestinationTally, RelayCounters, RelayTally, ServerCounters, ServerRefusal,
    ServerTally,
};
use shred_resolve::Reject;
use sidecar::{Health, Snapshot};

use super::Pulse;
use crate::clock::realtime;
use crate::commands::observe::{self, Counters, Threads, count, object};
use crate::published::LeadersFrom;
use crate::shredstream::StreamState;
use crate::sources::{
    self, Seen, SourceFacts, SourceState, States, Stray, Watch, interface_alarms, measure_states,
    received_object,
};

/// Everything that status, health and metrics of a relay are read from. Reading it stops nobody.
#[derive(Clone)]
pub struct RelayView {
    sources: Arc<[SourceFacts]>,
    pulse: Arc<Pulse>,
    relay: Arc<RelayCounters>,
    nodes: Option<NodesView>,
    entries: Option<EntriesView>,
    verify: bool,
    started: Instant,
    /// Bit `n`: source `n` is silent while others are not.
    silent: Arc<AtomicU64>,
    /// The last seconds of each source and of all.
    watch: Arc<Mutex<Watch>>,
    /// Which threads run what, for `status`.
    pub threads: Option<Threads>,
    /// Where leaders come from.
    pub leaders: Option<Arc<LeadersFrom>>,
    /// What is known of the stream that is asked for, when one is.
    pub shredstream: Option<StreamState>,
}

/// Connections to other nodes.
#[derive(Clone)]
pub struct NodesView {
    /// In the order of the configuration.
    pub nodes: Arc<[Destination]>,
    /// What each was sent.
    pub counters: Arc<SenderCounters>,
    /// Who we are to them.
    pub identity: PeerId,
}

/// The service of entries.
#[derive(Clone)]
pub struct EntriesView {
    /// Where it listens.
    pub address: SocketAddr,
    /// What was assembled.
    pub assembler: Arc<AssemblerCounters>,
    /// What clients were sent and told.
    pub server: Arc<ServerCounters>,
}

/// How long a node may take to connect before the log says why it may not be.
const NODE_PATIENCE: Duration = Duration::from_secs(10);

/// What the log has said of a node.
#[derive(Debug)]
pub struct NodeSaid {
    connected: bool,
    /// Why it is not, or that it was.
    why: bool,
    since: Instant,
}

impl Default for NodeSaid {
    fn default() -> Self {
        Self {
            connected: false,
            why: false,
            since: Instant::now(),
        }
    }
}

impl RelayView {
    pub(super) fn new(
        sources: Arc<[SourceFacts]>,
        pulse: Arc<Pulse>,
        relay: Arc<RelayCounters>,
        nodes: Option<NodesView>,
        entries: Option<EntriesView>,
        verify: bool,
    ) -> Self {
        Self {
            sources,
            pulse,
            relay,
            nodes,
            entries,
            verify,
            started: Instant::now(),
            silent: Arc::default(),
            watch: Arc::default(),
            threads: None,
            leaders: None,
            shredstream: None,
        }
    }

    /// Turns of the relay's thread, for the watchdog.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.pulse.turns.load(Relaxed)
    }

    /// Datagrams of each source so far.
    #[must_use]
    pub fn datagrams(&self) -> Vec<u64> {
        let inputs = self.relay.tally().inputs;
        inputs.iter().map(|input| input.datagram_received).collect()
    }

    /// Notes that a source has gone silent or has come back; what the log says of it.
    pub fn note_silence(&self, source: usize, is_silent: bool) -> String {
        let bit = 1 << (source % 64);
        if is_silent {
            self.silent.fetch_or(bit, Relaxed);
        } else {
            self.silent.fetch_and(!bit, Relaxed);
        }
        let facts = &self.sources[source];
        let what = if is_silent {
            "silent: nothing for two seconds while others bring datagrams"
        } else {
            "heard again"
        };
        format!("source {} on {} is {what}", facts.name, facts.address)
    }

    /// Nodes that have been connected or have gone since the last time, a line for each; `said` remembers.
    pub fn node_changes(&self, said: &mut Vec<NodeSaid>) -> Vec<String> {
        let read = self.nodes.iter().flat_map(NodesView::read);
        let mut lines = Vec::new();
        for (index, (node, tally)) in read.enumerate() {
            said.resize_with(said.len().max(index + 1), NodeSaid::default);
            let said = &mut said[index];
            let is_connected = tally.is_connected();
            if std::mem::replace(&mut said.connected, is_connected) != is_connected {
                let what = if is_connected {
                    "connected"
                } else {
                    "not connected any more; it is tried again"
                };
                said.why = is_connected;
                lines.push(format!("node {} is {what}", node.address));
            }
            let is_known = tally.identity_refused > 0 || said.since.elapsed() >= NODE_PATIENCE;
            if !is_connected && !said.why && is_known {
                said.why = true;
                lines.push(not_connected(node, &tally));
            }
        }
        lines
    }

    /// What the log says when no shred can be passed on any more, and when one can again; `said` remembers.
    pub fn refusal_change(&self, said: &mut bool) -> Option<String> {
        let states = self.states(&self.relay.tally());
        match (self.refusal_of(&states), std::mem::take(said)) {
            (Some(refusal), before) => {
                *said = true;
                (!before).then_some(refusal)
            }
            (None, before) => before.then(|| states.refusal_ended().to_owned()),
        }
    }

    fn refusal(&self) -> Option<String> {
        self.refusal_of(&self.states(&self.relay.tally()))
    }

    fn refusal_of(&self, states: &States) -> Option<String> {
        let leaders = self.leaders.as_ref().and_then(|leaders| leaders.named());
        let refused = states.all_refused.as_ref()?;
        Some(sources::refusal(refused, leaders, Stray::default()))
    }

    /// How each source is. A relay does not know whose shreds were refused, so one alone is not called so.
    fn states(&self, tally: &RelayTally) -> States {
        let inputs = tally.inputs.iter().enumerate();
        let seen: Vec<Seen> = inputs
            .map(|(number, input)| Seen {
                datagram: input.datagram_received,
                taken: input.datagram_received,
                dead: self.is_silent(number),
                ..Seen::default()
            })
            .collect();
        let usual = [Reject::Duplicate.index(), Reject::Surplus.index()];
        let usual_count: u64 = usual.iter().map(|reason| tally.rejected[*reason]).sum();
        let mut all = Seen {
            datagram: seen.iter().map(|seen| seen.datagram).sum(),
            taken: tally.shred_passed + usual_count,
            ..Seen::default()
        };
        for (index, (count, rejected)) in all.refused.iter_mut().zip(&tally.rejected).enumerate() {
            if !usual.contains(&index) {
                *count = *rejected;
            }
        }
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.look(&seen, &all, Instant::now())
    }

    fn is_silent(&self, source: usize) -> bool {
        self.silent.load(Relaxed) & (1 << (source % 64)) != 0
    }

    /// The answer to `status`, without `ok`.
    #[must_use]
    pub fn status(&self) -> Value {
        let tally = self.relay.tally();
        let (healthy, health) = self.health().to_json();
        json!({
            "healthy": healthy,
            "health": health,
            "slot": self.pulse.slot.load(Relaxed),
            "alarms": self.alarms(),
            "relay": {
                "verify": self.verify,
                "threads": self.threads,
                "events": object(events(&tally)),
                "refused": object(rejected(&tally)),
                "sources": self.source_values(&tally),
                "destinations": tally.destinations.iter().map(destination_value).collect::<Vec<_>>(),
                "nodes": self.nodes.as_ref().map(NodesView::status),
                "entries": self.entries.as_ref().map(EntriesView::status),
            },
            "leaders": self.leaders.as_ref().map(|leaders| leaders.status()),
            "shredstream": self.shredstream.as_ref().map(StreamState::status),
        })
    }

    /// The answer to `sources`, without `ok`. All numbers are cumulative: whoever asks twice has rates.
    #[must_use]
    pub fn race(&self) -> Value {
        json!({
            "relay": true,
            "refusal": self.refusal(),
            "at": realtime().0,
            "slot": self.pulse.slot.load(Relaxed),
            "sources": self.source_values(&self.relay.tally()),
        })
    }

    fn source_values(&self, tally: &RelayTally) -> Vec<Value> {
        let states = self.states(tally).sources;
        let sources = self.sources.iter().zip(&tally.inputs).zip(states);
        sources
            .map(|((facts, input), (state, _))| {
                json!({
                    "name": facts.name,
                    "kind": facts.kind,
                    "address": facts.address.to_string(),
                    "redistributable": facts.redistributable,
                    "state": state.as_str(),
                    "datagram": input.datagram_received,
                    "first": input.shred_first,
                    "first_of": tally.shred_passed,
                    "not_first": input.datagram_received.saturating_sub(input.shred_first),
                    "received": received_object(facts),
                })
            })
            .collect()
    }

    fn alarms(&self) -> Vec<String> {
        let silent = self.sources.iter().enumerate();
        let mut alarms: Vec<String> = silent
            .filter(|(number, _)| self.is_silent(*number))
            .map(|(_, facts)| {
                format!(
                    "source {} is silent while others bring datagrams",
                    facts.name
                )
            })
            .collect();
        alarms.extend(interface_alarms(&self.sources));
        let nodes = self.nodes.iter().flat_map(NodesView::read);
        alarms.extend(
            nodes
                .filter(|(_, tally)| !tally.is_connected())
                .map(|(node, tally)| not_connected(node, &tally)),
        );
        alarms
    }

    fn health(&self) -> Health {
        let newest = self.pulse.datagram_at.load(Relaxed);
        let age_ms = |stamp| realtime().0.saturating_sub(stamp) / 1_000_000;
        let mut faults = Vec::new();
        faults.extend(self.leaders.as_ref().and_then(|leaders| leaders.fault()));
        faults.extend(self.refusal());
        faults.extend(self.shredstream.as_ref().and_then(StreamState::fault));
        Health {
            mode: "relay",
            state: observe::state(self.turns()),
            uptime_ms: self.started.elapsed().as_millis() as u64,
            last_datagram_age_ms: (newest != 0).then(|| age_ms(newest)),
            faults,
            ..Health::default()
        }
    }

    /// For `/health` and `/metrics`.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let tally = self.relay.tally();
        let mut snapshot = Snapshot::new(self.health());
        for (family, help, label, counters) in [
            (
                "relay_events",
                "What the relay has passed on, by kind.",
                "kind",
                events(&tally),
            ),
            (
                "datagrams_refused",
                "Datagrams that were not used, by reason.",
                "reason",
                rejected(&tally),
            ),
        ] {
            count(&mut snapshot, family, help, label, counters);
        }
        let _ = snapshot
            .gauge(
                "slot",
                "Highest slot that something authentic was received of.",
            )
            .with(&[], self.pulse.slot.load(Relaxed) as i64);
        self.measure_sources(&mut snapshot, &tally);
        measure_destinations(&mut snapshot, &tally);
        if let Some(nodes) = &self.nodes {
            nodes.measure(&mut snapshot);
        }
        if let Some(entries) = &self.entries {
            entries.measure(&mut snapshot);
        }
        if let Some(leaders) = &self.leaders {
            leaders.measure(&mut snapshot);
        }
        if let Some(shredstream) = &self.shredstream {
            shredstream.measure(&mut snapshot);
        }
        snapshot
    }

    fn measure_sources(&self, snapshot: &mut Snapshot, tally: &RelayTally) {
        let help = "What each source has brought to the relay, by kind.";
        let mut events = snapshot.counter("relay_source_events", help);
        for (facts, input) in self.sources.iter().zip(&tally.inputs) {
            for (kind, value) in [
                ("datagram", input.datagram_received),
                ("first", input.shred_first),
            ] {
                events = events.with(&[("source", &facts.name), ("kind", kind)], value);
            }
        }
        crate::sources::measure_received(snapshot, self.sources.iter());
        let states = self.states(tally).sources;
        let states = states.iter().map(|(state, _): &(SourceState, _)| *state);
        measure_states(snapshot, self.sources.iter().zip(states));
    }
}

fn events(tally: &RelayTally) -> Counters {
    vec![
        ("shred_passed", tally.shred_passed),
        ("set_opened", tally.set_opened),
        ("signature_checked", tally.signature_checked),
        ("window_resynced", tally.window_resynced),
        ("nodes_offered", tally.quic_offered),
        ("nodes_refused", tally.quic_refused),
        ("entries_offered", tally.entries_offered),
        ("entries_dropped", tally.entries_dropped),
    ]
}

fn rejected(tally: &RelayTally) -> Counters {
    let reasons = tally.rejected.iter().enumerate();
    reasons
        .map(|(index, count)| (Reject::name_at(index), *count))
        .collect()
}

fn destination_counters(destination: &DestinationTally) -> Counters {
    vec![
        ("datagram_sent", destination.datagram_sent),
        ("full_dropped", destination.full_dropped),
        ("failed_dropped", destination.failed_dropped),
        ("unreachable_told", destination.unreachable_told),
    ]
}

fn address_of(destination: &DestinationTally) -> String {
    let address = destination.address;
    address.map_or_else(String::new, |address| address.to_string())
}

fn destination_value(destination: &DestinationTally) -> Value {
    let mut value = object(destination_counters(destination));
    value.insert("address".to_owned(), address_of(destination).into());
    let lost = destination.segmentation_lost;
    value.insert("segmentation_lost".to_owned(), lost.into());
    value.into()
}

fn measure_destinations(snapshot: &mut Snapshot, tally: &RelayTally) {
    if tally.destinations.is_empty() {
        return;
    }
    let help = "What each UDP destination of the allow list was sent and was not, by kind.";
    let mut events = snapshot.counter("relay_destination_events", help);
    for destination in &tally.destinations {
        let address = address_of(destination);
        for (kind, value) in destination_counters(destination) {
            events = events.with(&[("destination", &address), ("kind", kind)], value);
        }
    }
}

/// What is said of a node that is not connected.
fn not_connected(node: Destination, tally: &shred_quic::DestinationTally) -> String {
    let why = if tally.identity_refused > 0 {
        format!("somebody else than {} answers there", node.peer)
    } else {
        "it does not answer, or its peers do not name this relay".to_owned()
    };
    format!("node {} is not connected: {why}", node.address)
}

impl NodesView {
    fn read(&self) -> Vec<(Destination, shred_quic::DestinationTally)> {
        let tallies = self.counters.tally().destinations;
        self.nodes.iter().copied().zip(tallies).collect()
    }

    fn status(&self) -> Value {
        let nodes: Vec<Value> = self
            .read()
            .iter()
            .map(|(node, tally)| {
                let mut value = object(node_counters(tally));
                value.insert("address".to_owned(), node.address.to_string().into());
                value.insert("identity".to_owned(), node.peer.to_string().into());
                value.insert("connected".to_owned(), tally.is_connected().into());
                value.into()
            })
            .collect();
        json!({ "own_identity": self.identity.to_string(), "nodes": nodes })
    }

    fn measure(&self, snapshot: &mut Snapshot) {
        let read = self.read();
        let help = "What each other node was sent and was not, by kind.";
        let mut events = snapshot.counter("relay_node_events", help);
        for (node, tally) in &read {
            let address = node.address.to_string();
            for (kind, value) in node_counters(tally) {
                events = events.with(&[("node", &address), ("kind", kind)], value);
            }
        }
        let help = "1 while the other node is connected.";
        let mut connected = snapshot.gauge("relay_node_connected", help);
        for (node, tally) in &read {
            let address = node.address.to_string();
            let is_connected = i64::from(tally.is_connected());
            connected = connected.with(&[("node", &address)], is_connected);
        }
    }
}

fn node_counters(tally: &shred_quic::DestinationTally) -> Counters {
    vec![
        ("datagram_sent", tally.datagram_sent),
        ("stale_dropped", tally.stale_dropped),
        ("unconnected_dropped", tally.unconnected_dropped),
        ("unsendable_dropped", tally.unsendable_dropped),
        ("connection_opened", tally.connection_opened),
        ("connection_ended", tally.connection_ended),
        ("connect_failed", tally.connect_failed),
        ("identity_refused", tally.identity_refused),
    ]
}

impl EntriesView {
    fn counters(&self, served: &ServerTally) -> Counters {
        let (shred_received, shred_surplus) = self.assembler.shreds();
        let batches = self.assembler.batches();
        vec![
            ("shred_received", shred_received),
            ("shred_surplus", shred_surplus),
            ("set_recovered", self.assembler.set_recovered()),
            ("batch_assembled", batches.batch_sent),
            ("message_made", batches.message_sent),
            ("entry_made", batches.entry_sent),
            ("transaction_made", batches.transaction_sent),
            ("v1_seen", batches.v1_seen),
            ("marker_skipped", batches.marker_skipped),
            ("batch_malformed", batches.batch_malformed),
            ("batch_incomplete", batches.batch_incomplete),
            ("entry_oversize", batches.entry_oversize),
            ("connection_accepted", served.connection_accepted),
            ("client_started", served.client_started),
            ("client_ended", served.client_ended),
            ("message_sent", served.message_sent),
            ("lagging_told", served.client_lagged),
            ("message_lost", served.message_missed),
        ]
    }

    fn refused(served: &ServerTally) -> Counters {
        let reasons = ServerRefusal::ALL.into_iter();
        reasons
            .map(|reason| (reason.label(), served.refused_for(reason)))
            .collect()
    }

    fn clients(served: &ServerTally) -> u64 {
        served.client_started.saturating_sub(served.client_ended)
    }

    fn status(&self) -> Value {
        let served = self.server.tally();
        json!({
            "address": self.address.to_string(),
            "clients": Self::clients(&served),
            "events": object(self.counters(&served)),
            "refused": object(Self::refused(&served)),
        })
    }

    fn measure(&self, snapshot: &mut Snapshot) {
        let served = self.server.tally();
        for (family, help, label, counters) in [
            (
                "relay_entries_events",
                "What was made of shreds for clients, and what those were sent, by kind.",
                "kind",
                self.counters(&served),
            ),
            (
                "relay_entries_refused",
                "Connections and calls that were refused, by reason.",
                "reason",
                Self::refused(&served),
            ),
        ] {
            count(snapshot, family, help, label, counters);
        }
        let _ = snapshot
            .gauge("relay_entries_clients", "Clients that are sent entries.")
            .with(&[], Self::clients(&served) as i64);
    }
}

/// Every name that a relay's counters have.
#[cfg(test)]
pub(crate) fn counter_names() -> Vec<&'static str> {
    let tally = RelayTally {
        rejected: [0; Reject::COUNT],
        shred_passed: 0,
        set_opened: 0,
        signature_checked: 0,
        window_resynced: 0,
        quic_offered: 0,
        quic_refused: 0,
        entries_offered: 0,
        entries_dropped: 0,
        inputs: Vec::new(),
        destinations: Vec::new(),
    };
    let destination = DestinationTally {
        address: None,
        datagram_sent: 0,
        full_dropped: 0,
        failed_dropped: 0,
        unreachable_told: 0,
        segmentation_lost: false,
    };
    let entries = EntriesView {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        assembler: Arc::default(),
        server: Arc::default(),
    };
    let groups = [
        events(&tally),
        destination_counters(&destination),
        node_counters(&shred_quic::DestinationTally::default()),
        entries.counters(&ServerTally::default()),
    ];
    groups.into_iter().flatten().map(|(name, _)| name).collect()
}
