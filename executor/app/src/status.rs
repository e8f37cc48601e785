//! The answer to `overmind status`, for a person: counters under headings, in the order data moves.
//!
//! Refusal counters that stand at zero say nothing and are left out unless all are asked for. A member that no
//! heading claims is shown at the end rather than lost.

mod relay;

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::output::counted;

/// Resolver counters that are about what arrives, not about what becomes of it.
const SOURCE: [&str; 2] = ["datagram", "shred_accepted"];
/// Engine counters that are about what left and what became of it.
const BUNDLE: [&str; 7] = [
    "bundle_handed",
    "bundle_refused",
    "entry_included",
    "exit_included",
    "own_expired",
    "own_rejected",
    "own_failed",
];
/// Members that have a place; any other one is shown as it is.
const KNOWN: [&str; 22] = [
    "chain",
    "ok",
    "healthy",
    "health",
    "slot",
    "alarms",
    "sources",
    "resolved",
    "datagrams_refused",
    "decided",
    "intents_refused",
    "market",
    "truth",
    "accounts",
    "positions_open",
    "positions_pending",
    "positions_max",
    "bridge",
    "shredstream",
    "signing",
    "venues",
    "threads",
];

/// `status`, an executor's answer, under headings; `all` shows refusal counters at zero as well.
#[must_use]
pub fn in_words(status: &Value, all: bool) -> String {
    let mut page = Page {
        text: String::new(),
        all,
    };
    if status["relay"].is_object() {
        page.of_relay(status);
        return page.text;
    }
    page.summary(status);
    page.heading("source");
    page.sources(&status["sources"]);
    page.counters(&status["resolved"], |name| SOURCE.contains(&name));
    page.refusals(&status["datagrams_refused"]);
    page.heading("resolve");
    page.counters(&status["resolved"], |name| !SOURCE.contains(&name));
    page.chain(&status["chain"]);
    page.heading("market and strategy");
    page.counters(&status["decided"], |name| !BUNDLE.contains(&name));
    page.market(&status["market"]);
    page.account_data(&status["truth"], &status["accounts"]);
    page.heading("risk");
    page.row("positions", &positions(status).into());
    page.refusals(&status["intents_refused"]);
    page.venues(&status["venues"]);
    page.heading("bundle and submit");
    page.counters(&status["decided"], |name| BUNDLE.contains(&name));
    page.signing(&status["signing"]);
    page.shredstream(&status["shredstream"]);
    page.heading("bridge");
    page.bridge(&status["bridge"]);
    page.rest(status, &KNOWN);
    page.text
}

struct Page {
    text: String,
    all: bool,
}

impl Page {
    fn summary(&mut self, status: &Value) {
        let health = &status["health"];
        let text = |name: &str| plain(&health[name]);
        let healthy = if status["healthy"] == true {
            "healthy"
        } else {
            "not healthy"
        };
        let uptime_s = health["uptime_ms"].as_u64().unwrap_or_default() / 1_000;
        let last = match health["last_datagram_age_ms"].as_u64() {
            Some(age_ms) => format!("last datagram {age_ms} ms ago"),
            None => "no datagram yet".to_owned(),
        };
        let _ = writeln!(
            self.text,
            "{healthy}: {} mode, process {}, control {}, up {}, {}, {last}",
            text("mode"),
            text("state"),
            text("control"),
            counted(uptime_s, "second", "seconds"),
            slot(&status["slot"]),
        );
        if let Some(layout) = status["threads"]["layout"].as_str() {
            let verify = match status["threads"]["verify"].as_str() {
                Some("thread") => ", leaders' signatures checked by a thread of their own",
                Some(_) => ", leaders' signatures checked by the core",
                None => "",
            };
            let _ = writeln!(self.text, "threads: {layout}{verify}");
        }
        for problem in health["problems"].as_array().into_iter().flatten() {
            let _ = writeln!(self.text, "problem: {}", plain(problem));
        }
        for alarm in status["alarms"].as_array().into_iter().flatten() {
            let _ = writeln!(self.text, "alarm: {}", plain(alarm));
        }
    }

