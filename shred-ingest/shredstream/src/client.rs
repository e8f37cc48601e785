//! The heartbeat's loop.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jito_auth::{AuthError, Authenticator};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::backoff::Backoff;
use crate::config::{ConfigError, ShredCount, ShredstreamConfig};
use crate::counters::{End, ShredstreamCounters};
use crate::proto::shared::Socket;
use crate::proto::shredstream::Heartbeat;
use crate::proto::shredstream::shredstream_client::ShredstreamClient;

/// Heartbeats are at least so far apart, whatever the server asks for.
pub const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Heartbeats are at most so far apart, whatever the server allows: more often than asked does no harm.
pub const INTERVAL_MAX: Duration = Duration::from_secs(30);
/// An answer is a number.
const ANSWER_LEN_MAX: usize = 4 * 1024;

/// Asks for a stream of shreds and goes on asking.
pub struct Shredstream {
    config: ShredstreamConfig,
    endpoint: Endpoint,
    auth_endpoint: Endpoint,
    heartbeat: Heartbeat,
    shred_count: ShredCount,
    counters: Arc<ShredstreamCounters>,
}

/// Why a session ended, with words for a person.
struct Failure {
    reason: End,
    words: String,
}

impl Failure {
    fn new(reason: End, words: impl Into<String>) -> Self {
        Self {
            reason,
            words: words.into(),
        }
    }
}

impl Shredstream {
    /// Checks `config`; sends nothing yet. `shred_count` is asked at every heartbeat and tells whether shreds flow.
    ///
    /// # Errors
    /// [`ConfigError`] names what cannot work.
    pub fn new(config: ShredstreamConfig, shred_count: ShredCount) -> Result<Self, ConfigError> {
        config.check()?;
        let (endpoint, auth_endpoint) = config.endpoints()?;
        let socket = Socket {
            ip: config.socket.ip().to_string(),
            port: config.socket.port().into(),
        };
        let heartbeat = Heartbeat {
            socket: Some(socket),
            regions: config.regions.clone(),
        };
        Ok(Self {
            config,
            endpoint,
            auth_endpoint,
            heartbeat,
            shred_count,
            counters: Arc::default(),
        })
    }

    /// What was done and what failed.
    #[must_use]
    pub fn counters(&self) -> &Arc<ShredstreamCounters> {
        &self.counters
    }

