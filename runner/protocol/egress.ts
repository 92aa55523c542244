import { z } from 'zod';
import { limits } from './limits.ts';

const family = z.union([z.ipv4(), z.cidrv4(), z.ipv6(), z.cidrv6()]);
/** The address that stands for "none", alone or with a prefix that hides it; 0.0.0.0/0 and ::/0 stand for all. */
const unspecified = /^(?:0\.0\.0\.0|::)(?:$|\/(?!0$))/;
/** An IPv4 address in IPv6's clothes: the packets are IPv4's, where a rule about IPv6 never looks. */
const mapped = /^::ffff:.*\./i;

/** An address or a network, of either family. */
export const egressAddress = family.refine((text) => !unspecified.test(text) && !mapped.test(text));

/** What a sandbox may and may not reach. What is allowed outranks what is denied; the node's own deny rules outrank both. */
export const egressRules = z.object({
  allow: z.array(egressAddress).max(limits.egressAddresses),
  deny: z.array(egressAddress).max(limits.egressAddresses),
});
export type EgressRules = z.infer<typeof egressRules>;
