//! The brain's end of the bridge, for `signal-inject` and tests.

use std::time::Duration;

use brain_wire::frame::Frame;
use brain_wire::{
    Head, HeartbeatFrame, HelloAckFrame, HelloFrame, HelloKey, MAC_LEN, Message, NackReason,
    ReplyFrame, SCHEMA_VERSION, SessionKeys, Signal, SignalFlags, SignalFrame, Template,
};

use crate::clock;
use crate::key::SharedKey;

/// Why the client has no answer to give.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing came in time. The signal may or may not have been armed; sending it again with the
    /// same `signal_id` cannot arm it twice.
    #[error("no answer within {0:?}; is the executor running with this endpoint?")]
    NoAnswer(Duration),
    /// Hello was refused.
    #[error("hello refused: {}", .0.map_or("unknown reason", NackReason::name))]
    HelloRefused(Option<NackReason>, Box<ReplyFrame>),
    /// The answer to Hello does not prove that the executor holds the key.
    #[error("the answer to hello does not verify: the executor holds another key")]
    NotTheExecutor,
    /// ZeroMQ refused.
    #[error("zeromq: {0}")]
    ZeroMq(#[from] zmq::Error),
    /// The system gave no randomness.
    #[error("no randomness: {0}")]
    NoRandomness(getrandom::Error),
}

/// What the executor said to one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The signal is in the core's ring.
    Ack(ReplyFrame),
    /// The heartbeat was taken.
    Pong(ReplyFrame),
    /// The frame was refused.
    Nack {
        /// Why; `None` when the executor is newer than this client and knows more reasons.
        reason: Option<NackReason>,
        /// Whether the refusal carries this session's MAC. One without may come from an executor
        /// that does not know this session.
        authentic: bool,
        /// The whole answer.
        reply: ReplyFrame,
    },
}

/// One connection with one session.
pub struct BridgeClient {
    socket: zmq::Socket,
    producer_id: u16,
    keys: SessionKeys,
    hello: HelloAckFrame,
    seq: u64,
    timeout: Duration,
}

