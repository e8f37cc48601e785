//! Whole transactions signed ahead for an intent that waits for its trigger; the trigger only chooses.
//!
//! A ladder is a grid of rungs: sizes by tips by blockhashes, each a complete transaction with its RFC 8032
//! signature. Rungs of one intent must never both leave: each would trade. So an intent has one [`Held`], which
//! [`Intents::hold`] issues once; releasing consumes it with its ladder, and what comes back is one
//! transaction and no way to another.
//!
//! ```text
//! signing thread                              core
//!   Blank --LadderSigner::arm--> Ladder ==ring==> Held::renew ----.
//!     ^                                            | replaced     | trigger: Signing::release
//!     `------ Retired::wipe <===============ring===+<-- retire -- Released (bytes of one rung)
//! ```
//!
//! Ladders are renewed as the blockhash moves: a new one replaces the one held, which goes back to be wiped and
//! filled again. A ladder that arrives after the release finds no `Held` and goes back the same way.

use core::ops::Range;
use std::sync::Arc;

use market::Key;
use shred_wire::Slot;
use shred_wire::txn::SIGNATURE_LEN;
use zeroize::Zeroize;

use crate::blockhash::RecentBlockhash;
use crate::signer::SigningPair;
use crate::signing::{Halt, Halted, TemplateIndex};

/// Most sizes of a ladder.
pub const SIZE_COUNT_MAX: usize = 16;
/// Most tips of a ladder.
pub const TIP_COUNT_MAX: usize = 8;
/// Most blockhashes of a ladder.
pub const BLOCKHASH_COUNT_MAX: usize = 4;

/// How large the ladders of one [`Blank`] may get, within [`SIZE_COUNT_MAX`], [`TIP_COUNT_MAX`] and
/// [`BLOCKHASH_COUNT_MAX`]. Memory is the product of all four, plus little.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LadderCapacity {
    /// Sizes.
    pub sizes: usize,
    /// Tips.
    pub tips: usize,
    /// Blockhashes.
    pub blockhashes: usize,
    /// Bytes of one transaction.
    pub transaction_len: usize,
}

/// Which rungs a ladder has: every size with every tip with every blockhash.
#[derive(Clone, Copy, Debug)]
pub struct Grid<'a> {
    /// What the rungs differ in, in the caller's unit (tokens to buy for a fixed spend, the least that a fixed sale must
    /// bring), ascending. More is the better price for us.
    pub sizes: &'a [u64],
    /// Tips, lamports, ascending.
    pub tips: &'a [u64],
    /// Blockhashes, newest first.
    pub blockhashes: &'a [RecentBlockhash],
}

/// What one rung is rendered from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RungTerms {
    /// Its size.
    pub size: u64,
    /// Its tip, lamports.
    pub tip: u64,
    /// Its blockhash.
    pub blockhash: RecentBlockhash,
}

/// Where things stand in every transaction of a ladder: rungs differ in values, not in layout.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RungLayout {
    /// Length of the transaction, bytes.
    pub len: usize,
    /// The part that is signed.
    pub message: Range<usize>,
    /// Where the signature goes.
    pub signature_at: usize,
    /// Which trade it is; a builder releases no rung of an unknown one.
    pub(crate) trade: Option<RungTrade>,
}

/// Which trade the transactions of a layout are, as the draft that renders them knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RungTrade {
    /// Venue, side, token program and form.
    pub(crate) template: TemplateIndex,
    pub(crate) mint: Key,
    pub(crate) wallet_floor: u64,
    /// Where the tokens stand in the bytes.
    pub(crate) tokens_at: usize,
    /// Where the worst price stands in the bytes.
    pub(crate) quote_limit_at: usize,
}

impl RungLayout {
    /// The layout of transactions that are no draft's, which only [`crate::Signing::release`] releases.
    #[must_use]
    pub const fn new(len: usize, message: Range<usize>, signature_at: usize) -> Self {
        Self {
            len,
            message,
            signature_at,
            trade: None,
        }
    }
}

/// Why a ladder was not armed. `E` is what rendering refuses with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArmLadderError<E> {
    /// The grid or the transaction exceeds the capacity of the blank, the layout lies outside the bytes, or the
    /// signature would lie in what it signs.
    TooLarge,
    /// A side of the grid is empty, or not in its order.
    Disordered,
    /// A rung could not be rendered.
    Unrendered(E),
    /// Nothing is signed any more.
    Halted(Halted),
}

/// Up to `N` values in place, so that a choice reads neighbouring cache lines and follows no pointer.
#[derive(Clone, Copy)]
struct Steps<const N: usize> {
    values: [u64; N],
    count: usize,
}

