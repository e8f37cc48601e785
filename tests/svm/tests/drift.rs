//! Layout drift: every builder with a binary passes its check against the real programs; what then changes is noticed and
//! disables the venue.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bundle::{BuilderConfig, LookupTable, WireVersion};
use market::{Key, Side, VenueAccounts, pump as pump_ids, pump_amm as pump_amm_ids};
use pump_rust_client::{constants, pda};
use risk::{Control, Disabled, Mode};
use solana_address::Address;
use solana_signer::Signer;
use strategy::{LaneClass, Venue};
use svm_tests::amm_v4;
use svm_tests::machine::{RAYDIUM_AMM, compute_limit};
use svm_tests::ours::{Order, Ours};
use svm_tests::pump::{self, Call, Coin, Generation};
use svm_tests::pump_amm;
use svm_tests::simulated::SvmChain;
use svm_tests::world::{SOL, Terms, World};
use venue_check::{Checked, Checker, Guard, Verdict, look};

/// Venues whose programs are here.
const VENUES: [Venue; 4] = [
    Venue::PumpV3,
    Venue::PumpV2,
    Venue::PumpSwap,
    Venue::RaydiumAmm,
];

/// A world with something to trade on each venue, and the transactions of somebody who did.
struct Market {
    world: World,
    landed: Vec<Vec<u8>>,
}

impl Market {
    fn new() -> Self {
        let mut world = World::new(Terms::default());
        let creator = pump::trader(&mut world, [1; 32]);
        let user = pump::trader(&mut world, [2; 32]);
        let mut ours = Ours::with([3; 32], &BuilderConfig::default());
        world.machine.fund(&ours.address(), 1_000 * SOL);
        let mut landed = Vec::new();
        let mut trade = |world: &mut World, venue, accounts: VenueAccounts, tokens| {
            let order = Order {
                venue,
                side: Side::Buy,
                tokens,
                limit: 5 * SOL,
                lane: LaneClass::PrivateBundle,
                tip: 10_000,
            };
            let blockhash = world.machine.fresh_blockhash();
            let bytes = ours.build(&order, accounts, blockhash);
            world.machine.run_bytes("landed", &bytes).expect("a trade");
            landed.insert(0, bytes);
        };

        let coin = Coin::launch(&mut world, Generation::V2, [4; 32], &creator);
        let curve = coin.our_curve(&world);
        trade(
            &mut world,
            Venue::PumpV3,
            curve.accounts.into(),
            30_000_000_000_000,
        );
        let old = Coin::launch(&mut world, Generation::Legacy, [5; 32], &creator);
        old.rewrite(&mut world, |state| state.is_cashback_coin = true);
        let curve = old.our_curve(&world);
        trade(
            &mut world,
            Venue::PumpV2,
            curve.accounts.into(),
            30_000_000_000_000,
        );

        let done = Coin::launch(&mut world, Generation::V2, [6; 32], &creator);
        let left = done.state(&world).real_token_reserves;
        let all = (left, 200 * SOL);
        let address = user.pubkey();
        let buy = pump::instruction(&world, &done, Call::BuyV3, &address, all, false);
        let open = pump::open_account(&done, &address);
        world
            .machine
            .run("completing", &[open, buy], &[&user])
            .expect("bought out");
        let migrate = pump::migrate_v2(&world, &done, &address);
        let budget = compute_limit(1_000_000);
        world
            .machine
            .run("migrate", &[budget, migrate], &[&user])
            .expect("migrated");
        let pool = pump_amm::Pool::of(&done);
        let accounts = market::PumpSwapAccounts {
            mint: market::Mint(done.mint.to_bytes()),
            pool: pool.address.to_bytes(),
            base_vault: pool.base_vault.to_bytes(),
            quote_vault: pool.quote_vault.to_bytes(),
            token_program: pool.base_program.to_bytes(),
            quote_mint: constants::NATIVE_MINT.to_bytes(),
        };
        trade(
            &mut world,
            Venue::PumpSwap,
            accounts.into(),
            1_000_000_000_000,
        );

        let amounts = (4_000_000_000_000, 90 * SOL);
        let wrapped = amm_v4::Wrapped::Pc;
        let pool = amm_v4::Pool::open(&mut world, [7; 32], &user, wrapped, amounts);
        let accounts = market::RaydiumAmmAccounts {
            mint: market::Mint(pool.coin_mint.to_bytes()),
            pool: pool.address.to_bytes(),
            coin_vault: pool.coin_vault.to_bytes(),
            pc_vault: pool.pc_vault.to_bytes(),
            quote_mint: pool.pc_mint.to_bytes(),
        };
        trade(
            &mut world,
            Venue::RaydiumAmm,
            accounts.into(),
            10_000_000_000,
        );
        Self { world, landed }
    }

