//! Goal: mints, token accounts and the token programs' instructions read as their publisher's crates read them.
//! Method: bytes those crates wrote and read back (`golden/token.txt`), then cut, lengthened and scrambled.

use crate::common::{Instruction, transaction};
use market::account::AccountReject;
use market::token::{Danger, Extension, FeeConfig, Role, Watch, decode};
use market::{
    Budget, BudgetReject, DecodeReject, Decoded, Key, Lamports, LookupTables, MintAccount,
    TokenAccount, TokenEvent, TokenProgram, TransferFee, budget,
};
use proptest::prelude::*;
use shred_wire::txn::TxnView;

const GOLDEN: &str = include_str!("../golden/token.txt");

const MINT: Key = [1; 32];
const AUTHORITY: Key = [2; 32];
const NEW: Key = [3; 32];
const SOURCE: Key = [4; 32];
const DESTINATION: Key = [5; 32];
const FREEZE: Key = [6; 32];
const HOOK: Key = [7; 32];

fn lines(kind: &str) -> Vec<Vec<&'static str>> {
    GOLDEN
        .lines()
        .filter(|line| line.split(' ').next() == Some(kind))
        .map(|line| line.split(' ').collect())
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn key(hex: &str) -> Key {
    bytes(hex).try_into().unwrap()
}

fn option(hex: &str) -> Option<Key> {
    (hex != "-").then(|| key(hex))
}

fn program(name: &str) -> TokenProgram {
    match name {
        "spl" => TokenProgram::Spl,
        _ => TokenProgram::Token2022,
    }
}

fn fee(bps: &str, fee_max: &str) -> TransferFee {
    TransferFee {
        bps: bps.parse().unwrap(),
        fee_max: fee_max.parse().unwrap(),
    }
}

fn expected_mint(cells: &[&str]) -> MintAccount {
    MintAccount {
        mint_authority: option(cells[3]),
        freeze_authority: option(cells[4]),
        supply: cells[5].parse().unwrap(),
        decimals: cells[6].parse().unwrap(),
        fee: (cells[7] != "-").then(|| {
            let parts: Vec<&str> = cells[7].split(',').collect();
            FeeConfig {
                authority: option(parts[0]),
                older: fee(parts[1], parts[2]),
                newer: fee(parts[3], parts[4]),
                epoch: parts[5].parse().unwrap(),
            }
        }),
        hook_program: option(cells[8]),
        hook_authority: option(cells[9]),
        permanent_delegate: option(cells[10]),
        close_authority: option(cells[11]),
        pause_authority: option(cells[12]),
        is_paused: cells[13] == "1",
        is_frozen_by_default: cells[14] == "1",
        is_non_transferable: cells[15] == "1",
        unknown_extension: None,
    }
}

#[test]
fn mints_read_as_their_publisher_reads_them() {
    let all = lines("mint");
    assert!(all.len() >= 50);
    let mut fees = 0;
    for cells in &all {
        let data = bytes(cells[2]);
        let mint = MintAccount::parse(&data, program(cells[1])).unwrap();
        assert_eq!(mint, expected_mint(cells), "{}", cells[2]);
        for case in cells[16].split(',').filter(|case| *case != "-") {
            let parts: Vec<&str> = case.split(':').collect();
            let amount = parts[1].parse().unwrap();
            let rate = mint.transfer_fee(parts[0].parse().unwrap());
            assert_eq!(rate.of(amount).to_string(), parts[2], "{case}");
            let before = rate.before(amount).map_or("-".into(), |it| it.to_string());
            assert_eq!(before, parts[3], "{case} {rate:?}");
            fees += 1;
        }
    }
    assert!(fees >= 40);
}

#[test]
fn token_accounts_read_as_their_publisher_reads_them() {
    let all = lines("account");
    assert!(all.len() >= 30);
    for cells in &all {
        let account = TokenAccount::parse(&bytes(cells[2]), program(cells[1])).unwrap();
        let expected = TokenAccount {
            mint: key(cells[3]),
            owner: key(cells[4]),
            amount: cells[5].parse().unwrap(),
            delegate: option(cells[6]),
            delegated_amount: cells[7].parse().unwrap(),
            is_frozen: cells[8] == "1",
            native_rent: (cells[9] != "-").then(|| cells[9].parse().unwrap()),
            close_authority: option(cells[10]),
            needs_memo: cells[11] == "1",
            is_cpi_guarded: cells[12] == "1",
            unknown_extension: None,
        };
        assert_eq!(account, expected, "{}", cells[2]);
    }
}

