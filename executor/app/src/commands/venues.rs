//! `overmind venues`: which venues a running executor may enter, and enabling one.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sidecar::printable;
use strategy::Venue;

use crate::admin::{AdminError, Request, ask, find_socket};
use crate::cli::{VenuesArgs, exit};

/// Pause between two looks at whether a check is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks until a check is given up: it is bounded, but others may wait before it.
const LOOKS_MAX: usize = 1_200;
/// Looks until what was asked for is in the record on disk: it is written a few times a second, or not at all.
const DISK_LOOKS_MAX: usize = 6;

/// Asks, prints, and returns the exit code.
#[must_use]
pub fn run(args: &VenuesArgs) -> u8 {
    let socket = match find_socket(&args.target) {
        Ok(socket) => socket,
        Err(problem) => {
            errln!("overmind: {problem}");
            return exit::BAD_INPUT;
        }
    };
    let answered = match args.enable {
        Some(venue) => enable(&socket, venue, args.force),
        None => ask(&socket, Request::Venues),
    };
    let answer = match answered {
        Ok(answer) => answer,
        Err(error) => {
            if args.target.json {
                outln!("{}", json!({"ok": false, "error": error.to_string()}));
            } else {
                errln!("overmind: {error}");
            }
            return exit::UNREACHABLE;
        }
    };
    if args.target.json {
        outln!("{answer}");
    } else if answer["ok"] == true {
        if let Some(enabled) = answer["asked"]["words"].as_str() {
            outln!("{}", printable(enabled));
        }
        out!("{}", in_words(&answer));
    } else {
        errln!("overmind: {}", plain(&answer["error"]));
    }
    exit_code(&answer, args.enable)
}

