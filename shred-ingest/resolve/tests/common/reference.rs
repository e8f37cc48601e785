//! A slow and obvious resolver: keeps every authentic shred, and works out what is knowable from scratch each time.

use super::{Line, Schedule, shredder};
use ed25519_dalek::{Signature, VerifyingKey};
use shred_resolve::{BlockEnd, Leader, Leaders, Root};
use shred_wire::Slot;
use shred_wire::batch::{Marker, MarkerStep};
use shred_wire::shred::{ShredKind, ShredLimits, ShredView};
use shred_wire::txn::{ScanStep, TxnScan, TxnView};
use std::collections::{BTreeMap, BTreeSet, HashMap};

pub struct Reference {
    leaders: Schedule,
    sets: BTreeMap<(u64, u32), Vec<Version>>,
    /// Recovered data shreds, kept because recovery is slow.
    recovered: HashMap<Root, Vec<Vec<u8>>>,
    signatures: HashMap<(u64, Root, [u8; 64]), bool>,
}

struct Version {
    root: Root,
    chained_root: Root,
    resigned: bool,
    /// By leaf: data 0-31, code 32-63.
    shreds: BTreeMap<usize, Vec<u8>>,
}

/// A data shred's payload, and its flags.
struct Data<'a> {
    payload: &'a [u8],
    flags: u8,
}

/// A block that is whole.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Whole {
    pub slot: u64,
    pub last_root: Root,
    pub parent_slot: u64,
    pub transactions: u64,
    pub ticks: u64,
    pub blockhash: [u8; 32],
}

impl From<&BlockEnd> for Whole {
    fn from(block: &BlockEnd) -> Self {
        Self {
            slot: block.slot.0,
            last_root: block.last_root,
            parent_slot: block.parent_slot.0,
            transactions: block.transactions,
            ticks: block.ticks,
            blockhash: block.blockhash,
        }
    }
}

/// What a batch, or the beginning of one, holds.
#[derive(Default)]
struct Contents {
    /// Signature, and offsets of first and last byte.
    txns: Vec<([u8; 64], usize, usize)>,
    /// Transactions, those left out included.
    count: u64,
    ticks: u64,
    last_hash: Option<[u8; 32]>,
    new_parent: Option<u64>,
    /// All that was announced is there.
    whole: bool,
}

impl Reference {
    pub fn new(leaders: Schedule) -> Self {
        Self {
            leaders,
            sets: BTreeMap::new(),
            recovered: HashMap::new(),
            signatures: HashMap::new(),
        }
    }

