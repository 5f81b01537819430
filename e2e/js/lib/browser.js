// What the clients find in a browser: to be imported before them.

import XMLHttpRequest from "xhr2";

globalThis.self = globalThis;
globalThis.XMLHttpRequest = XMLHttpRequest;
