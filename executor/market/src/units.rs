//! Units of money and identity. A bare integer never crosses a crate boundary.

/// Lamports, a billionth of a SOL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Lamports(pub u64);

/// Raw token units: whole tokens times ten to the mint's decimals (6 for every Pump coin).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct TokenAmount(pub u64);

/// Basis points: ten-thousandths.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Bps(pub u16);

/// Address of a token mint.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct Mint(pub Key);

/// A 32-byte account address.
pub type Key = [u8; 32];

/// Ten thousand basis points are the whole.
pub const BPS_WHOLE: u64 = 10_000;

impl Lamports {
    /// `self + other`, or the largest amount when the sum does not fit: a limit still refuses it.
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, other: Lamports) -> Lamports {
        Lamports(self.0.saturating_add(other.0))
    }

    /// `self - other`, or zero.
    #[inline]
    #[must_use]
    pub const fn saturating_sub(self, other: Lamports) -> Lamports {
        Lamports(self.0.saturating_sub(other.0))
    }

    /// `floor(self * (10_000 - bps) / 10_000)`; zero from 10,000 bps on.
    #[inline]
    #[must_use]
    pub fn less_bps(self, bps: Bps) -> Lamports {
        Lamports(less_bps(self.0, bps))
    }
}

impl TokenAmount {
    /// `floor(self * (10_000 - bps) / 10_000)`; zero from 10,000 bps on.
    #[inline]
    #[must_use]
    pub fn less_bps(self, bps: Bps) -> TokenAmount {
        TokenAmount(less_bps(self.0, bps))
    }
}

/// `floor(value * (10_000 - bps) / 10_000)`; fits because the factor is at most one.
fn less_bps(value: u64, bps: Bps) -> u64 {
    let kept = BPS_WHOLE.saturating_sub(u64::from(bps.0));
    if let Some(product) = value.checked_mul(kept) {
        return product / BPS_WHOLE;
    }
    (u128::from(value) * u128::from(kept) / u128::from(BPS_WHOLE)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slippage_rounds_down_and_stops_at_zero() {
        // One word and two say the same on both sides of what fits one.
        for value in [0, 1, 9_999, u64::MAX / 9_001, u64::MAX / 8_999, u64::MAX] {
            let kept = u128::from(value) * 9_000 / 10_000;
            assert_eq!(u128::from(Lamports(value).less_bps(Bps(1_000)).0), kept);
        }
        assert_eq!(TokenAmount(101).less_bps(Bps(250)), TokenAmount(98));
        assert_eq!(Lamports(u64::MAX).less_bps(Bps(0)), Lamports(u64::MAX));
        assert_eq!(Lamports(5).less_bps(Bps(10_000)), Lamports(0));
        assert_eq!(Lamports(5).less_bps(Bps(20_000)), Lamports(0));
    }
}
