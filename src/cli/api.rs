//! Asks the API of a program that runs, for commands that change what it alone may change.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

/// How long a connection, and each step of an answer, is waited for.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// The longest answer, in bytes.
const ANSWER_MAX: u64 = 16 << 20;

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
        let answer = self
            .send(method, path, &body)
            .with_context(|| format!("http://{} does not answer", self.host))?;
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).unwrap_or_default().to_owned();
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

    fn send(&self, method: &str, path: &str, body: &str) -> std::io::Result<Vec<u8>> {
        let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
        for address in self.host.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, WAIT_MAX) {
                Ok(stream) => return self.converse(stream, method, path, body),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn converse(
        &self,
        mut stream: TcpStream,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<Vec<u8>> {
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
        // The connection ends with the answer, which the API gives in one piece.
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{token}{content}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
        Ok(answer)
    }
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
