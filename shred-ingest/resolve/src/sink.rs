//! What a resolver tells its owner, by plain calls in the order things became known.

use crate::merkle::Root;
use crate::slab::Slab;
use shred_wire::shred::SET_SHREDS;
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Nanos, Slot, SourceId};

/// A transaction, at the datagram that made it knowable. Its bytes are valid during the call only.
#[derive(Clone, Copy)]
pub struct ResolvedTxn<'a> {
    /// The transaction.
    pub view: TxnView<'a>,
    /// The block's slot.
    pub slot: Slot,
    /// The slot the block builds on, as the leader said in the shreds at hand; a later [`Retract`] may move it.
    pub parent_slot: Slot,
    /// The set that holds its first byte.
    pub fec_set_index: FecSetIndex,
    /// Root of the set that holds its last byte; under equivocation it tells the versions apart. `None` when
    /// it is handed on before anything was hashed.
    pub merkle_root: Option<Root>,
    /// The slot's leader signed all of its bytes.
    pub verified: bool,
    /// The leader has given up this part of the block already (UpdateParent, abandoned block).
    pub retracted: bool,
    /// Counts transactions from 0; a [`Verdict`] refers to it.
    pub sequence: u64,
    /// Stamp of the datagram that made it knowable.
    pub at: Nanos,
    /// Source of that datagram.
    pub source: SourceId,
}

/// A set's place in the chain of Merkle roots, told at the first of its shreds that is beyond doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SetLink {
    /// The slot.
    pub slot: Slot,
    /// The set.
    pub fec_set_index: FecSetIndex,
    /// Its root.
    pub root: Root,
    /// Root of the set before it; for a slot's first set, of the last set of the block it builds on, which is that
    /// block's id before Alpenglow.
    pub chained_root: Root,
    /// Stamp of the shred.
    pub at: Nanos,
}

/// What one version of a set carries, when the last of it has been read and its root is authenticated.
///
/// An entry batch is what lies in the sets from one that begins it to the next that ends it, along their chained
/// roots; a set that goes on with a batch is told after the one before it. The bytes are valid during the call only.
#[derive(Clone, Copy)]
pub struct SetPayload<'a> {
    /// The slot.
    pub slot: Slot,
    /// The set.
    pub fec_set_index: FecSetIndex,
    /// Its root.
    pub root: Root,
    /// Root of the set before it.
    pub chained_root: Root,
    /// The slot's leader signed the root.
    pub verified: bool,
    /// Its first byte begins a batch.
    pub begins_batch: bool,
    /// Its last byte ends one.
    pub ends_batch: bool,
    pub(crate) slab: &'a Slab,
    pub(crate) capacity: usize,
}

impl<'a> SetPayload<'a> {
    /// The payloads of its 32 data shreds, received or recovered, in order. Some may be empty.
    pub fn pieces(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (slab, capacity) = (self.slab, self.capacity);
        (0..SET_SHREDS).map(move |place| {
            let len = slab.head(place).payload_len().min(capacity);
            &slab.area[place * capacity..place * capacity + len]
        })
    }
}

/// A block, whole from its first to its last entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockEnd {
    /// Its slot.
    pub slot: Slot,
    /// The slot it builds on, as the leader last said.
    pub parent_slot: Slot,
    /// Hash of its last entry. It is the block's blockhash if `ticks_complete`.
    pub blockhash: [u8; 32],
    /// Merkle root of its last set; before Alpenglow, the block's id.
    pub last_root: Root,
    /// Transactions, retracted ones excluded.
    pub transactions: u64,
    /// Tick entries.
    pub ticks: u64,
    /// All ticks since the parent are there, or the block ends in an Alpenglow footer.
    pub ticks_complete: bool,
    /// Stamp of the datagram that completed it.
    pub at: Nanos,
}

/// Why transactions that were handed on will not be part of the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RetractReason {
    /// The block was moved onto another parent (SIMD-0337): what came before the marker is void.
    UpdateParent {
        /// The new parent.
        parent_slot: Slot,
    },
    /// The leader ended the block without finishing it.
    Abandoned,
}

/// Transactions of `slot` in sets before `before` are void.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retract {
    /// The slot.
    pub slot: Slot,
    /// The first set that is not affected; past the end when the whole block is.
    pub before: FecSetIndex,
    /// Why.
    pub reason: RetractReason,
}

/// A leader signed two versions of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Equivocation {
    /// The slot.
    pub slot: Slot,
    /// The set.
    pub fec_set_index: FecSetIndex,
    /// Both roots, in order of arrival.
    pub merkle_roots: [Root; 2],
}

/// What became of transactions that were handed on unverified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// First [`ResolvedTxn::sequence`] it covers.
    pub from: u64,
    /// The sequence after the last it covers.
    pub to: u64,
    /// Whether they are what the leader signed (without a leader source: what their set's proofs commit to).
    pub authentic: bool,
}

/// Receives what a resolver finds. Called from within [`Resolver::handle`](crate::Resolver::handle).
pub trait Sink {
    /// A transaction is known. Each is told once per version of the block.
    fn transaction(&mut self, txn: &ResolvedTxn<'_>);
    /// A version of a set is known. Each is told once, before the block it is part of.
    fn set(&mut self, _link: &SetLink) {}
    /// A version of a set has been read to its end. Each is told once, unless its bytes had to make room before.
    fn payload(&mut self, _payload: &SetPayload<'_>) {}
    /// A block is whole.
    fn block(&mut self, _block: &BlockEnd) {}
    /// Earlier transactions are void.
    fn retract(&mut self, _retract: &Retract) {}
    /// There are two versions of a set. From here on both are followed and never mixed.
    fn equivocation(&mut self, _equivocation: &Equivocation) {}
    /// Unverified transactions were confirmed or turned out forged.
    fn verdict(&mut self, _verdict: &Verdict) {}
    /// A set's authenticated code shreds do not belong to its data shreds: others may not recover it.
    fn code_mismatch(&mut self, _slot: Slot, _fec_set_index: FecSetIndex) {}
}
