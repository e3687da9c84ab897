//! A live input: decoded as it comes, for all layers that show it, and connected anew for ever.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use codec::{
    AudioDecoder, CodedPacket, DecodedPicture, MediaStream, PictureConverter, StreamKind,
    VideoDecoder,
};
use systems::input::{InputStage, LivePicture, SoundBlock};

use super::clock::LiveClock;
use super::facts::Facts;
use super::file_pass::PICTURES_MAX;
use super::manager::lock;
use super::picture::live_picture;
use super::showing::Showing;
use super::sound::Blocks;
use super::{LOOK_EVERY, OPEN_TIMEOUT, RETRY_DELAY, Sources};
use crate::streaming::backoff_delay;

/// Sizes in which one input is made ready at a time; further layers get it in the first of them.
const SIZES_MAX: usize = 4;

/// What comes from a live source.
pub(super) enum LiveItem {
    /// Times begin anew.
    Begun,
    /// Pictures of this kind follow.
    Video(MediaStream),
    /// Sound of this kind follows.
    Audio(MediaStream),
    /// A packet.
    Packet(CodedPacket),
    /// Packets are missing, up to a keyframe.
    Lost,
    /// Nothing comes for now; the source tells when it does again.
    Gone(String),
}

/// Where live packets come from.
pub(super) trait LiveSource: Send {
    /// Connects, or begins to.
    fn connect(&mut self, facts: &Facts) -> Result<(), String>;
    /// What comes next; `None` when nothing came for `timeout`. A source that cannot look so often fails when nothing came for
    /// `silent_max`.
    fn next(&mut self, timeout: Duration, silent_max: Duration)
    -> Result<Option<LiveItem>, String>;
    /// Whether silence is no reason to connect anew, as the source tells of its return.
    fn is_patient(&self) -> bool;
}

/// Layers that are to show an input that is there already.
#[derive(Debug, Default)]
pub(super) struct Joins(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    has_ended: bool,
    showings: Vec<Showing>,
}

impl Joins {
    /// Has a layer show it too; gives it back when the decoder has ended.
    pub(super) fn join(&self, showing: Showing) -> Result<(), Box<Showing>> {
        let mut waiting = lock(&self.0);
        if waiting.has_ended {
            return Err(Box::new(showing));
        }
        waiting.showings.push(showing);
        Ok(())
    }
}

/// Decodes a live source for layers.
pub(super) struct LiveInput<S> {
    source: S,
    showings: Vec<Showing>,
    joins: Arc<Joins>,
    sources: Sources,
    facts: Arc<Facts>,
    clock: LiveClock,
    video: Option<VideoDecoder>,
    audio: Option<AudioDecoder>,
    converters: Vec<((u32, u32), PictureConverter)>,
    /// Room for one picture in all of its sizes.
    made: Vec<((u32, u32), Option<LivePicture>)>,
    blocks: Blocks,
    samples: Vec<[f32; 2]>,
    was_live: bool,
    is_live: bool,
    /// Packets and pictures that decoders before these could not decode.
    broken_before: u64,
}

impl<S: LiveSource> LiveInput<S> {
    pub(super) fn new(
        showing: Showing,
        source: S,
        sources: Sources,
        facts: Arc<Facts>,
        joins: Arc<Joins>,
    ) -> Self {
        Self {
            source,
            showings: vec![showing],
            joins,
            sources,
            facts,
            clock: LiveClock::default(),
            video: None,
            audio: None,
            converters: Vec::new(),
            made: Vec::with_capacity(SIZES_MAX),
            blocks: Blocks::default(),
            samples: Vec::new(),
            was_live: false,
            is_live: false,
            broken_before: 0,
        }
    }

    /// Returns when all layers have gone.
    pub(super) fn run(&mut self) {
        let mut failures = 0;
        while self.look() {
            let begun = Instant::now();
            match self.session() {
                Ok(()) => {
                    self.facts.note_anew();
                    failures = 0;
                }
                Err(error) => {
                    if !self.look() {
                        return;
                    }
                    failures = if self.is_live || begun.elapsed() > self.timeout() * 2 {
                        1
                    } else {
                        failures + 1
                    };
                    self.lost(&error);
                    let until = Instant::now() + backoff_delay(RETRY_DELAY, failures);
                    while Instant::now() < until && !self.facts.is_retry_wanted() {
                        if !self.look() {
                            return;
                        }
                        let left = until.saturating_duration_since(Instant::now());
                        std::thread::sleep(left.min(LOOK_EVERY));
                    }
                }
            }
        }
    }

    /// How long it may be silent: as long as the most patient of its layers says, by now.
    fn timeout(&self) -> Duration {
        let timeouts = self.showings.iter();
        let timeouts = timeouts.filter_map(|showing| showing.ends.state.timeout());
        timeouts.max().unwrap_or(OPEN_TIMEOUT).max(LOOK_EVERY)
    }

