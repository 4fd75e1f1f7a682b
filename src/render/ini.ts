// Writes the configuration of one PgBouncer, boot.ini or live.ini, together with all that must read back equal.
import { hash as digest } from 'node:crypto';
import { POOLER_PORT } from '../model/names.ts';
import {
  CLIENT_TLS_MODES,
  SERVER_TLS_MODES,
  type OwnLines,
  type PoolerModel,
  type RenderedIni,
  type Sizes,
} from '../model/pooler-model.ts';
import { ADMIN_USER, PROOF_USER } from '../model/reserved-names.ts';
import { LIMIT_SETTINGS, LISTEN_SETTINGS, type FixedSetting } from '../model/settings/defaults.ts';
import { SETTINGS } from '../model/settings/table.ts';
import { parameterText } from '../model/settings/validate.ts';
import { renderDatabase } from './database-line.ts';
import { ownLifetimeSeconds } from './own-lifetime.ts';
import { peerId, peerLine, peerRows } from './peers.ts';
import { RenderError } from './render-error.ts';

export type IniPlace = {
  /** Where the mounted Secret is in the pod. */
  readonly secretsFolder: string;
  /** Only a PgBouncer outside of a pod listens anywhere else than on all addresses and port 6432. */
  readonly listen?: { readonly address: string; readonly port: number };
};

type Line = readonly [name: string, text: string];

/**
 * The same model, sizes, place and own lines give the same bytes.
 * `[databases]` comes first: its lines survive a refused line below them. In `[pgbouncer]` a refused line resets all that stands below it, so
 * logins and encryption stand high.
 * @throws RenderError when something can't be written so that PgBouncer reads exactly that.
 */
export function renderIni(model: PoolerModel, sizes: Sizes, place: IniPlace, own: OwnLines = {}): RenderedIni {
  const key = JSON.stringify([sizes, place, own.drainable, own.peering, own.patience]);
  const known = RENDERED.get(model) ?? new Map<string, RenderedIni>();
  RENDERED.set(model, known);
  const rendered = known.get(key) ?? render(model, sizes, place, own);
  known.set(key, rendered);
  return rendered;
}

/** A fleet asks for the same few texts at every look; they go with their model. */
const RENDERED = new WeakMap<PoolerModel, Map<string, RenderedIni>>();

function render(model: PoolerModel, sizes: Sizes, place: IniPlace, own: OwnLines): RenderedIni {
  const { drainable, peering, patience } = own;
  const entries = model.databases.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const twice = entries.find((entry, index) => entry.name === entries[index + 1]?.name);
  if (twice !== undefined) {
    throw new RenderError(
      `databases[${JSON.stringify(twice.name)}]`,
      'it is there twice, and PgBouncer would take the last',
    );
  }
  const databases = entries.map((entry) =>
    renderDatabase(
      entry,
      Object.hasOwn(sizes, entry.name) ? sizes[entry.name] : undefined,
      ownLifetimeSeconds(model, entry.name, drainable),
    ),
  );
  const lines: readonly Line[] = [
    ...listenLines(place),
    ...loginLines(model, place),
    ...encryptionLines(model, place),
    ['peer_id', String(peering === undefined ? 0 : peerId(peering.id))],
    ...LIMIT_SETTINGS.map(lineOf),
    ...settingLines(patience === true ? patient(model) : model),
  ];
  const peers = peerRows(peering);
  const body = [
    '[databases]',
    ...databases.map(({ line }) => line),
    '',
    ...(peers.length === 0 ? [] : ['[peers]', ...peers.map(peerLine), '']),
    '[pgbouncer]',
    ...lines.map(([name, text]) => `${name} = ${text}`),
    '',
  ].join('\n');
  const hash = digest('sha256', body).slice(0, 16);
  return {
    text: `${body}syslog_ident = ${hash}\n`,
    hash,
    config: new Map([...lines, ['syslog_ident', hash]]),
    databases: databases.map(({ expected }) => expected),
    peers,
  };
}

/** Longer than the longest pause. A fleet whose clients wait without end goes on so. */
const PATIENCE_SECONDS = 660;

/** The model with its query_wait_timeout raised, so that those who wait through a pause are not ended by it. */
function patient(model: PoolerModel): PoolerModel {
  const usual = Number(model.settings['query_wait_timeout'] ?? SETTINGS.get('query_wait_timeout')?.default);
  if (usual === 0 || usual >= PATIENCE_SECONDS) return model;
  return { ...model, settings: { ...model.settings, query_wait_timeout: String(PATIENCE_SECONDS) } };
}

