//! Goal: entries only on the occasions the parameters describe, exits by stop, profit and age in that order.
#![allow(clippy::unwrap_used)]

use market::event::ShownAccounts;
use market::{
    Amounts, Applied, Bps, Curve, FeeSchedule, Form, Key, Lamports, Launch, Listing, MarketEvent,
    Mint, Side, TokenAmount, Trade, Untradable, pump,
};
use proptest::prelude::*;
use shred_wire::{Nanos, Slot};
use strategy::{Exit, KeySet, Origin, Params, Pass, Position, Venue};
use strategy::{consider, consider_time, decide, exit};

const LAUNCHER: Key = [2; 32];
const CREATOR: Key = [3; 32];

#[test]
fn a_dev_buy_within_bounds_is_bought_at_the_price_it_leaves() {
    let (curve, event) = after_dev_buy(1_000_000_000);
    let params = Params::default();
    let intent = decide(&Listing::Curve(&curve), None, &params, &event, Nanos(5)).unwrap();
    let quote = curve.buy_exact_quote(params.budget).unwrap();
    assert_eq!(
        (intent.origin, intent.side, intent.venue),
        (Origin::Launch, Side::Buy, Venue::PumpV3)
    );
    assert_eq!(
        (intent.spend, intent.tip),
        (params.budget, params.entry_tip)
    );
    assert_eq!(intent.tokens, quote.tokens.less_bps(params.entry_slippage));
    let cost = curve.buy_tokens(intent.tokens).unwrap().quote;
    assert!(cost < params.budget && cost.0 > params.budget.0 * 89 / 100);
    assert_eq!(
        (intent.mint, intent.accounts, intent.receive_min),
        (curve.accounts.mint, curve.accounts.into(), Lamports(0))
    );
    assert_eq!((intent.slot, intent.at), (Slot(10), Nanos(2)));
}

/// Goal: who chooses among transactions made ahead need not ask the market again.
#[test]
fn a_proposal_says_what_the_market_gives() {
    let (curve, event) = after_dev_buy(1_000_000_000);
    let (listing, params) = (Listing::Curve(&curve), Params::default());
    let entry = consider(&listing, None, &params, &event, Nanos(5)).unwrap();
    let bought = listing.buy(params.budget).unwrap();
    assert_eq!(entry.given, bought.tokens.0);
    assert!(entry.intent.tokens.0 < entry.given);
    let held = Position {
        cost: Lamports(1 << 40),
        ..position(1_000_000_000)
    };
    let sold = listing.sell(held.tokens).unwrap();
    let stop = consider_time(&listing, &held, &params, Slot(10), Nanos(5)).unwrap();
    assert_eq!(stop.given, sold.quote.0);
    let asked = Exit {
        origin: Origin::Signal(7),
        slippage: Bps(100),
        slot: Slot(10),
        at: Nanos(5),
    };
    let left = exit(&listing, &held, &params, &asked).unwrap();
    assert_eq!((left.given, left.intent.origin), (stop.given, asked.origin));
}

#[test]
fn dev_buys_out_of_bounds_and_strangers_are_no_occasion() {
    let params = Params::default();
    check_entry(&params, after_dev_buy(99_999_990), Err(Pass::DevBuyBelow));
    check_entry(
        &params,
        after_dev_buy(5_100_000_000),
        Err(Pass::DevBuyAbove),
    );
    let (mut curve, _) = after_dev_buy(1_000_000_000);
    let stranger = Trade {
        trader: [9; 32],
        ..trade(buy(1_000_000_000))
    };
    assert!(matches!(
        curve.apply(&stranger, &FeeSchedule::mainnet()),
        Applied::Moved(_)
    ));
    check_entry(
        &params,
        (curve, MarketEvent::Trade(stranger)),
        Err(Pass::NoOccasion),
    );
    let again = trade(buy(1_000_000_000));
    curve.apply(&again, &FeeSchedule::mainnet());
    check_entry(
        &params,
        (curve, MarketEvent::Trade(again)),
        Err(Pass::NoOccasion),
    );
}

