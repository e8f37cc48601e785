//! The client against a small block engine of the tests' own over loopback: tokens, failures, restarts, silence.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jito_auth::proto::auth as auth_wire;
use jito_auth::proto::auth::auth_service_server::{AuthService, AuthServiceServer};
use shredstream_client::proto::shredstream as wire;
use shredstream_client::proto::shredstream::shredstream_server;
use shredstream_client::{
    AuthOptions, End, ShredCount, Shredstream, ShredstreamConfig, ShredstreamTally,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// How the engine behaves, and what it has seen.
struct Engine {
    ttl_ms: AtomicU32,
    access_seconds: i64,
    /// Tokens are `access-{serial}`; only the newest is taken.
    serial: AtomicU64,
    /// No token is ever taken.
    deaf: bool,
    /// Heartbeats are never answered.
    mute: bool,
    challenges: AtomicU64,
    refreshes: AtomicU64,
    heartbeats: Mutex<Vec<wire::Heartbeat>>,
}

impl Engine {
    fn new() -> Self {
        Self {
            ttl_ms: AtomicU32::new(300),
            access_seconds: 3_600,
            serial: AtomicU64::new(0),
            deaf: false,
            mute: false,
            challenges: AtomicU64::new(0),
            refreshes: AtomicU64::new(0),
            heartbeats: Mutex::default(),
        }
    }

    fn heartbeat_count(&self) -> usize {
        self.heartbeats.lock().unwrap().len()
    }

    fn fresh_access_token(&self) -> Option<auth_wire::Token> {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst) + 1;
        Some(token(format!("access-{serial}"), self.access_seconds))
    }
}

fn token(value: String, seconds: i64) -> auth_wire::Token {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let expires_at_utc = Some(prost_types::Timestamp {
        seconds: now.as_secs() as i64 + seconds,
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
impl shredstream_server::Shredstream for Service {
    async fn send_heartbeat(
        &self,
        request: Request<wire::Heartbeat>,
    ) -> Result<Response<wire::HeartbeatResponse>, Status> {
        let expect = format!("Bearer access-{}", self.0.serial.load(Ordering::SeqCst));
        let given = request.metadata().get("authorization");
        let given = given.map(|value| value.to_str().unwrap().to_owned());
        if self.0.deaf || given.as_deref() != Some(&expect) {
            return Err(Status::unauthenticated(format!("token {given:?}")));
        }
        if self.0.mute {
            std::future::pending::<()>().await;
        }
        self.0.heartbeats.lock().unwrap().push(request.into_inner());
        let ttl_ms = self.0.ttl_ms.load(Ordering::SeqCst);
        Ok(Response::new(wire::HeartbeatResponse { ttl_ms }))
    }
}

#[tonic::async_trait]
impl AuthService for Service {
    async fn generate_auth_challenge(
        &self,
        request: Request<auth_wire::GenerateAuthChallengeRequest>,
    ) -> Result<Response<auth_wire::GenerateAuthChallengeResponse>, Status> {
        let request = request.into_inner();
        // Role 3 of `auth.proto`, as a number: our own enum would agree with itself.
        assert_eq!((request.role, request.pubkey.len()), (3, 32));
        let challenge = format!("q{}", self.0.challenges.fetch_add(1, Ordering::SeqCst));
        Ok(Response::new(auth_wire::GenerateAuthChallengeResponse {
            challenge,
        }))
    }

    async fn generate_auth_tokens(
        &self,
        request: Request<auth_wire::GenerateAuthTokensRequest>,
    ) -> Result<Response<auth_wire::GenerateAuthTokensResponse>, Status> {
        let request = request.into_inner();
        let key: [u8; 32] = request.client_pubkey.try_into().unwrap();
        let last = self.0.challenges.load(Ordering::SeqCst) - 1;
        // SigningKey [9; 32] has this public key, in base58.
        let expect = format!("{BASE58_KEY}-q{last}");
        let signature = Signature::from_slice(&request.signed_challenge).unwrap();
        let signed = VerifyingKey::from_bytes(&key)
            .unwrap()
            .verify_strict(request.challenge.as_bytes(), &signature);
        if request.challenge != expect || signed.is_err() {
            return Err(Status::permission_denied(format!("not {expect}, signed")));
        }
        Ok(Response::new(auth_wire::GenerateAuthTokensResponse {
            access_token: self.0.fresh_access_token(),
            refresh_token: Some(token("refresh".into(), 86_400)),
        }))
    }

    async fn refresh_access_token(
        &self,
        request: Request<auth_wire::RefreshAccessTokenRequest>,
    ) -> Result<Response<auth_wire::RefreshAccessTokenResponse>, Status> {
        assert_eq!(request.into_inner().refresh_token, "refresh");
        self.0.refreshes.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(auth_wire::RefreshAccessTokenResponse {
            access_token: self.0.fresh_access_token(),
        }))
    }
}

/// Computed apart from the code under test, by another program.
const BASE58_KEY: &str = "J2xccRtuG43drESLYznHhLhQkLTdfepcKYbiQ9BsJVaf";

/// A server on a runtime of its own, which dies with all its connections, as in a crash.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(engine: &Arc<Engine>, address: &str) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let service = Service(Arc::clone(engine));
        let serve = async move {
            let listener = TcpListener::from_std(listener).unwrap();
            let server = tonic::transport::Server::builder()
                .add_service(AuthServiceServer::new(service.clone()))
                .add_service(shredstream_server::ShredstreamServer::new(service))
                .serve_with_incoming(TcpListenerStream::new(listener));
            tokio::select! {
                result = server => result.unwrap(),
                _ = stopped => {}
            }
        };
        let thread = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(serve);
        });
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn config(address: SocketAddr) -> ShredstreamConfig {
    let key = SigningKey::from_bytes(&[9; 32]);
    let pubkey = key.verifying_key().to_bytes();
    let sign = Arc::new(move |text: &[u8]| key.sign(text).to_bytes());
    let auth = AuthOptions::shredstream_subscriber(pubkey, sign);
    let regions = vec!["ny".to_owned(), "tokyo".to_owned()];
    ShredstreamConfig {
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(50),
        ..ShredstreamConfig::new(
            format!("http://{address}"),
            auth,
            "203.0.113.7:20000".parse().unwrap(),
            regions,
        )
    }
}

