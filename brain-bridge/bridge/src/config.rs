//! `[bridge]` as the operator writes it, checked into what the bridge is built from.

use std::io;
use std::path::{Path, PathBuf};

use brain_wire::{Family, FamilySet, Grant, Rules};
use serde::Deserialize;

use crate::key::{KeyError, SharedKey};

/// Producers a bridge will serve at most.
const PRODUCER_COUNT_MAX: usize = 64;
/// Longest socket path; `sockaddr_un.sun_path` has 108 bytes with its NUL (unix(7)).
const SOCKET_PATH_LEN_MAX: usize = 107;

/// `[bridge]`. Read once at start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeConfig {
    /// `ipc://` and an absolute path. Its directory is made 0700 if missing, and refused if
    /// group or others have any right to it; the socket is 0600.
    pub endpoint: String,
    /// File that remembers the last session epoch. Must survive restarts.
    pub epoch_file: PathBuf,
    /// Who may send.
    pub producers: Vec<ProducerConfig>,
    /// Longest time to live a signal may ask for, microseconds.
    #[serde(default = "default::ttl_max_us")]
    pub ttl_max_us: u32,
    /// Least confidence that is acted on, parts per million. Vetoes need none.
    #[serde(default = "default::confidence_min_ppm")]
    pub confidence_min_ppm: u32,
    /// How many slots behind the chain a signal's evidence may be.
    #[serde(default = "default::slot_lag_max")]
    pub slot_lag_max: u64,
    /// How many slots ahead of our view of the chain a signal's evidence may be.
    #[serde(default = "default::slot_lead_max")]
    pub slot_lead_max: u64,
    /// Without a heartbeat for so long the brain is stale, milliseconds.
    #[serde(default = "default::heartbeat_timeout_ms")]
    pub heartbeat_timeout_ms: u32,
    /// Garbage frames within `garbage_window_ms` that put a connection into quarantine.
    #[serde(default = "default::garbage_max")]
    pub garbage_max: u32,
    /// See `garbage_max`; also the window over which a flood is judged. Milliseconds.
    #[serde(default = "default::garbage_window_ms")]
    pub garbage_window_ms: u32,
    /// How long a quarantine lasts, milliseconds.
    #[serde(default = "default::quarantine_ms")]
    pub quarantine_ms: u32,
}

/// One `[[bridge.producers]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProducerConfig {
    /// Number in every frame; unique, not 0.
    pub id: u16,
    /// File with the shared key; see `signal-inject --keygen`.
    pub key_file: PathBuf,
    /// The key before the last change, valid besides the new one until it is removed here.
    #[serde(default)]
    pub key_file_previous: Option<PathBuf>,
    /// Families it may speak for, by name.
    pub families: Vec<String>,
    /// Cap on any one signal, lamports. A higher figure is lowered to it.
    pub max_notional_lamports: u64,
    /// Signals per second on average.
    #[serde(default = "default::rate_per_second")]
    pub rate_per_second: u32,
    /// Signals at once.
    #[serde(default = "default::rate_burst")]
    pub rate_burst: u32,
}

mod default {
    pub(super) fn ttl_max_us() -> u32 {
        5_000_000
    }
    pub(super) fn confidence_min_ppm() -> u32 {
        700_000
    }
    pub(super) fn slot_lag_max() -> u64 {
        32
    }
    pub(super) fn slot_lead_max() -> u64 {
        8
    }
    pub(super) fn heartbeat_timeout_ms() -> u32 {
        1_000
    }
    pub(super) fn garbage_max() -> u32 {
        20
    }
    pub(super) fn garbage_window_ms() -> u32 {
        10_000
    }
    pub(super) fn quarantine_ms() -> u32 {
        300_000
    }
    pub(super) fn rate_per_second() -> u32 {
        500
    }
    pub(super) fn rate_burst() -> u32 {
        100
    }
}

/// Why the bridge refused to start. Slow path: formatted for a person.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// Not `ipc://` with an absolute path.
    #[error(
        "bridge.endpoint = {0:?}: want ipc:///absolute/path (TCP would need CURVE, which this libzmq lacks)"
    )]
    EndpointNotIpc(String),
    /// Longer than a Unix socket address.
    #[error(
        "bridge.endpoint = {0:?}: the path is longer than {SOCKET_PATH_LEN_MAX} bytes; choose a shorter directory"
    )]
    EndpointTooLong(String),
    /// Others can reach the socket's directory.
    #[error(
        "bridge.endpoint: directory {path} has mode {mode:04o} and owner {uid}; it must be ours alone: chmod 700 {path}"
    )]
    DirectoryOpen {
        /// Which directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its owner.
        uid: u32,
    },
    /// A value outside its bounds.
    #[error("bridge.{field} = {value}: {want}")]
    OutOfRange {
        /// Which key.
        field: &'static str,
        /// What it says.
        value: u64,
        /// What it may say.
        want: &'static str,
    },
    /// Two producers with one id.
    #[error("bridge.producers: id {0} appears twice; give each producer its own")]
    ProducerTwice(u16),
    /// A family this version does not know.
    #[error("bridge.producers: id {id}: no family is called {name:?}")]
    FamilyUnknown {
        /// Which producer.
        id: u16,
        /// What it says.
        name: String,
    },
    /// A key file that cannot be used.
    #[error("bridge.producers: id {id}: {source}")]
    Key {
        /// Which producer.
        id: u16,
        /// Why not.
        source: KeyError,
    },
    /// Another process holds the socket or the epoch file.
    #[error("{0} is locked: another executor runs with the same socket or epoch file")]
    AlreadyRunning(PathBuf),
    /// A file operation failed.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// ZeroMQ refused.
    #[error("zeromq {what}: {source}")]
    ZeroMq {
        /// Doing what.
        what: &'static str,
        /// What it said.
        source: zmq::Error,
    },
    /// The system gave no randomness.
    #[error("no randomness: {0}")]
    NoRandomness(getrandom::Error),
    /// The bridge thread ended by a panic.
    #[error("the bridge thread panicked; the core is unaffected, the brain reads as stale")]
    Panicked,
}

