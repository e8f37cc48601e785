//! Two relays as their operators meet them: processes with files, sockets and signals, one feeding the other.
//!
//! ```text
//!  capture, twice, with junk --UDP--> A --UDP--> a socket of the test
//!                              ^      '--QUIC--> B --UDP--> another socket of the test
//!                              |                 |--gRPC--> a client made from the public definition
//!                              '-------UDP-------'          (B feeds A too: a loop)
//! ```

#![allow(clippy::unwrap_used)]

mod official;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod public {
    tonic::include_proto!("shredstream");
}

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use ed25519_dalek::SigningKey;
use overmind::cli::{DemoArgs, HttpArg};
use overmind::commands::demo::play;
use overmind::topology::THREADS;
use overmind_tests::decoded;
use overmind_tests::process::{Running, until};
use public::shredstream_proxy_client::ShredstreamProxyClient;
use public::{Entry, SubscribeEntriesRequest};
use serde_json::Value;
use shred_resolve::Plan;

const OVERMIND: &str = env!("CARGO_BIN_EXE_overmind-under-test");
/// Shreds that are under way at once: few enough for every buffer on their way.
const BURST: usize = 24;

/// A folder with a configuration and the keys that it names; removed when dropped.
struct Installed {
    folder: PathBuf,
    http: SocketAddr,
}

impl Installed {
    fn new(name: &str) -> Self {
        // Not the target folder: a socket's path holds 107 bytes.
        let folder =
            std::env::temp_dir().join(format!("overmind-relay-{name}-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .unwrap();
        let http = free();
        Self { folder, http }
    }

    /// Writes a file that only we may read; its path.
    fn secret(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        file.write_all(content).unwrap();
        path
    }

    fn configure(&self, ingest: &str, relay: &str) {
        let text = format!(
            "[threads]\nlayout = \"split\"\nidle = \"park\"\nlock_memory = \"off\"\n[http]\nbind = \"{}\"\n\
             [admin]\nsocket = {:?}\nkill_file = {:?}\n{ingest}\n{relay}\n",
            self.http,
            self.folder.join("admin.sock"),
            self.folder.join("kill"),
        );
        std::fs::write(self.folder.join("relay.toml"), text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(OVERMIND);
        command
            .args(words)
            .arg("--config")
            .arg(self.folder.join("relay.toml"));
        command
            .env("STATE_DIRECTORY", &self.folder)
            .env("RUNTIME_DIRECTORY", &self.folder)
            .env_remove("NOTIFY_SOCKET");
        command
    }

    fn ask(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// The answer to a request for a page, head and body.
    fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).unwrap();
        let host = self.http;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn status(&self) -> Value {
        let output = self.ask(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn start(installed: &Installed) -> Running {
    let log = std::fs::File::create(installed.folder.join("log")).unwrap();
    let mut command = installed.command(&["relay"]);
    let running = Running(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap(),
    );
    until("the relay answers", || installed.status()["ok"] == true);
    running
}

/// Names of a process's threads, as the kernel keeps them.
fn threads(running: &Running) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", running.0.id())).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    names.map(|name| name.unwrap().trim().to_owned()).collect()
}

/// An address that nobody has at the moment.
fn free() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// A socket that keeps all it receives.
struct Kept {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Kept {
    fn new() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let received = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&received);
        std::thread::spawn(move || {
            let mut buffer = [0; 2_048];
            while let Ok(len) = socket.recv(&mut buffer) {
                kept.lock().unwrap().push(buffer[..len].to_vec());
            }
        });
        Self { address, received }
    }

    fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }
}

/// Everything that a client of the public service is sent.
fn subscribe(address: SocketAddr, token: &str) -> Arc<Mutex<Vec<Entry>>> {
    let received = Arc::<Mutex<Vec<Entry>>>::default();
    let (kept, bearer) = (Arc::clone(&received), format!("Bearer {token}"));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut client = ShredstreamProxyClient::connect(format!("http://{address}"))
                .await
                .unwrap();
            let mut request = tonic::Request::new(SubscribeEntriesRequest {});
            let metadata = request.metadata_mut();
            metadata.insert("authorization", bearer.parse().unwrap());
            let mut entries = client
                .subscribe_entries(request)
                .await
                .unwrap()
                .into_inner();
            while let Ok(Some(entry)) = entries.message().await {
                kept.lock().unwrap().push(entry);
            }
        });
    });
    received
}

