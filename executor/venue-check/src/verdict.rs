//! What a simulation says of a builder.

use core::fmt;

use market::{Key, Program};
use risk::custom_error;
use serde_json::Value;

use crate::chain::{ChainError, Simulated};
use crate::{key_of, shown};

/// Longest text of a failure that is kept, characters: it is a stranger's.
const TEXT_CHARS_MAX: usize = 300;

/// What a transaction failed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its name, as Solana's `TransactionError` and `InstructionError` have them.
    pub name: String,
    /// Whether an instruction failed, and which; otherwise the transaction as a whole was not fit to run.
    pub instruction: Option<u64>,
    /// Custom error of the program.
    pub custom: Option<u32>,
}

impl Fault {
    /// Reads the `err` of a JSON-RPC answer; `None` of null. Whatever it is, it is a fault.
    #[must_use]
    pub fn of_json(error: &Value) -> Option<Self> {
        let named = |value: &Value| match value {
            Value::String(name) => bounded(name),
            Value::Object(members) => members
                .keys()
                .next()
                .map_or_else(String::new, |name| bounded(name)),
            other => bounded(&other.to_string()),
        };
        if error.is_null() {
            return None;
        }
        let failed = error.get("InstructionError").and_then(Value::as_array);
        Some(match failed.map(Vec::as_slice) {
            Some([index, what]) => {
                let custom = what.get("Custom").and_then(Value::as_u64);
                Self {
                    name: named(what),
                    instruction: Some(index.as_u64().unwrap_or_default()),
                    custom: custom.and_then(|code| u32::try_from(code).ok()),
                }
            }
            _ => Self {
                name: named(error),
                instruction: None,
                custom: None,
            },
        })
    }

    /// Whether it says something of the account that was to pay, or of the moment, and nothing of what we build.
    fn is_of_the_payer(&self) -> bool {
        self.instruction.is_none()
            && matches!(
                self.name.as_str(),
                "AccountNotFound"
                    | "InsufficientFundsForFee"
                    | "InsufficientFundsForRent"
                    | "InvalidAccountForFee"
                    | "BlockhashNotFound"
                    | "AccountInUse"
                    | "AlreadyProcessed"
                    | "ClusterMaintenance"
            )
    }
}

/// How a builder failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The program that refused: the innermost, by its name where it is one we know.
    pub program: Option<String>,
    /// Its custom error.
    pub code: Option<u32>,
    /// The log line that says so, or the error's name.
    pub line: String,
}

/// What is known of one builder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its bytes went through.
    Passed {
        /// Compute units they used, when that was told.
        units: Option<u64>,
    },
    /// They did not, for a reason of theirs.
    Failed(Failure),
    /// Nobody can say.
    Unknown(String),
    /// Nobody can say: the time for the whole check was over first.
    OutOfTime,
}

impl Verdict {
    /// `passed`, `failed` or `unknown`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Passed { .. } => "passed",
            Self::Failed(_) => "failed",
            Self::Unknown(_) | Self::OutOfTime => "unknown",
        }
    }

    /// Why nobody can say; `None` of a verdict that says something.
    #[must_use]
    pub fn why_unknown(&self) -> Option<String> {
        match self {
            Self::Unknown(why) => Some(why.clone()),
            Self::OutOfTime => Some(ChainError::OutOfTime.to_string()),
            Self::Passed { .. } | Self::Failed(_) => None,
        }
    }
}

impl From<ChainError> for Verdict {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::OutOfTime => Self::OutOfTime,
            error => Self::Unknown(error.to_string()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(program) = &self.program {
            write!(f, "{program}: ")?;
        }
        if let Some(code) = self.code {
            write!(f, "error {code}: ")?;
        }
        f.write_str(&self.line)
    }
}

/// What `simulated` says of the bytes that were run.
#[must_use]
pub fn judge(simulated: &Simulated) -> Verdict {
    let Simulated { fault, logs, units } = simulated;
    let Some(fault) = fault else {
        return Verdict::Passed { units: *units };
    };
    if fault.is_of_the_payer() {
        return Verdict::Unknown(format!(
            "the trader whose name was borrowed: {}",
            fault.name
        ));
    }
    let refused = logs
        .iter()
        .find_map(|line| failing_program(line).map(|key| (key, line)));
    let code = refused
        .as_ref()
        .and_then(|(_, line)| custom_error(line))
        .or(fault.custom);
    if let Some((key, _)) = &refused
        && is_about_money(key, code)
    {
        let name = program_name(key);
        return Verdict::Unknown(format!(
            "the trader whose name was borrowed lacks money ({name})"
        ));
    }
    Verdict::Failed(Failure {
        program: refused.as_ref().map(|(key, _)| program_name(key)),
        code,
        line: refused.map_or_else(|| fault.name.clone(), |(_, line)| bounded(line)),
    })
}

