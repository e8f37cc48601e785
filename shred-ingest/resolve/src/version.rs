//! One version of one FEC set: what is known of it besides its bytes.

use crate::merkle::Root;
use crate::reject::Reject;
use crate::resolver::Awaited;
use crate::scan::Scan;
use shred_wire::Slot;
use shred_wire::shred::{SIGNATURE_LEN, SetIdentity, ShredKind, ShredVariant, ShredView};

/// Signatures over one root that may turn out bad before no further one is checked.
const BAD_SIGNATURES_MAX: u8 = 4;

/// No version, no slab.
pub(crate) const NONE: u32 = u32::MAX;

/// A version of a set, identified by its Merkle root. Remembered until its slot leaves the window, so that
/// nothing is told twice, though its bytes may be gone.
#[derive(Clone, Copy)]
pub(crate) struct Version {
    pub(crate) identity: SetIdentity,
    /// The next version of the same set, in order of arrival.
    pub(crate) next: u32,
    pub(crate) slab: u32,
    pub(crate) root: Root,
    pub(crate) chained_root: Root,
    pub(crate) signature: [u8; SIGNATURE_LEN],
    /// A second signature over the same root, should the leader have made one.
    pub(crate) other_signature: Option<[u8; SIGNATURE_LEN]>,
    /// Shreds that came with a signature over its root that was not the leader's.
    pub(crate) bad_signatures: u8,
    /// Data shreds at hand, received or recovered.
    pub(crate) data: u32,
    /// Code shreds at hand.
    pub(crate) code: u32,
    /// The leader's signature over the root was checked, or a trusted source vouched for it.
    pub(crate) verified: bool,
    /// A trusted source's word is all that stands behind `verified`.
    pub(crate) vouched: bool,
    /// It is being checked elsewhere.
    pub(crate) awaited: Option<Awaited>,
    /// Another root of the same set is authenticated too.
    pub(crate) equivocated: bool,
    /// It was told where the set stands in the chain of roots.
    pub(crate) linked: bool,
    /// Code shreds don't belong to the data shreds: no recovery from them.
    pub(crate) code_mismatched: bool,
    /// What the last data shred says, once it is at hand.
    pub(crate) tail: Option<Tail>,
    pub(crate) scan: Scan,
    pub(crate) told: Told,
}

/// Flags of a set's last data shred.
#[derive(Clone, Copy)]
pub(crate) struct Tail {
    pub(crate) data_complete: bool,
    pub(crate) last_in_slot: bool,
    pub(crate) parent_offset: u16,
}

/// What has been read out of a version.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    pub(crate) transactions: u64,
    pub(crate) ticks: u64,
    pub(crate) last_hash: Option<[u8; 32]>,
    pub(crate) new_parent: Option<Slot>,
    pub(crate) footer: bool,
    /// A batch that ended here abandons the block or is none: no block comes of it.
    pub(crate) broken: bool,
    /// All of it was read.
    pub(crate) done: bool,
    /// Sums over the block up to here, once all of it has been read.
    pub(crate) chain: Option<Chain>,
}

/// Sums over a chain of versions that were read to their end, from the one that begins the block.
#[derive(Clone, Copy)]
pub(crate) struct Chain {
    pub(crate) parent_slot: Slot,
    pub(crate) transactions: u64,
    pub(crate) ticks: u64,
    pub(crate) last_hash: Option<[u8; 32]>,
    pub(crate) footer: bool,
}

impl Chain {
    /// Nothing yet, on top of `parent_slot`.
    pub(crate) const fn new(parent_slot: Slot) -> Self {
        Self {
            parent_slot,
            transactions: 0,
            ticks: 0,
            last_hash: None,
            footer: false,
        }
    }

    /// With what was read out of the next version.
    pub(crate) fn and(self, told: &Told) -> Self {
        Self {
            parent_slot: self.parent_slot,
            transactions: self.transactions + told.transactions,
            ticks: self.ticks + told.ticks,
            last_hash: told.last_hash.or(self.last_hash),
            footer: self.footer || told.footer,
        }
    }
}

