//! `overmind relay`, put together: sources, the stage that passes shreds on, other nodes, and the service of entries.
//!
//! ```text
//! redistributable sources --frames--> relay --sendmmsg--> UDP destinations
//!                                       |----shreds-----> tx-relay --QUIC--> other nodes
//!                                       '----frames-----> entries --messages--> grpc-entries --> clients
//! ```

mod silence;
mod stage;
mod view;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shred_quic::{Identity, PeerId, QuicSender, QuicSenderConfig, QuicSenderHandle};
use shred_relay::{
    Assembler, EntriesPlan as BatchPlan, EntryServer, EntryServerConfig, Input, Relay, entry_feed,
};
use shred_source::arena::Lock;
use shred_source::{ArenaPlan, CoreFrames, RxFrames, frame_ring};

pub use self::silence::Silence;
pub use self::stage::{EntriesStage, Pulse, RelayStage};
#[cfg(test)]
pub(crate) use self::view::counter_names;
pub use self::view::{EntriesView, NodeSaid, NodesView, RelayView};

use crate::commands::Failure;
use crate::config::{EntriesPlan, Opening, Plan, QuicIdentity, RelayPlan, SourcePlan};
use crate::intake::{Intake, IntakeLayout};
use crate::leaders::LeaderSource;
use crate::receive::{self, OpenError, OpenSources};
use crate::secret::{Secret, load_token};
use crate::sources::SourceFacts;
use crate::stage::{Idle, Runner, RunnerError, Seat};
use crate::topology::{Cell, cells};

/// Bytes of a frame between relay and assembler: a shred, to the next multiple of the arena's unit.
const ENTRIES_STRIDE: usize = 1_280;
/// How long the assembler sleeps when there is nothing to assemble.
const ENTRIES_PARK: Duration = Duration::from_micros(200);

/// A relay whose sources are open and whose hot threads do not run yet.
pub struct PreparedRelay {
    feeders: crate::intake::Feeders,
    stage: RelayStage,
    nodes: Option<QuicSenderHandle>,
    entries: Option<PreparedEntries>,
    leaders: Arc<LeaderSource>,
    facts: Arc<[SourceFacts]>,
    pulse: Arc<Pulse>,
    nodes_view: Option<NodesView>,
}

struct PreparedEntries {
    stage: EntriesStage,
    server: EntryServer,
}

/// A relay that runs.
pub struct RunningRelay {
    intake: Intake<RelayStage>,
    nodes: Option<QuicSenderHandle>,
    entries: Option<RunningEntries>,
}

struct RunningEntries {
    runner: Runner<EntriesStage>,
    stop: Arc<AtomicBool>,
    server: EntryServer,
}

impl PreparedRelay {
    /// Opens `sources`, which are those of `plan` that may be passed on, connects to other nodes, and listens for
    /// clients. Says what is open, a line each.
    ///
    /// # Errors
    /// [`Failure`] names what cannot be used.
    pub fn open(
        plan: &Plan,
        relay: &RelayPlan,
        sources: &[SourcePlan],
        leaders: Arc<LeaderSource>,
    ) -> Result<Self, Failure> {
        refuse_loops(relay, sources)?;
        let identity = own_identity(relay, sources)?;
        let (mut filling, mut reading) = (Vec::new(), Vec::new());
        for source in sources {
            let (rx, frames, _) = frame_ring(&plan.ingest.arena)?;
            filling.push(rx);
            reading.push(Input {
                name: source.name.clone(),
                redistributable: source.redistributable,
                frames,
            });
        }
        let mut filling = filling.into_iter();
        let OpenSources { feeders, facts } =
            receive::open_all(sources, || filling.next().expect("frames for every source"))?;
        let (sender, nodes, nodes_view) = match &identity {
            Some((identity, until)) => {
                errln!("other nodes know this relay as {}{until}", identity.id());
                let (sender, handle) = connect(relay, identity)?;
                let view = NodesView {
                    nodes: relay.nodes.clone().into(),
                    counters: Arc::clone(handle.counters()),
                    identity: identity.id(),
                };
                (Some(sender), Some(handle), Some(view))
            }
            None => (None, None, None),
        };
        let (fill, entries) = match &relay.entries {
            Some(entries) => {
                let (fill, read) = entries_ring(plan.ingest.arena.lock)?;
                let entries = prepare_entries(plan, entries, read, Arc::clone(&leaders))?;
                (Some(fill), Some(entries))
            }
            None => (None, None),
        };
        let pulse = Arc::<Pulse>::default();
        let passing = Relay::new(&relay.room, reading, sender, fill)?;
        for destination in &relay.room.destinations {
            errln!("passes on to {destination} (udp)");
        }
        let stage = RelayStage::new(passing, Arc::clone(&leaders), Arc::clone(&pulse));
        Ok(Self {
            feeders,
            stage,
            nodes,
            entries,
            leaders,
            facts,
            pulse,
            nodes_view,
        })
    }

