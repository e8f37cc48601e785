//! What the heartbeat did, for metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jito_auth::AuthCounters;

/// Why a connection ended. The discriminant indexes [`ShredstreamTally::ended`] and names the metric label, so
/// append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// No connection, or it broke.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// The token was refused twice in a row, or none was to be had.
    Unauthenticated,
    /// The server understood and refuses: an address that is not ours, an unknown region, no permission.
    Refused,
    /// Too many calls.
    RateLimited,
    /// An answer that does not follow the protocol, or any other status.
    Protocol,
    /// Heartbeats were answered and no shred came.
    Silent,
}

impl End {
    /// All reasons, in order of their discriminants.
    pub const ALL: [Self; 7] = [
        Self::Unreachable,
        Self::Timeout,
        Self::Unauthenticated,
        Self::Refused,
        Self::RateLimited,
        Self::Protocol,
        Self::Silent,
    ];

    /// The metric label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Unauthenticated => "unauthenticated",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::Protocol => "protocol",
            Self::Silent => "silent",
        }
    }
}

/// Counts of one [`Shredstream`](crate::Shredstream), readable from any thread.
#[derive(Debug, Default)]
pub struct ShredstreamCounters {
    pub(crate) session_started: AtomicU64,
    pub(crate) heartbeat_acknowledged: AtomicU64,
    pub(crate) token_forgotten: AtomicU64,
    pub(crate) ttl_bounded: AtomicU64,
    pub(crate) ended: [AtomicU64; End::ALL.len()],
    pub(crate) flowing: AtomicBool,
    pub(crate) auth: Arc<AuthCounters>,
    last_words: Mutex<String>,
}

impl ShredstreamCounters {
    /// Reads every counter once. Counters move on meanwhile; each value by itself is exact.
    #[must_use]
    pub fn tally(&self) -> ShredstreamTally {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ShredstreamTally {
            session_started: get(&self.session_started),
            heartbeat_acknowledged: get(&self.heartbeat_acknowledged),
            token_forgotten: get(&self.token_forgotten),
            ttl_bounded: get(&self.ttl_bounded),
            challenge_signed: get(&self.auth.challenge_signed),
            token_refreshed: get(&self.auth.token_refreshed),
            ended: std::array::from_fn(|reason| get(&self.ended[reason])),
            flowing: self.flowing.load(Ordering::Relaxed),
        }
    }

    /// What was said when the last connection ended, bounded; empty when none has. It is partly the server's text:
    /// show it, do not act on it.
    #[must_use]
    pub fn last_words(&self) -> String {
        self.words().clone()
    }

    pub(crate) fn add(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, reason: End, words: &str) {
        self.flowing.store(false, Ordering::Relaxed);
        Self::add(&self.ended[reason as usize]);
        let mut last = self.words();
        last.clear();
        last.extend(words.chars().take(WORDS_CHARS_MAX));
    }

    fn words(&self) -> std::sync::MutexGuard<'_, String> {
        self.last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server's words are untrusted and end up in logs.
const WORDS_CHARS_MAX: usize = 256;

/// [`ShredstreamCounters`] as plain numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShredstreamTally {
    /// Connections begun, failed ones included.
    pub session_started: u64,
    /// Heartbeats the server answered.
    pub heartbeat_acknowledged: u64,
    /// Access tokens the server no longer took.
    pub token_forgotten: u64,
    /// Answers whose `ttl_ms` asked for heartbeats outside what this client does.
    pub ttl_bounded: u64,
    /// Tokens got by signing a challenge.
    pub challenge_signed: u64,
    /// Access tokens got for a refresh token.
    pub token_refreshed: u64,
    /// Connections ended, by [`End`].
    pub ended: [u64; End::ALL.len()],
    /// True while the last heartbeat was answered.
    pub flowing: bool,
}

impl ShredstreamTally {
    /// Connections that ended for `reason`.
    #[must_use]
    pub const fn ended_for(&self, reason: End) -> u64 {
        self.ended[reason as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_index_their_counters_and_words_are_bounded() {
        let counters = ShredstreamCounters::default();
        for (index, reason) in End::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            counters.end(reason, &"\u{e9}".repeat(5_000));
            assert_eq!(counters.tally().ended_for(reason), 1);
        }
        assert_eq!(counters.last_words().chars().count(), WORDS_CHARS_MAX);
    }
}
