//! Goal: every instruction we read is read as its program's interface says, whatever its arguments and accounts are.
//! Method: for each instruction in `data/venues/`, random arguments and accounts, encoded as the interface says into a
//! transaction of each version that the official crates compile, some of the accounts behind a lookup table that is
//! known or not; the event must name what the interface names. Every other discriminator of the same programs gives
//! nothing, and neither does the same instruction of another program. A failure prints the seed that repeats it.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use market::event::{
    Amounts, At, Create, Liquidity, Migrate, Price, ReferredSwap, Side, Swap, SwapAmounts, Way,
};
use market::{
    Decoded, Key, Launch, LookupTables, MarketEvent, PoolAction, PoolCall, PoolEvent, Program,
    Trade, decode,
};
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};
use solana_hash::Hash;
use solana_instruction::{AccountMeta, Instruction};
use solana_keypair::Keypair;
use solana_message::{AddressLookupTableAccount, Message, VersionedMessage, v0, v1};
use solana_pubkey::Pubkey;
use solana_signature::Signature;
use solana_signer::Signer;
use solana_transaction::versioned::VersionedTransaction;

const TABLES: [&str; 10] = [
    include_str!("../data/venues/pump.txt"),
    include_str!("../data/venues/pump_amm.txt"),
    include_str!("../data/venues/raydium_amm.txt"),
    include_str!("../data/venues/raydium_cp.txt"),
    include_str!("../data/venues/raydium_clmm.txt"),
    include_str!("../data/venues/launchlab.txt"),
    include_str!("../data/venues/whirlpool.txt"),
    include_str!("../data/venues/dlmm.txt"),
    include_str!("../data/venues/dbc.txt"),
    include_str!("../data/venues/damm.txt"),
];
const EXPECTED: &str = include_str!("../data/venues/expected.txt");
const ROUNDS: u64 = 60;
const SLOT: Slot = Slot(77);
const NOW: Nanos = Nanos(5);

/// SplitMix64: small, and the same on every host.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    fn key(&mut self) -> Key {
        std::array::from_fn(|_| self.next() as u8)
    }
}

/// A program's interface, condensed.
struct Interface {
    program: Program,
    id: Key,
    instructions: Vec<Described>,
    /// Instructions that ask nothing of a pool.
    others: Vec<(String, Vec<u8>)>,
    structs: HashMap<String, Vec<(String, String)>>,
    enums: HashMap<String, Vec<Vec<(String, String)>>>,
}

struct Described {
    name: String,
    discriminator: Vec<u8>,
    /// Name, signs, is writable.
    accounts: Vec<(String, bool, bool)>,
    arguments: Vec<(String, String)>,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

fn named(cell: &str) -> (String, String) {
    let (name, kind) = cell.split_once(':').unwrap();
    (name.to_string(), kind.to_string())
}

/// A variant: its name, and in brackets its fields.
fn variant(cell: &str) -> Vec<(String, String)> {
    match cell.split_once('(') {
        None => Vec::new(),
        Some((_, fields)) => fields.trim_end_matches(')').split(',').map(named).collect(),
    }
}

fn interface(table: &str) -> Interface {
    let mut lines = table
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let program = *Program::ALL.iter().find(|it| it.name() == head[1]).unwrap();
    let mut id = [0; 32];
    assert_eq!(bs58::decode(head[2]).onto(&mut id).unwrap(), 32);
    let mut read = Interface {
        program,
        id,
        instructions: Vec::new(),
        others: Vec::new(),
        structs: HashMap::new(),
        enums: HashMap::new(),
    };
    for cells in lines {
        let rest = cells.get(2..).unwrap_or_default();
        match cells[0] {
            "instruction" => read.instructions.push(Described {
                name: cells[1].to_string(),
                discriminator: bytes(cells[2]),
                accounts: Vec::new(),
                arguments: Vec::new(),
            }),
            "accounts" => {
                let account = |cell: &&str| {
                    let name = cell.trim_end_matches(['!', '*']);
                    (name.to_string(), cell.contains('!'), cell.contains('*'))
                };
                read.instructions.last_mut().unwrap().accounts =
                    cells[1..].iter().map(account).collect();
            }
            "arguments" => {
                read.instructions.last_mut().unwrap().arguments =
                    cells[1..].iter().map(|cell| named(cell)).collect();
            }
            "other" => read.others.push((cells[1].to_string(), bytes(cells[2]))),
            "struct" => {
                let fields = rest.iter().map(|cell| named(cell)).collect();
                read.structs.insert(cells[1].to_string(), fields);
            }
            "enum" => {
                let variants = rest.iter().map(|cell| variant(cell)).collect();
                read.enums.insert(cells[1].to_string(), variants);
            }
            other => panic!("{other}"),
        }
    }
    read
}

/// What an instruction asks for: the cells of its line.
#[derive(Clone, Copy)]
struct Rule<'a> {
    kind: &'a str,
    cells: &'a [&'a str],
}

