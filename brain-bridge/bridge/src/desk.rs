//! The protocol without sockets or clocks: one message in, one answer out.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use brain_wire::frame::Frame;
use brain_wire::rule::Now;
use brain_wire::{
    ArmedSignal, FRAME_LEN, Head, HeartbeatFrame, HelloAckFrame, HelloFrame, HelloKey, MAC_LEN,
    Message, NackReason, ReplyFrame, SCHEMA_VERSION, Sequence, SessionKeys, Signal, SignalFlags,
    SignalFrame, Template, TokenBucket,
};

use crate::config::{DeskPlan, ProducerPlan};
use crate::dedupe::DedupeRing;
use crate::epoch::EpochStore;
use crate::peer::{Peers, Session};
use crate::shared::{BridgeShared, count};
use crate::strikes::Strikes;

/// Signal ids remembered across producers.
const DEDUPE_COUNT: usize = 65_536;
/// Good heartbeats in a row after which a brain counts as live again.
const HEARTBEATS_TO_LIVE: u32 = 8;
/// Hellos per second and producer, on average and at once: each costs two fsyncs.
const HELLO_RATE: (u32, u32) = (5, 20);
/// Heartbeats per second and producer, on average and at once.
const HEARTBEAT_RATE: (u32, u32) = (50, 50);

/// An answer, ready to send.
pub(crate) type Answer = [u8; FRAME_LEN];

/// Where randomness comes from; tests give a counter.
pub(crate) type Entropy = Box<dyn FnMut(&mut [u8]) -> bool + Send>;

/// Judges every message. Owns the producer side of the ring to the core.
pub(crate) struct Desk {
    plan: DeskPlan,
    producers: Vec<Producer>,
    peers: Peers,
    seen: DedupeRing,
    ring: rtrb::Producer<ArmedSignal>,
    epochs: EpochStore,
    entropy: Entropy,
    shared: Arc<BridgeShared>,
}

/// What the desk remembers of one producer, beside its plan.
struct Producer {
    hello_keys: Vec<HelloKey>,
    signals: TokenBucket,
    heartbeats: TokenBucket,
    hellos: TokenBucket,
    flood: Strikes,
    quarantined_until_ns: u64,
}

impl Producer {
    fn new(plan: &ProducerPlan, window_ns: u64, now_ns: u64) -> Self {
        // As many refusals as the rate would have granted: sustained at twice the rate or more.
        let window_s = (window_ns / 1_000_000_000).max(1) as u32;
        let flood_max = plan
            .rate_per_second
            .saturating_mul(window_s)
            .max(plan.rate_burst);
        Self {
            hello_keys: plan
                .keys
                .iter()
                .map(|key| HelloKey::derive(key.bytes(), plan.id))
                .collect(),
            signals: TokenBucket::new(plan.rate_per_second, plan.rate_burst, now_ns),
            heartbeats: TokenBucket::new(HEARTBEAT_RATE.0, HEARTBEAT_RATE.1, now_ns),
            hellos: TokenBucket::new(HELLO_RATE.0, HELLO_RATE.1, now_ns),
            flood: Strikes::new(flood_max, window_ns),
            quarantined_until_ns: 0,
        }
    }
}

/// The few facts of a message that its answer repeats.
#[derive(Clone, Copy, Default)]
struct Asked {
    producer_id: u16,
    epoch: u64,
    seq: u64,
    t_send_ns: u64,
    signal_id: u64,
}

impl Asked {
    fn by(message: &Message) -> Self {
        let head = message.head();
        let (t_send_ns, signal_id) = match message {
            Message::Signal(frame) => (frame.t_send_ns, frame.signal_id),
            Message::Heartbeat(frame) => (frame.t_send_ns, 0),
            Message::Hello(frame) => (frame.t_send_ns, 0),
            _ => (0, 0),
        };
        Self {
            producer_id: head.producer_id,
            epoch: head.session_epoch,
            seq: head.seq,
            t_send_ns,
            signal_id,
        }
    }
}

