//! The demo, whole: bundles land and come back, others read its capture the same, brains are heard, faults land nothing.

#![allow(clippy::unwrap_used)]

mod official;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use brain_bridge::{Answer, BridgeClient, SharedKey, now};
use brain_wire::frame::Frame;
use brain_wire::signal::NEXT_LAUNCH;
use brain_wire::{Family, NackReason, Side, Signal, SignalFlags};
use overmind::cli::{DemoArgs, HttpArg, Plant, ReplayArgs, ThreadsArg};
use overmind::commands::demo::{PRODUCER, Report, play, throw_away_builder};
use overmind::commands::replay::replay;
use overmind_tests::decoded;
use serde_json::Value;
use shred_resolve::Plan;
use strategy::Origin;

/// Each demo is paced by the clock: they run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn args(seconds: u32, seed: u64) -> DemoArgs {
    DemoArgs {
        seconds,
        seed,
        pcap: None,
        slot_ms: 400,
        loss_bps: 200,
        plant: None,
        http: HttpArg::Off,
        threads: None,
        json: true,
    }
}

fn of_signal() -> usize {
    Origin::names()
        .iter()
        .position(|name| *name == "signal")
        .unwrap()
}

#[test]
fn bundles_land_and_everybody_reads_the_same_capture() {
    let _alone = alone();
    let pcap = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo-end-to-end.pcap");
    let report = play(
        &DemoArgs {
            pcap: Some(pcap.clone()),
            ..args(12, 3)
        },
        |_| {},
    )
    .unwrap();
    assert_eq!(report.verdict(), Ok(()), "{}", report.json());
    assert!(
        report.block_engine.landed >= 5 && report.seen_back() >= 5,
        "{}",
        report.json()
    );
    account_data_corrects(&report);
    let leaders = pcap.with_extension("leaders.json");
    reads_as_the_official_crates_do(&pcap, &leaders, &report);
    replays_to_one_hash(&pcap, &leaders);
}

/// Most trades are as reckoned; those inside a router's call are not, and are put right.
fn account_data_corrects(report: &Report) {
    let seen = report.json();
    let truth = report.outcome.market.truths();
    assert!(
        truth.agreed > 100 && truth.diverged > 0 && truth.agreed > truth.diverged,
        "{seen}"
    );
    let feed = &seen["account_data"]["feed"];
    for (name, value) in [
        ("account_rejected", 0),
        ("account_other_owner", 0),
        ("curve_untracked", 0),
        ("update_refused", 0),
        ("terms_published", 1),
        ("terms_rejected", 0),
        ("table_taken", 2),
    ] {
        assert_eq!(feed[name], value, "{name}: {seen}");
    }
    assert_eq!(
        seen["account_data"]["venues"]["pump"]["truth_agreed"], truth.agreed,
        "{seen}"
    );
}

fn reads_as_the_official_crates_do(pcap: &Path, leaders: &Path, report: &Report) {
    let bytes = std::fs::read(pcap).unwrap();
    let theirs = official::transactions(&official::datagrams(&bytes));
    assert!(theirs.len() > 2_000, "{} transactions", theirs.len());
    for (slot, txn) in &theirs {
        let verified = txn.verify_with_results();
        assert!(
            !verified.is_empty() && verified.iter().all(|good| *good),
            "slot {slot}: {}",
            txn.signatures[0]
        );
    }
    let wallet = *throw_away_builder(report.args.seed).unwrap().public_key();
    let own = theirs
        .iter()
        .filter(|(_, txn)| txn.message.static_account_keys()[0].to_bytes() == wallet)
        .count();
    assert_eq!(
        own as u64, report.block_engine.landed,
        "what landed is in the blocks"
    );
    assert!(own as u64 >= report.seen_back());
    let their_keys: BTreeSet<_> = theirs
        .iter()
        .map(|(slot, txn)| (*slot, txn.signatures[0].to_string()))
        .collect();
    let lines = decoded::lines(&bytes, &decoded::verified(leaders, Plan::default()));
    let ours = decoded::transactions(&lines);
    let our_keys: BTreeSet<_> = ours.iter().map(|line| decoded::key(line)).collect();
    assert_eq!(ours.len(), our_keys.len(), "each once");
    assert_eq!(our_keys, their_keys);
}

