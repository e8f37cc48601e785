//! How each kind of source is opened, and who is asked to send shreds to one.

use std::net::{IpAddr, SocketAddr};

use shred_quic::{PeerId, Peers, SHRED_LEN_MAX};
use shred_source::udp::{Interface, InterfaceName, Multicast};
use shred_source::uring::PAYLOAD_AT;
use shred_source::xdp::Wish;
use shred_source::{UdpConfig, UringConfig, XdpConfig};
use shredstream_client::REGIONS_MAX;

use super::{Opening, QuicIdentity, QuicPlan, ShredstreamPlan};
use crate::config::check::{Check, quoted};
use crate::config::redact::redacted;
use crate::config::{
    Host, IngestConfig, ShredstreamConfig, SourceConfig, SourceKind, XdpMode, ZeroCopy,
};

/// Frames that AF_XDP takes. Source: Linux `net/xdp/xdp_umem.c` (a chunk is 2048 bytes to a page).
const XDP_FRAME_LENS: [u32; 2] = [2_048, 4_096];
/// Receive queues of one interface that can be named; cards have some hundred at most.
const QUEUE_MAX: u32 = 1_023;
/// Peers one source may know.
const PEERS_MAX: usize = 256;
/// Application protocols one source may speak.
const ALPN_MAX: usize = 8;
/// The word that stands for a key made at start.
const GENERATE: &str = "generate";

impl SourceConfig {
    /// Checks what only some kinds have. `None` where nothing could be opened; then that was refused.
    pub(super) fn opening(
        &self,
        index: usize,
        ingest: &IngestConfig,
        host: &Host,
        check: &mut Check,
    ) -> Option<Opening> {
        let field = |key: &str| format!("ingest.sources[{index}].{key}");
        self.refuse_strangers(&field, check);
        self.check_twin(&field, &ingest.sources[..index], check);
        match self.kind {
            SourceKind::Udp => self.udp(&field, ingest, check).map(Opening::Udp),
            SourceKind::IoUring => self.uring(&field, ingest, check).map(Opening::IoUring),
            SourceKind::Xdp => self.xdp(&field, ingest, check).map(Opening::Xdp),
            SourceKind::Quic => self.quic(&field, ingest, host, check).map(Opening::Quic),
        }
    }

