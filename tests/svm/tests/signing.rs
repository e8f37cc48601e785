//! The three ways of signing, before a node that checks every signature.
#![allow(clippy::unwrap_used)]

use bundle::armed::{ArmError, SeededEntropy, SnapshotsExcluded};
use bundle::ladder::{Blank, Grid, Intents, LadderCapacity, Wanted};
use bundle::{
    BuildReject, Builder, BuilderConfig, RecentBlockhash, Signer, Signing, ThrowAway, Way,
    WireVersion,
};
use market::{Lamports, Side, TokenAmount};
use shred_wire::Slot;
use strategy::{LaneClass, Venue};
use svm_tests::ours::{self, Order, Ours};
use svm_tests::pump::{self, Coin, Generation};
use svm_tests::world::{SOL, Terms, World};

const KEY: [u8; 32] = [5; 32];
const VERSIONS: [WireVersion; 2] = [WireVersion::V0, WireVersion::V1];
const TRADES: u64 = 24;
const BUY: Order = Order {
    venue: Venue::PumpV3,
    side: Side::Buy,
    tokens: 1_000_000,
    limit: SOL,
    lane: LaneClass::PrivateBundle,
    tip: 10_000,
};

fn set_up() -> (World, Coin) {
    let mut world = World::new(Terms::default());
    let creator = pump::trader(&mut world, [1; 32]);
    pump::trader(&mut world, KEY);
    let coin = Coin::launch(&mut world, Generation::V2, [3; 32], &creator);
    (world, coin)
}

fn signer() -> Signer<ThrowAway> {
    Signer::from_seed(&KEY).unwrap()
}

/// Goal: signatures over nonces made ahead are as good as any to a node.
#[test]
fn armed_signatures_pass() {
    for version in VERSIONS {
        let (mut world, coin) = set_up();
        let config = BuilderConfig {
            version,
            ..BuilderConfig::default()
        };
        let key = *signer().public_key();
        let prefixes = config.static_prefixes(&key).unwrap();
        let prefixes: Vec<&[u8]> = prefixes.iter().map(Vec::as_slice).collect();
        let proof = SnapshotsExcluded::irrelevant();
        let halves = Signing::armed(signer(), proof, SeededEntropy::new(1), &prefixes);
        let (signing, mut arming) = match halves {
            Err(ArmError::MemoryUnprotected) => {
                eprintln!("skipped: this host locks no memory (ulimit -l)");
                return;
            }
            halves => halves.unwrap(),
        };
        let builder = Builder::with_signing(&config, signing).unwrap();
        let mut ours = Ours::of(builder, version);
        for trade in 0..TRADES {
            while arming.poll().unwrap() != 0 {}
            let order = Order {
                tokens: BUY.tokens + trade,
                ..BUY
            };
            let blockhash = world.machine.fresh_blockhash();
            let bytes = ours.build(&order, coin.accounts().into(), blockhash);
            world
                .machine
                .run_bytes("armed", &bytes)
                .expect("an armed signature");
        }
        let counts = ours.builder().signature_counts();
        assert_eq!(
            counts[Way::Armed as usize],
            TRADES,
            "{version:?} {counts:?}"
        );
    }
}

/// Goal: the rung that a trigger chooses is a whole transaction, signed ahead, that lands.
#[test]
fn a_presigned_rung_passes() {
    for version in VERSIONS {
        let (mut world, coin) = set_up();
        let config = BuilderConfig {
            version,
            ..BuilderConfig::default()
        };
        let mut ours = Ours::with(KEY, &config);
        let account = coin.account_of(&ours.address());
        let intent = ours::intent(1, &BUY, coin.accounts().into());
        let draft = ours.builder().draft(&intent).unwrap();
        let layout = draft.layout();
        let blockhashes = [RecentBlockhash {
            hash: world.machine.fresh_blockhash(),
            slot: Slot(9),
        }];
        let sizes = [SOL / 100, SOL / 10, SOL / 2];
        let tips = [5_000, 10_000];
        let grid = Grid {
            sizes: &sizes,
            tips: &tips,
            blockhashes: &blockhashes,
        };
        let blank = Blank::new(LadderCapacity {
            sizes: sizes.len(),
            tips: tips.len(),
            blockhashes: 1,
            transaction_len: layout.len,
        });
        // A rung buys as many raw units as it spends lamports: far less than they are worth.
        let render =
            |terms: &bundle::ladder::RungTerms, out: &mut [u8]| -> Result<(), BuildReject> {
                let (tokens, spend) = (TokenAmount(terms.size), Lamports(terms.size));
                draft.render(tokens, spend, Lamports(terms.tip), &terms.blockhash, out)
            };
        let ladder = ours
            .builder()
            .ladder_signer()
            .arm(blank, 1, &grid, &layout, render);
        let ladder = ladder.map_err(|(_, error)| error).unwrap();
        let mut held = Intents::default().hold(1).unwrap();
        assert!(held.renew(ladder).is_ok_and(|replaced| replaced.is_none()));
        let wanted = Wanted {
            size_max: SOL / 5,
            size_min: SOL / 20,
            tip_min: 6_000,
            tip_max: 10_000,
            slot: Slot(10),
            blockhash_age_max: 5,
        };
        let approved = ours::approve(intent);
        let Ok(released) = ours.builder().release(&approved, held, &wanted) else {
            panic!("a rung serves");
        };
        world
            .machine
            .run_bytes("presigned", released.bytes())
            .expect("a presigned rung");
        assert_eq!(
            world.machine.tokens(&account),
            SOL / 10,
            "the smallest size within the bounds"
        );
        assert_eq!(
            ours.builder().signature_counts()[Way::Presigned as usize],
            1
        );
    }
}
