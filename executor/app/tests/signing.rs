//! The ways of signing in a whole pipeline, in both layouts: transactions signed ahead, nonces made ahead, and a halt.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
#[cfg(feature = "armed-nonces")]
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use brain_wire::{ArmedSignal, Family, Side, Signal, SignalFlags};
use bundle::{Builder, BuilderConfig, BundleCell, Signer, ThrowAway};
use demo::{DemoConfig, DemoMarket, PreparedMarket};
use ed25519_dalek::{Signature, VerifyingKey};
use engine::{EngineConfig, LadderPlan};
use market::{LookupTables, Mint};
use overmind::cli::{DemoArgs, HttpArg, ThreadsArg};
use overmind::commands::demo::{engine_config, play, resolve_plan};
use overmind::leaders::{LeaderSchedule, LeaderSource};
use overmind::pipeline::{Layout, Pipeline, PipelinePlan, Prepared};
use overmind::published::Published;
use overmind::signing_stage::SigningAhead;
use overmind::wiring::Time;
use risk::{Control, Mode};
use rtrb::Producer;
use shred_resolve::Policy;
use shred_source::{ArenaPlan, DatagramSource, SourceId, UdpConfig, UdpSource};
use shred_wire::Slot;
use shred_wire::txn::TxnView;
use strategy::LaneClass;
use submit::{Lane, LaneReject, Report};

/// A transaction that left, and the slot of its trigger.
type Left = (Slot, Vec<u8>);

/// Keeps every transaction that leaves.
struct Kept(Mutex<Sender<Left>>);

impl Lane for Kept {
    fn takes(&self, _class: LaneClass) -> bool {
        true
    }

    fn send(&mut self, bundle: &BundleCell) -> Result<(), LaneReject> {
        let kept = self.0.lock().unwrap();
        for bytes in bundle.transactions() {
            let _ = kept.send((bundle.slot, bytes.to_vec()));
        }
        Ok(())
    }

    fn poll(&mut self, _out: &mut dyn FnMut(Report)) {}
}

/// A pipeline in a market of its own, the same in every test, in which nothing of ours lands.
struct Running {
    pipeline: Pipeline,
    market: DemoMarket,
    published: Arc<Published>,
    control: Arc<Control>,
    signals: Producer<ArmedSignal>,
    left: Receiver<Left>,
    key: [u8; 32],
}

impl Running {
    fn start(builder: Builder, ahead: SigningAhead, engine: EngineConfig, split: bool) -> Self {
        let key = *builder.public_key();
        let mut market = DemoConfig {
            seconds: 0,
            slot_ms: 100,
            ..DemoConfig::default()
        };
        let slots = market.first_slot..market.first_slot + 10_000;
        let identities = PreparedMarket::new(market.clone())
            .unwrap()
            .schedule()
            .identities(slots);
        let slots: Vec<_> = identities
            .into_iter()
            .map(|(slot, identity)| (Slot(slot), identity))
            .collect();
        let control = Arc::new(Control::new(Mode::Active));
        let mut prepared = Prepared::new(PipelinePlan {
            resolve: resolve_plan(Some(market.shred_version)),
            arena: ArenaPlan::default(),
            rings: 1,
            policies: vec![Policy::VerifyThenEmit],
            leaders: LeaderSource::Schedule(LeaderSchedule::from_slots(&slots).unwrap()),
            engine,
            tables: LookupTables::none(),
            builder,
            ahead,
            control: Arc::clone(&control),
            time: Time::Wall,
            layout: Layout::modest(split),
        })
        .unwrap();
        let published = prepared.published();
        let signals = prepared.take_signals().unwrap();
        let config = UdpConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let frames = prepared.take_frames().unwrap();
        let (source, facts) = UdpSource::open(&config, SourceId(0), frames, None).unwrap();
        market.destinations = vec![facts.local];
        let sources: Vec<Box<dyn DatagramSource + Send>> = vec![Box::new(source)];
        let (kept, left) = channel();
        let lanes: Vec<Box<dyn Lane>> = vec![Box::new(Kept(Mutex::new(kept)))];
        let pipeline = prepared.start(sources, lanes, || {}).unwrap();
        let market = PreparedMarket::new(market).unwrap().start(None).unwrap();
        Self {
            pipeline,
            market,
            published,
            control,
            signals,
            left,
            key,
        }
    }

