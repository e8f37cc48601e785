//! Where the datagrams of a test come from, and how they get to a source.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use demo::prng::Prng;
use demo::wire::{Wire, WireConfig};
use demo::{Datagrams, Generator, GeneratorConfig};
use shred_source::{CoreFrames, DatagramSource, PcapReader, SourceCounters, SourceTally};

use crate::common::Schedule;
use crate::live::Live;

/// Datagrams and the leaders of their slots.
pub struct Traffic {
    /// In order of sending.
    pub datagrams: Vec<Vec<u8>>,
    /// Who signs.
    pub leaders: Schedule,
    /// Slot and signature of every transaction, where that is known.
    pub truth: BTreeSet<(u64, [u8; 64])>,
    /// Slots that have a block, where that is known.
    pub blocks: BTreeSet<u64>,
}

/// A capture of `tests/fixtures` with its leaders.
#[must_use]
pub fn capture(name: &str) -> Traffic {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let bytes = std::fs::read(folder.join(format!("{name}.pcap"))).unwrap();
    let leaders = std::fs::read(folder.join("leaders.json")).unwrap();
    let leaders: BTreeMap<String, String> = serde_json::from_slice(&leaders).unwrap();
    let key = |text: &str| <[u8; 32]>::try_from(bs58::decode(text).into_vec().unwrap()).unwrap();
    let mut reader = PcapReader::new(bytes.as_slice()).unwrap();
    let mut datagrams = Vec::new();
    while let Some(datagram) = reader.next().unwrap() {
        datagrams.push(datagram.payload.to_vec());
    }
    Traffic {
        datagrams,
        leaders: Schedule(
            leaders
                .iter()
                .map(|(slot, leader)| (slot.parse().unwrap(), key(leader)))
                .collect(),
        ),
        truth: BTreeSet::new(),
        blocks: BTreeSet::new(),
    }
}

/// `slots` slots of the embedded market, each datagram once and in order.
#[must_use]
pub fn generated(seed: u64, slots: u64) -> Traffic {
    let config = GeneratorConfig {
        seed,
        ..GeneratorConfig::default()
    };
    let first = config.first_slot;
    let mut generator = Generator::new(config);
    let leaders = Schedule(generator.schedule().identities(first..first + slots));
    let mut out = Datagrams::new();
    let (mut truth, mut blocks) = (BTreeSet::new(), BTreeSet::new());
    while generator.slot() < first + slots {
        let report = generator.next_slot(&mut out);
        let signatures = report.transactions.iter().map(|txn| txn.signature);
        truth.extend(signatures.map(|signature| (report.slot, signature)));
        blocks.extend(report.blockhash.map(|_| report.slot));
    }
    Traffic {
        datagrams: out.iter().map(<[u8]>::to_vec).collect(),
        leaders,
        truth,
        blocks,
    }
}

impl Traffic {
    /// What is left of it after a way that loses, repeats, reorders and spoils.
    #[must_use]
    pub fn after(mut self, accidents: WireConfig, seed: u64) -> Self {
        let mut wire = Wire::new(accidents, Prng::new(seed));
        let mut arrived = Vec::new();
        for datagram in &self.datagrams {
            wire.pass(datagram, |bytes| arrived.push(bytes.to_vec()));
        }
        wire.flush(|bytes| arrived.push(bytes.to_vec()));
        self.datagrams = arrived;
        self
    }
}

/// A source that is polled on a thread of its own until it is dropped.
pub struct Pumped {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    counters: Arc<SourceCounters>,
}

impl Pumped {
    /// Starts polling.
    #[must_use]
    pub fn new(mut source: impl DatagramSource + Send + 'static) -> Self {
        let counters = Arc::clone(source.counters());
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if source.poll() == 0 {
                    source.wait(Duration::from_millis(1));
                }
            }
        });
        Self {
            stop,
            thread: Some(thread),
            counters,
        }
    }

    /// What it took and refused.
    #[must_use]
    pub fn tally(&self) -> SourceTally {
        self.counters.tally()
    }
}

impl Drop for Pumped {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

/// Datagrams on their way at once: what the smallest default socket buffer has room for.
const IN_FLIGHT: usize = 64;
/// Without anything new for this long, what is missing is taken as lost.
const GIVEN_UP: Duration = Duration::from_secs(2);

/// Sends `datagrams`, of which `send` says whether one went out, and drains all the while; how many went out.
///
/// Waits for what is under way so that a small socket buffer loses nothing, but lives with whatever is lost.
pub fn play(
    datagrams: &[Vec<u8>],
    live: &mut Live,
    cores: &mut [CoreFrames],
    received: impl Fn() -> u64,
    mut send: impl FnMut(usize, &[u8]) -> bool,
) -> u64 {
    let mut sent = 0;
    for (at, few) in datagrams.chunks(IN_FLIGHT).enumerate() {
        for (index, datagram) in few.iter().enumerate() {
            sent += u64::from(send(at * IN_FLIGHT + index, datagram));
        }
        let mut news_at = Instant::now();
        let mut seen = received();
        while seen < sent && news_at.elapsed() < GIVEN_UP {
            let before = seen;
            let drained = live.drain(cores);
            seen = received();
            if drained > 0 || seen > before {
                news_at = Instant::now();
            } else {
                std::thread::yield_now();
            }
        }
        while live.drain(cores) > 0 {}
    }
    sent
}
