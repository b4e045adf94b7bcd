// In this size and colour scheme: every text can be read, nothing scrolls sideways, every control has a name.
"use strict";
const {Console, expect, until} = require("./console.js");

// Runs in the page: "ratio text" of each text whose contrast with what lies behind is too low (WCAG 2, level AA).
function tooFaint() {
  const parse = (text) => {
    const parts = text.match(/[\d.]+/g).map(Number), scale = text.startsWith("color(") ? 255 : 1;
    return {rgb: parts.slice(0, 3).map((value) => value * scale), alpha: parts.length > 3 ? parts[3] : 1};
  };
  const over = (top, below) => top.rgb.map((value, at) => value * top.alpha + below[at] * (1 - top.alpha));
  const ground = (node) => {
    if (!node) return [255, 255, 255];
    const own = parse(getComputedStyle(node).backgroundColor);
    return own.alpha === 1 ? own.rgb : over(own, ground(node.parentElement));
  };
  const light = (rgb) => rgb.map((value) => value / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.matches("script, style, :disabled, option")) continue;
    const style = getComputedStyle(node), behind = ground(node), ratio = contrast(over(parse(style.color), behind), behind);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 600);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${node.className} ${node.textContent.trim().slice(0, 40)}`);
  }
  return {faint, scheme: light(ground(document.body)) < 0.2 ? "dark" : "light"};
}

const unnamed = () => [...document.querySelectorAll("button, input, select, a, [tabindex='0']")]
  .filter((node) => node.checkVisibility() && !(node.textContent.trim() || node.ariaLabel || (node.labels && node.labels.length)))
  .map((node) => node.outerHTML);

const sideways = () => [document.documentElement.scrollWidth, window.innerWidth];

async function judge(console, where) {
  const {faint, scheme} = await console.page.evaluate(tooFaint);
  expect(faint.length === 0, `${where}: too faint: ${faint.join("; ")}`);
  expect(scheme === console.scheme, `${where}: the page is ${scheme}, not ${console.scheme}`);
  const nameless = await console.page.evaluate(unnamed);
  expect(nameless.length === 0, `${where}: without a name: ${nameless.join("; ")}`);
  const [wide, window] = await console.page.evaluate(sideways);
  expect(wide <= window, `${where}: ${wide} px wide in a window of ${window}`);
}

module.exports = async (given) => {
  const console = await Console.open(given);
  await console.live();
  await until(() => console.page.locator("#dead-table tbody tr").count(), "dead letters are shown");
  await judge(console, "page");
  await console.shot("page");
  await console.page.locator("#dead-table button.open").first().click();
  await until(() => console.page.locator("#letter[open]").count(), "the message opens");
  await judge(console, "message");
  await console.page.click("#letter-drop");
  await judge(console, "confirmation");
  await console.shot("confirm");
  await console.close();
};
