//! Signals of the brain that wait for their event. Each fires at most once.
//!
//! The bridge has checked who asks, session, sequence and age; here a signal can only wait, be vetoed, expire
//! or meet its event. Age is checked again at that moment, because time in the ring and in the table counts.

use brain_wire::{ArmedSignal, Side, SignalFlags};
use market::{Bps, Lamports, Mint};
use shred_wire::{Nanos, Slot};

use crate::recent::Recent;

/// What it takes for a signal to become an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignalPolicy {
    /// One signal is enough.
    Single,
    /// Two, of different families, evidence and independent sources, for the same coin and side, with events
    /// no further apart than this. Neither alone does anything.
    Collision {
        /// Longest distance between the two evidence times.
        window: Nanos,
    },
}

/// Why a signal was not armed. One byte, counted; append, never reorder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum ArmReject {
    /// Marked as a test: it is counted and does nothing.
    Test,
    /// Its time is over.
    Expired,
    /// Its evidence is too many slots old.
    StaleSlot,
    /// Its id was seen before.
    Duplicate,
    /// Too many wait already.
    TableFull,
}

impl ArmReject {
    /// How many reasons there are.
    pub const COUNT: usize = 5;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        ["test", "expired", "stale_slot", "duplicate", "table_full"]
    }
}

/// A signal ready to meet its event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Order {
    pub(crate) index: usize,
    pub(crate) signal_id: u64,
    pub(crate) max_notional: Lamports,
    pub(crate) max_slippage: Bps,
}

/// Which coin an event is about, as signals name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Occasion {
    /// An event of this coin.
    Coin(Mint),
    /// A launch that passed the strategy's filters.
    Launch(Mint),
}

#[derive(Clone, Copy, Debug)]
struct Item {
    signal: ArmedSignal,
    ready: bool,
    /// Position in order of arming: the oldest fires first.
    ordinal: u64,
    /// How often what it led to was refused, and the slot from which it may lead to something again.
    refused_count: u8,
    waits_until: Slot,
}

/// Refusals of what a signal led to after which it is given up.
const REFUSALS_MAX: u8 = 3;

impl Item {
    fn order(&self, index: usize) -> Order {
        let signal = &self.signal.signal;
        Order {
            index,
            signal_id: signal.signal_id,
            max_notional: Lamports(self.signal.max_notional_lamports),
            max_slippage: Bps(u16::try_from(signal.max_slippage_bps).unwrap_or(u16::MAX)),
        }
    }
}

/// A fixed number of waiting signals.
#[derive(Debug)]
pub(crate) struct ArmedTable {
    items: Box<[Option<Item>]>,
    /// Which items there are, a bit each: every event asks, and most of the table is empty.
    taken: Box<[u64]>,
    /// First word of the mint that each item names: what an event's coin is compared with, since items are large and cold.
    words: Box<[u64]>,
    count: usize,
    seen: Recent<u64>,
    policy: SignalPolicy,
    dependent_sources: Box<[(u16, u16)]>,
    slots_max: u64,
    next_ordinal: u64,
    /// Where the last signal armed stands; out of bounds when it only changed one that still waits for its partner.
    latest: usize,
    expired: u64,
}

/// Signal ids remembered against repeats; the bridge remembers more of them.
const SEEN_LEN: usize = 1_024;

impl ArmedTable {
    pub(crate) fn new(
        capacity: usize,
        policy: SignalPolicy,
        dependent_sources: &[(u16, u16)],
        slots_max: u64,
    ) -> Self {
        Self {
            items: vec![None; capacity].into_boxed_slice(),
            taken: vec![0; capacity.div_ceil(64)].into_boxed_slice(),
            words: vec![0; capacity].into_boxed_slice(),
            count: 0,
            seen: Recent::new(SEEN_LEN),
            policy,
            dependent_sources: dependent_sources.into(),
            slots_max,
            next_ordinal: 0,
            latest: usize::MAX,
            expired: 0,
        }
    }

