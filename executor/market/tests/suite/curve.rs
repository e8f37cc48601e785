//! Goal: a curve moves exactly as the program's rules say, and never by a trade the program would refuse.

use market::event::ShownAccounts;
use market::pump::account::BondingCurve;
use market::pump::curve::PoolToBe;
use market::{
    Amounts, Applied, Curve, FeeSchedule, Form, Key, Lamports, Launch, Mint, PumpAccounts, Quote,
    QuoteReject, Reserves, Side, TokenAmount, Trade, Untradable, pump,
};
use proptest::prelude::*;
use shred_wire::{Nanos, Slot};

const LAUNCHER: Key = [2; 32];

#[test]
fn a_buy_moves_reserves_by_net_and_tokens_and_keeps_the_fees_out() {
    let mut curve = curve();
    let trade = trade(Amounts::ExactIn {
        quote_in: Lamports(1_000_000_000),
        tokens_min: TokenAmount(1),
    });
    let Applied::Moved(quote) = apply(&mut curve, &trade) else {
        panic!()
    };
    assert_eq!(
        curve.reserves,
        Reserves {
            virtual_token: pump::fresh::VIRTUAL_TOKEN - quote.tokens.0,
            virtual_quote: pump::fresh::VIRTUAL_QUOTE + quote.net.0,
            real_token: pump::fresh::REAL_TOKEN - quote.tokens.0,
            real_quote: quote.net.0,
        }
    );
    assert_eq!(
        quote.quote.0,
        quote.net.0 + quote.protocol_fee.0 + quote.creator_fee.0
    );
    assert!(
        quote.quote.0 <= 1_000_000_000 && quote.quote.0 >= 999_999_997,
        "{quote:?}"
    );
}

#[test]
fn a_trade_beyond_its_own_limit_moves_nothing() {
    let fresh = curve();
    let quote = fresh.buy_exact_quote(Lamports(1_000_000)).unwrap();
    let one_more = TokenAmount(quote.tokens.0 + 1);
    let cost = fresh.buy_tokens(TokenAmount(5_000_000)).unwrap().quote;
    for amounts in [
        Amounts::ExactIn {
            quote_in: Lamports(1_000_000),
            tokens_min: one_more,
        },
        Amounts::TokensOut {
            tokens: TokenAmount(5_000_000),
            quote_max: Lamports(cost.0 - 1),
        },
        // The curve holds no quote yet, so it cannot pay.
        Amounts::Sell {
            tokens: TokenAmount(5_000_000_000),
            quote_min: Lamports(0),
        },
    ] {
        let mut curve = fresh;
        assert_eq!(
            apply(&mut curve, &trade(amounts)),
            Applied::PredictedFailure,
            "{amounts:?}"
        );
        assert_eq!(curve.reserves, fresh.reserves, "{amounts:?}");
        assert_eq!(curve.trade_count, 0);
    }
}

#[test]
fn limits_met_exactly_are_met() {
    let mut curve = curve();
    let quote = curve.buy_exact_quote(Lamports(1_000_000)).unwrap();
    let exact = Amounts::ExactIn {
        quote_in: Lamports(1_000_000),
        tokens_min: quote.tokens,
    };
    assert_eq!(apply(&mut curve, &trade(exact)), Applied::Moved(quote));
    let sale = curve.sell(quote.tokens).unwrap();
    let back = Amounts::Sell {
        tokens: quote.tokens,
        quote_min: sale.quote,
    };
    assert_eq!(apply(&mut curve, &trade(back)), Applied::Moved(sale));
    assert_eq!(curve.reserves.real_token, pump::fresh::REAL_TOKEN);
}

