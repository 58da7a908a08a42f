/**
 * The short form of `make fresh`: what require.sh and install.sh decide on bare Debians and on
 * partial ones. Nothing stands in for anything: the systems come from debootstrap, the packages
 * from Debian. `.ci/run` asks for it; `make test` does not, for it downloads.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { until } from '../support/wait.ts';
import { bareSystem, missingBase } from './bare.ts';

const MINUTE = 60_000;
t.setTimeout(20 * MINUTE);

const BUILD = ['cmake', 'g++', 'git', 'libclang-dev', 'make', 'npm', 'openssl', 'patch'];
const PEERS = ['chromium', 'debootstrap', 'nghttp2-server', 'prometheus', 'python3-venv', 'redis-server'];
const WEB = 'rustc-web cargo-web';
const skip: Readonly<Record<'bookworm' | 'trixie', string | false>> = {
  bookworm: await missingBase('bookworm'),
  trixie: await missingBase('trixie'),
};

for (const suite of ['bookworm', 'trixie'] as const) {
  t.test(
    `on a bare ${suite} everything is missing, and one command that apt accepts is named`,
    { skip: skip[suite], timeout: 10 * MINUTE },
    async (t) => {
      const bare = await bareSystem(t, suite, 'named');
      t.same(await bare.run('native/require.sh --check'), { status: 1, stdout: lines([...BUILD, 'rust >= 1.88']), stderr: '' });
      t.same(await bare.run('test/support/install.sh --check'), { status: 1, stdout: lines([...PEERS, 'aioquic']), stderr: '' });

      const packages = `${BUILD.join(' ')} ${WEB}`;
      const answer = {
        status: 1,
        stdout: '',
        stderr: lines([
          'require: please install, then run make again:',
          `    sudo apt-get update && sudo apt-get install -y ${packages}`,
          'require: Rust 1.88 or newer is needed, and there is none',
        ]),
      };
      const before = await bare.run('dpkg-query -W');
      await bare.run('rm -rf /var/lib/apt/lists/*');
      t.same(await bare.run('native/require.sh', { user: 'nobody' }), answer, 'apt was never asked for its lists');
      t.equal((await bare.run('apt-get update')).status, 0);
      t.same(await bare.run('native/require.sh', { user: 'nobody' }), answer, 'it was');
      t.equal((await bare.run(`apt-get install --simulate --no-install-recommends ${packages}`)).status, 0);

      const peers = await bare.run('LYCHGATE_CACHE=/tmp/cache test/support/install.sh', { user: 'nobody' });
      t.same(peers, {
        status: 0,
        stdout: lines([
          `peers: tests that need them are skipped; on Debian: sudo apt-get install -y ${PEERS.join(' ')}`,
          'peers: no aioquic (pip, venv); tests that need it are skipped',
        ]),
        stderr: '',
      });
      t.equal((await bare.run(`apt-get install --simulate --no-install-recommends ${PEERS.join(' ')}`)).status, 0);
      t.same(await bare.run('dpkg-query -W'), before, 'who is not root installs nothing');
    },
  );
}

t.test(
  'where apt has no Rust that is new enough, rustup is named and nothing is fetched',
  { skip: skip.trixie, timeout: 10 * MINUTE },
  async (t) => {
    const bare = await bareSystem(t, 'trixie', 'rustup');
    const rust = async () => (await bare.run('native/require.sh', { user: 'nobody' })).stderr.split('\n').slice(1, -1);
    // Ubuntu has rustup and no rustc-web.
    bare.write('etc/apt/preferences.d/no-web', 'Package: rustc-web cargo-web\nPin: release *\nPin-Priority: -1\n');
    await bare.run('apt-get update');
    t.same(await rust(), [
      `    sudo apt-get update && sudo apt-get install -y ${BUILD.join(' ')}`,
      '    sudo apt-get install -y rustup && rustup default stable',
      'require: Rust 1.88 or newer is needed, and there is none',
    ]);

    t.equal((await bare.run('apt-get install -y --no-install-recommends rustup')).status, 0);
    t.equal((await rust())[1], '    rustup update stable && rustup default stable', 'rustup without a toolchain');
    t.equal((await bare.run('ls /root/.rustup/toolchains')).stdout, '');

    t.equal((await bare.run('apt-get purge -y rustup && apt-get install -y --no-install-recommends rustc cargo')).status, 0);
    bare.append('etc/apt/preferences.d/no-web', '\nPackage: rustup\nPin: release *\nPin-Priority: -1\n');
    const [, installer, reason] = await rust();
    t.match(installer, /sh\.rustup\.rs/);
    t.match(reason, /^require: Rust 1\.88 or newer is needed, and rustc 1\.85\./);
  },
);

t.test(
  'a Rust of the machine that is mounted where Debian has none is taken',
  { skip: skip.bookworm || noRust(), timeout: 10 * MINUTE },
  async (t) => {
    const bare = await bareSystem(t, 'bookworm', 'mounted');
    t.same((await bare.run('native/require.sh --check', { env: { FRESH_RUST: sysroot() } })).stdout, lines(BUILD));
  },
);

t.test('Fedora is told in its own words', { skip: skip.bookworm, timeout: 10 * MINUTE }, async (t) => {
  const bare = await bareSystem(t, 'bookworm', 'fedora');
  await bare.run('rm /etc/os-release');
  bare.write('etc/os-release', 'ID=fedora\nVERSION_ID=42\n');
  t.equal(
    (await bare.run('native/require.sh')).stderr.split('\n')[1],
    '    dnf install -y cmake gcc-c++ git clang-devel make npm openssl patch rust cargo',
  );
});

t.test('a run in a bare system that is ended leaves no process and no mount', { skip: skip.bookworm, timeout: 10 * MINUTE }, async (t) => {
  const bare = await bareSystem(t, 'bookworm', 'ended');
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    const run = bare.start('sleep 1000; true');
    await until('it runs', () => bare.processes() === 2, MINUTE);
    run.kill(signal);
    await until(`${signal} has ended it`, () => bare.processes() === 0, MINUTE);
    t.notMatch(readFileSync('/proc/self/mounts', 'utf8'), 'bookworm-ended');
  }
});

t.test(
  'root gets what is missing, and only a libclang that can be used passes for one',
  { skip: skip.bookworm, timeout: 15 * MINUTE },
  async (t) => {
    const bare = await bareSystem(t, 'bookworm', 'partial');
    const missing = async () => (await bare.run('native/require.sh --check')).stdout.split('\n').slice(0, -1);
    const install = async (packages: string) =>
      (await bare.run(`apt-get update && apt-get install -y --no-install-recommends ${packages}`)).status;

    t.equal(await install('g++ libclang-cpp14'), 0);
    t.same(
      await missing(),
      [...BUILD, 'rust >= 1.88'].filter((name) => name !== 'g++'),
      'the runtime of LLVM, and no libclang',
    );
    t.equal(await install('libclang1-14'), 0);
    t.ok((await missing()).includes('libclang-dev'), 'libclang without its own headers');

    const made = await bare.run('native/require.sh');
    t.same(made, {
      status: 0,
      stdout: lines([`require: installing ${BUILD.filter((name) => name !== 'g++').join(' ')}`, `require: installing ${WEB}`]),
      stderr: '',
    });
    t.same(await missing(), []);
    const noexec = await bare.run('mount -o remount,noexec /tmp && native/require.sh --check');
    t.same(noexec, { status: 0, stdout: '', stderr: '' }, 'nothing is run in /tmp');
    t.same(await bare.run('native/require.sh'), { status: 0, stdout: '', stderr: '' }, 'asked again it says and does nothing');

    t.equal(await install('rustc cargo'), 0);
    const old = await bare.run('native/require.sh');
    t.equal(old.status, 1);
    const [, command = '', reason] = old.stderr.split('\n').slice(-4);
    t.equal(command, `    apt-get update && apt-get install -y ${WEB}`);
    t.match(reason, /and rustc 1\.63\./, 'an older Rust is not taken away');
    t.equal((await bare.run(command)).status, 0);
    t.same(await missing(), [], 'the command that was named is the right one');

    const peers = await bare.run('test/support/install.sh');
    t.equal(peers.stdout, lines([`peers: installing ${PEERS.join(' ')}`]));
    t.same(await bare.run('test/support/install.sh --check'), { status: 0, stdout: '', stderr: '' });
  },
);

function lines(words: readonly string[]): string {
  return words.map((word) => `${word}\n`).join('');
}

function sysroot(): string {
  return spawnSync('rustc', ['--print', 'sysroot'], { encoding: 'utf8' }).stdout?.trim() ?? '';
}

function noRust(): string | false {
  return sysroot() === '' ? 'this machine has no rustc' : false;
}
