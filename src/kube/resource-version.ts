// The order of two versions of one resource type (KEP-5504). The only place that looks inside a resourceVersion.

const DECIMAL = /^[1-9][0-9]*$|^0$/;

/** Negative when `a` is older than `b`; undefined where the server's versions have no order we know. */
export function compareResourceVersions(a: string, b: string): number | undefined {
  if (a === b) {
    return 0;
  }
  if (!DECIMAL.test(a) || !DECIMAL.test(b)) {
    return undefined;
  }
  return a.length === b.length ? (a < b ? -1 : 1) : a.length - b.length;
}

export function isOlder(a: string, b: string): boolean {
  return (compareResourceVersions(a, b) ?? 0) < 0;
}