/// A mint is no token account, a token account no mint, and neither belongs to the other program with extensions.
#[test]
fn one_kind_is_not_taken_for_the_other() {
    for cells in &lines("mint") {
        let data = bytes(cells[2]);
        assert!(TokenAccount::parse(&data, program(cells[1])).is_err());
        if data.len() > 82 {
            let other = MintAccount::parse(&data, TokenProgram::Spl);
            assert_eq!(other, Err(AccountReject::OtherKind));
        }
    }
    for cells in &lines("account") {
        let data = bytes(cells[2]);
        assert!(MintAccount::parse(&data, program(cells[1])).is_err());
    }
    assert_eq!(
        MintAccount::parse(&[0; 82], TokenProgram::Spl),
        Err(AccountReject::OtherKind)
    );
    assert_eq!(
        TokenAccount::parse(&[0; 165], TokenProgram::Spl),
        Err(AccountReject::OtherKind)
    );
    assert_eq!(
        TokenAccount::parse(&[0; 164], TokenProgram::Spl),
        Err(AccountReject::Short)
    );
}

/// A mint of Token-2022 with `extensions` after its fixed part.
fn mint_with(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut data = vec![0; 165];
    data[45] = 1;
    data.push(1);
    for (kind, value) in extensions {
        data.extend(kind.to_le_bytes());
        data.extend((value.len() as u16).to_le_bytes());
        data.extend(*value);
    }
    data
}

#[test]
fn what_is_not_understood_is_told() {
    let parse = |data: &[u8]| MintAccount::parse(data, TokenProgram::Token2022);
    for kind in [2u16, 29, 30, 1_000, u16::MAX] {
        let mint = parse(&mint_with(&[(18, &[0; 64]), (kind, &[1, 2, 3])])).unwrap();
        assert_eq!(mint.unknown_extension, Some(kind));
        assert_eq!(mint.dangers().forbidding(), Some(Danger::UnknownExtension));
    }
    // Known ones of a length they never have, values no program writes, extensions that end too late.
    for (kind, len) in [
        (1, 107),
        (3, 31),
        (6, 2),
        (9, 1),
        (12, 33),
        (14, 32),
        (26, 32),
    ] {
        let data = mint_with(&[(kind, &vec![0; len])]);
        assert_eq!(parse(&data), Err(AccountReject::BadField), "{kind}");
    }
    let mut paused = [0; 33];
    paused[32] = 2;
    assert_eq!(
        parse(&mint_with(&[(26, &paused)])),
        Err(AccountReject::BadField)
    );
    let mut dear = [0; 108];
    dear[106..].copy_from_slice(&10_001u16.to_le_bytes());
    assert_eq!(
        parse(&mint_with(&[(1, &dear)])),
        Err(AccountReject::BadField)
    );
    let mut cut = mint_with(&[(14, &[0; 64])]);
    cut.pop();
    assert_eq!(parse(&cut), Err(AccountReject::Short));
    let mut tail = mint_with(&[(9, &[])]);
    tail.extend([18, 0, 1]);
    assert_eq!(parse(&tail), Err(AccountReject::Short));
    // Nothing follows a type of zero, and a lone byte is none.
    let mut padded = mint_with(&[(9, &[])]);
    padded.extend([0, 0, 99]);
    assert!(parse(&padded).unwrap().is_non_transferable);
    let mut lone = mint_with(&[]);
    lone.push(9);
    assert!(parse(&lone).is_ok());
    let mut dirty = mint_with(&[]);
    dirty[100] = 1;
    assert_eq!(parse(&dirty), Err(AccountReject::OtherKind));
}

