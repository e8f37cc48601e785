//! How long to wait before the next try.

use std::time::Duration;

/// Pauses that double from `min` to `max`, each between half and the whole of its step, so that clients which lost
/// the same server do not come back together. Repeats itself for the same seed.
#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    step: Duration,
    random: u64,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Self {
            min,
            max: max.max(min),
            step: min,
            random: seed,
        }
    }

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let step = self.step;
        self.step = step.saturating_mul(2).min(self.max);
        let share = 0.5 + 0.5 * (self.draw() >> 40) as f64 / (1u64 << 24) as f64;
        step.mul_f64(share)
    }

    /// What was tried has worked: begin with the shortest pause again.
    pub(crate) fn reset(&mut self) {
        self.step = self.min;
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): one addition and three mixing steps per number.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_stay_bounded_and_spread() {
        let (min, max) = (Duration::from_millis(100), Duration::from_millis(1_000));
        let pauses = |seed| {
            let mut backoff = Backoff::new(min, max, seed);
            (0..100).map(|_| backoff.pause()).collect::<Vec<_>>()
        };
        for seed in 0..20 {
            for (index, pause) in pauses(seed).into_iter().enumerate() {
                let step = (min * 2u32.pow(index.min(10) as u32)).min(max);
                assert!(pause >= step / 2 && pause <= step, "{index}: {pause:?}");
            }
        }
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
        let mut backoff = Backoff::new(min, max, 7);
        for _ in 0..10 {
            backoff.pause();
        }
        backoff.reset();
        assert!(backoff.pause() <= min);
        let mut longest = Backoff::new(Duration::MAX, Duration::MAX, 0);
        assert!(longest.pause() <= Duration::MAX);
    }
}
