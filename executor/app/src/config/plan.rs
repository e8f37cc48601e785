//! What a configuration means: every value checked, every default resolved, in the words of the rooms that are built
//! from it.

mod bridge;
mod idle;
mod ingest;
mod outside;
mod receiving;
mod relay;
mod signing;
mod trading;
mod venues;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bundle::host::{HostKind, SnapshotStatement};
use bundle::{BuilderConfig, BuilderError};
use engine::{LadderPlan, SignalPolicy};
use market::Key;
use shred_quic::{Destination, Peers};
use shred_relay::{EntryServerConfig, V1Batches};
use shred_resolve::{ArbiterPlan, Plan as ResolvePlan, Policy as ResolvePolicy};
use shred_source::arena::FRAMES_MAX;
use shred_source::capture::CapturePlan;
use shred_source::{ArenaPlan, UdpConfig, UringConfig, XdpConfig};
use shred_wire::Nanos;
use shred_wire::shred::ShredLimits;
use submit::BlockEngineConfig;

use super::check::{Check, quoted};
use super::{CaptureConfig, Config, ConfigError, Host, LockMemory, Mode, Policy, RelayConfig};
use crate::stage::Seat;

/// Most lamports any amount may name: more than will ever be (about 600 million SOL), and little enough that sums
/// of a few cannot overflow.
const AMOUNT_MAX_LAMPORTS: u64 = 1 << 60;
/// Bytes the resolver takes for one FEC set, as its plan says.
const FEC_SET_BYTES: u64 = 67 * 1_024;
/// Bytes the resolver takes for one remembered version, as its plan says.
const FEC_VERSION_BYTES: u64 = 400;
/// Milliseconds in nanoseconds.
const NANOS_PER_MS: u64 = 1_000_000;

/// What a configuration means on one host: checked, complete, in the words of the rooms.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The mode; never [`Mode::Live`] in this version.
    pub mode: Mode,
    /// Sources, window and slabs.
    pub ingest: IngestPlan,
    /// File of lookup tables, when one is named.
    pub lookup_tables: Option<PathBuf>,
    /// The table that transactions use, one of those in the file. [`crate::lookup_tables::load_for`] hands it to
    /// `builder`, which has none before.
    pub lookup_table: Option<Key>,
    /// Checks of the venues.
    pub venues: VenuesPlan,
    /// Who is asked for shreds, if anyone is.
    pub shredstream: Option<ShredstreamPlan>,
    /// Threads and pins.
    pub threads: ThreadsPlan,
    /// Strategy, limits and tables. Its `hash_seed` is the default: the service draws one.
    pub engine: engine::EngineConfig,
    /// Templates and tips.
    pub builder: BuilderConfig,
    /// What is done of a signature before its trigger.
    pub signing: SigningPlan,
    /// The lane.
    pub submit: SubmitPlan,
    /// The bridge, when it runs.
    pub bridge: Option<brain_bridge::BridgeConfig>,
    /// What a relay passes shreds on to, when anything is named.
    pub relay: Option<RelayPlan>,
    /// The admin socket and kill file.
    pub admin: AdminPlan,
    /// Address of the page, when it is served.
    pub http: Option<SocketAddr>,
    /// Recording.
    pub capture: CapturePlan,
}

/// Checks of the venues.
#[derive(Debug, Clone)]
pub struct VenuesPlan {
    /// The RPC node that is asked; without one nothing can be checked.
    pub rpc: Option<sidecar::Endpoint>,
    /// Whether builders are simulated at start.
    pub check_at_start: bool,
    /// Pause between two looks.
    pub watch_interval: Duration,
}

