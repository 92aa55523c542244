import type { Heartbeat, HeartbeatAnswer, JoinAnswer } from '../../../runner/protocol/node-report.ts';
import { joinToken, type TestControlPlane } from './control-plane.ts';
import { hex } from './runner.ts';

export const join = async (plane: TestControlPlane, body: object = {}, token = joinToken): Promise<Response> =>
  fetch(`${plane.url}/internal/runners/join`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({ name: 'node', installationId: hex(6), ...body }),
  });

export const joined = async (plane: TestControlPlane, body: object = {}): Promise<JoinAnswer> =>
  (await (await join(plane, body)).json()) as JoinAnswer;

export const emptyBeat = (): Heartbeat => ({
  boot: hex(16),
  sequence: 0,
  draining: false,
  region: 'local',
  runtime: 'runc',
  checkpoint: 'freeze',
  cpus: 2,
  memoryMiB: 16_000,
  memoryAvailableMiB: 12_000,
  diskAvailableMiB: 10_000,
  sandboxLimit: 10,
  networks: ['on', 'off'],
  warm: [{ template: 'base', network: 'on', count: 3 }],
  sandboxes: [],
  history: [],
});

export const beat = async (
  plane: TestControlPlane,
  { runnerId, secret }: JoinAnswer,
  body: Heartbeat,
): Promise<HeartbeatAnswer> => {
  const response = await fetch(`${plane.url}/internal/runners/${runnerId}/heartbeat`, {
    method: 'POST',
    headers: { authorization: `Bearer ${secret}` },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`heartbeat: ${response.status} ${await response.text()}`);
  return (await response.json()) as HeartbeatAnswer;
};