/// A capture of the embedded market without loss, and its leaders.
fn capture() -> (Vec<u8>, PathBuf) {
    let pcap = Path::new(env!("CARGO_TARGET_TMPDIR")).join("relay-end-to-end.pcap");
    let args = DemoArgs {
        seconds: 5,
        seed: 11,
        pcap: Some(pcap.clone()),
        slot_ms: 400,
        loss_bps: 0,
        plant: None,
        http: HttpArg::Off,
        threads: None,
        json: true,
    };
    // Whether its bundles landed is another test's question.
    let _report = play(&args, |_| {}).unwrap();
    let bytes = std::fs::read(&pcap).unwrap();
    (bytes, pcap.with_extension("leaders.json"))
}

/// A shred without what trails it in its datagram.
fn shred(datagram: &[u8]) -> &[u8] {
    let is_data = matches!(datagram[64], 0x96 | 0xb6);
    &datagram[..if is_data { 1_203 } else { 1_228 }]
}

/// Something that resembles a shred and must not be passed on.
fn junk(shred: &[u8], number: usize) -> Vec<u8> {
    let mut junk = shred.to_vec();
    match number % 6 {
        // A byte of the payload, of the signature, of the version, and of the slot.
        0 => junk[200] ^= 1,
        1 => junk[10] ^= 1,
        2 => junk[77] ^= 1,
        3 => junk[68] ^= 1,
        4 => junk.truncate(700),
        _ => {
            let mut state = number as u64;
            junk.fill_with(|| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            });
        }
    }
    junk
}

fn identity(seed: [u8; 32]) -> String {
    let key = SigningKey::from_bytes(&seed).verifying_key();
    bs58::encode(key.as_bytes()).into_string()
}

struct Pair {
    a: Installed,
    b: Installed,
    /// Two sources of A.
    near: SocketAddr,
    far: SocketAddr,
    /// Where A and B pass shreds on to.
    from_a: Kept,
    from_b: Kept,
    entries: SocketAddr,
}

const TOKEN: &str = "a-token-of-this-test";

/// A with two sources that may be passed on and one that may not; B with A for its source, and A for a destination.
fn pair(version: u16, leaders: &Path) -> Pair {
    let (a, b) = (Installed::new("a"), Installed::new("b"));
    let (near, far, private, quic, entries) = (free(), free(), free(), free(), free());
    let (from_a, from_b) = (Kept::new(), Kept::new());
    let (a_seed, b_seed) = ([1; 32], [2; 32]);
    let ingest = format!("[ingest]\nshred_version = {version}\nleaders_file = {leaders:?}\n");
    let source = |name: &str, bind: SocketAddr, more: &str| {
        format!("[[ingest.sources]]\nname = {name:?}\nbind = \"{bind}\"\n{more}\n")
    };
    a.configure(
        &[
            ingest.clone(),
            source("near", near, "redistributable = true"),
            source("private", private, ""),
            source("far", far, "redistributable = true"),
        ]
        .concat(),
        &format!(
            "[relay]\ndestinations = [\"{}\"]\nidentity_file = {:?}\n[[relay.nodes]]\naddress = \"{quic}\"\n\
             identity = \"{}\"\n",
            from_a.address,
            a.secret("key", &a_seed),
            identity(b_seed)
        ),
    );
    let b_source = format!(
        "kind = \"quic\"\nredistributable = true\nidentity_file = {:?}\npeers = [\"{}\"]",
        b.secret("key", &b_seed),
        identity(a_seed)
    );
    b.configure(
        &[ingest, source("region-a", quic, &b_source)].concat(),
        &format!(
            "[relay]\ndestinations = [\"{}\", \"{far}\"]\n[relay.entries]\nbind = \"{entries}\"\ntoken_file = {:?}\n",
            from_b.address,
            b.secret("token", format!("{TOKEN}\n").as_bytes()),
        ),
    );
    Pair {
        a,
        b,
        near,
        far,
        from_a,
        from_b,
        entries,
    }
}

impl Pair {
    /// Sends every shred twice, half of them by either source first, with junk before, between and behind them; the
    /// number of datagrams sent.
    fn send(&self, datagrams: &[&[u8]]) -> usize {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut sent = 0;
        let mut send = |bytes: &[u8], to: SocketAddr| {
            socket.send_to(bytes, to).unwrap();
            sent += 1;
        };
        let mut told = BTreeSet::new();
        for (number, datagram) in datagrams.iter().enumerate() {
            let (first, second) = if number % 2 == 0 {
                (self.near, self.far)
            } else {
                (self.far, self.near)
            };
            let shred = shred(datagram);
            if number % 3 == 0 {
                send(&junk(shred, number / 3), first);
            }
            send(shred, first);
            // A repair answer is the shred and a nonce.
            send(&[shred, b"once"].concat(), second);
            told.insert(shred.to_vec());
            if told.len() % BURST == 0 {
                self.until_passed(told.len());
            }
        }
        self.until_passed(told.len());
        sent
    }

