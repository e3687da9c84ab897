//! The good scene with one thing broken: each problem stands at its line and column, with its path and its words.

use stream_manager::scene::{LoadOptions, SceneErrors, load_scene, scene_from_text};

use super::GOOD;
use super::folder::Folder;

/// One broken scene. `written` takes the place of `good`; the mark ▶ in it, which is taken out, stands where the problem must be.
struct Broken {
    good: &'static str,
    written: &'static str,
    path: &'static str,
    /// Pieces of the plain line.
    says: &'static [&'static str],
}

const fn broken(
    good: &'static str,
    written: &'static str,
    path: &'static str,
    says: &'static [&'static str],
) -> Broken {
    Broken {
        good,
        written,
        path,
        says,
    }
}

#[rustfmt::skip]
const BROKEN: &[Broken] = &[
    // The envelope.
    broken("{\n  \"version\": 1,", "▶{", "", &["the scene has no `version`", "write \"version\": 1"]),
    broken("\"version\": 1", "\"version\": ▶2", "version", &["version 2 is not supported", "reads version 1"]),
    broken("\"version\": 1", "\"version\": ▶\"1\"", "version", &["expected the number of a version", "the string \"1\""]),
    broken("{\n  \"version\": 1,\n  \"name\": \"Good\",", "▶{\n  \"version\": 1,", "", &["the scene has no `name`"]),
    broken("\"name\": \"Good\"", "\"name\": ▶null", "name", &["expected a string, found null"]),
    broken("\"timelines\"", "▶\"timeline\"", "timeline", &["unknown field `timeline`", "did you mean `timelines`?"]),
    broken("\"timelines\"", "▶\"audios\"", "audios", &["unknown field `audios`", "did you mean `audio`?"]),
    broken("\"timelines\"", "▶\"sounds\"", "sounds", &["unknown field `sounds`", "there are `$schema`, `version`"]),
    broken("\"name\": \"Good\",", "\"name\": \"Good\",\n  ▶\"name\": \"Better\",", "name", &["`name` is written twice", "first written on line 3"]),
    // The canvas.
    broken("\"width\": 1280", "\"width\": ▶1281", "canvas.width", &["1281 does not serve; it must be even"]),
    broken("\"width\": 1280", "▶\"Width\": 1280", "canvas.Width", &["unknown field `Width`", "did you mean `width`?", "There are `width`, `height`"]),
    broken("\"width\": 1280", "\"width\": ▶-1280", "canvas.width", &["expected a whole number from 0 to 4294967295, found the number -1280"]),
    broken("\"width\": 1280", "\"width\": ▶1280.5", "canvas.width", &["expected a whole number, found the number 1280.5"]),
    broken("29.97", "▶29.5", "canvas.fps", &["29.5 is not a frame rate"]),
    broken("\"#0b0d17\"", "▶\"#0b0d1\"", "canvas.background", &["`#0b0d1` is not a colour", "write it as CSS does"]),
    // Layers.
    broken("\"id\": \"card\",", "\"idd\": \"card\",", "layers[1]", &["the layer has no `id`"]),
    broken("\"id\": \"backdrop\"", "\"id\": ▶\"back drop\"", "layers[0].id", &["an id has 1 to 128 letters"]),
    broken("\"id\": \"veil\"", "\"id\": ▶\"panel\"", "layers[2].id", &["the id `panel` is taken by layers[1].children[0]"]),
    broken("\"type\": \"visualFeed\"", "\"type\": ▶\"visualfeed\"", "layers[1].type", &["unknown word `visualfeed`", "did you mean `visualFeed`?"]),
    broken("\"opacity\": 0.9", "\"opacity\": ▶1.5", "layers[1].opacity", &["1.5 is out of range; it must be from 0 to 1"]),
    broken("\"opacity\": 0.9", "▶\"opacty\": 0.9", "layers[1].opacty", &["unknown field `opacty`", "did you mean `opacity`?"]),
    broken("\"zIndex\": 12", "\"zIndex\": ▶\"top\"", "layers[1].zIndex", &["expected a whole number, found the string \"top\""]),
    broken("\"anchor\": \"center\"", "\"anchor\": ▶\"centre\"", "layers[1].anchor", &["unknown word `centre`", "did you mean `center`?", "`bottomRight`"]),
    broken("\"x\": 640,", "\"x\": ▶\"640px\",", "layers[1].position.x", &["expected a number, or a data path such as \"{{bid.width}}\", found the string \"640px\""]),
    broken("\"x\": 640,", "\"x\": ▶1e300,", "layers[1].position.x", &["1e300 is out of range"]),
    broken("\"blend\": \"screen\"", "\"blend\": ▶\"scren\"", "layers[1].children[0].blend", &["unknown word `scren`", "did you mean `screen`?"]),
    broken("\"visible\": false", "\"visible\": ▶0", "layers[2].visible", &["expected true or false, found the number 0"]),
    broken("\"fit\": \"cover\"", "\"fit\": ▶[\"cover\"]", "layers[1].children[2].fit", &["expected one of \"contain\", \"cover\", \"fill\", \"none\", found a list"]),
    broken("\"layers\": [", "\"layers\": [▶3,", "layers[0]", &["expected an object, found the number 3"]),
    broken("{\"x\": 640, \"y\": 360}", "▶[640, 360]", "layers[1].position", &["expected an object, found a list"]),
    // Sources.
    broken("\"type\": \"text\",", "\"type\": ▶\"txt\",", "layers[1].children[1].source.type", &["unknown kind of source `txt`", "did you mean `text`?"]),
    broken("{\"type\": \"color\", \"color\"", "▶{\"color\"", "layers[2].source", &["the source has no `type`", "there are `color`, `gradient`"]),
    broken("\"source\": {\"type\": \"color\", \"color\": \"rgb(0 0 0 / 50%)\"}", "\"source\": ▶\"black\"", "layers[2].source", &["expected an object with a `type`, found the string \"black\""]),
    broken("\"size\": 48", "\"size\": ▶\"48px\"", "layers[1].children[1].source.font.size", &["expected a number, found the string \"48px\""]),
    broken("\"size\": 48", "▶\"sise\": 48", "layers[1].children[1].source.font.sise", &["unknown field `sise`", "did you mean `size`?"]),
    broken("\"fill\": \"#fff\"", "\"fill\": ▶12", "layers[1].children[1].source.fill", &["expected a colour or a gradient, found the number 12"]),
    broken("{\"at\": 0, \"color\": \"#123\"}", "▶{\"at\": 0}", "layers[0].source.gradient.stops[0]", &["the field `color` is missing"]),
    broken("{\"at\": 0, \"color\": \"#123\"}, {\"at\": 1", "{\"at\": 0, \"color\": \"#123\"}, {\"at\": ▶1.01", "layers[0].source.gradient.stops[1].at", &["1.01 is out of range"]),
    broken("[8, 8, 0, 0]", "▶[8, 8, 0]", "layers[1].children[0].source.radius", &["expected a list of 4, found a list of 3"]),
    broken("[8, 8, 0, 0]", "▶[8, 8, 0, 0, 0]", "layers[1].children[0].source.radius", &["expected a list of 4, found a list of 5"]),
    broken("\"paint\": \"white\", \"width\": 2", "\"paint\": \"white\", \"width\": ▶0", "layers[1].children[0].source.stroke.width", &["0 is out of range"]),
    broken("at {{clock.hms}}", "at {{clock.hms", "layers[1].children[1].source.text", &["is not a data path"]),
    // Data.
    broken("\"text\": \"{{bid.bidder}}", "\"text\": ▶\"{{bid.biddr}}", "layers[1].children[1].source.text", &["there is no `bid.biddr` in the scene's `data`", "did you mean `bid.bidder`?"]),
    broken("\"text\": \"{{bid.bidder}} bids {{bid.amount}} at {{clock.hms}}", "\"text\": ▶\"{{clock.hsm}}", "layers[1].children[1].source.text", &["there is no built-in value `clock.hsm`", "did you mean `clock.hms`?"]),
    broken("{{lots.1.title}}", "{{lots.2.title}}", "layers[1].children[1].source.text", &["there is no `lots.2.title`"]),
    broken("\"{{bid.width}}\"", "▶\"{{bid.bidder}}\"", "layers[1].children[0].size.width", &["`bid.bidder` is not a number"]),
    broken("\"{{bid.width}}\"", "▶\"{{clock.hms}}\"", "layers[1].children[0].size.width", &["`clock.hms` is not a number"]),
    broken("\"lots\": [", "▶\"clock\": {}, \"lots\": [", "data.clock", &["`clock` is kept for built-in values"]),
    // Timelines.
    broken("\"layer\": \"card\"", "\"layer\": ▶\"crad\"", "timelines[0].tracks[0].layer", &["there is no layer `crad`", "did you mean `card`?"]),
    broken("\"property\": \"position.y\"", "\"property\": ▶\"position.z\"", "timelines[0].tracks[0].property", &["unknown word `position.z`", "did you mean `position.x`?"]),
    broken("\"property\": \"position.y\"", "\"property\": ▶\"crop.lefft\"", "timelines[0].tracks[0].property", &["unknown word `crop.lefft`", "did you mean `crop.left`?"]),
    broken("\"property\": \"position.y\"", "\"property\": ▶\"zindex\"", "timelines[0].tracks[0].property", &["unknown word `zindex`", "did you mean `zIndex`?"]),
    broken("{\"at\": 2, \"value\": 380", "{\"at\": 2, \"value\": ▶{\"left\": 4}", "timelines[0].tracks[0].keyframes[1].value", &["only the property `crop` has edges"]),
    broken("{\"at\": 2, \"value\": 380", "{\"at\": 2, \"value\": ▶{\"left\": 4, \"x\": 3}", "timelines[0].tracks[0].keyframes[1].value", &["edges such as `left`, and not both"]),
    broken("\"easing\": \"easeInOutSine\"", "\"easing\": ▶\"easeInOutSin\"", "timelines[0].tracks[0].keyframes[1].easing", &["unknown word `easeInOutSin`", "did you mean `easeInOutSine`?"]),
    broken("{\"cubicBezier\": [0.2, 1", "{\"cubicBezier\": [▶1.2, 1", "timelines[0].tracks[0].keyframes[2].easing.cubicBezier[0]", &["1.2 is out of range"]),
    broken("{\"at\": 2, \"value\": 380", "{\"at\": ▶0, \"value\": 380", "timelines[0].tracks[0].keyframes[1].at", &["rising order of time"]),
    broken("\"loop\": \"pingPong\"", "\"loop\": ▶\"ping-pong\"", "timelines[0].loop", &["unknown word `ping-pong`", "did you mean `pingPong`?"]),
    broken("\"timelines\": [", "\"timelines\": [{\"id\": \"float\"},", "timelines[1].id", &["the id `float` is taken by timelines[0]"]),
    broken("\"duration\": 0.8", "\"duration\": ▶80", "transitions.scene.duration", &["80 is out of range"]),
    broken("\"timelines\": [", "\"timelines\": [▶null,", "timelines[0]", &["expected an object, found null"]),
    broken("\"duration\": 0.8", "▶\"length\": 0.8", "transitions.scene.length", &["unknown field `length`", "there are `type`, `duration`, `easing`"]),
    // Files.
    broken("\"src\": \"logo\"", "\"src\": ▶\"lgo\"", "layers[1].children[2].source.src", &["the file \"lgo\" does not exist", "did you mean \"logo\"?"]),
    broken("\"src\": \"logo\"", "\"src\": ▶\"inter\"", "layers[1].children[2].source.src", &["the asset `inter` (assets/Inter.ttf) is not a picture"]),
    broken("\"src\": \"assets/photo.jpg\"", "\"src\": ▶\"assets/photo.jpeg\"", "layers[1].children[3].source.src", &["the file \"assets/photo.jpeg\" does not exist", "did you mean \"assets/photo.jpg\"?"]),
    broken("\"src\": \"assets/photo.jpg\"", "\"src\": ▶\"assets/notes.txt\"", "layers[1].children[3].source.src", &["the file \"assets/notes.txt\" is not a picture"]),
    broken("\"src\": \"assets/photo.jpg\"", "\"src\": ▶\"../photo.jpg\"", "layers[1].children[3].source.src", &["\"../photo.jpg\" leaves the scene's folder"]),
    broken("\"src\": \"assets/photo.jpg\"", "\"src\": ▶\"/etc/passwd\"", "layers[1].children[3].source.src", &["\"/etc/passwd\" is an absolute path"]),
    broken("\"src\": \"assets/photo.jpg\"", "\"src\": ▶\"assets\"", "layers[1].children[3].source.src", &["\"assets\" is not a file"]),
    broken("\"assets/logo.png\"", "▶\"assets/Logo.png\"", "assets.logo.path", &["the file \"assets/Logo.png\" does not exist", "did you mean \"assets/logo.png\"?"]),
    broken("\"assets/logo.png\"", "▶\"\"", "assets.logo.path", &["the path is empty"]),
    broken("{\"type\": \"image\", \"src\": \"assets/photo.jpg\"}", "{\"type\": \"avatar\", \"states\": {\"idle\": {\"src\": \"logo\", \"eyes\": ▶\"assets/phot.jpg\"}}}", "layers[1].children[3].source.states.idle.eyes", &["the file \"assets/phot.jpg\" does not exist", "did you mean \"assets/photo.jpg\"?"]),
    broken("{\"type\": \"image\", \"src\": \"assets/photo.jpg\"}", "{\"type\": \"avatar\", \"states\": {\"idle\": {\"src\": \"logo\"}}, \"mouth\": {\"shapes\": [{\"src\": ▶\"assets/notes.txt\", \"from\": 0}]}}", "layers[1].children[3].source.mouth.shapes[0].src", &["the file \"assets/notes.txt\" is not a picture"]),
    broken("{\"type\": \"image\", \"src\": \"assets/photo.jpg\"}", "{\"type\": \"avatar\", \"states\": {\"idle\": {\"src\": \"logo\"}}, \"state\": ▶\"idel\"}", "layers[1].children[3].source.state", &["the avatar has no state of this name", "there are `idle`"]),
    // Not JSON at all.
    broken("\"version\": 1,", "\"version\": 1,, ", "", &["this is not JSON: key must be a string"]),
    broken("\"name\": \"Good\",", "\"name\": ▶'Good',", "", &["this is not JSON: expected value", "double quotes only"]),
    broken("\"name\": \"Good\",", "▶// a note\n  \"name\": \"Good\",", "", &["this is not JSON", "JSON has no comments"]),
    broken("\"opacity\": 0.9,", "\"opacity\": ▶NaN,", "", &["this is not JSON: expected value", "JSON numbers are finite"]),
    broken("\"duration\": 0.8}}\n}", "\"duration\": 0.8}▶}", "", &["this is not JSON: EOF while parsing an object"]),
    broken("\"duration\": 0.8}}\n}", "\"duration\": 0.8}}\n}\n▶}", "", &["this is not JSON: trailing characters"]),
];

