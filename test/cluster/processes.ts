// Running other programs, finding them in /proc and ending them: always by process id.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** What a finished command said. */
export type Output = Readonly<{ stdout: string; stderr: string; code: number }>;

type RunOptions = Readonly<{
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  input?: string;
  /** Fed to the command instead of `input`. */
  inputFile?: string;
}>;

/** Runs a command to its end; throws with what it said unless it succeeded. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { stdout, stderr, code } = await attempt(program, args, options);
  if (code !== 0) {
    throw new Error(`while running ${program} ${args.join(' ')}: exit ${code}\n${`${stdout}${stderr}`.trim()}`);
  }
  return stdout;
}

/** Runs a command to its end, whatever its exit code; 127 when there is no such program. */
export function attempt(program: string, args: readonly string[], options: RunOptions = {}): Promise<Output> {
  return new Promise((resolve) => {
    const input = options.inputFile === undefined ? 'pipe' : openSync(options.inputFile, 'r');
    const child = spawn(program, args, { cwd: options.cwd, env: options.env, stdio: [input, 'pipe', 'pipe'] });
    if (typeof input === 'number') closeSync(input);
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', (error) => {
      resolve({ stdout, stderr: `${stderr}${error.message}`, code: 127 });
    });
    child.on('close', (code) => {
      resolve({ stdout, stderr, code: code ?? 128 });
    });
    // A command that ends without reading its input makes the pipe fail, which is no news.
    child.stdin?.on('error', () => undefined).end(options.input ?? '');
  });
}

/** Whether a program of that name is on the PATH (system folders included: they are missing from many users' PATH). */
export async function hasProgram(name: string): Promise<boolean> {
  const { code } = await attempt('sh', ['-c', 'command -v "$1"', 'sh', name], { env: systemEnv() });
  return code === 0;
}

/** The environment with the system folders on the PATH: iptables and ip live there. */
export function systemEnv(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin` };
}

/** A process seen from this process's pid namespace. */
export type Process = Readonly<{
  pid: number;
  argv: readonly string[];
  /** Its pid in its own namespace, after the pids in the outer ones. */
  namespacePids: readonly number[];
}>;

/** All processes; zombies, which hold nothing any more, and kernel threads are left out. */
export function processes(): Process[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      try {
        const argv = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0').slice(0, -1);
        const ids = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${entry}/status`, 'utf8'))?.[1] ?? entry;
        return argv.length === 0 ? [] : [{ pid: Number(entry), argv, namespacePids: ids.split(/\s+/).map(Number) }];
      } catch {
        return []; // It ended while we looked.
      }
    });
}

export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** The identity of a process's namespace, or undefined when it is gone. */
export function namespaceOf(pid: number | 'self', kind: 'net' | 'pid' | 'mnt'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/${kind}`);
  } catch {
    return undefined;
  }
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Already gone.
  }
}

/** Looks until `probe` answers something; throws `while waiting for WHAT` after `timeoutMs`. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined> | T | undefined,
  timeoutMs: number,
  pauseMs = 50,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer !== undefined) return answer;
    } catch (error) {
      if (error instanceof Fatal) throw error;
      last = error;
    }
    if (performance.now() > deadline) {
      const reason = last instanceof Error ? `: ${last.message}` : '';
      throw new Error(`while waiting for ${what}: not within ${Math.round(timeoutMs / 1000)} s${reason}`);
    }
    await sleep(pauseMs);
  }
}

/** An error that no further waiting mends. */
export class Fatal extends Error {
  override readonly name = 'Fatal';
}
