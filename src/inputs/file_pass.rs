//! One pass through a film: packets are read and decoded as far ahead as the ways to the world have room.
//!
//! Pictures wait decoded in their way and coded before it, so that the sound beside them is read in time however the file is
//! woven. Sound is given out no further than pictures were read, so that both can be made to end at one moment when the film loops.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use codec::{
    AudioDecoder, CodedPacket, DecodedPicture, Demuxer, PictureConverter, StreamKind, VideoDecoder,
};
use crossbeam_channel::{Select, TryRecvError, TrySendError};
use systems::input::{InputOrder, InputStage, PICTURES_QUEUED, SoundBlock, Stream, TimedPicture};

use super::facts::Facts;
use super::file::{Film, Place};
use super::leaps::Leaps;
use super::manager::lock;
use super::picture::{live_picture, unscaled_picture};
use super::showing::Showing;
use super::sound::{Blocks, duration_us, frames};
use super::{OPEN_TIMEOUT, Sources};

/// Pictures of our own at a time, made when they are needed: the 192 that the world may hold, those in the way, and some in hand.
pub(super) const PICTURES_MAX: usize = 192 + PICTURES_QUEUED + 8;
/// Blocks of sound that are decoded ahead: a second.
const SOUND_AHEAD: usize = 100;
/// Coded pictures that may wait while sound is read past them.
const STASH_PACKETS_MAX: usize = 2048;
/// Bytes of them.
const STASH_BYTES_MAX: usize = 32 << 20;
/// Sound that is not held back for its pictures any longer, in microseconds.
const SOUND_HELD_US_MAX: i64 = 3_000_000;
/// Sound that nobody takes, and that is left out then, in microseconds.
const SOUND_KEPT_US_MAX: i64 = 20_000_000;
/// Sound and picture that end less far apart end together, in microseconds.
const END_TOGETHER_US: i64 = 100_000;
/// How far ahead of a place in the film it is read, for decoders to swing in, in microseconds.
const SWING_IN_US: i64 = 100_000;
/// Times are rounded; what is nearer than this is the same moment, in microseconds.
const SAME_US: i64 = 500;
/// Pictures come out of order by less than this, in microseconds.
const REORDER_US: i64 = 1_000_000;
/// How long nothing is looked at while nobody takes anything.
const WAIT: Duration = Duration::from_millis(40);

/// How a pass ended.
pub(super) enum Passed {
    /// The film, or its out point, was reached; all of it has been given out.
    End,
    /// The world asks for another place.
    Order(InputOrder),
    /// A new connection is asked for.
    Anew,
    /// The layer has gone.
    Gone,
}

/// What decodes a film.
pub(super) struct Player {
    film: Film,
    sources: Sources,
    facts: Arc<Facts>,
    demuxer: Demuxer,
    video: Option<VideoDecoder>,
    audio: Option<AudioDecoder>,
    converter: Arc<Mutex<PictureConverter>>,
    /// The moment of the packets that is second 0 of the film.
    zero_us: i64,
    is_fresh: bool,
    stash: VecDeque<CodedPacket>,
    stash_bytes: usize,
    leaps: Leaps,
    /// Decoded pictures with their times for the world.
    ready: VecDeque<(i64, DecodedPicture)>,
    picture: Option<TimedPicture>,
    blocks: Blocks,
    block: Option<Box<SoundBlock>>,
    samples: Vec<[f32; 2]>,
}

/// Where a pass stands. Times are microseconds of the film.
struct Pass {
    place: Place,
    end_us: i64,
    /// The last picture before the beginning, which is seen there if no other begins at that moment.
    before: Option<DecodedPicture>,
    has_pictures: bool,
    /// Where the coded pictures that were read end.
    read_us: i64,
    sound_end_us: i64,
    video_is_over: bool,
    audio_is_over: bool,
    /// Nothing more is read.
    is_read: bool,
    /// The decoder of pictures is empty.
    is_drained: bool,
    /// How long it is; known when all is read.
    length_us: i64,
}

