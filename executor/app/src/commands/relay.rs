//! `overmind relay`: the service that passes shreds on.

use std::sync::Arc;
use std::time::Instant;

use sidecar::Refresher;

use crate::admin;
use crate::admin::Request;
use crate::cli::{RelayArgs, exit};
use crate::commands::{Failure, Outages, Watched, follow, lock_memory, observe, serve};
use crate::config::{Config, Host, Plan, RelayPlan};
use crate::intake::IntakeLayout;
use crate::leaders::LeaderSource;
use crate::output;
use crate::published::LeadersFrom;
use crate::receive;
use crate::relay::{PreparedRelay, RelayView, Silence};
use crate::shredstream::Asking;
use crate::sources::InterfaceAlarms;

/// Runs until it is told to stop; the exit code.
///
/// # Errors
/// [`Failure`] when the configuration, a socket or a file cannot be used.
pub fn run(args: &RelayArgs) -> Result<u8, Failure> {
    output::lines_as_json(args.json);
    let plan = Config::load(&args.config)?.plan(&Host::read())?;
    let relay = purpose(&plan)?;
    let sources = plan.redistributable();
    for source in plan
        .ingest
        .sources
        .iter()
        .filter(|source| !source.redistributable)
    {
        errln!(
            "source {} is left out: it is not marked redistributable",
            source.name
        );
    }
    if plan.ingest.sources_log.is_some() {
        errln!("ingest.sources_log is left out: a relay keeps no record of who was how late");
    }
    let leaders = Arc::new(LeaderSource::configured(&plan.ingest)?);
    say_what_is_checked(relay, &leaders);
    let prepared = PreparedRelay::open(&plan, relay, &sources, Arc::clone(&leaders))?;
    let refresher = follow(&plan.ingest, leaders.cell())?;
    let asked = refresher.as_ref().map(Refresher::counters).cloned();
    let mut view = prepared.view(relay.room.sieve.authenticate);
    let followed = leaders.cell().cloned().zip(asked);
    let from = LeadersFrom::new(leaders.name(), followed).naming(leaders.span());
    view.leaders = Some(Arc::new(from));
    view.threads = Some(observe::Threads::of(plan.threads.split, None));
    let asking = ask_for_shreds(&plan, &prepared)?;
    view.shredstream = asking.as_ref().map(Asking::state);
    let (on_socket, on_page) = (view.clone(), view.clone());
    let answer = move |request| match request {
        Request::Sources => on_socket.race(),
        _ => on_socket.status(),
    };
    let _admin = admin::spawn(&plan.admin, None, Arc::new(answer))?;
    let page = |address| observe::page(address, move || on_page.snapshot());
    let _page = plan.http.map(page).transpose()?;
    lock_memory(plan.threads.lock_memory)?;
    let facts = prepared.facts();
    let running = prepared.start(&IntakeLayout {
        split: plan.threads.split,
        stage: plan.threads.core,
        sources: &receive::seats(&sources),
    })?;
    errln!(
        "relay runs; overmind status --socket {}",
        plan.admin.socket.display()
    );
    let mut silence = Silence::new(sources.len(), Instant::now());
    let (mut connected, mut refused) = (Vec::new(), false);
    let mut outages = Outages::new(refresher.as_ref(), asking.as_ref());
    let mut interfaces = InterfaceAlarms::default();
    let watched = Watched {
        ready: "relay",
        turns: &|| view.turns(),
        has_died: &|| running.has_died(),
    };
    serve(&watched, || {
        tell_silence(&mut silence, &view);
        let nodes = view.node_changes(&mut connected).into_iter();
        let refusals = view.refusal_change(&mut refused);
        let interfaces = interfaces.changes(&facts);
        let lines = nodes.chain(refusals).chain(interfaces);
        for line in lines.chain(outages.changes()) {
            errln!("{line}");
        }
    })?;
    let stopped = running.stop();
    let status = view.status();
    if args.json {
        outln!("{status}");
    }
    let passed = &status["relay"]["events"]["shred_passed"];
    let taken: u64 = view.datagrams().iter().sum();
    errln!("stopped: {taken} datagrams, {passed} shreds passed on");
    stopped?;
    Ok(exit::OK)
}

/// What the configuration wants passed on, if it wants that at all.
fn purpose(plan: &Plan) -> Result<&RelayPlan, Failure> {
    plan.relay.as_ref().ok_or_else(|| {
        let mut said = "relay: there is nothing to pass shreds on to; name [relay] destinations (UDP) or nodes (QUIC), \
                        or let [relay.entries] bind an address (`overmind config example` explains them)"
            .to_owned();
        if plan.redistributable().is_empty() {
            said.push_str(
                "\nrelay: there is no source that may be passed on; set redistributable = true at those whose terms \
                 allow it",
            );
        }
        Failure::Input(said)
    })
}

fn say_what_is_checked(relay: &RelayPlan, leaders: &LeaderSource) {
    if !relay.room.sieve.authenticate {
        errln!(
            "relay.verify = false: whatever looks like a shred is passed on, once for its number and signature; for \
             feeds that nobody else can send to"
        );
    } else if matches!(leaders, LeaderSource::Absent) {
        errln!(
            "no leaders are named: a shred must fit the Merkle root that it claims, but nobody checks who signed that; \
             set ingest.leaders_rpc or ingest.leaders_file"
        );
    }
}

/// Asks a block engine for shreds, if it is to send them to a source that is open here.
fn ask_for_shreds(plan: &Plan, prepared: &PreparedRelay) -> Result<Option<Asking>, Failure> {
    let Some(wanted) = &plan.shredstream else {
        return Ok(None);
    };
    let name = &plan.ingest.sources[wanted.source].name;
    let facts = prepared.facts();
    let Some(source) = facts.iter().find(|facts| facts.name == *name) else {
        errln!("[shredstream] is left out: its source {name} is");
        return Ok(None);
    };
    Ok(Some(Asking::start(wanted, source.received.clone())?))
}

fn tell_silence(silence: &mut Silence, view: &RelayView) {
    for (source, is_silent) in silence.changes(&view.datagrams(), Instant::now()) {
        errln!("{}", view.note_silence(source, is_silent));
    }
}
