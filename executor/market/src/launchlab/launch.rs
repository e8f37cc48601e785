//! What a launch says of its curve, and the reserves the curve starts with.

use super::account::{CurveType, GlobalConfig, Reserves};
use super::discriminator;
use crate::decode::DecodeReject;
use crate::instruction::Arguments;
use crate::math::mul_div;
use crate::token::TransferFee;

/// The arguments of an `initialize` form, names apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Launch {
    /// Decimals of the coin.
    pub decimals: u8,
    /// How the curve prices.
    pub curve: CurveType,
    /// Coins made, raw units.
    pub supply: u64,
    /// Coins for sale, raw units; 0 where the program derives it (every curve but the constant product).
    pub total_base_sell: u64,
    /// Quote at which it is sold out, raw units.
    pub total_quote_fund_raising: u64,
    /// Whether it migrates to CPMM, else to AMM v4.
    pub migrates_to_cp: bool,
    /// Coins that vest, raw units; neither sold nor migrated.
    pub total_locked_amount: u64,
    /// What the mint keeps of transfers, when it was made with that extension.
    pub transfer_fee: Option<TransferFee>,
}

impl Launch {
    /// Reads the data of an `initialize`, `initialize_v2` or `initialize_with_token_2022`.
    ///
    /// Source: the IDL's `MintParams`, `CurveParams`, `VestingParams`, `AmmCreatorFeeOn`,
    /// `TransferFeeExtensionParams`.
    ///
    /// # Errors
    /// [`DecodeReject::OtherInstruction`], [`DecodeReject::ShortData`], [`DecodeReject::BadArgument`].
    pub fn read(data: &[u8]) -> Result<Self, DecodeReject> {
        let mut arguments = Arguments::new(data);
        let form = arguments.u64()?;
        let (has_fee_on, has_transfer_fee) = match form {
            discriminator::INITIALIZE => (false, false),
            discriminator::INITIALIZE_V2 => (true, false),
            discriminator::INITIALIZE_WITH_TOKEN_2022 => (true, true),
            _ => return Err(DecodeReject::OtherInstruction),
        };
        let decimals = arguments.u8()?;
        for _name_symbol_uri in 0..3 {
            arguments.skip_bytes()?;
        }
        let curve = CurveType::of(arguments.u8()?).ok_or(DecodeReject::BadArgument)?;
        let supply = arguments.u64()?;
        let total_base_sell = match curve {
            CurveType::ConstantProduct => arguments.u64()?,
            CurveType::FixedPrice | CurveType::LinearPrice => 0,
        };
        let total_quote_fund_raising = arguments.u64()?;
        let migrates_to_cp = bit(arguments.u8()?)?;
        let total_locked_amount = arguments.u64()?;
        let _cliff_and_unlock_period = arguments.take::<16>()?;
        if has_fee_on {
            bit(arguments.u8()?)?;
        }
        let mut transfer_fee = None;
        if has_transfer_fee && bit(arguments.u8()?)? {
            transfer_fee = Some(TransferFee {
                bps: arguments.u16()?,
                fee_max: arguments.u64()?,
            });
        }
        Ok(Self {
            decimals,
            curve,
            supply,
            total_base_sell,
            total_quote_fund_raising,
            migrates_to_cp,
            total_locked_amount,
            transfer_fee,
        })
    }

    /// What the curve starts with; `None` where the launch cannot succeed under `config`.
    ///
    /// Source: `getInitParam` of `constantProductCurve.ts`, `fixedPriceCurve.ts` and `linearPriceCurve.ts`. Its other
    /// bounds (least supply, least sale and so on) are not checked here.
    #[must_use]
    pub fn reserves(&self, config: &GlobalConfig) -> Option<Reserves> {
        if self.curve != config.curve {
            return None;
        }
        let raised = u128::from(self.total_quote_fund_raising);
        let fee = u128::from(config.migrate_fee);
        let unlocked = u128::from(self.supply.checked_sub(self.total_locked_amount)?);
        let (virtual_base, virtual_quote, total_base_sell) = match self.curve {
            CurveType::ConstantProduct => {
                let sold = u128::from(self.total_base_sell);
                let migrated = unlocked.checked_sub(sold)?;
                let liquid = raised.checked_sub(fee).filter(|liquid| *liquid > 0)?;
                let worth = mul_div(liquid, sold, migrated)?;
                let divisor = worth.checked_sub(raised)?;
                let base = mul_div(liquid * sold, sold, migrated)?.checked_div(divisor)?;
                (base, mul_div(raised, raised, divisor)?, sold)
            }
            CurveType::FixedPrice => {
                let divisor = (2 * raised).checked_sub(fee)?;
                let sold = mul_div(raised, unlocked, divisor)?;
                (sold, raised, sold)
            }
            CurveType::LinearPrice => {
                let divisor = (3 * raised).checked_sub(fee)?;
                let sold = mul_div(2 * raised, unlocked, divisor)?;
                let slope = mul_div(2 * raised, 1 << 64, sold.checked_mul(sold)?)?;
                // The package demands both; the upper bound is strict.
                if slope == 0 || slope >= u128::from(u64::MAX) {
                    return None;
                }
                (slope, 0, sold)
            }
        };
        Some(Reserves {
            total_base_sell: u64::try_from(total_base_sell).ok()?,
            virtual_base: u64::try_from(virtual_base).ok()?,
            virtual_quote: u64::try_from(virtual_quote).ok()?,
            real_base: 0,
            real_quote: 0,
        })
    }
}

/// A byte that is 0 or 1: a migration target, a two-way enum, an option's presence.
const fn bit(value: u8) -> Result<bool, DecodeReject> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeReject::BadArgument),
    }
}
