//! The account of what came of our transactions: included, undone, given up, late.
//!
//! A transaction stays in the table until its blockhash is dead, whatever became of it before: blocks die, and
//! what was given up may land after all. Where it is seen in a block and what it did there is not known, its money stays
//! reserved until account data says: the balance of our token account, or a later state of the curve or pool that is as
//! reckoned without it. Nothing here decides to trade.

use bundle::RecentBlockhash;
use bundle::blockhash::VALIDITY_BLOCKS;
use market::{Corrected, HoldingTruth, Key, Lamports, Mint, Side, TokenAmount};
use risk::{Fill, Reservation};
use shred_resolve::ResolvedTxn;
use shred_wire::{Nanos, Slot};
use strategy::{Intent, LaneClass, Position};

use super::{Engine, tag};
use crate::inflight::{Inclusion, Inflight, State, Unknown};
use crate::output::{Note, Output, Ticks};

/// Slots after its block, and after its blockhash died, for which account data is waited for that says what a transaction of
/// ours did: some twenty times as long as a node takes.
const TRUTH_SLOTS: u64 = 64;

/// Where one of our transactions stands in a block.
#[derive(Clone, Copy)]
struct Place {
    slot: Slot,
    fec_set_index: shred_wire::FecSetIndex,
    at: Nanos,
}

impl<T: Ticks> Engine<T> {
    /// One of our signatures stands in a block: book the tokens it names, and the quote by the curve's
    /// arithmetic at that place. Where the arithmetic says that it fails, and nothing keeps what fails out of the block, what
    /// it did is left open.
    pub(super) fn include<O: Output + ?Sized>(
        &mut self,
        index: usize,
        fill: Option<Lamports>,
        txn: &ResolvedTxn<'_>,
        out: &mut O,
    ) {
        let Some(item) = self.inflight.get(index) else {
            return;
        };
        if matches!(item.state, State::Included(_)) {
            return;
        }
        let intent = item.intent;
        if fill.is_none() {
            self.counters.fill_unpredicted += 1;
            if intent.lane == LaneClass::Public {
                // Our state may be wrong, and nothing keeps a failed transaction out of a block on this lane.
                return self.await_truth(index, txn);
            }
        }
        let reservation = match self.inflight.replace(index, State::Released) {
            Some(State::Pending(reservation)) => Some(reservation),
            Some(State::Unknown(unknown)) => unknown.reservation,
            Some(State::Included(_) | State::Released) | None => None,
        };
        let place = Place {
            slot: txn.slot,
            fec_set_index: txn.fec_set_index,
            at: txn.at,
        };
        self.book(index, &intent, reservation, fill, place, out);
    }

    /// It is known that it stands in a block of the chain and did what it names.
    fn book<O: Output + ?Sized>(
        &mut self,
        index: usize,
        intent: &Intent,
        reservation: Option<Reservation>,
        fill: Option<Lamports>,
        place: Place,
        out: &mut O,
    ) {
        let (tokens, quote) = (intent.tokens, settled_quote(intent, fill));
        let before = match intent.side {
            Side::Buy => self.book_entry(intent, reservation, tokens, quote, place),
            Side::Sell => self.book_exit(intent, reservation, tokens, quote),
        };
        self.counters.tip_paid += intent.tip.0;
        self.counters.included_for[usize::from(intent.origin.code())] += 1;
        self.hash
            .words([tag::INCLUDED, intent.id, place.slot.0, tokens.0, quote.0]);
        let inclusion = Inclusion {
            slot: place.slot,
            fec_set_index: place.fec_set_index,
            quote,
            before,
        };
        self.inflight.replace(index, State::Included(inclusion));
        let predicted = fill.is_some();
        out.note(&Note::Included {
            intent,
            slot: place.slot,
            tokens,
            quote,
            predicted,
        });
    }

