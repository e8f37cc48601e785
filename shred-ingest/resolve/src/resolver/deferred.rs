//! Leader signatures that are checked elsewhere.
//!
//! A signature check takes as long as forty shreds. With [`Plan::checks_max`](crate::Plan::checks_max) the first
//! shred of a set opens a version that *awaits* its check: a [`Check`] goes out, further shreds of the set are
//! taken meanwhile as far as their proofs lead to the claimed root, and when the [`Checked`] comes back everything
//! that has become known is told at once, or the version is dropped. Until then it moves no window, makes nothing
//! give way and tells nothing but what an unverified policy asks for.
//!
//! What arrives cannot make the checks pile up: there are so many under way in all, a quarter of them for one
//! source, and two for one set. Beyond that a check is made within the call, unless the source has sent too many
//! forgeries of late: then four a millisecond, and other first shreds are refused. A set has 64 chances to be seen.

use std::collections::VecDeque;

use super::{Arrival, Resolver};
use crate::burst::Shred;
use crate::leader::{Leader, SignatureCheck};
use crate::merkle::Root;
use crate::plan::Policy;
use crate::reject::Reject;
use crate::sink::{Retract, Sink, Verdict};
use crate::version::{NONE, Version};
use shred_wire::shred::{SET_SHREDS, SIGNATURE_LEN};
use shred_wire::{Nanos, SourceId};

/// Versions of one set that may await their check at once.
const AWAITED_PER_SET: usize = 2;
/// One source may have one part in this many of the checks under way.
const SOURCE_SHARE: usize = 4;

/// Forgeries beyond the true sets of a source from which on it is doubted.
const FORGERIES: u8 = 16;
/// Between two checks within the call for a source that is doubted.
const DOUBTED_PACE: u64 = 250_000;

/// What an answer refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket {
    version: u32,
    generation: u32,
    source: SourceId,
}

/// A leader's signature over a set's root, to be checked by a [`Checker`] on whatever thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Check {
    /// For the answer.
    pub ticket: Ticket,
    /// Who should have signed.
    pub leader: [u8; 32],
    /// What.
    pub root: Root,
    /// The signature.
    pub signature: [u8; SIGNATURE_LEN],
}

/// The answer to a [`Check`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checked {
    /// The check's.
    pub ticket: Ticket,
    /// The leader signed the root.
    pub authentic: bool,
}

/// Answers checks. Keeps the leaders' keys unpacked.
pub struct Checker(SignatureCheck);

