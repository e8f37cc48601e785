//! `overmind sources`, for a person.

use std::fmt::Write as _;

use serde_json::Value;

use crate::status::slot;

/// Which numbers a table shows. Rates are always those between two answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// Those since the executor began.
    All,
    /// Those between two answers.
    Between,
}

/// `now`, an executor's answer to `sources`, as a table; `before` is an earlier one.
#[must_use]
pub fn in_words(before: &Value, now: &Value, shown: Shown, leaders: bool) -> String {
    let seconds = number(now, "at").saturating_sub(number(before, "at")) as f64 / 1e9;
    if now["relay"] == true {
        return of_relay(before, now, shown, seconds);
    }
    let rows: Vec<Row> = list(&now["sources"])
        .map(|source| {
            let earlier = named(&before["sources"], &source["name"]);
            Row::new(earlier, source, shown, seconds)
        })
        .collect();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}; {}",
        slots(now),
        match shown {
            Shown::All => "since the executor began, shreds/s over the last second".to_owned(),
            Shown::Between => format!("over the last {seconds:.1} s"),
        }
    );
    let _ = writeln!(
        text,
        "{:<12} {:<21} {:<7} {:>9} {:>7} {:>9} {:>9} {:>9} {:>6} {:>8}",
        "source",
        "address",
        "state",
        "shreds/s",
        "won %",
        "unique",
        "late p50",
        "late p99",
        "sets %",
        "refused"
    );
    let (won, sets) = rows
        .iter()
        .fold((0, 0), |(won, sets), row| (won + row.won, sets + row.sets));
    for row in &rows {
        let _ = writeln!(
            text,
            "{:<12} {:<21} {:<7} {:>9.0} {:>7} {:>9} {:>9} {:>9} {:>6} {:>8}",
            row.name,
            row.address,
            row.state,
            row.rate,
            percent(row.won, won),
            row.unique
                .map_or_else(|| "-".to_owned(), |unique| unique.to_string()),
            time(row.late(500)),
            time(row.late(990)),
            percent(row.sets, sets),
            row.refused
        );
    }
    if rows.iter().any(|row| row.unique.is_none()) {
        let slots = number(now, "unique_after_slots");
        let _ = writeln!(
            text,
            "unique: not told yet; a slot's are counted when it is forgotten, {slots} slots after it"
        );
    }
    add_refusal(&mut text, now);
    if leaders {
        add_leaders(&mut text, now);
    }
    text
}

/// The sources of a relay, which knows who was first and nothing of lateness: it keeps no shreds to compare.
fn of_relay(before: &Value, now: &Value, shown: Shown, seconds: f64) -> String {
    let mut text = String::new();
    let over = match shown {
        Shown::All => "since the relay began, datagrams/s over the last second".to_owned(),
        Shown::Between => format!("over the last {seconds:.1} s"),
    };
    let _ = writeln!(text, "relay, {}; {over}", slot(&now["slot"]));
    let _ = writeln!(
        text,
        "{:<12} {:<21} {:<7} {:>11} {:>7} {:>9} {:>15}",
        "source", "address", "state", "datagrams/s", "first %", "first", "late or refused"
    );
    let rows: Vec<_> = list(&now["sources"])
        .map(|source| {
            let earlier = named(&before["sources"], &source["name"]);
            let since = |name: &str| number(source, name).saturating_sub(number(earlier, name));
            let count = |name: &str| match shown {
                Shown::All => number(source, name),
                Shown::Between => since(name),
            };
            let rate = since("datagram") as f64 / seconds.max(f64::MIN_POSITIVE);
            (source, rate, count("first"), count("not_first"))
        })
        .collect();
    let first_of_all = rows.iter().map(|(_, _, first, _)| first).sum();
    for (source, rate, first, not_first) in rows {
        let _ = writeln!(
            text,
            "{:<12} {:<21} {:<7} {rate:>11.0} {:>7} {first:>9} {not_first:>15}",
            word(&source["name"]),
            word(&source["address"]),
            word(&source["state"]),
            percent(first, first_of_all),
        );
    }
    add_refusal(&mut text, now);
    text
}

/// The slot and how long slots last, once there is one.
fn slots(now: &Value) -> String {
    let each_ms = number(now, "slot_duration_ns") / 1_000_000;
    match number(now, "slot") {
        0 => slot(&now["slot"]),
        _ => format!("{}, {each_ms} ms each", slot(&now["slot"])),
    }
}

