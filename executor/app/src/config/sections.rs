//! The sections as the operator types them.
//!
//! Defaults of strategy, risk, engine, bundle and bridge are those of the rooms that read them: there is one truth.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use brain_bridge::BridgeConfig as BridgeRoom;
use bundle::BuilderConfig;
use engine::EngineConfig as EngineRoom;
use risk::{FailureLimit, Limits};
use serde::{Deserialize, Serialize};
use shred_relay::RelayConfig as RelayRoom;
use shred_resolve::Plan as ResolvePlan;
use shred_source::ArenaPlan;
use shred_source::capture::CapturePlan;
use strategy::Params;

/// `[mode]`: what the process may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModeConfig {
    /// `paper` or `live`; `live` is refused in this version.
    pub mode: Mode,
}

/// The mode of the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Live sources, the same bytes signed by a throw-away key, nothing is sent.
    #[default]
    Paper,
    /// Refused: submission and books are not ready for it.
    Live,
}

impl Mode {
    /// The word used in configuration, metrics and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::Live => "live",
        }
    }
}

/// `[ingest]`: where shreds come from and how much memory they may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestConfig {
    /// The sockets that receive shreds.
    pub sources: Vec<SourceConfig>,
    /// JSON `{"<slot>":"<base58 identity>"}`; this or `leaders_rpc` is needed by every source with
    /// `policy = "verified"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaders_file: Option<PathBuf>,
    /// RPC node that names the leaders instead of a file, `http://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaders_rpc: Option<String>,
    /// Name of this region in the sources log.
    pub region: String,
    /// File that gets a line a second of what every source has brought; none when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sources_log: Option<PathBuf>,
    /// Only shreds of this version are taken; any version when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shred_version: Option<u16>,
    /// Slots below the highest authenticated one that are still worked on.
    pub slots_behind: u32,
    /// Slots above the highest authenticated one that are taken.
    pub slots_ahead: u32,
    /// With nothing authenticated for this long, the window may jump, milliseconds.
    pub resync_after_ms: u32,
    /// Data (and code) shreds one slot may have.
    pub shreds_per_slot_max: u32,
    /// Proof-of-history ticks of one slot.
    pub ticks_per_slot: u32,
    /// FEC sets whose bytes are held at once, over all slots.
    pub fec_sets_max: u32,
    /// Versions of FEC sets that are remembered, with or without bytes.
    pub fec_versions_max: u32,
    /// Datagrams each source may hold between its thread and the core.
    pub frames_per_source: u32,
    /// Bytes of one frame; longer datagrams are refused.
    pub frame_len: u32,
    /// Kernel receive buffer asked for each socket, bytes.
    pub receive_buffer_bytes: u32,
    /// Ask for huge pages under the frames.
    pub huge_pages: bool,
    /// Set by the app when leaders come from elsewhere than a file (the embedded market).
    #[serde(skip)]
    pub leaders_supplied: bool,
}

impl Default for IngestConfig {
    fn default() -> Self {
        let (resolve, arena) = (ResolvePlan::default(), ArenaPlan::default());
        Self {
            sources: Vec::new(),
            leaders_file: None,
            leaders_rpc: None,
            region: "local".to_owned(),
            sources_log: None,
            shred_version: resolve.shred_version,
            slots_behind: resolve.slots_behind as u32,
            slots_ahead: resolve.slots_ahead as u32,
            resync_after_ms: (resolve.resync_after.0 / 1_000_000) as u32,
            shreds_per_slot_max: resolve.limits.shreds_per_slot_max,
            ticks_per_slot: resolve.ticks_per_slot as u32,
            fec_sets_max: resolve.sets_max as u32,
            fec_versions_max: resolve.versions_max as u32,
            frames_per_source: arena.frame_count as u32,
            frame_len: arena.stride as u32,
            receive_buffer_bytes: 33_554_432,
            huge_pages: arena.huge_pages,
            leaders_supplied: false,
        }
    }
}

/// `[market]`: what is known of the market beside the shreds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MarketConfig {
    /// JSON `{"<table>": ["<address>", ...]}`: lookup tables, read once at start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup_tables: Option<PathBuf>,
}

