// The simulated histories as one test of `make test`: so many that every fault has struck during every operation.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const HISTORIES = 5_000;
/** Always the same ones: a run that fails was made to fail. `make sim` draws others every day. */
const FIRST_SEED = 1;
const LEAST_COVERED = 100;
const LIMIT_MS = 60 * 60_000;

describe('the operator in a simulated world', function () {
  this.timeout(LIMIT_MS);

  it(`keeps its promises in ${HISTORIES} random histories, with each fault during each operation at least ${LEAST_COVERED} times`, async () => {
    const limits = [
      '--histories',
      String(HISTORIES),
      '--seed',
      String(FIRST_SEED),
      '--require-coverage',
      String(LEAST_COVERED),
    ];
    const child = spawn(process.execPath, ['test/sim/main.ts', ...limits], { stdio: 'inherit' });
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 0, 'the lines above tell the failing history and how to replay it');
  });
});
