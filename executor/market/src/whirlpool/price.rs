//! The square-root price of a tick, and the tick of a price, as Whirlpool counts them.
//!
//! Source: `math/tick_math.rs`.

use crate::math::Wide;
use crate::tick::{self, TICK_MAX, TICK_MIN};

/// Square-root price (64.64) of the highest tick.
pub const SQRT_PRICE_MAX: u128 = 79_226_673_515_401_279_992_447_579_055;

/// Fractional bits of the program's logarithm.
const LOG_BITS: u32 = 14;

/// `1.0001^(2^i / 2)` in 96 fractional bits.
const UP: [u128; 19] = [
    79_232_123_823_359_799_118_286_999_567,
    79_236_085_330_515_764_027_303_304_731,
    79_244_008_939_048_815_603_706_035_061,
    79_259_858_533_276_714_757_314_932_305,
    79_291_567_232_598_584_799_939_703_904,
    79_355_022_692_464_371_645_785_046_466,
    79_482_085_999_252_804_386_437_311_141,
    79_736_823_300_114_093_921_829_183_326,
    80_248_749_790_819_932_309_965_073_892,
    81_282_483_887_344_747_381_513_967_011,
    83_390_072_131_320_151_908_154_831_281,
    87_770_609_709_833_776_024_991_924_138,
    97_234_110_755_111_693_312_479_820_773,
    119_332_217_159_966_728_226_237_229_890,
    179_736_315_981_702_064_433_883_588_727,
    407_748_233_172_238_350_107_850_275_304,
    2_098_478_828_474_011_932_436_660_412_517,
    55_581_415_166_113_811_149_459_800_483_533,
    38_992_368_544_603_139_932_233_054_999_993_551,
];

/// `1.0001^(-2^i / 2)` in 64 fractional bits.
const DOWN: [u64; 19] = [
    18_445_821_805_675_392_311,
    18_444_899_583_751_176_498,
    18_443_055_278_223_354_162,
    18_439_367_220_385_604_838,
    18_431_993_317_065_449_817,
    18_417_254_355_718_160_513,
    18_387_811_781_193_591_352,
    18_329_067_761_203_520_168,
    18_212_142_134_806_087_854,
    17_980_523_815_641_551_639,
    17_526_086_738_831_147_013,
    16_651_378_430_235_024_244,
    15_030_750_278_693_429_944,
    12_247_334_978_882_834_399,
    8_131_365_268_884_726_200,
    3_584_323_654_723_342_297,
    696_457_651_847_595_233,
    26_294_789_957_452_057,
    37_481_735_321_082,
];

/// The square-root price (64.64) of `tick`; `None` outside of [`TICK_MIN`] to [`TICK_MAX`].
///
/// Cost: a multiplication for each bit set.
#[must_use]
pub fn sqrt_price_at(tick: i32) -> Option<u128> {
    if !(TICK_MIN..=TICK_MAX).contains(&tick) {
        return None;
    }
    let is_set = |bit: usize| tick.unsigned_abs() >> bit & 1 != 0;
    if tick >= 0 {
        let mut ratio = 1 << 96;
        for factor in UP.iter().enumerate().filter(|(bit, _)| is_set(*bit)) {
            let Wide { high, low } = Wide::product(ratio, *factor.1);
            ratio = high << 32 | low >> 96;
        }
        Some(ratio >> 32)
    } else {
        let mut ratio = 1 << 64;
        for factor in DOWN.iter().enumerate().filter(|(bit, _)| is_set(*bit)) {
            // At most 2^64 times less than 2^64.
            ratio = (ratio * u128::from(*factor.1)) >> 64;
        }
        Some(ratio)
    }
}

/// The highest tick whose price is at most `sqrt_price` (64.64); `None` for a price outside of the ticks.
///
/// Cost: a logarithm of 14 steps and, in most cases, the price of one tick.
#[must_use]
pub fn tick_at(sqrt_price: u128) -> Option<i32> {
    if !(tick::SQRT_PRICE_MIN..=SQRT_PRICE_MAX).contains(&sqrt_price) {
        return None;
    }
    tick::tick_at(sqrt_price, LOG_BITS, sqrt_price_at)
}
