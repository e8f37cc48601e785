//! The way from the leader to one receiver: datagrams get lost, overtake each other, arrive twice,
//! and strangers mix theirs in.

use crate::prng::Prng;

/// How bad one way is. Everything 0 (the default) passes each datagram on once, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WireConfig {
    /// Datagrams lost, per 10,000.
    pub loss_bps: u16,
    /// Datagrams that come again later, per 10,000; every other copy carries the 4-byte nonce of a
    /// repair reply.
    pub duplicate_bps: u16,
    /// Datagrams held back behind up to [`WireConfig::reorder_depth`] later ones, per 10,000.
    pub reorder_bps: u16,
    /// How far a datagram may fall back; 0 counts as 16.
    pub reorder_depth: u16,
    /// Foreign datagrams per 10,000: garbage, cut or bent copies, another shred version.
    pub noise_bps: u16,
}

/// What happened on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WireCounters {
    /// Datagrams handed to the receiver, copies and noise included.
    pub delivered: u64,
    /// Lost for good.
    pub lost: u64,
    /// Copies.
    pub duplicated: u64,
    /// Held back.
    pub reordered: u64,
    /// Foreign.
    pub noise: u64,
}

/// One seeded way.
#[derive(Debug, Clone)]
pub struct Wire {
    config: WireConfig,
    prng: Prng,
    counters: WireCounters,
    /// Held back: datagrams to let pass first, and the bytes.
    held: Vec<(u64, Vec<u8>)>,
}

impl Wire {
    /// A way whose accidents `prng` decides.
    pub fn new(config: WireConfig, prng: Prng) -> Self {
        Self {
            config,
            prng,
            counters: WireCounters::default(),
            held: Vec::new(),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> WireCounters {
        self.counters
    }

    /// Passes one datagram; `deliver` is called for what the receiver gets now, which may be
    /// nothing, an earlier one that was held back, or several.
    pub fn pass(&mut self, datagram: &[u8], mut deliver: impl FnMut(&[u8])) {
        let WireConfig {
            loss_bps,
            duplicate_bps,
            reorder_bps,
            reorder_depth,
            noise_bps,
        } = self.config;
        let depth = if reorder_depth == 0 {
            16
        } else {
            u64::from(reorder_depth)
        };
        if self.prng.chance_bps(noise_bps) {
            let noise = self.draw_noise(datagram);
            self.counters.noise += 1;
            self.counters.delivered += 1;
            deliver(&noise);
        }
        if self.prng.chance_bps(duplicate_bps) {
            let mut copy = datagram.to_vec();
            if self.prng.chance_bps(5_000) {
                copy.extend_from_slice(&self.prng.bytes::<4>());
            }
            self.counters.duplicated += 1;
            self.held.push((self.prng.between(1, 2 * depth), copy));
        }
        if self.prng.chance_bps(loss_bps) {
            self.counters.lost += 1;
        } else if self.prng.chance_bps(reorder_bps) {
            self.counters.reordered += 1;
            self.held
                .push((self.prng.between(1, depth), datagram.to_vec()));
        } else {
            self.counters.delivered += 1;
            deliver(datagram);
        }
        self.release(&mut deliver);
    }

    /// Delivers everything still held back.
    pub fn flush(&mut self, mut deliver: impl FnMut(&[u8])) {
        for (_, datagram) in self.held.drain(..) {
            self.counters.delivered += 1;
            deliver(&datagram);
        }
    }

    fn release(&mut self, deliver: &mut impl FnMut(&[u8])) {
        let counters = &mut self.counters;
        self.held.retain_mut(|(wait, datagram)| {
            *wait -= 1;
            if *wait == 0 {
                counters.delivered += 1;
                deliver(datagram);
            }
            *wait > 0
        });
    }

    fn draw_noise(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut bytes = datagram.to_vec();
        match self.prng.below(4) {
            0 => {
                let len = self.prng.below(1_232) as usize;
                bytes = (0..len).map(|_| self.prng.next_u64() as u8).collect();
            }
            1 => bytes.truncate(self.prng.below(bytes.len() as u64) as usize),
            2 => {
                // Anywhere the leader vouches for; the retransmitter's signature is nobody's loss.
                let at = 64
                    + self
                        .prng
                        .below(bytes.len().saturating_sub(128).max(1) as u64)
                        as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.prng.below(8);
                }
            }
            _ => {
                if let Some(version) = bytes.get_mut(77..79) {
                    version.copy_from_slice(&self.prng.bytes::<2>());
                }
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(config: WireConfig, seed: u64, count: u32) -> (Vec<Vec<u8>>, WireCounters) {
        let (mut wire, mut received) = (Wire::new(config, Prng::new(seed)), Vec::new());
        for at in 0..count {
            let mut datagram = vec![0; 1_203];
            datagram[..4].copy_from_slice(&at.to_le_bytes());
            wire.pass(&datagram, |bytes| received.push(bytes.to_vec()));
        }
        wire.flush(|bytes| received.push(bytes.to_vec()));
        (received, wire.counters())
    }

    fn number(datagram: &[u8]) -> u32 {
        u32::from_le_bytes([datagram[0], datagram[1], datagram[2], datagram[3]])
    }

    #[test]
    fn a_clean_wire_changes_nothing() {
        let (received, counters) = send(WireConfig::default(), 1, 1_000);
        assert!(received.iter().map(|bytes| number(bytes)).eq(0..1_000));
        assert_eq!(
            counters,
            WireCounters {
                delivered: 1_000,
                ..WireCounters::default()
            }
        );
    }

    #[test]
    fn accidents_come_at_their_rates_and_add_up() {
        let config = WireConfig {
            loss_bps: 400,
            duplicate_bps: 200,
            reorder_bps: 1_000,
            reorder_depth: 8,
            noise_bps: 100,
        };
        let (received, counters) = send(config, 2, 50_000);
        assert_eq!(received.len() as u64, counters.delivered);
        assert_eq!(
            counters.delivered,
            50_000 - counters.lost + counters.duplicated + counters.noise
        );
        let near = |count: u64, expected: u64| count.abs_diff(expected) < expected / 5;
        assert!(near(counters.lost, 2_000) && near(counters.duplicated, 1_000));
        assert!(near(counters.reordered, 4_800) && near(counters.noise, 500));
        let mut latest = 0;
        for bytes in received.iter().filter(|bytes| bytes.len() >= 1_203) {
            latest = latest.max(number(bytes).min(49_999));
        }
        assert_eq!(latest, 49_999);
    }

    #[test]
    fn the_seed_decides_every_accident() {
        let config = WireConfig {
            loss_bps: 400,
            duplicate_bps: 200,
            reorder_bps: 500,
            noise_bps: 50,
            reorder_depth: 0,
        };
        assert_eq!(send(config, 3, 2_000), send(config, 3, 2_000));
        assert_ne!(send(config, 3, 2_000).0, send(config, 4, 2_000).0);
    }
}
