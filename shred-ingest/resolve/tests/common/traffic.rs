//! What a cluster may send: blocks of anything, also in two versions, and sets that are not what they say.

use super::shredder::{
    Block, DATA_COMPLETE, LAST_IN_SLOT, Set, SetHead, Shape, VERSION, key, sign_again,
};
use super::{Dice, payload};

/// Numbers transactions, so that no two have the same signature.
pub struct Numbers(pub u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }

    fn txns(&mut self, dice: &mut Dice, most: usize) -> Vec<Vec<u8>> {
        (0..dice.below(most + 1))
            .map(|_| match dice.below(8) {
                0 => payload::v1_of_len(self.next(), 3000 + dice.below(1097)),
                1 => payload::v1(self.next(), dice.below(300)),
                2 | 3 => payload::v0(self.next(), dice.below(900)),
                _ => payload::legacy(self.next(), dice.below(300)),
            })
            .collect()
    }

    /// A batch: entries, a marker, or what is neither.
    fn batch(&mut self, dice: &mut Dice) -> Vec<u8> {
        let entries: Vec<_> = (0..1 + dice.below(5))
            .map(|_| payload::entry(dice.roll() as u8, &self.txns(dice, 10)))
            .collect();
        let mut batch = payload::batch(&entries);
        match dice.below(20) {
            0 => batch.extend((0..dice.below(40_000)).map(|at| at as u8)),
            1 => batch.truncate(dice.below(batch.len()) + 1),
            2 => batch = payload::update_parent(dice.below(100) as u64),
            3 => batch = payload::footer(),
            4 => batch = payload::header(dice.below(100) as u64),
            5 => batch[..8].copy_from_slice(&u64::MAX.to_le_bytes()),
            6 => {
                let at = dice.below(batch.len());
                batch[at] ^= 1 << dice.below(8);
            }
            _ => {}
        }
        batch
    }
}

fn shape(dice: &mut Dice) -> Shape {
    match dice.below(4) {
        0 => Shape::Resigned,
        1 => Shape::Ragged(Dice(dice.roll())),
        _ => Shape::Full,
    }
}

/// The versions of a slot's block: one, or two that part somewhere.
pub fn blocks(slot: u64, numbers: &mut Numbers, dice: &mut Dice) -> Vec<Block> {
    let mut stem = Block::new(&key(slot as u8), slot);
    for _ in 0..dice.below(3) {
        stem.push(&numbers.batch(dice), shape(dice), DATA_COMPLETE);
    }
    // What both begin their next batch with: they part within it.
    let shared: Vec<_> = match dice.percent(50) {
        true => (0..150)
            .map(|_| payload::legacy(numbers.next(), 100))
            .collect(),
        false => Vec::new(),
    };
    let versions = 1 + usize::from(dice.percent(30));
    (0..versions)
        .map(|_| {
            let mut block = stem.clone();
            if versions > 1 || dice.percent(50) {
                let own = (0..20).map(|_| payload::legacy(numbers.next(), dice.below(200)));
                let txns: Vec<_> = shared.iter().cloned().chain(own).collect();
                block.push(&payload::one_entry(&txns), Shape::Full, DATA_COMPLETE);
            }
            let last = match dice.below(6) {
                0 => vec![0; 8],
                1 => vec![9],
                2 => payload::ticks(2, dice.roll() as u8),
                _ => numbers.batch(dice),
            };
            let shape = match dice.percent(70) {
                true => Shape::Resigned,
                false => Shape::Full,
            };
            block.push(&last, shape, LAST_IN_SLOT);
            block
        })
        .collect()
}

/// A set beside `of` that is not what it says: of another cluster, of another leader, the same under a second
/// signature, or of the far future.
pub fn stranger(of: &Set, numbers: &mut Numbers, dice: &mut Dice) -> Set {
    let leader = key(of.head.slot as u8);
    let mut pieces = vec![Vec::new(); 32];
    pieces[0] = payload::one_entry(&[payload::legacy(numbers.next(), 20)]);
    let head = SetHead {
        flags: DATA_COMPLETE,
        resigned: false,
        ..of.head
    };
    let version = VERSION + 1;
    let far = 1 << (20 + dice.below(44));
    match dice.below(4) {
        0 => Set::new(SetHead { version, ..head }, &pieces).seal(&leader),
        1 => Set::new(head, &pieces).seal(&key(99)),
        2 => of.clone().with_signature(&sign_again(&leader, &of.root)),
        _ => Set::new(SetHead { slot: far, ..head }, &pieces).seal(&leader),
    }
}
