//! What is remembered of the venues over a restart, as JSON.

use core::fmt;

use risk::Disabled;
use serde_json::{Map, Value, json};
use strategy::Venue;

use crate::print::{Print, Prints};
use crate::verdict::bounded;
use crate::{key_of, shown};

/// Version of the format.
const VERSION: u64 = 1;
/// Accounts that are read at most: many times what is watched.
const ACCOUNTS_MAX: usize = 1_024;

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// What each watched account looked like when it was accepted.
    pub accounts: Prints,
    /// Why each venue is disabled, and that in words.
    pub disabled: [Option<(Disabled, String)>; Venue::COUNT],
}

/// A record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordReject(&'static str);

impl fmt::Display for RecordReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no record of venues: {}", self.0)
    }
}

impl std::error::Error for RecordReject {}

impl Record {
    /// As it is written.
    #[must_use]
    pub fn to_json(&self) -> String {
        let accounts = self.accounts.iter().map(|(key, print)| {
            let Print { slot, len, digest } = print;
            (
                shown(key),
                json!({"slot": slot, "len": len, "sha256": hex(digest)}),
            )
        });
        let names = Venue::names().into_iter().zip(&self.disabled);
        let disabled = names.filter_map(|(name, why)| {
            let (reason, words) = why.as_ref()?;
            Some((
                name.to_owned(),
                json!({"reason": reason.name(), "words": words}),
            ))
        });
        let record = json!({
            "version": VERSION,
            "accounts": accounts.collect::<Map<String, Value>>(),
            "disabled": disabled.collect::<Map<String, Value>>(),
        });
        format!("{record:#}\n")
    }

    /// Reads what [`Record::to_json`] wrote. Whole or not at all: half a record would enable what the other half
    /// disabled.
    ///
    /// # Errors
    /// [`RecordReject`].
    pub fn parse(text: &str) -> Result<Self, RecordReject> {
        let value: Value = serde_json::from_str(text).map_err(|_| RecordReject("no JSON"))?;
        if value["version"] != VERSION {
            return Err(RecordReject("another version"));
        }
        let members = |name: &str| value[name].as_object();
        let accounts = members("accounts").ok_or(RecordReject("no accounts"))?;
        if accounts.len() > ACCOUNTS_MAX {
            return Err(RecordReject("too many accounts"));
        }
        let mut record = Self::default();
        for (key, print) in accounts {
            let key = key_of(key).ok_or(RecordReject("an account's address"))?;
            let print = read_print(print).ok_or(RecordReject("an account's print"))?;
            record.accounts.insert(key, print);
        }
        for (name, why) in members("disabled").ok_or(RecordReject("no venues"))? {
            let place = Venue::names().into_iter().position(|known| known == name);
            let place = place.ok_or(RecordReject("a venue's name"))?;
            let reason = why["reason"].as_str().and_then(Disabled::of_name);
            let reason = reason.ok_or(RecordReject("a venue's reason"))?;
            let words = why["words"]
                .as_str()
                .ok_or(RecordReject("a venue's reason"))?;
            record.disabled[place] = Some((reason, bounded(words)));
        }
        Ok(record)
    }
}

fn read_print(value: &Value) -> Option<Print> {
    let told = |name: &str| match value.get(name)? {
        Value::Null => Some(None),
        number => number.as_u64().map(Some),
    };
    Some(Print {
        slot: told("slot")?,
        len: told("len")?,
        digest: unhex(value.get("sha256")?.as_str()?)?,
    })
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        let mut record = Record::default();
        let print = Print {
            slot: Some(460_000_000),
            len: Some(1_900_000),
            digest: [0xab; 32],
        };
        record.accounts.insert([7; 32], print);
        record.accounts.insert([8; 32], Print::default());
        record.disabled[2] = Some((Disabled::ProgramChanged, "deployed \"again\"".to_owned()));
        record
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(Record::parse(&record().to_json()), Ok(record()));
        let empty = Record::default();
        assert_eq!(Record::parse(&empty.to_json()), Ok(empty));
    }

    proptest! {
        /// A record that was cut or damaged is not half a record.
        #[test]
        fn a_damaged_record_is_refused_or_says_something_whole(at in 0usize..700, byte: u8, cut: bool) {
            let text = record().to_json();
            let mut bytes = text.clone().into_bytes();
            let at = at % bytes.len();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] = byte;
            }
            let damaged = String::from_utf8_lossy(&bytes).into_owned();
            if let Ok(read) = Record::parse(&damaged) {
                prop_assert_eq!(read.accounts.len(), record().accounts.len());
                prop_assert_eq!(read.disabled.iter().flatten().count(), 1);
            }
        }

        #[test]
        fn any_text_is_refused_or_read(text in ".{0,200}") {
            let _ = Record::parse(&text);
        }
    }
}
