//! Films and sounds from files.

use systems::input::{InputOrder, InputStage, LivePicture, WantedSize};

use crate::support::{
    NUMBERED, World, audio_with, joined, number, until, video, video_with, yuv_at,
};

/// The largest step between neighbours of a sine of 480 Hz is 2 pi 480 / 48000 of its height.
fn has_no_click(samples: &[[f32; 2]], height: f32) -> Option<usize> {
    samples
        .windows(3)
        .position(|three| (three[2][0] - 2.0 * three[1][0] + three[0][0]).abs() > height * 0.02)
}

#[test]
fn every_picture_comes_once_at_its_time_and_the_sound_is_as_long() {
    let world = World::new();
    for (name, codecs) in [
        ("a.mp4", "-c:v libx264 -qp 4 -bf 2 -g 30 -c:a aac"),
        ("a.mkv", "-c:v libx264 -qp 4 -g 30 -c:a flac"),
        (
            "a.webm",
            "-c:v libvpx -b:v 4M -deadline realtime -cpu-used 8 -c:a libopus",
        ),
    ] {
        world.ffmpeg(name, &format!("{NUMBERED} {codecs}"));
        let near = world.open(name, video(name));
        let (pictures, sound) = near.all();
        assert_eq!(pictures.len(), 60, "{name}");
        for (index, picture) in (0..).zip(&pictures) {
            let due = index * 1_000_000 / 30;
            // Matroska counts milliseconds.
            assert!(
                (picture.pts_us - due).abs() <= 700,
                "{name} {index}: {}",
                picture.pts_us
            );
            assert!(
                (number(&picture.picture) - index).abs() <= 1,
                "{name} {index}"
            );
            assert_eq!(picture.natural, (320, 180));
        }
        let (start, samples) = joined(&sound);
        assert!(start.abs() < 8_000, "{name}: {start}");
        assert!(
            (samples.len() as i64 - 96_000).abs() < 1100,
            "{name}: {}",
            samples.len()
        );
        let loudest = samples[4800..90_000]
            .iter()
            .map(|[left, _]| left.abs())
            .fold(0.0, f32::max);
        assert!((0.4..=0.6).contains(&loudest), "{name}: {loudest}");
        let view = world.inputs.get(name).expect("a view");
        assert_eq!((view.width, view.height), (Some(320), Some(180)));
        assert_eq!(view.error, None, "{name}");
        assert!(view.video_codec.is_some() && view.audio_codec.is_some());
    }
    let stages: Vec<_> = world
        .news
        .lock()
        .unwrap()
        .iter()
        .map(|news| news.stage)
        .collect();
    assert_eq!(stages, [InputStage::Live, InputStage::Ended].repeat(3));
}

#[test]
fn a_loop_has_no_gap_in_picture_and_sound() {
    let world = World::new();
    for (name, codecs, exact) in [
        ("loop.mp4", "-c:v libx264 -qp 4 -bf 2 -g 30 -c:a aac", false),
        ("loop.mkv", "-c:v libx264 -qp 4 -g 30 -c:a flac", true),
        ("loop.mov", "-c:v libx264 -qp 4 -g 30 -c:a pcm_s16le", true),
    ] {
        world.ffmpeg(name, &format!("{NUMBERED} {codecs}"));
        let near = world.open(name, video_with(name, |source| source.loops = true));
        let (pictures, sound) = near.some(210);
        for (index, picture) in (0..).zip(&pictures) {
            let due = index * 1_000_000 / 30;
            assert!(
                (picture.pts_us - due).abs() <= 700,
                "{name} {index}: {}",
                picture.pts_us
            );
            assert!(
                (number(&picture.picture) - index % 60).abs() <= 1,
                "{name} {index}"
            );
        }
        let (_, samples) = joined(&sound);
        assert!(samples.len() > 300_000, "{name}: {}", samples.len());
        if exact {
            assert_eq!(has_no_click(&samples, 0.5), None, "{name}");
        }
    }
}