    fn chain(&self) -> SvmChain<'_> {
        SvmChain::new(&self.world.machine, &self.landed)
    }

    fn check(&self, config: &BuilderConfig, chain: &mut SvmChain<'_>) -> Vec<[Checked; 2]> {
        let mut checker = Checker::new(config.clone());
        VENUES.map(|venue| checker.check(chain, venue)).to_vec()
    }
}

fn guard() -> (Guard, Arc<Control>) {
    let control = Arc::new(Control::new(Mode::Active));
    (Guard::new(Arc::clone(&control), None), control)
}

fn disabled(control: &Control) -> Vec<(Venue, Disabled)> {
    let all = Venue::ALL.into_iter();
    all.filter_map(|venue| Some((venue, control.venues().disabled(venue)?)))
        .collect()
}

/// Goal: a check finds what is traded in transactions, borrows a trader, and our bytes of both sides go through, on both
/// wires and with every guard.
#[test]
fn every_builder_with_a_binary_passes() {
    let market = Market::new();
    for (version, floor) in [
        (WireVersion::V0, None),
        (WireVersion::V1, Some(market::Lamports(1_000_000))),
    ] {
        let config = BuilderConfig {
            version,
            wallet_floor: floor,
            dont_front: floor.is_some(),
            ..BuilderConfig::default()
        };
        let mut chain = market.chain();
        for checked in market.check(&config, &mut chain).iter().flatten() {
            let Verdict::Passed { units: Some(units) } = checked.verdict else {
                panic!("{checked:?}");
            };
            println!(
                "{version:?} {:?} {:?}: {units} of {}",
                checked.venue, checked.side, checked.units_asked
            );
            assert!(units <= u64::from(checked.units_asked), "{checked:?}");
        }
        assert_eq!(chain.simulated, 2 * VENUES.len(), "each at the first try");
    }
    let absent =
        Checker::new(BuilderConfig::default()).check(&mut market.chain(), Venue::RaydiumCp);
    for checked in &absent {
        assert!(
            matches!(checked.verdict, Verdict::Unknown(_)),
            "never passed: {checked:?}"
        );
    }
}

/// Goal: builders that use a lookup table pass when the chain has it so, and none does when it has not.
#[test]
fn builders_pass_with_the_table_that_the_chain_has() {
    let mut market = Market::new();
    let addresses = BuilderConfig::default().lookup_addresses().unwrap();
    let table = LookupTable {
        key: [0x7a; 32],
        addresses: addresses.into_iter().map(|(key, _)| key).collect(),
    };
    let config = BuilderConfig {
        lookup_table: Some(table.clone()),
        ..BuilderConfig::default()
    };
    let mut chain = market.chain();
    for checked in market.check(&config, &mut chain).iter().flatten() {
        let Verdict::Failed(failure) = &checked.verdict else {
            panic!("{checked:?}");
        };
        assert!(failure.line.contains("is not on the chain"), "{failure}");
    }
    assert_eq!(chain.simulated, 0);
    market.world.machine.put_table(&table);
    for checked in market.check(&config, &mut market.chain()).iter().flatten() {
        assert!(
            matches!(checked.verdict, Verdict::Passed { .. }),
            "{checked:?}"
        );
    }
}

