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
mod survey;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::check::FieldError;
pub use self::host::Host;
pub use self::plan::{
    AdminPlan, IngestPlan, MemoryPlan, Opening, Plan, QuicIdentity, QuicPlan, ShredstreamPlan,
    SourcePlan, SubmitPlan, ThreadsPlan,
};
pub use self::sections::{
    AdminConfig, BridgeConfig, BundleConfig, CaptureConfig, EngineConfig, HttpConfig, Idle,
    IngestConfig, Lane, Layout, LockMemory, Mode, ModeConfig, Policy, ProducerConfig, RiskConfig,
    ShredstreamConfig, SourceConfig, SourceKind, StrategyConfig, SubmitConfig, Template,
    ThreadsConfig, Verify, XdpMode, ZeroCopy,
};
pub use self::survey::{Problem, Problems};

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
    /// `[shredstream]`
    pub shredstream: ShredstreamConfig,
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
    #[error("{origin}:{line}:{column}: {message}")]
    Syntax {
        /// File name, or `example` or `text`.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong, and `did you mean ...?` if something is near.
        message: String,
    },
    /// Several things are wrong, or one that [`Config::survey`] found.
    #[error("{0}")]
    Several(Problems),
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
        Self::parse(&read(path)?, &path.display().to_string())
    }

    /// Reads a file and lists everything that is wrong with it, as [`Config::survey`] does.
    ///
    /// # Errors
    /// As [`Config::survey`], or [`ConfigError::Read`].
    pub fn survey_file(path: &Path, host: &Host) -> Result<Plan, ConfigError> {
        Self::survey(&read(path)?, &path.display().to_string(), host)
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

    /// The same with the paths that depend on the host written out: what [`Config::plan`] would take.
    pub fn with_paths(mut self, host: &Host) -> Self {
        self.admin.socket = Some(self.admin.socket_on(host));
        self.admin.kill_file = Some(self.admin.kill_file_on(host));
        self.bridge.endpoint = Some(self.bridge.endpoint_on(host));
        self.bridge.epoch_file = Some(self.bridge.epoch_file_on(host));
        self
    }

    /// Replaces the sources by one, `embedded`, that receives at `bind`, verified against leaders
    /// that the embedded market hands over.
    pub fn with_embedded_source(mut self, bind: SocketAddr) -> Self {
        self.ingest.sources = vec![SourceConfig {
            cpu: self.ingest.sources.first().and_then(|source| source.cpu),
            ..SourceConfig::new("embedded", bind)
        }];
        // Nobody is asked to send to it.
        self.shredstream = ShredstreamConfig::default();
        self.ingest.leaders_file = None;
        self.ingest.leaders_rpc = None;
        self.ingest.leaders_supplied = true;
        self
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })
}

fn syntax_error(text: &str, origin: &str, error: &toml::de::Error) -> ConfigError {
    let (line, column, message) = place(text, error);
    ConfigError::Syntax {
        origin: origin.to_owned(),
        line,
        column,
        message,
    }
}

/// Line and column, from 1, and what is wrong there, with the line as typed and the nearest word if there is one.
fn place(text: &str, error: &toml::de::Error) -> (usize, usize, String) {
    let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
    let typed = text.lines().nth(line - 1).unwrap_or_default().trim();
    let message = message_of(error);
    let hint = did_you_mean(&message);
    let message = format!("{message} (in `{}`){hint}", shortened(typed));
    (line, column, message)
}

fn message_of(error: &toml::de::Error) -> String {
    error.message().trim_end().replace('\n', ", ")
}

/// Line and column of a byte, from 1.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

/// At most 80 characters of a line, nothing that a terminal would act on.
fn shortened(line: &str) -> String {
    line.chars().take(80).flat_map(char::escape_debug).collect()
}

/// Turns serde's "unknown field `x`, expected one of `a`, `b`" into "; did you mean `a`?".
fn did_you_mean(message: &str) -> String {
    if !is_unknown(message) || message.matches('`').count() < 4 {
        return String::new();
    }
    match nearest(message) {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => "; see `overmind config example`".to_owned(),
    }
}

fn is_unknown(message: &str) -> bool {
    message.starts_with("unknown field") || message.starts_with("unknown variant")
}

/// The known word that is nearest to the unknown one of such a message, unless it is too far from it.
fn nearest(message: &str) -> Option<&str> {
    if !is_unknown(message) {
        return None;
    }
    let mut words = message.split('`').skip(1).step_by(2);
    let typed = words.next()?;
    let (distance, nearest) = words
        .map(|known| (edit_distance(typed, known), known))
        .min()?;
    (distance <= typed.len().max(nearest.len()) / 2).then_some(nearest)
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
