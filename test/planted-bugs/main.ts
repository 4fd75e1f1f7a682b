// Plants known bugs, one at a time, in a copy of the source, and requires that the tests notice each: `make planted-bugs`.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { PLANTED_BUGS } from './bugs/all.ts';
import { passWithoutBug, SIMULATION, tryToCatch, type Catch } from './catching.ts';
import { catcherName, isSimulated, type Catcher, type PlantedBug } from './planted-bug.ts';
import { misfit, SourceCopy } from './source-copy.ts';

const USAGE = `node test/planted-bugs/main.ts [--only NAME]… [--jobs N] [--list] [--help]

Plants each bug of test/planted-bugs/bugs in a copy of the source and runs the tests that must notice it. Before that the same tests
must pass on the copy without a bug. Ends with "N caught, M planted"; the exit code is 0 only when all are caught.

  --only NAME   this bug alone; may be given several times
  --jobs N      so many at once (2)
  --list        name and rule of each bug; plants nothing`;

const ROOT = resolve(import.meta.dirname, '../..');
const RESULT = 'build/planted-bugs.json';

type Outcome = {
  readonly bug: PlantedBug;
  readonly results: readonly { readonly catcher: Catcher; readonly result: Catch }[];
  readonly seconds: number;
};

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    jobs: { type: 'string', default: '2' },
    list: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});
if (values.help === true) console.log(USAGE);
else if (values.list === true) list();
else process.exitCode = await main();

function list(): void {
  for (const { name, rule, caughtBy } of PLANTED_BUGS)
    console.log(`${name}\n    breaks: ${rule}\n    caught by: ${caughtBy.map(catcherName).join('; ')}`);
  console.log(`${PLANTED_BUGS.length} bugs`);
}

async function main(): Promise<number> {
  const jobs = Number(values.jobs);
  const { only } = values;
  const unknown = (only ?? []).filter((name) => !PLANTED_BUGS.some((bug) => bug.name === name));
  if (unknown.length > 0 || !Number.isInteger(jobs) || jobs < 1) {
    console.error(unknown.length > 0 ? `no bug is called ${unknown.join(', ')}; see --list` : USAGE);
    return 2;
  }
  const chosen = PLANTED_BUGS.filter(({ name }) => only?.includes(name) ?? true);
  const misfits = chosen.flatMap((bug) => {
    const why = misfit(ROOT, bug);
    return why === undefined ? [] : [`${bug.name} no longer fits the source: ${why}`];
  });
  if (misfits.length > 0) {
    console.error(misfits.join('\n'));
    return 1;
  }
  const simulation = existsSync(resolve(ROOT, SIMULATION));
  const canRun = (catcher: Catcher): boolean => simulation || !isSimulated(catcher);
  const bugs = chosen.filter((bug) => bug.caughtBy.some(canRun));
  for (const bug of chosen.filter((one) => !bugs.includes(one)))
    console.log(`NOT PLANTED ${bug.name}: only the simulation can catch it, and there is no ${SIMULATION}`);

  const stop = new AbortController();
  process.once('SIGINT', () => {
    stop.abort(new Error('interrupted'));
  });
  using copies = new DisposableStack();
  const folders = Array.from({ length: jobs }, () => copies.use(new SourceCopy(ROOT)));
  const startedMs = performance.now();
  try {
    if (!(await soundPasses(folders, bugs, canRun, stop.signal))) return 1;
    const outcomes = await plantAll(folders, bugs, canRun, stop.signal);
    return conclude(outcomes, (performance.now() - startedMs) / 1000);
  } finally {
    // With an error in one job the other's processes must not outlive their folder.
    stop.abort(new Error('planting has ended'));
  }
}

