// What the ledger hears of: every pod that exists or may still hold connections, in whatever state, and what status remembers.
import assert from 'node:assert/strict';
import { PLACE } from '../../src/model/names.ts';
import type { Observation, PodFacts, PoolerReading } from '../../src/model/observation.ts';
import type { Sizes } from '../../src/model/pooler-model.ts';
import { planPool } from '../../src/plan/plan.ts';
import { chooseBasis } from '../../src/plan/basis.ts';
import { desire } from '../../src/plan/desired.ts';
import { QUARANTINE_MS } from '../../src/plan/gone-pods.ts';
import type { GrantStep } from '../../src/plan/grants.ts';
import { readProvedRecord } from '../../src/plan/proved-record.ts';
import { workload } from '../support/observation.ts';
import { askedWith } from '../support/ask-ledger.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const ORDERS = { name: 'orders', database: 'orders_production', poolMode: 'transaction', weight: 1 } as const;
const REPORTS = { ...ORDERS, name: 'reports', database: 'reports' };
const LIMITS = { versionNumber: 170000, maxConnections: 100, superuserReserved: 3, reserved: 0 };

/** What the ledger answers for what is observed, as planning would ask it. */
function ask(observation: Observation, over: { floors?: Sizes; declared?: number } = {}): GrantStep {
  const record = readProvedRecord(observation);
  const chosen = chooseBasis(observation, desire(observation, record), record, observation.defaultImage);
  assert.ok('basis' in chosen && record !== undefined, 'there is nothing to plan by');
  return askedWith(observation, chosen, over.floors ?? record.floors, over.declared);
}

/** The same fleet, its largest pod just made: nobody has told or asked it anything. */
function asNew(seen: Observation): Observation {
  const made = withLargest(seen, { grant: undefined, live: undefined });
  return { ...made, poolers: new Map([...made.poolers].filter(([uid]) => uid !== largestOf(seen).uid)) };
}

/** Two proved pods with 5 and 4 connections, floors of 1. */
function settled(): PaperFleet {
  const fleet = new PaperFleet();
  fleet.settle();
  return fleet;
}

/** The observation with something else to be seen of its largest pod. */
function withLargest(
  seen: Observation,
  facts: Partial<PodFacts>,
  reading: (former: PoolerReading & { ok: true }) => PoolerReading = (former) => former,
): Observation {
  const pod = largestOf(seen);
  const former = seen.poolers.get(pod.uid);
  assert.ok(former?.ok === true);
  return {
    ...seen,
    pods: seen.pods.map((one) => (one.uid === pod.uid ? { ...one, ...facts } : one)),
    poolers: new Map([...seen.poolers, [pod.uid, reading(former)]]),
  };
}

function largestOf({ pods }: Pick<Observation, 'pods'>): PodFacts {
  const [largest] = [...pods].sort((a, b) => (b.grant?.sizes['orders'] ?? 0) - (a.grant?.sizes['orders'] ?? 0));
  assert.equal(largest?.grant?.sizes['orders'], 5);
  return largest;
}

