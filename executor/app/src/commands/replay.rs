//! `overmind replay`: a capture through the same stages, on the capture's clock.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bundle::BundleCell;
use engine::EngineConfig;
use market::LookupTables;
use risk::{Control, Mode};
use serde_json::{Value, json};
use shred_resolve::Policy;
use shred_source::pcap::PcapCounters;
use shred_source::{
    ArenaPlan, DatagramSource, Pace, PcapError, ReplaySource, SourceCounters, SourceId,
};
use strategy::LaneClass;
use submit::{Lane, LaneReject, Report};

use crate::cli::{ReplayArgs, ThreadsArg, exit};
use crate::commands::demo::{engine_config, resolve_plan, throw_away_builder};
use crate::commands::{Failure, interrupted};
use crate::config::{Config, Host};
use crate::core_stage::CoreOutcome;
use crate::leaders::{LeaderSchedule, LeaderSource};
use crate::lookup_tables;
use crate::notices;
use crate::output::counted;
use crate::pipeline::{Layout, PipelinePlan, Prepared};
use crate::signing_stage::SigningAhead;
use crate::wiring::Time;

/// Seed of the throw-away wallet, as the demo's default.
const SEED: u64 = 1;

/// Replays the captures and prints what came of it; the exit code.
///
/// # Errors
/// [`Failure`] when a file or the configuration cannot be used.
pub fn run(args: &ReplayArgs) -> Result<u8, Failure> {
    let Replayed { outcome, notices } = replay_files(args)?;
    if args.json {
        outln!("{}", object(&outcome));
    } else {
        print(&outcome);
    }
    for notice in notices {
        errln!("{notice}");
    }
    Ok(exit::OK)
}

/// What a replay leaves behind.
pub struct Replayed {
    /// What the core leaves behind.
    pub outcome: CoreOutcome,
    /// What is to be said of the files: a line each.
    pub notices: Vec<String>,
}

/// Replays the captures; what the core leaves behind. Prints nothing.
///
/// # Errors
/// As [`run`].
pub fn replay(args: &ReplayArgs) -> Result<CoreOutcome, Failure> {
    replay_files(args).map(|replayed| replayed.outcome)
}

/// As [`replay`], with what is to be said of the files. Prints nothing.
///
/// # Errors
/// As [`run`].
pub fn replay_files(args: &ReplayArgs) -> Result<Replayed, Failure> {
    let policy = if args.unverified {
        Policy::EmitThenVerify
    } else {
        Policy::VerifyThenEmit
    };
    let mut plan = match &args.config {
        Some(path) => Some(Config::load(path)?.plan(&Host::read())?),
        None => None,
    };
    let of_config = plan
        .as_ref()
        .and_then(|plan| plan.ingest.leaders_file.as_ref());
    let leaders = match (args.leaders.as_ref().or(of_config), args.unverified) {
        (Some(path), _) => LeaderSource::Schedule(LeaderSchedule::load(path)?),
        (None, true) => LeaderSource::Absent,
        (None, false) => {
            return Err(Failure::Input(
                "without leaders nothing can be verified: name them with --leaders F.json (the demo writes them beside \
                 its capture) or by ingest.leaders_file of --config, or say --unverified to act on what nobody vouches for"
                    .to_owned(),
            ));
        }
    };
    let tables = match &mut plan {
        Some(plan) => lookup_tables::load_for(plan)?,
        None => LookupTables::none(),
    };
    let (resolve, engine) = match plan {
        Some(plan) => (
            plan.ingest.resolve,
            EngineConfig {
                act_on_unverified: args.unverified,
                ..plan.engine
            },
        ),
        None => (resolve_plan(None), engine_config(policy)),
    };
    let shred_version = resolve.shred_version;
    let split = args.threads == Some(ThreadsArg::Split);
    let mut prepared = Prepared::new(PipelinePlan {
        resolve,
        arena: ArenaPlan::default(),
        rings: 1,
        policies: vec![policy; args.files.len()],
        leaders: leaders.clone(),
        engine,
        tables,
        builder: throw_away_builder(args.seed.unwrap_or(SEED))?,
        // What a thread has ready by when is no part of a capture.
        ahead: SigningAhead::nothing(),
        control: Arc::new(Control::new(Mode::Active)),
        time: Time::Capture,
        layout: Layout::modest(split),
    })?;
    // All files are one stream, merged by stamp, so they share the first source's ring.
    let frames = prepared.take_frames().expect("one file at least");
    let files: Vec<_> = args
        .files
        .iter()
        .zip(0..)
        .map(|(path, source)| (SourceId(source), path))
        .collect();
    let pace = if args.as_fast_as_possible {
        Pace::AsFastAsPossible
    } else {
        Pace::Stamped { speed_percent: 100 }
    };
    let read = Arc::new(OnceLock::new());
    let source = Told {
        source: ReplaySource::open(&files, frames, pace)?,
        read: Arc::clone(&read),
    };
    let sources: Vec<Box<dyn DatagramSource + Send>> = vec![Box::new(source)];
    let pipeline = prepared.start(sources, vec![Box::new(NoLane)], || {})?;
    while !pipeline.is_ended() && !interrupted() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let (outcome, _) = pipeline.stop()?;
    let mut notices = read
        .get()
        .map(|read| notices_of(&args.files, read))
        .unwrap_or_default();
    notices.extend(notices::version(shred_version, &outcome.resolved));
    notices.extend(notices::leaders(&leaders, &outcome.resolved));
    Ok(Replayed { outcome, notices })
}

