import type { Handled } from '../route.ts';
import { ConnectError } from './failure.ts';

/** What the runtime's timers can wait. */
const timeoutMaxMs = 2 ** 31 - 1;

/** Connect-Timeout-Ms: at most ten digits. undefined: as long as it takes. */
export const timeoutMsOf = (c: Handled): number | undefined => {
  const header = c.req.header('connect-timeout-ms') ?? '';
  if (!/^\d{1,10}$/.test(header) || Number(header) === 0) return undefined;
  return Math.min(Number(header), timeoutMaxMs);
};

/** The same messages until then; whoever still listens is told deadline_exceeded. */
export const endedAt = (timeoutMs: number | undefined, messages: ReadableStream<object>): ReadableStream<object> => {
  if (timeoutMs === undefined) return messages;
  const reader = messages.getReader();
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => undefined);
  const timer = setTimeout(
    () => late.reject(new ConnectError('deadline_exceeded', 'the stream has reached its deadline')),
    timeoutMs,
  );
  const giveUp = async (reason: unknown): Promise<void> => {
    clearTimeout(timer);
    await reader.cancel(reason);
  };
  return new ReadableStream<object>(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await Promise.race([reader.read(), late.promise]);
          if (!done) return controller.enqueue(value);
          clearTimeout(timer);
          controller.close();
        } catch (error) {
          await giveUp(error).catch(() => undefined);
          throw error;
        }
      },
      cancel: giveUp,
    },
    { highWaterMark: 0 },
  );
};
