//! Ed25519 signing by AWS-LC, through the one of its functions that uses no heap.
//!
//! `aws-lc-rs` reaches the same arithmetic through an `EVP` context, which it allocates and frees inside C for
//! every signature, out of sight of a Rust allocator. `ED25519_sign` works on its own stack: it hashes with
//! one-shot SHA-512, wipes what it derived from the secret, and touches no global state outside FIPS builds.
//! Source: AWS-LC `crypto/fipsmodule/curve25519/curve25519.c`, as shipped in aws-lc-sys 0.47.0, which exports
//! the function for x86_64 and aarch64 Linux; a test holds that the heap stays untouched.

/// Length of a key pair: the 32-byte secret of RFC 8032, then the public key.
pub(crate) const PAIR_LEN: usize = 64;

/// The RFC 8032 signature of `message` under `pair`. The public half must belong to the secret half: a
/// signature under another public key gives the secret away.
///
/// Cost: a SHA-512 block to expand the secret, two SHA-512 passes over the message, one multiplication of the
/// base point. Does not allocate; may be called from any thread.
#[inline]
pub(crate) fn sign(pair: &[u8; PAIR_LEN], message: &[u8]) -> [u8; 64] {
    let mut signature = [0; 64];
    // SAFETY: `signature` has the 64 bytes written, `message` its own length and `pair` the 64 bytes read; the
    // function keeps no pointer. An empty message passes a non-null pointer that is not read.
    let done = unsafe {
        aws_lc_sys::ED25519_sign(
            signature.as_mut_ptr(),
            message.as_ptr(),
            message.len(),
            pair.as_ptr(),
        )
    };
    assert_eq!(done, 1, "ED25519_sign fails only where it may allocate");
    signature
}
