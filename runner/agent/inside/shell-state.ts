/** What a session carries from one command to the next. */
export interface ShellState {
  /** undefined: what the shell gave cannot be used, so the default holds. */
  cwd: string | undefined;
  /** All of it: what a command has unset is not in here. */
  env: Record<string, string>;
}

/** Of one saved state as the shell writes it. A larger one is not taken over. */
export const shellStateBytesMax = 256 * 1024;
/** MAX_ARG_STRLEN, for `NAME=value` and its NUL: with a longer one no program could be started any more. */
const variableBytesMax = 128 * 1024 - 1;
/** Of the shell that wrote it and of nobody after it: its options, its descriptors, its depth. PWD follows the directory. */
const notCarried = new Set(['SHELLOPTS', 'BASHOPTS', 'BASH_XTRACEFD', 'SHLVL', 'PWD', '_']);
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Ends a state that was written whole. */
const savedMark = 'saved';

/** The sticky bit, which no file has that a command opens: a shell tells by it whether a descriptor is still the state's. */
export const shellStateMode = 0o1600;

/** Shell code that writes the state to the first of `fds` that is the state's file: directory, NUL, `export -p`, NUL, a mark, NUL. */
export function saveState(fds: readonly number[], builtin: string): string {
  const write = `{ ${builtin} pwd; ${builtin} printf "\\0"; ${builtin} export -p; ${builtin} printf "\\0${savedMark}\\0"; }`;
  return `${fds.map((fd) => `if ${builtin} [ -k /proc/self/fd/${fd} ]; then ${write} >&${fd}`).join('; el')}; fi`;
}

/**
 * The last whole state in what a shell has written; undefined when there is none. The sandbox may have written anything. `own` are variables
 * that were given to this command alone: they stay so, unless the command has changed them.
 */
export function parseShellState(
  written: Uint8Array,
  launched: Record<string, string>,
  own: Record<string, string>,
  before: Record<string, string>,
): ShellState | undefined {
  if (written.length > shellStateBytesMax) return undefined;
  const parts = Buffer.from(written).toString('latin1').split('\0');
  const end = parts.lastIndexOf(savedMark);
  const [directory, exported] = parts.slice(Math.max(0, end - 2), Math.max(0, end));
  if (directory === undefined || exported === undefined) return undefined;
  const variables = parseExports(exported);
  if (variables === undefined) return undefined;
  const env: Record<string, string> = {};
  // The shell passes on what is no name to it, but doesn't list it.
  for (const [name, value] of Object.entries(launched)) {
    if (!shellName.test(name) && !name.startsWith('BASH_FUNC_') && !Object.hasOwn(own, name)) env[name] = value;
  }
  for (const [name, raw] of variables) {
    const value = decode(raw);
    if (value === undefined || notCarried.has(name)) continue;
    if (Buffer.byteLength(`${name}=${value}`) >= variableBytesMax) return undefined;
    const kept = Object.hasOwn(own, name) && own[name] === value ? before[name] : value;
    if (kept !== undefined) env[name] = kept;
  }
  return { cwd: decode(directory.replace(/\n$/, '')), env };
}

function decode(latin1: string): string | undefined {
  try {
    return utf8.decode(Buffer.from(latin1, 'latin1'));
  } catch {
    return undefined;
  }
}

const shellName = /^[A-Za-z_][A-Za-z0-9_]*$/;
const statement = /(?:export|declare -([A-Za-z]+)) ([A-Za-z_][A-Za-z0-9_]*)(=?)/y;

/** What `export -p` prints in bash, dash and BusyBox, one byte a character. undefined: it is something else. */
export function parseExports(text: string): Map<string, string> | undefined {
  const found = new Map<string, string>();
  for (let at = 0; at < text.length;) {
    statement.lastIndex = at;
    const match = statement.exec(text);
    if (match === null) return undefined;
    const [head, flags = '', name = '', assigned] = match;
    const word = readWord(text, at + head.length);
    if (word === undefined) return undefined;
    // An array is no environment variable; one without a value isn't either.
    if (assigned === '=' && !/[aA]/.test(flags)) found.set(name, word.value);
    at = word.end + 1;
  }
  return found;
}

/** From `at` to the newline that no quotes hold. */
function readWord(text: string, at: number): { value: string; end: number } | undefined {
  let value = '';
  while (at < text.length && text[at] !== '\n') {
    const quoted = readQuoted(text, at);
    if (quoted === undefined) return undefined;
    value += quoted.value;
    at = quoted.end;
  }
  return { value, end: at };
}

type Piece = { value: string; end: number } | undefined;

function readQuoted(text: string, at: number): Piece {
  switch (text[at]) {
    case "'": {
      const end = text.indexOf("'", at + 1);
      return end < 0 ? undefined : { value: text.slice(at + 1, end), end: end + 1 };
    }
    case '"':
      return readDouble(text, at + 1);
    case '\\':
      return { value: text.slice(at + 1, at + 2), end: at + 2 };
    default:
      return text.startsWith("$'", at) ? readAnsi(text, at + 2) : { value: text.slice(at, at + 1), end: at + 1 };
  }
}

const inDouble = /["\\]/g;

function readDouble(text: string, at: number): Piece {
  let value = '';
  for (let from = at; ;) {
    const next = nextOf(inDouble, text, from);
    if (next < 0) return undefined;
    value += text.slice(from, next);
    if (text[next] === '"') return { value, end: next + 1 };
    const escaped = text.slice(next + 1, next + 2);
    value += '$`"\\'.includes(escaped) ? escaped : `\\${escaped}`;
    from = next + 2;
  }
}

const ansiEscapes: Record<string, string> = {
  a: '\x07',
  b: '\b',
  e: '\x1b',
  E: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
const octal = /[0-7]{1,3}/y;
const inAnsi = /['\\]/g;

function readAnsi(text: string, at: number): Piece {
  let value = '';
  for (let from = at; ;) {
    const next = nextOf(inAnsi, text, from);
    if (next < 0) return undefined;
    value += text.slice(from, next);
    if (text[next] === "'") return { value, end: next + 1 };
    octal.lastIndex = next + 1;
    const [digits] = octal.exec(text) ?? [];
    const escaped = text.slice(next + 1, next + 2);
    value += digits === undefined ? (ansiEscapes[escaped] ?? escaped) : String.fromCharCode(parseInt(digits, 8) & 0xff);
    from = next + 1 + (digits?.length ?? 1);
  }
}

function nextOf(mark: RegExp, text: string, from: number): number {
  mark.lastIndex = from;
  return mark.exec(text)?.index ?? -1;
}
