import { RE2JS, RE2JSException, RE2JSSyntaxException } from 're2js';
import { ServiceError } from '../errors.ts';
import { invalidPattern } from './search-pattern.ts';

/**
 * Of a compiled pattern, in instructions. RE2 takes time proportional to text × instructions at worst, and would itself compile
 * hundreds of thousands of them from 1 KiB (200 ms and 80 MB).
 */
export const maxProgramSize = 2000;

/** Throws invalid_argument for what is no RE2 expression, and for what is too big. `written`: by the caller, who knows no other. */
export const compileRe2 = (expression: string, flags = 0, written = expression): RE2JS => {
  if (estimateSize(expression) > maxProgramSize) throw tooBig();
  let compiled;
  try {
    compiled = RE2JS.compile(expression, flags);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw invalidPattern(describe(expression, error, written), error);
  }
  if (compiled.programSize() > maxProgramSize) throw tooBig();
  return compiled;
};

const describe = (expression: string, error: RE2JSException, written: string): string => {
  if (/\(\?<?[=!]/.test(expression)) return 'Look-around, as in "(?=…)", is not supported.';
  if (/\\[1-9]/.test(expression)) return 'Back-references, as in "\\1", are not supported.';
  if (!(error instanceof RE2JSSyntaxException)) return `${error.message.slice(0, 200)}.`;
  const at = error.getPattern() ?? '';
  const shown = written.includes(at) ? at : written;
  return `${error.getDescription()}${shown === '' ? '' : `: ${shown.slice(0, 200)}`}.`;
};

const tooBig = (): ServiceError =>
  new ServiceError(
    'invalid_argument',
    `The pattern is too big: its repetitions, multiplied out, come to more than ${maxProgramSize} characters.`,
  );

const token =
  /\\Q(?<quoted>.*?)(?:\\E|$)|\\[pPx]\{[^}]*\}|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\{(?<least>\d+)(?<open>,?)(?<most>\d*)\}|./gsu;

/** Of a program, from below and near enough to keep the compiler from what it would take long for. */
const estimateSize = (expression: string): number => {
  const outer: number[] = [];
  let total = 0;
  let last = 0;
  for (const { 0: text, groups = {} } of expression.matchAll(token)) {
    const { quoted, least, open, most } = groups;
    if (text === '(') {
      outer.push(total);
      total = 0;
      last = 0;
    } else if (text === ')') {
      last = total;
      total += outer.pop() ?? 0;
    } else if (least !== undefined) {
      const times = Math.max(Number(most || least), open === '' ? 0 : 1);
      total += last * (times - 1);
      last *= times;
    } else if (text === '*' || text === '+' || text === '?') {
      total += 1;
      last += 1;
    } else {
      last = quoted === undefined ? 1 : quoted.length;
      total += last;
    }
  }
  return total + outer.reduce((sum, size) => sum + size, 0);
};
