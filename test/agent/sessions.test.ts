import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AgentSession } from '../../runner/agent/session.ts';
import type { ProcessSpec } from '../../runner/protocol/process.ts';
import { waitFor } from '../wait-for.ts';
import type { AgentContainer } from './agent-container.ts';
import { Collector, docker, runToEnd, specOf, startAgentContainer, wholeOutput } from './agent-container.ts';

let container: AgentContainer;
let session: AgentSession;

beforeAll(async () => {
  container = await startAgentContainer();
  session = container.session;
});
afterAll(() => container.dispose());

let count = 0;
/** Commands of a session of their own. */
function newSession(): (script: string, over?: Partial<ProcessSpec>) => ReturnType<typeof runToEnd> {
  count += 1;
  const name = `s${count}`;
  return (script, over = {}) => runToEnd(session, specOf(script, { session: name, ...over }));
}

const begin = async (script: string, over: Partial<ProcessSpec>) => {
  const sink = new Collector();
  const spec = specOf(script, over);
  await session.start(spec, { attach: wholeOutput, sink });
  return { spec, sink };
};

describe('what a session keeps', () => {
  test('the directory, exported variables and their removal; nothing that was not exported', async () => {
    const run = newSession();
    await run(
      'cd /usr/share; export A="a \'b\' \\"c\\" \\$d" B=$\'line\\nline\\t\\x01é\'; C=plain; unset FROM_SANDBOX',
    );
    const { stdout } = await run('pwd; printf "%s|%s|%s|%s\\n" "$A" "$B" "$C" "$FROM_SANDBOX"; cd -; env | sort');
    const expected = '/usr/share\na \'b\' "c" $d|line\nline\t\x01é||\n/tmp\n';
    expect(stdout.slice(0, expected.length)).toBe(expected);
    expect(stdout).not.toContain('glovebox');
    expect(stdout).toContain('SHLVL=1\n');
    await run('unset A');
    expect((await run('echo "${A-gone}"; pwd')).stdout).toBe('gone\n/tmp\n');
  });

  test('the way into a directory by a link', async () => {
    const run = newSession();
    await run('mkdir -p /tmp/real && ln -sfn real /tmp/link; cd /tmp/link');
    expect((await run('pwd; pwd -P; cd ..; pwd')).stdout).toBe('/tmp/link\n/tmp/real\n/tmp\n');
  });

  test('no option, function, trap, alias or descriptor', async () => {
    const run = newSession();
    await run(
      'set -eux; f() { echo f; }; export -f f; alias ll=ls; trap "echo trap" EXIT; exec 5>/tmp/five; export SHELLOPTS',
    );
    const { stdout, stderr } = await run(
      'echo "$-"; type f; false; echo on; ls /proc/self/fd | wc -l; echo "$NOT_SET"',
    );
    expect(stdout).toMatch(/^hB?c\non\n4\n\n$/);
    expect(stderr).toBe('bash: line 1: type: f: not found\n');
  });

  test('a variable that was given to one command stays that command’s; one that it changed is kept', async () => {
    const run = newSession();
    await run('export KEPT=old; echo', { env: { KEPT: 'given', ONCE: 'x', CHANGED: 'x', FROM_SANDBOX: 'given' } });
    await run('export CHANGED=mine', { env: { CHANGED: 'given', KEPT: 'given', ONCE: 'x' } });
    expect((await run('echo "$KEPT|$ONCE|$CHANGED|$FROM_SANDBOX"')).stdout).toBe('old||mine|yes\n');
  });

  test('a directory that was asked for, and not one that is gone', async () => {
    const run = newSession();
    expect((await run('pwd', { cwd: '/usr' })).stdout).toBe('/usr\n');
    expect((await run('pwd; mkdir -p /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; export STILL=here')).stdout).toBe(
      '/usr\n',
    );
    expect(await run('pwd; echo $STILL')).toMatchObject({ stdout: '/tmp\nhere\n', stderr: '', exit: { exitCode: 0 } });
  });

  test('is each user’s own, and seen by an argv too', async () => {
    const run = newSession();
    await run('cd /usr; export PATH=/nowhere:$PATH MINE=1');
    expect((await run('echo "$MINE"; pwd', { user: 'root' })).stdout).toBe('\n/tmp\n');
    const argv = { command: { kind: 'argv' as const, argv: ['printenv', 'MINE', 'PWD'] } };
    expect((await run('', argv)).stdout).toBe('1\n/usr\n');
  });

  test('nothing over 256 KiB: then the state before it', async () => {
    const run = newSession();
    await run('export A=1');
    await run(
      'export A=2 B=$(head -c 130000 /dev/zero | tr "\\0" b) C=$(head -c 130000 /dev/zero | tr "\\0" c); export D=$B',
    );
    expect((await run('echo "$A${#B}"')).stdout).toBe('10\n');
    await run('export A=3 B=$(head -c 131072 /dev/zero | tr "\\0" b)');
    expect((await run('echo "$A${#B}"')).stdout).toBe('10\n');
  });

  test('a login shell reads the profile and saves all the same', async () => {
    const run = newSession();
    await run('cd /usr; export A=1', { command: { kind: 'shell', script: 'cd /usr; export A=1', login: true } });
    expect((await run('pwd; echo $A')).stdout).toBe('/usr\n1\n');
  });
});

