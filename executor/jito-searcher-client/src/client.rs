//! Calls to one block engine over one connection.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jito_auth::{AuthOptions, Authenticator};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::encode::{BundleCodec, EncodedBundle};
use crate::error::ClientError;
use crate::proto::searcher as wire;
use crate::proto::searcher::searcher_service_client::SearcherServiceClient;
use crate::results::BundleResults;
use crate::transport::{Clock, Connector, WriteStamps};

/// How to connect.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Authenticate, where the engine wants it. `None` for most.
    pub auth: Option<AuthOptions>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for an answer to any call but the result stream.
    pub call_timeout: Duration,
    /// Pause between pings that keep an idle connection open; also the longest silence of a dead peer.
    pub keep_alive: Duration,
    /// Take plain-text endpoints on other machines. Bundles are then readable on the way.
    pub plaintext_remote: bool,
    /// Clock for [`Delivery::written_at`]; without it deliveries carry no stamp.
    pub clock: Option<Clock>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            auth: None,
            connect_timeout: Duration::from_secs(2),
            call_timeout: Duration::from_secs(2),
            keep_alive: Duration::from_secs(5),
            plaintext_remote: false,
            clock: None,
        }
    }
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("auth", &self.auth)
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("keep_alive", &self.keep_alive)
            .field("plaintext_remote", &self.plaintext_remote)
            .finish_non_exhaustive()
    }
}

/// What became of one `SendBundle` call.
#[derive(Debug)]
pub struct Delivery {
    /// The engine's id for the bundle (it equals [`crate::BundleId`] computed here), or why there is none.
    pub answer: Result<String, ClientError>,
    /// When the socket took the request's last byte, on [`ConnectOptions::clock`]. See [`WriteStamps`].
    pub written_at: Option<u64>,
    /// Known for certain that no byte of the request left: after an error, the bundle is nowhere. Always
    /// false without [`ConnectOptions::clock`].
    pub nothing_written: bool,
}

/// A connection to one block engine. Clones share it; a broken one is dialled again by the next call.
#[derive(Clone)]
pub struct SearcherClient {
    channel: Channel,
    auth: Option<Arc<Authenticator>>,
    stamps: Option<Arc<WriteStamps>>,
    call_timeout: Duration,
}

impl SearcherClient {
    /// Connects to `endpoint` (`http://host:port`), and authenticates when asked to.
    ///
    /// # Errors
    /// An endpoint that is not taken (see the crate's page on transport), [`ClientError::Unreachable`], and
    /// whatever authentication answers.
    pub async fn connect(endpoint: &str, options: ConnectOptions) -> Result<Self, ClientError> {
        let (endpoint, stamps) = prepare(endpoint, &options)?;
        let connector = Connector {
            stamps: stamps.clone(),
        };
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.map_err(|error| Status::from_error(Box::new(error)))?;
        let client = Self::over(channel, stamps, options);
        client.renew_tokens().await?;
        Ok(client)
    }

    /// As [`SearcherClient::connect`], but the first call dials. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// An endpoint that is not taken.
    pub fn connect_lazy(endpoint: &str, options: ConnectOptions) -> Result<Self, ClientError> {
        let (endpoint, stamps) = prepare(endpoint, &options)?;
        let channel = endpoint.connect_with_connector_lazy(Connector {
            stamps: stamps.clone(),
        });
        Ok(Self::over(channel, stamps, options))
    }

    fn over(channel: Channel, stamps: Option<Arc<WriteStamps>>, options: ConnectOptions) -> Self {
        let auth = options
            .auth
            .map(|auth| Arc::new(Authenticator::new(auth, channel.clone())));
        Self {
            channel,
            auth,
            stamps,
            call_timeout: options.call_timeout,
        }
    }

    /// Sends a bundle and waits for the engine's acknowledgement, which says nothing about landing.
    ///
    /// The future owns what it sends: many may run at once over the one connection.
    pub async fn send_bundle(&self, bundle: EncodedBundle) -> Delivery {
        let len = bundle.as_bytes().len();
        let announcement = self.stamps.as_ref().map(|stamps| stamps.announce(len));
        let answer = self.call(bundle, async |request| {
            let mut grpc = tonic::client::Grpc::new(self.channel.clone())
                .max_decoding_message_size(SMALL_ANSWER_LEN_MAX);
            grpc.ready()
                .await
                .map_err(|error| Status::from_error(Box::new(error)))?;
            grpc.unary(request, PathAndQuery::from_static(SEND_BUNDLE), BundleCodec)
                .await
        });
        let answer = answer.await.map(|response| response.uuid);
        let written = announcement.map(|announcement| announcement.written());
        let (written_at, nothing_written) =
            written.map_or((None, false), |written| (written.at, written.nothing));
        Delivery {
            answer,
            written_at,
            nothing_written,
        }
    }

    /// A stream of what became of this searcher's bundles. It dials, and dials again, when polled.
    pub fn bundle_results(&self) -> BundleResults {
        BundleResults::new(self.clone())
    }

    /// The accounts a tip may be paid to.
    ///
    /// # Errors
    /// As the call fails, and [`ClientError::Protocol`] when an account is not a key.
    pub async fn tip_accounts(&self) -> Result<Vec<[u8; 32]>, ClientError> {
        let answer = self
            .call(wire::GetTipAccountsRequest {}, async |request| {
                self.service().get_tip_accounts(request).await
            })
            .await?;
        answer.accounts.iter().map(|text| key(text)).collect()
    }