    /// Arms `signal`, or says why not. Under [`SignalPolicy::Collision`] a signal waits for its partner first,
    /// and whichever of the two comes second completes the pair.
    pub(crate) fn arm(
        &mut self,
        signal: &ArmedSignal,
        now: Nanos,
        slot: Slot,
    ) -> Result<(), ArmReject> {
        if signal.signal.flags.contains(SignalFlags::TEST) {
            return Err(ArmReject::Test);
        }
        if !signal.is_live_realtime(now.0) {
            return Err(ArmReject::Expired);
        }
        if self.is_stale(signal, slot) {
            return Err(ArmReject::StaleSlot);
        }
        if self
            .seen
            .iter()
            .any(|seen| *seen == signal.signal.signal_id)
        {
            return Err(ArmReject::Duplicate);
        }
        self.sweep(now, slot);
        self.accept(signal)?;
        self.seen.push(signal.signal.signal_id);
        Ok(())
    }

    /// The oldest live order for `occasion` on `side`. It stays until [`ArmedTable::fire`].
    pub(crate) fn order(
        &self,
        occasion: Occasion,
        side: Side,
        now: Nanos,
        slot: Slot,
    ) -> Option<Order> {
        if self.count == 0 {
            return None;
        }
        let fits =
            |item: &Item| item.ready && slot >= item.waits_until && item.signal.signal.side == side;
        let live =
            |item: &Item| item.signal.is_live_realtime(now.0) && !self.is_stale(&item.signal, slot);
        let (index, item) = self
            .meeting(occasion)
            .filter(|(_, item)| fits(item) && live(item))
            .min_by_key(|(_, item)| item.ordinal)?;
        Some(item.order(index))
    }

    /// The live buy at `index` that names a coin, if it is ready to meet its event. Indexes run to the capacity.
    pub(crate) fn named_buy(&self, index: usize, now: Nanos, slot: Slot) -> Option<(Mint, Order)> {
        let item = self.items.get(index)?.as_ref()?;
        let signal = &item.signal.signal;
        let is_live = item.signal.is_live_realtime(now.0) && !self.is_stale(&item.signal, slot);
        let is_named_buy = signal.side == Side::Buy && !signal.is_next_launch();
        (item.ready && is_named_buy && is_live && !signal.is_veto())
            .then(|| (Mint(signal.mint), item.order(index)))
    }

    /// The last signal armed, if it is such a buy.
    pub(crate) fn latest_named_buy(&self, now: Nanos, slot: Slot) -> Option<(Mint, Order)> {
        self.named_buy(self.latest, now, slot)
    }

    /// Every live buy that names a coin and is ready to meet its event.
    pub(crate) fn named_buys(&self, now: Nanos, slot: Slot) -> impl Iterator<Item = (Mint, Order)> {
        self.waiting()
            .filter_map(move |(index, _)| self.named_buy(index, now, slot))
    }

    /// One of them, by turns; at some turns none.
    pub(crate) fn next_named_buy(
        &self,
        turn: usize,
        now: Nanos,
        slot: Slot,
    ) -> Option<(Mint, Order)> {
        self.named_buys(now, slot)
            .nth(turn.checked_rem(self.count)?)
    }

    pub(crate) const fn capacity(&self) -> usize {
        self.items.len()
    }

    /// What an order led to was refused before it left: it waits for the next slot, so that not every event tries it again,
    /// and is given up at the third time. Whether it was given up.
    pub(crate) fn refused(&mut self, order: &Order, slot: Slot) -> bool {
        let Some(item) = self.items.get_mut(order.index).and_then(Option::as_mut) else {
            return false;
        };
        item.refused_count = item.refused_count.saturating_add(1);
        item.waits_until = Slot(slot.0.saturating_add(1));
        let is_spent = item.refused_count >= REFUSALS_MAX;
        if is_spent {
            self.forget(order.index);
        }
        is_spent
    }