describe('a command that ends its shell', () => {
  const endings: [string, string, number | null][] = [
    ['exit', 'exit 3', 3],
    ['exit in a function', 'f() { exit 4; }; f', 4],
    ['set -e', 'set -e; false; echo no', 1],
    ['set -e by the last command', 'set -e; [ -d /not/there ] && echo no', 1],
    ['an unset variable', 'set -u; echo $nope; echo no', 127],
    ['exec of nothing', 'exec not-there', 127],
    ['unbalanced quotes', 'echo "unbalanced', 2],
    ['standard input, which is empty', 'cat', 0],
    ['a job that holds stdout', 'sleep 100 &', 0],
    ['files on the descriptors that the state uses', 'exec 3>/tmp/3 4>&3 10>/tmp/10 11>&10; f() { exit 5; }; f', 5],
    ['its own EXIT trap', 'trap "echo trapped" EXIT', 0],
  ];
  test.each(endings)('%s', async (_name, script, exitCode) => {
    const run = newSession();
    await run('cd /usr/share');
    const before = performance.now();
    const first = await run(`export A=1; ${script}`);
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(first.exit).toMatchObject({ exitCode, reason: 'exited' });
    expect(first.stdout).not.toContain('no\n');
    const saved = script.includes('unbalanced') || script.includes('> &') ? '' : '1';
    expect((await run('pwd; echo "$A"; cat /tmp/3 /tmp/10 2>/dev/null; rm -f /tmp/3 /tmp/10')).stdout).toMatch(
      new RegExp(`^/usr/share\n${saved}\n$`),
    );
  });

  test('exec, a signal or its deadline: the state before it stays', async () => {
    const run = newSession();
    await run('cd /usr; export A=1');
    expect(await run('cd /; export A=2; exec echo replaced')).toMatchObject({ stdout: 'replaced\n' });
    expect((await run('cd /; export A=3; kill -KILL $$')).exit).toMatchObject({
      signal: 'SIGKILL',
      reason: 'signalled',
    });
    expect((await run('cd /; export A=4; sleep 100', { timeoutMs: 200 })).exit).toMatchObject({ reason: 'deadline' });
    expect((await run('pwd; echo $A')).stdout).toBe('/usr\n1\n');
  });

  test('its own EXIT trap runs once, at the end, with its status', async () => {
    const run = newSession();
    expect(await run('trap \'echo "bye $?"\' EXIT; cd /usr; false')).toMatchObject({
      stdout: 'bye 1\n',
      exit: { exitCode: 1 },
    });
    expect((await run('pwd')).stdout).toBe('/usr\n');
    expect(await run("trap 'echo bye' EXIT; cd /; exit 6")).toMatchObject({ stdout: 'bye\n', exit: { exitCode: 6 } });
  });
});

