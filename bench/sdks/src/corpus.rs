//! Transactions to decode, as bytes.

use bench::reassembly::Reassembler;
use bench::traffic::Stream;
use bench::usual;
use demo::Datagrams;
use market::{Key, Program, raydium_amm, raydium_clmm, raydium_cp, whirlpool};

use crate::coin::Keys;
use crate::decode;

/// How `market`'s own tests read instructions that the venues' official packages built, and put a transaction around
/// them.
#[path = "../../../executor/market/tests/common/mod.rs"]
mod official;

use official::Instruction;

/// PumpSwap's, by package pump-rust-client 0.5.0.
const PUMP_AMM: &str =
    include_str!("../../../executor/market/tests/golden/pump_amm_instructions.txt");

/// Transactions of one kind.
pub(crate) struct Corpus {
    /// Which kind.
    pub(crate) name: &'static str,
    /// Each of them whole.
    pub(crate) transactions: Vec<Vec<u8>>,
}

const SEED: u64 = 29;
/// Four launches a slot.
const LAUNCHES_PER_10K_SLOTS: u64 = 40_000;

/// Every kind. `launches` and `trades` are generated traffic's with an event, legacy, v0 and v1, some behind lookup
/// tables; `background` is the same traffic's without. The others are single trades as routers and wallets send them:
/// compute budget, token account, trade, tip.
pub(crate) fn all() -> Vec<Corpus> {
    let mut corpora = generated();
    corpora.push(pump());
    corpora.push(pump_swap());
    corpora.push(pools());
    corpora
}

/// Of each kind so many at most: what fits the second cache, where fresh bytes are.
const COUNT_MAX: usize = 512;

fn generated() -> Vec<Corpus> {
    let mut stream = Stream::new(SEED, LAUNCHES_PER_10K_SLOTS);
    let leaders = stream.leaders(200);
    let mut datagrams = Datagrams::new();
    stream.fill(60_000, &mut datagrams);
    let mut reassembler = Reassembler::new(Some(&leaders));
    let [mut launches, mut trades, mut background] = [const { Vec::new() }; 3];
    for datagram in datagrams.iter() {
        reassembler.handle(datagram, |_, batch| {
            for entry in usual::entries(batch) {
                for transaction in &entry.transactions {
                    let bytes = wincode::serialize(transaction).expect("it was just read");
                    let events = decode::ours(&bytes);
                    let launched = |event: &market::MarketEvent| {
                        matches!(event, market::MarketEvent::Launch(_))
                    };
                    let kind = match events.as_slice() {
                        [] => &mut background,
                        some if some.iter().any(launched) => &mut launches,
                        _ => &mut trades,
                    };
                    if kind.len() < COUNT_MAX {
                        kind.push(bytes);
                    }
                }
            }
        });
    }
    [
        ("launches", launches),
        ("trades", trades),
        ("background", background),
    ]
    .map(|(name, transactions)| Corpus { name, transactions })
    .into()
}

/// One instruction of Pump's own kinds each, v1 to v3.
fn pump() -> Corpus {
    let names = [
        "create",
        "create_v2",
        "buy",
        "sell",
        "buy_v2",
        "buy_exact_quote_in_v2",
        "sell_v2",
        "buy_v3",
        "buy_exact_quote_in_v3",
        "sell_v3",
    ];
    let transactions = names.map(|name| wrapped(official::instruction(name)));
    Corpus {
        name: "pump",
        transactions: repeated(transactions.into()),
    }
}

fn pump_swap() -> Corpus {
    let names = ["buy", "sell", "buy_v2", "buy_exact_quote_in_v2", "sell_v2"];
    let transactions = names.map(|name| wrapped(official::instruction_in(PUMP_AMM, name)));
    Corpus {
        name: "pump_swap",
        transactions: repeated(transactions.into()),
    }
}

