import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installation } from '../../installation.ts';
import { waitFor } from '../../wait-for.ts';
import { acontextKeyOf, createAcontext, failure, failureOf, type Acontext } from './client.ts';

interface Runtime {
  sandbox_id: string;
  sandbox_status: string;
  sandbox_created_at: string;
  sandbox_expires_at: string;
}
interface Output {
  stdout: string;
  stderr: string;
  exit_code: number;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const gone = '{"code":404,"msg":"sandbox not found or was killed"}';

let acontext: Acontext;
let stranger: Acontext;
let sandboxId: string;
beforeAll(async () => {
  acontext = await createAcontext();
  stranger = await createAcontext();
  sandboxId = (await create()).sandbox_id;
});
afterAll(() => Promise.all([acontext.cleanUp(), stranger.cleanUp()]));

const create = () => acontext.data<Runtime>(201, 'POST', '/sandbox');
const exec = (command: string, id = sandboxId) =>
  acontext.data<Output>(200, 'POST', `/sandbox/${id}/exec`, { command });

describe('create', () => {
  test('with an empty body and no Content-Type is 201 with what the SDKs require', async () => {
    const answer = await acontext.send('POST', '/sandbox');
    expect([answer.status, answer.body.code, answer.body.msg]).toEqual([201, 0, '']);
    const runtime = answer.body.data as Runtime;
    expect(runtime).toEqual({
      sandbox_id: expect.stringMatching(uuid) as string,
      sandbox_status: 'running',
      sandbox_created_at: expect.any(String) as string,
      sandbox_expires_at: expect.any(String) as string,
    });
    const aliveMs = Date.parse(runtime.sandbox_expires_at) - Date.parse(runtime.sandbox_created_at);
    expect(Math.abs(aliveMs - 1_800_000)).toBeLessThan(10_000);
    const id = runtime.sandbox_id.replaceAll('-', '');
    expect(await acontext.tenant.json(`/v1/sandboxes/${id}`)).toMatchObject({
      template: 'base',
      timeoutSeconds: 1800,
      timeoutMode: 'idle',
    });
    await acontext.data(200, 'DELETE', `/sandbox/${runtime.sandbox_id}`);
  });

  test('asks for no more than the tenant may have', async () => {
    const small = await createAcontext({ maxTtlSeconds: 600, maxCpus: 1, maxMemoryMiB: 256 });
    const runtime = await small.data<Runtime>(201, 'POST', '/sandbox', {});
    const aliveMs = Date.parse(runtime.sandbox_expires_at) - Date.parse(runtime.sandbox_created_at);
    expect(Math.abs(aliveMs - 600_000)).toBeLessThan(10_000);
    const second = await small.send('POST', '/sandbox');
    expect(failureOf(second)).toEqual(failure(429, /limit/));
    expect(second.headers.get('retry-after')).toBe('5');
    await small.cleanUp();
  });
});

describe('exec', () => {
  test('runs as root in /workspace, with no terminal and no input', async () => {
    expect(await exec("echo 'Hello from sandbox!' && pwd")).toEqual({
      stdout: 'Hello from sandbox!\n/workspace\n',
      stderr: '',
      exit_code: 0,
    });
    expect(await exec('id -un; cat; readlink /proc/self/fd/0; echo "$HOME"')).toMatchObject({
      stdout: 'root\n/dev/null\n/root\n',
      exit_code: 0,
    });
  });

  test('a non-zero exit is 200 with its code, and both streams apart', async () => {
    expect(await exec('echo out; echo err >&2; exit 3')).toEqual({ stdout: 'out\n', stderr: 'err\n', exit_code: 3 });
    expect((await exec('no-such-command')).exit_code).toBe(127);
    expect((await exec("bash -c 'kill -TERM $$'")).exit_code).toBe(143);
  });

  test('a command of 150 KB and one of 1 MiB run; one byte more is 400', async () => {
    const padded = (bytes: number) => `: '${'x'.repeat(bytes - 12)}'; pwd`;
    expect((await exec(padded(150_000))).stdout).toBe('/workspace\n');
    const largest = padded(1024 * 1024 - 1);
    expect((await exec(`${largest} `.slice(0, 1024 * 1024))).exit_code).toBe(0);
    const answer = await acontext.send('POST', `/sandbox/${sandboxId}/exec`, {
      json: { command: 'x'.repeat(1024 * 1024 + 1) },
    });
    expect(failureOf(answer)).toEqual(failure(400, /parameter error/));
    expect(answer.body.error).toMatch(/^command: .*1 MiB/);
  });

  test('what is not UTF-8 is replaced', async () => {
    expect(await exec(String.raw`printf 'a\377\376b'; printf '\342\202\254' >&2`)).toEqual({
      stdout: 'a\uFFFD\uFFFDb',
      stderr: '€',
      exit_code: 0,
    });
  });

  test('output over 16 MiB is cut, and stderr says by how much', async () => {
    const { stdout, stderr, exit_code } = await exec('head -c 17000000 /dev/zero | tr "\\0" x; printf end >&2');
    expect([stdout.length, exit_code]).toEqual([16 * 1024 * 1024, 0]);
    expect(stderr).toBe(`end\n[glovebox] ${17_000_000 - 16 * 1024 * 1024} more bytes of stdout are left out\n`);
  });

  test('a missing, empty or malformed command is 400 in a sentence', async () => {
    const path = `/sandbox/${sandboxId}/exec`;
    for (const json of [{}, { command: '' }, { command: 1 }, { command: ['ls'] }, { command: 'a\0b' }, [], null]) {
      expect(failureOf(await acontext.send('POST', path, { json }))).toEqual(failure(400, /parameter error/));
    }
    expect(failureOf(await acontext.send('POST', path))).toEqual(failure(400, /needs a JSON body/));
    expect(failureOf(await acontext.send('POST', path, { body: '{"command":"ls"}' }))).toEqual(
      failure(400, /Content-Type/),
    );
    const json = new Blob(['{"command":'], { type: 'application/json' });
    expect(failureOf(await acontext.send('POST', path, { body: json }))).toEqual(failure(400, /not valid JSON/));
    const large = new Blob(['x'.repeat(3 * 1024 * 1024)], { type: 'application/json' });
    expect(failureOf(await acontext.send('POST', path, { body: large }))).toEqual(failure(413, /at most/));
  });

  test('fields that Acontext does not know are left alone', async () => {
    const output = await acontext.data<Output>(200, 'POST', `/sandbox/${sandboxId}/exec`, {
      command: 'echo ok',
      timeout: 5,
    });
    expect(output.stdout).toBe('ok\n');
  });
});

describe('the commands of SANDBOX_TOOLS', () => {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const editor = {
    view: (path: string) =>
      `if [ ! -f '${path}' ]; then echo 'FILE_NOT_FOUND'; exit 1; fi; echo "TOTAL:$(wc -l < '${path}')"; head -n 200 '${path}' | nl -ba`,
    viewRange: (path: string, from: number, to: number) =>
      `if [ ! -f '${path}' ]; then echo 'FILE_NOT_FOUND'; exit 1; fi; echo "TOTAL:$(wc -l < '${path}')"; sed -n '${from},${to}p' '${path}' | nl -ba -v ${from}`,
    create: (path: string, directory: string, text: string) =>
      `is_update=$(test -f '${path}' && echo 1 || echo 0); mkdir -p '${directory}' && echo '${base64(text)}' | base64 -d > '${path}' && echo "STATUS:$is_update"`,
    replace: (path: string, from: string, to: string) => {
      const script = `import os, sys
path, old, new = ${JSON.stringify(path)}, ${JSON.stringify(from)}, ${JSON.stringify(to)}
if not os.path.exists(path):
    print("FILE_NOT_FOUND"); sys.exit(0)
text = open(path).read()
count = text.count(old)
if count == 0: print("NOT_FOUND")
elif count > 1: print(f"MULTIPLE:{count}")
else:
    open(path, "w").write(text.replace(old, new)); print("SUCCESS")
`;
      return `echo '${base64(script)}' | base64 -d | python3`;
    },
  };

  test('create, view and replace a file, and say when it is not there', async () => {
    const path = '/workspace/notes/a.txt';
    expect(await exec(editor.view(path))).toEqual({ stdout: 'FILE_NOT_FOUND\n', stderr: '', exit_code: 1 });
    const text = 'one\ntwo\nthree\ntwo\n';
    expect((await exec(editor.create(path, '/workspace/notes', text))).stdout).toBe('STATUS:0\n');
    expect((await exec(editor.create(path, '/workspace/notes', text))).stdout).toBe('STATUS:1\n');
    expect((await exec(editor.view(path))).stdout).toBe(
      'TOTAL:4\n     1\tone\n     2\ttwo\n     3\tthree\n     4\ttwo\n',
    );
    expect((await exec(editor.viewRange(path, 2, 3))).stdout).toBe('TOTAL:4\n     2\ttwo\n     3\tthree\n');
    expect((await exec(editor.replace(path, 'one', 'uno'))).stdout).toBe('SUCCESS\n');
    expect((await exec(editor.replace(path, 'one', 'uno'))).stdout).toBe('NOT_FOUND\n');
    expect((await exec(editor.replace(path, 'two', 'dos'))).stdout).toBe('MULTIPLE:2\n');
    expect((await exec(editor.replace('/nowhere', 'two', 'dos'))).stdout).toBe('FILE_NOT_FOUND\n');
    expect((await exec(`cat '${path}'`)).stdout).toBe('uno\ntwo\nthree\ntwo\n');
  });

  test('a file of 150 KB is created by one command', async () => {
    const text = `${'0123456789'.repeat(15_000)}\n`;
    expect((await exec(editor.create('/workspace/large', '/workspace', text))).stdout).toBe('STATUS:0\n');
    expect((await exec('wc -c < /workspace/large')).stdout.trim()).toBe(String(text.length));
  });
});

describe('kill', () => {
  test('answers status 0; the sandbox is gone for every call after that', async () => {
    const { sandbox_id: id } = await create();
    const answer = await acontext.send('DELETE', `/sandbox/${id}`);
    expect([answer.status, answer.body]).toEqual([200, { code: 0, data: { status: 0, errmsg: '' }, msg: '' }]);
    const again = await acontext.send('DELETE', `/sandbox/${id}`);
    expect([again.status, again.text]).toEqual([404, gone]);
    const run = await acontext.send('POST', `/sandbox/${id}/exec`, { json: { command: 'true' } });
    expect([run.status, run.text]).toEqual([404, gone]);
  });

  test('a sandbox that is being ended is gone already', async () => {
    const { sandbox_id: id } = await create();
    const native = `/v1/sandboxes/${id.replaceAll('-', '')}`;
    const lasting = acontext.send('POST', `/sandbox/${id}/exec`, {
      json: { command: "trap '' TERM; touch /tmp/on; while :; do sleep 0.1; done" },
    });
    const isOn = async () => (await acontext.tenant.api(`${native}/files/content?path=/tmp/on`)).status === 200;
    await waitFor('the command to run', isOn, 10_000);
    const ended = acontext.tenant.api(`${native}?graceSeconds=3`, { method: 'DELETE' });
    await waitFor('its end to begin', async () => (await acontext.tenant.json(native))['state'] === 'ending', 3_000);
    const asked = acontext.send('POST', `/sandbox/${id}/exec`, { json: { command: 'true' } });
    expect(await asked).toMatchObject({ status: 404, text: gone });
    expect((await ended).status).toBe(200);
    const { stderr } = (await lasting).body.data as Output;
    expect(stderr).toBe('[glovebox] the sandbox ended before the command did: it was killed\n');
  });

  test('a paused sandbox is not gone: an exec there is told to resume it', async () => {
    const { sandbox_id: id } = await create();
    await acontext.tenant.json(`/v1/sandboxes/${id.replaceAll('-', '')}/pause`, { method: 'POST' });
    const run = await acontext.send('POST', `/sandbox/${id}/exec`, { json: { command: 'true' } });
    expect(failureOf(run)).toEqual(failure(409, /paused\. Resume it/));
  });

  test('a sandbox whose time is up is gone, and never made anew', async () => {
    const { sandbox_id: id } = await create();
    const path = `/v1/sandboxes/${id.replaceAll('-', '')}/timeout`;
    await acontext.tenant.json(path, { method: 'POST', json: { timeoutSeconds: 1 } });
    const run = () => acontext.send('POST', `/sandbox/${id}/exec`, { json: { command: 'true' } });
    // Each exec puts the end off by the idle time, so it is looked for otherwise.
    const native = `/v1/sandboxes/${id.replaceAll('-', '')}`;
    await waitFor('its end', async () => (await acontext.tenant.json(native))['state'] === 'ended', 20_000);
    const answer = await run();
    expect([answer.status, answer.text]).toEqual([404, gone]);
    expect((await acontext.send('DELETE', `/sandbox/${id}`)).text).toBe(gone);
  });
});

test('another tenant’s sandbox is answered byte for byte as a missing one, on every route', async () => {
  const { sandbox_id: foreign } = await stranger.data<Runtime>(201, 'POST', '/sandbox');
  const missing = '00000000-0000-4000-8000-000000000000';
  const notVersion4 = '00000000-0000-1000-0000-000000000000';
  for (const [method, path, json] of [
    ['POST', '/exec', { command: 'true' }],
    ['DELETE', '', undefined],
  ] as const) {
    for (const id of [foreign, missing, notVersion4]) {
      const answer = await acontext.send(method, `/sandbox/${id}${path}`, json === undefined ? {} : { json });
      expect([answer.status, answer.text]).toEqual([404, gone]);
    }
  }
  const { items } = await acontext.data<{ items: { id: string }[] }>(200, 'GET', '/sandbox/logs?limit=200');
  expect(items.map(({ id }) => id)).not.toContain(foreign);
  expect((await stranger.data<Output>(200, 'POST', `/sandbox/${foreign}/exec`, { command: 'true' })).exit_code).toBe(0);
});

test('what is no UUID with hyphens is 400 invalid sandbox_id', async () => {
  const bare = sandboxId.replaceAll('-', '');
  for (const id of ['x', bare, `sbx_${bare}`, sandboxId.toUpperCase(), `{${sandboxId}}`, `${sandboxId}%20`]) {
    expect(await acontext.send('DELETE', `/sandbox/${id}`)).toMatchObject({
      status: 400,
      text: '{"code":400,"msg":"invalid sandbox_id"}',
    });
  }
});

describe('from one exec to the next', () => {
  let id: string;
  beforeAll(async () => {
    id = (await create()).sandbox_id;
  });
  const run = (command: string) => exec(command, id);

  test('cd and export persist, as the SDKs’ sandbox terminal needs it', async () => {
    expect((await run('pwd')).stdout).toBe('/workspace\n');
    expect(await run('mkdir -p a/b && cd a/b; export GREETING="hello world"')).toMatchObject({
      stdout: '',
      stderr: '',
    });
    expect((await run('pwd; echo "$GREETING"')).stdout).toBe('/workspace/a/b\nhello world\n');
    expect((await run('cd -; unset GREETING')).exit_code).toBe(0);
    expect((await run('pwd; echo "${GREETING-unset}"')).stdout).toBe('/workspace\nunset\n');
  });

  test.each([
    ['exit 3', 3],
    ['set -e; false; echo no', 1],
    ['exec true', 0],
    ['echo "unbalanced', 2],
    ['sleep 100 &', 0],
    ['cat', 0],
  ])('«%s» returns at once with its code, and the session lives on', async (command, exitCode) => {
    await run('cd /usr; export KEPT=1');
    const startedAtMs = performance.now();
    expect(await run(command)).toMatchObject({ stdout: '', exit_code: exitCode });
    expect(performance.now() - startedAtMs).toBeLessThan(5_000);
    expect((await run('pwd; echo "$KEPT"')).stdout).toBe('/usr\n1\n');
  });

  test('a directory that is gone, /workspace among them, keeps nobody from going on', async () => {
    await run('mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone');
    expect((await run('pwd')).stdout).toBe('/workspace\n');
    await run('cd /workspace; rm -rf /workspace');
    expect(await run('pwd; mkdir /workspace; cd /workspace')).toMatchObject({ stdout: '/home/user\n', exit_code: 0 });
    expect((await run('pwd')).stdout).toBe('/workspace\n');
  });

  test('concurrent execs queue', async () => {
    await run('export LOG=');
    await Promise.all(['a', 'b', 'c', 'd'].map((letter) => run(`sleep 0.1; export LOG=\${LOG}${letter}`)));
    const { stdout } = await run('echo $LOG');
    expect(stdout.trim().split('').toSorted()).toEqual(['a', 'b', 'c', 'd']);
  });

  test('more that wait than a session takes are 429 with Retry-After', async () => {
    const calls = Array.from({ length: 40 }, () =>
      acontext.send('POST', `/sandbox/${id}/exec`, { json: { command: 'sleep 0.5' } }),
    );
    const answers = await Promise.all(calls);
    const refused = answers.find(({ status }) => status !== 200);
    if (!refused) throw new Error('40 at once were all taken');
    expect(failureOf(refused)).toEqual(failure(429, /./));
    expect(refused.headers.get('retry-after')).toBe('1');
    expect((await run('echo on')).stdout).toBe('on\n');
  }, 120_000);

  test('a client that stops waiting ends nothing: its command goes on, and the next one comes after it', async () => {
    await run('cd /workspace');
    const impatient = fetch(`${installation().url}/api/v1/sandbox/${id}/exec`, {
      method: 'POST',
      headers: { authorization: `Bearer ${acontextKeyOf(acontext.tenant.key)}`, 'content-type': 'application/json' },
      body: JSON.stringify({ command: 'touch /tmp/begun; sleep 6; cd /usr; export WENT=on' }),
      signal: AbortSignal.timeout(3_000),
    });
    await expect(impatient).rejects.toThrow(/timeout/);
    expect((await run('ls /tmp/begun; pwd; echo "$WENT"')).stdout).toBe('/tmp/begun\n/usr\non\n');
  });

  test('another sandbox of the tenant has its own', async () => {
    await run('cd /usr; export MINE=1');
    expect((await exec('pwd; echo "${MINE-unset}"')).stdout).toBe('/workspace\nunset\n');
  });
});