    fn book_entry(
        &mut self,
        intent: &Intent,
        reservation: Option<Reservation>,
        tokens: TokenAmount,
        cost: Lamports,
        place: Place,
    ) -> Option<Position> {
        self.counters.entry_included += 1;
        self.counters.entry_cost += cost.0;
        let fill = Fill {
            tokens,
            quote: cost.saturating_add(intent.tip),
        };
        if !reservation.is_some_and(|reservation| self.gate.settle(reservation, fill)) {
            self.adopt(intent.mint, intent.id, fill);
        }
        let (opened_slot, opened_at) = (place.slot, place.at);
        let position = Position {
            mint: intent.mint,
            tokens,
            cost,
            opened_slot,
            opened_at,
            exiting: false,
            // What it cost is reckoned, and a failed trade before it may have made it look cheap; it did not cost more.
            reference: intent.spend,
            floor_steps: 0,
        };
        self.open(position, intent);
        None
    }

    fn book_exit(
        &mut self,
        intent: &Intent,
        reservation: Option<Reservation>,
        tokens: TokenAmount,
        received: Lamports,
    ) -> Option<Position> {
        self.counters.exit_included += 1;
        self.counters.exit_received += received.0;
        let fill = Fill {
            tokens,
            quote: received,
        };
        if !reservation.is_some_and(|reservation| self.gate.settle(reservation, fill)) {
            self.counters.own_included_late += 1;
            self.gate.reduce(&intent.mint, tokens);
        }
        let before = self.positions.reduce(&intent.mint, tokens);
        if self.positions.get(&intent.mint).is_none() {
            self.set_held(&intent.mint, false);
        }
        before
    }

    /// Takes on what landed after it was given up. Money that the gate cannot account for stops everything.
    fn adopt(&mut self, mint: Mint, intent_id: u64, fill: Fill) {
        self.counters.own_included_late += 1;
        if !self.gate.adopt(mint, intent_id, fill) {
            self.counters.adoption_failed += 1;
            self.gate.halt();
        }
    }

    /// `intent` bought it, or sold it in a block that turned out void.
    fn open(&mut self, position: Position, intent: &Intent) {
        self.hold(intent);
        if self.listing(&position.mint).is_none() {
            self.counters.position_unpriced += 1;
        }
        if !self.positions.open(position) {
            self.counters.adoption_failed += 1;
            self.gate.halt();
        }
    }

    /// Undoes a booking: the block, or its part, is void. The transaction may land again, and is adopted then.
    pub(super) fn uninclude<O: Output + ?Sized>(
        &mut self,
        index: usize,
        intent: &Intent,
        inclusion: &Inclusion,
        out: &mut O,
    ) {
        let Inclusion { quote, before, .. } = *inclusion;
        self.counters.own_retracted += 1;
        self.counters.tip_paid = self.counters.tip_paid.saturating_sub(intent.tip.0);
        match intent.side {
            Side::Buy => {
                self.counters.entry_cost = self.counters.entry_cost.saturating_sub(quote.0);
                if self.positions.get(&intent.mint).is_some() {
                    self.write_off(&intent.mint);
                }
            }
            Side::Sell => {
                self.counters.exit_received = self.counters.exit_received.saturating_sub(quote.0);
                if let Some(before) = before {
                    self.restore(intent, before);
                }
            }
        }
        self.inflight.replace(index, State::Released);
        out.note(&Note::Retracted {
            intent_id: intent.id,
            mint: intent.mint,
            side: intent.side,
        });
    }

    /// Brings a position back to what it was before an exit that turned out void.
    fn restore(&mut self, intent: &Intent, before: Position) {
        let rest = self.positions.get(&before.mint);
        if rest.is_some_and(|rest| rest.opened_slot == before.opened_slot) {
            self.write_off(&before.mint);
        }
        let fill = Fill {
            tokens: before.tokens,
            quote: before.cost,
        };
        if self.gate.adopt(before.mint, intent.id, fill) {
            let position = Position {
                exiting: false,
                ..before
            };
            self.open(position, intent);
        } else {
            self.counters.adoption_failed += 1;
            self.gate.halt();
        }
    }

