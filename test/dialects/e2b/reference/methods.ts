import type { Sandbox } from 'e2b';
import type { E2b } from '../client.ts';

/**
 * Every method of the Python SDK's reference and what it is called in JavaScript. A method that exists of an object and of its class
 * (`sandbox.kill()`, `Sandbox.kill(id)`) stands here twice.
 */
export const jsForms = {
  'SandboxApi.list': 'Sandbox.list',
  'SandboxPaginator.next_items': 'paginator.nextItems',

  'Commands.list': 'sandbox.commands.list',
  'Commands.kill': 'sandbox.commands.kill',
  'Commands.send_stdin': 'sandbox.commands.sendStdin',
  'Commands.run in the foreground': 'sandbox.commands.run',
  'Commands.run in the background': 'sandbox.commands.run',
  'Commands.connect': 'sandbox.commands.connect',

  'CommandHandle.pid': 'handle.pid',
  'CommandHandle.__iter__': 'handle.wait',
  'CommandHandle.disconnect': 'handle.disconnect',
  'CommandHandle.wait': 'handle.wait',
  'CommandHandle.kill': 'handle.kill',

  'Pty.create': 'sandbox.pty.create',
  'Pty.send_stdin': 'sandbox.pty.sendInput',
  'Pty.resize': 'sandbox.pty.resize',
  'Pty.kill': 'sandbox.pty.kill',

  'Filesystem.read as text': 'sandbox.files.read',
  'Filesystem.read as bytes': 'sandbox.files.read',
  'Filesystem.read as a stream': 'sandbox.files.read',
  'Filesystem.write': 'sandbox.files.write',
  'Filesystem.write_files': 'sandbox.files.writeFiles',
  'Filesystem.list': 'sandbox.files.list',
  'Filesystem.exists': 'sandbox.files.exists',
  'Filesystem.get_info': 'sandbox.files.getInfo',
  'Filesystem.remove': 'sandbox.files.remove',
  'Filesystem.rename': 'sandbox.files.rename',
  'Filesystem.make_dir': 'sandbox.files.makeDir',
  'Filesystem.watch_dir': 'sandbox.files.watchDir',
  'WatchHandle.get_new_events': 'sandbox.files.watchDir',
  'WatchHandle.stop': 'watch.stop',

  'Sandbox.create': 'Sandbox.create',
  'Sandbox.__init__': 'Sandbox.create',
  'Sandbox.beta_create': 'Sandbox.create',
  'Sandbox.connect': 'sandbox.connect',
  'Sandbox.connect (static)': 'Sandbox.connect',
  'Sandbox.is_running': 'sandbox.isRunning',
  'Sandbox.get_info': 'sandbox.getInfo',
  'Sandbox.get_info (static)': 'Sandbox.getInfo',
  'Sandbox.get_metrics': 'sandbox.getMetrics',
  'Sandbox.get_metrics (static)': 'Sandbox.getMetrics',
  'Sandbox.set_timeout': 'sandbox.setTimeout',
  'Sandbox.set_timeout (static)': 'Sandbox.setTimeout',
  'Sandbox.beta_pause': 'sandbox.betaPause',
  'Sandbox.beta_pause (static)': 'Sandbox.betaPause',
  'Sandbox.kill': 'sandbox.kill',
  'Sandbox.kill (static)': 'Sandbox.kill',
} as const;

export type ReferenceMethod = keyof typeof jsForms;

export interface Ground {
  e2b: E2b;
  secure: boolean;
  /** Shared by the methods that leave it as it is; each other has its own. */
  sandbox: Sandbox;
  /** A directory of its own for each. */
  directory: string;
}

/** What a method promises at the least; the dialect's other tests go deeper. */
export type Guarantee = (ground: Ground) => Promise<void>;

/** The guarantees of the methods whose names begin so. No method can be left out: that would not compile. */
export type Guarantees<Class extends string> = Record<Extract<ReferenceMethod, `${Class}.${string}`>, Guarantee>;
