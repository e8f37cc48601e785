//! Files of keys and tokens: who may read them, and what stands in them.
//!
//! A file of an Ed25519 key holds a key pair as the Solana tools write it (a JSON array of 64 numbers), 64 raw bytes, or the 32 raw
//! bytes of a seed. What is read is wiped when it is no longer needed.

use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bundle::{KeyError, Live, Signer};
use zeroize::Zeroizing;

use crate::regular::open_regular;

/// Why a key file was not taken. Never holds key material.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("{}: {}", path.display(), why(source, path, KEY_IS_MADE))]
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
    /// It cannot be read, and a token was wanted.
    #[error("{}: {}", path.display(), why(source, path, TOKEN_IS_MADE))]
    NoToken {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds no token.
    #[error("{}: a token is one line of 16 to 256 printable characters without blanks; make one with: (umask 077; head -c 24 /dev/urandom | base64 > FILE)", .0.display())]
    NotAToken(PathBuf),
    /// It holds no key.
    #[error("{}: {source}", path.display())]
    NotAKey {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
}

/// How a key comes into being.
const KEY_IS_MADE: &str =
    "`overmind keys new --file FILE`, or `solana-keygen new --no-bip39-passphrase -o FILE`";
/// How a token comes into being.
const TOKEN_IS_MADE: &str = ": (umask 077; head -c 24 /dev/urandom | base64 > FILE)";
/// Longest key file read: 64 numbers of three digits, with room for spaces.
const FILE_LEN_MAX: usize = 1_024;

/// Why a file could not be read, and the fix. A new one is proposed only where there is none: one that exists and is
/// closed to this user is somebody's identity.
pub(crate) fn why(source: &io::Error, path: &Path, made: &str) -> String {
    match source.kind() {
        ErrorKind::NotFound => {
            let with = if made.starts_with(':') { "" } else { " " };
            format!("does not exist; make one with{with}{made}")
        }
        ErrorKind::PermissionDenied => {
            // SAFETY: geteuid has no preconditions and cannot fail.
            let user = unsafe { libc::geteuid() };
            let file = path.display();
            format!(
                "permission denied to user {user}; if it is that user's, run: chown {user} {file} && chmod 600 {file}; \
                 its folders must let that user through, too"
            )
        }
        ErrorKind::InvalidInput => format!("it {source}"),
        _ => source.to_string(),
    }
}

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
        let (bytes, len) = read(path, unreadable)?;
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

/// Reads a file of a token, with the same demands on who may read it as [`Secret::load`].
///
/// # Errors
/// [`SecretError`] names the file and the fix.
pub fn load_token(path: &Path) -> Result<String, SecretError> {
    let (bytes, len) = read(path, |source| SecretError::NoToken {
        path: path.to_owned(),
        source,
    })?;
    let token = bytes[..len].trim_ascii();
    let fits = (16..=256).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(token)
        .ok()
        .filter(|_| fits)
        .map(str::to_owned)
        .ok_or_else(|| SecretError::NotAToken(path.to_owned()))
}

/// The beginning of a file that is closed to others.
fn read(
    path: &Path,
    unreadable: impl Fn(std::io::Error) -> SecretError,
) -> Result<(Zeroizing<[u8; FILE_LEN_MAX]>, usize), SecretError> {
    let mut file = open_regular(path, FILE_LEN_MAX as u64).map_err(&unreadable)?;
    let metadata = file.get_ref().metadata().map_err(&unreadable)?;
    let mode = metadata.permissions().mode() & 0o777;
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
        match file.read(&mut bytes[len..]).map_err(&unreadable)? {
            0 => break,
            read => len += read,
        }
    }
    Ok((bytes, len))
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

    #[test]
    fn a_token_is_one_line_that_only_we_may_read() {
        with_file("token", 0o600, b"0123456789abcdef\n", |path| {
            assert_eq!(load_token(path).unwrap(), "0123456789abcdef");
        });
        let long = [b'a'; 257];
        for (name, content) in [
            ("short", &b"0123456789abcde"[..]),
            ("blank", b"01234567 89abcdef"),
            ("long", &long),
            ("none", b""),
        ] {
            with_file(name, 0o600, content, |path| {
                let said = load_token(path).unwrap_err().to_string();
                assert!(said.contains("16 to 256"), "{name}: {said}");
            });
        }
        with_file("shown", 0o644, b"0123456789abcdef", |path| {
            let said = load_token(path).unwrap_err().to_string();
            assert!(said.contains("chmod 600"), "{said}");
        });
        let said = load_token(Path::new("/nowhere/token")).unwrap_err();
        assert!(said.to_string().contains("base64"), "{said}");
    }

    /// Goal: whoever may not read a key is not told to make another: it is somebody's identity.
    #[test]
    fn a_key_that_may_not_be_read_is_not_to_be_made_anew() {
        let path = Path::new("/k");
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        for made in [KEY_IS_MADE, TOKEN_IS_MADE] {
            let said = why(&denied, path, made);
            assert!(
                said.contains("chown ") && said.contains("/k") && !said.contains("make one"),
                "{said}"
            );
            let absent = why(&io::Error::from(ErrorKind::NotFound), path, made);
            assert!(absent.contains("make one"), "{absent}");
        }
        for path in ["/dev/zero", "/"] {
            let said = Secret::load(Path::new(path)).unwrap_err().to_string();
            assert!(said.contains("a regular file is wanted"), "{said}");
        }
    }
}
