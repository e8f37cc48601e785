//! Who leads which slot, epoch by epoch, and which slots are plausible at all.
//!
//! Snapshots: built off the hot path, never changed, looked up in one or two loads.

use crate::leader::{Leader, Leaders};
use shred_wire::{Nanos, Slot};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Slots between the first and the last that one run of leaders may name: some nine mainnet epochs of 432,000.
pub const SPAN_MAX: u64 = 4_000_000;
/// Epochs that a schedule holds at once: the running one, the next, and the one whose last slots are still finalised.
pub const EPOCHS_MAX: usize = 3;
/// The slot is in the span, and unnamed.
const UNNAMED: u16 = u16::MAX;

/// Why leaders cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScheduleReject {
    /// It names no slot.
    Empty,
    /// It spans more than [`SPAN_MAX`] slots.
    TooWide {
        /// The first slot.
        first: Slot,
        /// The last slot.
        last: Slot,
    },
    /// More leaders than are told apart, 65,535.
    TooManyLeaders,
    /// A slot has two leaders.
    TwoLeaders(Slot),
    /// It names a slot past its epoch's end.
    BeyondEpoch(Slot),
    /// It leaves out a slot of its epoch.
    Missing(Slot),
}

impl std::fmt::Display for ScheduleReject {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => formatter.write_str("it names no slot"),
            Self::TooWide { first, last } => write!(
                formatter,
                "slots {} to {} span more than {SPAN_MAX}",
                first.0, last.0
            ),
            Self::TooManyLeaders => formatter.write_str("too many leaders"),
            Self::TwoLeaders(slot) => write!(formatter, "slot {} has two leaders", slot.0),
            Self::BeyondEpoch(slot) => {
                write!(formatter, "slot {} is past the epoch's end", slot.0)
            }
            Self::Missing(slot) => write!(formatter, "slot {} of the epoch has no leader", slot.0),
        }
    }
}

impl std::error::Error for ScheduleReject {}

/// Leaders of a run of slots. Two bytes a slot: 864 kB for a mainnet epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotLeaders {
    first: u64,
    /// Index into `identities`, by slot from `first`.
    leaders: Box<[u16]>,
    identities: Box<[[u8; 32]]>,
}

impl SlotLeaders {
    /// From pairs in any order; slots between them may stay unnamed.
    ///
    /// # Errors
    /// [`ScheduleReject`] when the pairs name nothing, too much, or a slot twice with different leaders.
    pub fn from_slots(slots: &[(Slot, [u8; 32])]) -> Result<Self, ScheduleReject> {
        let (Some(first), Some(last)) = (
            slots.iter().map(|(slot, _)| *slot).min(),
            slots.iter().map(|(slot, _)| *slot).max(),
        ) else {
            return Err(ScheduleReject::Empty);
        };
        if last.0 - first.0 >= SPAN_MAX {
            return Err(ScheduleReject::TooWide { first, last });
        }
        let mut known = BTreeMap::new();
        let mut leaders = vec![UNNAMED; (last.0 - first.0 + 1) as usize];
        for (slot, identity) in slots {
            let next = known.len();
            let index = *known.entry(*identity).or_insert(next);
            let index = u16::try_from(index)
                .ok()
                .filter(|index| *index != UNNAMED)
                .ok_or(ScheduleReject::TooManyLeaders)?;
            let place = &mut leaders[(slot.0 - first.0) as usize];
            if *place != UNNAMED && *place != index {
                return Err(ScheduleReject::TwoLeaders(*slot));
            }
            *place = index;
        }
        let mut identities = vec![[0; 32]; known.len()];
        for (identity, index) in known {
            identities[index] = identity;
        }
        Ok(Self {
            first: first.0,
            leaders: leaders.into(),
            identities: identities.into(),
        })
    }

