//! Publishers and cameras: they come when they come.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use components::layer::LayerSpec;
use components::sound::Sound;
use proptest::prelude::*;
use raster::Raster;
use stream_manager_systems::Engine;
use stream_manager_systems::assets::{Picture, PictureFonts, decode_picture};
use stream_manager_systems::input::OpenInput;
use stream_manager_systems::scene::SceneBundle;

use crate::stage::*;

/// A publisher whose clock is `speed` times that of the ticks, and whose things arrive when they are made.
struct Publisher {
    speed: f64,
    /// Microseconds of its clock at tick 0.
    from_us: f64,
    pictures: i64,
    blocks: i64,
}

impl Publisher {
    fn new(speed: f64, from_us: f64) -> Self {
        Self {
            speed,
            from_us,
            pictures: 0,
            blocks: 0,
        }
    }

    /// Sends what it has made by the start of a tick.
    fn send(&mut self, open: &OpenInput, tick: u64, picture_luma: impl Fn(i64) -> u8) {
        let now_us = self.speed * tick as f64 * 1e6 / 30.0;
        while self.pictures as f64 * 1e6 / 30.0 <= now_us {
            let pts_us = (self.from_us + self.pictures as f64 * 1e6 / 30.0) as i64;
            let luma = picture_luma(self.pictures);
            open.ends
                .pictures
                .try_send(picture(0, pts_us, luma))
                .unwrap();
            self.pictures += 1;
        }
        while (self.blocks + 1) as f64 * 10_000.0 <= now_us {
            let pts_us = (self.from_us + self.blocks as f64 * 10_000.0) as i64;
            let block = block(0, self.blocks, pts_us, tone);
            open.ends.sound.try_send(block).unwrap();
            self.blocks += 1;
        }
    }
}

fn tone(index: i64) -> f32 {
    (index as f64 * 0.03).sin() as f32 * 0.5
}

fn away() -> Picture {
    let mut png = std::io::Cursor::new(Vec::new());
    let white = image::RgbImage::from_pixel(WIDTH, HEIGHT, image::Rgb([255; 3]));
    white.write_to(&mut png, image::ImageFormat::Png).unwrap();
    decode_picture(png.get_ref(), &PictureFonts::default).unwrap()
}

fn started_live(layer: LayerSpec) -> (Engine, OpenInput) {
    let mut bundle = SceneBundle::new(scene(vec![layer]));
    bundle.pictures.push(("away".into(), away()));
    started_with(bundle)
}

const AWAY: i32 = 235 - 16;

#[test]
fn it_is_held_for_its_buffer_and_something_stands_for_it_when_it_is_not_there() {
    let (mut engine, open) = started_live(layer(guest(0.2)));
    assert_eq!(
        i32::from(middle(&engine)) - 16,
        AWAY,
        "before the first picture"
    );
    let mut publisher = Publisher::new(1.0, 7e6);
    let mut shown = Vec::new();
    for tick_number in 0..60 {
        publisher.send(&open, tick_number, |number| 16 + number as u8);
        shown.push(tick(&mut engine));
    }
    // 0.2 s are six ticks.
    assert_eq!(shown[..8], [AWAY, AWAY, AWAY, AWAY, AWAY, AWAY, 0, 1]);
    assert_eq!(shown[50], 44);
    for _ in 0..10 {
        shown.push(tick(&mut engine));
    }
    assert_eq!(shown[69], 59, "the last one stays");
    for _ in 0..30 {
        shown.push(tick(&mut engine));
    }
    assert_eq!(shown[99], AWAY, "for a second");
    // It comes back with another time.
    let mut publisher = Publisher::new(1.0, 3e9);
    for tick_number in 0..20 {
        publisher.send(&open, tick_number, |number| 116 + number as u8);
        shown.push(tick(&mut engine) - 100);
    }
    assert_eq!(shown[112..116], [6, 7, 8, 9]);
}

#[test]
fn sound_and_picture_stay_together_when_the_clock_is_off() {
    for ppm in [200.0, -200.0] {
        let (mut engine, open) = started_live(layer(guest(0.12)));
        let mut publisher = Publisher::new(1.0 + ppm / 1e6, 5e6);
        let mut all = Vec::new();
        for tick_number in 0..450 {
            publisher.send(&open, tick_number, |_| 100);
            engine.tick();
            let offset = open.ends.state.av_offset_us.load(Ordering::Relaxed);
            assert!(offset.abs() <= TICK_US, "{ppm}: {offset} on {tick_number}");
            match heard(&mut engine) {
                Some(sound) => all.extend(sound),
                None => assert!(tick_number < 8, "{ppm}: silence on {tick_number}"),
            }
        }
        assert_eq!(open.ends.state.sound_gaps.load(Ordering::Relaxed), 0);
        // The tone turns by 0.03 a sample: no step is larger, none is missing.
        let steepest = steepest(&all[4800..]);
        assert!(steepest < 0.5 * 0.0304, "{ppm}: {steepest}");
        let held = open.ends.state.held_us.load(Ordering::Relaxed);
        assert!((20_000..250_000).contains(&held), "{ppm}: {held}");
    }
}

