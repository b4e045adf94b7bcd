// What the scenarios share: a browser, the console's page in it, and what must never happen on it.
"use strict";
const {execFileSync} = require("node:child_process");
const path = require("node:path");
const {chromium} = require("playwright-core");

const SIZES = {desktop: {width: 1280, height: 900}, telephone: {width: 390, height: 844}};
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const PATIENCE_MS = 60000;

function expect(condition, text) {
  if (!condition) throw new Error(text);
}

// The first true value of ask(); what() says what was missing at the end.
async function until(ask, what, patience = PATIENCE_MS) {
  for (const end = Date.now() + patience; ;) {
    const value = await ask();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${patience / 1000} s: ${typeof what === "string" ? what : await what()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

// With a profile of its own, in a temporary folder.
const launch = () => chromium.launch({executablePath: "/usr/bin/chromium", args: FLAGS});

// An open console. given: {browser, url, token, bide, dir, size, scheme, shots}
class Console {
  static async open(given) {
    const self = Object.assign(new Console(), given), options = {viewport: SIZES[given.size], colorScheme: given.scheme};
    self.context = await given.browser.newContext({...options, hasTouch: given.size === "telephone"});
    self.faults = [];
    self.page = await self.context.newPage();
    self.watch();
    await self.page.goto(given.url);
    if (!given.locked) await self.enterToken();
    return self;
  }

  // Console errors, uncaught exceptions and requests to anybody else.
  watch() {
    this.page.on("console", (message) => ["error", "warning"].includes(message.type()) && this.faults.push(`console: ${message.text()}`));
    this.page.on("pageerror", (error) => this.faults.push(`exception: ${error.stack}`));
    this.context.on("request", (request) => {
      if (!request.url().startsWith(this.url) && !request.url().startsWith("data:")) this.faults.push(`request: ${request.url()}`);
      if (request.url().includes(this.token)) this.faults.push(`the token is in an address: ${request.url()}`);
    });
  }

  async close() {
    await this.context.close();
    this.faults = this.faults.filter((fault) => !fault.includes("401")); // the browser notes each answer before the token is given
    expect(this.faults.length === 0, this.faults.join("\n"));
  }

  text(selector) { return this.page.locator(selector).first().textContent(); }

  // What a cell shows: by table, row (queue, type, id) and column.
  cell(table, row, name) { return this.text(`#${table}-table tr[data-row="${row}"] td[data-name="${name}"]`); }

  number(text) { return text === "–" ? null : Number(text.replaceAll(",", "")); }

  async figure(table, row, name) { return this.number(await this.cell(table, row, name)); }

  async live() { await until(async () => await this.text("#link-text") === "Live", "the page is live"); }

  // What the command line says at this moment.
  status() { return JSON.parse(execFileSync(this.bide, ["status", "--json"], {cwd: this.dir, encoding: "utf8"})); }

  dead() {
    const lines = execFileSync(this.bide, ["dead", "list", "--json"], {cwd: this.dir, encoding: "utf8"}).split("\n");
    return lines.filter(Boolean).map((line) => JSON.parse(line));
  }

  // The page asks for it by itself.
  async enterToken() {
    await until(() => this.page.locator("#ask[open]").count(), "the token is asked for");
    await this.page.fill("#ask-token", this.token);
    await this.page.keyboard.press("Enter");
    await until(async () => await this.text("#token") === "Forget token", "the token is taken");
  }

  async shot(name) {
    if (this.shots) await this.page.screenshot({path: path.join(this.shots, `${name}-${this.size}-${this.scheme}.png`)});
  }
}

module.exports = {Console, expect, launch, until};
