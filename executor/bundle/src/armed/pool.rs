//! Where nonces wait: a ring of slots in locked memory between the thread that makes them and the one that signs.
//!
//! A nonce never leaves its slot. Taking one gives a [`Nonce`], the only handle to the slot; signing consumes
//! it, and its end, signed or not, wipes the slot before the slot can be filled again. A plain ring would move
//! the value out and leave a copy behind.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use zeroize::Zeroize;

use super::challenge::Absorbed;
use super::scalar::{FixedSecret, Limbs, to_bytes};
use crate::locked::Locked;

/// Nonces that can wait in one pool.
pub(super) const SLOT_COUNT: usize = 64;

/// Three cache lines: one nonce, ready to sign with.
#[derive(Default)]
#[repr(align(64))]
struct Slot {
    /// The secret.
    r: [AtomicU64; 4],
    /// `R = r B`, encoded.
    commitment: [AtomicU64; 4],
    /// The hash over `R`, the public key and the static prefix, as far as whole blocks go.
    state: [AtomicU64; 8],
    absorbed: AtomicU64,
}

#[derive(Default)]
#[repr(align(64))]
struct Cursor(AtomicU64);

/// The pages of a pool. Words are atomic, so that two threads may look without `unsafe`; all zeros, which is
/// what a forked child finds, is an empty pool of no generation.
pub(super) struct Page {
    /// Which arming these nonces belong to; never zero in the process that made them.
    generation: AtomicU64,
    /// Nonces put in so far. Written by the arming side alone.
    armed: Cursor,
    /// Nonces used up so far. Written by the signing side alone.
    taken: Cursor,
    slots: [Slot; SLOT_COUNT],
}

impl Zeroize for Slot {
    fn zeroize(&mut self) {
        self.wipe();
    }
}

impl Slot {
    #[inline]
    fn wipe(&self) {
        let Self {
            r,
            commitment,
            state,
            absorbed,
        } = self;
        r.iter()
            .chain(commitment)
            .chain(state)
            .chain([absorbed])
            .for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

impl Zeroize for Page {
    fn zeroize(&mut self) {
        for word in [&self.generation, &self.armed.0, &self.taken.0] {
            word.store(0, Ordering::Relaxed);
        }
        self.slots.iter_mut().for_each(Zeroize::zeroize);
    }
}

/// A host that does not protect the pages enough to let nonces wait in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Unprotected;

/// Makes an empty pool and its two ends.
///
/// # Errors
/// [`Unprotected`] when the pages are not locked, not kept out of dumps, or not wiped on fork.
pub(super) fn pool(generation: u64) -> Result<(Filler, Taker), Unprotected> {
    let page = Locked::new(Page {
        generation: AtomicU64::new(generation),
        armed: Cursor::default(),
        taken: Cursor::default(),
        slots: core::array::from_fn(|_| Slot::default()),
    })
    .map_err(|_| Unprotected)?;
    if !(page.is_locked() && page.is_wiped_on_fork()) {
        return Err(Unprotected);
    }
    let page = Arc::new(page);
    let filler = Filler {
        page: Arc::clone(&page),
        generation,
    };
    Ok((filler, Taker { page, generation }))
}

/// The arming end.
pub(super) struct Filler {
    page: Arc<Locked<Page>>,
    generation: u64,
}

impl Filler {
    /// Whether this is still the process the pool was made in.
    pub(super) fn is_own_process(&self) -> bool {
        self.page.get().generation.load(Ordering::Relaxed) == self.generation
    }

    /// Nonces waiting.
    pub(super) fn level(&self) -> usize {
        let page = self.page.get();
        let taken = page.taken.0.load(Ordering::Acquire);
        page.armed.0.load(Ordering::Relaxed).wrapping_sub(taken) as usize
    }

    /// Puts one nonce in. `false`, and nothing is kept, when the pool is full or not ours.
    pub(super) fn put(&mut self, r: &Limbs, commitment: &[u8; 32], absorbed: &Absorbed) -> bool {
        if !self.is_own_process() || self.level() >= SLOT_COUNT {
            return false;
        }
        let page = self.page.get();
        let armed = page.armed.0.load(Ordering::Relaxed);
        let slot = &page.slots[armed as usize % SLOT_COUNT];
        store(&slot.r, r);
        store(&slot.commitment, &words_of(commitment));
        store(&slot.state, &absorbed.state);
        slot.absorbed.store(absorbed.len as u64, Ordering::Relaxed);
        page.armed.0.store(armed.wrapping_add(1), Ordering::Release);
        true
    }
}

/// The signing end.
pub(super) struct Taker {
    page: Arc<Locked<Page>>,
    generation: u64,
}

impl Taker {
    /// Whether this is still the process the pool was made in.
    #[inline]
    pub(super) fn is_own_process(&self) -> bool {
        self.page.get().generation.load(Ordering::Relaxed) == self.generation
    }

    /// The oldest nonce waiting. While it lives no other can be taken from this pool.
    #[inline]
    pub(super) fn take(&mut self) -> Option<Nonce<'_>> {
        let page = self.page.get();
        let taken = page.taken.0.load(Ordering::Relaxed);
        if page.armed.0.load(Ordering::Acquire) == taken {
            return None;
        }
        // Not before the check: a `Nonce` that is only dropped still uses up its slot.
        Some(Nonce { page, taken })
    }

    /// The secrets that wait: what may stand nowhere else.
    #[cfg(test)]
    pub(super) fn waiting_secrets(&self) -> Vec<[u8; 32]> {
        let page = self.page.get();
        let counts = page.taken.0.load(Ordering::Acquire)..page.armed.0.load(Ordering::Acquire);
        counts
            .map(|count| to_bytes(load(&page.slots[count as usize % SLOT_COUNT].r)))
            .collect()
    }

    /// What a fork does to the pages of a child: for tests that cannot fork for every step.
    #[cfg(test)]
    pub(super) fn wipe_as_a_fork_would(&self) {
        let page = self.page.get();
        for word in [&page.generation, &page.armed.0, &page.taken.0] {
            word.store(0, Ordering::Relaxed);
        }
        page.slots.iter().for_each(Slot::wipe);
    }

    /// Whether every slot that holds no waiting nonce is zero.
    #[cfg(test)]
    pub(super) fn idle_slots_are_wiped(&self) -> bool {
        let page = self.page.get();
        let (armed, taken) = (
            page.armed.0.load(Ordering::Relaxed),
            page.taken.0.load(Ordering::Relaxed),
        );
        let waiting =
            |index: usize| (taken..armed).any(|count| count as usize % SLOT_COUNT == index);
        page.slots.iter().enumerate().all(|(index, slot)| {
            waiting(index)
                || (load(&slot.r) == [0; 4]
                    && load(&slot.commitment) == [0; 4]
                    && load(&slot.state) == [0; 8])
        })
    }
}

/// One nonce: good for one signature, whatever becomes of it.
///
/// It is neither `Clone` nor `Copy`, [`Nonce::sign`] takes it by value, and dropping it, used or not, wipes
/// its slot: a nonce that was taken and not used is burnt.
pub(super) struct Nonce<'pool> {
    page: &'pool Page,
    taken: u64,
}

