import { ServiceError } from '../../core/errors.ts';
import type { Handled } from './route.ts';

/** Inside an id is 32 hex digits; Acontext shows it with hyphens, in lower case. No other spelling is taken. */
const uuid = /^([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/;

export const toUuid = (id: string): string =>
  `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`;

/** `name` is the field's on the wire: `invalid disk_id` is what Acontext says. */
export const fromUuid = (text: string, name: string): string => {
  const parts = uuid.exec(text);
  if (parts === null) throw new ServiceError('invalid_argument', `invalid ${name}`);
  return parts.slice(1).join('');
};

/** The id in the path's parameter `name`. */
export const pathId = (c: Handled, name: string): string => fromUuid(c.req.param(name) ?? '', name);
