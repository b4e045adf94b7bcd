// The worker: its processes, quiet mode, and what the broker knows of other workers and of what it holds.
function fillThreads(cell, process) {
  if (!cell.firstChild) cell.append(el("span"), el("meter", {min: "0", "aria-hidden": "true"}));
  const [text, meter] = cell.children;
  setText(text, `${exactly(process.busy)} of ${exactly(process.threads)}`);
  meter.max = process.threads || 1;
  meter.value = process.busy || 0;
}

function fillState(cell, process) {
  if (!cell.firstChild) cell.append(el("span", {class: "state"}));
  setText(cell.firstChild, process.state);
  setAttribute(cell.firstChild, "data-state", process.state);
}

const processesTable = makeTable(byId("processes-table"), {
  label: "Processes",
  key: (process) => String(process.pid),
  empty: "No process is running.",
  columns: [
    {name: "pid", label: "Process", kind: "title", text: (process) => String(process.pid)},
    {name: "state", label: "State", kind: "text", fill: fillState},
    {name: "busy", label: "Threads busy", kind: "text", fill: fillThreads},
    figureColumn("in_flight", "In flight"),
    figureColumn("landing", "Landing", {hint: "in hand a little early: begin on their due millisecond"}),
  ],
});

const programsTable = makeTable(byId("programs-table"), {
  label: "Programs",
  key: (program) => program.name,
  empty: "",
  columns: [
    {name: "name", label: "Program", kind: "title", text: (program) => program.name},
    figureColumn("processes", "Processes"),
    figureColumn("runs", "Runs"),
    figureColumn("restarts", "Restarts", {hint: "processes that ended without having been told to"}),
    {name: "memory", label: "Memory", kind: "number", text: (program) => `${digits(program.memory / 1e6)} MB`},
  ],
});

const relaysTable = makeTable(byId("relays-table"), {
  label: "Relays",
  key: (relay) => relay.name,
  empty: "",
  columns: [
    {name: "name", label: "Relay", kind: "title", text: (relay) => relay.name},
    {name: "state", label: "State", kind: "text", hint: "waits: it does not run, or another one carries", text: (relay) => relay.state, alarm: (relay) => relay.state.endsWith("away")},
    figureColumn("carried", "Carried"),
    figureColumn("refused", "Refused", {hint: "stay in the source, marked", alarm: (relay) => relay.refused > 0}),
    {name: "oldest", label: "Oldest", kind: "number", hint: "for how long the oldest one in hand has waited", text: (relay) => milliseconds(relay.oldest_ms), alarm: (relay) => relay.oldest_ms > MINUTE},
    {name: "lag", label: "Lag p99", kind: "number", text: (relay) => milliseconds(relay.lag_p99_ms)},
  ],
});

const peersTable = makeTable(byId("peers-table"), {
  label: "All workers the broker knows",
  key: (worker) => worker.name,
  empty: "This broker does not tell.",
  columns: [
    {name: "name", label: "Worker", kind: "title", text: (worker) => worker.name},
    figureColumn("in_flight", "In flight"),
    {name: "seen", label: "Seen", kind: "number", text: (worker) => ago(worker.seen_ms)},
  ],
});

const rungsTable = makeTable(byId("rungs-table"), {
  label: "Held by the broker",
  key: (rung) => rung.name,
  empty: "",
  columns: [
    {name: "name", label: "Held in", kind: "title", text: (rung) => rung.name},
    {name: "ms", label: "For", kind: "number", text: (rung) => milliseconds(rung.ms)},
    figureColumn("messages", "Messages"),
  ],
});

let quiet = false;

function showBroker({workers, rungs}) {
  const held = rungs.filter((rung) => rung.messages > 0);
  peersTable.update(workers);
  rungsTable.update(held);
  byId("rungs-title").hidden = held.length === 0;
}

function showWorker({worker}) {
  setText(byId("worker-note"), `pid ${worker.pid} · up ${span(worker.uptime_s * SECOND)} · ${worker.config}`);
  processesTable.update(worker.processes);
  programsTable.update(worker.programs);
  byId("programs-title").hidden = worker.programs.length === 0;
  relaysTable.update(worker.relays);
  byId("relays-title").hidden = worker.relays.length === 0;
  quiet = worker.quiet;
  byId("quiet").disabled = false;
  setText(byId("quiet"), quiet ? "End quiet" : "Go quiet");
  document.body.classList.toggle("is-quiet", quiet);
}

byId("quiet").addEventListener("click", async () => {
  const text = "The worker takes nothing new; what runs finishes. Messages wait in the broker until quiet ends.";
  if (!quiet && !await confirmed("Go quiet?", text, "Go quiet", "primary")) return;
  const ended = quiet;
  if (!await act(ended ? "unquiet" : "quiet")) return;
  toast(ended ? "The worker takes messages again." : "Quiet: nothing new is taken.");
  pollNow();
});
