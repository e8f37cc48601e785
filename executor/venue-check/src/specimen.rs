//! Live coins and pools, and somebody who trades them: found in the recent transactions of a program.

use accounts::{AccountData, Assembler, Update};
use bundle::pda;
use market::token::{TokenAccount, TokenProgram};
use market::{
    CurveTable, FeeSchedule, Key, Lamports, Lineage, Listing, MarketEvent, PoolAction, PoolTable,
    Program, VenueAccounts, VenueTerms, decode, pump, pump_amm,
};
use shred_wire::txn::TxnView;
use shred_wire::{Nanos, Slot};
use strategy::Venue;

use crate::chain::{Account, Accounts, Chain, ChainError, Recent, Slice};
use crate::verdict::SYSTEM_PROGRAM;

/// Coins or pools of one program that are kept.
const CANDIDATES_MAX: usize = 12;
/// What a trial trade is worth, lamports: little enough for anybody, enough for every fee to be more than nothing.
const WORTH: Lamports = Lamports(1_000_000);

/// A coin or a pool that somebody has traded a short while ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The coin of a Pump curve, or the pool.
    pub(crate) key: Key,
    /// Who traded.
    pub(crate) trader: Key,
}

/// What a trial trade is built from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Specimen {
    /// What its instructions name.
    pub(crate) accounts: VenueAccounts,
    /// Tokens that [`WORTH`] buys.
    pub(crate) tokens: u64,
    /// Whether the coin's creator fee goes back to traders.
    pub(crate) cashback: bool,
    /// Who traded it.
    pub(crate) trader: Key,
    /// What that one has.
    pub(crate) lamports: u64,
    /// And of the coin.
    pub(crate) held: u64,
}

/// What prices depend on, as the chain has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) slot: u64,
    pub(crate) epoch: u64,
    pub(crate) now_s: u64,
    pub(crate) terms: VenueTerms,
}

/// The clock. Source: solana-sdk-ids; slot at 0, epoch at 16, Unix time at 32 (solana-clock).
const CLOCK: Key = market::base58::key("SysvarC1ock11111111111111111111111111111111");

/// Reads clock and fee terms.
pub(crate) fn moment<C: Chain + ?Sized>(chain: &mut C) -> Result<Moment, ChainError> {
    let keys = [
        CLOCK,
        pump::GLOBAL,
        pump::FEE_CONFIG,
        pump_amm::GLOBAL_CONFIG,
        pump_amm::FEE_CONFIG,
    ];
    let told = chain.accounts(&keys, Slice::Whole)?;
    let clock = told.accounts.first().and_then(Option::as_ref);
    let word = |at: usize| -> Option<u64> {
        let bytes = clock?.data.get(at..at + 8)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    };
    let epoch = word(16).unwrap_or_default();
    let mut assembler = Assembler::finding(epoch, 0);
    feed(&mut assembler, &keys, &told, 1, &mut |_| {});
    let unread = VenueTerms {
        pump: FeeSchedule::mainnet(),
        pump_amm: None,
    };
    Ok(Moment {
        slot: told.slot,
        epoch,
        now_s: word(32).unwrap_or_default(),
        // What cannot be read leaves pools without a price, and curves with the published one.
        terms: assembler.terms().ok().flatten().unwrap_or(unread),
    })
}

/// What was traded on `program` of late, one entry for each coin or pool.
pub(crate) fn candidates<C: Chain + ?Sized>(
    chain: &mut C,
    program: Program,
) -> Result<Vec<Candidate>, ChainError> {
    let mut found: Vec<Candidate> = Vec::new();
    chain.recent(program.id(), &mut |recent| {
        collect(recent, program, &mut found);
        found.len() >= CANDIDATES_MAX
    })?;
    Ok(found)
}

fn collect(recent: &Recent, program: Program, found: &mut Vec<Candidate>) {
    let Ok(view) = TxnView::parse(&recent.bytes) else {
        return;
    };
    let tables = recent.tables(&view);
    decode(&view, &tables, Slot(0), Nanos(0), &mut |event| {
        let candidate = match event {
            MarketEvent::Trade(trade) if program == Program::Pump => Some(Candidate {
                key: trade.mint.0,
                trader: trade.trader,
            }),
            MarketEvent::Pool(event) if event.program == program => {
                let traded = matches!(
                    event.call.action,
                    PoolAction::Swap(_) | PoolAction::ReferredSwap(_)
                );
                let who = event.call.pool.zip(event.call.actor).filter(|_| traded);
                who.map(|(key, trader)| Candidate { key, trader })
            }
            _ => None,
        };
        if let Some(candidate) = candidate
            && found.len() < CANDIDATES_MAX
            && candidate.key != [0; 32]
            && !found.iter().any(|known| known.key == candidate.key)
        {
            found.push(candidate);
        }
    });
}

