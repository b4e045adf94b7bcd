// What send.py is, for Node.
import { Client } from "../../../sdk/node/bide.js";

const [url, single, many] = process.argv.slice(2);
const body = "x".repeat(256);
const client = new Client({ url, token: "" });
const took = async (send) => {
  const started = performance.now();
  await send();
  console.log((performance.now() - started) / 1000);
};

await client.send("noop", body);
await took(async () => {
  for (let n = 0; n < single; n++) await client.send("noop", body);
});
await took(async () => {
  for (let sent = 0; sent < many; sent += 1000) await client.sendMany(Array.from({ length: Math.min(1000, many - sent) }, () => ({ type: "noop", body })));
});
process.exit(0);
