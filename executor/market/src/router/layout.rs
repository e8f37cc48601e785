//! How a venue's accounts stand in a row, so that they are found in the accounts of a router that hands them on.
//!
//! A router passes a venue's accounts as the venue wants them, in nearly every case behind the venue's program id.
//! Some of them are the same in every call (a global account, an authority, the venue itself): these are the marks by
//! which a row is told from another, and a row whose known accounts contradict a mark is not taken.
//!
//! Positions are those of the venues' own interfaces (each venue's module names its source); `tests/suite/router.rs` holds
//! them against instructions that Jupiter, Axiom, Terminal and the Pump app carried out on mainnet.

use crate::base58::key;
use crate::event::{PoolAction, PoolCall, Swap, SwapAmounts, Way};
use crate::instruction::Instruction;
use crate::program::Program;
use crate::pump;
use crate::token::ASSOCIATED_TOKEN_PROGRAM;
use crate::units::Key;

const SYSTEM: Key = [0; 32];
const MEMO: Key = key("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");
// Source: pump-rust-client 0.5.0 `src/constants.rs`.
const PUMP_GLOBAL: Key = key("4wTV1YmiEkRvAtNtsSGPtUrqRYQMe5SKy2uB4Jjaxnjf");
const PUMP_EVENTS: Key = key("Ce6TQqeHC9p8KetsN6JsjHK7UTZk7nasjjnr7XxXp9F1");
const PUMP_FEE_CONFIG: Key = key("8Wf5TiAheLUqBrKXeYg2JtAFFMWtKdG2BSFgqUcPVwTt");
const PUMP_AMM_GLOBAL: Key = key("ADyA8hdefvWN2dbGGWFotbzWxrAvLW83WG6QCVXvJKqw");
const PUMP_AMM_EVENTS: Key = key("GS4CU59F31iL7aR2Q8zVS8DRrcRnXX1yjQ66TqNVQnaR");
// Derived addresses of each program (`["amm authority"]`, `["vault_and_lp_mint_auth_seed"]`, `["vault_auth_seed"]`,
// `["pool_authority"]`), as their publishers' clients name them: raydium-sdk-V2, dynamic-bonding-curve-sdk,
// damm-v2-sdk.
const RAYDIUM_AMM_AUTHORITY: Key = key("5Q544fKrFoe6tsEbD7S8EmxGTJYAKtTVhAW5Q5pge4j1");
const RAYDIUM_CP_AUTHORITY: Key = key("GpMZbSM2GgvTKHJirzeGfMFoaZ8UR2X7F4v8vHTvxFbL");
const LAUNCHLAB_AUTHORITY: Key = key("WLHv2UAZm6z4KyaaELi5pjdbJh6RESMva1Rnn8pJVVh");
const DBC_AUTHORITY: Key = key("FhVo3mqL8PW5pH5U2CN4XE33DokiyZnUwuGpH2hmHLuM");
const DAMM_AUTHORITY: Key = key("HLnpSz9h2S4hiLQ43rnSD9XkcUThA7B8hQMKmDaiTLcC");

/// Where a pair of accounts stands.
#[derive(Clone, Copy)]
enum Pair {
    /// Side a, side b.
    Sides(usize, usize),
    /// What goes in, what comes out.
    InOut(usize, usize),
    /// Not in the row.
    Absent,
}

/// Accounts of an instruction that are looked at: the runtime gives a program no more.
///
/// Source: solana-transaction-context `MAX_ACCOUNTS_PER_INSTRUCTION`.
pub(super) const ACCOUNTS_MAX: usize = 255;
/// No such position.
const ABSENT: usize = usize::MAX;

/// A venue's accounts in a row, counted from the row's first.
pub(super) struct Layout {
    /// The venue.
    pub(super) program: Program,
    /// Accounts that belong to the row in any case.
    pub(super) len_min: usize,
    pool: usize,
    /// Whose tokens are traded.
    actor: usize,
    mints: Pair,
    accounts: Pair,
    marks: &'static [(usize, &'static Key)],
    /// The marks alone tell the row from every other, even without the program's id before it.
    is_marked: bool,
}

/// Pump, `buy`, `buy_exact_sol_in`, `sell`.
pub(super) const PUMP_V1: Layout = Layout {
    program: Program::Pump,
    len_min: 14,
    pool: pump::BUY_V1.bonding_curve,
    actor: pump::BUY_V1.user,
    mints: Pair::Sides(pump::BUY_V1.mint, ABSENT),
    accounts: Pair::Sides(5, ABSENT),
    marks: &[
        (0, &PUMP_GLOBAL),
        (7, &SYSTEM),
        (10, &PUMP_EVENTS),
        (11, &pump::PROGRAM),
    ],
    is_marked: true,
};

