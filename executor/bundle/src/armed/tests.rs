#![allow(clippy::unwrap_used)]
use std::collections::HashSet;
use std::ops::ControlFlow;

use proptest::prelude::*;

use super::*;
use crate::signer::{Live, ThrowAway};
use crate::signing::{Signing, Way};

const PREFIX: [u8; 200] = [0x5a; 200];
const TEMPLATE: TemplateIndex = TemplateIndex(0);

/// A generator that is broken: it gives the same bytes for ever.
struct Stuck;

impl entropy::sealed::Sealed for Stuck {}

impl Entropy for Stuck {
    fn fill(&mut self, bytes: &mut [u8; 32]) -> Result<(), EntropyFailed> {
        bytes.fill(4);
        Ok(())
    }
}

/// A generator that gives nothing after the start.
struct Exhausted {
    left: usize,
}

impl entropy::sealed::Sealed for Exhausted {}

impl Entropy for Exhausted {
    fn fill(&mut self, bytes: &mut [u8; 32]) -> Result<(), EntropyFailed> {
        self.left = self.left.checked_sub(1).ok_or(EntropyFailed)?;
        bytes.fill(self.left as u8);
        Ok(())
    }
}

fn signer() -> Signer<ThrowAway> {
    Signer::from_seed(&[9; 32]).unwrap()
}

/// Both halves for the key of [`signer`], or `None`, said aloud, where the host protects no memory.
fn halves_with(entropy: impl Entropy, process: Process) -> Option<(Armed, Arming)> {
    match halves_in(
        process,
        signer().pair(),
        entropy,
        &[&PREFIX, &[0x5a], &[]],
        &Arc::default(),
    ) {
        Err(ArmError::MemoryUnprotected) => {
            eprintln!("skipped: this host locks no memory (ulimit -l) or wipes no page on fork");
            None
        }
        halves => Some(halves.unwrap()),
    }
}

fn start() -> Option<(Armed, Arming)> {
    halves_with(OsEntropy, Process::start().unwrap())
}

fn message(number: u64, len: usize) -> Vec<u8> {
    let mut message = PREFIX.to_vec();
    message.extend_from_slice(&number.to_le_bytes());
    message.resize(len, 0xee);
    message
}

#[track_caller]
fn verify(message: &[u8], signature: &[u8; 64]) {
    VerifyingKey::from_bytes(signer().public_key())
        .unwrap()
        .verify_strict(message, &Signature::from_bytes(signature))
        .unwrap();
}

#[test]
fn armed_signatures_of_any_length_pass_a_strict_verifier() {
    let Some((mut armed, mut arming)) = start() else {
        return;
    };
    for len in (208..=MESSAGE_LEN_MAX).step_by(41).chain([MESSAGE_LEN_MAX]) {
        for template in [TEMPLATE, TemplateIndex(1)] {
            while arming.level(template) == 0 {
                arming.poll().unwrap();
            }
            let message = message(len as u64, len);
            verify(&message, &armed.sign(&message, template).unwrap().unwrap());
        }
    }
    // A message without the prefix, even a short one, is signed as well, from the start of the hash.
    for message in [&b"short"[..], b"", &[1; 300]] {
        while arming.level(TEMPLATE) == 0 {
            arming.poll().unwrap();
        }
        verify(message, &armed.sign(message, TEMPLATE).unwrap().unwrap());
    }
    // 64 bytes of R and A and 200 of prefix hold two blocks of 128.
    assert_eq!(arming.absorbed_len(TEMPLATE), 256);
    assert_eq!(arming.absorbed_len(TemplateIndex(1)), 0);
}

