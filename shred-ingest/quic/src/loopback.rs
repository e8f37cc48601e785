//! Both ends, and clients and servers that misbehave, over loopback.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, ServerConfig};
use rustls::sign::CertifiedKey;
use shred_source::arena::Lock;
use shred_source::{
    ArenaPlan, CoreFrames, Descriptor, RxFrames, SourceId, SourceReject, frame_ring,
};
use tokio::runtime::Runtime;

use crate::tls::{client_config, server_config};
use crate::transport::transport;
use crate::*;

const LOOPBACK: &str = "127.0.0.1:0";
const SOURCE: SourceId = SourceId(3);

/// Waits for what another thread will do; fails rather than hang when it never does.
#[track_caller]
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed(&[seed; 32])
}

const SERVER: u8 = 200;

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

/// A source that lets in the clients with these seeds.
fn source(seeds: &[u8], change: impl FnOnce(&mut QuicSourceConfig)) -> (QuicHandle, CoreFrames) {
    source_of(seeds, 1024, change)
}

fn source_of(
    seeds: &[u8],
    frame_count: usize,
    change: impl FnOnce(&mut QuicSourceConfig),
) -> (QuicHandle, CoreFrames) {
    let (rx, core) = frames(frame_count);
    let mut config = QuicSourceConfig::new("test", LOOPBACK.parse().unwrap());
    config.peers = seeds.iter().map(|&seed| identity(seed).id()).collect();
    change(&mut config);
    let handle = QuicSource::start(config, &identity(SERVER), SOURCE, rx).unwrap();
    (handle, core)
}

fn sender_to(address: SocketAddr, seed: u8) -> (QuicSender, QuicSenderHandle) {
    let destination = Destination {
        address,
        peer: identity(SERVER).id(),
    };
    let mut config = QuicSenderConfig::new("test", vec![destination]);
    config.backoff_min = Duration::from_millis(20);
    config.backoff_max = Duration::from_millis(50);
    QuicSender::start(config, &identity(seed)).unwrap()
}

fn connected(handle: &QuicSenderHandle) {
    until("connected", || {
        handle.counters().tally().destinations[0].is_connected()
    });
}

/// Datagram `index` of a test: its length and bytes follow from its number.
fn shred(index: usize) -> Vec<u8> {
    vec![(index % 251) as u8; 1 + (index * 7) % SHRED_LEN_MAX]
}

fn drain(core: &mut CoreFrames) -> Vec<(Descriptor, Vec<u8>)> {
    let mut all = Vec::new();
    core.drain(usize::MAX, |about, bytes| {
        all.push((*about, bytes.to_vec()))
    });
    all
}

/// Each datagram so often, whatever their order.
fn bag(datagrams: impl IntoIterator<Item = Vec<u8>>) -> BTreeMap<Vec<u8>, usize> {
    let mut bag = BTreeMap::new();
    for datagram in datagrams {
        *bag.entry(datagram).or_default() += 1;
    }
    bag
}

fn client_of(identity: &Identity, alpn: &[u8]) -> ClientConfig {
    let server = self::identity(SERVER).id();
    let crypto = client_config(identity, server, vec![alpn.to_vec()]).unwrap();
    let crypto = QuicClientConfig::try_from(crypto).unwrap();
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(4096, 1 << 20, 1 << 20));
    config
}

/// A client without this crate's manners, on a runtime of its own.
struct Client {
    runtime: Runtime,
    endpoint: Endpoint,
    config: ClientConfig,
}

impl Client {
    fn new(seed: u8) -> Self {
        Self::with(&identity(seed), ALPN_TURBINE)
    }

    fn with(identity: &Identity, alpn: &[u8]) -> Self {
        Self::at(LOOPBACK, identity, alpn)
    }

    fn at(address: &str, identity: &Identity, alpn: &[u8]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let endpoint = runtime
            .block_on(async { Endpoint::client(address.parse().unwrap()) })
            .unwrap();
        Self {
            runtime,
            endpoint,
            config: client_of(identity, alpn),
        }
    }

    fn connect(&self, address: SocketAddr) -> Result<Connection, ConnectionError> {
        self.runtime.block_on(async {
            let connecting =
                self.endpoint
                    .connect_with(self.config.clone(), address, "solana-turbine");
            connecting.unwrap().await
        })
    }

