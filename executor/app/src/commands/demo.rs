//! `overmind demo`: the whole machine on loopback, without keys or network.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use brain_bridge::{Bridge, BridgeConfig, BridgeHandle, BridgeShared, ProducerConfig, SharedKey};
use brain_wire::Family;
use bundle::{Builder, BuilderConfig, Fault, Signer, ThrowAway};
use demo::block_engine::{BlockEngine, BlockEngineConfig, CounterSnapshot};
use demo::{DemoConfig, DemoStats, PreparedMarket};
use engine::EngineConfig;
use market::{Bps, Lamports};
use risk::{Control, Limits, Mode};
use serde_json::{Value, json};
use shred_resolve::{Plan as ResolvePlan, Policy};
use shred_source::capture::CapturePlan;
use shred_source::{ArenaPlan, Capture, DatagramSource, SourceId, UdpConfig, UdpSource};
use shred_wire::{Nanos, Slot};
use strategy::Params;
use submit::{BlockEngineConfig as LaneConfig, BlockEngineLane, Lane, LaneId, SubmitCounters};

use crate::cli::{DemoArgs, HttpArg, Plant, ThreadsArg, exit};
use crate::clock::realtime;
use crate::commands::{Failure, observe};
use crate::core_stage::{CoreOutcome, Time};
use crate::leaders::{LeaderSchedule, LeaderSource};
use crate::pipeline::{Layout, Pipeline, PipelinePlan, Prepared};
use crate::published::Published;
use crate::rungs::quantiles;

/// What the wallet starts with. Enough for every entry at once.
const WALLET_LAMPORTS: u64 = 50_000_000_000;
/// Time at the end in which bundles on their way may still land.
const DRAIN: Duration = Duration::from_millis(600);
/// Number of the producer that the demo's key belongs to.
pub const PRODUCER: u16 = 1;

/// The throw-away wallet's seed. Whoever knows the demo's seed has the key: it is worth nothing.
#[must_use]
pub fn wallet_seed(seed: u64) -> [u8; 32] {
    let mut bytes = *b"overmind demo wallet ...........";
    bytes[24..].copy_from_slice(&seed.to_le_bytes());
    bytes
}

/// The strategy of demo and replay: as the default, with takes and stops near enough to happen in half a minute.
#[must_use]
pub fn engine_config(policy: Policy) -> EngineConfig {
    let params = Params {
        dev_buy_min: Lamports(10_000_000),
        dev_buy_max: Lamports(20_000_000_000),
        // Every other turn takes no bundles, and the price moves while one waits.
        exit_slippage: Bps(1_000),
        take_profit: Bps(2_500),
        stop_loss: Bps(1_500),
        hold_max: Nanos(4_000_000_000),
        ..Params::default()
    };
    let limits = Limits {
        // An entry that a block engine let expire stays reserved until its blockhash is dead, 45 s.
        open_notional_max: Lamports(4_000_000_000),
        positions_max: 48,
        entries_per_window_max: 120,
        exits_per_window_max: 240,
        ..Limits::default()
    };
    let act_on_unverified = policy == Policy::EmitThenVerify;
    EngineConfig {
        params,
        limits,
        act_on_unverified,
        ..EngineConfig::default()
    }
}

/// A resolver for some dozen slots in flight: what a laptop can spare.
#[must_use]
pub fn resolve_plan(shred_version: Option<u16>) -> ResolvePlan {
    ResolvePlan {
        shred_version,
        sets_max: 512,
        versions_max: 8_192,
        ..ResolvePlan::default()
    }
}

/// Runs the demo and prints what happened; the exit code.
///
/// # Errors
/// [`Failure`] when something cannot be opened, bound or started.
pub fn run(args: &DemoArgs) -> Result<u8, Failure> {
    let report = play(args, |room| {
        if !args.json {
            room.announce();
        }
    })?;
    let verdict = report.verdict();
    if args.json {
        outln!("{}", report.json());
    } else {
        report.print();
    }
    if let Err(reason) = &verdict {
        errln!("\nThe demo missed its goal: {reason}");
    }
    Ok(if verdict.is_ok() {
        exit::OK
    } else {
        exit::FAILED
    })
}