/// A stream in which a shred comes between any two looks.
fn flowing() -> ShredCount {
    let count = AtomicU64::new(0);
    Arc::new(move || count.fetch_add(1, Ordering::Relaxed))
}

/// Runs a client until `enough` says so, and gives its last tally.
async fn run_until(
    config: ShredstreamConfig,
    shreds: ShredCount,
    mut enough: impl FnMut(&ShredstreamTally) -> bool,
) -> ShredstreamTally {
    let client = Shredstream::new(config, shreds).unwrap();
    let counters = Arc::clone(client.counters());
    let stop = async {
        while !enough(&counters.tally()) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let ran = tokio::time::timeout(Duration::from_secs(60), client.run(stop)).await;
    let tally = counters.tally();
    assert!(ran.is_ok(), "never: {tally:?}, {}", counters.last_words());
    tally
}

#[tokio::test]
async fn heartbeats_name_our_socket_and_regions_and_carry_a_signed_for_token() {
    let engine = Arc::new(Engine::new());
    let server = Running::start(&engine, "127.0.0.1:0");
    let tally = run_until(config(server.address), flowing(), |tally| {
        tally.heartbeat_acknowledged >= 3
    })
    .await;
    for heartbeat in engine.heartbeats.lock().unwrap().iter() {
        let socket = heartbeat.socket.as_ref().unwrap();
        assert_eq!((socket.ip.as_str(), socket.port), ("203.0.113.7", 20_000));
        assert_eq!(heartbeat.regions, ["ny", "tokyo"]);
    }
    assert_eq!((tally.session_started, tally.challenge_signed), (1, 1));
    assert_eq!(tally.ended, [0; End::ALL.len()]);
    assert!(!tally.flowing, "stopped");
    assert_eq!(engine.refreshes.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_token_with_less_than_five_minutes_left_is_refreshed_before_it_runs_out() {
    let engine = Arc::new(Engine {
        access_seconds: 290,
        ..Engine::new()
    });
    let server = Running::start(&engine, "127.0.0.1:0");
    let tally = run_until(config(server.address), flowing(), |tally| {
        tally.heartbeat_acknowledged >= 4
    })
    .await;
    // The engine takes only its newest token, so every refresh was used.
    assert!(tally.token_refreshed >= 3, "{tally:?}");
    assert_eq!((tally.challenge_signed, tally.token_forgotten), (1, 0));
    assert_eq!(tally.ended, [0; End::ALL.len()]);
}

#[tokio::test]
async fn a_token_that_is_no_longer_taken_is_replaced_on_the_same_connection() {
    let engine = Arc::new(Engine::new());
    let server = Running::start(&engine, "127.0.0.1:0");
    let forgetful = Arc::clone(&engine);
    let mut forgotten = false;
    let tally = run_until(config(server.address), flowing(), move |tally| {
        if tally.heartbeat_acknowledged >= 1 && !forgotten {
            forgetful.serial.fetch_add(1, Ordering::SeqCst);
            forgotten = true;
        }
        tally.token_forgotten >= 1 && tally.heartbeat_acknowledged >= 4
    })
    .await;
    assert_eq!((tally.session_started, tally.challenge_signed), (1, 2));
}

#[tokio::test]
async fn an_engine_that_takes_no_token_is_asked_again_after_a_pause_and_never_flows() {
    let engine = Arc::new(Engine {
        deaf: true,
        ..Engine::new()
    });
    let server = Running::start(&engine, "127.0.0.1:0");
    let tally = run_until(config(server.address), flowing(), |tally| {
        tally.ended_for(End::Unauthenticated) >= 3
    })
    .await;
    assert_eq!(tally.heartbeat_acknowledged, 0);
    // Two calls per connection: the token that was refused, and its replacement.
    assert!(tally.challenge_signed <= 2 * tally.session_started);
}

#[tokio::test]
async fn a_signature_of_another_key_is_told_as_a_refusal() {
    let engine = Arc::new(Engine::new());
    let server = Running::start(&engine, "127.0.0.1:0");
    let mut config = config(server.address);
    config.auth.sign = Arc::new(|text| SigningKey::from_bytes(&[8; 32]).sign(text).to_bytes());
    let tally = run_until(config, flowing(), |tally| {
        tally.ended_for(End::Refused) >= 2
    })
    .await;
    assert_eq!(
        (tally.heartbeat_acknowledged, tally.challenge_signed),
        (0, 0)
    );
}

#[tokio::test]
async fn a_restarted_engine_is_found_again() {
    let engine = Arc::new(Engine::new());
    let first = Running::start(&engine, "127.0.0.1:0");
    let address = first.address;
    let client = tokio::spawn({
        let engine = Arc::clone(&engine);
        let mut config = config(address);
        config.call_timeout = Duration::from_secs(20);
        async move {
            run_until(config, flowing(), |tally| {
                let lost = tally.ended_for(End::Unreachable) >= 2;
                lost && tally.flowing && engine.heartbeat_count() >= 4
            })
            .await
        }
    });
    while engine.heartbeat_count() < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(first);
    // Long enough for tries that find nobody.
    tokio::time::sleep(Duration::from_millis(300)).await;
    engine.heartbeats.lock().unwrap().clear();
    let _second = Running::start(&engine, &address.to_string());
    let tally = client.await.unwrap();
    assert!(tally.session_started >= 3 && tally.challenge_signed >= 2);
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_left() {
    let engine = Arc::new(Engine {
        mute: true,
        ..Engine::new()
    });
    let server = Running::start(&engine, "127.0.0.1:0");
    let mut config = config(server.address);
    config.call_timeout = Duration::from_millis(100);
    let tally = run_until(config, flowing(), |tally| {
        tally.ended_for(End::Timeout) >= 2
    })
    .await;
    assert_eq!(tally.heartbeat_acknowledged, 0);
}

#[tokio::test]
async fn a_ttl_of_nothing_makes_no_storm_and_one_without_end_no_pause_without_end() {
    let engine = Arc::new(Engine::new());
    let server = Running::start(&engine, "127.0.0.1:0");
    engine.ttl_ms.store(0, Ordering::SeqCst);
    let beat = Arc::clone(&engine);
    let tally = run_until(config(server.address), flowing(), move |tally| {
        if tally.heartbeat_acknowledged >= 3 {
            beat.ttl_ms.store(u32::MAX, Ordering::SeqCst);
        }
        tally.heartbeat_acknowledged >= 4 && tally.ttl_bounded >= 4
    })
    .await;
    assert_eq!(tally.ended, [0; End::ALL.len()]);
}

/// Goal: an engine that answers heartbeats and sends nothing is left, also when its heartbeats are far apart.
/// Method: the shred counter stands still; the next heartbeat would be due only after ten seconds.
#[tokio::test]
async fn a_stream_without_shreds_is_begun_anew() {
    let engine = Arc::new(Engine::new());
    engine.ttl_ms.store(30_000, Ordering::SeqCst);
    let server = Running::start(&engine, "127.0.0.1:0");
    let mut config = config(server.address);
    config.silence_max = Duration::from_millis(100);
    let tally = run_until(config, Arc::new(|| 77), |tally| {
        tally.ended_for(End::Silent) >= 3
    })
    .await;
    assert!(tally.session_started >= 3);
    assert!(tally.challenge_signed >= 3, "begun anew, tokens included");
}

/// The same engine and the same impatience, but shreds come: the connection stays.
#[tokio::test]
async fn a_stream_with_shreds_is_kept() {
    let engine = Arc::new(Engine::new());
    let server = Running::start(&engine, "127.0.0.1:0");
    let mut config = config(server.address);
    config.silence_max = Duration::from_millis(250);
    let tally = run_until(config, flowing(), |tally| tally.heartbeat_acknowledged >= 8).await;
    assert_eq!(
        (tally.session_started, tally.ended_for(End::Silent)),
        (1, 0)
    );
}
