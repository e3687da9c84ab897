#![allow(clippy::all)]
use components::layer::*;
use components::scene::FrameRate;
use components::source::*;
use serde_json::json;
use std::sync::Arc;
use stream_manager_systems::scene::SceneBundle;
use stream_manager_systems::{Engine, EngineSettings};
#[test]
fn look_ticker() {
    let mut e = Engine::new(EngineSettings {
        width: 1920,
        height: 1080,
        rate: FrameRate::whole(30),
        render_threads: 2,
        pool_frames: 4,
        max_layers: 10,
        now_nanos: || 0,
    })
    .unwrap();
    let mut spec = components::scene::SceneSpec::new("t");
    (spec.canvas.width, spec.canvas.height) = (1920, 1080);
    let mut bar = LayerSpec::new("bar");
    bar.source = Source::Colour(serde_json::from_value(json!({"color":"#101828e6"})).unwrap());
    bar.size = Some(Size {
        width: 1920.0.into(),
        height: 72.0.into(),
    });
    bar.position.y = 980.0.into();
    let mut l = LayerSpec::new("ticker");
    l.source = Source::Ticker(serde_json::from_value(json!({"items":["Doors open at eight 🎉",{"text":"Lot 7 sold for 4.10 ETH","fill":"#ffd166"},"שלום עולם","A third item that is a little longer than the others"],"separatorFill":"#ffffff66","font":{"size":36,"weight":600}})).unwrap());
    l.size = Some(Size {
        width: 1760.0.into(),
        height: 72.0.into(),
    });
    l.position.y = 980.0.into();
    l.position.x = 80.0.into();
    spec.layers = vec![Arc::new(bar), Arc::new(l)];
    e.load(SceneBundle::new(spec)).unwrap();
    e.seek(200);
    e.tick();
    let p = e.picture();
    image::save_buffer(
        "/tmp/h4/ticker.png",
        &p.rgba,
        p.width,
        p.height,
        image::ColorType::Rgba8,
    )
    .unwrap();
}
fn msgs() -> serde_json::Value {
    json!([
        {"author":"oldest","text":"This one is the oldest of them all and has gone up a while ago, past the box"},
        {"author":"Mira Okafor","text":"Good evening from Lisbon 👋","badges":["MOD"]},
        {"author":"pixel_dad","text":"that moon though 🌕 absolutely unreal","color":"#0000ff"},
        {"author":"נועה","text":"ערב טוב לכולם! איזה יופי של תמונה, מישהו יודע מי צילם?","badges":["VIP"]},
        {"author":"Lena","avatar":"a1","text":"Which lot is next? I have been waiting for the big one since the beginning of the show and my popcorn is gone","badges":["SUB 12"]},
        {"author":"bot_77","text":"{{secret}} <b>hello</b> Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
        {"author":"Kenji","avatar":"a2","text":""},
        {"author":"سارة","text":"مساء الخير"},
        {"author":"Verylongnamethatdoesnotfitanywhere_andgoesonforever_1234567890ab","text":"hi","badges":["MOD","VIP"]},
        {"author":"Theo","text":"🔥🔥🔥"}
    ])
}
fn pic(path: &str) -> std::sync::Arc<raster::Raster> {
    stream_manager_systems::assets::decode_picture(&std::fs::read(path).unwrap()).unwrap()
}
#[test]
fn look_chat() {
    let mut spec = components::scene::SceneSpec::new("t");
    (spec.canvas.width, spec.canvas.height) = (1920, 1080);
    let mut bg = LayerSpec::new("bg");
    bg.source = Source::Image(serde_json::from_value(json!({"src":"bg"})).unwrap());
    bg.size = Some(Size {
        width: 1920.0.into(),
        height: 1080.0.into(),
    });
    bg.fit = Fit::Cover;
    bg.z_index.0 = Some(-10);
    let mut layers = vec![Arc::new(bg)];
    let styles = [
        json!({}),
        json!({"bubble":{"fill":"transparent","padding":4},"avatars":{"size":0},"font":{"size":28,"weight":600,"lineHeight":1.3}}),
        json!({"direction":"down","bubble":{"fill":"#ffffffee","radius":8,"stretch":true},"fill":"#11151c","avatars":{"shape":"rounded"},"gap":8}),
        json!({"bubble":{"fill":{"kind":"linear","angle":90,"stops":[{"at":0,"color":"#1b1140e0"},{"at":1,"color":"#1b114020"}]},"radius":6,"padding":8,"stretch":true},"avatars":{"size":36,"shape":"square"},"font":{"size":20}}),
    ];
    for (i, mut st) in styles.into_iter().enumerate() {
        st["messages"] = msgs();
        let mut l = LayerSpec::new(LayerId::new(format!("c{i}")));
        l.source = Source::Chat(serde_json::from_value(st).unwrap());
        l.size = Some(Size {
            width: 430.0.into(),
            height: 960.0.into(),
        });
        l.position.x = (30.0 + 470.0 * i as f32).into();
        l.position.y = 60.0.into();
        layers.push(Arc::new(l));
    }
    spec.layers = layers;
    let mut b = SceneBundle::new(spec);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenes/assets/");
    for (n, f) in [
        ("bg", "backgrounds/gallery-day.jpg"),
        ("a1", "avatars/1.png"),
        ("a2", "avatars/2.png"),
    ] {
        b.pictures.push((n.into(), pic(&format!("{root}{f}"))));
    }
    for f in [
        "Inter-Regular.ttf",
        "Inter-Medium.ttf",
        "Inter-SemiBold.ttf",
        "Inter-Bold.ttf",
    ] {
        b.fonts.push((
            f.into(),
            std::fs::read(format!("{root}fonts/{f}")).unwrap().into(),
        ));
    }
    let mut e = Engine::new(EngineSettings {
        width: 1920,
        height: 1080,
        rate: FrameRate::whole(30),
        render_threads: 2,
        pool_frames: 4,
        max_layers: 10,
        now_nanos: || 0,
    })
    .unwrap();
    e.load(b).unwrap();
    e.seek(20);
    e.tick();
    let p = e.picture();
    image::save_buffer(
        "/tmp/h4/chat.png",
        &p.rgba,
        p.width,
        p.height,
        image::ColorType::Rgba8,
    )
    .unwrap();
}
