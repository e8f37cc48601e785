//! Whirlpool's accounts: the pool, its tick arrays of both kinds, its oracle.

use crate::account::{AccountReject, Fields};
use crate::tick::{SQRT_PRICE_MIN, TICK_MAX, TICK_MIN};
use crate::units::Key;
use crate::whirlpool::price::SQRT_PRICE_MAX;

/// First eight bytes of an account's data.
pub mod discriminator {
    /// `Whirlpool`.
    pub const POOL: [u8; 8] = [0x3f, 0x95, 0xd1, 0x0c, 0xe1, 0x80, 0x63, 0x09];
    /// `TickArray`, of fixed length.
    pub const TICK_ARRAY: [u8; 8] = [0x45, 0x61, 0xbd, 0xbe, 0x6e, 0x07, 0x42, 0xbb];
    /// `DynamicTickArray`, as long as its initialized ticks make it.
    pub const DYNAMIC_TICK_ARRAY: [u8; 8] = [0x11, 0xd8, 0xf6, 0x8e, 0xe1, 0xc7, 0xda, 0x38];
    /// `Oracle`.
    pub const ORACLE: [u8; 8] = [0x8b, 0xc2, 0x83, 0xb3, 0x8c, 0xb3, 0xe5, 0xf4];
}

/// Ticks of one array.
pub const TICK_ARRAY_LEN: usize = 88;

/// Highest fee rate in millionths. Source: `math/token_math.rs` `MAX_FEE_RATE`.
const FEE_RATE_MAX: u16 = 60_000;

/// A Whirlpool, as far as swaps read and move it. Fee growth, rewards and what is owed to the protocol decide no
/// amount and are left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Mint of side a.
    pub mint_a: Key,
    /// Mint of side b.
    pub mint_b: Key,
    /// The pool's token account of side a.
    pub vault_a: Key,
    /// The pool's token account of side b.
    pub vault_b: Key,
    /// Ticks between two that can hold liquidity.
    pub tick_spacing: u16,
    /// Seed of the fee tier. It equals the tick spacing but for adaptive fees.
    pub fee_tier: u16,
    /// Fee of the input in millionths, without the adaptive part.
    pub fee_rate: u16,
    /// Liquidity in range.
    pub liquidity: u128,
    /// Square-root price, 64.64.
    pub sqrt_price: u128,
    /// Tick of the price; one less when a swap down ended exactly on it.
    pub tick: i32,
    /// What the pool's oracle account holds; only and always present with adaptive fees.
    pub oracle: Option<Oracle>,
}

impl Pool {
    /// Reads a `Whirlpool` account, without its oracle.
    ///
    /// # Errors
    /// As [`AccountReject`] says.
    ///
    /// Source: `state/whirlpool.rs`.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, discriminator::POOL)?;
        let pool = Self {
            tick_spacing: fields.u16(41)?,
            fee_tier: fields.u16(43)?,
            fee_rate: fields.u16(45)?,
            liquidity: fields.u128(49)?,
            sqrt_price: fields.u128(65)?,
            tick: fields.i32(81)?,
            mint_a: fields.key(101)?,
            vault_a: fields.key(133)?,
            mint_b: fields.key(181)?,
            vault_b: fields.key(213)?,
            oracle: None,
        };
        if pool.is_sound() {
            Ok(pool)
        } else {
            Err(AccountReject::BadField)
        }
    }

    /// Whether the fee moves with the price, as an oracle account records.
    #[inline]
    #[must_use]
    pub const fn is_adaptive(&self) -> bool {
        self.fee_tier != self.tick_spacing
    }

    /// Whether the fields are in the bounds the program keeps them in.
    pub(crate) fn is_sound(&self) -> bool {
        self.tick_spacing != 0
            && self.fee_rate <= FEE_RATE_MAX
            && (SQRT_PRICE_MIN..=SQRT_PRICE_MAX).contains(&self.sqrt_price)
            && (TICK_MIN - 1..=TICK_MAX).contains(&self.tick)
    }
}

/// What an adaptive fee follows, fixed by the fee tier.
///
/// Source: `state/oracle.rs` `AdaptiveFeeConstants`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AdaptiveFee {
    /// Seconds after a reference update during which it stays.
    pub filter_period: u16,
    /// Seconds after which the volatility is forgotten.
    pub decay_period: u16,
    /// Ten-thousandths of the volatility that a decay leaves.
    pub reduction_factor: u16,
    /// How strongly volatility becomes fee, in hundred-thousandths.
    pub control_factor: u32,
    /// Highest volatility.
    pub volatility_max: u32,
    /// Ticks in a group, over which the fee is constant.
    pub tick_group_size: u16,
    /// Ticks that make a swap a major one.
    pub major_swap_ticks: u16,
}

/// What the last swaps left for the next one's fee.
///
/// Source: `state/oracle.rs` `AdaptiveFeeVariables`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Volatility {
    /// Unix seconds of the last reference update.
    pub referenced_at: u64,
    /// Unix seconds of the last major swap.
    pub major_swap_at: u64,
    /// Volatility that had decayed at the reference.
    pub reference: u32,
    /// Group of ticks at the reference.
    pub tick_group_reference: i32,
    /// Groups crossed since, each ten thousand, and the reference.
    pub accumulator: u32,
}

