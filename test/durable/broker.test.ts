import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestRedis, type TestRedis } from '../runner/support/redis-server.ts';
import { waitFor } from '../wait-for.ts';
import { startTestControlPlane, type StreamEvent, type TestControlPlane } from './support/control-plane.ts';
import { exited, hex, TestRunner } from './support/runner.ts';

let redis: TestRedis;
let plane: TestControlPlane;
let runner: TestRunner;
let ref: { tenantId: string; sandboxId: string; requestId: string };

const newSandboxId = () => `00${hex(5)}4${hex(2).slice(1)}8${hex(8).slice(1)}`;
const route = (state = 'running', revision = 1) => ({
  tenantId: ref.tenantId,
  runnerId: runner.id,
  epoch: 1,
  revision,
  state,
  deadlineMode: 'fixed',
});
const spec = () => ({
  processId: hex(16),
  command: { kind: 'shell', script: 'true', login: false },
  env: {},
  user: 'user',
  stdin: 'null',
  stdinEnds: true,
});
const attachment = (fromOffset = 0) => ({ fromOffset, creditBytes: 256 * 1024, foreground: true, output: true });
const exec = () =>
  plane.call<{ stdout: { base64: string }; exit: { exitCode: number } }>('broker', 'exec', ref, spec());
const text = (event: StreamEvent | undefined) => Buffer.from(event?.bytes?.base64 ?? '', 'base64').toString();
const take = async (events: AsyncGenerator<StreamEvent>) => (await events.next()).value as StreamEvent | undefined;

/** On record too: a new shard reads it there. */
const insertRunning = async () => {
  await plane.sql(
    `INSERT INTO sandboxes (id, tenant_id, template, image, state, epoch, revision, last_op, runner_id, network, cpus, memory_mib,
      deadline_mode, ttl_ms, metadata, env, created_at_ms) VALUES (?, ?, 'base', 'base', 'running', 1, 1, '', ?, 'on', 1, 512, 'fixed', 1000, '{}', '{}', 1)`,
    ref.sandboxId,
    ref.tenantId,
    runner.id,
  );
  return ref;
};

beforeAll(async () => {
  redis = await startTestRedis();
  plane = await startTestControlPlane(redis.url);
});
afterAll(async () => {
  await plane?.stop();
  await redis?.close();
});
beforeEach(async () => {
  runner = await new TestRunner(redis.url).start();
  ref = { tenantId: 'ten_1', sandboxId: newSandboxId(), requestId: 'req-1' };
  await plane.call('broker', 'setRoute', ref.sandboxId, route());
});
afterEach(() => runner.stop());

