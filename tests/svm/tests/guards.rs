//! What our transactions refuse to do, and what a node refuses of them.
#![allow(clippy::unwrap_used)]

use bundle::{BuilderConfig, Fault, WireVersion};
use market::{Lamports, Side};
use pump_rust_client::pda;
use solana_signer::Signer;
use solana_transaction_error::TransactionError;
use strategy::{LaneClass, Venue};
use svm_tests::machine::Outcome;
use svm_tests::ours::{Order, Ours};
use svm_tests::pump::{self, Call, Coin, Generation};
use svm_tests::world::{SOL, Terms, World};

const KEY: [u8; 32] = [5; 32];
const VERSIONS: [WireVersion; 2] = [WireVersion::V0, WireVersion::V1];
/// `NotEnoughTokensToBuy`, `BuySlippageBelowMinTokensOut`, `CashbackCoinNotSupported` of Pump.
const NOT_ENOUGH_TOKENS: u32 = 6021;
const BELOW_MINIMUM: u32 = 6042;
const NO_CASHBACK: u32 = 6094;

fn config(version: WireVersion) -> BuilderConfig {
    BuilderConfig {
        version,
        ..BuilderConfig::default()
    }
}

fn order(venue: Venue, side: Side, tokens: u64, limit: u64) -> Order {
    Order {
        venue,
        side,
        tokens,
        limit,
        lane: LaneClass::PrivateBundle,
        tip: 10_000,
    }
}

/// A world with a coin in it and a trader of ours who can pay.
fn set_up(generation: Generation) -> (World, Coin) {
    let mut world = World::new(Terms::default());
    let creator = pump::trader(&mut world, [1; 32]);
    pump::trader(&mut world, KEY);
    let coin = Coin::launch(&mut world, generation, [3; 32], &creator);
    (world, coin)
}

fn run(world: &mut World, ours: &mut Ours, coin: &Coin, order: &Order) -> Outcome {
    let blockhash = world.machine.fresh_blockhash();
    let bytes = ours.build(order, coin.accounts().into(), blockhash);
    world.machine.run_bytes("guards", &bytes)
}

/// On a mayhem curve an exact-in buy with `partial_fill` lands with fewer tokens than its minimum. Ours name the
/// tokens and say `false`: all of them or none.
#[test]
fn a_mayhem_curve_cannot_give_us_fewer_tokens_than_asked() {
    for (call, venue) in [
        (Call::BuyExactInV2, Venue::PumpV2),
        (Call::BuyExactInV3, Venue::PumpV3),
    ] {
        let (mut world, coin) = set_up(Generation::V2);
        let user = pump::trader(&mut world, [2; 32]);
        coin.rewrite(&mut world, |state| {
            state.is_mayhem_mode = true;
            state.real_token_reserves = 1_000_000;
        });
        let recipient = world.global.reserved_fee_recipient;
        world.machine.fund(&recipient, SOL);

        // Ours first: what the others' buy completes is not for sale any more.
        for version in VERSIONS {
            let mut ours = Ours::with(KEY, &config(version));
            let buy = order(venue, Side::Buy, 2_000_000, SOL);
            let outcome = run(&mut world, &mut ours, &coin, &buy);
            assert!(!outcome.landed(), "{venue:?} {version:?}");
            if venue == Venue::PumpV3 {
                assert_eq!(
                    outcome.code(),
                    Some(NOT_ENOUGH_TOKENS),
                    "{:?}",
                    outcome.logs
                );
            }
        }

        let amounts = (SOL, u64::MAX);
        let open = pump::open_account(&coin, &user.pubkey());
        let strict = pump::instruction(&world, &coin, call, &user.pubkey(), amounts, false);
        let outcome = world
            .machine
            .run("strict", &[open.clone(), strict], &[&user]);
        assert!(!outcome.landed(), "{call:?}");
        let loose = pump::instruction(&world, &coin, call, &user.pubkey(), amounts, true);
        let outcome = world.machine.run("loose", &[open, loose], &[&user]);
        println!(
            "{call:?} with partial_fill on a mayhem curve: {:?}",
            outcome.result
        );
        outcome.expect("the trap is there: this lands far below its minimum");
        assert_eq!(
            world.machine.tokens(&coin.account_of(&user.pubkey())),
            1_000_000
        );
    }
}

/// Without mayhem the minimum holds, `partial_fill` or not.
#[test]
fn an_ordinary_curve_keeps_the_minimum() {
    let (mut world, coin) = set_up(Generation::V2);
    let user = pump::trader(&mut world, [2; 32]);
    let open = pump::open_account(&coin, &user.pubkey());
    for call in [Call::BuyExactInV2, Call::BuyExactInV3] {
        let amounts = (SOL, u64::MAX);
        let buy = pump::instruction(&world, &coin, call, &user.pubkey(), amounts, true);
        let outcome = world.machine.run("strict", &[open.clone(), buy], &[&user]);
        assert_eq!(
            outcome.code(),
            Some(BELOW_MINIMUM),
            "{call:?} {:?}",
            outcome.logs
        );
    }
}

#[test]
fn v3_refuses_cashback_coins_and_v2_takes_them() {
    let (mut world, coin) = set_up(Generation::V2);
    coin.rewrite(&mut world, |state| state.is_cashback_coin = true);
    for version in VERSIONS {
        let mut ours = Ours::with(KEY, &config(version));
        let refused = run(
            &mut world,
            &mut ours,
            &coin,
            &order(Venue::PumpV3, Side::Buy, 1_000_000, SOL),
        );
        assert_eq!(refused.code(), Some(NO_CASHBACK));
        let bought = run(
            &mut world,
            &mut ours,
            &coin,
            &order(Venue::PumpV2, Side::Buy, 1_000_000, SOL),
        );
        bought.expect("v2 of a cashback coin");
    }
}

