//! The resolver against the slow reference, case after case: see [`ingest_tests::machine`].
//!
//! `ingest-fuzz [--seconds N] [--seed N] [--case N]`. A finding is a difference or a panic: seed and case are printed,
//! and running it with them repeats it.

#![allow(clippy::print_stdout)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ingest_tests::machine::{Coverage, case};

fn main() -> ExitCode {
    let (mut seconds, mut seed, mut only) = (5, 1, None);
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let value: Option<u64> = args.next().and_then(|value| value.parse().ok());
        match (flag.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--seed", Some(value)) => seed = value,
            ("--case", Some(value)) => only = Some(value),
            _ => {
                eprintln!("usage: ingest-fuzz [--seconds N] [--seed N] [--case N]");
                return ExitCode::from(2);
            }
        }
    }
    let started = Instant::now();
    let time = Duration::from_secs(seconds);
    let mut sum = Coverage::default();
    let mut number = only.unwrap_or(0);
    let mut cases = 0u64;
    while cases == 0 || (only.is_none() && started.elapsed() < time) {
        let of_case =
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03);
        match catch_unwind(AssertUnwindSafe(|| case(of_case))) {
            Ok(Ok(coverage)) => sum.add(coverage),
            outcome => {
                if let Ok(Err(difference)) = outcome {
                    eprintln!("{difference}");
                }
                eprintln!(
                    "finding; repeat with: ingest-fuzz --seed {seed} --case {number} (after {cases} without)"
                );
                return ExitCode::FAILURE;
            }
        }
        cases += 1;
        number += 1;
    }
    println!("ingest-fuzz: {cases} cases, seed {seed}, no finding");
    for (name, count) in sum.fields() {
        println!("{count:>14}  {name}");
    }
    ExitCode::SUCCESS
}