impl<const N: usize> Steps<N> {
    const NONE: Self = Self {
        values: [0; N],
        count: 0,
    };

    /// `values` are at most `N`.
    fn of(values: impl ExactSizeIterator<Item = u64>) -> Self {
        let mut steps = Self::NONE;
        steps.count = values.len();
        steps
            .values
            .iter_mut()
            .zip(values)
            .for_each(|(step, value)| *step = value);
        steps
    }

    #[inline]
    fn as_slice(&self) -> &[u64] {
        self.values.get(..self.count).unwrap_or_default()
    }
}

/// A ladder in memory. What a choice reads stands first and together: a trigger is rare, and finds it cold.
#[repr(C, align(64))]
struct Memory {
    /// Slots of the blockhashes, newest first.
    slots: Steps<BLOCKHASH_COUNT_MAX>,
    /// Bit `i` is set when blockhash `i` left the chain we follow.
    retracted: u64,
    tips: Steps<TIP_COUNT_MAX>,
    sizes: Steps<SIZE_COUNT_MAX>,
    intent_id: u64,
    layout: RungLayout,
    /// Rungs, blockhash by blockhash, tip by tip, size by size.
    bytes: Box<[u8]>,
    blockhashes: [[u8; 32]; BLOCKHASH_COUNT_MAX],
    capacity: LadderCapacity,
}

impl Memory {
    fn wipe(&mut self) {
        self.bytes.zeroize();
        self.sizes = Steps::NONE;
        self.tips = Steps::NONE;
        self.slots = Steps::NONE;
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // A signed transaction is as good as the key to whoever reads it, until its blockhash dies.
        self.wipe();
    }
}

/// Memory for a ladder, allocated once and used again and again.
pub struct Blank(Box<Memory>);

impl Blank {
    /// Allocates for ladders of up to `capacity`.
    #[must_use]
    pub fn new(capacity: LadderCapacity) -> Self {
        let LadderCapacity {
            sizes,
            tips,
            blockhashes,
            transaction_len,
        } = capacity;
        Self(Box::new(Memory {
            slots: Steps::NONE,
            retracted: 0,
            tips: Steps::NONE,
            sizes: Steps::NONE,
            intent_id: 0,
            layout: RungLayout::default(),
            bytes: vec![0; sizes * tips * blockhashes * transaction_len].into(),
            blockhashes: [[0; 32]; BLOCKHASH_COUNT_MAX],
            capacity,
        }))
    }
}

/// Presigns ladders with the key of the [`crate::signing::Signing`] it came from. For a thread off the core.
pub struct LadderSigner {
    pair: SigningPair,
    halt: Arc<Halt>,
}

impl LadderSigner {
    pub(crate) const fn new(pair: SigningPair, halt: Arc<Halt>) -> Self {
        Self { pair, halt }
    }

    /// The account that pays and signs.
    #[must_use]
    pub fn public_key(&self) -> &Key {
        self.pair.public_key()
    }

    /// Renders and signs every rung of `grid` for one intent. `render` writes the unsigned transaction of the
    /// terms it is given, exactly `layout.len` bytes.
    ///
    /// Cost: one render and one signature per rung, some 12 us each. Does not allocate.
    ///
    /// # Errors
    /// [`ArmLadderError`], with the blank, wiped.
    pub fn arm<E>(
        &self,
        blank: Blank,
        intent_id: u64,
        grid: &Grid<'_>,
        layout: &RungLayout,
        render: impl FnMut(&RungTerms, &mut [u8]) -> Result<(), E>,
    ) -> Result<Ladder, (Blank, ArmLadderError<E>)> {
        let Blank(mut memory) = blank;
        match self.fill(&mut memory, intent_id, grid, layout, render) {
            Ok(()) => Ok(Ladder(memory)),
            Err(error) => {
                memory.wipe();
                Err((Blank(memory), error))
            }
        }
    }

