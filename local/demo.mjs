// `npm run demo`
import { describeRunning } from './holder.mjs';
import { passPreflight } from './launch.mjs';
import { readOptions } from './options.mjs';

await passPreflight(async () => {
  const options = readOptions(process.argv.slice(2), process.env);
  // Against a running service there is nothing of this machine to check.
  return (await describeRunning(options.dataDir)) === undefined ? options : undefined;
});
await import('./demo.ts');
