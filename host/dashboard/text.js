// SPDX-License-Identifier: MIT
//
// How numbers and times are written, and how elements are made and kept.

const byId = (id) => document.getElementById(id);

/** An element; attributes by name, "text" is its text; children are elements. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'text') element.textContent = value;
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Sets a text where it differs, so that a selection and the reading of a screen reader stay. */
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mark(element, className) {
  if (element.className !== className) element.className = className;
}

/** Makes the children of parent those of items: kept by key, made where they are new, removed where they are gone. */
function keep(parent, items, keyOf, create, update) {
  const kept = parent.kept || (parent.kept = new Map());
  const seen = new Set();
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let child = kept.get(key);
    if (!child) kept.set(key, child = create(item));
    update(child, item);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  for (const [key, child] of kept) {
    if (seen.has(key)) continue;
    child.remove();
    kept.delete(key);
  }
}

function numberText(value) {
  if (value === undefined || value === null) return '–';
  if (value === 0) return '0';
  if (value >= 1e6) return (value / 1e6).toFixed(1) + ' M';
  if (value >= 1e4) return (value / 1e3).toFixed(1) + ' k';
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toString();
  return value >= 1 ? value.toFixed(1) : value.toFixed(2);
}

function rateText(value) { return value === undefined ? '–' : numberText(value) + '/s'; }

function shareText(share) {
  if (!share) return '0 %';
  return (share < 0.001 ? '<0.1' : share < 0.1 ? (100 * share).toFixed(1) : (100 * share).toFixed(0)) + ' %';
}

function millisText(value) {
  if (value >= 10000) return (value / 1000).toFixed(1) + ' s';
  if (value > 0 && value < 0.01) return value >= 0.001 ? (1e3 * value).toFixed(1) + ' µs' : (1e6 * value).toFixed(0) + ' ns';
  return value >= 100 ? value.toFixed(0) + ' ms' : value >= 1 ? value.toFixed(1) + ' ms' : value.toFixed(2) + ' ms';
}

function percentileText(times, name) { return times && times.samples > 0 ? millisText(times[name]) : '–'; }

function durationText(seconds) {
  if (seconds < 1) return (seconds * 1000).toFixed(0) + ' ms';
  if (seconds < 120) return Math.round(seconds) + ' s';
  if (seconds < 7200) return Math.round(seconds / 60) + ' min';
  return seconds < 172800 ? Math.round(seconds / 3600) + ' h' : Math.round(seconds / 86400) + ' days';
}

function agoText(iso) { return iso ? durationText(Math.max(0, (Date.now() - Date.parse(iso)) / 1000)) + ' ago' : ''; }

function clockText(date) {
  return date.toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false});
}

/** Until when a change of a backend holds. */
function untilText(until) { return until === 'reload' ? 'until the next reload' : 'until ' + clockText(new Date(until)); }

function overrideText(one) {
  const what = one.value === null ? one.action : one.action.replace('_', ' ') + ' ' + one.value;
  return what + ' ' + untilText(one.until) + ' (' + one.by + ')';
}
