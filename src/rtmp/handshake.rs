//! The handshake that begins a connection: both sides send some bytes, and those of the other back.
//!
//! It is the plain one. Nothing is proven by it, so nothing is checked but the version.
//!
//! Source: Adobe's Real Time Messaging Protocol 1.0, section 5.2.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of each side's packet.
const PACKET: usize = 1536;
/// The version that is spoken; from 32 on a first byte is the letter of another protocol.
const VERSION: u8 = 3;

/// Shakes hands as the server.
///
/// # Errors
/// The peer speaks something else, or goes.
pub async fn shake<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> std::io::Result<()> {
    let version = stream.read_u8().await?;
    if !(VERSION..32).contains(&version) {
        let message = "the peer does not speak RTMP";
        return Err(std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            message,
        ));
    }
    let mut theirs = [0; PACKET];
    stream.read_exact(&mut theirs).await?;
    let mut answer = Vec::with_capacity(1 + 2 * PACKET);
    answer.push(VERSION);
    // Our time is nought, and our bytes need not be random: nobody keeps them secret.
    answer.resize(1 + 8, 0);
    answer.extend((0..PACKET - 8).map(|index| (index * 7 % 251) as u8));
    answer.extend_from_slice(&theirs);
    stream.write_all(&answer).await?;
    stream.read_exact(&mut theirs).await?;
    Ok(())
}
