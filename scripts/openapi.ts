/** Writes openapi.json from the routes; with --check it only says whether the committed one is what they give. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newApp } from '../worker/api/app-env.ts';
import { openApiDocument } from '../worker/api/documentation.ts';
import { registerRoutes } from '../worker/api/register-routes.ts';

const path = join(import.meta.dirname, '../openapi.json');

const app = newApp();
registerRoutes(app);
const generated = `${JSON.stringify(openApiDocument(app), null, 2)}\n`;

if (process.argv.includes('--check')) {
  const committed = await readFile(path, 'utf8').catch(() => '');
  if (committed !== generated) {
    console.error('openapi.json is not what the routes give. Run: node scripts/openapi.ts');
    process.exit(1);
  }
} else {
  await writeFile(path, generated);
}