impl BridgeClient {
    /// Connects, says Hello and checks the executor's proof. The brain's own proof is the MAC of
    /// its first frame.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(
        endpoint: &str,
        producer_id: u16,
        key: &SharedKey,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let socket = connected(endpoint, timeout)?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(ClientError::NoRandomness)?;
        let now = clock::now();
        let hello = HelloFrame {
            head: Head::new(Template::Hello, producer_id, 0, 0),
            t_event_ns: now.realtime_ns,
            t_send_ns: now.monotonic_ns,
            nonce,
            version_min: SCHEMA_VERSION,
            version_max: SCHEMA_VERSION,
            reserved: [0; 76],
            mac: [0; MAC_LEN],
        };
        let sealed = hello.sealed(&HelloKey::derive(key.bytes(), producer_id).0);
        socket
            .send(sealed.as_bytes(), 0)
            .map_err(|error| late(error, timeout))?;
        let bytes = socket.recv_bytes(0).map_err(|error| late(error, timeout))?;
        let ack = match Message::parse(&bytes) {
            Ok(Message::HelloAck(ack)) if ack.nonce == nonce => ack,
            Ok(Message::Nack(reply)) => {
                let reason = NackReason::from_byte(reply.reason);
                return Err(ClientError::HelloRefused(reason, Box::new(reply)));
            }
            _ => return Err(ClientError::NotTheExecutor),
        };
        let epoch = ack.head.session_epoch;
        let keys = SessionKeys::derive(key.bytes(), producer_id, &nonce, &ack.challenge, epoch);
        if !keys.executor.verify(&bytes) {
            return Err(ClientError::NotTheExecutor);
        }
        Ok(Self {
            socket,
            producer_id,
            keys,
            hello: ack,
            seq: 0,
            timeout,
        })
    }

    /// The executor's answer to Hello: limits, epoch, current slot.
    pub fn hello(&self) -> &HelloAckFrame {
        &self.hello
    }

    /// Fills in producer, session, the next sequence number and the send stamp, and seals. The
    /// stamp is CLOCK_MONOTONIC or realtime as the signal's flag says.
    pub fn seal(&mut self, signal: &Signal) -> SignalFrame {
        self.seq += 1;
        let now = clock::now();
        let same_host = signal.flags.contains(SignalFlags::SAME_HOST_CLOCK);
        let stamped = Signal {
            producer_id: self.producer_id,
            session_epoch: self.hello.head.session_epoch,
            seq: self.seq,
            t_send_ns: if same_host {
                now.monotonic_ns
            } else {
                now.realtime_ns
            },
            ..*signal
        };
        stamped.frame().sealed(&self.keys.brain)
    }

    /// Seals a frame that was changed after [`seal`](Self::seal); for trying out refusals.
    pub fn reseal(&self, frame: SignalFrame) -> SignalFrame {
        frame.sealed(&self.keys.brain)
    }

    /// Sends one signal and waits for the answer.
    ///
    /// # Errors
    /// [`ClientError::NoAnswer`] or a transport error; a refusal is an [`Answer`].
    pub fn send(&mut self, signal: &Signal) -> Result<Answer, ClientError> {
        let frame = self.seal(signal);
        self.exchange(frame.as_bytes())
    }

    /// Sends one heartbeat and waits for the answer.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn heartbeat(&mut self) -> Result<Answer, ClientError> {
        self.seq += 1;
        let now = clock::now();
        let mut head = Head::new(
            Template::Heartbeat,
            self.producer_id,
            self.hello.head.session_epoch,
            self.seq,
        );
        head.flags = SignalFlags::SAME_HOST_CLOCK.0;
        let frame = HeartbeatFrame {
            head,
            t_event_ns: now.realtime_ns,
            t_send_ns: now.monotonic_ns,
            reserved: [0; 96],
            mac: [0; MAC_LEN],
        };
        self.exchange(frame.sealed(&self.keys.brain).as_bytes())
    }

    /// Sends any bytes as one message and waits for an answer that verifies, or for a refusal.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Answer, ClientError> {
        let timeout = self.timeout;
        let seq = Head::parse(bytes).map_or(0, |(head, _)| head.seq);
        self.socket
            .send(bytes, 0)
            .map_err(|error| late(error, timeout))?;
        loop {
            let answer = self
                .socket
                .recv_bytes(0)
                .map_err(|error| late(error, timeout))?;
            let authentic = self.keys.executor.verify(&answer);
            match Message::parse(&answer) {
                Ok(Message::Ack(reply)) if authentic && reply.head.seq == seq => {
                    return Ok(Answer::Ack(reply));
                }
                Ok(Message::Pong(reply)) if authentic && reply.head.seq == seq => {
                    return Ok(Answer::Pong(reply));
                }
                // A refusal of bytes the executor could not read carries 0.
                Ok(Message::Nack(reply)) if [seq, 0].contains(&reply.head.seq) => {
                    let reason = NackReason::from_byte(reply.reason);
                    return Ok(Answer::Nack {
                        reason,
                        authentic,
                        reply,
                    });
                }
                // An answer to a frame we gave up waiting for; the receive timeout ends the wait.
                _ => {}
            }
        }
    }
}

fn connected(endpoint: &str, timeout: Duration) -> Result<zmq::Socket, ClientError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let socket = zmq::Context::new().socket(zmq::DEALER)?;
    socket.set_linger(0)?;
    socket.set_sndhwm(64)?;
    socket.set_rcvhwm(64)?;
    socket.set_maxmsgsize(4_096)?;
    // Nothing is queued for an executor that is not there: it would arrive late and stale.
    socket.set_immediate(true)?;
    socket.set_sndtimeo(timeout_ms)?;
    socket.set_rcvtimeo(timeout_ms)?;
    socket.set_heartbeat_ivl(250)?;
    socket.set_heartbeat_timeout(1_000)?;
    socket.set_reconnect_ivl(50)?;
    socket.set_reconnect_ivl_max(1_000)?;
    socket.connect(endpoint)?;
    Ok(socket)
}

fn late(error: zmq::Error, timeout: Duration) -> ClientError {
    match error {
        zmq::Error::EAGAIN => ClientError::NoAnswer(timeout),
        other => ClientError::ZeroMq(other),
    }
}
