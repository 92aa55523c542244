import { expect, test } from 'vitest';
import { Conversations } from '../../runner/channels/conversations.ts';
import type { Publisher } from '../../runner/channels/publisher.ts';
import type { OutEvent } from '../../runner/protocol/channel.ts';

/** The publisher, as far as channels are opened by it. */
function startConversations() {
  const said = new Map<string, OutEvent[]>();
  const publisher = {
    open: ({ channel: id }: { channel: string }) => {
      const events: OutEvent[] = [];
      said.set(id, events);
      let isOpen = true;
      return {
        id,
        get open() {
          return isOpen;
        },
        send: (event: OutEvent) => void (isOpen && events.push(event)),
        flush: () => undefined,
        close: () => void (isOpen = false),
      };
    },
  };
  const conversations = new Conversations(publisher as unknown as Publisher);
  return { said, conversations, open: (channel: string) => conversations.open({ stream: 'out-shard', channel }) };
}

test('a runner that stops says of nothing that is under way that it was not done: it lets go of it', () => {
  const { said, conversations, open } = startConversations();
  const [change, start] = ['change', 'start'].map(open);
  start?.send({ t: 'accepted' });
  open('ended').send({ t: 'end' });
  conversations.detachAll();
  const letGo = { t: 'lagged', droppedBytes: 0, detached: true, resumable: true };
  expect(said.get('change')).toEqual([letGo]);
  expect(said.get('start')).toEqual([{ t: 'accepted' }, letGo]);
  expect(said.get('ended')).toEqual([{ t: 'end' }]);
  expect([change?.signal.aborted, start?.signal.aborted, conversations.size]).toEqual([true, true, 0]);
});
