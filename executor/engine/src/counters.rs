//! What an engine counted. Plain numbers, copied out by whoever publishes them.

use bundle::BuildReject;
use bundle::ladder::NoRung;
use market::{DecodeReject, Program};
use strategy::{Origin, Pass};

use crate::armed::ArmReject;

/// Totals since the engine was built. The curve table and the gate keep their own beside these.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Transactions taken.
    pub transaction_handled: u64,
    /// Transactions passed over because their leader signature was not checked.
    pub transaction_unverified_skipped: u64,
    /// Transactions of a part of a block already given up.
    pub transaction_retracted_skipped: u64,
    /// Transactions of a slot with two versions.
    pub transaction_contested_skipped: u64,
    /// Launches decoded.
    pub launch_decoded: u64,
    /// Trades decoded.
    pub trade_decoded: u64,
    /// Calls of pools' programs decoded, inferred ones included.
    pub pool_event_decoded: u64,
    /// Account data of curves and pools handled.
    pub truth_handled: u64,
    /// Trades whose coin sits behind a lookup table.
    pub trade_unresolved: u64,
    /// Instructions of programs we read without an event, by [`DecodeReject`].
    pub decode_rejected: [u64; DecodeReject::COUNT],
    /// The same by [`Program`] and [`DecodeReject`].
    pub decode_rejected_of: [[u64; DecodeReject::COUNT]; Program::COUNT],
    /// Occasions that led to nothing, by [`Pass`].
    pub passed: [u64; Pass::COUNT],
    /// Entries a veto forbade.
    pub entry_vetoed: u64,
    /// Intents offered to the gate.
    pub intent_made: u64,
    /// Approved intents without a usable blockhash.
    pub blockhash_missing: u64,
    /// Approved intents for which there was no room to remember them.
    pub inflight_full: u64,
    /// Approved intents the builder refused, by [`BuildReject`].
    pub build_rejected: [u64; BuildReject::COUNT],
    /// Bundles handed over.
    pub bundle_handed: u64,
    /// The same by [`Origin::code`].
    pub bundle_handed_for: [u64; Origin::COUNT],
    /// Bundles the ring had no room for.
    pub bundle_refused: u64,
    /// Entries of ours seen in the stream.
    pub entry_included: u64,
    /// Exits of ours seen in the stream.
    pub exit_included: u64,
    /// Entries and exits of ours seen in the stream, by [`Origin::code`].
    pub included_for: [u64; Origin::COUNT],
    /// Own transactions included although the curve's arithmetic says they fail: their quote is
    /// booked at its limit.
    pub fill_unpredicted: u64,
    /// Own transactions that account data, or its silence, says did nothing in the block they are in.
    pub own_failed: u64,
    /// Own transactions seen in a block without it being known what they did there: on a lane without revert protection
    /// where the arithmetic says they fail, and in slots with two versions. Their money stays reserved until it is.
    pub own_unknown: u64,
    /// Those that account data says did what they name.
    pub own_unknown_landed: u64,
    /// Entries among them of which nothing was told: taken for landed, as nobody else looks after what they may have bought.
    pub own_unknown_assumed: u64,
    /// Account data of what we hold handled.
    pub holding_handled: u64,
    /// Coins that we hold without a position in them, as account data has it.
    pub holding_unexplained: u64,
    /// Positions brought down to what account data says we hold.
    pub holding_reconciled: u64,
    /// Times account data told of more than a position holds: somebody gave us some.
    pub holding_surplus: u64,
    /// Own transactions that can no longer land.
    pub own_expired: u64,
    /// Exits not seen in time, so that another may be tried.
    pub exit_lapsed: u64,
    /// Own transactions a lane rejected.
    pub own_rejected: u64,
    /// Own transactions of which a program's custom error was told, each once.
    pub own_error_told: u64,
    /// Venues disabled because their errors came too often.
    pub venue_disabled: u64,
    /// Own transactions seen in the stream after they were given up.
    pub own_included_late: u64,
    /// Own inclusions undone by a retraction.
    pub own_retracted: u64,
    /// Late inclusions the gate had no room for: the engine halted.
    pub adoption_failed: u64,
    /// Positions opened in a coin whose curve is forgotten: only an operator can end them.
    pub position_unpriced: u64,
    /// Signals armed.
    pub signal_armed: u64,
    /// Signals not armed, by [`ArmReject`].
    pub signal_rejected: [u64; ArmReject::COUNT],
    /// Signals that became a bundle.
    pub signal_fired: u64,
    /// Signals given up because what they led to was refused again and again.
    pub signal_refused: u64,
    /// Signals that died waiting.
    pub signal_expired: u64,
    /// Blocks taken.
    pub block_handled: u64,
    /// Retractions taken.
    pub retract_handled: u64,
    /// Equivocations taken.
    pub equivocation_handled: u64,
    /// Verdicts that transactions were forged.
    pub verdict_forged: u64,
    /// Presigned ladders ordered, renewals included.
    pub ladder_ordered: u64,
    /// Ladders ordered for an intent that had one: the blockhash, the market or what is to be signed moved on.
    pub ladder_renewed: u64,
    /// Intents given up that were held ready: not wanted any more, or the chain left their blockhash behind.
    pub ladder_cancelled: u64,
    /// Rungs released into a bundle.
    pub ladder_released: u64,
    /// Triggers for which an intent was held ready and none of its rungs served, by [`NoRung`]; they are signed the usual
    /// way.
    pub ladder_refused: [u64; NoRung::COUNT],
    /// Purposes for which was reckoned what to order.
    pub ladder_reckoned: u64,
    /// Orders put off because the ring was full.
    pub ladder_order_full: u64,
    /// Orders that cannot be drafted or rendered, or came after signing had halted.
    pub ladder_failed: u64,
    /// Ladders that arrived when their intent had had its turn.
    pub ladder_late: u64,
    /// Lamports paid in entries, fees included, as modelled.
    pub entry_cost: u64,
    /// Lamports received in exits, as modelled.
    pub exit_received: u64,
    /// Lamports tipped by included transactions.
    pub tip_paid: u64,
}

impl Counters {
    /// What was counted about presigned ladders, with names for metrics; refusals are in
    /// [`Counters::ladder_refused`] by [`NoRung::names`].
    #[must_use]
    pub const fn ladders_named(&self) -> [(&'static str, u64); 8] {
        [
            ("ladder_ordered", self.ladder_ordered),
            ("ladder_renewed", self.ladder_renewed),
            ("ladder_cancelled", self.ladder_cancelled),
            ("ladder_released", self.ladder_released),
            ("ladder_reckoned", self.ladder_reckoned),
            ("ladder_order_full", self.ladder_order_full),
            ("ladder_failed", self.ladder_failed),
            ("ladder_late", self.ladder_late),
        ]
    }
}
