//! Reading what was written gives the same scene.

use std::sync::Arc;

use components::animation::{
    Easing, Glide, Keyframe, KeyframeValue, LoopMode, MotionPath, Property, Spring, TimelineSpec,
    TrackLayers, TrackSpec,
};
use components::effect::Effects;
use components::layer::{
    Anchor, Crop, Fit, LayerId, LayerName, LayerSpec, Opacity, Position, Role, Rotation, Scale,
    Size, Visible, ZIndex,
};
use components::output::{OutputSpec, RenditionSpec};
use components::scene::{AssetSpec, CanvasSpec, FrameRate, SCENE_VERSION, SceneSpec, Transitions};
use components::source::{
    Align, AudioSource, AvatarBlink, AvatarBreath, AvatarEmotion, AvatarFade, AvatarMouth,
    AvatarOverride, AvatarPicture, AvatarShapes, AvatarSource, AvatarState, ColourSource,
    CornerRadii, Counter, FeedDirection, FeedItem, FeedOrder, FeedTransition, FeedTransitionKind,
    FitText, Font, FontStyle, GradientSource, GroupSource, Grouping, ImageSource, IngestSource,
    MouthShape, Offset, Outline, Overflow, Playback, PlaybackLoop, Reception, RtspSource,
    RtspTransport, SceneSource, Shadow, ShapeKind, ShapeSource, Source, Stroke, TextDirection,
    TextSource, VerticalAlign, VideoSource, VisualFeedSource,
};
use components::transition::{Side, Transition, TransitionKind};
use components::value::{Gradient, GradientKind, GradientStop, Moment, Point};
use components::{BlendMode, Colour, Number, Paint, Template};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use stream_manager::scene::{LoadOptions, scene_from_text, to_json};

use super::GOOD;
use super::any_effects::effects;

/// On the heap: put together, the strategies are too large for a test's stack.
macro_rules! boxed {
    ($($name:ident: $type:ty = $whole:expr;)*) => {$(
        fn $name() -> BoxedStrategy<$type> {
            $whole.boxed()
        }
    )*};
}

boxed! {
    gradient: Gradient = whole_gradient();
    font: Font = whole_font();
    text: Source = whole_text();
    avatar: Source = whole_avatar();
    shape: Source = whole_shape();
    glide: Glide = whole_glide();
    transition: Transition = whole_transition();
    layer: LayerSpec = whole_layer();
    scene: SceneSpec = whole_scene();
}

fn timeline(id: usize) -> BoxedStrategy<TimelineSpec> {
    whole_timeline(id).boxed()
}

fn colour() -> impl Strategy<Value = Colour> {
    any::<[u8; 4]>().prop_map(|[red, green, blue, alpha]| Colour {
        red,
        green,
        blue,
        alpha,
    })
}

/// Any number in the range, whole ones often.
fn between(low: f32, high: f32) -> impl Strategy<Value = f32> + Clone {
    prop_oneof![
        low..=high,
        (low.ceil() as i32..=high.floor() as i32).prop_map(|whole| whole as f32)
    ]
}

fn number(low: f32, high: f32) -> BoxedStrategy<Number> {
    prop_oneof![
        4 => between(low, high).prop_map(Number::Literal),
        1 => select(vec!["a", "list.0", "deep.er", "clock.seconds"]).prop_map(|path| Number::Bound(path.into())),
    ]
    .boxed()
}

fn template() -> impl Strategy<Value = Template> {
    prop_oneof![
        r#"[^{}]{0,20}"#,
        Just("{{a}}".to_owned()),
        "[^{}]{1,4}".prop_map(|text| format!("{text}{{{{deep.er}}}}{{{{clock.hms}}}} {text}")),
    ]
    .prop_map(|text| Template::parse(&text).unwrap())
}

fn point() -> impl Strategy<Value = Point> {
    (between(-10.0, 10.0), between(-10.0, 10.0)).prop_map(|(x, y)| Point { x, y })
}

prop_compose! {
    fn whole_gradient()(
        kind in select(vec![GradientKind::Linear, GradientKind::Radial, GradientKind::Conic]),
        angle in prop_oneof![Just(180.0), between(-360.0, 360.0)],
        center in point(),
        radius in between(0.5, 10.0),
        mut stops in prop::collection::vec((0.0..=1.0_f32, colour()), 2..5),
    ) -> Gradient {
        stops.sort_by(|a, b| a.0.total_cmp(&b.0));
        let stops = stops.into_iter().map(|(at, color)| GradientStop { at, color }).collect();
        Gradient { kind, angle, center, radius, stops }
    }
}

