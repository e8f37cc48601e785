//! Goal: our quotes equal the official client's to the lamport.
//! Method: every row of `data/pump_quotes.txt` holds a state and what package pump-rust-client 0.5.0 answered
//! (the file's head says how it was made); the same questions are put to [`Curve`].
#![allow(clippy::unwrap_used)]

use market::{
    Curve, FeeRates, FeeSchedule, FeeTier, Lamports, Launch, Mint, Quote, QuoteReject, Reserves,
    TokenAmount,
};
use shred_wire::{Nanos, Slot};

const ROWS: &str = include_str!("data/pump_quotes.txt");

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