    /// The sources, by number.
    #[must_use]
    pub fn facts(&self) -> Arc<[SourceFacts]> {
        Arc::clone(&self.facts)
    }

    /// Where everything is counted.
    #[must_use]
    pub fn view(&self, verify: bool) -> RelayView {
        let entries = self.entries.as_ref().map(|entries| EntriesView {
            address: entries.server.address(),
            assembler: Arc::clone(entries.stage.assembler.counters()),
            server: Arc::clone(entries.server.counters()),
        });
        RelayView::new(
            self.facts(),
            Arc::clone(&self.pulse),
            Arc::clone(self.stage.relay().counters()),
            self.nodes_view.clone(),
            entries,
            verify,
        )
    }

    /// Starts the hot threads.
    ///
    /// # Errors
    /// [`RunnerError::Start`] when there is no thread to be had.
    pub fn start(self, layout: &IntakeLayout<'_>) -> Result<RunningRelay, RunnerError> {
        let entries = match self.entries {
            Some(PreparedEntries { stage, server }) => {
                let seat = Seat {
                    cpu: None,
                    idle: Idle::Park(ENTRIES_PARK),
                };
                let (stop, leaders) = (Arc::<AtomicBool>::default(), Arc::clone(&self.leaders));
                let warm = move || leaders.warm();
                let runner = Runner::spawn("entries", seat, Arc::clone(&stop), stage, warm)?;
                Some(RunningEntries {
                    runner,
                    stop,
                    server,
                })
            }
            None => None,
        };
        let leaders = self.leaders;
        let warm = move || leaders.warm();
        let intake = Intake::start("relay", layout, self.feeders, self.stage, warm)?;
        Ok(RunningRelay {
            intake,
            nodes: self.nodes,
            entries,
        })
    }
}

impl RunningRelay {
    /// True when a thread has ended without being told to; [`RunningRelay::stop`] says which.
    #[must_use]
    pub fn has_died(&self) -> bool {
        let entries = self.entries.as_ref();
        self.intake.has_died()
            || self.nodes.as_ref().is_some_and(QuicSenderHandle::is_dead)
            || entries
                .is_some_and(|entries| entries.runner.is_finished() || entries.server.is_dead())
    }

    /// Stops in the order data moves: sources, relay, entries, the service, connections to other nodes.
    ///
    /// # Errors
    /// [`RunnerError::Panicked`] names the first thread that did.
    pub fn stop(self) -> Result<(), RunnerError> {
        // Dropping the relay lets go of the rings behind it.
        let relayed = self.intake.stop().map(drop);
        let mut assembled = Ok(());
        if let Some(entries) = self.entries {
            entries
                .stop
                .store(true, std::sync::atomic::Ordering::Relaxed);
            assembled = entries.runner.join().map(drop);
            if entries.server.is_dead() {
                assembled = assembled.and(Err(RunnerError::Panicked("grpc-entries".to_owned())));
            }
            entries.server.stop();
        }
        let mut sent = Ok(());
        if let Some(nodes) = self.nodes {
            if nodes.is_dead() {
                sent = Err(RunnerError::Panicked("tx-relay".to_owned()));
            }
            nodes.stop();
        }
        relayed.and(assembled).and(sent)
    }
}

fn connect(
    relay: &RelayPlan,
    identity: &Identity,
) -> Result<(QuicSender, QuicSenderHandle), Failure> {
    let config = QuicSenderConfig {
        ring_count: cells(Cell::Shred),
        at_thread_start: receive::pin_at_start(relay.nodes_cpu),
        ..QuicSenderConfig::new("relay", relay.nodes.clone())
    };
    let started = QuicSender::start(config, identity)?;
    for node in &relay.nodes {
        errln!("passes on to {} (quic, {})", node.address, node.peer);
    }
    Ok(started)
}

fn entries_ring(lock: Lock) -> Result<(RxFrames, CoreFrames), Failure> {
    let (fill, read, _) = frame_ring(&ArenaPlan {
        frame_count: cells(Cell::Frame),
        stride: ENTRIES_STRIDE,
        lock,
        huge_pages: false,
    })?;
    Ok((fill, read))
}

