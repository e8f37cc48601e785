//! Decimal text to integers, without a float in between.

/// Why a decimal was refused. Start-up and tools only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not digits with at most one point between them.
    #[error("not a plain decimal number (write 0.05, not 5e-2, .05 or 0,05)")]
    NotDecimal,
    /// More digits after the point than the unit has.
    #[error("more than {0} digits after the point")]
    TooFine(u32),
    /// Does not fit 64 bits.
    #[error("too large")]
    TooLarge,
}

/// Parses an unsigned decimal into units of 10^-`places`: `parse_decimal("0.05", 9)` is 0.05 SOL
/// in lamports. Exact or refused; nothing is rounded.
///
/// # Errors
/// [`DecimalError`].
pub fn parse_decimal(text: &str, places: u32) -> Result<u64, DecimalError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return Err(DecimalError::NotDecimal),
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(DecimalError::NotDecimal);
    }
    if fraction.len() > places as usize {
        return Err(DecimalError::TooFine(places));
    }
    let missing = places as usize - fraction.len();
    let zeros = std::iter::repeat_n(b'0', missing);
    whole
        .bytes()
        .chain(fraction.bytes())
        .chain(zeros)
        .try_fold(0_u64, |value, digit| {
            let shifted = value.checked_mul(10).ok_or(DecimalError::TooLarge)?;
            shifted
                .checked_add(u64::from(digit - b'0'))
                .ok_or(DecimalError::TooLarge)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        let sol = |text| parse_decimal(text, 9);
        assert_eq!(sol("0.05"), Ok(50_000_000));
        assert_eq!(sol("1"), Ok(1_000_000_000));
        assert_eq!(sol("0.000000001"), Ok(1));
        assert_eq!(sol("18446744073.709551615"), Ok(u64::MAX));
        assert_eq!(sol("18446744073.709551616"), Err(DecimalError::TooLarge));
        assert_eq!(sol("0.0000000001"), Err(DecimalError::TooFine(9)));
        for text in [
            "", ".", "1.", ".5", "-1", "+1", "1e9", "1,5", "1.2.3", " 1", "NaN", "١",
        ] {
            assert_eq!(sol(text), Err(DecimalError::NotDecimal), "{text:?}");
        }
    }
}
