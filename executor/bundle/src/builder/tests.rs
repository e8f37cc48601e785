#![allow(clippy::unwrap_used)]
use super::*;
use crate::address::{
    ASSOCIATED_TOKEN_PROGRAM, COMPUTE_BUDGET_PROGRAM, PUMP_PROGRAM, SYSTEM_PROGRAM,
};
use market::{Amounts, MarketEvent, Mint, TokenAmount, Trade};
use proptest::prelude::*;
use shred_wire::txn::{TxnVersion, TxnView};
use shred_wire::{Nanos, Slot};
use strategy::Origin;

const SEED: [u8; 32] = [42; 32];
const BLOCKHASH: RecentBlockhash = RecentBlockhash {
    hash: [0xbb; 32],
    slot: Slot(99),
};

fn signer() -> Signer<ThrowAway> {
    Signer::from_seed(&SEED).unwrap()
}

fn config(version: WireVersion) -> BuilderConfig {
    BuilderConfig {
        version,
        ..BuilderConfig::default()
    }
}

fn builder(version: WireVersion) -> Builder {
    Builder::new(&config(version), signer()).unwrap()
}

fn accounts(mint: Key) -> PumpAccounts {
    PumpAccounts {
        mint: Mint(mint),
        bonding_curve: pda::bonding_curve(&mint).unwrap(),
        associated_bonding_curve: [0x22; 32],
        token_program: TOKEN_2022_PROGRAM,
        quote_mint: WRAPPED_SOL,
        creator: [0x33; 32],
        associated_quote_bonding_curve: None,
        creator_vault: None,
        associated_creator_vault: None,
        sharing_config: None,
        fee_recipient: None,
        buyback_fee_recipient: None,
    }
}

fn buy(id: u64) -> Intent {
    Intent {
        id,
        origin: Origin::Launch,
        venue: Venue::PumpV3,
        lane: LaneClass::PrivateBundle,
        side: Side::Buy,
        mint: Mint([7; 32]),
        spend: Lamports(50_000_000),
        tokens: TokenAmount(1_000_000),
        receive_min: Lamports(0),
        tip: Lamports(10_000),
        slot: Slot(100),
        at: Nanos(5),
        accounts: accounts([7; 32]),
    }
}

fn sell(id: u64) -> Intent {
    Intent {
        side: Side::Sell,
        spend: Lamports(0),
        receive_min: Lamports(40_000_000),
        ..buy(id)
    }
}

fn build(builder: &mut Builder, intent: &Intent) -> Result<BundleCell, BuildReject> {
    let mut cell = BundleCell::new();
    builder
        .build_intent(intent, &BLOCKHASH, &mut cell)
        .map(|()| cell)
}

fn is_signed(view: &TxnView<'_>) -> bool {
    let signature = ed25519_dalek::Signature::from_bytes(view.signature());
    let key = ed25519_dalek::VerifyingKey::from_bytes(&view.keys()[0]).unwrap();
    key.verify_strict(view.message(), &signature).is_ok()
}

/// Program and data of every instruction, with its account keys.
fn instructions<'a>(view: &TxnView<'a>) -> Vec<(Key, Vec<Key>, &'a [u8])> {
    let key = |index: u8| view.keys()[usize::from(index)];
    view.instructions()
        .map(|found| {
            (
                key(found.program_index),
                found.accounts.iter().map(|&at| key(at)).collect(),
                found.data,
            )
        })
        .collect()
}

fn any_version() -> impl Strategy<Value = WireVersion> {
    prop_oneof![Just(WireVersion::V0), Just(WireVersion::V1)]
}

