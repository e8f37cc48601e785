//! Every kernel that this processor can run, against plain multiplication and against `reed-solomon-erasure`.

use super::*;
use proptest::prelude::*;
use reed_solomon_erasure::galois_8::ReedSolomon;
use std::sync::OnceLock;

fn kernels() -> impl Iterator<Item = &'static Kernel> {
    static SAID: OnceLock<()> = OnceLock::new();
    SAID.get_or_init(|| {
        let here: Vec<&str> = Kernel::available()
            .iter()
            .flatten()
            .map(|kernel| kernel.name)
            .collect();
        if here.len() < Kernel::available().len() {
            eprintln!("this processor lacks the features of some kernels; tested are {here:?}");
        }
    });
    Kernel::available().into_iter().flatten()
}

/// A set as the library codes it: 64 shards of a head and `capacity` bytes.
fn library_set(seed: u64, capacity: usize) -> Vec<Vec<u8>> {
    static LIBRARY: OnceLock<ReedSolomon> = OnceLock::new();
    let mut state = seed;
    let mut shards: Vec<Vec<u8>> = (0..POINTS)
        .map(|_| {
            (0..CODED_HEAD_LEN + capacity)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    (state >> 56) as u8
                })
                .collect()
        })
        .collect();
    LIBRARY
        .get_or_init(|| ReedSolomon::new(NEEDED, NEEDED).expect("32:32"))
        .encode(&mut shards)
        .expect("encodes");
    shards
}

/// The bytes of a shred, and where it belongs.
struct Bytes {
    point: usize,
    head: [u8; CODED_HEAD_LEN],
    area: Vec<u8>,
}

impl Bytes {
    fn of(point: usize, shard: &[u8]) -> Self {
        let (head, area) = shard.split_first_chunk().expect("a head and more");
        let (head, area) = (*head, area.to_vec());
        Self { point, head, area }
    }

    fn coded(&mut self) -> Coded<'_> {
        Coded {
            point: self.point as u8,
            head: Cell::from_mut(&mut self.head).as_array_of_cells(),
            area: Cell::from_mut(&mut self.area[..]).as_slice_of_cells(),
        }
    }
}

/// What `kernel` makes of `known`.
fn recovered(kernel: &Kernel, mut known: Vec<Bytes>, lost: &[usize], rows: &[Row]) -> Vec<Bytes> {
    let nothing = vec![0xa5; CODED_HEAD_LEN + known[0].area.len()];
    let mut bytes: Vec<Bytes> = lost
        .iter()
        .map(|point| Bytes::of(*point, &nothing))
        .collect();
    let lost: Vec<Coded<'_>> = bytes.iter_mut().map(Bytes::coded).collect();
    let known: Vec<Coded<'_>> = known.iter_mut().map(Bytes::coded).collect();
    kernel.recover(known.as_array().expect("32 are known"), &lost, rows);
    bytes
}

/// Takes away what is missing from `data`, and lets `kernel` bring it back with the help of `code`.
fn assert_recovers(kernel: &Kernel, shards: &[Vec<u8>], data: u32, code: u32) {
    let points = bits(data).chain(bits(code).map(|bit| NEEDED + bit));
    let known = points
        .map(|point| Bytes::of(point, &shards[point]))
        .collect();
    let lost: Vec<usize> = bits(!data).collect();
    let rows = Rows::<NEEDED>::new(data, code);
    for shred in recovered(kernel, known, &lost, rows.as_slice()) {
        let (name, point, count) = (kernel.name, shred.point, lost.len());
        let (head, area) = shards[point].split_at(CODED_HEAD_LEN);
        assert_eq!(shred.head, head, "{name}: head of {point}, {count} lost");
        assert_eq!(shred.area, area, "{name}: area of {point}, {count} lost");
    }
}