    fn fill<E>(
        &self,
        memory: &mut Memory,
        intent_id: u64,
        grid: &Grid<'_>,
        layout: &RungLayout,
        mut render: impl FnMut(&RungTerms, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), ArmLadderError<E>> {
        check(grid, layout, &memory.capacity)?;
        memory.intent_id = intent_id;
        memory.retracted = 0;
        memory.layout.clone_from(layout);
        memory.sizes = Steps::of(grid.sizes.iter().copied());
        memory.tips = Steps::of(grid.tips.iter().copied());
        memory.slots = Steps::of(grid.blockhashes.iter().map(|hash| hash.slot.0));
        for (kept, hash) in memory.blockhashes.iter_mut().zip(grid.blockhashes) {
            *kept = hash.hash;
        }
        let mut rungs = memory.bytes.chunks_exact_mut(layout.len);
        for blockhash in grid.blockhashes {
            for tip in grid.tips {
                for size in grid.sizes {
                    let terms = RungTerms {
                        size: *size,
                        tip: *tip,
                        blockhash: *blockhash,
                    };
                    // Capacity was checked: there are as many chunks as rungs.
                    let bytes = rungs.next().ok_or(ArmLadderError::TooLarge)?;
                    render(&terms, bytes).map_err(ArmLadderError::Unrendered)?;
                    // Per rung: whatever halts signing may happen on another thread meanwhile.
                    self.halt.check().map_err(ArmLadderError::Halted)?;
                    let signature = self.pair.sign(&bytes[layout.message.clone()]);
                    bytes[layout.signature_at..layout.signature_at + SIGNATURE_LEN]
                        .copy_from_slice(&signature);
                }
            }
        }
        Ok(())
    }
}

fn check<E>(
    grid: &Grid<'_>,
    layout: &RungLayout,
    capacity: &LadderCapacity,
) -> Result<(), ArmLadderError<E>> {
    let Grid {
        sizes,
        tips,
        blockhashes,
    } = grid;
    let fits = sizes.len() <= capacity.sizes.min(SIZE_COUNT_MAX)
        && tips.len() <= capacity.tips.min(TIP_COUNT_MAX)
        && blockhashes.len() <= capacity.blockhashes.min(BLOCKHASH_COUNT_MAX)
        && layout.len <= capacity.transaction_len
        && layout.message.start <= layout.message.end
        && layout.message.end <= layout.len
        && layout
            .signature_at
            .checked_add(SIGNATURE_LEN)
            .is_some_and(|end| {
                let apart =
                    end <= layout.message.start || layout.message.end <= layout.signature_at;
                end <= layout.len && apart
            });
    if !fits {
        return Err(ArmLadderError::TooLarge);
    }
    let ascending = |values: &[u64]| !values.is_empty() && values.is_sorted_by(|a, b| a < b);
    let newest_first =
        !blockhashes.is_empty() && blockhashes.is_sorted_by(|a, b| a.slot.0 > b.slot.0);
    if !(ascending(sizes) && ascending(tips) && newest_first) {
        return Err(ArmLadderError::Disordered);
    }
    Ok(())
}

/// Signed rungs of one intent. The bytes of none can be read: that takes a
/// [`crate::Signing::release`].
///
/// ```compile_fail,E0599
/// # fn f(ladder: bundle::ladder::Ladder) {
/// let copy = ladder.clone();
/// # }
/// ```
pub struct Ladder(Box<Memory>);

impl Ladder {
    /// Which intent it serves.
    #[must_use]
    pub fn intent_id(&self) -> u64 {
        self.0.intent_id
    }

    /// Slot of its newest blockhash.
    #[must_use]
    pub fn newest_slot(&self) -> Slot {
        Slot(self.0.slots.as_slice().first().copied().unwrap_or(0))
    }

    /// Gives the memory up. Nothing is wiped or freed yet: the core can do this.
    #[must_use]
    pub fn retire(self) -> Retired {
        Retired(self.0)
    }
}

/// A ladder that is done with, on its way back to be wiped.
pub struct Retired(Box<Memory>);

impl Retired {
    /// Overwrites every rung. For the signing thread; dropping does the same and frees.
    #[must_use]
    pub fn wipe(self) -> Blank {
        let Self(mut memory) = self;
        memory.wipe();
        Blank(memory)
    }
}

/// Issues the one [`Held`] of every intent.
#[derive(Debug, Default)]
pub struct Intents {
    next: u64,
}

impl Intents {
    /// Intents are numbered upwards: an id at or below an earlier one has had its turn and gets none.
    pub fn hold(&mut self, intent_id: u64) -> Option<Held> {
        if intent_id < self.next {
            return None;
        }
        self.next = intent_id.checked_add(1)?;
        Some(Held {
            intent_id,
            ladder: None,
            retracted: [u64::MAX; RETRACTED_LEN],
            retracted_count: 0,
        })
    }
}

/// Retracted slots that a [`Held`] remembers for ladders that were signed before the retraction was known.
const RETRACTED_LEN: usize = 8;

/// The right to release one rung for one intent, with the ladder it would come from.
///
/// Neither `Clone` nor `Copy`; releasing consumes it:
///
/// ```compile_fail,E0382
/// # use bundle::ladder::{Held, Wanted};
/// fn twice(signing: &mut bundle::Signing, held: Held, wanted: &Wanted) {
///     let _ = signing.release(held, wanted);
///     let _ = signing.release(held, wanted);
/// }
/// ```
pub struct Held {
    intent_id: u64,
    ladder: Option<Ladder>,
    /// The last slots retracted; no block has the largest number.
    retracted: [u64; RETRACTED_LEN],
    retracted_count: usize,
}

impl Held {
    /// The intent.
    #[must_use]
    pub const fn intent_id(&self) -> u64 {
        self.intent_id
    }

