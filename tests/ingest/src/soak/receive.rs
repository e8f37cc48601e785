//! The receiving process: what is being soaked.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use rtrb::{Consumer, Producer, RingBuffer};
use shred_resolve::{
    Arrival, Leader, Leaders, Plan, Policy, ResolvedTxn, Resolver, Sink, SourceId, Verdict,
};
use shred_source::{
    ArenaPlan, CoreFrames, DatagramSource, RX_BURST, SourceCounters, SourceReject, UdpConfig,
    UdpSource, frame_ring,
};
use shred_wire::Slot;

use super::world::leader;
use super::{MARK_LEN, Mark, Soak, fingerprint};
use crate::common::{payload, shredder};
use crate::heap;

/// Lines of the trail between core and trail thread: some seconds at the default rate.
const TRAIL_LEN: usize = 1 << 18;
/// How often latencies are printed.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// Memory counts from here on, or from a third of a shorter run on.
const WARM_UP: Duration = Duration::from_secs(10);
/// With nothing new for so long after the last was sent, all has arrived that will.
const QUIET: Duration = Duration::from_millis(500);

/// Runs `soak` with a sending process that `sender` starts, given the addresses of both sockets as last arguments.
/// Prints what it measures; success says that all goals held.
///
/// # Errors
/// A socket, a thread or the sending process.
pub fn receive(soak: &Soak, mut sender: Command) -> io::Result<ExitCode> {
    let mut faults = Vec::new();
    if !heap::is_counting() {
        faults.push("this process does not count allocations".to_owned());
    }
    // Trying that out was counted, too.
    let before = heap::calls();
    let stop = Arc::<AtomicBool>::default();
    let (mut receivers, mut cores, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..2 {
        let (receiver, core, address) = Receiver::start(number, &stop)?;
        receivers.push(receiver);
        cores.push(core);
        addresses.push(address);
    }
    let mut child = sender
        .args(addresses.iter().map(SocketAddr::to_string))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(pipe), Some(said)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("the sending process has no pipes"));
    };
    let (marks, trail) = touched_ring();
    let taken = Arc::<AtomicU64>::default();
    let missed = Arc::<AtomicU64>::default();
    let core = Core {
        frames: cores,
        resolver: Resolver::new(&Plan {
            shred_version: Some(shredder::VERSION),
            ..Plan::default()
        }),
        trail: Trail {
            marks,
            missed: Arc::clone(&missed),
            taken_at: Instant::now(),
        },
        taken: Arc::clone(&taken),
        stop: Arc::clone(&stop),
    };
    let core = std::thread::Builder::new()
        .name("core".to_owned())
        .spawn(move || core.run())?;
    let trail = std::thread::Builder::new()
        .name("trail".to_owned())
        .spawn(move || follow(trail, pipe))?;
    let is_sent = Arc::<AtomicBool>::default();
    let saying = listen(said, Arc::clone(&is_sent));

    let memory = watch(soak, &is_sent, &taken)?;
    // From here on the threads wind down, which takes what it takes.
    heap::count(false);
    let after = heap::calls();
    let allocations = after.allocations - before.allocations;
    let frees = after.frees - before.frees;
    stop.store(true, Relaxed);
    let tallies: Vec<_> = receivers
        .iter()
        .map(|receiver| receiver.counters.tally())
        .collect();
    for receiver in receivers {
        let _ = receiver.thread.join();
    }
    let resolver = core
        .join()
        .map_err(|_| io::Error::other("the core panicked"))?;
    let followed = trail
        .join()
        .map_err(|_| io::Error::other("the trail panicked"))?;
    let status = child.wait()?;
    let _ = saying.join();

    for (number, tally) in tallies.iter().enumerate() {
        println!(
            "source {number}: {} received, {} dropped by the kernel, {} for want of frames, {} without a stamp",
            tally.datagram_received,
            tally.kernel_dropped,
            tally.refused(SourceReject::FramesFull),
            tally.stamp_missing,
        );
    }
    let counters = resolver.counters();
    println!(
        "resolver: {} transactions, {} sets recovered, {} signatures checked, {} sets evicted unread",
        counters.transaction,
        counters.set_recovered,
        counters.signature_checked,
        counters.set_evicted
    );
    followed?.print("all");
    println!("hot threads: {allocations} allocations, {frees} frees");
    println!(
        "memory after warm-up: {} KiB, {} KiB at most, {} readings",
        memory.first, memory.most, memory.readings
    );
    if allocations + frees > 0 {
        faults.push("the hot threads went to the heap".to_owned());
    }
    if memory.most > memory.first {
        faults.push(format!("memory grew by {} KiB", memory.most - memory.first));
    }
    if memory.readings == 0 {
        faults.push("memory was never read".to_owned());
    }
    if missed.load(Relaxed) > 0 {
        faults.push(format!(
            "{} lines of the trail were lost: the account is worth nothing",
            missed.load(Relaxed)
        ));
    }
    if !status.success() {
        faults.push(format!("the account: {status}"));
    }
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    println!(
        "{}",
        match faults.is_empty() {
            true => "all goals held",
            false => "not all goals held",
        }
    );
    Ok(ExitCode::from(u8::from(!faults.is_empty())))
}