describe('what a command sees and says', () => {
  test('is as with `bash -c`: names, numbers, messages, a trace of its own commands only', async () => {
    const run = newSession();
    expect(await run('echo "$0 $# $LINENO"\nnope\necho $LINENO; set -x; true')).toMatchObject({
      stdout: 'bash 0 1\n3\n',
      stderr: 'bash: line 2: nope: command not found\n++ true\n',
    });
    expect((await run('echo "unbalanced')).stderr).toMatch(/^bash: eval: line 1: unexpected EOF/);
    expect((await run('ls /proc/self/fd; set | grep -ci glovebox_')).stdout).toBe('0\n1\n2\n3\n0\n');
  });

  test('a command may have functions named as builtins, and no standard error', async () => {
    const run = newSession();
    const names = ['set', 'exit', 'pwd', 'printf', 'export', '[', 'trap'];
    const functions = names.map((name) => `${name}() { echo "my ${name}"; }`).join('; ');
    expect(await run(`cd /usr; export A=1; ${functions}; exec 2>&-; false`)).toMatchObject({
      stdout: '',
      stderr: '',
      exit: { exitCode: 1 },
    });
    expect((await run('pwd; echo $A')).stdout).toBe('/usr\n1\n');
  });

  test('a command of a megabyte is one like any other', async () => {
    const run = newSession();
    const long = `: '${'x'.repeat(1024 * 1024 - 200)}'`;
    expect(await run(`cd /usr; export A=1; echo $#; ${long}\nls /proc/self/fd; exit 3`)).toMatchObject({
      stdout: '0\n0\n1\n2\n3\n',
      exit: { exitCode: 3 },
    });
    expect((await run('pwd; echo $A')).stdout).toBe('/usr\n1\n');
  });

  test('an image with a plain sh only', async () => {
    const hide = 'mv /bin/bash /bin/bash.hidden; true';
    const shown = 'mv /bin/bash.hidden /bin/bash';
    await docker('exec', container.containerId, 'sh', '-c', hide);
    try {
      const run = newSession();
      await run("cd /usr; export A='it'\"'\"'s'; exit 3");
      expect(await run('pwd; echo "$A $0"')).toMatchObject({ stdout: "/usr\nit's sh\n", stderr: '' });
      const long = `: '${'x'.repeat(200_000)}'`;
      expect(await run(`cd /; ${long}\nexport A=2; exit 4`)).toMatchObject({ stderr: '', exit: { exitCode: 4 } });
      expect((await run('pwd; echo "$A"')).stdout).toBe('/\n2\n');
    } finally {
      await docker('exec', container.containerId, 'sh', '-c', shown);
    }
  });
});