fn paint() -> BoxedStrategy<Paint> {
    prop_oneof![
        colour().prop_map(Paint::Solid),
        gradient().prop_map(Paint::Gradient)
    ]
    .boxed()
}

prop_compose! {
    fn whole_font()(
        family in "[A-Za-z, ]{0,8}[A-Z]",
        size in between(1.0, 2000.0),
        weight in between(100.0, 900.0),
        style in select(vec![FontStyle::Normal, FontStyle::Italic]),
        line_height in between(0.5, 5.0),
        letter_spacing in between(-20.0, 20.0),
        tabular_figures in any::<bool>(),
    ) -> Font {
        Font { family, size, weight, style, line_height, letter_spacing, tabular_figures }
    }
}

prop_compose! {
    fn whole_text()(
        text in template(),
        font in font(),
        fill in paint(),
        align in select(vec![Align::Start, Align::Center, Align::End, Align::Left, Align::Right, Align::Justify]),
        vertical_align in select(vec![VerticalAlign::Top, VerticalAlign::Middle, VerticalAlign::Bottom]),
        wrap in any::<bool>(),
        max_lines in prop::option::of(1..9_u32),
        overflow in select(vec![Overflow::Visible, Overflow::Clip, Overflow::Ellipsis]),
        fit_to_box in prop::option::of((between(1.0, 20.0), prop::option::of(between(20.0, 100.0)))),
        outline in prop::option::of((colour(), between(1.0, 9.0))),
        shadow in prop::option::of((colour(), point(), between(0.0, 100.0))),
        direction in select(vec![TextDirection::Auto, TextDirection::Ltr, TextDirection::Rtl]),
        counter in prop::option::of((number(-1e6, 1e6), 0..=6_u8, glide())),
    ) -> Source {
        Source::Text(TextSource {
            counter: counter.map(|(value, decimals, roll)| Counter { value, decimals, grouping: Grouping::Space, roll }),
            text, font, fill, align, vertical_align, wrap, max_lines, overflow, direction,
            fit_to_box: fit_to_box.map(|(min_size, max_size)| FitText { min_size, max_size }),
            outline: outline.map(|(color, width)| Outline { color, width }),
            shadow: shadow.map(|(color, offset, blur)| Shadow { color, offset, blur }),
        })
    }
}

prop_compose! {
    fn whole_shape()(
        shape in select(vec![ShapeKind::Rectangle, ShapeKind::Ellipse, ShapeKind::Path]),
        radius in prop_oneof![between(0.0, 99.0).prop_map(|all| [all; 4]), prop::array::uniform4(between(0.0, 99.0))],
        fill in paint(),
        stroke in prop::option::of((paint(), between(1.0, 9.0), prop::collection::vec(between(1.0, 9.0), 0..3))),
    ) -> Source {
        Source::Shape(ShapeSource {
            shape,
            radius: if shape == ShapeKind::Rectangle { CornerRadii(radius) } else { CornerRadii::default() },
            path: (shape == ShapeKind::Path).then(|| "M0 0L9 9".to_owned()),
            fill: Some(fill),
            stroke: stroke.map(|(paint, width, dash)| Stroke { paint, width, dash }),
        })
    }
}

prop_compose! {
    fn image()(
        src in template().prop_filter("an image has a name", |src| src
            .to_string()
            .chars()
            .all(char::is_alphanumeric)
            && !src.to_string().is_empty()),
        speed in prop_oneof![Just(1.0), 0.0f32..=16.0],
        loop_mode in select(vec![PlaybackLoop::File, PlaybackLoop::Once, PlaybackLoop::Forever]),
        start in prop_oneof![Just(0.0), 0.0f32..=3600.0],
    ) -> Source {
        Source::Image(ImageSource { src, playback: Playback { speed, loop_mode, start } })
    }
}