/// The oracle of a pool with adaptive fees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Oracle {
    /// Unix seconds from which the pool trades.
    pub opens_at: u64,
    /// What the fee follows.
    pub fee: AdaptiveFee,
    /// What the fee follows from.
    pub volatility: Volatility,
}

impl Oracle {
    /// Reads an `Oracle` account, and the pool it belongs to.
    ///
    /// # Errors
    /// As [`AccountReject`] says; `Unknown` when a reserved byte is set.
    ///
    /// Source: `state/oracle.rs` `Oracle`, `AdaptiveFeeConstants::validate_constants`.
    pub fn parse(data: &[u8]) -> Result<(Key, Self), AccountReject> {
        let fields = Fields::of_kind(data, discriminator::ORACLE)?;
        let fee = AdaptiveFee {
            filter_period: fields.u16(48)?,
            decay_period: fields.u16(50)?,
            reduction_factor: fields.u16(52)?,
            control_factor: fields.u32(54)?,
            volatility_max: fields.u32(58)?,
            tick_group_size: fields.u16(62)?,
            major_swap_ticks: fields.u16(64)?,
        };
        let volatility = Volatility {
            referenced_at: fields.u64(82)?,
            major_swap_at: fields.u64(90)?,
            reference: fields.u32(98)?,
            tick_group_reference: fields.i32(102)?,
            accumulator: fields.u32(106)?,
        };
        let reserved = [
            &fields.bytes::<16>(66)?[..],
            fields.bytes::<16>(110)?,
            fields.bytes::<128>(126)?,
        ];
        if reserved.into_iter().flatten().any(|byte| *byte != 0) {
            return Err(AccountReject::Unknown);
        }
        if !fee.is_sound() || volatility.reference > fee.volatility_max {
            return Err(AccountReject::BadField);
        }
        let oracle = Self {
            opens_at: fields.u64(40)?,
            fee,
            volatility,
        };
        Ok((fields.key(8)?, oracle))
    }
}

impl AdaptiveFee {
    /// What the program demands of the constants, but for their relation to the pool's tick spacing.
    pub(crate) fn is_sound(&self) -> bool {
        self.filter_period != 0
            && self.decay_period > self.filter_period
            && self.reduction_factor < 10_000
            && self.control_factor < 100_000
            && self.tick_group_size != 0
            && self.major_swap_ticks != 0
            && self
                .volatility_max
                .checked_mul(u32::from(self.tick_group_size))
                .is_some()
    }
}

/// A tick array: which of its ticks hold liquidity, and what crossing each upwards adds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TickArray {
    /// The pool it belongs to.
    pub pool: Key,
    /// Its first tick.
    pub start: i32,
    /// Bit `i`: the tick `start + i * tick_spacing` is initialized.
    pub initialized: u128,
    /// Net liquidity of each tick.
    pub net: [i128; TICK_ARRAY_LEN],
}

impl TickArray {
    /// An array without liquidity: what the program takes a named account for that does not exist yet.
    #[must_use]
    pub const fn empty(pool: Key, start: i32) -> Self {
        Self {
            pool,
            start,
            initialized: 0,
            net: [0; TICK_ARRAY_LEN],
        }
    }

    /// Reads a `TickArray` or `DynamicTickArray` account.
    ///
    /// # Errors
    /// As [`AccountReject`] says.
    ///
    /// Source: `state/{fixed_tick_array,dynamic_tick_array,tick}.rs`.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        match data.first_chunk::<8>() {
            Some(&discriminator::DYNAMIC_TICK_ARRAY) => Self::parse_dynamic(data),
            _ => Self::parse_fixed(data),
        }
    }

    fn parse_fixed(data: &[u8]) -> Result<Self, AccountReject> {
        const TICKS: usize = 12;
        const TICK_LEN: usize = 113;
        let fields = Fields::of_kind(data, discriminator::TICK_ARRAY)?;
        let pool = fields.key(TICKS + TICK_ARRAY_LEN * TICK_LEN)?;
        let mut array = Self::empty(pool, fields.i32(8)?);
        for place in 0..TICK_ARRAY_LEN {
            let at = TICKS + place * TICK_LEN;
            if fields.flag(at)? {
                array.set(place, fields.i128(at + 1)?);
            }
        }
        Ok(array)
    }

    fn parse_dynamic(data: &[u8]) -> Result<Self, AccountReject> {
        const TICK_LEN: usize = 112;
        let fields = Fields::of_kind(data, discriminator::DYNAMIC_TICK_ARRAY)?;
        let mut array = Self::empty(fields.key(12)?, fields.i32(8)?);
        let initialized = fields.u128(44)?;
        let mut at = 60;
        for place in 0..TICK_ARRAY_LEN {
            let is_set = fields.flag(at)?;
            at += 1;
            if is_set {
                array.set(place, fields.i128(at)?);
                at += TICK_LEN;
            }
        }
        if array.initialized == initialized {
            Ok(array)
        } else {
            Err(AccountReject::BadField)
        }
    }

    /// Initializes the tick at `place` (0 to 87) with net liquidity `net`; elsewhere nothing happens.
    pub fn set(&mut self, place: usize, net: i128) {
        if let Some(slot) = self.net.get_mut(place) {
            *slot = net;
            self.initialized |= 1 << place;
        }
    }
}
