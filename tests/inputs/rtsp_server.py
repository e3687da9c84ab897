"""An RTSP server of test pictures and tones, by GStreamer: `rtsp_server.py PORT [locked]`. Prints the port that it listens on."""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)
PICTURE = (
    "videotestsrc is-live=true pattern=solid-color foreground-color=0xffc83c28 "
    "! video/x-raw,format=I420,width=320,height=240,framerate=30/1,colorimetry=bt601 "
)
H264 = PICTURE + "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 qp-max=10 ! rtph264pay name=pay0 pt=96 config-interval=-1 "
H265 = PICTURE + "! x265enc tune=zerolatency speed-preset=ultrafast key-int-max=15 ! rtph265pay name=pay0 pt=96 config-interval=-1 "
TONE = "audiotestsrc is-live=true freq=480 volume=0.5 "
MOUNTS = {
    "/h264-aac": H264 + TONE + "! audio/x-raw,rate=44100,channels=2 ! voaacenc ! rtpmp4gpay name=pay1 pt=97",
    "/h264-pcma": H264 + TONE + "! audio/x-raw,rate=8000,channels=1 ! alawenc ! rtppcmapay name=pay1 pt=8",
    "/h265-pcmu": H265 + TONE + "! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0",
}

server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
is_locked = sys.argv[2:] == ["locked"]
if is_locked:
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_digest("viewer", "open sesame", token)
    server.set_auth(auth)
for path, launch in MOUNTS.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch("( " + launch + " )")
    factory.set_shared(True)
    if is_locked:
        permissions = Gst.Structure.new_empty("viewer")
        permissions.set_value("media.factory.access", True)
        permissions.set_value("media.factory.construct", True)
        factory.add_role_from_structure(permissions)
    server.get_mount_points().add_factory(path, factory)
if server.attach(None) == 0:
    sys.exit("the port is taken")
print(server.get_bound_port(), flush=True)
GLib.MainLoop().run()
