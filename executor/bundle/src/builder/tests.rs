#![allow(clippy::unwrap_used)]
use super::*;
use crate::address::{
    ASSOCIATED_TOKEN_PROGRAM, COMPUTE_BUDGET_PROGRAM, JITO_DONT_FRONT, LAUNCHLAB_PROGRAM,
    LIGHTHOUSE_PROGRAM, PUMP_AMM_PROGRAM, PUMP_PROGRAM, RAYDIUM_AMM_PROGRAM, RAYDIUM_CP_PROGRAM,
    SYSTEM_PROGRAM, TOKEN_2022_PROGRAM, TOKEN_PROGRAM,
};
use market::{
    Amounts, LaunchLabAccounts, MarketEvent, Mint, PumpAccounts, PumpSwapAccounts,
    RaydiumAmmAccounts, RaydiumCpAccounts, TokenAmount, Trade,
};
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

/// Accounts of a coin on `venue`, each a key of its own.
fn accounts_on(venue: Venue, mint: Key, token_program: Key) -> VenueAccounts {
    let key = |n: u8| {
        let mut key = mint;
        key[0] = !key[0];
        key[31] = n;
        key
    };
    let (mint, quote_mint, pool) = (Mint(mint), WRAPPED_SOL, key(101));
    let (base_vault, quote_vault) = (key(102), key(103));
    match venue {
        Venue::PumpV3 | Venue::PumpV2 => PumpAccounts {
            token_program,
            ..accounts(mint.0)
        }
        .into(),
        Venue::PumpSwap => PumpSwapAccounts {
            mint,
            pool,
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
        }
        .into(),
        Venue::RaydiumAmm => RaydiumAmmAccounts {
            mint,
            pool,
            coin_vault: base_vault,
            pc_vault: quote_vault,
            quote_mint,
        }
        .into(),
        Venue::RaydiumCp => RaydiumCpAccounts {
            mint,
            pool,
            amm_config: key(104),
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
            observation: key(105),
        }
        .into(),
        Venue::LaunchLab => LaunchLabAccounts {
            mint,
            pool,
            global_config: key(104),
            platform_config: key(105),
            base_vault,
            quote_vault,
            token_program,
            quote_mint,
            platform_fee_vault: key(106),
            creator_fee_vault: key(107),
        }
        .into(),
    }
}

/// The Pump accounts of an intent.
fn pump(intent: &mut Intent) -> &mut PumpAccounts {
    match &mut intent.accounts {
        VenueAccounts::Pump(accounts) => accounts,
        other => panic!("{other:?}"),
    }
}

fn program_of(venue: Venue) -> Key {
    match venue {
        Venue::PumpV3 | Venue::PumpV2 => PUMP_PROGRAM,
        Venue::PumpSwap => PUMP_AMM_PROGRAM,
        Venue::RaydiumAmm => RAYDIUM_AMM_PROGRAM,
        Venue::RaydiumCp => RAYDIUM_CP_PROGRAM,
        Venue::LaunchLab => LAUNCHLAB_PROGRAM,
    }
}

/// Where the trade's data names tokens and limit.
fn amounts_at(venue: Venue, side: Side) -> (usize, usize) {
    match (venue, side) {
        (Venue::RaydiumAmm, Side::Buy) => (9, 1),
        (Venue::RaydiumAmm, Side::Sell) => (1, 9),
        (Venue::RaydiumCp, Side::Buy) => (16, 8),
        _ => (8, 16),
    }
}

fn u64_at(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(data[at..at + 8].try_into().unwrap())
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
        accounts: accounts([7; 32]).into(),
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

fn any_lane() -> impl Strategy<Value = LaneClass> {
    prop_oneof![
        Just(LaneClass::PrivateBundle),
        Just(LaneClass::PrivateTransaction),
        Just(LaneClass::Public),
        Just(LaneClass::PriorityBundle),
    ]
}

fn any_intent() -> impl Strategy<Value = Intent> {
    let shape = (0..Venue::COUNT, any::<bool>(), any::<bool>(), any_lane());
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
        4_000..=1u64 << 43,
        any::<u64>(),
    );
    (shape, keys, numbers).prop_map(
        |((venue, sells, old, lane), keys, (id, spend, tokens, receive, tip, slot))| {
            let (mint, curve, curve_base, creator, shown) = keys;
            let venue = Venue::ALL[venue];
            let old = old || venue == Venue::RaydiumAmm;
            let token_program = if old {
                TOKEN_PROGRAM
            } else {
                TOKEN_2022_PROGRAM
            };
            let mut intent = Intent {
                id,
                origin: Origin::Signal(3),
                venue,
                lane,
                side: if sells { Side::Sell } else { Side::Buy },
                mint: Mint(mint),
                spend: Lamports(spend),
                tokens: TokenAmount(tokens),
                receive_min: Lamports(receive),
                tip: Lamports(if lane == LaneClass::Public { 0 } else { tip }),
                slot: Slot(slot),
                at: Nanos(id ^ slot),
                accounts: accounts_on(venue, mint, token_program),
            };
            if let VenueAccounts::Pump(accounts) = &mut intent.accounts {
                *accounts = PumpAccounts {
                    bonding_curve: curve,
                    associated_bonding_curve: curve_base,
                    creator,
                    associated_quote_bonding_curve: shown[0],
                    creator_vault: shown[1],
                    sharing_config: shown[2],
                    // Whom another trader paid must not decide whom we pay.
                    fee_recipient: shown[3],
                    buyback_fee_recipient: shown[3],
                    ..*accounts
                };
            }
            intent
        },
    )
}

