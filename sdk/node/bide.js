// Handlers and producers for bide, the framework for messages that run later or again. See README.md; types are in bide.d.ts.
// Node 18 and newer, no dependencies. The protocol stands in docs/program-protocol.md.
import {AsyncLocalStorage} from 'node:async_hooks';
import {randomUUID} from 'node:crypto';
import {request as httpRequest} from 'node:http';
import {request as httpsRequest} from 'node:https';
import {Socket} from 'node:net';

export const version = '0.1.0';
const TRACE_CHARACTERS = 4096;
const CONCURRENCY = 1000; // the most that a process takes at once unless serve() says less; the configuration decides

// Thrown by a handler: the message is hopeless and becomes a dead letter with this text.
export class Dead extends Error {}

// Thrown by a handler: run it again later. after: seconds, or a duration such as "1.5s"; without it the policy decides.
// limit: it was too much (429) for this limit of the handler, '' for all: its key waits so long, and the attempt is spared.
export class Retry extends Error {
  constructor(text, {after, limit} = {}) {
    super(text || 'the handler asks for a retry');
    this.afterMs = after === undefined ? undefined : milliseconds(after);
    this.limit = limit;
  }
}

// Client: the message was refused, or nobody confirmed it. confirmed: the ids that were (sendMany). status: of HTTP, such as 409 (a
// transaction has been decided otherwise) or 404; 0 where there was no answer.
export class SendError extends Error {
  constructor(text, confirmed = [], status = 0) {
    super(text);
    this.confirmed = confirmed;
    this.status = status;
  }
}

// What the handler of a `check` returns (docs/transactions.md): it has committed, or it has not and never will. Anything else: not known yet.
export const COMMIT = Symbol('commit'), ABORT = Symbol('abort');

export function milliseconds(value) {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new TypeError(`${value} is not a duration`);
  if (typeof value === 'number') return Math.max(0, Math.round(value * 1000));
  const units = {ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000};
  const parts = [...String(value).matchAll(/(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|d)/g)];
  if (!parts.length || parts.map(([text]) => text).join('') !== value) throw new TypeError(`'${value}' is not a duration: write for example 250ms, 1.5s, 10m or 1h30m`);
  return Math.round(parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit], 0));
}

// A message as one object of `bide send --lines`.
function envelope(type, body, {id, queue, topic, delay, at, expires, headers, contentType, unique, uniqueFor, onConflict, maxWait} = {}) {
  if (delay !== undefined && at !== undefined) throw new TypeError('delay and at: give one of them');
  const row = {type};
  if (body instanceof Uint8Array) row.body_base64 = Buffer.from(body).toString('base64');
  else if (body !== undefined) row.body = body;
  if (id !== undefined) row.id = id;
  if (queue !== undefined) row.queue = queue;
  if (topic !== undefined) row.topic = topic;
  if (delay !== undefined) row.delay = `${milliseconds(delay)}ms`;
  if (at !== undefined) row.at = at instanceof Date ? at.toISOString() : at;
  if (expires !== undefined) row.expires = `${milliseconds(expires)}ms`;
  if (headers !== undefined) row.headers = headers;
  if (contentType !== undefined) row.content_type = contentType;
  if (unique !== undefined) row.unique = unique;
  if (uniqueFor !== undefined) row.unique_for = `${milliseconds(uniqueFor)}ms`;
  if (onConflict !== undefined) row.on_conflict = onConflict;
  if (maxWait !== undefined) row.max_wait = `${milliseconds(maxWait)}ms`;
  return row;
}

// What a handler gets.
export class Message {
  #abort = new AbortController();
  #deadline;
  #run;

  constructor(row, run) {
    this.#run = run;
    this.id = row.id;
    this.type = row.type;
    this.queue = row.queue ?? '';
    this.attempt = row.attempt ?? 1;
    this.attempts = row.attempts ?? 1;
    this.dueMs = row.due_ms ?? 0;
    this.sentMs = row.sent_ms ?? 0;
    this.headers = row.headers ?? {};
    this.contentType = row.content_type ?? '';
    this.body = row.body !== undefined ? Buffer.from(row.body) : Buffer.from(row.body_base64 ?? '', 'base64');
    this.#deadline = row.timeout_ms === undefined ? Infinity : Date.now() + row.timeout_ms;
  }

