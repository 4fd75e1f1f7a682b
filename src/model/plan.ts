// What planning answers: actions in order, the status to show, events to tell, and when to look again.
import type { PoolConfigStatus } from '../api/poolconfig.gen.ts';
import type { KubeObject } from './kube-object.ts';
import type { Sizes } from './pooler-model.ts';

/** One thing to do. `why` is a sentence for people: it goes to the log, to `poolsmith plan` and to tests alike. */
export type Action = { readonly why: string } & (
  | { readonly kind: 'createCredentials' }
  /** With a resourceVersion in its metadata it only succeeds on that very version. */
  | { readonly kind: 'applyChild'; readonly object: KubeObject }
  | {
      readonly kind: 'scaleReplicaSet';
      readonly name: string;
      readonly resourceVersion: string;
      readonly from: number;
      readonly to: number;
    }
  | { readonly kind: 'deleteReplicaSet'; readonly name: string; readonly uid: string; readonly resourceVersion: string }
  | { readonly kind: 'deletePod'; readonly name: string; readonly uid: string; readonly resourceVersion: string }
  /** A merge-patch that only succeeds on the very pod version the plan was made from. */
  | {
      readonly kind: 'patchPod';
      readonly name: string;
      readonly resourceVersion: string;
      readonly annotations: Readonly<Record<string, string | undefined>>;
      readonly labels?: Readonly<Record<string, string | undefined>>;
    }
  /** SET conffile = live.ini and RELOAD, on the console. */
  | { readonly kind: 'loadLive'; readonly pod: string; readonly uid: string; readonly ini: string }
  /** Brings a busy pool down to its lowered size by a short server lifetime. */
  | {
      readonly kind: 'shrinkPools';
      readonly pod: string;
      readonly uid: string;
      readonly from: Sizes;
      readonly to: Sizes;
      /** The short lifetime reaches no other database. */
      readonly alone: boolean;
    }
  /** Stops handing out servers, and has running transactions end; what is paused stays so. */
  | {
      readonly kind: 'pausePools';
      readonly pod: string;
      readonly uid: string;
      readonly databases: readonly string[];
      /** Whether logins under way are waited for, which PAUSE would drop. */
      readonly logins: 'wait' | 'drop';
    }
  | { readonly kind: 'resumePools'; readonly pod: string; readonly uid: string; readonly databases: readonly string[] }
  /** Has server connections closed as they are released; new ones go where the host leads now. */
  | {
      readonly kind: 'reconnectPools';
      readonly pod: string;
      readonly uid: string;
      readonly databases: readonly string[];
      /** Since when the host leads elsewhere. */
      readonly sinceMs: number;
    }
  /** Closes clients of users that the pod lets in no more. */
  | {
      readonly kind: 'closeUsers';
      readonly pod: string;
      readonly uid: string;
      readonly users: readonly string[];
      /** Also those in the middle of a transaction. */
      readonly evenBusy: boolean;
    }
  /** Pauses, waits until no server is active, closes what clients are left. */
  | {
      readonly kind: 'endDrain';
      readonly pod: string;
      readonly uid: string;
      readonly databases: readonly string[];
      readonly deadlineMs: number;
    }
);

export type PlannedEvent = { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly note: string };

export type Plan = {
  readonly actions: readonly Action[];
  readonly status: PoolConfigStatus;
  readonly events: readonly PlannedEvent[];
  /** Undefined when nothing is under way: the next watch event or resync wakes the key. */
  readonly requeueAfterMs: number | undefined;
};
