//! Shreds in over UDP and QUIC, out over UDP and QUIC: each once, and nothing else.
#![allow(clippy::unwrap_used)]

#[path = "../../resolve/tests/common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use common::shredder::{Block, VERSION, key};
use common::{Dice, Schedule, payload};
use shred_quic::{
    Destination, Identity, QuicHandle, QuicSender, QuicSenderConfig, QuicSource, QuicSourceConfig,
};
use shred_relay::{Input, Relay, RelayConfig, RelayError};
use shred_resolve::{Reject, SievePlan, SourceId};
use shred_source::arena::Lock;
use shred_source::{
    ArenaPlan, CoreFrames, DatagramSource, RX_BURST, RxFrames, UdpConfig, UdpSource, frame_ring,
};

thread_local! {
    /// Calls to the allocator by this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: everything is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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

fn input(name: &str, frames: CoreFrames) -> Input {
    Input {
        name: name.to_owned(),
        redistributable: true,
        frames,
    }
}

/// A UDP source on loopback, what sends to it, and the other end of its ring.
fn udp(source: u8) -> (UdpSource, UdpSocket, CoreFrames) {
    let (rx, core) = frames(4096);
    let (udp, _) = UdpSource::open(
        &UdpConfig::new("127.0.0.1:0".parse().unwrap()),
        SourceId(source),
        rx,
        None,
    )
    .unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(udp.local()).unwrap();
    (udp, socket, core)
}

fn listener() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn config(destinations: &[&UdpSocket]) -> RelayConfig {
    RelayConfig {
        sieve: SievePlan {
            shred_version: Some(VERSION),
            slots_behind: 4,
            slots_ahead: 4,
            versions_max: 1024,
            ..SievePlan::default()
        },
        destinations: destinations
            .iter()
            .map(|socket| socket.local_addr().unwrap())
            .collect(),
        ..RelayConfig::default()
    }
}

fn leaders() -> Schedule {
    Schedule::of(&key(1), 0..1000)
}

/// Each datagram so often.
type Bag = BTreeMap<Vec<u8>, usize>;

fn bag<'a>(shreds: impl IntoIterator<Item = &'a Vec<u8>>) -> Bag {
    let mut bag = Bag::new();
    for shred in shreds {
        *bag.entry(shred.clone()).or_default() += 1;
    }
    bag
}

fn collect(socket: &UdpSocket, into: &mut Bag) {
    let mut buffer = [0; 2048];
    while let Ok(len) = socket.recv(&mut buffer) {
        *into.entry(buffer[..len].to_vec()).or_default() += 1;
    }
}

#[track_caller]
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::yield_now();
    }
}

fn block(slot: u64) -> Block {
    let mut block = Block::new(&key(1), slot);
    for id in 0..3 {
        block.batch(&payload::one_entry(&[payload::legacy(id, 200)]));
    }
    block.last(&payload::ticks(2, 9));
    block
}

/// Goal: two lossy sources that only together have everything give everything, once, and nothing else.
/// Method: over loopback, with repeats, another cluster's shreds, a stranger's, slots beyond the window and junk; what
/// two destinations receive is compared with what the leader sent.
#[test]
fn two_lossy_sources_give_each_shred_once() {
    let (mut one, to_one, core_one) = udp(0);
    let (mut two, to_two, core_two) = udp(1);
    let (near, far) = (listener(), listener());
    let inputs = vec![input("one", core_one), input("two", core_two)];
    let mut relay = Relay::new(&config(&[&near, &far]), inputs, None, None).unwrap();

    let mut dice = Dice(7);
    let mut true_shreds = Vec::new();
    let (mut received_near, mut received_far) = (Bag::new(), Bag::new());
    let mut sent = 0;
    for slot in 100..110 {
        let mut shreds: Vec<Vec<u8>> = block(slot).shreds().cloned().collect();
        true_shreds.extend(shreds.iter().cloned());
        dice.shuffle(&mut shreds, 40);
        let mut foreign = block(slot);
        foreign.version = VERSION ^ 1;
        foreign.batch(&payload::ticks(1, 1));
        let mut stranger = Block::new(&key(2), slot);
        stranger.batch(&payload::ticks(1, 1));
        let mut beyond = Block::new(&key(1), slot + 300);
        beyond.batch(&payload::ticks(1, 1));
        let foreign = foreign.sets.last().unwrap();
        for (at, shred) in shreds.iter().enumerate() {
            let (first, second) = if dice.percent(50) {
                (&to_one, &to_two)
            } else {
                (&to_two, &to_one)
            };
            first.send(shred).unwrap();
            sent += 1;
            if dice.percent(40) {
                second.send(shred).unwrap();
                first.send(shred).unwrap();
                sent += 2;
            }
            // The window knows where it is once something authentic has come.
            let junk = [
                foreign.shreds[at % 64].as_slice(),
                stranger.sets[0].shreds[at % 64].as_slice(),
                beyond.sets[0].shreds[at % 64].as_slice(),
                &shred[..700],
            ][at % 4];
            if slot > 100 || at > 100 {
                second.send(junk).unwrap();
                sent += 1;
            }
            one.poll();
            two.poll();
            relay.poll(&leaders());
            collect(&near, &mut received_near);
            collect(&far, &mut received_far);
        }
    }
    until("all is read", || {
        one.poll();
        two.poll();
        relay.poll(&leaders());
        collect(&near, &mut received_near);
        collect(&far, &mut received_far);
        let inputs = relay.counters().tally().inputs;
        inputs
            .iter()
            .map(|input| input.datagram_received)
            .sum::<u64>()
            == sent
    });
    let expected = bag(&true_shreds);
    until("all has arrived", || {
        collect(&near, &mut received_near);
        collect(&far, &mut received_far);
        received_near.len() >= expected.len() && received_far.len() >= expected.len()
    });
    assert!(received_near == expected && received_far == expected);
    let tally = relay.counters().tally();
    assert_eq!(tally.shred_passed, true_shreds.len() as u64);
    assert!(tally.inputs.iter().all(|input| input.shred_first > 100));
    for reason in [
        Reject::Duplicate,
        Reject::ForeignVersion,
        Reject::SlotOutOfWindow,
    ] {
        assert!(tally.refused(reason) > 100, "{reason:?} {tally:?}");
    }
    for destination in tally.destinations {
        assert_eq!(destination.datagram_sent, true_shreds.len() as u64);
        assert_eq!(destination.full_dropped + destination.failed_dropped, 0);
    }
}