  get transaction() { return this.headers['bide-transaction']; } // of a message that asks what became of one: its id
  get text() { return this.body.toString(); }
  json() { return JSON.parse(this.text); }
  get lastAttempt() { return this.attempt >= this.attempts; } // a retry now makes a dead letter
  get signal() { return this.#abort.signal; } // aborted when the timeout has passed, or the worker must leave: for fetch and its like
  get cancelled() { return this.signal.aborted; }
  get remainingMs() { return Math.max(0, this.#deadline - Date.now()); }
  // A message that is sent if, and only if, the run of this one ends well.
  send(type, body, options) { this.#run.write({run: this.#run.number, send: envelope(type, body, options)}); }
  // A line in bide's log that carries this message's id.
  log(level, text, fields = {}) { this.#run.write({run: this.#run.number, log: level, text, fields}); }
  cancel() { this.#abort.abort(new Retry('cancelled')); }
}

const handlers = new Map();
const batchTypes = new Set(); // those of handlers that take batches
const current = new AsyncLocalStorage();

export function handler(type, run) {
  if (typeof run !== 'function') throw new TypeError('handler(type, function)');
  if (handlers.has(type)) throw new Error(`two handlers for the type '${type}'`);
  handlers.set(type, run);
  return run;
}

// Registers a function that gets a list of messages in one call (docs/batches.md; `batch` of the configuration says how many). It returns
// nothing, all are done, or a list with an entry for each message, in order: an Error (new Dead('…'), new Retry('…'), any other) is its
// failure, anything else its result. What it throws holds for all of them.
export function batchHandler(type, run) {
  handler(type, run);
  batchTypes.add(type);
  return run;
}

function write(line) {
  const run = current.getStore();
  if (!run) throw new Error('this works inside a handler only (of batches: message.send, message.log); elsewhere send with Client');
  run.write({run: run.number, ...line});
}

// ---- the outbox: docs/outbox.md ----

const NOW_MS = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)";
// As `bide schema sqlite` prints it.
const OUTBOX = `CREATE TABLE IF NOT EXISTS bide_outbox (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL DEFAULT (lower(hex(randomblob(16)))),
  type TEXT NOT NULL,
  queue TEXT,
  body BLOB,
  content_type TEXT,
  headers TEXT,
  due_ms INTEGER,
  expires_ms INTEGER,
  sent_ms INTEGER NOT NULL DEFAULT (${NOW_MS}),
  refused TEXT
)`;

// Inserts a message into the table bide_outbox of an open database (node:sqlite or better-sqlite3), in its transaction: it is sent
// if, and only if, that commits. The table is in the connection's main database, whatever else is attached to it.
// `bide relay --from outbox+sqlite:FILE` carries it to the broker. Returns the message's id.
export function outboxSend(db, type, body, {id = randomUUID(), delay, queue, headers} = {}) {
  if (!type) throw new TypeError('outboxSend: a message needs a type');
  const bytes = body === undefined ? null : body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body));
  if (!db.prepare("SELECT 1 FROM main.sqlite_master WHERE name = 'bide_outbox'").get()) db.exec(OUTBOX);
  db.prepare('INSERT INTO main.bide_outbox (id, type, queue, body, headers, due_ms, sent_ms) ' +
    `SELECT ?, ?, ?, ?, ?, now + ?, now FROM (SELECT ${NOW_MS} AS now)`)
    .run(id, type, queue ?? null, bytes, headers ? JSON.stringify(headers) : null, delay === undefined ? null : milliseconds(delay));
  return id;
}

// Inside a handler: a message that is sent if, and only if, this run ends well.
export const send = (type, body, options) => write({send: envelope(type, body, options)});
// Inside a handler: a line in bide's log that carries the message's id. Levels: debug, info, warn, error.
export const log = (level, text, fields = {}) => write({log: level, text, fields});
// Inside a handler: how far this run is.
export const progress = (done, total) => write({progress: [done, total]});

// Does `work` (not async) in a transaction of a SQLite database in which the message's id is written, so that it takes effect
// exactly once. db: of node:sqlite or better-sqlite3. Returns whether it was done now; false: it had been done before.
export function onceSqlite(db, message, work) {
  if (!message.id) throw new TypeError('onceSqlite: the message has no id, so it cannot be told from others');
  db.exec('BEGIN IMMEDIATE');
  try {
    db.exec('CREATE TABLE IF NOT EXISTS bide_once (type TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, ' +
      'PRIMARY KEY (type, id)) WITHOUT ROWID');
    const insert = db.prepare("INSERT INTO bide_once VALUES (?, ?, strftime('%s', 'now')) ON CONFLICT DO NOTHING");
    const effect = message.queue?.includes('@') ? `${message.type}@${message.queue}` : message.type; // of each subscription its own
    const isNew = Number(insert.run(effect, message.id).changes) === 1;
    if (isNew && work() instanceof Promise) throw new TypeError('onceSqlite: the work must not be async');
    db.exec('COMMIT');
    return isNew;
  } catch (error) {
    try { db.exec('ROLLBACK'); } catch { /* it has been rolled back already */ }
    throw error;
  }
}

// JSON.stringify writes half a surrogate pair as an escape, which is no text in UTF-8.
const wellFormed = (json) => !json.includes('\\u') ? json : json.replace(/(?<!\\)((?:\\\\)*)\\u[dD][89a-fA-F][0-9a-fA-F]{2}/g, '$1\ufffd');

const encode = (line) => wellFormed(JSON.stringify(line)) + '\n';

function failure(error) {
  if (error instanceof Dead) return {dead: error.message || 'rejected by the handler'};
  if (error instanceof Retry) return {retry: error.message, after_ms: error.afterMs, limit: error.limit}; // undefined is left out
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {retry: text, trace: String(error?.stack ?? text).slice(-TRACE_CHARACTERS)};
}

const done = (result) => result === COMMIT || result === ABORT ? {done: {transaction: result.description}}
  : result === undefined ? {done: {}} : {done: {result}};

// What a batch handler does, as an answer for each message.
async function batchOutcomes(run, messages) {
  try {
    if (!run) throw new Dead(`this program has no handler for the type ${messages[0].type}`);
    const results = await run(messages) ?? messages.map(() => undefined);
    if (!Array.isArray(results) || results.length !== messages.length) {
      throw new TypeError(`a batch handler returns nothing or a list with an entry for each of its ${messages.length} messages`);
    }
    return Array.from(results, (result) => result instanceof Error ? failure(result) : done(result ?? undefined)); // holes, too
  } catch (error) {
    return messages.map(() => failure(error));
  }
}

async function outcome(run, message) {
  try {
    if (!run) throw new Dead(`this program has no handler for the type ${message.type}`);
    return done(await run(message));
  } catch (error) {
    return failure(error);
  }
}

// Runs handlers until bide says that this process may leave. concurrency: the most runs at once in this process; the configuration
// may say less.
export function serve({concurrency = CONCURRENCY} = {}) {
  const fd = Number(process.env.BIDE_FD);
  if (!fd) {
    console.error(`this program is started by bide: try  bide dev -- node ${process.argv[1] ?? 'tasks.js'}`);
    process.exit(64);
  }
  const channel = new Socket({fd, readable: true, writable: true});
  const running = new Map();
  let rest = '', leaving = false, out = '';
  // What one round of the event loop writes goes out in one call.
  const writeLine = (line) => {
    if (!out) setImmediate(flush);
    out += encode(line);
  };
  const flush = () => {
    if (out) channel.write(out);
    out = '';
    if (leaving && running.size === 0) channel.end(() => process.exit(0));
  };
  let batch = [], batchSize = 0; // the runs of a batch so far
  const end = ({line}, answer) => {
    running.delete(line.run);
    try {
      writeLine({run: line.run, ...answer});
    } catch (error) { // a circle, a BigInt
      writeLine({run: line.run, retry: `the result cannot be written as JSON: ${error.message}`});
    }
  };
  const beginBatch = async (runs) => {
    const answers = await current.run(undefined, batchOutcomes, handlers.get(runs[0].line.type), runs.map(({message}) => message));
    runs.forEach((run, at) => end(run, answers[at]));
  };
  const begin = async (line) => {
    const run = {number: line.run, write: writeLine}, message = new Message(line, run);
    running.set(line.run, message);
    batchSize = line.batch ?? batchSize;
    if (batchSize === 0) {
      end({line}, await current.run(run, outcome, handlers.get(line.type), message));
      return;
    }
    batch.push({line, message});
    if (batch.length < batchSize) return;
    const whole = batch;
    batch = [];
    batchSize = 0;
    await beginBatch(whole);
  };
  const take = (line) => {
    if (line.run !== undefined) begin(line);
    else if (line.cancel !== undefined) running.get(line.cancel)?.cancel();
    else if (line.leave) {
      leaving = true;
      setImmediate(flush);
    }
  };
  channel.setEncoding('utf8');
  channel.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line));
  });
  channel.on('end', () => process.exit(0)); // bide has gone; what ran is handed out again
  channel.on('error', () => process.exit(0));
  writeLine({bide: 1, types: [...handlers.keys()].sort(), concurrency, sdk: `node ${version}`,
    batch: batchTypes.size ? [...batchTypes].sort() : undefined});
}

