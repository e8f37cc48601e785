//! Says once that something fails, and once that it works again.

use std::time::{Duration, Instant};

/// It works again only when it has done so for this long: what comes and goes must not fill a log.
const WELL: Duration = Duration::from_secs(10);

/// Whether something is known to fail.
#[derive(Debug, Default)]
pub(crate) struct Outage {
    is_failing: bool,
    well_since: Option<Instant>,
}

/// What has changed, a line's worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It fails, and did not when last spoken of.
    Fails,
    /// It works again.
    Works,
}

impl Outage {
    /// What is worth saying when at `now` it fails, or does not.
    pub(crate) fn turn(&mut self, is_failing: bool, now: Instant) -> Option<Turn> {
        if is_failing {
            self.well_since = None;
            return (!std::mem::replace(&mut self.is_failing, true)).then_some(Turn::Fails);
        }
        if !self.is_failing {
            return None;
        }
        let since = *self.well_since.get_or_insert(now);
        if now.saturating_duration_since(since) < WELL {
            return None;
        }
        *self = Self::default();
        Some(Turn::Works)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flaps_is_spoken_of_once_and_what_holds_once_more() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let mut turn = |is_failing, seconds| {
            let now = start + Duration::from_secs(seconds);
            outage.turn(is_failing, now)
        };
        assert_eq!(turn(false, 0), None, "it never failed");
        assert_eq!(turn(true, 1), Some(Turn::Fails));
        for seconds in 2..20 {
            assert_eq!(turn(seconds % 3 == 0, seconds), None, "{seconds}");
        }
        assert_eq!(turn(false, 20), None);
        assert_eq!(turn(false, 29), Some(Turn::Works));
        assert_eq!(turn(false, 60), None);
        assert_eq!(turn(true, 61), Some(Turn::Fails));
    }
}
