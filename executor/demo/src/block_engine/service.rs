//! `searcher.SearcherService` as the outside sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jito_searcher_client::BundleId;
use jito_searcher_client::proto::searcher as wire;
use jito_searcher_client::proto::searcher::searcher_service_server::SearcherService;
use tonic::{Request, Response, Status};

use super::BlockEngineConfig;
use super::admission::{Refusal, admit};
use super::auth::Door;
use super::counters::{Counters, Happened};
use super::desk::DeskSender;
use super::results::{ResultStream, Results};
use super::venue::Venue;
use crate::exchange::BUNDLE_TRANSACTIONS_MAX;
use crate::keys::base58;

/// Slots ahead that `GetConnectedLeaders` tells of.
const LEADER_SLOTS_AHEAD: u64 = 256;

pub(super) struct Searcher<V> {
    venue: Arc<V>,
    config: Arc<BlockEngineConfig>,
    counters: Arc<Counters>,
    results: Results,
    desk: DeskSender,
    door: Arc<Door>,
    memory: Mutex<Memory>,
}

/// What the service remembers between calls.
#[derive(Default)]
struct Memory {
    seen: Seen,
    rates: Rates,
}

impl<V: Venue> Searcher<V> {
    pub(super) fn new(
        venue: Arc<V>,
        config: Arc<BlockEngineConfig>,
        counters: Arc<Counters>,
        results: Results,
        desk: DeskSender,
        door: Arc<Door>,
    ) -> Self {
        Self {
            venue,
            config,
            counters,
            results,
            desk,
            door,
            memory: Mutex::default(),
        }
    }

    fn receive(&self, request: Request<wire::SendBundleRequest>) -> Result<BundleId, Refusal> {
        let owner = self.door.identify(request.metadata())?;
        if let (Some(limit), Some(from)) = (self.config.sends_per_second, request.remote_addr()) {
            self.memory(|memory| memory.rates.take(from.ip(), limit, Instant::now()))?;
        }
        let packets = request.into_inner().bundle.ok_or(Refusal::Empty)?.packets;
        if packets.len() > BUNDLE_TRANSACTIONS_MAX {
            return Err(Refusal::TooManyTransactions);
        }
        let bundle = admit(
            &*self.venue,
            packets
                .into_iter()
                .map(|packet| packet.data.into())
                .collect(),
        )?;
        let id = bundle.id;
        self.memory(|memory| memory.seen.insert(id))?;
        self.desk.offer(owner, bundle, self.venue.current_slot())?;
        Ok(id)
    }

    fn leaders(&self) -> wire::ConnectedLeadersResponse {
        let from = self.venue.current_slot();
        let mut connected_validators = BTreeMap::<String, wire::SlotList>::new();
        for slot in from..from.saturating_add(LEADER_SLOTS_AHEAD) {
            if let (identity, true) = self.venue.leader(slot) {
                connected_validators
                    .entry(base58(&identity))
                    .or_default()
                    .slots
                    .push(slot);
            }
        }
        wire::ConnectedLeadersResponse {
            connected_validators,
        }
    }

    fn is_here(&self, regions: &[String]) -> bool {
        regions.is_empty() || regions.contains(&self.config.region)
    }