    fn sources(&mut self, sources: &Value) {
        for source in sources.as_array().into_iter().flatten() {
            let text = |name: &str| plain(&source[name]);
            let (state, shreds, won) = (text("state"), text("shred"), text("won"));
            let by = source["kind"].as_str().unwrap_or_default();
            let by = if by.is_empty() {
                String::new()
            } else {
                format!(" by {by}")
            };
            let said = format!("{state}{by}, {shreds} shreds, {won} of them won");
            let _ = writeln!(self.text, "  {:<36} {said}", text("name"));
            for (name, value) in members(&source["received"]) {
                if name != "datagram_received" && (self.all || value != 0) {
                    self.row(&format!("  {name}"), value);
                }
            }
        }
    }

    fn heading(&mut self, heading: &str) {
        let _ = writeln!(self.text, "\n{heading}");
    }

    fn row(&mut self, name: &str, value: &Value) {
        if !value.is_null() {
            let _ = writeln!(self.text, "  {name:<36} {}", plain(value));
        }
    }

    fn counters(&mut self, counters: &Value, wanted: impl Fn(&str) -> bool) {
        for (name, value) in members(counters).filter(|(name, _)| wanted(name)) {
            self.row(name, value);
        }
    }

    fn refusals(&mut self, counters: &Value) {
        for (name, value) in members(counters) {
            if self.all || value != 0 {
                self.row(&format!("refused: {name}"), value);
            }
        }
    }

    /// Curves and pools: how many there are, and what happened to them at all.
    fn market(&mut self, market: &Value) {
        for (name, value) in members(market) {
            if self.all || name.ends_with("_kept") || value != 0 {
                self.row(name, value);
            }
        }
    }

    /// A line for each venue that account data was told of, and what became of the accounts.
    fn account_data(&mut self, truth: &Value, accounts: &Value) {
        let is_told = |said: &Value| members(said).any(|(_, value)| value != 0);
        let venues: Vec<_> = members(truth)
            .filter(|(_, said)| self.all || is_told(said))
            .collect();
        if venues.is_empty() && accounts.is_null() {
            return;
        }
        self.heading("account data");
        for (venue, said) in venues {
            let count = |name: &str| plain(&said[name]);
            let said = format!(
                "{} agreed, {} diverged and corrected, {} behind, {} stale",
                count("truth_agreed"),
                count("truth_diverged"),
                count("truth_behind"),
                count("truth_stale")
            );
            let _ = writeln!(self.text, "  {venue:<36} {said}");
        }
        for (name, value) in members(accounts) {
            if self.all || value != 0 {
                self.row(name, value);
            }
        }
    }

    fn chain(&mut self, chain: &Value) {
        if chain.is_null() {
            return;
        }
        self.heading("chain");
        for name in ["slot_ms", "newest_block", "newest_two_thirds_hint"] {
            self.row(name, &chain[name]);
        }
        for (name, value) in members(&chain["leaders"]) {
            if !value.is_object() && value != "" {
                self.row(&format!("leaders: {name}"), value);
            }
        }
        for group in ["forks", "votes"] {
            for (name, value) in members(&chain[group]) {
                if self.all || value != 0 {
                    self.row(name, value);
                }
            }
        }
        for (name, value) in members(&chain["leaders"]["refresh"]) {
            if self.all || value != 0 {
                self.row(&format!("leaders: {name}"), value);
            }
        }
    }

    fn venues(&mut self, venues: &Value) {
        for venue in venues["venues"].as_array().into_iter().flatten() {
            let checked = ["buy", "sell"].map(|side| match venue[side]["verdict"].as_str() {
                Some(verdict) => format!("{side} {verdict}"),
                None => format!("{side} not checked"),
            });
            let state = match venue["reason"].as_str() {
                Some(reason) => format!("disabled ({reason})"),
                None => "enabled".to_owned(),
            };
            let text = format!("{state}, {}", checked.join(", "));
            self.row(&format!("venue {}", plain(&venue["name"])), &text.into());
        }
        let failure = &venues["last_failure"];
        if failure.as_str().is_some_and(|text| !text.is_empty()) {
            self.row("venues not watched", failure);
        }
    }

