//! The clock that latencies are measured with: the time stamp counter where there is one.
//!
//! A reading costs some 10 to 25 ns and is no system call. It never decides anything: decisions know only the
//! stamps of datagrams.

use std::time::{Duration, Instant, SystemTime};

use shred_wire::Nanos;

/// How long the counter is compared with the system's clock at start.
const CALIBRATION: Duration = Duration::from_millis(20);

/// Nanoseconds since it was made.
#[derive(Debug, Clone, Copy)]
pub struct Ticker {
    start: Instant,
    #[cfg(target_arch = "x86_64")]
    counter: Counter,
}

#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
struct Counter {
    start: u64,
    /// Nanoseconds per count, times 2^32.
    scale: u64,
}

impl Ticker {
    /// Compares the counter with the system's clock for 20 ms.
    #[must_use]
    pub fn calibrate() -> Self {
        let start = Instant::now();
        #[cfg(target_arch = "x86_64")]
        {
            let first = counter();
            std::thread::sleep(CALIBRATION);
            let (counts, nanos) = (counter() - first, start.elapsed().as_nanos());
            let scale = ((nanos << 32) / u128::from(counts.max(1))) as u64;
            Self {
                start,
                counter: Counter {
                    start: first,
                    scale,
                },
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            Self { start }
        }
    }

    /// Nanoseconds since calibration.
    #[inline]
    #[must_use]
    pub fn nanos(&self) -> u64 {
        #[cfg(target_arch = "x86_64")]
        {
            let counts = counter().wrapping_sub(self.counter.start);
            ((u128::from(counts) * u128::from(self.counter.scale)) >> 32) as u64
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self.start.elapsed().as_nanos() as u64
        }
    }

    /// When it was made.
    #[must_use]
    pub const fn start(&self) -> Instant {
        self.start
    }
}

impl engine::Ticks for Ticker {
    #[inline]
    fn now(&self) -> u64 {
        self.nanos()
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn counter() -> u64 {
    // SAFETY: RDTSC is part of x86-64 and has no preconditions.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Wall time, as receive stamps have it.
#[must_use]
pub fn realtime() -> Nanos {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Nanos(since_epoch.as_nanos() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_nanoseconds() {
        let ticker = Ticker::calibrate();
        let (from, start) = (ticker.nanos(), Instant::now());
        std::thread::sleep(Duration::from_millis(50));
        let (ticks, real) = (ticker.nanos() - from, start.elapsed().as_nanos() as u64);
        assert!(
            ticks.abs_diff(real) < real / 20,
            "{ticks} ticks in {real} ns"
        );
    }
}
