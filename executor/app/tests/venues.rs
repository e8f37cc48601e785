//! Goal: builders are checked and venues watched through an RPC node, whatever that node says, and the operator sees and
//! decides it. Method: a node made here, which answers over HTTP in the shapes of a real one.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bundle::{BuilderConfig, RecentBlockhash, WatchOnly, pda};
use market::{Key, Lamports, Mint, PumpAccounts, Side, TokenAmount, pump};
use overmind::config::VenuesPlan;
use overmind::venues::VenueWatch;
use risk::{Control, Disabled, Mode};
use serde_json::{Value, json};
use shred_wire::{Nanos, Slot};
use sidecar::Endpoint;
use strategy::{Intent, LaneClass, Origin, Venue};
use venue_check::{ChainError, Checker, Guard, RpcChain, Verdict};

const TRADER: Key = [0x77; 32];
const COIN: Key = [0x11; 32];
/// A second coin, that some tests have traded, too.
const OTHER_COIN: Key = [0x12; 32];
const CREATOR: Key = [0x22; 32];
/// Where the code of Pump's program lies, in this world.
const CODE: Key = [0x33; 32];
const LOADER: &str = "BPFLoaderUpgradeab1e11111111111111111111111";

/// What the node knows.
#[derive(Default)]
struct Knowledge {
    /// Owner, lamports, data.
    accounts: HashMap<Key, (Key, u64, Vec<u8>)>,
    landed: Vec<Vec<u8>>,
    /// `value` of `simulateTransaction`.
    simulated: Value,
    /// Options of the last simulation that was asked for.
    options: Value,
    /// Leaves the optional `space` of accounts out.
    without_space: bool,
    /// Answers with this instead of anything.
    error: Option<Value>,
}

struct Node {
    address: String,
    known: Arc<Mutex<Knowledge>>,
}

impl Node {
    /// A node that knows Pump's program, one coin, and somebody who traded it.
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let known = Arc::new(Mutex::new(knowledge()));
        let shared = Arc::clone(&known);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &shared);
            }
        });
        Self { address, known }
    }

    fn known(&self) -> MutexGuard<'_, Knowledge> {
        self.known.lock().unwrap()
    }

    fn deploy(&self, slot: u64) {
        let mut known = self.known();
        let (_, _, data) = known.accounts.get_mut(&CODE).unwrap();
        data[4..12].copy_from_slice(&slot.to_le_bytes());
    }
}

fn knowledge() -> Knowledge {
    let loader = market::base58::key(LOADER);
    let mut known = Knowledge {
        simulated: passed(),
        ..Knowledge::default()
    };
    let mut put = |key: Key, owner: Key, lamports: u64, data: Vec<u8>| {
        known.accounts.insert(key, (owner, lamports, data));
    };
    put(
        pump::PROGRAM,
        loader,
        1,
        [&[2, 0, 0, 0][..], &CODE].concat(),
    );
    let mut code = vec![0; 200];
    code[0] = 3;
    put(CODE, loader, 1, code);
    put(pump::GLOBAL, pump::PROGRAM, 1, vec![1; 64]);
    put(TRADER, [0; 32], 50_000_000_000, Vec::new());
    put_coin(&mut known, &COIN);
    known
}

/// A coin on its curve, and a trade of it that landed.
fn put_coin(known: &mut Knowledge, coin: &Key) {
    let mut put = |key: Key, owner: Key, data: Vec<u8>| {
        known.accounts.insert(key, (owner, 1, data));
    };
    // SPL mint: supply at 36, decimals, initialised.
    let mut mint = vec![0; 82];
    mint[36..44].copy_from_slice(&1_000_000_000_000_000_u64.to_le_bytes());
    (mint[44], mint[45]) = (6, 1);
    put(*coin, pump::TOKEN_PROGRAM, mint);
    let curve = pda::bonding_curve(coin).unwrap();
    put(curve, pump::PROGRAM, curve_data());
    // SPL account: mint, owner, amount, state.
    let mut purse = [&coin[..], &TRADER].concat();
    purse.extend(5_000_000_000_000_u64.to_le_bytes());
    purse.resize(165, 0);
    purse[108] = 1;
    let at = pda::associated_token_account(&TRADER, &pump::TOKEN_PROGRAM, coin).unwrap();
    put(at, pump::TOKEN_PROGRAM, purse);
    known.landed.push(trade(coin));
}

