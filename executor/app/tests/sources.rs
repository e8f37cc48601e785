//! Two sources over loopback, one of them late and lossy: who wins, what is told of it, and the alarm.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bundle::BundleCell;
use demo::{DemoConfig, PreparedMarket};
use overmind::commands::demo::{engine_config, resolve_plan, throw_away_builder};
use overmind::commands::observe::View;
use overmind::config::AdminPlan;
use overmind::leaders::{LeaderSchedule, LeaderSource};
use overmind::pipeline::{Layout, PipelinePlan, Prepared};
use overmind::receive::Received;
use overmind::signing_stage::SigningAhead;
use overmind::sources::{Alarms, Interface, SourceFacts, SourcesLog};
use overmind::wiring::Time;
use risk::{Control, Mode};
use serde_json::Value;
use shred_resolve::Policy;
use shred_source::{ArenaPlan, DatagramSource, SourceId, UdpConfig, UdpSource};
use shred_wire::Slot;
use strategy::LaneClass;
use submit::{Lane, LaneReject, Report};

const SLOTS: u64 = 100_000;

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

#[track_caller]
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Takes every bundle and sends none.
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

/// Passes datagrams on to `to`, 20 ms late, every third one not at all, and none while it is cut.
struct Relay {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    fn start(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind(anywhere()).unwrap();
        let address = socket.local_addr().unwrap();
        let pause = Duration::from_millis(1);
        socket.set_read_timeout(Some(pause)).unwrap();
        let (cut, stop) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (is_cut, stopped): (_, Arc<AtomicBool>) = (Arc::clone(&cut), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
            let (mut buffer, mut count) = ([0; 2_048], 0u64);
            while !stopped.load(Relaxed) {
                if let Ok(len) = socket.recv(&mut buffer) {
                    count += 1;
                    if count % 3 != 0 && !is_cut.load(Relaxed) {
                        waiting.push_back((Instant::now(), buffer[..len].to_vec()));
                    }
                }
                let is_due = |(since, _): &mut (Instant, Vec<u8>)| {
                    since.elapsed() >= Duration::from_millis(20)
                };
                while let Some((_, datagram)) = waiting.pop_front_if(is_due) {
                    let _ = socket.send_to(&datagram, to);
                }
            }
        });
        Self {
            address,
            cut,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A folder that is removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        use std::os::unix::fs::DirBuilderExt as _;
        let path = std::env::temp_dir().join(format!("overmind-sources-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn prepared(market: &DemoConfig) -> Prepared {
    let slots = market.first_slot..market.first_slot + SLOTS;
    let identities = PreparedMarket::new(market.clone())
        .unwrap()
        .schedule()
        .identities(slots);
    let slots: Vec<_> = identities
        .into_iter()
        .map(|(slot, identity)| (Slot(slot), identity))
        .collect();
    Prepared::new(PipelinePlan {
        resolve: resolve_plan(Some(market.shred_version)),
        arena: ArenaPlan::default(),
        rings: 2,
        policies: vec![Policy::VerifyThenEmit; 2],
        leaders: LeaderSource::Schedule(LeaderSchedule::from_slots(&slots).unwrap()),
        engine: engine_config(Policy::VerifyThenEmit),
        tables: market::LookupTables::none(),
        builder: throw_away_builder(1).unwrap(),
        ahead: SigningAhead::nothing(),
        control: Arc::new(Control::new(Mode::Active)),
        time: Time::Wall,
        layout: Layout::modest(false),
    })
    .unwrap()
}

fn open(prepared: &mut Prepared, number: u8) -> (Box<dyn DatagramSource + Send>, SocketAddr) {
    let frames = prepared.take_frames().unwrap();
    let config = UdpConfig::new(anywhere());
    let (source, facts) = UdpSource::open(&config, SourceId(number), frames, None).unwrap();
    (Box::new(source), facts.local)
}

/// What the command prints, and its exit code.
fn overmind(words: &[&str]) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overmind"));
    let output = command.args(words).output().unwrap();
    (
        String::from_utf8(output.stdout).unwrap(),
        output.status.code(),
    )
}

#[test]
fn the_near_source_wins_and_a_silent_one_is_called_dead_until_it_is_back() {
    let folder = Folder::new();
    let mut market = DemoConfig {
        seconds: 0,
        slot_ms: 100,
        ..DemoConfig::default()
    };
    let mut prepared = prepared(&market);
    let (far, far_at) = open(&mut prepared, 0);
    let (near, near_at) = open(&mut prepared, 1);
    let relay = Relay::start(far_at);
    market.destinations = vec![near_at, relay.address];
    let received =
        |source: &(dyn DatagramSource + Send)| Received::Polled(Arc::clone(source.counters()));
    let facts = |name: &str, address, received| SourceFacts {
        name: name.to_owned(),
        kind: "udp",
        address,
        redistributable: false,
        received,
        interface: Interface::default(),
    };
    let view = View {
        control: Arc::new(Control::new(Mode::Active)),
        published: prepared.published(),
        sources: Arc::new([
            facts("far", far_at, received(&*far)),
            facts("near", near_at, received(&*near)),
        ]),
        bridge: None,
        accounts: None,
        shredstream: None,
        venues: None,
        threads: None,
        mode: "paper",
        started: Instant::now(),
    };
    let socket = folder.0.join("admin.sock");
    let admin = view.admin(&AdminPlan {
        socket: socket.clone(),
        kill_file: folder.0.join("kill"),
    });
    let _admin = admin.unwrap();
    let (published, log_path) = (Arc::clone(&view.published), folder.0.join("sources.jsonl"));
    let log = SourcesLog::start(
        &log_path,
        "here",
        Arc::clone(&view.sources),
        Arc::clone(&published),
    );
    let log = log.unwrap();
    let lanes: Vec<Box<dyn Lane>> = vec![Box::new(NoLane)];
    let pipeline = prepared.start(vec![far, near], lanes, || {}).unwrap();
    let market = PreparedMarket::new(market).unwrap().start(None).unwrap();

    let race = &published.sources;
    let tally = |source: usize| race.source(source).unwrap();
    until("both bring shreds", || {
        tally(0).late.count() > 500 && tally(1).shred > 1_000
    });
    let mut alarms = Alarms::default();
    until("both are alive", || !race.is_dead(0) && !race.is_dead(1));
    alarms.changes(&view.sources, &published);
    let words = ["sources", "--socket", socket.to_str().unwrap()];
    let (table, code) = overmind(&[&words[..], &["--leaders"]].concat());
    assert!(code == Some(0) || race.is_dead(0), "{code:?}\n{table}");
    for word in ["late p50", "far ", "near ", "\nleader "] {
        assert!(table.contains(word), "{word}\n{table}");
    }

    relay.cut.store(true, Relaxed);
    until("the far one is dead", || race.is_dead(0));
    assert!(!race.is_dead(1));
    let said = alarms.changes(&view.sources, &published);
    assert!(
        said.len() == 1 && said[0].starts_with("source far on "),
        "{said:?}"
    );
    assert!(
        said[0].contains("is dead: nothing for two slots"),
        "{said:?}"
    );
    assert!(alarms.changes(&view.sources, &published).is_empty(), "once");
    let status = view.status();
    assert_eq!(status["sources"][0]["state"], "dead", "{status}");
    assert_eq!(status["alarms"][0], said[0].as_str(), "{status}");
    let (answer, code) = overmind(&[&words[..], &["--json"]].concat());
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(
        (answer["sources"][0]["state"].as_str(), code),
        (Some("dead"), Some(1))
    );

    relay.cut.store(false, Relaxed);
    until("the far one is back", || !race.is_dead(0));
    let said = alarms.changes(&view.sources, &published);
    assert!(
        said.len() == 1 && said[0].ends_with("is alive again"),
        "{said:?}"
    );

    market.stop();
    market.join();
    let (outcome, _) = pipeline.stop().unwrap();
    drop(log);
    let (far, near) = (tally(0), tally(1));
    assert_eq!(far.datagram + near.datagram, outcome.resolved.datagram);
    assert!(near.won() > 10 * far.won() && near.sets() > 10 * far.sets());
    assert!(near.unique > 0 && far.died >= 1 && near.died == 0);
    assert!(far.late.count() > 500 && far.late.quantile(500) > near.late.quantile(500));
    let answer = overmind::sources::answer(&view.sources, &published);
    assert_eq!(answer["sources"][1]["won"], near.won(), "{answer}");
    let leader_won = |leader: &Value| leader["sources"][1]["won"].as_u64().unwrap();
    let by_leader: u64 = answer["leaders"]
        .as_array()
        .unwrap()
        .iter()
        .map(leader_won)
        .sum();
    assert_eq!(by_leader, near.won(), "fewer leaders than are remembered");
    check_log(&std::fs::read_to_string(&log_path).unwrap(), near.shred);
}

/// Lines of cumulative counters, the last one complete, and every slot's beginning told once.
fn check_log(text: &str, shreds: u64) {
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let near = |line: &Value| line["sources"][1]["shred"].as_u64().unwrap();
    assert!(lines.len() >= 2 && lines.iter().all(|line| line["region"] == "here"));
    assert!(lines.is_sorted_by_key(near));
    assert!(near(lines.last().unwrap()) <= shreds);
    let begun: Vec<u64> = lines
        .iter()
        .flat_map(|line| line["begun"].as_array().unwrap())
        .map(|begun| begun[0].as_u64().unwrap())
        .collect();
    assert!(
        begun.len() > 2 && begun.is_sorted_by(|a, b| a < b),
        "{begun:?}"
    );
}