/// Goal: all 256 x 256 products, by each kernel, in every column of an area. 0 is no logarithm's number and no
/// coefficient of ours; 255 is one of 1, as 0 is.
#[test]
fn every_product_by_every_kernel() {
    let shard: Vec<u8> = (7..7 + CODED_HEAD_LEN as u8)
        .chain(0..=255)
        .chain(0..=66)
        .collect();
    let zeros = vec![0; shard.len()];
    for kernel in kernels() {
        for log in 0..=255u8 {
            // Each known shred in turn is the only one that is not 0, so that none is left out.
            let point = usize::from(log) % POINTS;
            let known = (0..NEEDED)
                .map(|at| {
                    if at == point % NEEDED {
                        Bytes::of(point, &shard)
                    } else {
                        Bytes::of(0, &zeros)
                    }
                })
                .collect();
            let mut row = [log.wrapping_add(1); POINTS];
            row[point] = log;
            let expected = |byte: &u8| multiply(*byte, EXP[usize::from(log)]);
            for lost in recovered(kernel, known, &[0; GROUP], &[row; GROUP]) {
                let product = lost.head.iter().chain(&lost.area).copied();
                assert!(
                    product.eq(shard.iter().map(expected)),
                    "{}: {log}",
                    kernel.name
                );
            }
        }
    }
}

/// Goal: for each number of losses, and for both lengths that shreds have, the library's data shreds.
#[test]
fn every_kernel_equals_the_library_for_every_number_of_losses() {
    for capacity in [963, 899] {
        let shards = library_set(capacity as u64, capacity);
        for kernel in kernels() {
            for lost in 0..=32 {
                let data = ((u64::from(u32::MAX) << lost) as u32).rotate_left(lost * 3);
                let code = (((1u64 << lost) - 1) as u32).rotate_left(lost * 5);
                assert_recovers(kernel, &shards, data, code);
            }
        }
    }
}

/// Goal: whatever is left over behind whole columns is worked on too.
#[test]
fn every_kernel_takes_any_length_from_a_column_up() {
    for capacity in COLUMN..=COLUMN * 6 + 1 {
        let shards = library_set(capacity as u64, capacity);
        for kernel in kernels() {
            assert_recovers(kernel, &shards, 0xffff_f01f, 0x8000_30f0);
        }
    }
}

/// A random choice of `count` of 32 shreds.
fn choice(count: usize) -> impl Strategy<Value = u32> {
    prop::sample::subsequence((0..32u32).collect::<Vec<_>>(), count)
        .prop_map(|chosen| chosen.into_iter().fold(0, |set, place| set | 1 << place))
}

fn patterns() -> impl Strategy<Value = (u32, u32)> {
    (0..=32usize).prop_flat_map(|lost| (choice(32 - lost), choice(lost)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn every_kernel_equals_the_library_for_random_patterns(
        seed: u64,
        capacity in prop::sample::select(vec![963usize, 899]),
        (data, code) in patterns(),
    ) {
        let shards = library_set(seed, capacity);
        for kernel in kernels() {
            assert_recovers(kernel, &shards, data, code);
        }
    }
}

/// Goal: the short way to a coefficient is the definition's.
#[test]
fn coefficients_are_lagranges() {
    for (data, code) in [
        (!1, 1 << 31),
        (0x00ff_0f0f, 0xffff_0000),
        (0x8001, 0xfffc_ffff),
        (0, u32::MAX),
    ] {
        let known: Vec<usize> = bits(data)
            .chain(bits(code).map(|bit| NEEDED + bit))
            .collect();
        let rows = Rows::<NEEDED>::new(data, code);
        for (row, lost) in rows.as_slice().iter().zip(bits(!data)) {
            for point in &known {
                let log: usize = known
                    .iter()
                    .filter(|other| *other != point)
                    .map(|other| {
                        usize::from(LOG[lost ^ other]) + ORDER - usize::from(LOG[point ^ other])
                    })
                    .sum();
                let expected = EXP[log % ORDER];
                assert_eq!(
                    EXP[usize::from(row[*point])],
                    expected,
                    "{data:x} {code:x}: {point} for {lost}"
                );
            }
        }
    }
}
