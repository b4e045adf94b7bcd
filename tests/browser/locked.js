// Where the console shows nothing without its token, the page asks for it, says when it is refused, and keeps it to itself.
"use strict";
const {Console, expect, until} = require("./console.js");

module.exports = async (given) => {
  const console = await Console.open({...given, locked: true});
  await until(() => console.page.locator("#ask[open]").count(), "the token is asked for");
  await console.page.fill("#ask-token", "wrong");
  await console.page.keyboard.press("Enter");
  await until(async () => /did not accept/.test(await console.text("#ask-text")), "the wrong token is refused");
  await console.page.fill("#ask-token", given.token);
  await console.page.keyboard.press("Enter");
  await console.live();
  const kept = await console.page.evaluate(() => [JSON.stringify({...localStorage}), document.cookie, location.href].join());
  expect(!kept.includes(given.token), `the token is kept where it must not be: ${kept}`);
  await console.close();
};
