//! Our decoder beside what users would pick from the registry, and the lead over later ways of decoding.
//!
//! ```text
//! captures, generated datagrams --> path    datagrams to transactions: ours, shredstream
//!                               |-> entry   a batch's bytes to transactions: ours, bincode, wincode, agave's view
//!                               `-> lead    when each transaction is known: ours, whole set, whole batch
//! ```
//!
//! One process, one thread, one allocator; everything is fed from memory, by turns. Nothing here asserts a time.

mod captures;
mod entry;
mod lead;
mod path;
mod reference;

use std::io::{self, Write};
use std::process::ExitCode;

use bench::figures::Findings;
use bench::host::Host;
use bench::output;
use bench::row::Row;
use captures::Capture;
use clap::{Parser, ValueEnum};
use overmind::clock::Ticker;
use serde_json::{Value, json};

/// The same allocator as the executor's, for rivals too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Our decoder beside what users would pick from the registry, and the lead over later ways of decoding.
#[derive(Parser)]
#[command(name = "peers")]
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
    /// Datagrams to transactions.
    Path,
    /// A batch's bytes to transactions.
    Entry,
    /// How much earlier transactions are known.
    Lead,
}

/// What everything is measured with.
struct Context {
    ticker: Ticker,
    quick: bool,
    captures: Vec<Capture>,
}

impl Context {
    fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

type Measure = fn(&Context) -> Result<Findings, String>;

const FIGURES: [(What, &str, Measure); 3] = [
    (
        What::Path,
        "path: datagrams to transactions, from memory",
        path::measure,
    ),
    (
        What::Entry,
        "entry: a batch's bytes to transactions",
        entry::measure,
    ),
    (
        What::Lead,
        "lead: how much earlier transactions are known",
        lead::measure,
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
        captures: captures::read()?,
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
        let mut rows = all.rows.iter().map(object);
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

/// As the bench prints it, with the mean of a lead: most leads are short and few are long.
fn object(row: &Row) -> Value {
    let mut object = row.json();
    if let (Some(log), true) = (&row.log, row.name.starts_with(lead::PREFIX)) {
        object["mean"] = json!(log.mean().round());
    }
    object
}
