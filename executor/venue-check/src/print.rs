//! Fingerprints of what a venue is made of: its program's data, its global, configuration and fee accounts.

use core::fmt;
use std::collections::BTreeMap;

use market::{Key, Program, launchlab, pump, pump_amm, raydium_amm};
use program_address::find_program_address;
use sha2::{Digest as _, Sha256};
use strategy::Venue;

use crate::chain::{Account, Chain, ChainError, Slice};
use crate::shown;

/// What an account is to a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A program: its print is of where its code lies, when that was deployed and by whom it may be replaced.
    Program,
    /// Global state, a configuration, or fees: its print is of all of its data.
    Terms,
}

/// An account that a venue's trades depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Its address.
    pub key: Key,
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: &'static str,
}

/// What an account looked like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Print {
    /// Slot at which a program was deployed last; `None` of other accounts, and of programs that cannot be replaced.
    pub slot: Option<u64>,
    /// Bytes it held; of a program, its code with the header. `None` when that was not told.
    pub len: Option<u64>,
    /// SHA-256 over the owner and the data; of a program, over its own account and the header of its data account. Zeros
    /// where there is no account.
    pub digest: [u8; 32],
}

impl Print {
    /// Whether `now` shows something else. A length that one of the two was not told is no difference.
    #[must_use]
    pub fn differs(&self, now: &Self) -> bool {
        let told = self.len.zip(now.len);
        (self.slot, self.digest) != (now.slot, now.digest)
            || told.is_some_and(|(before, now)| before != now)
    }
}

/// Prints by address.
pub type Prints = BTreeMap<Key, Print>;

/// A print that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of what.
    pub watched: Watched,
    /// What was kept.
    pub before: Print,
    /// What is there now.
    pub now: Print,
}

/// Header of a program's data account: tag, slot, upgrade authority. Source: solana-loader-v3-interface
/// `UpgradeableLoaderState::size_of_programdata_metadata`.
const HEADER_LEN: usize = 45;
/// Owner of upgradeable programs. Source: solana-sdk-ids.
const UPGRADEABLE_LOADER: Key = market::base58::key("BPFLoaderUpgradeab1e11111111111111111111111");
/// `UpgradeableLoaderState::Program`, with the address of the data behind it. Source: as above.
const TAG_PROGRAM: u32 = 2;
/// `UpgradeableLoaderState::ProgramData`. Source: as above.
const TAG_PROGRAM_DATA: u32 = 3;
/// Configurations of CPMM pools that are watched, by number: the venue's own.
const CP_CONFIGS: u16 = 4;

/// Everything that trades on `venue` depend on and that is not of a single coin or pool.
#[must_use]
pub fn watched(venue: Venue) -> Vec<Watched> {
    let program = |program: Program| Watched {
        key: *program.id(),
        kind: Kind::Program,
        name: program.name(),
    };
    let fee_program = Watched {
        key: pump::FEE_PROGRAM,
        kind: Kind::Program,
        name: "pump_fees",
    };
    let terms = |key, name| Watched {
        key,
        kind: Kind::Terms,
        name,
    };
    match venue {
        Venue::PumpV3 | Venue::PumpV2 => vec![
            program(Program::Pump),
            fee_program,
            terms(pump::GLOBAL, "global account"),
            terms(pump::FEE_CONFIG, "fee account"),
        ],
        Venue::PumpSwap => vec![
            program(Program::PumpAmm),
            fee_program,
            terms(pump_amm::GLOBAL_CONFIG, "global account"),
            terms(pump_amm::FEE_CONFIG, "fee account"),
        ],
        Venue::RaydiumAmm => vec![
            program(Program::RaydiumAmm),
            terms(raydium_amm::CONFIG, "configuration"),
        ],
        Venue::RaydiumCp => {
            let configs = (0..CP_CONFIGS).filter_map(cp_config);
            let configs = configs.map(|key| terms(key, "fee account"));
            [program(Program::RaydiumCp)]
                .into_iter()
                .chain(configs)
                .collect()
        }
        Venue::LaunchLab => {
            let global = launchlab_global().map(|key| terms(key, "global account"));
            [program(Program::LaunchLab)]
                .into_iter()
                .chain(global)
                .collect()
        }
    }
}

/// Source: github raydium-io/raydium-cp-swap, `states/config.rs`: PDA `["amm_config", index]`, big-endian.
fn cp_config(index: u16) -> Option<Key> {
    let seeds: [&[u8]; 2] = [b"amm_config", &index.to_be_bytes()];
    find_program_address(&seeds, Program::RaydiumCp.id()).map(|(key, _)| key)
}

/// The configuration of constant-product curves priced in SOL. Source: raydium-sdk-V2 `launchpad/pda.ts`
/// `getPdaLaunchpadConfigId`: PDA `["global_config", quote mint, curve type, index]`, index big-endian.
fn launchlab_global() -> Option<Key> {
    let curve = launchlab::account::CurveType::ConstantProduct as u8;
    let seeds: [&[u8]; 4] = [b"global_config", &pump::WRAPPED_SOL, &[curve], &[0, 0]];
    find_program_address(&seeds, Program::LaunchLab.id()).map(|(key, _)| key)
}

