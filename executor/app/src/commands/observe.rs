//! What an operator may look at while a pipeline runs: status, health, metrics.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use brain_bridge::{BrainState, BridgeShared};
use risk::Control;
use serde_json::{Map, Value, json};
use sidecar::{Health, Sidecar, Snapshot, State};

use crate::account_feed::AccountCounters;
use crate::admin::{self, Admin, AdminError, Request};
use crate::clock::realtime;
use crate::config::AdminPlan;
use crate::published::Published;
use crate::shredstream::StreamState;
use crate::sources::{self, SourceFacts};
use crate::status;
use crate::venues::VenueBook;

/// Everything that status, health and metrics are read from. Reading it stops nobody.
#[derive(Debug, Clone)]
pub struct View {
    /// The kill switch.
    pub control: Arc<Control>,
    /// What the core publishes.
    pub published: Arc<Published>,
    /// The sources, by number.
    pub sources: Arc<[SourceFacts]>,
    /// What the bridge counts, when there is one.
    pub bridge: Option<Arc<BridgeShared>>,
    /// What the accounts thread counts, when somebody tells accounts.
    pub accounts: Option<Arc<AccountCounters>>,
    /// What is known of the stream that is asked for, when one is.
    pub shredstream: Option<StreamState>,
    /// What is known of the venues, where anything is built for them.
    pub venues: Option<Arc<VenueBook>>,
    /// Which threads run what, for `status`.
    pub threads: Option<Threads>,
    /// The mode's word.
    pub mode: &'static str,
    /// When the process began.
    pub started: Instant,
}

impl View {
    /// Serves the admin socket.
    ///
    /// # Errors
    /// [`AdminError`] when the socket cannot be had.
    pub fn admin(&self, plan: &AdminPlan) -> Result<Admin, AdminError> {
        let view = self.clone();
        admin::spawn(
            plan,
            Some(Arc::clone(&self.control)),
            Arc::new(move |request| match request {
                Request::Sources => sources::answer(&view.sources, &view.published),
                Request::Venues => view.venues(VenueBook::status),
                Request::Enable { venue, forced } => {
                    view.venues(|venues| venues.enable(venue, forced))
                }
                _ => view.status(),
            }),
        )
    }

    /// Serves `/health` and `/metrics`.
    ///
    /// # Errors
    /// When `address` cannot be bound; the error names it.
    pub fn page(&self, address: SocketAddr) -> io::Result<Sidecar> {
        let view = self.clone();
        page(address, move || view.snapshot())
    }

    /// The answer to `status`, without `ok`.
    #[must_use]
    pub fn status(&self) -> Value {
        let published = &self.published;
        let (healthy, health) = self.health().to_json();
        let (market, truth) = published.market.status();
        let [open, pending, max] = published.positions().map(|(_, count)| count);
        json!({
            "healthy": healthy,
            "health": health,
            "slot": published.slot.load(Relaxed),
            "alarms": self.alarms(),
            "sources": sources::brief(&self.sources, published),
            "chain": published.chain.status(),
            "resolved": object(published.resolved()),
            "datagrams_refused": object(published.rejected()),
            "decided": object(published.decided()),
            "intents_refused": object(published.refused()),
            "market": market,
            "truth": truth,
            "accounts": self.accounts.as_deref().map(|accounts| object(accounts.named())),
            "positions_open": open,
            "positions_pending": pending,
            "positions_max": max,
            "threads": self.threads,
            "bridge": self.bridge.as_deref().map(bridge_status),
            "shredstream": self.shredstream.as_ref().map(StreamState::status),
            "signing": published.signing.status(),
            "venues": self.venues.as_deref().map(VenueBook::status),
        })
    }

    fn venues(&self, answer: impl FnOnce(&VenueBook) -> Value) -> Value {
        let nothing = || json!({"ok": false, "error": "nothing is traded here"});
        self.venues.as_deref().map_or_else(nothing, answer)
    }

    fn alarms(&self) -> Vec<String> {
        let mut alarms = sources::alarms(&self.sources, &self.published);
        alarms.extend(self.published.signing.fault());
        alarms.extend(self.venues.iter().flat_map(|venues| venues.alarms()));
        alarms
    }