    /// Takes a newer ladder and gives back the one it replaces. O(1). Its rungs over slots retracted lately are not
    /// released either: it may have been on its way when they were.
    ///
    /// # Errors
    /// The ladder itself, when it serves another intent or is older than the one held.
    pub fn renew(&mut self, mut ladder: Ladder) -> Result<Option<Ladder>, Ladder> {
        let older = self
            .ladder
            .as_ref()
            .is_some_and(|held| ladder.newest_slot() < held.newest_slot());
        if ladder.intent_id() != self.intent_id || older {
            return Err(ladder);
        }
        for slot in self.retracted {
            ladder.0.retract(slot);
        }
        Ok(self.ladder.replace(ladder))
    }

    /// The block of `slot` left the chain we follow: rungs over its blockhash are released no more, nor those of the
    /// ladders to come, as far as the last eight such slots go.
    pub fn retract(&mut self, slot: Slot) {
        self.retracted[self.retracted_count % RETRACTED_LEN] = slot.0;
        self.retracted_count = self.retracted_count.wrapping_add(1);
        if let Some(Ladder(memory)) = &mut self.ladder {
            memory.retract(slot.0);
        }
    }

    /// Brings near what a choice reads, for who has something else to look at first.
    #[inline]
    pub(crate) fn prefetch(&self) {
        if let Some(Ladder(memory)) = &self.ladder {
            let read = core::mem::offset_of!(Memory, blockhashes);
            prefetch((&raw const **memory).cast(), read);
        }
    }

    /// The terms of the rung that a release of `wanted` would give.
    ///
    /// # Errors
    /// Why there is none.
    #[inline]
    pub fn peek(&self, wanted: &Wanted) -> Result<RungTerms, NoRung> {
        self.peek_if(wanted, |_| true)
    }

    /// [`Held::peek`] into a ladder whose layout `admits` takes.
    #[inline]
    pub(crate) fn peek_if(
        &self,
        wanted: &Wanted,
        admits: impl FnOnce(&RungLayout) -> bool,
    ) -> Result<RungTerms, NoRung> {
        let Some(Ladder(memory)) = &self.ladder else {
            return Err(NoRung::NoLadder);
        };
        let choice = memory.choose(wanted)?;
        // Who looks at its terms may soon want its bytes, and another core wrote them.
        let rung = memory.rung(choice);
        prefetch(rung.as_ptr(), rung.len());
        let admitted = admits(&memory.layout);
        admitted.then(|| memory.terms(choice)).ok_or(NoRung::Terms)
    }

    /// Gives up the right to a rung, to sign this intent another way. What is returned goes back to be wiped.
    #[must_use]
    pub fn forgo(self) -> Option<Retired> {
        self.ladder.map(Ladder::retire)
    }

    /// Releases the rung that serves `wanted`, if `admits` takes its bytes.
    ///
    /// Cost: three short scans. Does not allocate, copy or wipe.
    #[inline]
    pub(crate) fn release(
        self,
        wanted: &Wanted,
        admits: impl FnOnce(&[u8], &RungLayout) -> bool,
    ) -> Result<Released, NotReleased> {
        let choice = match &self.ladder {
            Some(Ladder(memory)) => memory.choose(wanted).and_then(|choice| {
                let admitted = admits(memory.rung(choice), &memory.layout);
                admitted.then_some(choice).ok_or(NoRung::Terms)
            }),
            None => Err(NoRung::NoLadder),
        };
        match (choice, self) {
            (
                Ok(choice),
                Self {
                    ladder: Some(Ladder(memory)),
                    ..
                },
            ) => Ok(Released { memory, choice }),
            (Ok(_), held) => Err(NotReleased {
                held,
                why: NoRung::NoLadder,
            }),
            (Err(why), held) => Err(NotReleased { held, why }),
        }
    }
}

/// What the trigger wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Largest size.
    pub size_max: u64,
    /// Smallest size; the smallest rung not below it is chosen.
    pub size_min: u64,
    /// Smallest tip, lamports; the smallest rung not below it is chosen.
    pub tip_min: u64,
    /// Largest tip, lamports.
    pub tip_max: u64,
    /// Slot now.
    pub slot: Slot,
    /// Oldest blockhash taken, slots before `slot`; the newest is chosen.
    pub blockhash_age_max: u32,
}

