//! Which venues may be entered: one byte each, which anybody beside the core may set and the gate reads before an entry.
//!
//! A venue is disabled when something says that what we build for it may no longer be what its program expects. Exits
//! are not asked: whoever holds something wants out, and a sale that fails costs its fee.

use core::sync::atomic::{AtomicU8, Ordering};

use market::Mint;
use shred_wire::Nanos;
use strategy::Venue;

/// Why a venue may not be entered. One byte; names metrics, so append, never reorder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Disabled {
    /// It is about to be checked for the first time.
    Unchecked = 1,
    /// What we build failed in a simulation.
    CheckFailed = 2,
    /// Its program was replaced.
    ProgramChanged = 3,
    /// A global, configuration or fee account of it changed.
    TermsChanged = 4,
    /// Our own transactions failed as they do when a layout has moved.
    ErrorsRepeated = 5,
    /// What was known of it before this start cannot be read.
    RecordLost = 6,
}

impl Disabled {
    /// Every one, in the order of the discriminants.
    pub const ALL: [Self; 6] = [
        Self::Unchecked,
        Self::CheckFailed,
        Self::ProgramChanged,
        Self::TermsChanged,
        Self::ErrorsRepeated,
        Self::RecordLost,
    ];

    /// Its name in metrics and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::CheckFailed => "check_failed",
            Self::ProgramChanged => "program_changed",
            Self::TermsChanged => "terms_changed",
            Self::ErrorsRepeated => "errors_repeated",
            Self::RecordLost => "record_lost",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    const fn of_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => return None,
            1 => Self::Unchecked,
            2 => Self::CheckFailed,
            3 => Self::ProgramChanged,
            4 => Self::TermsChanged,
            5 => Self::ErrorsRepeated,
            // A byte that is no reason disables, too.
            _ => Self::RecordLost,
        })
    }
}

/// One byte for each venue. Reading one is one load: no lock, no wait.
#[derive(Debug, Default)]
pub struct Venues([AtomicU8; Venue::COUNT]);

impl Venues {
    /// All of them enabled.
    #[must_use]
    pub const fn new() -> Self {
        Self([const { AtomicU8::new(0) }; Venue::COUNT])
    }

    /// Why `venue` may not be entered; `None` when it may.
    #[inline]
    #[must_use]
    pub fn disabled(&self, venue: Venue) -> Option<Disabled> {
        Disabled::of_byte(self.0[venue as usize].load(Ordering::Acquire))
    }

    /// Disables `venue`; whether it was enabled before, or only unchecked. The first reason stays, unless it was that.
    pub fn disable(&self, venue: Venue, reason: Disabled) -> bool {
        let unchecked = Disabled::Unchecked as u8;
        let cell = &self.0[venue as usize];
        let replace = |byte| (byte == 0 || byte == unchecked).then_some(reason as u8);
        cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, replace)
            .is_ok_and(|before| before != reason as u8)
    }

    /// Enables `venue`, whatever stood against it: the caller decides who may ask for that.
    pub fn enable(&self, venue: Venue) {
        self.0[venue as usize].store(0, Ordering::Release);
    }

    /// Ends [`Disabled::Unchecked`]; any other reason stays.
    pub fn note_checked(&self, venue: Venue) {
        let (unchecked, cell) = (Disabled::Unchecked as u8, &self.0[venue as usize]);
        let _ = cell.compare_exchange(unchecked, 0, Ordering::AcqRel, Ordering::Acquire);
    }
}

/// Custom errors of programs that come when accounts are not where the program looks for them, or not what it takes them
/// for: 2006 is Anchor's `ConstraintSeeds` (anchor-lang `error.rs`), 6000 is `NotAuthorized` and 6062
/// `BuybackFeeRecipientMissing` of Pump, `InvalidPoolV2` of PumpSwap (pump-rust-client 0.5.0 `idls`).
pub const DRIFT_CODES: [u32; 3] = [2_006, 6_000, 6_062];