    /// Refuses keys that the kind has no use for.
    fn refuse_strangers(&self, field: &impl Fn(&str) -> String, check: &mut Check) {
        use SourceKind::{IoUring, Quic, Udp, Xdp};
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        let text = |text: &Option<String>| text.as_ref().map(quoted);
        let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| format!("{list:?}"));
        let address = |address: Option<IpAddr>| address.map(quoted);
        let mode = self.mode.map(|mode| match mode {
            XdpMode::Native => quoted("native"),
            XdpMode::Generic => quoted("generic"),
            XdpMode::Prefer => quoted("prefer"),
        });
        let zero_copy = self.zero_copy.map(|wish| match wish {
            ZeroCopy::Never => quoted("never"),
            ZeroCopy::Prefer => quoted("prefer"),
            ZeroCopy::Require => quoted("require"),
        });
        let stamps = self.hardware_stamps.map(|on| on.to_string());
        let sockets: &[SourceKind] = &[Udp, IoUring];
        let addressed: &[SourceKind] = &[Udp, IoUring, Xdp];
        for (key, value, kinds) in [
            ("busy_poll_us", number(self.busy_poll_us), &[Udp, Xdp][..]),
            ("interface", text(&self.interface), addressed),
            ("multicast_group", address(self.multicast_group), addressed),
            (
                "multicast_sender",
                address(self.multicast_sender),
                addressed,
            ),
            ("hardware_stamps", stamps, sockets),
            ("queue", number(self.queue), &[Xdp]),
            ("mode", mode, &[Xdp]),
            ("zero_copy", zero_copy, &[Xdp]),
            ("identity_file", text(&self.identity_file), &[Quic]),
            ("peers", list(&self.peers), &[Quic]),
            ("alpn", list(&self.alpn), &[Quic]),
        ] {
            if let Some(value) = value
                && !kinds.contains(&self.kind)
            {
                let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
                let problem = format!("a source of kind {} has no such key", self.kind.as_str());
                let fix = format!("leave it out; it belongs to {}", kinds.join(" and "));
                check.refuse(&field(key), value, &problem, fix);
            }
        }
    }

    /// Two sources cannot have one queue, and all queues of an interface share one program.
    fn check_twin(
        &self,
        field: &impl Fn(&str) -> String,
        earlier: &[SourceConfig],
        check: &mut Check,
    ) {
        if self.kind != SourceKind::Xdp || self.interface.is_none() {
            return;
        }
        let beside = |other: &&SourceConfig| {
            other.kind == SourceKind::Xdp && other.interface == self.interface
        };
        for other in earlier.iter().filter(beside) {
            let queue = self.queue.unwrap_or_default();
            if other.queue.unwrap_or_default() == queue {
                let problem = format!("source {} has this queue of the interface", other.name);
                let fix = "give every source its own queue".to_owned();
                check.refuse(&field("queue"), queue.to_string(), &problem, fix);
            }
            if other.mode.unwrap_or_default() != self.mode.unwrap_or_default() {
                let problem = format!(
                    "source {} on the same interface has another, and they share one program",
                    other.name
                );
                let value = format!("{:?}", self.mode.unwrap_or_default()).to_lowercase();
                check.refuse(
                    &field("mode"),
                    quoted(value),
                    &problem,
                    "write the same for both".to_owned(),
                );
            }
        }
    }

    /// The group to join, with everything that the kernel would take and deliver nothing for refused.
    fn multicast(
        &self,
        field: &impl Fn(&str) -> String,
        check: &mut Check,
    ) -> Result<Option<Multicast>, ()> {
        let bound = self.bind.ip();
        let mut fits = true;
        let mut refuse = |key: &str, value: String, problem: &str, fix: &str| {
            fits = false;
            check.refuse(&field(key), value, problem, fix.to_owned());
        };
        let Some(group) = self.multicast_group else {
            if bound.is_multicast() {
                let fix = "name the group in multicast_group, too";
                refuse(
                    "bind",
                    quoted(self.bind),
                    "a group that is not joined brings nothing",
                    fix,
                );
            }
            if let Some(sender) = self.multicast_sender {
                let fix = "name the group in multicast_group, or leave it out";
                refuse(
                    "multicast_sender",
                    quoted(sender),
                    "there is no group to take it from",
                    fix,
                );
            }
            return fits.then_some(None).ok_or(());
        };
        let value = quoted(group);
        if !group.is_multicast() {
            let problem = "is no multicast address";
            let fix = "use 224.0.0.0 to 239.255.255.255, or ff00::/8";
            refuse("multicast_group", value, problem, fix);
        } else if group.is_ipv4() != bound.is_ipv4() {
            let problem = "is of another family than bind";
            refuse(
                "multicast_group",
                value,
                problem,
                "use IPv4 or IPv6 for both",
            );
        } else if bound.is_multicast() && bound != group {
            let problem = "bind is another group";
            refuse(
                "multicast_group",
                value,
                problem,
                "write the same group in both",
            );
        }
        if let Some(sender) = self.multicast_sender
            && (sender.is_multicast()
                || sender.is_unspecified()
                || sender.is_ipv4() != group.is_ipv4())
        {
            let problem = "is no sender to that group";
            let fix = "write the address of the host that sends, of the group's family";
            refuse("multicast_sender", quoted(sender), problem, fix);
        }
        let multicast = Multicast {
            group,
            sender: self.multicast_sender,
        };
        fits.then_some(Some(multicast)).ok_or(())
    }

    fn udp(
        &self,
        field: &impl Fn(&str) -> String,
        ingest: &IngestConfig,
        check: &mut Check,
    ) -> Option<UdpConfig> {
        let multicast = self.multicast(field, check);
        let hardware_stamps = self.hardware_stamps.unwrap_or_default();
        let bound = self.bind.ip();
        if hardware_stamps
            && self.interface.is_none()
            && (bound.is_unspecified() || bound.is_multicast())
        {
            let fix =
                "name the interface whose card stamps, or bind one of its addresses".to_owned();
            let problem = "nothing says which card";
            check.refuse(&field("hardware_stamps"), "true".to_owned(), problem, fix);
        }
        let interface = match &self.interface {
            None => Some(Interface::Any),
            Some(text) => {
                if self.multicast_group.is_none() && !hardware_stamps {
                    let problem = "has no effect without multicast_group or hardware_stamps";
                    let fix = "leave it out; what a socket receives is decided by bind".to_owned();
                    check.refuse(&field("interface"), quoted(text), problem, fix);
                }
                self.parsed(field, text, check)
            }
        };
        Some(UdpConfig {
            receive_buffer_len: ingest.receive_buffer_bytes as usize,
            busy_poll_us: self.busy_poll_us,
            interface: interface?,
            multicast: multicast.ok()?,
            hardware_stamps,
            ..UdpConfig::new(self.bind)
        })
    }

    fn parsed<T: std::str::FromStr>(
        &self,
        field: &impl Fn(&str) -> String,
        interface: &str,
        check: &mut Check,
    ) -> Option<T> {
        let parsed = interface.parse().ok();
        if parsed.is_none() {
            let fix = "write a name as `ip link` shows it".to_owned();
            let problem = "is no interface's name";
            check.refuse(&field("interface"), quoted(interface), problem, fix);
        }
        parsed
    }

    fn uring(
        &self,
        field: &impl Fn(&str) -> String,
        ingest: &IngestConfig,
        check: &mut Check,
    ) -> Option<UringConfig> {
        let needed = (PAYLOAD_AT + SHRED_LEN_MAX) as u32;
        if ingest.frame_len < needed {
            let problem = format!(
                "it puts {PAYLOAD_AT} bytes before each datagram, and ingest.frame_len = {} holds no shred behind them",
                ingest.frame_len
            );
            let fix = format!(
                "write frame_len = {} or more",
                needed.next_multiple_of(shred_source::arena::STRIDE_UNIT as u32)
            );
            check.refuse(&field("kind"), quoted("io_uring"), &problem, fix);
        }
        let socket = self.udp(field, ingest, check)?;
        let usual = UringConfig::new(self.bind);
        let frames = u16::try_from(ingest.frames_per_source).unwrap_or(usual.buffer_count);
        Some(UringConfig {
            socket,
            buffer_count: usual.buffer_count.min(frames),
            ..usual
        })
    }

    fn xdp(
        &self,
        field: &impl Fn(&str) -> String,
        ingest: &IngestConfig,
        check: &mut Check,
    ) -> Option<XdpConfig> {
        let multicast = self.multicast(field, check);
        let bound = self.bind.ip();
        let at_group = self.multicast_group == Some(bound);
        if !bound.is_ipv4() || !(bound.is_unspecified() || at_group) {
            let problem = "only the port is looked at, of IPv4 datagrams to any address";
            let fix = format!("write 0.0.0.0:{}", self.bind.port());
            check.refuse(&field("bind"), quoted(self.bind), problem, fix);
        }
        if !XDP_FRAME_LENS.contains(&ingest.frame_len) {
            let problem = format!(
                "ingest.frame_len = {} is no length of its frames",
                ingest.frame_len
            );
            let fix = "write frame_len = 2048 or 4096".to_owned();
            check.refuse(&field("kind"), quoted("xdp"), &problem, fix);
        }
        let queue = self.queue.unwrap_or_default();
        check.range(&field("queue"), queue, 0..=QUEUE_MAX, "");
        let (mode, zero_copy) = (
            self.mode.unwrap_or_default(),
            self.zero_copy.unwrap_or_default(),
        );
        if mode == XdpMode::Generic && zero_copy == ZeroCopy::Require {
            let problem = "mode = \"generic\" copies each packet";
            let fix = "write mode = \"native\", or another zero_copy".to_owned();
            check.refuse(&field("zero_copy"), quoted("require"), problem, fix);
        }
        let interface: Option<InterfaceName> = match &self.interface {
            Some(name) => self.parsed(field, name, check),
            None => {
                let problem = "a source of kind xdp is a queue of one";
                let fix = "write interface = \"NAME\", as `ip link` shows it".to_owned();
                check.refuse(&field("interface"), "absent".to_owned(), problem, fix);
                None
            }
        };
        Some(XdpConfig {
            queue,
            native: match mode {
                XdpMode::Native => Wish::Require,
                XdpMode::Generic => Wish::Never,
                XdpMode::Prefer => Wish::Prefer,
            },
            zero_copy: match zero_copy {
                ZeroCopy::Never => Wish::Never,
                ZeroCopy::Prefer => Wish::Prefer,
                ZeroCopy::Require => Wish::Require,
            },
            busy_poll_us: self.busy_poll_us,
            multicast: multicast.ok()?,
            ..XdpConfig::new(interface?, vec![self.bind.port()])
        })
    }

    fn quic(
        &self,
        field: &impl Fn(&str) -> String,
        ingest: &IngestConfig,
        host: &Host,
        check: &mut Check,
    ) -> Option<QuicPlan> {
        let named = self.identity_file.as_deref();
        let identity = plan_identity(&field("identity_file"), named, host, check);
        if named.is_none() {
            let fix = "name a key file of mode 0600, or write \"generate\" to try it out";
            check.refuse(
                &field("identity_file"),
                "absent".to_owned(),
                "peers must know whom they send to",
                fix.to_owned(),
            );
        }
        let texts = self.peers.as_deref().unwrap_or_default();
        let peers = check.keys(&field("peers"), texts);
        if texts.is_empty() || texts.len() > PEERS_MAX {
            let problem = format!("1 to {PEERS_MAX} identities may send");
            let fix = "name the identities of those that send, base58".to_owned();
            let value = match texts.len() {
                0 => "none".to_owned(),
                count => format!("{count} peers"),
            };
            check.refuse(&field("peers"), value, &problem, fix);
        }
        let turbine = [String::from_utf8_lossy(shred_quic::ALPN_TURBINE).into_owned()];
        let alpn = self.alpn.as_deref().unwrap_or(&turbine);
        let is_name = |name: &String| (1..=255).contains(&name.len());
        if alpn.is_empty() || alpn.len() > ALPN_MAX || !alpn.iter().all(is_name) {
            let problem = format!("must be 1 to {ALPN_MAX} names of 1 to 255 bytes");
            let fix = "leave it out for solana-turbine".to_owned();
            check.refuse(&field("alpn"), format!("{alpn:?}"), &problem, fix);
        }
        Some(QuicPlan {
            bind: self.bind,
            identity: identity?,
            peers: peers.into_iter().map(PeerId).collect::<Peers>(),
            alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
            receive_buffer_len: ingest.receive_buffer_bytes as usize,
        })
    }
}

