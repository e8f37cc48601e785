//! What a transaction asks of the market: its decoders on any transaction, and on instructions made to look like a
//! venue's or a router's.

use market::token::Watch;
use market::{Key, LookupTables, Program, TokenProgram, budget, decode, token};
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};

use super::{Corpus, Dice};

/// The interfaces of the venues, of which only the discriminators are of use here.
const TABLES: [&str; 10] = [
    include_str!("../../data/venues/pump.txt"),
    include_str!("../../data/venues/pump_amm.txt"),
    include_str!("../../data/venues/raydium_amm.txt"),
    include_str!("../../data/venues/raydium_cp.txt"),
    include_str!("../../data/venues/raydium_clmm.txt"),
    include_str!("../../data/venues/launchlab.txt"),
    include_str!("../../data/venues/whirlpool.txt"),
    include_str!("../../data/venues/dlmm.txt"),
    include_str!("../../data/venues/dbc.txt"),
    include_str!("../../data/venues/damm.txt"),
];
/// Jupiter's routes and the Pump app's, read big end first.
const ROUTES: [u64; 11] = [
    0xe517_cb97_7ae3_ad2a,
    0x9656_4774_a75d_0e68,
    0xd033_ef97_7b2b_ed5c,
    0xc120_9b33_41d6_9c81,
    0xe679_8f50_779f_6aaa,
    0xb0d1_69a8_9a7d_453e,
    0xbb64_facc_31c4_af14,
    0x9d8a_b852_15f4_f324,
    0xd198_5393_7cfe_d8e9,
    0x3560_e5ca_d8bb_fa18,
    0x3c5e_474a_239d_a749,
];

/// Every decoder on one transaction, with a table known or not: they end, and count what they hand out.
pub(super) fn read(dice: &mut Dice, view: &TxnView<'_>) {
    let keys = view.keys();
    let tables = match view.lookups().next() {
        Some(lookup) if dice.chance(50) => {
            let known = &keys[..dice.below(keys.len() + 1)];
            LookupTables::new([(*lookup.table, known)])
        }
        _ => LookupTables::none(),
    };
    let mut event_count = 0;
    let decoded = decode(view, &tables, Slot(1), Nanos(1), &mut |event| {
        assert_eq!(event.slot(), Slot(1));
        event_count += 1;
    });
    assert_eq!(decoded.event_count, event_count);

    let (mut owners, mut tips) = (keys.to_vec(), keys[..keys.len() / 2].to_vec());
    let watch = Watch::new(&mut owners, &mut tips);
    let mut event_count = 0;
    let decoded = token::decode(view, &tables, &watch, &mut |_| event_count += 1);
    assert_eq!(decoded.event_count, event_count);
    if let Ok(budget) = budget::of(view) {
        let _ = budget.priority_fee();
    }
}

/// An instruction of a program we read: a discriminator of its own or of another, accounts among which are venues.
pub(super) fn venue(dice: &mut Dice, _corpus: &Corpus) {
    let programs: Vec<Key> = Program::ALL
        .iter()
        .map(|program| *program.id())
        .chain([*TokenProgram::Spl.id(), *TokenProgram::Token2022.id()])
        .chain([[0; 32], budget::PROGRAM])
        .collect();
    let which = dice.below(programs.len());
    let mut data = discriminator(dice, which);
    data.extend((0..dice.below(160)).map(|_| *dice.pick(&[0, 0, 1, 7, 17, 72, 100, 111, 255])));
    for _ in 0..dice.below(6) {
        let at = dice.below(data.len());
        if let Some(byte) = data.get_mut(at) {
            *byte = dice.next() as u8;
        }
    }

    // The payer, the program, then venues and anyone.
    let mut keys = vec![key(dice), programs[which]];
    for program in &programs {
        if dice.chance(40) && !keys.contains(program) {
            keys.push(*program);
        }
    }
    keys.extend((0..1 + dice.below(64 - keys.len())).map(|_| key(dice)));
    let accounts: Vec<u8> = (0..dice.below(90))
        .map(|_| dice.below(keys.len()) as u8)
        .collect();

    let mut bytes = vec![0x81, 1, 0, 1, 0, 0, 0, 0];
    bytes.extend([9; 32]);
    bytes.extend([1, keys.len() as u8]);
    keys.iter().for_each(|key| bytes.extend(key));
    bytes.extend([1, accounts.len() as u8]);
    bytes.extend((data.len() as u16).to_le_bytes());
    bytes.extend(accounts);
    bytes.extend(data);
    bytes.extend([7; 64]);
    read(dice, &TxnView::parse(&bytes).unwrap());
}

fn key(dice: &mut Dice) -> Key {
    std::array::from_fn(|_| dice.next() as u8)
}

fn discriminator(dice: &mut Dice, which: usize) -> Vec<u8> {
    let table = match TABLES.get(which) {
        Some(own) if dice.chance(90) => own,
        None if dice.chance(60) => return dice.pick(&ROUTES).to_be_bytes().to_vec(),
        None if dice.chance(50) => return vec![dice.next() as u8],
        _ => dice.pick(&TABLES),
    };
    let all: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("instruction ") || line.starts_with("other "))
        .filter_map(|line| line.split(' ').nth(2))
        .collect();
    let hex = dice.pick(&all);
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}
