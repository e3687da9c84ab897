//! The table of settings: a row a setting, and nothing about it anywhere else.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use codec::{Acceleration, AudioCodec, Preset, VideoCodec};
use components::output::{ContainerName, RenditionSpec, SplitSpec};
use components::scene::FrameRate;

use super::access::{ApiToken, Origins, RedisPassword};
use super::log_levels::LogLevels;
use super::rule;
use super::sources::Given;
use super::stream_url::StreamUrl;
use super::streams::{self, InputPasswords, StreamKeys};
use super::values::{self, LogFormat, RenderQuality, Role};
use crate::store::RedisUrl;

/// One setting, as help texts and listings show it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Name in files and in the environment, for example `TARGET_FPS`.
    pub name: &'static str,
    /// Heading under which it is listed.
    pub group: &'static str,
    /// The value that holds when nobody gives one, as it would be written; empty where that means "none".
    pub default: &'static str,
    /// One sentence without its full stop.
    pub doc: &'static str,
    /// Completes "it must be ...", with unit and range.
    pub allowed: String,
    /// Whether its value must never be shown.
    pub is_secret: bool,
}

impl Setting {
    /// The flag's name without its dashes, for example `target-fps`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }
}

/// Every setting, in the order of the table.
#[must_use]
pub fn all() -> &'static [Setting] {
    &TABLE
}

/// The setting with this name, in any case.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    all()
        .iter()
        .find(|setting| setting.name.eq_ignore_ascii_case(name))
}

/// Makes of the rows: the struct, the list, and the function that reads the one from the other.
macro_rules! settings {
    ($($group:literal { $(
        #[doc = $doc:literal]
        $field:ident: $type:ty = $name:ident, $default:literal, $rule:expr;
    )+ })+) => {
        /// Every setting's value, checked. `Debug` shows no secret.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Settings {
            $($(
                #[doc = concat!($doc, ". `", stringify!($name), "`, default `", $default, "`.")]
                pub $field: $type,
            )+)+
            /// Stream keys of variables, which outputs name by `keyFrom`.
            pub stream_keys: StreamKeys,
            /// Passwords of cameras in variables, which scenes name by `passwordFrom`.
            pub input_passwords: InputPasswords,
            /// What the operator should hear though nothing is wrong enough to stop, such as a name in `.env` that looks mistyped.
            pub notes: Vec<String>,
        }

        static TABLE: LazyLock<Vec<Setting>> = LazyLock::new(|| {
            vec![$($({
                let rule: rule::Rule<$type> = $rule;
                Setting {
                    name: stringify!($name),
                    group: $group,
                    default: $default,
                    doc: $doc.trim_ascii(),
                    allowed: rule.allowed,
                    is_secret: rule.is_secret,
                }
            },)+)+]
        });

        /// Reads every value, so that every problem is found, and only then asks whether all of them are good.
        pub(super) fn read(given: &mut Given) -> Option<Settings> {
            $($(let $field: Option<$type> = given.read(stringify!($name), $default, &$rule);)+)+
            Some(Settings {
                $($($field: $field?,)+)+
                stream_keys: StreamKeys::default(),
                input_passwords: InputPasswords::default(),
                notes: Vec::new(),
            })
        }
    };
}

