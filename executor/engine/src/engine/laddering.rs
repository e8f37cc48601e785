//! Presigned ladders in the engine: what is held ready at the end of each block, and what a trigger takes of it.

use bundle::ladder::{BLOCKHASH_COUNT_MAX, Held, NoRung, Wanted};
use bundle::{RecentBlockhash, ladder};
use market::{Lamports, Mint, Side, TokenAmount};
use shred_wire::Slot;
use strategy::{Exit, Intent, Origin, Proposal, enter, exit};

use super::Engine;
use crate::armed::{Occasion, Order};
use crate::ladders::{Due, FLOOR_SHARE, GridHashes, LadderDesk, Purpose, Shape, Thresholds};
use crate::output::Ticks;

/// Armed signals looked at in one go for each place there is.
const SIGNAL_LOOKS: usize = 4;

/// A rung chosen for an intent that has taken its terms.
pub(super) struct Rung {
    held: Held,
    /// Nothing but this rung.
    wanted: Wanted,
}

impl<T: Ticks> Engine<T> {
    /// Orders what is missing among what may be triggered soon, renews what is out of date, gives up what is not wanted.
    /// Called when a block ends and when a position is new. Cost: a quote for each intent held ready, a draft for each
    /// ladder ordered, and a quote for some armed signals in turn while there is a free place.
    pub(super) fn look_after_ladders(&mut self) {
        // The desk is out of the engine meanwhile: both are needed whole.
        let Some(mut desk) = self.ladders.take() else {
            return;
        };
        desk.take_arrivals(&mut self.counters);
        let hashes = self.grid_hashes(desk.plan().blockhashes);
        self.refresh(&mut desk, hashes.as_ref());
        if let Some(hashes) = &hashes {
            for index in 0..self.positions.count() {
                if let Some(position) = self.positions.at(index) {
                    let mint = position.mint;
                    self.hold_ready(&mut desk, &mint, None, hashes);
                }
            }
            let signals = if self.armed.count() == 0 {
                0
            } else {
                self.armed.capacity()
            };
            let (from, mut looks) = (self.ladder_turn, SIGNAL_LOOKS * desk.plan().held_max);
            for index in (0..signals).map(|at| (from + at) % signals) {
                if looks == 0 {
                    self.ladder_turn = index;
                    break;
                }
                if let Some((mint, order)) = self.armed.named_buy(index, self.now, self.slot) {
                    looks -= 1;
                    if !self.hold_ready(&mut desk, &mint, Some(&order), hashes) {
                        break;
                    }
                }
            }
        }
        self.ladders = Some(desk);
    }

    /// Renews what is out of date and gives up what is not wanted. Cost: a quote for each intent held ready.
    fn refresh(&mut self, desk: &mut LadderDesk, hashes: Option<&GridHashes>) {
        let newest = hashes.map(|hashes| hashes.hashes[0].slot);
        for index in 0..desk.plan().held_max {
            let Some(purpose) = desk.purpose(index) else {
                continue;
            };
            let is_on_chain = |hash: &[u8; 32]| self.tracker.age_of(hash).is_some();
            let due = match purpose {
                Purpose::Exit(mint) => self.due_exit(&mint),
                Purpose::Entry(mint, signal_id) => {
                    let order = desk.armed_index(index);
                    let named =
                        order.and_then(|order| self.armed.named_buy(order, self.now, self.slot));
                    let is_it =
                        |(of, order): &(Mint, Order)| *of == mint && order.signal_id == signal_id;
                    named
                        .filter(is_it)
                        .and_then(|(_, order)| self.due_entry(&mint, &order))
                }
            };
            self.counters.ladder_reckoned += 1;
            if due.is_none() || desk.is_off_chain(index, newest, is_on_chain) {
                desk.cancel(index, &mut self.counters);
            } else if let (Some(due), Some(hashes)) = (due, hashes) {
                self.renew(desk, index, &due, hashes);
            }
        }
    }

    /// Looks again at what is held ready, and orders the ladder of the signal just armed, of no other. Cost: a quote for
    /// each place.
    pub(super) fn hold_armed(&mut self) {
        let buy = self.armed.latest_named_buy(self.now, self.slot);
        let Some(mut desk) = self.ladders.take() else {
            return;
        };
        desk.take_arrivals(&mut self.counters);
        let hashes = self.grid_hashes(desk.plan().blockhashes);
        // One that is no buy may forbid some; and the market moves within a block, too.
        self.refresh(&mut desk, hashes.as_ref());
        if let (Some((mint, order)), Some(hashes)) = (buy, &hashes) {
            self.hold_ready(&mut desk, &mint, Some(&order), hashes);
        }
        self.ladders = Some(desk);
    }

