//! The embedded market's accounts as a feed.

use accounts::AccountData;
use demo::ToldAccounts;
use demo::accounts::AccountWrite;
use market::FeedId;
use shred_wire::Slot;

use crate::account_feed::AccountFeed;

/// Accounts taken in one duty cycle.
const ACCOUNTS_A_TURN: usize = 256;

/// Slots of an epoch. Source: solana-epoch-schedule `DEFAULT_SLOTS_PER_EPOCH`.
const EPOCH_SLOTS: u64 = 432_000;

/// What the embedded market tells of its accounts.
#[derive(Debug)]
pub struct EmbeddedFeed(pub ToldAccounts);

impl AccountFeed for EmbeddedFeed {
    fn poll(&mut self, each: &mut dyn FnMut(&AccountData<'_>)) -> usize {
        let mut taken = 0;
        while taken < ACCOUNTS_A_TURN
            && let Some(account) = self.0.next_due()
        {
            each(&account_data(&account));
            taken += 1;
        }
        taken
    }
}

/// An account in the words of the executor.
#[must_use]
pub fn account_data(account: &AccountWrite) -> AccountData<'_> {
    AccountData {
        feed: FeedId::default(),
        key: account.key,
        owner: account.owner,
        slot: Slot(account.slot),
        write_version: account.write_version,
        batch: account.batch,
        data: &account.data,
    }
}

/// The epoch of `slot`: transfer fees change with it.
#[must_use]
pub const fn epoch_of(slot: u64) -> u64 {
    slot / EPOCH_SLOTS
}
