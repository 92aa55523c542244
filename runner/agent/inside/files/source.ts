import type { Stats } from 'node:fs';
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { AgentFault } from '../fault.ts';
import { refuseOwnProcess, told, type FilePath } from './info.ts';

/** Opens a regular file for reading, through symlinks. Nothing else is ever opened: a FIFO would block, a device may act. */
export function openSource(path: FilePath): { fd: number; stat: Stats } {
  const notAFile = (stat: Stats): AgentFault =>
    new AgentFault(
      'not_a_file',
      `${String(path)}: it is ${stat.isDirectory() ? 'a directory' : 'not a regular file'}`,
      String(path),
    );
  const before = told(path, () => statSync(path));
  if (!before.isFile()) throw notAFile(before);
  refuseOwnProcess(path);
  const fd = told(path, () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
  const stat = fstatSync(fd);
  if (stat.isFile()) return { fd, stat };
  closeSync(fd);
  throw notAFile(stat);
}
