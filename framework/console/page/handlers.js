// Handlers: what became of their runs since the worker started; how many failed, how long they took and how late they began
// in the last minutes; the state of their circuit.
const runsOf = (handler) => handler.done + handler.retried + handler.dead;
const failedOf = (handler) => handler.retried + handler.dead;

function madeOf({plugin, version, build}) {
  return [plugin, version, build ? `build ${build}` : ""].filter(Boolean).join(" ");
}

function fillCircuit(cell, handler) {
  if (!cell.firstChild) cell.append(el("span", {class: "state"}));
  setText(cell.firstChild, handler.circuit || NOTHING);
  setAttribute(cell.firstChild, "data-state", handler.circuit || "");
}

const timeColumn = (name, label, hint) => ({name, label, hint, kind: "number", text: (handler) => milliseconds(handler[name])});

const handlersTable = makeTable(byId("handlers-table"), {
  label: "Handlers",
  key: (handler) => handler.type,
  empty: "No handlers are configured.",
  columns: [
    {name: "type", label: "Type", kind: "title", fill: (cell, handler) => fillName(cell, handler.type, madeOf(handler))},
    {name: "queue", label: "Queue", kind: "text", text: (handler) => handler.queue || NOTHING},
    figureColumn("running", "Running"),
    figureColumn("done", "Done"),
    figureColumn("retried", "Retried"),
    figureColumn("dead", "Dead", {alarm: (handler) => handler.dead > 0}),
    figureColumn("expired", "Expired"),
    {name: "failed", label: "Failed", kind: "number", hint: "share of the last minutes' runs that ended in a retry or a dead letter", text: ({recent}) => percent(failedOf(recent), runsOf(recent))},
    timeColumn("p50_ms", "p50", "half of the runs took no longer"),
    timeColumn("p99_ms", "p99", "99 of 100 runs took no longer"),
    timeColumn("lateness_p99_ms", "Late p99", "99 of 100 delayed or retried messages began no later after they were due"),
    {name: "circuit", label: "Circuit", kind: "text", fill: fillCircuit},
    {name: "pause", label: "Actions", kind: "action", fill: (cell, handler) => fillPause(cell, handler.type, "type")},
  ],
});

function showHandlers(status) {
  handlersTable.update(status.worker.handlers);
}
