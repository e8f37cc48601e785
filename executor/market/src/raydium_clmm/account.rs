//! The CLMM's accounts: the pool, its configuration, its tick arrays.

use crate::account::{AccountReject, Fields};
use crate::raydium_clmm::price::SQRT_PRICE_MAX;
use crate::tick::{SQRT_PRICE_MIN, TICK_MAX, TICK_MIN};
use crate::units::Key;

/// First eight bytes of an account's data.
pub mod discriminator {
    /// `PoolState`.
    pub const POOL: [u8; 8] = [0xf7, 0xed, 0xe3, 0xf5, 0xd7, 0xc3, 0xde, 0x46];
    /// `AmmConfig`.
    pub const CONFIG: [u8; 8] = [0xda, 0xf4, 0x21, 0x68, 0xcb, 0xcb, 0x2b, 0x6f];
    /// `TickArrayState`.
    pub const TICK_ARRAY: [u8; 8] = [0xc0, 0x9b, 0x55, 0xcd, 0x31, 0xf9, 0x81, 0x2a];
    /// `TickArrayBitmapExtension`.
    pub const BITMAP_EXTENSION: [u8; 8] = [0x3c, 0x96, 0x24, 0xdb, 0x61, 0x80, 0x8b, 0x99];
}

/// Ticks of one array.
pub const TICK_ARRAY_LEN: usize = 60;

/// The whole of a fee rate. Source: `states/config.rs` `FEE_RATE_DENOMINATOR_VALUE`.
pub(crate) const RATE_WHOLE: u32 = 1_000_000;

/// Widest tick spacing. Source: `states/config.rs` `MAX_TICK_SPACING`.
const TICK_SPACING_MAX: u16 = 1_000;

/// What of an `AmmConfig` a swap reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Fee in millionths, without the dynamic part. How it is shared out decides no amount.
    pub trade_fee_rate: u32,
}

impl Config {
    /// Reads an `AmmConfig` account.
    ///
    /// # Errors
    /// As [`AccountReject`] says.
    ///
    /// Source: `states/config.rs`.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, discriminator::CONFIG)?;
        let trade_fee_rate = fields.u32(47)?;
        if trade_fee_rate >= RATE_WHOLE {
            return Err(AccountReject::BadField);
        }
        Ok(Self { trade_fee_rate })
    }
}

/// Which token the fee is taken of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum FeeOn {
    /// What goes in.
    #[default]
    Input,
    /// Token 0, whichever way the swap goes.
    Token0,
    /// Token 1, whichever way the swap goes.
    Token1,
}

/// A fee that rises with volatility.
///
/// Source: `states/pool_fee.rs` `DynamicFeeInfo`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DynamicFee {
    /// Seconds after a reference update during which it stays.
    pub filter_period: u16,
    /// Seconds after which the volatility is forgotten.
    pub decay_period: u16,
    /// Ten-thousandths of the volatility that a decay leaves.
    pub reduction_factor: u16,
    /// How strongly volatility becomes fee, in hundred-thousandths.
    pub control: u32,
    /// Highest volatility.
    pub volatility_max: u32,
    /// Spacing of ticks (price counted in tick spacings) at the reference.
    pub spacing_reference: i32,
    /// Volatility that had decayed at the reference.
    pub volatility_reference: u32,
    /// Spacings crossed since, each ten thousand, and the reference.
    pub volatility: u32,
    /// Unix seconds of the last reference update.
    pub referenced_at: u64,
}

