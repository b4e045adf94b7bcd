// What tasks.py is, for Node.
import { handler, serve } from "../../../sdk/node/bide.js";
import { counter } from "../counting.mjs";

const count = counter(`${process.env.BENCH_OUT}-${process.pid}`);
handler("noop", (message) => count(message.dueMs));
serve();
