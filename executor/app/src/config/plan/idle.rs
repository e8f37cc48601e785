//! Keys that the value of another key leaves without effect: who typed them expects something that will not happen.
//!
//! A key counts as typed when it differs from its default. A switch that is on by default and was turned off says so itself;
//! of what is off by default its filled-in keys are worth a word.

use super::{Plan, SubmitPlan};
use crate::config::check::{Check, quoted};
use crate::config::redact::redacted;
use crate::config::{
    BridgeConfig, BundleConfig, Config, EngineConfig, HttpConfig, Idle, IngestConfig, LaneClass,
    Policy, RelayConfig, RelayEntriesConfig, ShredstreamConfig, SigningConfig, SourceKind,
    SubmitConfig, ThreadsConfig, VenuesConfig,
};

/// A key, whether it was typed, and its value.
type Typed<'a> = (&'a str, bool, String);

/// `("section.key", typed?, value)` of a key of a section.
macro_rules! typed {
    ($section:literal, $own:expr, $usual:expr, $key:ident) => {
        (
            concat!($section, ".", stringify!($key)),
            $own.$key != $usual.$key,
            serde_json::json!($own.$key).to_string(),
        )
    };
}

impl Config {
    /// Warns of every key that was typed and is not looked at.
    pub(super) fn warn_of_idle_keys(&self, plan: &Plan, check: &mut Check) {
        self.of_bundles(plan, check);
        self.of_signing(check);
        self.of_threads(plan, check);
        self.of_sources(plan, check);
        self.of_signals(check);
        self.of_relays(check);
        self.of_outside(plan, check);
    }

    fn of_bundles(&self, plan: &Plan, check: &mut Check) {
        let (own, usual) = (&self.bundle, BundleConfig::default());
        if own.lane_class != LaneClass::PrivateTransaction {
            let share = typed!("bundle", own, usual, priority_share_bps);
            let why = "only single private transactions share a tip: bundle.lane_class is another";
            warn(
                [share],
                why,
                "bundle.lane_class = \"private_transaction\"",
                check,
            );
        }
        if matches!(
            own.lane_class,
            LaneClass::Public | LaneClass::PriorityBundle
        ) {
            let keys = [
                typed!("bundle", own, usual, tip_accounts),
                typed!("bundle", own, usual, tip_min_lamports),
            ];
            let why = "transactions of bundle.lane_class pay by priority fee and transfer no tip";
            warn(keys, why, "another bundle.lane_class", check);
        }
        let (own, usual) = (&self.submit, SubmitConfig::default());
        if matches!(plan.submit, SubmitPlan::Paper) {
            let endpoint = own.endpoint.as_deref().unwrap_or_default();
            let keys = [
                (
                    "submit.endpoint",
                    !endpoint.is_empty(),
                    quoted(redacted(endpoint)),
                ),
                typed!("submit", own, usual, result_timeout_ms),
                typed!("submit", own, usual, in_flight_max),
            ];
            let why = "submit.lane = \"paper\" records bundles and waits for nobody";
            warn(keys, why, "submit.lane = \"block_engine\"", check);
        }
    }

    fn of_signing(&self, check: &mut Check) {
        let (own, usual) = (&self.signing, SigningConfig::default());
        if !own.armed_nonces {
            let excluded = typed!("signing", own, usual, snapshots_excluded);
            let why = "signing.armed_nonces is off, and nothing else asks for this word";
            warn([excluded], why, "signing.armed_nonces = true", check);
        }
        if !own.presign {
            let ladders = typed!("signing", own, usual, ladders_max);
            let why = "signing.presign is off: nothing is held ready";
            warn([ladders], why, "signing.presign = true", check);
        }
        if !own.presign && !own.armed_nonces {
            let cpu = typed!(
                "threads",
                self.threads,
                ThreadsConfig::default(),
                signing_cpu
            );
            let why = "signing.presign and signing.armed_nonces are off: there is no such thread";
            warn([cpu], why, "one of the two", check);
        }
    }

    fn of_threads(&self, plan: &Plan, check: &mut Check) {
        let (own, usual) = (&self.threads, ThreadsConfig::default());
        if own.idle != Idle::Park {
            let park = typed!("threads", own, usual, park_us);
            warn(
                [park],
                "threads.idle is not \"park\"",
                "threads.idle = \"park\"",
                check,
            );
        }
        if plan.threads.verify.is_none() {
            let cpu = typed!("threads", own, usual, verify_cpu);
            let why = "signatures are checked on the core thread (threads.verify, and by default on fewer than four CPUs)";
            warn([cpu], why, "threads.verify = \"thread\"", check);
        }
        if plan.threads.split {
            return;
        }
        for (index, source) in self.ingest.sources.iter().enumerate() {
            if source.kind != SourceKind::Quic {
                let field = format!("ingest.sources[{index}].cpu");
                let value = serde_json::json!(source.cpu).to_string();
                let why = "sources and core share a thread (threads.layout, and by default on fewer than four CPUs)";
                let key = (field.as_str(), source.cpu.is_some(), value);
                warn(
                    [key],
                    why,
                    "threads.core_cpu, or threads.layout = \"split\"",
                    check,
                );
            }
        }
    }

