// Conformance scripts: how many servers a pool opens and closes when its size changes, idle, busy and saturated.
import { drainToSize } from '../../../../src/pgbouncer/lifetime-drain.ts';
import {
  databaseLine,
  fileOf,
  MAX_CONNECTIONS,
  until,
  type Script,
  type Subject,
  type SubjectClient,
} from './subject.ts';
import { databases, pools, servers, setting } from './views.ts';

async function load(
  subject: Subject,
  sizes: Readonly<Record<string, number>>,
  settings: readonly string[] = [],
): Promise<void> {
  const { console, place, write } = subject;
  await write('live.ini', fileOf(place, { databases: sizes, settings }));
  await console.loadFile(`${place.dir}/live.ini`);
}

async function connectAll(
  subject: Subject,
  count: number,
  database = 'app',
  user: 'app' | 'other' = 'app',
): Promise<readonly SubjectClient[]> {
  const clients: SubjectClient[] = [];
  for (let n = 0; n < count; n += 1) clients.push(await subject.connect(database, user));
  return clients;
}

async function openServers(
  subject: Subject,
  count: number,
  database = 'app',
  user: 'app' | 'other' = 'app',
): Promise<readonly SubjectClient[]> {
  const clients = await connectAll(subject, count, database, user);
  for (const client of clients) await client.begin();
  return clients;
}

const both = { databases: { app: 5, second: 5 } };

