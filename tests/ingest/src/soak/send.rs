//! The sending process: two lossy ways from one shredder, and the auditor.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use demo::Datagrams;
use demo::prng::Prng;
use demo::wire::{Wire, WireConfig};

use super::audit::{Account, Auditor};
use super::world::World;
use super::{MARK_LEN, Mark, Soak};

/// Datagrams in a microburst, at least and at most.
const BURST: (u64, u64) = (32, 400);
/// Of 10,000 sets, those that a source loses most of.
const OUTAGE_BPS: u16 = 800;
/// Of 10,000 shreds of such a set, those it loses.
const OUTAGE_LOSS_BPS: u16 = 7_500;

/// What a way does, besides outages.
const ACCIDENTS: WireConfig = WireConfig {
    loss_bps: 1_000,
    duplicate_bps: 300,
    reorder_bps: 800,
    reorder_depth: 48,
    noise_bps: 500,
};

/// Sends for as long as `soak` says, to these two addresses, and audits the trail that comes in on stdin to its end.
/// Says `sent` on stdout when all has been sent, and then what came of it.
///
/// # Errors
/// A socket or a pipe.
pub fn send(soak: &Soak, to: [SocketAddr; 2]) -> io::Result<ExitCode> {
    let auditor = Mutex::new(Auditor::default());
    let sent = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_trail(&auditor));
        let sent = send_all(soak, to, &auditor);
        println!("sent");
        io::stdout().flush()?;
        match reading.join() {
            Ok(Ok(())) => sent,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::other("the auditor panicked")),
        }
    })?;
    let mut auditor = auditor.into_inner().unwrap_or_else(PoisonError::into_inner);
    auditor.close_all();
    let account = auditor.account;
    print(&account, &sent);
    let mut faults = account.faults();
    if sent.rate() < soak.rate * 9 / 10 {
        faults.push(format!("only {} datagrams per second", sent.rate()));
    }
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    io::stdout().flush()?;
    Ok(ExitCode::from(u8::from(!faults.is_empty())))
}

struct Sent {
    datagrams: [u64; 2],
    lost: u64,
    noise: u64,
    elapsed: Duration,
}

impl Sent {
    fn rate(&self) -> u64 {
        let count: u64 = self.datagrams.iter().sum();
        (count as f64 / self.elapsed.as_secs_f64()) as u64
    }
}

fn print(account: &Account, sent: &Sent) {
    println!(
        "sent {:?} datagrams in {:.1} s ({}/s), {} more lost on the way, {} of them junk",
        sent.datagrams,
        sent.elapsed.as_secs_f64(),
        sent.rate(),
        sent.lost,
        sent.noise,
    );
    println!(
        "arrived {:?}: {} junk, {} again; dropped between socket and core {:?}",
        account.arrived,
        account.junk,
        account.again,
        [0, 1].map(|source| sent.datagrams[source].saturating_sub(account.arrived[source])),
    );
    println!(
        "{} slots, {} sets ({} beyond recovery), {} transactions: {} knowable, {} lost, {} unfounded, {} twice, {} strange",
        account.slots,
        account.sets,
        account.sets_short,
        account.transactions,
        account.knowable,
        account.lost,
        account.unfounded,
        account.twice,
        account.strange,
    );
}

fn read_trail(auditor: &Mutex<Auditor>) -> io::Result<()> {
    let mut pipe = io::stdin().lock();
    let mut buffer = vec![0; 4096 * MARK_LEN];
    let mut filled = 0;
    loop {
        let count = pipe.read(&mut buffer[filled..])?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        let (marks, _) = buffer[..filled].as_chunks::<MARK_LEN>();
        let whole = marks.len() * MARK_LEN;
        {
            let mut auditor = auditor.lock().unwrap_or_else(PoisonError::into_inner);
            for mark in marks {
                auditor.note(Mark::from_bytes(*mark));
            }
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

/// Sends in microbursts whose times were fixed before: what is late is caught up with.
fn send_all(soak: &Soak, to: [SocketAddr; 2], auditor: &Mutex<Auditor>) -> io::Result<Sent> {
    let mut lines = Vec::new();
    for (number, to) in to.into_iter().enumerate() {
        let prng = Prng::new(soak.seed).fork(["one", "other"][number]);
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.connect(to)?;
        lines.push(Line {
            socket,
            wire: Wire::new(ACCIDENTS, prng.fork("way")),
            prng,
            is_out: false,
            sent: 0,
            lost: 0,
        });
    }
    let mut pace = Prng::new(soak.seed).fork("pace");
    let started = Instant::now();
    // Made ahead, so that making a slot does not hold up sending one.
    let (made, slots) = sync_channel(2);
    let seed = soak.seed;
    std::thread::spawn(move || {
        let mut world = World::new(seed);
        loop {
            let mut out = Datagrams::new();
            let (slot, places) = world.next_slot(&mut out);
            if made.send((slot, out, places)).is_err() {
                return;
            }
        }
    });
    let (mut burst_left, mut due) = (0, Duration::ZERO);
    for (slot, out, places) in slots {
        if started.elapsed() >= soak.time {
            break;
        }
        auditor
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .expect(slot, &out, places);
        for (at, datagram) in out.iter().enumerate() {
            if at % 64 == 0 {
                lines.iter_mut().for_each(Line::begin_set);
            }
            for line in &mut lines {
                burst_left -= line.pass(datagram);
            }
            if burst_left <= 0 {
                let burst = pace.between(BURST.0, BURST.1);
                burst_left += burst as i64;
                // The pause before a burst is as long as the burst is worth.
                due += Duration::from_nanos(burst * 1_000_000_000 / soak.rate);
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
        }
    }
    for line in &mut lines {
        line.flush();
    }
    Ok(Sent {
        datagrams: [lines[0].sent, lines[1].sent],
        lost: lines
            .iter()
            .map(|line| line.lost + line.wire.counters().lost)
            .sum(),
        noise: lines.iter().map(|line| line.wire.counters().noise).sum(),
        elapsed: started.elapsed(),
    })
}

/// The way to one socket.
struct Line {
    socket: UdpSocket,
    wire: Wire,
    prng: Prng,
    /// The current set is one that it loses most of.
    is_out: bool,
    sent: u64,
    lost: u64,
}

impl Line {
    fn begin_set(&mut self) {
        self.is_out = self.prng.chance_bps(OUTAGE_BPS);
    }

    /// How many datagrams went out for this one.
    fn pass(&mut self, datagram: &[u8]) -> i64 {
        if self.is_out && self.prng.chance_bps(OUTAGE_LOSS_BPS) {
            self.lost += 1;
            return 0;
        }
        let Self {
            socket, wire, sent, ..
        } = self;
        let before = *sent;
        // What the kernel refuses to send is as good as sent: it does not arrive.
        wire.pass(datagram, |bytes| {
            let _ = socket.send(bytes);
            *sent += 1;
        });
        (*sent - before) as i64
    }

    fn flush(&mut self) {
        let Self {
            socket, wire, sent, ..
        } = self;
        wire.flush(|bytes| {
            let _ = socket.send(bytes);
            *sent += 1;
        });
    }
}
