// While messages flow the page moves; when they have ended it shows what `bide status --json` says, and so do its handlers.
"use strict";
const fs = require("node:fs");
const {Console, expect, until} = require("./console.js");
const COLUMNS = ["ready", "delayed", "in_flight", "dead"];

async function shown(console, queues) {
  const rows = await Promise.all(queues.map(async ({name}) => {
    const figures = await Promise.all(COLUMNS.map((column) => console.figure("queues", name, column)));
    return [name, ...figures];
  }));
  return JSON.stringify(rows);
}

const told = (queues) => JSON.stringify(queues.map((queue) => [queue.name, ...COLUMNS.map((column) => queue[column])]));

async function sameAsStatus(console) {
  const {queues} = console.status();
  const asked = async () => [await shown(console, queues), told(console.status().queues)];
  await until(async () => { const [page, line] = await asked(); return page === line; }, async () => (await asked()).join("\nbut bide status: "));
  for (const column of COLUMNS) {
    const sum = queues.reduce((total, queue) => total + queue[column], 0);
    expect(console.number(await console.text(`[data-total="${column}"]`)) === sum, `${column} in all is not ${sum}`);
  }
}

async function moves(console) {
  const first = await console.figure("handlers", "journal", "done");
  await until(async () => await console.figure("handlers", "journal", "done") > first, "the handler's runs go up");
  const drawn = () => console.page.locator("path.line.done").first().getAttribute("d");
  await until(async () => (await drawn() || "").includes("L"), "the chart has a line");
}

// Nothing may move on the page while its figures change.
async function stands(console) {
  const watch = () => new Promise((resolve) => {
    let sum = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => { sum += entry.value; })).observe({type: "layout-shift"});
    setTimeout(() => resolve(sum), 4500); // two polls: what does not happen has no condition to wait for
  });
  const shift = await console.page.evaluate(watch);
  expect(shift < 0.01, `the layout moved by ${shift}`);
}

module.exports = async (given) => {
  const console = await Console.open(given);
  await console.live();
  fs.writeFileSync(`${given.dir}/flow`, ""); // however long the browser took to start
  await moves(console);
  await stands(console);
  await console.shot("flowing");
  await until(() => console.status().queues.every((queue) => !queue.ready && !queue.in_flight), "the flow ends");
  await sameAsStatus(console);
  await until(async () => await console.figure("handlers", "journal", "done") === given.journal, "all runs of journal are shown");
  await until(async () => await console.figure("handlers", "hopeless", "dead") === given.hopeless, "all dead ones are shown");
  expect(await console.figure("handlers", "probe", "retried") === given.retried, "the retries are not shown");
  expect(await console.text("#namespace") === console.status().namespace, "another namespace is shown");
  await console.shot("rest");
  await console.close();
};