    /// Gives up what can no longer land: its blockhash is provably too old on the observed chain, or its slot
    /// is further back than the configured bound.
    pub(super) fn expire_inflight<O: Output + ?Sized>(&mut self, out: &mut O) {
        let mut index = 0;
        while let Some(item) = self.inflight.get(index) {
            let (item_mint, item_side) = (item.intent.mint, item.intent.side);
            if !self.is_dead(&item.blockhash) || self.is_awaited(item) {
                if self.has_lapsed(item) && self.give_up(index, out) {
                    self.counters.exit_lapsed += 1;
                    self.positions.exit_missed(&item_mint, self.slot);
                }
                index += 1;
                continue;
            }
            if self.decide(index, out) {
                continue;
            }
            if self.give_up(index, out) {
                self.counters.own_expired += 1;
                if item_side == Side::Sell {
                    self.positions.exit_missed(&item_mint, self.slot);
                }
            }
            // The last item moved here; look at the same index again.
            self.inflight.remove(index);
        }
    }

    fn is_dead(&self, blockhash: &RecentBlockhash) -> bool {
        let age = self.slot.0.saturating_sub(blockhash.slot.0);
        if age <= u64::from(VALIDITY_BLOCKS) {
            return false;
        }
        age > self.inflight_slots_max
            || self
                .tracker
                .age_of(&blockhash.hash)
                .is_some_and(|age| age > VALIDITY_BLOCKS)
    }

    /// Whether an exit has been out long enough for another try. Entries never are: two could both fill.
    fn has_lapsed(&self, item: &Inflight) -> bool {
        let age = self.slot.0.saturating_sub(item.intent.slot.0);
        item.intent.side == Side::Sell && self.exit_retry_slots > 0 && age >= self.exit_retry_slots
    }

    /// Releases a pending transaction's reservation; `false` when it was not pending.
    pub(super) fn give_up<O: Output + ?Sized>(&mut self, index: usize, out: &mut O) -> bool {
        let Some(item) = self.inflight.get(index) else {
            return false;
        };
        let intent = item.intent;
        let reservation = match &item.state {
            State::Pending(_) => match self.inflight.replace(index, State::Released) {
                Some(State::Pending(reservation)) => reservation,
                _ => return false,
            },
            // An exit whose fate is not known does not hold up the next: the first leaves the second nothing to sell.
            State::Unknown(_) if intent.side == Side::Sell => {
                match self.inflight.take_reservation(index) {
                    Some(reservation) => reservation,
                    None => return false,
                }
            }
            State::Unknown(_) | State::Included(_) | State::Released => return false,
        };
        self.release(&intent, Some(reservation));
        self.hash.words([tag::LOST, intent.id]);
        out.note(&Note::Lost {
            intent_id: intent.id,
            mint: intent.mint,
            side: intent.side,
        });
        true
    }

    /// One of our signatures stands in a block, and what it did there is not known. Its money stays reserved.
    pub(super) fn await_truth(&mut self, index: usize, txn: &ResolvedTxn<'_>) {
        let Some(item) = self.inflight.get(index) else {
            return;
        };
        if matches!(item.state, State::Included(_)) {
            return;
        }
        let intent_id = item.intent.id;
        let (reservation, is_new) = match self.inflight.replace(index, State::Released) {
            Some(State::Pending(reservation)) => (Some(reservation), true),
            Some(State::Unknown(unknown)) => (unknown.reservation, false),
            Some(State::Included(_) | State::Released) | None => (None, true),
        };
        let unknown = Unknown {
            reservation,
            slot: txn.slot,
            fec_set_index: txn.fec_set_index,
            at: txn.at,
            is_blurred: false,
            landed: None,
        };
        self.inflight.replace(index, State::Unknown(unknown));
        self.counters.own_unknown += u64::from(is_new);
        self.hash.words([tag::UNKNOWN, intent_id, txn.slot.0]);
    }

