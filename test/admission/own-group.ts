// The CRD under a group of its own: objects can be stored, and the CRD exchanged, without any operator or fleet of the cluster seeing it.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { readCrd, type Crd } from '../../scripts/crd-schema.ts';
import type { Answer, Call, Json } from './api-server.ts';
import { sample, type Changes } from './corpus.ts';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const DEADLINE_MS = 20_000;
const POLL_MS = 100;

export class OwnGroup {
  readonly #call: Call;
  readonly #group: string;

  constructor(call: Call, purpose: string) {
    this.#call = call;
    this.#group = `${purpose}-${process.pid}.example`;
  }

  /** Where its objects are. */
  get path(): string {
    return `/apis/${this.#group}/v1alpha1/namespaces/default/poolconfigs`;
  }

  /** Applies the CRD, changed before it is closed. */
  async install(change: (crd: Crd) => void = () => undefined): Promise<void> {
    const crd = readCrd({ change }) as Crd & { metadata: Json; spec: Json };
    const name = `poolconfigs.${this.#group}`;
    crd.metadata['name'] = name;
    crd.spec['group'] = this.#group;
    crd.spec['names'] = {
      kind: 'PoolConfig',
      plural: 'poolconfigs',
      singular: 'poolconfig',
      listKind: 'PoolConfigList',
    };
    const url = `${CRDS}/${name}?fieldManager=test&force=true`;
    const { status, body } = await this.#call('PATCH', url, crd, 'application/apply-patch+yaml');
    assert.ok(status <= 201, String(body['message']));
  }

  object(name: string, changes: Changes = {}): Json {
    return { ...sample({ ...changes, 'metadata/name': name }), apiVersion: `${this.#group}/v1alpha1` };
  }

  /** Stores the object, as soon as the server takes the group. */
  async store(object: Json): Promise<Json> {
    return (await this.until(() => this.#call('POST', this.path, object), 201)).body;
  }

  /** Repeats a request until it is answered with this status. */
  async until(ask: () => Promise<Answer>, status: number): Promise<Answer> {
    const deadline = performance.now() + DEADLINE_MS;
    for (;;) {
      const answer = await ask();
      if (answer.status === status) return answer;
      if (performance.now() > deadline) throw new Error(`still ${answer.status}: ${String(answer.body['message'])}`);
      await pause(POLL_MS);
    }
  }

  patch(name: string, body: Json, subresource = ''): Promise<Answer> {
    return this.#call('PATCH', `${this.path}/${name}${subresource}`, body, 'application/merge-patch+json');
  }

  /** Takes the CRD away, and with it all objects. */
  async remove(): Promise<void> {
    await this.#call('DELETE', `${CRDS}/poolconfigs.${this.#group}`);
  }
}
