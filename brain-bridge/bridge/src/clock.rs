//! The two clocks of the host. The only place in this crate that reads them.

#![allow(unsafe_code)] // one call of clock_gettime

use brain_wire::Now;

/// Reads CLOCK_MONOTONIC and CLOCK_REALTIME, one after the other.
///
/// `std::time::Instant` hides its value, and the brain compares its own CLOCK_MONOTONIC stamps
/// with ours, so the raw clock is read. Cost: two vDSO calls.
pub fn now() -> Now {
    Now {
        monotonic_ns: read(libc::CLOCK_MONOTONIC),
        realtime_ns: read(libc::CLOCK_REALTIME),
    }
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid, writable timespec for the whole call.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(
        result, 0,
        "every Linux has CLOCK_MONOTONIC and CLOCK_REALTIME"
    );
    // Both clocks count up from 0, so neither part is negative.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_and_differ() {
        let (first, second) = (now(), now());
        assert!(second.monotonic_ns >= first.monotonic_ns);
        assert!(first.realtime_ns > 1_700_000_000_000_000_000);
        assert!(first.monotonic_ns < first.realtime_ns);
    }
}
