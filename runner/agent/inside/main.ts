import type { AgentRequest } from '../../protocol/agent.ts';
import { SOCKET_MOUNT, SOCKET_NAME } from '../paths.ts';
import { ControlConnection } from './control.ts';
import { AgentFault } from './fault.ts';
import { callFile } from './files/calls.ts';
import { Transfers } from './files/transfers.ts';
import { Uploads } from './files/uploads.ts';
import { Watches } from './files/watches.ts';
import { Forwards } from './forwards.ts';
import { ProcessTable } from './processes.ts';
import type { Outlet } from './reader.ts';
import { warmUp } from './warm-up.ts';

/** The container's main program (under tini): starts and feeds processes, works on files, and tells the host about it. */
const socketPath = `${SOCKET_MOUNT}/${SOCKET_NAME}`;
const processes = new ProcessTable();
const uploads = new Uploads();
const transfers = new Transfers(socketPath, uploads);
const watches = new Watches();
const forwards = new Forwards(socketPath);
const boot = crypto.randomUUID().replaceAll('-', '');

const control = new ControlConnection(socketPath, boot, {
  request: answer,
  stdin: (processId, bytes) => processes.writeStdin(processId, bytes),
  grant: (reader, bytes) => processes.grant(reader, bytes),
  detach: (reader) => processes.detach(reader),
  closed: () => {
    processes.connectionLost();
    watches.closeAll();
  },
});

function answer(request: AgentRequest, outlet: Outlet): unknown {
  switch (request.op) {
    case 'configure':
      return processes.configure(request.env, request.cwd);
    case 'start':
      return processes.start(request.spec, request.reader, outlet);
    case 'attach':
      return processes.attach(request.processId, request.reader, outlet);
    case 'list':
      return processes.list(request.details);
    case 'close_stdin':
      return processes.closeStdin(request.processId);
    case 'resize':
      return processes.resize(request.processId, request.cols, request.rows);
    case 'signal':
      return processes.signal(request);
    case 'terminate':
      return processes.terminate(request.graceMs);
    case 'file':
      return callFile(request.operation, request.input, { uploads, watches });
    case 'read':
      return transfers.read(request.read, request.token);
    case 'write':
      return transfers.write(request.write, request.token);
    case 'watch':
      return watches.open(request.watchId, request.watch, outlet);
    case 'unwatch':
      return watches.close(request.watchId);
    case 'connect':
      return forwards.connect(request.port, request.token);
    default:
      return unknownOperation(request);
  }
}

function unknownOperation(request: never): never {
  throw new AgentFault('internal', `The agent does not know the request ${JSON.stringify(request).slice(0, 100)}.`);
}

// One request's mistake must not end the sandbox.
process.on('uncaughtException', (error) => console.error('uncaught', error));
process.on('unhandledRejection', (error) => console.error('unhandled', error));
// Under tini a SIGTERM reaches only us: the engine stops a container with it.
process.on('SIGTERM', () => process.exit(0));

process.umask(0o022);
control.dial();
// Beside the dial, not before it: a container that is wanted at once is not held up.
void warmUp('user');
