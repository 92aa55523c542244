/** What the page needs of an OpenAPI document; everything else passes through as JSON. */
interface Operation {
  summary?: string;
  description?: string;
  tags?: string[];
  security?: object[];
  parameters?: object[];
  requestBody?: object;
  responses?: Record<string, object>;
}

interface Parameter {
  name?: string;
  in?: string;
  required?: boolean;
  description?: string;
  schema?: unknown;
}

interface Document {
  info: { title: string; description?: string };
  paths?: Record<string, unknown>;
  components?: { schemas?: Record<string, unknown> };
}

const methods = ['get', 'post', 'put', 'patch', 'delete'] as const;

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const style = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}details{border:1px solid #d0d7de;border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f6f8fa;padding:.6rem;overflow:auto;border-radius:6px}
.method{display:inline-block;min-width:4rem;font-weight:600}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}pre{background:#161b22}details,h2{border-color:#30363d}a{color:#58a6ff}}`;

/** The whole document on one page that loads nothing else and runs no script. */
export const renderDocsPage = (document: Document): string => {
  const sections = new Map<string, string[]>();
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of methods) {
      const operation = (item as Partial<Record<string, Operation>>)[method];
      if (!operation) continue;
      const tag = operation.tags?.[0] ?? 'Other';
      sections.set(tag, [...(sections.get(tag) ?? []), renderOperation(method, path, operation)]);
    }
  }
  const body = [...sections].map(([tag, operations]) => `<h2>${escape(tag)}</h2>${operations.join('')}`).join('');
  const schemas = Object.entries(document.components?.schemas ?? {})
    .map(
      ([name, schema]) =>
        `<details id="${escape(name)}"><summary><code>${escape(name)}</code></summary>${json(schema)}</details>`,
    )
    .join('');
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escape(document.info.title)} API</title><style>${style}</style></head><body>
<h1>${escape(document.info.title)} API</h1>${paragraphs(document.info.description)}
<p>The same for programs: <a href="/openapi.json">/openapi.json</a>. Send your key as <code>Authorization: Bearer gb_…</code> or
<code>X-API-Key</code>.</p>${body}<h2>Schemas</h2>${schemas}</body></html>`;
};

const paragraphs = (text = ''): string =>
  text
    .split('\n\n')
    .filter((paragraph) => paragraph !== '')
    .map((paragraph) => `<p>${escape(paragraph)}</p>`)
    .join('');

const json = (value: unknown): string => {
  const text = escape(JSON.stringify(value, null, 2));
  return `<pre>${text.replaceAll(/#\/components\/schemas\/(\w+)/g, '<a href="#$1">$1</a>')}</pre>`;
};

const renderOperation = (method: string, path: string, operation: Operation): string => {
  const parameters = (operation.parameters ?? []) as Parameter[];
  const rows = parameters.map(
    ({ name = '', in: place = '', required, description = '', schema }) =>
      `<tr><td><code>${escape(name)}</code></td><td>${escape(place)}${required ? ', required' : ''}</td>
<td>${escape(description)} <code>${escape(JSON.stringify(schema))}</code></td></tr>`,
  );
  const responses = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const { description = '', content } = response as { description?: string; content?: unknown };
    const details = content && Number(status) < 400 ? json(content) : '';
    return `<tr><td><code>${escape(status)}</code></td><td>${escape(description)}${details}</td></tr>`;
  });
  return `<details><summary><span class="method">${method.toUpperCase()}</span> <code>${escape(path)}</code> — ${escape(operation.summary ?? '')}</summary>
${paragraphs(operation.description)}
${rows.length > 0 ? `<h4>Parameters</h4><table>${rows.join('')}</table>` : ''}
${operation.requestBody ? `<h4>Body</h4>${json(operation.requestBody)}` : ''}
<h4>Answers</h4><table>${responses.join('')}</table></details>`;
};
