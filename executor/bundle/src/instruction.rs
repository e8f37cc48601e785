//! Instructions that belong to no venue: token accounts, wrapped SOL, tips and guards.

use market::Key;

use crate::address::{
    ASSOCIATED_TOKEN_PROGRAM, LIGHTHOUSE_PROGRAM, SYSTEM_PROGRAM, TOKEN_PROGRAM, WRAPPED_SOL,
};
use crate::template::{AccountSpec, InstructionSpec, KeyField, KeySource, ValueField};
use crate::trader::Trader;

/// SPL Token instruction numbers, the same in Token-2022. Source: spl-token-interface 2 `TokenInstruction`.
const CLOSE_ACCOUNT: u8 = 9;
const SYNC_NATIVE: u8 = 17;

/// `CreateIdempotent` of the associated token program (data byte 1): our account for the coin.
///
/// A new account's rent is paid by us and stays in it: 2,039,280 lamports for SPL Token (165 bytes), a little
/// more for Token-2022, at 6,960 lamports per byte. It comes back only when the account is closed.
pub(crate) fn create_coin_account(token_program: &Key, trader: &Trader) -> InstructionSpec {
    create_account(
        KeySource::Patched(KeyField::UserBaseAccount),
        KeySource::Patched(KeyField::BaseMint),
        token_program,
        trader,
    )
}

/// Our wrapped-SOL account, made when it does not exist.
pub(crate) fn create_wrapped_sol_account(trader: &Trader) -> InstructionSpec {
    create_account(
        fixed(&trader.wrapped_sol_account),
        fixed(&WRAPPED_SOL),
        &TOKEN_PROGRAM,
        trader,
    )
}

fn create_account(
    account: KeySource,
    mint: KeySource,
    token_program: &Key,
    trader: &Trader,
) -> InstructionSpec {
    InstructionSpec {
        program: ASSOCIATED_TOKEN_PROGRAM,
        accounts: vec![
            payer(trader),
            AccountSpec::writable(account),
            readonly(&trader.user),
            AccountSpec::readonly(mint),
            readonly(&SYSTEM_PROGRAM),
            readonly(token_program),
        ],
        data: vec![1],
        values: Vec::new(),
    }
}

/// Wraps the most a buy may spend: a transfer into our wrapped-SOL account, and `SyncNative`, which makes its
/// token balance say so. The account exists by then; lamports sent before it does would go into its rent.
pub(crate) fn wrap_spend(trader: &Trader) -> [InstructionSpec; 2] {
    let account = AccountSpec::writable(fixed(&trader.wrapped_sol_account));
    [
        transfer(trader, account, ValueField::QuoteLimit),
        InstructionSpec {
            program: TOKEN_PROGRAM,
            accounts: vec![account],
            data: vec![SYNC_NATIVE],
            values: Vec::new(),
        },
    ]
}

/// Closes our wrapped-SOL account: everything in it, and its rent, become our lamports.
pub(crate) fn unwrap_all(trader: &Trader) -> InstructionSpec {
    close_account(
        AccountSpec::writable(fixed(&trader.wrapped_sol_account)),
        &TOKEN_PROGRAM,
        trader,
    )
}

/// Closes our account for the coin, for its rent. Fails, and the trade with it, unless the account is empty.
pub(crate) fn close_coin_account(token_program: &Key, trader: &Trader) -> InstructionSpec {
    close_account(writable(KeyField::UserBaseAccount), token_program, trader)
}

fn close_account(account: AccountSpec, token_program: &Key, trader: &Trader) -> InstructionSpec {
    InstructionSpec {
        program: *token_program,
        // The account, who gets its lamports, who owns it.
        accounts: vec![account, payer(trader), payer(trader)],
        data: vec![CLOSE_ACCOUNT],
        values: Vec::new(),
    }
}

/// The tip: a transfer of lamports inside the trading transaction.
///
/// A transfer beside the strategy, not in a transaction of its own, is Jito's advice against unbundling.
pub(crate) fn tip(trader: &Trader) -> InstructionSpec {
    transfer(
        trader,
        writable(KeyField::TipAccount),
        ValueField::TipLamports,
    )
}

/// Fails the transaction unless we are left with [`ValueField::WalletFloor`]: a transfer to ourselves.
///
/// The system program compares the amount with the balance before it moves anything, and moving it here moves
/// nothing, so this asserts a balance for 150 compute units and no outside program.
///
/// Source: agave `programs/system/src/system_processor.rs` (`transfer_verified`: `ResultWithNegativeLamports`).
pub(crate) fn keep_floor(trader: &Trader) -> InstructionSpec {
    transfer(trader, payer(trader), ValueField::WalletFloor)
}

/// Does nothing: a transfer of no lamports to ourselves, to hang a readonly account on.
pub(crate) fn no_op(trader: &Trader) -> InstructionSpec {
    InstructionSpec {
        values: Vec::new(),
        ..keep_floor(trader)
    }
}

/// Fails the transaction after slot [`ValueField::SlotMax`]: Lighthouse `AssertSysvarClock`, silent.
///
/// Data: instruction 15, log level 0, assertion 0 (slot) with its value, operator 5 (at most). No accounts.
///
/// Source: lighthouse-sdk 2.0.0 and lighthouse-sol 0.1.13, which agree; held to the latter's bytes by
/// `tests/tests/conformance_bundle.rs`.
pub(crate) fn slot_guard() -> InstructionSpec {
    InstructionSpec {
        program: LIGHTHOUSE_PROGRAM,
        accounts: Vec::new(),
        data: [&[15, 0, 0][..], &[0; 8], &[5]].concat(),
        values: vec![(ValueField::SlotMax, 3)],
    }
}

/// A transfer of lamports from us. Source: solana-system-interface 3 (`Transfer` is variant 2, a u32, before
/// the lamports).
fn transfer(trader: &Trader, to: AccountSpec, amount: ValueField) -> InstructionSpec {
    InstructionSpec {
        program: SYSTEM_PROGRAM,
        accounts: vec![payer(trader), to],
        data: [&2u32.to_le_bytes()[..], &[0; 8]].concat(),
        values: vec![(amount, 4)],
    }
}

pub(crate) const fn payer(trader: &Trader) -> AccountSpec {
    AccountSpec::payer(KeySource::Fixed(trader.user))
}

pub(crate) const fn fixed(key: &Key) -> KeySource {
    KeySource::Fixed(*key)
}

pub(crate) const fn readonly(key: &Key) -> AccountSpec {
    AccountSpec::readonly(KeySource::Fixed(*key))
}

pub(crate) const fn readonly_field(field: KeyField) -> AccountSpec {
    AccountSpec::readonly(KeySource::Patched(field))
}

pub(crate) const fn writable(field: KeyField) -> AccountSpec {
    AccountSpec::writable(KeySource::Patched(field))
}

pub(crate) const fn writable_key(key: &Key) -> AccountSpec {
    AccountSpec::writable(KeySource::Fixed(*key))
}