/// Runs the demo; what happened. `begun` is called once, when market and bridge run.
///
/// # Errors
/// As [`run`].
pub fn play(args: &DemoArgs, begun: impl FnOnce(&Room)) -> Result<Report, Failure> {
    let started = Instant::now();
    let room = Room::open()?;
    let config = DemoConfig {
        seed: args.seed,
        seconds: 0,
        slot_ms: u64::from(args.slot_ms),
        ..DemoConfig::default()
    };
    let mut config = config;
    config.wire.loss_bps = args.loss_bps;

    // The leaders depend on the seed alone, and the core wants them before the market has an address to send to.
    let span = u64::from(args.seconds) * 1_000 / u64::from(args.slot_ms.max(1)) + 1_000;
    let slots = config.first_slot..config.first_slot + span;
    let leaders = PreparedMarket::new(config.clone())?
        .schedule()
        .identities(slots);
    let schedule = schedule(&leaders)?;
    let control = Arc::new(Control::new(Mode::Active));
    let builder = builder(args.seed, args.plant)?;
    let wallet = *builder.public_key();
    let split = match args.threads {
        Some(layout) => layout == ThreadsArg::Split,
        None => std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 2),
    };
    let mut prepared = Prepared::new(PipelinePlan {
        resolve: resolve_plan(Some(config.shred_version)),
        arena: ArenaPlan::default(),
        rings: 1,
        policies: vec![Policy::VerifyThenEmit],
        leaders: LeaderSource::Schedule(schedule),
        engine: engine_config(Policy::VerifyThenEmit),
        builder,
        control: Arc::clone(&control),
        time: Time::Wall,
        layout: Layout::modest(split),
    })?;

    let (capture, taps) = capture(args.pcap.as_deref())?;
    let frames = prepared.take_frames().expect("one source was planned");
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (source, facts) = UdpSource::open(&UdpConfig::new(anywhere), SourceId(0), frames, taps)?;
    let tally = Arc::clone(source.counters());
    config.destinations = vec![facts.local];
    let market = PreparedMarket::new(config.clone())?;
    let exchange = market.exchange();
    exchange.airdrop(&wallet, WALLET_LAMPORTS);
    let block_engine = BlockEngine::start(
        exchange.clone(),
        BlockEngineConfig {
            seed: args.seed,
            ..BlockEngineConfig::default()
        },
    )?;
    let lane = BlockEngineLane::start(
        LaneId(0),
        LaneConfig::new(block_engine.endpoint()),
        Arc::new(realtime),
        || {},
    )?;
    let (bridge, shared) = room.bridge(prepared.take_signals().expect("taken once"))?;
    let published = prepared.published();
    let _admin = observe::admin(&room.admin_plan(), &control, &published, "demo", started)?;
    let _page = match args.http {
        HttpArg::At(address) => Some(observe::page(
            address, &control, &published, "demo", started,
        )?),
        HttpArg::Off => None,
    };
    let sources: Vec<Box<dyn DatagramSource + Send>> = vec![Box::new(source)];
    let lanes: Vec<Box<dyn Lane>> = vec![Box::new(lane)];
    let pipeline = prepared.start(sources, lanes, || {})?;
    let market = market.start(None)?;
    begun(&room);

    watch(args, &pipeline, &shared, &block_engine);
    market.stop();
    std::thread::sleep(DRAIN);
    let market_stats = market.join();
    let (outcome, submitted) = pipeline.stop()?;
    let engine_counters = block_engine.counters();
    drop(bridge);
    if let Some(capture) = capture {
        let report = capture.stop()?;
        if let Some(path) = &args.pcap {
            write_leaders(path, &leaders)?;
            if report.datagram_dropped > 0 {
                errln!(
                    "{}: {} datagrams are missing, the disk was slow",
                    path.display(),
                    report.datagram_dropped
                );
            }
        }
    }
    Ok(Report {
        args: args.clone(),
        market: market_stats,
        outcome,
        submitted,
        block_engine: engine_counters,
        kernel_dropped: tally.tally().kernel_dropped,
        signals: shared.stats.signal_accepted.load(Relaxed),
        signals_refused: shared
            .stats
            .refusals()
            .map(|(reason, count)| (reason.name(), count))
            .collect(),
    })
}

