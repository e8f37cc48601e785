//! Signing with nonces made ahead: what is left at the trigger is one hash and one product of scalars.
//!
//! An Ed25519 signature is `R = r B` and `S = r + SHA-512(R || A || message) * s`. RFC 8032 binds the nonce `r`
//! to the message; here `r` and `R` are made before the message exists. **A nonce used for two messages, or
//! known to anyone, gives the key away**: `s = (S1 - S2) / (k1 - k2)`. Everything in this module is shaped by
//! that; the page "Armed nonces" of `ARCHITECTURE.md` argues it and names what remains.
//!
//! ```text
//! Arming (a cold thread)                               Armed (the core)
//!   entropy -> r, R -> hash over R, A, prefix -> pool -> Nonce -> sign, by move -> slot wiped
//!   strict verification <- ring of signed messages <-----------------'
//!        `-- failed: halt, seen by both
//! ```
//!
//! The pool holds nonces for one static prefix each: the bytes that every message of a template starts with,
//! whose hash is already absorbed. A dry pool, a message too long to be verified, or a full ring of
//! verifications means that the caller signs the deterministic way.

mod challenge;
mod clocks;
mod entropy;
mod pool;
mod scalar;
mod used;
mod witnessed;

use core::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::hazmat::ExpandedSecretKey;
use ed25519_dalek::{Signature, VerifyingKey};
use market::Key;
use rtrb::{Consumer, Producer, RingBuffer};
use zeroize::{Zeroize, Zeroizing};

use crate::locked::{Locked, scrub_stack};
use crate::signer::{KeyClass, Signer, SigningPair};
use crate::signing::{Fallback, Halt, Halted, TemplateIndex};
use challenge::{Absorbed, wiping_sha512};
use clocks::Clocks;
use pool::{Filler, Taker};
use scalar::{FixedSecret, limbs_of};
use used::UsedCommitments;
use witnessed::Witnessed;

pub use crate::host::{HostKind, SnapshotStatement, SnapshotsExcluded, SnapshotsPossible};
pub use entropy::{Entropy, EntropyFailed, EntropyFor, OsEntropy, SeededEntropy};

/// Longest message signed with an armed nonce: that of a v0 transaction, which the ring of verifications has
/// room for. Longer ones are signed the deterministic way.
pub const MESSAGE_LEN_MAX: usize = shred_wire::txn::LEGACY_AND_V0_LEN_MAX;
/// Nonces that can wait in one pool.
pub const POOL_LEN: usize = pool::SLOT_COUNT;
/// Signatures that can wait for verification.
const UNVERIFIED_COUNT_MAX: usize = 64;
/// Released commitments remembered, at least; 64 KiB.
const REMEMBERED_MIN: usize = 2_048;
/// Signatures verified per turn of the arming thread before it arms again.
const VERIFIED_PER_POLL_MAX: usize = 4;
/// Names the use of the hash that makes nonces, so that it meets no other.
const DOMAIN: &[u8; 32] = b"armed ed25519 nonce, version 002";

/// Why nonces cannot be made ahead. Start-up only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArmError {
    /// The pages of a pool cannot be locked, kept out of dumps, or wiped on fork.
    #[error(
        "nonces need locked memory: raise the memory-lock limit (LimitMEMLOCK), kernel 4.14 or later"
    )]
    MemoryUnprotected,
    /// The entropy source gave nothing.
    #[error("the source of randomness gave no bytes")]
    NoEntropy,
    /// The generation of this boot cannot be told.
    #[error("/proc/sys/kernel/random/boot_id cannot be read")]
    NoBootGeneration,
}

/// Starts a pair of halves for the key of `signer`: one that signs, one that makes nonces, with a pool of
/// [`POOL_LEN`] nonces per entry of `prefixes` that is not empty. A message of template `i` should start with
/// `prefixes[i]`.
///
/// Pools are empty until [`Arming::poll`] has filled them.
///
/// # Errors
/// [`ArmError`].
pub(crate) fn halves<C: KeyClass, E: EntropyFor<C>>(
    signer: &Signer<C>,
    _proof: SnapshotsExcluded<C>,
    entropy: E,
    prefixes: &[&[u8]],
    halt: &Arc<Halt>,
) -> Result<(Armed, Arming), ArmError> {
    halves_in(Process::start()?, signer.pair(), entropy, prefixes, halt)
}

