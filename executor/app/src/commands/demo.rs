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
use engine::{EngineConfig, LadderPlan};
use market::{Bps, Lamports, LookupTables};
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
use crate::commands::Failure;
use crate::commands::embedded::{EmbeddedFeed, epoch_of};
use crate::commands::observe::{Threads, View};
use crate::core_stage::CoreOutcome;
use crate::leaders::{LeaderSchedule, LeaderSource};
use crate::leftovers::{LEFTOVERS, Leftover};
use crate::output::counted;
use crate::pipeline::{Layout, Pipeline, PipelinePlan, Prepared};
use crate::published::{Published, Truth, VENUES};
use crate::receive::Received;
use crate::rungs::quantiles;
use crate::signing_stage::SigningAhead;
use crate::sources::{Interface, SourceFacts};
use crate::venues::VenueBook;
use crate::wiring::Time;

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
        accounts_lag_ms: u64::from(args.slot_ms),
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
        tables: LookupTables::none(),
        builder,
        // A rung signed ahead carries no planted fault.
        ahead: match args.plant {
            None => SigningAhead::presigning(LadderPlan::default()),
            Some(_) => SigningAhead::nothing(),
        },
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
    let mut market = PreparedMarket::new(config.clone())?;
    let feed = EmbeddedFeed(market.tell_accounts());
    let accounts = prepared.feed_accounts(Box::new(feed), epoch_of(config.first_slot));
    let accounts = accounts.expect("one feed");
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
    let view = View {
        control: Arc::clone(&control),
        published: Arc::clone(&published),
        sources: Arc::new([SourceFacts {
            kind: "udp",
            received: Received::Polled(Arc::clone(&tally)),
            name: "demo".to_owned(),
            address: facts.local,
            redistributable: false,
            interface: Interface::default(),
        }]),
        bridge: Some(Arc::clone(&shared)),
        accounts: Some(Arc::clone(&accounts)),
        shredstream: None,
        // It has no programs that could be asked about: nothing is known, and nothing is held up.
        venues: Some(Arc::new(VenueBook::unchecked(Arc::clone(&control)))),
        threads: Some(Threads::of(split, Some(false))),
        mode: "demo",
        started,
    };
    let _admin = view.admin(&room.admin_plan())?;
    let _page = match args.http {
        HttpArg::At(address) => Some(view.page(address)?),
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
                    "{}: {} missing, the disk was slow",
                    path.display(),
                    counted(report.datagram_dropped, "datagram is", "datagrams are")
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
        accounts: accounts.named(),
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
    let (capture, mut taps) = Capture::create(path, &CapturePlan::default(), 1)
        .map_err(|error| Failure::Input(format!("--pcap {}: {error}", path.display())))?;
    Ok((Some(capture), taps.pop()))
}

/// Writes the leaders beside the capture, where `decode` and `replay` want them.
fn write_leaders(capture: &Path, leaders: &BTreeMap<u64, [u8; 32]>) -> Result<(), Failure> {
    let named: BTreeMap<String, String> = leaders
        .iter()
        .map(|(slot, identity)| (slot.to_string(), bs58::encode(identity).into_string()))
        .collect();
    let path = capture.with_extension("leaders.json");
    let text = serde_json::to_string_pretty(&named).unwrap_or_default();
    std::fs::write(&path, text)
        .map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?;
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
    /// A second SIGINT removes what is in it too.
    _leftovers: Vec<Leftover>,
}

/// What is in the room, and last the room itself.
const IN_THE_ROOM: [&str; 9] = [
    "admin.sock",
    "admin.lock",
    "kill",
    "signal.ipc",
    "signal.ipc.lock",
    "brain.key",
    "epoch",
    "epoch.lock",
    "",
];

