//! Goal: accounts of Pump and PumpSwap read as the official package writes them, older ones as the programs read them.
//! Method: `golden/pump_accounts.txt` holds accounts with known values that package pump-rust-client 0.5.0 serialised.

use crate::common::bytes;
use market::pump::account::{BondingCurve, Global};
use market::pump_amm::{GlobalConfig, PoolAccount, Terms};
use market::{AccountReject, FeeSchedule, Key, QuoteKind, Reserves};
use proptest::prelude::*;

fn account(name: &str) -> Vec<u8> {
    let line = include_str!("../golden/pump_accounts.txt")
        .lines()
        .find(|line| line.split(' ').next() == Some(name))
        .unwrap();
    bytes(line.split(' ').nth(1).unwrap())
}

fn fee_config(index: usize) -> Vec<u8> {
    let line = include_str!("../golden/pump_amm.txt")
        .lines()
        .filter(|line| line.starts_with("config "))
        .nth(index)
        .unwrap();
    bytes(line.split(' ').nth(2).unwrap())
}

/// The generator's key number `from`.
fn key(from: u8) -> Key {
    std::array::from_fn(|at| from.wrapping_add(at as u8))
}

#[test]
fn a_curve_reads_back_whole() {
    let data = account("bonding_curve");
    assert_eq!(data.len(), BondingCurve::LEN);
    let expected = BondingCurve {
        reserves: Reserves {
            virtual_token: 1_001,
            virtual_quote: 2_002,
            real_token: 3_003,
            real_quote: 4_004,
        },
        supply: 5_005,
        complete: true,
        creator: key(0x10),
        mayhem: false,
        cashback: true,
        quote_mint: key(0x20),
        creator_fee_bps: 606,
        holder_reward: true,
        creator_fees: 7_007,
        protocol_fees: 8_008,
        depth: 3,
        initial_virtual_quote: 9_009,
        past_tokens: 10_010,
        past_quote: 11_011,
    };
    assert_eq!(BondingCurve::parse(&data), Ok(expected));
}

/// Lengths that curves had over time (pump-rust-client 0.5.0 `math/fees.rs`, tests), all of which the program itself
/// trades on: the fields that came later read as zero.
#[test]
fn older_curves_read_without_what_came_later() {
    let whole = account("bonding_curve");
    let read = |len: usize| BondingCurve::parse(&whole[..len]).unwrap();
    assert_eq!(
        (read(150).initial_virtual_quote, read(150).depth),
        (9_009, 3)
    );
    assert_eq!((read(141).depth, read(141).protocol_fees), (0, 8_008));
    assert_eq!((read(125).creator_fees, read(125).holder_reward), (0, true));
    assert_eq!(
        (read(115).creator_fee_bps, read(115).quote_mint),
        (0, key(0x20))
    );
    assert_eq!((read(83).quote_mint, read(83).cashback), ([0; 32], true));
    assert_eq!((read(81).creator, read(81).cashback), (key(0x10), false));
    assert_eq!((read(49).creator, read(49).complete), ([0; 32], true));
    assert_eq!(BondingCurve::parse(&whole[..48]), Err(AccountReject::Short));
    let mut longer = whole.clone();
    longer.extend([0; 90]);
    assert_eq!(BondingCurve::parse(&longer), BondingCurve::parse(&whole));
    longer[200] = 1;
    assert_eq!(BondingCurve::parse(&longer), Err(AccountReject::Unknown));
}

#[test]
fn a_pool_reads_back_whole_and_older_ones_without_what_came_later() {
    let whole = account("pool");
    assert_eq!(whole.len(), PoolAccount::LEN);
    let expected = PoolAccount {
        index: 0x0102,
        creator: key(1),
        base_mint: key(2),
        quote_mint: key(3),
        lp_mint: key(4),
        base_vault: key(5),
        quote_vault: key(6),
        lp_supply: 707,
        coin_creator: key(8),
        mayhem: false,
        cashback: true,
        virtual_quote: -909,
        creator_fee_bps: 101,
        holder_reward: true,
        protocol_fees: 1_111,
        creator_fees: 1_212,
    };
    assert_eq!(PoolAccount::parse(&whole), Ok(expected));
    let read = |len: usize| PoolAccount::parse(&whole[..len]).unwrap();
    assert_eq!(
        (read(271).protocol_fees, read(271).virtual_quote),
        (0, -909)
    );
    assert_eq!((read(245).virtual_quote, read(245).cashback), (0, true));
    assert_eq!(
        (read(211).coin_creator, read(211).lp_supply),
        ([0; 32], 707)
    );
    assert_eq!(PoolAccount::parse(&whole[..210]), Err(AccountReject::Short));
    let mut longer = whole.clone();
    longer.resize(300, 0);
    assert_eq!(PoolAccount::parse(&longer), Ok(expected));
    longer[299] = 1;
    assert_eq!(PoolAccount::parse(&longer), Err(AccountReject::Unknown));
}