/// Why no shred is used, when none is.
fn add_refusal(text: &mut String, now: &Value) {
    if now["refusal"].is_string() {
        let _ = writeln!(text, "problem: {}", word(&now["refusal"]));
    }
}

/// What one line of the table shows.
struct Row {
    name: String,
    address: String,
    state: String,
    rate: f64,
    won: u64,
    /// `None` until a first slot was settled.
    unique: Option<u64>,
    sets: u64,
    refused: u64,
    /// Largest nanoseconds of a bucket, and how many are in it.
    late: Vec<(u64, u64)>,
}

impl Row {
    fn new(before: &Value, now: &Value, shown: Shown, seconds: f64) -> Self {
        let since = |name: &str| number(now, name).saturating_sub(number(before, name));
        let count = |name: &str| match shown {
            Shown::All => number(now, name),
            Shown::Between => since(name),
        };
        let refused = |source: &Value| {
            let reasons = source["refused"].as_object();
            reasons.map_or(0, |reasons| {
                reasons.values().filter_map(Value::as_u64).sum()
            })
        };
        let earlier = match shown {
            Shown::All => 0,
            Shown::Between => refused(before),
        };
        let buckets = |source: &Value| -> Vec<(u64, u64)> {
            let pair = |pair: &Value| Some((pair[0].as_u64()?, pair[1].as_u64()?));
            list(&source["late"]["buckets"]).filter_map(pair).collect()
        };
        let mut late = buckets(now);
        if shown == Shown::Between {
            for (bound, earlier) in buckets(before) {
                let same = late.iter_mut().find(|(other, _)| *other == bound);
                if let Some((_, count)) = same {
                    *count = count.saturating_sub(earlier);
                }
            }
        }
        Self {
            name: word(&now["name"]),
            address: word(&now["address"]),
            state: word(&now["state"]),
            rate: if seconds > 0.0 {
                since("shred") as f64 / seconds
            } else {
                0.0
            },
            won: count("won"),
            unique: now["unique"].is_u64().then(|| count("unique")),
            sets: count("sets"),
            refused: refused(now).saturating_sub(earlier),
            late,
        }
    }

    fn late(&self, per_mille: u64) -> Option<u64> {
        let count: u64 = self.late.iter().map(|(_, count)| count).sum();
        let wanted = (count * per_mille).div_ceil(1_000).max(1);
        let mut below = 0;
        let found = self.late.iter().find(|(_, count)| {
            below += count;
            below >= wanted
        })?;
        Some(found.0)
    }
}

/// The leaders, those with the most slots first, each with the share and the median lateness of every source.
fn add_leaders(text: &mut String, now: &Value) {
    let mut leaders: Vec<_> = list(&now["leaders"]).collect();
    leaders.sort_by_key(|leader| std::cmp::Reverse(number(leader, "slots")));
    let _ = writeln!(
        text,
        "\n{:<45} {:>5}  won % and late p50 of each source",
        "leader", "slots"
    );
    for leader in leaders {
        let won = list(&leader["sources"])
            .map(|share| number(share, "won"))
            .sum();
        let _ = write!(
            text,
            "{:<45} {:>5} ",
            word(&leader["identity"]),
            number(leader, "slots")
        );
        for share in list(&leader["sources"]) {
            let _ = write!(
                text,
                " {} {} {}",
                word(&share["name"]),
                percent(number(share, "won"), won),
                time(share["late_p50_ns"].as_u64())
            );
        }
        text.push('\n');
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn named<'a>(sources: &'a Value, name: &Value) -> &'a Value {
    let found = list(sources).find(|source| source["name"] == *name);
    found.unwrap_or(&Value::Null)
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}

/// A text with nothing that a terminal would act on.
fn word(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    sidecar::printable(text)
}

fn percent(part: u64, of: u64) -> String {
    if of == 0 {
        return "-".to_owned();
    }
    format!("{:.1}", part as f64 * 100.0 / of as f64)
}

