//! Chunks, the pieces in which messages of RTMP come and go, so that sound need not wait for a large picture.
//!
//! A peer says beforehand how long a message is, and may begin as many as it likes on chunk streams beside each other; so nothing is
//! allocated for what is only said, and all that is begun is bounded together.
//!
//! Source: Adobe's Real Time Messaging Protocol 1.0, section 5.3.

use std::collections::HashMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The chunk size of both sides until one says another.
pub const CHUNK_SIZE_FIRST: usize = 128;
/// No message is longer, so no chunk is.
const CHUNK_SIZE_MAX: usize = 0xff_ffff;
/// Chunk streams of a connection; clients use five.
const STREAMS_MAX: usize = 32;
/// A time from which on it is no difference of two times.
const DELTA_FIRST_MAX_MS: u32 = 1000;
/// In the 24 bits of a timestamp: the time stands in 32 bits behind the header.
const EXTENDED: u32 = 0xff_ffff;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: u8,
    /// The stream of the connection that it belongs to.
    pub stream: u32,
    /// Milliseconds on its sender's clock, which starts again after 2^32.
    pub time_ms: u32,
    /// What it carries.
    pub body: Bytes,
}

/// Why a peer's bytes are no chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A message is longer than is taken at this point.
    #[error("a message of {bytes} bytes is longer than the {max} that are taken")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most.
        max: usize,
    },
    /// Too many chunk streams, or too many messages that are begun and not ended.
    #[error("too much is begun at once")]
    TooMany,
    /// A header that leaves out what was never said.
    #[error("a chunk goes on with a message that never began")]
    NoHeader,
    /// A chunk size of nought.
    #[error("a chunk size of {0} is not possible")]
    Size(u32),
}

/// Makes messages of a peer's bytes.
#[derive(Debug)]
pub struct ChunkReader {
    chunk_size: usize,
    message_max: usize,
    streams: HashMap<u32, Incoming>,
    /// Bytes of messages that are begun.
    begun: usize,
    /// The chunk stream whose chunk is being read, with the bytes that it still has.
    current: Option<(u32, usize)>,
}

#[derive(Debug, Default)]
struct Incoming {
    time_ms: u32,
    delta_ms: u32,
    is_extended: bool,
    /// What stands behind such a header.
    extended: u32,
    length: usize,
    kind: u8,
    stream: u32,
    body: BytesMut,
    /// Whether a message is begun, which may still be empty.
    is_begun: bool,
}

impl ChunkReader {
    /// Takes messages up to this length.
    pub fn new(message_max: usize) -> Self {
        Self {
            chunk_size: CHUNK_SIZE_FIRST,
            message_max,
            streams: HashMap::new(),
            begun: 0,
            current: None,
        }
    }

    /// Takes messages up to another length from now on.
    pub fn set_message_max(&mut self, message_max: usize) {
        self.message_max = message_max;
    }

