/** The entry: arguments become a command. */

import { fileURLToPath } from 'node:url';
import { startClean } from './cli/clean-start.ts';

startClean(fileURLToPath(import.meta.url));

// A reader that has seen enough (`lychgate config docs | head`) closes the pipe; that is no
// failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

const { main } = await import('./cli/index.ts');
await main(process.argv.slice(2));
