//! Over every transport, what comes out equals what a slow reference decoder makes of the arrival order of that run.

#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use demo::wire::WireConfig;
use ingest_tests::lab::{NEAR_CARD, in_lab};
use ingest_tests::live::{Agreed, Live};
use ingest_tests::traffic::{Pumped, Traffic, capture, generated, play};
use shred_quic::{
    Destination, Identity, QuicSender, QuicSenderConfig, QuicSource, QuicSourceConfig,
};
use shred_source::arena::Lock;
use shred_source::xdp::Wish;
use shred_source::{
    ArenaPlan, CoreFrames, RxFrames, SourceId, UdpConfig, UdpSource, UringConfig, UringSource,
    XdpConfig, XdpSource, frame_ring,
};

const LOOPBACK: &str = "127.0.0.1:0";
const SOURCE: SourceId = SourceId(5);
const PORT: u16 = 20_300;

/// Loss, reorder, duplicates, forgeries, abandoned blocks and changed parents.
fn all_traffic() -> Vec<(&'static str, Traffic)> {
    let mut all: Vec<_> = ["dev.lossy", "dev.adversarial", "dev2.adversarial"]
        .map(|name| (name, capture(name)))
        .into();
    all.push(("generated", generated(7, 3)));
    let accidents = WireConfig {
        loss_bps: 2_500,
        duplicate_bps: 500,
        reorder_bps: 2_000,
        reorder_depth: 100,
        noise_bps: 500,
    };
    all.push(("spoiled", generated(8, 3).after(accidents, 8)));
    all
}

fn frames() -> (RxFrames, CoreFrames) {
    let plan = ArenaPlan {
        frame_count: 1024,
        lock: Lock::Skip,
        ..ArenaPlan::default()
    };
    let (rx, core, _) = frame_ring(&plan).unwrap();
    (rx, core)
}

fn loopback_to(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    socket.connect(address).unwrap();
    socket
}

/// Plays `traffic` to a source and compares; fails when so little arrived that nothing is proven.
#[track_caller]
fn equals_the_reference(
    name: &str,
    traffic: &Traffic,
    core: CoreFrames,
    received: impl Fn() -> u64,
    mut send: impl FnMut(&[u8]) -> bool,
) {
    let mut live = Live::new(traffic.leaders.clone());
    let mut cores = [core];
    let sent = play(
        &traffic.datagrams,
        &mut live,
        &mut cores,
        received,
        |_, datagram| send(datagram),
    );
    let arrived = live.steps().len() as u64;
    let agreed = live
        .compare()
        .unwrap_or_else(|difference| panic!("{name}: {difference}"));
    println!("{name}: {sent} sent, {arrived} arrived, {}", text(&agreed));
    assert!(arrived > sent / 2, "{name}: {arrived} of {sent} arrived");
    assert!(agreed.transactions.len() > 100, "{name}");
    assert!(agreed.recovered > 0 || name == "generated", "{name}");
    assert!(agreed.retracts > 0 || !name.starts_with("dev2"), "{name}");
    if name == "generated" && arrived == sent {
        assert_eq!(agreed.transactions, traffic.truth);
        assert_eq!(agreed.blocks, traffic.blocks);
    }
    assert!(traffic.truth.is_empty() || agreed.transactions.is_subset(&traffic.truth));
}

fn text(agreed: &Agreed) -> String {
    format!(
        "{} transactions, {} blocks, {} retractions, {} sets recovered",
        agreed.transactions.len(),
        agreed.blocks.len(),
        agreed.retracts,
        agreed.recovered
    )
}

#[test]
fn udp() {
    for (name, traffic) in all_traffic() {
        let (rx, core) = frames();
        let config = UdpConfig::new(LOOPBACK.parse().unwrap());
        let (source, facts) = UdpSource::open(&config, SOURCE, rx, None).unwrap();
        let source = Pumped::new(source);
        let socket = loopback_to(facts.local);
        let received = || source.tally().datagram_received;
        equals_the_reference(name, &traffic, core, received, |datagram| {
            socket.send(datagram).is_ok()
        });
    }
}

#[test]
fn io_uring() {
    if let Err(why) = UringSource::check() {
        eprintln!("skipped: {why}");
        return;
    }
    for (name, traffic) in all_traffic() {
        let (rx, core) = frames();
        let config = UringConfig::new(LOOPBACK.parse().unwrap());
        let (source, facts) = UringSource::open(&config, SOURCE, rx, None).unwrap();
        let source = Pumped::new(source);
        let socket = loopback_to(facts.socket.local);
        let received = || source.tally().datagram_received;
        equals_the_reference(name, &traffic, core, received, |datagram| {
            socket.send(datagram).is_ok()
        });
    }
}

#[test]
fn af_xdp() {
    let done = in_lab(|lab| {
        for native in [Wish::Never, Wish::Prefer] {
            for (name, traffic) in all_traffic() {
                let (rx, core) = frames();
                let config = XdpConfig {
                    native,
                    ..XdpConfig::new(NEAR_CARD.parse().unwrap(), vec![PORT])
                };
                let (source, facts) = match XdpSource::open(&config, SOURCE, rx, None) {
                    Ok(opened) => opened,
                    Err(why) => return eprintln!("skipped: {why}"),
                };
                println!("{facts}");
                let source = Pumped::new(source);
                let socket = lab.far_socket(PORT).unwrap();
                let received = || source.tally().datagram_received;
                equals_the_reference(name, &traffic, core, received, |datagram| {
                    socket.send(datagram).is_ok()
                });
            }
        }
    });
    if let Err(why) = done {
        eprintln!("skipped: {why}");
    }
}

#[test]
fn quic() {
    for (name, traffic) in all_traffic() {
        let (rx, core) = frames();
        let [near, far] = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]));
        let mut config = QuicSourceConfig::new("near", LOOPBACK.parse().unwrap());
        config.peers = [far.id()].into_iter().collect();
        let source = QuicSource::start(config, &near, SOURCE, rx).unwrap();
        let destination = Destination {
            address: source.local(),
            peer: near.id(),
        };
        let config = QuicSenderConfig::new("far", vec![destination]);
        let (mut sender, handle) = QuicSender::start(config, &far).unwrap();
        let started = Instant::now();
        while !handle.counters().tally().destinations[0].is_connected() {
            assert!(started.elapsed() < Duration::from_secs(60), "no connection");
            std::thread::sleep(Duration::from_millis(1));
        }
        let received = || source.counters().tally().source.datagram_received;
        equals_the_reference(name, &traffic, core, received, |datagram| {
            sender.offer(datagram).is_ok()
        });
    }
}