describe('the ledger of a fleet', () => {
  it('lets nothing grow beyond what is declared, on a configuration that was proved with more', () => {
    const fleet = new PaperFleet({ fleet: { replicas: 2 }, databases: [ORDERS, REPORTS] });
    fleet.settle();
    const seen = fleet.observe();
    const [pod] = seen.pods;
    const grant = pod?.grant;
    assert.ok(grant !== undefined);
    // One database was taken out of it, and is wanted again; its boot.ini still has a connection for it.
    const without = {
      ...seen,
      pods: seen.pods.map((one) =>
        one.uid === pod?.uid ? { ...one, grant: { ...grant, sizes: { orders: 1 } } } : one,
      ),
    };
    const { committed } = ask(without).ledger;
    const grows = (declared: number): readonly string[] =>
      ask(without, { declared }).ledger.changes.flatMap((change) =>
        change.kind === 'grow' && change.database === 'reports' ? [change.pod] : [],
      );
    assert.deepEqual(grows(committed + 4), [pod?.uid]);
    assert.deepEqual(grows(committed - 1), []);
  });

  it('counts a pod that serves', () => {
    assert.equal(ask(settled().observe()).ledger.committed, 9);
  });

  it('counts a pod that is not Ready yet', () => {
    assert.equal(ask(withLargest(settled().observe(), { ready: false })).ledger.committed, 9);
  });

  it('counts a pod that drains', () => {
    const drain = { sinceMs: 0, why: 'ScaleIn' } as const;
    assert.equal(ask(withLargest(settled().observe(), { drain, serving: false })).ledger.committed, 9);
  });

  it('counts a pod that is being deleted', () => {
    assert.equal(ask(withLargest(settled().observe(), { terminatingSinceMs: 1 })).ledger.committed, 9);
  });

  it('counts a pod whose console does not answer', () => {
    const silent = withLargest(settled().observe(), {}, () => ({ ok: false, fault: 'timeout' }));
    assert.equal(ask(silent).ledger.committed, 9);
  });

  it('counts a pod that has ended with what PostgreSQL may still hold of it', () => {
    assert.equal(ask(withLargest(settled().observe(), { finished: true, ready: false })).ledger.committed, 9);
  });

  it('sets aside the floor of one replacement for every pod that others may evict or lose', () => {
    assert.equal(ask(settled().observe()).ledger.setAside, 2);
    // The replacement of one that is going already is no longer to come: it is owed by the ReplicaSet.
    const going = withLargest(settled().observe(), { terminatingSinceMs: 1 });
    assert.equal(ask(going).ledger.setAside, 2);
  });

  it('keeps back what a lost pod was granted until its quarantine ends, where nobody counts backends', () => {
    const fleet = settled();
    const lost = largestOf(fleet);
    fleet.kill(lost.name);
    const known = () => fleet.pool.status?.pods?.find((pod) => pod.uid === lost.uid)?.state;
    // Its 5, the other’s 4, and the floor of the replacement.
    assert.equal(ask(fleet.observe()).ledger.committed, 10);
    fleet.turn();
    assert.equal(known(), 'Gone');
    fleet.nowMs += QUARANTINE_MS;
    fleet.turn();
    assert.equal(known(), undefined);
  });

  describe('with a pod that is gone, and a server that counts backends', () => {
    /** Connections that the ledger keeps back for it, while PostgreSQL shows so many of its backends. */
    const afterLoss = (count: number, how: { terminating?: boolean; laterMs?: number }) => {
      const fleet = settled();
      const lost = largestOf(fleet);
      const group = { clientAddress: lost.ip, user: 'orders_app', database: 'orders_production', count };
      fleet.server = {
        reachable: true,
        limits: LIMITS,
        seesOthers: true,
        backends: count === 0 ? [] : [group],
      };
      if (how.terminating === true) {
        const pods = (fleet.pool.status?.pods ?? []).map((pod) =>
          pod.uid === lost.uid ? { ...pod, state: 'Terminating' as const } : pod,
        );
        fleet.pool = { ...fleet.pool, status: { ...fleet.pool.status, pods } };
      }
      fleet.kill(lost.name);
      if (how.laterMs !== undefined) {
        fleet.turn();
        fleet.nowMs += how.laterMs;
      }
      const { gone } = ask(fleet.observe()).asked;
      return gone.reduce((sum, { seenByServer = 0, quarantine = 0 }) => sum + Math.max(seenByServer, quarantine), 0);
    };

    it('keeps back all that it was granted for as long as one of them is there: its process may live', () => {
      assert.equal(afterLoss(3, {}), 5);
      assert.equal(afterLoss(3, { terminating: true }), 5);
      assert.equal(afterLoss(3, { laterMs: 10 * QUARANTINE_MS }), 5);
    });

    it('keeps it back for a while where none is there and nobody saw its process end', () => {
      assert.equal(afterLoss(0, {}), 5);
      assert.equal(afterLoss(0, { laterMs: QUARANTINE_MS / 2 }), 5);
      assert.equal(afterLoss(0, { laterMs: QUARANTINE_MS }), 0);
    });

    it('tells in status how many are left, and no more once there is none', () => {
      const fleet = settled();
      const lost = largestOf(fleet);
      const shows = (count: number) => {
        const group = { clientAddress: lost.ip, user: 'orders_app', database: 'orders_production', count };
        fleet.server = { reachable: true, limits: LIMITS, seesOthers: true, backends: count === 0 ? [] : [group] };
        fleet.turn();
        return fleet.pool.status?.pods?.find((pod) => pod.uid === lost.uid);
      };
      fleet.kill(lost.name);
      assert.deepEqual([shows(3)?.state, shows(3)?.orphans], ['Gone', 3]);
      assert.deepEqual([shows(0)?.state, shows(0)?.orphans], ['Gone', undefined]);
    });

    it('gives it up at once where the kubelet has seen it end', () => {
      assert.equal(afterLoss(0, { terminating: true }), 0);
    });
  });

  it('keeps back what a pod holds of a database that is no longer declared', () => {
    const fleet = new PaperFleet({ databases: [ORDERS, REPORTS] });
    fleet.settle();
    const held = fleet.pods.reduce((sum, pod) => sum + (pod.grant?.sizes['reports'] ?? 0), 0);
    fleet.edit({ databases: [ORDERS] });
    assert.ok(held >= 2);
    assert.equal(ask(fleet.observe()).asked.budget, 75 - held);
  });

  it('counts what goes on at PostgreSQL in a database that nobody declares any more', () => {
    const fleet = settled();
    const { ip } = largestOf(fleet);
    const group = { clientAddress: ip, user: 'orders_app', database: 'former_orders', count: 3 };
    fleet.server = { reachable: true, limits: LIMITS, seesOthers: true, backends: [group] };
    assert.equal(ask(fleet.observe()).asked.budget, 75 - 3);
  });

  it('counts the sizes that boot.ini gives a new pod in databases that are no longer declared', () => {
    const seen = settled().observe();
    const held = (floors: Sizes): number => 75 - ask(asNew(seen), { floors }).asked.budget;
    assert.equal(held({ orders: 1 }), 0);
    assert.equal(held({ orders: 1, reports: 2 }), 2);
  });

  describe('with a database that was removed, where nobody counts backends', () => {
    const removed = (agoMs: number | undefined): { held: number; removedAtMs: number | undefined } => {
      const seen = settled().observe();
      const { uid, grant } = largestOf(seen);
      assert.ok(grant !== undefined);
      const since = agoMs === undefined ? {} : { removedAtMs: seen.nowMs - agoMs };
      const step = ask(withLargest(seen, { grant: { ...grant, unsettled: { reports: 3 }, ...since } }));
      return { held: 75 - step.asked.budget, removedAtMs: step.next.get(uid)?.removedAtMs };
    };

    it('notes when its clients were cut, and keeps back what it had', () => {
      assert.deepEqual(removed(undefined), { held: 3, removedAtMs: settled().observe().nowMs });
    });

    it('gives that up once their transactions have had time to end', () => {
      assert.equal(removed(4_900).held, 3);
      assert.equal(removed(5_000).held, 0);
    });
  });

  it('has a new pod go on with what it booted with, whatever boot.ini says by now', () => {
    const seen = settled().observe();
    const { uid } = largestOf(seen);
    const booted = (size: number): Observation =>
      withLargest(seen, { grant: undefined, live: undefined }, (former) => ({
        ...former,
        view: {
          ...former.view,
          databases: former.view.databases.map((row) => ({ ...row, poolSize: size, maxConnections: size })),
          pools: [],
        },
      }));
    const firstSize = (size: number, floor: number): number | undefined => {
      const { asked } = ask(booted(size), { floors: { orders: floor } });
      return asked.cells.find(({ pod }) => pod === uid)?.granted;
    };
    assert.deepEqual([firstSize(1, 3), firstSize(3, 1)], [1, 3]);
  });

  it('takes a shrink for proved by the file that holds it, not by boot.ini, whose floor may be the same', () => {
    const settledBy = (conffile: string, ini?: string): number => {
      const seen = settled().observe();
      const { grant } = largestOf(seen);
      assert.ok(grant !== undefined);
      const shrunk = { ...grant, unsettled: { orders: 9 }, ...(ini === undefined ? {} : { ini }) };
      const step = ask(
        withLargest(seen, { grant: shrunk }, (former) => ({
          ...former,
          view: { ...former.view, config: new Map([...former.view.config, ['conffile', conffile]]) },
        })),
      );
      return step.ledger.settled.length;
    };
    assert.equal(settledBy(PLACE.liveFile), 1);
    assert.equal(settledBy(PLACE.liveFile, 'another'), 0);
    // In a fleet of one database at its floor boot.ini may be the same to the letter.
    assert.equal(settledBy(PLACE.bootFile), 0);
  });

  it('has a pool drained that holds more than its size, though nothing was shrunk: boot.ini was in force meanwhile', () => {
    const holding = (servers: number, cancelling: number): Sizes | undefined => {
      const seen = settled().observe();
      const { uid } = largestOf(seen);
      const step = ask(
        withLargest(seen, {}, (former) => {
          const pools = former.view.pools.map((pool) => ({ ...pool, servers, serversCancelling: cancelling }));
          return { ...former, view: { ...former.view, pools } };
        }),
      );
      return step.next.get(uid)?.unsettled;
    };
    assert.equal(holding(5, 0), undefined);
    assert.deepEqual(holding(7, 0), { orders: 7 });
    // Those that pass a cancel request on end by themselves.
    assert.equal(holding(7, 2), undefined);
  });

  it('counts PostgreSQL’s backends also in a database that only the proved configuration has, which goes on while another is refused', () => {
    const fleet = new PaperFleet({ databases: [ORDERS, REPORTS] });
    fleet.settle();
    const { ip } = fleet.pods[0] ?? {};
    const group = { clientAddress: ip, user: 'orders_app', database: 'reports', count: 9 };
    fleet.server = { reachable: true, limits: LIMITS, seesOthers: true, backends: [group] };
    // The budget is too small for what is declared now, so that the former databases stand.
    fleet.edit({ databases: [ORDERS], budget: { connections: 2 }, fleet: { replicas: 3 } });
    const cell = ask(fleet.observe()).asked.cells.find(
      ({ pod, database }) => pod === fleet.pods[0]?.uid && database === 'reports',
    );
    assert.equal(cell?.seenByServer, 9);
  });

  it('does not give a database back that is declared again before what was cut of it can have ended', () => {
    const again = (agoMs: number): { sizes: Sizes; unsettled: Sizes | undefined } => {
      const seen = settled().observe();
      const { uid, grant } = largestOf(seen);
      assert.ok(grant !== undefined);
      // The file without it is in force, and its transactions go on at PostgreSQL.
      const removed = {
        ...grant,
        model: 'without',
        sizes: {},
        unsettled: { orders: 5 },
        removedAtMs: seen.nowMs - agoMs,
      };
      const step = ask(
        withLargest(seen, { grant: removed }, (former) => ({
          ...former,
          view: { ...former.view, databases: [], pools: [] },
        })),
      );
      const next = step.next.get(uid);
      assert.ok(next !== undefined);
      return { sizes: next.sizes, unsettled: next.unsettled };
    };
    assert.deepEqual(again(4_000), { sizes: {}, unsettled: { orders: 5 } });
    assert.deepEqual(again(6_000), { sizes: { orders: 5 }, unsettled: undefined });
  });

  it('leaves room for the replacements of all its pods while a surplus one is being taken away', () => {
    const seen = settled().observe();
    const [one] = seen.pods;
    assert.ok(one !== undefined);
    const drained = { ...one, name: 'surplus', uid: 'uid-surplus', drain: { sinceMs: 0, why: 'ScaleIn' } as const };
    assert.equal(ask({ ...seen, pods: [...seen.pods, drained] }).asked.extraPodsPossible, 2);
  });

  it('creates no pod for whose floor there is no room', () => {
    const fleet = new PaperFleet({ fleet: { replicas: 1 }, workloads: [{ name: 'all', clients: 20 }] });
    fleet.settle();
    assert.equal(fleet.inForce(), 10);
    fleet.edit({ budget: { connections: 8 }, fleet: { replicas: 4 } });
    const plan = fleet.turn();
    assert.deepEqual(
      plan.actions.filter(({ kind }) => kind === 'scaleReplicaSet'),
      [],
    );
    fleet.settle();
    assert.equal(fleet.pods.length, 4);
    assert.ok(fleet.inForce() <= 8);
  });

  describe('with a container that died', () => {
    const restarted = (sinceMs: number): Observation => {
      const seen = settled().observe();
      const { container } = largestOf(seen);
      return withLargest(
        seen,
        { container: { ...container, restartCount: 1, startedAtMs: seen.nowMs - sinceMs } },
        (former) => ({
          ...former,
          view: {
            ...former.view,
            config: new Map([...former.view.config, ['conffile', PLACE.bootFile]]),
            databases: former.view.databases.map((row) => ({ ...row, poolSize: 1, maxConnections: 1 })),
          },
        }),
      );
    };

    it('counts what a restarted container may have left behind, beside what it opens itself', () => {
      assert.equal(ask(restarted(1_000)).ledger.committed, 4 + 5 + 1);
      assert.equal(ask(restarted(6_000)).ledger.committed, 4 + 5);
    });

    it('takes a container for restarted that runs boot.ini after it ran its live.ini, before the API says so', () => {
      const { uid } = largestOf(settled());
      const seen = (restartedUnseen: boolean): GrantStep =>
        ask(withLargest(settled().observe(), {}, (former) => ({ ...former, restartedUnseen })));
      assert.equal(seen(false).mayLoad.has(uid), true);
      assert.equal(seen(true).mayLoad.has(uid), false);
      assert.equal(seen(true).ledger.committed, 4 + 5 + 5);
    });

    it('does not load a restarted container’s share beside what it left behind', () => {
      const { uid } = largestOf(settled());
      assert.equal(ask(restarted(1_000)).mayLoad.has(uid), false);
      assert.equal(ask(restarted(6_000)).mayLoad.has(uid), true);
    });
  });
});

