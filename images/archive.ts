// Image archives: layers and docker-archives written byte for byte the same from the same content, without any daemon.
import { createHash } from 'node:crypto';
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { mkdirSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';

/** One thing in a layer. `path` is relative to the image's root, without a leading slash. */
export type Entry = Readonly<
  { path: string; mode: number } & (
    | { type: 'folder' }
    | { type: 'symlink'; target: string }
    | { type: 'file'; content: Buffer }
    | { type: 'file'; source: string; sizeBytes: number }
  )
>;

/** A layer tar on disk. `diffId` is `sha256:…` of its bytes. */
export type Layer = Readonly<{ file: string; diffId: string; sizeBytes: number; createdBy: string }>;

/** What a container of the image runs, in Docker's own field names. */
export type ImageSettings = Readonly<{
  User: string;
  Entrypoint: readonly string[];
  Cmd?: readonly string[];
  Env: readonly string[];
  WorkingDir: string;
  Labels: Readonly<Record<string, string>>;
  StopSignal?: string;
  ExposedPorts?: Readonly<Record<string, Record<string, never>>>;
}>;

const BLOCK_BYTES = 512;
const CHUNK_BYTES = 4 * 1024 * 1024;

export function folder(path: string, mode = 0o755): Entry {
  return { type: 'folder', path, mode };
}

export function symlink(path: string, target: string): Entry {
  return { type: 'symlink', path, mode: 0o777, target };
}

export function textFile(path: string, text: string, mode = 0o644): Entry {
  return { type: 'file', path, mode, content: Buffer.from(text) };
}

/** A file copied from this machine; only its executable bit is kept, so that no umask reaches the image. */
export function copiedFile(path: string, source: string): Entry {
  const status = statSync(source);
  return { type: 'file', path, mode: (status.mode & 0o111) === 0 ? 0o644 : 0o755, source, sizeBytes: status.size };
}

/** Everything under a folder of this machine, placed at `at`; `keep` sees paths relative to the folder. */
export function copiedFolder(from: string, at: string, keep: (path: string) => boolean = () => true): Entry[] {
  const entries: Entry[] = [folder(at)];
  const visit = (relative: string): void => {
    for (const item of readdirSync(join(from, relative), { withFileTypes: true })) {
      const path = posix.join(relative, item.name);
      if (!keep(path)) continue;
      if (item.isDirectory()) {
        entries.push(folder(posix.join(at, path)));
        visit(path);
      } else if (item.isSymbolicLink()) {
        entries.push(symlink(posix.join(at, path), readlinkSync(join(from, path))));
      } else if (item.isFile()) {
        entries.push(copiedFile(posix.join(at, path), join(from, path)));
      }
    }
  };
  visit('');
  return entries;
}

/** Sorted, with every missing parent folder added; of two entries for one path the later one wins. */
export function orderedEntries(entries: readonly Entry[]): Entry[] {
  const byPath = new Map<string, Entry>();
  for (const entry of entries) byPath.set(entry.path, entry);
  for (const { path } of entries) {
    for (let parent = posix.dirname(path); parent !== '.'; parent = posix.dirname(parent)) {
      if (!byPath.has(parent)) byPath.set(parent, folder(parent));
    }
  }
  return [...byPath.values()].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** Writes a layer; everything belongs to root and dates from 1970. */
export function writeLayer(entries: readonly Entry[], file: string, createdBy: string): Layer {
  const { sha256, sizeBytes } = writeTar(orderedEntries(entries), file);
  return { file, diffId: `sha256:${sha256}`, sizeBytes, createdBy };
}

/** Writes an archive for `docker load`, `podman load`, `ctr images import` and `kind load image-archive`; answers its size. */
export function writeDockerArchive(
  file: string,
  repoTag: string,
  architecture: 'amd64' | 'arm64',
  settings: ImageSettings,
  layers: readonly Layer[],
): number {
  const created = new Date(0).toISOString();
  const config = JSON.stringify({
    architecture,
    os: 'linux',
    created,
    config: settings,
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.diffId) },
    history: layers.map((layer) => ({ created, created_by: layer.createdBy })),
  });
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`;
  const layerName = (layer: Layer): string => `${layer.diffId.replace('sha256:', '')}.tar`;
  const manifest = [{ Config: configName, RepoTags: [repoTag], Layers: layers.map(layerName) }];
  return writeTar(
    [
      textFile('manifest.json', JSON.stringify(manifest)),
      textFile(configName, config),
      ...layers.map((layer) => copiedFile(layerName(layer), layer.file)),
    ],
    file,
  ).sizeBytes;
}

function writeTar(entries: readonly Entry[], file: string): { sha256: string; sizeBytes: number } {
  mkdirSync(dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}.partial`;
  const output = openSync(partial, 'w');
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const write = (bytes: Buffer): void => {
    hash.update(bytes);
    writeSync(output, bytes);
    sizeBytes += bytes.length;
  };
  const pad = (): void => {
    const rest = sizeBytes % BLOCK_BYTES;
    if (rest !== 0) write(Buffer.alloc(BLOCK_BYTES - rest));
  };
  try {
    for (const entry of entries) {
      for (const block of headers(entry)) write(block);
      if (entry.type !== 'file') continue;
      if ('content' in entry) write(entry.content);
      else copyContent(entry.source, entry.sizeBytes, write);
      pad();
    }
    write(Buffer.alloc(2 * BLOCK_BYTES));
  } finally {
    closeSync(output);
  }
  renameSync(partial, file);
  return { sha256: hash.digest('hex'), sizeBytes };
}

