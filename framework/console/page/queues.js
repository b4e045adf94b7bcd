// Queues: depth, how it went, pause and resume.
let pausedNames = [];
const isPaused = (name) => pausedNames.includes(name);
const sparks = new Map();

// A cell with a name and, where it is so, the word "paused".
function fillName(cell, name, below) {
  if (!cell.firstChild) cell.append(el("span", {class: "name"}), el("span", {class: "chip", hidden: true}, "paused"), el("small", {class: "muted"}));
  const [title, chip, small] = cell.children;
  setText(title, name);
  chip.hidden = !isPaused(name);
  setText(small, below);
}

function fillPause(cell, name, what) {
  if (!cell.firstChild) actionButton(cell, "", (item, button) => switchPause(nameOf(item), button));
  const button = cell.firstChild, word = isPaused(name) ? "Resume" : "Pause";
  setText(button, word);
  setAttribute(button, "aria-label", `${word} ${what} ${name}`);
}

const nameOf = (item) => item.name || item.type;

async function switchPause(name, button) {
  const resume = isPaused(name);
  button.disabled = true;
  const done = await act(`${resume ? "resume" : "pause"}/${encodeURIComponent(name)}`);
  button.disabled = false;
  button.focus();
  if (!done) return;
  toast(resume ? `${name} goes on.` : `${name} is paused: nothing new of it begins.`);
  pollNow();
}

// What was ready, and so waited, over the last ten minutes.
function fillSpark(cell, queue) {
  if (!cell.firstChild) {
    const plot = makePlot(["ready"], true);
    cell.append(el("div", {class: "spark"}, plot.root));
    sparks.set(queue.name, plot);
  }
}

function drawSparks({slots}) {
  const at = (point, queue) => (point && point.queues && point.queues[queue] ? point.queues[queue].ready : null);
  for (const [queue, plot] of sparks) {
    const values = slots.map((point) => at(point, queue));
    plot.draw([values], sparkTop(values));
  }
}

const figureColumn = (name, label, more = {}) => ({name, label, kind: "number", text: (item) => count(item[name]), ...more});

const queuesTable = makeTable(byId("queues-table"), {
  label: "Queues",
  key: (queue) => queue.name,
  empty: "No queues yet.",
  columns: [
    {name: "name", label: "Queue", kind: "title", fill: (cell, queue) => fillName(cell, queue.name, queue.ready > 0 && queue.workers === 0 ? "no worker takes from it" : "")},
    figureColumn("ready", "Ready"),
    {name: "oldest", label: "Oldest ready", kind: "number", hint: "for how long a message has been due and nobody has taken it", text: (queue) => milliseconds(queue.oldest_ready_ms || null)},
    figureColumn("delayed", "Delayed"),
    figureColumn("in_flight", "In flight"),
    figureColumn("dead", "Dead", {alarm: (queue) => queue.dead > 0}),
    {name: "spark", label: "Ready, last 10 min", kind: "wide", fill: fillSpark},
    {name: "pause", label: "Actions", kind: "action", fill: (cell, queue) => fillPause(cell, queue.name, "queue")},
  ],
});

function showQueues(status) {
  queuesTable.update(status.queues);
  setText(byId("queues-note"), status.unrouted > 0 ? `${count(status.unrouted)} for queues that do not exist` : "");
}
