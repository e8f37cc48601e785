//! Minutes of traffic at several times mainnet's rate, through real sockets, with an account of every transaction.
//!
//! ```text
//!  child:  shredder -> two lossy ways -> UDP ----------------------.      auditor <--.
//!                                                                  v                 |
//!  parent: rx-0, rx-1: recvmmsg -> frames -> core: resolver -> trail ring -> trail --' (pipe)
//! ```
//!
//! Two processes, so that what the receiving one holds can be measured to the page. The core puts what arrived, by
//! fingerprint, and what it told into one trail, in order; the auditor, who knows what was sent, works out from the
//! trail which transactions were knowable, and holds that against what was told. What the kernel dropped is in no
//! trail, so it costs nobody a finding and is counted apart.

mod audit;
mod receive;
mod send;
mod world;

pub use receive::receive;
pub use send::send;

use std::time::Duration;

/// What is run.
#[derive(Clone, Debug)]
pub struct Soak {
    /// How long traffic is sent.
    pub time: Duration,
    /// Datagrams per second, both sources together.
    pub rate: u64,
    /// Decides traffic and losses.
    pub seed: u64,
}

/// Bytes of a [`Mark`] in the pipe.
const MARK_LEN: usize = 16;

/// One line of the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Mark {
    kind: u32,
    /// Of an arrival: its source.
    source: u32,
    /// Of an arrival: its fingerprint; of a transaction: its number.
    value: u64,
}

impl Mark {
    const ARRIVED: u32 = 1;
    const TOLD: u32 = 2;

    fn to_bytes(self) -> [u8; MARK_LEN] {
        let mut bytes = [0; MARK_LEN];
        bytes[..4].copy_from_slice(&self.kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.source.to_le_bytes());
        bytes[8..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: [u8; MARK_LEN]) -> Self {
        let value = u128::from_le_bytes(bytes);
        Self {
            kind: value as u32,
            source: (value >> 32) as u32,
            value: (value >> 64) as u64,
        }
    }
}

/// Tells datagrams apart: two with the same fingerprint are the same shred, whatever a relay appended to it. Cost:
/// one multiplication per eight bytes.
fn fingerprint(datagram: &[u8]) -> u64 {
    const DATA_LEN: usize = demo::shredder::DATA_LEN;
    const CODE_LEN: usize = demo::shredder::CODE_LEN;
    let is_data = matches!(datagram.get(64), Some(variant) if matches!(variant >> 4, 0x9 | 0xb));
    let len = if is_data { DATA_LEN } else { CODE_LEN };
    let shred = &datagram[..len.min(datagram.len())];
    let (words, rest) = shred.as_chunks::<8>();
    let mix = |hash: u64, word: u64| {
        (hash.rotate_left(23) ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31)
    };
    let hash = words.iter().fold(shred.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    rest.iter()
        .fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_the_pipe() {
        let mark = Mark {
            kind: Mark::TOLD,
            source: 1,
            value: u64::MAX - 5,
        };
        assert_eq!(Mark::from_bytes(mark.to_bytes()), mark);
    }

    #[test]
    fn a_fingerprint_sees_the_shred_and_nothing_after_it() {
        let mut shred = vec![0x96; 1203];
        let print = fingerprint(&shred);
        shred.extend([1, 2, 3, 4]);
        assert_eq!(fingerprint(&shred), print);
        for at in [0, 700, 1202] {
            shred[at] ^= 1;
            assert_ne!(fingerprint(&shred), print);
            shred[at] ^= 1;
        }
        assert_ne!(fingerprint(&shred[..1202]), print);
    }
}
