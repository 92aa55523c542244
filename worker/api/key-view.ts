import type { z } from '@hono/zod-openapi';
import type { createdKeyView, createKeyBody, keyView, limitsView } from '../contract/keys.ts';
import type { CreatedKey, CreateKey } from '../core/keys/create-key.ts';
import type { TenantLimits } from '../core/tenants/tenants.ts';
import { timestampOf, timestampOrNull } from './timestamp.ts';

export const viewKey = (key: CreatedKey['key']): z.infer<typeof keyView> => ({
  id: key.id,
  name: key.name,
  hint: key.hint,
  scopes: key.scopes,
  createdAt: timestampOf(key.createdAtMs),
  expiresAt: timestampOrNull(key.expiresAtMs),
  revokedAt: timestampOrNull(key.revokedAtMs),
  lastUsedAt: timestampOrNull(key.lastUsedAtMs),
});

export const viewCreatedKey = ({ key, secret }: CreatedKey): z.infer<typeof createdKeyView> => ({
  ...viewKey(key),
  key: secret,
});

export const keyInput = (body: z.infer<typeof createKeyBody>): CreateKey => ({
  name: body.name,
  scopes: body.scopes,
  expiresAtMs: body.expiresAt === undefined ? null : Date.parse(body.expiresAt),
});

export const viewLimits = (limits: TenantLimits): z.infer<typeof limitsView> => ({
  maxSandboxes: limits.maxSandboxes,
  maxCpus: limits.maxCpus,
  maxMemoryMiB: limits.maxMemoryMiB,
  maxTtlSeconds: limits.maxTtlSeconds,
  maxStorageBytes: limits.maxStorageBytes,
  requestsPerSecond: limits.requestsPerSecond,
});
