// An API that takes down every write, answers as a server would, and can be told to refuse one: for tests of what is sent.
import type { KubeApi } from '../../src/kube/client.ts';
import type { LiveObject } from '../../src/kube/resources.ts';

export type Written = {
  readonly verb: 'create' | 'apply' | 'mergePatch' | 'update' | 'delete';
  /** `Kind/name`. */
  readonly target: string;
  readonly body?: unknown;
  readonly options: Readonly<Record<string, unknown>>;
};

export class KubeRecorder {
  readonly writes: Written[] = [];
  /** Objects that `find` sees, keyed `Kind/name`. */
  readonly stored = new Map<string, LiveObject>();
  /** Called before a write is answered; what it throws is the answer. */
  onWrite: (write: Written) => void = () => undefined;
  /** What the server makes of an object that was written. */
  stores: (object: LiveObject) => LiveObject = (object) => object;
  #version = 100;

  get api(): KubeApi {
    const api = {
      list: () => Promise.resolve({ items: [], resourceVersion: '1' }),
      openWatch: (_resource: unknown, { signal }: { signal?: AbortSignal }) => Promise.resolve(silence(signal)),
      find: (resource: { kind: string }, _namespace: string, name: string) =>
        Promise.resolve(this.stored.get(`${resource.kind}/${name}`)),
      create: (object: LiveObject, options: object = {}) => this.#write('create', object, options),
      apply: (object: LiveObject, options: object = {}) => this.#write('apply', object, options),
      mergePatch: (
        { apiVersion, kind }: LiveObject,
        namespace: string,
        name: string,
        body: object,
        options: object = {},
      ) =>
        this.#answer(
          { verb: 'mergePatch', target: `${kind}/${name}`, body, options: { ...options } },
          { apiVersion, kind, metadata: { name, namespace } },
        ),
      delete: ({ kind }: { kind: string }, _namespace: string, name: string, options: object = {}) =>
        this.#answer({ verb: 'delete', target: `${kind}/${name}`, options: { ...options } }, {}),
    };
    return api as unknown as KubeApi;
  }

  #write(verb: 'create' | 'apply', object: LiveObject, options: object): Promise<LiveObject> {
    const target = `${object.kind}/${object.metadata.name}`;
    return this.#answer({ verb, target, body: object, options: { ...options } }, object);
  }

  async #answer(write: Written, object: object): Promise<LiveObject> {
    await Promise.resolve();
    this.writes.push(write);
    this.onWrite(write);
    this.#version += 1;
    const { metadata = {} } = object as { metadata?: object };
    const resourceVersion = String(this.#version);
    return this.stores({
      ...object,
      metadata: { ...metadata, uid: write.target, resourceVersion },
    } as unknown as LiveObject);
  }
}

/** The frames of a watch that tells nothing until it is given up. */
function silence(signal: AbortSignal | undefined): AsyncGenerator<never, void, undefined> {
  const ended = new Promise<IteratorReturnResult<undefined>>((_resolve, reject) => {
    signal?.addEventListener('abort', () => {
      reject(new Error('the watch was given up'));
    });
  });
  ended.catch(() => undefined);
  return { next: () => ended } as unknown as AsyncGenerator<never, void, undefined>;
}
