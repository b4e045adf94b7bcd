// Small charts from /history. A chart sees slots: one a step of the last ten minutes, null where nothing was sampled.
const SPAN_S = 600, WIDTH = 600, HEIGHT = 100;

function toSlots({step_s: step, points}) {
  const slots = new Array(Math.round(SPAN_S / step)).fill(null);
  const last = points.length ? points[points.length - 1].t : 0;
  for (const point of points) {
    const at = slots.length - 1 - Math.round((last - point.t) / step);
    if (at >= 0 && at < slots.length) slots[at] = point;
  }
  return {slots, step, last};
}

// The next of 1, 2, 5, 10, 20 … above a value, so that the scale moves seldom.
function ceiling(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * power >= value) * power;
}

// A spark has no labels, so its scale may follow closely.
const sparkTop = (values) => 1.1 * largest([values]) || 1;

const xOf = (at, n) => (WIDTH * at) / (n - 1);
const yOf = (value, top) => HEIGHT - (HEIGHT * value) / top;

// Runs of neighbouring values: a gap in the history is a gap in the line.
function segments(values) {
  const found = [];
  values.forEach((value, at) => {
    if (!known(value)) return;
    if (at > 0 && known(values[at - 1]) && found.length) found[found.length - 1].push(at);
    else found.push([at]);
  });
  return found;
}

function linePath(values, top) {
  const point = (at) => `${xOf(at, values.length).toFixed(1)} ${yOf(values[at], top).toFixed(1)}`;
  return segments(values).map((run) => `M${run.map(point).join("L")}${run.length === 1 ? "h.5" : ""}`).join("");
}

function areaPath(values, top) {
  const x = (at) => xOf(at, values.length).toFixed(1);
  return segments(values).map((run) => `M${x(run[0])} ${HEIGHT}` +
    run.map((at) => `L${x(at)} ${yOf(values[at], top).toFixed(1)}`).join("") + `L${x(run[run.length - 1])} ${HEIGHT}Z`).join("");
}

// The drawing alone. series: names of lines; the first may have its area filled.
function makePlot(series, filled) {
  const lines = series.map((name) => svg("path", {class: `line ${name}`}));
  const area = filled ? svg("path", {class: `area ${series[0]}`}) : null;
  const root = svg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false"}, area, ...lines);
  function draw(all, top) {
    lines.forEach((line, at) => line.setAttribute("d", linePath(all[at], top)));
    if (area) area.setAttribute("d", areaPath(all[0], top));
  }
  return {root, draw};
}

const largest = (all) => all.flat().reduce((most, value) => (known(value) && value > most ? value : most), 0);

// A chart with a legend of figures: of the latest step, or of the one under the pointer or chosen with the arrow keys.
// spec: {title, unit, filled, format, series: [{name, label, value: (point, step) => number|null}]}
function makeChart(host, spec) {
  const plot = makePlot(spec.series.map((line) => line.name), spec.filled);
  const cursor = el("span", {class: "cursor", hidden: true}), top = el("span", {class: "scale"}), when = el("span", {class: "when muted"}, "10 min");
  const figures = spec.series.map(() => el("b", {}, NOTHING));
  const legend = el("ul", {class: "legend"}, ...spec.series.map((line, at) =>
    el("li", {}, el("span", {class: `key ${line.name}`, "aria-hidden": "true"}), `${line.label} `, figures[at])));
  const area = el("div", {class: "plot", tabindex: "0", role: "img"}, plot.root, top, cursor);
  host.append(el("article", {class: "chart"}, el("div", {class: "chart-head"}, el("h3", {}, spec.title), when), legend, area));
  const chart = {spec, plot, cursor, top, when, figures, area, all: [], slots: [], at: null};
  followPointer(chart);
  return {update: (history) => updateChart(chart, history)};
}

function updateChart(chart, {slots, step, last}) {
  Object.assign(chart, {slots, step, last});
  chart.all = chart.spec.series.map((line) => slots.map((point) => (point ? line.value(point, step) : null)));
  const top = ceiling(largest(chart.all));
  chart.plot.draw(chart.all, top);
  setText(chart.top, chart.spec.format(top));
  showFigures(chart);
}

// `at` null: the latest sample there is.
function showFigures(chart) {
  const {all, at, spec, figures, slots, step, last} = chart;
  const place = at === null ? slots.length - 1 : at;
  const texts = all.map((values) => (known(values[place]) ? spec.format(values[place]) : NOTHING));
  texts.forEach((text, line) => setText(figures[line], text));
  setText(chart.when, at === null || !last ? "10 min" : clock((last - (slots.length - 1 - place) * step) * SECOND));
  chart.cursor.hidden = at === null;
  chart.cursor.style.left = `${(100 * place) / (slots.length - 1)}%`;
  const said = spec.series.map((line, n) => `${line.label} ${texts[n]}`).join(", ");
  setAttribute(chart.area, "aria-label", `${spec.title}: ${said}. Arrow keys move through the last ten minutes.`);
}

function followPointer(chart) {
  const move = (at) => {
    chart.at = at === null || !chart.slots.length ? null : Math.max(0, Math.min(chart.slots.length - 1, at));
    if (chart.slots.length) showFigures(chart);
  };
  chart.area.addEventListener("pointermove", (event) => {
    const box = chart.area.getBoundingClientRect();
    move(Math.round(((event.clientX - box.left) / box.width) * (chart.slots.length - 1)));
  });
  chart.area.addEventListener("pointerleave", () => move(null));
  chart.area.addEventListener("blur", () => move(null));
  chart.area.addEventListener("keydown", (event) => {
    const way = {ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30}[event.key];
    if (!way) return;
    event.preventDefault();
    move((chart.at === null ? chart.slots.length - 1 : chart.at) + way);
  });
}
