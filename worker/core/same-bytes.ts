/** Takes the same time whichever bytes differ. */
export const sameBytes = (wanted: Uint8Array, given: Uint8Array): boolean => {
  let difference = wanted.length ^ given.length;
  for (let at = 0; at < wanted.length; at += 1) difference |= (wanted[at] ?? 0) ^ (given[at] ?? 0);
  return difference === 0;
};