fn halves_in(
    process: Process,
    pair: &SigningPair,
    mut entropy: impl Entropy,
    prefixes: &[&[u8]],
    halt: &Arc<Halt>,
) -> Result<(Armed, Arming), ArmError> {
    let mut boot_random = Zeroizing::new([0; 32]);
    entropy
        .fill(&mut boot_random)
        .map_err(|EntropyFailed| ArmError::NoEntropy)?;
    let secrets = derive_secrets(pair, &boot_random);
    scrub_stack();
    let (nonce_secret, fixed_secret) = secrets?;
    let mut lines = Vec::with_capacity(prefixes.len());
    let mut magazines = Vec::with_capacity(prefixes.len());
    for (index, prefix) in prefixes.iter().enumerate() {
        if prefix.is_empty() {
            magazines.push(None);
            continue;
        }
        let (filler, taker) =
            pool::pool(process.generation).map_err(|_| ArmError::MemoryUnprotected)?;
        lines.push(Line {
            template: index,
            filler,
            prefix: (*prefix).into(),
        });
        magazines.push(Some(Magazine {
            taker,
            prefix: (*prefix).into(),
        }));
    }
    let (unverified, verifications) = RingBuffer::new(UNVERIFIED_COUNT_MAX);
    let armed = Armed {
        secret: fixed_secret,
        public: *pair.public_key(),
        magazines: magazines.into(),
        used: UsedCommitments::new(REMEMBERED_MIN),
        unverified,
        halt: Arc::clone(halt),
        fallbacks: [0; Fallback::COUNT],
    };
    let public = VerifyingKey::from_bytes(pair.public_key()).expect("made from the secret");
    let arming = Arming {
        secret: nonce_secret,
        public,
        process,
        nonce_count: 0,
        entropy: Box::new(entropy),
        lines: lines.into(),
        verifications,
        halt: Arc::clone(halt),
        witnessed: Witnessed::new(REMEMBERED_MIN),
        counters: ArmingCounters::default(),
        planted: false,
    };
    Ok((armed, arming))
}

/// What nonces are made with: the hash prefix of RFC 8032, then the random bytes of this start.
type NonceSecret = Locked<[u8; 64]>;

/// To be followed by a scrub of the stack.
#[inline(never)]
fn derive_secrets(
    pair: &SigningPair,
    boot_random: &[u8; 32],
) -> Result<(NonceSecret, Locked<FixedSecret>), ArmError> {
    let mut nonce_secret = protected([0; 64])?;
    let mut fixed_secret = protected(FixedSecret::EMPTY)?;
    let mut seed = Zeroizing::new([0; 32]);
    seed.copy_from_slice(pair.seed());
    let mut expanded = ExpandedSecretKey::from(&*seed);
    let both = nonce_secret.get_mut();
    both[..32].copy_from_slice(&expanded.hash_prefix);
    both[32..].copy_from_slice(boot_random);
    fixed_secret.get_mut().fill(&expanded.scalar);
    expanded.scalar.zeroize();
    expanded.hash_prefix.zeroize();
    Ok((nonce_secret, fixed_secret))
}

/// A page for a secret that is yet to be written.
fn protected<T: Zeroize>(empty: T) -> Result<Locked<T>, ArmError> {
    Locked::new(empty)
        .ok()
        .filter(|page| page.is_locked() && page.is_wiped_on_fork())
        .ok_or(ArmError::MemoryUnprotected)
}

/// Which process, of which boot, made a nonce.
struct Process {
    /// Of this boot: random, from the kernel.
    boot_id: [u8; 36],
    pid: u32,
    /// Counts armings within the process, from one.
    generation: u64,
    /// Reads what tells two machines apart that were one when they were copied.
    clocks: fn() -> Clocks,
}