/// A pool, as far as swaps read and move it. Fee growth, rewards and what is owed to protocol and fund decide no
/// amount and are left out (the program fails when what is owed passes 64 bits, which no token's supply allows).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Its configuration.
    pub config: Key,
    /// Mint of side 0.
    pub mint_0: Key,
    /// Mint of side 1.
    pub mint_1: Key,
    /// The pool's token account of side 0.
    pub vault_0: Key,
    /// The pool's token account of side 1.
    pub vault_1: Key,
    /// Ticks between two that can hold liquidity.
    pub tick_spacing: u16,
    /// Liquidity in range.
    pub liquidity: u128,
    /// Square-root price, 64.64.
    pub sqrt_price: u128,
    /// Tick of the price, or one beside it when a swap ended exactly on a tick.
    pub tick: i32,
    /// Swaps are switched off.
    pub swaps_off: bool,
    /// Which token the fee is taken of.
    pub fee_on: FeeOn,
    /// Unix seconds after which it trades.
    pub opens_at: u64,
    /// Bit `i`: the tick array `i - 512` after the one that begins at tick 0 holds an initialized tick.
    pub bitmap: [u64; 16],
    /// The dynamic part of the fee, if any.
    pub dynamic_fee: Option<DynamicFee>,
}

impl Pool {
    /// Reads a `PoolState` account.
    ///
    /// # Errors
    /// As [`AccountReject`] says; `Unknown` when a reserved byte of the dynamic fee is set.
    ///
    /// Source: `states/{pool,pool_fee}.rs`.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        const SWAP_OFF: u8 = 1 << 4;
        const BITMAP: usize = 904;
        let fields = Fields::of_kind(data, discriminator::POOL)?;
        let mut bitmap = [0; 16];
        for (at, word) in bitmap.iter_mut().enumerate() {
            *word = fields.u64(BITMAP + at * 8)?;
        }
        let pool = Self {
            config: fields.key(9)?,
            mint_0: fields.key(73)?,
            mint_1: fields.key(105)?,
            vault_0: fields.key(137)?,
            vault_1: fields.key(169)?,
            tick_spacing: fields.u16(235)?,
            liquidity: fields.u128(237)?,
            sqrt_price: fields.u128(253)?,
            tick: fields.i32(269)?,
            swaps_off: fields.u8(389)? & SWAP_OFF != 0,
            fee_on: match fields.u8(390)? {
                0 => FeeOn::Input,
                1 => FeeOn::Token0,
                2 => FeeOn::Token1,
                _ => return Err(AccountReject::BadField),
            },
            opens_at: fields.u64(1080)?,
            bitmap,
            dynamic_fee: DynamicFee::parse(fields)?,
        };
        if pool.is_sound() {
            Ok(pool)
        } else {
            Err(AccountReject::BadField)
        }
    }

    /// Whether the fields are in the bounds the program keeps them in.
    pub(crate) fn is_sound(&self) -> bool {
        (1..=TICK_SPACING_MAX).contains(&self.tick_spacing)
            && (SQRT_PRICE_MIN..SQRT_PRICE_MAX).contains(&self.sqrt_price)
            && (TICK_MIN..TICK_MAX).contains(&self.tick)
            && self
                .dynamic_fee
                .is_none_or(|fee| fee.is_sound(self.tick_spacing))
    }
}

impl DynamicFee {
    /// The 80 bytes of a pool's dynamic fee, which are all zero when it has none.
    fn parse(pool: Fields<'_>) -> Result<Option<Self>, AccountReject> {
        const AT: usize = 1096;
        const LEN: usize = 34;
        const RESERVED: usize = 46;
        let known = pool.bytes::<LEN>(AT)?;
        if pool.bytes::<RESERVED>(AT + LEN)? != &[0; RESERVED] {
            return Err(AccountReject::Unknown);
        }
        if known == &[0; LEN] {
            return Ok(None);
        }
        let fields = Fields::new(known);
        Ok(Some(Self {
            filter_period: fields.u16(0)?,
            decay_period: fields.u16(2)?,
            reduction_factor: fields.u16(4)?,
            control: fields.u32(6)?,
            volatility_max: fields.u32(10)?,
            spacing_reference: fields.i32(14)?,
            volatility_reference: fields.u32(18)?,
            volatility: fields.u32(22)?,
            referenced_at: fields.u64(26)?,
        }))
    }

