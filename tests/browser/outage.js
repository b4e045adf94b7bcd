// The worker ends and comes back: the page says since when its figures are old, keeps them, and goes on by itself.
"use strict";
const fs = require("node:fs");
const {Console, expect, until} = require("./console.js");

const tell = (file) => fs.writeFileSync(file, "");

module.exports = async (given) => {
  const console = await Console.open(given);
  await console.live();
  const before = await console.text("#queues-table tbody");
  tell(`${given.dir}/stop`);
  await until(() => console.page.locator("#lost:not([hidden])").count(), "the page says that the connection is lost");
  expect(/figures are from \d\d:\d\d:\d\d/.test(await console.text("#lost-text")), "it does not say since when");
  expect(await console.page.locator("body.is-stale").count() === 1, "the figures do not look old");
  expect(await console.text("#queues-table tbody") === before, "the figures did not stay");
  await console.shot("lost");
  console.faults = []; // the browser itself notes each refused connection
  tell(`${given.dir}/start`);
  await console.live();
  expect(await console.page.locator("#lost:not([hidden])").count() === 0, "the notice stays");
  console.faults = console.faults.filter((fault) => !fault.includes("ERR_CONNECTION"));
  await console.close();
};
