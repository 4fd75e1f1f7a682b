// What the parts of the simulated world know of each other: calls that a fault may strike, the processes in pods, and the disks they read.

/** One call of an operator to something outside of itself: the place where faults strike. */
export type Call = {
  readonly to: 'api' | 'console' | 'login' | 'server';
  /**
   * api: get, list, watch, create, apply, patch, update, delete. console: read, pools, databases, clients, servers, loadFile, reload, set, pause,
   * resume, killClient. login: userlist, serverLogin. server: observe, tryLogins.
   */
  readonly verb: string;
  /** api: `Kind/name`, or `Kind` for list and watch. console and login: the pod's name. server: the host. */
  readonly target: string;
  /** It changes something outside. */
  readonly writes: boolean;
};

/** What becomes of a call. `arrives` false: the other side never hears of it. */
export type Fate = {
  /** Virtual time until it arrives, and again as much until its answer is back. */
  readonly delayMs: number;
  /** Where the way back takes another time than the way there. */
  readonly answerDelayMs?: number;
  readonly arrives: boolean;
  /** `lost`: the caller gets an error as of a broken connection. `never`: the caller is dead, its promise stays pending for ever. */
  readonly answer: 'given' | 'lost' | 'never';
};

/** Asked once at the start of each call. */
export type FateOf = (call: Call) => Fate;

export const GOOD_FATE: Fate = { delayMs: 1, arrives: true, answer: 'given' };

/** The files of one container as the kubelet has projected them so far. */
export type PodDisk = { readonly read: (path: string) => string | undefined };

export type PoolerStart = {
  readonly pod: string;
  readonly uid: string;
  readonly ip: string;
  readonly containerId: string;
  readonly disk: PodDisk;
  /** Called once, when the process has ended by itself or by a signal. */
  readonly onExit: (exitCode: number) => void;
};

export type RunningPooler = {
  /** SIGTERM is PgBouncer's wait-for-clients: no new client, and the end when the last one has gone. SIGKILL ends at once and leaves backends. */
  readonly signal: (name: 'SIGTERM' | 'SIGKILL') => void;
};

/** How a container's process comes to life; throws when the process would exit at once. */
export type StartPooler = (start: PoolerStart) => RunningPooler;

/** A pod that the Service sends new connections to. */
export type Endpoint = { readonly pod: string; readonly uid: string; readonly ip: string };
