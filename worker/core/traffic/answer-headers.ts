import type { PortHeaders } from '../ports.ts';

/**
 * Where the answer of a server inside is given. `host`: on a host name of that port's own. `headers`: on the API's origin, to a client that
 * sends headers no browser sends by itself. `path`: on the API's origin, to anybody with the URL.
 */
export type AnsweredOn = 'host' | 'headers' | 'path';

/** They would act on the whole origin, or ask for credentials in its name. */
const originWide = new Set([
  'alt-svc',
  'clear-site-data',
  'nel',
  'origin-agent-cluster',
  'public-key-pins',
  'refresh',
  'report-to',
  'reporting-endpoints',
  'service-worker-allowed',
  'set-cookie',
  'sourcemap',
  'strict-transport-security',
  'www-authenticate',
]);

/** The runner has dropped what is hop-by-hop; the length is told by how the body is sent. */
export const answerHeaders = (headers: PortHeaders, on: AnsweredOn, bodyless: boolean): PortHeaders => {
  const passed: PortHeaders = [];
  for (const [name, value] of headers) {
    if (name === 'content-length' && !bodyless) continue;
    if (on === 'path' && originWide.has(name)) continue;
    passed.push([name, name === 'set-cookie' ? hostOnly(value) : value]);
  }
  if (on === 'host') return passed;
  // A browser that opens it on our origin runs nothing of it.
  const own = new Set(['content-security-policy', 'x-content-type-options', 'referrer-policy']);
  return [
    ...passed.filter(([name]) => !own.has(name)),
    ['content-security-policy', "default-src 'none'; sandbox"],
    ['x-content-type-options', 'nosniff'],
    ['referrer-policy', 'no-referrer'],
  ];
};

/** A cookie is its own host's: with a Domain one sandbox's would be sent to all others. */
const hostOnly = (cookie: string): string => cookie.replaceAll(/;\s*domain\s*=[^;]*/gi, '');
