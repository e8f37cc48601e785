//! Base58 addresses turned into bytes by the compiler, so that tables read as the explorers print them.

use crate::units::Key;

/// The bytes of a base58 address, at compile time.
///
/// # Panics
/// On a character outside the alphabet or a value that is not 32 bytes: used in a `const`, that is a build
/// error. Not for run-time input.
///
/// Source of the alphabet: Bitcoin's base58, as Solana uses it.
#[must_use]
pub const fn key(address: &str) -> Key {
    let text = address.as_bytes();
    let mut bytes = [0u8; 32];
    let mut at = 0;
    while at < text.len() {
        let mut carry = digit(text[at]);
        let mut byte = bytes.len();
        while byte > 0 {
            byte -= 1;
            carry += bytes[byte] as u32 * 58;
            bytes[byte] = (carry & 0xff) as u8;
            carry >>= 8;
        }
        assert!(carry == 0, "address is longer than 32 bytes");
        at += 1;
    }
    bytes
}

/// Value of one base58 character.
const fn digit(character: u8) -> u32 {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut value = 0;
    while value < ALPHABET.len() {
        if ALPHABET[value] == character {
            return value as u32;
        }
        value += 1;
    }
    panic!("not a base58 character")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_addresses_decode() {
        assert_eq!(key("11111111111111111111111111111111"), [0; 32]);
        // The wrapped SOL mint, whose bytes are widely printed: 06 9b 88 57 fe ab 81 84 ...
        let wrapped = key("So11111111111111111111111111111111111111112");
        assert_eq!(
            wrapped[..8],
            [0x06, 0x9b, 0x88, 0x57, 0xfe, 0xab, 0x81, 0x84]
        );
        assert_eq!(wrapped[31], 1);
    }
}
