//! Sources, their memory, and the threads that serve them.

use std::time::Duration;

use shred_resolve::Policy as ResolvePolicy;
use shred_source::arena::{FRAMES_MAX, Lock, STRIDE_UNIT};
use sidecar::Endpoint;

use super::{SourcePlan, ThreadsPlan};
use crate::config::check::{Check, quoted};
use crate::config::redact::redacted;
use crate::config::{
    Host, Idle, IngestConfig, Layout, LockMemory, Policy, SourceConfig, SourceKind, ThreadsConfig,
    Verify,
};
use crate::signing_stage::SIGNING_IDLE;
use crate::stage::{Idle as StageIdle, Seat};

/// Most shreds of one kind per slot that the protocol knew at any slot time (400 ms).
/// Source: agave `ledger/src/shred.rs` (`MAX_DATA_SHREDS_PER_SLOT`); SIMD-0525 lowers it.
const SHREDS_PER_SLOT_BOUND: u32 = 32_768;
/// Smallest frame, a multiple of the stride unit, that holds a shred with its repair nonce (1,228 + 4 bytes).
const FRAME_LEN_MIN: u32 = 1_280;

impl IngestConfig {
    pub(super) fn check(&self, host: &Host, check: &mut Check) {
        check.range("ingest.slots_behind", self.slots_behind, 4..=511, "slots");
        check.range("ingest.slots_ahead", self.slots_ahead, 1..=256, "slots");
        check.range(
            "ingest.resync_after_ms",
            self.resync_after_ms,
            100..=600_000,
            "milliseconds",
        );
        check.range(
            "ingest.shreds_per_slot_max",
            self.shreds_per_slot_max,
            64..=SHREDS_PER_SLOT_BOUND,
            "shreds",
        );
        check.range(
            "ingest.ticks_per_slot",
            self.ticks_per_slot,
            1..=1_024,
            "ticks",
        );
        check.range(
            "ingest.fec_sets_max",
            self.fec_sets_max,
            64..=65_536,
            "FEC sets",
        );
        check.range(
            "ingest.fec_versions_max",
            self.fec_versions_max,
            64..=1 << 20,
            "versions",
        );
        check.at_most(
            ("ingest.fec_sets_max", u64::from(self.fec_sets_max)),
            ("ingest.fec_versions_max", u64::from(self.fec_versions_max)),
        );
        check.power_of_two(
            "ingest.frames_per_source",
            self.frames_per_source,
            256..=FRAMES_MAX as u32,
            "frames",
        );
        check.range(
            "ingest.frame_len",
            self.frame_len,
            FRAME_LEN_MIN..=9_216,
            "bytes",
        );
        check.multiple("ingest.frame_len", self.frame_len, STRIDE_UNIT as u32);
        check.range(
            "ingest.receive_buffer_bytes",
            self.receive_buffer_bytes,
            212_992..=1 << 30,
            "bytes",
        );
        check.name("ingest.region", &self.region);
        if let Some(path) = &self.sources_log {
            check.absolute("ingest.sources_log", path);
        }
        if let Some(path) = &self.leaders_file {
            check.absolute("ingest.leaders_file", path);
        }
        self.check_sources(host, check);
    }

    /// The RPC node that names the leaders, if it is one.
    pub(super) fn leaders_endpoint(&self, check: &mut Check) -> Option<Endpoint> {
        let text = self.leaders_rpc.as_ref()?;
        if self.leaders_file.is_some() {
            let fix = "keep one of the two".to_owned();
            check.refuse(
                "ingest.leaders_rpc",
                quoted(redacted(text)),
                "ingest.leaders_file names the leaders too",
                fix,
            );
        }
        match Endpoint::parse(text) {
            Ok(endpoint) => Some(endpoint),
            Err(reject) => {
                let fix = "write it like http://127.0.0.1:8899".to_owned();
                check.refuse(
                    "ingest.leaders_rpc",
                    quoted(redacted(text)),
                    &reject.to_string(),
                    fix,
                );
                None
            }
        }
    }

    fn check_sources(&self, host: &Host, check: &mut Check) {
        if self.sources.is_empty() {
            let problem = "nothing will ever come in";
            let fix = "write one of [[ingest.sources]], unless it runs with --embedded-market";
            check.warn("ingest.sources", "none".to_owned(), problem, fix);
        }
        if self.sources.len() > 32 {
            let fix = "keep the fastest 32".to_owned();
            check.refuse(
                "ingest.sources",
                format!("{} sources", self.sources.len()),
                "at most 32 are served",
                fix,
            );
        }
        for (index, source) in self.sources.iter().enumerate() {
            let field = |key: &str| format!("ingest.sources[{index}].{key}");
            check.name(&field("name"), &source.name);
            check.cpu(&field("cpu"), source.cpu, host);
            if let Some(busy_poll_us) = source.busy_poll_us {
                check.range(
                    &field("busy_poll_us"),
                    busy_poll_us,
                    0..=10_000,
                    "microseconds",
                );
            }
            let earlier = &self.sources[..index];
            if earlier.iter().any(|other| other.name == source.name) {
                let fix = "give every source its own name".to_owned();
                check.refuse(
                    &field("name"),
                    quoted(&source.name),
                    "another source has this name",
                    fix,
                );
            }
            let unspecific = source.bind.port() == 0;
            if unspecific && !self.leaders_supplied {
                let fix = "name the port that the forwarder sends to".to_owned();
                check.refuse(
                    &field("bind"),
                    quoted(source.bind),
                    "port 0 receives nothing",
                    fix,
                );
            }
            if let Some(other) = earlier.iter().find(|other| source.collides_with(other)) {
                let fix = "use another port".to_owned();
                let problem = if other.bind == source.bind {
                    "another source binds this address".to_owned()
                } else {
                    let (name, bound) = (&other.name, other.bind);
                    format!("source {name} binds {bound}, and one of the two is every address")
                };
                check.refuse(&field("bind"), quoted(source.bind), &problem, fix);
            }
            source.warn_of_trust(&field("policy"), check);
            let unknown_leaders =
                self.leaders_file.is_none() && self.leaders_rpc.is_none() && !self.leaders_supplied;
            if source.policy == Policy::Verified && unknown_leaders {
                let fix = "set ingest.leaders_file or ingest.leaders_rpc, or write policy = \"unverified\" to accept what anyone sends";
                check.refuse(
                    &field("policy"),
                    quoted("verified"),
                    "nothing names the leaders",
                    fix.to_owned(),
                );
            }
        }
    }
}

