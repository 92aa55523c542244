import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ServiceError } from '../../worker/core/errors.ts';
import { createInputOf, newSandboxInput } from '../../worker/dialects/e2b/new-sandbox.ts';
import { scriptedCell } from './support/scripted-cell.ts';

const terms = { defaultTimeoutSeconds: 300, alwaysSecure: false };
const { context } = scriptedCell();

/** What a body comes to: a sandbox to make, or the code of its refusal. Anything else that is thrown is thrown. */
const outcomeOf = async (body: unknown): Promise<string> => {
  const parsed = newSandboxInput.safeParse(body);
  if (!parsed.success) return 'invalid_argument';
  try {
    await createInputOf(context, parsed.data, terms);
    return 'made';
  } catch (error) {
    if (error instanceof ServiceError) return error.code;
    throw error;
  }
};

const json = fc.jsonValue({ maxDepth: 3 });
const maybe = (good: fc.Arbitrary<unknown>) => fc.oneof({ weight: 4, arbitrary: good }, json);
const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), fc.constantFrom('0.0.0.0/0', '10.0.0.0/8', '::/0', ''));
const body = fc.record(
  {
    templateID: maybe(fc.constantFrom('base', 'base:default', 'test/base', 'nothing', 'base:v1')),
    timeout: maybe(fc.integer()),
    autoPause: maybe(fc.boolean()),
    autoPauseMemory: maybe(fc.boolean()),
    autoResume: maybe(fc.record({ enabled: fc.boolean() })),
    secure: maybe(fc.boolean()),
    allow_internet_access: maybe(fc.boolean()),
    network: maybe(
      fc.record(
        {
          allowPublicTraffic: maybe(fc.boolean()),
          maskRequestHost: maybe(fc.constantFrom('localhost:${PORT}', 'a.example', 'a b')),
          allowOut: maybe(fc.array(address, { maxLength: 3 })),
          denyOut: maybe(fc.array(address, { maxLength: 3 })),
          rules: json,
          egressProxy: json,
          httpsPorts: json,
        },
        { requiredKeys: [] },
      ),
    ),
    metadata: maybe(fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), { maxKeys: 3 })),
    envVars: maybe(fc.dictionary(fc.string({ maxLength: 5 }), fc.string({ maxLength: 5 }), { maxKeys: 3 })),
    mcp: json,
    iam: json,
    volumeMounts: json,
  },
  { requiredKeys: ['templateID'] },
);

test('whatever a create says, it is made or refused by a code of the caller’s', async () => {
  const known = new Set(['made', 'invalid_argument', 'not_found', 'not_implemented']);
  const tried = fc.asyncProperty(body, async (given) => {
    expect(known).toContain(await outcomeOf(given));
  });
  await fc.assert(tried, { numRuns: 500 });
});

test('what is made is never less closed than what was asked for', async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.boolean(), fc.option(fc.boolean()), async (open, ports, internet) => {
      fc.pre(!open || ports);
      const network = { allowPublicTraffic: ports };
      const parsed = newSandboxInput.parse({
        templateID: 'base',
        secure: !open,
        network,
        allow_internet_access: internet,
      });
      const made = await createInputOf(context, parsed, terms);
      const secured = await createInputOf(context, parsed, { ...terms, alwaysSecure: true });
      const closed = made.egress.deny.includes('0.0.0.0/0') && made.egress.deny.includes('::/0');
      expect({ open: made.envdOpen, opened: secured.envdOpen, ports: made.publicPorts, closed }).toEqual({
        open,
        opened: false,
        ports,
        closed: internet === false,
      });
    }),
  );
});

test('the outcomes that the first property allows are all reached', async () => {
  expect(await outcomeOf({ templateID: 'base' })).toBe('made');
  expect(await outcomeOf({ templateID: 'nothing' })).toBe('not_found');
  expect(await outcomeOf({ templateID: 'base', volumeMounts: [{}] })).toBe('not_implemented');
  expect(await outcomeOf({ templateID: 'base', timeout: -1 })).toBe('invalid_argument');
});
