import { isIPv4 } from 'node:net';

/** Addresses as numbers. Pure. */

export interface Ipv4Network {
  /** Its first address. */
  base: number;
  /** Of its prefix, in bits. */
  length: number;
}

const maskOf = (length: number): number => (length === 0 ? 0 : (~0 << (32 - length)) >>> 0);

const parseAddress = (text: string): number => text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

export const printAddress = (address: number): string =>
  [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');

/** Of `address` or `address/length`; undefined for what is no IPv4. */
export function parseNetwork(text: string): Ipv4Network | undefined {
  const [address = '', prefix] = text.split('/');
  if (!isIPv4(address)) return undefined;
  const length = prefix === undefined ? 32 : Number(prefix);
  return { base: (parseAddress(address) & maskOf(length)) >>> 0, length };
}

export const printNetwork = ({ base, length }: Ipv4Network): string => `${printAddress(base)}/${length}`;

export const sizeOf = ({ length }: Ipv4Network): number => 2 ** (32 - length);

export const covers = (outer: Ipv4Network, inner: Ipv4Network): boolean =>
  outer.length <= inner.length && (inner.base & maskOf(outer.length)) >>> 0 === outer.base;

export const overlap = (a: Ipv4Network, b: Ipv4Network): boolean => covers(a, b) || covers(b, a);