impl<'a> Rule<'a> {
    fn has(&self, flag: &str) -> bool {
        self.cells.contains(&flag)
    }

    fn get(&self, key: &str) -> Option<&'a str> {
        self.cells.iter().find_map(|cell| {
            let (name, value) = cell.split_once('=')?;
            (name == key).then_some(value)
        })
    }

    fn list(&self, key: &str) -> Option<Vec<&'a str>> {
        self.get(key).map(|value| value.split(',').collect())
    }
}

/// Writes a random value of the type `kind`, and keeps every number in it under its path.
struct Writer<'a> {
    interface: &'a Interface,
    below: Option<(&'a str, u64)>,
    out: Vec<u8>,
    values: HashMap<String, u128>,
    keys: HashMap<String, Key>,
}

impl Writer<'_> {
    fn number(&mut self, path: &str, len: usize, random: &mut Random) {
        let mut value = (u128::from(random.next()) << 64 | u128::from(random.next())) >> 1;
        if let Some((_, bound)) = self.below.filter(|(name, _)| *name == path) {
            value %= u128::from(bound);
        } else if random.below(8) == 0 {
            value = 0;
        }
        let bytes = &value.to_le_bytes()[..len];
        self.out.extend(bytes);
        let mut kept = [0; 16];
        kept[..len].copy_from_slice(bytes);
        self.values
            .insert(path.to_string(), u128::from_le_bytes(kept));
    }

    fn write(&mut self, path: &str, kind: &str, random: &mut Random) {
        if let Some(inner) = kind
            .strip_prefix("option<")
            .and_then(|it| it.strip_suffix('>'))
        {
            let is_some = random.below(2);
            self.out.push(is_some as u8);
            if is_some == 1 {
                self.write(path, inner, random);
            }
            return;
        }
        if let Some(inner) = kind
            .strip_prefix("vec<")
            .and_then(|it| it.strip_suffix('>'))
        {
            let count = random.below(3);
            self.out.extend((count as u32).to_le_bytes());
            for at in 0..count {
                self.write(&format!("{path}.{at}"), inner, random);
            }
            return;
        }
        if let Some(inner) = kind
            .strip_prefix("array<")
            .and_then(|it| it.strip_suffix('>'))
        {
            let (inner, count) = inner.split_once(';').unwrap();
            for at in 0..count.parse::<usize>().unwrap() {
                self.write(&format!("{path}.{at}"), inner, random);
            }
            return;
        }
        match kind {
            "bool" => {
                let value = random.below(2) as u8;
                self.out.push(value);
                self.values.insert(path.to_string(), u128::from(value));
            }
            "u8" => self.number(path, 1, random),
            "u16" => self.number(path, 2, random),
            "u32" | "i32" => self.number(path, 4, random),
            "u64" | "i64" => self.number(path, 8, random),
            "u128" => self.number(path, 16, random),
            "pubkey" => {
                let key = random.key();
                self.out.extend(key);
                self.keys.insert(path.to_string(), key);
            }
            "string" | "bytes" => {
                let len = random.below(9);
                self.out.extend((len as u32).to_le_bytes());
                let text = random.bytes(len);
                self.out.extend(text.iter().map(|byte| b'a' + byte % 26));
            }
            name => self.defined(path, name, random),
        }
    }

    fn defined(&mut self, path: &str, name: &str, random: &mut Random) {
        let interface = self.interface;
        let fields = match interface.structs.get(name) {
            Some(fields) => fields,
            None => {
                let variants = &interface.enums[name];
                let at = random.below(variants.len());
                self.out.push(at as u8);
                &variants[at]
            }
        };
        for (field, kind) in fields {
            self.write(&format!("{path}.{field}"), kind, random);
        }
    }
}

