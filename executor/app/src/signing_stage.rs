//! What is done of a signature before its trigger, and after it, on a thread off the core: transactions signed ahead,
//! nonces made ahead, and the verification of what was signed with them.
//!
//! ```text
//!          orders              ladders            LadderWorker      (engine)
//!   core ----------> signing ----------> core
//!          signed messages     nonces             Arming            (bundle, feature `armed-nonces`)
//!          ours, unknown       ours, verified     Arming::witness
//! ```
//!
//! A signature of ours that the core does not know of is believed only once it verifies: anybody can write our key and
//! half of a signature into bytes, and would choose what we never sign with.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "armed-nonces")]
use bundle::armed::Arming;
use bundle::{Builder, HaltWatch, Halted};
pub use engine::LadderPlan;
use engine::{Engine, LadderWorker, Ticks, ladders};
use risk::{Control, Mode};
use rtrb::{Consumer, Producer, RingBuffer};
use shred_wire::txn::{LEGACY_AND_V0_LEN_MAX, TxnView};

use crate::published::Published;
use crate::stage::{Idle, Seat, Stage};
use crate::topology::{Cell, cells};

/// How long the thread sleeps when there is nothing to do: little beside the life of a blockhash, and a burst of
/// signatures meanwhile finds a pool of nonces each.
pub const SIGNING_IDLE: Idle = Idle::Park(Duration::from_micros(500));

/// What is to be done ahead, and where.
pub struct SigningAhead {
    /// Where the thread runs.
    pub seat: Seat,
    /// Transactions signed ahead, if any are.
    pub ladders: Option<LadderPlan>,
    /// Makes nonces for the pipeline's builder, if it signs with such.
    #[cfg(feature = "armed-nonces")]
    pub arming: Option<Arming>,
}

impl SigningAhead {
    /// Nothing: every signature is made at its trigger.
    #[must_use]
    pub const fn nothing() -> Self {
        Self {
            seat: Seat {
                cpu: None,
                idle: SIGNING_IDLE,
            },
            ladders: None,
            #[cfg(feature = "armed-nonces")]
            arming: None,
        }
    }

    /// Transactions for coins known beforehand.
    #[must_use]
    pub fn presigning(plan: LadderPlan) -> Self {
        Self {
            ladders: Some(plan),
            ..Self::nothing()
        }
    }
}

/// A transaction that pays from our account and that the core does not know of.
#[cfg_attr(not(feature = "armed-nonces"), allow(dead_code))]
pub struct OwnSeen {
    len: usize,
    signature: [u8; 64],
    message: [u8; LEGACY_AND_V0_LEN_MAX],
}

impl OwnSeen {
    fn of(txn: &TxnView<'_>) -> Option<Self> {
        let said = txn.message();
        let mut message = [0; LEGACY_AND_V0_LEN_MAX];
        // Longer ones are never signed with a nonce made ahead, so theirs need not be remembered.
        message.get_mut(..said.len())?.copy_from_slice(said);
        Some(Self {
            len: said.len(),
            signature: *txn.signature(),
            message,
        })
    }

    #[cfg(feature = "armed-nonces")]
    fn message(&self) -> &[u8] {
        &self.message[..self.len]
    }
}

/// The core's ends: what it shows, and what comes back. Only where nonces are made ahead; the other ways need no memory.
pub struct OwnRings {
    seen: Producer<OwnSeen>,
    verified: Consumer<[u8; 64]>,
    dropped: u64,
}

impl OwnRings {
    /// Shows a transaction to the signing thread, if `engine` takes it for ours and does not know it. Cost for any other:
    /// a comparison of keys.
    #[inline]
    pub fn look_at<T: Ticks>(&mut self, txn: &TxnView<'_>, engine: &Engine<T>) {
        let payer = txn.keys().first();
        if payer.is_some_and(|payer| engine.is_ours_unknown(payer, txn.signature())) {
            self.show(txn);
        }
    }

    #[cold]
    fn show(&mut self, txn: &TxnView<'_>) {
        if let Some(seen) = OwnSeen::of(txn) {
            self.dropped += u64::from(self.seen.push(seen).is_err());
        }
    }

    /// The next signature that is ours beyond doubt.
    #[inline]
    pub fn next_verified(&mut self) -> Option<[u8; 64]> {
        self.verified.pop().ok()
    }

