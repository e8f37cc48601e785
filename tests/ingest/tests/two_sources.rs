//! Two lossy sources that only together are complete give everything, through two sockets, two frame rings and one
//! resolver.

#![allow(clippy::unwrap_used)]

use std::net::UdpSocket;

use ingest_tests::common::Dice;
use ingest_tests::live::{Agreed, Live};
use ingest_tests::traffic::{Pumped, Traffic, generated, play};
use shred_source::arena::Lock;
use shred_source::{ArenaPlan, SourceId, UdpConfig, UdpSource, frame_ring};

const LOOPBACK: &str = "127.0.0.1:0";
/// Shreds of a set; 32 of them are enough.
const SET: usize = 64;

/// Which sources a datagram reaches.
type Reaches = [bool; 2];

/// Sends `traffic` to two sockets, each what it is to get, in one order of sending.
fn run(traffic: &Traffic, reaches: &[Reaches]) -> (Live, u64) {
    let (mut sources, mut sockets, mut cores) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..2 {
        let plan = ArenaPlan {
            frame_count: 1024,
            lock: Lock::Skip,
            ..ArenaPlan::default()
        };
        let (rx, core, _) = frame_ring(&plan).unwrap();
        let config = UdpConfig::new(LOOPBACK.parse().unwrap());
        let (source, facts) = UdpSource::open(&config, SourceId(number), rx, None).unwrap();
        let socket = UdpSocket::bind(LOOPBACK).unwrap();
        socket.connect(facts.local).unwrap();
        sources.push(Pumped::new(source));
        sockets.push(socket);
        cores.push(core);
    }
    let received = || {
        sources
            .iter()
            .map(|source| source.tally().datagram_received)
            .sum()
    };
    // One entry for each time that a datagram is sent.
    let plan: Vec<(usize, usize)> = reaches
        .iter()
        .enumerate()
        .flat_map(|(at, reaches)| {
            (0..2)
                .filter(|source| reaches[*source])
                .map(move |source| (at, source))
        })
        .collect();
    let datagrams: Vec<Vec<u8>> = plan
        .iter()
        .map(|(at, _)| traffic.datagrams[*at].clone())
        .collect();
    let mut live = Live::new(traffic.leaders.clone());
    let sent = play(
        &datagrams,
        &mut live,
        &mut cores,
        received,
        |at, datagram| sockets[plan[at].1].send(datagram).is_ok(),
    );
    (live, sent)
}

#[track_caller]
fn agreed(live: &Live) -> Agreed {
    live.compare().unwrap_or_else(|why| panic!("{why}"))
}

/// Together everything; each alone next to nothing, or nothing would be proven.
#[track_caller]
fn only_together(traffic: &Traffic, reaches: &[Reaches]) {
    let (live, sent) = run(traffic, reaches);
    assert_eq!(
        live.steps().len() as u64,
        sent,
        "the machine itself lost some: nothing is proven"
    );
    let together = agreed(&live);
    assert_eq!(together.transactions, traffic.truth);
    assert_eq!(together.blocks, traffic.blocks);
    for source in 0..2 {
        let alone: Vec<Reaches> = reaches
            .iter()
            .map(|reaches| std::array::from_fn(|at| at == source && reaches[at]))
            .collect();
        let (live, _) = run(traffic, &alone);
        let alone = agreed(&live);
        assert!(
            alone.transactions.len() < traffic.truth.len() / 2 && alone.blocks.is_empty(),
            "source {source} alone gave {} of {}",
            alone.transactions.len(),
            traffic.truth.len()
        );
    }
}

/// Goal: the data shreds alone, every other one to each source, no code: both halves are needed to the last shred.
#[test]
fn disjoint_halves_of_the_data() {
    let traffic = generated(21, 6);
    let reaches: Vec<Reaches> = (0..traffic.datagrams.len())
        .map(|at| {
            let is_data = at % SET < SET / 2;
            [is_data && at % 2 == 0, is_data && at % 2 == 1]
        })
        .collect();
    only_together(&traffic, &reaches);
}

/// Goal: each source loses more of every set than recovery makes up for; what both have makes it up.
#[test]
fn random_losses_that_neither_survives() {
    let traffic = generated(22, 6);
    assert!(traffic.datagrams.len().is_multiple_of(SET));
    let mut dice = Dice(4);
    let mut reaches: Vec<Reaches> = Vec::new();
    while reaches.len() < traffic.datagrams.len() {
        let set: Vec<Reaches> = (0..SET)
            .map(|_| [dice.percent(45), dice.percent(45)])
            .collect();
        let count = |gets: fn(&Reaches) -> bool| set.iter().filter(|one| gets(one)).count();
        let (one, other) = (count(|reaches| reaches[0]), count(|reaches| reaches[1]));
        let either = count(|reaches| reaches[0] || reaches[1]);
        if one < SET / 2 && other < SET / 2 && either >= SET / 2 {
            reaches.extend(set);
        }
    }
    only_together(&traffic, &reaches);
}

/// Goal: two feeds as they are, of which each loses four shreds in ten, whatever falls where.
#[test]
fn random_losses_of_four_in_ten() {
    let traffic = generated(23, 6);
    let mut dice = Dice(5);
    let reaches: Vec<Reaches> = traffic
        .datagrams
        .iter()
        .map(|_| [dice.percent(60), dice.percent(60)])
        .collect();
    let (live, _) = run(&traffic, &reaches);
    let both = agreed(&live);
    assert!(both.transactions.is_subset(&traffic.truth) && both.recovered > 0);
    // Of 64 shreds 54 arrive on average; the seed has no set that is beyond recovery.
    assert_eq!(both.transactions, traffic.truth);
    assert_eq!(both.blocks, traffic.blocks);
}
