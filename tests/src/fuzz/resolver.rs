//! The resolver, with too little of everything.

use std::collections::BTreeMap;

use shred_resolve::{
    Arrival, Arrived, Checker, Leader, Leaders, NoLeaders, Plan, Policy, Resolver, SourceId,
};
use shred_wire::{Nanos, Slot};

use super::corpus::{Collect, small_plan};
use super::{Corpus, Dice};

/// The resolver as a state machine under duress: any sequence of real, mutated, repeated and foreign datagrams, any
/// policy, leaders known or not or not asked for, bursts, stamps that jump, signatures answered late or never, and too
/// little memory for it all. What comes out with memory to spare is `ingest-fuzz`'s business, which has a reference.
pub(super) fn resolver(dice: &mut Dice, corpus: &Corpus) {
    let plan = Plan {
        checks_max: *dice.pick(&[0, 0, 1, 4]),
        ..small_plan()
    };
    let mut resolver = Resolver::new(&plan);
    let mut sink = Collect::default();
    let leaders = SomeLeaders::draw(dice, &corpus.leaders);
    let start = dice.below(corpus.datagrams.len());
    let (mut step, mut ahead) = (0, 0);
    let mut under_way = Vec::new();
    while step < 300 {
        let source = SourceId(dice.below(3) as u8);
        let policy = *dice.pick(&[
            Policy::EmitThenVerify,
            Policy::VerifyThenEmit,
            Policy::Trusted,
        ]);
        match dice.below(40) {
            0 => ahead += dice.next() % 5_000_000_000,
            1 => ahead = dice.next() >> dice.below(64),
            _ => {}
        }
        let together: Vec<_> = (step..step + 1 + dice.below(8))
            .map(|step| {
                let (stamp, bytes) = corpus.draw(start + step / 2, dice);
                let at = Nanos(stamp.saturating_add(ahead));
                (bytes, Arrival { source, policy, at })
            })
            .collect();
        let burst: Vec<_> = together
            .iter()
            .map(|(bytes, arrival)| Arrived::new(bytes, *arrival))
            .collect();
        for index in 0..burst.len() {
            let _ = resolver.handle_in(&burst, index, &leaders, &mut sink);
            under_way.extend(std::iter::from_fn(|| resolver.next_check()));
            assert!(under_way.len() <= plan.checks_max);
        }
        while !under_way.is_empty() && dice.below(3) > 0 {
            let check = under_way.swap_remove(dice.below(under_way.len()));
            resolver.checked(Checker::new().check(&check), &mut sink);
            under_way.extend(std::iter::from_fn(|| resolver.next_check()));
        }
        step += burst.len();
    }
    let counters = resolver.counters();
    let refused: u64 = counters.rejected.iter().sum();
    assert_eq!(
        counters.datagram,
        counters.shred_accepted + refused,
        "every datagram is used or counted"
    );
    assert_eq!(counters.transaction, sink.sequence);
    assert_eq!(counters.transaction_revoked, sink.revoked);
}

/// Nobody to ask, or some who can be named.
enum SomeLeaders {
    Nobody,
    These(BTreeMap<u64, [u8; 32]>),
}

impl SomeLeaders {
    fn draw(dice: &mut Dice, all: &BTreeMap<u64, [u8; 32]>) -> Self {
        match dice.below(3) {
            0 => Self::Nobody,
            known => {
                let some = all.iter().filter(|_| known == 1 || dice.below(4) > 0);
                Self::These(some.map(|(slot, leader)| (*slot, *leader)).collect())
            }
        }
    }
}

impl Leaders for SomeLeaders {
    fn leader(&self, slot: Slot) -> Leader {
        match self {
            Self::Nobody => NoLeaders.leader(slot),
            Self::These(leaders) => leaders
                .get(&slot.0)
                .map_or(Leader::Unnamed, |leader| Leader::Identity(*leader)),
        }
    }
}
