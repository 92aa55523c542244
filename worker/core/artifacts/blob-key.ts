/** Where a blob's bytes lie in the bucket. */
export const blobKey = (tenantId: string, blobId: string): string => `blobs/${tenantId}/${blobId}`;
