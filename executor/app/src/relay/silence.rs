//! Sources that bring nothing while others do.

use std::time::{Duration, Instant};

/// How much longer than another a source may bring nothing: five slots of 400 ms. A slot without a leader is silent
/// at every source.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Compares how far the sources' counters have come. Asked from time to time by a thread that may log.
#[derive(Debug)]
pub struct Silence {
    /// Of each source: its counter, since when it stands there, and whether it was called silent.
    sources: Vec<(u64, Instant, bool)>,
}

impl Silence {
    /// For so many sources, from `now` on.
    #[must_use]
    pub fn new(source_count: usize, now: Instant) -> Self {
        Self {
            sources: vec![(0, now, false); source_count],
        }
    }

    /// Takes the datagrams of each source so far; gives the sources that have gone silent (`true`) or come back since
    /// the last time. A source that is alone is never called silent: the age of the newest datagram tells.
    pub fn changes(&mut self, counts: &[u64], now: Instant) -> Vec<(usize, bool)> {
        for ((count, since, _), latest) in self.sources.iter_mut().zip(counts) {
            if *count != *latest {
                (*count, *since) = (*latest, now);
            }
        }
        let newest = self.sources.iter().map(|(_, since, _)| *since).max();
        let mut changes = Vec::new();
        for (index, (_, since, said)) in self.sources.iter_mut().enumerate() {
            let is_silent =
                newest.is_some_and(|newest| newest.duration_since(*since) >= SILENCE_MAX);
            if std::mem::replace(said, is_silent) != is_silent {
                changes.push((index, is_silent));
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_silent_only_beside_others_that_are_not() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut silence = Silence::new(2, start);
        assert_eq!(silence.changes(&[5, 5], at(10)), []);
        assert_eq!(silence.changes(&[5, 5], at(9_000)), [], "both are");
        assert_eq!(silence.changes(&[6, 5], at(9_020)), [(1, true)]);
        assert_eq!(silence.changes(&[7, 5], at(9_040)), [], "told once");
        assert_eq!(silence.changes(&[7, 6], at(9_060)), [(1, false)]);
        assert_eq!(silence.changes(&[8, 6], at(11_059)), [], "not yet");
        assert_eq!(silence.changes(&[9, 6], at(11_060)), [(1, true)]);
        let mut alone = Silence::new(1, start);
        assert_eq!(alone.changes(&[1], at(60_000)), []);
        assert_eq!(alone.changes(&[1], at(120_000)), []);
    }
}
