import { z } from 'zod';

/** 32 lowercase hex, shaped as a UUIDv4: byte 0 names the cell, byte 1 the Broker shard. */
export const sandboxId = z.string().regex(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
export const processId = z.string().regex(/^[0-9a-f]{32}$/);
export const channelId = z.string().regex(/^[0-9a-f]{32}$/);
export const tenantId = z.string().regex(/^[a-z0-9_]{1,64}$/);
export const runnerId = z.string().regex(/^[0-9a-f]{16}$/);
/** One life of a runner process or of a Broker shard. */
export const bootId = z.string().regex(/^[0-9a-f]{32}$/);
export const requestId = z.string().min(1).max(128);

export const execQueueName = (runner: string): string => `x-${runner}`;
export const lifecycleQueueName = (runner: string): string => `l-${runner}`;
export const inStreamName = (runner: string, boot: string): string => `in-${runner}-${boot}`;
export const outStreamName = (shard: string, boot: string): string => `out-${shard}-${boot}`;
export const leaseKey = (runner: string): string => `lease-${runner}`;
