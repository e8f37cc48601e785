//! Sixteen messages in 512-bit vectors, or eight in 256-bit ones: half as many cost about half as much, which counts
//! when fewer have arrived. Either rotates a word, or combines three, in one instruction.

/// `_mm*_ternarylogic_epi32`: the result for each value of three bits.
const CHOOSE: i32 = 0b1100_1010;
const MAJORITY: i32 = 0b1110_1000;
const EXCLUSIVE_OR: i32 = 0b1001_0110;

pub(super) mod sixteen {
    use super::{CHOOSE, EXCLUSIVE_OR, MAJORITY};
    use crate::sha256::BLOCK;
    use crate::sha256::lanes::{hash_in_lanes, next_sixteen, next_word, one_round, sixteen_rounds};
    use std::arch::x86_64::{
        __m512i, _mm_loadu_si128, _mm_set_epi8, _mm512_add_epi32, _mm512_broadcast_i32x4,
        _mm512_castsi128_si512, _mm512_inserti32x4, _mm512_ror_epi32, _mm512_set1_epi32,
        _mm512_shuffle_epi8, _mm512_srli_epi32, _mm512_storeu_si512, _mm512_ternarylogic_epi32,
        _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    };

    hash_in_lanes!("avx512f,avx512bw", __m512i, 16);

