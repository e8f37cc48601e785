//! The files that a configuration names, for whoever looks at them before a start.

use std::path::{Path, PathBuf};

use super::check::CREDENTIAL;
use super::{Config, Host, SourceKind};

/// What is kept in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Who leads which slot.
    Leaders,
    /// Lookup tables.
    LookupTables,
    /// An Ed25519 key.
    SigningKey,
    /// A key of a producer of signals.
    ProducerKey,
    /// What clients of the relay must bring.
    Token,
    /// Written to, a line a second.
    Log,
}

impl FileKind {
    /// Whether others must not read it.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::SigningKey | Self::ProducerKey | Self::Token)
    }
}

/// A file and the key that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// For instance `ingest.sources[0].identity_file`.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
    /// What is kept in it.
    pub kind: FileKind,
}

impl Config {
    /// The files that would be used at start. What is no path, and a credential that was not handed over, is left out:
    /// [`Config::plan`] has said so.
    #[must_use]
    pub fn named_files(&self, host: &Host) -> Vec<NamedFile> {
        let mut files = Files {
            host,
            list: Vec::new(),
        };
        let ingest = &self.ingest;
        files.path(
            "ingest.leaders_file",
            ingest.leaders_file.as_deref(),
            FileKind::Leaders,
        );
        files.path(
            "market.lookup_tables",
            self.market.lookup_tables.as_deref(),
            FileKind::LookupTables,
        );
        files.path(
            "ingest.sources_log",
            ingest.sources_log.as_deref(),
            FileKind::Log,
        );
        for (index, source) in ingest.sources.iter().enumerate() {
            if source.kind == SourceKind::Quic {
                let key = format!("ingest.sources[{index}].identity_file");
                files.typed(&key, source.identity_file.as_ref(), FileKind::SigningKey);
            }
        }
        if self.shredstream.enabled {
            let named = self.shredstream.key_file.as_ref();
            files.typed("shredstream.key_file", named, FileKind::SigningKey);
        }
        if self.bridge.enabled {
            for (index, producer) in self.bridge.producers.iter().enumerate() {
                let key = format!("bridge.producers[{index}].key_file");
                files.typed(&key, Some(&producer.key_file), FileKind::ProducerKey);
                let (key, previous) = (
                    format!("{key}_previous"),
                    producer.key_file_previous.as_ref(),
                );
                files.typed(&key, previous, FileKind::ProducerKey);
            }
        }
        if self.relay.has_purpose() {
            let named = self.relay.identity_file.as_ref();
            files.typed("relay.identity_file", named, FileKind::SigningKey);
        }
        if self.relay.entries.bind.is_some() {
            let named = self.relay.entries.token_file.as_ref();
            files.typed("relay.entries.token_file", named, FileKind::Token);
        }
        files.list
    }
}

struct Files<'h> {
    host: &'h Host,
    list: Vec<NamedFile>,
}

impl Files<'_> {
    fn path(&mut self, key: &str, path: Option<&Path>, kind: FileKind) {
        if let Some(path) = path.filter(|path| path.is_absolute()) {
            self.list.push(NamedFile {
                key: key.to_owned(),
                path: path.to_owned(),
                kind,
            });
        }
    }

    /// As [`Files::path`], of an absolute path or a credential; `generate` is neither.
    fn typed(&mut self, key: &str, text: Option<&String>, kind: FileKind) {
        let Some(text) = text else { return };
        let path = match (text.strip_prefix(CREDENTIAL), &self.host.credentials_dir) {
            (Some(name), Some(directory)) => directory.join(name),
            (Some(_), None) => return,
            (None, _) => PathBuf::from(text),
        };
        self.path(key, Some(&path), kind);
    }
}
