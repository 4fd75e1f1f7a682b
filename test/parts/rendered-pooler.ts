// A real PgBouncer that runs exactly what the operator renders: userlist, configuration and all.
import pg from 'pg';
import { contentHash } from '../../src/model/canonical.ts';
import type {
  ClientTls,
  ClientTlsMode,
  DatabaseEntry,
  Peering,
  PoolerModel,
  RenderedIni,
  ServerTlsFiles,
  ServerTlsMode,
  Sizes,
} from '../../src/model/pooler-model.ts';
import { ADMIN_USER } from '../../src/model/reserved-names.ts';
import { SecretText } from '../../src/model/secret-text.ts';
import { pooledSettings } from '../../src/model/settings/defaults.ts';
import { AdminConsole } from '../../src/pgbouncer/console.ts';
import { renderHba, type HbaLine } from '../../src/render/hba.ts';
import { renderIni } from '../../src/render/ini.ts';
import { renderUserlist, type UserlistUser } from '../../src/render/userlist.ts';
import type { Certificate } from '../support/certificates.ts';
import { startPgbouncer, type PgbouncerServer } from '../support/servers.ts';

export const HOST = '127.0.0.1';
export const KEYS = {
  adminPassword: new SecretText('admin-password'),
  proofKey: new SecretText('0123456789abcdef0123456789abcdef'),
};
export const APP: UserlistUser = { name: 'app', secret: new SecretText('app-password') };

/** A PgBouncer that runs what the operator renders, and the console to it. */
export type RenderedPooler = AsyncDisposable & {
  readonly server: PgbouncerServer;
  readonly console: AdminConsole;
  /** Writes users and configuration, reloads, and gives what must read back. */
  readonly load: (changes: Changes) => Promise<RenderedIni>;
};

type Changes = {
  readonly databases?: readonly DatabaseEntry[];
  readonly settings?: PoolerModel['settings'];
  readonly users?: readonly UserlistUser[];
  readonly removed?: readonly string[];
  readonly size?: number;
  /** Sizes that differ from `size`. */
  readonly sizes?: Sizes;
  /** Databases that a drain by lifetime is to reach; all where it is left out. */
  readonly drainable?: readonly string[];
  readonly peering?: Peering;
  readonly clientTls?: {
    readonly mode: ClientTlsMode;
    readonly certificate: Pick<Certificate, 'certificate' | 'key'>;
    /** PEM text of who signs the certificates of clients. */
    readonly authority?: string;
  };
  readonly serverTls?: {
    readonly mode: ServerTlsMode;
    /** Shown to PostgreSQL. */
    readonly certificate?: Pick<Certificate, 'certificate' | 'key'>;
    /** PEM text of who signs PostgreSQL's certificate. */
    readonly authority?: string;
  };
  readonly hba?: readonly HbaLine[];
  /** Where the peers listen: pods all have the same port and an address each, processes on loopback the other way round. */
  readonly peerPort?: (id: number) => number;
};

/** Named by content, as in the mounted Secret. */
function tlsFiles({ clientTls }: Changes): Omit<ClientTls, 'mode'> {
  const name = `client-${contentHash(clientTls?.certificate.certificate ?? '')}`;
  const authority = clientTls?.authority === undefined ? {} : { caFile: AUTHORITY_FILE };
  return { certFile: `${name}.crt`, keyFile: `${name}.key`, ...authority };
}

const AUTHORITY_FILE = 'client-ca.crt';

/** What the model says of TLS towards PostgreSQL, and the files that it names. */
function towardsServer({ serverTls }: Changes): { tls: ServerTlsFiles; files: ReadonlyMap<string, string> } {
  const { mode = 'disable', certificate, authority } = serverTls ?? {};
  const files = new Map<string, string>();
  const added = (name: string, text: string): string => {
    files.set(name, text);
    return name;
  };
  const name = `server-${contentHash(certificate ?? '')}`;
  const own =
    certificate === undefined
      ? {}
      : { certFile: added(`${name}.crt`, certificate.certificate), keyFile: added(`${name}.key`, certificate.key) };
  const ca = authority === undefined ? {} : { caFile: added(`server-ca-${contentHash(authority)}.crt`, authority) };
  return { tls: { mode, ...ca, ...own }, files };
}

/** A console for statements that the operator itself never gives; whoever opens it ends it. */
export async function openConsole({ server }: RenderedPooler): Promise<pg.Client> {
  const password = KEYS.adminPassword.reveal();
  const client = new pg.Client({ host: HOST, port: server.port, database: 'pgbouncer', user: ADMIN_USER, password });
  await client.connect();
  return client;
}

/** All users that PgBouncer knows; it forgets none before it ends. */
export async function usersOf(console: pg.Client): Promise<readonly string[]> {
  return (await console.query<{ name: string }>('SHOW USERS')).rows.map(({ name }) => name).sort();
}

export async function startRendered(): Promise<RenderedPooler> {
  const render = (changes: Changes, dir: string, port: number) => {
    const hba = changes.hba === undefined ? undefined : renderHba(changes.hba);
    const userlist = renderUserlist(changes.users ?? [APP], KEYS, changes.removed, hba?.fileName);
    const databases = changes.databases ?? [];
    const model: PoolerModel = {
      databases,
      userlistFile: userlist.fileName,
      ...(hba === undefined ? {} : { hbaFile: hba.fileName }),
      serverTls: towardsServer(changes).tls,
      ...(changes.clientTls === undefined ? {} : { clientTls: { mode: changes.clientTls.mode, ...tlsFiles(changes) } }),
      settings: changes.settings ?? pooledSettings({}, 10),
    };
    const sizes: Sizes = Object.fromEntries(
      databases.map(({ name }) => [name, changes.sizes?.[name] ?? changes.size ?? 5]),
    );
    const place = { secretsFolder: dir, listen: { address: HOST, port } };
    return { userlist, hba, ini: renderIni(model, sizes, place, changes) };
  };
  const first = renderUserlist([APP], KEYS);
  const server = await startPgbouncer({
    iniText: ({ dir, port }) => render({}, dir, port).ini.text,
    files: { [first.fileName]: first.text.reveal() },
  });
  const console = new AdminConsole({
    address: { host: HOST, port: server.port },
    user: ADMIN_USER,
    password: KEYS.adminPassword,
  });
  return {
    server,
    console,
    load: async (changes) => {
      const { userlist, hba, ini } = render(changes, server.dir, server.port);
      await server.writeFile(userlist.fileName, userlist.text.reveal());
      if (hba !== undefined) await server.writeFile(hba.fileName, hba.text.reveal());
      const { peerPort, clientTls } = changes;
      for (const [file, text] of towardsServer(changes).files) await server.writeFile(file, text);
      if (clientTls !== undefined) {
        const { certFile, keyFile } = tlsFiles(changes);
        await server.writeFile(certFile, clientTls.certificate.certificate);
        await server.writeFile(keyFile, clientTls.certificate.key);
        if (clientTls.authority !== undefined) await server.writeFile(AUTHORITY_FILE, clientTls.authority);
      }
      const text = ini.text.replaceAll(/^(\d+) = host=(\S+) port=\d+/gm, (line, id: string, host: string) =>
        peerPort === undefined ? line : `${id} = host=${host} port=${peerPort(Number(id))}`,
      );
      await server.writeFile('pgbouncer.ini', text);
      await console.reload();
      return ini;
    },
    [Symbol.asyncDispose]: async () => {
      await console.close();
      await server.stop();
    },
  };
}
