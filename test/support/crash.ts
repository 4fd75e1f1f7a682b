// Has the operator's own process crash, as a bug in it would: through Node's inspector, which a signal opens.
import { spawn } from 'node:child_process';
import { until } from '../cluster/processes.ts';
import { OPERATOR_NAMESPACE } from './install.ts';
import { signalContainer } from './kill.ts';
import { clusterAccess } from './kubectl.ts';

const INSPECTOR_PORT = 9229;

/** What the process prints in the first case. */
export const CRASH = 'a crash on purpose';

/** What holds secrets: classes as the operator itself has loaded them. */
const HOLDERS = {
  secrets: "('/app/src/model/secret-text.ts').SecretText",
  wires: "('/app/src/postgres/wire-client.ts').WireClient",
  clients: "('pg').Client",
};
const REQUIRE = "process.getBuiltinModule('node:module').createRequire('/app/src/main.ts')";

export type Crash = Readonly<{
  /** How many values of class SecretText the process held. */
  secrets: number;
  /** Whether Node was to write a diagnostic report, which has the heap and the environment in it, and its other options. */
  report: string;
}>;

/**
 * `exception`: an error that nobody catches and that carries every secret and connection of the process with it. `abort`: the end that Node comes to where it
 * can't go on, as without memory.
 */
export async function crashOperator(pod: string, how: 'exception' | 'abort'): Promise<Crash> {
  await signalContainer(OPERATOR_NAMESPACE, pod, 'operator', 'SIGUSR1');
  await using forward = await forwarded(pod);
  await using session = await Session.open(forward.port);
  const held: RemoteObject[] = [];
  for (const holder of Object.values(HOLDERS)) {
    const { objectId } = await session.ask('Runtime.evaluate', { expression: `${REQUIRE}${holder}.prototype` });
    held.push(await session.ask('Runtime.queryObjects', { prototypeObjectId: objectId }));
  }
  const { value: report } = await session.ask('Runtime.evaluate', {
    expression: `const { reportOnFatalError, reportOnSignal, reportOnUncaughtException } = process.report;
      JSON.stringify({ reportOnFatalError, reportOnSignal, reportOnUncaughtException, execArgv: process.execArgv })`,
    returnByValue: true,
  });
  const names = Object.keys(HOLDERS).join(', ');
  const carrying = `{ ${names}, words: [${names}].join(), printed: JSON.stringify({ secrets }) }`;
  const end = how === 'abort' ? 'process.abort()' : `throw Object.assign(new Error('${CRASH}'), ${carrying})`;
  const { value: secrets } = await session.ask('Runtime.callFunctionOn', {
    functionDeclaration: `function (${names}) { setTimeout(() => { ${end} }, 100); return secrets.length }`,
    objectId: held[0]?.objectId,
    arguments: held.map(({ objectId }) => ({ objectId })),
    returnByValue: true,
  });
  return { secrets: Number(secrets), report: String(report) };
}

type Forward = AsyncDisposable & Readonly<{ port: number }>;

async function forwarded(pod: string): Promise<Forward> {
  const { kubectl, kubeconfig } = await clusterAccess();
  const child = spawn(kubectl, ['port-forward', '-n', OPERATOR_NAMESPACE, `pod/${pod}`, `:${INSPECTOR_PORT}`], {
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text));
  const port = await until('a way to the inspector', () => /127\.0\.0\.1:(\d+)/.exec(said)?.[1], 10_000, 50);
  const dispose = async (): Promise<void> => {
    child.kill();
    await ended;
  };
  return { port: Number(port), [Symbol.asyncDispose]: dispose };
}

type RemoteObject = Readonly<{ objectId?: string; value?: unknown }>;
type Answer = Readonly<{
  id: number;
  error?: object;
  result?: Readonly<{ result?: RemoteObject; objects?: RemoteObject; exceptionDetails?: object }>;
}>;

/** One conversation in the protocol of Chrome's developer tools. */
class Session implements AsyncDisposable {
  readonly #socket: WebSocket;
  #asked = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  static async open(port: number): Promise<Session> {
    const listing = async (): Promise<string | undefined> => {
      const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as readonly Readonly<{
        id: string;
      }>[];
      return targets[0]?.id;
    };
    const id = await until('the inspector', listing, 10_000, 100);
    const socket = new WebSocket(`ws://127.0.0.1:${port}/${id}`);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('error', reject, { once: true });
    });
    return new Session(socket);
  }

  async ask(method: string, params: object): Promise<RemoteObject> {
    this.#asked += 1;
    const id = this.#asked;
    const { result, error } = await new Promise<Answer>((resolve, reject) => {
      const listen = ({ data }: MessageEvent): void => {
        const answer = JSON.parse(String(data)) as Answer;
        if (answer.id !== id) return;
        this.#socket.removeEventListener('message', listen);
        resolve(answer);
      };
      this.#socket.addEventListener('message', listen);
      this.#socket.addEventListener(
        'close',
        () => {
          reject(new Error(`${method}: the process has ended`));
        },
        { once: true },
      );
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
    const failure = error ?? result?.exceptionDetails;
    if (failure !== undefined) throw new Error(`${method}: ${JSON.stringify(failure)}`);
    return result?.result ?? result?.objects ?? {};
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    return Promise.resolve();
  }
}
