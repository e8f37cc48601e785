//! One message after the other, by the `sha2` package.

use super::Message;
use sha2::digest::generic_array::GenericArray;
use std::slice::from_ref;

/// As [`super::Way`], on any processor.
pub(super) fn hash(messages: &[Message<'_>]) {
    for message in messages {
        let mut state = message.state.get();
        for index in 0..message.block_count() {
            let block = GenericArray::from_slice(message.block(index));
            sha2::compress256(&mut state, from_ref(block));
        }
        message.state.set(state);
    }
}
