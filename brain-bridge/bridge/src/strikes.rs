//! "So many within so long": the test behind both quarantines.

/// Counts strikes in windows that start with the first strike after the last window ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strikes {
    limit: u32,
    window_ns: u64,
    started_ns: u64,
    count: u32,
}

impl Strikes {
    pub(crate) fn new(limit: u32, window_ns: u64) -> Self {
        Self {
            limit,
            window_ns,
            started_ns: 0,
            count: 0,
        }
    }

    /// Counts one strike; true when it is the one too many, after which counting starts anew.
    pub(crate) fn strike(&mut self, now_ns: u64) -> bool {
        if self.count == 0 || now_ns.saturating_sub(self.started_ns) > self.window_ns {
            (self.started_ns, self.count) = (now_ns, 0);
        }
        self.count += 1;
        let out = self.count >= self.limit;
        if out {
            self.count = 0;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_enough_strikes_within_the_window_count() {
        let mut strikes = Strikes::new(3, 10);
        assert_eq!(
            [0, 5, 10].map(|at| strikes.strike(at)),
            [false, false, true]
        );
        assert_eq!(
            [20, 25, 31, 32, 33].map(|at| strikes.strike(at)),
            [false, false, false, false, true]
        );
    }
}