/// One instruction with what went into it.
struct Made<'a> {
    described: &'a Described,
    values: HashMap<String, u128>,
    keys: HashMap<String, Key>,
    /// By position; past the interface's, accounts that follow.
    accounts: Vec<Key>,
    hidden: Vec<Key>,
    is_table_known: bool,
}

impl Made<'_> {
    fn number(&self, path: &str) -> u64 {
        self.values[path] as u64
    }

    fn account(&self, name: &str) -> Option<Key> {
        let at = self.described.accounts.iter().position(|it| it.0 == name);
        let at = at.unwrap_or_else(|| panic!("{}: no account {name}", self.described.name));
        self.seen(self.accounts[at])
    }

    fn seen(&self, key: Key) -> Option<Key> {
        (self.is_table_known || !self.hidden.contains(&key)).then_some(key)
    }

    fn account_of(&self, rule: &Rule<'_>, key: &str) -> Option<Key> {
        self.account(rule.get(key)?)
    }

    fn pair(&self, rule: &Rule<'_>, key: &str) -> [Option<Key>; 2] {
        let names = rule.list(key).unwrap_or_default();
        [0, 1].map(|at| match names.get(at) {
            None | Some(&"-") => None,
            Some(name) => self.account(name),
        })
    }

    fn amounts(&self, rule: &Rule<'_>) -> SwapAmounts {
        let two = |names: &[&str]| (self.number(names[0]), self.number(names[1]));
        let exact_in = |names: &[&str]| {
            let (amount_in, out_min) = two(names);
            SwapAmounts::ExactIn { amount_in, out_min }
        };
        let exact_out = |names: &[&str]| {
            let (amount_out, in_max) = two(names);
            SwapAmounts::ExactOut { amount_out, in_max }
        };
        let is = |name: &str| self.number(name) != 0;
        if let Some(names) = rule.list("in") {
            exact_in(&names)
        } else if let Some(names) = rule.list("out") {
            exact_out(&names)
        } else if let Some(name) = rule.get("impact") {
            SwapAmounts::ExactIn {
                amount_in: self.number(name),
                out_min: 0,
            }
        } else if let Some(names) = rule.list("flag") {
            if is(names[2]) {
                exact_in(&names)
            } else {
                exact_out(&names)
            }
        } else if let Some(names) = rule.list("mode") {
            let (amount_in, out_min) = two(&names);
            match self.number(names[2]) {
                0 => exact_in(&names),
                1 => SwapAmounts::UpToIn { amount_in, out_min },
                _ => exact_out(&names),
            }
        } else if let Some(names) = rule.list("hop1") {
            if is(names[2]) {
                SwapAmounts::FirstLeg {
                    amount_in: self.number(names[0]),
                }
            } else {
                SwapAmounts::Unknown
            }
        } else {
            let names = rule.list("hop2").unwrap();
            let (amount, out_min) = two(&names);
            if is(names[2]) {
                SwapAmounts::LastLeg { out_min }
            } else {
                SwapAmounts::ExactOut {
                    amount_out: amount,
                    in_max: u64::MAX,
                }
            }
        }
    }

    fn swap(&self, rule: &Rule<'_>) -> PoolAction {
        let [mut mint_in, mut mint_out] = self.pair(rule, "mints_io");
        let [mut account_in, mut account_out] = self.pair(rule, "accounts_io");
        let by = |a_to_b| if a_to_b { Way::AToB } else { Way::BToA };
        let way = match rule.get("way") {
            None => None,
            Some("ab") => Some(Way::AToB),
            Some("ba") => Some(Way::BToA),
            Some("order") => mint_in.zip(mint_out).map(|(from, to)| by(from < to)),
            Some(flag) => Some(by(self.number(flag.strip_prefix("flag:").unwrap()) != 0)),
        };
        let in_and_out = |key| match (way, self.pair(rule, key)) {
            (Some(Way::AToB), [a, b]) => (a, b),
            (Some(Way::BToA), [a, b]) => (b, a),
            (None, _) => (None, None),
        };
        if rule.get("mints").is_some() {
            (mint_in, mint_out) = in_and_out("mints");
        }
        if rule.get("accounts").is_some() {
            (account_in, account_out) = in_and_out("accounts");
        }
        let price = rule.get("price").map(|name| self.values[name]);
        let swap = Swap {
            amounts: self.amounts(rule),
            way,
            mint_in,
            mint_out,
            account_in,
            account_out,
            price_limit: price.filter(|price| *price != 0).map(Price::SqrtX64),
        };
        match rule.get("referred").map(|name| self.number(name)) {
            None | Some(0) => PoolAction::Swap(swap),
            Some(fee_rate) => PoolAction::ReferredSwap(ReferredSwap { swap, fee_rate }),
        }
    }

    fn create(&self, rule: &Rule<'_>) -> PoolAction {
        let ([mint_a, mint_b], [vault_a, vault_b]) =
            (self.pair(rule, "mints"), self.pair(rule, "vaults"));
        let amounts = rule.list("amounts");
        let amount = |at: usize| amounts.as_ref().map_or(0, |names| self.number(names[at]));
        let bin = |name| Price::Bin(self.values[name] as u32 as i32);
        let opens_at = rule
            .get("opens")
            .and_then(|value| match value.split_once("?1,") {
                None => self.values.get(value).map(|value| *value as u64),
                Some((time, mode)) => self
                    .values
                    .get(time)
                    .filter(|_| self.number(mode) == 1)
                    .map(|value| *value as u64),
            });
        PoolAction::Create(Create {
            mint_a,
            mint_b,
            vault_a,
            vault_b,
            config: self.account_of(rule, "config"),
            amount_a: amount(0),
            amount_b: amount(1),
            price: rule.get("bin").map(bin).or_else(|| {
                rule.get("sqrt")
                    .map(|name| Price::SqrtX64(self.values[name]))
            }),
            opens_at,
            makes_mint: rule.has("mints_made"),
        })
    }

    fn liquidity(&self, rule: &Rule<'_>) -> Liquidity {
        let (limit_a, limit_b) = match rule.get("limits") {
            None | Some("*") => (0, 0),
            Some(value) => match (value.split_once('?'), value.split_once(',')) {
                (Some((flag, name)), _) if self.number(flag) != 0 => (self.number(name), 0),
                (Some((_, name)), _) => (0, self.number(name)),
                (None, Some((a, b))) => (self.number(a), self.number(b)),
                (None, None) => panic!("{value}"),
            },
        };
        Liquidity {
            share: rule.get("share").map_or(0, |name| self.values[name]),
            limit_a,
            limit_b,
        }
    }

    fn rebalance(&self, rule: &Rule<'_>) -> PoolAction {
        let deposited = self.liquidity(rule);
        if deposited != Liquidity::default() {
            return PoolAction::Deposit(deposited);
        }
        let names = rule.list("takes").unwrap();
        PoolAction::Withdraw(Liquidity {
            share: 0,
            limit_a: self.number(names[0]),
            limit_b: self.number(names[1]),
        })
    }

    #[track_caller]
    fn check(&self, rule: &Rule<'_>, program: Program, event: &MarketEvent, seed: u64) {
        let name = &self.described.name;
        let at = At {
            slot: SLOT,
            at: NOW,
            signature: [0; 64],
        };
        match (rule.kind, event) {
            ("launch", MarketEvent::Launch(launch)) => self.launch(rule, launch, seed),
            ("trade", MarketEvent::Trade(trade)) => self.trade(rule, trade, seed),
            // The coin's mint is hidden: some curve moved.
            ("trade", MarketEvent::Unresolved(trade)) => {
                assert_eq!(self.account_of(rule, "mint"), None, "seed {seed} {name}");
                assert_eq!(
                    Some(trade.trader),
                    self.account_of(rule, "actor"),
                    "seed {seed}"
                );
                let curve = self.account_of(rule, "curve");
                assert_eq!(trade.bonding_curve, curve, "seed {seed} {name}");
            }
            (kind, MarketEvent::Pool(pool)) => {
                let action = match kind {
                    "swap" => self.swap(rule),
                    "create" => self.create(rule),
                    "deposit" => PoolAction::Deposit(self.liquidity(rule)),
                    "rebalance" => self.rebalance(rule),
                    "withdraw" => PoolAction::Withdraw(self.liquidity(rule)),
                    "migrate" => PoolAction::Migrate(Migrate {
                        mint: self.account_of(rule, "mint"),
                        pool: self.account_of(rule, "to"),
                        to: Program::ALL
                            .into_iter()
                            .find(|to| Some(to.name()) == rule.get("program")),
                    }),
                    other => panic!("{other}"),
                };
                let mut event = *pool;
                if let (Some("*"), PoolAction::Deposit(liquidity)) =
                    (rule.get("limits"), &mut event.call.action)
                {
                    *liquidity = Liquidity::default();
                }
                let call = PoolCall {
                    pool: self.account_of(rule, "pool"),
                    actor: self.account_of(rule, "actor"),
                    action,
                };
                let expected = PoolEvent {
                    program,
                    inferred_from: None,
                    call,
                    slot: at.slot,
                    at: at.at,
                    signature: event.signature,
                };
                assert_eq!(event, expected, "seed {seed} {program:?} {name}");
            }
            (kind, event) => panic!("seed {seed} {name} {kind} {event:?}"),
        }
    }

    fn launch(&self, rule: &Rule<'_>, launch: &Launch, seed: u64) {
        let is_v2 = self.described.name == "create_v2";
        assert_eq!(
            Some(launch.mint.0),
            self.account_of(rule, "mint"),
            "seed {seed}"
        );
        assert_eq!(
            Some(launch.user),
            self.account_of(rule, "user"),
            "seed {seed}"
        );
        assert_eq!(launch.creator, self.keys["creator"], "seed {seed}");
        assert_eq!(
            launch.bonding_curve,
            self.account_of(rule, "curve"),
            "seed {seed}"
        );
        let vault = self.account_of(rule, "vault");
        assert_eq!(launch.associated_bonding_curve, vault, "seed {seed}");
        assert_eq!(launch.is_v2, is_v2, "seed {seed}");
        let flag = |name: &str| self.values.get(name).is_some_and(|value| *value != 0);
        assert_eq!(launch.mayhem, flag("is_mayhem_mode"), "seed {seed}");
        assert_eq!(
            launch.cashback,
            flag("is_cashback_enabled.f0"),
            "seed {seed}"
        );
        assert_eq!(
            launch.holder_reward,
            flag("is_holder_reward.f0"),
            "seed {seed}"
        );
        let fee = self
            .values
            .get("creator_fee_bps.f0")
            .map(|value| *value as u64);
        assert_eq!(launch.creator_fee_bps, fee, "seed {seed}");
        // The quote's mint is the first account that follows; SOL when none does.
        let quote = match self.accounts.get(self.described.accounts.len()) {
            Some(quote) if is_v2 => self.seen(*quote),
            _ => Some(market::pump::WRAPPED_SOL),
        };
        assert_eq!(launch.quote_mint, quote, "seed {seed}");
    }

    fn trade(&self, rule: &Rule<'_>, trade: &Trade, seed: u64) {
        let name = &self.described.name;
        assert_eq!(
            Some(trade.mint.0),
            self.account_of(rule, "mint"),
            "seed {seed} {name}"
        );
        assert_eq!(
            Some(trade.trader),
            self.account_of(rule, "actor"),
            "seed {seed} {name}"
        );
        let curve = self.account_of(rule, "curve");
        assert_eq!(trade.shown.bonding_curve, curve, "seed {seed} {name}");
        let sells = rule.get("side") == Some("sell");
        assert_eq!(trade.side == Side::Sell, sells, "seed {seed} {name}");
        let amounts = match trade.amounts {
            Amounts::ExactIn {
                quote_in,
                tokens_min,
            } => SwapAmounts::ExactIn {
                amount_in: quote_in.0,
                out_min: tokens_min.0,
            },
            Amounts::TokensOut { tokens, quote_max } => SwapAmounts::ExactOut {
                amount_out: tokens.0,
                in_max: quote_max.0,
            },
            Amounts::Sell { tokens, quote_min } => SwapAmounts::ExactIn {
                amount_in: tokens.0,
                out_min: quote_min.0,
            },
        };
        assert_eq!(amounts, self.amounts(rule), "seed {seed} {name}");
        let partial = self.values.get("partial_fill.f0").map(|value| *value != 0);
        assert_eq!(trade.partial_fill, partial, "seed {seed} {name}");
    }
}