impl Room {
    fn open() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let base =
            std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        static OPENED: AtomicU32 = AtomicU32::new(0);
        let number = OPENED.fetch_add(1, Relaxed);
        let folder = base.join(format!("overmind-demo-{}-{number}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| {
                let advice = "set XDG_RUNTIME_DIR or TMPDIR to a directory that can be written";
                Failure::Input(format!("{}: {error}; {advice}", folder.display()))
            })?;
        let leftovers = IN_THE_ROOM
            .iter()
            .filter_map(|name| LEFTOVERS.remember(&folder.join(name)));
        Ok(Self {
            _leftovers: leftovers.collect(),
            folder,
        })
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
    /// What the accounts thread counted.
    pub accounts: Vec<(&'static str, u64)>,
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
                (_, landed) => Err(format!(
                    "{} with a planted fault landed",
                    counted(landed, "bundle", "bundles")
                )),
            };
        }
        if self.args.seconds >= 10 && (landed == 0 || self.seen_back() == 0) {
            return Err(format!(
                "{} sent, {landed} landed, {} seen back",
                counted(handed, "bundle was", "bundles were"),
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
            "account_data": self.account_data(),
            "block_engine": {
                "received": engine.received, "refused": engine.refused_total(), "outbid": engine.outbid,
                "simulation_failed": engine.simulation_failed, "landed": engine.landed,
                "lost": engine.lost + engine.failed_at_leader, "expired": engine.expired + engine.expired_silently,
            },
            "signed": self.outcome.signatures.into_iter().collect::<BTreeMap<_, _>>(),
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

    /// What account data said, by venue, and how it came.
    fn account_data(&self) -> Value {
        let market = &self.outcome.market;
        let venues = VENUES.map(|venue| {
            let Truth {
                agreed,
                diverged,
                behind,
                stale,
            } = market.truth(venue);
            let said = json!({"truth_agreed": agreed, "truth_diverged": diverged, "truth_behind": behind,
                              "truth_stale": stale});
            (venue.name(), said)
        });
        json!({
            "venues": venues.into_iter().collect::<BTreeMap<_, _>>(),
            "feed": self.accounts.iter().copied().collect::<BTreeMap<_, _>>(),
            "market": market.events().into_iter().collect::<BTreeMap<_, _>>(),
            "curves_kept": market.curves_kept,
            "pools_kept": market.pools_kept,
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
            "\nSent       {}",
            sent_row(&self.market, resolved.datagram, self.kernel_dropped)
        );
        outln!(
            "Seen       {} used, {}, {} of {}",
            counted(resolved.shred_accepted, "shred", "shreds"),
            counted(resolved.transaction, "transaction", "transactions"),
            counted(resolved.block_completed, "whole block", "whole blocks"),
            counted(self.market.slots, "slot", "slots")
        );
        outln!(
            "Recovered  {} in {}",
            counted(resolved.shred_recovered, "lost shred", "lost shreds"),
            counted(resolved.set_recovered, "FEC set", "FEC sets")
        );
        outln!("Not used   {}", listed(rejected(resolved)));
        outln!(
            "Decided    {} and {} decoded, {} made",
            counted(decided.launch_decoded, "launch", "launches"),
            counted(decided.trade_decoded, "trade", "trades"),
            counted(decided.intent_made, "intent", "intents")
        );
        outln!(
            "Accounts   {}",
            accounts_row(self.outcome.market.truths(), &self.accounts)
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
            "Bundles    {}",
            bundles_row(decided.bundle_handed, self.submitted.bundle_sent, engine)
        );
        outln!("Signed     {}", listed(self.outcome.signatures));
        outln!(
            "Landed     {} in blocks; {} seen back in our own stream ({}, {})",
            engine.landed,
            self.seen_back(),
            counted(decided.entry_included, "entry", "entries"),
            counted(decided.exit_included, "exit", "exits")
        );
        outln!(
            "Reasons    {} handed over; {} seen back",
            listed(reasons(&decided.bundle_handed_for)),
            listed(reasons(&decided.included_for))
        );
        outln!("Lost       {}", lost_row(engine));
        outln!("Expired    {}", expired_row(engine, decided.exit_lapsed));
        outln!(
            "Signals    {} accepted, {} armed, {} fired; refused: {}",
            self.signals,
            decided.signal_armed,
            decided.signal_fired,
            listed(self.signals_refused.iter().copied())
        );
        let trades = &self.outcome.trades;
        outln!(
            "Model      paid {} SOL, received {} SOL, {} open. The model's figures: they show that the \
                  plumbing works,\n           not that anybody would profit.",
            sol(trades.paid),
            sol(trades.received),
            counted(self.outcome.positions as u64, "position", "positions")
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

/// Every datagram that the market made, by what became of it. `sent` counts what left the market's socket, so what the
/// simulated wire lost is not part of it.
fn sent_row(market: &DemoStats, received: u64, kernel_dropped: u64) -> String {
    let under_way = market
        .datagrams_sent
        .saturating_sub(received + kernel_dropped);
    let refused = match market.send_errors {
        0 => String::new(),
        count => format!(", {count} refused by the system"),
    };
    format!(
        "{} over UDP ({} more lost on purpose by the simulated wire{refused}): {received} received, {kernel_dropped} \
         dropped by the kernel, {under_way} not read at the end",
        counted(market.datagrams_sent, "datagram", "datagrams"),
        market.datagrams_lost,
    )
}

/// What account data said of what was reckoned from shreds.
fn accounts_row(truth: Truth, feed: &[(&'static str, u64)]) -> String {
    let Truth {
        agreed,
        diverged,
        behind,
        stale,
    } = truth;
    let others = [("behind", behind), ("stale", stale)].into_iter().chain(
        feed.iter()
            .filter(|(name, _)| *name == "update_refused")
            .map(|(_, value)| ("refused by a full ring", *value)),
    );
    let others = others.filter(|(_, count)| *count > 0);
    let others: String = others
        .map(|(name, count)| format!(", {count} {name}"))
        .collect();
    format!("account data: {agreed} agreed, {diverged} diverged and corrected{others}")
}

/// Every bundle that the core handed over, by how far it came; `sent` of them reached the lane.
fn bundles_row(handed: u64, sent: u64, engine: &CounterSnapshot) -> String {
    let refused = engine.refused_total();
    let ended = engine.outbid
        + engine.simulation_failed
        + engine.internal_error
        + engine.landed
        + engine.lost
        + engine.failed_at_leader
        + engine.expired
        + engine.expired_silently;
    let under_way = sent.saturating_sub(refused + ended);
    format!(
        "{handed} signed and handed over, {} taken by the block engine, {refused} refused by it, {under_way} in flight \
         at the end",
        engine.received.saturating_sub(refused),
    )
}

/// Bundles that the block engine took and that are in no block.
fn lost_row(engine: &CounterSnapshot) -> String {
    let ways = [
        (engine.outbid, "outbid in the auction"),
        (engine.simulation_failed, "failed in simulation"),
        (engine.internal_error, "refused with an internal error"),
        (engine.lost, "lost on the way to the leader"),
        (
            engine.failed_at_leader,
            "refused by the leader or too late for it",
        ),
    ];
    let ways = ways.iter().filter(|(count, _)| *count > 0);
    let ways: Vec<String> = ways.map(|(count, way)| format!("{count} {way}")).collect();
    if ways.is_empty() {
        "nothing".to_owned()
    } else {
        ways.join(", ")
    }
}

/// The block engine's own report: our side gives a transaction up when its blockhash is dead, after the demo's end.
fn expired_row(engine: &CounterSnapshot, exit_lapsed: u64) -> String {
    format!(
        "{} waiting for a leader that takes bundles ({} of them without a word); {} not seen in time, to be tried again",
        counted(
            engine.expired + engine.expired_silently,
            "bundle",
            "bundles"
        ),
        engine.expired_silently,
        counted(exit_lapsed, "exit was", "exits were"),
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_lost_and_under_way_adds_up() {
        let market = DemoStats {
            datagrams_sent: 1_000,
            datagrams_lost: 20,
            ..DemoStats::default()
        };
        assert_eq!(
            sent_row(&market, 990, 4),
            "1000 datagrams over UDP (20 more lost on purpose by the simulated wire): 990 received, 4 dropped by the \
             kernel, 6 not read at the end"
        );
        let failing = DemoStats {
            send_errors: 3,
            ..market
        };
        assert!(sent_row(&failing, 1_000, 0).contains("wire, 3 refused by the system)"));
    }

    #[test]
    fn every_bundle_is_somewhere() {
        let engine = CounterSnapshot {
            received: 10,
            outbid: 1,
            internal_error: 1,
            landed: 2,
            lost: 1,
            failed_at_leader: 1,
            expired: 1,
            expired_silently: 1,
            ..CounterSnapshot::default()
        };
        assert_eq!(
            bundles_row(12, 11, &engine),
            "12 signed and handed over, 10 taken by the block engine, 0 refused by it, 3 in flight at the end"
        );
        let lost = lost_row(&engine);
        assert!(
            lost.contains("1 refused with an internal error, 1 lost on the way"),
            "{lost}"
        );
        assert_eq!(lost_row(&CounterSnapshot::default()), "nothing");
        let expired = expired_row(&engine, 1);
        assert_eq!(
            expired,
            "2 bundles waiting for a leader that takes bundles (1 of them without a word); 1 exit was not seen in time, \
             to be tried again"
        );
    }
}
