//! A `SendBundle` request written straight from the transactions' bytes.
//!
//! The generated messages would want each transaction in a buffer of its own first. Here the request is one
//! allocation of the exact length, filled once; the codec hands it to the transport as it is.

use prost::bytes::{BufMut, Bytes, BytesMut};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::proto::searcher::SendBundleResponse;

/// Transactions in a bundle, at most (Jito docs, `lowlatencytxnsend.md`).
pub const TRANSACTION_COUNT_MAX: usize = 5;
/// Bytes in a transaction, at most: v1, SIMD-0385. Legacy and v0 transactions stay below 1,232.
pub const TRANSACTION_LEN_MAX: usize = 4096;

/// Why transactions cannot be put into a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No transaction.
    #[error("a bundle holds at least one transaction")]
    Empty,
    /// More than [`TRANSACTION_COUNT_MAX`].
    #[error("a bundle holds at most 5 transactions, not {count}")]
    TooManyTransactions {
        /// As many as were given.
        count: usize,
    },
    /// Empty, or longer than [`TRANSACTION_LEN_MAX`].
    #[error("transaction {index} is {len} bytes long, outside 1..=4096")]
    TransactionLength {
        /// Its place in the bundle.
        index: usize,
        /// Its bytes.
        len: usize,
    },
}

/// `searcher.SendBundleRequest` as protobuf bytes. Clones share them: a retry sends the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedBundle(Bytes);

impl EncodedBundle {
    /// Writes the request that carries `transactions`, in order.
    ///
    /// `sent_at_unix_nanos` becomes `Bundle.header.ts`; without it the header is left out, which a block
    /// engine accepts. Of `Packet.meta` only `size` is set, as the reference client does.
    ///
    /// # Errors
    /// [`EncodeError`]; the bytes of a transaction are not looked at.
    pub fn new(
        transactions: &[&[u8]],
        sent_at_unix_nanos: Option<u64>,
    ) -> Result<Self, EncodeError> {
        check(transactions)?;
        let header = sent_at_unix_nanos.map(Header::new);
        let header_len = header.as_ref().map_or(0, |header| field_len(header.len()));
        let packets_len: usize = transactions
            .iter()
            .map(|data| field_len(packet_len(data)))
            .sum();
        let bundle_len = header_len + packets_len;

        let mut out = BytesMut::with_capacity(field_len(bundle_len));
        put_field(&mut out, tag::REQUEST_BUNDLE, bundle_len);
        if let Some(header) = &header {
            put_field(&mut out, tag::BUNDLE_HEADER, header.len());
            header.put(&mut out);
        }
        for data in transactions {
            put_field(&mut out, tag::BUNDLE_PACKETS, packet_len(data));
            put_packet(&mut out, data);
        }
        Ok(Self(out.freeze()))
    }

    /// The protobuf bytes, without the five bytes gRPC puts before a message.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Field keys: `number << 3 | wire type`, wire type 2 for length-delimited and 0 for varint.
mod tag {
    pub(super) const REQUEST_BUNDLE: u8 = 1 << 3 | 2;
    pub(super) const BUNDLE_HEADER: u8 = 2 << 3 | 2;
    pub(super) const BUNDLE_PACKETS: u8 = 3 << 3 | 2;
    pub(super) const PACKET_DATA: u8 = 1 << 3 | 2;
    pub(super) const PACKET_META: u8 = 2 << 3 | 2;
    pub(super) const META_SIZE: u8 = 1 << 3;
    pub(super) const HEADER_TS: u8 = 1 << 3 | 2;
    pub(super) const TIMESTAMP_SECONDS: u8 = 1 << 3;
    pub(super) const TIMESTAMP_NANOS: u8 = 2 << 3;
}

fn check(transactions: &[&[u8]]) -> Result<(), EncodeError> {
    if transactions.is_empty() {
        return Err(EncodeError::Empty);
    }
    if transactions.len() > TRANSACTION_COUNT_MAX {
        return Err(EncodeError::TooManyTransactions {
            count: transactions.len(),
        });
    }
    let wrong = transactions
        .iter()
        .position(|data| data.is_empty() || data.len() > TRANSACTION_LEN_MAX);
    wrong.map_or(Ok(()), |index| {
        Err(EncodeError::TransactionLength {
            index,
            len: transactions[index].len(),
        })
    })
}

/// `shared.Header`, which holds one `google.protobuf.Timestamp`. Fields of value zero are not written.
struct Header {
    seconds: u64,
    nanos: u64,
}

impl Header {
    fn new(unix_nanos: u64) -> Self {
        Self {
            seconds: unix_nanos / 1_000_000_000,
            nanos: unix_nanos % 1_000_000_000,
        }
    }

    fn timestamp_len(&self) -> usize {
        let len = |value| if value == 0 { 0 } else { 1 + varint_len(value) };
        len(self.seconds) + len(self.nanos)
    }

    fn len(&self) -> usize {
        field_len(self.timestamp_len())
    }

