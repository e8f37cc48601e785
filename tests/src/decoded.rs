//! What `overmind decode` prints, read back: for tests that compare it with what others say.

use std::path::Path;

use overmind::decode::{DecodeOptions, decode};
use overmind::leaders::{LeaderSchedule, LeaderSource};
use serde_json::Value;
use shred_resolve::{Plan, Policy};
use shred_source::PcapReader;

/// What `overmind decode --leaders FILE` does, in a resolver of the size of `plan`.
///
/// # Panics
/// When the file is not a leaders file.
#[must_use]
pub fn verified(leaders: &Path, plan: Plan) -> DecodeOptions {
    let schedule = LeaderSchedule::load(leaders).expect("a leaders file");
    DecodeOptions {
        plan,
        leaders: LeaderSource::Schedule(schedule),
        policy: Policy::VerifyThenEmit,
    }
}

/// Every line that is printed for the bytes of a capture, in order.
///
/// # Panics
/// When the bytes are no capture, or a line is not one JSON value.
#[must_use]
pub fn lines(capture: &[u8], options: &DecodeOptions) -> Vec<Value> {
    let mut out = Vec::new();
    let capture = PcapReader::new(capture).expect("a capture");
    decode(capture, options, &mut out).expect("decodes to its end");
    let text = String::from_utf8(out).expect("text");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("one object on a line"))
        .collect()
}

/// The lines that tell a transaction.
#[must_use]
pub fn transactions(lines: &[Value]) -> Vec<&Value> {
    lines
        .iter()
        .filter(|line| line["signature"].is_string())
        .collect()
}

/// Slot and signature of a line that tells a transaction.
///
/// # Panics
/// When it tells something else.
#[must_use]
pub fn key(line: &Value) -> (u64, String) {
    (
        line["slot"].as_u64().expect("a slot"),
        line["signature"].as_str().expect("a signature").to_owned(),
    )
}