describe('commands of one session', () => {
  const until = (path: string) => `until [ -e ${path} ]; do sleep 0.02; done`;

  test('run one after another in the order of their arrival, those of others meanwhile', async () => {
    const order = { session: 'order' };
    const logged = (i: number) => `export LOG="\${LOG}${i}"; sleep 0.02; echo $LOG`;
    const runs = await Promise.all(
      Array.from({ length: 8 }, (_, i) => begin(`${i === 0 ? until('/tmp/go-order') : ':'}; ${logged(i)}`, order)),
    );
    const beside = await begin('echo beside', { session: 'another' });
    await beside.sink.ended;
    expect(runs.at(-1)?.sink.exitEvent).toBeUndefined();
    await docker('exec', container.containerId, 'touch', '/tmp/go-order');
    await Promise.all(runs.map(({ sink }) => sink.ended));
    expect(runs.map(({ sink }) => sink.stdout.toString())).toEqual(
      runs.map((_, i) => `${'01234567'.slice(0, i + 1)}\n`),
    );
  });

  test('that wait are listed, and end by a signal or at their deadline without having run', async () => {
    const waits = { session: 'waits' };
    const first = await begin('sleep 100', waits);
    const late = await begin('touch /tmp/late', { ...waits, timeoutMs: 200 });
    const killed = await begin('touch /tmp/killed', waits);
    const last = await begin('ls /tmp/late /tmp/killed; echo last', waits);
    expect(await late.sink.ended).toMatchObject({ exitCode: null, reason: 'deadline' });
    await session.signal(killed.spec.processId, 'SIGTERM');
    expect(await killed.sink.ended).toMatchObject({ reason: 'killed' });
    expect((await session.list()).find(({ processId }) => processId === last.spec.processId)).toMatchObject({
      exit: null,
    });
    await session.signal(first.spec.processId, 'SIGKILL');
    expect(await last.sink.ended).toMatchObject({ exitCode: 0 });
    expect(last.sink.stdout.toString()).toBe('last\n');
  });

  test('whose time has passed while the sandbox stood still do not run', async () => {
    const frozen = { session: 'frozen' };
    const first = await begin('sleep 3', frozen);
    const late = await begin('touch /tmp/thawed', { ...frozen, timeoutMs: 4_000 });
    await docker('pause', container.containerId);
    const pausedAt = performance.now();
    await waitFor('its time to pass', () => performance.now() - pausedAt > 4_500, 10_000);
    await docker('unpause', container.containerId);
    await first.sink.ended;
    expect(await late.sink.ended).toMatchObject({ reason: 'deadline' });
    expect((await runToEnd(session, specOf('ls /tmp/thawed'))).exit.exitCode).toBe(2);
  });

  test('are refused when 32 wait, or what waits holds 16 MiB', async () => {
    const full = { session: 'full' };
    const first = await begin('sleep 100', full);
    const waiting = [];
    for (let i = 0; i < 32; i += 1) waiting.push(await begin('true', full));
    await expect(begin('true', full)).rejects.toMatchObject({ code: 'too_many_processes' });
    const long = `: '${'x'.repeat(1024 * 1024 - 10)}'`;
    const other = await begin('sleep 100', { session: 'large' });
    for (let i = 0; i < 15; i += 1) await begin(long, { session: 'large' });
    await expect(begin(long, { session: 'large' })).rejects.toMatchObject({ code: 'too_many_processes' });
    await session.signal(first.spec.processId, 'SIGKILL');
    await session.signal(other.spec.processId, 'SIGKILL');
    // A signal is answered once it is sent; until the first has ended all 32 may wait as before.
    for (const { sink } of waiting) expect((await sink.ended).exitCode).toBe(0);
    expect((await runToEnd(session, specOf('echo free', full))).stdout).toBe('free\n');
  });

  test('that cannot be started any more when their turn comes say so', async () => {
    const gone = { session: 'gone' };
    await docker('exec', container.containerId, 'mkdir', '/tmp/asked');
    await begin(`${until('/tmp/go-asked')}; sudo -n true; rmdir /tmp/asked`, { ...gone, user: 'root' });
    const next = await begin('echo no', { ...gone, user: 'root', cwd: '/tmp/asked' });
    await docker('exec', container.containerId, 'touch', '/tmp/go-asked');
    expect(await next.sink.ended).toMatchObject({ exitCode: 126 });
    expect(next.sink.stderr.toString()).toContain('does not exist');
    expect((await runToEnd(session, specOf('echo on', { ...gone, user: 'root' }))).stdout).toBe('on\n');
  });

  test('an unknown user, a missing directory or a terminal is refused at once, and the session is free', async () => {
    const refused = { session: 'refused' };
    await expect(begin('true', { ...refused, user: 'nobody-here' })).rejects.toMatchObject({ code: 'user_not_found' });
    await expect(begin('true', { ...refused, cwd: '/not/there' })).rejects.toMatchObject({ code: 'cwd_not_found' });
    const pty = { cols: 80, rows: 24 };
    await expect(begin('true', { ...refused, pty })).rejects.toMatchObject({ code: 'invalid_argument' });
    expect((await runToEnd(session, specOf('echo free', refused))).stdout).toBe('free\n');
  });

  test('the sandbox’s end ends them all, and none begins', async () => {
    const own = await startAgentContainer();
    try {
      const sinks = [new Collector(), new Collector(), new Collector()];
      for (const sink of sinks) {
        const spec = specOf('trap "" TERM; sleep 100; true', { session: 'ends' });
        await own.session.start(spec, { attach: wholeOutput, sink });
      }
      await own.session.terminateAll(300);
      const exits = await Promise.all(sinks.map((sink) => sink.ended));
      expect(exits.map(({ reason }) => reason)).toEqual(['sandbox_ended', 'sandbox_ended', 'sandbox_ended']);
    } finally {
      await own.dispose();
    }
  });

  test('sessions beyond 64 push out the one that was idle for longest', async () => {
    const own = await startAgentContainer();
    try {
      const run = (name: string, script: string) => runToEnd(own.session, specOf(script, { session: name }));
      await run('first', 'export A=1');
      await run('used', 'export A=1');
      for (let i = 0; i < 62; i += 1) await run(`n${i}`, 'true');
      await run('used', 'true');
      await run('one-more', 'true');
      expect((await run('used', 'echo "$A"')).stdout).toBe('1\n');
      expect((await run('first', 'echo "$A"')).stdout).toBe('\n');
    } finally {
      await own.dispose();
    }
  });
});