/// `[venues]`: whether what is built is still what the venues' programs expect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VenuesConfig {
    /// RPC node that simulates and tells accounts, `http://host:port`; `ingest.leaders_rpc` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc: Option<String>,
    /// Simulate each builder's bytes at start, and enter nothing on a venue before that.
    pub check_at_start: bool,
    /// Pause between two looks at programs and fee accounts, seconds.
    pub watch_interval_s: u32,
    /// Failures of our own with error 2006, 6000 or 6062 that disable a venue, in two coins at least.
    pub failures_max: u32,
    /// The time within which they count, seconds.
    pub failures_window_s: u32,
}

impl Default for VenuesConfig {
    fn default() -> Self {
        let FailureLimit { count, window } = FailureLimit::default();
        Self {
            rpc: None,
            check_at_start: true,
            watch_interval_s: 30,
            failures_max: u32::from(count),
            failures_window_s: (window.0 / 1_000_000_000) as u32,
        }
    }
}

/// One of `[[ingest.sources]]`. What a kind has no use for is absent, and refused when it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// Name in threads (`rx-<name>`), metrics and refusals.
    pub name: String,
    /// How its datagrams come into this process.
    #[serde(default)]
    pub kind: SourceKind,
    /// Address the socket binds; of `xdp`, `0.0.0.0` and the port that datagrams are sent to.
    pub bind: SocketAddr,
    /// Whether what arrives here may be passed on to others.
    #[serde(default)]
    pub redistributable: bool,
    /// Whether a transaction waits for its set's authentication.
    #[serde(default)]
    pub policy: Policy,
    /// CPU of the receiving thread in split layout (of `quic` in any); unpinned when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u16>,
    /// `SO_BUSY_POLL`, microseconds; the system's setting when absent. `udp` and `xdp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_poll_us: Option<u32>,
    /// The interface: a name or one of its addresses; of `xdp` a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// A multicast group to join on the interface. All but `quic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multicast_group: Option<IpAddr>,
    /// The only sender whose datagrams to the group are taken; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multicast_sender: Option<IpAddr>,
    /// Ask the interface's card for receive stamps. `udp` and `io_uring`; off when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware_stamps: Option<bool>,
    /// The interface's receive queue, from 0. `xdp`; 0 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// Where the program runs. `xdp`; `prefer` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<XdpMode>,
    /// Whether the driver writes into the frames itself. `xdp`; `prefer` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_copy: Option<ZeroCopy>,
    /// File of this end's key, or `generate`. `quic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<String>,
    /// Who may send, base58. `quic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peers: Option<Vec<String>>,
    /// Application protocols that are spoken. `quic`; Turbine's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpn: Option<Vec<String>>,
}

impl SourceConfig {
    /// A `udp` source with nothing but what every source has.
    #[must_use]
    pub fn new(name: &str, bind: SocketAddr) -> Self {
        Self {
            name: name.to_owned(),
            kind: SourceKind::Udp,
            bind,
            redistributable: false,
            policy: Policy::Verified,
            cpu: None,
            busy_poll_us: None,
            interface: None,
            multicast_group: None,
            multicast_sender: None,
            hardware_stamps: None,
            queue: None,
            mode: None,
            zero_copy: None,
            identity_file: None,
            peers: None,
            alpn: None,
        }
    }
}

/// How datagrams come into this process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A UDP socket read by `recvmmsg`.
    #[default]
    Udp,
    /// A UDP socket read by io_uring; by `recvmmsg` where this process may not use io_uring.
    IoUring,
    /// A queue of a card, past the kernel's stack.
    Xdp,
    /// QUIC datagrams of known peers.
    Quic,
}

impl SourceKind {
    /// The word used in configuration, metrics and pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::IoUring => "io_uring",
            Self::Xdp => "xdp",
            Self::Quic => "quic",
        }
    }
}

/// `mode` of an `xdp` source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver, or not at all.
    Native,
    /// Where the stack begins.
    Generic,
    /// In the driver where it can, otherwise where the stack begins.
    #[default]
    Prefer,
}

/// `zero_copy` of an `xdp` source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZeroCopy {
    /// The kernel copies each packet.
    Never,
    /// Where the driver can.
    #[default]
    Prefer,
    /// Or not at all.
    Require,
}

