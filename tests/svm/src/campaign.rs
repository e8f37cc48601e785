//! Thousands of random trades, each predicted before it runs.
//!
//! A campaign is a row of sessions. A session is one seed: a world state made from it (reserves, fee tiers, coin
//! flags) and the trades that follow. Sessions know nothing of each other, so the seed of a failing one replays it:
//! `SVM_SEED=<seed> SVM_TRADES=1`.

use std::collections::BTreeMap;
use std::env;
use std::fmt;

use crate::machine::Meter;

/// A venue under test.
pub trait Venue {
    /// Runs the session of `seed`: makes a state, then predicts and executes trades, and notes each in `tally`.
    ///
    /// # Errors
    /// The first difference between prediction and execution.
    fn session(&mut self, seed: u64, tally: &mut Tally) -> Result<(), Difference>;

    /// Compute units so far.
    fn meter(&self) -> &Meter;
}

/// What was predicted and what came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference(pub String);

impl Difference {
    /// Compares one number; `what` names it.
    ///
    /// # Errors
    /// When they are not equal.
    pub fn between<T: PartialEq + fmt::Debug>(
        what: &str,
        predicted: T,
        executed: T,
    ) -> Result<(), Self> {
        if predicted == executed {
            return Ok(());
        }
        Err(Self(format!(
            "{what}: predicted {predicted:?}, executed {executed:?}"
        )))
    }

    /// The difference, with what it happened on.
    #[must_use]
    pub fn on(self, case: impl fmt::Display) -> Self {
        Self(format!("{}\n{case}", self.0))
    }
}

/// What a campaign has compared.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    landed: BTreeMap<&'static str, u64>,
    refused: BTreeMap<&'static str, u64>,
    cases: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// A trade landed as predicted.
    pub fn landed(&mut self, kind: &'static str) {
        *self.landed.entry(kind).or_default() += 1;
    }

    /// A trade failed as predicted.
    pub fn refused(&mut self, kind: &'static str) {
        *self.refused.entry(kind).or_default() += 1;
    }

    /// A case worth counting came up: the campaign has to meet every one that it names.
    pub fn met(&mut self, case: &'static str) {
        *self.cases.entry(case).or_default() += 1;
    }

    /// Trades that landed as predicted.
    #[must_use]
    pub fn trades(&self) -> u64 {
        self.landed.values().sum()
    }

    /// How often a case came up.
    #[must_use]
    pub fn count(&self, case: &str) -> u64 {
        self.cases.get(case).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().sum();
        writeln!(
            f,
            "{} trades landed and {refused} failed, all as predicted",
            self.trades()
        )?;
        for (kind, count) in &self.landed {
            let refused = self.refused.get(kind).copied().unwrap_or(0);
            writeln!(f, "  {kind:<42} {count:>7} landed {refused:>6} refused")?;
        }
        for (kind, count) in &self.refused {
            if !self.landed.contains_key(kind) {
                writeln!(f, "  {kind:<42} {:>7} landed {count:>6} refused", 0)?;
            }
        }
        for (case, count) in &self.cases {
            writeln!(f, "  {case:<42} {count:>7} times")?;
        }
        Ok(())
    }
}

/// Whether the campaign of this run starts at its own seed: then it has to come across every case that it names.
#[must_use]
pub fn is_standard() -> bool {
    env::var_os("SVM_SEED").is_none()
}

/// Runs sessions until `SVM_TRADES` trades (else `trades`) landed, from `SVM_SEED` on (else a fixed seed).
///
/// # Panics
/// At the first difference, with what replays it.
pub fn run(name: &str, trades: u64, venue: &mut impl Venue) -> Tally {
    let trades = number("SVM_TRADES").unwrap_or(trades);
    let first = number("SVM_SEED").unwrap_or(0x5eed_0000);
    let mut tally = Tally::default();
    let mut seed = first;
    while tally.trades() < trades {
        if let Err(difference) = venue.session(seed, &mut tally) {
            panic!(
                "{name}: {}\nafter {} trades as predicted; replay with SVM_SEED={seed} SVM_TRADES=1",
                difference.0,
                tally.trades()
            );
        }
        seed += 1;
    }
    println!(
        "{name}: sessions {first} to {}: {tally}\n{}",
        seed - 1,
        venue.meter()
    );
    tally
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is not a number")),
    )
}
