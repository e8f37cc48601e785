//! The leader schedule that an operator hands over as a file.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use shred_resolve::{Leader, Leaders};
use shred_wire::Slot;

/// Slots between the first and the last that a file may name: some nine epochs of 432,000.
const SPAN_MAX: u64 = 4_000_000;
/// Longest file: the span with some 60 bytes a slot.
const FILE_LEN_MAX: u64 = 256 << 20;
/// The slot is in the span, and unnamed.
const UNNAMED: u16 = u16::MAX;

/// Who leads which slot; a look-up is one load.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaderSchedule {
    first: u64,
    /// Index into `identities`, by slot from `first`.
    leaders: Vec<u16>,
    identities: Vec<[u8; 32]>,
}

/// Why a leaders file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LeadersError {
    /// The file cannot be read.
    #[error("leaders file {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not `{"<slot>":"<base58 identity>"}`.
    #[error("leaders file {path}: {reason}; expected {{\"<slot>\":\"<base58 identity>\", ...}}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl LeaderSchedule {
    /// Reads `{"<slot>":"<base58 identity>"}`.
    ///
    /// # Errors
    /// [`LeadersError`] when the file cannot be read or says something else.
    pub fn load(path: &Path) -> Result<Self, LeadersError> {
        let shown = path.display().to_string();
        let text = read(path).map_err(|source| LeadersError::Read {
            path: shown.clone(),
            source,
        })?;
        Self::parse(&text).map_err(|reason| LeadersError::Content {
            path: shown,
            reason,
        })
    }

    /// As [`LeaderSchedule::load`], from text.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Named(named) = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut slots = Vec::with_capacity(named.len());
        for (slot, identity) in named {
            let number: u64 = slot
                .parse()
                .map_err(|_| format!("{:?} is not a slot", short(&slot)))?;
            let mut key = [0; 32];
            match bs58::decode(&identity).onto(&mut key) {
                Ok(32) => slots.push((Slot(number), key)),
                _ => {
                    let identity = short(&identity);
                    return Err(format!(
                        "slot {number}: {identity:?} is not a base58 key of 32 bytes"
                    ));
                }
            }
        }
        slots.sort_unstable();
        let twice = |pair: &&[(Slot, [u8; 32])]| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1;
        if let Some(pair) = slots.windows(2).find(twice) {
            return Err(format!("slot {} has two leaders", pair[0].0.0));
        }
        Self::from_slots(&slots)
    }

    /// Builds a schedule from pairs in any order.
    ///
    /// # Errors
    /// A sentence, when the pairs name no slot, too wide a span or too many leaders.
    pub fn from_slots(slots: &[(Slot, [u8; 32])]) -> Result<Self, String> {
        let (Some(first), Some(last)) = (
            slots.iter().map(|(slot, _)| slot.0).min(),
            slots.iter().map(|(slot, _)| slot.0).max(),
        ) else {
            return Err("it names no slot".to_owned());
        };
        if last - first >= SPAN_MAX {
            return Err(format!("slots {first} to {last} span more than {SPAN_MAX}"));
        }
        let mut known = BTreeMap::new();
        let mut schedule = Self {
            first,
            leaders: vec![UNNAMED; (last - first + 1) as usize],
            identities: Vec::new(),
        };
        for (slot, identity) in slots {
            let index = *known.entry(*identity).or_insert_with(|| {
                schedule.identities.push(*identity);
                schedule.identities.len() - 1
            });
            schedule.leaders[(slot.0 - first) as usize] = u16::try_from(index)
                .ok()
                .filter(|index| *index != UNNAMED)
                .ok_or("too many leaders")?;
        }
        Ok(schedule)
    }
}

impl Leaders for LeaderSchedule {
    #[inline]
    fn leader(&self, slot: Slot) -> Leader {
        let index = slot
            .0
            .checked_sub(self.first)
            .and_then(|offset| self.leaders.get(usize::try_from(offset).ok()?))
            .and_then(|index| self.identities.get(usize::from(*index)));
        index.map_or(Leader::Unnamed, |identity| Leader::Identity(*identity))
    }
}

/// Reads a file that may be anything, up to a bound.
fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let len = std::fs::File::open(path)?
        .take(FILE_LEN_MAX)
        .read_to_string(&mut text)?;
    if len as u64 == FILE_LEN_MAX {
        let reason = format!("{FILE_LEN_MAX} bytes or more");
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            reason,
        ));
    }
    Ok(text)
}

/// The beginning of what was written, for a message.
fn short(text: &str) -> &str {
    text.char_indices()
        .nth(60)
        .map_or(text, |(end, _)| &text[..end])
}

/// The pairs of a JSON object as they stand, repeated names included.
struct Named(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Named;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a map of slots to identities")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Named(pairs))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

/// A schedule, or the operator's word that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaderSource {
    /// Signatures are checked against it.
    Schedule(LeaderSchedule),
    /// Signatures cannot be checked.
    Absent,
}

impl Leaders for LeaderSource {
    #[inline]
    fn leader(&self, slot: Slot) -> Leader {
        match self {
            Self::Schedule(schedule) => schedule.leader(slot),
            Self::Absent => Leader::NoSource,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_the_file_names() {
        let schedule = LeaderSchedule::parse(
            r#"{"7":"11111111111111111111111111111112","9":"11111111111111111111111111111113"}"#,
        )
        .expect("parses");
        let mut two = [0; 32];
        two[31] = 1;
        assert_eq!(schedule.leader(Slot(7)), Leader::Identity(two));
        assert_eq!(schedule.leader(Slot(8)), Leader::Unnamed);
        assert_eq!(schedule.leader(Slot(6)), Leader::Unnamed);
        assert_eq!(schedule.leader(Slot(u64::MAX)), Leader::Unnamed);
    }

    #[test]
    fn refuses_what_it_cannot_use_with_a_reason() {
        for (text, word) in [
            ("{}", "no slot"),
            ("[]", "map"),
            (r#"{"x":"11111111111111111111111111111112"}"#, "not a slot"),
            (r#"{"1":"abc"}"#, "base58"),
            (
                r#"{"1":"11111111111111111111111111111112","01":"11111111111111111111111111111113"}"#,
                "two leaders",
            ),
            (
                r#"{"1":"11111111111111111111111111111112","99999999999":"11111111111111111111111111111112"}"#,
                "span",
            ),
        ] {
            let refusal = LeaderSchedule::parse(text).expect_err(text);
            assert!(refusal.contains(word), "{text}: {refusal}");
        }
    }
}
