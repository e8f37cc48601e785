//! L1 with a brain that signals and without one: what the bridge costs the path it feeds.
//!
//! Both contestants are the core thread's wiring over the same datagrams, by turns. Beside one of them run the real
//! bridge and a client on a real socket, which sends signals and heartbeats without a pause; the core takes signals
//! off the ring, arms them, and launches fire them.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use brain_bridge::{
    Answer, Bridge, BridgeClient, BridgeConfig, BridgeHandle, BridgeShared, ProducerConfig,
    SharedKey, now,
};
use brain_wire::signal::NEXT_LAUNCH;
use brain_wire::{ArmedSignal, Family, Side, Signal, SignalFlags};
use demo::Datagrams;
use overmind::leaders::LeaderSource;
use rtrb::{Consumer, RingBuffer};
use shred_resolve::Policy;
use shred_source::RX_BURST;

use crate::figures::{Context, Findings};
use crate::ours::Core;
use crate::row::{Entrant, Row};
use crate::traffic::Stream;

const SEED: u64 = 17;
/// Four launches per slot.
const LAUNCHES_PER_10K_SLOTS: u64 = 40_000;
const PRODUCER: u16 = 1;
/// Between two signals: 400 a second, some ten times what a strategy of seconds sends.
const PACE: Duration = Duration::from_micros(2_500);
/// Between two heartbeats.
const BEAT: Duration = Duration::from_millis(100);
/// Longest wait for an answer, and for the first signal.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures both.
///
/// # Errors
/// A sentence when the bridge does not start, or when with it no signal was armed or fired.
pub fn measure(context: &Context) -> Result<Findings, String> {
    let mut stream = Stream::new(SEED, LAUNCHES_PER_10K_SLOTS);
    let (leaders, first_slot) = (stream.leaders(2_000), stream.slot());
    let mut datagrams = Datagrams::new();
    stream.fill(context.size(160_000, 24_000), &mut datagrams);
    let [mut with, mut without] = [Entrant::default(), Entrant::default()];
    let (mut armed, mut fired, mut intents) = (0, 0, 0);
    let turns = context.size(11, 3);
    for turn in 0..turns {
        // Each goes first as often as the other.
        for is_heard in [turn % 2 == 0, turn % 2 != 0] {
            let mut brain = is_heard.then(|| Brain::start(first_slot)).transpose()?;
            let core = run(context, &datagrams, &leaders, brain.as_mut());
            if let Some(brain) = brain {
                brain.stop()?;
                armed += core.decided().signal_armed;
                fired += core.decided().signal_fired;
            }
            intents += core.decided().intent_made;
            let entrant = if is_heard { &mut with } else { &mut without };
            entrant.book(&core.finish().l1);
        }
    }
    if armed == 0 || fired == 0 {
        return Err(format!("brain: {armed} signals were armed, {fired} fired"));
    }
    Ok(Findings {
        notes: vec![format!(
            "brain: {turns} runs each of {} datagrams, {intents} intents; {armed} signals armed, {fired} fired",
            datagrams.len(),
        )],
        rows: vec![
            Row::latency("brain.l1.with", &with.total).beside("without", without.over(&with)),
            Row::latency("brain.l1.without", &without.total),
        ],
    })
}

fn run(
    context: &Context,
    datagrams: &Datagrams,
    leaders: &LeaderSource,
    mut brain: Option<&mut Brain>,
) -> Core {
    let policy = Policy::VerifyThenEmit;
    let mut core = Core::new(policy, context.ticker);
    // A burst at a time, as the core thread's cycle.
    let mut left = datagrams.iter();
    while left.len() > 0 {
        if let Some(brain) = &mut brain {
            while let Ok(signal) = brain.signals.pop() {
                core.signal(&signal);
            }
        }
        let burst = left.by_ref().take(RX_BURST);
        core.handle(burst, policy, leaders, |cell| {
            black_box(cell.count());
        });
        if let (Some(brain), Some(slot)) = (&brain, core.slot()) {
            brain.shared.current_slot.store(slot.0, Relaxed);
        }
    }
    core
}

