//! The refresher against a small HTTP server that says what a validator said.
//!
//! The good answers were recorded from a running `solana-test-validator` 4.2.2 with epochs of 64 slots, started anew:
//! its finalised slot is 1, the leaders of epochs 0 and 1 are known, those of epoch 2 are not.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use sidecar::{
    Endpoint, EpochAnswer, EpochInfo, EpochScheduleAnswer, EpochWanted, RefreshPlan, Refreshed,
    Refresher, StakeAnswer, refresh,
};

const EPOCH_INFO: &str = r#"{"jsonrpc":"2.0","result":{"absoluteSlot":1,"blockHeight":1,"epoch":0,"slotIndex":1,"slotsInEpoch":64,"transactionCount":0},"id":1}"#;
const EPOCH_SCHEDULE: &str = r#"{"jsonrpc":"2.0","result":{"firstNormalEpoch":0,"firstNormalSlot":0,"leaderScheduleSlotOffset":64,"slotsPerEpoch":64,"warmup":false},"id":2}"#;
const LEADERS: &str = r#"{"jsonrpc":"2.0","result":{"GNpMpkXN1V1Ab3iHSAjZLxPmAsH9AuWUNyE6UUK2Md8z":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40,41,42,43,44,45,46,47,48,49,50,51,52,53,54,55,56,57,58,59,60,61,62,63]},"id":3}"#;
const UNKNOWN_EPOCH: &str = r#"{"jsonrpc":"2.0","result":null,"id":3}"#;
const VOTE_ACCOUNTS: &str = r#"{"jsonrpc":"2.0","result":{"current":[],"delinquent":[{"activatedStake":999999997717120,"commission":0,"epochCredits":[],"epochVoteAccount":true,"inflationRewardsCommissionBps":0,"lastVote":0,"nodePubkey":"GNpMpkXN1V1Ab3iHSAjZLxPmAsH9AuWUNyE6UUK2Md8z","rootSlot":0,"votePubkey":"6vFnubwFam9ocatb2U6hRT4BjwEF3yRhq9KcaGziMBPJ"}]},"id":4}"#;
const INVALID_PARAMS: &str = r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params: data did not match any variant of untagged enum RpcLeaderScheduleConfigWrapper."},"id":4}"#;

type Answers = Arc<Mutex<BTreeMap<&'static str, String>>>;

/// Serves each method's answer, one connection after the other. The thread ends with the process.
fn serve() -> (SocketAddr, Answers) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answers: Answers = Arc::default();
    for (method, answer) in [
        ("getEpochInfo", EPOCH_INFO),
        ("getEpochSchedule", EPOCH_SCHEDULE),
        ("getLeaderSchedule", LEADERS),
        ("getVoteAccounts", VOTE_ACCOUNTS),
    ] {
        say(&answers, method, answer);
    }
    let shared = Arc::clone(&answers);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|len| len > 2) {
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let question: Value = serde_json::from_slice(&body).unwrap();
            let method = question["method"].as_str().unwrap();
            // The validator knows two epochs.
            let beyond =
                method == "getLeaderSchedule" && question["params"][0].as_u64() >= Some(128);
            let answer = if beyond {
                UNKNOWN_EPOCH.to_owned()
            } else {
                shared.lock().unwrap()[method].clone()
            };
            let _ = match answer.strip_prefix("HTTP") {
                Some(_) => stream.write_all(answer.as_bytes()),
                None => write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n\r\n{answer}",
                    answer.len()
                ),
            };
        }
    });
    (address, answers)
}

fn say(answers: &Answers, method: &'static str, answer: &str) {
    answers.lock().unwrap().insert(method, answer.to_owned());
}

#[derive(Default)]
struct Seen {
    rounds: usize,
    tips: Vec<u64>,
    epochs: Vec<EpochAnswer>,
    stakes: Vec<(u64, Vec<StakeAnswer>)>,
    refuse_leaders: bool,
}

struct Taker(Arc<Mutex<Seen>>, Vec<EpochWanted>);

impl Refreshed for Taker {
    fn round(&mut self) {
        self.0.lock().unwrap().rounds += 1;
    }

