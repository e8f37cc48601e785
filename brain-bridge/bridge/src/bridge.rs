//! The bridge thread: a ZeroMQ ROUTER around the desk.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;

use brain_wire::{ArmedSignal, FRAME_LEN_MAX};
use zmq::{DONTWAIT, POLLIN, SNDMORE};

use crate::clock;
use crate::config::{BridgeConfig, BridgeError, BridgePlan};
use crate::desk::Desk;
use crate::epoch::EpochStore;
use crate::peer::ROUTING_ID_LEN_MAX;
use crate::shared::{BridgeShared, count};

/// How long the thread sleeps without messages before it looks at the stop flag.
const POLL_MS: i64 = 50;
/// Messages taken in a row before it looks at the stop flag.
const BURST: usize = 256;

/// Starts the bridge. See [`Bridge::spawn`].
#[derive(Debug)]
pub struct Bridge;

/// A running bridge. Dropping it stops the thread and waits for it.
#[derive(Debug)]
pub struct BridgeHandle {
    thread: Option<JoinHandle<()>>,
    shared: Arc<BridgeShared>,
}

impl Bridge {
    /// Checks the configuration, reads the keys, makes a first epoch durable, binds the socket and
    /// starts the thread named `bridge`. When this returns, brains can connect.
    ///
    /// Signals that pass every check go into `ring`; the core owns the other end and must check
    /// expiry again when it uses them. `shared` is how the two see each other otherwise.
    ///
    /// # Errors
    /// [`BridgeError`] names the field or file and the fix.
    pub fn spawn(
        config: BridgeConfig,
        ring: rtrb::Producer<ArmedSignal>,
        shared: Arc<BridgeShared>,
    ) -> Result<BridgeHandle, BridgeError> {
        let plan = config.plan()?;
        let now = clock::now();
        own_directory(&plan.socket)?;
        let locks = [lock(&plan.socket)?, lock(&plan.epoch_file)?];
        let at_epoch_file = |source| io_error(&plan.epoch_file, source);
        let mut epochs = EpochStore::open(&plan.epoch_file).map_err(at_epoch_file)?;
        // Fails here, at start, rather than at the first Hello.
        epochs.next(now.realtime_ns).map_err(at_epoch_file)?;
        let socket = bind(&plan)?;
        let timeout_ns = plan.desk.rules.heartbeat_timeout_ns;
        shared.heartbeat_timeout_ns.store(timeout_ns, Relaxed);
        let entropy = Box::new(|bytes: &mut [u8]| getrandom::fill(bytes).is_ok());
        let mut desk = Desk::new(plan.desk, ring, epochs, entropy, Arc::clone(&shared), now);
        let theirs = Arc::clone(&shared);
        let running = Running::new(Arc::clone(&shared));
        let run = move || {
            let (_locks, _running) = (locks, running);
            serve(&socket, &mut desk, &theirs);
        };
        let thread = std::thread::Builder::new()
            .name("bridge".to_owned())
            .spawn(run);
        let thread = Some(thread.map_err(|source| io_error(Path::new("thread bridge"), source))?);
        Ok(BridgeHandle { thread, shared })
    }
}

/// Says that the thread runs for as long as it lives, however the thread ends.
struct Running(Arc<BridgeShared>);

impl Running {
    fn new(shared: Arc<BridgeShared>) -> Self {
        shared.running.store(true, Relaxed);
        Self(shared)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Relaxed);
    }
}

impl BridgeHandle {
    /// Stops the thread, waits for it and closes the socket.
    ///
    /// # Errors
    /// [`BridgeError::Panicked`] when the thread had ended by a panic.
    pub fn stop(mut self) -> Result<(), BridgeError> {
        self.finish()
    }

    /// Whether the thread still runs.
    pub fn is_running(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    fn finish(&mut self) -> Result<(), BridgeError> {
        self.shared.stop.store(true, Relaxed);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread.join().map_err(|_| BridgeError::Panicked)
    }
}

impl Drop for BridgeHandle {
    fn drop(&mut self) {
        // A panic of the thread was already printed by its own hook.
        let _ = self.finish();
    }
}

/// Takes messages until told to stop. Never blocks on a peer.
fn serve(socket: &zmq::Socket, desk: &mut Desk, shared: &BridgeShared) {
    let mut inbox = Inbox::new();
    while !shared.stop.load(Relaxed) {
        // An interrupted or failed poll is an empty one; the stop flag is looked at either way.
        if !matches!(socket.poll(POLLIN, POLL_MS), Ok(1..)) {
            continue;
        }
        for _ in 0..BURST {
            let Some(part_count) = inbox.receive(socket) else {
                break;
            };
            let answer = desk.handle(inbox.routing_id(), inbox.frame(), part_count, clock::now());
            if send(socket, inbox.routing_id(), &answer).is_err() {
                count(&shared.stats.reply_dropped);
            }
        }
    }
}

fn send(socket: &zmq::Socket, routing_id: &[u8], answer: &[u8]) -> zmq::Result<()> {
    socket.send(routing_id, DONTWAIT | SNDMORE)?;
    socket.send(answer, DONTWAIT)
}

/// Buffers for one message; a frame beyond them is cut, and too long in any case.
struct Inbox {
    routing_id: [u8; ROUTING_ID_LEN_MAX],
    routing_id_len: usize,
    frame: [u8; FRAME_LEN_MAX + 1],
    frame_len: usize,
}

impl Inbox {
    fn new() -> Self {
        Self {
            routing_id: [0; ROUTING_ID_LEN_MAX],
            routing_id_len: 0,
            frame: [0; FRAME_LEN_MAX + 1],
            frame_len: 0,
        }
    }