impl Desk {
    pub(crate) fn new(
        plan: DeskPlan,
        ring: rtrb::Producer<ArmedSignal>,
        epochs: EpochStore,
        mut entropy: Entropy,
        shared: Arc<BridgeShared>,
        now: Now,
    ) -> Self {
        let mut seed = [0; 8];
        // Without randomness the table is merely easier to aim at; Hello will refuse anyway.
        entropy(&mut seed);
        let fresh = |producer| Producer::new(producer, plan.garbage_window_ns, now.monotonic_ns);
        Self {
            producers: plan.producers.iter().map(fresh).collect(),
            peers: Peers::new(Strikes::new(plan.garbage_max, plan.garbage_window_ns)),
            seen: DedupeRing::new(DEDUPE_COUNT, u64::from_le_bytes(seed)),
            plan,
            ring,
            epochs,
            entropy,
            shared,
        }
    }

    /// Judges one message of `part_count` parts, the first of which is `bytes`, and returns the
    /// answer. `bytes` may be cut off after `FRAME_LEN_MAX + 1`.
    pub(crate) fn handle(
        &mut self,
        routing_id: &[u8],
        bytes: &[u8],
        part_count: usize,
        now: Now,
    ) -> Answer {
        let (peer, evicted) = self.peers.find(routing_id, now.monotonic_ns);
        if evicted {
            count(&self.shared.stats.peer_evicted);
        }
        let until_ns = self.peers.get(peer).quarantined_until_ns;
        let parsed = if until_ns > now.monotonic_ns {
            Err(NackReason::Quarantined)
        } else if part_count != 1 {
            Err(NackReason::ExtraFrame)
        } else {
            Message::parse(bytes)
        };
        let message = match parsed {
            Ok(message) => message,
            Err(reason) => return self.refuse(peer, Asked::default(), reason, now),
        };
        let answered = match &message {
            Message::Hello(frame) => self.handle_hello(peer, frame, bytes, now),
            Message::Heartbeat(frame) => self.handle_heartbeat(peer, frame, bytes, now),
            Message::Signal(frame) => self.handle_signal(peer, frame, bytes, now),
            _ => Err(NackReason::WrongDirection),
        };
        answered.unwrap_or_else(|reason| self.refuse(peer, Asked::by(&message), reason, now))
    }

    /// First half of the handshake: nothing is replaced before the brain has proven its key.
    fn handle_hello(
        &mut self,
        peer: usize,
        frame: &HelloFrame,
        bytes: &[u8],
        now: Now,
    ) -> Result<Answer, NackReason> {
        let producer = self.producer_index(frame.head.producer_id)?;
        let state = &mut self.producers[producer];
        let key = state.hello_keys.iter().position(|key| key.0.verify(bytes));
        let key = key.ok_or(NackReason::BadMac)?;
        if state.quarantined_until_ns > now.monotonic_ns {
            return Err(NackReason::Quarantined);
        }
        if !(frame.version_min..=frame.version_max).contains(&SCHEMA_VERSION) {
            return Err(NackReason::WrongVersion);
        }
        if !state.hellos.take(now.monotonic_ns) {
            return Err(NackReason::RateLimited);
        }
        let mut challenge = [0; 32];
        if !(self.entropy)(&mut challenge) {
            return Err(NackReason::EpochNotDurable);
        }
        let epoch = self
            .epochs
            .next(now.realtime_ns)
            .map_err(|_| NackReason::EpochNotDurable)?;
        let plan = &self.plan.producers[producer];
        let keys = SessionKeys::derive(
            plan.keys[key].bytes(),
            plan.id,
            &frame.nonce,
            &challenge,
            epoch,
        );
        let answer = self
            .hello_ack(producer, frame, challenge, epoch, now)
            .sealed(&keys.executor);
        let session = Session {
            producer,
            epoch,
            keys,
            sequence: Sequence::default(),
            heartbeat_count: 0,
            heartbeat_at_ns: 0,
        };
        self.peers.get(peer).pending = Some(Box::new(session));
        count(&self.shared.stats.hello_answered);
        Ok(to_answer(&answer))
    }

