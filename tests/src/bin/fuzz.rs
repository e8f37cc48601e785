//! Drives the fuzz targets of [`overmind_tests::fuzz`]. They run on the stable toolchain and need nothing else.
//!
//! `fuzz TARGET|all [--seconds N] [--seed N]`. A finding is a panic: the driver prints seed and case, and running it
//! with that seed and `--case N` repeats it.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;
use std::time::Duration;

use overmind_tests::fuzz::{Corpus, TARGETS, drive};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let wanted = args.next().unwrap_or_else(|| "all".to_owned());
    let (mut seconds, mut seed, mut only) = (5u64, 1u64, None);
    while let Some(flag) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        match (flag.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--seed", Some(value)) => seed = value,
            ("--case", Some(value)) => only = Some(value),
            _ => return usage(),
        }
    }
    let targets: Vec<_> = TARGETS
        .iter()
        .filter(|(name, _)| wanted == "all" || wanted == *name)
        .collect();
    if targets.is_empty() {
        return usage();
    }
    let corpus = Corpus::load();
    let time = only.is_none().then_some(Duration::from_secs(seconds));
    for (name, target) in &targets {
        match drive(*target, &corpus, time, seed, only.unwrap_or(0)) {
            Ok(cases) => println!("fuzz {name}: {cases} cases, seed {seed}, no finding"),
            Err(case) => {
                eprintln!(
                    "fuzz {name}: finding; repeat with: fuzz {name} --seed {seed} --case {case}"
                );
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{} passed, 0 failed", targets.len());
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
    eprintln!(
        "usage: fuzz {}|all [--seconds N] [--seed N] [--case N]",
        names.join("|")
    );
    ExitCode::from(2)
}