/// The instruction in a transaction of a random version, and what its accounts are.
fn made<'a>(
    interface: &'a Interface,
    described: &'a Described,
    rule: &Rule<'_>,
    random: &mut Random,
) -> (Made<'a>, Vec<u8>) {
    let below = rule.get("below").map(|value| {
        let (name, bound) = value.split_once(':').unwrap();
        (name.to_string(), bound.parse::<u64>().unwrap())
    });
    let mut writer = Writer {
        interface,
        below: below.as_ref().map(|(name, bound)| (name.as_str(), *bound)),
        out: described.discriminator.clone(),
        values: HashMap::new(),
        keys: HashMap::new(),
    };
    // The last arguments may be left off when they are optional in Pump's manner.
    let mut count = described.arguments.len();
    while count > 0
        && described.arguments[count - 1].1.starts_with("Option")
        && random.below(3) == 0
    {
        count -= 1;
    }
    for (name, kind) in &described.arguments[..count] {
        writer.write(name, kind, random);
    }
    let (data, values, keys) = (writer.out, writer.values, writer.keys);

    let follow = if rule.has("exact") {
        0
    } else {
        random.below(4)
    };
    let mut accounts: Vec<AccountMeta> = described
        .accounts
        .iter()
        .map(|(_, signs, writable)| AccountMeta {
            pubkey: Pubkey::new_from_array(random.key()),
            is_signer: *signs,
            is_writable: *writable,
        })
        .collect();
    accounts.extend((0..follow).map(|_| AccountMeta::new(random.key().into(), false)));
    let all: Vec<Key> = accounts.iter().map(|meta| meta.pubkey.to_bytes()).collect();
    let (bytes, hidden, is_table_known) = transaction(interface.id, accounts, data, random);
    let made = Made {
        described,
        values,
        keys,
        accounts: all,
        hidden,
        is_table_known,
    };
    (made, bytes)
}

