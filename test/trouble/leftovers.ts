import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Installation } from '../../local/installation.ts';

const execute = promisify(execFile);

/** Whatever on this machine still belongs to an installation: containers, networks, firewall chains, processes. A word each. */
export async function findLeftovers({ engine, secrets, dataDir }: Installation): Promise<string[]> {
  const { installationId } = secrets;
  const filters = { label: [`glovebox.installation=${installationId}`] };
  const [containers, networks, chains, processes] = await Promise.all([
    engine.docker.listContainers({ all: true, filters }),
    engine.docker.listNetworks({ filters }),
    listRules(installationId),
    listProcesses(dataDir),
  ]);
  return [
    ...containers.map(({ Id }) => `container ${Id}`),
    ...networks.map(({ Name }) => `network ${Name}`),
    ...chains.map((rule) => `firewall rule ${rule}`),
    ...processes.map((process) => `process ${process}`),
  ];
}

async function listRules(installationId: string): Promise<string[]> {
  const saved = await Promise.all(['iptables-save', 'ip6tables-save'].map((program) => execute(program)));
  return saved.flatMap(({ stdout }) => stdout.split('\n')).filter((line) => line.includes(installationId));
}

/** Those that have the installation's folder in their command line or environment; not this one. */
async function listProcesses(dataDir: string): Promise<string[]> {
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    if (Number(pid) === process.pid) continue;
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '');
    const [commandLine, environment] = await Promise.all([read('cmdline'), read('environ')]);
    if (`${commandLine}\0${environment}`.includes(dataDir)) found.push(`${pid} ${commandLine.replaceAll('\0', ' ')}`);
  }
  return found;
}
