//! Entries over gRPC: a client made from the public definition gets what the leader wrote, and is told what it missed.
#![allow(clippy::unwrap_used)]

#[path = "../../resolve/tests/common/mod.rs"]
mod common;

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod public {
    include!(concat!(env!("OUT_DIR"), "/public/shredstream.rs"));
}

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::shredder::{Block, DATA_COMPLETE, Shape, VERSION, key};
use common::{Dice, Schedule, payload};
use public::shredstream_proxy_client::ShredstreamProxyClient;
use public::{Entry, SubscribeEntriesRequest};
use shred_relay::{
    Assembler, EntriesPlan, EntryFeed, EntryServer, EntryServerConfig, Input, Lagging, Relay,
    RelayConfig, RelayError, ServerRefusal, entry_feed,
};
use shred_resolve::{Plan, SievePlan, SourceId};
use shred_source::arena::{Datagram, Lock};
use shred_source::{ArenaPlan, CoreFrames, RxFrames, frame_ring};
use tonic::transport::Channel;
use tonic::{Code, Request, Streaming};

const LOOPBACK: &str = "127.0.0.1:0";

fn frames(frame_count: usize) -> (RxFrames, CoreFrames) {
    let plan = ArenaPlan {
        frame_count,
        stride: 1280,
        lock: Lock::Skip,
        huge_pages: false,
    };
    let (rx, core, _) = frame_ring(&plan).unwrap();
    (rx, core)
}

/// A relay and its assembler, stepped by the test.
struct Rig {
    source: RxFrames,
    relay: Relay,
    assembler: Assembler,
    feed: EntryFeed,
    leaders: Schedule,
    at: u64,
}

impl Rig {
    fn new(messages_max: usize) -> Self {
        let (source, core) = frames(64);
        let (entries, read) = frames(64);
        let input = Input {
            name: "test".into(),
            redistributable: true,
            frames: core,
        };
        let config = RelayConfig {
            sieve: SievePlan {
                shred_version: Some(VERSION),
                ..SievePlan::default()
            },
            ..RelayConfig::default()
        };
        let plan = Plan {
            shred_version: Some(VERSION),
            ..common::plan(256)
        };
        let feed = entry_feed(messages_max);
        Self {
            source,
            relay: Relay::new(&config, vec![input], None, Some(entries)).unwrap(),
            assembler: Assembler::new(read, &plan, EntriesPlan::default(), feed.clone()),
            feed,
            leaders: Schedule::of(&key(1), 0..10_000),
            at: 1_000_000_000,
        }
    }

    fn give(&mut self, shred: &[u8]) {
        self.at += 1_000;
        let mut frame = self.source.reserve().unwrap();
        frame.bytes_mut()[..shred.len()].copy_from_slice(shred);
        frame.publish(Datagram {
            stamp: shred_wire::Nanos(self.at),
            ordinal: 0,
            len: shred.len() as u16,
            source: SourceId(0),
            flags: 0,
        });
        while self.relay.poll(&self.leaders) + self.assembler.poll(&self.leaders) > 0 {}
    }

    fn give_all<'a>(&mut self, shreds: impl IntoIterator<Item = &'a Vec<u8>>) {
        shreds.into_iter().for_each(|shred| self.give(shred));
    }

    /// A block of one batch, as one message: `entries` of it.
    fn message(&mut self, slot: u64, txns: usize) -> Vec<u8> {
        let txns: Vec<_> = (0..txns)
            .map(|at| payload::legacy(slot * 1000 + at as u64, 900))
            .collect();
        let batch = payload::one_entry(&txns);
        let mut block = Block::new(&key(1), slot);
        block.batch(&batch);
        self.give_all(block.data());
        batch
    }

    fn server(&self, change: impl FnOnce(&mut EntryServerConfig)) -> EntryServer {
        let mut config = EntryServerConfig::new("test", LOOPBACK.parse().unwrap());
        change(&mut config);
        EntryServer::start(config, &self.feed).unwrap()
    }

    /// Waits until so many clients are there: an answer to a subscription may come before the feed has it.
    async fn await_clients(&self, count: usize) {
        until("clients are there", || self.feed.client_count() == count).await;
    }
}

async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn client(address: SocketAddr) -> ShredstreamProxyClient<Channel> {
    ShredstreamProxyClient::connect(format!("http://{address}"))
        .await
        .unwrap()
}