    /// Why the server ended `connection`, which may happen after the client thinks that it stands.
    fn end_of(&self, connection: Result<Connection, ConnectionError>) -> ConnectionError {
        match connection {
            Ok(connection) => self.runtime.block_on(async {
                let end = tokio::time::timeout(Duration::from_secs(60), connection.closed());
                end.await.expect("never: the connection ended")
            }),
            Err(error) => error,
        }
    }
}

fn alert(error: &ConnectionError) -> Option<u64> {
    let ConnectionError::ConnectionClosed(close) = error else {
        return None;
    };
    Some(u64::from(close.error_code) - 0x100)
}

fn close_code(error: &ConnectionError) -> Option<u64> {
    let ConnectionError::ApplicationClosed(close) = error else {
        return None;
    };
    Some(close.error_code.into_inner())
}

/// Goal: what is offered at one end comes out of the ring at the other, byte for byte.
/// Method: 1000 datagrams of every kind of length, the longest included.
#[test]
fn shreds_arrive_as_they_were_offered() {
    let (handle, mut core) = source(&[1], |_| {});
    let (mut sender, sending) = sender_to(handle.local(), 1);
    connected(&sending);
    let mut sent: Vec<Vec<u8>> = (0..999).map(shred).collect();
    sent.push(vec![9; SHRED_LEN_MAX]);
    for (index, shred) in sent.iter().enumerate() {
        sender.offer(shred).unwrap();
        if index % 100 == 99 {
            until("sent so far", || {
                sending.counters().tally().destinations[0].datagram_sent == index as u64 + 1
            });
        }
    }
    until("all arrived", || core.waiting_count() == sent.len());
    let arrived = drain(&mut core);
    for (index, (about, bytes)) in arrived.iter().enumerate() {
        assert_eq!(about.ordinal, index as u64);
        assert_eq!(
            (about.source, usize::from(about.len)),
            (SOURCE, bytes.len())
        );
        assert_eq!(about.flags, Descriptor::STAMPED_BY_HOST);
        assert!(about.stamp.0 > 1_600_000_000_000_000_000, "wall clock");
    }
    assert_eq!(bag(arrived.into_iter().map(|(_, bytes)| bytes)), bag(sent));
    let tally = handle.counters().tally();
    assert_eq!(
        (tally.source.accepted(), tally.connection_count()),
        (1000, 1)
    );
    assert_eq!(tally.refused, [0; QuicRefusal::ALL.len()]);
    let tally = sending.counters().tally();
    assert_eq!(tally.datagram_taken, 1000);
    sending.stop();
    assert_eq!(sender.offer(&[1]), Err(OfferReject::Full));
    assert_eq!(handle.stop().unwrap().free_count(), 1024, "a frame leaked");
}

#[test]
fn who_is_not_pinned_is_not_let_in() {
    let (handle, _core) = source(&[1], |_| {});
    let stranger = Client::new(2);
    let end = stranger.end_of(stranger.connect(handle.local()));
    assert_eq!(alert(&end), Some(49), "access_denied, not {end:?}");
    let count = |reason| handle.counters().tally().refused_for(reason);
    until("counted", || count(QuicRefusal::NotPinned) == 1);
    let tally = handle.counters().tally();
    assert_eq!(tally.connection_accepted, 0);

    let (nobody, _core) = source(&[], |_| {});
    let end = stranger.end_of(stranger.connect(nobody.local()));
    assert_eq!(
        alert(&end),
        Some(49),
        "an empty list is nobody, not {end:?}"
    );

    let (anybody, core) = source(&[], |config| config.peers = Peers::Any);
    let connection = stranger.connect(anybody.local()).unwrap();
    connection
        .send_datagram(Bytes::from_static(b"hello"))
        .unwrap();
    until("any peer is let in when asked for", || {
        core.waiting_count() == 1
    });
}