#[test]
fn global_accounts_read_back() {
    let keys = |first: u8, rest: u8| {
        std::array::from_fn(|at| {
            if at == 0 {
                key(first)
            } else {
                key(rest + at as u8 - 1)
            }
        })
    };
    let eight = |first: u8| std::array::from_fn(|at| key(first + at as u8));
    let expected = Global {
        fee_recipients: keys(2, 0x40),
        reserved_fee_recipients: keys(0x50, 0x60),
        buyback_fee_recipients: eight(0x70),
        buyback_bps: 5_000,
        fresh: Reserves {
            virtual_token: 11,
            virtual_quote: 12,
            real_token: 13,
            real_quote: 0,
        },
        supply: 14,
        migration_fee: 15,
        creator_fee_configurable: true,
        withdraw_authority: key(3),
        whitelisted: [0; 32],
    };
    let data = account("global");
    assert_eq!(data.len(), Global::LEN);
    assert_eq!(Global::parse(&data), Ok(expected));
    assert_eq!(Global::parse(&data[..1045]), Err(AccountReject::Short));

    let data = account("global_config");
    let expected = GlobalConfig {
        disabled: 0b1_0100,
        protocol_fee_recipients: eight(0x40),
        reserved_fee_recipients: keys(0x50, 0x60),
        buyback_fee_recipients: eight(0x70),
        buyback_bps: 4_321,
        creator_fee_configurable: true,
    };
    assert_eq!(GlobalConfig::parse(&data), Ok(expected));
    assert_eq!(GlobalConfig::parse(&data[..940]), Err(AccountReject::Short));
    let terms = Terms::parse(&data, &fee_config(0)).unwrap();
    assert_eq!(
        (terms.buys, terms.sales, terms.buyback_bps),
        (true, false, 4_321)
    );
    assert!(terms.deposits && !terms.withdrawals);
}

#[test]
fn older_fee_configs_read_without_what_came_later() {
    let whole = fee_config(0);
    let read = |data: &[u8]| FeeSchedule::parse(data, false);
    let other = |data: &[u8]| {
        read(data)
            .unwrap()
            .pool_rates(true, QuoteKind::Other, 0, 0)
            .unwrap()
    };
    assert_eq!(other(&whole).protocol_bps, 300);
    // The exotic rates are the last 24 bytes; without them, or zero, the flat ones apply.
    let short = &whole[..whole.len() - 24];
    assert_eq!(other(short).lp_bps, 25);
    let mut zero = short.to_vec();
    zero.resize(4073, 0);
    assert_eq!(read(&zero), read(short));
    // Before them come 13 stable tiers of 40 bytes and their count.
    let stable = short.len() - 13 * 40 - 4;
    let schedule = read(&short[..stable]).unwrap();
    assert_eq!(schedule.pool_rates(true, QuoteKind::Stable, 0, 0), None);
    assert_eq!(read(&short[..stable + 5]), Err(AccountReject::Short));
    assert_eq!(read(&short[..100]), Err(AccountReject::Short));

    let mut many = whole.clone();
    many[65] = 33;
    assert_eq!(read(&many), Err(AccountReject::Unknown));
    let mut none = whole.clone();
    none[65] = 0;
    assert_eq!(read(&none), Err(AccountReject::BadField));
    let mut all = whole;
    all[41..49].copy_from_slice(&10_000u64.to_le_bytes());
    assert_eq!(read(&all), Err(AccountReject::BadField));
}

#[test]
fn accounts_of_another_kind_and_impossible_fields_are_refused() {
    let names = ["bonding_curve", "global", "pool", "global_config"];
    for (at, name) in names.into_iter().enumerate() {
        let data = account(name);
        let kinds = [
            BondingCurve::parse(&data).err(),
            Global::parse(&data).err(),
            PoolAccount::parse(&data).err(),
            GlobalConfig::parse(&data).err(),
            FeeSchedule::parse(&data, true).err(),
        ];
        for (kind, found) in kinds.into_iter().enumerate() {
            assert_eq!(
                found,
                (kind != at).then_some(AccountReject::OtherKind),
                "{name}"
            );
        }
    }
    // Flags that are no flags, and rates that reach the whole.
    for offset in [48, 81, 82, 123, 124] {
        let mut bad = account("bonding_curve");
        bad[offset] = 2;
        assert_eq!(
            BondingCurve::parse(&bad),
            Err(AccountReject::BadField),
            "{offset}"
        );
    }
    for offset in [243, 244, 269, 270] {
        let mut bad = account("pool");
        bad[offset] = 2;
        assert_eq!(
            PoolAccount::parse(&bad),
            Err(AccountReject::BadField),
            "{offset}"
        );
    }
    let mut bad = account("pool");
    bad[261..269].copy_from_slice(&10_000u64.to_le_bytes());
    assert_eq!(PoolAccount::parse(&bad), Err(AccountReject::BadField));
    let mut bad = account("global_config");
    bad[899..907].copy_from_slice(&10_001u64.to_le_bytes());
    assert_eq!(GlobalConfig::parse(&bad), Err(AccountReject::BadField));
}

proptest! {
    #[test]
    fn random_account_bytes_never_panic(which in 0usize..4, random in prop::collection::vec(any::<u8>(), 0..1200)) {
        let data = account(["bonding_curve", "global", "pool", "global_config"][which]);
        let mut bytes = data[..8].to_vec();
        bytes.extend(random);
        let _ = (BondingCurve::parse(&bytes), Global::parse(&bytes), PoolAccount::parse(&bytes), GlobalConfig::parse(&bytes));
        bytes[..8].copy_from_slice(&fee_config(0)[..8]);
        let _ = FeeSchedule::parse(&bytes, true);
    }
}
