import { expect, test } from 'vitest';
import { Echo } from '../../bench/echo.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

test('an echo is seen wherever its bytes are cut, and what came before it was waited for does not count', async () => {
  const echo = new Echo();
  echo.push(bytes('é'));
  const seen = echo.waitFor('xé', 1_000);
  const [lead, trail] = bytes('é');
  echo.push(bytes('noise x'));
  echo.push(Uint8Array.of(lead ?? 0));
  echo.push(Uint8Array.of(trail ?? 0));
  await seen;
  await expect(echo.waitFor('xé', 20)).rejects.toThrow('the terminal showed ""');
});

test('an echo that never comes is told with what came instead, and the next one can be waited for', async () => {
  const echo = new Echo();
  const missed = echo.waitFor('a', 20);
  echo.push(bytes('b'));
  await expect(echo.waitFor('c', 20)).rejects.toThrow('"a" is still waited for');
  await expect(missed).rejects.toThrow('instead of "a" the terminal showed "b"');
  const seen = echo.waitFor('c', 1_000);
  echo.push(bytes('c'));
  await seen;
});