/// Pump, `buy_v2`, `buy_exact_quote_in_v2`, `sell_v2`.
pub(super) const PUMP_V2: Layout = Layout {
    len_min: 26,
    pool: pump::BUY_V2.bonding_curve,
    actor: pump::BUY_V2.user,
    mints: Pair::Sides(pump::BUY_V2.mint, pump::BUY_V2.quote_mint),
    accounts: Pair::Sides(14, 15),
    marks: &[(0, &PUMP_GLOBAL), (5, &ASSOCIATED_TOKEN_PROGRAM)],
    ..PUMP_V1
};

/// Pump, `buy_v3`, `buy_exact_quote_in_v3`, `sell_v3`.
pub(super) const PUMP_V3: Layout = Layout {
    len_min: 17,
    pool: pump::TRADE_V3.bonding_curve,
    actor: pump::TRADE_V3.user,
    mints: Pair::Sides(pump::TRADE_V3.mint, pump::TRADE_V3.quote_mint),
    accounts: Pair::Sides(9, 10),
    marks: &[
        (0, &PUMP_GLOBAL),
        (12, &PUMP_FEE_CONFIG),
        (14, &SYSTEM),
        (15, &PUMP_EVENTS),
        (16, &pump::PROGRAM),
    ],
    ..PUMP_V1
};

/// PumpSwap, the v2 set and the legacy one: the accounts named here stand alike in both.
pub(super) const PUMP_AMM: Layout = Layout {
    program: Program::PumpAmm,
    len_min: 17,
    pool: 0,
    actor: 1,
    mints: Pair::Sides(3, PUMP_AMM_QUOTE),
    accounts: Pair::Sides(5, 6),
    marks: &[
        (2, &PUMP_AMM_GLOBAL),
        (15, &PUMP_AMM_EVENTS),
        (16, Program::PumpAmm.id()),
    ],
    is_marked: true,
};

/// AMM v4, `SwapBaseIn` without target orders, as Jupiter sends it.
pub(super) const RAYDIUM_AMM: Layout = Layout {
    program: Program::RaydiumAmm,
    len_min: 17,
    pool: 1,
    actor: 16,
    mints: Pair::Absent,
    accounts: Pair::InOut(14, 15),
    marks: &[(0, &pump::TOKEN_PROGRAM), (2, &RAYDIUM_AMM_AUTHORITY)],
    is_marked: false,
};

/// AMM v4, `SwapBaseInV2`.
pub(super) const RAYDIUM_AMM_V2: Layout = Layout {
    len_min: 8,
    actor: 7,
    accounts: Pair::InOut(5, 6),
    ..RAYDIUM_AMM
};

/// CPMM, `swap_base_input`.
pub(super) const RAYDIUM_CP: Layout = Layout {
    program: Program::RaydiumCp,
    len_min: 13,
    pool: 3,
    actor: 0,
    mints: Pair::InOut(10, 11),
    accounts: Pair::InOut(4, 5),
    marks: &[(1, &RAYDIUM_CP_AUTHORITY)],
    is_marked: false,
};

/// CLMM, `swap`.
pub(super) const RAYDIUM_CLMM: Layout = Layout {
    program: Program::RaydiumClmm,
    len_min: 10,
    pool: 2,
    actor: 0,
    mints: Pair::Absent,
    accounts: Pair::InOut(3, 4),
    marks: &[(8, &pump::TOKEN_PROGRAM)],
    is_marked: false,
};

/// CLMM, `swap_v2`.
pub(super) const RAYDIUM_CLMM_V2: Layout = Layout {
    len_min: 13,
    mints: Pair::InOut(11, 12),
    marks: &[
        (8, &pump::TOKEN_PROGRAM),
        (9, &pump::TOKEN_2022_PROGRAM),
        (10, &MEMO),
    ],
    ..RAYDIUM_CLMM
};

/// LaunchLab, every trade.
pub(super) const LAUNCHLAB: Layout = Layout {
    program: Program::LaunchLab,
    len_min: 15,
    pool: 4,
    actor: 0,
    mints: Pair::Sides(9, 10),
    accounts: Pair::Sides(5, 6),
    marks: &[(1, &LAUNCHLAB_AUTHORITY), (14, Program::LaunchLab.id())],
    is_marked: false,
};

/// Whirlpool, `swap`.
pub(super) const WHIRLPOOL: Layout = Layout {
    program: Program::Whirlpool,
    len_min: 11,
    pool: 2,
    actor: 1,
    mints: Pair::Absent,
    accounts: Pair::Sides(3, 5),
    marks: &[(0, &pump::TOKEN_PROGRAM)],
    is_marked: false,
};

/// Whirlpool, `swap_v2`.
pub(super) const WHIRLPOOL_V2: Layout = Layout {
    len_min: 15,
    pool: 4,
    actor: 3,
    mints: Pair::Sides(5, 6),
    accounts: Pair::Sides(7, 9),
    marks: &[(2, &MEMO)],
    ..WHIRLPOOL
};

