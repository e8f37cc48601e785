//! Multiplication with AVX2: a column in two vectors, products by shuffles of nibble tables.

use super::{Block, COLUMN, Coded, Columns, Kernel, NEEDED, NIBBLES, NibbleTable, Row};
use std::arch::x86_64::{
    __m128i, __m256i, _mm_load_si128, _mm256_and_si256, _mm256_broadcastsi128_si256,
    _mm256_loadu_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256,
};

/// Two shuffles for every 32 bytes.
pub(super) static SHUFFLE: Kernel = Kernel {
    name: "avx2",
    wide: 1,
    blocks: [
        &[block::<1, false>, block::<1, true>] as &[Block],
        &[block::<2, false>, block::<2, true>],
        &[block::<3, false>, block::<3, true>],
        &[block::<4, false>, block::<4, true>],
    ],
};

const LANE: usize = 32;

/// One column of `M` lost shreds; the edge column if `EDGE`.
#[target_feature(enable = "avx2")]
fn block<const M: usize, const EDGE: bool>(
    columns: Columns,
    known: &[Coded<'_>; NEEDED],
    lost: &[Coded<'_>],
    rows: &[Row],
) {
    let (Some(lost), Some(rows)) = (lost.first_chunk::<M>(), rows.first_chunk::<M>()) else {
        return;
    };
    let nibble = _mm256_set1_epi8(0xf);
    let mut sums = [[_mm256_setzero_si256(); 2]; M];
    for shred in known {
        let edge;
        let column = if EDGE {
            edge = columns.get::<EDGE>(shred);
            edge.as_ptr()
        } else {
            columns.column(0, shred).as_ptr().cast()
        };
        // SAFETY: a column is 64 bytes, and unaligned loads are asked for.
        let vectors = unsafe {
            let at = column.cast::<__m256i>();
            [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))]
        };
        let nibbles = vectors.map(|bytes| {
            [
                _mm256_and_si256(bytes, nibble),
                _mm256_and_si256(_mm256_srli_epi64::<4>(bytes), nibble),
            ]
        });
        for (sums, row) in sums.iter_mut().zip(rows) {
            let [low, high] = tables(&NIBBLES[usize::from(row[usize::from(shred.point)])]);
            for (sum, [from_low, from_high]) in sums.iter_mut().zip(nibbles) {
                let product = _mm256_xor_si256(
                    _mm256_shuffle_epi8(low, from_low),
                    _mm256_shuffle_epi8(high, from_high),
                );
                *sum = _mm256_xor_si256(*sum, product);
            }
        }
    }
    for (sums, shred) in sums.into_iter().zip(lost) {
        let mut column = [0; COLUMN];
        for (sum, bytes) in sums.into_iter().zip(column.chunks_exact_mut(LANE)) {
            // SAFETY: `bytes` are 32, and an unaligned store is asked for.
            unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast::<__m256i>(), sum) };
        }
        columns.put::<EDGE>(&column, shred);
    }
}

/// Both tables, in both halves of a vector.
#[target_feature(enable = "avx2")]
#[inline]
fn tables(table: &NibbleTable) -> [__m256i; 2] {
    [&table.low, &table.high].map(|table| {
        // SAFETY: a table is 16 bytes, and begins at a multiple of 16 because both lie in one aligned to 32.
        _mm256_broadcastsi128_si256(unsafe { _mm_load_si128(table.as_ptr().cast::<__m128i>()) })
    })
}
