export const version: string;

/** "250ms", "1.5s", "10m", "1h30m", or a number of seconds. */
export type Duration = string | number;
export type Json = null | boolean | number | string | Json[] | {[key: string]: Json};
export type Body = Json | Uint8Array | undefined;

export interface SendOptions {
  id?: string;
  queue?: string;
  /** Instead of a queue: each subscription of the topic gets a copy. */
  topic?: string;
  /** Run it after so long. */
  delay?: Duration;
  /** Run it at an instant; not together with delay. */
  at?: Date | string;
  /** Drop it if it has not begun to run so long after it was due. */
  expires?: Duration;
  headers?: Record<string, string>;
  contentType?: string;
  unique?: string;
  uniqueFor?: Duration;
  onConflict?: "skip" | "replace" | "extend";
  maxWait?: Duration;
}

/** Thrown by a handler: the message is hopeless and becomes a dead letter with this text. */
export class Dead extends Error {}

/** Thrown by a handler: run it again later, after so long or by the handler's policy. */
export class Retry extends Error {
  constructor(text?: string, options?: {after?: Duration; limit?: string});
  readonly afterMs?: number;
  readonly limit?: string;
}

/** The message was refused, or nobody confirmed it. */
export class SendError extends Error {
  readonly confirmed: string[];
  /** Of HTTP, such as 409 (a transaction has been decided otherwise) or 404; 0 where there was no answer. */
  readonly status: number;
}

/** What the handler of a `check` returns (docs/transactions.md): it has committed, or it has not and never will. Anything else: not
 * known yet. */
export const COMMIT: unique symbol;
export const ABORT: unique symbol;

export class Message {
  readonly id: string;
  readonly type: string;
  readonly queue: string;
  /** 1 for the first run. */
  readonly attempt: number;
  /** The most runs it gets. */
  readonly attempts: number;
  readonly dueMs: number;
  readonly sentMs: number;
  readonly headers: Record<string, string>;
  readonly contentType: string;
  readonly body: Buffer;
  readonly text: string;
  /** Of a message that asks what became of a transaction: its id. */
  readonly transaction: string | undefined;
  json(): any;
  /** A retry now makes a dead letter. */
  readonly lastAttempt: boolean;
  /** Aborted when the timeout has passed, or the worker must leave. */
  readonly signal: AbortSignal;
  readonly cancelled: boolean;
  readonly remainingMs: number;
  /** A message that is sent if, and only if, the run of this one ends well. */
  send(type: string, body?: Body, options?: SendOptions): void;
  /** A line in bide's log that carries this message's id. */
  log(level: 'debug' | 'info' | 'warn' | 'error', text: string, fields?: Record<string, Json>): void;
}

export type Handler = (message: Message) => unknown | Promise<unknown>;
/** Returns nothing, all are done, or a list with an entry for each message, in order: an Error is its failure, anything else its result.
 * What it throws holds for all of them. */
export type BatchHandler = (messages: Message[]) => unknown[] | void | Promise<unknown[] | void>;

/** Registers the handler of a message type. */
export function handler(type: string, run: Handler): Handler;
/** Registers a handler that gets many messages in one call (`batch` of the configuration says how many). */
export function batchHandler(type: string, run: BatchHandler): BatchHandler;
/** Inside a handler (of batches: message.send): a message that is sent if, and only if, this run ends well. */
export function send(type: string, body?: Body, options?: SendOptions): void;
/** Inside a handler (of batches: message.log): a line in bide's log that carries the message's id. */
export function log(level: 'debug' | 'info' | 'warn' | 'error', text: string, fields?: Record<string, Json>): void;
/** Inside a handler: how far this run is. */
export function progress(done: number, total: number): void;
/** Does `work` (not async) in a transaction of node:sqlite or better-sqlite3 in which the message's id is written, so that it
 * takes effect exactly once. Returns whether it was done now. */
