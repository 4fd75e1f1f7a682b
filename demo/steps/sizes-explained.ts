// Step: every size in force can be explained from numbers.
import { join } from 'node:path';
import { run } from '../../test/cluster/processes.ts';
import { grantedTo } from '../fleet.ts';
import { check, NAMESPACE, POOL, type Step } from '../world.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');

export const sizesExplained: Step = {
  title: 'Why these sizes?',
  explanation:
    'Nobody configured a pool size. The status carries each number and its reason; `poolsmith explain` prints them.',
  run: async ({ narrator, last }) => {
    const { budget, demand = [], databases = [] } = last.pool?.status ?? {};
    narrator.command(`poolsmith explain ${NAMESPACE}/${POOL}`);
    const text = await run(process.execPath, [MAIN, 'explain', `${NAMESPACE}/${POOL}`]);
    narrator.quote(text);
    const [web] = demand;
    const [orders] = databases;
    check(
      web?.workers === 2 && web.threads === 3,
      'workers and threads were read from WEB_CONCURRENCY and RAILS_MAX_THREADS',
    );
    check(budget?.budget === 75, 'the budget is 80 less the reserve of 5');
    check(budget.maxConnections === 100, 'max_connections was read from the server');
    check((orders?.reason ?? '') !== '', 'the size of the database has a reason');
    check(last.pool !== undefined && text.includes(String(grantedTo(last.pool))), 'explain names the size in force');
    narrator.good('each number comes from the Deployment, the PoolConfig or the server');
  },
};
