//! Who leads which slot: from a file that the operator hands over, or kept up to date from an RPC node.

mod follow;

use std::collections::BTreeSet;
use std::io::{BufReader, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use shred_resolve::{Leader, Leaders, SlotLeaders};
use shred_wire::Slot;

use crate::config::IngestPlan;
use crate::output::counted;
use crate::regular::open_regular;

pub use follow::{Follower, LeaderAlarm, LeaderCell};

/// Slots of two mainnet epochs, the running one and the next: what a service may need to be told at once.
const FILE_SLOTS: u64 = 2 * 432_000;
/// Bytes that one slot may take in the file: 44 of base58, 10 digits, and room for quotes, blanks and a line's end.
const FILE_SLOT_LEN: u64 = 80;
/// Longest file that is read, some 69 MB.
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
    /// It is neither `{"<slot>":"<base58 identity>"}` nor an answer of `getLeaderSchedule` with `"first_slot":N` in it.
    #[error(
        "leaders file {path}: {reason}; expected {{\"<slot>\":\"<base58 identity>\", ...}}, or what `getLeaderSchedule` \
         answers with \"first_slot\": N put into it"
    )]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl LeaderSchedule {
    /// Reads `{"<slot>":"<base58 identity>"}`, or the answer of RPC `getLeaderSchedule`,
    /// `{"<base58 identity>":[slots, counted from the epoch's first]}`, with `"first_slot"` put into it; with what is
    /// around it, `{"jsonrpc":"2.0","result":{..},"id":1}`, or without.
    ///
    /// Memory is bounded by the slots of two epochs, some 100 MB, and not by the file.
    ///
    /// # Errors
    /// [`LeadersError`] when the file cannot be read or says something else.
    pub fn load(path: &Path) -> Result<Self, LeadersError> {
        let unreadable = |source| LeadersError::Read {
            path: path.display().to_string(),
            source,
        };
        let unusable = |reason| LeadersError::Content {
            path: path.display().to_string(),
            reason,
        };
        let file = open_regular(path, FILE_LEN_MAX).map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => unreadable(too_large()),
            _ => unreadable(error),
        })?;
        let named = Named::read(serde_json::de::IoRead::new(BufReader::new(file)));
        let named = named.map_err(|error| match error.classify() {
            serde_json::error::Category::Io => unreadable(error.into()),
            _ => unusable(error.to_string()),
        })?;
        named.schedule().map_err(unusable)
    }

    /// As [`LeaderSchedule::load`], from text.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = Named::read(serde_json::de::StrRead::new(text));
        named.map_err(|error| error.to_string())?.schedule()
    }

    /// What it names, for a person: the first and the last slot, the slots between them that nobody leads, and how
    /// many leaders there are. Looks at every slot.
    #[must_use]
    pub fn summary(&self) -> String {
        let first = self.0.first().0;
        let Some(last) = self
            .0
            .slot_count()
            .checked_sub(1)
            .map(|slots| first.saturating_add(slots))
        else {
            return "no slot".to_owned();
        };
        let (mut leaders, mut unnamed) = (BTreeSet::new(), 0);
        for slot in first..=last {
            match self.0.get(Slot(slot)) {
                Some(leader) => drop(leaders.insert(leader)),
                None => unnamed += 1,
            }
        }
        let leaders = counted(leaders.len() as u64, "leader", "leaders");
        let without = match unnamed {
            0 => String::new(),
            _ => format!(", {} without one", counted(unnamed, "slot", "slots")),
        };
        format!("slots {first}..{last}, {leaders}{without}")
    }

    /// The first and the last slot that it names; `None` when it names none.
    #[must_use]
    pub fn span(&self) -> Option<(Slot, Slot)> {
        let first = self.0.first();
        let beyond = self.0.slot_count().checked_sub(1)?;
        Some((first, Slot(first.0.saturating_add(beyond))))
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

fn too_large() -> std::io::Error {
    let reason = format!(
        "more than {FILE_LEN_MAX} bytes, which hold two epochs ({FILE_SLOTS} slots); leave out the epochs that are not \
         needed"
    );
    std::io::Error::new(ErrorKind::FileTooLarge, reason)
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

/// Why indices without the epoch's first slot are of no use, and what to do.
const NO_FIRST_SLOT: &str = "it counts slots from an epoch's first and does not say which that is; put \"first_slot\": N \
into it (N = absoluteSlot - slotIndex of `getEpochInfo`, for the epoch that runs)";

/// What a file has named so far. Its memory is bounded by [`FILE_SLOTS`], whatever the file is.
#[derive(Default)]
struct Named {
    slots: Vec<(Slot, [u8; 32])>,
    epoch: Vec<([u8; 32], Vec<u64>)>,
    /// Slots in `slots` and `epoch`.
    count: u64,
    first: Option<Slot>,
}

impl Named {
    fn read<'de, R: serde_json::de::Read<'de>>(read: R) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::new(read);
        let mut named = Self::default();
        let outer = Pairs {
            named: &mut named,
            is_answer: false,
        };
        outer.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(named)
    }

    fn schedule(self) -> Result<LeaderSchedule, String> {
        let Self {
            slots,
            epoch,
            count,
            first,
        } = self;
        match first {
            _ if epoch.is_empty() && first.is_none() => LeaderSchedule::from_slots(&slots),
            Some(first) if slots.is_empty() => {
                if first.0.checked_add(count).is_none() {
                    return Err(format!("\"{FIRST_SLOT}\" {} is no epoch's", first.0));
                }
                SlotLeaders::from_indices(first, count, &epoch)
                    .map(LeaderSchedule)
                    .map_err(|reject| reject.to_string())
            }
            None if slots.is_empty() => Err(NO_FIRST_SLOT.to_owned()),
            _ => Err("it names leaders by slot and slots by leader".to_owned()),
        }
    }

    /// One more slot.
    fn count<E: Error>(&mut self) -> Result<(), E> {
        self.count += 1;
        if self.count > FILE_SLOTS {
            return Err(E::custom(format_args!(
                "it names more than two epochs ({FILE_SLOTS} slots); leave out those that are not needed"
            )));
        }
        Ok(())
    }
}

/// Reads the pairs of an object into what is named: of the file's own, or of `result` in an answer of RPC.
struct Pairs<'n> {
    named: &'n mut Named,
    is_answer: bool,
}

