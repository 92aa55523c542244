const ipv6Groups = 8;
/** What one customer of a provider gets at least: within it an address is a matter of choice. */
const networkGroups = 4;

/** Of an address as the edge tells it: an IPv4 address itself, the /64 of an IPv6 one. Anything else as it is. */
export const clientNetworkOf = (address: string): string => {
  if (!address.includes(':')) return address;
  if (address.includes('.')) return address.slice(address.lastIndexOf(':') + 1); // IPv4, mapped
  const [head = '', tail] = address.toLowerCase().split('::');
  const groups = head.split(':').filter((group) => group !== '');
  if (tail !== undefined) {
    const rest = tail.split(':').filter((group) => group !== '');
    groups.push(...Array.from({ length: Math.max(ipv6Groups - groups.length - rest.length, 0) }, () => '0'), ...rest);
  }
  const network = groups.slice(0, networkGroups).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
};
