//! Where the API of the program that runs on a DATA_DIR is, for commands on the same machine: a file there with its address, which is
//! locked as long as the program runs. One that a killed program left says nothing: by now another one may listen there.

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::control::library::write_whole;

/// The name of the file in DATA_DIR.
const FILE: &str = "api.address";
/// The longest that is read of it, in bytes.
const FILE_BYTES_MAX: u64 = 200;

/// Has the address told as long as it is kept.
#[derive(Debug)]
pub struct ToldAddress {
    path: PathBuf,
    _lock: File,
}

impl Drop for ToldAddress {
    fn drop(&mut self) {
        // One that stays is not locked any more.
        drop(fs::remove_file(&self.path));
    }
}

/// Tells where the API is, as this machine reaches it. A folder that cannot be written to is said, and nothing else.
pub fn tell_address(data_dir: &Path, address: SocketAddr) -> Option<ToldAddress> {
    let path = data_dir.join(FILE);
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let url = format!("http://{}\n", SocketAddr::new(ip, address.port()));
    let told = write_whole(&path, url.as_bytes())
        .and_then(|()| File::open(&path))
        .and_then(|file| file.lock().map(|()| file));
    match told {
        Ok(file) => Some(ToldAddress { path, _lock: file }),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "commands on this machine cannot find the API by themselves");
            None
        }
    }
}

/// Where the API of the program is that runs on a DATA_DIR; `None` where none does, or does not serve yet.
pub fn told_address(data_dir: &Path) -> Option<String> {
    let file = File::open(data_dir.join(FILE)).ok()?;
    if file.try_lock_shared().is_ok() {
        return None;
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_as_this_machine_reaches_it() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(told_address(folder.path()), None);
        for (address, url) in [
            ("0.0.0.0:4200", "http://127.0.0.1:4200"),
            ("[::]:4200", "http://[::1]:4200"),
            ("10.0.0.7:1", "http://10.0.0.7:1"),
        ] {
            let told = tell_address(folder.path(), address.parse().expect("an address"));
            assert_eq!(told_address(folder.path()).as_deref(), Some(url));
            let path = folder.path().join(FILE);
            let left = fs::read(&path).expect("a file");
            drop(told);
            assert_eq!(told_address(folder.path()), None);
            fs::write(&path, left).expect("written");
            assert_eq!(told_address(folder.path()), None, "it was killed");
        }
    }
}
