//! A DLMM pair and its bin arrays, from their accounts' bytes.

use crate::account::{AccountReject, Fields};
use crate::damm::account::switch;
use crate::damm::price::{ONE, power};
use crate::units::{BPS_WHOLE, Key};

/// First eight bytes of a pair's account.
pub const PAIR_DISCRIMINATOR: [u8; 8] = [0x21, 0x0b, 0x31, 0x62, 0xb5, 0x65, 0xb1, 0x0d];
/// First eight bytes of a bin array's account.
pub const BIN_ARRAY_DISCRIMINATOR: [u8; 8] = [0x5c, 0x8e, 0x5c, 0xdc, 0x05, 0x94, 0x46, 0xb5];
/// Bytes of a pair's account: the struct's 896 and the discriminator.
pub const PAIR_LEN: usize = 904;
/// Bytes of a bin array's account: 48 of head, 70 bins of 144 and the discriminator.
pub const BIN_ARRAY_LEN: usize = 10_136;
/// Bins of an array. Source: `MAX_BIN_PER_ARRAY`.
pub const BINS: i32 = 70;

/// A pair: what its swaps depend on and change, its bins apart.
///
/// Source of the layout: `LbPair`, `StaticParameters`, `VariableParameters` of the IDL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Mint of side x, here a.
    pub mint_x: Key,
    /// Mint of side y, here b.
    pub mint_y: Key,
    /// Token account of side x.
    pub reserve_x: Key,
    /// Token account of side y.
    pub reserve_y: Key,
    /// Steps of the price between bins, basis points.
    pub bin_step: u16,
    /// The rate before volatility, billionths.
    pub base_rate: u128,
    /// Scale of the surcharge for volatility; 0 means none.
    pub variable_fee_control: u32,
    /// Most the volatility accumulator holds.
    pub accumulator_max: u32,
    /// Seconds within which swaps count as one movement.
    pub filter_period: u16,
    /// Seconds after which a movement is forgotten.
    pub decay_period: u16,
    /// What is kept of a movement between both, basis points.
    pub reduction_bps: u16,
    /// The protocol's part of market makers' fees, basis points.
    pub protocol_share_bps: u16,
    /// Bins may hold limit orders.
    pub takes_orders: bool,
    /// Fees are taken in token y, rather than in what goes in.
    pub collects_y: bool,
    /// Not switched off.
    pub is_enabled: bool,
    /// Slot or unix second from which it trades; 0 for kinds of pair that have no such point.
    pub activation_point: u64,
    /// Whether that point is in unix seconds.
    pub by_timestamp: bool,
    /// The bin that trades.
    pub active_bin: i32,
    /// Movement so far, bins times 10,000.
    pub accumulator: u32,
    /// What was kept of movements before.
    pub reference: u32,
    /// The bin that movements are measured from.
    pub reference_bin: i32,
    /// Unix seconds of the last movement.
    pub updated_at: i64,
    /// The protocol's fees of side x, not yet claimed.
    pub protocol_fee_x: u64,
    /// The protocol's fees of side y, not yet claimed.
    pub protocol_fee_y: u64,
    /// Which bin arrays from -512 to 511 hold anything.
    pub arrays: [u64; 16],
}