/// Goal: showing a certificate is not enough, on either side.
/// Method: the pinned peer's certificate with another key.
#[test]
fn a_borrowed_certificate_is_no_identity() {
    let borrowed = |owner: u8, thief: u8| {
        let mut identity = identity(owner);
        let certificate = identity.key.cert.clone();
        let key = Arc::clone(&self::identity(thief).key.key);
        identity.key = Arc::new(CertifiedKey::new(certificate, key));
        identity
    };
    let (handle, _core) = source(&[1], |_| {});
    let thief = Client::with(&borrowed(1, 2), ALPN_TURBINE);
    let end = thief.end_of(thief.connect(handle.local()));
    assert_eq!(alert(&end), Some(51), "decrypt_error, not {end:?}");
    let count = |reason| handle.counters().tally().refused_for(reason);
    until("counted", || count(QuicRefusal::BadSignature) == 1);
    let tally = handle.counters().tally();
    assert_eq!(tally.connection_accepted, 0);

    let (rx, core) = frames(8);
    let mut config = QuicSourceConfig::new("thief", LOOPBACK.parse().unwrap());
    config.peers = Peers::Any;
    let false_server = QuicSource::start(config, &borrowed(SERVER, 9), SOURCE, rx).unwrap();
    let (mut sender, sending) = sender_to(false_server.local(), 1);
    until("the sender turned away", || {
        let _ = sender.offer(b"secret");
        sending.counters().tally().destinations[0].identity_refused >= 2
    });
    let tally = sending.counters().tally().destinations[0];
    assert_eq!((tally.connection_opened, tally.datagram_sent), (0, 0));
    assert!(tally.unconnected_dropped > 0);
    assert_eq!(core.waiting_count(), 0);
}

#[test]
fn another_server_than_the_pinned_one_is_sent_nothing() {
    let (rx, core) = frames(8);
    let mut config = QuicSourceConfig::new("other", LOOPBACK.parse().unwrap());
    config.peers = Peers::Any;
    let other = QuicSource::start(config, &identity(SERVER - 1), SOURCE, rx).unwrap();
    let (_sender, sending) = sender_to(other.local(), 1);
    until("turned away", || {
        sending.counters().tally().destinations[0].identity_refused >= 1
    });
    assert_eq!(core.waiting_count(), 0);
}

#[test]
fn another_protocol_is_not_spoken() {
    let (handle, _core) = source(&[1], |_| {});
    let client = Client::with(&identity(1), b"solana-tpu");
    let end = client.end_of(client.connect(handle.local()));
    assert_eq!(
        alert(&end),
        Some(120),
        "no_application_protocol, not {end:?}"
    );
    let count = |reason| handle.counters().tally().refused_for(reason);
    until("counted", || count(QuicRefusal::WrongAlpn) == 1);
    // A list is a choice.
    let both = vec![b"solana-tpu".to_vec(), ALPN_TURBINE.to_vec()];
    let (handle, _core) = source(&[1], |config| config.alpn = both);
    client.connect(handle.local()).unwrap();
    Client::new(1).connect(handle.local()).unwrap();
}

#[test]
fn datagrams_that_are_no_shreds_by_length_are_refused() {
    let (handle, mut core) = source(&[1], |_| {});
    let client = Client::new(1);
    let connection = client.connect(handle.local()).unwrap();
    for len in [0, 1, SHRED_LEN_MAX, SHRED_LEN_MAX + 1] {
        connection.send_datagram(vec![5; len].into()).unwrap();
    }
    let tally = || handle.counters().tally();
    until("all seen", || {
        tally().refused_for(QuicRefusal::Empty) == 1 && tally().source.datagram_received == 3
    });
    assert_eq!(tally().source.refused(SourceReject::Oversize), 1);
    let lengths = drain(&mut core).into_iter().map(|(_, bytes)| bytes.len());
    assert_eq!(lengths.collect::<Vec<_>>(), [1, SHRED_LEN_MAX]);
    let (mut sender, _sending) = sender_to(handle.local(), 1);
    assert_eq!(sender.offer(&[]), Err(OfferReject::Length));
    assert_eq!(
        sender.offer(&[0; SHRED_LEN_MAX + 1]),
        Err(OfferReject::Length)
    );
}

