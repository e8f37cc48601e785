//! Every thread, and every ring between threads. If it is not here, it does not exist.
//!
//! The pipelines (`demo`, `run`, `replay`) and the relay build their rings with the sizes of [`LINKS`] and name their threads by
//! [`THREADS`]; a test holds the two together.

/// Who runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thread {
    /// Name, as the host's tools show it. One per source where it ends in `-`.
    pub name: &'static str,
    /// Owns a core when the configuration names one.
    pub pinned: bool,
    /// What it does.
    pub does: &'static str,
    /// Which system calls it makes once it runs.
    pub system_calls: &'static str,
}

/// What one cell of a ring holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Descriptor of a datagram in its arena; a twin ring brings the frame back.
    Frame,
    /// A leader's signature to be checked; a twin ring brings the answer back.
    Check,
    /// A verified signal.
    Signal,
    /// A signed bundle.
    Bundle,
    /// What became of a bundle.
    Report,
    /// What account data says of a curve or a pool.
    Account,
    /// A transaction of ours that the core does not know of; a twin ring brings back its signature if it verifies.
    OwnSeen,
    /// A message signed with a nonce made ahead, to be verified.
    Signed,
    /// An order for a ladder of presigned transactions; twin rings bring ladders, and take those done with.
    Ladder,
    /// A shred on its way to other nodes.
    Shred,
    /// Entries of a batch, on their way to clients.
    Entries,
}

/// What happens when a ring is full; to its newest cell unless it is said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// It is dropped and counted per source; a replay waits instead.
    Drop,
    /// It is refused and the sender is told.
    Refuse,
    /// Cannot happen by sizing; if it does, trading halts.
    Halt,
    /// The oldest is overwritten, and whoever has not read it is told how many it missed.
    Overwrite,
}

/// A ring with one producer and one consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Thread that writes.
    pub producer: &'static str,
    /// Thread that reads.
    pub consumer: &'static str,
    /// What it carries.
    pub cell: Cell,
    /// Cells. The frame ring's is a default: the configuration sets it per source.
    pub cells: usize,
    /// What happens when it is full.
    pub when_full: Full,
}

const fn thread(
    name: &'static str,
    pinned: bool,
    does: &'static str,
    system_calls: &'static str,
) -> Thread {
    Thread {
        name,
        pinned,
        does,
        system_calls,
    }
}

const fn link(
    producer: &'static str,
    consumer: &'static str,
    cell: Cell,
    cells: usize,
    when_full: Full,
) -> Link {
    Link {
        producer,
        consumer,
        cell,
        cells,
        when_full,
    }
}

/// Every thread.
#[rustfmt::skip]
pub const THREADS: &[Thread] = &[
    thread("rx-",     true,  "receives datagrams into frames of its arena and stamps them",             "its own receive"),
    thread("rx-NAME", true,  "receives shreds over QUIC: the thread of a source of that kind, with its name", "many"),
    thread("core",    true,  "shreds, market, strategy, risk and bundle, by plain calls",                "none"),
    thread("verify",  true,  "checks leaders' signatures, if it is configured; otherwise the core does",   "none"),
    thread("relay",   true,  "passes shreds on, each once: in `overmind relay`, where there is no core",  "sendmmsg to UDP destinations"),
    thread("tx-relay", true, "sends shreds to other nodes over QUIC",                                    "many"),
    thread("entries", false, "makes entry batches of the shreds that were passed on",                   "none"),
    thread("grpc-entries", false, "serves entries to gRPC clients",                                     "many"),
    thread("submit",  true,  "hands bundles to a lane and brings back what became of them",              "those of the lane"),
    thread("lane-",   false, "speaks gRPC with one block engine",                                        "many"),
    thread("signing", true,  "signs whole transactions ahead, makes nonces, verifies what was signed with them", "those of sleeping, and getrandom"),
    thread("accounts", false, "takes accounts from a feed and puts them together; publishes venue terms and lookup tables", "those of the feed"),
    thread("bridge",  false, "speaks ZeroMQ with brains; judges, acknowledges or refuses their signals", "many"),
    thread("admin",   false, "answers status and kill on a Unix socket, watches the kill file",          "many"),
    thread("admin-status", false, "writes the answers that need the rest of the process",                "many"),
    thread("admin-log", false, "writes a line for each change of the control to the log",                 "writes"),
    thread("sources-log", false, "appends what every source has brought to a file, once a second",        "many"),
    thread("capture", false, "writes taken datagrams to a pcap file",                                    "many"),
    thread("refresh", false, "asks an RPC node for leaders and stakes, with ingest.leaders_rpc",           "many"),
    thread("venues",  false, "checks builders and looks at programs and fee accounts, with [venues]",        "many"),
    thread("shredstream", false, "asks a block engine again and again to send shreds, with [shredstream]", "many"),
    thread("sidecar", false, "serves /health and /metrics",                                              "many"),
];

/// Every ring. Fused layouts run `rx-` and `core` (or `relay`) on one thread, over the same rings.
#[rustfmt::skip]
pub const LINKS: &[Link] = &[
    //    producer  consumer  cell          cells  when full
    link("rx-",     "core",   Cell::Frame,   8192, Full::Drop),
    link("rx-NAME", "core",   Cell::Frame,   8192, Full::Drop),
    link("core",    "verify", Cell::Check,     64, Full::Refuse), // the resolver refuses first shreds before
    link("bridge",  "core",   Cell::Signal,   256, Full::Refuse),
    link("core",    "submit", Cell::Bundle,    64, Full::Refuse), // the reservation is undone
    link("submit",  "core",   Cell::Report,  1024, Full::Halt),
    link("accounts", "core",  Cell::Account, 1024, Full::Refuse), // what it is of is stale until it is told again
    link("core",    "signing", Cell::OwnSeen,  16, Full::Drop),   // it is counted; only what verifies is believed
    link("core",    "signing", Cell::Signed,   64, Full::Refuse), // the deterministic way signs (in `bundle`)
    link("core",    "signing", Cell::Ladder,    8, Full::Refuse), // ordered again (in `engine`; signing.ladders_max)
    link("rx-",     "relay",  Cell::Frame,   8192, Full::Drop),
    link("rx-NAME", "relay",  Cell::Frame,   8192, Full::Drop),
    link("relay",   "tx-relay", Cell::Shred, 4096, Full::Refuse), // it is counted; FEC makes up for it
    link("relay",   "entries", Cell::Frame,  8192, Full::Drop),
    link("entries", "grpc-entries", Cell::Entries, 1024, Full::Overwrite),
];

/// Cells of the ring that carries `cell`.
#[must_use]
pub const fn cells(cell: Cell) -> usize {
    let mut at = 0;
    while at < LINKS.len() {
        if LINKS[at].cell as u8 == cell as u8 {
            return LINKS[at].cells;
        }
        at += 1;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_link_joins_two_threads_of_the_table() {
        for link in LINKS {
            for end in [link.producer, link.consumer] {
                assert!(THREADS.iter().any(|thread| thread.name == end), "{end}");
            }
            assert_eq!(cells(link.cell), link.cells, "one ring per kind of cell");
            assert!(link.cells.is_power_of_two());
        }
    }
}
