// SPDX-License-Identifier: MIT
//
// What has happened, newest first.

const kMostEvents = 300;
const kEventLevels = {
  backend_down: 'bad', backend_ejected: 'bad', pool_down: 'bad', reload_refused: 'bad', plugin_refused: 'bad',
  plugin_quarantined: 'bad', plugin_released: 'info', upgrade_failed: 'bad', died: 'bad', descriptors_short: 'bad',
  limit_reached: 'warn', backend_up: 'good', backend_returned: 'good', pool_up: 'good', reload_applied: 'good',
  plugin_swapped: 'info', override_set: 'info', override_ended: 'info'};

const events = [];

/** Takes events in any order, again or not. */
function noteEvents(fresh) {
  const known = new Set(events.map((one) => one.sequence));
  events.push(...fresh.filter((one) => !known.has(one.sequence)));
  events.sort((a, b) => b.sequence - a.sequence);
  events.length = Math.min(events.length, kMostEvents);
  showTimeline();
}

function newestEvent() { return events.length > 0 ? events[0].sequence : null; }

function showTimeline() {
  const groups = byId('kinds').value.split(',');
  const shown = events.filter((one) => groups.some((group) => one.kind.startsWith(group)));
  keep(byId('timeline'), shown, (one) => one.sequence, makeEvent, () => {});
}

function makeEvent(event) {
  const date = new Date(event.time);
  const today = date.toDateString() === new Date().toDateString();
  return make('li', {},
    make('time', {datetime: event.time, title: event.time, text: (today ? '' : date.toLocaleDateString() + ' ') + clockText(date)}),
    make('span', {}, make('span', {class: 'badge ' + (kEventLevels[event.kind] || ''), text: event.kind.replaceAll('_', ' ')})),
    make('span', {class: 'text', text: event.text}));
}