fn curve_data() -> Vec<u8> {
    let mut data = vec![0x17, 0xb7, 0xf8, 0x37, 0x60, 0xd8, 0xac, 0x60];
    for word in [
        1_073_000_000_000_000_u64,
        30_000_000_000,
        793_100_000_000_000,
        0,
        1_000_000_000_000_000,
    ] {
        data.extend(word.to_le_bytes());
    }
    data.push(0);
    data.extend(CREATOR);
    data.resize(256, 0);
    data
}

/// A trade that landed: a sale is a buy's bytes to whoever only looks who trades what.
fn trade(coin: &Key) -> Vec<u8> {
    let curve = pda::bonding_curve(coin).unwrap();
    let accounts = PumpAccounts {
        mint: Mint(*coin),
        bonding_curve: curve,
        associated_bonding_curve: pda::associated_token_account(&curve, &pump::TOKEN_PROGRAM, coin)
            .unwrap(),
        token_program: pump::TOKEN_PROGRAM,
        quote_mint: pump::WRAPPED_SOL,
        creator: CREATOR,
        ..PumpAccounts::default()
    };
    let intent = Intent {
        id: 1,
        origin: Origin::Launch,
        venue: Venue::PumpV3,
        lane: LaneClass::PrivateBundle,
        side: Side::Buy,
        mint: Mint(*coin),
        spend: Lamports(1_000_000),
        tokens: TokenAmount(1_000_000),
        receive_min: Lamports(0),
        tip: Lamports(1_000),
        slot: Slot(1),
        at: Nanos(1),
        accounts: accounts.into(),
    };
    let blockhash = RecentBlockhash {
        hash: [9; 32],
        slot: Slot(1),
    };
    let mut builder = WatchOnly::new(&BuilderConfig::default(), &TRADER).unwrap();
    builder.build(&intent, &blockhash).unwrap().into_bytes()
}

fn passed() -> Value {
    json!({"err": null, "logs": ["Program log: fine"], "unitsConsumed": 51_780, "accounts": null, "returnData": null})
}

fn failed() -> Value {
    json!({"err": {"InstructionError": [3, {"Custom": 2006}]}, "unitsConsumed": 900, "logs": [
        "Program 6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P invoke [1]",
        "Program 6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P failed: custom program error: 0x7d6",
    ]})
}

fn answer(mut stream: TcpStream, known: &Mutex<Knowledge>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let body = loop {
        let mut some = [0; 4_096];
        let len = stream.read(&mut some)?;
        if len == 0 {
            return Ok(());
        }
        request.extend_from_slice(&some[..len]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let lower = head.to_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .unwrap();
        if body.len() == length.trim().parse::<usize>().unwrap() {
            break body.to_owned();
        }
    };
    let question: Value = serde_json::from_str(&body).unwrap();
    let mut known = known.lock().unwrap();
    let answer = match known.error.clone() {
        Some(error) => json!({"jsonrpc": "2.0", "id": 1, "error": error}),
        None => json!({"jsonrpc": "2.0", "id": 1, "result": result(&question, &mut known)}),
    };
    let answer = answer.to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )
}

