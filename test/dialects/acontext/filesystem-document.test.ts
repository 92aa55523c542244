import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAcontext, type Acontext } from './client.ts';
import { formOf } from './form.ts';

/** The filesystem half of the user's documents (acontext-filesystem.txt, acontext-sandbox.txt), line by line, as the Python SDK puts it on the wire. */
let acontext: Acontext;
beforeAll(async () => {
  acontext = await createAcontext();
});
afterAll(() => acontext.cleanUp());

interface Sandbox {
  sandbox_id: string;
}
interface Output {
  stdout: string;
  stderr: string;
  exit_code: number;
}
interface Artifact {
  path: string;
  filename: string;
}

const create = () => acontext.data<Sandbox>(201, 'POST', '/sandbox');
const exec = (sandbox: Sandbox, command: string) =>
  acontext.data<Output>(200, 'POST', `/sandbox/${sandbox.sandbox_id}/exec`, { command });
const kill = (sandbox: Sandbox) => acontext.data(200, 'DELETE', `/sandbox/${sandbox.sandbox_id}`);
const createDisk = () => acontext.data<{ id: string }>(201, 'POST', '/disk');
const upsert = async (disk: { id: string }, filename: string, content: string, filePath: string): Promise<Artifact> => {
  const { body, type } = formOf([
    { name: 'file_path', value: filePath },
    { name: 'file', value: content, filename },
  ]);
  const answer = await acontext.send('POST', `/disk/${disk.id}/artifact`, { body, type });
  expect(answer.status).toBe(201);
  return answer.body.data as Artifact;
};
const downloadToSandbox = (disk: { id: string }, sandbox: Sandbox, filename: string) =>
  acontext.data(200, 'POST', `/disk/${disk.id}/artifact/download_to_sandbox`, {
    file_path: '/input/',
    filename,
    sandbox_id: sandbox.sandbox_id,
    sandbox_path: '/workspace/',
  });
const uploadFromSandbox = (disk: { id: string }, sandbox: Sandbox, filename: string) =>
  acontext.data<Artifact>(201, 'POST', `/disk/${disk.id}/artifact/upload_from_sandbox`, {
    sandbox_id: sandbox.sandbox_id,
    sandbox_path: '/workspace/',
    sandbox_filename: filename,
    file_path: '/output/',
  });
const contentOf = async (disk: { id: string }, path: string) => {
  const query = new URLSearchParams({ file_path: path, with_content: 'true' });
  const got = await acontext.data<{ content: { raw: string } }>(200, 'GET', `/disk/${disk.id}/artifact?${query}`);
  return got.content.raw;
};

test('the filesystem steps: upload, download to the sandbox, process, upload the result, read it back', async () => {
  const disk = await createDisk();
  const sandbox = await create();
  const uploaded = await upsert(disk, 'data.txt', 'Hello from disk!\nProcess this in sandbox.', '/input/');
  expect(`${uploaded.path}${uploaded.filename}`).toBe('/input/data.txt');
  expect(await downloadToSandbox(disk, sandbox, 'data.txt')).toEqual({ success: true });
  const read = await exec(sandbox, 'cat /workspace/data.txt');
  expect(read.stdout).toBe('Hello from disk!\nProcess this in sandbox.');
  await exec(sandbox, 'wc -l /workspace/data.txt > /workspace/result.txt');
  expect((await exec(sandbox, 'cat /workspace/result.txt')).stdout).toBe('1 /workspace/data.txt\n');
  const saved = await uploadFromSandbox(disk, sandbox, 'result.txt');
  expect(`${saved.path}${saved.filename}`).toBe('/output/result.txt');
  expect(await contentOf(disk, '/output/result.txt')).toBe('1 /workspace/data.txt\n');
  await kill(sandbox);
  // «The disk and its files remain available after the sandbox is killed.»
  expect(await contentOf(disk, '/output/result.txt')).toBe('1 /workspace/data.txt\n');
});

test('the complete disk and sandbox example says what the README shows', async () => {
  const said: string[] = [];
  const disk = await createDisk();
  const sandbox = await create();
  said.push(`✓ Created disk: ${disk.id}`, `✓ Created sandbox: ${sandbox.sandbox_id}`);
  await upsert(disk, 'input.txt', 'Line 1\nLine 2\nLine 3', '/input/');
  said.push('✓ Uploaded input file to disk');
  await downloadToSandbox(disk, sandbox, 'input.txt');
  said.push('✓ Downloaded file to sandbox');
  await exec(sandbox, 'wc -l /workspace/input.txt > /workspace/output.txt');
  said.push('✓ Processed file in sandbox');
  await uploadFromSandbox(disk, sandbox, 'output.txt');
  said.push('✓ Uploaded result to disk');
  said.push(`✓ Result: ${(await contentOf(disk, '/output/output.txt')).trim()}`);
  await kill(sandbox);
  await acontext.data(200, 'DELETE', `/disk/${disk.id}`);
  said.push('✓ Cleaned up resources');
  const withoutIds = (lines: string[]) => lines.map((line) => line.replace(/[0-9a-f-]{36}$/, '<id>'));
  const readme = await readFile(join(import.meta.dirname, '../../../README.md'), 'utf8');
  expect(withoutIds(said)).toEqual(withoutIds(readme.match(/^✓ .*$/gm) ?? []));
});