    /// Transactions said to be ours that the signing thread had no room for.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// Signs ahead, makes nonces, verifies; and when signing halts, halts trading.
pub struct SigningStage {
    ladders: Option<LadderWorker>,
    #[cfg(feature = "armed-nonces")]
    arming: Option<Arming>,
    /// Without nonces made ahead nobody shows anything, and nothing is told.
    #[cfg_attr(not(feature = "armed-nonces"), allow(dead_code))]
    seen: Consumer<OwnSeen>,
    #[cfg_attr(not(feature = "armed-nonces"), allow(dead_code))]
    verified: Producer<[u8; 64]>,
    watch: HaltWatch,
    halted: Option<Halted>,
    control: Arc<Control>,
    #[cfg_attr(not(feature = "armed-nonces"), allow(dead_code))]
    published: Arc<Published>,
}

/// What the core gets of it.
pub(crate) struct SigningEnds<T> {
    pub(crate) engine: Engine<T>,
    pub(crate) stage: Option<(SigningStage, Seat)>,
    pub(crate) own: Option<OwnRings>,
}

/// What a builder signs with, taken before an engine owns it.
pub(crate) struct SigningRoom {
    signer: Option<(bundle::ladder::LadderSigner, LadderPlan)>,
    watch: HaltWatch,
    ahead: SigningAhead,
}

impl SigningRoom {
    pub(crate) fn new(builder: &Builder, ahead: SigningAhead) -> Self {
        Self {
            signer: ahead.ladders.map(|plan| (builder.ladder_signer(), plan)),
            watch: builder.halt_watch(),
            ahead,
        }
    }

    pub(crate) fn watch(&self) -> HaltWatch {
        self.watch.clone()
    }

    /// Joins `engine` to a stage, if there is anything for one to do.
    pub(crate) fn join<T: Ticks>(
        self,
        engine: Engine<T>,
        control: Arc<Control>,
        published: Arc<Published>,
    ) -> SigningEnds<T> {
        let Self {
            signer,
            watch,
            ahead,
        } = self;
        let (engine, worker) = match signer {
            Some((signer, plan)) => {
                let (desk, worker) = ladders(signer, plan);
                (engine.with_ladders(desk), Some(worker))
            }
            None => (engine, None),
        };
        #[cfg(feature = "armed-nonces")]
        let arms = ahead.arming.is_some();
        #[cfg(not(feature = "armed-nonces"))]
        let arms = false;
        if worker.is_none() && !arms {
            return SigningEnds {
                engine,
                stage: None,
                own: None,
            };
        }
        let (seen, seen_out) = RingBuffer::new(cells(Cell::OwnSeen));
        let (verified_in, verified) = RingBuffer::new(cells(Cell::OwnSeen));
        let own = arms.then_some(OwnRings {
            seen,
            verified,
            dropped: 0,
        });
        let stage = SigningStage {
            ladders: worker,
            #[cfg(feature = "armed-nonces")]
            arming: ahead.arming,
            seen: seen_out,
            verified: verified_in,
            watch,
            halted: None,
            control,
            published,
        };
        SigningEnds {
            engine,
            stage: Some((stage, ahead.seat)),
            own,
        }
    }
}

impl SigningStage {
    /// A halt of signing is one of trading: nothing is approved that could not be signed. Nothing lifts it.
    fn follow_halt(&mut self) {
        let reason = self.watch.reason();
        if reason != self.halted {
            self.halted = reason;
            self.control.tighten(Mode::Halted);
        }
    }