describe('a change of leader', () => {
  /** A fleet whose workload has grown, with the next leader's mark everywhere. */
  function underTheNext(): Observation {
    const fleet = settled();
    fleet.epoch = 8;
    const kinds = fleet.turn().actions.map(({ kind, why }) => (kind === 'applyChild' ? why : kind));
    assert.deepEqual(kinds, ['the leader of epoch 8 puts its mark on boot.ini', 'patchPod', 'patchPod']);
    fleet.workloads.set('Deployment/web', workload(6));
    return fleet.observe();
  }

  const grows = (observation: Observation): boolean =>
    planPool(observation).actions.some(({ why }) => why.includes(' orders=10 '));

  it('lets no pod grow while one still carries the mark of an earlier leader', () => {
    const seen = underTheNext();
    // One stamp has not arrived: as if that pod had been written by somebody else meanwhile.
    const stale = { ...seen, pods: seen.pods.map((pod, index) => (index > 0 ? pod : withEpoch(pod, 7))) };
    const sizes = planPool(stale).actions.flatMap((action) =>
      action.kind === 'patchPod' ? [JSON.parse(action.annotations['poolsmith.dev/grant'] ?? '{}') as Sized] : [],
    );
    assert.ok(sizes.length > 0, 'the missing stamp is not made up for');
    for (const grant of sizes) assert.ok((grant.sizes?.['orders'] ?? 0) <= 5, JSON.stringify(sizes));
    // With every stamp in place the same fleet grows.
    assert.ok(grows(seen));
  });

  it('lets no pod grow while boot.ini still carries the mark of an earlier leader: its larger floors may be on their way', () => {
    const seen = underTheNext();
    const marked = (epoch: string | undefined): Observation => {
      const [key, boot] = [...seen.children].find(([, { kind }]) => kind === 'ConfigMap') ?? assert.fail('no boot.ini');
      const annotations = epoch === undefined ? {} : { 'poolsmith.dev/epoch': epoch };
      return {
        ...seen,
        children: new Map([...seen.children, [key, { ...boot, metadata: { ...boot.metadata, annotations } }]]),
      };
    };
    assert.ok(grows(marked('8')));
    for (const mark of ['7', undefined, 'nonsense']) {
      assert.ok(!grows(marked(mark)), mark);
      const written = planPool(marked(mark)).actions.flatMap((action) =>
        action.kind === 'applyChild' ? [action.object.metadata.annotations?.['poolsmith.dev/epoch']] : [],
      );
      assert.deepEqual(written, ['8'], 'the missing mark is not made up for');
    }
    // And a later leader's is left to it.
    assert.deepEqual(planPool(marked('9')).actions, []);
  });
});

type Sized = { readonly sizes?: Readonly<Record<string, number>> };

function withEpoch(pod: PodFacts, epoch: number): PodFacts {
  return pod.grant === undefined ? pod : { ...pod, grant: { ...pod.grant, epoch } };
}
