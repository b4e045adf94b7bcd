// Limits: each key of which something waits or has just begun. Asked for only where the configuration has limits.
function fillLimitActions(cell, row) {
  if (!cell.firstChild) {
    actionButton(cell, "Set…", setLimit);
    actionButton(cell, "Reset…", resetLimit);
  }
  const [set, reset] = cell.children, key = row.key ? `, shown for key ${row.key}` : "";
  setAttribute(set, "aria-label", `Set limit ${row.limit}${key}`);
  setAttribute(reset, "aria-label", `Reset limit ${row.limit}${key}`);
  reset.hidden = !row.set;
}

async function changeLimit(name, query, said, button) {
  button.disabled = true;
  const done = await act(`limits/${encodeURIComponent(name)}${query}`);
  button.disabled = false;
  button.focus();
  if (!done) return;
  toast(said);
  pollNow();
}

// Only the parts that a limit has can be set; the form holds what counts now.
async function setLimit(row, button) {
  setText(byId("terms-title"), `Set limit ${row.limit}`);
  for (const [part, now] of [["rate", row.rate], ["concurrency", row.concurrency]]) {
    const input = byId(`terms-${part}`);
    input.parentNode.hidden = input.disabled = now === null;
    input.value = now === null ? "" : String(now);
  }
  if (await ask(byId("terms")) !== "yes") return button.focus();
  const parts = ["rate", "concurrency"].filter((part) => !byId(`terms-${part}`).disabled);
  const query = new URLSearchParams(parts.map((part) => [part, byId(`terms-${part}`).value.trim()]));
  await changeLimit(row.limit, `?${query}`, `${row.limit} is set: workers keep it from their next message on, what waits in hand within 30 s.`, button);
}

async function resetLimit({limit}, button) {
  if (await confirmed(`Reset ${limit}?`, "It is as configured again, for all its keys and all workers.", "Reset", "primary"))
    await changeLimit(limit, "", `${limit} is as configured again.`, button);
}

byId("terms-cancel").addEventListener("click", () => byId("terms").close());

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
    {name: "actions", label: "Actions", kind: "action", fill: fillLimitActions},
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