    fn signing(&mut self, signing: &Value) {
        if signing.is_null() {
            return;
        }
        self.heading("signing");
        for (way, count) in members(&signing["signatures"]) {
            self.row(&format!("signatures: {way}"), count);
        }
        self.row("halted", &signing["halted"]);
        for (name, count) in members(&signing["ladders"]) {
            if self.all || count != 0 {
                self.row(name, count);
            }
        }
        for (reason, count) in members(&signing["not_presigned"]) {
            if self.all || count != 0 {
                self.row(&format!("not presigned: {reason}"), count);
            }
        }
        let armed = &signing["armed"];
        for name in ["waiting_emptiest", "waiting_fullest"] {
            self.row(&format!("nonces {name}"), &armed[name]);
        }
        self.counters(&armed["events"], |_| true);
        for (reason, count) in members(&armed["fallbacks"]) {
            if self.all || count != 0 {
                self.row(&format!("not armed: {reason}"), count);
            }
        }
        if self.all || armed["own_dropped"] != 0 {
            self.row("own_dropped", &armed["own_dropped"]);
        }
    }

    fn shredstream(&mut self, stream: &Value) {
        if stream.is_null() {
            return;
        }
        self.heading("shredstream");
        for name in ["running", "flowing", "last_end"] {
            if stream[name] != "" {
                self.row(name, &stream[name]);
            }
        }
        for (name, value) in members(&stream["events"]) {
            if self.all || value != 0 {
                self.row(name, value);
            }
        }
    }

    fn bridge(&mut self, bridge: &Value) {
        if bridge.is_null() {
            self.row("state", &"off".into());
            return;
        }
        self.row("running", &bridge["running"]);
        self.row("brain", &bridge["brain"]);
        self.counters(&bridge["events"], |_| true);
        self.refusals(&bridge["signals_refused"]);
    }

