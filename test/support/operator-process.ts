// The operator as a process of this machine, which a test can stop, wake and kill at any moment.
import { spawn, type ChildProcess } from 'node:child_process';
import { imageOf } from './cluster-images.ts';

export type OperatorProcessOptions = Readonly<{
  kubeconfig: string;
  /** The one namespace that it cares for, and where its Lease is. */
  namespace: string;
  /** What it is called in the Lease. */
  identity: string;
  leaseSeconds: number;
  httpPort: number;
}>;

const MAIN = new URL('../../src/main.ts', import.meta.url).pathname;
const LINES_KEPT = 2_000;

export class OperatorProcess implements AsyncDisposable {
  readonly identity: string;
  /** Its exit code; `undefined` for one that ended by a signal. */
  readonly ended: Promise<number | undefined>;
  readonly #child: ChildProcess;
  #log: string[] = [];

  constructor({ kubeconfig, namespace, identity, leaseSeconds, httpPort }: OperatorProcessOptions) {
    this.identity = identity;
    const options = {
      namespaces: namespace,
      'lease-namespace': namespace,
      'lease-duration': `${leaseSeconds}s`,
      'renew-deadline': `${leaseSeconds - 1}s`,
      'retry-period': '500ms',
      'http-port': String(httpPort),
      'pooler-image': imageOf('pgbouncer'),
    };
    const args = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
    this.#child = spawn(process.execPath, ['--no-warnings', MAIN, 'operator', ...args], {
      env: { ...process.env, KUBECONFIG: kubeconfig, POD_UID: identity },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#log = [...this.#log, ...text.split('\n').filter((line) => line !== '')].slice(-LINES_KEPT);
      });
    this.ended = new Promise((resolve) => {
      this.#child.once('exit', (code) => {
        resolve(code ?? undefined);
      });
    });
  }

  /** What it has logged so far, a line each. */
  get log(): readonly string[] {
    return this.#log;
  }

  signal(name: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
  }
}
