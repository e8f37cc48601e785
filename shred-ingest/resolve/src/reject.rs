//! Why a datagram was not used, and how often.

use shred_wire::shred::ShredReject;

/// Why a datagram was not used. The hot path counts it and never formats it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reject {
    /// The bytes are no shred of today.
    Malformed(ShredReject),
    /// Another cluster, or another fork of this one.
    ForeignVersion,
    /// Outside the slots that are worked on.
    SlotOutOfWindow,
    /// There is a leader source and it names no leader for the slot.
    NoLeader,
    /// The same shred has been used already. Not a fault: relays and Turbine both repeat shreds.
    Duplicate,
    /// Its set is whole already. Not a fault: a set has 64 shreds and needs 32.
    Surplus,
    /// Leaf and proof do not lead to its set's root.
    BadMerkleProof,
    /// The slot's leader did not sign the root.
    BadLeaderSignature,
    /// It differs from its set in version, chained root or re-signing.
    SetMismatch,
    /// More versions of one set than are told apart.
    VersionsExhausted,
    /// No room for another set, and nothing that may be evicted for it.
    SlabsExhausted,
    /// It would open a set, and too many signatures of its source, or of its set, are being checked.
    ChecksExhausted,
}

const OWN_NAMES: [&str; 11] = [
    "foreign_version",
    "slot_out_of_window",
    "no_leader",
    "duplicate",
    "surplus",
    "bad_merkle_proof",
    "bad_leader_signature",
    "set_mismatch",
    "versions_exhausted",
    "slabs_exhausted",
    "checks_exhausted",
];

impl Reject {
    /// Number of reasons.
    pub const COUNT: usize = ShredReject::ALL.len() + OWN_NAMES.len();

    /// Index into [`Counters::rejected`]; stable.
    #[inline]
    #[must_use]
    pub const fn index(self) -> usize {
        const BASE: usize = ShredReject::ALL.len();
        match self {
            Self::Malformed(reason) => reason as usize,
            Self::ForeignVersion => BASE,
            Self::SlotOutOfWindow => BASE + 1,
            Self::NoLeader => BASE + 2,
            Self::Duplicate => BASE + 3,
            Self::Surplus => BASE + 4,
            Self::BadMerkleProof => BASE + 5,
            Self::BadLeaderSignature => BASE + 6,
            Self::SetMismatch => BASE + 7,
            Self::VersionsExhausted => BASE + 8,
            Self::SlabsExhausted => BASE + 9,
            Self::ChecksExhausted => BASE + 10,
        }
    }

    /// Name of the reason at `index`, as metrics and summaries show it.
    #[must_use]
    pub fn name_at(index: usize) -> &'static str {
        match ShredReject::ALL.get(index) {
            Some(reason) => reason.name(),
            None => OWN_NAMES
                .get(index - ShredReject::ALL.len())
                .copied()
                .unwrap_or("unknown"),
        }
    }
}

impl From<ShredReject> for Reject {
    fn from(reason: ShredReject) -> Self {
        Self::Malformed(reason)
    }
}

