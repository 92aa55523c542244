import { z } from '@hono/zod-openapi';
import { envInput } from '../../contract/execution.ts';
import { metadataInput } from '../../contract/sandboxes.ts';
import { ServiceError } from '../../core/errors.ts';
import type { Context } from '../../core/ports.ts';
import type { CreateSandbox } from '../../core/sandboxes/create-sandbox.ts';
import { egressFields, egressOf } from './network.ts';
import { resolveSource } from './snapshot-names.ts';
import { runningTime, timeoutInput } from './timeout.ts';

/** What a sandbox may use, unless its tenant may use less. */
export const defaultSize = { cpus: 2, memoryMiB: 512 };
/** What any sandbox needs. */
const smallest = { cpus: 0.1, memoryMiB: 64 };

/** A host name or address, perhaps with a port; `${PORT}` in it is replaced by the port that is asked for. */
const hostMask = z
  .string()
  .max(255)
  .regex(/^(?:[A-Za-z0-9._-]|\$\{PORT\})+(?::(?:[0-9]{1,5}|\$\{PORT\}))?$/, 'mask request host is not valid');

/** Nobody may believe to be in force what is not: another field than these is refused, not dropped. */
const networkInput = z.strictObject({
  ...egressFields,
  allowPublicTraffic: z.boolean().nullish(),
  maskRequestHost: hostMask.nullish(),
  httpsPorts: z.array(z.unknown()).nullish(),
});

/** NewSandbox and NewSandboxV2. A field that is not E2B's changes nothing; what is E2B's and not served is refused below. */
export const newSandboxInput = z.object({
  templateID: z.string().min(1, 'templateID must not be empty').max(256, 'templateID has at most 256 characters'),
  timeout: timeoutInput.optional(),
  autoPause: z.boolean().optional(),
  autoPauseMemory: z.boolean().optional(),
  autoResume: z.object({ enabled: z.boolean().default(false) }).nullish(),
  secure: z.boolean().optional(),
  allow_internet_access: z.boolean().nullish(),
  network: networkInput.nullish(),
  metadata: metadataInput.nullish(),
  envVars: envInput.nullish(),
  // The SDK itself starts the gateway in the sandbox: nothing is to be done with it here.
  mcp: z.record(z.string().max(256), z.unknown()).nullish(),
  iam: z.object({ tokens: z.record(z.string(), z.unknown()).nullish() }).nullish(),
  volumeMounts: z.array(z.unknown()).nullish(),
});
export type NewSandbox = z.output<typeof newSandboxInput>;

/** Of the two versions of the route. */
export interface CreateTerms {
  defaultTimeoutSeconds: number;
  /** `secure: false` is E2B's first version's only. */
  alwaysSecure: boolean;
}

const refuseUnserved = (body: NewSandbox): void => {
  if ((body.volumeMounts ?? []).length > 0) {
    throw new ServiceError('not_implemented', 'Volume mounts are not offered here.');
  }
  if (Object.keys(body.iam?.tokens ?? {}).length > 0) {
    throw new ServiceError('not_implemented', 'Workload tokens (iam) are not offered here.');
  }
  if ((body.network?.httpsPorts ?? []).length > 0) {
    throw new ServiceError('not_implemented', 'httpsPorts are not offered here.');
  }
};

/** The fields that exclude each other, as E2B has it. Throws invalid_argument. */
const checkLifecycle = ({ autoPause, autoPauseMemory, autoResume }: NewSandbox): void => {
  if (autoPauseMemory !== false) return;
  if (autoPause !== true) {
    throw new ServiceError('invalid_argument', 'autoPauseMemory=false only applies when autoPause is true.');
  }
  if (autoResume?.enabled === true) {
    throw new ServiceError(
      'invalid_argument',
      'autoPauseMemory=false cannot be combined with autoResume: a sandbox whose memory was dropped is resumed explicitly.',
    );
  }
};

/** Throws invalid_argument, not_implemented, or not_found for a template that there is not. */
export const createInputOf = async (ctx: Context, body: NewSandbox, terms: CreateTerms): Promise<CreateSandbox> => {
  refuseUnserved(body);
  checkLifecycle(body);
  const envdOpen = body.secure === false && !terms.alwaysSecure;
  const publicPorts = body.network?.allowPublicTraffic ?? true;
  if (envdOpen && !publicPorts) {
    throw new ServiceError('invalid_argument', 'A sandbox without public traffic has to be secure.');
  }
  const { maxCpus, maxMemoryMiB } = ctx.actor.tenant;
  const { template, snapshotId, size: own } = await resolveSource(ctx, body.templateID);
  const { cpus, memoryMiB } = own ?? defaultSize;
  return {
    template,
    snapshotId,
    // Without internet access it denies every address, so that an update of its network may open it again.
    network: undefined,
    egress: egressOf(body.network, body.allow_internet_access),
    publicPorts,
    maskRequestHost: body.network?.maskRequestHost ?? null,
    envdOpen,
    timeoutSeconds: runningTime(ctx, body.timeout, terms.defaultTimeoutSeconds),
    timeoutMode: 'fixed',
    onTimeout: body.autoPause === true ? 'pause' : 'kill',
    keepMemory: body.autoPauseMemory ?? true,
    autoResume: body.autoResume?.enabled ?? false,
    metadata: body.metadata ?? {},
    env: body.envVars ?? {},
    cpus: Math.max(smallest.cpus, Math.min(cpus, maxCpus)),
    memoryMiB: Math.max(smallest.memoryMiB, Math.min(memoryMiB, maxMemoryMiB)),
    idempotencyKey: undefined,
  };
};
