// What waits: a page of it, one message, rescheduled and cancelled, one and several; the command line agrees.
"use strict";
const {execFileSync} = require("node:child_process");
const {Console, expect, until} = require("./console.js");

// What the command line lists at this moment.
function listed(console, state) {
  const text = execFileSync(console.bide, ["list", state, "--json"], {cwd: console.dir, encoding: "utf8"});
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

const row = (id) => `#messages-table tr[data-row="${id}"]`;

async function toast(console, text) {
  await until(async () => (await console.page.locator("#toasts .toast p").allTextContents()).includes(text), async () => `"${text}" is said: ${await console.page.locator("#toasts").textContent()}`);
}

async function confirm(console, name) {
  await until(() => console.page.locator("#confirm[open]").count(), `${name} asks first`);
  await console.page.click("#confirm-yes");
}

async function one(console) {
  const {page} = console;
  await page.click(`${row("wait-1")} button.open`);
  await until(() => page.locator("#message[open]").count(), "the message opens");
  const text = await console.text("#message-text");
  expect(text.includes("wait-1") && text.includes("delayed") && text.includes('"number": 1'), `the message shows ${text}`);
  await page.click("#message-later");
  await page.fill("#when-delay", "soon");
  await page.click("#when button.primary");
  expect(await page.locator("#when[open]").count() === 1, "'soon' is taken for a duration");
  await page.fill("#when-delay", "3h");
  await page.click("#when button.primary");
  await toast(console, "1 rescheduled.");
  const due = listed(console, "delayed").find((message) => message.id === "wait-1").due_ms;
  expect(Math.abs(due - Date.now() - 3 * 3600e3) < 120e3, `due at ${new Date(due)}`);
}

async function several(console) {
  const {page} = console;
  for (const id of ["wait-2", "wait-3"]) await page.check(`${row(id)} input`);
  expect(await console.text("#messages-chosen") === "2 selected", "two are selected");
  await page.click("#messages-cancel");
  await confirm(console, "cancel");
  await toast(console, "2 cancelled.");
  await until(async () => await page.locator(row("wait-2")).count() === 0, "the rows go");
  const left = listed(console, "delayed").map((message) => message.id);
  expect(!left.includes("wait-2") && !left.includes("wait-3") && left.includes("wait-1"), `left: ${left}`);
  await page.check(`${row("wait-4")} input`);
  await page.click("#messages-now");
  await confirm(console, "run now");
  await toast(console, "1 rescheduled.");
  await until(() => !listed(console, "delayed").some((message) => message.id === "wait-4"), "it runs");
}

module.exports = async (given) => {
  const console = await Console.open(given), {page} = console;
  await console.live();
  await page.selectOption("#messages-queue", "waiting");
  await until(async () => await page.locator("#messages-table tbody tr").count() === 4, "those of the queue are listed");
  expect(await page.locator("#messages-cancel").isDisabled(), "nothing is selected, something could be cancelled");
  await one(console);
  await several(console);
  for (const state of ["ready", "running"]) {
    await page.click(`#messages-states button[data-state="${state}"]`);
    await until(async () => await console.text("#messages-table .empty") === "Nothing matches.", `nothing is ${state} there`);
  }
  await console.shot("messages");
  await console.close();
};