#[test]
fn what_cannot_be_signed_ahead_is_left_to_the_deterministic_way() {
    let Some((mut armed, mut arming)) = start() else {
        return;
    };
    assert_eq!(armed.sign(b"dry", TEMPLATE), Ok(None));
    while arming.poll().unwrap() != 0 {}
    assert_eq!(arming.level(TEMPLATE), pool::SLOT_COUNT);
    assert_eq!(
        armed.sign(&message(1, MESSAGE_LEN_MAX + 1), TEMPLATE),
        Ok(None)
    );
    for absent in [2, 3, 255] {
        assert_eq!(armed.sign(b"no pool", TemplateIndex(absent)), Ok(None));
        assert_eq!(arming.level(TemplateIndex(absent)), 0);
    }
    // Nothing is verified meanwhile: the ring fills, and then nothing is signed armed though nonces wait.
    for number in 0..UNVERIFIED_COUNT_MAX {
        let template = TemplateIndex(number as u8 % 2);
        assert!(
            armed
                .sign(&message(number as u64, 300), template)
                .unwrap()
                .is_some()
        );
    }
    assert!(arming.level(TEMPLATE) > 0);
    assert_eq!(armed.sign(&message(99, 300), TEMPLATE), Ok(None));
    arming.poll().unwrap();
    assert!(armed.sign(&message(99, 300), TEMPLATE).unwrap().is_some());
}

/// Goal: when the thread that verifies has ended, nothing unverified leaves, although nonces still wait.
#[test]
fn without_its_verifier_nothing_is_signed_ahead() {
    let Some((mut armed, mut arming)) = start() else {
        return;
    };
    while arming.poll().unwrap() != 0 {}
    assert!(armed.sign(&message(1, 300), TEMPLATE).unwrap().is_some());
    drop(arming);
    assert_eq!(armed.sign(&message(2, 300), TEMPLATE), Ok(None));
}

/// Goal: a stack is swapped and dumped like any memory: no nonce that waits can be read off it.
#[test]
fn making_nonces_leaves_none_on_the_stack() {
    use crate::locked::residue::{holds, left_on_the_stack_by};
    let Some((armed, mut arming)) = start() else {
        return;
    };
    let left = left_on_the_stack_by(|| {
        for _ in 0..5 {
            arming.poll().unwrap();
        }
    });
    let taker = |index: usize| &armed.magazines[index].as_ref().unwrap().taker;
    let secrets = [taker(0).waiting_secrets(), taker(1).waiting_secrets()].concat();
    assert_eq!(secrets.len(), 5);
    for secret in &secrets {
        assert!(!holds(&left, secret));
    }
}

#[test]
fn an_exhausted_generator_leaves_the_pool_dry() {
    let exhausted = Exhausted { left: 4 };
    let Some((mut armed, mut arming)) = halves_with(exhausted, Process::start().unwrap()) else {
        return;
    };
    // One drawing went to the start.
    assert_eq!((0..9).map(|_| arming.poll().unwrap()).sum::<usize>(), 3);
    for number in 0..3 {
        let template = TemplateIndex(u8::from(number == 1));
        assert!(
            armed
                .sign(&message(number, 300), template)
                .unwrap()
                .is_some()
        );
    }
    assert_eq!(armed.sign(&message(3, 300), TEMPLATE), Ok(None));
}

/// Goal: a broken generator alone gives no nonce twice; a second start that repeats the first in everything,
/// as a restored snapshot would, is stopped by the set of released commitments.
#[test]
fn a_repeated_start_is_halted_by_the_commitments_released_before() {
    let process = || Process {
        boot_id: [b'0'; 36],
        pid: std::process::id(),
        generation: 77,
        clocks: || Clocks::of(1, 2),
    };
    let Some((mut armed, mut arming)) = halves_with(Stuck, process()) else {
        return;
    };
    let mut released = Vec::new();
    for number in 0..20 {
        while arming.level(TEMPLATE) == 0 {
            arming.poll().unwrap();
        }
        released.push(
            armed
                .sign(&message(number, 300), TEMPLATE)
                .unwrap()
                .unwrap(),
        );
    }
    let commitments: HashSet<_> = released.iter().map(|signature| &signature[..32]).collect();
    assert_eq!(commitments.len(), released.len());

    let (mut again, mut arming) = halves_with(Stuck, process()).unwrap();
    for signature in &released {
        again.remember(signature);
    }
    while arming.level(TEMPLATE) == 0 {
        arming.poll().unwrap();
    }
    assert_eq!(
        again.sign(&message(100, 300), TEMPLATE),
        Err(Halted::NonceSeen)
    );
    assert!(
        again.magazines[0]
            .as_ref()
            .unwrap()
            .taker
            .idle_slots_are_wiped()
    );
    assert_eq!(arming.poll(), Err(Halted::NonceSeen));
}

