// The list of dead letters: loaded when their number or a filter changes.
const REASONS = ["exhausted", "rejected", "no-type", "unknown-type", "crashed", "timeout", "oversized", "malformed", "unrouted", "unresolved"];
const PAGE = 20, TYPING_MS = 250;
const filters = {search: byId("dead-search"), queue: byId("dead-queue"), type: byId("dead-type"), reason: byId("dead-reason")};
let limit = PAGE, asked = 0, typing = 0, lastDead = null;
const typesSeen = new Set();

const filterValues = () => Object.entries(filters).map(([name, field]) => [name, field.value.trim()]).filter(([, value]) => value);

function fillId(cell, letter) {
  if (!cell.firstChild) {
    const button = actionButton(cell, "", (item) => showLetter(item.id));
    button.className = "open";
    button.append(el("span", {class: "name"}), el("small", {class: "mono muted"}));
  }
  const [type, id] = cell.firstChild.children;
  setText(type, letter.type || "(no type)");
  setText(id, letter.id);
  setAttribute(cell.firstChild, "aria-label", `Show ${letter.type || "message"} ${letter.id}`);
}

function fillActions(cell, letter) {
  if (!cell.firstChild) for (const name of ["retry", "drop"]) actionButton(cell, name === "retry" ? "Retry" : "Drop", (item) => settleLetter(item, name));
  const [retry, drop] = cell.children;
  setAttribute(retry, "aria-label", `Retry ${letter.id}`);
  setAttribute(drop, "aria-label", `Drop ${letter.id}`);
}

function fillDied(cell, letter) {
  if (!cell.firstChild) cell.append(el("span"));
  setText(cell.firstChild, ago(letter.died_ms));
  setAttribute(cell, "title", instant(letter.died_ms));
}

const deadTable = makeTable(byId("dead-table"), {
  label: "Dead letters",
  key: (letter) => letter.id,
  empty: () => (filterValues().length ? "Nothing matches." : "No dead letters."),
  columns: [
    {name: "id", label: "Message", kind: "title", fill: fillId},
    {name: "died", label: "Died", kind: "text", fill: fillDied},
    {name: "queue", label: "Queue", kind: "text", text: (letter) => letter.queue || NOTHING},
    {name: "reason", label: "Reason", kind: "text", text: (letter) => letter.reason},
    figureColumn("attempts", "Runs"),
    {name: "error", label: "Error", kind: "wide", text: (letter) => letter.error || NOTHING},
    {name: "act", label: "Actions", kind: "action", fill: fillActions},
  ],
});

function setOptions(select, names) {
  const wanted = ["", ...names];
  if (JSON.stringify(wanted) === JSON.stringify([...select.options].map((option) => option.value))) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((name) => el("option", {value: name}, name || "any")));
  select.value = wanted.includes(chosen) ? chosen : "";
}

// What the command line would do to all of these.
function showCommand(letters) {
  const chosen = filterValues(), words = chosen.map(([name, value]) => shellWord(`--${name}=${value}`));
  const usable = letters.length > 1 && !words.includes(null);
  byId("dead-command").hidden = !usable;
  setText(byId("dead-command").querySelector("code"), ["bide dead retry --all", ...words].join(" "));
}

function showDead(letters) {
  deadTable.update(letters);
  for (const letter of letters) if (letter.type) typesSeen.add(letter.type);
  setOptions(filters.type, [...typesSeen].sort());
  const more = letters.length >= limit;
  byId("dead-more").hidden = !more;
  setText(byId("dead-note"), letters.length ? `${more ? "the newest " : ""}${exactly(letters.length)}${filterValues().length ? " that match" : ""}` : "");
  showCommand(letters);
}

// An answer that a later question has overtaken is dropped.
async function loadDead() {
  const turn = ++asked, query = new URLSearchParams([...filterValues(), ["limit", String(limit)]]);
  try {
    const letters = await fetchJson(`dead?${query}`);
    if (turn === asked) showDead(letters);
  } catch (error) {
    if (turn === asked) lastDead = null; // the next poll that works asks again
  }
}

function noteDead(status) {
  for (const handler of status.worker.handlers) typesSeen.add(handler.type);
  setOptions(filters.queue, status.queues.map((queue) => queue.name));
  setOptions(filters.type, [...typesSeen].sort());
  const now = JSON.stringify([status.unrouted, status.queues.map((queue) => queue.dead), status.worker.handlers.map((handler) => handler.dead)]);
  if (now !== lastDead) loadDead();
  lastDead = now;
}

function filterChanged() {
  clearTimeout(typing);
  limit = PAGE;
  typing = setTimeout(loadDead, TYPING_MS);
}

setOptions(filters.queue, []);
setOptions(filters.type, []);
setOptions(filters.reason, REASONS);
byId("dead-filter").addEventListener("input", filterChanged);
byId("dead-filter").addEventListener("submit", (event) => event.preventDefault());
byId("dead-more").addEventListener("click", () => { limit += 5 * PAGE; loadDead(); });
