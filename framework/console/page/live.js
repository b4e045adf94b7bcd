// Asks every two seconds. When no answer comes, the figures stay, marked as what they are: old.
const POLL_MS = 2000;
let lastGood = null, lastBroker = null, timer = 0, polling = false, wanted = false;

// Without the broker the worker's own figures go on, and those of the queues stay as they were.
function showAll(status, history) {
  pausedNames = status.worker.paused;
  if (!status.broker_error) {
    lastBroker = Date.now();
    showTotals(status);
    showQueues(status);
    showBroker(status);
    noteDead(status);
    noteWaiting(status);
  }
  showHandlers(status);
  showWorker(status);
  drawSparks(showHistory(history));
}

// since: when the figures were good for the last time; null: never.
function showNotice(title, reason, since) {
  setText(byId("lost-title"), title);
  setText(byId("lost-text"), (reason ? `${reason.replace(/\.$/, "")}. ` : "") + (since ? `The figures are from ${clock(since)}` : "No figures yet."));
  setText(byId("lost-ago"), since ? `(${span(Date.now() - since)} ago).` : "");
  byId("lost").hidden = false;
}

function showLink(state, text) {
  setAttribute(byId("link"), "data-state", state);
  setText(byId("link-text"), text);
  document.body.classList.toggle("is-stale", state === "lost");
}

function connected(brokerError) {
  lastGood = Date.now();
  showLink("live", "Live");
  document.body.classList.toggle("is-brokerless", Boolean(brokerError));
  if (brokerError) showNotice("The broker does not answer.", brokerError, lastBroker);
  else byId("lost").hidden = true;
}

function lost(error) {
  const silent = error.status === 0;
  showNotice(silent ? "Connection lost." : "The console cannot answer.", silent ? "" : error.message, lastGood);
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
    await showSchedules(status);
    await showLimits(status);
    connected(status.broker_error);
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