/// The floor is checked in the transaction: it fails as a whole, and nothing is paid but the fee.
#[test]
fn a_wallet_that_would_fall_below_its_floor_pays_the_fee_alone() {
    for version in VERSIONS {
        let (mut world, coin) = set_up(Generation::V2);
        let address = Ours::with(KEY, &config(version)).address();
        let lamports = world.machine.lamports(&address);
        let with_floor = |floor: u64| {
            let config = BuilderConfig {
                wallet_floor: Some(Lamports(floor)),
                ..config(version)
            };
            Ours::with(KEY, &config)
        };
        let buy = order(Venue::PumpV3, Side::Buy, 30_000_000_000_000, 2 * SOL);
        let outcome = run(&mut world, &mut with_floor(lamports), &coin, &buy);
        assert!(!outcome.landed(), "{version:?}");
        assert_eq!(
            world.machine.lamports(&address),
            lamports - outcome.fee,
            "nothing but the fee"
        );
        run(&mut world, &mut with_floor(lamports - 2 * SOL), &coin, &buy)
            .expect("room above the floor");
    }
}

/// A sale of everything brings the rent of our account back; a sale that leaves something fails, as documented.
#[test]
fn a_sale_of_everything_can_close_our_account() {
    for (generation, version) in [
        (Generation::Legacy, WireVersion::V0),
        (Generation::V2, WireVersion::V1),
    ] {
        let (mut world, coin) = set_up(generation);
        let config = BuilderConfig {
            close_coin_account: true,
            ..config(version)
        };
        let mut ours = Ours::with(KEY, &config);
        let account = coin.account_of(&ours.address());
        run(
            &mut world,
            &mut ours,
            &coin,
            &order(Venue::PumpV3, Side::Buy, 5_000_000, SOL),
        )
        .expect("buy");
        let rent = world.machine.lamports(&account);
        assert!(rent > 0);
        let part = run(
            &mut world,
            &mut ours,
            &coin,
            &order(Venue::PumpV3, Side::Sell, 4_999_999, 1),
        );
        assert!(!part.landed());
        let before = world.machine.lamports(&ours.address());
        let sold = run(
            &mut world,
            &mut ours,
            &coin,
            &order(Venue::PumpV3, Side::Sell, 5_000_000, 1),
        )
        .expect("sell");
        let after = world.machine.lamports(&ours.address());
        assert_eq!(world.machine.lamports(&account), 0);
        assert!(
            after + sold.fee + 10_000 > before + rent,
            "the rent came back"
        );
    }
}

/// A node refuses what is not signed by our key or not recent; our usual bytes pass the same checks.
#[test]
fn signatures_and_blockhashes_are_checked_here() {
    let (mut world, coin) = set_up(Generation::V2);
    let buy = order(Venue::PumpV3, Side::Buy, 1_000_000, SOL);
    for version in VERSIONS {
        let config = config(version);
        let mut broken = Ours::faulty(KEY, &config, Fault::BrokenSignature);
        let outcome = run(&mut world, &mut broken, &coin, &buy);
        assert_eq!(outcome.result, Err(TransactionError::SignatureFailure));
        let mut stale = Ours::faulty(KEY, &config, Fault::StaleBlockhash);
        let outcome = run(&mut world, &mut stale, &coin, &buy);
        assert_eq!(outcome.result, Err(TransactionError::BlockhashNotFound));
        run(&mut world, &mut Ours::with(KEY, &config), &coin, &buy).expect("without a fault");
    }
}

/// The first trade of a coin by a fresh wallet opens the accounts it needs; nothing has to stand before.
#[test]
fn a_fresh_wallet_needs_nothing_but_lamports() {
    for version in VERSIONS {
        for venue in [Venue::PumpV2, Venue::PumpV3] {
            let (mut world, coin) = set_up(Generation::V2);
            let mut ours = Ours::with(KEY, &config(version));
            let volume = pda::pump::user_volume_accumulator(&ours.address()).0;
            assert_eq!(world.machine.lamports(&volume), 0);
            run(
                &mut world,
                &mut ours,
                &coin,
                &order(venue, Side::Buy, 1_000_000, SOL),
            )
            .expect("first buy");
            assert!(world.machine.lamports(&volume) > 0);
            run(
                &mut world,
                &mut ours,
                &coin,
                &order(venue, Side::Sell, 1_000_000, 1),
            )
            .expect("first sale");
        }
    }
}

/// Several transactions in one bundle, one after the other as a leader executes them.
#[test]
fn the_transactions_of_a_bundle_go_through_in_their_order() {
    for version in VERSIONS {
        let (mut world, coin) = set_up(Generation::V2);
        let config = BuilderConfig {
            dont_front: true,
            ..config(version)
        };
        let mut ours = Ours::with(KEY, &config);
        let untipped = |order: Order| Order { tip: 0, ..order };
        let orders = [
            order(Venue::PumpV3, Side::Buy, 3_000_000, SOL),
            untipped(order(Venue::PumpV2, Side::Buy, 2_000_000, SOL)),
            untipped(order(Venue::PumpV3, Side::Sell, 4_000_000, 1)),
            untipped(order(Venue::PumpV2, Side::Sell, 1_000_000, 1)),
        ];
        let blockhash = world.machine.fresh_blockhash();
        let transactions = ours.bundle(&orders, coin.accounts().into(), blockhash);
        assert_eq!(transactions.len(), orders.len());
        for bytes in &transactions {
            world.machine.run_bytes("bundle", bytes).expect("in order");
        }
        assert_eq!(world.machine.tokens(&coin.account_of(&ours.address())), 0);
    }
}
