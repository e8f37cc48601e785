//! What account data says of a pool.

use shred_wire::Slot;

use super::{Circumstances, Pool, PoolState};
use crate::accounts::VenueAccounts;
use crate::launchlab;
use crate::listing::Deal;
use crate::quote::QuoteReject;
use crate::told::{FeedId, Version};
use crate::units::{Key, TokenAmount};

/// What account data says of a pool, put together by who reads accounts: the pool's own, its vaults', its mints', its
/// configurations'.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolTruth {
    /// The pool.
    pub pool: Key,
    /// What our instructions name.
    pub accounts: VenueAccounts,
    /// What its price depends on.
    pub state: PoolState,
    /// Slot of the block that wrote it last.
    pub slot: Slot,
    /// Counts the node's writes: of two of one slot the higher is the later.
    pub write_version: u64,
    /// Whose writes.
    pub feed: FeedId,
    /// Of the latest configuration or mint that the price depends on: they change without the pool.
    pub terms: Version,
    /// Of a launch pad's curve: where it goes on.
    pub succession: Option<Succession>,
    /// Somebody can take the coin from whoever holds it, or keep it from being sold
    /// ([`Dangers::threatens_holders`](crate::token::Dangers::threatens_holders)).
    pub is_dangerous: bool,
}

impl PoolTruth {
    /// Which state of the pool it is.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version {
            feed: self.feed,
            slot: self.slot,
            write_version: self.write_version,
        }
    }

    /// What selling `tokens` of the coin would have brought in the state that was told.
    ///
    /// # Errors
    /// [`QuoteReject`].
    pub fn sell(
        &self,
        tokens: TokenAmount,
        circumstances: &Circumstances<'_>,
    ) -> Result<Deal, QuoteReject> {
        Pool::of(self).sell(tokens, circumstances)
    }
}

/// Where a launch pad's curve goes on once it has sold out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Succession {
    /// The pool it becomes, where its address follows from the configurations. Anybody may have opened one there before:
    /// then the migration opens another, and says so.
    pub pool: Option<Key>,
    /// Who alone may migrate it.
    pub migrators: launchlab::Migrators,
}
