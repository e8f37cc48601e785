//! The `refresh` thread: asks an RPC node for the epoch, its leaders and stakes, and hands over what it says.
//!
//! What is handed over is as the node said it, decoded and no more: whether it fits is for whoever takes it to say. A
//! refused or missing answer changes nothing, is counted, and is asked for again after a pause that doubles.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::oneshot;

use crate::rpc::{Bounds, Endpoint, RpcError, call};
use crate::text::printable;

const THREAD_NAME: &str = "refresh";
/// Longest answer that is read. `getLeaderSchedule` of mainnet is some 3 MB, `getVoteAccounts` some 1 MB.
const ANSWER_LEN_MAX: usize = 32 << 20;
/// Longest text of a failure, characters: some of it is the node's.
const FAILURE_CHARS_MAX: usize = 400;

/// Whom to ask, and how often.
#[derive(Debug, Clone)]
pub struct RefreshPlan {
    /// The node.
    pub endpoint: Endpoint,
    /// Pause between two rounds when all is well.
    pub every: Duration,
    /// Longest wait for one answer.
    pub limit: Duration,
    /// Pause after the first failure; each further one doubles it.
    pub pause: Duration,
    /// Longest pause.
    pub pause_max: Duration,
}

impl RefreshPlan {
    /// A round every 5 seconds, answers within 20, pauses from 1 second to 60.
    #[must_use]
    pub const fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            every: Duration::from_secs(5),
            limit: Duration::from_secs(20),
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
        }
    }
}

/// `getEpochInfo` at commitment `finalized`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochInfo {
    /// The finalised slot.
    pub absolute_slot: u64,
    /// Its epoch.
    pub epoch: u64,
    /// Its number within the epoch.
    pub slot_index: u64,
    /// Slots of the epoch.
    pub slots_in_epoch: u64,
}

/// `getEpochSchedule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochScheduleAnswer {
    /// Slots of an epoch after warm-up.
    pub slots_per_epoch: u64,
    /// The first epoch of that length.
    pub first_normal_epoch: u64,
    /// Its first slot.
    pub first_normal_slot: u64,
}

/// An epoch whose leaders are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochWanted {
    /// Its number.
    pub epoch: u64,
    /// Its first slot, by which the node is asked.
    pub first_slot: u64,
    /// Its slots.
    pub slots: u64,
}

/// `getLeaderSchedule` of an epoch that was wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochAnswer {
    /// What was asked for.
    pub wanted: EpochWanted,
    /// Each leader with the slots it leads, counted from the epoch's first.
    pub leaders: Vec<([u8; 32], Vec<u64>)>,
}

/// One of `getVoteAccounts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StakeAnswer {
    /// The vote account.
    pub voter: [u8; 32],
    /// The identity of its node.
    pub node: [u8; 32],
    /// Active stake, lamports.
    pub lamports: u64,
}

/// Takes what a node says, on the refresher's thread. An error is a sentence: the answer does not fit and was not used.
pub trait Refreshed: Send {
    /// A round is over, whatever came of it.
    fn round(&mut self);
    /// The finalised slot and the epochs that are now wanted.
    ///
    /// # Errors
    /// When the two answers contradict each other.
    fn epoch_info(
        &mut self,
        info: &EpochInfo,
        schedule: &EpochScheduleAnswer,
    ) -> Result<Vec<EpochWanted>, String>;
    /// Leaders of an epoch.
    ///
    /// # Errors
    /// When they are not those of one whole epoch.
    fn leaders(&mut self, answer: &EpochAnswer) -> Result<(), String>;
    /// Whether stakes of `epoch` are wanted.
    fn wants_stakes(&self, epoch: u64) -> bool;
    /// Stakes as of `epoch`.
    ///
    /// # Errors
    /// When they cannot be right.
    fn stakes(&mut self, epoch: u64, stakes: &[StakeAnswer]) -> Result<(), String>;
}

