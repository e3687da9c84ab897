//! The world's side of inputs, and files to play.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use components::source::{AudioSource, VideoSource};
use crossbeam_channel::{Receiver, Sender, bounded};
use stream_manager::ingest::IngestHub;
use stream_manager::inputs::{InputNews, Inputs, Sources};
use stream_manager::scene::files::find_inside;
use systems::input::{
    InputDoor, InputEnds, InputOrder, InputSpec, InputStage, InputState, LivePicture, OpenInput,
    PICTURES_QUEUED, SOUND_QUEUED, SoundBlock, TimedPicture,
};

/// How long anything may take before a test fails.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Two seconds of frames whose luma tells their number, and a sine of 480 Hz, of which a second has whole periods.
pub const NUMBERED: &str = "-f lavfi -i color=black:s=320x180:r=30,format=yuv420p,geq=lum='16+N*3':cb=128:cr=128 \
                            -f lavfi -i sine=480:r=48000,volume=4 -t 2";

/// How often something is looked for.
const LOOK: Duration = Duration::from_millis(4);

/// Stands for the world.
pub struct World {
    pub folder: tempfile::TempDir,
    pub hub: IngestHub,
    pub inputs: Inputs,
    pub news: Arc<Mutex<Vec<InputNews>>>,
    requests: Sender<OpenInput>,
}

/// The near ends of one input.
pub struct Near {
    pub pictures: Receiver<TimedPicture>,
    pub sound: Receiver<Box<SoundBlock>>,
    pub orders: Sender<InputOrder>,
    pub state: Arc<InputState>,
    _gone: Sender<Infallible>,
    inputs: Inputs,
}

impl World {
    pub fn new() -> Self {
        Self::with_inputs(16)
    }

    pub fn with_inputs(inputs_max: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let hub = IngestHub::default();
        let news = Arc::<Mutex<Vec<InputNews>>>::default();
        let (requests, receiver) = bounded(256);
        let (place, heard) = (folder.path().to_owned(), Arc::clone(&news));
        let sources = Sources {
            files: Arc::new(move || {
                let place = place.clone();
                Arc::new(move |src: &str| {
                    find_inside(&place, src).map_err(|error| error.to_string())
                })
            }),
            password: Arc::new(|name| {
                (name == "RTSP_PASSWORD_TEST").then(|| "open sesame".to_owned())
            }),
            hub: hub.clone(),
            inputs_max,
            hear: Arc::new(move |news| heard.lock().expect("a lock").push(news)),
        };
        let door = InputDoor { requests: receiver };
        let inputs = Inputs::start(door, sources).expect("a thread");
        Self {
            folder,
            hub,
            inputs,
            news,
            requests,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn open(&self, layer: &str, spec: InputSpec) -> Near {
        self.open_with(layer, spec, Arc::default())
    }

    /// As offline work asks for it.
    pub fn open_offline(&self, layer: &str, spec: InputSpec) -> Near {
        let state = Arc::<InputState>::default();
        state.set_scales_late();
        self.open_with(layer, spec, state)
    }

    fn open_with(&self, layer: &str, spec: InputSpec, state: Arc<InputState>) -> Near {
        let (pictures, near_pictures) = bounded(PICTURES_QUEUED);
        let (sound, near_sound) = bounded(SOUND_QUEUED);
        let (near_orders, orders) = bounded(8);
        let (near_gone, gone) = bounded(0);
        let timeout = match &spec {
            InputSpec::Video(source) => Some(source.reception.timeout),
            InputSpec::Rtsp(source) => Some(source.reception.timeout),
            InputSpec::Ingest(source) => Some(source.reception.timeout),
            InputSpec::Audio(_) => None,
        };
        timeout
            .into_iter()
            .for_each(|seconds| state.set_timeout(seconds));
        let request = OpenInput {
            layer: layer.into(),
            spec,
            ends: InputEnds {
                pictures,
                sound,
                orders,
                gone,
                state: Arc::clone(&state),
            },
        };
        self.requests.send(request).expect("the manager");
        Near {
            pictures: near_pictures,
            sound: near_sound,
            orders: near_orders,
            state,
            _gone: near_gone,
            inputs: self.inputs.clone(),
        }
    }

    pub fn video(&self, src: &str) -> Near {
        self.open("film", video(src))
    }

    /// Writes a file into the folder by the ffmpeg program.
    pub fn ffmpeg(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.path(name);
        ffmpeg(&path, arguments);
        path
    }

    /// Waits until the view of a layer's input is as wanted.
    pub fn wait_for(
        &self,
        layer: &str,
        wanted: impl Fn(&stream_manager::inputs::InputView) -> bool,
    ) -> stream_manager::inputs::InputView {
        let begun = Instant::now();
        loop {
            let last = self.inputs.get(layer);
            if let Some(view) = last.clone().filter(&wanted) {
                return view;
            }
            assert!(begun.elapsed() < LIMIT, "in vain: {layer}: {last:#?}");
            std::thread::park_timeout(LOOK);
        }
    }
}

pub fn ffmpeg(path: &Path, arguments: &str) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
        .args(arguments.split_whitespace())
        .arg(path)
        .output()
        .expect("the ffmpeg program");
    assert!(
        output.status.success(),
        "{arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

pub fn video(src: &str) -> InputSpec {
    video_with(src, |_| {})
}

pub fn video_with(src: &str, change: impl FnOnce(&mut VideoSource)) -> InputSpec {
    let mut source: VideoSource =
        serde_json::from_value(serde_json::json!({"src": src})).expect("a source");
    change(&mut source);
    InputSpec::Video(source)
}

pub fn audio_with(src: &str, change: impl FnOnce(&mut AudioSource)) -> InputSpec {
    let mut source: AudioSource =
        serde_json::from_value(serde_json::json!({"src": src})).expect("a source");
    change(&mut source);
    InputSpec::Audio(source)
}

/// Polls until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "in vain: {what}");
        std::thread::park_timeout(LOOK);
    }
}

impl Near {
    /// The next picture.
    pub fn picture(&self) -> TimedPicture {
        self.pictures
            .recv_timeout(LIMIT)
            .unwrap_or_else(|_| panic!("no picture: {:#?}", self.inputs.list()))
    }