/// The configuration after every check.
#[derive(Debug)]
pub(crate) struct BridgePlan {
    pub(crate) endpoint: String,
    pub(crate) socket: PathBuf,
    pub(crate) epoch_file: PathBuf,
    pub(crate) desk: DeskPlan,
}

/// The part of it that the protocol needs.
#[derive(Debug)]
pub(crate) struct DeskPlan {
    pub(crate) rules: Rules,
    pub(crate) garbage_max: u32,
    pub(crate) garbage_window_ns: u64,
    pub(crate) quarantine_ns: u64,
    pub(crate) producers: Vec<ProducerPlan>,
}

/// One producer after every check.
#[derive(Debug)]
pub(crate) struct ProducerPlan {
    pub(crate) id: u16,
    /// The current key, then the previous one if there is one.
    pub(crate) keys: Vec<SharedKey>,
    pub(crate) grant: Grant,
    pub(crate) rate_per_second: u32,
    pub(crate) rate_burst: u32,
}

impl BridgeConfig {
    /// A configuration with every default and no producer yet.
    pub fn new(endpoint: impl Into<String>, epoch_file: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: endpoint.into(),
            epoch_file: epoch_file.into(),
            producers: Vec::new(),
            ttl_max_us: default::ttl_max_us(),
            confidence_min_ppm: default::confidence_min_ppm(),
            slot_lag_max: default::slot_lag_max(),
            slot_lead_max: default::slot_lead_max(),
            heartbeat_timeout_ms: default::heartbeat_timeout_ms(),
            garbage_max: default::garbage_max(),
            garbage_window_ms: default::garbage_window_ms(),
            quarantine_ms: default::quarantine_ms(),
        }
    }

    /// Checks every field and reads the keys.
    pub(crate) fn plan(&self) -> Result<BridgePlan, BridgeError> {
        let socket = socket_path(&self.endpoint)?;
        in_range("ttl_max_us", self.ttl_max_us, 1, 60_000_000, "1 us to 60 s")?;
        in_range(
            "confidence_min_ppm",
            self.confidence_min_ppm,
            0,
            1_000_000,
            "0 to 1000000",
        )?;
        in_range(
            "heartbeat_timeout_ms",
            self.heartbeat_timeout_ms,
            10,
            60_000,
            "10 ms to 60 s",
        )?;
        in_range(
            "garbage_max",
            self.garbage_max,
            1,
            1_000_000,
            "1 to 1000000",
        )?;
        in_range(
            "producers",
            self.producers.len() as u32,
            0,
            PRODUCER_COUNT_MAX as u32,
            "64 at most",
        )?;
        let mut producers: Vec<ProducerPlan> = Vec::with_capacity(self.producers.len());
        for producer in &self.producers {
            if producers.iter().any(|other| other.id == producer.id) {
                return Err(BridgeError::ProducerTwice(producer.id));
            }
            producers.push(producer.plan()?);
        }
        let ms = |value: u32| u64::from(value) * 1_000_000;
        let rules = Rules {
            ttl_max_us: self.ttl_max_us,
            slot_lag_max: self.slot_lag_max,
            slot_lead_max: self.slot_lead_max,
            confidence_min_ppm: self.confidence_min_ppm,
            heartbeat_timeout_ns: ms(self.heartbeat_timeout_ms),
            ..Rules::default()
        };
        Ok(BridgePlan {
            endpoint: self.endpoint.clone(),
            socket,
            epoch_file: self.epoch_file.clone(),
            desk: DeskPlan {
                rules,
                garbage_max: self.garbage_max,
                garbage_window_ns: ms(self.garbage_window_ms),
                quarantine_ns: ms(self.quarantine_ms),
                producers,
            },
        })
    }
}

impl ProducerConfig {
    /// A producer with the default rate.
    pub fn new(
        id: u16,
        key_file: impl Into<PathBuf>,
        families: &[Family],
        max_notional_lamports: u64,
    ) -> Self {
        Self {
            id,
            key_file: key_file.into(),
            key_file_previous: None,
            families: families
                .iter()
                .map(|family| family.name().to_owned())
                .collect(),
            max_notional_lamports,
            rate_per_second: default::rate_per_second(),
            rate_burst: default::rate_burst(),
        }
    }

