//! A page for people: one self-contained HTML document, nothing loaded from elsewhere.

use std::fmt::Write as _;

use crate::snapshot::{Labels, Samples, Snapshot};
use crate::text::printable;

const STYLE: &str = "body{font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
table{border-collapse:collapse;width:100%}td{padding:.15rem .5rem;border-bottom:1px solid #8884}\
td:last-child{text-align:right;font-variant-numeric:tabular-nums}\
.state{padding:.6rem 1rem;border:2px solid;font-weight:600}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}";

/// Renders the page. Every text is escaped; state is said in words, never by colour alone.
pub(crate) fn render_page(snapshot: &Snapshot) -> String {
    let health = snapshot.health();
    let problems = health.problems();
    let headline = if problems.is_empty() {
        "HEALTHY".to_owned()
    } else {
        format!("NOT HEALTHY: {}", problems.join("; "))
    };
    let mut out = String::with_capacity(8 * 1_024);
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>overmind ({mode})</title><style>{STYLE}</style>\
         <h1>overmind</h1><p class=\"state\">{headline}</p>\
         <p>mode {mode}, state {state}, control {control}, up {uptime} s. \
         <a href=\"/health\">/health</a> <a href=\"/metrics\">/metrics</a></p><table>",
        mode = escape(health.mode),
        headline = escape(&headline),
        state = health.state.as_str(),
        control = health.control.as_str(),
        uptime = health.uptime_ms / 1_000,
    );
    for family in &snapshot.families {
        let mut row = |labels: &Labels, value: String| {
            let name = escape(&described(family.name, labels));
            let _ = write!(
                out,
                "<tr><td title=\"{}\">{name}</td><td>{value}</td></tr>",
                escape(family.help)
            );
        };
        match &family.samples {
            Samples::Counter(samples) => samples
                .iter()
                .for_each(|(labels, value)| row(labels, value.to_string())),
            Samples::Gauge(samples) => samples
                .iter()
                .for_each(|(labels, value)| row(labels, value.to_string())),
            Samples::Bytes(samples) => samples
                .iter()
                .for_each(|(labels, value)| row(labels, format!("{value} B"))),
            Samples::Nanos(samples) => samples
                .iter()
                .for_each(|(labels, value)| row(labels, format!("{value} ns"))),
            Samples::Latency(samples) => samples.iter().for_each(|(labels, read)| {
                row(
                    labels,
                    format!("n {}, max {} ns", read.count(), read.max_ns),
                );
            }),
        }
    }
    out.push_str("</table></html>");
    out
}

fn described(name: &str, labels: &Labels) -> String {
    let mut out = name.replace('_', " ");
    for (label, value) in labels {
        let _ = write!(out, ", {label} {value}");
    }
    out
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
}