    /// Pictures until the film has ended, while the sound is taken as well.
    pub fn all(&self) -> (Vec<TimedPicture>, Vec<SoundBlock>) {
        let (mut pictures, mut sound) = (Vec::new(), Vec::new());
        until("the end", || {
            let stage = self.state.stage();
            assert_ne!(stage, InputStage::Failed, "{:#?}", self.inputs.list());
            let ended = stage == InputStage::Ended;
            pictures.extend(self.pictures.try_iter());
            sound.extend(self.sound.try_iter().map(|block| *block));
            ended.then_some(())
        });
        pictures.extend(self.pictures.try_iter());
        sound.extend(self.sound.try_iter().map(|block| *block));
        (pictures, sound)
    }

    /// As many pictures, and the sound that came with them.
    pub fn some(&self, count: usize) -> (Vec<TimedPicture>, Vec<SoundBlock>) {
        let (mut pictures, mut sound) = (Vec::new(), Vec::new());
        until("pictures", || {
            sound.extend(self.sound.try_iter().map(|block| *block));
            let missing = count - pictures.len();
            pictures.extend(self.pictures.try_iter().take(missing));
            (pictures.len() >= count).then_some(())
        });
        (pictures, sound)
    }
}

/// The samples of blocks, which must follow on, and the time of the first.
pub fn joined(blocks: &[SoundBlock]) -> (i64, Vec<[f32; 2]>) {
    let mut samples: Vec<[f32; 2]> = Vec::new();
    let start = blocks.first().map_or(0, |block| block.pts_us);
    for block in blocks {
        let due = start + samples.len() as i64 * 1_000_000 / 48_000;
        assert!(
            (block.pts_us - due).abs() <= 50,
            "at {due} us a block of {} us",
            block.pts_us
        );
        samples.extend(&block.frames[..usize::from(block.len)]);
    }
    (start, samples)
}

/// The number of a picture of a film whose luma is 16 and three times that.
pub fn number(picture: &LivePicture) -> i64 {
    (i64::from(yuv_at(picture, 100, 100)[0]) - 16).max(0) / 3
}

/// Luma, and both differences, at a place of an opaque picture.
pub fn yuv_at(picture: &LivePicture, x: usize, y: usize) -> [u8; 3] {
    let LivePicture::Planes(planes) = picture else {
        panic!("it has alpha");
    };
    let chroma = y / 2 * planes.chroma_stride() + x / 2;
    [
        planes.y()[y * planes.luma_stride() + x],
        planes.u()[chroma],
        planes.v()[chroma],
    ]
}

/// Red, green and blue at a place, by the equations of BT.709 (ITU-R BT.709-6, item 3) for limited range.
pub fn rgb_at(picture: &LivePicture, x: usize, y: usize) -> [f64; 3] {
    let [luma, blue, red] = yuv_at(picture, x, y).map(f64::from);
    let luma = (luma - 16.0) * 255.0 / 219.0;
    let (blue, red) = (
        (blue - 128.0) * 255.0 / 224.0,
        (red - 128.0) * 255.0 / 224.0,
    );
    [
        luma + 1.5748 * red,
        luma - 0.1873 * blue - 0.4681 * red,
        luma + 1.8556 * blue,
    ]
}