/// Goal: what `draw` promises of each of its inputs: changing one alone changes the nonce.
#[test]
fn every_input_of_a_nonce_counts() {
    let process = |boot: u8, pid_offset: u32, generation| Process {
        boot_id: [boot; 36],
        pid: std::process::id() + pid_offset,
        generation,
        clocks: || Clocks::of(1, 2),
    };
    let at = |clocks| Process {
        clocks,
        ..process(1, 0, 5)
    };
    let first = |entropy: Box<dyn Entropy>, process, seed: u8| {
        struct Boxed(Box<dyn Entropy>);
        impl entropy::sealed::Sealed for Boxed {}
        impl Entropy for Boxed {
            fn fill(&mut self, bytes: &mut [u8; 32]) -> Result<(), EntropyFailed> {
                self.0.fill(bytes)
            }
        }
        let signer = Signer::<ThrowAway>::from_seed(&[seed; 32]).unwrap();
        let (_, mut arming) = halves_in(
            process,
            signer.pair(),
            Boxed(entropy),
            &[&[1]],
            &Arc::default(),
        )
        .ok()?;
        Some([
            arming.draw().unwrap().to_bytes(),
            arming.draw().unwrap().to_bytes(),
        ])
    };
    let Some(base) = first(Box::new(Stuck), process(1, 0, 5), 9) else {
        eprintln!("skipped: this host locks no memory");
        return;
    };
    assert_eq!(first(Box::new(Stuck), process(1, 0, 5), 9), Some(base));
    let others = [
        first(Box::new(Stuck), process(2, 0, 5), 9),
        first(Box::new(Stuck), process(1, 1, 5), 9),
        first(Box::new(Stuck), process(1, 0, 6), 9),
        first(Box::new(Stuck), process(1, 0, 5), 8),
        first(Box::new(SeededEntropy::new(1)), process(1, 0, 5), 9),
        first(Box::new(SeededEntropy::new(2)), process(1, 0, 5), 9),
        // Copies of one machine: all is equal but the moment, on either clock.
        first(Box::new(Stuck), at(|| Clocks::of(2, 2)), 9),
        first(Box::new(Stuck), at(|| Clocks::of(1, 3)), 9),
        first(Box::new(SeededEntropy::new(1)), at(|| Clocks::of(2, 2)), 9),
    ];
    let all: Vec<_> = others
        .into_iter()
        .flatten()
        .chain([base])
        .flatten()
        .collect();
    let distinct: HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), 20);
}

/// Goal: signatures seen outside are believed only when they verify; a second one over a known nonce halts.
#[test]
fn what_is_seen_outside_is_verified_before_it_counts() {
    let Some((mut armed, mut arming)) = start() else {
        return;
    };
    let sign = |message: &[u8]| signer().sign(message);
    let earlier = sign(b"before this start");
    assert_eq!(arming.witness(b"before this start", &earlier), Ok(true));
    assert_eq!(arming.witness(b"before this start", &earlier), Ok(true));
    let mut copied = [7; 64];
    copied[..32].copy_from_slice(&earlier[..32]);
    assert_eq!(arming.witness(b"an attacker's", &copied), Ok(false));
    let counters = *arming.counters();
    assert_eq!(
        (counters.outside_verified, counters.outside_refused),
        (2, 1)
    );

    // What another machine would do with the nonces of this one.
    let mut twin = Process::start().unwrap();
    twin.generation = 1 << 40;
    twin.clocks = || Clocks::of(1, 2);
    let twin = || Process { ..twin };
    let Some((mut one, mut one_arming)) = halves_with(Stuck, twin()) else {
        return;
    };
    let (mut two, mut two_arming) = halves_with(Stuck, twin()).unwrap();
    one_arming.poll().unwrap();
    two_arming.poll().unwrap();
    let (first, second) = (message(1, 300), message(2, 300));
    let of_one = one.sign(&first, TEMPLATE).unwrap().unwrap();
    let of_two = two.sign(&second, TEMPLATE).unwrap().unwrap();
    assert_eq!(of_one[..32], of_two[..32]);
    assert_eq!(one_arming.poll().map(|_| ()), Ok(()));
    assert_eq!(one_arming.counters().signature_verified, 1);
    assert_eq!(one_arming.witness(&second, &of_two), Err(Halted::NonceSeen));
    assert_eq!(one_arming.poll(), Err(Halted::NonceSeen));
    // The other world has a halt of its own here, and goes on.
    arming.poll().unwrap();
    assert!(armed.sign(&first, TEMPLATE).unwrap().is_some());
}

