//! What PumpSwap's accounts say.
//!
//! Source of every offset: pump-rust-client 0.5.0 `idls/pump_amm.json` (fields in order, borsh) and
//! `src/account_wrapper.rs` (older accounts are padded with zeroes).

use crate::account::{AccountReject, Fields, padded};
use crate::pump::account::{eight, part, rate};
use crate::units::Key;

/// A pool's account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PoolAccount {
    /// Part of its address; Pump's own pools have 0.
    pub index: u16,
    /// Who made it; PDA `["pool-authority", base_mint]` of Pump for Pump's own pools.
    pub creator: Key,
    /// The coin.
    pub base_mint: Key,
    /// What it is priced in.
    pub quote_mint: Key,
    /// Mint of its shares.
    pub lp_mint: Key,
    /// Its token account of the coin.
    pub base_vault: Key,
    /// Its token account of the quote.
    pub quote_vault: Key,
    /// Shares handed out, burnt ones included.
    pub lp_supply: u64,
    /// Whom the creator fee is for; zero when nobody.
    pub coin_creator: Key,
    /// The mayhem program trades against it.
    pub mayhem: bool,
    /// The creator fee goes back to traders.
    pub cashback: bool,
    /// What the price counts beside the quote vault: the boost, less the fees in the vault that are not paid out.
    pub virtual_quote: i128,
    /// The coin's own creator rate; 0 when the schedule's applies.
    pub creator_fee_bps: u64,
    /// The creator fee goes to holders.
    pub holder_reward: bool,
    /// Protocol fees of v2 trades in the quote vault, not paid out yet.
    pub protocol_fees: u64,
    /// Creator fees of v2 trades in the quote vault, not paid out yet.
    pub creator_fees: u64,
}

impl PoolAccount {
    const DISCRIMINATOR: [u8; 8] = [0xf1, 0x9a, 0x6d, 0x04, 0x11, 0xb1, 0x6d, 0xbc];
    /// Bytes of its fields. A trade on a shorter account extends it to this first, at the trader's expense.
    pub const LEN: usize = 287;
    /// The first version's, which ends before the coin creator.
    pub const LEN_MIN: usize = 211;

    /// Reads an account.
    ///
    /// # Errors
    /// [`AccountReject`].
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let bytes = padded::<{ Self::LEN }>(data, Self::DISCRIMINATOR, Self::LEN_MIN)?;
        let fields = Fields::new(&bytes);
        let _can_edit_creator_fee = fields.flag(269)?;
        Ok(Self {
            index: fields.u16(9)?,
            creator: fields.key(11)?,
            base_mint: fields.key(43)?,
            quote_mint: fields.key(75)?,
            lp_mint: fields.key(107)?,
            base_vault: fields.key(139)?,
            quote_vault: fields.key(171)?,
            lp_supply: fields.u64(203)?,
            coin_creator: fields.key(211)?,
            mayhem: fields.flag(243)?,
            cashback: fields.flag(244)?,
            virtual_quote: fields.i128(245)?,
            creator_fee_bps: rate(&fields, 261)?,
            holder_reward: fields.flag(270)?,
            protocol_fees: fields.u64(271)?,
            creator_fees: fields.u64(279)?,
        })
    }
}

/// The program's global account, as far as trades depend on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GlobalConfig {
    /// Operations switched off: bit 0 `create_pool`, 1 `deposit`, 2 `withdraw`, 3 buys, 4 sales.
    pub disabled: u8,
    /// Protocol fee recipients of ordinary pools (v1); any of them will do.
    pub protocol_fee_recipients: [Key; 8],
    /// Protocol fee recipients of mayhem pools.
    pub reserved_fee_recipients: [Key; 8],
    /// Buyback fee recipients; any of them will do.
    pub buyback_fee_recipients: [Key; 8],
    /// Part of the protocol fee that goes to a buyback recipient, basis points.
    pub buyback_bps: u64,
    /// Whether a coin's own creator rate wins over the schedule's.
    pub creator_fee_configurable: bool,
}

impl GlobalConfig {
    const DISCRIMINATOR: [u8; 8] = [0x95, 0x08, 0x9c, 0xca, 0xa0, 0xfc, 0xb0, 0xd9];
    /// Up to the switch of the creator rate; what comes after does not matter to trades.
    pub const LEN_MIN: usize = 941;

    /// Reads the account.
    ///
    /// # Errors
    /// [`AccountReject`].
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, Self::DISCRIMINATOR)?;
        if fields.len() < Self::LEN_MIN {
            return Err(AccountReject::Short);
        }
        Ok(Self {
            disabled: fields.u8(56)?,
            protocol_fee_recipients: eight(&fields, fields.key(57)?, 89)?,
            reserved_fee_recipients: eight(&fields, fields.key(385)?, 418)?,
            buyback_fee_recipients: eight(&fields, fields.key(643)?, 675)?,
            buyback_bps: part(&fields, 899)?,
            creator_fee_configurable: fields.flag(940)?,
        })
    }
}
