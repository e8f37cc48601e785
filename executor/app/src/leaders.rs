//! Who leads which slot: from a file that the operator hands over, or kept up to date from an RPC node.

mod follow;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use shred_resolve::{Leader, Leaders, SlotLeaders};
use shred_wire::Slot;

pub use follow::{Follower, LeaderCell};

/// Slots of two mainnet epochs, the running one and the next: what a service may need to be told at once.
const FILE_SLOTS: u64 = 2 * 432_000;
/// Bytes that one slot may take in the file: 44 of base58, 10 digits, and room for quotes, blanks and a line's end.
const FILE_SLOT_LEN: u64 = 80;
/// Longest file that is read, some 69 MB. It is read whole, beside the resolver's memory.
const FILE_LEN_MAX: u64 = FILE_SLOTS * FILE_SLOT_LEN;
/// Key in a file of indices that tells the epoch's first slot.
const FIRST_SLOT: &str = "first_slot";

/// The leaders that a file names; a look-up is two loads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaderSchedule(SlotLeaders);

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
    /// It is neither `{"<slot>":"<base58 identity>"}` nor `{"<base58 identity>":[indices],"first_slot":N}`.
    #[error("leaders file {path}: {reason}; expected {{\"<slot>\":\"<base58 identity>\", ...}}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl LeaderSchedule {
    /// Reads `{"<slot>":"<base58 identity>"}`, or the answer of RPC `getLeaderSchedule`,
    /// `{"<base58 identity>":[slots, counted from the epoch's first]}`, with `"first_slot"` put into it.
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
        let (mut slots, mut epoch, mut first) = (Vec::new(), Vec::new(), None);
        for (name, value) in named {
            match value {
                Given::Identity(identity) => {
                    let number: u64 = name
                        .parse()
                        .map_err(|_| format!("{:?} is not a slot", short(&name)))?;
                    let key =
                        key(&identity).map_err(|reason| format!("slot {number}: {reason}"))?;
                    slots.push((Slot(number), key));
                }
                Given::Indices(indices) => epoch.push((key(&name)?, indices)),
                Given::Number(slot) if name == FIRST_SLOT && first.is_none() => {
                    first = Some(Slot(slot));
                }
                Given::Number(_) => return Err(format!("{:?} has a number", short(&name))),
            }
        }
        match first {
            _ if epoch.is_empty() && first.is_none() => Self::from_slots(&slots),
            Some(first) if slots.is_empty() => {
                let count = epoch.iter().map(|(_, indices)| indices.len() as u64).sum();
                SlotLeaders::from_indices(first, count, &epoch)
                    .map(Self)
                    .map_err(|reject| reject.to_string())
            }
            None if slots.is_empty() => Err(format!(
                "it counts slots from an epoch's first and does not say which that is; put \"{FIRST_SLOT}\": N into it"
            )),
            _ => Err("it names leaders by slot and slots by leader".to_owned()),
        }
    }

    /// Builds a schedule from pairs in any order.
    ///
    /// # Errors
    /// A sentence, when the pairs name no slot, too wide a span, too many leaders, or two for one slot.
    pub fn from_slots(slots: &[(Slot, [u8; 32])]) -> Result<Self, String> {
        SlotLeaders::from_slots(slots)
            .map(Self)
            .map_err(|reject| reject.to_string())
    }
}

impl Leaders for LeaderSchedule {
    #[inline]
    fn leader(&self, slot: Slot) -> Leader {
        self.0.leader(slot)
    }
}

/// Reads a file that may be anything, up to a bound.
fn read(path: &Path) -> std::io::Result<String> {
    let too_large = || {
        let reason = format!(
            "more than {FILE_LEN_MAX} bytes, which hold two epochs ({FILE_SLOTS} slots); leave out the epochs that are \
             not needed"
        );
        std::io::Error::new(std::io::ErrorKind::FileTooLarge, reason)
    };
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() > FILE_LEN_MAX {
        return Err(too_large());
    }
    // What is no regular file tells no length.
    let mut text = String::new();
    let len = file.take(FILE_LEN_MAX + 1).read_to_string(&mut text)?;
    if len as u64 > FILE_LEN_MAX {
        return Err(too_large());
    }
    Ok(text)
}

/// The beginning of what was written, for a message.
fn short(text: &str) -> &str {
    text.char_indices()
        .nth(60)
        .map_or(text, |(end, _)| &text[..end])
}

