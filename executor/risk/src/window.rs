//! At most so many events within any stretch of time.

use shred_wire::Nanos;

/// Stamps of the last events, one place per event allowed: a new one is refused while the oldest kept is
/// younger than the window. Exact, unlike a bucket; allocated once.
#[derive(Debug)]
pub(crate) struct RollingWindow {
    stamps: Box<[Nanos]>,
    next: usize,
    stamp_count: usize,
    len: Nanos,
}

impl RollingWindow {
    pub(crate) fn new(events_max: u16, len: Nanos) -> Self {
        Self {
            stamps: vec![Nanos(0); usize::from(events_max)].into_boxed_slice(),
            next: 0,
            stamp_count: 0,
            len,
        }
    }

    /// Whether one more event at `now` stays within the bound. A clock that steps back refuses.
    #[inline]
    pub(crate) fn admits(&self, now: Nanos) -> bool {
        self.stamp_count < self.stamps.len() || now.since(self.stamps[self.next]) >= self.len
    }

    /// Counts an event at `now`; call after [`RollingWindow::admits`].
    #[inline]
    pub(crate) fn record(&mut self, now: Nanos) {
        self.stamps[self.next] = now;
        self.next = (self.next + 1) % self.stamps.len();
        self.stamp_count = (self.stamp_count + 1).min(self.stamps.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_stretch_holds_more_than_the_bound() {
        let mut window = RollingWindow::new(2, Nanos(100));
        let mut taken = Vec::new();
        for now in (0..1000).step_by(7).map(Nanos) {
            if window.admits(now) {
                window.record(now);
                taken.push(now.0);
            }
        }
        assert!(
            taken.windows(3).all(|three| three[2] - three[0] >= 100),
            "{taken:?}"
        );
        assert!(taken.len() >= 18, "the bound is also reached: {taken:?}");
    }

    #[test]
    fn a_clock_that_steps_back_refuses() {
        let mut window = RollingWindow::new(1, Nanos(100));
        window.record(Nanos(1_000_000));
        assert!(!window.admits(Nanos(5)));
    }
}