    /// Lane 4i + j is row j of the i-th 128 bits, whose four rows are transposed within them.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn load(blocks: &[&[u8; BLOCK]; 16], quarter: usize) -> [__m512i; 4] {
        let big_endian = _mm512_broadcast_i32x4(_mm_set_epi8(
            12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3,
        ));
        let mut rows = [splat(0); 4];
        for (j, row) in rows.iter_mut().enumerate() {
            let [r0, r1, r2, r3] = [j, j + 4, j + 8, j + 12].map(|lane| {
                let bytes: &[u8; 16] = &blocks[lane].as_chunks().0[quarter];
                // SAFETY: the array is as long as a vector, and an unaligned load is asked for.
                unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
            });
            let all = _mm512_castsi128_si512(r0);
            let all = _mm512_inserti32x4::<1>(all, r1);
            let all = _mm512_inserti32x4::<2>(all, r2);
            let all = _mm512_inserti32x4::<3>(all, r3);
            *row = _mm512_shuffle_epi8(all, big_endian);
        }
        let low_01 = _mm512_unpacklo_epi32(rows[0], rows[1]);
        let low_23 = _mm512_unpacklo_epi32(rows[2], rows[3]);
        let high_01 = _mm512_unpackhi_epi32(rows[0], rows[1]);
        let high_23 = _mm512_unpackhi_epi32(rows[2], rows[3]);
        [
            _mm512_unpacklo_epi64(low_01, low_23),
            _mm512_unpackhi_epi64(low_01, low_23),
            _mm512_unpacklo_epi64(high_01, high_23),
            _mm512_unpackhi_epi64(high_01, high_23),
        ]
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn words(vector: __m512i) -> [u32; 16] {
        let mut words = [0; 16];
        // SAFETY: the array is as long as a vector, and an unaligned store is asked for.
        unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
        words
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn splat(word: u32) -> __m512i {
        _mm512_set1_epi32(word.cast_signed())
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn add(x: __m512i, y: __m512i) -> __m512i {
        _mm512_add_epi32(x, y)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn choose(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<CHOOSE>(x, y, z)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn majority(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<MAJORITY>(x, y, z)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn exclusive_or(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<EXCLUSIVE_OR>(x, y, z)
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn big_sigma_0(x: __m512i) -> __m512i {
        exclusive_or(
            _mm512_ror_epi32::<2>(x),
            _mm512_ror_epi32::<13>(x),
            _mm512_ror_epi32::<22>(x),
        )
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn big_sigma_1(x: __m512i) -> __m512i {
        exclusive_or(
            _mm512_ror_epi32::<6>(x),
            _mm512_ror_epi32::<11>(x),
            _mm512_ror_epi32::<25>(x),
        )
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn small_sigma_0(x: __m512i) -> __m512i {
        exclusive_or(
            _mm512_ror_epi32::<7>(x),
            _mm512_ror_epi32::<18>(x),
            _mm512_srli_epi32::<3>(x),
        )
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn small_sigma_1(x: __m512i) -> __m512i {
        exclusive_or(
            _mm512_ror_epi32::<17>(x),
            _mm512_ror_epi32::<19>(x),
            _mm512_srli_epi32::<10>(x),
        )
    }
}

pub(super) mod eight {
    use super::{CHOOSE, EXCLUSIVE_OR, MAJORITY};
    use crate::sha256::BLOCK;
    use crate::sha256::lanes::{hash_in_lanes, next_sixteen, next_word, one_round, sixteen_rounds};
    use std::arch::x86_64::{
        __m256i, _mm_loadu_si128, _mm_set_epi8, _mm256_add_epi32, _mm256_broadcastsi128_si256,
        _mm256_castsi128_si256, _mm256_inserti128_si256, _mm256_ror_epi32, _mm256_set1_epi32,
        _mm256_shuffle_epi8, _mm256_srli_epi32, _mm256_storeu_si256, _mm256_ternarylogic_epi32,
        _mm256_unpackhi_epi32, _mm256_unpackhi_epi64, _mm256_unpacklo_epi32, _mm256_unpacklo_epi64,
    };

    hash_in_lanes!("avx2,avx512f,avx512vl", __m256i, 8);

    /// Lane 4i + j is row j of the i-th 128 bits, whose four rows are transposed within them.
    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn load(blocks: &[&[u8; BLOCK]; 8], quarter: usize) -> [__m256i; 4] {
        let big_endian = _mm256_broadcastsi128_si256(_mm_set_epi8(
            12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3,
        ));
        let mut rows = [splat(0); 4];
        for (j, row) in rows.iter_mut().enumerate() {
            let [low, high] = [j, j + 4].map(|lane| {
                let bytes: &[u8; 16] = &blocks[lane].as_chunks().0[quarter];
                // SAFETY: the array is as long as a vector, and an unaligned load is asked for.
                unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
            });
            let all = _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high);
            *row = _mm256_shuffle_epi8(all, big_endian);
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

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn words(vector: __m256i) -> [u32; 8] {
        let mut words = [0; 8];
        // SAFETY: the array is as long as a vector, and an unaligned store is asked for.
        unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
        words
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn splat(word: u32) -> __m256i {
        _mm256_set1_epi32(word.cast_signed())
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn add(x: __m256i, y: __m256i) -> __m256i {
        _mm256_add_epi32(x, y)
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn choose(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        _mm256_ternarylogic_epi32::<CHOOSE>(x, y, z)
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn majority(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        _mm256_ternarylogic_epi32::<MAJORITY>(x, y, z)
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn exclusive_or(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        _mm256_ternarylogic_epi32::<EXCLUSIVE_OR>(x, y, z)
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn big_sigma_0(x: __m256i) -> __m256i {
        exclusive_or(
            _mm256_ror_epi32::<2>(x),
            _mm256_ror_epi32::<13>(x),
            _mm256_ror_epi32::<22>(x),
        )
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn big_sigma_1(x: __m256i) -> __m256i {
        exclusive_or(
            _mm256_ror_epi32::<6>(x),
            _mm256_ror_epi32::<11>(x),
            _mm256_ror_epi32::<25>(x),
        )
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn small_sigma_0(x: __m256i) -> __m256i {
        exclusive_or(
            _mm256_ror_epi32::<7>(x),
            _mm256_ror_epi32::<18>(x),
            _mm256_srli_epi32::<3>(x),
        )
    }

    #[target_feature(enable = "avx2,avx512f,avx512vl")]
    #[inline]
    fn small_sigma_1(x: __m256i) -> __m256i {
        exclusive_or(
            _mm256_ror_epi32::<17>(x),
            _mm256_ror_epi32::<19>(x),
            _mm256_srli_epi32::<10>(x),
        )
    }
}
