#!/usr/bin/env node
// A client of Stream Manager: reads the status, changes a layer, runs a batch on one tick, then tells what happens.
//
//     npm install --no-save ws
//     node examples/client.mjs --layer lower-third
//
// Node 18.3 or later. The token, where the program asks for one, is taken from API_TOKEN.

import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import WebSocket from "ws";

const PAUSE_MS_MIN = 500, PAUSE_MS_MAX = 30_000;
// The program pings every 20 seconds; after so long without anything the connection is dead.
const SILENCE_MS_MAX = 60_000;

/** What the program does not do, and why: `code` is one of those that /openapi.json lists. */
class Refused extends Error {
  constructor(status, { code, message, details }) {
    super(`${status} ${code}: ${message}`);
    Object.assign(this, { status, code, details });
  }
}

/** One Stream Manager. REST for what is asked, WebSocket for what happens. */
class Client {
  constructor(url, token = "") {
    this.url = url.replace(/\/+$/, "");
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
  }

  /** The answer to a request: `data`, and for a change the `tick` that first shows it and the `revision` after it. */
  async ask(method, path, body) {
    const answer = await fetch(this.url + path, {
      method,
      headers: { ...this.headers, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
    const reply = await answer.json();
    if (!reply.success) throw new Refused(answer.status, reply.error);
    return reply;
  }

  /**
   * Calls `tell` with every event, until the function that it gives back is called; `kinds` such as `layer:*,stream:status`
   * chooses some. The first is a `snapshot` of everything. After a break it goes on behind the last event that was seen; where
   * the program does not know that one any more, with a new snapshot.
   */
  listen(tell, kinds = "", fail = (error) => { throw error; }) {
    let seen, socket, again, ended = false, pause = PAUSE_MS_MIN;
    const connect = () => {
      const query = new URLSearchParams(kinds && { events: kinds });
      if (seen !== undefined) query.set("since", seen);
      socket = new WebSocket(`${this.url.replace(/^http/, "ws")}/ws?${query}`, { headers: this.headers });
      const here = socket;
      let reason = "closed", silence;
      const heard = () => {
        clearTimeout(silence);
        silence = setTimeout(() => here.terminate(), SILENCE_MS_MAX);
      };
      heard();
      here.on("open", () => {
        pause = PAUSE_MS_MIN;
        if (seen === undefined) here.send(JSON.stringify({ type: "snapshot" }));
      });
      here.on("ping", heard);
      here.on("message", (text) => {
        heard();
        const message = JSON.parse(text);
        // What the snapshot tells already may still come behind it; what is no event has no number.
        const isNew = message.event === "snapshot" || message.seq > seen;
        if (ended || !isNew) return;
        seen = message.seq;
        tell(message);
      });
      here.on("unexpected-response", (_request, { statusCode }) => {
        reason = `HTTP ${statusCode}`;
        if ([400, 401, 403, 404].includes(statusCode)) ended = true;
        here.terminate();
      });
      here.on("error", (error) => { if (reason === "closed") reason = error.message || error.code; });
      here.on("close", () => {
        clearTimeout(silence);
        if (ended) {
          if (reason !== "closed") fail(new Error(`the events are refused (${reason})`));
          return;
        }
        console.error(`lost the events (${reason}); again within ${pause / 1000} s`);
        again = setTimeout(connect, pause * (0.5 + Math.random() / 2));
        pause = Math.min(pause * 2, PAUSE_MS_MAX);
      });
    };
    connect();
    return () => {
      ended = true;
      clearTimeout(again);
      socket.close();
    };
  }
}

/** Dims a layer for a second, and puts it back together with a note in the data: both on one frame. */
async function drive(client, layerId) {
  const { data: status } = await client.ask("GET", "/stream/status");
  console.log(`${status.scene}: live ${status.isLive}, ${status.fps} fps, revision ${status.revision}`);

  const { data: { layers } } = await client.ask("GET", "/stream/layers");
  const id = layerId ?? layers.at(-1).id;
  const path = `/stream/layers/${encodeURIComponent(id)}`;
  const { data: { opacity: before } } = await client.ask("GET", path);
  const dimmed = await client.ask("PATCH", path, { opacity: 0.3 });
  console.log(`${id} is dimmed from tick ${dimmed.tick} on, which is revision ${dimmed.revision}`);
  await sleep(1000);

  const batch = await client.ask("POST", "/stream/commands", {
    commands: [
      { type: "layer.update", id, patch: { opacity: before } },
      { type: "data.update", patch: { note: "client.mjs was here" } },
    ],
  });
  console.log(`${batch.data.applied} commands landed on tick ${batch.tick}, revision ${batch.revision}`);
}

const { values: chosen } = parseArgs({
  options: {
    url: { type: "string", default: "http://localhost:4200" },
    layer: { type: "string" },
    // Such as `layer:*,stream:status`; all when absent.
    events: { type: "string", default: "" },
    // How many events to wait for; for ever when 0.
    count: { type: "string", default: "0" },
  },
});
const client = new Client(chosen.url, process.env.API_TOKEN);
const giveUp = (error) => {
  console.error(`client.mjs: ${error.cause?.message || error.message}`);
  process.exitCode = 1;
};
try {
  await drive(client, chosen.layer);
  let left = Number(chosen.count);
  const stop = client.listen((message) => {
    console.log(message.seq, message.event, JSON.stringify(message.data).slice(0, 100));
    left -= 1;
    if (left === 0) stop();
  }, chosen.events, giveUp);
} catch (error) {
  giveUp(error);
}
