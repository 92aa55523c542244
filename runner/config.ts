import { cpus, hostname, totalmem } from 'node:os';
import { z } from 'zod';

/** Everything that a runner is told from outside. Read once, at start. */
const environment = z.object({
  /** Where the control plane's /internal is reached, without a trailing slash: https://api.example.com or http://127.0.0.1:8029. */
  GLOVEBOX_CONTROL_PLANE_URL: z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, '')),
  /** Lets this node join the cell. Traded for credentials of the runner's own. */
  GLOVEBOX_JOIN_TOKEN: z.string().min(1),
  /** Marks everything that is made on the engine, so that two installations on one engine leave each other alone. 12 hex. */
  GLOVEBOX_INSTALLATION_ID: z.string().regex(/^[0-9a-f]{12}$/),
  /** The runner's own state: journal, agent sockets, the agent's program. Absolute; made if missing (0700). */
  GLOVEBOX_DATA_DIR: z.string().startsWith('/').max(80),
  /** The engine's socket. Only unix:// is taken: the agent's socket and cgroup files must be on this machine. */
  DOCKER_HOST: z
    .string()
    .regex(/^unix:\/\/\/.+$/, 'only unix:// sockets are supported')
    .default('unix:///var/run/docker.sock'),
  /** How the node is called in lists. */
  GLOVEBOX_RUNNER_NAME: z.string().min(1).max(128).default(hostname()),
  /** What placement matches sandboxes' regions against. */
  GLOVEBOX_REGION: z.string().min(1).max(64).default('local'),
  /** '1': on SIGTERM remove all containers and the network. Otherwise they are left for the next life to adopt. */
  GLOVEBOX_REMOVE_ON_EXIT: z.enum(['0', '1']).default('0'),
  /** The most warm containers kept, whatever the control plane asks for. */
  GLOVEBOX_WARM_LIMIT: z.coerce.number().int().min(0).max(256).default(defaultWarmLimit()),
  /** The most sandboxes at once, paused ones counted. */
  GLOVEBOX_SANDBOX_LIMIT: z.coerce.number().int().min(1).max(4096).default(defaultSandboxLimit()),
  /** No sandbox is begun while the node has less than this available. MiB. */
  GLOVEBOX_MEMORY_FLOOR_MIB: z.coerce.number().int().min(0).default(512),
  /** The writable layer of one sandbox. MiB. */
  GLOVEBOX_DISK_LIMIT_MIB: z.coerce
    .number()
    .int()
    .min(64)
    .default(10 * 1024),
  /** What sealed snapshots may take of this node's disk, the least recently used going first. MiB. */
  GLOVEBOX_SNAPSHOT_CACHE_MIB: z.coerce
    .number()
    .int()
    .min(0)
    .default(10 * 1024),
  /**
   * Whether a pause that keeps processes may write them to disk. 'auto': where it works and a restored sandbox is as confined as a fresh one.
   * 'on': also where its root could then change the mode and owner of the node's /dev/null.
   */
  GLOVEBOX_CHECKPOINTS: z.enum(['auto', 'off']).default('auto'),
  /** The engine's name of what runs the containers: `runc`, or one that its configuration adds (`runsc`: gVisor). */
  GLOVEBOX_RUNTIME: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'not a name of an engine’s runtime')
    .default('runc'),
  /** The resolver that sandboxes may use, an IPv4 address. Absent: the node's own. */
  GLOVEBOX_DNS: z.ipv4().optional(),
});

export interface RunnerConfig {
  controlPlaneUrl: string;
  joinToken: string;
  installationId: string;
  dataDir: string;
  dockerSocketPath: string;
  name: string;
  region: string;
  removeOnExit: boolean;
  warmLimit: number;
  sandboxLimit: number;
  memoryFloorMiB: number;
  diskLimitMiB: number;
  snapshotCacheMiB: number;
  dns: string | undefined;
  checkpoints: 'auto' | 'off';
  runtime: string;
}

/** Throws one sentence per wrong variable. */
export function readConfig(env: Record<string, string | undefined>): RunnerConfig {
  const parsed = environment.safeParse(env);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
    throw new Error(`The runner's environment is not usable:\n  ${lines.join('\n  ')}`);
  }
  const values = parsed.data;
  return {
    controlPlaneUrl: values.GLOVEBOX_CONTROL_PLANE_URL,
    joinToken: values.GLOVEBOX_JOIN_TOKEN,
    installationId: values.GLOVEBOX_INSTALLATION_ID,
    dataDir: values.GLOVEBOX_DATA_DIR,
    dockerSocketPath: values.DOCKER_HOST.slice('unix://'.length),
    name: values.GLOVEBOX_RUNNER_NAME,
    region: values.GLOVEBOX_REGION,
    removeOnExit: values.GLOVEBOX_REMOVE_ON_EXIT === '1',
    warmLimit: values.GLOVEBOX_WARM_LIMIT,
    sandboxLimit: values.GLOVEBOX_SANDBOX_LIMIT,
    memoryFloorMiB: values.GLOVEBOX_MEMORY_FLOOR_MIB,
    diskLimitMiB: values.GLOVEBOX_DISK_LIMIT_MIB,
    snapshotCacheMiB: values.GLOVEBOX_SNAPSHOT_CACHE_MIB,
    dns: values.GLOVEBOX_DNS,
    checkpoints: values.GLOVEBOX_CHECKPOINTS,
    runtime: values.GLOVEBOX_RUNTIME,
  };
}

/** A warm container takes 8 to 12 MiB: a quarter of the node's memory at 16 MiB each. */
function defaultWarmLimit(): number {
  return Math.min(256, Math.floor(totalmem() / 4 / (16 * 1024 * 1024)));
}

/** Idle sandboxes cost little: bound them by memory at 64 MiB each and by a share of CPU. */
function defaultSandboxLimit(): number {
  const byMemory = Math.floor(totalmem() / (64 * 1024 * 1024));
  return Math.max(1, Math.min(4096, byMemory, cpus().length * 128));
}
