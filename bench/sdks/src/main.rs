//! Our builder, signer, decoder and derivation beside those of the SDKs users would take.
//!
//! ```text
//! coins (seen, new) ------> build   intent to unsigned bytes   ours, solana-sdk, sol-trade-sdk
//!                      `--> sign    intent to signed bytes     deterministic, armed, presigned; the same rivals
//! transactions' bytes ----> decode  bytes to market events     ours, sol-parser-sdk
//! mints ------------------> derive  a token account's address  ours, solana-sdk
//! ```
//!
//! One process, one thread, one allocator; everything is fed from memory, by turns. Nothing here asserts a time.

mod build;
mod coin;
mod contest;
mod corpus;
mod decode;
mod derive;
mod ours;
mod seen;
mod sign;
#[cfg(test)]
mod tests;
#[cfg(feature = "trade-sdk")]
mod trade_sdk;

use std::io::{self, Write};
use std::process::ExitCode;

use bench::figures::Findings;
use bench::host::Host;
use bench::output;
use bench::row::Row;
use clap::{Parser, ValueEnum};
use overmind::clock::Ticker;

/// The same allocator as the executor's, for rivals too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Our builder, signer, decoder and derivation beside those of the SDKs users would take.
#[derive(Parser)]
#[command(name = "sdks")]
struct Arguments {
    /// What to measure; everything unless said.
    #[arg(value_enum)]
    what: Option<What>,
    /// One JSON object a line; the host and what was counted go to standard error.
    #[arg(long)]
    json: bool,
    /// A tenth of the work: shows that it works; not for quoting.
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// An intent to unsigned bytes.
    Build,
    /// An intent to signed bytes.
    Sign,
    /// A transaction's bytes to market events.
    Decode,
    /// The address of a token account.
    Derive,
}

/// What everything is measured with.
struct Context {
    ticker: Ticker,
    quick: bool,
}

impl Context {
    fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How often every contestant has its turn.
    fn runs(&self) -> usize {
        self.size(9, 5)
    }
}

type Measure = fn(&Context) -> Result<Findings, String>;

const FIGURES: [(What, &str, Measure); 4] = [
    (
        What::Build,
        "build: an intent to unsigned bytes",
        build::measure,
    ),
    (What::Sign, "sign: an intent to signed bytes", sign::measure),
    (
        What::Decode,
        "decode: a transaction's bytes to market events",
        decode::measure,
    ),
    (
        What::Derive,
        "derive: the address of a token account",
        derive::measure,
    ),
];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let host = Host::read();
    if cfg!(debug_assertions) {
        eprintln!("built without --release: these figures mean nothing");
    }
    let context = Context {
        ticker: Ticker::calibrate(),
        quick: arguments.quick,
    };
    let mut all = Findings::default();
    for (what, about, measure) in FIGURES {
        if arguments.what.is_none_or(|asked| asked == what) {
            eprintln!("{about}");
            let Findings { rows, notes } = measure(&context)?;
            all.rows.extend(rows);
            all.notes.extend(notes);
        }
    }
    show(arguments, &host, &all).map_err(|error| format!("cannot write: {error}"))
}

fn show(arguments: &Arguments, host: &Host, all: &Findings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.json {
        eprintln!("{}", host.json());
        all.notes.iter().for_each(|note| eprintln!("{note}"));
        let mut rows = all.rows.iter().map(Row::json);
        return rows.try_for_each(|row| writeln!(out, "{row}"));
    }
    for line in host.lines() {
        writeln!(out, "{line}")?;
    }
    writeln!(out)?;
    output::write_table(&all.rows, &mut out)?;
    writeln!(out)?;
    let mut notes = all.notes.iter();
    notes.try_for_each(|note| writeln!(out, "{note}"))
}
