// The model as the subject of conformance scripts, in virtual time.
import { SecretText } from '../../../../src/model/secret-text.ts';
import type { PoolerConsole } from '../../../../src/pgbouncer/console.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { GOOD_FATE } from '../../contracts.ts';
import { DataPlane } from '../data-plane.ts';
import type { Random } from '../draws.ts';
import type { PgbouncerModel } from '../pgbouncer-model.ts';
import type { ModelClient } from '../pool-model.ts';
import { reachOf } from '../sim-consoles.ts';
import {
  ADMIN,
  DATABASES,
  fileOf,
  HOST,
  MAX_CONNECTIONS,
  userlist,
  USERS,
  type Place,
  type Script,
  type Subject,
  type SubjectClient,
} from './subject.ts';

const PLACE: Place = { dir: '/etc/pgbouncer', port: 6432, serverPort: 5432 };
const IP = '10.0.0.1';
const LONGEST_MS = 600_000;

/** Runs a script and gives what was answered. */
export async function runOnModel(script: Script, random: Random): Promise<Record<string, unknown>> {
  const clock = new FakeClock();
  const files = new Map([
    [`${PLACE.dir}/userlist.txt`, userlist()],
    [`${PLACE.dir}/pgbouncer.ini`, (script.boot ?? fileOf)(PLACE)],
  ]);
  const plane = new DataPlane({
    ...{ clock, random, bootFile: `${PLACE.dir}/pgbouncer.ini` },
    postgres: [
      {
        hosts: [HOST],
        port: PLACE.serverPort,
        databases: DATABASES,
        users: USERS,
        maxConnections: MAX_CONNECTIONS,
        orphanMs: 2_000,
      },
    ],
  });
  let hasExited = false;
  const running = plane.start({
    ...{ pod: 'pooler', uid: 'pooler', ip: IP, containerId: 'container' },
    disk: { read: (path) => files.get(path) },
    onExit: () => {
      hasExited = true;
    },
  });
  const reach = reachOf(plane, () => GOOD_FATE);
  let consoles = 0;
  const consoleOf = (user: string, password: string): PoolerConsole =>
    reach.consoles.get(`console ${(consoles += 1)}`, {
      ...{ address: { host: IP, port: PLACE.port }, user, password: new SecretText(password) },
    });
  const process = (): PgbouncerModel => {
    const found = plane.processAt(IP);
    if (found === undefined) throw new Error('the pooler was not started');
    return found;
  };
  const subject: Subject = {
    place: PLACE,
    clock,
    console: consoleOf(ADMIN.user, ADMIN.password),
    consoleOf,
    write: async (name, text) => {
      files.set(`${PLACE.dir}/${name}`, text);
      await Promise.resolve();
    },
    connect: async (database, user = 'app', password = user === 'stranger' ? 'stranger-secret' : USERS[user]) =>
      connect(process(), clock, { database, user, password }),
    load: async (database, user, clients) => {
      let failures = 0;
      const all = Array.from({ length: clients }, () =>
        process().accept({
          ...{ database, user, password: USERS[user], kind: 'loop' as const },
          events: {
            onLost: () => {
              failures += 1;
            },
          },
        }),
      );
      await clock.sleep(1);
      return {
        failures: () => failures,
        stop: async () => {
          const present = process();
          for (const client of all) if (typeof client !== 'string') present.leave(client);
          await clock.sleep(2_500);
        },
      };
    },
    signal: (name) => {
      running.signal(name);
    },
    exited: () => hasExited,
    backends: async (user) => {
      await Promise.resolve();
      return plane
        .serversInForce()
        .filter((group) => group.address === IP && (user === undefined || group.user === user))
        .reduce((sum, { count }) => sum + count, 0);
    },
  };
  const answers: Record<string, unknown> = {};
  let isDone = false;
  const done = script
    .run(subject, (moment, answer) => {
      answers[moment] = answer;
    })
    .finally(() => {
      isDone = true;
    });
  done.catch(() => undefined);
  await clock.advanceUntil(() => isDone, LONGEST_MS);
  await done;
  return answers;
}

async function connect(
  process: PgbouncerModel,
  clock: FakeClock,
  login: { readonly database: string; readonly user: string; readonly password: string },
): Promise<SubjectClient> {
  let isLost = false;
  const onLost: (() => void)[] = [];
  const answer = process.accept({
    ...{ ...login, kind: 'held' },
    events: {
      onLost: () => {
        isLost = true;
        for (const tell of onLost) tell();
      },
    },
  });
  if (typeof answer === 'string') throw new Error(answer);
  const client: ModelClient = answer;
  const check = (): void => {
    if (isLost) throw new Error('connection lost');
  };
  const isServed = async (condition: () => boolean): Promise<void> => {
    for (;;) {
      process.advance(clock.monotonicMs());
      check();
      if (condition()) return;
      await clock.sleep(5);
    }
  };
  await isServed(() => !client.awaitsWelcome);
  return {
    begin: async () => {
      process.advance(clock.monotonicMs());
      check();
      process.begin(client);
      await isServed(() => client.state === 'active');
    },
    commit: async () => {
      process.advance(clock.monotonicMs());
      check();
      process.finish(client);
      await clock.sleep(1);
    },
    work: async (ms) => {
      process.advance(clock.monotonicMs());
      check();
      let isOver = false;
      process.begin(client, ms, () => {
        isOver = true;
      });
      await isServed(() => isOver);
    },
    lost: () => {
      process.advance(clock.monotonicMs());
      return isLost;
    },
    leave: async () => {
      process.advance(clock.monotonicMs());
      if (!isLost) process.leave(client);
      await clock.sleep(1);
    },
  };
}
