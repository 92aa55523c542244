import { methodsByPath } from '../../api/methods-by-path.ts';
import { ServiceError } from '../../core/errors.ts';
import { acontextRoutes } from './route-table.ts';
import type { Handled } from './route.ts';

/** First segments of what the SDKs can call and we do not serve. */
const notServed = new Set(['session', 'learning_spaces', 'project']);

const allowedMethods = methodsByPath(acontextRoutes);

/** Why no route answered. Throws always. */
export const refuseUnserved = (c: Handled, mountPath: string): never => {
  const path = c.req.path.slice(mountPath.length);
  const allowed = allowedMethods(path);
  if (allowed.length > 0) {
    c.header('allow', allowed.join(', '));
    throw new ServiceError('method_not_allowed', `This path takes ${allowed.join(', ')}.`);
  }
  if (notServed.has(path.split('/')[1] ?? '')) {
    throw new ServiceError(
      'not_implemented',
      'This part of Acontext is not served here: there are sandboxes, disks, artifacts, users and agent skills.',
    );
  }
  throw new ServiceError('not_found', 'There is no such route.');
};
