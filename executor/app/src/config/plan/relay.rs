//! What a relay passes shreds on to, and whom it serves.

use std::net::SocketAddr;

use shred_quic::{Destination, PeerId};
use shred_relay::{EntryServerConfig, RelayConfig as RelayRoom};
use shred_resolve::SievePlan;

use super::receiving::plan_identity;
use super::{EntriesPlan, RelayPlan, nanos_of_ms};
use crate::config::check::{Check, quoted};
use crate::config::{
    Config, Host, IngestConfig, Lagging, RelayConfig, RelayEntriesConfig, SourceConfig, V1Batches,
};

/// UDP destinations at most: each costs a system call a burst.
const DESTINATIONS_MAX: usize = 256;
/// Other nodes at most: each costs the encryption of every shred.
const NODES_MAX: usize = 64;
/// Addresses that may be allowed to connect.
const ALLOW_MAX: usize = 1_024;

impl Config {
    /// `None` when nothing is named that shreds could be passed on to, or something of it was refused.
    pub(super) fn plan_relay(&self, host: &Host, check: &mut Check) -> Option<RelayPlan> {
        let relay = &self.relay;
        relay.check(host, check);
        relay.check_destinations(&self.ingest, check);
        let named = relay.identity_file.as_deref();
        let identity = plan_identity("relay.identity_file", named, host, check);
        let nodes = relay.plan_nodes(&self.ingest, check);
        let entries = relay.entries.plan(host, check);
        let page = self.http.enabled.then_some(self.http.bind);
        if let Some(bind) = relay.entries.bind.filter(|bind| Some(*bind) == page) {
            let fix = "use another port".to_owned();
            let problem = "http.bind is this address";
            check.refuse("relay.entries.bind", quoted(bind), problem, fix);
        }
        if !relay.has_purpose() {
            return None;
        }
        if !self
            .ingest
            .sources
            .iter()
            .any(|source| source.redistributable)
        {
            let fix = "set redistributable = true at the sources whose terms allow it, or leave [relay] out";
            check.refuse(
                "ingest.sources",
                "none redistributable".to_owned(),
                "[relay] has nothing that it may pass on",
                fix.to_owned(),
            );
        }
        if !relay.nodes.is_empty() && relay.identity_file.is_none() {
            let fix = "name a key file of mode 0600, or write \"generate\" to try it out";
            check.refuse(
                "relay.identity_file",
                "absent".to_owned(),
                "other nodes must know who sends to them",
                fix.to_owned(),
            );
        }
        let ingest = &self.ingest;
        Some(RelayPlan {
            room: RelayRoom {
                sieve: SievePlan {
                    shred_version: ingest.shred_version,
                    limits: shred_wire::shred::ShredLimits {
                        shreds_per_slot_max: ingest.shreds_per_slot_max,
                    },
                    slots_behind: u64::from(ingest.slots_behind),
                    slots_ahead: u64::from(ingest.slots_ahead),
                    resync_after: nanos_of_ms(ingest.resync_after_ms),
                    versions_max: relay.fec_versions_max as usize,
                    authenticate: relay.verify,
                },
                destinations: relay.destinations.clone(),
                send_buffer_len: relay.send_buffer_bytes as usize,
                segmentation: relay.segmentation,
            },
            nodes,
            identity,
            nodes_cpu: relay.nodes_cpu.map(usize::from),
            entries,
        })
    }
}

impl RelayConfig {
    /// Whether anything is named that shreds or entries go to.
    pub(in crate::config) fn has_purpose(&self) -> bool {
        !self.destinations.is_empty() || !self.nodes.is_empty() || self.entries.bind.is_some()
    }

    fn check(&self, host: &Host, check: &mut Check) {
        check.range(
            "relay.fec_versions_max",
            self.fec_versions_max,
            64..=1 << 20,
            "versions",
        );
        check.range(
            "relay.send_buffer_bytes",
            self.send_buffer_bytes,
            65_536..=1 << 30,
            "bytes",
        );
        check.cpu("relay.nodes_cpu", self.nodes_cpu, host);
    }

    fn check_destinations(&self, ingest: &IngestConfig, check: &mut Check) {
        let count = self.destinations.len();
        if count > DESTINATIONS_MAX {
            let fix = format!("keep {DESTINATIONS_MAX}, and let one of them be a relay");
            let problem = format!("at most {DESTINATIONS_MAX} are sent to");
            check.refuse(
                "relay.destinations",
                format!("{count} destinations"),
                &problem,
                fix,
            );
        }
        for (index, address) in self.destinations.iter().enumerate() {
            let field = format!("relay.destinations[{index}]");
            let twice = self.destinations[..index].contains(address);
            check_host(&field, *address, twice, ingest, check);
        }
    }

