//! Asks the API of a program that runs, for commands that change what it alone may change.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

/// How long a connection, and each step of an answer, is waited for.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// The longest answer that is taken whole, and the longest head of one that is not, in bytes.
const ANSWER_MAX: u64 = 16 << 20;
const HEAD_MAX: u64 = 64 << 10;

/// Who is asked.
pub(super) struct Client<'a> {
    /// `host:port`.
    host: String,
    token: Option<&'a str>,
}

impl<'a> Client<'a> {
    /// Asks the API at `http://host:port`.
    ///
    /// # Errors
    /// It is no such address.
    pub(super) fn new(url: &str, token: Option<&'a str>) -> anyhow::Result<Self> {
        let host = url
            .strip_prefix("http://")
            .map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let is_plain = |host: &&str| {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b'/')
        };
        let host = host.filter(is_plain).with_context(|| {
            format!("`{url}` is no address of an API; write it as http://host:port")
        })?;
        Ok(Self {
            host: host.to_owned(),
            token,
        })
    }

    /// The whole answer to a request.
    ///
    /// # Errors
    /// Nobody answers, or what the program says that is wrong.
    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        // The connection ends with the answer, which the API gives in one piece.
        let answer = self.send(method, path, "HTTP/1.1", &body);
        let answer = answer.and_then(|stream| {
            let mut answer = Vec::new();
            stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
            Ok(answer)
        });
        let answer = answer.with_context(|| self.silence())?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        self.answer(status(head), body)
    }

    /// Has a file read as it comes.
    ///
    /// # Errors
    /// Nobody answers, what the program says that is wrong, and what `take` says.
    pub(super) fn download<T>(
        &self,
        path: &str,
        take: impl FnOnce(&mut dyn Read) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        // In this version a file whose length is not known comes as it is, and ends with the connection.
        let stream = self.send("GET", path, "HTTP/1.0", "");
        let mut answer = BufReader::new(stream.with_context(|| self.silence())?);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let room = HEAD_MAX.saturating_sub(head.len() as u64);
            let count = (&mut answer).take(room).read_line(&mut head);
            if count.with_context(|| self.silence())? == 0 {
                break;
            }
        }
        if status(&head) == "200" {
            return take(&mut answer);
        }
        let mut body = String::new();
        let read = answer.take(ANSWER_MAX).read_to_string(&mut body);
        read.with_context(|| self.silence())?;
        self.answer(status(&head), &body)?;
        anyhow::bail!("http://{} gives no file", self.host)
    }

    fn silence(&self) -> String {
        format!("http://{} does not answer", self.host)
    }

    /// What an answer in JSON says.
    fn answer(&self, status: &str, body: &str) -> anyhow::Result<Value> {
        let answer: Value = serde_json::from_str(body)
            .with_context(|| format!("http://{} gives no answer of this program", self.host))?;
        if answer["success"] == true {
            return Ok(answer);
        }
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        if status == "401" {
            anyhow::bail!(
                "it asks for its API_TOKEN, which is taken from the settings of this command: {message}"
            );
        }
        anyhow::bail!("{message}")
    }

    /// Asks, and gives what the answer comes on.
    fn send(
        &self,
        method: &str,
        path: &str,
        version: &str,
        body: &str,
    ) -> std::io::Result<TcpStream> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        stream.set_write_timeout(Some(WAIT_MAX))?;
        let token = self.token.map_or_else(String::new, |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        let content = match body {
            "" => "",
            _ => "Content-Type: application/json\r\n",
        };
        let length = body.len();
        let host = &self.host;
        let request = format!(
            "{method} {path} {version}\r\nHost: {host}\r\nConnection: close\r\n{token}{content}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for address in self.host.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, WAIT_MAX) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The status in the head of an answer.
fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (url, host) in [
            ("http://10.0.0.7:4200", Some("10.0.0.7:4200")),
            ("http://localhost:1/", Some("localhost:1")),
            ("https://host:1", None),
            ("host:1", None),
            ("http://", None),
            ("http://host:1/stream", None),
            ("http://a\r\nb", None),
        ] {
            let client = Client::new(url, None).ok();
            assert_eq!(client.map(|client| client.host).as_deref(), host, "{url}");
        }
    }
}