#[test]
fn what_falls_back_is_counted_by_its_reason() {
    let Some((mut armed, mut arming)) = start() else {
        return;
    };
    assert_eq!(arming.levels(), Some((0, 0)));
    assert_eq!(armed.sign(&message(1, 300), TEMPLATE), Ok(None));
    assert_eq!(armed.sign(&message(1, 300), TemplateIndex(2)), Ok(None));
    let long = message(1, MESSAGE_LEN_MAX + 1);
    assert_eq!(armed.sign(&long, TEMPLATE), Ok(None));
    while arming.poll().unwrap() != 0 {}
    assert_eq!(arming.levels(), Some((POOL_LEN, POOL_LEN)));
    assert_eq!(arming.counters().nonce_made, 2 * POOL_LEN as u64);
    drop(arming);
    assert_eq!(armed.sign(&message(1, 300), TEMPLATE), Ok(None));
    assert_eq!(armed.fallbacks(), &[1, 1, 1, 1]);
}

#[test]
fn a_planted_failure_halts_as_a_real_one_does() {
    let Some((mut armed, mut arming)) = start() else {
        return;
    };
    arming.plant_verification_failure();
    arming.poll().unwrap();
    armed.sign(&message(1, 300), TEMPLATE).unwrap().unwrap();
    assert_eq!(arming.poll(), Err(Halted::VerificationFailed));
    assert_eq!(armed.halt.check(), Err(Halted::VerificationFailed));
}

/// Goal: the two halves on two threads, as in use.
#[test]
fn two_threads_never_share_a_nonce() {
    let Some((mut armed, mut arming)) = start() else {
        return;
    };
    let halt = Arc::clone(&armed.halt);
    let signed = std::thread::scope(|scope| {
        scope.spawn(|| while arming.poll().is_ok() {});
        let mut signed = Vec::new();
        while signed.len() < 600 {
            armed.halt.check().unwrap();
            let message = message(signed.len() as u64, 260);
            if let Some(signature) = armed.sign(&message, TEMPLATE).unwrap() {
                signed.push((message, signature));
            }
        }
        halt.raise(Halted::Forked);
        signed
    });
    let mut commitments = HashSet::new();
    for (message, signature) in &signed {
        verify(message, signature);
        assert!(commitments.insert(&signature[..32]));
    }
    assert!(
        armed.magazines[0]
            .as_mut()
            .unwrap()
            .taker
            .idle_slots_are_wiped()
    );
}

/// Goal: a real child of a real fork finds no nonces, no multiples of the secret, and signs nothing.
#[test]
fn a_forked_child_signs_nothing() {
    let Some((armed, mut arming)) = start() else {
        return;
    };
    let mut armed = Some(armed);
    while arming.poll().unwrap() != 0 {}
    let message = message(1, 300);
    // SAFETY: the child runs code that takes no lock and no heap, and leaves at once.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let armed = armed.as_mut().unwrap();
        let refused = armed.sign(&message, TEMPLATE) == Err(Halted::Forked)
            && armed.magazines[0].as_mut().unwrap().taker.take().is_none()
            && armed.secret.get().respond(&[0; 4], &[3; 8]) == [0; 4]
            && arming.poll() == Err(Halted::Forked);
        // SAFETY: `_exit` ends the child.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call, `child` is ours.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0, "the child could sign");
    let signature = armed.unwrap().sign(&message, TEMPLATE).unwrap().unwrap();
    verify(&message, &signature);
}

