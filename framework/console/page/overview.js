// What matters first: how much waits where in all, and how it flowed over the last ten minutes.
const DEPTHS = [["ready", "Ready"], ["delayed", "Delayed"], ["in_flight", "In flight"], ["dead", "Dead"]];

// null only where no queue can tell (RabbitMQ's ladder is shared: delayed_total says it then).
function totalOf(queues, name) {
  const values = queues.map((queue) => queue[name]).filter(known);
  return values.length ? values.reduce((sum, value) => sum + value, 0) : null;
}

function depthOf(status, name) {
  return name === "delayed" && known(status.delayed_total) ? status.delayed_total : totalOf(status.queues, name);
}

const tiles = DEPTHS.map(([name, label]) => {
  const figure = el("p", {class: "figure", "data-total": name}, NOTHING), plot = makePlot([name], true);
  const tile = el(name === "dead" ? "a" : "article", {class: "tile", href: name === "dead" ? "#dead" : null}, el("h3", {}, label), figure, el("div", {class: "spark"}, plot.root));
  byId("depths").append(tile);
  return {name, figure, plot, tile};
});

const each = (name) => (point, step) => point[name] / step;
const perSecond = (rate) => `${digits(rate)}/s`;
const flows = [
  {title: "Done", filled: true, format: perSecond, series: [{name: "done", label: "done", value: each("done")}]},
  {title: "Failed runs", format: perSecond, series: [
    {name: "retried", label: "retried", value: each("retried")}, {name: "dead", label: "dead", value: each("dead")}]},
  {title: "Lateness", format: milliseconds, series: [{name: "late", label: "p99", value: (point) => point.late_p99_ms}]},
].map((spec) => makeChart(byId("flows"), spec));

function showTotals(status) {
  for (const {name, figure, tile} of tiles) {
    const total = depthOf(status, name);
    setText(figure, count(total));
    setAttribute(figure, "title", exactly(total));
    tile.classList.toggle("alarm", name === "dead" && total > 0);
  }
  const dead = depthOf(status, "dead");
  setText(byId("namespace"), status.namespace);
  setText(byId("broker"), status.broker);
  document.title = `${dead ? `(${count(dead)} dead) ` : ""}bide ${status.namespace}`;
}

function showHistory(history) {
  const seen = toSlots(history);
  for (const {name, plot} of tiles) {
    const values = seen.slots.map((point) => (point && point.queues ? totalOf(Object.values(point.queues), name) : null));
    plot.draw([values], sparkTop(values));
  }
  for (const chart of flows) chart.update(seen);
  return seen;
}
