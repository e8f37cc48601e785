//! Derived addresses against the official derivation, on random seeds.
#![allow(clippy::unwrap_used)]

use program_address::{SEED_COUNT_MAX, SEED_LEN_MAX, find_program_address, is_on_curve};
use solana_pubkey::Pubkey;

/// SplitMix64 (Steele, Lea, Flood 2014): the same inputs in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        for word in key.as_chunks_mut::<8>().0 {
            *word = self.next().to_le_bytes();
        }
        key
    }
}

/// How many inputs; `DERIVATIONS=1000000` runs the million, which takes about a minute.
fn derivation_count() -> u64 {
    std::env::var("DERIVATIONS").map_or(20_000, |count| count.parse().unwrap())
}

/// Goal: the same address and bump as everybody else, for any shape of seeds.
#[test]
fn addresses_and_bumps_are_the_official_ones() {
    let mut random = Random(1);
    for index in 0..derivation_count() {
        let keys: [[u8; 32]; SEED_COUNT_MAX] = core::array::from_fn(|_| random.key());
        let program = random.key();
        // Mostly the shapes in use: three full seeds, or a short one and a full one.
        let lens: &[usize] = match index % 4 {
            0 => &[32, 32, 32],
            1 => &[13, 32],
            2 => &[23, 32],
            _ => &core::array::from_fn::<usize, 15, _>(|_| {
                random.next() as usize % (SEED_LEN_MAX + 1)
            })[..random.next() as usize % SEED_COUNT_MAX],
        };
        let seeds: Vec<&[u8]> = keys
            .iter()
            .zip(lens)
            .map(|(key, len)| &key[..*len])
            .collect();
        let (official, bump) = Pubkey::find_program_address(&seeds, &Pubkey::from(program));
        assert_eq!(
            find_program_address(&seeds, &program),
            Some((official.to_bytes(), bump)),
            "input {index}: {seeds:02x?} {program:02x?}"
        );
    }
}

/// Goal: the curve test alone, on bytes no hash would give.
#[test]
fn the_curve_test_is_the_official_one() {
    let mut random = Random(2);
    let mut on_curve = 0;
    for _ in 0..derivation_count() {
        let key = random.key();
        assert_eq!(
            is_on_curve(&key),
            Pubkey::from(key).is_on_curve(),
            "{key:02x?}"
        );
        on_curve += u64::from(is_on_curve(&key));
    }
    assert!(on_curve > derivation_count() / 3, "both answers occur");
    for last in [0x7f, 0xff] {
        // Every ordinate from p - 1 up is written in these, as well as the largest below.
        for low in 0..=u8::MAX {
            let mut key = [0xff; 32];
            key[0] = low;
            key[31] = last;
            assert_eq!(
                is_on_curve(&key),
                Pubkey::from(key).is_on_curve(),
                "{key:02x?}"
            );
        }
    }
    for last in [0, 0x80] {
        for low in 0..=u8::MAX {
            let mut key = [0; 32];
            key[0] = low;
            key[31] = last;
            assert_eq!(
                is_on_curve(&key),
                Pubkey::from(key).is_on_curve(),
                "{key:02x?}"
            );
        }
    }
}
