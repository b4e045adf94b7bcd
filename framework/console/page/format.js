// Figures and times as people read them; "–" is what nobody can tell.
const NOTHING = "–";
const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const grouped = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", {notation: "compact", maximumSignificantDigits: 4});

const known = (value) => value !== null && value !== undefined;
const exactly = (n) => (known(n) ? grouped.format(n) : NOTHING);

function count(n) {
  return known(n) && n >= 1e7 ? short.format(n) : exactly(n);
}

// A rate or a measured time: three digits that count.
function digits(n) {
  if (n >= 1000 || Number.isInteger(n)) return grouped.format(Math.round(n));
  return n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n >= 0.01 ? n.toFixed(2) : "<0.01";
}

function milliseconds(ms) {
  if (!known(ms)) return NOTHING;
  if (ms < SECOND) return `${digits(ms)} ms`;
  return ms < MINUTE ? `${digits(ms / SECOND)} s` : span(ms);
}

const UNITS = [[DAY, "d"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"]];

// "3 h": the largest unit, whole.
function roughly(ms) {
  const [size, name] = UNITS.find(([unit]) => ms >= unit) || UNITS[UNITS.length - 1];
  return `${Math.floor(ms / size)} ${name}`;
}

// "3 h 12 min": the two largest units.
function span(ms) {
  const at = UNITS.findIndex(([size]) => ms >= size), next = UNITS[at + 1];
  const rest = at >= 0 && next ? ms % UNITS[at][0] : 0;
  return rest && rest >= next[0] ? `${roughly(ms)} ${Math.floor(rest / next[0])} ${next[1]}` : roughly(ms);
}

const ago = (ms) => (known(ms) && ms > 0 ? `${roughly(Math.max(0, Date.now() - ms))} ago` : NOTHING);

function percent(part, whole) {
  if (!whole) return NOTHING;
  const value = (100 * part) / whole;
  if (value === 0) return "0 %";
  return value < 0.1 ? "<0.1 %" : `${value.toFixed(value < 10 ? 1 : 0)} %`;
}

const pad = (n) => String(n).padStart(2, "0");
const clock = (ms) => { const d = new Date(ms); return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`; };

// Local time with its distance from UTC, so that it can be held against a log.
function instant(ms) {
  if (!known(ms) || ms <= 0) return NOTHING;
  const d = new Date(ms), east = -d.getTimezoneOffset(), far = Math.abs(east);
  const zone = east === 0 ? "UTC" : `UTC${east < 0 ? "−" : "+"}${pad(Math.floor(far / 60))}:${pad(far % 60)}`;
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${clock(ms)} ${zone}`;
}

// JSON with line breaks and indents, every number and name as it was written; null where it is no JSON. A body comes from
// anywhere: the text ends soon behind what is shown, and indents stop growing.
const PRETTY_CHARACTERS = 250000, PRETTY_DEPTH = 40;

function prettyJson(text) {
  try { JSON.parse(text); } catch { return null; }
  const parts = [];
  let depth = 0, size = 0;
  const newLine = () => "\n" + "  ".repeat(Math.min(depth, PRETTY_DEPTH));
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{[]\s*[}\]]|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    let part = token;
    if (token === "{" || token === "[") { depth++; part = token + newLine(); }
    else if (token === "}" || token === "]") { depth--; part = newLine() + token; }
    else if (token === ",") part = "," + newLine();
    else if (token === ":") part = ": ";
    else if (token[0] === "{" || token[0] === "[") part = token.replace(/\s/g, "");
    parts.push(part);
    size += part.length;
    if (size > PRETTY_CHARACTERS) break;
  }
  return parts.join("");
}

// As one word of a POSIX shell; null for what cannot be pasted safely (control characters end lines).
function shellWord(text) {
  if (/[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/.test(text)) return null;
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