/// A transaction that the official crates compile; some of its accounts may be behind a table.
fn transaction(
    program: Key,
    accounts: Vec<AccountMeta>,
    data: Vec<u8>,
    random: &mut Random,
) -> (Vec<u8>, Vec<Key>, bool) {
    let payer = Keypair::new_from_array(random.key()).pubkey();
    let instruction = Instruction {
        program_id: program.into(),
        accounts,
        data,
    };
    let blockhash = Hash::new_from_array(random.key());
    let mut hidden = Vec::new();
    let message = match random.below(4) {
        0 => VersionedMessage::Legacy(Message::new_with_blockhash(
            &[instruction],
            Some(&payer),
            &blockhash,
        )),
        1 | 2 => {
            let share = 1 + random.below(3);
            let behind: Vec<Pubkey> = instruction
                .accounts
                .iter()
                .filter(|meta| !meta.is_signer)
                .map(|meta| meta.pubkey)
                .filter(|_| random.below(share) == 0)
                .collect();
            hidden = behind.iter().map(Pubkey::to_bytes).collect();
            let table = AddressLookupTableAccount {
                key: TABLE.into(),
                addresses: behind,
            };
            let message = v0::Message::try_compile(&payer, &[instruction], &[table], blockhash);
            VersionedMessage::V0(message.unwrap())
        }
        _ => VersionedMessage::V1(
            v1::Message::try_compile(&payer, &[instruction], blockhash).unwrap(),
        ),
    };
    let signer_count = usize::from(message.header().num_required_signatures);
    let transaction = VersionedTransaction {
        signatures: (0..signer_count)
            .map(|at| Signature::from([at as u8 + 1; 64]))
            .collect(),
        message,
    };
    let is_table_known = random.below(2) == 0;
    (
        wincode::serialize(&transaction).unwrap(),
        hidden,
        is_table_known,
    )
}