    /// What a datagram is, and its set's root, if its leader signed that.
    pub fn authenticate<'a>(&mut self, datagram: &'a [u8]) -> Option<(ShredView<'a>, Root)> {
        let view = ShredView::parse(datagram, &ShredLimits::default()).ok()?;
        if view.version() != shredder::VERSION {
            return None;
        }
        let slot = view.slot().0;
        let Leader::Identity(leader) = self.leaders.leader(Slot(slot)) else {
            return None;
        };
        let (kind, resigned) = (
            usize::from(view.variant().kind == ShredKind::Code),
            view.variant().resigned,
        );
        let proof_at = shredder::chained_root_at(kind, resigned) + 32;
        let mut node = shredder::leaf(datagram, kind, resigned);
        let mut root = [0; 32];
        for level in 0..6 {
            let sibling = datagram[proof_at + 20 * level..].first_chunk().unwrap();
            let is_left = view.leaf_index() >> level & 1 == 0;
            root = if is_left {
                shredder::join(&node, sibling)
            } else {
                shredder::join(sibling, &node)
            };
            node = shredder::cut(&root);
        }
        let signature = *view.signature();
        let signed = *self
            .signatures
            .entry((slot, root, signature))
            .or_insert_with(|| {
                let key = VerifyingKey::from_bytes(&leader).unwrap();
                key.verify_strict(&root, &Signature::from_bytes(&signature))
                    .is_ok()
            });
        signed.then_some((view, root))
    }

    /// Takes a datagram; the slot in which it may have made something known, and its set's root.
    pub fn accept(&mut self, datagram: &[u8]) -> Option<(u64, Root)> {
        let (view, root) = self.authenticate(datagram)?;
        let (slot, resigned) = (view.slot().0, view.variant().resigned);
        let versions = self
            .sets
            .entry((slot, view.fec_set_index().0 / 32))
            .or_default();
        if !versions.iter().any(|version| version.root == root) {
            let chained_root = *view.chained_root();
            versions.push(Version {
                root,
                chained_root,
                resigned,
                shreds: BTreeMap::new(),
            });
        }
        let version = versions
            .iter_mut()
            .find(|version| version.root == root)
            .unwrap();
        let is_new = version
            .shreds
            .insert(view.leaf_index(), datagram.to_vec())
            .is_none();
        if is_new && version.shreds.len() >= 32 && !self.recovered.contains_key(&root) {
            let data = recover(version);
            self.recovered.insert(root, data);
        }
        is_new.then_some((slot, root))
    }

    /// What is known of the data shreds of `version`.
    fn data<'a>(&'a self, version: &'a Version) -> BTreeMap<usize, Data<'a>> {
        let shreds: Vec<(usize, &[u8])> = match self.recovered.get(&version.root) {
            Some(data) => data.iter().map(|shred| &shred[..]).enumerate().collect(),
            None => version
                .shreds
                .range(..32)
                .map(|(place, shred)| (*place, &shred[64..]))
                .collect(),
        };
        shreds
            .into_iter()
            .map(|(place, coded)| {
                let end = usize::from(u16::from_le_bytes([coded[22], coded[23]])) - 64;
                (
                    place,
                    Data {
                        payload: &coded[24..end],
                        flags: coded[21],
                    },
                )
            })
            .collect()
    }

    fn versions(&self, slot: u64, set: u32) -> &[Version] {
        self.sets
            .get(&(slot, set))
            .map_or(&[], |versions| &versions[..])
    }

    /// Runs of transactions that are known in `slot`, each in the order of its batch. Runs of forks share their
    /// beginnings.
    pub fn known(&self, slot: u64) -> Vec<Vec<Line>> {
        let mut runs = Vec::new();
        for (at, versions) in self.sets.range((slot, 0)..=(slot, u32::MAX)) {
            for version in versions {
                if self.begins_batch(at.1, slot, version) {
                    self.follow(slot, at.1, version, Vec::new(), Vec::new(), &mut runs);
                }
            }
        }
        runs
    }

    fn begins_batch(&self, set: u32, slot: u64, version: &Version) -> bool {
        let Some(before) = set.checked_sub(1) else {
            return true;
        };
        self.versions(slot, before).iter().any(|before| {
            let flags = self.data(before).get(&31).map_or(0, |last| last.flags);
            before.root == version.chained_root && flags & 0x40 != 0 && flags & 0xc0 != 0xc0
        })
    }

    /// Adds to `bytes`, the batch so far, what is contiguous in `version`, and goes on into what chains to it.
    fn follow(
        &self,
        slot: u64,
        set: u32,
        version: &Version,
        mut bytes: Vec<u8>,
        mut sets: Vec<(usize, u32, Root)>,
        runs: &mut Vec<Vec<Line>>,
    ) {
        sets.push((bytes.len(), set, version.root));
        let data = self.data(version);
        for place in 0..32 {
            let Some(data) = data.get(&place) else { break };
            bytes.extend(data.payload);
        }
        let whole = data.len() == 32;
        if whole && data[&31].flags & 0x40 == 0 {
            let next: Vec<_> = self
                .versions(slot, set + 1)
                .iter()
                .filter(|next| next.chained_root == version.root)
                .collect();
            for version in &next {
                self.follow(slot, set + 1, version, bytes.clone(), sets.clone(), runs);
            }
            if !next.is_empty() {
                return;
            }
        }
        let holder = |at: usize| *sets.iter().rev().find(|(from, ..)| *from <= at).unwrap();
        let line = |(signature, first, last): ([u8; 64], usize, usize)| Line {
            slot,
            signature,
            fec_set_index: 32 * holder(first).1,
            root: Some(holder(last).2),
            verified: true,
            retracted: false,
            bytes: bytes[first..=last].to_vec(),
        };
        runs.push(read(&bytes).txns.into_iter().map(line).collect());
    }

    /// Blocks of `slot` that are whole.
    pub fn blocks(&self, slot: u64) -> BTreeSet<Whole> {
        let sets = self.sets.range((slot, 0)..=(slot, u32::MAX));
        sets.flat_map(|(at, versions)| {
            versions
                .iter()
                .filter_map(|last| self.block(slot, at.1, last))
        })
        .collect()
    }

    fn block(&self, slot: u64, set: u32, last: &Version) -> Option<Whole> {
        if self.data(last).get(&31)?.flags & 0xc0 != 0xc0 {
            return None;
        }
        let (mut chain, mut version) = (vec![last], last);
        for before in (0..set).rev() {
            let before = self
                .versions(slot, before)
                .iter()
                .find(|before| before.root == version.chained_root)?;
            // What a change of parent makes void need not be known.
            if self.changes_parent(version, before) {
                break;
            }
            version = before;
            chain.push(version);
        }
        let mut batch = Vec::new();
        let mut parent_slot = None;
        let mut sum = Contents::default();
        let (mut transactions, mut broken) = (0, false);
        for version in chain.iter().rev() {
            let data = self.data(version);
            if data.len() < 32 {
                return None;
            }
            parent_slot.get_or_insert_with(|| slot - u64::from(self.parent_offset(version)));
            data.values().for_each(|data| batch.extend(data.payload));
            if data[&31].flags & 0x40 != 0 {
                let contents = read(&batch);
                if let Some(parent) = contents.new_parent {
                    (parent_slot, sum, transactions, broken) =
                        (Some(parent), Contents::default(), 0, false);
                }
                broken |= !contents.whole;
                transactions += contents.count;
                sum.ticks += contents.ticks;
                sum.last_hash = contents.last_hash.or(sum.last_hash);
                batch.clear();
            }
        }
        let (false, parent_slot, blockhash) = (broken, parent_slot?, sum.last_hash?) else {
            return None;
        };
        Some(Whole {
            slot,
            last_root: last.root,
            parent_slot,
            transactions,
            ticks: sum.ticks,
            blockhash,
        })
    }

    /// Whether `version` begins a batch, after `before`, that moves the block onto another parent.
    fn changes_parent(&self, version: &Version, before: &Version) -> bool {
        let begins = self
            .data(before)
            .get(&31)
            .is_some_and(|data| data.flags & 0x40 != 0);
        let data = self.data(version);
        let bytes: Vec<u8> = data
            .values()
            .flat_map(|data| data.payload)
            .copied()
            .collect();
        begins && data.len() == 32 && read(&bytes).new_parent.is_some()
    }

    fn parent_offset(&self, version: &Version) -> u16 {
        let coded = match self.recovered.get(&version.root) {
            Some(data) => &data[0][..],
            None => &version.shreds[&0][64..],
        };
        u16::from_le_bytes([coded[19], coded[20]])
    }
}

