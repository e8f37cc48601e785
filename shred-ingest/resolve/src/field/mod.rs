//! Arithmetic in GF(2^8) with polynomial 0x11D, and the recovery of lost data shreds by Lagrange interpolation.
//!
//! The erasure code evaluates, byte by byte, the polynomial of degree 31 through the data shreds at points
//! 0..=31; code shred i is its value at point 32 + i. Any 32 shreds therefore give every other one by Lagrange
//! interpolation in closed form, without inverting a matrix.
//!
//! [`Rows`] holds the coefficients, a [`Kernel`] multiplies by them. Between the two, coefficients are logarithms:
//! none is 0, and the tables that a kernel looks them up in can be in any order.
//!
//! Source: agave `ledger/src/shred/merkle.rs` (`reed-solomon-erasure` `galois_8`, 32:32); checked in this
//! crate's tests against that package.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod rows;

pub(crate) use rows::{Row, Rows, bits};
use shred_wire::shred::CODED_HEAD_LEN;
use std::cell::Cell;

/// Shreds of a set.
const POINTS: usize = 64;
/// Shreds that determine a set.
const NEEDED: usize = 32;
/// The multiplicative group's order: logarithms are counted modulo this.
const ORDER: usize = 255;

const LOG: [u8; 256] = TABLES.0;
/// Powers of the generator 2. The last is the first again, so that 255 is a logarithm of 1 as 0 is.
const EXP: [u8; 256] = TABLES.1;

const TABLES: ([u8; 256], [u8; 256]) = {
    let mut log = [0u8; 256];
    let mut exp = [0u8; 256];
    let mut value = 1u16;
    let mut power = 0;
    while power < ORDER {
        exp[power] = value as u8;
        log[value as usize] = power as u8;
        value <<= 1;
        if value & 0x100 != 0 {
            value ^= 0x11d;
        }
        power += 1;
    }
    exp[ORDER] = 1;
    (log, exp)
};

#[cfg(any(test, target_arch = "x86_64"))]
const fn multiply(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        0
    } else {
        EXP[(LOG[a as usize] as usize + LOG[b as usize] as usize) % ORDER]
    }
}

/// The products of one coefficient with all low and all high nibbles: two look-ups and one addition multiply
/// any byte, and a 16-byte shuffle does so for a whole vector.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct NibbleTable {
    low: [u8; 16],
    high: [u8; 16],
}

/// By the coefficient's logarithm.
#[cfg(target_arch = "x86_64")]
static NIBBLES: [NibbleTable; 256] = {
    let mut tables = [NibbleTable {
        low: [0; 16],
        high: [0; 16],
    }; 256];
    let mut log = 0;
    while log < 256 {
        let mut nibble = 0;
        while nibble < 16 {
            tables[log].low[nibble] = multiply(EXP[log], nibble as u8);
            tables[log].high[nibble] = multiply(EXP[log], (nibble << 4) as u8);
            nibble += 1;
        }
        log += 1;
    }
    tables
};

/// What the erasure code covers of a shred. In cells, because shreds that are read and shreds that are written lie
/// among each other.
#[derive(Clone, Copy)]
pub(crate) struct Coded<'a> {
    /// The data shred's index, or 32 and the code shred's.
    pub(crate) point: u8,
    /// The first bytes, which for data shreds don't lie before the others.
    pub(crate) head: &'a [Cell<u8>; CODED_HEAD_LEN],
    /// The rest.
    pub(crate) area: &'a [Cell<u8>],
}

/// Bytes of a shred that are worked on as one, at the least.
const COLUMN: usize = 64;
/// Lost shreds that are worked on together, at the most: what was loaded of a known one serves all of them.
pub(crate) const GROUP: usize = 4;
/// The longest rest of an area that fits into a column behind the head.
const TAIL_MAX: usize = COLUMN - CODED_HEAD_LEN;

/// Columns that are worked on together.
///
/// An area lies in whole columns and in a tail. The tail shares the edge column with the head: for both capacities
/// it is 3 bytes, and a column of its own would be nearly empty. A tail that doesn't fit there is the end of one
/// more whole column, which takes some bytes twice.
#[derive(Clone, Copy)]
struct Columns {
    /// The first of the whole columns.
    first: usize,
    /// Of the area.
    len: usize,
    /// Bytes of the area that lie in the edge column.
    tail: usize,
}

impl Columns {
    /// All columns of an area of `len` bytes, and how many of them are whole.
    const fn of(len: usize) -> (Self, usize) {
        let rest = len % COLUMN;
        let tail = if rest <= TAIL_MAX { rest } else { 0 };
        let columns = Self {
            first: 0,
            len,
            tail,
        };
        (columns, (len - tail).div_ceil(COLUMN))
    }

    /// Where the whole column that is `ordinal` after the first starts in the area.
    #[inline]
    const fn start(&self, ordinal: usize) -> usize {
        let start = (self.first + ordinal) * COLUMN;
        let last = self.len - COLUMN;
        if start < last { start } else { last }
    }

