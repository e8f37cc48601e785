//! The three ways to a signature behind one type.
//!
//! | way           | made                                  | costs at the trigger                     | can give the key away         |
//! |---------------|---------------------------------------|------------------------------------------|-------------------------------|
//! | deterministic | at the trigger, RFC 8032              | the whole signature                      | no                            |
//! | presigned     | ahead, RFC 8032, whole transactions   | a choice and a copy                      | no                            |
//! | armed         | at the trigger, from a nonce made ahead | the rest of one hash, one scalar product | if a nonce is ever used twice |
//!
//! [`Signing::sign`] takes the armed way where it was opened and a nonce waits, and the deterministic way
//! everywhere else: the caller cannot tell from the call. [`Signing::release`] gives one rung of a
//! [`crate::ladder`]. All ways stop at once when signing halts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use market::Key;

#[cfg(feature = "armed-nonces")]
use crate::armed::{self, ArmError, Armed, Arming, EntropyFor, SnapshotsExcluded};
use crate::ladder::{Held, LadderSigner, NotReleased, Released, RungLayout, Wanted};
use crate::signer::{KeyClass, Signer, SigningPair};

/// Which template a message was rendered from: chooses the pool whose nonces have absorbed its static prefix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TemplateIndex(pub u8);

/// How a signature came to be. Indexes counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Way {
    /// Made at the trigger as RFC 8032 has it.
    Deterministic,
    /// Made ahead as RFC 8032 has it, and chosen.
    Presigned,
    /// Made at the trigger with a nonce made ahead.
    Armed,
}

impl Way {
    /// Number of ways.
    pub const COUNT: usize = 3;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        ["deterministic", "presigned", "armed"]
    }
}

/// Why a signature was made the deterministic way though nonces are made ahead. One byte; indexes counters, so append,
/// never reorder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Fallback {
    /// No nonce was waiting for the template.
    Dry,
    /// The template has no pool.
    NoPool,
    /// The message is longer than what is verified.
    TooLong,
    /// Verification lags, or has ended: what is not verified must not leave.
    Unverified,
}

impl Fallback {
    /// Number of reasons.
    pub const COUNT: usize = 4;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        ["dry", "no_pool", "too_long", "unverified"]
    }
}

/// Why nothing is signed any more. Never lifted: the process must be looked at by a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[repr(u8)]
pub enum Halted {
    /// A nonce came up that had been released before: the key must be taken out of use.
    #[error("a nonce came up a second time: rotate the key")]
    NonceSeen = 1,
    /// A signature did not verify: hardware or memory is at fault.
    #[error("a signature of ours does not verify: suspect the hardware")]
    VerificationFailed = 2,
    /// This process is a fork of the one that holds the key.
    #[error("a forked process may not sign")]
    Forked = 3,
}

impl Halted {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::NonceSeen, Self::VerificationFailed, Self::Forked];

    /// The reason's name, for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonceSeen => "nonce_seen",
            Self::VerificationFailed => "verification_failed",
            Self::Forked => "forked",
        }
    }
}

/// Halts every way of signing, from whichever thread notices first.
#[derive(Debug, Default)]
pub(crate) struct Halt(AtomicU8);

/// One for each key of this process, for ever: who halts must reach all that sign with it, whoever made them and
/// whenever, and nothing lifts a halt. Locked at start only.
static HALTS: Mutex<BTreeMap<Key, Arc<Halt>>> = Mutex::new(BTreeMap::new());

impl Halt {
    /// That of a key.
    fn of(public_key: &Key) -> Arc<Self> {
        let mut halts = HALTS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(halts.entry(*public_key).or_default())
    }

    /// Halts, and returns the reason. The first reason stays, unless a later one costs the key.
    #[cfg_attr(not(feature = "armed-nonces"), allow(dead_code))]
    #[cold]
    pub(crate) fn raise(&self, reason: Halted) -> Halted {
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |known| {
                (known == 0 || reason == Halted::NonceSeen).then_some(reason as u8)
            });
        reason
    }

    #[inline]
    pub(crate) fn check(&self) -> Result<(), Halted> {
        match self.0.load(Ordering::Acquire) {
            0 => Ok(()),
            1 => Err(Halted::NonceSeen),
            2 => Err(Halted::VerificationFailed),
            _ => Err(Halted::Forked),
        }
    }
}

/// Tells from any thread whether signing with a key has halted. Cannot halt it.
#[derive(Clone, Debug)]
pub struct HaltWatch(Arc<Halt>);

impl HaltWatch {
    /// Why signing halted, if it did. Cost: one load.
    #[inline]
    #[must_use]
    pub fn reason(&self) -> Option<Halted> {
        self.0.check().err()
    }
}

