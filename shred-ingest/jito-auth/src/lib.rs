//! Jito's authentication service: a challenge signed once, an access token renewed before it runs out.
//!
//! Shared by the clients of Jito's services on both sides of the house, ShredStream's heartbeat and the searcher
//! service, which ask for it with different roles. Neither side learns anything of the other through it.
//!
//! ```text
//! GenerateAuthChallenge(role, key) -> sign "{base58 key}-{challenge}" -> GenerateAuthTokens -> access + refresh token
//!                                                      RefreshAccessToken(refresh token) -> access token  <--+
//! ```
//!
//! Everything runs on the caller's tokio runtime. Nothing here holds a secret key: a closure of the caller's signs.
//! Tokens travel in plain text to loopback addresses only, unless told otherwise ([`endpoint()`]).

mod authenticator;
mod endpoint;

pub use authenticator::{
    AuthCounters, AuthError, AuthOptions, Authenticator, CHALLENGE_LEN_MAX, RENEW_BEFORE_SECONDS,
    Sign, TOKEN_LEN_MAX,
};
pub use endpoint::{EndpointError, endpoint};

/// Messages and services as generated from `proto/`, one module per package.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::unwrap_used)]
pub mod proto {
    /// `auth.AuthService`: challenge, tokens, refresh.
    pub mod auth {
        tonic::include_proto!("auth");
    }
}
