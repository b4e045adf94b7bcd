// A dead letter is found by search, read, retried and seen done; another is dropped after a confirmation.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const {Console, expect, until} = require("./console.js");

const rows = (page) => page.locator("#dead-table tbody tr").count();

async function search(console, text, wanted) {
  await console.page.fill("#dead-search", text);
  await until(async () => await rows(console.page) === wanted, async () => `${wanted} rows for ${text}, not ${await rows(console.page)}`);
}

async function read(console, id) {
  await console.page.click(`#dead-table tr[data-row="${id}"] button.open`);
  await until(() => console.page.locator("#letter[open]").count(), "the message opens");
  const text = await console.text("#letter-text");
  for (const part of [id, "12345678901234567890", "<img src=x onerror=alert(1)>", "tenant", "t-17"])
    expect(text.includes(part), `the message does not show ${part}: ${text}`);
  for (const run of ["Run 1 ", "Run 2 "]) expect(text.includes(run), `how it failed in ${run}is not shown: ${text}`);
  expect(await console.page.locator("#letter img").count() === 0, "a message's text became markup");
  await console.shot("letter");
}

async function filters(console) {
  await console.page.selectOption("#dead-reason", "rejected");
  await until(async () => (await rows(console.page)) > 0 && !(await console.text("#dead-table tbody")).includes("exhausted"), "only rejected ones");
  await console.page.selectOption("#dead-reason", "");
}

async function retried(console, id) {
  const done = await console.figure("handlers", "invoice", "done");
  fs.writeFileSync(path.join(console.dir, "repaired"), "");
  await console.page.click("#letter-retry");
  await console.shot("confirm");
  await console.page.click("#confirm-yes");
  await until(async () => await console.figure("handlers", "invoice", "done") === done + 1, "the retried message is done");
  await until(async () => await rows(console.page) === 0, "it has left the list");
  expect(!console.dead().some((letter) => letter.id === id), `${id} is still dead`);
}

async function dropped(console, id) {
  const before = console.dead().length;
  await search(console, id, 1);
  await console.page.click(`#dead-table tr[data-row="${id}"] button[aria-label="Drop ${id}"]`);
  await console.page.click("#confirm button[value=no]");
  expect(console.dead().length === before, "it was dropped though nobody said yes");
  await console.page.click(`#dead-table tr[data-row="${id}"] button[aria-label="Drop ${id}"]`);
  await console.page.click("#confirm-yes");
  await until(() => console.dead().length === before - 1, "it is dropped");
  expect(!console.dead().some((letter) => letter.id === id), `${id} is still dead`);
}

module.exports = async (given) => {
  const console = await Console.open(given);
  await console.live();
  await filters(console);
  await search(console, given.broken, 1);
  await read(console, given.broken);
  await retried(console, given.broken);
  await dropped(console, given.useless);
  await console.close();
};