impl Checker {
    /// One that knows no key yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(SignatureCheck::new())
    }

    /// The answer. Cost: one Ed25519 verification, tens of microseconds.
    pub fn check(&mut self, check: &Check) -> Checked {
        Checked {
            ticket: check.ticket,
            authentic: self.0.verify(&check.leader, &check.root, &check.signature),
        }
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

/// What a version that awaits its check has to remember.
#[derive(Clone, Copy)]
pub(crate) struct Awaited {
    leader: [u8; 32],
    /// The last of its shreds to arrive: what is told later was knowable with it.
    last: Arrival,
    /// What a marker in it voids, should it be authentic.
    retract: Option<Retract>,
}

/// Transactions that were told of a version before its check.
#[derive(Clone, Copy)]
struct ToldEarly {
    ticket: Ticket,
    from: u64,
    to: u64,
}

/// Checks under way.
pub(crate) struct Deferral {
    outgoing: VecDeque<Check>,
    checks_max: usize,
    under_way: usize,
    under_way_of: [u16; 256],
    /// By source: one more for each forged signature, one less for each good one.
    forgeries: [u8; 256],
    /// By source, while it is doubted: no check within the call before this stamp.
    next_check_at: [Nanos; 256],
    /// Tells a version from whatever had its place before.
    generations: Box<[u32]>,
    told: Vec<ToldEarly>,
}

impl Deferral {
    pub(crate) fn new(checks_max: usize, versions_max: usize) -> Self {
        Self {
            outgoing: VecDeque::with_capacity(checks_max),
            checks_max,
            under_way: 0,
            under_way_of: [0; 256],
            forgeries: [0; 256],
            next_check_at: [Nanos(0); 256],
            generations: vec![0; versions_max].into_boxed_slice(),
            // Each shred of an awaited set may tell something.
            told: Vec::with_capacity(checks_max * 2 * SET_SHREDS),
        }
    }

    /// From here on no answer is for the version at `id`.
    pub(super) fn forget(&mut self, id: u32) {
        let generation = &mut self.generations[id as usize];
        *generation = generation.wrapping_add(1);
    }

    fn has_room(&self, source: SourceId) -> bool {
        let share = self.checks_max.div_ceil(SOURCE_SHARE);
        self.under_way < self.checks_max
            && usize::from(self.under_way_of[usize::from(source.0)]) < share
    }

    /// Notes what a check for a source has come to.
    pub(crate) fn note(&mut self, source: SourceId, authentic: bool) {
        let forgeries = &mut self.forgeries[usize::from(source.0)];
        *forgeries = if authentic {
            forgeries.saturating_sub(1)
        } else {
            forgeries.saturating_add(1)
        };
    }

    /// Whether a check for the source of `arrival` may be made within the call.
    pub(crate) fn may_check(&mut self, arrival: Arrival) -> bool {
        let source = usize::from(arrival.source.0);
        if self.forgeries[source] < FORGERIES {
            return true;
        }
        let next = &mut self.next_check_at[source];
        // A stamp far behind is of another clock: it must not put off all checks.
        let is_due = arrival.at >= *next || next.0 - arrival.at.0 > 4 * DOUBTED_PACE;
        if is_due {
            *next = Nanos(arrival.at.0.saturating_add(DOUBTED_PACE));
        }
        is_due
    }

    fn ticket(&self, version: u32, source: SourceId) -> Ticket {
        Ticket {
            version,
            generation: self.generations[version as usize],
            source,
        }
    }

    fn send(&mut self, check: Check) {
        self.under_way += 1;
        self.under_way_of[usize::from(check.ticket.source.0)] += 1;
        self.outgoing.push_back(check);
    }

    fn receive(&mut self, ticket: Ticket) {
        self.under_way = self.under_way.saturating_sub(1);
        let of_source = &mut self.under_way_of[usize::from(ticket.source.0)];
        *of_source = of_source.saturating_sub(1);
    }
}

impl Resolver {
    /// The next signature to be checked elsewhere. None ever come unless
    /// [`Plan::checks_max`](crate::Plan::checks_max) is more than 0.
    #[inline]
    pub fn next_check(&mut self) -> Option<Check> {
        self.deferral.outgoing.pop_front()
    }

    /// Takes the answer to a check, and tells `sink` what it made known. An answer that comes too late, when its
    /// set is forgotten, does nothing but confirm or revoke what was told unverified.
    pub fn checked(&mut self, checked: Checked, sink: &mut impl Sink) {
        let Checked { ticket, authentic } = checked;
        let id = ticket.version;
        self.deferral.receive(ticket);
        self.deferral.note(ticket.source, authentic);
        self.signatures.checked += 1;
        self.counters.signature_checked = self.signatures.checked;
        let is_current = self.deferral.generations.get(id as usize) == Some(&ticket.generation);
        if is_current && !authentic && self.try_other_signature(id) {
            return;
        }
        self.tell_verdicts(ticket, authentic, sink);
        let Some(awaited) = is_current
            .then(|| self.versions[id as usize].awaited.take())
            .flatten()
        else {
            return;
        };
        if !authentic || self.is_fully_versioned(id) {
            self.counters.set_discarded += 1;
            self.discard(id);
            return;
        }
        let version = &mut self.versions[id as usize];
        version.verified = true;
        // Nobody has checked that one.
        version.other_signature = None;
        self.take_awaited(id, &awaited, sink);
    }

    /// The signature that opened version `id` is not the leader's. If another over the same root has been seen
    /// since, that one is checked next: whoever is first to send a shred must not decide about its set.
    fn try_other_signature(&mut self, id: u32) -> bool {
        let version = &mut self.versions[id as usize];
        self.signatures.note_bad(&version.root, &version.signature);
        let (Some(awaited), Some(other)) = (version.awaited, version.other_signature.take()) else {
            return false;
        };
        version.signature = other;
        self.await_check(id, Leader::Identity(awaited.leader), awaited.last);
        true
    }

    /// Everything that waited for the check of version `id` happens.
    fn take_awaited(&mut self, id: u32, awaited: &Awaited, sink: &mut impl Sink) {
        self.counters.set_opened += 1;
        self.settle(id, awaited.retract, sink);
        self.after_authentication(id, awaited.last, sink);
        if self.versions[id as usize].slab == NONE {
            // Authenticated sets needed its place meanwhile.
            return;
        }
        if self.versions[id as usize].is_recoverable() {
            self.recover(id, sink);
        }
        self.note_tail(id);
        self.advance(id, awaited.last, sink);
    }

    /// Whether `leader`'s signature on `shred`, the first of a version, is to be checked elsewhere. If not, within
    /// the call.
    ///
    /// # Errors
    /// [`Reject::ChecksExhausted`]: neither.
    pub(super) fn defers(
        &mut self,
        shred: &Shred<'_, '_>,
        leader: Leader,
        arrival: Arrival,
    ) -> Result<bool, Reject> {
        let is_checked = arrival.policy != Policy::Trusted && matches!(leader, Leader::Identity(_));
        if self.deferral.checks_max == 0 || !is_checked {
            return Ok(false);
        }
        let set = shred.fec_set_index().0 as usize / SET_SHREDS;
        let awaited = self
            .versions_of(shred.slot(), set)
            .filter(|id| self.versions[*id as usize].awaited.is_some())
            .count();
        if awaited < AWAITED_PER_SET && self.deferral.has_room(arrival.source) {
            Ok(true)
        } else if self.deferral.may_check(arrival) {
            Ok(false)
        } else {
            Err(Reject::ChecksExhausted)
        }
    }

    /// Opens a version for a shred whose signature is checked elsewhere, from memory that is free. `None` when
    /// there is none: only an authenticated set makes others give way.
    pub(super) fn open_awaited(
        &mut self,
        shred: &Shred<'_, '_>,
        root: Root,
        leader: Leader,
        arrival: Arrival,
    ) -> Option<u32> {
        let id = self.install(shred, root, false)?;
        self.await_check(id, leader, arrival);
        Some(id)
    }

    /// Sends out the check of version `id`, whose root and signature are known.
    pub(super) fn await_check(&mut self, id: u32, leader: Leader, arrival: Arrival) {
        let Leader::Identity(leader) = leader else {
            return;
        };
        let version = &mut self.versions[id as usize];
        version.awaited = Some(Awaited {
            leader,
            last: arrival,
            retract: version.awaited.and_then(|awaited| awaited.retract),
        });
        let check = Check {
            ticket: self.deferral.ticket(id, arrival.source),
            leader,
            root: version.root,
            signature: version.signature,
        };
        self.deferral.send(check);
    }

    /// Takes one more shred of version `id`, which awaits its check.
    pub(super) fn take_meanwhile(
        &mut self,
        id: u32,
        shred: &Shred<'_, '_>,
        arrival: Arrival,
        sink: &mut impl Sink,
    ) -> Result<(), Reject> {
        self.check_fit(id, shred)?;
        if arrival.policy == Policy::EmitThenVerify {
            return self.take_then_check(id, shred, arrival, sink);
        }
        if !self.admit(id, shred) {
            return Err(Reject::BadMerkleProof);
        }
        self.store(id, shred);
        if arrival.policy == Policy::Trusted {
            self.vouch(id, shred, arrival, sink);
        } else if let Some(awaited) = &mut self.versions[id as usize].awaited {
            awaited.last = arrival;
        }
        Ok(())
    }

    /// A trusted source has sent `shred` of version `id`, which awaits its check: there is nothing to wait for. The
    /// answer will be of a signature that no longer matters.
    fn vouch(&mut self, id: u32, shred: &Shred<'_, '_>, arrival: Arrival, sink: &mut impl Sink) {
        let Some(awaited) = self.versions[id as usize].awaited.take() else {
            return;
        };
        self.tell_verdicts(self.deferral.ticket(id, arrival.source), true, sink);
        let version = &mut self.versions[id as usize];
        version.verified = true;
        version.vouched = true;
        version.signature = *shred.signature();
        version.other_signature = None;
        let last = arrival;
        self.take_awaited(id, &Awaited { last, ..awaited }, sink);
    }

    /// Remembers what was told since `from` of version `id`, whose proofs are right and whose check is awaited.
    pub(super) fn note_told(
        &mut self,
        id: u32,
        from: u64,
        retract: Option<Retract>,
        arrival: Arrival,
    ) {
        let to = self.sequence;
        let Some(awaited) = &mut self.versions[id as usize].awaited else {
            return;
        };
        awaited.last = arrival;
        awaited.retract = awaited.retract.or(retract);
        if from == to {
            return;
        }
        // The source of the ticket does not matter here.
        let ticket = self.deferral.ticket(id, arrival.source);
        match self.deferral.told.last_mut() {
            Some(last) if last.to == from && last.ticket.version == id => last.to = to,
            _ => self.deferral.told.push(ToldEarly { ticket, from, to }),
        }
    }

    fn tell_verdicts(&mut self, ticket: Ticket, authentic: bool, sink: &mut impl Sink) {
        let revoked = &mut self.counters.transaction_revoked;
        self.deferral.told.retain(|told| {
            let is_other = (told.ticket.version, told.ticket.generation)
                != (ticket.version, ticket.generation);
            if !is_other {
                *revoked += if authentic { 0 } else { told.to - told.from };
                sink.verdict(&Verdict {
                    from: told.from,
                    to: told.to,
                    authentic,
                });
            }
            is_other
        });
    }
}

impl Version {
    /// Shreds that carry this signature go to this version: its root is beyond doubt, or will be.
    #[inline]
    pub(crate) fn expects(&self, signature: &[u8; SIGNATURE_LEN]) -> bool {
        (self.awaited.is_some() || self.is_trusted()) && self.signed_by(signature)
    }
}
