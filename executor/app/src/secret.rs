//! Files of Ed25519 keys: who may read them, and what stands in them.
//!
//! A file holds a key pair as the Solana tools write it (a JSON array of 64 numbers), 64 raw bytes, or the 32 raw
//! bytes of a seed. What is read is wiped when it is no longer needed.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bundle::{KeyError, Live, Signer};
use zeroize::Zeroizing;

/// Why a key file was not taken. Never holds key material.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("{}: {source}; make one with `solana-keygen new --no-bip39-passphrase -o FILE`, or: (umask 077; head -c 32 /dev/urandom > FILE)", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("{}: mode {mode:04o} lets others in; run: chmod 600 {}", path.display(), path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds no key.
    #[error("{}: {source}", path.display())]
    NotAKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// Longest key file read: 64 numbers of three digits, with room for spaces.
const FILE_LEN_MAX: usize = 1_024;

/// A key file that holds a key and is closed to others.
pub struct Secret {
    bytes: Zeroizing<[u8; FILE_LEN_MAX]>,
    len: usize,
    signer: Signer<Live>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Secret").field(&self.signer).finish()
    }
}

impl Secret {
    /// Reads a key file. It must not be open to group or others; a systemd credential may show group rights, because
    /// that is how its access list looks from outside.
    ///
    /// # Errors
    /// [`SecretError`] names the file and the fix.
    pub fn load(path: &Path) -> Result<Self, SecretError> {
        let unreadable = |source| SecretError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .is_some_and(|directory| path.starts_with(directory));
        if mode & if credential { 0o007 } else { 0o077 } != 0 {
            return Err(SecretError::TooOpen {
                path: path.to_owned(),
                mode,
            });
        }
        // A fixed buffer: a growing one would leave copies of the secret behind.
        let mut bytes = Zeroizing::new([0; FILE_LEN_MAX]);
        let mut len = 0;
        while len < bytes.len() {
            match file.read(&mut bytes[len..]).map_err(unreadable)? {
                0 => break,
                read => len += read,
            }
        }
        let signer = Signer::from_bytes(&bytes[..len]).map_err(|source| SecretError::NotAKey {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { bytes, len, signer })
    }

    /// The seed of RFC 8032.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        let content = &self.bytes[..self.len];
        if self.len == 32 || self.len == 64 {
            seed.copy_from_slice(&content[..32]);
            return seed;
        }
        // Whoever made the signer has found 64 numbers here.
        let mut at = 0;
        for &byte in content {
            match byte {
                b'0'..=b'9' => seed[at] = seed[at].wrapping_mul(10).wrapping_add(byte - b'0'),
                b',' => at += 1,
                _ => {}
            }
            if at == seed.len() {
                break;
            }
        }
        seed
    }

    /// What signs with it.
    #[must_use]
    pub fn into_signer(self) -> Signer<Live> {
        self.signer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::OpenOptionsExt as _;

    use shred_quic::Identity;

    use super::*;

    fn with_file(name: &str, mode: u32, content: &[u8], check: impl FnOnce(&Path)) {
        let name = format!("overmind-secret-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        std::io::Write::write_all(&mut options.open(&path).unwrap(), content).unwrap();
        check(&path);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn all_three_forms_hold_the_same_key() {
        let seed: [u8; 32] = std::array::from_fn(|at| (at * 9 + 3) as u8);
        let id = Identity::from_seed(&seed).id();
        let pair = [seed, id.0].concat();
        let json = format!("{pair:?}\n");
        for (name, content) in [
            ("raw", &seed[..]),
            ("pair", &pair[..]),
            ("json", json.as_bytes()),
        ] {
            with_file(name, 0o600, content, |path| {
                let secret = Secret::load(path).unwrap();
                assert_eq!(*secret.seed(), seed, "{name}");
                assert_eq!(*secret.into_signer().public_key(), id.0, "{name}");
            });
        }
    }

    #[test]
    fn an_open_an_absent_and_a_wrong_file_are_named() {
        with_file("open", 0o640, &[1; 32], |path| {
            let said = Secret::load(path).unwrap_err().to_string();
            assert!(
                said.contains("chmod 600") && said.contains("0640"),
                "{said}"
            );
        });
        with_file("wrong", 0o600, b"[1, 2]", |path| {
            let said = Secret::load(path).unwrap_err().to_string();
            let name = path.to_str().unwrap();
            assert!(
                said.starts_with(name) && said.contains("64 bytes"),
                "{said}"
            );
        });
        let said = Secret::load(Path::new("/nowhere/key")).unwrap_err();
        assert!(said.to_string().starts_with("/nowhere/key: "), "{said}");
    }
}
