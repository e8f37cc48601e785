//! An intent for a coin that everybody has met, to signed bytes: our three ways, and the rivals' one.

use std::hint::black_box;

use bench::figures::Findings;
use bench::launch::{Launch, Order};
use bench::row::Row;
use bench::usual::{Derived, SdkBuilder};
use bundle::armed::{Arming, OsEntropy, POOL_LEN, SnapshotsExcluded};
use bundle::ladder::{Blank, Grid, Intents, LadderCapacity, Wanted};
use bundle::{Builder, RecentBlockhash, Signing, TemplateIndex, Way};
use hdrhistogram::Histogram;
use market::{Lamports, TokenAmount};
use shred_wire::Slot;
#[cfg(feature = "trade-sdk")]
use sol_trade_sdk::trading::core::params::SwapParams;
use solana_sdk::signature::Keypair;
use solana_transaction::versioned::VersionedTransaction;

use crate::Context;
use crate::coin::{self, BLOCKHASH, BLOCKHASH_SLOT, Keys, Naming, TOKENS};
use crate::contest::{Contest, each, once};
use crate::ours::{Ours, signer};
#[cfg(feature = "trade-sdk")]
use crate::trade_sdk::TradeSdk;

/// Coins that are bought in turn; no more than nonces wait.
const SEEN: usize = 32;
const _: () = assert!(SEEN < POOL_LEN);
/// Room for any v0 transaction.
const TRANSACTION_LEN: usize = shred_wire::txn::LEGACY_AND_V0_LEN_MAX;

/// Measures all three ways.
///
/// # Errors
/// A sentence when a way is not to be had, or another was taken.
pub(crate) fn measure(context: &Context) -> Result<Findings, String> {
    let mut findings = Findings::default();
    for naming in Naming::ALL {
        let rivals = Rivals::new(naming);
        deterministic(context, &rivals, &mut findings)?;
        armed(context, &rivals, &mut findings)?;
    }
    let rivals = Rivals::new(Naming::InFull);
    for choice in [Choice::Alone, Choice::Rehearsed, Choice::Copied] {
        presigned(context, &rivals, choice, &mut findings)?;
    }
    Ok(findings)
}

/// Both rivals with what they need for each coin.
struct Rivals {
    naming: Naming,
    order: Order,
    usual: SdkBuilder,
    keypair: Keypair,
    coins: Vec<Launch>,
    derived: Vec<(Launch, Derived)>,
    #[cfg(feature = "trade-sdk")]
    trade_sdk: (TradeSdk, Vec<SwapParams>),
}

impl Rivals {
    fn new(naming: Naming) -> Self {
        let (seed, order) = (bench::ours::seed(), coin::order());
        let usual = naming.usual();
        let coins = Keys::new(3).coins(SEEN);
        let derived = coins
            .iter()
            .map(|coin| (*coin, Derived::of(coin, &usual.user())));
        Self {
            #[cfg(feature = "trade-sdk")]
            trade_sdk: {
                let trade_sdk = TradeSdk::new(seed, order);
                let of = |coin| trade_sdk.parameters(coin);
                let parameters = coins.iter().map(of).collect();
                (trade_sdk, parameters)
            },
            derived: derived.collect(),
            naming,
            order,
            keypair: Keypair::new_from_array(seed),
            usual,
            coins,
        }
    }

    /// Ours against all of them.
    fn contest<'a>(
        &'a self,
        context: &'a Context,
        name: &str,
        ours: impl FnMut(&mut Histogram<u64>) + 'a,
    ) -> Vec<Row> {
        let (ticker, passes) = (context.ticker, context.size(40, 8));
        let contest = Contest::single(self.naming.row(name), ours)
            .against("solana_sdk_addresses_given", move |log| {
                for _ in 0..passes {
                    each(ticker, log, &self.derived, |(coin, derived)| {
                        black_box(self.sign_with(black_box(coin), derived));
                    });
                }
            })
            .against("solana_sdk", move |log| {
                for _ in 0..passes {
                    each(ticker, log, &self.coins, |coin| {
                        let message = self.usual.message(
                            black_box(coin),
                            self.order.spend,
                            TOKENS,
                            &BLOCKHASH,
                        );
                        black_box(self.sign(message));
                    });
                }
            });
        #[cfg(feature = "trade-sdk")]
        if let Naming::InFull = self.naming {
            let contest = contest.against("sol_trade_sdk", move |log| {
                let (trade_sdk, parameters) = &self.trade_sdk;
                for _ in 0..passes {
                    each(ticker, log, parameters, |one| {
                        black_box(trade_sdk.build(black_box(one)).as_ref());
                    });
                }
            });
            return contest.rows(context);
        }
        contest.rows(context)
    }

    #[inline]
    fn sign_with(&self, coin: &Launch, derived: &Derived) -> Vec<u8> {
        self.sign(
            self.usual
                .message_with(coin, derived, self.order.spend, TOKENS, &BLOCKHASH),
        )
    }

    #[inline]
    fn sign(&self, message: solana_sdk::message::VersionedMessage) -> Vec<u8> {
        let transaction = VersionedTransaction::try_new(message, &[&self.keypair])
            .expect("the only signer is here");
        wincode::serialize(&transaction).expect("a transaction serialises")
    }
}

