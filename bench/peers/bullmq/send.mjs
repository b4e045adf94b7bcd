// send.mjs REDIS_PORT MESSAGES RATE DELAY_MS [LONGEST_MS [BATCH]]: addBulk in thousands, or add one by one with a BATCH of 1; with a
// RATE, that many a second, each with a delay. Prints the seconds it took once it was connected.
import { Queue } from "bullmq";

const [port, messages, rate, shortest, longest = shortest, batch = 1000] = process.argv.slice(2).map(Number);
const queue = new Queue("bench", { connection: { host: "127.0.0.1", port } });
await queue.waitUntilReady();
const body = "x".repeat(256);
const job = () => {
  const delay = shortest + Math.floor(Math.random() * (longest - shortest + 1));
  return {
    name: "noop",
    data: delay ? { body, due_ms: Date.now() + delay } : { body },
    opts: { removeOnComplete: true, ...(delay ? { delay } : {}) },
  };
};
const add = (n) => {
  if (n > 1) return queue.addBulk(Array.from({ length: n }, job));
  const { name, data, opts } = job();
  return queue.add(name, data, opts);
};
const started = performance.now();
let sent = 0;
while (sent < messages) {
  const wanted = rate ? Math.floor(((performance.now() - started) * rate) / 1000) + 1 : messages;
  const n = Math.min(wanted, messages, sent + batch) - sent;
  if (n > 0) await add(n);
  sent += Math.max(n, 0);
  if (rate && n <= 0) await new Promise((done) => setTimeout(done, 1));
}
console.log((performance.now() - started) / 1000);
await queue.close();
