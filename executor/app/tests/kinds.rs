//! The service with sources of the kinds io_uring and QUIC, fed by the generator, and asking for a shredstream.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use demo::{DemoConfig, PreparedMarket};
use serde_json::{Map, Value};
use shred_quic::{Destination, Identity, QuicSender, QuicSenderConfig};
use shred_source::UringSource;

const SLOTS: u64 = 10_000;
const OURS: [u8; 32] = [0x11; 32];
const PEER: [u8; 32] = [0x22; 32];
const STRANGER: [u8; 32] = [0x33; 32];

/// A folder of one test, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("overmind-kinds-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, mode: u32, content: &[u8]) -> String {
        let path = self.0.join(name);
        let _ = std::fs::remove_file(&path);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        std::io::Write::write_all(&mut options.open(&path).unwrap(), content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that is killed when dropped.
struct Running(Child);

impl Running {
    fn terminate(&self) {
        // SAFETY: the number is that of a child that has not been waited for.
        let sent = unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
        assert_eq!(sent, 0);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn overmind(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_overmind"));
    command.args(words).stdin(Stdio::null());
    for variable in ["NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY"] {
        command.env_remove(variable);
    }
    command
}

/// What a command that must fail says.
#[track_caller]
fn refused(folder: &Folder, words: &[&str]) -> String {
    let output = overmind(words)
        .env("STATE_DIRECTORY", folder.0.join("state"))
        .env("RUNTIME_DIRECTORY", folder.0.join("run"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[track_caller]
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An address of loopback that nobody had a moment ago.
fn free_address() -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap()
}

fn sender(seed: &[u8; 32], to: SocketAddr) -> (QuicSender, shred_quic::QuicSenderHandle) {
    let destination = Destination {
        address: to,
        peer: Identity::from_seed(&OURS).id(),
    };
    let mut config = QuicSenderConfig::new("test", vec![destination]);
    config.backoff_max = config.backoff_min;
    QuicSender::start(config, &Identity::from_seed(seed)).unwrap()
}

/// Passes what comes to an address on over QUIC.
struct Forwarder {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Forwarder {
    fn start(to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let pause = Some(Duration::from_millis(10));
        socket.set_read_timeout(pause).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut sender, _handle) = sender(&PEER, to);
            let mut buffer = [0; 2_048];
            while !stopped.load(Relaxed) {
                if let Ok(len) = socket.recv(&mut buffer) {
                    let _ = sender.offer(&buffer[..len]);
                }
            }
        });
        Self {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The file of the market's leaders.
fn leaders(folder: &Folder, market: &DemoConfig) -> String {
    let slots = market.first_slot..market.first_slot + SLOTS;
    let schedule = PreparedMarket::new(market.clone()).unwrap();
    let leaders: Map<String, Value> = schedule
        .schedule()
        .identities(slots)
        .into_iter()
        .map(|(slot, identity)| {
            let identity = bs58::encode(identity).into_string();
            (slot.to_string(), identity.into())
        })
        .collect();
    let leaders = Value::Object(leaders).to_string();
    folder.write("leaders.json", 0o600, leaders.as_bytes())
}

/// The configuration: source `ring` over io_uring and source `partner` over QUIC, both verified.
fn config(folder: &Folder, market: &DemoConfig, ring: SocketAddr, partner: SocketAddr) -> String {
    let leaders = leaders(folder, market);
    let key = folder.write("identity", 0o600, &OURS);
    let peer = Identity::from_seed(&PEER).id();
    // Nobody listens there.
    let engine = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .unwrap();
    let text = format!(
        "[ingest]\nleaders_file = {leaders:?}\n\
         [[ingest.sources]]\nname = \"ring\"\nkind = \"io_uring\"\nbind = \"{ring}\"\n\
         [[ingest.sources]]\nname = \"partner\"\nkind = \"quic\"\nbind = \"{partner}\"\n\
         identity_file = {key:?}\npeers = [\"{peer}\"]\n\
         [shredstream]\nenabled = true\nendpoint = \"http://{engine}\"\nregions = [\"here\"]\n\
         announce = \"127.0.0.1:{}\"\nsource = \"ring\"\nkey_file = {key:?}\n\
         [http]\nenabled = false\n[threads]\nidle = \"park\"\n",
        ring.port()
    );
    folder.write("overmind.toml", 0o600, text.as_bytes())
}

#[test]
fn shreds_come_over_io_uring_and_quic_and_a_stream_is_asked_for() {
    let folder = Folder::new();
    let (ring, partner) = (free_address(), free_address());
    let mut market = DemoConfig {
        seconds: 0,
        slot_ms: 100,
        ..DemoConfig::default()
    };
    let config = config(&folder, &market, ring, partner);
    let log = std::fs::File::create(folder.0.join("log")).unwrap();
    let child = overmind(&["run", "--config", &config])
        .env("STATE_DIRECTORY", folder.0.join("state"))
        .env("RUNTIME_DIRECTORY", folder.0.join("run"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let mut running = Running(child.unwrap());
    let said = || std::fs::read_to_string(folder.0.join("log")).unwrap();
    let socket = folder.0.join("run/admin.sock");
    until("it serves", || {
        assert!(running.0.try_wait().unwrap().is_none(), "{}", said());
        socket.exists()
    });

    let forwarder = Forwarder::start(partner);
    let (_stranger, _handle) = sender(&STRANGER, partner);
    market.destinations = vec![ring, forwarder.address];
    let market = PreparedMarket::new(market).unwrap().start(None).unwrap();
    let status = |more: &str| {
        let words = ["status", more, "--socket", socket.to_str().unwrap()];
        String::from_utf8(overmind(&words).output().unwrap().stdout).unwrap()
    };
    let mut last = Value::Null;
    until("shreds, transactions and refusals", || {
        last = serde_json::from_str(&status("--json")).unwrap_or_default();
        let shreds = |source: usize| last["sources"][source]["shred"].as_u64().unwrap_or(0);
        shreds(0) > 500
            && shreds(1) > 500
            && last["resolved"]["transaction"].as_u64() > Some(100)
            && last["sources"][1]["received"]["not_pinned"].as_u64() > Some(0)
            && last["shredstream"]["events"]["unreachable"].as_u64() > Some(0)
    });
    let kind = match UringSource::check() {
        Ok(()) => "io_uring",
        Err(error) => {
            eprintln!("io_uring is denied here, so its way back was tested: {error}");
            assert!(said().contains("source ring: receives by recvmmsg instead"));
            "udp"
        }
    };
    assert_eq!(last["sources"][0]["kind"], kind, "{last}");
    assert_eq!(last["sources"][1]["kind"], "quic", "{last}");
    for source in [0, 1] {
        let received = &last["sources"][source]["received"];
        assert!(received["datagram_received"].as_u64() > Some(500), "{last}");
        for lost in ["kernel_dropped", "malformed", "frames_exhausted"] {
            assert!(received[lost].is_u64(), "{lost}: {last}");
        }
    }
    assert_eq!(last["sources"][1]["received"]["connection_accepted"], 1);
    assert_eq!(last["shredstream"]["running"], true, "{last}");
    assert_eq!(last["shredstream"]["flowing"], false, "{last}");
    let problems = last["health"]["problems"].to_string();
    assert!(problems.contains("shredstream: no heartbeat"), "{problems}");
    let words = status("--all");
    for line in ["alive by quic", "not_pinned", "\nshredstream\n"] {
        assert!(words.contains(line), "{line}\n{words}");
    }

    market.stop();
    market.join();
    running.terminate();
    until("it ends", || running.0.try_wait().unwrap().is_some());
    assert_eq!(running.0.wait().unwrap().code(), Some(0), "{}", said());
    let identity = Identity::from_seed(&OURS).id();
    assert!(said().contains(&format!("source partner: its identity is {identity}")));
}

/// Goal: a queue of loopback's own, by the generic hook, brings the same.
#[test]
fn shreds_come_past_the_stack_where_the_rights_are_there() {
    let folder = Folder::new();
    let mut market = DemoConfig {
        seconds: 0,
        slot_ms: 100,
        ..DemoConfig::default()
    };
    let leaders = leaders(&folder, &market);
    let address = free_address();
    let text = format!(
        "[ingest]\nleaders_file = {leaders:?}\n\
         [[ingest.sources]]\nname = \"card\"\nkind = \"xdp\"\nbind = \"0.0.0.0:{}\"\ninterface = \"lo\"\n\
         [http]\nenabled = false\n[threads]\nidle = \"park\"\n",
        address.port()
    );
    let config = folder.write("overmind.toml", 0o600, text.as_bytes());
    let log = std::fs::File::create(folder.0.join("log")).unwrap();
    let child = overmind(&["run", "--config", &config])
        .env("STATE_DIRECTORY", folder.0.join("state"))
        .env("RUNTIME_DIRECTORY", folder.0.join("run"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let mut running = Running(child.unwrap());
    let socket = folder.0.join("run/admin.sock");
    let mut has_ended = false;
    until("it serves, or is refused", || {
        has_ended = running.0.try_wait().unwrap().is_some();
        has_ended || socket.exists()
    });
    let said = std::fs::read_to_string(folder.0.join("log")).unwrap();
    if has_ended {
        assert!(said.contains("overmind: card: af_xdp lo: "), "{said}");
        eprintln!("skipped, as this process may not: {said}");
        return;
    }
    assert_eq!(
        said.matches("source card: lo queue 0 of ").count(),
        1,
        "{said}"
    );
    market.destinations = vec![address];
    let market = PreparedMarket::new(market).unwrap().start(None).unwrap();
    until("shreds and transactions", || {
        let words = ["status", "--json", "--socket", socket.to_str().unwrap()];
        let output = overmind(&words).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["sources"][0]["kind"] == "xdp"
            && status["sources"][0]["shred"].as_u64() > Some(500)
            && status["resolved"]["transaction"].as_u64() > Some(100)
    });
    market.stop();
    market.join();
}

#[test]
fn what_comes_over_quic_and_io_uring_can_be_recorded() {
    let folder = Folder::new();
    let (ring, partner) = (free_address(), free_address());
    let config = config(&folder, &DemoConfig::default(), ring, partner);
    let pcap = folder.0.join("all.pcap");
    let words = [
        "capture",
        "--config",
        &config,
        "--output",
        pcap.to_str().unwrap(),
    ];
    let child = overmind(&words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running(child.unwrap());
    let (mut peer, handle) = sender(&PEER, partner);
    let sent = || handle.counters().tally().destinations[0].datagram_sent;
    until("datagrams went out", || {
        peer.offer(b"over QUIC").unwrap();
        sent() > 0
    });
    let plain = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    plain.send_to(b"over UDP", ring).unwrap();
    let holds = |what: &[u8]| {
        let bytes = std::fs::read(&pcap).unwrap_or_default();
        bytes.windows(what.len()).any(|window| window == what)
    };
    // What is in its sockets is taken within a millisecond or two; then it is told to write it out.
    std::thread::sleep(Duration::from_secs(1));
    running.terminate();
    until("it ends", || running.0.try_wait().unwrap().is_some());
    assert!(holds(b"over QUIC") && holds(b"over UDP"));
}

#[test]
fn keys_that_cannot_be_used_are_named_by_config_check() {
    let folder = Folder::new();
    let config = config(
        &folder,
        &DemoConfig::default(),
        free_address(),
        free_address(),
    );
    let check = ["config", "check", "--config", &config];
    assert!(overmind(&check).output().unwrap().status.success());
    let fields = [
        "ingest.sources[1].identity_file: ",
        "shredstream.key_file: ",
    ];

    folder.write("identity", 0o644, &OURS);
    for (line, field) in refused(&folder, &check).lines().zip(fields) {
        assert!(line.contains(field) && line.contains("chmod 600"), "{line}");
    }
    folder.write("identity", 0o600, b"no key");
    for (line, field) in refused(&folder, &check).lines().zip(fields) {
        assert!(line.contains(field) && line.contains("not a key"), "{line}");
    }
    std::fs::remove_file(folder.0.join("identity")).unwrap();
    let said = refused(&folder, &check);
    assert_eq!(said.lines().count(), 2, "{said}");
    for (line, field) in said.lines().zip(fields) {
        assert!(
            line.contains(field) && line.contains("does not exist"),
            "{line}"
        );
    }
    let said = refused(&folder, &["run", "--config", &config]);
    assert!(said.contains("partner: identity_file: "), "{said}");
}
