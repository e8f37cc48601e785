//! The account of what came of our transactions: included, undone, given up, late.
//!
//! A transaction stays in the table until its blockhash is dead, whatever became of it before: blocks die, and
//! what was given up may land after all. Nothing here decides to trade.

use bundle::RecentBlockhash;
use bundle::blockhash::VALIDITY_BLOCKS;
use market::{Lamports, Mint, Side, TokenAmount};
use risk::{Fill, Reservation};
use shred_resolve::ResolvedTxn;
use strategy::{Intent, LaneClass, Position};

use super::{Engine, tag};
use crate::inflight::{Inclusion, Inflight, State};
use crate::output::{Note, Output, Ticks};

impl<T: Ticks> Engine<T> {
    /// One of our signatures stands in a block: book the tokens it names, and the quote by the curve's
    /// arithmetic at that place.
    pub(super) fn include<O: Output + ?Sized>(
        &mut self,
        index: usize,
        fill: Option<Lamports>,
        txn: &ResolvedTxn<'_>,
        out: &mut O,
    ) {
        let Some(item) = self.inflight.get_mut(index) else {
            return;
        };
        if matches!(item.state, State::Included(_)) {
            return;
        }
        let intent = item.intent;
        let reservation = match core::mem::replace(&mut item.state, State::Released) {
            State::Pending(reservation) => Some(reservation),
            State::Included(_) | State::Released => None,
        };
        if fill.is_none() {
            self.counters.fill_unpredicted += 1;
            if intent.lane == LaneClass::Public {
                // Nothing keeps a failed transaction out of a block on this lane.
                self.counters.own_failed += 1;
                return self.release(&intent, reservation);
            }
        }
        let (tokens, quote) = (intent.tokens, settled_quote(&intent, fill));
        let before = match intent.side {
            Side::Buy => self.book_entry(&intent, reservation, tokens, quote, txn),
            Side::Sell => self.book_exit(&intent, reservation, tokens, quote),
        };
        self.counters.tip_paid += intent.tip.0;
        self.counters.included_for[usize::from(intent.origin.code())] += 1;
        self.hash
            .words([tag::INCLUDED, intent.id, txn.slot.0, tokens.0, quote.0]);
        let inclusion = Inclusion {
            slot: txn.slot,
            fec_set_index: txn.fec_set_index,
            quote,
            before,
        };
        if let Some(item) = self.inflight.get_mut(index) {
            item.state = State::Included(inclusion);
        }
        let predicted = fill.is_some();
        out.note(&Note::Included {
            intent: &intent,
            slot: txn.slot,
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
        txn: &ResolvedTxn<'_>,
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
        let (opened_slot, opened_at) = (txn.slot, txn.at);
        let position = Position {
            mint: intent.mint,
            tokens,
            cost,
            opened_slot,
            opened_at,
            exiting: false,
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
        if let Some(item) = self.inflight.get_mut(index) {
            item.state = State::Released;
        }
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
            if !self.is_dead(&item.blockhash) {
                if self.has_lapsed(item) && self.give_up(index, out) {
                    self.counters.exit_lapsed += 1;
                }
                index += 1;
                continue;
            }
            if self.give_up(index, out) {
                self.counters.own_expired += 1;
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
        let Some(item) = self.inflight.get_mut(index) else {
            return false;
        };
        if !matches!(item.state, State::Pending(_)) {
            return false;
        }
        let intent = item.intent;
        let State::Pending(reservation) = core::mem::replace(&mut item.state, State::Released)
        else {
            return false;
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
