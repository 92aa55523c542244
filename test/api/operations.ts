import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

interface OpenApiOperation {
  operationId: string;
  security?: Record<string, unknown>[];
  requestBody?: { content: Record<string, unknown> };
}

export interface Operation {
  id: string;
  method: string;
  /** With {placeholders}. */
  template: string;
  security: 'key' | 'admin' | 'none';
}

/** Every operation of the committed document; `npm run check` holds it to the routes. */
export const readOperations = async (): Promise<Operation[]> => {
  const text = await readFile(join(import.meta.dirname, '../../openapi.json'), 'utf8');
  const document = JSON.parse(text) as { paths: Record<string, Record<string, OpenApiOperation>> };
  return Object.entries(document.paths).flatMap(([template, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      id: operation.operationId,
      method: method.toUpperCase(),
      template,
      security: securityOf(operation),
    })),
  );
};

const securityOf = ({ security }: OpenApiOperation): Operation['security'] => {
  if (security === undefined) return 'key';
  return security.some((scheme) => 'admin' in scheme) ? 'admin' : 'none';
};

interface Example {
  query?: string;
  json?: unknown;
  bytes?: string;
}

const file = { query: 'path=/tmp/file' };
const artifact = { query: 'path=/dir/file' };

/** A well-formed request for each operation that needs more than its path. */
const examples: Record<string, Example> = {
  createSandbox: { json: {} },
  changeSandbox: { json: { metadata: { a: 'b' } } },
  setSandboxTimeout: { json: { timeoutSeconds: 60 } },
  resumeSandbox: { json: {} },
  changeSandboxNetwork: { json: { deny: ['203.0.113.0/24'] } },
  connectSandbox: { json: { timeoutSeconds: 60 } },
  createPreview: { json: { port: 8000 } },
  exec: { json: { command: 'true' } },
  startProcess: { json: { command: 'true' } },
  writeStdin: { bytes: 'text' },
  resizeTerminal: { json: { cols: 80, rows: 24 } },
  signalProcess: { json: { signal: 'SIGTERM' } },
  listFiles: file,
  removeFile: file,
  statFile: file,
  fileExists: file,
  readFile: file,
  readArchive: file,
  watchFiles: file,
  writeFile: { ...file, bytes: 'text' },
  writeArchive: { ...file, bytes: 'text' },
  makeDirectory: { json: { path: '/tmp/directory' } },
  moveFile: { json: { source: '/tmp/a', destination: '/tmp/b' } },
  composeFile: { json: { sources: ['/tmp/a'], destination: '/tmp/b' } },
  createFileWatcher: { json: { path: '/tmp' } },
  copyFile: { json: { source: '/tmp/a', destination: '/tmp/b' } },
  createUpload: { json: { path: '/tmp/file' } },
  writePart: { bytes: 'text' },
  completeUpload: { json: { parts: 1 } },
  globArtifacts: { query: 'pattern=*' },
  grepArtifacts: { query: 'pattern=a' },
  createDisk: { json: {} },
  changeDisk: { json: { name: 'one' } },
  statArtifact: artifact,
  changeArtifact: { ...artifact, json: { metadata: { a: 'b' } } },
  removeArtifacts: artifact,
  moveArtifacts: { json: { source: '/a', destination: '/b' } },
  copyArtifacts: { json: { source: '/a', destination: '/b' } },
  readArtifact: artifact,
  writeArtifact: { ...artifact, bytes: 'text' },
  createArtifactUpload: { json: { path: '/file' } },
  writeArtifactPart: { bytes: 'text' },
  createArtifactUploadUrls: { json: { parts: [{ part: 1, sizeBytes: 1 }] } },
  completeArtifactUpload: { json: { parts: 1 } },
  createArtifactUrl: { json: { path: '/file' } },
  copyToSandbox: { json: { path: '/file', sandboxId: '0', destination: '/tmp/file' } },
  copyFromSandbox: { json: { sandboxId: '0', source: '/tmp/file', path: '/file' } },
  createSkill: { bytes: 'text' },
  readSkillFile: { query: 'path=SKILL.md' },
  mountSkill: { json: { sandboxId: '0' } },
  createKey: { json: { name: 'one' } },
  changeTemplate: { json: { warmCount: 4 } },
  createTenant: { json: { name: 'one' } },
  changeTenant: { json: { name: 'one' } },
  createTenantKey: { json: { name: 'one' } },
};

/** The operation as a request, its path parameters filled from `ids`. */
export const requestFor = (
  operation: Operation,
  ids: Record<string, string> = {},
): { path: string; init: RequestInit } => {
  const { query, json, bytes } = examples[operation.id] ?? {};
  const filled: Record<string, string> = {
    sandboxId: '00000000000040008000000000000000',
    processId: '0'.repeat(32),
    diskId: '00000000000040008000000000000000',
    user: 'somebody',
    uploadId: '0'.repeat(32),
    watcherId: '0'.repeat(32),
    part: '1',
    ...ids,
  };
  const path = operation.template.replaceAll(/\{(\w+)\}/g, (_, name: string) => filled[name] ?? 'unknown');
  const headers = new Headers();
  if (json !== undefined) headers.set('content-type', 'application/json');
  if (bytes !== undefined) headers.set('content-type', 'application/octet-stream');
  const body = json === undefined ? bytes : JSON.stringify(json);
  return {
    path: query === undefined ? path : `${path}?${query}`,
    init: { method: operation.method, headers, ...(body === undefined ? {} : { body }) },
  };
};
