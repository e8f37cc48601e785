//! Transactions that name accounts through a lookup table: the runtime finds them, and the trade is the same.
#![allow(clippy::unwrap_used)]

use bundle::{BuilderConfig, LookupTable};
use market::Side;
use shred_wire::txn::TxnView;
use solana_address::Address;
use solana_transaction_error::TransactionError;
use strategy::{LaneClass, Venue};
use svm_tests::machine::Outcome;
use svm_tests::ours::{Order, Ours};
use svm_tests::pump::{self, Coin, Generation};
use svm_tests::world::{SOL, Terms, World};

const KEY: [u8; 32] = [5; 32];
const TOKENS: u64 = 30_000_000_000_000;

/// A table of all that should be in one.
fn table() -> LookupTable {
    let addresses = BuilderConfig::default().lookup_addresses().unwrap();
    LookupTable {
        key: [0x7a; 32],
        addresses: addresses.into_iter().map(|(key, _)| key).collect(),
    }
}

/// A world with a coin in it, and a trader who names accounts by `table`.
struct Trading {
    world: World,
    coin: Coin,
    ours: Ours,
}

impl Trading {
    fn new(table: Option<LookupTable>) -> Self {
        let mut world = World::new(Terms::default());
        let creator = pump::trader(&mut world, [1; 32]);
        pump::trader(&mut world, KEY);
        let coin = Coin::launch(&mut world, Generation::V2, [3; 32], &creator);
        let config = BuilderConfig {
            lookup_table: table,
            ..BuilderConfig::default()
        };
        Self {
            world,
            coin,
            ours: Ours::with(KEY, &config),
        }
    }

    fn trade(&mut self, venue: Venue, side: Side) -> (Vec<u8>, Outcome) {
        let order = Order {
            venue,
            side,
            tokens: TOKENS,
            limit: match side {
                Side::Buy => 5 * SOL,
                Side::Sell => 1,
            },
            lane: LaneClass::PrivateBundle,
            tip: 10_000,
        };
        let blockhash = self.world.machine.fresh_blockhash();
        let accounts = self.coin.our_curve(&self.world).accounts;
        let bytes = self.ours.build(&order, accounts.into(), blockhash);
        let outcome = self.world.machine.run_bytes("by table", &bytes);
        (bytes, outcome)
    }
}

/// Goal: with a table a trade is the same trade. Method: two worlds that are alike; after each trade every account that
/// it names holds the same in both, byte for byte.
#[test]
fn a_trade_through_a_table_does_what_it_does_without() {
    for venue in [Venue::PumpV3, Venue::PumpV2] {
        let mut plain = Trading::new(None);
        let mut tabled = Trading::new(Some(table()));
        tabled.world.machine.put_table(&table());
        for side in [Side::Buy, Side::Sell] {
            let (named, outcome) = plain.trade(venue, side);
            let expected = outcome.expect("in full");
            let (bytes, outcome) = tabled.trade(venue, side);
            let outcome = outcome.expect("by table");
            assert_eq!((outcome.units, outcome.fee), (expected.units, expected.fee));
            let (view, by_table) = (TxnView::parse(&named), TxnView::parse(&bytes));
            assert_eq!(by_table.unwrap().lookups().len(), 1, "{venue:?} {side:?}");
            assert!(
                bytes.len() + 100 < named.len(),
                "{} {}",
                bytes.len(),
                named.len()
            );
            for key in view.unwrap().keys() {
                let address = Address::new_from_array(*key);
                assert_eq!(
                    tabled.world.machine.account(&address),
                    plain.world.machine.account(&address),
                    "{venue:?} {side:?} {address}"
                );
            }
        }
    }
}

/// Goal: a table that is not there, or is another than was said, trades nothing. Method: none on the chain; one short of
/// its end; one with the same addresses in another order, on which Pump's program finds strangers in its places.
#[test]
fn a_table_that_the_chain_has_otherwise_trades_nothing() {
    let whole = table();
    let mut short = whole.clone();
    short.addresses.truncate(1);
    let mut turned = whole.clone();
    turned.addresses.reverse();
    for (on_chain, expected) in [
        (None, Some(TransactionError::AddressLookupTableNotFound)),
        (
            Some(&short),
            Some(TransactionError::InvalidAddressLookupTableIndex),
        ),
        (Some(&turned), None),
    ] {
        let mut trading = Trading::new(Some(whole.clone()));
        if let Some(table) = on_chain {
            trading.world.machine.put_table(table);
        }
        let before = trading.coin.state(&trading.world).real_token_reserves;
        let (_, outcome) = trading.trade(Venue::PumpV3, Side::Buy);
        let error = outcome.result.unwrap_err();
        assert!(
            expected.is_none_or(|expected| expected == error),
            "{error:?}"
        );
        let after = trading.coin.state(&trading.world).real_token_reserves;
        assert_eq!(before, after);
    }
}
