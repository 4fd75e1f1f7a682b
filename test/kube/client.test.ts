import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { KubeClient } from '../../src/kube/client.ts';
import type { AnswerFacts, KubeClientOptions } from '../../src/kube/client.ts';
import { ApiError } from '../../src/kube/errors.ts';
import type { ApiErrorKind } from '../../src/kube/errors.ts';
import { RESOURCES, resourceOf, resourcePath } from '../../src/kube/resources.ts';
import { TokenBucket } from '../../src/kube/token-bucket.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { status } from './list-watch-server.ts';

type Seen = {
  readonly method: string;
  readonly url: URL;
  readonly body: string;
  readonly headers: IncomingMessage['headers'];
};

describe('the client, at the level of HTTP', () => {
  let server: Server;
  let client: KubeClient;
  let seen: Seen[];
  let connections: number;
  let answer: (request: Seen, response: ServerResponse) => void;

  function connect(options: Partial<KubeClientOptions> = {}): KubeClient {
    const { port } = server.address() as AddressInfo;
    return new KubeClient({
      credentials: {
        server: `http://127.0.0.1:${port}/prefix/`,
        namespace: undefined,
        read: () => Promise.resolve({ headers: { authorization: 'Bearer t' }, tls: {} }),
      },
      userAgent: 'poolsmith/test',
      ...options,
    });
  }

  beforeEach(async () => {
    seen = [];
    connections = 0;
    answer = (_request, response) => {
      response.end('{"metadata":{}}');
    };
    server = createServer((request, response) => {
      void text(request).then((body) => {
        const url = new URL(request.url ?? '', 'http://x');
        const call = { method: request.method ?? '', url, body, headers: request.headers };
        seen.push(call);
        answer(call, response);
      });
    });
    server.on('connection', () => (connections += 1));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    client = connect();
  });

  afterEach(async () => {
    await client.close();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  const getSomething = (options = {}) => client.get(RESOURCES.Pod, 'ns', 'p', options);
  const kindOf = async (call: Promise<unknown>): Promise<ApiErrorKind> => {
    const error: unknown = await call.then(
      () => assert.fail('it succeeded'),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof ApiError);
    return error.kind;
  };

  it('keeps its connection for the calls that follow', async () => {
    for (let call = 0; call < 50; call += 1) {
      await getSomething();
    }
    // Two: a call may start before the socket of the one before it is known to be free.
    assert.ok(connections <= 2, `${connections} connections`);
  });

  it('sends its credentials, its name and the path below that of the server', async () => {
    await getSomething();
    const [call] = seen;
    assert.equal(call?.url.pathname, '/prefix/api/v1/namespaces/ns/pods/p');
    assert.equal(call.headers['authorization'], 'Bearer t');
    assert.equal(call.headers['user-agent'], 'poolsmith/test');
  });

  it('reads its credentials again, once, when the server does not know them any more', async () => {
    let token = 0;
    const { port } = server.address() as AddressInfo;
    const read = () => Promise.resolve({ headers: { authorization: `Bearer ${(token += 1)}` }, tls: {} });
    client = new KubeClient({ credentials: { server: `http://127.0.0.1:${port}`, namespace: undefined, read } });
    answer = ({ headers }, response) => {
      response.writeHead(headers['authorization'] === 'Bearer 2' ? 200 : 401).end('{}');
    };
    await getSomething();
    assert.equal(seen.length, 2);
    answer = (_request, response) => {
      response.writeHead(401).end(JSON.stringify(status(401, 'Unauthorized')));
    };
    assert.equal(await kindOf(getSomething()), 'unauthorized');
    assert.equal(seen.length, 4);
  });

  it('sends an apply as such, with its manager, force and dry run', async () => {
    const object = { apiVersion: 'apps/v1', kind: 'ReplicaSet', metadata: { name: 'r', namespace: 'ns' } };
    await client.apply(object, { fieldManager: 'me', force: true, dryRun: true });
    const [call] = seen;
    assert.equal(call?.method, 'PATCH');
    assert.equal(call.headers['content-type'], 'application/apply-patch+yaml');
    assert.equal(call.url.pathname, '/prefix/apis/apps/v1/namespaces/ns/replicasets/r');
    assert.deepEqual(Object.fromEntries(call.url.searchParams), { fieldManager: 'me', force: 'true', dryRun: 'All' });
    assert.deepEqual(JSON.parse(call.body), object);
  });

  it('puts the precondition of a patch beside what the patch says about metadata', async () => {
    const patch = { metadata: { annotations: { a: '1' } } };
    await client.mergePatch(RESOURCES.Pod, 'ns', 'p', patch, { resourceVersion: '7', subresource: 'status' });
    const [call] = seen;
    assert.equal(call?.headers['content-type'], 'application/merge-patch+json');
    assert.ok(call.url.pathname.endsWith('/pods/p/status'));
    assert.deepEqual(JSON.parse(call.body), { metadata: { annotations: { a: '1' }, resourceVersion: '7' } });
  });

  for (const [httpStatus, reason, kind] of [
    [400, 'BadRequest', 'invalid'],
    [401, 'Unauthorized', 'unauthorized'],
    [403, 'Forbidden', 'forbidden'],
    [404, 'NotFound', 'notFound'],
    [409, 'Conflict', 'conflict'],
    [409, 'AlreadyExists', 'alreadyExists'],
    [410, 'Expired', 'gone'],
    [422, 'Invalid', 'invalid'],
    [429, 'TooManyRequests', 'throttled'],
    [500, 'InternalError', 'unavailable'],
    [503, 'ServiceUnavailable', 'unavailable'],
    [504, 'Timeout', 'timeout'],
  ] as const) {
    it(`calls ${httpStatus} ${reason} ${kind}`, async () => {
      answer = (_request, response) => {
        response.writeHead(httpStatus).end(JSON.stringify(status(httpStatus, reason)));
      };
      await assert.rejects(getSomething(), { name: 'ApiError', kind, status: httpStatus, reason });
    });
  }

  it('keeps the text of an answer that is no Status, such as a proxy gives', async () => {
    answer = (_request, response) => {
      response.writeHead(502).end('<html>bad gateway</html>');
    };
    await assert.rejects(getSomething(), { kind: 'unavailable', status: 502, message: /bad gateway/ });
  });

  it('reads Retry-After as seconds and as a date', async () => {
    for (const header of ['3', new Date(Date.now() + 3000).toUTCString()]) {
      answer = (_request, response) => {
        response.writeHead(429, { 'retry-after': header }).end('{}');
      };
      const error: unknown = await getSomething().catch((thrown: unknown) => thrown);
      assert.ok(error instanceof ApiError && error.retryAfterMs !== undefined);
      assert.ok(error.retryAfterMs > 1000 && error.retryAfterMs <= 3000, `${error.retryAfterMs}`);
    }
  });

  it('gives up an answer that does not come, or stops half-way, at its deadline', async () => {
    answer = () => undefined;
    assert.equal(await kindOf(getSomething({ timeoutMs: 30 })), 'timeout');
    answer = (_request, response) => {
      response.write('{"metadata":');
    };
    assert.equal(await kindOf(getSomething({ timeoutMs: 30 })), 'timeout');
  });

  it('ends a call when the caller no longer wants it, also while it waits for the rate limit', async () => {
    answer = () => undefined;
    const controller = new AbortController();
    const call = getSomething({ signal: controller.signal });
    const waiting = connect({ qps: 0.001, burst: 0 }).get(RESOURCES.Pod, 'ns', 'p', { signal: controller.signal });
    setImmediate(() => {
      controller.abort();
    });
    assert.equal(await kindOf(call), 'cancelled');
    assert.equal(await kindOf(waiting), 'cancelled');
    assert.equal(await kindOf(getSomething({ signal: AbortSignal.abort() })), 'cancelled');
  });

  it('does not send a write again whose answer was lost', async () => {
    answer = (_request, response) => {
      response.socket?.resetAndDestroy();
    };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'ns' } };
    assert.equal(await kindOf(client.create(object)), 'unavailable');
    assert.equal(seen.length, 1);
  });

  it('calls a server that does not listen unavailable', async () => {
    const { port } = server.address() as AddressInfo;
    const credentials = {
      server: `http://127.0.0.1:${port}`,
      namespace: undefined,
      read: () => Promise.resolve({ headers: {}, tls: {} }),
    };
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    const gone = new KubeClient({ credentials });
    await assert.rejects(gone.serverVersion(), { kind: 'unavailable', message: /ECONNREFUSED/ });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  it('lets an urgent call pass all those that hang or wait', async () => {
    client = connect({ qps: 0.001, burst: 40 });
    answer = ({ url }, response) => {
      if (url.pathname.endsWith('/leases/l')) {
        response.end('{"metadata":{}}');
      }
    };
    const controller = new AbortController();
    const hanging = Array.from({ length: 60 }, () => getSomething({ signal: controller.signal }).catch(() => 'ended'));
    await client.get(RESOURCES.Lease, 'ns', 'l', { urgent: true, timeoutMs: 2_000 });
    assert.ok(connections <= 17, `${connections} connections`);
    controller.abort();
    await Promise.all(hanging);
  });

  it('tells of every call what it was and how it ended', async () => {
    const told: AnswerFacts[] = [];
    client = connect({ onAnswer: (facts) => told.push(facts) });
    await getSomething();
    answer = (_request, response) => {
      response.writeHead(404).end('{}');
    };
    assert.equal(await client.find(RESOURCES.Secret, 'ns', 's'), undefined);
    assert.deepEqual(
      told.map(({ verb, resource, status: code }) => `${verb} ${resource} ${code}`),
      ['get pods 200', 'get secrets 404'],
    );
  });

  describe('watching', () => {
    const pod = (name: string, more = {}) => ({
      type: 'ADDED',
      object: { apiVersion: 'v1', kind: 'Pod', metadata: { name, uid: 'u', resourceVersion: '1' }, ...more },
    });

    async function namesOf(options = {}): Promise<string[]> {
      const names: string[] = [];
      for await (const frame of client.watch(RESOURCES.Pod, { namespace: 'ns', ...options })) {
        names.push(frame.type === 'BOOKMARK' ? 'bookmark' : frame.object.metadata.name);
      }
      return names;
    }

    it('puts together lines, and letters, that arrive in pieces of any size', async () => {
      const lines = [pod('ä'), pod('b', { note: 'x'.repeat(300_000) }), pod('日本')];
      const bytes = Buffer.from(lines.map((line) => JSON.stringify(line) + '\n').join(''));
      for (const size of [7, 1000, 70_000, bytes.length]) {
        answer = (_request, response) => {
          for (let start = 0; start < bytes.length; start += size) {
            response.write(bytes.subarray(start, start + size));
          }
          response.end();
        };
        assert.deepEqual(await namesOf(), ['ä', 'b', '日本']);
      }
    });

    it('throws what an ERROR frame carries, after the frames before it', async () => {
      answer = (_request, response) => {
        response.end(
          `${JSON.stringify(pod('a'))}\n${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`,
        );
      };
      const frames = client.watch(RESOURCES.Pod);
      assert.equal((await frames.next()).done, false);
      await assert.rejects(frames.next(), { kind: 'gone', status: 410, reason: 'Expired' });
    });

    it('throws at the end of a stream that ends within a line', async () => {
      answer = (_request, response) => {
        response.end('{"type":"ADD');
      };
      assert.equal(await kindOf(namesOf()), 'unavailable');
    });

    it('is not ended by a deadline once it is open, and ends when the signal aborts', async () => {
      answer = (_request, response) => {
        response.write(JSON.stringify(pod('a')) + '\n');
      };
      const controller = new AbortController();
      const frames = await client.openWatch(RESOURCES.Pod, { timeoutMs: 20, signal: controller.signal });
      await frames.next();
      const next = frames.next();
      setTimeout(() => {
        controller.abort();
      }, 60);
      const startedMs = performance.now();
      assert.equal(await kindOf(next), 'cancelled');
      assert.ok(performance.now() - startedMs > 50);
    });

    it('closes its connection when the reader stops reading', async () => {
      const closed = Promise.withResolvers<undefined>();
      answer = (_request, response) => {
        response.once('close', () => {
          closed.resolve(undefined);
        });
        response.write(JSON.stringify(pod('a')) + '\n');
      };
      for await (const frame of client.watch(RESOURCES.Pod)) {
        assert.equal(frame.type, 'ADDED');
        break;
      }
      await closed.promise;
    });
  });
});

describe('the rate limit', () => {
  it('lets a burst pass at once and the rest at its rate, in the order of asking', async () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket({ clock, perSecond: 10, burst: 3 });
    const passed: string[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      void bucket.take().then(() => passed.push(`${name} ${clock.monotonicMs()}`));
    }
    await clock.advance(1000);
    assert.deepEqual(passed, ['a 0', 'b 0', 'c 0', 'd 100', 'e 200']);
  });

  it('gives back the token of a caller that stops waiting', async () => {
    const clock = new FakeClock();
    const bucket = new TokenBucket({ clock, perSecond: 1, burst: 1 });
    await bucket.take();
    const controller = new AbortController();
    const leaving = assert.rejects(bucket.take(controller.signal), /leaving/);
    controller.abort(new Error('leaving'));
    await leaving;
    const startedMs = clock.monotonicMs();
    const next = bucket.take();
    await clock.advance(1000);
    await next;
    assert.equal(clock.monotonicMs() - startedMs, 1000);
  });
});

describe('the table of resources', () => {
  it('gives the path of a collection, an object and a subresource', () => {
    assert.equal(resourcePath(RESOURCES.Pod), '/api/v1/pods');
    assert.equal(resourcePath(RESOURCES.Pod, 'ns'), '/api/v1/namespaces/ns/pods');
    assert.equal(resourcePath(RESOURCES.Node, undefined, 'n'), '/api/v1/nodes/n');
    assert.equal(
      resourcePath(RESOURCES.PoolConfig, 'ns', 'p', 'status'),
      '/apis/poolsmith.dev/v1alpha1/namespaces/ns/poolconfigs/p/status',
    );
  });

  it('refuses a path that would mean something else', () => {
    assert.throws(() => resourcePath(RESOURCES.Pod, undefined, 'p'), /Pod p needs a namespace/);
    assert.throws(() => resourcePath(RESOURCES.Node, 'ns', 'n'), /Node has no namespace/);
    assert.throws(() => resourceOf({ apiVersion: 'v1', kind: 'Podd' }), /v1 Podd is not in the table/);
  });

  it('keeps a name from leaving its place in the path', () => {
    assert.equal(resourcePath(RESOURCES.Secret, 'a/b', '../x'), '/api/v1/namespaces/a%2Fb/secrets/..%2Fx');
  });
});
