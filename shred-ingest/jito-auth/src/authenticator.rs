//! The tokens of one connection, and when they are renewed.
//!
//! As the reference clients do it (`token_authenticator.rs` of jito-labs/searcher-examples and of
//! jito-labs/shredstream-proxy): ask for a challenge, sign `"{base58 key}-{challenge}"`, carry the access token
//! with every call, refresh it when less than five minutes are left, start over when the refresh token has
//! less than five minutes left.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::bytes::Bytes;
use tonic::Status;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;

use crate::proto::auth as wire;
use crate::proto::auth::auth_service_client::AuthServiceClient;

/// Signs a challenge with the key whose public half is [`AuthOptions::pubkey`] (Ed25519).
pub type Sign = Arc<dyn Fn(&[u8]) -> [u8; 64] + Send + Sync>;

/// Who authenticates. The secret key stays behind the closure.
#[derive(Clone)]
pub struct AuthOptions {
    /// The key the service knows.
    pub pubkey: [u8; 32],
    /// Signs the challenge. Called once per full authentication, on the runtime's thread.
    pub sign: Sign,
    /// `auth.Role` on the wire: at Jito 1 is a searcher, 3 a subscriber of ShredStream; at Harmonic 3 is a searcher.
    pub role: i32,
}

impl AuthOptions {
    /// A searcher.
    pub fn searcher(pubkey: [u8; 32], sign: Sign) -> Self {
        Self::with_role(wire::Role::Searcher, pubkey, sign)
    }

    /// A subscriber of ShredStream.
    pub fn shredstream_subscriber(pubkey: [u8; 32], sign: Sign) -> Self {
        Self::with_role(wire::Role::ShredstreamSubscriber, pubkey, sign)
    }

    fn with_role(role: wire::Role, pubkey: [u8; 32], sign: Sign) -> Self {
        Self {
            pubkey,
            sign,
            role: role as i32,
        }
    }
}

impl fmt::Debug for AuthOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pubkey = bs58::encode(self.pubkey).into_string();
        f.debug_struct("AuthOptions")
            .field("pubkey", &pubkey)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// A token with less time left than this is renewed (reference client).
pub const RENEW_BEFORE_SECONDS: u64 = 5 * 60;
/// Longest challenge that is signed. Jito's are a few dozen characters.
pub const CHALLENGE_LEN_MAX: usize = 256;

/// Longest token that is carried: it goes into a header of every call.
pub const TOKEN_LEN_MAX: usize = 8 * 1024;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A call failed. The words are the service's, or the transport's.
    #[error(transparent)]
    Status(#[from] Status),
    /// An answer that does not follow the protocol.
    #[error("authentication: {0}")]
    Protocol(&'static str),
}

/// What an [`Authenticator`] has done so far.
#[derive(Debug, Default)]
pub struct AuthCounters {
    /// Tokens got by signing a challenge.
    pub challenge_signed: AtomicU64,
    /// Access tokens got for a refresh token.
    pub token_refreshed: AtomicU64,
}

/// Holds the tokens of one connection.
///
/// Shared by reference between tasks: a burst of calls fetches tokens once.
pub struct Authenticator {
    options: AuthOptions,
    channel: Channel,
    counters: Arc<AuthCounters>,
    tokens: RwLock<Option<Tokens>>,
    /// Held while tokens are fetched, so that a burst of calls fetches them once.
    fetching: tokio::sync::Mutex<()>,
}

/// What the service gave us. Times are UNIX seconds.
#[derive(Clone)]
struct Tokens {
    header: MetadataValue<Ascii>,
    access_expires_at: u64,
    refresh: String,
    refresh_expires_at: u64,
}

/// What must be done before a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Keep,
    Refresh,
    Authenticate,
}

