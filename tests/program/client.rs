//! A plain HTTP and WebSocket client, which shares no code with the server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::support::{LIMIT, until};

/// Asks one server.
#[derive(Clone)]
pub struct Client {
    pub port: u16,
    pub token: Option<&'static str>,
}

/// An answer: status, head and body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }
}

impl Answer {
    /// Whether the head has a field of this name in lower case and exactly this value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.head.lines().any(|line| {
            line.split_once(": ")
                .is_some_and(|(key, given)| key.to_ascii_lowercase() == name && given == value)
        })
    }
}

impl Client {
    pub fn new(port: u16) -> Self {
        Self { port, token: None }
    }

    /// Sends a request as it is written; the server closes the connection.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        // A server that refuses early may close before everything is sent.
        let _sent = stream.write_all(request);
        let mut answer = Vec::new();
        let _ended = stream.read_to_end(&mut answer);
        let end = answer
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&answer)));
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let mut body = answer[end + 4..].to_vec();
        if head
            .to_ascii_lowercase()
            .contains("transfer-encoding: chunked")
        {
            body = unchunked(&body);
        }
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head,
            body,
        }
    }

    /// A request with any body.
    pub fn send(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> Answer {
        let token = self.token.map_or_else(String::new, |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        let content = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Type: {media_type}\r\n")
        };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{token}{content}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.raw(&request)
    }

    /// A request to a server that may be killed meanwhile: the status, if there was an answer.
    pub fn try_send(&self, method: &str, path: &str, body: &[u8]) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        let head = std::str::from_utf8(answer.get(..12)?).ok()?;
        head.split(' ').nth(1)?.parse().ok()
    }

    /// A request with a JSON body, or with none when it is null.
    pub fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() {
            Vec::new()
        } else {
            body.to_string().into_bytes()
        };
        let answer = self.send(method, path, "application/json", &body);
        (answer.status, answer.json())
    }

    /// A request that must succeed: its whole answer.
    pub fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert!(
            (200..300).contains(&status) && answer["success"] == true,
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    pub fn get(&self, path: &str) -> Value {
        self.ok("GET", path, Value::Null)["data"].take()
    }

    /// Waits until the instance answers as the one that leads.
    pub fn leads(&self) {
        until("it to lead", || {
            let answer = self.send("GET", "/stream/status", "", &[]);
            (answer.status == 200 && answer.json()["data"]["role"] == "leader").then_some(())
        });
    }

    pub fn revision(&self) -> u64 {
        self.get("/stream/status")["revision"].as_u64().unwrap()
    }

    /// Opens a WebSocket.
    pub fn socket(&self, path: &str) -> Socket {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let url = format!("ws://localhost:{}{path}", self.port);
        let (socket, _) = tungstenite::client(url, stream).unwrap();
        Socket {
            socket,
            next_id: 1,
            aside: Vec::new(),
        }
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(end) = body.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 2 + size + 2..];
    }
    whole
}

/// A WebSocket whose answers and events are told apart.
pub struct Socket {
    socket: WebSocket<TcpStream>,
    next_id: u64,
    /// Events that came while an answer was waited for.
    aside: Vec<Value>,
}

impl Socket {
    pub fn send(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    /// Sends what the program may close the connection over before it has all come.
    pub fn send_too_much(&mut self, message: Message) {
        let _cut_off = self.socket.send(message);
    }

    /// The next message that is JSON.
    pub fn next(&mut self) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            assert!(Instant::now() < deadline, "no message came");
            if let Message::Text(text) = self.socket.read().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Sends a message with an id and waits for its answer.
    pub fn ask(&mut self, mut message: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        message["id"] = id.into();
        self.send(Message::text(message.to_string()));
        loop {
            let answer = self.next();
            if answer["id"] == id {
                return answer;
            }
            self.aside.push(answer);
        }
    }

    /// The next event of a kind; others are left out.
    pub fn event(&mut self, kind: &str) -> Value {
        let deadline = Instant::now() + LIMIT;
        loop {
            let event = if self.aside.is_empty() {
                self.next()
            } else {
                self.aside.remove(0)
            };
            if event["event"] == kind {
                return event;
            }
            assert!(Instant::now() < deadline, "no `{kind}` came");
        }
    }

    /// Whether the other side closes.
    pub fn is_closed(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if self.socket.read().is_err() {
                return true;
            }
        }
        false
    }
}

/// A coloured box, as a layer.
pub fn a_box(id: &str, x: u32, y: u32, side: u32, colour: &str) -> Value {
    json!({
        "id": id, "position": {"x": x, "y": y}, "size": {"width": side, "height": side},
        "source": {"type": "color", "color": colour},
    })
}
