//! Who a peer is: the Ed25519 key in its certificate, and nothing else in it.
//!
//! As Solana's endpoints do (agave `tls-utils/src/tls_certificates.rs`): certificates are self-signed shells, the
//! names, dates and the signature inside are not looked at. That the peer holds the key is proven by the handshake's
//! CertificateVerify, which is checked strictly.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// Longest certificate that is read; one of ours, as of Agave, is about 250 bytes.
pub const CERTIFICATE_LEN_MAX: usize = 4096;

/// A node's Ed25519 public key, in text base58 as Solana writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 32]);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.0).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

/// Not 32 bytes of base58.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an identity is 32 bytes of base58")]
pub struct NotAPeerId;

impl FromStr for PeerId {
    type Err = NotAPeerId;

    fn from_str(text: &str) -> Result<Self, NotAPeerId> {
        let mut key = [0; 32];
        match bs58::decode(text).onto(&mut key) {
            Ok(32) => Ok(Self(key)),
            _ => Err(NotAPeerId),
        }
    }
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum IdentityReject {
    /// Longer than [`CERTIFICATE_LEN_MAX`].
    #[error("certificate too long")]
    TooLong,
    /// Not the nesting of an X.509 certificate.
    #[error("not a certificate")]
    Malformed,
    /// A key of another kind than Ed25519.
    #[error("not an Ed25519 key")]
    NotEd25519,
}

/// Our own key and the certificate that carries it.
///
/// This is a node's name among nodes. It signs handshakes, never a transaction: give it a key of its own.
#[derive(Clone)]
pub struct Identity {
    id: PeerId,
    pub(crate) key: Arc<CertifiedKey>,
}

impl Identity {
    /// From the 32-byte secret seed of RFC 8032, which the caller should wipe.
    ///
    /// # Panics
    /// Never: every seed is a key.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signer = SigningKey::from_bytes(seed);
        let id = PeerId(signer.verifying_key().to_bytes());
        // RFC 8410 section 7: PrivateKeyInfo { version 0, id-Ed25519, OCTET STRING { OCTET STRING seed } }.
        let mut secret = Zeroizing::new([0; PKCS8_HEAD.len() + 32]);
        secret[..PKCS8_HEAD.len()].copy_from_slice(PKCS8_HEAD);
        secret[PKCS8_HEAD.len()..].copy_from_slice(seed);
        let secret = PrivatePkcs8KeyDer::from(secret.as_slice());
        let key =
            rustls::crypto::ring::sign::any_eddsa_type(&secret).expect("a well-formed Ed25519 key");
        let certificate = CertificateDer::from(certificate(&signer));
        Self {
            id,
            key: Arc::new(CertifiedKey::new(vec![certificate], key)),
        }
    }

    /// What peers pin.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.key.cert[0]
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Reads the Ed25519 key from a certificate's SubjectPublicKeyInfo.
///
/// Total: walks the nesting of RFC 5280 section 4.1 to the key, within bounds, and looks at nothing else.
///
/// # Errors
/// [`IdentityReject`].
pub fn peer_id(certificate: &[u8]) -> Result<PeerId, IdentityReject> {
    if certificate.len() > CERTIFICATE_LEN_MAX {
        return Err(IdentityReject::TooLong);
    }
    let key_info = key_info(certificate).ok_or(IdentityReject::Malformed)?;
    let key = key_info
        .strip_prefix(KEY_INFO_HEAD)
        .ok_or(IdentityReject::NotEd25519)?;
    let key = key.try_into().map_err(|_| IdentityReject::NotEd25519)?;
    Ok(PeerId(key))
}

/// The content of the SubjectPublicKeyInfo.
fn key_info(certificate: &[u8]) -> Option<&[u8]> {
    let (whole, rest) = element(certificate, SEQUENCE)?;
    if !rest.is_empty() {
        return None;
    }
    let (signed, _) = element(whole, SEQUENCE)?;
    // version [0] is absent in a certificate of version 1.
    let signed = element(signed, CONTEXT_0).map_or(signed, |(_, rest)| rest);
    let (_serial, signed) = element(signed, INTEGER)?;
    let (_algorithm, signed) = element(signed, SEQUENCE)?;
    let (_issuer, signed) = element(signed, SEQUENCE)?;
    let (_validity, signed) = element(signed, SEQUENCE)?;
    let (_subject, signed) = element(signed, SEQUENCE)?;
    let (key_info, _) = element(signed, SEQUENCE)?;
    Some(key_info)
}

/// Splits `bytes` into the content of its first element, which must have `tag`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = bytes.split_first_chunk()?;
    if found != tag {
        return None;
    }
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => {
            let (&[len], rest) = rest.split_first_chunk()?;
            (usize::from(len), rest)
        }
        0x82 => {
            let (&len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(len)), rest)
        }
        // Indefinite, or longer than anything that is read here.
        _ => return None,
    };
    rest.split_at_checked(len)
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const CONTEXT_0: u8 = 0xa0;

