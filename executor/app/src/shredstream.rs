//! Keeps asking a block engine to send shreds here, on a thread of its own. No shred passes through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use shredstream_client::{AuthOptions, End, Shredstream, ShredstreamConfig, ShredstreamCounters};
use sidecar::Snapshot;
use tokio::sync::oneshot;

use crate::config::ShredstreamPlan;
use crate::receive::Received;
use crate::secret::{Secret, SecretError};

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
}

/// The thread that asks. Dropping it stops asking; the engine stops sending when the last request has lived out.
#[derive(Debug)]
pub struct Asking {
    state: StreamState,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Asking {
    /// Starts the thread `shredstream`. `received` are the counters of the source that the shreds reach: while it
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
            })
            .map_err(AskError::Thread)?;
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
        let ends: u64 = tally.ended.iter().sum();
        (!tally.flowing && ends > 0)
            .then(|| format!("shredstream: no heartbeat is answered, {ends} sessions have ended"))
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
