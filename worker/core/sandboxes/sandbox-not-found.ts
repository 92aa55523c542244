import { ServiceError } from '../errors.ts';
import { isSandboxId } from '../ids.ts';

/** The one answer to a missing id, another tenant's and a malformed one: nobody learns which it was. */
export const sandboxNotFound = (sandboxId: string): ServiceError =>
  new ServiceError('not_found', `There is no sandbox with the id ${sandboxId.slice(0, 64)}.`);

export const requireSandboxId = (sandboxId: string): string => {
  if (!isSandboxId(sandboxId)) throw sandboxNotFound(sandboxId);
  return sandboxId;
};
