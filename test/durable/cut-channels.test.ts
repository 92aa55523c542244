import { expect, test } from 'vitest';
import { letGo } from '../../runner/protocol/channel.ts';
import { ServiceError } from '../../worker/core/errors.ts';
import { callRunner } from '../../worker/durable/broker/calls.ts';
import { readFile } from '../../worker/durable/broker/file-read.ts';
import { FileWatcher } from '../../worker/durable/broker/file-watch.ts';
import { PortCalls } from '../../worker/durable/broker/port-call.ts';
import type { Shard } from '../../worker/durable/broker/shard.ts';
import { waitFor } from '../wait-for.ts';
import { liveRoute, ref, shardOver, TransportDouble } from './support/transport.ts';

const watch = { path: '/', user: 'user', privileged: false, recursive: false };
const newWatcher = (shard: Shard) => new FileWatcher(shard, () => undefined);

/** All that waits for an answer which can't be had again, and what it is told where that does not come. */
const waiting: Record<string, { code: string; ask: (shard: Shard) => Promise<unknown> }> = {
  'a call': {
    code: 'runner_lost',
    ask: (shard) => callRunner(shard, ref, liveRoute, 'process.list', { details: false }),
  },
  'a file’s content': {
    code: 'runner_lost',
    ask: (shard) => readFile(shard, ref, liveRoute, { kind: 'file', path: '/a', user: 'user' }, null),
  },
  'a port’s answer': {
    code: 'runner_lost',
    ask: (shard) => {
      const request = { port: 80, method: 'GET', target: '/', headers: [] };
      const content = { contentBase64: null, contentTransferId: null, contentBytes: null };
      return new PortCalls().request(shard, ref, liveRoute, { request, ...content, answerTransferId: 't' });
    },
  },
  'a watch': {
    code: 'stream_lost',
    ask: async (shard) => {
      const watcher = newWatcher(shard);
      await watcher.open(ref, liveRoute, watch);
      return watcher.sink.stream;
    },
  },
};

test.for(Object.entries(waiting))(
  '%s: a runner that lets go of the channel leaves nobody waiting',
  async ([, { ask, code }]) => {
    const transport = new TransportDouble();
    const answer = ask(shardOver(transport));
    answer.catch(() => undefined);
    await waitFor('its delivery', () => transport.jobs.length === 1, 1_000, 1);
    transport.last.say({ t: 'accepted' });
    transport.last.say(letGo);
    await expect(answer).rejects.toMatchObject({ code });
  },
);

test('a watch that is over before its delivery was confirmed is not left with the runner', async () => {
  const transport = new TransportDouble();
  const watcher = newWatcher(shardOver(transport));
  const opening = watcher.open(ref, liveRoute, watch);
  watcher.fail(new ServiceError('sandbox_ended', 'The sandbox has ended.'));
  await opening;
  await waitFor('the detach', () => transport.told.some(({ header }) => header.t === 'detach'), 1_000, 1);
  await expect(watcher.sink.stream).rejects.toMatchObject({ code: 'sandbox_ended' });
});
