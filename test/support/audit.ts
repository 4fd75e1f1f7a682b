// Who wrote what, from the API server's own audit log: the proof that the operator leaves things alone. Own cluster only.
import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { clusterName, layoutOf } from '../cluster/layout.ts';
import { isOwnCluster } from './kubectl.ts';

export type Write = Readonly<{
  verb: string;
  /** The pod whose token it was. */
  pod: string;
  resource: string;
  namespace: string;
  name: string;
  user: string;
  code: number;
}>;

type AuditEvent = Readonly<{
  stage: string;
  verb: string;
  user: Readonly<{ username: string; extra?: Readonly<Record<string, readonly string[]>> }>;
  objectRef?: Readonly<{ resource?: string; subresource?: string; namespace?: string; name?: string }>;
  responseStatus?: Readonly<{ code?: number }>;
}>;

const WRITING = ['create', 'update', 'patch', 'delete', 'deletecollection'];

/** A place in the log. */
export class AuditMark {
  readonly #file: string;
  readonly #offset: number;

  private constructor(file: string, offset: number) {
    this.#file = file;
    this.#offset = offset;
  }

  /** From now on. @throws on a cluster whose audit log can't be read from here. */
  static async now(): Promise<AuditMark> {
    if (!(await isOwnCluster()))
      throw new Error('the audit log can be read only on the cluster that make cluster-up starts');
    const file = layoutOf(clusterName()).auditLog;
    return new AuditMark(file, statSync(file).size);
  }

  /** Finished writes since the mark. @throws when the log was rotated meanwhile: nothing could be said then. */
  writes(user: string): readonly Write[] {
    return this.#events()
      .filter(
        (event) => event.stage === 'ResponseComplete' && event.user.username === user && WRITING.includes(event.verb),
      )
      .map(({ verb, user: { username, extra }, objectRef = {}, responseStatus }) => ({
        verb,
        pod: extra?.['authentication.kubernetes.io/pod-name']?.[0] ?? '',
        resource: [
          objectRef.resource ?? '',
          ...(objectRef.subresource === undefined ? [] : [objectRef.subresource]),
        ].join('/'),
        namespace: objectRef.namespace ?? '',
        name: objectRef.name ?? '',
        user: username,
        code: responseStatus?.code ?? 0,
      }));
  }

  #events(): readonly AuditEvent[] {
    const { size } = statSync(this.#file);
    if (size < this.#offset) throw new Error(`while reading ${this.#file}: it was rotated since the mark`);
    const bytes = Buffer.alloc(size - this.#offset);
    const file = openSync(this.#file, 'r');
    try {
      readSync(file, bytes, 0, bytes.length, this.#offset);
    } finally {
      closeSync(file);
    }
    // The last line may be half written.
    const lines = bytes.toString('utf8').split('\n').slice(0, -1);
    return lines.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line) as AuditEvent);
  }
}
