//! The door: challenges, tokens, and who a call comes from.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signature, VerifyingKey};
use jito_searcher_client::proto::auth as wire;
use jito_searcher_client::proto::auth::auth_service_server::AuthService;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::admission::Refusal;
use super::results::Owner;
use crate::keys::{Key, base58};
use crate::prng::Prng;

/// Lifetime of an access token, seconds.
const ACCESS_SECONDS: u64 = 30 * 60;
/// Lifetime of a refresh token, seconds.
const REFRESH_SECONDS: u64 = 24 * 60 * 60;
/// Challenges, and tokens, kept at most; beyond that the door forgets all and everybody starts over.
const KEPT_MAX: usize = 4_096;

/// Gives out tokens and reads them. The tokens are drawn from a seed: they guard a demonstration.
pub(super) struct Door {
    token_wanted: bool,
    state: Mutex<State>,
}

struct State {
    prng: Prng,
    challenges: BTreeMap<Key, String>,
    tokens: BTreeMap<String, Pass>,
}

#[derive(Clone, Copy)]
struct Pass {
    key: Key,
    refresh: bool,
    expires_at: u64,
}

impl Door {
    pub(super) fn new(seed: u64, token_wanted: bool) -> Self {
        let prng = Prng::new(seed).fork("tokens");
        let state = State {
            prng,
            challenges: BTreeMap::new(),
            tokens: BTreeMap::new(),
        };
        Self {
            token_wanted,
            state: Mutex::new(state),
        }
    }

    /// Who calls: the key behind a valid access token, nobody in particular without one.
    pub(super) fn identify(&self, metadata: &MetadataMap) -> Result<Owner, Refusal> {
        let Some(value) = metadata.get("authorization") else {
            return if self.token_wanted {
                Err(Refusal::NotAuthenticated)
            } else {
                Ok(None)
            };
        };
        let token = value
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "));
        let pass = token.and_then(|token| self.state().pass(token, false));
        pass.map(Some).ok_or(Refusal::NotAuthenticated)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn word(&mut self) -> String {
        self.prng
            .bytes::<16>()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn issue(&mut self, key: Key, refresh: bool) -> wire::Token {
        if self.tokens.len() >= KEPT_MAX {
            self.tokens.clear();
        }
        let value = self.word();
        let expires_at = unix_seconds()
            + if refresh {
                REFRESH_SECONDS
            } else {
                ACCESS_SECONDS
            };
        self.tokens.insert(
            value.clone(),
            Pass {
                key,
                refresh,
                expires_at,
            },
        );
        let seconds = i64::try_from(expires_at).unwrap_or(i64::MAX);
        wire::Token {
            value,
            expires_at_utc: Some(prost_types::Timestamp { seconds, nanos: 0 }),
        }
    }

    fn pass(&self, token: &str, refresh: bool) -> Option<Key> {
        let pass = self.tokens.get(token)?;
        (pass.refresh == refresh && pass.expires_at > unix_seconds()).then_some(pass.key)
    }
}

/// `auth.AuthService`.
pub(super) struct Auth(pub(super) Arc<Door>);

#[tonic::async_trait]
impl AuthService for Auth {
    async fn generate_auth_challenge(
        &self,
        request: Request<wire::GenerateAuthChallengeRequest>,
    ) -> Result<Response<wire::GenerateAuthChallengeResponse>, Status> {
        let wire::GenerateAuthChallengeRequest { role, pubkey } = request.into_inner();
        if role != wire::Role::Searcher as i32 {
            return Err(Status::permission_denied("only searchers are served here"));
        }
        let key = key(pubkey)?;
        let mut state = self.0.state();
        if state.challenges.len() >= KEPT_MAX {
            state.challenges.clear();
        }
        let challenge = state.word();
        state.challenges.insert(key, challenge.clone());
        Ok(Response::new(wire::GenerateAuthChallengeResponse {
            challenge,
        }))
    }

    async fn generate_auth_tokens(
        &self,
        request: Request<wire::GenerateAuthTokensRequest>,
    ) -> Result<Response<wire::GenerateAuthTokensResponse>, Status> {
        let request = request.into_inner();
        let key = key(request.client_pubkey)?;
        let mut state = self.0.state();
        // A challenge is good for one attempt.
        let expect = state
            .challenges
            .remove(&key)
            .map(|challenge| format!("{}-{challenge}", base58(&key)));
        if expect.as_ref() != Some(&request.challenge) {
            return Err(Status::unauthenticated("not the challenge that was given"));
        }
        let signature = Signature::from_slice(&request.signed_challenge);
        let signature =
            signature.map_err(|_| Status::invalid_argument("signed_challenge is not 64 bytes"))?;
        let verified = VerifyingKey::from_bytes(&key).is_ok_and(|key| {
            key.verify_strict(request.challenge.as_bytes(), &signature)
                .is_ok()
        });
        if !verified {
            return Err(Status::unauthenticated("the signature does not verify"));
        }
        let (access_token, refresh_token) =
            (Some(state.issue(key, false)), Some(state.issue(key, true)));
        Ok(Response::new(wire::GenerateAuthTokensResponse {
            access_token,
            refresh_token,
        }))
    }

    async fn refresh_access_token(
        &self,
        request: Request<wire::RefreshAccessTokenRequest>,
    ) -> Result<Response<wire::RefreshAccessTokenResponse>, Status> {
        let mut state = self.0.state();
        let key = state.pass(&request.into_inner().refresh_token, true);
        let key = key.ok_or_else(|| Status::unauthenticated("not a valid refresh token"))?;
        let access_token = Some(state.issue(key, false));
        Ok(Response::new(wire::RefreshAccessTokenResponse {
            access_token,
        }))
    }
}

fn key(bytes: Vec<u8>) -> Result<Key, Status> {
    Key::try_from(bytes).map_err(|_| Status::invalid_argument("a key is 32 bytes"))
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
