//! The program's sound as FFmpeg measures it, from the very samples that encoders get.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;
use stream_manager_systems::audio::LATENCY_SAMPLES;

use crate::stage::{Desk, Wave, during, heard, scene, tone};

/// A file of 32-bit samples that is removed at the end.
struct Raw(PathBuf);

impl Raw {
    fn write(name: &str, desk: &Desk) -> Self {
        let name = format!("stream-manager-sound-{}-{name}.f32", std::process::id());
        let path = std::env::temp_dir().join(name);
        let bytes: Vec<u8> = desk
            .left
            .iter()
            .zip(&desk.right)
            .flat_map(|(left, right)| [left.to_le_bytes(), right.to_le_bytes()])
            .flatten()
            .collect();
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }

    /// What a filter of FFmpeg says.
    fn measure(&self, filter: &str) -> String {
        let output = Command::new("ffmpeg")
            .args(["-hide_banner", "-nostats", "-f", "f32le", "-ar", "48000"])
            .args(["-ch_layout", "stereo", "-i"])
            .arg(&self.0)
            .args(["-af", filter, "-f", "null", "-"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        text
    }

    /// Integrated loudness in LUFS, and the true peak in dBTP.
    fn loudness(&self) -> (f64, f64) {
        let text = self.measure("ebur128=peak=true");
        let summary = &text[text.rfind("Summary").unwrap()..];
        (number(summary, "I:"), number(summary, "Peak:"))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// The number behind `word`.
fn number(text: &str, word: &str) -> f64 {
    let rest = &text[text.find(word).unwrap() + word.len()..];
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

fn noise(gain: f32) -> Wave {
    std::sync::Arc::new(move |place| {
        // A hash of the place: white, and the same on every run.
        let value = |salt: u64| {
            let mut bits = (place + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            bits ^= bits >> 29;
            bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits ^= bits >> 32;
            (bits as u32 as f32 / u32::MAX as f32 * 2.0 - 1.0) * gain
        };
        Some([value(0), value(1 << 40)])
    })
}

#[test]
fn a_tone_of_minus_23_lufs_is_that_to_ffmpeg_and_to_our_own_meter() {
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({}))]),
        &[("a", tone(1000.0, -23.0))],
    );
    desk.run(60 * 12);
    let (lufs, peak) = Raw::write("tone", &desk).loudness();
    assert!((lufs + 23.0).abs() < 0.1, "{lufs}");
    assert!((peak + 23.0).abs() < 0.1, "{peak}");
    let own = desk.engine.level_board().read();
    assert!((f64::from(own.master.integrated_lufs) - lufs).abs() < 0.1);
}

#[test]
fn our_meter_reads_what_ffmpeg_reads_of_a_sound_with_pauses() {
    let spoken: Wave = {
        let noise = noise(0.2);
        std::sync::Arc::new(move |place| (place % 96_000 < 60_000).then(|| noise(place)).flatten())
    };
    let mut desk = Desk::new(
        scene(vec![
            heard("a", json!({})),
            heard("b", json!({"gain": -25})),
        ]),
        &[("a", spoken), ("b", tone(300.0, -6.0))],
    );
    desk.run(60 * 20);
    let (lufs, peak) = Raw::write("pauses", &desk).loudness();
    let own = desk.engine.level_board().read();
    let integrated = f64::from(own.master.integrated_lufs);
    assert!((integrated - lufs).abs() < 0.1, "{integrated} {lufs}");
    let true_peak = f64::from(own.true_peak_max_dbtp);
    assert!((true_peak - peak).abs() < 0.2, "{true_peak} {peak}");
}

#[test]
fn no_true_peak_is_above_the_ceiling_to_ffmpeg() {
    let clicks: Wave = std::sync::Arc::new(|place| {
        let sign = if place % 2 == 0 { 1.0 } else { -1.0 };
        Some([if place % 7001 < 3 { 8.0 * sign } else { 0.0 }; 2])
    });
    let squares: Wave = std::sync::Arc::new(|place| {
        let side = |period: u64| {
            if place % period < period / 2 {
                3.0
            } else {
                -3.0
            }
        };
        Some([side(109), side(37)])
    });
    let bursts: Wave = {
        let (high, low) = (tone(11_997.0, 9.0), tone(60.0, 6.0));
        std::sync::Arc::new(move |place| match place / 2000 % 3 {
            0 => high(place),
            1 => low(place),
            _ => None,
        })
    };
    for (name, wave) in [
        ("noise", noise(4.0)),
        ("clicks", clicks),
        ("squares", squares),
        ("bursts", bursts),
        ("high", tone(17_001.0, 12.0)),
    ] {
        let mut desk = Desk::new(scene(vec![heard("a", json!({}))]), &[("a", wave)]);
        desk.run(60 * 4);
        let (_, peak) = Raw::write(name, &desk).loudness();
        assert!((-2.5..=-1.0).contains(&peak), "{name}: {peak} dBTP");
    }
}

#[test]
fn silence_is_where_it_was_asked_for() {
    let wave = during(0..96_000, tone(1000.0, -20.0));
    let again = during(168_000..240_000, tone(1000.0, -20.0));
    let mut desk = Desk::new(
        scene(vec![heard("a", json!({})), heard("b", json!({}))]),
        &[("a", wave), ("b", again)],
    );
    desk.run(60 * 5);
    let text = Raw::write("silence", &desk).measure("silencedetect=noise=-80dB:duration=0.1");
    assert_eq!(text.matches("silence_start").count(), 1, "{text}");
    let latency = LATENCY_SAMPLES as f64 / 48_000.0;
    let start = number(&text, "silence_start:");
    let end = number(&text, "silence_end:");
    assert!((start - 2.0 - latency).abs() < 0.01, "{start}");
    assert!((end - 3.5 - latency).abs() < 0.001, "{end}");
}
