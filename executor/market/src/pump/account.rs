//! What the Pump program's accounts say.
//!
//! Source of every offset: pump-rust-client 0.5.0 `idls/pump.json` (fields in order, borsh) and
//! `src/account_wrapper.rs` (older accounts are padded with zeroes).

use crate::account::{AccountReject, Fields, padded};
use crate::pump::curve::Reserves;
use crate::units::{BPS_WHOLE, Key};

/// A bonding curve's account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BondingCurve {
    /// What it prices with and holds.
    pub reserves: Reserves,
    /// Supply at the launch. The mint's own falls when holders burn.
    pub supply: u64,
    /// Sold out; no trade until the pool opens.
    pub complete: bool,
    /// Whom the creator fee is for; zero when nobody.
    pub creator: Key,
    /// The mayhem program trades against it.
    pub mayhem: bool,
    /// The creator fee goes back to traders.
    pub cashback: bool,
    /// What it is priced in; zero on older curves priced in SOL.
    pub quote_mint: Key,
    /// The coin's own creator rate; 0 when the schedule's applies.
    pub creator_fee_bps: u64,
    /// The creator fee goes to holders.
    pub holder_reward: bool,
    /// Creator fees of v3 trades not paid out yet, held beside the reserves.
    pub creator_fees: u64,
    /// Protocol fees of v3 trades not paid out yet, held beside the reserves.
    pub protocol_fees: u64,
    /// How many coins stand between its quote and SOL or a listed mint.
    pub depth: u8,
    /// Virtual quote reserves at the launch; 0 on older curves.
    pub initial_virtual_quote: u64,
    /// Tokens that the completing buy took on from the pool to be.
    pub past_tokens: u64,
    /// Quote that the completing buy paid on into the pool to be, without fees.
    pub past_quote: u64,
}

impl BondingCurve {
    const DISCRIMINATOR: [u8; 8] = [0x17, 0xb7, 0xf8, 0x37, 0x60, 0xd8, 0xac, 0x60];
    /// Bytes of its fields. A trade on a shorter account extends it to this first, at the trader's expense.
    pub const LEN: usize = 166;
    /// The first version's, which ends before the creator: the program still trades on it.
    pub const LEN_MIN: usize = 49;

    /// Reads an account.
    ///
    /// # Errors
    /// [`AccountReject`].
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let bytes = padded::<{ Self::LEN }>(data, Self::DISCRIMINATOR, Self::LEN_MIN)?;
        let fields = Fields::new(&bytes);
        let _can_edit_creator_fee = fields.flag(123)?;
        Ok(Self {
            reserves: Reserves {
                virtual_token: fields.u64(8)?,
                virtual_quote: fields.u64(16)?,
                real_token: fields.u64(24)?,
                real_quote: fields.u64(32)?,
            },
            supply: fields.u64(40)?,
            complete: fields.flag(48)?,
            creator: fields.key(49)?,
            mayhem: fields.flag(81)?,
            cashback: fields.flag(82)?,
            quote_mint: fields.key(83)?,
            creator_fee_bps: rate(&fields, 115)?,
            holder_reward: fields.flag(124)?,
            creator_fees: fields.u64(125)?,
            protocol_fees: fields.u64(133)?,
            depth: fields.u8(141)?,
            initial_virtual_quote: fields.u64(142)?,
            past_tokens: fields.u64(150)?,
            past_quote: fields.u64(158)?,
        })
    }
}

/// The Pump program's global account, as far as trades depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Global {
    /// Protocol fee recipients of ordinary coins (v1, v2); any of them will do.
    pub fee_recipients: [Key; 8],
    /// Protocol fee recipients of mayhem coins.
    pub reserved_fee_recipients: [Key; 8],
    /// Buyback fee recipients; any of them will do.
    pub buyback_fee_recipients: [Key; 8],
    /// Part of the protocol fee that goes to a buyback recipient, basis points.
    pub buyback_bps: u64,
    /// What `create` and `create_v2` give a SOL-priced curve.
    pub fresh: Reserves,
    /// Supply of a new coin.
    pub supply: u64,
    /// Lamports that a migration keeps of what a SOL-priced curve raised.
    pub migration_fee: u64,
    /// Whether a coin's own creator rate wins over the schedule's.
    pub creator_fee_configurable: bool,
    /// Whom migrations pay.
    pub withdraw_authority: Key,
    /// A trader that may not go on into the pool to be.
    pub whitelisted: Key,
}

impl Global {
    const DISCRIMINATOR: [u8; 8] = [0xa7, 0xe8, 0xe8, 0xb1, 0xc8, 0x6c, 0x72, 0x7f];
    /// Bytes of its fields.
    pub const LEN: usize = 1088;
    /// Up to the switch of the creator rate; what comes after does not matter to trades.
    pub const LEN_MIN: usize = 1046;

    /// Reads the account. Fields past the known ones are left alone: what they mean for curves the curves' own
    /// accounts say.
    ///
    /// # Errors
    /// [`AccountReject`].
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, Self::DISCRIMINATOR)?;
        if fields.len() < Self::LEN_MIN {
            return Err(AccountReject::Short);
        }
        Ok(Self {
            fee_recipients: eight(&fields, fields.key(41)?, 162)?,
            reserved_fee_recipients: eight(&fields, fields.key(483)?, 516)?,
            buyback_fee_recipients: eight(&fields, fields.key(741)?, 773)?,
            buyback_bps: part(&fields, 997)?,
            fresh: Reserves {
                virtual_token: fields.u64(73)?,
                virtual_quote: fields.u64(81)?,
                real_token: fields.u64(89)?,
                real_quote: 0,
            },
            supply: fields.u64(97)?,
            migration_fee: fields.u64(146)?,
            creator_fee_configurable: fields.flag(1045)?,
            withdraw_authority: fields.key(113)?,
            whitelisted: fields.key(451)?,
        })
    }
}

/// `first`, then the seven keys from `offset` on.
pub(crate) fn eight(
    fields: &Fields<'_>,
    first: Key,
    offset: usize,
) -> Result<[Key; 8], AccountReject> {
    let mut keys = [first; 8];
    for (index, key) in keys.iter_mut().skip(1).enumerate() {
        *key = fields.key(offset + 32 * index)?;
    }
    Ok(keys)
}

/// A fee rate, which never reaches the whole.
pub(crate) fn rate(fields: &Fields<'_>, offset: usize) -> Result<u64, AccountReject> {
    let bps = fields.u64(offset)?;
    if bps < BPS_WHOLE {
        Ok(bps)
    } else {
        Err(AccountReject::BadField)
    }
}

/// A part of something, which may be all of it.
pub(crate) fn part(fields: &Fields<'_>, offset: usize) -> Result<u64, AccountReject> {
    let bps = fields.u64(offset)?;
    if bps <= BPS_WHOLE {
        Ok(bps)
    } else {
        Err(AccountReject::BadField)
    }
}
