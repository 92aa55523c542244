import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AgentSession } from '../../runner/agent/session.ts';
import type { RunnerError } from '../../runner/protocol/errors.ts';
import type { ProcessSpec } from '../../runner/protocol/process.ts';
import { waitFor } from '../wait-for.ts';
import type { AgentContainer } from './agent-container.ts';
import {
  Collector,
  docker,
  newProcessId,
  runToEnd,
  specOf,
  startAgentContainer,
  startReader,
  wholeOutput,
} from './agent-container.ts';

let container: AgentContainer;
let session: AgentSession;

beforeAll(async () => {
  container = await startAgentContainer();
  session = container.session;
});
afterAll(() => container.dispose());

describe('identity', () => {
  test('a process has the uid, gid, groups and no capability of its user', async () => {
    await docker('exec', container.containerId, 'sh', '-c', 'groupadd -g 4242 extra && usermod -aG extra user');
    const { stdout } = await runToEnd(session, specOf('id -u; id -g; id -G; grep CapEff /proc/self/status; ls /root'));
    expect(stdout).toMatch(/^1000\n1000\n1000 .*4242.*\nCapEff:\t0000000000000000\n/);
  });

  test('an unknown user, a missing or forbidden directory are refused by name', async () => {
    await expect(runToEnd(session, specOf('true', { user: 'nobody-here' }))).rejects.toMatchObject({
      code: 'user_not_found',
    });
    await expect(runToEnd(session, specOf('true', { cwd: '/not/there' }))).rejects.toMatchObject({
      code: 'cwd_not_found',
    });
    await docker('exec', container.containerId, 'mkdir', '-m', '700', '/forbidden');
    await expect(runToEnd(session, specOf('true', { cwd: '/forbidden' }))).rejects.toMatchObject({
      code: 'cwd_not_found',
    });
  });

  test('the environment is the defaults, the sandbox’s, then the process’s own', async () => {
    const { stdout } = await runToEnd(
      session,
      specOf('echo $HOME $USER $FROM_SANDBOX $OWN; pwd', { env: { OWN: 'mine' } }),
    );
    expect(stdout).toBe('/home/user user yes mine\n/tmp\n');
  });

  test('the agent’s descriptors, environment and memory are not reachable for the user', async () => {
    const script =
      'for f in environ mem fd maps; do cat /proc/*/$f >/dev/null; done 2>&1 | grep -c denied; ls -l /proc/self/fd | wc -l';
    const { stdout } = await runToEnd(session, specOf(script));
    const [denied, descriptors] = stdout.trim().split('\n').map(Number);
    expect(denied).toBeGreaterThan(0);
    expect(descriptors).toBeLessThanOrEqual(5);
  });
});

describe('commands', () => {
  test('exit codes and signals are exact', async () => {
    expect((await runToEnd(session, specOf('exit 37'))).exit).toMatchObject({
      exitCode: 37,
      signal: null,
      reason: 'exited',
    });
    const { exit } = await runToEnd(session, specOf('kill -SEGV $$'));
    expect(exit).toMatchObject({ exitCode: null, signal: 'SIGSEGV', reason: 'signalled' });
  });

  test('what cannot be executed answers like a shell', async () => {
    const argv = (...words: string[]) => specOf('', { command: { kind: 'argv', argv: words } });
    expect(await runToEnd(session, argv('no-such-command'))).toMatchObject({
      exit: { exitCode: 127 },
      stderr: 'no-such-command: command not found\n',
    });
    expect((await runToEnd(session, argv('/etc/passwd'))).exit.exitCode).toBe(126);
    expect((await runToEnd(session, argv('/bin/ls', '/'))).stdout).toContain('home');
  });

  test('a script of 1 MiB runs as with -c, with its stdin untouched', async () => {
    const script = `# ${'x'.repeat(1024 * 1024 - 64)}\necho "$0 $LINENO"; cat`;
    const stdin = { stdin: 'pipe' as const, stdinBase64: btoa('from stdin'), stdinEnds: true };
    expect((await runToEnd(session, specOf(script, stdin))).stdout).toBe('bash 2\nfrom stdin');
  });

  test('stdout and stderr can be opened again by path', async () => {
    const { stdout, stderr } = await runToEnd(session, specOf('echo out >/dev/stdout; echo err >/dev/stderr'));
    expect([stdout, stderr]).toEqual(['out\n', 'err\n']);
  });

  test('a repeated id is refused', async () => {
    const spec = specOf('true');
    await runToEnd(session, spec);
    await expect(session.start(spec, null)).rejects.toMatchObject({ code: 'process_exists' });
  });
});