prop_compose! {
    fn item()(
        id in "[a-z]{1,9}", title in any::<String>(), artist in prop::option::of("[ -z]{0,20}"),
        bid in prop::option::of(0.0..1e15_f64), currency in select(vec!["ETH", "USDC", ""]),
        ends in 0..3_u8, more in any::<bool>(),
    ) -> Arc<FeedItem> {
        Arc::new(FeedItem {
            id: LayerId::from(&*id), title, artist, image: None, bid, currency: currency.to_owned(),
            bidder: more.then(|| "somebody".to_owned()),
            ends_at: (ends == 1).then(|| Moment::parse("2026-05-01T20:00:00.5Z").unwrap()),
            ends_in: (ends == 2).then_some(12.5),
            data: if more { json!({"a": [1, {"b": "{{c}}"}]}).as_object().unwrap().clone() } else { Map::new() },
        })
    }
}

prop_compose! {
    fn whole_feed()(
        mut items in prop::collection::vec(item(), 0..4), dwell in between(1.0, 99.0), seed in 0..9_u32,
        kind in select(vec![FeedTransitionKind::Fade, FeedTransitionKind::Push, FeedTransitionKind::Cut]),
        direction in select(vec![FeedDirection::Left, FeedDirection::Up]),
        order in select(vec![FeedOrder::Loop, FeedOrder::Once, FeedOrder::Shuffle]),
        has_template in any::<bool>(), opacity in 0.0..1.0_f32,
    ) -> Source {
        items.sort_by_key(|item| item.id.as_str().to_owned());
        items.dedup_by_key(|item| item.id.as_str().to_owned());
        let mut layer = LayerSpec::new("words");
        layer.opacity = Opacity(opacity.into());
        layer.rotation = Rotation(Number::Bound("item.bid".into()));
        Source::VisualFeed(VisualFeedSource {
            items, dwell, seed, order,
            transition: FeedTransition { kind, direction, duration: 0.5, ..FeedTransition::default() },
            ended: "Sold".to_owned(), max_items: 4,
            template: has_template.then(|| vec![Arc::new(layer)]),
        })
    }
}

fn words_of_scene() -> impl Strategy<Value = Source> {
    ("[a-z]{1,9}(\\.json)?", any::<bool>()).prop_map(|(src, background)| {
        Source::Scene(SceneSource {
            src,
            background,
            data: Map::new(),
            inner: None,
        })
    })
}

fn offset() -> impl Strategy<Value = Offset> {
    prop_oneof![
        Just(Offset::default()),
        (between(-99.0, 99.0), between(-99.0, 99.0)).prop_map(|(x, y)| Offset { x, y }),
    ]
}

fn avatar_picture() -> BoxedStrategy<Option<AvatarPicture>> {
    let picture = ("[a-z]{1,4}", offset()).prop_map(|(src, offset)| AvatarPicture { src, offset });
    prop::option::of(picture).boxed()
}

fn shapes() -> BoxedStrategy<Vec<MouthShape>> {
    prop::collection::vec(("[a-z]{1,4}", offset()), 0..4)
        .prop_map(|shapes| {
            let shapes = shapes.into_iter().enumerate();
            let shape = |(index, (src, offset))| MouthShape {
                src,
                offset,
                from: index as f32 / 8.0,
            };
            shapes.map(shape).collect()
        })
        .boxed()
}

prop_compose! {
    fn avatar_override()(
        src in prop::option::of("[a-z]{1,4}"), offset in offset(), eyes in avatar_picture(), blink in avatar_picture(),
        mouth in prop::option::of(shapes()),
    ) -> AvatarOverride {
        AvatarOverride { src, offset, eyes, blink, mouth: mouth.map(|shapes| AvatarShapes { shapes }) }
    }
}

