//! What a configuration means: every value checked, every default resolved, in the words of the rooms that are built
//! from it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use brain_wire::Family;
use bundle::{BlockhashRule, BuilderConfig, ComputeBudget, WireVersion};
use engine::SignalPolicy;
use market::{Bps, Key, Lamports};
use risk::Limits;
use shred_resolve::{Plan as ResolvePlan, Policy as ResolvePolicy};
use shred_source::arena::{FRAMES_MAX, Lock, STRIDE_UNIT};
use shred_source::capture::CapturePlan;
use shred_source::{ArenaPlan, UdpConfig};
use shred_wire::Nanos;
use shred_wire::shred::ShredLimits;
use strategy::{KeySet, LaneClass, Params};
use submit::BlockEngineConfig;

use super::check::{Check, quoted};
use super::{
    AdminConfig, BridgeConfig, BundleConfig, CaptureConfig, Config, ConfigError, Host, HttpConfig,
    Idle, IngestConfig, Lane, Layout, LockMemory, Mode, Policy, ProducerConfig, RiskConfig,
    SourceConfig, StrategyConfig, SubmitConfig, Template, ThreadsConfig,
};
use crate::stage::{Idle as StageIdle, Seat};

/// Most lamports any amount may name: more than will ever be (about 600 million SOL), and little enough that sums
/// of a few cannot overflow.
const AMOUNT_MAX_LAMPORTS: u64 = 1 << 60;
/// Most shreds of one kind per slot that the protocol knew at any slot time (400 ms).
/// Source: agave `ledger/src/shred.rs` (`MAX_DATA_SHREDS_PER_SLOT`); SIMD-0525 lowers it.
const SHREDS_PER_SLOT_BOUND: u32 = 32_768;
/// Smallest frame, a multiple of the stride unit, that holds a shred with its repair nonce (1,228 + 4 bytes).
const FRAME_LEN_MIN: u32 = 1_280;
/// Bytes the resolver takes for one FEC set, as its plan says.
const FEC_SET_BYTES: u64 = 67 * 1_024;
/// Bytes the resolver takes for one remembered version, as its plan says.
const FEC_VERSION_BYTES: u64 = 400;
/// Least tip a block engine takes, lamports. Source: Jito's documentation, "Tip Amount".
const TIP_MIN_LAMPORTS: u64 = 1_000;
/// Most compute units a transaction may ask for. Source: agave `compute-budget/src/compute_budget_limits.rs`
/// (`MAX_COMPUTE_UNIT_LIMIT`).
const COMPUTE_UNITS_MAX: u32 = 1_400_000;
/// Most bytes of accounts a transaction may load. Source: the same file
/// (`MAX_LOADED_ACCOUNTS_DATA_SIZE_BYTES`).
const LOADED_ACCOUNTS_BYTES_MAX: u32 = 64 * 1_024 * 1_024;
/// Milliseconds in nanoseconds.
const NANOS_PER_MS: u64 = 1_000_000;

/// What a configuration means on one host: checked, complete, in the words of the rooms.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The mode; never [`Mode::Live`] in this version.
    pub mode: Mode,
    /// Sources, window and slabs.
    pub ingest: IngestPlan,
    /// Threads and pins.
    pub threads: ThreadsPlan,
    /// Strategy, limits and tables. Its `hash_seed` is the default: the service draws one.
    pub engine: engine::EngineConfig,
    /// Templates and tips.
    pub builder: BuilderConfig,
    /// The lane.
    pub submit: SubmitPlan,
    /// The bridge, when it runs.
    pub bridge: Option<brain_bridge::BridgeConfig>,
    /// The admin socket and kill file.
    pub admin: AdminPlan,
    /// Address of the page, when it is served.
    pub http: Option<SocketAddr>,
    /// Recording.
    pub capture: CapturePlan,
}

/// Sources, window and slabs.
#[derive(Debug, Clone)]
pub struct IngestPlan {
    /// The sources; an index here is a source id.
    pub sources: Vec<SourcePlan>,
    /// File of leaders, when one is named.
    pub leaders_file: Option<PathBuf>,
    /// What the resolver is built from.
    pub resolve: ResolvePlan,
    /// What each source's frames are built from.
    pub arena: ArenaPlan,
    /// What all of it takes.
    pub memory: MemoryPlan,
}