impl Version {
    /// A version that nobody uses.
    pub(crate) const fn vacant() -> Self {
        Self {
            identity: SetIdentity {
                slot: Slot(0),
                fec_set_index: shred_wire::FecSetIndex(0),
                version: 0,
                resigned: false,
            },
            next: NONE,
            slab: NONE,
            root: [0; 32],
            chained_root: [0; 32],
            signature: [0; SIGNATURE_LEN],
            other_signature: None,
            bad_signatures: 0,
            data: 0,
            code: 0,
            verified: false,
            vouched: false,
            awaited: None,
            equivocated: false,
            linked: false,
            code_mismatched: false,
            tail: None,
            scan: Scan::waiting(),
            told: Told {
                transactions: 0,
                ticks: 0,
                last_hash: None,
                new_parent: None,
                footer: false,
                broken: false,
                done: false,
                chain: None,
            },
        }
    }

    /// A version that `shred` opens, without anything in it.
    pub(crate) fn open(shred: &ShredView<'_>, root: Root, verified: bool, slab: u32) -> Self {
        Self {
            identity: SetIdentity::of(shred),
            slab,
            root,
            chained_root: *shred.chained_root(),
            signature: *shred.signature(),
            verified,
            ..Self::vacant()
        }
    }

    #[inline]
    pub(crate) fn signed_by(&self, signature: &[u8; SIGNATURE_LEN]) -> bool {
        self.signature == *signature || self.other_signature.as_ref() == Some(signature)
    }

    /// Remembers a signature over its root, if it is another than the first.
    pub(crate) fn note_other_signature(&mut self, signature: &[u8; SIGNATURE_LEN]) {
        if !self.signed_by(signature) {
            self.other_signature = Some(*signature);
        }
    }

    /// Whether one more signature over its root is worth checking. Anyone can put a new one on a copy of a shred.
    pub(crate) fn check_patience(&self) -> Result<(), Reject> {
        if self.bad_signatures < BAD_SIGNATURES_MAX {
            Ok(())
        } else {
            Err(Reject::BadLeaderSignature)
        }
    }

    #[inline]
    pub(crate) fn has(&self, shred: &ShredView<'_>) -> bool {
        let bits = match shred.variant().kind {
            ShredKind::Data => self.data,
            ShredKind::Code => self.code,
        };
        bits >> shred.place() & 1 == 1
    }

    #[inline]
    pub(crate) fn mark(&mut self, shred: &ShredView<'_>) {
        match shred.variant().kind {
            ShredKind::Data => self.data |= 1 << shred.place(),
            ShredKind::Code => self.code |= 1 << shred.place(),
        }
    }

    #[inline]
    pub(crate) const fn is_whole(&self) -> bool {
        self.data == u32::MAX
    }

    /// Shreds at hand.
    #[inline]
    pub(crate) const fn count(&self) -> u32 {
        self.data.count_ones() + self.code.count_ones()
    }

    /// Its root is beyond doubt: signed by the leader or, where that cannot be checked, claimed by two shreds.
    #[inline]
    pub(crate) const fn is_trusted(&self) -> bool {
        self.verified || (self.awaited.is_none() && self.count() >= 2)
    }

    /// The leader's signature over its root was checked here.
    #[inline]
    pub(crate) const fn is_signed(&self) -> bool {
        self.verified && !self.vouched
    }

    /// The rest of the set can be recovered now.
    #[inline]
    pub(crate) const fn is_recoverable(&self) -> bool {
        !self.is_whole() && !self.code_mismatched && self.slab != NONE && self.count() >= 32
    }

    /// As [`Version::is_recoverable`] once a shred that it has not got is added.
    #[inline]
    pub(crate) fn is_recoverable_with(&self, shred: &ShredView<'_>) -> bool {
        let mut version = *self;
        version.mark(shred);
        version.is_recoverable()
    }

    /// Payload area of its data shreds, in bytes.
    #[inline]
    pub(crate) const fn capacity(&self) -> usize {
        ShredVariant {
            kind: ShredKind::Data,
            resigned: self.identity.resigned,
        }
        .capacity()
    }

    /// Number of the set within its slot.
    #[inline]
    pub(crate) const fn set_number(&self) -> usize {
        self.identity.fec_set_index.0 as usize / shred_wire::shred::SET_SHREDS
    }
}
