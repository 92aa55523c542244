import { egressAddress, type EgressRules } from '../../../runner/protocol/egress.ts';
import { limits } from '../../../runner/protocol/limits.ts';
import { ServiceError } from '../errors.ts';

/** Every address of its family: denied, nothing outside is left but what is allowed. */
export const everywhere = ['0.0.0.0/0', '::/0'] as const;

type Rules = Readonly<{ allow: readonly string[]; deny: readonly string[] }>;

/** Throws invalid_argument about the first entry that is neither an address nor a network. `names`: as the caller calls the lists. */
export const requireEgressRules = (
  rules: Rules,
  names: Readonly<Record<keyof Rules, string>> = { allow: 'egress.allow', deny: 'egress.deny' },
): EgressRules => {
  for (const list of ['allow', 'deny'] as const) {
    const entries = rules[list];
    if (entries.length > limits.egressAddresses) {
      throw refused(names[list], `has more than ${limits.egressAddresses} entries`);
    }
    const wrong = entries.find((entry) => !egressAddress.safeParse(entry).success);
    if (wrong === undefined) continue;
    throw refused(names[list], `${JSON.stringify(wrong.slice(0, 64))} is neither an IP address nor a network (CIDR)`);
  }
  return { allow: [...rules.allow], deny: [...rules.deny] };
};

const refused = (path: string, message: string): ServiceError =>
  new ServiceError('invalid_argument', `${path}: ${message}.`, { issues: [{ path, message }] });
