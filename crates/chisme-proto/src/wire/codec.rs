//! The one place that calls bincode: standard configuration, bounded by the size of a datagram.
//!
//! bincode 2.0.1 is its last release; `wincode` reads and writes the same bytes and is the way out.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::{BorrowDecode, BorrowDecoder, Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use crate::envelope::MAX_DATAGRAM;
use crate::names::Names;
use crate::{Endpoints, Life, MAX_RECORD_BYTES, NodeName, Session, VersionRange};

const CONFIG: Configuration<LittleEndian, Varint, Limit<MAX_DATAGRAM>> =
    bincode::config::standard().with_limit::<MAX_DATAGRAM>();

/// bincode counts a number for what it takes in memory, which for a varint is up to eight times what it
/// takes on the wire: of lists of small things less than a datagram would be read.
const IN_MEMORY: usize = 8;
const LISTS: usize = IN_MEMORY * MAX_DATAGRAM;
const LIST_CONFIG: Configuration<LittleEndian, Varint, Limit<LISTS>> =
    bincode::config::standard().with_limit::<LISTS>();

/// Records are longer than a datagram: they travel in fragments.
const RECORD: usize = IN_MEMORY * MAX_RECORD_BYTES;
const RECORD_CONFIG: Configuration<LittleEndian, Varint, Limit<RECORD>> =
    bincode::config::standard().with_limit::<RECORD>();

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed")]
pub(crate) struct Malformed;

/// Appends the encoding of `value`.
pub(crate) fn encode<T: Encode>(value: &T, out: &mut Vec<u8>) {
    bincode::encode_into_std_write(value, out, CONFIG)
        .expect("writing to memory cannot fail, and nothing we encode refuses to be");
}

/// How many bytes the encoding of `value` has.
pub(crate) fn encoded_len<T: Encode>(value: &T) -> usize {
    let mut counted = bincode::enc::write::SizeWriter::default();
    bincode::encode_into_writer(value, &mut counted, CONFIG)
        .expect("counting cannot fail, and nothing we encode refuses to be");
    counted.bytes_written
}

/// Decodes a value that must fill `bytes` to the end, with `names` for the names in it.
pub(crate) fn decode_all<'a, N, T>(bytes: &'a [u8], names: N) -> Result<T, Malformed>
where
    T: BorrowDecode<'a, N>,
{
    let (value, used) = decode_prefix(bytes, names)?;
    if used == bytes.len() { Ok(value) } else { Err(Malformed) }
}

/// Decodes a value from the start of `bytes` and says how many it took.
pub(crate) fn decode_prefix<'a, N, T>(bytes: &'a [u8], names: N) -> Result<(T, usize), Malformed>
where
    T: BorrowDecode<'a, N>,
{
    bincode::borrow_decode_from_slice_with_context(bytes, CONFIG, names).map_err(|_| Malformed)
}

/// Decodes a value with lists in it, which must fill `bytes` to the end.
pub(super) fn decode_lists<'a, N, T>(bytes: &'a [u8], names: N) -> Result<T, Malformed>
where
    T: BorrowDecode<'a, N>,
{
    let (value, used) = bincode::borrow_decode_from_slice_with_context(bytes, LIST_CONFIG, names)
        .map_err(|_| Malformed)?;
    if used == bytes.len() { Ok(value) } else { Err(Malformed) }
}

/// The encoding of a record's content, however long it is.
pub(super) fn encode_record<T: Encode>(content: &T) -> Vec<u8> {
    bincode::encode_to_vec(content, bincode::config::standard())
        .expect("writing to memory cannot fail, and nothing we encode refuses to be")
}

/// Decodes a record's content; what follows it was added by a later version.
pub(super) fn decode_record<'a, T: BorrowDecode<'a, ()>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    if bytes.len() > MAX_RECORD_BYTES {
        return Err(Malformed);
    }
    let (content, _) =
        bincode::borrow_decode_from_slice(bytes, RECORD_CONFIG).map_err(|_| Malformed)?;
    Ok(content)
}

impl Encode for NodeName {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_str().encode(encoder)
    }
}

/// From the datagram as it lies there: a name is copied once, and only if it was not heard of before.
impl<'de> BorrowDecode<'de, Names> for NodeName {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Names>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError> {
        let text = <&str>::borrow_decode(decoder)?;
        decoder.context().name(text).map_err(|_| DecodeError::Other("not a name"))
    }
}

impl Encode for Endpoints {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.v4.encode(encoder)?;
        self.v6.encode(encoder)
    }
}

impl<C> Decode<C> for Endpoints {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self { v4: Option::decode(decoder)?, v6: Option::decode(decoder)? })
    }
}

impl Encode for VersionRange {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.min.encode(encoder)?;
        self.max.encode(encoder)
    }
}

impl<C> Decode<C> for VersionRange {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self { min: u8::decode(decoder)?, max: u8::decode(decoder)? })
    }
}

/// Sessions are nearly random: a fixed width is shorter than a varint.
impl Encode for Session {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.to_u64().to_be_bytes().encode(encoder)
    }
}

impl<C> Decode<C> for Session {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self::from_u64(u64::from_be_bytes(Decode::decode(decoder)?)))
    }
}

impl Encode for Life {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.to_u16().encode(encoder)
    }
}

impl<C> Decode<C> for Life {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        Ok(Self(u16::decode(decoder)?))
    }
}

/// A list that is written as a `Vec` is. When it is read, its elements count for what they take on the
/// wire, and not in memory, which for some is more than a datagram has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Encode> Encode for List<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        (self.0.len() as u64).encode(encoder)?;
        self.0.iter().try_for_each(|element| element.encode(encoder))
    }
}

impl<'de, C, T: BorrowDecode<'de, C>> BorrowDecode<'de, C> for List<T> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Self, DecodeError> {
        // Every element takes a byte at least: a length that is not there ends with the bytes.
        let len = u64::decode(decoder)?;
        let mut list = Vec::new();
        for _ in 0..len {
            list.push(T::borrow_decode(decoder)?);
        }
        Ok(Self(list))
    }
}

macro_rules! borrow_decode {
    ($($name:ty),+) => {$(
        impl<'de, C> BorrowDecode<'de, C> for $name {
            fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(
                decoder: &mut D,
            ) -> Result<Self, DecodeError> {
                Self::decode(decoder)
            }
        }
    )+};
}

borrow_decode!(Endpoints, VersionRange, Session, Life);