/// Meets every coin once.
fn prepare(ours: &mut Ours, coins: &[Launch]) -> Result<(), String> {
    coins.iter().try_for_each(|coin| {
        let approved = ours.approve(coin);
        let prepared = ours.prepare(&approved);
        ours.release(approved);
        prepared.map_err(|refused| format!("sign: refused, {refused:?}"))
    })
}

/// Approves, builds inside the clock, gives back.
fn build_all(context: &Context, ours: &mut Ours, coins: &[Launch], log: &mut Histogram<u64>) {
    for coin in coins {
        let approved = ours.approve(coin);
        once(context.ticker, log, || {
            let built = ours.build(black_box(&approved));
            black_box((built.is_ok(), &ours.cell));
        });
        ours.release(approved);
    }
}

fn deterministic(
    context: &Context,
    rivals: &Rivals,
    findings: &mut Findings,
) -> Result<(), String> {
    let mut ours = Ours::new(rivals.naming);
    prepare(&mut ours, &rivals.coins)?;
    let passes = context.size(80, 16);
    let rows = rivals.contest(context, "sign.deterministic", |log| {
        for _ in 0..passes {
            build_all(context, &mut ours, &rivals.coins, log);
        }
    });
    findings.rows.extend(rows);
    Ok(())
}

fn armed(context: &Context, rivals: &Rivals, findings: &mut Findings) -> Result<(), String> {
    let config = rivals.naming.config();
    let signer = signer();
    let prefixes = config
        .static_prefixes(signer.public_key())
        .map_err(|error| error.to_string())?;
    let prefixes: Vec<&[u8]> = prefixes.iter().map(Vec::as_slice).collect();
    let proof = SnapshotsExcluded::irrelevant();
    let (signing, mut arming) = Signing::armed(signer, proof, OsEntropy, &prefixes)
        .map_err(|error| format!("sign.armed: {error}"))?;
    let builder = Builder::with_signing(&config, signing).map_err(|error| error.to_string())?;
    let mut ours = Ours::with(builder);
    prepare(&mut ours, &rivals.coins)?;
    settle(&mut arming)?;
    let absorbed = absorbed(&mut ours, &arming, &rivals.coins, prefixes.len());
    let row = rivals.naming.row("sign.armed");
    findings.notes.push(format!("{row}: {absorbed}"));
    settle(&mut arming)?;
    let passes = context.size(80, 16);
    let mut failed = None;
    let rows = rivals.contest(context, "sign.armed", |log| {
        for _ in 0..passes {
            build_all(context, &mut ours, &rivals.coins, log);
            // Every signature verified, every nonce made anew, before the next pass: outside the clock.
            if let Err(error) = settle(&mut arming) {
                failed = Some(error);
            }
        }
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let counts = ours.builder.signature_counts();
    if counts[Way::Deterministic as usize] > 0 {
        return Err(format!("sign.armed: signatures by way {counts:?}"));
    }
    findings.rows.extend(rows);
    Ok(())
}

/// Until there is nothing left to verify or to make.
fn settle(arming: &mut Arming) -> Result<(), String> {
    while arming
        .poll()
        .map_err(|halted| format!("sign.armed: {halted}"))?
        > 0
    {}
    Ok(())
}

/// How much of a buy was hashed before its coin was known.
fn absorbed(ours: &mut Ours, arming: &Arming, coins: &[Launch], templates: usize) -> String {
    let levels = |arming: &Arming| -> Vec<usize> {
        (0..templates)
            .map(|index| arming.level(TemplateIndex(index as u8)))
            .collect()
    };
    let before = levels(arming);
    for coin in coins.iter().take(1) {
        let approved = ours.approve(coin);
        black_box(ours.build(&approved).is_ok());
        ours.release(approved);
    }
    let after = levels(arming);
    let used = before
        .iter()
        .zip(&after)
        .position(|(before, after)| before > after);
    let absorbed = used.map_or(0, |index| arming.absorbed_len(TemplateIndex(index as u8)));
    let message = ours.cell.message(0).map_or(0, <[u8]>::len);
    format!(
        "{absorbed} of {} bytes (R, A and {message} of message) absorbed when armed",
        message + 64
    )
}

/// How a rung is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Right after its ladder was signed, and whatever the host did meanwhile.
    Alone,
    /// After a look at its terms, as the engine takes one every 20 us while nothing comes in, and at each trigger.
    Rehearsed,
    /// Alone, with its bytes' copy to where they leave from.
    Copied,
}

impl Choice {
    const fn row(self) -> &'static str {
        match self {
            Self::Alone => "sign.presigned",
            Self::Rehearsed => "sign.presigned_rehearsed",
            Self::Copied => "sign.presigned_and_copied",
        }
    }
}

