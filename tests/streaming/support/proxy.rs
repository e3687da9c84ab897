//! A TCP proxy that is slow, or cuts connections off, as it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::after;

#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    rules: Arc<Rules>,
}

struct Rules {
    upstream: u16,
    /// Bytes a second towards the server; 0 is any number.
    rate: AtomicU64,
    /// Milliseconds after which a connection is cut off; 0 is never.
    life_ms: AtomicU64,
    is_over: AtomicBool,
    connections: AtomicU64,
}

impl Proxy {
    /// Listens on `port`, or on any when it is 0, and connects to `upstream`.
    pub fn start(port: u16, upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let rules = Arc::new(Rules {
            upstream,
            rate: AtomicU64::new(0),
            life_ms: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            connections: AtomicU64::new(0),
        });
        let shared = Arc::clone(&rules);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.is_over.load(Ordering::Relaxed) {
                    break;
                }
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let rules = Arc::clone(&shared);
                std::thread::spawn(move || rules.serve(client));
            }
        });
        Self { port, rules }
    }

    pub fn set_rate(&self, bytes_per_second: u64) {
        self.rules.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    pub fn set_life(&self, life: Duration) {
        let life_ms = life.as_millis() as u64;
        self.rules.life_ms.store(life_ms, Ordering::Relaxed);
    }

    pub fn connections(&self) -> u64 {
        self.rules.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The listening thread has one of the two references.
        if Arc::strong_count(&self.rules) <= 2 {
            self.rules.is_over.store(true, Ordering::Relaxed);
            let _ = TcpStream::connect(("127.0.0.1", self.port));
        }
    }
}

impl Rules {
    fn serve(&self, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", self.upstream)) else {
            return;
        };
        let mut answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let back = std::thread::spawn(move || {
            let _ = std::io::copy(&mut answers.0, &mut answers.1);
            let _ = answers.1.shutdown(Shutdown::Both);
        });
        client
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let begun = Instant::now();
        let mut bytes = [0; 4096];
        loop {
            let life = Duration::from_millis(self.life_ms.load(Ordering::Relaxed));
            if !life.is_zero() && begun.elapsed() > life {
                break;
            }
            match client.read(&mut bytes) {
                Ok(0) => break,
                Ok(count) => {
                    if server.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                    let rate = self.rate.load(Ordering::Relaxed);
                    if rate > 0 {
                        let pause = Duration::from_secs_f64(count as f64 / rate as f64);
                        let _ = after(pause).recv();
                    }
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => break,
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
        let _ = back.join();
    }
}
