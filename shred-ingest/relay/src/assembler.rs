//! The stage that makes entry batches of the shreds that were passed on.

use std::sync::Arc;

use shred_resolve::{Arrival, Leaders, Plan, Policy, ResolvedTxn, Resolver, SetPayload, Sink};
use shred_source::{CoreFrames, RX_BURST};

use crate::batches::{Batches, EntriesPlan, Piece};
use crate::counters::AssemblerCounters;
use crate::feed::EntryFeed;

/// Makes whole entry batches of shreds, and hands them to an [`EntryFeed`].
///
/// Not for a hot thread: it allocates for each batch, and the feed takes a lock for a moment. The ring in front of it
/// drops what it does not keep up with, so it holds nobody up.
pub struct Assembler {
    frames: CoreFrames,
    resolver: Resolver,
    batches: Batches,
    feed: EntryFeed,
    counters: Arc<AssemblerCounters>,
}

/// Listens to the resolver for payloads alone.
struct Payloads<'a> {
    batches: &'a mut Batches,
    feed: &'a EntryFeed,
}

impl Sink for Payloads<'_> {
    fn transaction(&mut self, _txn: &ResolvedTxn<'_>) {}

    fn payload(&mut self, payload: &SetPayload<'_>) {
        let feed = self.feed;
        self.batches.set(payload, |piece| match piece {
            Piece::Entries(bytes) => feed.send(payload.slot, bytes),
            Piece::Lost => feed.lose(),
        });
    }
}

impl Assembler {
    /// Reads the ring that a [`Relay`](crate::Relay) fills. Allocates what `plan` asks for.
    #[must_use]
    pub fn new(frames: CoreFrames, plan: &Plan, entries: EntriesPlan, feed: EntryFeed) -> Self {
        Self {
            frames,
            resolver: Resolver::new(&Plan {
                // Signatures are checked within the call: nobody here is in a hurry.
                checks_max: 0,
                ..plan.clone()
            }),
            batches: Batches::new(entries),
            feed,
            counters: Arc::default(),
        }
    }

    /// What was read and what was made of it.
    #[must_use]
    pub fn counters(&self) -> &Arc<AssemblerCounters> {
        &self.counters
    }

    /// True when the relay is gone and all that it handed over has been read.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.frames.is_ended()
    }

    /// Runs one duty cycle: at most [`RX_BURST`] shreds. Returns how many there were (0 = idle).
    ///
    /// `leaders` as for the relay. Signatures are checked once more, one for each set: a relay may be told not to.
    pub fn poll(&mut self, leaders: &impl Leaders) -> usize {
        let Self {
            frames,
            resolver,
            batches,
            feed,
            counters,
        } = self;
        let mut sink = Payloads { batches, feed };
        let count = frames.drain(RX_BURST, |descriptor, shred| {
            let arrival = Arrival {
                source: descriptor.source,
                policy: Policy::VerifyThenEmit,
                at: descriptor.stamp,
            };
            if resolver.handle(shred, arrival, leaders, &mut sink).is_err() {
                counters.shred_refused.add(1);
            }
        });
        if count > 0 {
            counters.shred_received.add(count as u64);
            counters
                .set_recovered
                .set(resolver.counters().set_recovered);
            counters.take_over(batches.tally());
        }
        count
    }
}
