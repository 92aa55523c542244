/** JSON lines on stdout. Fields carry ids and causes, never commands, environments, file content or secrets. */
export type LogFields = Record<string, string | number | boolean | null | undefined | Error>;

export interface Logger {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

type Level = 'info' | 'warn' | 'error';

export function createLogger(write: (line: string) => void = writeLine, base: LogFields = {}): Logger {
  const emit = (level: Level, event: string, fields: LogFields = {}) =>
    write(JSON.stringify({ at: new Date().toISOString(), level, event, ...render(base), ...render(fields) }));
  return {
    info: (event, fields) => emit('info', event, fields),
    warn: (event, fields) => emit('warn', event, fields),
    error: (event, fields) => emit('error', event, fields),
  };
}

function render(fields: LogFields): Record<string, unknown> {
  const entries = Object.entries(fields).map(([name, value]) => [
    name,
    value instanceof Error ? describe(value) : value,
  ]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

/** An error with its causes, at most four deep: the innermost is usually the one that matters. */
function describe(error: Error): string {
  const parts: string[] = [];
  let current: unknown = error;
  for (let depth = 0; depth < 4 && current instanceof Error; depth++) {
    parts.push(`${current.name}: ${current.message}`);
    current = current.cause;
  }
  return parts.join(' <- ').slice(0, 2000);
}

function writeLine(line: string): void {
  process.stdout.write(`${line}\n`);
}
