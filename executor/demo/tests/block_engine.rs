//! The embedded block engine over real loopback gRPC, in front of a chain written by hand: every slot, leader
//! and landing is what the test says.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use demo::Datagrams;
use demo::block_engine::admission::admit;
use demo::block_engine::{BlockEngine, BlockEngineConfig, Refusal, Rivals, Venue};
use demo::exchange::{Landing, LandingCallback, LandingReject, RejectReason, Simulation};
use demo::generator::{Generator, GeneratorConfig, Origin};
use demo::keys::{COMPUTE_BUDGET, Key, SYSTEM, TIP_ACCOUNTS};
use demo::market::{ExecError, ExecReason};
use demo::txn::{AccountMeta, Form, Instruction, ParsedTxn, write};
use ed25519_dalek::{Signer, SigningKey};
use jito_searcher_client::proto::bundle::bundle_result::Result as Kind;
use jito_searcher_client::proto::bundle::rejected::Reason;
use jito_searcher_client::proto::bundle::{BundleResult, DroppedReason};
use jito_searcher_client::{
    AuthOptions, BundleId, BundleResults, ClientError, ConnectOptions, EncodedBundle, ResultEvent,
    SearcherClient,
};

const BLOCKHASH: Key = [6; 32];
const LEADER: Key = [7; 32];

/// A chain of one leader, who takes bundles in the slots the test opens.
#[derive(Clone)]
struct Chain(Arc<Mutex<State>>);

struct State {
    slot: u64,
    jito: fn(u64) -> bool,
    balances: BTreeMap<Key, u64>,
    simulation: Result<(), LandingReject>,
    landing: Result<(), RejectReason>,
    landed: Vec<(Vec<Vec<u8>>, u64)>,
}

impl Chain {
    fn new() -> Self {
        let balances = [payer(), rich()]
            .map(|key| (key.verifying_key().to_bytes(), 1_000_000))
            .into();
        let (simulation, landing, landed) = (Ok(()), Ok(()), Vec::new());
        Self(Arc::new(Mutex::new(State {
            slot: 100,
            jito: |_| true,
            balances,
            simulation,
            landing,
            landed,
        })))
    }