prop_compose! {
    fn whole_avatar()(
        idle in avatar_override(),
        wave in (avatar_override(), between(0.5, 9.0), select(vec![None, Some("idle".to_owned())])),
        happy in prop::option::of((avatar_override(), prop::option::of(avatar_override()))),
        words in (select(vec!["idle", "wave", "{{a}}"]), select(vec!["neutral", "{{deep.er}}"])),
        eyes in avatar_picture(),
        mouth in prop::option::of((number(0.0, 1.0), shapes(), between(0.0, 9.0), prop_oneof![Just(0.12), 0.0f32..=9.0], 0.0f32..=1.0)),
        blink in (prop::option::of("[a-z]{1,4}"), offset(), between(0.2, 3.0), between(3.0, 9.0), 0.02f32..=2.0, 0.0f32..=1.0),
        fade in (0.0f32..=9.0, easing()),
        breathe in prop::option::of((between(0.0, 99.0), between(1.0, 9.0))),
        talk in (prop::option::of(0.01f32..=1.0), prop_oneof![Just(0.4), 0.0f32..=9.0], 0..3_u32),
    ) -> Source {
        let state = |own: AvatarOverride, duration, then| AvatarState {
            src: own.src.unwrap_or_else(|| "body".to_owned()),
            offset: own.offset, eyes: own.eyes, blink: own.blink, mouth: own.mouth, duration, then,
        };
        let emotion = happy.map(|(own, idle)| AvatarEmotion {
            src: own.src, offset: own.offset, eyes: own.eyes, blink: own.blink, mouth: own.mouth,
            states: idle.into_iter().map(|own| ("idle".to_owned(), own)).collect(),
        });
        let (own, duration, then) = wave;
        Source::Avatar(AvatarSource {
            states: [("idle".to_owned(), state(idle, None, None)), ("wave".to_owned(), state(own, Some(duration), then))].into(),
            emotions: emotion.into_iter().map(|emotion| ("happy".to_owned(), emotion)).collect(),
            state: Template::parse(words.0).unwrap(),
            emotion: Template::parse(words.1).unwrap(),
            eyes,
            mouth: mouth.map(|(level, shapes, attack, release, hysteresis)| AvatarMouth { level, shapes, attack, release, hysteresis }),
            blink: AvatarBlink { src: blink.0, offset: blink.1, every: [blink.2, blink.3], duration: blink.4, double: blink.5 },
            transition: AvatarFade { duration: fade.0, easing: fade.1 },
            breathe: breathe.map(|(amount, period)| AvatarBreath { amount, period }),
            talk_when: talk.0, talk_hold: talk.1, again: talk.2,
        })
    }
}

prop_compose! {
    fn reception()(
        buffer in prop_oneof![Just(0.12), 0.0f32..=5.0], timeout in prop_oneof![Just(5.0), 0.2f32..=3600.0],
        fallback in prop::option::of("[a-z]{1,9}"),
    ) -> Reception {
        Reception { buffer, timeout, fallback }
    }
}

prop_compose! {
    fn input()(
        kind in 0..4_u8, name in "[a-z]{1,9}", remote in any::<bool>(), flags in any::<[bool; 2]>(), reception in reception(),
        start in prop_oneof![Just(0.0), 0.0f32..=900.0], length in prop::option::of(0.1f32..=900.0),
        speed in prop_oneof![Just(1.0), 0.1f32..=4.0], fades in prop::array::uniform2(prop_oneof![Just(0.0), 0.0f32..=600.0]),
        user in prop::option::of("[a-z]{1,9}"), password in prop::option::of("RTSP_PASSWORD[A-Z0-9_]{0,9}"),
    ) -> Source {
        let src = if remote { format!("https://example.org/{name}.mp4") } else { format!("{name}.mp4") };
        let end = length.map(|length| start + length);
        let [loops, paused] = flags;
        let [fade_in, fade_out] = fades;
        match kind {
            0 => Source::Video(VideoSource { src, loops, paused, start, end, speed, reception }),
            1 => Source::Rtsp(RtspSource {
                url: format!("rtsp://camera.local/{name}"), username: user, password_from: password, reception,
                transport: if loops { RtspTransport::Udp } else { RtspTransport::Tcp },
            }),
            2 => Source::Ingest(IngestSource { key: name, reception }),
            _ => Source::Audio(AudioSource { src, loops, paused, start, end, fade_in, fade_out }),
        }
    }
}

fn source() -> BoxedStrategy<Source> {
    prop_oneof![
        colour().prop_map(|color| Source::Colour(ColourSource { color })),
        gradient().prop_map(|gradient| Source::Gradient(GradientSource { gradient })),
        image(),
        shape(),
        text(),
        whole_feed(),
        words_of_scene(),
        avatar(),
        input(),
        Just(Source::Group(GroupSource {})),
    ]
    .boxed()
}

