import { expect, test } from 'vitest';
import { newApp } from '../../worker/api/app-env.ts';
import { renderError } from '../../worker/api/render-error.ts';
import { knownHost } from '../../worker/middleware/known-host.ts';

const app = newApp();
app.use(async (c, next) => {
  c.set('requestId', 'test');
  await next();
});
app.use(knownHost('http://glovebox.example:8029', 'sandbox.example:8029'));
app.get('/', (c) => c.text('served'));
app.onError(renderError);

const statusOf = async (host: string): Promise<number> => (await app.request(`http://${host}/`)).status;

test('the machine is served by localhost, by any of its addresses and by the name in its PUBLIC_URL', async () => {
  for (const host of [
    'localhost:8029',
    '127.0.0.1:8029',
    '192.168.1.20',
    '[::1]:8029',
    '[fd00::2]',
    'glovebox.example',
    '8000-abc.sandbox.example',
  ]) {
    expect([host, await statusOf(host)]).toEqual([host, 200]);
  }
});

test('any other name is refused, one that looks like an address or like localhost too: it may have been pointed here', async () => {
  for (const host of [
    'rebound.example',
    '127.0.0.1.rebound.example',
    'localhost.rebound.example',
    'glovebox.example.net',
    'othersandbox.example',
  ]) {
    expect([host, await statusOf(host)]).toEqual([host, 403]);
  }
});
