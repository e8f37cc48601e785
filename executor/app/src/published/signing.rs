//! Signatures by the way they were made, what stands ready for the next ones, and why signing halted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use bundle::ladder::NoRung;
use bundle::{Fallback, HaltWatch, Halted, Way};
use engine::{Counters, Engine};
use serde_json::{Map, Value, json};
use sidecar::Snapshot;

use crate::signing::sentence;

/// Counters of the thread that makes nonces, by name.
pub const ARMING: [&str; 5] = [
    "nonce_made",
    "entropy_failed",
    "signature_verified",
    "outside_verified",
    "outside_refused",
];

/// Counters of ladders.
const LADDERS: usize = 8;

/// What the core and the signing thread last published of signing.
#[derive(Debug, Default)]
pub struct PublishedSigning {
    ways: [AtomicU64; Way::COUNT],
    fallbacks: [AtomicU64; Fallback::COUNT],
    ladders: [AtomicU64; LADDERS],
    no_rung: [AtomicU64; NoRung::COUNT],
    /// Transactions said to be ours that nobody had time to look at.
    own_dropped: AtomicU64,
    /// Whether nonces are made ahead at all.
    arms: AtomicBool,
    arming: [AtomicU64; ARMING.len()],
    emptiest: AtomicU64,
    fullest: AtomicU64,
    watch: OnceLock<HaltWatch>,
}

impl PublishedSigning {
    /// Tells from here on why signing halted, whoever halted it. Once.
    pub fn watch(&self, watch: HaltWatch) {
        let _ = self.watch.set(watch);
    }

    /// Copies the core's numbers in. One writer.
    pub fn publish<T: engine::Ticks>(&self, engine: &Engine<T>, own_dropped: u64) {
        for (cell, count) in self.ways.iter().zip(engine.signature_counts()) {
            cell.store(*count, Relaxed);
        }
        for (cell, count) in self.fallbacks.iter().zip(engine.signature_fallbacks()) {
            cell.store(*count, Relaxed);
        }
        let counters = engine.counters();
        for (cell, (_, count)) in self.ladders.iter().zip(counters.ladders_named()) {
            cell.store(count, Relaxed);
        }
        for (cell, count) in self.no_rung.iter().zip(counters.ladder_refused) {
            cell.store(count, Relaxed);
        }
        self.own_dropped.store(own_dropped, Relaxed);
    }

    /// Copies the signing thread's numbers in. One writer.
    #[cfg(feature = "armed-nonces")]
    pub fn publish_arming(&self, arming: &bundle::armed::Arming) {
        for (cell, (_, count)) in self.arming.iter().zip(arming.counters().named()) {
            cell.store(count, Relaxed);
        }
        if let Some((emptiest, fullest)) = arming.levels() {
            self.emptiest.store(emptiest as u64, Relaxed);
            self.fullest.store(fullest as u64, Relaxed);
        }
        self.arms.store(true, Relaxed);
    }

