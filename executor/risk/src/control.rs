//! The kill switch: one byte that anybody may set and the gate reads before every approval; and beside it a byte for each
//! venue.

use core::sync::atomic::{AtomicU8, Ordering};

use crate::venues::Venues;

/// What the gate lets through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Mode {
    /// Entries and exits.
    Active = 0,
    /// Exits only.
    Reducing = 1,
    /// Nothing. Any byte above `Reducing` reads as this; 2 is the operator's kill, 3 a halt of the executor's own.
    Halted = 3,
}

/// The cell that holds the [`Mode`]. Reading it is one load: no lock, no wait.
///
/// A byte that is no mode reads as [`Mode::Halted`].
#[derive(Debug)]
pub struct Control {
    mode: AtomicU8,
    venues: Venues,
}

impl Control {
    /// A cell that starts in `mode`.
    #[must_use]
    pub const fn new(mode: Mode) -> Self {
        Self {
            mode: AtomicU8::new(mode as u8),
            venues: Venues::new(),
        }
    }

    /// Which venues may be entered.
    #[inline]
    #[must_use]
    pub const fn venues(&self) -> &Venues {
        &self.venues
    }

    /// The mode now.
    #[inline]
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.mode.load(Ordering::Acquire) {
            0 => Mode::Active,
            1 => Mode::Reducing,
            _ => Mode::Halted,
        }
    }

    /// The byte itself, for whoever serves the operator.
    #[must_use]
    pub const fn byte(&self) -> &AtomicU8 {
        &self.mode
    }

    /// Sets the mode, whichever way: the caller decides who may loosen it.
    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Release);
    }

    /// Makes the mode at least as strict as `mode` and returns what it was.
    pub fn tighten(&self, mode: Mode) -> Mode {
        match self.mode.fetch_max(mode as u8, Ordering::AcqRel) {
            0 => Mode::Active,
            1 => Mode::Reducing,
            _ => Mode::Halted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tightening_never_loosens_and_an_unknown_byte_halts() {
        let control = Control::new(Mode::Active);
        assert_eq!(control.tighten(Mode::Halted), Mode::Active);
        assert_eq!(control.tighten(Mode::Reducing), Mode::Halted);
        assert_eq!(control.mode(), Mode::Halted);
        control.set(Mode::Reducing);
        assert_eq!(control.mode(), Mode::Reducing);
        assert_eq!(
            {
                control.byte().store(77, Ordering::Release);
                control.mode()
            },
            Mode::Halted
        );
    }
}
