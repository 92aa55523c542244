// Loaded by NODE_OPTIONS=--import: every name below LOOPBACK_DOMAIN is 127.0.0.1 to this process, all others as ever.
import dns from 'node:dns';

const suffix = `.${process.env['LOOPBACK_DOMAIN']}`;
const lookup = dns.lookup;

/**
 * @param {string} hostname
 * @param {unknown[]} rest options, if there are any, and the callback
 */
dns.lookup = /** @type {typeof dns.lookup} */ (
  (hostname, ...rest) => Reflect.apply(lookup, dns, [hostname.endsWith(suffix) ? '127.0.0.1' : hostname, ...rest])
);
