// Limits: what they show, set and reset; the command line agrees.
"use strict";
const {execFileSync} = require("node:child_process");
const {Console, expect, until} = require("./console.js");

const listed = (console) => JSON.parse(execFileSync(console.bide, ["limits", "--json"], {cwd: console.dir, encoding: "utf8"}).trim().split("\n")[0]);
const button = (console, verb) => console.page.locator(`#limits-table button[aria-label^="${verb} limit api"]`);

async function says(console, text) {
  const said = () => console.page.locator("#toasts .toast p").allTextContents();
  await until(async () => (await said()).some((line) => text.test(line)), async () => `${text} is said: ${await said()}`);
}

module.exports = async (given) => {
  const console = await Console.open(given);
  await console.live();
  await until(async () => await button(console, "Set").count() === 1, "the limit is there");
  expect(!await button(console, "Reset").isVisible(), "what is as configured cannot be reset");
  await button(console, "Set").click();
  expect(await console.page.inputValue("#terms-rate") === "100/1m", "the form holds what counts now");
  expect(!await console.page.locator("#terms-concurrency").isVisible(), "a limit of a rate has nothing else to set");
  await console.page.fill("#terms-rate", "50/1m");
  await console.page.click('#terms button[value="yes"]');
  await says(console, /^api is set/);
  await until(async () => await button(console, "Reset").isVisible(), "the page shows that it is set");
  expect(listed(console).rate === "50/1m" && listed(console).set, `the store knows of it: ${JSON.stringify(listed(console))}`);
  await console.shot("limits");
  await button(console, "Reset").click();
  await console.page.click("#confirm-yes");
  await says(console, /as configured again/);
  await until(async () => !await button(console, "Reset").isVisible(), "the page shows that it is reset");
  expect(listed(console).rate === "100/1m" && !listed(console).set, `the store knows of it: ${JSON.stringify(listed(console))}`);
  await console.close();
};
