// Runs the test tiers one after the other and ends with one plain line: `N passed, N failed, N skipped`. A tier that can't run is named and counted.
import { spawn, spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tally } from './support/reporter.ts';
import { missingForOwnCluster, prepareCluster, type PreparedCluster } from './support/test-cluster.ts';

type Tier = {
  readonly name: string;
  readonly what: string;
  readonly files: string;
  /** `shared`: the cluster of KUBECONFIG or the project's own; `own`: brings its own up and down, needs what that needs. */
  readonly cluster?: 'shared' | 'own';
  /** Files run side by side; each keeps to its own namespaces. */
  readonly jobs?: number;
};

const TIERS: readonly Tier[] = [
  {
    name: 'unit',
    what: 'pure decisions, tables and properties',
    files:
      'test/{api,budget,chart,controller,demo,docs,kube,model,pgbouncer,plan,postgres,render,runtime,sim,sizing,telemetry}/**/*.test.ts',
    jobs: 2,
  },
  {
    name: 'sim',
    what: 'the whole controller in thousands of simulated histories with faults',
    files: 'test/sim/*.tier.ts',
  },
  {
    name: 'parts',
    what: 'real PgBouncer and PostgreSQL processes, image archives',
    files: 'test/{parts,images}/**/*.test.ts',
  },
  {
    name: 'admission',
    what: 'the schema and its rules, on a real API server',
    files: 'test/admission/**/*.test.ts',
    cluster: 'shared',
  },
  {
    name: 'kube',
    what: 'the Kubernetes adapter, and what the scenarios are made of, on a real API server',
    files: 'test/{cluster-tier,support}/**/*.test.ts',
    cluster: 'shared',
  },
  {
    name: 'scenarios',
    what: 'the operator end to end',
    files: 'test/scenarios/**/*.test.ts',
    cluster: 'shared',
    jobs: 3,
  },
  {
    name: 'disruptions',
    what: 'the operator killed, the API server restarted, the installation changed',
    files: 'test/disruptions/**/*.test.ts',
    cluster: 'shared',
  },
  {
    name: 'install',
    what: 'the chart installed, upgraded and uninstalled, on a cluster of its own',
    files: 'test/chart/*.cluster.ts',
    cluster: 'own',
  },
  {
    name: 'cluster',
    what: 'the test cluster itself: crash, leftovers, a second one beside',
    files: 'test/cluster/*.test.ts',
    cluster: 'own',
  },
];

const NOTHING: Tally = { passed: 0, failed: 0, skipped: 0, told: [] };
const failing = (why: string): Tally => ({ ...NOTHING, failed: 1, told: [`FAILED ${why}`] });

async function main(wanted: readonly string[]): Promise<number> {
  const unknown = wanted.filter((name) => !TIERS.some((tier) => tier.name === name));
  if (unknown.length > 0) {
    console.error(`no such tier: ${unknown.join(', ')}; there are ${TIERS.map((tier) => tier.name).join(', ')}`);
    return 2;
  }
  const tallies: Tally[] = [];
  const summary: string[] = [];
  for (const tier of TIERS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    console.log(`\n=== ${tier.name}: ${tier.what}`);
    const startedMs = Date.now();
    const tally = await runTier(tier);
    tallies.push(tally);
    const seconds = ((Date.now() - startedMs) / 1000).toFixed(0);
    summary.push(`${tier.name.padEnd(12)} ${counts(tally)}, ${seconds} s`);
    // Told again here: the end of a long log is what one sees first, and often all that was kept of it.
    summary.push(...tally.told.map((line) => `  ${line}`));
  }
  const total = tallies.reduce(
    (sum, { passed, failed, skipped }) => ({
      ...NOTHING,
      passed: sum.passed + passed,
      failed: sum.failed + failed,
      skipped: sum.skipped + skipped,
    }),
    NOTHING,
  );
  console.log(`\n${summary.join('\n')}\n`);
  console.log(counts(total));
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

function counts({ passed, failed, skipped }: Tally): string {
  return `${String(passed)} passed, ${String(failed)} failed, ${String(skipped)} skipped`;
}

let shared: PreparedCluster | undefined;
let installed = false;

async function runTier(tier: Tier): Promise<Tally> {
  const files = globSync(tier.files);
  if (files.length === 0) {
    return failing(`${tier.name}: no test file matches ${tier.files}`);
  }
  const skip = (why: string): Tally => {
    const told = `SKIPPED tier ${tier.name} (${String(files.length)} files): ${why}`;
    console.log(told);
    return { ...NOTHING, skipped: files.length, told: [told] };
  };
  if (tier.cluster === 'own') {
    const missing = missingForOwnCluster();
    return missing === undefined ? runMocha(tier, files, {}) : skip(missing);
  }
  if (tier.cluster === undefined) return runMocha(tier, files, {});
  shared ??= await prepareCluster();
  if (shared.kind === 'unavailable') return skip(shared.why);
  // Before any tier that applies the CRD by hand: helm takes over no object that it did not make.
  if (!installed) {
    const result = spawnSync(process.execPath, ['test/support/install.ts'], {
      stdio: 'inherit',
      env: { ...process.env, ...shared.env },
    });
    if (result.status !== 0) return failing(`${tier.name}: the operator could not be installed`);
    installed = true;
  }
  return runMocha(tier, files, shared.env);
}

/** Each tier is a process of its own; one that ends without a tally (a crash) counts as a failure. */
async function runMocha(tier: Tier, files: readonly string[], env: Readonly<Record<string, string>>): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), 'poolsmith-tally-'));
  const tallyFile = join(folder, 'tally');
  const parallel = tier.jobs === undefined ? [] : ['--parallel', '--jobs', String(tier.jobs)];
  try {
    const child = spawn(process.execPath, ['node_modules/mocha/bin/mocha.js', ...parallel, ...files], {
      stdio: 'inherit',
      env: { ...process.env, ...env, TEST_TALLY: tallyFile },
    });
    const code = await new Promise<number>((resolve) =>
      child.once('exit', (status) => {
        resolve(status ?? 1);
      }),
    );
    const tally = readTally(tallyFile);
    const crashed = tally.passed + tally.failed === 0 || (code !== 0 && tally.failed === 0);
    if (!crashed) return tally;
    const told = `FAILED ${tier.name}: mocha ended with ${String(code)} and without a failing test`;
    return { ...tally, failed: tally.failed + 1, told: [...tally.told, told] };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readTally(file: string): Tally {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Tally;
  } catch {
    return NOTHING;
  }
}

process.exitCode = await main(process.argv.slice(2));