impl<'de> DeserializeSeed<'de> for Pairs<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a map of slots to identities, or of identities to slots")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(E::custom(if self.is_answer {
            "\"result\" is null: the node does not know the leaders of that epoch"
        } else {
            "it is null"
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { named, is_answer } = self;
        // What an answer says of itself is neither slot nor identity.
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                FIRST_SLOT => {
                    if named.first.is_some() {
                        return Err(A::Error::custom("it has two \"first_slot\""));
                    }
                    named.first = Some(Slot(map.next_value()?));
                }
                "jsonrpc" | "id" if !is_answer => drop(map.next_value::<IgnoredAny>()?),
                "result" if !is_answer => map.next_value_seed(Pairs {
                    named: &mut *named,
                    is_answer: true,
                })?,
                "error" if !is_answer => {
                    let refusal: Refusal = map.next_value()?;
                    return Err(A::Error::custom(format_args!(
                        "it is an error that an RPC node answered: {}",
                        sidecar::printable(short(&refusal.message))
                    )));
                }
                name => map.next_value_seed(Beside {
                    name,
                    named: &mut *named,
                })?,
            }
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
}

/// Reads what stands beside a name: an identity beside a slot, or indices beside an identity.
struct Beside<'n> {
    name: &'n str,
    named: &'n mut Named,
}

