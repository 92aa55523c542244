import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../wait-for.ts';
import { allEvents, errorOf, eventsOf, type ExecResult, type Parsed, TestSandbox, textOf } from './calls.ts';

let sandbox: TestSandbox;
beforeAll(async () => {
  sandbox = await TestSandbox.create();
});
afterAll(() => sandbox.cleanUp());

/** Until somebody makes that file: a command that lasts just as long as a test needs it to. */
const until = (file: string): string => `until [ -e ${file} ]; do sleep 0.02; done`;

let count = 0;
/** Commands of a session of their own. */
const newSession = () => {
  count += 1;
  const session = `session-${count}`;
  return (command: string | string[], options: Record<string, unknown> = {}): Promise<ExecResult> =>
    sandbox.exec(command, { session, ...options });
};

describe('in a session', () => {
  test('cd, export and unset persist, and stdout holds what the command prints and nothing else', async () => {
    const run = newSession();
    expect(await run('cd /usr/share; export GREETING="höi \'you\'" GONE=1')).toMatchObject({
      stdout: '',
      stderr: '',
      exitCode: 0,
    });
    expect(await run('unset GONE; plain=1')).toMatchObject({ stdout: '', stderr: '' });
    expect(await run('pwd; echo "$GREETING|${GONE-unset}|${plain-unset}"')).toMatchObject({
      stdout: "/usr/share\nhöi 'you'|unset|unset\n",
      stderr: '',
    });
    expect((await run(['printenv', 'GREETING', 'PWD'])).stdout).toBe("höi 'you'\n/usr/share\n");
    expect((await sandbox.exec('pwd; echo "${GREETING-unset}"')).stdout).toBe('/home/user\nunset\n');
  });

  test('the text editor of an agent sees its first line first and the exit code of the last pipeline', async () => {
    const run = newSession();
    await run('cd /tmp; set -x');
    const view = `if [ ! -f 'f' ]; then echo 'FILE_NOT_FOUND'; exit 1; fi; echo "TOTAL:$(wc -l < 'f')"; head -n 200 'f' | nl -ba`;
    expect(await run(view)).toMatchObject({ stdout: 'FILE_NOT_FOUND\n', exitCode: 1, stderr: '' });
    const content = Buffer.from('one\ntwo\n').toString('base64');
    const create = `is_update=$(test -f 'f' && echo 1 || echo 0); mkdir -p '.' && echo '${content}' | base64 -d > 'f' && echo "STATUS:$is_update"`;
    expect(await run(create)).toMatchObject({ stdout: 'STATUS:0\n', exitCode: 0 });
    expect(await run(view)).toMatchObject({ stdout: 'TOTAL:2\n     1\tone\n     2\ttwo\n', exitCode: 0, stderr: '' });
    expect((await run('true | false')).exitCode).toBe(1);
  });

  test.each([
    ['exit 3', 3],
    ['set -e; false; echo no', 1],
    ['set -o pipefail; false | true', 1],
    ['exec true', 0],
    ['exec no-such-program', 127],
    ['echo "unbalanced', 2],
    ['sleep 100 &', 0],
    ['cat', 0],
    ['trap "exit 9" EXIT; true', 9],
  ])('«%s» answers at once with its exit code, and the session lives on', async (command, exitCode) => {
    const run = newSession();
    await run('cd /usr; export KEPT=1');
    const before = performance.now();
    const result = await run(command);
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(result).toMatchObject({ exitCode, stdout: '', reason: 'exited' });
    expect((await run('pwd; echo $KEPT; echo $-; trap -p')).stdout).toMatch(/^\/usr\n1\nhB?c\n/);
  });

  test('cwd is for this command and from then on; env for this command; a directory that is gone is the default', async () => {
    const run = newSession();
    expect((await run('pwd', { cwd: '/usr', env: { ONCE: '1' } })).stdout).toBe('/usr\n');
    expect((await run('pwd; echo "${ONCE-unset}"; mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone')).stdout).toBe(
      '/usr\nunset\n',
    );
    expect(await run('pwd')).toMatchObject({ stdout: '/home/user\n', stderr: '', exitCode: 0 });
  });

  test('a command of a megabyte works as any', async () => {
    const run = newSession();
    const text = 'x'.repeat(1024 * 1024 - 100);
    expect((await run(`cd /usr; export LONG=1; printf %s '${text}' | wc -c`)).stdout).toBe(`${text.length}\n`);
    const half = 'y'.repeat(150_000);
    expect(await run(`pwd; echo $LONG; printf %s '${half}' | wc -c; exit 4`)).toMatchObject({
      stdout: `/usr\n1\n${half.length}\n`,
      exitCode: 4,
    });
  });

  test('what a command killed at its deadline did is not kept; what was before is', async () => {
    const run = newSession();
    await run('cd /usr; export KEPT=1');
    const killed = await run('cd /; export KEPT=2; echo begun; sleep 100', { timeoutMs: 2_000 });
    expect(killed).toMatchObject({ exitCode: 124, reason: 'deadline', timedOut: true, stdout: 'begun\n' });
    expect((await run('pwd; echo $KEPT')).stdout).toBe('/usr\n1\n');
  });

  test('a stream is of its output, too', async () => {
    const session = 'streamed';
    await allEvents(await sandbox.stream('cd /usr; export KEPT=1', { session }));
    const events = await allEvents(await sandbox.stream('pwd; echo $KEPT; exit 5', { session }));
    expect(textOf(events, 'stdout')).toBe('/usr\n1\n');
    expect(events.at(-1)).toMatchObject({ event: 'exit', data: { exitCode: 5 } });
  });

  test('each user has its own', async () => {
    const run = newSession();
    await run('cd /usr; export MINE=1');
    expect((await run('id -un; pwd; echo "${MINE-unset}"', { user: 'root' })).stdout).toBe('root\n/home/user\nunset\n');
  });

  test.each(['', 'a b', 'a/b', 'x'.repeat(65)])('a name like «%s» is refused', async (session) => {
    const answer = await sandbox.call('/exec', { method: 'POST', json: { command: 'true', session } });
    expect(await errorOf(answer)).toMatchObject({ status: 400, code: 'invalid_argument' });
  });
});

