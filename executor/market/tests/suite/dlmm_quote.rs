//! Goal: our DLMM swaps are the program's, to the unit and to the byte of what they leave in pair and bins.
//! Method: swaps that the venue's own binary ran in an SVM (the golden file's head says which and how), replayed over
//! the accounts' bytes; then random pairs, for what must hold whatever a pair is.

use std::sync::LazyLock;

use crate::meteora::{Step, digest, fields, replay};
use market::damm::Terms;
use market::dlmm::account::{
    BIN_ARRAY_DISCRIMINATOR, BIN_ARRAY_LEN, BINS, BinArray, PAIR_DISCRIMINATOR, PAIR_LEN, Pair,
    price_of,
};
use market::event::Way;
use market::{AccountReject, Amount, QuoteReject, Swapped};
use proptest::prelude::*;

const GOLDEN: &str = include_str!("../golden/dlmm.txt");

static PAIRS: LazyLock<Vec<(Pair, Vec<BinArray>)>> =
    LazyLock::new(|| fields(GOLDEN).map(|data| parse(&data)).collect());

/// A golden pool is the pair's account with its bin arrays behind it; the bins' prices are left out of the file.
fn parse(data: &[u8]) -> (Pair, Vec<BinArray>) {
    let (pair, arrays) = data.split_at(PAIR_LEN);
    let pair = Pair::parse(pair).unwrap();
    let parse = |data| {
        let mut array = BinArray::parse(data).unwrap();
        for (number, bin) in (array.index * BINS..).zip(&mut array.bins) {
            bin.price = price_of(number, pair.bin_step).unwrap();
        }
        array
    };
    (pair, arrays.chunks(BIN_ARRAY_LEN).map(parse).collect())
}

#[test]
fn a_bin_is_priced_as_on_mainnet() {
    let prices = include_str!("../golden/dlmm_prices.txt");
    let prices = prices.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for line in prices {
        count += 1;
        let cells: Vec<&str> = line.split(' ').collect();
        let (bin_step, bin) = (cells[0].parse().unwrap(), cells[1].parse().unwrap());
        assert_eq!(price_of(bin, bin_step), cells[2].parse().ok(), "{line}");
    }
    assert!(count > 400);
    assert_eq!(price_of(i32::MIN, 1), None);
    assert_eq!(price_of(0, 100), Some(1 << 64));
}

#[test]
fn every_swap_of_the_program_is_foretold() {
    let mut both = None;
    let mut orders_filled = 0;
    let counts = replay(GOLDEN, |step| match step {
        Step::Pool(data) => {
            both = Some(parse(data));
            None
        }
        Step::Swap(swap) => {
            let (pair, arrays) = both.as_mut().unwrap();
            let before = (*pair, arrays.clone());
            let amount = match swap.mode {
                0 => Amount::In(swap.amount),
                _ => Amount::Out(swap.amount),
            };
            let quoted = pair.quote(arrays, swap.way, amount, &swap.terms);
            let swapped = pair.swap(arrays, swap.way, amount, &swap.terms);
            assert_eq!(quoted, swapped);
            if swapped.is_err() {
                assert_eq!(
                    (*pair, arrays.clone()),
                    before,
                    "an error leaves all as it was"
                );
            }
            let orders = |arrays: &[BinArray]| -> u128 {
                let bins = arrays.iter().flat_map(|array| &array.bins);
                bins.map(|bin| u128::from(bin.open) + u128::from(bin.processing_left))
                    .sum()
            };
            orders_filled += u32::from(orders(arrays) != orders(&before.1));
            Some((swapped, state_of(pair, arrays)))
        }
    });
    assert!(
        counts.landed > 10_000 && counts.refused > 500 && orders_filled > 700,
        "{counts:?}, {orders_filled} filled orders"
    );
}

