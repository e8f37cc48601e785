//! Whole slots of the generator, read back by an outsider: shreds to batches to entries.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;

use demo::entry::verify_batch;
use demo::exchange::{Landing, LandingReject, RejectReason};
use demo::generator::{Origin, SlotReport};
use demo::keys::{Key, PUMP_BUYBACK_RECIPIENTS, PUMP_FEE_RECIPIENTS, SYSTEM, TIP_ACCOUNTS};
use demo::market::ExecReason;
use demo::pump::{Coin, Generation, Launch, Order, Recipients, Trade, User, create_token_account};
use demo::shredder::DATA_LEN;
use demo::txn::{AccountMeta, Form, Instruction, ParsedTxn, write};
use demo::{Datagrams, Exchange, Generator, GeneratorConfig};
use ed25519_dalek::{Signature, SigningKey, Verifier, VerifyingKey};

const SOL: u64 = 1_000_000_000;

fn generator(seed: u64) -> Generator {
    Generator::new(GeneratorConfig {
        seed,
        skip_bps: 2_000,
        txns_per_slot: 120,
        ..GeneratorConfig::default()
    })
}

/// Batches of one slot from its data shreds in order, and the shreds per set root bookkeeping.
fn batches(out: &Datagrams) -> Vec<Vec<u8>> {
    let (mut batches, mut current) = (Vec::new(), Vec::new());
    for shred in out.iter().filter(|shred| shred.len() == DATA_LEN) {
        let size = usize::from(u16::from_le_bytes([shred[86], shred[87]]));
        current.extend_from_slice(&shred[88..size]);
        if shred[85] & 0x40 != 0 {
            batches.push(std::mem::take(&mut current));
        }
    }
    assert!(current.is_empty());
    batches
}

/// Follows a slot from the hash before it and checks it against its report.
fn check_slot(out: &Datagrams, report: &SlotReport, before: Key) -> Key {
    let (mut hash, mut ticks, mut signatures) = (before, 0, Vec::new());
    for batch in batches(out) {
        let content = verify_batch(hash, &batch).unwrap();
        hash = content.hash;
        ticks += content.tick_count;
        for txn in &content.transactions {
            signatures.push(*txn.signature());
            assert!(txn.signatures_verify());
        }
    }
    assert_eq!(ticks, 64 * (report.slot - report.parent_slot));
    assert_eq!(Some(hash), report.blockhash);
    assert!(
        signatures
            .iter()
            .eq(report.transactions.iter().map(|txn| &txn.signature))
    );
    hash
}

#[test]
fn slots_chain_by_hash_parent_and_root() {
    let mut generator = generator(11);
    let schedule = generator.schedule().clone();
    let (mut hash, mut parent, mut skipped) = (generator.poh_hash(), None, 0);
    for _ in 0..24 {
        let mut out = Datagrams::new();
        let report = generator.next_slot(&mut out);
        if report.skipped {
            skipped += 1;
            assert!(out.is_empty());
            continue;
        }
        assert!(parent.is_none_or(|parent| parent == report.parent_slot));
        parent = Some(report.slot);
        hash = check_slot(&out, &report, hash);
        let leader = VerifyingKey::from_bytes(&schedule.leader(report.slot).0).unwrap();
        let root_at = DATA_LEN - 64 - 120 - 32;
        let last = out.get(out.len() - 64).unwrap();
        assert_eq!(
            (last[64], last[85] & 0xC0),
            (0xB6, 0),
            "re-signed, and the mark is on shred 31 only"
        );
        assert_eq!(out.get(out.len() - 33).unwrap()[85] & 0xC0, 0xC0);
        // Each set's root is the next one's chained root: the signature of the second last set
        // must verify over what the last set chains to.
        let before_last = out.get(out.len() - 128).unwrap();
        let signature = Signature::from_slice(&before_last[..64]).unwrap();
        leader
            .verify(&last[root_at..root_at + 32], &signature)
            .unwrap();
    }
    assert!(skipped > 0, "a fifth of the slots has no block");
}

#[test]
fn the_seed_decides_every_byte() {
    let make = |seed| {
        let (mut generator, mut out) = (generator(seed), Datagrams::new());
        (0..6).for_each(|_| drop(generator.next_slot(&mut out)));
        out
    };
    assert_eq!(make(3), make(3));
    assert_ne!(make(3), make(4));
}

