// The spec reporter, closed by one plain line that a script (or a person) can read: `N passed, N failed, N skipped`.
import { appendFileSync } from 'node:fs';
import Mocha from 'mocha';

/** Spec output plus the plain closing line. With TEST_TALLY=FILE the counts are also appended there, one line a run. */
export default class PlainReporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    runner.once('end', () => {
      const { passes, failures, pending } = this.stats;
      const tally = process.env['TEST_TALLY'];
      if (tally === undefined) {
        console.log(`${String(passes)} passed, ${String(failures)} failed, ${String(pending)} skipped`);
      } else {
        appendFileSync(tally, `${String(passes)} ${String(failures)} ${String(pending)}\n`);
      }
    });
  }
}