prop_compose! {
    fn whole_layer()(
        name in prop_oneof![Just(String::new()), any::<String>()],
        role in select(Role::ALL.to_vec()),
        source in source(),
        visible in any::<bool>(),
        position in (number(-1e6, 1e6), number(-1e6, 1e6)),
        size in (number(1.0, 16384.0), number(1.0, 16384.0)),
        anchor in prop_oneof![Just((0.0, 0.0)), (between(-100.0, 100.0), between(-100.0, 100.0))],
        scale in prop_oneof![number(-1000.0, 1000.0).prop_map(|both| (both.clone(), both)), (number(-1.0, 9.0), number(-1.0, 9.0))],
        rotation in number(-1e6, 1e6),
        opacity in number(0.0, 1.0),
        z_index in prop::option::of(any::<i32>()),
        blend in select(BlendMode::ALL.to_vec()),
        crop in prop::array::uniform4(between(0.0, 99.0)),
        ways in (prop::option::of(transition()), prop::option::of(transition())),
    )(
        fit in select(vec![Fit::Contain, Fit::Cover, Fit::Fill, Fit::None]),
        effects in effects(gradient()),
        layer in Just(LayerSpec {
            id: LayerId::new(""), name: LayerName(name), role, source, visible: Visible(visible),
            position: Position { x: position.0, y: position.1 },
            size: Some(Size { width: size.0, height: size.1 }),
            anchor: Anchor { x: anchor.0, y: anchor.1 },
            scale: Scale { x: scale.0, y: scale.1 },
            rotation: Rotation(rotation), opacity: Opacity(opacity), z_index: ZIndex(z_index), blend,
            crop: Crop { left: crop[0], top: crop[1], right: crop[2], bottom: crop[3] },
            fit: Fit::default(), effects: Effects::default(), sound: Default::default(), enter: ways.0, exit: ways.1, children: Vec::new(),
        }),
    ) -> LayerSpec {
        LayerSpec { fit, effects, ..layer }
    }
}

fn layers() -> BoxedStrategy<Vec<LayerSpec>> {
    let tree = layer().prop_recursive(3, 12, 3, |inner| {
        (layer(), prop::collection::vec(inner, 0..3)).prop_map(|(layer, children)| LayerSpec {
            children: children.into_iter().map(Arc::new).collect(),
            ..layer
        })
    });
    prop::collection::vec(tree, 0..4)
        .prop_map(|mut layers| {
            fn name<'a>(layers: impl IntoIterator<Item = &'a mut LayerSpec>, next: &mut u32) {
                for layer in layers {
                    layer.id = LayerId::new(format!("layer-{next}"));
                    *next += 1;
                    name(layer.children.iter_mut().map(Arc::make_mut), next);
                }
            }
            name(&mut layers, &mut 0);
            layers
        })
        .boxed()
}

fn easing() -> impl Strategy<Value = Easing> {
    prop_oneof![
        select(Easing::NAMED.to_vec()),
        (
            0.0..=1.0_f32,
            between(-10.0, 10.0),
            0.0..=1.0_f32,
            between(-10.0, 10.0)
        )
            .prop_map(|(x1, y1, x2, y2)| Easing::CubicBezier([x1, y1, x2, y2])),
        (1..10_000_u32).prop_map(Easing::Steps),
        between(0.0, 0.9).prop_map(|bounce| Easing::Spring(Spring { bounce })),
    ]
}

fn keyframes(property: Property) -> impl Strategy<Value = Vec<Keyframe>> {
    let value = match property {
        Property::Crop => [0.0..=9.0_f32, 0.0..=9.0, 0.5..=9.0, 0.0..=9.0]
            .prop_map(|[left, top, right, bottom]| {
                KeyframeValue::Sides(Crop {
                    left,
                    top,
                    right,
                    bottom,
                })
            })
            .boxed(),
        Property::Position | Property::Scale | Property::Size | Property::Anchor => {
            (between(0.5, 9.0), between(0.5, 9.0))
                .prop_map(|(x, y)| KeyframeValue::Pair { x, y })
                .boxed()
        }
        _ => between(0.125, 1.0).prop_map(KeyframeValue::Number).boxed(),
    };
    prop::collection::vec((value, easing()), 1..5).prop_map(|list| {
        let times = (1..).map(|index| index as f32 / 3.0);
        times
            .zip(list)
            .map(|(at, (value, easing))| Keyframe { at, value, easing })
            .collect()
    })
}