#[test]
fn the_good_scene_is_good() {
    let folder = Folder::with_good_scene();
    if let Err(errors) = load_scene(&folder.path().join("scene.json"), &LoadOptions::default()) {
        panic!("{}", errors.plain());
    }
}

#[test]
fn every_broken_scene_is_refused_at_its_place() {
    assert!(BROKEN.len() >= 30);
    let folder = Folder::with_good_scene();
    let mut wrong = Vec::new();
    for broken in BROKEN {
        assert_eq!(GOOD.matches(broken.good).count(), 1, "{}", broken.good);
        let marked = GOOD.replacen(broken.good, broken.written, 1);
        let text = marked.replace('▶', "");
        let result = scene_from_text(
            &text,
            "scene.json",
            Some(folder.path()),
            &LoadOptions::default(),
        );
        let told = match &result {
            Ok(_) => "nothing".to_owned(),
            Err(errors) => errors.plain(),
        };
        let position = marked.find('▶').map_or(String::new(), |mark| {
            let before = &marked[..mark];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            format!("scene.json:{line}:{column}: ")
        });
        let fits = result.is_err_and(|errors| {
            errors.problems().iter().any(|problem| {
                let line = problem.plain();
                line.starts_with(&position)
                    && problem.path == broken.path
                    && broken.says.iter().all(|piece| line.contains(piece))
            })
        });
        if !fits {
            wrong.push(format!(
                "{}\n    told: {told}\n    at {position}",
                broken.written
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} wrong:\n{}",
        wrong.len(),
        BROKEN.len(),
        wrong.join("\n")
    );
}

#[test]
fn one_broken_thing_is_one_problem() {
    let folder = Folder::with_good_scene();
    for broken in BROKEN.iter().filter(|broken| broken.written.contains('▶')) {
        let text = GOOD.replacen(broken.good, &broken.written.replace('▶', ""), 1);
        let errors = scene_from_text(
            &text,
            "scene.json",
            Some(folder.path()),
            &LoadOptions::default(),
        )
        .unwrap_err();
        // A renamed field is missing too where it must be written.
        let follows = errors.plain().contains("is missing") || broken.written.contains("timeline");
        assert!(
            errors.problems().len() == 1 || follows,
            "{}",
            errors.plain()
        );
    }
}

fn errors_of(text: &str) -> SceneErrors {
    scene_from_text(text, "scene.json", None, &LoadOptions::default()).unwrap_err()
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("\"width\": 1280", "\"width\": \"wide\"")
        .replace("\"opacity\": 0.9", "\"opacity\": 2")
        .replace("\"size\": 48", "\"sise\": 48")
        .replace("\"layer\": \"card\"", "\"layer\": \"crad\"")
        .replace("easeInOutSine", "easeInOutSin")
        .replace("\"id\": \"veil\"", "\"id\": \"logo\"")
        .replace("\"fade\"", "\"fad\"");
    let errors = errors_of(&text);
    let paths: Vec<_> = errors
        .problems()
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "canvas.width",
            "layers[1].opacity",
            "layers[1].children[1].source.font.sise",
            "layers[2].id",
            "timelines[0].tracks[0].layer",
            "timelines[0].tracks[0].keyframes[1].easing",
            "transitions.scene.type",
        ],
        "{}",
        errors.plain()
    );
}

