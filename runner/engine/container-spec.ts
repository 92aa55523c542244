import { randomBytes } from 'node:crypto';
import type { AgentFolder } from '../agent/bundle.ts';
import { AGENT_MOUNT, KEPT_TMP_MOUNT, SOCKET_MOUNT } from '../agent/paths.ts';
import type { CreateOptions, HostOptions } from './docker-client.ts';
import type { HardLimits } from './node-facts.ts';
import type { ContainerRequest } from './port.ts';
import { seccompProfile } from './seccomp.ts';

export interface SpecContext {
  installationId: string;
  agent: AgentFolder;
  /** One of the engine's. */
  runtime: string;
  /** undefined: the engine's own forwarder asks the node's loopback resolver. */
  resolver: string | undefined;
  /** Whether the storage driver enforces a size. */
  diskQuota: boolean;
  hardLimits: HardLimits;
}

/** What everything here was built for; any other is tried out before it gets sandboxes. */
export const defaultRuntime = 'runc';

export const installationLabel = 'glovebox.installation';
export const slotLabel = 'glovebox.slot';
/** On an image: 'true' where it offers sudo. Without it no program can gain privileges (no-new-privileges). */
export const sudoLabel = 'glovebox.sudo';
export const diskLabel = 'glovebox.disk-mib';
export const networkName = (installationId: string): string => `gbx-${installationId}`;
export const containerName = (installationId: string, slot: string): string => `gbx-${installationId}-${slot}`;

/** What a sandbox's root may do beyond a plain user, each with what breaks without it. Everything else is dropped. */
const capabilities = {
  CHOWN: 'dpkg and tar give files to their owners',
  DAC_OVERRIDE: "root writes into the user's directories, apt into those of _apt",
  FOWNER: 'dpkg sets modes and times on files of other owners',
  FSETID: 'set-id bits survive the chown of an unpacked file (sudo, su, passwd)',
  KILL: "the agent and sudo signal the user's processes",
  SETGID: 'switching to the user; sudo, su, apt’s _apt',
  SETUID: 'switching to the user; sudo, su, apt’s _apt',
  NET_BIND_SERVICE: 'servers on ports below 1024, in the sandbox’s own network',
  SYS_CHROOT: 'services that confine themselves (sshd), dpkg --root',
} as const;
/** Only with sudo, which refuses to go on when it can't write its audit record. */
const sudoCapabilities = { AUDIT_WRITE: 'sudo and su write an audit record' } as const;

const pidsLimit = 512;
/** gVisor has two or three of the node's tasks for each process inside, and forty for itself. */
const pidsLimitUnproven = 2048;
/** Under the engine's own hard limit wherever we looked; enough for 10,000 connections. */
const openFilesLimit = 16_384;
const mib = 1024 * 1024;
const sharedMemoryBytes = 64 * mib;
/**
 * The kernel counts these by user id over the whole node, so no limit keeps sandboxes from each other without user
 * namespaces. Half of what the node's own programs have keeps sandboxes together from taking those programs' share.
 */
const pendingSignalsMax = 16_384;
const messageQueueBytes = 409_600;

/** Proc and sys paths that tell of the node or reach into it. The engine's own list is replaced by this one, so it is in here. */
export const maskedPaths = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/buddyinfo',
  '/proc/cmdline',
  '/proc/config.gz',
  '/proc/diskstats',
  '/proc/interrupts',
  '/proc/iomem',
  '/proc/ioports',
  '/proc/kallsyms',
  '/proc/kcore',
  '/proc/key-users',
  '/proc/keys',
  '/proc/kmsg',
  '/proc/kpagecgroup',
  '/proc/kpagecount',
  '/proc/kpageflags',
  '/proc/latency_stats',
  '/proc/locks',
  '/proc/modules',
  '/proc/pagetypeinfo',
  '/proc/partitions',
  '/proc/pressure',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/slabinfo',
  '/proc/swaps',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/vmallocinfo',
  '/sys/block',
  '/sys/bus',
  '/sys/class/block',
  '/sys/class/dmi',
  '/sys/devices/virtual/block',
  '/sys/devices/virtual/dmi',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/ext4',
  '/sys/fs/selinux',
  '/sys/kernel/debug',
  '/sys/kernel/notes',
  '/sys/kernel/slab',
  '/sys/kernel/tracing',
  '/sys/kernel/vmcoreinfo',
  '/sys/module',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

const seccomp = seccompProfile();

/** What of an image decides about its containers. */
export interface ImageFacts {
  id: string;
  env: Record<string, string>;
  offersSudo: boolean;
}

/**
 * A request as the engine's create options: every limit of docs/architecture's security baseline that is a setting. `address`: its own on the
 * installation's network, for good; undefined with the network off, or where the engine gives it one at each start.
 */
