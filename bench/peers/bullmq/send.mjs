// send.mjs REDIS_PORT MESSAGES RATE DELAY_MS: addBulk in thousands; with a RATE, that many a second, each with a delay. Prints the
// seconds it took once it was connected.
import { Queue } from "bullmq";

const [port, messages, rate, delay] = process.argv.slice(2).map(Number);
const queue = new Queue("bench", { connection: { host: "127.0.0.1", port } });
await queue.waitUntilReady();
const body = "x".repeat(256);
const job = () => ({
  name: "noop",
  data: delay ? { body, due_ms: Date.now() + delay } : { body },
  opts: { removeOnComplete: true, ...(delay ? { delay } : {}) },
});
const started = performance.now();
let sent = 0;
while (sent < messages) {
  const wanted = rate ? Math.floor(((performance.now() - started) * rate) / 1000) + 1 : messages;
  const n = Math.min(wanted, messages, sent + 1000) - sent;
  if (n > 0) await queue.addBulk(Array.from({ length: n }, job));
  sent += Math.max(n, 0);
  if (rate && n <= 0) await new Promise((done) => setTimeout(done, 1));
}
console.log((performance.now() - started) / 1000);
await queue.close();
