// Dialogs (the browser's own: they hold the focus and close with Esc) and short notes at the bottom.
const TOAST_MS = 5000, TOAST_ERROR_MS = 15000;

// The value of the button that closed it; "" for Esc.
function ask(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), {once: true}));
}

async function confirmed(title, text, button, kind) {
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), button);
  byId("confirm-yes").className = kind;
  return await ask(byId("confirm")) === "yes";
}

// Whether there is a new token now.
async function askToken(text) {
  setText(byId("ask-text"), text);
  byId("ask-token").value = "";
  const answer = await ask(byId("ask"));
  if (answer === "yes") sessionStorage.setItem(TOKEN_KEY, byId("ask-token").value);
  byId("ask-token").value = "";
  showToken();
  return answer === "yes";
}

function showToken() {
  setText(byId("token"), storedToken() ? "Forget token" : "Enter token");
}

byId("ask-cancel").addEventListener("click", () => byId("ask").close());

byId("token").addEventListener("click", () => {
  if (!storedToken()) return askToken("What changes something needs it: retry, cancel, pause, quiet and the like.");
  sessionStorage.removeItem(TOKEN_KEY);
  showToken();
  toast("The token is forgotten.");
});

function toast(text, kind = "note") {
  const close = el("button", {type: "button", "aria-label": "Dismiss"}, "×");
  const note = el("div", {class: "toast", "data-kind": kind}, el("p", {}, text), close);
  close.addEventListener("click", () => note.remove());
  byId("toasts").append(note);
  setTimeout(() => note.remove(), kind === "error" ? TOAST_ERROR_MS : TOAST_MS);
}

showToken();
