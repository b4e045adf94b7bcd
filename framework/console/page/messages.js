// What waits and what runs: a page of it by state, one message, and what can be done about those that wait.
const STATES = ["delayed", "ready", "running"], SHOWN = 20;
const messageFilters = {queue: byId("messages-queue"), type: byId("messages-type")};
const selected = new Set();
let shownState = "delayed", shown = [], cursors = [""], askedMessages = 0, lastWaiting = null, openMessage = null;

const messageQuery = () => Object.entries(messageFilters).map(([name, field]) => [name, field.value.trim()]).filter(([, value]) => value);

function fillSelect(cell, message) {
  if (!cell.firstChild) {
    const box = el("input", {type: "checkbox"});
    box.addEventListener("change", () => choose(cell.parentNode.item.id, box.checked));
    cell.append(box);
  }
  cell.firstChild.checked = selected.has(message.id);
  cell.firstChild.disabled = message.state === "running";
  setAttribute(cell.firstChild, "aria-label", `Select ${message.id}`);
}

function fillMessage(cell, message) {
  if (!cell.firstChild) {
    const button = actionButton(cell, "", (item) => showMessage(item.id));
    button.className = "open";
    button.append(el("span", {class: "name"}), el("small", {class: "mono muted"}));
  }
  const [type, id] = cell.firstChild.children;
  setText(type, message.type || "(no type)");
  setText(id, message.id);
  setAttribute(cell.firstChild, "aria-label", `Show ${message.type || "message"} ${message.id}`);
}

function choose(id, is) {
  if (is) selected.add(id);
  else selected.delete(id);
  showSelection();
}

const messagesTable = makeTable(byId("messages-table"), {
  label: "Messages",
  key: (message) => message.id,
  empty: () => (messageQuery().length ? "Nothing matches." : `Nothing is ${shownState}.`),
  columns: [
    {name: "select", label: "Select", kind: "action", fill: fillSelect},
    {name: "id", label: "Message", kind: "title", fill: fillMessage},
    {name: "due", label: "Due", kind: "text", text: (message) => upcoming(message.due_ms)},
    {name: "queue", label: "Queue", kind: "text", text: (message) => message.queue},
    figureColumn("attempt", "Attempt"),
    figureColumn("body_bytes", "Bytes"),
    {name: "worker", label: "Worker", kind: "text", text: (message) => message.worker || NOTHING},
  ],
});

function showSelection() {
  const n = selected.size, able = shown.filter((message) => message.state !== "running");
  for (const name of ["now", "later", "cancel"]) byId(`messages-${name}`).disabled = n === 0;
  byId("messages-all").disabled = able.length === 0;
  setText(byId("messages-all"), n > 0 && able.every((message) => selected.has(message.id)) ? "Select none" : "Select these");
  setText(byId("messages-chosen"), n ? `${exactly(n)} selected` : "");
}

function showMessages(answer) {
  shown = answer.messages;
  cursors[1] = answer.after;
  messagesTable.update(shown);
  byId("messages-first").disabled = cursors[0] === "";
  byId("messages-next").disabled = answer.after === "";
  setText(byId("messages-note"), "");
  showSelection();
}

// An answer that a later question has overtaken is dropped.
async function loadMessages(after = "") {
  const turn = ++askedMessages;
  const query = new URLSearchParams([["state", shownState], ["limit", String(SHOWN)], ...messageQuery(), ...(after ? [["after", after]] : [])]);
  try {
    const answer = await fetchJson(`messages?${query}`);
    if (turn !== askedMessages) return;
    cursors = [after, answer.after];
    showMessages(answer);
  } catch (error) {
    if (turn !== askedMessages) return;
    lastWaiting = null;
    if (error.status === 501) showMessages({messages: [], after: ""});
    if (error.status === 501 || error.status === 400) setText(byId("messages-note"), error.status === 501 ? "This broker cannot search its queues." : error.message);
  }
}

// Reads the first page again when the broker's numbers have changed; with a type, which may take long, only when asked to.
function noteWaiting(status) {
  setOptions(messageFilters.queue, status.queues.map((queue) => queue.name));
  setOptions(messageFilters.type, [...new Set([...status.worker.handlers.map((handler) => handler.type), ...typesSeen])].sort());
  const now = JSON.stringify(status.queues.map(({ready, delayed, in_flight}) => [ready, delayed, in_flight]));
  if (now !== lastWaiting && !messageFilters.type.value && cursors[0] === "" && !document.hidden) loadMessages();
  lastWaiting = now;
}