/// `[shredstream]`: asking a block engine to send shreds here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShredstreamConfig {
    /// Whether it is asked at all.
    pub enabled: bool,
    /// The block engine, `https://host[:port]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Where tokens come from, when that is another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_endpoint: Option<String>,
    /// One or two of its region names.
    pub regions: Vec<String>,
    /// Our public address, and the port that leads to the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<SocketAddr>,
    /// Name of the source that the shreds reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// File of the key that is registered for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<String>,
}

/// When a source's transactions are emitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// After the leader's signature over their set was checked.
    #[default]
    Verified,
    /// At once, marked unverified; confirmed or revoked later when leaders are known.
    Unverified,
    /// At once and believed: who sends there has checked it, and nobody else can send there. No leaders are needed.
    Trusted,
}

/// `[threads]`: how stages share cores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ThreadsConfig {
    /// `auto` is `split` on four CPUs or more and `fused` below.
    pub layout: Layout,
    /// CPU of the core thread (and of all stages when fused); unpinned when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_cpu: Option<u16>,
    /// CPU of the submit thread; unpinned when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submit_cpu: Option<u16>,
    /// Where leaders' signatures are checked; `auto` is `thread` on four CPUs or more and `core` below.
    pub verify: Verify,
    /// CPU of the thread that checks them; unpinned when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_cpu: Option<u16>,
    /// CPU of the thread that signs ahead; unpinned when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_cpu: Option<u16>,
    /// What a hot thread does when a duty cycle found nothing.
    pub idle: Idle,
    /// How long `idle = "park"` sleeps, microseconds.
    pub park_us: u32,
    /// Whether memory is locked before trading starts.
    pub lock_memory: LockMemory,
}

impl Default for ThreadsConfig {
    fn default() -> Self {
        Self {
            layout: Layout::Auto,
            core_cpu: None,
            submit_cpu: None,
            verify: Verify::Auto,
            verify_cpu: None,
            signing_cpu: None,
            idle: Idle::Yield,
            park_us: 50,
            lock_memory: LockMemory::Try,
        }
    }
}

/// `threads.layout`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// By the number of CPUs.
    #[default]
    Auto,
    /// Sources and core in one thread; submit has its own.
    Fused,
    /// One thread per stage.
    Split,
}

/// `threads.verify`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// By the number of CPUs.
    #[default]
    Auto,
    /// On the core thread, where each is needed: what arrives behind a set's first shred waits for it.
    Core,
    /// On a thread of their own.
    Thread,
}

/// `threads.idle`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// Poll again at once. For isolated cores.
    Spin,
    /// Give the CPU to whoever waits, then poll again.
    #[default]
    Yield,
    /// Sleep `park_us`. For laptops.
    Park,
}

/// `threads.lock_memory`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockMemory {
    /// Lock; warn and go on when the limit forbids it.
    #[default]
    Try,
    /// Lock; do not start when the limit forbids it.
    Require,
    /// Do not lock.
    Off,
}

/// `[strategy]`: the launch strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StrategyConfig {
    /// Whether launches are entered at all; exits and armed signals go on without it.
    pub enabled: bool,
    /// Creators to follow, base58; everyone when empty.
    pub creators_allow: Vec<String>,
    /// Creators never to follow, base58. Wins over `creators_allow`.
    pub creators_deny: Vec<String>,
    /// Least the launcher must have put into the coin first, lamports.
    pub dev_buy_min_lamports: u64,
    /// Most the launcher may have put in, lamports.
    pub dev_buy_max_lamports: u64,
    /// Slots after the launch within which the launcher's buy still counts as an occasion.
    pub entry_slots_max: u64,
    /// Most spent on one entry, fees of the curve included, tip excluded, lamports.
    pub budget_lamports: u64,
    /// How many fewer tokens are asked for than the budget would buy, basis points.
    pub entry_slippage_bps: u16,
    /// How far from what account data said last the price of an entry may be, basis points of the lower; 0 for any.
    pub entry_move_max_bps: u16,
    /// How far the proceeds may fall short when taking profit, basis points.
    pub exit_slippage_bps: u16,
    /// The same for stops and expiries, basis points.
    pub stop_slippage_bps: u16,
    /// Least share of its reference value that an exit asks for at first, basis points; 0 for none.
    pub exit_floor_bps: u16,
    /// Gain over cost that sells, basis points.
    pub take_profit_bps: u16,
    /// Loss under cost that sells, basis points.
    pub stop_loss_bps: u16,
    /// Longest time a position is held, milliseconds; 0 for no bound by time.
    pub expiry_ms: u32,
    /// Longest time a position is held, slots; 0 for no bound by slots.
    pub expiry_slots: u64,
    /// Tip of an entry, lamports.
    pub entry_tip_lamports: u64,
    /// Tip of an exit, lamports.
    pub exit_tip_lamports: u64,
}

