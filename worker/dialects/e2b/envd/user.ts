import { ServiceError } from '../../../core/errors.ts';
import type { Handled } from './route.ts';

/** Whose home and files are meant when nobody is named. */
export const defaultUser = 'user';
/** A name: our agents take a uid as well, E2B's does not. */
const userPattern = /^(?!\d+$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/** The account of an RPC: `Authorization: Basic base64("<user>:")`. No password is asked for: the sandbox's token has opened the door. */
export const rpcUser = (c: Handled): string => {
  const [, encoded] = /^Basic\s+([A-Za-z0-9+/=]{1,512})$/i.exec(c.req.header('authorization') ?? '') ?? [];
  if (encoded === undefined) return defaultUser;
  return requireUser(userOf(encoded));
};

/** The account of a /files request: `?username=`. */
export const queryUser = (c: Handled): string => namedUser(c.req.query('username'));

export const namedUser = (username: string | undefined): string =>
  username === undefined || username === '' ? defaultUser : requireUser(username);

export const unknownUser = (name: string): string => `invalid username: '${name}'`;

const userOf = (encoded: string): string => {
  try {
    return atob(encoded).split(':', 1)[0] ?? '';
  } catch {
    return '';
  }
};

const requireUser = (name: string): string => {
  if (userPattern.test(name)) return name;
  throw new ServiceError('user_not_found', unknownUser(name.slice(0, 64)));
};
