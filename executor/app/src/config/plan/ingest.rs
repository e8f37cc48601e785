//! Sources, their memory, and the threads that serve them.

use std::time::Duration;

use shred_resolve::Policy as ResolvePolicy;
use shred_source::arena::{FRAMES_MAX, Lock, STRIDE_UNIT};
use sidecar::Endpoint;

use super::{SourcePlan, ThreadsPlan};
use crate::config::check::{Check, quoted};
use crate::config::{
    Host, Idle, IngestConfig, Layout, LockMemory, Policy, SourceConfig, SourceKind, ThreadsConfig,
    Verify,
};
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
        self.check_sources(host, check);
    }

    /// The RPC node that names the leaders, if it is one.
    pub(super) fn leaders_endpoint(&self, check: &mut Check) -> Option<Endpoint> {
        let text = self.leaders_rpc.as_ref()?;
        if self.leaders_file.is_some() {
            let fix = "keep one of the two".to_owned();
            check.refuse(
                "ingest.leaders_rpc",
                quoted(text),
                "ingest.leaders_file names the leaders too",
                fix,
            );
        }
        match Endpoint::parse(text) {
            Ok(endpoint) => Some(endpoint),
            Err(reject) => {
                let fix = "write it like http://127.0.0.1:8899".to_owned();
                check.refuse("ingest.leaders_rpc", quoted(text), &reject.to_string(), fix);
                None
            }
        }
    }

    fn check_sources(&self, host: &Host, check: &mut Check) {
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
            let has_socket = |source: &SourceConfig| source.kind != SourceKind::Xdp;
            let same = |other: &SourceConfig| has_socket(other) && other.bind == source.bind;
            if !unspecific && has_socket(source) && earlier.iter().any(same) {
                let fix = "use another port".to_owned();
                check.refuse(
                    &field("bind"),
                    quoted(source.bind),
                    "another source binds this address",
                    fix,
                );
            }
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
        check.range("threads.park_us", self.park_us, 1..=10_000, "microseconds");
        for (key, cpu) in [
            ("threads.submit_cpu", self.submit_cpu),
            ("threads.verify_cpu", self.verify_cpu),
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