/// The program that a line of logs says has failed: `Program <id> failed: <why>`.
fn failing_program(line: &str) -> Option<Key> {
    let (id, _) = line.strip_prefix("Program ")?.split_once(" failed: ")?;
    key_of(id)
}

/// Whether the system or a token program refused to move what is not there. Source: `ResultWithNegativeLamports` is 1 in
/// solana-system-interface, `InsufficientFunds` is 1 in spl-token; both mean that there is too little.
fn is_about_money(program: &Key, code: Option<u32>) -> bool {
    let moves_money = [
        SYSTEM_PROGRAM,
        market::pump::TOKEN_PROGRAM,
        market::pump::TOKEN_2022_PROGRAM,
    ];
    code == Some(1) && moves_money.contains(program)
}

/// The system program.
pub(crate) const SYSTEM_PROGRAM: Key = [0; 32];

fn program_name(key: &Key) -> String {
    Program::of(key).map_or_else(|| shown(key), |program| program.name().to_owned())
}

/// The beginning of a stranger's text, without what a terminal would act on.
pub(crate) fn bounded(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn simulated(error: Value, logs: &[&str]) -> Simulated {
        Simulated {
            fault: Fault::of_json(&error),
            logs: logs.iter().map(|line| (*line).to_owned()).collect(),
            units: Some(90_000),
        }
    }

    #[test]
    fn what_went_through_has_passed_with_its_units() {
        let passed = Verdict::Passed {
            units: Some(90_000),
        };
        assert_eq!(judge(&simulated(Value::Null, &["Program log: hi"])), passed);
    }

    #[test]
    fn a_programs_refusal_names_it_its_code_and_its_line() {
        let logs = [
            "Program 6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P invoke [1]",
            "Program log: AnchorError caused by account: bonding_curve. Error Code: ConstraintSeeds.",
            "Program 6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P failed: custom program error: 0x7d6",
        ];
        let error = json!({"InstructionError": [4, {"Custom": 2006}]});
        let Verdict::Failed(failure) = judge(&simulated(error, &logs)) else {
            panic!("it failed");
        };
        assert_eq!(failure.program.as_deref(), Some("pump"));
        assert_eq!(failure.code, Some(2_006));
        assert!(
            failure
                .to_string()
                .starts_with("pump: error 2006: Program 6EF8")
        );
    }

    #[test]
    fn the_borrowed_traders_own_troubles_say_nothing_of_the_builder() {
        for error in [
            json!("AccountNotFound"),
            json!({"InsufficientFundsForRent": {"account_index": 0}}),
            json!("BlockhashNotFound"),
        ] {
            assert_eq!(judge(&simulated(error, &[])).word(), "unknown");
        }
        let poor = ["Program 11111111111111111111111111111111 failed: custom program error: 0x1"];
        let error = json!({"InstructionError": [2, {"Custom": 1}]});
        assert_eq!(judge(&simulated(error, &poor)).word(), "unknown");
    }

    #[test]
    fn every_other_fault_is_one_of_the_builder() {
        for error in [
            json!("ProgramAccountNotFound"),
            json!("InvalidProgramForExecution"),
            json!("MaxLoadedAccountsDataSizeExceeded"),
            json!({"InstructionError": [3, "ComputationalBudgetExceeded"]}),
            json!({"InstructionError": [3, {"Custom": 1}]}),
            json!({"InstructionError": "what"}),
            json!({"Unheard": [1, 2, 3]}),
            json!({}),
            json!(7),
        ] {
            let verdict = judge(&simulated(error.clone(), &[]));
            assert_eq!(verdict.word(), "failed", "{error}");
        }
    }

    #[test]
    fn a_strangers_text_is_bounded_and_plain() {
        let long = format!(
            "Program {} failed: \u{1b}[31m{}",
            "1".repeat(32),
            "x".repeat(9_999)
        );
        let error = json!({"InstructionError": [0, "InvalidAccountData"]});
        let Verdict::Failed(failure) = judge(&simulated(error, &[&long])) else {
            panic!("it failed");
        };
        assert!(failure.line.len() <= TEXT_CHARS_MAX && !failure.line.contains('\u{1b}'));
    }
}
