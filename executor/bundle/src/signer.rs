//! The secret key: where it comes from, where it lives, and signing.
//!
//! A [`Signer`] carries in its type whether its key may move real money. A seed, which a replay or a demo
//! can supply, only ever makes a [`ThrowAway`]; an operator's file only ever makes a [`Live`]. No function
//! turns one into the other.

use core::fmt;
use core::marker::PhantomData;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use market::Key;
use sha2::Sha512;
use zeroize::{Zeroize, Zeroizing};

use crate::locked::Locked;

/// Class of a key; only [`Live`] and [`ThrowAway`] exist.
pub trait KeyClass: sealed::Sealed + 'static {}

/// The operator's key: it owns real money.
#[derive(Debug)]
pub enum Live {}
/// A key made from a seed, for demo, replay and paper: nothing of value may ever be sent to it.
#[derive(Debug)]
pub enum ThrowAway {}

impl KeyClass for Live {}
impl KeyClass for ThrowAway {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Live {}
    impl Sealed for super::ThrowAway {}
}

/// Why a key was not taken. Never holds key material.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("key file {path}: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others than the owner can read the file.
    #[error("key file {path} has mode {mode:03o}: others could read it; chmod 600 it")]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Neither a JSON array of 64 bytes nor 32 or 64 raw bytes.
    #[error("not a key: expected a JSON array of 64 bytes, or 32 or 64 raw bytes")]
    Malformed,
    /// The second half of a 64-byte key is not the public key of the first.
    #[error("the public half does not belong to the secret half")]
    PublicKeyMismatch,
    /// The host gave no memory for the key.
    #[error("no page for the key: {0}")]
    NoPage(std::io::Error),
}

/// Longest key file read: 64 numbers of three digits, with room for spaces.
const FILE_LEN_MAX: usize = 1_024;

/// One Ed25519 key that signs. The secret is wiped on drop and kept out of swap and dumps where the host
/// allows; `Debug` prints the public key only. Loading may leave a trace of the secret on the loading thread's
/// stack until it is overwritten: load at start, on a thread that then does other work.
pub struct Signer<C: KeyClass> {
    pair: SigningPair,
    class: PhantomData<C>,
}

impl Signer<Live> {
    /// Reads a keypair as the Solana tools write it (a JSON array of 64 numbers), or 32 or 64 raw bytes.
    ///
    /// # Errors
    /// [`KeyError`]; a file that group or others may read is refused.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen {
                path: path.to_owned(),
                mode,
            });
        }
        // A fixed buffer: a growing one would leave copies of the secret behind.
        let mut bytes = Zeroizing::new([0u8; FILE_LEN_MAX]);
        let len = read_to_capacity(&mut file, &mut *bytes).map_err(unreadable)?;
        Self::from_bytes(&bytes[..len])
    }

    /// Takes a keypair from memory: a JSON array of 64 numbers, 64 raw bytes (secret, then public), or a raw
    /// 32-byte secret.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], [`KeyError::PublicKeyMismatch`], [`KeyError::NoPage`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if let Ok(secret) = <&[u8; 32]>::try_from(bytes) {
            return Self::new(secret);
        }
        let mut pair = Zeroizing::new([0u8; 64]);
        match <&[u8; 64]>::try_from(bytes) {
            Ok(raw) => pair.copy_from_slice(raw),
            Err(_) => parse_json_array(bytes, &mut pair).ok_or(KeyError::Malformed)?,
        }
        let (secret, public) = pair.split_first_chunk().ok_or(KeyError::Malformed)?;
        let signer = Self::new(secret)?;
        if signer.public_key()[..] != public[..] {
            return Err(KeyError::PublicKeyMismatch);
        }
        Ok(signer)
    }
}

impl Signer<ThrowAway> {
    /// A key that anyone who knows `seed` can make again.
    ///
    /// ```compile_fail,E0599
    /// # use bundle::{Live, Signer};
    /// let forged = Signer::<Live>::from_seed(&[1; 32]);
    /// ```
    ///
    /// # Errors
    /// [`KeyError::NoPage`].
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        Self::new(seed)
    }
}

impl<C: KeyClass> Signer<C> {
    fn new(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let public = SigningKey::from_bytes(secret).verifying_key();
        let secret =
            Locked::new(Secret(ExpandedSecretKey::from(secret))).map_err(KeyError::NoPage)?;
        Ok(Self {
            pair: SigningPair { secret, public },
            class: PhantomData,
        })
    }

    /// The public key: the account that pays and signs.
    #[inline]
    #[must_use]
    pub fn public_key(&self) -> &Key {
        self.pair.public.as_bytes()
    }

    /// Whether the host keeps the secret out of swap and core dumps.
    #[must_use]
    pub const fn is_memory_locked(&self) -> bool {
        self.pair.secret.is_locked()
    }

    /// The Ed25519 signature of `message` (RFC 8032): the same bytes for the same message, always.
    ///
    /// Cost: two SHA-512 passes over the message and one base-point multiplication. Does not allocate.
    #[inline]
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message)
    }

    /// Gives up the class, for an owner that has already acted on it.
    pub(crate) fn into_pair(self) -> SigningPair {
        self.pair
    }
}