/// Signs with one key, in whichever ways were opened. Owned by the core. All that sign with one key in a process halt
/// together.
pub struct Signing {
    pair: SigningPair,
    #[cfg(feature = "armed-nonces")]
    armed: Option<Armed>,
    halt: Arc<Halt>,
    counts: [u64; Way::COUNT],
}

impl Signing {
    /// The deterministic way, and presigned ladders.
    #[must_use]
    pub fn deterministic<C: KeyClass>(signer: Signer<C>) -> Self {
        Self {
            halt: Halt::of(signer.public_key()),
            pair: signer.into_pair(),
            #[cfg(feature = "armed-nonces")]
            armed: None,
            counts: [0; Way::COUNT],
        }
    }

    /// All ways. `prefixes[i]` is what every message of template `i` starts with; a template without an entry,
    /// or with an empty one, is signed the deterministic way. The other half belongs on a thread off the core, polled until the
    /// process ends.
    ///
    /// # Errors
    /// [`ArmError`].
    #[cfg(feature = "armed-nonces")]
    pub fn armed<C: KeyClass, E: EntropyFor<C>>(
        signer: Signer<C>,
        proof: SnapshotsExcluded<C>,
        entropy: E,
        prefixes: &[&[u8]],
    ) -> Result<(Self, Arming), ArmError> {
        let halt = Halt::of(signer.public_key());
        let (armed, arming) = armed::halves(&signer, proof, entropy, prefixes, &halt)?;
        let mut signing = Self::deterministic(signer);
        signing.armed = Some(armed);
        Ok((signing, arming))
    }

    /// The account that pays and signs.
    #[inline]
    #[must_use]
    pub fn public_key(&self) -> &Key {
        self.pair.public_key()
    }

    /// A handle that presigns ladders with the same key, for a thread off the core. It stops when signing halts.
    #[must_use]
    pub fn ladder_signer(&self) -> LadderSigner {
        LadderSigner::new(self.pair.clone(), Arc::clone(&self.halt))
    }

    /// Signs `message`, the armed way if a nonce waits for its template. Does not allocate.
    ///
    /// One call is one signature: signing the same message again uses another nonce.
    ///
    /// # Errors
    /// [`Halted`].
    #[inline]
    pub fn sign(
        &mut self,
        message: &[u8],
        template: TemplateIndex,
    ) -> Result<([u8; 64], Way), Halted> {
        self.halt.check()?;
        let (signature, way) = self.sign_some_way(message, template)?;
        self.counts[way as usize] += 1;
        Ok((signature, way))
    }

    #[cfg(feature = "armed-nonces")]
    #[inline]
    fn sign_some_way(
        &mut self,
        message: &[u8],
        template: TemplateIndex,
    ) -> Result<([u8; 64], Way), Halted> {
        if let Some(armed) = &mut self.armed
            && let Some(signature) = armed.sign(message, template)?
        {
            return Ok((signature, Way::Armed));
        }
        Ok((self.pair.sign(message), Way::Deterministic))
    }

    #[cfg(not(feature = "armed-nonces"))]
    #[inline]
    fn sign_some_way(
        &mut self,
        message: &[u8],
        _template: TemplateIndex,
    ) -> Result<([u8; 64], Way), Halted> {
        Ok((self.pair.sign(message), Way::Deterministic))
    }

    /// Releases the rung of `held` that serves `wanted`; uses up the intent's one release.
    ///
    /// # Errors
    /// [`NotReleased`] gives everything back when no rung serves, or when signing has halted.
    #[inline]
    pub fn release(&mut self, held: Held, wanted: &Wanted) -> Result<Released, NotReleased> {
        self.release_if(held, wanted, |_, _| true)
    }

    /// [`Signing::release`] of a rung whose bytes `admits` takes.
    #[inline]
    pub(crate) fn release_if(
        &mut self,
        held: Held,
        wanted: &Wanted,
        admits: impl FnOnce(&[u8], &RungLayout) -> bool,
    ) -> Result<Released, NotReleased> {
        if let Err(halted) = self.halt.check() {
            return Err(NotReleased::halted(held, halted));
        }
        let released = held.release(wanted, admits)?;
        self.counts[Way::Presigned as usize] += 1;
        Ok(released)
    }

    /// Takes note of a signature of ours seen outside, such as one from before this start: its nonce will
    /// never be released. Only of one that verifies strictly (`Arming::witness`): anybody can copy half of a signature.
    pub fn remember(&mut self, signature: &[u8; 64]) {
        #[cfg(feature = "armed-nonces")]
        if let Some(armed) = &mut self.armed {
            armed.remember(signature);
        }
        // A deterministic nonce needs no memory: the message makes it.
        #[cfg(not(feature = "armed-nonces"))]
        let _ = signature;
    }

    /// Signatures given per [`Way`].
    #[must_use]
    pub const fn counts(&self) -> &[u64; Way::COUNT] {
        &self.counts
    }

