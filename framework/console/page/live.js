// Asks every two seconds. When no answer comes, the figures stay, marked as what they are: old.
const POLL_MS = 2000;
let lastGood = null, timer = 0, polling = false, wanted = false;

function showAll(status, history) {
  showTotals(status);
  showQueues(status);
  showHandlers(status);
  showWorker(status);
  noteDead(status);
  drawSparks(showHistory(history));
}

function showLink(state, text) {
  setAttribute(byId("link"), "data-state", state);
  setText(byId("link-text"), text);
  document.body.classList.toggle("is-stale", state === "lost");
}

function connected() {
  lastGood = Date.now();
  byId("lost").hidden = true;
  showLink("live", "Live");
}

function lost(error) {
  const title = error.status === 0 ? "Connection lost." : "The console cannot answer.";
  const reason = error.status === 0 ? "" : `${error.message.replace(/\.$/, "")}. `;
  setText(byId("lost-title"), title);
  setText(byId("lost-text"), reason + (lastGood ? `The figures are from ${clock(lastGood)}.` : "No figures yet."));
  setText(byId("lost-ago"), lastGood ? `${span(Date.now() - lastGood)} ago` : "");
  byId("lost").hidden = false;
  showLink("lost", lastGood ? `Lost ${clock(lastGood)}` : "No connection");
  document.title = "(no connection) bide";
}

// Asks once for each token that is refused: who cancels is left alone until "Try now".
let declined = null;

async function locked() {
  const token = storedToken();
  showLink("lost", "Locked");
  if (declined === token || document.querySelector("dialog[open]")) return false;
  declined = token;
  return askToken(token ? "The console did not accept this token." : "This console shows nothing without its token.");
}

async function poll() {
  try {
    const [status, history] = await Promise.all([fetchJson("status"), fetchJson("history")]);
    showAll(status, history);
    connected();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    lost(error);
    if (error.status === 401) wanted = await locked() || wanted;
  }
}

async function pollNow() {
  if (polling) return void (wanted = true);
  clearTimeout(timer);
  polling = true;
  try {
    do { wanted = false; await poll(); } while (wanted);
  } finally {
    polling = false;
    timer = setTimeout(pollNow, POLL_MS);
  }
}

byId("lost-retry").addEventListener("click", () => { declined = null; pollNow(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) pollNow(); });
pollNow();
