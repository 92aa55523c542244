/** Takes the same time whichever bytes differ. */
export const sameBytes = (wanted: Uint8Array, given: Uint8Array): boolean => {
  let difference = wanted.length ^ given.length;
  for (const [index, byte] of wanted.entries()) difference |= byte ^ (given[index] ?? 0);
  return difference === 0;
};
