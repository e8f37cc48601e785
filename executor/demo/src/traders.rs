//! Throw-away traders: who launches what, who buys, and when they leave.
//!
//! A launch draws a fate, and with it a plan over the coming entry batches: snipers in the next
//! batches, a run of buyers that ends in a sell-off, a creator who dumps on the first few, or almost
//! nobody. Each plan step is decided against the state of its moment (limits come from the price
//! then), so what the executor trades changes what they do.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;

use crate::keys::{
    ASSOCIATED_TOKEN, COMPUTE_BUDGET, Key, PUMP, PUMP_BUYBACK_RECIPIENTS, PUMP_EVENT_AUTHORITY,
    PUMP_FEE_CONFIG, PUMP_FEE_RECIPIENTS, PUMP_FEES, PUMP_GLOBAL, PUMP_GLOBAL_VOLUME, ROUTERS,
    SYSTEM, TIP_ACCOUNTS, TOKEN, TOKEN_2022, WRAPPED_SOL,
};
use crate::market::Market;
use crate::prng::Prng;
use crate::pump::{
    Coin, Generation, Label, Order, Recipients, Trade, User, create, create_token_account,
    create_v2,
};
use crate::txn::{AccountMeta, Form, Instruction, LEGACY_LEN_MAX, LookupTable, write};

/// What every trader starts with: enough never to run out.
const STARTING_LAMPORTS: u64 = 20_000 * SOL;
const SOL: u64 = 1_000_000_000;
const MILLI_SOL: u64 = SOL / 1_000;

/// How traders behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraderConfig {
    /// Wallets that trade and launch.
    pub wallet_count: usize,
    /// Coins of which buyers run, per 10,000 launches.
    pub runner_bps: u16,
    /// Coins whose creator dumps, per 10,000 launches. The rest fade away.
    pub rug_bps: u16,
    /// Trades hidden inside a router program, per 10,000.
    pub routed_bps: u16,
    /// Transactions that arrive one to three batches after they were decided on, per 10,000.
    pub late_bps: u16,
    /// Mayhem coins, per 10,000 launches.
    pub mayhem_bps: u16,
    /// Cashback coins, per 10,000 launches.
    pub cashback_bps: u16,
    /// Launches by the older `create`, per 10,000.
    pub create_v1_bps: u16,
}

impl Default for TraderConfig {
    fn default() -> Self {
        Self {
            wallet_count: 160,
            runner_bps: 4_000,
            rug_bps: 3_000,
            routed_bps: 300,
            late_bps: 2_500,
            mayhem_bps: 500,
            cashback_bps: 500,
            create_v1_bps: 800,
        }
    }
}

struct Wallet {
    signer: SigningKey,
    user: User,
}

/// What becomes of a coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Buyers come until the top, then all leave.
    Run,
    /// The creator dumps on the first buyers.
    Rug,
    /// Hardly anybody comes.
    Fade,
}

/// One step of a plan.
#[derive(Debug, Clone, Copy)]
enum Action {
    Buy {
        coin: Key,
        wallet: usize,
        lamports: u64,
        slippage_bps: u64,
    },
    Sell {
        coin: Key,
        wallet: usize,
        share_bps: u64,
    },
}

/// The traders and their plans.
pub(crate) struct Traders {
    config: TraderConfig,
    prng: Prng,
    wallets: Vec<Wallet>,
    /// By (batch, order of planning).
    plan: BTreeMap<(u64, u64), Action>,
    planned: u64,
    /// Signed earlier than they arrive: (batch of arrival, transaction). Their limits are of the
    /// price at signing, so some of them fail.
    late: BTreeMap<(u64, u64), Vec<u8>>,
    /// Coins a plan still names, by curve, with the steps left.
    coins: BTreeMap<Key, (Coin, u64)>,
    tables: [LookupTable; 2],
}

impl Traders {
    pub(crate) fn new(mut prng: Prng, config: TraderConfig, market: &mut Market) -> Self {
        let wallet = |_| {
            let signer = SigningKey::from_bytes(&prng.bytes());
            let user = User::new(signer.verifying_key().to_bytes());
            Wallet { signer, user }
        };
        let wallets: Vec<Wallet> = (0..config.wallet_count.max(2)).map(wallet).collect();
        wallets
            .iter()
            .for_each(|wallet| market.credit(&wallet.user.key, STARTING_LAMPORTS));
        let tables = lookup_tables(&mut prng);
        for table in &tables {
            market.register_table(table.key, table.addresses.clone());
        }
        let (plan, late, coins) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self {
            config,
            prng,
            wallets,
            plan,
            planned: 0,
            late,
            coins,
            tables,
        }
    }