function showTab(state) {
  shownState = state;
  for (const button of byId("messages-states").children) setAttribute(button, "aria-pressed", String(button.dataset.state === state));
  selected.clear();
  loadMessages();
}

// ---- one message ----

function messageParts(message) {
  const rows = [["Id", message.id, "mono"], ["State", message.state], ["Queue", message.queue], ["Sent", moment(message.sent_ms)], ["Due", upcoming(message.due_ms)]];
  if (message.expires_ms) rows.push(["Expires", upcoming(message.expires_ms)]);
  if (message.state === "running") rows.push(["Worker", message.worker || NOTHING], ["Since", moment(message.since_ms)]);
  rows.push(["Attempt", String(message.attempt)]);
  return [facts(rows), ...failuresOf(message), ...headers(message), ...bodyOf(message)];
}

async function showMessage(id) {
  let found;
  try {
    found = await fetchJson(`messages/${encodeURIComponent(id)}`);
  } catch (error) {
    return toast(error.status === 404 ? `${id} has ended.` : error.message, "error");
  }
  openMessage = found[0];
  const waits = found.some(({state}) => state === "delayed" || state === "ready");
  for (const name of ["now", "later", "cancel"]) byId(`message-${name}`).disabled = !waits;
  setText(byId("message-title"), openMessage.type || "Message without a type");
  const copies = found.length > 1 ? [el("p", {class: "muted"}, `${found.length} copies have this id; what you do is done to all of them.`)] : [];
  byId("message-text").replaceChildren(...copies, ...found.flatMap(messageParts));
  byId("message").showModal();
  byId("message-text").scrollTop = 0;
  byId("message-text").focus();
}

// ---- acting ----

const several = (ids) => (ids.length === 1 ? ids[0] : `${exactly(ids.length)} messages`);

// "3 cancelled, 1 running": what the console says became of them.
function tally(answers) {
  const numbers = new Map();
  for (const {result} of answers) numbers.set(result, (numbers.get(result) || 0) + 1);
  return [...numbers].map(([result, n]) => `${exactly(n)} ${result}`).join(", ");
}

async function changeMessages(path, ids, more = {}) {
  const answers = await act(path, {ids, ...more});
  if (!answers) return;
  byId("message").close();
  selected.clear();
  toast(`${tally(answers)}.`, answers.every(({result}) => result === "cancelled" || result === "rescheduled") ? "note" : "error");
  byId("messages-title").focus({preventScroll: true});
  await loadMessages();
  pollNow();
}

const deeds = {
  now: async (ids) => {
    if (await confirmed("Run now?", `${several(ids)}: due at once instead of later.`, "Run now", "primary")) await changeMessages("messages/reschedule", ids, {delay: "0s"});
  },
  later: async (ids) => {
    byId("when-delay").value = "";
    if (await ask(byId("when")) === "yes") await changeMessages("messages/reschedule", ids, {delay: byId("when-delay").value.trim()});
  },
  cancel: async (ids) => {
    if (await confirmed("Cancel?", `${several(ids)}: deleted for good, without a run. Nothing can bring it back.`, "Cancel for good", "danger")) await changeMessages("messages/cancel", ids);
  },
};

for (const [name, run] of Object.entries(deeds)) {
  byId(`messages-${name}`).addEventListener("click", () => run([...selected]));
  byId(`message-${name}`).addEventListener("click", () => run([openMessage.id]));
}
for (const state of STATES) {
  const button = el("button", {type: "button", "data-state": state, "aria-pressed": String(state === shownState)}, state[0].toUpperCase() + state.slice(1));
  button.addEventListener("click", () => showTab(state));
  byId("messages-states").append(button);
}
setOptions(messageFilters.queue, []);
setOptions(messageFilters.type, []);
byId("messages-filter").addEventListener("input", () => { selected.clear(); loadMessages(); });
byId("messages-filter").addEventListener("submit", (event) => event.preventDefault());
byId("messages-first").addEventListener("click", () => loadMessages());
byId("messages-next").addEventListener("click", () => loadMessages(cursors[1]));
byId("messages-refresh").addEventListener("click", () => loadMessages(cursors[0]));
byId("messages-all").addEventListener("click", () => {
  const able = shown.filter((message) => message.state !== "running"), all = able.every((message) => selected.has(message.id));
  for (const {id} of able) if (all) selected.delete(id); else selected.add(id);
  messagesTable.update(shown);
  showSelection();
});
byId("message-close").addEventListener("click", () => byId("message").close());
byId("when-cancel").addEventListener("click", () => byId("when").close());
showSelection();