    /// Uses an order up.
    pub(crate) fn fire(&mut self, order: &Order) {
        self.forget(order.index);
    }

    /// Whether a live veto forbids entering the coin: its own, or one on launches when this is one.
    pub(crate) fn vetoes(&self, occasion: Occasion, now: Nanos, slot: Slot) -> bool {
        self.count > 0
            && self.meeting(occasion).any(|(_, item)| {
                item.signal.signal.is_veto()
                    && item.signal.is_live_realtime(now.0)
                    && !self.is_stale(&item.signal, slot)
            })
    }

    /// Forgets what can no longer fire. Cost: a scan of the table.
    pub(crate) fn sweep(&mut self, now: Nanos, slot: Slot) {
        if self.count == 0 {
            return;
        }
        for index in 0..self.items.len() {
            let Some(item) = &self.items[index] else {
                continue;
            };
            if !item.signal.is_live_realtime(now.0) || self.is_stale(&item.signal, slot) {
                self.forget(index);
                self.expired += 1;
            }
        }
    }

    /// Every item with its index.
    fn waiting(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.indexes().filter_map(|index| self.at(index))
    }

    /// Every item that is about `occasion`.
    fn meeting(&self, occasion: Occasion) -> impl Iterator<Item = (usize, &Item)> {
        let (Occasion::Coin(mint) | Occasion::Launch(mint)) = occasion;
        let (named, is_launch) = (word(&mint.0), matches!(occasion, Occasion::Launch(_)));
        self.indexes()
            .filter(move |index| {
                let word = self.words[*index];
                word == named || (is_launch && word == NEXT_LAUNCH_WORD)
            })
            .filter_map(|index| self.at(index))
            .filter(move |(_, item)| meets(&item.signal, occasion))
    }

    fn at(&self, index: usize) -> Option<(usize, &Item)> {
        Some((index, self.items.get(index)?.as_ref()?))
    }

    fn indexes(&self) -> impl Iterator<Item = usize> {
        let mut words = self.taken.iter();
        let (mut rest, mut end) = (0u64, 0);
        core::iter::from_fn(move || {
            while rest == 0 {
                rest = *words.next()?;
                end += 64;
            }
            let index = end - 64 + rest.trailing_zeros() as usize;
            // The lowest bit off.
            rest &= rest - 1;
            Some(index)
        })
    }

    fn forget(&mut self, index: usize) {
        if self.items[index].take().is_some() {
            self.taken[index / 64] &= !(1 << (index % 64));
            self.count -= 1;
        }
    }