impl Player {
    pub(super) fn new(
        demuxer: Demuxer,
        film: &Film,
        sources: &Sources,
        facts: &Arc<Facts>,
    ) -> Result<Self, String> {
        let say = |error: codec::CodecError| error.to_string();
        let video = demuxer
            .video()
            .map(|stream| VideoDecoder::open(stream, false))
            .transpose()
            .map_err(say)?;
        let audio = match demuxer.audio().map(AudioDecoder::open).transpose() {
            Err(error) if video.is_some() => {
                facts.note_sound_error(&error.to_string());
                None
            }
            opened => opened.map_err(say)?,
        };
        Ok(Self {
            film: film.clone(),
            sources: sources.clone(),
            facts: Arc::clone(facts),
            zero_us: demuxer.start_us(),
            demuxer,
            video,
            audio,
            converter: Arc::new(Mutex::new(PictureConverter::new(PICTURES_MAX))),
            is_fresh: true,
            stash: VecDeque::new(),
            stash_bytes: 0,
            leaps: Leaps::default(),
            ready: VecDeque::new(),
            picture: None,
            blocks: Blocks::default(),
            block: None,
            samples: Vec::new(),
        })
    }

    /// Forgets what has not been given out.
    pub(super) fn clear(&mut self) {
        self.picture = None;
        self.block = None;
        self.blocks.clear();
    }

    /// Plays from `place` to the end, and moves `place` to where the next pass begins.
    pub(super) fn play(&mut self, showing: &Showing, place: &mut Place) -> Result<Passed, String> {
        let mut pass = self.begin(*place)?;
        loop {
            match showing.ends.orders.try_recv() {
                Ok(order) => return Ok(Passed::Order(order)),
                Err(TryRecvError::Disconnected) => return Ok(Passed::Gone),
                Err(TryRecvError::Empty) => {}
            }
            if self.facts.is_retry_wanted() {
                return Ok(Passed::Anew);
            }
            let Some(mut goes_on) = self.give(showing, place, &pass) else {
                return Ok(Passed::Gone);
            };
            goes_on |= self.take_picture(showing, &pass)?;
            goes_on |= self.decode(&mut pass)?;
            goes_on |= self.take_block(&pass);
            goes_on |= self.read(showing, &mut pass)?;
            if goes_on {
                continue;
            }
            if pass.is_drained && self.picture.is_none() && self.block.is_none() {
                if !pass.has_pictures && pass.sound_end_us <= pass.place.from_us {
                    return Err("nothing in it can be decoded".to_owned());
                }
                *place = Place::new(
                    pass.place.from_us + pass.length_us,
                    pass.place.at_us + pass.length_us,
                    pass.place.run,
                );
                return Ok(Passed::End);
            }
            self.wait(showing);
        }
    }

    fn begin(&mut self, place: Place) -> Result<Pass, String> {
        self.stash.clear();
        self.stash_bytes = 0;
        self.ready.clear();
        self.leaps.clear();
        if !self.is_fresh || place.from_us > 0 {
            let early_us = (place.from_us - SWING_IN_US).max(0);
            let sought = self.demuxer.seek(self.zero_us + early_us);
            // One that cannot be sought in is read from its beginning, once.
            if let Err(error) = sought
                && !self.is_fresh
            {
                return Err(error.to_string());
            }
            if let Some(video) = &mut self.video {
                video.flush();
            }
            if let Some(audio) = &mut self.audio {
                audio.flush();
            }
        }
        self.is_fresh = false;
        Ok(Pass {
            place,
            end_us: self.film.end_us.unwrap_or(i64::MAX),
            before: None,
            has_pictures: false,
            read_us: place.from_us,
            sound_end_us: place.from_us,
            video_is_over: self.video.is_none(),
            audio_is_over: self.audio.is_none(),
            is_read: false,
            is_drained: false,
            length_us: 0,
        })
    }

