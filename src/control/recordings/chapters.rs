//! Markers as a file that players and editors read: WebVTT chapters (W3C WebVTT, section 4.3).

use super::Marker;

/// The last chapter of a recording that still goes on is said to last so long, in seconds.
const OPEN_END_S: f64 = 3600.0;

/// The text of the file. Each chapter lasts until the next one, the last until the end.
pub fn web_vtt(markers: &[Marker], seconds: Option<f64>) -> String {
    let mut text = "WEBVTT\n".to_owned();
    for (index, marker) in markers.iter().enumerate() {
        let next = markers.get(index + 1).map(|next| next.at);
        let end = next.or(seconds).unwrap_or(marker.at + OPEN_END_S);
        let (start, end) = (time(marker.at), time(end.max(marker.at + 0.001)));
        let label = plain(&marker.label);
        text.push_str(&format!("\n{}\n{start} --> {end}\n{label}\n", index + 1));
    }
    text
}

/// `01:02:03.456`.
fn time(seconds: f64) -> String {
    let ms = (seconds.max(0.0) * 1000.0).round() as u64;
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    format!(
        "{hours:02}:{minutes:02}:{:02}.{:03}",
        ms / 1000 % 60,
        ms % 1000
    )
}

/// A label on one line, with the letters that would be markup written out.
fn plain(label: &str) -> String {
    let one_line: String = label
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    one_line
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_follow_each_other_and_hold_no_markup() {
        let marker = |at: f64, label: &str| Marker {
            at,
            tick: 0,
            label: label.to_owned(),
        };
        let markers = [marker(0.5, "Doors\nopen"), marker(3725.25, "a --> <b>")];
        assert_eq!(
            web_vtt(&markers, Some(4000.0)),
            "WEBVTT\n\n1\n00:00:00.500 --> 01:02:05.250\nDoors open\n\n2\n01:02:05.250 --> 01:06:40.000\na --&gt; &lt;b&gt;\n"
        );
        assert!(web_vtt(&markers[..1], None).contains("--> 01:00:00.500"));
    }
}