/// The choice of a rung.
fn presigned(
    context: &Context,
    rivals: &Rivals,
    choice: Choice,
    findings: &mut Findings,
) -> Result<(), String> {
    let mut ours = Ours::new(rivals.naming);
    let Some(coin) = rivals.coins.first() else {
        return Ok(());
    };
    prepare(&mut ours, &rivals.coins)?;
    let ladder_signer = ours.builder.ladder_signer();
    let mut intents = Intents::default();
    let order = rivals.order;
    let older = RecentBlockhash {
        hash: [0xba; 32],
        slot: Slot(BLOCKHASH_SLOT.0 - 8),
    };
    let newer = RecentBlockhash {
        hash: BLOCKHASH,
        slot: BLOCKHASH_SLOT,
    };
    let sizes = [order.spend / 4, order.spend / 2, order.spend];
    let tips = [order.tip / 2, order.tip];
    let grid = Grid {
        sizes: &sizes,
        tips: &tips,
        blockhashes: &[newer, older],
    };
    let wanted = Wanted {
        size_max: order.spend,
        size_min: 0,
        tip_min: order.tip,
        tip_max: order.tip,
        slot: BLOCKHASH_SLOT,
        blockhash_age_max: 32,
    };
    let mut blank = Some(Blank::new(LadderCapacity {
        sizes: sizes.len(),
        tips: tips.len(),
        blockhashes: 2,
        transaction_len: TRANSACTION_LEN,
    }));
    let count = context.size(1_000, 200);
    let mut failed = None;
    let mut out = [0; TRANSACTION_LEN];
    let mut one = |log: &mut Histogram<u64>| -> Result<(), String> {
        let approved = ours.approve(coin);
        let draft = ours.draft(&approved).map_err(|no| format!("{no:?}"))?;
        let memory = blank.take().ok_or("the ladder's memory is gone")?;
        let armed = ladder_signer.arm(memory, approved.id, &grid, &draft.layout(), |terms, out| {
            draft.render(
                TokenAmount(TOKENS),
                Lamports(terms.size),
                Lamports(terms.tip),
                &terms.blockhash,
                out,
            )
        });
        let ladder = armed.map_err(|(_, no)| format!("{no:?}"))?;
        let mut held = intents.hold(approved.id).ok_or("an id was used twice")?;
        held.renew(ladder).map_err(|_| "another intent's ladder")?;
        if choice == Choice::Rehearsed {
            let peeked = ours.builder.peek(&approved, &held, &wanted);
            black_box(peeked).map_err(|no| format!("{no:?}"))?;
        }
        let start = context.ticker.nanos();
        let released = ours
            .builder
            .release(black_box(&approved), held, black_box(&wanted));
        if let (Choice::Copied, Ok(rung)) = (choice, &released) {
            let bytes = rung.bytes();
            out[..bytes.len()].copy_from_slice(bytes);
            black_box(&mut out);
        }
        let released = black_box(released);
        let spent = context.ticker.nanos().wrapping_sub(start);
        let released = released.map_err(|no| format!("{:?}", no.why))?;
        log.saturating_record(spent);
        blank = Some(released.retire().wipe());
        ours.release(approved);
        Ok(())
    };
    let name = choice.row();
    let rows = rivals.contest(context, name, |log| {
        for _ in 0..count {
            if let Err(error) = one(log) {
                failed = Some(error);
                return;
            }
        }
    });
    if let Some(error) = failed {
        return Err(format!("{name}: {error}"));
    }
    findings.rows.extend(rows);
    findings.notes.push(format!(
        "{name}: {} rungs a ladder, signed and wiped outside the clock",
        sizes.len() * tips.len() * 2
    ));
    Ok(())
}
