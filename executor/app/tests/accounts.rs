//! Account data of the embedded market against what is reckoned from its shreds: what shreds show agrees, what they hide is
//! found out and put right.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use accounts::{AccountData, Assembler, Update};
use demo::accounts::AccountWrite;
use demo::{Datagrams, Generator, GeneratorConfig, TraderConfig};
use engine::Engine;
use market::table::CurveCounters;
use market::{Curve, CurveTruth, LookupTables, Mint, Program};
use overmind::account_feed::AccountFeed;
use overmind::clock::Ticker;
use overmind::commands::demo::{engine_config, resolve_plan, throw_away_builder};
use overmind::commands::embedded::{account_data, epoch_of};
use overmind::leaders::{LeaderSchedule, LeaderSource};
use overmind::pipeline::{Layout, PipelinePlan, Prepared};
use overmind::rungs::Rungs;
use overmind::signing_stage::SigningAhead;
use overmind::wiring::{Time, Wiring};
use risk::{Control, Mode};
use rtrb::{Consumer, RingBuffer};
use shred_resolve::{Arrival, Arrived, Policy, Resolver};
use shred_source::{ArenaPlan, SourceId};
use shred_wire::{Nanos, Slot};

/// Steps after its shreds at which an account is told: a slot's.
const LAG_STEPS: u64 = 8;
/// Long enough for dozens of coins to live and die.
const STEPS: u64 = 8 * 120;

/// The core's wiring over the embedded market, without sockets, threads or a clock.
struct Follower {
    generator: Generator,
    leaders: LeaderSource,
    wiring: Wiring<Rungs>,
    bundles: Consumer<bundle::BundleCell>,
    assembler: Assembler,
    told: VecDeque<(u64, AccountWrite)>,
    /// What the market last said of each coin.
    truths: BTreeMap<Mint, CurveTruth>,
    /// What was said, and what had been reckoned, where they differed.
    diverged: Vec<(CurveTruth, Curve)>,
    at: u64,
}

impl Follower {
    fn new(config: GeneratorConfig) -> Self {
        let generator = Generator::new(config);
        let first = generator.slot();
        let identities = generator.schedule().identities(first..first + STEPS);
        let slots: Vec<_> = identities
            .into_iter()
            .map(|(slot, identity)| (Slot(slot), identity))
            .collect();
        let ticker = Ticker::calibrate();
        let builder = throw_away_builder(1).unwrap();
        let control = Arc::new(Control::new(Mode::Active));
        let config = engine_config(Policy::VerifyThenEmit);
        let engine = Engine::with_ticks(&config, builder, control, ticker).unwrap();
        let (ring, bundles) = RingBuffer::new(64);
        let resolver = Resolver::new(&resolve_plan(None));
        let rungs = Rungs::new();
        let told = generator.first_accounts().iter();
        Self {
            leaders: LeaderSource::Schedule(LeaderSchedule::from_slots(&slots).unwrap()),
            wiring: Wiring::new(resolver, engine, ring, ticker, Time::Wall, rungs),
            bundles,
            assembler: Assembler::new(epoch_of(first)),
            told: told.map(|account| (0, account.clone())).collect(),
            truths: BTreeMap::new(),
            diverged: Vec::new(),
            at: 1_700_000_000_000_000_000,
            generator,
        }
    }

    /// `tells`: whether the core hears of accounts.
    fn run(mut self, tells: bool) -> Self {
        for step in 0..STEPS {
            let mut out = Datagrams::new();
            let report = self.generator.step(&mut out);
            out.iter().for_each(|datagram| self.datagram(datagram));
            let due = step + LAG_STEPS;
            let writes = report.accounts.into_iter();
            self.told.extend(writes.map(|account| (due, account)));
            self.tell(step, tells);
        }
        self.tell(u64::MAX, tells);
        self
    }

    fn datagram(&mut self, datagram: &[u8]) {
        self.at += 50_000;
        let arrival = Arrival {
            source: SourceId(0),
            policy: Policy::VerifyThenEmit,
            at: Nanos(self.at),
        };
        let burst = [Arrived::new(datagram, arrival)];
        // Shreds beyond what their set needs are refused, and counted.
        let _ = self.wiring.datagram(&burst, 0, &self.leaders);
        while let Ok(cell) = self.bundles.pop() {
            self.wiring.rejected(cell.intent_id);
        }
    }

    fn tell(&mut self, step: u64, tells: bool) {
        let Self {
            told,
            assembler,
            wiring,
            truths,
            diverged,
            ..
        } = self;
        while let Some((_, account)) = told.pop_front_if(|(due, _)| *due <= step) {
            assembler
                .take(&account_data(&account), &mut |update| {
                    let Update::Curve(truth) = update else {
                        return;
                    };
                    truths.insert(truth.accounts.mint, *truth);
                    if !tells {
                        return;
                    }
                    let curves = wiring.engine().curves();
                    let reckoned = curves.get(&truth.accounts.mint).copied();
                    let before = curves.counters().truth_diverged;
                    wiring.account(update);
                    if wiring.engine().curves().counters().truth_diverged != before {
                        diverged.extend(reckoned.map(|curve| (*truth, curve)));
                    }
                })
                .unwrap();
        }
    }

