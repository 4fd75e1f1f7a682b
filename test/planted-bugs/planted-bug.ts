// What a planted bug is: a rule, an edit of one source file that breaks it, and the tests that must notice.

/** Mocha: the tests of one file whose full title contains these words. */
export type TestsOf = { readonly tests: string; readonly named: string };
/** The simulation: so many random histories from one seed. */
export type Histories = { readonly histories: number; readonly seed: number };
export type Catcher = TestsOf | Histories;

/** Enough for a bug that any busy history shows. */
export const SIMULATED: Histories = { histories: 20, seed: 1 };

export type PlantedBug = {
  readonly name: string;
  /** The rule or invariant that it breaks, in words. */
  readonly rule: string;
  readonly file: string;
  /** Exact text of the file that occurs there once. */
  readonly find: string;
  readonly replace: string;
  /** Each of these must notice it. */
  readonly caughtBy: readonly [Catcher, ...Catcher[]];
};

export function isSimulated(catcher: Catcher): catcher is Histories {
  return 'histories' in catcher;
}

export function catcherName(catcher: Catcher): string {
  return isSimulated(catcher)
    ? `simulation, ${catcher.histories} histories from seed ${catcher.seed}`
    : `${catcher.tests} “${catcher.named}”`;
}