    /// Puts ladders that have come in where they belong, reckons what the next signal and the next position in turn would
    /// lead to, and forgets it.
    pub(super) fn rehearse_next(&mut self) {
        if let Some(desk) = &mut self.ladders {
            desk.take_arrivals(&mut self.counters);
        }
        self.rehearsed = self.rehearsed.wrapping_add(1);
        let signal = self
            .armed
            .next_named_buy(self.rehearsed, self.now, self.slot);
        if let Some((mint, order)) = signal {
            self.rehearse_due(self.due_entry(&mint, &order));
        }
        let turn = self.rehearsed.checked_rem(self.positions.count());
        if let Some(position) = turn.and_then(|turn| self.positions.at(turn)) {
            self.rehearse_due(self.due_exit(&position.mint));
        }
    }

    /// The choice of a rung for `due`, if one is held ready, without taking it.
    fn rehearse_due(&self, due: Option<Due>) {
        let rung = due.as_ref().and_then(|due| {
            let held = self.ladders.as_ref()?.look(&due.intent)?;
            let id = held.intent_id();
            let intent = Intent { id, ..due.intent };
            let wanted = self.wanted(&intent, due.given);
            self.builder.peek(&intent, held, &wanted).ok()
        });
        core::hint::black_box((due.map(|due| due.measure), rung));
    }

    /// Reserves an intent for entering the coin by `order`, or without one for leaving it, and orders its first ladder,
    /// unless it has a place. `false` when there is no place or no room for an order, so that no other of its kind need
    /// be looked at.
    fn hold_ready(
        &mut self,
        desk: &mut LadderDesk,
        mint: &Mint,
        order: Option<&Order>,
        hashes: &GridHashes,
    ) -> bool {
        let purpose = order.map_or(Purpose::Exit(*mint), |order| {
            Purpose::Entry(*mint, order.signal_id)
        });
        if !desk.has_place(purpose) {
            return false;
        }
        if desk.find(purpose).is_some() {
            return true;
        }
        self.counters.ladder_reckoned += 1;
        let due = match order {
            Some(order) => self.due_entry(mint, order),
            None => self.due_exit(mint),
        };
        let Some(due) = due else {
            return true;
        };
        if !desk.has_room() {
            self.counters.ladder_order_full += 1;
            return false;
        }
        let Some(index) = desk.vacancy(purpose, &mut self.counters) else {
            return false;
        };
        let armed_index = order.map_or(usize::MAX, |order| order.index);
        if desk.open(index, purpose, armed_index, self.next_intent) {
            self.next_intent += 1;
            self.order(desk, index, &due, hashes);
        }
        true
    }

    /// Orders the next ladder of the intent at `index` if it needs one.
    fn renew(&mut self, desk: &mut LadderDesk, index: usize, due: &Due, hashes: &GridHashes) {
        let renew_slots = self
            .builder
            .slot_guard_slots()
            .map_or(u64::MAX, |guard| (guard / 4).max(1))
            .min(desk.plan().renew_slots);
        let newest = hashes.hashes[0].slot;
        let wallet_floor = self.builder.wallet_floor();
        if !desk.needs(index, due, newest, wallet_floor, renew_slots) {
            return;
        }
        if !desk.has_room() {
            self.counters.ladder_order_full += 1;
            return;
        }
        self.order(desk, index, due, hashes);
    }

    fn order(&mut self, desk: &mut LadderDesk, index: usize, due: &Due, hashes: &GridHashes) {
        let Some(id) = desk.intent_id(index) else {
            return;
        };
        // Whose turn it is among tip accounts and recipients goes by the id.
        let draft = self.builder.draft(&Intent { id, ..due.intent }).ok();
        let wallet_floor = self.builder.wallet_floor();
        desk.order(index, due, draft, hashes, wallet_floor, &mut self.counters);
    }

    /// What to order for leaving the coin as things stand; `None` when that cannot be triggered.
    fn due_exit(&self, mint: &Mint) -> Option<Due> {
        let position = self.positions.get(mint)?;
        let listing = self.listing(mint)?;
        let params = &self.params;
        // The origin makes no bytes; the slippage only makes the amount, of which there will be many.
        let any = Exit {
            origin: Origin::Expiry,
            slippage: params.stop_slippage,
            slot: self.slot,
            at: self.now,
        };
        let Proposal { intent, given } = exit(&listing, position, params, &any).ok()?;
        Some(Due {
            intent,
            given,
            shape: Shape::Exit(Thresholds::of(position, params)),
            measure: given,
        })
    }

    /// The same for entering it by `order`.
    fn due_entry(&self, mint: &Mint, order: &Order) -> Option<Due> {
        // While we are in the coin, or on our way, no signal enters it.
        if self.positions.get(mint).is_some() || self.gate.exposure(mint).is_some() {
            return None;
        }
        let listing = self.listing(mint)?;
        let occasion = Occasion::Coin(*mint);
        let entry = self.entry_asked(&listing, occasion, order, self.slot, self.now)?;
        let Proposal { intent, given } = enter(&listing, &self.params, &entry).ok()?;
        Some(Due {
            intent,
            given,
            shape: Shape::Entry(entry.slippage),
            measure: intent.tokens.0,
        })
    }