/// A client that keeps to the rules cannot open a stream at all; one that does not is thrown out (see the last test).
#[test]
fn streams_are_not_to_be_had() {
    let (handle, core) = source(&[1], |_| {});
    let client = Client::new(1);
    let connection = client.connect(handle.local()).unwrap();
    client.runtime.block_on(async {
        let (mut uni, mut bidi) = (
            Box::pin(connection.open_uni()),
            Box::pin(connection.open_bi()),
        );
        for index in 0..100 {
            connection
                .send_datagram_wait(shred(index).into())
                .await
                .unwrap();
            tokio::select! {
                biased;
                _ = &mut uni => panic!("a stream"),
                _ = &mut bidi => panic!("a stream"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    });
    until("datagrams arrive beside", || core.waiting_count() == 100);
}

#[test]
fn connections_are_capped_overall_and_per_peer() {
    let seeds: Vec<u8> = (1..=5).collect();
    let (handle, mut core) = source(&seeds, |config| {
        config.connections_max = Some(3);
        config.connections_per_peer_max = 2;
    });
    let count = |reason| handle.counters().tally().refused_for(reason);
    let clients: Vec<Client> = seeds.iter().map(|&seed| Client::new(seed)).collect();
    let first = clients[0].connect(handle.local()).unwrap();
    let second = clients[0].connect(handle.local()).unwrap();
    // A third of the same peer takes the place of its first, so that there is room for another peer.
    let third = clients[0].connect(handle.local()).unwrap();
    let end = clients[0].end_of(Ok(first));
    assert_eq!(close_code(&end), Some(4), "REPLACED, not {end:?}");
    until("counted", || count(QuicRefusal::PeerReplaced) == 1);
    let other = clients[1].connect(handle.local()).unwrap();
    until("three", || {
        handle.counters().tally().connection_count() == 3
    });
    for client in &clients[2..] {
        let end = client.end_of(client.connect(handle.local()));
        assert_eq!(close_code(&end), Some(5), "PRUNED, not {end:?}");
    }
    until("counted", || count(QuicRefusal::ConnectionLimit) == 3);
    // Those inside are not disturbed, and a place that is left is free again.
    for connection in [&second, &third, &other] {
        connection.send_datagram(Bytes::from_static(b"in")).unwrap();
    }
    until("three arrive", || core.waiting_count() == 3);
    drain(&mut core);
    second.close(0u32.into(), b"");
    until("one left", || {
        handle.counters().tally().connection_count() == 2
    });
    let late = clients[4].connect(handle.local()).unwrap();
    late.send_datagram(Bytes::from_static(b"in")).unwrap();
    until("the late one arrives", || core.waiting_count() == 1);
}

/// First packets of `count` handshakes that nobody will go on with.
fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let trap = UdpSocket::bind(LOOPBACK).unwrap();
    let client = Client::new(1);
    let address = trap.local_addr().unwrap();
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for _ in 0..count {
        let inside = client.runtime.enter();
        let connecting =
            client
                .endpoint
                .connect_with(client.config.clone(), address, "solana-turbine");
        drop(inside);
        // Bytes 6 to 13 are the connection id the client chose; a repetition has the same.
        let mut packet = vec![0; 2048];
        loop {
            let len = trap.recv(&mut packet).unwrap();
            if len >= 1200 && packets.iter().all(|other| other[6..14] != packet[6..14]) {
                packet.truncate(len);
                break;
            }
        }
        packets.push(packet);
        drop(connecting);
    }
    packets
}

const NEVER: Duration = Duration::from_secs(3_600);

/// Goal: first packets that somebody sends in a peer's name, or in anybody's, keep that peer out for no time.
/// Method: captured first packets from the peer's own address and from others, each from a socket of its own and
/// never followed up; no handshake ever times out.
#[test]
fn unproven_addresses_take_no_place_from_proven_ones() {
    let (handle, core) = source(&[1], |config| {
        config.handshakes_max = 4;
        config.handshakes_per_network_max = 2;
        config.handshake_timeout = NEVER;
    });
    let tally = || handle.counters().tally();
    let packets = first_packets(30);
    let (in_its_name, in_others) = packets.split_at(10);
    let send = |from: &str, packet: &[u8]| {
        let socket = UdpSocket::bind(from).unwrap();
        socket.send_to(packet, handle.local()).unwrap();
        socket
    };
    // Held open, so that the source's packets do not bounce.
    let mut sockets: Vec<UdpSocket> = Vec::new();
    sockets.extend(in_its_name.iter().map(|packet| send(LOOPBACK, packet)));
    // One network has one place, all have eight.
    until("all but one told to come again", || tally().retry_sent == 9);
    sockets.extend((1..).zip(in_others).map(|(host, packet)| {
        let from = format!("127.0.1.{host}:0");
        send(&from, packet)
    }));
    until("all but seven more", || tally().retry_sent == 9 + 13);

    let (mut sender, sending) = sender_to(handle.local(), 1);
    connected(&sending);
    sender.offer(b"a shred").unwrap();
    until("arrived", || core.waiting_count() == 1);
    assert!(
        tally().retry_sent > 9 + 13,
        "the peer was asked for the proof"
    );
    assert_eq!(tally().refused, [0; QuicRefusal::ALL.len()]);
    let sending = sending.counters().tally().destinations[0];
    assert_eq!(sending.connect_failed, 0, "at the first try");
}

/// Goal: a handshake that stalls ends, and its place is free again; until then it holds nobody up.
#[test]
fn stalled_handshakes_end() {
    let (handle, _core) = source(&[1], |config| {
        config.handshake_timeout = Duration::from_millis(100);
    });
    let tally = || handle.counters().tally();
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    let packets = first_packets(2);
    for (count, packet) in (1..).zip(&packets) {
        socket.send_to(packet, handle.local()).unwrap();
        until("given up", || {
            tally().refused_for(QuicRefusal::HandshakeTimeout) == count
        });
    }
    assert_eq!(tally().retry_sent, 0);

    // A stalled handshake and a silent client stand beside.
    let (handle, core) = source(&[1, 2], |config| config.handshake_timeout = NEVER);
    socket.send_to(&packets[0], handle.local()).unwrap();
    let silent = Client::new(2);
    let _silent = silent.connect(handle.local()).unwrap();
    let (mut sender, sending) = sender_to(handle.local(), 1);
    connected(&sending);
    for index in 0..100 {
        sender.offer(&shred(index)).unwrap();
    }
    until("arrived", || core.waiting_count() == 100);
    assert_eq!(handle.counters().tally().connection_count(), 2);
}

/// Puts a handshake under way that proves its address and goes no further. The source must have an unproven one from
/// here already, or it would not ask.
fn stall_proven(source: &QuicHandle) -> (Client, quinn::Connecting) {
    let before = source.counters().tally().retry_sent;
    let stalling = Client::new(1);
    let inside = stalling.runtime.enter();
    let relay = stalling_relay(source.local());
    let connecting =
        stalling
            .endpoint
            .connect_with(stalling.config.clone(), relay, "solana-turbine");
    drop(inside);
    until("asked for proof", || {
        source.counters().tally().retry_sent > before
    });
    (stalling, connecting.unwrap())
}

/// Goal: who has proven an address gets its network's share of handshakes and no more, and others theirs.
#[test]
fn handshakes_are_limited_per_network() {
    let (handle, _core) = source(&[1], |config| {
        config.handshakes_per_network_max = 1;
        config.handshake_timeout = NEVER;
    });
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    socket
        .send_to(&first_packets(1)[0], handle.local())
        .unwrap();
    let _stalled = stall_proven(&handle);
    let count = |reason| handle.counters().tally().refused_for(reason);
    let client = Client::new(1);
    until("a further one is refused", || {
        client.connect(handle.local()).is_err()
    });
    assert!(count(QuicRefusal::NetworkLimit) >= 1);
    let elsewhere = Client::at("127.0.0.2:0", &identity(1), ALPN_TURBINE);
    elsewhere.connect(handle.local()).unwrap();
    assert_eq!(count(QuicRefusal::HandshakeLimit), 0);
}

/// A relay that lets a client through as far as its answer to a Retry, and no further.
fn stalling_relay(server: SocketAddr) -> SocketAddr {
    let near = UdpSocket::bind(LOOPBACK).unwrap();
    let far = UdpSocket::bind(LOOPBACK).unwrap();
    let address = near.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        let (len, client) = near.recv_from(&mut packet).unwrap();
        far.send_to(&packet[..len], server).unwrap();
        let len = far.recv(&mut packet).unwrap();
        near.send_to(&packet[..len], client).unwrap();
        let len = near.recv(&mut packet).unwrap();
        far.send_to(&packet[..len], server).unwrap();
        // Held open, so that the server's packets do not bounce.
        std::thread::park();
    });
    address
}

