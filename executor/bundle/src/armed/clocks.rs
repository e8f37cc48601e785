//! Two clocks, as far as they can be told apart: what differs between copies of a machine.
//!
//! Machines cloned before the start of a process share its image, its boot id and perhaps the state of the kernel's
//! generator, and draw the same numbers from it until it is fed anew. They do not run in step: a nanosecond apart in either
//! clock is enough for another nonce. No clock is a secret, and none is relied on for secrecy.

/// Length of [`Clocks::as_bytes`].
const LEN: usize = 16;

/// `CLOCK_REALTIME` and `CLOCK_MONOTONIC_RAW`, nanoseconds, which nothing sets both back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Clocks([u8; LEN]);

impl Clocks {
    /// Both, now. A clock that cannot be read counts as zero.
    pub(super) fn read() -> Self {
        Self::of(
            nanos_of(libc::CLOCK_REALTIME),
            nanos_of(libc::CLOCK_MONOTONIC_RAW),
        )
    }

    pub(super) fn of(realtime: u64, monotonic: u64) -> Self {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&realtime.to_le_bytes());
        bytes[8..].copy_from_slice(&monotonic.to_le_bytes());
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; LEN] {
        &self.0
    }
}

fn nanos_of(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is writable and outlives the call.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return 0;
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_and_neither_stands_in_for_the_other() {
        let first = Clocks::read();
        let halves = first.as_bytes().as_chunks::<8>().0;
        assert_ne!(halves[0], [0; 8]);
        assert_ne!(halves[1], [0; 8]);
        assert_ne!(halves[0], halves[1]);
        assert!((0..1_000_000).any(|_| {
            let halves = Clocks::read();
            let halves = halves.as_bytes().as_chunks::<8>().0;
            let before = first.as_bytes().as_chunks::<8>().0;
            halves[0] != before[0] && halves[1] != before[1]
        }));
    }
}
