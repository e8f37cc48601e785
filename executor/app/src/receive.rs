//! Opens sources of every kind and tells what became of each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use shred_quic::{
    Identity, QuicCounters, QuicError, QuicHandle, QuicRefusal, QuicSource, QuicSourceConfig,
};
use shred_source::udp::{HardwareStamps, UdpError};
use shred_source::uring::UringError;
use shred_source::xdp::{XdpError, XdpProgram};
use shred_source::{
    CaptureTap, DatagramSource, RxFrames, SourceCounters, SourceId, SourceReject, SourceTally,
    UdpConfig, UdpFacts, UdpSource, UringSource, XdpConfig, XdpSource,
};

use crate::config::{Opening, QuicIdentity, QuicPlan, SourceKind, SourcePlan};
use crate::secret::{Secret, SecretError};

/// Why a source could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A socket.
    #[error(transparent)]
    Udp(#[from] UdpError),
    /// A socket over io_uring.
    #[error(transparent)]
    Uring(#[from] UringError),
    /// A card's queue.
    #[error(transparent)]
    Xdp(#[from] XdpError),
    /// A QUIC end.
    #[error(transparent)]
    Quic(#[from] QuicError),
    /// Its key.
    #[error("identity_file: {0}")]
    Secret(#[from] SecretError),
    /// The key that was to be made.
    #[error("identity_file = \"generate\": {0}")]
    Random(std::io::Error),
}

/// Where what a source took and refused is counted.
#[derive(Debug, Clone)]
pub enum Received {
    /// By a polled source.
    Polled(Arc<SourceCounters>),
    /// By a QUIC source.
    Quic(Arc<QuicCounters>),
}

impl Received {
    /// What every kind of source counts.
    #[must_use]
    pub fn tally(&self) -> SourceTally {
        match self {
            Self::Polled(counters) => counters.tally(),
            Self::Quic(counters) => counters.tally().source,
        }
    }

    /// Counters by name: those of every kind, then those of QUIC where it is that.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        let tally = self.tally();
        let mut named = vec![("datagram_received", tally.datagram_received)];
        named.extend(SourceReject::ALL.map(|reason| (reason.label(), tally.refused(reason))));
        named.extend([
            ("kernel_dropped", tally.kernel_dropped),
            ("frames_exhausted", tally.frames_exhausted),
            ("stamp_missing", tally.stamp_missing),
            ("receive_failed", tally.receive_failed),
        ]);
        if let Self::Quic(counters) = self {
            let tally = counters.tally();
            named.extend([
                ("connection_accepted", tally.connection_accepted),
                ("connection_closed", tally.connection_closed),
                ("retry_sent", tally.retry_sent),
            ]);
            named
                .extend(QuicRefusal::ALL.map(|reason| (reason.label(), tally.refused_for(reason))));
        }
        named
    }
}

/// What receives.
pub enum Receiver {
    /// Is polled by a hot thread.
    Polled(Box<dyn DatagramSource + Send>),
    /// Has a thread of its own.
    Quic(QuicHandle),
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Polled(_) => "Polled",
            Self::Quic(_) => "Quic",
        })
    }
}

/// A source that is open.
#[derive(Debug)]
pub struct Opened {
    /// What receives.
    pub receiver: Receiver,
    /// Its kind: `udp` where `io_uring` was wanted and denied.
    pub kind: SourceKind,
    /// Where it listens.
    pub address: SocketAddr,
    /// What the operator should know, a line each.
    pub notes: Vec<String>,
}

impl Opened {
    /// Where it counts.
    #[must_use]
    pub fn received(&self) -> Received {
        match &self.receiver {
            Receiver::Polled(source) => Received::Polled(Arc::clone(source.counters())),
            Receiver::Quic(handle) => Received::Quic(Arc::clone(handle.counters())),
        }
    }

    /// Its own line of the log.
    #[must_use]
    pub fn in_words(&self, name: &str) -> String {
        format!(
            "source {name} listens on {} ({})",
            self.address,
            self.kind.as_str()
        )
    }
}

/// Opens the sources of one plan, in the order of their numbers.
#[derive(Debug)]
pub struct Opener<'p> {
    plans: &'p [SourcePlan],
    /// Of each interface one program, which its queues share.
    programs: Vec<Arc<XdpProgram>>,
    /// The interfaces, by the indices of `programs`.
    interfaces: Vec<String>,
}

impl<'p> Opener<'p> {
    /// Nothing is open yet.
    #[must_use]
    pub fn new(plans: &'p [SourcePlan]) -> Self {
        Self {
            plans,
            programs: Vec::new(),
            interfaces: Vec::new(),
        }
    }

