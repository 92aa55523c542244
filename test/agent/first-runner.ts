import { createAgentSession } from '../../runner/agent/host.ts';
import { specOf, startReader, wholeOutput } from './agent-container.ts';
import { waitFor } from '../wait-for.ts';

/** Run as a process of its own, to be killed: starts one process by the agent that dials `argv[2]`, and says what it has read. */
const session = await createAgentSession({ socketDir: process.argv[2] ?? '', log: () => undefined });
console.log('listening');
await session.ready(20_000);
const spec = specOf('for i in {1..200}; do echo $i; sleep 0.01; done', { processId: process.argv[3] ?? '' });
const { sink } = await startReader(session, spec, wholeOutput);
await waitFor('some output', () => sink.receivedBytes > 20, 5_000);
console.log(`read ${sink.receivedBytes}`);
