/**
 * Where the engine mounts, read-only, what the agent needs. Both are directories at the container's root. AGENT_MOUNT is the agent's
 * working directory too: not one that the sandbox can write, since Bun looks for configuration there.
 */
export const AGENT_MOUNT = '/.glovebox';
export const SOCKET_MOUNT = '/.glovebox-run';
/** An empty one, for runtimes that would otherwise take /tmp for theirs: see container-spec.ts. */
export const KEPT_TMP_MOUNT = '/tmp/.glovebox';
/** The listening socket's name in its directory: short, since a socket's path has at most 107 bytes. */
export const SOCKET_NAME = 'r';
