//! The client against a small engine of its own over loopback: answers, authentication, breaks.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jito_searcher_client::proto::auth as auth_wire;
use jito_searcher_client::proto::auth::auth_service_server::{AuthService, AuthServiceServer};
use jito_searcher_client::proto::bundle::BundleResult;
use jito_searcher_client::proto::searcher as wire;
use jito_searcher_client::proto::searcher::searcher_service_server::{
    SearcherService, SearcherServiceServer,
};
use jito_searcher_client::{
    AuthOptions, ClientError, ConnectOptions, EncodedBundle, ResultEvent, SearcherClient,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What the engine has seen, and how it behaves.
#[derive(Default)]
struct Engine {
    bundles: Mutex<Vec<Vec<Vec<u8>>>>,
    tokens_wanted: bool,
    access_seconds: u64,
    authentications: AtomicU64,
    refreshes: AtomicU64,
    silent: bool,
}

impl Engine {
    fn admit<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let expect = format!("Bearer access-{}", self.refreshes.load(Ordering::SeqCst));
        let given = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        match (self.tokens_wanted, given) {
            (false, None) => Ok(()),
            (true, Some(given)) if given == expect => Ok(()),
            (_, given) => Err(Status::unauthenticated(format!("token {given:?}"))),
        }
    }

    fn access_token(&self) -> auth_wire::Token {
        token(
            format!("access-{}", self.refreshes.load(Ordering::SeqCst)),
            self.access_seconds,
        )
    }
}

fn token(value: String, seconds: u64) -> auth_wire::Token {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let expires_at_utc = Some(prost_types::Timestamp {
        seconds: (now + seconds) as i64,
        nanos: 0,
    });
    auth_wire::Token {
        value,
        expires_at_utc,
    }
}

#[derive(Clone)]
struct Service(Arc<Engine>);

#[tonic::async_trait]
impl SearcherService for Service {
    type SubscribeBundleResultsStream =
        Pin<Box<dyn Stream<Item = Result<BundleResult, Status>> + Send>>;

    async fn subscribe_bundle_results(
        &self,
        request: Request<wire::SubscribeBundleResultsRequest>,
    ) -> Result<Response<Self::SubscribeBundleResultsStream>, Status> {
        self.0.admit(&request)?;
        let one = BundleResult {
            bundle_id: "first".into(),
            result: None,
        };
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(one)]))))
    }

    async fn send_bundle(
        &self,
        request: Request<wire::SendBundleRequest>,
    ) -> Result<Response<wire::SendBundleResponse>, Status> {
        self.0.admit(&request)?;
        if self.0.silent {
            std::future::pending::<()>().await;
        }
        let packets = request.into_inner().bundle.unwrap_or_default().packets;
        if packets[0].data.as_ref() == b"refuse" {
            return Err(Status::invalid_argument("not this one"));
        }
        self.0
            .bundles
            .lock()
            .unwrap()
            .push(packets.iter().map(|packet| packet.data.to_vec()).collect());
        Ok(Response::new(wire::SendBundleResponse {
            uuid: "the id".into(),
        }))
    }

    async fn get_next_scheduled_leader(
        &self,
        request: Request<wire::NextScheduledLeaderRequest>,
    ) -> Result<Response<wire::NextScheduledLeaderResponse>, Status> {
        let next_leader_region = request.into_inner().regions.join("+");
        Ok(Response::new(wire::NextScheduledLeaderResponse {
            current_slot: 7,
            next_leader_slot: 9,
            next_leader_identity: "leader".into(),
            next_leader_region,
        }))
    }

    async fn get_connected_leaders(
        &self,
        _: Request<wire::ConnectedLeadersRequest>,
    ) -> Result<Response<wire::ConnectedLeadersResponse>, Status> {
        Ok(Response::new(leaders()))
    }

    async fn get_connected_leaders_regioned(
        &self,
        request: Request<wire::ConnectedLeadersRegionedRequest>,
    ) -> Result<Response<wire::ConnectedLeadersRegionedResponse>, Status> {
        let regions = request.into_inner().regions;
        let connected_validators = regions
            .into_iter()
            .map(|region| (region, leaders()))
            .collect();
        Ok(Response::new(wire::ConnectedLeadersRegionedResponse {
            connected_validators,
        }))
    }

    async fn get_tip_accounts(
        &self,
        _: Request<wire::GetTipAccountsRequest>,
    ) -> Result<Response<wire::GetTipAccountsResponse>, Status> {
        let accounts = vec!["96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5".into()];
        Ok(Response::new(wire::GetTipAccountsResponse { accounts }))
    }

    async fn get_regions(
        &self,
        _: Request<wire::GetRegionsRequest>,
    ) -> Result<Response<wire::GetRegionsResponse>, Status> {
        let (current_region, available_regions) =
            ("here".into(), vec!["here".into(), "there".into()]);
        Ok(Response::new(wire::GetRegionsResponse {
            current_region,
            available_regions,
        }))
    }
}

