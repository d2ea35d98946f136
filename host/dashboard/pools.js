// SPDX-License-Identifier: MIT
//
// The pools with their backends, the listeners and the plugins, as tables.

const kMostRows = 200;  // of one pool; the filter finds the others
const kStates = {up: 'good', down: 'bad', ejected: 'bad', unresolved: 'bad', draining: 'info', disabled: 'info'};
const kColumns = [  // name, class of the cell, heading where that is not the name
  ['State', ''], ['Active', 'number'], ['Waiting', 'number'], ['Requests', 'number'], ['', 'spark-cell', 'Last minute'], ['Errors', 'number'],
  ['P50', 'number'], ['P95', 'number'], ['P99', 'number'], ['Weight', 'number'], ['', 'wide', 'Change']];

const rows = new Map();

function rowOf(key) { return rows.get(key); }

function makeTable(caption, columns) {
  const head = make('tr', {}, ...columns.map(([name, kind, heading]) =>
    make('th', {scope: 'col', class: kind === 'number' ? 'number' : null, text: typeof heading === 'string' ? heading : name})));
  const body = make('tbody');
  const table = make('table', {class: 'stack'}, make('caption', {class: 'skip', text: caption}), make('thead', {}, head), body);
  table.body = body;
  return table;
}

function makeCells(row, columns) {
  row.cells_ = columns.map(([name, kind]) => {
    const cell = make('td', {class: kind || null, 'data-name': name || null});
    row.append(cell);
    return cell;
  });
}

function makeBackendRow(backend) {
  const title = make('th', {scope: 'row'});
  const name = make('span'), note = make('small'), changes = make('small');
  title.append(name, note, changes);
  const row = make('tr', {}, title);
  makeCells(row, kColumns);
  const badge = make('span', {class: 'badge'});
  row.cells_[0].append(badge);
  const spark = makeSpark();
  row.cells_[4].append(spark);
  const button = make('button', {type: 'button', text: 'Change', 'aria-haspopup': 'dialog'});
  button.onclick = () => openChange(row.backend);
  row.cells_[10].append(button);
  row.parts = {name, note, changes, badge, spark, button};
  rows.set(backendKey(backend), row);
  return row;
}

function updateBackendRow(row, backend, past) {
  row.backend = backend;
  const parts = row.parts, cells = row.cells_;
  put(parts.name, backend.name);
  put(parts.note, backend.address + (backend.name === backend.id ? '' : ' · ' + backend.id) + (backend.reason ? ' · ' + backend.reason : ''));
  put(parts.changes, (backend.overrides || []).map(overrideText).join('; '));
  const fails = Boolean(backend.fails), isSlow = Boolean(backend.slow);
  const also = backend.state === 'up' && (fails ? 'fails' : isSlow ? 'slow' : '');
  put(parts.badge, backend.state + (also ? ', ' + also : ''));
  mark(parts.badge, 'badge ' + (fails ? 'bad' : also ? 'warn' : kStates[backend.state] || 'warn'));
  parts.button.setAttribute('aria-label', 'Change ' + backend.pool + '/' + backend.name);
  put(cells[1], numberText(backend.active) + (backend.max_connections > 0 ? ' of ' + backend.max_connections : ''));
  put(cells[2], numberText(backend.waiting));
  put(cells[3], rateText(backend.exchange_rate));
  drawSpark(parts.spark, past.of('rate ' + backendKey(backend)));
  put(cells[5], rateText(backend.error_rate) + (backend.error_share > 0 ? ' (' + shareText(backend.error_share) + ')' : ''));
  cells[5].classList.toggle('hot', fails);
  ['p50', 'p95', 'p99'].forEach((name, i) => {
    put(cells[6 + i], percentileText(backend.exchange_ms, name));
    cells[6 + i].classList.toggle('hot', isSlow);
  });
  put(cells[9], numberText(backend.weight));
  row.classList.toggle('marked', isSlow || fails || backend.state === 'down' || backend.state === 'ejected');
}

