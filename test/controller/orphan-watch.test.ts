// Orphaned backends are told by identity and by lasting: two views that are read at different moments must raise no alarm.
import assert from 'node:assert/strict';
import { OrphanWatch } from '../../src/controller/orphan-watch.ts';
import type { Observation } from '../../src/model/observation.ts';
import { AdminError } from '../../src/pgbouncer/errors.ts';
import type { ServerRow } from '../../src/pgbouncer/show.ts';
import type { Backend } from '../../src/postgres/server-monitor.ts';
import { PaperFleet } from '../support/paper-fleet.ts';

const SIGNAL = new AbortController().signal;

/** A fleet of two whose first pod has these backends by PostgreSQL's word and those connections by PgBouncer's. */
class Scene {
  readonly fleet = new PaperFleet();
  backends: readonly number[] | undefined = [];
  connections: readonly number[] | AdminError = [];
  asked = 0;
  watch = this.anew();

  constructor() {
    this.fleet.settle();
  }

  anew(): OrphanWatch {
    return new OrphanWatch({
      backendsFrom: async () => Promise.resolve(this.backends?.map((pid): Backend => ({ id: `${pid}@then`, pid }))),
    });
  }

  get observation(): Observation {
    const [pod] = this.fleet.pods;
    const known = Array.isArray(this.connections) ? this.connections.length : 0;
    this.fleet.connect(pod?.name ?? '', 3, known);
    const user = { user: 'orders_app', database: 'orders_production' };
    this.fleet.server = {
      reachable: true,
      limits: { versionNumber: 170_000, maxConnections: 100, superuserReserved: 3, reserved: 0 },
      seesOthers: true,
      backends: [{ clientAddress: pod?.ip, ...user, count: this.backends?.length ?? known + 1 }],
    };
    return this.fleet.observe();
  }

  /** Orphans of the first pod after one more look, so much later. */
  async look(afterMs = 0): Promise<number | undefined> {
    this.fleet.nowMs += afterMs;
    const servers = async (): Promise<readonly ServerRow[]> => {
      this.asked += 1;
      if (this.connections instanceof AdminError) throw this.connections;
      return Promise.resolve(this.connections.map((backendPid) => ({ backendPid }) as ServerRow));
    };
    const found = await this.watch.look('shop/orders', this.observation, () => ({ servers }), SIGNAL);
    return found?.get(this.fleet.pods[0]?.uid ?? '') ?? (found === undefined ? undefined : 0);
  }
}

describe('the watch for orphaned backends', () => {
  it('asks nobody while both count the same', async () => {
    const scene = new Scene();
    scene.backends = scene.connections = [1, 2, 3];
    assert.equal(await scene.look(), 0);
    assert.equal(scene.asked, 0);
  });

  it('counts a backend that was without a connection in two looks that lie apart', async () => {
    const scene = new Scene();
    scene.connections = [1];
    scene.backends = [1, 2, 3];
    assert.deepEqual([await scene.look(), await scene.look(500), await scene.look(3_000)], [0, 0, 2]);
    scene.backends = [1, 3];
    assert.equal(await scene.look(10_000), 1);
    scene.backends = [1];
    assert.equal(await scene.look(10_000), 0);
  });

  it('raises no alarm over a busy pool whose connections are renewed all the time', async () => {
    const scene = new Scene();
    for (let round = 0; round < 50; round += 1) {
      // PostgreSQL still shows those that PgBouncer has closed between the two readings.
      scene.backends = [1, 10 * round + 2, 10 * round + 3];
      scene.connections = [1];
      assert.equal(await scene.look(5_000), 0, `round ${round}`);
    }
    assert.equal(scene.asked, 50);
  });

  it('sees an orphan also where logins under way make the numbers equal', async () => {
    const scene = new Scene();
    scene.connections = [1];
    scene.backends = [1, 2];
    await scene.look();
    scene.connections = [1, 7];
    assert.equal(await scene.look(5_000), 1);
  });

  it('keeps what it found while nobody can be asked', async () => {
    const scene = new Scene();
    scene.connections = [1];
    scene.backends = [1, 2];
    await scene.look();
    assert.equal(await scene.look(5_000), 1);
    scene.connections = new AdminError('timeout', 'no answer');
    assert.equal(await scene.look(5_000), 1);
    scene.connections = [1];
    scene.backends = undefined;
    assert.equal(await scene.look(5_000), 1);
  });

  it('goes on with what was told when the operator starts anew, and begins afresh where nothing was', async () => {
    const scene = new Scene();
    scene.connections = [1];
    scene.backends = [1, 2];
    const [pod] = scene.fleet.pods;
    assert.equal(await scene.look(), 0);
    scene.fleet.orphans.set(pod?.name ?? '', 1);
    scene.fleet.turn();
    scene.watch = scene.anew();
    assert.equal(await scene.look(), 1);
  });

  it("knows nothing where PostgreSQL's view can not be had", async () => {
    const scene = new Scene();
    const blind = { ...scene.observation, server: undefined };
    assert.equal(await scene.watch.look('shop/orders', blind, () => undefined, SIGNAL), undefined);
  });
});
