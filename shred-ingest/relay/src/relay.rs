//! The stage that passes shreds on.

use std::net::SocketAddr;
use std::sync::Arc;

use shred_quic::QuicSender;
use shred_resolve::{Arrival, Leaders, Policy, Sieve, SievePlan};
use shred_source::arena::Datagram;
use shred_source::{CoreFrames, RX_BURST, RxFrames};
use shred_wire::Slot;

use crate::RelayError;
use crate::counters::{DestinationCounters, RelayCounters};
use crate::fan::{Fan, SHRED_LEN_MAX};

/// Destinations at most: each costs a system call a burst.
const DESTINATIONS_MAX: usize = 256;

/// How a [`Relay`] is built.
#[derive(Debug, Clone)]
pub struct RelayConfig {
    /// What passes.
    pub sieve: SievePlan,
    /// The allow list of UDP destinations. Unicast addresses, each once.
    pub destinations: Vec<SocketAddr>,
    /// Bytes the kernel may hold for each destination (`SO_SNDBUF`).
    pub send_buffer_len: usize,
    /// Let the kernel cut runs of shreds of one length apart (`UDP_SEGMENT`, Linux 4.18): one pass through its stack
    /// for up to 32 datagrams. Where it refuses, shreds are handed over one by one.
    pub segmentation: bool,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            sieve: SievePlan::default(),
            destinations: Vec::new(),
            send_buffer_len: 4 << 20,
            segmentation: true,
        }
    }
}

/// A source's frames, and whether they may be passed on.
#[derive(Debug)]
pub struct Input {
    /// Name of the source, for errors.
    pub name: String,
    /// What its configuration says. The default of every source is `false`.
    pub redistributable: bool,
    /// The core's end of its ring.
    pub frames: CoreFrames,
}

/// Takes datagrams from sources, and sends each shred that a [`Sieve`] admits to every destination.
///
/// After construction it neither allocates, locks nor waits. Its system calls are one `sendmmsg` for each destination
/// and burst.
pub struct Relay {
    sieve: Sieve,
    inputs: Vec<CoreFrames>,
    fan: Fan,
    quic: Option<QuicSender>,
    entries: Option<RxFrames>,
    /// Shreds handed to the assembler or dropped on the way.
    ordinal: u64,
    counters: Arc<RelayCounters>,
}

impl Relay {
    /// Opens a socket for each destination. `quic` sends to other nodes; `entries` is the filling end of the ring whose
    /// other end an [`Assembler`](crate::Assembler) reads.
    ///
    /// # Errors
    /// [`RelayError`] names a source that may not be passed on, a destination that nothing may be sent to, or what the
    /// kernel refused.
    pub fn new(
        config: &RelayConfig,
        inputs: Vec<Input>,
        quic: Option<QuicSender>,
        entries: Option<RxFrames>,
    ) -> Result<Self, RelayError> {
        if let Some(input) = inputs.iter().find(|input| !input.redistributable) {
            return Err(RelayError::NotRedistributable(input.name.clone()));
        }
        check(&config.destinations)?;
        if let Some(frames) = &entries
            && frames.stride() < SHRED_LEN_MAX
        {
            return Err(RelayError::Config {
                field: "stride of the entries' frames",
                value: frames.stride().to_string(),
                must: "must hold a shred, 1228 bytes",
            });
        }
        let fan = Fan::open(
            &config.destinations,
            config.send_buffer_len,
            config.segmentation,
        )?;
        let destinations = config.destinations.iter().copied().map(Some);
        let counters = Arc::new(RelayCounters::new(
            inputs.len(),
            destinations.map(DestinationCounters::new).collect(),
        ));
        Ok(Self {
            sieve: Sieve::new(&config.sieve),
            inputs: inputs.into_iter().map(|input| input.frames).collect(),
            fan,
            quic,
            entries,
            ordinal: 0,
            counters,
        })
    }

    /// What was taken, refused, sent and dropped.
    #[must_use]
    pub fn counters(&self) -> &Arc<RelayCounters> {
        &self.counters
    }