function makePool(pool) {
  const head = make('div', {class: 'head'}, make('h3', {text: pool.name}));
  const figures = {};
  for (const name of ['state', 'strategy', 'backends', 'sessions', 'queue', 'rate', 'errors', 'times', 'pick', 'shadow'])
    head.append(figures[name] = make('span', {class: 'figure'}));
  const spark = makeSpark();
  head.append(spark);
  const table = makeTable('Backends of pool ' + pool.name, [['Backend', ''], ...kColumns]);
  const note = make('p', {class: 'note body'});
  const card = make('div', {class: 'card'}, head, make('div', {class: 'scroll'}, table), note);
  card.parts = {figures, spark, body: table.body, note};
  return card;
}

function updatePool(card, pool, status, past, filter) {
  const {figures, spark, body, note} = card.parts;
  put(figures.state, pool.ready ? 'ready' : 'no backend');
  mark(figures.state, 'badge ' + (pool.ready ? 'good' : 'bad'));
  put(figures.strategy, pool.strategy + (pool.checker && pool.checker !== 'none' ? ', checked by ' + pool.checker : ', not checked'));
  put(figures.backends, pool.eligible + ' of ' + pool.backends + ' backends');
  put(figures.sessions, numberText(pool.sessions) + ' sessions');
  put(figures.queue, pool.queued > 0 ? numberText(pool.queued) + ' in the queue' : 'no queue');
  figures.queue.classList.toggle('hot', pool.queued > 0);
  put(figures.rate, rateText(pool.exchange_rate) + ' requests');
  put(figures.errors, rateText(pool.error_rate) + ' errors (' + shareText(pool.error_share) + ')');
  figures.errors.classList.toggle('hot', Boolean(pool.fails));
  put(figures.times, 'P50 ' + percentileText(pool.exchange_ms, 'p50') + ', P95 ' + percentileText(pool.exchange_ms, 'p95') +
                     ', P99 ' + percentileText(pool.exchange_ms, 'p99'));
  put(figures.pick, pool.pick_ms ? 'a pick takes ' + millisText(pool.pick_ms.mean) : '');
  put(figures.shadow, pool.shadow ? shadowText(pool.shadow) : '');
  drawSpark(spark, past.of('rate ' + pool.name));
  const all = status.backends.filter((one) => one.pool === pool.name);
  const wanted = all.filter((one) => matches(one, filter));
  keep(body, wanted.slice(0, kMostRows), backendKey, makeBackendRow,
       (row, backend) => updateBackendRow(row, backend, past));
  const hidden = all.length - Math.min(wanted.length, kMostRows);
  put(note, hidden > 0 ? hidden + ' of ' + all.length + ' backends are not shown: use the filter above.' : '');
  note.hidden = hidden === 0;
}

/** What the second strategy of a pool would have done, beside what the first one did. */
function shadowText({picks, differed_share, strategy, shadow}) {
  const name = 'shadow ' + shadow.plugin;
  if (picks === 0) return name + ', not asked yet';
  const times = strategy.weighed_picks > 0 && shadow.weighed_picks > 0 ?
    ': ' + millisText(shadow.mean_ms) + ' where it would have sent, ' + millisText(strategy.mean_ms) + ' where ' + strategy.plugin + ' did' : '';
  return name + ', differs in ' + shareText(differed_share) + ' of ' + numberText(picks) + ' picks' + times;
}

function matches(backend, filter) {
  return filter === '' || [backend.name, backend.id, backend.address, backend.state, backend.pool]
    .some((text) => text.toLowerCase().includes(filter));
}

function showPools(status, past) {
  const filter = byId('filter').value.trim().toLowerCase();
  keep(byId('pool-list'), status.pools, (pool) => pool.name, makePool,
       (card, pool) => updatePool(card, pool, status, past, filter));
  const present = new Set(status.backends.map(backendKey));
  for (const key of rows.keys()) if (!present.has(key)) rows.delete(key);
}

/** A table of plain texts: columns are [name, class, text of an item]; the first is its heading. */
function showTable(place, caption, columns, items, keyOf) {
  if (!place.table) {
    place.table = makeTable(caption, columns);
    place.append(make('div', {class: 'card scroll', tabindex: '0', role: 'group', 'aria-label': caption}, place.table));
  }
  keep(place.table.body, items, keyOf, () => {
    const row = make('tr', {}, make('th', {scope: 'row'}));
    makeCells(row, columns.slice(1));
    return row;
  }, (row, item) => {
    columns.forEach(([, , textOf], i) => put(i === 0 ? row.firstElementChild : row.cells_[i - 1], textOf(item)));
  });
}