export function containerSpec(
  context: SpecContext,
  image: ImageFacts,
  request: ContainerRequest,
  address?: string,
): CreateOptions {
  const { installationId, agent } = context;
  const hostname = request.memory?.facts.hostname ?? randomBytes(6).toString('hex');
  return {
    name: containerName(installationId, request.slot),
    // By id: the tag may be moved between its inspection and this.
    Image: image.id,
    // A name without a value removes the image's own: the agent starts with nothing but what is meant for it.
    Env: [...Object.keys(image.env), ...agent.env],
    Entrypoint: agent.entrypoint,
    Cmd: [],
    User: '0:0',
    WorkingDir: AGENT_MOUNT,
    Hostname: hostname,
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    Tty: false,
    Healthcheck: { Test: ['NONE'] },
    Labels: {
      [installationLabel]: installationId,
      [slotLabel]: request.slot,
      [diskLabel]: String(request.diskMiB),
    },
    HostConfig: {
      ...privileges(image.offersSudo),
      ...resources(context, request),
      ...network(context, request, hostname),
      Mounts: [
        mount(agent.folder, agent.mountPath),
        mount(request.socketDir, SOCKET_MOUNT),
        ...(context.runtime === defaultRuntime ? [] : [keepTmp]),
      ],
      MaskedPaths: maskedPaths,
      ReadonlyPaths: readonlyPaths,
      LogConfig: { Type: 'none', Config: {} },
      RestartPolicy: { Name: 'no' },
      Init: false,
      Runtime: context.runtime,
    },
    ...endpoint(context, address),
  };
}

function privileges(sudo: boolean): HostOptions {
  return {
    Privileged: false,
    CapDrop: ['ALL'],
    CapAdd: [...Object.keys(capabilities), ...(sudo ? Object.keys(sudoCapabilities) : [])],
    SecurityOpt: [`seccomp=${seccomp}`, ...(sudo ? [] : ['no-new-privileges'])],
    IpcMode: 'private',
    PidMode: '',
    UTSMode: '',
    CgroupnsMode: 'private',
  };
}

function resources(context: SpecContext, request: ContainerRequest): HostOptions {
  return {
    ...sizeLimits(request),
    PidsLimit: context.runtime === defaultRuntime ? pidsLimit : pidsLimitUnproven,
    ShmSize: sharedMemoryBytes,
    Ulimits: [
      { Name: 'nofile', Soft: openFilesLimit, Hard: openFilesLimit },
      { Name: 'core', Soft: 0, Hard: 0 },
      ...sharedLimits(context.hardLimits),
      // The disk watcher looks every second or so; this stops a single file on the spot (SIGXFSZ, EFBIG).
      { Name: 'fsize', Soft: request.diskMiB * mib, Hard: request.diskMiB * mib },
    ],
    ...(context.diskQuota ? { StorageOpt: { size: `${request.diskMiB}M` } } : {}),
  };
}

/** Never above what this node's root has: raising takes a capability that it may lack, and no container would start. */
function sharedLimits({ pendingSignals, messageQueueBytes: nodeBytes }: HardLimits): HostOptions['Ulimits'] & object {
  const half = (limit: number): number => Math.floor(limit / 2);
  return [
    ['sigpending', Math.min(pendingSignalsMax, half(pendingSignals))] as const,
    ['msgqueue', Math.min(messageQueueBytes, half(nodeBytes))] as const,
  ].map(([Name, most]) => ({ Name, Soft: most, Hard: most }));
}

/** Also what a running container is updated with. Swap counts as memory: MemorySwap is the sum of both. */
export function sizeLimits(size: { cpus: number; memoryMiB: number }): {
  NanoCpus: number;
  Memory: number;
  MemorySwap: number;
} {
  return {
    NanoCpus: Math.round(size.cpus * 1e9),
    Memory: size.memoryMiB * mib,
    MemorySwap: size.memoryMiB * mib,
  };
}

function network(context: SpecContext, request: ContainerRequest, hostname: string): HostOptions {
  // '.' keeps the node's search domains out.
  const names = { DnsSearch: ['.'], DnsOptions: ['ndots:0'] };
  if (request.network === 'off') {
    // Nothing answers at 127.0.0.1, so lookups fail at once, and the node's resolver isn't told. The engine itself writes the
    // host name into /etc/hosts only with a network; sudo looks it up.
    return { ...names, NetworkMode: 'none', Dns: ['127.0.0.1'], ExtraHosts: [`${hostname}:127.0.0.1`] };
  }
  return {
    ...names,
    NetworkMode: networkName(context.installationId),
    Sysctls: { 'net.ipv6.conf.all.disable_ipv6': '1', 'net.ipv6.conf.default.disable_ipv6': '1' },
    // The one address in a private range that the firewall lets through.
    ...(context.resolver === undefined ? {} : { Dns: [context.resolver] }),
  };
}

function endpoint({ installationId }: SpecContext, address: string | undefined) {
  if (address === undefined) return {};
  const endpoints = { [networkName(installationId)]: { IPAMConfig: { IPv4Address: address } } };
  return { NetworkingConfig: { EndpointsConfig: endpoints } };
}

function mount(source: string, target: string): NonNullable<HostOptions['Mounts']>[number] {
  return { Type: 'bind', Source: source, Target: target, ReadOnly: true, BindOptions: { Propagation: 'rprivate' } };
}

/**
 * gVisor puts a file system of its own, in memory, over a /tmp in which nothing lies: its files would count for no disk limit and be in no
 * snapshot. Over this one it doesn't.
 */
const keepTmp: NonNullable<HostOptions['Mounts']>[number] = {
  Type: 'tmpfs',
  Target: KEPT_TMP_MOUNT,
  Source: '',
  ReadOnly: true,
  TmpfsOptions: { SizeBytes: 4096, Mode: 0o555 },
};
