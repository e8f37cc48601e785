//! Datagrams out of the kernel: a plain spinning `recv`, and our sources over `recvmmsg`, io_uring and AF_XDP.
//!
//! Two network namespaces joined by a veth pair. Sender and receiver take turns on one thread, so that no second core has
//! a part in it. Three measures, all in nanoseconds a datagram of 1,228 bytes:
//!
//! - `drain`: a burst of 64 has been sent; from the first poll until the last of it was read. What the receiving thread
//!   spends. The kernel's own way from the card to the socket or the frames ran within the sender's calls.
//! - `whole`: the same with the sender's calls, and so with that way: veth hands packets over on the sender's core.
//! - `single`: one datagram, from before its `send` until it was read, by a receiver that spins.
//!
//! Ours publish a descriptor into the core's ring, which is read and returned within the measure, with the kernel's
//! receive stamps; the plain `recv` does neither. Everything reads a shred's header. A way is opened, warmed up,
//! measured and closed again in each turn: a program on the card would change what the others cost.
//!
//! A virtual card: no DMA, no interrupt, no driver. AF_XDP copies each packet here, which a card with zero copy does
//! not.

use std::hint::{black_box, spin_loop};
use std::io;
use std::net::{SocketAddr, UdpSocket};

use hdrhistogram::Histogram;
use overmind::clock::Ticker;
use overmind::rungs::histogram;
use shred_source::xdp::Wish;
use shred_source::{
    ArenaPlan, CoreFrames, DatagramSource, RX_BURST, SourceId, UdpConfig, UdpSource, UringConfig,
    UringSource, XdpConfig, XdpSource, frame_ring,
};
use shred_wire::shred::CODE_SHRED_LEN;

use crate::figures::{Context, Findings};
use crate::lab::{Lab, NEAR, NEAR_CARD, in_lab};
use crate::row::{Entrant, Row};

const PORT: u16 = 20_000;
/// Datagrams sent before any is read.
const BURST: usize = 64;
/// Between sending and reading: for what the kernel has put off.
const PAUSE: u64 = 30_000;
/// What has not come by then is lost.
const PATIENCE: u64 = 20_000_000;
/// Bytes of a shred that everything reads.
const HEADER_LEN: usize = 83;

/// A way to receive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Recv,
    Recvmmsg,
    Uring,
    Xdp,
    XdpGeneric,
}

const WAYS: [(Way, &str); 5] = [
    (Way::Recv, "spin_recv"),
    (Way::Recvmmsg, "recvmmsg"),
    (Way::Uring, "io_uring"),
    (Way::Xdp, "af_xdp"),
    (Way::XdpGeneric, "af_xdp.generic_hook"),
];
const MEASURES: [&str; 3] = ["drain", "whole", "single"];

/// Measures every way that this host has.
///
/// # Errors
/// A sentence when nothing arrived by a way that could be opened.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    match in_lab(|lab| all(context, lab, &mut findings)) {
        Ok(done) => done?,
        Err(why) => {
            let note =
                format!("receive: skipped: wants root and `ip` for two network hosts: {why}");
            findings.notes.push(note);
        }
    }
    Ok(findings)
}

/// What one way took, by [`MEASURES`].
#[derive(Default)]
struct Taken {
    entrants: [Entrant; MEASURES.len()],
    about: String,
    lost: u64,
}

fn all(context: &Context, lab: &Lab, findings: &mut Findings) -> Result<(), String> {
    let to = lab.far_socket(PORT)?;
    let mut taken = WAYS.map(|_| Taken::default());
    let mut absent = WAYS.map(|_| None);
    for turn in 0..context.size(9, 3) {
        for place in 0..WAYS.len() {
            let at = (place + turn) % WAYS.len();
            if absent[at].is_some() {
                continue;
            }
            match Receiver::open(WAYS[at].0) {
                Ok((mut receiver, about)) => {
                    taken[at].about = about;
                    turn_of(context, &mut receiver, &to, &mut taken[at])?;
                }
                Err(why) => absent[at] = Some(why),
            }
        }
    }
    for (measure, word) in MEASURES.iter().enumerate() {
        let plain = &taken[0].entrants[measure];
        for (((way, name), taken), absent) in WAYS.iter().zip(&taken).zip(&absent) {
            if absent.is_some() {
                continue;
            }
            let entrant = &taken.entrants[measure];
            if entrant.total.is_empty() {
                return Err(format!("receive.{word}.{name}: nothing arrived"));
            }
            let row = Row::latency(format!("receive.{word}.{name}"), &entrant.total);
            let row = match way {
                Way::Recv => row,
                _ => row.beside("spin_recv", plain.over(entrant)),
            };
            findings.rows.push(row);
        }
    }
    for (((_, name), by_way), absent) in WAYS.iter().zip(&taken).zip(&absent) {
        let note = match absent {
            Some(why) => format!("skipped: {why}"),
            None => {
                let shares: Vec<String> = (0..MEASURES.len())
                    .filter_map(|measure| {
                        let plain = &taken[0].entrants[measure];
                        let share = by_way.entrants[measure].over(plain)?;
                        Some(format!("{} {share:.2}", MEASURES[measure]))
                    })
                    .collect();
                let (shares, lost) = (shares.join(", "), by_way.lost);
                format!(
                    "of spin_recv {shares}; {lost} bursts not whole; {}",
                    by_way.about
                )
            }
        };
        findings.notes.push(format!("receive.{name}: {note}"));
    }
    Ok(())
}