#[test]
fn dangers_are_named() {
    let mut hook = [0; 64];
    hook[32] = 1;
    let mut delegate = [0; 32];
    delegate[5] = 9;
    let data = mint_with(&[(14, &hook), (12, &delegate), (6, &[2])]);
    let mint = MintAccount::parse(&data, TokenProgram::Token2022).unwrap();
    let found: Vec<Danger> = mint.dangers().iter().collect();
    let expected = [
        Danger::TransferHook,
        Danger::FrozenByDefault,
        Danger::PermanentDelegate,
    ];
    assert_eq!(found, expected);
    assert_eq!(mint.dangers().forbidding(), Some(Danger::TransferHook));
    // A plain coin with a delegate may be traded, and who trades it knows.
    let data = mint_with(&[(12, &delegate)]);
    let mint = MintAccount::parse(&data, TokenProgram::Token2022).unwrap();
    assert_eq!(mint.dangers().forbidding(), None);
    assert!(mint.dangers().has(Danger::PermanentDelegate));
    assert_eq!(Danger::names().len(), Danger::ALL.len());
}

fn instruction(name: &str) -> Instruction {
    let all = lines("instruction");
    let cells = all.iter().find(|cells| cells[1] == name).unwrap();
    Instruction {
        program: key(cells[2]),
        data: bytes(cells[3]),
        accounts: cells[4]
            .split(',')
            .map(|cell| {
                let (address, flags) = cell.split_at(64);
                (key(address), flags.contains('s'), flags.contains('w'))
            })
            .collect(),
    }
}

/// `instructions` after one of a program that is not read, which the payer signs.
fn paid(instructions: &[Instruction], looked_up: impl Fn(&Key) -> bool) -> Vec<u8> {
    let payer = Instruction {
        program: [0xef; 32],
        data: Vec::new(),
        accounts: vec![([0xee; 32], true, true)],
    };
    let all: Vec<Instruction> = [payer].into_iter().chain(instructions.to_vec()).collect();
    transaction(&all, looked_up)
}

fn events_of(bytes: &[u8], tables: &LookupTables) -> (Vec<TokenEvent>, Decoded) {
    let (mut owners, mut tips) = ([[9; 32], AUTHORITY], [DESTINATION]);
    let watch = Watch::new(&mut owners, &mut tips);
    let view = TxnView::parse(bytes).unwrap();
    let mut events = Vec::new();
    let decoded = decode(&view, tables, &watch, &mut |event| events.push(event));
    assert_eq!(decoded.event_count as usize, events.len());
    (events, decoded)
}

fn read(name: &str) -> Vec<TokenEvent> {
    let bytes = paid(&[instruction(name)], |_| false);
    let (events, decoded) = events_of(&bytes, &LookupTables::none());
    assert_eq!(decoded.rejected, [0; DecodeReject::COUNT], "{name}");
    events
}

fn extended(extension: Extension) -> TokenEvent {
    TokenEvent::Extended {
        mint: Some(MINT),
        extension,
    }
}

fn authority(account: Key, role: Role, to: Option<Key>) -> TokenEvent {
    TokenEvent::Authority {
        account: Some(account),
        role,
        to,
        by: Some(AUTHORITY),
    }
}

#[test]
fn mints_and_authorities_read_back() {
    let made = |program, decimals, freeze_authority| TokenEvent::Mint {
        mint: Some(MINT),
        program,
        decimals,
        mint_authority: AUTHORITY,
        freeze_authority,
    };
    assert_eq!(read("mint_1"), [made(TokenProgram::Spl, 6, Some(FREEZE))]);
    assert_eq!(read("mint_2"), [made(TokenProgram::Spl, 9, None)]);
    assert_eq!(
        read("mint_3"),
        [made(TokenProgram::Token2022, 6, Some(FREEZE))]
    );
    for (name, account, role, to) in [
        ("revoke_mint", MINT, Role::MintTokens, None),
        ("move_freeze", MINT, Role::Freeze, Some(NEW)),
        ("move_owner", SOURCE, Role::Owner, Some(NEW)),
        ("move_pause", MINT, Role::Pause, Some(NEW)),
        ("move_hook", MINT, Role::TransferHook, None),
        ("move_fee", MINT, Role::TransferFee, None),
        ("move_delegate", MINT, Role::PermanentDelegate, None),
    ] {
        assert_eq!(read(name), [authority(account, role, to)], "{name}");
    }
    for name in ["minted", "minted_checked"] {
        let minted = TokenEvent::Minted {
            mint: Some(MINT),
            to: Some(DESTINATION),
            amount: 77,
        };
        assert_eq!(read(name), [minted], "{name}");
    }
    for (name, is_frozen) in [("freeze", true), ("thaw", false)] {
        let frozen = TokenEvent::Frozen {
            account: Some(SOURCE),
            mint: Some(MINT),
            is_frozen,
        };
        assert_eq!(read(name), [frozen], "{name}");
    }
}