#[test]
fn sound_may_be_heard_later_and_earlier() {
    for (delay, pictures_wait) in [(0.2, 0), (-0.2, 6)] {
        let sound = Sound {
            delay,
            ..Sound::default()
        };
        let (mut engine, open) = started_live(LayerSpec {
            sound,
            ..layer(guest(0.2))
        });
        let mut publisher = Publisher::new(1.0, 0.0);
        let (mut first_picture, mut first_sound) = (None, None);
        for tick_number in 0..40 {
            publisher.send(&open, tick_number, |_| 100);
            if tick(&mut engine) == 84 {
                first_picture.get_or_insert(tick_number);
            }
            if heard(&mut engine).is_some() {
                first_sound.get_or_insert(tick_number);
            }
        }
        assert_eq!(first_picture, Some(6 + pictures_wait), "{delay}");
        let expected = if delay > 0.0 { 12 } else { 6 };
        assert_eq!(first_sound, Some(expected), "{delay}");
    }
}

#[test]
fn no_buffer_sound_alone_and_sound_that_joins_later() {
    let (mut engine, open) = started_live(layer(guest(0.0)));
    let mut publisher = Publisher::new(1.0, 0.0);
    let mut blocks = 0;
    let mut silent = 0;
    for tick_number in 0..120u64 {
        let now_us = tick_number as i64 * 1_000_000 / 30;
        let pts_us = publisher.pictures * 1_000_000 / 30;
        open.ends.pictures.try_send(picture(0, pts_us, 90)).unwrap();
        publisher.pictures += 1;
        // Sound begins a second later.
        while blocks * 10_000 + 1_010_000 <= now_us {
            let pts_us = 1_000_000 + blocks * 10_000;
            open.ends
                .sound
                .try_send(block(0, blocks, pts_us, tone))
                .unwrap();
            blocks += 1;
        }
        engine.tick();
        let sounds = heard(&mut engine).is_some();
        silent += usize::from(!sounds && tick_number > 35);
        assert!(tick_number > 29 || !sounds);
    }
    assert_eq!(silent, 0);
    assert_eq!(open.ends.state.sound_gaps.load(Ordering::Relaxed), 0);

    let (mut engine, open) = started_live(layer(guest(0.1)));
    for tick_number in 0..90i64 {
        while blocks_sent(&open, tick_number) {}
        engine.tick();
        assert_eq!(
            heard(&mut engine).is_some(),
            tick_number >= 4,
            "{tick_number}"
        );
        assert_eq!(i32::from(middle(&engine)) - 16, AWAY);
    }
}

/// Sends the next block of sound when it is made by a tick; numbers are kept in the dropped count, which nobody else writes here.
fn blocks_sent(open: &OpenInput, tick: i64) -> bool {
    let sent = open.ends.state.pictures_dropped.load(Ordering::Relaxed) as i64;
    if (sent + 1) * 10_000 > tick * 1_000_000 / 30 {
        return false;
    }
    let next = block(0, sent, sent * 10_000, tone);
    open.ends.sound.try_send(next).unwrap();
    open.ends
        .state
        .pictures_dropped
        .fetch_add(1, Ordering::Relaxed);
    true
}

#[derive(Clone, Debug)]
enum Comes {
    Picture(i64),
    Sound(i64, u16),
    Ticks(u8),
    Repeat,
}

fn comes() -> impl Strategy<Value = Comes> {
    let time = || prop_oneof![4 => -50_000i64..4_000_000, 1 => any::<i64>().prop_map(|us| us / 4)];
    prop_oneof![
        3 => time().prop_map(Comes::Picture),
        3 => (time(), 0u16..600).prop_map(|(us, len)| Comes::Sound(us, len)),
        3 => (1u8..20).prop_map(Comes::Ticks),
        1 => Just(Comes::Repeat),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]
    /// Whatever comes: each tick has its samples, all of them numbers within bounds.
    #[test]
    fn whatever_comes_a_tick_has_its_samples(all in proptest::collection::vec(comes(), 0..60)) {
        let (mut engine, open) = started_live(layer(guest(0.1)));
        for comes in all {
            match comes {
                Comes::Picture(us) => drop(open.ends.pictures.try_send(picture(0, us, 90))),
                Comes::Sound(us, len) => {
                    let mut block = block(0, us / 10_000, us, tone);
                    block.len = len;
                    drop(open.ends.sound.try_send(block));
                }
                Comes::Repeat => engine.repeat(),
                Comes::Ticks(count) => for _ in 0..count {
                    engine.tick();
                    let sound = heard(&mut engine).unwrap_or_default();
                    prop_assert!(sound.iter().all(|value| value.abs() <= 1.01));
                },
            }
        }
    }
}

#[test]
fn a_picture_with_alpha_is_blended() {
    let (mut engine, open) = started_live(layer(guest(0.0)));
    let data = [64u8, 64, 64, 128].repeat((WIDTH * HEIGHT) as usize);
    let raster = Arc::new(Raster::from_rgba8_premultiplied(WIDTH, HEIGHT, data).unwrap());
    let mut half = picture(0, 0, 0);
    half.picture = stream_manager_systems::input::LivePicture::Raster(raster);
    open.ends.pictures.try_send(half).unwrap();
    engine.tick();
    engine.tick();
    engine.tick();
    // 64 of 255 over black.
    assert!(middle(&engine).abs_diff(71) <= 1, "{}", middle(&engine));
}
