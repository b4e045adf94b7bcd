// One dead letter: what it is, what went wrong, its body; retry and drop.
const SHOWN_CHARACTERS = 200000;
let openLetter = null;

function facts(rows) {
  const list = el("dl", {class: "facts"});
  for (const [name, value, kind] of rows) list.append(el("dt", {}, name), el("dd", {class: kind || null}, value));
  return list;
}

const moment = (ms) => (known(ms) && ms > 0 ? `${instant(ms)} (${ago(ms)})` : NOTHING);
const upcoming = (ms) => (known(ms) && ms > Date.now() ? instant(ms) : moment(ms));

// Each run that failed, when, and how it said so; of the last one all that it said.
function failuresOf(letter) {
  const failures = letter.failures || [];
  if (failures.length < 2) return letter.error ? [el("pre", {class: "error"}, letter.error)] : [];
  const last = failures.length - 1;
  return failures.flatMap(({attempt, at_ms, error}, i) => [el("span", {class: "failure"}, `Run ${attempt} · ${instant(at_ms)}`),
    el("pre", {class: "error"}, (i === last && letter.error) || error || NOTHING)]);
}

// sent -> due -> died, with how many runs there were and how each failed.
function story(letter) {
  const runs = letter.attempts === 1 ? "1 run" : `${letter.attempts} runs`;
  const step = (name, text, ...more) => el("li", {}, el("b", {}, name), el("span", {}, text), ...more);
  return el("ol", {class: "story"}, step("Sent", moment(letter.sent_ms)), step("Last due", upcoming(letter.due_ms)),
    step("Died", `${moment(letter.died_ms)} · ${letter.reason} after ${runs}`, ...failuresOf(letter)));
}

function headers(letter) {
  const rows = Object.entries(letter.headers || {});
  return rows.length ? [el("h3", {}, "Headers"), facts(rows.map(([name, value]) => [name, value, "mono"]))] : [];
}

// The ways to read this body, the best one first.
function viewsOf(letter) {
  if (known(letter.body_base64)) return [["Base64", letter.body_base64]];
  const pretty = prettyJson(letter.body), views = [["Text", letter.body]];
  return pretty === null ? views : [["JSON", pretty], ...views];
}

function byteCount(letter) {
  if (!known(letter.body_base64)) return new TextEncoder().encode(letter.body).length;
  return (letter.body_base64.length / 4) * 3 - (letter.body_base64.match(/=*$/)[0].length);
}

function bodyOf(letter) {
  const views = viewsOf(letter), text = el("pre", {class: "body", tabindex: "0", "aria-label": "Body"}), cut = el("p", {class: "muted"});
  const choice = el("div", {class: "choice", role: "group", "aria-label": "Show the body as"});
  const show = (name, content) => {
    setText(text, content.slice(0, SHOWN_CHARACTERS));
    setText(cut, content.length > SHOWN_CHARACTERS ? `The first ${exactly(SHOWN_CHARACTERS)} of ${exactly(content.length)} characters; bide show ID has all.` : "");
    for (const button of choice.children) setAttribute(button, "aria-pressed", String(button.textContent === name));
  };
  for (const [name, content] of views) {
    const button = el("button", {type: "button"}, name);
    button.addEventListener("click", () => show(name, content));
    choice.append(button);
  }
  show(...views[0]);
  const size = `${exactly(byteCount(letter))} bytes${letter.content_type ? `, ${letter.content_type}` : ""}`;
  return [el("div", {class: "body-head"}, el("h3", {}, "Body"), el("span", {class: "muted"}, size), choice), text, cut];
}

function letterParts(letter) {
  const rows = [["Id", letter.id, "mono"], ["Type", letter.type || NOTHING], ["Queue", letter.queue]];
  if (letter.expires_ms) rows.push(["Expires", upcoming(letter.expires_ms)]);
  return [facts(rows), story(letter), ...headers(letter), ...bodyOf(letter)];
}

async function showLetter(id) {
  let found;
  try {
    found = [await fetchJson(`dead/${encodeURIComponent(id)}`)].flat();
  } catch (error) {
    return toast(error.status === 404 ? `${id} is no dead letter any more.` : error.message, "error");
  }
  openLetter = found[0];
  setText(byId("letter-title"), openLetter.type || "Message without a type");
  const copies = found.length > 1 ? [el("p", {class: "muted"}, `${found.length} copies have this id; retry and drop act on all of them.`)] : [];
  byId("letter-text").replaceChildren(...copies, ...found.flatMap(letterParts));
  byId("letter").showModal();
  byId("letter-text").scrollTop = 0;
  byId("letter-text").focus();
}

const actions = {
  retry: {title: "Retry this message?", button: "Retry", kind: "primary", said: "is queued again",
    text: ({id, type, queue}) => `${type || "The message"} (${id}) goes back to ${queue || "its queue"} as if it had just been sent: attempt 1, now.`},
  drop: {title: "Drop this message?", button: "Drop for good", kind: "danger", said: "is dropped",
    text: ({id, type}) => `${type || "The message"} (${id}) is deleted for good. Nothing can bring it back.`},
};

// Asks, acts, and leaves the focus somewhere sensible: the row it was on will go.
async function settleLetter(letter, name) {
  const action = actions[name];
  if (!await confirmed(action.title, action.text(letter), action.button, action.kind)) return;
  const answer = await act(`dead/${encodeURIComponent(letter.id)}/${name}`);
  if (!answer) return;
  byId("letter").close();
  toast(`${letter.id} ${action.said}.`);
  byId("dead-title").focus({preventScroll: true});
  await loadDead();
  pollNow();
}

byId("letter-close").addEventListener("click", () => byId("letter").close());
byId("letter-retry").addEventListener("click", () => settleLetter(openLetter, "retry"));
byId("letter-drop").addEventListener("click", () => settleLetter(openLetter, "drop"));
