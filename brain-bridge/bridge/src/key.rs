//! The 32-byte key a producer shares with the executor: file form, rights, life in memory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::{Zeroize, Zeroizing};

/// A shared key. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct SharedKey([u8; 32]);

impl Drop for SharedKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl std::fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedKey(..)")
    }
}

/// Why a key file was refused. Start-up only.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read or written.
    #[error("key file {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("key file {path}: mode {mode:04o} lets others in; run: chmod 600 {path}")]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Neither 64 hexadecimal digits nor 32 bytes.
    #[error(
        "key file {path}: want 64 hexadecimal digits; make one with: signal-inject --keygen {path}"
    )]
    NotAKey {
        /// Which file.
        path: PathBuf,
    },
    /// The system gave no randomness.
    #[error("no randomness for a key: {0}")]
    NoRandomness(getrandom::Error),
}

impl SharedKey {
    /// A key from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for deriving from.
    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a key file: 64 hexadecimal digits and an optional line end, or 32 raw bytes. The file
    /// must not be open to group or others; a systemd credential may show group rights, because
    /// that is how its access list looks from outside.
    ///
    /// # Errors
    /// [`KeyError`], with the command that fixes it where there is one.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        let mode = fs::metadata(path).map_err(io)?.mode() & 0o777;
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .is_some_and(|directory| path.starts_with(directory));
        if mode & if credential { 0o007 } else { 0o077 } != 0 {
            return Err(KeyError::TooOpen {
                path: path.to_owned(),
                mode,
            });
        }
        let content = Zeroizing::new(fs::read(path).map_err(io)?);
        parse(&content).ok_or_else(|| KeyError::NotAKey {
            path: path.to_owned(),
        })
    }

    /// Makes a new random key and writes it to a file that must not exist yet, mode 0600.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        getrandom::fill(&mut bytes[..]).map_err(KeyError::NoRandomness)?;
        let mut text = Zeroizing::new(String::with_capacity(65));
        for byte in bytes.iter() {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
        let io = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(io)?;
        Ok(Self(*bytes))
    }
}

fn parse(content: &[u8]) -> Option<SharedKey> {
    if let Ok(bytes) = content.try_into() {
        return Some(SharedKey(bytes));
    }
    let digits = content.trim_ascii_end();
    let nibble = |at: usize| {
        char::from(*digits.get(at)?)
            .to_digit(16)
            .map(|value| value as u8)
    };
    if digits.len() != 64 {
        return None;
    }
    let mut key = SharedKey([0; 32]);
    for at in 0..32 {
        key.0[at] = nibble(2 * at)? << 4 | nibble(2 * at + 1)?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::tests::TempDir;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_generated_key_loads_and_is_not_overwritten() {
        let dir = TempDir::new("key");
        let path = dir.path().join("brain.key");
        let key = SharedKey::generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(SharedKey::load(&path).unwrap().0, key.0);
        assert!(matches!(
            SharedKey::generate(&path),
            Err(KeyError::Io { .. })
        ));
        assert_eq!(format!("{key:?}"), "SharedKey(..)");
    }

    #[test]
    fn open_or_malformed_files_are_refused() {
        let dir = TempDir::new("key-bad");
        let path = dir.path().join("brain.key");
        SharedKey::generate(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            SharedKey::load(&path),
            Err(KeyError::TooOpen { mode: 0o640, .. })
        ));
        assert!(parse(&[7; 32]).is_some());
        for content in [
            &b""[..],
            &[b'a'; 63],
            &[b'g'; 64],
            &[b'a'; 65],
            "é".repeat(32).as_bytes(),
        ] {
            assert!(parse(content).is_none(), "{content:?}");
        }
    }
}
