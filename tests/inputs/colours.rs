//! Colours come out as they went in, however they were coded.

use crate::support::{World, rgb_at, video};

#[test]
fn a_known_colour_is_the_same_in_every_coding() {
    let world = World::new();
    // (what FFmpeg is told, codec): the colour is converted by a filter that knows matrix and range, and tagged.
    let filter = |matrix: &str, range: &str, format: &str, size: &str| {
        format!(
            "-f lavfi -i color=0xC83C28:s={size}:r=5,format=gbrp,scale=out_color_matrix={matrix}:out_range={range}:flags=accurate_rnd+full_chroma_int,format={format} -frames:v 3"
        )
    };
    for (name, matrix, range, format, size, tags) in [
        (
            "hd.mkv",
            "bt709",
            "tv",
            "yuv420p",
            "1280x720",
            "-colorspace bt709 -color_range tv",
        ),
        ("untold-hd.mkv", "bt709", "tv", "yuv420p", "1280x720", ""),
        ("untold-sd.mkv", "bt601", "tv", "yuv420p", "640x480", ""),
        (
            "sd.mkv",
            "bt601",
            "tv",
            "yuv420p",
            "640x480",
            "-colorspace smpte170m -color_range tv",
        ),
        (
            "hd601.mkv",
            "bt601",
            "tv",
            "yuv420p",
            "1280x720",
            "-colorspace smpte170m",
        ),
        (
            "full.mkv",
            "bt709",
            "pc",
            "yuv420p",
            "1280x720",
            "-colorspace bt709 -color_range pc",
        ),
        (
            "full601.mkv",
            "bt601",
            "pc",
            "yuv420p",
            "640x480",
            "-colorspace smpte170m -color_range pc",
        ),
        (
            "422.mkv",
            "bt709",
            "tv",
            "yuv422p",
            "1280x720",
            "-colorspace bt709 -color_range tv",
        ),
        (
            "444.mkv",
            "bt709",
            "tv",
            "yuv444p",
            "1280x720",
            "-colorspace bt709 -color_range tv",
        ),
        (
            "10bit.mkv",
            "bt709",
            "tv",
            "yuv420p10le",
            "1280x720",
            "-colorspace bt709 -color_range tv",
        ),
        (
            "10bit-2020.mkv",
            "bt2020",
            "tv",
            "yuv420p10le",
            "1280x720",
            "-colorspace bt2020nc -color_range tv",
        ),
    ] {
        let source = filter(matrix, range, format, size);
        world.ffmpeg(name, &format!("{source} {tags} -c:v libx264 -qp 1"));
        let near = world.open(name, video(name));
        let picture = near.picture();
        let [red, green, blue] = rgb_at(&picture.picture, 100, 100);
        let worst = [red - 200.0, green - 60.0, blue - 40.0]
            .map(f64::abs)
            .into_iter()
            .fold(0.0, f64::max);
        assert!(worst <= 2.5, "{name}: {red:.1} {green:.1} {blue:.1}");
    }
    for (name, codec) in [
        ("nv12.nut", "-c:v rawvideo -pix_fmt nv12"),
        ("rgb.mov", "-c:v png -pix_fmt rgb24"),
    ] {
        let source = filter(
            "bt709",
            "tv",
            if name == "nv12.nut" { "nv12" } else { "rgb24" },
            "1280x720",
        );
        world.ffmpeg(name, &format!("{source} {codec} -colorspace bt709"));
        let near = world.open(name, video(name));
        let [red, green, blue] = rgb_at(&near.picture().picture, 100, 100);
        let worst = [red - 200.0, green - 60.0, blue - 40.0]
            .map(f64::abs)
            .into_iter()
            .fold(0.0, f64::max);
        assert!(worst <= 2.5, "{name}: {red:.1} {green:.1} {blue:.1}");
    }
}