/// Swaps of Raydium's and Orca's pools: discriminator, arguments, accounts.
fn pools() -> Corpus {
    let mut keys = Keys::new(7);
    let discriminated = |discriminator: u64| discriminator.to_le_bytes().to_vec();
    let mut transactions = Vec::new();
    let mut push =
        |program: Program, mut data: Vec<u8>, rest: &[u8], accounts: usize, signer: usize| {
            for _ in 0..2 {
                data.extend((keys.number() >> 24).to_le_bytes());
            }
            data.extend(rest);
            let accounts = (0..accounts).map(|place| (keys.key(), place == signer, true));
            transactions.push(wrapped(Instruction {
                program: *program.id(),
                data,
                accounts: accounts.collect(),
            }));
        };
    for tag in [
        raydium_amm::tag::SWAP_BASE_IN_V2,
        raydium_amm::tag::SWAP_BASE_OUT_V2,
    ] {
        push(Program::RaydiumAmm, vec![tag], &[], 8, 7);
    }
    for tag in [
        raydium_amm::tag::SWAP_BASE_IN,
        raydium_amm::tag::SWAP_BASE_OUT,
    ] {
        push(Program::RaydiumAmm, vec![tag], &[], 17, 16);
    }
    for swap in [
        raydium_cp::discriminator::SWAP_BASE_INPUT,
        raydium_cp::discriminator::SWAP_BASE_OUTPUT,
    ] {
        push(Program::RaydiumCp, discriminated(swap), &[], 13, 0);
    }
    // Price limit, exact in.
    let ends = [[0; 16].as_slice(), &[1]].concat();
    for swap in [
        raydium_clmm::discriminator::SWAP,
        raydium_clmm::discriminator::SWAP_V2,
    ] {
        push(Program::RaydiumClmm, discriminated(swap), &ends, 14, 0);
    }
    // Price limit, exact in, a to b; and no remaining accounts.
    let ends = [[0; 16].as_slice(), &[1, 1]].concat();
    push(
        Program::Whirlpool,
        discriminated(whirlpool::discriminator::SWAP),
        &ends,
        11,
        1,
    );
    let ends = [ends.as_slice(), &[0]].concat();
    push(
        Program::Whirlpool,
        discriminated(whirlpool::discriminator::SWAP_V2),
        &ends,
        15,
        3,
    );
    Corpus {
        name: "pools",
        transactions: repeated(transactions),
    }
}

/// A few kinds again and again, so that slices are full.
fn repeated(kinds: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    kinds
        .iter()
        .cycle()
        .take(kinds.len() * 16)
        .cloned()
        .collect()
}

/// A transaction as it is sent: compute budget, a token account, the trade, a tip.
fn wrapped(trade: Instruction) -> Vec<u8> {
    let user = trade
        .accounts
        .iter()
        .find(|(_, signer, _)| *signer)
        .map_or([9; 32], |(key, ..)| *key);
    let at = |place: usize| trade.accounts.get(place).map_or([8; 32], |(key, ..)| *key);
    let budget = |data: &[u8]| Instruction {
        program: bundle::address::COMPUTE_BUDGET_PROGRAM,
        data: data.to_vec(),
        accounts: Vec::new(),
    };
    let plain = |key: Key| (key, false, false);
    let create = Instruction {
        program: bundle::address::ASSOCIATED_TOKEN_PROGRAM,
        data: vec![1],
        accounts: vec![
            (user, true, true),
            (at(5), false, true),
            plain(user),
            plain(at(1)),
            plain([0; 32]),
            plain(bundle::address::TOKEN_PROGRAM),
        ],
    };
    let tip = Instruction {
        program: [0; 32],
        data: [2_u32.to_le_bytes().as_slice(), &100_000_u64.to_le_bytes()].concat(),
        accounts: vec![
            (user, true, true),
            (bundle::address::JITO_TIP_ACCOUNTS[0], false, true),
        ],
    };
    let limit = budget(&[[2].as_slice(), &200_000_u32.to_le_bytes()].concat());
    let price = budget(&[[3].as_slice(), &10_000_u64.to_le_bytes()].concat());
    official::transaction(&[limit, price, create, trade, tip], |_| false)
}
