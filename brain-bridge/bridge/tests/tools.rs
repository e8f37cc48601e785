//! The tools as a user runs them: `signal-inject`, and the Python client and its example.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::Ordering::Relaxed;

use brain_wire::Side;
use serde_json::Value;
use support::Rig;

fn inject(rig: &Rig, arguments: &[&str]) -> (i32, Vec<Value>) {
    let output = Command::new(env!("CARGO_BIN_EXE_signal-inject"))
        .args([
            "--endpoint",
            &rig.config.endpoint,
            "--timeout-ms",
            "5000",
            "--json",
            "--key",
        ])
        .arg(rig.dir.path().join("brain.key"))
        .args(arguments)
        .output()
        .unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let answers = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (output.status.code().unwrap(), answers)
}

const BUY: [&str; 5] = ["--next-launch", "--side", "buy", "--notional-sol", "0.05"];

#[test]
fn signal_inject_sends_what_its_flags_say() {
    let mut rig = Rig::new();
    rig.shared.current_slot.store(4_242, Relaxed);
    let (code, answers) = inject(
        &rig,
        &[&BUY[..], &["--signal-id", "77", "--ttl-ms", "800"]].concat(),
    );
    assert_eq!((code, &answers[0]["result"]), (0, &Value::from("ack")));
    let armed = rig.ring.pop().unwrap();
    assert!(armed.signal.is_next_launch());
    assert_eq!((armed.signal.side, armed.signal.signal_id), (Side::Buy, 77));
    assert_eq!(
        (armed.max_notional_lamports, armed.signal.ttl_us),
        (50_000_000, 800_000)
    );
    assert_eq!(
        (armed.signal.as_of_slot, armed.signal.confidence_ppm),
        (4_242, 900_000)
    );

    let wrapped_sol = "So11111111111111111111111111111111111111112";
    let (code, _) = inject(
        &rig,
        &[
            "--mint",
            wrapped_sol,
            "--side",
            "veto",
            "--evidence",
            "00112233445566778899aabbccddeeff",
        ],
    );
    assert_eq!(code, 0);
    let armed = rig.ring.pop().unwrap();
    assert!(armed.signal.is_veto());
    assert_eq!(armed.signal.mint[..2], [0x06, 0x9b]);
    assert_eq!(armed.signal.evidence_id[..3], [0x00, 0x11, 0x22]);
}

#[test]
fn signal_inject_shows_each_refusal() {
    let mut rig = Rig::new();
    for (flag, reason) in [
        ("--expired", "expired"),
        ("--forge", "bad_mac"),
        ("--oversize", "oversized"),
        ("--repeat-last", "replay"),
    ] {
        let (code, answers) = inject(&rig, &[&BUY[..], &[flag]].concat());
        let last = answers.last().unwrap();
        assert_eq!((code, &last["reason"]), (3, &Value::from(reason)), "{flag}");
        assert!(!last["hint"].as_str().unwrap().is_empty());
    }
    assert_eq!(
        rig.ring.slots(),
        1,
        "only the first of the repeated pair was armed"
    );
    let (code, answers) = inject(&rig, &[&BUY[..], &["--producer", "9"]].concat());
    assert_eq!(
        (code, &answers[0]["reason"]),
        (3, &Value::from("unknown_producer"))
    );
    rig.handle.take().unwrap().stop().unwrap();
    let (code, answers) = inject(&rig, &[&BUY[..], &["--timeout-ms", "200"]].concat()[..]);
    assert_eq!(
        (code, answers.len()),
        (2, 0),
        "a flag given twice is a usage error"
    );
}

#[test]
fn signal_inject_has_documented_exit_codes() {
    let rig = Rig::new();
    let run = |arguments: &[&str]| -> Output {
        Command::new(env!("CARGO_BIN_EXE_signal-inject"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let key = rig.dir.path().join("brain.key");
    let key = key.to_str().unwrap();
    let nowhere = format!("ipc://{}/nobody.ipc", rig.dir.path().display());
    let silent = run(&[
        &["--endpoint", &nowhere, "--key", key, "--timeout-ms", "200"],
        &BUY[..],
    ]
    .concat());
    assert_eq!(silent.status.code(), Some(4));
    for arguments in [
        &["--key", key, "--side", "buy", "--next-launch"][..],
        &[
            "--key",
            key,
            "--side",
            "buy",
            "--next-launch",
            "--notional-sol",
            "5e-2",
        ],
        &["--key", key, "--side", "buy", "--notional-sol", "1"],
        &["--key", key, "--side", "sell", "--mint", "0OIl"],
        &["--key", "/no/such/key", "--side", "sell", "--next-launch"],
        &["--side", "sell", "--next-launch"],
        &["--keygen", key],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let fresh = rig.dir.path().join("fresh.key");
    assert_eq!(
        run(&["--keygen", fresh.to_str().unwrap()]).status.code(),
        Some(0)
    );
    let help = String::from_utf8(run(&["--help"]).stdout).unwrap();
    assert!(help.contains("Examples:") && help.contains("Exit codes:"));
}

fn python_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../python")
}

/// A Python with pyzmq, or nothing and a line that says so.
fn python() -> Option<Command> {
    let import = Command::new("python3").args(["-c", "import zmq"]).output();
    if !import.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 with pyzmq is not installed");
        return None;
    }
    let mut command = Command::new("python3");
    command
        .current_dir(python_directory())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

#[test]
fn the_python_example_arms_a_signal() {
    let Some(mut command) = python() else { return };
    let mut rig = Rig::new();
    rig.shared.current_slot.store(4_242, Relaxed);
    command
        .arg("examples/send_signal.py")
        .arg(&rig.config.endpoint)
        .arg(rig.dir.path().join("brain.key"));
    let printed = succeed(&mut command);
    assert!(printed.contains("armed"), "{printed}");
    let armed = rig.ring.pop().unwrap();
    assert!(armed.signal.is_next_launch());
    assert_eq!(
        (armed.signal.side, armed.max_notional_lamports),
        (Side::Buy, 50_000_000)
    );
    assert_eq!(
        (armed.signal.as_of_slot, armed.signal.seq),
        (4_242, 2),
        "after one heartbeat"
    );
}

#[test]
fn the_python_tests_pass_against_this_bridge() {
    let Some(mut command) = python() else { return };
    let rig = Rig::new();
    command
        .args(["-m", "unittest"])
        .env("OVERMIND_TEST_ENDPOINT", &rig.config.endpoint)
        .env("OVERMIND_TEST_KEY", rig.dir.path().join("brain.key"));
    succeed(&mut command);
    assert!(rig.shared.stats.signal_accepted.load(Relaxed) > 0);
}