/// id-Ed25519, 1.3.101.112 (RFC 8410 section 3).
const ID_ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// id-at-commonName, 2.5.4.3.
const ID_COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// SubjectPublicKeyInfo of an Ed25519 key up to the key: algorithm, BIT STRING of 33 bytes, no unused bits.
const KEY_INFO_HEAD: &[u8] = &[
    SEQUENCE, 5, OBJECT_ID, 3, 0x2b, 0x65, 0x70, BIT_STRING, 33, 0,
];
const PKCS8_HEAD: &[u8] = &[
    SEQUENCE, 46, INTEGER, 1, 0, SEQUENCE, 5, OBJECT_ID, 3, 0x2b, 0x65, 0x70, 0x04, 34, 0x04, 32,
];

/// A self-signed certificate of version 3 with the names and dates of Agave's.
fn certificate(signer: &SigningKey) -> Vec<u8> {
    let algorithm = der(SEQUENCE, &[&der(OBJECT_ID, &[ID_ED25519])]);
    let common_name = [
        der(OBJECT_ID, &[ID_COMMON_NAME]),
        der(UTF8_STRING, &[b"Solana node"]),
    ]
    .concat();
    let name = der(SEQUENCE, &[&der(SET, &[&der(SEQUENCE, &[&common_name])])]);
    let from = der(UTC_TIME, &[b"700101000000Z"]);
    let until = der(GENERALIZED_TIME, &[b"40960101000000Z"]);
    let public = signer.verifying_key().to_bytes();
    let signed = der(
        SEQUENCE,
        &[
            &der(CONTEXT_0, &[&der(INTEGER, &[&[2]])]),
            &der(INTEGER, &[&[1]]),
            &algorithm,
            &name,
            &der(SEQUENCE, &[&from, &until]),
            &name,
            &der(SEQUENCE, &[KEY_INFO_HEAD, &public]),
        ],
    );
    let signature = signer.sign(&signed).to_bytes();
    let signature = der(BIT_STRING, &[&[0], &signature]);
    der(SEQUENCE, &[&signed, &algorithm, &signature])
}

