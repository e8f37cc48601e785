//! A small market around an engine: launches, buyers and blocks, and a ring that keeps what it is handed.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part"
)]

#[path = "../../../market/tests/common/mod.rs"]
mod instructions;
pub mod pools;

use std::sync::Arc;

use brain_wire::{ArmedSignal, Family, Signal, SignalFlags};
use bundle::{Builder, BuilderConfig, BundleCell, Signer, ThrowAway};
use engine::{Engine, EngineConfig, LadderPlan, LadderWorker, Note, Output, TableWriter, ladders};
use instructions::Instruction;
use market::{Key, Lamports, LookupTables};
use risk::{Control, Mode};
use shred_resolve::{BlockEnd, ResolvedTxn, SourceId};
use shred_wire::txn::TxnView;
use shred_wire::{FecSetIndex, Nanos, Slot};
use strategy::Intent;

pub use instructions::{instruction, transaction};

/// Nanoseconds per slot of this market.
pub const SLOT_NANOS: u64 = 300_000_000;
/// Where its clock starts: some realtime.
pub const EPOCH_NANOS: u64 = 1_790_000_000_000_000_000;

/// What the engine handed out.
#[derive(Default)]
pub struct Ring {
    pub bundles: Vec<BundleCell>,
    pub notes: Vec<String>,
    pub full: bool,
    /// Intents of what was taken.
    pub handed: Vec<Intent>,
    /// Intent and signature of everything that was offered, taken or not.
    pub offered: Vec<(u64, [u8; 64])>,
}

impl Output for Ring {
    fn bundle(&mut self, cell: &BundleCell) -> bool {
        self.offered.push((cell.intent_id, cell.signature));
        if !self.full {
            self.bundles.push(cell.clone());
        }
        !self.full
    }

    fn note(&mut self, note: &Note<'_>) {
        if let Note::Handed(intent) = note {
            self.handed.push(**intent);
        }
        self.notes.push(match note {
            Note::Event(_) => return,
            Note::Handed(intent) => format!("handed {:?} {:?}", intent.side, intent.origin),
            Note::Refused(_, refusal) => format!("refused {refusal:?}"),
            Note::Included {
                intent, predicted, ..
            } => format!("included {:?} {predicted}", intent.side),
            Note::Lost { side, .. } => format!("lost {side:?}"),
            Note::Retracted { side, .. } => format!("retracted {side:?}"),
        });
    }
}

/// An engine and the outside world it sees.
pub struct World {
    pub engine: Engine,
    pub ring: Ring,
    pub control: Arc<Control>,
    pub trader: Key,
    pub slot: u64,
    sequence: u64,
    serial: u8,
}

impl World {
    /// A world at slot 10, with blocks behind it so that there is a blockhash to sign with.
    pub fn new(config: &EngineConfig) -> Self {
        Self::with_builder(config, builder(&BuilderConfig::default()), None)
    }

    /// A world whose engine has ladders signed ahead, as often as the worker is polled.
    pub fn laddered(config: &EngineConfig, plan: LadderPlan) -> (Self, LadderWorker) {
        Self::laddered_by(config, &BuilderConfig::default(), plan)
    }

    /// The same, with transactions of another make.
    pub fn laddered_by(
        config: &EngineConfig,
        made: &BuilderConfig,
        plan: LadderPlan,
    ) -> (Self, LadderWorker) {
        let builder = builder(made);
        let (desk, worker) = ladders(builder.ladder_signer(), plan);
        (Self::with_builder(config, builder, Some(desk)), worker)
    }

    /// A world whose transactions are of another make, and whose engine knows `tables`.
    pub fn looking_up(config: &EngineConfig, made: &BuilderConfig, tables: LookupTables) -> Self {
        let mut world = Self::with_builder(config, builder(made), None);
        let (_, cell) = TableWriter::new(tables);
        world.engine = world.engine.with_lookup_tables(cell);
        world
    }

    fn with_builder(
        config: &EngineConfig,
        builder: Builder,
        desk: Option<engine::LadderDesk>,
    ) -> Self {
        let control = Arc::new(Control::new(Mode::Active));
        let trader = *builder.public_key();
        let engine = Engine::new(config, builder, Arc::clone(&control)).unwrap();
        let engine = match desk {
            Some(desk) => engine.with_ladders(desk),
            None => engine,
        };
        let mut world = Self {
            engine,
            ring: Ring::default(),
            control,
            trader,
            slot: 5,
            sequence: 0,
            serial: 0,
        };
        world.blocks(5);
        world
    }

    pub fn now(&self) -> Nanos {
        Nanos(EPOCH_NANOS + self.slot * SLOT_NANOS)
    }

    /// Ends the slot `count` times.
    pub fn blocks(&mut self, count: u64) {
        for _ in 0..count {
            let slot = self.slot;
            let blockhash = blockhash(slot);
            let block = BlockEnd {
                slot: Slot(slot),
                parent_slot: Slot(slot - 1),
                blockhash,
                last_root: [0; _],
                transactions: 1,
                ticks: 64,
                ticks_complete: true,
                at: self.now(),
            };
            self.engine.block(&block, &mut self.ring);
            self.slot += 1;
        }
    }

