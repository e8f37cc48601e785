//! TLS 1.3 between identities: who is let in, and the proof that the peer holds the key it shows.

use std::collections::BTreeSet;
use std::sync::Arc;

use ed25519_dalek::{Signature, VerifyingKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    SignatureScheme,
};

use crate::identity::{Identity, PeerId, peer_id};

/// Whose connections are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// These and no other; of an empty list, nobody.
    Pinned(BTreeSet<PeerId>),
    /// Whoever proves to hold some key. Shreds are authenticated on their own; what is given up is that strangers
    /// cannot cost us their decryption.
    Any,
}

impl Peers {
    /// True when `peer` may connect.
    #[must_use]
    pub fn admits(&self, peer: &PeerId) -> bool {
        match self {
            Self::Pinned(pinned) => pinned.contains(peer),
            Self::Any => true,
        }
    }
}

impl FromIterator<PeerId> for Peers {
    fn from_iter<I: IntoIterator<Item = PeerId>>(pinned: I) -> Self {
        Self::Pinned(pinned.into_iter().collect())
    }
}

/// The server side: a certificate is demanded of every client.
pub(crate) fn server_config(
    identity: &Identity,
    peers: Peers,
    alpn: Vec<Vec<u8>>,
) -> Result<rustls::ServerConfig, Error> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(PeerVerifier(peers)))
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.key))));
    config.alpn_protocols = alpn;
    // Every connection shows a certificate and signs: nothing is resumed, nothing comes early.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}

/// The client side: the server must be `peer`.
pub(crate) fn client_config(
    identity: &Identity,
    peer: PeerId,
    alpn: Vec<Vec<u8>>,
) -> Result<rustls::ClientConfig, Error> {
    let peers = Peers::from_iter([peer]);
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PeerVerifier(peers)))
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.key))));
    config.alpn_protocols = alpn;
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Lets in by key. Chains, names and dates mean nothing here.
#[derive(Debug)]
struct PeerVerifier(Peers);

impl PeerVerifier {
    fn admit(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let peer = peer_id(certificate).map_err(|_| CertificateError::BadEncoding)?;
        if self.0.admits(&peer) {
            Ok(())
        } else {
            // Told to the peer as `access_denied`.
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }
}

/// The CertificateVerify of RFC 8446 section 4.4.3, strictly: keys and nonces of small order are refused, with which
/// one signature would fit many messages.
fn verify(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    let PeerId(key) = peer_id(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let bad = || Error::from(CertificateError::BadSignature);
    let key = VerifyingKey::from_bytes(&key).map_err(|_| bad())?;
    let signature = Signature::from_slice(signed.signature()).map_err(|_| bad())?;
    key.verify_strict(message, &signature).map_err(|_| bad())?;
    Ok(HandshakeSignatureValid::assertion())
}

fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.2 is not spoken".into()))
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.admit(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.admit(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}