fn track(layer: String) -> impl Strategy<Value = TrackSpec> {
    use Property as P;
    let ways = (any::<bool>(), between(0.0, 3600.0), any::<Option<bool>>());
    (select(P::OF_LAYERS.to_vec()), ways)
        .prop_flat_map(|(property, ways)| {
            let on_path = ways.2.is_some() && property == P::Position;
            let values = if on_path {
                P::Opacity
            } else {
                property.clone()
            };
            (Just(property), Just(ways), keyframes(values))
        })
        .prop_map(
            move |(property, (additive, stagger, path), keyframes)| TrackSpec {
                layers: TrackLayers::one(layer.as_str()),
                path: path
                    .filter(|_| property == P::Position)
                    .map(|orient| MotionPath {
                        d: "M0 0 L 10 10".to_owned(),
                        orient,
                    }),
                property,
                additive,
                stagger,
                keyframes,
            },
        )
}

fn whole_transition() -> impl Strategy<Value = Transition> {
    use TransitionKind as K;
    let numbers = (between(0.0, 60.0), between(0.0, 3600.0), between(0.0, 9.0));
    let kinds = vec![
        K::Cut,
        K::Fade,
        K::FadeThroughColor,
        K::Slide,
        K::Push,
        K::Scale,
        K::Wipe,
        K::Iris,
        K::Clock,
        K::Stinger,
    ];
    let side = select(vec![Side::Left, Side::Right, Side::Top, Side::Bottom]);
    let rest = (colour(), side, point(), any::<bool>());
    (select(kinds), numbers, easing(), rest).prop_map(
        |(kind, (duration, delay, any), easing, (color, side, center, fade))| {
            let mut transition = Transition {
                delay,
                easing,
                ..Transition::new(kind, duration)
            };
            match kind {
                K::Cut | K::Fade => {}
                K::FadeThroughColor => transition.color = color,
                K::Slide => (transition.distance, transition.fade) = (Some(any), fade),
                K::Push => transition.side = side,
                K::Scale => (transition.scale, transition.center) = (any, center),
                K::Wipe => (transition.angle, transition.softness) = (Some(any), any),
                K::Iris | K::Clock => (transition.softness, transition.center) = (any, center),
                K::Stinger => transition.src = Some("clip.webp".to_owned()),
            }
            transition
        },
    )
}

fn whole_glide() -> impl Strategy<Value = Glide> {
    (between(0.0, 600.0), easing(), between(0.0, 600.0)).prop_map(|(duration, easing, delay)| {
        Glide {
            duration,
            easing,
            delay,
        }
    })
}

prop_compose! {
    fn whole_timeline(id: usize)(
        autoplay in any::<bool>(),
        loop_mode in select(vec![LoopMode::Once, LoopMode::Loop, LoopMode::PingPong]),
        duration in prop::option::of(between(1.0, 86_400.0)),
        delay in between(0.0, 86_400.0),
        speed in between(1.0, 1000.0),
        group in prop::option::of("[a-z]{1,5}"),
        markers in prop::collection::btree_map("[a-z]{1,5}", between(0.0, 86_400.0), 0..3),
        tracks in prop::collection::vec(track("layer-0".to_owned()), 0..3),
    ) -> TimelineSpec {
        TimelineSpec { id: format!("timeline {id}"), autoplay, loop_mode, duration, delay, speed, start_after: None, group, markers, tracks }
    }
}

