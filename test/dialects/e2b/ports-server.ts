import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Agent, request, type Dispatcher } from 'undici';
import { installation, type TestTenant } from '../../installation.ts';

/** Runs inside, on port 8000 by Node. What it does is chosen by the path. */
const program = `
const http = require('node:http'), net = require('node:net'), { createHash } = require('node:crypto');
const { WebSocketServer } = require('/tmp/node_modules/ws');
const gone = [], streams = [], held = [];
const server = http.createServer(async (req, res) => {
  const url = new URL(req.url, 'http://x');
  const n = Number(url.searchParams.get('n') ?? 0);
  res.on('close', () => { if (!res.writableFinished) gone.push(req.url); });
  switch (url.pathname) {
    case '/echo': {
      const hash = createHash('sha256'); let bytes = 0;
      try { for await (const c of req) { hash.update(c); bytes += c.length; } } catch { gone.push('cut ' + req.url); return; }
      res.setHeader('content-type', 'application/json'); res.setHeader('x-twice', ['a', 'b']);
      res.setHeader('set-cookie', ['a=1; Domain=sandbox.localhost; Path=/', 'b=2']);
      return res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, raw: req.rawHeaders, bytes, sha256: hash.digest('hex') }));
    }
    case '/back': res.writeHead(200); return req.pipe(res);
    case '/bytes': {
      if (url.searchParams.has('length')) res.setHeader('content-length', n);
      const piece = Buffer.alloc(65536, 'x');
      for (let sent = 0; sent < n; sent += piece.length) {
        if (!res.write(piece.subarray(0, Math.min(piece.length, n - sent)))) await new Promise((go) => res.once('drain', go).once('close', go));
        if (res.destroyed) return;
      }
      return res.end();
    }
    case '/written': return res.end(String(server.written ?? 0));
    case '/status': res.statusCode = n; return res.end(n === 204 || n === 304 ? undefined : 'status ' + n);
    case '/gzip': res.setHeader('content-encoding', 'gzip'); return res.end(require('node:zlib').gzipSync('packed'));
    case '/events': res.setHeader('content-type', 'text/event-stream'); res.write('data: 0\\n\\n'); streams.push(res); return;
    case '/trickle': res.write('first'); streams.push(res); return;
    case '/next': { let k = 0; for (const s of streams) s.write('data: ' + url.searchParams.get('say') + '\\n\\n', () => 0); return res.end(String(streams.length)); }
    case '/finish': for (const s of streams.splice(0)) s.end(); return res.end();
    case '/break': if (n > 0) res.write(Buffer.alloc(n, 'y')); setTimeout(() => res.socket.resetAndDestroy(), 50); return;
    case '/early': res.statusCode = 413; res.end('too much'); return;
    case '/hold': server.holding = (server.holding ?? 0) + 1; held.push(res); return;
    case '/release': for (const r of held.splice(0)) r.end('released'); return res.end();
    case '/holding': return res.end(String(server.holding ?? 0));
    case '/gone': return res.end(JSON.stringify(gone));
    default: res.statusCode = 404; return res.end('no such page');
  }
});
const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 << 20, handleProtocols: (offered) => offered.has('chat') ? 'chat' : false });
server.on('upgrade', (req, socket, head) => {
  socket.on('error', () => 0);
  if (req.url.startsWith('/refuse')) return socket.end('HTTP/1.1 403 Forbidden\\r\\nContent-Type: text/plain\\r\\nContent-Length: 2\\r\\n\\r\\nno');
  sockets.handleUpgrade(req, socket, head, (ws) => {
    ws.on('close', (code, reason) => gone.push('ws ' + code + ' ' + reason));
    ws.on('message', (data, binary) => {
      const text = binary ? '' : String(data);
      if (text === 'headers') return ws.send(JSON.stringify({ headers: req.headers, url: req.url }));
      if (text.startsWith('close ')) return ws.close(Number(text.slice(6)), 'as asked');
      if (text === 'die') return ws.terminate();
      if (text.startsWith('big ')) return ws.send(Buffer.alloc(Number(text.slice(4))));
      if (text.startsWith('flood ')) { for (let i = 0; i < Number(text.slice(6)); i++) ws.send(Buffer.alloc(60000, i % 256)); return ws.send('flooded'); }
      if (text === 'held') return ws.send(String(ws.bufferedAmount));
      ws.send(data, { binary });
    });
  });
});
server.listen(8000, '127.0.0.1');
const raw = (port, answer) => net.createServer((s) => { s.on('error', () => 0); s.once('data', () => answer(s)); }).listen(port, '127.0.0.1');
raw(8101, (s) => s.end('HTTP/1.1 200 OK\\r\\nX-Huge: ' + 'h'.repeat(200000) + '\\r\\n\\r\\n'));
raw(8102, (s) => { s.write('HTTP/1.1 200 OK\\r\\n'); const t = setInterval(() => s.write('X-More: ' + 'm'.repeat(4000) + '\\r\\n'), 1); s.on('close', () => clearInterval(t)); });
raw(8103, (s) => s.end('SSH-2.0-OpenSSH\\r\\n'));
raw(8104, (s) => s.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: x\\r\\nConnection: Upgrade\\r\\n\\r\\nhello'));
raw(8105, (s) => s.end());
raw(8106, (s) => s.end('HTTP/1.1 999 Odd\\r\\nContent-Length: 0\\r\\n\\r\\n'));
raw(8107, (s) => s.end('HTTP/1.1 200 OK\\r\\nContent-Length: 100\\r\\n\\r\\nshort'));
raw(8108, (s) => s.end('HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n5\\r\\nhello\\r\\n0\\r\\n\\r\\n'));
raw(8109, (s) => s.end('HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\nhello'));
raw(8110, (s) => s.end('HTTP/1.0 200 OK\\r\\nConnection: X-Secret, close\\r\\nX-Secret: 1\\r\\nKeep-Alive: 5\\r\\nX-Open: 2\\r\\n\\r\\nto the end'));
`;