#[test]
fn a_buy_past_what_is_left_completes_only_where_the_program_lets_it() {
    let everything = Amounts::ExactIn {
        quote_in: Lamports(200_000_000_000),
        tokens_min: TokenAmount(1),
    };
    let too_many = Amounts::TokensOut {
        tokens: TokenAmount(pump::fresh::REAL_TOKEN + 1),
        quote_max: Lamports(200_000_000_000),
    };
    for amounts in [everything, too_many] {
        for (form, partial_fill, completes) in [
            (Form::V1, Some(true), true),
            (Form::V1, Some(false), false),
            (Form::V2, None, false),
            (Form::V2, Some(true), true),
            (Form::V3, None, true),
            (Form::V3, Some(false), true),
        ] {
            let mut curve = curve();
            let buy = Trade {
                form,
                partial_fill,
                ..trade(amounts)
            };
            let moved = matches!(
                apply(&mut curve, &buy),
                Applied::Moved(Quote {
                    completes: true,
                    ..
                })
            );
            assert_eq!(moved, completes, "{form:?} {partial_fill:?}");
            if completes {
                assert_eq!(
                    (curve.reserves.real_token, curve.tradable),
                    (0, Err(Untradable::Complete))
                );
                // 85 SOL and a little: what a fresh curve raises.
                assert_eq!(curve.reserves.real_quote, 85_005_359_057);
                let sale = trade(Amounts::Sell {
                    tokens: TokenAmount(1_000_000),
                    quote_min: Lamports(0),
                });
                assert_eq!(
                    apply(&mut curve, &sale),
                    Applied::PredictedFailure,
                    "no trade after completion"
                );
            }
        }
    }
}

#[test]
fn v3_limits_cover_the_part_in_the_pool_to_be() {
    let fresh = curve();
    let budget = Lamports(200_000_000_000);
    let pool = PoolToBe::USUAL;
    let buy = fresh.buy_exact_quote_v3(budget, &pool).unwrap();
    let past = buy.past.unwrap();
    assert_eq!(buy.curve.tokens.0, pump::fresh::REAL_TOKEN);
    assert_eq!(buy.tokens().0, buy.curve.tokens.0 + past.tokens.0);
    assert!(buy.quote() <= budget && buy.quote().0 + 3 > budget.0);
    let all = fresh.buy_tokens_v3(buy.tokens(), &pool).unwrap();
    let v3 = |amounts| {
        let trade = Trade {
            form: Form::V3,
            ..trade(amounts)
        };
        fresh.predicted(&trade)
    };
    for (more, met) in [(0, true), (1, false)] {
        let exact_in = Amounts::ExactIn {
            quote_in: budget,
            tokens_min: TokenAmount(buy.tokens().0 + more),
        };
        assert_eq!(v3(exact_in), met.then_some(buy.curve));
        let exact_out = Amounts::TokensOut {
            tokens: buy.tokens(),
            quote_max: Lamports(all.quote().0 - more),
        };
        assert_eq!(v3(exact_out), met.then_some(all.curve));
    }
    // More than the pool to be could give.
    let too_many = TokenAmount(pump::fresh::SUPPLY);
    assert_eq!(
        fresh.buy_tokens_v3(too_many, &pool),
        Err(QuoteReject::PastRemaining)
    );
}

#[test]
fn v3_refuses_cashback_coins() {
    let cashback = Curve::at_launch(
        &Launch {
            cashback: true,
            ..launch()
        },
        &FeeSchedule::mainnet(),
    );
    let buy = Amounts::ExactIn {
        quote_in: Lamports(1_000_000_000),
        tokens_min: TokenAmount(1),
    };
    for (form, moves) in [(Form::V1, true), (Form::V2, true), (Form::V3, false)] {
        let trade = Trade { form, ..trade(buy) };
        assert_eq!(cashback.predicted(&trade).is_some(), moves, "{form:?}");
    }
    let pool = PoolToBe::USUAL;
    let closed = Err(QuoteReject::Closed);
    assert_eq!(cashback.buy_exact_quote_v3(Lamports(1_000), &pool), closed);
    assert_eq!(cashback.buy_tokens_v3(TokenAmount(1_000), &pool), closed);
}

