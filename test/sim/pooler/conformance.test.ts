// The scripts that say what the simulated PgBouncer does, on the simulated one; test/parts runs the same on the real one.
import assert from 'node:assert/strict';
import { randomOf } from '../../support/random.ts';
import { runOnModel } from './conformance/model-subject.ts';
import { SCRIPTS } from './conformance/scripts.ts';

const SEEDS = [1, 2, 3];

describe('the simulated PgBouncer answers as the real one', () => {
  for (const script of SCRIPTS) {
    it(script.name, async () => {
      for (const seed of SEEDS) {
        assert.deepEqual(await runOnModel(script, randomOf(seed)), script.answers, `seed ${seed}`);
      }
    });
  }
});
