/** Why a sandbox has ended. */
export const endReasons = ['killed', 'timeout', 'failed', 'oom', 'runner_lost', 'evicted'] as const;
