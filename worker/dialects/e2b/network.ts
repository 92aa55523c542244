import { z } from '@hono/zod-openapi';
import { ServiceError } from '../../core/errors.ts';
import { everywhere, requireEgressRules } from '../../core/sandboxes/egress-rules.ts';
import type { getSandbox } from '../../core/sandboxes/get-sandbox.ts';

type EgressRules = Awaited<ReturnType<typeof getSandbox>>['egress'];

const entriesCount = 64;
const entries = z.array(z.string().max(253)).max(entriesCount).nullish();

/** Where a sandbox may go: in a create below `network`, in PUT …/network at the top. */
export const egressFields = {
  allowOut: entries,
  denyOut: entries,
  egressProxy: z.unknown().optional(),
  rules: z.unknown().optional(),
};
const egressInput = z.object(egressFields);

const [allIPv4] = everywhere;
/** Anything with a letter that is no IPv6 address. */
const isDomain = (entry: string): boolean => /[a-z*]/i.test(entry) && !entry.includes(':');

/** Of what create and PUT …/network say. Throws invalid_argument, or not_implemented for what is not served yet. */
export const egressOf = (
  network: z.input<typeof egressInput> | null | undefined,
  allowInternetAccess: boolean | null | undefined,
): EgressRules => {
  refuseUnserved(network ?? {});
  const allow = network?.allowOut ?? [];
  const deny = network?.denyOut ?? [];
  const domain = allow.find(isDomain);
  if (domain !== undefined) {
    const what = JSON.stringify(domain.slice(0, 64));
    throw new ServiceError(
      'invalid_argument',
      deny.includes(allIPv4)
        ? `allowOut: ${what} is a domain; only addresses and networks are served.`
        : `allowOut: the domain ${what} needs ${allIPv4} in denyOut.`,
    );
  }
  const closed = allowInternetAccess === false ? everywhere.filter((all) => !deny.includes(all)) : [];
  return requireEgressRules({ allow, deny: [...deny, ...closed] }, { allow: 'allowOut', deny: 'denyOut' });
};

const refuseUnserved = ({ egressProxy, rules }: z.input<typeof egressInput>): void => {
  if (egressProxy !== undefined && egressProxy !== null) {
    throw new ServiceError('not_implemented', 'egressProxy is not served.');
  }
  const noRules =
    rules === undefined || rules === null || (typeof rules === 'object' && Object.keys(rules).length === 0);
  if (!noRules) throw new ServiceError('not_implemented', 'rules (by domain, changing headers) are not served.');
};

/** The rules as a sandbox's details tell them: both families denied is how allow_internet_access: false is kept. */
export const viewEgress = ({ allow, deny }: EgressRules) => {
  const closed = everywhere.every((all) => deny.includes(all));
  const denyOut = closed ? deny.filter((entry) => !everywhere.some((all) => all === entry)) : deny;
  return { allowInternetAccess: !closed, network: { allowOut: allow, denyOut } };
};
