//! Goal: our quotes equal the official client's to the lamport.
//! Method: every row of `data/pump_quotes.txt`, and of `golden/pump_v3.txt` for buys that complete a curve, holds a state
//! and what package pump-rust-client 0.5.0 answered (the file's head says how it was made); the same questions are put
//! to [`Curve`].

use market::pump::curve::{BuyV3, PoolToBe};
use market::{
    Curve, FeeRates, FeeSchedule, FeeTier, Lamports, Launch, Mint, Quote, QuoteReject, Reserves,
    TokenAmount,
};
use shred_wire::{Nanos, Slot};

const ROWS: &str = include_str!("../data/pump_quotes.txt");

#[test]
fn every_quote_equals_the_official_clients() {
    let schedules = schedules();
    let mut row_count = 0;
    for line in ROWS.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [
            schedule,
            has_creator,
            gate,
            coin_bps,
            vt,
            vq,
            rt,
            rq,
            protocol,
            creator,
            rest @ ..,
        ] = cells.as_slice()
        else {
            panic!("short row: {line}")
        };
        let number = |cell: &str| cell.parse::<u64>().unwrap();
        let mut curve = fresh();
        curve.reserves = Reserves {
            virtual_token: number(vt),
            virtual_quote: number(vq),
            real_token: number(rt),
            real_quote: number(rq),
        };
        curve.creator_fee_bps = number(coin_bps);
        if *has_creator == "0" {
            curve.accounts.creator = [0; 32];
        }
        curve.refresh_rates(&schedules[number(gate) as usize][number(schedule) as usize]);
        let rates = FeeRates {
            protocol_bps: number(protocol),
            creator_bps: number(creator),
        };
        assert_eq!(curve.rates, rates, "{line}");

        let [
            quote_in,
            tokens,
            debit,
            v3_tokens,
            v3_debit,
            want,
            cost,
            v3_cost,
            sell,
            out,
        ] = rest
        else {
            panic!("short row: {line}")
        };
        let exact_in = curve.buy_exact_quote(Lamports(number(quote_in)));
        assert_eq!(
            answer(exact_in),
            expected(tokens, debit),
            "exact in: {line}"
        );
        if *v3_tokens != "P" {
            assert_eq!(
                answer(exact_in),
                expected(v3_tokens, v3_debit),
                "v3 exact in: {line}"
            );
        }
        check_tokens_out(&curve, number(want), (cost, v3_cost), line);
        let sold = curve.sell(TokenAmount(number(sell)));
        assert_eq!(answer(sold), expected(sell, out), "sell: {line}");
        row_count += 1;
    }
    assert_eq!(row_count, 2400);
}

#[test]
fn every_buy_past_the_curve_equals_the_official_clients() {
    let (mut row_count, mut past_count) = (0, [0; 2]);
    let rows = include_str!("../golden/pump_v3.txt");
    for line in rows.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| cells[at].parse::<u64>().unwrap();
        let rates = FeeRates {
            protocol_bps: number(5),
            creator_bps: number(6),
        };
        let tier = FeeTier {
            market_cap_min: 0,
            rates,
        };
        let mut curve = fresh();
        curve.reserves = Reserves {
            virtual_token: number(1),
            virtual_quote: number(2),
            real_token: number(3),
            real_quote: number(4),
        };
        if cells[0] == "0" {
            curve.accounts.creator = [0; 32];
        }
        curve.refresh_rates(&FeeSchedule::new(&[tier], true).unwrap());
        let pool = PoolToBe {
            base: number(7),
            migration_fee: number(8),
        };
        let exact_in = curve.buy_exact_quote_v3(Lamports(number(9)), &pool);
        let both = |buy: &BuyV3| (buy.tokens().0, buy.quote().0);
        assert_eq!(
            exact_in.as_ref().ok().map(both),
            expected(cells[10], cells[11]),
            "exact in: {line}"
        );
        let want = number(12);
        let exact_out = curve.buy_tokens_v3(TokenAmount(want), &pool);
        let cost = cells[13].parse().ok().filter(|cost| *cost > 0);
        assert_eq!(
            exact_out.as_ref().ok().map(both),
            cost.map(|cost: u64| (want, cost)),
            "tokens out: {line}"
        );
        for (count, buy) in past_count.iter_mut().zip([exact_in, exact_out]) {
            if let Ok(BuyV3 {
                curve: part,
                past: Some(_),
            }) = buy
            {
                assert!(part.completes, "{line}");
                *count += 1;
            }
        }
        row_count += 1;
    }
    assert_eq!(row_count, 1200);
    assert!(past_count[0] > 500 && past_count[1] > 300, "{past_count:?}");
}

