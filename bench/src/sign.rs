//! A builder for each way of signing, and whoever supplies it.

use bundle::{Builder, Signer, ThrowAway, Way};
use engine::{LadderDesk, LadderPlan};

use crate::armoury::Armoury;
use crate::ours::{builder_config, seed};

/// How bundles are signed at the trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// RFC 8032.
    Deterministic,
    /// Ahead, as RFC 8032 has it: the trigger chooses among rungs.
    Presigned,
    /// With nonces made ahead.
    #[cfg(feature = "armed-nonces")]
    Armed,
}

impl Sign {
    /// Those that this build has.
    pub const ALL: &'static [Self] = &[
        Self::Deterministic,
        Self::Presigned,
        #[cfg(feature = "armed-nonces")]
        Self::Armed,
    ];

    /// As rows name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deterministic => "deterministic",
            Self::Presigned => "presigned",
            #[cfg(feature = "armed-nonces")]
            Self::Armed => "armed",
        }
    }

    /// Whether signatures were made this way: every one, but for a few triggers that no rung serves, such as one whose
    /// price has run away from its ladder.
    ///
    /// # Errors
    /// A sentence with the number of those that were not.
    pub fn check(self, counts: &[u64; Way::COUNT]) -> Result<(), String> {
        let all = counts.iter().sum::<u64>();
        let (wanted, bearable) = match self {
            Self::Deterministic => (Way::Deterministic, 0),
            Self::Presigned => (Way::Presigned, all / OTHERWISE_ONE_IN + OTHERWISE_ANYHOW),
            #[cfg(feature = "armed-nonces")]
            Self::Armed => (Way::Armed, 0),
        };
        let other = all - counts[wanted as usize];
        let name = self.name();
        (other <= bearable)
            .then_some(())
            .ok_or_else(|| format!("{name}: {other} of {all} signatures were made another way"))
    }

    /// What signs so, with everything it needs made and a thread that makes more.
    ///
    /// # Errors
    /// A sentence when this host does not protect memory enough for nonces to wait in.
    pub fn stock(self) -> Result<Stock, String> {
        let signer = Signer::<ThrowAway>::from_seed(&seed()).expect("32 bytes are a seed");
        match self {
            Self::Deterministic => Ok(Stock::of(builder(signer))),
            Self::Presigned => Ok(presigned(builder(signer))),
            #[cfg(feature = "armed-nonces")]
            Self::Armed => armed(signer),
        }
    }
}

/// Of so many signatures one may be made another way than presigned.
const OTHERWISE_ONE_IN: u64 = 20;
/// And so many in any case.
const OTHERWISE_ANYHOW: u64 = 2;

/// What a core is made with.
pub struct Stock {
    /// Signs.
    pub builder: Builder,
    /// Holds ladders ready.
    pub desk: Option<LadderDesk>,
    /// Makes more.
    pub supply: Supply,
}

impl Stock {
    const fn of(builder: Builder) -> Self {
        Self {
            builder,
            desk: None,
            supply: Supply(None),
        }
    }
}

/// Whoever makes nonces or ladders, if there are any.
pub struct Supply(Option<Armoury>);

impl Supply {
    /// Waits until all that is wanted is made, and everything signed is verified. For between triggers.
    pub fn restock(&self) {
        if let Some(armoury) = &self.0 {
            armoury.restock();
        }
    }
}

fn builder(signer: Signer<ThrowAway>) -> Builder {
    Builder::new(&builder_config(), signer).expect("the default lists are good")
}

fn presigned(builder: Builder) -> Stock {
    let (desk, mut worker) = engine::ladders(builder.ladder_signer(), LadderPlan::default());
    Stock {
        desk: Some(desk),
        supply: Supply(Some(Armoury::start(move || Ok(worker.poll() > 0)))),
        ..Stock::of(builder)
    }
}

#[cfg(feature = "armed-nonces")]
fn armed(signer: Signer<ThrowAway>) -> Result<Stock, String> {
    use bundle::Signing;
    use bundle::armed::{OsEntropy, SnapshotsExcluded};

    let config = builder_config();
    let prefixes = config.static_prefixes(signer.public_key());
    let prefixes = prefixes.expect("the default lists are good");
    let prefixes: Vec<&[u8]> = prefixes.iter().map(Vec::as_slice).collect();
    let proof = SnapshotsExcluded::irrelevant();
    let (signing, mut arming) =
        Signing::armed(signer, proof, OsEntropy, &prefixes).map_err(|error| error.to_string())?;
    let builder = Builder::with_signing(&config, signing).expect("the default lists are good");
    let armoury = Armoury::start(move || {
        let done = arming.poll().map_err(|halted| halted.to_string())?;
        Ok(done > 0)
    });
    armoury.restock();
    Ok(Stock {
        supply: Supply(Some(armoury)),
        ..Stock::of(builder)
    })
}

/// Of the message of a bundle that was signed the armed way: bytes hashed before it existed, and bytes of it.
#[cfg(feature = "armed-nonces")]
#[must_use]
pub fn absorbed(message: &[u8]) -> Option<(usize, usize)> {
    /// Length of what is hashed before the message, `R` and the public key, and of a block of SHA-512.
    const HEAD_LEN: usize = 64;
    const BLOCK_LEN: usize = 128;
    let signer = Signer::<ThrowAway>::from_seed(&seed()).ok()?;
    let prefixes = builder_config().static_prefixes(signer.public_key()).ok()?;
    let is_its = |prefix: &&Vec<u8>| !prefix.is_empty() && message.starts_with(prefix);
    let prefix = prefixes.iter().find(is_its)?;
    let whole = (HEAD_LEN + prefix.len()) / BLOCK_LEN * BLOCK_LEN;
    Some((whole, HEAD_LEN + message.len()))
}