/// The programs of a transaction in order, compute budget left out.
fn expected_programs(intent: &Intent) -> Vec<Key> {
    let token_program = *intent.accounts.token_program();
    let wraps = !matches!(intent.venue, Venue::PumpV3 | Venue::PumpV2);
    let mut expected = Vec::new();
    if wraps {
        expected.push(ASSOCIATED_TOKEN_PROGRAM);
    }
    if wraps && intent.side == Side::Buy {
        expected.extend([SYSTEM_PROGRAM, TOKEN_PROGRAM]);
    }
    if intent.side == Side::Buy {
        expected.push(ASSOCIATED_TOKEN_PROGRAM);
    }
    expected.push(program_of(intent.venue));
    if wraps {
        expected.push(TOKEN_PROGRAM);
    }
    if matches!(
        intent.lane,
        LaneClass::PrivateBundle | LaneClass::PrivateTransaction
    ) {
        expected.push(SYSTEM_PROGRAM);
    }
    assert!([TOKEN_PROGRAM, TOKEN_2022_PROGRAM].contains(&token_program));
    expected
}

/// The priority fee the bytes ask for, lamports.
fn priority_fee(view: &TxnView<'_>) -> u64 {
    if let Some(config) = view.config() {
        return config.priority_fee_lamports.unwrap();
    }
    let budget = |tag: u8| {
        let found = instructions(view)
            .into_iter()
            .find(|(program, _, data)| *program == COMPUTE_BUDGET_PROGRAM && data[0] == tag);
        found.unwrap().2[1..].to_vec()
    };
    let units = u32::from_le_bytes(budget(2).try_into().unwrap());
    let price = u64::from_le_bytes(budget(3).try_into().unwrap());
    (u128::from(units) * u128::from(price)).div_ceil(1_000_000) as u64
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
        prop_assert_eq!(programs, expected_programs(&intent));
        let transferred = match intent.lane {
            LaneClass::PrivateBundle => intent.tip.0,
            LaneClass::PrivateTransaction => intent.tip.less_bps(Bps(7_000)).0,
            LaneClass::Public | LaneClass::PriorityBundle => 0,
        };
        if transferred > 0 {
            let (_, tip_accounts, tip_data) = list.last().unwrap();
            prop_assert_eq!(tip_accounts[0], *builder.public_key());
            prop_assert!(JITO_TIP_ACCOUNTS.contains(&tip_accounts[1]));
            prop_assert_eq!(u64_at(tip_data, 4), transferred);
        }
        // All of the tip is paid, in one form or the other, and not a lamport more.
        let (fee, rest) = (priority_fee(&view), intent.tip.0 - transferred);
        prop_assert!(fee <= rest && rest - fee <= 1, "{} {}", fee, rest);

        let (_, _, data) = list.iter().find(|(program, ..)| *program == program_of(intent.venue)).unwrap();
        let (tokens_at, limit_at) = amounts_at(intent.venue, intent.side);
        let limit = if intent.side == Side::Buy { intent.spend } else { intent.receive_min };
        prop_assert_eq!((u64_at(data, tokens_at), u64_at(data, limit_at)), (intent.tokens.0, limit.0));
        if program_of(intent.venue) != PUMP_PROGRAM {
            return Ok(());
        }

        let mut trades = Vec::new();
        market::decode(&view, &market::LookupTables::none(), Slot(1), Nanos(2), &mut |event| trades.push(event));
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
        let VenueAccounts::Pump(accounts) = intent.accounts else { unreachable!() };
        prop_assert_eq!(shown.token_program, Some(accounts.token_program));
        prop_assert!(PUMP_BUYBACK_FEE_RECIPIENTS.contains(&shown.buyback_fee_recipient.unwrap()));
        let curve = match intent.side {
            Side::Buy => accounts.bonding_curve,
            Side::Sell => pda::bonding_curve(&intent.mint.0).unwrap(),
        };
        prop_assert_eq!(shown.bonding_curve, Some(curve));
        if intent.venue == Venue::PumpV2 {
            prop_assert!(PUMP_FEE_RECIPIENTS.contains(&shown.fee_recipient.unwrap()));
            let vault = accounts.creator_vault.or_else(|| pda::creator_vault(&accounts.creator));
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
    config.unit_limits = UnitLimits::none();
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
            accounts: prepared.into(),
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
    warm.prepare_exit(Venue::PumpV3, &accounts([7; 32]).into())
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
        &|intent| pump(intent).quote_mint = [8; 32],
        BuildReject::QuoteNotSol,
    );
    refuse(
        &|intent| pump(intent).token_program = [8; 32],
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
        &|intent| {
            intent.lane = LaneClass::PrivateTransaction;
            intent.tip = Lamports(3_333);
        },
        BuildReject::TipTooSmall,
    );
    refuse(
        &|intent| intent.venue = Venue::PumpSwap,
        BuildReject::VenueMismatch,
    );
    refuse(
        &|intent| intent.accounts = accounts_on(Venue::LaunchLab, intent.mint.0, TOKEN_PROGRAM),
        BuildReject::VenueMismatch,
    );
    refuse(
        &|intent| pump(intent).bonding_curve = [7; 32],
        BuildReject::AliasedAccount,
    );
    refuse(
        &|intent| pump(intent).associated_bonding_curve = PUMP_PROGRAM,
        BuildReject::AliasedAccount,
    );
    let tip_account = JITO_TIP_ACCOUNTS[(mix(1) % 8) as usize];
    refuse(
        &|intent| pump(intent).associated_bonding_curve = tip_account,
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

/// An intent that buys or sells on `venue`.
fn on(venue: Venue, side: Side) -> Intent {
    let intent = match side {
        Side::Buy => buy(1),
        Side::Sell => sell(1),
    };
    let accounts = accounts_on(venue, intent.mint.0, TOKEN_PROGRAM);
    Intent {
        venue,
        accounts,
        ..intent
    }
}

fn every_trade() -> impl Iterator<Item = (Venue, Side)> {
    let sides = |venue| [(venue, Side::Buy), (venue, Side::Sell)];
    Venue::ALL.into_iter().flat_map(sides)
}

#[test]
fn a_standing_account_spares_the_wrapping() {
    let mut config = config(WireVersion::V0);
    config.wrapped_sol = WrappedSol::Standing;
    let mut builder = Builder::new(&config, signer()).unwrap();
    for (venue, side) in every_trade() {
        let cell = build(&mut builder, &on(venue, side)).unwrap();
        let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
        let list = instructions(&view);
        let programs: Vec<Key> = list[3..].iter().map(|(program, ..)| *program).collect();
        let trade = match side {
            Side::Buy => vec![ASSOCIATED_TOKEN_PROGRAM, program_of(venue)],
            Side::Sell => vec![program_of(venue)],
        };
        assert_eq!(
            programs,
            [trade, vec![SYSTEM_PROGRAM]].concat(),
            "{venue:?}"
        );
    }
}

/// Goal: what is wrapped is what may be spent, and all of it comes back.
#[test]
fn a_buy_wraps_its_spend_and_closes_the_account() {
    let mut builder = builder(WireVersion::V1);
    let user = *builder.public_key();
    let wrapped = pda::wrapped_sol_account(&user).unwrap();
    let cell = build(&mut builder, &on(Venue::RaydiumCp, Side::Buy)).unwrap();
    let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
    let list = instructions(&view);
    assert_eq!((list[0].1[1], list[0].1[3]), (wrapped, WRAPPED_SOL));
    assert_eq!(list[1].1, [user, wrapped]);
    assert_eq!(u64_at(list[1].2, 4), 50_000_000);
    assert_eq!((&list[2].1[..], list[2].2), (&[wrapped][..], &[17][..]));
    assert_eq!(
        (&list[5].1[..], list[5].2),
        (&[wrapped, user, user][..], &[9][..])
    );
}

#[test]
fn guards_are_the_first_and_the_last_word() {
    for version in [WireVersion::V0, WireVersion::V1] {
        let mut config = config(version);
        config.slot_guard_slots = Some(4);
        config.wallet_floor = Some(Lamports(77));
        let mut builder = Builder::new(&config, signer()).unwrap();
        let user = *builder.public_key();
        for (venue, side) in every_trade() {
            for floor in [77, 1 << 40] {
                builder.set_wallet_floor(Lamports(floor));
                let cell = build(&mut builder, &on(venue, side)).unwrap();
                let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
                let mut list = instructions(&view);
                list.retain(|(program, ..)| *program != COMPUTE_BUDGET_PROGRAM);
                let (program, accounts, data) = &list[0];
                assert_eq!((*program, accounts.len()), (LIGHTHOUSE_PROGRAM, 0));
                assert_eq!((u64_at(data, 3), data.len()), (104, 12), "{venue:?}");
                let (program, accounts, data) = list.last().unwrap();
                assert_eq!((*program, &accounts[..]), (SYSTEM_PROGRAM, &[user; 2][..]));
                assert_eq!(u64_at(data, 4), floor);
            }
        }
    }
}

/// Goal: the mark stands on every first transaction that pays for a place and on nothing else.
#[test]
fn only_the_first_of_a_bundle_asks_to_be_first() {
    for (version, floor) in [
        (WireVersion::V0, None),
        (WireVersion::V1, Some(Lamports(5))),
    ] {
        let mut config = config(version);
        config.dont_front = true;
        config.wallet_floor = floor;
        let mut builder = Builder::new(&config, signer()).unwrap();
        let carriers = |cell: &BundleCell, index| {
            let view = TxnView::parse(cell.transaction(index).unwrap()).unwrap();
            let mut list = instructions(&view);
            list.retain(|(_, accounts, _)| accounts.contains(&JITO_DONT_FRONT));
            let at = view.keys().iter().position(|key| *key == JITO_DONT_FRONT);
            let readonly = at.map(|at| !view.is_writable_static(at) && at > 0);
            assert!(list.iter().all(|(program, ..)| *program == SYSTEM_PROGRAM));
            assert_eq!(readonly, (!list.is_empty()).then_some(true));
            list.len()
        };
        for (venue, side) in every_trade() {
            for lane in [
                LaneClass::PrivateBundle,
                LaneClass::PriorityBundle,
                LaneClass::PrivateTransaction,
                LaneClass::Public,
            ] {
                let mut intent = on(venue, side);
                intent.lane = lane;
                if lane == LaneClass::Public {
                    intent.tip = Lamports(0);
                }
                let mut cell = build(&mut builder, &intent).unwrap();
                assert_eq!(carriers(&cell, 0), usize::from(lane != LaneClass::Public));
                if lane.is_bundle() {
                    let next = Intent {
                        id: 2,
                        tokens: TokenAmount(9),
                        ..intent
                    };
                    builder.append_intent(&next, &BLOCKHASH, &mut cell).unwrap();
                    assert_eq!(carriers(&cell, 1), 0);
                }
            }
        }
    }
}

#[test]
fn an_exit_closes_the_account_only_when_told_to() {
    let mut config = config(WireVersion::V0);
    config.close_coin_account = true;
    let mut builder = Builder::new(&config, signer()).unwrap();
    let user = *builder.public_key();
    for (venue, side) in every_trade() {
        let intent = on(venue, side);
        let account = pda::associated_token_account(&user, &TOKEN_PROGRAM, &intent.mint.0).unwrap();
        let cell = build(&mut builder, &intent).unwrap();
        let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
        let mut list = instructions(&view);
        list.retain(|(program, accounts, data)| {
            *program == TOKEN_PROGRAM && *data == [9] && accounts[..] == [account, user, user]
        });
        assert_eq!(list.len(), usize::from(side == Side::Sell), "{venue:?}");
    }
}

#[test]
fn a_bundle_grows_to_five_and_keeps_what_it_was_on_a_refusal() {
    let mut builder = builder(WireVersion::V0);
    let next = |id: u64| Intent {
        id,
        tip: Lamports(id * 10),
        tokens: TokenAmount(id),
        ..on(Venue::RaydiumAmm, Side::Sell)
    };
    let mut cell = BundleCell::new();
    assert_eq!(
        builder.append_intent(&next(1), &BLOCKHASH, &mut cell),
        Err(BuildReject::NoBundle),
        "nothing to follow"
    );
    builder
        .build_intent(&buy(1), &BLOCKHASH, &mut cell)
        .unwrap();
    let first = cell.transaction(0).unwrap().to_vec();
    let older = RecentBlockhash {
        slot: Slot(7),
        ..BLOCKHASH
    };
    for (id, blockhash) in [(0, BLOCKHASH), (2, older), (3, BLOCKHASH), (4, BLOCKHASH)] {
        let intent = Intent {
            tokens: TokenAmount(id + 1),
            ..next(id)
        };
        builder
            .append_intent(&intent, &blockhash, &mut cell)
            .unwrap();
    }
    assert_eq!((cell.count(), cell.tip), (5, Lamports(10_090)));
    assert_eq!((cell.intent_id, cell.blockhash_slot), (1, Slot(7)));
    assert_eq!(cell.transaction(0).unwrap(), first);
    let ids: Vec<_> = (0..5)
        .map(|index| cell.intent_id_of(index).unwrap())
        .collect();
    assert_eq!(ids, [1, 0, 2, 3, 4]);
    // One that follows need not tip, and then transfers nothing.
    let transfers = |index| {
        let view = TxnView::parse(cell.transaction(index).unwrap()).unwrap();
        assert!(is_signed(&view));
        let list = instructions(&view);
        list.iter()
            .filter(|(program, ..)| *program == SYSTEM_PROGRAM)
            .count()
    };
    assert_eq!((transfers(1), transfers(2)), (0, 1));
    let full = builder.append_intent(&next(9), &BLOCKHASH, &mut cell);
    assert_eq!((full, cell.count()), (Err(BuildReject::CellFull), 5));
}

#[test]
fn what_does_not_belong_into_a_bundle_is_refused() {
    let mut builder = builder(WireVersion::V0);
    let mut cell = build(&mut builder, &buy(1)).unwrap();
    let mut refuse = |intent: Intent, reason| {
        assert_eq!(
            builder.append_intent(&intent, &BLOCKHASH, &mut cell),
            Err(reason)
        );
        assert_eq!((cell.count(), cell.tip), (1, Lamports(10_000)));
    };
    refuse(buy(1), BuildReject::Repeated);
    refuse(
        Intent {
            lane: LaneClass::PriorityBundle,
            ..buy(2)
        },
        BuildReject::OtherLane,
    );
    refuse(
        Intent {
            lane: LaneClass::Public,
            ..buy(2)
        },
        BuildReject::NoBundle,
    );
    refuse(
        Intent {
            tokens: TokenAmount(0),
            ..buy(2)
        },
        BuildReject::ZeroAmount,
    );
}

#[test]
fn a_measured_limit_stands_in_for_the_budgets() {
    let mut config = config(WireVersion::V1);
    config.unit_limits = UnitLimits::none().with(Venue::PumpSwap, Side::Sell, 123_456);
    let mut builder = Builder::new(&config, signer()).unwrap();
    for (venue, side) in every_trade() {
        let cell = build(&mut builder, &on(venue, side)).unwrap();
        let view = TxnView::parse(cell.transaction(0).unwrap()).unwrap();
        let expected = match (venue, side) {
            (Venue::PumpSwap, Side::Sell) => 123_456,
            _ => 400_000,
        };
        assert_eq!(view.config().unwrap().compute_unit_limit, Some(expected));
    }
}

/// Goal: the longest transaction of every option at once is known to fit, or to be refused at the start.
#[test]
fn every_option_at_once_fits_v1_and_says_where_v0_ends() {
    let mut config = config(WireVersion::V1);
    config.dont_front = true;
    config.close_coin_account = true;
    config.slot_guard_slots = Some(2);
    config.wallet_floor = Some(Lamports(1));
    Builder::new(&config, signer()).unwrap();
    config.version = WireVersion::V0;
    let refused = Builder::new(&config, signer()).unwrap_err();
    assert!(
        matches!(
            refused,
            BuilderError::Template {
                source: CompileError::TooLong { max: 1_232, .. },
                ..
            }
        ),
        "{refused}"
    );
}

/// Goal: a signer that absorbed the prefixes meets exactly them.
#[test]
fn every_message_starts_with_a_prefix_that_was_announced() {
    let config = config(WireVersion::V0);
    let prefixes = config.static_prefixes(signer().public_key()).unwrap();
    assert!(prefixes.len() <= 256);
    let mut builder = builder(WireVersion::V0);
    for (venue, side) in every_trade() {
        let cell = build(&mut builder, &on(venue, side)).unwrap();
        let message = cell.message(0).unwrap();
        let fits = |prefix: &&Vec<u8>| !prefix.is_empty() && message.starts_with(prefix);
        let longest = prefixes.iter().filter(fits).map(Vec::len).max().unwrap();
        // Version, header, count, and at least our wallet, our wrapped SOL and one account more.
        assert!(longest >= 5 + 2 * 32, "{venue:?} {side:?}: {longest}");
    }
}

/// Goal: a table of what should be in one takes everything but programs, the wallet's own accounts and what an intent
/// says; the same accounts are named with it and without.
#[test]
fn a_table_takes_what_every_wallet_names() {
    let plain = config(WireVersion::V0);
    let listed = plain.lookup_addresses().unwrap();
    assert!(listed.windows(2).all(|pair| pair[0].1 >= pair[1].1));
    let addresses: Vec<Key> = listed.iter().map(|(key, _)| *key).collect();
    let tabled = BuilderConfig {
        lookup_table: Some(LookupTable {
            key: [0x7a; 32],
            addresses: addresses.clone(),
        }),
        ..plain.clone()
    };
    assert_eq!(tabled.lookup_addresses().unwrap(), listed);
    let [mut plain, mut tabled] =
        [plain, tabled].map(|config| Builder::new(&config, signer()).unwrap());
    let wrapped = pda::wrapped_sol_account(plain.public_key()).unwrap();
    let sorted = |mut keys: Vec<Key>| {
        keys.sort_unstable();
        keys
    };
    for (venue, side) in every_trade() {
        let [plain, tabled] =
            [&mut plain, &mut tabled].map(|builder| build(builder, &on(venue, side)).unwrap());
        let [plain, tabled] = [&plain, &tabled].map(|cell| cell.transaction(0).unwrap());
        let saved = plain.len() - tabled.len();
        let [plain, tabled] = [plain, tabled].map(|bytes| TxnView::parse(bytes).unwrap());
        assert!(is_signed(&tabled));
        let lookup = tabled.lookups().next().unwrap();
        assert_eq!(lookup.table, &[0x7a; 32]);
        let indices = lookup.writable.iter().chain(lookup.readonly);
        let looked_up: Vec<Key> = indices.map(|at| addresses[usize::from(*at)]).collect();
        assert_eq!(saved, 31 * looked_up.len() - 34, "{venue:?} {side:?}");
        assert_eq!(
            sorted([tabled.keys(), &looked_up].concat()),
            sorted(plain.keys().to_vec())
        );
        let called = instructions(&plain);
        let is_program = |key: &Key| called.iter().any(|(program, ..)| program == key);
        let left = tabled.keys().iter();
        assert!(
            left.clone()
                .all(|key| is_program(key) || !addresses.contains(key))
        );
        let (mut left, tips) = (left, &JITO_TIP_ACCOUNTS);
        assert!(left.clone().any(|key| tips.contains(key)));
        // Still before all that changes.
        assert_eq!(left.nth(1), Some(&wrapped));
    }
}

/// Goal: a rung rendered ahead is, byte for byte, what a build at the trigger would have been.
#[test]
fn a_draft_renders_what_a_build_would() {
    for version in [WireVersion::V0, WireVersion::V1] {
        let mut builder = builder(version);
        for (venue, side) in every_trade() {
            for lane in [
                LaneClass::PrivateBundle,
                LaneClass::PriorityBundle,
                LaneClass::PrivateTransaction,
            ] {
                let armed = Intent {
                    lane,
                    ..on(venue, side)
                };
                let draft = builder.draft(&armed).unwrap();
                let layout = draft.layout();
                let (tokens, limit, tip) = (TokenAmount(31), Lamports(41), Lamports(59_265));
                let mut rendered = vec![0xff; layout.len];
                draft
                    .render(tokens, limit, tip, &BLOCKHASH, &mut rendered)
                    .unwrap();
                let cell = build(
                    &mut builder,
                    &Intent {
                        tokens,
                        spend: limit,
                        receive_min: limit,
                        tip,
                        ..armed
                    },
                )
                .unwrap();
                let message = cell.message(0).unwrap();
                assert_eq!(&rendered[layout.message.clone()], message, "{venue:?}");
                let at = layout.signature_at;
                assert_eq!(rendered[at..at + 64], [0; 64]);
                let mut refuse = |tokens, limit, tip| {
                    draft.render(
                        TokenAmount(tokens),
                        Lamports(limit),
                        Lamports(tip),
                        &BLOCKHASH,
                        &mut rendered,
                    )
                };
                assert_eq!(refuse(0, 1, 59_265), Err(BuildReject::ZeroAmount));
                assert_eq!(refuse(1, 0, 59_265), Err(BuildReject::ZeroAmount));
                if lane != LaneClass::PriorityBundle {
                    assert_eq!(refuse(1, 1, 999), Err(BuildReject::TipTooSmall));
                }
            }
        }
    }
}

/// Goal: a rung leaves only for the intent that was approved, and within what was approved.
#[test]
fn a_rung_leaves_only_as_approved() {
    use crate::ladder::{Blank, Grid, Intents, LadderCapacity};

    let capacity = LadderCapacity {
        sizes: 2,
        tips: 2,
        blockhashes: 1,
        transaction_len: 1_232,
    };
    let wanted = Wanted {
        size_max: u64::MAX,
        size_min: 0,
        tip_min: 0,
        tip_max: u64::MAX,
        slot: Slot(100),
        blockhash_age_max: 10,
    };
    let mut builder = builder(WireVersion::V0);
    let armed = buy(1);
    let draft = builder.draft(&armed).unwrap();
    let mut held = Intents::default().hold(armed.id).unwrap();
    let grid = Grid {
        sizes: &[1_000_000, 1_100_000],
        tips: &[9_000, 11_000],
        blockhashes: &[BLOCKHASH],
    };
    let ladder = builder
        .ladder_signer()
        .arm(
            Blank::new(capacity),
            armed.id,
            &grid,
            &draft.layout(),
            |rung, bytes| {
                let (size, tip) = (TokenAmount(rung.size), Lamports(rung.tip));
                draft.render(size, armed.spend, tip, &rung.blockhash, bytes)
            },
        )
        .unwrap();
    held.renew(ladder).unwrap();
    let refused = builder
        .release(&approve(buy(2)), held, &wanted)
        .unwrap_err();
    assert_eq!(refused.why, NoRung::NoLadder, "another intent's");
    let cheap = Intent {
        spend: Lamports(39_000_000),
        ..armed
    };
    let refused = builder.release(&approve(cheap), refused.held, &wanted);
    let refused = refused.unwrap_err();
    assert_eq!(refused.why, NoRung::Terms, "more than was approved");
    let fuller = Intent {
        tokens: TokenAmount(1_000_001),
        ..armed
    };
    let refused = builder.release(&approve(fuller), refused.held, &wanted);
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.why,
        NoRung::Terms,
        "fewer tokens for the same spend"
    );
    let frugal = Intent {
        tip: Lamports(8_999),
        ..armed
    };
    let peeked = builder.peek(&frugal, &refused.held, &wanted);
    assert_eq!(peeked, Err(NoRung::Tip), "more tip than was approved");
    let peeked = builder.peek(&armed, &refused.held, &wanted).unwrap();
    let released = builder
        .release(&approve(armed), refused.held, &wanted)
        .unwrap();
    assert_eq!(
        (released.terms().size, released.terms().tip),
        (1_000_000, 9_000)
    );
    assert_eq!(peeked, released.terms());
    assert!(is_signed(&TxnView::parse(released.bytes()).unwrap()));
}

/// Goal: what is released into a cell cannot be told from what a build would have left there.
#[test]
fn a_rung_in_a_cell_is_what_a_build_leaves_there() {
    for (number, (venue, side)) in (1..).zip(every_trade()) {
        let intent = Intent {
            id: number,
            ..on(venue, side)
        };
        let limit = match side {
            Side::Buy => intent.spend,
            Side::Sell => intent.receive_min,
        };
        let mut builder = builder(WireVersion::V0);
        let built = build(&mut builder, &intent).unwrap();
        let (held, wanted) = hold_rung(&mut builder, &intent, intent.tokens, limit);
        let mut cell = build(&mut builder, &buy(1_000)).unwrap();
        let released = builder.release_intent_into(&intent, held, &wanted, &mut cell);
        let (terms, _) = released.unwrap();
        assert_eq!(terms.blockhash, BLOCKHASH);
        assert_eq!(cell.count(), 1);
        let of = |cell: &BundleCell| {
            (
                (
                    cell.transaction(0).unwrap().to_vec(),
                    cell.message(0).unwrap().to_vec(),
                ),
                (
                    cell.intent_id,
                    cell.intent_id_of(0),
                    cell.trigger_at,
                    cell.slot,
                ),
                (cell.blockhash_slot, cell.tip, cell.lane, cell.signature),
            )
        };
        assert_eq!(of(&cell), of(&built), "{venue:?} {side:?}");
        let (held, wanted) = hold_rung(&mut builder, &intent, intent.tokens, limit);
        let refused = builder.release_intent_into(&intent, held, &wanted, &mut cell);
        assert_eq!(refused.unwrap_err().why, NoRung::Spent);
        assert_eq!(cell.count(), 0, "what lay there is not this intent's");
    }
}

/// A rung of `armed` over [`BLOCKHASH`], as the builder signs it ahead, and what would release it.
fn hold_rung(
    builder: &mut Builder,
    armed: &Intent,
    tokens: TokenAmount,
    quote_limit: Lamports,
) -> (crate::ladder::Held, Wanted) {
    use crate::ladder::{Blank, Grid, Intents, LadderCapacity};

    let draft = builder.draft(armed).unwrap();
    let capacity = LadderCapacity {
        sizes: 1,
        tips: 1,
        blockhashes: 1,
        transaction_len: 1_232,
    };
    let size = match armed.side {
        Side::Buy => tokens.0,
        Side::Sell => quote_limit.0,
    };
    let grid = Grid {
        sizes: &[size],
        tips: &[armed.tip.0],
        blockhashes: &[BLOCKHASH],
    };
    let ladder = builder
        .ladder_signer()
        .arm(
            Blank::new(capacity),
            armed.id,
            &grid,
            &draft.layout(),
            |rung, bytes| {
                draft.render(
                    tokens,
                    quote_limit,
                    Lamports(rung.tip),
                    &rung.blockhash,
                    bytes,
                )
            },
        )
        .unwrap();
    let mut held = Intents::default().hold(armed.id).unwrap();
    held.renew(ladder).unwrap();
    let wanted = Wanted {
        size_max: u64::MAX,
        size_min: 0,
        tip_min: 0,
        tip_max: u64::MAX,
        slot: Slot(100),
        blockhash_age_max: 150,
    };
    (held, wanted)
}

/// Through a gate of its own, which knows of no other intent.
fn approve(intent: Intent) -> Approved {
    let control = std::sync::Arc::new(risk::Control::new(risk::Mode::Active));
    let mut gate = risk::Gate::new(risk::Limits::default(), control).unwrap();
    gate.check(intent, Nanos(1)).unwrap()
}

/// Goal: an intent whose rung is out is not built a second time, with other bytes or through another right.
#[test]
fn an_intent_whose_rung_left_is_done() {
    let mut builder = builder(WireVersion::V0);
    let armed = buy(5);
    let approved = approve(armed);
    let (held, wanted) = hold_rung(&mut builder, &armed, armed.tokens, armed.spend);
    let (again, _) = hold_rung(&mut builder, &armed, armed.tokens, armed.spend);
    builder.release(&approved, held, &wanted).unwrap();
    let refused = builder.release(&approved, again, &wanted).unwrap_err();
    assert_eq!(refused.why, NoRung::Spent);
    let later = RecentBlockhash {
        hash: [0xbc; 32],
        slot: Slot(100),
    };
    let mut cell = BundleCell::new();
    assert_eq!(
        builder.build(&approved, &later, &mut cell),
        Err(BuildReject::Repeated)
    );
    assert_eq!(cell.count(), 0);
    builder.build(&approve(buy(6)), &later, &mut cell).unwrap();
    assert_eq!(
        builder.append(&approved, &later, &mut cell),
        Err(BuildReject::Repeated)
    );
    assert_eq!(cell.count(), 1);
}

/// Goal: one approval trades once per bundle: a newer blockhash makes other bytes of it, which would execute too.
#[test]
fn a_bundle_serves_an_intent_once() {
    let mut builder = builder(WireVersion::V0);
    let mut cell = build(&mut builder, &buy(1)).unwrap();
    let later = RecentBlockhash {
        hash: [0xbc; 32],
        slot: Slot(100),
    };
    assert_eq!(
        builder.append_intent(&buy(1), &later, &mut cell),
        Err(BuildReject::Repeated)
    );
    assert_eq!((cell.count(), cell.tip), (1, Lamports(10_000)));
}

/// Goal: a rung whose own slot guard has run out would only cost its fee, and the intent its one release.
#[test]
fn a_rung_past_its_slot_guard_stays() {
    let config = BuilderConfig {
        slot_guard_slots: Some(4),
        ..config(WireVersion::V0)
    };
    let mut builder = Builder::new(&config, signer()).unwrap();
    let armed = buy(5);
    let approved = approve(armed);
    let (held, wanted) = hold_rung(&mut builder, &armed, armed.tokens, armed.spend);
    let late = Wanted {
        slot: Slot(BLOCKHASH.slot.0 + 5),
        ..wanted
    };
    let refused = builder.release(&approved, held, &late).unwrap_err();
    assert_eq!(refused.why, NoRung::Blockhash);
    let timely = Wanted {
        slot: Slot(BLOCKHASH.slot.0 + 4),
        ..wanted
    };
    assert!(builder.release(&approved, refused.held, &timely).is_ok());
}

/// Goal: a rung leaves only if its bytes are the approved trade: no lower minimum, no other coin, side, lane or venue,
/// whatever number the ladder was given.
#[test]
fn a_rungs_bytes_are_held_to_what_was_approved() {
    let mut builder = builder(WireVersion::V0);
    let mut why = |armed: Intent, approved: Intent, tokens: u64, limit: u64| {
        let (held, wanted) = hold_rung(&mut builder, &armed, TokenAmount(tokens), Lamports(limit));
        builder
            .release_intent(&approved, held, &wanted)
            .err()
            .map(|refused| refused.why)
    };
    let sale = |id| Intent { id, ..sell(id) };
    // 1,000,000 tokens for 50,000,000 lamports at the most were approved.
    for (number, (tokens, limit, expected)) in (2_000..).zip([
        (1_000_000, 50_000_000, None),
        (999_999, 50_000_000, Some(NoRung::Terms)),
        (500_000, 25_000_000, None),
        (500_000, 25_000_001, Some(NoRung::Terms)),
        (2_000_000, 50_000_000, None),
        (2_000_000, 50_000_001, Some(NoRung::Terms)),
    ]) {
        let found = why(buy(number), buy(number), tokens, limit);
        assert_eq!(found, expected, "{tokens} for {limit}");
    }
    // 1,000,000 tokens for 40,000,000 lamports at the least were approved.
    assert_eq!(
        why(sale(1), sale(1), 1_000_000, 39_999_999),
        Some(NoRung::Terms)
    );
    assert_eq!(
        why(sale(2), sale(2), 500_000, 19_999_999),
        Some(NoRung::Terms)
    );
    assert_eq!(why(sale(3), sale(3), 500_000, 20_000_000), None);
    assert_eq!(why(sale(4), sale(4), 1_000_000, u64::MAX), None);
    let other_coin = Intent {
        mint: Mint([8; 32]),
        accounts: accounts([8; 32]).into(),
        ..buy(5)
    };
    assert_eq!(why(other_coin, buy(5), 1_000, 1_000), Some(NoRung::Terms));
    assert_eq!(why(sale(6), buy(6), 1_000, 1_000), Some(NoRung::Terms));
    let other_lane = Intent {
        lane: LaneClass::PriorityBundle,
        ..buy(7)
    };
    assert_eq!(why(other_lane, buy(7), 1_000, 1_000), Some(NoRung::Terms));
    let other_venue = Intent {
        venue: Venue::PumpV2,
        ..buy(8)
    };
    assert_eq!(why(other_venue, buy(8), 1_000, 1_000), Some(NoRung::Terms));
    for (number, (venue, side)) in (10..).zip(every_trade()) {
        for (offset, lane) in (0..).zip([
            LaneClass::PrivateBundle,
            LaneClass::PriorityBundle,
            LaneClass::PrivateTransaction,
        ]) {
            let armed = Intent {
                id: number * 10 + offset,
                lane,
                ..on(venue, side)
            };
            assert_eq!(
                why(armed, armed, 1_000, 50_000),
                None,
                "{venue:?} {side:?} {lane:?}"
            );
        }
    }
}

/// Goal: a floor that was raised after the rungs were signed holds for them too.
#[test]
fn a_rung_under_a_lower_floor_stays() {
    let config = BuilderConfig {
        wallet_floor: Some(Lamports(10)),
        ..config(WireVersion::V0)
    };
    let mut builder = Builder::new(&config, signer()).unwrap();
    let armed = buy(5);
    let (held, wanted) = hold_rung(&mut builder, &armed, armed.tokens, armed.spend);
    builder.set_wallet_floor(Lamports(11));
    let refused = builder.release_intent(&armed, held, &wanted).unwrap_err();
    assert_eq!(refused.why, NoRung::Terms);
    builder.set_wallet_floor(Lamports(9));
    assert!(
        builder
            .release_intent(&armed, refused.held, &wanted)
            .is_ok()
    );
}

/// Goal: a budget of nothing is found at the start, not by transactions that all fail.
#[test]
fn a_budget_of_nothing_stops_the_start() {
    for version in [WireVersion::V0, WireVersion::V1] {
        let base = config(version);
        let no_units = BuilderConfig {
            unit_limits: UnitLimits::none().with(Venue::LaunchLab, Side::Sell, 0),
            ..base.clone()
        };
        let no_data = BuilderConfig {
            exit_budget: ComputeBudget {
                loaded_accounts_data_size_limit: 0,
                ..base.exit_budget
            },
            ..base
        };
        for config in [no_units, no_data] {
            let refused = Builder::new(&config, signer()).unwrap_err();
            let BuilderError::Template { side, source, .. } = refused else {
                panic!("{refused}");
            };
            assert_eq!((side, source), (Side::Sell, CompileError::NoBudget));
        }
    }
}

/// Goal: a template's nonces are those that absorbed its own prefix: the armed way is taken and verifies.
#[cfg(feature = "armed-nonces")]
#[test]
fn an_armed_builder_signs_the_armed_way() {
    use crate::armed::{ArmError, SeededEntropy, SnapshotsExcluded};

    let config = config(WireVersion::V0);
    let mut prefixes = config.static_prefixes(signer().public_key()).unwrap();
    // Pools for the PumpSwap trades of a tipped bundle only; the rest signs the deterministic way.
    let mut builder = builder(WireVersion::V0);
    let armed = [Side::Buy, Side::Sell].map(|side| on(Venue::PumpSwap, side));
    let indices = armed.map(|intent| usize::from(builder.draft(&intent).unwrap().index.0));
    for (index, prefix) in prefixes.iter_mut().enumerate() {
        if !indices.contains(&index) {
            prefix.clear();
        }
    }
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
    while arming.poll().unwrap() != 0 {}
    let mut builder = Builder::with_signing(&config, signing).unwrap();
    for intent in armed.into_iter().chain([buy(3)]) {
        let cell = build(&mut builder, &intent).unwrap();
        assert!(is_signed(
            &TxnView::parse(cell.transaction(0).unwrap()).unwrap()
        ));
    }
    let counts = builder.signature_counts();
    assert_eq!(counts[Way::Armed as usize], 2);
    assert_eq!(counts[Way::Deterministic as usize], 1);
    assert_eq!(builder.signing_health(), Ok(()));
}

/// Goal: accounts that are taken for the same make the same transaction, and those that are not need not.
#[test]
fn accounts_that_count_as_the_same_make_the_same_transaction() {
    type Change = fn(&mut PumpAccounts);
    let changes: [Change; 15] = [
        |_| (),
        |of| of.mint = Mint([8; 32]),
        |of| of.bonding_curve = [81; 32],
        |of| of.associated_bonding_curve = [82; 32],
        |of| of.token_program = TOKEN_PROGRAM,
        |of| of.creator = [83; 32],
        |of| of.associated_quote_bonding_curve = Some([84; 32]),
        |of| of.creator_vault = Some([85; 32]),
        |of| of.associated_creator_vault = Some([86; 32]),
        |of| of.sharing_config = Some([87; 32]),
        |of| of.fee_recipient = Some([88; 32]),
        |of| of.buyback_fee_recipient = Some([89; 32]),
        // Shown by a trade since, and what was derived before.
        |of| {
            of.associated_quote_bonding_curve = pda::wrapped_sol_account(&of.bonding_curve);
        },
        |of| of.creator_vault = pda::creator_vault(&of.creator),
        |of| of.sharing_config = pda::sharing_config(&of.mint.0),
    ];
    for venue in [Venue::PumpV3, Venue::PumpV2] {
        for side in [Side::Buy, Side::Sell] {
            for (index, change) in changes.iter().enumerate() {
                let before = accounts([7; 32]);
                let mut after = before;
                change(&mut after);
                let of = |accounts: PumpAccounts| Intent {
                    venue,
                    mint: accounts.mint,
                    accounts: accounts.into(),
                    ..match side {
                        Side::Buy => buy(1),
                        Side::Sell => sell(1),
                    }
                };
                let draft = builder(WireVersion::V0).draft(&of(before)).unwrap();
                // Each by a builder that has not met the coin.
                let [one, other] = [before, after].map(|accounts| {
                    let cell = build(&mut builder(WireVersion::V0), &of(accounts)).unwrap();
                    cell.message(0).unwrap().to_vec()
                });
                let same = DraftNames::of(&of(before), Some(&draft)).serve(&of(after));
                assert_eq!(same, one == other, "{venue:?} {side:?} change {index}");
            }
        }
    }
}