/// Goal: a nonce is not a value to be had twice. Fails to compile when it becomes `Clone`.
#[test]
fn a_nonce_cannot_be_copied() {
    trait AmbiguousIfClone<A> {
        fn resolve() {}
    }
    impl<T: ?Sized> AmbiguousIfClone<()> for T {}
    impl<T: Clone> AmbiguousIfClone<u8> for T {}
    <pool::Nonce<'static> as AmbiguousIfClone<_>>::resolve();
}

#[test]
fn an_operators_key_takes_the_kernels_randomness_and_a_proof() {
    let signer = Signer::<Live>::from_bytes(&[9; 32]).unwrap();
    let statement = SnapshotStatement {
        armed_nonces: true,
        snapshots_excluded: true,
    };
    let proof = SnapshotsExcluded::establish(statement, HostKind::Unknown).unwrap();
    match Signing::armed(signer, proof, OsEntropy, &[&PREFIX]) {
        Err(ArmError::MemoryUnprotected) => eprintln!("skipped: this host locks no memory"),
        halves => {
            let (mut signing, mut arming) = halves.unwrap();
            let message = message(1, 300);
            let (signature, way) = signing.sign(&message, TEMPLATE).unwrap();
            assert_eq!(way, Way::Deterministic, "dry");
            verify(&message, &signature);
            while arming.level(TEMPLATE) == 0 {
                arming.poll().unwrap();
            }
            let (signature, way) = signing.sign(&message, TEMPLATE).unwrap();
            assert_eq!(way, Way::Armed);
            verify(&message, &signature);
            assert_eq!(signing.counts(), &[1, 0, 1]);
        }
    }
}

/// What can happen, in any order.
#[derive(Clone, Copy, Debug)]
enum Happening {
    /// One turn of the arming thread.
    Arm,
    /// A trigger.
    Sign,
    /// A trigger that dies between taking the nonce and sending: the nonce must burn.
    Fail,
    /// A bit of a signature flips on its way to verification.
    Fault,
    /// This process becomes the child of a fork.
    Fork,
    /// The process ends and starts again.
    Restart,
}

const HAPPENINGS: [Happening; 6] = [
    Happening::Arm,
    Happening::Sign,
    Happening::Fail,
    Happening::Fault,
    Happening::Fork,
    Happening::Restart,
];

/// The two halves beside what is known of them: a few counters.
struct World {
    armed: Armed,
    arming: Arming,
    broken_generator: bool,
    /// Nonces that wait, as counted here.
    waiting: usize,
    unverified: usize,
    fault_waits: bool,
    halted: Option<Halted>,
    /// Commitments of every signature of every start.
    seen: HashSet<[u8; 32]>,
    signed: u64,
}

impl World {
    fn new(broken_generator: bool) -> Option<Self> {
        let (armed, arming) = Self::halves(broken_generator)?;
        Some(Self {
            armed,
            arming,
            broken_generator,
            waiting: 0,
            unverified: 0,
            fault_waits: false,
            halted: None,
            seen: HashSet::new(),
            signed: 0,
        })
    }

    fn halves(broken_generator: bool) -> Option<(Armed, Arming)> {
        let process = Process::start().unwrap();
        let pair = signer();
        let halt = Arc::default();
        if broken_generator {
            halves_in(process, pair.pair(), Stuck, &[&PREFIX], &halt).ok()
        } else {
            halves_in(process, pair.pair(), OsEntropy, &[&PREFIX], &halt).ok()
        }
    }

