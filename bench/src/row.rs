//! One measured figure, and how rivals are compared.

use hdrhistogram::Histogram;
use overmind::rungs::{histogram, quantiles};
use serde_json::{Map, Value, json};

/// Unit of latencies.
pub const NANOS: &str = "ns";

/// One line of the result.
#[derive(Debug, Clone)]
pub struct Row {
    /// Stable name, `figure.case`.
    pub name: String,
    /// Unit of the four quantiles.
    pub unit: &'static str,
    /// What was measured so many times.
    pub n: u64,
    /// p50, p99, p99.9 and the worst. For a rate the worst is the lowest.
    pub quantiles: [u64; 4],
    /// All work over all time, for rates.
    pub overall: Option<u64>,
    /// Rivals and how many times ours they take (or ours their rate): the median over alternating runs.
    pub rivals: Vec<(String, f64)>,
    /// The host's floors under this figure, in nanoseconds, measured in the same run.
    pub floor: Vec<(&'static str, u64)>,
    /// The distribution, for the logs.
    pub log: Option<Histogram<u64>>,
}

impl Row {
    /// A latency in nanoseconds.
    #[must_use]
    pub fn latency(name: impl Into<String>, log: &Histogram<u64>) -> Self {
        Self::of(name, NANOS, log)
    }

    /// A distribution in any unit.
    #[must_use]
    pub fn of(name: impl Into<String>, unit: &'static str, log: &Histogram<u64>) -> Self {
        Self {
            name: name.into(),
            unit,
            n: log.len(),
            quantiles: quantiles(log),
            overall: None,
            rivals: Vec::new(),
            floor: Vec::new(),
            log: Some(log.clone()),
        }
    }

    /// Work per second, from the nanoseconds that slices of `slice` units took.
    #[must_use]
    pub fn rate(
        name: impl Into<String>,
        unit: &'static str,
        slice: u64,
        slices: &Histogram<u64>,
        n: u64,
        nanos: u64,
    ) -> Self {
        let quantiles = quantiles(slices).map(|nanos| per_second(slice, nanos));
        Self {
            n,
            quantiles,
            overall: Some(per_second(n, nanos)),
            ..Self::of(name, unit, slices)
        }
    }

    /// Beside a rival.
    #[must_use]
    pub fn beside(mut self, rival: &str, ratio: Option<f64>) -> Self {
        self.rivals
            .extend(ratio.map(|ratio| (rival.to_owned(), ratio)));
        self
    }

