import { AwsClient } from 'aws4fetch';
import type { PresignRequest } from '../core/object-store.ts';
import type { Settings } from '../env.ts';

/** Signs S3 URLs (AWS Signature Version 4, in the query). Undefined where R2's S3 credentials are not configured. */
export const presigner = (
  settings: Settings,
  bucketUrl: string | undefined,
): ((request: PresignRequest) => Promise<string>) | undefined => {
  const { R2_S3_ACCESS_KEY_ID, R2_S3_SECRET_ACCESS_KEY } = settings;
  if (bucketUrl === undefined || R2_S3_ACCESS_KEY_ID === undefined || R2_S3_SECRET_ACCESS_KEY === undefined) {
    return undefined;
  }
  const client = new AwsClient({
    accessKeyId: R2_S3_ACCESS_KEY_ID,
    secretAccessKey: R2_S3_SECRET_ACCESS_KEY,
    service: 's3',
    region: 'auto',
  });
  return async ({ method, key, expiresSeconds, part, contentType, contentDisposition }) => {
    const url = new URL(`${bucketUrl}/${key}`);
    url.searchParams.set('X-Amz-Expires', String(expiresSeconds));
    if (part) {
      url.searchParams.set('partNumber', String(part.part));
      url.searchParams.set('uploadId', part.multipartId);
    }
    if (contentType !== undefined) url.searchParams.set('response-content-type', contentType);
    if (contentDisposition !== undefined) url.searchParams.set('response-content-disposition', contentDisposition);
    // Signed, so that the store takes no other length; without allHeaders it would be left out.
    const headers = part ? { 'content-length': String(part.sizeBytes) } : {};
    return (await client.sign(url, { method, headers, aws: { signQuery: true, allHeaders: true } })).url;
  };
};
