//! A bonding curve and the configuration it follows, from their accounts' bytes.

use crate::account::{AccountReject, Fields};
use crate::damm::account::{surcharge, switch};
use crate::damm::fee::{BaseFee, FEE_WHOLE, Fall, Limiter, Surcharge, Volatility};
use crate::units::Key;

/// First eight bytes of a curve's account.
pub const CURVE_DISCRIMINATOR: [u8; 8] = [0xd5, 0xe0, 0x05, 0xd1, 0x62, 0x45, 0x77, 0x5c];
/// First eight bytes of a configuration's account.
pub const CONFIG_DISCRIMINATOR: [u8; 8] = [0x1a, 0x6c, 0x0e, 0x7b, 0x74, 0xe6, 0x81, 0x2b];
/// Bytes of a curve's account. Source: `VirtualPool::INIT_SPACE` and the discriminator.
pub const CURVE_LEN: usize = 424;
/// Bytes of a configuration's account. Source: `PoolConfig::INIT_SPACE` and the discriminator.
pub const CONFIG_LEN: usize = 1048;
/// Points of a curve's shape. Source: `MAX_CURVE_POINT_CONFIG`.
pub const POINTS: usize = 20;

/// Highest rate of all fees together, billionths. Source: `MAX_FEE_NUMERATOR`.
pub(crate) const FEE_MAX: u64 = FEE_WHOLE / 100 * 99;

/// One stretch of the curve: up to which price, with how much liquidity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Point {
    /// Root of the price where the stretch ends, 64.64.
    pub price: u128,
    /// Liquidity along it.
    pub liquidity: u128,
}

/// What every curve of one configuration shares. Never changes once written.
///
/// Source of the layout: `state/config.rs` of dynamic-bonding-curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// What its coins are priced in.
    pub quote_mint: Key,
    /// The rate before volatility.
    pub base_fee: BaseFee,
    /// The surcharge for volatility.
    pub surcharge: Option<Surcharge>,
    /// Fees are taken in the quote token, rather than in what comes out.
    pub collects_quote: bool,
    /// Whether points are unix seconds rather than slots.
    pub by_timestamp: bool,
    /// A swap in the transaction that opens the curve pays the lowest base rate.
    pub first_swap_is_cheap: bool,
    /// Part of the trading fee that is the creator's, percent.
    pub creator_percent: u8,
    /// Quote at which the curve is complete, raw units.
    pub quote_threshold: u64,
    /// Coins that must be left then: for the pool and for vesting. The largest number when it does not fit.
    pub base_needed: u64,
    /// Root of the price past which no buy goes, 64.64.
    pub migration_price: u128,
    /// Root of the price at the start, 64.64.
    pub start_price: u128,
    /// The stretches; those not used are zero.
    pub points: [Point; POINTS],
}

impl Config {
    /// The configuration in `data`.
    ///
    /// # Errors
    /// [`AccountReject::Short`], [`AccountReject::OtherKind`]; [`AccountReject::Unknown`] for a mode newer than
    /// program 0.1.10.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, CONFIG_DISCRIMINATOR)?;
        if fields.len() < CONFIG_LEN {
            return Err(AccountReject::Short);
        }
        let mut points = [Point::default(); POINTS];
        for (index, point) in points.iter_mut().enumerate() {
            point.price = fields.u128(408 + 32 * index)?;
            point.liquidity = fields.u128(424 + 32 * index)?;
        }
        let vested = fields.u64(296)?.saturating_mul(fields.u64(320)?);
        let vested = vested.saturating_add(fields.u64(328)?);
        Ok(Self {
            quote_mint: fields.key(8)?,
            base_fee: base_fee(&fields, 104)?,
            surcharge: surcharge(&fields, 136, 168)?,
            collects_quote: !switch(&fields, 232)?,
            by_timestamp: switch(&fields, 234)?,
            first_swap_is_cheap: fields.u8(365)? == 1,
            creator_percent: fields.u8(245)?,
            quote_threshold: fields.u64(264)?,
            base_needed: fields.u64(272)?.saturating_add(vested),
            migration_price: fields.u128(280)?,
            start_price: fields.u128(392)?,
            points,
        })
    }
}

/// A curve: what its swaps change.
///
/// Source of the layout: `state/virtual_pool.rs` of dynamic-bonding-curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Curve {
    /// The configuration it follows.
    pub config: Key,
    /// Who made the coin.
    pub creator: Key,
    /// The coin.
    pub base_mint: Key,
    /// Its token account for the coin.
    pub base_vault: Key,
    /// Its token account for the quote.
    pub quote_vault: Key,
    /// What the surcharge remembers.
    pub volatility: Volatility,
    /// Coins not sold.
    pub base_reserve: u64,
    /// Quote taken in.
    pub quote_reserve: u64,
    /// Root of the price, 64.64.
    pub price: u128,
    /// Slot or unix second of its opening.
    pub activation_point: u64,
    /// Whether anyone has traded.
    pub has_swap: bool,
    /// Whether it became a pool.
    pub is_migrated: bool,
    /// Fees in the coin, not yet claimed.
    pub base_fees: Fees,
    /// Fees in the quote, not yet claimed.
    pub quote_fees: Fees,
}

/// Fees of one token by whose they are, raw units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fees {
    /// The protocol's.
    pub protocol: u64,
    /// Those of who made the configuration.
    pub partner: u64,
    /// Those of who made the coin.
    pub creator: u64,
}

impl Curve {
    /// The curve in `data`.
    ///
    /// # Errors
    /// [`AccountReject::Short`], [`AccountReject::OtherKind`].
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, CURVE_DISCRIMINATOR)?;
        if fields.len() < CURVE_LEN {
            return Err(AccountReject::Short);
        }
        Ok(Self {
            config: fields.key(72)?,
            creator: fields.key(104)?,
            base_mint: fields.key(136)?,
            base_vault: fields.key(168)?,
            quote_vault: fields.key(200)?,
            volatility: Volatility {
                updated_at: fields.u64(8)?,
                reference_price: fields.u128(24)?,
                accumulator: fields.u128(40)?,
                reference: fields.u128(56)?,
            },
            base_reserve: fields.u64(232)?,
            quote_reserve: fields.u64(240)?,
            price: fields.u128(280)?,
            activation_point: fields.u64(296)?,
            has_swap: fields.u8(370)? != 0,
            is_migrated: fields.u8(305)? != 0,
            base_fees: Fees {
                protocol: fields.u64(248)?,
                partner: fields.u64(264)?,
                creator: fields.u64(352)?,
            },
            quote_fees: Fees {
                protocol: fields.u64(256)?,
                partner: fields.u64(272)?,
                creator: fields.u64(360)?,
            },
        })
    }
}

/// Source: `BaseFeeConfig`, whose three factors mean different things by mode.
fn base_fee(fields: &Fields<'_>, offset: usize) -> Result<BaseFee, AccountReject> {
    let from = fields.u64(offset)?;
    let (second, third) = (fields.u64(offset + 8)?, fields.u64(offset + 16)?);
    let first = fields.u16(offset + 24)?;
    match fields.u8(offset + 26)? {
        mode @ (0 | 1) => Ok(BaseFee::Time {
            fall: Fall {
                from,
                steps: first,
                by: third,
                exponential: mode == 1,
            },
            period: second,
        }),
        2 => Ok(BaseFee::Limiter(Limiter {
            from,
            increment_bps: first,
            fee_max: FEE_MAX,
            reference: third,
            lasts: second,
            is_off: first == 0 && second == 0 && third == 0,
        })),
        _ => Err(AccountReject::Unknown),
    }
}