fn result(question: &Value, known: &mut Knowledge) -> Value {
    let params = &question["params"];
    match question["method"].as_str().unwrap() {
        "getMultipleAccounts" => {
            let keys = params[0].as_array().unwrap().iter();
            let first = params[1]["dataSlice"]["length"].as_u64();
            let accounts = keys.map(|key| {
                let mut found = [0; 32];
                bs58::decode(key.as_str().unwrap()).onto(&mut found).unwrap();
                let Some((owner, lamports, data)) = known.accounts.get(&found) else {
                    return Value::Null;
                };
                let shown = first.map_or(data.len(), |first| data.len().min(first as usize));
                let mut account = json!({
                    "data": [base64(&data[..shown]), "base64"], "executable": false, "lamports": lamports,
                    "owner": bs58::encode(owner).into_string(), "rentEpoch": u64::MAX,
                });
                if !known.without_space {
                    account["space"] = data.len().into();
                }
                account
            });
            json!({"context": {"slot": 77}, "value": accounts.collect::<Vec<_>>()})
        }
        "getSignaturesForAddress" => {
            let is_pump = params[0] == bs58::encode(pump::PROGRAM).into_string();
            let count = if is_pump { known.landed.len() } else { 0 };
            let entry =
                |index: usize| json!({"signature": format!("{index}"), "slot": 77, "err": null});
            (0..count).map(entry).collect()
        }
        "getTransaction" => {
            let index: usize = params[0].as_str().unwrap().parse().unwrap();
            json!({
                "slot": 77, "transaction": [base64(&known.landed[index]), "base64"], "version": 0,
                "meta": {"err": null, "loadedAddresses": {"writable": [], "readonly": []}},
            })
        }
        "simulateTransaction" => {
            known.options = params[1].clone();
            json!({"context": {"slot": 77}, "value": known.simulated})
        }
        other => panic!("{other} is not asked for"),
    }
}