impl Pair {
    /// The pair in `data`.
    ///
    /// # Errors
    /// [`AccountReject::Short`], [`AccountReject::OtherKind`]; [`AccountReject::Unknown`] for a kind, function or fee
    /// mode newer than program 0.12; [`AccountReject::BadField`] for a base fee that no rate can hold.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, PAIR_DISCRIMINATOR)?;
        if fields.len() < PAIR_LEN {
            return Err(AccountReject::Short);
        }
        let mut arrays = [0; 16];
        for (index, word) in arrays.iter_mut().enumerate() {
            *word = fields.u64(584 + 8 * index)?;
        }
        let bin_step = fields.u16(80)?;
        let by_timestamp = switch(&fields, 86)?;
        // Source: `PairType`; only the permissioned and the customizable kind wait for their point.
        let waits = match fields.u8(75)? {
            0 | 3 => false,
            1 | 2 => true,
            _ => return Err(AccountReject::Unknown),
        };
        let rewards = [fields.key(264)?, fields.key(408)?];
        Ok(Self {
            mint_x: fields.key(88)?,
            mint_y: fields.key(120)?,
            reserve_x: fields.key(152)?,
            reserve_y: fields.key(184)?,
            bin_step,
            base_rate: base_rate(fields.u16(8)?, bin_step, fields.u8(34)?)
                .ok_or(AccountReject::BadField)?,
            variable_fee_control: fields.u32(16)?,
            accumulator_max: fields.u32(20)?,
            filter_period: fields.u16(10)?,
            decay_period: fields.u16(12)?,
            reduction_bps: fields.u16(14)?,
            protocol_share_bps: fields.u16(32)?,
            // Source: `FunctionType` and `is_support_limit_order`: undetermined until a reward is set up.
            takes_orders: match fields.u8(35)? {
                0 => rewards == [[0; 32]; 2],
                1 => false,
                2 => true,
                _ => return Err(AccountReject::Unknown),
            },
            collects_y: switch(&fields, 36)?,
            is_enabled: fields.u8(82)? == 0,
            activation_point: if waits { fields.u64(816)? } else { 0 },
            by_timestamp,
            active_bin: fields.i32(76)?,
            accumulator: fields.u32(40)?,
            reference: fields.u32(44)?,
            reference_bin: fields.i32(48)?,
            updated_at: i64::from_le_bytes(*fields.bytes(56)?),
            protocol_fee_x: fields.u64(216)?,
            protocol_fee_y: fields.u64(224)?,
            arrays,
        })
    }
}

/// `base_factor * bin_step * 10 * 10^power`, billionths.
fn base_rate(base_factor: u16, bin_step: u16, power: u8) -> Option<u128> {
    let scale = 10u128.checked_pow(u32::from(power))?;
    (u128::from(base_factor) * u128::from(bin_step) * 10).checked_mul(scale)
}

/// The price of a bin, 64.64: `(1 + bin_step / 10_000) ^ bin`, as the program writes it into a bin that is first used.
///
/// `None` where no price is.
#[must_use]
pub fn price_of(bin: i32, bin_step: u16) -> Option<u128> {
    let step = (u128::from(bin_step) << 64) / u128::from(BPS_WHOLE);
    power(ONE + step, bin)
}

/// Seventy bins in a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BinArray {
    /// The pair it belongs to.
    pub pair: Key,
    /// Its place: it holds the bins from `70 * index` on.
    pub index: i32,
    /// The bins.
    pub bins: [Bin; BINS as usize],
}

/// One price and what is offered at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Bin {
    /// Market makers' tokens of side x.
    pub amount_x: u64,
    /// Market makers' tokens of side y.
    pub amount_y: u64,
    /// Token y per token x, 64.64; 0 in a bin that nothing was ever put in.
    pub price: u128,
    /// Orders that no swap has begun to fill.
    pub open: u64,
    /// Orders being filled, as they were.
    pub processing: u64,
    /// What is left of them.
    pub processing_left: u64,
    /// How many times open orders began to be filled.
    pub order_age: u32,
    /// The orders sell x, rather than y.
    pub is_ask: bool,
}

impl BinArray {
    /// The bin array in `data`.
    ///
    /// # Errors
    /// [`AccountReject::Short`], [`AccountReject::OtherKind`]; [`AccountReject::BadField`] for a place where no bin is.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, BIN_ARRAY_DISCRIMINATOR)?;
        if fields.len() < BIN_ARRAY_LEN {
            return Err(AccountReject::Short);
        }
        let index = i64::from_le_bytes(*fields.bytes(8)?);
        let index = i32::try_from(index).map_err(|_| AccountReject::BadField)?;
        // Every bin of it must have a number.
        let _last_bin = index
            .checked_mul(BINS)
            .and_then(|first| first.checked_add(BINS))
            .ok_or(AccountReject::BadField)?;
        let mut bins = [Bin::default(); BINS as usize];
        for (place, bin) in bins.iter_mut().enumerate() {
            let at = 56 + 144 * place;
            *bin = Bin {
                amount_x: fields.u64(at)?,
                amount_y: fields.u64(at + 8)?,
                price: fields.u128(at + 16)?,
                open: fields.u64(at + 112)?,
                processing: fields.u64(at + 120)?,
                processing_left: fields.u64(at + 128)?,
                order_age: fields.u32(at + 136)?,
                is_ask: fields.u8(at + 140)? != 0,
            };
        }
        Ok(Self {
            pair: fields.key(24)?,
            index,
            bins,
        })
    }
}
