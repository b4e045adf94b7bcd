// Everything without a pointer: token, search, message, retry; pause and resume; dialogs hold the focus and give it back.
"use strict";
const {Console, expect, until} = require("./console.js");

const focused = (page) => page.evaluate(() => {
  const {id, dataset, ariaLabel, textContent} = document.activeElement;
  return id || ariaLabel || dataset.row || textContent.slice(0, 40);
});

async function tabTo(page, wanted, most = 200) {
  for (let pressed = 0; pressed < most; pressed++) {
    if (await focused(page) === wanted) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab never reaches ${wanted}`);
}

async function outlined(page) {
  const style = await page.evaluate(() => {
    const {outlineStyle, outlineWidth} = getComputedStyle(document.activeElement);
    return `${outlineStyle} ${outlineWidth}`;
  });
  expect(/^(solid|auto) [2-9]/.test(style), `the focus does not show: ${style}`);
}

async function token(console) {
  await until(() => console.page.locator("#ask[open]").count(), "the page asks for the token");
  await console.page.keyboard.press("Escape");
  await tabTo(console.page, "token");
  await outlined(console.page);
  await console.page.keyboard.press("Enter");
  await until(() => console.page.locator("#ask[open]").count(), "the token is asked for");
  await console.page.keyboard.press("Escape");
  expect(await console.page.locator("#ask[open]").count() === 0, "Esc does not close it");
  expect(await focused(console.page) === "token", "the focus did not come back");
  await console.page.keyboard.press("Enter");
  await console.page.keyboard.type(console.token);
  await console.page.keyboard.press("Enter");
  await until(async () => await console.text("#token") === "Forget token", "the token is taken");
}

async function pauses(console) {
  for (const word of ["Pause", "Resume"]) {
    await tabTo(console.page, `${word} queue default`);
    await outlined(console.page);
    await console.page.keyboard.press("Enter");
    const after = word === "Pause" ? "Resume" : "Pause";
    await until(() => console.page.locator(`button[aria-label="${after} queue default"]`).count(), `${word} takes effect`);
    expect(await focused(console.page) === `${after} queue default`, "the focus is lost");
  }
}

// Inside a dialog, Tab never leaves it for the page behind.
async function trapped(page) {
  for (let pressed = 0; pressed < 12; pressed++) {
    await page.keyboard.press("Tab");
    const where = await page.evaluate(() => document.activeElement === document.body || document.activeElement.closest("dialog") !== null);
    expect(where, `Tab left the dialog for ${await focused(page)}`);
  }
}

async function mends(console, id) {
  const {page} = console;
  await tabTo(page, "dead-search");
  await page.keyboard.type(id);
  await until(async () => await page.locator("#dead-table tbody tr").count() === 1, "the search finds it");
  await tabTo(page, `Show invoice ${id}`);
  await outlined(page);
  await page.keyboard.press("Enter");
  await until(() => page.locator("#letter[open]").count(), "the message opens");
  await trapped(page);
  await page.keyboard.press("Escape");
  expect(await focused(page) === `Show invoice ${id}`, "the focus did not come back to the row");
  await page.keyboard.press("Enter");
  await until(() => page.locator("#letter[open]").count(), "the message opens again");
  await tabTo(page, "letter-retry");
  await page.keyboard.press("Enter");
  await until(() => page.locator("#confirm[open]").count(), "it asks first");
  expect(await focused(page) === "Cancel", "Enter alone would retry");
  await tabTo(page, "confirm-yes");
  await page.keyboard.press("Enter");
  await until(() => !console.dead().some((letter) => letter.id === id), "it is retried");
}

module.exports = async (given) => {
  const console = await Console.open({...given, locked: true});
  await token(console);
  await console.live();
  await pauses(console);
  await mends(console, given.broken);
  await console.close();
};
