// `npm start`
import { launch } from './launch.mjs';
import { readOptions } from './options.mjs';

await launch('main.ts', async () => readOptions(process.argv.slice(2), process.env));