    /// Opens source `number`. With a `tap`, every datagram is also copied to a capture; a QUIC source has none, and
    /// whoever reads the frames may copy from there.
    ///
    /// # Errors
    /// [`OpenError`] says what was refused and what to look at.
    pub fn open(
        &mut self,
        number: u8,
        frames: RxFrames,
        tap: Option<CaptureTap>,
    ) -> Result<Opened, OpenError> {
        let plan = &self.plans[usize::from(number)];
        let source = SourceId(number);
        match &plan.opening {
            Opening::Udp(config) => open_udp(config, source, frames, tap),
            Opening::IoUring(config) => {
                if let Err(error) = UringSource::check() {
                    let mut opened = open_udp(&config.socket, source, frames, tap)?;
                    opened
                        .notes
                        .insert(0, format!("receives by recvmmsg instead: {error}"));
                    return Ok(opened);
                }
                let (uring, facts) = UringSource::open(config, source, frames, tap)?;
                Ok(Opened {
                    receiver: Receiver::Polled(Box::new(uring)),
                    kind: SourceKind::IoUring,
                    address: facts.socket.local,
                    notes: udp_notes(&facts.socket),
                })
            }
            Opening::Xdp(config) => self.open_xdp(config, source, frames, tap),
            Opening::Quic(quic) => open_quic(plan, quic, source, frames),
        }
    }

    fn open_xdp(
        &mut self,
        config: &XdpConfig,
        source: SourceId,
        frames: RxFrames,
        tap: Option<CaptureTap>,
    ) -> Result<Opened, OpenError> {
        let program = self.program(config)?;
        let (xdp, facts) = XdpSource::open_on(&program, config, source, frames, tap)?;
        let mut notes = vec![facts.to_string()];
        if let Some(errno) = facts.busy_poll_errno {
            let error = std::io::Error::from_raw_os_error(errno);
            notes.push(format!("busy polling was refused: {error}"));
        }
        if !facts.kernel_stamps {
            notes.push("stamps are this process's, one for each burst".to_owned());
        }
        let group = config.multicast.map(|multicast| multicast.group);
        let ip = group.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let port = config.ports.first().copied().unwrap_or_default();
        Ok(Opened {
            receiver: Receiver::Polled(Box::new(xdp)),
            kind: SourceKind::Xdp,
            address: SocketAddr::new(ip, port),
            notes,
        })
    }

    /// The program of the interface, attached for the ports of all its sources when the first of them is opened.
    fn program(&mut self, config: &XdpConfig) -> Result<Arc<XdpProgram>, XdpError> {
        let name = config.interface.as_str();
        if let Some(at) = self.interfaces.iter().position(|other| other == name) {
            return Ok(Arc::clone(&self.programs[at]));
        }
        let mut ports: Vec<u16> = self
            .plans
            .iter()
            .filter_map(|plan| match &plan.opening {
                Opening::Xdp(other) if other.interface == config.interface => Some(&other.ports),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        ports.sort_unstable();
        ports.dedup();
        let program = XdpProgram::attach(&XdpConfig {
            ports,
            ..config.clone()
        })?;
        self.interfaces.push(name.to_owned());
        self.programs.push(Arc::clone(&program));
        Ok(program)
    }
}

fn open_udp(
    config: &UdpConfig,
    source: SourceId,
    frames: RxFrames,
    tap: Option<CaptureTap>,
) -> Result<Opened, OpenError> {
    let (udp, facts) = UdpSource::open(config, source, frames, tap)?;
    Ok(Opened {
        receiver: Receiver::Polled(Box::new(udp)),
        kind: SourceKind::Udp,
        address: facts.local,
        notes: udp_notes(&facts),
    })
}

fn udp_notes(facts: &UdpFacts) -> Vec<String> {
    let mut notes = Vec::new();
    if facts.hardware_stamps != HardwareStamps::NotAsked {
        notes.push(facts.hardware_stamps.to_string());
    }
    if let Some(errno) = facts.busy_poll_errno {
        let error = std::io::Error::from_raw_os_error(errno);
        notes.push(format!("busy polling was refused: {error}"));
    }
    notes
}

fn open_quic(
    plan: &SourcePlan,
    quic: &QuicPlan,
    source: SourceId,
    frames: RxFrames,
) -> Result<Opened, OpenError> {
    let (identity, until) = match &quic.identity {
        QuicIdentity::File(path) => (Identity::from_seed(&Secret::load(path)?.seed()), ""),
        QuicIdentity::Generated => (
            generated().map_err(OpenError::Random)?,
            ", until this process ends: name a key file to keep it",
        ),
    };
    let config = QuicSourceConfig {
        alpn: quic.alpn.clone(),
        peers: quic.peers.clone(),
        socket_buffer_len: quic.receive_buffer_len,
        at_thread_start: plan.seat.cpu.map(|id| -> shred_quic::AtThreadStart {
            Arc::new(move || {
                core_affinity::set_for_current(core_affinity::CoreId { id });
            })
        }),
        ..QuicSourceConfig::new(plan.name.clone(), quic.bind)
    };
    let handle = QuicSource::start(config, &identity, source, frames)?;
    Ok(Opened {
        address: handle.local(),
        receiver: Receiver::Quic(handle),
        kind: SourceKind::Quic,
        notes: vec![format!("its identity is {}{until}", identity.id())],
    })
}

fn generated() -> std::io::Result<Identity> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut seed[..])?;
    Ok(Identity::from_seed(&seed))
}

/// Stands for a sender that is not known, of the family of `local`.
#[must_use]
pub fn unknown_sender(local: SocketAddr) -> SocketAddr {
    let ip = match local {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}