#[test]
fn steps_and_slots_are_the_same_datagrams() {
    let (mut by_slot, mut by_step) = (Datagrams::new(), Datagrams::new());
    let (mut one, mut other) = (generator(5), generator(5));
    let last = (0..5)
        .map(|_| one.next_slot(&mut by_slot).slot)
        .last()
        .unwrap();
    while other.slot() <= last {
        other.step(&mut by_step);
    }
    assert_eq!(by_slot, by_step);
}

#[test]
fn bulk_blocks_fill_many_sets_and_still_verify() {
    let mut generator = Generator::new(GeneratorConfig::bulk(2));
    let (mut hash, mut out) = (generator.poh_hash(), Datagrams::new());
    for _ in 0..3 {
        out.clear();
        let report = generator.next_slot(&mut out);
        if !report.skipped {
            hash = check_slot(&out, &report, hash);
            assert!(out.len() > 1_500, "{}", out.len());
        }
    }
}

/// Prices of every coin after its second fill, where a fast buyer would stand, over a minute.
#[test]
fn coins_rise_fall_and_fade() {
    let mut generator = Generator::new(GeneratorConfig {
        txns_per_slot: 0,
        ..GeneratorConfig::default()
    });
    let mut out = Datagrams::new();
    // Per mint: lamports per 10^9 raw tokens at the second fill, and the highest and lowest later.
    let (mut paths, mut launched) = (BTreeMap::<Key, [u128; 3]>::new(), BTreeSet::new());
    let (mut launches, mut failed, mut generations) = (0, 0, [0; 3]);
    for _ in 0..150 {
        out.clear();
        let report = generator.next_slot(&mut out);
        launches += report
            .transactions
            .iter()
            .filter(|txn| txn.launch && txn.succeeded)
            .count();
        failed += report
            .transactions
            .iter()
            .filter(|txn| !txn.succeeded)
            .count();
        for fill in report.fills.iter().filter(|fill| fill.tokens > 0) {
            generations[fill.generation as usize] += 1;
            if launched.insert(fill.mint) {
                continue;
            }
            let price = u128::from(fill.lamports) * 1_000_000_000 / u128::from(fill.tokens);
            let path = paths.entry(fill.mint).or_insert([price; 3]);
            *path = [path[0], path[1].max(price), path[2].min(price)];
        }
    }
    let share = |test: fn(&[u128; 3]) -> bool| {
        paths.values().filter(|path| test(path)).count() * 100 / paths.len()
    };
    let rises = share(|[first, high, _]| *high > first * 3 / 2);
    let falls = share(|[first, _, low]| *low < first * 8 / 10);
    let still = share(|[first, high, low]| *high < first * 12 / 10 && *low > first * 8 / 10);
    println!(
        "launches {launches} failed {failed} rises {rises}% falls {falls}% still {still}% {generations:?}"
    );
    assert!((150..=200).contains(&launches), "{launches}");
    assert!(
        rises >= 15 && falls >= 10 && still >= 15,
        "rises {rises} falls {falls} still {still}"
    );
    assert!(
        failed > 0 && generations.iter().all(|count| *count > 50),
        "{failed} {generations:?}"
    );
}

/// A trader from outside with a wallet, and a coin to trade.
struct Outsider {
    signer: SigningKey,
    user: User,
    coin: Coin,
}

impl Outsider {
    /// Runs the market until a plain coin is launched.
    fn new(generator: &mut Generator) -> Self {
        let signer = SigningKey::from_bytes(&[77; 32]);
        let user = User::new(signer.verifying_key().to_bytes());
        generator.exchange().airdrop(&user.key, 100 * SOL);
        loop {
            let mut out = Datagrams::new();
            generator.next_slot(&mut out);
            if let Some(coin) = batches(&out)
                .iter()
                .find_map(|batch| find_plain_launch(batch))
            {
                return Self { signer, user, coin };
            }
        }
    }

    fn buy(&self, exchange: &Exchange, spend_lamports: u64, tokens_min: u64, tip: u64) -> Vec<u8> {
        let order = Order::BuyExactIn {
            spend_lamports,
            tokens_min,
        };
        let trade = Trade {
            generation: Generation::V3,
            order,
            partial_fill: false,
        };
        let recipients = Recipients {
            fee: PUMP_FEE_RECIPIENTS[0],
            buyback: PUMP_BUYBACK_RECIPIENTS[0],
        };
        let account = create_token_account(
            &self.user.key,
            &self.user.key,
            &self.coin.token_program,
            &self.coin.mint,
        );
        let tip = Instruction {
            program: SYSTEM,
            accounts: vec![
                AccountMeta::sign(self.user.key),
                AccountMeta::write(TIP_ACCOUNTS[2]),
            ],
            data: [&2_u32.to_le_bytes()[..], &tip.to_le_bytes()].concat(),
        };
        let instructions = [
            account,
            trade.instruction(&self.coin, &self.user, &recipients),
            tip,
        ];
        let blockhash = exchange.latest_blockhash().unwrap().0;
        write(&[&self.signer], &instructions, &blockhash, Form::V0(&[]))
    }
}