const TABLE: Key = [0xcc; 32];

fn read(bytes: &[u8], hidden: &[Key], is_table_known: bool) -> Option<(Vec<MarketEvent>, Decoded)> {
    let view = TxnView::parse(bytes).ok()?;
    let tables = if is_table_known {
        LookupTables::new([(TABLE, hidden)])
    } else {
        LookupTables::none()
    };
    let mut events = Vec::new();
    let decoded = decode(&view, &tables, SLOT, NOW, &mut |event| events.push(event));
    assert_eq!(decoded.event_count as usize, events.len());
    Some((events, decoded))
}

fn lines() -> Vec<Vec<&'static str>> {
    EXPECTED
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split(' ').collect())
        .collect()
}

#[test]
fn every_instruction_reads_back_by_name() {
    let lines = lines();
    let (mut read_count, mut by_version) = (0, [0usize; 2]);
    for table in TABLES {
        let interface = interface(table);
        for described in &interface.instructions {
            let rules: Vec<Rule<'_>> = lines
                .iter()
                .filter(|it| it[0] == interface.program.name() && it[1] == described.name)
                .map(|it| Rule {
                    kind: it[2],
                    cells: &it[3..],
                })
                .collect();
            assert!(
                !rules.is_empty(),
                "{} {}",
                interface.program.name(),
                described.name
            );
            for seed in 0..ROUNDS {
                let mut random = Random(seed << 32 | u64::from(described.discriminator[0]));
                let (made, bytes) = made(&interface, described, &rules[0], &mut random);
                // Too long for its version: no block holds it.
                let Some((events, decoded)) = read(&bytes, &made.hidden, made.is_table_known)
                else {
                    continue;
                };
                read_count += 1;
                by_version[usize::from(made.is_table_known)] +=
                    usize::from(!made.hidden.is_empty());
                assert_eq!(
                    (events.len(), decoded.rejected.iter().sum::<u32>()),
                    (rules.len(), 0),
                    "seed {seed} {} {} {:?}",
                    interface.program.name(),
                    described.name,
                    decoded,
                );
                for (rule, event) in rules.iter().zip(&events) {
                    made.check(rule, interface.program, event, seed);
                }
                nothing_of_another_program(&bytes, &interface, seed);
            }
        }
    }
    assert!(read_count > 5_000, "{read_count}");
    assert!(
        by_version.iter().all(|count| *count > 1_000),
        "{by_version:?}"
    );
}

