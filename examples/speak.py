#!/usr/bin/env python3
"""Has an avatar of Stream Manager speak: a WAV file, or a tone, pushed as if it were being synthesised.

    python3 examples/speak.py --layer host --text "Good evening, Lisbon!" --captions hello.wav
    python3 examples/speak.py --layer host --emotion happy

Python 3.11, nothing else. The token, where the program asks for one, is taken from API_TOKEN.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import os
import secrets
import socket
import ssl
import struct
import sys
import time
import wave
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

Json = dict[str, Any]

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CHUNK_S = 0.05
# The program pings more often.
SILENCE_S = 30


class WebSocket:
    """As much of RFC 6455 as it takes to push sound and hear what becomes of it."""

    def __init__(self, url: str, token: str) -> None:
        address = urlsplit(url)
        if address.scheme not in ("http", "https"):
            raise SystemExit(f"the address must begin with http:// or https://, not {url}")
        is_secret = address.scheme == "https"
        port = address.port or (443 if is_secret else 80)
        host = address.hostname or "localhost"
        self.socket = socket.create_connection((host, port), timeout=SILENCE_S)
        if is_secret:
            self.socket = ssl.create_default_context().wrap_socket(self.socket, server_hostname=host)
        self.rest = b""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines = [
            f"GET {address.path} HTTP/1.1",
            f"Host: {address.hostname}:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]
        if token:
            lines.append(f"Authorization: Bearer {token}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.rest:
            self.rest += self._more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise SystemExit(f"refused: {head.decode()}\n{self.rest.decode()}")

    def send(self, kind: int, data: bytes) -> None:
        """One message in one frame; what clients send is masked."""
        mask = secrets.token_bytes(4)
        length = len(data)
        if length < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, length)
        key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
        masked = (int.from_bytes(data, "big") ^ key).to_bytes(length, "big")
        # The program reads on when there is room for what was sent, which may take as long as others speak.
        self.socket.settimeout(None)
        self.socket.sendall(head + mask + masked)
        self.socket.settimeout(SILENCE_S)

    def tell(self, message: Json) -> None:
        self.send(TEXT, json.dumps(message).encode())

    def receive(self) -> Json:
        """The next message; pings are answered meanwhile."""
        while True:
            first, second = self._bytes(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", self._bytes(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._bytes(8))
            data = self._bytes(length)
            kind = first & 0x0F
            if kind == PING:
                self.send(PONG, data)
            elif kind == CLOSE:
                raise SystemExit("the program closed the connection")
            elif kind == TEXT:
                message: Json = json.loads(data)
                return message

    def _bytes(self, count: int) -> bytes:
        while len(self.rest) < count:
            self.rest += self._more()
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def _more(self) -> bytes:
        data = self.socket.recv(1 << 16)
        if not data:
            raise SystemExit("the connection broke off")
        return data


def tone(rate: int, seconds: float) -> bytes:
    """A hum that swells four times a second, as syllables do."""
    samples = bytearray()
    for place in range(int(rate * seconds)):
        at = place / rate
        loud = 0.4 * abs(math.sin(math.pi * 2 * at))
        samples += struct.pack("<h", int(32767 * loud * math.sin(math.tau * 180 * at)))
    return bytes(samples)


def sound(path: str | None) -> tuple[int, int, bytes]:
    """Rate, channels and 16-bit samples."""
    if path is None:
        return 24_000, 1, tone(24_000, 3.0)
    with wave.open(path) as file:
        if file.getsampwidth() != 2:
            raise SystemExit("the WAV file must have samples of 16 bits")
        return file.getframerate(), file.getnchannels(), file.readframes(file.getnframes())


def chunks(samples: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(samples), size):
        yield samples[start : start + size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="a WAV file of 16 bits; a tone when left out")
    parser.add_argument("--url", default="http://localhost:8080")
    parser.add_argument("--layer", default="host", help="the avatar's layer")
    parser.add_argument("--text", default="", help="what is said, for captions")
    parser.add_argument("--emotion", help="one of the avatar's emotions")
    parser.add_argument("--captions", action="store_true", help="show the text as {{speech.<layer>.line}}")
    parser.add_argument("--queue", choices=["append", "next", "interrupt", "replace"], default="append")
    parser.add_argument("--speed", type=float, default=2.0, help="how much faster than it is heard it is pushed")
    told = parser.parse_args()

    rate, channels, samples = sound(told.file)
    address = f"{told.url}/stream/layers/{quote(told.layer, safe='')}/speak/ws"
    connection = WebSocket(address, os.environ.get("API_TOKEN", ""))
    first: Json = {"rate": rate, "channels": channels, "format": "s16le", "queue": told.queue}
    first |= {"text": told.text, "captions": told.captions}
    if told.emotion:
        first["emotion"] = told.emotion
    connection.tell(first)
    answer = connection.receive()
    print(json.dumps(answer))
    if "error" in answer:
        sys.exit(1)
    for chunk in chunks(samples, int(rate * CHUNK_S) * channels * 2):
        connection.send(BINARY, chunk)
        time.sleep(CHUNK_S / told.speed)
    connection.tell({"end": True})
    while "end" not in answer:
        answer = connection.receive()
        print(json.dumps(answer))
        if "error" in answer:
            sys.exit(1)
    # Whoever calls this knows whether all of it was heard.
    sys.exit(0 if answer["end"]["reason"] == "done" else 1)


if __name__ == "__main__":
    main()