impl Process {
    fn start() -> Result<Self, ArmError> {
        static GENERATION: AtomicU64 = AtomicU64::new(1);
        let text = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot_id = text.first_chunk().ok_or(ArmError::NoBootGeneration)?;
        Ok(Self {
            boot_id: *boot_id,
            pid: std::process::id(),
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            clocks: Clocks::read,
        })
    }
}

/// The half that signs; lives on the core.
pub(crate) struct Armed {
    secret: Locked<FixedSecret>,
    public: Key,
    /// By template.
    magazines: Box<[Option<Magazine>]>,
    used: UsedCommitments,
    unverified: Producer<SignedMessage>,
    halt: Arc<Halt>,
    fallbacks: [u64; Fallback::COUNT],
}

struct Magazine {
    taker: Taker,
    prefix: Box<[u8]>,
}

impl Armed {
    /// Signs with the next nonce of the template's pool. `None`, counted by [`Fallback`], when there is none, when the
    /// message is too long, or when verification lags: the caller signs the deterministic way.
    ///
    /// Does not allocate, wait, or make a system call.
    ///
    /// # Errors
    /// [`Halted`] in a forked child, and when the nonce was released before; from then on nothing is signed.
    #[inline]
    pub(crate) fn sign(
        &mut self,
        message: &[u8],
        template: TemplateIndex,
    ) -> Result<Option<[u8; 64]>, Halted> {
        match self.sign_or_say(message, template)? {
            Ok(signature) => Ok(Some(signature)),
            Err(why) => {
                self.fallbacks[why as usize] += 1;
                Ok(None)
            }
        }
    }

    #[inline]
    fn sign_or_say(
        &mut self,
        message: &[u8],
        template: TemplateIndex,
    ) -> Result<Result<[u8; 64], Fallback>, Halted> {
        let Self {
            secret,
            public,
            magazines,
            used,
            unverified,
            halt,
            ..
        } = self;
        let Some(Some(magazine)) = magazines.get_mut(usize::from(template.0)) else {
            return Ok(Err(Fallback::NoPool));
        };
        if !magazine.taker.is_own_process() {
            return Err(halt.raise(Halted::Forked));
        }
        if message.len() > MESSAGE_LEN_MAX {
            return Ok(Err(Fallback::TooLong));
        }
        // Reserved first: what cannot be verified must not leave, and an ended arming thread verifies nothing.
        if unverified.is_abandoned() {
            return Ok(Err(Fallback::Unverified));
        }
        let Ok(mut verification) = unverified.write_chunk(1) else {
            return Ok(Err(Fallback::Unverified));
        };
        let Some(nonce) = magazine.taker.take() else {
            return Ok(Err(Fallback::Dry));
        };
        if used.insert(&nonce.commitment()).is_err() {
            return Err(halt.raise(Halted::NonceSeen));
        }
        let starts_with_prefix = message.starts_with(&magazine.prefix);
        let signature = nonce.sign(secret.get(), public, message, starts_with_prefix);
        if let ([slot, ..], _) = verification.as_mut_slices() {
            slot.set(message, &signature);
        }
        verification.commit_all();
        Ok(Ok(signature))
    }

    /// Signatures left to the deterministic way, per [`Fallback`].
    pub(crate) const fn fallbacks(&self) -> &[u64; Fallback::COUNT] {
        &self.fallbacks
    }

    /// Takes note of a signature of ours that was made elsewhere or before this start.
    pub(crate) fn remember(&mut self, signature: &[u8; 64]) {
        if let Some(commitment) = signature.first_chunk() {
            // Known already is as good as new here.
            let _ = self.used.insert(commitment);
        }
    }
}

/// A message and the signature that was made of it, on its way to verification.
struct SignedMessage {
    /// Bytes of `message` that were written; the rest is never read, and need not be cleared per message.
    len: usize,
    signature: [u8; 64],
    message: [MaybeUninit<u8>; MESSAGE_LEN_MAX],
}

impl Default for SignedMessage {
    fn default() -> Self {
        Self {
            len: 0,
            signature: [0; 64],
            message: [const { MaybeUninit::uninit() }; MESSAGE_LEN_MAX],
        }
    }
}

