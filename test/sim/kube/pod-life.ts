// One pod on its node: bound, started, Ready, restarted, its files kept up to date, and taken down in order.
import type { StartPooler } from '../contracts.ts';
import type { Addresses } from './addresses.ts';
import { Container } from './container.ts';
import { CrashBackOff } from './crash-back-off.ts';
import { sameJson } from './json.ts';
import type { KubeletTiming } from './kubelet-timing.ts';
import { NamedTimers } from './named-timers.ts';
import { ProjectedDisk } from './pod-disk.ts';
import { PodObject } from './pod-object.ts';
import { isTerminating, type SimPod } from './pods.ts';
import type { SimApi } from './sim-api.ts';

export type Node = {
  readonly api: SimApi;
  readonly timing: KubeletTiming;
  readonly startPooler: StartPooler;
  readonly addresses: Addresses;
  /** Where the pod goes, or why it fits nowhere now. */
  readonly place: (pod: SimPod) => { readonly node: string } | { readonly unschedulable: string };
  /** Why an image can't be had; undefined when it can. */
  readonly pullFailure: (image: string) => string | undefined;
};

/** What is tried again because something is missing. */
const RETRY_MS = { first: 500, most: 120_000 };
/** After preStop a process always gets this much before SIGKILL. */
const LEAST_GRACE_MS = 2_000;

export class PodLife {
  readonly name: string;
  readonly uid: string;
  readonly #world: Node;
  readonly #container: Container;
  readonly #backOff = new CrashBackOff();
  readonly #disk: ProjectedDisk;
  readonly #object: PodObject;
  readonly #timers: NamedTimers<'life' | 'ready' | 'kill' | 'notice' | 'project' | 'report'>;
  readonly #ended: () => void;
  #pod: SimPod;
  #ip: string | undefined;
  /** How its process ended, until somebody has noticed. */
  #exit: { readonly code: number; readonly atMs: number } | undefined;
  #phase: 'Pending' | 'Running' | 'Failed' = 'Pending';
  #failure: { readonly reason: string; readonly message: string } | undefined;
  #tries = 0;
  #terminating = false;
  /** The node is cut off: its processes live on, but nothing of them is heard and nothing reaches them. */
  #silent = false;
  #objectGone = false;

