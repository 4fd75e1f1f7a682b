// Everything the operator knows about one PoolConfig at one moment: the only input of planning.
import type { PoolConfig } from '../api/poolconfig.gen.ts';
import type { WorkloadFacts } from '../sizing/demand.ts';
import type { DrainMark, Grant } from './grant.ts';
import type { KubeObject } from './kube-object.ts';
import type { PoolerView } from './pooler-view.ts';
import type { SecretText } from './secret-text.ts';
import type { ServerFault, ServerView } from './server-view.ts';

/** A referenced Secret as far as it could be read. */
export type SecretReading =
  { readonly state: 'present'; readonly data: ReadonlyMap<string, SecretText> } | { readonly state: 'missing' };

/** The operator's own credentials for a fleet's admin consoles. */
export type OperatorCredentials = { readonly adminPassword: SecretText; readonly proofKey: SecretText };

export type ContainerFacts = {
  /** Identity of the running container; a restart gives a new one. */
  readonly id: string | undefined;
  readonly running: boolean;
  readonly startedAtMs: number | undefined;
  readonly restartCount: number;
  /** Reason while waiting: ImagePullBackOff, CrashLoopBackOff, … */
  readonly waitingReason: string | undefined;
  readonly waitingMessage: string | undefined;
  readonly lastTerminatedAtMs: number | undefined;
};

export type PodFacts = {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly ip: string | undefined;
  readonly template: string;
  readonly ready: boolean;
  /** Carries the label that the Service selects on. */
  readonly serving: boolean;
  readonly createdAtMs: number;
  /** When deletion was asked for; undefined for a pod that is to stay. */
  readonly terminatingSinceMs: number | undefined;
  readonly unschedulable: string | undefined;
  /** Its containers have ended for good (phase Failed or Succeeded). */
  readonly finished: boolean;
  readonly container: ContainerFacts;
  readonly live: string | undefined;
  readonly grant: Grant | undefined;
  readonly drain: DrainMark | undefined;
  readonly nonce: string | undefined;
  readonly deletionCost: string | undefined;
  /** Taken out of the Service by a rebalancing, which puts it back. */
  readonly crowded: boolean;
};

/** The part of a pod template that is looked at; a rendered one fits as well. */
export type PodTemplateFacts = {
  readonly metadata?: {
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: Readonly<Record<string, unknown>>;
};

export type ReplicaSetFacts = {
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly template: string;
  readonly replicas: number;
  readonly observedReplicas: number;
  readonly terminating: boolean;
  /** What its pods are made from, with the API server's defaults. */
  readonly podTemplate: PodTemplateFacts;
  /** What the ReplicaSet controller says when it can't create pods (quota, admission). */
  readonly replicaFailure: string | undefined;
};

/**
 * How the last login through a pod to the server behind it ended. `untried`: no user with a plain password, or not asked yet. `paused`: it can't be
 * tried before the pod is resumed.
 */
export type ServerProof = 'proved' | 'untried' | 'paused' | 'PoolerRefused' | ServerFault;

/** A RELOAD that PgBouncer refused: the hash of the live.ini it was for, its words, and when. */
export type LoadRefusal = { readonly ini: string; readonly message: string; readonly atMs: number };

/** The one address that the server's host leads to, and since when. */
export type ServerAddress = { readonly address: string; readonly sinceMs: number };

/** What a pod's admin console answered. */
export type PoolerReading =
  | {
      readonly ok: true;
      readonly view: PoolerView;
      /** The proving user could log in with the password that belongs to the userlist of the pod's live.ini. */
      readonly userlistProved: boolean;
      readonly serverProof: ServerProof;
      /** Clients are shown the certificate that its live.ini names; absent where that names none, or was not tried. */
      readonly certificateShown?: boolean;
      /** Users that its userlist lets in no more and that still have clients. */
      readonly lingering?: readonly string[];
      /** It ran its live.ini in this very container and now runs boot.ini: the container was replaced, and the API does not say so yet. */
      readonly restartedUnseen?: boolean;
      /** Its live.ini was in force once, so the file is there: a RELOAD that is refused speaks of what it says. */
      readonly ranLive?: boolean;
      /** Databases with connections to a server that the host does not lead to any more, and how often they were told so. */
      readonly strays?: { readonly databases: readonly string[]; readonly tries: number };
      /** It had server connections a moment ago and has none. */
      readonly lostServers?: boolean;
      /** Of the last attempt to load live.ini. */
      readonly refusal: LoadRefusal | undefined;
    }
  | { readonly ok: false; readonly fault: 'unreachable' | 'authentication' | 'timeout' | 'protocol' };

/** Another PoolConfig on the same server; `connections` is what it declares to spend. */
export type Neighbour = {
  readonly key: string;
  readonly connections: number;
  /** The operator keeps a monitor connection for it. */
  readonly monitored?: boolean;
};

/** A trial login of one user straight at the server, made before any pod is told of a new server or password. */
export type LoginTrial = { readonly user: string; readonly database: string; readonly outcome: 'ok' | ServerFault };

export type Observation = {
  readonly nowMs: number;
  /** Leadership epoch of the operator that observes. */
  readonly epoch: number;
  readonly pool: PoolConfig;
  readonly defaultImage: string;
  /** Keyed by Secret name; only referenced ones. */
  readonly secrets: ReadonlyMap<string, SecretReading>;
  readonly credentials: OperatorCredentials | undefined;
  /** Keyed `Kind/name`; a referenced workload that does not exist is absent. */
  readonly workloads: ReadonlyMap<string, WorkloadFacts>;
  /** Undefined without monitorSecretRef (or while its credentials are unusable). */
  readonly server: ServerView | undefined;
  readonly trials: readonly LoginTrial[];
  /** Children as they are, keyed `Kind/name`. */
  readonly children: ReadonlyMap<string, KubeObject>;
  readonly replicaSets: readonly ReplicaSetFacts[];
  readonly pods: readonly PodFacts[];
  /** Names of disruption budgets of others that choose pods of the fleet. */
  readonly budgetsOfOthers?: readonly string[];
  /** Since when the server's host leads to the one address that it leads to now; undefined where that is not known. */
  readonly leadsSinceMs?: number;
  /** Keyed by pod uid. */
  readonly poolers: ReadonlyMap<string, PoolerReading>;
  readonly neighbours: readonly Neighbour[];
  /** Where the connections of neighbours come from, and those of pods whose PoolConfig is gone already. */
  readonly fleetAddresses?: readonly string[];
  /** Backends that PostgreSQL still runs for a pod although its pooler has none such, in more than one look; keyed by pod uid, none left out. */
  readonly orphans?: ReadonlyMap<string, number>;
};
