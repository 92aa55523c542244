import { beforeEach, describe, expect, test } from 'vitest';
import { openCell } from '../../db/client.ts';
import { tenants } from '../../db/directory.ts';
import { SandboxAccesses } from '../../worker/core/access/sandbox-access.ts';
import { newSandboxId } from '../../worker/core/ids.ts';
import type { Context } from '../../worker/core/ports.ts';
import { createSandbox } from '../../worker/core/sandboxes/create-sandbox.ts';
import { createInput, scriptedCell } from './support/scripted-cell.ts';

/** An isolate that did not make the sandbox, and how often it has asked the database. */
async function otherIsolate() {
  const { context, database } = scriptedCell();
  await context.directory.insert(tenants).values(context.actor.tenant);
  const { sandbox } = await createSandbox(context, createInput);
  let reads = 0;
  let empty = false;
  const nothing = { bind: () => ({ raw: async () => [] }) };
  const counting = {
    prepare: (text: string) => {
      reads += 1;
      return empty ? nothing : database.prepare(text);
    },
  };
  let nowMs = Date.now();
  const ctx: Context = {
    ...context,
    cell: openCell(counting as unknown as Parameters<typeof openCell>[0]),
    now: () => nowMs,
  };
  const accesses = new SandboxAccesses();
  return {
    known: sandbox.id,
    find: (id: string, asker = 'address') => accesses.find(ctx, id, asker),
    reads: () => reads,
    pass: (ms: number) => (nowMs += ms),
    /** From now on it finds nothing, sooner than a real one would. */
    emptyDatabase: () => (empty = true),
  };
}

describe('who guesses ids of sandboxes', () => {
  let isolate: Awaited<ReturnType<typeof otherIsolate>>;
  beforeEach(async () => {
    isolate = await otherIsolate();
  });

  test('does not push what is there out of the cache, and asks once for each', async () => {
    expect((await isolate.find(isolate.known))?.sandboxId).toBe(isolate.known);
    isolate.emptyDatabase();
    for (let guess = 0; guess < 10_500; guess += 1) {
      await isolate.find(newSandboxId('00'), `address-${guess % 500}`);
    }
    const before = isolate.reads();
    expect((await isolate.find(isolate.known))?.sandboxId).toBe(isolate.known);
    const guess = newSandboxId('00');
    expect(await isolate.find(guess)).toBeUndefined();
    expect(await isolate.find(guess)).toBeUndefined();
    expect(isolate.reads()).toBe(before + 1);
  });

  test('has so many tries in a second from one address, also at once; others have theirs, and what is known costs none', async () => {
    await isolate.find(isolate.known);
    const tries = await Promise.allSettled(Array.from({ length: 500 }, () => isolate.find(newSandboxId('00'))));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(200);
    expect(isolate.reads()).toBe(201);
    await expect(isolate.find(newSandboxId('00'))).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfterSeconds: 1,
    });
    expect(await isolate.find(isolate.known)).toBeDefined();
    expect(await isolate.find(newSandboxId('00'), 'another')).toBeUndefined();
    isolate.pass(1000);
    expect(await isolate.find(newSandboxId('00'))).toBeUndefined();
  });

  test('is none who asks again and again for what is there', async () => {
    for (let round = 0; round < 500; round += 1) {
      expect(await isolate.find(isolate.known)).toBeDefined();
      isolate.pass(31_000 / 500);
    }
    isolate.pass(31_000);
    const found = await Promise.all(Array.from({ length: 150 }, () => isolate.find(isolate.known)));
    expect(found.every(Boolean)).toBe(true);
    expect((await Promise.all(Array.from({ length: 150 }, () => isolate.find(isolate.known)))).every(Boolean)).toBe(
      true,
    );
  });
});