#[test]
fn extensions_that_change_how_a_coin_moves_read_back() {
    let rate = |bps, fee_max| Extension::TransferFee(TransferFee { bps, fee_max });
    for (name, extension) in [
        ("fee", rate(250, 1000)),
        ("fee_none", rate(250, 1000)),
        ("fee_set", rate(9999, 5)),
        ("hook", Extension::TransferHook(Some(HOOK))),
        ("hook_none", Extension::TransferHook(None)),
        ("hook_set", Extension::TransferHook(Some(HOOK))),
        ("delegate", Extension::PermanentDelegate(AUTHORITY)),
        ("frozen_default", Extension::FrozenByDefault(true)),
        ("thawed_default", Extension::FrozenByDefault(false)),
        ("pausable", Extension::Pausable(AUTHORITY)),
        ("non_transferable", Extension::NonTransferable),
        ("closable", Extension::MayBeClosed(Some(AUTHORITY))),
        ("permissioned_burn", Extension::PermissionedBurn),
    ] {
        assert_eq!(read(name), [extended(extension)], "{name}");
    }
    for (name, is_paused) in [("pause", true), ("resume", false)] {
        let paused = TokenEvent::Paused {
            mint: Some(MINT),
            is_paused,
        };
        assert_eq!(read(name), [paused], "{name}");
    }
}

#[test]
fn transfers_of_watched_owners_and_tips_read_back() {
    let sent = |mint| TokenEvent::Sent {
        owner: AUTHORITY,
        from: Some(SOURCE),
        to: Some(DESTINATION),
        mint,
        amount: 99,
    };
    assert_eq!(read("sent"), [sent(None)]);
    assert_eq!(read("sent_checked"), [sent(Some(MINT))]);
    assert_eq!(read("sent_with_fee"), [sent(Some(MINT))]);
    let amount = Lamports(1234);
    let (tip, sol) = (
        TokenEvent::Tip {
            from: Some(AUTHORITY),
            to: DESTINATION,
            amount,
        },
        TokenEvent::SentSol {
            owner: AUTHORITY,
            to: Some(DESTINATION),
            amount,
        },
    );
    assert_eq!(read("sol"), [tip, sol]);
    assert_eq!(read("sol_with_seed"), [tip, sol]);
    let revoked = authority(MINT, Role::MintTokens, None);
    assert_eq!(read("batch"), [sent(None), revoked]);
    for name in [
        "quiet_approve",
        "quiet_account",
        "quiet_burn",
        "quiet_sync",
        "quiet_create",
    ] {
        assert_eq!(read(name), [], "{name}");
    }
    // Nobody is watched: only what concerns a coin is left.
    let all = ["sent", "sol", "revoke_mint"].map(instruction);
    let bytes = paid(&all, |_| false);
    let view = TxnView::parse(&bytes).unwrap();
    let mut events = Vec::new();
    decode(&view, &LookupTables::none(), &Watch::NOBODY, &mut |event| {
        events.push(event)
    });
    assert_eq!(events, [revoked]);
}

#[test]
fn hidden_accounts_are_absent_and_known_tables_show_them() {
    let bytes = paid(&[instruction("sent_checked")], |key| *key != AUTHORITY);
    let behind = |order: &[Key]| LookupTables::new([([0xcc; 32], order)]);
    let sent = |from, to, mint| TokenEvent::Sent {
        owner: AUTHORITY,
        from,
        to,
        mint,
        amount: 99,
    };
    let (events, _) = events_of(&bytes, &LookupTables::none());
    assert_eq!(events, [sent(None, None, None)]);
    // The writable ones come first: source, destination, then the mint.
    let (events, _) = events_of(&bytes, &behind(&[SOURCE, DESTINATION, MINT]));
    assert_eq!(events, [sent(Some(SOURCE), Some(DESTINATION), Some(MINT))]);
    let (events, _) = events_of(&bytes, &behind(&[SOURCE]));
    assert_eq!(events, [sent(Some(SOURCE), None, None)]);
}