prop_compose! {
    fn whole_scene()(
        schema in prop::option::of(any::<String>()),
        name in any::<String>(),
        width in 8..3840_u32,
        fps in prop::option::of(prop_oneof![(1..=120_u32).prop_map(FrameRate::whole), select(vec![24_u32, 30, 60, 120]).prop_map(|up| FrameRate { numerator: up * 1000, denominator: 1001 })]),
        background in colour(),
        assets in prop::collection::btree_map("asset-[a-z]{1,6}", "[a-z]{1,6}[.]bin", 0..3),
        extra in any::<Option<i64>>(),
        layers in layers(),
        timelines in (timeline(0), timeline(1)),
        timeline_count in 0..3_usize,
        transition in transition(),
        streams in (renditions(), outputs()),
    ) -> SceneSpec {
        let (renditions, outputs) = streams;
        let mut data: Map<String, Value> = Map::new();
        data.insert("a".to_owned(), 3.into());
        data.insert("list".to_owned(), json!([1.5, {"x": [null, true, "é\u{0}"]}]));
        data.insert("deep".to_owned(), json!({"er": "12.25", "extra": extra}));
        let mut timelines: Vec<_> = [timelines.0, timelines.1].into_iter().take(timeline_count).collect();
        if layers.is_empty() {
            timelines.clear();
        }
        let assets: std::collections::BTreeMap<_, _> = assets.into_iter().map(|(name, path)| (name, AssetSpec { path })).collect();
        SceneSpec {
            schema, version: SCENE_VERSION, name,
            canvas: CanvasSpec { width: width * 2, fps, background, ..CanvasSpec::default() },
            assets, data: Arc::new(data),
            layers: layers.into_iter().map(Arc::new).collect(),
            timelines: timelines.into_iter().map(Arc::new).collect(),
            transitions: Transitions { scene: transition },
            audio: Default::default(),
            renditions: renditions.into_iter().map(Arc::new).collect(),
            outputs: outputs.into_iter().map(Arc::new).collect(),
        }
    }
}

/// Outputs of every kind, as they may be written.
fn outputs() -> impl Strategy<Value = Vec<OutputSpec>> {
    let kinds = [
        json!({"platform": "x", "region": "va", "keyFrom": "X_STREAM_KEY", "sessionHours": 11.5, "adaptive": false}),
        json!({"url": "rtmps://host:443/app", "key": "k\u{e9}y", "backupUrls": ["rtmp://other/app"], "caFile": "ca.pem"}),
        json!({"type": "srt", "url": "srt://host:8890?streamid=a", "enabled": false, "timeout": 900, "maxQueue": 30}),
        json!({"url": "friday.mkv", "split": {"minutes": 12.5}, "renditions": ["low"]}),
        json!({"type": "file", "container": "ts", "split": {"minutes": 0.1, "megabytes": 700}}),
        json!({"type": "hls", "renditions": ["main", "low"], "segmentSeconds": 4, "window": 10, "segmentType": "mpegts"}),
        json!({"url": "stage/", "retryAttempts": 0, "retryDelay": 250}),
    ];
    prop::sample::subsequence(kinds.to_vec(), 0..=7).prop_map(|kinds| {
        let numbered = kinds.into_iter().enumerate();
        let read = numbered.map(|(index, mut output)| {
            output["id"] = format!("out-{index}").into();
            serde_json::from_value(output).unwrap()
        });
        read.collect()
    })
}

fn renditions() -> impl Strategy<Value = Vec<RenditionSpec>> {
    let low = json!({"id": "low", "height": 180, "bitrate": 400, "codec": "vp9", "audioCodec": "opus", "audioBitrate": 64,
        "adaptive": {"floor": 150}});
    let main =
        json!({"id": "main", "preset": "faster", "acceleration": "auto", "keyframeInterval": 1.5});
    any::<bool>().prop_map(move |has_main| {
        let list = if has_main {
            vec![main.clone(), low.clone()]
        } else {
            vec![low.clone()]
        };
        let read = list
            .into_iter()
            .map(|one| serde_json::from_value(one).unwrap());
        read.collect()
    })
}

fn read(text: &str) -> Result<SceneSpec, String> {
    let options = LoadOptions {
        max_layers: 1000,
        check_files: false,
        ..LoadOptions::default()
    };
    scene_from_text(text, "scene.json", None, &options)
        .map_err(|errors| format!("{}\n{text}", errors.plain()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back_the_same(scene in scene()) {
        let text = to_json(&scene);
        prop_assert_eq!(read(&text), Ok(scene));
    }
}

#[test]
fn the_good_scene_is_written_without_loss() {
    let scene = read(GOOD).unwrap();
    let written = to_json(&scene);
    assert_eq!(read(&written), Ok(scene));
    // Numbers and words come back as an author writes them.
    for piece in [
        "\"opacity\": 0.9",
        "\"x\": 640",
        "\"fps\": 29.97",
        "\"{{bid.width}}\"",
        "easeInOutSine",
    ] {
        assert!(written.contains(piece), "{piece} is not in\n{written}");
    }
}
