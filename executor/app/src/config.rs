//! The configuration in two steps: [`Config`] is what the operator typed, [`Plan`] is what it
//! means, checked, with every default resolved and every size known.
//!
//! One TOML file, `deploy/overmind.example.toml`, explains every key. Unknown keys are errors that
//! name the nearest known one. Every refusal names the field, its value and the fix. Nothing here
//! opens a socket or reads a clock; [`Host`] carries the few facts about the machine that matter, and whoever looks at
//! the files that are named adds to the [`Survey`].

mod check;
mod files;
mod host;
mod plan;
mod redact;
mod sections;
mod survey;
#[cfg(test)]
mod tests;

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::check::FieldError;
pub use self::files::{FileKind, NamedFile};
pub use self::host::Host;
pub use self::plan::{
    AdminPlan, EntriesPlan, IngestPlan, MemoryPlan, Opening, Plan, QuicIdentity, QuicPlan,
    RelayPlan, ShredstreamPlan, SigningPlan, SourcePlan, SubmitPlan, ThreadsPlan, VenuesPlan,
};
pub use self::redact::{host_of, redacted};
pub use self::sections::{
    AdminConfig, BridgeConfig, BundleConfig, CaptureConfig, EngineConfig, HttpConfig, Idle,
    IngestConfig, Lagging, Lane, LaneClass, Layout, LockMemory, MarketConfig, Mode, ModeConfig,
    NodeConfig, Policy, ProducerConfig, RelayConfig, RelayEntriesConfig, RiskConfig,
    ShredstreamConfig, SigningConfig, SourceConfig, SourceKind, StrategyConfig, SubmitConfig,
    Template, ThreadsConfig, V1Batches, VenuesConfig, Verify, WrappedSol, XdpMode, ZeroCopy,
};
pub use self::survey::{Problem, Problems, Survey};
use crate::regular::open_regular;

/// The commented example, embedded so that `overmind config example` needs no file.
const EXAMPLE: &str = include_str!("../../../deploy/overmind.example.toml");

/// Longest configuration that is read: some forty of the example.
const FILE_LEN_MAX: u64 = 1 << 20;

/// The configuration as typed. Absent keys take the value of [`Config::default`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[mode]`
    pub mode: ModeConfig,
    /// `[ingest]`
    pub ingest: IngestConfig,
    /// `[market]`
    pub market: MarketConfig,
    /// `[venues]`
    pub venues: VenuesConfig,
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
    /// `[signing]`
    pub signing: SigningConfig,
    /// `[submit]`
    pub submit: SubmitConfig,
    /// `[bridge]`
    pub bridge: BridgeConfig,
    /// `[relay]`
    pub relay: RelayConfig,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[capture]`
    pub capture: CaptureConfig,
    /// The file it was read from, for the lines of what does not fit.
    #[serde(skip)]
    file: SourceText,
}

/// Name and text of the file that a configuration was read from, if it was. No part of what it says: all are equal.
#[derive(Debug, Clone, Default)]
struct SourceText(Option<Arc<(String, String)>>);

impl PartialEq for SourceText {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SourceText {}

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
    /// Reads and parses a file. Values are checked by [`Config::plan`]; but when it cannot be parsed, everything that is
    /// wrong is listed at once, as [`Config::survey`] does.
    ///
    /// # Errors
    /// [`ConfigError::Read`] or [`ConfigError::Several`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (text, origin) = (read(path)?, path.display().to_string());
        match Self::parse(&text, &origin) {
            Ok(mut config) => {
                config.file = SourceText(Some(Arc::new((origin, text))));
                Ok(config)
            }
            Err(error) => match Self::survey(&text, &origin, &Host::read()) {
                Err(all @ ConfigError::Several(_)) => Err(all),
                _ => Err(error),
            },
        }
    }

    /// What does not fit, with lines when it was read from a file.
    fn refused(&self, errors: Vec<FieldError>) -> ConfigError {
        match &self.file.0 {
            Some(file) => ConfigError::Several(Problems::of_fields(&file.0, &file.1, &errors)),
            None => ConfigError::Fields(errors),
        }
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

    /// The same with nothing in it that could be a key: every URL as [`redacted`] shows it.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        for url in [
            &mut self.ingest.leaders_rpc,
            &mut self.venues.rpc,
            &mut self.shredstream.endpoint,
            &mut self.shredstream.auth_endpoint,
            &mut self.submit.endpoint,
        ] {
            *url = url.take().map(|url| redacted(&url));
        }
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
        // Nor is what it brings passed on.
        self.relay = RelayConfig::default();
        self.ingest.leaders_file = None;
        self.ingest.leaders_rpc = None;
        self.ingest.leaders_supplied = true;
        // It has no programs that could be asked about.
        self.venues.rpc = None;
        self
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    let read = open_regular(path, FILE_LEN_MAX).and_then(|mut file| file.read_to_string(&mut text));
    match read {
        Ok(_) => Ok(text),
        Err(source) => Err(ConfigError::Read {
            path: path.to_owned(),
            source,
        }),
    }
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
    let value = error.span().and_then(|span| text.get(span));
    let hint =
        address_hint(&message, value.unwrap_or_default()).unwrap_or_else(|| did_you_mean(&message));
    let message = format!(
        "{} (in `{}`){}",
        check::shown(&redact::redacted_line(&message)),
        shortened(&redact::redacted_line(typed)),
        hint
    );
    (line, column, message)
}

/// What to write instead of a value that is no address, as the standard library calls it.
fn address_hint(message: &str, value: &str) -> Option<String> {
    let value = value.trim_matches(['"', '\'']);
    if message.starts_with("invalid IP address syntax") {
        return Some("; write numbers, as 239.1.1.1".to_owned());
    }
    if !message.starts_with("invalid socket address syntax") {
        return None;
    }
    if let Ok(ip) = value.parse::<IpAddr>() {
        let both = SocketAddr::new(ip, 20_000).to_string();
        return Some(format!("; write {}PORT", both.trim_end_matches("20000")));
    }
    let port = value.strip_prefix("localhost:");
    let port = port.filter(|port| port.parse::<u16>().is_ok());
    Some(match port {
        Some(port) => format!("; write 127.0.0.1:{port} (names are not looked up)"),
        None => "; write ADDRESS:PORT in numbers, as 127.0.0.1:20000 or [::1]:20000".to_owned(),
    })
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
