//! A page for people: one HTML document and one script of a few lines, nothing loaded from elsewhere.
//!
//! On top stands how it is; below, every number that `/metrics` has, in groups that open and close. The script filters rows
//! and brings the numbers up to date without closing what is open. Without scripts the page comes again by itself.

use std::fmt::Write as _;

use crate::snapshot::{Family, Labels, Samples, Snapshot};
use crate::text::printable;

const STYLE: &str = "body{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}td,th{padding:.15rem .5rem;border-bottom:1px solid #8884;text-align:left}\
th{font-weight:600;padding-top:.6rem}td:last-child{font-variant-numeric:tabular-nums}\
details td:last-child{text-align:right}.zero{opacity:.55}.summary td:first-child{width:9rem}\
.state,#silent{padding:.6rem 1rem;border:2px solid;font-weight:600}[hidden]{display:none}\
summary{cursor:pointer;padding:.35rem 0;font-weight:600}summary small{font-weight:400;margin-left:.5rem}\
#filter{font:inherit;width:100%;box-sizing:border-box;padding:.4rem .6rem;margin:1rem 0 .5rem}\
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}a{color:#8bf}#filter{background:#222;color:#eee;border:1px solid #888}}";

/// What `/page.js` answers: filters rows, and puts new numbers in the place of the old ones every two seconds.
pub(crate) const SCRIPT: &str = r##"'use strict';
const filter = document.getElementById('filter'), silent = document.getElementById('silent');
filter.hidden = false;
function apply() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const group of document.querySelectorAll('details')) {
    let shown = 0;
    for (const row of group.querySelectorAll('tr[data-name]')) {
      row.hidden = !words.every(word => row.dataset.name.includes(word));
      shown += !row.hidden;
    }
    for (const body of group.querySelectorAll('tbody')) body.hidden = !body.querySelector('tr[data-name]:not([hidden])');
    group.hidden = !shown;
    if (words.length && !group.dataset.was) { group.dataset.was = group.open ? 'open' : 'shut'; group.open = true; }
    if (!words.length && group.dataset.was) { group.open = group.dataset.was === 'open'; delete group.dataset.was; }
  }
}
async function renew() {
  try {
    const answer = await fetch('/', { cache: 'no-store' });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const group of page.querySelectorAll('details')) {
      const old = document.getElementById(group.id);
      if (old) { group.open = old.open; if (old.dataset.was) group.dataset.was = old.dataset.was; }
    }
    document.querySelector('main').replaceWith(page.querySelector('main'));
    document.querySelector('header').replaceWith(page.querySelector('header'));
    silent.hidden = true;
    apply();
  } catch { silent.hidden = false; }
}
filter.addEventListener('input', apply);
apply();
setInterval(renew, 2000);
"##;

/// The groups, in the order data moves, each with the first words of the names that belong to it.
const GROUPS: [(&str, &[&str]); 10] = [
    ("sources", &["source"]),
    ("ingest", &["ingest", "datagrams", "decode", "stage"]),
    (
        "chain",
        &[
            "slot", "epoch", "leaders", "fork", "forks", "vote", "votes", "two", "chain", "blocks",
        ],
    ),
    ("market", &["market", "curves", "pools", "account"]),
    (
        "engine and risk",
        &["engine", "intents", "position", "positions"],
    ),
    ("venues", &["venue"]),
    (
        "signing",
        &[
            "signature",
            "signatures",
            "signing",
            "ladder",
            "nonces",
            "arming",
            "own",
        ],
    ),
    ("bridge", &["bridge", "signals", "brain"]),
    ("shredstream", &["shredstream"]),
    ("relay", &["relay"]),
];
/// Where a name goes that no group claims.
const OTHER: &str = "other";

/// Renders the page. Every text is escaped; state is said in words, never by colour alone.
pub(crate) fn render_page(snapshot: &Snapshot) -> String {
    let health = snapshot.health();
    let problems = health.problems();
    let headline = if problems.is_empty() {
        "HEALTHY".to_owned()
    } else {
        format!("NOT HEALTHY: {}", problems.join("; "))
    };
    let mut out = String::with_capacity(64 * 1_024);
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>\
         <meta name=\"viewport\" content=\"width=device-width\"><title>overmind ({mode})</title><style>{STYLE}</style>\
         <script src=\"/page.js\" defer></script></head><body><h1>overmind</h1>\
         <p id=\"silent\" hidden>NO ANSWER: what stands below is old.</p><header><p class=\"state\">{headline}</p>\
         <table class=\"summary\">",
        mode = escape(health.mode),
        headline = escape(&headline),
    );
    let mut line = |subject: &str, text: &str| {
        let (subject, text) = (escape(subject), escape(text));
        let _ = write!(out, "<tr><td>{subject}</td><td>{text}</td></tr>");
    };
    let uptime_s = health.uptime_ms / 1_000;
    let state = format!(
        "{}, {}, up {uptime_s} s",
        health.mode,
        health.state.as_str()
    );
    line("process", &state);
    line("control", health.control.as_str());
    for (subject, text) in &snapshot.remarks {
        line(subject, text);
    }
    out.push_str(
        "</table></header><p><a href=\"/health\">/health</a> <a href=\"/metrics\">/metrics</a></p>\
         <input id=\"filter\" type=\"search\" placeholder=\"filter: words of a name\" aria-label=\"filter\" hidden><main>",
    );
    for name in GROUPS.iter().map(|(name, _)| *name).chain([OTHER]) {
        let families = snapshot.families.iter();
        let families: Vec<&Family> = families
            .filter(|family| group_of(family.name) == name)
            .collect();
        group(&mut out, name, &families);
    }
    out.push_str("</main></body></html>");
    out
}

