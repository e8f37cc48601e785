//! A snapshot as OpenMetrics text.

use std::fmt;
use std::sync::Mutex;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::health::{Control, State};
use crate::latency::LatencyRead;
use crate::snapshot::{Family, Labels, Samples, Snapshot};

/// Content type of [`render_metrics`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "overmind";

/// Renders a snapshot: every family it holds, then what its health says, then the build.
///
/// # Errors
/// Only when the formatter fails, which a `String` does not.
pub fn render_metrics(mut snapshot: Snapshot) -> Result<String, fmt::Error> {
    add_health(&mut snapshot);
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Once(Mutex::new(snapshot.families))));
    let mut out = String::with_capacity(16 * 1_024);
    text::encode(&mut out, &registry)?;
    Ok(out)
}

fn add_health(snapshot: &mut Snapshot) {
    let health = snapshot.health.clone();
    let healthy = health.problems().is_empty();
    snapshot
        .gauge("healthy", "1 when /health answers 200.")
        .with(&[], i64::from(healthy));
    let mut control = snapshot.gauge(
        "control_state",
        "1 for what is allowed to leave, 0 for the others.",
    );
    for each in [
        Control::Running,
        Control::Reducing,
        Control::Killed,
        Control::Halted,
    ] {
        control = control.with(
            &[("control", each.as_str())],
            i64::from(each == health.control),
        );
    }
    let mut state = snapshot.gauge(
        "process_state",
        "1 for the state of the process, 0 for the others.",
    );
    for each in [
        State::Starting,
        State::Running,
        State::Stopping,
        State::Failed,
    ] {
        state = state.with(&[("state", each.as_str())], i64::from(each == health.state));
    }
    let milliseconds = 1_000_000;
    snapshot
        .nanos("uptime", "Time since start.")
        .with(&[], health.uptime_ms.saturating_mul(milliseconds));
    if let Some(age_ms) = health.last_datagram_age_ms {
        snapshot
            .nanos(
                "ingest_last_datagram_age",
                "Age of the newest datagram of any source.",
            )
            .with(&[], age_ms.saturating_mul(milliseconds));
    }
    snapshot
        .gauge("build_info", "1; the labels say what runs.")
        .with(
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("mode", health.mode),
            ],
            1,
        );
}

/// Families for one scrape. The registry wants a `Sync` collector; it is used by one thread.
struct Once(Mutex<Vec<Family>>);

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Once")
    }
}

impl Collector for Once {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let families = self.0.lock().map_err(|_| fmt::Error)?;
        families
            .iter()
            .try_for_each(|family| encode_family(family, &mut encoder))
    }
}

fn encode_family(family: &Family, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
    let (kind, unit) = match &family.samples {
        Samples::Counter(_) => (MetricType::Counter, None),
        Samples::Gauge(_) => (MetricType::Gauge, None),
        Samples::Nanos(_) => (MetricType::Gauge, Some(Unit::Seconds)),
        Samples::Bytes(_) => (MetricType::Gauge, Some(Unit::Bytes)),
        Samples::Latency(_) => (MetricType::Histogram, Some(Unit::Seconds)),
    };
    let mut metric = encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
    match &family.samples {
        Samples::Counter(samples) => each(&mut metric, samples, |metric, value| {
            metric.encode_counter::<NoLabelSet, u64, u64>(value, None)
        }),
        Samples::Gauge(samples) | Samples::Bytes(samples) => {
            each(&mut metric, samples, |metric, value| {
                metric.encode_gauge(value)
            })
        }
        Samples::Nanos(samples) => each(&mut metric, samples, |metric, value| {
            metric.encode_gauge(&seconds(*value))
        }),
        Samples::Latency(samples) => each(&mut metric, samples, encode_latency),
    }
}

fn each<T>(
    metric: &mut MetricEncoder,
    samples: &[(Labels, T)],
    encode: impl Fn(&mut MetricEncoder, &T) -> Result<(), fmt::Error>,
) -> Result<(), fmt::Error> {
    for (labels, value) in samples {
        if labels.is_empty() {
            encode(metric, value)?;
            continue;
        }
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        encode(&mut metric.encode_family(&labels.as_slice())?, value)?;
    }
    Ok(())
}

fn encode_latency(metric: &mut MetricEncoder, read: &LatencyRead) -> Result<(), fmt::Error> {
    let buckets: Vec<(f64, u64)> = read
        .counts
        .iter()
        .enumerate()
        .map(|(bucket, &count)| {
            (
                LatencyRead::bound_ns(bucket).map_or(f64::INFINITY, seconds),
                count,
            )
        })
        .collect();
    metric.encode_histogram::<NoLabelSet>(seconds(read.sum_ns), read.count(), &buckets, None)
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}
