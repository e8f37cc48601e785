//! `overmind lookup-table`: what a lookup table of the operator's should hold and, where one is in use, lacks.

use serde_json::json;

use crate::cli::{ConfigFileArgs, exit};
use crate::commands::Failure;
use crate::config::{Config, Host};
use crate::lookup_tables::{self, Wanted, text};

/// Prints the addresses; the exit code.
///
/// # Errors
/// [`Failure`] when the configuration or its file of lookup tables cannot be used.
pub fn run(args: &ConfigFileArgs) -> Result<u8, Failure> {
    let (table, wanted) = match wanted(args) {
        Err(failure) if args.json => {
            outln!("{}", failure.to_json());
            return Ok(failure.code());
        }
        wanted => wanted?,
    };
    if args.json {
        let answer = json!({ "ok": true, "table": table, "addresses": wanted });
        outln!("{answer}");
        return Ok(exit::OK);
    }
    let missing = wanted.iter().filter(|one| !one.held);
    missing.for_each(|one| outln!("{}", one.address));
    if let Some(table) = table {
        errln!("{}", lacks(&table, &wanted));
    }
    Ok(exit::OK)
}

/// The table in use, if one is, and what one should hold.
fn wanted(args: &ConfigFileArgs) -> Result<(Option<String>, Vec<Wanted>), Failure> {
    let mut plan = Config::load(&args.config)?.plan(&Host::read())?;
    lookup_tables::load_for(&mut plan)?;
    let wanted = lookup_tables::wanted(&plan.builder);
    let wanted = wanted.map_err(|error| Failure::Input(error.to_string()))?;
    Ok((plan.lookup_table.as_ref().map(text), wanted))
}

/// What the table in use lacks, in words.
fn lacks(table: &str, wanted: &[Wanted]) -> String {
    match wanted.iter().filter(|one| !one.held).count() {
        0 => format!("{table} holds all {}", wanted.len()),
        count => format!("{table} lacks {count} of {}", wanted.len()),
    }
}
