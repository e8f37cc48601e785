//! Minutes of lossy microbursts from two sources through real sockets: see [`ingest_tests::soak`].
//!
//! `ingest-soak [--seconds N] [--rate N] [--seed N]`. Ends with 1 when a goal did not hold: nothing knowable is lost,
//! hot threads leave the heap alone, memory is flat, and the rate was reached.

#![allow(clippy::print_stdout)]

use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::time::Duration;

use ingest_tests::heap::Counting;
use ingest_tests::soak::{Soak, receive, send};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let mut soak = Soak {
        time: Duration::from_secs(600),
        rate: 40_000,
        seed: 1,
    };
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut words = words.iter().map(String::as_str);
    let mut to: Vec<SocketAddr> = Vec::new();
    let mut sends = false;
    while let Some(word) = words.next() {
        let mut number = || words.next().and_then(|value| value.parse::<u64>().ok());
        let understood = match word {
            "--send" => {
                sends = true;
                true
            }
            "--seconds" => number()
                .map(|value| soak.time = Duration::from_secs(value.max(1)))
                .is_some(),
            "--rate" => number().map(|value| soak.rate = value.max(1)).is_some(),
            "--seed" => number().map(|value| soak.seed = value).is_some(),
            address if sends => address.parse().map(|address| to.push(address)).is_ok(),
            _ => false,
        };
        if !understood {
            eprintln!("usage: ingest-soak [--seconds N] [--rate N] [--seed N]");
            return ExitCode::from(2);
        }
    }
    let outcome = match (sends, <[SocketAddr; 2]>::try_from(to)) {
        (true, Ok(to)) => send(&soak, to),
        (false, _) => sender(&soak).and_then(|sender| receive(&soak, sender)),
        (true, Err(_)) => Err(std::io::Error::other("two addresses to send to")),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("ingest-soak: {error}");
        ExitCode::FAILURE
    })
}

/// This program once more, as the one that sends.
fn sender(soak: &Soak) -> std::io::Result<Command> {
    let mut sender = Command::new(std::env::current_exe()?);
    sender
        .args(["--seconds", &soak.time.as_secs().to_string()])
        .args(["--rate", &soak.rate.to_string()])
        .args(["--seed", &soak.seed.to_string()])
        .arg("--send");
    Ok(sender)
}