describe('exec', () => {
  test('gathers stdout and stderr and answers the exit', async () => {
    runner.onJob = async ({ say }) => {
      await say({ t: 'accepted' });
      await say({ t: 'started', processId: hex(16), pid: 7 });
      await say({ t: 'data', fd: 1, o: 0 }, Buffer.from('out'));
      await say({ t: 'data', fd: 2, o: 3 }, Buffer.from('err'));
      await say(exited(6));
    };
    const answer = await exec();
    expect(Buffer.from(answer.stdout.base64, 'base64').toString()).toBe('out');
    expect(answer.exit.exitCode).toBe(0);
  });

  test('events of one entry of the stream are taken one after the other', async () => {
    runner.onJob = async ({ sayTogether }) => {
      await sayTogether(
        [{ t: 'accepted' }],
        [{ t: 'started', processId: hex(16), pid: 7 }],
        [{ t: 'data', fd: 1, o: 0 }, Buffer.from('h')],
        [{ t: 'data', fd: 1, o: 1 }, Buffer.from('d')],
        [exited(2)],
      );
    };
    expect(Buffer.from((await exec()).stdout.base64, 'base64').toString()).toBe('hd');
  });

  test('output past a mebibyte arrives whole', async () => {
    const block = Buffer.alloc(64 * 1024, 'x');
    runner.onJob = async ({ say, data }) => {
      const channel = data.reply.channel;
      await say({ t: 'accepted' });
      const granted = () =>
        256 * 1024 +
        runner
          .told('credit')
          .reduce((sum, header) => sum + (header.t === 'credit' && header.c === channel ? header.bytes : 0), 0);
      for (let sent = 0; sent < 64 * block.byteLength; sent += block.byteLength) {
        await waitFor('credit', () => granted() >= sent + block.byteLength, 10_000, 2);
        await say({ t: 'data', fd: 1, o: sent }, block);
      }
      await say(exited(64 * block.byteLength));
    };
    const answer = await exec();
    expect(Buffer.from(answer.stdout.base64, 'base64').byteLength).toBe(64 * block.byteLength);
  });

  test('another tenant’s sandbox is answered exactly as a missing one', async () => {
    const foreign = await plane.raw('exec', [{ ...ref, tenantId: 'ten_2' }, spec()]);
    const missing = await plane.raw('exec', [{ ...ref, sandboxId: newSandboxId() }, spec()]);
    expect(await foreign.text()).toBe(await missing.text());
  });

  test('a runner without a lease is not_started at once', async () => {
    await plane.call('broker', 'setRoute', ref.sandboxId, { ...route(), runnerId: hex(8), revision: 2 });
    const before = performance.now();
    await expect(exec()).rejects.toMatchObject({ code: 'not_started' });
    expect(performance.now() - before).toBeLessThan(1000);
  });

  test('a job that nobody accepts is not_started within 8 s', async () => {
    runner.onJob = () => undefined;
    const before = performance.now();
    await expect(exec()).rejects.toMatchObject({ code: 'not_started' });
    expect(performance.now() - before).toBeLessThan(8000);
  });

  test('the 65th request in flight to a sandbox waits for its turn, and is rate_limited where none comes', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    runner.onJob = async ({ say }) => {
      await say({ t: 'accepted' });
      void held.then(() => say(exited(0)));
    };
    const first = Array.from({ length: 64 }, () => exec());
    await waitFor('64 deliveries', () => runner.delivered.length === 64, 10_000);
    await expect(exec()).rejects.toMatchObject({ code: 'rate_limited' });
    const next = exec();
    release();
    await Promise.all([...first, next]);
    expect(runner.delivered).toHaveLength(65);
  });

  test('a sandbox that the runner does not know is looked up once more', async () => {
    runner.onJob = ({ say }) => void say({ t: 'error', fault: { code: 'sandbox_not_found', message: 'not here' } });
    await expect(exec()).rejects.toMatchObject({ code: 'not_found' }); // no row in D1
  });

  test('loss of the runner after accepting is runner_lost within 25 s', async () => {
    runner.onJob = ({ say }) => void say({ t: 'accepted' });
    const call = exec();
    call.catch(() => undefined);
    await runner.job('process.start');
    const before = performance.now();
    await runner.stop();
    await expect(call).rejects.toMatchObject({ code: 'runner_lost' });
    expect(performance.now() - before).toBeLessThan(25_000);
  });
});