    pub(crate) const fn expired(&self) -> u64 {
        self.expired
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    fn accept(&mut self, signal: &ArmedSignal) -> Result<(), ArmReject> {
        self.latest = usize::MAX;
        let SignalPolicy::Collision { window } = self.policy else {
            return self.insert(*signal, true);
        };
        if signal.signal.is_veto() {
            // Forbidding needs no second opinion.
            return self.insert(*signal, true);
        }
        let dependent = &self.dependent_sources;
        let is_partner = |item: &Option<Item>| {
            item.as_ref().is_some_and(|item| {
                !item.ready && collides(&item.signal, signal, window, dependent)
            })
        };
        if let Some(index) = self.items.iter().position(is_partner)
            && let Some(partner) = &mut self.items[index]
        {
            partner.signal = joined(&partner.signal, signal);
            partner.ready = true;
            self.latest = index;
            return Ok(());
        }
        // Only a family's last word on a coin counts.
        let mut waiting = self.items.iter_mut().flatten().filter(|item| !item.ready);
        if let Some(earlier) = waiting.find(|item| same_question(&item.signal, signal)) {
            if signal.signal.t_event_ns >= earlier.signal.signal.t_event_ns {
                earlier.signal = *signal;
            }
            return Ok(());
        }
        self.insert(*signal, false)
    }

    fn insert(&mut self, signal: ArmedSignal, ready: bool) -> Result<(), ArmReject> {
        let vacant = self.items.iter().position(Option::is_none);
        let index = vacant.ok_or(ArmReject::TableFull)?;
        self.taken[index / 64] |= 1 << (index % 64);
        self.words[index] = word(&signal.signal.mint);
        self.items[index] = Some(Item {
            signal,
            ready,
            ordinal: self.next_ordinal,
            refused_count: 0,
            waits_until: Slot(0),
        });
        self.next_ordinal += 1;
        self.latest = index;
        self.count += 1;
        Ok(())
    }

    fn is_stale(&self, signal: &ArmedSignal, slot: Slot) -> bool {
        let as_of = signal.signal.as_of_slot;
        self.slots_max > 0 && as_of > 0 && slot.0 > as_of.saturating_add(self.slots_max)
    }
}

/// As [`word`] has it of a signal that names no coin.
const NEXT_LAUNCH_WORD: u64 = 0;

fn word(mint: &[u8; 32]) -> u64 {
    let first = mint.first_chunk();
    first.map_or(0, |word| u64::from_le_bytes(*word))
}

fn meets(signal: &ArmedSignal, occasion: Occasion) -> bool {
    let named = |mint: Mint| signal.signal.mint == mint.0;
    match occasion {
        Occasion::Coin(mint) => named(mint),
        Occasion::Launch(mint) => named(mint) || signal.signal.is_next_launch(),
    }
}

/// Same coin, side and family: a later answer to the same question.
fn same_question(one: &ArmedSignal, other: &ArmedSignal) -> bool {
    let (one, other) = (&one.signal, &other.signal);
    one.mint == other.mint && one.side == other.side && one.family == other.family
}

/// Whether two signals confirm each other. Symmetric.
fn collides(
    one: &ArmedSignal,
    other: &ArmedSignal,
    window: Nanos,
    dependent: &[(u16, u16)],
) -> bool {
    let (one, other) = (&one.signal, &other.signal);
    let sources = [
        (one.source_id, other.source_id),
        (other.source_id, one.source_id),
    ];
    one.mint == other.mint
        && one.side == other.side
        && one.family != other.family
        && one.evidence_id != other.evidence_id
        && one.source_id != other.source_id
        && !dependent.iter().any(|pair| sources.contains(pair))
        && one.t_event_ns.abs_diff(other.t_event_ns) <= window.0
}

/// The stricter of the two in everything, named after the lower id: the same whichever came first.
fn joined(one: &ArmedSignal, other: &ArmedSignal) -> ArmedSignal {
    let mut joined = if one.signal.signal_id <= other.signal.signal_id {
        *one
    } else {
        *other
    };
    joined.max_notional_lamports = one.max_notional_lamports.min(other.max_notional_lamports);
    joined.expires_realtime_ns = one.expires_realtime_ns.min(other.expires_realtime_ns);
    joined.expires_monotonic_ns = one.expires_monotonic_ns.min(other.expires_monotonic_ns);
    joined.signal.max_slippage_bps = one
        .signal
        .max_slippage_bps
        .min(other.signal.max_slippage_bps);
    joined.signal.as_of_slot = match (one.signal.as_of_slot, other.signal.as_of_slot) {
        (0, known) | (known, 0) => known,
        (one, other) => one.min(other),
    };
    joined
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use brain_wire::{Family, Signal};

    const MINT: Mint = Mint([9; 32]);
    const NOW: Nanos = Nanos(1_000);
    const COLLISION: SignalPolicy = SignalPolicy::Collision {
        window: Nanos(5_000),
    };

    fn signal(signal_id: u64, family: Family) -> ArmedSignal {
        let signal = Signal {
            producer_id: 1,
            session_epoch: 1,
            seq: signal_id,
            flags: SignalFlags(0),
            t_event_ns: 500,
            t_send_ns: 600,
            ttl_us: 1,
            source_id: signal_id as u16,
            family,
            side: Side::Buy,
            as_of_slot: 10,
            mint: MINT.0,
            conviction_ppm: 1,
            confidence_ppm: 1,
            max_notional_lamports: 100 + signal_id,
            max_slippage_bps: 50 + signal_id as u32,
            expected_edge_bps: 0,
            evidence_id: [signal_id as u8; 16],
            signal_id,
        };
        ArmedSignal {
            signal,
            max_notional_lamports: signal.max_notional_lamports,
            accepted_monotonic_ns: 0,
            expires_monotonic_ns: 0,
            expires_realtime_ns: 10_000,
        }
    }

    fn table(policy: SignalPolicy) -> ArmedTable {
        ArmedTable::new(4, policy, &[(3, 4)], 32)
    }

    fn order(table: &ArmedTable) -> Option<Order> {
        table.order(Occasion::Coin(MINT), Side::Buy, NOW, Slot(10))
    }

    #[test]
    fn what_cannot_fire_is_not_armed() {
        let mut table = table(SignalPolicy::Single);
        let mut arm = |change: fn(&mut ArmedSignal), slot: u64| {
            let mut changed = signal(1, Family::Onchain);
            change(&mut changed);
            table.arm(&changed, NOW, Slot(slot))
        };
        assert_eq!(
            arm(|signal| signal.signal.flags = SignalFlags::TEST, 10),
            Err(ArmReject::Test)
        );
        assert_eq!(
            arm(|signal| signal.expires_realtime_ns = NOW.0, 10),
            Err(ArmReject::Expired)
        );
        assert_eq!(arm(|_| (), 43), Err(ArmReject::StaleSlot));
        assert_eq!(arm(|signal| signal.signal.as_of_slot = 0, 43), Ok(()));
        assert_eq!(arm(|_| (), 42), Err(ArmReject::Duplicate));
        for id in 2..=4 {
            assert_eq!(
                table.arm(&signal(id, Family::Onchain), NOW, Slot(10)),
                Ok(())
            );
        }
        assert_eq!(
            table.arm(&signal(5, Family::Onchain), NOW, Slot(10)),
            Err(ArmReject::TableFull)
        );
        assert_eq!(
            table.arm(&signal(5, Family::Onchain), NOW, Slot(10)),
            Err(ArmReject::TableFull),
            "not a repeat"
        );
        table.sweep(Nanos(10_000), Slot(10));
        assert_eq!((table.count(), table.expired()), (0, 4));
    }

    #[test]
    fn the_oldest_fires_first_and_once_and_age_is_checked_at_use() {
        let mut table = table(SignalPolicy::Single);
        for id in [7, 3] {
            table
                .arm(&signal(id, Family::Onchain), NOW, Slot(10))
                .unwrap();
        }
        let first = order(&table).unwrap();
        assert_eq!(first.signal_id, 7);
        assert_eq!(
            (first.max_notional, first.max_slippage),
            (Lamports(107), Bps(57))
        );
        table.fire(&first);
        table.fire(&first);
        assert_eq!((order(&table).unwrap().signal_id, table.count()), (3, 1));
        assert!(
            table
                .order(Occasion::Coin(MINT), Side::Buy, Nanos(9_999), Slot(42))
                .is_some()
        );
        assert!(
            table
                .order(Occasion::Coin(MINT), Side::Buy, Nanos(10_000), Slot(42))
                .is_none()
        );
        assert!(
            table
                .order(Occasion::Coin(MINT), Side::Buy, NOW, Slot(43))
                .is_none()
        );
        assert!(
            table
                .order(Occasion::Coin(MINT), Side::Sell, NOW, Slot(10))
                .is_none()
        );
        assert!(
            table
                .order(Occasion::Coin(Mint([8; 32])), Side::Buy, NOW, Slot(10))
                .is_none()
        );
    }

    /// Goal: the order of arrival decides nothing. Method: both orders of every pair of kinds.
    #[test]
    fn two_independent_families_collide_in_either_order_and_nothing_else_does() {
        type Change = fn(&mut ArmedSignal);
        let kinds: [(Change, bool); 8] = [
            (|_| (), true),
            (|signal| signal.signal.t_event_ns += 5_000, true),
            (|signal| signal.signal.t_event_ns += 5_001, false),
            (|signal| signal.signal.family = Family::Onchain, false),
            (|signal| signal.signal.evidence_id = [1; 16], false),
            (|signal| signal.signal.source_id = 1, false),
            (|signal| signal.signal.side = Side::Sell, false),
            (|signal| signal.signal.mint = [8; 32], false),
        ];
        for (change, fires) in kinds {
            let one = signal(1, Family::Onchain);
            let mut other = signal(2, Family::Social);
            change(&mut other);
            let outcome = |first: &ArmedSignal, second: &ArmedSignal| {
                let mut table = table(COLLISION);
                table.arm(first, NOW, Slot(10)).unwrap();
                assert_eq!(order(&table), None, "one alone does nothing");
                table.arm(second, NOW, Slot(10)).unwrap();
                order(&table)
            };
            let orders = [outcome(&one, &other), outcome(&other, &one)];
            assert_eq!(orders[0], orders[1]);
            assert_eq!(orders[0].is_some(), fires);
            if let Some(order) = orders[0] {
                assert_eq!(
                    (order.signal_id, order.max_notional, order.max_slippage),
                    (1, Lamports(101), Bps(51))
                );
            }
        }
    }

    #[test]
    fn a_large_table_finds_the_signal_in_every_place() {
        let mut table = ArmedTable::new(130, SignalPolicy::Single, &[], 32);
        for id in 1..=130 {
            let mut signal = signal(id, Family::Onchain);
            signal.signal.mint = [id as u8; 32];
            table.arm(&signal, NOW, Slot(10)).unwrap();
        }
        let find = |table: &ArmedTable, id: u64| {
            let occasion = Occasion::Coin(Mint([id as u8; 32]));
            table.order(occasion, Side::Buy, NOW, Slot(10))
        };
        for id in (1..=130).rev() {
            let order = find(&table, id).unwrap();
            assert_eq!(order.signal_id, id);
            table.fire(&order);
            assert_eq!(find(&table, id), None);
        }
        assert_eq!(table.count(), 0);
        table
            .arm(&signal(131, Family::Onchain), NOW, Slot(10))
            .unwrap();
        assert!(order(&table).is_some(), "a place is used again");
    }

    #[test]
    fn sources_of_which_one_derives_from_the_other_are_one() {
        for pair in [[3, 4], [4, 3]] {
            let mut table = table(COLLISION);
            table
                .arm(&signal(pair[0], Family::Onchain), NOW, Slot(10))
                .unwrap();
            table
                .arm(&signal(pair[1], Family::Social), NOW, Slot(10))
                .unwrap();
            assert_eq!(order(&table), None);
        }
    }

    #[test]
    fn a_veto_holds_for_its_coin_or_for_launches_and_needs_no_partner() {
        let mut table = table(COLLISION);
        let mut veto = signal(1, Family::Onchain);
        (veto.signal.flags, veto.signal.side) = (SignalFlags::VETO, Side::None);
        table.arm(&veto, NOW, Slot(10)).unwrap();
        let mut on_launches = veto;
        (on_launches.signal.signal_id, on_launches.signal.mint) = (2, [0; 32]);
        let other = Mint([8; 32]);
        assert!(
            table.vetoes(Occasion::Coin(MINT), NOW, Slot(10))
                && table.vetoes(Occasion::Launch(MINT), NOW, Slot(10))
        );
        assert!(!table.vetoes(Occasion::Launch(other), NOW, Slot(10)));
        table.arm(&on_launches, NOW, Slot(10)).unwrap();
        assert!(table.vetoes(Occasion::Launch(other), NOW, Slot(10)));
        assert!(!table.vetoes(Occasion::Coin(other), NOW, Slot(10)));
        assert!(!table.vetoes(Occasion::Launch(other), Nanos(10_000), Slot(10)));
    }
}