fn find_plain_launch(batch: &[u8]) -> Option<Coin> {
    // The hash chain is not at hand here: walk the entries by their lengths alone.
    let mut rest = &batch[8..];
    let mut found = None;
    while !rest.is_empty() {
        let count = u64::from_le_bytes(rest[40..48].try_into().unwrap());
        rest = &rest[48..];
        for _ in 0..count {
            let (txn, after) = ParsedTxn::parse_prefix(rest).unwrap();
            rest = after;
            for instruction in txn.instructions() {
                let Some(launch) = Launch::decode(instruction.data) else {
                    continue;
                };
                if launch.v2 && !launch.mayhem && !launch.cashback && txn.lookups().is_empty() {
                    let mint = txn.keys()[usize::from(instruction.accounts[Launch::MINT_AT])];
                    let program = demo::keys::TOKEN_2022;
                    found = Some(Coin::new(
                        mint,
                        program,
                        launch.creator,
                        false,
                        false,
                        launch.creator_fee_bps,
                    ));
                }
            }
        }
    }
    found
}

fn land(
    exchange: &Exchange,
    bundle: Vec<Vec<u8>>,
    last_slot: u64,
) -> mpsc::Receiver<Result<Landing, LandingReject>> {
    let (tell, told) = mpsc::channel();
    exchange.land(
        bundle,
        last_slot,
        Box::new(move |result| tell.send(result).unwrap()),
    );
    told
}

#[test]
fn a_bundle_lands_once_and_comes_back_in_the_shreds() {
    let mut generator = Generator::new(GeneratorConfig {
        jito_bps: 10_000,
        skip_bps: 0,
        ..GeneratorConfig::default()
    });
    let outsider = Outsider::new(&mut generator);
    let exchange = generator.exchange();
    let bytes = outsider.buy(&exchange, SOL, 1, 50_000);
    let simulated = exchange.simulate(std::slice::from_ref(&bytes)).unwrap();
    assert_eq!((simulated.tip_lamports, simulated.fills.len()), (50_000, 1));
    assert_eq!(
        exchange.token_balance(&outsider.user.key, &outsider.coin.mint),
        0,
        "a simulation changes nothing"
    );
    let told = land(&exchange, vec![bytes.clone()], u64::MAX);
    assert_eq!(exchange.queued(), 1);

    let mut out = Datagrams::new();
    let report = generator.next_slot(&mut out);
    let landing = told.try_recv().unwrap().unwrap();
    assert_eq!((landing.slot, landing.bundle_index), (report.slot, 0));
    assert_eq!(landing.leader, exchange.leader(report.slot).0);
    assert_eq!(
        landing.effect.fills, simulated.fills,
        "nobody traded in between"
    );
    assert_eq!(
        exchange.token_balance(&outsider.user.key, &outsider.coin.mint),
        landing.effect.fills[0].tokens
    );
    assert!(exchange.balance(&TIP_ACCOUNTS[2]) >= 50_000);
    assert_eq!(report.transactions[0].origin, Origin::Bundle);
    assert!(
        batches(&out)
            .iter()
            .any(|batch| batch.windows(bytes.len()).any(|window| window == bytes))
    );

    let again = land(&exchange, vec![bytes], u64::MAX);
    generator.next_slot(&mut out);
    let reject = again.try_recv().unwrap().unwrap_err();
    assert_eq!(reject.reason, RejectReason::AlreadyProcessed);
}

