/** A form byte for byte as the SDKs write it (httpx, undici): parts in this order, names in raw UTF-8, no filename*. */
export const formOf = (
  parts: readonly { name: string; value: string | Uint8Array; filename?: string; type?: string }[],
  boundary = '8c1bd9ab5b1f4a3d',
): { body: Buffer<ArrayBuffer>; type: string } => {
  const pieces = parts.flatMap(({ name, value, filename, type }) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`;
    const contentType = filename === undefined ? '' : `Content-Type: ${type ?? 'application/octet-stream'}\r\n`;
    return [
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n${contentType}\r\n`),
      Buffer.from(value),
      Buffer.from('\r\n'),
    ];
  });
  return {
    body: Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]),
    type: `multipart/form-data; boundary=${boundary}`,
  };
};