    #[track_caller]
    fn until(&self, what: &str, mut is_true: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !is_true(self) {
            assert!(!self.pipeline.has_died(), "{what}");
            assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signed(&self, way: &str) -> u64 {
        let ways = self.published.signing.ways();
        ways.into_iter().find(|(name, _)| *name == way).unwrap().1
    }

    /// Stops it; what left, each verified strictly under our key and over a nonce of its own.
    fn stop(self) -> (overmind::core_stage::CoreOutcome, Vec<Left>) {
        self.market.stop();
        self.market.join();
        let (outcome, _) = self.pipeline.stop().unwrap();
        let key = VerifyingKey::from_bytes(&self.key).unwrap();
        let left: Vec<Left> = self.left.try_iter().collect();
        let mut commitments = std::collections::BTreeSet::new();
        for (_, bytes) in &left {
            let txn = TxnView::parse(bytes).unwrap();
            let signature = Signature::from_bytes(txn.signature());
            key.verify_strict(txn.message(), &signature).unwrap();
            assert!(commitments.insert(txn.signature()[..32].to_vec()));
        }
        (outcome, left)
    }
}

fn builder(seed: u8) -> Builder {
    let signer = Signer::<ThrowAway>::from_seed(&[seed; 32]).unwrap();
    Builder::new(&BuilderConfig::default(), signer).unwrap()
}

/// The coin that a transaction trades.
fn mint_of(bytes: &[u8]) -> Option<Mint> {
    let (txn, mut mint) = (TxnView::parse(bytes).unwrap(), None);
    let tables = LookupTables::none();
    let at = shred_wire::Nanos(0);
    market::decode(&txn, &tables, Slot(0), at, &mut |event| {
        mint = mint.or(event.mint())
    });
    mint
}

/// An order to buy `mint`, good for as long as the test runs.
fn order(id: u64, mint: Mint) -> ArmedSignal {
    let signal = Signal {
        producer_id: 1,
        session_epoch: 1,
        seq: id,
        flags: SignalFlags(0),
        t_event_ns: 1,
        t_send_ns: 1,
        ttl_us: 1,
        source_id: 1,
        family: Family::Onchain,
        side: Side::Buy,
        as_of_slot: 0,
        mint: mint.0,
        conviction_ppm: 1_000_000,
        confidence_ppm: 1_000_000,
        max_notional_lamports: 20_000_000,
        max_slippage_bps: 2_000,
        expected_edge_bps: 0,
        evidence_id: [id as u8; 16],
        signal_id: id,
    };
    ArmedSignal {
        signal,
        max_notional_lamports: signal.max_notional_lamports,
        accepted_monotonic_ns: 0,
        expires_monotonic_ns: u64::MAX,
        expires_realtime_ns: u64::MAX,
    }
}

/// Goal: a signal on a coin that was seen leaves as a transaction that was signed before its trigger.
/// Method: one run tells which coins the market launches, and when; the next, of the same market, enters no launch but
/// is told to buy these once it has seen them.
#[test]
fn a_signal_on_a_seen_coin_leaves_as_a_transaction_signed_ahead() {
    let config = engine_config(Policy::VerifyThenEmit);
    let scout = Running::start(builder(234), SigningAhead::nothing(), config.clone(), false);
    scout.until("ten launches entered", |scout| {
        scout.published.get("bundle_handed") >= 10
    });
    let (outcome, left) = scout.stop();
    assert_eq!(outcome.signatures[1], ("presigned", 0));
    let mut launched = BTreeMap::new();
    for (slot, bytes) in &left {
        launched.entry(mint_of(bytes).unwrap()).or_insert(*slot);
    }
    let last = *launched.values().max().unwrap();
    for (split, seed) in [(false, 235), (true, 236)] {
        let mut config = config.clone();
        config.params.launches_enabled = false;
        let ahead = SigningAhead::presigning(LadderPlan::default());
        let mut running = Running::start(builder(seed), ahead, config, split);
        running.until("all of them seen", |running| {
            running.published.slot.load(Relaxed) > last.0 + 2
        });
        assert_eq!(running.published.get("bundle_handed"), 0);
        for (id, mint) in (1..).zip(launched.keys()) {
            running.signals.push(order(id, *mint)).unwrap();
        }
        running.until("a signed one chosen", |running| {
            running.signed("presigned") > 0
        });
        assert_eq!(running.control.mode(), Mode::Active);
        let (outcome, left) = running.stop();
        assert!(!left.is_empty() && outcome.decided.ladder_released > 0);
        let told = |mint: Mint| launched.contains_key(&mint);
        assert!(left.iter().all(|(_, bytes)| told(mint_of(bytes).unwrap())));
    }
}

fn demo(threads: ThreadsArg) -> DemoArgs {
    DemoArgs {
        seconds: 8,
        seed: 3,
        pcap: None,
        slot_ms: 100,
        loss_bps: 0,
        plant: None,
        http: HttpArg::Off,
        threads: Some(threads),
        json: false,
    }
}

/// Goal: what is held is left by a transaction that was signed before the trigger, and it lands: the embedded exchange
/// verifies every signature.
#[test]
fn positions_are_left_by_transactions_signed_ahead() {
    for threads in [ThreadsArg::Fused, ThreadsArg::Split] {
        let report = play(&demo(threads), |_| {}).unwrap();
        let of = |way: &str| {
            let ways = report.outcome.signatures;
            ways.into_iter().find(|(name, _)| *name == way).unwrap().1
        };
        let decided = &report.outcome.decided;
        assert!(of("presigned") > 0, "{:?}", report.outcome.signatures);
        assert_eq!(of("armed"), 0);
        assert!(of("deterministic") + of("presigned") >= decided.bundle_handed);
        assert!(decided.exit_included > 0, "{decided:?}");
        assert_eq!(report.block_engine.refused_total(), 0);
        let json = report.json();
        assert_eq!(json["signed"]["presigned"], of("presigned"), "{json}");
    }
}

#[cfg(feature = "armed-nonces")]
mod armed {
    use bundle::host::{HostKind, SnapshotStatement};
    use overmind::commands::observe::View;
    use overmind::config::SigningPlan;
    use overmind::signing::{HALTS_FILE, SigningAlarm, SigningError, open};
    use serde_json::Value;

    use super::*;

    /// A folder of one test, removed when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("overmind-signing-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A pipeline that signs with nonces made ahead; `None`, said aloud, where the host locks no memory.
    fn start(
        folder: &Folder,
        seed: u8,
        split: bool,
        fault: bool,
    ) -> Option<(Running, SigningAlarm)> {
        let signer = Signer::<ThrowAway>::from_seed(&[seed; 32]).unwrap();
        let plan = SigningPlan {
            ladders: None,
            statement: SnapshotStatement {
                armed_nonces: true,
                snapshots_excluded: true,
            },
            host: HostKind::Unknown,
        };
        let seat = SigningAhead::nothing().seat;
        let (builder, mut ahead) = match open(&BuilderConfig::default(), signer, &plan, seat) {
            Err(SigningError::Arm(error)) => {
                eprintln!("skipped: {error}");
                return None;
            }
            opened => opened.unwrap(),
        };
        if fault {
            ahead.arming.as_mut().unwrap().plant_verification_failure();
        }
        let alarm = SigningAlarm::new(&builder, &folder.0).unwrap();
        let config = engine_config(Policy::VerifyThenEmit);
        Some((Running::start(builder, ahead, config, split), alarm))
    }

    fn status(running: &Running) -> (Value, String) {
        let view = View {
            control: Arc::clone(&running.control),
            published: Arc::clone(&running.published),
            sources: Arc::new([]),
            bridge: None,
            accounts: None,
            shredstream: None,
            threads: None,
            venues: None,
            mode: "paper",
            started: Instant::now(),
        };
        let metrics = sidecar::render_metrics(view.snapshot()).unwrap();
        (view.status(), metrics)
    }

    /// Goal: with nonces waiting the armed way signs, and what leaves verifies strictly; every nonce is another.
    #[test]
    fn what_is_signed_with_nonces_made_ahead_verifies_strictly() {
        let folder = Folder::new("armed");
        for (split, seed) in [(false, 230), (true, 231)] {
            let Some((running, _)) = start(&folder, seed, split, false) else {
                return;
            };
            running.until("three signed", |running| running.signed("armed") >= 3);
            let verified = |running: &Running| running.published.signing.arming().unwrap()[2];
            running.until("verified", |running| verified(running).1 >= 3);
            assert_eq!(verified(&running).0, "signature_verified");
            let (status, metrics) = status(&running);
            assert!(status["signing"]["halted"].is_null(), "{status}");
            assert!(status["signing"]["armed"]["events"]["nonce_made"].as_u64() > Some(0));
            assert!(metrics.contains("overmind_signatures_total{way=\"armed\"}"));
            assert!(metrics.contains("overmind_signing_halted{reason=\"nonce_seen\"} 0"));
            let (outcome, left) = running.stop();
            let signed: u64 = outcome.signatures.iter().map(|(_, count)| count).sum();
            let left = left.len() as u64;
            assert!(left >= 3 && left <= signed, "{left} of {signed}");
        }
    }

    /// Goal: one signature that does not verify stops everything, is said once with what to do, kept, and in health.
    #[test]
    fn a_signature_that_does_not_verify_halts_and_is_told() {
        let folder = Folder::new("halt");
        for (split, seed) in [(false, 232), (true, 233)] {
            let Some((running, mut alarm)) = start(&folder, seed, split, true) else {
                return;
            };
            running.until("halted", |running| running.control.mode() == Mode::Halted);
            let said = alarm.change().unwrap();
            assert!(
                said.contains("does not verify") && said.contains("rotate the key"),
                "{said}"
            );
            assert!(said.contains(&bs58::encode(running.key).into_string()));
            assert_eq!(alarm.change(), None, "once");
            let (status, metrics) = status(&running);
            assert_eq!(
                status["signing"]["halted"], "verification_failed",
                "{status}"
            );
            assert_eq!(status["healthy"], false, "{status}");
            let shown = status["alarms"][0].as_str().unwrap();
            assert!(shown.starts_with("signing has halted"), "{status}");
            let halted = "overmind_signing_halted{reason=\"verification_failed\"} 1";
            assert!(metrics.contains(halted), "{metrics}");
            // Nothing is signed from here on, while the core goes on.
            let turns = || running.published.turns.load(Relaxed);
            let turn = turns();
            running.until("counters published", |_| turns() > turn + 2);
            let signed = || running.published.signing.ways();
            let (before, turn) = (signed(), turns());
            running.until("the core turns on", |_| turns() > turn + 20);
            assert_eq!(signed(), before);
            running.stop();
        }
        let kept = std::fs::read_to_string(folder.0.join(HALTS_FILE)).unwrap();
        assert_eq!(kept.matches("verification_failed").count(), 2, "{kept}");
    }
}