describe('streams', () => {
  test('events come in order, repeats are ignored', async () => {
    const abort = new AbortController();
    runner.onJob = async ({ say }) => {
      await say({ t: 'accepted' });
      await say({ t: 'started', processId: hex(16), pid: 7 });
      await say({ t: 'data', fd: 1, o: 0 }, Buffer.from('a'));
      await say({ t: 'data', fd: 1, o: 1 }, Buffer.from('b'));
      await say(exited(2));
    };
    const kinds: (string | undefined)[] = [];
    for await (const event of await plane.events(abort.signal, 'start', ref, spec(), attachment())) kinds.push(event.t);
    expect(kinds).toEqual(['started', 'data', 'data', 'exit']);
  });

  test('a reader that goes away detaches the channel', async () => {
    const abort = new AbortController();
    runner.onJob = async ({ say }) => {
      await say({ t: 'accepted' });
      await say({ t: 'started', processId: hex(16), pid: 7 });
    };
    const events = await plane.events(abort.signal, 'start', ref, spec(), attachment());
    await take(events);
    abort.abort();
    await expect.poll(() => runner.told('detach').length, { timeout: 15_000 }).toBe(1);
  });

  test('Redis stopped and started in the middle: the reader is attached again where it was', async () => {
    const abort = new AbortController();
    runner.onJob = async ({ name, data, say }) => {
      await say({ t: 'accepted' });
      await say({ t: 'started', processId: hex(16), pid: 7 });
      if (name === 'process.start') return void (await say({ t: 'data', fd: 1, o: 0 }, Buffer.from('before')));
      expect((data as unknown as { attach: { fromOffset: number } }).attach.fromOffset).toBe(6);
      await say({ t: 'data', fd: 1, o: 6 }, Buffer.from('after'));
      await say(exited(11));
    };
    const events = await plane.events(abort.signal, 'start', ref, spec(), attachment());
    expect((await take(events))?.t).toBe('started');
    expect(text(await take(events))).toBe('before');
    await redis.stop();
    await redis.start();
    expect(text(await take(events))).toBe('after');
    expect((await take(events))?.t).toBe('exit');
  });

  test('a shard that breaks off: the client sees neither a gap nor a repeat', async () => {
    const sandbox = await insertRunning();
    runner.onJob = async ({ name, data, say }) => {
      await say({ t: 'accepted' });
      await say({ t: 'started', processId: hex(16), pid: 7 });
      if (name === 'process.start') return void (await say({ t: 'data', fd: 1, o: 0 }, Buffer.from('before')));
      const { fromOffset } = (data as unknown as { attach: { fromOffset: number } }).attach;
      await say({ t: 'data', fd: 1, o: fromOffset }, Buffer.from('beforeafter').subarray(fromOffset));
      await say(exited(11));
    };
    const events = await plane.events(new AbortController().signal, 'start', sandbox, spec(), attachment());
    expect((await take(events))?.t).toBe('started');
    expect(text(await take(events))).toBe('before');
    await plane.call('broker', 'breakOff');
    expect(text(await take(events))).toBe('after');
    expect((await take(events))?.t).toBe('exit');
  });

  test('a reader by pid, from the end on, comes back to the same process and where it was', async () => {
    const sandbox = await insertRunning();
    const processId = hex(16);
    const asked: unknown[] = [];
    runner.onJob = async ({ data, say }) => {
      const { process, attach } = data as unknown as { process: unknown; attach: { fromOffset: unknown } };
      asked.push([process, attach.fromOffset]);
      await say({ t: 'accepted' });
      await say({ t: 'started', processId, pid: 7, o: 1000 });
      if (asked.length === 2) await say(exited(1000));
    };
    const fromNow = { ...attachment(), fromOffset: 'end' };
    const events = await plane.events(new AbortController().signal, 'attach', sandbox, { pid: 7 }, fromNow);
    expect(await take(events)).toMatchObject({ t: 'started', processId, o: 1000 });
    await plane.call('broker', 'breakOff');
    expect((await take(events))?.t).toBe('exit');
    expect(asked).toEqual([
      [{ pid: 7 }, 'end'],
      [{ processId }, 1000],
    ]);
  });

  test('while Redis is away a new exec is not_started, and works at once when it is back', async () => {
    runner.onJob = async ({ say }) => {
      await say({ t: 'accepted' });
      await say(exited(0));
    };
    await exec();
    await redis.stop();
    const before = performance.now();
    await expect(exec()).rejects.toMatchObject({ code: 'not_started' });
    expect(performance.now() - before).toBeLessThan(8000);
    await redis.start();
    await waitFor(
      'an exec',
      () =>
        exec().then(
          () => true,
          () => false,
        ),
      10_000,
    );
  });
});

test('control reaches the process in order and is answered', async () => {
  runner.onControl = (_header, say) => void say({ t: 'result', value: {} });
  for (const line of ['a', 'b', 'c']) {
    await plane.call('broker', 'control', ref, { processId: hex(16) }, { op: 'signal', signal: 'SIGTERM' });
    expect(line).toBeTruthy();
  }
  expect(runner.told('control')).toHaveLength(3);
});