// ---- producing from anywhere: POST /send of a console ----

function errorOf(status, text) {
  for (const line of text.split('\n')) {
    try {
      const found = JSON.parse(line);
      if (found?.error) return String(found.error);
    } catch { /* not that line */ }
  }
  return `HTTP ${status}: ${text.slice(0, 200)}`;
}

// An id, or the line that names the message which has the unique key.
function idOf(line) {
  return line.startsWith('{"line":') ? JSON.parse(line).duplicate ?? line : line;
}

export class Client {
  // url: "http://host:9470", or "unix:/run/bide/send.sock".
  constructor({url = process.env.BIDE_URL ?? 'http://127.0.0.1:9470', token = process.env.BIDE_TOKEN ?? '', timeoutMs = 30000} = {}) {
    const parts = new URL(url);
    this.url = url;
    this.token = token;
    this.timeoutMs = timeoutMs;
    this.request = parts.protocol === 'https:' ? httpsRequest : httpRequest;
    this.place = parts.protocol === 'unix:' ? {socketPath: parts.pathname} : {host: parts.hostname.replace(/^\[|\]$/g, ''), port: parts.port || undefined};
  }

  post(body, kind, method = 'POST', path = '/send') {
    const headers = {'Content-Type': kind, 'Content-Length': Buffer.byteLength(body)};
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    return new Promise((resolve, reject) => {
      const failed = (error) => reject(new SendError(`${this.url}: ${error.message}`));
      const request = this.request({...this.place, method, path, headers, timeout: this.timeoutMs}, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part) => { text += part; }).on('error', failed).on('end', () => resolve({status: answer.statusCode, text}));
      });
      request.on('timeout', () => request.destroy(new Error(`no answer within ${this.timeoutMs} ms`))).on('error', failed).end(body);
    });
  }

  // Resolves to the id once the broker has confirmed the message; where its unique key is taken, to the id of the message that has it.
  async send(type, body, options) {
    const {status, text} = await this.post(encode(envelope(type, body, options)), 'application/json');
    if (status !== 200) throw new SendError(errorOf(status, text));
    return idOf(text.replace(/\n$/, ''));
  }

  // rows: {type, body, …options}; resolves to the ids in order.
  async sendMany(rows) {
    const lines = Array.from(rows, ({type, body, ...options}) => encode(envelope(type, body, options))).join('');
    const {status, text} = await this.post(lines, 'application/x-ndjson');
    const ids = text.split('\n').filter((line) => line).map(idOf);
    if (status !== 200) throw new SendError(errorOf(status, text), ids.filter((line) => !/^\{"(line|error)":/.test(line)));
    return ids;
  }

  async ask(method, path, body = '') {
    const {status, text} = await this.post(body, 'application/x-ndjson', method, path);
    if (status !== 200) throw new SendError(errorOf(status, text), [], status);
    return JSON.parse(text);
  }

  // Prepares a message that commit() sends and abort() drops; resolves to its id (docs/transactions.md). Only then begin your own
  // transaction. If neither comes by the deadline (60 s), the handler of the type `check` is asked, up to `checks` times (15), at this
  // interval (60 s). options: id, the key of your transaction; the others of send.
  async prepare(type, body, {check, checkQueue, deadline, interval, checks, ...options} = {}) {
    const row = {check, check_queue: checkQueue, checks, message: envelope(type, body, options)};
    if (deadline !== undefined) row.deadline = `${milliseconds(deadline)}ms`;
    if (interval !== undefined) row.interval = `${milliseconds(interval)}ms`;
    return (await this.ask('POST', '/transactions', encode(row))).id;
  }

  // Sends a prepared message. Repeating it does no harm; a SendError with status 409: it has been aborted.
  async commit(id) {
    await this.ask('POST', `/transactions/${encodeURIComponent(id)}/commit`);
  }

  // Drops a prepared message. A SendError with status 409: it has been committed.
  async abort(id) {
    await this.ask('POST', `/transactions/${encodeURIComponent(id)}/abort`);
  }

  // What became of it: {state: 'prepared' | 'committing' | 'committed' | 'aborted' | 'unresolved', …}.
  transaction(id) {
    return this.ask('GET', `/transactions/${encodeURIComponent(id)}`);
  }

  // Sends each body, a line of text or JSON, as a member of a stream with an end; resolves to the stream's id. To a queue, or to a topic, of
  // which these subscriptions are waited for.
  async sendStream(type, bodies, {queue, topic, subscriptions = [], name, onEnd, deadline} = {}) {
    const query = {type, queue, topic, for: subscriptions.join(',') || undefined, name, on_end: onEnd, deadline: deadline === undefined ? undefined : `${milliseconds(deadline)}ms`};
    const lines = Array.from(bodies, (body) => {
      const line = typeof body === 'string' ? body : JSON.stringify(body);
      if (line.includes('\n')) throw new TypeError('a member of a stream is one line');
      return wellFormed(line) + '\n';
    }).join('');
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    return (await this.ask('POST', `/streams?${new URLSearchParams(given)}`, lines)).stream;
  }

  // What has become of a stream: {state, queues: [{queue, total, done, dead, dropped, …}], …}.
  stream(id) {
    return this.ask('GET', `/streams/${encodeURIComponent(id)}`);
  }

  // Members that have not begun to run are dropped.
  async cancelStream(id) {
    await this.ask('POST', `/streams/${encodeURIComponent(id)}/cancel`);
  }
}