    /// From an RPC node's `getLeaderSchedule`: for each identity the slots it leads, counted from the epoch's `first`.
    ///
    /// # Errors
    /// [`ScheduleReject`] unless every one of the epoch's `slots` has exactly one leader.
    pub fn from_indices(
        first: Slot,
        slots: u64,
        named: &[([u8; 32], Vec<u64>)],
    ) -> Result<Self, ScheduleReject> {
        let at = |index: u64| Slot(first.0.saturating_add(index));
        if slots == 0 {
            return Err(ScheduleReject::Empty);
        }
        if slots > SPAN_MAX {
            let last = at(slots - 1);
            return Err(ScheduleReject::TooWide { first, last });
        }
        if named.len() >= usize::from(UNNAMED) {
            return Err(ScheduleReject::TooManyLeaders);
        }
        let mut leaders = vec![UNNAMED; slots as usize];
        for (number, (_, indices)) in (0..).zip(named) {
            for &index in indices {
                let place = usize::try_from(index)
                    .ok()
                    .and_then(|index| leaders.get_mut(index))
                    .ok_or(ScheduleReject::BeyondEpoch(at(index)))?;
                if *place != UNNAMED {
                    return Err(ScheduleReject::TwoLeaders(at(index)));
                }
                *place = number;
            }
        }
        if let Some(missing) = leaders.iter().position(|leader| *leader == UNNAMED) {
            return Err(ScheduleReject::Missing(at(missing as u64)));
        }
        Ok(Self {
            first: first.0,
            leaders: leaders.into(),
            identities: named.iter().map(|(identity, _)| *identity).collect(),
        })
    }

    /// The first slot of the run.
    #[must_use]
    pub const fn first(&self) -> Slot {
        Slot(self.first)
    }

    /// Slots from the first to the last, unnamed ones included.
    #[must_use]
    pub const fn slot_count(&self) -> u64 {
        self.leaders.len() as u64
    }

    /// Who leads `slot`; `None` outside the run and where nobody is named.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<&[u8; 32]> {
        let offset = usize::try_from(slot.0.checked_sub(self.first)?).ok()?;
        self.identities.get(usize::from(*self.leaders.get(offset)?))
    }
}

impl Leaders for SlotLeaders {
    #[inline]
    fn leader(&self, slot: Slot) -> Leader {
        self.get(slot)
            .map_or(Leader::Unnamed, |identity| Leader::Identity(*identity))
    }
}

/// How a cluster divides slots into epochs, as RPC `getEpochSchedule` tells it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Epochs {
    /// Slots of an epoch after warm-up.
    pub slots_per_epoch: u64,
    /// The first epoch of that length.
    pub first_normal_epoch: u64,
    /// Its first slot.
    pub first_normal_slot: Slot,
}

/// Slots of the shortest epoch, the first of a warm-up (agave `MINIMUM_SLOTS_PER_EPOCH`).
pub const SLOTS_PER_EPOCH_MIN: u64 = 32;

impl Epochs {
    /// Slots of `epoch`: during warm-up 32, 64, 128 and so on (`solana-epoch-schedule`, `get_slots_in_epoch`).
    #[must_use]
    pub fn slots_in(&self, epoch: u64) -> u64 {
        if epoch < self.first_normal_epoch {
            let doublings = u32::try_from(epoch).unwrap_or(u32::MAX);
            SLOTS_PER_EPOCH_MIN
                .checked_shl(doublings)
                .unwrap_or(u64::MAX)
        } else {
            self.slots_per_epoch
        }
    }

    /// The first slot of `epoch`; `None` past the end of counting.
    #[must_use]
    pub fn first_slot(&self, epoch: u64) -> Option<Slot> {
        match epoch.checked_sub(self.first_normal_epoch) {
            Some(after) => after
                .checked_mul(self.slots_per_epoch)?
                .checked_add(self.first_normal_slot.0)
                .map(Slot),
            // 32 * (2^epoch - 1)
            None => Some(Slot(self.slots_in(epoch).checked_sub(SLOTS_PER_EPOCH_MIN)?)),
        }
    }
}

/// Leaders of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochLeaders {
    /// The epoch's number.
    pub epoch: u64,
    /// Who leads its slots.
    pub leaders: Arc<SlotLeaders>,
}

/// Leaders of up to [`EPOCHS_MAX`] epochs. A slot of any other epoch is unnamed, whatever comes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    epochs: Vec<EpochLeaders>,
}

impl Schedule {
    /// Nobody leads anything.
    #[must_use]
    pub const fn empty() -> Self {
        Self { epochs: Vec::new() }
    }

    /// This schedule with `new` in it, without epochs below `running`.
    #[must_use]
    pub fn with(&self, new: EpochLeaders, running: u64) -> Self {
        let kept = self.epochs.iter();
        let mut epochs: Vec<_> = kept
            .filter(|held| held.epoch >= running && held.epoch != new.epoch)
            .cloned()
            .collect();
        epochs.push(new);
        epochs.sort_unstable_by_key(|held| held.epoch);
        epochs.truncate(EPOCHS_MAX);
        Self { epochs }
    }

    /// Whether it has the leaders of `epoch`.
    #[must_use]
    pub fn has(&self, epoch: u64) -> bool {
        self.epochs.iter().any(|held| held.epoch == epoch)
    }