#[test]
fn what_no_token_program_takes_is_counted() {
    let counted = |program: TokenProgram, data: Vec<u8>, accounts: usize| {
        let instruction = Instruction {
            program: *program.id(),
            data,
            accounts: [(AUTHORITY, true, true), (MINT, false, true)]
                .into_iter()
                .cycle()
                .take(accounts.max(1))
                .collect(),
        };
        let bytes = transaction(&[instruction], |_| false);
        let (events, decoded) = events_of(&bytes, &LookupTables::none());
        let rejected_count = decoded.rejected.iter().sum::<u32>();
        assert!(events.len() + rejected_count as usize <= 1);
        decoded.rejected
    };
    let only = |reason: DecodeReject| {
        let mut rejected = [0; DecodeReject::COUNT];
        rejected[reason as usize] = 1;
        rejected
    };
    use DecodeReject::{BadArgument, MissingAccounts, OtherInstruction, ShortData};
    let (spl, new) = (TokenProgram::Spl, TokenProgram::Token2022);
    assert_eq!(counted(spl, vec![], 1), only(ShortData));
    assert_eq!(counted(spl, vec![3, 1], 3), only(ShortData));
    assert_eq!(counted(spl, vec![3; 9], 2), only(MissingAccounts));
    assert_eq!(counted(spl, vec![6, 0, 2], 2), only(BadArgument));
    assert_eq!(counted(new, vec![44, 3], 2), only(BadArgument));
    assert_eq!(counted(new, vec![28, 0, 3], 2), only(BadArgument));
    // A batch that is cut, that wants more accounts than there are, that holds a batch.
    assert_eq!(counted(spl, vec![255, 1], 1), only(ShortData));
    assert_eq!(counted(spl, vec![255, 1, 9, 3], 1), only(ShortData));
    assert_eq!(counted(spl, vec![255, 9, 0], 1), only(MissingAccounts));
    assert_eq!(
        counted(spl, vec![255, 0, 1, 255], 1),
        only(OtherInstruction)
    );
    for tag in 0..=u8::MAX {
        let known_to_both = tag <= 24 || [38, 45, 255].contains(&tag);
        let rejected = counted(spl, vec![tag], 9);
        let is_other = rejected == only(OtherInstruction);
        assert_eq!(is_other, !known_to_both, "{tag}");
        let is_other = counted(new, vec![tag], 9) == only(OtherInstruction);
        assert_eq!(is_other, (47..255).contains(&tag), "{tag}");
    }
}

fn of_budget(parts: &[&[u8]]) -> Result<Budget, BudgetReject> {
    let instructions: Vec<Instruction> = parts
        .iter()
        .map(|data| Instruction {
            program: budget::PROGRAM,
            data: data.to_vec(),
            accounts: vec![(AUTHORITY, true, true)],
        })
        .collect();
    let bytes = transaction(&instructions, |_| false);
    budget::of(&TxnView::parse(&bytes).unwrap())
}

#[test]
fn a_budget_is_read_from_its_instructions() {
    let limit = [&[2][..], &200_000u32.to_le_bytes()].concat();
    let price = [&[3][..], &50_001u64.to_le_bytes()].concat();
    let loaded = [&[4][..], &65_536u32.to_le_bytes()].concat();
    let heap = [&[1][..], &(64 * 1024u32).to_le_bytes()].concat();
    let budget = of_budget(&[&limit, &price, &loaded, &heap]).unwrap();
    let expected = Budget {
        unit_limit: Some(200_000),
        unit_price_micro: Some(50_001),
        fee: None,
        loaded_len_max: Some(65_536),
        heap_len: Some(64 * 1024),
    };
    assert_eq!(budget, expected);
    // 200,000 units at 50,001 millionths are 10,000.2 lamports.
    assert_eq!(budget.priority_fee(), Some(Lamports(10_001)));
    assert_eq!(
        of_budget(&[&limit]).unwrap().priority_fee(),
        Some(Lamports(0))
    );
    assert_eq!(of_budget(&[&price]).unwrap().priority_fee(), None);
    let most = [&[2][..], &u32::MAX.to_le_bytes()].concat();
    let fee = of_budget(&[&most, &price]).unwrap().priority_fee();
    assert_eq!(fee, Some(Lamports(70_002)));
    assert_eq!(of_budget(&[&limit, &limit]), Err(BudgetReject::Twice));
    assert_eq!(of_budget(&[&[]]), Err(BudgetReject::BadInstruction));
    assert_eq!(
        of_budget(&[&[0, 0, 0, 0, 0]]),
        Err(BudgetReject::BadInstruction)
    );
    assert_eq!(of_budget(&[&limit[..4]]), Err(BudgetReject::BadInstruction));
    assert_eq!(of_budget(&[&price[..8]]), Err(BudgetReject::BadInstruction));
    assert_eq!(of_budget(&[&[4, 0, 0, 0, 0]]), Err(BudgetReject::BadValue));
    for len in [0, 31 * 1024, 257 * 1024, 64 * 1024 + 1] {
        let heap = [&[1][..], &u32::to_le_bytes(len)].concat();
        assert_eq!(of_budget(&[&heap]), Err(BudgetReject::BadValue), "{len}");
    }
}

