//! From verdicts and prints to what the gate is told.

use std::sync::Arc;

use risk::{Control, Disabled};
use strategy::Venue;

use crate::chain::ChainError;
use crate::check::Checked;
use crate::print::{Prints, changes, watched};
use crate::record::Record;
use crate::verdict::Verdict;

/// What is known of one venue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueState {
    /// Which one.
    pub venue: Venue,
    /// Why it may not be entered; `None` when it may.
    pub disabled: Option<Disabled>,
    /// That in words.
    pub words: Option<String>,
    /// What its builders were last found to be: buys, sells. `None` before the first check.
    pub checked: Option<[Checked; 2]>,
    /// Slot at which its program was deployed last, when that was looked at.
    pub program_slot: Option<u64>,
}

/// Holds the gate's byte of each venue to what is known of it, and remembers why. Slow path only.
#[derive(Debug)]
pub struct Guard {
    control: Arc<Control>,
    record: Record,
    /// What was last looked at, accepted or not.
    seen: Prints,
    checked: [Option<[Checked; 2]>; Venue::COUNT],
    /// What was last told of the gate's bytes.
    known: [Option<Disabled>; Venue::COUNT],
    /// Venues that the last look alone disabled: one answer of a node may be wrong.
    suspected: [bool; Venue::COUNT],
    told: Vec<String>,
    is_dirty: bool,
}

impl Guard {
    /// Takes up what was remembered: what was disabled stays so. Without a record there was none before; one that cannot be
    /// read, for the reason given in words, disables everything.
    #[must_use]
    pub fn new(control: Arc<Control>, record: Option<Result<Record, String>>) -> Self {
        let mut guard = Self {
            control,
            record: Record::default(),
            seen: Prints::new(),
            checked: Default::default(),
            known: [None; Venue::COUNT],
            suspected: [false; Venue::COUNT],
            told: Vec::new(),
            is_dirty: false,
        };
        match record {
            None => {}
            Some(Ok(record)) => guard.record = record,
            Some(Err(words)) => {
                for venue in Venue::ALL {
                    guard.record.disabled[venue as usize] =
                        Some((Disabled::RecordLost, words.clone()));
                }
            }
        }
        for venue in Venue::ALL {
            if let Some((reason, _)) = guard.record.disabled[venue as usize] {
                guard.control.venues().disable(venue, reason);
            }
        }
        guard.notice();
        guard
    }

    /// Lets nothing be entered anywhere until each venue was checked once.
    pub fn await_check(&mut self) {
        for venue in Venue::ALL {
            self.control.venues().disable(venue, Disabled::Unchecked);
        }
    }

    /// Takes what a check of `venue` has found. A failure disables it; what is unknown does not, nor does it enable.
    pub fn note_checked(&mut self, venue: Venue, checked: [Checked; 2]) {
        let failed = checked.iter().find_map(|checked| match &checked.verdict {
            Verdict::Failed(failure) => {
                Some(format!("{:?} failed its check: {failure}", checked.side))
            }
            _ => None,
        });
        self.checked[venue as usize] = Some(checked);
        match failed {
            Some(words) => self.disable(venue, Disabled::CheckFailed, words.to_lowercase()),
            None => self.control.venues().note_checked(venue),
        }
    }

    /// Ends the wait of [`Guard::await_check`] without a check.
    pub fn end_await(&mut self) {
        for venue in Venue::ALL {
            self.control.venues().note_checked(venue);
        }
    }