#[test]
fn terminals_see_the_line_underlined() {
    let text = GOOD.replace("\"opacity\": 0.9", "\"opacity\": 1.5");
    let handler =
        miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor());
    let mut out = String::new();
    handler.render_report(&mut out, &errors_of(&text)).unwrap();
    for piece in [
        "scene.json has a problem",
        "layers[1].opacity: 1.5 is out of range; it must be from 0 to 1",
        "scene.json:24:18",
        "\"opacity\": 1.5,",
        "─┬─",
    ] {
        assert!(out.contains(piece), "{piece} is not in\n{out}");
    }
}

#[test]
fn a_scene_on_one_line_is_shown_in_pieces() {
    let mut value: serde_json::Value = serde_json::from_str(GOOD).unwrap();
    value["layers"][1]["opacity"] = 7.into();
    value["data"]["long"] = "é".repeat(100_000).into();
    let errors = errors_of(&value.to_string());
    let mut out = String::new();
    miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme::unicode_nocolor())
        .render_report(&mut out, &errors)
        .unwrap();
    assert!(out.contains("\"opacity\":7"), "{out}");
    assert!(out.len() < 10_000, "{} bytes", out.len());
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    let missing = folder.path().join("missing.json");
    let errors = load_scene(&missing, &LoadOptions::default()).unwrap_err();
    assert!(
        errors
            .plain()
            .contains("missing.json:1:1: the file cannot be read"),
        "{}",
        errors.plain()
    );
    let errors = load_scene(folder.path(), &LoadOptions::default()).unwrap_err();
    assert!(
        errors.plain().contains("this is not a file"),
        "{}",
        errors.plain()
    );
}

