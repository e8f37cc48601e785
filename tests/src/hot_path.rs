//! The real pipeline over generated traffic, and a count of everything its hot threads must not do.
//!
//! Source and core are split and spin, as on a host with cores to give. Once a thread is at its first duty cycle it
//! is *frozen*: from there on its heap calls, its minor page faults and, on the core, its system calls are counted,
//! until every datagram has been worked off.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bundle::BundleCell;
use demo::prng::Prng;
use demo::wire::{Wire, WireConfig, WireCounters};
use demo::{Datagrams, Exchange, Generator, GeneratorConfig};
use overmind::clock::realtime;
use overmind::commands::demo::{engine_config, resolve_plan, throw_away_builder};
use overmind::commands::lock_memory;
use overmind::config::LockMemory;
use overmind::leaders::{LeaderSchedule, LeaderSource};
use overmind::pipeline::{Layout, Pipeline, PipelinePlan, Prepared};
use overmind::published::Published;
use overmind::signing_stage::{LadderPlan, SigningAhead};
use overmind::stage::{Idle, Seat};
use overmind::wiring::Time;
use risk::{Control, Mode};
use rtrb::{Consumer, Producer, RingBuffer};
use serde_json::{Value, json};
use shred_resolve::Policy;
use shred_source::arena::Datagram;
use shred_source::{
    ArenaPlan, DatagramSource, RX_BURST, RxFrames, SourceCounters, SourceId, UdpConfig, UdpSource,
};
use shred_wire::Slot;
use strategy::LaneClass;
use submit::{Lane, LaneReject, Report};

use crate::{heap, trap};

/// Longest datagram that is handed over.
const PARCEL_LEN: usize = 1_280;
/// Datagrams on their way from the generator.
const PARCELS: usize = 4_096;
/// Slots whose leaders are named; a bulk slot is some hundred datagrams at least.
const SLOTS: u64 = 100_000;
/// Datagrams in the socket's buffer at once: what the smallest default of the kernel has room for.
const IN_SOCKET: u64 = 64;
/// Datagrams sent and not yet taken by the core; fewer than there are frames, so that none is dropped.
const IN_FLIGHT: u64 = 4_096;
/// Slots in which a bundle may land.
const LANDING_SLOTS: u64 = 40;
/// What the wallet starts with.
const WALLET_LAMPORTS: u64 = 500_000_000_000;
/// Without progress for this long the run is given up.
const STALLED: Duration = Duration::from_secs(60);

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drive {
    /// Datagrams that reach the source, at least.
    pub datagrams: u64,
    /// Decides traffic, losses and wallet.
    pub seed: u64,
    /// When transactions are handed on.
    pub policy: Policy,
    /// How datagrams get to the source's thread.
    pub way: Way,
    /// Whether leaders' signatures are checked on a thread of their own.
    pub verify_thread: bool,
}

/// How datagrams get from the generator to the source's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through a ring, into frames, without the kernel.
    Ring,
    /// Through a UDP socket on loopback and the service's own source.
    Udp,
}

/// What was done, and what should not have been.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Datagrams that the core took.
    pub datagrams: u64,
    /// Of 10,000 datagrams, those whose shred had not arrived before.
    pub new_shred_bps: u64,
    /// Shreds lost on the way.
    pub lost: u64,
    /// Slots the traffic went through.
    pub slots: u64,
    /// Transactions resolved.
    pub transactions: u64,
    /// FEC sets recovered.
    pub recoveries: u64,
    /// Intents offered to the gate.
    pub intents: u64,
    /// Bundles signed and handed over.
    pub bundles: u64,
    /// Own transactions seen back in the stream.
    pub included: u64,
    /// Allocations of both threads; `None` when this process does not count.
    pub allocations: Option<u64>,
    /// Frees of both threads.
    pub frees: Option<u64>,
    /// Minor page faults of the source's thread; `None` when memory could not be locked.
    pub faults_rx: Option<u64>,
    /// Minor page faults of the core's thread.
    pub faults_core: Option<u64>,
    /// System calls of the core's thread; `None` when they cannot be trapped here.
    pub syscalls: Option<u64>,
    /// Names of the first of them.
    pub syscall_names: Vec<String>,
    /// What was not checked, and why.
    pub unchecked: Vec<String>,
    /// Time from the first datagram to the last.
    pub elapsed: Duration,
}

