#!/usr/bin/env node
// The demo: a real Kubernetes, PostgreSQL, application and fleet; each step says what it claims and checks it.
import { parseArgs } from 'node:util';
import { closeCluster, clusterAccess } from '../test/support/kubectl.ts';
import { BackendSampler } from '../test/support/backends.ts';
import { Application } from './application.ts';
import { tellEvents } from './events.ts';
import { showEvidence } from './evidence.ts';
import { Narrator } from './narrator.ts';
import {
  clearEarlierDemo,
  installOperator,
  prepareCluster,
  prepareImages,
  startPostgres,
  waitForOperator,
} from './prepare.ts';
import { runStep, type Measured } from './run-step.ts';
import { applicationScaled } from './steps/application-scaled.ts';
import { applicationStopped } from './steps/application-stopped.ts';
import { containerKilled } from './steps/container-killed.ts';
import { fleetReady } from './steps/fleet-ready.ts';
import { operatorKilled } from './steps/operator-killed.ts';
import { podDeleted } from './steps/pod-deleted.ts';
import { poolDeleted } from './steps/pool-deleted.ts';
import { settingChanged } from './steps/setting-changed.ts';
import { sizesExplained } from './steps/sizes-explained.ts';
import { renderTable } from './table.ts';
import { tearDown } from './tear-down.ts';
import {
  APPLICATION_PODS,
  MONITOR,
  NAMESPACE,
  POOL,
  SUPERUSER,
  SYSTEM_NAMESPACE,
  WEB,
  type Step,
  type World,
} from './world.ts';

const USAGE = `usage: node demo/main.ts [--keep]     run the demo; --keep (or KEEP=1) leaves fleet and application running
       node demo/main.ts down         take everything of the demo away`;

const SAMPLE_EVERY_MS = 50;

const LIFE: readonly Step[] = [
  fleetReady,
  sizesExplained,
  applicationScaled,
  settingChanged,
  podDeleted,
  containerKilled,
  operatorKilled,
];
const END: readonly Step[] = [applicationStopped, poolDeleted];

async function demo(keep: boolean): Promise<number> {
  const narrator = new Narrator();
  const watching = new AbortController();
  const measured: Measured[] = [];
  let application: Application | undefined;
  let sampler: BackendSampler | undefined;
  let telling: Promise<void> | undefined;
  try {
    narrator.heading(
      'Preparation',
      'A real Kubernetes on this machine, the operator by its chart, and a PostgreSQL it knows nothing about.',
    );
    await prepareCluster(narrator);
    await Promise.all([prepareImages(narrator), clearEarlierDemo(narrator)]);
    const [postgres] = await Promise.all([startPostgres(narrator), installOperator(narrator)]);
    await waitForOperator(narrator);
    sampler = await BackendSampler.start(postgres, {
      everyMs: SAMPLE_EVERY_MS,
      ignoreRoles: [SUPERUSER.user, MONITOR],
    });
    application = new Application(NAMESPACE, APPLICATION_PODS);
    application.start();
    telling = tellEvents(narrator, watching.signal);
    const world: World = {
      narrator,
      sampler,
      application,
      postgres,
      last: { pool: undefined, total: application.total },
    };
    for (const [index, step] of [...LIFE, ...(keep ? [] : END)].entries())
      measured.push(await runStep(step, index + 1, world));
    narrator.heading('What was measured', '');
    console.log(`\n${tableOf(measured)}\n`);
    narrator.good(`every step did what it claims, in ${narrator.elapsedSeconds.toFixed(0)} s`);
    if (keep) await invite(narrator);
    return 0;
  } catch (error) {
    narrator.bad(error instanceof Error ? error.message : String(error));
    if (measured.length > 0) console.log(`\n${tableOf(measured)}\n`);
    await showEvidence(narrator, application).catch((cause: unknown) => {
      narrator.bad(`no evidence: ${String(cause)}`);
    });
    return 1;
  } finally {
    watching.abort();
    await Promise.all([telling, application?.stop(), sampler?.stop()]);
  }
}

function tableOf(measured: readonly Measured[]): string {
  const header = ['step', 'time', 'transactions', 'failed', 'longest', 'most backends', 'budget'];
  const rows = measured.map(({ title, tookMs, done, failed, longestMs, peak, budget }) => [
    title,
    `${(tookMs / 1000).toFixed(1)} s`,
    String(done),
    String(failed),
    done === 0 ? '–' : `${longestMs.toFixed(0)} ms`,
    String(peak),
    String(budget ?? '–'),
  ]);
  const sum = (key: 'tookMs' | 'done' | 'failed'): number => measured.reduce((total, one) => total + one[key], 0);
  const [longest, peak] = [Math.max(...measured.map((m) => m.longestMs)), Math.max(...measured.map((m) => m.peak))];
  const total = ['together', `${(sum('tookMs') / 1000).toFixed(1)} s`, String(sum('done')), String(sum('failed'))];
  return renderTable(header, [...rows, [...total, `${longest.toFixed(0)} ms`, String(peak), '']]);
}

async function invite(narrator: Narrator): Promise<void> {
  const { kubeconfig, kubectl } = await clusterAccess();
  narrator.say('everything is left running. Go on by hand:');
  narrator.quote(
    [
      `export KUBECONFIG=${kubeconfig}`,
      ...(kubectl === 'kubectl' ? [] : [`alias kubectl=${kubectl}`]),
      `kubectl get poolconfig,pods -n ${NAMESPACE}`,
      `node src/main.ts explain ${NAMESPACE}/${POOL}`,
      `kubectl scale -n ${NAMESPACE} deployment/${WEB} --replicas=3`,
      `kubectl logs -n ${NAMESPACE} deployment/${WEB} -f`,
      `kubectl logs -n ${SYSTEM_NAMESPACE} deployment/poolsmith -f`,
      'node demo/main.ts down',
    ].join('\n'),
  );
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { keep: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
  const [command = 'run'] = positionals;
  if (values.help === true || !['run', 'down'].includes(command)) {
    console.error(USAGE);
    return values.help === true ? 0 : 64;
  }
  if (command === 'run') return await demo(values.keep === true || process.env['KEEP'] === '1');
  await tearDown(new Narrator());
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await closeCluster();
}