    fn hello_ack(
        &self,
        producer: usize,
        frame: &HelloFrame,
        challenge: [u8; 32],
        epoch: u64,
        now: Now,
    ) -> HelloAckFrame {
        let (plan, rules) = (&self.plan.producers[producer], &self.plan.rules);
        HelloAckFrame {
            head: Head::new(Template::HelloAck, plan.id, epoch, 0),
            t_receive_ns: now.monotonic_ns,
            t_send_ns: now.monotonic_ns,
            nonce: frame.nonce,
            challenge,
            current_slot: self.shared.current_slot.load(Relaxed),
            max_notional_lamports: plan.grant.max_notional_lamports,
            ttl_max_us: rules.ttl_max_us,
            rate_per_second: plan.rate_per_second,
            rate_burst: plan.rate_burst,
            families: plan.grant.families.0,
            confidence_min_ppm: rules.confidence_min_ppm,
            heartbeat_timeout_ms: (rules.heartbeat_timeout_ns / 1_000_000) as u32,
            reserved: [0; 8],
            mac: [0; MAC_LEN],
        }
    }

    fn handle_heartbeat(
        &mut self,
        peer: usize,
        frame: &HeartbeatFrame,
        bytes: &[u8],
        now: Now,
    ) -> Result<Answer, NackReason> {
        let producer = self.authenticate(peer, &frame.head, bytes, now)?;
        if !self.producers[producer].heartbeats.take(now.monotonic_ns) {
            return Err(NackReason::RateLimited);
        }
        let flags = SignalFlags(frame.head.flags);
        self.plan
            .rules
            .judge_heartbeat(flags, frame.t_send_ns, now)?;
        self.note_heartbeat(peer, now.monotonic_ns);
        count(&self.shared.stats.heartbeat_accepted);
        let asked = Asked::by(&Message::Heartbeat(*frame));
        Ok(self.answer(peer, self.reply(Template::Pong, asked, now)))
    }

    fn note_heartbeat(&mut self, peer: usize, now_ns: u64) {
        let timeout_ns = self.plan.rules.heartbeat_timeout_ns;
        let Some(session) = self.peers.get(peer).session.as_mut() else {
            return;
        };
        let in_row = now_ns.saturating_sub(session.heartbeat_at_ns) < timeout_ns;
        session.heartbeat_count = if in_row {
            session.heartbeat_count.saturating_add(1)
        } else {
            1
        };
        session.heartbeat_at_ns = now_ns;
        if session.heartbeat_count >= HEARTBEATS_TO_LIVE {
            self.shared.live_heartbeat_at_ns.store(now_ns, Relaxed);
        }
        self.shared.heartbeat_at_ns.store(now_ns, Relaxed);
    }

    fn handle_signal(
        &mut self,
        peer: usize,
        frame: &SignalFrame,
        bytes: &[u8],
        now: Now,
    ) -> Result<Answer, NackReason> {
        let producer = self.authenticate(peer, &frame.head, bytes, now)?;
        if !self.producers[producer].signals.take(now.monotonic_ns) {
            self.note_flood(producer, now.monotonic_ns);
            return Err(NackReason::RateLimited);
        }
        let signal = Signal::decode(frame)?;
        let armed = self.judge(peer, producer, &signal, now)?;
        if signal.flags.contains(SignalFlags::TEST) {
            count(&self.shared.stats.signal_tested);
        } else {
            self.arm(peer, armed)?;
        }
        let mut reply = self.reply(Template::Ack, Asked::by(&Message::Signal(*frame)), now);
        reply.max_notional_lamports = armed.max_notional_lamports;
        reply.expires_monotonic_ns = armed.expires_monotonic_ns;
        Ok(self.answer(peer, reply))
    }

