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
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use market::Key;
use zeroize::Zeroizing;

use crate::ed25519::{self, PAIR_LEN};
use crate::locked::{Locked, scrub_stack};

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
/// allows; `Debug` prints the public key only. Loading overwrites the stack it used; registers, and what the caller
/// of [`Signer::from_bytes`] or [`Signer::from_seed`] holds, are not in its reach.
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
        let signer = Self::read(path, unreadable);
        scrub_stack();
        signer
    }

    #[inline(never)]
    fn read(
        path: &Path,
        unreadable: impl Fn(std::io::Error) -> KeyError + Copy,
    ) -> Result<Self, KeyError> {
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
        let signer = Self::parse(bytes);
        scrub_stack();
        signer
    }

    #[inline(never)]
    fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
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
        let signer = Self::new(seed);
        scrub_stack();
        signer
    }
}

impl<C: KeyClass> Signer<C> {
    #[inline(never)]
    fn new(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let public = SigningKey::from_bytes(secret).verifying_key().to_bytes();
        let mut pair = Locked::new([0; PAIR_LEN]).map_err(KeyError::NoPage)?;
        pair.get_mut()[..32].copy_from_slice(secret);
        pair.get_mut()[32..].copy_from_slice(&public);
        Ok(Self {
            pair: SigningPair {
                secret: Arc::new(pair),
                public,
            },
            class: PhantomData,
        })
    }

    /// The public key: the account that pays and signs.
    #[inline]
    #[must_use]
    pub fn public_key(&self) -> &Key {
        self.pair.public_key()
    }

    /// Whether the host keeps the secret out of swap and core dumps.
    #[must_use]
    pub fn is_memory_locked(&self) -> bool {
        self.pair.secret.is_locked()
    }

    /// The Ed25519 signature of `message` (RFC 8032): the same bytes for the same message, always.
    ///
    /// Cost: two SHA-512 passes over the message and one base-point multiplication. Does not allocate, on
    /// Rust's heap or C's. In a forked child the key is gone and no key verifies the result.
    #[inline]
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message)
    }

    /// The pair, for a maker of nonces that has its class from the same signer.
    #[cfg(feature = "armed-nonces")]
    pub(crate) fn pair(&self) -> &SigningPair {
        &self.pair
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

/// A secret in locked memory with its public key. Clones share the page, which is wiped when the last goes.
#[derive(Clone)]
pub(crate) struct SigningPair {
    /// The secret, then the public key, as [`ed25519::sign`] reads them: the two halves stand together so that
    /// no caller can pair a secret with a foreign public key.
    secret: Arc<Locked<[u8; PAIR_LEN]>>,
    public: Key,
}

impl SigningPair {
    #[inline]
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        ed25519::sign(self.secret.get(), message)
    }

    #[inline]
    pub(crate) fn public_key(&self) -> &Key {
        &self.public
    }

    /// The 32-byte secret of RFC 8032. For deriving what signing ahead needs.
    #[cfg(feature = "armed-nonces")]
    pub(crate) fn seed(&self) -> &[u8] {
        &self.secret.get()[..32]
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
    use proptest::prelude::*;
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

    /// RFC 8032 section 7.1, tests 1, 2 and "SHA(abc)".
    const VECTORS: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ],
    ];

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        let more = [SECRET, PUBLIC, "af82", SIGNATURE];
        for [secret, public, message, signature] in VECTORS.into_iter().chain([more]) {
            let signer = Signer::from_bytes(&bytes(secret)).unwrap();
            assert_eq!(signer.public_key()[..], bytes(public));
            assert_eq!(signer.sign(&bytes(message))[..], bytes(signature));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// Goal: the library in use and the one verifiers use agree to the bit, whatever the length.
        #[test]
        fn signatures_are_those_of_dalek(
            secret in any::<[u8; 32]>(),
            message in prop::collection::vec(any::<u8>(), 0..1_300),
        ) {
            let signer = Signer::from_seed(&secret).unwrap();
            let dalek = SigningKey::from_bytes(&secret);
            let expected = ed25519_dalek::Signer::sign(&dalek, &message);
            prop_assert_eq!(signer.sign(&message), expected.to_bytes());
            dalek.verifying_key().verify_strict(&message, &expected).unwrap();
        }
    }

    /// Goal: a child cannot sign for us, and what it signs tells nothing.
    #[test]
    fn a_forked_child_has_no_key() {
        let signer = Signer::from_bytes(&bytes(SECRET)).unwrap();
        if !signer.pair.secret.is_wiped_on_fork() {
            eprintln!("skipped: this kernel does not wipe pages on fork (before 4.14)");
            return;
        }
        let expected = bytes(SIGNATURE);
        // SAFETY: the child signs, which uses no heap and no lock, and leaves at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let same = signer.sign(&[0xaf, 0x82])[..] == expected[..];
            // SAFETY: `_exit` ends the child.
            unsafe { libc::_exit(i32::from(same)) };
        }
        let mut status = 0;
        // SAFETY: `status` outlives the call, `child` is ours.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child made the parent's signature");
        assert_eq!(signer.sign(&[0xaf, 0x82])[..], expected[..]);
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

    /// Goal: a stack is swapped and dumped like any memory: loading leaves no secret there, nor the scalar made of it.
    #[test]
    fn loading_leaves_no_secret_on_the_stack() {
        use crate::locked::residue::{holds, left_on_the_stack_by};
        let secret: [u8; 32] = bytes(SECRET).try_into().unwrap();
        let mut hash: [u8; 64] = <sha2::Sha512 as sha2::Digest>::digest(secret).into();
        hash[0] &= 248;
        hash[31] = hash[31] & 63 | 64;
        let pair = [bytes(SECRET), bytes(PUBLIC)].concat();
        let json = format!("{pair:?}");
        for text in [&secret[..], &pair, json.as_bytes()] {
            let left = left_on_the_stack_by(|| drop(Signer::from_bytes(text).unwrap()));
            assert!(!holds(&left, &secret), "the secret");
            assert!(!holds(&left, hash.first_chunk().unwrap()), "the scalar");
            assert!(!holds(&left, hash.last_chunk().unwrap()), "the prefix");
        }
    }

    #[test]
    fn debug_shows_the_public_key_alone() {
        let signer = Signer::from_bytes(&bytes(SECRET)).unwrap();
        assert_eq!(format!("{signer:?}"), format!("Signer({PUBLIC})"));
    }
}
