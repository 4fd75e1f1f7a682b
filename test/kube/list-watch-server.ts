// List and watch of one collection over real HTTP, with faults on demand: what the transport does when a server misbehaves.
// It imitates nothing else of the API; everything else is tested on a real API server.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createSecureServer } from 'node:http2';
import type { Http2SecureServer, Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Credentials } from '../../src/kube/credentials.ts';
import type { LiveObject } from '../../src/kube/resources.ts';

type HistoryEntry = {
  readonly version: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: LiveObject;
};
type OpenWatch = { readonly response: ServerResponse; readonly reset: () => void };
/** With a key it speaks TLS and HTTP/2, else plain HTTP/1.1. */
export type ServerTls = { readonly key: string; readonly certificate: string; readonly ca: string };
/** How the next request of a kind is answered instead; `reset` breaks the connection without an answer. */
export type Refusal =
  { readonly status: number; readonly body?: unknown; readonly retryAfter?: string } | 'reset' | 'silence';

export class ListWatchServer {
  readonly #server: Server | Http2SecureServer;
  readonly #sockets = new Set<Socket>();
  readonly #tls: ServerTls | undefined;
  readonly #objects = new Map<string, LiveObject>();
  readonly #history: HistoryEntry[] = [];
  readonly #watches = new Set<OpenWatch>();
  #version = 100;
  #oldestVersion = 0;
  #uids = 0;
  #pages = new Map<string, { readonly version: string; readonly rest: readonly LiveObject[] }>();
  /** Taken from the front, one per request. */
  readonly listRefusals: Refusal[] = [];
  readonly watchRefusals: Refusal[] = [];
  /** Watches opened, lists served (pages count one each), and the largest number of watches that were open at once. */
  readonly seen = { watches: 0, pages: 0, openAtOnce: 0, watchProtocol: '' };
  /** Lists pretend to be of this version and content. */
  staleList: { readonly version: number; readonly objects: readonly LiveObject[] } | undefined;
  /** Do not tell watches about changes until the next list. */
  dropEvents = false;