    fn plan_nodes(&self, ingest: &IngestConfig, check: &mut Check) -> Vec<Destination> {
        let count = self.nodes.len();
        if count > NODES_MAX {
            let fix = format!("keep {NODES_MAX}, and let them pass on to the others");
            let problem = format!("at most {NODES_MAX} are sent to");
            check.refuse("relay.nodes", format!("{count} nodes"), &problem, fix);
        }
        let mut nodes = Vec::with_capacity(count);
        for (index, node) in self.nodes.iter().enumerate() {
            let field = |key: &str| format!("relay.nodes[{index}].{key}");
            let twice = self.nodes[..index]
                .iter()
                .any(|other| other.address == node.address);
            check_host(&field("address"), node.address, twice, ingest, check);
            let mut key = [0; 32];
            if bs58::decode(&node.identity).onto(&mut key) != Ok(32) {
                let problem = "is not the base58 of 32 bytes";
                let fix = "copy the identity that the node prints for its source at start";
                check.refuse(
                    &field("identity"),
                    quoted(&node.identity),
                    problem,
                    fix.to_owned(),
                );
                continue;
            }
            nodes.push(Destination {
                address: node.address,
                peer: PeerId(key),
            });
        }
        nodes
    }
}

/// Refuses what is no host, what stands there twice, and what is a source of this very relay.
fn check_host(
    field: &str,
    address: SocketAddr,
    twice: bool,
    ingest: &IngestConfig,
    check: &mut Check,
) {
    let ip = address.ip().to_canonical();
    let own = ingest.sources.iter().find(|source| is_own(source, address));
    let (problem, fix) = if address.port() == 0 {
        ("port 0 receives nothing".to_owned(), "name its port")
    } else if ip.is_unspecified() {
        (
            "is no host's address".to_owned(),
            "name the host's own address",
        )
    } else if ip.is_multicast() || ip == std::net::Ipv4Addr::BROADCAST {
        (
            "shreds are passed on to hosts, not to groups".to_owned(),
            "name each host's own address",
        )
    } else if twice {
        ("is named twice".to_owned(), "name it once")
    } else if let Some(source) = own {
        (
            format!(
                "is source {} of this relay: it would send to itself",
                source.name
            ),
            "name another host, or another port",
        )
    } else {
        return;
    };
    check.refuse(field, quoted(address), &problem, fix.to_owned());
}

/// Whether a relay receives by `source` what is sent to `address`, as far as the configuration tells. What a socket
/// that takes every address of the host receives is looked at when the relay starts.
fn is_own(source: &SourceConfig, address: SocketAddr) -> bool {
    let (bound, ip) = (source.bind.ip().to_canonical(), address.ip().to_canonical());
    source.redistributable
        && source.bind.port() == address.port()
        && (bound == ip || (bound.is_unspecified() && ip.is_loopback()))
}

impl RelayEntriesConfig {
    fn plan(&self, host: &Host, check: &mut Check) -> Option<EntriesPlan> {
        for (key, value) in [
            ("clients_max", self.clients_max),
            ("connections_max", self.connections_max),
        ] {
            check.range(&format!("relay.entries.{key}"), value, 1..=4_096, "");
        }
        if self.allow.len() > ALLOW_MAX {
            let problem = format!("at most {ALLOW_MAX} addresses are compared");
            let fix = "let a proxy of your own stand before it".to_owned();
            let value = format!("{} addresses", self.allow.len());
            check.refuse("relay.entries.allow", value, &problem, fix);
        }
        let field = "relay.entries.token_file";
        let token_file = self.token_file.as_ref();
        let token_file = token_file.and_then(|text| check.key_file(field, text, host));
        let bind = self.bind?;
        if bind.port() == 0 {
            let fix = "name the port that clients connect to".to_owned();
            let problem = "nobody would know the port";
            check.refuse("relay.entries.bind", quoted(bind), problem, fix);
        }
        if !bind.ip().to_canonical().is_loopback() && self.allow.is_empty() {
            let problem = "others can reach it, and nothing is encrypted";
            let fix =
                "fill relay.entries.allow with the addresses of the clients, or bind 127.0.0.1";
            check.refuse("relay.entries.bind", quoted(bind), problem, fix.to_owned());
        }
        Some(EntriesPlan {
            room: EntryServerConfig {
                allow: self.allow.clone(),
                clients_max: self.clients_max as usize,
                connections_max: self.connections_max as usize,
                lagging: match self.lagging {
                    Lagging::End => shred_relay::Lagging::End,
                    Lagging::Mark => shred_relay::Lagging::Mark,
                },
                ..EntryServerConfig::new("entries", bind)
            },
            token_file,
            v1: match self.v1_batches {
                V1Batches::Whole => shred_relay::V1Batches::Whole,
                V1Batches::WithoutV1 => shred_relay::V1Batches::WithoutV1,
            },
        })
    }
}