/// The custom error of a program that `text` speaks of, in any of the forms that nodes, engines and logs use:
/// `custom program error: 0x7d6`, `Custom(2006)`, `{"Custom":2006}`. The first, when there are several: logs name the
/// innermost program first.
///
/// `text` may be anything. Cost: one pass.
#[must_use]
pub fn custom_error(text: &str) -> Option<u32> {
    let lower = "custom program error: ";
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let found = if let Some(after) = rest.strip_prefix(lower.as_bytes()) {
            match after.strip_prefix(b"0x") {
                Some(digits) => number(digits, 16),
                None => number(after, 10),
            }
        } else if let Some(after) = rest.strip_prefix(b"Custom") {
            // JSON within a JSON string has its quotes escaped.
            let after = after.strip_prefix(b"\\").unwrap_or(after);
            let after = after.strip_prefix(b"\"").unwrap_or(after);
            let after = after.trim_ascii_start();
            let after = after.strip_prefix(b"(").or(after.strip_prefix(b":"));
            after.and_then(|digits| number(digits.trim_ascii_start(), 10))
        } else {
            None
        };
        if found.is_some() {
            return found;
        }
        rest = &rest[1..];
    }
    None
}

/// The number that `digits` begins with; `None` when there is none or it passes 32 bits.
fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let values = digits
        .iter()
        .map_while(|&byte| char::from(byte).to_digit(radix));
    let mut found = None;
    for value in values {
        let so_far: u32 = found.unwrap_or_default();
        found = Some(so_far.checked_mul(radix)?.checked_add(value)?);
    }
    found
}

/// How many failures within which time disable a venue. They come from at least two coins: one alone may be its
/// creator's doing, and counts for at most one less than are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FailureLimit {
    /// Failures, 2 to [`FailureLimit::COUNT_MAX`].
    pub count: u8,
    /// The time.
    pub window: Nanos,
}

impl FailureLimit {
    /// Most failures that can be asked for.
    pub const COUNT_MAX: u8 = 16;
}

impl Default for FailureLimit {
    /// Three within a minute.
    fn default() -> Self {
        Self {
            count: 3,
            window: Nanos(60_000_000_000),
        }
    }
}

/// Counts failures of our own transactions by venue and tells when they are too many. Fixed size; time is an argument.
#[derive(Clone, Copy, Debug)]
pub struct Failures {
    limit: FailureLimit,
    recent: [Recent; Venue::COUNT],
}

/// When and in which coins the last failures of a venue were.
type Recent = [Option<(Nanos, Mint)>; FailureLimit::COUNT_MAX as usize];

impl Failures {
    /// None yet. A count outside its bounds is moved to the nearest.
    #[must_use]
    pub fn new(limit: FailureLimit) -> Self {
        let count = limit.count.clamp(2, FailureLimit::COUNT_MAX);
        Self {
            limit: FailureLimit { count, ..limit },
            recent: [[None; _]; Venue::COUNT],
        }
    }

