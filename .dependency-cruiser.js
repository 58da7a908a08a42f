/**
 * The import table of the rooms under src/: imports point from composition to parts and down to `base`.
 * A room named here may import itself, what its row lists, and packages; types follow the same table.
 */
const rooms = {
  base: [],
  native: ['base', 'config'],
  record: ['base'],
  config: ['base'],
  lane: ['record', 'base', 'config'],
  observe: ['base', 'config', 'record', 'native'],
  control: ['base', 'config', 'native', 'observe', 'record', 'lane'],
  shard: ['base', 'config', 'native', 'observe', 'record', 'lane'],
  cli: ['base', 'config', 'control', 'native', 'observe', 'record', 'lane'],
};

/** The resilience parts are for other people's services: of ours they use what decides, and nothing of ours uses them. */
const library = [
  {
    name: 'resilience-imports',
    comment: 'src/resilience may import base, types of config, and what decides in the lane.',
    severity: 'error',
    from: { path: '^src/resilience/' },
    to: { path: '^src/', pathNot: ['^src/(resilience|base)/', '^src/lane/(standing|retry|admit|head)/', '^src/config/snapshot/'] },
  },
  {
    name: 'resilience-knows-config-by-type',
    severity: 'error',
    from: { path: '^src/resilience/' },
    to: { path: '^src/config/', dependencyTypesNot: ['type-only'] },
  },
  {
    name: 'resilience-is-for-others',
    comment: 'It is entered by the exports of the package.',
    severity: 'error',
    from: { path: '^src/', pathNot: ['^src/resilience/'] },
    to: { path: '^src/resilience/' },
  },
];

const rows = Object.entries(rooms).map(([room, allowed]) => ({
  name: `${room}-imports`,
  comment: `src/${room} may import ${allowed.length === 0 ? 'nothing of ours' : allowed.join(', ')}.`,
  severity: 'error',
  from: { path: `^src/${room}/` },
  to: { path: '^src/', pathNot: [`^src/(${[room, ...allowed].join('|')})/`, ...(room === 'control' ? ['^src/shard/port\\.ts$'] : [])] },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...rows,
    ...library,
    {
      name: 'addon-behind-its-door',
      comment: 'The addon is used by the main thread and the shard; observe knows the shape of its counters, as types only.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(native|control|cli|shard)/', '^src/edge\\.ts$'] },
      to: { path: '^src/native/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'parts-do-not-know-control',
      comment: 'Only commands compose the edge, and who embeds it.',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/(cli|control)/', '^src/(main|edge)\\.ts$'] },
      to: { path: '^src/control/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      comment: 'Types included: what two files know of each other belongs to one of them, or to a third.',
      severity: 'error',
      from: { path: '^src/' },
      to: { circular: true },
    },
    {
      name: 'no-orphans',
      comment: 'A file nobody imports is either an entry or forgotten.',
      severity: 'error',
      from: {
        path: '^src/',
        orphan: true,
        pathNot: ['^src/(main|edge)\\.ts$', '^src/shard/shard\\.ts$', '^src/resilience/(index|fastify|express)\\.ts$'],
      },
      to: {},
    },
    { name: 'resolvable', severity: 'error', from: { path: '^src/' }, to: { couldNotResolve: true } },
    {
      name: 'declared-dependencies',
      comment: 'What src uses is installed with the package.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.mjs', '.json'],
      conditionNames: ['import', 'node', 'default', 'types'],
      exportsFields: ['exports'],
    },
  },
};
