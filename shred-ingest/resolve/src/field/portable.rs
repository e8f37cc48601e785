//! Multiplication bit by bit, for any processor: without look-ups, so that a compiler can use what vectors there are.

use super::{Block, COLUMN, Coded, Columns, EXP, GROUP, Kernel, NEEDED, ORDER, Row};

/// Eight conditional additions for each byte.
pub(super) static BIT_BY_BIT: Kernel = Kernel {
    name: "portable",
    wide: 1,
    blocks: [&BLOCKS; GROUP],
};

static BLOCKS: [Block; 2] = [block::<false>, block::<true>];

/// One column of each lost shred; the edge column if `EDGE`.
fn block<const EDGE: bool>(
    columns: Columns,
    known: &[Coded<'_>; NEEDED],
    lost: &[Coded<'_>],
    rows: &[Row],
) {
    let mut sums = [[0; COLUMN]; GROUP];
    for shred in known {
        let bytes = columns.get::<EDGE>(shred);
        for (sum, row) in sums.iter_mut().zip(rows) {
            add_product(sum, &bytes, row[usize::from(shred.point)]);
        }
    }
    for (sum, shred) in sums.iter().zip(lost) {
        columns.put::<EDGE>(sum, shred);
    }
}

/// Adds the product of `bytes` and the coefficient whose logarithm is `log`.
fn add_product(sum: &mut [u8; COLUMN], bytes: &[u8; COLUMN], log: u8) {
    for bit in 0..8 {
        // What this bit of a byte adds: the coefficient times 1, 2, 4 and so on.
        let multiple = EXP[(usize::from(log) + bit) % ORDER];
        for (sum, byte) in sum.iter_mut().zip(bytes) {
            *sum ^= if byte & 1 << bit == 0 { 0 } else { multiple };
        }
    }
}