/// The bridge, and a client that talks to it from a thread of its own.
struct Brain {
    folder: PathBuf,
    signals: Consumer<ArmedSignal>,
    shared: Arc<BridgeShared>,
    is_over: Arc<AtomicBool>,
    speaker: Option<JoinHandle<Result<(), String>>>,
    bridge: Option<BridgeHandle>,
}

impl Brain {
    /// Returns once the first signal is in the ring.
    fn start(first_slot: u64) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("overmind-bench-{}", std::process::id()));
        let said = |error: &dyn std::fmt::Display| format!("brain: {}: {error}", folder.display());
        std::fs::create_dir_all(&folder).map_err(|error| said(&error))?;
        let key_file = folder.join("key");
        // A key of the run before may be there still.
        let _ = std::fs::remove_file(&key_file);
        let key = SharedKey::generate(&key_file).map_err(|error| said(&error))?;
        let endpoint = format!("ipc://{}", folder.join("room").join("bridge").display());
        let families: Vec<Family> = Family::all().collect();
        let mut config = BridgeConfig::new(endpoint.clone(), folder.join("epoch"));
        config.producers.push(ProducerConfig::new(
            PRODUCER,
            key_file,
            &families,
            100_000_000,
        ));
        // Slots go by in milliseconds here: by the time a signal arrives, its slot is long past.
        config.slot_lag_max = 1 << 20;
        let (heard, signals) = RingBuffer::new(256);
        let shared = Arc::new(BridgeShared::default());
        shared.current_slot.store(first_slot, Relaxed);
        let bridge =
            Bridge::spawn(config, heard, Arc::clone(&shared)).map_err(|error| said(&error))?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, state) = (Arc::clone(&is_over), Arc::clone(&shared));
        let speaker = std::thread::spawn(move || speak(&endpoint, &key, &state, &over));
        let since = Instant::now();
        while signals.is_empty() && !speaker.is_finished() && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Self {
            folder,
            signals,
            shared,
            is_over,
            speaker: Some(speaker),
            bridge: Some(bridge),
        })
    }

    fn stop(mut self) -> Result<(), String> {
        self.is_over.store(true, Relaxed);
        let spoken = self.speaker.take().map(JoinHandle::join);
        if let Some(bridge) = self.bridge.take() {
            bridge.stop().map_err(|error| error.to_string())?;
        }
        spoken
            .unwrap_or(Ok(Ok(())))
            .map_err(|_| "brain: panicked")?
    }
}

impl Drop for Brain {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Sends buys of the next launch and heartbeats until it is over.
fn speak(
    endpoint: &str,
    key: &SharedKey,
    shared: &BridgeShared,
    is_over: &AtomicBool,
) -> Result<(), String> {
    let said = |error: brain_bridge::ClientError| format!("brain: {error}");
    let mut client = BridgeClient::connect(endpoint, PRODUCER, key, PATIENCE).map_err(said)?;
    let mut beaten = Instant::now();
    for id in 1.. {
        if is_over.load(Relaxed) {
            break;
        }
        if beaten.elapsed() >= BEAT {
            beaten = Instant::now();
            client.heartbeat().map_err(said)?;
        }
        let answer = client
            .send(&buy(id, shared.current_slot.load(Relaxed)))
            .map_err(said)?;
        if let Answer::Nack { reason, .. } = answer {
            return Err(format!("brain: signal {id} was refused: {reason:?}"));
        }
        std::thread::sleep(PACE);
    }
    Ok(())
}

fn buy(id: u64, as_of_slot: u64) -> Signal {
    Signal {
        producer_id: PRODUCER,
        session_epoch: 0,
        seq: 0,
        flags: SignalFlags::SAME_HOST_CLOCK,
        t_event_ns: now().realtime_ns,
        t_send_ns: 0,
        ttl_us: 5_000_000,
        source_id: 0,
        family: Family::Launch,
        side: Side::Buy,
        as_of_slot,
        mint: NEXT_LAUNCH,
        conviction_ppm: 900_000,
        confidence_ppm: 900_000,
        max_notional_lamports: 50_000_000,
        max_slippage_bps: 500,
        expected_edge_bps: 0,
        evidence_id: u128::from(id).to_le_bytes(),
        signal_id: id,
    }
}
