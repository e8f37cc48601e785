//! Runs the split, spinning pipeline over generated traffic and prints, as one line of JSON, what it did and what it
//! should not have done: heap calls, minor page faults, system calls.
//!
//! `hot_path [--datagrams N] [--seed N] [--unverified] [--udp] [--verify-thread]`. Ends with 1 when a count that must be zero is not, or one
//! that must not be zero is.

#![allow(clippy::print_stdout)]

use std::process::ExitCode;

use overmind_tests::heap::Counting;
use overmind_tests::hot_path::{Drive, Way, drive};
use shred_resolve::Policy;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let mut wanted = Drive {
        datagrams: 1_000_000,
        seed: 1,
        policy: Policy::VerifyThenEmit,
        way: Way::Ring,
        verify_thread: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let mut number = || args.next().and_then(|value| value.parse().ok());
        match flag.as_str() {
            "--unverified" => wanted.policy = Policy::EmitThenVerify,
            "--udp" => wanted.way = Way::Udp,
            "--verify-thread" => wanted.verify_thread = true,
            "--datagrams" => match number() {
                Some(datagrams) => wanted.datagrams = datagrams,
                None => return usage(),
            },
            "--seed" => match number() {
                Some(seed) => wanted.seed = seed,
                None => return usage(),
            },
            _ => return usage(),
        }
    }
    match drive(&wanted) {
        Ok(findings) => {
            println!("{}", findings.json());
            for unchecked in &findings.unchecked {
                eprintln!("not checked: {unchecked}");
            }
            let faults = findings.faults();
            for fault in &faults {
                eprintln!("hot_path: {fault}");
            }
            if faults.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(reason) => {
            eprintln!("hot_path: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: hot_path [--datagrams N] [--seed N] [--unverified] [--udp] [--verify-thread]"
    );
    ExitCode::from(2)
}