#[test]
fn in_and_out_points_are_exact_and_a_seek_goes_to_its_frame() {
    let world = World::new();
    // One keyframe at the beginning: every place is reached through the pictures before it.
    let codecs = "-c:v libx264 -qp 4 -bf 2 -g 250 -sc_threshold 0 -c:a flac";
    world.ffmpeg("points.mkv", &format!("{NUMBERED} {codecs}"));
    let spec = video_with("points.mkv", |source| {
        (source.loops, source.start, source.end) = (true, 0.5, Some(1.3));
    });
    let near = world.open("points", spec);
    let (pictures, sound) = near.some(60);
    for (index, picture) in (0..).zip(&pictures) {
        assert!(
            (number(&picture.picture) - (15 + index % 24)).abs() <= 1,
            "{index}"
        );
        assert!(
            (picture.pts_us - index * 1_000_000 / 30).abs() <= 1400,
            "{index}"
        );
    }
    let (start, samples) = joined(&sound);
    assert_eq!(start, 0);
    // 0.8 s are 384 periods.
    assert_eq!(has_no_click(&samples, 0.5), None);

    near.orders
        .send(InputOrder::Seek {
            to_seconds: 1.0,
            run: 7,
            at_us: 5_000_000,
        })
        .expect("the decoder");
    let first = until("the place", || {
        near.pictures.try_iter().find(|picture| picture.run == 7)
    });
    assert_eq!(first.pts_us, 5_000_000);
    assert!((number(&first.picture) - 30).abs() <= 1);
    let second = near.picture();
    assert!(
        (second.pts_us - 5_033_333).abs() <= 700,
        "{}",
        second.pts_us
    );
    let block = until("its sound", || {
        near.sound.try_iter().find(|block| block.run == 7)
    });
    assert_eq!(block.pts_us, 5_000_000);
}

#[test]
fn a_film_that_has_ended_goes_on_elsewhere_when_it_is_asked_to() {
    let world = World::new();
    world.ffmpeg("end.mp4", &format!("{NUMBERED} -c:v libx264 -qp 4 -an"));
    let near = world.video("end.mp4");
    near.all();
    near.orders
        .send(InputOrder::Seek {
            to_seconds: 1.9,
            run: 1,
            at_us: 0,
        })
        .expect("the decoder");
    assert_eq!(number(&near.picture().picture), 57);
    until("the end", || {
        (near.state.stage() == InputStage::Ended).then_some(())
    });
    // The layer goes, and with it the thread and the view.
    drop(near);
    until("it is gone", || {
        world.inputs.list().is_empty().then_some(())
    });
}

#[test]
fn a_film_waits_for_the_world() {
    let world = World::new();
    world.ffmpeg(
        "wait.mp4",
        &format!("{NUMBERED} -c:v libx264 -qp 4 -c:a aac"),
    );
    let near = world.video("wait.mp4");
    until("a full way", || near.pictures.is_full().then_some(()));
    // The sound beside the pictures that wait is there as well, and not more than a second of it.
    until("its sound", || (near.sound.len() > 40).then_some(()));
    assert!(near.sound.len() < 120, "{}", near.sound.len());
    let (pictures, _) = near.all();
    assert_eq!(pictures.len(), 60);
    assert_eq!(
        world.inputs.get("film").expect("a view").dropped_pictures,
        0
    );
}

#[test]
fn pictures_come_at_the_size_at_which_they_are_shown() {
    let world = World::new();
    world.ffmpeg(
        "size.mp4",
        "-f lavfi -i testsrc2=s=1280x720:r=30 -t 0.5 -c:v libx264 -colorspace bt709",
    );
    let near = world.video("size.mp4");
    near.state.set_wanted(WantedSize {
        width: 426,
        height: 240,
    });
    let (pictures, _) = near.all();
    let last = pictures.last().expect("a picture");
    let LivePicture::Planes(planes) = &last.picture else {
        panic!("no planes")
    };
    assert_eq!((planes.width(), planes.height()), (426, 240));
    assert_eq!(last.natural, (1280, 720));
}

