//! A shred through the relay.
//!
//! Generated traffic (2 % of it twice) lies in receive frames before the clock starts, 64 datagrams at a time; from the
//! first poll until all of them have been taken, judged and handed to the kernel. Nanoseconds a datagram taken. The
//! destinations are sockets on this host: what loopback does on the receiving side runs within the sender's call and is
//! in every row alike, so rows with destinations are worse than over a card, and closer to each other. They are emptied
//! outside the clock, and what they got is counted.
//!
//! - `to_*`: our stage. Proofs are checked, signatures only in `.signed` (where leaders are known). Runs of shreds of one
//!   length go to the kernel in one piece, unless `.no_segmentation`; `.no_proofs` tells shreds apart by number and
//!   signature alone.
//! - `plain.*`: a hash set of signature and number that forgets by generations, and a `send_to` for each shred and
//!   destination. It checks nothing: whoever sends it junk has it multiplied.

use std::collections::HashSet;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use demo::Datagrams;
use overmind::clock::Ticker;
use overmind::leaders::LeaderSource;
use overmind::rungs::histogram;
use shred_relay::{Input, Relay, RelayConfig};
use shred_resolve::SievePlan;
use shred_source::arena::Datagram;
use shred_source::{ArenaPlan, CoreFrames, RX_BURST, RxFrames, SourceId, frame_ring};
use shred_wire::Nanos;
use shred_wire::shred::{SIGNATURE_LEN, ShredLimits, ShredView};

use crate::figures::{Context, Findings};
use crate::row::{Entrant, Row};
use crate::traffic::Stream;

const SEED: u64 = 14;
/// Datagrams that lie ready: a socket's usual buffer holds so many.
const SLICE: usize = 64;
const SLOTS: u64 = 10_000;
/// Shreds that a generation of the plain way's hash set holds: some ten slots.
const GENERATION: usize = 1 << 16;

/// Name, destinations, and how.
const LANES: [(&str, usize, How); 11] = [
    ("to_none", 0, How::Ours(OURS)),
    ("to_none.no_proofs", 0, How::Ours(NO_PROOFS)),
    ("to_none.signed", 0, How::Ours(SIGNED)),
    ("to_1", 1, How::Ours(OURS)),
    ("to_1.no_segmentation", 1, How::Ours(NO_SEGMENTS)),
    ("to_1.no_proofs", 1, How::Ours(NO_PROOFS)),
    ("to_4", 4, How::Ours(OURS)),
    ("to_4.no_proofs", 4, How::Ours(NO_PROOFS)),
    ("plain.to_none", 0, How::Plain),
    ("plain.to_1", 1, How::Plain),
    ("plain.to_4", 4, How::Plain),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Ours(Ours),
    Plain,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Ours {
    proofs: bool,
    signatures: bool,
    segmentation: bool,
}

const OURS: Ours = Ours {
    proofs: true,
    signatures: false,
    segmentation: true,
};
const NO_PROOFS: Ours = Ours {
    proofs: false,
    ..OURS
};
const SIGNED: Ours = Ours {
    signatures: true,
    ..OURS
};
const NO_SEGMENTS: Ours = Ours {
    segmentation: false,
    ..OURS
};

/// Measures them all.
///
/// # Errors
/// A sentence when sockets or frames cannot be had, or a lane passed nothing on.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut stream = Stream::new(SEED, 0);
    let leaders = stream.leaders(SLOTS);
    let mut lanes = Vec::new();
    for (_, destinations, how) in LANES {
        lanes.push(Lane::open(destinations, how)?);
    }
    let mut entrants = LANES.map(|_| Entrant::default());
    let mut chunk = Datagrams::new();
    // The first chunk warms up.
    for number in 0..=context.size(9, 3) {
        stream.fill(context.size(400, 60) * SLICE, &mut chunk);
        let mut logs = LANES.map(|_| histogram());
        let all: Vec<&[u8]> = chunk.iter().collect();
        for (turn, slice) in all.chunks_exact(SLICE).enumerate() {
            for place in 0..LANES.len() {
                let at = (place + turn) % LANES.len();
                let spent = lanes[at].take(slice, &leaders, context.ticker)?;
                logs[at].saturating_record(spent / SLICE as u64);
            }
        }
        if number > 0 {
            for (entrant, log) in entrants.iter_mut().zip(&logs) {
                entrant.book(log);
            }
        }
    }
    let mut findings = Findings::default();
    for (((name, destinations, how), lane), entrant) in LANES.iter().zip(&lanes).zip(&entrants) {
        findings.notes.push(lane.in_words(name)?);
        let row = Row::latency(format!("relay.{name}"), &entrant.total);
        let rival = |wanted: How| {
            let lane = LANES
                .iter()
                .position(|lane| lane.1 == *destinations && lane.2 == wanted);
            lane.and_then(|lane| entrants[lane].over(entrant))
        };
        findings.rows.push(match how {
            How::Plain => row,
            How::Ours(ours) => {
                let row = row.beside("plain", rival(How::Plain));
                if ours.proofs {
                    row.beside("no_proofs", rival(How::Ours(NO_PROOFS)))
                } else {
                    row
                }
            }
        });
    }
    Ok(findings)
}