    /// Gives out what there is room for; whether anything was. `None` when the layer has gone.
    fn give(&mut self, showing: &Showing, place: &mut Place, pass: &Pass) -> Option<bool> {
        let mut gave = false;
        let mut newest_us = None;
        if let Some(picture) = self.picture.take() {
            let pts_us = picture.pts_us;
            match showing.ends.pictures.try_send(picture) {
                Ok(()) => (gave, newest_us) = (true, Some(pts_us)),
                Err(TrySendError::Full(picture)) => self.picture = Some(picture),
                Err(TrySendError::Disconnected(_)) => return None,
            }
        }
        if let Some(block) = self.block.take() {
            let pts_us = block.pts_us;
            let ends_us = pts_us + duration_us(usize::from(block.len));
            match showing.ends.sound.try_send(block) {
                Ok(()) => {
                    gave = true;
                    place.sound_us = pass.place.from_us + (ends_us - pass.place.at_us);
                    if self.video.is_none() {
                        newest_us = Some(ends_us);
                    }
                }
                Err(TrySendError::Full(block)) => self.block = Some(block),
                Err(TrySendError::Disconnected(_)) => return None,
            }
        }
        if gave {
            self.facts.note_live();
            showing.set_stage(InputStage::Live, None, &self.sources);
        }
        // Should the connection be lost, or another be asked for, it goes on here.
        if let Some(newest_us) = newest_us {
            place.from_us = pass.place.from_us + (newest_us - pass.place.at_us);
            place.at_us = newest_us;
            place.is_resumed = true;
        }
        Some(gave)
    }

    /// Makes the next decoded picture ready to be given out.
    fn take_picture(&mut self, showing: &Showing, pass: &Pass) -> Result<bool, String> {
        if self.picture.is_some() {
            return Ok(false);
        }
        let Some((pts_us, decoded)) = self.ready.pop_front() else {
            return Ok(false);
        };
        let natural = decoded.natural_size();
        if decoded.is_hdr() {
            self.facts.note_hdr(showing.entry.layer.as_str());
        }
        let state = &showing.ends.state;
        let picture = if state.scales_late() {
            unscaled_picture(decoded, &self.converter)
        } else {
            let wanted = state.wanted();
            let converted = lock(&self.converter).convert(&decoded, (wanted.width, wanted.height));
            match converted.map_err(|error| error.to_string())? {
                Some(picture) => live_picture(picture),
                None => {
                    self.ready.push_front((pts_us, decoded));
                    return Ok(false);
                }
            }
        };
        self.facts.note_picture(natural, None);
        self.picture = Some(TimedPicture {
            run: pass.place.run,
            pts_us,
            picture,
            natural,
        });
        Ok(true)
    }

    /// Decodes the next picture.
    fn decode(&mut self, pass: &mut Pass) -> Result<bool, String> {
        if !self.ready.is_empty() || pass.is_drained {
            return Ok(false);
        }
        let has_nothing = self.has_nothing_to_decode();
        let Some(decoder) = &mut self.video else {
            pass.is_drained = pass.is_read;
            return Ok(pass.is_drained);
        };
        if has_nothing && !pass.is_read {
            return Ok(false);
        }
        if let Some(packet) = self.stash.pop_front() {
            self.stash_bytes = self.stash_bytes.saturating_sub(packet.len());
            decoder.send(&packet).map_err(|error| error.to_string())?;
        } else if pass.is_read {
            decoder.end();
            pass.is_drained = true;
        } else {
            return Ok(false);
        }
        while let Some(picture) = self.video.as_mut().and_then(VideoDecoder::receive) {
            self.place_picture(picture, pass);
        }
        let broken = self.video.as_ref().map_or(0, VideoDecoder::broken);
        self.facts
            .broken
            .store(broken + self.demuxer.broken(), Relaxed);
        if pass.is_drained
            && let Some(last) = pass.before.take()
            && !pass.has_pictures
        {
            pass.has_pictures = true;
            self.ready.push_back((pass.place.at_us, last));
        }
        Ok(true)
    }