fn any_intent() -> impl Strategy<Value = Intent> {
    let shape = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let keys = (
        any::<Key>(),
        any::<Key>(),
        any::<Key>(),
        any::<Key>(),
        any::<[Option<Key>; 4]>(),
    );
    let numbers = (
        any::<u64>(),
        1..=u64::MAX,
        1..=u64::MAX,
        any::<u64>(),
        1_000..=u64::MAX,
        any::<u64>(),
    );
    (shape, keys, numbers).prop_map(
        |((v2, sells, old, public), keys, (id, spend, tokens, receive, tip, slot))| {
            let (mint, curve, curve_base, creator, shown) = keys;
            Intent {
                id,
                origin: Origin::Signal(3),
                venue: if v2 { Venue::PumpV2 } else { Venue::PumpV3 },
                lane: if public {
                    LaneClass::Public
                } else {
                    LaneClass::PrivateBundle
                },
                side: if sells { Side::Sell } else { Side::Buy },
                mint: Mint(mint),
                spend: Lamports(spend),
                tokens: TokenAmount(tokens),
                receive_min: Lamports(receive),
                tip: Lamports(if public { 0 } else { tip }),
                slot: Slot(slot),
                at: Nanos(id ^ slot),
                accounts: PumpAccounts {
                    bonding_curve: curve,
                    associated_bonding_curve: curve_base,
                    token_program: if old {
                        TOKEN_PROGRAM
                    } else {
                        TOKEN_2022_PROGRAM
                    },
                    creator,
                    associated_quote_bonding_curve: shown[0],
                    creator_vault: shown[1],
                    sharing_config: shown[2],
                    // Whom another trader paid must not decide whom we pay.
                    fee_recipient: shown[3],
                    buyback_fee_recipient: shown[3],
                    ..accounts(mint)
                },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Goal: whatever the intent, the wire says exactly that, in a form the official rules accept.
    /// Method: random fields; read the bytes back with the wire crate, and with the market's own decoder.
    #[test]
    fn the_bytes_say_what_the_intent_says(intent in any_intent(), version in any_version(), hash in any::<[u8; 32]>()) {
        let mut cell = BundleCell::new();
        let mut builder = builder(version);
        let blockhash = RecentBlockhash { hash, slot: Slot(8) };
        builder.build_intent(&intent, &blockhash, &mut cell).unwrap();
        prop_assert_eq!(cell.count(), 1);
        let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();

        let expected_version = match version { WireVersion::V0 => TxnVersion::V0, WireVersion::V1 => TxnVersion::V1 };
        prop_assert_eq!(view.version(), expected_version);
        prop_assert_eq!(view.keys()[0], *builder.public_key());
        prop_assert_eq!(view.required_signature_count(), 1);
        prop_assert_eq!(view.blockhash(), &hash);
        prop_assert_eq!(view.lookups().count(), 0);
        prop_assert!(is_signed(&view));
        prop_assert_eq!(cell.message(0), Some(view.message()));
        prop_assert_eq!(&cell.signature, view.signature());
        prop_assert_eq!(cell.signature(0), Some(view.signature()));
        prop_assert_eq!((cell.intent_id, cell.slot, cell.blockhash_slot), (intent.id, intent.slot, Slot(8)));
        prop_assert_eq!((cell.tip, cell.lane, cell.trigger_at), (intent.tip, intent.lane, intent.at));

        let list = instructions(&view);
        let programs: Vec<Key> = list.iter().map(|(program, ..)| *program).filter(|program| *program != COMPUTE_BUDGET_PROGRAM).collect();
        let mut expected = vec![PUMP_PROGRAM];
        if intent.side == Side::Buy { expected.insert(0, ASSOCIATED_TOKEN_PROGRAM); }
        if intent.lane != LaneClass::Public { expected.push(SYSTEM_PROGRAM); }
        prop_assert_eq!(programs, expected);
        if intent.lane != LaneClass::Public {
            let (_, tip_accounts, tip_data) = list.last().unwrap();
            prop_assert_eq!(tip_accounts[0], *builder.public_key());
            prop_assert!(JITO_TIP_ACCOUNTS.contains(&tip_accounts[1]));
            prop_assert_eq!(&tip_data[4..], &intent.tip.0.to_le_bytes());
        }

        let mut trades = Vec::new();
        market::decode(&view, Slot(1), Nanos(2), &mut |event| trades.push(event));
        prop_assert_eq!(trades.len(), 1);
        let MarketEvent::Trade(Trade { mint, trader, side, amounts, partial_fill, shown, .. }) = trades[0] else {
            return Err(TestCaseError::fail("not a trade"));
        };
        prop_assert_eq!((mint, trader, side), (intent.mint, *builder.public_key(), intent.side));
        let expected = match intent.side {
            Side::Buy => Amounts::TokensOut { tokens: intent.tokens, quote_max: intent.spend },
            Side::Sell => Amounts::Sell { tokens: intent.tokens, quote_min: intent.receive_min },
        };
        prop_assert_eq!(amounts, expected);
        prop_assert_eq!(partial_fill, (intent.side == Side::Buy).then_some(false));
        prop_assert_eq!(shown.token_program, Some(intent.accounts.token_program));
        prop_assert!(PUMP_BUYBACK_FEE_RECIPIENTS.contains(&shown.buyback_fee_recipient.unwrap()));
        let curve = match intent.side {
            Side::Buy => intent.accounts.bonding_curve,
            Side::Sell => pda::bonding_curve(&intent.mint.0).unwrap(),
        };
        prop_assert_eq!(shown.bonding_curve, Some(curve));
        if intent.venue == Venue::PumpV2 {
            prop_assert!(PUMP_FEE_RECIPIENTS.contains(&shown.fee_recipient.unwrap()));
            let vault = intent.accounts.creator_vault.or_else(|| pda::creator_vault(&intent.accounts.creator));
            prop_assert_eq!(shown.creator_vault, vault);
        }
    }
}

#[test]
fn v1_carries_its_compute_budget_in_the_config() {
    let mut config = config(WireVersion::V1);
    config.entry_budget = ComputeBudget {
        unit_limit: 123_456,
        unit_price_micro_lamports: 1_000_001,
        loaded_accounts_data_size_limit: 77_777,
    };
    let mut builder = Builder::new(&config, signer()).unwrap();
    let cell = build(&mut builder, &buy(1)).unwrap();
    let found = TxnView::parse(cell.transaction(0).unwrap())
        .unwrap()
        .config()
        .unwrap();
    assert_eq!(found.priority_fee_lamports, Some(123_457));
    assert_eq!(found.compute_unit_limit, Some(123_456));
    assert_eq!(found.loaded_data_len_max, Some(77_777));
    assert_eq!(found.heap_len, None);
}

#[test]
fn equal_intents_give_equal_bytes() {
    let first = build(&mut builder(WireVersion::V0), &buy(1)).unwrap();
    let mut warm = builder(WireVersion::V0);
    build(&mut warm, &sell(9)).unwrap();
    let mut prepared = accounts([7; 32]);
    prepared.associated_bonding_curve = [0x22; 32];
    let again = build(
        &mut builder(WireVersion::V0),
        &Intent {
            accounts: prepared,
            ..buy(1)
        },
    )
    .unwrap();
    assert_eq!(first.transaction(0), again.transaction(0));
}

#[test]
fn an_exit_is_the_same_prepared_or_not() {
    let cold = build(&mut builder(WireVersion::V0), &sell(1)).unwrap();
    let mut warm = builder(WireVersion::V0);
    warm.prepare_exit(Venue::PumpV3, &accounts([7; 32]))
        .unwrap();
    assert_eq!(
        build(&mut warm, &sell(1)).unwrap().transaction(0),
        cold.transaction(0)
    );
}

#[test]
fn every_tip_account_gets_its_turn() {
    let mut builder = builder(WireVersion::V0);
    let mut turns = [0; 8];
    for id in 1..=400 {
        let cell = build(&mut builder, &buy(id)).unwrap();
        let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
        let tip_account = instructions(&view).last().unwrap().1[1];
        turns[JITO_TIP_ACCOUNTS
            .iter()
            .position(|account| *account == tip_account)
            .unwrap()] += 1;
    }
    assert!(
        turns.iter().all(|turn| (25..80).contains(turn)),
        "{turns:?}"
    );
}

/// Goal: each reason can be provoked, and a refused build leaves an empty cell.
#[test]
fn what_must_not_be_built_is_refused() {
    let mut builder = builder(WireVersion::V0);
    let mut cell = build(&mut builder, &buy(1)).unwrap();
    let mut refuse = |change: &dyn Fn(&mut Intent), reason| {
        let mut intent = buy(1);
        change(&mut intent);
        assert_eq!(
            builder.build_intent(&intent, &BLOCKHASH, &mut cell),
            Err(reason)
        );
        assert_eq!((cell.count(), cell.transaction(0)), (0, None));
        builder
            .build_intent(&buy(1), &BLOCKHASH, &mut cell)
            .unwrap();
    };
    refuse(
        &|intent| intent.mint = Mint([8; 32]),
        BuildReject::ForeignAccounts,
    );
    refuse(
        &|intent| intent.accounts.quote_mint = [8; 32],
        BuildReject::QuoteNotSol,
    );
    refuse(
        &|intent| intent.accounts.token_program = [8; 32],
        BuildReject::UnknownTokenProgram,
    );
    refuse(
        &|intent| intent.spend = Lamports(0),
        BuildReject::ZeroAmount,
    );
    refuse(
        &|intent| intent.tokens = TokenAmount(0),
        BuildReject::ZeroAmount,
    );
    refuse(
        &|intent| intent.tip = Lamports(999),
        BuildReject::TipTooSmall,
    );
    refuse(
        &|intent| intent.lane = LaneClass::Public,
        BuildReject::TipUnwanted,
    );
    refuse(
        &|intent| intent.accounts.bonding_curve = [7; 32],
        BuildReject::AliasedAccount,
    );
    refuse(
        &|intent| intent.accounts.associated_bonding_curve = PUMP_PROGRAM,
        BuildReject::AliasedAccount,
    );
    let tip_account = JITO_TIP_ACCOUNTS[(mix(1) % 8) as usize];
    refuse(
        &|intent| intent.accounts.associated_bonding_curve = tip_account,
        BuildReject::AliasedAccount,
    );
}

#[test]
fn a_planted_fault_is_the_only_difference() {
    let honest = build(&mut builder(WireVersion::V0), &buy(1)).unwrap();
    let honest = TxnView::parse(honest.transaction(0).unwrap()).unwrap();
    let faulty = |fault| {
        let mut builder =
            Builder::with_planted_fault(&config(WireVersion::V0), signer(), fault).unwrap();
        build(&mut builder, &buy(1)).unwrap()
    };

    let cell = faulty(Fault::BrokenSignature);
    let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
    assert!(!is_signed(&view));
    assert_eq!(view.message(), honest.message());
    assert_eq!(&cell.signature, view.signature());

    let cell = faulty(Fault::StaleBlockhash);
    let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
    assert!(is_signed(&view));
    assert_ne!(view.blockhash(), honest.blockhash());
    assert_eq!(view.keys(), honest.keys());

    let cell = faulty(Fault::WrongTipAccount);
    let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
    assert!(is_signed(&view));
    assert!(
        view.keys()
            .iter()
            .all(|key| !JITO_TIP_ACCOUNTS.contains(key))
    );
    assert_eq!(view.blockhash(), honest.blockhash());
}

#[test]
fn a_list_that_cannot_work_stops_the_start() {
    let refused = |change: &dyn Fn(&mut BuilderConfig)| {
        let mut config = config(WireVersion::V0);
        change(&mut config);
        Builder::new(&config, signer()).unwrap_err()
    };
    let user = *signer().public_key();
    assert_eq!(
        refused(&|config| config.tip_accounts.clear()),
        BuilderError::EmptyList("tip_accounts")
    );
    assert_eq!(
        refused(&|config| config.buyback_fee_recipients[0] = config.tip_accounts[3]),
        BuilderError::ListedTwice("buyback_fee_recipients")
    );
    assert_eq!(
        refused(&|config| config.fee_recipients[1] = user),
        BuilderError::ListedFixed("fee_recipients")
    );
}

#[test]
fn a_builder_does_not_print_its_key() {
    assert_eq!(
        format!("{:?}", builder(WireVersion::V0)),
        "Builder { fault: None, .. }"
    );
}
