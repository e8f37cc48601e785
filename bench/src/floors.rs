//! What single steps cost on this host: nothing built from them can be quicker than their sum.

use std::hint::{black_box, spin_loop};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::Ed25519KeyPair;
use ed25519_dalek::{Signer, SigningKey};
use hdrhistogram::Histogram;
use overmind::clock::Ticker;
use overmind::rungs::histogram;
use rtrb::RingBuffer;
use sha2::{Digest, Sha256};

use crate::row::Row;

/// Bytes a leaf hash covers: a prefix of 26 and 1,019 of a data shred.
const LEAF_LEN: usize = 1_045;
/// Bytes a join covers: a prefix and two nodes of 20.
const JOIN_LEN: usize = 66;
/// Bytes of the message that a launch is answered with, about.
const MESSAGE_LEN: usize = 700;
/// A data shred.
const DATAGRAM_LEN: usize = 1_203;
/// Longest a floor may take: a host without a free second core cannot hold everything up.
const PATIENCE: Duration = Duration::from_secs(3);

/// Medians in nanoseconds, measured once per run.
#[derive(Debug, Clone)]
pub struct Floors {
    /// One reading of the clock that latencies are measured with.
    pub clock: u64,
    /// One leaf hash (portable or SHA-NI, as the host has it).
    pub leaf: u64,
    /// One join of two nodes.
    pub join: u64,
    /// One copy of a shred from a cache to its place.
    pub copy: u64,
    /// One strict Ed25519 verification of a 32-byte root.
    pub verify: u64,
    /// One deterministic Ed25519 signature by ed25519-dalek.
    pub sign: u64,
    /// The same by aws-lc.
    pub sign_aws_lc: u64,
    /// Every floor as a row.
    pub rows: Vec<Row>,
}

impl Floors {
    /// Nanoseconds under a shred that is authenticated before its transactions are told: its leaf, so many joins, a copy
    /// and, where it is the first of its set, the leader's signature. One clock reading is left in.
    #[must_use]
    pub fn authenticated(&self, joins: u64, signature: bool) -> u64 {
        let without_clock = |nanos: u64| nanos.saturating_sub(self.clock);
        let signature = if signature { self.verify } else { 0 };
        self.clock
            + self.copy
            + without_clock(self.leaf)
            + joins * without_clock(self.join)
            + without_clock(signature)
    }

    /// Measures them.
    #[must_use]
    pub fn measure(ticker: Ticker, quick: bool) -> Self {
        let n = if quick { 2_000 } else { 20_000 };
        let clock = clock(ticker, n);
        let bytes = [0x5a; LEAF_LEN];
        let sha = |len: usize| {
            let bytes = &bytes[..len];
            timed(ticker, n, || Sha256::digest(black_box(bytes)))
        };
        let (leaf, join) = (sha(LEAF_LEN), sha(JOIN_LEN));
        let copy = copy(ticker, n);
        let key = SigningKey::from_bytes(&[7; 32]);
        let aws_lc = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 bytes are a seed");
        let message = [0x11; MESSAGE_LEN];
        let (root, signature) = ([3; 32], key.sign(&[3; 32]));
        let verifying = key.verifying_key();
        let verify = timed(ticker, n / 8, || {
            verifying.verify_strict(black_box(&root), &signature)
        });
        let sign = timed(ticker, n / 4, || key.sign(black_box(&message)));
        let sign_aws_lc = timed(ticker, n / 4, || aws_lc.sign(black_box(&message)));
        let median = |log: &Histogram<u64>| log.value_at_quantile(0.5);
        let mut rows = vec![Row::latency("floor.clock_read", &clock)];
        rows.extend(ring(ticker, n));
        rows.extend(loopback(ticker, n / 4));
        let named = [
            ("floor.leaf_hash", &leaf),
            ("floor.join_hash", &join),
            ("floor.copy_shred", &copy),
            ("floor.ed25519_verify", &verify),
            ("floor.sign_dalek", &sign),
            ("floor.sign_aws_lc", &sign_aws_lc),
        ];
        rows.extend(named.map(|(name, log)| Row::latency(name, log)));
        Self {
            clock: median(&clock),
            leaf: median(&leaf),
            join: median(&join),
            copy: median(&copy),
            verify: median(&verify),
            sign: median(&sign),
            sign_aws_lc: median(&sign_aws_lc),
            rows,
        }
    }
}