  constructor(tls?: ServerTls) {
    // Node's compatibility layer gives HTTP/2 requests and responses the shape of HTTP/1.
    const serve = (
      request: IncomingMessage | Http2ServerRequest,
      response: ServerResponse | Http2ServerResponse,
    ): void => {
      this.#serve(request as IncomingMessage, response as ServerResponse);
    };
    this.#tls = tls;
    this.#server =
      tls === undefined
        ? createServer(serve)
        : createSecureServer({ key: tls.key, cert: tls.certificate, allowHTTP1: true }, serve);
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async listen(tls?: ServerTls): Promise<ListWatchServer> {
    const server = new ListWatchServer(tls);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get credentials(): Credentials {
    const { port } = this.#server.address() as AddressInfo;
    return {
      server: `${this.#tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
      namespace: undefined,
      read: () => Promise.resolve({ headers: {}, tls: this.#tls === undefined ? {} : { ca: this.#tls.ca } }),
    };
  }

  get version(): number {
    return this.#version;
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  contents(): Map<string, LiveObject> {
    return new Map(this.#objects);
  }

  put(name: string, fields: Readonly<Record<string, unknown>> = {}): LiveObject {
    const old = this.#objects.get(name);
    const uid = old?.metadata.uid ?? `uid-${(this.#uids += 1)}`;
    const resourceVersion = String((this.#version += 1));
    const metadata = { name, namespace: 'test', uid, resourceVersion };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, ...fields };
    this.#objects.set(name, object);
    this.#record(old === undefined ? 'ADDED' : 'MODIFIED', object);
    return object;
  }

  remove(name: string): void {
    const old = this.#objects.get(name);
    if (old !== undefined) {
      this.#objects.delete(name);
      const resourceVersion = String((this.#version += 1));
      this.#record('DELETED', { ...old, metadata: { ...old.metadata, resourceVersion } });
    }
  }

  /** Forgets its history: a watch from before now is told 410. */
  compact(): void {
    this.#oldestVersion = this.#version;
    this.#pages.clear();
  }

  /** Something else of the cluster changed. */
  skipVersions(count: number): void {
    this.#version += count;
  }

  bookmark(): void {
    const metadata = { resourceVersion: String(this.#version) };
    this.sendToWatches(
      JSON.stringify({ type: 'BOOKMARK', object: { kind: 'ConfigMap', apiVersion: 'v1', metadata } }) + '\n',
    );
  }

  errorFrame(code: number, reason: string): void {
    this.sendToWatches(JSON.stringify({ type: 'ERROR', object: status(code, reason) }) + '\n');
  }

  repeatLastEvents(count: number): void {
    for (const entry of this.#history.slice(-count)) {
      this.sendToWatches(frame(entry));
    }
  }

  sendToWatches(text: string): void {
    for (const { response } of this.#watches) {
      response.write(text);
    }
  }

  endWatches(): void {
    for (const watch of this.#watches) {
      this.#watches.delete(watch);
      watch.response.end();
    }
  }

  resetWatches(): void {
    for (const watch of this.#watches) {
      this.#watches.delete(watch);
      watch.reset();
    }
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await once(this.#server, 'close');
  }

  #record(type: HistoryEntry['type'], object: LiveObject): void {
    const entry = { version: this.#version, type, object };
    this.#history.push(entry);
    if (!this.dropEvents) {
      this.sendToWatches(frame(entry));
    }
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const query = new URL(request.url ?? '/', 'http://server').searchParams;
    const watching = query.get('watch') === 'true';
    const refusal = (watching ? this.watchRefusals : this.listRefusals).shift();
    if (refusal === 'reset') {
      resetConnection(request);
    } else if (refusal === 'silence') {
      return;
    } else if (refusal !== undefined) {
      const headers = refusal.retryAfter === undefined ? {} : { 'retry-after': refusal.retryAfter };
      response.writeHead(refusal.status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(refusal.body ?? status(refusal.status, 'Injected')));
    } else if (watching) {
      this.#watch(Number(query.get('resourceVersion')), request, response);
    } else {
      this.#list(Number(query.get('limit') ?? 500), query.get('continue'), response);
    }
  }

  #watch(fromVersion: number, request: IncomingMessage, response: ServerResponse): void {
    this.seen.watches += 1;
    this.seen.watchProtocol = `HTTP/${request.httpVersion.replace('.0', '')}`;
    response.writeHead(200, { 'content-type': 'application/json' });
    if (fromVersion < this.#oldestVersion) {
      response.end(JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') }) + '\n');
      return;
    }
    response.flushHeaders();
    const watch = {
      response,
      reset: () => {
        resetConnection(request);
      },
    };
    this.#watches.add(watch);
    this.seen.openAtOnce = Math.max(this.seen.openAtOnce, this.#watches.size);
    response.once('close', () => this.#watches.delete(watch));
    for (const entry of this.dropEvents ? [] : this.#history) {
      if (entry.version > fromVersion) {
        response.write(frame(entry));
      }
    }
  }

  #list(limit: number, token: string | null, response: ServerResponse): void {
    this.seen.pages += 1;
    response.setHeader('content-type', 'application/json');
    const page = token === null ? undefined : this.#pages.get(token);
    if (token !== null && page === undefined) {
      response.statusCode = 410;
      response.end(JSON.stringify(status(410, 'Expired')));
      return;
    }
    const version = page?.version ?? String(this.staleList?.version ?? this.#version);
    const all = page?.rest ?? this.staleList?.objects ?? [...this.#objects.values()];
    const rest = all.slice(limit);
    const next = rest.length === 0 ? '' : `page-${this.seen.pages}`;
    if (next !== '') {
      this.#pages.set(next, { version, rest });
    }
    // As the real server does: no kind and apiVersion in the items.
    const items = all.slice(0, limit).map((object) => ({ ...object, kind: undefined, apiVersion: undefined }));
    response.end(
      JSON.stringify({ kind: 'ConfigMapList', metadata: { resourceVersion: version, continue: next }, items }),
    );
  }
}

function resetConnection(request: IncomingMessage | Http2ServerRequest): void {
  if ('stream' in request) {
    request.stream.session?.destroy();
  } else {
    // A TLS socket can't be reset, only cut off.
    request.socket[request.socket instanceof TLSSocket ? 'destroy' : 'resetAndDestroy']();
  }
}

function frame({ type, object }: HistoryEntry): string {
  return JSON.stringify({ type, object }) + '\n';
}

export function status(code: number, reason: string): unknown {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: `${reason} (injected)` };
}