/// What a resolver has seen. Plain numbers: one thread writes, snapshots are copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams handed in.
    pub datagram: u64,
    /// Shreds used.
    pub shred_accepted: u64,
    /// Datagrams not used, by [`Reject::index`].
    pub rejected: [u64; Reject::COUNT],
    /// Versions of sets opened.
    pub set_opened: u64,
    /// Versions whose shreds were taken while their signature was checked elsewhere, and which were dropped since it
    /// was not the leader's or two others of the set were.
    pub set_discarded: u64,
    /// Sets that needed recovery and got it.
    pub set_recovered: u64,
    /// Data shreds brought back.
    pub shred_recovered: u64,
    /// Sets whose authenticated code shreds do not belong to their data shreds.
    pub set_code_mismatched: u64,
    /// Sets that lost their bytes before all their transactions were out, or before the set that goes on with
    /// their last one came.
    pub set_evicted: u64,
    /// Leader signatures checked.
    pub signature_checked: u64,
    /// Transactions handed on.
    pub transaction: u64,
    /// Whole transactions that no validator would execute, not handed on.
    pub transaction_malformed: u64,
    /// Of those handed on, before their set was authenticated.
    pub transaction_unverified: u64,
    /// Unverified transactions that turned out forged.
    pub transaction_revoked: u64,
    /// Entry batches decoded to their end.
    pub batch_completed: u64,
    /// Entry batches that ended inside an entry or held bytes that are none.
    pub batch_malformed: u64,
    /// Block markers seen.
    pub marker: u64,
    /// Blocks whole from first to last entry.
    pub block_completed: u64,
    /// Blocks that their leader gave up.
    pub block_abandoned: u64,
    /// UpdateParent markers.
    pub parent_updated: u64,
    /// Sets with a second authenticated root.
    pub equivocation: u64,
    /// Times the window was moved after silence.
    pub window_resynced: u64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            datagram: 0,
            shred_accepted: 0,
            rejected: [0; Reject::COUNT],
            set_opened: 0,
            set_discarded: 0,
            set_recovered: 0,
            shred_recovered: 0,
            set_code_mismatched: 0,
            set_evicted: 0,
            signature_checked: 0,
            transaction: 0,
            transaction_malformed: 0,
            transaction_unverified: 0,
            transaction_revoked: 0,
            batch_completed: 0,
            batch_malformed: 0,
            marker: 0,
            block_completed: 0,
            block_abandoned: 0,
            parent_updated: 0,
            equivocation: 0,
            window_resynced: 0,
        }
    }
}

/// How many counters reading moves, besides those of transactions handed on.
pub(crate) const READING: usize = 4;

impl Counters {
    /// What reading moves, so that reading something forged can be taken back.
    pub(crate) fn of_reading(&mut self) -> [&mut u64; READING] {
        let Self {
            transaction_malformed,
            batch_completed,
            batch_malformed,
            marker,
            ..
        } = self;
        [
            transaction_malformed,
            batch_completed,
            batch_malformed,
            marker,
        ]
    }

    /// Every counter but the refusals, with its name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 21] {
        [
            ("datagram", self.datagram),
            ("shred_accepted", self.shred_accepted),
            ("set_opened", self.set_opened),
            ("set_discarded", self.set_discarded),
            ("set_recovered", self.set_recovered),
            ("shred_recovered", self.shred_recovered),
            ("set_code_mismatched", self.set_code_mismatched),
            ("set_evicted", self.set_evicted),
            ("signature_checked", self.signature_checked),
            ("transaction", self.transaction),
            ("transaction_malformed", self.transaction_malformed),
            ("transaction_unverified", self.transaction_unverified),
            ("transaction_revoked", self.transaction_revoked),
            ("batch_completed", self.batch_completed),
            ("batch_malformed", self.batch_malformed),
            ("marker", self.marker),
            ("block_completed", self.block_completed),
            ("block_abandoned", self.block_abandoned),
            ("parent_updated", self.parent_updated),
            ("equivocation", self.equivocation),
            ("window_resynced", self.window_resynced),
        ]
    }

    /// Refusals for one reason.
    #[must_use]
    pub fn rejected_for(&self, reason: Reject) -> u64 {
        self.rejected[reason.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_index_and_name() {
        let own = [
            Reject::ForeignVersion,
            Reject::SlotOutOfWindow,
            Reject::NoLeader,
            Reject::Duplicate,
            Reject::Surplus,
            Reject::BadMerkleProof,
            Reject::BadLeaderSignature,
            Reject::SetMismatch,
            Reject::VersionsExhausted,
            Reject::SlabsExhausted,
            Reject::ChecksExhausted,
        ];
        let all: Vec<Reject> = ShredReject::ALL
            .into_iter()
            .map(Reject::from)
            .chain(own)
            .collect();
        assert_eq!(all.len(), Reject::COUNT);
        for (index, reason) in all.iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
        let mut names: Vec<_> = (0..Reject::COUNT).map(Reject::name_at).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reject::COUNT);
        assert!(!names.contains(&"unknown"));
    }
}