    /// The epochs it has, in order.
    pub fn epochs(&self) -> impl Iterator<Item = u64> + '_ {
        self.epochs.iter().map(|held| held.epoch)
    }
}

impl Leaders for Schedule {
    #[inline]
    fn leader(&self, slot: Slot) -> Leader {
        self.epochs
            .iter()
            .find_map(|held| held.leaders.get(slot))
            .map_or(Leader::Unnamed, |identity| Leader::Identity(*identity))
    }
}

/// Slots that shreds may plausibly be of, while the cluster's finalised slot is known.
///
/// A leader's signature does not age: a recording of last week's shreds is as authentic as the day it was made, and
/// after a silence an authentic shred may move the window. Outside these bounds no leader is named, so it cannot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plausible {
    /// The lowest slot.
    pub floor: Slot,
    /// The highest slot.
    pub ceiling: Slot,
}

/// Slots above the finalised one that are plausible at the moment it is told: it trails the newest by 32 in good
/// times (agave `MAX_LOCKOUT_HISTORY` + 1), and agave itself takes 500 above its root (`max_shred_slot`). At 200 ms a
/// slot this also bridges a minute and a half between two tellings.
pub const PLAUSIBLE_AHEAD: u64 = 512;
/// No cluster's slots are shorter: the fastest that SIMD-0525 names is 200 ms.
const SLOT_LEN_MIN: Nanos = Nanos(100_000_000);

impl Plausible {
    /// Everything.
    pub const ANY: Self = Self {
        floor: Slot(0),
        ceiling: Slot(u64::MAX),
    };

    /// What is plausible when `finalized` became the finalised slot `ago`, for a window that reaches `slots_behind`
    /// below its highest slot: nothing that such a window would hold is ever called implausible. The ceiling rises
    /// with time, so that neither a dead RPC node nor a cluster that finalises nothing closes it over the tip.
    #[must_use]
    pub const fn around(finalized: Slot, slots_behind: u64, ago: Nanos) -> Self {
        Self {
            floor: Slot(finalized.0.saturating_sub(slots_behind)),
            ceiling: Slot(
                finalized
                    .0
                    .saturating_add(PLAUSIBLE_AHEAD)
                    .saturating_add(ago.0 / SLOT_LEN_MIN.0),
            ),
        }
    }