/// Goal: no more handshakes of proven addresses than allowed.
#[test]
fn handshakes_are_limited_overall() {
    let (handle, _core) = source(&[1], |config| {
        config.handshakes_max = 1;
        config.handshake_timeout = NEVER;
    });
    let tally = || handle.counters().tally();
    let client = Client::new(1);
    client.connect(handle.local()).unwrap();
    until("its place is free again", || {
        tally().connection_accepted == 1
    });
    assert_eq!(tally().retry_sent, 0);
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    socket
        .send_to(&first_packets(1)[0], handle.local())
        .unwrap();
    let _stalled = stall_proven(&handle);
    let mut end = None;
    until("a further one is refused", || {
        let tried = client.connect(handle.local());
        end = tried.err();
        end.is_some()
    });
    let Some(ConnectionError::ConnectionClosed(close)) = end else {
        panic!("not refused: {end:?}");
    };
    // CONNECTION_REFUSED (RFC 9000 section 20.1).
    assert_eq!(u64::from(close.error_code), 2);
    assert!(tally().refused_for(QuicRefusal::HandshakeLimit) >= 1);
}

/// Goal: some pinned peers cannot keep the others out, however many they are.
/// Method: 33 peers of two connections each, more than there are places where anybody may send.
#[test]
fn every_pinned_peer_has_its_places() {
    let seeds: Vec<u8> = (1..=33).collect();
    let (handle, _core) = source(&seeds, |_| {});
    let mut client = Client::new(0);
    let mut connections = Vec::new();
    for seed in seeds {
        client.config = client_of(&identity(seed), ALPN_TURBINE);
        for _ in 0..2 {
            connections.push(client.connect(handle.local()).unwrap());
        }
    }
    until("all are in", || {
        handle.counters().tally().connection_count() == 66
    });
    let tally = handle.counters().tally();
    assert_eq!(tally.refused_for(QuicRefusal::ConnectionLimit), 0);
}

