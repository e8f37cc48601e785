//! Multiplication with AVX-512: a column is a vector, and four columns of four lost shreds are summed in registers.

use super::{
    Block, Blocks, COLUMN, Coded, Columns, EXP, GROUP, Kernel, NEEDED, NIBBLES, POINTS, Row,
    multiply,
};
use shred_wire::shred::CODED_HEAD_LEN;
use std::arch::x86_64::{
    __m128i, __m512i, _mm_load_si128, _mm512_and_si512, _mm512_broadcast_i32x4,
    _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512, _mm512_mask_loadu_epi8,
    _mm512_maskz_loadu_epi8, _mm512_set1_epi8, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_shuffle_epi8, _mm512_srli_epi16, _mm512_storeu_si512, _mm512_ternarylogic_epi64,
};

/// One instruction for every 64 bytes: multiplying by a constant is linear over GF(2), whatever the polynomial.
pub(super) static AFFINE: Kernel = Kernel {
    name: "avx512+gfni",
    wide: WIDE,
    blocks: [affine::<1>(), affine::<2>(), affine::<3>(), affine::<4>()],
};

/// Two shuffles for every 64 bytes.
pub(super) static SHUFFLE: Kernel = Kernel {
    name: "avx512",
    wide: WIDE,
    blocks: [
        shuffle::<1>(),
        shuffle::<2>(),
        shuffle::<3>(),
        shuffle::<4>(),
    ],
};

/// Whole columns that are worked on together.
const WIDE: usize = 4;
const _: () = assert!(GROUP == 4);

const fn affine<const M: usize>() -> Blocks {
    &[
        by_affine::<M, 4, false> as Block,
        by_affine::<M, 1, true>,
        by_affine::<M, 2, true>,
        by_affine::<M, 3, true>,
        by_affine::<M, 4, true>,
    ]
}

const fn shuffle<const M: usize>() -> Blocks {
    &[
        by_shuffle::<M, 4, false> as Block,
        by_shuffle::<M, 1, true>,
        by_shuffle::<M, 2, true>,
        by_shuffle::<M, 3, true>,
        by_shuffle::<M, 4, true>,
    ]
}

/// For each logarithm the matrix that multiplies by what it is the logarithm of, as `gf2p8affineqb` wants it: byte
/// 7 - i holds, for bit i of the product, which bits of the factor are added up to it.
static MATRICES: [u64; 256] = {
    let mut matrices = [0; 256];
    let mut log = 0;
    while log < 256 {
        let mut bit = 0;
        while bit < 8 {
            let product = multiply(EXP[log], 1 << bit);
            let mut row = 0;
            while row < 8 {
                matrices[log] |= ((product >> row & 1) as u64) << (8 * (7 - row) + bit);
                row += 1;
            }
            bit += 1;
        }
        log += 1;
    }
    matrices
};

/// The truth table of a ^ b ^ c.
const ADD_THREE: i32 = 0x96;

