//! `cargo run --release -p bench -- all | list | peers | <figure> [--json] [--quick]`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

use bench::figures::{Context, FIGURES, Figure, Findings};
use bench::floors::Floors;
use bench::host::Host;
use bench::output;
use bench::row::Row;
use clap::Parser;
use overmind::clock::Ticker;

/// The same allocator as the executor's, for rivals too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Latency per rung and throughput, beside the usual way and the host's floors.
#[derive(Parser)]
#[command(
    name = "bench",
    after_help = "Example: cargo run --release -p bench -- l0 --json"
)]
struct Arguments {
    /// `all`, `peers` (figures with rivals, then the registry's whole decoders), `list`, or a figure's name.
    what: String,
    /// One JSON object a line; the host and what was counted go to standard error.
    #[arg(long)]
    json: bool,
    /// A tenth of the work: shows that it works; not for quoting.
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.what == "list" {
        for figure in FIGURES {
            println!("{:8} {}", figure.name, figure.about);
        }
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<Figure> = FIGURES
        .into_iter()
        .filter(|figure| match arguments.what.as_str() {
            "all" => true,
            "peers" => figure.has_rivals,
            name => figure.name == name,
        })
        .collect();
    if chosen.is_empty() {
        eprintln!(
            "no figure is called {:?}; `bench -- list` names them",
            arguments.what
        );
        return ExitCode::from(2);
    }
    let done = run(&arguments, &chosen).and_then(|()| match arguments.what.as_str() {
        "peers" => run_peers(&arguments),
        _ => Ok(()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, chosen: &[Figure]) -> Result<(), String> {
    let started = Instant::now();
    let host = Host::read();
    if cfg!(debug_assertions) {
        eprintln!("built without --release: these figures mean nothing");
    }
    let ticker = Ticker::calibrate();
    let floors = Floors::measure(ticker, arguments.quick);
    let mut all = Findings {
        rows: floors.rows.clone(),
        notes: Vec::new(),
    };
    let context = Context {
        ticker,
        quick: arguments.quick,
        floors,
    };
    for figure in chosen {
        eprintln!("{}: {}", figure.name, figure.about);
        let Findings { rows, notes } = (figure.measure)(&context)?;
        all.rows.extend(rows);
        all.notes.extend(notes);
    }
    show(arguments, &host, &all).map_err(|error| format!("cannot write: {error}"))?;
    let folder = output::write_logs(&all.rows, &host, started.elapsed());
    let folder = folder.map_err(|error| format!("cannot write logs: {error}"))?;
    eprintln!("HDR logs and index.html in {}", folder.display());
    Ok(())
}

/// Builds the nested workspace `bench/peers`, whose lock file has other decoders in it, and runs it.
fn run_peers(arguments: &Arguments) -> Result<(), String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["run", "--release", "--locked", "--manifest-path"]);
    cargo.arg(&manifest);
    // What both workspaces need in the same way is then compiled once.
    if let Some(folder) = target_folder() {
        cargo.arg("--target-dir").arg(folder);
    }
    cargo.arg("--");
    cargo.args(arguments.json.then_some("--json"));
    cargo.args(arguments.quick.then_some("--quick"));
    eprintln!("peers: cargo run --manifest-path {}", manifest.display());
    let status = cargo.status();
    let status = status.map_err(|error| format!("cannot start cargo: {error}"))?;
    let peers = manifest.display();
    status
        .success()
        .then_some(())
        .ok_or_else(|| format!("{peers}: {status}"))
}

/// Where cargo put this program: the folder above that of the profile.
fn target_folder() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.parent()?.parent()?;
    folder
        .join("CACHEDIR.TAG")
        .exists()
        .then(|| folder.to_owned())
}

fn show(arguments: &Arguments, host: &Host, all: &Findings) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if arguments.json {
        // The host and what was counted are for people and scripts that keep them: not among the figures.
        eprintln!("{}", host.json());
        all.notes.iter().for_each(|note| eprintln!("{note}"));
        return all
            .rows
            .iter()
            .map(Row::json)
            .try_for_each(|row| writeln!(out, "{row}"));
    }
    for line in host.lines() {
        writeln!(out, "{line}")?;
    }
    let quick = if arguments.quick { " --quick" } else { "" };
    writeln!(
        out,
        "command   cargo run --release -p bench -- {}{quick}\n",
        arguments.what
    )?;
    output::write_table(&all.rows, &mut out)?;
    writeln!(out)?;
    all.notes
        .iter()
        .try_for_each(|note| writeln!(out, "{note}"))
}
