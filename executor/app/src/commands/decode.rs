//! `overmind decode`.

use std::fs::File;
use std::io::{self, BufWriter};

use shred_resolve::{Plan, Policy};
use shred_source::PcapReader;

use crate::cli::{DecodeArgs, exit};
use crate::commands::Failure;
use crate::decode::{DecodeError, DecodeOptions, decode};
use crate::leaders::{LeaderSchedule, LeaderSource};
use crate::notices;

/// Prints the capture's lines; the exit code.
///
/// # Errors
/// [`Failure`] when a file cannot be read.
pub fn run(args: &DecodeArgs) -> Result<u8, Failure> {
    let leaders = match &args.leaders {
        Some(path) => LeaderSource::Schedule(LeaderSchedule::load(path)?),
        None => LeaderSource::Absent,
    };
    let policy = if args.unverified {
        Policy::EmitThenVerify
    } else {
        Policy::VerifyThenEmit
    };
    let plan = Plan {
        shred_version: args.shred_version,
        ..Plan::default()
    };
    let options = DecodeOptions {
        plan,
        leaders,
        policy,
    };
    let named =
        |error: &dyn std::fmt::Display| Failure::Input(format!("{}: {error}", args.file.display()));
    let file = File::open(&args.file).map_err(|error| named(&error))?;
    let capture = PcapReader::new(file).map_err(|error| named(&error))?;
    match decode(capture, &options, BufWriter::new(io::stdout().lock())) {
        // Whoever reads has seen enough, as `head` does.
        Err(DecodeError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(exit::OK)
        }
        Err(DecodeError::Capture(error)) => Err(named(&error)),
        Err(error) => Err(error.into()),
        Ok(decoded) => {
            let damage = notices::damage(&args.file, &decoded.capture);
            let leaders = notices::leaders(&options.leaders, &decoded.resolved);
            let version = notices::version(args.shred_version, &decoded.resolved);
            for notice in damage.into_iter().chain(version).chain(leaders) {
                errln!("{notice}");
            }
            Ok(exit::OK)
        }
    }
}