    /// A whole column of a shred.
    #[inline]
    fn column<'a>(&self, ordinal: usize, shred: &Coded<'a>) -> &'a [Cell<u8>] {
        let start = self.start(ordinal);
        &shred.area[start..start + COLUMN]
    }

    /// The part of a shred's area that lies in the edge column, behind the head.
    #[inline]
    fn tail<'a>(&self, shred: &Coded<'a>) -> &'a [Cell<u8>] {
        &shred.area[self.len - self.tail..]
    }

    /// The bytes of a whole column, or of the edge column, which ends in zeros.
    #[inline]
    fn get<const EDGE: bool>(&self, shred: &Coded<'_>) -> [u8; COLUMN] {
        let mut bytes = [0; COLUMN];
        if EDGE {
            let (head, tail) = bytes.split_at_mut(CODED_HEAD_LEN);
            copy_out(shred.head, head);
            copy_out(self.tail(shred), tail);
        } else {
            copy_out(self.column(0, shred), &mut bytes);
        }
        bytes
    }

    /// Puts what [`Columns::get`] brings back to its place.
    #[inline]
    fn put<const EDGE: bool>(&self, bytes: &[u8; COLUMN], shred: &Coded<'_>) {
        if EDGE {
            let (head, tail) = bytes.split_at(CODED_HEAD_LEN);
            copy_in(head, shred.head);
            copy_in(tail, self.tail(shred));
        } else {
            copy_in(bytes, self.column(0, shred));
        }
    }
}

#[inline]
fn copy_out(from: &[Cell<u8>], to: &mut [u8]) {
    to.iter_mut()
        .zip(from)
        .for_each(|(to, from)| *to = from.get());
}

#[inline]
fn copy_in(from: &[u8], to: &[Cell<u8>]) {
    to.iter().zip(from).for_each(|(to, from)| to.set(*from));
}

/// Computes some columns of 1 to [`GROUP`] lost shreds, given the rows of these.
///
/// Safety: the caller has seen that this processor has the kernel's features, and that all areas are as long as the
/// columns say, which is at least one.
type Block = unsafe fn(Columns, &[Coded<'_>; NEEDED], &[Coded<'_>], &[Row]);

/// Blocks for one number of lost shreds: the first takes [`Kernel::wide`] whole columns, the one after it the edge
/// column alone, the next one whole column and the edge, and so on.
type Blocks = &'static [Block];

/// What recovery is done with on this processor: `avx512+gfni`, `avx512`, `avx2` or `portable`.
#[must_use]
pub fn recovery_kernel() -> &'static str {
    Kernel::best().name
}

/// A way of multiplying shreds by coefficients. There is one only where the processor has what it needs.
pub(crate) struct Kernel {
    name: &'static str,
    /// Whole columns that are worked on together.
    wide: usize,
    /// For 1 lost shred, 2, and so on.
    blocks: [Blocks; GROUP],
}

impl Kernel {
    /// The best for this processor. Reads what the standard library remembers of its features.
    pub(crate) fn best() -> &'static Self {
        Self::available()[0].expect("the portable kernel is always there")
    }

    /// Those that this processor can run, best first.
    fn available() -> [Option<&'static Self>; 4] {
        let mut kernels = [None; 4];
        let mut count = 0;
        let mut add = |kernel| {
            kernels[count] = Some(kernel);
            count += 1;
        };
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
                if is_x86_feature_detected!("gfni") {
                    add(&avx512::AFFINE);
                }
                add(&avx512::SHUFFLE);
            }
            if is_x86_feature_detected!("avx2") {
                add(&avx2::SHUFFLE);
            }
        }
        add(&portable::BIT_BY_BIT);
        kernels
    }

    /// Computes the `lost` shreds, whose rows are `rows` in the same order, from the `known` ones.
    ///
    /// Areas are all of one length, at least 64. Cost: for each lost shred 32 multiplications of its bytes; the
    /// known ones are read once for every four that are lost.
    ///
    /// # Panics
    /// When lengths differ.
    pub(crate) fn recover(&self, known: &[Coded<'_>; NEEDED], lost: &[Coded<'_>], rows: &[Row]) {
        let len = known[0].area.len();
        assert!(len >= COLUMN && lost.len() == rows.len());
        assert!(
            known
                .iter()
                .chain(lost)
                .all(|shred| shred.area.len() == len)
        );
        let (mut columns, whole) = Columns::of(len);
        while whole - columns.first >= self.wide {
            self.run(0, columns, known, lost, rows);
            columns.first += self.wide;
        }
        self.run(1 + whole - columns.first, columns, known, lost, rows);
    }

    fn run(
        &self,
        block: usize,
        columns: Columns,
        known: &[Coded<'_>; NEEDED],
        lost: &[Coded<'_>],
        rows: &[Row],
    ) {
        for (lost, rows) in lost.chunks(GROUP).zip(rows.chunks(GROUP)) {
            let block = self.blocks[lost.len() - 1][block];
            // SAFETY: only `available` hands out kernels, and only those whose features it has seen; `recover`,
            // the only caller, has just checked the lengths.
            unsafe { block(columns, known, lost, rows) };
        }
    }
}

#[cfg(test)]
mod tests;
