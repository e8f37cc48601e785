//! Opens sources of every kind and tells what became of each.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use shred_quic::{
    AtThreadStart, Identity, QuicCounters, QuicError, QuicHandle, QuicRefusal, QuicSource,
    QuicSourceConfig,
};
use shred_source::udp::{HardwareStamps, UdpError};
use shred_source::uring::UringError;
use shred_source::xdp::{XdpError, XdpProgram};
use shred_source::{
    CaptureTap, DatagramSource, InterfaceWatch, RxFrames, SourceCounters, SourceId, SourceReject,
    SourceTally, UdpConfig, UdpFacts, UdpSource, UringSource, XdpConfig, XdpSource,
};

use crate::config::{Opening, QuicIdentity, QuicPlan, SourceKind, SourcePlan};
use crate::intake::Feeders;
use crate::secret::{Secret, SecretError};
use crate::sources::{Interface, SourceFacts};
use crate::stage::Seat;

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

/// Which source could not be opened, and why.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {error}")]
pub struct SourceError {
    /// Its name.
    pub name: String,
    /// What was refused.
    pub error: OpenError,
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

/// Sources that are open, and what is known of each, by number.
pub struct OpenSources {
    /// What receives.
    pub feeders: Feeders,
    /// What is told of them.
    pub facts: Arc<[SourceFacts]>,
}

/// Opens all of `plans` and says so, a line for each and one for each of its notes. `frames` gives the filling ends of
/// their rings, in the order of their numbers.
///
/// # Errors
/// [`SourceError`] of the first that cannot be opened; those before it are closed again.
pub fn open_all(
    plans: &[SourcePlan],
    mut frames: impl FnMut() -> RxFrames,
) -> Result<OpenSources, SourceError> {
    if plans.is_empty() {
        errln!("no source is named: nothing will ever come in; write one of [[ingest.sources]]");
    }
    let mut opener = Opener::new(plans);
    let (mut feeders, mut facts) = (Feeders::default(), Vec::new());
    for (number, plan) in (0..).zip(plans) {
        let opened = opener.open_named(number, frames(), None)?;
        errln!("{}", opened.in_words(&plan.name));
        for note in &opened.notes {
            errln!("source {}: {note}", plan.name);
        }
        facts.push(SourceFacts {
            name: plan.name.clone(),
            kind: opened.kind.as_str(),
            address: opened.address,
            redistributable: plan.redistributable,
            received: opened.received(),
            interface: Interface::new(watch(&plan.opening)),
        });
        match opened.receiver {
            Receiver::Polled(source) => feeders.polled.push(source),
            Receiver::Quic(handle) => feeders.quic.push((plan.name.clone(), handle)),
        }
    }
    Ok(OpenSources {
        feeders,
        facts: facts.into(),
    })
}

/// Watches the interface of a source that has just been opened.
fn watch(opening: &Opening) -> Option<InterfaceWatch> {
    let watched = match opening {
        Opening::Udp(udp) => InterfaceWatch::of_udp(udp),
        Opening::IoUring(uring) => InterfaceWatch::of_udp(&uring.socket),
        Opening::Xdp(xdp) => InterfaceWatch::of_xdp(xdp).map(Some),
        Opening::Quic(quic) => InterfaceWatch::of_udp(&UdpConfig::new(quic.bind)),
    };
    // Gone since it was opened: that nothing comes is told elsewhere.
    watched.ok().flatten()
}

/// Seats of the sources that have no thread of their own, in their order.
#[must_use]
pub fn seats(plans: &[SourcePlan]) -> Vec<Seat> {
    let polled = |source: &&SourcePlan| !matches!(source.opening, Opening::Quic(_));
    let polled = plans.iter().filter(polled);
    polled.map(|source| source.seat).collect()
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

    /// As [`Opener::open`], and an error says which source it is of.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn open_named(
        &mut self,
        number: u8,
        frames: RxFrames,
        tap: Option<CaptureTap>,
    ) -> Result<Opened, SourceError> {
        let opened = self.open(number, frames, tap);
        opened.map_err(|error| SourceError {
            name: self.plans[usize::from(number)].name.clone(),
            error,
        })
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
    let (identity, until) = identity(&quic.identity)?;
    let config = QuicSourceConfig {
        alpn: quic.alpn.clone(),
        peers: quic.peers.clone(),
        socket_buffer_len: quic.receive_buffer_len,
        at_thread_start: pin_at_start(plan.seat.cpu),
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

/// The key of a QUIC end, and what is to be said of it where it is shown.
///
/// # Errors
/// [`OpenError`] when there is no usable key, or none can be made.
pub fn identity(named: &QuicIdentity) -> Result<(Identity, &'static str), OpenError> {
    Ok(match named {
        QuicIdentity::File(path) => (Identity::from_seed(&Secret::load(path)?.seed()), ""),
        QuicIdentity::Generated => (
            generated().map_err(OpenError::Random)?,
            ", until this process ends: name a key file to keep it",
        ),
    })
}

/// What pins a thread of another crate, if it is to be pinned.
#[must_use]
pub fn pin_at_start(cpu: Option<usize>) -> Option<AtThreadStart> {
    cpu.map(|id| -> AtThreadStart {
        Arc::new(move || {
            core_affinity::set_for_current(core_affinity::CoreId { id });
        })
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
