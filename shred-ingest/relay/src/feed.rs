//! Between the assembler and the clients: what was assembled of late, once for all of them.

use bytes::Bytes;
use shred_wire::Slot;
use tokio::sync::broadcast;

/// What clients are sent.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A message.
    Entries { slot: Slot, entries: Bytes },
    /// Something that cannot be sent.
    Lost,
}

/// Hands messages from the assembler to the clients that are there.
///
/// Holds the newest messages once for all clients, and never waits for one: who is further behind than it holds is
/// told how many it missed.
#[derive(Debug, Clone)]
pub struct EntryFeed(broadcast::Sender<Item>);

/// A feed that holds the newest `messages_max` messages (rounded up to a power of two). Mainnet sends in the order of
/// 150 batches of 30 KB a second.
///
/// # Panics
/// When `messages_max` is 0 or more than half of the address space.
#[must_use]
pub fn entry_feed(messages_max: usize) -> EntryFeed {
    EntryFeed(broadcast::channel(messages_max).0)
}

impl EntryFeed {
    /// Clients that are there.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.0.receiver_count()
    }

    pub(crate) fn send(&self, slot: Slot, entries: &[u8]) {
        if self.client_count() == 0 {
            return;
        }
        // Clients may have left meanwhile.
        let _ = self.0.send(Item::Entries {
            slot,
            entries: Bytes::copy_from_slice(entries),
        });
    }

    pub(crate) fn lose(&self) {
        let _ = self.0.send(Item::Lost);
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Item> {
        self.0.subscribe()
    }
}
