// Step: the application stops, and PostgreSQL is asked about every order that was ever acknowledged.
import pg from 'pg';
import { RESOURCES } from '../../src/kube/resources.ts';
import { until } from '../../test/cluster/processes.ts';
import { cluster, kubectl } from '../../test/support/kubectl.ts';
import { auditOrders } from '../../test/support/load.ts';
import type { ThreadTally } from '../client/tally.ts';
import { APPLICATION_PODS, check, NAMESPACE, WEB, type Step } from '../world.ts';

export const applicationStopped: Step = {
  title: 'Were all orders placed, and each of them once?',
  explanation:
    'Every thread numbered its orders. It stops cleanly and writes down how many were acknowledged; the table must hold\n' +
    'exactly those: none lost, none twice, none by halves.',
  run: async ({ narrator, application, postgres }) => {
    narrator.command(`kubectl scale -n ${NAMESPACE} deployment/${WEB} --replicas=0`);
    await kubectl(['scale', '-n', NAMESPACE, `deployment/${WEB}`, '--replicas=0']);
    const kube = await cluster();
    const arePodsGone = async (): Promise<true | undefined> =>
      (await kube.list(RESOURCES.Pod, { namespace: NAMESPACE, labelSelector: APPLICATION_PODS })).items.length === 0 ||
      undefined;
    await until('the application to stop', arePodsGone, 45_000, 100);
    const client = new pg.Client(postgres);
    await client.connect();
    try {
      const threads = await writtenTallies(client);
      const { threads: seen, crashes } = application.total;
      check(crashes === 0, 'no process of the application crashed');
      for (const [name, own] of Object.entries(seen)) {
        const written = threads[name];
        check(written !== undefined, `thread ${name} wrote down its tally`);
        check(written.acknowledged >= own.acknowledged, `thread ${name} did not forget an order`);
      }
      const { acknowledged, found, lost, double, unknown, torn } = await auditOrders([client], threads);
      application.settle(acknowledged);
      const facts = `${acknowledged} acknowledged, ${found} in the table, ${lost} lost, ${double} twice, ${torn} by halves`;
      check(
        acknowledged > 0 && lost === 0 && double === 0 && torn === 0,
        `every order is there exactly once (${facts})`,
      );
      check(found - acknowledged <= unknown && found >= acknowledged, `nothing is there that nobody placed (${facts})`);
      narrator.good(
        `${facts}${unknown === 0 ? '' : `; ${unknown} were cut at COMMIT, of them ${found - acknowledged} are there`}`,
      );
    } finally {
      await client.end();
    }
  },
};

type Row = Readonly<{ client: string; acknowledged: string; unknown: readonly string[] }>;

async function writtenTallies(client: pg.Client): Promise<Record<string, ThreadTally>> {
  const { rows } = await client.query<Row>('SELECT client, acknowledged, unknown FROM tallies');
  return Object.fromEntries(
    rows.map((row) => {
      const acknowledged = Number(row.acknowledged);
      const unknown = row.unknown.map(Number);
      return [row.client, { acknowledged, unknown, lastSeq: acknowledged + unknown.length }];
    }),
  );
}
