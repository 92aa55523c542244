import { z } from 'zod';
import type { Broker } from './durable/broker/broker.ts';
import type { Fleet } from './durable/fleet.ts';
import type { Socket } from './durable/socket.ts';
import type { Transfer } from './durable/transfer.ts';

/** Bindings and variables as wrangler.toml declares them. */
export interface Env {
  BROKER: DurableObjectNamespace<Broker>;
  FLEET: DurableObjectNamespace<Fleet>;
  TRANSFER: DurableObjectNamespace<Transfer>;
  SOCKET: DurableObjectNamespace<Socket>;
  DIRECTORY_DB: D1Database;
  CELL_DB: D1Database;
  ARTIFACTS: R2Bucket;
  SNAPSHOTS: R2Bucket;
  DEPLOYMENT: string;
  PUBLIC_URL: string;
  CELL: string;
  BROKER_COUNT: string;
  REDIS_URL: string;
  KEY_PEPPER: string;
  ADMIN_API_KEY: string;
  RUNNER_JOIN_TOKEN: string;
  SANDBOX_DOMAIN?: string;
  LOCAL_TENANT_NAME?: string;
  R2_S3_URL?: string;
  R2_S3_SNAPSHOTS_URL?: string;
  R2_S3_ACCESS_KEY_ID?: string;
  R2_S3_SECRET_ACCESS_KEY?: string;
}

const secret = z.string().min(32, 'at least 32 characters');

/** A host name in lower case and at most a port; 56 of a label's 63 characters may go before it. */
const sandboxDomain = z
  .string()
  .max(180)
  .regex(
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:\d{1,5})?$/,
    'a host name, with :port or without',
  );

const settings = z.object({
  /** 'local' is the embedded default. */
  DEPLOYMENT: z.enum(['local', 'production']),
  PUBLIC_URL: z.url(),
  CELL: z.string().regex(/^[0-9a-f]{2}$/),
  BROKER_COUNT: z.coerce
    .number()
    .int()
    .min(1)
    .max(256)
    .refine((count) => (count & (count - 1)) === 0, 'a power of two'),
  /** redis:// or rediss://, an administrator: it makes a user for each runner. */
  REDIS_URL: z.string().regex(/^rediss?:\/\//),
  KEY_PEPPER: secret,
  ADMIN_API_KEY: secret,
  RUNNER_JOIN_TOKEN: secret,
  /** Whose sub-domains are sandboxes' ports, `<port>-<id>.<domain>`; with a port where it is not the scheme's own. Absent: none are. */
  SANDBOX_DOMAIN: sandboxDomain.optional(),
  /** Only of the embedded default on a loopback address: whose key the one of Acontext's documents is. */
  LOCAL_TENANT_NAME: z.string().min(1).optional(),
  /** For presigned URLs: the bucket's S3 address, https://<account>.r2.cloudflarestorage.com/<bucket>, and a token of R2's. All or none. */
  R2_S3_URL: z.url().optional(),
  /** The same for the bucket of snapshots, which nodes reach by such URLs alone: without it there are no snapshots. */
  R2_S3_SNAPSHOTS_URL: z.url().optional(),
  R2_S3_ACCESS_KEY_ID: z.string().min(1).optional(),
  R2_S3_SECRET_ACCESS_KEY: z.string().min(1).optional(),
});
export type Settings = z.infer<typeof settings>;

let parsed: { env: Env; settings: Settings } | undefined;

/** Once per isolate. Throws, naming the variable but never its value. */
export const settingsOf = (env: Env): Settings => {
  if (parsed?.env === env) return parsed.settings;
  const result = settings.safeParse(env);
  if (!result.success) {
    const problems = result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Error(`The worker's configuration is wrong. ${problems.join('; ')}`);
  }
  parsed = { env, settings: result.data };
  return result.data;
};