    /// The blockhash that a build would use now, and older ones of the stream behind it.
    fn grid_hashes(&self, count_max: usize) -> Option<GridHashes> {
        let first = self.blockhash()?;
        let mut hashes = GridHashes {
            hashes: [RecentBlockhash::default(); BLOCKHASH_COUNT_MAX],
            count: 1,
            streams_from: usize::from(self.tracker.age_of(&first.hash).is_none()),
        };
        hashes.hashes[0] = first;
        let mut last = first.slot;
        while hashes.count < count_max.min(BLOCKHASH_COUNT_MAX) {
            let Some(older) = self.tracker.usable_before(last) else {
                break;
            };
            hashes.hashes[hashes.count] = older;
            hashes.count += 1;
            last = older.slot;
        }
        Some(hashes)
    }

    /// The rung that serves `intent`, for which the market gives `given`, if it was held ready: the intent takes its
    /// terms; its id in any case. What was held is used up: the intent leaves as this rung, signed the usual way, or not at
    /// all.
    #[inline]
    pub(super) fn rung_for(&mut self, intent: &mut Intent, given: u64) -> Option<Rung> {
        let desk = self.ladders.as_mut()?;
        desk.take_arrivals(&mut self.counters);
        let found = desk.take(intent)?;
        intent.id = found.held.intent_id();
        let peeked = found.is_served.and_then(|()| {
            let wanted = self.wanted(intent, given);
            let terms = self.builder.peek(intent, &found.held, &wanted)?;
            Ok((wanted, terms))
        });
        match peeked {
            Ok((wanted, terms)) => {
                take_terms(intent, &terms);
                let wanted = Wanted {
                    size_min: terms.size,
                    size_max: terms.size,
                    ..wanted
                };
                Some(Rung {
                    held: found.held,
                    wanted,
                })
            }
            Err(why) => {
                self.forgo(found.held, why);
                None
            }
        }
    }

    /// No rung serves, for the reason counted: the right to one is given up before the intent is signed another way.
    fn forgo(&mut self, held: Held, why: NoRung) {
        self.counters.ladder_refused[why as usize] += 1;
        self.give_up_held(held);
    }

    fn give_up_held(&mut self, held: Held) {
        if let Some(desk) = &mut self.ladders {
            desk.give_up(held);
        }
    }

    /// Gives up a rung whose intent goes no further.
    pub(super) fn give_up_rung(&mut self, rung: Option<Rung>) {
        if let Some(rung) = rung {
            self.give_up_held(rung.held);
        }
    }

    /// Between what `intent` asks for and what the market gives for it: more than that would fail.
    fn wanted(&self, intent: &Intent, given: u64) -> Wanted {
        let (size_min, size_max) = window(intent, given);
        // A rung's guard counts from its blockhash: with little of it left the usual way has the better chance.
        let age_max = self
            .builder
            .slot_guard_slots()
            .map_or(self.blockhash_slots_max, |guard| {
                self.blockhash_slots_max.min(guard / 2)
            });
        Wanted {
            size_max,
            size_min,
            tip_min: intent.tip.0,
            tip_max: intent.tip.0,
            slot: self.slot,
            blockhash_age_max: u32::try_from(age_max).unwrap_or(u32::MAX),
        }
    }

    /// Copies the rung into the cell; `None`, counted, when it may not leave after all, and then it never will.
    #[inline]
    pub(super) fn released(
        &mut self,
        approved: &risk::Approved,
        rung: Rung,
    ) -> Option<RecentBlockhash> {
        let Rung { held, wanted } = rung;
        let released = self
            .builder
            .release_into(approved, held, &wanted, &mut self.cell);
        match released {
            Ok((terms, retired)) => {
                self.counters.ladder_released += 1;
                if let Some(desk) = &mut self.ladders {
                    desk.keep_spent(retired);
                }
                Some(terms.blockhash)
            }
            Err(refused) => {
                self.forgo(refused.held, refused.why);
                None
            }
        }
    }

    /// The bundle is handed over: what it was copied from goes back to be wiped.
    #[inline]
    pub(super) fn return_spent(&mut self) {
        if let Some(desk) = &mut self.ladders {
            desk.return_spent();
        }
    }

    /// The block of `slot` left the chain.
    pub(super) fn retract_ladders(&mut self, slot: Slot) {
        if let Some(desk) = &mut self.ladders {
            desk.retract(slot);
        }
    }
}

/// The sizes of rungs that serve `intent`, for which the market gives `given`.
fn window(intent: &Intent, given: u64) -> (u64, u64) {
    match intent.side {
        Side::Buy => (intent.tokens.0, given),
        Side::Sell => {
            // A floor may ask for more than there seems to be; what asks for a little more does what it is there for.
            let asked = intent.receive_min.0;
            let above = asked.saturating_add(asked / FLOOR_SHARE);
            (asked, if asked > given { above } else { given })
        }
    }
}

/// The intent asks for exactly what the rung does, so that the gate approves what leaves.
fn take_terms(intent: &mut Intent, terms: &ladder::RungTerms) {
    match intent.side {
        Side::Buy => intent.tokens = TokenAmount(terms.size),
        Side::Sell => intent.receive_min = Lamports(terms.size),
    }
    intent.tip = Lamports(terms.tip);
}
