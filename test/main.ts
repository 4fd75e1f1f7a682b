// Runs the test tiers one after the other and ends with one plain line: `N passed, N failed, N skipped`. A tier that can't run is named and counted.
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareCluster, type PreparedCluster } from './support/test-cluster.ts';

type Tier = {
  readonly name: string;
  readonly what: string;
  readonly files: string;
  readonly needsCluster?: true;
};

const TIERS: readonly Tier[] = [
  {
    name: 'unit',
    what: 'pure decisions, tables and properties',
    files:
      'test/{api,chart,controller,kube,model,pgbouncer,plan,postgres,render,runtime,sizing,telemetry}/**/*.test.ts',
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
    needsCluster: true,
  },
  {
    name: 'kube',
    what: 'the Kubernetes adapter, on a real API server',
    files: 'test/cluster-tier/**/*.test.ts',
    needsCluster: true,
  },
  {
    name: 'scenarios',
    what: 'the operator end to end, on a real cluster',
    files: 'test/scenarios/**/*.test.ts',
    needsCluster: true,
  },
  {
    name: 'cluster',
    what: 'the test cluster itself: crash, leftovers, a second one beside',
    files: 'test/cluster/*.test.ts',
  },
];

type Tally = { passed: number; failed: number; skipped: number };

async function main(wanted: readonly string[]): Promise<number> {
  const unknown = wanted.filter((name) => !TIERS.some((tier) => tier.name === name));
  if (unknown.length > 0) {
    console.error(`no such tier: ${unknown.join(', ')}; there are ${TIERS.map((tier) => tier.name).join(', ')}`);
    return 2;
  }
  const total: Tally = { passed: 0, failed: 0, skipped: 0 };
  let cluster: PreparedCluster | undefined;
  const summary: string[] = [];
  for (const tier of TIERS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    console.log(`\n=== ${tier.name}: ${tier.what}`);
    const startedMs = Date.now();
    const files = globSync(tier.files);
    let tally: Tally = { passed: 0, failed: 0, skipped: 0 };
    if (files.length === 0) {
      console.log(`${tier.name}: no test file matches ${tier.files}`);
      tally.failed = 1;
    } else {
      if (tier.needsCluster === true && cluster === undefined) cluster = await prepareCluster();
      if (tier.needsCluster === true && cluster?.kind === 'unavailable') {
        console.log(`SKIPPED tier ${tier.name}: ${cluster.why}`);
        tally.skipped = files.length;
      } else {
        tally = await runMocha(files, cluster?.kind === 'ready' ? cluster.env : {});
      }
    }
    total.passed += tally.passed;
    total.failed += tally.failed;
    total.skipped += tally.skipped;
    summary.push(
      `${tier.name.padEnd(10)} ${String(tally.passed)} passed, ${String(tally.failed)} failed, ${String(tally.skipped)} skipped, ${((Date.now() - startedMs) / 1000).toFixed(0)} s`,
    );
  }
  console.log(`\n${summary.join('\n')}\n`);
  console.log(`${String(total.passed)} passed, ${String(total.failed)} failed, ${String(total.skipped)} skipped`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

/** Each tier is a process of its own; one that ends without a tally (a crash) counts as a failure. */
async function runMocha(files: readonly string[], env: Readonly<Record<string, string>>): Promise<Tally> {
  const folder = mkdtempSync(join(tmpdir(), 'poolsmith-tally-'));
  const tallyFile = join(folder, 'tally');
  try {
    const child = spawn('node_modules/.bin/mocha', [...files], {
      stdio: 'inherit',
      env: { ...process.env, ...env, TEST_TALLY: tallyFile },
    });
    const code = await new Promise<number>((resolve) =>
      child.once('exit', (status) => {
        resolve(status ?? 1);
      }),
    );
    const [passed = 0, failed = 0, skipped = 0] = readTally(tallyFile);
    return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, skipped };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readTally(file: string): readonly number[] {
  try {
    return readFileSync(file, 'utf8').trim().split(' ').map(Number);
  } catch {
    return [];
  }
}

process.exitCode = await main(process.argv.slice(2));
