interface Route {
  method: string;
  /** Parameters in braces: /disks/{diskId}. */
  path: string;
}

/** Answers, for a path, which methods the routes take there (HEAD beside GET), sorted; empty where no route has it. */
export const methodsByPath = (routes: readonly Route[]): ((path: string) => string[]) => {
  const patterns = new Map<string, { pattern: RegExp; methods: Set<string> }>();
  for (const route of routes) {
    const pattern = new RegExp(`^${route.path.replaceAll('.', '\\.').replaceAll(/\{.+?\}/g, '[^/]+')}$`);
    const entry = patterns.get(route.path) ?? { pattern, methods: new Set() };
    const method = route.method.toUpperCase();
    entry.methods.add(method);
    if (method === 'GET') entry.methods.add('HEAD');
    patterns.set(route.path, entry);
  }
  return (path) => {
    const methods = [...patterns.values()]
      .filter(({ pattern }) => pattern.test(path))
      .flatMap((entry) => [...entry.methods]);
    return [...new Set(methods)].sort();
  };
};
