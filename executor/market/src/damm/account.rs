//! A pool of DAMM v2, from its account's bytes.

use crate::account::{AccountReject, Fields};
use crate::damm::fee::{BaseFee, FEE_WHOLE, Fall, Limiter, Surcharge, Volatility};
use crate::units::{BPS_WHOLE, Key};

/// First eight bytes of a pool's account.
pub const POOL_DISCRIMINATOR: [u8; 8] = [0xf1, 0x9a, 0x6d, 0x04, 0x11, 0xb1, 0x6d, 0xbc];

/// Bytes of a pool's account. Source: `Pool::INIT_SPACE` and the discriminator.
pub const POOL_LEN: usize = 1112;

/// A pool: what its swaps depend on and change.
///
/// Source of the layout: `state/pool.rs`, `state/fee.rs`, `base_fee/*.rs` of damm-v2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Mint of side a.
    pub mint_a: Key,
    /// Mint of side b.
    pub mint_b: Key,
    /// Token account of side a.
    pub vault_a: Key,
    /// Token account of side b.
    pub vault_b: Key,
    /// The rate before volatility.
    pub base_fee: BaseFee,
    /// The surcharge for volatility.
    pub surcharge: Option<Surcharge>,
    /// What the surcharge remembers.
    pub volatility: Volatility,
    /// Root of the price at creation, 64.64: what a market-cap schedule counts from.
    pub first_price: u128,
    /// Highest rate of all together, billionths.
    pub fee_max: u64,
    /// Part of the fee that is the protocol's, percent.
    pub protocol_percent: u8,
    /// Part of the protocol's fee that a referrer gets, percent.
    pub referral_percent: u8,
    /// Part of the rest that stays in the pool, basis points.
    pub compounding_bps: u16,
    /// In which token fees are taken.
    pub collect: CollectFees,
    /// Liquidity over the whole price range.
    pub liquidity: u128,
    /// Lowest root of the price, 64.64.
    pub price_min: u128,
    /// Highest root of the price, 64.64.
    pub price_max: u128,
    /// Root of the price, 64.64.
    pub price: u128,
    /// Tokens of side a that back the liquidity; not known to pools of the first layout.
    pub amount_a: u64,
    /// Tokens of side b that back the liquidity.
    pub amount_b: u64,
    /// Both amounts are kept (the second layout). The first swap over an older pool makes it one.
    pub keeps_amounts: bool,
    /// Slot or unix second from which it trades.
    pub activation_point: u64,
    /// Whether points are unix seconds rather than slots.
    pub by_timestamp: bool,
    /// Not switched off by the operator.
    pub is_enabled: bool,
    /// The protocol's fees of side a, not yet claimed.
    pub protocol_fee_a: u64,
    /// The protocol's fees of side b, not yet claimed.
    pub protocol_fee_b: u64,
}

/// In which token fees are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CollectFees {
    /// In what comes out.
    Output,
    /// In token b.
    OnlyB,
    /// In token b, and part of it stays: a pool without a price range, `a * b` constant.
    Compounding,
}

impl Pool {
    /// The pool in `data`.
    ///
    /// # Errors
    /// [`AccountReject::Short`], [`AccountReject::OtherKind`]; [`AccountReject::Unknown`] for a fee mode, version or
    /// layout newer than program 0.2.1.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, POOL_DISCRIMINATOR)?;
        if fields.len() < POOL_LEN {
            return Err(AccountReject::Short);
        }
        Ok(Self {
            mint_a: fields.key(168)?,
            mint_b: fields.key(200)?,
            vault_a: fields.key(232)?,
            vault_b: fields.key(264)?,
            base_fee: base_fee(&fields, 8)?,
            surcharge: surcharge(&fields, 56, 88)?,
            volatility: Volatility {
                updated_at: fields.u64(80)?,
                reference_price: fields.u128(104)?,
                accumulator: fields.u128(120)?,
                reference: fields.u128(136)?,
            },
            first_price: fields.u128(152)?,
            // Source: `get_max_fee_numerator`.
            fee_max: match fields.u8(486)? {
                0 => FEE_WHOLE / 2,
                1 => FEE_WHOLE / 100 * 99,
                _ => return Err(AccountReject::Unknown),
            },
            protocol_percent: fields.u8(48)?,
            referral_percent: fields.u8(50)?,
            compounding_bps: fields.u16(54)?,
            collect: match fields.u8(484)? {
                0 => CollectFees::Output,
                1 => CollectFees::OnlyB,
                2 => CollectFees::Compounding,
                _ => return Err(AccountReject::Unknown),
            },
            liquidity: fields.u128(360)?,
            price_min: fields.u128(424)?,
            price_max: fields.u128(440)?,
            price: fields.u128(456)?,
            amount_a: fields.u64(680)?,
            amount_b: fields.u64(688)?,
            keeps_amounts: switch(&fields, 696)?,
            activation_point: fields.u64(472)?,
            by_timestamp: switch(&fields, 480)?,
            is_enabled: fields.u8(481)? == 0,
            protocol_fee_a: fields.u64(392)?,
            protocol_fee_b: fields.u64(400)?,
        })
    }
}

/// A mode of two values: another one is newer than what is known here.
pub(crate) fn switch(fields: &Fields<'_>, offset: usize) -> Result<bool, AccountReject> {
    fields.flag(offset).map_err(|reject| match reject {
        AccountReject::BadField => AccountReject::Unknown,
        other => other,
    })
}

/// Source: `BaseFeeInfo` and the three structs that are laid over its 32 bytes.
fn base_fee(fields: &Fields<'_>, offset: usize) -> Result<BaseFee, AccountReject> {
    let from = fields.u64(offset)?;
    let (small, wide) = (fields.u16(offset + 14)?, fields.u64(offset + 24)?);
    let (first, second) = (fields.u32(offset + 16)?, fields.u32(offset + 20)?);
    let fall = |exponential| Fall {
        from,
        steps: small,
        by: wide,
        exponential,
    };
    match fields.u8(offset + 8)? {
        mode @ (0 | 1) => Ok(BaseFee::Time {
            fall: fall(mode == 1),
            period: fields.u64(offset + 16)?,
        }),
        2 => Ok(BaseFee::Limiter(Limiter {
            from,
            increment_bps: small,
            fee_max: u64::from(second) * (FEE_WHOLE / BPS_WHOLE),
            reference: wide,
            lasts: u64::from(first),
            is_off: small == 0 && first == 0 && second == 0 && wide == 0,
        })),
        mode @ (3 | 4) => Ok(BaseFee::MarketCap {
            fall: fall(mode == 4),
            rise_bps: first,
            expires_after: second,
        }),
        _ => Err(AccountReject::Unknown),
    }
}

/// The parameters of a surcharge; the 64.64 step stands apart in the two programs that have one.
pub(crate) fn surcharge(
    fields: &Fields<'_>,
    offset: usize,
    bin_step_x64: usize,
) -> Result<Option<Surcharge>, AccountReject> {
    if fields.u8(offset)? == 0 {
        return Ok(None);
    }
    Ok(Some(Surcharge {
        accumulator_max: fields.u32(offset + 8)?,
        control: fields.u32(offset + 12)?,
        bin_step: fields.u16(offset + 16)?,
        filter_period: fields.u16(offset + 18)?,
        decay_period: fields.u16(offset + 20)?,
        reduction_bps: fields.u16(offset + 22)?,
        bin_step_x64: fields.u128(bin_step_x64)?,
    }))
}
