//! HLS folders: how they are kept, and the names of what is in them.

use std::path::Path;

/// What the segments of an HLS folder are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SegmentType {
    /// Fragmented MP4, with its header in a file of its own.
    #[default]
    Fmp4,
    /// MPEG transport streams, for old players: H.264 and AAC alone.
    MpegTs,
}

impl SegmentType {
    const fn extension(self) -> &'static str {
        match self {
            Self::Fmp4 => "m4s",
            Self::MpegTs => "ts",
        }
    }
}

/// How an HLS folder is kept.
///
/// The folder and the names come from the playlist's path: `live/720p/program.m3u8` has its segments beside it as
/// `program_00000.m4s`, its header as `init.mp4`. Each variant of a ladder is a muxer of its own in a folder of its own;
/// with the same options, and packets that start at the same keyframe, their segments have the same numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HlsOptions {
    /// Seconds in a segment, at least 1; it ends at the first keyframe from there on.
    pub segment_s: u32,
    /// Segments in the playlist, at least 2; older ones are deleted.
    pub window: u32,
    /// What the segments are.
    pub segment_type: SegmentType,
    /// Whether the playlist says at which time of day each segment begins, by the clock at opening.
    pub program_date_time: bool,
    /// The number of the first segment. Above 0 the playlist continues an earlier one, and says that the timestamps begin
    /// anew.
    pub first_number: u32,
    /// What tells the files of this run from those of any other, such as the time of its start: letters, digits and `-`.
    /// The names become `program_RUN_00000.m4s` and `init_RUN.mp4`, so that no cache holds something else by that name.
    /// Without it, the names are the same in every run.
    pub run: Option<String>,
}

impl Default for HlsOptions {
    fn default() -> Self {
        Self {
            segment_s: 2,
            window: 6,
            segment_type: SegmentType::Fmp4,
            program_date_time: false,
            first_number: 0,
            run: None,
        }
    }
}

impl HlsOptions {
    /// Whether an HLS muxer with the playlist `stem`.m3u8 makes files of this name: the playlist, headers and segments,
    /// of any run and either type, and what each is called until it is whole. A folder is cleared by it.
    #[must_use]
    pub fn makes_file(stem: &str, name: &str) -> bool {
        let name = name.strip_suffix(".tmp").unwrap_or(name);
        if let Some(run) = name
            .strip_prefix("init")
            .and_then(|rest| rest.strip_suffix(".mp4"))
        {
            return run.is_empty() || run.strip_prefix('_').is_some_and(is_run_name);
        }
        let Some(rest) = name.strip_prefix(stem) else {
            return false;
        };
        if rest == ".m3u8" {
            return true;
        }
        let Some(middle) = rest.strip_prefix('_').and_then(|rest| {
            rest.strip_suffix(".m4s")
                .or_else(|| rest.strip_suffix(".ts"))
        }) else {
            return false;
        };
        let (is_run, number) = match middle.rsplit_once('_') {
            Some((run, number)) => (is_run_name(run), number),
            None => (true, middle),
        };
        is_run && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// The run as a part of names; what has no place in one is left out.
    fn suffix(&self) -> String {
        let run = self.run.as_deref().unwrap_or_default();
        let kept: String = run.chars().filter(|c| is_run_char(*c)).collect();
        if kept.is_empty() {
            kept
        } else {
            format!("_{kept}")
        }
    }
}

fn is_run_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

fn is_run_name(run: &str) -> bool {
    !run.is_empty() && run.chars().all(is_run_char)
}

/// FFmpeg's options for the playlist `target`.
pub(crate) fn options(target: &str, hls: &HlsOptions) -> Vec<(&'static str, String)> {
    let playlist = Path::new(target);
    let folder = playlist.parent().unwrap_or(Path::new(""));
    let stem = playlist
        .file_stem()
        .map_or_else(|| "program".into(), |stem| stem.to_string_lossy());
    let run = hls.suffix();
    let extension = hls.segment_type.extension();
    let segments = folder.join(format!("{stem}{run}_%05d.{extension}"));
    // Readers see whole files only: they are written under another name first.
    let mut flags = "independent_segments+delete_segments+temp_file".to_owned();
    if hls.program_date_time {
        flags.push_str("+program_date_time");
    }
    if hls.first_number > 0 {
        flags.push_str("+discont_start");
    }
    let mut options = vec![
        ("hls_time", hls.segment_s.to_string()),
        ("hls_list_size", hls.window.to_string()),
        ("start_number", hls.first_number.to_string()),
        (
            "hls_segment_filename",
            segments.to_string_lossy().into_owned(),
        ),
        ("hls_flags", flags),
    ];
    match hls.segment_type {
        SegmentType::Fmp4 => options.extend([
            ("hls_segment_type", "fmp4".to_owned()),
            ("hls_fmp4_init_filename", format!("init{run}.mp4")),
        ]),
        SegmentType::MpegTs => options.push(("hls_segment_type", "mpegts".to_owned())),
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_files_are_known() {
        for name in [
            "program.m3u8",
            "program.m3u8.tmp",
            "program_00001.m4s",
            "program_123456.ts.tmp",
            "program_20260101-10_00001.m4s",
            "init.mp4",
            "init_20260101-10.mp4",
        ] {
            assert!(HlsOptions::makes_file("program", name), "{name}");
        }
        for name in [
            "master.m3u8",
            "program_.m4s",
            "program_x.m4s",
            "program__1.m4s",
            "program_1.mp4",
            "initial.mp4",
            "init_.mp4",
            "other_00001.m4s",
            "other.txt",
        ] {
            assert!(!HlsOptions::makes_file("program", name), "{name}");
        }
    }

    #[test]
    fn a_run_cannot_leave_its_folder() {
        let hls = HlsOptions {
            run: Some("../a/%d b".to_owned()),
            ..HlsOptions::default()
        };
        assert_eq!(hls.suffix(), "_adb");
    }
}
