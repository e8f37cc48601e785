//! What a resolver tells its owner, by plain calls in the order things became known.

use crate::merkle::Root;
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Nanos, Slot, SourceId};

/// A transaction, at the datagram that made it knowable. Its bytes are valid during the call only.
#[derive(Clone, Copy)]
pub struct ResolvedTxn<'a> {
    /// The transaction.
    pub view: TxnView<'a>,
    /// The block's slot.
    pub slot: Slot,
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