    fn until_passed(&self, count: usize) {
        until("the shreds arrive at both", || {
            self.from_a.count() >= count && self.from_b.count() >= count
        });
    }
}

/// Goal: what two relays pass on is every authentic shred of what they are sent, each once, and nothing else; and the
/// entries that they serve are those of the capture.
#[test]
fn two_relays_pass_on_each_shred_once_and_serve_its_entries() {
    let (bytes, leaders) = capture();
    let datagrams = official::datagrams(&bytes);
    let wanted: BTreeSet<Vec<u8>> = datagrams
        .iter()
        .map(|bytes| shred(bytes).to_vec())
        .collect();
    assert!(wanted.len() > 1_000, "{} shreds", wanted.len());
    let version = u16::from_le_bytes([datagrams[0][77], datagrams[0][78]]);
    let pair = pair(version, &leaders);
    let (b, a) = (start(&pair.b), start(&pair.a));
    until("A is connected to B", || {
        pair.a.status()["relay"]["nodes"]["nodes"][0]["connected"] == true
    });
    let entries = subscribe(pair.entries, TOKEN);
    until("the client is there", || {
        pair.b.status()["relay"]["entries"]["clients"] == 1
    });
    threads_are_those_of_the_table(&[&a, &b]);
    let sent = pair.send(&datagrams);

    let theirs = transactions_by_slot(official::transactions(&datagrams));
    let decoded = decoded::lines(&bytes, &decoded::verified(&leaders, Plan::default()));
    let told: BTreeSet<_> = decoded::transactions(&decoded)
        .into_iter()
        .map(decoded::key)
        .collect();
    let last = *theirs.keys().next_back().unwrap();
    let complete = |slots: &BTreeMap<u64, Vec<String>>| -> BTreeMap<u64, Vec<String>> {
        // The capture may end inside a batch of its last slot.
        let slots = slots.iter().filter(|(slot, _)| **slot != last);
        slots.map(|(slot, txns)| (*slot, txns.clone())).collect()
    };
    let served = || {
        let entries = entries.lock().unwrap();
        let messages = entries.iter().flat_map(|message| {
            let txns = official::entries(&message.entries);
            txns.into_iter().map(|txn| (message.slot, txn))
        });
        transactions_by_slot(messages.collect())
    };
    until("the entries arrive", || {
        complete(&served()) == complete(&theirs)
    });
    let count: usize = complete(&theirs).values().map(Vec::len).sum();
    assert!(count > 500, "{count} transactions");
    for (slot, txns) in complete(&served()) {
        for txn in txns {
            assert!(told.contains(&(slot, txn.clone())), "{slot} {txn}");
        }
    }

    // Whatever else was on its way has arrived when everything that was sent has been counted.
    until("A has taken all", || {
        let status = pair.a.status();
        let sources = status["relay"]["sources"].as_array().unwrap().clone();
        let taken = |source: &Value| source["datagram"].as_u64().unwrap() as usize;
        // B sends each shred back once.
        sources.iter().map(taken).sum::<usize>() == sent + wanted.len()
    });
    for (whose, kept) in [("A", &pair.from_a), ("B", &pair.from_b)] {
        let received = kept.received.lock().unwrap();
        let distinct: BTreeSet<Vec<u8>> = received.iter().cloned().collect();
        assert_eq!(received.len(), distinct.len(), "{whose}: each once");
        assert!(distinct == wanted, "{whose}: these and no others");
    }
    status_tells_it(&pair, wanted.len() as u64);
    assert_eq!(a.terminate(), Some(0));
    assert_eq!(b.terminate(), Some(0));
}

fn transactions_by_slot(
    txns: Vec<(u64, solana_transaction::versioned::VersionedTransaction)>,
) -> BTreeMap<u64, Vec<String>> {
    let mut slots: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (slot, txn) in txns {
        let signature = txn.signatures[0].to_string();
        slots.entry(slot).or_default().push(signature);
    }
    slots
}

