//! A bridge in a private directory, with the core's end of the ring in the test's hands.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use brain_bridge::{
    Answer, Bridge, BridgeClient, BridgeConfig, BridgeHandle, BridgeShared, ProducerConfig,
    SharedKey, now,
};
use brain_wire::{ArmedSignal, Family, NackReason, Side, Signal, SignalFlags};

/// What the test's producer may spend at most.
pub const CAP_LAMPORTS: u64 = 1_000_000_000;
/// Enough for a busy machine; an answer takes well under a millisecond.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Directory of mode 0700 that goes away with the test.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "overmind-bridge-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running bridge and everything a test wants to look at.
pub struct Rig {
    pub handle: Option<BridgeHandle>,
    pub shared: Arc<BridgeShared>,
    pub ring: rtrb::Consumer<ArmedSignal>,
    pub config: BridgeConfig,
    pub key: SharedKey,
    pub dir: TempDir,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(256, |_| ())
    }

    pub fn with(ring_cells: usize, change: impl FnOnce(&mut BridgeConfig)) -> Self {
        let dir = TempDir::new();
        let key_file = dir.path().join("brain.key");
        let key = SharedKey::generate(&key_file).unwrap();
        let endpoint = format!("ipc://{}/run/signal.ipc", dir.path().display());
        let mut config = BridgeConfig::new(endpoint, dir.path().join("bridge.epoch"));
        let families = [Family::Onchain, Family::Operator];
        config
            .producers
            .push(ProducerConfig::new(1, key_file, &families, CAP_LAMPORTS));
        change(&mut config);
        let (handle, shared, ring) = start(&config, ring_cells);
        Self {
            handle: Some(handle),
            shared,
            ring,
            config,
            key,
            dir,
        }
    }

    /// Ends the bridge and starts another one on the same files.
    pub fn restart(&mut self) {
        self.handle.take().unwrap().stop().unwrap();
        let (handle, shared, ring) = start(&self.config, 256);
        (self.handle, self.shared, self.ring) = (Some(handle), shared, ring);
    }

    pub fn client(&self) -> BridgeClient {
        BridgeClient::connect(&self.config.endpoint, 1, &self.key, PATIENCE).unwrap()
    }

    /// A bare DEALER, for bytes no client would send.
    pub fn stranger(&self) -> zmq::Socket {
        let socket = zmq::Context::new().socket(zmq::DEALER).unwrap();
        socket.set_linger(0).unwrap();
        socket.set_rcvtimeo(PATIENCE.as_millis() as i32).unwrap();
        socket.connect(&self.config.endpoint).unwrap();
        socket
    }

    pub fn refused(&self, reason: NackReason) -> u64 {
        self.shared.stats.refused(reason)
    }
}

fn start(
    config: &BridgeConfig,
    cells: usize,
) -> (BridgeHandle, Arc<BridgeShared>, rtrb::Consumer<ArmedSignal>) {
    let (producer, consumer) = rtrb::RingBuffer::new(cells);
    let shared = Arc::new(BridgeShared::default());
    let handle = Bridge::spawn(config.clone(), producer, Arc::clone(&shared)).unwrap();
    (handle, shared, consumer)
}

/// A buy that passes every rule, under a fresh id.
pub fn buy() -> Signal {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    Signal {
        producer_id: 0,
        session_epoch: 0,
        seq: 0,
        flags: SignalFlags::SAME_HOST_CLOCK,
        t_event_ns: now().realtime_ns,
        t_send_ns: 0,
        ttl_us: 2_000_000,
        source_id: 3,
        family: Family::Onchain,
        side: Side::Buy,
        as_of_slot: 0,
        mint: [7; 32],
        conviction_ppm: 800_000,
        confidence_ppm: 900_000,
        max_notional_lamports: 50_000_000,
        max_slippage_bps: 300,
        expected_edge_bps: 40,
        evidence_id: [5; 16],
        signal_id: u64::from(NEXT.fetch_add(1, Relaxed)),
    }
}

#[track_caller]
pub fn acked(answer: Answer) -> brain_wire::ReplyFrame {
    match answer {
        Answer::Ack(reply) | Answer::Pong(reply) => reply,
        Answer::Nack { reason, .. } => panic!("refused: {reason:?}"),
    }
}

/// The refusal must carry this reason and this session's MAC.
#[track_caller]
pub fn nacked(answer: Answer, expect: NackReason) -> brain_wire::ReplyFrame {
    match answer {
        Answer::Nack {
            reason,
            authentic,
            reply,
        } => {
            assert_eq!((reason, authentic), (Some(expect), true));
            reply
        }
        other => panic!("not refused: {other:?}"),
    }
}
