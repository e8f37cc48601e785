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
mod entropy;
mod host;
mod pool;
mod scalar;
mod used;

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
use crate::signing::{Halt, Halted, TemplateIndex};
use challenge::{Absorbed, wiping_sha512};
use pool::{Filler, Taker};
use scalar::{FixedSecret, limbs_of};
use used::UsedCommitments;

pub use entropy::{Entropy, EntropyFailed, EntropyFor, OsEntropy, SeededEntropy};
pub use host::{HostKind, SnapshotStatement, SnapshotsExcluded, SnapshotsPossible};

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
const DOMAIN: &[u8; 32] = b"armed ed25519 nonce, version 001";

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
}

struct Magazine {
    taker: Taker,
    prefix: Box<[u8]>,
}

impl Armed {
    /// Signs with the next nonce of the template's pool. `None` when there is none, when the message is too
    /// long, or when verification lags: the caller signs the deterministic way.
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
        let Self {
            secret,
            public,
            magazines,
            used,
            unverified,
            halt,
        } = self;
        let Some(Some(magazine)) = magazines.get_mut(usize::from(template.0)) else {
            return Ok(None);
        };
        if !magazine.taker.is_own_process() {
            return Err(halt.raise(Halted::Forked));
        }
        if message.len() > MESSAGE_LEN_MAX {
            return Ok(None);
        }
        // Reserved first: what cannot be verified must not leave, and an ended arming thread verifies nothing.
        if unverified.is_abandoned() {
            return Ok(None);
        }
        let Ok(mut verification) = unverified.write_chunk(1) else {
            return Ok(None);
        };
        let Some(nonce) = magazine.taker.take() else {
            return Ok(None);
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
        Ok(Some(signature))
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
    /// [`Halted`] when a signature did not verify, in a forked child, or once signing was halted elsewhere.
    pub fn poll(&mut self) -> Result<usize, Halted> {
        self.halt.check()?;
        let mut done = 0;
        while done < VERIFIED_PER_POLL_MAX {
            let Ok(signed) = self.verifications.pop() else {
                break;
            };
            // The nonce is gone and the message is not signed again: a fault may have made this signature.
            if !signed.is_valid_for(&self.public) {
                return Err(self.halt.raise(Halted::VerificationFailed));
            }
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
            return false;
        };
        let commitment = EdwardsPoint::mul_base(&r).compress().to_bytes();
        let Line { filler, prefix, .. } = &mut self.lines[index];
        let absorbed = Absorbed::of(&commitment, self.public.as_bytes(), prefix);
        let mut limbs = limbs_of(&r);
        let put = filler.put(&limbs, &commitment, &absorbed);
        limbs.zeroize();
        r.zeroize();
        put
    }

    /// `r = SHA-512(domain || prefix || random of this start || boot, process, arming || counter || fresh)`,
    /// reduced from 512 bits.
    ///
    /// The prefix keeps it secret if the generator is bad, the counter unique within this arming if the
    /// generator repeats itself, the fresh bytes unique across starts. Distinct keys have distinct prefixes.
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