    /// Signatures by way.
    #[must_use]
    pub fn ways(&self) -> [(&'static str, u64); Way::COUNT] {
        named(Way::names(), &self.ways)
    }

    /// Signatures that the armed way left to the deterministic one, by reason.
    #[must_use]
    pub fn fallbacks(&self) -> [(&'static str, u64); Fallback::COUNT] {
        named(Fallback::names(), &self.fallbacks)
    }

    /// What became of ladders of transactions signed ahead.
    #[must_use]
    pub fn ladders(&self) -> [(&'static str, u64); LADDERS] {
        let names = Counters::default().ladders_named().map(|(name, _)| name);
        named(names, &self.ladders)
    }

    /// Triggers that took none of a ladder's transactions, by reason.
    #[must_use]
    pub fn no_rung(&self) -> [(&'static str, u64); NoRung::COUNT] {
        named(NoRung::names(), &self.no_rung)
    }

    /// What the thread that makes nonces has done; `None` where there is none.
    #[must_use]
    pub fn arming(&self) -> Option<[(&'static str, u64); ARMING.len()]> {
        let arms = self.arms.load(Relaxed);
        arms.then(|| named(ARMING, &self.arming))
    }

    /// Why signing halted, if it did.
    #[must_use]
    pub fn halted(&self) -> Option<Halted> {
        self.watch.get().and_then(HaltWatch::reason)
    }

    /// The same for a person, with what to do.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.halted().map(sentence)
    }

    /// For `status`.
    #[must_use]
    pub fn status(&self) -> Value {
        let armed = self.arming().map(|events| {
            json!({
                "events": object(&events),
                "fallbacks": object(&self.fallbacks()),
                "own_dropped": self.own_dropped.load(Relaxed),
                "waiting_emptiest": self.emptiest.load(Relaxed),
                "waiting_fullest": self.fullest.load(Relaxed),
            })
        });
        json!({
            "signatures": object(&self.ways()),
            "ladders": object(&self.ladders()),
            "not_presigned": object(&self.no_rung()),
            "halted": self.halted().map(Halted::name),
            "armed": armed,
        })
    }

    /// For metrics.
    pub(crate) fn measure(&self, snapshot: &mut Snapshot) {
        let mut ways = snapshot.counter("signatures", "Signatures, by the way they were made.");
        for (way, count) in self.ways() {
            ways = ways.with(&[("way", way)], count);
        }
        let halted = self.halted();
        let mut reasons = snapshot.gauge(
            "signing_halted",
            "1 for the reason why nothing is signed any more, 0 for the others.",
        );
        for reason in Halted::ALL {
            let is_it = i64::from(halted == Some(reason));
            reasons = reasons.with(&[("reason", reason.name())], is_it);
        }
        let mut ladders = snapshot.counter(
            "ladder_events",
            "What became of ladders of transactions signed ahead, by kind.",
        );
        for (kind, count) in self.ladders() {
            ladders = ladders.with(&[("kind", kind)], count);
        }
        let mut refused = snapshot.counter(
            "ladder_refused",
            "Triggers that took none of a ladder's transactions, by reason.",
        );
        for (reason, count) in self.no_rung() {
            refused = refused.with(&[("reason", reason)], count);
        }
        let Some(events) = self.arming() else { return };
        let mut fallbacks = snapshot.counter(
            "signature_fallbacks",
            "Signatures that the armed way left to the deterministic one, by reason.",
        );
        for (reason, count) in self.fallbacks() {
            fallbacks = fallbacks.with(&[("reason", reason)], count);
        }
        let mut kinds = snapshot.counter(
            "arming_events",
            "What the thread that makes nonces has done, by kind.",
        );
        let dropped = ("own_dropped", self.own_dropped.load(Relaxed));
        for (kind, count) in events.into_iter().chain([dropped]) {
            kinds = kinds.with(&[("kind", kind)], count);
        }
        let mut waiting = snapshot.gauge(
            "nonces_waiting",
            "Nonces waiting in the emptiest and in the fullest pool.",
        );
        for (pool, level) in [("emptiest", &self.emptiest), ("fullest", &self.fullest)] {
            waiting = waiting.with(&[("pool", pool)], level.load(Relaxed) as i64);
        }
    }
}

fn named<const N: usize>(
    names: [&'static str; N],
    cells: &[AtomicU64; N],
) -> [(&'static str, u64); N] {
    std::array::from_fn(|index| (names[index], cells[index].load(Relaxed)))
}

fn object(counters: &[(&'static str, u64)]) -> Map<String, Value> {
    let named = counters.iter();
    named
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nothing_is_said_of_nonces_where_none_are_made() {
        let signing = PublishedSigning::default();
        let status = signing.status();
        assert_eq!(status["signatures"]["deterministic"], 0, "{status}");
        assert!(status["halted"].is_null() && status["armed"].is_null());
        signing.arms.store(true, Relaxed);
        signing.fallbacks[Fallback::Dry as usize].store(4, Relaxed);
        let status = signing.status();
        assert_eq!(status["armed"]["fallbacks"]["dry"], 4, "{status}");
    }

    #[cfg(feature = "armed-nonces")]
    #[test]
    fn the_counters_are_those_of_the_room() {
        let names = bundle::armed::ArmingCounters::default().named();
        assert_eq!(names.map(|(name, _)| name), ARMING);
    }
}
