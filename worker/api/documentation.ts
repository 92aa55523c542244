import { documentationRoutes } from '../contract/documentation.ts';
import type { App } from './app-env.ts';
import { renderDocsPage } from './docs-page.ts';

type OpenApiDocument = ReturnType<App['getOpenAPI31Document']>;

const description = `Sandboxes for AI agents, on your own Linux machines.

Every answer carries x-request-id. Errors have one shape; what the caller did wrong is 4xx with a sentence that says what to do. 429 and
503 carry Retry-After. Another tenant's id is answered as a missing one.`;

/** The document of all routes that have been registered on the app: the same objects that validate. */
export const openApiDocument = (app: App): OpenApiDocument => {
  const document = app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Glovebox', version: '1', description },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }],
  });
  const securitySchemes = {
    bearer: { type: 'http', scheme: 'bearer', description: "A tenant's key." },
    apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key', description: "A tenant's key." },
    admin: { type: 'http', scheme: 'bearer', description: "The deployment's admin key, from its configuration." },
  } as const;
  return { ...document, components: { ...document.components, securitySchemes } };
};

export const registerDocumentation = (app: App): void => {
  let document: OpenApiDocument | undefined;
  let page: string | undefined;
  const documentOf = (): OpenApiDocument => (document ??= openApiDocument(app));

  app.openapi(documentationRoutes.openapi, (c) => {
    const view: Record<string, unknown> = { ...documentOf() };
    return c.json(view, 200);
  });
  app.openapi(documentationRoutes.docs, (c) => {
    page ??= renderDocsPage(documentOf());
    c.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    return c.html(page, 200);
  });
};