    /// Every rule a signal must pass, none of which changes anything.
    fn judge(
        &mut self,
        peer: usize,
        producer: usize,
        signal: &Signal,
        now: Now,
    ) -> Result<ArmedSignal, NackReason> {
        let slot = Some(self.shared.current_slot.load(Relaxed)).filter(|slot| *slot != 0);
        let (rules, grant) = (&self.plan.rules, &self.plan.producers[producer].grant);
        let armed = rules.judge(signal, grant, now, slot)?;
        if let Some(session) = &self.peers.get(peer).session {
            session.sequence.check_evidence(signal, rules)?;
        }
        if self.seen.contains(signal.signal_id) {
            return Err(NackReason::DuplicateSignal);
        }
        Ok(armed)
    }

    /// Hands the signal to the core. Only what is really in the ring is remembered as seen, so a
    /// brain that meets a full ring may try the same signal again.
    fn arm(&mut self, peer: usize, armed: ArmedSignal) -> Result<(), NackReason> {
        if self.ring.is_abandoned() {
            return Err(NackReason::ExecutorStopped);
        }
        self.ring.push(armed).map_err(|_| NackReason::QueueFull)?;
        self.seen.insert(armed.signal.signal_id);
        if let Some(session) = self.peers.get(peer).session.as_mut() {
            session.sequence.note_evidence(&armed.signal);
        }
        let stats = &self.shared.stats;
        if armed.max_notional_lamports < armed.signal.max_notional_lamports {
            count(&stats.signal_clamped);
        }
        count(&stats.signal_accepted);
        Ok(())
    }

    /// Makes sure that a frame is of this connection's session, unaltered and new; opens a pending
    /// session if this is its proof. Returns the producer's index.
    fn authenticate(
        &mut self,
        peer: usize,
        head: &Head,
        bytes: &[u8],
        now: Now,
    ) -> Result<usize, NackReason> {
        let producer = self.producer_index(head.producer_id)?;
        let state = self.peers.get(peer);
        let Some(session) = state.session_of(head.session_epoch, producer) else {
            let stranger = state.session.is_none() && state.pending.is_none();
            return Err(if stranger {
                NackReason::NoSession
            } else {
                NackReason::WrongSession
            });
        };
        if !session.keys.brain.verify(bytes) {
            return Err(NackReason::BadMac);
        }
        if self.producers[producer].quarantined_until_ns > now.monotonic_ns {
            return Err(NackReason::Quarantined);
        }
        self.open_if_pending(peer, head.session_epoch)?;
        let session = self
            .peers
            .get(peer)
            .session
            .as_mut()
            .ok_or(NackReason::NoSession)?;
        let skipped = session.sequence.advance(head.seq)?;
        self.shared.stats.signal_skipped.fetch_add(skipped, Relaxed);
        Ok(producer)
    }

    /// The brain has proven its key: its session replaces every older one of the same producer,
    /// on whatever connection. An older handshake that is proven late does not replace a newer
    /// session.
    fn open_if_pending(&mut self, peer: usize, epoch: u64) -> Result<(), NackReason> {
        let state = self.peers.get(peer);
        let Some(fresh) = state.pending.take_if(|pending| pending.epoch == epoch) else {
            return Ok(());
        };
        let same = |session: &mut Box<Session>| session.producer == fresh.producer;
        let newest = self
            .peers
            .iter_mut()
            .filter_map(|other| other.session.as_mut());
        if newest
            .filter(|other| other.producer == fresh.producer)
            .any(|other| other.epoch > epoch)
        {
            return Err(NackReason::WrongSession);
        }
        for other in self.peers.iter_mut() {
            if other.session.take_if(same).is_some() {
                count(&self.shared.stats.session_replaced);
            }
        }
        self.peers.get(peer).session = Some(fresh);
        count(&self.shared.stats.session_opened);
        Ok(())
    }

