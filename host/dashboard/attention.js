// SPDX-License-Identifier: MIT
//
// What an operator should look at first: found in one status and in what went before, worst first.

const kLagMillis = 100;
const kNearlyFull = 0.9;
const kDeathSeconds = 3600;  // for which the next process tells of it

function backendFindings(status, past) {
  const found = [];
  const add = (level, backend, text) =>
    found.push({level, text: backend.pool + '/' + backend.name + ' ' + text, backend: backendKey(backend)});
  for (const one of status.backends)
    if (one.slow)
      add('warn', one, 'is slow: half of its answers take over ' + millisText(one.exchange_ms.p50) + ', those of the others of its pool ' +
          millisText(one.slow.others_ms) + ' (' + Math.round(one.slow.times) + ' times)');
  for (const one of status.backends) {
    const kinds = past.failures(one).map(([kind, count]) => count + ' ' + kind).join(', ');
    if (one.state === 'down') add('bad', one, 'is down' + because(one));
    else if (one.state === 'ejected') add('bad', one, 'is ejected' + because(one));
    else if (one.state === 'unresolved') add('bad', one, 'has no address: its name does not resolve');
    else if (one.fails)
      add('bad', one, 'fails ' + shareText(one.error_share) + ' of its clients' + (kinds ? ': ' + kinds : ''));
    else if (kinds) add('warn', one, 'has failures: ' + kinds + ' in the last two minutes');
    for (const change of one.overrides || []) add('info', one, 'is changed: ' + overrideText(change));
  }
  return found;
}

function because(backend) {
  return (backend.since ? ' for ' + durationText((Date.now() - Date.parse(backend.since)) / 1000) : '') +
         (backend.reason ? ': ' + backend.reason : '');
}

function processFindings(status) {
  const found = [];
  const add = (level, text, section) => found.push({level, text, section});
  if (status.state !== 'running') add('info', 'The balancer is ' + status.state + '.', 'process-title');
  for (const pool of status.pools) {
    if (!pool.ready) add('bad', 'Pool ' + pool.name + ' has no backend that may be used: its clients are turned away.', 'pools');
    else if (pool.queued > 0) add('warn', pool.queued + ' clients wait for a place at a backend of pool ' + pool.name + '.', 'pools');
  }
  for (const one of status.listeners)
    if (one.max_connections > 0 && one.sessions >= one.max_connections)
      add('warn', 'Listener ' + one.name + ' is full: ' + one.sessions + ' of ' + one.max_connections + ' clients, further ones wait.', 'listeners-title');
  const reload = status.last_reload;
  if (reload && reload.result === 'failed')
    add('bad', 'The last reload was refused ' + agoText(reload.time) + ', the configuration before it runs on: ' +
        (reload.lines.find((line) => !line.includes(': warning: ')) || reload.lines[0] || ''), 'reload-title');
  if (status.supervisor && status.supervisor.last_failure)
    add('warn', 'The last upgrade failed: ' + status.supervisor.last_failure, 'process-title');
  const descriptors = status.descriptors;
  if (descriptors && descriptors.open > kNearlyFull * descriptors.limit)
    add('warn', descriptors.open + ' of ' + descriptors.limit + ' descriptors are open: raise the limit (LimitNOFILE, ulimit -n).', 'process-title');
  const lag = Math.max(status.control_lag_ms || 0, ...status.workers.map((one) => one.lag_ms || 0));
  if (lag > kLagMillis) add('warn', 'A thread was held up for ' + millisText(lag) + ': a plugin that takes long, or a machine that is busy.', 'process-title');
  return found;
}

