//! A Raydium CPMM pool's account, and the configuration it follows.
//!
//! Source of the offsets: raydium-cp-swap 609780f `states/pool.rs`, `states/config.rs`; the creator-fee fields lie in
//! what was zero padding before, so older accounts read as "no creator fee".

use super::discriminator;
use crate::account::{AccountReject, Fields};
use crate::pump::{TOKEN_2022_PROGRAM, TOKEN_PROGRAM};
use crate::token::TransferFee;
use crate::units::Key;

/// Bytes of a pool's account. Source: `PoolState::LEN`.
pub const POOL_LEN: usize = 637;
/// Bytes of a configuration's account. Source: `AmmConfig::LEN`.
pub const CONFIG_LEN: usize = 236;

/// What trades pay, in millionths ([`RATE_WHOLE`](super::RATE_WHOLE)).
///
/// Bytes 116..124, padding at 609780f, are `creatorFeeShareRate` in the venue's npm package 0.2.73-alpha, next to an
/// account that only the collection of creator fees names; they are not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Config {
    /// No new pool may follow it.
    pub closed_to_new_pools: bool,
    /// Of what goes in.
    pub trade_fee_rate: u64,
    /// Of the trade fee, for the protocol.
    pub protocol_fee_rate: u64,
    /// Of the trade fee, for the fund.
    pub fund_fee_rate: u64,
    /// Of what goes in or comes out, for the creator of a pool that has this fee.
    pub creator_fee_rate: u64,
    /// Lamports that opening a pool costs.
    pub create_pool_fee: u64,
}

impl Config {
    /// Reads an account of the program.
    ///
    /// # Errors
    /// [`AccountReject`]; [`AccountReject::BadField`] for trade and creator fees that exceed the whole.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, discriminator::CONFIG)?;
        if fields.len() < CONFIG_LEN {
            return Err(AccountReject::Short);
        }
        let config = Self {
            closed_to_new_pools: fields.flag(9)?,
            trade_fee_rate: fields.u64(12)?,
            protocol_fee_rate: fields.u64(20)?,
            fund_fee_rate: fields.u64(28)?,
            creator_fee_rate: fields.u64(108)?,
            create_pool_fee: fields.u64(36)?,
        };
        match config.trade_fee_rate.checked_add(config.creator_fee_rate) {
            Some(rate) if rate <= super::RATE_WHOLE => Ok(config),
            _ => Err(AccountReject::BadField),
        }
    }
}

/// Which token the creator's fee is taken in. Source: `states/pool.rs` `CreatorFeeOn`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CreatorFeeOn {
    /// What goes in.
    Input,
    /// Token 0, whichever way the trade goes.
    Token0,
    /// Token 1, whichever way the trade goes.
    Token1,
}

/// Fees that lie in one vault and are not reserves, raw units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Owed {
    /// For the protocol.
    pub protocol: u64,
    /// For the fund.
    pub fund: u64,
    /// For the creator.
    pub creator: u64,
}

/// A pool: what its account says, and what its two token accounts hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Its configuration.
    pub config: Key,
    /// Who opened it, for whom the creator fee is.
    pub creator: Key,
    /// Token accounts of token 0 and 1.
    pub vaults: [Key; 2],
    /// Mints of token 0 and 1.
    pub mints: [Key; 2],
    /// Token programs of token 0 and 1.
    pub token_programs: [Key; 2],
    /// The share's mint.
    pub lp_mint: Key,
    /// Its price observations.
    pub observation: Key,
    /// Bits: 1 no deposit, 2 no withdrawal, 4 no swap.
    pub status: u8,
    /// Shares there are, raw units.
    pub lp_supply: u64,
    /// Unix seconds from which it swaps.
    pub opens_at: u64,
    /// Whether trades pay the creator.
    pub creator_fee: bool,
    /// In which token they do.
    pub creator_fee_on: CreatorFeeOn,
    /// Fees in the vaults of token 0 and 1.
    pub owed: [Owed; 2],
    /// What the vaults of token 0 and 1 hold, raw units; 0 after [`Pool::parse`].
    pub held: [u64; 2],
    /// What the mints of token 0 and 1 keep of a transfer this epoch; `None` after [`Pool::parse`] for a Token-2022
    /// mint, which has to be read.
    pub transfer_fees: [Option<TransferFee>; 2],
}

impl Pool {
    /// Reads an account of the program. Call [`Pool::with_vaults`], and for Token-2022 mints
    /// [`Pool::with_transfer_fees`], before quoting.
    ///
    /// # Errors
    /// [`AccountReject`]; [`AccountReject::Unknown`] for another token program, an unknown status bit and an unknown
    /// place of the creator fee; [`AccountReject::BadField`] for mints out of order.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        let fields = Fields::of_kind(data, discriminator::POOL)?;
        if fields.len() < POOL_LEN {
            return Err(AccountReject::Short);
        }
        let owed = |protocol, fund, creator| {
            Ok(Owed {
                protocol: fields.u64(protocol)?,
                fund: fields.u64(fund)?,
                creator: fields.u64(creator)?,
            })
        };
        let token_programs = [fields.key(232)?, fields.key(264)?];
        let pool = Self {
            config: fields.key(8)?,
            creator: fields.key(40)?,
            vaults: [fields.key(72)?, fields.key(104)?],
            mints: [fields.key(168)?, fields.key(200)?],
            token_programs,
            lp_mint: fields.key(136)?,
            observation: fields.key(296)?,
            status: fields.u8(329)?,
            lp_supply: fields.u64(333)?,
            opens_at: fields.u64(373)?,
            creator_fee: fields.flag(390)?,
            creator_fee_on: match fields.u8(389)? {
                0 => CreatorFeeOn::Input,
                1 => CreatorFeeOn::Token0,
                2 => CreatorFeeOn::Token1,
                _ => return Err(AccountReject::Unknown),
            },
            owed: [owed(341, 357, 397)?, owed(349, 365, 405)?],
            held: [0; 2],
            transfer_fees: [no_fee(token_programs[0])?, no_fee(token_programs[1])?],
        };
        if pool.status > 7 {
            return Err(AccountReject::Unknown);
        }
        if pool.mints[0] >= pool.mints[1] {
            return Err(AccountReject::BadField);
        }
        Ok(pool)
    }

    /// The pool with what its two token accounts hold, raw units.
    #[must_use]
    pub const fn with_vaults(self, held: [u64; 2]) -> Self {
        Self { held, ..self }
    }

    /// The pool with what its mints keep of a transfer this epoch.
    #[must_use]
    pub const fn with_transfer_fees(self, fees: [TransferFee; 2]) -> Self {
        Self {
            transfer_fees: [Some(fees[0]), Some(fees[1])],
            ..self
        }
    }
}

/// SPL Token mints keep nothing; what a Token-2022 mint keeps is not known yet.
fn no_fee(token_program: Key) -> Result<Option<TransferFee>, AccountReject> {
    match token_program {
        TOKEN_PROGRAM => Ok(Some(TransferFee::NONE)),
        TOKEN_2022_PROGRAM => Ok(None),
        _ => Err(AccountReject::Unknown),
    }
}