fn base64(bytes: &[u8]) -> String {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let bits = group[0] << 16 | group[1] << 8 | group[2];
        for place in 0..4 {
            let digit = digits[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place > chunk.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

/// A folder of one test, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "overmind-drift-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn watch(node: &Node, home: &Folder) -> (VenueWatch, Arc<Control>) {
    let plan = VenuesPlan {
        rpc: Some(Endpoint::parse(&node.address).unwrap()),
        check_at_start: true,
        watch_interval: Duration::from_millis(20),
    };
    let control = Arc::new(Control::new(Mode::Active));
    let builder = BuilderConfig::default();
    let watch = VenueWatch::start(&plan, &builder, Arc::clone(&control), Some(&home.0)).unwrap();
    (watch, control)
}

#[track_caller]
fn wait_for(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < end, "it did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_checked(control: &Control) -> bool {
    let mut all = Venue::ALL.into_iter();
    all.all(|venue| control.venues().disabled(venue) != Some(Disabled::Unchecked))
}

/// What is said until the check at start is over.
fn said_of_start(watch: &mut VenueWatch) -> Vec<String> {
    let (mut said, end) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    let is_over = |line: &String| line.starts_with("venues checked at start");
    while !said.iter().any(is_over) {
        assert!(Instant::now() < end, "{said:?}");
        said.extend(watch.changes());
        std::thread::sleep(Duration::from_millis(5));
    }
    said
}

fn disabled(control: &Control, venue: Venue) -> Option<Disabled> {
    control.venues().disabled(venue)
}

/// Nothing is entered before the check; what passes is; a program deployed again stops it while it runs and over a
/// restart; the operator lets it go on after a new check.
#[test]
fn a_venue_is_checked_watched_disabled_and_enabled() {
    let (node, home) = (Node::new(), Folder::new());
    let (mut first, control) = watch(&node, &home);
    wait_for(|| is_checked(&control));
    let status = first.book().status();
    for (place, venue) in [(0, "pump_v3"), (1, "pump_v2")] {
        let shown = &status["venues"][place];
        assert_eq!(shown["name"], venue);
        assert_eq!(shown["enabled"], true, "{shown}");
        for side in ["buy", "sell"] {
            assert_eq!(shown[side]["verdict"], "passed", "{shown}");
            assert_eq!(shown[side]["units"], 51_780);
        }
    }
    assert_eq!(
        status["venues"][4]["buy"]["verdict"], "unknown",
        "nobody trades there"
    );
    assert_eq!(disabled(&control, Venue::RaydiumCp), None);
    let options = node.known().options.clone();
    assert_eq!(
        (
            &options["sigVerify"],
            &options["replaceRecentBlockhash"],
            &options["encoding"]
        ),
        (&json!(false), &json!(true), &json!("base64"))
    );
    let said = said_of_start(&mut first);
    assert!(
        said[0].starts_with("venues are checked at ")
            && said[0].ends_with("none is entered before"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("venues checked at start: 4 builders passed, 0 failed, 8 unknown (no recent trade of")
            && said[1].ends_with(
                "enabled: pump_v3, pump_v2; entered unchecked: pump_swap, raydium_amm, raydium_cp, launchlab; disabled: none"
            ),
        "{said:?}"
    );
    assert!(said.len() == 2 && first.changes().is_empty(), "{said:?}");

    node.deploy(999);
    wait_for(|| disabled(&control, Venue::PumpV3).is_some());
    wait_for(|| disabled(&control, Venue::PumpV2).is_some());
    assert_eq!(
        disabled(&control, Venue::PumpV3),
        Some(Disabled::ProgramChanged)
    );
    assert_eq!(disabled(&control, Venue::PumpSwap), None);
    let said = first.changes().join("\n");
    assert!(
        said.contains("venue pump_v3 is disabled") && said.contains("slot 999, before 0"),
        "{said}"
    );
    drop(first);

    let (mut second, control) = watch(&node, &home);
    wait_for(|| is_checked(&control));
    assert_eq!(
        disabled(&control, Venue::PumpV3),
        Some(Disabled::ProgramChanged),
        "over a restart"
    );
    assert_eq!(second.book().enable(Venue::PumpV3, false)["checking"], true);
    wait_for(|| disabled(&control, Venue::PumpV3).is_none());
    wait_for(|| second.book().status()["pending"] == json!([]));
    assert_eq!(
        disabled(&control, Venue::PumpV2),
        Some(Disabled::ProgramChanged)
    );
    let said = second.changes().join("\n");
    assert!(
        said.contains("pump_v3 is enabled by the operator, after a check"),
        "{said}"
    );
}

/// Goal: a node that leaves an optional member out, or another one behind the same address that does not, is no change of a
/// program.
#[test]
fn accounts_without_space_are_no_changed_layout() {
    let (node, home) = (Node::new(), Folder::new());
    for without in [false, true, false] {
        node.known().without_space = without;
        let (mut watch, control) = watch(&node, &home);
        wait_for(|| is_checked(&control));
        let looks = || watch.book().status()["looks"].as_u64().unwrap();
        let seen = looks();
        node.known().without_space = !without;
        wait_for(|| looks() > seen + 2);
        for venue in Venue::ALL {
            assert_eq!(disabled(&control, venue), None, "{without}: {venue:?}");
        }
        let said = said_of_start(&mut watch).join("\n");
        assert!(said.contains("4 builders passed, 0 failed"), "{said}");
    }
    node.known().without_space = true;
    let (_watch, control) = watch(&node, &home);
    node.deploy(9);
    wait_for(|| disabled(&control, Venue::PumpV3) == Some(Disabled::ProgramChanged));
}

/// Goal: wherever the time of a check ends, what it has not come to is not checked and changes nothing; but a trade that
/// failed, and no other that passed, is a failure. Method: the end after every number of questions, of two coins the first
/// with a quirk.
#[test]
fn a_check_that_is_cut_off_fails_only_by_a_trade_that_failed() {
    let mut known = knowledge();
    put_coin(&mut known, &OTHER_COIN);
    let (mut cut_count, mut failed_count) = (0, 0);
    for questions_max in 0..500 {
        let (mut asked, mut simulated) = (0, 0);
        let mut chain = RpcChain::new(|method: &'static str, params: Value| {
            if asked == questions_max {
                return Err(ChainError::OutOfTime);
            }
            asked += 1;
            if method == "simulateTransaction" {
                simulated += 1;
                known.simulated = if simulated % 2 == 1 {
                    failed()
                } else {
                    passed()
                };
            }
            let question = json!({"method": method, "params": params});
            Ok(Some(result(&question, &mut known)))
        });
        let control = Arc::new(Control::new(Mode::Active));
        let mut guard = Guard::new(Arc::clone(&control), None);
        let mut checker = Checker::new(BuilderConfig::default());
        let mut is_cut = false;
        for venue in [Venue::PumpV3, Venue::PumpV2] {
            let checked = checker.check(&mut chain, venue);
            let mut has_failed = false;
            for side in &checked {
                let passed = matches!(side.verdict, Verdict::Passed { .. });
                has_failed |= matches!(side.verdict, Verdict::Failed(_));
                is_cut |= !passed;
                assert!(
                    passed || has_failed || side.verdict == Verdict::OutOfTime,
                    "{side:?}"
                );
            }
            guard.note_checked(venue, checked);
            let reason = has_failed.then_some(Disabled::CheckFailed);
            assert_eq!(disabled(&control, venue), reason);
            failed_count += u32::from(has_failed);
        }
        if !is_cut {
            break;
        }
        cut_count += 1;
    }
    assert!((10..500).contains(&cut_count), "{cut_count}");
    assert!((1..cut_count).contains(&failed_count), "{failed_count}");
}

/// A change while nobody looked.
#[test]
fn a_program_deployed_between_two_runs_disables_at_the_second_start() {
    let (node, home) = (Node::new(), Folder::new());
    let (first, control) = watch(&node, &home);
    wait_for(|| is_checked(&control));
    drop(first);
    node.deploy(5);
    let (_second, control) = watch(&node, &home);
    wait_for(|| is_checked(&control));
    assert_eq!(
        disabled(&control, Venue::PumpV3),
        Some(Disabled::ProgramChanged)
    );
}

#[test]
fn a_builder_that_fails_disables_its_venue_and_is_not_enabled_by_asking() {
    let (node, home) = (Node::new(), Folder::new());
    node.known().simulated = failed();
    let (mut watch, control) = watch(&node, &home);
    wait_for(|| is_checked(&control));
    assert_eq!(
        disabled(&control, Venue::PumpV3),
        Some(Disabled::CheckFailed)
    );
    let said = watch.changes().join("\n");
    assert!(said.contains("pump: error 2006"), "{said}");
    let book = watch.book();
    assert_eq!(book.enable(Venue::PumpV3, false)["ok"], true);
    wait_for(|| book.status()["pending"] == json!([]));
    let why = book.status()["refusals"]["pump_v3"].clone();
    assert!(why.as_str().unwrap().contains("error 2006"), "{why}");
    assert_eq!(
        disabled(&control, Venue::PumpV3),
        Some(Disabled::CheckFailed)
    );
    assert_eq!(book.enable(Venue::PumpV3, true)["enabled"], true);
    assert_eq!(disabled(&control, Venue::PumpV3), None);
}

/// Nobody can say: said, shown, and no reason to stop.
#[test]
fn a_node_that_answers_nothing_useful_leaves_every_venue_unknown_and_open() {
    let (node, home) = (Node::new(), Folder::new());
    node.known().error = Some(json!({"code": -32601, "message": "Method not found"}));
    let (mut watch, control) = watch(&node, &home);
    wait_for(|| is_checked(&control));
    for venue in Venue::ALL {
        assert_eq!(disabled(&control, venue), None, "{venue:?}");
    }
    let status = watch.book().status();
    assert_eq!(status["venues"][0]["buy"]["verdict"], "unknown");
    assert!(
        status["venues"][0]["buy"]["why"]
            .as_str()
            .unwrap()
            .contains("does not know")
    );
    let said = said_of_start(&mut watch).join("\n");
    assert!(said.contains("venues are not watched"), "{said}");
    assert!(
        said.contains("0 builders passed, 0 failed, 12 unknown (the node does not know")
            && said.contains("enabled: none; entered unchecked: pump_v3,"),
        "{said}"
    );
    let book = watch.book();
    assert_eq!(book.enable(Venue::PumpV3, false)["ok"], true);
    wait_for(|| book.status()["pending"] == json!([]));
    let why = book.status()["refusals"]["pump_v3"].clone();
    let why = why.as_str().unwrap();
    assert!(
        why.starts_with("venue pump_v3 was not checked (the node does not know")
            && why.ends_with("it stays as it was: enabled"),
        "{why}"
    );
    assert_eq!(book.enable(Venue::PumpV3, true)["ok"], true);
    assert_eq!(book.status()["unsaved"], true);
    let _ = watch.changes();
    assert_eq!(book.status()["unsaved"], false);
    assert!(home.0.join("venues.json").exists());

    let (code, said) = doctor(&home, Some(&node.address));
    assert_eq!(code, 5, "{said}");
    assert_eq!(said.matches("does not know").count(), 1, "{said}");
    assert!(
        said.contains("every one unknown: the node does not know getMultipleAccounts; is this a Solana RPC node?"),
        "{said}"
    );
    std::fs::write(home.0.join("venues.json"), "{").unwrap();
    let (code, said) = doctor(&home, Some(&node.address));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("venues.json cannot be read ("), "{said}");
}

/// A node that accepts and says nothing costs one wait, not one for each venue.
#[test]
fn a_node_that_hangs_is_asked_once_in_a_round() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (home, accepted) = (Folder::new(), Arc::new(AtomicU32::new(0)));
    let count = Arc::clone(&accepted);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Relaxed);
            kept.push(stream);
        }
    });
    let began = Instant::now();
    let (code, said) = doctor(&home, Some(&address));
    assert!(began.elapsed() < Duration::from_secs(19), "{said}");
    assert_eq!((code, accepted.load(Relaxed)), (5, 1), "{said}");
    assert_eq!(said.matches("no answer within").count(), 1, "{said}");
}

