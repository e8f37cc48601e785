//! Where fresh bytes come from, and which keys may meet which source.

use sha2::{Digest, Sha512};
use zeroize::Zeroize;

use crate::signer::{KeyClass, ThrowAway};

/// The source gave no bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntropyFailed;

/// A source of bytes nobody else knows.
pub trait Entropy: sealed::Sealed + Send + 'static {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`EntropyFailed`]; the content of `bytes` is then of no use.
    fn fill(&mut self, bytes: &mut [u8; 32]) -> Result<(), EntropyFailed>;
}

/// Sources that nonces of keys of class `C` may be made from. No other crate can add one.
///
/// ```
/// # use bundle::armed::{EntropyFor, OsEntropy, SeededEntropy};
/// # use bundle::{Live, ThrowAway};
/// fn arm<C: bundle::signer::KeyClass, E: EntropyFor<C>>(_: E) {}
/// arm::<Live, _>(OsEntropy);
/// arm::<ThrowAway, _>(SeededEntropy::new(7));
/// ```
/// ```compile_fail,E0277
/// # use bundle::armed::{EntropyFor, SeededEntropy};
/// # use bundle::Live;
/// fn arm<C: bundle::signer::KeyClass, E: EntropyFor<C>>(_: E) {}
/// arm::<Live, _>(SeededEntropy::new(7));
/// ```
pub trait EntropyFor<C: KeyClass>: Entropy {}

pub(super) mod sealed {
    pub trait Sealed {}
}

/// The kernel's generator (`getrandom`), the only source for a key that owns anything.
#[derive(Debug)]
pub struct OsEntropy;

impl sealed::Sealed for OsEntropy {}

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8; 32]) -> Result<(), EntropyFailed> {
        getrandom::fill(bytes).map_err(|_| EntropyFailed)
    }
}

impl<C: KeyClass> EntropyFor<C> for OsEntropy {}

/// Bytes that anyone who knows the seed can make again, for tests and benchmarks. By type it meets throw-away keys
/// alone. Nonces made from it do not repeat for all that: process and clocks enter them too.
#[derive(Debug)]
pub struct SeededEntropy {
    seed: u64,
    drawn: u64,
}

impl SeededEntropy {
    /// The same seed gives the same bytes.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }
}

impl sealed::Sealed for SeededEntropy {}

impl Entropy for SeededEntropy {
    fn fill(&mut self, bytes: &mut [u8; 32]) -> Result<(), EntropyFailed> {
        let mut hash = Sha512::new()
            .chain_update(b"seeded entropy")
            .chain_update(self.seed.to_le_bytes())
            .chain_update(self.drawn.to_le_bytes())
            .finalize();
        self.drawn += 1;
        bytes.copy_from_slice(&hash[..32]);
        hash.as_mut_slice().zeroize();
        Ok(())
    }
}

impl EntropyFor<ThrowAway> for SeededEntropy {}
