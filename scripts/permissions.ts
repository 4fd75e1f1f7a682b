// What the operator may do and why: the list behind the chart's roles and the tables of docs/rbac.md.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { markdownTable, withSection } from './marked-section.ts';

export const RBAC_FILE = new URL('../docs/rbac.md', import.meta.url);
const PERMISSIONS_FILE = new URL('../charts/poolsmith/files/permissions.yaml', import.meta.url);

export type Permission = {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  /** Only for the Lease of leader election. */
  readonly onlyLease?: boolean;
  readonly why: string;
};

export type Permissions = { readonly watched: readonly Permission[]; readonly own: readonly Permission[] };

export function readPermissions(): Permissions {
  return parse(readFileSync(PERMISSIONS_FILE, 'utf8')) as Permissions;
}

/** docs/rbac.md with its tables in it. */
export function renderRbac(): string {
  const { watched, own } = readPermissions();
  const document = withSection(readFileSync(RBAC_FILE, 'utf8'), 'watched', permissionTable(watched));
  return withSection(document, 'own', permissionTable(own));
}

function permissionTable(permissions: readonly Permission[]): string {
  const rows = permissions.map(({ apiGroups, resources, verbs, onlyLease, why }) => [
    apiGroups.map((group) => (group === '' ? 'core' : group)).join(', '),
    resources.join(', ') + (onlyLease === true ? ' (the one of `leaderElection.leaseName`)' : ''),
    verbs.join(', '),
    why,
  ]);
  return markdownTable(['API group', 'Resources', 'Verbs', 'Why'], rows);
}
