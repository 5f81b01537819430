// The README's JavaScript does what it says.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Gateway } from "../lib/gateway.js";
import { Queue } from "../lib/wait.js";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

test("the README's code calls, streams and chats, and does so again when the server was restarted", { timeout: 60_000 }, async (t) => {
  const gateway = await Gateway.page();
  t.after(() => gateway.kill());
  const readme = await readFile(at("../../../README.md"), "utf8");
  const [, code] = /```js\n(.*?)```/s.exec(readme);
  // Node 20 has no WebSocket of its own.
  const again = 'process.stdin.once("data", async () => console.log(await call("reverse", { text: "again" })));';
  const script = `import WebSocket from "ws";\nglobalThis.WebSocket = WebSocket;\n${code}\n${again}`
    .replace('from "phoenix"', 'from "phoenix18"')
    .replaceAll("127.0.0.1:4000", `127.0.0.1:${gateway.port}`);
  await mkdir(at("../artefacts"), { recursive: true });
  await writeFile(at("../artefacts/readme.mjs"), script);

  const child = spawn(process.execPath, [at("../artefacts/readme.mjs")], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const lines = new Queue();
  createInterface({ input: child.stdout }).on("line", (line) => lines.put(line));
  const percents = Array.from({ length: 100 }, (_, n) => String(n + 1));
  const expected = ["desserts", "init", ...percents, "ada: hello"];
  assert.deepEqual(await lines.take(expected.length, "the next line"), expected);
  await gateway.kill();
  await gateway.start();
  child.stdin.write("again\n");
  assert.equal(await lines.next("the answer of the new server"), "niaga");
});
