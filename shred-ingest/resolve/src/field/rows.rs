//! Lagrange coefficients, as logarithms.

use super::{LOG, NEEDED, ORDER, POINTS};

/// For each point y the logarithms of its differences from all points, and 0 for the one from itself.
static DIFFERENCES: [[u8; POINTS]; POINTS] = {
    let mut rows = [[0; POINTS]; POINTS];
    let mut y = 0;
    while y < POINTS {
        let mut x = 0;
        while x < POINTS {
            rows[y][x] = LOG[x ^ y];
            x += 1;
        }
        y += 1;
    }
    rows
};

/// Logarithm of d / e, where d is the product of the differences of a data point from all other data points, and e
/// that of its differences from all code points. Both are the same for every data point, because the points 0..=31
/// are a subgroup and 32..=63 its coset; for a code point the two change places.
const SIDES: u8 = {
    let mut log = 0;
    let mut point = 1;
    while point < NEEDED {
        log += LOG[point] as usize;
        point += 1;
    }
    while point < POINTS {
        log += ORDER - LOG[point] as usize;
        point += 1;
    }
    (log % ORDER) as u8
};

/// The coefficients that give lost data shreds from known shreds.
///
/// Let P vanish on the 32 known points. The coefficient of the known point k for the lost point t is
/// P(t) / ((t - k) P'(k)). The known points are the data points D, less the lost ones L, and as many code points C.
/// So P = D C / L, each letter standing for the polynomial that vanishes there; D is constant on code points and D'
/// on data points, and all that is left is W(k) / (W(t) (t - k)) with W = L / C (factors that would be 0 left out,
/// a constant more for code points). That takes two products of as many factors as shreds are lost. With more than
/// 16 lost, L and C are got from the points of either side that are not among them, which are fewer.
///
/// The logarithms of all 64 points are added at once, as bytes.
///
/// `MAX` is the most lost points that there is room for.
pub(crate) struct Rows<const MAX: usize> {
    rows: [Row; MAX],
    lost_count: usize,
}

/// By known point, the logarithm of its coefficient. Of no meaning at other points.
pub(crate) type Row = [u8; POINTS];

impl<const MAX: usize> Rows<MAX> {
    /// Rows that give the data shreds missing from `data` from those in it and from those in `code` (bit i:
    /// shred i), of which there are as many as are missing, at most `MAX`.
    ///
    /// Cost: two vector additions of 64 bytes for each lost shred, and one for each factor: at most 96.
    pub(crate) fn new(data: u32, code: u32) -> Self {
        debug_assert_eq!(data.count_zeros(), code.count_ones());
        let lost_count = data.count_zeros() as usize;
        let few = lost_count <= NEEDED / 2;
        let (times, over, code_side) = if few {
            (!data, code, SIDES)
        } else {
            (!code, data, negative(SIDES))
        };
        // Where the products are got from the other points of a side, these change places and sides.
        let (times_at, over_at) = if few { (0, NEEDED) } else { (NEEDED, 0) };
        let mut weights = [0; POINTS];
        weights[NEEDED..].fill(code_side);
        for point in bits(times) {
            add(&mut weights, &DIFFERENCES[times_at + point]);
        }
        for point in bits(over) {
            subtract(&mut weights, &DIFFERENCES[over_at + point]);
        }
        let mut rows = Self {
            rows: [[0; POINTS]; MAX],
            lost_count,
        };
        for (row, point) in rows.rows.iter_mut().zip(bits(!data)) {
            *row = weights;
            let own = weights[point];
            for (log, difference) in row.iter_mut().zip(&DIFFERENCES[point]) {
                *log = sum(sum(*log, negative(own)), negative(*difference));
            }
        }
        rows
    }

    /// One row for each lost shred, in index order.
    pub(crate) fn as_slice(&self) -> &[Row] {
        &self.rows[..self.lost_count]
    }
}

/// The set bits of `set`, lowest first.
pub(crate) fn bits(mut set: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (bit < 32).then_some(bit)
    })
}

/// Adds modulo 255: what is carried out comes in again below. 0 and 255 are the same.
#[inline]
const fn sum(a: u8, b: u8) -> u8 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u8)
}

#[inline]
const fn negative(log: u8) -> u8 {
    !log
}

#[inline]
fn add(logs: &mut [u8; POINTS], more: &[u8; POINTS]) {
    for (log, more) in logs.iter_mut().zip(more) {
        *log = sum(*log, *more);
    }
}

#[inline]
fn subtract(logs: &mut [u8; POINTS], less: &[u8; POINTS]) {
    for (log, less) in logs.iter_mut().zip(less) {
        *log = sum(*log, negative(*less));
    }
}