/** What is wrong where the kernel forwards. While it stops, nobody is to be asked. */
function forwardingFindings(status) {
  const found = [];
  const add = (level, text) => found.push({level, text, section: 'listeners-title'});
  const kernel = status.kernel;
  if (!kernel || status.state !== 'running') return found;
  if (!kernel.up_to_date)
    add('bad', 'The table inet ' + kernel.table + ' cannot be changed, so the kernel knows nothing new of backends: the log says why.');
  if (!kernel.asks) add('bad', 'The kernel asks nobody: new connections go by the weights of the table inet ' + kernel.table + '.');
  const conntrack = kernel.conntrack;
  if (conntrack && conntrack.entries > kNearlyFull * conntrack.limit)
    add('bad', 'conntrack is nearly full, then new connections are dropped: ' + conntrack.entries + ' of net.netfilter.nf_conntrack_max = ' +
        conntrack.limit + '.');
  return found;
}

/** What plugins have done, what stands in for them, and what died. */
function pluginFindings(status) {
  const found = [];
  const add = (level, text, section = 'plugins-title') => found.push({level, text, section});
  for (const one of status.quarantined)
    add('bad', 'Plugin ' + one.plugin + ' ' + one.version + ' was quarantined ' + agoText(one.since) + ': ' + one.reason +
        '. Bring another version of it, or release it.', 'quarantined');
  for (const one of status.plugins) {
    if (one.kind === 'strategy' && one.id === 'host')
      add('warn', 'Pool ' + one.pool + ' has no strategy of a plugin left: the balancer chooses by weight.');
    else if (one.kind === 'health_checker' && one.state === 'broken')
      add('warn', 'Checker ' + one.id + ' of pool ' + one.pool + ' is not called any more: connecting alone is the check.');
    else if (one.state === 'broken')
      add('warn', 'Sink ' + one.id + ' is not called any more: what it is for gets no figures.');
  }
  for (const one of status.slow_calls)
    add('bad', one.function + ' of plugin ' + one.plugin + ' ' + one.version + ' has run for ' + durationText(one.seconds) +
        ' and has not come back, in thread ' + one.thread + '.');
  const supervisor = status.supervisor;
  if (supervisor && supervisor.deaths > 0 && status.uptime_seconds < kDeathSeconds)
    add('warn', 'Processes that died and were started again: ' + supervisor.deaths + ', the last one: ' + supervisor.last_death + '.', 'process-title');
  return found;
}

function findings(status, past) {
  const order = {bad: 0, warn: 1, info: 2};
  return [...processFindings(status), ...forwardingFindings(status), ...pluginFindings(status), ...backendFindings(status, past)].sort((a, b) => order[a.level] - order[b.level]);
}

function showAttention(status, past) {
  const found = findings(status, past);
  const items = found.length > 0 ? found.slice(0, 50) : [{level: 'good', text: 'Nothing: all backends answer, nothing was refused.'}];
  if (found.length > items.length) items.push({level: 'info', text: 'and ' + (found.length - items.length) + ' more'});
  // By what it is about and not by its words, which change every second: else a screen reader would never end.
  const seen = new Map();
  const keyOf = (item) => {
    if (!item.key) {
      const base = [item.level, item.backend || item.section || '', item.text.replace(/[\d.]+/g, '')].join('|');
      seen.set(base, (seen.get(base) || 0) + 1);
      item.key = base + seen.get(base);
    }
    return item.key;
  };
  keep(byId('attention'), items, keyOf,
       (item) => item.backend || item.section ? make('li', {}, make('a', {href: '#'})) : make('li'),
       (element, item) => {
         mark(element, item.level);
         put(element.firstElementChild || element, item.text);
         if (element.firstElementChild) element.firstElementChild.onclick = (event) => {
           event.preventDefault();
           goTo(item);
         };
       });
  document.title = (found.some((item) => item.level === 'bad') ? '● ' : '') + 'Lemonade';
}

function goTo(item) {
  const target = item.backend ? rowOf(item.backend) : byId(item.section);
  if (!target) return;
  target.scrollIntoView({block: 'center'});
  const focus = target.querySelector('button') || target;
  if (focus === target) target.setAttribute('tabindex', '-1');
  focus.focus({preventScroll: true});
}
