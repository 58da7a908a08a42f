import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { writeConfiguration } from '../config/support/configuration.ts';
import { plainCommand, plainEnvironment } from '../support/process.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/routing.md'), 'utf8');

t.test('the worked example and the files of routing.md say what lychgate says', async (t) => {
  const [configuration = '', ...files] = blocksOf('yaml');
  const folder = dirname(writeConfiguration(t, configuration));
  mkdirSync(join(folder, 'routes.d'));
  for (const file of files) writeFileSync(join(folder, /^# (.*)/.exec(file)?.[1] ?? ''), file);
  const blocks = blocksOf('console');
  t.ok(blocks.length > 3);
  for (const block of blocks) {
    const [command = '', ...output] = block.split('\n');
    t.equal(await run(folder, command.replace(/^\$ /, '')), output.join('\n'), command);
  }
});

/** Contents of the page's blocks of a language. */
function blocksOf(language: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, content = '']) => content);
}

/** Runs a command line as a shell would, with the checkout's own `lychgate`. */
function run(folder: string, command: string): Promise<string> {
  const program = join(import.meta.dirname, '../../bin');
  const env = plainEnvironment({ PATH: `${program}:${process.env['PATH']}` });
  return new Promise((resolve) => {
    execFile(...plainCommand('sh', ['-c', command]), { cwd: folder, env }, (_, stdout, stderr) => resolve(stdout + stderr));
  });
}