/// One way, with state that lives as long as the traffic.
struct Lane {
    stage: Stage,
    frames: RxFrames,
    receivers: Vec<UdpSocket>,
    taken: u64,
    received: u64,
    signatures: bool,
}

enum Stage {
    Ours(Box<Relay>),
    Plain(Box<Plain>),
}

impl Lane {
    fn open(destinations: usize, how: How) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("relay: {error}");
        let receivers = (0..destinations)
            .map(|_| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.set_nonblocking(true)?;
                Ok(socket)
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(said)?;
        let addresses = receivers
            .iter()
            .map(UdpSocket::local_addr)
            .collect::<Result<Vec<_>, _>>()
            .map_err(said)?;
        let plan = ArenaPlan {
            frame_count: 1_024,
            ..ArenaPlan::default()
        };
        let (frames, core, _) = frame_ring(&plan).map_err(|error| format!("relay: {error}"))?;
        let stage = match how {
            How::Ours(ours) => {
                let config = RelayConfig {
                    sieve: SievePlan {
                        authenticate: ours.proofs,
                        ..SievePlan::default()
                    },
                    destinations: addresses,
                    segmentation: ours.segmentation,
                    ..RelayConfig::default()
                };
                let input = Input {
                    name: "memory".to_owned(),
                    redistributable: true,
                    frames: core,
                };
                let relay = Relay::new(&config, vec![input], None, None);
                Stage::Ours(Box::new(relay.map_err(|error| format!("relay: {error}"))?))
            }
            How::Plain => Stage::Plain(Box::new(Plain::new(core, addresses).map_err(said)?)),
        };
        Ok(Self {
            stage,
            frames,
            receivers,
            taken: 0,
            received: 0,
            signatures: matches!(how, How::Ours(ours) if ours.signatures),
        })
    }

    /// Nanoseconds for a slice.
    fn take(
        &mut self,
        slice: &[&[u8]],
        leaders: &LeaderSource,
        ticker: Ticker,
    ) -> Result<u64, String> {
        for datagram in slice {
            let mut frame = self.frames.reserve().ok_or("relay: no frame is free")?;
            frame.bytes_mut()[..datagram.len()].copy_from_slice(datagram);
            frame.publish(Datagram {
                stamp: Nanos(1_790_000_000_000_000_000 + self.taken * 1_000),
                ordinal: self.taken,
                len: datagram.len() as u16,
                source: SourceId(0),
                flags: 0,
            });
            self.taken += 1;
        }
        let absent = LeaderSource::Absent;
        let leaders = if self.signatures { leaders } else { &absent };
        let start = ticker.nanos();
        match &mut self.stage {
            Stage::Ours(relay) => while relay.poll(leaders) > 0 {},
            Stage::Plain(plain) => while plain.poll() > 0 {},
        }
        let spent = ticker.nanos().wrapping_sub(start);
        let mut buffer = [0; 2_048];
        for receiver in &self.receivers {
            while receiver.recv(&mut buffer).is_ok() {
                self.received += 1;
            }
        }
        Ok(spent)
    }

    fn in_words(&self, name: &str) -> Result<String, String> {
        let passed = match &self.stage {
            Stage::Ours(relay) => relay.counters().tally().shred_passed,
            Stage::Plain(plain) => plain.passed,
        };
        let destinations = self.receivers.len() as u64;
        if passed == 0 || (destinations > 0 && self.received == 0) {
            return Err(format!("relay.{name}: nothing passed"));
        }
        Ok(format!(
            "relay.{name}: {passed} of {} datagrams passed, {} of {} received",
            self.taken,
            self.received,
            passed * destinations
        ))
    }
}

/// The plain way.
struct Plain {
    frames: CoreFrames,
    socket: UdpSocket,
    destinations: Vec<SocketAddr>,
    limits: ShredLimits,
    /// The running generation, and the one before.
    seen: [HashSet<Key>; 2],
    passed: u64,
}

/// Signature, number and whether it is a code shred.
type Key = ([u8; SIGNATURE_LEN], u32, bool);

impl Plain {
    fn new(frames: CoreFrames, destinations: Vec<SocketAddr>) -> std::io::Result<Self> {
        Ok(Self {
            frames,
            socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
            destinations,
            limits: ShredLimits::default(),
            seen: [(); 2].map(|()| HashSet::with_capacity(GENERATION)),
            passed: 0,
        })
    }

    fn poll(&mut self) -> usize {
        let Self {
            frames,
            socket,
            destinations,
            limits,
            seen,
            passed,
        } = self;
        frames.drain(RX_BURST, |_, datagram| {
            let Ok(shred) = ShredView::parse(datagram, limits) else {
                return;
            };
            let is_code = shred.leaf_index() >= shred_wire::shred::SET_SHREDS;
            let key = (*shred.signature(), shred.index(), is_code);
            if seen[1].contains(&key) || !seen[0].insert(key) {
                return;
            }
            if seen[0].len() == GENERATION {
                seen.swap(0, 1);
                seen[0].clear();
            }
            let shred = &datagram[..shred.variant().shred_len()];
            *passed += 1;
            for destination in destinations.iter() {
                // What the kernel refuses is lost, as over a card.
                let _ = socket.send_to(black_box(shred), destination);
            }
        })
    }
}
