//! `overmind run`: the service.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use brain_bridge::{Bridge, BridgeHandle, BridgeShared};
use bundle::{Builder, Signer, ThrowAway};
use demo::{DemoConfig, PreparedMarket};
use engine::EngineConfig;
use risk::{Control, Mode};
use shred_resolve::Policy;
use shred_wire::Slot;
use sidecar::Refresher;
use submit::{BlockEngineLane, Lane, LaneId, PaperLane};

use crate::cli::{ModeArg, RunArgs, exit};
use crate::clock::realtime;
use crate::commands::embedded::{EmbeddedFeed, epoch_of};
use crate::commands::observe::{Threads, View};
use crate::commands::{Failure, Outages, Watched, follow, lock_memory};
use crate::config::{self, Config, Host, Plan, SubmitPlan};
use crate::intake::Feeders;
use crate::leaders::{LeaderSchedule, LeaderSource};
use crate::lookup_tables;
use crate::output;
use crate::pipeline::{Layout, Pipeline, PipelinePlan, Prepared};
use crate::published::{LeadersFrom, Published};
use crate::receive::{self, OpenSources};
use crate::shredstream::Asking;
use crate::signing::{self, SigningAlarm};
use crate::signing_stage::SigningAhead;
use crate::sources::{Alarms, InterfaceAlarms, SourceFacts, SourcesLog};
use crate::state_dir::StateDir;
use crate::venues::VenueWatch;
use crate::wiring::Time;

/// File that paper mode records its bundles in, in the state directory.
const PAPER_FILE: &str = "paper-bundles.bin";
/// Slots that the embedded market's leaders are named for: some two days.
const EMBEDDED_SLOTS: u64 = 500_000;

/// Runs until it is told to stop; the exit code.
///
/// # Errors
/// [`Failure`] when the configuration, a socket or a file cannot be used.
pub fn run(args: &RunArgs) -> Result<u8, Failure> {
    let started = Instant::now();
    output::lines_as_json(args.json);
    let (host, mut config) = (Host::read(), Config::load(&args.config)?);
    match args.mode {
        Some(ModeArg::Live) => config.mode.mode = config::Mode::Live,
        Some(ModeArg::Paper) => config.mode.mode = config::Mode::Paper,
        None => {}
    }
    let embedded = args.embedded_market.then(DemoConfig::default);
    if embedded.is_some() {
        let anywhere = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        config = config.with_embedded_source(anywhere);
    }
    let mut plan = config.plan(&host)?;
    let tables = lookup_tables::load_for(&mut plan)?;
    let state = StateDir::lock(&host.state_dir)?;
    let policies: Vec<Policy> = plan
        .ingest
        .sources
        .iter()
        .map(|source| source.policy)
        .collect();
    let control = Arc::new(Control::new(Mode::Active));
    let random = random_bytes::<40>()?;
    let (wallet, hash_seed) = random.split_at(32);
    let leaders = leaders(&plan, embedded.as_ref())?;
    let (leaders_from, span) = (leaders.name(), leaders.span());
    let followed = leaders.cell().cloned();
    let (builder, ahead) = builder(&plan, wallet)?;
    let halts = SigningAlarm::new(&builder, state.path())?;
    let mut prepared = Prepared::new(PipelinePlan {
        resolve: plan.ingest.resolve.clone(),
        arena: plan.ingest.arena,
        rings: policies.len(),
        engine: EngineConfig {
            hash_seed: u64::from_le_bytes(hash_seed.try_into().unwrap_or_default()),
            ..plan.engine.clone()
        },
        policies,
        leaders,
        tables,
        builder,
        ahead,
        control: Arc::clone(&control),
        time: Time::Wall,
        layout: Layout {
            split: plan.threads.split,
            core: plan.threads.core,
            sources: receive::seats(&plan.ingest.sources),
            verify: plan.threads.verify,
            submit: plan.threads.submit,
        },
    })?;
    let OpenSources {
        feeders,
        facts: facts_of,
    } = receive::open_all(&plan.ingest.sources, || {
        prepared.take_frames().expect("frames for every source")
    })?;
    let Feeders { polled, quic } = feeders;
    for (name, handle) in quic {
        prepared.attach(&name, handle);
    }
    let published = prepared.published();
    let refresher = follow(&plan.ingest, followed.as_ref())?;
    let asked = refresher.as_ref().map(Refresher::counters).cloned();
    let from = LeadersFrom::new(leaders_from, followed.zip(asked));
    published.chain.leaders_from(from.naming(span));
    let shared = Arc::new(BridgeShared::default());
    let _bridge = bridge(&plan, &mut prepared, &shared)?;
    let asking = plan
        .shredstream
        .as_ref()
        .map(|plan| Asking::start(plan, facts_of[plan.source].received.clone()))
        .transpose()?;
    let mut market = match embedded {
        Some(market) => Some(PreparedMarket::new(DemoConfig {
            destinations: facts_of.iter().map(|facts| facts.address).collect(),
            ..market
        })?),
        None => None,
    };
    let accounts = market.as_mut().and_then(|market| {
        let feed = EmbeddedFeed(market.tell_accounts());
        prepared.feed_accounts(Box::new(feed), epoch_of(market.first_slot()))
    });
    let watch = venues(&plan, &control, &state, args.embedded_market)?;
    let view = View {
        control: Arc::clone(&control),
        published: Arc::clone(&published),
        sources: Arc::clone(&facts_of),
        bridge: plan.bridge.is_some().then(|| Arc::clone(&shared)),
        accounts,
        shredstream: asking.as_ref().map(Asking::state),
        venues: Some(watch.book()),
        threads: Some(Threads::of(
            plan.threads.split,
            Some(plan.threads.verify.is_some()),
        )),
        mode: "paper",
        started,
    };
    let _admin = view.admin(&plan.admin)?;
    let _page = plan.http.map(|address| view.page(address)).transpose()?;
    lock_memory(plan.threads.lock_memory)?;
    let _log = sources_log(&plan, &facts_of, &published)?;
    let pipeline = prepared.start(polled, vec![lane(&plan, &state)?], || {})?;
    let market = market.map(|market| market.start(None)).transpose()?;
    errln!(
        "paper mode; overmind status --socket {}",
        plan.admin.socket.display()
    );
    let outages = Outages::new(refresher.as_ref(), asking.as_ref());
    serve(
        &shared, &published, &facts_of, &pipeline, outages, halts, watch,
    )?;
    if let Some(market) = market {
        market.stop();
        market.join();
    }
    let (outcome, submitted) = pipeline.stop()?;
    errln!(
        "stopped: {} datagrams, {} transactions, {} intents, {} bundles recorded or sent",
        outcome.resolved.datagram,
        outcome.resolved.transaction,
        outcome.decided.intent_made,
        submitted.bundle_sent
    );
    Ok(exit::OK)
}