export const SIZE_SCRIPTS: readonly Script[] = [
  {
    name: 'opens servers one for one with open transactions, up to the size, and lets the next client wait',
    run: async (subject, say) => {
      const clients = await openServers(subject, 5);
      const [late] = await connectAll(subject, 1);
      const waiting = late?.begin();
      await until(subject, 'one waits', async () => (await subject.console.pools())[0]?.clientsWaiting === 1);
      say('full', await pools(subject.console));
      say('backends', await subject.backends());
      await clients[0]?.commit();
      await waiting;
      say('handed on', await pools(subject.console));
    },
    answers: {
      full: ['app/app servers 5: 5 active, 0 idle; clients 5, 1 waiting'],
      backends: 5,
      'handed on': ['app/app servers 5: 5 active, 0 idle; clients 6, 0 waiting'],
    },
  },
  {
    name: 'closes idle servers above a lowered size within a moment, and no client notices',
    run: async (subject, say) => {
      const clients = await openServers(subject, 5);
      for (const client of clients) await client.commit();
      await load(subject, { app: 2 });
      await until(subject, 'two are left', async () => (await servers(subject.console)) === 2);
      await subject.clock.sleep(500);
      say('pools', await pools(subject.console));
      say('backends', await subject.backends());
      say('lost', clients.filter((client) => client.lost()).length);
    },
    answers: { pools: ['app/app servers 2: 0 active, 2 idle; clients 5, 0 waiting'], backends: 2, lost: 0 },
  },
  {
    name: 'leaves open transactions alone above a lowered size, and closes their servers as they end',
    run: async (subject, say) => {
      const clients = await openServers(subject, 5);
      await load(subject, { app: 2 });
      await subject.clock.sleep(800);
      say('all open', await pools(subject.console));
      await clients[0]?.commit();
      await until(subject, 'four are left', async () => (await servers(subject.console)) === 4);
      for (const client of clients.slice(1)) await client.commit();
      await until(subject, 'two are left', async () => (await servers(subject.console)) === 2);
      await subject.clock.sleep(500);
      say('all done', await pools(subject.console));
    },
    answers: {
      'all open': ['app/app servers 5: 5 active, 0 idle; clients 5, 0 waiting'],
      'all done': ['app/app servers 2: 0 active, 2 idle; clients 5, 0 waiting'],
    },
  },
  {
    name: 'does not shrink a saturated pool to a lowered size',
    run: async (subject, say) => {
      const busy = await subject.load('app', 'app', 20);
      await until(subject, 'five servers', async () => (await servers(subject.console)) === 5);
      await load(subject, { app: 2 });
      await subject.clock.sleep(2_000);
      say('databases', await databases(subject.console));
      say('servers', [await servers(subject.console), await subject.backends()]);
      await busy.stop();
      say('failures', busy.failures());
    },
    answers: { databases: ['app→app 2/2 -'], servers: [5, 5], failures: 0 },
  },
  {
    name: 'shrinks a saturated pool by a drain of lifetimes, without a failure, and restores the lifetime',
    boot: (place) => fileOf(place, { databases: { app: 12 } }),
    run: async (subject, say) => {
      const busy = await subject.load('app', 'app', 24);
      await until(subject, 'twelve servers', async () => (await servers(subject.console)) === 12);
      await load(subject, { app: 4 });
      const { settled } = await drainToSize(subject.console, {
        ...{ targets: { app: 4 }, fromSizes: { app: 12 }, deadlineMs: 15_000, clock: subject.clock },
      });
      say('settled', settled);
      await subject.clock.sleep(500);
      say('servers', [await servers(subject.console), await subject.backends()]);
      say('lifetime', await setting(subject.console, 'server_lifetime'));
      await busy.stop();
      say('failures', busy.failures());
    },
    answers: { settled: true, servers: [4, 4], lifetime: ['3600'], failures: 0 },
  },
  {
    name: 'shrinks two databases by one drain while a third keeps its size',
    boot: (place) => fileOf(place, { databases: { app: 8, second: 6, third: 4 } }),
    run: async (subject, say) => {
      const all = [];
      for (const [database, clients] of [
        ['app', 16],
        ['second', 12],
        ['third', 8],
      ] as const)
        all.push(await subject.load(database, 'app', clients));
      await until(subject, 'all servers', async () => (await subject.console.servers()).length === 18);
      await load(subject, { app: 2, second: 4, third: 4 });
      const { settled } = await drainToSize(subject.console, {
        ...{ targets: { app: 2, second: 4, third: 4 }, fromSizes: { app: 8, second: 6, third: 4 } },
        ...{ deadlineMs: 15_000, clock: subject.clock },
      });
      say('settled', settled);
      await until(subject, 'the third is whole again', async () => (await servers(subject.console, 'third')) === 4);
      say('servers', [await servers(subject.console), await servers(subject.console, 'second')]);
      for (const one of all) await one.stop();
      say(
        'failures',
        all.map((one) => one.failures()),
      );
    },
    answers: { settled: true, servers: [2, 4], failures: [0, 0, 0] },
  },
  {
    name: 'keeps a short server_lifetime that nobody restores, recycling all the time, until a RELOAD',
    run: async (subject, say) => {
      const { console, clock } = subject;
      const busy = await subject.load('app', 'app', 10);
      await until(subject, 'five servers', async () => (await servers(console)) === 5);
      await console.set('server_lifetime', '0.200');
      const former = new Set((await console.servers()).map(({ id }) => id));
      await until(
        subject,
        'all were replaced',
        async () => (await console.servers()).every(({ id }) => !former.has(id)),
        20_000,
      );
      say('lifetime', await setting(console, 'server_lifetime'));
      await console.reload();
      await clock.sleep(300);
      await until(subject, 'five servers again', async () => (await servers(console)) === 5);
      const kept = new Set((await console.servers()).map(({ id }) => id));
      await clock.sleep(1_500);
      say('after the RELOAD', [
        await setting(console, 'server_lifetime'),
        (await console.servers()).every(({ id }) => kept.has(id)),
      ]);
      await busy.stop();
      say('failures', busy.failures());
    },
    answers: { lifetime: ['0.2'], 'after the RELOAD': [['3600'], true], failures: 0 },
  },
  {
    name: 'closes one idle server after the other when their lifetime is over',
    run: async (subject, say) => {
      for (const client of await openServers(subject, 3)) await client.commit();
      say('idle', await servers(subject.console));
      await subject.console.set('server_lifetime', '0.5');
      await until(subject, 'none is left', async () => (await servers(subject.console)) === 0);
      say('clients', await pools(subject.console));
    },
    answers: { idle: 3, clients: ['app/app servers 0: 0 active, 0 idle; clients 3, 0 waiting'] },
  },
  {
    name: 'closes servers that nobody has used for server_idle_timeout',
    run: async (subject, say) => {
      for (const client of await openServers(subject, 3)) await client.commit();
      await subject.console.set('server_idle_timeout', '0.5');
      await until(subject, 'none is left', async () => (await servers(subject.console)) === 0);
      say('backends', await subject.backends());
    },
    answers: { backends: 0 },
  },
  {
    name: 'opens more servers for those that wait as soon as a size is raised',
    run: async (subject, say) => {
      const first = await openServers(subject, 5);
      const late = await connectAll(subject, 3);
      const waiting = late.map((client) => client.begin());
      await until(subject, 'three wait', async () => (await subject.console.pools())[0]?.clientsWaiting === 3);
      await load(subject, { app: 7 });
      await until(subject, 'seven servers', async () => (await servers(subject.console)) === 7);
      await subject.clock.sleep(500);
      say('raised', await pools(subject.console));
      await first[0]?.commit();
      await Promise.all(waiting);
      say('all served', await pools(subject.console));
    },
    answers: {
      raised: ['app/app servers 7: 7 active, 0 idle; clients 7, 1 waiting'],
      'all served': ['app/app servers 7: 7 active, 0 idle; clients 8, 0 waiting'],
    },
  },
  {
    name: 'closes nothing when only the cap of connections is lowered',
    run: async (subject, say) => {
      const { console, place, write, clock } = subject;
      for (const client of await openServers(subject, 5)) await client.commit();
      await write(
        'live.ini',
        fileOf(place, {
          databases: { app: databaseLine(place, 5).replace('max_db_connections=5', 'max_db_connections=2') },
        }),
      );
      await console.loadFile(`${place.dir}/live.ini`);
      await clock.sleep(1_500);
      say('databases', await databases(console));
      say('servers', await servers(console));
    },
    answers: { databases: ['app→app 5/2 -'], servers: 5 },
  },
  {
    name: 'shares the cap of a database between two users: an idle server of one makes room for the other, a busy one does not',
    run: async (subject, say) => {
      const { console } = subject;
      const mine = await openServers(subject, 4);
      await mine[0]?.commit();
      const theirs = await openServers(subject, 2, 'app', 'other');
      say('evicted', await pools(console));
      const [late] = await connectAll(subject, 1, 'app', 'other');
      const waiting = late?.begin();
      await until(subject, 'one waits', async () =>
        (await console.pools()).some(({ clientsWaiting }) => clientsWaiting === 1),
      );
      await subject.clock.sleep(500);
      say('full', await pools(console));
      await mine[1]?.commit();
      await waiting;
      say('evicted again', await pools(console));
      for (const client of theirs) await client.commit();
    },
    answers: {
      evicted: [
        'app/app servers 3: 3 active, 0 idle; clients 4, 0 waiting',
        'app/other servers 2: 2 active, 0 idle; clients 2, 0 waiting',
      ],
      full: [
        'app/app servers 3: 3 active, 0 idle; clients 4, 0 waiting',
        'app/other servers 2: 2 active, 0 idle; clients 2, 1 waiting',
      ],
      'evicted again': [
        'app/app servers 2: 2 active, 0 idle; clients 4, 0 waiting',
        'app/other servers 3: 3 active, 0 idle; clients 3, 0 waiting',
      ],
    },
  },
  {
    name: 'starves the second user of a database that the first one saturates',
    boot: (place) => fileOf(place, { databases: { app: 3 } }),
    run: async (subject, say) => {
      const { console } = subject;
      const first = await subject.load('app', 'app', 9);
      await until(subject, 'three servers', async () => (await servers(console)) === 3);
      const second = subject.connect('app', 'other');
      second.catch(() => undefined);
      await subject.clock.sleep(1_000);
      say(
        'pools',
        (await console.pools()).map(({ user, servers: count }) => [user, count]),
      );
      await first.stop();
      await (await second).work(1);
      say('afterwards', await servers(console));
    },
    answers: {
      pools: [
        ['app', 3],
        ['other', 0],
      ],
      afterwards: 3,
    },
  },
  {
    name: 'caps two databases on one server each by itself',
    boot: (place) => fileOf(place, { databases: { app: 3, second: 2 } }),
    run: async (subject, say) => {
      await openServers(subject, 3, 'app');
      await openServers(subject, 2, 'second');
      const late = [...(await connectAll(subject, 1, 'app')), ...(await connectAll(subject, 1, 'second'))];
      for (const client of late) client.begin().catch(() => undefined);
      await until(subject, 'two wait', async () =>
        (await subject.console.pools()).every(({ clientsWaiting }) => clientsWaiting === 1),
      );
      say('pools', await pools(subject.console));
      say('backends', await subject.backends());
      say(
        'current',
        (await subject.console.databases()).map(({ currentConnections, currentClientConnections }) => [
          currentConnections,
          currentClientConnections,
        ]),
      );
    },
    answers: {
      pools: [
        'app/app servers 3: 3 active, 0 idle; clients 3, 1 waiting',
        'second/app servers 2: 2 active, 0 idle; clients 2, 1 waiting',
      ],
      backends: 5,
      current: [
        [3, 4],
        [2, 3],
      ],
    },
  },
  {
    name: 'opens no further server of a user while max_user_connections holds it back',
    run: async (subject, say) => {
      const { console } = subject;
      await openServers(subject, 2);
      await console.set('max_user_connections', '1');
      const [late] = await connectAll(subject, 1);
      const waiting = late?.begin();
      await subject.clock.sleep(700);
      say('held', await pools(console));
      await console.set('max_user_connections', '0');
      await waiting;
      say('let go', await pools(console));
    },
    answers: {
      held: ['app/app servers 2: 2 active, 0 idle; clients 2, 1 waiting'],
      'let go': ['app/app servers 3: 3 active, 0 idle; clients 3, 0 waiting'],
    },
  },
  {
    name: 'evicts idle servers of the same user in another database while max_user_connections holds it back',
    boot: (place) => fileOf(place, both),
    run: async (subject, say) => {
      const { console } = subject;
      for (const client of await openServers(subject, 3, 'app')) await client.commit();
      await openServers(subject, 1, 'second');
      await console.set('max_user_connections', '2');
      const [late] = await connectAll(subject, 1, 'second');
      await late?.begin();
      say('pools', await pools(console));
    },
    answers: {
      pools: [
        'app/app servers 0: 0 active, 0 idle; clients 3, 0 waiting',
        'second/app servers 2: 2 active, 0 idle; clients 2, 0 waiting',
      ],
    },
  },
  {
    name: 'goes on with the servers it has when PostgreSQL has no room for more, and those that wait go on waiting',
    boot: (place) => fileOf(place, { databases: { app: MAX_CONNECTIONS + 5 } }),
    run: async (subject, say) => {
      const { console } = subject;
      const free = MAX_CONNECTIONS - 3;
      const clients = await connectAll(subject, free + 2);
      for (const client of clients) client.begin().catch(() => undefined);
      await until(subject, 'PostgreSQL is full', async () => (await console.pools())[0]?.serversActive === free);
      await subject.clock.sleep(1_500);
      say('waiting', (await console.pools())[0]?.clientsWaiting);
      say('lost', clients.filter((client) => client.lost()).length);
      await clients[0]?.commit();
      await until(subject, 'one less waits', async () => (await console.pools())[0]?.clientsWaiting === 1);
      say('active', (await console.pools())[0]?.serversActive);
    },
    answers: { waiting: 2, lost: 0, active: MAX_CONNECTIONS - 3 },
  },
  {
    name: 'counts transactions and assignments of a database',
    run: async ({ console, connect }, say) => {
      const client = await connect('app');
      for (let n = 0; n < 3; n += 1) await client.work(2);
      const [row] = (await console.read()).stats;
      say('counts', [row?.database, row?.transactions, row?.assignments]);
      say('clients', (await console.read()).clients);
    },
    answers: { counts: ['app', 3, 3], clients: 1 },
  },
  {
    name: 'gives a server that came free to the client that has waited longest',
    boot: (place) => fileOf(place, { databases: { app: 1 } }),
    run: async (subject, say) => {
      const { console } = subject;
      const [first, second, third] = await connectAll(subject, 3);
      await first?.begin();
      const served: string[] = [];
      const begun: Promise<unknown>[] = [];
      for (const [name, client] of [
        ['second', second],
        ['third', third],
      ] as const) {
        begun.push(client?.begin().then(() => served.push(name)) ?? Promise.resolve());
        const waiting = begun.length;
        await until(subject, `${name} waits`, async () => (await console.pools())[0]?.clientsWaiting === waiting);
      }
      await first?.commit();
      await until(subject, 'one is served', () => served.length === 1);
      say('first', [...served]);
      await second?.commit();
      await Promise.all(begun);
      say('then', served);
      say('one server for all', await pools(console));
    },
    answers: {
      first: ['second'],
      then: ['second', 'third'],
      'one server for all': ['app/app servers 1: 1 active, 0 idle; clients 3, 0 waiting'],
    },
  },
  {
    name: 'opens a pool for a user that has to wait for room, though it has none yet, and counts it',
    boot: (place) => fileOf(place, { databases: { app: 2 } }),
    run: async (subject, say) => {
      const { console } = subject;
      const mine = await openServers(subject, 2);
      const late = subject.connect('app', 'other');
      await until(subject, 'it waits', async () =>
        (await console.pools()).some(({ clientsWaiting }) => clientsWaiting === 1),
      );
      say('full', await pools(console));
      await mine[0]?.commit();
      await (await late).work(1);
      say('afterwards', await pools(console));
    },
    answers: {
      full: [
        'app/app servers 2: 2 active, 0 idle; clients 2, 0 waiting',
        'app/other servers 0: 0 active, 0 idle; clients 0, 1 waiting',
      ],
      afterwards: [
        'app/app servers 1: 1 active, 0 idle; clients 2, 0 waiting',
        'app/other servers 1: 0 active, 1 idle; clients 1, 0 waiting',
      ],
    },
  },
  {
    name: 'holds to the cap of a database while its way to the server changes under load',
    boot: (place) => fileOf(place, { databases: { app: 6 } }),
    run: async (subject, say) => {
      const { console, place, write, clock } = subject;
      const busy = await subject.load('app', 'app', 12);
      await until(subject, 'six servers', async () => (await servers(console)) === 6);
      const former = new Set((await console.servers()).map(({ id }) => id));
      await write('live.ini', fileOf(place, { databases: { app: databaseLine(place, 6, '', 'second') } }));
      await console.loadFile(`${place.dir}/live.ini`, { quietWithinMs: 1_000 });
      let most = 0;
      await until(subject, 'all are new', async () => {
        const now = await console.servers();
        most = Math.max(most, now.length);
        return now.length === 6 && now.every(({ id, state }) => !former.has(id) && state !== 'new');
      });
      say('most at once', most);
      await clock.sleep(300);
      say('servers', [await servers(console), await subject.backends()]);
      await busy.stop();
      say('failures', busy.failures());
    },
    answers: { 'most at once': 6, servers: [6, 6], failures: 0 },
  },
  {
    name: 'keeps the server_lifetime on a database line when that of the process is set, and shows both in whole seconds',
    boot: (place) => fileOf(place, { databases: { app: 5, second: databaseLine(place, 5, 'server_lifetime=60') } }),
    run: async (subject, say) => {
      const { console } = subject;
      const lifetimes = async (): Promise<readonly unknown[]> =>
        (await console.databases()).map(({ name, serverLifetimeSeconds }) => [name, serverLifetimeSeconds]);
      say('booted', await lifetimes());
      for (const client of await openServers(subject, 3, 'app')) await client.commit();
      for (const client of await openServers(subject, 3, 'second')) await client.commit();
      await console.set('server_lifetime', '0.300');
      say('set', await lifetimes());
      await until(subject, 'the one is empty', async () => (await servers(console, 'app')) === 0);
      say('the other', await servers(console, 'second'));
    },
    answers: {
      booted: [
        ['app', 3600],
        ['second', 60],
      ],
      set: [
        ['app', 0],
        ['second', 60],
      ],
      'the other': 3,
    },
  },
  {
    name: 'leaves both users of a database a server when a drain takes it down to two',
    boot: (place) => fileOf(place, { databases: { app: 8 } }),
    run: async (subject, say) => {
      const { console, clock } = subject;
      const late = await subject.connect('app', 'other');
      await late.work(1);
      const mine = await subject.load('app', 'app', 16);
      await until(subject, 'one has them all', async () => (await console.pools())[0]?.servers === 8);
      const begun = late.begin();
      begun.catch(() => undefined);
      await until(subject, 'the other waits', async () => (await console.pools())[1]?.clientsWaiting === 1);
      await load(subject, { app: 2 });
      const drain = { targets: { app: 2 }, fromSizes: { app: 8 }, deadlineMs: 15_000, clock };
      say('settled', (await drainToSize(console, drain)).settled);
      await begun;
      say('servers', await servers(console));
      say('restored', await setting(console, 'server_lifetime', 'max_user_connections'));
      await mine.stop();
      say('failures', mine.failures());
    },
    answers: { settled: true, servers: 2, restored: ['3600', '0'], failures: 0 },
  },
];
