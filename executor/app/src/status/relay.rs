//! The answer of a relay.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Page, members, plain};
use crate::output::counted;

/// Members that have a place; any other one is shown as it is.
const KNOWN: [&str; 9] = [
    "ok",
    "healthy",
    "health",
    "slot",
    "alarms",
    "relay",
    "leaders",
    "shredstream",
    "threads",
];

impl Page {
    pub(super) fn of_relay(&mut self, status: &Value) {
        let mut status = status.clone();
        status["threads"] = status["relay"]["threads"].take();
        let (status, relay) = (&status, &status["relay"]);
        self.summary(status);
        self.heading("source");
        for source in list(&relay["sources"]) {
            self.relay_source(source);
        }
        self.refusals(&relay["refused"]);
        self.heading("relay");
        self.row("verify", &relay["verify"]);
        for name in ["source", "epoch", "last_failure"] {
            if status["leaders"][name] != "" {
                self.row(&format!("leaders: {name}"), &status["leaders"][name]);
            }
        }
        self.events(&relay["events"], &["shred_passed"]);
        if list(&relay["destinations"]).next().is_some() {
            self.heading("destination");
        }
        for destination in list(&relay["destinations"]) {
            let sent = plain(&destination["datagram_sent"]);
            self.line(destination, &format!("udp, {sent} sent"));
            self.others(destination, &["datagram_sent", "segmentation_lost"]);
        }
        if !relay["nodes"].is_null() {
            self.heading("node");
            self.row("own identity", &relay["nodes"]["own_identity"]);
        }
        for node in list(&relay["nodes"]["nodes"]) {
            let connected = if node["connected"] == true {
                "connected"
            } else {
                "not connected"
            };
            let sent = plain(&node["datagram_sent"]);
            self.line(node, &format!("quic, {connected}, {sent} sent"));
            self.others(node, &["datagram_sent"]);
        }
        if !relay["entries"].is_null() {
            self.relay_entries(&relay["entries"]);
        }
        self.shredstream(&status["shredstream"]);
        self.rest(status, &KNOWN);
    }

    fn relay_source(&mut self, source: &Value) {
        let number = |name: &str| source[name].as_u64().unwrap_or_default();
        let (first, of) = (number("first"), number("first_of"));
        let share = if of == 0 {
            String::new()
        } else {
            let share = first as f64 * 100.0 / of as f64;
            format!(" ({share:.1} % of what was passed on)")
        };
        let said = format!(
            "{} by {}, {}, {first} first{share}, {} late or refused",
            plain(&source["state"]),
            plain(&source["kind"]),
            counted(number("datagram"), "datagram", "datagrams"),
            number("not_first"),
        );
        let _ = writeln!(self.text, "  {:<36} {said}", plain(&source["name"]));
        self.others(&source["received"], &["datagram_received"]);
    }

    fn relay_entries(&mut self, entries: &Value) {
        self.heading("entries");
        let clients = entries["clients"].as_u64().unwrap_or_default();
        self.line(entries, &counted(clients, "client", "clients"));
        self.events(
            &entries["events"],
            &[
                "batch_assembled",
                "message_sent",
                "message_lost",
                "lagging_told",
            ],
        );
        self.refusals(&entries["refused"]);
    }

    /// A line for what has an address.
    fn line(&mut self, of: &Value, said: &str) {
        let _ = writeln!(self.text, "  {:<36} {said}", plain(&of["address"]));
    }

    /// Counters that are not among `shown`, unless they stand at zero.
    fn others(&mut self, of: &Value, shown: &[&str]) {
        for (name, value) in members(of) {
            let counts = value.is_u64() && !shown.contains(&name.as_str());
            if counts && (self.all || value != 0) {
                self.row(&format!("  {name}"), value);
            }
        }
    }

    /// Counters, those `always` shown even at zero.
    fn events(&mut self, events: &Value, always: &[&str]) {
        for (name, value) in members(events) {
            if self.all || value != 0 || always.contains(&name.as_str()) {
                self.row(name, value);
            }
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::in_words;

    #[test]
    fn a_relay_is_shown_as_one() {
        let status = json!({
            "ok": true, "healthy": true, "slot": 7, "alarms": ["node 1.2.3.4:5 is not connected: it"],
            "health": {"mode": "relay", "state": "running", "control": "running", "uptime_ms": 2_000,
                       "last_datagram_age_ms": 3, "problems": []},
            "relay": {
                "verify": true, "events": {"shred_passed": 0, "set_opened": 0, "nodes_refused": 2},
                "refused": {"duplicate": 4, "no_leader": 0},
                "sources": [{"name": "a", "kind": "udp", "state": "alive", "datagram": 10, "first": 3, "first_of": 4,
                             "not_first": 7, "received": {"datagram_received": 10, "kernel_dropped": 1, "oversize": 0}}],
                "destinations": [{"address": "10.0.0.1:9", "datagram_sent": 4, "full_dropped": 5, "failed_dropped": 0}],
                "nodes": {"own_identity": "me", "nodes": [{"address": "1.2.3.4:5", "connected": false,
                          "datagram_sent": 0, "unconnected_dropped": 4}]},
                "entries": {"address": "127.0.0.1:10", "clients": 1, "events": {"message_sent": 6, "v1_seen": 0},
                            "refused": {"bad_token": 1}},
            },
            "leaders": {"source": "file"}, "news": 1,
        });
        let text = in_words(&status, false);
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for line in [
            "healthy: relay mode, process running, control running, up 2 seconds, slot 7, last datagram 3 ms ago",
            "alarm: node 1.2.3.4:5 is not connected: it",
            "a alive by udp, 10 datagrams, 3 first (75.0 % of what was passed on), 7 late or refused",
            "kernel_dropped 1",
            "refused: duplicate 4",
            "leaders: source file",
            "shred_passed 0",
            "nodes_refused 2",
            "10.0.0.1:9 udp, 4 sent",
            "full_dropped 5",
            "own identity me",
            "1.2.3.4:5 quic, not connected, 0 sent",
            "unconnected_dropped 4",
            "127.0.0.1:10 1 client",
            "message_sent 6",
            "refused: bad_token 1",
            "news 1",
        ] {
            assert!(
                lines.iter().any(|said| said == line),
                "no line {line:?} in\n{text}"
            );
        }
        for word in [
            "oversize",
            "no_leader",
            "set_opened",
            "v1_seen",
            "failed_dropped",
            "bridge",
            "risk",
        ] {
            assert!(!text.contains(word), "{word}:\n{text}");
        }
        let all = in_words(&status, true);
        assert!(
            all.contains("v1_seen") && all.contains("no_leader"),
            "{all}"
        );
    }
}
