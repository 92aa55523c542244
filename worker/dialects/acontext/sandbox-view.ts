import { timestampOf } from '../../api/timestamp.ts';
import { publicStateOf } from '../../core/sandbox-state.ts';
import type { SandboxHistory } from '../../core/sandboxes/list-histories.ts';
import { exitCodeOf } from './exit.ts';
import { toUuid } from './ids.ts';

type Sandbox = SandboxHistory['sandbox'];

/** Acontext has four states: what is neither running nor paused is on its way to running, or gone. */
const statusOf = (sandbox: Sandbox): 'running' | 'paused' | 'killed' => {
  const state = publicStateOf(sandbox);
  if (state === 'ended' || state === 'ending') return 'killed';
  return state === 'paused' || state === 'resuming' ? 'paused' : 'running';
};

const expiresAtMsOf = (sandbox: Sandbox): number => sandbox.expiresAtMs ?? sandbox.createdAtMs + sandbox.ttlMs;

export const viewRuntime = (sandbox: Sandbox) => ({
  sandbox_id: toUuid(sandbox.id),
  sandbox_status: statusOf(sandbox),
  sandbox_created_at: timestampOf(sandbox.createdAtMs),
  sandbox_expires_at: timestampOf(expiresAtMsOf(sandbox)),
});

/** Its age at the end, or while it lives its age when its idle time will be up, as things stand. */
const aliveSecondsOf = (sandbox: Sandbox): number =>
  Math.floor(((sandbox.endedAtMs ?? expiresAtMsOf(sandbox)) - sandbox.createdAtMs) / 1000);

const updatedAtMsOf = ({ sandbox, execs, files }: SandboxHistory): number => {
  const exec = execs.at(-1);
  return Math.max(
    sandbox.createdAtMs,
    sandbox.startedAtMs ?? 0,
    sandbox.pausedAtMs ?? 0,
    exec ? exec.startedAtMs + (exec.durationMs ?? 0) : 0,
    files.at(-1)?.atMs ?? 0,
    sandbox.endedAtMs ?? 0,
  );
};

export const viewHistory = (history: SandboxHistory) => {
  const { sandbox, execs, files } = history;
  return {
    id: toUuid(sandbox.id),
    project_id: sandbox.tenantId,
    backend_sandbox_id: statusOf(sandbox) === 'killed' ? null : sandbox.id,
    backend_type: 'docker',
    history_commands: execs.map((record) => ({ command: record.command, exit_code: exitCodeOf(record) })),
    generated_files: files.map(({ path }) => ({ sandbox_path: path })),
    will_total_alive_seconds: aliveSecondsOf(sandbox),
    created_at: timestampOf(sandbox.createdAtMs),
    updated_at: timestampOf(updatedAtMsOf(history)),
  };
};
