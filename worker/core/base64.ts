/** Arguments of one call; engines limit them to some tens of thousands. */
const chunkBytes = 8192;

export const encodeBase64 = (bytes: Uint8Array): string => {
  let binary = '';
  for (let start = 0; start < bytes.length; start += chunkBytes) {
    binary += String.fromCharCode(...bytes.subarray(start, start + chunkBytes));
  }
  return btoa(binary);
};