// ---- testing handlers without bide ----

function testMessage(body, number, fields) {
  const lines = [], run = {number, write: (line) => lines.push(line)};
  const row = {id: number === 1 ? 'test' : `test-${number}`, type: 'test', queue: 'default', attempts: 25, ...fields};
  if (body instanceof Uint8Array) row.body_base64 = Buffer.from(body).toString('base64');
  else row.body = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
  return {message: new Message(row, run), run, lines};
}

function whatItDid(answer, lines) {
  const kind = ['done', 'retry', 'dead'].find((key) => key in answer);
  return {
    outcome: kind,
    result: kind === 'done' && answer.done.result !== undefined ? JSON.parse(JSON.stringify(answer.done.result)) : undefined,
    transaction: kind === 'done' ? answer.done.transaction : undefined,
    error: kind === 'done' ? '' : answer[kind],
    afterMs: answer.after_ms,
    trace: answer.trace ?? '',
    sent: lines.filter((line) => line.send).map((line) => line.send),
    logged: lines.filter((line) => line.log).map((line) => [line.log, line.text]),
  };
}

export const testing = {
  // Runs a handler once, here: {outcome, result, error, afterMs, trace, sent, logged}.
  async run(handle, body, {cancelled = false, ...fields} = {}) {
    const {message, run, lines} = testMessage(body, 1, fields);
    if (cancelled) message.cancel();
    return whatItDid(await current.run(run, outcome, handle, message), lines);
  },
  // Runs a batch handler once, here, with a message for each body; resolves to what became of each.
  async runBatch(handle, bodies, fields = {}) {
    const rows = bodies.map((body, at) => testMessage(body, at + 1, fields));
    const answers = await current.run(undefined, batchOutcomes, handle, rows.map(({message}) => message));
    return rows.map(({lines}, at) => whatItDid(answers[at], lines));
  },
};
