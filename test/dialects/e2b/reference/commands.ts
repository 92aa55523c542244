import { expect } from 'vitest';
import { waitFor } from '../../../wait-for.ts';
import type { Guarantees } from './methods.ts';

const DEADLINE_MS = 10_000;
const encode = (text: string) => new TextEncoder().encode(text);

export const commands: Guarantees<'Commands'> = {
  'Commands.run in the foreground': async ({ sandbox }) => {
    const seen: string[] = [];
    const result = await sandbox.commands.run('echo $WORD in $(pwd) as $(whoami); echo err >&2', {
      envs: { WORD: 'this' },
      user: 'root',
      cwd: '/tmp',
      onStdout: (text) => void seen.push(text),
      onStderr: (text) => void seen.push(text),
    });
    expect(result).toMatchObject({ stdout: 'this in /tmp as root\n', stderr: 'err\n', exitCode: 0 });
    expect(seen.sort()).toEqual(['err\n', 'this in /tmp as root\n']);
    await expect(sandbox.commands.run('exit 3')).rejects.toMatchObject({ exitCode: 3 });
  },
  'Commands.run in the background': async ({ sandbox }) => {
    const startedAt = performance.now();
    const handle = await sandbox.commands.run('sleep 5; echo done', { background: true });
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    await expect(handle.wait()).resolves.toMatchObject({ stdout: 'done\n', exitCode: 0 });
  },
  'Commands.list': async ({ sandbox }) => {
    const handle = await sandbox.commands.run('sleep 60', { background: true, envs: { A: 'b' }, cwd: '/tmp' });
    const listed = (await sandbox.commands.list()).find(({ pid }) => pid === handle.pid);
    expect(listed).toMatchObject({ cmd: '/bin/bash', args: ['-l', '-c', 'sleep 60'], envs: { A: 'b' }, cwd: '/tmp' });
    await handle.kill();
  },
  'Commands.kill': async ({ sandbox }) => {
    const { pid } = await sandbox.commands.run('sleep 60', { background: true });
    expect(await sandbox.commands.kill(pid)).toBe(true);
    await waitFor('the command to be gone', async () => !(await sandbox.commands.kill(pid)), DEADLINE_MS);
  },
  'Commands.send_stdin': async ({ sandbox }) => {
    const handle = await sandbox.commands.run('read line; echo got $line', { background: true, stdin: true });
    await sandbox.commands.sendStdin(handle.pid, 'a line\n');
    await expect(handle.wait()).resolves.toMatchObject({ stdout: 'got a line\n' });
  },
  'Commands.connect': async ({ sandbox }) => {
    const { pid } = await sandbox.commands.run('read line; echo $line', { background: true, stdin: true });
    const other = await sandbox.commands.connect(pid);
    await sandbox.commands.sendStdin(pid, 'to both\n');
    await expect(other.wait()).resolves.toMatchObject({ stdout: 'to both\n', exitCode: 0 });
  },
};

export const handles: Guarantees<'CommandHandle'> = {
  'CommandHandle.pid': async ({ sandbox }) => {
    const handle = await sandbox.commands.run('echo $$; sleep 60', { background: true });
    await waitFor('the command to tell its pid', () => handle.stdout !== '', DEADLINE_MS);
    expect(handle.stdout).toBe(`${handle.pid}\n`);
    await handle.kill();
  },
  // In Python an iterator, in JavaScript the callbacks, which get the output as it comes.
  'CommandHandle.__iter__': async ({ sandbox }) => {
    const seen: string[] = [];
    const onStdout = (text: string) => void seen.push(text);
    const handle = await sandbox.commands.run('echo one; read; echo two', { background: true, stdin: true, onStdout });
    await waitFor('the first line', () => seen.length > 0, DEADLINE_MS);
    await sandbox.commands.sendStdin(handle.pid, '\n');
    await handle.wait();
    expect(seen).toEqual(['one\n', 'two\n']);
  },
  'CommandHandle.disconnect': async ({ sandbox, directory }) => {
    const handle = await sandbox.commands.run(`read; touch ${directory}/went-on`, { background: true, stdin: true });
    await handle.disconnect();
    await sandbox.commands.sendStdin(handle.pid, '\n');
    const wentOn = () => sandbox.files.exists(`${directory}/went-on`);
    expect(await waitFor('the command to go on', wentOn, DEADLINE_MS)).toBe(true);
  },
  'CommandHandle.wait': async ({ sandbox }) => {
    const handle = await sandbox.commands.run('echo out; exit 4', { background: true });
    await expect(handle.wait()).rejects.toMatchObject({ exitCode: 4, stdout: 'out\n' });
  },
  'CommandHandle.kill': async ({ sandbox }) => {
    const handle = await sandbox.commands.run('sleep 60', { background: true });
    expect(await handle.kill()).toBe(true);
    await expect(handle.wait()).rejects.toThrow('signal: killed');
  },
};

export const pty: Guarantees<'Pty'> = {
  'Pty.create': async ({ sandbox }) => {
    const shown = new Screen();
    const options = { cols: 80, rows: 24, cwd: '/tmp', envs: { WORD: 'this' }, onData: shown.add };
    const terminal = await sandbox.pty.create(options);
    await sandbox.pty.sendInput(terminal.pid, encode('echo $WORD in $PWD with $TERM; exit 5\n'));
    await expect(terminal.wait()).rejects.toMatchObject({ exitCode: 5 });
    expect(shown.text).toContain('this in /tmp with xterm-256color');
  },
  'Pty.send_stdin': async ({ sandbox }) => {
    const shown = new Screen();
    const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: shown.add });
    await sandbox.pty.sendInput(terminal.pid, encode('echo $((6 * 7))\n'));
    expect(await waitFor('the answer', () => shown.text.includes('42'), DEADLINE_MS)).toBe(true);
    await terminal.kill();
  },
  'Pty.resize': async ({ sandbox }) => {
    const shown = new Screen();
    const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: shown.add });
    await sandbox.pty.resize(terminal.pid, { cols: 101, rows: 33 });
    await sandbox.pty.sendInput(terminal.pid, encode('stty size\n'));
    expect(await waitFor('the new size', () => shown.text.includes('33 101'), DEADLINE_MS)).toBe(true);
    await terminal.kill();
  },
  'Pty.kill': async ({ sandbox }) => {
    const terminal = await sandbox.pty.create({ cols: 80, rows: 24, onData: () => undefined });
    expect(await sandbox.pty.kill(terminal.pid)).toBe(true);
    await expect(terminal.wait()).rejects.toThrow('signal: killed');
    await waitFor('the terminal to be gone', async () => !(await sandbox.pty.kill(terminal.pid)), DEADLINE_MS);
  },
};

class Screen {
  readonly #decoder = new TextDecoder();
  text = '';

  readonly add = (data: Uint8Array): void => {
    this.text += this.#decoder.decode(data, { stream: true });
  };
}