fn leaders() -> wire::ConnectedLeadersResponse {
    let slots = wire::SlotList { slots: vec![9, 10] };
    wire::ConnectedLeadersResponse {
        connected_validators: [("leader".to_owned(), slots)].into(),
    }
}

#[tonic::async_trait]
impl AuthService for Service {
    async fn generate_auth_challenge(
        &self,
        request: Request<auth_wire::GenerateAuthChallengeRequest>,
    ) -> Result<Response<auth_wire::GenerateAuthChallengeResponse>, Status> {
        let request = request.into_inner();
        assert_eq!(
            (request.role, request.pubkey.len()),
            (auth_wire::Role::Searcher as i32, 32)
        );
        Ok(Response::new(auth_wire::GenerateAuthChallengeResponse {
            challenge: "q8fz".into(),
        }))
    }

    async fn generate_auth_tokens(
        &self,
        request: Request<auth_wire::GenerateAuthTokensRequest>,
    ) -> Result<Response<auth_wire::GenerateAuthTokensResponse>, Status> {
        let request = request.into_inner();
        let key: [u8; 32] = request.client_pubkey.try_into().unwrap();
        assert_eq!(
            request.challenge,
            format!("{}-q8fz", bs58::encode(key).into_string())
        );
        let signature = Signature::from_slice(&request.signed_challenge).unwrap();
        VerifyingKey::from_bytes(&key)
            .unwrap()
            .verify_strict(request.challenge.as_bytes(), &signature)
            .unwrap();
        self.0.authentications.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(auth_wire::GenerateAuthTokensResponse {
            access_token: Some(self.0.access_token()),
            refresh_token: Some(token("refresh".into(), 3_600)),
        }))
    }

    async fn refresh_access_token(
        &self,
        request: Request<auth_wire::RefreshAccessTokenRequest>,
    ) -> Result<Response<auth_wire::RefreshAccessTokenResponse>, Status> {
        assert_eq!(request.into_inner().refresh_token, "refresh");
        self.0.refreshes.fetch_add(1, Ordering::SeqCst);
        let access_token = Some(self.0.access_token());
        Ok(Response::new(auth_wire::RefreshAccessTokenResponse {
            access_token,
        }))
    }
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(engine: &Arc<Engine>, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Service(engine.clone());
        let serve = tonic::transport::Server::builder()
            .add_service(SearcherServiceServer::new(service.clone()))
            .add_service(AuthServiceServer::new(service))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async {
                stopped.await.ok();
            });
        let task = tokio::spawn(async { serve.await.unwrap() });
        Self {
            address,
            stop,
            task,
        }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn end(self) {
        self.stop.send(()).ok();
        self.task.await.unwrap();
    }
}

fn bundle(transactions: &[&[u8]]) -> EncodedBundle {
    EncodedBundle::new(transactions, Some(1)).unwrap()
}

#[tokio::test]
async fn every_call_reaches_its_method() {
    let engine = Arc::new(Engine::default());
    let server = Server::start(&engine, "127.0.0.1:0").await;
    let client = SearcherClient::connect(&server.endpoint(), ConnectOptions::default())
        .await
        .unwrap();

    let long = vec![3; 1_232];
    let delivery = client.send_bundle(bundle(&[b"one", b"two", &long])).await;
    assert_eq!(delivery.answer.unwrap(), "the id");
    assert_eq!(delivery.written_at, None);
    assert_eq!(
        *engine.bundles.lock().unwrap(),
        [vec![b"one".to_vec(), b"two".to_vec(), long]]
    );

    let refused = client
        .send_bundle(bundle(&[b"refuse"]))
        .await
        .answer
        .unwrap_err();
    assert!(
        matches!(&refused, ClientError::Refused { message } if message == "not this one"),
        "{refused}"
    );

    let tip_accounts = client.tip_accounts().await.unwrap();
    assert_eq!(
        bs58::encode(tip_accounts[0]).into_string(),
        "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5"
    );
    let next = client
        .next_scheduled_leader(vec!["a".into(), "b".into()])
        .await
        .unwrap();
    assert_eq!(
        (
            next.current_slot,
            next.next_leader_slot,
            next.next_leader_region.as_str()
        ),
        (7, 9, "a+b")
    );
    assert_eq!(
        client.connected_leaders().await.unwrap()["leader"].slots,
        [9, 10]
    );
    let regioned = client
        .connected_leaders_regioned(vec!["ny".into()])
        .await
        .unwrap();
    assert_eq!(regioned["ny"].connected_validators["leader"].slots, [9, 10]);
    assert_eq!(
        client.regions().await.unwrap().available_regions,
        ["here", "there"]
    );
}

