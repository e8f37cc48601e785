//! `[venues]`: whom the builders are checked against, and when a venue is given up.

use std::time::Duration;

use risk::FailureLimit;
use shred_wire::Nanos;
use sidecar::Endpoint;

use super::VenuesPlan;
use crate::config::check::{Check, quoted};
use crate::config::redact::redacted;
use crate::config::{IngestConfig, VenuesConfig};

impl VenuesConfig {
    pub(super) fn plan(&self, ingest: &IngestConfig, check: &mut Check) -> VenuesPlan {
        check.range(
            "venues.watch_interval_s",
            self.watch_interval_s,
            1..=86_400,
            "seconds",
        );
        VenuesPlan {
            rpc: self.endpoint(ingest, check),
            check_at_start: self.check_at_start,
            watch_interval: Duration::from_secs(u64::from(self.watch_interval_s)),
        }
    }

    /// When failures of our own disable a venue.
    pub(super) fn failure_limit(&self, check: &mut Check) -> FailureLimit {
        let count_max = u32::from(FailureLimit::COUNT_MAX);
        check.range(
            "venues.failures_max",
            self.failures_max,
            1..=count_max,
            "failures",
        );
        check.range(
            "venues.failures_window_s",
            self.failures_window_s,
            1..=86_400,
            "seconds",
        );
        FailureLimit {
            count: self.failures_max.min(count_max) as u8,
            window: Nanos(u64::from(self.failures_window_s) * 1_000_000_000),
        }
    }

    /// The node that is asked: its own, or the one that names the leaders, which is checked there.
    fn endpoint(&self, ingest: &IngestConfig, check: &mut Check) -> Option<Endpoint> {
        let Some(text) = &self.rpc else {
            return Endpoint::parse(ingest.leaders_rpc.as_ref()?).ok();
        };
        match Endpoint::parse(text) {
            Ok(endpoint) => Some(endpoint),
            Err(reject) => {
                let fix = "write it like http://127.0.0.1:8899".to_owned();
                check.refuse(
                    "venues.rpc",
                    quoted(redacted(text)),
                    &reject.to_string(),
                    fix,
                );
                None
            }
        }
    }
}