impl Findings {
    /// What is wrong with them; empty when nothing is.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, count) in [
            ("transactions", self.transactions),
            ("recoveries", self.recoveries),
            ("intents", self.intents),
            ("bundles", self.bundles),
            ("own transactions seen back", self.included),
        ] {
            if count == 0 {
                faults.push(format!("there were no {name}: the traffic proves nothing"));
            }
        }
        if self.new_shred_bps < 9_500 {
            faults.push(format!(
                "of 10,000 shreds only {} were new",
                self.new_shred_bps
            ));
        }
        for (name, count) in [
            ("allocations", self.allocations),
            ("frees", self.frees),
            ("minor page faults of rx", self.faults_rx),
            ("minor page faults of core", self.faults_core),
            ("system calls of core", self.syscalls),
        ] {
            if count.is_some_and(|count| count > 0) {
                faults.push(format!("{} {name}", count.unwrap_or_default()));
            }
        }
        faults
    }

    /// One object, on one line.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "datagrams": self.datagrams,
            "new_shred_percent": self.new_shred_bps as f64 / 100.0,
            "lost": self.lost,
            "slots": self.slots,
            "transactions": self.transactions,
            "recoveries": self.recoveries,
            "intents": self.intents,
            "bundles": self.bundles,
            "included": self.included,
            "allocations": self.allocations,
            "frees": self.frees,
            "minor_faults": self.faults_rx.zip(self.faults_core).map(|(rx, core)| rx + core),
            "syscalls_trapped": self.syscalls,
            "syscalls": self.syscall_names,
            "not_checked": self.unchecked,
            "seconds": self.elapsed.as_millis() as f64 / 1_000.0,
        })
    }
}

/// Runs the pipeline until `drive.datagrams` have been worked off.
///
/// Raises the limit of locked memory and locks what the process has, as `overmind run` does; where that is not
/// permitted, or calls cannot be trapped or counted, the findings say so.
///
/// # Errors
/// A sentence, when something could not be built or came to a standstill.
pub fn drive(drive: &Drive) -> Result<Findings, String> {
    let mut findings = Findings::default();
    let is_counting = heap::is_counting();
    if !is_counting {
        findings
            .unchecked
            .push("heap: the counting allocator is not this process's".to_owned());
    }
    let is_trapping = trap::try_out();
    if let Err(reason) = &is_trapping {
        findings.unchecked.push(format!("system calls: {reason}"));
    }
    // Some coins, so that even a short run has something to decide.
    let config = GeneratorConfig {
        launches_per_10k_slots: 10_000,
        ..GeneratorConfig::bulk(drive.seed)
    };
    let generator = Generator::new(config);
    let (mut prepared, wallet) = prepare(drive, &generator)?;
    let exchange = generator.exchange();
    exchange.airdrop(&wallet, WALLET_LAMPORTS);
    let (rx, core) = (Arc::new(Frozen::default()), Arc::new(Frozen::default()));
    let frames = prepared.take_frames().ok_or("one source was planned")?;
    let (source, outlet) = connect(drive.way, frames, prepared.published())?;
    let source = Watched {
        source,
        frozen: Arc::clone(&rx),
        is_frozen: false,
    };
    let is_locked = raise_lock_limit()
        .and_then(|()| lock_memory(LockMemory::Require).map_err(|error| error.to_string()));
    if let Err(reason) = &is_locked {
        findings.unchecked.push(format!("page faults: {reason}"));
    }
    heap::count(true);
    trap::arm(true);
    let before = heap::calls();
    let traps = trap::trapped();
    let hook = {
        let (core, trapping) = (Arc::clone(&core), is_trapping.is_ok());
        move || core.freeze(trapping)
    };
    let pipeline = prepared
        .start(
            vec![Box::new(source)],
            vec![Box::new(Lands(exchange))],
            hook,
        )
        .map_err(|error| error.to_string())?;
    let started = Instant::now();
    let wanted = drive.datagrams;
    let seed = drive.seed;
    let sender = std::thread::spawn(move || send(generator, outlet, wanted, seed));
    let outcome = wait(&pipeline, sender);
    findings.elapsed = started.elapsed();
    // From here on the threads wind down, which takes what it takes.
    heap::count(false);
    trap::arm(false);
    let after = heap::calls();
    if is_locked.is_ok() {
        findings.faults_rx = rx.faults_since();
        findings.faults_core = core.faults_since();
    }
    let (wire, slots) = outcome?;
    let sprung = trap::sprung();
    let (core, _) = pipeline.stop().map_err(|error| error.to_string())?;
    if is_trapping.is_ok() && trap::sprung() == sprung {
        return Err(
            "the core's thread ended without a trapped call: it was not watched".to_owned(),
        );
    }
    findings.included = core.decided.entry_included + core.decided.exit_included;
    if is_counting {
        findings.allocations = Some(after.allocations - before.allocations);
        findings.frees = Some(after.frees - before.frees);
    }
    if is_trapping.is_ok() {
        findings.syscalls = Some(trap::trapped() - traps);
        findings.syscall_names = trap::names();
    }
    findings.datagrams = core.resolved.datagram;
    findings.new_shred_bps =
        (wire.delivered - wire.duplicated - wire.noise) * 10_000 / wire.delivered.max(1);
    findings.lost = wire.lost;
    findings.slots = slots;
    findings.transactions = core.resolved.transaction;
    findings.recoveries = core.resolved.set_recovered;
    findings.intents = core.decided.intent_made;
    findings.bundles = core.decided.bundle_handed;
    Ok(findings)
}

