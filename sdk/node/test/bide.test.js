// The SDK against a bide that this test plays: over a socket, and over HTTP.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {mkdtempSync, writeFileSync} from 'node:fs';
import {createServer as createHttp} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'node:test';
import {ABORT, COMMIT, Client, Dead, Retry, SendError, milliseconds, onceSqlite, outboxSend, send, testing} from '../bide.js';

const PROGRAM = `
import {batchHandler, handler, serve, send, log, progress, Dead, Retry} from ${JSON.stringify(new URL('../bide.js', import.meta.url).href)};
handler('echo', (message) => { send('mail', {to: 1}, {delay: '90s'}); log('info', 'seen', {n: 1}); progress(1, 2); return message.json(); });
if (process.env.WITH_BATCH) batchHandler('many', async (messages) => {
  if (messages[0].text === 'all') throw new Retry('none of them');
  if (messages[0].text === 'long') return [1];
  if (messages[0].text === 'inside') send('mail');
  if (messages[0].text === 'sparse') { const outcomes = new Array(messages.length); outcomes[1] = new Dead('no'); return outcomes; }
  messages.filter(({text}) => text === 'send').forEach((message) => { message.send('mail'); message.log('info', 'sent'); });
  return messages[0].text === 'nothing' ? undefined : messages.map(({text}) => text === 'dead' ? new Dead('no') : text);
});
handler('dead', () => { throw new Dead('no such picture'); });
handler('later', () => { throw new Retry('soon', {after: '1.5s'}); });
handler('bug', () => { null.x; });
handler('bytes', (message) => message.body.length);
handler('circle', () => { const a = {}; a.a = a; return a; });
handler('half', () => ['\\ud800', '\\\\ud800', 'a\\u0000b', '\u{1f600}']);
handler('hang', (message) => new Promise((resolve, reject) => message.signal.addEventListener('abort', () => reject(message.signal.reason))));
serve({concurrency: 7});
`;

// A running program; lines() resolves with the next n lines it writes.
function program(t, more = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'bide-sdk-'));
  writeFileSync(join(folder, 'tasks.mjs'), PROGRAM);
  const child = spawn(process.execPath, [join(folder, 'tasks.mjs')], {stdio: ['ignore', 'inherit', 'inherit', 'pipe'], env: {...process.env, BIDE_FD: '3', ...more}});
  t.after(() => child.kill('SIGKILL'));
  const channel = child.stdio[3], found = [], waiting = [];
  let rest = '';
  channel.setEncoding('utf8').on('data', (text) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop();
    found.push(...parts.map((line) => JSON.parse(line)));
    while (waiting.length && found.length >= waiting[0].n) {
      const {n, resolve} = waiting.shift();
      resolve(found.splice(0, n));
    }
  });
  const lines = (n) => new Promise((resolve) => {
    if (found.length >= n) resolve(found.splice(0, n));
    else waiting.push({n, resolve});
  });
  const write = (line) => channel.write(JSON.stringify(line) + '\n');
  const run = (number, type, more = {body: ''}) => write({run: number, id: `i${number}`, type, queue: 'default', attempt: 1, attempts: 25, ...more});
  const ended = new Promise((resolve) => child.on('exit', (code) => resolve(code)));
  return {lines, write, run, ended};
}

test('greets, runs, and leaves', async (t) => {
  const {lines, write, run, ended} = program(t);
  write({bide: 1, program: 'tasks', concurrency: 3, max_line: 1000});
  const [hello] = await lines(1);
  assert.deepEqual([hello.bide, hello.concurrency, hello.types], [1, 7, ['bug', 'bytes', 'circle', 'dead', 'echo', 'half', 'hang', 'later']]);
  run(1, 'echo', {body: '{"u":1}'});
  assert.deepEqual(await lines(4), [{run: 1, send: {type: 'mail', body: {to: 1}, delay: '90000ms'}}, {run: 1, log: 'info', text: 'seen', fields: {n: 1}},
    {run: 1, progress: [1, 2]}, {run: 1, done: {result: {u: 1}}}]);
  run(2, 'dead');
  run(3, 'later');
  run(4, 'bytes', {body_base64: '/wA='});
  run(5, 'unknown');
  const answers = Object.fromEntries((await lines(4)).map((line) => [line.run, line]));
  assert.deepEqual(answers[2], {run: 2, dead: 'no such picture'});
  assert.deepEqual(answers[3], {run: 3, retry: 'soon', after_ms: 1500});
  assert.deepEqual(answers[4], {run: 4, done: {result: 2}});
  assert.match(answers[5].dead, /no handler for the type unknown/);
  run(6, 'bug');
  const [bug] = await lines(1);
  assert.match(bug.retry, /^TypeError: /);
  assert.match(bug.trace, /tasks\.mjs/);
  run(7, 'circle');
  assert.match((await lines(1))[0].retry, /cannot be written as JSON/);
  run(8, 'half');
  assert.deepEqual(await lines(1), [{run: 8, done: {result: ['\ufffd', '\\ud800', 'a\0b', '\u{1f600}']}}]);
  write({leave: true});
  assert.equal(await ended, 0);
});