/// A source on a thread of its own.
struct Receiver {
    thread: JoinHandle<()>,
    counters: Arc<SourceCounters>,
}

impl Receiver {
    fn start(number: u8, stop: &Arc<AtomicBool>) -> io::Result<(Self, CoreFrames, SocketAddr)> {
        let (frames, core, _) = frame_ring(&ArenaPlan::default()).map_err(io::Error::other)?;
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = UdpConfig::new(anywhere);
        let (mut source, facts) =
            UdpSource::open(&config, SourceId(number), frames, None).map_err(io::Error::other)?;
        println!(
            "source {number}: {}, {} KiB of socket buffer",
            facts.local,
            facts.receive_buffer_len / 1024
        );
        let counters = Arc::clone(source.counters());
        let stop = Arc::clone(stop);
        let thread = std::thread::Builder::new()
            .name(format!("rx-{number}"))
            .spawn(move || {
                heap::watch();
                while !stop.load(Relaxed) {
                    if source.poll() == 0 {
                        source.wait(Duration::from_millis(1));
                    }
                }
                heap::unwatch();
            })?;
        Ok((Self { thread, counters }, core, facts.local))
    }
}

/// One leader for all slots.
struct OneLeader([u8; 32]);

impl Leaders for OneLeader {
    fn leader(&self, _slot: Slot) -> Leader {
        Leader::Identity(self.0)
    }
}

/// The core's thread.
struct Core {
    frames: Vec<CoreFrames>,
    resolver: Resolver,
    trail: Trail,
    taken: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Core {
    fn run(mut self) -> Resolver {
        let leaders = OneLeader(leader().verifying_key().to_bytes());
        heap::watch();
        loop {
            // Read before draining: what was published before the stop is then taken.
            let is_stopping = self.stop.load(Relaxed);
            let taken = self.cycle(&leaders);
            if taken > 0 {
                self.taken.fetch_add(taken as u64, Relaxed);
            } else if is_stopping {
                heap::unwatch();
                return self.resolver;
            } else {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    fn cycle(&mut self, leaders: &OneLeader) -> usize {
        let Self {
            frames,
            resolver,
            trail,
            ..
        } = self;
        let mut taken = 0;
        for source in frames {
            taken += source.drain(RX_BURST, |about, datagram| {
                trail.push(Line {
                    mark: Mark {
                        kind: Mark::ARRIVED,
                        source: u32::from(about.source.0),
                        value: fingerprint(datagram),
                    },
                    ..Line::default()
                });
                let arrival = Arrival {
                    source: about.source,
                    policy: Policy::VerifyThenEmit,
                    at: about.stamp,
                };
                trail.taken_at = Instant::now();
                // What was refused is counted; whether rightly, the auditor knows.
                let _ = resolver.handle(datagram, arrival, leaders, trail);
            });
        }
        taken
    }
}

/// A mark and, of a transaction, how long ago its last datagram was taken by the core and stamped by the kernel.
#[derive(Clone, Copy, Default)]
struct Line {
    mark: Mark,
    nanos: u64,
    since_stamp: u64,
}

/// The core's end of the trail.
struct Trail {
    marks: Producer<Line>,
    missed: Arc<AtomicU64>,
    taken_at: Instant,
}

impl Trail {
    fn push(&mut self, line: Line) {
        if self.marks.push(line).is_err() {
            self.missed.fetch_add(1, Relaxed);
        }
    }
}

impl Sink for Trail {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        let nanos = self.taken_at.elapsed().as_nanos() as u64;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.push(Line {
            mark: Mark {
                kind: Mark::TOLD,
                source: 0,
                value: payload::id_of(txn.view.signature()),
            },
            nanos,
            since_stamp: (now.as_nanos() as u64).saturating_sub(txn.at.0),
        });
    }

    fn verdict(&mut self, _verdict: &Verdict) {}
}

fn touched_ring() -> (Producer<Line>, Consumer<Line>) {
    let (mut producer, mut consumer) = RingBuffer::new(TRAIL_LEN);
    while producer.push(Line::default()).is_ok() {}
    while consumer.pop().is_ok() {}
    (producer, consumer)
}

/// Latencies of transactions.
struct Latencies {
    l0: Histogram<u64>,
    since_stamp: Histogram<u64>,
}

impl Latencies {
    fn new() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, 10_000_000_000, 2).expect("bounds that a histogram takes")
        };
        Self {
            l0: histogram(),
            since_stamp: histogram(),
        }
    }