function copyContent(source: string, sizeBytes: number, write: (bytes: Buffer) => void): void {
  const input = openSync(source, 'r');
  try {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(sizeBytes, 1)));
    for (let left = sizeBytes; left > 0;) {
      const read = readSync(input, chunk, 0, Math.min(chunk.length, left), null);
      if (read === 0) throw new Error(`while archiving ${source}: it became shorter`);
      write(chunk.subarray(0, read));
      left -= read;
    }
  } finally {
    closeSync(input);
  }
}

function headers(entry: Entry): Buffer[] {
  const target = entry.type === 'symlink' ? entry.target : '';
  const name = entry.type === 'folder' ? `${entry.path}/` : entry.path;
  const size = entry.type !== 'file' ? 0 : 'content' in entry ? entry.content.length : entry.sizeBytes;
  const kind = { folder: '5', symlink: '2', file: '0' }[entry.type];
  const long = [
    ...(Buffer.byteLength(name) > 100 ? [paxRecord('path', name)] : []),
    ...(Buffer.byteLength(target) > 100 ? [paxRecord('linkpath', target)] : []),
  ].join('');
  const blocks: Buffer[] = [];
  if (long !== '') {
    const body = Buffer.alloc(Math.ceil(Buffer.byteLength(long) / BLOCK_BYTES) * BLOCK_BYTES);
    body.write(long);
    blocks.push(header('pax', 0o644, Buffer.byteLength(long), 'x', ''), body);
  }
  blocks.push(header(name, entry.mode, size, kind, target));
  return blocks;
}

/** A pax record counts its own length, digits included. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length > length) length += 1;
  return `${length} ${key}=${value}\n`;
}

function header(name: string, mode: number, size: number, kind: string, target: string): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, at: number, width: number): void => {
    block.write(value.toString(8).padStart(width - 1, '0'), at);
  };
  Buffer.from(name).copy(block, 0, 0, 100);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.write('        ', 148);
  block.write(kind, 156);
  Buffer.from(target).copy(block, 157, 0, 100);
  block.write('ustar\x0000', 257);
  block.write(
    `${[...block]
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return block;
}

/** The short digest that names cached things by their content. */
export function contentKey(...parts: readonly (string | Buffer)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  return hash.digest('hex').slice(0, 16);
}

/** A key over names, modes and bytes of entries: equal exactly when the layer would be. */
export function entriesKey(entries: readonly Entry[]): string {
  return contentKey(
    ...orderedEntries(entries).flatMap((entry) => {
      const bytes =
        entry.type === 'file'
          ? 'content' in entry
            ? entry.content
            : readFileSync(entry.source)
          : entry.type === 'symlink'
            ? entry.target
            : '';
      return [`${entry.type} ${entry.mode} ${entry.path}`, bytes];
    }),
  );
}
