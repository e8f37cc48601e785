//! Every limit, checked before an intent may become bytes.

use std::sync::Arc;

use market::{Lamports, Mint, Side, TokenAmount};
use shred_wire::Nanos;
use strategy::{Intent, Venue};

use crate::approved::{Approved, Reservation, notional};
use crate::control::{Control, Mode};
use crate::limits::{LimitError, Limits};
use crate::venues::Disabled;
use crate::window::RollingWindow;

/// Why an intent was refused. One byte, counted; ordered by the check that raises it, cheapest first. Append,
/// never reorder: the discriminant indexes counters and names metrics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Refusal {
    /// The control cell says halted.
    Halted,
    /// The control cell allows exits only.
    Reducing,
    /// Nothing to spend, or nothing to sell.
    ZeroAmount,
    /// No tokens to buy, or no minimum to receive: a trade open to any price.
    NoMinimum,
    /// The tip exceeds its cap.
    TipCap,
    /// The entry exceeds the bound on one trade.
    PerTradeNotional,
    /// The entry would take the open total over its bound.
    OpenNotional,
    /// As many positions are open or opening as allowed.
    PositionsMax,
    /// A position in the coin is open or opening.
    DuplicateEntry,
    /// Nothing of the coin is held.
    NothingToExit,
    /// An exit of the coin is in flight.
    DuplicateExit,
    /// The exit sells more than is held.
    ExitExceedsHolding,
    /// Too many entries within the window.
    EntryRate,
    /// Too many exits within the window.
    ExitRate,
    /// The venue is disabled: what we build for it may not be what its program expects.
    VenueDisabled,
}

impl Refusal {
    /// How many reasons there are.
    pub const COUNT: usize = 15;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        [
            "halted",
            "reducing",
            "zero_amount",
            "no_minimum",
            "tip_cap",
            "per_trade_notional",
            "open_notional",
            "positions_max",
            "duplicate_entry",
            "nothing_to_exit",
            "duplicate_exit",
            "exit_exceeds_holding",
            "entry_rate",
            "exit_rate",
            "venue_disabled",
        ]
    }
}

/// What a landed transaction did, as far as its caller knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fill {
    /// Tokens bought or sold.
    pub tokens: TokenAmount,
    /// Entry: quote spent with fees and tip. Exit: quote received.
    pub quote: Lamports,
}

/// What the gate knows about one coin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exposure {
    /// The coin.
    pub mint: Mint,
    /// Money at risk in it.
    pub notional: Lamports,
    /// Tokens held; zero while the entry is in flight.
    pub tokens: TokenAmount,
    /// The intent that entered it.
    pub entry_intent: u64,
    /// The entry has filled.
    pub held: bool,
    /// The exit in flight, if any.
    pub exit_intent: Option<u64>,
}

/// What the gate counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GateCounters {
    /// Entries passed.
    pub entry_approved: u64,
    /// Exits passed.
    pub exit_approved: u64,
    /// Reservations given back unused.
    pub reservation_released: u64,
    /// Reservations settled by a fill.
    pub reservation_settled: u64,
    /// Intents refused, by [`Refusal`].
    pub refused: [u64; Refusal::COUNT],
}

/// Holds every intent to the [`Limits`] and keeps the account of what is at risk.
///
/// An approval reserves at once, as if the transaction had already filled, so limits hold however many are in
/// flight. Cost of a check: an atomic load, for an entry two, a scan of at most `positions_max` mints, a handful of compares;
/// it allocates nothing and reads no clock.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    control: Arc<Control>,
    exposures: Box<[Exposure]>,
    exposure_count: usize,
    open_notional: Lamports,
    entries: RollingWindow,
    exits: RollingWindow,
    counters: GateCounters,
}

impl Gate {
    /// A gate with nothing open.
    ///
    /// # Errors
    /// [`LimitError`] when the limits do not make sense.
    pub fn new(limits: Limits, control: Arc<Control>) -> Result<Self, LimitError> {
        limits.check()?;
        let vacant = Exposure {
            mint: Mint::default(),
            notional: Lamports(0),
            tokens: TokenAmount(0),
            entry_intent: 0,
            held: false,
            exit_intent: None,
        };
        Ok(Self {
            limits,
            control,
            exposures: vec![vacant; usize::from(limits.positions_max)].into_boxed_slice(),
            exposure_count: 0,
            open_notional: Lamports(0),
            entries: RollingWindow::new(limits.entries_per_window_max, limits.window),
            exits: RollingWindow::new(limits.exits_per_window_max, limits.window),
            counters: GateCounters::default(),
        })
    }