#[test]
fn tracks_of_tickers_and_chats_are_held_to_their_fields_and_ranges() {
    let told = |source: &str, property: &str, value: &str| {
        let text = format!(
            r#"{{"version": 1, "name": "One", "canvas": {{"width": 640, "height": 360}}, "data": {{"level": 0.5}}, "layers": [
                {{"id": "a", "size": {{"width": 400, "height": 40}}, "source": {source}}}
            ], "timelines": [{{"id": "go", "duration": 1, "tracks": [
                {{"layer": "a", "property": "{property}", "keyframes": [{{"at": 0, "value": {value}}}]}}
            ]}}]}}"#
        );
        let result = scene_from_text(&text, "scene.json", None, &LoadOptions::default());
        result.err().map(|errors| errors.plain())
    };
    let ticker = r##"{"type": "ticker", "items": ["one", {"text": "two", "fill": "#f00"}]}"##;
    let chat = r#"{"type": "chat"}"#;
    let text = r#"{"type": "text", "text": "{{counter}}", "counter": {"value": "{{level}}"}}"#;
    for (source, property, value) in [
        (ticker, "source.speed", "-5000"),
        (ticker, "source.items.1.fill", "\"red\""),
        (chat, "source.bubble.fill", "\"red\""),
        (chat, "source.avatars.size", "0"),
        (text, "source.counter.value", "12"),
    ] {
        assert_eq!(told(source, property, value), None, "{property}");
    }
    for (source, property, value, says) in [
        (ticker, "source.speed", "5001", "from -5000 to 5000"),
        (ticker, "source.sped", "1", "did you mean `source.speed`?"),
        (ticker, "source.items.0.fill", "1", "nothing that moves"),
        (ticker, "source.fill", "1", "this property is a colour"),
        (chat, "source.gap", "\"red\"", "this property is a number"),
        (
            chat,
            "source.bubble.radiu",
            "1",
            "did you mean `source.bubble.radius`?",
        ),
        (
            chat,
            "source.padding",
            "{\"left\": 1}",
            "only the property `crop` has edges",
        ),
        (text, "source.counter.value", "2e15", "out of range"),
    ] {
        let told = told(source, property, value);
        assert!(
            told.as_ref().is_some_and(|told| told.contains(says)),
            "{property}: {told:?}"
        );
    }
}