#[test]
fn what_may_not_be_passed_on_is_refused() {
    let (_rx, core) = frames(2);
    let source = Input {
        redistributable: false,
        ..input("leased", core)
    };
    let refused = Relay::new(&RelayConfig::default(), vec![source], None, None);
    let Err(error) = refused else {
        panic!("passed on")
    };
    assert!(matches!(&error, RelayError::NotRedistributable(name) if name == "leased"));
    assert!(error.to_string().contains("redistributable = true"));
}

/// Goal: two relays that feed each other do not loop.
/// Method: each has the other among its sources and destinations, and a listener that counts.
#[test]
fn relays_that_feed_each_other_do_not_loop() {
    let (mut feed, to_feed, core_feed) = udp(0);
    let (mut from_b, socket_b, core_from_b) = udp(1);
    let (mut from_a, socket_a, core_from_a) = udp(2);
    let (heard_a, heard_b) = (listener(), listener());
    let towards = |listener: &UdpSocket, other: SocketAddr| {
        let mut config = config(&[listener]);
        config.destinations.push(other);
        config
    };
    drop((socket_a, socket_b));
    let inputs = vec![input("feed", core_feed), input("b", core_from_b)];
    let mut a = Relay::new(&towards(&heard_a, from_a.local()), inputs, None, None).unwrap();
    let inputs = vec![input("a", core_from_a)];
    let mut b = Relay::new(&towards(&heard_b, from_b.local()), inputs, None, None).unwrap();

    let shreds: Vec<Vec<u8>> = block(100).shreds().cloned().collect();
    let (mut bag_a, mut bag_b) = (Bag::new(), Bag::new());
    for shred in &shreds {
        to_feed.send(shred).unwrap();
    }
    let count = shreds.len() as u64;
    until("all went round once", || {
        feed.poll();
        a.poll(&leaders());
        from_a.poll();
        b.poll(&leaders());
        from_b.poll();
        collect(&heard_a, &mut bag_a);
        collect(&heard_b, &mut bag_b);
        a.counters().tally().inputs[1].datagram_received == count
    });
    // What B sent back has been read by now; nothing of it may set out again.
    for _ in 0..1000 {
        let polled = [
            feed.poll(),
            from_a.poll(),
            from_b.poll(),
            a.poll(&leaders()),
            b.poll(&leaders()),
        ];
        assert_eq!(polled, [0; 5]);
    }
    collect(&heard_a, &mut bag_a);
    collect(&heard_b, &mut bag_b);
    assert!(bag_a == bag(&shreds) && bag_b == bag(&shreds));
    let tally = a.counters().tally();
    assert_eq!(tally.refused(Reject::Duplicate), count);
    assert_eq!(tally.inputs[1].shred_first, 0);
}

fn quic_source(seed: u8, client: u8, source: u8) -> (QuicHandle, CoreFrames) {
    let (rx, core) = frames(4096);
    let mut config = QuicSourceConfig::new("test", "127.0.0.1:0".parse().unwrap());
    config.peers = [Identity::from_seed(&[client; 32]).id()]
        .into_iter()
        .collect();
    let identity = Identity::from_seed(&[seed; 32]);
    let handle = QuicSource::start(config, &identity, SourceId(source), rx).unwrap();
    (handle, core)
}

