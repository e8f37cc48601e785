//! An intent to the bytes that would be signed.
//!
//! `patch`: addresses are known and filled in, what is left is the template and the amounts. `seen`: from the intent,
//! for a coin whose addresses everybody has met before. `new`: from the intent, for a coin nobody has met.

use std::cell::RefCell;
use std::hint::black_box;

use bench::figures::Findings;
use bench::launch::Launch;
use bench::usual::Derived;
use bundle::Draft;
use hdrhistogram::Histogram;
use risk::Approved;

use crate::Context;
use crate::coin::{self, BLOCKHASH, Keys, Naming, TOKENS};
use crate::contest::{Contest, SLICE, each, once, slices};
use crate::ours::Ours;
#[cfg(feature = "trade-sdk")]
use crate::trade_sdk::TradeSdk;

/// Coins that are bought in turn: as many as the gate has places for open positions.
const SEEN: usize = 64;

/// Measures all three.
///
/// # Errors
/// A sentence when a builder refuses.
pub(crate) fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for naming in Naming::ALL {
        let len = seen(context, naming, &mut findings)?;
        if let Naming::InFull = naming {
            new(context, len, &mut findings);
        }
    }
    Ok(findings)
}

/// One coin with what each contestant needs to buy it.
struct Purchase {
    coin: Launch,
    approved: Approved,
    draft: Draft,
    derived: Derived,
}

/// Returns the transaction's length.
fn seen(context: &Context, naming: Naming, findings: &mut Findings) -> Result<usize, String> {
    let order = coin::order();
    let usual = naming.usual();
    let mut ours = Ours::new(naming);
    let mut purchases = Vec::with_capacity(SEEN);
    for coin in Keys::new(1).coins(SEEN) {
        let approved = ours.approve(&coin);
        let prepared = ours.prepare(&approved);
        let draft = prepared.and_then(|()| ours.draft(&approved));
        let draft = draft.map_err(|refused| format!("build: refused, {refused:?}"))?;
        purchases.push(Purchase {
            derived: Derived::of(&coin, &usual.user()),
            coin,
            approved,
            draft,
        });
    }
    let len = purchases
        .first()
        .map_or(0, |first| first.draft.layout().len);
    let ticker = context.ticker;
    let (many, few) = (context.size(400, 40), context.size(20, 4));
    let mut out = vec![0; len];
    let patch = Contest::sliced(naming.row("build.patch"), |log| {
        for _ in 0..many {
            slices(ticker, log, &purchases, |one| {
                let rendered = Ours::render(black_box(&one.draft), &one.approved, &mut out);
                black_box((rendered.is_ok(), &out));
            });
        }
    });
    let given = |log: &mut Histogram<u64>| {
        for _ in 0..few {
            slices(ticker, log, &purchases, |one| {
                let one = black_box(one);
                let message =
                    usual.message_with(&one.coin, &one.derived, order.spend, TOKENS, &BLOCKHASH);
                black_box(message.serialize());
            });
        }
    };
    let deriving = |log: &mut Histogram<u64>| {
        for _ in 0..few {
            slices(ticker, log, &purchases, |one| {
                let message = usual.message(black_box(&one.coin), order.spend, TOKENS, &BLOCKHASH);
                black_box(message.serialize());
            });
        }
    };
    #[cfg(feature = "trade-sdk")]
    let (trade_sdk, parameters) = {
        let trade_sdk = TradeSdk::new(bench::ours::seed(), order);
        let of = |one: &Purchase| trade_sdk.parameters(&one.coin);
        let parameters: Vec<_> = purchases.iter().map(of).collect();
        (trade_sdk, parameters)
    };
    #[cfg(feature = "trade-sdk")]
    let trade = |log: &mut Histogram<u64>| {
        for _ in 0..few {
            slices(ticker, log, &parameters, |one| {
                black_box(trade_sdk.message(black_box(one)));
            });
        }
    };
    let patch = patch
        .against("solana_sdk_addresses_given", given)
        .against("solana_sdk", deriving);
    #[cfg(feature = "trade-sdk")]
    let patch = match naming {
        Naming::InFull => patch.against("sol_trade_sdk", trade),
        Naming::ByTable => patch,
    };
    findings.rows.extend(patch.rows(context));

    let mut out = vec![0; len];
    let whole = Contest::sliced(naming.row("build.seen"), |log| {
        for _ in 0..many {
            slices(ticker, log, &purchases, |one| {
                let draft = ours.draft(black_box(&one.approved));
                let rendered =
                    draft.and_then(|draft| Ours::render(&draft, &one.approved, &mut out));
                black_box((rendered.is_ok(), &out));
            });
        }
    });
    let whole = whole
        .against("solana_sdk_addresses_given", given)
        .against("solana_sdk", deriving);
    #[cfg(feature = "trade-sdk")]
    let whole = match naming {
        Naming::InFull => whole.against("sol_trade_sdk", trade),
        Naming::ByTable => whole,
    };
    findings.rows.extend(whole.rows(context));
    findings.notes.push(format!(
        "{}: {SEEN} coins in turn, {len} bytes with the signature's place; patch and seen are means of {SLICE}",
        naming.row("build")
    ));
    Ok(len)
}

/// Every coin once: nobody's cache knows it.
fn new(context: &Context, len: usize, findings: &mut Findings) {
    let order = coin::order();
    let usual = Naming::InFull.usual();
    let ticker = context.ticker;
    let keys = RefCell::new(Keys::new(2));
    let count = context.size(2_000, 200);
    let fresh = || keys.borrow_mut().coins(count);
    let mut ours = Ours::new(Naming::InFull);
    let mut out = vec![0; len];
    let contest = Contest::single("build.new", |log| {
        for coin in fresh() {
            let approved = ours.approve(&coin);
            once(ticker, log, || {
                let draft = ours.draft(black_box(&approved));
                let rendered = draft.and_then(|draft| Ours::render(&draft, &approved, &mut out));
                black_box((rendered.is_ok(), &out));
            });
            ours.release(approved);
        }
    })
    .against("solana_sdk", |log| {
        each(ticker, log, &fresh(), |coin| {
            let message = usual.message(black_box(coin), order.spend, TOKENS, &BLOCKHASH);
            black_box(message.serialize());
        });
    });
    #[cfg(feature = "trade-sdk")]
    let contest = {
        let trade_sdk = TradeSdk::new(bench::ours::seed(), order);
        contest.against("sol_trade_sdk", move |log| {
            let coins = fresh();
            let of = |coin| trade_sdk.parameters(coin);
            let parameters: Vec<_> = coins.iter().map(of).collect();
            each(ticker, log, &parameters, |one| {
                black_box(trade_sdk.message(black_box(one)));
            });
        })
    };
    findings.rows.extend(contest.rows(context));
}