    fn producer_index(&self, id: u16) -> Result<usize, NackReason> {
        let index = self
            .plan
            .producers
            .iter()
            .position(|producer| producer.id == id);
        index.ok_or(NackReason::UnknownProducer)
    }

    fn note_flood(&mut self, producer: usize, now_ns: u64) {
        if self.producers[producer].flood.strike(now_ns) {
            self.quarantine_producer(producer, now_ns);
        }
    }

    fn quarantine_producer(&mut self, producer: usize, now_ns: u64) {
        self.producers[producer].quarantined_until_ns = now_ns + self.plan.quarantine_ns;
        count(&self.shared.stats.producer_quarantined);
    }

    /// Counts the refusal, strikes for garbage, and says so to the sender.
    fn refuse(&mut self, peer: usize, asked: Asked, reason: NackReason, now: Now) -> Answer {
        self.shared.stats.count_refusal(reason);
        if reason.is_garbage() {
            self.note_garbage(peer, now.monotonic_ns);
        }
        let mut reply = self.reply(Template::Nack, asked, now);
        reply.reason = reason as u8;
        reply.retry_after_ms = self.retry_after_ms(peer, asked.producer_id, now.monotonic_ns);
        self.answer(peer, reply)
    }

    /// Garbage is charged to the connection, and to the producer whose session it carries: a
    /// stranger cannot lock out a producer by merely naming it.
    fn note_garbage(&mut self, peer: usize, now_ns: u64) {
        let state = self.peers.get(peer);
        if !state.garbage.strike(now_ns) {
            return;
        }
        state.quarantined_until_ns = now_ns + self.plan.quarantine_ns;
        count(&self.shared.stats.peer_quarantined);
        if let Some(producer) = state.session.as_ref().map(|session| session.producer) {
            self.quarantine_producer(producer, now_ns);
        }
    }

    fn retry_after_ms(&mut self, peer: usize, producer_id: u16, now_ns: u64) -> u32 {
        let of_peer = self.peers.get(peer).quarantined_until_ns;
        let of_producer = self
            .producer_index(producer_id)
            .map_or(0, |producer| self.producers[producer].quarantined_until_ns);
        let left_ns = of_peer.max(of_producer).saturating_sub(now_ns);
        u32::try_from(left_ns.div_ceil(1_000_000)).unwrap_or(u32::MAX)
    }

    fn reply(&self, template: Template, asked: Asked, now: Now) -> ReplyFrame {
        ReplyFrame {
            head: Head::new(template, asked.producer_id, asked.epoch, asked.seq),
            t_receive_ns: now.monotonic_ns,
            t_send_ns: now.monotonic_ns,
            echo_t_send_ns: asked.t_send_ns,
            current_slot: self.shared.current_slot.load(Relaxed),
            signal_id: asked.signal_id,
            max_notional_lamports: 0,
            expires_monotonic_ns: 0,
            ring_free_count: u32::try_from(self.ring.slots()).unwrap_or(u32::MAX),
            retry_after_ms: 0,
            reason: 0,
            reserved: [0; 47],
            mac: [0; MAC_LEN],
        }
    }

    /// Seals the reply with the session's key; without a session its MAC stays zero.
    fn answer(&mut self, peer: usize, reply: ReplyFrame) -> Answer {
        let keys = self.peers.get(peer).answer_keys(reply.head.session_epoch);
        let sealed = keys.map_or(reply, |keys| reply.sealed(&keys.executor));
        to_answer(&sealed)
    }
}