/// The pipeline, and the key that its bundles are paid from.
fn prepare(drive: &Drive, generator: &Generator) -> Result<(Prepared, [u8; 32]), String> {
    let builder = throw_away_builder(drive.seed).map_err(|error| error.to_string())?;
    let wallet = *builder.public_key();
    let first = generator.config().first_slot;
    let leaders: Vec<_> = generator
        .schedule()
        .identities(first..first + SLOTS)
        .into_iter()
        .map(|(slot, identity)| (Slot(slot), identity))
        .collect();
    let seat = Seat {
        cpu: None,
        idle: Idle::Spin,
    };
    let submit = Seat {
        cpu: None,
        idle: Idle::Park(Duration::from_millis(1)),
    };
    let prepared = Prepared::new(PipelinePlan {
        resolve: resolve_plan(Some(generator.config().shred_version)),
        arena: ArenaPlan::default(),
        rings: 1,
        policies: vec![drive.policy],
        leaders: LeaderSource::Schedule(LeaderSchedule::from_slots(&leaders)?),
        engine: engine_config(drive.policy),
        tables: market::LookupTables::none(),
        builder,
        ahead: SigningAhead::presigning(LadderPlan::default()),
        control: Arc::new(Control::new(Mode::Active)),
        time: Time::Wall,
        layout: Layout {
            split: true,
            core: seat,
            sources: vec![seat],
            verify: drive.verify_thread.then_some(Seat {
                cpu: None,
                idle: Idle::Yield,
            }),
            submit,
        },
    });
    Ok((prepared.map_err(|error| error.to_string())?, wallet))
}

/// Waits until the core has taken everything that was sent.
fn wait(
    pipeline: &Pipeline,
    sender: std::thread::JoinHandle<(WireCounters, u64)>,
) -> Result<(WireCounters, u64), String> {
    let taken = || pipeline.published().get("datagram");
    let (mut seen, mut seen_at) = (0, Instant::now());
    let mut stalled = move |now: u64| {
        if now != seen {
            (seen, seen_at) = (now, Instant::now());
        }
        seen_at.elapsed() > STALLED
    };
    while !sender.is_finished() {
        std::thread::sleep(Duration::from_millis(5));
        if stalled(taken()) {
            return Err(format!("no progress after {} datagrams", taken()));
        }
    }
    let (wire, slots) = sender.join().map_err(|_| "the generator panicked")?;
    while taken() < wire.delivered {
        std::thread::sleep(Duration::from_millis(5));
        if stalled(taken()) {
            return Err(format!(
                "the core took {} of {} datagrams",
                taken(),
                wire.delivered
            ));
        }
    }
    Ok((wire, slots))
}

/// Makes traffic and hands it over, waiting for room: nothing is dropped but what the wire loses.
fn send(
    mut generator: Generator,
    mut outlet: Outlet,
    wanted: u64,
    seed: u64,
) -> (WireCounters, u64) {
    let accidents = WireConfig {
        loss_bps: 400,
        duplicate_bps: 100,
        reorder_bps: 200,
        ..WireConfig::default()
    };
    let mut wire = Wire::new(accidents, Prng::new(seed).fork("hot path"));
    let mut datagrams = Datagrams::new();
    let first = generator.slot();
    while wire.counters().delivered < wanted && !outlet.is_abandoned() {
        datagrams.clear();
        generator.step(&mut datagrams);
        for datagram in datagrams.iter() {
            wire.pass(datagram, |bytes| outlet.put(bytes));
        }
    }
    wire.flush(|bytes| outlet.put(bytes));
    (wire.counters(), generator.slot() - first)
}

type Source = Box<dyn DatagramSource + Send>;