/// An element with `parts` for content, at most 65,535 bytes.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = vec![tag];
    match content.len() {
        len @ 0..=0x7f => bytes.push(len as u8),
        len @ 0x80..=0xff => bytes.extend([0x81, len as u8]),
        len => bytes.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    bytes.extend(content);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// The certificate that Agave's nodes show (`new_dummy_x509_certificate`): its layout written down from the
    /// published template, with an empty subject, two extensions and a signature that is none.
    fn agave_certificate(key: &[u8; 32]) -> Vec<u8> {
        let mut bytes = hex(concat!(
            "3081f63081a9a003020102020801010101010101013005060",
            "32b657030163114301206035504030c0b536f6c616e61206e6f64653020170d3730303130313030303030305a180f34303936303130",
            "313030303030305a3000302a300506032b6570032100"
        ));
        bytes.extend(key);
        bytes.extend(hex(
            "a329302730170603551d110101ff040d300b82096c6f63616c686f7374300c0603551d130101ff04023000300506032b6570034100",
        ));
        bytes.extend([0xff; 64]);
        bytes
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn our_certificate_names_us_and_its_signature_holds() {
        let identity = Identity::from_seed(&[7; 32]);
        let signer = SigningKey::from_bytes(&[7; 32]);
        assert_eq!(identity.id().0, signer.verifying_key().to_bytes());
        assert_eq!(peer_id(identity.certificate()).unwrap(), identity.id());
        let (whole, _) = element(identity.certificate(), SEQUENCE).unwrap();
        let (_, after) = element(whole, SEQUENCE).unwrap();
        let signed = &whole[..whole.len() - after.len()];
        let signature = whole.last_chunk::<64>().unwrap().into();
        signer
            .verifying_key()
            .verify_strict(signed, &signature)
            .unwrap();
        // Another reader of certificates takes it, and finds the same key.
        let read = rustls::server::ParsedCertificate::try_from(&identity.key.cert[0]).unwrap();
        let info = read.subject_public_key_info();
        assert_eq!(
            info.as_ref()[2..],
            [KEY_INFO_HEAD, &identity.id().0].concat()
        );
    }

    #[test]
    fn agaves_certificate_names_its_node() {
        let certificate = agave_certificate(&[0xab; 32]);
        assert_eq!(certificate.len(), 0xf6 + 3);
        assert_eq!(peer_id(&certificate), Ok(PeerId([0xab; 32])));
    }

    #[test]
    fn other_keys_and_other_bytes_name_nobody() {
        let good = Identity::from_seed(&[7; 32]).certificate().to_vec();
        for cut in 0..good.len() {
            assert!(peer_id(&good[..cut]).is_err(), "{cut}");
        }
        let longer = [good.as_slice(), &[0]].concat();
        assert_eq!(peer_id(&longer), Err(IdentityReject::Malformed));
        let huge = vec![SEQUENCE; CERTIFICATE_LEN_MAX + 1];
        assert_eq!(peer_id(&huge), Err(IdentityReject::TooLong));
        // 1.3.101.110 is X25519, whose keys have the same length.
        let at = good.windows(10).position(|at| at == KEY_INFO_HEAD).unwrap();
        let mut other = good.clone();
        other[at + 6] = 0x6e;
        assert_eq!(peer_id(&other), Err(IdentityReject::NotEd25519));
    }

    #[test]
    fn identities_are_base58_text() {
        let id = Identity::from_seed(&[9; 32]).id();
        // Computed by another program.
        assert_eq!(
            id.to_string(),
            "J2xccRtuG43drESLYznHhLhQkLTdfepcKYbiQ9BsJVaf"
        );
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "1", "0OIl", &"z".repeat(60)] {
            assert_eq!(text.parse::<PeerId>(), Err(NotAPeerId));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// No bytes make the reader panic, and what it returns is in the certificate.
        #[test]
        fn the_reader_is_total(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(PeerId(key)) = peer_id(&bytes) {
                prop_assert!(bytes.windows(32).any(|at| at == key));
            }
        }

        /// The same close to a real certificate, where the walk gets far.
        #[test]
        fn the_reader_is_total_near_a_certificate(
            edits in proptest::collection::vec((0usize..256, any::<u8>()), 1..6),
            cut in 0usize..256,
        ) {
            let mut bytes = agave_certificate(&[0xab; 32]);
            for (at, byte) in edits {
                let len = bytes.len();
                bytes[at % len] = byte;
            }
            bytes.truncate(bytes.len().max(cut));
            for bytes in [&bytes[..], &bytes[..cut.min(bytes.len())]] {
                if let Ok(PeerId(key)) = peer_id(bytes) {
                    prop_assert!(bytes.windows(32).any(|at| at == key));
                }
            }
        }

        /// Every seed gives a certificate that names its key.
        #[test]
        fn every_seed_is_an_identity(seed in any::<[u8; 32]>()) {
            let identity = Identity::from_seed(&seed);
            prop_assert_eq!(peer_id(identity.certificate()), Ok(identity.id()));
        }
    }
}
