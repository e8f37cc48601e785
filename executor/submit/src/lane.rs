//! A way out.

use bundle::BundleCell;
use strategy::LaneClass;

use crate::report::{Reason, Report};

/// Carries bundles to one destination and tells what became of them.
///
/// Both calls come from the submit thread and return without waiting for the destination.
pub trait Lane: Send {
    /// Whether bundles of this class go out here.
    fn takes(&self, class: LaneClass) -> bool;

    /// Takes the bundle. The cell may be reused as soon as this returns.
    ///
    /// # Errors
    /// [`LaneReject`]; then nothing was sent and no report will come.
    fn send(&mut self, bundle: &BundleCell) -> Result<(), LaneReject>;

    /// Passes on every report that has come in.
    fn poll(&mut self, out: &mut dyn FnMut(Report));
}

/// Why a lane does not take a bundle now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum LaneReject {
    /// The cell holds no transaction, or one that is too long for a request.
    #[error("the cell holds nothing this lane can carry")]
    BadCell,
    /// As many bundles are in flight as the lane keeps track of.
    #[error("too many bundles in flight")]
    Full,
    /// The same first signature is in flight here.
    #[error("this bundle is in flight")]
    InFlight,
    /// The lane's thread is gone.
    #[error("the lane has stopped")]
    Stopped,
    /// The file could not be written.
    #[error("the file could not be written")]
    Storage,
}

impl From<LaneReject> for Reason {
    fn from(reject: LaneReject) -> Self {
        match reject {
            LaneReject::BadCell => Self::BadCell,
            LaneReject::Full => Self::LaneFull,
            LaneReject::InFlight => Self::InFlight,
            LaneReject::Stopped => Self::LaneStopped,
            LaneReject::Storage => Self::Storage,
        }
    }
}
