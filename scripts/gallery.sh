#!/bin/sh
# Draws the pictures of docs/gallery anew: one of each shipped scene, and a short film of scenes that follow each other.
#
#   scripts/gallery.sh [SCENE...]
#
# SCENE  names of scenes, without `.json`; all of them, and the film, when left out. `film` is the film alone.
#
# It needs ffmpeg and curl, and the built program: target/release/stream-manager, or what STREAM_MANAGER names. The film is driven
# over the API on the ports 4780 to 4783 and cut out of the recording; nothing else is left behind.
set -eu
cd "$(dirname "$0")/.."

program=${STREAM_MANAGER:-target/release/stream-manager}
out=docs/gallery
work=$(mktemp -d)
process=
finish() {
    if [ -n "$process" ]; then
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM

# The frame at which a scene shows what it is about.
frame_of() {
    case "$1" in
        kinetic-60) echo 120 ;;
        interview) echo 135 ;;
        *) echo 150 ;;
    esac
}

picture() {
    "$program" render "scenes/$1.json" --frame "$(frame_of "$1")" --size 960x540 --force -o "$work/$1.png"
    ffmpeg -loglevel error -y -i "$work/$1.png" -c:v libwebp -q:v 84 -compression_level 6 "$out/$1.webp"
}

activate() {
    curl --silent --show-error --fail "http://127.0.0.1:4780/stream/scenes/$1/activate" \
        -H 'Content-Type: application/json' -d "{\"transition\": $2}"
}

film() {
    # Frames are as large as the canvas of the first scene: an empty one, so that little needs to be drawn.
    cp -r scenes "$work/scenes"
    printf '%s' '{"version": 1, "name": "Film", "canvas": {"width": 640, "height": 360, "fps": 30}, "layers": []}' >"$work/scenes/film.json"
    "$program" run "$work/scenes/film.json" --port 4780 --ws-port 4781 --metrics-port 4782 --health-port 4783 --rtmp-port off \
        --data-dir "$work/data" --recording true --hls false --stream-bitrate 6000 >"$work/log" 2>&1 &
    process=$!
    # Until it answers. Then each scene once, and the clips, so that in the film no picture is decoded for the first time.
    until curl --silent --fail --output /dev/null http://127.0.0.1:4783/ready; do sleep 0.2; done
    for name in auction starting-soon interview; do
        activate "$name" '{"type": "cut"}' >/dev/null
        sleep 4
    done
    sleep 5
    tick=$(activate auction '{"type": "wipe", "angle": 20, "softness": 160, "duration": 0.8}' |
        sed -n 's/.*"tick": *\([0-9]*\).*/\1/p')
    sleep 1.2
    activate starting-soon '{"type": "push", "side": "right", "duration": 0.8, "easing": "easeInOutQuart"}' >/dev/null
    sleep 1.2
    activate interview '{"type": "iris", "softness": 60, "duration": 0.9}' >/dev/null
    sleep 3
    kill "$process"
    wait "$process" || true
    process=
    recording=$(find "$work/data/recordings" -type f | head -n 1)
    from=$(awk "BEGIN { print $tick / 30 - 0.4 }")
    ffmpeg -loglevel error -y -ss "$from" -i "$recording" -t 4 -vf fps=15 \
        -c:v libwebp_anim -q:v 70 -compression_level 6 -loop 0 -an "$out/transitions.webp"
}

mkdir -p "$out"
if [ $# -eq 0 ]; then
    for file in scenes/*.json; do
        name=$(basename "$file" .json)
        if [ "$name" != scene.schema ]; then
            picture "$name"
        fi
    done
    film
else
    for name in "$@"; do
        if [ "$name" = film ]; then
            film
        else
            picture "$name"
        fi
    done
fi
