//! Real cells from the real builder, and a block engine that does as it is told.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bundle::{Builder, BuilderConfig, BundleCell, RecentBlockhash, Signer, ThrowAway};
use jito_searcher_client::proto::bundle::BundleResult;
use jito_searcher_client::proto::bundle::bundle_result::Result as Kind;
use jito_searcher_client::proto::searcher as wire;
use jito_searcher_client::proto::searcher::searcher_service_server::{
    SearcherService, SearcherServiceServer,
};
use market::{Lamports, Mint, PumpAccounts, Side, TokenAmount};
use risk::{Control, Gate, Limits, Mode};
use shred_wire::{Nanos, Slot};
use strategy::{Intent, LaneClass, Origin, Venue};
use submit::{Clock, Lane, Report};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, oneshot};
use tokio_stream::wrappers::{BroadcastStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

/// Builds cells as the core does: intent, gate, builder.
pub struct Cells {
    gate: Gate,
    builder: Builder,
    next_id: u64,
}

impl Cells {
    pub fn new() -> Self {
        let limits = Limits {
            open_notional_max: Lamports(u64::MAX / 2),
            positions_max: 256,
            entries_per_window_max: 4_096,
            ..Limits::default()
        };
        let gate = Gate::new(limits, Arc::new(Control::new(Mode::Active))).unwrap();
        let signer = Signer::<ThrowAway>::from_seed(&[42; 32]).unwrap();
        let builder = Builder::new(&BuilderConfig::default(), signer).unwrap();
        Self {
            gate,
            builder,
            next_id: 1,
        }
    }

    /// A cell of the class, for an intent of its own.
    pub fn cell(&mut self, lane: LaneClass) -> BundleCell {
        let id = self.next_id;
        self.next_id += 1;
        let mut mint = [7; 32];
        mint[..8].copy_from_slice(&id.to_le_bytes());
        let accounts = PumpAccounts {
            mint: Mint(mint),
            bonding_curve: [0x21; 32],
            associated_bonding_curve: [0x22; 32],
            token_program: bs58_key("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"),
            quote_mint: bs58_key("So11111111111111111111111111111111111111112"),
            creator: [0x33; 32],
            associated_quote_bonding_curve: None,
            creator_vault: None,
            associated_creator_vault: None,
            sharing_config: None,
            fee_recipient: None,
            buyback_fee_recipient: None,
        };
        let intent = Intent {
            id,
            origin: Origin::Launch,
            venue: Venue::PumpV3,
            lane,
            side: Side::Buy,
            mint: Mint(mint),
            spend: Lamports(1_000_000),
            tokens: TokenAmount(1),
            receive_min: Lamports(0),
            tip: Lamports(if lane == LaneClass::Public { 0 } else { 10_000 }),
            slot: Slot(100),
            at: Nanos(5),
            accounts: accounts.into(),
        };
        let approved = self.gate.check(intent, Nanos(5)).unwrap();
        let mut cell = BundleCell::new();
        let blockhash = RecentBlockhash {
            hash: [0xbb; 32],
            slot: Slot(99),
        };
        self.builder
            .build(&approved, &blockhash, &mut cell)
            .unwrap();
        cell.built_at = Nanos(6);
        cell
    }

    pub fn bundle(&mut self) -> BundleCell {
        self.cell(LaneClass::PrivateBundle)
    }
}

fn bs58_key(text: &str) -> [u8; 32] {
    // The client parses what engines say; here it parses what the test says.
    let alphabet = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut key = [0_u8; 32];
    for character in text.bytes() {
        let mut carry = alphabet
            .iter()
            .position(|known| *known == character)
            .unwrap();
        for byte in key.iter_mut().rev() {
            carry += usize::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        assert_eq!(carry, 0);
    }
    key
}

/// What the engine answers to the next bundles.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Take,
    Refuse(tonic::Code),
    Silence,
}

/// A block engine on a thread of its own.
pub struct Engine {
    pub address: SocketAddr,
    pub received: std_mpsc::Receiver<Vec<Vec<u8>>>,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    answer: Mutex<Answer>,
    received: Mutex<std_mpsc::Sender<Vec<Vec<u8>>>>,
    results: broadcast::Sender<BundleResult>,
}

impl Engine {
    pub fn start(address: &str) -> Self {
        let (sender, received) = std_mpsc::channel();
        let (answer, results) = (Mutex::new(Answer::Take), broadcast::Sender::new(1_024));
        let state = Arc::new(State {
            answer,
            received: Mutex::new(sender),
            results,
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address_of) = std_mpsc::channel();
        let (service, address) = (Service(state.clone()), address.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind(address).await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                let server = tonic::transport::Server::builder()
                    .add_service(SearcherServiceServer::new(service))
                    .serve_with_incoming(TcpListenerStream::new(listener));
                tokio::select! {
                    served = server => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        let address = address_of.recv().unwrap();
        Self {
            address,
            received,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn answer(&self, answer: Answer) {
        *self.state.answer.lock().unwrap() = answer;
    }

    pub fn say(&self, bundle_id: &str, kind: Kind) {
        let result = BundleResult {
            bundle_id: bundle_id.to_owned(),
            result: Some(kind),
        };
        self.state.results.send(result).unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.take();
        self.thread.take().unwrap().join().unwrap();
    }
}

struct Service(Arc<State>);

#[tonic::async_trait]
impl SearcherService for Service {
    type SubscribeBundleResultsStream =
        Pin<Box<dyn Stream<Item = Result<BundleResult, Status>> + Send>>;

    async fn subscribe_bundle_results(
        &self,
        _: Request<wire::SubscribeBundleResultsRequest>,
    ) -> Result<Response<Self::SubscribeBundleResultsStream>, Status> {
        let stream = BroadcastStream::new(self.0.results.subscribe());
        Ok(Response::new(Box::pin(stream.map(|item| {
            item.map_err(|error| Status::data_loss(error.to_string()))
        }))))
    }

    async fn send_bundle(
        &self,
        request: Request<wire::SendBundleRequest>,
    ) -> Result<Response<wire::SendBundleResponse>, Status> {
        let packets = request.into_inner().bundle.unwrap().packets;
        let packets = packets
            .into_iter()
            .map(|packet| packet.data.to_vec())
            .collect();
        self.0.received.lock().unwrap().send(packets).ok();
        let answer = *self.0.answer.lock().unwrap();
        match answer {
            Answer::Take => Ok(Response::new(wire::SendBundleResponse {
                uuid: "the engine's".into(),
            })),
            Answer::Refuse(code) => Err(Status::new(code, "as told")),
            Answer::Silence => std::future::pending().await,
        }
    }

    async fn get_next_scheduled_leader(
        &self,
        _: Request<wire::NextScheduledLeaderRequest>,
    ) -> Result<Response<wire::NextScheduledLeaderResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_connected_leaders(
        &self,
        _: Request<wire::ConnectedLeadersRequest>,
    ) -> Result<Response<wire::ConnectedLeadersResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_connected_leaders_regioned(
        &self,
        _: Request<wire::ConnectedLeadersRegionedRequest>,
    ) -> Result<Response<wire::ConnectedLeadersRegionedResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_tip_accounts(
        &self,
        _: Request<wire::GetTipAccountsRequest>,
    ) -> Result<Response<wire::GetTipAccountsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_regions(
        &self,
        _: Request<wire::GetRegionsRequest>,
    ) -> Result<Response<wire::GetRegionsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

pub fn clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || Nanos(1 + start.elapsed().as_nanos() as u64))
}

/// The next `count` reports, in order.
pub fn reports(lane: &mut dyn Lane, count: usize) -> Vec<Report> {
    let mut found = Vec::new();
    wait(|| {
        lane.poll(&mut |report| found.push(report));
        found.len() >= count
    });
    assert_eq!(found.len(), count, "{found:?}");
    found
}

/// Polls `done` until it holds, for at most five seconds.
#[track_caller]
pub fn wait(mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(5), "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}