#[tokio::test]
async fn a_bundle_is_stamped_when_the_socket_takes_it() {
    let engine = Arc::new(Engine::default());
    let server = Server::start(&engine, "127.0.0.1:0").await;
    let now = Arc::new(AtomicU64::new(1_000));
    let clock = {
        let now = now.clone();
        Arc::new(move || now.fetch_add(1, Ordering::SeqCst))
    };
    let options = ConnectOptions {
        clock: Some(clock),
        ..Default::default()
    };
    let client = SearcherClient::connect(&server.endpoint(), options)
        .await
        .unwrap();
    for len in [200, 1_232, 4_096] {
        let before = now.load(Ordering::SeqCst);
        let data = vec![1; len];
        let delivery = client.send_bundle(bundle(&[data.as_slice(); 5])).await;
        let after = now.load(Ordering::SeqCst);
        assert!(delivery.answer.is_ok());
        let written_at = delivery.written_at.unwrap();
        assert!(
            (before..after).contains(&written_at),
            "{before} <= {written_at} < {after}"
        );
    }
}

#[tokio::test]
async fn tokens_are_fetched_once_refreshed_early_and_carried() {
    // 200 seconds left is less than five minutes: every renewal refreshes.
    let engine = Arc::new(Engine {
        tokens_wanted: true,
        access_seconds: 200,
        ..Default::default()
    });
    let server = Server::start(&engine, "127.0.0.1:0").await;
    let key = SigningKey::from_bytes(&[5; 32]);
    let pubkey = key.verifying_key().to_bytes();
    let auth = AuthOptions::searcher(pubkey, Arc::new(move |text| key.sign(text).to_bytes()));

    let bare = SearcherClient::connect(&server.endpoint(), ConnectOptions::default())
        .await
        .unwrap();
    let error = bare.send_bundle(bundle(&[b"x"])).await.answer.unwrap_err();
    assert!(
        matches!(error, ClientError::Unauthenticated { .. }),
        "{error}"
    );

    let options = ConnectOptions {
        auth: Some(auth),
        ..Default::default()
    };
    let client = SearcherClient::connect(&server.endpoint(), options)
        .await
        .unwrap();
    client.send_bundle(bundle(&[b"x"])).await.answer.unwrap();
    client.send_bundle(bundle(&[b"x"])).await.answer.unwrap();
    assert_eq!(engine.authentications.load(Ordering::SeqCst), 1);
    assert_eq!(engine.refreshes.load(Ordering::SeqCst), 0);

    client.renew_tokens().await.unwrap();
    assert_eq!(engine.refreshes.load(Ordering::SeqCst), 1);
    client.send_bundle(bundle(&[b"x"])).await.answer.unwrap();

    // The engine forgets: one call fails, the next one authenticates again.
    engine.refreshes.store(50, Ordering::SeqCst);
    client
        .send_bundle(bundle(&[b"x"]))
        .await
        .answer
        .unwrap_err();
    client.send_bundle(bundle(&[b"x"])).await.answer.unwrap();
    assert_eq!(engine.authentications.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn silence_ends_in_a_timeout() {
    let engine = Arc::new(Engine {
        silent: true,
        ..Default::default()
    });
    let server = Server::start(&engine, "127.0.0.1:0").await;
    let options = ConnectOptions {
        call_timeout: Duration::from_millis(100),
        ..Default::default()
    };
    let client = SearcherClient::connect(&server.endpoint(), options)
        .await
        .unwrap();
    let error = client
        .send_bundle(bundle(&[b"x"]))
        .await
        .answer
        .unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    assert!(!error.is_certain());
}

#[tokio::test]
async fn nobody_at_the_other_end_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoint = format!("http://{free}");
    let error = SearcherClient::connect(&endpoint, ConnectOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let options = ConnectOptions {
        clock: Some(Arc::new(|| 1)),
        ..Default::default()
    };
    let client = SearcherClient::connect_lazy(&endpoint, options).unwrap();
    for _ in 0..2 {
        let delivery = client.send_bundle(bundle(&[b"x"])).await;
        let error = delivery.answer.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        assert!(delivery.nothing_written && delivery.written_at.is_none());
    }
}

#[tokio::test]
async fn results_and_calls_come_back_after_a_break() {
    let engine = Arc::new(Engine::default());
    let server = Server::start(&engine, "127.0.0.1:0").await;
    let address = server.address.to_string();
    let client = SearcherClient::connect(&server.endpoint(), ConnectOptions::default())
        .await
        .unwrap();
    let mut results = client.bundle_results();
    assert!(matches!(results.next().await, ResultEvent::Subscribed));
    let ResultEvent::Result(first) = results.next().await else {
        panic!("no result")
    };
    assert_eq!(first.bundle_id, "first");
    // The stub ends its stream after one result; that is a break like any other.
    assert!(matches!(results.next().await, ResultEvent::Interrupted(_)));

    server.end().await;
    let ResultEvent::Interrupted(error) = results.next().await else {
        panic!("subscribed to nobody")
    };
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");

    let _server = Server::start(&engine, &address).await;
    loop {
        match results.next().await {
            ResultEvent::Subscribed => break,
            ResultEvent::Interrupted(_) => {}
            ResultEvent::Result(_) => panic!("a result before the subscription"),
        }
    }
    client.send_bundle(bundle(&[b"x"])).await.answer.unwrap();
}