/// Asks for it and waits for what comes of it: the list as it is then, or a refusal.
fn enable(socket: &Path, venue: Venue, forced: bool) -> Result<Value, AdminError> {
    let asked = ask(socket, Request::Enable { venue, forced })?;
    if asked["ok"] != true {
        return Ok(asked);
    }
    let name = Venue::names()[venue as usize];
    let mut looks_at_disk = 0;
    for _ in 0..LOOKS_MAX {
        let mut listed = ask(socket, Request::Venues)?;
        let pending = listed["pending"].as_array();
        if pending.is_some_and(|pending| pending.iter().any(|waits| waits == name)) {
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        if let (Some(why), false) = (listed["refusals"].get(name), forced) {
            return Ok(json!({"ok": false, "error": why}));
        }
        // Said when a restart remembers it, if that is soon.
        if listed["unsaved"] == true && looks_at_disk < DISK_LOOKS_MAX {
            looks_at_disk += 1;
            std::thread::sleep(LOOK_EVERY);
            continue;
        }
        listed["asked"] = json!({
            "venue": name,
            "checked": !forced,
            "words": outcome(&listed, name, forced),
        });
        return Ok(listed);
    }
    let error = format!(
        "venue {name}: its check is not over yet; `overmind venues` shows what comes of it"
    );
    Ok(json!({"ok": false, "error": error}))
}

/// What `name` is after it was asked for, in a line.
fn outcome(listed: &Value, name: &str, forced: bool) -> String {
    let mut venues = listed["venues"].as_array().into_iter().flatten();
    let venue = venues.find(|venue| venue["name"] == name);
    let venue = venue.unwrap_or(&Value::Null);
    let unsaved = match listed["unsaved"] == true {
        true => "; not written to the record yet: a restart may forget it",
        false => "",
    };
    if venue["enabled"] != true {
        return format!("{name}: disabled ({})", plain(&venue["reason"]));
    }
    if forced {
        return format!("{name}: enabled, unchecked{unsaved}");
    }
    let [buy, sell] = ["buy", "sell"].map(|side| plain(&venue[side]["verdict"]));
    format!("{name}: enabled, checked: buy {buy}, sell {sell}{unsaved}")
}

fn exit_code(answer: &Value, enabled: Option<Venue>) -> u8 {
    let venues = || answer["venues"].as_array().into_iter().flatten();
    let name = enabled.map(|venue| Venue::names()[venue as usize]);
    let wanted = |venue: &&Value| name.is_none_or(|name| venue["name"] == name);
    match (answer["ok"] == true, enabled) {
        (false, Some(_)) => exit::REFUSED,
        (true, _)
            if venues()
                .filter(wanted)
                .all(|venue| venue["enabled"] == true) =>
        {
            exit::OK
        }
        _ => exit::FAILED,
    }
}

/// A line per venue, and below it why it is disabled or a check did not pass.
fn in_words(answer: &Value) -> String {
    let mut out = String::new();
    for venue in answer["venues"].as_array().into_iter().flatten() {
        let state = if venue["enabled"] == true {
            "enabled"
        } else {
            "disabled"
        };
        let side = |side: &str| match venue[side]["verdict"].as_str() {
            None => "not checked".to_owned(),
            Some("passed") => format!(
                "passed, {} of {} units",
                venue[side]["units"], venue[side]["units_asked"]
            ),
            Some(verdict) => printable(verdict),
        };
        let _ = writeln!(
            out,
            "{:<12} {state:<9} buy {}; sell {}; program deployed in slot {}",
            plain(&venue["name"]),
            side("buy"),
            side("sell"),
            match venue["program_slot"].as_u64() {
                Some(slot) => slot.to_string(),
                None => "unknown".to_owned(),
            },
        );
        if venue["enabled"] != true {
            let (reason, words) = (plain(&venue["reason"]), plain(&venue["words"]));
            let _ = writeln!(out, "    {reason}: {words}");
        }
        for side in ["buy", "sell"] {
            if venue[side]["why"].is_string() {
                let verdict = plain(&venue[side]["verdict"]);
                let _ = writeln!(out, "    {side} {verdict}: {}", plain(&venue[side]["why"]));
            }
        }
    }
    let _ = match (answer["node"].as_str(), answer["looked_s"].as_u64()) {
        (None, _) => writeln!(out, "not checked: {}", plain(&answer["not_checked"])),
        (Some(node), None) => writeln!(out, "{}: has told nothing yet", printable(node)),
        (Some(node), Some(seconds)) => {
            writeln!(
                out,
                "last looked at {seconds} s ago, told by {}",
                printable(node)
            )
        }
    };
    if answer["last_failure"]
        .as_str()
        .is_some_and(|text| !text.is_empty())
    {
        let _ = writeln!(out, "not watched: {}", plain(&answer["last_failure"]));
    }
    out
}

fn plain(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_what_is_disabled_why_and_what_nobody_knows() {
        let answer = json!({"ok": true, "node": null, "not_checked": "no RPC node is named", "looked_s": null, "last_failure": "", "venues": [
            {"name": "pump_v3", "enabled": true, "program_slot": 7,
             "buy": {"verdict": "passed", "units": 51_780, "units_asked": 130_000, "why": null},
             "sell": {"verdict": "unknown", "why": "no recent trader holds what was traded"}},
            {"name": "pump_swap", "enabled": false, "reason": "terms_changed", "words": "fee account X changed"},
        ]});
        let said = in_words(&answer);
        for part in [
            "pump_v3      enabled   buy passed, 51780 of 130000 units; sell unknown; program deployed in slot 7",
            "    sell unknown: no recent trader",
            "pump_swap    disabled  buy not checked; sell not checked; program deployed in slot unknown",
            "    terms_changed: fee account X changed",
            "not checked: no RPC node",
        ] {
            assert!(said.contains(part), "{part}\n{said}");
        }
        assert_eq!(exit_code(&answer, None), exit::FAILED);
        assert_eq!(exit_code(&answer, Some(Venue::PumpV3)), exit::OK);
        assert_eq!(exit_code(&answer, Some(Venue::PumpSwap)), exit::FAILED);
        for (name, forced, said) in [
            ("pump_v3", true, "pump_v3: enabled, unchecked"),
            (
                "pump_v3",
                false,
                "pump_v3: enabled, checked: buy passed, sell unknown",
            ),
            ("pump_swap", true, "pump_swap: disabled (terms_changed)"),
        ] {
            assert_eq!(outcome(&answer, name, forced), said);
        }
        let refused = json!({"ok": false, "error": "no"});
        assert_eq!(exit_code(&refused, Some(Venue::PumpV3)), exit::REFUSED);
        assert_eq!(exit_code(&refused, None), exit::FAILED);
    }
}