/// Which group a family belongs to: its name's first word tells.
fn group_of(name: &str) -> &'static str {
    let first = name.split('_').next().unwrap_or_default();
    let known = GROUPS.iter().find(|(_, words)| words.contains(&first));
    known.map_or(OTHER, |(group, _)| group)
}

/// A group, closed, with its families below each other; nothing of one without rows.
fn group(out: &mut String, name: &str, families: &[&Family]) {
    let rows: Vec<Vec<Row<'_>>> = families.iter().map(|family| rows(family)).collect();
    let all = || rows.iter().flatten();
    if all().next().is_none() {
        return;
    }
    let moved = all().filter(|row| !row.is_zero).count();
    let _ = write!(
        out,
        "<details id=\"g-{id}\"><summary>{name}<small>{} numbers, {moved} not zero</small></summary><table>",
        all().count(),
        id = name.replace(' ', "-"),
    );
    for (family, rows) in families.iter().zip(&rows) {
        let title = family.name.replace('_', " ");
        let is_single = matches!(rows.as_slice(), [row] if row.labels.is_empty());
        out.push_str("<tbody>");
        if !is_single {
            let help = escape(family.help);
            let _ = write!(
                out,
                "<tr title=\"{help}\"><th colspan=\"2\">{title}</th></tr>"
            );
        }
        for row in rows {
            let labels = described(row.labels);
            let shown = if is_single {
                title.clone()
            } else {
                escape(&labels)
            };
            let _ = write!(
                out,
                "<tr data-name=\"{}\" title=\"{}\"{}><td>{shown}</td><td>{}</td></tr>",
                escape(&format!("{} {title} {labels}", family.name).to_lowercase()),
                escape(family.help),
                if row.is_zero { " class=\"zero\"" } else { "" },
                row.value,
            );
        }
        out.push_str("</tbody>");
    }
    out.push_str("</table></details>");
}

/// One number.
struct Row<'a> {
    labels: &'a Labels,
    value: String,
    is_zero: bool,
}

fn rows(family: &Family) -> Vec<Row<'_>> {
    fn each<'a, T>(
        samples: &'a [(Labels, T)],
        value: impl Fn(&T) -> (String, bool),
    ) -> Vec<Row<'a>> {
        let row = |(labels, sample): &'a (Labels, T)| {
            let (value, is_zero) = value(sample);
            Row {
                labels,
                value,
                is_zero,
            }
        };
        samples.iter().map(row).collect()
    }
    match &family.samples {
        Samples::Counter(samples) => each(samples, |value| (value.to_string(), *value == 0)),
        Samples::Gauge(samples) => each(samples, |value| (value.to_string(), *value == 0)),
        Samples::Bytes(samples) => each(samples, |value| (format!("{value} B"), *value == 0)),
        Samples::Nanos(samples) => each(samples, |value| (format!("{value} ns"), *value == 0)),
        Samples::Latency(samples) => each(samples, |read| {
            let (count, max) = (read.count(), read.max_ns);
            (format!("n {count}, max {max} ns"), count == 0)
        }),
    }
}

/// `kind transaction`, with commas between several.
fn described(labels: &Labels) -> String {
    let labels = labels
        .iter()
        .map(|(label, value)| format!("{label} {value}"));
    labels.collect::<Vec<_>>().join(", ")
}

/// Some of it is another host's text.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in printable(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Health;

    #[test]
    fn an_error_of_another_host_brings_no_control_character() {
        let health = Health {
            faults: vec!["getEpochInfo: \x1b[2J\r<script>".to_owned()],
            ..Health::default()
        };
        let page = render_page(&Snapshot::new(health));
        assert!(!page.chars().any(char::is_control));
        assert!(page.contains(r"\u{1b}[2J\r&lt;script&gt;"), "{page}");
    }

    /// Goal: how it stands is on top; every number is in the group of its subsystem, once, closed, and found by its name.
    #[test]
    fn numbers_stand_in_groups_below_what_matters() {
        let mut snapshot = Snapshot::new(Health::default());
        snapshot.remark("positions", "1 open + <2> pending of 5".to_owned());
        let _ = snapshot
            .counter("datagrams_refused", "Refused.")
            .with(&[("reason", "No_leader")], 3)
            .with(&[("reason", "duplicate")], 0);
        let _ = snapshot.gauge("slot", "Newest.").with(&[], 7);
        let _ = snapshot.gauge("weather", "Of no subsystem.").with(&[], 1);
        let _ = snapshot.gauge("venue_disabled", "No rows: none is.");
        let page = render_page(&snapshot);
        let (top, numbers) = page.split_once("<main>").unwrap_or_default();
        for part in [
            "<td>control</td><td>running</td>",
            "<td>positions</td><td>1 open + &lt;2&gt; pending of 5</td>",
        ] {
            assert!(top.contains(part), "{part}\n{page}");
        }
        let heads: Vec<&str> = numbers.split("<details").skip(1).collect();
        assert_eq!(heads.len(), 3, "{page}");
        for (group, parts) in heads.iter().zip([
            [
                "id=\"g-ingest\"><summary>ingest<small>2 numbers, 1 not zero",
                "data-name=\"datagrams_refused datagrams refused reason no_leader\"",
                "class=\"zero\"><td>reason duplicate</td><td>0</td>",
            ],
            [
                "id=\"g-chain\"><summary>chain<small>1 numbers, 1 not zero",
                "title=\"Newest.\"",
                "<td>slot</td><td>7</td>",
            ],
            ["id=\"g-other\"", "<td>weather</td>", "<td>1</td>"],
        ]) {
            for part in parts {
                assert!(group.contains(part), "{part}\n{group}");
            }
        }
        assert!(!page.contains("venue"), "{page}");
    }
}
