//! Our side: an intent through the gate and the builder, to signed bytes.

use std::sync::Arc;

use bundle::{
    Builder, BuilderConfig, BundleCell, Fault, RecentBlockhash, Signer, ThrowAway, WireVersion,
};
use market::{Lamports, Side, TokenAmount, VenueAccounts};
use risk::{Approved, Control, Fill, Gate, Limits, Mode};
use shred_wire::{Nanos, Slot};
use solana_address::Address;
use strategy::{Intent, LaneClass, Origin, Venue};

use crate::dice::Dice;

/// A trader who builds as the executor does.
pub struct Ours {
    builder: Builder,
    cell: Box<BundleCell>,
    next_id: u64,
    version: WireVersion,
}

/// One order, as the strategy would put it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Instruction family.
    pub venue: Venue,
    /// Which way.
    pub side: Side,
    /// Tokens to buy or sell.
    pub tokens: u64,
    /// Most lamports to pay, or fewest to get.
    pub limit: u64,
    /// How it reaches a leader.
    pub lane: LaneClass,
    /// What the place costs; zero on the public lane.
    pub tip: u64,
}

/// Lamports every wallet here is left with.
const WALLET_FLOOR: Lamports = Lamports(1_000_000);

impl Ours {
    /// A trader with the key of `seed` and the rest of the configuration by chance.
    ///
    /// # Panics
    /// When the builder cannot be made.
    #[must_use]
    pub fn new(seed: [u8; 32], dice: &mut Dice) -> Self {
        let config = BuilderConfig {
            version: dice.pick(&[WireVersion::V0, WireVersion::V1]),
            dont_front: dice.one_in(2),
            wallet_floor: dice.one_in(2).then_some(WALLET_FLOOR),
            ..BuilderConfig::default()
        };
        Self::with(seed, &config)
    }

    /// A trader with the key of `seed`, configured like this.
    ///
    /// # Panics
    /// When the builder cannot be made.
    #[must_use]
    pub fn with(seed: [u8; 32], config: &BuilderConfig) -> Self {
        let signer = Signer::<ThrowAway>::from_seed(&seed).expect("a key of any seed");
        Self::of(
            Builder::new(config, signer).expect("a builder of this configuration"),
            config.version,
        )
    }

    /// A trader whose every transaction carries `fault`.
    ///
    /// # Panics
    /// When the builder cannot be made.
    #[must_use]
    pub fn faulty(seed: [u8; 32], config: &BuilderConfig, fault: Fault) -> Self {
        let signer = Signer::<ThrowAway>::from_seed(&seed).expect("a key of any seed");
        let builder = Builder::with_planted_fault(config, signer, fault);
        Self::of(
            builder.expect("a builder of this configuration"),
            config.version,
        )
    }

    /// A trader around a builder made elsewhere, such as one that signs in other ways.
    #[must_use]
    pub fn of(builder: Builder, version: WireVersion) -> Self {
        Self {
            builder,
            cell: Box::default(),
            next_id: 1,
            version,
        }
    }

    /// The account that pays and signs.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::new_from_array(*self.builder.public_key())
    }

    /// Wire version of its transactions.
    #[must_use]
    pub const fn version(&self) -> WireVersion {
        self.version
    }

    /// The builder, for what no order says.
    pub const fn builder(&mut self) -> &mut Builder {
        &mut self.builder
    }

    /// The signed wire bytes of orders that travel in one bundle, in their order.
    ///
    /// # Panics
    /// As [`Ours::build`].
    pub fn bundle(
        &mut self,
        orders: &[Order],
        accounts: VenueAccounts,
        blockhash: [u8; 32],
    ) -> Vec<Vec<u8>> {
        let blockhash = RecentBlockhash {
            hash: blockhash,
            slot: Slot(1),
        };
        for (place, order) in orders.iter().enumerate() {
            let approved = approve(intent(self.next_id, order, accounts));
            self.next_id += 1;
            let built = if place == 0 {
                self.builder.build(&approved, &blockhash, &mut self.cell)
            } else {
                self.builder.append(&approved, &blockhash, &mut self.cell)
            };
            built.unwrap_or_else(|reject| panic!("{order:?}: {reject:?}"));
        }
        self.cell.transactions().map(<[u8]>::to_vec).collect()
    }

    /// The signed wire bytes of an order.
    ///
    /// # Panics
    /// When gate or builder refuse it: what is ordered here is meant to be built.
    pub fn build(
        &mut self,
        order: &Order,
        accounts: VenueAccounts,
        blockhash: [u8; 32],
    ) -> Vec<u8> {
        let mut transactions = self.bundle(&[*order], accounts, blockhash);
        assert_eq!(transactions.len(), 1);
        transactions.remove(0)
    }
}

