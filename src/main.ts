/** The entry: arguments become a command. */

import { main } from './cli/index.ts';

// A reader that has seen enough (`lychgate config docs | head`) closes the pipe; that is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});

await main(process.argv.slice(2));