fn prepare_entries(
    plan: &Plan,
    entries: &EntriesPlan,
    read: CoreFrames,
    leaders: Arc<LeaderSource>,
) -> Result<PreparedEntries, Failure> {
    let token = entries.token_file.as_deref().map(load_token).transpose();
    let token =
        token.map_err(|error| Failure::Input(format!("relay.entries.token_file: {error}")))?;
    let asks = if token.is_some() {
        "a token"
    } else {
        "no token"
    };
    let feed = entry_feed(cells(Cell::Entries));
    let config = EntryServerConfig {
        token,
        ..entries.room.clone()
    };
    let server = EntryServer::start(config, &feed)?;
    errln!("serves entries on {} ({asks} asked for)", server.address());
    let batches = BatchPlan {
        v1: entries.v1,
        ..BatchPlan::default()
    };
    Ok(PreparedEntries {
        stage: EntriesStage {
            assembler: Assembler::new(read, &plan.ingest.resolve, batches, feed),
            leaders,
        },
        server,
    })
}

/// The key that other nodes know this one by, if there are any, and what is to be said of it where it is shown.
///
/// # Errors
/// [`Failure`] when there is no usable key, or one of the nodes has a key of our own: that would be ourselves.
pub fn own_identity(
    relay: &RelayPlan,
    sources: &[SourcePlan],
) -> Result<Option<(Identity, &'static str)>, Failure> {
    let named = |error: OpenError| match error {
        OpenError::Secret(error) => Failure::Input(format!("relay.identity_file: {error}")),
        error => Failure::Input(format!("relay.{error}")),
    };
    let (Some(from), false) = (&relay.identity, relay.nodes.is_empty()) else {
        return Ok(None);
    };
    let (identity, until) = receive::identity(from).map_err(named)?;
    let mut own: Vec<(PeerId, String)> = vec![(identity.id(), "relay.identity_file".to_owned())];
    for source in sources {
        if let Opening::Quic(quic) = &source.opening
            && let QuicIdentity::File(path) = &quic.identity
        {
            let whose = format!("source {}", source.name);
            let secret = Secret::load(path)
                .map_err(|error| Failure::Input(format!("{whose}: identity_file: {error}")))?;
            own.push((Identity::from_seed(&secret.seed()).id(), whose));
        }
    }
    for (index, node) in relay.nodes.iter().enumerate() {
        if let Some((id, whose)) = own.iter().find(|(id, _)| *id == node.peer) {
            return Err(Failure::Input(format!(
                "relay.nodes[{index}].identity = \"{id}\": this is our own, of {whose}; write the identity that the \
                 other node prints for its source"
            )));
        }
    }
    Ok(Some((identity, until)))
}

/// Refuses to send to what this host receives by a socket that takes every address of it.
///
/// # Errors
/// [`Failure::Input`] names the destination and the source.
pub fn refuse_loops(relay: &RelayPlan, sources: &[SourcePlan]) -> Result<(), Failure> {
    let destinations = relay.room.destinations.iter().copied();
    let nodes = relay.nodes.iter().map(|node| node.address);
    for address in destinations.chain(nodes) {
        let receives = |source: &&SourcePlan| {
            bound(source).iter().any(|bound| {
                bound.port() == address.port() && bound.ip().to_canonical().is_unspecified()
            })
        };
        if let Some(source) = sources.iter().find(receives)
            && is_of_this_host(address)
        {
            return Err(Failure::Input(format!(
                "relay: {address} is an address of this host, and source {} receives there: it would send to itself; \
                 name another host, or another port",
                source.name
            )));
        }
    }
    Ok(())
}

/// What a source binds, or of a card's queue the ports that it looks at.
fn bound(source: &SourcePlan) -> Vec<SocketAddr> {
    let any = std::net::Ipv4Addr::UNSPECIFIED;
    match &source.opening {
        Opening::Udp(udp) => vec![udp.bind],
        Opening::IoUring(uring) => vec![uring.socket.bind],
        Opening::Quic(quic) => vec![quic.bind],
        Opening::Xdp(xdp) => {
            let ports = xdp.ports.iter();
            ports.map(|port| SocketAddr::from((any, *port))).collect()
        }
    }
}

/// Whether a socket of this host can have the address.
fn is_of_this_host(address: SocketAddr) -> bool {
    UdpSocket::bind((address.ip(), 0)).is_ok()
}