    /// The part of a block that a transaction of unknown fate stands in is void: it may land again.
    pub(super) fn unsee(&mut self, index: usize) {
        let Some(State::Unknown(unknown)) = self.inflight.replace(index, State::Released) else {
            return;
        };
        if let Some(reservation) = unknown.reservation {
            self.inflight.replace(index, State::Pending(reservation));
        }
    }

    /// Account data of a curve or pool came in; `pool` names the latter. Where a later state is as reckoned without a
    /// transaction of unknown fate, that did nothing.
    pub(super) fn truth_decides(
        &mut self,
        mint: &Mint,
        pool: Option<&Key>,
        slot: Slot,
        corrected: Corrected,
    ) {
        if self.inflight.unknown_count() == 0 {
            return;
        }
        let Self {
            inflight, lineage, ..
        } = self;
        for (intent, unknown) in inflight.unknown_mut() {
            if intent.mint != *mint || intent.accounts.pool() != pool {
                continue;
            }
            match corrected {
                Corrected::Agreed
                    if !unknown.is_blurred
                        && unknown.landed.is_none()
                        && slot > unknown.slot
                        && lineage.builds_on(slot, unknown.slot) =>
                {
                    unknown.landed = Some(false);
                }
                Corrected::Diverged | Corrected::Behind | Corrected::New => {
                    unknown.is_blurred = true;
                }
                _ => {}
            }
        }
    }

    /// Account data of what we hold came in: it says what transactions of unknown fate did.
    pub(super) fn holding_decides(&mut self, truth: &HoldingTruth) {
        let held = self.positions.get(&truth.mint);
        let held = held.map_or(0, |position| position.tokens.0);
        let Self {
            inflight, lineage, ..
        } = self;
        for (intent, unknown) in inflight.unknown_mut() {
            let slot = truth.version.slot;
            if intent.mint != truth.mint
                || slot < unknown.slot
                // Of the same slot it may be older than the purchase of what is sold.
                || (intent.side == Side::Sell && slot == unknown.slot)
                || !lineage.builds_on(slot, unknown.slot)
            {
                continue;
            }
            let has_landed = match intent.side {
                Side::Buy => truth.tokens.0 >= held.saturating_add(intent.tokens.0),
                // Had it not landed, at least that much would be there: what anybody gives us on top hides nothing.
                Side::Sell => {
                    let told = truth.tokens.0;
                    told < intent.tokens.0 || told.saturating_add(intent.tokens.0) <= held
                }
            };
            // A balance of the same slot may be older than the transaction; it cannot show what has not happened.
            if has_landed || slot > unknown.slot {
                unknown.landed = Some(has_landed);
            }
        }
    }

    /// Brings a position down to the balance last told of its coin, once nothing of ours in the coin can explain the
    /// difference: no transaction on its way or of unknown fate, none in a block that the balance may be older than.
    /// More than is booked is left alone: anybody can give us tokens.
    pub(super) fn reconcile(&mut self, mint: &Mint) {
        let Some(position) = self.positions.get(mint) else {
            return;
        };
        let Some((slot, told)) = self.positions.told(mint) else {
            return;
        };
        let (opened_slot, booked) = (position.opened_slot, position.tokens);
        let lineage = &self.lineage;
        let is_after = |own: Slot| slot > own && lineage.builds_on(slot, own);
        let is_void = slot < self.slot && !lineage.builds_on(self.slot, slot);
        let mut items = (0..self.inflight.count()).filter_map(|index| self.inflight.get(index));
        let is_open = items.any(|item| {
            item.intent.mint == *mint
                && match &item.state {
                    State::Pending(_) | State::Unknown(_) => true,
                    State::Included(inclusion) => !is_after(inclusion.slot),
                    State::Released => false,
                }
        });
        if told >= booked || is_void || is_open || !is_after(opened_slot) {
            return;
        }
        self.counters.holding_reconciled += 1;
        self.hash.words([
            tag::RECONCILED,
            super::word(&mint.0),
            slot.0,
            booked.0,
            told.0,
        ]);
        if told.0 == 0 {
            self.write_off(mint);
        } else {
            let gone = TokenAmount(booked.0 - told.0);
            self.gate.reduce(mint, gone);
            self.positions.reduce(mint, gone);
        }
    }