impl Default for StrategyConfig {
    fn default() -> Self {
        let params = Params::default();
        Self {
            enabled: params.launches_enabled,
            creators_allow: Vec::new(),
            creators_deny: Vec::new(),
            dev_buy_min_lamports: params.dev_buy_min.0,
            dev_buy_max_lamports: params.dev_buy_max.0,
            entry_slots_max: params.entry_slots_max,
            budget_lamports: params.budget.0,
            entry_slippage_bps: params.entry_slippage.0,
            entry_move_max_bps: params.entry_move_max.0,
            exit_slippage_bps: params.exit_slippage.0,
            stop_slippage_bps: params.stop_slippage.0,
            exit_floor_bps: params.exit_floor.0,
            take_profit_bps: params.take_profit.0,
            stop_loss_bps: params.stop_loss.0,
            expiry_ms: (params.hold_max.0 / 1_000_000) as u32,
            expiry_slots: params.hold_slots_max,
            entry_tip_lamports: params.entry_tip.0,
            exit_tip_lamports: params.exit_tip.0,
        }
    }
}

/// `[risk]`: what no strategy and no signal can exceed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RiskConfig {
    /// Most that one entry may put at risk, spend and tip, lamports.
    pub trade_notional_max_lamports: u64,
    /// Most that all open and pending entries may put at risk, lamports.
    pub open_notional_max_lamports: u64,
    /// Positions open or being opened at once.
    pub open_positions_max: u16,
    /// Entries that may pass within `window_ms`.
    pub entries_per_window_max: u16,
    /// Exits that may pass within `window_ms`.
    pub exits_per_window_max: u16,
    /// Length of that rolling window, milliseconds.
    pub window_ms: u32,
    /// Largest tip of one transaction, lamports.
    pub tip_max_lamports: u64,
}

impl Default for RiskConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            trade_notional_max_lamports: limits.per_trade_max.0,
            open_notional_max_lamports: limits.open_notional_max.0,
            open_positions_max: limits.positions_max,
            entries_per_window_max: limits.entries_per_window_max,
            exits_per_window_max: limits.exits_per_window_max,
            window_ms: (limits.window.0 / 1_000_000) as u32,
            tip_max_lamports: limits.tip_max.0,
        }
    }
}

/// `[engine]`: sizes of the core's tables and what it acts on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Bonding curves followed at once.
    pub curves_max: u32,
    /// Pools followed at once.
    pub pools_max: u32,
    /// Own transactions remembered until they can no longer land.
    pub inflight_max: u32,
    /// Slots after its blockhash's own at which an own transaction is given up.
    pub inflight_slots_max: u64,
    /// Signals waiting at once.
    pub armed_max: u32,
    /// Slots after its evidence at which a signal is too old; 0 for no such bound.
    pub signal_slots_max: u64,
    /// Two independent signals within this time are needed, milliseconds; 0 when one is enough.
    pub collision_window_ms: u32,
    /// Pairs of signal sources of which one derives from the other.
    pub dependent_sources: Vec<[u16; 2]>,
    /// Whether transactions not authenticated yet may move curves and lead to intents.
    pub act_on_unverified: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        let engine = EngineRoom::default();
        Self {
            curves_max: engine.curve_capacity as u32,
            pools_max: engine.pool_capacity as u32,
            inflight_max: engine.inflight_capacity as u32,
            inflight_slots_max: engine.inflight_slots_max,
            armed_max: engine.armed_capacity as u32,
            signal_slots_max: engine.signal_slots_max,
            collision_window_ms: 0,
            dependent_sources: Vec::new(),
            act_on_unverified: engine.act_on_unverified,
        }
    }
}

