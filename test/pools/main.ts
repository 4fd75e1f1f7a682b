// What the connection pools of applications meet in a rollout: `node test/pools/main.ts`. Builds a client of each, runs all of them through it, prints a table.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { renderTable } from '../../demo/table.ts';
import { installed } from '../budget/installed.ts';
import { closeCluster } from '../support/kubectl.ts';
import { poolAddress, podIdentities } from '../support/pool-children.ts';
import { APP, DATABASE, POOL, Stage } from '../support/stage.ts';

const run = promisify(execFile);
const CLIENTS = join(import.meta.dirname, 'clients');
const BUILD = join(import.meta.dirname, '../../build/pools');
const WINDOW = '35s';
const TIMEOUT = '60s';
/** HikariCP takes none that is shorter. */
const LIFETIME_SECONDS = 30;
const REPLICAS = 2;

type PoolClient = Readonly<{
  name: string;
  command: readonly string[];
  environment?: Readonly<Record<string, string>>;
}>;
type Tally = Readonly<{ done: number; failed: number; errors: Readonly<Record<string, number>> }>;
type Met = Readonly<{ client: string; renews: boolean; tally: Tally }>;

const python = (file: string): readonly string[] => [join(BUILD, 'venv/bin/python'), join(CLIENTS, 'python', file)];

const POOL_CLIENTS: readonly PoolClient[] = [
  { name: 'HikariCP', command: ['java', '-cp', join(BUILD, 'java/*'), 'HikariClient'] },
  { name: 'node-postgres', command: [process.execPath, join(CLIENTS, 'node-postgres-client.ts')] },
  { name: 'database/sql', command: [join(BUILD, 'go-client'), 'sql'] },
  { name: 'pgx', command: [join(BUILD, 'go-client'), 'pgx'] },
  { name: 'psycopg_pool', command: python('psycopg_pool_client.py') },
  { name: 'psycopg_pool with its check', command: python('psycopg_pool_client.py'), environment: { CHECK: '1' } },
  { name: 'SQLAlchemy', command: python('sqlalchemy_client.py') },
  { name: 'SQLAlchemy with pool_pre_ping', command: python('sqlalchemy_client.py'), environment: { CHECK: '1' } },
];

async function build(): Promise<void> {
  mkdirSync(join(BUILD, 'java'), { recursive: true });
  progress('building the clients');
  if (!existsSync(join(BUILD, 'venv'))) await run('python3', ['-m', 'venv', join(BUILD, 'venv')]);
  await run(join(BUILD, 'venv/bin/pip'), ['install', '--quiet', '-r', join(CLIENTS, 'python/requirements.txt')]);
  await run('go', ['build', '-o', join(BUILD, 'go-client'), '.'], { cwd: join(CLIENTS, 'go') });
  // Maven writes beside its sources, which are not for that.
  cpSync(join(CLIENTS, 'java'), join(BUILD, 'java-source'), { recursive: true });
  const goals = ['package', 'dependency:copy-dependencies', `-DoutputDirectory=${join(BUILD, 'java')}`];
  await run('mvn', ['-q', '-B', ...goals], { cwd: join(BUILD, 'java-source') });
  await run('jar', ['cf', join(BUILD, 'java/clients.jar'), '-C', join(BUILD, 'java-source/target/classes'), '.']);
}

class Running {
  readonly client: PoolClient;
  readonly #process: ChildProcess;
  readonly #lines: string[] = [];
  readonly #ready = Promise.withResolvers<undefined>();

  constructor(client: PoolClient, environment: Readonly<Record<string, string>>) {
    this.client = client;
    const [program = '', ...args] = client.command;
    const env = { ...process.env, ...environment, ...client.environment };
    this.#process = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.#process.stdout ?? process.stdin }).on('line', (line) => {
      this.#lines.push(line);
      if (line === 'ready') this.#ready.resolve(undefined);
    });
    this.#process.on('exit', (code) => {
      this.#ready.reject(new Error(`${client.name} ended (${code}) before it was ready`));
    });
    this.#ready.promise.catch(() => undefined);
  }

  get ready(): Promise<undefined> {
    return this.#ready.promise;
  }

  async end(): Promise<Tally> {
    const exited = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await exited;
    return JSON.parse(this.#lines.at(-1) ?? '') as Tally;
  }
}

async function rollout(stage: Stage, renews: boolean, round: number): Promise<readonly Met[]> {
  const { host, port } = await poolAddress(stage.namespace, POOL);
  const environment = {
    ...{ PGHOST: host, PGPORT: String(port), PGDATABASE: DATABASE, PGUSER: APP.name, PGPASSWORD: APP.password },
    LIFETIME_SECONDS: renews ? String(LIFETIME_SECONDS) : '',
  };
  const running = POOL_CLIENTS.map((client) => new Running(client, environment));
  await Promise.all(running.map(({ ready }) => ready));
  const before = await podIdentities(stage.namespace, POOL);
  progress(`rollout with connections that ${renews ? `live ${LIFETIME_SECONDS} s` : 'are kept'}`);
  const pool = stage.pool().withReplicas(REPLICAS).withDrain(WINDOW, TIMEOUT);
  const template = { metadata: { annotations: { round: String(round) } } };
  await stage.settle(pool.with({ fleet: { ...pool.build().spec.fleet, template } }), 300_000);
  const after = Object.keys(await podIdentities(stage.namespace, POOL));
  if (after.some((name) => name in before)) throw new Error('not every pod was replaced');
  return await Promise.all(running.map(async (one) => ({ client: one.client.name, renews, tally: await one.end() })));
}

async function main(): Promise<number> {
  await build();
  await installed(progress);
  await using stage = await Stage.set({ prefix: 'pools', maxConnections: 100 });
  const clients = [{ name: 'pools', clients: 4 * 4 * POOL_CLIENTS.length }];
  await stage.settle(stage.pool().withReplicas(REPLICAS).withDrain(WINDOW, TIMEOUT).with({ workloads: clients }));
  const met = [...(await rollout(stage, true, 1)), ...(await rollout(stage, false, 2))];
  const of = (client: string, renews: boolean): Tally | undefined =>
    met.find((one) => one.client === client && one.renews === renews)?.tally;
  const cell = (tally: Tally | undefined): string =>
    `${tally?.failed ?? '?'} of ${(tally?.done ?? 0) + (tally?.failed ?? 0)}`;
  const header = [
    'pool',
    `failed, connections live ${LIFETIME_SECONDS} s`,
    'failed, connections are kept',
    'what they met',
  ];
  const rows = POOL_CLIENTS.map(({ name }) => [
    name,
    cell(of(name, true)),
    cell(of(name, false)),
    Object.keys({ ...of(name, true)?.errors, ...of(name, false)?.errors }).join('; '),
  ]);
  console.log(
    `\n${renderTable(header, rows)}\n\nDrain window ${WINDOW}, ${REPLICAS} pods, four connections of each pool.`,
  );
  mkdirSync(BUILD, { recursive: true });
  writeFileSync(join(BUILD, 'pools.json'), `${JSON.stringify(met, undefined, 2)}\n`);
  const failing = met.filter(({ renews, tally }) => renews && tally.failed > 0);
  for (const { client, tally } of failing)
    console.log(`${client}: ${tally.failed} failed although its connections are renewed`);
  return failing.length === 0 ? 0 : 1;
}

function progress(line: string): void {
  console.log(`${new Date().toISOString().slice(11, 19)} ${line}`);
}

process.exitCode = await main();
await closeCluster();
