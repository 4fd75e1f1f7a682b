// The supervisor: the one program started in the cluster's namespaces; it runs the components and takes requests.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:http';
import { commands, COMPONENTS, isComponent, type ComponentName } from './components.ts';
import { layoutOf, logFile } from './layout.ts';
import { furnish } from './namespace.ts';

/** How a component is doing, as the supervisor's answer to `GET /components`. */
export type ComponentState =
  | Readonly<{ state: 'stopped' }>
  | Readonly<{ state: 'running'; pid: number }>
  | Readonly<{ state: 'exited'; reason: string }>;

/** After SIGTERM; then SIGKILL, because an API server with open watches and an etcd with clients hardly end by themselves. */
const PATIENCE_MS = 3_000;

const [name = '', folder = ''] = process.argv.slice(2);
const layout = layoutOf(name);
if (layout.folder !== folder) throw new Error(`state folder ${layout.folder}, but started for ${folder}`);
const children = new Map<ComponentName, ChildProcess>();
const states = new Map<ComponentName, ComponentState>(COMPONENTS.map((component) => [component, { state: 'stopped' }]));

function start(component: ComponentName): void {
  if (states.get(component)?.state === 'running') return;
  const { program, args } = commands(layout)[component];
  const log = openSync(logFile(layout, component), 'a');
  const child = spawn(program, args, { cwd: '/', stdio: ['ignore', log, log] });
  closeSync(log);
  children.set(component, child);
  states.set(component, { state: 'running', pid: child.pid ?? 0 });
  const ended = (reason: string): void => {
    if (children.get(component) === child) states.set(component, { state: 'exited', reason });
  };
  child.on('error', (error) => {
    ended(error.message);
  });
  child.on('exit', (code, signal) => {
    ended(signal ?? `exit ${code ?? 0}`);
  });
}

async function stop(component: ComponentName): Promise<void> {
  const child = children.get(component);
  if (child !== undefined && states.get(component)?.state === 'running') {
    const exited = once(child, 'exit');
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    child.kill('SIGTERM');
    await exited;
    clearTimeout(timer);
  }
  states.set(component, { state: 'stopped' });
}

async function answer(method: string, path: string): Promise<number> {
  const [, action, component = ''] = path.split('/');
  if (method === 'GET' && action === 'components') return 200;
  if (method !== 'POST' || !isComponent(component)) return 404;
  if (action === 'start') start(component);
  else if (action === 'stop') await stop(component);
  else return 404;
  return 200;
}

await furnish(layout);
createServer((request, response) => {
  void answer(request.method ?? '', request.url ?? '').then((status) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(Object.fromEntries(states)));
  });
}).listen(layout.control);