const dispatcher = new Agent({ connections: 600, headersTimeout: 60_000, bodyTimeout: 60_000, pipelining: 0 });

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  bytes: Buffer;
  text: string;
  json(): unknown;
}
export interface Asked {
  method?: string;
  headers?: Record<string, string | string[]>;
  body?: Dispatcher.RequestOptions['body'];
  host?: string;
  signal?: AbortSignal;
}

/** With any Host, which fetch does not let one choose. */
export const open = (path: string, asked: Asked = {}): Promise<Dispatcher.ResponseData<unknown>> => {
  const { host, headers, ...rest } = asked;
  return request(`${installation().url}${path}`, {
    ...rest,
    method: rest.method ?? 'GET',
    headers: { ...headers, ...(host === undefined ? {} : { host }) },
    dispatcher,
  } as Parameters<typeof request>[1]);
};

export const ask = async (path: string, asked: Asked = {}): Promise<Answer> => {
  const { statusCode, headers, body } = await open(path, asked);
  const bytes = Buffer.from(await body.arrayBuffer());
  return { status: statusCode, headers, bytes, text: String(bytes), json: () => JSON.parse(String(bytes)) as unknown };
};

/** A sandbox in which the server runs, spoken to as E2B's clients without DNS do. */
export class PortServer {
  readonly id: string;
  readonly #tenant: TestTenant;

  constructor(tenant: TestTenant, id: string) {
    this.#tenant = tenant;
    this.id = id;
  }

  static async start(tenant: TestTenant, id: string): Promise<PortServer> {
    const server = new PortServer(tenant, id);
    const modules = join(import.meta.dirname, '../../../node_modules');
    const { stdout } = await promisify(execFile)('tar', ['-C', modules, '-cf', '-', 'ws'], {
      encoding: 'buffer',
      maxBuffer: 16 * 1024 * 1024,
    });
    const into = `/v1/sandboxes/${id}/files/archive?path=/tmp/node_modules`;
    await tenant.json(into, { method: 'PUT', body: new Uint8Array(stdout) });
    await server.run('node', ['-e', program]);
    await server.listening(8000);
    return server;
  }

  async run(name: string, argv: string[] = []): Promise<void> {
    const json = { command: [name, ...argv] };
    await this.#tenant.json(`/v1/sandboxes/${this.id}/processes`, { method: 'POST', json, status: 201 });
  }

  /** As seen from within: outside one may need a token. */
  listening(port: number): Promise<void> {
    return this.exec(`until (echo > /dev/tcp/127.0.0.1/${port}) 2> /dev/null; do sleep 0.05; done`);
  }

  headers(port = 8000): Record<string, string> {
    return { 'e2b-sandbox-id': this.id, 'e2b-sandbox-port': String(port) };
  }

  hostOf(port = 8000, suffix = ''): string {
    return `${port}-${this.id}${suffix}.sandbox.localhost:${new URL(installation().url).port}`;
  }

  ask(path: string, asked: Asked = {}, port = 8000): Promise<Answer> {
    return ask(path, { ...asked, headers: { ...this.headers(port), ...asked.headers } });
  }

  open(path: string, asked: Asked = {}, port = 8000): Promise<Dispatcher.ResponseData<unknown>> {
    return open(path, { ...asked, headers: { ...this.headers(port), ...asked.headers } });
  }

  async exec(command: string): Promise<void> {
    const { exitCode, stderr } = await this.#tenant.json<{ exitCode: number; stderr: string }>(
      `/v1/sandboxes/${this.id}/exec`,
      { method: 'POST', json: { command, timeoutMs: 30_000 } },
    );
    if (exitCode !== 0) throw new Error(stderr);
  }

  async gone(): Promise<string[]> {
    return (await this.ask('/gone')).json() as string[];
  }
}
