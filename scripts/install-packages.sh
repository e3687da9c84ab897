#!/usr/bin/env bash
# Installs what Debian must provide, and nothing when all of it is there.
#
#   scripts/install-packages.sh build|run|test|make...
#
# build  compiler, FFmpeg headers, libclang for bindgen
# run    FFmpeg libraries, fontconfig, fonts for text that a scene brings no font for
# test   what the end-to-end tests start: the ffmpeg program, nginx with its RTMP module, srt-live-transmit, stunnel and
#        openssl, promtool of prometheus, GStreamer with what it encodes, sends RTMP by, and serves RTSP by, OBS with a
#        screen that nobody sees, mpv, redis with its sentinel
# make   make itself
#
# Where there is no apt-get, or neither root nor sudo, it prints the names and succeeds: the build then says what it lacks.
set -euo pipefail

# bindgen needs libclang and its own headers, not the compiler; only Debian 12's names for these alone are known here.
libclang=(libclang-dev)
if grep --quiet --no-messages '^VERSION_CODENAME=bookworm$' /etc/os-release; then
    libclang=(libclang1-14 libclang-common-14-dev)
fi

build=(gcc libc6-dev pkg-config
    libavcodec-dev libavformat-dev libavutil-dev libswscale-dev libswresample-dev
    "${libclang[@]}")
run=(ca-certificates libfontconfig1 fonts-noto-core fonts-noto-color-emoji)
test=(ffmpeg nginx libnginx-mod-rtmp openssl prometheus redis-sentinel redis-server srt-tools stunnel4
    gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav python3-gi gir1.2-gst-rtsp-server-1.0
    obs-studio libgl1-mesa-dri xvfb mpv)
make=(make)

packages=()
for set in "$@"; do
    case "$set" in
        build) packages+=("${build[@]}") ;;
        run) packages+=("${run[@]}") ;;
        test) packages+=("${test[@]}") ;;
        make) packages+=("${make[@]}") ;;
        *)
            echo "unknown set of packages: $set (build, run, test, make)" >&2
            exit 2
            ;;
    esac
done

say() { echo "packages: $*" >&2; }

# Going on without them is a person's choice; in CI it would hide tests that did not run.
give_up() {
    say "$1; please install: ${missing[*]}"
    if [[ -n ${CI:-} ]]; then exit 1; fi
    exit 0
}

missing=("${packages[@]}")
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    give_up "this is not Debian"
fi

installed=$(dpkg-query --show --showformat='${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null || true)
missing=()
for package in "${packages[@]}"; do
    grep --quiet --line-regexp --fixed-strings "$package installed" <<<"$installed" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then exit 0; fi

as_root=()
if ((EUID != 0)); then
    command -v sudo >/dev/null || give_up "neither root nor sudo"
    as_root=(sudo)
    # Without a terminal nobody could type a password.
    if [[ ! -t 0 || -n ${CI:-} ]]; then
        as_root=(sudo --non-interactive)
        sudo --non-interactive true 2>/dev/null || give_up "sudo asks for a password"
    fi
fi

say "installing ${missing[*]}"
apt_get() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get --quiet=2 -o Acquire::Retries=3 "$@" </dev/null
}
apt_get update || say "apt-get update failed; trying with the lists that are there"
apt_get install --yes --no-install-recommends "${missing[@]}" >&2 || give_up "apt-get failed"