impl Nonce<'_> {
    #[inline]
    fn slot(&self) -> &Slot {
        &self.page.slots[self.taken as usize % SLOT_COUNT]
    }

    /// `R`, the first half of the signature to be.
    #[inline]
    pub(super) fn commitment(&self) -> [u8; 32] {
        to_bytes(load(&self.slot().commitment))
    }

    /// Signs `message` and uses the nonce up. `starts_with_prefix` says whether the message starts with the
    /// prefix the nonce was armed for; if not, the hash starts over.
    #[inline]
    pub(super) fn sign(
        self,
        secret: &FixedSecret,
        public: &[u8; 32],
        message: &[u8],
        starts_with_prefix: bool,
    ) -> [u8; 64] {
        let slot = self.slot();
        let commitment = self.commitment();
        let absorbed = if starts_with_prefix {
            Absorbed {
                state: load(&slot.state),
                len: slot.absorbed.load(Ordering::Relaxed) as usize,
            }
        } else {
            Absorbed::NOTHING
        };
        let k = absorbed.finish(&commitment, public, message);
        let mut r = load(&slot.r);
        let response = secret.respond(&r, &k);
        r.zeroize();
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&commitment);
        signature[32..].copy_from_slice(&to_bytes(response));
        signature
    }
}

impl Drop for Nonce<'_> {
    #[inline]
    fn drop(&mut self) {
        self.slot().wipe();
        // Released after the wipe: the arming side cannot fill the slot before.
        self.page
            .taken
            .0
            .store(self.taken.wrapping_add(1), Ordering::Release);
    }
}

#[inline]
fn load<const N: usize>(words: &[AtomicU64; N]) -> [u64; N] {
    core::array::from_fn(|at| words[at].load(Ordering::Relaxed))
}

fn store<const N: usize>(words: &[AtomicU64; N], values: &[u64; N]) {
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
    }
}

fn words_of(bytes: &[u8; 32]) -> Limbs {
    let (words, _) = bytes.as_chunks::<8>();
    core::array::from_fn(|at| u64::from_le_bytes(words[at]))
}
