import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ServiceError } from '../../worker/core/errors.ts';
import { decodeMetadata } from '../../worker/dialects/e2b/metadata-query.ts';
import { parseTemplateReference, resolveTemplate, teamOf } from '../../worker/dialects/e2b/template-names.ts';
import { scriptedCell } from './support/scripted-cell.ts';

/** As the SDKs write it; the query that it is put into is decoded before it comes here. */
const encoded = (metadata: Record<string, string>): string => {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(metadata)) query.set(encodeURIComponent(key), encodeURIComponent(value));
  return query.toString();
};

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter((value) => value.isWellFormed());

test('metadata comes out of a list’s query as the SDK was given it, whatever characters it has', () => {
  fc.assert(
    fc.property(fc.dictionary(text, text, { maxKeys: 16, noNullPrototype: true }), (metadata) => {
      expect(Object.fromEntries(decodeMetadata(encoded(metadata)))).toEqual(metadata);
    }),
  );
  expect(decodeMetadata(undefined)).toEqual([]);
  expect(decodeMetadata('user=abc&app=prod')).toEqual([
    ['user', 'abc'],
    ['app', 'prod'],
  ]);
});

/** What decoding came to. */
const outcomeOf = (given: string): string => {
  try {
    return typeof decodeMetadata(given).length === 'number' ? 'decoded' : 'nonsense';
  } catch (error) {
    return error instanceof ServiceError ? error.code : 'thrown';
  }
};

test('broken metadata is refused and never anything but that', () => {
  const pieces = fc.array(fc.constantFrom('%', '%2', '%25', '%zz', '%E4', '=', '&', '+', 'a', 'ü'), { maxLength: 30 });
  fc.assert(fc.property(pieces, (parts) => ['decoded', 'invalid_argument'].includes(outcomeOf(parts.join('')))));
  expect(outcomeOf('a=%25')).toBe('invalid_argument');
});

test('a template reference is name, name:tag, team/name or team/name:tag, in any case and with space around it', () => {
  const part = fc.stringMatching(/^[a-z0-9_-]{1,12}$/);
  const tag = fc.stringMatching(/^[a-z0-9_.-]{1,12}$/).filter((value) => value !== 'default');
  fc.assert(
    fc.property(fc.option(part, { nil: undefined }), part, fc.option(tag, { nil: undefined }), (team, name, named) => {
      const written = `${team === undefined ? '' : `${team}/`}${name}${named === undefined ? '' : `:${named}`}`;
      expect(parseTemplateReference(` ${written.toUpperCase()} `)).toEqual({ team, name, tag: named });
    }),
  );
  expect(parseTemplateReference('base:default').tag).toBeUndefined();
  for (const wrong of ['', '/', 'a/', '/a', 'a:', 'a/b/c', 'a b', 'a:b:c', 'ü', 'x'.repeat(257), '../base']) {
    expect(() => parseTemplateReference(wrong)).toThrow('Invalid template reference');
  }
});

test('a tenant’s team is its name in lower case with hyphens, or its id where nothing is left of the name', () => {
  const { context } = scriptedCell();
  const named = (name: string) => teamOf({ ...context.actor, tenant: { ...context.actor.tenant, name } });
  expect([named('Acme Corp. (EU)'), named('acme'), named('株式会社')]).toEqual(['acme-corp-eu', 'acme', 'ten_test']);
});

test('a template of another team, or with another tag, is a missing one', async () => {
  const { context } = scriptedCell();
  expect(await resolveTemplate(context, 'test/base:default')).toEqual({ template: 'base' });
  for (const [wrong, message] of [
    ['other/base', "template 'other/base' not found"],
    ['nothing', "template 'nothing' not found"],
    ['base:v2', "tag 'v2' does not exist for template 'base'"],
  ]) {
    await expect(resolveTemplate(context, wrong ?? '')).rejects.toMatchObject({ code: 'not_found', message });
  }
});
