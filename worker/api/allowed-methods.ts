import { routeTable } from '../contract/route-table.ts';

const patterns = new Map<string, { pattern: RegExp; methods: Set<string> }>();
for (const route of routeTable) {
  const pattern = new RegExp(`^${route.path.replaceAll('.', '\\.').replaceAll(/\{.+?\}/g, '[^/]+')}$`);
  const entry = patterns.get(route.path) ?? { pattern, methods: new Set() };
  const method = route.method.toUpperCase();
  entry.methods.add(method);
  if (method === 'GET') entry.methods.add('HEAD');
  patterns.set(route.path, entry);
}

/** What Allow says for a path; empty where no route has it. */
export const allowedMethods = (path: string): string[] => {
  const methods = [...patterns.values()]
    .filter(({ pattern }) => pattern.test(path))
    .flatMap((entry) => [...entry.methods]);
  return [...new Set(methods)].sort();
};
