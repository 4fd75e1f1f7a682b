// Cuts a failing history down: leaves out one round or one fault after the other for as long as it still fails.
import { smallerHistories, type History } from './history.ts';

/** `fails` must give the same answer for the same history. At most `tries` are run. */
export async function minimise(
  history: History,
  fails: (candidate: History) => Promise<boolean>,
  tries = 200,
): Promise<History> {
  let smallest = history;
  let left = tries;
  for (let again = true; again && left > 0;) {
    again = false;
    for (const candidate of smallerHistories(smallest)) {
      if (left === 0) break;
      left -= 1;
      if (!(await fails(candidate))) continue;
      smallest = candidate;
      again = true;
      break;
    }
  }
  return smallest;
}
