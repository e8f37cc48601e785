//! What a heartbeat says, to whom, and what is refused before anything is sent.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jito_auth::{AuthOptions, EndpointError};
use tonic::transport::Endpoint;

/// Regions one subscriber is served from; the server ignores further ones (shredstream-proxy `main.rs`).
pub const REGIONS_MAX: usize = 2;
/// Longest name of a region. Jito's are a word or two.
const REGION_LEN_MAX: usize = 32;
/// Longest time that can be configured.
const TIME_MAX: Duration = Duration::from_secs(3_600);

/// How many shreds have come so far from this stream; must be cheap and never go down.
pub type ShredCount = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a stream is asked for.
#[derive(Clone)]
pub struct ShredstreamConfig {
    /// The block engine, `http(s)://host[:port]`.
    pub endpoint: String,
    /// Where tokens come from, when that is another host.
    pub auth_endpoint: Option<String>,
    /// The key that is registered for ShredStream, and how it signs.
    pub auth: AuthOptions,
    /// Where shreds are to come: our public address, which must be the one that our calls come from, and the port
    /// of the UDP socket.
    pub socket: SocketAddr,
    /// Where to send from: one or two of Jito's region names.
    pub regions: Vec<String>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, signing included.
    pub call_timeout: Duration,
    /// Pause between pings that keep an idle connection open; also the longest silence of a dead peer.
    pub keep_alive: Duration,
    /// Without a shred for so long the connection is dropped and begun anew: a server that lost us still answers
    /// heartbeats (shredstream-proxy `heartbeat.rs` does the same, every 30 s).
    pub silence_max: Duration,
    /// First pause after a failure; the pauses double from here.
    pub backoff_min: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// Spreads the pauses; any number that differs between the nodes of an operator.
    pub jitter_seed: u64,
    /// Take plain-text endpoints on other machines. Tokens are then readable on the way.
    pub plaintext_remote: bool,
}

impl ShredstreamConfig {
    /// The usual times: 5 s for a connection or an answer, a restart after 30 s of silence, pauses from 1 s to 30 s.
    #[must_use]
    pub fn new(
        endpoint: impl Into<String>,
        auth: AuthOptions,
        socket: SocketAddr,
        regions: Vec<String>,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            auth_endpoint: None,
            auth,
            socket,
            regions,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(10),
            silence_max: Duration::from_secs(30),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            jitter_seed: 0,
            plaintext_remote: false,
        }
    }

    /// The endpoints of the block engine and of its authentication.
    pub(crate) fn endpoints(&self) -> Result<(Endpoint, Endpoint), ConfigError> {
        let checked = |text: &str| {
            jito_auth::endpoint(
                text,
                self.plaintext_remote,
                self.connect_timeout,
                self.keep_alive,
            )
        };
        let auth = self.auth_endpoint.as_deref().unwrap_or(&self.endpoint);
        Ok((checked(&self.endpoint)?, checked(auth)?))
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let count = self.regions.len();
        if !(1..=REGIONS_MAX).contains(&count) {
            return Err(ConfigError::RegionCount(count));
        }
        let nameable = |name: &String| {
            !name.is_empty()
                && name.len() <= REGION_LEN_MAX
                && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if let Some(name) = self.regions.iter().find(|name| !nameable(name)) {
            return Err(ConfigError::Region(name.clone()));
        }
        let ip = self.socket.ip();
        if ip.is_unspecified() || ip.is_multicast() || self.socket.port() == 0 {
            return Err(ConfigError::Socket(self.socket));
        }
        let times = [
            ("connect_timeout", self.connect_timeout),
            ("call_timeout", self.call_timeout),
            ("keep_alive", self.keep_alive),
            ("silence_max", self.silence_max),
            ("backoff_min", self.backoff_min),
            ("backoff_max", self.backoff_max),
        ];
        let possible = |time: Duration| !time.is_zero() && time <= TIME_MAX;
        match times.into_iter().find(|&(_, time)| !possible(time)) {
            Some((name, _)) => Err(ConfigError::Time(name)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ShredstreamConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShredstreamConfig")
            .field("endpoint", &self.endpoint)
            .field("auth_endpoint", &self.auth_endpoint)
            .field("auth", &self.auth)
            .field("socket", &self.socket)
            .field("regions", &self.regions)
            .finish_non_exhaustive()
    }
}

/// Why a stream cannot be asked for like this.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConfigError {
    /// The block engine's or the authentication's endpoint is not taken.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Too few or too many.
    #[error("regions: {0} given, must be 1 to {REGIONS_MAX}")]
    RegionCount(usize),
    /// Not a name.
    #[error("regions: {0:?} is not 1 to {REGION_LEN_MAX} printable characters")]
    Region(String),
    /// Nothing can be sent there.
    #[error("socket = {0}: must be our public address and the port of a bound socket")]
    Socket(SocketAddr),
    /// A time out of range.
    #[error("{0} must be above zero and at most {TIME_MAX:?}")]
    Time(&'static str),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_before_anything_is_sent() {
        let auth = AuthOptions::shredstream_subscriber([0; 32], Arc::new(|_| [0; 64]));
        let good = ShredstreamConfig::new(
            "http://127.0.0.1:1",
            auth,
            "203.0.113.7:20000".parse().unwrap(),
            vec!["ny".into(), "frankfurt".into()],
        );
        assert!(good.check().is_ok());
        let with = |change: &dyn Fn(&mut ShredstreamConfig)| {
            let mut config = good.clone();
            change(&mut config);
            config.check()
        };
        for count in [0, 3] {
            let refused = with(&|config| config.regions = vec!["ny".into(); count]);
            assert!(matches!(refused, Err(ConfigError::RegionCount(given)) if given == count));
        }
        for name in ["", "two words", "\u{e9}", &"x".repeat(33)] {
            let refused = with(&|config| config.regions = vec![name.into()]);
            assert!(matches!(refused, Err(ConfigError::Region(_))), "{name:?}");
        }
        for socket in ["0.0.0.0:1", "203.0.113.7:0", "239.1.2.3:1", "[::]:1"] {
            let refused = with(&|config| config.socket = socket.parse().unwrap());
            assert!(matches!(refused, Err(ConfigError::Socket(_))), "{socket}");
        }
        for time in [Duration::ZERO, Duration::MAX] {
            let refused = with(&|config| config.silence_max = time);
            assert!(matches!(refused, Err(ConfigError::Time("silence_max"))));
        }
    }
}
