import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { allEvents, errorOf, eventsOf, TestSandbox, textOf } from './calls.ts';

interface Process {
  processId: string;
  running: boolean;
  pty: boolean;
  tag: string | null;
  outputBytes: number;
  exit: { exitCode: number } | null;
}

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
});
afterAll(() => sandbox.cleanUp());

const missing = '0'.repeat(32);

describe('a background process', () => {
  test('is listed while it runs, and a little longer with its exit', async () => {
    const { processId, pid } = await sandbox.start('cat', { tag: 'my cat' });
    expect(pid).toBeGreaterThan(1);
    const { processes } = await sandbox.json<{ processes: Process[] }>('/processes');
    expect(processes.find((process) => process.processId === processId)).toMatchObject({
      running: true,
      tag: 'my cat',
      pty: false,
      exit: null,
    });
    await sandbox.json(`/processes/${processId}/stdin/close`, { method: 'POST', status: 204 });
    expect(await sandbox.wait(processId)).toMatchObject({ running: false, exit: { exitCode: 0 } });
    expect(await sandbox.json<Process>(`/processes/${processId}`)).toMatchObject({
      running: false,
      exit: { exitCode: 0 },
    });
  });

  test('waiting answers `running` at its timeout and the exit as soon as there is one', async () => {
    const { processId } = await sandbox.start('sleep 3; exit 5');
    expect(await sandbox.wait(processId, 50)).toMatchObject({ running: true, exit: null });
    expect(await sandbox.wait(processId)).toMatchObject({ running: false, exit: { exitCode: 5, reason: 'exited' } });
  });

  test('a signal reaches its whole group', async () => {
    const { processId } = await sandbox.start('sleep 4711 & sleep 4711');
    await waitFor(
      'both to run',
      async () => (await sandbox.exec('pgrep -fc "^sleep 4711"')).stdout.trim() === '2',
      5_000,
    );
    await sandbox.json(`/processes/${processId}/signal`, { method: 'POST', json: { signal: 'SIGTERM' }, status: 204 });
    expect(await sandbox.wait(processId)).toMatchObject({
      running: false,
      exit: { signal: 'SIGTERM', exitCode: null },
    });
    await waitFor('both to be gone', async () => (await sandbox.exec('pgrep -f "^sleep 4711"')).exitCode === 1, 5_000);
  });

  test('its deadline ends it', async () => {
    const { processId } = await sandbox.start('sleep 60', { timeoutMs: 300 });
    expect(await sandbox.wait(processId)).toMatchObject({
      exit: { exitCode: 124, timedOut: true, reason: 'deadline' },
    });
  });
});

describe('its output', () => {
  test('is replayed from its beginning, and from any event’s id on', async () => {
    const { processId } = await sandbox.start('for i in $(seq 1 100); do echo "line $i"; done');
    await sandbox.wait(processId);
    const all = await allEvents(await sandbox.events(processId));
    const text = textOf(all, 'stdout');
    expect(text.split('\n').length).toBe(101);
    expect(all[0]).toMatchObject({ event: 'started', data: { processId } });

    const tail = await allEvents(await sandbox.events(processId, '', { 'last-event-id': '7' }));
    expect(textOf(tail, 'stdout')).toBe(text.slice(7));
    const sameTail = await allEvents(await sandbox.events(processId, '?fromOffset=7'));
    expect(textOf(sameTail, 'stdout')).toBe(text.slice(7));
    const end = await allEvents(await sandbox.events(processId, `?fromOffset=${text.length}`));
    expect(end.map(({ event }) => event)).toEqual(['started', 'exit']);
  });

  test('a reader that comes back gets what it missed', async () => {
    const { processId } = await sandbox.start('for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done');
    let last = 0;
    const before: string[] = [];
    for await (const event of eventsOf(await sandbox.events(processId))) {
      if (event.event !== 'stdout') continue;
      before.push(String(event.data.data));
      last = event.id ?? 0;
      if (before.join('').includes('2')) break;
    }
    const after = await allEvents(await sandbox.events(processId, '', { 'last-event-id': String(last) }));
    expect(before.join('') + textOf(after, 'stdout')).toBe('1\n2\n3\n4\n5\n6\n');
    expect(after.at(-1)).toMatchObject({ event: 'exit', data: { exitCode: 0 } });
  });

  test('what the ring no longer holds is told as dropped, exactly', async () => {
    const { processId } = await sandbox.start('head -c 3000000 /dev/zero | tr "\\0" x');
    await sandbox.wait(processId);
    const events = await allEvents(await sandbox.events(processId));
    const lagged = events.find(({ event }) => event === 'lagged');
    const kept = textOf(events, 'stdout').length;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThanOrEqual(1024 * 1024);
    expect(Number(lagged?.data.droppedBytes) + kept).toBe(3_000_000);
    expect(events.at(-1)).toMatchObject({ event: 'exit', id: 3_000_000 });
  });

  test('two readers both get all of it', async () => {
    const { processId } = await sandbox.start('sleep 0.5; seq 1 1000');
    const readers = await Promise.all([sandbox.events(processId), sandbox.events(processId)]);
    const texts = await Promise.all(readers.map(async (reader) => textOf(await allEvents(reader), 'stdout')));
    expect(texts[0]).toBe(Array.from({ length: 1000 }, (_, i) => `${i + 1}\n`).join(''));
    expect(texts[1]).toBe(texts[0]);
  });
});