/// Sources, window and slabs.
#[derive(Debug, Clone)]
pub struct IngestPlan {
    /// The sources; an index here is a source id.
    pub sources: Vec<SourcePlan>,
    /// File of leaders, when one is named.
    pub leaders_file: Option<PathBuf>,
    /// RPC node that names the leaders, when one is named.
    pub leaders_rpc: Option<sidecar::Endpoint>,
    /// Name of this region.
    pub region: String,
    /// File that gets a line a second of what every source has brought, when one is named.
    pub sources_log: Option<PathBuf>,
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
    /// How it is opened.
    pub opening: Opening,
    /// Whether its datagrams may be passed on.
    pub redistributable: bool,
    /// When its transactions are emitted.
    pub policy: ResolvePolicy,
    /// Where its thread runs in split layout.
    pub seat: Seat,
}

/// How a source is opened.
#[derive(Debug, Clone)]
pub enum Opening {
    /// A UDP socket.
    Udp(UdpConfig),
    /// A UDP socket by io_uring, or by [`UringConfig::socket`] where that is denied.
    IoUring(UringConfig),
    /// A card's queue.
    Xdp(XdpConfig),
    /// A QUIC end.
    Quic(QuicPlan),
}

impl Opening {
    /// Bytes asked of the kernel for its socket; none where there is no such buffer.
    #[must_use]
    pub fn receive_buffer_len(&self) -> Option<usize> {
        match self {
            Self::Udp(udp) => Some(udp.receive_buffer_len),
            Self::IoUring(uring) => Some(uring.socket.receive_buffer_len),
            Self::Xdp(_) => None,
            Self::Quic(quic) => Some(quic.receive_buffer_len),
        }
    }
}

/// How a QUIC source is opened.
#[derive(Debug, Clone)]
pub struct QuicPlan {
    /// Address and port.
    pub bind: SocketAddr,
    /// Who we are.
    pub identity: QuicIdentity,
    /// Who may send.
    pub peers: Peers,
    /// Application protocols.
    pub alpn: Vec<Vec<u8>>,
    /// Bytes asked of the kernel.
    pub receive_buffer_len: usize,
}

/// Where a QUIC source's key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuicIdentity {
    /// A file.
    File(PathBuf),
    /// Made at start, forgotten at the end.
    Generated,
}

/// Asking a block engine for shreds.
#[derive(Debug, Clone)]
pub struct ShredstreamPlan {
    /// The block engine.
    pub endpoint: String,
    /// Where tokens come from, when that is another host.
    pub auth_endpoint: Option<String>,
    /// Its region names.
    pub regions: Vec<String>,
    /// Where shreds are to come.
    pub announce: SocketAddr,
    /// Index of the source they reach.
    pub source: usize,
    /// The key that is registered for it.
    pub key_file: PathBuf,
}

/// Memory of the ingest arenas, bytes. The resolver's figures are its own estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Frames of all sources.
    pub frames_bytes: u64,
    /// FEC sets and remembered versions.
    pub fec_sets_bytes: u64,
    /// Who has brought which shred.
    pub race_bytes: u64,
}

impl MemoryPlan {
    /// All together.
    pub fn total_bytes(&self) -> u64 {
        self.frames_bytes + self.fec_sets_bytes + self.race_bytes
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
    /// Seat of the thread that checks leaders' signatures, if it is not the core.
    pub verify: Option<Seat>,
    /// Seat of the thread that signs ahead.
    pub signing: Seat,
    /// Memory locking.
    pub lock_memory: LockMemory,
}

/// What is done of a signature before its trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningPlan {
    /// Transactions signed ahead, if any are.
    pub ladders: Option<LadderPlan>,
    /// What the operator says of nonces made ahead.
    pub statement: SnapshotStatement,
    /// What the host shows of itself.
    pub host: HostKind,
}

/// The lane.
#[derive(Debug, Clone)]
pub enum SubmitPlan {
    /// Record, never send.
    Paper,
    /// Send to this block engine.
    BlockEngine(BlockEngineConfig),
}