/// One turn of one way, which is open.
fn turn_of(
    context: &Context,
    receiver: &mut Receiver,
    to: &UdpSocket,
    taken: &mut Taken,
) -> Result<(), String> {
    let ticker = context.ticker;
    let mut logs = MEASURES.map(|_| histogram());
    let said = |error: io::Error| format!("receive: send: {error}");
    let bursts = context.size(200, 30);
    // The first ones warm up.
    for burst in 0..bursts + bursts / 10 {
        let (sent, drained) = one_burst(ticker, receiver, to).map_err(said)?;
        let Some(drained) = drained else {
            taken.lost += 1;
            continue;
        };
        if burst >= bursts / 10 {
            logs[0].saturating_record(drained / BURST as u64);
            logs[1].saturating_record((sent + drained) / BURST as u64);
        }
    }
    for _ in 0..context.size(2_000, 300) {
        singly(ticker, receiver, to, &mut logs[2]).map_err(said)?;
    }
    for (entrant, log) in taken.entrants.iter_mut().zip(&logs) {
        entrant.book(log);
    }
    Ok(())
}

/// Nanoseconds for sending a burst, and for reading it if all of it came.
fn one_burst(
    ticker: Ticker,
    receiver: &mut Receiver,
    to: &UdpSocket,
) -> io::Result<(u64, Option<u64>)> {
    let datagram = [7; CODE_SHRED_LEN];
    let start = ticker.nanos();
    for _ in 0..BURST {
        to.send(&datagram)?;
    }
    let sent = ticker.nanos();
    while ticker.nanos().wrapping_sub(sent) < PAUSE {
        spin_loop();
    }
    let (polled, mut got) = (ticker.nanos(), 0);
    loop {
        got += receiver.poll();
        let now = ticker.nanos();
        if got >= BURST {
            return Ok((sent - start, Some(now - polled)));
        }
        if now - polled > PATIENCE {
            return Ok((sent - start, None));
        }
    }
}

fn singly(
    ticker: Ticker,
    receiver: &mut Receiver,
    to: &UdpSocket,
    log: &mut Histogram<u64>,
) -> io::Result<()> {
    let start = ticker.nanos();
    to.send(&[7; CODE_SHRED_LEN])?;
    loop {
        let got = receiver.poll();
        let spent = ticker.nanos() - start;
        if got > 0 {
            log.saturating_record(spent);
            return Ok(());
        }
        if spent > PATIENCE {
            return Ok(());
        }
    }
}

/// A way that is open.
enum Receiver {
    Plain(UdpSocket, Box<[u8; 2_048]>),
    Source(Box<dyn DatagramSource>, CoreFrames),
}

impl Receiver {
    /// `Err` says why this host has it not.
    fn open(way: Way) -> Result<(Self, String), String> {
        let at: SocketAddr = format!("{NEAR}:{PORT}")
            .parse()
            .map_err(|error| format!("{error}"))?;
        let plan = ArenaPlan::default();
        let ring = || frame_ring(&plan).map_err(|error| error.to_string());
        let source = SourceId(0);
        match way {
            Way::Recv => {
                let said = |error: io::Error| error.to_string();
                let socket = UdpSocket::bind(at).map_err(said)?;
                socket.set_nonblocking(true).map_err(said)?;
                let receiver = Self::Plain(socket, Box::new([0; 2_048]));
                Ok((receiver, "one call a datagram, no stamps".to_owned()))
            }
            Way::Recvmmsg => {
                let (frames, core, _) = ring()?;
                let (source, _) = UdpSource::open(&UdpConfig::new(at), source, frames, None)
                    .map_err(|error| error.to_string())?;
                let about = format!("up to {RX_BURST} datagrams a call");
                Ok((Self::Source(Box::new(source), core), about))
            }
            Way::Uring => {
                UringSource::check().map_err(|error| error.to_string())?;
                let (frames, core, _) = ring()?;
                let (source, facts) =
                    UringSource::open(&UringConfig::new(at), source, frames, None)
                        .map_err(|error| error.to_string())?;
                let about = format!("{} buffers", facts.buffer_count);
                Ok((Self::Source(Box::new(source), core), about))
            }
            Way::Xdp | Way::XdpGeneric => {
                let (frames, core, _) = ring()?;
                let card = NEAR_CARD.parse().map_err(|error| format!("{error}"))?;
                let config = XdpConfig {
                    native: match way {
                        Way::XdpGeneric => Wish::Never,
                        _ => Wish::Prefer,
                    },
                    ..XdpConfig::new(card, vec![PORT])
                };
                let (source, facts) = XdpSource::open(&config, source, frames, None)
                    .map_err(|error| error.to_string())?;
                Ok((Self::Source(Box::new(source), core), facts.to_string()))
            }
        }
    }

    /// Datagrams read.
    #[inline]
    fn poll(&mut self) -> usize {
        match self {
            Self::Plain(socket, buffer) => match socket.recv(&mut buffer[..]) {
                Ok(len) => {
                    look_at(&buffer[..len]);
                    1
                }
                Err(_) => 0,
            },
            Self::Source(source, core) => {
                source.poll();
                core.drain(RX_BURST, |_, datagram| look_at(datagram))
            }
        }
    }
}

/// As a resolver's first look.
#[inline]
fn look_at(datagram: &[u8]) {
    let mut sum = 0_u64;
    for word in datagram[..HEADER_LEN.min(datagram.len())].chunks_exact(8) {
        sum = sum.wrapping_add(u64::from(word[0]));
    }
    black_box(sum);
}
