//! What is void, worked out slowly: which batches of a slot move the block onto another parent, and which abandon it.
//!
//! Stands beside the reference, which knows transactions and blocks. Keeps every authentic shred, and reads all of a
//! slot's batches from scratch each time.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use shred_resolve::{RetractReason, Root};
use shred_wire::Slot;
use shred_wire::batch::{BATCH_HEAD_LEN, Marker, MarkerStep};
use shred_wire::shred::{ShredLimits, ShredView};

use crate::common::shredder;

/// Flag of a data shred that ends its batch (agave `ShredFlags::DATA_COMPLETE_SHRED`).
const DATA_COMPLETE: u8 = 0x40;

/// One retraction: the first set that is not affected, and why.
pub type Void = (u32, Reason);

/// [`RetractReason`] in an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// Onto this parent.
    UpdateParent(u64),
    /// The leader gave the block up.
    Abandoned,
}

impl From<RetractReason> for Reason {
    fn from(reason: RetractReason) -> Self {
        match reason {
            RetractReason::UpdateParent { parent_slot } => Self::UpdateParent(parent_slot.0),
            RetractReason::Abandoned => Self::Abandoned,
        }
    }
}

/// Everything authentic that arrived.
#[derive(Default)]
pub struct Retractions {
    sets: BTreeMap<(u64, u32), BTreeMap<Root, Version>>,
}

struct Version {
    chained_root: Root,
    resigned: bool,
    /// By leaf: data 0-31, code 32-63.
    shreds: BTreeMap<usize, Vec<u8>>,
    /// All data, once it can be had.
    recovered: Option<Vec<Vec<u8>>>,
}

impl Retractions {
    /// Takes a shred that the reference has found authentic, of the set with this root.
    pub fn accept(&mut self, datagram: &[u8], root: Root) {
        let Ok(view) = ShredView::parse(datagram, &ShredLimits::default()) else {
            return;
        };
        let at = (view.slot().0, view.fec_set_index().0 / 32);
        let version = self
            .sets
            .entry(at)
            .or_default()
            .entry(root)
            .or_insert_with(|| Version {
                chained_root: *view.chained_root(),
                resigned: view.variant().resigned,
                shreds: BTreeMap::new(),
                recovered: None,
            });
        version.shreds.insert(view.leaf_index(), datagram.to_vec());
        if version.shreds.len() >= 32 && version.recovered.is_none() {
            version.recovered = Some(version.recover());
        }
    }

    /// All that is known to be void in `slot`, by the version of the set that says so.
    #[must_use]
    pub fn of(&self, slot: u64) -> Vec<Void> {
        let mut found = BTreeSet::new();
        for (&(_, set), versions) in self.sets.range((slot, 0)..=(slot, u32::MAX)) {
            for (root, version) in versions {
                if self.begins_batch(slot, set, version) {
                    self.follow(slot, set, (*root, version), Vec::new(), &mut found);
                }
            }
        }
        let mut voids: Vec<Void> = found.into_iter().map(|(_, void)| void).collect();
        voids.sort_unstable();
        voids
    }

    fn begins_batch(&self, slot: u64, set: u32, version: &Version) -> bool {
        let Some(before) = set.checked_sub(1) else {
            return true;
        };
        let before = self
            .sets
            .get(&(slot, before))
            .and_then(|versions| versions.get(&version.chained_root));
        let flags = before
            .and_then(|before| before.data(31))
            .map_or(0, |last| last[21]);
        flags & DATA_COMPLETE != 0 && flags & shredder::LAST_IN_SLOT != shredder::LAST_IN_SLOT
    }

    /// Reads a batch, of which `bytes` came before, on into `version` and what chains to it.
    fn follow(
        &self,
        slot: u64,
        set: u32,
        (root, version): (Root, &Version),
        mut bytes: Vec<u8>,
        found: &mut BTreeSet<(Root, Void)>,
    ) {
        for place in 0..32 {
            let Some(coded) = version.data(place) else {
                return;
            };
            let end = usize::from(u16::from_le_bytes([coded[22], coded[23]])) - 64;
            let had = marker(&bytes).is_some();
            bytes.extend(&coded[24..end]);
            if let (false, Some(Marker::UpdateParent(parent))) = (had, marker(&bytes)) {
                found.insert((root, (32 * set, Reason::UpdateParent(parent.slot.0))));
            }
            if coded[21] & DATA_COMPLETE != 0 {
                let is_empty = bytes.len() < BATCH_HEAD_LEN || bytes == [0; BATCH_HEAD_LEN];
                if is_empty {
                    found.insert((root, (32 * (set + 1), Reason::Abandoned)));
                }
                return;
            }
        }
        let Some(next) = self.sets.get(&(slot, set + 1)) else {
            return;
        };
        for (next_root, next) in next.iter().filter(|(_, next)| next.chained_root == root) {
            self.follow(slot, set + 1, (*next_root, next), bytes.clone(), found);
        }
    }
}

/// The marker that `bytes`, the beginning of a batch, are.
fn marker(bytes: &[u8]) -> Option<Marker<'_>> {
    let count = u64::from_le_bytes(*bytes.first_chunk()?);
    match Marker::parse(bytes) {
        Ok(MarkerStep::Done { marker, .. }) if count == 0 => Some(marker),
        _ => None,
    }
}

impl Version {
    /// The coded part of a data shred, if it is known.
    fn data(&self, place: usize) -> Option<&[u8]> {
        match &self.recovered {
            Some(data) => data.get(place).map(Vec::as_slice),
            None => self.shreds.get(&place).map(|shred| &shred[64..]),
        }
    }

    fn recover(&self) -> Vec<Vec<u8>> {
        let mut shards: Vec<Option<Vec<u8>>> = (0..64)
            .map(|leaf| {
                let shred = self.shreds.get(&leaf)?;
                Some(shredder::coded(shred, leaf / 32, self.resigned).to_vec())
            })
            .collect();
        shredder::CODER.reconstruct_data(&mut shards).unwrap();
        shards.into_iter().take(32).map(Option::unwrap).collect()
    }
}

/// Of what was told, that which concerns `slot`, in the order of [`Retractions::of`].
#[must_use]
pub fn told(retracts: &[shred_resolve::Retract], slot: u64) -> Vec<Void> {
    let mut voids: Vec<Void> = retracts
        .iter()
        .filter(|retract| retract.slot == Slot(slot))
        .map(|retract| (retract.before.0, retract.reason.into()))
        .collect();
    voids.sort_unstable();
    voids
}