    /// Launches one coin in `batch` and plans its life. Returns the signed transaction.
    pub(crate) fn launch(&mut self, market: &Market, batch: u64, blockhash: &Key) -> Vec<u8> {
        let mint = SigningKey::from_bytes(&self.prng.bytes());
        let creator = self.any_wallet();
        let coin = self.draw_coin(mint.verifying_key().to_bytes(), creator);
        let fate = self.draw_fate();
        let dev_lamports = match fate {
            // Who means to dump must hold something worth it.
            Fate::Rug => self.skewed(4_000, 20_000),
            _ if self.prng.chance_bps(1_500) => 0,
            _ => self.skewed(100, 4_000),
        };
        let mut instructions = self.budget();
        instructions.extend(self.create_instructions(&coin, creator));
        if dev_lamports > 0 {
            let order = Order::BuyExactIn {
                spend_lamports: dev_lamports,
                tokens_min: 1,
            };
            instructions.extend(self.buy_instructions(&coin, creator, order));
        }
        let bytes = self.sign(&[creator], Some(&mint), instructions, blockhash);
        debug_assert!(
            market.curve(&coin.bonding_curve).is_none(),
            "mints are fresh"
        );
        self.coins.insert(coin.bonding_curve, (coin.clone(), 0));
        self.plan_life(&coin.bonding_curve, fate, creator, dev_lamports > 0, batch);
        bytes
    }

    /// The next transaction that arrives by `batch`: a plan's step decided against `market` now and
    /// signed, or one signed a few batches ago. `None` when no more is due; steps that make no sense
    /// any more are passed over.
    pub(crate) fn next_due(
        &mut self,
        market: &Market,
        batch: u64,
        blockhash: &Key,
    ) -> Option<Vec<u8>> {
        loop {
            if let Some(entry) = self
                .late
                .first_entry()
                .filter(|entry| entry.key().0 <= batch)
            {
                return Some(entry.remove());
            }
            let entry = self
                .plan
                .first_entry()
                .filter(|entry| entry.key().0 <= batch)?;
            let action = entry.remove();
            let (Action::Buy { coin: key, .. } | Action::Sell { coin: key, .. }) = action;
            let Some((coin, steps_left)) = self.coins.get_mut(&key) else {
                continue;
            };
            *steps_left -= 1;
            let (coin, finished) = (coin.clone(), *steps_left == 0);
            if finished {
                self.coins.remove(&key);
            }
            let Some(bytes) = self.act(market, &coin, action, blockhash) else {
                continue;
            };
            if !self.prng.chance_bps(self.config.late_bps) {
                return Some(bytes);
            }
            let arrives = batch + self.prng.between(1, 3);
            self.late.insert((arrives, self.planned), bytes);
            self.planned += 1;
        }
    }

    fn act(
        &mut self,
        market: &Market,
        coin: &Coin,
        action: Action,
        blockhash: &Key,
    ) -> Option<Vec<u8>> {
        let curve = market.curve(&coin.bonding_curve)?;
        let (wallet, instructions) = match action {
            Action::Buy {
                wallet,
                lamports,
                slippage_bps,
                ..
            } => {
                let quote = curve.quote_exact_in(lamports, market.tier()).ok()?;
                let order = if self.prng.chance_bps(6_500) {
                    let tokens_min = less(quote.tokens, slippage_bps);
                    Order::BuyExactIn {
                        spend_lamports: lamports,
                        tokens_min,
                    }
                } else {
                    let cost_lamports_max = more(quote.cost_lamports(), slippage_bps);
                    Order::BuyExactOut {
                        tokens: quote.tokens,
                        cost_lamports_max,
                    }
                };
                (wallet, self.buy_instructions(coin, wallet, order))
            }
            Action::Sell {
                wallet, share_bps, ..
            } => {
                let held = market.tokens(&self.wallets[wallet].user.key, &coin.mint);
                let tokens = (u128::from(held) * u128::from(share_bps) / 10_000) as u64;
                let quote = curve.quote_sell(tokens, market.tier()).ok()?;
                let slippage_bps = self.prng.between(300, 4_000);
                let receive_lamports_min = less(quote.proceeds_lamports(), slippage_bps);
                let order = Order::Sell {
                    tokens,
                    receive_lamports_min,
                };
                (wallet, vec![self.trade_instruction(coin, wallet, order)])
            }
        };
        let mut all = self.budget();
        all.extend(instructions);
        if self.prng.chance_bps(2_000) {
            let (to, lamports) = (
                *self.prng.pick(&TIP_ACCOUNTS),
                self.prng.between(1_000, 900_000),
            );
            all.push(transfer(&self.wallets[wallet].user.key, &to, lamports));
        }
        Some(self.sign(&[wallet], None, all, blockhash))
    }

