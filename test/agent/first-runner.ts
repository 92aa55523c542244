import { createAgentSession } from '../../runner/agent/host.ts';
import { specOf, startReader, wholeOutput } from './agent-container.ts';
import { waitFor } from '../wait-for.ts';

/**
 * Run as a process of its own, to be killed: starts one process by the agent that dials `argv[2]`, and two commands of one session, of which
 * the second waits, and a watcher of /tmp; says the watcher's id once something was read of the process.
 */
const session = await createAgentSession({ socketDir: process.argv[2] ?? '', log: () => undefined });
console.log('listening');
await session.ready(20_000);
const spec = specOf('for i in {1..200}; do echo $i; sleep 0.01; done', { processId: process.argv[3] ?? '' });
const { sink } = await startReader(session, spec, wholeOutput);
await session.start(specOf('cd /usr; export KEPT=1; sleep 2', { session: 'kept' }), null);
await session.start(specOf('pwd; echo $KEPT', { session: 'kept', processId: process.argv[4] ?? '' }), null);
await waitFor('some output', () => sink.receivedBytes > 20, 5_000);
const { watcherId } = await session.file('watcherCreate', { path: '/tmp', user: 'user', recursive: false });
console.log(watcherId);