/// One source.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    /// Its name.
    pub name: String,
    /// How its socket is opened.
    pub udp: UdpConfig,
    /// Whether its datagrams may be passed on.
    pub redistributable: bool,
    /// When its transactions are emitted.
    pub policy: ResolvePolicy,
    /// Where its thread runs in split layout.
    pub seat: Seat,
}

/// Memory of the ingest arenas, bytes. The resolver's figures are its own estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Frames of all sources.
    pub frames_bytes: u64,
    /// FEC sets and remembered versions.
    pub fec_sets_bytes: u64,
}

impl MemoryPlan {
    /// Both together.
    pub fn total_bytes(&self) -> u64 {
        self.frames_bytes + self.fec_sets_bytes
    }
}

/// Threads and pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadsPlan {
    /// True for one thread per stage, false for sources and core in one.
    pub split: bool,
    /// Where the core runs.
    pub core: Seat,
    /// Where the submit stage runs.
    pub submit: Seat,
    /// Memory locking.
    pub lock_memory: LockMemory,
}

/// The lane.
#[derive(Debug, Clone)]
pub enum SubmitPlan {
    /// Record, never send.
    Paper,
    /// Send to this block engine.
    BlockEngine(BlockEngineConfig),
}

/// The admin socket and kill file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminPlan {
    /// Path of the socket.
    pub socket: PathBuf,
    /// Path of the kill file.
    pub kill_file: PathBuf,
}

impl Config {
    /// Checks every value against its bounds, the others, and `host`.
    ///
    /// # Errors
    /// [`ConfigError::LiveRefused`], or [`ConfigError::Fields`] with every value that does not fit.
    pub fn plan(&self, host: &Host) -> Result<Plan, ConfigError> {
        if self.mode.mode == Mode::Live {
            return Err(ConfigError::LiveRefused);
        }
        let mut check = Check::default();
        let plan = Plan {
            mode: self.mode.mode,
            ingest: self.plan_ingest(host, &mut check),
            threads: self.threads.plan(host, &mut check),
            engine: self.plan_engine(&mut check),
            builder: self.bundle.plan(&mut check),
            submit: self.submit.plan(&mut check),
            bridge: self.bridge.plan(host, &mut check),
            admin: self.admin.plan(host, &mut check),
            http: self.http.plan(&mut check),
            capture: self.plan_capture(&mut check),
        };
        self.check_across(&mut check);
        plan.check_paths(&mut check);
        if check.errors.is_empty() {
            Ok(plan)
        } else {
            Err(ConfigError::Fields(check.errors))
        }
    }

    /// What one section promises another.
    fn check_across(&self, check: &mut Check) {
        let (strategy, risk) = (&self.strategy, &self.risk);
        check.at_most(
            (
                "strategy.budget_lamports + strategy.entry_tip_lamports",
                strategy
                    .budget_lamports
                    .saturating_add(strategy.entry_tip_lamports),
            ),
            (
                "risk.trade_notional_max_lamports",
                risk.trade_notional_max_lamports,
            ),
        );
        for (field, tip) in [
            ("entry_tip_lamports", strategy.entry_tip_lamports),
            ("exit_tip_lamports", strategy.exit_tip_lamports),
        ] {
            let field = format!("strategy.{field}");
            check.at_most(
                (&field, tip),
                ("risk.tip_max_lamports", risk.tip_max_lamports),
            );
            check.at_least(
                (&field, tip),
                ("bundle.tip_min_lamports", self.bundle.tip_min_lamports),
            );
        }
        check.at_least(
            ("engine.curves_max", u64::from(self.engine.curves_max)),
            (
                "risk.open_positions_max + 1",
                u64::from(risk.open_positions_max) + 1,
            ),
        );
        check.at_least(
            ("engine.inflight_max", u64::from(self.engine.inflight_max)),
            (
                "twice risk.open_positions_max",
                2 * u64::from(risk.open_positions_max),
            ),
        );
    }

