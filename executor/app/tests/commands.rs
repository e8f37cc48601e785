//! The commands as a newcomer meets them: what they print, where, and how they end.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A folder of one test, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let path =
            std::env::temp_dir().join(format!("overmind-commands-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn overmind(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overmind"));
    command.args(words).stdin(Stdio::null());
    for variable in [
        "NOTIFY_SOCKET",
        "STATE_DIRECTORY",
        "RUNTIME_DIRECTORY",
        "XDG_RUNTIME_DIR",
    ] {
        command.env_remove(variable);
    }
    command
}

#[track_caller]
fn said(words: &[&str], code: i32) -> (String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = overmind(words).output().unwrap();
    let (out, err) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert_eq!(status.code(), Some(code), "{words:?}\n{out}\n{err}");
    (out, err)
}

#[track_caller]
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(40), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that is killed when dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(silent.spawn().unwrap())
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: the number is that of a child that has not been waited for.
        let sent = unsafe { libc::kill(self.0.id() as libc::pid_t, signal) };
        assert_eq!(sent, 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Goal: nobody takes a damaged capture, or leaders of another chain, for a quiet market.
#[test]
fn decode_and_replay_say_what_is_wrong_with_their_files() {
    let folder = Folder::new();
    let pcap = folder.file("demo.pcap");
    let (table, _) = said(&["demo", "--seconds", "2", "--pcap", &pcap], 0);
    for words in [
        "over UDP (",
        "in flight at the end",
        "waiting for a leader that takes bundles",
    ] {
        assert!(table.contains(words), "{words}\n{table}");
    }
    let leaders = folder.file("demo.leaders.json");
    let both = |pcap: &str, leaders: &str| {
        [
            said(&["decode", pcap, "--leaders", leaders], 0).1,
            said(
                &[
                    "replay",
                    pcap,
                    "--leaders",
                    leaders,
                    "--as-fast-as-possible",
                ],
                0,
            )
            .1,
        ]
    };
    assert_eq!(both(&pcap, &leaders), ["", ""]);

    let err = said(&["decode", &pcap, "--shred-version", "1"], 0).1;
    assert!(
        err.starts_with("shred version 1: ") && err.contains("of another"),
        "{err}"
    );
    let config = folder.file("overmind.toml");
    let named = format!("[ingest]\nleaders_file = {leaders:?}\n[http]\nenabled = false\n");
    std::fs::write(&config, named).unwrap();
    let words = [
        "replay",
        &pcap,
        "--as-fast-as-possible",
        "--config",
        &config,
    ];
    let (table, err) = said(&words, 0);
    assert!(
        err.is_empty() && !table.contains("(0 used)"),
        "{err}{table}"
    );

    let whole = std::fs::read(&pcap).unwrap();
    let cut = folder.file("cut.pcap");
    std::fs::write(&cut, &whole[..whole.len() - 5]).unwrap();
    for said in both(&cut, &leaders) {
        assert!(
            said.starts_with(&format!("{cut}: damaged or cut short")),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }

    let text = std::fs::read_to_string(&leaders).unwrap();
    let named: serde_json::Map<String, Value> = serde_json::from_str(&text).unwrap();
    let with = |name: &str, slot: &dyn Fn(&str) -> String| {
        let stranger = "11111111111111111111111111111112";
        let named: serde_json::Map<_, _> = named
            .keys()
            .map(|key| (slot(key), stranger.into()))
            .collect();
        let path = folder.file(name);
        std::fs::write(&path, Value::Object(named).to_string()).unwrap();
        path
    };
    let strangers = with("strangers.json", &str::to_owned);
    let elsewhere = with("elsewhere.json", &|slot| format!("1{slot}"));
    for (leaders, reason) in [(strangers, "did not sign"), (elsewhere, "names no leader")] {
        for said in both(&pcap, &leaders) {
            assert!(
                said.starts_with("leaders file: ") && said.contains(reason),
                "{said}"
            );
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
}

#[test]
fn a_path_that_cannot_be_used_is_named() {
    let folder = Folder::new();
    let pcap = folder.file("nowhere/demo.pcap");
    let (_, err) = said(&["demo", "--seconds", "1", "--pcap", &pcap], 2);
    assert!(err.contains(&pcap), "{err}");

    let config = folder.file("overmind.toml");
    std::fs::write(&config, "[http]\nenabled = false\n").unwrap();
    let output = overmind(&["run", "--embedded-market", "--config", &config])
        .env("RUNTIME_DIRECTORY", &folder.0)
        .env("STATE_DIRECTORY", &config)
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && err.contains(&config),
        "{err}"
    );
}

fn run_command(folder: &Folder, runtime: &Path) -> Command {
    let config = folder.file("overmind.toml");
    std::fs::write(
        &config,
        "[http]\nenabled = false\n[threads]\nidle = \"park\"\n",
    )
    .unwrap();
    let mut command = overmind(&["run", "--embedded-market", "--config", &config]);
    command
        .env("STATE_DIRECTORY", folder.0.join("state"))
        .env("RUNTIME_DIRECTORY", runtime);
    command
}

#[test]
fn two_executors_do_not_share_a_state_directory_and_status_has_headings() {
    let folder = Folder::new();
    let (first_room, second_room) = (folder.0.join("first"), folder.0.join("second"));
    let first = Running::start(&mut run_command(&folder, &first_room));
    let socket = first_room.join("admin.sock");
    until("the first one runs", || socket.exists());

    let second = run_command(&folder, &second_room).output().unwrap();
    let err = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{err}");
    for words in [
        &folder.file("state"),
        &format!("(process {})", first.0.id()),
    ] {
        assert!(err.contains(words), "{words}: {err}");
    }

    let status = |more: &[&str]| {
        let words = [&["status", "--socket", socket.to_str().unwrap()][..], more].concat();
        String::from_utf8(overmind(&words).output().unwrap().stdout).unwrap()
    };
    until("datagrams come", || status(&[]).contains("last datagram"));
    let some = status(&[]);
    for heading in [
        "\nsource\n",
        "\nresolve\n",
        "\nmarket and strategy\n",
        "\nrisk\n",
        "\nbundle and submit\n",
        "\nbridge\n",
    ] {
        assert!(some.contains(heading), "{heading}\n{some}");
    }
    assert!(!some.contains("refused: halted"), "{some}");
    assert!(status(&["--all"]).contains("refused: halted"));
    let object: Value = serde_json::from_str(&status(&["--json"])).unwrap();
    assert_eq!(object["intents_refused"]["halted"], 0, "{object}");
    assert!(
        object["bridge"].is_null(),
        "no bridge was configured: {object}"
    );

    first.signal(libc::SIGTERM);
    let mut first = first;
    until("it ends", || first.0.try_wait().unwrap().is_some());
    assert!(!socket.exists());
}

/// Goal: a leaders file of another epoch is not a healthy executor that finds nothing to do.
#[test]
fn an_executor_that_can_use_no_shred_says_so() {
    let folder = Folder::new();
    let pcap = folder.file("demo.pcap");
    said(&["demo", "--seconds", "1", "--pcap", &pcap], 0);
    let wrong = folder.file("wrong.json");
    std::fs::write(&wrong, r#"{"7":"11111111111111111111111111111112"}"#).unwrap();
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    drop(receiver);
    let config = folder.file("overmind.toml");
    let text = format!(
        "[ingest]\nleaders_file = {wrong:?}\n[[ingest.sources]]\nname = \"a\"\nbind = \"{address}\"\n\
         [http]\nenabled = false\n[threads]\nidle = \"park\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let log = std::fs::File::create(folder.file("log")).unwrap();
    let mut service = Running(
        overmind(&["run", "--json", "--config", &config])
            .env("STATE_DIRECTORY", folder.0.join("state"))
            .env("RUNTIME_DIRECTORY", folder.0.join("room"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let socket = folder.file("room/admin.sock");
    until("it serves", || Path::new(&socket).exists());
    let datagrams = datagrams(&pcap);
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut next = datagrams.iter().cycle();
    let status = || {
        let words = ["status", "--json", "--socket", &socket];
        let output = overmind(&words).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default()
    };
    until("it says that it refuses everything", || {
        for datagram in next.by_ref().take(20) {
            sender.send_to(datagram, address).unwrap();
        }
        status()["sources"][0]["state"] == "refused"
    });
    let words = ["sources", "--socket", &socket];
    let (table, _) = said(&words, 1);
    for words in [
        " refused ",
        "no slot yet",
        "unique: not told yet",
        "no_leader ",
    ] {
        assert!(table.contains(words), "{words}\n{table}");
    }
    let status = status();
    let problem = status["health"]["problems"][0].as_str().unwrap();
    for words in [
        "every shred of the last 5 s was refused: no_leader ",
        "the leaders file names slots 7..7, the stream is at slot 46",
    ] {
        assert!(problem.contains(words), "{words}\n{problem}");
    }
    service.signal(libc::SIGTERM);
    until("it ends", || service.0.try_wait().unwrap().is_some());
    let log = std::fs::read_to_string(folder.file("log")).unwrap();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let told = lines.iter().filter(|line| {
        let line = line["line"].as_str().unwrap();
        line.starts_with("every shred of the last 5 s was refused")
    });
    assert_eq!(told.count(), 1, "{log}");
    assert!(lines.iter().all(|line| line["at"].is_u64()), "{log}");
}

/// What the datagrams of a capture of the demo carry: Ethernet, IPv4, UDP.
fn datagrams(pcap: &str) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(pcap).unwrap();
    let (mut rest, mut found) = (&bytes[24..], Vec::new());
    while let Some((head, after)) = rest.split_at_checked(16) {
        let len = u32::from_le_bytes(head[8..12].try_into().unwrap()) as usize;
        found.push(after[42..len].to_vec());
        rest = &after[len..];
    }
    found
}

#[test]
fn a_second_interrupt_leaves_nothing_behind() {
    let room = Folder::new();
    let mut demo =
        Running::start(overmind(&["demo", "--seconds", "60"]).env("XDG_RUNTIME_DIR", &room.0));
    let entries = || std::fs::read_dir(&room.0).unwrap().map(Result::unwrap);
    until("the demo serves", || {
        entries().any(|entry| entry.path().join("admin.sock").exists())
    });
    // The first asks it to end; it gives bundles on their way some time, and the second does not wait for them.
    demo.signal(libc::SIGINT);
    std::thread::sleep(Duration::from_millis(100));
    demo.signal(libc::SIGINT);
    until("it ends", || demo.0.try_wait().unwrap().is_some());
    let left: Vec<_> = entries().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Goal: a script that asks for JSON gets JSON, whatever is said.
#[test]
fn what_config_refuses_is_json_where_that_is_asked_for() {
    let folder = Folder::new();
    let config = folder.file("overmind.toml");
    let check = ["config", "check", "--json", "--config", &config];
    let json = |words: &[&str], code| {
        let (out, err) = said(words, code);
        assert_eq!(err, "");
        serde_json::from_str::<Value>(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    };
    let absent = json(&check, 2);
    assert!(
        absent["errors"][0]
            .as_str()
            .unwrap()
            .contains("name a readable TOML file")
    );
    std::fs::write(
        &config,
        "[threads]\npark_us = \"x\"\n[risk]\nwindow_ms = 1\n",
    )
    .unwrap();
    for words in [
        &check[..],
        &["config", "show", "--json", "--config", &config],
        &["doctor", "--venues", "--json", "--config", &config],
    ] {
        let refused = json(words, 2);
        let errors = refused["errors"].as_array().unwrap();
        let first = errors[0].as_str().unwrap();
        assert_eq!(
            (&refused["ok"], errors.len()),
            (&Value::Bool(false), 2),
            "{refused}"
        );
        assert!(
            first.contains(":2:") && first.contains("threads.park_us"),
            "{first}"
        );
    }
    std::fs::write(&config, "[mode]\nmode = \"live\"\n").unwrap();
    assert_eq!(json(&check, 3)["ok"], false);
    std::fs::write(&config, "").unwrap();
    let usable = json(&check, 0);
    assert_eq!(
        (&usable["ok"], &usable["usable"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
}

/// Goal: who reads the service's log sees who has killed it and who let it go on.
#[test]
fn kill_and_resume_are_in_the_log() {
    let folder = Folder::new();
    let config = folder.file("overmind.toml");
    std::fs::write(
        &config,
        "[http]\nenabled = false\n[threads]\nidle = \"park\"\n",
    )
    .unwrap();
    let log = std::fs::File::create(folder.file("log")).unwrap();
    let mut service = Running(
        overmind(&["run", "--json", "--embedded-market", "--config", &config])
            .env("STATE_DIRECTORY", folder.0.join("state"))
            .env("RUNTIME_DIRECTORY", folder.0.join("room"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    let socket = folder.file("room/admin.sock");
    until("it serves", || Path::new(&socket).exists());
    for word in ["kill", "kill", "resume"] {
        said(&[word, "--socket", &socket], 0);
    }
    service.signal(libc::SIGTERM);
    until("it ends", || service.0.try_wait().unwrap().is_some());
    let log = std::fs::read_to_string(folder.file("log")).unwrap();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let said = lines.map(|line| line["line"].as_str().unwrap().to_owned());
    let said: Vec<String> = said.filter(|line| line.starts_with("control: ")).collect();
    assert_eq!(said.len(), 2, "{log}");
    assert!(
        said[0]
            .starts_with("control: killed (was running), by kill on the control socket (process "),
        "{log}"
    );
    assert!(
        said[1].starts_with("control: running (was killed), by resume on the control socket"),
        "{log}"
    );
}

/// Goal: an operator makes a table of what is printed, names it, and is told when the file lacks it or it lacks something.
#[test]
fn a_lookup_table_is_made_of_what_is_printed() {
    let folder = Folder::new();
    let (config, file) = (folder.file("overmind.toml"), folder.file("tables.json"));
    let table = bs58::encode([9; 32]).into_string();
    let printed = ["lookup-table", "--config", &config];
    let check = ["config", "check", "--config", &config];
    let sources = "[ingest]\n[[ingest.sources]]\nname = \"a\"\nbind = \"127.0.0.1:21077\"\npolicy = \"unverified\"\n";
    std::fs::write(&config, sources).unwrap();
    let (out, err) = said(&printed, 0);
    let addresses: Vec<&str> = out.lines().collect();
    assert!(addresses.len() > 8 && err.is_empty(), "{out}{err}");
    assert!(addresses.contains(&"So11111111111111111111111111111111111111112"));

    let named = format!(
        "{sources}[market]\nlookup_tables = {file:?}\n[bundle]\nlookup_table = \"{table}\"\n"
    );
    std::fs::write(&config, named).unwrap();
    let hold = |held: &[&str]| {
        std::fs::write(&file, serde_json::json!({ &table: held }).to_string()).unwrap();
    };
    hold(&addresses);
    said(&check, 0);
    assert_eq!(
        said(&printed, 0),
        (
            String::new(),
            format!("{table} holds all {}\n", addresses.len())
        )
    );
    hold(&addresses[1..]);
    said(&check, 0);
    let lacking = format!("{table} lacks 1 of {}\n", addresses.len());
    assert_eq!(said(&printed, 0), (format!("{}\n", addresses[0]), lacking));
    let json = [&printed[..], &["--json"]].concat();
    let answer: Value = serde_json::from_str(&said(&json, 0).0).unwrap();
    assert_eq!(answer["table"], *table);
    assert_eq!(answer["addresses"][0]["address"], addresses[0]);
    assert_eq!(answer["addresses"][0]["held"], false);

    std::fs::write(&file, "{}").unwrap();
    let (_, err) = said(&check, 2);
    assert!(
        err.contains(":9:1: bundle.lookup_table") && err.contains("is not among its 0"),
        "{err}"
    );
    for words in [&printed[..], &["run", "--config", &config]] {
        assert!(said(words, 2).1.contains("is not among its 0"), "{words:?}");
    }
    let refused: Value = serde_json::from_str(&said(&json, 2).0).unwrap();
    assert_eq!(refused["ok"], false);
}

#[test]
fn config_check_lists_everything_with_its_line() {
    let folder = Folder::new();
    let config = folder.file("overmind.toml");
    std::fs::write(
        &config,
        "[threads]\npark_us = \"x\"\n[risk]\nwindow_ms = 1\n[http]\nbind = 5\n",
    )
    .unwrap();
    let (_, err) = said(&["config", "check", "--config", &config], 2);
    for (line, key) in [
        (2, "threads.park_us"),
        (4, "risk.window_ms"),
        (6, "http.bind"),
    ] {
        let place = format!("{config}:{line}:");
        assert!(
            err.lines()
                .any(|said| said.contains(&place) && said.contains(key)),
            "{place} {key}\n{err}"
        );
    }
}
