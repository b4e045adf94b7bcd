// worker.mjs REDIS_PORT OUT: one process, as BullMQ's guide has it, with the concurrency it advises for jobs that wait for
// nothing; finished jobs are removed at once. Writes what it ran to OUT as JSON, now and then.
import { Worker } from "bullmq";
import { renameSync, writeFileSync } from "node:fs";

const [port, out] = process.argv.slice(2);
const seen = { runs: 0, first_us: 0, last_us: 0, late_ms: [] };
let written = -1;
const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000);

setInterval(() => {
  if (seen.runs === written) return;
  written = seen.runs;
  writeFileSync(`${out}.new`, JSON.stringify(seen));
  renameSync(`${out}.new`, out);
}, 100);

new Worker(
  "bench",
  async (job) => {
    const now = nowUs();
    if (seen.runs++ === 0) seen.first_us = now;
    seen.last_us = now;
    if (job.data.due_ms) seen.late_ms.push(now / 1000 - job.data.due_ms);
  },
  {
    connection: { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null },
    concurrency: 100,
    removeOnComplete: { count: 0 },
  },
);
