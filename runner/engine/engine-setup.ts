import type { AgentFolder } from '../agent/bundle.ts';
import type { Logger } from '../log.ts';
import type { ContainerFacts } from './container-facts.ts';
import { defaultRuntime, type SpecContext } from './container-spec.ts';
import { DiskWatcher } from './disk-watcher.ts';
import type { DockerClient } from './docker-client.ts';
import { SandboxNetwork } from './network.ts';
import { nodeResolver } from './node-network.ts';
import type { NodeFacts } from './node-facts.ts';

export interface DockerEngineOptions {
  /** A unix socket's path; see dockerSocketPath for DOCKER_HOST. */
  socketPath: string;
  /** 12 lowercase hex. Everything made on the engine carries it, and nothing without it is ever touched. */
  installationId: string;
  agent: AgentFolder;
  /** One of the engine's. Default: runc. */
  runtime?: string;
  /** The one address in a denied range that may be reached, on port 53. Default: the node's own first resolver. */
  resolver?: string;
  /** Addresses, networks or address:port pairs denied beside the private ranges: Redis, the control plane's internal port. */
  denyAddresses?: string[];
  log: Logger;
}

/** What prepare() finds and sets up. */
export interface EngineState {
  spec: SpecContext;
  network: SandboxNetwork;
  /** For sandboxes whose runtime has a network stack of its own, which doesn't reach the engine's. */
  resolver: string | undefined;
  watcher: DiskWatcher;
  /** Why this node can't take or boot snapshots. */
  snapshotObstacle: string | undefined;
  /** Of the engine's own files. */
  dataRoot: string;
}

/** Of what was found on the node; nothing is changed on it yet. */
export async function setUpEngine(
  docker: DockerClient,
  facts: NodeFacts,
  options: DockerEngineOptions,
  disk: { listRunning: () => Promise<ContainerFacts[]>; onLimit: (containerId: string) => void },
): Promise<EngineState> {
  const { installationId, agent, runtime = defaultRuntime, denyAddresses = [], log } = options;
  const resolver = options.resolver ?? (await nodeResolver());
  const { dataRoot, diskLimit, hardLimits, snapshotObstacle } = facts;
  return {
    dataRoot,
    spec: { installationId, agent, runtime, resolver, diskQuota: diskLimit === 'quota', hardLimits },
    resolver: runtime === defaultRuntime ? undefined : resolver,
    network: new SandboxNetwork(docker, { installationId, resolver, denyAddresses, log }),
    watcher: new DiskWatcher({ dataRoot, ...disk, log }),
    snapshotObstacle,
  };
}