fn timed<T>(ticker: Ticker, n: u64, mut work: impl FnMut() -> T) -> Histogram<u64> {
    let mut log = histogram();
    for _ in 0..n {
        let start = ticker.nanos();
        black_box(work());
        log.saturating_record(ticker.nanos().wrapping_sub(start));
    }
    log
}

/// Sixteen readings at a time, so that less than the clock's own step can be told.
fn clock(ticker: Ticker, n: u64) -> Histogram<u64> {
    const READINGS: u64 = 16;
    let mut log = histogram();
    for _ in 0..n {
        let start = ticker.nanos();
        for _ in 1..READINGS {
            black_box(ticker.nanos());
        }
        log.saturating_record(ticker.nanos().wrapping_sub(start) / READINGS);
    }
    log
}

/// Sixteen datagrams at a time from and to the nearest caches, as less than the clock's own step is to be told.
fn copy(ticker: Ticker, n: u64) -> Histogram<u64> {
    const COPIES: usize = 16;
    let (from, mut to) = ([0x5a; DATAGRAM_LEN], [[0; DATAGRAM_LEN]; 2]);
    let mut log = histogram();
    for _ in 0..n {
        let start = ticker.nanos();
        for index in 0..COPIES {
            let to = black_box(&mut to[index % 2]);
            to.copy_from_slice(black_box(&from));
        }
        log.saturating_record(ticker.nanos().wrapping_sub(start) / COPIES as u64);
    }
    log
}

/// Push to pop of one number: half a round trip between two threads, or one thread's push and pop where there is
/// only one core.
fn ring(ticker: Ticker, n: u64) -> Option<Row> {
    let (mut there, mut from_here) = RingBuffer::<u64>::new(64);
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        let log = timed(ticker, n, || {
            there.push(1).map(|()| from_here.pop().is_ok())
        });
        return Some(Row::latency("floor.ring_hop_same_thread", &log));
    }
    let (mut back, mut from_there) = RingBuffer::<u64>::new(64);
    let ended = AtomicBool::new(false);
    let mut log = histogram();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                match from_here.pop() {
                    Ok(number) => drop(back.push(number)),
                    Err(_) => spin_loop(),
                }
            }
        });
        let deadline = Instant::now() + PATIENCE;
        for number in 0..n {
            let start = ticker.nanos();
            let _ = there.push(number);
            while from_there.pop().is_err() {
                spin_loop();
            }
            log.saturating_record(ticker.nanos().wrapping_sub(start) / 2);
            if Instant::now() > deadline {
                break;
            }
        }
        ended.store(true, Ordering::Relaxed);
    });
    Some(Row::latency("floor.ring_hop", &log))
}

/// One thread sends itself a datagram over loopback and spins until it is in user memory: both system calls.
fn loopback(ticker: Ticker, n: u64) -> Option<Row> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    receiver.set_nonblocking(true).ok()?;
    sender.connect(receiver.local_addr().ok()?).ok()?;
    let (datagram, mut buffer) = ([0x77; DATAGRAM_LEN], [0; 2_048]);
    let (mut log, deadline) = (histogram(), Instant::now() + PATIENCE);
    for _ in 0..n {
        let start = ticker.nanos();
        sender.send(&datagram).ok()?;
        while receiver.recv(&mut buffer).is_err() {
            if Instant::now() > deadline {
                return Some(Row::latency("floor.loopback_udp", &log));
            }
            spin_loop();
        }
        log.saturating_record(ticker.nanos().wrapping_sub(start));
    }
    Some(Row::latency("floor.loopback_udp", &log))
}
