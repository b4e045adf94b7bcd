// onceSqlite and outboxSend against a real database: a handler consumes, works and sends on in one transaction. Killed at any step and
// called again, it has worked once and sent once.
import {execFileSync, spawn, spawnSync} from 'node:child_process';
import {mkdtempSync, openSync, readSync, rmSync, writeSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'node:test';
import assert from 'node:assert/strict';
import {onceSqlite, outboxSend} from '../bide.js';

const STEPS = ['before', 'begun', 'worked', 'sent', 'committed'];

const SERVER = `
import base64, json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
db.row_factory = sqlite3.Row
with open(sys.argv[2]) as asked, open(sys.argv[3], "w") as answers:
    for line in asked:
        ask = json.loads(line)
        try:
            values = [base64.b64decode(value["bytes"]) if isinstance(value, dict) else value for value in ask["values"]]
            found = db.execute(ask["sql"], values)
            row = found.fetchone()
            answer = {"row": dict(row) if row else None, "changes": found.rowcount}
        except Exception as failure:
            answer = {"error": str(failure)}
        answers.write(json.dumps(answer) + chr(10))
        answers.flush()
`;

// As much of node:sqlite as bide.js asks for, by Python's sqlite3: Node 20 has no database of its own. When this process is killed, Python
// reads the end of its pipe and ends without a commit.
class Database {
  constructor(path) {
    const pipes = ['asked', 'answers'].map((name) => `${path}-${name}-${process.pid}`);
    execFileSync('mkfifo', pipes);
    this.server = spawn('python3', ['-c', SERVER, path, ...pipes], {stdio: 'inherit'});
    this.server.unref();
    [this.to, this.from] = [openSync(pipes[0], 'w'), openSync(pipes[1], 'r')];
    pipes.forEach((pipe) => rmSync(pipe));
  }

  ask(sql, values = []) {
    writeSync(this.to, JSON.stringify({sql, values: values.map((value) =>
      value instanceof Uint8Array ? {bytes: Buffer.from(value).toString('base64')} : value)}) + '\n');
    const bytes = Buffer.alloc(65536);
    let text = '';
    while (!text.endsWith('\n')) text += bytes.toString('utf8', 0, readSync(this.from, bytes));
    const answer = JSON.parse(text);
    if (answer.error) throw new Error(answer.error);
    return answer;
  }

  exec(sql) { this.ask(sql); }
  prepare(sql) {
    return {get: (...values) => this.ask(sql, values).row ?? undefined, run: (...values) => ({changes: this.ask(sql, values).changes})};
  }
}

function handle(db, message, dieAt) {
  const step = (name) => { if (name === dieAt) process.kill(process.pid, 'SIGKILL'); };
  step('before');
  onceSqlite(db, message, () => {
    step('begun');
    db.prepare('INSERT INTO work VALUES (?)').run(message.id);
    step('worked');
    outboxSend(db, 'next', {of: message.id}, {headers: {a: 'ü'}});
    step('sent');
  });
  step('committed');
}

if (process.argv[2] === 'die') { // the handler's process
  handle(new Database(process.argv[3]), {id: process.argv[4], type: 'pay', queue: 'default'}, process.argv[4]);
} else {
  test('a handler works once and sends on once, killed at any step', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bide-'));
    const path = join(folder, 'own.db'), db = new Database(path);
    db.prepare('PRAGMA journal_mode = WAL').get();
    db.exec('CREATE TABLE work (id)');
    const rows = (table) => db.prepare(`SELECT count(*) AS n FROM ${table}`).get().n;
    STEPS.forEach((id, done) => {
      const killed = spawnSync(process.execPath, [fileURLToPath(import.meta.url), 'die', path, id], {encoding: 'utf8'});
      assert.equal(killed.signal, 'SIGKILL', killed.stderr);
      const message = {id, type: 'pay', queue: 'default'};
      for (let again = 0; again < 2; again++) handle(db, message);
      assert.deepEqual([rows('work'), rows('bide_outbox')], [done + 1, done + 1], id);
    });
    assert.throws(() => onceSqlite(db, {id: 'fails', type: 'pay', queue: 'default'}, () => {
      outboxSend(db, 'next');
      throw new Error('after its work');
    }), /after its work/);
    assert.equal(rows('bide_outbox'), STEPS.length);
    const row = db.prepare('SELECT type, CAST(body AS TEXT) AS body, headers, due_ms FROM bide_outbox').get();
    assert.deepEqual(row, {type: 'next', body: '{"of":"before"}', headers: '{"a":"ü"}', due_ms: null});
    rmSync(folder, {recursive: true});
  });
}