    /// The peer sends chunks of this size from now on.
    ///
    /// # Errors
    /// [`ChunkError::Size`].
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), ChunkError> {
        if size == 0 || size > i32::MAX as u32 {
            return Err(ChunkError::Size(size));
        }
        self.chunk_size = (size as usize).min(CHUNK_SIZE_MAX);
        Ok(())
    }

    /// The peer does not end the message that it has begun on a chunk stream.
    pub fn abort(&mut self, id: u32) {
        if let Some(incoming) = self.streams.get_mut(&id) {
            self.begun -= incoming.body.len();
            incoming.body = BytesMut::new();
            incoming.is_begun = false;
        }
    }

    /// The next whole message; what is read is taken out of `input`. `None` when more bytes are needed.
    ///
    /// # Errors
    /// The bytes are no chunks, or more than is taken: the connection is of no use any more.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Message>, ChunkError> {
        loop {
            let (id, rest) = match self.current {
                Some(current) => current,
                None => match self.header(input)? {
                    Some(begun) => begun,
                    None => return Ok(None),
                },
            };
            let Some(incoming) = self.streams.get_mut(&id) else {
                return Err(ChunkError::NoHeader);
            };
            let now = rest.min(input.len());
            incoming.body.extend_from_slice(&input[..now]);
            input.advance(now);
            self.begun += now;
            if self.begun > self.message_max + self.message_max / 2 {
                return Err(ChunkError::TooMany);
            }
            if now < rest {
                self.current = Some((id, rest - now));
                return Ok(None);
            }
            self.current = None;
            if incoming.body.len() < incoming.length {
                continue;
            }
            incoming.is_begun = false;
            self.begun -= incoming.body.len();
            return Ok(Some(Message {
                kind: incoming.kind,
                stream: incoming.stream,
                time_ms: incoming.time_ms,
                body: std::mem::take(&mut incoming.body).freeze(),
            }));
        }
    }

    /// Reads a header when all of it is there: its chunk stream, and how many bytes follow.
    fn header(&mut self, input: &mut BytesMut) -> Result<Option<(u32, usize)>, ChunkError> {
        let Some((&first, more)) = input.split_first() else {
            return Ok(None);
        };
        let (id, basic) = match (first & 0x3f, more) {
            (0, [low, ..]) => (64 + u32::from(*low), 2),
            (1, [low, high, ..]) => (64 + u32::from(*low) + (u32::from(*high) << 8), 3),
            (0 | 1, _) => return Ok(None),
            (id, _) => (u32::from(id), 1),
        };
        let format = first >> 6;
        let known = self.streams.get(&id);
        if known.is_none() && format != 0 {
            return Err(ChunkError::NoHeader);
        }
        if known.is_none() && self.streams.len() >= STREAMS_MAX {
            return Err(ChunkError::TooMany);
        }
        let fixed = basic + [11, 7, 3, 0][usize::from(format)];
        if input.len() < fixed {
            return Ok(None);
        }
        let is_extended = if format == 3 {
            known.is_some_and(|known| known.is_extended)
        } else {
            number24(&input[basic..]) == EXTENDED
        };
        if input.len() < fixed + if is_extended { 4 } else { 0 } {
            return Ok(None);
        }
        // Some senders do not say the time again with each piece, as they should.
        let is_left_out = format == 3
            && known.is_some_and(|known| {
                known.is_begun && input[fixed..].get(..4) != Some(&known.extended.to_be_bytes()[..])
            });
        let is_said = is_extended && !is_left_out;
        input.advance(basic);
        let mut header = input.split_to(fixed - basic);
        // A peer that gave up a message without saying so begins the next one with a header.
        if format != 3 {
            self.abort(id);
        }
        let incoming = self.streams.entry(id).or_default();
        let time = if format == 3 {
            incoming.delta_ms
        } else {
            header.get_uint(3) as u32
        };
        if format < 2 {
            incoming.length = header.get_uint(3) as usize;
            incoming.kind = header.get_u8();
        }
        if format == 0 {
            incoming.stream = header.get_u32_le();
        }
        incoming.is_extended = is_extended;
        let time = if is_said { input.get_u32() } else { time };
        incoming.extended = if is_said { time } else { incoming.extended };
        if !incoming.is_begun {
            if format == 0 {
                incoming.time_ms = time;
                // A message without a header comes as much later as this one comes after nought, says the specification, and FFmpeg
                // uses that at the start of a stream. Later on, senders mean the same time again.
                incoming.delta_ms = if time <= DELTA_FIRST_MAX_MS { time } else { 0 };
            } else if format == 3 && is_extended && incoming.delta_ms == 0 {
                incoming.time_ms = time;
            } else {
                incoming.time_ms = incoming.time_ms.wrapping_add(time);
                incoming.delta_ms = time;
            }
            incoming.is_begun = true;
        }
        if incoming.length > self.message_max {
            return Err(ChunkError::TooLong {
                bytes: incoming.length,
                max: self.message_max,
            });
        }
        let rest = (incoming.length - incoming.body.len()).min(self.chunk_size);
        Ok(Some((id, rest)))
    }
}

fn number24(bytes: &[u8]) -> u32 {
    match bytes {
        [a, b, c, ..] => u32::from_be_bytes([0, *a, *b, *c]),
        _ => 0,
    }
}

/// Writes messages as chunks. Each begins with a whole header, which costs a few bytes and is understood by everybody.
#[derive(Clone, Copy, Debug)]
pub struct ChunkWriter {
    chunk_size: usize,
}

impl Default for ChunkWriter {
    fn default() -> Self {
        Self {
            chunk_size: CHUNK_SIZE_FIRST,
        }
    }
}

impl ChunkWriter {
    /// Writes chunks of this size from now on; the peer must have been told.
    pub fn set_chunk_size(&mut self, size: usize) {
        self.chunk_size = size.clamp(1, CHUNK_SIZE_MAX);
    }

    /// Writes a message on a chunk stream from 2 to 63. Its body is at most 16 MiB.
    pub fn write(&self, id: u8, message: &Message, output: &mut BytesMut) {
        self.write_part(id, message, 0, usize::MAX, output);
    }

