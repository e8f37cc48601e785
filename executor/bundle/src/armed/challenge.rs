//! `k = SHA-512(R || A || message)`, with the part that is known ahead already absorbed.

use sha2::compress512;
use sha2::digest::consts::U128;
use sha2::digest::generic_array::GenericArray;
use zeroize::{Zeroize, Zeroizing};

const BLOCK_LEN: usize = 128;
const _: () = assert!(size_of::<GenericArray<u8, U128>>() == BLOCK_LEN);
const _: () = assert!(align_of::<GenericArray<u8, U128>>() == 1);
/// Length of `R || A`.
const HEAD_LEN: usize = 64;
/// Source: FIPS 180-4 section 5.3.5.
const START: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The hash after whole blocks of `R || A || prefix`. Public: it holds nothing secret.
#[derive(Clone, Copy)]
pub(super) struct Absorbed {
    pub(super) state: [u64; 8],
    /// Bytes absorbed, a multiple of the block length.
    pub(super) len: usize,
}

impl Absorbed {
    pub(super) const NOTHING: Self = Self {
        state: START,
        len: 0,
    };

    /// Absorbs the whole blocks of `R || A || prefix`; what is left over is hashed at the end.
    pub(super) fn of(commitment: &[u8; 32], public: &[u8; 32], prefix: &[u8]) -> Self {
        let mut absorbed = Self::NOTHING;
        if let Some((first, rest)) = prefix.split_first_chunk::<HEAD_LEN>() {
            let (blocks, _) = rest.as_chunks();
            absorbed.absorb(&[first_block(commitment, public, first)]);
            absorbed.absorb(blocks);
        }
        absorbed
    }

    /// All blocks in one call: the state stays in registers between them.
    #[inline]
    fn absorb(&mut self, blocks: &[[u8; BLOCK_LEN]]) {
        let first = blocks.as_ptr().cast::<GenericArray<u8, U128>>();
        // SAFETY: a `GenericArray` of 128 bytes has the size, alignment and validity of an array of 128 bytes
        // (generic-array 0.14: transparent); pointer and length are those of a live slice.
        let arrays = unsafe { core::slice::from_raw_parts(first, blocks.len()) };
        compress512(&mut self.state, arrays);
        self.len += blocks.len() * BLOCK_LEN;
    }

    /// The hash of `R || A || message`, as the little-endian words of the number it stands for. `message`
    /// starts with the prefix absorbed.
    #[inline]
    pub(super) fn finish(
        mut self,
        commitment: &[u8; 32],
        public: &[u8; 32],
        message: &[u8],
    ) -> [u64; 8] {
        // The last one or two blocks: what fills no block, one bit, zeros, the length in bits.
        let mut end = [0; 2 * BLOCK_LEN];
        let mut filled = 0;
        let rest = match (self.len.checked_sub(HEAD_LEN), message.split_first_chunk()) {
            (Some(hashed), _) => message.get(hashed..).unwrap_or_default(),
            (None, Some((first, rest))) => {
                self.absorb(&[first_block(commitment, public, first)]);
                rest
            }
            (None, None) => {
                end[..32].copy_from_slice(commitment);
                end[32..HEAD_LEN].copy_from_slice(public);
                filled = HEAD_LEN;
                message
            }
        };
        let (blocks, tail) = rest.as_chunks();
        self.absorb(blocks);
        end[filled..filled + tail.len()].copy_from_slice(tail);
        filled += tail.len();
        end[filled] = 0x80;
        let end_len = if filled + 1 + 16 <= BLOCK_LEN {
            BLOCK_LEN
        } else {
            2 * BLOCK_LEN
        };
        let bits = (HEAD_LEN + message.len()) as u64 * 8;
        end[end_len - 8..end_len].copy_from_slice(&bits.to_be_bytes());
        let (blocks, _) = end[..end_len].as_chunks();
        self.absorb(blocks);
        self.state.map(u64::swap_bytes)
    }
}

/// SHA-512 of the parts, which together fit in two blocks with the padding; no copy of them is left behind.
///
/// # Panics
/// When they do not fit.
pub(super) fn wiping_sha512(parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let mut blocks = Zeroizing::new([[0; BLOCK_LEN]; 2]);
    let bytes = blocks.as_flattened_mut();
    let mut len = 0;
    for part in parts {
        bytes[len..len + part.len()].copy_from_slice(part);
        len += part.len();
    }
    assert!(
        BLOCK_LEN <= len + 1 + 16 && len + 1 + 16 <= 2 * BLOCK_LEN,
        "{len} bytes"
    );
    bytes[len] = 0x80;
    bytes[2 * BLOCK_LEN - 8..].copy_from_slice(&(len as u64 * 8).to_be_bytes());
    let mut hash = Absorbed::NOTHING;
    hash.absorb(&*blocks);
    let mut digest = Zeroizing::new([0; 64]);
    for (bytes, word) in digest.as_chunks_mut::<8>().0.iter_mut().zip(hash.state) {
        *bytes = word.to_be_bytes();
    }
    hash.state.zeroize();
    digest
}

fn first_block(
    commitment: &[u8; 32],
    public: &[u8; 32],
    message: &[u8; HEAD_LEN],
) -> [u8; BLOCK_LEN] {
    let mut block = [0; BLOCK_LEN];
    block[..32].copy_from_slice(commitment);
    block[32..HEAD_LEN].copy_from_slice(public);
    block[HEAD_LEN..].copy_from_slice(message);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha512};

    #[test]
    fn the_hash_of_secrets_is_sha512() {
        let part = [5; 60];
        for rest in [52, 100, 119] {
            let parts = [&part[..], &[6; 120][..rest]];
            assert_eq!(
                wiping_sha512(&parts)[..],
                Sha512::digest(parts.concat())[..]
            );
        }
    }

    /// Goal: every length of message with every length of prefix gives the hash of the whole.
    #[test]
    fn any_prefix_of_any_message_gives_the_whole_hash() {
        let (commitment, public) = ([1; 32], [2; 32]);
        let message: Vec<u8> = (0..700u32).map(|at| (at * 7 + at / 256) as u8).collect();
        for len in 0..=message.len() {
            let message = &message[..len];
            let hash = Sha512::new()
                .chain_update(commitment)
                .chain_update(public)
                .chain_update(message)
                .finalize();
            let (words, _) = hash.as_chunks::<8>();
            let expected: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
            for prefix in (0..=len).step_by(13).chain([len]) {
                let absorbed = Absorbed::of(&commitment, &public, &message[..prefix]);
                assert_eq!(absorbed.len, (HEAD_LEN + prefix) / BLOCK_LEN * BLOCK_LEN);
                let got = absorbed.finish(&commitment, &public, message);
                assert_eq!(got[..], expected, "{prefix} of {len}");
            }
        }
    }
}
