// A proxy before the API server that takes down every write of its clients, and can hold one back until it is told to let it go.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { kubeconfigCredentials, type Access } from '../../src/kube/credentials.ts';
import { clusterAccess } from './kubectl.ts';

export type ApiWrite = {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly body: unknown;
  /** Undefined until the API server has answered. */
  status?: number;
};

/** A write that has not reached the API server. */
export type HeldWrite = {
  readonly write: ApiWrite;
  /** Lets it go; answers what the API server said to it. */
  readonly release: () => Promise<{ readonly status: number; readonly answer: unknown }>;
};

type Holding = {
  readonly matches: (write: ApiWrite) => boolean;
  readonly onHeld: () => void;
  readonly found: (held: HeldWrite) => void;
};

/** Speaks to the API server as the cluster's administrator, with whom alone its clients need no credentials of their own. */
export class ApiProxy implements AsyncDisposable {
  readonly writes: ApiWrite[] = [];
  /** A file that leads clients here. */
  readonly kubeconfig: string;
  readonly #folder: string;
  readonly #server: Server;
  readonly #upstream: { readonly url: URL; readonly access: Access; readonly agent: Agent };
  #holding: Holding | undefined;

  private constructor(server: Server, upstream: { readonly url: URL; readonly access: Access }) {
    this.#server = server;
    this.#upstream = { ...upstream, agent: new Agent({ ...upstream.access.tls, keepAlive: true }) };
    this.#folder = mkdtempSync(join(tmpdir(), 'poolsmith-proxy-'));
    this.kubeconfig = join(this.#folder, 'kubeconfig.json');
    const { port } = server.address() as AddressInfo;
    writeFileSync(this.kubeconfig, JSON.stringify(kubeconfigOf(`http://127.0.0.1:${port}`)));
    server.on('request', (incoming, outgoing) => {
      this.#serve(incoming, outgoing).catch((error: unknown) => {
        outgoing.destroy(error as Error);
      });
    });
  }

  static async start(): Promise<ApiProxy> {
    await clusterAccess();
    const credentials = kubeconfigCredentials();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ApiProxy(server, { url: new URL(credentials.server), access: await credentials.read() });
  }

  /** Holds the next write that matches back. `onHeld` is called at that very moment, before anything else can happen. */
  async holdNext(matches: Holding['matches'], onHeld: () => void): Promise<HeldWrite> {
    return new Promise((resolve) => {
      this.#holding = { matches, onHeld, found: resolve };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#upstream.agent.destroy();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await buffer(incoming);
    const { method = 'GET', url = '/' } = incoming;
    if (method === 'GET') {
      await this.#pass(incoming, body, outgoing);
      return;
    }
    const write: ApiWrite = { method, path: url.split('?')[0] ?? '', body: parsed(body) };
    this.writes.push(write);
    const holding = this.#holding;
    if (holding?.matches(write) !== true) {
      write.status = (await this.#pass(incoming, body, outgoing)).status;
      return;
    }
    this.#holding = undefined;
    holding.onHeld();
    const release = async (): ReturnType<HeldWrite['release']> => {
      const { status, answer } = await this.#pass(incoming, body, outgoing);
      write.status = status;
      return { status, answer: parsed(answer) };
    };
    holding.found({ write, release });
  }

  /** Answers once the API server has; its answer is on its way to the client, whether that reads it or not. */
  async #pass(
    incoming: IncomingMessage,
    body: Buffer,
    outgoing: ServerResponse,
  ): Promise<{ readonly status: number; readonly answer: Buffer }> {
    const { url, access, agent } = this.#upstream;
    const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => name !== 'host'));
    const upstream = request(new URL(incoming.url ?? '/', url), {
      method: incoming.method ?? 'GET',
      headers: { ...headers, ...access.headers },
      agent,
    });
    outgoing.on('close', () => upstream.destroy());
    upstream.end(body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      upstream.on('response', resolve).on('error', reject);
    });
    const status = response.statusCode ?? 0;
    outgoing.writeHead(status, response.headers);
    outgoing.flushHeaders();
    response.pipe(outgoing);
    // A watch has no end to wait for.
    if (incoming.method === 'GET') return { status, answer: Buffer.alloc(0) };
    return { status, answer: await buffer(response) };
  }
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return body.toString('utf8');
  }
}

function kubeconfigOf(server: string): object {
  const name = 'proxy';
  return {
    apiVersion: 'v1',
    kind: 'Config',
    // Without it client-node refuses plain HTTP, even to this very machine.
    clusters: [{ name, cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name, user: {} }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    'current-context': name,
  };
}