    fn with(change: impl FnOnce(&mut State)) -> Self {
        let chain = Self::new();
        change(&mut chain.state());
        chain
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Venue for Chain {
    fn current_slot(&self) -> u64 {
        self.state().slot
    }

    fn next_jito_leader(&self, from: u64) -> Option<(u64, Key)> {
        let jito = self.state().jito;
        (from..from + 1_000)
            .find(|slot| jito(*slot))
            .map(|slot| (slot, LEADER))
    }

    fn leader(&self, slot: u64) -> (Key, bool) {
        (LEADER, (self.state().jito)(slot))
    }

    fn blockhash_age(&self, blockhash: &Key) -> Option<u64> {
        (*blockhash == BLOCKHASH).then_some(3)
    }

    fn tip_accounts(&self) -> [Key; 8] {
        TIP_ACCOUNTS
    }

    fn balance(&self, account: &Key) -> u64 {
        self.state().balances.get(account).copied().unwrap_or(0)
    }

    fn simulate(&self, _: &[Vec<u8>]) -> Result<Simulation, LandingReject> {
        self.state().simulation.map(|()| Simulation::default())
    }

    fn land(&self, bundle: Vec<Vec<u8>>, last_slot: u64, done: LandingCallback) {
        let mut state = self.state();
        let result = match state.landing {
            Ok(()) => {
                let (slot, bundle_index) = (state.slot, state.landed.len() as u64);
                state.landed.push((bundle, last_slot));
                Ok(Landing {
                    slot,
                    leader: LEADER,
                    bundle_index,
                    effect: Simulation::default(),
                })
            }
            Err(reason) => Err(LandingReject {
                reason,
                transaction: None,
            }),
        };
        drop(state);
        done(result);
    }
}

fn payer() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn rich() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

fn transfer(from: &SigningKey, to: Key, lamports: u64) -> Instruction {
    let mut data = vec![2, 0, 0, 0];
    data.extend_from_slice(&lamports.to_le_bytes());
    let accounts = vec![
        AccountMeta::sign(from.verifying_key().to_bytes()),
        AccountMeta::write(to),
    ];
    Instruction {
        program: SYSTEM,
        accounts,
        data,
    }
}

/// A transaction that tips `lamports`; `salt` makes its bytes its own.
fn tipping(lamports: u64, salt: u8) -> Vec<u8> {
    let budget = Instruction {
        program: COMPUTE_BUDGET,
        accounts: vec![],
        data: vec![2, 0, salt, 1, 0],
    };
    write(
        &[&payer()],
        &[budget, transfer(&payer(), TIP_ACCOUNTS[3], lamports)],
        &BLOCKHASH,
        Form::Legacy,
    )
}

fn plain(to: Key, lamports: u64, blockhash: &Key) -> Vec<u8> {
    write(
        &[&payer()],
        &[transfer(&payer(), to, lamports)],
        blockhash,
        Form::V0(&[]),
    )
}

/// A v1 transaction that tips and is `len` bytes long.
fn long_v1(len: usize) -> Vec<u8> {
    let form = Form::V1 {
        compute_unit_limit: 77_000,
        priority_fee_lamports: 9,
    };
    let with = |padding: usize| {
        let filler = Instruction {
            program: [9; 32],
            accounts: vec![],
            data: vec![0; padding],
        };
        write(
            &[&payer()],
            &[transfer(&payer(), TIP_ACCOUNTS[0], 5_000), filler],
            &BLOCKHASH,
            form,
        )
    };
    let padding = len - with(0).len();
    with(padding)
}

fn naming(key: Key) -> Vec<u8> {
    let note = Instruction {
        program: [9; 32],
        accounts: vec![AccountMeta::read(key)],
        data: vec![],
    };
    write(
        &[&payer()],
        &[note, transfer(&payer(), TIP_ACCOUNTS[0], 5_000)],
        &BLOCKHASH,
        Form::Legacy,
    )
}

fn dont_front() -> Key {
    let text = format!("jitodontfront{}", "1".repeat(30));
    bs58::decode(text).into_vec().unwrap().try_into().unwrap()
}

fn id_of(packets: &[Vec<u8>]) -> BundleId {
    let parsed: Vec<_> = packets
        .iter()
        .map(|bytes| *ParsedTxn::parse(bytes).unwrap().signature())
        .collect();
    BundleId::of_signatures(&parsed)
}

#[test]
fn every_planted_fault_is_refused_under_its_own_reason() {
    let chain = Chain::new();
    let poor = SigningKey::from_bytes(&[3; 32]);
    let broken = {
        let mut bytes = tipping(5_000, 0);
        bytes[10] ^= 1;
        bytes
    };
    let filler = Instruction {
        program: [9; 32],
        accounts: vec![],
        data: vec![0; 1_100],
    };
    let too_long = write(&[&payer()], &[filler], &BLOCKHASH, Form::Legacy);
    let unpaid = write(
        &[&poor],
        &[transfer(&poor, TIP_ACCOUNTS[0], 5_000)],
        &BLOCKHASH,
        Form::Legacy,
    );
    let overdrawn = plain(TIP_ACCOUNTS[0], 999_999, &BLOCKHASH);
    let note = Instruction {
        program: [9; 32],
        accounts: vec![],
        data: vec![1],
    };
    let untipped = write(&[&payer()], &[note], &BLOCKHASH, Form::Legacy);
    let old_tip_account = bs58::decode("GwHH8ciFhR8vejWCqmg8FWZUCNtubPY2esALvy5tBvji")
        .into_vec()
        .unwrap();
    let cases = [
        (vec![], Refusal::Empty),
        (vec![tipping(5_000, 0); 6], Refusal::TooManyTransactions),
        (vec![too_long], Refusal::TransactionTooLong),
        (vec![long_v1(4_097)], Refusal::TransactionTooLong),
        (vec![b"not a transaction".to_vec()], Refusal::Malformed),
        (vec![tipping(5_000, 0)[..100].to_vec()], Refusal::Malformed),
        (
            vec![tipping(5_000, 0), naming(dont_front())],
            Refusal::DontFrontMisplaced,
        ),
        (vec![broken], Refusal::SignatureInvalid),
        (vec![untipped], Refusal::TipMissing),
        (
            vec![plain([9; 32], 5_000, &BLOCKHASH)],
            Refusal::TipAccountWrong,
        ),
        (
            vec![plain(
                old_tip_account.try_into().unwrap(),
                5_000,
                &BLOCKHASH,
            )],
            Refusal::TipAccountWrong,
        ),
        (vec![tipping(999, 0)], Refusal::TipTooLow),
        (
            vec![plain(TIP_ACCOUNTS[0], 5_000, &[8; 32])],
            Refusal::BlockhashNotFound,
        ),
        (vec![unpaid], Refusal::PayerCannotPay),
        (vec![overdrawn], Refusal::PayerCannotPay),
    ];
    for (index, (packets, expect)) in cases.into_iter().enumerate() {
        assert_eq!(admit(&chain, packets), Err(expect), "case {index}");
    }
}

#[test]
fn what_is_in_order_is_admitted_with_its_bid() {
    let chain = Chain::new();
    let bid = |packets: Vec<Vec<u8>>| {
        let admitted = admit(&chain, packets.clone()).unwrap();
        assert_eq!(
            (admitted.id, &admitted.transactions),
            (id_of(&packets), &packets)
        );
        (admitted.bid.tip_lamports, admitted.bid.compute_units)
    };
    assert_eq!(bid(vec![tipping(1_000, 0)]), (1_000, 65_536));
    assert_eq!(bid(vec![long_v1(4_096)]), (5_000, 77_000));
    // Tips add up over the bundle; without a limit each instruction counts 200,000 units.
    assert_eq!(
        bid(vec![
            tipping(400, 0),
            plain(TIP_ACCOUNTS[7], 700, &BLOCKHASH)
        ]),
        (1_100, 265_536)
    );
    assert_eq!(
        bid(vec![naming(dont_front()), tipping(5_000, 0)]),
        (10_000, 465_536)
    );
    assert_eq!(
        bid((0..5).map(|salt| tipping(1_000, salt)).collect()).0,
        5_000
    );
}

/// Nobody else bids, nothing is lost, everything is quick.
fn quiet() -> BlockEngineConfig {
    BlockEngineConfig {
        auction_interval: Duration::from_millis(5),
        rivals: Rivals::NONE,
        forward_latency: (Duration::ZERO, Duration::from_millis(1)),
        lost_bps: 0,
        internal_error_bps: 0,
        ..BlockEngineConfig::default()
    }
}

struct Bench {
    engine: BlockEngine,
    client: SearcherClient,
    results: BundleResults,
}

impl Bench {
    async fn start(chain: &Chain, config: BlockEngineConfig) -> Self {
        let engine = BlockEngine::start(chain.clone(), config).unwrap();
        let client = SearcherClient::connect(&engine.endpoint(), ConnectOptions::default())
            .await
            .unwrap();
        let mut results = client.bundle_results();
        assert!(matches!(results.next().await, ResultEvent::Subscribed));
        Self {
            engine,
            client,
            results,
        }
    }

    async fn send(&self, packets: &[Vec<u8>]) -> Result<String, ClientError> {
        send(&self.client, packets).await
    }

    async fn result(&mut self) -> BundleResult {
        match tokio::time::timeout(Duration::from_secs(5), self.results.next())
            .await
            .unwrap()
        {
            ResultEvent::Result(result) => result,
            other => panic!("{other:?}"),
        }
    }

    async fn kind(&mut self) -> Kind {
        self.result().await.result.unwrap()
    }

    async fn nothing(&mut self) {
        let waited = tokio::time::timeout(Duration::from_millis(100), self.results.next()).await;
        assert!(waited.is_err(), "{waited:?}");
    }
}

async fn send(client: &SearcherClient, packets: &[Vec<u8>]) -> Result<String, ClientError> {
    let packets: Vec<_> = packets.iter().map(Vec::as_slice).collect();
    client
        .send_bundle(EncodedBundle::new(&packets, Some(1)).unwrap())
        .await
        .answer
}

#[tokio::test]
async fn a_bundle_is_accepted_processed_and_finalized() {
    let chain = Chain::new();
    let mut bench = Bench::start(&chain, quiet()).await;
    let packets = vec![tipping(5_000, 0), tipping(5_000, 1)];
    let id = bench.send(&packets).await.unwrap();
    assert_eq!(id, id_of(&packets).as_str());

    let accepted = bench.result().await;
    assert_eq!(accepted.bundle_id, id);
    let Some(Kind::Accepted(accepted)) = accepted.result else {
        panic!("{accepted:?}")
    };
    assert_eq!(
        (accepted.slot, accepted.validator_identity),
        (100, bs58::encode(LEADER).into_string())
    );
    let Kind::Processed(processed) = bench.kind().await else {
        panic!("not processed")
    };
    assert_eq!((processed.slot, processed.bundle_index), (100, 0));
    bench.nothing().await;
    chain.state().slot = 132;
    assert!(matches!(bench.kind().await, Kind::Finalized(_)));

    assert_eq!(chain.state().landed, [(packets, 103)]);
    let counters = bench.engine.counters();
    assert_eq!(
        (
            counters.received,
            counters.accepted,
            counters.landed,
            counters.finalized
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(counters.refused_total(), 0);
}

#[tokio::test]
async fn refusals_are_statuses_and_are_counted() {
    let bench = Bench::start(&Chain::new(), quiet()).await;
    let wrong = [plain([9; 32], 5_000, &BLOCKHASH)];
    let error = bench.send(&wrong).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused { message } if message == Refusal::TipAccountWrong.text()),
        "{error}"
    );
    bench.send(&[tipping(5_000, 0)]).await.unwrap();
    let error = bench.send(&[tipping(5_000, 0)]).await.unwrap_err();
    assert!(matches!(error, ClientError::Duplicate { .. }), "{error}");
    let counters = bench.engine.counters();
    assert_eq!(counters.refused_for(Refusal::TipAccountWrong), 1);
    assert_eq!(counters.refused_for(Refusal::Duplicate), 1);
    assert_eq!((counters.received, counters.refused_total()), (3, 2));
}

#[tokio::test]
async fn auctions_are_lost_to_better_bids() {
    let strong = Rivals {
        state_rival_bps: 10_000,
        tip_lamports_min: 900_000,
        ..Rivals::default()
    };
    let config = BlockEngineConfig {
        rivals: strong,
        ..quiet()
    };
    let mut bench = Bench::start(&Chain::new(), config).await;
    bench.send(&[tipping(5_000, 0)]).await.unwrap();
    let Kind::Rejected(rejected) = bench.kind().await else {
        panic!("not rejected")
    };
    let Some(Reason::StateAuctionBidRejected(lost)) = rejected.reason else {
        panic!("{rejected:?}")
    };
    assert_eq!(lost.simulated_bid_lamports, 5_000);

    let batch = Rivals {
        batch_rejected_bps: 10_000,
        ..Rivals::NONE
    };
    let mut bench = Bench::start(
        &Chain::new(),
        BlockEngineConfig {
            rivals: batch,
            ..quiet()
        },
    )
    .await;
    bench.send(&[tipping(5_000, 0)]).await.unwrap();
    let Kind::Rejected(rejected) = bench.kind().await else {
        panic!("not rejected")
    };
    assert!(
        matches!(rejected.reason, Some(Reason::WinningBatchBidRejected(_))),
        "{rejected:?}"
    );
    assert_eq!(bench.engine.counters().outbid, 1);
}

#[tokio::test]
async fn a_failing_simulation_names_the_transaction() {
    let packets = [tipping(5_000, 0), tipping(5_000, 1)];
    let culprit = *ParsedTxn::parse(&packets[1]).unwrap().signature();
    let error = ExecError {
        instruction: Some(2),
        reason: ExecReason::TooMuchSolRequired,
    };
    let reject = LandingReject {
        reason: RejectReason::Execution(error),
        transaction: Some((1, culprit)),
    };
    let mut bench = Bench::start(
        &Chain::with(|state| state.simulation = Err(reject)),
        quiet(),
    )
    .await;
    bench.send(&packets).await.unwrap();
    let Kind::Rejected(rejected) = bench.kind().await else {
        panic!("not rejected")
    };
    let Some(Reason::SimulationFailure(failure)) = rejected.reason else {
        panic!("{rejected:?}")
    };
    assert_eq!(failure.tx_signature, bs58::encode(culprit).into_string());
    assert!(failure.msg.unwrap().contains("TooMuchSolRequired"));
    assert_eq!(bench.engine.counters().simulation_failed, 1);
}

#[tokio::test]
async fn some_bundles_vanish() {
    let mut bench = Bench::start(
        &Chain::new(),
        BlockEngineConfig {
            lost_bps: 10_000,
            ..quiet()
        },
    )
    .await;
    bench.send(&[tipping(5_000, 0)]).await.unwrap();
    assert!(matches!(bench.kind().await, Kind::Accepted(_)));
    bench.nothing().await;
    let counters = bench.engine.counters();
    assert_eq!(
        (counters.accepted, counters.lost, counters.landed),
        (1, 1, 0)
    );
}

#[tokio::test]
async fn a_bundle_waits_for_a_leader_who_takes_it() {
    let chain = Chain::with(|state| state.jito = |slot| slot >= 110);
    let mut bench = Bench::start(&chain, quiet()).await;
    bench.send(&[tipping(5_000, 0)]).await.unwrap();
    bench.nothing().await;
    chain.state().slot = 109;
    let Kind::Accepted(accepted) = bench.kind().await else {
        panic!("not accepted")
    };
    assert_eq!(accepted.slot, 110);
    assert!(matches!(bench.kind().await, Kind::Processed(_)));
    assert_eq!(chain.state().landed[0].1, 113);
}

#[tokio::test]
async fn waiting_ends_with_a_word_or_without() {
    for (expiry_silent_bps, silent) in [(0, false), (10_000, true)] {
        let chain = Chain::with(|state| state.jito = |slot| slot >= 200);
        let mut bench = Bench::start(
            &chain,
            BlockEngineConfig {
                expiry_silent_bps,
                hold_slots_max: 16,
                ..quiet()
            },
        )
        .await;
        bench.send(&[tipping(5_000, 0)]).await.unwrap();
        chain.state().slot = 116;
        bench.nothing().await;
        chain.state().slot = 117;
        if silent {
            bench.nothing().await;
        } else {
            let Kind::Dropped(dropped) = bench.kind().await else {
                panic!("not dropped")
            };
            assert_eq!(dropped.reason(), DroppedReason::BlockhashExpired);
        }
        let counters = bench.engine.counters();
        assert_eq!(
            (counters.expired, counters.expired_silently),
            if silent { (0, 1) } else { (1, 0) }
        );
    }
}

#[tokio::test]
async fn what_the_leader_refuses_is_told() {
    type Expected = fn(&Kind) -> bool;
    let cases: [(RejectReason, Expected); 3] = [
        (
            RejectReason::BlockhashNotFound,
            |kind| matches!(kind, Kind::Dropped(dropped) if dropped.reason() == DroppedReason::BlockhashExpired),
        ),
        (
            RejectReason::AlreadyProcessed,
            |kind| matches!(kind, Kind::Dropped(dropped) if dropped.reason() == DroppedReason::PartiallyProcessed),
        ),
        (RejectReason::Expired, |kind| {
            let Kind::Rejected(rejected) = kind else {
                return false;
            };
            matches!(rejected.reason, Some(Reason::DroppedBundle(_)))
        }),
    ];
    for (reason, expected) in cases {
        let mut bench =
            Bench::start(&Chain::with(|state| state.landing = Err(reason)), quiet()).await;
        bench.send(&[tipping(5_000, 0)]).await.unwrap();
        assert!(matches!(bench.kind().await, Kind::Accepted(_)));
        let kind = bench.kind().await;
        assert!(expected(&kind), "{reason:?}: {kind:?}");
        assert_eq!(bench.engine.counters().failed_at_leader, 1);
    }
}

#[tokio::test]
async fn the_rate_limit_and_a_full_desk_refuse() {
    let config = BlockEngineConfig {
        sends_per_second: Some(1),
        ..quiet()
    };
    let bench = Bench::start(&Chain::new(), config).await;
    bench.send(&[tipping(5_000, 0)]).await.unwrap();
    let error = bench.send(&[tipping(5_000, 1)]).await.unwrap_err();
    assert!(matches!(error, ClientError::RateLimited { .. }), "{error}");

    let chain = Chain::with(|state| state.jito = |_| false);
    let bench = Bench::start(
        &chain,
        BlockEngineConfig {
            waiting_max: 2,
            ..quiet()
        },
    )
    .await;
    for salt in 0..2 {
        bench.send(&[tipping(5_000, salt)]).await.unwrap();
    }
    let error = bench.send(&[tipping(5_000, 2)]).await.unwrap_err();
    assert!(matches!(error, ClientError::RateLimited { .. }), "{error}");
    assert_eq!(bench.engine.counters().refused_for(Refusal::RateLimited), 1);
}

#[tokio::test]
async fn questions_are_answered_from_the_chain() {
    let chain = Chain::with(|state| state.jito = |slot| slot % 8 == 5);
    let bench = Bench::start(&chain, quiet()).await;
    assert_eq!(bench.client.tip_accounts().await.unwrap(), TIP_ACCOUNTS);
    let next = bench.client.next_scheduled_leader(vec![]).await.unwrap();
    assert_eq!(
        (
            next.current_slot,
            next.next_leader_slot,
            next.next_leader_region.as_str()
        ),
        (100, 101, "loopback")
    );
    let leaders = bench.client.connected_leaders().await.unwrap();
    assert_eq!(
        leaders[&bs58::encode(LEADER).into_string()].slots[..2],
        [101, 109]
    );
    assert!(
        bench
            .client
            .connected_leaders_regioned(vec!["moon".into()])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        bench
            .client
            .connected_leaders_regioned(vec![])
            .await
            .unwrap()
            .contains_key("loopback")
    );
    assert!(
        bench
            .client
            .next_scheduled_leader(vec!["moon".into()])
            .await
            .is_err()
    );
    assert_eq!(
        bench.client.regions().await.unwrap().current_region,
        "loopback"
    );
}

#[tokio::test]
async fn with_authentication_results_go_to_their_owner_only() {
    let config = BlockEngineConfig {
        authentication_wanted: true,
        ..quiet()
    };
    let engine = BlockEngine::start(Chain::new(), config).unwrap();
    let connect = async |key: SigningKey| {
        let pubkey = key.verifying_key().to_bytes();
        let auth = AuthOptions::searcher(pubkey, Arc::new(move |text| key.sign(text).to_bytes()));
        let options = ConnectOptions {
            auth: Some(auth),
            ..Default::default()
        };
        let client = SearcherClient::connect(&engine.endpoint(), options)
            .await
            .unwrap();
        let mut results = client.bundle_results();
        assert!(matches!(results.next().await, ResultEvent::Subscribed));
        (client, results)
    };
    let (ours, mut our_results) = connect(payer()).await;
    let (_theirs, mut their_results) = connect(rich()).await;

    let stranger = SearcherClient::connect(&engine.endpoint(), ConnectOptions::default())
        .await
        .unwrap();
    let error = send(&stranger, &[tipping(5_000, 0)]).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Unauthenticated { .. }),
        "{error}"
    );
    assert_eq!(engine.counters().refused_for(Refusal::NotAuthenticated), 1);