/// Goal: what comes to the port and is of no connection is counted by what is wrong with it, and disturbs nobody.
#[test]
fn strays_are_counted() {
    let (handle, core) = source(&[1], |_| {});
    let (mut sender, sending) = sender_to(handle.local(), 1);
    connected(&sending);
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let send = |packet: &[u8]| {
        socket.send_to(packet, handle.local()).unwrap();
    };
    let first = first_packets(1).pop().unwrap();
    let mut other_version = first.clone();
    other_version[1..5].copy_from_slice(&0xFACE_B001_u32.to_be_bytes());
    send(&[]);
    send(b"\x13no quic at all");
    send(&[0x55; 900]);
    send(&first[..600]);
    send(&other_version);
    let count = |reason| handle.counters().tally().refused_for(reason);
    until("all counted", || {
        [
            QuicRefusal::NotQuic,
            QuicRefusal::NoConnection,
            QuicRefusal::ShortInitial,
            QuicRefusal::OtherVersion,
        ]
        .map(count)
            == [2, 1, 1, 1]
    });
    // Only the other version is answered, with the one that is spoken: a long header of version 0.
    let mut answer = [0; 2048];
    let len = socket.recv(&mut answer).unwrap();
    assert_eq!(answer[1..5], [0; 4]);
    assert_eq!(answer[len - 4..len], 1u32.to_be_bytes());
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut answer).is_err(), "a second answer");
    // Nothing that belongs to a connection is taken for a stray.
    for index in 0..300 {
        sender.offer(&shred(index)).unwrap();
    }
    until("arrived", || core.waiting_count() == 300);
    drop(sending);
    let strays: u64 = handle.counters().tally().refused.iter().sum();
    assert_eq!(strays, 5);
}

#[test]
fn without_a_free_frame_the_newest_is_dropped_and_counted() {
    let (handle, mut core) = source_of(&[1], 4, |_| {});
    let (mut sender, sending) = sender_to(handle.local(), 1);
    connected(&sending);
    let received = || handle.counters().tally().source.datagram_received;
    for index in 0..10u8 {
        sender.offer(&[index]).unwrap();
        until("seen", || received() == u64::from(index) + 1);
    }
    let tally = handle.counters().tally().source;
    assert_eq!(tally.refused(SourceReject::FramesFull), 6);
    let ordinals = |core: &mut CoreFrames| -> Vec<u64> {
        let all = drain(core).into_iter();
        all.map(|(about, bytes)| {
            assert_eq!(bytes, [about.ordinal as u8]);
            about.ordinal
        })
        .collect()
    };
    assert_eq!(ordinals(&mut core), [0, 1, 2, 3]);
    sender.offer(&[10]).unwrap();
    until("seen", || core.waiting_count() == 1);
    assert_eq!(ordinals(&mut core), [10]);
    assert_eq!(handle.stop().unwrap().free_count(), 4, "a frame leaked");
}

