//! Goal: our swaps along a Meteora bonding curve are the program's, to the unit and to the byte of what they leave.
//! Method: swaps that the venue's own binary ran in an SVM (the golden file's head says which and how), replayed over
//! the accounts' bytes; then random curves, for what must hold whatever a curve is.

use std::sync::LazyLock;

use crate::meteora::{Step, digest, fields, replay};
use market::damm::Terms;
use market::dbc::account::{
    CONFIG_DISCRIMINATOR, CONFIG_LEN, CURVE_DISCRIMINATOR, CURVE_LEN, Config, Curve,
};
use market::event::Way;
use market::{AccountReject, Amount, QuoteReject, Swapped};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("../golden/dbc.txt");

static CURVES: LazyLock<Vec<(Config, Curve)>> =
    LazyLock::new(|| fields(GOLDEN).map(|data| parse(&data)).collect());

/// A golden pool is the configuration's account with the curve's behind it.
fn parse(data: &[u8]) -> (Config, Curve) {
    let (config, curve) = data.split_at(CONFIG_LEN);
    (Config::parse(config).unwrap(), Curve::parse(curve).unwrap())
}

#[test]
fn every_swap_of_the_program_is_foretold() {
    let mut both = None;
    let (mut completed, mut launched) = (0, 0);
    let counts = replay(GOLDEN, |step| match step {
        Step::Pool(data) => {
            both = Some(parse(data));
            None
        }
        Step::Swap(swap) => {
            let (config, curve) = both.as_mut().unwrap();
            let before = *curve;
            let swapped = match swap.mode {
                0 => curve.swap(config, swap.way, Amount::In(swap.amount), &swap.terms),
                1 => curve.swap_up_to(config, swap.way, swap.amount, &swap.terms),
                _ => curve.swap(config, swap.way, Amount::Out(swap.amount), &swap.terms),
            };
            if swapped.is_err() {
                assert_eq!(*curve, before, "an error leaves the curve as it was");
            } else {
                launched += u32::from(swap.terms.in_launch);
                completed += u32::from(curve.quote_reserve >= config.quote_threshold);
            }
            Some((swapped, state_of(curve)))
        }
    });
    assert!(
        counts.landed > 10_000 && counts.refused > 1_000 && completed > 50 && launched > 50,
        "{counts:?}, {completed} completed, {launched} in the launch"
    );
}

/// The bytes of the account that a swap changes, counters of the lifetime apart, in the generator's order.
fn state_of(curve: &Curve) -> u32 {
    let volatility = &curve.volatility;
    digest(&[
        &volatility.updated_at.to_le_bytes(),
        &volatility.reference_price.to_le_bytes(),
        &volatility.accumulator.to_le_bytes(),
        &volatility.reference.to_le_bytes(),
        &curve.base_reserve.to_le_bytes(),
        &curve.quote_reserve.to_le_bytes(),
        &curve.base_fees.protocol.to_le_bytes(),
        &curve.quote_fees.protocol.to_le_bytes(),
        &curve.base_fees.partner.to_le_bytes(),
        &curve.quote_fees.partner.to_le_bytes(),
        &curve.price.to_le_bytes(),
        &curve.base_fees.creator.to_le_bytes(),
        &curve.quote_fees.creator.to_le_bytes(),
        &[u8::from(curve.has_swap)],
    ])
}

#[test]
fn what_is_not_understood_is_refused() {
    let mut data = vec![0u8; CONFIG_LEN];
    data[..8].copy_from_slice(&CONFIG_DISCRIMINATOR);
    assert!(Config::parse(&data).is_ok());
    for (at, value) in [(130, 3), (232, 2), (234, 2)] {
        let mut unknown = data.clone();
        unknown[at] = value;
        assert_eq!(Config::parse(&unknown), Err(AccountReject::Unknown), "{at}");
    }
    for len in 0..CONFIG_LEN {
        assert_eq!(Config::parse(&data[..len]), Err(AccountReject::Short));
    }
    assert_eq!(Curve::parse(&data), Err(AccountReject::OtherKind));
    let mut data = vec![0u8; CURVE_LEN];
    data[..8].copy_from_slice(&CURVE_DISCRIMINATOR);
    assert!(Curve::parse(&data).is_ok());
    assert_eq!(
        Curve::parse(&data[..CURVE_LEN - 1]),
        Err(AccountReject::Short)
    );
}

#[test]
fn a_complete_curve_is_closed() {
    let (config, mut curve) = CURVES[0];
    let terms = Terms {
        slot: 400_000_000,
        unix_seconds: 1_790_000_000,
        ..Terms::default()
    };
    curve.quote_reserve = config.quote_threshold;
    for way in [Way::AToB, Way::BToA] {
        let swapped = curve.swap(&config, way, Amount::In(1_000), &terms);
        assert_eq!(swapped, Err(QuoteReject::Closed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Whatever bytes a curve and its configuration have, a swap answers, and an error changes nothing.
    #[test]
    fn random_bytes_never_panic(
        mut config in prop::collection::vec(any::<u8>(), CONFIG_LEN..CONFIG_LEN + 1),
        mut curve in prop::collection::vec(any::<u8>(), CURVE_LEN..CURVE_LEN + 1),
        modes in prop::array::uniform3(0u8..3),
        amount in any::<u64>(),
        (slot, unix_seconds, has_referral, in_launch) in any::<(u64, u64, bool, bool)>(),
        which in 0u8..6,
        activation in prop_oneof![Just(0u64), any::<u64>()],
    ) {
        config[..8].copy_from_slice(&CONFIG_DISCRIMINATOR);
        config[130] = modes[0];
        config[232] = modes[1] % 2;
        config[234] = modes[2] % 2;
        curve[..8].copy_from_slice(&CURVE_DISCRIMINATOR);
        curve[296..304].copy_from_slice(&activation.to_le_bytes());
        let (config, mut curve) = (Config::parse(&config).unwrap(), Curve::parse(&curve).unwrap());
        let before = curve;
        let terms = Terms { slot, unix_seconds, has_referral, in_launch, ..Terms::default() };
        let way = if which % 2 == 0 { Way::AToB } else { Way::BToA };
        let swapped = match which / 2 {
            0 => curve.swap(&config, way, Amount::In(amount), &terms),
            1 => curve.swap(&config, way, Amount::Out(amount), &terms),
            _ => curve.swap_up_to(&config, way, amount, &terms),
        };
        if swapped.is_err() {
            prop_assert_eq!(curve, before);
        }
    }

    /// A real curve from any price it can stand at: no panic, and there and back never gains.
    #[test]
    fn a_round_trip_makes_nothing(
        which in any::<prop::sample::Index>(),
        first in 1u64..1 << 44,
        amount in 1u64..1 << 50,
    ) {
        let (config, mut curve) = CURVES[which.index(CURVES.len())];
        let terms = Terms { slot: 400_000_000, unix_seconds: 1_790_000_000, ..Terms::default() };
        let _moved = curve.swap_up_to(&config, Way::BToA, first, &terms);
        let Ok(Swapped { amount_in, amount_out }) = curve.swap_up_to(&config, Way::BToA, amount, &terms) else {
            return Ok(());
        };
        let Ok(back) = curve.swap(&config, Way::AToB, Amount::In(amount_out), &terms) else { return Ok(()) };
        prop_assert!(back.amount_out <= amount_in, "{amount_in} came back as {back:?}");
    }
}
