//! Datagrams that have arrived together, and what of them need be worked out only once.

use std::cell::Cell;
use std::ops::Deref;

use crate::merkle::Node;
use crate::resolver::Arrival;
use shred_wire::shred::{ShredLimits, ShredReject, ShredView};

/// A datagram, with what has been found out about it so far.
///
/// Several in a slice are a burst: while one of them is handled, those behind it may be looked at, because two
/// hashes together cost far less than one after the other. Nothing is ever waited for.
pub struct Arrived<'a> {
    bytes: &'a [u8],
    arrival: Arrival,
    view: Cell<Parsed<'a>>,
    leaf: Cell<Option<Node>>,
}

#[derive(Clone, Copy)]
enum Parsed<'a> {
    NotYet,
    Done(Result<ShredView<'a>, ShredReject>),
}

impl<'a> Arrived<'a> {
    /// Nothing is done with the bytes here.
    #[inline]
    #[must_use]
    pub const fn new(bytes: &'a [u8], arrival: Arrival) -> Self {
        Self {
            bytes,
            arrival,
            view: Cell::new(Parsed::NotYet),
            leaf: Cell::new(None),
        }
    }

    /// Its bytes.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where and when it arrived.
    #[must_use]
    pub const fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// Asks the processor to bring its bytes near. The kernel wrote them on another core, or the card did.
    #[inline]
    pub(crate) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        for line in self.bytes.chunks(64) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint, whatever the address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }

    #[inline]
    pub(crate) fn view(&self, limits: &ShredLimits) -> Result<ShredView<'a>, ShredReject> {
        match self.view.get() {
            Parsed::Done(view) => view,
            Parsed::NotYet => {
                let view = ShredView::parse(self.bytes, limits);
                self.view.set(Parsed::Done(view));
                view
            }
        }
    }
}

/// A shred of a burst.
#[derive(Clone, Copy)]
pub(crate) struct Shred<'b, 'a> {
    view: ShredView<'a>,
    burst: &'b [Arrived<'a>],
    index: usize,
}

impl<'b, 'a> Shred<'b, 'a> {
    pub(crate) const fn new(view: ShredView<'a>, burst: &'b [Arrived<'a>], index: usize) -> Self {
        Self { view, burst, index }
    }

    /// Where and when it arrived.
    #[inline]
    pub(crate) fn arrival(&self) -> Arrival {
        self.burst[self.index].arrival
    }

    /// Its leaf's hash, if it has been worked out.
    #[inline]
    pub(crate) fn leaf(&self) -> Option<Node> {
        self.burst[self.index].leaf.get()
    }

    #[inline]
    pub(crate) fn set_leaf(&self, leaf: Node) {
        self.burst[self.index].leaf.set(Some(leaf));
    }

    /// Those of the next `count` datagrams that are shreds, and whose leaves are not known.
    #[inline]
    pub(crate) fn behind(
        &self,
        count: usize,
        limits: &ShredLimits,
    ) -> impl Iterator<Item = Shred<'b, 'a>> {
        let (burst, next) = (self.burst, self.index + 1);
        burst
            .iter()
            .enumerate()
            .skip(next)
            .take(count)
            .filter(|(_, arrived)| arrived.leaf.get().is_none())
            .filter_map(move |(index, arrived)| {
                let view = arrived.view(limits).ok()?;
                Some(Shred { view, burst, index })
            })
    }
}

impl<'a> Deref for Shred<'_, 'a> {
    type Target = ShredView<'a>;

    #[inline]
    fn deref(&self) -> &ShredView<'a> {
        &self.view
    }
}