    fn draw_fate(&mut self) -> Fate {
        let draw = self.prng.below(10_000);
        let (runs, rugs) = (
            u64::from(self.config.runner_bps),
            u64::from(self.config.rug_bps),
        );
        match draw {
            draw if draw < runs => Fate::Run,
            draw if draw < runs + rugs => Fate::Rug,
            _ => Fate::Fade,
        }
    }

    fn plan_life(&mut self, coin: &Key, fate: Fate, creator: usize, creator_holds: bool, now: u64) {
        self.plan_snipers(coin, now);
        match fate {
            Fate::Run => self.plan_run(coin, creator, creator_holds, now),
            Fate::Rug => self.plan_rug(coin, creator, creator_holds, now),
            Fate::Fade => self.plan_fade(coin, now),
        }
        // Steps left free a coin's memory; one without a plan would keep it for ever.
        if self.coins.get(coin).is_some_and(|(_, steps)| *steps == 0) {
            self.coins.remove(coin);
        }
    }

    fn plan_snipers(&mut self, coin: &Key, now: u64) {
        for _ in 0..self.prng.below(5) {
            let (wallet, at) = (self.any_wallet(), now + self.prng.between(1, 2));
            self.plan_buy(coin, wallet, at, 50, 1_500);
            let leaves = at + self.prng.between(16, 120);
            self.plan_sell(coin, wallet, leaves, 10_000);
        }
    }

    /// Buyers come faster and with more until the top; then everybody leaves.
    fn plan_run(&mut self, coin: &Key, creator: usize, creator_holds: bool, now: u64) {
        let (buyer_count, length) = (self.prng.between(10, 36), self.prng.between(16, 96));
        let top = now + 3 + length;
        for buyer in 0..buyer_count {
            let wallet = self.any_wallet();
            // The square root of a uniform share is dense towards the end.
            let share = self.prng.below(10_000).max(self.prng.below(10_000));
            self.plan_buy(
                coin,
                wallet,
                now + 3 + length * share / 10_000,
                150,
                1_000 + buyer * 120,
            );
            let leaves = top + self.prng.between(1, 64);
            let part = self.prng.between(5_000, 10_000);
            self.plan_sell(coin, wallet, leaves, part);
        }
        if creator_holds {
            let leaves = top + self.prng.between(0, 6);
            self.plan_sell(coin, creator, leaves, 10_000);
        }
    }

    fn plan_rug(&mut self, coin: &Key, creator: usize, creator_holds: bool, now: u64) {
        let pulled = now + self.prng.between(10, 32);
        for _ in 0..self.prng.between(2, 6) {
            let (wallet, at) = (self.any_wallet(), now + self.prng.between(2, 16));
            self.plan_buy(coin, wallet, at, 100, 1_000);
            let leaves = pulled + self.prng.between(1, 10);
            self.plan_sell(coin, wallet, leaves, 10_000);
        }
        if creator_holds {
            self.plan_sell(coin, creator, pulled, 10_000);
        }
    }

    fn plan_fade(&mut self, coin: &Key, now: u64) {
        for _ in 0..self.prng.below(4) {
            let (wallet, at) = (self.any_wallet(), now + self.prng.between(2, 100));
            self.plan_buy(coin, wallet, at, 20, 300);
            let leaves = at + self.prng.between(150, 400);
            self.plan_sell(coin, wallet, leaves, 10_000);
        }
    }

    fn plan_buy(
        &mut self,
        coin: &Key,
        wallet: usize,
        at: u64,
        milli_sol_min: u64,
        milli_sol_max: u64,
    ) {
        let lamports = self.skewed(milli_sol_min, milli_sol_max);
        let slippage_bps = self.prng.between(300, 5_000);
        self.push(
            at,
            Action::Buy {
                coin: *coin,
                wallet,
                lamports,
                slippage_bps,
            },
        );
    }

