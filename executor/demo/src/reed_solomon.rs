//! The code shreds' parity: a systematic Reed-Solomon code over GF(2^8) with polynomial 0x11D.
//!
//! The 32 data shards are the values at 0..=31 of a polynomial of degree 31, per byte position; code
//! shard `i` is its value at `32 + i`. Source: `reed-solomon-erasure` `galois_8` and Firedancer's
//! `fd_reedsol`, which agree.

/// Data shards in a set, and code shards.
pub const SHARDS: usize = 32;

/// Bytes worked on at a time: tables and sums for one chunk stay in the first-level cache.
const CHUNK: usize = 64;
const WORDS: usize = CHUNK / 8;

/// Eight words of eight field elements.
type Lane = [u64; WORDS];

/// `MATRIX[i][j]`: weight of data shard `j` in code shard `i`, from Lagrange's formula.
pub const MATRIX: [[u8; SHARDS]; SHARDS] = lagrange_matrix();

/// Writes the parity of `data` to `code`. All slices must have the same length.
///
/// # Panics
/// When a slice has another length.
pub fn encode(data: &[&[u8]; SHARDS], code: &mut [&mut [u8]; SHARDS]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has the instructions the function is compiled for.
        return unsafe { encode_avx2(data, code) };
    }
    encode_portable(data, code);
}

/// [`encode_portable`] compiled for wider registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn encode_avx2(data: &[&[u8]; SHARDS], code: &mut [&mut [u8]; SHARDS]) {
    encode_portable(data, code);
}

#[inline(always)]
fn encode_portable(data: &[&[u8]; SHARDS], code: &mut [&mut [u8]; SHARDS]) {
    let len = data[0].len();
    assert!(
        data.iter().all(|shard| shard.len() == len) && code.iter().all(|shard| shard.len() == len)
    );
    for from in (0..len).step_by(CHUNK) {
        let to = len.min(from + CHUNK);
        let mut sums = [[0_u64; WORDS]; SHARDS];
        for (column, shard) in data.iter().enumerate() {
            add_products(&load(&shard[from..to]), column, &mut sums);
        }
        for (shard, sum) in code.iter_mut().zip(&sums) {
            store(sum, &mut shard[from..to]);
        }
    }
}

/// Adds `MATRIX[i][column] * values` to every sum `i`, by two lookups of 16 multiples each.
#[inline(always)]
fn add_products(values: &Lane, column: usize, sums: &mut [Lane; SHARDS]) {
    let low = multiples(values);
    let sixteenfold = double(&double(&double(&double(values))));
    let high = multiples(&sixteenfold);
    for (sum, row) in sums.iter_mut().zip(&MATRIX) {
        let weight = row[column];
        let (low, high) = (
            &low[usize::from(weight & 15)],
            &high[usize::from(weight >> 4)],
        );
        for word in 0..WORDS {
            sum[word] ^= low[word] ^ high[word];
        }
    }
}

/// `values` times 0 to 15.
#[inline(always)]
fn multiples(values: &Lane) -> [Lane; 16] {
    let mut table = [[0_u64; WORDS]; 16];
    table[1] = *values;
    for at in 1..8 {
        table[2 * at] = double(&table[at]);
        for word in 0..WORDS {
            table[2 * at + 1][word] = table[2 * at][word] ^ values[word];
        }
    }
    table
}

/// `values` times 2: a shift, and 0x1D where a bit fell off.
#[inline(always)]
fn double(values: &Lane) -> Lane {
    let mut doubled = [0_u64; WORDS];
    for word in 0..WORDS {
        let fallen = (values[word] >> 7) & 0x0101_0101_0101_0101;
        let reduced = fallen ^ (fallen << 2) ^ (fallen << 3) ^ (fallen << 4);
        doubled[word] = ((values[word] & 0x7f7f_7f7f_7f7f_7f7f) << 1) ^ reduced;
    }
    doubled
}