fn schedule(leaders: &BTreeMap<u64, [u8; 32]>) -> Result<LeaderSchedule, Failure> {
    let slots: Vec<_> = leaders
        .iter()
        .map(|(slot, identity)| (Slot(*slot), *identity))
        .collect();
    LeaderSchedule::from_slots(&slots).map_err(Failure::Input)
}

fn builder(seed: u64, plant: Option<Plant>) -> Result<Builder, Failure> {
    let signer = Signer::<ThrowAway>::from_seed(&wallet_seed(seed))
        .map_err(|error| Failure::Input(error.to_string()))?;
    let config = BuilderConfig::default();
    let built = match plant {
        None => Builder::new(&config, signer),
        Some(Plant::WrongTip) => {
            Builder::with_planted_fault(&config, signer, Fault::WrongTipAccount)
        }
        Some(Plant::StaleBlockhash) => {
            Builder::with_planted_fault(&config, signer, Fault::StaleBlockhash)
        }
        Some(Plant::BrokenSignature) => {
            Builder::with_planted_fault(&config, signer, Fault::BrokenSignature)
        }
    };
    built.map_err(|error| Failure::Input(error.to_string()))
}

/// The builder that replay shares with the demo: same seed, same bytes.
///
/// # Errors
/// [`Failure`] when no key can be made.
pub fn throw_away_builder(seed: u64) -> Result<Builder, Failure> {
    builder(seed, None)
}

type MaybeCapture = (Option<Capture>, Option<shred_source::CaptureTap>);

fn capture(path: Option<&Path>) -> Result<MaybeCapture, Failure> {
    let Some(path) = path else {
        return Ok((None, None));
    };
    let (capture, mut taps) = Capture::create(path, &CapturePlan::default(), 1)?;
    Ok((Some(capture), taps.pop()))
}

/// Writes the leaders beside the capture, where `decode` and `replay` want them.
fn write_leaders(capture: &Path, leaders: &BTreeMap<u64, [u8; 32]>) -> Result<(), Failure> {
    let named: BTreeMap<String, String> = leaders
        .iter()
        .map(|(slot, identity)| (slot.to_string(), bs58::encode(identity).into_string()))
        .collect();
    let path = capture.with_extension("leaders.json");
    std::fs::write(
        &path,
        serde_json::to_string_pretty(&named).unwrap_or_default(),
    )?;
    errln!("captured to {} with {}", capture.display(), path.display());
    Ok(())
}

/// Waits for the end, showing progress once a second on a terminal.
fn watch(args: &DemoArgs, pipeline: &Pipeline, shared: &BridgeShared, block_engine: &BlockEngine) {
    let (start, length) = (Instant::now(), Duration::from_secs(u64::from(args.seconds)));
    let live = std::io::stderr().is_terminal() && !args.json;
    let mut shown = Instant::now();
    while start.elapsed() < length && !crate::commands::interrupted() {
        std::thread::sleep(Duration::from_millis(50));
        shared
            .current_slot
            .store(pipeline.published().slot.load(Relaxed), Relaxed);
        if live && shown.elapsed() >= Duration::from_secs(1) {
            shown = Instant::now();
            progress(
                start.elapsed(),
                length,
                pipeline.published(),
                &block_engine.counters(),
            );
        }
    }
    if live {
        errln!();
    }
}