    /// Leaves out what lies before the in point or beyond the out point.
    fn place_picture(&mut self, picture: DecodedPicture, pass: &mut Pass) {
        let Some(pts_us) = picture.pts_us() else {
            return;
        };
        let film_us = pts_us - self.zero_us;
        if self.leaps.is_stray(film_us) {
            return;
        }
        let from_us = pass.place.from_us;
        if pass.place.is_resumed && film_us < from_us + SAME_US {
            pass.has_pictures = true;
            return;
        }
        if film_us < from_us - SAME_US {
            pass.before = Some(picture);
            return;
        }
        if film_us >= pass.end_us - SAME_US {
            return;
        }
        if let Some(before) = pass.before.take()
            && film_us > from_us + SAME_US
        {
            self.ready.push_back((pass.place.at_us, before));
        }
        pass.has_pictures = true;
        let at_us = pass.place.at_us + (film_us - from_us).max(0);
        self.ready.push_back((at_us, picture));
    }

    /// Makes the next block of sound ready to be given out.
    fn take_block(&mut self, pass: &Pass) -> bool {
        if self.block.is_some() {
            return false;
        }
        let is_held = self.video.is_some() && !pass.is_read && !pass.video_is_over;
        let until_us = if is_held && self.blocks.held_us() < SOUND_HELD_US_MAX {
            pass.place.at_us + (pass.read_us - pass.place.from_us)
        } else {
            i64::MAX
        };
        let mut block = self.blocks.next(until_us);
        if block.is_none() && pass.is_read && !self.film.loops {
            block = self.blocks.flushed();
        }
        self.block = block.map(|block| block_of(block, pass));
        self.block.is_some()
    }

    /// Reads the next packet where pictures or sound are wanted.
    fn read(&mut self, showing: &Showing, pass: &mut Pass) -> Result<bool, String> {
        if pass.is_read {
            return Ok(false);
        }
        let wants_picture =
            self.video.is_some() && self.has_nothing_to_decode() && self.ready.is_empty();
        let has_room = self.stash.len() < STASH_PACKETS_MAX && self.stash_bytes < STASH_BYTES_MAX;
        let wants_sound = self.audio.is_some()
            && has_room
            && self.block.is_none()
            && showing.ends.sound.len() < SOUND_AHEAD;
        if !wants_picture && !wants_sound {
            return Ok(false);
        }
        let silent_max = showing.ends.state.timeout().unwrap_or_default();
        self.demuxer.allow(silent_max.max(OPEN_TIMEOUT));
        let packet = match self.demuxer.read() {
            Ok(packet) => packet,
            // A file that breaks off has ended there.
            Err(error) if !self.film.is_remote => {
                self.facts.set_error(Some(&error.to_string()));
                None
            }
            Err(error) => return Err(error.to_string()),
        };
        match packet {
            Some(packet) => {
                self.facts.note_bytes(packet.len());
                match packet.kind() {
                    StreamKind::Video => self.stash(packet, pass),
                    StreamKind::Audio => self.hear(Some(&packet), pass)?,
                }
            }
            None => (pass.video_is_over, pass.audio_is_over) = (true, true),
        }
        if pass.video_is_over && pass.audio_is_over {
            self.finish(pass)?;
        }
        Ok(true)
    }

    /// Whether no coded picture is there whose time is known to be right.
    fn has_nothing_to_decode(&self) -> bool {
        self.stash.len() <= usize::from(self.leaps.is_pending())
    }

    fn stash(&mut self, packet: CodedPacket, pass: &mut Pass) {
        let film_us = packet
            .pts_us()
            .map_or(pass.read_us, |pts| pts - self.zero_us);
        if pass.video_is_over {
            return;
        }
        let frames_per_second = self
            .demuxer
            .video()
            .and_then(codec::MediaStream::frames_per_second);
        let usual_us = frames_per_second.map_or(0, |rate| (1_000_000.0 / rate).round() as i64);
        let lasts_us = if packet.duration_us() > 0 {
            packet.duration_us()
        } else {
            usual_us
        };
        let times = (film_us, film_us + lasts_us);
        pass.read_us = self.leaps.packet(times, pass.read_us, REORDER_US);
        if film_us >= pass.end_us.saturating_add(REORDER_US) && !self.leaps.is_pending() {
            pass.video_is_over = true;
            return;
        }
        self.stash_bytes += packet.len();
        self.stash.push_back(packet);
    }

