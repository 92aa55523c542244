import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAcontext, type Acontext } from './client.ts';

/** The complete example of ../shared/documents/acontext-sandbox.txt, its first half: line by line, as its SDK's calls go over the wire. */
let acontext: Acontext;
beforeAll(async () => {
  acontext = await createAcontext();
});
afterAll(() => acontext.cleanUp());

interface Runtime {
  sandbox_id: string;
  sandbox_status: string;
  sandbox_expires_at: string;
}
interface Output {
  stdout: string;
  stderr: string;
  exit_code: number;
}

test('the tutorial: create, execute, kill', async () => {
  // sandbox = client.sandboxes.create()
  const sandbox = await acontext.data<Runtime>(201, 'POST', '/sandbox');
  expect(sandbox.sandbox_status).toBe('running');
  expect(Date.parse(sandbox.sandbox_expires_at)).toBeGreaterThan(Date.now() + 29 * 60_000);
  // result = client.sandboxes.exec_command(sandbox_id=sandbox.sandbox_id, command="echo 'Hello from sandbox!' && pwd")
  const path = `/sandbox/${sandbox.sandbox_id}/exec`;
  const result = await acontext.data<Output>(200, 'POST', path, { command: "echo 'Hello from sandbox!' && pwd" });
  expect(result).toEqual({ stdout: 'Hello from sandbox!\n/workspace\n', stderr: '', exit_code: 0 });
  // client.sandboxes.kill(sandbox.sandbox_id)
  expect(await acontext.data(200, 'DELETE', `/sandbox/${sandbox.sandbox_id}`)).toEqual({ status: 0, errmsg: '' });
});

test('the complete example', async () => {
  const said: string[] = [];
  const sandbox = await acontext.data<Runtime>(201, 'POST', '/sandbox');
  said.push(`✓ Created sandbox: ${sandbox.sandbox_id}`);
  const path = `/sandbox/${sandbox.sandbox_id}/exec`;
  let result = await acontext.data<Output>(200, 'POST', path, { command: 'python3 --version' });
  said.push(`✓ Python version: ${result.stdout.trim()}`);
  result = await acontext.data<Output>(200, 'POST', path, { command: "python3 -c 'print(sum(range(10)))'" });
  said.push(`✓ Script output: ${result.stdout.trim()}`);
  await acontext.data(200, 'DELETE', `/sandbox/${sandbox.sandbox_id}`);
  said.push('✓ Sandbox terminated');
  expect(said).toEqual([
    `✓ Created sandbox: ${sandbox.sandbox_id}`,
    expect.stringMatching(/^✓ Python version: Python 3\.\d+\.\d+$/),
    '✓ Script output: 45',
    '✓ Sandbox terminated',
  ]);
});

test('troubleshooting: a sandbox that was killed answers its commands 404', async () => {
  const sandbox = await acontext.data<Runtime>(201, 'POST', '/sandbox');
  await acontext.data(200, 'DELETE', `/sandbox/${sandbox.sandbox_id}`);
  const answer = await acontext.send('POST', `/sandbox/${sandbox.sandbox_id}/exec`, { json: { command: 'true' } });
  expect(answer.status).toBe(404);
});
