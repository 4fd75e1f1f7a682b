// Label selectors, each rule of Kubernetes with an object that it chooses and one that it does not.
import assert from 'node:assert/strict';
import { isSelected, type LabelSelector } from '../../src/model/label-selector.ts';

const LABELS = { app: 'pooler', tier: 'db' };

const cases: readonly (readonly [what: string, selector: LabelSelector | undefined, chooses: boolean])[] = [
  ['none', undefined, false],
  ['an empty one', {}, true],
  ['a label that is the same', { matchLabels: { app: 'pooler' } }, true],
  ['a label that is another', { matchLabels: { app: 'web' } }, false],
  ['a label that is not there', { matchLabels: { zone: 'a' } }, false],
  ['an empty value', { matchLabels: { app: '' } }, false],
  ['two labels of which one differs', { matchLabels: { app: 'pooler', tier: 'web' } }, false],
  ['In', { matchExpressions: [{ key: 'tier', operator: 'In', values: ['db', 'web'] }] }, true],
  ['In without it', { matchExpressions: [{ key: 'tier', operator: 'In', values: ['web'] }] }, false],
  ['In of a label that is not there', { matchExpressions: [{ key: 'zone', operator: 'In', values: ['a'] }] }, false],
  ['NotIn', { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['web'] }] }, true],
  ['NotIn with it', { matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['db'] }] }, false],
  [
    'NotIn of a label that is not there',
    { matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['a'] }] },
    true,
  ],
  ['Exists', { matchExpressions: [{ key: 'app', operator: 'Exists' }] }, true],
  ['Exists of a label that is not there', { matchExpressions: [{ key: 'zone', operator: 'Exists' }] }, false],
  ['DoesNotExist', { matchExpressions: [{ key: 'zone', operator: 'DoesNotExist' }] }, true],
  ['DoesNotExist of one that does', { matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }, false],
  ['an operator of a later version', { matchExpressions: [{ key: 'app', operator: 'Like', values: ['p*'] }] }, false],
  [
    'labels and expressions of which one differs',
    { matchLabels: { app: 'pooler' }, matchExpressions: [{ key: 'tier', operator: 'DoesNotExist' }] },
    false,
  ],
];

describe('a label selector', () => {
  for (const [what, selector, chooses] of cases) {
    it(`${chooses ? 'chooses' : 'does not choose'} by ${what}`, () => {
      assert.equal(isSelected(selector, LABELS), chooses);
    });
  }
});