    /// Whether `slot` is.
    #[inline]
    #[must_use]
    pub const fn holds(&self, slot: Slot) -> bool {
        slot.0 >= self.floor.0 && slot.0 <= self.ceiling.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const A: [u8; 32] = [1; 32];
    const B: [u8; 32] = [2; 32];

    fn epoch(epochs: &Epochs, epoch: u64, leader: [u8; 32]) -> EpochLeaders {
        let slots = epochs.slots_in(epoch);
        let named = [(leader, (0..slots).collect())];
        let first = epochs.first_slot(epoch).unwrap();
        EpochLeaders {
            epoch,
            leaders: Arc::new(SlotLeaders::from_indices(first, slots, &named).unwrap()),
        }
    }

    const MAINNET: Epochs = Epochs {
        slots_per_epoch: 432_000,
        first_normal_epoch: 0,
        first_normal_slot: Slot(0),
    };

    /// Goal: the last slot of an epoch and the first of the next have their own leaders, and the next one's are
    /// unnamed, not somebody else's, until its schedule is there.
    #[test]
    fn an_epochs_edge() {
        let last = Slot(432_000 * 801 - 1);
        let next = Slot(last.0 + 1);
        let now = Schedule::empty().with(epoch(&MAINNET, 800, A), 800);
        assert_eq!(now.leader(last), Leader::Identity(A));
        assert_eq!(now.leader(next), Leader::Unnamed);
        assert_eq!(now.leader(Slot(432_000 * 800 - 1)), Leader::Unnamed);
        let both = now.with(epoch(&MAINNET, 801, B), 800);
        assert_eq!(both.leader(last), Leader::Identity(A));
        assert_eq!(both.leader(next), Leader::Identity(B));
        assert_eq!(both.leader(Slot(432_000 * 802)), Leader::Unnamed);
        assert_eq!(both.leader(Slot(u64::MAX)), Leader::Unnamed);
        let after = both.with(epoch(&MAINNET, 802, A), 801);
        assert_eq!(after.epochs().collect::<Vec<_>>(), [801, 802]);
        assert_eq!(after.leader(last), Leader::Unnamed);
        assert_eq!(after.leader(next), Leader::Identity(B));
    }

    #[test]
    fn an_epoch_that_is_told_again_replaces_itself() {
        let first = Schedule::empty().with(epoch(&MAINNET, 3, A), 3);
        let again = first.with(epoch(&MAINNET, 3, B), 3);
        assert_eq!(again.epochs().collect::<Vec<_>>(), [3]);
        assert_eq!(again.leader(Slot(432_000 * 3)), Leader::Identity(B));
    }

    /// The warm-up of a cluster with epochs of 8,192: 32, 64, ... 4,096, then 8,192 from epoch 8 at slot 8,160.
    #[test]
    fn warm_up_epochs_double() {
        let epochs = Epochs {
            slots_per_epoch: 8_192,
            first_normal_epoch: 8,
            first_normal_slot: Slot(8_160),
        };
        assert_eq!(epochs.first_slot(0), Some(Slot(0)));
        let mut first = 0;
        for epoch in 0..12 {
            assert_eq!(epochs.first_slot(epoch), Some(Slot(first)), "epoch {epoch}");
            first += epochs.slots_in(epoch);
        }
        assert_eq!(epochs.slots_in(7), 4_096);
        assert_eq!(MAINNET.first_slot(u64::MAX), None);
        let hostile = Epochs {
            first_normal_epoch: u64::MAX,
            ..MAINNET
        };
        assert_eq!(hostile.slots_in(64), u64::MAX);
        let _ = hostile.first_slot(100);
    }

    #[test]
    fn refuses_what_is_not_one_whole_epoch() {
        let named = |named: &[([u8; 32], &[u64])]| {
            let named: Vec<_> = named.iter().map(|(key, at)| (*key, at.to_vec())).collect();
            SlotLeaders::from_indices(Slot(64), 4, &named)
        };
        let whole = named(&[(A, &[0, 3]), (B, &[2, 1])]).unwrap();
        assert_eq!(whole.get(Slot(63)), None);
        assert_eq!(whole.get(Slot(64)), Some(&A));
        assert_eq!(whole.get(Slot(65)), Some(&B));
        assert_eq!(whole.get(Slot(67)), Some(&A));
        assert_eq!(whole.get(Slot(68)), None);
        for (given, reason) in [
            (named(&[(A, &[0, 1, 2])]), ScheduleReject::Missing(Slot(67))),
            (
                named(&[(A, &[0, 1, 2, 3, 4])]),
                ScheduleReject::BeyondEpoch(Slot(68)),
            ),
            (
                named(&[(A, &[u64::MAX])]),
                ScheduleReject::BeyondEpoch(Slot(u64::MAX)),
            ),
            (
                named(&[(A, &[0, 1, 2, 3]), (B, &[3])]),
                ScheduleReject::TwoLeaders(Slot(67)),
            ),
            (
                SlotLeaders::from_indices(Slot(0), 0, &[]),
                ScheduleReject::Empty,
            ),
            (
                SlotLeaders::from_slots(&[(Slot(1), A), (Slot(1), B)]),
                ScheduleReject::TwoLeaders(Slot(1)),
            ),
        ] {
            assert_eq!(given, Err(reason));
            assert!(!reason.to_string().is_empty());
        }
        let wide = SlotLeaders::from_indices(Slot(0), u64::MAX, &[]);
        assert!(matches!(wide, Err(ScheduleReject::TooWide { .. })));
    }

    /// Goal: an old recording is out, the window of a cluster in good and in bad times is in.
    #[test]
    fn plausible_slots_hold_every_window_and_no_recording() {
        let finalized = Slot(1_000_000);
        let now = Plausible::around(finalized, 47, Nanos(0));
        for tip in 1_000_000..=1_000_512 {
            assert!(now.holds(Slot(tip)), "{tip}");
            assert!(now.holds(Slot(tip - 47)), "{tip}");
        }
        assert!(!now.holds(Slot(1_000_000 - 48)));
        assert!(!now.holds(Slot(1_000_513)));
        assert!(!now.holds(Slot(u64::MAX)));
        // Ten minutes of silence from RPC at the fastest slots there may be.
        let later = Plausible::around(finalized, 47, Nanos(600_000_000_000));
        assert!(later.holds(Slot(1_000_000 + 600 * 5 + 32)));
        assert!(Plausible::ANY.holds(Slot(0)) && Plausible::ANY.holds(Slot(u64::MAX)));
        let end = Plausible::around(Slot(u64::MAX), 47, Nanos(u64::MAX));
        assert!(end.holds(Slot(u64::MAX)));
    }
}
