//! Message authentication: HMAC-SHA-256 truncated to 128 bits, keys derived per session.
//!
//! Python has both primitives in its standard library, which is why it is not a faster MAC.
//!
//! # Keys
//!
//! With `K` the 32-byte key both sides hold, all integers little-endian:
//!
//! ```text
//! hello key      = HMAC-SHA-256(K, "overmind bridge hello v1" || producer_id:u16)
//! session keys   = HKDF-SHA-256 (RFC 5869), one block each:
//!   PRK          = HMAC-SHA-256(nonce[16] || challenge[32], K)
//!   brain        = HMAC-SHA-256(PRK, "overmind bridge brain v1"    || producer_id:u16 || epoch:u64 || 0x01)
//!   executor     = HMAC-SHA-256(PRK, "overmind bridge executor v1" || producer_id:u16 || epoch:u64 || 0x01)
//! ```
//! The salt holds a random value of each side, so neither can force an old key; the epoch is never
//! reused, so even a repeated pair of random values gives another key. Each direction has its own
//! key, so a frame cannot be reflected to its sender.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::frame::{FRAME_LEN, MAC_AT, MAC_LEN};

const HELLO_LABEL: &[u8] = b"overmind bridge hello v1";
const BRAIN_LABEL: &[u8] = b"overmind bridge brain v1";
const EXECUTOR_LABEL: &[u8] = b"overmind bridge executor v1";

/// A key ready for use: both hash states after the padded key, so that a MAC costs the frame's
/// own blocks only.
#[derive(Clone)]
pub struct MacKey(Hmac<Sha256>);

impl core::fmt::Debug for MacKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MacKey(..)")
    }
}

impl MacKey {
    /// A key from any bytes; HMAC takes every length.
    fn new(key: &[u8]) -> Self {
        // HMAC is defined for keys of any length, so this cannot fail.
        Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length"))
    }

    /// HMAC-SHA-256 of the concatenated parts.
    fn derive(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut state = self.0.clone();
        parts.iter().for_each(|part| state.update(part));
        state.finalize().into_bytes().into()
    }

    /// The MAC's input state for a whole message: bytes 0..144 and whatever follows 160.
    fn absorb(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut state = self.0.clone();
        state.update(message.get(..MAC_AT).unwrap_or(message));
        state.update(message.get(FRAME_LEN..).unwrap_or(&[]));
        state
    }

    /// The MAC of a whole message; what stands at 144..160 does not matter.
    pub fn mac(&self, message: &[u8]) -> [u8; MAC_LEN] {
        let full: [u8; 32] = self.absorb(message).finalize().into_bytes().into();
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(&full[..MAC_LEN]);
        mac
    }

    /// Whether bytes 144..160 of `message` are its MAC. Compares in constant time; a message
    /// shorter than one frame never verifies.
    #[must_use]
    pub fn verify(&self, message: &[u8]) -> bool {
        message
            .get(MAC_AT..FRAME_LEN)
            .is_some_and(|mac| self.absorb(message).verify_truncated_left(mac).is_ok())
    }
}

/// Authenticates Hello: it keeps strangers from opening handshakes. A recorded Hello does verify
/// again, and gets its player no further than a challenge it cannot answer.
#[derive(Debug, Clone)]
pub struct HelloKey(pub MacKey);

impl HelloKey {
    /// The hello key of `producer_id` under the shared key.
    pub fn derive(shared: &[u8; 32], producer_id: u16) -> Self {
        let bytes = MacKey::new(shared).derive(&[HELLO_LABEL, &producer_id.to_le_bytes()]);
        Self(MacKey::new(&bytes))
    }
}

/// The two keys of one session.
#[derive(Debug, Clone)]
pub struct SessionKeys {
    /// Seals what the brain sends.
    pub brain: MacKey,
    /// Seals what the executor sends.
    pub executor: MacKey,
}

impl SessionKeys {
    /// The keys of the session that `nonce`, `challenge` and `epoch` name. Costs about a dozen
    /// SHA-256 blocks; done once per session.
    pub fn derive(
        shared: &[u8; 32],
        producer_id: u16,
        nonce: &[u8; 16],
        challenge: &[u8; 32],
        epoch: u64,
    ) -> Self {
        let mut salt = [0; 48];
        salt[..16].copy_from_slice(nonce);
        salt[16..].copy_from_slice(challenge);
        let extracted = MacKey::new(&MacKey::new(&salt).derive(&[shared]));
        let expand = |label| {
            let info = [
                label,
                &producer_id.to_le_bytes()[..],
                &epoch.to_le_bytes(),
                &[1],
            ];
            MacKey::new(&extracted.derive(&info))
        };
        Self {
            brain: expand(BRAIN_LABEL),
            executor: expand(EXECUTOR_LABEL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(epoch: u64) -> SessionKeys {
        SessionKeys::derive(&[7; 32], 3, &[1; 16], &[2; 32], epoch)
    }

    /// RFC 4231, test case 2: the primitive is the standard one.
    #[test]
    fn the_primitive_is_hmac_sha_256() {
        let mac = MacKey::new(b"Jefe").derive(&[b"what do ya want ", b"for nothing?"]);
        assert_eq!(mac[..8], [0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e]);
    }

    /// Goal: no bit of a message is outside the MAC, tail included.
    #[test]
    fn every_bit_counts() {
        let key = keys(1).brain;
        for len in [FRAME_LEN, FRAME_LEN + 24] {
            let mut bytes = [0x5a; FRAME_LEN + 24];
            let bytes = &mut bytes[..len];
            let mac = key.mac(bytes);
            bytes[MAC_AT..FRAME_LEN].copy_from_slice(&mac);
            assert!(key.verify(bytes));
            for bit in 0..len * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(!key.verify(bytes), "bit {bit} of {len} bytes");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            assert!(!key.verify(&bytes[..FRAME_LEN - 1]));
        }
    }

    #[test]
    fn each_input_of_the_derivation_changes_both_keys() {
        let message = [0; FRAME_LEN];
        let base = keys(1);
        let others = [
            SessionKeys::derive(&[8; 32], 3, &[1; 16], &[2; 32], 1),
            SessionKeys::derive(&[7; 32], 4, &[1; 16], &[2; 32], 1),
            SessionKeys::derive(&[7; 32], 3, &[9; 16], &[2; 32], 1),
            SessionKeys::derive(&[7; 32], 3, &[1; 16], &[9; 32], 1),
            keys(2),
        ];
        assert_ne!(base.brain.mac(&message), base.executor.mac(&message));
        for other in others {
            assert_ne!(base.brain.mac(&message), other.brain.mac(&message));
            assert_ne!(base.executor.mac(&message), other.executor.mac(&message));
        }
    }
}
