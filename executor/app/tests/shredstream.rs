//! The service's side of a shredstream against a small block engine: the key file signs, and state is told.

#![allow(clippy::unwrap_used, missing_docs)]

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bundle::{Signer, ThrowAway};
use jito_auth::proto::auth as wire;
use jito_auth::proto::auth::auth_service_server::{AuthService, AuthServiceServer};
use overmind::config::ShredstreamPlan;
use overmind::receive::Received;
use overmind::shredstream::Asking;
use shred_source::{ArenaPlan, DatagramSource as _, SourceId, UdpConfig, UdpSource, frame_ring};
use shredstream_client::proto::shredstream::shredstream_server::{Shredstream, ShredstreamServer};
use shredstream_client::proto::shredstream::{Heartbeat, HeartbeatResponse};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

const SEED: [u8; 32] = [0x44; 32];

/// Gives a token to whoever signs as [`SEED`] does, and keeps the heartbeats.
#[derive(Clone, Default)]
struct Engine(Arc<Mutex<Vec<Heartbeat>>>);

fn token(value: &str) -> Option<wire::Token> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Some(wire::Token {
        value: value.to_owned(),
        expires_at_utc: Some(prost_types::Timestamp {
            seconds: now.as_secs() as i64 + 3_600,
            nanos: 0,
        }),
    })
}

#[tonic::async_trait]
impl AuthService for Engine {
    async fn generate_auth_challenge(
        &self,
        _: Request<wire::GenerateAuthChallengeRequest>,
    ) -> Result<Response<wire::GenerateAuthChallengeResponse>, Status> {
        let challenge = "question".to_owned();
        Ok(Response::new(wire::GenerateAuthChallengeResponse {
            challenge,
        }))
    }

    async fn generate_auth_tokens(
        &self,
        request: Request<wire::GenerateAuthTokensRequest>,
    ) -> Result<Response<wire::GenerateAuthTokensResponse>, Status> {
        let request = request.into_inner();
        let signer = Signer::<ThrowAway>::from_seed(&SEED).unwrap();
        // Ed25519 signs the same bytes in the same way, always.
        if request.client_pubkey != signer.public_key()
            || request.signed_challenge != signer.sign(request.challenge.as_bytes())
        {
            return Err(Status::permission_denied("not signed by the key"));
        }
        Ok(Response::new(wire::GenerateAuthTokensResponse {
            access_token: token("access"),
            refresh_token: token("refresh"),
        }))
    }

    async fn refresh_access_token(
        &self,
        _: Request<wire::RefreshAccessTokenRequest>,
    ) -> Result<Response<wire::RefreshAccessTokenResponse>, Status> {
        Ok(Response::new(wire::RefreshAccessTokenResponse {
            access_token: token("access"),
        }))
    }
}

#[tonic::async_trait]
impl Shredstream for Engine {
    async fn send_heartbeat(
        &self,
        request: Request<Heartbeat>,
    ) -> Result<Response<HeartbeatResponse>, Status> {
        self.0.lock().unwrap().push(request.into_inner());
        Ok(Response::new(HeartbeatResponse { ttl_ms: 300 }))
    }
}

impl Engine {
    /// Serves until the process ends.
    fn serve(&self) -> SocketAddr {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let engine = self.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tonic::transport::Server::builder()
                    .add_service(AuthServiceServer::new(engine.clone()))
                    .add_service(ShredstreamServer::new(engine))
                    .serve_with_incoming(TcpListenerStream::new(listener))
                    .await
                    .unwrap();
            });
        });
        address
    }
}

#[track_caller]
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct KeyFile(PathBuf);

impl Drop for KeyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_key_file_answers_the_challenge_and_the_stream_is_told_of() {
    let name = format!("overmind-shredstream-{}", std::process::id());
    let key = KeyFile(std::env::temp_dir().join(name));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    std::io::Write::write_all(&mut options.open(&key.0).unwrap(), &SEED).unwrap();

    let (frames, _core, _) = frame_ring(&ArenaPlan::default()).unwrap();
    let config = UdpConfig::new((Ipv4Addr::LOCALHOST, 0).into());
    let (source, _) = UdpSource::open(&config, SourceId(0), frames, None).unwrap();
    let engine = Engine::default();
    let plan = ShredstreamPlan {
        endpoint: format!("http://{}", engine.serve()),
        auth_endpoint: None,
        regions: vec!["frankfurt".to_owned(), "amsterdam".to_owned()],
        announce: "203.0.113.7:20000".parse().unwrap(),
        source: 0,
        key_file: key.0.clone(),
    };
    let received = Received::Polled(Arc::clone(source.counters()));
    let asking = Asking::start(&plan, received).unwrap();
    let state = asking.state();
    until("heartbeats are answered", || {
        state.status()["events"]["heartbeat_acknowledged"].as_u64() > Some(2)
    });
    let status = state.status();
    assert_eq!(
        (&status["running"], &status["flowing"]),
        (&true.into(), &true.into())
    );
    assert_eq!(status["events"]["challenge_signed"], 1, "{status}");
    assert_eq!(state.fault(), None);
    let heard = engine.0.lock().unwrap()[0].clone();
    let socket = heard.socket.unwrap();
    assert_eq!((socket.ip.as_str(), socket.port), ("203.0.113.7", 20_000));
    assert_eq!(heard.regions, plan.regions);

    drop(asking);
    assert_eq!(state.status()["running"], false);
    let fault = state.fault().unwrap();
    assert!(fault.contains("nobody asks"), "{fault}");
}
