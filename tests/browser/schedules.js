// Schedules: what they show, pause, resume and run; the command line agrees.
"use strict";
const {execFileSync} = require("node:child_process");
const {Console, expect, until} = require("./console.js");

const listed = (console) => JSON.parse(execFileSync(console.bide, ["cron", "list", "--json"], {cwd: console.dir, encoding: "utf8"}));

async function press(console, label, text) {
  await console.page.click(`#schedules-table button[aria-label="${label}"]`);
  const said = () => console.page.locator("#toasts .toast p").allTextContents();
  await until(async () => (await said()).some((line) => text.test(line)), async () => `${text} is said: ${await said()}`);
}

module.exports = async (given) => {
  const console = await Console.open(given);
  await console.live();
  await until(async () => await console.page.locator('#schedules-table tr[data-row="nightly"]').count() === 1, "the schedule is there");
  expect(await console.cell("schedules", "nightly", "times") === "30 2 * * * Europe/Berlin", "its times");
  expect(/^\d{4}-/.test(await console.cell("schedules", "nightly", "next")), "its next slot");
  await press(console, "Pause schedule nightly", /paused/);
  await until(async () => await console.cell("schedules", "nightly", "state") === "paused", "the page shows the pause");
  expect(listed(console).state === "paused", "the store knows of the pause");
  await press(console, "Resume schedule nightly", /goes on/);
  await until(async () => await console.cell("schedules", "nightly", "state") === "active", "the page shows that it goes on");
  await press(console, "Run schedule nightly now", /^nightly@\d+ is sent\.$/);
  expect(listed(console).state === "active", "the store knows that it goes on");
  await console.shot("schedules");
  await console.close();
};