    /// Over floors.
    #[must_use]
    pub fn over(mut self, floor: &[(&'static str, u64)]) -> Self {
        self.floor.extend_from_slice(floor);
        self
    }

    /// The object that `--json` prints.
    #[must_use]
    pub fn json(&self) -> Value {
        let [p50, p99, p99_9, max] = self.quantiles;
        let mut object = Map::new();
        for (key, value) in [
            ("name", json!(self.name)),
            ("unit", json!(self.unit)),
            ("n", json!(self.n)),
            ("p50", json!(p50)),
            ("p99", json!(p99)),
            ("p99_9", json!(p99_9)),
            ("max", json!(max)),
        ] {
            object.insert(key.to_owned(), value);
        }
        if let Some(overall) = self.overall {
            object.insert("overall".to_owned(), json!(overall));
        }
        let mut rivals = self.rivals.iter();
        if let Some((against, ratio)) = rivals.next() {
            object.insert("against".to_owned(), json!(against));
            object.insert("ratio".to_owned(), json!(rounded(*ratio)));
        }
        let also: Vec<Value> = rivals
            .map(|(against, ratio)| json!({"against": against, "ratio": rounded(*ratio)}))
            .collect();
        if !also.is_empty() {
            object.insert("also".to_owned(), Value::Array(also));
        }
        if !self.floor.is_empty() {
            let floor: Map<_, _> = self
                .floor
                .iter()
                .map(|(name, ns)| ((*name).to_owned(), json!(ns)))
                .collect();
            object.insert("floor_ns".to_owned(), Value::Object(floor));
        }
        Value::Object(object)
    }
}

fn rounded(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

/// `count` in `nanos` as a rate per second.
#[must_use]
pub fn per_second(count: u64, nanos: u64) -> u64 {
    (u128::from(count) * 1_000_000_000 / u128::from(nanos.max(1))) as u64
}

/// One way of doing something, over several runs.
#[derive(Debug, Clone)]
pub struct Entrant {
    /// Everything measured.
    pub total: Histogram<u64>,
    /// Each run's median; 0 for a run that measured nothing.
    pub medians: Vec<u64>,
}

impl Default for Entrant {
    fn default() -> Self {
        Self {
            total: histogram(),
            medians: Vec::new(),
        }
    }
}

impl Entrant {
    /// Adds one run.
    pub fn book(&mut self, run: &Histogram<u64>) {
        self.medians.push(if run.is_empty() {
            0
        } else {
            run.value_at_quantile(0.5)
        });
        self.total
            .add(run)
            .expect("both histograms have the same bounds");
    }

    /// How many times `ours` this took.
    #[must_use]
    pub fn over(&self, ours: &Entrant) -> Option<f64> {
        median_ratio(&self.medians, &ours.medians)
    }
}

/// The median over alternating runs of rival over ours. Runs in which either measured nothing do not count.
#[must_use]
pub fn median_ratio(rival: &[u64], ours: &[u64]) -> Option<f64> {
    let mut ratios: Vec<f64> = rival
        .iter()
        .zip(ours)
        .filter(|(rival, ours)| **rival > 0 && **ours > 0)
        .map(|(rival, ours)| *rival as f64 / *ours as f64)
        .collect();
    ratios.sort_by(f64::total_cmp);
    let middle = ratios.len() / 2;
    match ratios.len() {
        0 => None,
        len if len % 2 == 1 => Some(ratios[middle]),
        _ => Some((ratios[middle - 1] + ratios[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_runs_not_the_ratio_of_medians() {
        // One disturbed run on either side changes nothing.
        let ratio = median_ratio(&[200, 210, 9_000, 190, 205], &[100, 100, 100, 4_000, 100]);
        assert_eq!(ratio, Some(2.05));
        assert_eq!(median_ratio(&[30, 50], &[10, 10]), Some(4.0));
    }

    #[test]
    fn runs_that_measured_nothing_do_not_count() {
        assert_eq!(median_ratio(&[], &[]), None);
        assert_eq!(median_ratio(&[0, 40], &[10, 10]), Some(4.0));
        assert_eq!(median_ratio(&[40, 40], &[0, 10]), Some(4.0));
    }

    #[test]
    fn entrants_keep_each_runs_median_and_the_whole() {
        let run = |values: &[u64]| {
            let mut run = histogram();
            values.iter().for_each(|value| run.record(*value).unwrap());
            run
        };
        let (mut ours, mut rival) = (Entrant::default(), Entrant::default());
        for _ in 0..5 {
            ours.book(&run(&[90, 100, 110]));
            rival.book(&run(&[290, 300, 310]));
        }
        assert_eq!((ours.total.len(), ours.medians.len()), (15, 5));
        assert_eq!(rival.over(&ours), Some(3.0));
    }

    #[test]
    fn json_has_the_promised_keys() {
        let mut log = histogram();
        (1..=1_000).for_each(|value| log.record(value).unwrap());
        let row = Row::latency("l0.case", &log)
            .beside("usual", Some(3.456))
            .beside("parts", Some(2.0))
            .beside("nobody", None)
            .over(&[("clock", 20)]);
        let object = row.json();
        for key in ["name", "unit", "n", "p50", "p99", "p99_9", "max"] {
            assert!(object.get(key).is_some(), "{key}");
        }
        assert_eq!(object["against"], "usual");
        assert_eq!(object["ratio"], 3.46);
        assert_eq!(object["also"][0]["against"], "parts");
        assert_eq!(object["also"].as_array().unwrap().len(), 1);
        assert_eq!(object["floor_ns"]["clock"], 20);
        assert!(
            Row::latency("alone", &log).json().get("ratio").is_none(),
            "no rival, no ratio"
        );
    }

    #[test]
    fn the_worst_rate_is_the_lowest() {
        let mut slices = histogram();
        [1_000_000, 1_000_000, 2_000_000]
            .iter()
            .for_each(|nanos| slices.record(*nanos).unwrap());
        let row = Row::rate("r", "shreds/s", 1_000, &slices, 3_000, 4_000_000);
        assert_eq!(row.overall, Some(750_000));
        assert!(row.quantiles[0] > 990_000 && row.quantiles[3] < 510_000);
    }
}
