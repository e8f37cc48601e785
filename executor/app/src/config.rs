//! The configuration in two steps: [`Config`] is what the operator typed, [`Plan`] is what it
//! means, checked, with every default resolved and every size known.
//!
//! One TOML file, `deploy/overmind.example.toml`, explains every key. Unknown keys are errors that
//! name the nearest known one. Every refusal names the field, its value and the fix. Nothing here
//! opens a socket or reads a clock; [`Host`] carries the few facts about the machine that matter.

mod check;
mod host;
mod plan;
mod sections;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::check::FieldError;
pub use self::host::Host;
pub use self::plan::{
    AdminPlan, IngestPlan, MemoryPlan, Plan, SourcePlan, SubmitPlan, ThreadsPlan,
};
pub use self::sections::{
    AdminConfig, BridgeConfig, BundleConfig, CaptureConfig, EngineConfig, HttpConfig, Idle,
    IngestConfig, Lane, Layout, LockMemory, Mode, ModeConfig, Policy, ProducerConfig, RiskConfig,
    SourceConfig, StrategyConfig, SubmitConfig, Template, ThreadsConfig,
};

/// The commented example, embedded so that `overmind config example` needs no file.
const EXAMPLE: &str = include_str!("../../../deploy/overmind.example.toml");

/// The configuration as typed. Absent keys take the value of [`Config::default`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[mode]`
    pub mode: ModeConfig,
    /// `[ingest]`
    pub ingest: IngestConfig,
    /// `[threads]`
    pub threads: ThreadsConfig,
    /// `[strategy]`
    pub strategy: StrategyConfig,
    /// `[risk]`
    pub risk: RiskConfig,
    /// `[engine]`
    pub engine: EngineConfig,
    /// `[bundle]`
    pub bundle: BundleConfig,
    /// `[submit]`
    pub submit: SubmitConfig,
    /// `[bridge]`
    pub bridge: BridgeConfig,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[capture]`
    pub capture: CaptureConfig,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}; name a readable TOML file with --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML, or not ours.
    #[error("{origin}:{line}:{column}: {message}{hint}")]
    Syntax {
        /// File name, or `example` or `text`.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        message: String,
        /// `; did you mean ...?` or nothing.
        hint: String,
    },
    /// Values do not fit.
    #[error("{}", check::FieldErrors(.0))]
    Fields(Vec<FieldError>),
    /// Live mode was asked for.
    #[error(
        "mode.mode = \"live\": refused, because submission to outside block engines and the books \
         that prove what was filled are not ready for it; use mode = \"paper\", which builds and \
         signs the same bytes and sends nothing"
    )]
    LiveRefused,
}

impl Config {
    /// Reads and parses a file. Values are checked by [`Config::plan`].
    ///
    /// # Errors
    /// [`ConfigError::Read`] or [`ConfigError::Syntax`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses TOML text; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`] with line, column and, for an unknown key, the nearest known one.
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| syntax_error(text, origin, &error))
    }

    /// The commented example, `deploy/overmind.example.toml`.
    pub fn example() -> &'static str {
        EXAMPLE
    }

    /// The configuration as TOML with every default filled in; [`Config::parse`] reads it back.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("integers are checked to fit TOML's when they are read")
    }

    /// Replaces the sources by one, `embedded`, that receives at `bind`, verified against leaders
    /// that the embedded market hands over.
    pub fn with_embedded_source(mut self, bind: SocketAddr) -> Self {
        self.ingest.sources = vec![SourceConfig {
            name: "embedded".to_owned(),
            bind,
            redistributable: false,
            policy: Policy::Verified,
            cpu: self.ingest.sources.first().and_then(|source| source.cpu),
            busy_poll_us: None,
        }];
        self.ingest.leaders_file = None;
        self.ingest.leaders_supplied = true;
        self
    }
}

fn syntax_error(text: &str, origin: &str, error: &toml::de::Error) -> ConfigError {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let before = text.get(..at).unwrap_or_default();
    let number = before.matches('\n').count();
    let typed = text.lines().nth(number).unwrap_or_default().trim();
    let message = error.message().trim_end().replace('\n', ", ");
    ConfigError::Syntax {
        origin: origin.to_owned(),
        line: number + 1,
        column: before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1,
        hint: did_you_mean(&message),
        message: format!("{message} (in `{}`)", shortened(typed)),
    }
}

/// At most 80 characters of a line, nothing that a terminal would act on.
fn shortened(line: &str) -> String {
    line.chars().take(80).flat_map(char::escape_debug).collect()
}

/// Turns serde's "unknown field `x`, expected one of `a`, `b`" into "; did you mean `a`?".
fn did_you_mean(message: &str) -> String {
    if !message.starts_with("unknown field") && !message.starts_with("unknown variant") {
        return String::new();
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let Some(typed) = words.next() else {
        return String::new();
    };
    let Some((distance, nearest)) = words
        .map(|known| (edit_distance(typed, known), known))
        .min()
    else {
        return String::new();
    };
    if distance > typed.len().max(nearest.len()) / 2 {
        return "; see `overmind config example`".to_owned();
    }
    format!("; did you mean `{nearest}`?")
}

/// Levenshtein distance over bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte_a) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, byte_b) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte_a != byte_b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