    /// Takes what was looked at. An account that differs from what was accepted disables its venues at once, and for good
    /// when it still does at the next look; one that is new is accepted.
    pub fn note_prints(&mut self, prints: &Prints) {
        for venue in Venue::ALL {
            let changes = changes(venue, &self.record.accounts, prints);
            let was_suspected = std::mem::take(&mut self.suspected[venue as usize]);
            let Some(first) = changes.first() else {
                if was_suspected {
                    self.lift(venue);
                }
                continue;
            };
            let before = self.control.venues().disabled(venue);
            self.suspected[venue as usize] = matches!(before, None | Some(Disabled::Unchecked));
            let reason = match first.watched.kind {
                crate::Kind::Program => Disabled::ProgramChanged,
                crate::Kind::Terms => Disabled::TermsChanged,
            };
            let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
            self.disable(venue, reason, words.join("; "));
        }
        for (key, print) in prints {
            let kept = self.record.accounts.get(key);
            // A length that nobody had told is as new as an account that nobody had seen.
            let is_new = kept.is_none_or(|kept| {
                kept.len.is_none() && print.len.is_some() && !kept.differs(print)
            });
            if is_new {
                self.record.accounts.insert(*key, *print);
                self.is_dirty = true;
            }
            self.seen.insert(*key, *print);
        }
    }

    /// What disabled `venue` at the last look is not there at this one: that answer was wrong.
    fn lift(&mut self, venue: Venue) {
        let reason = self.control.venues().disabled(venue);
        if !matches!(
            reason,
            Some(Disabled::ProgramChanged | Disabled::TermsChanged)
        ) {
            return;
        }
        self.record.disabled[venue as usize] = None;
        self.control.venues().enable(venue);
        self.known[venue as usize] = None;
        self.is_dirty = true;
        let name = Venue::names()[venue as usize];
        self.told.push(format!(
            "venue {name} is enabled again: at the next look it was what had been accepted"
        ));
    }

    /// Notices what the core has disabled by itself. Cheap: a load for each venue.
    pub fn notice(&mut self) {
        let mut lost: Option<(Vec<&str>, String)> = None;
        for venue in Venue::ALL {
            let now = self.control.venues().disabled(venue);
            let place = venue as usize;
            if now == self.known[place] {
                continue;
            }
            self.known[place] = now;
            let Some(reason) = now.filter(|reason| *reason != Disabled::Unchecked) else {
                continue;
            };
            let words = self.record.disabled[place].get_or_insert_with(|| {
                self.is_dirty = true;
                (reason, words_of(reason).to_owned())
            });
            let name = Venue::names()[place];
            if reason == Disabled::RecordLost {
                let (names, _) = lost.get_or_insert_with(|| (Vec::new(), words.1.clone()));
                names.push(name);
                continue;
            }
            self.told.push(format!(
                "venue {name} is disabled for entries ({}): {}",
                reason.name(),
                words.1
            ));
        }
        // One file, one line.
        if let Some((names, words)) = lost {
            let (names, reason) = (names.join(", "), Disabled::RecordLost.name());
            self.told
                .push(format!("disabled for entries ({reason}): {names}: {words}"));
        }
    }

    /// That `venue` was not checked, and what it is therefore.
    #[must_use]
    pub fn not_checked(&self, venue: Venue, why: &str) -> String {
        let name = Venue::names()[venue as usize];
        let state = self.control.venues().disabled(venue).map_or_else(
            || "enabled".to_owned(),
            |reason| format!("disabled ({})", reason.name()),
        );
        format!("venue {name} was not checked ({why}); it stays as it was: {state}")
    }