fn key(identity: &str) -> Result<[u8; 32], String> {
    let mut key = [0; 32];
    match bs58::decode(identity).onto(&mut key) {
        Ok(32) => Ok(key),
        _ => Err(format!(
            "{:?} is not a base58 key of 32 bytes",
            short(identity)
        )),
    }
}

/// What stands beside a name in a file.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Given {
    Identity(String),
    Number(u64),
    Indices(Vec<u64>),
}

/// The pairs of a JSON object as they stand, repeated names included.
struct Named(Vec<(String, Given)>);

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Named;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a map of slots to identities, or of identities to slots")
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
#[derive(Debug, Clone)]
pub enum LeaderSource {
    /// Signatures are checked against it.
    Schedule(LeaderSchedule),
    /// Signatures are checked against the newest that an RPC node has told.
    Followed(Arc<LeaderCell>),
    /// Signatures cannot be checked.
    Absent,
}

impl LeaderSource {
    /// What follows an RPC node, if anything does.
    #[must_use]
    pub fn cell(&self) -> Option<&Arc<LeaderCell>> {
        match self {
            Self::Followed(cell) => Some(cell),
            Self::Schedule(_) | Self::Absent => None,
        }
    }

    /// The word used in status and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Schedule(_) => "file",
            Self::Followed(_) => "rpc",
            Self::Absent => "none",
        }
    }
}

impl Leaders for LeaderSource {
    #[inline]
    fn leader(&self, slot: Slot) -> Leader {
        match self {
            Self::Schedule(schedule) => schedule.leader(slot),
            Self::Followed(cell) => cell.leader(slot),
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

    /// Goal: the answer of `getLeaderSchedule` as a `solana-test-validator` 4.2.2 gave it for its second epoch of 64
    /// slots, with the epoch's first slot put in.
    #[test]
    fn reads_what_rpc_says_of_an_epoch() {
        let identity = "GNpMpkXN1V1Ab3iHSAjZLxPmAsH9AuWUNyE6UUK2Md8z";
        let indices: Vec<u64> = (0..64).collect();
        let answer = serde_json::json!({identity: indices});
        let refusal = LeaderSchedule::parse(&answer.to_string()).expect_err("which epoch?");
        assert!(refusal.contains("first_slot"), "{refusal}");
        let mut answer = answer;
        answer["first_slot"] = 64.into();
        let schedule = LeaderSchedule::parse(&answer.to_string()).expect("parses");
        let leader = Leader::Identity(key(identity).expect("a key"));
        assert_eq!(schedule.leader(Slot(63)), Leader::Unnamed);
        assert_eq!(schedule.leader(Slot(64)), leader);
        assert_eq!(schedule.leader(Slot(127)), leader);
        assert_eq!(schedule.leader(Slot(128)), Leader::Unnamed);
    }

    #[test]
    fn an_epoch_fits_the_bound_and_a_file_beyond_it_is_refused_unread() {
        let line = "  \"4586000000\": \"11111111111111111111111111111111111111111111\",\r\n";
        assert!(line.len() as u64 <= FILE_SLOT_LEN);
        let path = std::env::temp_dir().join(format!("overmind-leaders-{}", std::process::id()));
        let file = std::fs::File::create(&path).expect("made");
        file.set_len(FILE_LEN_MAX + 1)
            .expect("a hole takes no room");
        let said = LeaderSchedule::load(&path)
            .expect_err("too long")
            .to_string();
        assert!(said.contains("two epochs (864000 slots)"), "{said}");
        assert!(said.contains(&path.display().to_string()), "{said}");
        std::fs::remove_file(&path).expect("removed");
        let said = LeaderSchedule::load(Path::new("/dev/zero")).expect_err("endless");
        assert!(said.to_string().contains("two epochs"), "{said}");
    }

    #[test]
    fn refuses_what_it_cannot_use_with_a_reason() {
        for (text, word) in [
            ("{}", "no slot"),
            ("[]", "map"),
            (r#"{"first_slot":7}"#, "no slot"),
            (r#"{"7":7}"#, "has a number"),
            (r#"{"first_slot":7,"abc":[0]}"#, "base58"),
            (
                r#"{"first_slot":7,"11111111111111111111111111111112":[0,2]}"#,
                "past the epoch's end",
            ),
            (
                r#"{"first_slot":7,"11111111111111111111111111111112":[0],"11111111111111111111111111111113":[0]}"#,
                "two leaders",
            ),
            (
                r#"{"first_slot":7,"11111111111111111111111111111112":[0],"9":"11111111111111111111111111111113"}"#,
                "by slot and slots by leader",
            ),
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