    /// Keeps the stream flowing until `stop` resolves. Never returns before.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        tokio::select! {
            () = &mut stop => {}
            never = self.sessions() => match never {},
        }
        self.counters.flowing.store(false, Ordering::Relaxed);
    }

    async fn sessions(&self) -> std::convert::Infallible {
        let ShredstreamConfig {
            backoff_min,
            backoff_max,
            jitter_seed,
            ..
        } = self.config;
        let mut backoff = Backoff::new(backoff_min, backoff_max, jitter_seed);
        loop {
            let acknowledged_before = self.acknowledged();
            ShredstreamCounters::add(&self.counters.session_started);
            let Failure { reason, words } = self.session().await;
            self.counters.end(reason, &words);
            if self.acknowledged() > acknowledged_before {
                backoff.reset();
            }
            sleep(backoff.pause()).await;
        }
    }

    /// One connection, from its first call to its end. Everything of it is gone afterwards, tokens included.
    async fn session(&self) -> Failure {
        let auth_channel = match self.auth_endpoint.connect().await {
            Ok(channel) => channel,
            Err(error) => return Failure::new(End::Unreachable, words_of(&error)),
        };
        let channel = match &self.config.auth_endpoint {
            None => auth_channel.clone(),
            Some(_) => match self.endpoint.connect().await {
                Ok(channel) => channel,
                Err(error) => return Failure::new(End::Unreachable, words_of(&error)),
            },
        };
        let auth = Authenticator::counting(
            self.config.auth.clone(),
            auth_channel,
            Arc::clone(&self.counters.auth),
        );
        let client = ShredstreamClient::new(channel).max_decoding_message_size(ANSWER_LEN_MAX);
        match self.beat(&auth, client).await {
            Err(failure) => failure,
            Ok(never) => match never {},
        }
    }

    async fn beat(
        &self,
        auth: &Authenticator,
        mut client: ShredstreamClient<Channel>,
    ) -> Result<std::convert::Infallible, Failure> {
        let mut seen = (self.shred_count)();
        let mut seen_at = Instant::now();
        loop {
            let interval = self.heartbeat(auth, &mut client).await?;
            ShredstreamCounters::add(&self.counters.heartbeat_acknowledged);
            self.counters.flowing.store(true, Ordering::Relaxed);
            let next = Instant::now() + interval;
            // The stream may fall silent between two heartbeats that are far apart.
            while Instant::now() < next {
                let silent_at = seen_at + self.config.silence_max;
                sleep_until(next.min(silent_at)).await;
                let count = (self.shred_count)();
                if count != seen {
                    (seen, seen_at) = (count, Instant::now());
                } else if Instant::now() >= silent_at {
                    let words = format!("no shred for {:?}", self.config.silence_max);
                    return Err(Failure::new(End::Silent, words));
                }
            }
        }
    }

    /// One heartbeat; tells when the next is due. A refused token is replaced once.
    async fn heartbeat(
        &self,
        auth: &Authenticator,
        client: &mut ShredstreamClient<Channel>,
    ) -> Result<Duration, Failure> {
        let mut answer = self.call(auth, client).await;
        if matches!(&answer, Err(AuthError::Status(status)) if status.code() == Code::Unauthenticated)
        {
            auth.forget();
            ShredstreamCounters::add(&self.counters.token_forgotten);
            answer = self.call(auth, client).await;
        }
        let ttl_ms = answer.map_err(|error| failure(&error))?;
        let (interval, bounded) = interval(ttl_ms);
        if bounded {
            ShredstreamCounters::add(&self.counters.ttl_bounded);
        }
        Ok(interval)
    }

    async fn call(
        &self,
        auth: &Authenticator,
        client: &mut ShredstreamClient<Channel>,
    ) -> Result<u32, AuthError> {
        let call = async {
            auth.renew().await?;
            let mut request = Request::new(self.heartbeat.clone());
            let token = auth.header().await?;
            request.metadata_mut().insert("authorization", token);
            Ok(client.send_heartbeat(request).await?.into_inner().ttl_ms)
        };
        match timeout(self.config.call_timeout, call).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded("no answer in time").into()),
        }
    }

    fn acknowledged(&self) -> u64 {
        self.counters.heartbeat_acknowledged.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Shredstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shredstream")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// A third of the time to live, so that two heartbeats may be lost; bounded, and whether it had to be.
fn interval(ttl_ms: u32) -> (Duration, bool) {
    let asked = Duration::from_millis(u64::from(ttl_ms / 3));
    let interval = asked.clamp(INTERVAL_MIN, INTERVAL_MAX);
    (interval, interval != asked)
}

fn failure(error: &AuthError) -> Failure {
    let AuthError::Status(status) = error else {
        return Failure::new(End::Protocol, error.to_string());
    };
    let broken = std::error::Error::source(status).is_some();
    let reason = match status.code() {
        Code::Unavailable => End::Unreachable,
        Code::DeadlineExceeded | Code::Cancelled => End::Timeout,
        Code::Unauthenticated => End::Unauthenticated,
        Code::InvalidArgument | Code::PermissionDenied | Code::FailedPrecondition => End::Refused,
        Code::ResourceExhausted => End::RateLimited,
        // A connection that dies under a call surfaces as `Unknown` with the transport's error below it.
        Code::Unknown if broken => End::Unreachable,
        _ => End::Protocol,
    };
    Failure::new(reason, format!("{:?}: {}", status.code(), status.message()))
}

/// The innermost cause: "connection refused" rather than "transport error".
fn words_of(error: &tonic::transport::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_a_third_of_the_ttl_apart_within_bounds() {
        assert_eq!(interval(15_000), (Duration::from_secs(5), false));
        assert_eq!(interval(300), (INTERVAL_MIN, false));
        assert_eq!(interval(90_000), (INTERVAL_MAX, false));
        assert_eq!(interval(0), (INTERVAL_MIN, true));
        assert_eq!(interval(1), (INTERVAL_MIN, true));
        assert_eq!(interval(u32::MAX), (INTERVAL_MAX, true));
    }

    #[test]
    fn each_status_has_its_reason() {
        let of = |code| failure(&AuthError::Status(Status::new(code, "words"))).reason;
        assert_eq!(of(Code::Unavailable), End::Unreachable);
        assert_eq!(of(Code::DeadlineExceeded), End::Timeout);
        assert_eq!(of(Code::Unauthenticated), End::Unauthenticated);
        assert_eq!(of(Code::InvalidArgument), End::Refused);
        assert_eq!(of(Code::ResourceExhausted), End::RateLimited);
        assert_eq!(of(Code::Internal), End::Protocol);
        assert_eq!(failure(&AuthError::Protocol("x")).reason, End::Protocol);
    }
}