#[test]
fn a_late_dev_buy_is_no_occasion() {
    let (mut curve, event) = after_dev_buy(1_000_000_000);
    curve.launch_slot = Slot(8);
    check_entry(&Params::default(), (curve, event), Ok(()));
    curve.launch_slot = Slot(7);
    check_entry(&Params::default(), (curve, event), Err(Pass::TooLate));
}

#[test]
fn creators_are_allowed_and_denied_by_either_name() {
    for name in [LAUNCHER, CREATOR] {
        let only = KeySet::new(&[name]).unwrap();
        let denied = Params {
            creators_denied: only,
            ..Params::default()
        };
        check_entry(
            &denied,
            after_dev_buy(1_000_000_000),
            Err(Pass::CreatorDenied),
        );
        let allowed = Params {
            creators_allowed: only,
            ..Params::default()
        };
        check_entry(&allowed, after_dev_buy(1_000_000_000), Ok(()));
        let both = Params {
            creators_allowed: only,
            creators_denied: only,
            ..Params::default()
        };
        check_entry(
            &both,
            after_dev_buy(1_000_000_000),
            Err(Pass::CreatorDenied),
        );
    }
    let others = Params {
        creators_allowed: KeySet::new(&[[7; 32]]).unwrap(),
        ..Params::default()
    };
    check_entry(
        &others,
        after_dev_buy(1_000_000_000),
        Err(Pass::CreatorNotAllowed),
    );
}

#[test]
fn a_bare_launch_is_bought_only_when_no_dev_buy_is_asked_for_or_follows() {
    let at_once = Params {
        dev_buy_min: Lamports(0),
        ..Params::default()
    };
    let bare = Launch {
        dev_buy_follows: false,
        ..launch()
    };
    let with = |launch: Launch| {
        (
            Curve::at_launch(&launch, &FeeSchedule::mainnet()),
            MarketEvent::Launch(launch),
        )
    };
    check_entry(&at_once, with(bare), Ok(()));
    check_entry(&at_once, with(launch()), Err(Pass::AwaitsDevBuy));
    check_entry(&Params::default(), with(bare), Err(Pass::DevBuyBelow));
}

#[test]
fn untradable_coins_are_never_entered_and_cashback_coins_only_left() {
    for reason in [
        Untradable::Mayhem,
        Untradable::QuoteNotSol,
        Untradable::Doubtful,
        Untradable::Complete,
    ] {
        let (mut curve, event) = after_dev_buy(1_000_000_000);
        curve.tradable = Err(reason);
        check_entry(&Params::default(), (curve, event), Err(Pass::Untradable));
    }
    // Nothing we build sells it in the pool that its curve becomes.
    let (mut curve, event) = after_dev_buy(1_000_000_000);
    curve.cashback = true;
    check_entry(
        &Params::default(),
        (curve, event),
        Err(Pass::CashbackStrands),
    );
    let held = Position {
        cost: Lamports(1 << 40),
        ..position(1_000_000_000)
    };
    let listing = Listing::Curve(&curve);
    let sale = decide(&listing, Some(&held), &Params::default(), &event, Nanos(5)).unwrap();
    assert_eq!((sale.venue, sale.side), (Venue::PumpV2, Side::Sell));
}

/// Goal: a price that was made up costs no more than the floor, and a crash that is real can be left.
#[test]
fn an_exit_asks_for_no_less_than_its_floor() {
    let (mut curve, event) = after_dev_buy(1_000_000_000);
    let tokens = 1_000_000_000_000;
    let worth = curve.sell(TokenAmount(tokens)).unwrap().quote;
    let at = |floor_steps| Position {
        cost: worth,
        reference: worth,
        floor_steps,
        ..position(tokens)
    };
    // Nearly all of its quote is gone, or seems to be.
    curve.reserves.virtual_quote /= 50;
    let params = Params::default();
    let fallen = curve.sell(TokenAmount(tokens)).unwrap().quote;
    let asked = |position: &Position, params: &Params| {
        let listing = Listing::Curve(&curve);
        let exit = decide(&listing, Some(position), params, &event, Nanos(5)).unwrap();
        assert_eq!(exit.origin, Origin::Stop);
        exit.receive_min
    };
    let of_the_day = fallen.less_bps(params.stop_slippage);
    assert_eq!(asked(&at(0), &params), Lamports(worth.0 / 2));
    assert_eq!(asked(&at(1), &params), Lamports(worth.0 / 8));
    assert_eq!(asked(&at(3), &params), of_the_day);
    let without = Params {
        exit_floor: Bps(0),
        ..params
    };
    assert_eq!(asked(&at(0), &without), of_the_day);
}