    /// Signatures that the armed way left to the deterministic one, per [`Fallback`]. None without the armed way.
    #[must_use]
    pub const fn fallbacks(&self) -> &[u64; Fallback::COUNT] {
        #[cfg(feature = "armed-nonces")]
        if let Some(armed) = &self.armed {
            return armed.fallbacks();
        }
        &[0; Fallback::COUNT]
    }

    /// A handle that tells other threads whether signing has halted.
    #[must_use]
    pub fn halt_watch(&self) -> HaltWatch {
        HaltWatch(Arc::clone(&self.halt))
    }

    #[cfg(test)]
    pub(crate) fn halt_for_test(&self, reason: Halted) {
        self.halt.raise(reason);
    }

    /// Why signing halted, if it did.
    ///
    /// # Errors
    /// [`Halted`].
    pub fn health(&self) -> Result<(), Halted> {
        self.halt.check()
    }
}

impl core::fmt::Debug for Signing {
    /// Shows no key.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Signing")
            .field("counts", &self.counts)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ladder::{Intents, NoRung};
    use crate::signer::ThrowAway;
    use shred_wire::Slot;

    #[test]
    fn the_deterministic_way_is_the_signers() {
        let signer = || Signer::<ThrowAway>::from_seed(&[3; 32]).unwrap();
        let mut signing = Signing::deterministic(signer());
        assert_eq!(signing.public_key(), signer().public_key());
        let expected = (signer().sign(b"message"), Way::Deterministic);
        for template in [0, 255] {
            assert_eq!(
                signing.sign(b"message", TemplateIndex(template)),
                Ok(expected)
            );
        }
        assert_eq!(signing.counts(), &[2, 0, 0]);
    }

    #[test]
    fn once_halted_no_way_signs() {
        for reason in Halted::ALL {
            // A key of its own: it stays halted as long as this process lives.
            let signer = Signer::<ThrowAway>::from_seed(&[200 + reason as u8; 32]).unwrap();
            let mut signing = Signing::deterministic(signer);
            assert_eq!(signing.health(), Ok(()));
            assert_eq!(signing.halt_watch().reason(), None);
            signing.halt.raise(reason);
            assert_eq!(signing.health(), Err(reason));
            assert_eq!(signing.halt_watch().reason(), Some(reason));
            assert_eq!(signing.sign(b"message", TemplateIndex(0)), Err(reason));
            let held = Intents::default().hold(1).unwrap();
            let wanted = Wanted {
                size_max: 1,
                size_min: 0,
                tip_min: 0,
                tip_max: 1,
                slot: Slot(1),
                blockhash_age_max: 1,
            };
            let refused = signing.release(held, &wanted).unwrap_err();
            assert_eq!(refused.why, NoRung::Halted);
            assert_eq!(signing.counts(), &[0; Way::COUNT]);
        }
    }

    /// Goal: who notices first stops all that sign with the key, made before or after, and nobody else.
    #[test]
    fn all_that_sign_with_one_key_halt_together() {
        let made = |seed: u8| {
            let signer = Signer::<ThrowAway>::from_seed(&[seed; 32]).unwrap();
            Signing::deterministic(signer)
        };
        let (one, mut two, mut other) = (made(210), made(210), made(211));
        one.halt.raise(Halted::VerificationFailed);
        drop(one);
        let mut later = made(210);
        for signing in [&mut two, &mut later] {
            let refused = signing.sign(b"message", TemplateIndex(0));
            assert_eq!(refused, Err(Halted::VerificationFailed));
        }
        assert!(other.sign(b"message", TemplateIndex(0)).is_ok());
    }

    #[test]
    fn the_reason_that_stays_is_the_first_or_the_one_that_costs_the_key() {
        use Halted::{Forked, NonceSeen, VerificationFailed};
        for (first, second, stays) in [
            (Forked, VerificationFailed, Forked),
            (VerificationFailed, Forked, VerificationFailed),
            (VerificationFailed, NonceSeen, NonceSeen),
            (NonceSeen, Forked, NonceSeen),
        ] {
            let halt = Halt::default();
            halt.raise(first);
            halt.raise(second);
            assert_eq!(halt.check(), Err(stays), "{first:?} then {second:?}");
        }
    }

    #[test]
    fn ways_are_named_in_order() {
        assert_eq!(Way::names()[Way::Armed as usize], "armed");
        assert_eq!(Way::names()[Way::Presigned as usize], "presigned");
        assert_eq!(NoRung::names()[NoRung::Halted as usize], "halted");
        assert_eq!(Fallback::names()[Fallback::Dry as usize], "dry");
        let last = Fallback::Unverified as usize;
        assert_eq!(Fallback::names()[last], "unverified");
        assert_eq!(last + 1, Fallback::COUNT);
    }
}
