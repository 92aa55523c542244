import { afterEach, expect, test, vi } from 'vitest';
import { createLogger } from '../../runner/log.ts';
import { Checkpointing } from '../../runner/sandboxes/checkpointing.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

/** A probe that fails `failures` times, asked for with every beat of some minutes. */
async function probed(failures: number) {
  let probes = 0;
  const lines: string[] = [];
  const checkpointing = new Checkpointing(
    async () => {
      probes++;
      if (probes <= failures) throw new Error('the process did not say «heard this»');
    },
    createLogger((line) => lines.push(line)),
  );
  const probesAt: number[] = [];
  const beganMs = Number(process.hrtime.bigint() / 1_000_000n);
  for (let second = 0; second < 300; second += 5) {
    vi.spyOn(process.hrtime, 'bigint').mockReturnValue(BigInt(beganMs + second * 1000) * 1_000_000n);
    const before = probes;
    checkpointing.probeWith('image');
    checkpointing.probeWith('image');
    await checkpointing.settled();
    if (probes > before) probesAt.push(second);
  }
  return { capability: checkpointing.capability, probesAt, lines };
}

test('a try that fails is made again after half a minute: a busy node keeps what it can do', async () => {
  const { capability, probesAt, lines } = await probed(2);
  expect([capability, probesAt]).toEqual(['criu', [0, 30, 60]]);
  expect(lines).toHaveLength(3);
  expect(lines[0]).toContain('did not say «heard this»');
});

test('what fails three times does not work here, and is told so', async () => {
  const { capability, probesAt, lines } = await probed(Infinity);
  expect([capability, probesAt]).toEqual(['freeze', [0, 30, 60]]);
  expect(lines.at(-1)).toContain('does not work here');
});
