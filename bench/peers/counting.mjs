// What counting.py is to Python.
import { appendFileSync } from "node:fs";

const now = () => performance.timeOrigin + performance.now();

export function counter(path) {
  const seen = { runs: 0, first_us: 0, last_us: 0 };
  let late = [], written = 0;
  setInterval(() => {
    if (seen.runs === written) return;
    written = seen.runs;
    appendFileSync(path, JSON.stringify({ ...seen, late_ms: late }) + "\n");
    late = [];
  }, 100).unref();
  return (dueMs) => {
    const ms = now();
    if (seen.runs++ === 0) seen.first_us = Math.round(ms * 1000);
    seen.last_us = Math.round(ms * 1000);
    if (dueMs) late.push(ms - dueMs);
  };
}
