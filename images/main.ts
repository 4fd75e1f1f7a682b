#!/usr/bin/env node
// Command line of the image builder: build, list, programs.
import { parseArgs } from 'node:util';
import { archiveFile, buildImage, IMAGE_NAMES, imageReference, type ImageName, type Naming } from './build.ts';
import { preparePrograms } from './programs.ts';

const USAGE = `usage: node images/main.ts build [--repo PREFIX] [--tag TAG] [operator] [pgbouncer] [postgres] [demo-client]
       node images/main.ts list [--repo PREFIX] [--tag TAG]
       node images/main.ts programs
IMAGE_REPO is another way to give --repo (default: poolsmith).`;

function isImageName(name: string): name is ImageName {
  return (IMAGE_NAMES as readonly string[]).includes(name);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { repo: { type: 'string' }, tag: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  const [command, ...names] = positionals;
  const naming: Naming = { repo: values.repo ?? process.env['IMAGE_REPO'] ?? 'poolsmith', tag: values.tag };
  const report = (line: string): void => {
    console.error(line);
  };
  const unknown = names.filter((name) => !isImageName(name));
  if (values.help === true || command === undefined || unknown.length > 0) {
    if (unknown.length > 0) report(`no image is called ${unknown.join(', ')}`);
    report(USAGE);
    return values.help === true ? 0 : 64;
  }
  switch (command) {
    case 'build':
      for (const name of names.length === 0 ? IMAGE_NAMES : names.filter(isImageName)) {
        const started = performance.now();
        const { reference, file, sizeBytes, current } = await buildImage(name, naming, report);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        console.log(
          `${reference} → ${file}, ${(sizeBytes / 1e6).toFixed(1)} MB, ${seconds} s${current ? ', was current' : ''}`,
        );
      }
      return 0;
    case 'list':
      for (const name of IMAGE_NAMES) console.log(`${imageReference(name, naming)} → ${archiveFile(name)}`);
      return 0;
    case 'programs':
      console.log(JSON.stringify(await preparePrograms(report)));
      return 0;
    default:
      report(USAGE);
      return 64;
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