    fn rest(&mut self, status: &Value, known: &[&str]) {
        let rest: Vec<_> = members(status)
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .collect();
        if !rest.is_empty() {
            self.heading("other");
        }
        for (name, value) in rest {
            self.row(name, value);
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().map(Map::iter).into_iter().flatten()
}

/// What takes the places that `risk.open_positions_max` gives: entries on their way do as well.
pub(crate) fn positions(status: &Value) -> String {
    match status["positions_open"].as_u64() {
        None => "not told yet".to_owned(),
        Some(open) => {
            let (pending, max) = (&status["positions_pending"], &status["positions_max"]);
            format!("{open} open + {pending} pending of {max}")
        }
    }
}

/// The newest slot, in words.
pub(crate) fn slot(value: &Value) -> String {
    match value.as_u64() {
        None | Some(0) => "no slot yet".to_owned(),
        Some(slot) => format!("slot {slot}"),
    }
}

/// A value with nothing that a terminal would act on.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => sidecar::printable(text),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "ok": true, "healthy": false, "slot": 7, "threads": {"layout": "split", "verify": "thread"},
            "health": {"mode": "paper", "state": "running", "control": "killed", "uptime_ms": 1_500,
                       "last_datagram_age_ms": null, "problems": ["control is killed\u{1b}[0m"]},
            "alarms": ["source b is dead"],
            "sources": [{"name": "a", "state": "alive", "shred": 13, "won": 12}],
            "resolved": {"datagram": 1, "shred_accepted": 2, "transaction": 3},
            "datagrams_refused": {"no_leader": 0, "duplicate": 4},
            "decided": {"launch_decoded": 5, "bundle_handed": 6},
            "intents_refused": {"killed": 0, "tip": 8},
            "market": {"curves_kept": 14, "pools_kept": 0, "curve_evicted": 0, "curve_inserted": 15},
            "truth": {"pump": {"truth_agreed": 16, "truth_diverged": 17, "truth_behind": 24, "truth_stale": 0},
                      "launchlab": {"truth_agreed": 0, "truth_diverged": 0, "truth_behind": 0, "truth_stale": 0}},
            "accounts": {"account_taken": 18, "update_refused": 0},
            "positions_open": 9, "positions_pending": 26, "positions_max": 48,
            "chain": {"slot_ms": 400, "newest_block": null, "leaders": {"source": "rpc", "refresh": {"epoch_taken": 2}},
                      "forks": {"fork_seen": 1, "slot_skipped": 0}},
            "bridge": {"running": true, "brain": "live", "events": {"signal_accepted": 0},
                       "signals_refused": {"expired": 0, "bad_mac": 11}},
            "signing": {"signatures": {"deterministic": 19, "presigned": 0, "armed": 20}, "halted": "nonce_seen",
                        "ladders": {"ladder_ordered": 24, "ladder_late": 0}, "not_presigned": {"size": 25, "tip": 0},
                        "armed": {"events": {"nonce_made": 21}, "fallbacks": {"dry": 22, "too_long": 0}, "own_dropped": 0,
                                  "waiting_emptiest": 23, "waiting_fullest": 64}},
            "news": 12,
        })
    }

    /// The lines below `heading`, without blanks.
    fn below(text: &str, heading: &str) -> Vec<String> {
        let lines = text.lines().skip_while(|line| *line != heading).skip(1);
        lines
            .take_while(|line| line.starts_with("  "))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn every_counter_stands_under_its_heading() {
        let text = in_words(&status(), false);
        for (heading, lines) in [
            (
                "source",
                &[
                    "a alive, 13 shreds, 12 of them won",
                    "datagram 1",
                    "shred_accepted 2",
                    "refused: duplicate 4",
                ][..],
            ),
            ("resolve", &["transaction 3"]),
            (
                "chain",
                &[
                    "slot_ms 400",
                    "leaders: source rpc",
                    "fork_seen 1",
                    "leaders: epoch_taken 2",
                ],
            ),
            (
                "market and strategy",
                &[
                    "launch_decoded 5",
                    "curve_inserted 15",
                    "curves_kept 14",
                    "pools_kept 0",
                ],
            ),
            (
                "account data",
                &[
                    "pump 16 agreed, 17 diverged and corrected, 24 behind, 0 stale",
                    "account_taken 18",
                ],
            ),
            (
                "risk",
                &["positions 9 open + 26 pending of 48", "refused: tip 8"],
            ),
            ("bundle and submit", &["bundle_handed 6"]),
            (
                "bridge",
                &[
                    "running true",
                    "brain live",
                    "signal_accepted 0",
                    "refused: bad_mac 11",
                ],
            ),
            (
                "signing",
                &[
                    "signatures: armed 20",
                    "signatures: deterministic 19",
                    "signatures: presigned 0",
                    "halted nonce_seen",
                    "ladder_ordered 24",
                    "not presigned: size 25",
                    "nonces waiting_emptiest 23",
                    "nonces waiting_fullest 64",
                    "nonce_made 21",
                    "not armed: dry 22",
                ],
            ),
            ("other", &["news 12"]),
        ] {
            assert_eq!(below(&text, heading), lines, "{heading}\n{text}");
        }
        let first = text.lines().next().unwrap();
        assert!(
            first.starts_with("not healthy: paper mode") && first.contains("up 1 second,"),
            "{first}"
        );
        assert!(text.contains("\nalarm: source b is dead\n"), "{text}");
        let threads = "\nthreads: split, leaders' signatures checked by a thread of their own\n";
        assert!(text.contains(threads) && first.contains("slot 7"), "{text}");
        assert!(text.contains("problem: control is killed\\u{1b}"), "{text}");
    }

    #[test]
    fn no_slot_is_not_slot_zero() {
        let mut status = status();
        status["slot"] = 0.into();
        let text = in_words(&status, false);
        assert!(text.contains(", no slot yet, "), "{text}");
    }

    #[test]
    fn zero_refusals_are_shown_when_all_are_asked_for() {
        let some = in_words(&status(), false);
        let all = in_words(&status(), true);
        for name in [
            "refused: no_leader",
            "refused: killed",
            "refused: expired",
            "launchlab",
            "update_refused",
        ] {
            assert!(!some.contains(name) && all.contains(name), "{name}");
        }
    }
}
