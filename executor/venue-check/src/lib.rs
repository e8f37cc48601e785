//! Whether what we build is still what the venues' programs expect.
//!
//! ```text
//! Chain (JSON-RPC, or an SVM in tests)
//!   |-- recent trades -> a live coin or pool, somebody who trades it
//!   |-- accounts      -> priced as the engine prices it; Prints of programs and fee accounts
//!   `-- simulate      <- our own builder's bytes, unsigned   -> Verdict
//!                              Verdict, Prints -> Guard -> risk::Venues (entries refused)
//! ```
//!
//! A venue's program can be replaced, its fees and its accounts' order changed, from one slot to the next. Then what we
//! build fails, or trades at another price than we think. So each builder's bytes are simulated, and what the venue is
//! made of is looked at again and again; what has changed disables the venue until an operator says otherwise. What cannot
//! be known is [`Verdict::Unknown`]: it is never shown as passed and disables nothing by itself.
//!
//! Nothing here opens a socket or a file, and nothing of it runs on a hot thread.
#![forbid(unsafe_code)]

mod chain;
mod check;
mod guard;
mod print;
mod record;
mod rpc;
mod specimen;
mod table;
mod verdict;

pub use chain::{Account, Accounts, Chain, ChainError, Recent, Simulated, Slice};
pub use check::{Checked, Checker};
pub use guard::{Guard, VenueState};
pub use print::{Change, Kind, Print, Prints, Watched, changes, look, watched};
pub use record::{Record, RecordReject};
pub use rpc::{Ask, RpcChain};
pub use verdict::{Failure, Fault, Verdict, judge};

/// An address as people write it.
#[must_use]
pub fn shown(key: &market::Key) -> String {
    bs58::encode(key).into_string()
}

/// An address as people write it, read.
pub(crate) fn key_of(text: &str) -> Option<market::Key> {
    let mut key = [0; 32];
    matches!(bs58::decode(text).onto(&mut key), Ok(32)).then_some(key)
}
