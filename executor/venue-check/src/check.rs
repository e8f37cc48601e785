//! Our own bytes, simulated: one trial trade for each venue and side.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bundle::{BuilderConfig, RecentBlockhash, WatchOnly};
use market::{Key, Lamports, Program, Side, TokenAmount};
use shred_wire::{Nanos, Slot};
use strategy::{Intent, LaneClass, Origin, Venue};

use crate::chain::{Chain, ChainError};
use crate::specimen::{Candidate, Moment, Specimen, candidates, moment, prepare};
use crate::table::difference;
use crate::verdict::{Failure, Verdict, judge};

/// What a trial buy may cost at most, lamports: many times its worth, so that a price that moves is no failure.
const SPEND_MAX: Lamports = Lamports(10_000_000);
/// What a trader needs beside, for rent and fees, lamports.
const SPARE: u64 = 20_000_000;
/// Coins or pools that are tried until one trade goes through. One that does not may be a coin with a quirk; several are
/// a layout that moved.
const TRIES_MAX: usize = 3;

/// What was found of one builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Which venue's.
    pub venue: Venue,
    /// Which side's.
    pub side: Side,
    /// What came of it.
    pub verdict: Verdict,
    /// Compute units that our transactions ask for there.
    pub units_asked: u32,
    /// The coin it was tried on.
    pub mint: Option<Key>,
}

/// Checks builders. Remembers what was traded, so that two families of one program look only once.
#[derive(Debug)]
pub struct Checker {
    config: BuilderConfig,
    found: BTreeMap<Program, Vec<Candidate>>,
    moment: Option<Moment>,
    /// What the chain has otherwise than the lookup table that is used, once it has told.
    table: Option<Option<Failure>>,
}

impl Checker {
    /// A checker of what builders of `config` make.
    #[must_use]
    pub const fn new(config: BuilderConfig) -> Self {
        Self {
            config,
            found: BTreeMap::new(),
            moment: None,
            table: None,
        }
    }

    /// Tries to buy and to sell on `venue`. A few questions, each bounded by `chain`; never fails: what cannot be known is
    /// [`Verdict::Unknown`], or [`Verdict::OutOfTime`] when the time of `chain` was over.
    pub fn check<C: Chain + ?Sized>(&mut self, chain: &mut C, venue: Venue) -> [Checked; 2] {
        match self.table(chain) {
            Ok(None) => {}
            // A node refuses to simulate what it cannot look up, without saying whose fault that is.
            Ok(Some(failure)) => return self.unknown(venue, &Verdict::Failed(failure)),
            Err(error) => return self.unknown(venue, &error.into()),
        }
        let specimens = match self.specimens(chain, venue) {
            Ok(Ok(specimens)) => specimens,
            Ok(Err(why)) => return self.unknown(venue, &Verdict::Unknown(why)),
            Err(error) => return self.unknown(venue, &error.into()),
        };
        [Side::Buy, Side::Sell].map(|side| self.check_side(chain, venue, side, &specimens))
    }

    fn unknown(&self, venue: Venue, verdict: &Verdict) -> [Checked; 2] {
        [Side::Buy, Side::Sell].map(|side| Checked {
            venue,
            side,
            verdict: verdict.clone(),
            units_asked: self.units_asked(venue, side),
            mint: None,
        })
    }

    fn units_asked(&self, venue: Venue, side: Side) -> u32 {
        let budget = match side {
            Side::Buy => self.config.entry_budget,
            Side::Sell => self.config.exit_budget,
        };
        let measured = self.config.unit_limits.of(venue, side);
        measured.unwrap_or(budget.unit_limit)
    }

    /// What the chain has otherwise than the lookup table that transactions use, if they use one. Then every check fails.
    ///
    /// # Errors
    /// As [`Chain::accounts`].
    pub fn table<C: Chain + ?Sized>(
        &mut self,
        chain: &mut C,
    ) -> Result<Option<Failure>, ChainError> {
        let (Some(table), None) = (&self.config.lookup_table, &self.table) else {
            return Ok(self.table.clone().flatten());
        };
        let mut told = difference(chain, table)?;
        if told.is_some() {
            // One answer may be wrong.
            told = difference(chain, table)?;
        }
        Ok(self.table.insert(told).clone())
    }