    /// The highest slot that something authentic was received of.
    #[must_use]
    pub fn highest_slot(&self) -> Option<Slot> {
        self.sieve.highest_slot()
    }

    /// True when no input will ever bring a datagram again.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.inputs.iter().all(CoreFrames::is_ended)
    }

    /// Runs one duty cycle: at most [`RX_BURST`] datagrams of each input. Returns how many there were (0 = idle).
    ///
    /// Everything that passed has been handed to the kernel or dropped when it returns: nothing is held back to make
    /// batches fuller.
    pub fn poll(&mut self, leaders: &impl Leaders) -> usize {
        let mut taken = 0;
        for index in 0..self.inputs.len() {
            taken += self.poll_input(index, leaders);
        }
        if taken > 0 {
            self.fan.flush(&self.counters.destinations);
            self.counters.take_over(self.sieve.counters());
        }
        taken
    }

    fn poll_input(&mut self, index: usize, leaders: &impl Leaders) -> usize {
        let Self {
            sieve,
            inputs,
            fan,
            quic,
            entries,
            ordinal,
            counters,
        } = self;
        let own = &counters.inputs[index];
        let count = inputs[index].drain(RX_BURST, |descriptor, datagram| {
            let arrival = Arrival {
                source: descriptor.source,
                policy: Policy::VerifyThenEmit,
                at: descriptor.stamp,
            };
            let shred = match sieve.admit(datagram, arrival, leaders) {
                Ok(shred) => shred,
                Err(reason) => return counters.rejected[reason.index()].add(1),
            };
            counters.shred_passed.add(1);
            own.shred_first.add(1);
            if fan.is_full() {
                fan.flush(&counters.destinations);
            }
            fan.push(shred);
            if let Some(quic) = quic {
                match quic.offer(shred) {
                    Ok(()) => counters.quic_offered.add(1),
                    Err(_) => counters.quic_refused.add(1),
                }
            }
            if let Some(frames) = entries {
                let about = Datagram {
                    stamp: descriptor.stamp,
                    ordinal: *ordinal,
                    len: shred.len() as u16,
                    source: descriptor.source,
                    flags: descriptor.flags,
                };
                *ordinal += 1;
                match frames.reserve() {
                    Some(mut frame) => {
                        frame.bytes_mut()[..shred.len()].copy_from_slice(shred);
                        frame.publish(about);
                        counters.entries_offered.add(1);
                    }
                    None => counters.entries_dropped.add(1),
                }
            }
        });
        own.datagram_received.add(count as u64);
        count
    }
}

fn check(destinations: &[SocketAddr]) -> Result<(), RelayError> {
    if destinations.len() > DESTINATIONS_MAX {
        return Err(RelayError::Config {
            field: "destinations",
            value: destinations.len().to_string(),
            must: "at most 256: each costs a system call a burst",
        });
    }
    for (index, address) in destinations.iter().enumerate() {
        let ip = address.ip().to_canonical();
        let why = if address.port() == 0 {
            "port 0 is no destination"
        } else if ip.is_unspecified() {
            "the unspecified address is no destination"
        } else if ip.is_multicast() || ip == std::net::Ipv4Addr::BROADCAST {
            "shreds are passed on to hosts, not to groups"
        } else if destinations[..index].contains(address) {
            "named twice"
        } else {
            continue;
        };
        return Err(RelayError::Destination {
            address: *address,
            why,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_no_host_is_refused() {
        for (text, why) in [
            ("127.0.0.1:0", "port 0"),
            ("0.0.0.0:9", "unspecified"),
            ("[::]:9", "unspecified"),
            ("224.0.0.1:9", "groups"),
            ("[ff02::1]:9", "groups"),
            ("255.255.255.255:9", "groups"),
        ] {
            let error = check(&[text.parse().unwrap()]).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let twice = ["10.0.0.1:9".parse().unwrap(); 2];
        assert!(check(&twice).unwrap_err().to_string().contains("twice"));
        assert!(check(&vec![twice[0]; 257]).is_err());
        assert!(check(&twice[..1]).is_ok());
    }
}
