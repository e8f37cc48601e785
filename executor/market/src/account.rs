//! Account data, read at fixed offsets.
//!
//! An account's owner is checked by who hands its data over; what kind of account it is says its discriminator.

use crate::units::Key;

/// Why an account's bytes give no state. One byte, counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum AccountReject {
    /// Shorter than its fields.
    Short,
    /// Another kind of account.
    OtherKind,
    /// A version, flag or extension that is not understood: what it would change is not guessed.
    Unknown,
    /// A field has a value the program never writes.
    BadField,
}

impl AccountReject {
    /// How many reasons there are.
    pub const COUNT: usize = 4;

    /// Names for metrics, indexed by the discriminant.
    #[must_use]
    pub const fn names() -> [&'static str; Self::COUNT] {
        ["short", "other_kind", "unknown", "bad_field"]
    }
}

/// An account's data, read by offset.
#[derive(Clone, Copy)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Takes `data` as it is.
    #[inline]
    #[must_use]
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    /// Takes `data` if its first eight bytes are `discriminator`.
    ///
    /// # Errors
    /// [`AccountReject::Short`], [`AccountReject::OtherKind`].
    #[inline]
    pub fn of_kind(data: &'a [u8], discriminator: [u8; 8]) -> Result<Self, AccountReject> {
        match data.first_chunk::<8>() {
            None => Err(AccountReject::Short),
            Some(found) if *found != discriminator => Err(AccountReject::OtherKind),
            Some(_) => Ok(Self(data)),
        }
    }

    /// Bytes of the account.
    #[inline]
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "a length of account data, not of a collection"
    )]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// `N` bytes from `offset`.
    ///
    /// # Errors
    /// [`AccountReject::Short`], as for every reader below.
    #[inline]
    pub fn bytes<const N: usize>(&self, offset: usize) -> Result<&'a [u8; N], AccountReject> {
        self.0
            .get(offset..)
            .and_then(<[u8]>::first_chunk)
            .ok_or(AccountReject::Short)
    }

    /// A byte.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    #[inline]
    pub fn u8(&self, offset: usize) -> Result<u8, AccountReject> {
        Ok(self.bytes::<1>(offset)?[0])
    }

    /// A `bool`: 0 or 1.
    ///
    /// # Errors
    /// As [`Fields::bytes`]; [`AccountReject::BadField`] for another value.
    #[inline]
    pub fn flag(&self, offset: usize) -> Result<bool, AccountReject> {
        match self.u8(offset)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(AccountReject::BadField),
        }
    }

    /// Two bytes, little end first.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    #[inline]
    pub fn u16(&self, offset: usize) -> Result<u16, AccountReject> {
        Ok(u16::from_le_bytes(*self.bytes(offset)?))
    }

    /// Four bytes.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    #[inline]
    pub fn u32(&self, offset: usize) -> Result<u32, AccountReject> {
        Ok(u32::from_le_bytes(*self.bytes(offset)?))
    }

    /// Four bytes with a sign.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    #[inline]
    pub fn i32(&self, offset: usize) -> Result<i32, AccountReject> {
        Ok(i32::from_le_bytes(*self.bytes(offset)?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    #[inline]
    pub fn u64(&self, offset: usize) -> Result<u64, AccountReject> {
        Ok(u64::from_le_bytes(*self.bytes(offset)?))
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    #[inline]
    pub fn u128(&self, offset: usize) -> Result<u128, AccountReject> {
        Ok(u128::from_le_bytes(*self.bytes(offset)?))
    }

    /// Sixteen bytes with a sign.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    #[inline]
    pub fn i128(&self, offset: usize) -> Result<i128, AccountReject> {
        Ok(i128::from_le_bytes(*self.bytes(offset)?))
    }

    /// An address.
    ///
    /// # Errors
    /// As [`Fields::bytes`].
    #[inline]
    pub fn key(&self, offset: usize) -> Result<Key, AccountReject> {
        Ok(*self.bytes(offset)?)
    }
}

/// The first `N` bytes of an account that grew over its program's versions: what an older one lacks reads as zero,
/// as the program reads it.
///
/// # Errors
/// [`AccountReject::Short`] below `len_min`, [`AccountReject::OtherKind`], and [`AccountReject::Unknown`] when there
/// is something other than zeroes past the fields that are known.
pub fn padded<const N: usize>(
    data: &[u8],
    discriminator: [u8; 8],
    len_min: usize,
) -> Result<[u8; N], AccountReject> {
    Fields::of_kind(data, discriminator)?;
    if data.len() < len_min {
        return Err(AccountReject::Short);
    }
    let (known, beyond) = data.split_at(data.len().min(N));
    if beyond.iter().any(|byte| *byte != 0) {
        return Err(AccountReject::Unknown);
    }
    let mut bytes = [0; N];
    bytes[..known.len()].copy_from_slice(known);
    Ok(bytes)
}