    fn plan_sell(&mut self, coin: &Key, wallet: usize, at: u64, share_bps: u64) {
        self.push(
            at,
            Action::Sell {
                coin: *coin,
                wallet,
                share_bps,
            },
        );
    }

    fn push(&mut self, at: u64, action: Action) {
        let (Action::Buy { coin, .. } | Action::Sell { coin, .. }) = action;
        if let Some((_, steps)) = self.coins.get_mut(&coin) {
            *steps += 1;
            self.plan.insert((at, self.planned), action);
            self.planned += 1;
        }
    }

    fn draw_coin(&mut self, mint: Key, creator: usize) -> Coin {
        let creator = self.wallets[creator].user.key;
        if self.prng.chance_bps(self.config.create_v1_bps) {
            return Coin::new(mint, TOKEN, creator, false, false, 0);
        }
        let mayhem = self.prng.chance_bps(self.config.mayhem_bps);
        let cashback = !mayhem && self.prng.chance_bps(self.config.cashback_bps);
        let own_fee = !mayhem && !cashback && self.prng.chance_bps(800);
        let creator_fee_bps = if own_fee {
            self.prng.between(5, 100)
        } else {
            0
        };
        Coin::new(mint, TOKEN_2022, creator, mayhem, cashback, creator_fee_bps)
    }

    fn create_instructions(&mut self, coin: &Coin, creator: usize) -> Vec<Instruction> {
        let user = &self.wallets[creator].user.key;
        let label = draw_label(&mut self.prng);
        if coin.token_program == TOKEN {
            return vec![create(coin, user, &label)];
        }
        let plain = !coin.cashback && coin.creator_fee_bps == 0;
        let trailing = !plain || self.prng.chance_bps(6_000);
        vec![create_v2(coin, user, &label, trailing)]
    }

    fn buy_instructions(&mut self, coin: &Coin, wallet: usize, order: Order) -> Vec<Instruction> {
        let user = &self.wallets[wallet].user.key;
        let account = create_token_account(user, user, &coin.token_program, &coin.mint);
        vec![account, self.trade_instruction(coin, wallet, order)]
    }

    fn trade_instruction(&mut self, coin: &Coin, wallet: usize, order: Order) -> Instruction {
        let generation = self.draw_generation(coin);
        let trade = Trade {
            generation,
            order,
            partial_fill: self.prng.chance_bps(5_000),
        };
        let fee = *self.prng.pick(&PUMP_FEE_RECIPIENTS);
        let buyback = *self.prng.pick(&PUMP_BUYBACK_RECIPIENTS);
        let inner = trade.instruction(
            coin,
            &self.wallets[wallet].user,
            &Recipients { fee, buyback },
        );
        if self.prng.chance_bps(self.config.routed_bps) {
            route(inner, *self.prng.pick(&ROUTERS))
        } else {
            inner
        }
    }

    fn draw_generation(&mut self, coin: &Coin) -> Generation {
        match self.prng.below(100) {
            // v2 takes Token-2022 coins only, and v3 takes no cashback coins.
            0..40 => Generation::V1,
            40..60 if coin.token_program == TOKEN_2022 => Generation::V2,
            _ if coin.cashback => Generation::V1,
            _ => Generation::V3,
        }
    }

    fn budget(&mut self) -> Vec<Instruction> {
        let limit = self.prng.between(80_000, 300_000) as u32;
        let price = self.prng.between(1_000, 2_000_000);
        let instruction = |data| Instruction {
            program: COMPUTE_BUDGET,
            accounts: vec![],
            data,
        };
        vec![
            instruction([&[2][..], &limit.to_le_bytes()].concat()),
            instruction([&[3][..], &price.to_le_bytes()].concat()),
        ]
    }

    /// Signs in a form drawn at random; a transaction too long for an older form becomes v1.
    fn sign(
        &mut self,
        wallets: &[usize],
        mint: Option<&SigningKey>,
        instructions: Vec<Instruction>,
        blockhash: &Key,
    ) -> Vec<u8> {
        let mut signers: Vec<&SigningKey> =
            wallets.iter().map(|at| &self.wallets[*at].signer).collect();
        signers.extend(mint);
        let form = match self.prng.below(100) {
            0..45 => Form::Legacy,
            45..65 => Form::V0(&[]),
            65..85 => Form::V0(&self.tables),
            _ => v1_form(&mut self.prng),
        };
        let bytes = write_for(&signers, instructions.clone(), blockhash, form);
        if bytes.len() <= LEGACY_LEN_MAX {
            return bytes;
        }
        let form = v1_form(&mut self.prng);
        write_for(&signers, instructions, blockhash, form)
    }