/// The bytes of the accounts that a swap changes and we keep, in the generator's order.
fn state_of(pair: &Pair, arrays: &[BinArray]) -> u32 {
    let mut bytes = Vec::new();
    bytes.extend(pair.accumulator.to_le_bytes());
    bytes.extend(pair.reference.to_le_bytes());
    bytes.extend(pair.reference_bin.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(pair.updated_at.to_le_bytes());
    bytes.extend(pair.active_bin.to_le_bytes());
    bytes.extend(pair.protocol_fee_x.to_le_bytes());
    bytes.extend(pair.protocol_fee_y.to_le_bytes());
    for bin in arrays.iter().flat_map(|array| &array.bins) {
        bytes.extend(bin.amount_x.to_le_bytes());
        bytes.extend(bin.amount_y.to_le_bytes());
        bytes.extend(bin.open.to_le_bytes());
        bytes.extend(bin.processing.to_le_bytes());
        bytes.extend(bin.processing_left.to_le_bytes());
        bytes.extend(bin.order_age.to_le_bytes());
        bytes.push(u8::from(bin.is_ask));
    }
    digest(&[&bytes])
}

#[test]
fn what_is_not_understood_is_refused() {
    let mut data = vec![0u8; PAIR_LEN];
    data[..8].copy_from_slice(&PAIR_DISCRIMINATOR);
    assert!(Pair::parse(&data).unwrap().takes_orders);
    for (at, value, reject) in [
        (75, 4, AccountReject::Unknown),
        (35, 3, AccountReject::Unknown),
        (36, 2, AccountReject::Unknown),
        (86, 2, AccountReject::Unknown),
        (34, 39, AccountReject::BadField),
    ] {
        let mut unknown = data.clone();
        unknown[at] = value;
        assert_eq!(Pair::parse(&unknown), Err(reject), "{at}");
    }
    let mut rewarded = data.clone();
    rewarded[264] = 1;
    assert!(!Pair::parse(&rewarded).unwrap().takes_orders);
    for len in 0..PAIR_LEN {
        assert_eq!(Pair::parse(&data[..len]), Err(AccountReject::Short));
    }
    assert_eq!(BinArray::parse(&data), Err(AccountReject::OtherKind));
    let mut data = vec![0u8; BIN_ARRAY_LEN];
    data[..8].copy_from_slice(&BIN_ARRAY_DISCRIMINATOR);
    assert!(BinArray::parse(&data).is_ok());
    data[8..16].copy_from_slice(&i64::MIN.to_le_bytes());
    assert_eq!(BinArray::parse(&data), Err(AccountReject::BadField));
    data[8..16].copy_from_slice(&i64::from(i32::MAX / 70).to_le_bytes());
    assert_eq!(BinArray::parse(&data), Err(AccountReject::BadField));
    assert_eq!(
        BinArray::parse(&data[..BIN_ARRAY_LEN - 1]),
        Err(AccountReject::Short)
    );
}

#[test]
fn an_array_that_is_not_at_hand_is_not_guessed() {
    let (pair, arrays) = &PAIRS[0];
    let terms = Terms {
        slot: 400_000_000,
        unix_seconds: 1_790_000_000,
        ..Terms::default()
    };
    for way in [Way::AToB, Way::BToA] {
        let quoted = pair.quote(&[], way, Amount::In(1_000_000), &terms);
        assert_eq!(quoted, Err(QuoteReject::PastKnown));
        let quoted = pair.quote(arrays, way, Amount::Out(u64::MAX), &terms);
        assert!(quoted.is_err());
    }
    let off = Pair {
        is_enabled: false,
        ..*pair
    };
    let quoted = off.quote(arrays, Way::AToB, Amount::In(1_000_000), &terms);
    assert_eq!(quoted, Err(QuoteReject::Closed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever bytes a pair and its arrays have, a swap answers, and an error changes nothing.
    #[test]
    fn random_bytes_never_panic(
        mut pair in prop::collection::vec(any::<u8>(), PAIR_LEN..PAIR_LEN + 1),
        seed in prop::collection::vec(any::<u8>(), 331..332),
        (power, kind, function, collect, activation_type) in (0u8..8, 0u8..4, 0u8..3, 0u8..2, 0u8..2),
        (active_bin, beside) in (prop_oneof![-40_000i32..40_000, any::<i32>()], -1i64..2),
        amount in any::<u64>(),
        (slot, unix_seconds, has_referral) in any::<(u64, u64, bool)>(),
        (a_in, exact_in, fair) in any::<(bool, bool, bool)>(),
    ) {
        pair[..8].copy_from_slice(&PAIR_DISCRIMINATOR);
        (pair[34], pair[75], pair[35], pair[36], pair[86]) = (power, kind, function, collect, activation_type);
        pair[82] = 0;
        pair[76..80].copy_from_slice(&active_bin.to_le_bytes());
        pair[816..824].fill(0);
        let mut pair = Pair::parse(&pair).unwrap();
        let mut data: Vec<u8> = seed.iter().copied().cycle().take(BIN_ARRAY_LEN).collect();
        data[..8].copy_from_slice(&BIN_ARRAY_DISCRIMINATOR);
        let index = i64::from(active_bin.div_euclid(BINS)) + beside;
        data[8..16].copy_from_slice(&index.to_le_bytes());
        let Ok(mut array) = BinArray::parse(&data) else { return Ok(()) };
        if fair {
            for (number, bin) in (array.index * BINS..).zip(&mut array.bins) {
                bin.price = price_of(number, pair.bin_step % 400 + 1).unwrap_or(0);
            }
        }
        let mut arrays = [array];
        let before = (pair, arrays.clone());
        let terms = Terms { slot, unix_seconds, has_referral, ..Terms::default() };
        let way = if a_in { Way::AToB } else { Way::BToA };
        let amount = if exact_in { Amount::In(amount) } else { Amount::Out(amount) };
        if pair.swap(&mut arrays, way, amount, &terms).is_err() {
            prop_assert_eq!((pair, arrays), before);
        }
    }

    /// There and back never gains, on any of the pairs that the golden file holds.
    #[test]
    fn a_round_trip_makes_nothing(
        which in any::<prop::sample::Index>(),
        amount in 1u64..1 << 40,
        a_first in any::<bool>(),
    ) {
        let (mut pair, mut arrays) = PAIRS[which.index(PAIRS.len())].clone();
        let terms = Terms { slot: 400_000_000, unix_seconds: 1_790_000_000, ..Terms::default() };
        let (there, back) = if a_first { (Way::AToB, Way::BToA) } else { (Way::BToA, Way::AToB) };
        let gone = pair.swap(&mut arrays, there, Amount::In(amount), &terms);
        let Ok(Swapped { amount_out, .. }) = gone else { return Ok(()) };
        let come = pair.swap(&mut arrays, back, Amount::In(amount_out), &terms);
        let Ok(Swapped { amount_out, .. }) = come else { return Ok(()) };
        prop_assert!(amount_out <= amount, "{amount} came back as {amount_out}");
    }
}