    /// Enables `venue` and accepts what it is made of now. Only an operator may ask for that. Without `forced`, only
    /// after a check: it is for the caller to have made one.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn enable(&mut self, venue: Venue, forced: bool) -> Result<(), String> {
        let name = Venue::names()[venue as usize];
        if !forced {
            let verdicts = self.checked[venue as usize].as_ref();
            let passed = |checked: &Checked| matches!(checked.verdict, Verdict::Passed { .. });
            if !verdicts.is_some_and(|both| both.iter().all(passed)) {
                let said = verdicts.map_or_else(
                    || "it was not checked".to_owned(),
                    |both| both.iter().map(in_words).collect::<Vec<_>>().join("; "),
                );
                let failed = |checked: &Checked| matches!(checked.verdict, Verdict::Failed(_));
                return Err(match verdicts.is_some_and(|both| both.iter().any(failed)) {
                    true => format!("venue {name} stays disabled: {said}"),
                    false => self.not_checked(venue, &said),
                });
            }
        }
        for watched in watched(venue) {
            // What nobody could look at is accepted when it is seen first.
            match self.seen.get(&watched.key) {
                Some(print) => self.record.accounts.insert(watched.key, *print),
                None => self.record.accounts.remove(&watched.key),
            };
        }
        self.record.disabled[venue as usize] = None;
        self.control.venues().enable(venue);
        self.known[venue as usize] = None;
        self.is_dirty = true;
        let how = if forced { "unchecked" } else { "after a check" };
        self.told
            .push(format!("venue {name} is enabled by the operator, {how}"));
        Ok(())
    }

    /// What has happened since the last call, a line each.
    pub fn take_told(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told)
    }

    /// Whether [`Guard::take_changed`] would give it.
    #[must_use]
    pub const fn is_changed(&self) -> bool {
        self.is_dirty
    }

    /// The record, when it has changed since the last call.
    pub fn take_changed(&mut self) -> Option<&Record> {
        std::mem::take(&mut self.is_dirty).then_some(&self.record)
    }

    /// What is known, venue by venue.
    #[must_use]
    pub fn states(&self) -> Vec<VenueState> {
        let state = |venue: Venue| {
            let disabled = self.control.venues().disabled(venue);
            let words = self.record.disabled[venue as usize].as_ref();
            let program = watched(venue).first().map(|watched| watched.key);
            VenueState {
                venue,
                disabled,
                words: disabled.map(|reason| {
                    words.map_or_else(|| words_of(reason).to_owned(), |(_, words)| words.clone())
                }),
                checked: self.checked[venue as usize].clone(),
                program_slot: program
                    .and_then(|key| self.seen.get(&key))
                    .and_then(|print| print.slot),
            }
        };
        Venue::ALL.into_iter().map(state).collect()
    }

    fn disable(&mut self, venue: Venue, reason: Disabled, words: String) {
        if self.control.venues().disable(venue, reason) {
            self.record.disabled[venue as usize] = Some((reason, words));
            self.is_dirty = true;
        }
        self.notice();
    }
}

fn in_words(checked: &Checked) -> String {
    let side = format!("{:?}", checked.side).to_lowercase();
    match &checked.verdict {
        Verdict::Passed { .. } => format!("{side} passed"),
        Verdict::Failed(failure) => format!("{side} failed: {failure}"),
        Verdict::Unknown(why) => format!("{side} unknown: {why}"),
        Verdict::OutOfTime => format!("{side} {}", ChainError::OutOfTime),
    }
}