    fn plan(&self) -> Result<ProducerPlan, BridgeError> {
        let id = self.id;
        in_range(
            "producers.id",
            u32::from(id),
            1,
            u32::from(u16::MAX),
            "1 to 65535",
        )?;
        in_range(
            "producers.rate_per_second",
            self.rate_per_second,
            1,
            1_000_000,
            "1 to 1000000",
        )?;
        in_range(
            "producers.rate_burst",
            self.rate_burst,
            1,
            1_000_000,
            "1 to 1000000",
        )?;
        let families = self
            .families
            .iter()
            .try_fold(FamilySet::default(), |set, name| {
                let family = Family::from_name(name).ok_or_else(|| BridgeError::FamilyUnknown {
                    id,
                    name: name.clone(),
                })?;
                Ok(set.with(family))
            })?;
        let files = std::iter::once(&self.key_file).chain(&self.key_file_previous);
        let keys = files
            .map(|file| SharedKey::load(file).map_err(|source| BridgeError::Key { id, source }))
            .collect::<Result<_, _>>()?;
        Ok(ProducerPlan {
            id,
            keys,
            grant: Grant {
                families,
                max_notional_lamports: self.max_notional_lamports,
            },
            rate_per_second: self.rate_per_second,
            rate_burst: self.rate_burst,
        })
    }
}

fn socket_path(endpoint: &str) -> Result<PathBuf, BridgeError> {
    let path = endpoint
        .strip_prefix("ipc://")
        .filter(|path| path.starts_with('/'));
    let path = path.ok_or_else(|| BridgeError::EndpointNotIpc(endpoint.to_owned()))?;
    if path.len() > SOCKET_PATH_LEN_MAX {
        return Err(BridgeError::EndpointTooLong(endpoint.to_owned()));
    }
    Ok(Path::new(path).to_owned())
}

fn in_range(
    field: &'static str,
    value: u32,
    min: u32,
    max: u32,
    want: &'static str,
) -> Result<(), BridgeError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(BridgeError::OutOfRange {
        field,
        value: u64::from(value),
        want,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory of mode 0700 that goes away with the test.
    pub(crate) struct TempDir(PathBuf);

    impl TempDir {
        pub(crate) fn new(name: &str) -> Self {
            use std::os::unix::fs::DirBuilderExt;
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir()
                .join(format!("overmind-{name}-{}-{number}", std::process::id()));
            std::fs::DirBuilder::new()
                .mode(0o700)
                .create(&path)
                .unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for TempDir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn with_producer(change: impl FnOnce(&mut BridgeConfig)) -> Result<BridgePlan, BridgeError> {
        let dir = TempDir::new("config");
        let key = dir.path().join("brain.key");
        SharedKey::generate(&key).unwrap();
        let mut config = BridgeConfig::new("ipc:///run/overmind/signal.ipc", "bridge.epoch");
        config
            .producers
            .push(ProducerConfig::new(1, &key, &[Family::Onchain], 5));
        change(&mut config);
        config.plan()
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut BridgeConfig), expect: &str) {
        let text = with_producer(change).unwrap_err().to_string();
        assert!(text.contains(expect), "{text:?} should name {expect:?}");
    }

    #[test]
    fn a_sound_configuration_becomes_a_plan() {
        let plan = with_producer(|_| ()).unwrap();
        assert_eq!(plan.socket, Path::new("/run/overmind/signal.ipc"));
        assert_eq!(plan.desk.rules, Rules::default());
        assert_eq!(
            plan.desk.producers[0].grant.families,
            FamilySet::default().with(Family::Onchain)
        );
    }

    #[test]
    fn each_refusal_names_the_field() {
        refused(
            |c| c.endpoint = "tcp://127.0.0.1:5555".into(),
            "ipc:///absolute/path",
        );
        refused(
            |c| c.endpoint = "ipc://@abstract".into(),
            "ipc:///absolute/path",
        );
        refused(
            |c| c.endpoint = format!("ipc:///{}", "x".repeat(107)),
            "longer than 107",
        );
        refused(|c| c.ttl_max_us = 0, "ttl_max_us");
        refused(|c| c.confidence_min_ppm = 1_000_001, "confidence_min_ppm");
        refused(
            |c| c.producers.push(c.producers[0].clone()),
            "appears twice",
        );
        refused(|c| c.producers[0].id = 0, "producers.id");
        refused(
            |c| c.producers[0].families.push("astrology".into()),
            "astrology",
        );
        refused(
            |c| c.producers[0].key_file = "/no/such/key".into(),
            "/no/such/key",
        );
        refused(|c| c.producers[0].rate_burst = 0, "rate_burst");
    }

    #[test]
    fn unknown_keys_are_refused_and_defaults_filled() {
        let json = r#"{"endpoint":"ipc:///x","epoch_file":"e","producers":[]}"#;
        let config: BridgeConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config, BridgeConfig::new("ipc:///x", "e"));
        let typo = json.replace("producers", "producer");
        assert!(serde_json::from_str::<BridgeConfig>(&typo).is_err());
    }
}