/// Goal: an operator's regions share their first arrivals: what A has, B has, and the other way, over QUIC.
/// Method: each is given half of the shreds of two blocks; both listeners must hear everything once.
#[test]
fn nodes_share_their_first_arrivals_over_quic() {
    let node = |seed: u8, other: u8| {
        let (quic, from_other) = quic_source(seed, other, 1);
        let (own, core) = frames(4096);
        (quic, from_other, own, core)
    };
    let (quic_a, from_b, mut own_a, core_a) = node(10, 20);
    let (quic_b, from_a, mut own_b, core_b) = node(20, 10);
    let sender = |seed: u8, peer: u8, address| {
        let destination = Destination {
            address,
            peer: Identity::from_seed(&[peer; 32]).id(),
        };
        let config = QuicSenderConfig::new("test", vec![destination]);
        QuicSender::start(config, &Identity::from_seed(&[seed; 32])).unwrap()
    };
    let (to_b, handle_b) = sender(10, 20, quic_b.local());
    let (to_a, handle_a) = sender(20, 10, quic_a.local());
    for handle in [&handle_a, &handle_b] {
        until("connected", || {
            handle.counters().tally().destinations[0].is_connected()
        });
    }
    let (heard_a, heard_b) = (listener(), listener());
    let inputs = vec![input("own", core_a), input("b", from_b)];
    let mut a = Relay::new(&config(&[&heard_a]), inputs, Some(to_b), None).unwrap();
    let inputs = vec![input("own", core_b), input("a", from_a)];
    let mut b = Relay::new(&config(&[&heard_b]), inputs, Some(to_a), None).unwrap();

    let shreds: Vec<Vec<u8>> = [block(100), block(101)]
        .iter()
        .flat_map(|block| block.shreds().cloned().collect::<Vec<_>>())
        .collect();
    let expected = bag(&shreds);
    let (mut bag_a, mut bag_b) = (Bag::new(), Bag::new());
    for (at, shred) in shreds.iter().enumerate() {
        publish(if at % 2 == 0 { &mut own_a } else { &mut own_b }, shred, 0);
    }
    until("both have all", || {
        a.poll(&leaders());
        b.poll(&leaders());
        collect(&heard_a, &mut bag_a);
        collect(&heard_b, &mut bag_b);
        bag_a.len() == expected.len() && bag_b.len() == expected.len()
    });
    for _ in 0..100 {
        std::thread::sleep(Duration::from_millis(1));
        a.poll(&leaders());
        b.poll(&leaders());
    }
    collect(&heard_a, &mut bag_a);
    collect(&heard_b, &mut bag_b);
    assert!(bag_a == expected && bag_b == expected);
    let tally = a.counters().tally();
    assert_eq!(tally.quic_offered + tally.quic_refused, tally.shred_passed);
    assert_eq!(tally.inputs[0].shred_first, shreds.len() as u64 / 2);
}

fn publish(rx: &mut RxFrames, datagram: &[u8], source: u8) {
    let mut frame = rx.reserve().unwrap();
    frame.bytes_mut()[..datagram.len()].copy_from_slice(datagram);
    frame.publish(shred_source::arena::Datagram {
        stamp: shred_wire::Nanos(1_000_000_000),
        ordinal: 0,
        len: datagram.len() as u16,
        source: SourceId(source),
        flags: 0,
    });
}

/// Goal: the stage touches the heap neither for what passes nor for what does not, and an assembler that does not keep
/// up costs it nothing but a count.
#[test]
fn polling_allocates_nothing() {
    let (mut rx, core) = frames(4096);
    let (entries, _stuck) = frames(64);
    let heard = listener();
    let mut relay = Relay::new(
        &config(&[&heard]),
        vec![input("own", core)],
        None,
        Some(entries),
    )
    .unwrap();
    let mut shreds: Vec<Vec<u8>> = (100..108)
        .flat_map(|slot| block(slot).shreds().cloned().collect::<Vec<_>>())
        .collect();
    shreds.push(vec![0; 1203]);
    let leaders = leaders();
    for round in 0..2 {
        for shreds in shreds.chunks(RX_BURST) {
            shreds.iter().for_each(|shred| publish(&mut rx, shred, 0));
            let before = CALLS.get();
            assert_eq!(relay.poll(&leaders), shreds.len());
            assert_eq!(CALLS.get(), before, "round {round}");
            let _ = heard.recv(&mut [0; 2048]);
        }
    }
    let tally = relay.counters().tally();
    assert_eq!(tally.shred_passed, shreds.len() as u64 - 1);
    assert_eq!(tally.entries_offered, 64);
    assert_eq!(tally.entries_dropped, tally.shred_passed - 64);
}