    fn plan_ingest(&self, host: &Host, check: &mut Check) -> IngestPlan {
        let ingest = &self.ingest;
        ingest.check(host, check);
        let idle = self.threads.stage_idle();
        let arena = ArenaPlan {
            frame_count: ingest.frames_per_source as usize,
            stride: ingest.frame_len as usize,
            lock: self.threads.lock(),
            huge_pages: ingest.huge_pages,
        };
        IngestPlan {
            sources: ingest
                .sources
                .iter()
                .map(|source| source.plan(ingest, idle))
                .collect(),
            leaders_file: ingest.leaders_file.clone(),
            resolve: ResolvePlan {
                shred_version: ingest.shred_version,
                limits: ShredLimits {
                    shreds_per_slot_max: ingest.shreds_per_slot_max,
                },
                slots_behind: u64::from(ingest.slots_behind),
                slots_ahead: u64::from(ingest.slots_ahead),
                resync_after: nanos_of_ms(ingest.resync_after_ms),
                sets_max: ingest.fec_sets_max as usize,
                versions_max: ingest.fec_versions_max as usize,
                ticks_per_slot: u64::from(ingest.ticks_per_slot),
            },
            arena,
            memory: MemoryPlan {
                frames_bytes: arena.frame_count as u64
                    * arena.stride as u64
                    * ingest.sources.len() as u64,
                fec_sets_bytes: u64::from(ingest.fec_sets_max) * FEC_SET_BYTES
                    + u64::from(ingest.fec_versions_max) * FEC_VERSION_BYTES,
            },
        }
    }

    fn plan_engine(&self, check: &mut Check) -> engine::EngineConfig {
        let engine = &self.engine;
        check.range(
            "engine.curves_max",
            engine.curves_max,
            64..=1 << 20,
            "curves",
        );
        check.range(
            "engine.inflight_max",
            engine.inflight_max,
            2..=4_096,
            "transactions",
        );
        check.range(
            "engine.inflight_slots_max",
            engine.inflight_slots_max,
            1..=10_000,
            "slots",
        );
        check.range("engine.armed_max", engine.armed_max, 1..=4_096, "signals");
        check.range(
            "engine.signal_slots_max",
            engine.signal_slots_max,
            0..=10_000,
            "slots",
        );
        check.range(
            "engine.collision_window_ms",
            engine.collision_window_ms,
            0..=600_000,
            "milliseconds",
        );
        let pairs = engine.dependent_sources.len();
        if pairs > 1_024 {
            let fix = "keep 1024".to_owned();
            check.refuse(
                "engine.dependent_sources",
                format!("{pairs} pairs"),
                "at most 1024 are compared",
                fix,
            );
        }
        engine::EngineConfig {
            params: self.strategy.plan(check),
            limits: self.risk.plan(check),
            curve_capacity: engine.curves_max as usize,
            inflight_capacity: engine.inflight_max as usize,
            inflight_slots_max: engine.inflight_slots_max,
            armed_capacity: engine.armed_max as usize,
            signal_slots_max: engine.signal_slots_max,
            signal_policy: match engine.collision_window_ms {
                0 => SignalPolicy::Single,
                window_ms => SignalPolicy::Collision {
                    window: nanos_of_ms(window_ms),
                },
            },
            dependent_sources: engine
                .dependent_sources
                .iter()
                .map(|&[a, b]| (a, b))
                .collect(),
            act_on_unverified: engine.act_on_unverified,
            blockhash_rule: self.bundle.blockhash_rule(check),
            ..engine::EngineConfig::default()
        }
    }

    fn plan_capture(&self, check: &mut Check) -> CapturePlan {
        let CaptureConfig { ring_datagrams } = self.capture;
        check.power_of_two(
            "capture.ring_datagrams",
            ring_datagrams,
            256..=FRAMES_MAX as u32,
            "datagrams",
        );
        CapturePlan {
            frame_count: ring_datagrams as usize,
            payload_len_max: self.ingest.frame_len as usize,
            lock: self.threads.lock(),
        }
    }
}

impl Plan {
    /// Two things at one path would take it from each other.
    fn check_paths(&self, check: &mut Check) {
        let Some(bridge) = &self.bridge else { return };
        let socket = Path::new(bridge.endpoint.trim_start_matches("ipc://"));
        for (field, path) in [
            ("admin.socket", &self.admin.socket),
            ("admin.kill_file", &self.admin.kill_file),
            ("bridge.epoch_file", &bridge.epoch_file),
        ] {
            if path == socket {
                let fix = "use two paths".to_owned();
                check.refuse(
                    field,
                    quoted(path.display()),
                    "this is bridge.endpoint's socket",
                    fix,
                );
            }
        }
        for producer in &bridge.producers {
            if producer.key_file == bridge.epoch_file {
                let fix = "use two paths".to_owned();
                let value = quoted(bridge.epoch_file.display());
                check.refuse("bridge.epoch_file", value, "this is a producer's key", fix);
            }
        }
    }

