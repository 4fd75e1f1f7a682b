// Measures ways to shrink one saturated database of a pooler that serves three: `node bench/shrink.ts [ROUNDS]`; writes build/bench-shrink.json.
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { renderTable } from '../demo/table.ts';
import type { AdminConsole } from '../src/pgbouncer/console.ts';
import { drainToSize } from '../src/pgbouncer/lifetime-drain.ts';
import { LOGIN_HOLD } from '../src/pgbouncer/login-hold.ts';
import {
  ADMIN_PASSWORD,
  adminOf,
  asSuperuser,
  databaseLine,
  HOST,
  iniText,
  prepareDatabase,
  USERLIST,
} from '../test/parts/stage.ts';
import { startPgbouncer, startPostgres, type PgbouncerServer } from '../test/support/servers.ts';
import { until } from '../test/support/until.ts';
import { loadAverage } from './measurement.ts';
import { SaturatingLoad } from './saturating-load.ts';

const SIZES = { a: 30, b: 20, c: 10 } as const;
type Database = keyof typeof SIZES;
const NAMES = ['a', 'b', 'c'] as const;
const TO = 15;
/** More clients than servers, so that no server ever waits for one. */
const CLIENTS_PER_SERVER = 2;
/** Of the clients of each database, this many run transactions of 1 to 2 s; the others of 1 to 50 ms. */
const SLOW_CLIENTS: Readonly<Record<Database, number>> = { a: 3, b: 2, c: 1 };
const WINDOW_MS = 2_500;
/** A second change of an annotation does not reach the pod sooner. */
const SECOND_CHANGE_MS = 1_200;
const FILE = join(import.meta.dirname, '../build/bench-shrink.json');

const ROUNDS = Number(process.argv[2] ?? 5);
const SHIELD = 'server_lifetime=3600';

type Way = {
  readonly name: string;
  /** What stands on the lines beside the sizes when the shrunk file is loaded. */
  readonly more: (database: Database) => string;
  /** After that RELOAD; resolves when the database was first seen at its size. */
  readonly drain: (site: Site) => Promise<void>;
};

type Site = { readonly pooler: PgbouncerServer; readonly admin: AdminConsole; readonly startedMs: number };

const WAYS: readonly Way[] = [
  { name: 'process-wide SET', more: () => '', drain: async (site) => bySet(site, false) },
  {
    name: 'SET, others shielded',
    more: (database) => (database === 'a' ? '' : SHIELD),
    drain: async (site) => bySet(site, true),
  },
  {
    name: 'own line, 1 s',
    more: (database) => (database === 'a' ? 'server_lifetime=1' : ''),
    drain: async (site) => {
      await settled(site);
      const restMs = SECOND_CHANGE_MS - (performance.now() - site.startedMs);
      if (restMs > 0) void sleep(restMs).then(async () => load(site, TO, () => ''));
      else await load(site, TO, () => '');
    },
  },
  {
    name: 'RECONNECT, logins held',
    more: () => '',
    drain: async (site) => {
      for (const [key, value] of Object.entries(LOGIN_HOLD)) await site.admin.set(key, value);
      await until('no login under way', async () => (await site.admin.pools()).every((row) => row.serversLogin === 0));
      await reconnect(site, 'a');
      await site.admin.reload();
      await settled(site);
    },
  },
];

async function bySet({ admin }: Site, alone: boolean): Promise<void> {
  const { settled: done } = await drainToSize(admin, {
    targets: { a: TO },
    fromSizes: { a: SIZES.a },
    alone,
    deadlineMs: 15_000,
  });
  if (!done) throw new Error('while shrinking: not settled within 15 s');
}

async function settled({ admin }: Site): Promise<void> {
  await until('a at its size', async () => serversOf(await admin.pools(), 'a') <= TO, {
    timeoutMs: 15_000,
    everyMs: 20,
  });
}

/** The console has no such command on purpose; here it is measured. */
async function reconnect({ pooler }: Site, database: string): Promise<void> {
  const client = new pg.Client({
    ...{ host: HOST, port: pooler.port, user: 'admin', password: ADMIN_PASSWORD, database: 'pgbouncer' },
  });
  await client.connect();
  await client.query(`RECONNECT ${database}`);
  await client.end();
}

function serversOf(pools: Awaited<ReturnType<AdminConsole['pools']>>, database: string): number {
  return pools.filter((row) => row.database === database).reduce((sum, { servers }) => sum + servers, 0);
}

let postgresPort = 0;

function lines(aSize: number, more: (database: Database) => string): readonly string[] {
  return NAMES.map((name) =>
    databaseLine(name, postgresPort, name === 'a' ? aSize : SIZES[name], more(name)).replace(
      'dbname=app',
      `dbname=${name}`,
    ),
  );
}

async function load({ pooler, admin }: Site, aSize: number, more: (database: Database) => string): Promise<void> {
  await pooler.writeFile('live.ini', iniText(pooler, lines(aSize, more)));
  await admin.loadFile(`${pooler.dir}/live.ini`);
}