/// What a relay passes shreds on to.
#[derive(Debug, Clone)]
pub struct RelayPlan {
    /// The sieve, and the UDP destinations.
    pub room: shred_relay::RelayConfig,
    /// Other nodes, over QUIC.
    pub nodes: Vec<Destination>,
    /// Who we are to them; there is one whenever there are nodes.
    pub identity: Option<QuicIdentity>,
    /// CPU of the thread that sends to them.
    pub nodes_cpu: Option<usize>,
    /// The service of entries, when it is wanted.
    pub entries: Option<EntriesPlan>,
}

/// The service of entries.
#[derive(Debug, Clone)]
pub struct EntriesPlan {
    /// Its settings; the token is read at start.
    pub room: EntryServerConfig,
    /// File of the token that clients must bring.
    pub token_file: Option<PathBuf>,
    /// What is done with v1 transactions.
    pub v1: V1Batches,
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
    /// [`ConfigError::LiveRefused`]; [`ConfigError::Several`] with every value that does not fit, and its line, when the
    /// configuration comes from a file, and [`ConfigError::Fields`] when it does not.
    pub fn plan(&self, host: &Host) -> Result<Plan, ConfigError> {
        if self.mode.mode == Mode::Live {
            return Err(ConfigError::LiveRefused);
        }
        let (plan, check) = self.checked(host, false);
        match check.errors {
            errors if errors.is_empty() => Ok(plan),
            errors => Err(self.refused(errors)),
        }
    }

    /// The plan, and what does not fit; with errors it is of no use. A `rehearsal` is by hand, see
    /// [`Check::rehearsal`].
    pub(super) fn checked(&self, host: &Host, rehearsal: bool) -> (Plan, Check) {
        let mut check = Check {
            rehearsal,
            ..Check::default()
        };
        let plan = Plan {
            mode: self.mode.mode,
            ingest: self.plan_ingest(host, &mut check),
            lookup_tables: self.plan_market(&mut check),
            lookup_table: self.bundle.plan_lookup_table(&self.market, &mut check),
            venues: self.venues.plan(&self.ingest, &mut check),
            shredstream: self.shredstream.plan(&self.ingest, host, &mut check),
            threads: self.threads.plan(host, &mut check),
            engine: self.plan_engine(&mut check),
            builder: self.bundle.plan(&mut check),
            signing: self.signing.plan(host, &mut check),
            submit: self.submit.plan(&mut check),
            bridge: self.bridge.plan(host, &mut check),
            relay: self.plan_relay(host, &mut check),
            admin: self.admin.plan(host, &mut check),
            http: self.http.plan(&mut check),
            capture: self.plan_capture(&mut check),
        };
        self.check_across(&mut check);
        self.warn_of_idle_keys(&plan, &mut check);
        plan.check_paths(&mut check);
        (plan, check)
    }