/// Goal: what quinn drops because a connection's buffer is full is counted to the last one.
/// Method: a buffer of three datagrams and bursts of hundreds; over loopback nothing else is lost.
#[test]
fn what_waits_too_long_is_dropped_oldest_first_and_counted() {
    let (handle, mut core) = source(&[1], |config| config.datagram_buffer_len = 4096);
    let client = Client::new(1);
    let connection = client.connect(handle.local()).unwrap();
    let tally = || handle.counters().tally();
    let mut sent = 0;
    for _ in 0..5 {
        for index in 0..200u16 {
            let mut datagram = vec![0; 1200];
            datagram[..2].copy_from_slice(&index.to_le_bytes());
            connection.send_datagram(datagram.into()).unwrap();
        }
        sent += 200;
        until("all accounted for", || {
            tally().source.datagram_received + tally().refused_for(QuicRefusal::Stale) == sent
        });
        // The newest of a burst is never the one that is dropped.
        let last = drain(&mut core).pop().unwrap().1;
        assert_eq!(last[..2], 199u16.to_le_bytes());
    }
    assert!(tally().refused_for(QuicRefusal::Stale) > 0, "{:?}", tally());
}

/// A datagram that begins with its number.
fn numbered(index: usize) -> Vec<u8> {
    let mut datagram = vec![(index % 251) as u8; 1200];
    datagram[..8].copy_from_slice(&(index as u64).to_le_bytes());
    datagram
}

/// A server that completes a handshake, and whose thread then stands still until told otherwise; from then on it
/// reads, until it has seen `awaited`.
fn frozen_server(thaw: &Arc<AtomicBool>, awaited: Vec<u8>) -> (SocketAddr, JoinHandle<()>) {
    let crypto = server_config(&identity(SERVER), Peers::Any, vec![ALPN_TURBINE.to_vec()]).unwrap();
    let crypto = QuicServerConfig::try_from(crypto).unwrap();
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport(1 << 20, 0, 1 << 16));
    let (tell, told) = std::sync::mpsc::channel();
    let thaw = Arc::clone(thaw);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::server(config, LOOPBACK.parse().unwrap()).unwrap();
            tell.send(endpoint.local_addr().unwrap()).unwrap();
            let connection = endpoint.accept().await.unwrap().await.unwrap();
            connection.read_datagram().await.unwrap();
            while !thaw.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            while connection.read_datagram().await.unwrap() != awaited {}
        });
    });
    (told.recv().unwrap(), thread)
}

/// Goal: a destination that stands still costs the offering thread and the other destination nothing, and its oldest
/// datagrams, counted.
#[test]
fn a_frozen_destination_drops_its_oldest_and_holds_nobody_up() {
    let thaw = Arc::new(AtomicBool::new(false));
    const COUNT: usize = 3_000;
    let (frozen, thread) = frozen_server(&thaw, numbered(COUNT - 1));
    let (handle, mut core) = source_of(&[1], 4096, |_| {});
    let peer = identity(SERVER).id();
    let to = |address| Destination { address, peer };
    let destinations = vec![to(frozen), to(handle.local())];
    let mut config = QuicSenderConfig::new("two", destinations);
    config.queue_count_max = 64;
    let (mut sender, sending) = QuicSender::start(config, &identity(1)).unwrap();
    let tally = |index: usize| sending.counters().tally().destinations[index];
    until("both connected", || {
        tally(0).is_connected() && tally(1).is_connected()
    });
    for index in 0..COUNT {
        sender.offer(&numbered(index)).unwrap();
        if index % 32 == 31 {
            until("the other is sent all", || {
                tally(1).datagram_sent > index as u64
            });
        }
    }
    until("all arrived at the other", || core.waiting_count() == COUNT);
    let arrived = drain(&mut core).into_iter().map(|(_, bytes)| bytes);
    let offered = (0..COUNT).map(numbered);
    assert_eq!(bag(arrived), bag(offered));
    let (slow, good) = (tally(0), tally(1));
    assert_eq!((good.stale_dropped, good.unconnected_dropped), (0, 0));
    assert!(slow.stale_dropped > 1_000, "{slow:?}");
    // Each was sent, dropped, or waits: 64 in the queue and one in hand.
    let waiting = COUNT as u64 - slow.datagram_sent - slow.stale_dropped;
    assert!((64..=65).contains(&waiting), "{waiting}: {slow:?}");
    // What waits is the newest: it arrives as soon as the destination moves again.
    thaw.store(true, Ordering::SeqCst);
    until("the newest arrived", || thread.is_finished());
    thread.join().unwrap();
}

