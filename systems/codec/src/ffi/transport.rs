//! What the kernel knows of a TCP connection that FFmpeg opened.
//!
//! FFmpeg does not show its sockets, but it lets their send buffers be sized: each connection asks for a size that no other
//! of this process has, and is found by it among the process's open files. Nothing here is needed for a stream to run;
//! whatever is not found is told as `None`.

use std::ffi::c_int;
use std::fs;
use std::mem;
use std::os::fd::RawFd;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use libc::{
    IPPROTO_TCP, SO_COOKIE, SO_PROTOCOL, SO_SNDBUF, SOL_SOCKET, TCP_INFO, TIOCOUTQ, c_void,
    getsockopt, ioctl, socklen_t,
};

use crate::transport::Transport;

/// Connections that can be told apart at once; further ones have no figures. Sizes are a multiple of it plus a number below.
const SLOTS: u32 = 1024;
/// Sizes below are raised by the kernel, so that they would not be found again.
const BUFFER_BYTES_MIN: u32 = 8192;
/// What the kernel allows where it does not say: its own default.
const BUFFER_BYTES_MAX_DEFAULT: u32 = 212_992;

/// The numbers in use.
static TAKEN: Mutex<[bool; SLOTS as usize]> = Mutex::new([false; SLOTS as usize]);

/// The largest send buffer that can be asked for (`net.core.wmem_max`), read once.
static BUFFER_BYTES_MAX: LazyLock<u32> = LazyLock::new(|| {
    fs::read_to_string("/proc/sys/net/core/wmem_max")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(BUFFER_BYTES_MAX_DEFAULT)
});

/// A size of a send buffer that is this connection's alone while the value lives.
#[derive(Debug)]
pub(crate) struct BufferTag {
    slot: u32,
    bytes: u32,
}

impl BufferTag {
    /// A size a little below `wanted_bytes`. `None` when that is too small, or too many connections are open.
    pub(crate) fn take(wanted_bytes: u32) -> Option<Self> {
        // The kernel tells twice the size, in a signed number.
        let most = wanted_bytes.min(*BUFFER_BYTES_MAX).min(i32::MAX as u32 / 2);
        let base = (most / SLOTS).checked_sub(1)? * SLOTS;
        if base < BUFFER_BYTES_MIN {
            return None;
        }
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let free = taken.iter().position(|is_taken| !is_taken)?;
        taken[free] = true;
        let slot = u32::try_from(free).ok()?;
        Some(Self {
            slot,
            bytes: base + slot,
        })
    }

    /// What to ask for.
    pub(crate) fn bytes(&self) -> u32 {
        self.bytes
    }

    /// The TCP socket of this process with such a buffer; `None` unless there is exactly one.
    pub(crate) fn find(&self) -> Option<TcpSocket> {
        let told = c_int::try_from(self.bytes * 2).ok()?;
        let mut found: Option<TcpSocket> = None;
        for entry in fs::read_dir("/proc/self/fd").ok()?.flatten() {
            let Some(fd) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            else {
                continue;
            };
            if option::<c_int>(fd, SO_SNDBUF) != Some(told)
                || option::<c_int>(fd, SO_PROTOCOL) != Some(IPPROTO_TCP)
            {
                continue;
            }
            let cookie = option::<u64>(fd, SO_COOKIE)?;
            if found.is_some_and(|other| other.cookie != cookie) {
                return None;
            }
            found = Some(TcpSocket { fd, cookie });
        }
        found
    }
}

impl Drop for BufferTag {
    fn drop(&mut self) {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken[self.slot as usize] = false;
    }
}

/// A socket that belongs to FFmpeg. It may be closed at any time, and its number used again; the kernel's cookie, which no
/// two sockets share, tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TcpSocket {
    fd: RawFd,
    cookie: u64,
}

impl TcpSocket {
    /// The figures now; `None` once the socket is closed.
    pub(crate) fn transport(&self) -> Option<Transport> {
        let info = self.is_it().then(|| tcp_info(self.fd)).flatten()?;
        let in_flight = unsent(self.fd)?;
        // Had the number gone to another socket meanwhile, the figures would be of that.
        self.is_it().then(|| Transport {
            bytes_acknowledged: info.bytes_acknowledged,
            bytes_in_flight: in_flight,
            rtt: Duration::from_micros(info.rtt_us.into()),
            retransmits: info.retransmits,
        })
    }

    fn is_it(&self) -> bool {
        option::<u64>(self.fd, SO_COOKIE) == Some(self.cookie)
    }
}

