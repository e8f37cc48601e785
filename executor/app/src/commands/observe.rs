//! What an operator may look at while a pipeline runs: status, health, metrics.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use risk::Control;
use serde_json::{Map, Value, json};
use sidecar::{Health, Sidecar, Snapshot, State};

use crate::admin::{self, Admin, AdminError};
use crate::clock::realtime;
use crate::config::AdminPlan;
use crate::published::Published;

/// Serves the admin socket.
///
/// # Errors
/// [`AdminError`] when the socket cannot be had.
pub fn admin(
    plan: &AdminPlan,
    control: &Arc<Control>,
    published: &Arc<Published>,
    mode: &'static str,
    started: Instant,
) -> Result<Admin, AdminError> {
    let (cell, published) = (Arc::clone(control), Arc::clone(published));
    let status = move || {
        let health = health(&cell, &published, mode, started);
        let (healthy, health) = health.to_json();
        let counters = |pairs: Vec<(&'static str, u64)>| {
            pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect::<Map<_, _>>()
        };
        json!({
            "healthy": healthy,
            "health": health,
            "slot": published.slot.load(Relaxed),
            "resolved": counters(published.resolved()),
            "decided": counters(published.decided()),
            "intents_refused": counters(published.refused()),
        })
    };
    admin::spawn(plan, Arc::clone(control), Arc::new(status))
}

/// Serves `/health` and `/metrics`.
///
/// # Errors
/// When the address cannot be bound.
pub fn page(
    address: SocketAddr,
    control: &Arc<Control>,
    published: &Arc<Published>,
    mode: &'static str,
    started: Instant,
) -> io::Result<Sidecar> {
    let (control, published) = (Arc::clone(control), Arc::clone(published));
    sidecar::spawn(
        address,
        Arc::new(move || snapshot(&control, &published, mode, started)),
    )
}

fn health(
    control: &Control,
    published: &Published,
    mode: &'static str,
    started: Instant,
) -> Health {
    let newest = published.datagram_at.load(Relaxed);
    let age_ms = |stamp| realtime().0.saturating_sub(stamp) / 1_000_000;
    Health {
        mode,
        state: State::Running,
        control: sidecar::Control::from_byte(control.byte().load(Relaxed)),
        uptime_ms: started.elapsed().as_millis() as u64,
        last_datagram_age_ms: (newest != 0).then(|| age_ms(newest)),
        ..Health::default()
    }
}

fn snapshot(
    control: &Control,
    published: &Published,
    mode: &'static str,
    started: Instant,
) -> Snapshot {
    let mut snapshot = Snapshot::new(health(control, published, mode, started));
    let mut resolved = snapshot.counter("ingest_events", "What the resolver has seen, by kind.");
    for (name, value) in published.resolved() {
        resolved = resolved.with(&[("kind", name)], value);
    }
    let mut rejected = snapshot.counter(
        "datagrams_refused",
        "Datagrams that were not used, by reason.",
    );
    for (name, value) in published.rejected() {
        rejected = rejected.with(&[("reason", name)], value);
    }
    let mut decided = snapshot.counter("engine_events", "What the engine has done, by kind.");
    for (name, value) in published.decided() {
        decided = decided.with(&[("kind", name)], value);
    }
    let mut refused = snapshot.counter(
        "intents_refused",
        "Intents that the risk gate refused, by reason.",
    );
    for (name, value) in published.refused() {
        refused = refused.with(&[("reason", name)], value);
    }
    let slot = published.slot.load(Relaxed) as i64;
    let _ = snapshot
        .gauge(
            "slot",
            "Highest slot that something authentic was received of.",
        )
        .with(&[], slot);
    snapshot
}