impl<C: KeyClass> fmt::Debug for Signer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer(")?;
        self.public_key()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ")")
    }
}

/// A secret in locked memory with its public key.
pub(crate) struct SigningPair {
    secret: Locked<Secret>,
    public: VerifyingKey,
}

impl SigningPair {
    #[inline]
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.secret.get().0, message, &self.public).to_bytes()
    }

    #[inline]
    pub(crate) fn public_key(&self) -> &Key {
        self.public.as_bytes()
    }
}

/// The expanded secret: hashing the seed happens once, not per signature.
struct Secret(ExpandedSecretKey);

impl Zeroize for Secret {
    fn zeroize(&mut self) {
        self.0.scalar.zeroize();
        self.0.hash_prefix.zeroize();
    }
}

/// Fills `buffer` from `file`; a longer file is cut and then fails to parse.
fn read_to_capacity(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match file.read(&mut buffer[len..])? {
            0 => break,
            read => len += read,
        }
    }
    Ok(len)
}

/// Reads exactly 64 numbers below 256 in brackets, with any white space between. Does not allocate.
fn parse_json_array(text: &[u8], out: &mut [u8; 64]) -> Option<()> {
    let inner = text.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
    let mut numbers = inner
        .split(|&byte| byte == b',')
        .map(|number| parse_byte(number.trim_ascii()));
    for byte in out.iter_mut() {
        *byte = numbers.next()??;
    }
    numbers.next().is_none().then_some(())
}

fn parse_byte(digits: &[u8]) -> Option<u8> {
    if digits.is_empty() || digits.len() > 3 {
        return None;
    }
    let value = digits.iter().try_fold(0u16, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + u16::from(digit - b'0'))
    })?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::OpenOptionsExt;

    /// RFC 8032 section 7.1, test 3: secret, public, message, signature.
    const SECRET: &str = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
    const PUBLIC: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
    const SIGNATURE: &str = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        let signer = Signer::from_bytes(&bytes(SECRET)).unwrap();
        assert_eq!(signer.public_key()[..], bytes(PUBLIC));
        assert_eq!(signer.sign(&[0xaf, 0x82])[..], bytes(SIGNATURE));
    }

    #[test]
    fn a_seed_and_a_file_of_the_same_secret_agree() {
        let secret: [u8; 32] = bytes(SECRET).try_into().unwrap();
        let thrown = Signer::<ThrowAway>::from_seed(&secret).unwrap();
        let pair = [bytes(SECRET), bytes(PUBLIC)].concat();
        let json = format!("{pair:?}");
        let spread = format!(" {}\n", json.replace(',', " ,\n\t").replace('[', "[ "));
        for text in [pair, json.into_bytes(), spread.into_bytes()] {
            let live = Signer::<Live>::from_bytes(&text).unwrap();
            assert_eq!(live.public_key(), thrown.public_key());
            assert_eq!(live.sign(b"m"), thrown.sign(b"m"));
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let pair = [bytes(SECRET), bytes(PUBLIC)].concat();
        let json = format!("{pair:?}");
        let malformed: [&[u8]; 7] = [
            b"",
            b"[]",
            &pair[..63],
            json.replace("197", "256").as_bytes().to_vec().leak(),
            b"[1,2,3]",
            b"[,]",
            &[b'9'; 1_024],
        ];
        for text in malformed {
            assert!(
                matches!(Signer::<Live>::from_bytes(text), Err(KeyError::Malformed)),
                "{text:?}"
            );
        }
        let one_more = json.replace(']', ",1]");
        assert!(matches!(
            Signer::<Live>::from_bytes(one_more.as_bytes()),
            Err(KeyError::Malformed)
        ));
        let mut foreign = pair;
        foreign[63] ^= 1;
        assert!(matches!(
            Signer::<Live>::from_bytes(&foreign),
            Err(KeyError::PublicKeyMismatch)
        ));
    }

    #[test]
    fn a_file_others_can_read_is_refused() {
        let path = std::env::temp_dir().join(format!("bundle-signer-{}.json", std::process::id()));
        let pair = [bytes(SECRET), bytes(PUBLIC)].concat();
        let open = |mode| {
            std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&path)
        };
        std::io::Write::write_all(&mut open(0o600).unwrap(), format!("{pair:?}").as_bytes())
            .unwrap();
        assert_eq!(
            Signer::from_file(&path).unwrap().public_key()[..],
            bytes(PUBLIC)
        );
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Signer::from_file(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(
            matches!(refused, KeyError::TooOpen { mode: 0o640, .. }),
            "{refused}"
        );
        assert!(matches!(
            Signer::from_file(&path),
            Err(KeyError::Unreadable { .. })
        ));
    }

    #[test]
    fn debug_shows_the_public_key_alone() {
        let signer = Signer::from_bytes(&bytes(SECRET)).unwrap();
        assert_eq!(format!("{signer:?}"), format!("Signer({PUBLIC})"));
    }
}