#[test]
fn account_truth_replaces_what_was_reckoned() {
    let schedule = FeeSchedule::mainnet();
    let mut curve = curve();
    let buy = Amounts::ExactIn {
        quote_in: Lamports(1_000_000_000),
        tokens_min: TokenAmount(1),
    };
    apply(&mut curve, &trade(buy));
    let mut truth = BondingCurve {
        reserves: curve.reserves,
        supply: pump::fresh::SUPPLY,
        creator: [3; 32],
        ..BondingCurve::default()
    };
    assert!(curve.agrees(&truth));
    let proven = Curve {
        creator_proven: true,
        ..curve
    };
    assert_eq!(curve.corrected(&truth, None, &schedule, Slot(1)), proven);

    // A trade that was not in the shreds.
    truth.reserves.virtual_quote += 7;
    truth.reserves.real_quote += 7;
    assert!(!curve.agrees(&truth));
    curve.tradable = Err(Untradable::Doubtful);
    let corrected = curve.corrected(&truth, Some(5), &schedule, Slot(9));
    assert!(corrected.agrees(&truth));
    assert_eq!((corrected.tradable, corrected.supply), (Ok(()), 5));
    assert_eq!(corrected.touched_slot, Slot(9));
    assert_eq!(
        (corrected.dev_buy, corrected.trade_count),
        (curve.dev_buy, curve.trade_count),
        "what accounts do not hold stays"
    );

    // The account says who the creator is, and whether there is one.
    truth.creator = [0; 32];
    assert!(!corrected.agrees(&truth));
    let without = corrected.corrected(&truth, None, &schedule, Slot(9));
    assert_eq!(without.rates.creator_bps, 0);
    truth.creator = [4; 32];
    truth.creator_fee_bps = 250;
    let own = without.corrected(&truth, None, &schedule, Slot(9));
    assert_eq!(
        (own.rates.creator_bps, own.accounts.creator),
        (250, [4; 32])
    );

    truth.complete = true;
    assert!(!own.agrees(&truth));
    let complete = own.corrected(&truth, None, &schedule, Slot(9));
    assert_eq!(complete.tradable, Err(Untradable::Complete));
    assert!(complete.agrees(&truth));
}

#[test]
fn a_curve_from_its_account_trades_only_when_it_is_understood() {
    let schedule = FeeSchedule::mainnet();
    let accounts = curve().accounts;
    let of = |change: fn(&mut BondingCurve, &mut PumpAccounts)| {
        let mut truth = BondingCurve {
            reserves: Reserves::FRESH,
            supply: pump::fresh::SUPPLY,
            creator: [3; 32],
            ..BondingCurve::default()
        };
        let mut accounts = accounts;
        change(&mut truth, &mut accounts);
        Curve::from_account(&truth, accounts, truth.supply, &schedule, Slot(4))
    };
    let plain = of(|_, _| ());
    let launched = curve();
    assert_eq!(
        (plain.reserves, plain.rates, plain.tradable, plain.supply),
        (
            launched.reserves,
            launched.rates,
            launched.tradable,
            launched.supply
        )
    );
    assert_eq!(
        plain.accounts, launched.accounts,
        "zero stands for wrapped SOL"
    );
    assert_eq!(of(|truth, _| truth.quote_mint = pump::WRAPPED_SOL), plain);
    let tradable = |change| of(change).tradable;
    assert_eq!(
        tradable(|truth, _| truth.mayhem = true),
        Err(Untradable::Mayhem)
    );
    assert_eq!(
        tradable(|truth, _| truth.quote_mint = [8; 32]),
        Err(Untradable::QuoteNotSol)
    );
    assert_eq!(
        tradable(|truth, _| truth.holder_reward = true),
        Err(Untradable::HolderReward)
    );
    assert_eq!(
        tradable(|truth, _| truth.complete = true),
        Err(Untradable::Complete)
    );
    assert_eq!(
        tradable(|truth, _| truth.reserves = Reserves::default()),
        Err(Untradable::Complete)
    );
    assert_eq!(
        tradable(|_, accounts| accounts.associated_bonding_curve = [0; 32]),
        Err(Untradable::AccountsUnresolved)
    );
    assert!(of(|truth, _| truth.cashback = true).cashback);
}

