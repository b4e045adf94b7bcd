// An order that goes through three types of messages; each step is sent only if the one before it ended well.
import {handler, serve, send} from 'bide';

handler('order', (message) => send('pay', message.json()));
handler('pay', (message) => send('ship', message.json(), {delay: '10s'}));
handler('ship', (message) => ({shipped: message.json().order}));

serve();