/// `[bundle]`: the shape of what is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BundleConfig {
    /// Transaction version of the templates.
    pub template: Template,
    /// The lookup table that v0 transactions use, base58: one of those in `market.lookup_tables`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup_table: Option<String>,
    /// Which kind of lane transactions are made for: what pays for their place.
    pub lane_class: LaneClass,
    /// Compute units asked for one entry, on every venue; what was measured there when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_compute_unit_limit: Option<u32>,
    /// Compute units asked for one exit, on every venue; what was measured there when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_compute_unit_limit: Option<u32>,
    /// Priority fee of one transaction, lamports in total.
    pub priority_fee_lamports: u64,
    /// Most bytes of accounts one transaction may load, programs included.
    pub loaded_accounts_bytes_max: u32,
    /// Accounts a tip may go to, base58.
    pub tip_accounts: Vec<String>,
    /// Smallest tip that is sent, lamports.
    pub tip_min_lamports: u64,
    /// How much of the tip of a single private transaction is priority fee, basis points.
    pub priority_share_bps: u16,
    /// Whether transactions ask to be the first of their bundle.
    pub dont_front: bool,
    /// How venues that trade wrapped SOL get it.
    pub wrapped_sol: WrappedSol,
    /// Whether an exit closes our account for the coin, for its rent.
    pub close_coin_account: bool,
    /// Slots after its trigger in which a transaction may still execute; 0 for no such guard.
    pub slot_guard_slots: u64,
    /// Lamports the wallet is left with, or the transaction fails; 0 for no such guard.
    pub wallet_floor_lamports: u64,
    /// Pump's protocol fee recipients, base58.
    pub fee_recipients: Vec<String>,
    /// Pump's buyback fee recipients, base58.
    pub buyback_fee_recipients: Vec<String>,
    /// Coins whose derived addresses are remembered.
    pub coins_max: u32,
    /// Observed descendants a block needs before its blockhash is used.
    pub blockhash_descendants_min: u32,
    /// Ancestors after which a blockhash is too old to be used.
    pub blockhash_age_max_blocks: u32,
}

impl Default for BundleConfig {
    fn default() -> Self {
        let builder = BuilderConfig::default();
        let rule = bundle::BlockhashRule::default();
        let base58 = |keys: &[[u8; 32]]| {
            keys.iter()
                .map(|key| bs58::encode(key).into_string())
                .collect()
        };
        Self {
            template: Template::V0,
            lookup_table: None,
            lane_class: LaneClass::PrivateBundle,
            entry_compute_unit_limit: None,
            exit_compute_unit_limit: None,
            priority_fee_lamports: 0,
            loaded_accounts_bytes_max: builder.entry_budget.loaded_accounts_data_size_limit,
            tip_accounts: base58(&builder.tip_accounts),
            tip_min_lamports: builder.tip_min.0,
            priority_share_bps: builder.priority_share.0,
            dont_front: builder.dont_front,
            wrapped_sol: WrappedSol::PerTrade,
            close_coin_account: builder.close_coin_account,
            slot_guard_slots: builder.slot_guard_slots.unwrap_or(0),
            wallet_floor_lamports: builder.wallet_floor.map_or(0, |floor| floor.0),
            fee_recipients: base58(&builder.fee_recipients),
            buyback_fee_recipients: base58(&builder.buyback_fee_recipients),
            coins_max: builder.coin_capacity as u32,
            blockhash_descendants_min: rule.depth_min,
            blockhash_age_max_blocks: rule.age_max,
        }
    }
}

/// `[signing]`: what is done of a signature before its trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigningConfig {
    /// Whether transactions for coins known beforehand are signed ahead, whole.
    pub presign: bool,
    /// Intents that such transactions are held ready for at once.
    pub ladders_max: u32,
    /// Whether nonces are made ahead; needs a build that can.
    pub armed_nonces: bool,
    /// The operator's word that nobody takes, restores or clones memory snapshots of this host or of this process, nor
    /// migrates it live.
    pub snapshots_excluded: bool,
}

impl Default for SigningConfig {
    fn default() -> Self {
        Self {
            presign: true,
            ladders_max: engine::LadderPlan::default().held_max as u32,
            armed_nonces: false,
            snapshots_excluded: false,
        }
    }
}