    fn epoch_info(
        &mut self,
        info: &EpochInfo,
        schedule: &EpochScheduleAnswer,
    ) -> Result<Vec<EpochWanted>, String> {
        assert_eq!((info.epoch, info.slots_in_epoch), (0, 64));
        assert_eq!(
            (schedule.slots_per_epoch, schedule.first_normal_slot),
            (64, 0)
        );
        self.0.lock().unwrap().tips.push(info.absolute_slot);
        Ok(self.1.clone())
    }

    fn leaders(&mut self, answer: &EpochAnswer) -> Result<(), String> {
        let mut seen = self.0.lock().unwrap();
        if seen.refuse_leaders {
            return Err("not today".to_owned());
        }
        seen.epochs.push(answer.clone());
        Ok(())
    }

    fn wants_stakes(&self, _epoch: u64) -> bool {
        self.0.lock().unwrap().stakes.is_empty()
    }

    fn stakes(&mut self, epoch: u64, stakes: &[StakeAnswer]) -> Result<(), String> {
        self.0.lock().unwrap().stakes.push((epoch, stakes.to_vec()));
        Ok(())
    }
}

fn wanted(epoch: u64) -> EpochWanted {
    EpochWanted {
        epoch,
        first_slot: epoch * 64,
        slots: 64,
    }
}

fn start(address: SocketAddr, epochs: &[u64]) -> (Refresher, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let epochs = epochs.iter().map(|epoch| wanted(*epoch)).collect();
    let plan = RefreshPlan {
        every: Duration::from_millis(5),
        pause: Duration::from_millis(5),
        pause_max: Duration::from_millis(10),
        limit: Duration::from_millis(500),
        endpoint: Endpoint::parse(&format!("http://{address}")).unwrap(),
    };
    let refresher = refresh(plan, Box::new(Taker(Arc::clone(&seen), epochs))).unwrap();
    (refresher, seen)
}

