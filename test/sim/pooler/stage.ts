// The scenery of this folder's tests: pods that run what the operator renders, in front of one PostgreSQL, in virtual time.
import type { RenderedIni, Sizes } from '../../../src/model/pooler-model.ts';
import { PLACE, POOLER_PORT } from '../../../src/model/names.ts';
import { ADMIN_USER } from '../../../src/model/reserved-names.ts';
import { SecretText } from '../../../src/model/secret-text.ts';
import { pooledSettings } from '../../../src/model/settings/defaults.ts';
import type { PoolerConsole } from '../../../src/pgbouncer/console.ts';
import { renderIni } from '../../../src/render/ini.ts';
import { renderUserlist } from '../../../src/render/userlist.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { randomOf } from '../../support/random.ts';
import { GOOD_FATE, type FateOf, type RunningPooler } from '../contracts.ts';
import { DataPlane, type DataPlaneOptions } from './data-plane.ts';
import { reachOf, type Reach } from './sim-consoles.ts';

export const APP = { user: 'app', password: 'app-password' } as const;
export const KEYS = {
  adminPassword: new SecretText('admin-password'),
  proofKey: new SecretText('0123456789abcdef0123456789abcdef'),
};
export const USERLIST = renderUserlist([{ name: APP.user, secret: new SecretText(APP.password) }], KEYS);
const LONGEST_MS = 300_000;

/** The text of a configuration in which each database has its size. */
export function iniOf(sizes: Sizes, parameters: Readonly<Record<string, string | number>> = {}): RenderedIni {
  const model = {
    databases: Object.keys(sizes).map((name) => ({
      ...{ name, host: 'pg', port: 5432, dbname: 'app', poolMode: 'transaction' as const },
    })),
    userlistFile: USERLIST.fileName,
    serverTls: { mode: 'disable' as const },
    settings: pooledSettings(parameters, 40),
  };
  return renderIni(model, sizes, { secretsFolder: PLACE.secretsFolder });
}

export type StagedPod = {
  readonly ip: string;
  readonly files: Map<string, string>;
  readonly running: RunningPooler;
  readonly console: PoolerConsole;
  readonly exits: number[];
};

export class Stage {
  readonly clock = new FakeClock();
  readonly plane: DataPlane;
  readonly reach: Reach;
  readonly pods: StagedPod[] = [];
  fateOf: FateOf = () => GOOD_FATE;

  constructor(seed: number, options: Partial<DataPlaneOptions> = {}) {
    this.plane = new DataPlane({
      clock: this.clock,
      random: randomOf(seed),
      postgres: [{ hosts: ['pg'], databases: ['app'], users: { [APP.user]: APP.password }, monitors: [APP.user] }],
      ...options,
    });
    this.reach = reachOf(this.plane, (call) => this.fateOf(call));
  }

  /** A pod whose boot.ini and live.ini have these sizes, behind the Service. */
  addPod(sizes: Sizes): StagedPod {
    const ip = `10.0.0.${this.pods.length + 1}`;
    const files = new Map([
      [PLACE.bootFile, iniOf(sizes).text],
      [PLACE.liveFile, iniOf(sizes).text],
      [`${PLACE.secretsFolder}/${USERLIST.fileName}`, USERLIST.text.reveal()],
    ]);
    const exits: number[] = [];
    const running = this.plane.start({
      ...{ pod: ip, uid: ip, ip, containerId: ip },
      disk: { read: (path) => files.get(path) },
      onExit: (code) => {
        exits.push(code);
      },
    });
    const console = this.reach.consoles.get(ip, {
      ...{ address: { host: ip, port: POOLER_PORT }, user: ADMIN_USER, password: KEYS.adminPassword },
    });
    const pod = { ip, files, running, console, exits };
    this.pods.push(pod);
    this.serve(...this.pods);
    return pod;
  }

  /** Sends new clients to these pods only. */
  serve(...pods: readonly StagedPod[]): void {
    this.plane.setEndpoints(pods.map(({ ip }) => ({ pod: ip, uid: ip, ip })));
  }

  demand(database: string, clients: number, idle = 0): void {
    this.plane.setDemand({ database, ...APP, clients, idle });
  }

  async load(pod: StagedPod, sizes: Sizes): Promise<void> {
    pod.files.set(PLACE.liveFile, iniOf(sizes).text);
    await this.run(pod.console.loadFile(PLACE.liveFile));
  }

  /** Lets time pass until the promise has settled. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    work.then(settle, settle);
    await this.clock.advanceUntil(() => isSettled, LONGEST_MS);
    return work;
  }
}