    /// Writes whole chunks of a message, from its byte `from` on, until `output` has `bytes_max`; the byte at which it goes on. What is
    /// written between two parts is of other chunk streams.
    pub fn write_part(
        &self,
        id: u8,
        message: &Message,
        from: usize,
        bytes_max: usize,
        output: &mut BytesMut,
    ) -> usize {
        let is_extended = message.time_ms >= EXTENDED;
        let length = message.body.len();
        let most = (length - from).min(bytes_max);
        output.reserve(most + most / self.chunk_size * 5 + 32);
        let mut at = from;
        loop {
            if at == 0 {
                output.put_u8(id & 0x3f);
                output.put_uint(u64::from(message.time_ms.min(EXTENDED)), 3);
                output.put_uint(length as u64, 3);
                output.put_u8(message.kind);
                output.put_u32_le(message.stream);
            } else {
                output.put_u8(0xc0 | (id & 0x3f));
            }
            if is_extended {
                output.put_u32(message.time_ms);
            }
            let end = at.saturating_add(self.chunk_size).min(length);
            output.put_slice(&message.body[at..end]);
            at = end;
            if at == length || output.len() >= bytes_max {
                return at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = (u8, Message)> {
        let time = prop_oneof![0..100_000u32, 0xff_fff0..0x100_0010u32, any::<u32>()];
        let body = proptest::collection::vec(any::<u8>(), 0..2000);
        (2..6u8, 1..23u8, 0..3u32, time, body).prop_map(|(id, kind, stream, time_ms, body)| {
            let body = body.into();
            let message = Message {
                kind,
                stream,
                time_ms,
                body,
            };
            (id, message)
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_however_it_is_cut(
            messages in proptest::collection::vec(message(), 1..6),
            chunk_size in 1..3000usize,
            step in 1..500usize,
        ) {
            let mut writer = ChunkWriter::default();
            let mut reader = ChunkReader::new(1 << 16);
            writer.set_chunk_size(chunk_size);
            reader.set_chunk_size(chunk_size as u32).expect("a size");
            let mut bytes = BytesMut::new();
            for (id, message) in &messages {
                writer.write(*id, message, &mut bytes);
            }
            let mut read = Vec::new();
            let mut input = BytesMut::new();
            for piece in bytes.chunks(step) {
                input.extend_from_slice(piece);
                while let Some(message) = reader.next(&mut input).expect("chunks") {
                    read.push(message);
                }
            }
            let written: Vec<Message> = messages.into_iter().map(|(_, message)| message).collect();
            prop_assert_eq!(read, written);
            prop_assert_eq!(reader.begun, 0);
        }

        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..4096), step in 1..600usize) {
            let mut reader = ChunkReader::new(1 << 12);
            let mut input = BytesMut::new();
            'bytes: for piece in bytes.chunks(step) {
                input.extend_from_slice(piece);
                loop {
                    match reader.next(&mut input) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'bytes,
                    }
                }
                prop_assert!(reader.begun <= 6144 && reader.streams.len() <= STREAMS_MAX);
            }
        }
    }

    fn read_all(reader: &mut ChunkReader, bytes: &[u8]) -> Result<Vec<Message>, ChunkError> {
        let mut input = BytesMut::from(bytes);
        let mut all = Vec::new();
        while let Some(message) = reader.next(&mut input)? {
            all.push(message);
        }
        Ok(all)
    }

    #[test]
    fn sound_goes_between_the_pieces_of_a_picture() {
        let mut reader = ChunkReader::new(1 << 12);
        reader.set_chunk_size(4).expect("a size");
        let bytes = [
            &[6, 0, 0, 10, 0, 0, 6, 9, 1, 0, 0, 0, b'p', b'i', b'c', b't'][..],
            &[4, 0, 0, 9, 0, 0, 2, 8, 1, 0, 0, 0, b's', b'o'],
            &[0xc6, b'u', b'r'],
            // The next picture comes 40 ms later and is as long; then one of the same kind again.
            &[0x86, 0, 0, 40, b'm', b'o', b'r', b'e'],
            &[0xc6, b'!', b'!'],
            &[0xc6, b'l', b'a', b's', b't', 0xc6, b'!', b'!'],
        ]
        .concat();
        let all = read_all(&mut reader, &bytes).expect("chunks");
        let told: Vec<(u8, u32, &[u8])> = all
            .iter()
            .map(|message| (message.kind, message.time_ms, &message.body[..]))
            .collect();
        assert_eq!(
            told,
            [
                (8, 9, &b"so"[..]),
                (9, 10, b"pictur"),
                (9, 50, b"more!!"),
                (9, 90, b"last!!")
            ]
        );
    }

    #[test]
    fn what_is_only_said_costs_nothing_and_too_much_is_refused() {
        let mut reader = ChunkReader::new(1000);
        let long = [3, 0, 0, 0, 0xff, 0xff, 0xff, 9, 0, 0, 0, 0];
        assert!(matches!(
            read_all(&mut reader, &long),
            Err(ChunkError::TooLong { max: 1000, .. })
        ));
        let mut reader = ChunkReader::new(1000);
        let begun = |id: u8| [&[id, 0, 0, 0, 0, 3, 0xe8, 9, 0, 0, 0, 0][..], &[0; 128]].concat();
        let many: Vec<u8> = (2..30).flat_map(begun).collect();
        assert_eq!(read_all(&mut reader, &many), Err(ChunkError::TooMany));
        let mut reader = ChunkReader::new(1000);
        let empty = |id: u8| [0, id, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0];
        let many: Vec<u8> = (0..=STREAMS_MAX as u8).flat_map(empty).collect();
        assert_eq!(read_all(&mut reader, &many), Err(ChunkError::TooMany));
        let mut reader = ChunkReader::new(1000);
        assert_eq!(read_all(&mut reader, &[0xc3]), Err(ChunkError::NoHeader));
        assert!(reader.set_chunk_size(0).is_err());
        assert!(reader.set_chunk_size(u32::MAX).is_err());
    }
}
