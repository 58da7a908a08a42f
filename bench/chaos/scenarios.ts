/** The scenarios: in which way one backend goes bad, and how it becomes well again. */

import type { Mode } from './backend.ts';
import type { Backend } from './backends.ts';

/** One way to misbehave. */
export interface Scenario {
  readonly key: string;
  readonly title: string;
  /** What the backend does, for the page. */
  readonly what: string;
  /** Makes the backend bad and gives what makes it well again. */
  begin(bad: Backend): Promise<() => Promise<void>>;
}

const FLAP_MS = 1_000;

/** A scenario in which the backend's process stays. */
function mode(key: string, title: string, what: string, bad: Mode): Scenario {
  return {
    key,
    title,
    what,
    begin: async (backend) => {
      backend.become(bad);
      return async () => backend.become('healthy');
    },
  };
}

/** In the order of the table. */
export const scenarios: readonly Scenario[] = [
  {
    key: 'killed',
    title: 'killed',
    what: 'Its process is killed; connections are cut, new ones refused.',
    begin: async (backend) => {
      await backend.kill();
      return () => backend.start();
    },
  },
  mode('slow', 'slow', 'Each answer takes a second more, probes of health included.', 'slow'),
  mode('errors', 'errors', 'Every answer is 500, probes of health included.', 'errors'),
  mode('some-errors', 'half errors', 'Every second answer is 500; probes of health find nothing wrong.', 'some-errors'),
  mode('resets', 'resets', 'Requests are taken and reset (RST_STREAM; with HTTP/1.1 the connection).', 'resets'),
  mode('black-hole', 'black hole', 'Connections and requests are taken, no answer comes.', 'black-hole'),
  {
    key: 'flaps',
    title: 'flaps',
    what: 'A second down (connections cut, new ones refused), a second up, and so on.',
    begin: async (backend) => {
      let isDown = true;
      backend.become('down');
      const timer = setInterval(() => {
        isDown = !isDown;
        backend.become(isDown ? 'down' : 'healthy');
      }, FLAP_MS);
      return async () => {
        clearInterval(timer);
        backend.become('healthy');
      };
    },
  },
];
