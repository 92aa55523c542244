import { Sandbox } from 'e2b';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createE2b, type E2b } from './client.ts';
import { commands, handles, pty } from './reference/commands.ts';
import { files, watches } from './reference/files.ts';
import { jsForms, type Guarantee, type ReferenceMethod } from './reference/methods.ts';
import { lists, sandboxes } from './reference/sandboxes.ts';

const reference: Record<ReferenceMethod, Guarantee> = {
  ...lists,
  ...commands,
  ...handles,
  ...pty,
  ...files,
  ...watches,
  ...sandboxes,
};

/** What the SDK has beyond the reference: tested elsewhere here, or left to the dialect's second half. */
const beyond: Record<string, string> = {
  'sandbox.commands.closeStdin': 'processes',
  'sandbox.pty.connect': 'terminals',
  'handle.sendStdin': 'processes',
  'handle.closeStdin': 'processes',
  'Sandbox.fork': 'snapshots',
  'sandbox.fork': 'snapshots',
  'Sandbox.createSnapshot': 'snapshots',
  'sandbox.createSnapshot': 'snapshots',
  'Sandbox.listSnapshots': 'snapshots',
  'sandbox.listSnapshots': 'snapshots',
  'Sandbox.deleteSnapshot': 'snapshots',
  'Sandbox.pause': 'the new name of betaPause',
  'sandbox.pause': 'the new name of betaPause',
  'Sandbox.updateNetwork': 'network rules',
  'sandbox.updateNetwork': 'network rules',
  'sandbox.getHost': 'ports',
  'sandbox.uploadUrl': 'signed URLs',
  'sandbox.downloadUrl': 'signed URLs',
  'Sandbox.getFullInfo': 'getInfo, which it serves',
  'sandbox.getMcpUrl': 'second half',
  'sandbox.getMcpToken': 'second half',
};

/** Private in the SDK's types. */
const privates = [
  'sandbox.resolveApiOpts',
  'sandbox.fileUrl',
  'sandbox.commands.start',
  'handle.flushDecoders',
  'handle.iterateEvents',
  'handle.handleEvents',
  'watch.iterateEvents',
  'watch.handleEvents',
  'Sandbox.createSandbox',
  'Sandbox.forkSandbox',
  'Sandbox.connectSandbox',
  'Sandbox.resolveOpts',
  'Sandbox.boundOpts',
];

/** The others leave the sandbox as it is. */
const takesItsOwn = (method: string): boolean => /^Sandbox(Api|Paginator)?\.(?!get_)/.test(method);

describe.each([true, false])('on a sandbox with secure: %s', (secure) => {
  let e2b: E2b;
  let shared: Sandbox;
  beforeAll(async () => {
    e2b = await createE2b();
    shared = await e2b.create({ secure });
  });
  afterAll(() => e2b.cleanUp());

  test.each(Object.entries(reference))('%s', async (method, guarantee) => {
    expect.hasAssertions();
    const sandbox = takesItsOwn(method) ? await e2b.create({ secure }) : shared;
    const directory = `/home/user/${method.replaceAll(/\W+/g, '-')}`;
    await sandbox.commands.run(`mkdir ${directory}`);
    await guarantee({ e2b, secure, sandbox, directory });
    if (sandbox !== shared) await sandbox.kill();
  });
});

describe('the SDK', () => {
  let e2b: E2b;
  let sandbox: Sandbox;
  beforeAll(async () => {
    e2b = await createE2b();
    sandbox = await e2b.create();
  });
  afterAll(() => e2b.cleanUp());

  test('has no public method that is neither in the reference nor named here with where it is tested', async () => {
    const handle = await sandbox.commands.run('true', { background: true });
    const watch = await sandbox.files.watchDir('.', () => undefined);
    const objects = { sandbox, handle, watch, paginator: Sandbox.list(e2b.options) };
    const parts = { 'sandbox.commands': sandbox.commands, 'sandbox.pty': sandbox.pty, 'sandbox.files': sandbox.files };
    const found = Object.entries({ ...objects, ...parts }).flatMap(([name, object]) => methodsOf(name, object));
    found.push(...functionsOf('Sandbox', Sandbox), ...methodsOf('Sandbox', Sandbox));
    const known = new Set<string>([...Object.values(jsForms), ...Object.keys(beyond), ...privates]);
    expect(found.filter((method) => !known.has(method))).toEqual([]);
    await watch.stop();
  });
});

const functionsOf = (name: string, owner: object): string[] =>
  Object.getOwnPropertyNames(owner)
    .filter((key) => key !== 'constructor' && typeof Object.getOwnPropertyDescriptor(owner, key)?.value === 'function')
    .map((key) => `${name}.${key}`);

const methodsOf = (name: string, object: object): string[] =>
  functionsOf(name, Object.getPrototypeOf(object) as object);
