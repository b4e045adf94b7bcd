// Limits: each key of which something waits or has just begun. Asked for only where the configuration has limits.
const limitsTable = makeTable(byId("limits-table"), {
  label: "Limits",
  key: (row) => `${row.limit} ${row.key}`,
  empty: "Nothing is limited just now.",
  columns: [
    {name: "limit", label: "Limit", kind: "title", text: (row) => row.limit},
    {name: "key", label: "Key", kind: "text", text: (row) => row.key || NOTHING},
    {name: "rate", label: "Rate", kind: "text", text: (row) => (row.rate || NOTHING) + (row.set ? " (set)" : "")},
    figureColumn("concurrency", "At once"),
    figureColumn("in_use", "In use"),
    figureColumn("waiting", "Waiting"),
    {name: "wait", label: "Wait", kind: "number", hint: "how long a message that comes now would wait", text: (row) => milliseconds(row.wait_ms)},
  ],
});

async function showLimits({worker}) {
  byId("limits").hidden = !worker.limits;
  if (!worker.limits) return;
  try {
    const {limits} = await fetchJson("limits");
    limitsTable.update(limits);
    setText(byId("limits-note"), "");
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    setText(byId("limits-note"), error.message);
  }
}