    /// What can be tried, the fittest first; or why there is nothing.
    fn specimens<C: Chain + ?Sized>(
        &mut self,
        chain: &mut C,
        venue: Venue,
    ) -> Result<Result<Vec<Specimen>, String>, ChainError> {
        let moment = match self.moment {
            Some(moment) => moment,
            None => *self.moment.insert(moment(chain)?),
        };
        let program = program_of(venue);
        let found = match self.found.entry(program) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(candidates(chain, program)?),
        };
        if found.is_empty() {
            let name = program.name();
            return Ok(Err(format!("no recent trade of {name} that could be read")));
        }
        let mut specimens = Vec::new();
        let mut last = "";
        for candidate in found.iter() {
            match prepare(chain, venue, candidate, &moment)? {
                // The program refuses cashback coins by v3.
                Ok(specimen) if venue == Venue::PumpV3 && specimen.cashback => {
                    last = "it is a cashback coin";
                }
                Ok(specimen) => specimens.push(specimen),
                Err(why) => last = why,
            }
        }
        if specimens.is_empty() {
            let count = found.len();
            return Ok(Err(format!(
                "of {count} coins or pools none can be tried; the last: {last}"
            )));
        }
        // Cashback coins are what v2 is for.
        specimens.sort_by_key(|specimen| !specimen.cashback);
        Ok(Ok(specimens))
    }

    fn check_side<C: Chain + ?Sized>(
        &self,
        chain: &mut C,
        venue: Venue,
        side: Side,
        specimens: &[Specimen],
    ) -> Checked {
        let mut checked = Checked {
            venue,
            side,
            verdict: Verdict::Unknown(
                match side {
                    Side::Buy => "no recent trader has the money for a trial",
                    Side::Sell => "no recent trader holds what was traded",
                }
                .to_owned(),
            ),
            units_asked: self.units_asked(venue, side),
            mint: None,
        };
        let fit = specimens.iter().filter(|specimen| can_pay(side, specimen));
        for specimen in fit.take(TRIES_MAX) {
            let verdict = self.try_one(chain, venue, side, specimen);
            // A failure so far stands: it would have taken another coin to pass.
            if verdict == Verdict::OutOfTime {
                if !matches!(checked.verdict, Verdict::Failed(_)) {
                    checked.verdict = verdict;
                }
                break;
            }
            // What passes once is right; what fails is not explained away by something unknown.
            let is_better = !matches!(verdict, Verdict::Unknown(_)) || checked.mint.is_none();
            if is_better && !matches!(checked.verdict, Verdict::Failed(_))
                || matches!(verdict, Verdict::Passed { .. })
            {
                checked.mint = Some(specimen.accounts.mint().0);
                checked.verdict = verdict;
            }
            if let Verdict::Passed { .. } = checked.verdict {
                break;
            }
        }
        checked
    }

    fn try_one<C: Chain + ?Sized>(
        &self,
        chain: &mut C,
        venue: Venue,
        side: Side,
        specimen: &Specimen,
    ) -> Verdict {
        let slot = Slot(self.moment.as_ref().map_or(0, |moment| moment.slot));
        let (tokens, spend, receive_min) = match side {
            Side::Buy => (specimen.tokens, SPEND_MAX, Lamports(0)),
            Side::Sell => (specimen.tokens.min(specimen.held), Lamports(0), Lamports(1)),
        };
        let intent = Intent {
            id: 1,
            origin: Origin::Launch,
            venue,
            lane: LaneClass::PrivateBundle,
            side,
            mint: *specimen.accounts.mint(),
            spend,
            tokens: TokenAmount(tokens),
            receive_min,
            tip: self.config.tip_min,
            slot,
            at: Nanos(0),
            accounts: specimen.accounts,
        };
        // Whoever simulates puts one of his own in its place.
        let blockhash = RecentBlockhash {
            hash: [1; 32],
            slot,
        };
        let mut watcher = match WatchOnly::new(&self.config, &specimen.trader) {
            Ok(watcher) => watcher,
            Err(error) => return Verdict::Unknown(format!("no builder: {error}")),
        };
        let unsigned = match watcher.build(&intent, &blockhash) {
            Ok(unsigned) => unsigned,
            Err(reject) => return Verdict::Unknown(format!("not built: {reject:?}")),
        };
        match chain.simulate(unsigned.bytes()) {
            Ok(simulated) => judge(&simulated),
            Err(error) => error.into(),
        }
    }
}

/// Whether the specimen's trader can be borrowed for a trial of this side.
fn can_pay(side: Side, specimen: &Specimen) -> bool {
    let needed = match side {
        Side::Buy => SPEND_MAX.0 + SPARE,
        Side::Sell => SPARE,
    };
    // A sale of next to nothing brings nothing, which programs refuse.
    let holds = specimen.held >= (specimen.tokens / 10).max(1);
    specimen.lamports >= needed && (side == Side::Buy || holds)
}

/// The program that a venue's instructions are of.
pub(crate) const fn program_of(venue: Venue) -> Program {
    match venue {
        Venue::PumpV3 | Venue::PumpV2 => Program::Pump,
        Venue::PumpSwap => Program::PumpAmm,
        Venue::RaydiumAmm => Program::RaydiumAmm,
        Venue::RaydiumCp => Program::RaydiumCp,
        Venue::LaunchLab => Program::LaunchLab,
    }
}
