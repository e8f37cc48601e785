//! Forks and votes against blocks that a real validator made (tests/fixtures/README.md, `agave.*`).
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use overmind::leaders::LeaderSchedule;
use serde_json::Value;
use shred_resolve::{
    Ancestry, Arrival, Belongs, BlockEnd, BlockKey, ForkEvent, ForkPlan, Forks, Hint, Plan, Policy,
    Quorum, ResolvedTxn, Resolver, Root, SeenVote, SetLink, Sink, SlotClock, Stake, StakeTable,
    Votes,
};
use shred_source::PcapReader;
use shred_wire::{Slot, SourceId};

struct Seen {
    forks: Forks,
    votes: Votes,
    clock: SlotClock,
    stakes: StakeTable,
    events: Vec<ForkEvent>,
    hints: Vec<Hint>,
    blocks: Vec<BlockEnd>,
    /// Slot, root and vote of each transaction.
    transactions: Vec<(Slot, Root, SeenVote)>,
    payers: Vec<[u8; 32]>,
}

impl Sink for Seen {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        // Nothing but votes happened on this cluster.
        let vote = SeenVote::of(&txn.view).unwrap().unwrap();
        self.transactions
            .push((txn.slot, txn.merkle_root.unwrap(), vote));
        self.payers.push(txn.view.keys()[0]);
        let hints = &mut self.hints;
        let forks = &mut self.forks;
        self.votes.transaction(txn, &self.stakes, &mut |hint| {
            hints.push(*hint);
            if hint.quorum == Quorum::TwoThirds {
                forks.note_hint(hint.slot, hint.block_id);
            }
        });
    }

    fn set(&mut self, link: &SetLink) {
        self.forks.set(link);
        self.clock.note(link.slot, link.at);
    }

    fn block(&mut self, block: &BlockEnd) {
        let events = &mut self.events;
        self.forks.block(block, &mut |event| events.push(*event));
        self.blocks.push(*block);
    }
}

fn fixture(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    folder.join(name)
}

fn resolve(stakes: StakeTable) -> Seen {
    let mut seen = Seen {
        forks: Forks::new(&ForkPlan::default()),
        votes: Votes::new(),
        clock: SlotClock::new(),
        stakes,
        events: Vec::new(),
        hints: Vec::new(),
        blocks: Vec::new(),
        transactions: Vec::new(),
        payers: Vec::new(),
    };
    let leaders = LeaderSchedule::load(&fixture("agave.leaders.json")).unwrap();
    let mut resolver = Resolver::new(&Plan {
        sets_max: 64,
        versions_max: 256,
        ..Plan::default()
    });
    let capture = std::fs::read(fixture("agave.pcap")).unwrap();
    let mut capture = PcapReader::new(&capture[..]).unwrap();
    while let Some(datagram) = capture.next().unwrap() {
        let arrival = Arrival {
            source: SourceId(0),
            policy: Policy::VerifyThenEmit,
            at: datagram.stamp,
        };
        let _ = resolver.handle(datagram.payload, arrival, &leaders, &mut seen);
    }
    seen
}

/// Goal: parents by slot and by id are the validator's own, and every transaction belongs to its slot's block.
#[test]
fn blocks_of_a_validator_chain_to_each_other() {
    let truth: Value =
        serde_json::from_slice(&std::fs::read(fixture("agave.truth.json")).unwrap()).unwrap();
    let seen = resolve(StakeTable::empty());
    assert_eq!(seen.blocks.len(), 3);
    let keys: Vec<BlockKey> = seen
        .blocks
        .iter()
        .map(|block| BlockKey {
            slot: block.slot,
            id: block.last_root,
        })
        .collect();
    for (block, key) in seen.blocks.iter().zip(&keys) {
        let said = &truth[block.slot.0.to_string()];
        let (parent, id) = seen.forks.parent_of(*key).unwrap();
        assert_eq!(said["parent"], parent.0);
        let received = keys.iter().find(|other| other.slot == parent);
        if let Some(received) = received {
            assert_eq!(id, Some(received.id), "slot {}", block.slot.0);
        }
        // Told at the first shred already.
        assert_eq!(seen.forks.parent_root(block.slot), id);
    }
    assert_eq!(seen.forks.is_ancestor(keys[0], keys[2]), Ancestry::Yes);
    assert_eq!(seen.forks.is_ancestor(keys[2], keys[0]), Ancestry::No);
    assert!(!seen.transactions.is_empty());
    for (slot, root, _) in &seen.transactions {
        let key = keys.iter().find(|key| key.slot == *slot).unwrap();
        assert_eq!(seen.forks.block_of(*slot, root), Belongs::To(*key));
    }
    assert_eq!(seen.forks.newest(), Some(keys[2]));
    let counted = seen.forks.counters();
    assert_eq!((counted.fork_seen, counted.slot_skipped), (0, 0));
    assert_eq!(counted.set_unplaced + counted.block_unplaced, 0);
}

/// Goal: the validator's votes are read as it meant them: for blocks before their own, under the ids that their shreds
/// have. Where it tells no id, the hint falls to the slot's only block.
#[test]
fn votes_of_a_validator_are_for_its_own_blocks() {
    let blind = resolve(StakeTable::empty());
    let (voter, node) = (blind.transactions[0].2.voter, blind.payers[0]);
    assert!(blind.hints.is_empty());
    let stake = Stake {
        voter,
        node,
        lamports: 999_999_997_717_120,
    };
    let seen = resolve(StakeTable::new(0, [stake]).unwrap());
    let mut told = 0;
    for (slot, _, vote) in &seen.transactions {
        assert!(vote.slot < *slot && slot.0 - vote.slot.0 < 5, "{vote:?}");
        // The id is what the shreds of the next block chain to, or zeros where the voter did not know it yet.
        let id = vote.block_id.unwrap();
        if id != [0; 32] {
            let next = Slot(vote.slot.0 + 1);
            assert_eq!(seen.forks.parent_root(next), Some(id), "{vote:?}");
            told += 1;
        }
    }
    assert!(told > 0, "{:?}", seen.transactions);
    let votes: Vec<_> = seen.transactions.iter().map(|seen| seen.2).collect();
    let hinted = seen.forks.hinted().unwrap();
    assert!(votes.iter().any(|vote| vote.slot == hinted.slot));
    assert!(
        seen.blocks
            .iter()
            .any(|block| block.slot == hinted.slot && block.last_root == hinted.id)
    );
    let most: Vec<_> = seen
        .hints
        .iter()
        .filter(|hint| hint.quorum == Quorum::TwoThirds)
        .collect();
    assert_eq!(most.len() as u64, seen.votes.counters().vote_counted);
    assert_eq!(seen.votes.newest(), most.iter().map(|hint| hint.slot).max());
    // The same votes by an account whose node did not sign them are worth nothing.
    let forged = resolve(
        StakeTable::new(
            0,
            [Stake {
                node: [1; 32],
                ..stake
            }],
        )
        .unwrap(),
    );
    assert_eq!(forged.hints, []);
    assert!(forged.votes.counters().vote_unsigned > 0);
}
