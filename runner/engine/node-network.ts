import { readdir, readFile, writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';

/** What of the node's own network is read and set. */

const interfaceUp = 0x1;

/** The node's first resolver if containers can reach it; undefined for a loopback one, which the engine asks on their behalf. */
export async function nodeResolver(): Promise<string | undefined> {
  const text = await readFile('/etc/resolv.conf', 'utf8');
  const first = /^\s*nameserver\s+(\S+)/m.exec(text)?.[1];
  return first !== undefined && isIPv4(first) && !first.startsWith('127.') ? first : undefined;
}

/** Of the interface with the default route, so that packets fit where tunnels make the uplink's frames smaller. */
export async function uplinkMtuBytes(): Promise<number> {
  const routes = (await readFile('/proc/net/route', 'utf8')).split('\n').map((line) => line.split('\t'));
  const uplink = routes.find(
    ([, destination, , , , , , mask]) => destination === '00000000' && mask === '00000000',
  )?.[0];
  if (uplink === undefined) return 1500;
  return Number(await readFile(`/sys/class/net/${uplink}/mtu`, 'utf8'));
}

/** Up or down by the interface's flags; a bridge that isn't there carries nothing, so that is fine. */
export async function setBridgeUp(bridge: string, up: boolean): Promise<void> {
  const path = `/sys/class/net/${bridge}/flags`;
  try {
    const flags = Number(await readFile(path, 'utf8'));
    const wanted = up ? flags | interfaceUp : flags & ~interfaceUp;
    if (wanted !== flags) await writeFile(path, `0x${wanted.toString(16)}`, { flag: 'r+' });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

/** Ports marked so reach the node alone, whatever the packet filter says. */
export async function isolatePorts(bridge: string): Promise<void> {
  const folder = `/sys/class/net/${bridge}/brif`;
  for (const port of await readdir(folder)) {
    const file = `${folder}/${port}/isolated`;
    try {
      if ((await readFile(file, 'utf8')).trim() !== '1') await writeFile(file, '1', { flag: 'r+' });
    } catch (error) {
      // Another sandbox that ended just now took its port along.
      if ((await readdir(folder)).includes(port)) throw error;
    }
  }
}
