// Conformance scripts: what a file, SET and RELOAD bring into force, and what a refused RELOAD leaves.
import { databaseLine, DATABASES, fileOf, HOST, until, userlist, type Script } from './subject.ts';
import { changedSettings, databases, outcome, peers, pools, setting, settingNames } from './views.ts';

const OURS = {
  admin_users: 'admin',
  auth_type: 'scram-sha-256',
  max_client_conn: '200',
  pool_mode: 'transaction',
  server_login_retry: '1',
  server_tls_sslmode: 'disable',
  stats_users: 'stats',
  unix_socket_mode: '511',
  verbose: '0',
};

const live = (dir: string): string => `${dir}/live.ini`;

export const CONFIGURATION_SCRIPTS: readonly Script[] = [
  {
    name: 'boots with the sizes and settings of its file, and everything else at its default',
    boot: (place) => fileOf(place, { databases: { app: 5, second: 3, bare: `host=${HOST} port=${place.serverPort}` } }),
    run: async ({ console }, say) => {
      say('databases', await databases(console));
      say('settings', await changedSettings(console));
      say('names', await settingNames(console));
      say('pools', await pools(console));
      say('version', (await console.read()).version);
    },
    answers: {
      databases: ['app→app 5/5 -', 'bare→bare 20/0 -', 'second→app 3/3 -'],
      settings: OURS,
      names: 92,
      pools: [],
      version: '1.26.1',
    },
  },
  {
    name: 'spells numbers and times in its own way when they are read back',
    run: async ({ console, place, write }, say) => {
      const settings = [
        'server_idle_timeout = 1.50',
        'server_lifetime = 0.250',
        'reserve_pool_size = 0x10',
        'min_pool_size = 010',
      ];
      await write(
        'live.ini',
        fileOf(place, { settings: [...settings, 'application_name_add_host = 1', 'syslog_ident = abc def'] }),
      );
      await console.loadFile(live(place.dir));
      say('settings', await changedSettings(console));
    },
    answers: {
      settings: {
        ...OURS,
        application_name_add_host: '1',
        min_pool_size: '8',
        reserve_pool_size: '16',
        server_idle_timeout: '1.5',
        server_lifetime: '0.25',
        syslog_ident: 'abc def',
      },
    },
  },
  {
    name: 'takes up, changes and drops its peers with a RELOAD, also one that it refuses',
    run: async ({ console, place, write }, say) => {
      const load = async (lines: readonly string[], { above = '', below = '' } = {}): Promise<string> => {
        const [head = '', tail = ''] = fileOf(place).split('[pgbouncer]');
        await write('live.ini', `${head}${above}\n[peers]\n${lines.join('\n')}\n[pgbouncer]${tail}${below}\n`);
        return outcome(console.loadFile(live(place.dir)));
      };
      const peer = (id: number, last: number, more = ''): string => `${id} = host=10.0.0.${last} port=6432${more}`;
      say('none', await peers(console));
      say('first', [await load([peer(2, 2), peer(1, 1, ' pool_size=100')]), ...(await peers(console))]);
      say('changed', [await load([peer(2, 9), peer(70, 3)]), ...(await peers(console))]);
      say('bad line below', [await load([peer(4, 4)], { below: 'verbose = much' }), ...(await peers(console))]);
      say('bad line above', [await load([peer(5, 5)], { above: 'x = nonsense' }), ...(await peers(console))]);
      say('again', [await load([peer(6, 6)]), ...(await peers(console))]);
      say('bad number', [await load([peer(7, 7), peer(65_537, 8)]), ...(await peers(console))]);
    },
    answers: {
      none: [],
      first: ['done', '1 10.0.0.1:6432 100', '2 10.0.0.2:6432 20'],
      changed: ['done', '2 10.0.0.9:6432 20', '70 10.0.0.3:6432 20'],
      'bad line below': ['refused', '4 10.0.0.4:6432 20'],
      'bad line above': ['refused'],
      again: ['done', '6 10.0.0.6:6432 20'],
      'bad number': ['refused', '7 10.0.0.7:6432 20'],
    },
  },
  {
    name: 'undoes every SET with the next RELOAD',
    run: async ({ console }, say) => {
      await console.set('server_lifetime', '0.200');
      await console.set('default_pool_size', '7');
      await console.set('max_client_conn', '11');
      say('set', await setting(console, 'server_lifetime', 'default_pool_size', 'max_client_conn'));
      await console.reload();
      say('reloaded', await setting(console, 'server_lifetime', 'default_pool_size', 'max_client_conn'));
    },
    answers: { set: ['0.2', '7', '11'], reloaded: ['3600', '20', '200'] },
  },
  {
    name: 'accepts a SET of a restart-only setting and ignores it, and refuses what it does not know',
    run: async ({ console }, say) => {
      say('restart only', await outcome(console.set('listen_backlog', '4096')));
      say('in force', await setting(console, 'listen_backlog'));
      say('unknown', await outcome(console.set('nosuchsetting', '1')));
      say('negative', await outcome(console.set('server_lifetime', '-1')));
      say('no number', await outcome(console.set('max_client_conn', 'many')));
      say('not in the list', await outcome(console.set('pool_mode', 'sometimes')));
      say('after', await changedSettings(console));
    },
    answers: {
      'restart only': 'done',
      'in force': ['128'],
      unknown: 'refused',
      negative: 'refused',
      'no number': 'refused',
      'not in the list': 'refused',
      after: OURS,
    },
  },
  {
    name: 'takes another file by SET conffile only with the next RELOAD, and keeps to it',
    run: async ({ console, place, write }, say) => {
      await write('live.ini', fileOf(place, { databases: { app: 2 } }));
      await console.set('conffile', live(place.dir));
      say('set', await databases(console));
      await console.reload();
      say('reloaded', await databases(console));
      await write('live.ini', fileOf(place, { databases: { app: 3 } }));
      await console.reload();
      say('again', await databases(console));
    },
    answers: { set: ['app→app 5/5 -'], reloaded: ['app→app 2/2 -'], again: ['app→app 3/3 -'] },
  },
  {
    name: 'refuses a RELOAD from a file that is not there, and changes nothing but the name',
    run: async ({ console, place }, say) => {
      await console.set('server_lifetime', '5');
      say('load', await outcome(console.loadFile(`${place.dir}/missing.ini`)));
      say('lifetime', await setting(console, 'server_lifetime'));
      say('databases', await databases(console));
      say('again', await outcome(console.reload()));
      say('back', await outcome(console.loadFile(`${place.dir}/pgbouncer.ini`)));
    },
    answers: {
      load: 'refused',
      lifetime: ['5'],
      databases: ['app→app 5/5 -'],
      again: 'refused',
      back: 'done',
    },
  },
  {
    name: 'refuses files without [pgbouncer], whose databases it has taken by then, and empty ones',
    run: async ({ console, place, write }, say) => {
      await write('live.ini', '');
      say('empty', await outcome(console.loadFile(live(place.dir))));
      await write('live.ini', `[databases]\napp = ${databaseLine(place, 2)}\n`);
      say('cut', await outcome(console.loadFile(live(place.dir))));
      say('databases', await databases(console));
      say('settings', await changedSettings(console));
    },
    answers: { empty: 'refused', cut: 'refused', databases: ['app→app 2/2 -'], settings: OURS },
  },
  {
    name: 'applies a refused file down to its bad line and falls to the defaults behind it',
    run: async ({ console, place, write }, say) => {
      const settings = ['max_user_connections = 9', 'nosuchsetting = 1', 'query_wait_timeout = 7'];
      await write('live.ini', fileOf(place, { databases: { app: 2, second: 3 }, settings }));
      say('load', await outcome(console.loadFile(live(place.dir))));
      say('databases', await databases(console));
      say('settings', await changedSettings(console));
      await console.loadFile(`${place.dir}/pgbouncer.ini`);
      say('restored', [await databases(console), await changedSettings(console)]);
    },
    answers: {
      load: 'refused',
      databases: ['app→app 2/2 -', 'second→app 3/3 -'],
      settings: { ...OURS, max_user_connections: '9' },
      restored: [['app→app 5/5 -'], OURS],
    },
  },
  {
    name: 'loses the limits and the logins below a bad line, while the caps of its databases stay',
    run: async ({ console, place, write }, say) => {
      await write('live.ini', fileOf(place, { databases: { app: 2 }, above: ['server_lifetime = abc'] }));
      say('load', await outcome(console.loadFile(live(place.dir))));
      say('databases', await databases(console));
      say('settings', await changedSettings(console));
    },
    answers: { load: 'refused', databases: ['app→app 2/2 -'], settings: { unix_socket_mode: '511', verbose: '0' } },
  },
  {
    name: 'keeps [pgbouncer] when a line of [databases] is refused, and the databases above it',
    run: async ({ console, place, write }, say) => {
      const lines = { app: 2, bad: `host=${HOST} nosuchkey=1`, second: 4 };
      await write('live.ini', fileOf(place, { databases: lines, settings: ['query_wait_timeout = 7'] }));
      say('load', await outcome(console.loadFile(live(place.dir))));
      say('databases', await databases(console));
      say('settings', await changedSettings(console));
    },
    answers: { load: 'refused', databases: ['app→app 2/2 -'], settings: OURS },
  },
  {
    name: 'loads only by the size on a database line, and default_pool_size elsewhere',
    boot: (place) =>
      fileOf(place, {
        databases: { app: 4, second: `host=${HOST} port=${place.serverPort} dbname=app` },
        settings: ['default_pool_size = 6'],
      }),
    run: async ({ console }, say) => {
      say('file', await databases(console));
      await console.set('default_pool_size', '3');
      await console.set('max_db_connections', '8');
      say('set', await databases(console));
    },
    answers: { file: ['app→app 4/4 -', 'second→app 6/0 -'], set: ['app→app 4/4 -', 'second→app 3/8 -'] },
  },
  {
    name: 'reads a size that is no number as no limit',
    boot: (place) =>
      fileOf(place, {
        databases: { app: `host=${HOST} port=${place.serverPort} pool_size=abc max_db_connections=7x` },
      }),
    run: async ({ console }, say) => {
      say('databases', await databases(console));
    },
    answers: { databases: ['app→app 0/7 -'] },
  },
  {
    name: 'cuts the clients of a database that its file names no more, and serves it when it is back',
    run: async (subject, say) => {
      const { console, place, write, connect, backends } = subject;
      const client = await connect('app');
      await client.work(1);
      await write('live.ini', fileOf(place, { databases: { second: 2 } }));
      await console.loadFile(live(place.dir));
      await until(subject, 'the client is cut', () => client.lost());
      await until(subject, 'its server is closed', async () => (await backends()) === 0);
      say('databases', await databases(console));
      say('pools', await pools(console));
      say('new client', await outcome(connect('app')));
      await console.loadFile(`${place.dir}/pgbouncer.ini`);
      await (await connect('app')).work(1);
      say('back', await databases(console));
    },
    answers: {
      databases: ['second→app 2/2 -'],
      pools: [],
      'new client': 'turned away',
      back: ['app→app 5/5 -'],
    },
  },
  {
    name: 'closes servers whose host or database has changed when they are released, not before',
    run: async (subject, say) => {
      const { console, place, write, connect } = subject;
      const [busy, idle] = [await connect('app'), await connect('app')];
      await busy.begin();
      await idle.work(1);
      await until(subject, 'two servers', async () => (await console.servers()).length === 2);
      const former = new Set((await console.servers()).map(({ id }) => id));
      await write('live.ini', fileOf(place, { databases: { app: databaseLine(place, 5, '', DATABASES[1]) } }));
      await console.loadFile(live(place.dir), { quietWithinMs: 500 });
      await until(subject, 'the idle one is closed', async () => (await console.servers()).length === 1);
      say(
        'while it works',
        (await console.servers()).map(({ state, closeNeeded, id }) => [state, closeNeeded, former.has(id)]),
      );
      await busy.commit();
      await until(subject, 'the other is closed', async () =>
        (await console.servers()).every(({ id }) => !former.has(id)),
      );
      await idle.work(1);
      say(
        'afterwards',
        (await console.servers()).map(({ closeNeeded, id }) => [closeNeeded, former.has(id)]),
      );
      say('lost', [busy.lost(), idle.lost()]);
      say('databases', await databases(console));
    },
    answers: {
      'while it works': [['active', true, true]],
      afterwards: [[false, false]],
      lost: [false, false],
      databases: ['app→second 5/5 -'],
    },
  },
  {
    name: 'answers OK to a missing userlist and keeps the users it has',
    run: async ({ console, place, write, connect }, say) => {
      await write('live.ini', fileOf(place, { userlist: 'missing.txt' }));
      say('load', await outcome(console.loadFile(live(place.dir))));
      await (await connect('app')).work(1);
      say('wrong password', await outcome(connect('app', 'app', 'wrong')));
    },
    answers: { load: 'done', 'wrong password': 'turned away' },
  },
  {
    name: 'admits by the passwords of the file that it was told to load, and not by those before',
    run: async (subject, say) => {
      const { console, place, write, connect, consoleOf } = subject;
      await write('userlist-2.txt', userlist({ stats: 'second-secret', app: 'app-secret-2', other: '' }));
      await (await connect('app', 'other')).work(1);
      say('before', await outcome(consoleOf('stats', 'second-secret').pools()));
      await write('live.ini', fileOf(place, { userlist: 'userlist-2.txt' }));
      await console.loadFile(live(place.dir));
      say(
        'new password',
        await outcome(
          consoleOf('stats', 'second-secret')
            .databases()
            .then(() => 'in'),
        ),
      );
      say('old password', await outcome(consoleOf('stats', 'stats-secret').pools()));
      say('old client', await outcome(connect('app', 'app', 'app-secret')));
      say('removed user', await outcome(connect('app', 'other')));
    },
    answers: {
      before: 'authentication',
      'new password': '"in"',
      'old password': 'authentication',
      'old client': 'turned away',
      'removed user': 'turned away',
    },
  },
  {
    name: 'goes on admitting a user whose line is gone when it has logged in before',
    run: async ({ console, place, write, connect }, say) => {
      await (await connect('app', 'other')).work(1);
      const lines = userlist()
        .split('\n')
        .filter((line) => !line.startsWith('"other"') && !line.startsWith('"stranger"'));
      await write('userlist-2.txt', lines.join('\n'));
      await write('live.ini', fileOf(place, { userlist: 'userlist-2.txt' }));
      await console.loadFile(live(place.dir));
      say('known', await outcome(connect('app', 'other').then(() => 'in')));
      say('unknown', await outcome(connect('app', 'stranger').then(() => 'in')));
    },
    answers: { known: '"in"', unknown: 'turned away' },
  },
  {
    name: 'reads a rewritten userlist only with the next RELOAD',
    run: async ({ console, write, consoleOf, clock }, say) => {
      await write('userlist.txt', userlist({ stats: 'rewritten-secret' }));
      await clock.sleep(1_500);
      say('before', await outcome(consoleOf('stats', 'rewritten-secret').pools()));
      await console.reload();
      say('after', await outcome(consoleOf('stats', 'rewritten-secret').pools()));
      say('old password', await outcome(consoleOf('stats', 'stats-secret').pools()));
    },
    answers: { before: 'authentication', after: '[]', 'old password': 'authentication' },
  },
  {
    name: 'keeps servers, clients and the open transaction through a RELOAD that changes only settings and sizes',
    run: async ({ console, place, write, connect }, say) => {
      const [open, idle] = [await connect('app'), await connect('app')];
      await open.begin();
      await idle.work(1);
      const former = (await console.servers()).map(({ id }) => id).sort();
      await write('live.ini', fileOf(place, { databases: { app: 9 }, settings: ['server_idle_timeout = 77'] }));
      await console.loadFile(live(place.dir));
      say(
        'same servers',
        (await console.servers())
          .map(({ id }) => id)
          .sort()
          .join() === former.join(),
      );
      say(
        'marked',
        (await console.servers()).map(({ closeNeeded }) => closeNeeded),
      );
      await open.commit();
      await idle.work(1);
      say('pools', await pools(console));
    },
    answers: {
      'same servers': true,
      marked: [false, false],
      pools: ['app/app servers 2: 0 active, 2 idle; clients 2, 0 waiting'],
    },
  },
  {
    name: 'logs every server in anew when the encryption to the server changes',
    run: async (subject, say) => {
      const { console, place, write, connect } = subject;
      const client = await connect('app');
      await client.work(1);
      const former = new Set((await console.servers()).map(({ id }) => id));
      await write('live.ini', fileOf(place, { settings: ['server_tls_sslmode = prefer'] }));
      await console.loadFile(live(place.dir), { quietWithinMs: 500 });
      await until(subject, 'the former is closed', async () =>
        (await console.servers()).every(({ id }) => !former.has(id)),
      );
      await client.work(1);
      say(
        'servers',
        (await console.servers()).map(({ id, closeNeeded }) => [former.has(id), closeNeeded]),
      );
      say('lost', client.lost());
    },
    answers: { servers: [[false, false]], lost: false },
  },
];
