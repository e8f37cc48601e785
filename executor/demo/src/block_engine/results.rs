//! Results on their way to the subscribers.

use std::pin::Pin;
use std::sync::Arc;

use jito_searcher_client::BundleId;
use jito_searcher_client::proto::bundle::bundle_result::Result as Kind;
use jito_searcher_client::proto::bundle::rejected::Reason;
use jito_searcher_client::proto::bundle::{BundleResult, Dropped, DroppedReason, Rejected};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::counters::Counters;
use crate::keys::Key;

/// Results a subscriber may lag behind before it misses the oldest.
const LAG_MAX: usize = 1_024;

/// What a `SubscribeBundleResults` call answers with.
pub(super) type ResultStream = Pin<Box<dyn Stream<Item = Result<BundleResult, Status>> + Send>>;

/// Sends each result to every subscription of the bundle's owner.
#[derive(Clone)]
pub(super) struct Results {
    sender: broadcast::Sender<(Owner, BundleResult)>,
    counters: Arc<Counters>,
}

/// Who sent a bundle: an authenticated key, or everyone who came without one.
pub(super) type Owner = Option<Key>;

impl Results {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            sender: broadcast::Sender::new(LAG_MAX),
            counters,
        }
    }

    /// Results of `owner`'s bundles from now on.
    pub(super) fn subscribe(&self, owner: Owner) -> ResultStream {
        let counters = self.counters.clone();
        let stream =
            BroadcastStream::new(self.sender.subscribe()).filter_map(move |item| match item {
                Ok((to, result)) => (to == owner).then_some(Ok(result)),
                Err(BroadcastStreamRecvError::Lagged(count)) => {
                    counters.results_missed(count);
                    None
                }
            });
        Box::pin(stream)
    }

    pub(super) fn send(&self, owner: Owner, id: BundleId, kind: Kind) {
        // Nobody may be listening; a searcher that did not subscribe hears nothing at Jito's either.
        let _ = self.sender.send((
            owner,
            BundleResult {
                bundle_id: id.to_string(),
                result: Some(kind),
            },
        ));
    }
}

pub(super) fn rejected(reason: Reason) -> Kind {
    Kind::Rejected(Rejected {
        reason: Some(reason),
    })
}

pub(super) fn dropped(reason: DroppedReason) -> Kind {
    Kind::Dropped(Dropped {
        reason: reason.into(),
    })
}
