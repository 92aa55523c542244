import { ServiceError } from '../../../../core/errors.ts';
import { renderEnvdFailure } from '../error.ts';
import type { Handled } from '../route.ts';

const said = (c: Handled, code: 400 | 401 | 404 | 406, message: string): Response => c.json({ code, message }, code);

export const notAcceptable = (c: Handled): Response =>
  said(c, 406, 'no acceptable encoding found: gzip and identity are supported');

/** What went wrong with one file, in the sentences that E2B's clients know. */
export const renderFileFailure = (error: unknown, c: Handled): Response => {
  if (!(error instanceof ServiceError)) return renderEnvdFailure(error, c);
  const { code, filePath: path } = error;
  if (code === 'user_not_found') return said(c, 401, `error looking up user: ${error.message}`);
  if (code === 'file_not_found' && path !== undefined) return said(c, 404, `path '${path}' does not exist`);
  return renderEnvdFailure(error, c);
};

export const isDirectory = (c: Handled, path: string): Response => said(c, 400, `path '${path}' is a directory`);
