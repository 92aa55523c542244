import type { IncomingMessage } from 'node:http';
import type { Conversation } from '../channels/conversations.ts';
import { gather } from '../ports/gather.ts';
import { headOf } from '../ports/http.ts';
import { askForSocket, handshake, joinSockets } from '../ports/sockets.ts';
import { limits } from '../protocol/limits.ts';
import type { PortSocketHead } from '../protocol/ports.ts';
import type { ExecHandler } from './handler.ts';

/** What a server that refuses a WebSocket says within this is passed on. */
const REFUSAL_MS = 5_000;

/** A WebSocket to a server inside, joined with the client's. It lasts until one of the three ends: client, server, sandbox. */
export const openSocket: ExecHandler<'port.socket'> = async (context, job, sandbox, conversation) => {
  const leave = context.portConnections.enter(sandbox, 'socket');
  const { signal } = conversation;
  try {
    const connection = await sandbox.home.session.connect(job.request.port, undefined);
    const cut = (): void => void connection.destroy();
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    try {
      const inner = askForSocket(connection, job.request, job.protocols);
      const answer = await handshake(inner, signal);
      if (answer.kind === 'refused') return await passRefusal(conversation, answer.response);
      say(conversation, { kind: 'open', protocol: inner.protocol });
      const outer = await context.portSockets.dial(job.socketId, signal).catch((error: unknown) => {
        inner.terminate();
        throw error;
      });
      await joinSockets(inner, outer, signal);
      conversation.send({ t: 'end' });
    } finally {
      connection.destroy();
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    leave();
  }
};

async function passRefusal(conversation: Conversation, response: IncomingMessage): Promise<void> {
  const { bodyless: _, contentBytes: _told, ...head } = headOf(response, 'GET');
  const { chunks } = await gather(response, limits.inlineBytes, REFUSAL_MS);
  const content = Buffer.concat(chunks).subarray(0, limits.inlineBytes);
  say(conversation, { kind: 'refused', head: { ...head, body: 'inline', contentBytes: content.length } });
  for (let at = 0; at < content.length; at += limits.dataEventBytes) {
    conversation.send({ t: 'data', fd: 0, o: at }, content.subarray(at, at + limits.dataEventBytes));
  }
  conversation.send({ t: 'end' });
}

function say(conversation: Conversation, head: PortSocketHead): void {
  conversation.send({ t: 'result', value: head });
  conversation.flush();
}
