//! Who leads which slot.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;

use crate::keys::{Key, base58};
use crate::prng::Prng;

/// Slots a leader keeps the turn (solana `NUM_CONSECUTIVE_LEADER_SLOTS`).
pub const SLOTS_PER_TURN: u64 = 4;

/// Turns after which the schedule repeats.
const TURNS: usize = 64;

/// One throw-away leader.
#[derive(Clone)]
pub struct Leader {
    /// Signs shreds.
    pub(crate) identity: SigningKey,
    /// Whether it runs the block engine's software and takes bundles.
    pub jito: bool,
}

/// A seeded, repeating schedule over throw-away leaders.
#[derive(Clone)]
pub struct Schedule {
    leaders: Vec<Leader>,
    turns: Vec<usize>,
}

impl Schedule {
    /// `count` leaders (at least one), about `jito_bps` / 10,000 of them taking bundles, and always
    /// at least one that does.
    pub fn new(prng: &mut Prng, count: usize, jito_bps: u16) -> Self {
        let leader = |at: usize, prng: &mut Prng| Leader {
            identity: SigningKey::from_bytes(&prng.bytes()),
            jito: prng.chance_bps(jito_bps) || at == 0,
        };
        let leaders: Vec<Leader> = (0..count.max(1)).map(|at| leader(at, prng)).collect();
        let mut turns: Vec<usize> = (0..TURNS)
            .map(|_| prng.below(leaders.len() as u64) as usize)
            .collect();
        // Every leader gets a turn in each period, whatever the draw was.
        for at in 0..leaders.len().min(TURNS) {
            turns[at * TURNS / leaders.len().min(TURNS)] = at;
        }
        Self { leaders, turns }
    }

    /// Identity of `slot`'s leader, and whether it takes bundles.
    pub fn leader(&self, slot: u64) -> (Key, bool) {
        let leader = self.at(slot);
        (leader.identity.verifying_key().to_bytes(), leader.jito)
    }

    /// Slots after which the schedule repeats.
    pub fn period(&self) -> u64 {
        self.turns.len() as u64 * SLOTS_PER_TURN
    }

    /// Slot to identity over `slots`.
    pub fn identities(&self, slots: std::ops::Range<u64>) -> BTreeMap<u64, Key> {
        slots.map(|slot| (slot, self.leader(slot).0)).collect()
    }

    /// The same as JSON, `{"<slot>":"<base58>"}`: what `--leaders` reads.
    pub fn identities_json(&self, slots: std::ops::Range<u64>) -> String {
        let entry = |(slot, identity): (u64, Key)| format!("\"{slot}\":\"{}\"", base58(&identity));
        let entries: Vec<String> = self.identities(slots).into_iter().map(entry).collect();
        format!("{{{}}}", entries.join(","))
    }

    pub(crate) fn at(&self, slot: u64) -> &Leader {
        let turn = (slot / SLOTS_PER_TURN) % self.turns.len() as u64;
        &self.leaders[self.turns[turn as usize]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_lasts_four_slots_and_the_schedule_repeats() {
        let schedule = Schedule::new(&mut Prng::new(3), 5, 6_000);
        for slot in 0..schedule.period() {
            assert_eq!(
                schedule.leader(slot),
                schedule.leader(slot / SLOTS_PER_TURN * SLOTS_PER_TURN)
            );
            assert_eq!(
                schedule.leader(slot),
                schedule.leader(slot + schedule.period())
            );
        }
        let distinct: std::collections::BTreeSet<Key> = schedule
            .identities(0..schedule.period())
            .into_values()
            .collect();
        assert_eq!(distinct.len(), 5);
        assert!((0..schedule.period()).any(|slot| schedule.leader(slot).1));
    }

    #[test]
    fn json_names_every_slot() {
        let schedule = Schedule::new(&mut Prng::new(3), 2, 0);
        let identity = base58(&schedule.leader(8).0);
        assert_eq!(
            schedule.identities_json(8..9),
            format!("{{\"8\":\"{identity}\"}}")
        );
    }
}
