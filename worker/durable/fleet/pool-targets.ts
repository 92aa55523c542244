import type { DirectoryDb } from '../../../db/client.ts';
import type { Heartbeat, HeartbeatAnswer } from '../../../runner/protocol/node-report.ts';
import type { TemplateCatalog } from '../../core/templates/template-catalog.ts';

/** Of a template's warm containers, those kept for the network mode that fewer creates ask for. */
const OTHER_NETWORK_WARM = 2;
const POOL_MAX = 256;

/** What a runner's warm pool should hold: most for the default network, which is `on` wherever it is offered. */
export const poolTargets = async (
  templates: TemplateCatalog,
  directory: DirectoryDb,
  networks: Heartbeat['networks'],
  nowMs: number,
): Promise<HeartbeatAnswer['pool']> => {
  const [first, second] = networks.toSorted((a, b) => Number(b === 'on') - Number(a === 'on'));
  const list = await templates.list(directory, nowMs);
  return list.flatMap(({ name, image, warmCount }) => {
    const all = Math.min(warmCount, POOL_MAX);
    const other = second ? Math.min(OTHER_NETWORK_WARM, Math.floor(all / 4)) : 0;
    return [
      ...(first ? [{ template: name, image, network: first, count: all - other }] : []),
      ...(second ? [{ template: name, image, network: second, count: other }] : []),
    ];
  });
};
