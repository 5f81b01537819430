// A gateway in a process of its own, which tests may freeze, kill and start again on the same port.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { within } from "./wait.js";

const TARGET = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL("../../../target", import.meta.url));

export class Gateway {
  #process;
  #output = "";

  constructor(program, settings) {
    this.program = program;
    this.port = 0;
    this.env = { ...process.env };
    for (const [key, value] of Object.entries(settings)) {
      this.env[`GEN_API__CHANNEL__${key.toUpperCase()}`] = typeof value === "string" ? value : JSON.stringify(value);
    }
  }

  /** Starts the test server with these settings of the section `channel`. */
  static server(settings = {}) {
    return new Gateway(process.env.CHANNEL_SERVER ?? `${TARGET}/debug/channel_server`, settings).start();
  }

  /** Starts the example with the page. */
  static page() {
    return new Gateway(process.env.CHANNEL_GATEWAY ?? `${TARGET}/debug/examples/channel_gateway`, {}).start();
  }

  /** Starts it, on the port it had before where there was one. */
  async start() {
    const child = spawn(this.program, [String(this.port)], { env: this.env, stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    const listening = new Promise((done, fail) => {
      child.once("error", fail);
      child.once("exit", () => fail(new Error(`${this.program} ended at once:\n${this.#output}`)));
      const read = (chunk) => {
        this.#output += chunk;
        const found = /listening on [^ ]*?:(\d+)/.exec(this.#output);
        if (found) done(Number(found[1]));
      };
      this.#output = "";
      child.stdout.setEncoding("utf8").on("data", read);
      child.stderr.setEncoding("utf8").on("data", read);
    });
    this.port = await within(listening, "the gateway to listen");
    return this;
  }

  get http() {
    return `http://127.0.0.1:${this.port}`;
  }

  get ws() {
    return `ws://127.0.0.1:${this.port}`;
  }

  /** What it printed since it started. */
  get output() {
    return this.#output;
  }

  /** Has the program around the endpoint do something; answers how many clients it reached. */
  async act(action, query, payload = {}) {
    const url = `${this.http}/act/${action}?${new URLSearchParams(query)}`;
    const answer = await fetch(url, { method: "POST", body: JSON.stringify(payload) });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  /** How many clients are connected. */
  async sockets() {
    return (await fetch(`${this.http}/sockets`)).json();
  }

  freeze() {
    this.#process.kill("SIGSTOP");
  }

  thaw() {
    this.#process.kill("SIGCONT");
  }

  /** Asks it to stop, as a service manager does, and waits until it has. */
  async stop() {
    await this.#end("SIGTERM");
  }

  async kill() {
    await this.#end("SIGKILL");
  }

  async #end(signal) {
    const child = this.#process;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await within(ended, `the gateway to end after ${signal}`).catch(async (late) => {
      child.kill("SIGKILL");
      await ended;
      throw late;
    });
  }
}
