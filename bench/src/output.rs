//! Where figures go: a table or JSON lines, and logs under `bench/out/`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::host::Host;
use crate::row::{NANOS, Row};

/// Writes each row's distribution as `<name>.hlog` (HDR interval log of one interval, V2, deflated) and a page with
/// their percentiles. Returns the folder.
///
/// # Errors
/// What the file system says.
pub fn write_logs(rows: &[Row], host: &Host, took: Duration) -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("out");
    fs::create_dir_all(&folder)?;
    let now = SystemTime::now();
    for row in rows {
        let Some(log) = &row.log else { continue };
        let mut file =
            io::BufWriter::new(fs::File::create(folder.join(format!("{}.hlog", row.name)))?);
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        for line in host.lines() {
            builder.add_comment(&line);
        }
        builder
            .add_comment(&format!("{}: {}", row.name, log_unit(row)))
            .with_base_time(now);
        builder
            .begin_log_with(&mut file, &mut serializer)?
            .write_histogram(log, Duration::ZERO, took, Tag::new(&row.name))
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        file.flush()?;
    }
    fs::write(folder.join("index.html"), page(rows, host))?;
    Ok(folder)
}

/// Rates are logged as the time that slices of work took.
fn log_unit(row: &Row) -> &'static str {
    if row.overall.is_some() {
        "nanoseconds per slice"
    } else {
        row.unit
    }
}

/// The table for people.
///
/// # Errors
/// What `out` says.
pub fn write_table(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    writeln!(
        out,
        "{:width$}  {:>11}  {:>9} {:>11} {:>11} {:>11} {:>11}  beside",
        "figure", "unit", "n", "p50", "p99", "p99.9", "max"
    )?;
    for row in rows {
        let [p50, p99, p99_9, max] = row.quantiles;
        write!(
            out,
            "{:width$}  {:>11}  {:>9} {p50:>11} {p99:>11} {p99_9:>11} {max:>11}  {}",
            row.name,
            row.unit,
            row.n,
            beside(row)
        )?;
        writeln!(out)?;
    }
    Ok(())
}

fn beside(row: &Row) -> String {
    let mut parts: Vec<String> = row
        .overall
        .iter()
        .map(|overall| format!("overall {overall}"))
        .collect();
    parts.extend(
        row.rivals
            .iter()
            .map(|(rival, ratio)| format!("{rival} takes {ratio:.2}x")),
    );
    if !row.floor.is_empty() {
        let floors: Vec<String> = row
            .floor
            .iter()
            .map(|(name, nanos)| format!("{name} {nanos}"))
            .collect();
        parts.push(format!("floors: {}", floors.join(", ")));
    }
    parts.join("; ")
}

/// Percentiles plotted: up to five nines.
const PERCENTILES: [f64; 12] = [
    0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999,
];
const COLOURS: [&str; 8] = [
    "#1b6ca8", "#c0392b", "#27865b", "#8e44ad", "#b9770e", "#117a8b", "#7f8c8d", "#2c3e50",
];
const PLOT: (f64, f64) = (720.0, 260.0);

/// One plot per figure and case, logarithmic both ways.
fn page(rows: &[Row], host: &Host) -> String {
    let mut page = String::from(
        "<!doctype html><meta charset=utf-8><title>bench</title><style>body{font:14px sans-serif;max-width:960px;\
         margin:2em auto}svg{background:#fafafa;border:1px solid #ddd}pre{background:#f4f4f4;padding:1em}</style>\
         <h1>Latency by percentile</h1><pre>",
    );
    page.push_str(&host.lines().join("\n"));
    page.push_str("</pre><p>Horizontal: percentile, 0 to 99.999 %, by nines. Vertical: nanoseconds, by tens.</p>");
    let plotted: Vec<&Row> = rows
        .iter()
        .filter(|row| row.unit == NANOS && row.log.is_some())
        .collect();
    for group in plotted.chunk_by(|one, other| group(&one.name) == group(&other.name)) {
        page.push_str(&format!("<h2>{}</h2>", group_title(group)));
        page.push_str(&plot(group));
    }
    page
}

/// Rows that belong on one plot share their first two words.
fn group(name: &str) -> &str {
    let dots = name.match_indices('.').map(|(at, _)| at);
    let words = if name.starts_with("l0.dev") { 3 } else { 2 };
    dots.take(words)
        .last()
        .filter(|_| {
            !name.starts_with("floor") && !name.starts_with("l1") && !name.starts_with("l2")
        })
        .map_or_else(|| name.split('.').next().unwrap_or(name), |at| &name[..at])
}

fn group_title(rows: &[&Row]) -> String {
    rows.first()
        .map_or_else(String::new, |row| group(&row.name).to_owned())
}

fn plot(rows: &[&Row]) -> String {
    let (width, height) = PLOT;
    let highest = rows
        .iter()
        .map(|row| row.quantiles[3])
        .max()
        .unwrap_or(10)
        .max(10);
    let decades = (highest as f64).log10().ceil();
    let mut svg = format!(
        "<svg width={width} height={}>",
        height + 18.0 * rows.len() as f64
    );
    for (at, row) in rows.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let Some(log) = &row.log else { continue };
        let points: Vec<String> = PERCENTILES
            .iter()
            .map(|quantile| {
                let x = -(1.0 - quantile).log10() / 5.0 * (width - 20.0) + 10.0;
                let value = log.value_at_quantile(*quantile).max(1) as f64;
                let y = height - value.log10() / decades * (height - 10.0);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        svg.push_str(&format!(
            "<polyline fill=none stroke=\"{colour}\" stroke-width=2 points=\"{}\"/>",
            points.join(" ")
        ));
        svg.push_str(&format!(
            "<text x=10 y={:.0} fill=\"{colour}\" font-size=12>{}: p50 {} ns, p99 {} ns, max {} ns</text>",
            height + 14.0 + 18.0 * at as f64,
            row.name,
            row.quantiles[0],
            row.quantiles[1],
            row.quantiles[3],
        ));
    }
    for decade in 1..decades as u32 {
        let y = height - f64::from(decade) / decades * (height - 10.0);
        svg.push_str(&format!(
            "<line x1=0 x2={width} y1={y:.1} y2={y:.1} stroke=\"#ddd\"/><text x=2 y={y:.1} font-size=10>10^{decade}</text>"
        ));
    }
    svg.push_str("</svg>");
    svg
}