async fn subscribed(address: SocketAddr) -> Streaming<Entry> {
    client(address)
        .await
        .subscribe_entries(SubscribeEntriesRequest {})
        .await
        .unwrap()
        .into_inner()
}

async fn next(stream: &mut Streaming<Entry>) -> Entry {
    within(stream.message())
        .await
        .unwrap()
        .expect("the stream goes on")
}

/// Fails rather than hang.
async fn within<T>(answer: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), answer)
        .await
        .expect("an answer comes")
}

/// What a client reads: transactions of each entry, by the number in their first signature. Knows nothing of this
/// project's readers.
fn decode(mut bytes: &[u8]) -> Vec<Vec<u64>> {
    fn take<'a>(bytes: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(len);
        *bytes = rest;
        taken
    }
    fn u64(bytes: &mut &[u8]) -> u64 {
        u64::from_le_bytes(take(bytes, 8).try_into().unwrap())
    }
    fn short(bytes: &mut &[u8]) -> usize {
        let mut value = 0;
        for shift in [0, 7, 14] {
            let byte = take(bytes, 1)[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let bytes = &mut bytes;
    let entries = (0..u64(bytes))
        .map(|_| {
            take(bytes, 40);
            (0..u64(bytes))
                .map(|_| {
                    let signatures = short(bytes);
                    let id = u64::from_le_bytes(bytes[..8].try_into().unwrap());
                    take(bytes, 64 * signatures);
                    let is_v0 = bytes[0] == 0x80;
                    take(bytes, 3 + usize::from(is_v0));
                    let keys = short(bytes);
                    take(bytes, 32 * keys + 32);
                    for _ in 0..short(bytes) {
                        take(bytes, 1);
                        for _ in 0..2 {
                            let len = short(bytes);
                            take(bytes, len);
                        }
                    }
                    if is_v0 {
                        assert_eq!(short(bytes), 0);
                    }
                    id
                })
                .collect()
        })
        .collect();
    assert!(bytes.is_empty(), "{} bytes behind", bytes.len());
    entries
}

fn txns(ids: std::ops::Range<u64>, len: usize) -> Vec<Vec<u8>> {
    ids.map(|id| {
        if id % 2 == 0 {
            payload::legacy(id, len)
        } else {
            payload::v0(id, len)
        }
    })
    .collect()
}

/// Goal: a client gets each batch once, byte by byte as the leader wrote it, and can decode it.
/// Method: batches of one set, of many, with short shreds inside and re-signed; markers between them; half of the
/// shreds lost in a way that needs recovery; in disorder.
#[tokio::test]
async fn a_client_gets_what_the_leader_wrote() {
    let mut rig = Rig::new(256);
    let server = rig.server(|_| ());
    let mut stream = subscribed(server.address()).await;
    rig.await_clients(1).await;
    let mut dice = Dice(11);
    for slot in 100..106u64 {
        let base = slot * 10_000;
        let small = payload::batch(&[
            payload::entry(1, &txns(base..base + 5, 100)),
            payload::entry(2, &[]),
        ]);
        let long = payload::batch(&[
            payload::entry(3, &txns(base + 5..base + 90, 900)),
            payload::entry(4, &txns(base + 90..base + 120, 700)),
        ]);
        let ragged = payload::one_entry(&txns(base + 120..base + 160, 500));
        let last = payload::one_entry(&txns(base + 160..base + 220, 800));
        let mut block = Block::new(&key(1), slot);
        block
            .batch(&payload::header(slot - 1))
            .batch(&small)
            .batch(&long)
            .push(&ragged, Shape::Ragged(dice.clone()), DATA_COMPLETE)
            .batch(&payload::footer())
            .last(&last);
        let mut shreds: Vec<Vec<u8>> = block
            .sets
            .iter()
            .flat_map(|set| {
                let mut shreds = set.shreds.clone();
                dice.shuffle(&mut shreds, 64);
                shreds.truncate(32 + dice.below(8));
                shreds
            })
            .collect();
        dice.shuffle(&mut shreds, 90);
        rig.give_all(&shreds);
        let mut got: Vec<Vec<u8>> = Vec::new();
        for _ in 0..4 {
            let entry = next(&mut stream).await;
            assert_eq!(entry.slot, slot);
            got.push(entry.entries);
        }
        let ids: u64 = got
            .iter()
            .flat_map(|bytes| decode(bytes))
            .map(|entry| entry.len() as u64)
            .sum();
        assert_eq!(ids, 220);
        let mut expected = vec![small, long, ragged, last];
        expected.sort();
        got.sort();
        assert!(got == expected, "slot {slot}");
    }
    let tally = rig.assembler.counters().batches();
    assert_eq!(
        (tally.batch_sent, tally.marker_skipped, tally.entry_sent),
        (24, 12, 36)
    );
    assert_eq!((tally.batch_malformed, tally.batch_incomplete), (0, 0));
    assert_eq!(tally.transaction_sent, 6 * 220);
    assert!(rig.assembler.counters().set_recovered() > 10);
}

/// Goal: of an equivocated set both continuations are sent, each with the beginning that they share.
#[tokio::test]
async fn both_versions_of_a_batch_are_sent() {
    let mut rig = Rig::new(64);
    let server = rig.server(|_| ());
    let mut stream = subscribed(server.address()).await;
    rig.await_clients(1).await;
    let shared = payload::entry(1, &txns(0..40, 900));
    let whole =
        |id: u64| payload::batch(&[shared.clone(), payload::entry(2, &txns(id..id + 1, 50))]);
    let [one, two] = [50, 60].map(|id| {
        let mut block = Block::new(&key(1), 100);
        block.batch(&whole(id));
        block
    });
    assert!(one.sets.len() == 2 && one.sets[0].root == two.sets[0].root);
    rig.give_all(one.data());
    rig.give_all(&two.sets[1].shreds[..32]);
    assert!(next(&mut stream).await.entries == whole(50));
    assert!(next(&mut stream).await.entries == whole(60));
}

/// A client that does not read, until the feed has gone round under it. Returns how many messages there were.
fn overrun(rig: &mut Rig) -> u64 {
    // More than connections hold on their way.
    for slot in 100..500 {
        rig.message(slot, 28);
    }
    400
}

#[tokio::test]
async fn a_client_that_lags_is_told_and_ended() {
    let mut rig = Rig::new(4);
    let server = rig.server(|_| ());
    let mut stream = subscribed(server.address()).await;
    rig.await_clients(1).await;
    let sent = tokio::task::spawn_blocking(move || {
        let sent = overrun(&mut rig);
        (rig, sent)
    });
    let (rig, sent) = sent.await.unwrap();
    let mut got = 0;
    let status = loop {
        match within(stream.message()).await {
            Ok(Some(entry)) => {
                assert_eq!(entry.slot, 100 + got, "in order, without a hole");
                got += 1;
            }
            Ok(None) => panic!("a clean end, {got} of {sent} messages in"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::DataLoss);
    let missed: u64 = status
        .metadata()
        .get("missed-count")
        .unwrap()
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(status.message().contains(&format!("{missed} messages")));
    // What the feed held when the stream ended was neither sent nor missed.
    assert!(missed > 0 && got + missed + 4 <= sent);
    let tally = server.counters().tally();
    assert_eq!((tally.client_lagged, tally.message_missed), (1, missed));
    rig.await_clients(0).await;
}

/// Goal: who asks for marks goes on, and what it got and what it was told it missed make up everything. Meanwhile a
/// client that reads gets all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_may_ask_for_marks_and_others_miss_nothing() {
    let mut rig = Rig::new(4);
    let server = rig.server(|config| config.lagging = Lagging::End);
    let mut request = Request::new(SubscribeEntriesRequest {});
    request
        .metadata_mut()
        .insert("x-lagging", "mark".parse().unwrap());
    let raw = client(server.address())
        .await
        .subscribe_entries(request)
        .await;
    let mut slow = raw.unwrap().into_inner();
    let mut quick = subscribed(server.address()).await;
    rig.await_clients(2).await;
    let sent = 400;
    for slot in 100..100 + sent {
        let batch = tokio::task::block_in_place(|| rig.message(slot, 28));
        let entry = next(&mut quick).await;
        assert!(entry.slot == slot && entry.entries == batch);
    }
    let (mut got, mut marks) = (0, 0);
    let mut last = 99;
    while last < 99 + sent {
        let entry = next(&mut slow).await;
        if entry.entries == [0; 8] {
            marks += 1;
            assert!(
                decode(&entry.entries).is_empty(),
                "old clients read no entries"
            );
            let held = next(&mut slow).await;
            assert_eq!(held.slot, entry.slot);
            got += 1;
            last = held.slot;
        } else {
            assert_eq!(entry.slot, last + 1, "no hole without a mark");
            got += 1;
            last = entry.slot;
        }
    }
    let missed = server.counters().tally().message_missed;
    assert!(marks > 0);
    assert_eq!(got + missed, sent);
}

/// Goal: the mark says how many, in field 1001, which is not in the public definition.
#[tokio::test]
async fn a_mark_carries_its_count() {
    #[derive(Clone, PartialEq, prost::Message)]
    struct Marked {
        #[prost(bytes = "vec", tag = "2")]
        entries: Vec<u8>,
        #[prost(uint64, tag = "1001")]
        missed_count: u64,
    }
    let mut rig = Rig::new(4);
    let server = rig.server(|config| config.lagging = Lagging::Mark);
    let channel = Channel::from_shared(format!("http://{}", server.address())).unwrap();
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let path = "/shredstream.ShredstreamProxy/SubscribeEntries"
        .parse()
        .unwrap();
    let codec = tonic_prost::ProstCodec::<SubscribeEntriesRequest, Marked>::default();
    let stream = grpc
        .server_streaming(Request::new(SubscribeEntriesRequest {}), path, codec)
        .await;
    let mut stream = stream.unwrap().into_inner();
    rig.await_clients(1).await;
    let (mut rig, sent) = tokio::task::spawn_blocking(move || {
        let sent = overrun(&mut rig);
        (rig, sent)
    })
    .await
    .unwrap();
    let (mut got, mut missed) = (0, 0);
    while got + missed < sent {
        let entry: Marked = within(stream.message()).await.unwrap().unwrap();
        if entry.missed_count > 0 {
            assert_eq!(entry.entries, [0; 8]);
            missed += entry.missed_count;
        } else {
            got += 1;
        }
    }
    assert!(missed > 0);
    assert_eq!(got + missed, sent);
    assert_eq!(server.counters().tally().message_missed, missed);
    rig.message(500, 1);
    let entry = within(stream.message()).await.unwrap().unwrap();
    assert_eq!(entry.missed_count, 0);
}

#[tokio::test]
async fn a_server_starts_again_on_the_same_feed() {
    let mut rig = Rig::new(64);
    let server = rig.server(|_| ());
    let address = server.address();
    let mut stream = subscribed(address).await;
    rig.await_clients(1).await;
    let batch = rig.message(100, 2);
    assert!(next(&mut stream).await.entries == batch);
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let status = within(stream.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    drop(stream);
    rig.await_clients(0).await;
    // Nobody is there: what comes now is for nobody.
    rig.message(101, 2);
    let again = rig.server(|config| config.bind = address);
    assert_eq!(again.address(), address);
    let mut stream = subscribed(address).await;
    rig.await_clients(1).await;
    let batch = rig.message(102, 2);
    let entry = next(&mut stream).await;
    assert!((entry.slot, &entry.entries) == (102, &batch));
}

#[tokio::test]
async fn clients_and_connections_are_capped() {
    let rig = Rig::new(4);
    let server = rig.server(|config| {
        config.clients_max = 2;
        config.connections_max = 3;
    });
    let mut shared = client(server.address()).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let stream = shared.subscribe_entries(SubscribeEntriesRequest {}).await;
        streams.push(stream.unwrap());
    }
    let status = shared
        .subscribe_entries(SubscribeEntriesRequest {})
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    streams.pop();
    rig.await_clients(1).await;
    until("the place is free", || {
        server.counters().tally().client_ended == 1
    })
    .await;
    shared
        .subscribe_entries(SubscribeEntriesRequest {})
        .await
        .unwrap();

    let idle: Vec<_> = (0..4)
        .map(|_| TcpStream::connect(server.address()).unwrap())
        .collect();
    until("two of four are refused", || {
        server
            .counters()
            .tally()
            .refused_for(ServerRefusal::ConnectionLimit)
            == 2
    })
    .await;
    drop(idle);
    let tally = server.counters().tally();
    assert_eq!(tally.refused_for(ServerRefusal::ClientLimit), 1);
    assert_eq!(tally.connection_accepted, 3);
}

#[tokio::test]
async fn a_token_is_asked_for() {
    let rig = Rig::new(4);
    let server = rig.server(|config| config.token = Some("open sesame".into()));
    for (header, code) in [
        (None, Some(Code::Unauthenticated)),
        (Some("Bearer open sesam"), Some(Code::Unauthenticated)),
        (Some("Bearer open sesame!"), Some(Code::Unauthenticated)),
        (Some("open sesame"), Some(Code::Unauthenticated)),
        (Some("Bearer open sesame"), None),
    ] {
        let mut request = Request::new(SubscribeEntriesRequest {});
        if let Some(header) = header {
            let header = header.parse().unwrap();
            request.metadata_mut().insert("authorization", header);
        }
        let answer = client(server.address())
            .await
            .subscribe_entries(request)
            .await;
        assert_eq!(answer.err().map(|status| status.code()), code, "{header:?}");
    }
    let refused = server
        .counters()
        .tally()
        .refused_for(ServerRefusal::BadToken);
    assert_eq!(refused, 4);
    assert!(
        !format!(
            "{:?}",
            EntryServerConfig {
                token: Some("open sesame".into()),
                ..EntryServerConfig::new("test", LOOPBACK.parse().unwrap())
            }
        )
        .contains("sesame")
    );
}

#[test]
fn beyond_this_host_only_by_name() {
    let feed = entry_feed(4);
    for bind in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let config = EntryServerConfig::new("test", bind.parse().unwrap());
        let error = EntryServer::start(config, &feed).unwrap_err();
        assert!(
            matches!(error, RelayError::Config { field: "bind", .. }),
            "{error}"
        );
    }
    for change in [
        |config: &mut EntryServerConfig| config.clients_max = 0,
        |config: &mut EntryServerConfig| config.connections_max = 0,
        |config: &mut EntryServerConfig| config.token = Some(String::new()),
    ] {
        let mut config = EntryServerConfig::new("test", LOOPBACK.parse().unwrap());
        change(&mut config);
        assert!(EntryServer::start(config, &feed).is_err());
    }
}

/// Goal: who is not on the list does not get as far as a request; this host does.
#[tokio::test]
async fn strangers_are_not_let_in() {
    let rig = Rig::new(4);
    let server = rig.server(|config| {
        config.bind = "0.0.0.0:0".parse().unwrap();
        config.allow = vec!["192.0.2.1".parse().unwrap()];
    });
    let port = server.address().port();
    subscribed(SocketAddr::new("127.0.0.1".parse().unwrap(), port)).await;
    let Some(own) = own_address() else {
        eprintln!("skipped in part: this host has no address but loopback");
        return;
    };
    let stranger = SocketAddr::new(own, port);
    let refused = ShredstreamProxyClient::connect(format!("http://{stranger}")).await;
    if let Ok(mut client) = refused {
        assert!(
            client
                .subscribe_entries(SubscribeEntriesRequest {})
                .await
                .is_err()
        );
    }
    until("refused", || {
        server
            .counters()
            .tally()
            .refused_for(ServerRefusal::NotAllowed)
            > 0
    })
    .await;
}

/// The address this host would be seen with. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

/// Goal: the service is gRPC and its messages are the public ones, not a dialect that only our own client understands.
/// Method: `tests/peers/grpc_entries.py`, Google's library and bytes read by hand. Skipped without grpcio;
/// `PEER_PYTHON` names an interpreter that has it.
#[test]
fn an_outside_client_is_served() {
    let mut rig = Rig::new(64);
    let server = rig.server(|config| config.token = Some("sesame".into()));
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/peers/grpc_entries.py"
    );
    let python = std::env::var("PEER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let started = Command::new(python)
        .arg(script)
        .arg(server.address().to_string())
        .args(["--messages", "3", "--token", "sesame"])
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut peer) = started else {
        eprintln!("skipped: no python3");
        return;
    };
    let mut lines = BufReader::new(peer.stdout.take().unwrap()).lines();
    let mut line = || lines.next().map_or_else(String::new, Result::unwrap);
    let first = line();
    if first != "subscribed" {
        let code = peer.wait().unwrap().code();
        assert_eq!(code, Some(77), "{first}");
        eprintln!("{first}");
        return;
    }
    let hex = |id: u64| {
        let signature = payload::signature(id);
        signature
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    for slot in 100..103 {
        let batch = payload::batch(&[
            payload::entry(1, &txns(slot..slot + 40, 600)),
            payload::entry(2, &[]),
        ]);
        let mut block = Block::new(&key(1), slot);
        block.batch(&batch);
        rig.give_all(block.data());
        let expected: Vec<String> = (slot..slot + 40).map(hex).collect();
        assert_eq!(line(), format!("{slot} 2 40 {}", expected.join(" ")));
    }
    assert!(peer.wait().unwrap().success());
}