#[test]
fn switched_off_says_so_only_when_all_else_fits() {
    let off = Params {
        launches_enabled: false,
        ..Params::default()
    };
    check_entry(&off, after_dev_buy(1_000_000_000), Err(Pass::LaunchesOff));
    check_entry(&off, after_dev_buy(10), Err(Pass::DevBuyBelow));
}

#[test]
fn a_buy_that_would_complete_the_curve_is_not_made() {
    let (curve, event) = after_dev_buy(1_000_000_000);
    let huge = Params {
        budget: Lamports(100_000_000_000),
        ..Params::default()
    };
    check_entry(&huge, (curve, event), Err(Pass::NoQuote));
}

#[test]
fn exits_come_by_stop_profit_and_age_in_that_order() {
    let (curve, event) = after_dev_buy(1_000_000_000);
    let params = Params::default();
    let value = |tokens| curve.sell(TokenAmount(tokens)).unwrap().quote;
    let tokens = 1_000_000_000_000;
    let at_cost = |cost: u64| Position {
        cost: Lamports(cost),
        ..position(tokens)
    };
    let worth = value(tokens).0;
    let origin = |position: &Position, now: u64, slot: u64| {
        consider_time(
            &Listing::Curve(&curve),
            position,
            &params,
            Slot(slot),
            Nanos(now),
        )
        .map(|proposal| proposal.intent.origin)
    };
    let fresh = at_cost(worth);
    assert_eq!(origin(&fresh, 1_000, 10), Err(Pass::Holding));
    assert_eq!(
        origin(&at_cost(worth * 10_000 / 14_000), 1_000, 10),
        Ok(Origin::TakeProfit)
    );
    assert_eq!(
        origin(&at_cost(worth * 10_000 / 7_999), 1_000, 10),
        Ok(Origin::Stop)
    );
    assert_eq!(
        origin(&fresh, 1 + params.hold_max.0, 10),
        Ok(Origin::Expiry)
    );
    assert_eq!(origin(&fresh, params.hold_max.0, 10), Err(Pass::Holding));
    assert_eq!(
        origin(&fresh, 1_000, 10 + params.hold_slots_max),
        Ok(Origin::Expiry)
    );
    assert_eq!(
        origin(&at_cost(worth * 2), 1 + params.hold_max.0, 10),
        Ok(Origin::Stop),
        "stop before age"
    );
    assert_eq!(
        origin(
            &Position {
                exiting: true,
                ..at_cost(worth * 2)
            },
            1_000,
            10
        ),
        Err(Pass::Exiting)
    );

    let stop = decide(
        &Listing::Curve(&curve),
        Some(&at_cost(worth * 2)),
        &params,
        &event,
        Nanos(1_000),
    )
    .unwrap();
    assert_eq!(
        (stop.side, stop.tokens, stop.spend),
        (Side::Sell, TokenAmount(tokens), Lamports(0))
    );
    assert_eq!(
        stop.receive_min,
        value(tokens).less_bps(params.stop_slippage)
    );
    let profit = decide(
        &Listing::Curve(&curve),
        Some(&at_cost(worth / 2)),
        &params,
        &event,
        Nanos(1_000),
    )
    .unwrap();
    assert_eq!(
        profit.receive_min,
        value(tokens).less_bps(params.exit_slippage)
    );
}

#[test]
fn a_doubtful_curve_may_be_left_and_a_complete_one_cannot() {
    let (mut curve, event) = after_dev_buy(1_000_000_000);
    let losing = Position {
        cost: Lamports(1 << 40),
        ..position(1_000_000_000)
    };
    curve.tradable = Err(Untradable::Doubtful);
    assert_eq!(
        decide(
            &Listing::Curve(&curve),
            Some(&losing),
            &Params::default(),
            &event,
            Nanos(5)
        )
        .unwrap()
        .origin,
        Origin::Stop
    );
    curve.tradable = Err(Untradable::Complete);
    let considered = consider(
        &Listing::Curve(&curve),
        Some(&losing),
        &Params::default(),
        &event,
        Nanos(5),
    );
    assert_eq!(considered, Err(Pass::CurveComplete));
}

