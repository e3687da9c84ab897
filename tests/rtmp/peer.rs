//! The program with its RTMP server, clients of FFmpeg and GStreamer, and one that sends whatever a test wants.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value as Json;
use stream_manager::rtmp::amf::{self, Value};
use stream_manager::rtmp::chunk::{ChunkReader, ChunkWriter, Message};

use super::support::{
    FREE_PORTS, LIMIT, OnAir, SMALL_SCENE, TempFolder, get, program, run, text, until,
};

/// A program on the air.
pub struct Stage {
    pub folder: TempFolder,
    pub on_air: OnAir,
    pub api: u16,
    pub rtmp: u16,
}

impl Stage {
    pub fn new(more: &[&str]) -> Self {
        let folder = TempFolder::new();
        folder.write("scene.json", SMALL_SCENE);
        let mut command = program(&folder.0);
        command
            .args(["run", "scene.json", "--recording", "off"])
            .args(FREE_PORTS)
            .args(more);
        let on_air = OnAir::start(&mut command);
        let (api, rtmp) = (on_air.port("api"), on_air.port("rtmp"));
        Self {
            folder,
            on_air,
            api,
            rtmp,
        }
    }

    pub fn url(&self, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/live/{stream}", self.rtmp)
    }

    /// A key made on the command line: its `id`, and the key.
    pub fn key(&self, name: &str) -> (String, String) {
        let made = run(program(&self.folder.0).args(["keys", "add", "--name", name]));
        assert!(made.status.success(), "{}", text(&made.stderr));
        let line = text(&made.stdout);
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    pub fn ask(&self, path: &str) -> Json {
        let (code, body) = get(self.api, path).unwrap();
        assert_eq!(code, 200, "{path}");
        serde_json::from_slice::<Json>(&body).unwrap()["data"].clone()
    }

    pub fn delete(&self, path: &str) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.api)).unwrap();
        write!(
            stream,
            "DELETE {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// How many connections are of a kind.
    pub fn count(&self, kind: &str) -> usize {
        let sessions = self.ask("/stream/rtmp");
        let sessions = sessions["sessions"].as_array().unwrap().clone();
        sessions
            .iter()
            .filter(|session| session["kind"] == kind)
            .count()
    }

    /// Waits until so many connections are of a kind.
    pub fn until_count(&self, kind: &str, count: usize) {
        until(kind, || (self.count(kind) == count).then_some(()));
    }

    /// Makes a key of this name and has a camera publish with it: the camera, the key's `id`, and the key.
    pub fn publish(&self, name: &str) -> (Running, String, String) {
        let (id, key) = self.key(name);
        let camera = self.camera(&key);
        (camera, id, key)
    }

    /// A camera that publishes with a key by now.
    pub fn camera(&self, key: &str) -> Running {
        let before = self.count("publisher");
        let camera = Running::start(camera(600).arg(self.url(key)));
        self.until_count("publisher", before + 1);
        camera
    }

    /// FFmpeg as a player that shows nothing.
    pub fn player(&self, stream: &str) -> Running {
        let url = self.url(stream);
        Running::start(Command::new("ffmpeg").args(["-v", "error", "-i", &url, "-f", "null", "-"]))
    }

    pub fn frames(&self) -> u64 {
        self.ask("/stream/status")["frameCount"].as_u64().unwrap()
    }
}

/// A client program that is ended with its test.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// FFmpeg with a test picture and a tone, at the speed of a camera.
pub fn camera(seconds: u32) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-v",
        "error",
        "-re",
        "-f",
        "lavfi",
        "-i",
        "testsrc=size=320x180:rate=30",
    ]);
    command.args([
        "-f",
        "lavfi",
        "-i",
        "sine=sample_rate=48000",
        "-t",
        &seconds.to_string(),
    ]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "30",
        "-pix_fmt",
        "yuv420p",
    ]);
    command.args(["-c:a", "aac", "-f", "flv"]);
    command
}

/// A client of the test's own.
pub struct Peer {
    pub stream: TcpStream,
    writer: ChunkWriter,
    reader: ChunkReader,
    input: BytesMut,
}

impl Peer {
    /// Connects and shakes hands.
    pub fn connect(port: u16) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let hello: Vec<u8> = std::iter::once(3).chain([0; 1536]).collect();
        stream.write_all(&hello).unwrap();
        stream.read_exact(&mut vec![0; 1 + 2 * 1536]).unwrap();
        stream.write_all(&[0; 1536]).unwrap();
        Self {
            stream,
            writer: ChunkWriter::default(),
            reader: ChunkReader::new(1 << 20),
            input: BytesMut::new(),
        }
    }

    pub fn send(&mut self, kind: u8, time_ms: u32, body: impl Into<Bytes>) -> std::io::Result<()> {
        let message = Message {
            kind,
            stream: 1,
            time_ms,
            body: body.into(),
        };
        let mut output = BytesMut::new();
        self.writer.write(4, &message, &mut output);
        self.stream.write_all(&output)
    }

    pub fn command(&mut self, name: &str, object: Value, argument: &str) {
        let values = [
            Value::text(name),
            Value::Number(1.0),
            object,
            Value::text(argument),
        ];
        self.send(20, 0, amf::write(&values)).unwrap();
    }

    /// Connects to the application and publishes; the code of the answer.
    pub fn publish(&mut self, key: &str) -> String {
        self.ask_to_publish(key);
        self.status()
    }

    /// Connects to the application and asks to publish.
    pub fn ask_to_publish(&mut self, key: &str) {
        let object = Value::object([("app", Value::text("live"))]);
        self.command("connect", object, "");
        self.command("publish", Value::Null, key);
    }

    /// The code of the next status.
    pub fn status(&mut self) -> String {
        self.status_with("code")
    }

    /// What the next status says under a name.
    pub fn status_with(&mut self, name: &str) -> String {
        loop {
            let mut piece = [0; 4096];
            while let Some(message) = self.reader.next(&mut self.input).unwrap() {
                if message.kind == 1 {
                    let size = message.body.first_chunk::<4>().unwrap();
                    self.reader
                        .set_chunk_size(u32::from_be_bytes(*size))
                        .unwrap();
                }
                let values = amf::read(&message.body).unwrap_or_default();
                if values.first().and_then(Value::as_text) == Some("onStatus") {
                    let code = values[3].get(name).and_then(Value::as_text);
                    return code.unwrap().to_owned();
                }
            }
            let bytes = self.stream.read(&mut piece).unwrap();
            assert!(bytes > 0, "the server went without a word");
            self.input.extend_from_slice(&piece[..bytes]);
        }
    }

    /// Whether the server lets go, with or without a word.
    pub fn is_let_go(&mut self, limit: Duration) -> bool {
        self.stream.set_read_timeout(Some(limit)).unwrap();
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }
}

/// The packets of a file, as `ffprobe` counts them: kind, decoding time in seconds, whether it is a keyframe.
pub fn packets(path: &str) -> Vec<(String, f64, bool)> {
    let output = run(Command::new("ffprobe").args([
        "-v",
        "error",
        "-show_entries",
        "packet=codec_type,dts_time,flags",
        "-of",
        "json",
        path,
    ]));
    let json: Json = serde_json::from_slice(&output.stdout).unwrap();
    let packets = json["packets"].as_array().unwrap().iter();
    packets
        .map(|packet| {
            let time = packet["dts_time"].as_str().unwrap().parse().unwrap();
            let is_key = packet["flags"].as_str().unwrap().starts_with('K');
            (
                packet["codec_type"].as_str().unwrap().to_owned(),
                time,
                is_key,
            )
        })
        .collect()
}