#[test]
fn what_is_not_understood_is_not_tradable() {
    let with = |change: fn(&mut Launch)| {
        let mut launch = launch();
        change(&mut launch);
        Curve::at_launch(&launch, &FeeSchedule::mainnet()).tradable
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|launch| launch.mayhem = true), Err(Untradable::Mayhem));
    assert_eq!(
        with(|launch| launch.quote_mint = None),
        Err(Untradable::QuoteUnknown)
    );
    assert_eq!(
        with(|launch| launch.quote_mint = Some([8; 32])),
        Err(Untradable::QuoteNotSol)
    );
    assert_eq!(
        with(|launch| launch.holder_reward = true),
        Err(Untradable::HolderReward)
    );
    assert_eq!(
        with(|launch| launch.bonding_curve = None),
        Err(Untradable::AccountsUnresolved)
    );
}

#[test]
fn the_launchers_first_buy_is_remembered_and_accounts_are_learnt() {
    let mut curve = curve();
    let exact = Amounts::ExactIn {
        quote_in: Lamports(1_000_000_000),
        tokens_min: TokenAmount(1),
    };
    apply(
        &mut curve,
        &Trade {
            trader: [9; 32],
            ..trade(exact)
        },
    );
    assert_eq!(curve.dev_buy, None);
    let shown = ShownAccounts {
        creator_vault: Some([7; 32]),
        ..ShownAccounts::default()
    };
    let Applied::Moved(quote) = apply(
        &mut curve,
        &Trade {
            shown,
            ..trade(exact)
        },
    ) else {
        panic!()
    };
    assert_eq!(curve.dev_buy, Some((quote, 2)));
    assert_eq!(curve.accounts.creator_vault, Some([7; 32]));
    let other = ShownAccounts {
        creator_vault: Some([1; 32]),
        ..ShownAccounts::default()
    };
    apply(
        &mut curve,
        &Trade {
            shown: other,
            ..trade(exact)
        },
    );
    assert_eq!(curve.dev_buy, Some((quote, 2)), "the first stays");
    assert_eq!(
        curve.accounts.creator_vault,
        Some([7; 32]),
        "what is known stays"
    );
}