/// What a refresher has done.
#[derive(Debug, Default)]
pub struct RefreshCounters {
    /// Rounds in which everything asked for came and fitted.
    pub round_completed: AtomicU64,
    /// Questions without an answer.
    pub question_failed: AtomicU64,
    /// Answers that do not fit.
    pub answer_refused: AtomicU64,
    /// Leaders of an epoch that the node does not know yet.
    pub epoch_unknown: AtomicU64,
    /// Epochs whose leaders were taken.
    pub epoch_taken: AtomicU64,
    /// Stakes taken.
    pub stakes_taken: AtomicU64,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    /// Of the last round; empty when it was complete.
    failure: String,
    /// The newest question, to whom, and since when; its answer is waited for, or read.
    asked: Option<(&'static str, String, Instant)>,
}

impl RefreshCounters {
    /// All of them by name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("round_completed", &self.round_completed),
            ("question_failed", &self.question_failed),
            ("answer_refused", &self.answer_refused),
            ("epoch_unknown", &self.epoch_unknown),
            ("epoch_taken", &self.epoch_taken),
            ("stakes_taken", &self.stakes_taken),
        ]
        .map(|(name, cell)| (name, cell.load(Relaxed)))
    }

    /// What went wrong in the last round, in words, naming the node; `None` when it was complete or none is over.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let words = self.words();
        (!words.failure.is_empty()).then(|| words.failure.clone())
    }

    /// As [`RefreshCounters::failure`], or, until a first round is over, which answer is waited for and since when.
    /// Empty when the last round was complete.
    #[must_use]
    pub fn last_failure(&self) -> String {
        let words = self.words();
        match &words.asked {
            Some((method, node, since))
                if words.failure.is_empty() && self.round_completed.load(Relaxed) == 0 =>
            {
                let seconds = since.elapsed().as_secs();
                format!("waiting for {node} since {seconds} s ({method})")
            }
            _ => words.failure.clone(),
        }
    }

    fn note_failure(&self, text: &str) {
        let text: String = text.chars().take(FAILURE_CHARS_MAX).collect();
        self.words().failure = printable(&text);
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running refresher. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct Refresher {
    endpoint: Endpoint,
    counters: Arc<RefreshCounters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Refresher {
    /// Whom it asks.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it has done.
    #[must_use]
    pub fn counters(&self) -> &Arc<RefreshCounters> {
        &self.counters
    }

    /// Whether its thread still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let thread = self.thread.as_ref();
        thread.is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        // Errors mean that the thread is gone, which is what is wanted.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Starts asking, at once and from then on, in a thread of its own.
///
/// # Errors
/// When there is no thread or runtime to be had.
pub fn refresh(plan: RefreshPlan, mut taker: Box<dyn Refreshed>) -> io::Result<Refresher> {
    let counters = Arc::new(RefreshCounters::default());
    let shared = Arc::clone(&counters);
    let endpoint = plan.endpoint.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (stop, mut stopped) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name(THREAD_NAME.to_owned())
        .spawn(move || {
            runtime.block_on(async move {
                let mut round = Round {
                    plan: &plan,
                    counters: &shared,
                    schedule: None,
                };
                let mut pause = plan.pause;
                loop {
                    let outcome = tokio::select! {
                        outcome = round.go(taker.as_mut()) => outcome,
                        _ = &mut stopped => return,
                    };
                    taker.round();
                    let wait = match outcome {
                        Ok(()) => {
                            shared.round_completed.fetch_add(1, Relaxed);
                            shared.note_failure("");
                            pause = plan.pause;
                            plan.every
                        }
                        Err(failure) => {
                            shared.note_failure(&failure);
                            // What was believed of the cluster may be what is wrong.
                            round.schedule = None;
                            let wait = pause;
                            pause = (pause * 2).min(plan.pause_max);
                            wait
                        }
                    };
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        _ = &mut stopped => return,
                    }
                }
            });
            // A look-up of a name that nobody answers blocks a thread of the runtime for as long as the system tries;
            // whoever stops does not wait for it.
            runtime.shutdown_background();
        })?;
    Ok(Refresher {
        endpoint,
        counters,
        stop: Some(stop),
        thread: Some(thread),
    })
}

struct Round<'a> {
    plan: &'a RefreshPlan,
    counters: &'a RefreshCounters,
    schedule: Option<EpochScheduleAnswer>,
}

#[derive(Deserialize)]
struct VoteAccounts {
    current: Vec<VoteAccount>,
    delinquent: Vec<VoteAccount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VoteAccount {
    vote_pubkey: String,
    node_pubkey: String,
    activated_stake: u64,
}

impl Round<'_> {
    /// Everything that is wanted is asked for, one thing after the other; the first failure ends the round.
    async fn go(&mut self, taker: &mut dyn Refreshed) -> Result<(), String> {
        let finalized = serde_json::json!({"commitment": "finalized"});
        let schedule = match self.schedule {
            Some(schedule) => schedule,
            None => {
                let schedule = self.ask("getEpochSchedule", serde_json::json!([])).await?;
                *self.schedule.insert(schedule)
            }
        };
        let params = serde_json::json!([finalized]);
        let info: EpochInfo = self.ask("getEpochInfo", params.clone()).await?;
        let wanted = self.fits("getEpochInfo", taker.epoch_info(&info, &schedule))?;
        for wanted in wanted {
            let known = self.leaders(wanted, &finalized, taker).await?;
            if !known && wanted.epoch == info.epoch {
                return Err(format!(
                    "getLeaderSchedule at {}: it is null: the node does not know the leaders of epoch {}, which runs",
                    self.plan.endpoint, info.epoch
                ));
            }
        }
        if taker.wants_stakes(info.epoch) {
            let accounts: VoteAccounts = self.ask("getVoteAccounts", params).await?;
            let stakes = self.fits("getVoteAccounts", stakes(&accounts))?;
            self.fits("getVoteAccounts", taker.stakes(info.epoch, &stakes))?;
            self.counters.stakes_taken.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    /// Whether the node knows them.
    async fn leaders(
        &self,
        wanted: EpochWanted,
        finalized: &serde_json::Value,
        taker: &mut dyn Refreshed,
    ) -> Result<bool, String> {
        let method = "getLeaderSchedule";
        let params = serde_json::json!([wanted.first_slot, finalized]);
        let Some(named) = self.ask_maybe(method, params).await? else {
            self.counters.epoch_unknown.fetch_add(1, Relaxed);
            return Ok(false);
        };
        let leaders = self.fits(method, leaders(named))?;
        self.fits(method, taker.leaders(&EpochAnswer { wanted, leaders }))?;
        self.counters.epoch_taken.fetch_add(1, Relaxed);
        Ok(true)
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: &'static str,
        params: serde_json::Value,
    ) -> Result<T, String> {
        let answer = self.ask_maybe(method, params).await?;
        self.fits(method, answer.ok_or_else(|| "it is null".to_owned()))
    }

    async fn ask_maybe<T: serde::de::DeserializeOwned>(
        &self,
        method: &'static str,
        params: serde_json::Value,
    ) -> Result<Option<T>, String> {
        let Self { plan, counters, .. } = self;
        counters.words().asked = Some((method, plan.endpoint.to_string(), Instant::now()));
        let bounds = Bounds {
            time: plan.limit,
            len: ANSWER_LEN_MAX,
        };
        let answer = call(&plan.endpoint, method, params, bounds).await;
        answer.map_err(|error| {
            let count = match error {
                RpcError::Content(_) => &counters.answer_refused,
                _ => &counters.question_failed,
            };
            count.fetch_add(1, Relaxed);
            format!("{method} at {}: {error}", plan.endpoint)
        })
    }

    fn fits<T>(&self, method: &str, answer: Result<T, String>) -> Result<T, String> {
        answer.map_err(|reason| {
            self.counters.answer_refused.fetch_add(1, Relaxed);
            format!("{method} at {}: refused: {reason}", self.plan.endpoint)
        })
    }
}

/// Each leader with its slots.
type Led = Vec<([u8; 32], Vec<u64>)>;

fn leaders(named: BTreeMap<String, Vec<u64>>) -> Result<Led, String> {
    let named = named.into_iter();
    named
        .map(|(identity, indices)| Ok((key(&identity)?, indices)))
        .collect()
}

fn stakes(accounts: &VoteAccounts) -> Result<Vec<StakeAnswer>, String> {
    let accounts = accounts.current.iter().chain(&accounts.delinquent);
    accounts
        .map(|account| {
            Ok(StakeAnswer {
                voter: key(&account.vote_pubkey)?,
                node: key(&account.node_pubkey)?,
                lamports: account.activated_stake,
            })
        })
        .collect()
}

fn key(text: &str) -> Result<[u8; 32], String> {
    let mut key = [0; 32];
    match bs58::decode(text).onto(&mut key) {
        Ok(32) => Ok(key),
        _ => {
            let shown: String = text.chars().take(60).collect();
            Err(format!("{shown:?} is not a base58 key of 32 bytes"))
        }
    }
}
