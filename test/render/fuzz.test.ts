// A hundred thousand hostile texts: each is refused by the name of its field, or PgBouncer reads that very text and nothing else.
import assert from 'node:assert/strict';
import { Draw } from '../support/random.ts';
import { WRITABLE_FIELDS, type WritableField } from './writable-fields.ts';

/** The case `index` of a run is the first of a run with the seed `SEED + index`: that is how a failure is had again. */
const SEED = Number(process.env['SEED'] ?? 1);
/** Cases for each field; each has its own number where it is left out. */
const RUNS = process.env['RUNS'] === undefined ? undefined : Number(process.env['RUNS']);
const LEAST_ON_BOTH_SIDES = 0.05;
/** Apart, so that fields of the same kind do not all get the same texts. */
const SEEDS_OF_A_FIELD = 10_000_019;

type Count = { readonly name: string; readonly values: Set<unknown>; accepted: number; refused: number };

function tryOne(field: WritableField, seed: number, count: Count, title: string): void {
  const value = field.draw(new Draw(seed + SEEDS_OF_A_FIELD * WRITABLE_FIELDS.indexOf(field)));
  count.values.add(value);
  try {
    if (field.accepts(value)) count.accepted += 1;
    else count.refused += 1;
  } catch (error) {
    const again = `SEED=${seed} RUNS=1 mocha test/render/fuzz.test.ts --fgrep ${JSON.stringify(title)}`;
    const why = error instanceof Error ? error.message : String(error);
    throw new assert.AssertionError({ message: `${field.name} = ${JSON.stringify(value)}: ${why}\nAgain: ${again}` });
  }
}

describe('hostile texts', function () {
  this.timeout(120_000);
  const counts: Count[] = [];

  after(() => {
    const cases = counts.reduce((sum, { accepted, refused }) => sum + accepted + refused, 0);
    const different = counts.reduce((sum, { values }) => sum + values.size, 0);
    console.log(`    seed ${SEED}: ${cases} cases, ${different} of them different; accepted + refused:`);
    const cells = counts.map(({ name, accepted, refused }) => `${name} ${accepted} + ${refused}`);
    for (let at = 0; at < cells.length; at += 4) console.log(`      ${cells.slice(at, at + 4).join(', ')}`);
  });

  for (const field of WRITABLE_FIELDS) {
    const title = `${field.name} is refused or read as it was written`;
    it(title, () => {
      const count: Count = { name: field.name, values: new Set(), accepted: 0, refused: 0 };
      counts.push(count);
      const cases = RUNS ?? field.cases;
      for (let index = 0; index < cases; index += 1) {
        tryOne(field, SEED + index, count, title);
      }
      const { accepted, refused } = count;
      const least = cases < 500 ? 0 : LEAST_ON_BOTH_SIDES * cases;
      assert.ok(Math.min(accepted, refused) >= least, `${accepted} accepted, ${refused} refused: that shows nothing`);
    });
  }
});