function showListeners(status) {
  showTable(byId('listeners'), 'Listeners', [
    ['Listener', '', (one) => one.name + (one.forward === 'kernel' ? ', by the kernel' : '')],
    ['Addresses', 'wide', (one) => one.addresses.join(', ')],
    ['Pool', '', (one) => one.pool],
    ['Sessions', 'number', (one) => numberText(one.sessions) + ' of ' + numberText(one.max_connections)],
    ['New clients', 'number', (one) => rateText(one.client_rate)],
    ['Errors', 'number', (one) => rateText(one.error_rate)],
    ['Ever', 'number', (one) => numberText(one.accepted)],
  ], status.listeners, (one) => one.name);
}

function showPlugins(status) {
  keep(byId('quarantined'), status.quarantined, (one) => one.plugin + ' ' + one.generation, (one) => {
    const button = make('button', {type: 'button', text: 'Release', 'aria-label': 'Release ' + one.plugin});
    button.onclick = () => releasePlugin(button, one.plugin);
    return make('li', {class: 'bad'}, make('span', {text: one.plugin + ' ' + one.version + ' is quarantined: ' + one.reason + ' '}), button);
  }, () => {});
  showTable(byId('plugins'), 'Plugins', [
    ['Plugin', '', (one) => one.id],
    ['Kind', '', (one) => one.kind.replace('_', ' ')],
    ['Pool', '', (one) => one.pool || '–'],
    ['Version', '', (one) => one.version || '–'],
    ['Generation', 'number', (one) => numberText(one.generation)],
    ['State', '', (one) => one.state.replace('_', ' ')],
    ['File', 'wide', (one) => one.file || 'built in'],
  ], status.plugins, (one) => one.kind + ' ' + (one.pool || '') + ' ' + one.id);
}

function showProcess(status) {
  const facts = [
    ['State', status.state], ['Version', status.version + ', plugin ABI ' + status.abi],
    ['Up for', durationText(status.uptime_seconds)], ['Process', String(status.pid)],
    ['Configuration', (status.config_file || 'environment') + ', generation ' + status.config_generation],
    ['Workers', status.workers.map((one) => numberText(one.sessions)).join(', ') + ' sessions'],
  ];
  if (status.descriptors) facts.push(['Descriptors', status.descriptors.open + ' of ' + status.descriptors.limit]);
  if (status.control_lag_ms !== undefined)
    facts.push(['Longest wait of late', 'control ' + millisText(status.control_lag_ms) + ', workers ' +
                                        status.workers.map((one) => millisText(one.lag_ms || 0)).join(', ')]);
  if (status.supervisor)
    facts.push(['Supervisor', 'process ' + status.supervisor.pid + ', ' + status.supervisor.failed_upgrades + ' failed upgrades']);
  keep(byId('process'), facts, ([name]) => name, ([name]) => make('div', {}, make('dt', {text: name}), make('dd')),
       (element, [, text]) => put(element.lastElementChild, text));
}

function showReload(status) {
  const place = byId('last-reload');
  const reload = status.last_reload;
  if (!place.parts) {
    const badge = make('span', {class: 'badge'}), about = make('span', {class: 'quiet'}), lines = make('pre', {tabindex: '0'});
    place.append(make('div', {class: 'card'}, make('div', {class: 'head'}, badge, about), make('div', {class: 'body'}, lines)));
    place.parts = {badge, about, lines};
  }
  const {badge, about, lines} = place.parts;
  const names = {applied: 'applied', unchanged: 'nothing changed', failed: 'refused'};
  put(badge, reload ? names[reload.result] || reload.result : 'none yet');
  mark(badge, 'badge ' + (!reload ? '' : reload.result === 'failed' ? 'bad' : 'good'));
  put(about, reload ? agoText(reload.time) + ', asked for by ' + reload.reason + ', took ' + durationText(reload.duration_seconds) +
                      ', generation ' + reload.generation : 'The configuration is the one of the start.');
  put(lines, reload ? reload.lines.join('\n') : '');
  lines.parentElement.hidden = !reload || reload.lines.length === 0;
}
