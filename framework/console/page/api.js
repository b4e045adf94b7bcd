// The console's HTTP API. The token lives in this tab's session alone, never in an address.
const TOKEN_KEY = "bide-token", PATIENCE_MS = 8000;
const storedToken = () => sessionStorage.getItem(TOKEN_KEY) || "";

class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status; // 0: no answer at all
  }
}

async function request(method, path, body) {
  const headers = {Accept: "application/json"};
  if (storedToken()) headers.Authorization = `Bearer ${storedToken()}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = {method, headers, body: body && JSON.stringify(body), cache: "no-store", credentials: "omit", redirect: "error"};
  try {
    const answer = await fetch(path, {...options, signal: AbortSignal.timeout(PATIENCE_MS)});
    return {ok: answer.ok, status: answer.status, text: await answer.text()};
  } catch {
    throw new ApiError(0, "No answer.");
  }
}

function parsed(text) {
  try { return JSON.parse(text); } catch { return null; }
}

// The answer's JSON, or an ApiError with what the console says about it.
async function call(method, path, body) {
  const {ok, status, text} = await request(method, path, body);
  const value = parsed(text);
  if (!ok) throw new ApiError(status, (value && value.error) || `The console answered ${status}.`);
  if (value === null) throw new ApiError(status, "The console's answer is no JSON.");
  return value;
}

const fetchJson = (path) => call("GET", path);

// An action. Asks for the token where one is wanted; null when it was not done, which has been said.
async function act(path, body) {
  for (;;) {
    try {
      return await call("POST", path, body);
    } catch (error) {
      if (error.status === 401 && await askToken(storedToken() ? "The console did not accept this token." : "Actions need the console's token.")) continue;
      if (error.status !== 401) toast(error.message, "error");
      return null;
    }
  }
}