    /// The next leader that takes bundles from `regions`; from the answering region when empty.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn next_scheduled_leader(
        &self,
        regions: Vec<String>,
    ) -> Result<wire::NextScheduledLeaderResponse, ClientError> {
        let request = wire::NextScheduledLeaderRequest { regions };
        self.call(request, async |request| {
            self.service().get_next_scheduled_leader(request).await
        })
        .await
    }

    /// Identities (base58) of the leaders connected to the answering region, with their slots.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn connected_leaders(&self) -> Result<BTreeMap<String, wire::SlotList>, ClientError> {
        let request = wire::ConnectedLeadersRequest {};
        let call = self.call(request, async |request| {
            self.service().get_connected_leaders(request).await
        });
        Ok(call.await?.connected_validators)
    }

    /// The same per region; every region when `regions` is empty.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn connected_leaders_regioned(
        &self,
        regions: Vec<String>,
    ) -> Result<BTreeMap<String, wire::ConnectedLeadersResponse>, ClientError> {
        let request = wire::ConnectedLeadersRegionedRequest { regions };
        let call = self.call(request, async |request| {
            self.service().get_connected_leaders_regioned(request).await
        });
        Ok(call.await?.connected_validators)
    }

    /// The answering region and the others.
    ///
    /// # Errors
    /// As the call fails.
    pub async fn regions(&self) -> Result<wire::GetRegionsResponse, ClientError> {
        self.call(wire::GetRegionsRequest {}, async |request| {
            self.service().get_regions(request).await
        })
        .await
    }

    /// Fetches or renews tokens when they are about to run out; a caller does so every minute or less, so
    /// that no bundle waits for it. Nothing to do without authentication.
    ///
    /// # Errors
    /// As the calls of the authentication service fail.
    pub async fn renew_tokens(&self) -> Result<(), ClientError> {
        let Some(auth) = &self.auth else {
            return Ok(());
        };
        self.within_timeout(async { Ok(auth.renew().await?) }).await
    }

    /// Opens the result stream.
    pub(crate) async fn subscribe(
        &self,
    ) -> Result<tonic::Streaming<crate::proto::bundle::BundleResult>, ClientError> {
        let request = wire::SubscribeBundleResultsRequest {};
        self.call(request, async |request| {
            let mut service = self
                .service()
                .max_decoding_message_size(SMALL_ANSWER_LEN_MAX);
            service.subscribe_bundle_results(request).await
        })
        .await
    }

    fn service(&self) -> SearcherServiceClient<Channel> {
        SearcherServiceClient::new(self.channel.clone())
    }

    /// Adds the token, bounds the wait, and types the error.
    async fn call<T, R>(
        &self,
        message: T,
        send: impl AsyncFnOnce(Request<T>) -> Result<Response<R>, Status>,
    ) -> Result<R, ClientError> {
        let mut request = Request::new(message);
        let result = self
            .within_timeout(async {
                if let Some(auth) = &self.auth {
                    request
                        .metadata_mut()
                        .insert("authorization", auth.header().await?);
                }
                Ok(send(request).await?.into_inner())
            })
            .await;
        if let (Some(auth), Err(ClientError::Unauthenticated { .. })) = (&self.auth, &result) {
            auth.forget();
        }
        result
    }

    async fn within_timeout<R>(
        &self,
        call: impl Future<Output = Result<R, ClientError>>,
    ) -> Result<R, ClientError> {
        match tokio::time::timeout(self.call_timeout, call).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout {
                message: format!("{:?} passed", self.call_timeout),
            }),
        }
    }
}

impl fmt::Debug for SearcherClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearcherClient")
            .field("authenticated", &self.auth.is_some())
            .finish_non_exhaustive()
    }
}

const SEND_BUNDLE: &str = "/searcher.SearcherService/SendBundle";
/// An id or a result is some hundred bytes; its words are the engine's and not trusted.
const SMALL_ANSWER_LEN_MAX: usize = 64 * 1024;

type Prepared = (tonic::transport::Endpoint, Option<Arc<WriteStamps>>);

fn prepare(endpoint: &str, options: &ConnectOptions) -> Result<Prepared, ClientError> {
    let ConnectOptions {
        connect_timeout,
        keep_alive,
        plaintext_remote,
        clock,
        ..
    } = options;
    let endpoint = jito_auth::endpoint(endpoint, *plaintext_remote, *connect_timeout, *keep_alive)?;
    Ok((
        endpoint,
        clock.clone().map(|clock| Arc::new(WriteStamps::new(clock))),
    ))
}

fn key(text: &str) -> Result<[u8; 32], ClientError> {
    let mut key = [0; 32];
    match bs58::decode(text).onto(&mut key) {
        Ok(32) => Ok(key),
        _ => Err(ClientError::protocol(
            "an account is not 32 bytes of base58",
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn accounts_are_whole_keys() {
        assert_eq!(key(&"1".repeat(32)).unwrap(), [0; 32]);
        for text in ["", "111", "0OIl", &"1".repeat(33), &"z".repeat(60)] {
            assert!(key(text).is_err(), "{text}");
        }
    }
}