#[test]
fn pixels_that_are_not_square_and_pictures_that_lie_are_set_right() {
    let world = World::new();
    // The left half is white; turned clockwise it is above.
    let lying =
        "-f lavfi -i color=white:s=160x180,pad=320:180:0:0:black -frames:v 3 -c:v libx264 -qp 4";
    world.ffmpeg("lying.mp4", lying);
    world.ffmpeg(
        "turned.mp4",
        &format!(
            "-i {} -c copy -metadata:s:v rotate=270",
            world.path("lying.mp4").display()
        ),
    );
    let near = world.open("turned", video("turned.mp4"));
    let picture = near.picture();
    assert_eq!(picture.natural, (180, 320));
    let (above, below) = (
        yuv_at(&picture.picture, 90, 60)[0],
        yuv_at(&picture.picture, 90, 260)[0],
    );
    assert!(above > 230 && below < 20, "{above} {below}");

    world.ffmpeg("wide.mp4", &format!("{lying} -vf setsar=4/3"));
    let near = world.open("wide", video("wide.mp4"));
    let picture = near.picture();
    assert_eq!(picture.natural, (426, 180));
    let LivePicture::Planes(planes) = &picture.picture else {
        panic!("no planes")
    };
    assert_eq!((planes.width(), planes.height()), (426, 180));
}

#[test]
fn alpha_is_kept_and_multiplied_in() {
    let world = World::new();
    // Half transparent green on the left, opaque red on the right.
    let source = "-f lavfi -i color=red:s=128x64:r=30,format=rgba,geq=r='if(lt(X,64),0,255)':g='if(lt(X,64),255,0)':b=0:a='if(lt(X,64),128,255)' -t 0.2";
    for (name, codec) in [
        (
            "alpha9.webm",
            "-c:v libvpx-vp9 -pix_fmt yuva420p -lossless 1 -auto-alt-ref 0",
        ),
        (
            "alpha8.webm",
            "-c:v libvpx -pix_fmt yuva420p -b:v 4M -auto-alt-ref 0",
        ),
        (
            "alpha4.mov",
            "-c:v prores_ks -profile:v 4444 -pix_fmt yuva444p10le",
        ),
        ("alphaq.mov", "-c:v qtrle -pix_fmt argb"),
        ("alphap.mov", "-c:v png -pix_fmt rgba"),
    ] {
        world.ffmpeg(name, &format!("{source} {codec}"));
        let near = world.open(name, video(name));
        let picture = near.picture();
        let LivePicture::Raster(raster) = &picture.picture else {
            panic!("{name}: it is opaque")
        };
        let words = raster::Raster::clone(raster).into_words();
        let pixel = |x: usize| words[32 * 128 + x].to_ne_bytes().map(i32::from);
        let is_near = |pixel: [i32; 4], wanted: [i32; 4]| {
            pixel
                .iter()
                .zip(wanted)
                .all(|(one, other)| (one - other).abs() <= 6)
        };
        assert!(
            is_near(pixel(20), [0, 128, 0, 128]),
            "{name}: {:?}",
            pixel(20)
        );
        assert!(
            is_near(pixel(110), [255, 0, 0, 255]),
            "{name}: {:?}",
            pixel(110)
        );
        // What is decoded from then on is made smaller.
        near.state.set_wanted(WantedSize {
            width: 64,
            height: 32,
        });
        let again = InputOrder::Seek {
            to_seconds: 0.0,
            run: 1,
            at_us: 0,
        };
        near.orders.send(again).expect("the decoder");
        let small = until("a small one", || {
            near.pictures.try_iter().find(|picture| picture.run == 1)
        });
        let LivePicture::Raster(small) = &small.picture else {
            panic!("{name}: it is opaque")
        };
        assert_eq!((small.width(), small.height()), (64, 32), "{name}");
        let words = raster::Raster::clone(small).into_words();
        let pixel = words[16 * 64 + 10].to_ne_bytes().map(i32::from);
        assert!(is_near(pixel, [0, 128, 0, 128]), "{name}: {pixel:?}");
    }
}

