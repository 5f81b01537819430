// The Phoenix Channels protocol, version 2, in its smallest useful form: join, call, receive, reconnect and rejoin.
// The npm package `phoenix` does all of this and more: the README shows the same with it.

const REQUEST_EVENT = "phoenix_gen_api";
const HEARTBEAT_MS = 30_000;

/** The connection broke before the answer came: the server may or may not have done what it was asked for. */
export class ConnectionLost extends Error {}

/** An id that no other window has: responses, streams and messages are told apart by it. */
export const newId = () =>
  Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");

export class GatewayClient {
  isConnected = false;
  #options;
  #socket = null;
  #heartbeat = null;
  #joinRef = null;
  #lastRef = 0;
  #failures = 0;
  #isClosed = false;
  /** What waits for the server's reply to a frame, by the frame's ref. */
  #replies = new Map();
  /** What waits for the response to a request, by the request's id. */
  #calls = new Map();
  /** What is sent once the channel is joined. */
  #queue = [];

  /**
   * Connects, and stays connected until `close`.
   *
   * - `url`, `topic`, `service`: where the gateway, the channel and the functions are.
   * - `getToken(isFresh)`: answers the token to connect with, a fresh one where the last connect failed: from a page it
   *   looks the same whether a server refuses a token or is down.
   * - `onState(isConnected)`, `onMessage(message, requestId)`: hear of the connection, and of messages to the groups.
   */
  constructor(options) {
    this.#options = options;
    this.#connect();
  }

  /**
   * Calls a function of any mode; answers its result. The chunks of a stream come to `onChunk`; the last of its responses
   * is the result. Without a connection the call waits for one.
   */
  call(requestType, args = {}, { id = newId(), onChunk = () => {} } = {}) {
    const request = { service: this.#options.service, request_type: requestType, request_id: id, args };
    return new Promise((done, fail) => {
      const send = () => {
        const call = { done, fail, onChunk, isAccepted: false };
        this.#calls.set(id, call);
        // The first response comes before the reply. Without one there will be none: the function answers nothing, or there
        // was no request in what was sent.
        const settle = (how) => (value) => !call.isAccepted && this.#calls.delete(id) && how(value);
        this.#send(REQUEST_EVENT, request).then(settle(() => done(null)), settle(fail));
      };
      if (this.#isClosed) fail(new ConnectionLost("closed"));
      else if (this.isConnected) send();
      else this.#queue.push({ send, fail });
    });
  }

  /** Ends the connection for good, and with it what is under way. */
  close() {
    this.#isClosed = true;
    this.#disconnected();
    for (const { fail } of this.#queue.splice(0)) fail(new ConnectionLost("closed"));
    this.#socket?.close(1000);
  }

  async #connect() {
    let socket;
    try {
      const token = await this.#options.getToken(this.#failures > 0);
      if (this.#isClosed) return;
      // As a subprotocol, since addresses end up in logs.
      const encoded = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
      const bearer = `base64url.bearer.phx.${encoded}`;
      socket = new WebSocket(`${this.#options.url}/websocket?vsn=2.0.0`, ["phoenix", bearer]);
    } catch {
      return this.#retry();
    }
    this.#socket = socket;
    socket.onopen = () => this.#join();
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#retry();
  }

  #join() {
    this.#joinRef = String(this.#lastRef + 1);
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#send("phx_join", {}).then(
      () => {
        this.#failures = 0;
        this.isConnected = true;
        for (const { send } of this.#queue.splice(0)) send();
        this.#options.onState(true);
      },
      () => this.#socket.close(),
    );
  }

  #retry() {
    this.#disconnected();
    if (this.#isClosed) return;
    this.#options.onState(false);
    // Growing pauses, so that a server that comes back is not stormed.
    setTimeout(() => this.#isClosed || this.#connect(), Math.min(200 * 2 ** this.#failures++, 5_000));
  }

  #disconnected() {
    this.isConnected = false;
    clearInterval(this.#heartbeat);
    const lost = new ConnectionLost("connection lost");
    for (const waiting of [this.#calls, this.#replies]) {
      for (const { fail } of waiting.values()) fail(lost);
      waiting.clear();
    }
  }

  /** A connection that has not answered the last heartbeat by the next one is dead. */
  #beat() {
    if (this.#replies.has("heartbeat")) return this.#socket.close();
    this.#push([null, "heartbeat", "phoenix", "heartbeat", {}]).catch(() => {});
  }

  /** Sends an event to the channel; answers the server's reply. */
  #send(event, payload) {
    return this.#push([this.#joinRef, String(++this.#lastRef), this.#options.topic, event, payload]);
  }

  #push(frame) {
    return new Promise((done, fail) => {
      this.#replies.set(frame[1], { done, fail });
      this.#socket.send(JSON.stringify(frame));
    });
  }

  #receive([joinRef, ref, , event, payload]) {
    if (this.#isClosed) return;
    if (event === "phx_reply") {
      const waiting = this.#replies.get(ref);
      this.#replies.delete(ref);
      if (payload.status === "ok") waiting?.done(payload.response);
      else waiting?.fail(new Error(payload.response?.reason ?? payload.response));
    } else if (joinRef !== this.#joinRef) {
      return;
    } else if (event === "phx_error" || event === "phx_close") {
      this.#socket.close();
    } else if (event === REQUEST_EVENT) {
      this.#receiveResponse(payload);
    }
  }

  #receiveResponse({ request_id: id, result, success, error, has_more: hasMore, async: isAsync }) {
    // A message to a group comes under its sender's request id; to the sender too, once the request is answered.
    if (result?.from_user_id) return this.#options.onMessage(result, id);
    const call = this.#calls.get(id);
    if (!call) return;
    // Streams and async functions are accepted first.
    if (!call.isAccepted && success && isAsync) {
      call.isAccepted = true;
      return;
    }
    if (hasMore) return call.onChunk(result);
    this.#calls.delete(id);
    if (success) call.done(result);
    else call.fail(new Error(error));
  }
}
