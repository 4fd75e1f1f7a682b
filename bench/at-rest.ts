// What a fleet costs while nothing changes: writes to the API, memory and processor time of the operator.
import { setTimeout as sleep } from 'node:timers/promises';
import { AuditMark } from '../test/support/audit.ts';
import { OPERATOR_USER } from '../test/support/install.ts';
import { isOwnCluster } from '../test/support/kubectl.ts';
import type { Measurement } from './measurement.ts';
import { operatorProcess, processorSeconds, residentMiB } from './operator-process.ts';
import { withFleet } from './standing-fleet.ts';

const POOL = 'resting';
/** What just came about is still being told of: events, the last status. */
const SETTLE_MS = 10_000;

export const atRest: Measurement = {
  name: 'atRest',
  what: 'two fleets of two pods, nothing changes',
  rounds: 1,
  run: async (setting) => {
    if (!(await isOwnCluster()))
      throw new Error('the audit log and the process of the operator are seen only on the cluster of make cluster-up');
    const { stage, restSeconds, report } = setting;
    const second = (): Promise<Record<string, number>> => withFleet(setting, stage.pool(`${POOL}-2`), measure);
    const measure = async (): Promise<Record<string, number>> => {
      await sleep(SETTLE_MS);
      const pid = await operatorProcess();
      const mark = await AuditMark.now();
      const startedMs = performance.now();
      const usedBefore = processorSeconds(pid);
      report(`atRest: looking on for ${restSeconds} s`);
      await sleep(restSeconds * 1000);
      const tookSeconds = (performance.now() - startedMs) / 1000;
      const used = processorSeconds(pid) - usedBefore;
      const writes = mark.writes(OPERATOR_USER);
      const others = writes.filter(({ resource }) => resource !== 'leases');
      for (const { verb, resource, namespace, name } of others)
        report(`atRest: ${verb} ${resource} ${namespace}/${name}`);
      const leases = writes.length - others.length;
      if (leases === 0) throw new Error('not even the Lease was written: the audit log does not tell of the operator');
      return {
        restSeconds: Math.round(tookSeconds),
        writesAtRest: others.length,
        leaseWritesPerMinute: Math.round((leases * 600) / tookSeconds) / 10,
        operatorRssMiB: residentMiB(pid),
        operatorCpuAtRest: Math.round((used / tookSeconds) * 10_000) / 10_000,
      };
    };
    return await withFleet(setting, stage.pool(`${POOL}-1`), second);
  },
};