    /// One connection, until it is lost, another is asked for, or all layers have gone.
    fn session(&mut self) -> Result<(), String> {
        self.facts.take_retry();
        self.begin();
        self.source.connect(&self.facts)?;
        let mut heard = Instant::now();
        loop {
            if !self.look() || self.facts.is_retry_wanted() {
                return Ok(());
            }
            let timeout = self.timeout();
            let Some(item) = self.source.next(LOOK_EVERY, timeout.max(OPEN_TIMEOUT))? else {
                if heard.elapsed() < timeout {
                    continue;
                }
                let error = format!("nothing came for {:.1} s", timeout.as_secs_f32());
                if !self.source.is_patient() {
                    return Err(error);
                }
                if self.is_live {
                    self.lost(&error);
                    // Nothing of it was lost so far: its decoders can go on from where they are.
                    self.clock.begin();
                    self.blocks.clear();
                }
                continue;
            };
            if matches!(item, LiveItem::Packet(_)) {
                heard = Instant::now();
            }
            self.take(item)?;
        }
    }

    fn take(&mut self, item: LiveItem) -> Result<(), String> {
        match item {
            LiveItem::Begun => self.begin(),
            LiveItem::Video(stream) => {
                self.facts.note_video(&stream);
                self.count_broken(true);
                let opened = VideoDecoder::open(&stream, true);
                self.video = Some(opened.map_err(|error| error.to_string())?);
            }
            LiveItem::Audio(stream) => {
                self.facts.note_audio(&stream);
                self.count_broken(true);
                self.audio = AudioDecoder::open(&stream)
                    .inspect_err(|error| self.facts.note_sound_error(&error.to_string()))
                    .ok();
            }
            LiveItem::Packet(packet) => {
                self.facts.note_bytes(packet.len());
                match packet.kind() {
                    StreamKind::Video => self.decode_video(&packet)?,
                    StreamKind::Audio => self.decode_audio(&packet),
                }
                self.count_broken(false);
            }
            LiveItem::Lost => {
                if let Some(video) = &mut self.video {
                    video.flush();
                }
            }
            LiveItem::Gone(reason) => {
                if self.was_live {
                    self.lost(&reason);
                }
                self.begin();
            }
        }
        Ok(())
    }

    /// Lets go of what was, and has times go on from now.
    fn begin(&mut self) {
        self.clock.begin();
        self.blocks.clear();
        if let Some(video) = &mut self.video {
            video.flush();
        }
        if let Some(audio) = &mut self.audio {
            audio.flush();
        }
    }

    fn decode_video(&mut self, packet: &CodedPacket) -> Result<(), String> {
        let Some(decoder) = &mut self.video else {
            return Ok(());
        };
        decoder.send(packet).map_err(|error| error.to_string())?;
        while let Some(picture) = self.video.as_mut().and_then(VideoDecoder::receive) {
            let Some(source_us) = picture.pts_us() else {
                continue;
            };
            let pts_us = self.clock.map(0, source_us, Instant::now());
            self.show(&picture, pts_us)?;
        }
        Ok(())
    }

    /// Gives a picture to every layer, at the size at which it shows it.
    fn show(&mut self, picture: &DecodedPicture, pts_us: i64) -> Result<(), String> {
        let natural = picture.natural_size();
        self.facts.note_picture(natural, Some(pts_us));
        if picture.is_hdr()
            && let Some(showing) = self.showings.first()
        {
            self.facts.note_hdr(showing.entry.layer.as_str());
        }
        self.mark_live();
        let mut made = std::mem::take(&mut self.made);
        for index in 0..self.showings.len() {
            let state = &self.showings[index].ends.state;
            let wanted = state.wanted();
            let mut size = (wanted.width, wanted.height);
            if self.showings[index].ends.pictures.is_full() {
                state.pictures_dropped.fetch_add(1, Relaxed);
                continue;
            }
            if made.len() == SIZES_MAX && made.iter().all(|(made, _)| *made != size) {
                size = made[0].0;
            }
            if made.iter().all(|(made, _)| *made != size) {
                let converted = self
                    .converter(size)
                    .convert(picture, size)
                    .map_err(|error| error.to_string())?;
                made.push((size, converted.map(live_picture)));
            }
            let found = made.iter().find(|(made, _)| *made == size);
            match found {
                Some((_, Some(picture))) => {
                    self.showings[index].offer_picture(pts_us, picture.clone(), natural);
                }
                _ => {
                    let state = &self.showings[index].ends.state;
                    state.pictures_dropped.fetch_add(1, Relaxed);
                }
            }
        }
        if self.converters.len() > SIZES_MAX {
            self.converters
                .retain(|(size, _)| made.iter().any(|(made, _)| made == size));
        }
        made.clear();
        self.made = made;
        Ok(())
    }

