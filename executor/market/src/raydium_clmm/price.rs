//! The square-root price of a tick, and the tick of a price, as the CLMM counts them.
//!
//! Source: `libraries/tick_math.rs`.

use crate::tick::{self, TICK_MAX, TICK_MIN};

/// Square-root price (64.64) of the highest tick; a pool's price stays below.
pub const SQRT_PRICE_MAX: u128 = 79_226_673_521_066_979_257_578_248_091;

/// Fractional bits of the program's logarithm.
const LOG_BITS: u32 = 16;

/// `1.0001^(-2^i / 2)` in 64 fractional bits.
const DOWN: [u64; 19] = [
    0xfffc_b933_bd6f_b800,
    0xfff9_7272_373d_4000,
    0xfff2_e50f_5f65_7000,
    0xffe5_caca_7e10_f000,
    0xffcb_9843_d60f_7000,
    0xff97_3b41_fa98_e800,
    0xff2e_a164_66c9_b000,
    0xfe5d_ee04_6a9a_3800,
    0xfcbe_86c7_900b_b000,
    0xf987_a725_3ac6_5800,
    0xf339_2b08_22bb_6000,
    0xe715_9475_a2ca_f000,
    0xd097_f3bd_fd2f_2000,
    0xa9f7_4646_2d9f_8000,
    0x70d8_69a1_56f3_1c00,
    0x31be_135f_97ed_3200,
    0x09aa_508b_5b85_a500,
    0x005d_6af8_dedc_582c,
    0x0000_2216_e584_f5fa,
];

/// The square-root price (64.64) of `tick`; `None` outside of [`TICK_MIN`] to [`TICK_MAX`].
///
/// Cost: a multiplication for each bit set, and a division for ticks above zero.
#[must_use]
pub fn sqrt_price_at(tick: i32) -> Option<u128> {
    if !(TICK_MIN..=TICK_MAX).contains(&tick) {
        return None;
    }
    let mut ratio: u128 = 1 << 64;
    for (bit, factor) in DOWN.iter().enumerate() {
        if tick.unsigned_abs() >> bit & 1 != 0 {
            // At most 2^64 times less than 2^64.
            ratio = (ratio * u128::from(*factor)) >> 64;
        }
    }
    Some(if tick > 0 { u128::MAX / ratio } else { ratio })
}

/// The highest tick whose price is at most `sqrt_price` (64.64); `None` for a price no pool can have.
///
/// Cost: a logarithm of 16 steps and, in most cases, the price of one tick.
#[must_use]
pub fn tick_at(sqrt_price: u128) -> Option<i32> {
    if !(tick::SQRT_PRICE_MIN..SQRT_PRICE_MAX).contains(&sqrt_price) {
        return None;
    }
    tick::tick_at(sqrt_price, LOG_BITS, sqrt_price_at)
}
