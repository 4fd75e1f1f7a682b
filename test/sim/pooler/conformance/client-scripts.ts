// Conformance scripts: pauses, killed clients, logins, and the ways in which a process ends.
import { endDrain } from '../../../../src/pgbouncer/end-drain.ts';
import { databaseLine, fileOf, until, type Script } from './subject.ts';
import { databases, outcome, pools, servers, setting } from './views.ts';

const two = { databases: { app: 5, second: 5 } };

export const CLIENT_SCRIPTS: readonly Script[] = [
  {
    name: 'answers PAUSE at once when nothing runs, and closes the idle servers',
    run: async (subject, say) => {
      const { console, connect } = subject;
      await (await connect('app')).work(1);
      say('pause', await outcome(console.pause('app')));
      await until(subject, 'no server', async () => (await servers(console)) === 0);
      say('paused', await databases(console));
      say('resume', await outcome(console.resume('app')));
      say('resumed', await databases(console));
    },
    answers: { pause: 'done', paused: ['app→app 5/5 - paused'], resume: 'done', resumed: ['app→app 5/5 -'] },
  },
  {
    name: 'answers a second PAUSE of the same database as the first',
    run: async ({ console }, say) => {
      say('first', await outcome(console.pause('app')));
      say('second', await outcome(console.pause('app')));
      say('resume', await outcome(console.resume('app')));
      say('resumed', await databases(console));
    },
    answers: { first: 'done', second: 'done', resume: 'done', resumed: ['app→app 5/5 -'] },
  },
  {
    name: 'closes on RECONNECT what is idle at once, and what is busy at the end of its transaction',
    run: async (subject, say) => {
      const { console, connect } = subject;
      const [open, other] = [await connect('app'), await connect('app')];
      await open.begin();
      await other.work(1);
      await until(subject, 'two servers', async () => (await servers(console)) === 2);
      say('reconnect', await outcome(console.reconnect('app')));
      await until(subject, 'the idle one to close', async () => (await servers(console)) === 1);
      say('busy', await pools(console));
      await open.commit();
      await until(subject, 'no server', async () => (await servers(console)) === 0);
      await other.work(1);
      say('again', await pools(console));
      say('nosuch', await outcome(console.reconnect('nosuch')));
      say('lost', [open.lost(), other.lost()]);
    },
    answers: {
      reconnect: 'done',
      busy: ['app/app servers 1: 1 active, 0 idle; clients 2, 0 waiting'],
      again: ['app/app servers 1: 0 active, 1 idle; clients 2, 0 waiting'],
      nosuch: 'refused',
      lost: [false, false],
    },
  },
  {
    name: 'lets PAUSE wait for an open transaction, and later ones for RESUME',
    run: async (subject, say) => {
      const { console, connect, consoleOf } = subject;
      const [open, next] = [await connect('app'), await connect('app')];
      await open.begin();
      const pausing = consoleOf('admin', 'admin-secret');
      let isPaused = false;
      const paused = pausing.pause('app').then(() => {
        isPaused = true;
      });
      await until(subject, 'PAUSE in force', async () => (await console.databases())[0]?.paused === true);
      const begun = next.begin();
      await until(subject, 'one waits', async () => (await console.pools())[0]?.clientsWaiting === 1);
      await subject.clock.sleep(400);
      say('while it runs', [isPaused, await pools(console)]);
      await open.commit();
      await paused;
      await until(subject, 'no server', async () => (await servers(console)) === 0);
      say('paused', await pools(console));
      await console.resume('app');
      await begun;
      say('resumed', await pools(console));
      say('lost', [open.lost(), next.lost()]);
    },
    answers: {
      'while it runs': [false, ['app/app servers 1: 1 active, 0 idle; clients 1, 1 waiting']],
      paused: ['app/app servers 0: 0 active, 0 idle; clients 1, 1 waiting'],
      resumed: ['app/app servers 1: 1 active, 0 idle; clients 2, 0 waiting'],
      lost: [false, false],
    },
  },
  {
    name: 'leaves a database paused when the PAUSE was given up',
    run: async ({ console, connect }, say) => {
      const open = await connect('app');
      await open.begin();
      say('pause', await outcome(console.pause('app', { timeoutMs: 100 })));
      say('given up', await databases(console));
      await console.reload();
      say('after a RELOAD', await databases(console));
      await console.resume('app');
      await open.commit();
      await open.work(1);
      say('resumed', await databases(console));
    },
    answers: {
      pause: 'timeout',
      'given up': ['app→app 5/5 - paused'],
      'after a RELOAD': ['app→app 5/5 - paused'],
      resumed: ['app→app 5/5 -'],
    },
  },
  {
    name: 'lets the PAUSE of one database wait for the transactions of another that is paused too',
    boot: (place) => fileOf(place, two),
    run: async (subject, say) => {
      const { console, connect, consoleOf } = subject;
      const [first, second] = [await connect('app'), await connect('second')];
      await first.begin();
      await second.begin();
      const answered: string[] = [];
      const pauses = [
        consoleOf('admin', 'admin-secret')
          .fork()
          .pause('app')
          .then(() => answered.push('app')),
        consoleOf('admin', 'admin-secret')
          .fork()
          .pause('second')
          .then(() => answered.push('second')),
      ];
      await until(subject, 'both paused', async () => (await console.databases()).every(({ paused }) => paused));
      await first.commit();
      await subject.clock.sleep(600);
      say('one runs', [...answered]);
      await second.commit();
      await Promise.all(pauses);
      say('none runs', answered.length);
    },
    answers: { 'one runs': [], 'none runs': 2 },
  },
  {
    name: 'refuses PAUSE and RESUME of a database that it does not know, and a RESUME of one that is not paused',
    run: async ({ console }, say) => {
      say('pause', await outcome(console.pause('nosuch')));
      say('resume', await outcome(console.resume('nosuch')));
      say('not paused', await outcome(console.resume('app')));
      say('paused twice', [await outcome(console.pause('app')), await outcome(console.pause('app'))]);
    },
    answers: { pause: 'refused', resume: 'refused', 'not paused': 'refused', 'paused twice': ['done', 'done'] },
  },
  {
    name: 'lets a client log in to a paused database that has had servers',
    run: async ({ console, connect }, say) => {
      await (await connect('app')).work(1);
      await console.pause('app');
      const client = await connect('app');
      say('in', await pools(console));
      const begun = client.begin();
      await console.resume('app');
      await begun;
      say('served', await pools(console));
    },
    answers: {
      in: ['app/app servers 0: 0 active, 0 idle; clients 2, 0 waiting'],
      served: ['app/app servers 1: 1 active, 0 idle; clients 2, 0 waiting'],
    },
  },
  {
    name: 'kills an idle client once, and says that it is gone the second time',
    run: async (subject, say) => {
      const { console, connect } = subject;
      const client = await connect('app');
      await client.work(1);
      const [row] = await console.clients();
      say('state', [row?.state, row?.user, row?.database]);
      say('first', await console.killClient(row?.id ?? ''));
      await until(subject, 'it notices', () => client.lost());
      say('second', await console.killClient(row?.id ?? ''));
      say('its server stays', await pools(console));
    },
    answers: {
      state: ['idle', 'app', 'app'],
      first: true,
      second: false,
      'its server stays': ['app/app servers 1: 0 active, 1 idle; clients 0, 0 waiting'],
    },
  },
  {
    name: 'closes the server of a client that is killed in a transaction, while PostgreSQL works on',
    run: async (subject, say) => {
      const { console, connect, backends } = subject;
      const client = await connect('app');
      await client.work(1);
      const working = client.work(1_500).catch(() => 'cut');
      await until(
        subject,
        'it works',
        async () => (await servers(console)) === 1 && (await console.clients())[0]?.state === 'active',
      );
      const [row] = await console.clients();
      say('kill', await console.killClient(row?.id ?? ''));
      say('client', await working);
      await subject.clock.sleep(200);
      say('pgbouncer', await servers(console));
      say('postgres', await backends());
      await until(subject, 'the query is over', async () => (await backends()) === 0);
    },
    answers: { kill: true, client: 'cut', pgbouncer: 0, postgres: 1 },
  },
  {
    name: 'closes the server of a client that leaves in the middle of a transaction, and keeps that of one that leaves after it',
    run: async (subject, say) => {
      const { console, connect } = subject;
      const [first, second] = [await connect('app'), await connect('app')];
      await first.begin();
      await second.begin();
      await second.commit();
      await second.leave();
      await until(subject, 'one client', async () => (await console.read()).clients === 1);
      say('after', await pools(console));
      await first.leave();
      await until(subject, 'no client', async () => (await console.read()).clients === 0);
      say('in the middle', await pools(console));
    },
    answers: {
      after: ['app/app servers 2: 1 active, 1 idle; clients 1, 0 waiting'],
      'in the middle': ['app/app servers 1: 0 active, 1 idle; clients 0, 0 waiting'],
    },
  },
  {
    name: 'turns away wrong passwords, unknown users and databases, and more clients than max_client_conn',
    run: async ({ console, connect, consoleOf }, say) => {
      say('password', await outcome(connect('app', 'app', 'wrong')));
      say('database', await outcome(connect('nosuch')));
      say('console', await outcome(consoleOf('admin', 'wrong').pools()));
      say('no admin', await outcome(consoleOf('app', 'app-secret').pools()));
      say('stats user shows', await pools(consoleOf('stats', 'stats-secret')));
      say('stats user sets', await outcome(consoleOf('stats', 'stats-secret').set('server_lifetime', '9')));
      await connect('app');
      await console.set('max_client_conn', '1');
      say('one too many', await outcome(connect('app')));
      say(
        'console all the same',
        await outcome(
          consoleOf('admin', 'admin-secret')
            .databases()
            .then(() => 'in'),
        ),
      );
    },
    answers: {
      password: 'turned away',
      database: 'turned away',
      console: 'authentication',
      'no admin': 'authentication',
      // The pool of the login that failed.
      'stats user shows': ['app/app servers 0: 0 active, 0 idle; clients 0, 0 waiting'],
      'stats user sets': 'refused',
      'one too many': 'turned away',
      'console all the same': '"in"',
    },
  },
  {
    name: 'ends the login of a client whose user PostgreSQL refuses, and shows an empty pool',
    run: async ({ console, connect, backends }, say) => {
      say('login', await outcome(connect('app', 'stranger')));
      say('pools', await pools(console));
      say('backends', await backends());
      await (await connect('app')).work(1);
      say('others', (await pools(console))[0]);
    },
    answers: {
      login: 'turned away',
      pools: ['app/stranger servers 0: 0 active, 0 idle; clients 0, 0 waiting'],
      backends: 0,
      others: 'app/app servers 1: 0 active, 1 idle; clients 1, 0 waiting',
    },
  },
  {
    name: 'tries a server that refuses its login again after server_login_retry',
    boot: (place) => fileOf(place, { databases: { app: databaseLine(place, 5, '', 'nosuchdatabase') } }),
    run: async (subject, say) => {
      const { console, place, write, connect } = subject;
      say('login', await outcome(connect('app')));
      await write('live.ini', fileOf(place));
      await console.loadFile(`${place.dir}/live.ini`);
      await (await connect('app')).work(1);
      say('pools', await pools(console));
    },
    answers: { login: 'turned away', pools: ['app/app servers 1: 0 active, 1 idle; clients 1, 0 waiting'] },
  },
  {
    name: 'ends at SIGTERM once its last console has gone',
    run: async (subject, say) => {
      const { console, signal, exited, consoleOf, clock } = subject;
      await console.pools();
      signal('SIGTERM');
      await clock.sleep(1_200);
      say('with a console', exited());
      say('that console', await outcome(console.pools()));
      say('another', await outcome(consoleOf('stats', 'stats-secret').pools()));
      await console.disconnect();
      await until(subject, 'it has ended', exited);
      say('afterwards', await outcome(console.pools()));
    },
    answers: { 'with a console': false, 'that console': '[]', another: 'unreachable', afterwards: 'unreachable' },
  },
  {
    name: 'lets its clients work on after SIGTERM, turns new ones away, and ends with the last one',
    run: async (subject, say) => {
      const { console, signal, exited, connect, backends } = subject;
      const client = await connect('app');
      await client.work(1);
      await console.disconnect();
      signal('SIGTERM');
      await subject.clock.sleep(500);
      say('new client', await outcome(connect('app')));
      await client.work(10);
      await client.begin();
      await client.commit();
      say('works', [exited(), client.lost()]);
      await client.leave();
      await until(subject, 'it has ended', exited);
      await until(subject, 'no backend', async () => (await backends()) === 0);
    },
    answers: { 'new client': 'turned away', works: [false, false] },
  },
  {
    name: 'ends at once at the second SIGTERM',
    run: async (subject, say) => {
      const { console, signal, exited, connect } = subject;
      const client = await connect('app');
      await client.begin();
      await console.disconnect();
      signal('SIGTERM');
      await subject.clock.sleep(500);
      say('first', exited());
      signal('SIGTERM');
      await until(subject, 'it has ended', exited);
      await until(subject, 'the client notices', () => client.lost());
    },
    answers: { first: false },
  },
  {
    name: 'leaves what PostgreSQL is working on behind when it is killed, and nothing that waits',
    run: async (subject, say) => {
      const { signal, exited, connect, backends } = subject;
      const clients = [await connect('app'), await connect('app'), await connect('app')];
      for (const client of clients) await client.begin();
      await clients[0]?.commit();
      const working = clients[2]
        ?.commit()
        .then(async () => clients[2]?.work(1_500))
        .catch(() => 'cut');
      await subject.clock.sleep(300);
      say('before', await backends());
      signal('SIGKILL');
      await until(subject, 'it has ended', exited);
      say('client', await working);
      await until(subject, 'one is left', async () => (await backends()) <= 1);
      say('at once', await backends());
      await until(subject, 'none is left', async () => (await backends()) === 0);
    },
    answers: { before: 3, client: 'cut', 'at once': 1 },
  },
  {
    name: 'ends between two transactions at the end of a drain, and then at once at SIGTERM',
    boot: (place) => fileOf(place, two),
    run: async (subject, say) => {
      const { console, clock, signal, exited, connect, backends } = subject;
      const [idle, open] = [await connect('second'), await connect('app')];
      await idle.work(1);
      await open.begin();
      const short = { databases: ['app', 'second'], deadlineMs: 300, clock };
      say('too early', await endDrain(console, short));
      say('resumed', [await databases(console), await setting(console, 'server_lifetime', 'max_user_connections')]);
      await open.commit();
      const result = await endDrain(console, { ...short, deadlineMs: 3_000 });
      say('ended', [result.ended, result.ended && result.closedClients]);
      await until(subject, 'both notice', () => idle.lost() && open.lost());
      signal('SIGTERM');
      await until(subject, 'it has ended', exited);
      await until(subject, 'no backend', async () => (await backends()) === 0);
    },
    answers: {
      'too early': { ended: false, activeServers: 1 },
      resumed: [
        ['app→app 5/5 -', 'second→app 5/5 -'],
        ['3600', '0'],
      ],
      ended: [true, 2],
    },
  },
  {
    name: 'ends clients that wait longer than query_wait_timeout',
    run: async (subject, say) => {
      const { console, connect } = subject;
      await console.set('query_wait_timeout', '1');
      const [open, late] = [await connect('app'), await connect('app')];
      await open.begin();
      await console.pause('app', { timeoutMs: 50 }).catch(() => undefined);
      const begun = late.begin().catch(() => 'cut');
      say('late', await begun);
      say('open', open.lost());
    },
    answers: { late: 'cut', open: false },
  },
];