test('each message of a batch has its outcome', async (t) => {
  const {lines, write, run} = program(t, {WITH_BATCH: '1'});
  write({bide: 1, program: 'tasks', concurrency: 3, max_line: 1000});
  assert.deepEqual((await lines(1))[0].batch, ['many']);
  let number = 0;
  const ask = (...texts) => {
    texts.forEach((body, at) => run(++number, 'many', {body, batch: at === 0 ? texts.length : undefined}));
    return lines(texts.length + (texts.includes('send') ? 2 : 0));
  };
  assert.deepEqual(await ask('a', 'dead'), [{run: 1, done: {result: 'a'}}, {run: 2, dead: 'no'}]);
  assert.deepEqual(await ask('nothing'), [{run: 3, done: {}}]);
  assert.deepEqual(await ask('a', 'send'), [{run: 5, send: {type: 'mail'}}, {run: 5, log: 'info', text: 'sent', fields: {}},
    {run: 4, done: {result: 'a'}}, {run: 5, done: {result: 'send'}}]);
  assert.deepEqual(await ask('all', 'b'), [{run: 6, retry: 'none of them'}, {run: 7, retry: 'none of them'}]);
  assert.match((await ask('long', 'b'))[1].retry, /returns nothing or a list/);
  assert.match((await ask('inside'))[0].retry, /of batches: message.send/);
  assert.deepEqual(await ask('sparse', 'b', 'c'), [{run: 11, done: {}}, {run: 12, dead: 'no'}, {run: 13, done: {}}]);
  const [one, two] = await testing.runBatch((messages) => { messages[1].send('mail'); return [undefined, new Retry('later', {after: 2})]; }, [{a: 1}, 'x']);
  assert.deepEqual([one.outcome, two.outcome, two.afterMs, two.sent], ['done', 'retry', 2000, [{type: 'mail'}]]);
});

test('a cancelled run ends, and leaving waits for it', async (t) => {
  const {lines, write, run, ended} = program(t);
  await lines(1);
  run(1, 'hang');
  write({leave: true});
  write({cancel: 1});
  write({cancel: 99});
  assert.deepEqual(await lines(1), [{run: 1, retry: 'cancelled'}]);
  assert.equal(await ended, 0);
});

test('handlers are tested without bide', async () => {
  const thumb = async (message) => {
    if (message.lastAttempt) throw new Dead('too often');
    send('mail', new Uint8Array([255]), {expires: '1h', headers: {a: 'b'}});
    return {width: message.json().u};
  };
  const good = await testing.run(thumb, {u: 100});
  assert.deepEqual([good.outcome, good.result, good.sent], ['done', {width: 100}, [{type: 'mail', body_base64: '/w==', expires: '3600000ms', headers: {a: 'b'}}]]);
  assert.deepEqual((await testing.run(thumb, {u: 1}, {attempt: 25})).error, 'too often');
  assert.equal((await testing.run((message) => { if (message.cancelled) throw new Retry(); }, '', {cancelled: true})).outcome, 'retry');
});

test('durations', () => {
  assert.deepEqual(['250ms', '1.5s', '1h30m', 2, '7d'].map(milliseconds), [250, 1500, 5400000, 2000, 604800000]);
  for (const bad of [NaN, Infinity, '', '5', 's', '1 s', '-1s']) assert.throws(() => milliseconds(bad), TypeError);
});