fn threads_are_those_of_the_table(relays: &[&Running]) {
    let known = |name: &str| {
        name == "overmind-under-" // The main thread, as the kernel cuts it.
            || THREADS.iter().any(|thread| match thread.name.strip_suffix("NAME") {
                Some(prefix) => name.starts_with(prefix),
                None if thread.name.ends_with('-') => name.starts_with(thread.name),
                None => thread.name == name,
            })
    };
    let mut seen = BTreeSet::new();
    for relay in relays {
        for name in threads(relay) {
            assert!(known(&name), "{name} is not in the topology");
            seen.insert(name);
        }
    }
    for wanted in [
        "relay",
        "entries",
        "grpc-entries",
        "tx-relay",
        "rx-0",
        "rx-1",
        "rx-region-a",
    ] {
        assert!(seen.contains(wanted), "{wanted}: {seen:?}");
    }
}

fn status_tells_it(pair: &Pair, passed: u64) {
    let (a, b) = (pair.a.status(), pair.b.status());
    for status in [&a, &b] {
        let relay = &status["relay"];
        assert_eq!(relay["events"]["shred_passed"], passed, "{status}");
        let sent = &relay["destinations"][0]["datagram_sent"];
        assert_eq!(*sent, passed, "{status}");
    }
    let sources = a["relay"]["sources"].as_array().unwrap();
    let names: Vec<&Value> = sources.iter().map(|source| &source["name"]).collect();
    assert_eq!(names, ["near", "far"], "the private one is not even open");
    let first = |source: &Value| source["first"].as_u64().unwrap();
    assert!(sources.iter().all(|source| first(source) > 0), "{a}");
    assert_eq!(sources.iter().map(first).sum::<u64>(), passed, "{a}");
    let refused = &a["relay"]["refused"];
    let count = |reason: &str| refused[reason].as_u64().unwrap();
    assert!(
        count("duplicate") >= 2 * passed,
        "the second, and the loop: {a}"
    );
    for reason in ["foreign_version", "bad_leader_signature", "truncated"] {
        assert!(count(reason) > 0, "{reason}: {a}");
    }
    assert_eq!(b["relay"]["entries"]["events"]["message_lost"], 0, "{b}");
    assert_eq!(
        a["relay"]["nodes"]["nodes"][0]["datagram_sent"], passed,
        "{a}"
    );
    let log = std::fs::read_to_string(pair.a.folder.join("log")).unwrap();
    for said in ["source private is left out", "is connected"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    for (words, said) in [
        (&["status"][..], "quic, connected"),
        (&["sources"], "first %"),
    ] {
        let output = pair.a.ask(words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(said), "{words:?}: {text}");
    }
    let node = &a["relay"]["nodes"]["nodes"][0]["address"];
    let metrics = pair.a.page("/metrics");
    for line in [
        format!("overmind_relay_events_total{{kind=\"shred_passed\"}} {passed}"),
        format!("overmind_relay_node_connected{{node={node}}} 1"),
        "overmind_source_dead{source=\"near\"} 0".to_owned(),
    ] {
        assert!(
            metrics.lines().any(|said| said == line),
            "{line}\n{metrics}"
        );
    }
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    let served = pair.b.page("/metrics");
    let clients = "overmind_relay_entries_clients 1";
    assert!(served.lines().any(|line| line == clients), "{served}");
    assert!(pair.a.page("/health").contains("\"mode\":\"relay\""));
    let killed = pair.a.ask(&["kill"]);
    assert_eq!(killed.status.code(), Some(3), "{killed:?}");
}

/// Goal: nothing is passed on whose source is not marked for it, nor to nobody, nor to oneself.
#[test]
fn what_may_not_or_cannot_be_passed_on_is_refused_with_the_reason() {
    let installed = Installed::new("refused");
    let seed = [3; 32];
    let key = installed.secret("key", &seed);
    let source =
        "[[ingest.sources]]\nname = \"feed\"\nbind = \"0.0.0.0:20000\"\npolicy = \"unverified\"\n";
    let marked = format!("{source}redistributable = true\n");
    let somewhere = "[relay]\ndestinations = [\"127.0.0.1:9\"]\n";
    let own = format!(
        "[relay]\nidentity_file = {key:?}\n[[relay.nodes]]\naddress = \"127.0.0.1:9\"\nidentity = \"{}\"\n",
        identity(seed)
    );
    let itself = "[relay]\ndestinations = [\"127.0.0.1:20000\"]\n";
    for (ingest, relay, said) in [
        (source, somewhere, "redistributable = true"),
        (source, "", "[relay.entries]"),
        (&marked, "", "nothing to pass shreds on to"),
        (&marked, &own, "this is our own, of relay.identity_file"),
        (&marked, itself, "it would send to itself"),
    ] {
        installed.configure(ingest, relay);
        let output = installed.ask(&["relay"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{said}: {text}");
        assert!(!installed.folder.join("admin.sock").exists(), "{said}");
    }
}
