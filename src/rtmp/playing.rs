//! Somebody who watches: what is next of a feed, written piece by piece, so that a player that does not read keeps little.

use bytes::BytesMut;

use super::chunk::{ChunkWriter, Message};
use super::feed::{Kind, Media, Place};

/// What is written at once, and a chunk more.
pub(super) const WRITE_BYTES: usize = 64 << 10;
/// What is taken from a feed at once, and a message more. Its bytes are the feed's own.
const TAKE_BYTES: usize = 64 << 10;

/// Somebody who watches.
pub(super) struct Playing {
    pub(super) place: Place,
    /// The time of the first message, which is nought for the player.
    start_ms: Option<i64>,
    skips: u64,
    taken: std::vec::IntoIter<Media>,
    /// The message that is being written: on which chunk stream, and how many of its bytes are.
    current: Option<(u8, Message, usize)>,
}

/// What follows after some was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// More, at once.
    More,
    /// More, when something comes.
    Waits,
    /// Nothing.
    End,
}

impl Playing {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            start_ms: None,
            skips: 0,
            taken: Vec::new().into_iter(),
            current: None,
        }
    }

    /// Writes what is next, until `output` has [`WRITE_BYTES`]. It ends with a whole chunk, so other messages may follow.
    pub(super) fn fill(&mut self, writer: ChunkWriter, output: &mut BytesMut) -> Next {
        while output.len() < WRITE_BYTES {
            if let Some((id, message, written)) = &mut self.current {
                *written = writer.write_part(*id, message, *written, WRITE_BYTES, output);
                if *written < message.body.len() {
                    return Next::More;
                }
                self.current = None;
            } else if let Some(media) = self.taken.next() {
                self.current = Some(self.message(media));
            } else {
                let mut taken = Vec::new();
                if !self.place.take(&mut taken, TAKE_BYTES) {
                    return Next::End;
                }
                if taken.is_empty() {
                    return Next::Waits;
                }
                self.taken = taken.into_iter();
            }
        }
        Next::More
    }

    /// How often it was brought to a keyframe since this was asked last.
    pub(super) fn skipped(&mut self) -> u64 {
        let skips = self.place.skips();
        skips - std::mem::replace(&mut self.skips, skips)
    }

    fn message(&mut self, media: Media) -> (u8, Message, usize) {
        let start_ms = *self.start_ms.get_or_insert(media.time_ms);
        let (id, kind) = match media.kind {
            Kind::Data => (4, 18),
            Kind::VideoHeader | Kind::Key | Kind::Picture => (6, 9),
            Kind::AudioHeader | Kind::Sound => (5, 8),
        };
        let message = Message {
            kind,
            stream: 1,
            // 32 bits, which begin again after 49 days.
            time_ms: (media.time_ms - start_ms).max(0) as u32,
            body: media.body,
        };
        (id, message, 0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::rtmp::chunk::ChunkReader;
    use crate::rtmp::feed::{FEED_BYTES_MAX, Feed};

    #[test]
    fn a_large_picture_goes_out_in_small_pieces() {
        let feed = Arc::new(Feed::default());
        feed.begin();
        let mut playing = Playing::new(feed.join(true));
        let sizes = [3, FEED_BYTES_MAX / 2, 70_000, 0, 5];
        for (index, bytes) in (0..).zip(sizes) {
            feed.push(Media {
                kind: if index == 0 { Kind::Key } else { Kind::Picture },
                time_ms: 1000 + index,
                body: vec![index as u8; bytes].into(),
            });
        }
        let mut writer = ChunkWriter::default();
        let mut reader = ChunkReader::new(FEED_BYTES_MAX);
        writer.set_chunk_size(60_000);
        reader.set_chunk_size(60_000).expect("a size");
        let (mut output, mut input) = (BytesMut::new(), BytesMut::new());
        let mut read = Vec::new();
        loop {
            let next = playing.fill(writer, &mut output);
            assert!(
                output.len() <= WRITE_BYTES + 60_000 + 64,
                "{}",
                output.len()
            );
            // Other messages between its pieces.
            let ping = Message {
                kind: 4,
                stream: 0,
                time_ms: 0,
                body: vec![0, 6].into(),
            };
            writer.write(2, &ping, &mut output);
            input.extend_from_slice(&output);
            output.clear();
            while let Some(message) = reader.next(&mut input).expect("chunks") {
                if message.kind == 9 {
                    read.push((message.time_ms, message.body.len()));
                }
            }
            if next == Next::Waits {
                break;
            }
        }
        assert_eq!(read, (0..).zip(sizes).collect::<Vec<_>>());
        assert_eq!(playing.fill(writer, &mut output), Next::Waits);
        feed.end();
        assert_eq!(playing.fill(writer, &mut output), Next::End);
    }
}