/// A v1 transaction of one signer and one compute-budget instruction, which does nothing there.
fn v1(mask: u32, values: &[u8]) -> Vec<u8> {
    let mut out = vec![0x81, 1, 0, 1];
    out.extend(mask.to_le_bytes());
    out.extend([0xbb; 32]);
    out.extend([1, 2]);
    out.extend(AUTHORITY);
    out.extend(budget::PROGRAM);
    out.extend(values);
    out.extend([1, 0, 5, 0]);
    out.extend([2, 1, 2, 3, 4]);
    out.extend([0xa0; 64]);
    out
}

#[test]
fn a_v1_transaction_names_its_budget_in_its_header() {
    let values = [
        &7_000u64.to_le_bytes()[..],
        &90_000u32.to_le_bytes(),
        &65_536u32.to_le_bytes(),
        &(64 * 1024u32).to_le_bytes(),
    ]
    .concat();
    let of = |bytes: &[u8]| budget::of(&TxnView::parse(bytes).unwrap()).unwrap();
    let full = of(&v1(0b1_1111, &values));
    let expected = Budget {
        unit_limit: Some(90_000),
        unit_price_micro: None,
        fee: Some(Lamports(7_000)),
        loaded_len_max: Some(65_536),
        heap_len: Some(64 * 1024),
    };
    assert_eq!(full, expected);
    assert_eq!(full.priority_fee(), Some(Lamports(7_000)));
    // What is not named is nothing, and the instruction is not read.
    let bare = of(&v1(0, &[]));
    assert_eq!((bare.unit_limit, bare.loaded_len_max), (Some(0), Some(0)));
    assert_eq!(bare.priority_fee(), Some(Lamports(0)));
}

proptest! {
    #[test]
    fn scrambled_accounts_never_panic(
        which in 0usize..60,
        changes in prop::collection::vec((0usize..700, any::<u8>()), 0..8),
        cut in 0usize..700,
    ) {
        let all = lines("mint");
        let mut data = bytes(all[which % all.len()][2]);
        for (at, to) in changes {
            if let Some(byte) = data.get_mut(at) {
                *byte = to;
            }
        }
        data.truncate(cut);
        for program in [TokenProgram::Spl, TokenProgram::Token2022] {
            if let Ok(mint) = MintAccount::parse(&data, program) {
                let _ = (mint.dangers().forbidding(), mint.transfer_fee(5).of(u64::MAX));
            }
            let _ = TokenAccount::parse(&data, program);
        }
    }

    #[test]
    fn scrambled_instructions_never_panic(
        which in 0usize..40,
        changes in prop::collection::vec((0usize..80, any::<u8>()), 0..4),
        cut in 0usize..120,
        keep in 0usize..8,
    ) {
        let all = lines("instruction");
        let mut instruction = instruction(all[which % all.len()][1]);
        for (at, to) in changes {
            if let Some(byte) = instruction.data.get_mut(at) {
                *byte = to;
            }
        }
        instruction.data.truncate(cut);
        instruction.accounts.truncate(keep);
        instruction.accounts.push((AUTHORITY, true, true));
        let bytes = transaction(&[instruction], |_| false);
        events_of(&bytes, &LookupTables::none());
    }
}
