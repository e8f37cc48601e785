//! Keeps asking a block engine to send shreds here, on a thread of its own. No shred passes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shredstream_client::{AuthOptions, End, Shredstream, ShredstreamConfig, ShredstreamCounters};
use sidecar::{Snapshot, printable};
use tokio::sync::oneshot;

use crate::config::{ShredstreamPlan, host_of};
use crate::outage::{Outage, Turn};
use crate::receive::Received;
use crate::secret::{Secret, SecretError};

/// Without any answer since the start this long, it is a fault, though nothing has failed yet: a name is still looked
/// up, or a connection made.
const FIRST_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Why no stream can be asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The key.
    #[error("shredstream.key_file: {0}")]
    Secret(#[from] SecretError),
    /// What is asked for.
    #[error("shredstream: {0}")]
    Config(#[from] shredstream_client::ConfigError),
    /// The thread.
    #[error("shredstream: start the thread: {0}")]
    Thread(std::io::Error),
}

/// What is known of the stream; readable from any thread.
#[derive(Debug, Clone)]
pub struct StreamState {
    counters: Arc<ShredstreamCounters>,
    running: Arc<AtomicBool>,
    /// Who is asked, for people.
    engine: Arc<str>,
    started: Instant,
}

/// The thread that asks. Dropping it stops asking; the engine stops sending when the last request has lived out.
#[derive(Debug)]
pub struct Asking {
    state: StreamState,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Asking {
    /// Starts the thread `shredstream` and says whom it asks for what. `received` are the counters of the source that the shreds reach: while it
    /// stands still for long, the stream is asked for anew.
    ///
    /// # Errors
    /// [`AskError`] names what cannot work; nothing runs then.
    pub fn start(plan: &ShredstreamPlan, received: Received) -> Result<Self, AskError> {
        let signer = Secret::load(&plan.key_file)?.into_signer();
        let public_key = *signer.public_key();
        let sign = Arc::new(move |challenge: &[u8]| signer.sign(challenge));
        let config = ShredstreamConfig {
            auth_endpoint: plan.auth_endpoint.clone(),
            jitter_seed: u64::from_le_bytes(public_key[..8].try_into().unwrap_or_default()),
            ..ShredstreamConfig::new(
                plan.endpoint.clone(),
                AuthOptions::shredstream_subscriber(public_key, sign),
                plan.announce,
                plan.regions.clone(),
            )
        };
        let count = Arc::new(move || received.tally().datagram_received);
        let client = Shredstream::new(config, count)?;
        let state = StreamState {
            counters: Arc::clone(client.counters()),
            running: Arc::new(AtomicBool::new(true)),
            engine: engine(plan).into(),
            started: Instant::now(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(AskError::Thread)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let running = Running(Arc::clone(&state.running));
        let thread = std::thread::Builder::new()
            .name("shredstream".to_owned())
            .spawn(move || {
                let _running = running;
                runtime.block_on(client.run(async {
                    // Also when whoever could stop it is gone.
                    let _ = stopped.await;
                }));
                // A look-up of a name that nobody answers blocks a thread of the runtime for as long as the system
                // tries; whoever stops does not wait for it.
                runtime.shutdown_background();
            })
            .map_err(AskError::Thread)?;
        errln!(
            "shredstream: asks {} to send the shreds of {} to {}",
            state.engine,
            plan.regions.join(", "),
            plan.announce
        );
        Ok(Self {
            state,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// What is known of the stream.
    #[must_use]
    pub fn state(&self) -> StreamState {
        self.state.clone()
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The thread may be gone already.
            let _ = stop.send(());
        }
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Says once that no heartbeat is answered any more, and once that they are again.
#[derive(Debug)]
pub struct StreamAlarm {
    state: StreamState,
    outage: Outage,
}

impl StreamAlarm {
    /// Of one stream.
    #[must_use]
    pub fn new(state: StreamState) -> Self {
        Self {
            state,
            outage: Outage::default(),
        }
    }

    /// What has changed since the last time, in a line.
    pub fn change(&mut self) -> Option<String> {
        match self.outage.turn(self.state.has_failed(), Instant::now())? {
            Turn::Fails => self.state.fault(),
            Turn::Works => Some(format!(
                "shredstream: {} answers heartbeats again",
                self.state.engine
            )),
        }
    }
}

/// Whom the plan asks: host and port, since a path may hold what is nobody's business.
fn engine(plan: &ShredstreamPlan) -> String {
    let host = |endpoint: &str| host_of(endpoint).unwrap_or("?").to_owned();
    match &plan.auth_endpoint {
        Some(auth) if *auth != plan.endpoint => {
            format!("{} (tokens: {})", host(&plan.endpoint), host(auth))
        }
        _ => host(&plan.endpoint),
    }
}

/// Says when the thread has ended, by whatever way.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

impl StreamState {
    fn named(&self) -> Vec<(&'static str, u64)> {
        let tally = self.counters.tally();
        let mut named = vec![
            ("session_started", tally.session_started),
            ("heartbeat_acknowledged", tally.heartbeat_acknowledged),
            ("challenge_signed", tally.challenge_signed),
            ("token_refreshed", tally.token_refreshed),
            ("token_forgotten", tally.token_forgotten),
            ("ttl_bounded", tally.ttl_bounded),
        ];
        named.extend(End::ALL.map(|end| (end.label(), tally.ended_for(end))));
        named
    }

    /// What `status` says of it.
    #[must_use]
    pub fn status(&self) -> Value {
        let events: serde_json::Map<_, _> = self
            .named()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect();
        json!({
            "running": self.running.load(Relaxed),
            "flowing": self.counters.tally().flowing,
            "last_end": self.counters.last_words(),
            "events": events,
        })
    }

    /// What `/health` has against it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let tally = self.counters.tally();
        if !self.running.load(Relaxed) {
            return Some("the shredstream thread has ended: nobody asks for shreds".to_owned());
        }
        if tally.flowing {
            return None;
        }
        let ends: u64 = tally.ended.iter().sum();
        let waited = self.started.elapsed();
        let why = match ends {
            0 if waited < FIRST_ANSWER_MAX => return None,
            0 => format!("waiting since {} s", waited.as_secs()),
            // Partly the engine's text.
            _ => printable(&self.counters.last_words()),
        };
        Some(format!(
            "shredstream: no heartbeat is answered: {}: {why}",
            self.engine
        ))
    }

    /// Whether there is a cause to name.
    fn has_failed(&self) -> bool {
        let tally = self.counters.tally();
        let ended = tally.ended.iter().any(|count| *count > 0);
        !self.running.load(Relaxed) || (!tally.flowing && ended)
    }

    /// Adds what the metrics say of it.
    pub fn measure(&self, snapshot: &mut Snapshot) {
        let help =
            "What was done to keep the shredstream flowing, and why sessions ended, by kind.";
        let mut events = snapshot.counter("shredstream_events", help);
        for (kind, value) in self.named() {
            events = events.with(&[("kind", kind)], value);
        }
        let help = "1 while the last heartbeat of the shredstream was answered.";
        let flowing = i64::from(self.counters.tally().flowing);
        let _ = snapshot
            .gauge("shredstream_flowing", help)
            .with(&[], flowing);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;
    use crate::regular::tests::Folder;

    fn plan(endpoint: &str, auth: Option<&str>) -> ShredstreamPlan {
        ShredstreamPlan {
            endpoint: endpoint.to_owned(),
            auth_endpoint: auth.map(str::to_owned),
            regions: vec!["ny".to_owned()],
            announce: "203.0.113.7:20000".parse().unwrap(),
            source: 0,
            key_file: std::path::PathBuf::new(),
        }
    }

    #[test]
    fn an_engine_is_named_by_host_and_port() {
        for (endpoint, auth, named) in [
            ("https://engine.example", None, "engine.example"),
            (
                "https://a:b@engine.example:1/key?x",
                None,
                "engine.example:1",
            ),
            (
                "https://engine.example",
                Some("https://auth.example/"),
                "engine.example (tokens: auth.example)",
            ),
        ] {
            assert_eq!(engine(&plan(endpoint, auth)), named);
        }
    }

    /// Goal: an engine that is not there is a fault and one line, with its name and the cause.
    #[test]
    fn an_engine_that_is_not_there_is_named_with_the_cause() {
        let folder = Folder::new("stream");
        let key_file = folder.0.join("key");
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        std::io::Write::write_all(&mut options.open(&key_file).unwrap(), &[7; 32]).unwrap();
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = gone.local_addr().unwrap();
        drop(gone);
        let plan = ShredstreamPlan {
            key_file,
            ..plan(&format!("http://{address}"), None)
        };
        let asking = Asking::start(&plan, Received::Polled(Arc::default())).unwrap();
        let mut alarm = StreamAlarm::new(asking.state());
        let started = Instant::now();
        let said = loop {
            if let Some(said) = alarm.change() {
                break said;
            }
            assert!(started.elapsed() < Duration::from_secs(60), "never said");
            std::thread::sleep(Duration::from_millis(5));
        };
        let address = address.to_string();
        for part in ["no heartbeat is answered", &address, "refused"] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(asking.state().fault(), Some(said));
        assert_eq!(alarm.change(), None, "once");
    }
}
