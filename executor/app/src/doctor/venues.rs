//! `overmind doctor --venues`: what is built for each venue, simulated; its programs and accounts, compared.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use sidecar::printable;
use strategy::Venue;
use venue_check::{
    Chain, Checked, Checker, Prints, Record, Verdict, changes, look, shown, watched,
};

use super::{Finding, Level};
use crate::cli::exit;
use crate::commands::Failure;
use crate::config::{Config, Host, Plan};
use crate::lookup_tables;
use crate::venues::{CHECK_LIMIT, RECORD_FILE, Unread, chain_of, read_record, shown_verdict};

/// The record of the state directory, when it is there and cannot be read.
pub(super) fn record_finding(state_dir: &Path) -> Option<Finding> {
    let unread = read_record(&state_dir.join(RECORD_FILE))?.err()?;
    Some(Finding {
        check: "venues_record",
        // `run` may be somebody else.
        level: match unread.is_denied {
            true => Level::Warn,
            false => Level::Fail,
        },
        measured: printable(&unread.to_string()),
        wanted: "a record that the user of `run` can read; without it `run` enters no venue"
            .to_owned(),
        fix: "look at it, then: overmind venues --enable VENUE".to_owned(),
    })
}

/// Runs it, prints, and returns the exit code.
pub(super) fn run(config: &Path, as_json: bool) -> u8 {
    let host = Host::read();
    let planned = Config::load(config).and_then(|config| config.plan(&host));
    let planned = planned.map_err(Failure::from).and_then(|mut plan| {
        lookup_tables::load_for(&mut plan)?;
        Ok(plan)
    });
    let plan = match planned {
        Ok(plan) => plan,
        Err(error) => {
            if as_json {
                outln!("{}", error.to_json());
            } else {
                errln!("overmind: {error}");
            }
            return exit::BAD_INPUT;
        }
    };
    let record = read_record(&host.state_dir.join(RECORD_FILE));
    let (record, unread) = match record {
        Some(Err(unread)) => (None, Some(unread)),
        Some(Ok(record)) => (Some(record), None),
        None => (None, None),
    };
    let mut report = match &plan.venues.rpc {
        None => Report::nobody("no RPC node is named: write [venues] rpc, or ingest.leaders_rpc"),
        Some(endpoint) => match chain_of(endpoint) {
            // The end is kept for as long as is asked.
            Ok((mut chain, _end)) => Report::of(&mut chain, &plan, record),
            Err(error) => Report::nobody(&error.to_string()),
        },
    };
    report.unread = unread;
    if as_json {
        outln!("{}", report.to_json());
    } else {
        out!("{}", report.in_words());
    }
    report.exit_code()
}

/// What was found.
struct Report {
    checked: Vec<Checked>,
    accounts: Vec<AccountLine>,
    /// Why accounts could not be looked at.
    unseen: Option<String>,
    /// What was accepted before cannot be read.
    unread: Option<Unread>,
}

/// One account that venues depend on.
struct AccountLine {
    name: &'static str,
    key: String,
    venues: Vec<&'static str>,
    slot: Option<u64>,
    /// `accepted`, `changed`, `new` or `absent`.
    state: &'static str,
    words: Option<String>,
}

impl Report {
    /// Nobody could be asked: nothing is known of any builder.
    fn nobody(why: &str) -> Self {
        Self {
            checked: Vec::new(),
            accounts: Vec::new(),
            unseen: Some(why.to_owned()),
            unread: None,
        }
    }

