//! Goal: our DAMM v2 swaps are the program's, to the unit and to the byte of what they leave.
//! Method: swaps that the venue's own binary ran in an SVM (the golden file's head says which and how), replayed over
//! the pool's account bytes; then random pools, for what must hold whatever a pool is.

use std::sync::LazyLock;

use crate::meteora::{Step, digest, fields, replay};
use market::damm::Terms;
use market::damm::account::{CollectFees, POOL_DISCRIMINATOR, POOL_LEN, Pool};
use market::event::Way;
use market::{AccountReject, Amount, QuoteReject, Swapped};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("../golden/damm.txt");

static POOLS: LazyLock<Vec<Pool>> = LazyLock::new(|| {
    fields(GOLDEN)
        .map(|data| Pool::parse(&data).unwrap())
        .collect()
});

#[test]
fn every_swap_of_the_program_is_foretold() {
    let mut pool = None;
    let counts = replay(GOLDEN, |step| match step {
        Step::Pool(data) => {
            pool = Some(Pool::parse(data).unwrap());
            None
        }
        Step::Swap(swap) => {
            let pool = pool.as_mut().unwrap();
            let before = *pool;
            let swapped = match swap.mode {
                0 => pool.swap(swap.way, Amount::In(swap.amount), &swap.terms),
                1 => pool.swap_up_to(swap.way, swap.amount, &swap.terms),
                _ => pool.swap(swap.way, Amount::Out(swap.amount), &swap.terms),
            };
            if swapped.is_err() {
                assert_eq!(*pool, before, "an error leaves the pool as it was");
            }
            Some((swapped, state_of(pool)))
        }
    });
    assert!(
        counts.landed > 10_000 && counts.refused > 3_000,
        "{counts:?}"
    );
}

/// The bytes of the account that a swap changes and we keep, in the generator's order.
fn state_of(pool: &Pool) -> u32 {
    let volatility = &pool.volatility;
    digest(&[
        &pool.price.to_le_bytes(),
        &pool.amount_a.to_le_bytes(),
        &pool.amount_b.to_le_bytes(),
        &[u8::from(pool.keeps_amounts)],
        &pool.protocol_fee_a.to_le_bytes(),
        &pool.protocol_fee_b.to_le_bytes(),
        &volatility.updated_at.to_le_bytes(),
        &volatility.reference_price.to_le_bytes(),
        &volatility.accumulator.to_le_bytes(),
        &volatility.reference.to_le_bytes(),
    ])
}

#[test]
fn what_is_not_understood_is_refused() {
    let mut data = vec![0u8; POOL_LEN];
    data[..8].copy_from_slice(&POOL_DISCRIMINATOR);
    let pool = Pool::parse(&data).unwrap();
    assert_eq!(pool.collect, CollectFees::Output);
    for (at, value) in [(16, 5), (484, 3), (486, 2), (696, 2), (480, 2)] {
        let mut unknown = data.clone();
        unknown[at] = value;
        assert_eq!(Pool::parse(&unknown), Err(AccountReject::Unknown), "{at}");
    }
    for len in 0..POOL_LEN {
        assert_eq!(Pool::parse(&data[..len]), Err(AccountReject::Short));
    }
    data[0] ^= 1;
    assert_eq!(Pool::parse(&data), Err(AccountReject::OtherKind));
}

#[test]
fn a_pool_is_closed_before_its_time_and_when_switched_off() {
    let open = POOLS[0];
    let before = Terms {
        slot: open.activation_point - 1,
        unix_seconds: open.activation_point - 1,
        ..Terms::default()
    };
    let at = Terms {
        slot: open.activation_point,
        unix_seconds: open.activation_point,
        ..Terms::default()
    };
    let swap = |mut pool: Pool, terms| pool.swap(Way::BToA, Amount::In(10_000), &terms);
    assert_eq!(swap(open, before), Err(QuoteReject::Closed));
    assert!(swap(open, at).is_ok());
    let off = Pool {
        is_enabled: false,
        ..open
    };
    assert_eq!(swap(off, at), Err(QuoteReject::Closed));
    let empty = Pool {
        liquidity: 0,
        ..open
    };
    assert_eq!(swap(empty, at), Err(QuoteReject::EmptyReserves));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever bytes a pool has, a swap answers, and an error changes nothing.
    #[test]
    fn random_bytes_never_panic(
        mut data in prop::collection::vec(any::<u8>(), POOL_LEN..POOL_LEN + 1),
        modes in prop::array::uniform5(0u8..5),
        amount in any::<u64>(),
        (slot, unix_seconds) in any::<(u64, u64)>(),
        which in 0u8..6,
        activation in prop_oneof![Just(0u64), any::<u64>()],
    ) {
        data[..8].copy_from_slice(&POOL_DISCRIMINATOR);
        data[16] = modes[0];
        data[484] = modes[1] % 3;
        data[486] = modes[2] % 2;
        data[696] = modes[3] % 2;
        data[480] = modes[4] % 2;
        data[481] = 0;
        data[472..480].copy_from_slice(&activation.to_le_bytes());
        let mut pool = Pool::parse(&data).unwrap();
        let before = pool;
        let terms = Terms { slot, unix_seconds, ..Terms::default() };
        let way = if which % 2 == 0 { Way::AToB } else { Way::BToA };
        let swapped = match which / 2 {
            0 => pool.swap(way, Amount::In(amount), &terms),
            1 => pool.swap(way, Amount::Out(amount), &terms),
            _ => pool.swap_up_to(way, amount, &terms),
        };
        if swapped.is_err() {
            prop_assert_eq!(pool, before);
        }
    }

    /// There and back never gains, on any of the venue's pools that the golden file holds.
    #[test]
    fn a_round_trip_makes_nothing(
        which in any::<prop::sample::Index>(),
        amount in 1u64..1 << 40,
        a_first in any::<bool>(),
    ) {
        let mut pool = POOLS[which.index(POOLS.len())];
        let terms = Terms { slot: 400_000_000, unix_seconds: 1_790_000_000, ..Terms::default() };
        let (there, back) = if a_first { (Way::AToB, Way::BToA) } else { (Way::BToA, Way::AToB) };
        let Ok(Swapped { amount_out, .. }) = pool.swap(there, Amount::In(amount), &terms) else { return Ok(()) };
        let Ok(Swapped { amount_out, .. }) = pool.swap(back, Amount::In(amount_out), &terms) else { return Ok(()) };
        prop_assert!(amount_out <= amount, "{amount} came back as {amount_out}");
    }
}