test('a lifecycle job is answered by its outcome, under an id without a colon', async () => {
  const outcome = { state: 'running', expiresAtMs: 1, warm: true };
  runner.onJob = async ({ say }) => {
    await say({ t: 'accepted' });
    await say({ t: 'result', value: outcome });
  };
  const data = {
    sandboxId: ref.sandboxId,
    tenantId: ref.tenantId,
    epoch: 1,
    revision: 1,
    requestId: 'r',
    memory: true,
  };
  expect(await plane.call('broker', 'lifecycle', 'sandbox.pause', runner.id, data, 5000)).toEqual(outcome);
});

test('what was begun and is not answered ends at its deadline', async () => {
  runner.onJob = async ({ say }) => void (await say({ t: 'accepted' }));
  const { sandboxId, tenantId } = ref;
  const data = { sandboxId, tenantId, epoch: 1, revision: 1, requestId: 'r', memory: true };
  const before = performance.now();
  const call = plane.call('broker', 'lifecycle', 'sandbox.pause', runner.id, data, 1500);
  await expect(call).rejects.toMatchObject({ code: 'deadline_exceeded' });
  expect(performance.now() - before).toBeGreaterThanOrEqual(1490);
  expect(performance.now() - before).toBeLessThan(4000);
});

test('a Redis that answers no more, its connections open, is given up and found again', async () => {
  runner.onJob = async ({ say }) => {
    await say({ t: 'accepted' });
    await say(exited(0));
  };
  await exec();
  redis.freeze();
  try {
    const before = performance.now();
    await expect(exec()).rejects.toMatchObject({
      code: expect.stringMatching(/^(not_started|runner_lost)$/) as string,
    });
    expect(performance.now() - before).toBeLessThan(9000);
  } finally {
    redis.thaw();
  }
  const answered = () =>
    exec().then(
      () => true,
      () => false,
    );
  await waitFor('an exec', answered, 10_000);
});

test('a lifecycle job whose answer is lost with Redis is delivered again, and answered', async () => {
  runner.onJob = async ({ say }) => {
    await say({ t: 'accepted' });
    if (runner.delivered.length > 1) await say({ t: 'result', value: { state: 'paused', expiresAtMs: 1 } });
  };
  const data = {
    sandboxId: ref.sandboxId,
    tenantId: ref.tenantId,
    epoch: 1,
    revision: 1,
    requestId: 'r',
    memory: true,
  };
  const call = plane.call('broker', 'lifecycle', 'sandbox.pause', runner.id, data, 25_000);
  call.catch(() => undefined);
  await runner.job('sandbox.pause');
  await redis.stop();
  await redis.start();
  expect(await call).toMatchObject({ state: 'paused' });
});

test('a small file is read and written inline', async () => {
  const entry = {
    name: 'a',
    path: '/a',
    kind: 'file',
    sizeBytes: 5,
    mode: 0o644,
    uid: 0,
    gid: 0,
    owner: 'r',
    group: 'r',
    modifiedAtMs: 1,
  };
  runner.onJob = async ({ name, data, say }) => {
    await say({ t: 'accepted' });
    if (name === 'file.write') {
      const { contentBase64 } = data as unknown as { contentBase64: string };
      return void (await say({
        t: 'result',
        value: { writtenBytes: Buffer.from(contentBase64, 'base64').byteLength },
      }));
    }
    await say({ t: 'result', value: { entry, contentBytes: 5 } });
    await say({ t: 'data', fd: 0, o: 0 }, Buffer.from('hello'));
    await say({ t: 'end' });
  };
  const response = await plane.raw('readFile', [ref, { kind: 'file', path: '/a', user: 'user' }]);
  expect(await response.text()).toBe('hello');
  const written = await plane.raw('writeFile', [ref, { kind: 'file', path: '/a', user: 'user' }], { body: 'hello' });
  expect(await written.json()).toEqual({ value: { writtenBytes: 5 } });
});
