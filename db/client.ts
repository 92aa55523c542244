import type { D1Database } from '@cloudflare/workers-types';
import { drizzle, type DrizzleD1Database } from 'drizzle-orm/d1';
import { cell, directory } from './schema.ts';

export type DirectoryDb = DrizzleD1Database<typeof directory>;
export type CellDb = DrizzleD1Database<typeof cell>;

export const openDirectory = (d1: D1Database): DirectoryDb => drizzle(d1, { schema: directory });
export const openCell = (d1: D1Database): CellDb => drizzle(d1, { schema: cell });
