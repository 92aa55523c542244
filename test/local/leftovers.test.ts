import { expect, test } from 'vitest';
import { planChainRemoval } from '../../local/leftovers.ts';

const saved = `*nat
:PREROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:GBX-aaaaaaaaaaaa-OUT - [0:0]
:GBX-bbbbbbbbbbbb-OUT - [0:0]
-A INPUT -i gbxaaaaaaaaaaaa -j GBX-aaaaaaaaaaaa-OUT
-A FORWARD -i gbxbbbbbbbbbbbb -j GBX-bbbbbbbbbbbb-OUT
-A GBX-aaaaaaaaaaaa-OUT -d 10.0.0.0/8 -j DROP
COMMIT
`;

test('the chains of one installation are unlinked, emptied and removed; those of another stay', () => {
  const { script, chains } = planChainRemoval(saved, 'GBX-aaaaaaaaaaaa');
  expect(chains).toEqual(['GBX-aaaaaaaaaaaa-OUT']);
  expect(script.trim().split('\n')).toEqual([
    '*filter',
    '-D INPUT -i gbxaaaaaaaaaaaa -j GBX-aaaaaaaaaaaa-OUT',
    '-F GBX-aaaaaaaaaaaa-OUT',
    '-X GBX-aaaaaaaaaaaa-OUT',
    'COMMIT',
  ]);
});

test('nothing is planned where the installation left no chain', () => {
  expect(planChainRemoval(saved, 'GBX-cccccccccccc').chains).toEqual([]);
});