/// The same bytes with another program's id give nothing, unless that is a program we read.
fn nothing_of_another_program(bytes: &[u8], interface: &Interface, seed: u64) {
    let mut bytes = bytes.to_vec();
    let at = bytes
        .windows(32)
        .position(|window| window == interface.id)
        .unwrap();
    bytes[at + 7] ^= 0x55;
    let (events, decoded) = read(&bytes, &[], false).unwrap();
    assert_eq!(
        (events.len(), decoded),
        (0, Decoded::default()),
        "seed {seed}"
    );
}

/// Instructions whose accounts past the interface's say what they ask for: each has its tests beside its decoder.
const BY_FOLLOWING_ACCOUNTS: [(&str, &str); 2] = [
    ("pump_amm", "multi_hop_swap"),
    ("raydium_clmm", "swap_router_base_in"),
];

#[test]
fn every_other_instruction_gives_nothing() {
    let mut count = 0;
    for table in TABLES {
        let interface = interface(table);
        let program = interface.program.name();
        for (name, discriminator) in &interface.others {
            if BY_FOLLOWING_ACCOUNTS.contains(&(program, name.as_str())) {
                continue;
            }
            for seed in 0..20 {
                let mut random = Random(seed);
                let len = random.below(120);
                let data = [discriminator.clone(), random.bytes(len)].concat();
                let (bytes, hidden, known) = arbitrary(&interface, data, &mut random);
                let (events, decoded) = read(&bytes, &hidden, known).unwrap();
                assert!(events.is_empty(), "{program} {name} {events:?}");
                assert_eq!(decoded.rejected.iter().sum::<u32>(), 1, "{program} {name}");
                count += 1;
            }
        }
    }
    assert!(count > 4_000, "{count}");
}

