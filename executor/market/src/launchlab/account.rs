//! LaunchLab's accounts: the curve, and the two configurations that set its fees.
//!
//! Source of the offsets: `launchpad/layout.ts` of the package named in [the module](super), which agrees with the IDL
//! where both have a field; what the IDL has as padding and the package as fields is not read but for the flags.

use super::discriminator;
use crate::account::{AccountReject, Fields};
use crate::token::TransferFee;
use crate::units::Key;

/// Bytes of a curve's account.
pub const POOL_LEN: usize = 429;
/// Bytes of a [`GlobalConfig`]'s account.
pub const GLOBAL_CONFIG_LEN: usize = 371;
/// Bytes of a [`PlatformConfig`]'s account that are fields in every version.
const PLATFORM_CONFIG_LEN_MIN: usize = 760;

/// How a curve prices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CurveType {
    /// Constant product of virtual and real reserves.
    ConstantProduct,
    /// One price.
    FixedPrice,
    /// A price that grows with what is sold.
    LinearPrice,
}

impl CurveType {
    /// The type the program writes as `value`.
    #[must_use]
    pub const fn of(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::ConstantProduct),
            1 => Some(Self::FixedPrice),
            2 => Some(Self::LinearPrice),
            _ => None,
        }
    }
}

/// What a global configuration says of the curves that follow it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GlobalConfig {
    /// How they price.
    pub curve: CurveType,
    /// What migration costs, quote, raw units; part of a launch's reserves.
    pub migrate_fee: u64,
    /// The protocol's fee, millionths of the quote ([`RATE_WHOLE`](super::RATE_WHOLE)).
    pub trade_fee_rate: u64,
    /// Most that a trade may give to a sharer, millionths.
    pub share_fee_rate_max: u64,
    /// The quote.
    pub quote_mint: Key,
}

/// Who alone may migrate a curve, from the same account as [`GlobalConfig`].
///
/// Source: `launchlab.json`: "This signer must match the migrate_to_cpswap_wallet saved in global_config", and the same of
/// `migrate_to_amm`; offsets by its `GlobalConfig`, fields in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Migrators {
    /// To AMM v4.
    pub amm: Key,
    /// To CPMM.
    pub cp: Key,
}

impl Migrators {
    /// Reads a [`GlobalConfig`]'s account.
    ///
    /// # Errors
    /// [`AccountReject`].
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, discriminator::GLOBAL_CONFIG)?;
        Ok(Self {
            amm: fields.key(179)?,
            cp: fields.key(211)?,
        })
    }
}

impl GlobalConfig {
    /// Reads an account of the program.
    ///
    /// # Errors
    /// [`AccountReject`]; [`AccountReject::Unknown`] for an unknown curve.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, discriminator::GLOBAL_CONFIG)?;
        if fields.len() < GLOBAL_CONFIG_LEN {
            return Err(AccountReject::Short);
        }
        Ok(Self {
            curve: CurveType::of(fields.u8(16)?).ok_or(AccountReject::Unknown)?,
            migrate_fee: fields.u64(19)?,
            trade_fee_rate: fields.u64(27)?,
            share_fee_rate_max: fields.u64(35)?,
            quote_mint: fields.key(83)?,
        })
    }
}

/// What a platform takes of the trades on its curves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PlatformConfig {
    /// The platform's fee, millionths of the quote.
    pub fee_rate: u64,
    /// The creator's fee, millionths of the quote.
    pub creator_fee_rate: u64,
    /// CPMM configuration that its curves migrate to.
    pub cp_config: Key,
}

impl PlatformConfig {
    /// Reads an account of the program.
    ///
    /// # Errors
    /// [`AccountReject`].
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, discriminator::PLATFORM_CONFIG)?;
        if fields.len() < PLATFORM_CONFIG_LEN_MIN {
            return Err(AccountReject::Short);
        }
        Ok(Self {
            fee_rate: fields.u64(104)?,
            creator_fee_rate: fields.u64(720)?,
            cp_config: fields.key(688)?,
        })
    }
}

/// What a curve does. Source: the IDL's `PoolStatus`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Status {
    /// It sells and buys back.
    Fund,
    /// Sold out, waiting for migration.
    Migrate,
    /// Its pool has opened.
    Trade,
}