  constructor(world: Node, pod: SimPod, ended: () => void) {
    this.#world = world;
    this.#pod = pod;
    this.name = pod.metadata.name;
    this.uid = pod.metadata.uid;
    this.#disk = new ProjectedDisk(world.api);
    this.#object = new PodObject(world.api, pod);
    this.#container = new Container(pod.spec?.containers[0]?.image ?? '');
    this.#ended = ended;
    this.#timers = new NamedTimers(world.api.clock);
    this.#timers.later('life', world.timing.scheduleMs(), () => {
      this.#schedule();
    });
  }

  get running(): boolean {
    return this.#container.running;
  }

  get silent(): boolean {
    return this.#silent;
  }

  /** The pod as the API holds it now. */
  get pod(): SimPod {
    return this.#pod;
  }

  /** The object was changed by anybody, the kubelet itself included. */
  changed(pod: SimPod): void {
    const former = this.#pod;
    this.#pod = pod;
    if (this.#silent) return;
    if (isTerminating(pod)) {
      if (!this.#terminating) this.#beginTermination();
      return;
    }
    const poked =
      !sameJson(former.metadata.annotations, pod.metadata.annotations) ||
      !sameJson(former.metadata.labels, pod.metadata.labels);
    if (poked) this.projectWithin(this.#world.timing.projectionDelayMs(this.#disk.ageMs));
  }

  /** The object is gone: in order, or by force while the process still runs. */
  gone(): void {
    this.#objectGone = true;
    if (this.#silent) {
      if (!this.running) this.#end();
      return;
    }
    this.#timers.cancelAll();
    if (!this.running) {
      this.#end();
      return;
    }
    this.#timers.later('kill', this.#world.timing.noticeMs(), () => {
      this.#container.signal('SIGKILL');
    });
  }

  /** Writes the volumes anew within so long; a Terminating pod's stay as they are. */
  projectWithin(ms: number): void {
    if (this.#terminating || this.#silent || !Number.isFinite(ms)) return;
    this.#timers.sooner('project', ms, () => {
      this.#disk.write(this.#pod);
    });
  }

  /** SIGKILL inside the container, as by the kernel when memory runs out. */
  kill(): void {
    this.#container.signal('SIGKILL');
  }

  /** As by the kubelet under disk pressure: the process is killed, the object stays, Failed. */
  fail(reason: string, message: string): void {
    this.#phase = 'Failed';
    this.#failure = { reason, message };
    this.#timers.cancelAll();
    if (this.running) this.#container.signal('SIGKILL');
    else {
      this.#noteExit();
      this.#report();
    }
  }

  fallSilent(processEndsAfterMs: number): void {
    this.#silent = true;
    this.#timers.cancelAll();
    if (Number.isFinite(processEndsAfterMs)) {
      this.#timers.later('kill', processEndsAfterMs, () => {
        this.#container.signal('SIGKILL');
      });
    }
  }

  /** The node is back: what happened meanwhile is noticed now. */
  returnFromSilence(): void {
    if (!this.#silent) return;
    this.#silent = false;
    this.#timers.cancelAll();
    if (this.#objectGone) this.gone();
    else if (isTerminating(this.#pod)) this.#beginTermination();
    else if (this.#ip === undefined) this.#schedule();
    else if (this.#phase !== 'Failed') {
      this.#disk.write(this.#pod);
      if (this.running) this.#becomeReady();
      else {
        this.#noteExit();
        this.#restart();
      }
      this.#reportSoon();
    }
  }

  get #nowMs(): number {
    return this.#world.api.clock.monotonicMs();
  }

  #schedule(): void {
    const { place, timing, api } = this.#world;
    const found = place(this.#pod);
    this.#object.placed(found);
    if ('node' in found) {
      this.#timers.later('life', timing.startMs(), () => {
        this.#firstStart();
      });
    } else {
      this.#timers.later('life', 1_000 + api.random() * 4_000, () => {
        this.#schedule();
      });
    }
  }

  #firstStart(): void {
    const failure = this.#world.pullFailure(this.#pod.spec?.containers[0]?.image ?? '');
    if (failure !== undefined) {
      this.#container.wait(this.#tries === 0 ? 'ErrImagePull' : 'ImagePullBackOff', failure);
      this.#reportSoon();
      this.#tryStartAgain();
      return;
    }
    if (!this.#disk.write(this.#pod)) {
      this.#tryStartAgain();
      return;
    }
    this.#ip ??= this.#world.addresses.take();
    this.#startContainer();
  }

  #startContainer(): void {
    const { api, startPooler } = this.#world;
    const containerId = `containerd://${hex(api.random)}${hex(api.random)}`;
    const facts = { pod: this.name, uid: this.uid, ip: this.#ip ?? '', containerId, disk: this.#disk };
    this.#phase = 'Running';
    this.#container.start(startPooler, facts, api.clock.now(), (exitCode) => {
      this.#exited(exitCode);
    });
    this.#reportSoon();
    this.#becomeReady();
  }

  #becomeReady(): void {
    if (!this.running || this.#container.ready) return;
    this.#timers.later('ready', this.#world.timing.readyMs(), () => {
      this.#container.ready = true;
      this.#reportSoon();
    });
  }

  #exited(code: number): void {
    this.#exit = { code, atMs: this.#world.api.clock.now() };
    this.#timers.cancel('ready');
    this.#timers.cancel('kill');
    if (this.#objectGone) this.#end();
    if (this.#objectGone || this.#silent) return;
    const endedMs = this.#nowMs;
    this.#timers.later('notice', this.#world.timing.noticeMs(), () => {
      this.#noteExit();
      if (this.#phase === 'Failed') this.#report();
      else if (this.#terminating) this.#cleanUp();
      else this.#restart(endedMs);
    });
  }

  #noteExit(): void {
    if (this.#exit !== undefined) this.#container.noteEnd(this.#exit.code, this.#exit.atMs);
    this.#exit = undefined;
  }

  #restart(endedMs = this.#nowMs): void {
    const leftMs = this.#backOff.leftMs(endedMs, this.#nowMs);
    const start = (): void => {
      this.#backOff.count(this.#nowMs);
      this.#startContainer();
    };
    if (leftMs <= 0) {
      start();
      return;
    }
    const message = `back-off ${this.#backOff.waitSeconds}s restarting failed container=pgbouncer pod=${this.name}`;
    this.#container.wait('CrashLoopBackOff', message);
    this.#reportSoon();
    // The kubelet looks only now and then whether the time is over.
    this.#timers.later('life', leftMs + this.#world.api.random() * 6_000, start);
  }

  #beginTermination(): void {
    this.#terminating = true;
    this.#timers.cancelAll();
    const { timing } = this.#world;
    const graceMs = (this.#pod.metadata.deletionGracePeriodSeconds ?? 0) * 1000;
    this.#timers.later('life', timing.deletionMs(), () => {
      if (!this.running) {
        this.#cleanUp();
        return;
      }
      const sleep = this.#pod.spec?.containers[0]?.lifecycle?.preStop?.sleep?.seconds ?? 0;
      const sleepMs = Math.min(sleep * 1000, graceMs);
      this.#timers.later('life', sleepMs, () => {
        this.#container.signal('SIGTERM');
        if (!this.running) return;
        this.#timers.later('kill', Math.max(graceMs - sleepMs, LEAST_GRACE_MS), () => {
          this.#container.signal('SIGKILL');
        });
      });
    });
  }

  #cleanUp(): void {
    this.#noteExit();
    this.#report();
    this.#timers.later('life', this.#world.timing.cleanUpMs(), () => {
      this.#object.remove();
    });
  }

  #reportSoon(): void {
    this.#timers.sooner('report', this.#world.timing.statusMs(), () => {
      this.#report();
    });
  }

  #report(): void {
    if (this.#silent || this.#objectGone) return;
    this.#object.report({ phase: this.#phase, ip: this.#ip, failure: this.#failure }, this.#container);
  }

  #tryStartAgain(): void {
    this.#tries += 1;
    this.#timers.later('life', Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** this.#tries), () => {
      this.#firstStart();
    });
  }

  #end(): void {
    this.#timers.cancelAll();
    if (this.#ip !== undefined) this.#world.addresses.giveBack(this.#ip);
    this.#ended();
  }
}

function hex(random: () => number): string {
  return Math.floor(random() * 2 ** 48)
    .toString(16)
    .padStart(12, '0');
}