    send(&ours, &[tipping(5_000, 0)]).await.unwrap();
    assert!(matches!(our_results.next().await, ResultEvent::Result(_)));
    let waited = tokio::time::timeout(Duration::from_millis(100), their_results.next()).await;
    assert!(waited.is_err(), "{waited:?}");

    // A signature by another key buys no token.
    let auth = AuthOptions::searcher([5; 32], Arc::new(|text| payer().sign(text).to_bytes()));
    let options = ConnectOptions {
        auth: Some(auth),
        ..Default::default()
    };
    let error = SearcherClient::connect(&engine.endpoint(), options)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Unauthenticated { .. }),
        "{error}"
    );
}

/// Goal: a bundle that the engine accepts is in a block of the embedded market, once, where it says.
/// Method: the market steps on a thread of its own; the bundle's signature is looked for in what it made.
#[tokio::test]
async fn a_bundle_lands_in_the_embedded_market() {
    let config = GeneratorConfig {
        jito_bps: 10_000,
        skip_bps: 0,
        txns_per_slot: 20,
        ..GeneratorConfig::default()
    };
    let mut market = Generator::new(config);
    let (exchange, mut out) = (market.exchange(), Datagrams::default());
    market.next_slot(&mut out);
    exchange.airdrop(&payer().verifying_key().to_bytes(), 1_000_000);
    let (blockhash, _) = exchange.latest_blockhash().unwrap();
    let bytes = plain(TIP_ACCOUNTS[2], 5_000, &blockhash);
    let signature = *ParsedTxn::parse(&bytes).unwrap().signature();

    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let stepping = std::thread::spawn(move || {
        let mut found = Vec::new();
        while !stopped.load(Ordering::Relaxed) {
            let step = market.step(&mut out);
            let ours = step
                .transactions
                .iter()
                .filter(|txn| txn.signature == signature);
            found.extend(ours.map(|txn| (step.slot, txn.origin)));
            out = Datagrams::default();
            std::thread::sleep(Duration::from_millis(5));
        }
        found
    });

    let engine = BlockEngine::start(
        exchange.clone(),
        BlockEngineConfig {
            finalized_after_slots: 1,
            ..quiet()
        },
    )
    .unwrap();
    let client = SearcherClient::connect(&engine.endpoint(), ConnectOptions::default())
        .await
        .unwrap();
    let mut results = client.bundle_results();
    assert!(matches!(results.next().await, ResultEvent::Subscribed));
    send(&client, &[bytes]).await.unwrap();
    let mut bench = Bench {
        engine,
        client,
        results,
    };
    assert!(matches!(bench.kind().await, Kind::Accepted(_)));
    let Kind::Processed(processed) = bench.kind().await else {
        panic!("not processed")
    };
    assert!(matches!(bench.kind().await, Kind::Finalized(_)));
    stop.store(true, Ordering::Relaxed);

    assert_eq!(stepping.join().unwrap(), [(processed.slot, Origin::Bundle)]);
    // Tip and base fee; nothing else was taken.
    let payer = payer().verifying_key().to_bytes();
    assert_eq!(exchange.balance(&payer), 1_000_000 - 5_000 - 5_000);
    assert_eq!(bench.engine.counters().landed, 1);
}

