//! Which instructions make up one transaction, by venue, side and lane.
//!
//! ```text
//! buy:  [slot guard] [open and fund wrapped SOL] open coin account, trade [close wrapped SOL] [tip] [floor]
//! sell: [slot guard] [open wrapped SOL]          trade [close wrapped SOL] [close coin account] [tip] [floor]
//! ```
//! Pump's curves move lamports; every other venue moves wrapped SOL, and by default the account for it lives only
//! inside the transaction: its rent is put up and comes back with whatever was not spent, so the trade costs and
//! brings lamports like one on a curve. The associated account is used, since one under a seed of ours could be
//! blocked by a lamport sent to its address ahead of time.
//!
//! The tip comes after everything that may fail, so that a trade that fails has paid nothing even where failures
//! land; the floor comes last, since it is about what is left.

use market::{Key, Side};
use strategy::Venue;

use crate::address::{JITO_DONT_FRONT, SYSTEM_PROGRAM, TOKEN_PROGRAM};
use crate::instruction::{
    close_coin_account, create_coin_account, create_wrapped_sol_account, keep_floor, no_op,
    readonly, slot_guard, tip, unwrap_all, wrap_spend,
};
use crate::template::{InstructionSpec, PriceSource};
use crate::trader::Trader;
use crate::{launchlab, pump, pump_amm, raydium_amm, raydium_cp};

/// How a venue that trades wrapped SOL gets it and what becomes of it. Pump's curves take lamports and never ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WrappedSol {
    /// The account is opened, funded and closed inside each transaction. Needs nothing but lamports: the spend and,
    /// until the transaction ends, the account's rent. Whatever wrapped SOL was there before is unwrapped too.
    #[default]
    PerTrade,
    /// The account stands, and the operator keeps it funded: buys spend from it and sells leave the proceeds in it.
    /// Saves four instructions of a buy and two of a sell; a transaction fails while the account is missing or short.
    Standing,
}

/// Parts of a transaction that an operator chooses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parts {
    pub(crate) wrapped_sol: WrappedSol,
    pub(crate) close_coin_account: bool,
    pub(crate) slot_guard: bool,
    pub(crate) wallet_floor: bool,
}

/// How a transaction pays for its place: what differs between lanes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Form {
    /// The configured priority fee, no tip.
    Plain,
    /// A tip is transferred.
    Tipped,
    /// The priority fee is open.
    Priced,
    /// A tip is transferred and the priority fee is open.
    Split,
    /// [`Form::Tipped`] and asks to be the first of its bundle.
    TippedFront,
    /// [`Form::Priced`] and asks to be the first of its bundle.
    PricedFront,
    /// [`Form::Split`] and asks to be the first of its bundle.
    SplitFront,
}

impl Form {
    pub(crate) const ALL: [Self; Self::COUNT] = [
        Self::Plain,
        Self::Tipped,
        Self::Priced,
        Self::Split,
        Self::TippedFront,
        Self::PricedFront,
        Self::SplitFront,
    ];
    pub(crate) const COUNT: usize = 7;

    pub(crate) const fn is_tipped(self) -> bool {
        matches!(
            self,
            Self::Tipped | Self::Split | Self::TippedFront | Self::SplitFront
        )
    }

    pub(crate) const fn price(self) -> PriceSource {
        match self {
            Self::Plain | Self::Tipped | Self::TippedFront => PriceSource::Fixed,
            Self::Priced | Self::Split | Self::PricedFront | Self::SplitFront => {
                PriceSource::Patched
            }
        }
    }

    pub(crate) const fn is_front(self) -> bool {
        matches!(
            self,
            Self::TippedFront | Self::PricedFront | Self::SplitFront
        )
    }

    /// The same form, asking to be first; a transaction that pays for no place has nothing to ask.
    pub(crate) const fn to_front(self) -> Self {
        match self {
            Self::Tipped => Self::TippedFront,
            Self::Priced => Self::PricedFront,
            Self::Split => Self::SplitFront,
            other => other,
        }
    }
}

/// Whether the venue moves wrapped SOL.
const fn trades_wrapped_sol(venue: Venue) -> bool {
    !matches!(venue, Venue::PumpV3 | Venue::PumpV2)
}

/// The instructions of one trade; `None` when the venue has no coins of that token program.
///
/// `token_program` owns the coin's mint. It is fixed per template, because it may equal the quote's token program
/// and a key stands in the table only once.
pub(crate) fn instructions(
    venue: Venue,
    side: Side,
    token_program: &Key,
    form: Form,
    parts: &Parts,
    trader: &Trader,
) -> Option<Vec<InstructionSpec>> {
    let trade = trade(venue, side, token_program, trader)?;
    let wraps = trades_wrapped_sol(venue) && parts.wrapped_sol == WrappedSol::PerTrade;
    let mut all = Vec::new();
    if parts.slot_guard {
        // First: a transaction that is too late stops before it does anything.
        all.push(slot_guard());
    }
    if wraps {
        all.push(create_wrapped_sol_account(trader));
    }
    if side == Side::Buy {
        if wraps {
            all.extend(wrap_spend(trader));
        }
        all.push(create_coin_account(token_program, trader));
    }
    all.push(trade);
    if wraps {
        all.push(unwrap_all(trader));
    }
    if side == Side::Sell && parts.close_coin_account {
        all.push(close_coin_account(token_program, trader));
    }
    if form.is_tipped() {
        all.push(tip(trader));
    }
    if parts.wallet_floor {
        all.push(keep_floor(trader));
    }
    if form.is_front() {
        mark_front(&mut all, trader);
    }
    Some(all)
}

fn trade(
    venue: Venue,
    side: Side,
    token_program: &Key,
    trader: &Trader,
) -> Option<InstructionSpec> {
    Some(match venue {
        Venue::PumpV3 => pump::trade_v3(side, token_program, trader),
        Venue::PumpV2 => pump::trade_v2(side, token_program, trader),
        Venue::PumpSwap => pump_amm::trade(side, token_program, trader),
        Venue::RaydiumAmm if *token_program == TOKEN_PROGRAM => raydium_amm::trade(side, trader),
        Venue::RaydiumAmm => return None,
        Venue::RaydiumCp => raydium_cp::trade(side, token_program, trader),
        Venue::LaunchLab => launchlab::trade(side, token_program, trader),
    })
}

/// Names the account that block engines take for "nothing of this bundle comes before me". Any instruction may carry
/// it as a readonly account; a venue would take a further account for one of its own, a transfer looks at its first
/// two only.
///
/// Source: Jito documentation on `jitodontfront`; solana.com "MEV Protection with Jito DontFront".
fn mark_front(instructions: &mut Vec<InstructionSpec>, trader: &Trader) {
    let is_transfer = |found: &&mut InstructionSpec| found.program == SYSTEM_PROGRAM;
    match instructions.iter_mut().rev().find(is_transfer) {
        Some(transfer) => transfer.accounts.push(readonly(&JITO_DONT_FRONT)),
        None => {
            let mut carrier = no_op(trader);
            carrier.accounts.push(readonly(&JITO_DONT_FRONT));
            instructions.push(carrier);
        }
    }
}
