// Runs catchers in a copy of the source, and tells a test that noticed a broken rule from one that merely broke down.
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isSimulated, type Catcher, type Histories, type TestsOf } from './planted-bug.ts';

export type Catch =
  | { readonly kind: 'passed' }
  /** What failed, by its title or the last words of its complaint. */
  | { readonly kind: 'caught'; readonly by: readonly string[] }
  /** It did not get as far as a verdict. */
  | { readonly kind: 'broken'; readonly why: string };

type Failure = {
  readonly fullTitle: string;
  readonly err: { readonly message?: string; readonly stack?: string; readonly cause?: { readonly code?: string } };
};
type Report = { readonly passes: readonly { readonly fullTitle: string }[]; readonly failures: readonly Failure[] };
type Ended = { readonly code: number | undefined; readonly output: string };

export const SIMULATION = 'test/sim/main.ts';
const LIMIT_MS = 240_000;
const OUTPUT_KEPT = 1_000_000;
/** How the simulation tells of a violation. */
const VIOLATION = /^history \d+ fails: (.+)$/m;

/** With a bug planted. */
export async function tryToCatch(catcher: Catcher, folder: string, stop: AbortSignal): Promise<Catch> {
  if (isSimulated(catcher)) return simulate(catcher, folder, stop);
  const { code, output, report } = await mocha(catcher.tests, [catcher.named], folder, stop);
  if (report === undefined) return broken(code, output);
  if (code === 0) return report.passes.length > 0 ? { kind: 'passed' } : noSuchTest(catcher);
  const noticed = report.failures.filter(isVerdict);
  const [first] = report.failures;
  return noticed.length > 0
    ? { kind: 'caught', by: noticed.map(({ fullTitle }) => fullTitle) }
    : { kind: 'broken', why: `${first?.fullTitle ?? 'mocha'}: ${firstLine(first?.err.message ?? output)}` };
}

/** Without a bug: all catchers of one file of tests at once. Each name must be one of a test, and that test must pass. */
export async function passWithoutBug(
  catchers: readonly [Catcher, ...Catcher[]],
  folder: string,
  stop: AbortSignal,
): Promise<Catch> {
  const [first] = catchers;
  if (isSimulated(first)) return simulate(first, folder, stop);
  const tests = catchers.filter((catcher): catcher is TestsOf => !isSimulated(catcher));
  const { code, output, report } = await mocha(
    first.tests,
    tests.map(({ named }) => named),
    folder,
    stop,
  );
  if (report === undefined) return broken(code, output);
  if (code !== 0) return { kind: 'caught', by: report.failures.map(({ fullTitle }) => fullTitle) };
  const unheard = tests.find(({ named }) => !report.passes.some(({ fullTitle }) => fullTitle.includes(named)));
  return unheard === undefined ? { kind: 'passed' } : noSuchTest(unheard);
}

async function mocha(
  tests: string,
  names: readonly string[],
  folder: string,
  stop: AbortSignal,
): Promise<Ended & { readonly report: Report | undefined }> {
  const file = join(folder, 'report.json');
  rmSync(file, { force: true });
  // Without its configuration, whose options for Node would have it start a second process.
  const command = ['node_modules/mocha/bin/mocha.js', '--no-config', '--forbid-only', '--timeout', '10000'];
  const reporter = ['--reporter', 'json', '--reporter-option', `output=${file}`];
  const words = names.map((name) => name.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')).join('|');
  const ended = await node([...command, ...reporter, '--grep', words, tests], folder, stop);
  return { ...ended, report: ended.code === undefined ? undefined : readReport(file) };
}

/** It is ended at its first violation, which it would go on to cut down to the smallest case. */
async function simulate({ histories, seed }: Histories, folder: string, stop: AbortSignal): Promise<Catch> {
  const numbers = ['--histories', String(histories), '--seed', String(seed), '--jobs', '1'];
  const { code, output } = await node([SIMULATION, ...numbers], folder, stop, VIOLATION);
  const violation = VIOLATION.exec(output)?.[1];
  if (violation !== undefined) return { kind: 'caught', by: [violation] };
  return code === 0 ? { kind: 'passed' } : broken(code, output);
}

/** An assertion, a property, or a condition that was waited for: not a name that does not exist or a call of nothing. */
function isVerdict({ err }: Failure): boolean {
  const [head = ''] = (err.stack ?? err.message ?? '').split('\n');
  if (head.startsWith('AssertionError')) return true;
  if (head.startsWith('Error: Property failed after')) return err.cause?.code === 'ERR_ASSERTION';
  return /^Error: (not at rest after|the condition did not hold within|waited \d+ ms in vain|Timeout of )/.test(head);
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Report;
  } catch {
    return undefined;
  }
}

/** Ends it as soon as it has said `enough`. */
async function node(args: readonly string[], folder: string, stop: AbortSignal, enough?: RegExp): Promise<Ended> {
  const child = spawn(process.execPath, ['--no-warnings', ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: stop,
    killSignal: 'SIGKILL',
    timeout: LIMIT_MS,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-OUTPUT_KEPT);
      if (enough?.test(output) === true) child.kill('SIGKILL');
    });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code: code ?? undefined, output });
    });
  });
}

function broken(code: number | undefined, output: string): Catch {
  const why = code === undefined ? `it did not end within ${LIMIT_MS / 1000} s` : `no test ran: ${lastLines(output)}`;
  return { kind: 'broken', why };
}

function noSuchTest({ tests, named }: TestsOf): Catch {
  return { kind: 'broken', why: `${tests} has no test named “${named}”` };
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-3).join(' ⏎ ');
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