    fn converter(&mut self, size: (u32, u32)) -> &mut PictureConverter {
        let index = match self.converters.iter().position(|(other, _)| *other == size) {
            Some(index) => index,
            None => {
                self.converters
                    .push((size, PictureConverter::new(PICTURES_MAX)));
                self.converters.len() - 1
            }
        };
        &mut self.converters[index].1
    }

    /// Decodes sound. What cannot be decoded at all is left out, and the pictures go on.
    fn decode_audio(&mut self, packet: &CodedPacket) {
        if let Err(error) = self.try_decode_audio(packet) {
            self.facts.note_sound_error(&error.to_string());
            self.audio = None;
        }
    }

    fn try_decode_audio(&mut self, packet: &CodedPacket) -> Result<(), codec::CodecError> {
        let Some(decoder) = &mut self.audio else {
            return Ok(());
        };
        decoder.send(packet)?;
        while let Some(source_us) = decoder.receive(&mut self.samples)? {
            let pts_us = self.clock.map(1, source_us, Instant::now());
            let showings = &self.showings;
            let mut give = |block: SoundBlock| {
                for showing in showings {
                    showing.offer_sound(&block);
                }
            };
            self.blocks.add(pts_us, &self.samples, &mut give);
            self.blocks.take(i64::MAX, &mut give);
        }
        if self.video.is_none() {
            self.mark_live();
        }
        Ok(())
    }

    fn mark_live(&mut self) {
        if !self.is_live {
            (self.is_live, self.was_live) = (true, true);
            self.facts.note_live();
        }
        for showing in &self.showings {
            showing.set_stage(InputStage::Live, None, &self.sources);
        }
    }

    fn lost(&mut self, error: &str) {
        self.is_live = false;
        self.facts.note_lost(error);
        let stage = if self.was_live {
            InputStage::Reconnecting
        } else {
            InputStage::Failed
        };
        for showing in &self.showings {
            showing.set_stage(stage, Some(error), &self.sources);
        }
    }

    fn count_broken(&mut self, is_last: bool) {
        let video = self.video.as_ref().map_or(0, VideoDecoder::broken);
        let audio = self.audio.as_ref().map_or(0, AudioDecoder::broken);
        let broken = self.broken_before + video + audio;
        self.facts.broken.store(broken, Relaxed);
        if is_last {
            self.broken_before = broken;
        }
    }

    /// Takes in layers that join, and lets go of those that have gone; `false` when none is left.
    fn look(&mut self) -> bool {
        let mut waiting = lock(&self.joins.0);
        self.showings.append(&mut waiting.showings);
        self.showings.retain_mut(|showing| !showing.is_gone());
        waiting.has_ended = self.showings.is_empty();
        !waiting.has_ended
    }
}

#[cfg(test)]
mod tests {
    use components::source::IngestSource;
    use crossbeam_channel::bounded;
    use systems::input::{InputEnds, InputSpec, InputState};

    use super::super::showing::Entry;
    use super::*;
    use crate::ingest::IngestHub;

    struct Nothing;

    impl LiveSource for Nothing {
        fn connect(&mut self, _: &Facts) -> Result<(), String> {
            Ok(())
        }
        fn next(&mut self, _: Duration, _: Duration) -> Result<Option<LiveItem>, String> {
            Ok(None)
        }
        fn is_patient(&self) -> bool {
            true
        }
    }

    fn showing() -> Showing {
        let source: IngestSource = serde_json::from_str(r#"{"key": "guest"}"#).expect("a source");
        let state = Arc::<InputState>::default();
        let ends = InputEnds {
            pictures: bounded(1).0,
            sound: bounded(1).0,
            orders: bounded(1).1,
            gone: bounded(0).1,
            state: Arc::clone(&state),
        };
        let spec = InputSpec::Ingest(source);
        let entry = Entry::new("guest".into(), &spec, state, Arc::default());
        Showing::new(Arc::new(entry), ends)
    }

    #[test]
    fn the_most_patient_layer_says_for_how_long_it_may_be_silent() {
        let (first, second) = (showing(), showing());
        let states = [&first, &second].map(|showing| Arc::clone(&showing.ends.state));
        let sources = Sources {
            files: Arc::new(|| Arc::new(|_: &str| Err(String::new()))),
            password: Arc::new(|_| None),
            hub: IngestHub::default(),
            inputs_max: 1,
            hear: Arc::new(|_| {}),
        };
        let mut input = LiveInput::new(first, Nothing, sources, Arc::default(), Arc::default());
        assert_eq!(input.timeout(), OPEN_TIMEOUT);
        states[0].set_timeout(0.5);
        states[1].set_timeout(30.0);
        assert_eq!(input.timeout(), Duration::from_millis(500));
        input.showings.push(second);
        assert_eq!(input.timeout(), Duration::from_secs(30));
        states[1].set_timeout(0.2);
        assert_eq!(input.timeout(), Duration::from_millis(500));
    }
}