impl SourceConfig {
    /// Whether the kernel would give only one of the two its port: both are UDP sockets, whatever is spoken over them.
    /// Of one port it takes several addresses, and beside every address none. IPv6 sockets take no IPv4.
    fn collides_with(&self, other: &Self) -> bool {
        let (own, its) = (self.bind, other.bind);
        let sockets = self.kind != SourceKind::Xdp && other.kind != SourceKind::Xdp;
        let meet = own.ip() == its.ip() || own.ip().is_unspecified() || its.ip().is_unspecified();
        sockets
            && own.port() == its.port()
            && own.port() != 0
            && own.is_ipv4() == its.is_ipv4()
            && meet
    }

    /// A trusted source believes whoever reaches its port: of kind `quic` those are peers by name.
    fn warn_of_trust(&self, field: &str, check: &mut Check) {
        let is_near = self.kind != SourceKind::Xdp && self.bind.ip().to_canonical().is_loopback();
        if self.policy == Policy::Trusted && self.kind != SourceKind::Quic && !is_near {
            let problem = format!(
                "whoever reaches port {} decides what is traded on",
                self.bind.port()
            );
            let fix = "use kind = \"quic\" with peers, bind loopback, or see to it that only your own relay's wire \
                       leads there";
            check.warn(field, quoted("trusted"), &problem, fix);
        }
    }

    /// `None` where no socket could be asked for; then that was refused.
    pub(super) fn plan(
        &self,
        index: usize,
        ingest: &IngestConfig,
        idle: StageIdle,
        host: &Host,
        check: &mut Check,
    ) -> Option<SourcePlan> {
        Some(SourcePlan {
            name: self.name.clone(),
            opening: self.opening(index, ingest, host, check)?,
            redistributable: self.redistributable,
            policy: match self.policy {
                Policy::Verified => ResolvePolicy::VerifyThenEmit,
                Policy::Unverified => ResolvePolicy::EmitThenVerify,
                Policy::Trusted => ResolvePolicy::Trusted,
            },
            seat: Seat {
                cpu: self.cpu.map(usize::from),
                idle,
            },
        })
    }
}

impl ThreadsConfig {
    pub(super) fn plan(&self, host: &Host, check: &mut Check) -> ThreadsPlan {
        check.cpu("threads.core_cpu", self.core_cpu, host);
        check.cpu("threads.submit_cpu", self.submit_cpu, host);
        check.cpu("threads.verify_cpu", self.verify_cpu, host);
        check.cpu("threads.signing_cpu", self.signing_cpu, host);
        check.range("threads.park_us", self.park_us, 1..=10_000, "microseconds");
        for (key, cpu) in [
            ("threads.submit_cpu", self.submit_cpu),
            ("threads.verify_cpu", self.verify_cpu),
            ("threads.signing_cpu", self.signing_cpu),
        ] {
            if let Some(cpu) = cpu.filter(|_| cpu == self.core_cpu) {
                let fix = "use another CPU, or leave the key out".to_owned();
                check.refuse(key, cpu.to_string(), "the core thread owns this CPU", fix);
            }
        }
        let seat = |cpu: Option<u16>| Seat {
            cpu: cpu.map(usize::from),
            idle: self.stage_idle(),
        };
        ThreadsPlan {
            split: match self.layout {
                Layout::Auto => host.cpus.len() >= 4,
                Layout::Fused => false,
                Layout::Split => true,
            },
            core: seat(self.core_cpu),
            submit: seat(self.submit_cpu),
            verify: match self.verify {
                Verify::Auto => host.cpus.len() >= 4,
                Verify::Core => false,
                Verify::Thread => true,
            }
            .then(|| seat(self.verify_cpu)),
            // Cold: it sleeps when there is nothing to do, whatever hot threads do.
            signing: Seat {
                cpu: self.signing_cpu.map(usize::from),
                idle: SIGNING_IDLE,
            },
            lock_memory: self.lock_memory,
        }
    }

    pub(super) fn stage_idle(&self) -> StageIdle {
        match self.idle {
            Idle::Spin => StageIdle::Spin,
            Idle::Yield => StageIdle::Yield,
            Idle::Park => StageIdle::Park(Duration::from_micros(u64::from(self.park_us))),
        }
    }

    pub(super) fn lock(&self) -> Lock {
        match self.lock_memory {
            LockMemory::Try => Lock::Try,
            LockMemory::Require => Lock::Require,
            LockMemory::Off => Lock::Skip,
        }
    }
}