/// Why no rung serves. One byte; indexes counters, so append, never reorder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum NoRung {
    /// No ladder has arrived yet.
    NoLadder,
    /// No size between the smallest and the largest wanted.
    Size,
    /// No tip between the smallest and the largest wanted.
    Tip,
    /// Every blockhash is too old, or left the chain.
    Blockhash,
    /// Signing has halted.
    Halted,
    /// The rung's bytes are not the trade that was approved.
    Terms,
    /// The intent has had its release.
    Spent,
}

impl NoRung {
    /// Number of reasons.
    pub const COUNT: usize = 7;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "no_ladder",
            "size",
            "tip",
            "blockhash",
            "halted",
            "terms",
            "spent",
        ]
    }
}

/// Nothing was released; everything is given back.
pub struct NotReleased {
    /// The right to release, with its ladder.
    pub held: Held,
    /// What did not fit.
    pub why: NoRung,
}

impl NotReleased {
    pub(crate) const fn halted(held: Held, _halted: Halted) -> Self {
        Self {
            held,
            why: NoRung::Halted,
        }
    }
}

#[derive(Clone, Copy)]
struct Choice {
    size: usize,
    tip: usize,
    blockhash: usize,
}

impl Memory {
    #[inline]
    fn choose(&self, wanted: &Wanted) -> Result<Choice, NoRung> {
        let (sizes, tips) = (self.sizes.as_slice(), self.tips.as_slice());
        let size = sizes
            .iter()
            .position(|size| *size >= wanted.size_min)
            .filter(|index| sizes[*index] <= wanted.size_max)
            .ok_or(NoRung::Size)?;
        let tip = tips
            .iter()
            .position(|tip| *tip >= wanted.tip_min)
            .filter(|index| tips[*index] <= wanted.tip_max)
            .ok_or(NoRung::Tip)?;
        // A blockhash from after `slot` is one of a block we follow that the trigger did not know: it serves.
        let oldest = wanted
            .slot
            .0
            .saturating_sub(u64::from(wanted.blockhash_age_max));
        let blockhash = self
            .slots
            .as_slice()
            .iter()
            .enumerate()
            .position(|(index, slot)| *slot >= oldest && self.retracted >> index & 1 == 0)
            .ok_or(NoRung::Blockhash)?;
        Ok(Choice {
            size,
            tip,
            blockhash,
        })
    }

    fn retract(&mut self, slot: u64) {
        for (index, held) in self.slots.as_slice().iter().enumerate() {
            self.retracted |= u64::from(*held == slot) << index;
        }
    }

    #[inline]
    fn terms(&self, choice: Choice) -> RungTerms {
        RungTerms {
            size: self.sizes.values[choice.size],
            tip: self.tips.values[choice.tip],
            blockhash: RecentBlockhash {
                hash: self.blockhashes[choice.blockhash],
                slot: Slot(self.slots.values[choice.blockhash]),
            },
        }
    }

    fn rung(&self, choice: Choice) -> &[u8] {
        let Choice {
            size,
            tip,
            blockhash,
        } = choice;
        let index = (blockhash * self.tips.count + tip) * self.sizes.count + size;
        &self.bytes[index * self.layout.len..(index + 1) * self.layout.len]
    }
}

/// Asks the processor to bring `len` bytes from `at` on near.
#[inline]
fn prefetch(at: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in (0..len).step_by(64) {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, len);
}

/// One rung, signed and ready to leave. The others can no longer be reached.
pub struct Released {
    memory: Box<Memory>,
    choice: Choice,
}

impl Released {
    /// The intent it serves.
    #[must_use]
    pub fn intent_id(&self) -> u64 {
        self.memory.intent_id
    }

    /// The signed transaction.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.memory.rung(self.choice)
    }

    /// Where things stand in the bytes.
    #[inline]
    #[must_use]
    pub const fn layout(&self) -> &RungLayout {
        &self.memory.layout
    }

    /// What the rung was rendered from.
    #[inline]
    #[must_use]
    pub fn terms(&self) -> RungTerms {
        self.memory.terms(self.choice)
    }

    /// Gives the memory up once the bytes are copied. O(1): the signing thread wipes it.
    #[must_use]
    pub fn retire(self) -> Retired {
        Retired(self.memory)
    }
}

macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl core::fmt::Debug for $name {
            /// Shows no bytes: signed transactions are not for logs.
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

opaque_debug!(
    Blank,
    Ladder,
    LadderSigner,
    Retired,
    Held,
    Released,
    NotReleased
);

#[cfg(test)]
mod tests;