/// Reads an option of a socket whose value is of type `T`. A number that is no socket gives `None`.
fn option<T: Copy + Default>(fd: RawFd, name: c_int) -> Option<T> {
    let mut value = T::default();
    let size = socklen_t::try_from(mem::size_of::<T>()).ok()?;
    let mut length = size;
    // SAFETY: `value` is plain memory of `length` bytes, which the call fills with at most as many; the callers use
    // integers alone, of which every pattern of bits is one. Any number may be asked about.
    let result = unsafe {
        getsockopt(
            fd,
            SOL_SOCKET,
            name,
            (&raw mut value).cast::<c_void>(),
            &raw mut length,
        )
    };
    (result == 0 && length == size).then_some(value)
}

/// Bytes that were given to the kernel and are not acknowledged.
fn unsent(fd: RawFd) -> Option<u32> {
    let mut bytes: c_int = 0;
    // SAFETY: this request (SIOCOUTQ, which is the number of TIOCOUTQ) writes one integer there.
    let result = unsafe { ioctl(fd, TIOCOUTQ, &raw mut bytes) };
    (result == 0).then(|| u32::try_from(bytes).ok()).flatten()
}

struct TcpInfo {
    rtt_us: u32,
    retransmits: u32,
    bytes_acknowledged: u64,
}

/// Reads `struct tcp_info` of linux/tcp.h by offsets, as the C library's is shorter than the kernel's.
fn tcp_info(fd: RawFd) -> Option<TcpInfo> {
    const RTT_AT: usize = 68;
    const TOTAL_RETRANS_AT: usize = 100;
    const BYTES_ACKED_AT: usize = 120;
    let mut info = [0u8; 256];
    let mut length = socklen_t::try_from(info.len()).ok()?;
    // SAFETY: the call fills at most `length` bytes of the array, and says how many.
    let result = unsafe {
        getsockopt(
            fd,
            IPPROTO_TCP,
            TCP_INFO,
            info.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    };
    let info = info.get(..usize::try_from(length).ok()?)?;
    if result != 0 {
        return None;
    }
    let number = |at: usize| Some(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?));
    let acknowledged = info.get(BYTES_ACKED_AT..BYTES_ACKED_AT + 8)?;
    Some(TcpInfo {
        rtt_us: number(RTT_AT)?,
        retransmits: number(TOTAL_RETRANS_AT)?,
        bytes_acknowledged: u64::from_ne_bytes(acknowledged.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    use super::*;

    fn set_buffer(stream: &TcpStream, bytes: u32) {
        let bytes = bytes.cast_signed();
        // SAFETY: the value is one integer, as this option wants it.
        let result = unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                SOL_SOCKET,
                SO_SNDBUF,
                (&raw const bytes).cast::<c_void>(),
                4,
            )
        };
        assert_eq!(result, 0);
    }

    #[test]
    fn a_connection_is_found_by_its_buffer_until_it_is_closed() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let tag = BufferTag::take(512 * 1024).expect("a size");
        let other = BufferTag::take(512 * 1024).expect("another size");
        assert_ne!(tag.bytes(), other.bytes());
        assert!((510 * 1024..=512 * 1024).contains(&tag.bytes()));
        assert!(tag.find().is_none());

        let mut stream = TcpStream::connect(address).expect("a connection");
        let (mut peer, _) = listener.accept().expect("a peer");
        set_buffer(&stream, tag.bytes());
        let socket = tag.find().expect("the socket");
        assert!(other.find().is_none());
        stream.write_all(&[7; 10_000]).expect("room in the buffer");
        peer.read_exact(&mut [0; 10_000]).expect("the bytes");
        let transport = socket.transport().expect("figures");
        // The opening of the connection counts as a byte.
        assert!((10_000..=10_001).contains(&transport.bytes_acknowledged));
        assert_eq!((transport.bytes_in_flight, transport.retransmits), (0, 0));
        assert!(transport.rtt < Duration::from_secs(1));

        // The number goes to another socket.
        let number = stream.as_raw_fd();
        drop(stream);
        let _reused = TcpStream::connect(address).expect("a connection");
        assert!(socket.transport().is_none(), "{number}");
    }

    #[test]
    fn sizes_are_given_back_and_are_not_endless() {
        assert!(BufferTag::take(1000).is_none());
        let first = BufferTag::take(u32::MAX).expect("a size");
        assert!(first.bytes() <= *BUFFER_BYTES_MAX);
        let slot = first.slot;
        drop(first);
        let all: Vec<_> = std::iter::from_fn(|| BufferTag::take(64 * 1024)).collect();
        assert!(all.len() <= SLOTS as usize && all.iter().any(|tag| tag.slot == slot));
    }
}