    /// The same for every position: what was told while an exit was out is looked at again when that is over.
    pub(super) fn reconcile_all(&mut self) {
        // Backwards: the last one moves to the place of one that closes.
        for index in (0..self.positions.count()).rev() {
            if let Some(mint) = self.positions.at(index).map(|position| position.mint) {
                self.reconcile(&mint);
            }
        }
    }

    /// Books or releases what account data has decided.
    pub(super) fn settle_unknown<O: Output + ?Sized>(&mut self, out: &mut O) {
        if self.inflight.unknown_count() == 0 {
            return;
        }
        for index in 0..self.inflight.count() {
            let item = self.inflight.get(index).map(|item| &item.state);
            if let Some(State::Unknown(unknown)) = item
                && let Some(landed) = unknown.landed
            {
                self.conclude(index, landed, out);
            }
        }
    }

    /// Whether account data may still say what a transaction did whose blockhash is dead.
    fn is_awaited(&self, item: &Inflight) -> bool {
        match &item.state {
            State::Unknown(unknown) => self.slot.0.saturating_sub(unknown.slot.0) <= TRUTH_SLOTS,
            _ => false,
        }
    }

    /// Nothing was told in time of a transaction of unknown fate. An exit did nothing then: what it would have sold is still
    /// looked after. Nor did an entry where what we hold is told, since that was not; else it is taken for landed.
    /// `false` when its fate is not unknown.
    fn decide<O: Output + ?Sized>(&mut self, index: usize, out: &mut O) -> bool {
        let Some(item) = self.inflight.get(index) else {
            return false;
        };
        let State::Unknown(_) = item.state else {
            return false;
        };
        let is_told = self.counters.holding_handled > 0;
        let landed = item.intent.side == Side::Buy && !is_told;
        self.counters.own_unknown_assumed += u64::from(landed);
        self.conclude(index, landed, out);
        true
    }

    fn conclude<O: Output + ?Sized>(&mut self, index: usize, landed: bool, out: &mut O) {
        let Some(item) = self.inflight.get(index) else {
            return;
        };
        let intent = item.intent;
        let Some(State::Unknown(unknown)) = self.inflight.replace(index, State::Released) else {
            return;
        };
        if landed {
            self.counters.own_unknown_landed += 1;
            let place = Place {
                slot: unknown.slot,
                fec_set_index: unknown.fec_set_index,
                at: unknown.at,
            };
            return self.book(index, &intent, unknown.reservation, None, place, out);
        }
        self.counters.own_failed += 1;
        self.hash.words([tag::LOST, intent.id]);
        if intent.side == Side::Sell {
            self.positions.exit_missed(&intent.mint, self.slot);
        }
        if unknown.reservation.is_some() {
            self.release(&intent, unknown.reservation);
            self.defer(&intent);
            out.note(&Note::Lost {
                intent_id: intent.id,
                mint: intent.mint,
                side: intent.side,
            });
        }
    }

    fn release(&mut self, intent: &Intent, reservation: Option<Reservation>) {
        if let Some(reservation) = reservation {
            self.gate.release(reservation);
        }
        match intent.side {
            Side::Buy if self.positions.get(&intent.mint).is_none() => {
                self.set_held(&intent.mint, false)
            }
            Side::Buy => {}
            Side::Sell => {
                if let Some(position) = self.positions.get_mut(&intent.mint) {
                    position.exiting = false;
                }
            }
        }
    }
}

/// What our transaction paid or brought: as modelled, or at the worst its limit allows where the arithmetic
/// has no answer. It landed, so it did no worse than its limit.
fn settled_quote(intent: &Intent, fill: Option<Lamports>) -> Lamports {
    match intent.side {
        Side::Buy => fill.map_or(intent.spend, |quote| quote.min(intent.spend)),
        Side::Sell => fill.map_or(intent.receive_min, |quote| quote.max(intent.receive_min)),
    }
}