    /// Passes `intent` and reserves for it, or says which bound it breaks.
    ///
    /// `now` is the stamp of the event behind the intent; time inside the gate is only ever this.
    ///
    /// # Errors
    /// The first [`Refusal`] in check order; nothing changes but its counter.
    #[inline]
    pub fn check(&mut self, intent: Intent, now: Nanos) -> Result<Approved, Refusal> {
        let allowed = match intent.side {
            Side::Buy => self.enter(&intent, now),
            Side::Sell => self.exit(&intent, now),
        };
        match allowed {
            Ok(()) => Ok(Approved::new(intent)),
            Err(refusal) => {
                self.counters.refused[refusal as usize] += 1;
                Err(refusal)
            }
        }
    }

    /// Undoes an approval whose transaction was not handed over, or provably expired.
    ///
    /// The rate windows keep its stamp: what was tried counts.
    pub fn release(&mut self, reservation: Reservation) {
        let Some(index) = self.find_reserved(&reservation) else {
            return;
        };
        self.counters.reservation_released += 1;
        match reservation.side {
            Side::Buy => self.remove(index),
            Side::Sell => self.exposures[index].exit_intent = None,
        }
    }

    /// Books what an approved transaction did: an entry becomes a holding that risks what was spent; an exit
    /// ends it, or shrinks it in proportion when tokens are left.
    ///
    /// `false` when the exposure it was made on is gone (written off since): then nothing was booked, and the
    /// caller has [`Gate::adopt`] and [`Gate::reduce`].
    #[must_use]
    pub fn settle(&mut self, reservation: Reservation, fill: Fill) -> bool {
        let Some(index) = self.find_reserved(&reservation) else {
            return false;
        };
        self.counters.reservation_settled += 1;
        match reservation.side {
            Side::Buy => {
                self.reprice(index, fill.quote);
                self.exposures[index].tokens = fill.tokens;
                self.exposures[index].held = true;
            }
            Side::Sell => self.settle_exit(index, fill.tokens),
        }
        true
    }

    /// Takes a holding on that no reservation stands for any more: an entry given up for lost that landed
    /// after all. `false` when there is no room for it; the money is then out there unaccounted, and the
    /// caller has to stop.
    #[must_use]
    pub fn adopt(&mut self, mint: Mint, entry_intent: u64, fill: Fill) -> bool {
        if self.find(&mint).is_some() || self.exposure_count == self.exposures.len() {
            return false;
        }
        self.open_notional = self.open_notional.saturating_add(fill.quote);
        let Fill { tokens, quote } = fill;
        self.add(Exposure {
            mint,
            notional: quote,
            tokens,
            entry_intent,
            held: true,
            exit_intent: None,
        });
        true
    }

    /// Takes `sold` tokens off a holding without a reservation: an exit given up for lost that landed after all.
    /// No effect on a coin that is not held.
    pub fn reduce(&mut self, mint: &Mint, sold: TokenAmount) {
        if let Some(index) = self.find(mint).filter(|index| self.exposures[*index].held) {
            self.settle_exit(index, sold);
        }
    }

    /// Forgets the coin, whatever its state: for a holding that an operator or a reconciliation writes off.
    pub fn write_off(&mut self, mint: &Mint) {
        if let Some(index) = self.find(mint) {
            self.remove(index);
        }
    }

    /// Replaces the bounds on amounts and tips; the array and windows keep the size they were built with, so
    /// `positions_max` and the rates may only be lowered.
    ///
    /// # Errors
    /// [`LimitError`] when they do not make sense or would need more room.
    pub fn set_limits(&mut self, limits: Limits) -> Result<(), LimitError> {
        limits.check()?;
        if usize::from(limits.positions_max) > self.exposures.len() {
            return Err(LimitError::Positions);
        }
        let same_rates = limits.entries_per_window_max == self.limits.entries_per_window_max
            && limits.exits_per_window_max == self.limits.exits_per_window_max
            && limits.window == self.limits.window;
        if !same_rates {
            return Err(LimitError::Rate);
        }
        self.limits = limits;
        Ok(())
    }

