//! `overmind doctor`: is this host fit for it? Reads, changes nothing.
//!
//! Every check says what was measured, what is wanted, and the command that gets there; the page in
//! `tuning/` says why. WARN costs latency or comfort; FAIL means that it will not run as configured.

mod checks;
mod facts;
mod files;
mod interfaces;
#[cfg(test)]
mod tests;
mod venues;

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use self::checks::{config_findings, lookup_table, unread_config};
use self::facts::Facts;
pub(crate) use self::files::{Seen, look_at};
use self::interfaces::addresses;
pub(crate) use self::interfaces::lacking_interfaces;
use crate::cli::{DoctorArgs, exit};
use crate::config::Survey;
use crate::output::counted;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// As wanted, or not applicable here.
    Ok,
    /// Works, at a cost.
    Warn,
    /// Will not work as configured.
    Fail,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name, for scripts.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub measured: String,
    /// What is wanted.
    pub wanted: String,
    /// The command that gets there; empty when nothing needs to be done.
    pub fix: String,
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst of all levels.
    pub worst: Level,
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

/// Runs `overmind doctor`: examines, prints, returns the exit code.
pub fn run(args: &DoctorArgs) -> u8 {
    if let (true, Some(config)) = (args.venues, &args.config) {
        return venues::run(config, args.json);
    }
    let report = examine(args.config.as_deref());
    if args.json {
        outln!("{}", serde_json::json!(report));
    } else {
        out!("{}", report.in_words());
    }
    if report.worst == Level::Fail {
        exit::FAILED
    } else {
        exit::OK
    }
}

/// Examines this host and, when one is named, a configuration and the files it names.
pub fn examine(config: Option<&Path>) -> Report {
    Facts::measure().examine(config)
}

impl Report {
    /// A line per finding, a line below each that needs something, and a last line with the count.
    pub fn in_words(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let Finding {
                check,
                level,
                measured,
                wanted,
                fix,
            } = finding;
            let _ = writeln!(out, "{:<4}  {check:<14}  {measured}", level.as_str());
            if *level != Level::Ok {
                let _ = writeln!(
                    out,
                    "      {:<14}  wanted: {wanted}\n      {:<14}  fix: {fix}",
                    "", ""
                );
            }
        }
        let count = |level| {
            self.findings
                .iter()
                .filter(|finding| finding.level == level)
                .count() as u64
        };
        let (ok, warn, fail) = (count(Level::Ok), count(Level::Warn), count(Level::Fail));
        let _ = writeln!(
            out,
            "{ok} ok, {}, {}",
            counted(warn, "warning", "warnings"),
            counted(fail, "failure", "failures")
        );
        out
    }
}

impl Facts {
    fn examine(&self, config: Option<&Path>) -> Report {
        let mut findings = Vec::new();
        let read = config.map(|path| (path, Survey::of_file(path, &self.host)));
        let survey = match &read {
            Some((_, Ok(survey))) => Some(survey),
            _ => None,
        };
        let plan = survey.and_then(Survey::plan);
        match &read {
            Some((path, Ok(survey))) => {
                findings.extend(config_findings(path, survey));
                findings.extend(self.files_findings(survey));
                findings.extend(survey.plan().and_then(lookup_table));
                findings.extend(venues::record_finding(&self.host.state_dir));
            }
            Some((path, Err(error))) => findings.push(unread_config(path, error.to_string())),
            None => {}
        }
        findings.push(self.kernel());
        findings.push(self.cpus());
        findings.push(self.isolation(plan));
        findings.push(self.governor());
        findings.push(self.smt());
        findings.push(self.interrupts(plan));
        findings.push(self.clocksource());
        findings.push(self.clock_sync());
        findings.push(self.huge_pages());
        findings.push(self.memlock(plan));
        findings.extend(self.signing(plan));
        findings.push(self.receive_buffer(plan));
        findings.push(self.receive_stamps());
        findings.push(self.io_uring(plan));
        findings.extend(plan.and_then(addresses));
        findings.extend(self.xdp(plan));
        findings.extend(self.multicast(plan));
        findings.extend(self.quic(plan));
        findings.extend(self.relay(plan));
        findings.push(self.open_files());
        findings.push(self.core_dumps());
        findings.push(self.service_manager());
        let worst = findings
            .iter()
            .map(|finding| finding.level)
            .max()
            .unwrap_or(Level::Ok);
        Report { worst, findings }
    }
}