function listenLines(place: IniPlace): readonly Line[] {
  const { address, port } = place.listen ?? { address: '*', port: POOLER_PORT };
  return [['listen_addr', address], ['listen_port', String(port)], ...LISTEN_SETTINGS.map(lineOf)];
}

function loginLines({ userlistFile, hbaFile }: PoolerModel, place: IniPlace): readonly Line[] {
  const authFile = ['auth_file', secretPath(place, userlistFile, 'userlistFile')] as const;
  return [
    ['admin_users', ADMIN_USER],
    ['stats_users', PROOF_USER],
    ...(hbaFile === undefined
      ? [['auth_type', 'scram-sha-256'] as const, authFile]
      : [['auth_type', 'hba'] as const, authFile, ['auth_hba_file', secretPath(place, hbaFile, 'hbaFile')] as const]),
  ];
}

function encryptionLines(model: PoolerModel, place: IniPlace): readonly Line[] {
  const { mode, caFile, certFile, keyFile } = model.serverTls;
  // The type says so, but a stored object can be of another version, and here nothing is quoted: a line break would be a new setting.
  if (!SERVER_TLS_MODES.includes(mode)) {
    throw new RenderError('serverTls.mode', `it must be one of ${SERVER_TLS_MODES.join(', ')}`);
  }
  if (caFile === undefined && (mode === 'verify-ca' || mode === 'verify-full')) {
    throw new RenderError(
      'serverTls.caFile',
      `it is missing, and with mode ${mode} every login to the server would fail`,
    );
  }
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new RenderError('serverTls.certFile', 'a certificate and its key are there both or not at all');
  }
  return [
    ...clientTlsLines(model, place),
    ['server_tls_sslmode', mode],
    ['server_tls_ca_file', caFile === undefined ? '' : secretPath(place, caFile, 'serverTls.caFile')],
    ...(certFile === undefined || keyFile === undefined
      ? []
      : [
          ['server_tls_cert_file', secretPath(place, certFile, 'serverTls.certFile')] as const,
          ['server_tls_key_file', secretPath(place, keyFile, 'serverTls.keyFile')] as const,
        ]),
    ['server_tls_protocols', 'secure'],
  ];
}

/** TLS 1.2 with forward secrecy and authenticated encryption alone; those of TLS 1.3 all have both. */
const CLIENT_CIPHERS = 'ECDHE+AESGCM:ECDHE+CHACHA20';

function clientTlsLines({ clientTls }: PoolerModel, place: IniPlace): readonly Line[] {
  if (clientTls === undefined) {
    return [
      ['client_tls_sslmode', 'disable'],
      ['client_tls_ca_file', ''],
    ];
  }
  const { caFile, mode } = clientTls;
  if (!CLIENT_TLS_MODES.includes(mode))
    throw new RenderError('clientTls.mode', `it must be one of ${CLIENT_TLS_MODES.join(', ')}`);
  const certFile = secretPath(place, clientTls.certFile, 'clientTls.certFile');
  return [
    ['client_tls_sslmode', mode],
    // Whoever shows a certificate is checked against it in every mode. Without any file PgBouncer takes the image's authorities, or exits at its start.
    ['client_tls_ca_file', caFile === undefined ? certFile : secretPath(place, caFile, 'clientTls.caFile')],
    ['client_tls_cert_file', certFile],
    ['client_tls_key_file', secretPath(place, clientTls.keyFile, 'clientTls.keyFile')],
    ['client_tls_protocols', 'secure'],
    ['client_tls_ciphers', CLIENT_CIPHERS],
  ];
}

function secretPath(place: IniPlace, file: string, field: string): string {
  if (!/^\/[A-Za-z0-9._/-]*$/.test(place.secretsFolder)) {
    throw new RenderError(
      'secretsFolder',
      'it must be an absolute path of letters, digits, dots, dashes and underscores',
    );
  }
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(file)) {
    throw new RenderError(field, 'it must be a file name of letters, digits, dots, dashes and underscores');
  }
  return `${place.secretsFolder}/${file}`;
}

/** Checked once more: a model can come from a record that an older or newer operator wrote. */
function settingLines(model: PoolerModel): readonly Line[] {
  return Object.entries(model.settings)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, text]) => {
      const setting = SETTINGS.get(name);
      const field = `settings[${JSON.stringify(name.toWellFormed())}]`;
      if (setting?.owner !== 'user') throw new RenderError(field, 'it is not a setting that users may set');
      try {
        return [name, parameterText(setting, text)] as const;
      } catch (error) {
        throw error instanceof RangeError ? new RenderError(field, error.message) : error;
      }
    });
}

function lineOf({ name, text }: FixedSetting): Line {
  return [name, text];
}