test('the client sends, and says what was refused', async (t) => {
  const seen = [], answers = [[200, 'id-1\n'], [200, 'id-1\nid-2\n'], [400, 'id-1\n{"line":2,"error":"line 2: no type"}\n'], [503, ''], [200, '{a}\n'], [200, ' b\n{"c\n']];
  const server = createHttp((request, response) => {
    let text = '';
    request.on('data', (part) => { text += part; }).on('end', () => {
      seen.push([request.method, request.url, request.headers.authorization, text]);
      const [status, body] = answers.shift();
      response.writeHead(status).end(body);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const client = new Client({url: `http://127.0.0.1:${server.address().port}`, token: 'secret'});
  assert.equal(await client.send('mail', {to: 1}, {delay: '1m'}), 'id-1');
  assert.deepEqual(seen[0], ['POST', '/send', 'Bearer secret', '{"type":"mail","body":{"to":1},"delay":"60000ms"}\n']);
  assert.deepEqual(await client.sendMany([{type: 'a'}, {type: 'b', body: 'x'}]), ['id-1', 'id-2']);
  await assert.rejects(client.sendMany([{type: 'a'}, {type: ''}]), (error) => error instanceof SendError && error.confirmed[0] === 'id-1' && /line 2/.test(error.message));
  await assert.rejects(client.send('a'), /HTTP 503/);
  assert.equal(await client.send('a', undefined, {id: '{a}'}), '{a}');
  assert.deepEqual(await client.sendMany([{type: 'a'}, {type: 'b'}]), [' b', '{"c']);
  await assert.rejects(new Client({url: 'http://127.0.0.1:1'}).send('a'), SendError);
});

test('a transaction is prepared and decided, and a check answers', async (t) => {
  const seen = [], answers = [[200, '{"id":"o","state":"prepared"}'], [200, '{"id":"a/b","state":"committed"}'], [409, '{"error":"it is aborted"}']];
  const server = createHttp((request, response) => {
    let text = '';
    request.on('data', (part) => { text += part; }).on('end', () => {
      seen.push([request.url, text]);
      const [status, body] = answers.shift();
      response.writeHead(status).end(body);
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const client = new Client({url: `http://127.0.0.1:${server.address().port}`});
  assert.equal(await client.prepare('mail', {to: 1}, {id: 'o', check: 'mail-check', deadline: '1m', checks: 3}), 'o');
  assert.equal(seen[0][0], '/transactions');
  assert.deepEqual(JSON.parse(seen[0][1]), {check: 'mail-check', checks: 3, message: {type: 'mail', body: {to: 1}, id: 'o'}, deadline: '60000ms'});
  await client.commit('a/b');
  assert.equal(seen[1][0], '/transactions/a%2Fb/commit');
  await assert.rejects(client.abort('o'), (error) => error instanceof SendError && error.status === 409 && error.message === 'it is aborted');
  for (const [answer, word] of [[COMMIT, 'commit'], [ABORT, 'abort'], [undefined, undefined], ['commit', undefined]]) {
    const told = await testing.run(() => answer, undefined, {headers: {'bide-transaction': 'o'}});
    assert.deepEqual([told.outcome, told.transaction], ['done', word]);
  }
  assert.equal((await testing.run((message) => message.transaction, undefined, {headers: {'bide-transaction': 'o'}})).result, 'o');
});

test('a message goes into the outbox, in the transaction that is open', () => {
  const ran = [], tables = [], db = { // as much of a database as outboxSend asks for
    exec: (sql) => tables.push(sql),
    prepare: (sql) => ({get: () => tables[0], run: (...values) => ran.push([sql, values])}),
  };
  const made = outboxSend(db, 'mail', {to: 1}, {delay: '1.5s', queue: 'q', headers: {a: 'b'}});
  assert.equal(outboxSend(db, 'mail', new Uint8Array([0]), {id: 'mine'}), 'mine');
  outboxSend(db, 'mail');
  assert.equal(tables.length, 1); // made once
  assert.match(tables[0], /^CREATE TABLE IF NOT EXISTS bide_outbox/);
  assert.match(ran[0][0], /^INSERT INTO main\.bide_outbox /);
  assert.deepEqual(ran[0][1], [made, 'mail', 'q', Buffer.from('{"to":1}'), '{"a":"b"}', 1500]);
  assert.deepEqual(ran[1][1], ['mine', 'mail', null, new Uint8Array([0]), null, null]);
  assert.equal(ran[2][1][3], null);
  assert.throws(() => outboxSend(db, ''), TypeError);
});

test('the id is written with the work or not at all', () => {
  const said = [], ids = new Set(), db = { // as much of a database as onceSqlite asks for
    exec: (sql) => { said.push(sql.split(' ')[0]); },
    prepare: () => ({run: (type, id) => { const isNew = !ids.has(id); ids.add(id); return {changes: isNew ? 1 : 0}; }}),
  };
  const message = {type: 'a', id: '1'};
  assert.throws(() => onceSqlite(db, message, () => { throw new Error('no'); }), /no/);
  ids.clear(); // it was rolled back
  assert.equal(onceSqlite(db, message, () => {}), true);
  assert.equal(onceSqlite(db, message, () => assert.fail('it had been done')), false);
  assert.throws(() => onceSqlite(db, {...message, id: '2'}, async () => {}), TypeError);
  assert.throws(() => onceSqlite(db, {...message, id: ''}, () => {}), TypeError);
  const begun = ['BEGIN', 'CREATE'];
  assert.deepEqual(said, [...begun, 'ROLLBACK', ...begun, 'COMMIT', ...begun, 'COMMIT', ...begun, 'ROLLBACK']);
});
