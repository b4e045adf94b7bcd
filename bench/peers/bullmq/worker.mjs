// worker.mjs REDIS_PORT OUT PROCESSES: so many processes, each as BullMQ's guide has it, with the concurrency it advises for jobs that
// wait for nothing; finished jobs are removed at once.
import cluster from "node:cluster";
import { Worker } from "bullmq";
import { counter } from "./counting.mjs";

const [port, out, processes] = process.argv.slice(2);

function work() {
  const count = counter(`${out}-${process.pid}`);
  new Worker(
    "bench",
    async (job) => count(job.data.due_ms),
    {
      connection: { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null },
      concurrency: 100,
      removeOnComplete: { count: 0 },
    },
  );
}

if (processes === "1" || cluster.isWorker) work();
else for (let n = 0; n < processes; n++) cluster.fork();
