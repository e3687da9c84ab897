//! Small pictures of the program, taken now and then from the frames that the encoders get; the newest few are kept in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::error::{ApiError, ErrorCode};
use super::events::Event;
use super::station::{Station, now_ms};
use super::still::{self, Format};

/// How many are kept.
pub const KEPT: usize = 12;
/// Their width in pixels; the height follows.
const WIDTH: u32 = 320;
/// Their quality as JPEG: about 20 KB each.
const QUALITY: u8 = 80;

/// The pictures. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Thumbnails(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    pictures: VecDeque<(Thumbnail, Bytes)>,
    next_id: u64,
}

/// A small picture of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Thumbnail {
    /// Its number, which counts up.
    pub id: u64,
    /// The tick of its frame.
    pub tick: u64,
    /// Milliseconds since 1970 (UTC).
    pub at: u64,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes of the JPEG.
    pub bytes: usize,
}

impl Thumbnails {
    /// What is kept, the newest first.
    pub fn list(&self) -> Vec<Thumbnail> {
        let kept = self.lock();
        let newest_first = kept.pictures.iter().rev();
        newest_first
            .map(|(thumbnail, _)| thumbnail.clone())
            .collect()
    }

    /// A picture; the newest without a number.
    pub fn get(&self, id: Option<u64>) -> Option<(Thumbnail, Bytes)> {
        let kept = self.lock();
        let mut newest_first = kept.pictures.iter().rev();
        newest_first
            .find(|(thumbnail, _)| id.is_none_or(|id| thumbnail.id == id))
            .cloned()
    }

    fn keep(&self, tick: u64, size: (u32, u32), jpeg: Vec<u8>) -> Thumbnail {
        let mut kept = self.lock();
        kept.next_id += 1;
        let thumbnail = Thumbnail {
            id: kept.next_id,
            tick,
            at: now_ms(),
            width: size.0,
            height: size.1,
            bytes: jpeg.len(),
        };
        if kept.pictures.len() == KEPT {
            kept.pictures.pop_front();
        }
        kept.pictures.push_back((thumbnail.clone(), jpeg.into()));
        thumbnail
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Station {
    /// Takes a picture of the program's next frame.
    ///
    /// # Errors
    /// Too many pictures are asked for.
    pub async fn take_thumbnail(&self) -> Result<Thumbnail, ApiError> {
        let _turn = still::AT_A_TIME.acquire().await;
        let frame = self.frames().next().await.ok_or_else(|| {
            ApiError::new(
                ErrorCode::Unavailable,
                "no frame is to be had now; try again later",
            )
        })?;
        let tick = frame.tick;
        let made = tokio::task::spawn_blocking(move || {
            let picture = still::rgb(&frame.frame)?;
            // One of the pool: let go before the rest.
            drop(frame);
            let width = WIDTH.min(picture.width());
            let height = (picture.height() * width / picture.width()).max(1);
            let jpeg = still::encode(picture, Some(WIDTH), Format::Jpeg(QUALITY))?;
            Ok::<_, ApiError>(((width, height), jpeg))
        });
        let (size, jpeg) = made
            .await
            .unwrap_or_else(|_| Err(ApiError::internal("the picture failed")))?;
        let thumbnail = self.thumbnails().keep(tick, size, jpeg);
        let data = json!({"id": thumbnail.id, "thumbnail": thumbnail});
        self.tell(Event::about(
            "thumbnail:create",
            &thumbnail.id.to_string(),
            data,
        ));
        Ok(thumbnail)
    }

    /// Takes one now and then; ends with the program. Nought seconds takes none.
    pub async fn take_thumbnails(self, every: Duration) {
        if every.is_zero() {
            return;
        }
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.take_thumbnail().await {
                tracing::debug!(%error, "no thumbnail");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let thumbnails = Thumbnails::default();
        assert!(thumbnails.get(None).is_none());
        for tick in 0..KEPT as u64 + 3 {
            thumbnails.keep(tick, (320, 180), vec![1, 2, 3]);
        }
        let ids: Vec<u64> = thumbnails.list().iter().map(|one| one.id).collect();
        assert_eq!(ids.len(), KEPT);
        assert_eq!((ids[0], ids[KEPT - 1]), (KEPT as u64 + 3, 4));
        assert_eq!(thumbnails.get(None).expect("one").0.id, ids[0]);
        assert!(thumbnails.get(Some(3)).is_none());
    }
}