/// DLMM, `swap`.
pub(super) const DLMM: Layout = Layout {
    program: Program::Dlmm,
    len_min: 15,
    pool: 0,
    actor: 10,
    mints: Pair::Sides(6, 7),
    accounts: Pair::InOut(4, 5),
    marks: &[(14, Program::Dlmm.id())],
    is_marked: false,
};

/// DLMM, `swap2`.
pub(super) const DLMM_V2: Layout = Layout {
    len_min: 16,
    marks: &[(13, &MEMO), (15, Program::Dlmm.id())],
    ..DLMM
};

/// DBC, `swap` and `swap2`.
pub(super) const DBC: Layout = Layout {
    program: Program::Dbc,
    len_min: 15,
    pool: 2,
    actor: 9,
    mints: Pair::Sides(7, 8),
    accounts: Pair::InOut(3, 4),
    marks: &[(0, &DBC_AUTHORITY), (14, Program::Dbc.id())],
    is_marked: false,
};

/// DAMM v2, `swap` and `swap2`.
pub(super) const DAMM: Layout = Layout {
    program: Program::Damm,
    len_min: 14,
    pool: 1,
    actor: 8,
    mints: Pair::Sides(6, 7),
    accounts: Pair::InOut(2, 3),
    marks: &[(0, &DAMM_AUTHORITY), (13, Program::Damm.id())],
    is_marked: false,
};

/// Terminal keeps an order of its own; these are the parts of it that mainnet transactions show.
pub(super) const TERMINAL_PUMP: Layout = Layout {
    program: Program::Pump,
    len_min: 4,
    pool: 0,
    actor: ABSENT,
    mints: Pair::Sides(2, 3),
    accounts: Pair::Absent,
    marks: &[(1, &PUMP_GLOBAL)],
    is_marked: false,
};

/// As above, a PumpSwap pool.
pub(super) const TERMINAL_PUMP_AMM: Layout = Layout {
    program: Program::PumpAmm,
    marks: &[(1, &PUMP_AMM_GLOBAL)],
    ..TERMINAL_PUMP
};

/// As above, a CLMM pool.
pub(super) const TERMINAL_CLMM: Layout = Layout {
    program: Program::RaydiumClmm,
    len_min: 10,
    pool: 1,
    actor: ABSENT,
    mints: Pair::InOut(8, 9),
    accounts: Pair::InOut(2, 3),
    marks: &[(7, &MEMO)],
    is_marked: false,
};

/// Pump's rows.
pub(super) const PUMP: [&Layout; 3] = [&PUMP_V1, &PUMP_V2, &PUMP_V3];

/// Every venue's rows.
pub(super) const VENUES: [&[&Layout]; 10] = [
    &PUMP,
    &[&PUMP_AMM],
    &[&RAYDIUM_AMM, &RAYDIUM_AMM_V2],
    &[&RAYDIUM_CP],
    &[&RAYDIUM_CLMM, &RAYDIUM_CLMM_V2],
    &[&LAUNCHLAB],
    &[&WHIRLPOOL, &WHIRLPOOL_V2],
    &[&DLMM, &DLMM_V2],
    &[&DBC],
    &[&DAMM],
];

/// Terminal's rows.
pub(super) const TERMINAL: [&[&Layout]; 3] =
    [&[&TERMINAL_PUMP], &[&TERMINAL_PUMP_AMM], &[&TERMINAL_CLMM]];

/// Position of the quote's mint in [`PUMP_AMM`].
pub(super) const PUMP_AMM_QUOTE: usize = 4;

/// How well a row fits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// A known account contradicts a mark, or there are too few accounts.
    Not,
    /// Nothing contradicts; a mark is behind an unknown table.
    Perhaps,
    /// Every mark is there.
    Surely,
}

/// Who may own the tokens that a row's call trades.
#[derive(Clone, Copy)]
pub(super) enum Actor {
    /// The account at one of these positions of the router's instruction.
    OneOf(usize, usize),
    /// Any signer of the transaction.
    Signer,
}

/// A row found in a router's accounts.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Which row.
    pub(super) layout: &'static Layout,
    /// Position of its first account.
    pub(super) from: usize,
}

impl Layout {
    fn fit(&self, instruction: &Instruction<'_>, from: usize, actor: Actor) -> Fit {
        if instruction.account_count() < from + self.len_min {
            return Fit::Not;
        }
        let mut fit = Fit::Surely;
        for (position, mark) in self.marks {
            match instruction.account(from + position) {
                None => fit = Fit::Perhaps,
                Some(found) if found != **mark => return Fit::Not,
                Some(_) => {}
            }
        }
        if self.actor == ABSENT {
            return fit;
        }
        let at = from + self.actor;
        let is_actor = match actor {
            Actor::OneOf(one, other) => {
                instruction.is_same(at, one) || instruction.is_same(at, other)
            }
            Actor::Signer => instruction.is_signer(at),
        };
        if is_actor { fit } else { Fit::Not }
    }
}