#[track_caller]
fn until(mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn key(text: &str) -> [u8; 32] {
    let mut key = [0; 32];
    assert_eq!(bs58::decode(text).onto(&mut key), Ok(32));
    key
}

#[test]
fn hands_over_what_a_validator_says() {
    let (address, _answers) = serve();
    let (refresher, seen) = start(address, &[0, 1, 2]);
    until(|| refresher.counters().round_completed.load(Relaxed) >= 2);
    let node = key("GNpMpkXN1V1Ab3iHSAjZLxPmAsH9AuWUNyE6UUK2Md8z");
    {
        let seen = seen.lock().unwrap();
        assert_eq!(seen.tips[..2], [1, 1]);
        for (epoch, answer) in (0..2).zip(&seen.epochs) {
            assert_eq!(answer.wanted, wanted(epoch));
            assert_eq!(answer.leaders, [(node, (0..64).collect())]);
        }
        let stake = StakeAnswer {
            voter: key("6vFnubwFam9ocatb2U6hRT4BjwEF3yRhq9KcaGziMBPJ"),
            node,
            lamports: 999_999_997_717_120,
        };
        assert_eq!(seen.stakes, [(0, vec![stake])]);
    }
    assert!(refresher.counters().epoch_unknown.load(Relaxed) >= 2);
    assert_eq!(refresher.counters().last_failure(), "");
    assert!(refresher.is_alive());
    let counters = Arc::clone(refresher.counters());
    drop(refresher);
    assert_eq!(counters.question_failed.load(Relaxed), 0);
}

/// Goal: each kind of bad answer is counted, said in words and asked for again, and the round after it is whole.
#[test]
fn bad_answers_change_nothing_and_are_asked_for_again() {
    let (address, answers) = serve();
    let (refresher, seen) = start(address, &[0]);
    let counters = Arc::clone(refresher.counters());
    until(|| counters.round_completed.load(Relaxed) >= 1);
    let long = format!(r#"{{"result":"{}"}}"#, "x".repeat(100_000));
    let bad_key = LEADERS.replace("GNpM", "0NpM");
    for (method, good, bad, refused, word) in [
        (
            "getLeaderSchedule",
            LEADERS,
            INVALID_PARAMS,
            false,
            "-32602",
        ),
        (
            "getLeaderSchedule",
            LEADERS,
            bad_key.as_str(),
            true,
            "base58",
        ),
        (
            "getLeaderSchedule",
            LEADERS,
            EPOCH_INFO,
            true,
            "unexpected answer",
        ),
        (
            "getLeaderSchedule",
            LEADERS,
            r#"{"error":{"code":-1,"message":"\u001b[2J\n\u202e"}}"#,
            false,
            r"-1: \u{1b}[2J\n\u{202e}",
        ),
        (
            "getEpochInfo",
            EPOCH_INFO,
            long.as_str(),
            true,
            "unexpected answer",
        ),
        (
            "getEpochInfo",
            EPOCH_INFO,
            "<html>",
            true,
            "unexpected answer",
        ),
        ("getEpochInfo", EPOCH_INFO, UNKNOWN_EPOCH, true, "null"),
        (
            "getEpochInfo",
            EPOCH_INFO,
            "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
            false,
            "429",
        ),
        (
            "getEpochInfo",
            EPOCH_INFO,
            "HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n{",
            false,
            "cut off",
        ),
        (
            "getEpochInfo",
            EPOCH_INFO,
            "HTTP/1.1 banana",
            false,
            "no answer",
        ),
    ] {
        let count = if refused {
            &counters.answer_refused
        } else {
            &counters.question_failed
        };
        let before = count.load(Relaxed);
        say(&answers, method, bad);
        until(|| count.load(Relaxed) > before && counters.last_failure().contains(word));
        let failure = counters.failure().unwrap();
        assert!(failure.contains(&address.to_string()), "{failure}");
        assert!(!failure.chars().any(char::is_control) && failure.len() < 10_000);
        say(&answers, method, good);
        let completed = counters.round_completed.load(Relaxed);
        until(|| counters.round_completed.load(Relaxed) > completed);
        assert_eq!(counters.last_failure(), "", "{word}");
    }
    let rounds = seen.lock().unwrap().rounds as u64;
    assert!(
        rounds > counters.round_completed.load(Relaxed),
        "failed rounds count"
    );
}

#[test]
fn an_answer_that_the_taker_refuses_is_not_taken() {
    let (address, _answers) = serve();
    let (refresher, seen) = start(address, &[0]);
    let counters = Arc::clone(refresher.counters());
    until(|| counters.epoch_taken.load(Relaxed) >= 1);
    seen.lock().unwrap().refuse_leaders = true;
    until(|| counters.last_failure().contains("not today"));
    assert!(counters.answer_refused.load(Relaxed) >= 1);
}

/// Goal: a node that is not there, and one that accepts and says nothing, keep nobody from stopping.
#[test]
fn nobody_there() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (address, word) in [
        (gone, "cannot connect"),
        (silent.local_addr().unwrap(), "no answer within"),
    ] {
        let (refresher, seen) = start(address, &[0]);
        let counters = Arc::clone(refresher.counters());
        if word == "no answer within" {
            let waits = format!("waiting for {address} since 0 s (getEpochSchedule)");
            until(|| counters.last_failure() == waits);
            assert_eq!(counters.failure(), None);
        }
        until(|| counters.last_failure().contains(word));
        let failure = counters.failure().unwrap();
        assert!(failure.contains(&address.to_string()), "{failure}");
        until(|| seen.lock().unwrap().rounds > 0);
        assert_eq!(refresher.counters().round_completed.load(Relaxed), 0);
        drop(refresher);
    }
}

/// Goal: a node that knows the slot and not who leads its epoch is not taken for one that has said all.
#[test]
fn unknown_leaders_of_the_running_epoch_are_a_failure() {
    let (address, answers) = serve();
    say(&answers, "getLeaderSchedule", UNKNOWN_EPOCH);
    let (refresher, _seen) = start(address, &[0]);
    let counters = Arc::clone(refresher.counters());
    until(|| counters.last_failure().contains("leaders of epoch 0"));
    assert_eq!(counters.round_completed.load(Relaxed), 0);
    say(&answers, "getLeaderSchedule", LEADERS);
    until(|| counters.round_completed.load(Relaxed) > 0);
    assert_eq!(counters.failure(), None);
}