/** Without a bug every catcher must pass; else its failure would prove nothing. */
async function soundPasses(
  folders: readonly SourceCopy[],
  bugs: readonly PlantedBug[],
  canRun: (catcher: Catcher) => boolean,
  stop: AbortSignal,
): Promise<boolean> {
  const groups = new Map<string, [Catcher, ...Catcher[]]>();
  for (const catcher of bugs.flatMap(({ caughtBy }) => caughtBy.filter(canRun))) {
    const group = isSimulated(catcher) ? catcherName(catcher) : catcher.tests;
    groups.set(group, [catcher, ...(groups.get(group) ?? [])]);
  }
  console.log(`${bugs.length} bugs; first what is to catch them, on the source as it is: ${groups.size} runs`);
  const failed: string[] = [];
  await share(folders, [...groups], async ({ folder }, [group, catchers]) => {
    const result = await passWithoutBug(catchers, folder, stop);
    if (result.kind !== 'passed') failed.push(`${group}: ${wordsOf(result)}`);
  });
  for (const line of failed) console.error(`FAILS WITHOUT A BUG ${line}`);
  return failed.length === 0;
}

async function plantAll(
  folders: readonly SourceCopy[],
  bugs: readonly PlantedBug[],
  canRun: (catcher: Catcher) => boolean,
  stop: AbortSignal,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  await share(folders, bugs, async (copy, bug) => {
    const startedMs = performance.now();
    using planted = new DisposableStack();
    planted.use(copy.plant(bug));
    const results: Outcome['results'][number][] = [];
    for (const catcher of bug.caughtBy.filter(canRun))
      results.push({ catcher, result: await tryToCatch(catcher, copy.folder, stop) });
    const outcome = { bug, results, seconds: (performance.now() - startedMs) / 1000 };
    outcomes.push(outcome);
    const verdict = isCaught(outcome) ? 'caught' : 'NOT CAUGHT';
    console.log(`[${outcomes.length}/${bugs.length}] ${bug.name}: ${verdict} (${outcome.seconds.toFixed(1)} s)`);
    for (const { catcher, result } of results)
      console.log(`      ${result.kind === 'caught' ? '' : `${catcherName(catcher)}: `}${wordsOf(result)}`);
  });
  return outcomes;
}

function isCaught({ results }: Outcome): boolean {
  return results.length > 0 && results.every(({ result }) => result.kind === 'caught');
}

function conclude(outcomes: readonly Outcome[], seconds: number): number {
  const caught = outcomes.filter(isCaught).length;
  mkdirSync(resolve(ROOT, 'build'), { recursive: true });
  const bugs = outcomes
    .toSorted((a, b) => (a.bug.name < b.bug.name ? -1 : 1))
    .map((outcome) => ({
      name: outcome.bug.name,
      rule: outcome.bug.rule,
      file: outcome.bug.file,
      caught: isCaught(outcome),
      by: outcome.results.flatMap(({ result }) => (result.kind === 'caught' ? result.by : [])),
      seconds: Number(outcome.seconds.toFixed(1)),
    }));
  writeFileSync(
    resolve(ROOT, RESULT),
    `${JSON.stringify({ caught, planted: outcomes.length, seconds: Math.round(seconds), bugs }, undefined, 2)}\n`,
  );
  for (const { bug } of outcomes.filter((outcome) => !isCaught(outcome)))
    console.log(`NOT CAUGHT ${bug.name}: ${bug.rule}`);
  console.log(`${seconds.toFixed(0)} s; ${RESULT}`);
  console.log(`${caught} caught, ${outcomes.length} planted`);
  return caught === outcomes.length && caught > 0 ? 0 : 1;
}

function wordsOf(result: Catch): string {
  switch (result.kind) {
    case 'passed':
      return 'passes';
    case 'caught':
      return result.by.map((title) => `“${title}”`).join(', ');
    case 'broken':
      return `no verdict: ${result.why}`;
  }
}

/** Every worker takes the next one when it has done its last. */
async function share<W, T>(
  workers: readonly W[],
  work: readonly T[],
  doOne: (worker: W, one: T) => Promise<void>,
): Promise<void> {
  const left = [...work];
  await Promise.all(
    workers.map(async (worker) => {
      for (let one = left.shift(); one !== undefined; one = left.shift()) await doOne(worker, one);
    }),
  );
}