describe('ends', () => {
  test('at its deadline the whole group dies, also what ignores SIGTERM and what has a group of its own', async () => {
    const script = 'trap "" TERM; set -m; sleep 987 & set +m; sleep 986 & echo ready; wait';
    const { exit } = await runToEnd(session, specOf(script, { timeoutMs: 500 }));
    expect(exit).toMatchObject({ signal: 'SIGKILL', reason: 'deadline' });
    const left = await waitFor(
      'the group to be gone',
      async () => {
        const { stdout } = await runToEnd(session, specOf('cat /proc/[0-9]*/cmdline | tr "\\0" " "', { user: 'root' }));
        return stdout.includes('sleep 98') ? undefined : 'none';
      },
      5_000,
    );
    expect(left).toBe('none');
  });

  test('a background child that holds stdout, silent or not, does not hold the exec', async () => {
    const from = performance.now();
    expect((await runToEnd(session, specOf('sleep 985 & echo begun'))).stdout).toBe('begun\n');
    expect(performance.now() - from).toBeLessThan(2_000);
    await runToEnd(session, specOf('yes & echo begun', { outputLimitBytes: 1000 }));
    expect(performance.now() - from).toBeLessThan(6_000);
    await runToEnd(session, specOf('pkill yes; pkill sleep'));
  });

  test('a SIGKILL is answered once the process is gone', async () => {
    for (let round = 0; round < 20; round += 1) {
      const spec = specOf('exec sleep 1000');
      const { pid } = await session.start(spec, null);
      await session.signal(spec.processId, 'SIGKILL');
      expect((await runToEnd(session, specOf(`kill -0 ${pid}`))).exit.exitCode).not.toBe(0);
    }
  });

  test('a signal by us is told as killed', async () => {
    const spec = specOf('echo up; sleep 984');
    const { sink } = await startReader(session, spec, wholeOutput);
    await waitFor('output', () => sink.stdout.length > 0, 5_000);
    await session.signal(spec.processId, 'SIGTERM');
    expect(await sink.ended).toMatchObject({ signal: 'SIGTERM', reason: 'killed' });
  });

  test('the 257th live process is refused, and ending one makes room', async () => {
    const running = await session.list();
    const free = 256 - running.filter(({ exit }) => exit === null).length;
    const specs = Array.from({ length: free }, () => specOf('', { command: { kind: 'argv', argv: ['sleep', '983'] } }));
    for (const spec of specs) await session.start(spec, null);
    await expect(session.start(specOf('true'), null)).rejects.toMatchObject({ code: 'too_many_processes' });
    const collectors = await Promise.all(
      specs.map(async ({ processId }) => {
        const sink = new Collector();
        await session.attach(processId, { ...wholeOutput, output: false }, sink);
        await session.signal(processId, 'SIGKILL');
        return sink;
      }),
    );
    for (const sink of collectors) expect((await sink.ended).signal).toBe('SIGKILL');
    expect((await runToEnd(session, specOf('echo again'))).stdout).toBe('again\n');
  });
});

