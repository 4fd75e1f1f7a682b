// The closing table of the demo: columns must line up, whatever is in them.
import assert from 'node:assert/strict';
import { renderTable } from '../../demo/table.ts';

describe('table of the demo', () => {
  it('puts the first column to the left and numbers to the right, as wide as their widest cell', () => {
    const text = renderTable(
      ['step', 'failed'],
      [
        ['a pod is deleted', '0'],
        ['x', '1234567'],
      ],
    );
    assert.deepEqual(text.split('\n'), [
      'step               failed',
      '─────────────────────────',
      'a pod is deleted        0',
      'x                 1234567',
    ]);
  });
});