impl Tokens {
    fn step(tokens: Option<&Self>, now: u64) -> Step {
        let Some(tokens) = tokens else {
            return Step::Authenticate;
        };
        let soon = now.saturating_add(RENEW_BEFORE_SECONDS);
        if tokens.refresh_expires_at <= soon {
            Step::Authenticate
        } else if tokens.access_expires_at <= soon {
            Step::Refresh
        } else {
            Step::Keep
        }
    }
}

impl Authenticator {
    /// Nothing is sent before the first call.
    pub fn new(options: AuthOptions, channel: Channel) -> Self {
        Self::counting(options, channel, Arc::default())
    }

    /// The same, counting into `counters`, which may outlive this connection.
    pub fn counting(options: AuthOptions, channel: Channel, counters: Arc<AuthCounters>) -> Self {
        Self {
            options,
            channel,
            counters,
            tokens: RwLock::new(None),
            fetching: tokio::sync::Mutex::new(()),
        }
    }

    /// The `authorization` value. Goes to the network only when there is none yet or it has run out:
    /// a call does not wait for a renewal that [`Authenticator::renew`] can do beside it.
    ///
    /// # Errors
    /// As the calls of the authentication service fail.
    pub async fn header(&self) -> Result<MetadataValue<Ascii>, AuthError> {
        let now = unix_seconds();
        if let Some(tokens) = self
            .current()
            .filter(|tokens| tokens.access_expires_at > now)
        {
            return Ok(tokens.header);
        }
        self.renew().await?;
        let tokens = self
            .current()
            .ok_or_else(|| AuthError::Protocol("no token after authentication"))?;
        Ok(tokens.header)
    }

    /// Renews what is about to run out; returns at once when nothing is.
    ///
    /// # Errors
    /// As the calls of the authentication service fail.
    pub async fn renew(&self) -> Result<(), AuthError> {
        let _fetching = self.fetching.lock().await;
        let current = self.current();
        let tokens = match (Tokens::step(current.as_ref(), unix_seconds()), current) {
            (Step::Keep, _) => return Ok(()),
            (Step::Refresh, Some(current)) => self.refresh(current).await?,
            _ => self.authenticate().await?,
        };
        self.store(Some(tokens));
        Ok(())
    }

    /// Forgets the tokens: the service does not take them.
    pub fn forget(&self) {
        self.store(None);
    }

    async fn authenticate(&self) -> Result<Tokens, AuthError> {
        let AuthOptions { pubkey, sign, role } = &self.options;
        let mut client = AuthServiceClient::new(self.channel.clone());
        let request = wire::GenerateAuthChallengeRequest {
            role: *role,
            pubkey: pubkey.to_vec(),
        };
        let answer = client.generate_auth_challenge(request).await?.into_inner();
        let challenge = signable(pubkey, &answer.challenge)?;
        let signed_challenge = sign(challenge.as_bytes()).to_vec();
        let request = wire::GenerateAuthTokensRequest {
            challenge,
            client_pubkey: pubkey.to_vec(),
            signed_challenge,
        };
        let answer = client.generate_auth_tokens(request).await?.into_inner();
        let (header, access_expires_at) = access(answer.access_token)?;
        self.counters
            .challenge_signed
            .fetch_add(1, Ordering::Relaxed);
        let refresh = answer
            .refresh_token
            .ok_or_else(|| AuthError::Protocol("no refresh token"))?;
        Ok(Tokens {
            header,
            access_expires_at,
            refresh_expires_at: expiry(&refresh),
            refresh: refresh.value,
        })
    }

    async fn refresh(&self, tokens: Tokens) -> Result<Tokens, AuthError> {
        let mut client = AuthServiceClient::new(self.channel.clone());
        let request = wire::RefreshAccessTokenRequest {
            refresh_token: tokens.refresh.clone(),
        };
        match client.refresh_access_token(request).await {
            Ok(answer) => {
                let (header, access_expires_at) = access(answer.into_inner().access_token)?;
                self.counters
                    .token_refreshed
                    .fetch_add(1, Ordering::Relaxed);
                Ok(Tokens {
                    header,
                    access_expires_at,
                    ..tokens
                })
            }
            // The service forgot us, as after its restart.
            Err(status) if status.code() == tonic::Code::Unauthenticated => {
                self.authenticate().await
            }
            Err(status) => Err(status.into()),
        }
    }

