//! Compact-u16, the length prefix of every list in a legacy or v0 transaction.
//!
//! Seven bits a byte, least significant first, the top bit meaning "more follows"; one to three bytes.
//! Only the shortest form of a value is legal, so bytes and values are one to one:
//!
//! | bytes                        | values         |
//! |------------------------------|---------------:|
//! | `0xxxxxxx`                   |          0-127 |
//! | `1xxxxxxx 0yyyyyyy`          |     128-16,383 |
//! | `1xxxxxxx 1yyyyyyy 000000zz` | 16,384-65,535  |
//!
//! Source: crate `solana-short-vec` 3.2.2, `visit_byte` and its wincode twin; firedancer
//! `src/ballet/txn/fd_compact_u16.h` accepts the same set.
#![deny(clippy::indexing_slicing)]

/// Most bytes one compact-u16 takes.
pub const LEN_MAX: usize = 3;

/// What the bytes at hand say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A legal beginning; at least one more byte is needed.
    NeedMore,
    /// A whole value.
    Done {
        /// The value.
        value: u16,
        /// Bytes it took, 1 to [`LEN_MAX`].
        len: usize,
    },
}

/// Why bytes are not a compact-u16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ShortU16Reject {
    /// A longer form of a value that has a shorter one.
    Alias,
    /// The third byte says that a fourth follows.
    TooLong,
    /// The value passes `u16::MAX`.
    Overflow,
}

/// Reads the compact-u16 at the start of `bytes`; whatever follows it is ignored.
///
/// Total, and resumable by calling again with more bytes: at most [`LEN_MAX`] bytes are looked at, and
/// the verdict on a byte never changes when more arrive.
///
/// # Errors
/// [`ShortU16Reject`] as soon as the bytes at hand rule out a legal value.
#[inline]
pub fn decode(bytes: &[u8]) -> Result<Decoded, ShortU16Reject> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Ok(Decoded::Done {
            value: u16::from(byte),
            len: 1,
        }),
        Some(_) => decode_long(bytes),
        None => Ok(Decoded::NeedMore),
    }
}

/// Lists longer than 127 are rare: out of line, so that the one-byte case stays small.
fn decode_long(bytes: &[u8]) -> Result<Decoded, ShortU16Reject> {
    let low = |byte: u8| u16::from(byte & 0x7f);
    match *bytes {
        [_, 0, ..] => Err(ShortU16Reject::Alias),
        [first, second, ..] if second < 0x80 => Ok(Decoded::Done {
            value: low(first) | low(second) << 7,
            len: 2,
        }),
        [_, _, 0, ..] => Err(ShortU16Reject::Alias),
        [_, _, third, ..] if third >= 0x80 => Err(ShortU16Reject::TooLong),
        [_, _, third, ..] if third > 3 => Err(ShortU16Reject::Overflow),
        [first, second, third, ..] => Ok(Decoded::Done {
            value: low(first) | low(second) << 7 | low(third) << 14,
            len: 3,
        }),
        _ => Ok(Decoded::NeedMore),
    }
}

/// The compact-u16 of `value`: the bytes, and how many of them count.
#[inline]
#[must_use]
pub const fn encode(value: u16) -> ([u8; LEN_MAX], usize) {
    let low = (value & 0x7f) as u8;
    let middle = (value >> 7 & 0x7f) as u8;
    let high = (value >> 14) as u8;
    match value {
        0..=0x7f => ([low, 0, 0], 1),
        0x80..=0x3fff => ([low | 0x80, middle, 0], 2),
        _ => ([low | 0x80, middle | 0x80, high], 3),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    /// Goal: bytes and values are one to one.
    /// Method: every value encodes to something that decodes to it, byte by byte.
    #[test]
    fn every_value_round_trips_and_every_cut_waits() {
        for value in 0..=u16::MAX {
            let (bytes, len) = encode(value);
            for cut in 0..len {
                assert_eq!(
                    decode(&bytes[..cut]),
                    Ok(Decoded::NeedMore),
                    "{value} cut at {cut}"
                );
            }
            assert_eq!(decode(&bytes[..len]), Ok(Decoded::Done { value, len }));
            assert_eq!(
                decode(&[&bytes[..len], &[0xff; 3]].concat()),
                Ok(Decoded::Done { value, len })
            );
        }
    }

    /// Goal: nothing but what `encode` makes is accepted.
    /// Method: all 2^24 three-byte strings; an accepted prefix must be the encoding of its value.
    #[test]
    fn every_accepted_string_is_the_canonical_one() {
        let mut accepted = 0u32;
        for word in 0..1u32 << 24 {
            let [a, b, c, _] = word.to_le_bytes();
            if let Ok(Decoded::Done { value, len }) = decode(&[a, b, c]) {
                let (bytes, canonical) = encode(value);
                assert_eq!((&[a, b, c][..len], len), (&bytes[..canonical], canonical));
                accepted += u32::from(len == 3);
            }
        }
        assert_eq!(accepted, 65_536 - 16_384, "each value above 16,383 once");
    }

    #[test]
    fn refusals_name_their_reason() {
        assert_eq!(decode(&[0x80, 0]), Err(ShortU16Reject::Alias));
        assert_eq!(decode(&[0xff, 0]), Err(ShortU16Reject::Alias));
        assert_eq!(decode(&[0x80, 0x80, 0]), Err(ShortU16Reject::Alias));
        assert_eq!(decode(&[0x80, 0x80, 0x80]), Err(ShortU16Reject::TooLong));
        assert_eq!(decode(&[0x80, 0x80, 4]), Err(ShortU16Reject::Overflow));
        assert_eq!(
            decode(&[0xff, 0xff, 3]),
            Ok(Decoded::Done {
                value: u16::MAX,
                len: 3
            })
        );
    }
}