#[inline(always)]
fn load(bytes: &[u8]) -> Lane {
    let mut chunk = [0_u8; CHUNK];
    chunk[..bytes.len()].copy_from_slice(bytes);
    let mut lane = [0_u64; WORDS];
    for (word, bytes) in lane.iter_mut().zip(chunk.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    lane
}

#[inline(always)]
fn store(lane: &Lane, bytes: &mut [u8]) {
    let mut chunk = [0_u8; CHUNK];
    for (word, bytes) in lane.iter().zip(chunk.as_chunks_mut::<8>().0) {
        *bytes = word.to_le_bytes();
    }
    bytes.copy_from_slice(&chunk[..bytes.len()]);
}

/// `M[i][j] = prod_k (x ^ k) / ((x ^ j) * prod_{k != j} (j ^ k))` with `x = 32 + i`. The products
/// of all `j ^ k` are the same for every `j`, as `j ^ k` runs over 1..=31 in some order.
const fn lagrange_matrix() -> [[u8; SHARDS]; SHARDS] {
    let mut others = 1;
    let mut k = 1;
    while k < SHARDS as u8 {
        others = multiply(others, k);
        k += 1;
    }
    let mut matrix = [[0; SHARDS]; SHARDS];
    let mut i = 0;
    while i < SHARDS {
        let x = (SHARDS + i) as u8;
        let mut all = 1;
        let mut k = 0;
        while k < SHARDS as u8 {
            all = multiply(all, x ^ k);
            k += 1;
        }
        let mut j = 0;
        while j < SHARDS {
            matrix[i][j] = multiply(all, inverse(multiply(x ^ j as u8, others)));
            j += 1;
        }
        i += 1;
    }
    matrix
}

const fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0);
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 != 0 { 0x1d } else { 0 };
        b >>= 1;
    }
    product
}

/// `value ^ 254`, which is the inverse because every element to the 255th is 1.
const fn inverse(value: u8) -> u8 {
    let (mut power, mut result, mut bit) = (value, 1, 1);
    while bit < 8 {
        power = multiply(power, power);
        result = multiply(result, power);
        bit += 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prng::Prng;

    fn shards(len: usize, seed: u64) -> Vec<Vec<u8>> {
        let mut prng = Prng::new(seed);
        (0..SHARDS)
            .map(|_| (0..len).map(|_| prng.next_u64() as u8).collect())
            .collect()
    }

    fn parity(data: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut code = vec![vec![0; data[0].len()]; SHARDS];
        let views: [&[u8]; SHARDS] = std::array::from_fn(|at| data[at].as_slice());
        let mut code_views: Vec<&mut [u8]> = code.iter_mut().map(Vec::as_mut_slice).collect();
        encode(
            &views,
            code_views.as_mut_slice().try_into().expect("32 shards"),
        );
        code
    }

    #[test]
    fn the_field_is_a_field() {
        assert!((1..=255).all(|value| multiply(value, inverse(value)) == 1));
        assert_eq!(multiply(0x80, 2), 0x1d);
    }

    #[test]
    fn parity_is_the_matrix_product_at_every_length() {
        for len in [1, 7, 63, 64, 65, 923, 987] {
            let data = shards(len, len as u64);
            let code = parity(&data);
            for (row, shard) in MATRIX.iter().zip(&code) {
                let byte = |at: usize| {
                    row.iter()
                        .zip(&data)
                        .fold(0, |sum, (weight, shard)| sum ^ multiply(*weight, shard[at]))
                };
                assert!((0..len).all(|at| shard[at] == byte(at)), "length {len}");
            }
        }
    }

    #[test]
    fn any_32_shards_determine_the_rest() {
        // Values at 64 points of one polynomial: interpolating through the last 32 (all code) must
        // give the data back. That is Lagrange's formula again, from the other side.
        let data = shards(3, 9);
        let code = parity(&data);
        for (wanted, shard) in data.iter().enumerate() {
            for at in 0..3 {
                let mut value = 0;
                for (j, known) in code.iter().enumerate() {
                    let mut weight = 1;
                    for k in (0..SHARDS).filter(|k| *k != j) {
                        let (x, point, other) = (wanted as u8, (32 + j) as u8, (32 + k) as u8);
                        weight = multiply(weight, multiply(x ^ other, inverse(point ^ other)));
                    }
                    value ^= multiply(weight, known[at]);
                }
                assert_eq!(value, shard[at]);
            }
        }
    }
}