    /// Takes one message if there is one, and returns how many parts followed its routing id.
    /// ZeroMQ hands over whole messages only, so the parts after the first are there already.
    fn receive(&mut self, socket: &zmq::Socket) -> Option<usize> {
        let len = socket.recv_into(&mut self.routing_id, DONTWAIT).ok()?;
        self.routing_id_len = len.min(self.routing_id.len());
        self.frame_len = 0;
        let mut part_count = 0;
        let mut rest = [0; 1];
        while socket.get_rcvmore().unwrap_or(false) {
            let part = if part_count == 0 {
                &mut self.frame[..]
            } else {
                &mut rest[..]
            };
            let room = part.len();
            let len = socket.recv_into(part, DONTWAIT).ok()?;
            if part_count == 0 {
                self.frame_len = len.min(room);
            }
            part_count += 1;
        }
        Some(part_count)
    }

    fn routing_id(&self) -> &[u8] {
        &self.routing_id[..self.routing_id_len]
    }

    fn frame(&self) -> &[u8] {
        &self.frame[..self.frame_len]
    }
}

/// Makes the socket with every option before it is bound, because later ones would not count.
fn bind(plan: &BridgePlan) -> Result<zmq::Socket, BridgeError> {
    let failed = |what| move |source| BridgeError::ZeroMq { what, source };
    let socket = zmq::Context::new()
        .socket(zmq::ROUTER)
        .map_err(failed("socket"))?;
    let options = || -> zmq::Result<()> {
        socket.set_linger(0)?;
        socket.set_sndhwm(64)?;
        socket.set_rcvhwm(64)?;
        socket.set_maxmsgsize(4_096)?;
        socket.set_handshake_ivl(500)?;
        socket.set_heartbeat_ivl(250)?;
        socket.set_heartbeat_timeout(1_000)?;
        // Answers to a peer that is gone fail and are counted instead of vanishing.
        socket.set_router_mandatory(true)?;
        // A second connection must not take over the first one's routing id.
        socket.set_router_handover(false)
    };
    options().map_err(failed("option"))?;
    socket.bind(&plan.endpoint).map_err(failed("bind"))?;
    // The directory has kept strangers out since before the socket existed.
    fs::set_permissions(&plan.socket, Permissions::from_mode(0o600))
        .map_err(|source| io_error(&plan.socket, source))?;
    Ok(socket)
}

/// Makes sure that the socket's directory exists and is ours alone.
fn own_directory(socket: &Path) -> Result<(), BridgeError> {
    let directory = socket.parent().unwrap_or(Path::new("/"));
    let failed = |source| io_error(directory, source);
    match DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
    {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = fs::metadata(directory).map_err(failed)?;
    let (mode, uid) = (found.mode() & 0o777, found.uid());
    // Our own process directory belongs to our effective user.
    let ours = fs::metadata("/proc/self").map_err(failed)?.uid();
    if mode & 0o077 != 0 || uid != ours {
        return Err(BridgeError::DirectoryOpen {
            path: directory.to_owned(),
            mode,
            uid,
        });
    }
    Ok(())
}

/// Locks `<path>.lock` for the life of the returned file. libzmq would silently take over a
/// socket that another process still serves.
fn lock(path: &Path) -> Result<File, BridgeError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let file = file.map_err(|source| io_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(BridgeError::AlreadyRunning(path)),
        Err(fs::TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

fn io_error(path: &Path, source: io::Error) -> BridgeError {
    BridgeError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use brain_wire::Family;

    use super::*;
    use crate::config::ProducerConfig;
    use crate::key::SharedKey;

    #[test]
    fn whoever_shares_with_the_bridge_knows_whether_it_runs() {
        let folder = std::env::temp_dir().join(format!("bridge-runs-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&folder).unwrap();
        let (key, socket) = (folder.join("key"), folder.join("signal.ipc"));
        SharedKey::generate(&key).unwrap();
        let endpoint = format!("ipc://{}", socket.display());
        let mut config = BridgeConfig::new(endpoint, folder.join("epoch"));
        let producer = ProducerConfig::new(1, key, &[Family::Operator], 1);
        config.producers.push(producer);
        let shared = Arc::new(BridgeShared::default());
        assert!(!shared.is_running());
        let (ring, _signals) = rtrb::RingBuffer::new(2);
        let handle = Bridge::spawn(config, ring, Arc::clone(&shared)).unwrap();
        assert!(shared.is_running());
        handle.stop().unwrap();
        assert!(!shared.is_running());
        fs::remove_dir_all(&folder).unwrap();
    }
}