/// `bundle.lane_class`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneClass {
    /// Bundles to an engine that counts tips.
    #[default]
    PrivateBundle,
    /// Single transactions to a private relay: part tip, part priority fee.
    PrivateTransaction,
    /// A leader's public port: the priority fee alone.
    Public,
    /// Bundles to an engine that counts priority fees.
    PriorityBundle,
}

impl LaneClass {
    /// The word used in configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PrivateBundle => "private_bundle",
            Self::PrivateTransaction => "private_transaction",
            Self::Public => "public",
            Self::PriorityBundle => "priority_bundle",
        }
    }
}

/// `bundle.wrapped_sol`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrappedSol {
    /// An account for it is opened, funded and closed inside each transaction.
    #[default]
    PerTrade,
    /// The account stands, and the operator keeps it funded.
    Standing,
}

/// `bundle.template`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// Version 0, up to 1,232 bytes.
    #[default]
    V0,
    /// Version 1 (SIMD-0385), up to 4,096 bytes.
    V1,
}

/// `[submit]`: where bundles go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SubmitConfig {
    /// The lane.
    pub lane: Lane,
    /// `http://host:port` of the block engine's gRPC service, for `lane = "block_engine"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Longest wait for the result of a bundle, milliseconds.
    pub result_timeout_ms: u32,
    /// Bundles in flight at once.
    pub in_flight_max: u32,
}

impl Default for SubmitConfig {
    fn default() -> Self {
        let room = submit::BlockEngineConfig::new("");
        Self {
            lane: Lane::Paper,
            endpoint: None,
            result_timeout_ms: room.result_timeout.as_millis() as u32,
            in_flight_max: room.in_flight_max as u32,
        }
    }
}

/// `submit.lane`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Bundles are recorded, never sent.
    #[default]
    Paper,
    /// Bundles go to a block engine over gRPC. In paper mode only to one on loopback.
    BlockEngine,
}

/// `[bridge]`: signals from the brain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BridgeConfig {
    /// Whether the bridge thread runs.
    pub enabled: bool,
    /// ZeroMQ endpoint, `ipc://` only; `signal.ipc` in the runtime directory when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// File that keeps the session epoch; `bridge.epoch` in the state directory when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch_file: Option<PathBuf>,
    /// Longest time to live a signal may ask for, microseconds.
    pub ttl_max_us: u32,
    /// Least confidence that is acted on, parts per million.
    pub confidence_min_ppm: u32,
    /// How many slots behind the chain a signal's evidence may be.
    pub slot_lag_max: u64,
    /// How many slots ahead of our view of the chain a signal's evidence may be.
    pub slot_lead_max: u64,
    /// Without a heartbeat for so long the brain is stale, milliseconds.
    pub heartbeat_timeout_ms: u32,
    /// Garbage frames within `garbage_window_ms` that put a connection into quarantine.
    pub garbage_max: u32,
    /// The window over which garbage and floods are judged, milliseconds.
    pub garbage_window_ms: u32,
    /// How long a quarantine lasts, milliseconds.
    pub quarantine_ms: u32,
    /// Who may send signals.
    pub producers: Vec<ProducerConfig>,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        let room = BridgeRoom::new("", "");
        Self {
            enabled: false,
            endpoint: None,
            epoch_file: None,
            ttl_max_us: room.ttl_max_us,
            confidence_min_ppm: room.confidence_min_ppm,
            slot_lag_max: room.slot_lag_max,
            slot_lead_max: room.slot_lead_max,
            heartbeat_timeout_ms: room.heartbeat_timeout_ms,
            garbage_max: room.garbage_max,
            garbage_window_ms: room.garbage_window_ms,
            quarantine_ms: room.quarantine_ms,
            producers: Vec::new(),
        }
    }
}

/// One of `[[bridge.producers]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProducerConfig {
    /// The number this producer carries in its frames; not 0.
    pub id: u16,
    /// File of its MAC key, mode 0600, or `credential:NAME` for a systemd credential.
    pub key_file: String,
    /// The key before the last change, valid besides the new one while it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_file_previous: Option<String>,
    /// Families it may speak for, by name.
    pub families: Vec<String>,
    /// Cap on any one signal, lamports.
    pub max_notional_lamports: u64,
    /// Signals per second on average.
    #[serde(default = "rate_per_second")]
    pub rate_per_second: u32,
    /// Signals at once.
    #[serde(default = "rate_burst")]
    pub rate_burst: u32,
}