impl<'de> DeserializeSeed<'de> for Beside<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Beside<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = short(self.name);
        write!(formatter, "an identity or a list of slots beside {name:?}")
    }

    fn visit_str<E: Error>(self, identity: &str) -> Result<(), E> {
        let Self { name, named } = self;
        let number: u64 = name
            .parse()
            .map_err(|_| E::custom(format_args!("{:?} is not a slot", short(name))))?;
        let key =
            key(identity).map_err(|reason| E::custom(format_args!("slot {number}: {reason}")))?;
        named.count()?;
        named.slots.push((Slot(number), key));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { name, named } = self;
        let key = key(name).map_err(A::Error::custom)?;
        let mut indices = Vec::new();
        while let Some(index) = list.next_element()? {
            named.count()?;
            indices.push(index);
        }
        if indices.is_empty() {
            let name = short(name);
            return Err(A::Error::custom(format_args!("{name:?} leads no slot")));
        }
        named.epoch.push((key, indices));
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        let name = short(self.name);
        Err(E::custom(format_args!("{name:?} has a number")))
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
    /// What the configuration names: a file, which is read, an RPC node, which nobody has asked yet, or nothing.
    ///
    /// # Errors
    /// [`LeadersError`] of the file.
    pub fn configured(ingest: &IngestPlan) -> Result<Self, LeadersError> {
        match (&ingest.leaders_file, &ingest.leaders_rpc) {
            (Some(path), _) => Ok(Self::Schedule(LeaderSchedule::load(path)?)),
            (None, Some(_)) => Ok(Self::Followed(Arc::default())),
            (None, None) => Ok(Self::Absent),
        }
    }

    /// Lets this thread look leaders up without allocating from now on.
    pub fn warm(&self) {
        if let Self::Followed(cell) = self {
            cell.warm();
        }
    }

    /// What follows an RPC node, if anything does.
    #[must_use]
    pub fn cell(&self) -> Option<&Arc<LeaderCell>> {
        match self {
            Self::Followed(cell) => Some(cell),
            Self::Schedule(_) | Self::Absent => None,
        }
    }

    /// The first and the last slot that a file names; `None` when there is no file.
    #[must_use]
    pub fn span(&self) -> Option<(Slot, Slot)> {
        match self {
            Self::Schedule(schedule) => schedule.span(),
            Self::Followed(_) | Self::Absent => None,
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
        assert!(said.to_string().contains("is a device"), "{said}");
        let folder = crate::regular::tests::Folder::new("leaders");
        let said = LeaderSchedule::load(&folder.fifo()).expect_err("nobody writes");
        assert!(said.to_string().contains("is a FIFO"), "{said}");
    }

    /// Goal: what is within the file's bound and names too much is refused where it does, not when all was kept.
    #[test]
    fn more_slots_than_two_epochs_are_refused_on_the_way() {
        let identity = "11111111111111111111111111111112";
        let indices = "0,".repeat(FILE_SLOTS as usize + 1);
        // What comes after is not read: it is no JSON.
        let text = format!(r#"{{"first_slot":0,"{identity}":[{indices} banana"#);
        let said = LeaderSchedule::parse(&text).expect_err("too many");
        assert!(said.contains("two epochs (864000 slots)"), "{said}");
        let mut text = "{".to_owned();
        for slot in 0..=FILE_SLOTS {
            text.push_str(&format!(r#""{slot}":"{identity}","#));
        }
        let said = LeaderSchedule::parse(&text).expect_err("too many");
        assert!(said.contains("two epochs (864000 slots)"), "{said}");
    }

    /// Goal: an answer is taken as curl(1) keeps it, and what it lacks is said.
    #[test]
    fn reads_an_answer_with_what_is_around_it() {
        let names =
            r#""11111111111111111111111111111112":[0,2],"11111111111111111111111111111113":[1]"#;
        for text in [
            format!(r#"{{"jsonrpc":"2.0","result":{{{names}}},"id":1,"first_slot":64}}"#),
            format!(r#"{{"first_slot":64,"id":[{{}}],"result":{{{names}}},"jsonrpc":"2.0"}}"#),
            format!(r#"{{"jsonrpc":"2.0","result":{{"first_slot":64,{names}}},"id":1}}"#),
            format!(r#"{{{names},"first_slot":64}}"#),
        ] {
            let schedule = LeaderSchedule::parse(&text).expect(&text);
            assert_eq!(schedule.summary(), "slots 64..66, 2 leaders", "{text}");
        }
        for (text, word) in [
            (
                format!(r#"{{"jsonrpc":"2.0","result":{{{names}}},"id":1}}"#),
                "put \"first_slot\": N into it",
            ),
            (
                r#"{"jsonrpc":"2.0","result":null,"id":1}"#.to_owned(),
                "\"result\" is null",
            ),
            (
                r#"{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid\n params"},"id":1}"#
                    .to_owned(),
                r"answered: Invalid\n params",
            ),
            (
                format!(r#"{{"first_slot":1,"result":{{"first_slot":64,{names}}}}}"#),
                "two \"first_slot\"",
            ),
            (
                format!(r#"{{"result":{{"result":{{{names}}}}}}}"#),
                "beside \"result\"",
            ),
        ] {
            let said = LeaderSchedule::parse(&text).expect_err(&text);
            assert!(said.contains(word), "{text}: {said}");
        }
    }

    #[test]
    fn a_summary_tells_slots_and_leaders() {
        let slots = [(7, 1), (9, 2), (10, 1)].map(|(slot, leader)| (Slot(slot), [leader; 32]));
        let schedule = LeaderSchedule::from_slots(&slots).expect("fits");
        assert_eq!(
            schedule.summary(),
            "slots 7..10, 2 leaders, 1 slot without one"
        );
        assert_eq!(LeaderSchedule::default().summary(), "no slot");
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
            (
                r#"{"first_slot":18446744073709551615,"11111111111111111111111111111112":[0,1]}"#,
                "no epoch's",
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