/// Goal: the engine speaks gRPC and not a dialect that only our own client understands.
/// Method: `tests/peers/grpc_block_engine.py`, Google's library and hand-written bytes. Skipped without grpcio;
/// `PEER_PYTHON` names an interpreter that has it.
#[test]
fn an_outside_client_is_served() {
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/peers/grpc_block_engine.py"
    );
    let engine = BlockEngine::start(Chain::new(), quiet()).unwrap();
    let packets = [tipping(5_000, 0), long_v1(4_096)];
    let hex: Vec<String> = packets
        .iter()
        .map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let python = std::env::var("PEER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let ran = std::process::Command::new(python)
        .args([
            script,
            &engine.address().to_string(),
            "--bundle",
            &hex.join(","),
            "--id",
            id_of(&packets).as_str(),
        ])
        .output();
    let Ok(output) = ran else {
        eprintln!("skipped: no python3");
        return;
    };
    let words = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(77) => eprintln!("{words}"),
        code => assert_eq!(
            code,
            Some(0),
            "{words}{}",
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_fates() {
    let fates = async |seed| {
        let rivals = Rivals {
            state_rival_bps: 6_000,
            tip_lamports_min: 1_000,
            tip_lamports_max: 50_000,
            ..Rivals::default()
        };
        let mut bench = Bench::start(
            &Chain::new(),
            BlockEngineConfig {
                seed,
                rivals,
                ..quiet()
            },
        )
        .await;
        let mut fates = Vec::new();
        for salt in 0..24 {
            bench.send(&[tipping(5_000, salt)]).await.unwrap();
            let accepted = matches!(bench.kind().await, Kind::Accepted(_));
            if accepted {
                bench.kind().await;
            }
            fates.push(accepted);
        }
        fates
    };
    let first = fates(1).await;
    assert_eq!(first, fates(1).await);
    assert_ne!(first, fates(2).await);
    assert!(first.contains(&true) && first.contains(&false));
}
