/**
 * Network namespaces: real links between an edge and its client, with a router between them whose
 * links can be made narrow. A test file runs itself again inside a namespace of its own
 * (`inNamespace`), where it is root over links; `layLinks` then makes two namespaces more, for
 * router and client.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import type { Test } from 'tap';
import { until } from './wait.ts';

const MARK = 'LYCHGATE_TEST_NAMESPACE';

/** Whether this process is the one inside. */
export const isInside: boolean = process.env[MARK] !== undefined;

/** Root makes namespaces at once, others in a user namespace, where the kernel lets them. */
const entrance: readonly string[] = process.getuid?.() === 0 ? ['-n'] : ['-Urn'];

/** Why no namespaces can be made here; false when they can. For a test's `skip`. */
export const missingNamespaces: string | false = isInside ? false : reason();

function reason(): string | false {
  // The same steps as below, in small: a link into a further namespace, and forwarding allowed
  // there.
  const trial =
    'unshare -n sleep 5 & sleep 0.2; ip link add a0 type veth peer name b0 netns $! && nsenter -t $! -n sh -c "echo 1 > /proc/sys/net/ipv4/ip_forward"; code=$?; kill $!; exit $code';
  const { status, stderr, error } = spawnSync('unshare', [...entrance, 'sh', '-c', trial], { encoding: 'utf8' });
  return status === 0 ? false : `no network namespaces here: ${error?.message ?? stderr.trim().split('\n')[0]}`;
}

/** Runs this test file inside a namespace; its exit code and what it said. */
export async function inNamespace(file: string): Promise<{ code: number | null; output: string }> {
  const child = spawn('unshare', [...entrance, process.execPath, file], {
    env: { ...process.env, [MARK]: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, output };
}

/** Links of an edge in this namespace: 10.7.1.1 here, a router, 10.7.2.1 at the client. */
export interface Links {
  /** What to put before a command so that it runs at the client. */
  readonly atClient: readonly string[];
  /**
   * Sets how long a frame may be on the edge's own link, or on the one from the router to the
   * client.
   */
  setMtu(link: 'edge' | 'client', bytes: number): void;
}

/** Address of the edge on its link. */
export const EDGE_ADDRESS = '10.7.1.1';

/** Makes router and client; they end with the test. */
export async function layLinks(t: Test): Promise<Links> {
  const [router, client] = [await makeNamespace(t), await makeNamespace(t)];
  const at = (holder: ChildProcess): string[] => ['nsenter', '-t', `${holder.pid}`, '-n'];
  const here = (line: string): void => run(line.split(' '));
  const there = (holder: ChildProcess, line: string): void => run([...at(holder), ...line.split(' ')]);
  here('ip link set lo up');
  here(`ip link add e0 type veth peer name r0 netns ${router.pid}`);
  here(`ip addr add ${EDGE_ADDRESS}/24 dev e0`);
  here('ip link set e0 up');
  here('ip route add default via 10.7.1.2');
  there(router, `ip link add r1 type veth peer name c0 netns ${client.pid}`);
  for (const line of ['addr add 10.7.1.2/24 dev r0', 'addr add 10.7.2.2/24 dev r1', 'link set r0 up', 'link set r1 up'])
    there(router, `ip ${line}`);
  run([...at(router), 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  for (const line of ['addr add 10.7.2.1/24 dev c0', 'link set c0 up', 'route add default via 10.7.2.2']) there(client, `ip ${line}`);
  t.teardown(() => here('ip link del e0'));
  return {
    atClient: at(client),
    setMtu: (link, bytes) => {
      if (link === 'edge') here(`ip link set e0 mtu ${bytes}`);
      else there(router, `ip link set r1 mtu ${bytes}`);
    },
  };
}

/** A process that holds a namespace open. */
async function makeNamespace(t: Test): Promise<ChildProcess> {
  const holder = spawn('unshare', ['-n', 'sleep', 'infinity'], { stdio: 'ignore' });
  t.teardown(() => holder.kill('SIGKILL'));
  const space = (pid: number | string): string => readlinkSync(`/proc/${pid}/ns/net`);
  await until('a namespace', () => space(holder.pid ?? 0) !== space('self'));
  return holder;
}

function run(command: readonly string[]): void {
  const [program = '', ...parameters] = command;
  const { status, stderr, error } = spawnSync(program, parameters, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: ${error?.message ?? stderr}`);
}