/// Both ends of a way.
fn connect(
    way: Way,
    frames: RxFrames,
    published: Arc<Published>,
) -> Result<(Source, Outlet), String> {
    match way {
        Way::Ring => {
            let (parcels, arriving) = RingBuffer::new(PARCELS);
            let source = ParcelSource {
                arriving,
                frames,
                ordinal: 0,
                counters: Arc::default(),
            };
            Ok((Box::new(source), Outlet::Ring(parcels)))
        }
        Way::Udp => {
            let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let (source, facts) =
                UdpSource::open(&UdpConfig::new(anywhere), SourceId(0), frames, None)
                    .map_err(|error| error.to_string())?;
            let socket = UdpSocket::bind(anywhere).map_err(|error| error.to_string())?;
            socket
                .connect(facts.local)
                .map_err(|error| error.to_string())?;
            let received = Arc::clone(source.counters());
            Ok((
                Box::new(source),
                Outlet::Udp {
                    socket,
                    received,
                    published,
                    sent: 0,
                    taken: 0,
                },
            ))
        }
    }
}

/// The generator's end of a way.
enum Outlet {
    Ring(Producer<Parcel>),
    Udp {
        socket: UdpSocket,
        received: Arc<SourceCounters>,
        published: Arc<Published>,
        sent: u64,
        /// By the core, when it was last asked.
        taken: u64,
    },
}

impl Outlet {
    /// Hands a datagram over, once there is room for it.
    fn put(&mut self, datagram: &[u8]) {
        let since = Instant::now();
        while self.is_full() && !self.is_abandoned() && since.elapsed() < STALLED {
            std::thread::sleep(Duration::from_micros(200));
        }
        match self {
            Self::Ring(parcels) => {
                let len = datagram.len().min(PARCEL_LEN);
                let mut parcel = Parcel {
                    len: len as u16,
                    bytes: [0; PARCEL_LEN],
                };
                parcel.bytes[..len].copy_from_slice(&datagram[..len]);
                // There was room and nobody else fills it; or nobody is left to take it.
                let _ = parcels.push(parcel);
            }
            Self::Udp { socket, sent, .. } => *sent += u64::from(socket.send(datagram).is_ok()),
        }
    }

    fn is_full(&mut self) -> bool {
        match self {
            Self::Ring(parcels) => parcels.is_full(),
            Self::Udp {
                received,
                published,
                sent,
                taken,
                ..
            } => {
                if *sent - *taken >= IN_FLIGHT {
                    *taken = published.get("datagram");
                }
                *sent - *taken >= IN_FLIGHT || *sent - received.datagram_received.get() >= IN_SOCKET
            }
        }
    }

    fn is_abandoned(&self) -> bool {
        matches!(self, Self::Ring(parcels) if parcels.is_abandoned())
    }
}

/// A datagram on its way from the generator.
struct Parcel {
    len: u16,
    bytes: [u8; PARCEL_LEN],
}

/// Stands where the socket would: copies what has arrived into frames, as the kernel does.
struct ParcelSource {
    arriving: Consumer<Parcel>,
    frames: RxFrames,
    ordinal: u64,
    counters: Arc<SourceCounters>,
}

impl DatagramSource for ParcelSource {
    fn poll(&mut self) -> usize {
        let wanted = self.arriving.slots().min(RX_BURST);
        for taken in 0..wanted {
            let Some(mut frame) = self.frames.reserve() else {
                return taken;
            };
            let Ok(chunk) = self.arriving.read_chunk(1) else {
                return taken;
            };
            let parcel = &chunk.as_slices().0[0];
            let len = usize::from(parcel.len);
            frame.bytes_mut()[..len].copy_from_slice(&parcel.bytes[..len]);
            frame.publish(Datagram {
                stamp: realtime(),
                ordinal: self.ordinal,
                len: parcel.len,
                source: SourceId(0),
                flags: 0,
            });
            chunk.commit_all();
            self.ordinal += 1;
        }
        wanted
    }

    fn is_ended(&self) -> bool {
        self.arriving.is_abandoned() && self.arriving.is_empty()
    }

    fn wait(&mut self, at_most: Duration) {
        std::thread::sleep(at_most);
    }

    fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }
}

/// A source whose thread is frozen at its first duty cycle.
struct Watched {
    source: Source,
    frozen: Arc<Frozen>,
    is_frozen: bool,
}

impl DatagramSource for Watched {
    fn poll(&mut self) -> usize {
        if !self.is_frozen {
            self.is_frozen = true;
            self.frozen.freeze(false);
        }
        self.source.poll()
    }

