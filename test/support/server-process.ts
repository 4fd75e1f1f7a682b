// A server process of a test: a folder of its own, a free port, waited for by its condition, ended by its id.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, open, readFile, rename, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Programs } from '../../images/programs.ts';

const READY_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 10_000;

/** A TCP port of loopback that nobody listens on at this moment. */
export async function freePort(host = '127.0.0.1'): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string')
    throw new Error('while looking for a free port: the server has no port');
  return address.port;
}

const running = new Set<ChildProcess>();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export type Started = Readonly<{ port: number; child: ChildProcess; exited: Promise<number | string> }>;

export type Startable = Readonly<{
  command: (port: number) => readonly string[] | Promise<readonly string[]>;
  /** Asked again until it says yes; must settle by itself. */
  isReady: (port: number) => Promise<boolean>;
}>;

/** Starts a program that logs to `dir`/log; tries another port when somebody took the free one in between. */
export async function startOnFreePort(
  programs: Programs,
  dir: string,
  host: string,
  startable: Startable,
): Promise<Started> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort(host);
    const [program = '', ...args] = await startable.command(port);
    const log = await open(join(dir, 'log'), 'w');
    const child = spawn(program, args, { ...programs.unprivileged, cwd: dir, stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    running.add(child);
    const exited = new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        running.delete(child);
        resolve(code ?? signal ?? 'unknown');
      });
    });
    const outcome = await Promise.race([exited, untilReady(() => startable.isReady(port), child)]);
    if (outcome === 'ready') return { port, child, exited };
    await end(child, exited, 'SIGKILL');
    const text = await readFile(join(dir, 'log'), 'utf8');
    if (attempt < 3 && /in use/i.test(text)) continue;
    throw new Error(
      `while starting ${program}: ${outcome === 'late' ? `not ready after ${READY_TIMEOUT_MS} ms` : `it ended (${outcome})`}\n${text}`,
    );
  }
}

async function untilReady(isReady: () => Promise<boolean>, child: ChildProcess): Promise<'ready' | 'late'> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline && child.exitCode === null) {
    if (await isReady()) return 'ready';
    await delay(20);
  }
  return 'late';
}

export async function acceptsTcp(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

export async function end(child: ChildProcess, exited: Promise<unknown>, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

export function pidOf(child: ChildProcess): number {
  if (child.pid === undefined) throw new Error('while starting a server: it has no process id');
  return child.pid;
}

export async function ownFolder(programs: Programs, prefix: string, parent = tmpdir()): Promise<string> {
  const dir = await mkdtemp(join(parent, `poolsmith-${prefix}`));
  await own(programs, dir);
  return dir;
}

async function own({ unprivileged: { uid, gid } }: Programs, path: string): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

export async function place(programs: Programs, dir: string, name: string, text: string): Promise<void> {
  const path = join(dir, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await own(programs, `${path}.new`);
  await rename(`${path}.new`, path);
}