fn doctor(home: &Folder, rpc: Option<&str>) -> (i32, String) {
    let config = home.0.join("overmind.toml");
    let rpc = rpc.map_or_else(String::new, |rpc| format!("[venues]\nrpc = \"{rpc}\"\n"));
    let source =
        "[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:1\"\npolicy = \"unverified\"\n";
    std::fs::write(&config, format!("{rpc}{source}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_overmind"));
    command
        .args(["doctor", "--venues", "--config"])
        .arg(&config);
    command.env("STATE_DIRECTORY", &home.0).stdin(Stdio::null());
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    (status.code().unwrap(), said)
}

#[test]
fn the_doctor_says_what_passed_what_changed_and_what_nobody_knows() {
    let (node, home) = (Node::new(), Folder::new());
    let (code, said) = doctor(&home, None);
    assert_eq!(code, 5, "{said}");
    assert!(
        said.contains("no RPC node is named") && !said.contains("passed"),
        "{said}"
    );

    let (code, said) = doctor(&home, Some(&node.address));
    assert_eq!(code, 5, "venues that nobody trades are unknown: {said}");
    let row = said
        .lines()
        .find(|line| line.starts_with("pump_v3      buy"))
        .unwrap();
    assert!(
        row.contains("passed") && row.contains("51780 of 130000"),
        "{row}"
    );
    assert!(said.contains("new       pump 6EF8rrec"), "{said}");

    let (first, control) = watch(&node, &home);
    wait_for(|| is_checked(&control));
    drop(first);
    let (_, said) = doctor(&home, Some(&node.address));
    assert!(said.contains("accepted  pump 6EF8rrec"), "{said}");
    node.deploy(12);
    let (code, said) = doctor(&home, Some(&node.address));
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("changed   pump 6EF8rrec") && said.contains("slot 12, before 0"),
        "{said}"
    );

    node.known().simulated = failed();
    let (code, said) = doctor(&home, Some(&node.address));
    assert_eq!(code, 1, "{said}");
    assert!(
        said.contains("failed") && said.contains("error 2006"),
        "{said}"
    );
}