#[test]
fn a_bundle_takes_effect_whole_or_not_at_all() {
    let mut generator = Generator::new(GeneratorConfig {
        jito_bps: 10_000,
        skip_bps: 0,
        ..GeneratorConfig::default()
    });
    let outsider = Outsider::new(&mut generator);
    let exchange = generator.exchange();
    let before = exchange.balance(&outsider.user.key);
    let good = outsider.buy(&exchange, SOL, 1, 50_000);
    let bad = outsider.buy(&exchange, SOL, u64::MAX, 50_000);
    let told = land(&exchange, vec![good, bad], u64::MAX);
    generator.step(&mut Datagrams::new());
    let reject = told.try_recv().unwrap().unwrap_err();
    let RejectReason::Execution(error) = reject.reason else {
        panic!("{reject}")
    };
    assert_eq!(error.reason, ExecReason::BuySlippageBelowMinTokensOut);
    assert_eq!(reject.transaction.unwrap().0, 1);
    assert_eq!(exchange.balance(&outsider.user.key), before);
}

#[test]
fn bundles_are_refused_for_what_is_wrong_with_them() {
    let mut generator = Generator::new(GeneratorConfig {
        jito_bps: 10_000,
        skip_bps: 0,
        ..GeneratorConfig::default()
    });
    let outsider = Outsider::new(&mut generator);
    let exchange = generator.exchange();
    let reason = |bundle: &[Vec<u8>]| exchange.simulate(bundle).unwrap_err().reason;
    let good = outsider.buy(&exchange, SOL, 1, 50_000);
    assert_eq!(reason(&[]), RejectReason::Empty);
    assert_eq!(
        reason(&vec![good.clone(); 6]),
        RejectReason::TooManyTransactions
    );
    assert_eq!(
        reason(&[good.clone(), good.clone()]),
        RejectReason::AlreadyProcessed
    );
    assert!(matches!(
        reason(&[good[..50].to_vec()]),
        RejectReason::Malformed(_)
    ));
    assert_eq!(
        reason(&[outsider.buy(&exchange, SOL, 1, 999)]),
        RejectReason::TipTooLow
    );
    let mut forged = good.clone();
    forged[10] ^= 1;
    assert_eq!(reason(&[forged]), RejectReason::SignatureInvalid);
    let stale = write(&[&outsider.signer], &[], &[9; 32], Form::Legacy);
    assert_eq!(reason(&[stale]), RejectReason::BlockhashNotFound);
    let expired = land(&exchange, vec![good], generator.slot() - 1);
    generator.step(&mut Datagrams::new());
    assert_eq!(
        expired.try_recv().unwrap().unwrap_err().reason,
        RejectReason::Expired
    );
}

#[test]
fn only_jito_leaders_take_bundles() {
    let mut generator = Generator::new(GeneratorConfig {
        jito_bps: 0,
        skip_bps: 0,
        leader_count: 4,
        ..GeneratorConfig::default()
    });
    let outsider = Outsider::new(&mut generator);
    let exchange = generator.exchange();
    while exchange.leader(generator.slot()).1 {
        generator.next_slot(&mut Datagrams::new());
    }
    let (landing_slot, identity) = exchange.next_jito_leader(generator.slot()).unwrap();
    let told = land(
        &exchange,
        vec![outsider.buy(&exchange, SOL, 1, 10_000)],
        u64::MAX,
    );
    while generator.slot() < landing_slot {
        generator.next_slot(&mut Datagrams::new());
        assert!(told.try_recv().is_err());
    }
    generator.step(&mut Datagrams::new());
    // The coin may have been traded meanwhile; that the leader decided is the point.
    match told.try_recv().unwrap() {
        Ok(landing) => assert_eq!((landing.slot, landing.leader), (landing_slot, identity)),
        Err(reject) => assert!(
            matches!(reject.reason, RejectReason::Execution(_)),
            "{reject}"
        ),
    }
}

#[test]
fn blockhashes_age_and_expire() {
    let mut generator = Generator::new(GeneratorConfig {
        txns_per_slot: 0,
        launches_per_10k_slots: 0,
        ..GeneratorConfig::default()
    });
    let exchange = generator.exchange();
    let mut out = Datagrams::new();
    let mut blocks = 0;
    let (hash, slot) = loop {
        let report = generator.next_slot(&mut out);
        if let Some(hash) = report.blockhash {
            break (hash, report.slot);
        }
    };
    while blocks < 149 {
        out.clear();
        let report = generator.next_slot(&mut out);
        blocks += u32::from(report.blockhash.is_some());
        assert_eq!(exchange.blockhash_age(&hash), Some(report.slot - slot));
    }
    while blocks < 150 {
        blocks += u32::from(generator.next_slot(&mut out).blockhash.is_some());
    }
    assert_eq!(
        exchange.blockhash_age(&hash),
        None,
        "150 younger ones pushed it out"
    );
}