export function onceSqlite(
  db: {exec(sql: string): unknown; prepare(sql: string): {run(...values: string[]): {changes: number | bigint}}},
  message: Message, work: () => void): boolean;
/** Inserts a message into the table bide_outbox of an open database of node:sqlite or better-sqlite3, in its transaction: it is sent
 * if, and only if, that commits. Returns its id. */
export function outboxSend(
  db: {exec(sql: string): unknown; prepare(sql: string): {run(...values: any[]): unknown; get(...values: any[]): unknown}},
  type: string, body?: Body, options?: {id?: string; delay?: Duration; queue?: string; headers?: Record<string, string>}): string;
/** Runs handlers until bide says that this process may leave. */
export function serve(options?: {concurrency?: number}): void;

export function milliseconds(value: Duration): number;

export class Client {
  constructor(options?: {url?: string; token?: string; timeoutMs?: number});
  /** Resolves to the id once the broker has confirmed the message; where its unique key is taken, to the id of the message that has it. */
  send(type: string, body?: Body, options?: SendOptions): Promise<string>;
  sendMany(rows: Iterable<{type: string; body?: Body} & SendOptions>): Promise<string[]>;
  /** Sends each body, a line of text or JSON, as a member of a stream with an end; resolves to the stream's id. */
  sendStream(type: string, bodies: Iterable<string | object>, options: StreamOptions): Promise<string>;
  stream(id: string): Promise<Stream>;
  /** Members that have not begun to run are dropped. */
  cancelStream(id: string): Promise<void>;
  /** Prepares a message that commit() sends and abort() drops; resolves to its id. Only then begin your own transaction. */
  prepare(type: string, body: Body, options: PrepareOptions): Promise<string>;
  /** Repeating it does no harm; a SendError with status 409: it has been aborted. */
  commit(id: string): Promise<void>;
  abort(id: string): Promise<void>;
  transaction(id: string): Promise<Transaction>;
}

export interface PrepareOptions extends SendOptions {
  /** Type of the handler that is asked what became of the transaction. */
  check: string;
  checkQueue?: string;
  /** When it is asked first (60 s), at which interval then (60 s), and how often at most (15). */
  deadline?: Duration;
  interval?: Duration;
  checks?: number;
}

export interface Transaction {
  id: string;
  state: 'prepared' | 'committing' | 'committed' | 'aborted' | 'unresolved';
  type?: string;
  queue?: string;
  check?: string;
  left_ms?: number;
}

export interface StreamOptions {
  queue?: string;
  topic?: string;
  /** Of the topic: those that are waited for. */
  subscriptions?: string[];
  name?: string;
  onEnd?: string;
  deadline?: Duration;
}

export interface Stream {
  stream: string;
  name: string;
  state: 'sending' | 'running' | 'complete' | 'failed' | 'cancelling' | 'cancelled';
  on_end: string | null;
  sent_ms: number;
  left_ms: number;
  queues: Array<{queue: string; total: number | null; done: number; dead: number; dropped: number; complete: boolean; took_ms: number | null}>;
}

export interface Outcome {
  outcome: 'done' | 'retry' | 'dead';
  result: any;
  transaction?: 'commit' | 'abort';
  error: string;
  afterMs?: number;
  trace: string;
  sent: Array<Record<string, any>>;
  logged: Array<[string, string]>;
}

export const testing: {
  /** Runs a handler once, without bide. */
  run(handle: Handler, body?: Body, fields?: {
    cancelled?: boolean; id?: string; type?: string; queue?: string; attempt?: number; attempts?: number;
    headers?: Record<string, string>; content_type?: string; timeout_ms?: number;
  }): Promise<Outcome>;
  /** Runs a batch handler once, without bide, with a message for each body. */
  runBatch(handle: BatchHandler, bodies: Body[], fields?: {
    type?: string; queue?: string; attempt?: number; attempts?: number; headers?: Record<string, string>;
    content_type?: string; timeout_ms?: number;
  }): Promise<Outcome[]>;
};