    fn of_sources(&self, plan: &Plan, check: &mut Check) {
        let (own, usual) = (&self.ingest, IngestConfig::default());
        if own.sources_log.is_none() {
            let region = typed!("ingest", own, usual, region);
            let why = "it is written into the sources log alone";
            warn([region], why, "ingest.sources_log", check);
        }
        let mut sources = own.sources.iter();
        if !own.sources.is_empty() && sources.all(|source| source.policy != Policy::Unverified) {
            let (engine, usual) = (&self.engine, EngineConfig::default());
            let acts = typed!("engine", engine, usual, act_on_unverified);
            let why = "no source has policy = \"unverified\", so nothing comes unverified";
            warn([acts], why, "policy = \"unverified\" at a source", check);
        }
        let (own, usual) = (&self.venues, VenuesConfig::default());
        if plan.venues.rpc.is_none() && own.rpc.is_none() && self.ingest.leaders_rpc.is_none() {
            let keys = [
                typed!("venues", own, usual, check_at_start),
                typed!("venues", own, usual, watch_interval_s),
            ];
            let why = "no RPC node is named, so no venue is checked or watched";
            warn(keys, why, "venues.rpc, or ingest.leaders_rpc", check);
        }
        if !self.shredstream.enabled && self.shredstream != ShredstreamConfig::default() {
            let key = ("shredstream.enabled", true, "false".to_owned());
            let why =
                "the other keys of [shredstream] have none either: nobody is asked for shreds";
            warn([key], why, "shredstream.enabled = true", check);
        }
    }

    fn of_signals(&self, check: &mut Check) {
        let (bridge, own) = (&self.bridge, &self.engine);
        let usual = EngineConfig::default();
        if !bridge.enabled && bridge.producers != BridgeConfig::default().producers {
            let key = ("bridge.enabled", true, "false".to_owned());
            let why = "[[bridge.producers]] have none either: no signal is heard";
            warn([key], why, "bridge.enabled = true", check);
        }
        if !bridge.enabled {
            let keys = [
                typed!("engine", own, usual, armed_max),
                typed!("engine", own, usual, signal_slots_max),
                typed!("engine", own, usual, collision_window_ms),
            ];
            let why = "bridge.enabled is off: there are no signals";
            warn(keys, why, "bridge.enabled = true", check);
        }
        if own.collision_window_ms == 0 {
            let pairs = typed!("engine", own, usual, dependent_sources);
            let why = "engine.collision_window_ms = 0: one signal is enough, from whomever";
            warn([pairs], why, "engine.collision_window_ms", check);
        }
    }

    fn of_relays(&self, check: &mut Check) {
        let (own, usual) = (&self.relay, RelayConfig::default());
        if own.destinations.is_empty() {
            let keys = [
                typed!("relay", own, usual, send_buffer_bytes),
                typed!("relay", own, usual, segmentation),
            ];
            let why = "relay.destinations is empty: nothing is sent by UDP";
            warn(keys, why, "relay.destinations", check);
        }
        if own.nodes.is_empty() {
            let keys = [
                typed!("relay", own, usual, identity_file),
                typed!("relay", own, usual, nodes_cpu),
            ];
            let why = "relay.nodes is empty: nothing is sent over QUIC";
            warn(keys, why, "relay.nodes", check);
        }
        if !own.has_purpose() {
            let keys = [
                typed!("relay", own, usual, verify),
                typed!("relay", own, usual, fec_versions_max),
            ];
            let why = "nothing is named that shreds are passed on to";
            warn(
                keys,
                why,
                "relay.destinations, relay.nodes or relay.entries.bind",
                check,
            );
        }
        let (own, usual) = (&own.entries, RelayEntriesConfig::default());
        if own.bind.is_none() {
            let keys = [
                typed!("relay.entries", own, usual, allow),
                typed!("relay.entries", own, usual, token_file),
                typed!("relay.entries", own, usual, lagging),
                typed!("relay.entries", own, usual, clients_max),
                typed!("relay.entries", own, usual, connections_max),
                typed!("relay.entries", own, usual, v1_batches),
            ];
            let why = "relay.entries.bind is absent: no entries are served";
            warn(keys, why, "relay.entries.bind", check);
        }
    }

    fn of_outside(&self, plan: &Plan, check: &mut Check) {
        let (own, usual) = (&self.http, HttpConfig::default());
        let remote = typed!("http", own, usual, allow_remote);
        if plan.http.is_none() {
            let keys = [typed!("http", own, usual, bind), remote];
            warn(
                keys,
                "http.enabled is off: there is no page",
                "http.enabled = true",
                check,
            );
        } else if own.bind.ip().is_loopback() {
            let why = "http.bind is a loopback address, which nobody else reaches";
            warn([remote], why, "another http.bind", check);
        }
    }
}

fn warn<'a>(keys: impl IntoIterator<Item = Typed<'a>>, why: &str, needed: &str, check: &mut Check) {
    for (field, _, value) in keys.into_iter().filter(|(_, is_typed, _)| *is_typed) {
        let problem = format!("has no effect: {why}");
        check.warn(
            field,
            value,
            &problem,
            &format!("leave it out; it needs {needed}"),
        );
    }
}
