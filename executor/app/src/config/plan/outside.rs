//! The ways out and the operator's ways in: lane, admin socket, page.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use submit::BlockEngineConfig;

use super::{AdminPlan, SubmitPlan};
use crate::config::check::{Check, quoted};
use crate::config::redact::redacted;
use crate::config::{AdminConfig, Host, HttpConfig, Lane, SubmitConfig};

impl SubmitConfig {
    pub(super) fn plan(&self, check: &mut Check) -> SubmitPlan {
        let field = "submit.endpoint";
        check.range(
            "submit.result_timeout_ms",
            self.result_timeout_ms,
            100..=600_000,
            "milliseconds",
        );
        check.range(
            "submit.in_flight_max",
            self.in_flight_max,
            1..=4_096,
            "bundles",
        );
        match (self.lane, &self.endpoint) {
            (Lane::Paper, _) => SubmitPlan::Paper,
            (Lane::BlockEngine, None) => {
                let fix = "write endpoint = \"http://127.0.0.1:PORT\"".to_owned();
                check.refuse(
                    field,
                    "absent".to_owned(),
                    "lane = \"block_engine\" needs one",
                    fix,
                );
                SubmitPlan::Paper
            }
            (Lane::BlockEngine, Some(endpoint)) => {
                if !is_loopback_http(endpoint) {
                    let problem =
                        "in paper mode a block engine must be on loopback, as http://ADDRESS:PORT";
                    let fix = "use lane = \"paper\"; live submission is refused in this version"
                        .to_owned();
                    check.refuse(field, quoted(redacted(endpoint)), problem, fix);
                }
                SubmitPlan::BlockEngine(BlockEngineConfig {
                    result_timeout: Duration::from_millis(u64::from(self.result_timeout_ms)),
                    in_flight_max: self.in_flight_max as usize,
                    ..BlockEngineConfig::new(endpoint.clone())
                })
            }
        }
    }
}

impl AdminConfig {
    pub(in crate::config) fn socket_on(&self, host: &Host) -> PathBuf {
        let default = || host.runtime_dir.join("admin.sock");
        self.socket.clone().unwrap_or_else(default)
    }

    pub(in crate::config) fn kill_file_on(&self, host: &Host) -> PathBuf {
        let default = || host.runtime_dir.join("kill");
        self.kill_file.clone().unwrap_or_else(default)
    }

    pub(super) fn plan(&self, host: &Host, check: &mut Check) -> AdminPlan {
        let (socket, kill_file) = (self.socket_on(host), self.kill_file_on(host));
        check.absolute("admin.socket", &socket);
        check.socket_path("admin.socket", &socket);
        check.absolute("admin.kill_file", &kill_file);
        if socket == kill_file {
            let fix = "use two paths".to_owned();
            check.refuse(
                "admin.kill_file",
                quoted(kill_file.display()),
                "this is the socket",
                fix,
            );
        }
        AdminPlan { socket, kill_file }
    }
}

impl HttpConfig {
    pub(super) fn plan(&self, check: &mut Check) -> Option<SocketAddr> {
        if !self.bind.ip().is_loopback() && !self.allow_remote {
            let fix = "bind 127.0.0.1, or set http.allow_remote = true (the page has no password)"
                .to_owned();
            check.refuse(
                "http.bind",
                quoted(self.bind),
                "is not a loopback address",
                fix,
            );
        }
        self.enabled.then_some(self.bind)
    }
}

/// `http://` with a loopback IP address (or `localhost`) and a port, and nothing after it.
fn is_loopback_http(endpoint: &str) -> bool {
    let Some(authority) = endpoint.strip_prefix("http://") else {
        return false;
    };
    if let Some(port) = authority.strip_prefix("localhost:") {
        return port.parse::<u16>().is_ok();
    }
    authority
        .parse::<SocketAddr>()
        .is_ok_and(|address| address.ip().is_loopback())
}
