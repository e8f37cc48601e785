//! Goal: our PumpSwap quotes equal the official client's to the unit, and what a trade leaves behind is what it says.
//! Method: every row of `golden/pump_amm.txt` holds a pool and what package pump-rust-client 0.5.0 answered (the file's
//! head says how it was made); the same questions are put to [`Pool`]. What moves is checked against what was paid.

use crate::common::bytes;
use market::event::{Form, Way};
use market::pump_amm::{Legs, Pool, PoolAccount, PoolRefusal, Share, Terms};
use market::token::TransferFee;
use market::{Amount, FeeSchedule, PoolRates, QuoteReject, Swapped, pump};

const ROWS: &str = include_str!("../golden/pump_amm.txt");

/// A row's pool, with the questions and answers that follow it.
struct Row<'a> {
    line: &'a str,
    pool: Pool,
    terms: Terms,
    rates: &'a [&'a str],
    exact_in: &'a [&'a str],
    exact_out: &'a [&'a str],
    sale: &'a [&'a str],
    hop: &'a [&'a str],
}

fn each_row(mut check: impl FnMut(&Row<'_>)) {
    let configs: Vec<Vec<u8>> = ROWS
        .lines()
        .filter_map(|line| line.strip_prefix("config "))
        .map(|line| bytes(line.split(' ').nth(1).unwrap()))
        .collect();
    assert_eq!(configs.len(), 3);
    let mut row_count = 0;
    for line in ROWS.lines().filter(|line| line.starts_with("pool ")) {
        let cells: Vec<&str> = line.split_whitespace().skip(1).collect();
        let number = |at: usize| cells[at].parse::<u64>().unwrap();
        let account = PoolAccount {
            base_mint: [0x11; 32],
            quote_mint: match cells[2] {
                "S" => pump::WRAPPED_SOL,
                "U" => market::base58::key("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"),
                _ => [0x99; 32],
            },
            coin_creator: [if cells[3] == "1" { 0x33 } else { 0 }; 32],
            creator_fee_bps: number(5),
            virtual_quote: cells[12].parse().unwrap(),
            protocol_fees: number(13),
            creator_fees: number(14),
            ..PoolAccount::default()
        };
        let pool = Pool {
            account,
            made_by_pump: cells[1] == "1",
            base_reserve: number(10),
            quote_reserve: number(11),
            base_supply: number(9),
            base_fee: TransferFee::NONE,
            quote_fee: TransferFee {
                bps: number(7) as u16,
                fee_max: number(8),
            },
        };
        let terms = Terms {
            schedule: FeeSchedule::parse(&configs[number(0) as usize], cells[4] == "1").unwrap(),
            buyback_bps: number(6),
            buys: true,
            sales: true,
            deposits: true,
            withdrawals: true,
        };
        check(&Row {
            line,
            pool,
            terms,
            rates: &cells[15..18],
            exact_in: &cells[18..25],
            exact_out: &cells[25..28],
            sale: &cells[28..30],
            hop: &[cells[30], cells[18], cells[31], cells[28], cells[32]],
        });
        row_count += 1;
    }
    assert_eq!(row_count, 2000);
}

fn number(cell: &str) -> Option<u64> {
    cell.parse().ok()
}

#[test]
fn every_rate_equals_the_official_clients() {
    each_row(|row| {
        let expected = match number(row.rates[0]) {
            Some(lp_bps) => Ok(PoolRates {
                lp_bps,
                protocol_bps: number(row.rates[1]).unwrap(),
                creator_bps: number(row.rates[2]).unwrap(),
            }),
            None => Err(QuoteReject::Closed),
        };
        assert_eq!(row.pool.rates(&row.terms), expected, "{}", row.line);
    });
}

#[test]
fn every_buy_equals_the_official_clients() {
    let mut answered = [0; 2];
    each_row(|row| {
        let Row { pool, terms, .. } = *row;
        let quote_in = number(row.exact_in[0]).unwrap();
        let want = number(row.exact_out[0]).unwrap();
        for (index, form) in [Form::V1, Form::V2].into_iter().enumerate() {
            let answer = &row.exact_in[1 + 3 * index..][..3];
            let mut after = pool;
            let swapped = after.swap(&terms, form, Way::BToA, Amount::In(quote_in));
            let expected = number(answer[0]).zip(number(answer[1]));
            let ours = swapped.ok().map(|got| (got.amount_out, got.amount_in));
            assert_eq!(ours, expected, "exact in, {form:?}: {}", row.line);
            if let Ok(swapped) = swapped {
                // What enters the reserves stays there in full; the liquidity's fee comes on top.
                let net = number(answer[2]).unwrap();
                check_bought(row, &after, form, swapped, net);
                answered[0] += 1;
            }

            let mut after = pool;
            let swapped = after.swap(&terms, form, Way::BToA, Amount::Out(want));
            let cost = number(row.exact_out[1 + index]);
            let ours = swapped.ok().map(|got| got.amount_in);
            assert_eq!(ours, cost, "exact out, {form:?}: {}", row.line);
            if let Ok(swapped) = swapped {
                assert_eq!(swapped.amount_out, want);
                check_bought(row, &after, form, swapped, 0);
                answered[1] += 1;
            }
        }
    });
    assert!(answered[0] > 3000 && answered[1] > 3000, "{answered:?}");
}

fn check_bought(row: &Row<'_>, after: &Pool, form: Form, swapped: Swapped, net_min: u64) {
    let (pool, line) = (&row.pool, row.line);
    assert_eq!(pool.base_reserve - after.base_reserve, swapped.amount_out);
    let grown = |of: fn(&Pool) -> Option<u64>| of(after).unwrap() - of(pool).unwrap();
    let vault = after.quote_reserve - pool.quote_reserve;
    assert_eq!(
        grown(Pool::quote_effective),
        grown(Pool::quote_liquid),
        "{line}"
    );
    assert!(grown(Pool::quote_liquid) >= net_min, "{line}");
    assert!(vault <= swapped.amount_in, "{line}");
    match form {
        Form::V2 => {
            let owed = |pool: &Pool| pool.account.protocol_fees + pool.account.creator_fees;
            assert_eq!(
                vault,
                grown(Pool::quote_effective) + owed(after) - owed(pool)
            );
        }
        _ => assert_eq!(after.account, pool.account),
    }
}

#[test]
fn every_sale_equals_the_official_clients() {
    let mut answered = 0;
    each_row(|row| {
        let Row { pool, terms, .. } = *row;
        let base_in = number(row.sale[0]).unwrap();
        let expected = number(row.sale[1]).filter(|_| base_in > 0);
        let mut left = [0; 2];
        for (index, form) in [Form::V1, Form::V2].into_iter().enumerate() {
            let mut after = pool;
            let swapped = after.swap(&terms, form, Way::AToB, Amount::In(base_in));
            let ours = swapped.ok().map(|got| got.amount_out);
            assert_eq!(ours, expected, "sale, {form:?}: {}", row.line);
            if swapped.is_ok() {
                assert_eq!(after.base_reserve - pool.base_reserve, base_in);
                assert_eq!(
                    pool.quote_effective().unwrap() - after.quote_effective().unwrap(),
                    pool.quote_liquid().unwrap() - after.quote_liquid().unwrap(),
                );
                left[index] = after.quote_effective().unwrap();
                answered += 1;
            } else {
                assert_eq!(after, pool);
            }
        }
        assert_eq!(left[0], left[1], "v1 and v2 price alike: {}", row.line);
    });
    assert!(answered > 3000, "{answered}");
}

#[test]
fn every_hop_equals_the_official_clients() {
    let mut answered = [0; 2];
    each_row(|row| {
        let Row { pool, terms, .. } = *row;
        let (protocol, coin) = match row.hop[0] {
            "0" => (true, true),
            "1" => (false, false),
            "2" => (true, false),
            _ => (false, true),
        };
        let legs = Legs { protocol, coin };
        for (index, way) in [Way::BToA, Way::AToB].into_iter().enumerate() {
            let amount_in = number(row.hop[1 + 2 * index]).unwrap();
            let mut after = pool;
            let swapped = after.hop(&terms, legs, way, amount_in);
            if pool.quote_fee != TransferFee::NONE {
                assert_eq!(swapped, Err(QuoteReject::Closed));
                continue;
            }
            let ours = swapped.ok().map(|got| got.amount_out);
            let expected = number(row.hop[2 + 2 * index]);
            assert_eq!(ours, expected, "{way:?}: {}", row.line);
            if let Ok(swapped) = swapped {
                assert_eq!(swapped.amount_in, amount_in);
                answered[index] += 1;
            }
        }
    });
    assert!(answered[0] > 600 && answered[1] > 600, "{answered:?}");
}

/// Answers of the program itself (`pump_amm.so` of pump-rust-client 0.5.0 in LiteSVM): reserves, share, what moved,
/// virtual reserves after.
#[test]
fn shares_move_what_the_program_moved() {
    let terms = any_terms();
    let pool = |base, quote, lp_supply, virtual_quote, owed: (u64, u64)| Pool {
        account: PoolAccount {
            lp_supply,
            virtual_quote,
            protocol_fees: owed.0,
            creator_fees: owed.1,
            ..PoolAccount::default()
        },
        made_by_pump: false,
        base_reserve: base,
        quote_reserve: quote,
        base_supply: 1_000_000_000_000_000,
        base_fee: TransferFee::NONE,
        quote_fee: TransferFee::NONE,
    };
    let one = pool(
        459_433_406_801_798,
        4_465_332_511_848,
        28_340_364_933_151,
        872_884_549_629,
        (0, 0),
    );
    let two = pool(
        519_887_945_344_045,
        5_052_903_229_269,
        32_069_531_464_769,
        987_743_051_138,
        (0, 0),
    );
    for (mut pool, share, base, quote, virtual_quote) in [
        (
            one,
            3_729_166_531_618,
            60_454_538_542_247,
            587_570_717_421,
            987_743_051_138,
        ),
        (two, 33, 535, 6, 987_743_051_139),
    ] {
        let before = pool;
        assert_eq!(pool.deposit(&terms, share), Ok(Share { base, quote }));
        assert_eq!(pool.account.virtual_quote, virtual_quote);
        assert_eq!(pool.account.lp_supply, before.account.lp_supply + share);
        assert_eq!(pool.base_reserve, before.base_reserve + base);
        assert_eq!(pool.quote_reserve, before.quote_reserve + quote);
    }
    let owing = pool(
        108_393_999_931_854,
        2_868_399_554_734,
        7_133_352_472_846,
        260_087_499_228,
        (22_740_701_147, 4_453_636_717),
    );
    let plain = pool(
        519_887_945_344_580,
        5_052_903_229_275,
        32_069_531_464_802,
        987_743_051_139,
        (0, 0),
    );
    for (mut pool, share, base, quote, virtual_quote) in [
        (
            owing,
            202_761_052_486,
            3_081_031_197_184,
            80_759_469_309,
            251_921_693_897,
        ),
        (plain, 43_105, 698_786, 6_791, 987_743_049_811),
    ] {
        let before = pool;
        assert_eq!(pool.withdraw(&terms, share), Ok(Share { base, quote }));
        assert_eq!(pool.account.virtual_quote, virtual_quote);
        assert_eq!(pool.account.lp_supply, before.account.lp_supply - share);
        assert_eq!(pool.base_reserve, before.base_reserve - base);
        assert_eq!(pool.quote_reserve, before.quote_reserve - quote);
    }

    // Both refuse a boost below zero (6023), what is switched off, and mints that keep a part.
    let refused = |change: fn(&mut Pool, &mut Terms)| {
        let (mut pool, mut terms) = (plain, terms);
        change(&mut pool, &mut terms);
        let before = pool;
        let both = (
            pool.deposit(&terms, 5).err(),
            pool.withdraw(&terms, 5).err(),
        );
        assert_eq!(pool, before);
        both
    };
    let both = |reason| (Some(reason), Some(reason));
    let below = refused(|pool, _| pool.account.virtual_quote = -1);
    assert_eq!(below, both(QuoteReject::Overflow));
    let off = refused(|_, terms| (terms.deposits, terms.withdrawals) = (false, false));
    assert_eq!(off, both(QuoteReject::Closed));
    let taxed = refused(|pool, _| pool.quote_fee = TransferFee { bps: 1, fee_max: 1 });
    assert_eq!(taxed, both(QuoteReject::Closed));
    let none = refused(|pool, _| pool.account.lp_supply = 0);
    assert_eq!(
        none,
        (
            Some(QuoteReject::EmptyReserves),
            Some(QuoteReject::PastRemaining)
        )
    );
    let mut pool = plain;
    assert_eq!(pool.deposit(&terms, 0), Err(QuoteReject::ZeroAmount));
}

fn any_terms() -> Terms {
    let mut terms = None;
    each_row(|row| terms = Some(row.terms));
    terms.unwrap()
}

#[test]
fn legs_follow_the_ends_of_a_route() {
    let of = |way| (0..3).map(move |index| Legs::of(way, index, 3));
    let leg = |protocol, coin| Legs { protocol, coin };
    let buy = [leg(true, false), leg(false, false), leg(false, true)];
    assert!(of(Way::BToA).eq(buy));
    assert!(of(Way::AToB).eq(buy.into_iter().rev()));
    assert_eq!(Legs::of(Way::AToB, 0, 1), leg(true, true));
}

#[test]
fn what_is_not_understood_is_refused_with_its_reason() {
    let mut rows = Vec::new();
    each_row(|row| {
        if row.pool.made_by_pump && row.pool.quote_fee == TransferFee::NONE && row.rates[0] != "E" {
            rows.push((row.pool, row.terms));
        }
    });
    let (pool, terms) = rows[0];
    let with = |change: fn(&mut Pool, &mut Terms), form, way, amount| {
        let (mut pool, mut terms) = (pool, terms);
        change(&mut pool, &mut terms);
        let before = pool;
        let swapped = pool.swap(&terms, form, way, amount);
        assert_eq!((swapped, pool), (Err(QuoteReject::Closed), before));
        pool.refusal(&terms, form, way)
    };
    let (buy, sale) = (Way::BToA, Way::AToB);
    let amount = Amount::In(1_000_000_000);
    for form in [Form::V1, Form::V2] {
        for way in [buy, sale] {
            let mayhem = with(|pool, _| pool.account.mayhem = true, form, way, amount);
            assert_eq!(mayhem, Some(PoolRefusal::Mayhem));
            let fee = |pool: &mut Pool, _: &mut Terms| {
                pool.base_fee = TransferFee { bps: 1, fee_max: 1 };
            };
            assert_eq!(with(fee, form, way, amount), Some(PoolRefusal::CoinTaxed));
        }
        assert_eq!(
            with(|_, terms| terms.buys = false, form, buy, amount),
            Some(PoolRefusal::BuysOff)
        );
        assert_eq!(
            with(|_, terms| terms.sales = false, form, sale, amount),
            Some(PoolRefusal::SalesOff)
        );
        assert_eq!(with(|_, _| (), form, sale, Amount::Out(1000)), None);
    }
    assert_eq!(
        with(|_, _| (), Form::V3, buy, amount),
        Some(PoolRefusal::NoSuchForm)
    );
    let cashback = |pool: &mut Pool, _: &mut Terms| pool.account.cashback = true;
    assert_eq!(
        with(cashback, Form::V2, buy, amount),
        Some(PoolRefusal::CashbackNeedsV1)
    );
    let mut cashback = pool;
    cashback.account.cashback = true;
    let (mut plain, mut back) = (pool, cashback);
    assert_eq!(
        plain.swap(&terms, Form::V1, buy, amount),
        back.swap(&terms, Form::V1, buy, amount),
        "cashback only changes whom the creator fee goes to"
    );
    let not_pumps = |pool: &mut Pool, terms: &mut Terms| {
        terms.schedule = FeeSchedule::mainnet();
        pool.made_by_pump = false;
    };
    assert_eq!(
        with(not_pumps, Form::V2, buy, amount),
        Some(PoolRefusal::NoRates)
    );
    let on_route = |change: fn(&mut Pool, &mut Terms), legs| {
        let (mut pool, mut terms) = (pool, terms);
        change(&mut pool, &mut terms);
        let before = pool;
        let reason = pool.refusal_on_route(&terms, legs, buy);
        assert_eq!(
            pool.hop(&terms, legs, buy, 1_000_000_000).is_err(),
            reason.is_some()
        );
        assert!(reason.is_none() || pool == before);
        reason
    };
    let (all, none) = (
        Legs {
            protocol: true,
            coin: true,
        },
        Legs {
            protocol: false,
            coin: false,
        },
    );
    assert_eq!(on_route(|_, _| (), all), None);
    assert_eq!(on_route(not_pumps, all), Some(PoolRefusal::NotPumps));
    let back = |pool: &mut Pool, _: &mut Terms| pool.account.cashback = true;
    assert_eq!(on_route(back, all), Some(PoolRefusal::CashbackOnRoute));
    assert_eq!(on_route(back, none), None);
    let taxed = |pool: &mut Pool, _: &mut Terms| {
        pool.quote_fee = TransferFee { bps: 1, fee_max: 1 };
    };
    assert_eq!(on_route(taxed, none), Some(PoolRefusal::QuoteTaxedOnRoute));
    let names = PoolRefusal::names();
    assert_eq!(
        names[PoolRefusal::QuoteTaxedOnRoute as usize],
        "quote_taxed_on_route"
    );
}