/// Goal: a builder that puts two accounts in each other's place fails its check, by name, and its venue is disabled.
#[test]
fn a_layout_that_moved_disables_the_venue() {
    let market = Market::new();
    let mut chain = market.chain().damaged(swap_two_accounts);
    let (mut guard, control) = guard();
    guard.await_check();
    let config = BuilderConfig::default();
    for checked in market.check(&config, &mut chain) {
        let venue = checked[0].venue;
        for checked in &checked {
            let Verdict::Failed(failure) = &checked.verdict else {
                panic!("{checked:?}");
            };
            println!("{venue:?} {:?}: {failure}", checked.side);
            assert!(failure.program.is_some(), "{failure:?}");
        }
        guard.note_checked(venue, checked);
        assert_eq!(
            control.venues().disabled(venue),
            Some(Disabled::CheckFailed)
        );
        guard.enable(venue, false).unwrap_err();
    }
    let told = guard.take_told();
    assert_eq!(told.len(), VENUES.len(), "{told:?}");
}

/// Goal: what venues are made of is looked at, and each kind of change disables those that it concerns and no other.
#[test]
fn a_program_deployed_again_and_changed_fees_disable_their_venues() {
    let mut market = Market::new();
    let (mut guard, control) = guard();
    let prints = look(&mut market.chain(), &Venue::ALL).unwrap();
    guard.note_prints(&prints);
    guard.note_prints(&look(&mut market.chain(), &Venue::ALL).unwrap());
    assert_eq!(disabled(&control), []);

    // AMM v4 is deployed again.
    let data = program_data(&RAYDIUM_AMM);
    let mut account = market.world.machine.account(&data).unwrap();
    let before = u64::from_le_bytes(account.data[4..12].try_into().unwrap());
    account.data[4..12].copy_from_slice(&(before + 1).to_le_bytes());
    market.world.machine.put(data, account);
    guard.note_prints(&look(&mut market.chain(), &Venue::ALL).unwrap());
    assert_eq!(
        disabled(&control),
        [(Venue::RaydiumAmm, Disabled::ProgramChanged)]
    );
    let told = guard.take_told().join("\n");
    assert!(
        told.contains(&format!("slot {}, before {before}", before + 1)),
        "{told}"
    );

    // PumpSwap's fees change, then Pump's global account.
    let fees = pda::pump_amm::fee_config().0;
    assert_eq!(fees.to_bytes(), pump_amm_ids::FEE_CONFIG);
    flip(&mut market.world, &fees.to_bytes());
    guard.note_prints(&look(&mut market.chain(), &Venue::ALL).unwrap());
    let of_swap = control.venues().disabled(Venue::PumpSwap);
    assert_eq!(of_swap, Some(Disabled::TermsChanged));
    assert_eq!(disabled(&control).len(), 2);
    flip(&mut market.world, &pump_ids::GLOBAL);
    guard.note_prints(&look(&mut market.chain(), &Venue::ALL).unwrap());
    assert_eq!(disabled(&control).len(), 4);

    // A check passes all the same; accepting it is the operator's.
    let config = BuilderConfig::default();
    let checked = Checker::new(config).check(&mut market.chain(), Venue::RaydiumAmm);
    guard.note_checked(Venue::RaydiumAmm, checked);
    assert_eq!(disabled(&control).len(), 4);
    guard.enable(Venue::RaydiumAmm, false).unwrap();
    guard.note_prints(&look(&mut market.chain(), &Venue::ALL).unwrap());
    assert_eq!(disabled(&control).len(), 3);
}

/// Where an upgradeable program's code lies.
fn program_data(program: &Address) -> Address {
    let loader = Address::from_str_const("BPFLoaderUpgradeab1e11111111111111111111111");
    Address::find_program_address(&[program.as_ref()], &loader).0
}

/// Changes the last byte of an account.
fn flip(world: &mut World, key: &Key) {
    let address = Address::new_from_array(*key);
    let mut account = world.machine.account(&address).unwrap();
    *account.data.last_mut().unwrap() ^= 1;
    world.machine.put(address, account);
}

/// Swaps the first two accounts of the instruction that names the most of them, which is the venue's.
fn swap_two_accounts(bytes: &mut Vec<u8>) {
    let view = shred_wire::txn::TxnView::parse(bytes).unwrap();
    let longest = view
        .instructions()
        .max_by_key(|instruction| instruction.accounts.len());
    let accounts = longest.unwrap().accounts.to_vec();
    let at = bytes
        .windows(accounts.len())
        .position(|window| window == accounts)
        .unwrap();
    bytes.swap(at, at + 1);
}