fn replays_to_one_hash(pcap: &Path, leaders: &Path) {
    let outcomes = [ThreadsArg::Fused, ThreadsArg::Split].map(|threads| {
        let args = ReplayArgs {
            files: vec![pcap.to_owned()],
            config: None,
            leaders: Some(leaders.to_owned()),
            unverified: false,
            seed: Some(3),
            as_fast_as_possible: true,
            threads: Some(threads),
            json: true,
        };
        replay(&args).unwrap()
    });
    assert!(
        outcomes[0].decided.intent_made >= 20,
        "{} intents",
        outcomes[0].decided.intent_made
    );
    assert_eq!(outcomes[0].state_hash, outcomes[1].state_hash);
}

#[test]
fn a_brain_is_heard_and_a_liar_is_not() {
    let _alone = alone();
    let (begun, has_begun) = channel();
    let brain = std::thread::spawn(move || speak(&has_begun));
    let report = play(&args(14, 5), |room| {
        begun.send((room.endpoint(), room.key())).unwrap()
    })
    .unwrap();
    let acknowledged = brain.join().unwrap();
    signals_landed(&report, acknowledged);
}

/// Signals, and no others than those acknowledged, were armed, fired by launches, sent as bundles and seen in blocks.
fn signals_landed(report: &Report, acknowledged: u64) {
    let decided = &report.outcome.decided;
    let seen = format!("{acknowledged} acknowledged: {}", report.json());
    assert_eq!(report.signals, acknowledged, "{seen}");
    assert_eq!(decided.signal_armed, acknowledged, "{seen}");
    assert!(decided.signal_fired > 0, "{seen}");
    assert!(
        decided.bundle_handed_for[of_signal()] > 0 && decided.included_for[of_signal()] > 0,
        "{seen}"
    );
}

/// Goal: from Python to the block and back, with nothing of ours in between but the executor.
/// Method: `brain-bridge/python/tests/live_brain.py` in a process of its own. Skipped without Python and pyzmq.
#[test]
fn a_brain_in_python_lands_bundles_and_its_lies_are_refused() {
    let Some(mut python) = python() else { return };
    let _alone = alone();
    let (begun, has_begun) = channel::<(String, PathBuf)>();
    let brain = std::thread::spawn(move || {
        let (endpoint, key) = has_begun.recv().unwrap();
        python
            .args(["tests/live_brain.py", &endpoint])
            .arg(key)
            .args(["--buys", "14", "--pause-s", "0.4"]);
        python.output().unwrap()
    });
    let report = play(&args(14, 9), |room| {
        begun.send((room.endpoint(), room.key())).unwrap()
    })
    .unwrap();
    let said = said(&brain.join().unwrap());
    let is_ack = |line: &&Value| line["answer"] == "ack";
    let acknowledged = said.iter().filter(is_ack).count();
    assert_eq!(acknowledged, 15, "{said:#?}");
    let refused: Vec<_> = said
        .iter()
        .filter(|line| line["answer"] == "nack")
        .map(|line| {
            (
                line["sent"].as_str().unwrap(),
                line["reason"].as_str().unwrap(),
            )
        })
        .collect();
    let lies = [
        ("replayed", "replay"),
        ("expired", "expired"),
        ("forged", "bad_mac"),
        ("oversized", "oversized"),
    ];
    assert_eq!(refused, lies);
    let counted: BTreeSet<_> = report.signals_refused.iter().copied().collect();
    for (_, reason) in lies {
        assert!(counted.contains(&(reason, 1)), "{counted:?}");
    }
    signals_landed(&report, acknowledged as u64);
}