    fn counters(&self) -> &CurveCounters {
        self.wiring.engine().curves().counters()
    }

    /// Coins that are not as the market has them.
    fn wrong(&self) -> usize {
        let curves = self.wiring.engine().curves();
        let is_wrong = |truth: &&CurveTruth| {
            curves
                .get(&truth.accounts.mint)
                .is_none_or(|curve| curve.reserves != truth.curve.reserves)
        };
        self.truths.values().filter(is_wrong).count()
    }
}

fn config(routed_bps: u16) -> GeneratorConfig {
    GeneratorConfig {
        seed: 5,
        txns_per_slot: 20,
        traders: TraderConfig {
            routed_bps,
            ..TraderConfig::default()
        },
        ..GeneratorConfig::default()
    }
}

/// With nothing hidden a trade that fails for what its sender has is still reckoned to succeed, since no shred tells
/// balances: here one sale in 3,700 trades, of a trader who sold before. It diverges once, and is put right.
#[test]
fn what_shreds_show_agrees_a_slot_later() {
    let follower = Follower::new(config(0)).run(true);
    let counters = follower.counters();
    let first = follower.diverged.first();
    assert!(
        counters.truth_agreed > 1_000 && counters.truth_diverged * 1_000 < counters.truth_agreed,
        "{counters:?}, first: {first:#?}"
    );
    assert_eq!(counters.truth_stale, 0, "{counters:?}");
    assert_eq!(follower.wrong(), 0, "{counters:?}");
    assert_eq!(follower.assembler.counters().account_rejected, 0);
}

#[test]
fn what_is_hidden_is_found_out_and_put_right() {
    let blind = Follower::new(config(500)).run(false);
    let coins = blind.truths.len();
    assert!(
        coins > 60 && blind.wrong() * 5 > coins,
        "{} of {coins}: too few trades were hidden to show anything",
        blind.wrong()
    );
    let follower = Follower::new(config(500)).run(true);
    let counters = follower.counters();
    assert_eq!(follower.truths.len(), coins);
    assert_eq!(follower.wrong(), 0, "{counters:?}");
    assert!(
        counters.truth_diverged > 20 && counters.truth_agreed > 5 * counters.truth_diverged,
        "{counters:?}: one hidden trade must not make all that follow it look wrong"
    );
}

/// Tells everything at once.
struct Told(Vec<AccountWrite>);

impl AccountFeed for Told {
    fn poll(&mut self, each: &mut dyn FnMut(&AccountData<'_>)) -> usize {
        let told = std::mem::take(&mut self.0);
        told.iter().for_each(|account| each(&account_data(account)));
        told.len()
    }
}

/// Goal: the way from the feed to the core stands in every layout, and what does not fit into the ring is refused.
#[test]
fn accounts_reach_the_core_on_their_own_thread() {
    let mut generator = Generator::new(config(500));
    let mut told = generator.first_accounts().to_vec();
    for _ in 0..40 {
        told.extend(generator.next_slot(&mut Datagrams::new()).accounts);
    }
    for split in [false, true] {
        let mut prepared = Prepared::new(PipelinePlan {
            resolve: resolve_plan(None),
            arena: ArenaPlan::default(),
            rings: 0,
            policies: Vec::new(),
            leaders: LeaderSource::Absent,
            engine: engine_config(Policy::VerifyThenEmit),
            tables: LookupTables::none(),
            builder: throw_away_builder(1).unwrap(),
            ahead: SigningAhead::nothing(),
            control: Arc::new(Control::new(Mode::Active)),
            time: Time::Wall,
            layout: Layout::modest(split),
        })
        .unwrap();
        let feed = Box::new(Told(told.clone()));
        let counters = prepared.feed_accounts(feed, 0).unwrap();
        assert!(
            prepared
                .feed_accounts(Box::new(Told(Vec::new())), 0)
                .is_none()
        );
        let pipeline = prepared.start(Vec::new(), Vec::new(), || {}).unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        let handled = || pipeline.published().get("truth_handled");
        let emitted = || counters.get("update_emitted") - counters.get("update_refused");
        while (emitted() == 0 || handled() < emitted()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        let shown = pipeline.published().market.truths()[0];
        let (outcome, _) = pipeline.stop().unwrap();
        let market = &outcome.market;
        let of_core = market.truth(Program::Pump);
        assert_eq!(shown, (Program::Pump, of_core), "{:?}", counters.named());
        assert_eq!(
            of_core.agreed + of_core.diverged + market.curves.curve_inserted,
            emitted(),
            "{:?}",
            counters.named()
        );
        assert!(market.curves_kept > 10 && market.curves_kept == market.curves.curve_inserted);
        assert_eq!(counters.get("terms_published"), 1);
    }
}
