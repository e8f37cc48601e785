//! The SHA extensions. Two rounds are one instruction, whose result the next one waits for twice as long as the unit
//! is busy with it: two interleaved messages fill the unit as long as nothing comes late, and a third makes up for
//! what does.
//!
//! A fourth gains nothing: states and words don't fit into the 16 registers that these instructions can name. AVX is
//! asked for because its forms of the other instructions don't overwrite an operand.

use super::{BLOCK, INITIAL, Message, ROUND, State};
use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_load_si128, _mm_loadu_si128, _mm_set_epi8,
    _mm_set_epi32, _mm_setzero_si128, _mm_sha256msg1_epu32, _mm_sha256msg2_epu32,
    _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32, _mm_storeu_si128,
};
use std::array;

/// Hashes `N` messages, block by block together as long as all of them have blocks, then each alone. Others are left.
#[target_feature(enable = "sha,avx")]
pub(super) fn hash<const N: usize>(messages: &[Message<'_>]) {
    let Some(messages) = messages.first_chunk::<N>() else {
        return;
    };
    let mut streams = [Stream::start(); N];
    let mut shared = 0;
    if N > 1 {
        shared = usize::MAX;
        for message in messages {
            shared = shared.min(message.block_count());
        }
        for index in 0..shared {
            let after = rounds(streams, array::from_fn(|n| messages[n].block(index)));
            for (stream, after) in streams.iter_mut().zip(after) {
                *stream = stream.plus(after);
            }
        }
    }
    for (message, mut stream) in messages.iter().zip(streams) {
        for index in shared..message.block_count() {
            let [after] = rounds([stream], [message.block(index)]);
            stream = stream.plus(after);
        }
        message.state.set(stream.state());
    }
}

/// A state in the order of words that the instructions want, the last-named lowest.
#[derive(Clone, Copy)]
struct Stream {
    abef: __m128i,
    cdgh: __m128i,
}

impl Stream {
    #[target_feature(enable = "sha,avx")]
    #[inline]
    fn start() -> Self {
        let [a, b, c, d, e, f, g, h] = INITIAL.map(u32::cast_signed);
        Self {
            abef: _mm_set_epi32(a, b, e, f),
            cdgh: _mm_set_epi32(c, d, g, h),
        }
    }

    #[target_feature(enable = "sha,avx")]
    #[inline]
    fn plus(self, other: Self) -> Self {
        Self {
            abef: _mm_add_epi32(self.abef, other.abef),
            cdgh: _mm_add_epi32(self.cdgh, other.cdgh),
        }
    }

    #[target_feature(enable = "sha,avx")]
    #[inline]
    fn state(&self) -> State {
        let [f, e, b, a] = words(self.abef);
        let [h, g, d, c] = words(self.cdgh);
        [a, b, c, d, e, f, g, h]
    }
}

#[target_feature(enable = "sha,avx")]
#[inline]
fn words(vector: __m128i) -> [u32; 4] {
    let mut words = [0; 4];
    // SAFETY: the array is as long as a vector, and an unaligned store is asked for.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), vector) };
    words
}

/// Four rounds, and unless these are the last the words of the four rounds that come 16 later.
///
/// The words of the next 16 rounds are in `$w`; those of these four at `$at`.
macro_rules! four_rounds {
    ($streams:ident, $w:ident, $constants:expr, $at:literal, $more:literal) => {
        for n in 0..N {
            let w = _mm_add_epi32($w[n][$at], constants($constants + 4 * $at));
            let stream = &mut $streams[n];
            stream.cdgh = _mm_sha256rnds2_epu32(stream.cdgh, stream.abef, w);
            let w = _mm_shuffle_epi32::<0b00_00_11_10>(w);
            stream.abef = _mm_sha256rnds2_epu32(stream.abef, stream.cdgh, w);
        }
        if $more {
            for n in 0..N {
                let [w0, w4, w8, w12] = array::from_fn(|i| $w[n][($at + i) % 4]);
                let w16 =
                    _mm_add_epi32(_mm_sha256msg1_epu32(w0, w4), _mm_alignr_epi8::<4>(w12, w8));
                $w[n][$at] = _mm_sha256msg2_epu32(w16, w12);
            }
        }
    };
}

#[target_feature(enable = "sha,avx")]
#[inline]
fn rounds<const N: usize>(mut streams: [Stream; N], blocks: [&[u8; BLOCK]; N]) -> [Stream; N] {
    let big_endian = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    let mut w = [[_mm_setzero_si128(); 4]; N];
    for n in 0..N {
        for (w, bytes) in w[n].iter_mut().zip(blocks[n].as_chunks::<16>().0) {
            // SAFETY: the array is as long as a vector, and an unaligned load is asked for.
            let bytes = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
            *w = _mm_shuffle_epi8(bytes, big_endian);
        }
    }
    for sixteen in 0..3 {
        four_rounds!(streams, w, 16 * sixteen, 0, true);
        four_rounds!(streams, w, 16 * sixteen, 1, true);
        four_rounds!(streams, w, 16 * sixteen, 2, true);
        four_rounds!(streams, w, 16 * sixteen, 3, true);
    }
    four_rounds!(streams, w, 48, 0, false);
    four_rounds!(streams, w, 48, 1, false);
    four_rounds!(streams, w, 48, 2, false);
    four_rounds!(streams, w, 48, 3, false);
    streams
}

/// Four from `round` on, which is a multiple of 4.
#[target_feature(enable = "sha,avx")]
#[inline]
fn constants(round: usize) -> __m128i {
    let four: &[u32; 4] = &ROUND.0.as_chunks().0[round / 4];
    // SAFETY: the array is as long as a vector, and aligned because the table is and its place is a multiple of 4.
    unsafe { _mm_load_si128(four.as_ptr().cast()) }
}