fn progress(elapsed: Duration, length: Duration, published: &Published, engine: &CounterSnapshot) {
    err!(
        "\r{:>3}/{} s  slot {}  shreds {}  transactions {}  recovered {}  bundles {}  landed {}  outbid {}   ",
        elapsed.as_secs(),
        length.as_secs(),
        published.slot.load(Relaxed),
        published.get("shred_accepted"),
        published.get("transaction"),
        published.get("shred_recovered"),
        published.get("bundle_handed"),
        engine.landed,
        engine.outbid,
    );
    let _ = std::io::stderr().flush();
}

/// Where the demo's sockets and key live while it runs; removed at the end.
pub struct Room {
    folder: PathBuf,
}

impl Room {
    fn open() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let base =
            std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        static OPENED: AtomicU32 = AtomicU32::new(0);
        let number = OPENED.fetch_add(1, Relaxed);
        let folder = base.join(format!("overmind-demo-{}-{number}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { folder })
    }

    /// Where the bridge listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("ipc://{}", self.folder.join("signal.ipc").display())
    }

    /// File with the key that [`PRODUCER`] shares with the bridge.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.join("brain.key")
    }

    fn admin_plan(&self) -> crate::config::AdminPlan {
        crate::config::AdminPlan {
            socket: self.folder.join("admin.sock"),
            kill_file: self.folder.join("kill"),
        }
    }

    fn bridge(
        &self,
        signals: rtrb::Producer<brain_wire::ArmedSignal>,
    ) -> Result<(BridgeHandle, Arc<BridgeShared>), Failure> {
        SharedKey::generate(&self.key()).map_err(|error| Failure::Input(error.to_string()))?;
        let families: Vec<Family> = Family::all().collect();
        let mut config = BridgeConfig::new(self.endpoint(), self.folder.join("epoch"));
        config.producers.push(ProducerConfig::new(
            PRODUCER,
            self.key(),
            &families,
            100_000_000,
        ));
        let shared = Arc::new(BridgeShared::default());
        let handle = Bridge::spawn(config, signals, Arc::clone(&shared))?;
        Ok((handle, shared))
    }

    /// Tells how to talk to the demo from a second terminal.
    fn announce(&self) {
        errln!(
            "The market runs. From a second terminal:\n  \
             cargo run --release -p brain-bridge --bin signal-inject -- --endpoint {} --key {} --producer {PRODUCER} \
             --next-launch --side buy --family launch --notional-sol 0.05 --ttl-ms 5000\n  \
             overmind status --socket {socket}\n  overmind kill --socket {socket}\n",
            self.endpoint(),
            self.key().display(),
            socket = self.admin_plan().socket.display(),
        );
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What happened, for a person or a program.
pub struct Report {
    /// What was asked for.
    pub args: DemoArgs,
    /// What the market did.
    pub market: DemoStats,
    /// What the core leaves behind.
    pub outcome: CoreOutcome,
    /// What the submit thread did.
    pub submitted: SubmitCounters,
    /// What the block engine did.
    pub block_engine: CounterSnapshot,
    /// Datagrams that the kernel had no room for.
    pub kernel_dropped: u64,
    /// Signals that the bridge took.
    pub signals: u64,
    /// Signals that it refused, by reason.
    pub signals_refused: Vec<(&'static str, u64)>,
}

impl Report {
    /// Own bundles seen back in our own stream.
    #[must_use]
    pub fn seen_back(&self) -> u64 {
        let decided = &self.outcome.decided;
        decided.entry_included + decided.exit_included
    }

    /// Whether the run shows what it is meant to show.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn verdict(&self) -> Result<(), String> {
        let (landed, handed) = (self.block_engine.landed, self.outcome.decided.bundle_handed);
        if self.args.plant.is_some() {
            return match (handed, landed) {
                (0, _) => Err("no bundle was sent, so the planted fault met nobody".to_owned()),
                (_, 0) => Ok(()),
                (_, landed) => Err(format!("{landed} bundles with a planted fault landed")),
            };
        }
        if self.args.seconds >= 10 && (landed == 0 || self.seen_back() == 0) {
            return Err(format!(
                "{handed} bundles were sent, {landed} landed, {} were seen back",
                self.seen_back()
            ));
        }
        Ok(())
    }

    /// All of it, as one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let (resolved, decided) = (&self.outcome.resolved, &self.outcome.decided);
        let rungs: serde_json::Map<String, Value> = self
            .outcome
            .rungs
            .all()
            .into_iter()
            .map(|(name, _, histogram)| {
                let [p50, p99, p99_9, max] = quantiles(histogram);
                let row = json!({"unit": "ns", "n": histogram.len(), "p50": p50, "p99": p99, "p99_9": p99_9, "max": max});
                (name.to_owned(), row)
            })
            .collect();
        let refused: BTreeMap<_, _> = self
            .outcome
            .refused
            .iter()
            .filter(|(_, count)| *count > 0)
            .copied()
            .collect();
        let rejected: BTreeMap<_, _> = rejected(resolved).into_iter().collect();
        let engine = &self.block_engine;
        json!({
            "goal_met": self.verdict().is_ok(),
            "seed": self.args.seed,
            "seconds": self.args.seconds,
            "rungs": rungs,
            "resolved": resolved.named().into_iter().collect::<BTreeMap<_, _>>(),
            "datagrams_refused": rejected,
            "decided": crate::published::decided(decided).into_iter().collect::<BTreeMap<_, _>>(),
            "intents_refused": refused,
            "block_engine": {
                "received": engine.received, "refused": engine.refused_total(), "outbid": engine.outbid,
                "simulation_failed": engine.simulation_failed, "landed": engine.landed,
                "lost": engine.lost + engine.failed_at_leader, "expired": engine.expired + engine.expired_silently,
            },
            "seen_back": self.seen_back(),
            "expired": decided.own_expired,
            "exits_lapsed": decided.exit_lapsed,
            "handed_for": reasons(&decided.bundle_handed_for).into_iter().collect::<BTreeMap<_, _>>(),
            "seen_back_for": reasons(&decided.included_for).into_iter().collect::<BTreeMap<_, _>>(),
            "signals_accepted": self.signals,
            "model": {"paid_lamports": self.outcome.trades.paid, "received_lamports": self.outcome.trades.received,
                      "positions_open": self.outcome.positions},
            "market": {"slots": self.market.slots, "shreds": self.market.shreds,
                       "datagrams_sent": self.market.datagrams_sent, "datagrams_lost": self.market.datagrams_lost,
                       "transactions": self.market.transactions, "launches": self.market.launches},
            "kernel_dropped": self.kernel_dropped,
            "submit": {"taken": self.submitted.bundle_taken, "sent": self.submitted.bundle_sent},
            "state_hash": format!("{:016x}", self.outcome.state_hash),
        })
    }

    fn print(&self) {
        let (resolved, decided, engine) = (
            &self.outcome.resolved,
            &self.outcome.decided,
            &self.block_engine,
        );
        outln!("\nLatency, nanoseconds              n        p50        p99      p99.9        max");
        for (name, meaning, histogram) in self.outcome.rungs.all() {
            let [p50, p99, p99_9, max] = quantiles(histogram);
            outln!(
                "{name}  {:>31} {p50:>10} {p99:>10} {p99_9:>10} {max:>10}  {meaning}",
                histogram.len()
            );
        }
        outln!(
            "\nSeen       {} datagrams ({} sent, {} lost on the way on purpose, {} dropped by the kernel)",
            resolved.datagram,
            self.market.datagrams_sent,
            self.market.datagrams_lost,
            self.kernel_dropped
        );
        outln!(
            "           {} shreds used, {} transactions, {} blocks of {} slots",
            resolved.shred_accepted,
            resolved.transaction,
            resolved.block_completed,
            self.market.slots
        );
        outln!(
            "Recovered  {} shreds in {} FEC sets",
            resolved.shred_recovered,
            resolved.set_recovered
        );
        outln!("Not used   {}", listed(rejected(resolved)));
        outln!(
            "Decided    {} launches and {} trades decoded, {} intents",
            decided.launch_decoded,
            decided.trade_decoded,
            decided.intent_made
        );
        outln!(
            "Refused    {}",
            listed(self.outcome.refused.iter().copied().chain([
                ("no_blockhash_yet", decided.blockhash_missing),
                ("inflight_full", decided.inflight_full),
                ("not_buildable", decided.build_rejected.iter().sum()),
                ("ring_full", decided.bundle_refused),
            ]))
        );
        outln!(
            "Bundles    {} signed and handed over, {} taken by the block engine, {} refused by it",
            decided.bundle_handed,
            engine.received - engine.refused_total(),
            engine.refused_total()
        );
        outln!(
            "Landed     {} in blocks; {} seen back in our own stream ({} entries, {} exits)",
            engine.landed,
            self.seen_back(),
            decided.entry_included,
            decided.exit_included
        );
        outln!(
            "Reasons    {} handed over; {} seen back",
            listed(reasons(&decided.bundle_handed_for)),
            listed(reasons(&decided.included_for))
        );
        outln!(
            "Lost       {} outbid in the auction, {} failed in simulation, {} lost on the way to the leader",
            engine.outbid,
            engine.simulation_failed,
            engine.lost + engine.failed_at_leader
        );
        outln!(
            "Expired    {} waiting for a leader that takes bundles ({} of them without a word); {} exits not seen \
                  in time",
            engine.expired + engine.expired_silently,
            engine.expired_silently,
            decided.exit_lapsed
        );
        outln!(
            "Signals    {} accepted, {} armed, {} fired; refused: {}",
            self.signals,
            decided.signal_armed,
            decided.signal_fired,
            listed(self.signals_refused.iter().copied())
        );
        let trades = &self.outcome.trades;
        outln!(
            "Model      paid {} SOL, received {} SOL, {} positions open. The model's figures: they show that the \
                  plumbing works,\n           not that anybody would profit.",
            sol(trades.paid),
            sol(trades.received),
            self.outcome.positions
        );
        let plant = self
            .args
            .plant
            .map(|plant| format!(" --plant {}", plant_name(plant)))
            .unwrap_or_default();
        if self.args.plant.is_some() && engine.landed == 0 {
            outln!("Planted    every bundle carried the fault, and none landed");
        }
        outln!(
            "\nSeed {}: overmind demo --seconds {} --seed {} --slot-ms {} --loss-bps {}{plant}",
            self.args.seed,
            self.args.seconds,
            self.args.seed,
            self.args.slot_ms,
            self.args.loss_bps
        );
    }
}

/// Counts by what led to the intent.
fn reasons(counts: &[u64; strategy::Origin::COUNT]) -> Vec<(&'static str, u64)> {
    strategy::Origin::names().into_iter().zip(*counts).collect()
}

fn plant_name(plant: Plant) -> &'static str {
    match plant {
        Plant::WrongTip => "wrong-tip",
        Plant::StaleBlockhash => "stale-blockhash",
        Plant::BrokenSignature => "broken-signature",
    }
}

fn rejected(resolved: &shred_resolve::Counters) -> Vec<(&'static str, u64)> {
    let counts = resolved.rejected.iter().enumerate();
    counts
        .map(|(index, count)| (shred_resolve::Reject::name_at(index), *count))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn listed(counts: impl IntoIterator<Item = (&'static str, u64)>) -> String {
    let items: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join(", ")
    }
}

/// Lamports as SOL, without a float.
fn sol(lamports: u64) -> String {
    format!(
        "{}.{:04}",
        lamports / 1_000_000_000,
        lamports % 1_000_000_000 / 100_000
    )
}
