//! Whether a channel's process does its work: its `/health` is asked for, since one that hangs or was stopped does not end by itself, and
//! no other instance takes a channel whose instance is well.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// How often a process is asked.
const EVERY: Duration = Duration::from_secs(2);
/// How long it has for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// A process that was well, and is not so often in a row, does its work no more: that takes 10 to 20 s. Counted, since a supervisor that
/// was paused itself would measure its own pause.
pub const FAILURES_MAX: u32 = 5;
/// What is needed of the answer: `HTTP/1.1 200`.
const HEAD_BYTES: usize = 12;

/// Asks the server at this address until it has been well and then unwell for long; before it is well there is no limit, since a process
/// may wait for Redis. What it says is told each time, from the first good answer on.
pub async fn unwell(address: SocketAddr, told: impl Fn(bool)) {
    let address = reachable(address);
    let (mut was_well, mut failures) = (false, 0);
    while failures < FAILURES_MAX {
        sleep(EVERY).await;
        let is_well = timeout(ANSWER_MAX, ask(address)).await.unwrap_or(false);
        was_well |= is_well;
        failures = if is_well {
            0
        } else {
            failures + u32::from(was_well)
        };
        if was_well {
            told(is_well);
        }
    }
}

/// Who listens on every address is asked on the loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn ask(address: SocketAddr) -> bool {
    let head = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut head = [0; HEAD_BYTES];
        stream.read_exact(&mut head).await?;
        Ok::<_, std::io::Error>(head)
    };
    head.await.is_ok_and(|head| head.ends_with(b" 200"))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_a_good_answer_is_well() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = AtomicUsize::new(0);
        let serving = async {
            for answer in [
                "HTTP/1.1 200 OK\r\n\r\n",
                "HTTP/1.1 503 No\r\n\r\n",
                "HTTP/1.1",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 16];
                stream.read_exact(&mut request).await.unwrap();
                assert!(request.starts_with(b"GET /health "));
                stream.write_all(answer.as_bytes()).await.unwrap();
                asked.fetch_add(1, SeqCst);
            }
        };
        let asking = async {
            let every = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            assert_eq!(reachable(every), address);
            assert!(ask(address).await);
            assert!(!ask(address).await);
            assert!(!ask(address).await);
        };
        tokio::join!(serving, asking);
        assert_eq!(asked.load(SeqCst), 3);
        drop(listener);
        assert!(!ask(address).await, "nobody listens");
    }
}