/// Where a key comes from, as it is typed; `None` when it is absent or was refused.
pub(super) fn plan_identity(
    field: &str,
    typed: Option<&str>,
    host: &Host,
    check: &mut Check,
) -> Option<QuicIdentity> {
    match typed? {
        GENERATE => Some(QuicIdentity::Generated),
        text => check.key_file(field, text, host).map(QuicIdentity::File),
    }
}

impl ShredstreamConfig {
    /// `None` when it is off, or something of it was refused.
    pub(super) fn plan(
        &self,
        ingest: &IngestConfig,
        host: &Host,
        check: &mut Check,
    ) -> Option<ShredstreamPlan> {
        let endpoint = self.check_endpoint("endpoint", self.endpoint.as_deref(), check);
        let auth_endpoint =
            self.check_endpoint("auth_endpoint", self.auth_endpoint.as_deref(), check);
        self.check_regions(check);
        if let Some(announce) = self.announce {
            let ip = announce.ip();
            if ip.is_unspecified() || ip.is_multicast() || announce.port() == 0 {
                let problem = "nothing can be sent there";
                let fix = "write this host's public address and a port".to_owned();
                check.refuse("shredstream.announce", quoted(announce), problem, fix);
            }
        }
        let source = self.check_source(ingest, check);
        let key_file = self.key_file.as_ref();
        let key_file = key_file.and_then(|text| check.key_file("shredstream.key_file", text, host));
        if !self.enabled {
            return None;
        }
        let bound = source.and_then(|source| ingest.sources.get(source));
        if let (Some(announce), Some(bound)) = (self.announce, bound) {
            warn_of_announcement(announce, bound, check);
        }
        for (key, is_absent) in [
            ("endpoint", self.endpoint.is_none()),
            ("announce", self.announce.is_none()),
            ("source", self.source.is_none()),
            ("key_file", self.key_file.is_none()),
        ] {
            if is_absent {
                let fix = "write it, or set shredstream.enabled = false".to_owned();
                check.refuse(
                    &format!("shredstream.{key}"),
                    "absent".to_owned(),
                    "without it no stream can be asked for",
                    fix,
                );
            }
        }
        Some(ShredstreamPlan {
            endpoint: endpoint?,
            auth_endpoint,
            regions: self.regions.clone(),
            announce: self.announce?,
            source: source?,
            key_file: key_file?,
        })
    }