fn rate_per_second() -> u32 {
    brain_bridge::ProducerConfig::new(1, "", &[], 0).rate_per_second
}

fn rate_burst() -> u32 {
    brain_bridge::ProducerConfig::new(1, "", &[], 0).rate_burst
}

/// `[relay]`: what `overmind relay` passes shreds on to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelayConfig {
    /// The allow list of UDP destinations.
    pub destinations: Vec<SocketAddr>,
    /// Other nodes, over QUIC.
    pub nodes: Vec<NodeConfig>,
    /// File of the key that other nodes know this one by, or `generate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<String>,
    /// Whether a shred must be authentic to be passed on.
    pub verify: bool,
    /// Versions of FEC sets that are remembered.
    pub fec_versions_max: u32,
    /// Kernel send buffer asked for each UDP destination, bytes.
    pub send_buffer_bytes: u32,
    /// Whether the kernel is let cut runs of shreds of one length apart.
    pub segmentation: bool,
    /// CPU of the thread that sends to other nodes; unpinned when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes_cpu: Option<u16>,
    /// The service of entries.
    pub entries: RelayEntriesConfig,
}

impl Default for RelayConfig {
    fn default() -> Self {
        let room = RelayRoom::default();
        Self {
            destinations: room.destinations,
            nodes: Vec::new(),
            identity_file: None,
            verify: room.sieve.authenticate,
            fec_versions_max: room.sieve.versions_max as u32,
            send_buffer_bytes: room.send_buffer_len as u32,
            segmentation: room.segmentation,
            nodes_cpu: None,
            entries: RelayEntriesConfig::default(),
        }
    }
}

/// One of `[[relay.nodes]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// Address of its QUIC source.
    pub address: SocketAddr,
    /// The identity of that source, base58: nobody else is sent anything.
    pub identity: String,
}

/// `[relay.entries]`: the gRPC service `shredstream.ShredstreamProxy/SubscribeEntries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelayEntriesConfig {
    /// Where it listens; it is not served when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,
    /// Addresses that may connect besides this host's loopback.
    pub allow: Vec<IpAddr>,
    /// File of the token that clients must bring; none is asked for when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<String>,
    /// How a client that reads too slowly is told.
    pub lagging: Lagging,
    /// Subscriptions at once.
    pub clients_max: u32,
    /// Connections at once.
    pub connections_max: u32,
    /// What is done with v1 transactions.
    pub v1_batches: V1Batches,
}

impl Default for RelayEntriesConfig {
    fn default() -> Self {
        let anywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let room = shred_relay::EntryServerConfig::new("", anywhere);
        Self {
            bind: None,
            allow: room.allow,
            token_file: None,
            lagging: Lagging::default(),
            clients_max: room.clients_max as u32,
            connections_max: room.connections_max as u32,
            v1_batches: V1Batches::default(),
        }
    }
}

/// `relay.entries.lagging`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lagging {
    /// Its stream ends with the number it missed.
    #[default]
    End,
    /// A message without entries says the number, and the stream goes on.
    Mark,
}

/// `relay.entries.v1_batches`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum V1Batches {
    /// Sent as the leader wrote them.
    #[default]
    Whole,
    /// Left out of their batches.
    WithoutV1,
}

/// `[admin]`: the operator's way in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminConfig {
    /// Unix socket, mode 0600; `admin.sock` in the runtime directory when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// While this file exists nothing is sent; `kill` in the runtime directory when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_file: Option<PathBuf>,
}

/// `[http]`: the health and metrics page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Whether the page is served.
    pub enabled: bool,
    /// Address it binds.
    pub bind: SocketAddr,
    /// Whether an address that is not loopback is accepted. There is no password on this page.
    pub allow_remote: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            allow_remote: false,
        }
    }
}

/// `[capture]`: recording datagrams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CaptureConfig {
    /// Datagrams that may wait for the writing thread; more are dropped and counted.
    pub ring_datagrams: u32,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self {
            ring_datagrams: CapturePlan::default().frame_count as u32,
        }
    }
}