    fn put(&self, out: &mut BytesMut) {
        put_field(out, tag::HEADER_TS, self.timestamp_len());
        for (tag, value) in [
            (tag::TIMESTAMP_SECONDS, self.seconds),
            (tag::TIMESTAMP_NANOS, self.nanos),
        ] {
            if value != 0 {
                out.put_u8(tag);
                put_varint(out, value);
            }
        }
    }
}

fn packet_len(data: &[u8]) -> usize {
    field_len(data.len()) + field_len(meta_len(data))
}

fn meta_len(data: &[u8]) -> usize {
    1 + varint_len(data.len() as u64)
}

fn put_packet(out: &mut BytesMut, data: &[u8]) {
    put_field(out, tag::PACKET_DATA, data.len());
    out.put_slice(data);
    put_field(out, tag::PACKET_META, meta_len(data));
    out.put_u8(tag::META_SIZE);
    put_varint(out, data.len() as u64);
}

/// Bytes of a length-delimited field with `len` bytes inside, key included (field numbers below 16).
fn field_len(len: usize) -> usize {
    1 + varint_len(len as u64) + len
}

fn put_field(out: &mut BytesMut, tag: u8, len: usize) {
    out.put_u8(tag);
    put_varint(out, len as u64);
}

fn varint_len(value: u64) -> usize {
    // Seven bits a byte; zero takes one.
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Sends an [`EncodedBundle`] as it is and reads a [`SendBundleResponse`].
#[derive(Debug, Default)]
pub(crate) struct BundleCodec;

#[derive(Debug)]
pub(crate) struct BundleEncoder;

#[derive(Debug)]
pub(crate) struct ResponseDecoder;

impl Codec for BundleCodec {
    type Encode = EncodedBundle;
    type Decode = SendBundleResponse;
    type Encoder = BundleEncoder;
    type Decoder = ResponseDecoder;

    fn encoder(&mut self) -> BundleEncoder {
        BundleEncoder
    }

    fn decoder(&mut self) -> ResponseDecoder {
        ResponseDecoder
    }
}

impl Encoder for BundleEncoder {
    type Item = EncodedBundle;
    type Error = Status;

    fn encode(
        &mut self,
        EncodedBundle(bytes): EncodedBundle,
        out: &mut EncodeBuf<'_>,
    ) -> Result<(), Status> {
        out.reserve(bytes.len());
        out.put(bytes);
        Ok(())
    }
}

impl Decoder for ResponseDecoder {
    type Item = SendBundleResponse;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<SendBundleResponse>, Status> {
        prost::Message::decode(bytes)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::proto::{bundle, packet, searcher, shared};
    use prost::Message;

    /// Goal: the hand-written encoder and the generated one agree to the byte, at every length boundary.
    #[test]
    fn agrees_with_the_generated_encoder() {
        let lens = [1, 63, 119, 120, 127, 128, 1231, 1232, 4096];
        for (index, &len) in lens.iter().enumerate() {
            for count in 1..=TRANSACTION_COUNT_MAX {
                for at in [
                    None,
                    Some(0),
                    Some(1_000_000_000),
                    Some(1_789_000_000_000_000_001),
                    Some(5),
                ] {
                    let data: Vec<u8> = (0..len).map(|byte| (byte * 31 + index) as u8).collect();
                    let transactions = vec![data.as_slice(); count];
                    let ours = EncodedBundle::new(&transactions, at).unwrap();
                    assert_eq!(
                        ours.as_bytes(),
                        generated(&transactions, at),
                        "{len} x {count} at {at:?}"
                    );
                }
            }
        }
    }

    fn generated(transactions: &[&[u8]], at: Option<u64>) -> Vec<u8> {
        let header = at.map(|at| shared::Header {
            ts: Some(prost_types::Timestamp {
                seconds: (at / 1_000_000_000) as i64,
                nanos: (at % 1_000_000_000) as i32,
            }),
        });
        let packet = |data: &&[u8]| packet::Packet {
            data: Bytes::copy_from_slice(data),
            meta: Some(packet::Meta {
                size: data.len() as u64,
                ..Default::default()
            }),
        };
        let packets = transactions.iter().map(packet).collect();
        searcher::SendBundleRequest {
            bundle: Some(bundle::Bundle { header, packets }),
        }
        .encode_to_vec()
    }

    #[test]
    fn the_buffer_is_exactly_long_enough() {
        let data = [7; 1232];
        let EncodedBundle(bytes) = EncodedBundle::new(&[&data, &data], Some(1)).unwrap();
        let buffer = BytesMut::from(bytes);
        assert_eq!(buffer.capacity(), buffer.len());
    }

    #[test]
    fn what_a_block_engine_would_refuse_is_refused_here() {
        assert_eq!(EncodedBundle::new(&[], None), Err(EncodeError::Empty));
        let six: [&[u8]; 6] = [&[1]; 6];
        assert_eq!(
            EncodedBundle::new(&six, None),
            Err(EncodeError::TooManyTransactions { count: 6 })
        );
        let long = [0; TRANSACTION_LEN_MAX + 1];
        assert_eq!(
            EncodedBundle::new(&[&[1], &long], None),
            Err(EncodeError::TransactionLength {
                index: 1,
                len: 4097
            })
        );
        assert_eq!(
            EncodedBundle::new(&[&[]], None),
            Err(EncodeError::TransactionLength { index: 0, len: 0 })
        );
    }
}