#[test]
fn what_the_pool_to_be_holds_comes_from_the_curves_token_account() {
    let curve = fresh();
    let held = market::pump::fresh::SUPPLY;
    let data: Vec<u8> = include_str!("../golden/pump_accounts.txt")
        .lines()
        .find_map(|line| line.strip_prefix("global "))
        .map(crate::common::bytes)
        .unwrap();
    let global = market::pump::account::Global::parse(&data).unwrap();
    let pool = PoolToBe::of(held, &curve, &global);
    assert_eq!((pool.base, pool.migration_fee), (PoolToBe::USUAL.base, 15));
}

/// The client caps a v2 buy at what is left, and continues a v3 buy in the pool to be; we refuse both.
fn check_tokens_out(curve: &Curve, want: u64, (cost, v3_cost): (&str, &str), line: &str) {
    let left = curve.reserves.real_token;
    let capped = want.min(left);
    let bought = curve.buy_tokens(TokenAmount(capped));
    assert_eq!(
        answer(bought),
        expected(&capped.to_string(), cost),
        "tokens out: {line}"
    );
    if want <= left {
        assert_eq!(
            answer(bought),
            expected(&capped.to_string(), v3_cost),
            "v3 tokens out: {line}"
        );
    } else {
        assert_eq!(
            curve.buy_tokens(TokenAmount(want)),
            Err(QuoteReject::PastRemaining),
            "{line}"
        );
    }
}

/// Tokens and quote; the official client answers "nothing" with zeroes where the program, and we, refuse.
fn answer(quote: Result<Quote, QuoteReject>) -> Option<(u64, u64)> {
    quote.ok().map(|quote| (quote.tokens.0, quote.quote.0))
}

fn expected(tokens: &str, quote: &str) -> Option<(u64, u64)> {
    let (tokens, quote) = (tokens.parse().ok()?, quote.parse().ok()?);
    if tokens == 0 {
        None
    } else {
        Some((tokens, quote))
    }
}

/// The three schedules of the data file, with the per-coin rate off and on.
fn schedules() -> [[FeeSchedule; 3]; 2] {
    const SOL: u128 = 1_000_000_000;
    let tier = |cap: u128, protocol_bps, creator_bps| FeeTier {
        market_cap_min: cap,
        rates: FeeRates {
            protocol_bps,
            creator_bps,
        },
    };
    let mut graded = vec![tier(0, 93, 30)];
    let thresholds = [
        420, 1470, 2460, 3440, 4420, 9820, 14740, 19650, 24560, 29470, 34380, 39300, 44210,
    ];
    graded.extend(
        (0..)
            .zip(thresholds)
            .map(|(step, cap)| tier(cap * SOL, 5, 95 - 5 * step)),
    );
    let odd = [
        tier(30 * SOL, 100, 0),
        tier(60 * SOL, 7, 3),
        tier(90 * SOL, 0, 0),
        tier(400 * SOL, 4999, 4999),
    ];
    [false, true].map(|gate| {
        [&[tier(0, 95, 30)][..], &graded, &odd].map(|tiers| FeeSchedule::new(tiers, gate).unwrap())
    })
}

fn fresh() -> Curve {
    let launch = Launch {
        mint: Mint([1; 32]),
        user: [2; 32],
        creator: [3; 32],
        bonding_curve: Some([4; 32]),
        associated_bonding_curve: Some([5; 32]),
        token_program: market::pump::TOKEN_2022_PROGRAM,
        quote_mint: Some(market::pump::WRAPPED_SOL),
        is_v2: true,
        mayhem: false,
        cashback: false,
        holder_reward: false,
        creator_fee_bps: None,
        dev_buy_follows: false,
        slot: Slot(1),
        at: Nanos(1),
        signature: [6; 64],
    };
    Curve::at_launch(&launch, &FeeSchedule::mainnet())
}