    fn check_regions(&self, check: &mut Check) {
        let count = self.regions.len();
        if (self.enabled && count == 0) || count > REGIONS_MAX {
            let (problem, fix) = match count {
                0 => (
                    "nothing says from where shreds are to come".to_owned(),
                    "name the nearest, as [\"frankfurt\"]".to_owned(),
                ),
                _ => (
                    format!("at most {REGIONS_MAX} are served, and further ones ignored"),
                    format!("keep the nearest {REGIONS_MAX}"),
                ),
            };
            check.refuse(
                "shredstream.regions",
                format!("{:?}", self.regions),
                &problem,
                fix,
            );
        }
        let is_name = |name: &&String| {
            (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        for (index, name) in self.regions.iter().enumerate() {
            if !is_name(&name) {
                let field = format!("shredstream.regions[{index}]");
                let problem = "is not 1 to 32 printable characters";
                check.refuse(&field, quoted(name), problem, "respell it".to_owned());
            }
        }
    }

    /// The source that the shreds reach: its counter tells whether they flow.
    fn check_source(&self, ingest: &IngestConfig, check: &mut Check) -> Option<usize> {
        let name = self.source.as_ref()?;
        let found = ingest
            .sources
            .iter()
            .position(|source| source.name == *name && source.kind != SourceKind::Quic);
        if found.is_none() {
            let problem = "no source that receives plain UDP has this name";
            let fix = "name one of [[ingest.sources]] of kind udp, io_uring or xdp".to_owned();
            check.refuse("shredstream.source", quoted(name), problem, fix);
        }
        found
    }

    fn check_endpoint(&self, key: &str, text: Option<&str>, check: &mut Check) -> Option<String> {
        let text = text?;
        let problem = if !is_http(text) {
            "is not https://HOST or https://HOST:PORT"
        } else if text.starts_with("http://") && !is_near(text) {
            "is plain text, which would show tokens to everyone on the way"
        } else if text.starts_with("https://") && !cfg!(feature = "tls") {
            "needs TLS, which this build has not (cargo build --features tls)"
        } else {
            return Some(text.to_owned());
        };
        let fix =
            "write https://, or http:// with a loopback address (a proxy of your own)".to_owned();
        let value = quoted(redacted(text));
        check.refuse(&format!("shredstream.{key}"), value, problem, fix);
        None
    }
}

/// Says what would make the engine send to nobody, or to another port than the source's: both can be meant so, behind
/// a router that forwards or in a network of one's own.
fn warn_of_announcement(announce: SocketAddr, source: &SourceConfig, check: &mut Check) {
    let field = "shredstream.announce";
    if announce.port() != source.bind.port() {
        let problem = format!(
            "source {} binds port {}, and shreds are sent to the announced one",
            source.name,
            source.bind.port()
        );
        let fix = "write the same port, unless a router forwards it";
        check.warn(field, quoted(announce), &problem, fix);
    }
    if !is_public(announce.ip().to_canonical()) {
        let problem = "is no address that a block engine elsewhere can send to";
        let fix = "write this host's public address";
        check.warn(field, quoted(announce), problem, fix);
    }
}

/// Whether the internet could route to it. Source: RFC 6890.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared)
        }
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}

/// `http(s)://` with a host and perhaps a port, and nothing else.
fn is_http(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or(text.strip_prefix("http://"));
    let Some(authority) = rest else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            if port.parse::<u16>().is_err() {
                return false;
            }
            host
        }
        _ => authority,
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        }
    }
}

/// Whether an `http://` endpoint is on this host.
fn is_near(text: &str) -> bool {
    let authority = text.trim_start_matches("http://");
    let bare = || authority.trim_start_matches('[').trim_end_matches(']');
    authority == "localhost"
        || authority.starts_with("localhost:")
        || authority
            .parse::<SocketAddr>()
            .map(|address| address.ip())
            .or_else(|_| bare().parse::<IpAddr>())
            .is_ok_and(|ip| ip.is_loopback())
}