fn notices_of(files: &[PathBuf], read: &[FileRead]) -> Vec<String> {
    let of_file = |(path, read): (&PathBuf, &FileRead)| {
        let failed = read.failure.as_ref();
        let failed = failed.map(|failure| format!("{}: {failure}", path.display()));
        notices::damage(path, &read.counters)
            .into_iter()
            .chain(failed)
            .collect::<Vec<_>>()
    };
    files.iter().zip(read).flat_map(of_file).collect()
}

/// How the reading of one file went.
#[derive(Debug)]
struct FileRead {
    counters: PcapCounters,
    failure: Option<String>,
}

/// A replay that tells, when the pipeline drops it, how reading its files went.
struct Told {
    source: ReplaySource,
    read: Arc<OnceLock<Vec<FileRead>>>,
}

impl DatagramSource for Told {
    fn poll(&mut self) -> usize {
        self.source.poll()
    }

    fn is_ended(&self) -> bool {
        self.source.is_ended()
    }

    fn wait(&mut self, at_most: Duration) {
        self.source.wait(at_most);
    }

    fn counters(&self) -> &Arc<SourceCounters> {
        self.source.counters()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let failed = self.source.error();
        let failure = |source| {
            let of_this = failed.filter(|(failed, _)| *failed == source);
            of_this.map(|(_, error): (SourceId, &PcapError)| error.to_string())
        };
        let read = self
            .source
            .pcap_counters()
            .map(|(source, counters)| FileRead {
                counters: *counters,
                failure: failure(source),
            });
        let _ = self.read.set(read.collect());
    }
}

fn intents_refused(outcome: &CoreOutcome) -> u64 {
    outcome.refused.iter().map(|(_, count)| count).sum()
}

fn object(outcome: &CoreOutcome) -> Value {
    let (resolved, decided) = (&outcome.resolved, &outcome.decided);
    let rungs: serde_json::Map<_, _> = outcome
        .rungs
        .all()
        .into_iter()
        .map(|(name, _, histogram)| {
            let [p50, p99, p99_9, max] = crate::rungs::quantiles(histogram);
            (name.to_owned(), json!({"unit": "ns", "n": histogram.len(), "p50": p50, "p99": p99, "p99_9": p99_9, "max": max}))
        })
        .collect();
    json!({
        "state_hash": format!("{:016x}", outcome.state_hash),
        "datagrams": resolved.datagram,
        "transactions": resolved.transaction,
        "blocks": resolved.block_completed,
        "launches": decided.launch_decoded,
        "trades": decided.trade_decoded,
        "intents": decided.intent_made,
        "bundles": decided.bundle_handed,
        "intents_refused": intents_refused(outcome),
        "rungs": rungs,
    })
}

fn print(outcome: &CoreOutcome) {
    let (resolved, decided, refused) = (
        &outcome.resolved,
        &outcome.decided,
        intents_refused(outcome),
    );
    outln!(
        "datagrams     {} ({} used)",
        resolved.datagram,
        resolved.shred_accepted
    );
    outln!(
        "transactions  {} in {}",
        resolved.transaction,
        counted(resolved.block_completed, "whole block", "whole blocks")
    );
    outln!(
        "market        {}, {}",
        counted(decided.launch_decoded, "launch", "launches"),
        counted(decided.trade_decoded, "trade", "trades")
    );
    outln!(
        "intents       {} made, {refused} refused, {} signed",
        decided.intent_made,
        counted(decided.bundle_handed, "bundle", "bundles")
    );
    outln!("state hash    {:016x}", outcome.state_hash);
}

/// Takes every bundle and sends none: a replay's market has already happened.
struct NoLane;

impl Lane for NoLane {
    fn takes(&self, _class: LaneClass) -> bool {
        true
    }

    fn send(&mut self, _bundle: &BundleCell) -> Result<(), LaneReject> {
        Ok(())
    }

    fn poll(&mut self, _out: &mut dyn FnMut(Report)) {}
}