describe('commands of one session', () => {
  test('run one after another; those of others and of none run meanwhile', async () => {
    const run = newSession();
    const before = await listed(sandbox);
    const arrived = (commands: number) =>
      waitFor('it to arrive', async () => (await listed(sandbox)) === before + commands, 5_000);
    const first = run(`${until('/tmp/go-1')}; export LOG=first; echo done > /tmp/first-done`);
    await arrived(1);
    const second = run('cat - /tmp/first-done; export LOG=$LOG,second', { stdin: 'given, ' });
    await arrived(2);
    const third = run('echo $LOG', { timeoutMs: 30_000 });
    expect((await newSession()('cat /tmp/first-done')).exitCode).toBe(1);
    expect((await sandbox.exec('cat /tmp/first-done; touch /tmp/go-1')).stdout).toBe('');
    expect([(await first).exitCode, (await second).stdout, (await third).stdout]).toEqual([
      0,
      'given, done\n',
      'first,second\n',
    ]);
  });

  test('whose deadline passes while they wait never run and say so', async () => {
    const run = newSession();
    const before = await listed(sandbox);
    const first = run(until('/tmp/go-2'));
    await waitFor('it to run', async () => (await listed(sandbox)) === before + 1, 5_000);
    const late = await run('touch /tmp/never', { timeoutMs: 300 });
    expect(late).toMatchObject({ exitCode: 124, reason: 'deadline', timedOut: true, stdout: '', stderr: '' });
    await sandbox.exec('touch /tmp/go-2');
    expect((await first).exitCode).toBe(0);
    expect((await run('ls /tmp/never')).exitCode).toBe(2);
  });

  test('are refused with 429 when 32 wait, and the session goes on', async () => {
    const run = newSession();
    const session = `session-${count}`;
    const first = await sandbox.stream('sleep 100', { session });
    const [started] = await firstEvents(first);
    const calls = Array.from({ length: 40 }, () =>
      sandbox.call('/exec', { method: 'POST', json: { command: 'echo ran', session } }),
    );
    let refused = 0;
    for (const call of calls) void call.then(({ status }) => (refused += status === 429 ? 1 : 0));
    await waitFor('all others to be refused', () => refused === 8, 10_000);
    await sandbox.json(`/processes/${String(started?.data.processId)}/signal`, {
      method: 'POST',
      json: { signal: 'SIGKILL' },
      status: 204,
    });
    const answers = await Promise.all(calls);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(32);
    const tooMany = answers.filter(({ status }) => status === 429);
    expect(tooMany).toHaveLength(8);
    for (const answer of tooMany) expect(await errorOf(answer)).toMatchObject({ code: 'too_many_processes' });
    expect((await run('echo on')).stdout).toBe('on\n');
  });

  test('are in the history as they were given', async () => {
    const own = await TestSandbox.create();
    try {
      const command = 'echo "as given"; exit 7';
      await own.exec(command, { session: 's' });
      const entry = await waitFor(
        'the history',
        async () => {
          const { entries } = await own.json<{ entries: { command?: string }[] }>('/logs');
          return entries.find((candidate) => candidate.command !== undefined);
        },
        15_000,
        500,
      );
      expect(entry).toMatchObject({ command, exitCode: 7 });
    } finally {
      await own.cleanUp();
    }
  });
});

describe('when the sandbox', () => {
  test('is paused, a command that waits runs after it was resumed, unless its deadline has passed', async () => {
    const own = await TestSandbox.create();
    try {
      const session = 's';
      const first = own.exec(`${until('/tmp/go')}; export A=1`, { session });
      await waitFor('it to run', async () => (await listed(own)) === 1, 5_000);
      const late = own.exec('touch /tmp/late', { session, timeoutMs: 5_000 });
      const last = own.exec('echo $A; ls /tmp/late', { session });
      await waitFor('both to wait', async () => (await listed(own)) === 3, 5_000);
      await own.json('/pause', { method: 'POST' });
      expect(await late).toMatchObject({ exitCode: 124, reason: 'deadline' });
      await own.json('/resume', { method: 'POST', json: {} });
      await own.exec('touch /tmp/go');
      expect(await first).toMatchObject({ exitCode: 0 });
      expect(await last).toMatchObject({ stdout: '1\n', exitCode: 2 });
    } finally {
      await own.cleanUp();
    }
  });

  test('is killed, the commands that run and that wait end with it', async () => {
    const own = await TestSandbox.create();
    try {
      const session = 's';
      const calls = ['sleep 100', 'sleep 101', 'sleep 102'].map((command) => own.exec(command, { session }));
      await waitFor('them to be there', async () => (await listed(own)) === 3, 5_000);
      await own.call('', { method: 'DELETE' });
      const before = performance.now();
      for (const result of await Promise.all(calls))
        expect(result).toMatchObject({ exitCode: null, reason: 'sandbox_ended' });
      expect(performance.now() - before).toBeLessThan(5_000);
    } finally {
      await own.cleanUp();
    }
  });
});

const listed = async (own: TestSandbox): Promise<number> => {
  const { processes } = await own.json<{ processes: { running: boolean }[] }>('/processes');
  return processes.filter(({ running }) => running).length;
};

const firstEvents = async (response: Response): Promise<Parsed[]> => {
  for await (const event of eventsOf(response)) return [event];
  return [];
};