    /// A verified transaction of these instructions, now.
    pub fn send(&mut self, instructions: &[Instruction]) {
        let mut bytes = of_the_coin(instructions);
        self.serial += 1;
        bytes[1] = self.serial;
        self.send_bytes(&bytes, |_| {});
    }

    /// These bytes as a transaction, after `change` had its way with how they were resolved.
    pub fn send_bytes(&mut self, bytes: &[u8], change: impl FnOnce(&mut ResolvedTxn<'_>)) {
        let view = TxnView::parse(bytes).unwrap();
        let mut txn = ResolvedTxn {
            view,
            slot: Slot(self.slot),
            parent_slot: Slot(self.slot.saturating_sub(1)),
            fec_set_index: FecSetIndex(0),
            merkle_root: None,
            verified: true,
            retracted: false,
            sequence: self.sequence,
            at: self.now(),
            source: SourceId(0),
        };
        self.sequence += 1;
        change(&mut txn);
        self.engine.transaction(&txn, &mut self.ring);
    }

    /// The launcher creates the coin and puts `quote_in` lamports into it, in one transaction.
    pub fn launch(&mut self, quote_in: u64) {
        self.send(&[instruction("create_v2"), exact_buy(quote_in)]);
    }

    /// Somebody else buys for `quote_in`.
    pub fn stranger_buys(&mut self, quote_in: u64) {
        let mut buy = exact_buy(quote_in);
        buy.accounts[8].0 = [0x99; 32];
        self.send(&[buy]);
    }

    /// Our last bundle's transaction appears in the stream.
    pub fn land_last(&mut self) {
        let bytes = self
            .ring
            .bundles
            .last()
            .unwrap()
            .transaction(0)
            .unwrap()
            .to_vec();
        self.send_bytes(&bytes, |_| {});
    }

    pub fn passed_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.ring.notes)
    }
}

/// What closes the block of `slot`.
pub fn blockhash(slot: u64) -> [u8; 32] {
    let mut blockhash = [slot as u8; 32];
    blockhash[..8].copy_from_slice(&slot.to_le_bytes());
    blockhash
}

/// A builder with this market's key.
pub fn builder(config: &BuilderConfig) -> Builder {
    let signer = Signer::<ThrowAway>::from_seed(&[7; 32]).unwrap();
    Builder::new(config, signer).unwrap()
}

/// `buy_exact_quote_in_v3` of the fixture coin by its launcher.
pub fn exact_buy(quote_in: u64) -> Instruction {
    with_amounts(instruction("buy_exact_quote_in_v3"), quote_in, 1)
}

/// `sell_v3` of the fixture coin by its launcher.
pub fn sale(tokens: u64) -> Instruction {
    with_amounts(instruction("sell_v3"), tokens, 1)
}

fn with_amounts(mut instruction: Instruction, first: u64, second: u64) -> Instruction {
    instruction.data[8..16].copy_from_slice(&first.to_le_bytes());
    instruction.data[16..24].copy_from_slice(&second.to_le_bytes());
    instruction
}

/// The launcher's create and buy for `quote_in` lamports in one transaction.
pub fn launch_bytes(quote_in: u64) -> Vec<u8> {
    of_the_coin(&[instruction("create_v2"), exact_buy(quote_in)])
}

/// A v0 transaction with everything in a lookup table that could be there.
fn of_the_coin(instructions: &[Instruction]) -> Vec<u8> {
    transaction(instructions, |key| !is_of_the_coin(key))
}

/// Keys that a real transaction could not have had in a lookup table yet.
fn is_of_the_coin(key: &Key) -> bool {
    let derived = ["bonding_curve", "associated_bonding_curve_2022"].map(instructions::derived);
    *key == [0x11; 32] || *key == [0x99; 32] || derived.contains(key)
}

/// Defaults wide enough for these markets.
pub fn config() -> EngineConfig {
    let mut config = EngineConfig::default();
    config.limits.open_notional_max = Lamports(400_000_000);
    config
}

/// A live buy signal.
pub fn signal(world: &World, signal_id: u64, mint: [u8; 32]) -> ArmedSignal {
    let signal = Signal {
        producer_id: 1,
        session_epoch: 1,
        seq: signal_id,
        flags: SignalFlags(0),
        t_event_ns: world.now().0,
        t_send_ns: world.now().0,
        ttl_us: 5_000_000,
        source_id: signal_id as u16,
        family: Family::Onchain,
        side: brain_wire::Side::Buy,
        as_of_slot: world.slot,
        mint,
        conviction_ppm: 900_000,
        confidence_ppm: 900_000,
        max_notional_lamports: 20_000_000,
        max_slippage_bps: 300,
        expected_edge_bps: 100,
        evidence_id: [signal_id as u8; 16],
        signal_id,
    };
    ArmedSignal {
        signal,
        max_notional_lamports: signal.max_notional_lamports,
        accepted_monotonic_ns: 1,
        expires_monotonic_ns: 2,
        expires_realtime_ns: world.now().0 + 5_000_000_000,
    }
}