    fn health(&self) -> Health {
        let newest = self.published.datagram_at.load(Relaxed);
        let age_ms = |stamp| realtime().0.saturating_sub(stamp) / 1_000_000;
        let mut faults = Vec::new();
        if self
            .bridge
            .as_ref()
            .is_some_and(|bridge| !bridge.is_running())
        {
            faults.push("the bridge has ended: no signal is heard".to_owned());
        }
        faults.extend(self.published.signing.fault());
        faults.extend(self.published.chain.fault());
        faults.extend(self.published.refusal(&self.published.states()));
        faults.extend(self.shredstream.as_ref().and_then(StreamState::fault));
        Health {
            mode: self.mode,
            state: state(self.published.turns.load(Relaxed)),
            control: sidecar::Control::from_byte(self.control.byte().load(Relaxed)),
            uptime_ms: self.started.elapsed().as_millis() as u64,
            last_datagram_age_ms: (newest != 0).then(|| age_ms(newest)),
            faults,
            ..Health::default()
        }
    }

    /// What `/metrics` and `/health` are written from.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let published = &self.published;
        let mut snapshot = Snapshot::new(self.health());
        for (family, help, label, counters) in [
            (
                "ingest_events",
                "What the resolver has seen, by kind.",
                "kind",
                published.resolved(),
            ),
            (
                "datagrams_refused",
                "Datagrams that were not used, by reason.",
                "reason",
                published.rejected(),
            ),
            (
                "engine_events",
                "What the engine has done, by kind.",
                "kind",
                published.decided(),
            ),
            (
                "intents_refused",
                "Intents that the risk gate refused, by reason.",
                "reason",
                published.refused(),
            ),
        ] {
            count(&mut snapshot, family, help, label, counters);
        }
        let mut told = Value::Object(Map::new());
        for (name, count) in published.positions() {
            told[name] = count.into();
        }
        snapshot.remark("positions", status::positions(&told));
        if let Some(venues) = &self.venues {
            snapshot.remark("venues", venues.in_brief());
        }
        for alarm in self.alarms() {
            snapshot.remark("alarm", alarm);
        }
        let slot = published.slot.load(Relaxed) as i64;
        let _ = snapshot
            .gauge(
                "slot",
                "Highest slot that something authentic was received of.",
            )
            .with(&[], slot);
        sources::measure(&mut snapshot, &self.sources, published);
        published.chain.measure(&mut snapshot);
        published.market.measure(&mut snapshot);
        published.signing.measure(&mut snapshot);
        if let Some(venues) = &self.venues {
            venues.measure(&mut snapshot);
        }
        if let Some(accounts) = &self.accounts {
            count(
                &mut snapshot,
                "account_feed_events",
                "What became of accounts that a feed told, by kind.",
                "kind",
                accounts.named(),
            );
        }
        let helps = [
            "Positions open.",
            "Entries on their way; each takes the place of a position.",
            "Positions open and pending that are allowed.",
        ];
        for ((name, count), help) in published.positions().into_iter().zip(helps) {
            if let Some(count) = count {
                let _ = snapshot.gauge(name, help).with(&[], count as i64);
            }
        }
        if let Some(bridge) = &self.bridge {
            add_bridge(&mut snapshot, bridge);
        }
        if let Some(shredstream) = &self.shredstream {
            shredstream.measure(&mut snapshot);
        }
        snapshot
    }
}

/// Which way the layout of threads went, whatever was configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Threads {
    /// `split` or `fused`.
    pub layout: &'static str,
    /// Where leaders' signatures are checked: `thread` or `core`; `None` where nobody has the choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<&'static str>,
}

impl Threads {
    /// Of a layout.
    #[must_use]
    pub const fn of(split: bool, verify: Option<bool>) -> Self {
        Self {
            layout: if split { "split" } else { "fused" },
            verify: match verify {
                None => None,
                Some(true) => Some("thread"),
                Some(false) => Some("core"),
            },
        }
    }
}

/// The word for a service whose hot thread has turned so often: sockets answer while memory is still being locked.
#[must_use]
pub const fn state(turns: u64) -> State {
    if turns == 0 {
        State::Starting
    } else {
        State::Running
    }
}