#[test]
fn offline_a_picture_is_made_in_the_size_that_the_tick_says() {
    let world = World::new();
    world.ffmpeg(
        "late.mp4",
        "-f lavfi -i testsrc2=s=320x180:r=30 -t 1 -c:v libx264",
    );
    let near = world.open_offline("film", video("late.mp4"));
    until("a full way", || near.pictures.is_full().then_some(()));
    // Long after it was decoded.
    let picture = near.picture();
    let LivePicture::Unscaled(unscaled) = &picture.picture else {
        panic!("it is scaled")
    };
    for (width, height) in [(160, 90), (64, 36), (0, 0)] {
        let made = unscaled.scaled(WantedSize { width, height });
        let Some(LivePicture::Planes(planes)) = made else {
            panic!("no planes")
        };
        let size = if width == 0 {
            (320, 180)
        } else {
            (width, height)
        };
        assert_eq!((planes.width(), planes.height()), size);
    }
}

#[test]
fn sound_that_cannot_be_decoded_leaves_the_picture() {
    let world = World::new();
    let path = world.ffmpeg(
        "strange.mkv",
        &format!("{NUMBERED} -c:v libx264 -qp 4 -g 30 -c:a libopus"),
    );
    let mut bytes = std::fs::read(&path).expect("a file");
    let at = bytes
        .windows(6)
        .position(|word| word == b"A_OPUS")
        .expect("a codec");
    bytes[at + 5] = b'X';
    std::fs::write(&path, bytes).expect("a file");
    let near = world.video("strange.mkv");
    let (pictures, sound) = near.all();
    assert_eq!((pictures.len(), sound.len()), (60, 0));
    let view = world.inputs.get("film").expect("a view");
    assert!(view.error.expect("a reason").contains("decode"));
    // Where there is nothing else it is an error.
    let _bed = world.open("bed", audio_with("strange.mkv", |_| {}));
    world.wait_for("bed", |view| view.stage.as_str() == "failed");
}

#[test]
fn hdr_is_told_of() {
    let world = World::new();
    let source = "-f lavfi -i testsrc2=s=64x64:r=30 -t 0.2 -c:v libx264";
    world.ffmpeg("hdr.mp4", &format!("{source} -color_trc smpte2084"));
    world.ffmpeg("sdr.mp4", source);
    for (name, is_hdr) in [("hdr.mp4", true), ("sdr.mp4", false)] {
        let near = world.open(name, video(name));
        near.all();
        assert_eq!(world.inputs.get(name).expect("a view").hdr, is_hdr);
    }
}

#[test]
fn a_sound_loops_and_has_one_level_in_both_channels() {
    let world = World::new();
    world.ffmpeg(
        "mono.flac",
        "-f lavfi -i sine=480:r=44100,volume=4 -ac 1 -t 1",
    );
    let near = world.open("bed", audio_with("mono.flac", |source| source.loops = true));
    let mut blocks = Vec::new();
    until("sound", || {
        blocks.extend(near.sound.try_iter().map(|block| *block));
        (blocks.len() >= 350).then_some(())
    });
    let (start, samples) = joined(&blocks);
    assert_eq!(start, 0);
    assert!(samples.iter().all(|[left, right]| left == right));
    let loudest = samples
        .iter()
        .map(|[left, _]| left.abs())
        .fold(0.0, f32::max);
    assert!((0.47..=0.53).contains(&loudest), "{loudest}");
    // Where it begins again the resampler does, too.
    let clicks = has_no_click(&samples, 0.5);
    assert_eq!(clicks, None);
    assert_eq!(
        world.inputs.get("bed").expect("a view").sample_rate,
        Some(44_100)
    );
}