/// The first row from position `from` on that is one of `layouts`, all of one venue.
///
/// Right behind the venue's program id a row may have marks behind unknown tables, if no other of the rows fits as
/// well; elsewhere every mark must show.
pub(super) fn next_of(
    instruction: &Instruction<'_>,
    layouts: &[&'static Layout],
    from: usize,
    actor: Actor,
) -> Option<Row> {
    (from..instruction.account_count().min(ACCOUNTS_MAX))
        .find_map(|position| row_at(instruction, layouts, position, actor))
}

/// The row at `position`, or behind it when the venue's program id stands there.
pub(super) fn row_at(
    instruction: &Instruction<'_>,
    layouts: &[&'static Layout],
    position: usize,
    actor: Actor,
) -> Option<Row> {
    let account = instruction.account(position)?;
    let (mut best, mut is_only) = (None, true);
    for layout in layouts {
        let row = |from| Row { layout, from };
        if account == *layout.program.id() {
            match layout.fit(instruction, position + 1, actor) {
                Fit::Not => {}
                Fit::Surely => return Some(row(position + 1)),
                Fit::Perhaps => {
                    is_only = best.is_none();
                    best = Some(row(position + 1));
                }
            }
        }
        let is_first_mark = layout.is_marked
            && match layout.marks.first() {
                Some((0, mark)) => account == **mark,
                _ => true,
            };
        if is_first_mark && layout.fit(instruction, position, actor) == Fit::Surely {
            return Some(row(position));
        }
    }
    best.filter(|_| is_only)
}

/// What a router lets know of one call to a venue.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// Who signed.
    pub(super) actor: Option<Key>,
    /// What is on the wire of its amounts.
    pub(super) amounts: SwapAmounts,
    /// Which way, if the router says.
    pub(super) way: Option<Way>,
    /// What goes in, if the router says.
    pub(super) mint_in: Option<Key>,
    /// What comes out, if the router says.
    pub(super) mint_out: Option<Key>,
}

impl Known {
    /// A swap in a pool that is not known.
    pub(super) const fn elsewhere(self) -> PoolCall {
        self.call(None, None, None)
    }

    /// The swap of `row`.
    pub(super) fn of(mut self, instruction: &Instruction<'_>, row: Row) -> PoolCall {
        let at = |position: usize| match position {
            ABSENT => None,
            _ => instruction.account(row.from + position),
        };
        let (mut mint_a, mut mint_b) = (None, None);
        match row.layout.mints {
            Pair::Sides(a, b) => (mint_a, mint_b) = (at(a), at(b)),
            Pair::InOut(given, got) => {
                self.mint_in = self.mint_in.or(at(given));
                self.mint_out = self.mint_out.or(at(got));
                // Raydium's pools, whose token 0 is the mint with the smaller bytes.
                if let Some((given, got)) = self.mint_in.zip(self.mint_out) {
                    (mint_a, mint_b) = (Some(given.min(got)), Some(given.max(got)));
                }
            }
            Pair::Absent => {}
        }
        self.way = self.way.or_else(|| {
            let same = |one: Option<Key>, other: Option<Key>| one.is_some() && one == other;
            if same(self.mint_in, mint_a) || same(self.mint_out, mint_b) {
                Some(Way::AToB)
            } else if same(self.mint_in, mint_b) || same(self.mint_out, mint_a) {
                Some(Way::BToA)
            } else {
                None
            }
        });
        let by_way = |a: Option<Key>, b: Option<Key>| match self.way {
            Some(Way::AToB) => (a, b),
            Some(Way::BToA) => (b, a),
            None => (None, None),
        };
        let (mint_in, mint_out) = by_way(mint_a, mint_b);
        self.mint_in = self.mint_in.or(mint_in);
        self.mint_out = self.mint_out.or(mint_out);
        let (account_in, account_out) = match row.layout.accounts {
            Pair::Sides(a, b) => by_way(at(a), at(b)),
            Pair::InOut(given, got) => (at(given), at(got)),
            Pair::Absent => (None, None),
        };
        self.call(at(row.layout.pool), account_in, account_out)
    }

    const fn call(
        self,
        pool: Option<Key>,
        account_in: Option<Key>,
        account_out: Option<Key>,
    ) -> PoolCall {
        PoolCall {
            pool,
            actor: self.actor,
            action: PoolAction::Swap(Swap {
                amounts: self.amounts,
                way: self.way,
                mint_in: self.mint_in,
                mint_out: self.mint_out,
                account_in,
                account_out,
                price_limit: None,
            }),
        }
    }
}
