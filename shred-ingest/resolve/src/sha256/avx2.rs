//! Eight messages in 256-bit vectors.

use super::BLOCK;
use super::lanes::{hash_in_lanes, next_sixteen, next_word, one_round, sixteen_rounds};
use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi128_si256,
    _mm256_inserti128_si256, _mm256_or_si256, _mm256_set_epi8, _mm256_set1_epi32,
    _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_storeu_si256,
    _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    _mm256_xor_si256,
};

hash_in_lanes!("avx2", __m256i, 8);

/// Lane 4i + j is row j of the i-th 128 bits, whose four rows are transposed within them.
#[target_feature(enable = "avx2")]
#[inline]
fn load(blocks: &[&[u8; BLOCK]; 8], quarter: usize) -> [__m256i; 4] {
    let big_endian = _mm256_set_epi8(
        12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3, //
        12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3,
    );
    let mut rows = [splat(0); 4];
    for (j, row) in rows.iter_mut().enumerate() {
        let [low, high] = [j, j + 4].map(|lane| {
            let bytes: &[u8; 16] = &blocks[lane].as_chunks().0[quarter];
            // SAFETY: the array is as long as a vector, and an unaligned load is asked for.
            unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
        });
        let both = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high);
        *row = _mm256_shuffle_epi8(both, big_endian);
    }
    let low_01 = _mm256_unpacklo_epi32(rows[0], rows[1]);
    let low_23 = _mm256_unpacklo_epi32(rows[2], rows[3]);
    let high_01 = _mm256_unpackhi_epi32(rows[0], rows[1]);
    let high_23 = _mm256_unpackhi_epi32(rows[2], rows[3]);
    [
        _mm256_unpacklo_epi64(low_01, low_23),
        _mm256_unpackhi_epi64(low_01, low_23),
        _mm256_unpacklo_epi64(high_01, high_23),
        _mm256_unpackhi_epi64(high_01, high_23),
    ]
}

#[target_feature(enable = "avx2")]
#[inline]
fn words(vector: __m256i) -> [u32; 8] {
    let mut words = [0; 8];
    // SAFETY: the array is as long as a vector, and an unaligned store is asked for.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
    words
}

#[target_feature(enable = "avx2")]
#[inline]
fn splat(word: u32) -> __m256i {
    _mm256_set1_epi32(word.cast_signed())
}

#[target_feature(enable = "avx2")]
#[inline]
fn add(x: __m256i, y: __m256i) -> __m256i {
    _mm256_add_epi32(x, y)
}

#[target_feature(enable = "avx2")]
#[inline]
fn choose(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)))
}

/// The sum of `y` and `z` here is that of `x` and `y` in the round before, and is kept from there.
#[target_feature(enable = "avx2")]
#[inline]
fn majority(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    let differ = _mm256_and_si256(_mm256_xor_si256(x, y), _mm256_xor_si256(y, z));
    _mm256_xor_si256(y, differ)
}

#[target_feature(enable = "avx2")]
#[inline]
fn exclusive_or(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
    _mm256_xor_si256(_mm256_xor_si256(x, y), z)
}

/// Turned right by `RIGHT` bits; both add up to 32.
#[target_feature(enable = "avx2")]
#[inline]
fn turn<const RIGHT: i32, const LEFT: i32>(x: __m256i) -> __m256i {
    const { assert!(RIGHT + LEFT == 32) };
    _mm256_or_si256(_mm256_srli_epi32::<RIGHT>(x), _mm256_slli_epi32::<LEFT>(x))
}

#[target_feature(enable = "avx2")]
#[inline]
fn big_sigma_0(x: __m256i) -> __m256i {
    exclusive_or(turn::<2, 30>(x), turn::<13, 19>(x), turn::<22, 10>(x))
}

#[target_feature(enable = "avx2")]
#[inline]
fn big_sigma_1(x: __m256i) -> __m256i {
    exclusive_or(turn::<6, 26>(x), turn::<11, 21>(x), turn::<25, 7>(x))
}

#[target_feature(enable = "avx2")]
#[inline]
fn small_sigma_0(x: __m256i) -> __m256i {
    exclusive_or(
        turn::<7, 25>(x),
        turn::<18, 14>(x),
        _mm256_srli_epi32::<3>(x),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn small_sigma_1(x: __m256i) -> __m256i {
    exclusive_or(
        turn::<17, 15>(x),
        turn::<19, 13>(x),
        _mm256_srli_epi32::<10>(x),
    )
}