#[test]
fn what_is_broken_is_an_error_of_that_input_alone() {
    let world = World::new();
    let good = world.ffmpeg(
        "good.mkv",
        &format!("{NUMBERED} -c:v libx264 -qp 4 -c:a flac"),
    );
    let bytes = std::fs::read(good).expect("a file");
    std::fs::write(world.path("cut.mkv"), &bytes[..bytes.len() / 2]).expect("a file");
    std::fs::write(
        world.path("noise.mp4"),
        (0..50_000u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect::<Vec<_>>(),
    )
    .expect("a file");
    let mut holed = bytes.clone();
    for at in (bytes.len() / 3..bytes.len() / 3 + 3000).step_by(7) {
        holed[at] ^= 0x5a;
    }
    std::fs::write(world.path("holed.mkv"), holed).expect("a file");
    std::fs::write(
        world.path("list.m3u8"),
        "#EXTM3U\n#EXTINF:2,\ngood.mkv\n#EXT-X-ENDLIST\n",
    )
    .expect("a file");

    let playing = world.open("good", video_with("good.mkv", |source| source.loops = true));
    let cut = world.open("cut", video("cut.mkv"));
    let (pictures, _) = cut.all();
    assert!((10..60).contains(&pictures.len()), "{}", pictures.len());
    let holed = world.open("holed", video("holed.mkv"));
    let (pictures, _) = holed.all();
    assert!(pictures.len() > 10, "{}", pictures.len());
    for (layer, src, reason) in [
        ("noise", "noise.mp4", "Invalid data"),
        ("list", "list.m3u8", "Invalid data"),
        ("none", "none.mp4", "does not exist"),
        ("out", "../../etc/passwd", "leaves the scene's folder"),
        ("other", "file:///etc/passwd", "begins with http"),
        ("concat", "concat://good.mkv", "begins with http"),
    ] {
        let near = world.open(layer, video(src));
        let view = world.wait_for(layer, |view| view.error.is_some());
        let error = view.error.expect("an error");
        assert!(error.contains(reason), "{layer}: {error}");
        until(layer, || {
            (near.state.stage() == InputStage::Failed).then_some(())
        });
        assert!(near.pictures.is_empty());
    }
    assert!(playing.some(70).0.len() == 70);
}

#[test]
fn one_damaged_time_costs_one_picture() {
    let world = World::new();
    world.ffmpeg(
        "whole.mkv",
        &format!("{NUMBERED} -an -c:v libx264 -qp 4 -bf 0 -g 30"),
    );
    // An hour ahead.
    let leap = "-c copy -bsf:v setts=pts=if(eq(N\\,30)\\,PTS+3600000\\,PTS)";
    let whole = world.path("whole.mkv");
    world.ffmpeg("leap.mkv", &format!("-i {} {leap}", whole.display()));
    let spec = video_with("leap.mkv", |source| source.loops = true);
    let near = world.open("leap", spec);
    let (pictures, _) = near.some(59 * 2);
    for (index, picture) in (0..).zip(&pictures) {
        let pass = index / 59;
        let frame = index % 59 + i64::from(index % 59 >= 30);
        let due = (pass * 60 + frame) * 1_000_000 / 30;
        assert_eq!(number(&picture.picture), frame, "{index}");
        assert!(
            (picture.pts_us - due).abs() <= 1400,
            "{index}: {} for {due}",
            picture.pts_us
        );
    }
}

#[test]
fn inputs_beyond_the_limit_wait_for_room() {
    let world = World::with_inputs(1);
    world.ffmpeg("one.mp4", "-f lavfi -i testsrc2=s=64x64 -t 1 -c:v libx264");
    let one = world.open("one", video_with("one.mp4", |source| source.loops = true));
    one.picture();
    let two = world.open("two", video("one.mp4"));
    let view = world.wait_for("two", |view| view.error.is_some());
    assert_eq!(view.stage.as_str(), "failed");
    assert!(view.error.expect("an error").contains("MAX_INPUTS"));
    // What is asked of it meanwhile is where it begins.
    for run in [1, 2] {
        let seek = InputOrder::Seek {
            to_seconds: 0.5,
            run,
            at_us: 77_000,
        };
        two.orders.send(seek).expect("the manager");
    }
    until("it is heard", || two.orders.is_empty().then_some(()));
    drop(one);
    let first = two.picture();
    assert_eq!((first.run, first.pts_us), (2, 77_000));
    assert_eq!(world.inputs.get("two").expect("a view").error, None);
}