/// An instruction of that program with `data` and a few accounts, some of which sign.
fn arbitrary(
    interface: &Interface,
    data: Vec<u8>,
    random: &mut Random,
) -> (Vec<u8>, Vec<Key>, bool) {
    let accounts = (0..random.below(14))
        .map(|_| AccountMeta {
            pubkey: Pubkey::new_from_array(random.key()),
            is_signer: random.below(5) == 0,
            is_writable: random.below(2) == 0,
        })
        .collect();
    transaction(interface.id, accounts, data, random)
}

#[test]
fn arbitrary_data_never_panics_and_unknown_discriminators_give_nothing() {
    for table in TABLES {
        let interface = interface(table);
        let known: Vec<&[u8]> = interface
            .instructions
            .iter()
            .map(|it| it.discriminator.as_slice())
            .chain(interface.others.iter().map(|it| it.1.as_slice()))
            .collect();
        for seed in 0..400 {
            let mut random = Random(seed);
            let len = random.below(64);
            let data = random.bytes(len);
            let is_known = known.iter().any(|it| data.starts_with(it));
            let (bytes, hidden, table_known) = arbitrary(&interface, data, &mut random);
            let (events, _) = read(&bytes, &hidden, table_known).unwrap();
            assert!(
                events.is_empty() || is_known,
                "{:?} seed {seed}",
                interface.program
            );
            // A discriminator that is known before bytes and accounts that are not.
            let instruction = random.below(known.len());
            let len = random.below(40);
            let data = [known[instruction].to_vec(), random.bytes(len)].concat();
            let (bytes, hidden, table_known) = arbitrary(&interface, data, &mut random);
            let _ = read(&bytes, &hidden, table_known).unwrap();
        }
    }
}
