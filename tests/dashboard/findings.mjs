// SPDX-License-Identifier: MIT
//
// What the page finds in a status that needs attention: findings.mjs FOLDER, that of the page's scripts. No browser.
import assert from 'node:assert/strict';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {runInNewContext} from 'node:vm';

const scripts = ['text.js', 'past.js', 'attention.js'].map((name) => readFileSync(join(process.argv[2], name), 'utf8'));
const context = {};
runInNewContext(scripts.join('\n') + '\nglobalThis.find = (status) => findings(status, new Past());', context);

const turn = {plugin: 'com.example.turn', version: '2.0.0', generation: 7};
const well = {
  state: 'running', uptime_seconds: 60, pools: [], listeners: [], backends: [], workers: [], plugins: [], quarantined: [],
  slow_calls: [], supervisor: {deaths: 0, last_death: '', last_failure: ''}};

/** The only finding of a status that differs from a good one: [level, text, section]. */
function only(differs) {
  const found = context.find({...well, ...differs});
  assert.equal(found.length, 1, JSON.stringify(found));
  return [found[0].level, found[0].text, found[0].section];
}

const plugin = (kind, state, id = 'com.example.x') => ({plugins: [{kind, state, id, pool: kind === 'metrics_sink' ? undefined : 'web'}]});

assert.deepEqual([...context.find(well)], []);
assert.deepEqual([...context.find({...well, ...plugin('strategy', 'stands_in')})], []);  // told with what is quarantined

const quarantined = {...turn, reason: 'SIGSEGV at 0x8 in pick', since: new Date(Date.now() - 5000).toISOString()};
const [level, text, section] = only({quarantined: [quarantined]});
assert.deepEqual([level, section], ['bad', 'quarantined']);
assert.match(text, /^Plugin com\.example\.turn 2\.0\.0 was quarantined 5 s ago: SIGSEGV at 0x8 in pick\. Bring .* release it\.$/);

assert.deepEqual(only(plugin('strategy', 'stands_in', 'host')),
  ['warn', 'Pool web has no strategy of a plugin left: the balancer chooses by weight.', 'plugins-title']);
assert.deepEqual(only(plugin('health_checker', 'broken')),
  ['warn', 'Checker com.example.x of pool web is not called any more: connecting alone is the check.', 'plugins-title']);
assert.deepEqual(only(plugin('metrics_sink', 'broken')),
  ['warn', 'Sink com.example.x is not called any more: what it is for gets no figures.', 'plugins-title']);
assert.deepEqual(only({slow_calls: [{...turn, function: 'pick', thread: 'worker-1', seconds: 1.5}]}),
  ['bad', 'pick of plugin com.example.turn 2.0.0 has run for 2 s and has not come back, in thread worker-1.', 'plugins-title']);

// What is slow and what fails the status says.
const backend = (differs) => ({backends: [{
  pool: 'web', id: 'a', name: 'a', state: 'up', exchange_ms: {samples: 100, p50: 50, p95: 60, p99: 70}, error_share: 0.07,
  fails: false, slow: null, overrides: [], totals: {connect_failures: {}}, ...differs}]});
assert.deepEqual([...context.find({...well, ...backend({})})], []);
assert.match(only(backend({slow: {others_ms: 5, times: 10}}))[1],
  /^web\/a is slow: half of its answers take over 50.* ms, those of the others of its pool 5.* ms \(10 times\)$/);
assert.match(only(backend({fails: true}))[1], /^web\/a fails 7.*% of its clients$/);

const died = {supervisor: {deaths: 2, last_death: 'SIGKILL', last_failure: ''}};
assert.deepEqual(only(died),
  ['warn', 'Processes that died and were started again: 2, the last one: SIGKILL.', 'process-title']);
assert.deepEqual([...context.find({...well, ...died, uptime_seconds: 4000})], []);
assert.deepEqual([...context.find({...well, supervisor: null})], []);

// A refusal is told by what was refused, not by what was only warned of.
const refused = {last_reload: {result: 'failed', time: quarantined.since, lines: ['a:1: warning: odd', 'a:2: unknown key']}};
assert.match(only(refused)[1], /runs on: a:2: unknown key$/);

// Where the kernel forwards.
const kernel = {table: 'lemonade', up_to_date: true, asks: true, conntrack: {entries: 10, limit: 100}};
assert.deepEqual([...context.find({...well, kernel})], []);
assert.match(only({kernel: {...kernel, up_to_date: false}})[1], /^The table inet lemonade cannot be changed, .* the log says why\.$/);
assert.match(only({kernel: {...kernel, asks: false}})[1], /^The kernel asks nobody: .* the weights of the table inet lemonade\.$/);
assert.deepEqual(only({kernel: {...kernel, conntrack: {entries: 95, limit: 100}}}),
  ['bad', 'conntrack is nearly full, then new connections are dropped: 95 of net.netfilter.nf_conntrack_max = 100.', 'listeners-title']);
assert.equal(context.find({...well, state: 'draining', kernel: {...kernel, asks: false}}).length, 1);  // that it drains

// Worst first.
const both = context.find({...well, ...died, quarantined: [quarantined]});
assert.deepEqual(Array.from(both, (one) => one.level), ['bad', 'warn']);
console.log('what plugins have done is found');