/// What is coded of the 32 data shreds, whose tree must then have the signed root.
fn recover(version: &Version) -> Vec<Vec<u8>> {
    let mut shards: Vec<Option<Vec<u8>>> = (0..64)
        .map(|at| {
            Some(shredder::coded(version.shreds.get(&at)?, at / 32, version.resigned).to_vec())
        })
        .collect();
    shredder::CODER.reconstruct_data(&mut shards).unwrap();
    shards.into_iter().take(32).map(Option::unwrap).collect()
}

fn read(bytes: &[u8]) -> Contents {
    let mut contents = Contents::default();
    contents.whole = read_into(bytes, &mut contents).is_some();
    contents
}

/// `None` when the bytes end, or are nothing, before all that they announce.
fn read_into(bytes: &[u8], contents: &mut Contents) -> Option<()> {
    let count = u64::from_le_bytes(*bytes.first_chunk()?);
    if count == 0 {
        let Ok(MarkerStep::Done { marker, .. }) = Marker::parse(bytes) else {
            return None;
        };
        if let Marker::UpdateParent(parent) = marker {
            contents.new_parent = Some(parent.slot.0);
        }
        return Some(());
    }
    let mut at = 8;
    for _ in 0..count {
        let head = bytes.get(at..at + 48)?;
        let txn_count = u64::from_le_bytes(*head.last_chunk().unwrap());
        contents.last_hash = Some(*head[8..].first_chunk().unwrap());
        contents.ticks += u64::from(txn_count == 0);
        at += 48;
        for _ in 0..txn_count {
            let Ok(ScanStep::Done { len }) = TxnScan::default().advance(&bytes[at..]) else {
                return None;
            };
            // One that no validator would execute is left out, and does not end the batch.
            if let Ok(view) = TxnView::parse(&bytes[at..at + len]) {
                contents.txns.push((*view.signature(), at, at + len - 1));
            }
            contents.count += 1;
            at += len;
        }
    }
    Some(())
}
