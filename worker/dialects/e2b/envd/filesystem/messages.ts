import { z } from '@hono/zod-openapi';

/** Messages of E2B's package `filesystem`, as protobuf's JSON mapping spells them: what is absent has its type's zero value. */
const path = z.string().default('');
const flag = z.boolean().default(false);

export const pathRequest = z.object({ path });
export const moveRequest = z.object({ source: path, destination: path });
export const listDirRequest = z.object({ path, depth: z.int().min(0).max(0xffffffff).default(0) });
export const watchRequest = z.object({ path, recursive: flag, includeEntry: flag, allowNetworkMounts: flag });
export const watcherRequest = z.object({ watcherId: z.string().default('') });
