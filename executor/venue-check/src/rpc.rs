//! A chain behind JSON-RPC: what is asked, and how answers are read.
//!
//! Source of the shapes: solana.com/docs/rpc, `getMultipleAccounts`, `simulateTransaction`, `getSignaturesForAddress`,
//! `getTransaction`. An answer may be anything; what does not fit is an error, and what is too long is cut.

use base64::prelude::*;
use market::Key;
use serde_json::{Value, json};

use crate::chain::{Account, Accounts, Chain, ChainError, Recent, Simulated, Slice};
use crate::verdict::{Fault, bounded};
use crate::{key_of, shown};

/// Whoever puts a question to a node and waits for the answer.
pub trait Ask {
    /// The `result` member of the answer; `None` when it is null.
    ///
    /// # Errors
    /// [`ChainError`]; never later than a bound of its own.
    fn ask(&mut self, method: &'static str, params: Value) -> Result<Option<Value>, ChainError>;
}

impl<F> Ask for F
where
    F: FnMut(&'static str, Value) -> Result<Option<Value>, ChainError>,
{
    fn ask(&mut self, method: &'static str, params: Value) -> Result<Option<Value>, ChainError> {
        self(method, params)
    }
}

/// A [`Chain`] that an RPC node tells of.
#[derive(Debug)]
pub struct RpcChain<A> {
    ask: A,
    /// The newest slot that accounts were told as of.
    newest: u64,
    /// Answers in a row that were older than that by too much.
    behind_count: u32,
}

/// Accounts of one question at most. Source: agave `rpc-client-api` `MAX_MULTIPLE_ACCOUNTS`.
const ACCOUNTS_MAX: usize = 100;
/// Signatures that are looked through for trades.
const SIGNATURES_MAX: usize = 200;
/// Transactions that are fetched for one program: each is a question of its own.
const TRANSACTIONS_MAX: usize = 40;
/// Bytes of an account at most. Source: solana-system-interface `MAX_PERMITTED_DATA_LENGTH`.
const ACCOUNT_LEN_MAX: usize = 10 << 20;
/// Bytes of a transaction at most. Source: SIMD-0296.
const TRANSACTION_LEN_MAX: usize = 4_096;
/// Addresses that one transaction can have loaded: an index is a byte.
const LOADED_MAX: usize = 256;
/// Slots by which an answer may be older than one before it: behind one address there may be several nodes, and one of
/// them far behind would show what was replaced since as if it were new.
const SLOTS_BEHIND_MAX: u64 = 64;
/// Answers in a row that may be behind before it is the newest one that is not believed.
const BEHIND_COUNT_MAX: u32 = 3;
/// No slot is as large: at 400 ms each it is 13,000 years away.
const SLOT_MAX: u64 = 1 << 40;
/// Lines of logs that are kept, the last ones: the refusal is among them.
const LOG_LINES_MAX: usize = 64;

impl<A: Ask> RpcChain<A> {
    /// A chain that answers what `ask` brings.
    pub const fn new(ask: A) -> Self {
        Self {
            ask,
            newest: 0,
            behind_count: 0,
        }
    }

    /// An answer is of `slot`, too old. After some of them in a row the one that was far ahead was wrong, rather.
    fn is_behind(&mut self, slot: u64) {
        self.behind_count += 1;
        if self.behind_count >= BEHIND_COUNT_MAX {
            (self.newest, self.behind_count) = (slot, 0);
        }
    }

    fn asked(&mut self, method: &'static str, params: Value) -> Result<Value, ChainError> {
        let answer = self.ask.ask(method, params)?;
        answer.ok_or(ChainError::Malformed("it is null"))
    }
}

impl<A: Ask> Chain for RpcChain<A> {
    fn accounts(&mut self, keys: &[Key], slice: Slice) -> Result<Accounts, ChainError> {
        if keys.len() > ACCOUNTS_MAX {
            return Err(ChainError::Refused(format!(
                "more than {ACCOUNTS_MAX} accounts at once"
            )));
        }
        let texts: Vec<String> = keys.iter().map(shown).collect();
        let slot_min = self.newest.saturating_sub(SLOTS_BEHIND_MAX);
        let mut options = json!({
            "encoding": "base64",
            "commitment": "confirmed",
            "minContextSlot": slot_min,
        });
        if let Slice::First(len) = slice {
            options["dataSlice"] = json!({"offset": 0, "length": len});
        }
        let answer = self.asked("getMultipleAccounts", json!([texts, options]));
        // A node that is behind refuses.
        if let Err(ChainError::Refused(_)) = &answer {
            self.is_behind(0);
        }
        let answer = answer?;
        let read = read_accounts(&answer, keys.len(), slice)?;
        // Not every proxy passes the bound on.
        if read.slot < slot_min {
            let (slot, newest) = (read.slot, self.newest);
            self.is_behind(slot);
            let why = format!("the node is behind: it tells of slot {slot} after {newest}");
            return Err(ChainError::Unreachable(why));
        }
        self.behind_count = 0;
        self.newest = self.newest.max(read.slot);
        Ok(read)
    }

    fn simulate(&mut self, transaction: &[u8]) -> Result<Simulated, ChainError> {
        let options = json!({
            "encoding": "base64",
            "commitment": "confirmed",
            "sigVerify": false,
            "replaceRecentBlockhash": true,
        });
        let params = json!([BASE64_STANDARD.encode(transaction), options]);
        let answer = self.asked("simulateTransaction", params)?;
        read_simulated(&answer)
    }

    fn recent(
        &mut self,
        program: &Key,
        each: &mut dyn FnMut(&Recent) -> bool,
    ) -> Result<(), ChainError> {
        let options = json!({"limit": SIGNATURES_MAX, "commitment": "confirmed"});
        let params = json!([shown(program), options]);
        let answer = self.asked("getSignaturesForAddress", params)?;
        let mut failure = None;
        let mut was_answered = false;
        for signature in read_signatures(&answer)?.into_iter().take(TRANSACTIONS_MAX) {
            let options = json!({
                "encoding": "base64",
                "commitment": "confirmed",
                "maxSupportedTransactionVersion": 1,
            });
            // One that cannot be had, or read, is passed over: the next will do.
            match self.ask.ask("getTransaction", json!([signature, options])) {
                Ok(answer) => {
                    was_answered = true;
                    if let Some(recent) = answer.as_ref().and_then(read_transaction)
                        && each(&recent)
                    {
                        return Ok(());
                    }
                }
                // A node that refuses one for being asked too often is asked no more.
                Err(error) if failure.is_some() || error == ChainError::OutOfTime => {
                    return Err(error);
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            Some(error) if !was_answered => Err(error),
            _ => Ok(()),
        }
    }
}

/// Reads the answer of `getMultipleAccounts` for `count` keys and as much of each as `slice` says.
pub(crate) fn read_accounts(
    answer: &Value,
    count: usize,
    slice: Slice,
) -> Result<Accounts, ChainError> {
    let malformed = ChainError::Malformed;
    let slot = answer["context"]["slot"]
        .as_u64()
        .filter(|slot| *slot < SLOT_MAX)
        .ok_or(malformed("context.slot"))?;
    let value = answer["value"].as_array().ok_or(malformed("value"))?;
    if value.len() != count {
        return Err(malformed("as many accounts as were asked for"));
    }
    let accounts = value.iter().map(|account| {
        if account.is_null() {
            return Ok(None);
        }
        let owner = account["owner"]
            .as_str()
            .and_then(key_of)
            .ok_or(malformed("owner"))?;
        let data = bytes(&account["data"], ACCOUNT_LEN_MAX).ok_or(malformed("data"))?;
        // Data of exactly the length that was asked for may be the beginning of more.
        let is_whole = slice != Slice::First(data.len());
        Ok(Some(Account {
            owner,
            lamports: account["lamports"].as_u64().ok_or(malformed("lamports"))?,
            len: account["space"]
                .as_u64()
                .or(is_whole.then_some(data.len() as u64)),
            data,
        }))
    });
    Ok(Accounts {
        slot,
        accounts: accounts.collect::<Result<_, _>>()?,
    })
}

/// Reads the answer of `simulateTransaction`.
pub(crate) fn read_simulated(answer: &Value) -> Result<Simulated, ChainError> {
    let value = answer.get("value").and_then(Value::as_object);
    let value = value.ok_or(ChainError::Malformed("value"))?;
    // Without it there is no telling whether it went through.
    let error = value.get("err").ok_or(ChainError::Malformed("value.err"))?;
    let lines = value.get("logs").and_then(Value::as_array);
    let lines = lines.map_or(&[][..], Vec::as_slice);
    let lines = lines.iter().filter_map(Value::as_str);
    let left_out = lines.clone().count().saturating_sub(LOG_LINES_MAX);
    Ok(Simulated {
        fault: Fault::of_json(error),
        logs: lines.skip(left_out).map(bounded).collect(),
        units: value.get("unitsConsumed").and_then(Value::as_u64),
    })
}

/// Signatures of transactions that went through.
fn read_signatures(answer: &Value) -> Result<Vec<String>, ChainError> {
    let list = answer
        .as_array()
        .ok_or(ChainError::Malformed("signatures"))?;
    let landed = list.iter().filter(|entry| entry["err"].is_null());
    let texts = landed.filter_map(|entry| entry["signature"].as_str());
    // A signature has 88 characters at most.
    Ok(texts
        .filter(|text| text.len() <= 88)
        .map(str::to_owned)
        .take(SIGNATURES_MAX)
        .collect())
}

/// Reads the answer of `getTransaction`; `None` of anything that did not land or is not whole.
pub(crate) fn read_transaction(answer: &Value) -> Option<Recent> {
    let meta = answer.get("meta")?.as_object()?;
    if !meta.get("err")?.is_null() {
        return None;
    }
    let loaded = |name: &str| {
        let list = meta
            .get("loadedAddresses")
            .and_then(|loaded| loaded.get(name));
        let Some(list) = list.and_then(Value::as_array) else {
            return Some(Vec::new());
        };
        let keys = list
            .iter()
            .take(LOADED_MAX)
            .map(|key| key_of(key.as_str()?));
        keys.collect::<Option<Vec<Key>>>()
    };
    Some(Recent {
        bytes: bytes(&answer["transaction"], TRANSACTION_LEN_MAX)?,
        writable: loaded("writable")?,
        readonly: loaded("readonly")?,
    })
}

/// `["<base64>", "base64"]`, no longer than `len_max`.
fn bytes(pair: &Value, len_max: usize) -> Option<Vec<u8>> {
    let [text, encoding] = pair.as_array()?.as_slice() else {
        return None;
    };
    let text = text
        .as_str()
        .filter(|text| text.len() <= len_max.div_ceil(3) * 4)?;
    (encoding == "base64").then(|| BASE64_STANDARD.decode(text).ok())?
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// As a node answered, its long parts cut.
    const SIMULATED: &str = r#"{"context":{"apiVersion":"4.2.2","slot":341},"value":{"accounts":null,
        "err":{"InstructionError":[1,{"Custom":6062}]},"fee":5000,"innerInstructions":null,"loadedAccountsDataSize":1024,
        "logs":["Program 6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P invoke [1]",
        "Program 6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P failed: custom program error: 0x17ae"],
        "replacementBlockhash":{"blockhash":"4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM","lastValidBlockHeight":491},
        "returnData":null,"unitsConsumed":1234}}"#;
    const ACCOUNTS: &str = r#"{"context":{"apiVersion":"4.2.2","slot":77},"value":[null,{"data":["AgAAAA==","base64"],
        "executable":true,"lamports":1141440,"owner":"BPFLoaderUpgradeab1e11111111111111111111111","rentEpoch":18446744073709551615,
        "space":36}]}"#;

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_nodes_answers_are_read() {
        let simulated = read_simulated(&json(SIMULATED)).unwrap();
        assert_eq!(simulated.units, Some(1_234));
        assert_eq!(simulated.fault.unwrap().custom, Some(6_062));
        assert_eq!(simulated.logs.len(), 2);
        let read = read_accounts(&json(ACCOUNTS), 2, Slice::First(4)).unwrap();
        assert_eq!((read.slot, read.accounts[0].is_none()), (77, true));
        let account = read.accounts[1].clone().unwrap();
        assert_eq!((account.data, account.len), (vec![2, 0, 0, 0], Some(36)));
    }

    /// Goal: a node that leaves the optional `space` out has told a length only where the data itself is the whole.
    #[test]
    fn a_length_that_is_left_out_is_not_told() {
        let without = ACCOUNTS.replacen("\"space\":36", "\"x\":1", 1);
        assert_ne!(without, ACCOUNTS);
        let len = |slice| {
            let read = read_accounts(&json(&without), 2, slice).unwrap();
            read.accounts[1].clone().unwrap().len
        };
        assert_eq!(len(Slice::Whole), Some(4));
        assert_eq!(len(Slice::First(45)), Some(4));
        assert_eq!(len(Slice::First(4)), None);
    }

    #[test]
    fn what_does_not_say_that_it_went_through_has_not() {
        for text in [
            "{}",
            "[]",
            "null",
            r#"{"value":null}"#,
            r#"{"value":{"logs":[]}}"#,
            r#"{"value":[]}"#,
        ] {
            assert!(read_simulated(&json(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn accounts_that_were_not_asked_for_are_refused() {
        assert!(read_accounts(&json(ACCOUNTS), 1, Slice::Whole).is_err());
        assert!(read_accounts(&json(ACCOUNTS), 3, Slice::Whole).is_err());
        for damage in [
            "\"owner\":\"BPF",
            "\"base64\"]",
            "AgAAAA==",
            "\"slot\":77",
            "\"lamports\":1141440",
        ] {
            let damaged = ACCOUNTS.replacen(damage, "\"x\":\"y", 1);
            let parsed = serde_json::from_str::<Value>(&damaged);
            assert!(
                parsed.is_err() || read_accounts(&parsed.unwrap(), 2, Slice::Whole).is_err(),
                "{damage}"
            );
        }
    }

    #[test]
    fn failed_and_cut_transactions_are_passed_over() {
        let whole = json(
            r#"{"slot":1,"transaction":["AQID","base64"],"meta":{"err":null,
            "loadedAddresses":{"writable":["So11111111111111111111111111111111111111112"],"readonly":[]}}}"#,
        );
        let recent = read_transaction(&whole).unwrap();
        assert_eq!((recent.bytes, recent.writable.len()), (vec![1, 2, 3], 1));
        for (pointer, value) in [
            ("/meta/err", json!("AccountInUse")),
            ("/meta", Value::Null),
            ("/transaction/1", json!("base58")),
            ("/transaction/0", json!("A")),
            ("/transaction/0", json!("A".repeat(8_000))),
            ("/meta/loadedAddresses/writable/0", json!("short")),
        ] {
            let mut damaged = whole.clone();
            *damaged.pointer_mut(pointer).unwrap() = value;
            assert_eq!(read_transaction(&damaged), None, "{pointer}");
        }
    }

    #[test]
    fn a_node_that_knows_nothing_is_not_asked_for_every_transaction() {
        let mut asked = 0;
        let mut chain = RpcChain::new(|method: &'static str, _: Value| {
            asked += 1;
            if method == "getSignaturesForAddress" {
                let list: Vec<Value> = (0..200)
                    .map(|_| json!({"signature": "1", "err": null}))
                    .collect();
                return Ok(Some(list.into()));
            }
            Err(ChainError::Refused("429".to_owned()))
        });
        assert!(chain.recent(&[1; 32], &mut |_| false).is_err());
        assert_eq!(asked, 3);
    }

    /// A node of several that has fallen behind must not show what was replaced since.
    #[test]
    fn an_answer_that_is_far_behind_is_no_answer() {
        let mut asked = Vec::new();
        let mut slots = [1_000, 940, 935, 1_001].into_iter();
        let mut chain = RpcChain::new(|_: &'static str, params: Value| {
            asked.push(params[1]["minContextSlot"].as_u64());
            let slot: u64 = slots.next().unwrap();
            Ok(Some(json!({"context": {"slot": slot}, "value": [null]})))
        });
        let told: Vec<bool> = (0..4)
            .map(|_| chain.accounts(&[[1; 32]], Slice::Whole).is_ok())
            .collect();
        assert_eq!(told, [true, true, false, true]);
        assert_eq!(asked, [Some(0), Some(936), Some(936), Some(936)]);
    }

    /// One answer that is far ahead must not make every later one look old for ever.
    #[test]
    fn a_slot_that_never_was_is_forgotten() {
        let mut slots = [1_000, u64::MAX, 5_000_000, 1_010, 1_011, 1_012, 1_013, 900].into_iter();
        let mut chain = RpcChain::new(|_: &'static str, _: Value| {
            let slot: u64 = slots.next().unwrap();
            Ok(Some(json!({"context": {"slot": slot}, "value": [null]})))
        });
        let told: Vec<bool> = (0..8)
            .map(|_| chain.accounts(&[[1; 32]], Slice::Whole).is_ok())
            .collect();
        let expected = [true, false, true, false, false, false, true, false];
        assert_eq!(told, expected);
    }

    /// JSON of any shape, with the members that are looked for among others.
    fn any_json() -> impl Strategy<Value = Value> {
        let name = prop_oneof![
            Just("context"),
            Just("slot"),
            Just("value"),
            Just("err"),
            Just("logs"),
            Just("data"),
            Just("owner"),
            Just("lamports"),
            Just("InstructionError"),
            Just("Custom"),
            Just("meta"),
            Just("transaction"),
            Just("loadedAddresses"),
            Just("writable"),
            Just("unitsConsumed"),
            Just("signature")
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
            Just(json!("AQID")),
            Just(json!("base64")),
            Just(json!("So11111111111111111111111111111111111111112")),
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                    members
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn hostile_answers_are_refused_or_read_and_never_panic(answer in any_json(), count in 0usize..4) {
            let _ = read_accounts(&answer, count, Slice::First(3));
            let _ = read_signatures(&answer);
            let _ = Fault::of_json(&answer);
            if let Some(recent) = read_transaction(&answer) {
                prop_assert!(recent.bytes.len() <= TRANSACTION_LEN_MAX);
            }
            if let Ok(simulated) = read_simulated(&answer) {
                // What went through says so, in so many words.
                let went_through = answer["value"].get("err") == Some(&Value::Null);
                prop_assert_eq!(simulated.fault.is_none(), went_through);
                let passed = crate::judge(&simulated).word() == "passed";
                prop_assert_eq!(passed, went_through);
            }
        }
    }
}