/// Looks at everything that `venues` depend on: three questions.
///
/// # Errors
/// [`ChainError`]; then nothing was learned.
pub fn look<C: Chain + ?Sized>(chain: &mut C, venues: &[Venue]) -> Result<Prints, ChainError> {
    let all: BTreeMap<Key, Kind> = venues
        .iter()
        .flat_map(|venue| watched(*venue))
        .map(|watched| (watched.key, watched.kind))
        .collect();
    let of = |wanted: Kind| -> Vec<Key> {
        let keys = all.iter().filter(|(_, kind)| **kind == wanted);
        keys.map(|(key, _)| *key).collect()
    };
    let mut prints = Prints::new();
    let terms = of(Kind::Terms);
    let told = chain.accounts(&terms, Slice::Whole)?.accounts;
    for (key, account) in terms.iter().zip(&told) {
        prints.insert(
            *key,
            account.as_ref().map(print_of_terms).unwrap_or_default(),
        );
    }
    let programs = of(Kind::Program);
    let told = chain
        .accounts(&programs, Slice::First(HEADER_LEN))?
        .accounts;
    let places: Vec<Option<Key>> = told
        .iter()
        .map(|account| data_of(account.as_ref()?))
        .collect();
    let wanted: Vec<Key> = places.iter().flatten().copied().collect();
    let headers = match wanted.is_empty() {
        true => Vec::new(),
        false => chain.accounts(&wanted, Slice::First(HEADER_LEN))?.accounts,
    };
    let mut headers = headers.iter();
    for ((key, account), place) in programs.iter().zip(&told).zip(&places) {
        let header = place.and_then(|_| headers.next()).and_then(Option::as_ref);
        let print = account
            .as_ref()
            .map(|account| print_of_program(account, header));
        prints.insert(*key, print.unwrap_or_default());
    }
    Ok(prints)
}

/// Where an upgradeable program's code lies.
fn data_of(program: &Account) -> Option<Key> {
    let (tag, rest) = program.data.split_first_chunk::<4>()?;
    let is_program = program.owner == UPGRADEABLE_LOADER && u32::from_le_bytes(*tag) == TAG_PROGRAM;
    rest.first_chunk().filter(|_| is_program).copied()
}

fn print_of_terms(account: &Account) -> Print {
    let mut hash = Sha256::new();
    hash.update(account.owner);
    hash.update(&account.data);
    Print {
        slot: None,
        len: account.len,
        digest: hash.finalize().into(),
    }
}

fn print_of_program(program: &Account, header: Option<&Account>) -> Print {
    let mut hash = Sha256::new();
    hash.update(program.owner);
    hash.update(&program.data[..program.data.len().min(HEADER_LEN)]);
    let Some(header) = header else {
        // Another loader's: the account itself is the code, or its header.
        return Print {
            slot: None,
            len: program.len,
            digest: hash.finalize().into(),
        };
    };
    let bytes = &header.data[..header.data.len().min(HEADER_LEN)];
    hash.update(bytes);
    let tag = bytes.first_chunk().map(|tag| u32::from_le_bytes(*tag));
    let slot = bytes.get(4..12).and_then(|slot| slot.try_into().ok());
    Print {
        slot: slot
            .map(u64::from_le_bytes)
            .filter(|_| tag == Some(TAG_PROGRAM_DATA)),
        len: header.len,
        digest: hash.finalize().into(),
    }
}

/// What of `venue` is no longer as `kept` has it. Accounts that were not kept, or not looked at, are no change.
#[must_use]
pub fn changes(venue: Venue, kept: &Prints, now: &Prints) -> Vec<Change> {
    let watched = watched(venue).into_iter();
    watched
        .filter_map(|watched| {
            let (before, now) = (*kept.get(&watched.key)?, *now.get(&watched.key)?);
            before.differs(&now).then_some(Change {
                watched,
                before,
                now,
            })
        })
        .collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            watched,
            before,
            now,
        } = self;
        let (name, key) = (watched.name, shown(&watched.key));
        match (watched.kind, before.slot, now.slot) {
            (Kind::Program, Some(before), Some(now)) if before != now => {
                write!(
                    f,
                    "program {name} ({key}) was deployed again: slot {now}, before {before}"
                )
            }
            (Kind::Program, ..) => write!(
                f,
                "program {name} ({key}): its authority, length or loader changed{}",
                lens(before, now)
            ),
            (Kind::Terms, ..) => write!(f, "{name} {key} changed{}", lens(before, now)),
        }
    }
}

/// The lengths, where both were told.
fn lens(before: &Print, now: &Print) -> String {
    let told = before.len.zip(now.len);
    told.map_or_else(String::new, |(before, now)| {
        format!(" ({now} bytes, before {before})")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The addresses that explorers show for the venues' own configurations.
    #[test]
    fn derived_configurations_are_the_known_ones() {
        let cp = cp_config(0).map(|key| shown(&key));
        assert_eq!(
            cp.as_deref(),
            Some("D4FPEruKEHrG5TenZ2mpDGEfu1iUvTiqBxvpU8HLBvC2")
        );
        let global = launchlab_global().map(|key| shown(&key));
        assert_eq!(
            global.as_deref(),
            Some("6s1xP3hpbAfFoNtUNF8mfHsjr2Bd97JxFJRWLbL6aHuX")
        );
    }

    #[test]
    fn every_venue_has_its_program_watched_and_names_no_account_twice() {
        for venue in Venue::ALL {
            let all = watched(venue);
            assert_eq!(all[0].kind, Kind::Program, "{venue:?}");
            assert!(all.len() > 1, "{venue:?}");
            let mut keys: Vec<Key> = all.iter().map(|watched| watched.key).collect();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), all.len(), "{venue:?}");
        }
    }
}
