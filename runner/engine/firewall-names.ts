/** How an installation's chains in the packet filter are called; a chain's name holds 28 characters. */

export const chainPrefix = (installationId: string): string => `GBX-${installationId}-`;

/** In the filter of bridged frames. */
export const framesChain = (installationId: string): string => `${chainPrefix(installationId)}FRAMES`;

export const chainNames = (installationId: string) => {
  const prefix = chainPrefix(installationId);
  return {
    out: `${prefix}OUT`,
    back: `${prefix}BACK`,
    node: `${prefix}NODE`,
    /** Lead to the sandboxes' own chains, by their addresses. */
    egress: `${prefix}EGRESS`,
    reply: `${prefix}REPLY`,
    /** The same for questions to the resolver. */
    names: `${prefix}NAMES`,
    refuse: `${prefix}REFUSE`,
  };
};

/** Of the sandbox at an address: what it sends, what is sent back to it, and what it asks the resolver. */
export const sandboxChains = (installationId: string, address: string) => {
  const hex = address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join('');
  const prefix = chainPrefix(installationId);
  return { sent: `${prefix}S${hex}`, received: `${prefix}R${hex}`, asked: `${prefix}N${hex}` };
};