const fn words_of(reason: Disabled) -> &'static str {
    match reason {
        Disabled::Unchecked => "its first check is under way",
        Disabled::CheckFailed => "what we build failed in a simulation",
        Disabled::ProgramChanged => "its program was replaced",
        Disabled::TermsChanged => "a global or fee account changed",
        Disabled::ErrorsRepeated => {
            "our own transactions failed with error 2006, 6000 or 6062 several times"
        }
        Disabled::RecordLost => "what was known of it before this start cannot be read",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::print::Print;
    use crate::verdict::Failure;
    use market::{Side, pump};
    use risk::Mode;

    fn guard(record: Option<Record>) -> (Guard, Arc<Control>) {
        let control = Arc::new(Control::new(Mode::Active));
        (Guard::new(Arc::clone(&control), record.map(Ok)), control)
    }

    fn prints(slot: u64) -> Prints {
        let of = |venue| watched(venue).into_iter();
        let all = Venue::ALL.into_iter().flat_map(of);
        let print = |watched: crate::Watched| {
            let is_program = watched.kind == crate::Kind::Program;
            let print = Print {
                slot: is_program.then_some(slot),
                len: Some(100),
                digest: [if is_program { slot as u8 } else { 0 }; 32],
            };
            (watched.key, print)
        };
        all.map(print).collect()
    }

    fn checked(venue: Venue, verdict: &Verdict) -> [Checked; 2] {
        [Side::Buy, Side::Sell].map(|side| Checked {
            venue,
            side,
            verdict: verdict.clone(),
            units_asked: 1,
            mint: None,
        })
    }

    fn failed() -> Verdict {
        Verdict::Failed(Failure {
            program: Some("pump".to_owned()),
            code: Some(2_006),
            line: "wrong seeds".to_owned(),
        })
    }

    /// Goal: one wrong answer of a node disables a venue until the next, and no longer.
    #[test]
    fn a_change_that_one_look_alone_shows_is_lifted_by_the_next() {
        let (mut guard, control) = guard(None);
        guard.note_prints(&prints(7));
        let mut wrong = prints(7);
        wrong.get_mut(&pump::PROGRAM).unwrap().slot = Some(8);
        let is_enabled = |control: &Control| control.venues().disabled(Venue::PumpV3).is_none();
        guard.note_prints(&wrong);
        assert!(!is_enabled(&control));
        guard.note_prints(&prints(7));
        assert!(is_enabled(&control));
        assert!(
            guard
                .take_told()
                .iter()
                .any(|line| line.contains("enabled again"))
        );
        assert!(!guard.take_changed().unwrap().to_json().contains("changed"));
        // Twice is a change.
        for prints in [&wrong, &wrong, &prints(7)] {
            guard.note_prints(prints);
            assert!(!is_enabled(&control));
        }
    }

    #[test]
    fn a_program_deployed_again_disables_its_venues_and_stays_so_over_a_restart() {
        let (mut first, control) = guard(None);
        first.note_prints(&prints(7));
        assert!(first.take_told().is_empty());
        let mut later = prints(7);
        later.get_mut(&pump::PROGRAM).unwrap().slot = Some(8);
        first.note_prints(&later);
        let disabled = |control: &Control, venue| control.venues().disabled(venue);
        for venue in [Venue::PumpV3, Venue::PumpV2] {
            assert_eq!(disabled(&control, venue), Some(Disabled::ProgramChanged));
        }
        assert_eq!(disabled(&control, Venue::PumpSwap), None);
        let told = first.take_told();
        assert_eq!(told.len(), 2);
        assert!(
            told[0].contains("slot 8, before 7") && told[0].contains("pump_v3"),
            "{told:?}"
        );
        first.note_prints(&later);
        assert!(first.take_told().is_empty(), "said once");

        let written = first.take_changed().unwrap().to_json();
        assert!(first.take_changed().is_none());
        let (mut second, control) = guard(Some(Record::parse(&written).unwrap()));
        assert_eq!(
            disabled(&control, Venue::PumpV3),
            Some(Disabled::ProgramChanged)
        );
        second.await_check();
        second.note_checked(
            Venue::PumpV3,
            checked(Venue::PumpV3, &Verdict::Passed { units: None }),
        );
        second.end_await();
        assert_eq!(
            disabled(&control, Venue::PumpV3),
            Some(Disabled::ProgramChanged),
            "passed, and not accepted"
        );
        second.note_prints(&later);
        second.enable(Venue::PumpV3, false).unwrap();
        second.note_prints(&later);
        assert_eq!(disabled(&control, Venue::PumpV3), None);
        assert_eq!(
            disabled(&control, Venue::PumpV2),
            Some(Disabled::ProgramChanged),
            "each on its own"
        );
    }

    /// The process was not there when the program changed.
    #[test]
    fn a_change_between_two_runs_is_seen_at_the_start_of_the_second() {
        let (mut first, _) = guard(None);
        first.note_prints(&prints(7));
        let record = first.take_changed().unwrap().clone();
        let (mut second, control) = guard(Some(record));
        second.await_check();
        second.note_prints(&prints(9));
        for venue in Venue::ALL {
            second.note_checked(venue, checked(venue, &Verdict::Passed { units: Some(1) }));
            let disabled = control.venues().disabled(venue);
            assert_eq!(disabled, Some(Disabled::ProgramChanged), "{venue:?}");
        }
    }

    #[test]
    fn a_fee_account_that_changes_is_told_by_name() {
        let (mut guard, control) = guard(None);
        guard.note_prints(&prints(7));
        let mut later = prints(7);
        later.get_mut(&market::pump_amm::FEE_CONFIG).unwrap().digest = [9; 32];
        guard.note_prints(&later);
        assert_eq!(
            control.venues().disabled(Venue::PumpSwap),
            Some(Disabled::TermsChanged)
        );
        assert_eq!(control.venues().disabled(Venue::PumpV3), None);
        let told = guard.take_told();
        assert!(told[0].contains("fee account 5PHirr8"), "{told:?}");
    }

    #[test]
    fn what_is_unknown_neither_disables_nor_enables() {
        let (mut guard, control) = guard(None);
        guard.await_check();
        let unknown = Verdict::Unknown("no node".to_owned());
        guard.note_checked(Venue::PumpV3, checked(Venue::PumpV3, &unknown));
        assert_eq!(control.venues().disabled(Venue::PumpV3), None);
        guard.note_checked(Venue::PumpV2, checked(Venue::PumpV2, &failed()));
        assert_eq!(
            control.venues().disabled(Venue::PumpV2),
            Some(Disabled::CheckFailed)
        );
        guard.note_checked(Venue::PumpV2, checked(Venue::PumpV2, &unknown));
        assert_eq!(
            control.venues().disabled(Venue::PumpV2),
            Some(Disabled::CheckFailed)
        );
        let refused = guard.enable(Venue::PumpV2, false).unwrap_err();
        assert!(refused.contains("unknown: no node"), "{refused}");
        assert!(
            refused.ends_with("it stays as it was: disabled (check_failed)"),
            "{refused}"
        );
        let refused = guard.enable(Venue::PumpV3, false).unwrap_err();
        assert!(
            refused.starts_with("venue pump_v3 was not checked (buy unknown: no node")
                && refused.ends_with("it stays as it was: enabled"),
            "{refused}"
        );
        guard.enable(Venue::PumpV2, true).unwrap();
        assert_eq!(control.venues().disabled(Venue::PumpV2), None);
        assert_eq!(
            control.venues().disabled(Venue::LaunchLab),
            Some(Disabled::Unchecked)
        );
        guard.end_await();
        assert_eq!(control.venues().disabled(Venue::LaunchLab), None);
    }

    #[test]
    fn what_the_core_disabled_is_told_and_remembered() {
        let (mut first, control) = guard(None);
        control
            .venues()
            .disable(Venue::RaydiumCp, Disabled::ErrorsRepeated);
        first.notice();
        first.notice();
        let told = first.take_told();
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("raydium_cp") && told[0].contains("several times"),
            "{told:?}"
        );
        let record = first.take_changed().unwrap().clone();
        let (again, control) = guard(Some(record));
        let reason = control.venues().disabled(Venue::RaydiumCp);
        assert_eq!(reason, Some(Disabled::ErrorsRepeated));
        assert_eq!(again.states()[Venue::RaydiumCp as usize].disabled, reason);
    }

    #[test]
    fn a_record_that_is_lost_disables_everything_until_somebody_says_otherwise() {
        let control = Arc::new(Control::new(Mode::Active));
        let mut guard = Guard::new(
            Arc::clone(&control),
            Some(Err("PATH is no record".to_owned())),
        );
        for venue in Venue::ALL {
            assert_eq!(control.venues().disabled(venue), Some(Disabled::RecordLost));
        }
        let told = guard.take_told();
        assert_eq!(told.len(), 1, "one file, one line: {told:?}");
        let all = Venue::names().join(", ");
        assert!(
            told[0].contains(&all) && told[0].contains("PATH is no record"),
            "{told:?}"
        );
        guard.enable(Venue::PumpSwap, true).unwrap();
        assert_eq!(control.venues().disabled(Venue::PumpSwap), None);
    }
}
