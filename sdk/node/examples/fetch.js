// Checks web pages, many at once: give the program `concurrency = 100`.
import {handler, serve, log, Dead, Retry} from 'bide';

handler('check', async (message) => {
  const {url} = message.json();
  if (!/^https?:/.test(url)) throw new Dead(`no web page: ${url}`);
  const answer = await fetch(url, {signal: message.signal});
  if (answer.status >= 500) throw new Retry(`HTTP ${answer.status}`, {after: '1m'});
  log('info', 'checked', {url, status: answer.status});
});

serve();