    /// Without leaders nothing is ever verified, and by default only what is verified is acted on.
    fn warn_of_idleness(&self, check: &mut Check) {
        let ingest = &self.ingest;
        let has_leaders = ingest.leaders_file.is_some() || ingest.leaders_rpc.is_some();
        if has_leaders
            || ingest.leaders_supplied
            || self.engine.act_on_unverified
            || self.relay != RelayConfig::default()
        {
            return;
        }
        for (index, source) in ingest.sources.iter().enumerate() {
            if source.policy == Policy::Unverified {
                check.warn(
                    &format!("ingest.sources[{index}].policy"),
                    quoted("unverified"),
                    "nobody names the leaders, so nothing is ever verified, and engine.act_on_unverified is off: no trade comes of this source",
                    "set ingest.leaders_rpc or ingest.leaders_file, or engine.act_on_unverified = true",
                );
            }
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
        }
        let tips = [
            ("strategy.entry_tip_lamports", strategy.entry_tip_lamports),
            ("strategy.exit_tip_lamports", strategy.exit_tip_lamports),
        ];
        self.bundle.check_lane(self.submit.lane, tips, check);
        self.warn_of_idleness(check);
        for (name, places) in [
            ("engine.curves_max", self.engine.curves_max),
            ("engine.pools_max", self.engine.pools_max),
        ] {
            check.at_least(
                (name, u64::from(places)),
                (
                    "risk.open_positions_max + 1",
                    u64::from(risk.open_positions_max) + 1,
                ),
            );
        }
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
        let resolve = ResolvePlan {
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
            // No key of its own: signatures are checked where the resolver's own plan says.
            ..ResolvePlan::default()
        };
        let race_bytes = ArbiterPlan::beside(&resolve, ingest.sources.len()).bytes();
        IngestPlan {
            sources: ingest
                .sources
                .iter()
                .enumerate()
                .filter_map(|(index, source)| source.plan(index, ingest, idle, host, check))
                .collect(),
            leaders_file: ingest.leaders_file.clone(),
            leaders_rpc: ingest.leaders_endpoint(check),
            region: ingest.region.clone(),
            sources_log: ingest.sources_log.clone(),
            resolve,
            arena,
            memory: MemoryPlan {
                frames_bytes: arena.frame_count as u64
                    * arena.stride as u64
                    * ingest.sources.len() as u64,
                fec_sets_bytes: u64::from(ingest.fec_sets_max) * FEC_SET_BYTES
                    + u64::from(ingest.fec_versions_max) * FEC_VERSION_BYTES,
                race_bytes,
            },
        }
    }

    fn plan_market(&self, check: &mut Check) -> Option<PathBuf> {
        let path = self.market.lookup_tables.as_ref()?;
        check.absolute("market.lookup_tables", path);
        Some(path.clone())
    }

    fn plan_engine(&self, check: &mut Check) -> engine::EngineConfig {
        let engine = &self.engine;
        check.range(
            "engine.curves_max",
            engine.curves_max,
            64..=1 << 20,
            "curves",
        );
        check.range("engine.pools_max", engine.pools_max, 64..=1 << 20, "pools");
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
            params: self.strategy.plan(self.bundle.lane(), check),
            limits: self.risk.plan(check),
            curve_capacity: engine.curves_max as usize,
            pool_capacity: engine.pools_max as usize,
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
            failure_limit: self.venues.failure_limit(check),
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
    /// The sources that a relay opens: those whose terms allow it.
    #[must_use]
    pub fn redistributable(&self) -> Vec<SourcePlan> {
        let sources = self.ingest.sources.iter();
        sources
            .filter(|source| source.redistributable)
            .cloned()
            .collect()
    }

    /// Two things at one path would take it from each other.
    fn check_paths(&self, check: &mut Check) {
        self.check_sources_log(check);
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

    /// What of a transaction's parts does not fit into one, if anything.
    pub(crate) fn unfit(&self) -> Option<BuilderError> {
        trading::unfit(&self.builder)
    }

    /// Appending to the kill file kills, and appending to anything else ruins it.
    fn check_sources_log(&self, check: &mut Check) {
        let Some(log) = &self.ingest.sources_log else {
            return;
        };
        let epoch = self.bridge.as_ref().map(|bridge| &bridge.epoch_file);
        for (other, path) in [
            ("admin.kill_file", Some(&self.admin.kill_file)),
            ("admin.socket", Some(&self.admin.socket)),
            ("ingest.leaders_file", self.ingest.leaders_file.as_ref()),
            ("market.lookup_tables", self.lookup_tables.as_ref()),
            ("bridge.epoch_file", epoch),
        ] {
            if path == Some(log) {
                let problem = format!("this is {other}");
                let fix = "use two paths".to_owned();
                check.refuse("ingest.sources_log", quoted(log.display()), &problem, fix);
            }
        }
    }
}

fn nanos_of_ms(milliseconds: u32) -> Nanos {
    Nanos(u64::from(milliseconds) * NANOS_PER_MS)
}
