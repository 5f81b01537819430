// The Phoenix Channels protocol, version 2, in its smallest useful form: join, ask, receive, reconnect and rejoin.
// The npm package `phoenix` does all of this and more: the README shows the same with it.

const REQUEST_EVENT = "phoenix_gen_api";

export class GatewayClient {
  // `params` is asked before every connect; `onState` and `onMessage` hear of the connection and of relayed messages.
  constructor({ url, topic, service, params, onState, onMessage }) {
    Object.assign(this, { url, topic, service, params, onState, onMessage });
    Object.assign(this, { ref: 0, joinRef: null, tries: 0, closed: false, replies: new Map(), calls: new Map() });
    this.connect();
  }

  async connect() {
    this.onState(this.tries ? "reconnecting" : "connecting");
    try {
      const query = new URLSearchParams({ vsn: "2.0.0", ...(await this.params()) });
      if (this.closed) return;
      this.socket = new WebSocket(`${this.url}/websocket?${query}`);
    } catch {
      return this.retry();
    }
    this.socket.onopen = () => {
      this.joinRef = this.nextRef();
      this.send(this.joinRef, this.joinRef, this.topic, "phx_join", {}).then(
        () => { this.tries = 0; this.onState("connected"); },
        () => this.socket.close(),
      );
      this.heart = setInterval(() => this.beat(), 30_000);
    };
    this.socket.onmessage = ({ data }) => this.receive(JSON.parse(data));
    this.socket.onclose = () => this.retry();
  }

  retry() {
    clearInterval(this.heart);
    for (const { fail } of [...this.replies.values(), ...this.calls.values()]) fail(new Error("connection lost"));
    this.replies.clear();
    this.calls.clear();
    if (this.closed) return this.onState("closed");
    this.onState("reconnecting");
    // Growing pauses, so that a server that comes back is not stormed.
    setTimeout(() => this.closed || this.connect(), Math.min(200 * 2 ** this.tries++, 5_000));
  }

  // A connection that does not answer until the next beat is none.
  beat() {
    if (this.replies.has(this.heartRef)) return this.socket.close();
    this.heartRef = this.nextRef();
    this.send(null, this.heartRef, "phoenix", "heartbeat", {}).catch(() => {});
  }

  nextRef() {
    return String(++this.ref);
  }

  // Sends a frame; answered by the server's reply to it.
  send(joinRef, ref, topic, event, payload) {
    if (this.socket?.readyState !== WebSocket.OPEN) return Promise.reject(new Error("not connected"));
    return new Promise((done, fail) => {
      this.replies.set(ref, { done, fail });
      this.socket.send(JSON.stringify([joinRef, ref, topic, event, payload]));
    });
  }

  receive([joinRef, ref, , event, payload]) {
    if (event === "phx_reply") {
      const { done, fail } = this.replies.get(ref) ?? {};
      this.replies.delete(ref);
      if (payload.status === "ok") done?.(payload.response);
      else fail?.(new Error(payload.response?.reason ?? payload.response));
    } else if (joinRef !== this.joinRef) {
      return;
    } else if (event === "phx_error" || event === "phx_close") {
      this.socket.close();
    } else if (event === REQUEST_EVENT) {
      this.receiveResponse(payload);
    }
  }

  receiveResponse({ request_id: id, result, success, error, has_more }) {
    const call = this.calls.get(id);
    // A message to a group comes under its sender's request id, to the sender too.
    if (result?.from_user_id) return this.onMessage(result);
    // The first one says that the stream is open.
    if (has_more) return call?.isOpen ? call.onChunk(result) : Object.assign(call ?? {}, { isOpen: true });
    this.calls.delete(id);
    if (success) call?.done(result);
    else call?.fail(new Error(error));
  }

  // Calls a function: answered by its result. The chunks of a stream come to `onChunk` before.
  call(requestType, args = {}, onChunk = () => {}) {
    const id = Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join("-");
    return new Promise((done, fail) => {
      this.calls.set(id, { done, fail, onChunk });
      const request = { service: this.service, request_type: requestType, request_id: id, args };
      const reply = this.send(this.joinRef, this.nextRef(), this.topic, REQUEST_EVENT, request);
      reply.catch((error) => this.calls.delete(id) && fail(error));
    });
  }

  close() {
    this.closed = true;
    if (this.socket && this.socket.readyState !== WebSocket.CLOSED) this.socket.close(1000);
    else this.onState("closed");
  }
}
