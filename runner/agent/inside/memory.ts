/**
 * The agent shares the sandbox's memory limit, and JavaScriptCore would rather grow than collect: it does not count the memory of
 * the buffers that Bun reads pipes into.
 */
const collectBytes = 16 * 1024 * 1024;
/** Collections after this much quiet: the second gives back to the kernel what the first has freed. */
const quietMs = 1_000;
const secondMs = 200;

let unaccountedBytes = 0;
let quiet: Timer | undefined;

/** To be told of bytes that passed through buffers, and of every other activity with 0. */
export function noteActivity(bytes: number): void {
  unaccountedBytes += bytes;
  if (unaccountedBytes > collectBytes) {
    unaccountedBytes = 0;
    Bun.gc(true);
  }
  if (quiet === undefined) quiet = setTimeout(collect, quietMs);
  else quiet.refresh();
}

function collect(): void {
  quiet = undefined;
  unaccountedBytes = 0;
  Bun.gc(true);
  setTimeout(() => Bun.gc(true), secondMs);
}
