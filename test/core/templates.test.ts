import { expect, test } from 'vitest';
import { changeTemplate } from '../../worker/core/templates/change-template.ts';
import { TemplateCatalog } from '../../worker/core/templates/template-catalog.ts';
import { poolTargets } from '../../worker/durable/fleet/pool-targets.ts';
import { scriptedCell } from './support/scripted-cell.ts';

const cellWithCatalog = () => {
  const catalog = new TemplateCatalog();
  const { context, settled } = scriptedCell();
  const fleet = { ...context.fleet, forgetTemplates: async () => catalog.forget() };
  const nowMs = Date.now();
  const countsFor = async (networks: ('on' | 'off')[]) =>
    (await poolTargets(catalog, context.directory, networks, nowMs)).map(({ network, count }) => ({ network, count }));
  return { context: { ...context, fleet }, catalog, settled, nowMs, countsFor };
};

test('what runners should keep warm follows a change at once, not when the cache lapses', async () => {
  const { context, settled, countsFor } = cellWithCatalog();
  expect(await countsFor(['on'])).toEqual([{ network: 'on', count: 4 }]);
  await changeTemplate(context, 'base', { warmCount: 60 });
  await settled();
  expect(await countsFor(['on'])).toEqual([{ network: 'on', count: 60 }]);
});

test('the network that most creates ask for gets all but two of the warm containers', async () => {
  const { context, settled, countsFor } = cellWithCatalog();
  await changeTemplate(context, 'base', { warmCount: 52 });
  await settled();
  expect(await countsFor(['off', 'on'])).toEqual([
    { network: 'on', count: 50 },
    { network: 'off', count: 2 },
  ]);
});

test('a list that was read while a template changed is not kept', async () => {
  const { context, catalog, nowMs } = cellWithCatalog();
  const reading = catalog.list(context.directory, nowMs);
  catalog.forget();
  await reading;
  await changeTemplate(context, 'base', { warmCount: 9 });
  expect(await catalog.list(context.directory, nowMs)).toMatchObject([{ name: 'base', warmCount: 9 }]);
});