type Run = Readonly<{
  way: string;
  settledMs: number;
  failed: number;
  /** Log lines of PgBouncer from the drain's start until the window's end. */
  closedByDatabase: Record<Database, number>;
  loginsByDatabase: Record<Database, number>;
  /** Throughput in the window, in parts of that before. */
  throughput: Record<Database, number>;
  longestGapMs: Record<Database, number>;
  aFinal: number;
}>;

const per = <T>(value: (name: Database) => T): Record<Database, T> => ({ a: value('a'), b: value('b'), c: value('c') });

async function measure(way: Way, pooler: PgbouncerServer, work: SaturatingLoad): Promise<Run> {
  const admin = adminOf(pooler);
  const site = { pooler, admin, startedMs: 0 };
  await load(site, SIZES.a, () => '');
  await until(
    'all servers open',
    async () => {
      const pools = await admin.pools();
      return NAMES.every((name) => serversOf(pools, name) === SIZES[name]);
    },
    { timeoutMs: 20_000 },
  );
  // Servers must be older than any lifetime that is tried.
  await sleep(WINDOW_MS);
  const failedBefore = work.failures.length;
  const startedMs = performance.now();
  const before = per((name) => work.perSecond(name, startedMs - 2_000, startedMs));
  const logged = (await pooler.log()).length;
  await load(site, TO, way.more);
  await way.drain({ ...site, startedMs });
  const settledMs = Math.round(performance.now() - startedMs);
  await sleep(Math.max(0, WINDOW_MS - settledMs));
  const endMs = performance.now();
  const aFinal = serversOf(await admin.pools(), 'a');
  const log = (await pooler.log()).slice(logged);
  await admin.close();
  const count = (name: Database, what: string): number =>
    log.split('\n').filter((line) => line.includes(`S-0x`) && line.includes(`: ${name}/`) && line.includes(what))
      .length;
  return {
    ...{ way: way.name, settledMs, failed: work.failures.length - failedBefore, aFinal },
    closedByDatabase: per((name) => count(name, 'closing because')),
    loginsByDatabase: per((name) => count(name, 'new connection to server')),
    throughput: per((name) => work.perSecond(name, startedMs, endMs) / before[name]),
    longestGapMs: per((name) => work.longestGapMs(name, startedMs, endMs)),
  };
}

async function main(): Promise<void> {
  await using postgres = await startPostgres({ maxConnections: 150 });
  postgresPort = postgres.port;
  await prepareDatabase(postgres);
  for (const name of NAMES) await asSuperuser(postgres, 'postgres', `create database ${name} owner app`);
  await using pooler = await startPgbouncer({
    iniText: (place) =>
      iniText(
        place,
        lines(SIZES.a, () => ''),
      ),
    files: { 'userlist.txt': USERLIST },
  });
  const work = new SaturatingLoad();
  for (const name of NAMES) {
    await work.start(pooler.port, name, { all: SIZES[name] * CLIENTS_PER_SERVER, slow: SLOW_CLIENTS[name] });
  }
  const loadBefore = loadAverage();
  const runs: Run[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const way of WAYS) {
      const run = await measure(way, pooler, work);
      runs.push(run);
      console.log(JSON.stringify(run));
    }
  }
  await work.stop();
  const about = { processors: availableParallelism(), rounds: ROUNDS, loadBefore, loadAfter: loadAverage() };
  mkdirSync(join(FILE, '..'), { recursive: true });
  writeFileSync(FILE, `${JSON.stringify({ ...about, failures: work.failures.slice(0, 20), runs }, undefined, 2)}\n`);
  const range = (values: readonly number[], digits = 0): string => {
    const sorted = [...values].sort((x, y) => x - y);
    const at = (part: number): string => (sorted[Math.round(part * (sorted.length - 1))] ?? NaN).toFixed(digits);
    return `${at(0)} / ${at(0.5)} / ${at(1)}`;
  };
  const rows = WAYS.map(({ name }) => {
    const own = runs.filter(({ way }) => way === name);
    return [
      name,
      range(own.map((run) => run.settledMs)),
      range(own.map((run) => run.closedByDatabase.a)),
      range(own.map((run) => run.loginsByDatabase.a)),
      range(own.map((run) => run.closedByDatabase.b + run.closedByDatabase.c)),
      range(
        own.map((run) => run.throughput.a),
        2,
      ),
      range(
        own.map((run) => (run.throughput.b + run.throughput.c) / 2),
        2,
      ),
      range(own.map((run) => run.longestGapMs.a)),
      String(own.reduce((sum, run) => sum + run.failed, 0)),
    ];
  });
  const header = [
    'least / middle / most',
    'settled ms',
    'a closed',
    'a logins',
    'b+c recycled',
    'a tps',
    'b, c tps',
    'a longest gap ms',
    'failed',
  ];
  console.log(`\n30 → 15 of a; ${ROUNDS} rounds; load ${loadBefore}–${loadAverage()}\n${renderTable(header, rows)}`);
}

await main();