proptest! {
    /// Whatever the state, an intent is bounded: it spends at most the budget or sells the position, never for nothing.
    #[test]
    fn intents_are_bounded_on_any_state(
        reserves in any::<[u64; 4]>(), tokens in any::<u64>(), cost in any::<u64>(), now in any::<u64>(), slot in any::<u64>(),
        holds in any::<bool>(), dev_buy in 1u64..10_000_000_000, budget in 1u64..u64::MAX,
    ) {
        let (mut curve, event) = after_dev_buy(dev_buy);
        let [virtual_token, virtual_quote, real_token, real_quote] = reserves;
        curve.reserves = market::Reserves { virtual_token, virtual_quote, real_token, real_quote };
        let held = Position { cost: Lamports(cost), ..position(tokens) };
        let params = Params { budget: Lamports(budget), take_profit: Bps(1), ..Params::default() };
        let first = decide(&Listing::Curve(&curve), holds.then_some(&held), &params, &event, Nanos(now));
        prop_assert_eq!(first, decide(&Listing::Curve(&curve), holds.then_some(&held), &params, &event, Nanos(now)), "pure");
        let timed = consider_time(&Listing::Curve(&curve), &held, &params, Slot(slot), Nanos(now)).ok().map(|proposal| proposal.intent);
        for intent in [first, timed].into_iter().flatten() {
            match intent.side {
                Side::Buy => {
                    prop_assert!(intent.spend.0 == budget && (1..=real_token).contains(&intent.tokens.0));
                    prop_assert!(curve.buy_tokens(intent.tokens).unwrap().quote <= intent.spend, "within its own limit");
                }
                Side::Sell => prop_assert!(intent.tokens.0 == tokens && intent.receive_min.0 > 0),
            }
        }
    }
}

#[track_caller]
fn check_entry(params: &Params, (curve, event): (Curve, MarketEvent), expect: Result<(), Pass>) {
    assert_eq!(
        consider(&Listing::Curve(&curve), None, params, &event, Nanos(5)).map(drop),
        expect
    );
    assert_eq!(
        decide(&Listing::Curve(&curve), None, params, &event, Nanos(5)).is_some(),
        expect.is_ok()
    );
}

/// A curve after its launcher spent `quote_in`, and that trade.
fn after_dev_buy(quote_in: u64) -> (Curve, MarketEvent) {
    let mut curve = Curve::at_launch(&launch(), &FeeSchedule::mainnet());
    let trade = trade(buy(quote_in));
    curve.apply(&trade, &FeeSchedule::mainnet());
    (curve, MarketEvent::Trade(trade))
}

fn position(tokens: u64) -> Position {
    Position {
        mint: Mint([1; 32]),
        tokens: TokenAmount(tokens),
        cost: Lamports(0),
        opened_slot: Slot(10),
        opened_at: Nanos(1),
        exiting: false,
        reference: Lamports(0),
        floor_steps: 0,
    }
}

fn buy(quote_in: u64) -> Amounts {
    Amounts::ExactIn {
        quote_in: Lamports(quote_in),
        tokens_min: TokenAmount(0),
    }
}

fn launch() -> Launch {
    Launch {
        mint: Mint([1; 32]),
        user: LAUNCHER,
        creator: CREATOR,
        bonding_curve: Some([4; 32]),
        associated_bonding_curve: Some([5; 32]),
        token_program: pump::TOKEN_2022_PROGRAM,
        quote_mint: Some(pump::WRAPPED_SOL),
        is_v2: true,
        mayhem: false,
        cashback: false,
        holder_reward: false,
        creator_fee_bps: None,
        dev_buy_follows: true,
        slot: Slot(10),
        at: Nanos(1),
        signature: [6; 64],
    }
}

fn trade(amounts: Amounts) -> Trade {
    Trade {
        mint: Mint([1; 32]),
        trader: LAUNCHER,
        side: Side::Buy,
        amounts,
        form: Form::V2,
        partial_fill: None,
        shown: ShownAccounts::default(),
        slot: Slot(10),
        at: Nanos(2),
        signature: [6; 64],
    }
}
