//! SPL Token, Token-2022 and the system program: what of mints, token accounts and instructions a quote or a strategy
//! needs.

pub mod account;
pub mod decode;

pub use account::{Danger, Dangers, FeeConfig, MintAccount, TokenAccount};
pub use decode::{Extension, Role, TokenEvent, Watch, decode};

use crate::base58::key;
use crate::pump;
use crate::units::{BPS_WHOLE, Key};

/// The associated token account program: a wallet's account for a coin is PDA `[wallet, token program, mint]` of it.
/// Source: spl-associated-token-account.
pub const ASSOCIATED_TOKEN_PROGRAM: Key = key("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");

/// The system program. Source: solana-sdk-ids.
pub(crate) const SYSTEM_PROGRAM: Key = key("11111111111111111111111111111111");

/// Which of the two programs owns a mint or a token account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum TokenProgram {
    /// SPL Token.
    Spl,
    /// Token-2022.
    Token2022,
}

impl TokenProgram {
    /// The program of that id.
    #[inline]
    #[must_use]
    pub fn of(id: &Key) -> Option<Self> {
        if *id == pump::TOKEN_PROGRAM {
            Some(Self::Spl)
        } else if *id == pump::TOKEN_2022_PROGRAM {
            Some(Self::Token2022)
        } else {
            None
        }
    }

    /// Its id.
    #[inline]
    #[must_use]
    pub const fn id(self) -> &'static Key {
        match self {
            Self::Spl => &pump::TOKEN_PROGRAM,
            Self::Token2022 => &pump::TOKEN_2022_PROGRAM,
        }
    }
}

/// What a Token-2022 mint with the transfer-fee extension keeps of every transfer, at the rate of one epoch.
///
/// Source: spl-token-2022 `extension::transfer_fee::TransferFee` (`calculate_fee`, `calculate_pre_fee_amount`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransferFee {
    /// Basis points of the amount, rounded up.
    pub bps: u16,
    /// Most that is kept of one transfer, raw units.
    pub fee_max: u64,
}

impl TransferFee {
    /// A mint without the extension.
    pub const NONE: Self = Self { bps: 0, fee_max: 0 };

    /// What is kept of a transfer of `amount`.
    #[inline]
    #[must_use]
    pub fn of(self, amount: u64) -> u64 {
        let fee = (u128::from(amount) * u128::from(self.bps)).div_ceil(u128::from(BPS_WHOLE));
        u64::try_from(fee).map_or(self.fee_max, |fee| fee.min(self.fee_max))
    }

    /// What arrives of a transfer of `amount`.
    #[inline]
    #[must_use]
    pub fn after(self, amount: u64) -> u64 {
        amount.saturating_sub(self.of(amount))
    }

    /// The least to send so that `amount` arrives; `None` when that does not fit.
    #[inline]
    #[must_use]
    pub fn before(self, amount: u64) -> Option<u64> {
        if self.bps == 0 || amount == 0 {
            return Some(amount);
        }
        let kept = BPS_WHOLE.saturating_sub(u64::from(self.bps));
        let with_fee_max = amount.checked_add(self.fee_max);
        if kept == 0 {
            return with_fee_max;
        }
        let sent = (u128::from(amount) * u128::from(BPS_WHOLE)).div_ceil(u128::from(kept));
        match u64::try_from(sent) {
            Ok(sent) if sent - amount < self.fee_max => Some(sent),
            _ => with_fee_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_rounds_up_and_stops_at_its_bound() {
        let fee = TransferFee {
            bps: 100,
            fee_max: 50,
        };
        assert_eq!((fee.of(0), fee.of(1), fee.of(100)), (0, 1, 1));
        assert_eq!((fee.of(101), fee.of(5_000), fee.of(u64::MAX)), (2, 50, 50));
        assert_eq!(TransferFee::NONE.of(u64::MAX), 0);
        assert_eq!((fee.after(100), fee.before(99)), (99, Some(100)));
        assert_eq!(fee.before(10_000), Some(10_050));
        assert_eq!(fee.before(u64::MAX), None);
        let all = TransferFee {
            bps: 10_000,
            fee_max: 7,
        };
        assert_eq!((all.of(5), all.after(5), all.before(5)), (5, 0, Some(12)));
    }
}