/// The numbers a curve prices with, raw units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reserves {
    /// Base that is for sale in all.
    pub total_base_sell: u64,
    /// Virtual base; of a linear curve the slope, 64 fractional bits.
    pub virtual_base: u64,
    /// Virtual quote; of a linear curve without meaning.
    pub virtual_quote: u64,
    /// Base sold.
    pub real_base: u64,
    /// Quote raised, fees apart.
    pub real_quote: u64,
}

/// A curve.
///
/// The fees it has collected (bytes 77..93) are not state: no price reads them, and since the platform's and the
/// creator's vaults are among a trade's accounts it is not known which fee still adds to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// What it does.
    pub status: Status,
    /// Whether it migrates to CPMM, else to AMM v4.
    pub migrates_to_cp: bool,
    /// What it prices with.
    pub reserves: Reserves,
    /// Quote at which it is sold out, raw units.
    pub total_quote_fund_raising: u64,
    /// Its [`GlobalConfig`].
    pub global_config: Key,
    /// Its [`PlatformConfig`].
    pub platform_config: Key,
    /// The coin.
    pub base_mint: Key,
    /// What it is priced in.
    pub quote_mint: Key,
    /// Token account of the base.
    pub base_vault: Key,
    /// Token account of the quote.
    pub quote_vault: Key,
    /// For whom the creator fee is.
    pub creator: Key,
    /// The base mint belongs to Token-2022.
    pub base_token_2022: bool,
    /// The quote mint belongs to Token-2022.
    pub quote_token_2022: bool,
    /// What the base mint keeps of a transfer this epoch; `None` after [`Pool::parse`] for a Token-2022 mint, which has
    /// to be read.
    pub base_transfer_fee: Option<TransferFee>,
    /// As [`Pool::base_transfer_fee`], of the quote mint.
    pub quote_transfer_fee: Option<TransferFee>,
}

impl Pool {
    /// Reads an account of the program. Call [`Pool::with_transfer_fees`] for Token-2022 mints before quoting.
    ///
    /// # Errors
    /// [`AccountReject`]; [`AccountReject::Unknown`] for an unknown status, migration or token flag,
    /// [`AccountReject::BadField`] when more is sold than there is.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, discriminator::POOL)?;
        if fields.len() < POOL_LEN {
            return Err(AccountReject::Short);
        }
        // Bit 0: the base, bit 1: the quote. Source: the package's `launchpad/util.ts`.
        let token_flag = fields.u8(365)?;
        if token_flag > 3 {
            return Err(AccountReject::Unknown);
        }
        let (base_token_2022, quote_token_2022) = (token_flag & 1 != 0, token_flag & 2 != 0);
        let fee = |token_2022: bool| (!token_2022).then_some(TransferFee::NONE);
        let pool = Self {
            status: match fields.u8(17)? {
                0 => Status::Fund,
                1 => Status::Migrate,
                2 => Status::Trade,
                _ => return Err(AccountReject::Unknown),
            },
            migrates_to_cp: match fields.u8(20)? {
                0 => false,
                1 => true,
                _ => return Err(AccountReject::Unknown),
            },
            reserves: Reserves {
                total_base_sell: fields.u64(29)?,
                virtual_base: fields.u64(37)?,
                virtual_quote: fields.u64(45)?,
                real_base: fields.u64(53)?,
                real_quote: fields.u64(61)?,
            },
            total_quote_fund_raising: fields.u64(69)?,
            global_config: fields.key(141)?,
            platform_config: fields.key(173)?,
            base_mint: fields.key(205)?,
            quote_mint: fields.key(237)?,
            base_vault: fields.key(269)?,
            quote_vault: fields.key(301)?,
            creator: fields.key(333)?,
            base_token_2022,
            quote_token_2022,
            base_transfer_fee: fee(base_token_2022),
            quote_transfer_fee: fee(quote_token_2022),
        };
        if pool.reserves.real_base > pool.reserves.total_base_sell {
            return Err(AccountReject::BadField);
        }
        Ok(pool)
    }

    /// The curve with what its mints keep of a transfer this epoch.
    #[must_use]
    pub const fn with_transfer_fees(self, base: TransferFee, quote: TransferFee) -> Self {
        Self {
            base_transfer_fee: Some(base),
            quote_transfer_fee: Some(quote),
            ..self
        }
    }
}
