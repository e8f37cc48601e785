//! The lane's own thread: calls, results and time-outs on one runtime.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jito_searcher_client::client::Delivery;
use jito_searcher_client::proto::bundle::BundleResult;
use jito_searcher_client::{BundleId, ClientError, ResultEvent, SearcherClient};
use rtrb::Producer;
use shred_wire::Nanos;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::flights::{Flights, error_of_result, outcome_of};
use super::{BlockEngineConfig, Idle, LaneEvent, Parcel, Shared};
use crate::Clock;
use crate::report::{LaneId, Outcome, Reason, Report};

/// Pause between looks for flights that have run out of time.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(50);
/// Pause between looks at the tokens' age; renewal begins minutes before their end.
const TOKEN_INTERVAL: Duration = Duration::from_secs(30);
/// Results read ahead of their handling; beyond that the transport's window holds the engine back.
const RESULTS_AHEAD_MAX: usize = 256;

pub(super) struct Driver {
    id: LaneId,
    config: BlockEngineConfig,
    client: SearcherClient,
    clock: Clock,
    inbox: mpsc::Receiver<Parcel>,
    outbox: Producer<LaneEvent>,
    shared: Arc<Shared>,
    flights: Flights,
}

impl Driver {
    pub(super) fn new(
        id: LaneId,
        config: BlockEngineConfig,
        client: SearcherClient,
        clock: Clock,
        inbox: mpsc::Receiver<Parcel>,
        outbox: Producer<LaneEvent>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            id,
            config,
            client,
            clock,
            inbox,
            outbox,
            shared,
            flights: Flights::default(),
        }
    }

    /// Runs until the lane is dropped. Tasks end with the runtime.
    pub(super) async fn run(mut self) {
        let mut results = self.read_results();
        let mut calls = JoinSet::new();
        let mut expiry = tokio::time::interval(EXPIRY_INTERVAL);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::spawn(renew_tokens(self.client.clone()));
        if self.config.idle == Idle::Spin {
            tokio::spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        loop {
            tokio::select! {
                biased;
                parcel = self.inbox.recv() => match parcel {
                    Some(parcel) => self.send(parcel, &mut calls),
                    None => return,
                },
                Some(done) = calls.join_next() => {
                    if let Ok((id, delivery)) = done {
                        self.delivered(id, delivery);
                    }
                }
                Some(result) = results.recv() => self.result(result),
                _ = expiry.tick() => self.expire(),
            }
        }
    }

    /// Reads the result stream from a task of its own: opening it may take longer than anything else here.
    fn read_results(&self) -> mpsc::Receiver<BundleResult> {
        let (sender, receiver) = mpsc::channel(RESULTS_AHEAD_MAX);
        if !self.config.results_wanted {
            return receiver;
        }
        let (mut stream, shared) = (self.client.bundle_results(), self.shared.clone());
        tokio::spawn(async move {
            loop {
                match stream.next().await {
                    ResultEvent::Subscribed => shared.subscribed.store(true, Ordering::Relaxed),
                    ResultEvent::Interrupted(_) => {
                        shared.subscribed.store(false, Ordering::Relaxed);
                        shared.interruptions.fetch_add(1, Ordering::Relaxed);
                    }
                    ResultEvent::Result(result) => {
                        if sender.send(result).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        receiver
    }

    fn send(&mut self, parcel: Parcel, calls: &mut JoinSet<(BundleId, Delivery)>) {
        let Parcel {
            intent_id,
            signatures,
            count,
            request,
        } = parcel;
        let id = BundleId::of_signatures(&signatures[..count]);
        let expires_at = Instant::now() + self.config.result_timeout;
        // The first signature is part of the id, and the lane lets each be in flight once.
        self.flights
            .depart(id, intent_id, signatures[0], expires_at);
        let client = self.client.clone();
        calls.spawn(async move { (id, client.send_bundle(request).await) });
    }

    fn delivered(&mut self, id: BundleId, delivery: Delivery) {
        let Delivery {
            answer,
            written_at,
            nothing_written,
        } = delivery;
        if let Some(at) = written_at {
            self.tell_at(&id, Outcome::HandedOver, None, Nanos(at));
        }
        let program_error = answer.as_ref().err().and_then(error_of_refusal);
        let outcome = match answer {
            // Received before: the engine has it, which is what the acknowledgement says.
            Ok(_) | Err(ClientError::Duplicate { .. }) => Outcome::Acknowledged,
            Err(error) if error.is_certain() || nothing_written => {
                Outcome::Rejected(reason_of(&error))
            }
            Err(error) => Outcome::Unknown(reason_of(&error)),
        };
        self.tell(&id, outcome, program_error);
    }

    fn result(&mut self, result: BundleResult) {
        let BundleResult { bundle_id, result } = result;
        let program_error = error_of_result(result.as_ref());
        let told = match (bundle_id.parse::<BundleId>(), outcome_of(result)) {
            (Ok(id), Some(outcome)) => self.tell(&id, outcome, program_error),
            _ => false,
        };
        if !told {
            self.shared.unmatched.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn expire(&mut self) {
        let Self {
            flights,
            outbox,
            id,
            clock,
            ..
        } = self;
        flights.expire(Instant::now(), |flight, processed| {
            let (intent_id, signature) = (flight.intent_id, flight.signature);
            if !processed {
                let outcome = Outcome::Unknown(Reason::NoResult);
                put(
                    outbox,
                    LaneEvent::Report(Report {
                        lane: *id,
                        intent_id,
                        signature,
                        outcome,
                        program_error: None,
                        at: clock(),
                    }),
                );
            }
            put(outbox, LaneEvent::Closed(signature));
        });
    }

    fn tell(&mut self, id: &BundleId, outcome: Outcome, program_error: Option<u32>) -> bool {
        let at = (self.clock)();
        self.tell_at(id, outcome, program_error, at)
    }

    /// False when it is no news.
    fn tell_at(
        &mut self,
        id: &BundleId,
        outcome: Outcome,
        program_error: Option<u32>,
        at: Nanos,
    ) -> bool {
        let Some(flight) = self.flights.note(id, outcome) else {
            return false;
        };
        let (lane, intent_id, signature) = (self.id, flight.intent_id, flight.signature);
        put(
            &mut self.outbox,
            LaneEvent::Report(Report {
                lane,
                intent_id,
                signature,
                outcome,
                program_error,
                at,
            }),
        );
        if outcome.is_last() {
            put(&mut self.outbox, LaneEvent::Closed(signature));
        }
        true
    }
}

/// The ring has room for all that the bundles in flight can have said: a full one is a broken invariant.
fn put(outbox: &mut Producer<LaneEvent>, event: LaneEvent) {
    assert!(
        outbox.push(event).is_ok(),
        "the lane's report ring is sized for every bundle in flight"
    );
}

async fn renew_tokens(client: SearcherClient) {
    let mut pauses = tokio::time::interval(TOKEN_INTERVAL);
    loop {
        pauses.tick().await;
        // A failure shows in the next call, which then authenticates itself.
        let _ = client.renew_tokens().await;
    }
}

/// The program's error in the words of an engine that ran the bundle before it answered.
fn error_of_refusal(error: &ClientError) -> Option<u32> {
    match error {
        ClientError::Refused { message } | ClientError::Protocol { message, .. } => {
            risk::custom_error(message)
        }
        _ => None,
    }
}

fn reason_of(error: &ClientError) -> Reason {
    match error {
        ClientError::Unreachable { .. } => Reason::Unreachable,
        ClientError::Timeout { .. } => Reason::NoAnswer,
        ClientError::RateLimited { .. } => Reason::RateLimited,
        ClientError::Unauthenticated { .. } => Reason::NotAuthenticated,
        ClientError::Refused { .. } | ClientError::Encode(_) | ClientError::Duplicate { .. } => {
            Reason::Refused
        }
        ClientError::BadEndpoint { .. }
        | ClientError::TlsNotBuilt { .. }
        | ClientError::PlaintextRefused { .. }
        | ClientError::Protocol { .. } => Reason::Protocol,
    }
}