/// Serves `/health` and `/metrics` of what `read` gives.
///
/// # Errors
/// When `address` cannot be bound; the error names it.
pub fn page(
    address: SocketAddr,
    read: impl Fn() -> Snapshot + Send + Sync + 'static,
) -> io::Result<Sidecar> {
    sidecar::spawn(address, Arc::new(read))
        .map_err(|error| io::Error::new(error.kind(), format!("http.bind = {address}: the health page cannot listen there: {error}; name a free address of this host with \
             [http] bind (the demo: --http), or set [http] enabled = false (the demo: --http off)")))
}

pub(crate) type Counters = Vec<(&'static str, u64)>;

pub(crate) fn object(counters: Counters) -> Map<String, Value> {
    let named = counters.into_iter();
    named
        .map(|(name, value)| (name.to_owned(), Value::from(value)))
        .collect()
}

pub(crate) fn count(
    snapshot: &mut Snapshot,
    family: &'static str,
    help: &'static str,
    label: &'static str,
    counters: Counters,
) {
    let mut family = snapshot.counter(family, help);
    for (name, value) in counters {
        family = family.with(&[(label, name)], value);
    }
}

fn refused_signals(bridge: &BridgeShared) -> Counters {
    let refusals = bridge.stats.refusals();
    refusals
        .map(|(reason, value)| (reason.name(), value))
        .collect()
}

fn brain_state(bridge: &BridgeShared) -> BrainState {
    bridge.brain_state(brain_bridge::now().monotonic_ns)
}

fn bridge_status(bridge: &BridgeShared) -> Value {
    json!({
        "running": bridge.is_running(),
        "brain": brain_state(bridge).as_str(),
        "events": object(bridge.stats.named().to_vec()),
        "signals_refused": object(refused_signals(bridge)),
    })
}

fn add_bridge(snapshot: &mut Snapshot, bridge: &BridgeShared) {
    let events = bridge.stats.named().to_vec();
    count(
        snapshot,
        "bridge_events",
        "What the bridge has done, by kind.",
        "kind",
        events,
    );
    count(
        snapshot,
        "signals_refused",
        "Messages that the bridge refused, by reason.",
        "reason",
        refused_signals(bridge),
    );
    let state = brain_state(bridge);
    let mut brain = snapshot.gauge(
        "brain_state",
        "1 for what the heartbeats of the producers say of them, 0 for the others.",
    );
    for each in BrainState::ALL {
        brain = brain.with(&[("state", each.as_str())], i64::from(each == state));
    }
    let _ = snapshot
        .gauge("bridge_running", "1 while the bridge's thread runs.")
        .with(&[], i64::from(bridge.is_running()));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use risk::Mode;

    use super::*;

    fn view(bridge: Option<Arc<BridgeShared>>) -> View {
        View {
            control: Arc::new(Control::new(Mode::Active)),
            published: Arc::default(),
            sources: Arc::new([]),
            bridge,
            accounts: None,
            shredstream: None,
            venues: None,
            threads: Some(Threads::of(false, Some(true))),
            mode: "paper",
            started: Instant::now(),
        }
    }

    #[test]
    fn the_bridge_is_in_status_health_and_metrics() {
        let shared = Arc::new(BridgeShared::default());
        shared.stats.signal_accepted.store(3, Relaxed);
        shared.stats.session_opened.store(2, Relaxed);
        let view = view(Some(shared));
        let status = view.status();
        assert_eq!(status["bridge"]["brain"], "absent", "{status}");
        assert_eq!(status["bridge"]["events"]["signal_accepted"], 3, "{status}");
        assert_eq!(status["bridge"]["events"]["session_opened"], 2, "{status}");
        let refused = status["bridge"]["signals_refused"].as_object().unwrap();
        assert!(refused.contains_key("bad_mac"), "{status}");
        assert_eq!(
            status["healthy"], false,
            "no bridge thread runs in this test"
        );
        let metrics = sidecar::render_metrics(view.snapshot()).unwrap();
        for line in [
            "overmind_bridge_events_total{kind=\"signal_accepted\"} 3",
            "overmind_signals_refused_total{reason=\"bad_mac\"} 0",
            "overmind_brain_state{state=\"absent\"} 1",
            "overmind_brain_state{state=\"live\"} 0",
            "overmind_bridge_running 0",
        ] {
            assert!(
                metrics.lines().any(|said| said == line),
                "{line}\n{metrics}"
            );
        }
    }

    #[test]
    fn it_is_starting_until_its_core_has_turned() {
        let view = view(None);
        let status = view.status();
        assert_eq!(status["health"]["state"], "starting", "{status}");
        assert_eq!(status["healthy"], false, "{status}");
        view.published.turns.store(1, Relaxed);
        let status = view.status();
        assert_eq!(status["health"]["state"], "running", "{status}");
        assert_eq!(status["threads"]["verify"], "thread", "{status}");
    }

    #[test]
    fn an_address_that_is_taken_is_named_by_its_key() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let said = view(None).page(taken.local_addr().unwrap()).unwrap_err();
        let said = said.to_string();
        assert!(said.starts_with("http.bind = 127.0.0.1:"), "{said}");
        assert!(said.contains("enabled = false"), "{said}");
    }

    #[test]
    fn without_a_bridge_nothing_is_said_of_one() {
        let view = view(None);
        view.published.turns.store(1, Relaxed);
        let status = view.status();
        assert!(
            status["bridge"].is_null() && status["healthy"] == true,
            "{status}"
        );
        let metrics = sidecar::render_metrics(view.snapshot()).unwrap();
        assert!(!metrics.contains("bridge"), "{metrics}");
    }

    #[test]
    fn account_data_is_in_status_and_metrics_by_venue() {
        let mut view = view(None);
        let mut counts = crate::published::MarketCounts::default();
        counts.curves.truth_agreed = 5;
        counts.curves.truth_diverged = 2;
        counts.curves.curve_inserted = 7;
        counts.pools.truth_stale[market::Program::RaydiumAmm as usize] = 3;
        counts.curves_kept = 4;
        view.published.market.publish(&counts);
        let status = view.status();
        assert_eq!(status["truth"]["pump"]["truth_agreed"], 5, "{status}");
        assert_eq!(status["truth"]["raydium_amm"]["truth_stale"], 3, "{status}");
        assert_eq!(status["market"]["curve_inserted"], 7, "{status}");
        assert!(status["accounts"].is_null(), "{status}");
        view.accounts = Some(Arc::default());
        let status = view.status();
        assert_eq!(status["accounts"]["update_refused"], 0, "{status}");
        let metrics = sidecar::render_metrics(view.snapshot()).unwrap();
        for line in [
            "overmind_account_truth_total{venue=\"pump\",outcome=\"truth_diverged\"} 2",
            "overmind_account_truth_total{venue=\"raydium_amm\",outcome=\"truth_stale\"} 3",
            "overmind_market_events_total{kind=\"curve_inserted\"} 7",
            "overmind_account_feed_events_total{kind=\"update_refused\"} 0",
            "overmind_curves_kept 4",
        ] {
            assert!(
                metrics.lines().any(|said| said == line),
                "{line}\n{metrics}"
            );
        }
    }

    #[test]
    fn open_positions_are_shown_once_the_core_has_told_them() {
        let view = view(None);
        let names = ["positions_open", "positions_pending", "positions_max"];
        let status = view.status();
        assert!(names.iter().all(|name| status[name].is_null()), "{status}");
        let published = &view.published;
        published.positions_open.store(4, Relaxed);
        published.positions_pending.store(1, Relaxed);
        published.positions_max.store(5, Relaxed);
        let status = view.status();
        assert_eq!(names.map(|name| status[name].as_u64()), [4, 1, 5].map(Some));
        let metrics = sidecar::render_metrics(view.snapshot()).unwrap();
        let remarks = format!("{:?}", view.snapshot());
        assert!(remarks.contains("(\"positions\", \"4 open + 1 pending of 5\")"));
        for line in ["positions_open 4", "positions_pending 1", "positions_max 5"] {
            let line = format!("overmind_{line}");
            assert!(
                metrics.lines().any(|said| said == line),
                "{line}\n{metrics}"
            );
        }
    }
}
