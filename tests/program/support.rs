//! What the program's tests share: temporary folders, a running program, polling under a limit.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// How long a test waits for what should come at once.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A folder that is removed at the end of its test.
pub struct TempFolder(pub PathBuf);

impl TempFolder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "stream-manager-test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The program, apart from whatever settings this machine has.
pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stream-manager"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .current_dir(folder);
    command
}

pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Flags that take a free port for every server.
pub const FREE_PORTS: [&str; 10] = [
    "--port",
    "0",
    "--ws-port",
    "0",
    "--metrics-port",
    "0",
    "--health-port",
    "0",
    "--rtmp-port",
    "0",
];

/// A program on the air, and the lines that it has logged.
pub struct OnAir {
    child: Child,
    lines: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl OnAir {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let errors = BufReader::new(child.stderr.take().unwrap());
        let shared = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                shared.0.lock().unwrap().push(line);
                shared.1.notify_all();
            }
        });
        Self { child, lines }
    }

    /// The first line that holds `words`, waited for under a limit.
    pub fn line(&self, words: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        let mut lines = self.lines.0.lock().unwrap();
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(words)) {
                return line.clone();
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            assert!(
                !rest.is_zero(),
                "no line holds `{words}`:\n{}",
                lines.join("\n")
            );
            lines = self.lines.1.wait_timeout(lines, rest).unwrap().0;
        }
    }

    pub fn all_lines(&self) -> String {
        self.lines.0.lock().unwrap().join("\n")
    }

    /// The port of the server called `name` in the line that tells the addresses.
    pub fn port(&self, name: &str) -> u16 {
        let line = self.line("listening");
        let start = line.find(&format!("{name}=")).unwrap();
        let url: String = line[start..]
            .chars()
            .take_while(|letter| !letter.is_whitespace())
            .collect();
        let digits: String = url
            .rsplit(':')
            .next()
            .unwrap()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        digits.parse().unwrap()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the end under a limit.
    pub fn end(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        let status = until("the program to end", || self.child.try_wait().unwrap());
        (status, start.elapsed())
    }
}

impl Drop for OnAir {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Polls `found` until it gives something, under a limit.
pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A plain HTTP GET on the loopback: status code and body.
pub fn get(port: u16, path: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let code = text(&answer[..head_end]).split(' ').nth(1)?.parse().ok()?;
    Some((code, answer[head_end + 4..].to_vec()))
}

/// `ffprobe` on a file or an address: the fields of its streams as JSON.
pub fn probe(target: &str) -> serde_json::Value {
    let output = run(Command::new("ffprobe").args([
        "-v",
        "error",
        "-show_streams",
        "-show_format",
        "-of",
        "json",
        target,
    ]));
    assert!(
        output.status.success(),
        "ffprobe {target}: {}",
        text(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A WAV file of samples of 16 bits.
pub fn wave(rate: u32, channels: u16, data: &[u8]) -> Vec<u8> {
    let frame_bytes = channels * 2;
    let mut wave = b"RIFF".to_vec();
    wave.extend((36 + data.len() as u32).to_le_bytes());
    wave.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    wave.extend(channels.to_le_bytes());
    wave.extend(rate.to_le_bytes());
    wave.extend((rate * u32::from(frame_bytes)).to_le_bytes());
    wave.extend(frame_bytes.to_le_bytes());
    wave.extend(b"\x10\0data");
    wave.extend((data.len() as u32).to_le_bytes());
    wave.extend(data);
    wave
}

/// A scene of 320x180 with one moving layer.
pub const SMALL_SCENE: &str = r##"{
  "version": 1, "name": "Small", "canvas": {"width": 320, "height": 180, "fps": 30, "background": "#102030"},
  "layers": [{"id": "box", "source": {"type": "color", "color": "#ff8000"}, "size": {"width": 80, "height": 60}, "position": {"x": 0, "y": 60}}],
  "timelines": [{"id": "move", "loop": "pingPong", "tracks": [
    {"layer": "box", "property": "position.x", "keyframes": [{"at": 0, "value": 0}, {"at": 1, "value": 240, "easing": "easeInOutSine"}]}
  ]}]
}"##;