    fn memory<R>(&self, use_it: impl FnOnce(&mut Memory) -> R) -> R {
        use_it(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[tonic::async_trait]
impl<V: Venue> SearcherService for Searcher<V> {
    type SubscribeBundleResultsStream = ResultStream;

    async fn subscribe_bundle_results(
        &self,
        request: Request<wire::SubscribeBundleResultsRequest>,
    ) -> Result<Response<ResultStream>, Status> {
        let owner = self
            .door
            .identify(request.metadata())
            .map_err(Refusal::status)?;
        Ok(Response::new(self.results.subscribe(owner)))
    }

    async fn send_bundle(
        &self,
        request: Request<wire::SendBundleRequest>,
    ) -> Result<Response<wire::SendBundleResponse>, Status> {
        self.counters.count(Happened::Received);
        match self.receive(request) {
            Ok(id) => Ok(Response::new(wire::SendBundleResponse {
                uuid: id.to_string(),
            })),
            Err(refusal) => {
                self.counters.count(Happened::Refused(refusal));
                Err(refusal.status())
            }
        }
    }

    async fn get_next_scheduled_leader(
        &self,
        request: Request<wire::NextScheduledLeaderRequest>,
    ) -> Result<Response<wire::NextScheduledLeaderResponse>, Status> {
        self.door
            .identify(request.metadata())
            .map_err(Refusal::status)?;
        if !self.is_here(&request.get_ref().regions) {
            return Err(Status::invalid_argument("no such region"));
        }
        let current_slot = self.venue.current_slot();
        let next = self.venue.next_jito_leader(current_slot);
        let (next_leader_slot, identity) =
            next.ok_or_else(|| Status::not_found("no leader is connected"))?;
        Ok(Response::new(wire::NextScheduledLeaderResponse {
            current_slot,
            next_leader_slot,
            next_leader_identity: base58(&identity),
            next_leader_region: self.config.region.clone(),
        }))
    }

    async fn get_connected_leaders(
        &self,
        request: Request<wire::ConnectedLeadersRequest>,
    ) -> Result<Response<wire::ConnectedLeadersResponse>, Status> {
        self.door
            .identify(request.metadata())
            .map_err(Refusal::status)?;
        Ok(Response::new(self.leaders()))
    }

    async fn get_connected_leaders_regioned(
        &self,
        request: Request<wire::ConnectedLeadersRegionedRequest>,
    ) -> Result<Response<wire::ConnectedLeadersRegionedResponse>, Status> {
        self.door
            .identify(request.metadata())
            .map_err(Refusal::status)?;
        let here = self.is_here(&request.get_ref().regions);
        let connected_validators = here
            .then(|| (self.config.region.clone(), self.leaders()))
            .into_iter()
            .collect();
        Ok(Response::new(wire::ConnectedLeadersRegionedResponse {
            connected_validators,
        }))
    }

    async fn get_tip_accounts(
        &self,
        request: Request<wire::GetTipAccountsRequest>,
    ) -> Result<Response<wire::GetTipAccountsResponse>, Status> {
        self.door
            .identify(request.metadata())
            .map_err(Refusal::status)?;
        let accounts = self.venue.tip_accounts().iter().map(base58).collect();
        Ok(Response::new(wire::GetTipAccountsResponse { accounts }))
    }

    async fn get_regions(
        &self,
        request: Request<wire::GetRegionsRequest>,
    ) -> Result<Response<wire::GetRegionsResponse>, Status> {
        self.door
            .identify(request.metadata())
            .map_err(Refusal::status)?;
        let region = self.config.region.clone();
        let available_regions = vec![region.clone()];
        Ok(Response::new(wire::GetRegionsResponse {
            current_region: region,
            available_regions,
        }))
    }
}

/// Bundles received lately.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<BundleId>,
    order: VecDeque<BundleId>,
}

/// Ids remembered; more than a market takes within the life of a blockhash.
const SEEN_MAX: usize = 16_384;

impl Seen {
    fn insert(&mut self, id: BundleId) -> Result<(), Refusal> {
        if !self.ids.insert(id) {
            return Err(Refusal::Duplicate);
        }
        self.order.push_back(id);
        if self.order.len() > SEEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        Ok(())
    }
}

/// Requests of each address in its current second.
#[derive(Default)]
struct Rates {
    windows: BTreeMap<IpAddr, (Instant, u32)>,
}

/// Addresses kept apart; beyond that everybody's second starts anew.
const ADDRESSES_MAX: usize = 1_024;
const RATE_WINDOW: Duration = Duration::from_secs(1);

impl Rates {
    fn take(&mut self, from: IpAddr, limit: u32, now: Instant) -> Result<(), Refusal> {
        if self.windows.len() >= ADDRESSES_MAX && !self.windows.contains_key(&from) {
            self.windows.clear();
        }
        let window = self.windows.entry(from).or_insert((now, 0));
        if now.duration_since(window.0) >= RATE_WINDOW {
            *window = (now, 0);
        }
        if window.1 >= limit {
            return Err(Refusal::RateLimited);
        }
        window.1 += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_rate_is_per_address_and_second() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let (a, b) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let mut take = |from, millis| rates.take(from, 2, start + Duration::from_millis(millis));
        assert_eq!(
            [take(a, 0), take(a, 500), take(a, 999)],
            [Ok(()), Ok(()), Err(Refusal::RateLimited)]
        );
        assert_eq!([take(b, 999), take(a, 1_000)], [Ok(()), Ok(())]);
    }

    #[test]
    fn old_bundles_are_forgotten_new_ones_are_not() {
        let id = |number: usize| {
            let mut signature = [0; 64];
            signature[..8].copy_from_slice(&number.to_le_bytes());
            BundleId::of_signatures([&signature])
        };
        let mut seen = Seen::default();
        for number in 0..=SEEN_MAX {
            seen.insert(id(number)).unwrap();
        }
        assert_eq!(seen.insert(id(SEEN_MAX)), Err(Refusal::Duplicate));
        assert_eq!(seen.insert(id(0)), Ok(()));
        assert!(seen.ids.len() <= SEEN_MAX && seen.order.len() == seen.ids.len());
    }
}
