//! What is done of a signature before its trigger, and whether it may be.

use bundle::Live;
use bundle::host::{SnapshotStatement, SnapshotsExcluded};
use engine::LadderPlan;

use super::SigningPlan;
use crate::config::check::Check;
use crate::config::{Host, SigningConfig};

/// Whether this build can make nonces ahead.
pub(crate) const CAN_ARM: bool = cfg!(feature = "armed-nonces");

impl SigningConfig {
    pub(super) fn plan(&self, host: &Host, check: &mut Check) -> SigningPlan {
        check.range("signing.ladders_max", self.ladders_max, 1..=64, "ladders");
        let statement = SnapshotStatement {
            armed_nonces: self.armed_nonces,
            snapshots_excluded: self.snapshots_excluded,
        };
        if self.armed_nonces {
            self.check_arming(statement, host, check);
        }
        let ladders = LadderPlan {
            held_max: self.ladders_max as usize,
            ..LadderPlan::default()
        };
        SigningPlan {
            ladders: self.presign.then_some(ladders),
            statement,
            host: host.kind,
        }
    }

    /// The same for any key, so that paper mode, whose key is worth nothing, shows what live mode would do.
    fn check_arming(&self, statement: SnapshotStatement, host: &Host, check: &mut Check) {
        let field = "signing.armed_nonces";
        if !CAN_ARM {
            let problem = "this build leaves nonces made ahead out";
            let fix = "read \"Armed nonces\" in ARCHITECTURE.md, then build with --features armed-nonces; or set it to \
                       false"
                .to_owned();
            return check.refuse(field, "true".to_owned(), problem, fix);
        }
        if let Err(why) = SnapshotsExcluded::<Live>::establish(statement, host.kind) {
            let fix = "set signing.snapshots_excluded = true only if nobody takes, restores or clones snapshots of this \
                       machine's memory, nor migrates it live; or armed_nonces = false"
                .to_owned();
            check.refuse(field, "true".to_owned(), &why.to_string(), fix);
        }
    }
}