describe('stdin and terminals', () => {
  test('10,000 lines arrive in order, and a reader that is slow is waited for', async () => {
    const spec = specOf('sleep 0.3; cat | sha256sum; echo done', { stdin: 'pipe' });
    const { sink } = await startReader(session, spec, wholeOutput);
    const line = (at: number): Uint8Array => Buffer.from(`line ${at} ${'y'.repeat(200)}\n`);
    for (let at = 0; at < 10_000; at += 1) await session.writeStdin(spec.processId, line(at));
    await session.closeStdin(spec.processId);
    await sink.ended;
    const own = await runToEnd(
      session,
      specOf(`y=$(printf 'y%.0s' {1..200}); for i in {0..9999}; do echo "line $i $y"; done | sha256sum; echo done`),
    );
    expect(sink.stdout.toString()).toBe(own.stdout);
    await expect(session.writeStdin(spec.processId, line(0))).rejects.toMatchObject({ code: 'stdin_closed' });
  });

  test('what a process that does not read has no room for is refused whole, and can be sent again', async () => {
    const pieces = Array.from('abcdefgh', (letter) => Buffer.alloc(256 * 1024, letter));
    const whole = createHash('sha256').update(Buffer.concat(pieces)).digest('hex');
    const throughPipeOrTerminal = async (over: Partial<ProcessSpec>): Promise<void> => {
      const go = `/tmp/go-${newProcessId()}`;
      const raw = over.pty ? 'stty raw -echo; ' : '';
      const script = `${raw}echo up; until [ -e ${go} ]; do sleep 0.05; done; head -c ${8 * 256 * 1024} | sha256sum`;
      const spec = specOf(script, { stdin: 'pipe', ...over });
      const { sink } = await startReader(session, spec, wholeOutput);
      await waitFor('it to run', () => sink.stdout.includes('up'), 5_000);
      const written = await Promise.allSettled(pieces.map((piece) => session.writeStdin(spec.processId, piece)));
      const refused = pieces.filter((_, at) => written[at]?.status === 'rejected');
      const reasons = written.flatMap((one) => (one.status === 'rejected' ? [one.reason as RunnerError] : []));
      expect(new Set(reasons.map(({ code }) => code))).toEqual(new Set(['deadline_exceeded']));
      await runToEnd(session, specOf(`touch ${go}`));
      for (const piece of refused) await session.writeStdin(spec.processId, piece);
      await sink.ended;
      expect(sink.stdout.toString()).toContain(whole);
    };
    await Promise.all([throughPipeOrTerminal({}), throughPipeOrTerminal({ pty: { cols: 80, rows: 24 } })]);
  });

  test('a terminal is the user’s own, controls jobs, resizes and ends', async () => {
    const spec = specOf('', {
      command: { kind: 'argv', argv: ['bash', '--norc'] },
      stdin: 'pipe',
      pty: { cols: 90, rows: 20 },
    });
    const { sink } = await startReader(session, spec, wholeOutput);
    const type = (text: string): Promise<void> => session.writeStdin(spec.processId, Buffer.from(text));
    await type('stat -c %U $(tty); stty size\n');
    await waitFor('the size', () => sink.stdout.includes('20 90'), 5_000);
    expect(sink.stdout.toString()).toContain('user\r\n');
    await session.resize(spec.processId, { cols: 50, rows: 10 });
    // It says itself that it runs, so it is the foreground job: an interrupt before that would be the shell's, which waits on.
    await type('stty size; sh -c \'echo as""leep; exec sleep 982\'\n');
    await waitFor('the new size', () => sink.stdout.includes('10 50'), 5_000);
    await waitFor('the job', () => sink.stdout.includes('asleep'), 5_000);
    await type('\u0003');
    await type('echo in""terrupted; exit 5\n');
    expect((await sink.ended).exitCode).toBe(5);
    expect(sink.stdout.toString()).toContain('interrupted');
    await expect(session.resize(newProcessId(), { cols: 1, rows: 1 })).rejects.toMatchObject({
      code: 'process_not_found',
    });
  });
});
