#!/usr/bin/env python3
"""A client of Stream Manager: reads the status, changes a layer, runs a batch on one tick, then tells what happens.

    pip install websockets
    python3 examples/client.py --layer lower-third

Python 3.11 and websockets 14 or later. The token, where the program asks for one, is taken from API_TOKEN.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

Json = dict[str, Any]

PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 30.0


class Refused(Exception):
    """What the program does not do, and why: `code` is one of those that /openapi.json lists."""

    def __init__(self, status: int, error: Json) -> None:
        super().__init__(f"{status} {error['code']}: {error['message']}")
        self.status = status
        self.code: str = error["code"]
        self.details: Json = error["details"]


@dataclass(frozen=True)
class Client:
    """One Stream Manager. REST for what is asked, WebSocket for what happens."""

    url: str
    token: str = ""

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """The answer to a request: `data`, and for a change the `tick` that first shows it and the `revision` after it."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers=self._headers() | {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                reply: Json = json.load(answer)
                return reply
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.load(error)["error"]) from None

    async def events(self, kinds: str = "") -> AsyncIterator[Json]:
        """Every event, for ever; `kinds` such as `layer:*,stream:status` chooses some.

        The first is a `snapshot` of everything. After a break it goes on behind the last event that was seen; where the
        program does not know that one any more, with a new snapshot.
        """
        seen: int | None = None
        pause_s = PAUSE_S_MIN
        while True:
            query = {"events": kinds} if kinds else {}
            if seen is not None:
                query["since"] = str(seen)
            address = "ws" + self.url.removeprefix("http") + "/ws?" + urlencode(query)
            try:
                async with connect(address, additional_headers=self._headers()) as socket:
                    pause_s = PAUSE_S_MIN
                    if seen is None:
                        await socket.send(json.dumps({"type": "snapshot"}))
                    async for text in socket:
                        message: Json = json.loads(text)
                        # What the snapshot tells already may still come behind it; what is no event has no number.
                        is_new = seen is not None and message.get("seq", 0) > seen
                        if message.get("event") != "snapshot" and not is_new:
                            continue
                        seen = message["seq"]
                        yield message
                reason = "closed"
            except InvalidStatus as error:
                if error.response.status_code in (400, 401, 403, 404):
                    raise
                reason = str(error)
            except (OSError, ConnectionClosed, InvalidHandshake) as error:
                reason = str(error)
            print(f"lost the events ({reason}); again within {pause_s} s", file=sys.stderr)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(pause_s * 2, PAUSE_S_MAX)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def drive(client: Client, layer_id: str | None) -> None:
    """Dims a layer for a second, and puts it back together with a note in the data: both on one frame."""
    status = client.ask("GET", "/stream/status")["data"]
    print(f"{status['scene']}: live {status['isLive']}, {status['fps']} fps, revision {status['revision']}")

    layers = client.ask("GET", "/stream/layers")["data"]["layers"]
    layer_id = layer_id or layers[-1]["id"]
    path = f"/stream/layers/{quote(layer_id, safe='')}"
    before = client.ask("GET", path)["data"]["opacity"]
    dimmed = client.ask("PATCH", path, {"opacity": 0.3})
    print(f"{layer_id} is dimmed from tick {dimmed['tick']} on, which is revision {dimmed['revision']}")
    time.sleep(1)

    commands = [
        {"type": "layer.update", "id": layer_id, "patch": {"opacity": before}},
        {"type": "data.update", "patch": {"note": "client.py was here"}},
    ]
    batch = client.ask("POST", "/stream/commands", {"commands": commands})
    print(f"{batch['data']['applied']} commands landed on tick {batch['tick']}, revision {batch['revision']}")


async def listen(client: Client, kinds: str, count: int) -> None:
    """Prints events; `count` of them, or for ever when it is 0."""
    async for message in client.events(kinds):
        print(message["seq"], message["event"], json.dumps(message["data"], ensure_ascii=False)[:100])
        count -= 1
        if count == 0:
            return


def main() -> None:
    options = argparse.ArgumentParser(description="Drives a Stream Manager and tells what happens there.")
    options.add_argument("--url", default="http://localhost:4200", help="where its API is (%(default)s)")
    options.add_argument("--layer", help="the layer to dim; the frontmost one when absent")
    options.add_argument("--events", default="", metavar="KINDS", help="such as layer:*,stream:status; all when absent")
    options.add_argument("--count", type=int, default=0, help="how many events to wait for; for ever when 0")
    chosen = options.parse_args()
    client = Client(chosen.url.rstrip("/"), os.environ.get("API_TOKEN", ""))
    try:
        drive(client, chosen.layer)
        asyncio.run(listen(client, chosen.events, chosen.count))
    except (Refused, OSError, InvalidStatus) as error:
        sys.exit(f"client.py: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