describe('by pid or tag', () => {
  test('a process is read, written to, signalled and waited for as by its id', async () => {
    const { processId, pid } = await sandbox.start('read line; echo "got $line"; exec sleep 4713', { tag: 'one/two' });
    for (const name of [`pid:${pid}`, `tag:${encodeURIComponent('one/two')}`]) {
      expect(await sandbox.json<Process>(`/processes/${name}`)).toMatchObject({ processId, running: true });
      expect(await sandbox.wait(name, 20)).toMatchObject({ processId, running: true });
    }
    await sandbox.json(`/processes/pid:${pid}/stdin`, { method: 'POST', body: 'it\n' });
    await waitFor(
      'its answer',
      async () => (await sandbox.json<Process>(`/processes/tag:one%2Ftwo`)).outputBytes > 0,
      5_000,
    );
    const signal = { method: 'POST', json: { signal: 'SIGKILL' } };
    await sandbox.json(`/processes/tag:one%2Ftwo/signal`, { ...signal, status: 204 });
    const events = await allEvents(await sandbox.events(`pid:${pid}`));
    expect(events[0]).toMatchObject({ event: 'started', data: { processId } });
    expect(textOf(events, 'stdout')).toBe('got it\n');
    expect(events.at(-1)).toMatchObject({ event: 'exit', data: { signal: 'SIGKILL' } });

    const late = await sandbox.call(`/processes/pid:${pid}/signal`, signal);
    expect(await errorOf(late)).toMatchObject({ status: 404, code: 'process_not_found' });
  });

  test('of several with one tag the youngest that runs is meant, or else the last that ended', async () => {
    const first = await sandbox.start('sleep 4714', { tag: 'same' });
    const second = await sandbox.start('sleep 4714', { tag: 'same' });
    const kill = () =>
      sandbox.json('/processes/tag:same/signal', { method: 'POST', json: { signal: 'SIGKILL' }, status: 204 });
    await kill();
    expect(await sandbox.wait(second.processId)).toMatchObject({ running: false });
    expect(await sandbox.wait('tag:same', 20)).toMatchObject({ processId: first.processId, running: true });
    await kill();
    expect(await sandbox.wait('tag:same')).toMatchObject({ processId: first.processId, running: false });
  });

  test('from the end on a reader gets only what comes after it', async () => {
    const { processId } = await sandbox.start('echo before; read line; echo "after $line"');
    await waitFor(
      'what was said before',
      async () => (await sandbox.json<Process>(`/processes/${processId}`)).outputBytes > 0,
      5_000,
    );
    const reader = await sandbox.events(processId, '?fromOffset=end');
    await sandbox.json(`/processes/${processId}/stdin`, { method: 'POST', body: 'it\n' });
    const events = await allEvents(reader);
    expect(textOf(events, 'stdout')).toBe('after it\n');
    expect(events.at(-1)).toMatchObject({ event: 'exit', id: 'before\nafter it\n'.length });
  });
});

test('the sandbox still knows the variables that it was created with, and only those', async () => {
  const env = { A: 'b', EMPTY: '', LONG: 'ü'.repeat(1000) };
  const other = await TestSandbox.create({ env });
  expect(await other.json('/environment')).toEqual({ env });
  expect(await sandbox.json('/environment')).toEqual({ env: {} });
  await other.cleanUp();
});

