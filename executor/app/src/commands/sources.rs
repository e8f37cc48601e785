//! `overmind sources`: the race between sources, as a running executor sees it.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::admin::{AdminError, Request, ask, find_socket};
use crate::cli::{SourcesArgs, exit};
use crate::commands::interrupted;
use crate::sources::{Shown, in_words};

/// Between two answers.
const PERIOD: Duration = Duration::from_secs(1);
/// Clears a terminal: cursor home, erase below.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Asks, prints, and with `--watch` goes on until interrupted; the exit code.
#[must_use]
pub fn run(args: &SourcesArgs) -> u8 {
    let socket = match find_socket(&args.target) {
        Ok(socket) => socket,
        Err(problem) => {
            errln!("overmind: {problem}");
            return exit::BAD_INPUT;
        }
    };
    match show(args, &socket) {
        Ok(code) => code,
        Err(error) => {
            if args.target.json {
                outln!("{}", json!({ "ok": false, "error": error.to_string() }));
            } else {
                errln!("overmind: {error}");
            }
            exit::UNREACHABLE
        }
    }
}

fn show(args: &SourcesArgs, socket: &Path) -> Result<u8, AdminError> {
    use std::io::IsTerminal as _;

    let mut before = match ask(socket, Request::Sources) {
        Err(error) if args.watch => match wait_for(socket, &error) {
            Some(answer) => answer,
            None => return Ok(exit::OK),
        },
        answer => answer?,
    };
    if let Some(code) = refused(&before) {
        return Ok(code);
    }
    if args.target.json && !args.watch {
        outln!("{before}");
        return Ok(code_of(&before));
    }
    let clear = args.watch && std::io::stdout().is_terminal();
    let shown = if args.watch {
        Shown::Between
    } else {
        Shown::All
    };
    loop {
        std::thread::sleep(PERIOD);
        if interrupted() {
            return Ok(exit::OK);
        }
        let now = match ask(socket, Request::Sources) {
            // Whoever restarts it has new counters: they begin at nothing.
            Err(error) if args.watch => match wait_for(socket, &error) {
                Some(answer) => {
                    before = answer;
                    continue;
                }
                None => return Ok(exit::OK),
            },
            answer => answer?,
        };
        if let Some(code) = refused(&now) {
            return Ok(code);
        }
        if args.target.json {
            outln!("{now}");
        } else {
            let clear = if clear { CLEAR } else { "" };
            out!("{clear}{}", in_words(&before, &now, shown, args.leaders));
        }
        if !args.watch {
            return Ok(code_of(&now));
        }
        before = now;
    }
}

/// Says why nobody answers, once, and asks on until somebody does or the end is asked for.
fn wait_for(socket: &Path, error: &AdminError) -> Option<Value> {
    errln!("overmind: {error}; waiting for it");
    loop {
        std::thread::sleep(PERIOD);
        if interrupted() {
            return None;
        }
        if let Ok(answer) = ask(socket, Request::Sources) {
            return Some(answer);
        }
    }
}

fn refused(answer: &Value) -> Option<u8> {
    if answer["ok"] == true {
        return None;
    }
    errln!(
        "overmind: {}",
        answer["error"].as_str().unwrap_or("refused")
    );
    Some(exit::FAILED)
}

/// A source that is not alive is a bad answer.
fn code_of(answer: &Value) -> u8 {
    let mut sources = answer["sources"].as_array().into_iter().flatten();
    if sources.any(|source| source["state"] != "alive") {
        exit::FAILED
    } else {
        exit::OK
    }
}
