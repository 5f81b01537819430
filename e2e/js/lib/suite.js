// A suite of cases against one gateway, through every client.

import { after, before, describe } from "node:test";
import { CLIENTS } from "./clients.js";
import { Gateway } from "./gateway.js";

const BOUNDED = { timeout: 60_000 };

/** Starts a gateway for the cases that `define` adds, which share it and run side by side. */
export function withGateway(title, settings, define) {
  describe(title, { ...BOUNDED, concurrency: true }, () => {
    let gateway;
    before(async () => {
      gateway = await Gateway.server(settings);
    });
    after(() => gateway.stop());
    define(() => gateway);
  });
}

/** The same, with all cases once for each client. */
export function withClients(title, settings, define) {
  withGateway(title, settings, (gateway) => {
    for (const client of CLIENTS) {
      describe(client.name, { ...BOUNDED, concurrency: true }, () => define(client, gateway));
    }
  });
}
