/** Host names of sandboxes for one process tree: TLS with a certificate of our own, and a resolver that leaves its code alone. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

/** Reserved for tests: no resolver but ours knows it. */
const NAME = 'sandbox.test';
const OPENSSL_DEADLINE_MS = 10_000;

export interface HostNames {
  /** The domain below which the installation has its sandboxes, port included. */
  domain: string;
  /** What a Node program needs in its environment to reach names below the domain. */
  env: Record<string, string>;
  stop(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1 (or on the given one) and passes what comes, without TLS, to `target`, a port of this machine. */
export async function startHostNames(dir: string, target: number, port = 0): Promise<HostNames> {
  const { keyFile, certificateFile } = await makeCertificate(dir);
  const [key, cert] = await Promise.all([readFile(keyFile), readFile(certificateFile)]);
  const sockets = new Set<Socket>();
  const server = createServer({ key, cert, ALPNProtocols: ['http/1.1'] }, (outer) => {
    const inner = connect(target, '127.0.0.1');
    for (const [socket, other] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      sockets.add(socket);
      socket.once('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
      // Its close follows.
      socket.on('error', () => undefined);
      socket.pipe(other);
    }
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  return {
    domain: `${NAME}:${(server.address() as AddressInfo).port}`,
    env: {
      NODE_EXTRA_CA_CERTS: certificateFile,
      NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'resolve-names.mjs')).href}`,
      LOOPBACK_DOMAIN: NAME,
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** One certificate that is its own authority, for every name below the domain. */
async function makeCertificate(dir: string): Promise<{ keyFile: string; certificateFile: string }> {
  const [keyFile, certificateFile] = [join(dir, 'key.pem'), join(dir, 'certificate.pem')];
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-noenc', '-keyout', keyFile];
  const names = ['-subj', '/CN=Glovebox test', '-addext', `subjectAltName=DNS:*.${NAME}`];
  await promisify(execFile)('openssl', ['req', '-x509', '-days', '2', ...newKey, ...names, '-out', certificateFile], {
    timeout: OPENSSL_DEADLINE_MS,
  });
  return { keyFile, certificateFile };
}