    /// Files the plan names that must exist before start, each with the key that names it.
    pub fn files_needed(&self) -> Vec<(String, PathBuf)> {
        let leaders = self
            .ingest
            .leaders_file
            .iter()
            .map(|path| ("ingest.leaders_file".to_owned(), path.clone()));
        leaders.chain(self.key_files()).collect()
    }

    /// Key files the plan names, each with the key that names it.
    pub fn key_files(&self) -> Vec<(String, PathBuf)> {
        let producers = self.bridge.iter().flat_map(|bridge| &bridge.producers);
        let files = producers.flat_map(|producer| {
            let field = format!("bridge.producers (id {}).key_file", producer.id);
            let previous = producer
                .key_file_previous
                .iter()
                .map(|path| (format!("{field}_previous"), path.clone()));
            let previous: Vec<(String, PathBuf)> = previous.collect();
            std::iter::once((field, producer.key_file.clone())).chain(previous)
        });
        files.collect()
    }
}

impl IngestConfig {
    fn check(&self, host: &Host, check: &mut Check) {
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
        self.check_sources(host, check);
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
            if !unspecific && earlier.iter().any(|other| other.bind == source.bind) {
                let fix = "use another port".to_owned();
                check.refuse(
                    &field("bind"),
                    quoted(source.bind),
                    "another source binds this address",
                    fix,
                );
            }
            let unknown_leaders = self.leaders_file.is_none() && !self.leaders_supplied;
            if source.policy == Policy::Verified && unknown_leaders {
                let fix = "set ingest.leaders_file, or write policy = \"unverified\" to accept what anyone sends";
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
    fn plan(&self, ingest: &IngestConfig, idle: StageIdle) -> SourcePlan {
        SourcePlan {
            name: self.name.clone(),
            udp: UdpConfig {
                receive_buffer_len: ingest.receive_buffer_bytes as usize,
                busy_poll_us: self.busy_poll_us,
                ..UdpConfig::new(self.bind)
            },
            redistributable: self.redistributable,
            policy: match self.policy {
                Policy::Verified => ResolvePolicy::VerifyThenEmit,
                Policy::Unverified => ResolvePolicy::EmitThenVerify,
            },
            seat: Seat {
                cpu: self.cpu.map(usize::from),
                idle,
            },
        }
    }
}

impl ThreadsConfig {
    fn plan(&self, host: &Host, check: &mut Check) -> ThreadsPlan {
        check.cpu("threads.core_cpu", self.core_cpu, host);
        check.cpu("threads.submit_cpu", self.submit_cpu, host);
        check.range("threads.park_us", self.park_us, 1..=10_000, "microseconds");
        if self.core_cpu.is_some() && self.core_cpu == self.submit_cpu {
            let value = self
                .core_cpu
                .map_or_else(String::new, |cpu| cpu.to_string());
            let fix = "use another CPU, or leave the key out".to_owned();
            check.refuse(
                "threads.submit_cpu",
                value,
                "the core thread owns this CPU",
                fix,
            );
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
            lock_memory: self.lock_memory,
        }
    }

    fn stage_idle(&self) -> StageIdle {
        match self.idle {
            Idle::Spin => StageIdle::Spin,
            Idle::Yield => StageIdle::Yield,
            Idle::Park => StageIdle::Park(Duration::from_micros(u64::from(self.park_us))),
        }
    }

    fn lock(&self) -> Lock {
        match self.lock_memory {
            LockMemory::Try => Lock::Try,
            LockMemory::Require => Lock::Require,
            LockMemory::Off => Lock::Skip,
        }
    }
}

impl StrategyConfig {
    fn plan(&self, check: &mut Check) -> Params {
        let amounts = 0..=AMOUNT_MAX_LAMPORTS;
        check.range(
            "strategy.dev_buy_min_lamports",
            self.dev_buy_min_lamports,
            amounts.clone(),
            "lamports",
        );
        check.range(
            "strategy.dev_buy_max_lamports",
            self.dev_buy_max_lamports,
            amounts,
            "lamports",
        );
        check.at_most(
            ("strategy.dev_buy_min_lamports", self.dev_buy_min_lamports),
            ("strategy.dev_buy_max_lamports", self.dev_buy_max_lamports),
        );
        check.range(
            "strategy.entry_slots_max",
            self.entry_slots_max,
            0..=1_000,
            "slots",
        );
        check.range(
            "strategy.budget_lamports",
            self.budget_lamports,
            1..=AMOUNT_MAX_LAMPORTS,
            "lamports",
        );
        check.range(
            "strategy.entry_slippage_bps",
            self.entry_slippage_bps,
            0..=9_999,
            "basis points",
        );
        check.range(
            "strategy.exit_slippage_bps",
            self.exit_slippage_bps,
            0..=9_999,
            "basis points",
        );
        check.range(
            "strategy.stop_slippage_bps",
            self.stop_slippage_bps,
            0..=9_999,
            "basis points",
        );
        check.range(
            "strategy.take_profit_bps",
            self.take_profit_bps,
            1..=u16::MAX,
            "basis points",
        );
        check.range(
            "strategy.stop_loss_bps",
            self.stop_loss_bps,
            1..=10_000,
            "basis points",
        );
        check.range(
            "strategy.expiry_ms",
            self.expiry_ms,
            0..=86_400_000,
            "milliseconds",
        );
        check.range(
            "strategy.expiry_slots",
            self.expiry_slots,
            0..=1_000_000,
            "slots",
        );
        if self.expiry_ms == 0 && self.expiry_slots == 0 {
            let problem = "nothing ends a position in a coin that nobody trades any more";
            let fix = "set it, or strategy.expiry_slots, above 0".to_owned();
            check.refuse("strategy.expiry_ms", "0".to_owned(), problem, fix);
        }
        Params {
            launches_enabled: self.enabled,
            creators_allowed: key_set("strategy.creators_allow", &self.creators_allow, check),
            creators_denied: key_set("strategy.creators_deny", &self.creators_deny, check),
            dev_buy_min: Lamports(self.dev_buy_min_lamports),
            dev_buy_max: Lamports(self.dev_buy_max_lamports),
            entry_slots_max: self.entry_slots_max,
            budget: Lamports(self.budget_lamports),
            entry_slippage: Bps(self.entry_slippage_bps),
            exit_slippage: Bps(self.exit_slippage_bps),
            stop_slippage: Bps(self.stop_slippage_bps),
            take_profit: Bps(self.take_profit_bps),
            stop_loss: Bps(self.stop_loss_bps),
            hold_max: nanos_of_ms(self.expiry_ms),
            hold_slots_max: self.expiry_slots,
            entry_tip: Lamports(self.entry_tip_lamports),
            exit_tip: Lamports(self.exit_tip_lamports),
            lane: LaneClass::PrivateBundle,
        }
    }
}

fn key_set(field: &str, texts: &[String], check: &mut Check) -> KeySet {
    let keys = check.keys(field, texts);
    KeySet::new(&keys).unwrap_or_else(|_| {
        let problem = format!("at most {} are compared", KeySet::CAPACITY);
        check.refuse(
            field,
            format!("{} addresses", keys.len()),
            &problem,
            "shorten the list".to_owned(),
        );
        KeySet::EMPTY
    })
}

impl RiskConfig {
    fn plan(&self, check: &mut Check) -> Limits {
        let amounts = 1..=AMOUNT_MAX_LAMPORTS;
        let (trade, open) = (
            self.trade_notional_max_lamports,
            self.open_notional_max_lamports,
        );
        check.range(
            "risk.trade_notional_max_lamports",
            trade,
            amounts.clone(),
            "lamports",
        );
        check.range("risk.open_notional_max_lamports", open, amounts, "lamports");
        check.at_most(
            ("risk.trade_notional_max_lamports", trade),
            ("risk.open_notional_max_lamports", open),
        );
        check.range(
            "risk.open_positions_max",
            self.open_positions_max,
            1..=Limits::POSITIONS_MAX,
            "positions",
        );
        check.range(
            "risk.entries_per_window_max",
            self.entries_per_window_max,
            1..=Limits::RATE_MAX,
            "entries",
        );
        check.range(
            "risk.exits_per_window_max",
            self.exits_per_window_max,
            1..=Limits::RATE_MAX,
            "exits",
        );
        check.range(
            "risk.window_ms",
            self.window_ms,
            100..=86_400_000,
            "milliseconds",
        );
        check.range(
            "risk.tip_max_lamports",
            self.tip_max_lamports,
            TIP_MIN_LAMPORTS..=10_000_000_000,
            "lamports",
        );
        Limits {
            per_trade_max: Lamports(trade),
            open_notional_max: Lamports(open),
            tip_max: Lamports(self.tip_max_lamports),
            positions_max: self.open_positions_max,
            entries_per_window_max: self.entries_per_window_max,
            exits_per_window_max: self.exits_per_window_max,
            window: nanos_of_ms(self.window_ms),
        }
    }
}

impl BundleConfig {
    fn plan(&self, check: &mut Check) -> BuilderConfig {
        let units = 10_000..=COMPUTE_UNITS_MAX;
        check.range(
            "bundle.entry_compute_unit_limit",
            self.entry_compute_unit_limit,
            units.clone(),
            "compute units",
        );
        check.range(
            "bundle.exit_compute_unit_limit",
            self.exit_compute_unit_limit,
            units,
            "compute units",
        );
        check.range(
            "bundle.priority_fee_lamports",
            self.priority_fee_lamports,
            0..=1_000_000_000,
            "lamports",
        );
        let loaded = self.loaded_accounts_bytes_max;
        check.range(
            "bundle.loaded_accounts_bytes_max",
            loaded,
            1_048_576..=LOADED_ACCOUNTS_BYTES_MAX,
            "bytes",
        );
        check.range(
            "bundle.tip_min_lamports",
            self.tip_min_lamports,
            TIP_MIN_LAMPORTS..=10_000_000_000,
            "lamports",
        );
        check.range("bundle.coins_max", self.coins_max, 16..=1 << 20, "coins");
        BuilderConfig {
            version: match self.template {
                Template::V0 => WireVersion::V0,
                Template::V1 => WireVersion::V1,
            },
            entry_budget: self.budget(self.entry_compute_unit_limit),
            exit_budget: self.budget(self.exit_compute_unit_limit),
            tip_accounts: key_list("bundle.tip_accounts", &self.tip_accounts, check),
            tip_min: Lamports(self.tip_min_lamports),
            fee_recipients: key_list("bundle.fee_recipients", &self.fee_recipients, check),
            buyback_fee_recipients: key_list(
                "bundle.buyback_fee_recipients",
                &self.buyback_fee_recipients,
                check,
            ),
            coin_capacity: self.coins_max as usize,
        }
    }

    /// The fee typed is in lamports, the wire wants a price per unit: rounded down, so that never more is paid.
    fn budget(&self, unit_limit: u32) -> ComputeBudget {
        let micro_lamports = self.priority_fee_lamports.saturating_mul(1_000_000);
        ComputeBudget {
            unit_limit,
            unit_price_micro_lamports: micro_lamports / u64::from(unit_limit.max(1)),
            loaded_accounts_data_size_limit: self.loaded_accounts_bytes_max,
        }
    }

    fn blockhash_rule(&self, check: &mut Check) -> BlockhashRule {
        let (depth_min, age_max) = (
            self.blockhash_descendants_min,
            self.blockhash_age_max_blocks,
        );
        let validity = bundle::blockhash::VALIDITY_BLOCKS;
        check.range(
            "bundle.blockhash_descendants_min",
            depth_min,
            0..=100,
            "blocks",
        );
        check.range(
            "bundle.blockhash_age_max_blocks",
            age_max,
            1..=validity,
            "blocks",
        );
        check.at_most(
            ("bundle.blockhash_descendants_min", u64::from(depth_min)),
            ("bundle.blockhash_age_max_blocks", u64::from(age_max)),
        );
        BlockhashRule { depth_min, age_max }
    }
}

fn key_list(field: &str, texts: &[String], check: &mut Check) -> Vec<Key> {
    if texts.is_empty() || texts.len() > 64 {
        let fix = "leave the key out to use those of mainnet".to_owned();
        check.refuse(
            field,
            format!("{} accounts", texts.len()),
            "must name 1 to 64",
            fix,
        );
    }
    check.keys(field, texts)
}

impl SubmitConfig {
    fn plan(&self, check: &mut Check) -> SubmitPlan {
        let field = "submit.endpoint";
        check.range(
            "submit.result_timeout_ms",
            self.result_timeout_ms,
            100..=600_000,
            "milliseconds",
        );
        check.range(
            "submit.in_flight_max",
            self.in_flight_max,
            1..=4_096,
            "bundles",
        );
        match (self.lane, &self.endpoint) {
            (Lane::Paper, _) => SubmitPlan::Paper,
            (Lane::BlockEngine, None) => {
                let fix = "write endpoint = \"http://127.0.0.1:PORT\"".to_owned();
                check.refuse(
                    field,
                    "absent".to_owned(),
                    "lane = \"block_engine\" needs one",
                    fix,
                );
                SubmitPlan::Paper
            }
            (Lane::BlockEngine, Some(endpoint)) => {
                if !is_loopback_http(endpoint) {
                    let problem =
                        "in paper mode a block engine must be on loopback, as http://ADDRESS:PORT";
                    let fix = "use lane = \"paper\"; live submission is refused in this version"
                        .to_owned();
                    check.refuse(field, quoted(endpoint), problem, fix);
                }
                SubmitPlan::BlockEngine(BlockEngineConfig {
                    result_timeout: Duration::from_millis(u64::from(self.result_timeout_ms)),
                    in_flight_max: self.in_flight_max as usize,
                    ..BlockEngineConfig::new(endpoint.clone())
                })
            }
        }
    }
}

impl BridgeConfig {
    fn plan(&self, host: &Host, check: &mut Check) -> Option<brain_bridge::BridgeConfig> {
        let endpoint = self.check_endpoint(host, check);
        check.range(
            "bridge.ttl_max_us",
            self.ttl_max_us,
            1..=60_000_000,
            "microseconds",
        );
        check.range(
            "bridge.confidence_min_ppm",
            self.confidence_min_ppm,
            0..=1_000_000,
            "parts per million",
        );
        check.range(
            "bridge.slot_lag_max",
            self.slot_lag_max,
            0..=10_000,
            "slots",
        );
        check.range(
            "bridge.slot_lead_max",
            self.slot_lead_max,
            0..=10_000,
            "slots",
        );
        check.range(
            "bridge.heartbeat_timeout_ms",
            self.heartbeat_timeout_ms,
            10..=60_000,
            "milliseconds",
        );
        check.range(
            "bridge.garbage_max",
            self.garbage_max,
            1..=1_000_000,
            "frames",
        );
        check.range(
            "bridge.garbage_window_ms",
            self.garbage_window_ms,
            1..=3_600_000,
            "milliseconds",
        );
        check.range(
            "bridge.quarantine_ms",
            self.quarantine_ms,
            1..=86_400_000,
            "milliseconds",
        );
        let producers = self.plan_producers(host, check);
        let epoch_file = self
            .epoch_file
            .clone()
            .unwrap_or_else(|| host.state_dir.join("bridge.epoch"));
        check.absolute("bridge.epoch_file", &epoch_file);
        self.enabled.then_some(brain_bridge::BridgeConfig {
            endpoint,
            epoch_file,
            producers,
            ttl_max_us: self.ttl_max_us,
            confidence_min_ppm: self.confidence_min_ppm,
            slot_lag_max: self.slot_lag_max,
            slot_lead_max: self.slot_lead_max,
            heartbeat_timeout_ms: self.heartbeat_timeout_ms,
            garbage_max: self.garbage_max,
            garbage_window_ms: self.garbage_window_ms,
            quarantine_ms: self.quarantine_ms,
        })
    }

    fn check_endpoint(&self, host: &Host, check: &mut Check) -> String {
        let default = || format!("ipc://{}", host.runtime_dir.join("signal.ipc").display());
        let endpoint = self.endpoint.clone().unwrap_or_else(default);
        let path = endpoint.strip_prefix("ipc://").unwrap_or_default();
        if !path.starts_with('/') {
            let fix = "write ipc:// and an absolute path".to_owned();
            check.refuse(
                "bridge.endpoint",
                quoted(&endpoint),
                "only ipc:// on this host is served",
                fix,
            );
        }
        check.socket_path("bridge.endpoint", Path::new(path));
        endpoint
    }

    fn plan_producers(&self, host: &Host, check: &mut Check) -> Vec<brain_bridge::ProducerConfig> {
        let count = self.producers.len();
        if self.enabled && count == 0 {
            let fix = "add a [[bridge.producers]] or set bridge.enabled = false".to_owned();
            check.refuse(
                "bridge.producers",
                "none".to_owned(),
                "nobody could send a signal",
                fix,
            );
        }
        if count > 64 {
            let fix = "keep 64".to_owned();
            check.refuse(
                "bridge.producers",
                format!("{count} producers"),
                "at most 64 are served",
                fix,
            );
        }
        let mut plans = Vec::with_capacity(count);
        for (index, producer) in self.producers.iter().enumerate() {
            if self.producers[..index]
                .iter()
                .any(|other| other.id == producer.id)
            {
                let field = format!("bridge.producers[{index}].id");
                let fix = "give every producer its own number".to_owned();
                check.refuse(
                    &field,
                    producer.id.to_string(),
                    "another producer has this number",
                    fix,
                );
            }
            plans.push(producer.plan(index, host, check));
        }
        plans
    }
}

impl ProducerConfig {
    fn plan(&self, index: usize, host: &Host, check: &mut Check) -> brain_bridge::ProducerConfig {
        let field = |key: &str| format!("bridge.producers[{index}].{key}");
        check.range(&field("id"), self.id, 1..=u16::MAX, "");
        check.range(
            &field("rate_per_second"),
            self.rate_per_second,
            1..=1_000_000,
            "signals",
        );
        check.range(
            &field("rate_burst"),
            self.rate_burst,
            1..=1_000_000,
            "signals",
        );
        let most = AMOUNT_MAX_LAMPORTS;
        check.range(
            &field("max_notional_lamports"),
            self.max_notional_lamports,
            0..=most,
            "lamports",
        );
        for family in self
            .families
            .iter()
            .filter(|family| Family::from_name(family).is_none())
        {
            let known: Vec<&str> = Family::all().map(Family::name).collect();
            let fix = format!("use any of {}", known.join(", "));
            check.refuse(&field("families"), quoted(family), "is not a family", fix);
        }
        if self.families.is_empty() {
            let fix = "name the families it speaks for".to_owned();
            check.refuse(
                &field("families"),
                "none".to_owned(),
                "it could say nothing",
                fix,
            );
        }
        let mut key_file = |key: &str, text: &str| {
            resolve_key_file(text, host).unwrap_or_else(|(problem, fix)| {
                check.refuse(&field(key), quoted(text), problem, fix.to_owned());
                PathBuf::new()
            })
        };
        brain_bridge::ProducerConfig {
            id: self.id,
            key_file: key_file("key_file", &self.key_file),
            key_file_previous: self
                .key_file_previous
                .as_ref()
                .map(|text| key_file("key_file_previous", text)),
            families: self.families.clone(),
            max_notional_lamports: self.max_notional_lamports,
            rate_per_second: self.rate_per_second,
            rate_burst: self.rate_burst,
        }
    }
}

impl AdminConfig {
    fn plan(&self, host: &Host, check: &mut Check) -> AdminPlan {
        let socket = self
            .socket
            .clone()
            .unwrap_or_else(|| host.runtime_dir.join("admin.sock"));
        let kill_file = self
            .kill_file
            .clone()
            .unwrap_or_else(|| host.runtime_dir.join("kill"));
        check.absolute("admin.socket", &socket);
        check.socket_path("admin.socket", &socket);
        check.absolute("admin.kill_file", &kill_file);
        if socket == kill_file {
            let fix = "use two paths".to_owned();
            check.refuse(
                "admin.kill_file",
                quoted(kill_file.display()),
                "this is the socket",
                fix,
            );
        }
        AdminPlan { socket, kill_file }
    }
}

impl HttpConfig {
    fn plan(&self, check: &mut Check) -> Option<SocketAddr> {
        if !self.bind.ip().is_loopback() && !self.allow_remote {
            let fix = "bind 127.0.0.1, or set http.allow_remote = true (the page has no password)"
                .to_owned();
            check.refuse(
                "http.bind",
                quoted(self.bind),
                "is not a loopback address",
                fix,
            );
        }
        self.enabled.then_some(self.bind)
    }
}

fn nanos_of_ms(milliseconds: u32) -> Nanos {
    Nanos(u64::from(milliseconds) * NANOS_PER_MS)
}

/// `http://` with a loopback IP address (or `localhost`) and a port, and nothing after it.
fn is_loopback_http(endpoint: &str) -> bool {
    let Some(authority) = endpoint.strip_prefix("http://") else {
        return false;
    };
    if let Some(port) = authority.strip_prefix("localhost:") {
        return port.parse::<u16>().is_ok();
    }
    authority
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_loopback())
}

fn resolve_key_file(text: &str, host: &Host) -> Result<PathBuf, (&'static str, &'static str)> {
    let Some(name) = text.strip_prefix("credential:") else {
        let path = PathBuf::from(text);
        return if path.is_absolute() {
            Ok(path)
        } else {
            Err((
                "is not an absolute path",
                "write the whole path, or credential:NAME",
            ))
        };
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err((
            "is not the name of a credential",
            "write credential:NAME as in LoadCredential=",
        ));
    }
    let directory = host.credentials_dir.as_ref();
    let absent = (
        "no credentials were handed over",
        "start by systemd with LoadCredential=, or name a 0600 file",
    );
    directory
        .map(|directory| directory.join(name))
        .ok_or(absent)
}
