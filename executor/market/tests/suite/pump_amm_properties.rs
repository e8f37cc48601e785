//! Goal: whatever the pool, a trade never panics, never makes value, and moves nothing when it is refused.

use crate::common::bytes;
use market::event::{Form, Way};
use market::pump_amm::{Legs, Pool, PoolAccount, Terms};
use market::token::TransferFee;
use market::{Amount, FeeSchedule, pump};
use proptest::prelude::*;

fn schedule(index: usize, gate: bool) -> FeeSchedule {
    let line = include_str!("../golden/pump_amm.txt")
        .lines()
        .filter(|line| line.starts_with("config "))
        .nth(index)
        .unwrap();
    FeeSchedule::parse(&bytes(line.split(' ').nth(2).unwrap()), gate).unwrap()
}

fn terms() -> impl Strategy<Value = Terms> {
    (0usize..3, any::<bool>(), 0u64..=10_000).prop_map(|(index, gate, buyback_bps)| Terms {
        schedule: schedule(index, gate),
        buyback_bps,
        buys: true,
        sales: true,
        deposits: true,
        withdrawals: true,
    })
}

/// Any magnitude as likely as another.
fn size() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(bits, shift)| bits >> shift)
}

fn tax() -> impl Strategy<Value = TransferFee> {
    prop_oneof![
        2 => Just(TransferFee::NONE),
        1 => (1u16..=10_000, size()).prop_map(|(bps, fee_max)| TransferFee { bps, fee_max }),
    ]
}

fn pool() -> impl Strategy<Value = Pool> {
    let quotes = [pump::WRAPPED_SOL, [0x99; 32]];
    let account = (
        0usize..2,
        any::<bool>(),
        0u64..1000,
        prop_oneof![Just(0i128), -(1i128 << 62)..(1i128 << 62)],
        size(),
        size(),
    )
        .prop_map(
            move |(quote, creator, bps, virtual_quote, one, two)| PoolAccount {
                quote_mint: quotes[quote],
                coin_creator: [u8::from(creator); 32],
                creator_fee_bps: bps,
                virtual_quote,
                protocol_fees: one >> 20,
                creator_fees: two >> 20,
                ..PoolAccount::default()
            },
        );
    (account, any::<bool>(), size(), size(), size(), tax()).prop_map(
        |(account, made_by_pump, base_reserve, quote_reserve, base_supply, quote_fee)| Pool {
            account,
            made_by_pump,
            base_reserve,
            quote_reserve,
            base_supply,
            base_fee: TransferFee::NONE,
            quote_fee,
        },
    )
}

fn form() -> impl Strategy<Value = Form> {
    prop_oneof![Just(Form::V1), Just(Form::V2)]
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::AToB), Just(Way::BToA)]
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![size().prop_map(Amount::In), size().prop_map(Amount::Out)]
}

/// The constant product, over what is priced.
fn product(pool: &Pool) -> u128 {
    u128::from(pool.base_reserve) * u128::from(pool.quote_effective().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_swap_never_panics_nor_makes_value_and_a_refusal_moves_nothing(
        pool in pool(), terms in terms(), form in form(), way in way(), amount in amount(),
    ) {
        let mut after = pool;
        match after.swap(&terms, form, way, amount) {
            Err(_) => prop_assert_eq!(after, pool),
            Ok(swapped) => {
                prop_assert!(product(&after) >= product(&pool));
                match amount {
                    Amount::In(amount_in) if way == Way::AToB => prop_assert_eq!(swapped.amount_in, amount_in),
                    Amount::In(budget) => prop_assert!(swapped.amount_in <= budget || pool.quote_fee != TransferFee::NONE),
                    Amount::Out(amount_out) => prop_assert_eq!(swapped.amount_out, amount_out),
                }
                // Nothing leaves that was not there, and fees are never owed out of nothing.
                prop_assert!(after.quote_liquid().is_some() || pool.quote_liquid().is_none());
                let (sent, got) = match way {
                    Way::AToB => (pool.quote_reserve - after.quote_reserve, swapped.amount_out),
                    Way::BToA => (swapped.amount_in, after.quote_reserve - pool.quote_reserve),
                };
                prop_assert!(got <= sent);
            }
        }
    }

    #[test]
    fn a_hop_never_panics_nor_makes_value_and_a_refusal_moves_nothing(
        pool in pool(), terms in terms(), way in way(), amount_in in size(), protocol in any::<bool>(), coin in any::<bool>(),
    ) {
        let mut after = pool;
        match after.hop(&terms, Legs { protocol, coin }, way, amount_in) {
            Err(_) => prop_assert_eq!(after, pool),
            Ok(swapped) => {
                prop_assert_eq!(swapped.amount_in, amount_in);
                prop_assert!(product(&after) >= product(&pool));
            }
        }
    }

    #[test]
    fn buying_and_selling_back_never_profits(
        pool in pool(), terms in terms(), form in form(), back in form(), amount in amount(),
    ) {
        let mut pool = pool;
        if let Ok(bought) = pool.swap(&terms, form, Way::BToA, amount)
            && let Ok(sold) = pool.swap(&terms, back, Way::AToB, Amount::In(bought.amount_out))
        {
            prop_assert!(sold.amount_out <= bought.amount_in, "{bought:?} {sold:?}");
        }
    }

    #[test]
    fn selling_and_buying_back_never_profits(
        pool in pool(), terms in terms(), form in form(), back in form(), base_in in size(),
    ) {
        let mut pool = pool;
        if let Ok(sold) = pool.swap(&terms, form, Way::AToB, Amount::In(base_in))
            && let Ok(bought) = pool.swap(&terms, back, Way::BToA, Amount::In(sold.amount_out))
        {
            prop_assert!(bought.amount_out <= base_in, "{sold:?} {bought:?}");
        }
    }

    #[test]
    fn shares_never_panic_nor_profit_and_a_refusal_moves_nothing(
        pool in pool(), terms in terms(), lp_supply in size(), share in size(),
    ) {
        let mut pool = pool;
        pool.account.lp_supply = lp_supply;
        let mut after = pool;
        if after.withdraw(&terms, share).is_err() {
            prop_assert_eq!(after, pool);
        }
        let mut after = pool;
        match after.deposit(&terms, share) {
            Err(_) => prop_assert_eq!(after, pool),
            Ok(taken) => {
                let given = after.withdraw(&terms, share);
                prop_assert!(given.is_ok_and(|given| given.base <= taken.base && given.quote <= taken.quote));
                prop_assert_eq!(after.account.lp_supply, lp_supply);
            }
        }
    }

    /// An exact-out buy of what an exact-in buy gave costs no more.
    #[test]
    fn the_two_buys_agree(pool in pool(), terms in terms(), form in form(), budget in size()) {
        let (mut one, mut two) = (pool, pool);
        if let Ok(bought) = one.swap(&terms, form, Way::BToA, Amount::In(budget)) {
            let again = two.swap(&terms, form, Way::BToA, Amount::Out(bought.amount_out));
            prop_assert!(again.is_ok_and(|again| again.amount_in <= bought.amount_in), "{bought:?} {again:?}");
        }
    }
}