settings! {
    "Server" {
        /// HTTP port of the API, its page `/docs`, WebSocket, the player page and the live HLS files; 0 takes a free one
        port: u16 = PORT, "4200", rule::whole(0..=65_535, "");
        /// Port of WebSocket alone, which PORT has too at `/ws` and `/stream/events`; 0 takes a free one
        ws_port: u16 = WS_PORT, "4201", rule::whole(0..=65_535, "");
        /// HTTP port of `/metrics` for Prometheus; 0 takes a free one
        metrics_port: u16 = METRICS_PORT, "4290", rule::whole(0..=65_535, "");
        /// HTTP port of `/health`; 0 takes a free one
        health_port: u16 = HEALTH_PORT, "4291", rule::whole(0..=65_535, "");
        /// Address that the servers listen on; other than loopback it needs API_TOKEN
        bind: IpAddr = BIND, "127.0.0.1", rule::parsed("an IP address such as 127.0.0.1, 0.0.0.0 or ::");
        /// Token that the API and WebSocket ask for; none is asked for when empty
        api_token: Option<ApiToken> = API_TOKEN, "", rule::api_token();
        /// Origins whose pages may use the API from a browser
        cors_origins: Origins = CORS_ORIGINS, "", rule::origins();
        /// Requests a second from one address; more are answered with 429; 0 is no limit
        rate_limit: u32 = RATE_LIMIT, "5000", rule::whole(0..=1_000_000, "requests a second");
        /// Connections of each port at a time; more are closed at once
        max_connections: usize = MAX_CONNECTIONS, "4096", rule::whole(1..=100_000, "");
        /// Folder for the saved state, the live HLS files, recordings, uploaded assets and stream keys
        data_dir: PathBuf = DATA_DIR, "./data", rule::path();
    }
    "State" {
        /// Redis that the state is saved in, in the place of DATA_DIR/state.redb; it may hold a password and is never shown
        redis_url: Option<RedisUrl> = REDIS_URL, "", rule::redis_url();
        /// Password of Redis, in the place of one in REDIS_URL
        redis_password: Option<RedisPassword> = REDIS_PASSWORD, "", rule::redis_password();
        /// Name of the stream in Redis; programs with the same name share one state, and one of them leads
        stream_id: String = STREAM_ID, "main", rule::stream_id();
        /// Name or address by which the other instances of the stream reach this one's health port; empty is BIND, or the address on the way to Redis
        advertise_host: String = ADVERTISE_HOST, "", rule::host();
        /// What this program is where several share a stream in Redis: `auto` leads or waits to, `leader` leads or ends with an error, `standby` never leads
        role: Role = ROLE, "auto", rule::choice(&Role::NAMES);
    }
    "Fleet" {
        /// Name of the fleet in Redis whose channels `fleet run` carries, together with all others of this name
        fleet: String = FLEET, "main", rule::stream_id();
        /// Channels that `fleet run` carries at most, each in a process of its own
        fleet_capacity: usize = FLEET_CAPACITY, "1", rule::whole(1..=256, "channels");
        /// First port of the first channel under `fleet run`: API, and behind it WebSocket, metrics, health, RTMP; each further channel has its five 10 above
        fleet_port_base: u16 = FLEET_PORT_BASE, "4300", rule::whole(1024..=65_000, "");
    }
    "Picture" {
        /// Frame rate where the scene's canvas names none
        target_fps: FrameRate = TARGET_FPS, "30", rule::frame_rate();
        /// Layers that a scene may have
        max_layers: usize = MAX_LAYERS, "50", rule::whole(1..=1000, "");
        /// Films, cameras, publishers and sounds that are decoded at a time; each has a thread of its own
        max_inputs: usize = MAX_INPUTS, "16", rule::whole(1..=256, "");
        /// Memory for decoded pictures and fonts beside those on air, so that a scene that comes again is not decoded again; 0 keeps none
        asset_cache_mb: usize = ASSET_CACHE_MB, "256", rule::whole(0..=65_536, "MiB");
        /// Threads that compose the picture; 0 takes one for each core
        render_threads: usize = RENDER_THREADS, "0", rule::whole(0..=256, "");
        /// Frames allocated at start: one that is composed, one that is shown, and those on their way through the encoder
        pool_size: usize = POOL_SIZE, "16", rule::whole(4..=64, "frames");
    }
    "Encoding" {
        /// Encoder effort: low, medium and high stand for the presets superfast, veryfast and faster
        render_quality: RenderQuality = RENDER_QUALITY, "medium", rule::choice(&RenderQuality::NAMES);
        /// libx264 preset; when it is given, RENDER_QUALITY is not used
        stream_preset: Preset = STREAM_PRESET, "veryfast", rule::preset();
        /// Bitrate of the picture, constant
        stream_bitrate_kbps: u32 = STREAM_BITRATE, "4000", rule::bitrate(50..=200_000, "4000, 4000k or 4M");
        /// Codec of the picture; platforms take h264, and VP8 and VP9 go into WebM and Matroska files
        stream_codec: VideoCodec = STREAM_CODEC, "h264", rule::choice(&values::VIDEO_CODECS);
        /// Whether the stream has sound: the mix of its layers, or silence of the same length
        audio_enabled: bool = AUDIO_ENABLED, "true", rule::switch();
        /// Codec of the sound; platforms take aac
        audio_codec: AudioCodec = AUDIO_CODEC, "aac", rule::choice(&values::AUDIO_CODECS);
        /// Bitrate of the sound
        audio_bitrate_kbps: u32 = AUDIO_BITRATE, "128", rule::bitrate(32..=512, "128 or 128k");
        /// Hardware that encodes; where there is none, software does, and the log says so
        hwaccel: Acceleration = HWACCEL, "none", rule::choice(&values::ACCELERATIONS);
        /// Smaller renditions beside `main`, which is as large as the canvas: heights with kbit/s; each costs an encoder
        renditions: Vec<RenditionSpec> = RENDITIONS, "", rule::renditions();
    }
    "Outputs" {
        /// Where the stream is pushed; none when empty. It holds the stream key and is never shown
        stream_url: Option<StreamUrl> = STREAM_URL, "", rule::stream_url();
        /// Whether live HLS is written to DATA_DIR/hls and served on PORT
        hls: bool = HLS, "true", rule::switch();
        /// Whether the stream is recorded to DATA_DIR/recordings, about 1.9 GB an hour at the default bitrates
        recording: bool = RECORDING, "true", rule::switch();
        /// Layout of recordings
        recording_container: ContainerName = RECORDING_CONTAINER, "mp4", rule::choice(&streams::CONTAINERS);
        /// When a recording's file ends and the next begins; never when empty
        recording_split: Option<SplitSpec> = RECORDING_SPLIT, "", rule::split();
        /// Seconds of the program that are kept in memory, to be saved as a replay; 0 keeps none. 30 s at 4 Mbit/s are 15 MB
        replay_seconds: u32 = REPLAY_SECONDS, "30", rule::whole(0..=600, "seconds");
        /// Seconds from one thumbnail of the program to the next; 0 takes none. The newest 12 are kept, about 20 KB each
        thumbnail_interval_s: u32 = THUMBNAIL_INTERVAL, "10", rule::whole(0..=3600, "seconds");
        /// Frames of picture that an output may lag before it drops to the next keyframe
        max_queue_size: usize = MAX_QUEUE_SIZE, "60", rule::whole(2..=10_000, "frames");
        /// Reconnects in a row before an output gives up; 0 never gives up
        retry_attempts: u32 = RETRY_ATTEMPTS, "0", rule::whole(0..=1_000_000, "");
        /// Pause before the first reconnect; it grows with each failure
        retry_delay: Duration = RETRY_DELAY, "1000", rule::milliseconds(100..=600_000);
    }
    "RTMP server" {
        /// Port of RTMP, on which publishers send and players watch: /live/<key> and /live/program; 0 takes a free one, off is none
        rtmp_port: Option<u16> = RTMP_PORT, "1935", rule::port_or_off();
        /// Whether a player gets the picture and sound from the last keyframe on at once; otherwise it waits for the next keyframe
        gop_cache: bool = GOP_CACHE, "true", rule::switch();
        /// Bytes of the pieces in which messages go to players
        chunk_size: usize = CHUNK_SIZE, "60000", rule::whole(128..=65_536, "bytes");
        /// Seconds from one ping of a client to the next
        ping: Duration = PING, "30", rule::seconds(1..=3600);
        /// Seconds of silence after which a client is let go; longer than PING
        ping_timeout: Duration = PING_TIMEOUT, "60", rule::seconds(1..=7200);
        /// RTMP connections at a time; more are closed at once
        rtmp_connections: usize = RTMP_CONNECTIONS, "1024", rule::whole(1..=100_000, "");
        /// RTMP connections of one address at a time; more are closed at once
        rtmp_address_connections: usize = RTMP_ADDRESS_CONNECTIONS, "256", rule::whole(1..=100_000, "");
        /// What one publisher may send; one that sends more is read slower, and let go when it goes on
        rtmp_bandwidth_kbps: u32 = RTMP_BANDWIDTH, "50000", rule::bitrate(100..=1_000_000, "50000, 50000k or 50M");
        /// Time in which a publisher that was lost may come back with its key, and those who take it wait for it
        rtmp_grace: Duration = RTMP_GRACE, "5000", rule::milliseconds(100..=600_000);
    }
    "Logs" {
        /// Least level that is logged, also for a component alone: `info,streaming=debug`
        log_level: LogLevels = LOG_LEVEL, "info", rule::log_levels();
        /// Form of the log lines
        log_format: LogFormat = LOG_FORMAT, "text", rule::choice(&LogFormat::NAMES);
    }
}

/// Settings that belong to the product but do nothing in this release. Who gives one hears so.
pub(super) const NOT_YET: [&str; 1] = ["STREAM_RESOLUTION"];