/// Feeds the bridge, and says which sources die and whom nobody answers for, until the end is asked for.
fn serve(
    shared: &BridgeShared,
    published: &Published,
    sources: &[SourceFacts],
    pipeline: &Pipeline,
    mut outages: Outages,
    mut halts: SigningAlarm,
    mut watch: VenueWatch,
) -> Result<(), Failure> {
    let (mut alarms, mut interfaces) = (Alarms::default(), InterfaceAlarms::default());
    let watched = Watched {
        ready: "paper mode",
        turns: &|| published.turns.load(Relaxed),
        has_died: &|| pipeline.has_died(),
    };
    super::serve(&watched, || {
        shared
            .current_slot
            .store(published.slot.load(Relaxed), Relaxed);
        let changes = alarms.changes(sources, published).into_iter();
        let changes = changes.chain(interfaces.changes(sources));
        let changes = changes.chain(outages.changes()).chain(halts.change());
        for line in changes.chain(watch.changes()) {
            errln!("{line}");
        }
    })?;
    Ok(())
}

/// Starts to watch the venues. The embedded market has no programs, so no node is asked of them, and its state is nobody's.
fn venues(
    plan: &Plan,
    control: &Arc<Control>,
    state: &StateDir,
    embedded: bool,
) -> Result<VenueWatch, Failure> {
    let control = Arc::clone(control);
    if embedded {
        return Ok(VenueWatch::unchecked(control));
    }
    let home = Some(state.path());
    Ok(VenueWatch::start(
        &plan.venues,
        &plan.builder,
        control,
        home,
    )?)
}

fn sources_log(
    plan: &Plan,
    facts: &Arc<[SourceFacts]>,
    published: &Arc<Published>,
) -> Result<Option<SourcesLog>, Failure> {
    let Some(path) = &plan.ingest.sources_log else {
        return Ok(None);
    };
    let (facts, published) = (Arc::clone(facts), Arc::clone(published));
    SourcesLog::start(path, &plan.ingest.region, facts, published)
        .map(Some)
        .map_err(|error| Failure::Input(format!("ingest.sources_log: {}: {error}", path.display())))
}

fn leaders(plan: &Plan, embedded: Option<&DemoConfig>) -> Result<LeaderSource, Failure> {
    if let Some(market) = embedded {
        let slots = market.first_slot..market.first_slot + EMBEDDED_SLOTS;
        let identities = PreparedMarket::new(market.clone())?
            .schedule()
            .identities(slots);
        let slots: Vec<_> = identities
            .into_iter()
            .map(|(slot, identity)| (Slot(slot), identity))
            .collect();
        return LeaderSchedule::from_slots(&slots)
            .map(LeaderSource::Schedule)
            .map_err(Failure::Input);
    }
    // Without any, the plan has made sure that every source says so itself.
    Ok(LeaderSource::configured(&plan.ingest)?)
}

/// Paper mode signs with a key that nobody has ever paid anything to.
fn builder(plan: &Plan, seed: &[u8]) -> Result<(Builder, SigningAhead), Failure> {
    let seed = seed
        .try_into()
        .map_err(|_| Failure::Input("a key seed has 32 bytes".to_owned()))?;
    let signer =
        Signer::<ThrowAway>::from_seed(seed).map_err(|error| Failure::Input(error.to_string()))?;
    let seat = plan.threads.signing;
    Ok(signing::open(&plan.builder, signer, &plan.signing, seat)?)
}

fn random_bytes<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut bytes)?;
    Ok(bytes)
}

fn lane(plan: &Plan, state: &StateDir) -> Result<Box<dyn Lane>, Failure> {
    match &plan.submit {
        SubmitPlan::Paper => {
            let path = state.path().join(PAPER_FILE);
            let lane = PaperLane::open(&path)
                .map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?;
            errln!("bundles are recorded in {}", path.display());
            Ok(Box::new(lane))
        }
        SubmitPlan::BlockEngine(engine) => Ok(Box::new(BlockEngineLane::start(
            LaneId(0),
            engine.clone(),
            Arc::new(realtime),
            || {},
        )?)),
    }
}

fn bridge(
    plan: &Plan,
    prepared: &mut Prepared,
    shared: &Arc<BridgeShared>,
) -> Result<Option<BridgeHandle>, Failure> {
    match (&plan.bridge, prepared.take_signals()) {
        (Some(config), Some(signals)) => Ok(Some(Bridge::spawn(
            config.clone(),
            signals,
            Arc::clone(shared),
        )?)),
        _ => Ok(None),
    }
}