/// Puts a candidate together as the engine would know it; a sentence where it is of no use.
pub(crate) fn prepare<C: Chain + ?Sized>(
    chain: &mut C,
    venue: Venue,
    candidate: &Candidate,
    moment: &Moment,
) -> Result<Result<Specimen, &'static str>, ChainError> {
    let priced = match venue {
        Venue::PumpV3 | Venue::PumpV2 => on_curve(chain, candidate, moment)?,
        _ => in_pool(chain, candidate, moment)?,
    };
    let (accounts, tokens, cashback) = match priced {
        Ok(priced) => priced,
        Err(why) => return Ok(Err(why)),
    };
    if *accounts.quote_mint() != pump::WRAPPED_SOL {
        return Ok(Err("it is not priced in SOL"));
    }
    let (mint, program) = (&accounts.mint().0, accounts.token_program());
    let trader = candidate.trader;
    let Some(purse) = pda::associated_token_account(&trader, program, mint) else {
        return Ok(Err("its trader has no address for the coin"));
    };
    let told = chain.accounts(&[trader, purse], Slice::Whole)?.accounts;
    let [wallet, purse] = told.as_slice() else {
        return Err(ChainError::Malformed("two accounts"));
    };
    // What signs for others is a program's, and could not pay.
    let wallet = wallet
        .as_ref()
        .filter(|wallet| wallet.owner == SYSTEM_PROGRAM && wallet.data.is_empty());
    let held = purse.as_ref().and_then(|account| {
        let program = TokenProgram::of(&account.owner)?;
        let purse = TokenAccount::parse(&account.data, program).ok()?;
        (!purse.is_frozen).then_some(purse.amount)
    });
    Ok(Ok(Specimen {
        accounts,
        tokens,
        cashback,
        trader,
        lamports: wallet.map_or(0, |wallet| wallet.lamports),
        held: held.unwrap_or(0),
    }))
}

/// Accounts, what [`WORTH`] buys, and whether the coin gives cashback.
type Priced = Result<(VenueAccounts, u64, bool), &'static str>;

fn on_curve<C: Chain + ?Sized>(
    chain: &mut C,
    candidate: &Candidate,
    moment: &Moment,
) -> Result<Priced, ChainError> {
    let Some(curve) = pda::bonding_curve(&candidate.key) else {
        return Ok(Err("its curve has no address"));
    };
    let keys = [candidate.key, curve];
    let told = chain.accounts(&keys, Slice::Whole)?;
    let mut assembler = Assembler::new(moment.epoch);
    let mut curves = CurveTable::new(1, 0, moment.terms.pump);
    feed(&mut assembler, &keys, &told, 1, &mut |update| {
        if let Update::Curve(truth) = update {
            curves.correct(truth, &Lineage::new());
        }
    });
    let Some(curve) = curves.get(&market::Mint(candidate.key)) else {
        return Ok(Err("its curve is not understood"));
    };
    Ok(priced(&Listing::Curve(curve), curve.cashback))
}

fn in_pool<C: Chain + ?Sized>(
    chain: &mut C,
    candidate: &Candidate,
    moment: &Moment,
) -> Result<Priced, ChainError> {
    let mut assembler = Assembler::finding(moment.epoch, 0);
    let mut pools = PoolTable::new(1, 0);
    let told = chain.accounts(&[candidate.key], Slice::Whole)?;
    feed(&mut assembler, &[candidate.key], &told, 1, &mut |_| {});
    let mut keys = vec![candidate.key];
    keys.extend(assembler.wanted(&candidate.key));
    keys.dedup();
    let told = chain.accounts(&keys, Slice::Whole)?;
    let circumstances = market::Circumstances {
        pump_amm: moment.terms.pump_amm.as_ref(),
        now_s: moment.now_s,
    };
    let mut is_dangerous = false;
    feed(&mut assembler, &keys, &told, 2, &mut |update| {
        if let Update::Pool(truth) = update {
            is_dangerous = truth.is_dangerous;
            pools.correct(truth, &Lineage::new(), &circumstances);
        }
    });
    let Some(pool) = pools.get(&candidate.key).filter(|_| !is_dangerous) else {
        return Ok(Err("its pool is not understood, or dangerous"));
    };
    Ok(priced(&Listing::Pool(pool, circumstances), false))
}

fn priced(listing: &Listing<'_>, cashback: bool) -> Priced {
    if !listing.is_tradable() {
        return Err("it is not tradable");
    }
    match listing.buy(WORTH) {
        Ok(deal) if deal.tokens.0 > 0 && !deal.completes => {
            Ok((listing.accounts(), deal.tokens.0, cashback))
        }
        _ => Err("it has no price"),
    }
}

/// Lets `assembler` take what was told in one answer; of two answers the one with the higher number is the later.
fn feed(
    assembler: &mut Assembler,
    keys: &[Key],
    told: &Accounts,
    answer: u64,
    emit: &mut impl FnMut(&Update),
) {
    for (key, account) in keys.iter().zip(&told.accounts) {
        let Some(Account { owner, data, .. }) = account else {
            continue;
        };
        let account = AccountData {
            feed: market::FeedId::default(),
            key: *key,
            owner: *owner,
            slot: Slot(told.slot),
            write_version: answer,
            batch: answer,
            data,
        };
        // What is not understood is missing later, and said there.
        let _ = assembler.take(&account, emit);
    }
}
