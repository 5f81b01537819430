// Waiting for what happens, bounded in time, so that a test that waits in vain says for what.

const PATIENCE_MS = 15_000;

/** The promise's value; fails with `what` when it does not come in time. */
export function within(promise, what, ms = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`waited ${ms} ms in vain for ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** What has come, in order; readers wait for what comes next. */
export class Queue {
  #items = [];
  #readers = [];

  put(item) {
    const reader = this.#readers.shift();
    if (reader) reader(item);
    else this.#items.push(item);
  }

  /** The next item. */
  next(what = "another item") {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return within(new Promise((done) => this.#readers.push(done)), what);
  }

  /** The next item that matches; those before it are dropped. */
  async find(matches, what = "an item that matches") {
    for (;;) {
      const item = await this.next(what);
      if (matches(item)) return item;
    }
  }

  /** The next `count` items. */
  async take(count, what) {
    const items = [];
    while (items.length < count) items.push(await this.next(what));
    return items;
  }

  /** What has come and was not read. */
  rest() {
    return this.#items.splice(0);
  }
}

/** Asks again and again until an answer passes: for what nobody is told of. */
export async function until(ask, passes, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (passes(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}; the last answer: ${JSON.stringify(answer)}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}
