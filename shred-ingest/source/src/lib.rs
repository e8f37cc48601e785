//! Datagrams from the outside: UDP by three ways through the kernel, pcap replay and pcap capture.
//!
//! ```text
//!  UDP socket --recvmmsg--> frame of the arena --descriptor--> core          (rx-<source> -> core)
//!  UDP socket --io_uring--> frame of the arena --descriptor--> core          (the same ring, the same trait)
//!  interface --AF_XDP-----> frame of the arena --descriptor--> core          (the same ring, the same trait)
//!  pcap files --merge-----> frame of the arena --descriptor--> core          (the same ring, the same trait)
//!                                  ^------------frame number------'          (the twin ring, core -> rx)
//!  any of them --CaptureTap--> arena of its own --descriptor--> writer thread --> pcap file
//! ```
//!
//! A datagram is written once, by the kernel or by the replay, into a frame that nobody else can see; its
//! descriptor crosses to the core, which reads the bytes where they are and sends the frame's number back. Where the
//! kernel writes headers into the frame too, the descriptor says where the payload starts.
//! After construction nothing on that path allocates, locks, logs or waits.
//!
//! This is the only crate of the ingest that touches the outside. It knows nothing of shreds.
#![deny(unsafe_code)]

// The modules that talk to the kernel, and share memory with it and between threads, by hand.
#[allow(unsafe_code)]
pub mod arena;
pub mod capture;
pub mod counters;
#[cfg(test)]
#[allow(unsafe_code)]
mod heap;
#[cfg(test)]
#[allow(unsafe_code)]
mod lab;
#[allow(unsafe_code)]
mod mapping;
mod packet;
pub mod pcap;
pub mod replay;
#[allow(unsafe_code)]
mod socket;
#[allow(unsafe_code)]
pub mod udp;
#[allow(unsafe_code)]
pub mod uring;
#[allow(unsafe_code)]
pub mod watch;
#[allow(unsafe_code)]
pub mod xdp;

use std::time::Duration;

pub use arena::{
    ArenaFacts, ArenaPlan, Burst, CoreFrames, Descriptor, Frame, RxFrames, frame_ring,
};
pub use capture::{Capture, CaptureTap};
pub use counters::{SourceCounters, SourceReject, SourceTally};
pub use pcap::{PcapDatagram, PcapError, PcapReader, PcapWriter};
pub use replay::{Pace, ReplaySource};
pub use shred_wire::SourceId;
pub use udp::{UdpConfig, UdpFacts, UdpSource};
pub use uring::{UringConfig, UringFacts, UringSource};
pub use watch::{InterfaceState, InterfaceWatch};
pub use xdp::{XdpConfig, XdpFacts, XdpSource};

/// Datagrams taken in one duty cycle at most.
///
/// Bounds a cycle: 32 datagrams at the kernel's cost of a receive and copy, in the order of 0.6 us each.
pub const RX_BURST: usize = 32;

/// Waits in a test for what another thread will do; fails rather than hang when it never does.
#[cfg(test)]
#[track_caller]
fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "never: {what}");
        std::thread::yield_now();
    }
}

/// Sends bursts that overrun a source of 16 frames and works them off; fails when that touches the heap, or leaks.
#[cfg(test)]
#[track_caller]
fn check_that_no_poll_allocates(
    source: &mut dyn DatagramSource,
    core: &mut CoreFrames,
    socket: &std::net::UdpSocket,
) {
    let mut read = 0;
    let calls = heap::calls(|| {
        for turn in 0..50 {
            for _ in 0..24 {
                // Neither empty nor too long datagrams take another way.
                let _ = socket.send(&[turn; 2000][..usize::from(turn) * 40]);
            }
            let mut idle = 0;
            until("worked off", || {
                idle = if source.poll() == 0 { idle + 1 } else { 0 };
                read += core.drain(RX_BURST, |_, _| {});
                idle > 20
            });
        }
    });
    assert!(read > 25 * 16, "only {read}");
    assert_eq!(calls, 0, "heap calls");
}

/// Something datagrams come from: a socket or a capture. Both fill the frames of an [`RxFrames`], so whoever
/// reads the other end cannot tell them apart.
pub trait DatagramSource {
    /// Runs one duty cycle and returns the number of datagrams taken from the outside (0 = idle).
    ///
    /// Never blocks. Takes at most [`RX_BURST`] datagrams. Does not allocate, lock or log.
    fn poll(&mut self) -> usize;

    /// True when no datagram will ever come again. A live source never ends.
    fn is_ended(&self) -> bool;

    /// Sleeps until a datagram may be there or `at_most` has passed: the idle policy `park`. May return early.
    fn wait(&mut self, at_most: Duration);

    /// What was taken and refused; written by the polling thread alone, readable from any.
    fn counters(&self) -> &std::sync::Arc<SourceCounters>;
}
