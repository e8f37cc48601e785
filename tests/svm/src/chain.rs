//! What the machine executes, told to an engine twice, as a validator's surroundings tell it: the transaction as shreds
//! carry it, before anybody executed it, and the accounts as a node reads them afterwards.

use std::sync::Arc;

use accounts::{AccountData, Assembler, Update};
use bundle::{Builder, BuilderConfig, BundleCell, Signer, ThrowAway};
use engine::{Engine, EngineConfig};
use market::Corrected;
use pump_rust_client::pda;
use risk::{Control, Mode};
use rtrb::{Consumer, Producer, RingBuffer};
use shred_resolve::{ResolvedTxn, Retract, RetractReason, SourceId};
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Nanos, Slot};
use solana_address::Address;

use crate::machine::{Machine, NOW, SLOT};

/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;

/// An engine that trades nothing and follows the market.
pub struct Chain {
    /// The engine.
    pub engine: Engine,
    assembler: Assembler,
    updates: Producer<Update>,
    core: Consumer<Update>,
    slot: Slot,
    write_version: u64,
    batch: u64,
    sequence: u64,
}

/// Accounts as they are at one moment, to be told later.
#[derive(Clone, Debug)]
pub struct Snapshot {
    slot: Slot,
    write_version: u64,
    batch: u64,
    accounts: Vec<(Address, Address, Vec<u8>)>,
}

impl Chain {
    /// An engine that knows the terms of the venues as `machine` holds them, and nothing else.
    ///
    /// # Panics
    /// When the engine cannot be made, or the terms are not understood.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        let signer = Signer::<ThrowAway>::from_seed(&[0x0c; 32]).expect("a key of any seed");
        let builder = Builder::new(&BuilderConfig::default(), signer).expect("the usual builder");
        let control = Arc::new(Control::new(Mode::Halted));
        let engine = Engine::new(&EngineConfig::default(), builder, control).expect("an engine");
        let (updates, core) = RingBuffer::new(64);
        let mut chain = Self {
            engine,
            assembler: Assembler::new(0),
            updates,
            core,
            slot: Slot(SLOT),
            write_version: 0,
            batch: 0,
            sequence: 0,
        };
        let terms = [
            pda::pump::global().0,
            pda::pump::fee_config().0,
            pda::pump_amm::global_config().0,
            pda::pump_amm::fee_config().0,
        ];
        let snapshot = chain.snapshot(machine, &terms);
        assert_eq!(
            chain.tell(&snapshot),
            [],
            "terms are of no curve and no pool"
        );
        let terms = chain.assembler.terms().expect("terms are understood");
        chain.engine.set_terms(&terms.expect("all terms were told"));
        chain
    }

    /// The slot of the block that is made now.
    #[must_use]
    pub const fn slot(&self) -> Slot {
        self.slot
    }

    /// The next block begins, on the one before it.
    pub const fn next_block(&mut self) {
        self.slot.0 += 1;
    }

    /// Shows the engine a transaction as it stands in the block.
    ///
    /// # Panics
    /// When the bytes are no transaction, or the engine wants to trade.
    pub fn show(&mut self, bytes: &[u8]) {
        let txn = ResolvedTxn {
            view: TxnView::parse(bytes).expect("bytes of a transaction"),
            slot: self.slot,
            parent_slot: Slot(self.slot.0 - 1),
            fec_set_index: FecSetIndex(0),
            merkle_root: None,
            verified: true,
            retracted: false,
            sequence: self.sequence,
            at: Nanos(NOW as u64 * SECOND + self.sequence),
            source: SourceId(0),
        };
        self.sequence += 1;
        let mut out = |_: &BundleCell| panic!("a halted engine trades");
        self.engine.transaction(&txn, &mut out);
    }

    /// The block that is made now is given up: what was shown of it never happened.
    pub fn abandon_block(&mut self) {
        let retract = Retract {
            slot: self.slot,
            before: FecSetIndex(u32::MAX),
            reason: RetractReason::Abandoned,
        };
        let mut out = |_: &BundleCell| panic!("a halted engine trades");
        self.engine.retract(&retract, &mut out);
        self.next_block();
    }

    /// Reads accounts as one transaction left them.
    pub fn snapshot(&mut self, machine: &Machine, addresses: &[Address]) -> Snapshot {
        self.batch += 1;
        let mut accounts = Vec::new();
        for address in addresses {
            if let Some(account) = machine.account(address) {
                accounts.push((*address, account.owner, account.data));
            }
        }
        let write_version = self.write_version + 1;
        self.write_version += accounts.len() as u64;
        Snapshot {
            slot: self.slot,
            write_version,
            batch: self.batch,
            accounts,
        }
    }

    /// Tells what a node has read: through assembler and ring to the engine. What the engine made of each record.
    ///
    /// # Panics
    /// When the ring is full.
    pub fn tell(&mut self, snapshot: &Snapshot) -> Vec<Corrected> {
        let Self {
            assembler, updates, ..
        } = self;
        for (place, (key, owner, data)) in snapshot.accounts.iter().enumerate() {
            let account = AccountData {
                feed: market::FeedId::default(),
                key: key.to_bytes(),
                owner: owner.to_bytes(),
                slot: snapshot.slot,
                write_version: snapshot.write_version + place as u64,
                batch: snapshot.batch,
                data,
            };
            // A transaction names accounts that price nothing: refusing them is the assembler's business.
            let _ = assembler.take(&account, &mut |update| {
                updates.push(*update).expect("room for every record");
            });
        }
        let mut corrected = Vec::new();
        while let Ok(update) = self.core.pop() {
            match &update {
                Update::Curve(truth) => corrected.push(self.engine.curve_truth(truth)),
                Update::Pool(truth) => corrected.push(self.engine.pool_truth(truth)),
                // Of a wallet that the assembler was told to be ours: there is none.
                Update::Holding(_) => {}
            }
        }
        corrected
    }
}