    fn step(&mut self, happening: Happening) {
        match happening {
            Happening::Arm => self.arm(),
            Happening::Sign => self.sign(),
            Happening::Fail => {
                if let Some(nonce) = self.armed.magazines[0].as_mut().unwrap().taker.take() {
                    let burnt = nonce.commitment();
                    drop(nonce);
                    assert!(self.seen.insert(burnt), "a nonce came up twice");
                    self.waiting -= 1;
                }
            }
            Happening::Fault => {
                if let Ok(mut chunk) = self.armed.unverified.write_chunk(1) {
                    chunk.as_mut_slices().0[0].set(b"message", &[1; 64]);
                    chunk.commit_all();
                    self.unverified += 1;
                    self.fault_waits = true;
                }
            }
            Happening::Fork => {
                self.armed.magazines[0]
                    .as_mut()
                    .unwrap()
                    .taker
                    .wipe_as_a_fork_would();
                self.waiting = 0;
                self.halted = self.halted.or(Some(Halted::Forked));
            }
            Happening::Restart => {
                let seen = core::mem::take(&mut self.seen);
                let signed = self.signed;
                *self = Self::new(self.broken_generator).unwrap();
                self.seen = seen;
                self.signed = signed;
            }
        }
        assert!(
            self.armed.magazines[0]
                .as_mut()
                .unwrap()
                .taker
                .idle_slots_are_wiped()
        );
        assert_eq!(self.arming.level(TEMPLATE), self.waiting);
    }

    fn arm(&mut self) {
        let outcome = self.arming.poll();
        if let Some(halted) = self.halted {
            // The first to notice says why; a fault that waits may be found before the fork is.
            assert!(
                outcome == Err(halted)
                    || self.fault_waits && outcome == Err(Halted::VerificationFailed),
                "{outcome:?} after {halted:?}"
            );
            self.halted = outcome.err();
        } else if self.fault_waits && self.unverified <= VERIFIED_PER_POLL_MAX {
            assert_eq!(outcome, Err(Halted::VerificationFailed));
            self.halted = Some(Halted::VerificationFailed);
        } else if outcome.is_err() {
            // The fault stood within the first few of a longer queue.
            assert!(self.fault_waits, "{outcome:?}");
            self.halted = Some(Halted::VerificationFailed);
        } else {
            self.unverified -= self.unverified.min(VERIFIED_PER_POLL_MAX);
            self.waiting = (self.waiting + 1).min(pool::SLOT_COUNT);
        }
    }

    fn sign(&mut self) {
        self.signed += 1;
        let message = message(self.signed, 300);
        // As `Signing::sign` does.
        let outcome = self
            .armed
            .halt
            .check()
            .and_then(|()| self.armed.sign(&message, TEMPLATE));
        match outcome {
            Err(halted) => assert_eq!(Some(halted), self.halted),
            Ok(None) => assert!(
                self.halted.is_none()
                    && (self.waiting == 0 || self.unverified == UNVERIFIED_COUNT_MAX)
            ),
            Ok(Some(signature)) => {
                assert_eq!(self.halted, None);
                verify(&message, &signature);
                let commitment = *signature.first_chunk().unwrap();
                assert!(self.seen.insert(commitment), "a nonce came up twice");
                self.waiting -= 1;
                self.unverified += 1;
            }
        }
    }
}

/// Goal: every order of up to five happenings, not a sample; with a broken generator, the harder case.
#[test]
fn no_order_of_five_happenings_uses_a_nonce_twice() {
    fn explore(path: &mut Vec<Happening>) -> ControlFlow<()> {
        let Some(mut world) = World::new(true) else {
            eprintln!("skipped: this host locks no memory");
            return ControlFlow::Break(());
        };
        path.iter().for_each(|happening| world.step(*happening));
        if path.len() < 5 {
            for next in HAPPENINGS {
                path.push(next);
                explore(path)?;
                path.pop();
            }
        }
        ControlFlow::Continue(())
    }
    let _ = explore(&mut Vec::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Goal: long lives: pools that run full and dry, rings that fill, restarts with a broken generator.
    #[test]
    fn no_interleaving_uses_a_nonce_twice(
        happenings in prop::collection::vec(
            prop_oneof![
                30 => Just(Happening::Arm),
                30 => Just(Happening::Sign),
                5 => Just(Happening::Fail),
                1 => Just(Happening::Fault),
                1 => Just(Happening::Fork),
                3 => Just(Happening::Restart),
            ],
            1..200,
        ),
        broken_generator in any::<bool>(),
    ) {
        if let Some(mut world) = World::new(broken_generator) {
            happenings.into_iter().for_each(|happening| world.step(happening));
        }
    }
}
