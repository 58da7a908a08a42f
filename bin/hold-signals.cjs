/**
 * Loaded by Node before the program: from here on SIGUSR1 and SIGUSR2 no longer do what they do by default, which is to end the process.
 * The listeners stay until the end, so that there is no moment without one; who has something to say about a signal adds another.
 */
'use strict';

const { isMainThread } = require('node:worker_threads');

if (isMainThread) {
  for (const signal of ['SIGUSR1', 'SIGUSR2']) process.on(signal, () => {});
  // The launcher's, and of no use to anybody from here on.
  const others = (process.env.LD_PRELOAD ?? '').split(':').filter((path) => !/\/native\/lychgate\.[\w-]+\.node$/.test(path));
  if (others.join('') === '') delete process.env.LD_PRELOAD;
  else process.env.LD_PRELOAD = others.join(':');
}
