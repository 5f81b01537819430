// A bare WebSocket, for frames that no client sends.

import WebSocket from "ws";
import { Queue, within } from "./wait.js";

export class Raw {
  /** Frames that arrived, parsed; binary ones as buffers. */
  frames = new Queue();

  constructor(t, gateway, path, options) {
    this.socket = new WebSocket(gateway.ws + path, options.protocols ?? [], { headers: options.headers ?? {} });
    this.closed = new Promise((done) => this.socket.once("close", (code, reason) => done({ code, reason: String(reason) })));
    this.socket.on("message", (data, isBinary) => this.frames.put(isBinary ? data : JSON.parse(data)));
    this.socket.on("error", () => {});
    t.after(() => this.socket.terminate());
  }

  /** Connects; fails with the HTTP status where the gateway refuses. */
  static async connect(t, gateway, path = "/socket/websocket?vsn=2.0.0&token=user:ann:", options = {}) {
    const raw = new Raw(t, gateway, path, options);
    const opened = new Promise((done, fail) => {
      raw.socket.once("open", done);
      raw.socket.once("unexpected-response", (request, { statusCode }) => {
        request.destroy();
        fail(new Error(`HTTP ${statusCode}`));
      });
    });
    await within(opened, "the socket to open");
    return raw;
  }

  /** Sends a frame: a text or bytes as they are, anything else as JSON. */
  send(frame) {
    const asItIs = typeof frame === "string" || Buffer.isBuffer(frame);
    this.socket.send(asItIs ? frame : JSON.stringify(frame));
  }

  /** Sends a frame and answers the next one that arrives. */
  ask(frame) {
    this.send(frame);
    return this.frames.next(`an answer to ${frame}`);
  }

  join(topic = "api:main", joinRef = "1") {
    return this.ask([joinRef, joinRef, topic, "phx_join", {}]);
  }

  /** The code and reason with which the gateway closes. */
  end() {
    return within(this.closed, "the gateway to close");
  }
}