    fn any_wallet(&mut self) -> usize {
        self.prng.below(self.wallets.len() as u64) as usize
    }

    /// Lamports between two bounds in thousandths of a SOL, small amounts more often.
    fn skewed(&mut self, milli_sol_min: u64, milli_sol_max: u64) -> u64 {
        let high = self.prng.between(milli_sol_min, milli_sol_max);
        self.prng.between(milli_sol_min, high) * MILLI_SOL + self.prng.below(MILLI_SOL)
    }
}

/// v1 carries its budget in the message; budget instructions would be dead weight.
fn write_for(
    signers: &[&SigningKey],
    mut instructions: Vec<Instruction>,
    blockhash: &Key,
    form: Form<'_>,
) -> Vec<u8> {
    if matches!(form, Form::V1 { .. }) {
        instructions.retain(|instruction| instruction.program != COMPUTE_BUDGET);
    }
    write(signers, &instructions, blockhash, form)
}

fn v1_form(prng: &mut Prng) -> Form<'static> {
    let compute_unit_limit = prng.between(80_000, 300_000) as u32;
    Form::V1 {
        compute_unit_limit,
        priority_fee_lamports: prng.between(100, 500_000),
    }
}

fn route(inner: Instruction, router: Key) -> Instruction {
    let mut accounts = vec![AccountMeta::read(PUMP)];
    accounts.extend(inner.accounts);
    let data = [&router[..8], &inner.data].concat();
    Instruction {
        program: router,
        accounts,
        data,
    }
}

/// A lamport transfer.
pub(crate) fn transfer(from: &Key, to: &Key, lamports: u64) -> Instruction {
    let data = [&2_u32.to_le_bytes()[..], &lamports.to_le_bytes()].concat();
    Instruction {
        program: SYSTEM,
        accounts: vec![AccountMeta::sign(*from), AccountMeta::write(*to)],
        data,
    }
}

/// One table with what Pump trades share, one with tip accounts among strangers.
fn lookup_tables(prng: &mut Prng) -> [LookupTable; 2] {
    let mut shared = vec![
        PUMP_GLOBAL,
        PUMP_EVENT_AUTHORITY,
        PUMP_FEE_CONFIG,
        PUMP_FEES,
        PUMP_GLOBAL_VOLUME,
        SYSTEM,
        TOKEN,
        TOKEN_2022,
        ASSOCIATED_TOKEN,
        WRAPPED_SOL,
    ];
    shared.extend(PUMP_FEE_RECIPIENTS);
    shared.extend(PUMP_BUYBACK_RECIPIENTS);
    let mut strangers: Vec<Key> = (0..20).map(|_| prng.bytes()).collect();
    strangers.extend(TIP_ACCOUNTS);
    [
        LookupTable {
            key: prng.bytes(),
            addresses: shared,
        },
        LookupTable {
            key: prng.bytes(),
            addresses: strangers,
        },
    ]
}

fn draw_label(prng: &mut Prng) -> Label {
    const FIRST: [&str; 12] = [
        "Moon", "Quiet", "Angry", "Lucky", "Tiny", "Mega", "Based", "Sleepy", "Turbo", "Velvet",
        "Crab", "Paper",
    ];
    const SECOND: [&str; 12] = [
        "Frog", "Otter", "Goat", "Hamster", "Rocket", "Bagel", "Wizard", "Duck", "Cactus", "Ghost",
        "Waffle", "Yak",
    ];
    let (first, second) = (prng.pick(&FIRST), prng.pick(&SECOND));
    let symbol = format!("{}{}", &first[..2], &second[..2]).to_uppercase();
    Label {
        name: format!("{first} {second}"),
        symbol,
        uri: format!("https://example.invalid/{:016x}.json", prng.next_u64()),
    }
}

fn less(value: u64, bps: u64) -> u64 {
    (u128::from(value) * u128::from(10_000 - bps.min(10_000)) / 10_000) as u64
}

fn more(value: u64, bps: u64) -> u64 {
    (u128::from(value) * u128::from(10_000 + bps) / 10_000) as u64
}
