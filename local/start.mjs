// `npm start`
import { passPreflight } from './launch.mjs';
import { readOptions } from './options.mjs';

await passPreflight(async () => readOptions(process.argv.slice(2), process.env));
await import('./main.ts');
