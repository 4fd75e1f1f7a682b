// The real PgBouncer with a real PostgreSQL behind it as the subject of the scripts that the simulated one is held against.
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { SecretText } from '../../src/model/secret-text.ts';
import { AdminConsole } from '../../src/pgbouncer/console.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import {
  ADMIN,
  DATABASES,
  fileOf,
  HOST,
  MAX_CONNECTIONS,
  userlist,
  USERS,
  type Load,
  type Script,
  type Subject,
  type SubjectClient,
} from '../sim/pooler/conformance/subject.ts';
import { startPgbouncer, startPostgres, type PostgresServer } from '../support/servers.ts';
import { until } from '../support/until.ts';

export async function startServer(): Promise<PostgresServer> {
  const server = await startPostgres({ maxConnections: MAX_CONNECTIONS });
  for (const [user, password] of Object.entries(USERS))
    await ask(server, `create role ${user} login password '${password}'`);
  for (const database of DATABASES) await ask(server, `create database ${database} owner app`);
  return server;
}

async function ask(server: PostgresServer, statement: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.superuserUrl });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

/** Runs a script on a PgBouncer of its own and gives what was answered. */
export async function runOnReal(script: Script, server: PostgresServer): Promise<Record<string, unknown>> {
  const serverPort = server.port;
  await using pooler = await startPgbouncer({
    iniText: ({ port, dir }) => (script.boot ?? fileOf)({ port, dir, serverPort }),
    files: { 'userlist.txt': userlist() },
  });
  const { port, dir } = pooler;
  const consoles: AdminConsole[] = [];
  const clients: pg.Client[] = [];
  let hasExited = false;
  void pooler.exited.then(() => {
    hasExited = true;
  });
  const consoleOf = (user: string, password: string): AdminConsole => {
    const console = new AdminConsole({ address: { host: HOST, port }, user, password: new SecretText(password) });
    consoles.push(console);
    return console;
  };
  const open = async (database: string, user: string, password: string) => {
    const client = new pg.Client({ host: HOST, port, database, user, password });
    const state = { lost: false };
    client.on('error', () => {
      state.lost = true;
    });
    client.on('end', () => {
      state.lost = true;
    });
    clients.push(client);
    await client.connect();
    return { client, state };
  };
  const subject: Subject = {
    place: { dir, port, serverPort },
    clock: systemClock,
    console: consoleOf(ADMIN.user, ADMIN.password),
    consoleOf,
    write: (name, text) => pooler.writeFile(name, text),
    connect: async (database, user = 'app', password = user === 'stranger' ? 'stranger-secret' : USERS[user]) =>
      subjectClient(await open(database, user, password)),
    load: async (database, user, count) => {
      const all = await Promise.all(Array.from({ length: count }, () => open(database, user, USERS[user])));
      return loadOf(all.map(({ client }) => client));
    },
    signal: (name) => process.kill(pooler.pid, name),
    exited: () => hasExited,
    backends: async (user) => {
      const [row] = await ask(
        server,
        `select count(*)::int as n from pg_stat_activity where backend_type = 'client backend' and usename ${user === undefined ? "<> 'postgres'" : `= '${user}'`}`,
      );
      return Number(row?.['n']);
    },
  };
  const answers: Record<string, unknown> = {};
  try {
    await script.run(subject, (moment, answer) => {
      answers[moment] = answer;
    });
  } finally {
    await Promise.all([...consoles.map((console) => console.close()), ...clients.map(end)]);
    await pooler.stop();
    await noneLeft(server);
  }
  return answers;
}

function subjectClient({ client, state }: { client: pg.Client; state: { lost: boolean } }): SubjectClient {
  return {
    begin: async () => {
      await client.query('begin');
      await client.query('select 1');
    },
    commit: async () => {
      await client.query('commit');
    },
    work: async (ms) => {
      await client.query(`select pg_sleep(${ms / 1_000})`);
    },
    lost: () => state.lost,
    leave: async () => {
      await end(client);
    },
  };
}

/** Transactions of 20 to 100 ms: short ones would leave moments without a waiter where the machine is slow. */
function loadOf(clients: readonly pg.Client[]): Load {
  let stopped = false;
  let failures = 0;
  const loops = clients.map(async (client) => {
    while (!stopped) {
      try {
        await client.query(`select pg_sleep(${0.02 * Math.exp(Math.random() * Math.log(5))})`);
      } catch {
        failures += 1;
        return;
      }
    }
  });
  return {
    failures: () => failures,
    stop: async () => {
      stopped = true;
      await Promise.all(loops);
      await Promise.all(clients.map(end));
    },
  };
}

async function end(client: pg.Client): Promise<void> {
  await Promise.race([client.end().catch(() => undefined), delay(300)]);
}

/** The next script counts from nothing. */
async function noneLeft(server: PostgresServer): Promise<void> {
  await ask(
    server,
    "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and usename <> 'postgres'",
  );
  await until('no backend of the script is left', async () => {
    const rows = await ask(
      server,
      "select 1 from pg_stat_activity where backend_type = 'client backend' and usename <> 'postgres'",
    );
    return rows.length === 0;
  });
}
