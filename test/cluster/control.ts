// Requests to a cluster's supervisor, over its unix socket.
import { request } from 'node:http';
import type { ComponentName } from './components.ts';
import type { ComponentState } from './init.ts';
import type { Layout } from './layout.ts';

export type ComponentStates = Readonly<Record<ComponentName, ComponentState>>;

/** Longer than the supervisor's own patience with a component that won't end. */
const TIMEOUT_MS = 20_000;

export function componentStates(layout: Layout): Promise<ComponentStates> {
  return ask(layout, 'GET', '/components');
}

export function startComponent(layout: Layout, name: ComponentName): Promise<ComponentStates> {
  return ask(layout, 'POST', `/start/${name}`);
}

/** Resolves when the component has ended. */
export function stopComponent(layout: Layout, name: ComponentName): Promise<ComponentStates> {
  return ask(layout, 'POST', `/stop/${name}`);
}

function ask(layout: Layout, method: string, path: string): Promise<ComponentStates> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: layout.control, method, path, timeout: TIMEOUT_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('error', reject).on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(body) as ComponentStates);
        else reject(new Error(`while asking the supervisor for ${path}: status ${response.statusCode ?? 0}`));
      });
    });
    call.on('timeout', () => call.destroy(new Error(`while asking the supervisor for ${path}: no answer`)));
    call.on('error', reject).end();
  });
}