    /// Decodes sound. What cannot be decoded at all is left out where there are pictures.
    fn hear(&mut self, packet: Option<&CodedPacket>, pass: &mut Pass) -> Result<(), String> {
        match self.decode_sound(packet, pass) {
            Err(error) if self.video.is_some() => {
                self.facts.note_sound_error(&error);
                (self.audio, pass.audio_is_over) = (None, true);
                Ok(())
            }
            heard => heard,
        }
    }

    /// Decodes a packet of sound, or what is left in the decoder.
    fn decode_sound(
        &mut self,
        packet: Option<&CodedPacket>,
        pass: &mut Pass,
    ) -> Result<(), String> {
        let Some(decoder) = &mut self.audio else {
            return Ok(());
        };
        let say = |error: codec::CodecError| error.to_string();
        match packet {
            Some(packet) => decoder.send(packet).map_err(say)?,
            None => decoder.end(),
        }
        let mut left_over = Vec::new();
        while let Some(pts_us) = decoder.receive(&mut self.samples).map_err(say)? {
            let film_us = pts_us - self.zero_us;
            let from_us = pass.place.from_us;
            let count = self.samples.len() as i64;
            let first = frames(pass.place.sound_us - film_us).clamp(0, count);
            let last = if pass.end_us == i64::MAX {
                count
            } else {
                frames(pass.end_us - film_us).clamp(0, count)
            };
            pass.audio_is_over |= last < count;
            if first >= last {
                continue;
            }
            let begins_us = film_us + duration_us(first as usize);
            let part = &self.samples[first as usize..last as usize];
            pass.sound_end_us = begins_us + duration_us(part.len());
            let at_us = pass.place.at_us + (begins_us - from_us);
            self.blocks
                .add(at_us, part, &mut |block| left_over.push(block));
        }
        // What stood before a gap is short of a block, and few.
        if let Some(block) = left_over.into_iter().next()
            && self.block.is_none()
        {
            self.block = Some(block_of(block, pass));
        }
        if self.blocks.held_us() > SOUND_KEPT_US_MAX {
            self.blocks.clear();
        }
        Ok(())
    }

    /// All is read: says how long the pass is, and has the sound end with it.
    fn finish(&mut self, pass: &mut Pass) -> Result<(), String> {
        pass.read_us = self.leaps.end(self.demuxer.duration_us(), pass.read_us);
        self.hear(None, pass)?;
        pass.is_read = true;
        let pictures_us = pass.read_us.min(pass.end_us);
        let sound_us = pass.sound_end_us.min(pass.end_us);
        let is_sound_longer = sound_us > pictures_us + END_TOGETHER_US;
        let end_us = if self.video.is_none() || is_sound_longer {
            sound_us
        } else {
            pictures_us
        };
        pass.length_us = (end_us - pass.place.from_us).max(0);
        let at_us = pass.place.at_us + pass.length_us;
        self.blocks.end_at(at_us, END_TOGETHER_US);
        Ok(())
    }

    /// Waits until something can be given out, or the world asks for something.
    fn wait(&self, showing: &Showing) {
        let mut select = Select::new();
        select.recv(&showing.ends.orders);
        if self.picture.is_some() {
            select.send(&showing.ends.pictures);
        }
        if self.block.is_some() {
            select.send(&showing.ends.sound);
        }
        let blocked = match (&self.picture, &self.block) {
            (Some(_), None) => Some(Stream::Picture),
            (None, Some(_)) => Some(Stream::Sound),
            _ => None,
        };
        showing.ends.state.set_blocked(blocked);
        let _ready = select.ready_timeout(WAIT);
        showing.ends.state.set_blocked(None);
    }
}

fn block_of(block: SoundBlock, pass: &Pass) -> Box<SoundBlock> {
    Box::new(SoundBlock {
        run: pass.place.run,
        ..block
    })
}
