import { getMimeType } from 'hono/utils/mime';
import { contextOf } from '../../../../api/context.ts';
import { answerFile, statFile, type FileTarget } from '../../../../api/file-answer.ts';
import { inlineNamed } from '../../../../core/artifacts/content-disposition.ts';
import { ServiceError } from '../../../../core/errors.ts';
import { sandboxRefOf } from '../../../../core/sandboxes/sandbox-ref.ts';
import { expandPath } from '../path.ts';
import type { EnvdRoute, Handled } from '../route.ts';
import { queryUser } from '../user.ts';
import { answerEncoding } from './encoding.ts';
import { isDirectory, notAcceptable, renderFileFailure } from './failure.ts';

const download = async (c: Handled): Promise<Response> => {
  const { sandbox } = c.var;
  if (!sandbox) throw new Error('envd was reached without a sandbox');
  try {
    const ctx = contextOf(c);
    const file = { path: expandPath(c.req.query('path') ?? ''), user: queryUser(c), privileged: true };
    return await answerDownload(c, { ctx, ref: sandboxRefOf(ctx, sandbox.sandboxId), file });
  } catch (error) {
    return renderFileFailure(error, c);
  }
};

const answerDownload = async (c: Handled, target: FileTarget): Promise<Response> => {
  const encoding = answerEncoding(c.req.header('accept-encoding'), c.req.header('range') !== undefined);
  if (encoding === undefined) return notAcceptable(c);
  try {
    return await answerFile(c, target, ({ name }) => ({
      'content-type': getMimeType(name) ?? 'application/octet-stream',
      'content-disposition': inlineNamed(name),
      vary: 'Accept-Encoding',
      // The runtime compresses a body that says so, as fast as it is taken.
      ...(encoding === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
    }));
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code !== 'not_a_file') throw error;
    const { kind, path } = await statFile(target);
    if (kind !== 'directory') throw error;
    return isDirectory(c, path);
  }
};

export const downloadRoute: EnvdRoute = {
  method: 'GET',
  path: '/files',
  access: 'token-or-signature',
  handler: download,
};
