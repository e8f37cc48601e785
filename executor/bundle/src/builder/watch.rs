//! Transactions of ours under anybody's name, to be simulated: nothing signs them.

use market::{Key, Lamports, Side};
use strategy::Intent;

use super::{BuildReject, Builder, BuilderConfig, BuilderError};
use crate::blockhash::RecentBlockhash;
use crate::signer::{Signer, ThrowAway};
use crate::signing::Signing;

/// Seed of the key that a [`Builder`] has to have; the one of a watcher is never asked.
const SEED: [u8; 32] = [0; 32];
/// Coins whose addresses are remembered: a watcher builds a handful.
const COIN_CAPACITY: usize = 16;

/// Builds exactly the bytes that [`Builder`] would, for a payer whose key nobody here has.
///
/// By type it cannot sign: it gives out [`Unsigned`], whose signature is 64 zeros, takes no approved intent and has no
/// way to a [`Builder`].
///
/// ```compile_fail,E0308
/// # use bundle::{Builder, BuilderConfig, WatchOnly};
/// let builder: Builder = WatchOnly::new(&BuilderConfig::default(), &[7; 32])?;
/// # Ok::<(), bundle::BuilderError>(())
/// ```
/// ```compile_fail,E0599
/// # use bundle::{BuilderConfig, WatchOnly};
/// let mut watcher = WatchOnly::new(&BuilderConfig::default(), &[7; 32])?;
/// watcher.ladder_signer();
/// # Ok::<(), bundle::BuilderError>(())
/// ```
pub struct WatchOnly {
    builder: Builder,
}

/// A transaction that nobody has signed: no cluster takes it, a simulation that checks no signatures does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned(Vec<u8>);

impl Unsigned {
    /// Its wire bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be damaged: for tests of what a check notices.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl WatchOnly {
    /// Compiles every template for `payer`.
    ///
    /// # Errors
    /// [`BuilderError`], as for [`Builder::new`].
    pub fn new(config: &BuilderConfig, payer: &Key) -> Result<Self, BuilderError> {
        let config = BuilderConfig {
            coin_capacity: COIN_CAPACITY,
            ..config.clone()
        };
        let signer = Signer::<ThrowAway>::from_seed(&SEED).map_err(|_| BuilderError::NoPage)?;
        let signing = Signing::deterministic(signer);
        let builder = Builder::assemble_for(&config, payer, signing, None)?;
        Ok(Self { builder })
    }

    /// The transaction of `intent`, as it would be built after an approval.
    ///
    /// # Errors
    /// [`BuildReject`].
    pub fn build(
        &mut self,
        intent: &Intent,
        blockhash: &RecentBlockhash,
    ) -> Result<Unsigned, BuildReject> {
        let draft = self.builder.draft(intent)?;
        let mut bytes = vec![0; draft.layout().len];
        let limit: Lamports = match intent.side {
            Side::Buy => intent.spend,
            Side::Sell => intent.receive_min,
        };
        draft.render(intent.tokens, limit, intent.tip, blockhash, &mut bytes)?;
        Ok(Unsigned(bytes))
    }
}

impl core::fmt::Debug for WatchOnly {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WatchOnly").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::address::{TOKEN_2022_PROGRAM, WRAPPED_SOL};
    use crate::cell::BundleCell;
    use crate::template::WireVersion;
    use market::{Mint, PumpAccounts, TokenAmount};
    use shred_wire::{Nanos, Slot};
    use strategy::{LaneClass, Origin, Venue};

    /// Goal: what is simulated is what would be sent, but for the signature, which nobody made.
    #[test]
    fn a_watcher_builds_the_builders_bytes_and_signs_nothing() {
        let accounts = PumpAccounts {
            mint: Mint([7; 32]),
            bonding_curve: [200; 32],
            associated_bonding_curve: [201; 32],
            token_program: TOKEN_2022_PROGRAM,
            quote_mint: WRAPPED_SOL,
            creator: [9; 32],
            ..PumpAccounts::default()
        };
        let blockhash = RecentBlockhash {
            hash: [5; 32],
            slot: Slot(9),
        };
        for version in [WireVersion::V0, WireVersion::V1] {
            let config = BuilderConfig {
                version,
                ..BuilderConfig::default()
            };
            let signer = Signer::<ThrowAway>::from_seed(&[3; 32]).unwrap();
            let payer = *signer.public_key();
            let mut builder = Builder::new(&config, signer).unwrap();
            let mut watcher = WatchOnly::new(&config, &payer).unwrap();
            for (side, venue) in [(Side::Buy, Venue::PumpV3), (Side::Sell, Venue::PumpV2)] {
                let intent = Intent {
                    id: 4,
                    origin: Origin::Launch,
                    venue,
                    lane: LaneClass::PrivateBundle,
                    side,
                    mint: accounts.mint,
                    spend: Lamports(5_000),
                    tokens: TokenAmount(77),
                    receive_min: Lamports(3),
                    tip: Lamports(1_000),
                    slot: Slot(9),
                    at: Nanos(1),
                    accounts: accounts.into(),
                };
                let mut cell = BundleCell::default();
                builder
                    .build_intent(&intent, &blockhash, &mut cell)
                    .unwrap();
                let signed = cell.transaction(0).unwrap();
                let unsigned = watcher.build(&intent, &blockhash).unwrap();
                let message = builder.draft(&intent).unwrap().layout().message;
                assert_eq!(unsigned.bytes()[message.clone()], signed[message.clone()]);
                let outside =
                    |bytes: &[u8]| [&bytes[..message.start], &bytes[message.end..]].concat();
                assert_ne!(outside(unsigned.bytes()), outside(signed));
                let start = cell
                    .transaction(0)
                    .unwrap()
                    .windows(64)
                    .position(|part| *part == cell.signature);
                let signature = start.unwrap()..start.unwrap() + 64;
                assert_eq!(unsigned.bytes()[signature], [0; 64]);
            }
        }
    }
}
