//! What the app hands over when somebody asks: health and named numbers.

use std::sync::Arc;

use crate::health::Health;
use crate::latency::LatencyRead;

/// The function that reads the executor's atomics. Called by the sidecar's thread only.
pub type Read = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// All numbers at one moment.
///
/// Names carry neither the `overmind_` prefix nor a `_total` or unit suffix: those are added when
/// the snapshot is rendered. A name is used once. Label values come from small fixed sets (source
/// names, refusal reasons, rungs), never from the chain.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) health: Health,
    pub(crate) families: Vec<Family>,
    pub(crate) remarks: Vec<(&'static str, String)>,
}

/// One metric with all its label combinations.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) samples: Samples,
}

/// The values of one family; one kind each.
#[derive(Debug, Clone)]
pub(crate) enum Samples {
    Counter(Vec<(Labels, u64)>),
    Gauge(Vec<(Labels, i64)>),
    Nanos(Vec<(Labels, u64)>),
    Bytes(Vec<(Labels, i64)>),
    Latency(Vec<(Labels, LatencyRead)>),
}

/// Label names and values.
pub(crate) type Labels = Vec<(&'static str, String)>;

impl Snapshot {
    /// A snapshot with no numbers but those of `health`.
    pub fn new(health: Health) -> Self {
        Self {
            health,
            families: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// The health given.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Adds a line to the top of the page for people: `subject` in a word, and how it stands.
    pub fn remark(&mut self, subject: &'static str, text: String) {
        self.remarks.push((subject, text));
    }

    /// Adds a counter: it only ever grows. Name it `<subject>_<past participle>`.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> CounterFamily<'_> {
        match self.push(name, help, Samples::Counter(Vec::new())) {
            Samples::Counter(samples) => CounterFamily(samples),
            _ => unreachable!("the samples just pushed are counters"),
        }
    }

    /// Adds a gauge without unit.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> GaugeFamily<'_> {
        match self.push(name, help, Samples::Gauge(Vec::new())) {
            Samples::Gauge(samples) => GaugeFamily(samples),
            _ => unreachable!("the samples just pushed are gauges"),
        }
    }

    /// Adds a gauge of bytes; the name gets `_bytes`.
    pub fn bytes(&mut self, name: &'static str, help: &'static str) -> GaugeFamily<'_> {
        match self.push(name, help, Samples::Bytes(Vec::new())) {
            Samples::Bytes(samples) => GaugeFamily(samples),
            _ => unreachable!("the samples just pushed are bytes"),
        }
    }

    /// Adds a gauge of time, given in nanoseconds and shown in seconds; the name gets `_seconds`.
    pub fn nanos(&mut self, name: &'static str, help: &'static str) -> NanosFamily<'_> {
        match self.push(name, help, Samples::Nanos(Vec::new())) {
            Samples::Nanos(samples) => NanosFamily(samples),
            _ => unreachable!("the samples just pushed are nanoseconds"),
        }
    }

    /// Adds a histogram of latencies; the name gets `_seconds`.
    pub fn latency(&mut self, name: &'static str, help: &'static str) -> LatencyFamily<'_> {
        match self.push(name, help, Samples::Latency(Vec::new())) {
            Samples::Latency(samples) => LatencyFamily(samples),
            _ => unreachable!("the samples just pushed are latencies"),
        }
    }

    fn push(&mut self, name: &'static str, help: &'static str, samples: Samples) -> &mut Samples {
        self.families.push(Family {
            name,
            help,
            samples,
        });
        let last = self.families.len() - 1;
        &mut self.families[last].samples
    }
}

/// Takes the values of one counter.
#[derive(Debug)]
pub struct CounterFamily<'a>(&'a mut Vec<(Labels, u64)>);

impl CounterFamily<'_> {
    /// Adds one value; `labels` may be empty.
    pub fn with(self, labels: &[(&'static str, &str)], value: u64) -> Self {
        self.0.push((owned(labels), value));
        self
    }
}

/// Takes the values of one gauge.
#[derive(Debug)]
pub struct GaugeFamily<'a>(&'a mut Vec<(Labels, i64)>);

impl GaugeFamily<'_> {
    /// Adds one value; `labels` may be empty.
    pub fn with(self, labels: &[(&'static str, &str)], value: i64) -> Self {
        self.0.push((owned(labels), value));
        self
    }
}

/// Takes the values of one gauge of time.
#[derive(Debug)]
pub struct NanosFamily<'a>(&'a mut Vec<(Labels, u64)>);

impl NanosFamily<'_> {
    /// Adds one value in nanoseconds; `labels` may be empty.
    pub fn with(self, labels: &[(&'static str, &str)], value_ns: u64) -> Self {
        self.0.push((owned(labels), value_ns));
        self
    }
}

/// Takes the values of one histogram.
#[derive(Debug)]
pub struct LatencyFamily<'a>(&'a mut Vec<(Labels, LatencyRead)>);

impl LatencyFamily<'_> {
    /// Adds one histogram; `labels` may be empty.
    pub fn with(self, labels: &[(&'static str, &str)], read: LatencyRead) -> Self {
        self.0.push((owned(labels), read));
        self
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Labels {
    labels
        .iter()
        .map(|&(name, value)| (name, value.to_owned()))
        .collect()
}
