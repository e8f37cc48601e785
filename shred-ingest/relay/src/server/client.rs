//! One subscription: messages as they come, and what was missed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use shred_wire::Slot;
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::wrappers::{BroadcastStream, WatchStream};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::incoming::Admission;
use super::{EntryServerConfig, Lagging, ServerCounters, ServerRefusal};
use crate::feed::{EntryFeed, Item};
use crate::proto::shredstream_proxy_server::ShredstreamProxy;
use crate::proto::{Entry, SubscribeEntriesRequest};

/// `Vec<Entry>` without entries.
const NO_ENTRIES: &[u8] = &[0; 8];

pub(super) struct Service {
    feed: EntryFeed,
    token: Option<String>,
    clients_max: u64,
    lagging: Lagging,
    counters: Arc<ServerCounters>,
    stopped: watch::Receiver<bool>,
}

impl Service {
    pub(super) fn new(
        config: &EntryServerConfig,
        feed: EntryFeed,
        counters: Arc<ServerCounters>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            feed,
            token: config.token.clone(),
            clients_max: config.clients_max as u64,
            lagging: config.lagging,
            counters,
            stopped,
        }
    }

    fn admit(&self, headers: &MetadataMap) -> Result<(), Status> {
        if let Some(token) = &self.token {
            let brought = headers
                .get("authorization")
                .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
            if !brought.is_some_and(|brought| is_same(brought, token.as_bytes())) {
                self.counters.refuse(ServerRefusal::BadToken);
                return Err(Status::unauthenticated(
                    "the header `authorization: Bearer <token>` is missing or another",
                ));
            }
        }
        let here = self.counters.client_started.get() - self.counters.client_ended.get();
        if here >= self.clients_max {
            self.counters.refuse(ServerRefusal::ClientLimit);
            return Err(Status::resource_exhausted(format!(
                "{here} clients are here, and no more may be"
            )));
        }
        Ok(())
    }

    fn lagging(&self, headers: &MetadataMap) -> Result<Lagging, Status> {
        match headers.get("x-lagging").map(|value| value.as_bytes()) {
            None => Ok(self.lagging),
            Some(b"end") => Ok(Lagging::End),
            Some(b"mark") => Ok(Lagging::Mark),
            Some(_) => Err(Status::invalid_argument(
                "the header `x-lagging` is `end` or `mark`",
            )),
        }
    }
}

/// In a time that does not tell where they differ.
fn is_same(brought: &[u8], token: &[u8]) -> bool {
    let differing = brought
        .iter()
        .zip(token)
        .fold(0, |differing, (a, b)| differing | (a ^ b));
    std::hint::black_box(differing) == 0 && brought.len() == token.len()
}

#[tonic::async_trait]
impl ShredstreamProxy for Service {
    type SubscribeEntriesStream = Subscription;

    async fn subscribe_entries(
        &self,
        request: Request<SubscribeEntriesRequest>,
    ) -> Result<Response<Subscription>, Status> {
        self.admit(request.metadata())?;
        let lagging = self.lagging(request.metadata())?;
        if let Some(admission) = request.extensions().get::<Admission>() {
            admission.grant();
        }
        self.counters.client_started.add(1);
        Ok(Response::new(Subscription {
            items: BroadcastStream::new(self.feed.subscribe()),
            stop: WatchStream::from_changes(self.stopped.clone()),
            lagging,
            missed: 0,
            held: None,
            is_over: false,
            counters: Arc::clone(&self.counters),
        }))
    }
}

/// A client's stream. Asked for the next message only when its connection has room.
pub(super) struct Subscription {
    items: BroadcastStream<Item>,
    stop: WatchStream<bool>,
    lagging: Lagging,
    /// Messages that were missed and not told of yet.
    missed: u64,
    /// The message behind a mark.
    held: Option<(Slot, Bytes)>,
    is_over: bool,
    counters: Arc<ServerCounters>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.counters.client_ended.add(1);
    }
}

impl Subscription {
    fn message(&self, slot: Slot, entries: Bytes) -> Entry {
        self.counters.message_sent.add(1);
        Entry {
            slot: slot.0,
            entries,
            missed_count: 0,
        }
    }

    fn mark(&mut self, slot: Slot) -> Entry {
        Entry {
            slot: slot.0,
            entries: Bytes::from_static(NO_ENTRIES),
            missed_count: std::mem::take(&mut self.missed),
        }
    }

    fn end(&mut self, status: Status) -> Poll<Option<Result<Entry, Status>>> {
        self.is_over = true;
        Poll::Ready(Some(Err(status)))
    }

    fn note_missed(&mut self, count: u64) {
        self.missed += count;
        self.counters.client_lagged.add(1);
        self.counters.message_missed.add(count);
    }

    fn loss(&self) -> Status {
        let mut status = Status::data_loss(format!(
            "{} messages were lost: this client reads slower than entries come",
            self.missed
        ));
        status
            .metadata_mut()
            .insert("missed-count", self.missed.into());
        status
    }
}

impl Stream for Subscription {
    type Item = Result<Entry, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if Pin::new(&mut self.stop).poll_next(cx).is_ready() {
            return self.end(Status::unavailable("the relay is going down"));
        }
        if let Some((slot, entries)) = self.held.take() {
            return Poll::Ready(Some(Ok(self.message(slot, entries))));
        }
        loop {
            match ready!(Pin::new(&mut self.items).poll_next(cx)) {
                Some(Ok(Item::Entries { slot, entries })) => {
                    let entry = if self.missed > 0 {
                        self.held = Some((slot, entries));
                        self.mark(slot)
                    } else {
                        self.message(slot, entries)
                    };
                    return Poll::Ready(Some(Ok(entry)));
                }
                Some(Ok(Item::Lost)) => self.note_missed(1),
                Some(Err(BroadcastStreamRecvError::Lagged(count))) => self.note_missed(count),
                None => return self.end(Status::unavailable("there will be no more entries")),
            }
            if self.lagging == Lagging::End {
                let loss = self.loss();
                return self.end(loss);
            }
        }
    }
}