    /// Verifies, looks at what was seen outside, makes a nonce.
    #[cfg(feature = "armed-nonces")]
    fn arm(&mut self) -> usize {
        let Some(arming) = &mut self.arming else {
            return 0;
        };
        let mut done = arming.poll().unwrap_or(0);
        if !self.verified.is_full()
            && let Ok(own) = self.seen.pop()
        {
            done += 1;
            if let Ok(true) = arming.witness(own.message(), &own.signature) {
                // There is room, as was just seen; or nobody is left to take it.
                let _ = self.verified.push(own.signature);
            }
        }
        self.published.signing.publish_arming(arming);
        done
    }
}

impl Stage for SigningStage {
    fn poll(&mut self) -> usize {
        let done = self.ladders.as_mut().map_or(0, LadderWorker::poll);
        #[cfg(feature = "armed-nonces")]
        let done = done + self.arm();
        self.follow_halt();
        done
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bundle::{BuilderConfig, Signer, ThrowAway};
    use engine::{EngineConfig, NoTicks};

    use super::*;

    fn engine(builder: Builder) -> (Engine<NoTicks>, Arc<Control>) {
        let control = Arc::new(Control::new(Mode::Active));
        let config = EngineConfig::default();
        let engine = Engine::new(&config, builder, Arc::clone(&control)).unwrap();
        (engine, control)
    }

    fn signer(seed: u8) -> Signer<ThrowAway> {
        Signer::from_seed(&[seed; 32]).unwrap()
    }

    #[test]
    fn without_anything_to_do_ahead_there_is_no_stage() {
        let builder = Builder::new(&BuilderConfig::default(), signer(220)).unwrap();
        let room = SigningRoom::new(&builder, SigningAhead::nothing());
        let (engine, control) = engine(builder);
        let ends = room.join(engine, control, Arc::default());
        assert!(ends.stage.is_none() && ends.own.is_none());
    }

    #[test]
    fn where_only_ladders_are_signed_ahead_nobody_is_shown_anything() {
        let builder = Builder::new(&BuilderConfig::default(), signer(221)).unwrap();
        let ahead = SigningAhead::presigning(LadderPlan::default());
        let room = SigningRoom::new(&builder, ahead);
        let (engine, control) = engine(builder);
        let ends = room.join(engine, Arc::clone(&control), Arc::default());
        let (mut stage, seat) = ends.stage.unwrap();
        assert!(ends.own.is_none());
        assert!(matches!(seat.idle, Idle::Park(_)));
        assert_eq!(stage.poll(), 0, "nothing was ordered");
        assert_eq!(control.mode(), Mode::Active);
    }

    #[cfg(feature = "armed-nonces")]
    mod armed {
        use bundle::host::{HostKind, SnapshotStatement};

        use super::*;
        use crate::config::SigningPlan;
        use crate::signing::{SigningError, open};

        /// The parts of a pipeline that sign, for a key of seed `seed`; `None`, said aloud, where the host locks no
        /// memory.
        fn parts(seed: u8) -> Option<(SigningStage, OwnRings, Engine<NoTicks>, Arc<Control>)> {
            let plan = SigningPlan {
                ladders: None,
                statement: SnapshotStatement {
                    armed_nonces: true,
                    snapshots_excluded: true,
                },
                host: HostKind::Unknown,
            };
            let seat = SigningAhead::nothing().seat;
            let opened = open(&BuilderConfig::default(), signer(seed), &plan, seat);
            let (builder, ahead) = match opened {
                Err(SigningError::Arm(error)) => {
                    eprintln!("skipped: {error}");
                    return None;
                }
                opened => opened.unwrap(),
            };
            let room = SigningRoom::new(&builder, ahead);
            let (engine, control) = engine(builder);
            let ends = room.join(engine, Arc::clone(&control), Arc::default());
            Some((
                ends.stage.unwrap().0,
                ends.own.unwrap(),
                ends.engine,
                control,
            ))
        }

        /// A transaction that pays from `payer`, as it stands in a shred: one instruction without accounts.
        fn transaction(
            payer: &[u8; 32],
            number: u8,
            sign: impl FnOnce(&[u8]) -> [u8; 64],
        ) -> Vec<u8> {
            let mut message = vec![1, 0, 1, 2];
            message.extend_from_slice(payer);
            message.extend_from_slice(&[9; 32]);
            message.extend_from_slice(&[number; 32]);
            message.extend_from_slice(&[1, 1, 0, 0]);
            let signature = sign(&message);
            [&[1], &signature[..], &message].concat()
        }

        /// Goal: a transaction of ours that this process did not make is remembered; one that only says so is not, and
        /// neither is anybody else's looked at.
        #[test]
        fn what_says_it_is_ours_is_believed_once_it_verifies() {
            let Some((mut stage, mut own, engine, _)) = parts(222) else {
                return;
            };
            let ours = *signer(222).public_key();
            let show = |own: &mut OwnRings, bytes: &[u8]| {
                own.look_at(&TxnView::parse(bytes).unwrap(), &engine);
            };
            let counted = |stage: &SigningStage| {
                let counters = stage.arming.as_ref().unwrap().counters();
                (counters.outside_verified, counters.outside_refused)
            };
            let earlier = transaction(&ours, 1, |message| signer(222).sign(message));
            let forged = transaction(&ours, 2, |_| [7; 64]);
            let others = transaction(&[5; 32], 3, |_| [7; 64]);
            for bytes in [&earlier, &forged, &others] {
                show(&mut own, bytes);
            }
            for _ in 0..4 {
                stage.poll();
            }
            assert_eq!(counted(&stage), (1, 1));
            assert_eq!(own.next_verified().unwrap()[..], earlier[1..65]);
            assert_eq!(own.next_verified(), None);
            // More than the ring holds is counted, and nobody waits.
            for number in 0..40 {
                show(&mut own, &transaction(&ours, number, |_| [7; 64]));
            }
            assert_eq!(own.dropped(), 40 - cells(Cell::OwnSeen) as u64);
        }
    }
}