proptest! {
    /// The product never shrinks, real reserves follow virtual ones, and nobody profits from a round trip.
    #[test]
    fn any_sequence_of_trades_keeps_the_books(steps in prop::collection::vec((0u8..3, any::<u64>()), 1..60)) {
        let mut curve = curve();
        let product = |reserves: Reserves| u128::from(reserves.virtual_token) * u128::from(reserves.virtual_quote);
        let (mut paid, mut received) = (0u128, 0u128);
        let mut held = 0u64;
        for (kind, amount) in steps {
            let amounts = match kind {
                0 => Amounts::ExactIn { quote_in: Lamports(amount % 5_000_000_000), tokens_min: TokenAmount(0) },
                1 => Amounts::TokensOut { tokens: TokenAmount(amount % 50_000_000_000_000), quote_max: Lamports(u64::MAX) },
                _ => Amounts::Sell { tokens: TokenAmount(if held == 0 { 0 } else { amount % held }), quote_min: Lamports(0) },
            };
            let before = curve.reserves;
            match apply(&mut curve, &trade(amounts)) {
                Applied::PredictedFailure => prop_assert_eq!(curve.reserves, before),
                Applied::Moved(quote) => {
                    // Rounding favours the curve by a token unit at most per trade on its side of the product.
                    prop_assert!(product(curve.reserves) + u128::from(curve.reserves.virtual_quote) >= product(before));
                    if kind == 2 {
                        held -= quote.tokens.0;
                        received += u128::from(quote.quote.0);
                    } else {
                        held += quote.tokens.0;
                        paid += u128::from(quote.quote.0);
                    }
                }
            }
            let gap = pump::fresh::VIRTUAL_TOKEN - pump::fresh::REAL_TOKEN;
            prop_assert_eq!(curve.reserves.virtual_token - curve.reserves.real_token, gap);
            prop_assert_eq!(curve.reserves.virtual_quote - curve.reserves.real_quote, pump::fresh::VIRTUAL_QUOTE);
        }
        let left = if held == 0 { 0 } else { curve.sell(TokenAmount(held)).map_or(0, |quote| u128::from(quote.quote.0)) };
        prop_assert!(received + left <= paid, "paid {} received {} left {}", paid, received, left);
    }

    /// Quotes answer or refuse on any reserves; none panics or promises more than there is.
    #[test]
    fn quotes_are_total(reserves in any::<[u64; 4]>(), amount in any::<u64>(), coin_bps in any::<u64>()) {
        let [virtual_token, virtual_quote, real_token, real_quote] = reserves;
        let mut curve = curve();
        curve.reserves = Reserves { virtual_token, virtual_quote, real_token, real_quote };
        curve.creator_fee_bps = coin_bps;
        curve.refresh_rates(&FeeSchedule::mainnet());
        if let Ok(quote) = curve.buy_exact_quote(Lamports(amount)) {
            prop_assert!(quote.tokens.0 <= real_token && quote.quote.0 <= amount);
        }
        if let Ok(quote) = curve.buy_tokens(TokenAmount(amount)) {
            prop_assert!(quote.tokens.0 == amount && amount <= real_token);
        }
        let pool = PoolToBe { base: real_quote, migration_fee: virtual_token >> 30 };
        if let Ok(buy) = curve.buy_exact_quote_v3(Lamports(amount), &pool) {
            prop_assert!(buy.quote().0 <= amount && buy.curve.tokens.0 <= real_token);
            prop_assert!(buy.past.is_none_or(|past| buy.curve.completes && past.tokens.0 < pool.base));
        }
        if let Ok(buy) = curve.buy_tokens_v3(TokenAmount(amount), &pool) {
            prop_assert!(buy.tokens().0 == amount && buy.past.is_some() == (amount > real_token));
        }
        if let Ok(quote) = curve.sell(TokenAmount(amount)) {
            prop_assert!(quote.quote.0 <= quote.net.0 && quote.net.0 <= virtual_quote);
        }
        for amounts in [
            Amounts::ExactIn { quote_in: Lamports(amount), tokens_min: TokenAmount(0) },
            Amounts::TokensOut { tokens: TokenAmount(amount), quote_max: Lamports(u64::MAX) },
            Amounts::Sell { tokens: TokenAmount(amount), quote_min: Lamports(0) },
        ] {
            for form in [Form::V2, Form::V3] {
                apply(&mut curve.clone(), &Trade { form, ..trade(amounts) });
            }
        }
    }
}

fn apply(curve: &mut Curve, trade: &Trade) -> Applied {
    curve.apply(trade, &FeeSchedule::mainnet())
}

fn curve() -> Curve {
    Curve::at_launch(&launch(), &FeeSchedule::mainnet())
}

fn launch() -> Launch {
    Launch {
        mint: Mint([1; 32]),
        user: LAUNCHER,
        creator: [3; 32],
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
        slot: Slot(1),
        at: Nanos(1),
        signature: [6; 64],
    }
}

fn trade(amounts: Amounts) -> Trade {
    Trade {
        mint: Mint([1; 32]),
        trader: LAUNCHER,
        side: if matches!(amounts, Amounts::Sell { .. }) {
            Side::Sell
        } else {
            Side::Buy
        },
        amounts,
        form: Form::V2,
        partial_fill: None,
        shown: ShownAccounts::default(),
        slot: Slot(1),
        at: Nanos(2),
        signature: [6; 64],
    }
}