    fn is_ended(&self) -> bool {
        self.source.is_ended()
    }

    fn wait(&mut self, at_most: Duration) {
        self.source.wait(at_most);
    }

    fn counters(&self) -> &Arc<SourceCounters> {
        self.source.counters()
    }
}

/// Lands every bundle in the chain that the traffic comes from, so that the core sees its own transactions again.
/// Runs on the submit thread, which nobody watches.
struct Lands(Exchange);

impl Lane for Lands {
    fn takes(&self, _class: LaneClass) -> bool {
        true
    }

    fn send(&mut self, bundle: &BundleCell) -> Result<(), LaneReject> {
        let transactions = bundle.transactions().map(<[u8]>::to_vec).collect();
        self.0.land(
            transactions,
            bundle.slot.0 + LANDING_SLOTS,
            Box::new(|_| {}),
        );
        Ok(())
    }

    fn poll(&mut self, _out: &mut dyn FnMut(Report)) {}
}

/// A thread at its first duty cycle.
#[derive(Debug, Default)]
struct Frozen {
    thread: AtomicU64,
    faults: AtomicU64,
}

impl Frozen {
    /// Called by the thread itself, before its first cycle.
    fn freeze(&self, trapping: bool) {
        // SAFETY: the call takes nothing.
        let thread = unsafe { libc::gettid() };
        self.thread.store(thread as u64, Relaxed);
        self.faults.store(own_minor_faults(), Relaxed);
        if trapping {
            // It was tried out, so a refusal here is a defect of the test.
            trap::arm_thread().expect("it could be armed a moment ago");
        }
        heap::watch();
    }

    /// Minor page faults since then; asked from another thread.
    fn faults_since(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!(
            "/proc/self/task/{}/stat",
            self.thread.load(Relaxed)
        ))
        .ok()?;
        // The name in brackets may hold anything; minflt is the eighth field after it (proc_pid_stat(5)).
        let faults: u64 = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(7)?
            .parse()
            .ok()?;
        Some(faults - self.faults.load(Relaxed))
    }
}

fn own_minor_faults() -> u64 {
    // SAFETY: all zeros is a valid `rusage`.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is the struct the call fills.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    usage.ru_minflt as u64
}

/// Root may lock as much as it likes; anybody else up to the hard limit.
fn raise_lock_limit() -> Result<(), String> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is the struct the call fills.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return Err(format!("getrlimit: {}", std::io::Error::last_os_error()));
    }
    let unlimited = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    let up_to_hard = libc::rlimit {
        rlim_cur: limit.rlim_max,
        ..limit
    };
    for wanted in [unlimited, up_to_hard] {
        // SAFETY: the call reads the struct.
        if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const wanted) } == 0 {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_page_touched_first_is_a_fault() {
        const PAGES: usize = 64;
        let frozen = Arc::new(Frozen::default());
        let watched = Arc::clone(&frozen);
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            watched.freeze(false);
            // Beyond what an allocator keeps at hand: fresh pages of zeros.
            let mut fresh = vec![0u8; PAGES * 16 * 4_096];
            for page in fresh.chunks_mut(16 * 4_096) {
                page[0] = 1;
            }
            tell.send(std::hint::black_box(fresh).len()).unwrap();
            std::thread::sleep(Duration::from_millis(200));
        });
        told.recv().unwrap();
        assert!(frozen.faults_since().unwrap() > 0);
        thread.join().unwrap();
    }

    #[test]
    fn findings_without_decisions_or_with_faults_are_bad() {
        let good = Findings {
            new_shred_bps: 9_900,
            transactions: 1,
            recoveries: 1,
            intents: 1,
            bundles: 1,
            included: 1,
            allocations: Some(0),
            ..Findings::default()
        };
        assert!(good.faults().is_empty());
        for bad in [
            Findings {
                transactions: 0,
                ..good.clone()
            },
            Findings {
                recoveries: 0,
                ..good.clone()
            },
            Findings {
                intents: 0,
                ..good.clone()
            },
            Findings {
                new_shred_bps: 9_000,
                ..good.clone()
            },
            Findings {
                allocations: Some(1),
                ..good.clone()
            },
            Findings {
                frees: Some(1),
                ..good.clone()
            },
            Findings {
                faults_rx: Some(1),
                ..good.clone()
            },
            Findings {
                faults_core: Some(1),
                ..good.clone()
            },
            Findings {
                syscalls: Some(1),
                ..good.clone()
            },
        ] {
            assert_eq!(bad.faults().len(), 1);
        }
    }
}
