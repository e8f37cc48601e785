//! The last few of something, in a ring: for duplicates and for looking back.

/// The last `len` values; the oldest gives way. Allocated once.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    values: Box<[Option<T>]>,
    next: usize,
    /// How many there are, from the first place on.
    count: usize,
}

impl<T: Copy> Recent<T> {
    pub(crate) fn new(len: usize) -> Self {
        Self {
            values: vec![None; len].into_boxed_slice(),
            next: 0,
            count: 0,
        }
    }

    /// Adds `value` and returns the one that gave way.
    #[inline]
    pub(crate) fn push(&mut self, value: T) -> Option<T> {
        let displaced = self.values[self.next].replace(value);
        self.next = (self.next + 1) % self.values.len();
        self.count = (self.count + 1).min(self.values.len());
        displaced
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.values[..self.count].iter().flatten()
    }
}