impl SignedMessage {
    #[inline]
    fn set(&mut self, message: &[u8], signature: &[u8; 64]) {
        self.signature = *signature;
        self.message[..message.len()].write_copy_of_slice(message);
        self.len = message.len();
    }

    fn message(&self) -> &[u8] {
        // SAFETY: `len` is zero or was set after that many bytes were written, and nothing takes one back.
        unsafe { self.message[..self.len].assume_init_ref() }
    }

    fn is_valid_for(&self, public: &VerifyingKey) -> bool {
        let signature = Signature::from_bytes(&self.signature);
        public.verify_strict(self.message(), &signature).is_ok()
    }
}

/// The half that makes nonces and verifies what was signed; lives on a thread of its own, off the core.
pub struct Arming {
    secret: NonceSecret,
    public: VerifyingKey,
    process: Process,
    nonce_count: u64,
    entropy: Box<dyn Entropy>,
    lines: Box<[Line]>,
    verifications: Consumer<SignedMessage>,
    halt: Arc<Halt>,
    witnessed: Witnessed,
    counters: ArmingCounters,
    /// See [`Arming::plant_verification_failure`].
    planted: bool,
}

/// What an [`Arming`] has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ArmingCounters {
    /// Nonces made.
    pub nonce_made: u64,
    /// Times the source of randomness gave nothing.
    pub entropy_failed: u64,
    /// Signatures of ours that were verified after they left.
    pub signature_verified: u64,
    /// Signatures under our key, seen outside, that verify.
    pub outside_verified: u64,
    /// Signatures said to be ours, seen outside, that do not verify.
    pub outside_refused: u64,
}

impl ArmingCounters {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// All of them, with their names for metrics.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); Self::COUNT] {
        [
            ("nonce_made", self.nonce_made),
            ("entropy_failed", self.entropy_failed),
            ("signature_verified", self.signature_verified),
            ("outside_verified", self.outside_verified),
            ("outside_refused", self.outside_refused),
        ]
    }
}

struct Line {
    template: usize,
    filler: Filler,
    prefix: Box<[u8]>,
}

impl Arming {
    /// Verifies some of what was signed, then makes one nonce for the emptiest pool. Returns the number of
    /// things done; zero means that there was nothing to do.
    ///
    /// Cost: about 50 us per verification, 20 us per nonce. When the entropy source fails no nonce is made
    /// and pools run dry.
    ///
    /// # Errors
    /// [`Halted`] when a signature did not verify, when two under one nonce were seen, in a forked child, or once
    /// signing was halted elsewhere.
    pub fn poll(&mut self) -> Result<usize, Halted> {
        self.halt.check()?;
        let mut done = 0;
        while done < VERIFIED_PER_POLL_MAX {
            let Ok(signed) = self.verifications.pop() else {
                break;
            };
            // The nonce is gone and the message is not signed again: a fault may have made this signature.
            if self.planted || !signed.is_valid_for(&self.public) {
                return Err(self.halt.raise(Halted::VerificationFailed));
            }
            if self.witnessed.note(&signed.signature).is_err() {
                return Err(self.halt.raise(Halted::NonceSeen));
            }
            self.counters.signature_verified += 1;
            done += 1;
        }
        Ok(done + usize::from(self.arm_one()?))
    }

    fn arm_one(&mut self) -> Result<bool, Halted> {
        let emptiest = (0..self.lines.len()).min_by_key(|index| self.lines[*index].filler.level());
        let Some(index) = emptiest else {
            return Ok(false);
        };
        if !self.lines[index].filler.is_own_process() || std::process::id() != self.process.pid {
            return Err(self.halt.raise(Halted::Forked));
        }
        if self.lines[index].filler.level() >= pool::SLOT_COUNT {
            return Ok(false);
        }
        let put = self.put_one(index);
        scrub_stack();
        Ok(put)
    }

