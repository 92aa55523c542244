/** Server-sent events from chunks of bytes, as the HTML standard frames them; only what the service sends: LF, event, id, data. */

export interface ServerSentEvent {
  event: string;
  id: string | undefined;
  data: string;
}

const MAX_EVENT_CHARACTERS = 1024 * 1024;

/** Yields each event once its empty line has arrived. Throws when the stream ends inside of one. */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of chunks) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
    rest = blocks.pop() ?? '';
    if (rest.length > MAX_EVENT_CHARACTERS) throw new Error('an event is longer than 1 MiB');
    for (const block of blocks) {
      const event = parseBlock(block);
      if (event) yield event;
    }
  }
  if (rest.trim() !== '') throw new Error(`the stream was cut inside of an event: ${rest.slice(0, 200)}`);
}

/** A comment (keep-alive) is no event. */
function parseBlock(block: string): ServerSentEvent | undefined {
  let event = 'message';
  let id: string | undefined;
  const data: string[] = [];
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon === 0) continue;
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (name === 'event') event = value;
    else if (name === 'id') id = value;
    else if (name === 'data') data.push(value);
  }
  return data.length === 0 ? undefined : { event, id, data: data.join('\n') };
}
