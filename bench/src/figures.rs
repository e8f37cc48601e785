//! The figures, by name.

pub mod after;
pub mod brain;
pub mod decode;
pub mod hash;
pub mod l0;
pub mod l1;
pub mod l2;
pub mod open;
pub mod receive;
pub mod recover;
pub mod relay;
pub mod shreds;

use overmind::clock::Ticker;

use crate::floors::Floors;
use crate::row::Row;

/// What every figure is measured with.
pub struct Context {
    /// The clock.
    pub ticker: Ticker,
    /// Less of everything: to see that it works, not to quote.
    pub quick: bool,
    /// The host's floors in this run.
    pub floors: Floors,
}

impl Context {
    /// `full`, or `quick` when little is to be measured.
    #[must_use]
    pub fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

/// What a figure found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Its lines.
    pub rows: Vec<Row>,
    /// What was counted while measuring, for people.
    pub notes: Vec<String>,
}

/// Measures one figure.
pub type Measure = fn(&Context) -> Result<Findings, String>;

/// One figure.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Whether rivals are measured beside it.
    pub has_rivals: bool,
    /// How.
    pub measure: Measure,
}

/// All of them, in order.
pub const FIGURES: [Figure; 13] = [
    Figure {
        name: "floors",
        about: "clock read, ring hop, loopback receive, leaf hash, verification, signature",
        has_rivals: false,
        measure: |_| Ok(Findings::default()),
    },
    Figure {
        name: "shreds",
        about: "shreds per second through one core, from memory",
        has_rivals: true,
        measure: shreds::measure,
    },
    Figure {
        name: "l0",
        about: "last needed datagram in user memory to transaction emitted",
        has_rivals: true,
        measure: l0::measure,
    },
    Figure {
        name: "open",
        about: "l0 at the captures' own pace, from each datagram's scheduled arrival",
        has_rivals: false,
        measure: open::measure,
    },
    Figure {
        name: "l1",
        about: "the same datagram to signed bundle in the ring, by policy and way of signing",
        has_rivals: true,
        measure: l1::measure,
    },
    Figure {
        name: "brain",
        about: "l1 beside a brain that signals, and without one",
        has_rivals: false,
        measure: brain::measure,
    },
    Figure {
        name: "l2",
        about: "the risk gate",
        has_rivals: false,
        measure: l2::measure,
    },
    Figure {
        name: "decode",
        about: "captures decoded to JSON lines, verified",
        has_rivals: true,
        measure: decode::measure,
    },
    Figure {
        name: "recover",
        about: "lost data shreds of a set brought back",
        has_rivals: true,
        measure: recover::measure,
    },
    Figure {
        name: "hash",
        about: "leaf hashes of a burst together, and one at a time",
        has_rivals: true,
        measure: hash::measure,
    },
    Figure {
        name: "receive",
        about: "datagrams from the kernel by recv, recvmmsg, io_uring and AF_XDP (wants root)",
        has_rivals: true,
        measure: receive::measure,
    },
    Figure {
        name: "after",
        about: "what arbiter and chain add to the resolver",
        has_rivals: false,
        measure: after::measure,
    },
    Figure {
        name: "relay",
        about: "a shred through the relay to 0, 1 and 4 destinations",
        has_rivals: true,
        measure: relay::measure,
    },
];
