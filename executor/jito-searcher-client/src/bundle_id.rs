//! The name a bundle has at every block engine, known before it is sent.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Hex of SHA-256 over the first signatures of the transactions, base58, joined by commas.
///
/// # Source
/// `derive_bundle_id` in jito-solana's `bundle/src/lib.rs` at b64857b.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId([u8; BundleId::LEN]);

/// The text is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a bundle id is 64 lower-case hexadecimal digits")]
pub struct NotABundleId;

impl BundleId {
    /// Characters in its text.
    pub const LEN: usize = 64;

    /// The id of the bundle whose transactions have these first signatures, in order.
    ///
    /// Cost: a base58 conversion of 64 bytes per signature, and one hash. No heap.
    pub fn of_signatures<'a>(signatures: impl IntoIterator<Item = &'a [u8; 64]>) -> Self {
        let mut hasher = Sha256::new();
        for (index, signature) in signatures.into_iter().enumerate() {
            if index > 0 {
                hasher.update(b",");
            }
            let mut text = [0_u8; SIGNATURE_TEXT_LEN_MAX];
            let len = bs58::encode(signature)
                .onto(&mut text[..])
                .expect("64 bytes fit 88 base58 digits");
            hasher.update(&text[..len]);
        }
        let mut hex = [0; Self::LEN];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hasher.finalize()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(hex)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

/// Base58 digits of 64 bytes of 0xff.
const SIGNATURE_TEXT_LEN_MAX: usize = 88;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl FromStr for BundleId {
    type Err = NotABundleId;

    fn from_str(text: &str) -> Result<Self, NotABundleId> {
        let hex = <[u8; Self::LEN]>::try_from(text.as_bytes()).map_err(|_| NotABundleId)?;
        if hex.iter().all(|digit| DIGITS.contains(digit)) {
            Ok(Self(hex))
        } else {
            Err(NotABundleId)
        }
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Goal: the id is the one a validator derives.
    /// Method: compare with `sha256sum` over the texts, written out by hand: 64 zero bytes are 64 ones in
    /// base58, and 64 bytes of 0xff are the longest text a signature has.
    #[test]
    fn id_is_the_hash_of_the_joined_base58_texts() {
        let longest = "67rpwLCuS5DGA8KGZXKsVQ7dnPb9goRLoKfgGbLfQg9WoLUgNY77E2jT11fem3coV9nAkguBACzrU1iyZM4B8roQ";
        let text = format!("{},{longest}", "1".repeat(64));
        let expect: String = Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let id = BundleId::of_signatures([&[0; 64], &[0xff; 64]]);
        assert_eq!(id.as_str(), expect);
        assert_eq!(expect.parse::<BundleId>().unwrap(), id);
    }

    #[test]
    fn order_and_count_matter() {
        let (a, b) = ([1; 64], [2; 64]);
        assert_ne!(
            BundleId::of_signatures([&a, &b]),
            BundleId::of_signatures([&b, &a])
        );
        assert_ne!(
            BundleId::of_signatures([&a]),
            BundleId::of_signatures([&a, &a])
        );
    }

    #[test]
    fn other_texts_are_refused() {
        let id = BundleId::of_signatures([&[7; 64]]).to_string();
        for text in [
            "",
            &id[1..],
            &id.to_uppercase(),
            &format!("{id}0"),
            &id.replace(&id[..1], "g"),
        ] {
            assert_eq!(text.parse::<BundleId>(), Err(NotABundleId), "{text}");
        }
    }
}