/// `V` columns of `M` lost shreds, the last of them the edge if `EDGE`.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn by_affine<const M: usize, const V: usize, const EDGE: bool>(
    columns: Columns,
    known: &[Coded<'_>; NEEDED],
    lost: &[Coded<'_>],
    rows: &[Row],
) {
    let (Some(lost), Some(rows)) = (lost.first_chunk::<M>(), rows.first_chunk::<M>()) else {
        return;
    };
    let mut sums = [[_mm512_setzero_si512(); V]; M];
    // Two known shreds at a time: one instruction adds both products.
    for pair in known.as_chunks::<2>().0 {
        // SAFETY: whoever calls a block has checked the lengths.
        let [first, second] = unsafe {
            [
                load::<V, EDGE>(columns, &pair[0]),
                load::<V, EDGE>(columns, &pair[1]),
            ]
        };
        for m in 0..M {
            let [by_first, by_second] =
                [0, 1].map(|i| _mm512_set1_epi64(MATRICES[log_of(&rows[m], &pair[i])] as i64));
            for v in 0..V {
                sums[m][v] = _mm512_ternarylogic_epi64::<ADD_THREE>(
                    sums[m][v],
                    _mm512_gf2p8affine_epi64_epi8::<0>(first[v], by_first),
                    _mm512_gf2p8affine_epi64_epi8::<0>(second[v], by_second),
                );
            }
        }
    }
    for (sums, shred) in sums.iter().zip(lost) {
        // SAFETY: as above.
        unsafe { store::<V, EDGE>(columns, sums, shred) };
    }
}

/// As [`by_affine`].
#[target_feature(enable = "avx512f,avx512bw")]
fn by_shuffle<const M: usize, const V: usize, const EDGE: bool>(
    columns: Columns,
    known: &[Coded<'_>; NEEDED],
    lost: &[Coded<'_>],
    rows: &[Row],
) {
    let (Some(lost), Some(rows)) = (lost.first_chunk::<M>(), rows.first_chunk::<M>()) else {
        return;
    };
    let nibble = _mm512_set1_epi8(0xf);
    let mut sums = [[_mm512_setzero_si512(); V]; M];
    for shred in known {
        // SAFETY: whoever calls a block has checked the lengths.
        let bytes = unsafe { load::<V, EDGE>(columns, shred) };
        let low = bytes.map(|bytes| _mm512_and_si512(bytes, nibble));
        let high = bytes.map(|bytes| _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), nibble));
        for m in 0..M {
            let table = &NIBBLES[log_of(&rows[m], shred)];
            let [of_low, of_high] = [&table.low, &table.high].map(|table| {
                // SAFETY: a table is 16 bytes, and begins at a multiple of 16 because both lie in one aligned to 32.
                _mm512_broadcast_i32x4(unsafe { _mm_load_si128(table.as_ptr().cast::<__m128i>()) })
            });
            for v in 0..V {
                sums[m][v] = _mm512_ternarylogic_epi64::<ADD_THREE>(
                    sums[m][v],
                    _mm512_shuffle_epi8(of_low, low[v]),
                    _mm512_shuffle_epi8(of_high, high[v]),
                );
            }
        }
    }
    for (sums, shred) in sums.iter().zip(lost) {
        // SAFETY: as above.
        unsafe { store::<V, EDGE>(columns, sums, shred) };
    }
}

#[inline]
fn log_of(row: &Row, shred: &Coded<'_>) -> usize {
    usize::from(row[usize::from(shred.point) % POINTS])
}

/// # Safety
/// `shred` has an area as long as `columns` says, which is at least 64.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn load<const V: usize, const EDGE: bool>(
    columns: Columns,
    shred: &Coded<'_>,
) -> [__m512i; V] {
    let mut vectors = [_mm512_setzero_si512(); V];
    for (v, vector) in vectors.iter_mut().enumerate() {
        *vector = if EDGE && v == V - 1 {
            const HEAD: u64 = (1 << CODED_HEAD_LEN) - 1;
            let tail = ((1u64 << columns.tail) - 1) << CODED_HEAD_LEN;
            // SAFETY: only bytes under the masks are touched: the head, and the last `tail` of the area, which
            // is longer than what lies before these under the mask.
            unsafe {
                let before = shred
                    .area
                    .as_ptr()
                    .add(columns.len - columns.tail)
                    .sub(CODED_HEAD_LEN);
                let head = _mm512_maskz_loadu_epi8(HEAD, shred.head.as_ptr().cast());
                _mm512_mask_loadu_epi8(head, tail, before.cast())
            }
        } else {
            // SAFETY: a whole column lies in the area, wherever it starts.
            unsafe { _mm512_loadu_si512(shred.area.as_ptr().add(columns.start(v)).cast()) }
        };
    }
    vectors
}

/// # Safety
/// As [`load`].
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
unsafe fn store<const V: usize, const EDGE: bool>(
    columns: Columns,
    vectors: &[__m512i; V],
    shred: &Coded<'_>,
) {
    for (v, vector) in vectors.iter().enumerate() {
        if EDGE && v == V - 1 {
            let mut edge = [0; COLUMN];
            // SAFETY: `edge` is as long as a vector.
            unsafe { _mm512_storeu_si512(edge.as_mut_ptr().cast(), *vector) };
            columns.put::<true>(&edge, shred);
        } else {
            // SAFETY: a whole column lies in the area, wherever it starts, and cells may be written.
            unsafe {
                let at = shred.area.as_ptr().add(columns.start(v)).cast_mut();
                _mm512_storeu_si512(at.cast(), *vector);
            }
        }
    }
}