    fn print(&self, when: &str) {
        let at = |of: &Histogram<u64>, share: f64| of.value_at_quantile(share) as f64 / 1e3;
        println!(
            "{when:>6}: {} transactions; L0 p50 {:.2} p99 {:.2} p99.9 {:.2} max {:.0} us; since the kernel's stamp p50 {:.0} p99.9 {:.0} us",
            self.l0.len(),
            at(&self.l0, 0.5),
            at(&self.l0, 0.99),
            at(&self.l0, 0.999),
            at(&self.l0, 1.0),
            at(&self.since_stamp, 0.5),
            at(&self.since_stamp, 0.999),
        );
    }
}

/// Carries the trail to the auditor, and sums up latencies, until the core is gone.
fn follow(mut trail: Consumer<Line>, mut pipe: ChildStdin) -> io::Result<Latencies> {
    let (mut lately, mut all) = (Latencies::new(), Latencies::new());
    let mut buffer = Vec::with_capacity(4096 * MARK_LEN);
    let started = Instant::now();
    let mut report_at = REPORT_EVERY;
    loop {
        let is_last = trail.is_abandoned();
        while buffer.len() + MARK_LEN <= buffer.capacity()
            && let Ok(line) = trail.pop()
        {
            buffer.extend(line.mark.to_bytes());
            if line.mark.kind == Mark::TOLD {
                for latencies in [&mut lately, &mut all] {
                    latencies.l0.saturating_record(line.nanos);
                    latencies.since_stamp.saturating_record(line.since_stamp);
                }
            }
        }
        if started.elapsed() >= report_at {
            lately.print(&format!("{} s", report_at.as_secs()));
            lately.l0.reset();
            lately.since_stamp.reset();
            report_at += REPORT_EVERY;
        }
        if !buffer.is_empty() {
            pipe.write_all(&buffer)?;
            buffer.clear();
        } else if is_last {
            return Ok(all);
        } else {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Passes on what the sending process says, and notes when all is sent, or when it is gone.
fn listen(said: impl Read + Send + 'static, is_sent: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            match line.as_str() {
                "sent" => is_sent.store(true, Relaxed),
                line => println!("{line}"),
            }
        }
        is_sent.store(true, Relaxed);
    })
}

/// What this process holds, KiB of its own pages.
#[derive(Default)]
struct Memory {
    first: u64,
    most: u64,
    readings: u64,
}

/// Reads memory every second until all has been sent and taken.
fn watch(soak: &Soak, is_sent: &AtomicBool, taken: &AtomicU64) -> io::Result<Memory> {
    let mut memory = Memory::default();
    let mut buffer = [0; 4096];
    let warm_up = WARM_UP.min(soak.time / 3);
    let started = Instant::now();
    let mut read_at = warm_up;
    let (mut seen, mut seen_at) = (0, Instant::now());
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let now = taken.load(Relaxed);
        if now != seen {
            (seen, seen_at) = (now, Instant::now());
        }
        let is_over = is_sent.load(Relaxed);
        if is_over && seen_at.elapsed() >= QUIET {
            return Ok(memory);
        }
        if !is_over && started.elapsed() >= read_at {
            read_at += Duration::from_secs(1);
            let own = own_kib(&mut buffer)?;
            if memory.readings == 0 {
                memory.first = own;
            }
            memory.most = memory.most.max(own);
            memory.readings += 1;
        }
    }
}

/// Anonymous pages of this process: exact, since the kernel walks the page tables (proc_pid_smaps_rollup(5)). Pages of
/// the program's file come and go with the system's page cache and are not its own.
fn own_kib(buffer: &mut [u8]) -> io::Result<u64> {
    let mut file = std::fs::File::open("/proc/self/smaps_rollup")?;
    let mut len = 0;
    loop {
        let count = file.read(&mut buffer[len..])?;
        len += count;
        if count == 0 || len == buffer.len() {
            break;
        }
    }
    let text = std::str::from_utf8(&buffer[..len]).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| io::Error::other("smaps_rollup without Anonymous"))
}
