// Collects what comes within a minute and hands it on as one message.
import {handler, serve, send} from 'bide';

const lines = [];

handler('line', (message) => {
  lines.push(message.text);
  if (lines.length === 1) send('digest', undefined, {delay: '1m'});
});
handler('digest', () => {
  if (lines.length) send('mail', {to: 'ann@example.org', lines: lines.splice(0)});
});

serve();