    /// The bounds in force.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The mode now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.control.mode()
    }

    /// Lets nothing be entered on `venue` any more; whether that is news. Exits are still let through.
    pub fn disable_venue(&self, venue: Venue, reason: Disabled) -> bool {
        self.control.venues().disable(venue, reason)
    }

    /// Stops everything: for a caller whose account of the world no longer adds up.
    pub fn halt(&self) {
        self.control.tighten(Mode::Halted);
    }

    /// Money at risk in all coins together, in flight as if filled.
    #[must_use]
    pub const fn open_notional(&self) -> Lamports {
        self.open_notional
    }

    /// Coins held or being entered.
    #[must_use]
    pub fn exposures(&self) -> &[Exposure] {
        &self.exposures[..self.exposure_count]
    }

    /// What is held of, or being entered in, one coin.
    #[inline]
    #[must_use]
    pub fn exposure(&self, mint: &Mint) -> Option<&Exposure> {
        self.find(mint).map(|index| &self.exposures[index])
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &GateCounters {
        &self.counters
    }

    fn enter(&mut self, intent: &Intent, now: Nanos) -> Result<(), Refusal> {
        match self.control.mode() {
            Mode::Active => {}
            Mode::Reducing => return Err(Refusal::Reducing),
            Mode::Halted => return Err(Refusal::Halted),
        }
        let disabled = self.control.venues().disabled(intent.venue);
        refuse(disabled.is_some(), Refusal::VenueDisabled)?;
        refuse(intent.spend.0 == 0, Refusal::ZeroAmount)?;
        refuse(intent.tokens.0 == 0, Refusal::NoMinimum)?;
        refuse(intent.tip > self.limits.tip_max, Refusal::TipCap)?;
        let notional = notional(intent);
        refuse(
            notional > self.limits.per_trade_max,
            Refusal::PerTradeNotional,
        )?;
        let open = self.open_notional.saturating_add(notional);
        refuse(open > self.limits.open_notional_max, Refusal::OpenNotional)?;
        let full = self.exposure_count >= usize::from(self.limits.positions_max);
        refuse(full, Refusal::PositionsMax)?;
        refuse(self.find(&intent.mint).is_some(), Refusal::DuplicateEntry)?;
        refuse(!self.entries.admits(now), Refusal::EntryRate)?;

        self.entries.record(now);
        self.open_notional = open;
        self.add(Exposure {
            mint: intent.mint,
            notional,
            tokens: TokenAmount(0),
            entry_intent: intent.id,
            held: false,
            exit_intent: None,
        });
        self.counters.entry_approved += 1;
        Ok(())
    }

    fn exit(&mut self, intent: &Intent, now: Nanos) -> Result<(), Refusal> {
        refuse(self.control.mode() == Mode::Halted, Refusal::Halted)?;
        refuse(intent.tokens.0 == 0, Refusal::ZeroAmount)?;
        refuse(intent.receive_min.0 == 0, Refusal::NoMinimum)?;
        refuse(intent.tip > self.limits.tip_max, Refusal::TipCap)?;
        let held = self
            .find(&intent.mint)
            .filter(|index| self.exposures[*index].held);
        let index = held.ok_or(Refusal::NothingToExit)?;
        refuse(
            self.exposures[index].exit_intent.is_some(),
            Refusal::DuplicateExit,
        )?;
        refuse(
            intent.tokens > self.exposures[index].tokens,
            Refusal::ExitExceedsHolding,
        )?;
        refuse(!self.exits.admits(now), Refusal::ExitRate)?;

        self.exits.record(now);
        self.exposures[index].exit_intent = Some(intent.id);
        self.counters.exit_approved += 1;
        Ok(())
    }

    fn settle_exit(&mut self, index: usize, sold: TokenAmount) {
        let Exposure {
            notional, tokens, ..
        } = self.exposures[index];
        let left = tokens.0.saturating_sub(sold.0);
        if left == 0 {
            return self.remove(index);
        }
        let kept = u128::from(notional.0) * u128::from(left) / u128::from(tokens.0);
        self.reprice(index, Lamports(kept as u64));
        self.exposures[index].tokens = TokenAmount(left);
        self.exposures[index].exit_intent = None;
    }

    fn reprice(&mut self, index: usize, notional: Lamports) {
        let without = self
            .open_notional
            .saturating_sub(self.exposures[index].notional);
        self.open_notional = without.saturating_add(notional);
        self.exposures[index].notional = notional;
    }

    /// Call only with room left.
    fn add(&mut self, exposure: Exposure) {
        self.exposures[self.exposure_count] = exposure;
        self.exposure_count += 1;
    }

    fn remove(&mut self, index: usize) {
        self.open_notional = self
            .open_notional
            .saturating_sub(self.exposures[index].notional);
        self.exposure_count -= 1;
        self.exposures[index] = self.exposures[self.exposure_count];
    }

    /// The exposure that `reservation` was made on; `None` when it was written off since.
    fn find_reserved(&self, reservation: &Reservation) -> Option<usize> {
        let index = self.find(&reservation.mint)?;
        let exposure = &self.exposures[index];
        let stands = match reservation.side {
            Side::Buy => !exposure.held && exposure.entry_intent == reservation.intent_id,
            Side::Sell => exposure.exit_intent == Some(reservation.intent_id),
        };
        stands.then_some(index)
    }

    #[inline]
    fn find(&self, mint: &Mint) -> Option<usize> {
        self.exposures[..self.exposure_count]
            .iter()
            .position(|exposure| exposure.mint == *mint)
    }
}

#[inline]
const fn refuse(when: bool, reason: Refusal) -> Result<(), Refusal> {
    if when { Err(reason) } else { Ok(()) }
}