/// A lane and what a place on it costs.
pub fn lane(dice: &mut Dice) -> (LaneClass, u64) {
    match dice.below(4) {
        0 => (LaneClass::Public, 0),
        1 => (LaneClass::PriorityBundle, dice.within(1_000_000, 9_000_000)),
        2 => (
            LaneClass::PrivateTransaction,
            dice.within(1_000_000, 9_000_000),
        ),
        _ => (LaneClass::PrivateBundle, dice.within(1_000, 100_000)),
    }
}

/// Name of our transactions in the table of compute units.
#[must_use]
pub const fn name(venue: Venue, side: Side) -> &'static str {
    match (venue, side) {
        (Venue::PumpV3, Side::Buy) => "ours: pump buy_v3",
        (Venue::PumpV3, Side::Sell) => "ours: pump sell_v3",
        (Venue::PumpV2, Side::Buy) => "ours: pump buy_v2",
        (Venue::PumpV2, Side::Sell) => "ours: pump sell_v2",
        (Venue::PumpSwap, Side::Buy) => "ours: pump_amm buy_v2",
        (Venue::PumpSwap, Side::Sell) => "ours: pump_amm sell_v2",
        (Venue::RaydiumAmm, Side::Buy) => "ours: amm v4 swap_base_out_v2",
        (Venue::RaydiumAmm, Side::Sell) => "ours: amm v4 swap_base_in_v2",
        (_, Side::Buy) => "ours: another venue's buy",
        (_, Side::Sell) => "ours: another venue's sell",
    }
}

/// The intent behind an order.
#[must_use]
pub fn intent(id: u64, order: &Order, accounts: VenueAccounts) -> Intent {
    let (spend, receive_min) = match order.side {
        Side::Buy => (order.limit, 0),
        Side::Sell => (0, order.limit),
    };
    Intent {
        id,
        origin: Origin::Launch,
        venue: order.venue,
        lane: order.lane,
        side: order.side,
        mint: *accounts.mint(),
        spend: Lamports(spend),
        tokens: TokenAmount(order.tokens),
        receive_min: Lamports(receive_min),
        tip: Lamports(order.tip),
        slot: Slot(1),
        at: Nanos(1),
        accounts,
    }
}

/// Passes a gate without bounds: what is tested here is what comes after it.
///
/// # Panics
/// When the gate refuses an intent that nothing stands against.
pub fn approve(intent: Intent) -> Approved {
    let limits = Limits {
        per_trade_max: Lamports(u64::MAX),
        open_notional_max: Lamports(u64::MAX),
        tip_max: Lamports(u64::MAX),
        positions_max: 1,
        entries_per_window_max: 1,
        exits_per_window_max: 1,
        window: Nanos(1),
    };
    let mut gate = Gate::new(limits, Arc::new(Control::new(Mode::Active))).expect("limits");
    if intent.side == Side::Sell {
        let held = Fill {
            tokens: intent.tokens,
            quote: Lamports(1),
        };
        assert!(gate.adopt(intent.mint, 1, held), "an empty gate has room");
    }
    gate.check(intent, Nanos(1))
        .expect("no bound stands in the way")
}