    /// Makes one nonce for a pool with room. To be followed by a scrub of the stack: scalar multiplication leaves the
    /// digits of `r` there.
    #[inline(never)]
    fn put_one(&mut self, index: usize) -> bool {
        let Ok(mut r) = self.draw() else {
            self.counters.entropy_failed += 1;
            return false;
        };
        let commitment = EdwardsPoint::mul_base(&r).compress().to_bytes();
        let Line { filler, prefix, .. } = &mut self.lines[index];
        let absorbed = Absorbed::of(&commitment, self.public.as_bytes(), prefix);
        let mut limbs = limbs_of(&r);
        let put = filler.put(&limbs, &commitment, &absorbed);
        limbs.zeroize();
        r.zeroize();
        self.counters.nonce_made += u64::from(put);
        put
    }

    /// `r = SHA-512(domain || prefix || random of this start || boot, process, arming || counter || clocks || fresh)`,
    /// reduced from 512 bits; every part has a fixed length.
    ///
    /// The prefix keeps it secret if the generator is bad, the counter unique within this arming if the
    /// generator repeats itself, the fresh bytes unique across starts, the clocks unique across copies of a machine
    /// whose generators agree. Distinct keys have distinct prefixes.
    fn draw(&mut self) -> Result<Scalar, EntropyFailed> {
        let Self {
            secret,
            process,
            nonce_count,
            entropy,
            ..
        } = self;
        // Counted before use: a failure burns the number.
        *nonce_count += 1;
        let mut fresh = Zeroizing::new([0; 32]);
        entropy.fill(&mut fresh)?;
        let hash = wiping_sha512(&[
            DOMAIN,
            secret.get(),
            &process.boot_id,
            &process.pid.to_le_bytes(),
            &process.generation.to_le_bytes(),
            &nonce_count.to_le_bytes(),
            (process.clocks)().as_bytes(),
            &*fresh,
        ]);
        Ok(Scalar::from_bytes_mod_order_wide(&hash))
    }

    /// Bytes of `R || A || message` that are hashed before the message exists, for a template.
    #[must_use]
    pub fn absorbed_len(&self, template: TemplateIndex) -> usize {
        self.line(template)
            .map_or(0, |line| Absorbed::of(&[0; 32], &[0; 32], &line.prefix).len)
    }

    /// Nonces waiting for a template, [`POOL_LEN`] at most.
    #[must_use]
    pub fn level(&self, template: TemplateIndex) -> usize {
        self.line(template).map_or(0, |line| line.filler.level())
    }

    /// Nonces waiting in the emptiest and in the fullest pool; none without a pool.
    #[must_use]
    pub fn levels(&self) -> Option<(usize, usize)> {
        let levels = || self.lines.iter().map(|line| line.filler.level());
        Some((levels().min()?, levels().max()?))
    }

    /// What was done so far.
    #[must_use]
    pub const fn counters(&self) -> &ArmingCounters {
        &self.counters
    }

    /// Looks at a signature said to be ours that was seen outside, such as in a block: whether it verifies strictly.
    /// One that does goes to [`crate::Signing::remember`], so that its nonce is never released; one that does not is
    /// anybody's, and must not: whoever can send us bytes would choose what we never sign with.
    ///
    /// Cost: about 50 us.
    ///
    /// # Errors
    /// [`Halted::NonceSeen`] when it verifies and a different signature over its nonce is known: whoever has both has
    /// the key.
    pub fn witness(&mut self, message: &[u8], signature: &[u8; 64]) -> Result<bool, Halted> {
        self.halt.check()?;
        let parsed = Signature::from_bytes(signature);
        if self.public.verify_strict(message, &parsed).is_err() {
            self.counters.outside_refused += 1;
            return Ok(false);
        }
        self.counters.outside_verified += 1;
        match self.witnessed.note(signature) {
            Ok(()) => Ok(true),
            Err(_) => Err(self.halt.raise(Halted::NonceSeen)),
        }
    }

    /// For drills: the next signature that is verified counts as broken, and signing halts. It can do no other harm.
    pub const fn plant_verification_failure(&mut self) {
        self.planted = true;
    }

    fn line(&self, template: TemplateIndex) -> Option<&Line> {
        let template = usize::from(template.0);
        self.lines.iter().find(|line| line.template == template)
    }
}

impl core::fmt::Debug for Arming {
    /// Shows no secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Arming")
            .field("pools", &self.lines.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