    fn current(&self) -> Option<Tokens> {
        self.tokens
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn store(&self, tokens: Option<Tokens>) {
        *self.tokens.write().unwrap_or_else(PoisonError::into_inner) = tokens;
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("options", &self.options)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// The text to sign. What comes from the wire must be short and printable: together with the key in front it
/// can then never be the bytes of a transaction's message.
fn signable(pubkey: &[u8; 32], challenge: &str) -> Result<String, AuthError> {
    let printable = challenge.bytes().all(|byte| byte.is_ascii_graphic());
    if challenge.is_empty() || challenge.len() > CHALLENGE_LEN_MAX || !printable {
        return Err(AuthError::Protocol(
            "challenge is empty, too long or not printable",
        ));
    }
    Ok(format!(
        "{}-{challenge}",
        bs58::encode(pubkey).into_string()
    ))
}

fn access(token: Option<wire::Token>) -> Result<(MetadataValue<Ascii>, u64), AuthError> {
    let token = token.ok_or_else(|| AuthError::Protocol("no access token"))?;
    if token.value.is_empty() || token.value.len() > TOKEN_LEN_MAX {
        return Err(AuthError::Protocol("access token is empty or too long"));
    }
    let text = Bytes::from(format!("Bearer {}", token.value));
    let header = MetadataValue::try_from(text)
        .map_err(|_| AuthError::Protocol("access token is not text"))?;
    Ok((header, expiry(&token)))
}

/// A token without a time is used once and renewed at the next call.
fn expiry(token: &wire::Token) -> u64 {
    token
        .expires_at_utc
        .as_ref()
        .map_or(0, |at| u64::try_from(at.seconds).unwrap_or(0))
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tokens(access_expires_at: u64, refresh_expires_at: u64) -> Tokens {
        let header = MetadataValue::from_static("Bearer x");
        Tokens {
            header,
            access_expires_at,
            refresh: String::new(),
            refresh_expires_at,
        }
    }

    #[test]
    fn renewal_begins_five_minutes_before_the_end() {
        let now = 1_000_000;
        let step = |access, refresh| Tokens::step(Some(&tokens(now + access, now + refresh)), now);
        assert_eq!(Tokens::step(None, now), Step::Authenticate);
        assert_eq!(step(301, 3_600), Step::Keep);
        assert_eq!(step(300, 3_600), Step::Refresh);
        assert_eq!(step(0, 3_600), Step::Refresh);
        assert_eq!(step(301, 300), Step::Authenticate);
        assert_eq!(
            Tokens::step(Some(&tokens(0, u64::MAX)), u64::MAX),
            Step::Authenticate
        );
    }

    #[test]
    fn tokens_are_text_that_fits_a_header() {
        let take = |value: String| {
            access(Some(wire::Token {
                value,
                expires_at_utc: None,
            }))
        };
        assert_eq!(take("x".repeat(TOKEN_LEN_MAX)).unwrap().1, 0);
        for hostile in [
            String::new(),
            "x".repeat(TOKEN_LEN_MAX + 1),
            "a\r\nb: c".into(),
        ] {
            assert!(take(hostile).is_err());
        }
        assert!(access(None).is_err());
    }

    #[test]
    fn the_signed_text_is_the_key_a_hyphen_and_the_challenge() {
        // 32 zero bytes are 32 ones in base58.
        assert_eq!(
            signable(&[0; 32], "abc").unwrap(),
            format!("{}-abc", "1".repeat(32))
        );
        for hostile in [
            "",
            "two words",
            "line\nbreak",
            "\u{e9}",
            &"x".repeat(CHALLENGE_LEN_MAX + 1),
        ] {
            assert!(signable(&[0; 32], hostile).is_err(), "{hostile:?}");
        }
    }
}
