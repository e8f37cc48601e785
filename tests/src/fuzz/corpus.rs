//! Real bytes to start from, and the sink that collects transactions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use shred_resolve::{
    Arrival, NoLeaders, Plan, Policy, ResolvedTxn, Resolver, SeenVote, Sink, SourceId, Verdict,
};
use shred_source::PcapReader;
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

use super::Dice;

/// Real bytes to start from.
pub struct Corpus {
    pub(super) leaders: BTreeMap<u64, [u8; 32]>,
    pub(super) captures: Vec<Vec<u8>>,
    pub(super) datagrams: Vec<(u64, Vec<u8>)>,
    pub(super) transactions: Vec<Vec<u8>>,
    /// Those of them that are votes.
    pub(super) votes: Vec<Vec<u8>>,
}

impl Corpus {
    /// Reads the captures of `tests/fixtures`, and their transactions out of them.
    #[must_use]
    pub fn load() -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let captures: Vec<Vec<u8>> = ["dev.lossy.pcap", "dev2.adversarial.pcap"]
            .iter()
            .map(|name| std::fs::read(folder.join(name)).unwrap())
            .collect();
        let mut datagrams = Vec::new();
        for capture in &captures {
            let mut reader = PcapReader::new(capture.as_slice()).unwrap();
            while let Some(datagram) = reader.next().unwrap() {
                datagrams.push((datagram.stamp.0, datagram.payload.to_vec()));
            }
        }
        let mut collected = Collect::default();
        resolve(&datagrams, Policy::VerifyThenEmit, &mut collected);
        assert!(
            collected.transactions.len() > 500,
            "the corpus has transactions"
        );
        let is_vote = |txn: &&Vec<u8>| SeenVote::of(&TxnView::parse(txn).unwrap()).is_some();
        let votes: Vec<_> = collected
            .transactions
            .iter()
            .filter(is_vote)
            .cloned()
            .collect();
        assert!(votes.len() > 100, "the corpus has votes");
        let leaders = std::fs::read(folder.join("leaders.json")).unwrap();
        let leaders: BTreeMap<String, String> = serde_json::from_slice(&leaders).unwrap();
        let leaders = leaders.iter().map(|(slot, leader)| {
            let mut key = [0; 32];
            bs58::decode(leader).onto(&mut key).unwrap();
            (slot.parse().unwrap(), key)
        });
        Self {
            leaders: leaders.collect(),
            captures,
            datagrams,
            transactions: collected.transactions,
            votes,
        }
    }

    /// A datagram from not far behind `at`, as it was or not, and its stamp.
    pub(super) fn draw(&self, at: usize, dice: &mut Dice) -> (u64, Vec<u8>) {
        let (stamp, datagram) = &self.datagrams[(at + dice.below(96)) % self.datagrams.len()];
        let mut bytes = datagram.clone();
        match dice.below(10) {
            0 => dice.mutate(&mut bytes),
            1 if bytes.len() > 80 => {
                let slot = Slot(dice.next() >> dice.below(64));
                bytes[65..73].copy_from_slice(&slot.0.to_le_bytes());
            }
            2 if bytes.len() > 80 => bytes[dice.below(64)] ^= 1,
            _ => {}
        }
        (*stamp, bytes)
    }
}

#[derive(Default)]
pub(super) struct Collect {
    pub(super) transactions: Vec<Vec<u8>>,
    pub(super) revoked: u64,
    pub(super) sequence: u64,
}

impl Sink for Collect {
    fn transaction(&mut self, txn: &ResolvedTxn<'_>) {
        assert_eq!(txn.sequence, self.sequence, "sequences have no gap");
        self.sequence += 1;
        self.transactions.push(txn.view.bytes().to_vec());
    }

    fn verdict(&mut self, verdict: &Verdict) {
        assert!(verdict.from < verdict.to && verdict.to <= self.sequence);
        self.revoked += if verdict.authentic {
            0
        } else {
            verdict.to - verdict.from
        };
    }
}

/// A resolver small enough that every kind of exhaustion happens.
pub(super) fn small_plan() -> Plan {
    Plan {
        slots_behind: 5,
        slots_ahead: 2,
        sets_max: 8,
        versions_max: 24,
        ..Plan::default()
    }
}

fn resolve(datagrams: &[(u64, Vec<u8>)], policy: Policy, sink: &mut Collect) {
    let mut resolver = Resolver::new(&Plan {
        sets_max: 128,
        versions_max: 512,
        ..Plan::default()
    });
    for (at, datagram) in datagrams {
        let _ = resolver.handle(
            datagram,
            Arrival {
                source: SourceId(0),
                policy,
                at: Nanos(*at),
            },
            &NoLeaders,
            sink,
        );
    }
}
