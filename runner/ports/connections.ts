import { RunnerError } from '../protocol/errors.ts';
import { limits } from '../protocol/limits.ts';
import type { LiveSandbox } from '../sandboxes/sandbox.ts';

/** Counts the connections into sandboxes: each costs descriptors here and in the sandbox, and memory for what is under way. */
export class PortConnections {
  readonly #bySandbox = new WeakMap<LiveSandbox, { all: number; sockets: number }>();
  readonly #byTenant = new Map<string, number>();

  /** Throws too_many_connections; else returns what gives the place back, once. */
  enter(sandbox: LiveSandbox, kind: 'request' | 'socket'): () => void {
    const { tenantId } = sandbox;
    const counts = this.#bySandbox.get(sandbox) ?? { all: 0, sockets: 0 };
    const ofTenant = this.#byTenant.get(tenantId) ?? 0;
    const socket = kind === 'socket' ? 1 : 0;
    if (counts.all >= limits.portConnectionsPerSandbox) {
      throw tooMany(`connections into this sandbox (limit: ${limits.portConnectionsPerSandbox})`);
    }
    if (counts.sockets + socket > limits.portSocketsPerSandbox) {
      throw tooMany(`WebSockets into this sandbox (limit: ${limits.portSocketsPerSandbox})`);
    }
    if (ofTenant >= limits.portConnectionsPerTenantAndNode) {
      throw tooMany(`connections into your sandboxes on this node (limit: ${limits.portConnectionsPerTenantAndNode})`);
    }
    counts.all += 1;
    counts.sockets += socket;
    this.#bySandbox.set(sandbox, counts);
    this.#byTenant.set(tenantId, ofTenant + 1);
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      counts.all -= 1;
      counts.sockets -= socket;
      this.#leaveTenant(tenantId);
    };
  }

  #leaveTenant(tenantId: string): void {
    const left = (this.#byTenant.get(tenantId) ?? 1) - 1;
    if (left === 0) this.#byTenant.delete(tenantId);
    else this.#byTenant.set(tenantId, left);
  }
}

const tooMany = (what: string): RunnerError =>
  new RunnerError('too_many_connections', `There are too many ${what} at once. Wait for some to end.`);