fn time(nanos: Option<u64>) -> String {
    match nanos {
        None => "-".to_owned(),
        Some(u64::MAX) => "> 34 s".to_owned(),
        Some(nanos @ 0..1_000) => format!("{nanos} ns"),
        Some(nanos @ 1_000..1_000_000) => format!("{:.1} us", nanos as f64 / 1e3),
        Some(nanos @ 1_000_000..1_000_000_000) => format!("{:.1} ms", nanos as f64 / 1e6),
        Some(nanos) => format!("{:.1} s", nanos as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn answer(at_s: u64, near: [u64; 5], far_buckets: Value) -> Value {
        let [shred, won, unique, completed, refused] = near;
        json!({
            "at": at_s * 1_000_000_000, "slot": 7, "slot_duration_ns": 400_000_000,
            "sources": [
                { "name": "near", "address": "127.0.0.1:1", "state": "alive", "shred": shred, "won": won, "unique": unique,
                  "sets": completed, "refused": { "no_leader": refused }, "late": { "buckets": [] } },
                { "name": "far\u{1b}", "address": "127.0.0.1:2", "state": "dead", "shred": 10, "won": 25, "unique": 0,
                  "sets": 1, "refused": {}, "late": { "buckets": far_buckets } },
            ],
            "leaders": [{ "identity": "1111", "slots": 4, "sources": [
                { "name": "near", "won": 3, "late": 0, "late_p50_ns": null },
                { "name": "far", "won": 1, "late": 2, "late_p50_ns": 1_500_000 } ] }],
        })
    }

    fn line<'a>(text: &'a str, beginning: &str) -> Vec<&'a str> {
        let line = text
            .lines()
            .find(|line| line.starts_with(beginning))
            .unwrap();
        line.split_whitespace().collect()
    }

    #[test]
    fn the_table_shows_all_or_what_lies_between() {
        let before = answer(10, [100, 25, 1, 1, 2], json!([[1_000, 5]]));
        let now = answer(12, [300, 75, 4, 3, 5], json!([[1_000, 5], [2_000_000, 5]]));
        let all = in_words(&before, &now, Shown::All, true);
        assert_eq!(
            line(&all, "near"),
            [
                "near",
                "127.0.0.1:1",
                "alive",
                "100",
                "75.0",
                "4",
                "-",
                "-",
                "75.0",
                "5"
            ]
        );
        assert_eq!(
            line(&all, "far")[2..],
            [
                "dead", "0", "25.0", "0", "1.0", "us", "2.0", "ms", "25.0", "0"
            ]
        );
        assert!(!all.contains('\u{1b}'), "{all}");
        assert_eq!(
            line(&all, "1111"),
            ["1111", "4", "near", "75.0", "-", "far", "25.0", "1.5", "ms"]
        );
        let between = in_words(&before, &now, Shown::Between, false);
        assert_eq!(
            line(&between, "near")[3..],
            ["100", "100.0", "3", "-", "-", "100.0", "3"]
        );
        assert_eq!(line(&between, "far")[6..10], ["2.0", "ms", "2.0", "ms"]);
        assert!(!between.contains("leader"), "{between}");
    }

    #[test]
    fn what_is_not_known_yet_is_no_number() {
        let mut now = answer(12, [0, 0, 0, 0, 5], json!([]));
        now["slot"] = 0.into();
        now["unique_after_slots"] = 64.into();
        now["sources"][0]["unique"] = Value::Null;
        now["refusal"] = "every shred was refused\u{1b}".into();
        let text = in_words(&now, &now, Shown::All, false);
        assert!(text.starts_with("no slot yet; since"), "{text}");
        assert_eq!(line(&text, "near")[5], "-", "{text}");
        assert!(
            text.contains("\nunique: not told yet;") && text.contains(" 64 slots"),
            "{text}"
        );
        assert!(
            text.contains("\nproblem: every shred was refused\\u{1b}\n"),
            "{text}"
        );
    }

    #[test]
    fn a_relay_tells_who_was_first() {
        let answer = |at: u64, near: [u64; 3]| {
            json!({
                "relay": true, "at": at * 1_000_000_000, "slot": 7,
                "sources": [
                    { "name": "near", "address": "127.0.0.1:1", "state": "alive", "datagram": near[0], "first": near[1],
                      "not_first": near[2] },
                    { "name": "far", "address": "127.0.0.1:2", "state": "dead", "datagram": 10, "first": 10,
                      "not_first": 0 },
                ],
            })
        };
        let (before, now) = (answer(10, [100, 20, 80]), answer(12, [300, 30, 270]));
        let all = in_words(&before, &now, Shown::All, false);
        assert_eq!(
            line(&all, "near")[2..],
            ["alive", "100", "75.0", "30", "270"]
        );
        assert_eq!(line(&all, "far")[2..], ["dead", "0", "25.0", "10", "0"]);
        let between = in_words(&before, &now, Shown::Between, false);
        assert_eq!(line(&between, "near")[3..], ["100", "100.0", "10", "190"]);
    }
}