fn to_answer(frame: &impl Frame) -> Answer {
    let mut answer = [0; FRAME_LEN];
    answer.copy_from_slice(frame.as_bytes());
    answer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::tests::TempDir;
    use crate::key::SharedKey;
    use brain_wire::{Family, FamilySet, Grant, Rules, Side};

    const KEY: [u8; 32] = [6; 32];
    const START: Now = Now {
        monotonic_ns: 1 << 40,
        realtime_ns: 1_800_000_000_000_000_000,
    };

    /// A desk under a virtual clock, and the core's end of its ring.
    struct Rig {
        desk: Desk,
        ring: rtrb::Consumer<ArmedSignal>,
        now: Now,
        dir: TempDir,
    }

    impl Rig {
        fn new(entropy: Entropy) -> Self {
            let dir = TempDir::new("desk");
            let grant = Grant {
                families: FamilySet::ALL,
                max_notional_lamports: 1_000,
            };
            let keys = vec![SharedKey::from_bytes(KEY)];
            let producer = ProducerPlan {
                id: 1,
                keys,
                grant,
                rate_per_second: 500,
                rate_burst: 100,
            };
            let plan = DeskPlan {
                rules: Rules::default(),
                garbage_max: u32::MAX,
                garbage_window_ns: 10_000_000_000,
                quarantine_ns: 1,
                producers: vec![producer],
            };
            let (producer, ring) = rtrb::RingBuffer::new(8);
            let epochs = EpochStore::open(&dir.path().join("epoch")).unwrap();
            let desk = Desk::new(plan, producer, epochs, entropy, Arc::default(), START);
            Self {
                desk,
                ring,
                now: START,
                dir,
            }
        }

        fn hello(&mut self, peer: &[u8]) -> Result<(u64, SessionKeys), NackReason> {
            let hello = HelloFrame {
                head: Head::new(Template::Hello, 1, 0, 0),
                t_event_ns: 0,
                t_send_ns: 0,
                nonce: [1; 16],
                version_min: 1,
                version_max: 9,
                reserved: [0; 76],
                mac: [0; MAC_LEN],
            }
            .sealed(&HelloKey::derive(&KEY, 1).0);
            let answer = self.desk.handle(peer, hello.as_bytes(), 1, self.now);
            match Message::parse(&answer).unwrap() {
                Message::HelloAck(ack) => {
                    let epoch = ack.head.session_epoch;
                    let keys = SessionKeys::derive(&KEY, 1, &[1; 16], &ack.challenge, epoch);
                    assert!(keys.executor.verify(&answer));
                    Ok((epoch, keys))
                }
                Message::Nack(reply) => Err(NackReason::from_byte(reply.reason).unwrap()),
                other => panic!("{other:?}"),
            }
        }

        fn ask(&mut self, peer: &[u8], bytes: &[u8]) -> Result<(), NackReason> {
            let answer = self.desk.handle(peer, bytes, 1, self.now);
            match Message::parse(&answer).unwrap() {
                Message::Ack(_) | Message::Pong(_) => Ok(()),
                Message::Nack(reply) => Err(NackReason::from_byte(reply.reason).unwrap()),
                other => panic!("{other:?}"),
            }
        }

        fn sell(&self, epoch: u64, keys: &SessionKeys, seq: u64) -> SignalFrame {
            Signal {
                producer_id: 1,
                session_epoch: epoch,
                seq,
                flags: SignalFlags::SAME_HOST_CLOCK,
                t_event_ns: self.now.realtime_ns,
                t_send_ns: self.now.monotonic_ns,
                ttl_us: 1_000,
                source_id: 0,
                family: Family::Whale,
                side: Side::Sell,
                as_of_slot: 0,
                mint: [1; 32],
                conviction_ppm: 0,
                confidence_ppm: 1_000_000,
                max_notional_lamports: 0,
                max_slippage_bps: 0,
                expected_edge_bps: 0,
                evidence_id: [0; 16],
                signal_id: seq,
            }
            .frame()
            .sealed(&keys.brain)
        }
    }

    fn counter() -> Entropy {
        let mut count = 0_u8;
        Box::new(move |bytes| {
            count = count.wrapping_add(1);
            bytes.fill(count);
            true
        })
    }

    /// Goal: no change of a sealed signal arms anything or uses up its sequence number.
    /// Method: every bit of one frame, then the frame itself.
    #[test]
    fn no_mutated_frame_arms_anything() {
        let mut rig = Rig::new(counter());
        let (epoch, keys) = rig.hello(b"a").unwrap();
        let good = rig.sell(epoch, &keys, 1);
        for bit in 0..FRAME_LEN * 8 {
            let mut bytes = good.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(rig.ask(b"a", &bytes).is_err(), "bit {bit}");
        }
        assert_eq!(rig.ring.slots(), 0);
        assert_eq!(rig.ask(b"a", good.as_bytes()), Ok(()));
        assert_eq!(rig.ring.pop().unwrap().signal.seq, 1);
    }

    #[test]
    fn a_session_belongs_to_its_connection() {
        let mut rig = Rig::new(counter());
        let (epoch, keys) = rig.hello(b"a").unwrap();
        let frame = rig.sell(epoch, &keys, 1);
        assert_eq!(rig.ask(b"b", frame.as_bytes()), Err(NackReason::NoSession));
        rig.hello(b"b").unwrap();
        assert_eq!(
            rig.ask(b"b", frame.as_bytes()),
            Err(NackReason::WrongSession)
        );
        assert_eq!(rig.ask(b"a", frame.as_bytes()), Ok(()));
    }

    #[test]
    fn of_two_handshakes_the_newer_wins_whatever_the_order_of_proof() {
        for newer_first in [false, true] {
            let mut rig = Rig::new(counter());
            let (old_epoch, old_keys) = rig.hello(b"old").unwrap();
            let (new_epoch, new_keys) = rig.hello(b"new").unwrap();
            let old = rig.sell(old_epoch, &old_keys, 1);
            let new = rig.sell(new_epoch, &new_keys, 2);
            if newer_first {
                assert_eq!(rig.ask(b"new", new.as_bytes()), Ok(()));
                assert_eq!(
                    rig.ask(b"old", old.as_bytes()),
                    Err(NackReason::WrongSession)
                );
            } else {
                assert_eq!(rig.ask(b"old", old.as_bytes()), Ok(()));
                assert_eq!(rig.ask(b"new", new.as_bytes()), Ok(()));
            }
            let old = rig.sell(old_epoch, &old_keys, 3);
            assert_eq!(rig.ask(b"old", old.as_bytes()), Err(NackReason::NoSession));
            let new = rig.sell(new_epoch, &new_keys, 4);
            assert_eq!(rig.ask(b"new", new.as_bytes()), Ok(()));
        }
    }

    #[test]
    fn hellos_are_limited_and_need_randomness_and_a_disk() {
        let mut rig = Rig::new(counter());
        let opened = (0..40).filter(|_| rig.hello(b"a").is_ok()).count();
        assert_eq!(opened, HELLO_RATE.1 as usize);
        assert_eq!(rig.hello(b"a").map(drop), Err(NackReason::RateLimited));
        rig.now.monotonic_ns += 1_000_000_000;
        assert!(rig.hello(b"a").is_ok());
        std::fs::remove_dir_all(rig.dir.path()).unwrap();
        assert_eq!(rig.hello(b"a").map(drop), Err(NackReason::EpochNotDurable));
        let mut dry = Rig::new(Box::new(|_| false));
        assert_eq!(dry.hello(b"a").map(drop), Err(NackReason::EpochNotDurable));
    }

    /// Goal: over a second no more signals pass than the bucket allows, and those refused were
    /// refused for their rate.
    #[test]
    fn a_flood_gets_the_burst_and_the_rate() {
        let mut rig = Rig::new(counter());
        let (epoch, keys) = rig.hello(b"a").unwrap();
        let mut accepted = 0;
        for seq in 1..=2_000 {
            rig.now.monotonic_ns += 500_000;
            let frame = rig.sell(epoch, &keys, seq);
            match rig.ask(b"a", frame.as_bytes()) {
                Ok(()) => accepted += 1,
                Err(reason) => assert_eq!(reason, NackReason::RateLimited),
            }
            let _ = rig.ring.pop();
        }
        assert!((599..=600).contains(&accepted), "{accepted}");
    }
}
