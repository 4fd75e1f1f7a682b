// The spec reporter, closed by one plain line that a script (or a person) can read: `N passed, N failed, N skipped`.
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/** What one run of mocha came to; `told` has a line for each test that failed or was skipped. */
export type Tally = {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly told: readonly string[];
};

/** Spec output plus the plain closing line. With TEST_TALLY=FILE a `Tally` is written there, as JSON, instead of the line. */
export default class PlainReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const skipped: string[] = [];
    runner.on('pending', (test) => skipped.push(`SKIPPED ${test.fullTitle()}`));
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      const file = process.env['TEST_TALLY'];
      if (file === undefined) {
        console.log(`${String(passes)} passed, ${String(failures)} failed, ${String(pending)} skipped`);
        return;
      }
      const failed = this.failures.map((test) => `FAILED ${test.fullTitle()}: ${firstLine(test.err?.message)}`);
      const tally: Tally = { passed: passes, failed: failures, skipped: pending, told: [...failed, ...skipped] };
      writeFileSync(file, JSON.stringify(tally));
    });
  }
}

function firstLine(message: string | undefined): string {
  return (message ?? 'no message').trim().split('\n')[0] ?? '';
}