    /// Notes that a transaction of ours in `mint` on `venue` failed with a program's custom error `code`. Whether that was one too
    /// many; then the count begins anew. Codes other than [`DRIFT_CODES`] do not count. Never allocates.
    pub fn note(&mut self, venue: Venue, mint: &Mint, code: u32, now: Nanos) -> bool {
        if !DRIFT_CODES.contains(&code) {
            return false;
        }
        let (limit, recent) = (self.limit, &mut self.recent[venue as usize]);
        let need = usize::from(limit.count);
        for kept in recent.iter_mut() {
            let is_old = |at: Nanos| now.0.saturating_sub(at.0) > limit.window.0;
            if kept.is_some_and(|(at, _)| is_old(at)) {
                *kept = None;
            }
        }
        let is_its = |kept: &Option<(Nanos, Mint)>| kept.is_some_and(|(_, of)| of == *mint);
        let place = if recent.iter().filter(|kept| is_its(kept)).count() + 1 >= need {
            // One coin alone never makes up the number: its own oldest gives way.
            let its = recent.iter_mut().filter(|kept| is_its(kept));
            its.min_by_key(|kept| kept.map(|(at, _)| at))
        } else {
            recent.iter_mut().find(|kept| kept.is_none())
        };
        if let Some(place) = place {
            *place = Some((now, *mint));
        }
        let is_too_many = recent.iter().flatten().count() >= need;
        if is_too_many {
            *recent = [None; _];
        }
        is_too_many
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_reason_stays_until_somebody_enables() {
        let venues = Venues::new();
        assert_eq!(venues.disabled(Venue::PumpV3), None);
        assert!(venues.disable(Venue::PumpV3, Disabled::Unchecked));
        assert!(venues.disable(Venue::PumpV3, Disabled::ProgramChanged));
        assert!(!venues.disable(Venue::PumpV3, Disabled::CheckFailed));
        venues.note_checked(Venue::PumpV3);
        let reason = venues.disabled(Venue::PumpV3);
        assert_eq!(reason, Some(Disabled::ProgramChanged));
        assert_eq!(venues.disabled(Venue::PumpV2), None, "another venue's");
        venues.enable(Venue::PumpV3);
        assert_eq!(venues.disabled(Venue::PumpV3), None);
        venues.disable(Venue::PumpV3, Disabled::Unchecked);
        venues.note_checked(Venue::PumpV3);
        assert_eq!(venues.disabled(Venue::PumpV3), None);
    }

    #[test]
    fn reasons_survive_bytes_and_names_and_an_unknown_byte_disables() {
        for reason in Disabled::ALL {
            assert_eq!(Disabled::of_byte(reason as u8), Some(reason));
            assert_eq!(Disabled::of_name(reason.name()), Some(reason));
        }
        assert_eq!(Disabled::of_byte(77), Some(Disabled::RecordLost));
        assert_eq!(Disabled::of_name("fine"), None);
    }

    #[test]
    fn codes_are_found_in_every_form_and_nothing_else_is() {
        for (text, code) in [
            ("Program X failed: custom program error: 0x7d6", Some(2_006)),
            ("failed: custom program error: 0x17AE.", Some(6_062)),
            ("InstructionError(3, Custom(6000))", Some(6_000)),
            (r#"{"InstructionError":[2,{"Custom":6062}]}"#, Some(6_062)),
            (r#"{"Custom" : 2006 }"#, Some(2_006)),
            (r#"{\"Custom\":2006}"#, Some(2_006)),
            ("CustomCustom(1)", Some(1)),
            ("Custom(, Custom(7)", Some(7)),
            ("custom program error: 0x", None),
            ("custom program error: 0x1ffffffff", None),
            ("Custom(99999999999)", None),
            ("Custom(-1)", None),
            ("insufficient lamports 2006, need 6000", None),
            ("", None),
        ] {
            assert_eq!(custom_error(text), code, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_and_any_code_is_found(before in ".{0,40}", code: u32, after in "[^0-9a-fA-F].{0,40}") {
            let _ = custom_error(&before);
            // A number in what stands before may come first.
            if custom_error(&before).is_none() && !before.contains("ustom") {
                for said in [
                    format!("{before}custom program error: {code:#x}{after}"),
                    format!("{before}Custom({code}){after}"),
                    format!("{before}{{\"Custom\":{code}}}{after}"),
                ] {
                    proptest::prop_assert_eq!(custom_error(&said), Some(code), "{}", said);
                }
            }
        }
    }

    #[test]
    fn enough_failures_within_the_time_are_too_many() {
        let limit = FailureLimit {
            count: 3,
            window: Nanos(60),
        };
        let mut failures = Failures::new(limit);
        let mut note =
            |venue, mint, code, now| failures.note(venue, &Mint([mint; 32]), code, Nanos(now));
        assert!(!note(Venue::PumpV3, 1, 2_006, 0));
        assert!(!note(Venue::PumpV3, 2, 6_000, 30));
        assert!(
            !note(Venue::PumpV3, 1, 6_002, 31),
            "a missed limit is no drift"
        );
        assert!(!note(Venue::PumpV2, 1, 6_062, 32), "another venue's");
        assert!(!note(Venue::PumpV3, 1, 6_062, 61), "the first is too old");
        assert!(note(Venue::PumpV3, 1, 2_006, 62));
        assert!(!note(Venue::PumpV3, 2, 2_006, 63), "the count begins anew");
    }

    /// Regression: who had made a coin could have a venue disabled.
    #[test]
    fn one_coin_alone_is_never_too_many_and_hides_no_other() {
        for count in [0, 1, 2, 3, FailureLimit::COUNT_MAX, u8::MAX] {
            let window = Nanos(1_000);
            let mut failures = Failures::new(FailureLimit { count, window });
            let (one, other) = (Mint([1; 32]), Mint([2; 32]));
            for at in 0..100 {
                assert!(
                    !failures.note(Venue::PumpV3, &one, 6_000, Nanos(at)),
                    "{count}"
                );
            }
            assert!(
                failures.note(Venue::PumpV3, &other, 6_000, Nanos(100)),
                "{count}"
            );
        }
    }
}