    /// What the program demands of the parameters. Source: `DynamicFeeInfo::validate_params`.
    fn is_sound(&self, tick_spacing: u16) -> bool {
        self.filter_period != 0
            && self.decay_period > self.filter_period
            && (1..10_000).contains(&self.reduction_factor)
            && (1..100_000).contains(&self.control)
            && self
                .volatility_max
                .checked_mul(u32::from(tick_spacing))
                .is_some()
    }
}

/// What a swap reads and moves of one tick.
///
/// Source: `states/tick_array.rs` `TickState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tick {
    /// Net liquidity that crossing it upwards adds.
    pub net: i128,
    /// Positions begin or end here.
    pub has_liquidity: bool,
    /// Limit orders never met by a swap, in the token they sell.
    pub orders: u64,
    /// What is left of limit orders met before, which are served first.
    pub orders_left: u64,
}

impl Tick {
    /// Limit orders rest here.
    #[inline]
    #[must_use]
    pub const fn has_orders(&self) -> bool {
        self.orders > 0 || self.orders_left > 0
    }

    /// A swap stops here.
    #[inline]
    #[must_use]
    pub const fn is_initialized(&self) -> bool {
        self.has_liquidity || self.has_orders()
    }
}

/// A tick array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TickArray {
    /// The pool it belongs to.
    pub pool: Key,
    /// Its first tick.
    pub start: i32,
    /// Its ticks, a tick spacing apart.
    pub ticks: [Tick; TICK_ARRAY_LEN],
}

impl TickArray {
    /// An array without anything in it.
    #[must_use]
    pub const fn empty(pool: Key, start: i32) -> Self {
        const EMPTY: Tick = Tick {
            net: 0,
            has_liquidity: false,
            orders: 0,
            orders_left: 0,
        };
        Self {
            pool,
            start,
            ticks: [EMPTY; TICK_ARRAY_LEN],
        }
    }

    /// Reads a `TickArrayState` account.
    ///
    /// # Errors
    /// As [`AccountReject`] says; `BadField` also when the initialized ticks are not evenly spaced from the first.
    ///
    /// Source: `states/tick_array.rs`.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        const TICKS: usize = 44;
        const TICK_LEN: usize = 168;
        let fields = Fields::of_kind(data, discriminator::TICK_ARRAY)?;
        let mut array = Self::empty(fields.key(8)?, fields.i32(40)?);
        let mut spacing = None;
        for (place, slot) in array.ticks.iter_mut().enumerate() {
            let at = TICKS + place * TICK_LEN;
            *slot = Tick {
                net: fields.i128(at + 4)?,
                has_liquidity: fields.u128(at + 20)? != 0,
                orders: fields.u64(at + 124)?,
                orders_left: fields.u64(at + 132)?,
            };
            if slot.is_initialized() {
                let along = i64::from(fields.i32(at)?) - i64::from(array.start);
                let place = place as i64;
                let is_even = match spacing {
                    None if place == 0 => along == 0,
                    None => along > 0 && along % place == 0,
                    Some(spacing) => along == place * spacing,
                };
                if !is_even {
                    return Err(AccountReject::BadField);
                }
                spacing = spacing.or(along.checked_div(place));
            }
        }
        Ok(array)
    }

    /// The first initialized tick at or after `place` going up, at or before it going down.
    pub(crate) fn initialized(&self, place: i32, is_down: bool) -> Option<usize> {
        let place = usize::try_from(place).ok();
        if is_down {
            let count = (place? + 1).min(TICK_ARRAY_LEN);
            self.ticks[..count].iter().rposition(Tick::is_initialized)
        } else {
            let from = place.unwrap_or(0);
            let ticks = self.ticks.get(from..)?;
            Some(from + ticks.iter().position(Tick::is_initialized)?)
        }
    }
}
