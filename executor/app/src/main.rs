//! The `overmind` binary.

use std::process::ExitCode;

use clap::Parser;
use overmind::admin::{Request, run_client};
use overmind::cli::{Cli, Command, exit};
use overmind::commands::{self, Failure};
use overmind::doctor;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Cli::parse().into_command();
    if matches!(
        command,
        Command::Demo(_)
            | Command::Run(_)
            | Command::Relay(_)
            | Command::Capture(_)
            | Command::Replay(_)
            | Command::Sources(_)
    ) {
        commands::listen_for_signals();
    }
    let outcome: Result<u8, Failure> = match &command {
        Command::Demo(args) => commands::demo::run(args),
        Command::Run(args) => commands::run::run(args),
        Command::Relay(args) => commands::relay::run(args),
        Command::Replay(args) => commands::replay::run(args),
        Command::Decode(args) => commands::decode::run(args),
        Command::Capture(args) => commands::capture::run(args),
        Command::Status(args) => Ok(run_client(Request::Status, &args.target, args.all)),
        Command::Venues(args) => Ok(commands::venues::run(args)),
        Command::Kill(args) => Ok(run_client(
            if args.reduce {
                Request::Reduce
            } else {
                Request::Kill
            },
            &args.target,
            false,
        )),
        Command::Resume(args) => Ok(run_client(Request::Resume, &args.target, false)),
        Command::Sources(args) => Ok(commands::sources::run(args)),
        Command::Doctor(args) => Ok(doctor::run(args)),
        Command::Config(args) => commands::config::run(args),
        Command::LookupTable(args) => commands::lookup_table::run(args),
        Command::Keys(args) => commands::keys::run(args),
        Command::Explain(args) => Ok(commands::explain::run(args)),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            overmind::output::log(format_args!("overmind: {failure}"));
            ExitCode::from(failure.code().max(exit::FAILED))
        }
    }
}
