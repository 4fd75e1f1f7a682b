// The disk of a pod: what was projected last, until it is projected again.
import type { PodDisk } from '../contracts.ts';
import type { SimPod } from './pods.ts';
import { projectedFiles } from './projected-files.ts';
import type { SimApi } from './sim-api.ts';

export class ProjectedDisk implements PodDisk {
  readonly #api: SimApi;
  #files: ReadonlyMap<string, string> = new Map();
  #writtenMs = -Infinity;

  constructor(api: SimApi) {
    this.#api = api;
  }

  get ageMs(): number {
    return this.#api.clock.monotonicMs() - this.#writtenMs;
  }

  readonly read = (path: string): string | undefined => this.#files.get(path);

  /** Answers false where a source is missing: then everything stays as it is. */
  write(pod: SimPod): boolean {
    const files = projectedFiles(this.#api, pod);
    if ('missing' in files) return false;
    this.#files = files;
    this.#writtenMs = this.#api.clock.monotonicMs();
    return true;
  }
}
