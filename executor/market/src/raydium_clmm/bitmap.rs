//! Which tick arrays hold an initialized tick: the pool's own bitmap, and the extension for those further away.
//!
//! Arrays are counted from the one that begins at tick 0; a map of 512 arrays begins at each multiple of 512. The pool
//! holds the maps on both sides of zero, the extension the fourteen beyond on either side.
//!
//! Sources: `libraries/tick_array_bit_map.rs`, `states/tickarray_bitmap_extension.rs`.

use crate::account::{AccountReject, Fields};
use crate::event::Way;
use crate::quote::QuoteReject;
use crate::raydium_clmm::account::{Pool, discriminator};
use crate::units::Key;

/// Maps of an extension on either side.
const MAP_COUNT: usize = 14;
/// Arrays of one map.
const MAP_LEN: i32 = 512;
const WORDS: usize = 8;

/// A `TickArrayBitmapExtension` account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BitmapExtension {
    /// The pool it belongs to.
    pub pool: Key,
    /// Maps above the pool's, from the nearest on.
    pub above: [[u64; WORDS]; MAP_COUNT],
    /// Maps below the pool's, from the nearest on.
    pub below: [[u64; WORDS]; MAP_COUNT],
}

impl BitmapExtension {
    /// Reads a `TickArrayBitmapExtension` account.
    ///
    /// # Errors
    /// As [`AccountReject`] says.
    pub fn parse(data: &[u8]) -> Result<Self, AccountReject> {
        const MAPS: usize = 40;
        let fields = Fields::of_kind(data, discriminator::BITMAP_EXTENSION)?;
        let map = |place: usize| -> Result<[u64; WORDS], AccountReject> {
            let mut words = [0; WORDS];
            for (at, word) in words.iter_mut().enumerate() {
                *word = fields.u64(MAPS + (place * WORDS + at) * 8)?;
            }
            Ok(words)
        };
        let mut extension = Self {
            pool: fields.key(8)?,
            above: [[0; WORDS]; MAP_COUNT],
            below: [[0; WORDS]; MAP_COUNT],
        };
        for place in 0..MAP_COUNT {
            extension.above[place] = map(place)?;
            extension.below[place] = map(MAP_COUNT + place)?;
        }
        Ok(extension)
    }
}

/// Both bitmaps of a pool, as far as they are known.
pub(crate) struct Bitmaps<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) extension: Option<&'a BitmapExtension>,
}

impl Bitmaps<'_> {
    /// The word that holds the bit of array `index`; `None` beyond every map, a reject where the extension is needed
    /// and not known.
    fn word(&self, index: i32) -> Result<Option<u64>, QuoteReject> {
        let word = (index.rem_euclid(MAP_LEN) / 64) as usize;
        let map = index.div_euclid(MAP_LEN);
        if (-1..1).contains(&map) {
            return Ok(self
                .pool
                .bitmap
                .get((map + 1) as usize * WORDS + word)
                .copied());
        }
        let extension = self.extension.ok_or(QuoteReject::PastKnown)?;
        let map = if map > 0 {
            extension.above.get((map - 1) as usize)
        } else {
            extension.below.get((-2 - map) as usize)
        };
        Ok(map.and_then(|words| words.get(word)).copied())
    }

    /// Whether array `index` holds an initialized tick.
    pub(crate) fn holds(&self, index: i32) -> Result<bool, QuoteReject> {
        let bit = index.rem_euclid(64);
        Ok(self.word(index)?.is_some_and(|word| word >> bit & 1 != 0))
    }

    /// The nearest array after `index` that holds an initialized tick, the way the swap goes, down to `first` or up to
    /// `last`; `None` when there is none.
    pub(crate) fn after(
        &self,
        index: i32,
        way: Way,
        (first, last): (i32, i32),
    ) -> Result<Option<i32>, QuoteReject> {
        let mut at = match way {
            Way::AToB => index - 1,
            Way::BToA => index + 1,
        };
        while (first..=last).contains(&at) {
            let Some(word) = self.word(at)? else {
                return Ok(None);
            };
            let bit = at.rem_euclid(64);
            let word_start = at - bit;
            match way {
                Way::AToB => {
                    let left = word << (63 - bit);
                    if left != 0 {
                        at -= left.leading_zeros() as i32;
                        return Ok((at >= first).then_some(at));
                    }
                    at = word_start - 1;
                }
                Way::BToA => {
                    let left = word >> bit;
                    if left != 0 {
                        at += left.trailing_zeros() as i32;
                        return Ok((at <= last).then_some(at));
                    }
                    at = word_start + 64;
                }
            }
        }
        Ok(None)
    }
}