describe('standard input', () => {
  test('10,000 lines written one request after another arrive in order', async () => {
    const { processId } = await sandbox.start('cat > /tmp/lines');
    for (let first = 1; first <= 10_000; first += 100) {
      const lines = Array.from({ length: 100 }, (_, i) => `${first + i}\n`).join('');
      await sandbox.json(`/processes/${processId}/stdin`, { method: 'POST', body: lines });
    }
    await sandbox.json(`/processes/${processId}/stdin/close`, { method: 'POST', status: 204 });
    await sandbox.wait(processId);
    expect((await sandbox.exec('seq 1 10000 | cmp - /tmp/lines')).exitCode).toBe(0);
  });

  test('one request of 5 MB arrives whole and in order', async () => {
    const { processId } = await sandbox.start('sha256sum');
    const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, i) => `${i}\n`).join(''));
    const { writtenBytes } = await sandbox.json<{ writtenBytes: number }>(`/processes/${processId}/stdin`, {
      method: 'POST',
      body: bytes,
    });
    expect(writtenBytes).toBe(bytes.length);
    await sandbox.json(`/processes/${processId}/stdin/close`, { method: 'POST', status: 204 });
    const events = await allEvents(await sandbox.events(processId));
    const digest = Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');
    expect(textOf(events, 'stdout')).toContain(digest);
  });

  test('after it was closed: 409', async () => {
    const { processId } = await sandbox.start('cat; sleep 5');
    await sandbox.json(`/processes/${processId}/stdin/close`, { method: 'POST', status: 204 });
    const late = await sandbox.call(`/processes/${processId}/stdin`, { method: 'POST', body: 'late' });
    expect(await errorOf(late)).toMatchObject({ status: 409, code: 'stdin_closed' });
    await sandbox.json(`/processes/${processId}/signal`, { method: 'POST', json: { signal: 'SIGKILL' }, status: 204 });
  });
});

describe('a terminal', () => {
  test('is one: of the size asked for, resized, with its output as pty events', async () => {
    const { processId } = await sandbox.start('tty; stty size; read line; stty size; echo "got $line"', {
      pty: { cols: 100, rows: 30 },
    });
    let text = '';
    let asked = false;
    for await (const { event, data } of eventsOf(await sandbox.events(processId))) {
      if (event === 'pty') text += String(data.data);
      if (!asked && text.includes('30 100')) {
        asked = true;
        await sandbox.json(`/processes/${processId}/resize`, {
          method: 'POST',
          json: { cols: 120, rows: 40 },
          status: 204,
        });
        await sandbox.json(`/processes/${processId}/stdin`, { method: 'POST', body: 'hello\n' });
      }
    }
    expect(text).toMatch(/^\/dev\/pts\/\d+\r\n30 100\r\n/);
    expect(text).toContain('40 120\r\n');
    expect(text).toContain('got hello\r\n');
  });

  test('what is not a terminal can’t be resized: 400', async () => {
    const { processId } = await sandbox.start('cat');
    const resized = await sandbox.call(`/processes/${processId}/resize`, {
      method: 'POST',
      json: { cols: 1, rows: 1 },
    });
    expect(await errorOf(resized)).toMatchObject({ status: 400, code: 'invalid_argument' });
    await sandbox.json(`/processes/${processId}/signal`, { method: 'POST', json: { signal: 'SIGKILL' }, status: 204 });
  });
});

describe('refusals', () => {
  test('a process that does not exist: 404 on every route', async () => {
    const calls: [string, RequestInit & { json?: unknown }][] = [
      ['', {}],
      ['/events', {}],
      ['/wait?timeoutMs=1000', {}],
      ['/stdin', { method: 'POST', body: 'x' }],
      ['/stdin/close', { method: 'POST' }],
      ['/resize', { method: 'POST', json: { cols: 80, rows: 24 } }],
      ['/signal', { method: 'POST', json: { signal: 'SIGTERM' } }],
    ];
    for (const [path, init] of calls) {
      const answer = await sandbox.call(`/processes/${missing}${path}`, init);
      expect({ path, ...(await errorOf(answer)) }).toMatchObject({ path, status: 404, code: 'process_not_found' });
    }
  });

  const malformed: [string, string, RequestInit & { json?: unknown }][] = [
    ['a process id that is none', '/processes/123/wait', {}],
    ['a pid that is none', '/processes/pid:0/wait', {}],
    ['a pid beyond any', '/processes/pid:9999999999/wait', {}],
    ['an unknown signal', `/processes/${missing}/signal`, { method: 'POST', json: { signal: 'SIGSEGV9' } }],
    ['a terminal without width', '/processes', { method: 'POST', json: { command: 'sh', pty: { cols: 0, rows: 24 } } }],
    ['a wait over five minutes', `/processes/${missing}/wait?timeoutMs=300001`, {}],
    ['a wait of nothing', `/processes/${missing}/wait?timeoutMs=0`, {}],
    ['an offset that is none', `/processes/${missing}/events?fromOffset=-1`, {}],
    ['an unknown parameter', `/processes/${missing}/events?from=1`, {}],
  ];
  test.each(malformed)('%s: 400', async (_name, path, init) => {
    expect(await errorOf(await sandbox.call(path, init))).toMatchObject({ status: 400, code: 'invalid_argument' });
  });
});
