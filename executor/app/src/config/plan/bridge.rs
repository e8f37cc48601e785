//! The bridge and who may speak over it.

use std::path::{Path, PathBuf};

use brain_wire::Family;

use super::AMOUNT_MAX_LAMPORTS;
use crate::config::check::{Check, quoted};
use crate::config::redact::redacted;
use crate::config::{BridgeConfig, Host, ProducerConfig};

impl BridgeConfig {
    pub(super) fn plan(
        &self,
        host: &Host,
        check: &mut Check,
    ) -> Option<brain_bridge::BridgeConfig> {
        let endpoint = self.check_endpoint(host, check);
        check.range(
            "bridge.ttl_max_us",
            self.ttl_max_us,
            1..=60_000_000,
            "microseconds",
        );
        check.range(
            "bridge.confidence_min_ppm",
            self.confidence_min_ppm,
            0..=1_000_000,
            "parts per million",
        );
        check.range(
            "bridge.slot_lag_max",
            self.slot_lag_max,
            0..=10_000,
            "slots",
        );
        check.range(
            "bridge.slot_lead_max",
            self.slot_lead_max,
            0..=10_000,
            "slots",
        );
        check.range(
            "bridge.heartbeat_timeout_ms",
            self.heartbeat_timeout_ms,
            10..=60_000,
            "milliseconds",
        );
        check.range(
            "bridge.garbage_max",
            self.garbage_max,
            1..=1_000_000,
            "frames",
        );
        check.range(
            "bridge.garbage_window_ms",
            self.garbage_window_ms,
            1..=3_600_000,
            "milliseconds",
        );
        check.range(
            "bridge.quarantine_ms",
            self.quarantine_ms,
            1..=86_400_000,
            "milliseconds",
        );
        let producers = self.plan_producers(host, check);
        let epoch_file = self.epoch_file_on(host);
        check.absolute("bridge.epoch_file", &epoch_file);
        self.enabled.then_some(brain_bridge::BridgeConfig {
            endpoint,
            epoch_file,
            producers,
            ttl_max_us: self.ttl_max_us,
            confidence_min_ppm: self.confidence_min_ppm,
            slot_lag_max: self.slot_lag_max,
            slot_lead_max: self.slot_lead_max,
            heartbeat_timeout_ms: self.heartbeat_timeout_ms,
            garbage_max: self.garbage_max,
            garbage_window_ms: self.garbage_window_ms,
            quarantine_ms: self.quarantine_ms,
        })
    }

    pub(in crate::config) fn epoch_file_on(&self, host: &Host) -> PathBuf {
        let default = || host.state_dir.join("bridge.epoch");
        self.epoch_file.clone().unwrap_or_else(default)
    }

    pub(in crate::config) fn endpoint_on(&self, host: &Host) -> String {
        let default = || format!("ipc://{}", host.runtime_dir.join("signal.ipc").display());
        self.endpoint.clone().unwrap_or_else(default)
    }

    fn check_endpoint(&self, host: &Host, check: &mut Check) -> String {
        let endpoint = self.endpoint_on(host);
        let path = endpoint.strip_prefix("ipc://").unwrap_or_default();
        if !path.starts_with('/') {
            let fix = "write ipc:// and an absolute path".to_owned();
            check.refuse(
                "bridge.endpoint",
                quoted(redacted(&endpoint)),
                "only ipc:// on this host is served",
                fix,
            );
        }
        check.socket_path("bridge.endpoint", Path::new(path));
        check.whole("bridge.endpoint", Path::new(path));
        endpoint
    }

    fn plan_producers(&self, host: &Host, check: &mut Check) -> Vec<brain_bridge::ProducerConfig> {
        let count = self.producers.len();
        if self.enabled && count == 0 {
            let fix = "add a [[bridge.producers]] or set bridge.enabled = false".to_owned();
            check.refuse(
                "bridge.producers",
                "none".to_owned(),
                "nobody could send a signal",
                fix,
            );
        }
        if count > 64 {
            let fix = "keep 64".to_owned();
            check.refuse(
                "bridge.producers",
                format!("{count} producers"),
                "at most 64 are served",
                fix,
            );
        }
        let mut plans = Vec::with_capacity(count);
        for (index, producer) in self.producers.iter().enumerate() {
            if self.producers[..index]
                .iter()
                .any(|other| other.id == producer.id)
            {
                let field = format!("bridge.producers[{index}].id");
                let fix = "give every producer its own number".to_owned();
                check.refuse(
                    &field,
                    producer.id.to_string(),
                    "another producer has this number",
                    fix,
                );
            }
            plans.push(producer.plan(index, host, check));
        }
        plans
    }
}

impl ProducerConfig {
    fn plan(&self, index: usize, host: &Host, check: &mut Check) -> brain_bridge::ProducerConfig {
        let field = |key: &str| format!("bridge.producers[{index}].{key}");
        check.range(&field("id"), self.id, 1..=u16::MAX, "");
        check.range(
            &field("rate_per_second"),
            self.rate_per_second,
            1..=1_000_000,
            "signals",
        );
        check.range(
            &field("rate_burst"),
            self.rate_burst,
            1..=1_000_000,
            "signals",
        );
        let most = AMOUNT_MAX_LAMPORTS;
        check.range(
            &field("max_notional_lamports"),
            self.max_notional_lamports,
            0..=most,
            "lamports",
        );
        for family in self
            .families
            .iter()
            .filter(|family| Family::from_name(family).is_none())
        {
            let known: Vec<&str> = Family::all().map(Family::name).collect();
            let fix = format!("use any of {}", known.join(", "));
            check.refuse(&field("families"), quoted(family), "is not a family", fix);
        }
        if self.families.is_empty() {
            let fix = "name the families it speaks for".to_owned();
            check.refuse(
                &field("families"),
                "none".to_owned(),
                "it could say nothing",
                fix,
            );
        }
        let mut key_file =
            |key: &str, text: &str| check.key_file(&field(key), text, host).unwrap_or_default();
        brain_bridge::ProducerConfig {
            id: self.id,
            key_file: key_file("key_file", &self.key_file),
            key_file_previous: self
                .key_file_previous
                .as_ref()
                .map(|text| key_file("key_file_previous", text)),
            families: self.families.clone(),
            max_notional_lamports: self.max_notional_lamports,
            rate_per_second: self.rate_per_second,
            rate_burst: self.rate_burst,
        }
    }
}