/// A Python with pyzmq, in the folder of the client; or nothing, and a line that says so.
fn python() -> Option<Command> {
    let import = Command::new("python3").args(["-c", "import zmq"]).output();
    if !import.is_ok_and(|output| output.status.success()) {
        // Not `eprintln`: the harness shows nothing of that when a test passes.
        let line = b"skipped: python3 with pyzmq is not installed, no brain spoke to the demo\n";
        std::io::stderr().write_all(line).unwrap();
        return None;
    }
    let mut command = Command::new("python3");
    command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../brain-bridge/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

/// The JSON lines of a process that ended well.
fn said(output: &Output) -> Vec<Value> {
    let words = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}{errors}");
    words
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What a brain says while the demo runs; the number of signals that were acknowledged.
fn speak(has_begun: &Receiver<(String, PathBuf)>) -> u64 {
    let (endpoint, key) = has_begun.recv().unwrap();
    let key = SharedKey::load(&key).unwrap();
    // Until blocks are deep enough there is no blockhash to sign with.
    sleep(Duration::from_secs(4));
    let mut client =
        BridgeClient::connect(&endpoint, PRODUCER, &key, Duration::from_secs(2)).unwrap();
    let mut acknowledged = 0;
    for id in 1..=6 {
        let answer = client.send(&buy(&client, id)).unwrap();
        assert!(
            matches!(answer, Answer::Ack(reply) if reply.signal_id == id),
            "{answer:?}"
        );
        acknowledged += 1;
        sleep(Duration::from_millis(900));
    }
    let sealed = client.seal(&buy(&client, 100));
    assert!(matches!(
        client.exchange(sealed.as_bytes()),
        Ok(Answer::Ack(_))
    ));
    acknowledged += 1;
    assert_eq!(refusal(&mut client, sealed.as_bytes()), NackReason::Replay);

    let mut late = client.seal(&buy(&client, 101));
    late.t_send_ns -= u64::from(late.ttl_us) * 1_000 + 1_000_000;
    let late = client.reseal(late);
    assert_eq!(refusal(&mut client, late.as_bytes()), NackReason::Expired);

    let mut forged = client.seal(&buy(&client, 102));
    forged.max_notional_lamports ^= 1 << 40;
    assert_eq!(refusal(&mut client, forged.as_bytes()), NackReason::BadMac);

    let mut long = client.seal(&buy(&client, 103)).as_bytes().to_vec();
    long.resize(600, 0);
    assert_eq!(refusal(&mut client, &long), NackReason::Oversized);
    acknowledged
}

fn refusal(client: &mut BridgeClient, bytes: &[u8]) -> NackReason {
    match client.exchange(bytes).unwrap() {
        Answer::Nack { reason, .. } => reason.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn buy(client: &BridgeClient, id: u64) -> Signal {
    Signal {
        producer_id: PRODUCER,
        session_epoch: 0,
        seq: 0,
        flags: SignalFlags::SAME_HOST_CLOCK,
        t_event_ns: now().realtime_ns,
        t_send_ns: 0,
        ttl_us: 5_000_000,
        source_id: 0,
        family: Family::Launch,
        side: Side::Buy,
        as_of_slot: client.hello().current_slot,
        mint: NEXT_LAUNCH,
        conviction_ppm: 900_000,
        confidence_ppm: 900_000,
        max_notional_lamports: 50_000_000,
        max_slippage_bps: 500,
        expected_edge_bps: 0,
        evidence_id: [id as u8; 16],
        signal_id: id,
    }
}

#[test]
fn a_planted_fault_lands_nothing() {
    let _alone = alone();
    let plants = [
        Plant::WrongTip,
        Plant::StaleBlockhash,
        Plant::BrokenSignature,
    ];
    std::thread::scope(|scope| {
        for plant in plants {
            scope.spawn(move || {
                let report = play(
                    &DemoArgs {
                        plant: Some(plant),
                        ..args(8, 7)
                    },
                    |_| {},
                )
                .unwrap();
                let engine = &report.block_engine;
                let seen = format!("{plant:?}: {}", report.json());
                assert_eq!(report.verdict(), Ok(()), "{seen}");
                assert!(engine.received > 0, "{seen}");
                assert_eq!((engine.landed, report.seen_back()), (0, 0), "{seen}");
            });
        }
    });
}