#[test]
fn a_source_that_comes_back_is_found_again() {
    let (first, core) = source(&[1], |_| {});
    let address = first.local();
    let (mut sender, sending) = sender_to(address, 1);
    connected(&sending);
    sender.offer(b"before").unwrap();
    until("arrived", || core.waiting_count() == 1);
    drop(first.stop());
    let tally = || sending.counters().tally().destinations[0];
    until("noticed at once, not after the idle time", || {
        !tally().is_connected() && tally().connection_ended == 1
    });
    sender.offer(b"lost").unwrap();
    until("dropped", || tally().unconnected_dropped == 1);
    let (_second, mut core) = source(&[1], |config| config.bind = address);
    connected(&sending);
    sender.offer(b"after").unwrap();
    until("arrived", || core.waiting_count() == 1);
    assert_eq!(drain(&mut core)[0].1, b"after");
    assert_eq!(tally().connection_opened, 2);
}

#[test]
fn what_cannot_work_is_refused_at_start() {
    let start = |change: &dyn Fn(&mut QuicSourceConfig), stride| {
        let plan = ArenaPlan {
            frame_count: 2,
            stride,
            lock: Lock::Skip,
            huge_pages: false,
        };
        let (rx, _core, _) = frame_ring(&plan).unwrap();
        let mut config = QuicSourceConfig::new("bad", LOOPBACK.parse().unwrap());
        change(&mut config);
        QuicSource::start(config, &identity(SERVER), SOURCE, rx).unwrap_err()
    };
    assert!(start(&|_| {}, 1216).to_string().contains("stride = 1216"));
    let none = start(&|config| config.alpn.clear(), 1280);
    assert!(none.to_string().contains("alpn = 0"), "{none}");
    let long = start(&|config| config.alpn = vec![vec![b'x'; 256]], 1280);
    assert!(long.to_string().contains("alpn"), "{long}");
    let (running, _core) = source(&[], |_| {});
    let taken = start(&|config| config.bind = running.local(), 1280);
    assert!(taken.to_string().contains("bind"), "{taken}");
}

#[test]
fn the_threads_carry_their_names_and_run_what_they_are_given() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note: AtThreadStart = Arc::new({
        let seen = Arc::clone(&seen);
        move || {
            let name = std::thread::current().name().unwrap().to_owned();
            seen.lock().unwrap().push(name);
        }
    });
    let (_handle, _core) = source(&[], |config| config.at_thread_start = Some(note.clone()));
    let mut config = QuicSenderConfig::new("out", vec![]);
    config.at_thread_start = Some(note);
    let (_sender, _sending) = QuicSender::start(config, &identity(1)).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["rx-test", "tx-out"]);
}

/// Goal: another implementation of QUIC gets its shreds through, and is thrown out when it opens a stream.
/// Method: `tests/aioquic_sender.py`, where Python has aioquic.
#[test]
fn aioquic_is_understood() {
    let import = Command::new("python3")
        .args(["-c", "import aioquic"])
        .output();
    if !import.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 with aioquic is not installed");
        return;
    }
    let (handle, mut core) = source(&[1], |_| {});
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let run = |seed: u8, mode: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aioquic_sender.py");
        let output = Command::new("python3")
            .arg(script)
            .arg(handle.local().port().to_string())
            .arg("solana-turbine")
            .args([hex(&[seed; 32]), hex(&identity(SERVER).id().0)])
            .args(["300", mode])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    };
    let (said, complained) = run(1, "datagrams");
    assert_eq!(said.trim(), "sent", "{complained}");
    until("all arrived", || core.waiting_count() == 300);
    let arrived = drain(&mut core).into_iter().map(|(_, bytes)| bytes);
    assert_eq!(bag(arrived), bag((0..300).map(shred)));

    let count = |reason| handle.counters().tally().refused_for(reason);
    let (said, complained) = run(1, "stream");
    // STREAM_LIMIT_ERROR (RFC 9000 section 20.1).
    assert_eq!(said.trim(), "thrown out with code 4", "{complained}");
    until("counted", || count(QuicRefusal::Stream) == 1);

    let (said, _) = run(2, "datagrams");
    assert_ne!(said.trim(), "sent", "a stranger was let in");
    until("counted", || count(QuicRefusal::NotPinned) == 1);
}