    fn of(chain: &mut impl Chain, plan: &Plan, record: Option<Record>) -> Self {
        let kept = record.map(|record| record.accounts).unwrap_or_default();
        let (accounts, unseen) = match look(chain, &Venue::ALL) {
            Ok(prints) => (account_lines(&kept, &prints), None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let mut checker = Checker::new(plan.builder.clone());
        let checked = Venue::ALL
            .into_iter()
            .flat_map(|venue| checker.check(chain, venue));
        Self {
            checked: checked.collect(),
            accounts,
            unseen,
            unread: None,
        }
    }

    fn exit_code(&self) -> u8 {
        let is = |word: &str| {
            self.checked
                .iter()
                .any(|checked| checked.verdict.word() == word)
        };
        let changed = self
            .accounts
            .iter()
            .any(|account| account.state == "changed");
        let lost = self.unread.as_ref().map(|unread| !unread.is_denied);
        if is("failed") || changed || lost == Some(true) {
            exit::FAILED
        } else if is("unknown") || self.unseen.is_some() || lost.is_some() {
            exit::UNKNOWN
        } else {
            exit::OK
        }
    }

    fn to_json(&self) -> Value {
        let builders = self.checked.iter().map(|checked| {
            let mut value = shown_verdict(checked);
            value["venue"] = Venue::names()[checked.venue as usize].into();
            value["side"] = format!("{:?}", checked.side).to_lowercase().into();
            value
        });
        let accounts = self.accounts.iter().map(|account| {
            let AccountLine { name, key, venues, slot, state, words } = account;
            json!({"name": name, "key": key, "venues": venues, "deployed_slot": slot, "state": state, "words": words})
        });
        json!({
            "exit_code": self.exit_code(),
            "builders": builders.collect::<Vec<_>>(),
            "accounts": accounts.collect::<Vec<_>>(),
            "out_of_time": self.out_of_time(),
            "unseen": self.unseen.as_deref().map(printable),
            "record": self.unread.as_ref().map(|unread| printable(&unread.to_string())),
        })
    }

    /// Builders that the time of the whole check was over for.
    fn out_of_time(&self) -> usize {
        let mut count = 0;
        for checked in &self.checked {
            count += usize::from(checked.verdict == Verdict::OutOfTime);
        }
        count
    }

    /// Why nothing at all is known of any builder, if that is the same for each.
    fn all_unknown(&self) -> Option<&str> {
        let mut whys = self.checked.iter().map(|checked| match &checked.verdict {
            Verdict::Unknown(why) => Some(why.as_str()),
            _ => None,
        });
        let first = whys.next()??;
        whys.all(|why| why == Some(first)).then_some(first)
    }

    fn in_words(&self) -> String {
        let mut out = String::new();
        let silent = self.all_unknown();
        if let Some(why) = silent {
            let why = printable(why);
            let _ = writeln!(out, "every one unknown: {why}; is this a Solana RPC node?");
        } else {
            self.builders(&mut out);
        }
        self.rest(&mut out, silent);
        out
    }

    fn builders(&self, out: &mut String) {
        let _ = writeln!(
            out,
            "{:<12} {:<5} {:<8} {:>7} of {:<8}",
            "venue", "side", "verdict", "units", "asked"
        );
        for checked in &self.checked {
            let side = format!("{:?}", checked.side).to_lowercase();
            let (units, why) = match &checked.verdict {
                Verdict::Passed { units } => (units.map(|units| units.to_string()), None),
                Verdict::Failed(failure) => (None, Some(failure.to_string())),
                unknown => (None, unknown.why_unknown()),
            };
            let _ = writeln!(
                out,
                "{:<12} {side:<5} {:<8} {:>7} of {:<8} {}",
                Venue::names()[checked.venue as usize],
                checked.verdict.word(),
                units.as_deref().unwrap_or("-"),
                checked.units_asked,
                printable(why.as_deref().unwrap_or_default()),
            );
        }
        if self.checked.is_empty() {
            let _ = writeln!(out, "every one    -     unknown");
        }
    }

    /// Accounts, the record, and what it comes to.
    fn rest(&self, out: &mut String, said: Option<&str>) {
        for account in &self.accounts {
            let AccountLine {
                name,
                key,
                venues,
                slot,
                state,
                words,
            } = account;
            let slot = slot.map_or_else(String::new, |slot| format!(", deployed in slot {slot}"));
            let _ = writeln!(out, "{state:<9} {name} {key}{slot} ({})", venues.join(", "));
            if let Some(words) = words {
                let _ = writeln!(out, "          {words}");
            }
        }
        if let Some(unread) = &self.unread {
            let unread = printable(&unread.to_string());
            let _ = writeln!(out, "{unread}: what `run` has accepted is not known");
        }
        if let Some(why) = self.unseen.as_deref().filter(|why| said != Some(why)) {
            let _ = writeln!(out, "could not be looked at: {}", printable(why));
        }
        let late = self.out_of_time();
        if late > 0 {
            let (all, limit) = (self.checked.len(), CHECK_LIMIT.as_secs());
            let _ = writeln!(
                out,
                "{late} of {all} builders not checked: out of time (the whole check has {limit} s)"
            );
        }
        let _ = writeln!(
            out,
            "{}",
            match self.exit_code() {
                exit::OK => "every builder passed, and nothing has changed",
                exit::FAILED => "something failed or has changed: `run` enters nothing there",
                _ => "nothing failed, but not everything could be checked",
            }
        );
    }
}

fn account_lines(kept: &Prints, now: &Prints) -> Vec<AccountLine> {
    let mut lines: Vec<AccountLine> = Vec::new();
    for venue in Venue::ALL {
        let name = Venue::names()[venue as usize];
        let changed = changes(venue, kept, now);
        for watched in watched(venue) {
            let key = shown(&watched.key);
            if let Some(line) = lines.iter_mut().find(|line| line.key == key) {
                line.venues.push(name);
                continue;
            }
            let print = now.get(&watched.key).copied().unwrap_or_default();
            let change = changed
                .iter()
                .find(|change| change.watched.key == watched.key);
            let state = match (
                change,
                print.digest == [0; 32],
                kept.contains_key(&watched.key),
            ) {
                (Some(_), ..) => "changed",
                (None, true, _) => "absent",
                (None, false, true) => "accepted",
                (None, false, false) => "new",
            };
            lines.push(AccountLine {
                name: watched.name,
                key,
                venues: vec![name],
                slot: print.slot,
                state,
                words: change.map(ToString::to_string),
            });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use market::Side;

    use super::*;

    #[test]
    fn what_there_was_no_time_for_is_counted_and_no_failure() {
        let mut report = Report::nobody("no");
        report.unseen = None;
        for verdict in [Verdict::Passed { units: Some(1) }, Verdict::OutOfTime] {
            report.checked.push(Checked {
                venue: Venue::PumpV3,
                side: Side::Buy,
                verdict,
                units_asked: 2,
                mint: None,
            });
        }
        assert_eq!(report.exit_code(), exit::UNKNOWN);
        assert_eq!(report.to_json()["out_of_time"], 1);
        let said = report.in_words();
        assert!(
            said.contains("1 of 2 builders not checked: out of time (the whole check has 120 s)"),
            "{said}"
        );
    }
}
