// SPDX-License-Identifier: MIT
//
// What was seen in the last two minutes, for the lines that show how figures move.

const kSamples = 120;

class Past {
  constructor() { this.series = new Map(); }

  /** Adds one sample of each figure of each pool and backend. */
  note(status) {
    const present = new Set();
    const add = (key, value) => {
      present.add(key);
      const values = this.series.get(key) || [];
      values.push(value);
      if (values.length > kSamples) values.shift();
      this.series.set(key, values);
    };
    for (const pool of status.pools) {
      add('rate ' + pool.name, pool.exchange_rate || 0);
      add('queue ' + pool.name, pool.queued);
      add('p95 ' + pool.name, pool.exchange_ms ? pool.exchange_ms.p95 : 0);
    }
    for (const backend of status.backends) {
      const key = backendKey(backend);
      add('rate ' + key, backend.exchange_rate);
      add('p95 ' + key, backend.exchange_ms.p95);
      add('failures ' + key, failuresOf(backend));
    }
    for (const key of this.series.keys()) if (!present.has(key)) this.series.delete(key);
  }

  of(key) { return this.series.get(key) || []; }

  /** Which kinds of failures a backend had since the oldest sample, most of all first: [["resets", 12]]. */
  failures(backend) {
    const before = this.of('failures ' + backendKey(backend))[0] || {};
    return Object.entries(failuresOf(backend))
      .map(([kind, count]) => [kind, count - (before[kind] || 0)])
      .filter(([, count]) => count > 0)
      .sort((a, b) => b[1] - a[1]);
  }
}

function backendKey(backend) { return backend.pool + ' ' + backend.id + ' ' + backend.address; }

function failuresOf(backend) {
  const totals = backend.totals;
  return {
    'connects refused': totals.connect_failures.refused,
    'connects timed out': totals.connect_failures.timeout,
    'connects failed': totals.connect_failures.error,
    'sessions reset': totals.resets,
  };
}

/** A line of the last samples in an element of class spark; what it shows stands beside it as a number. */
function drawSpark(svg, values) {
  const most = Math.max(...values, 1e-9);
  const step = 100 / (kSamples / 2 - 1);
  const shown = values.slice(-kSamples / 2);
  const points = shown.map((value, i) => (100 - (shown.length - 1 - i) * step).toFixed(1) + ' ' +
                                         (21 - 19 * value / most).toFixed(1));
  svg.firstChild.setAttribute('d', points.length > 1 ? 'M' + points.join('L') : '');
}

function makeSpark() {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'spark');
  svg.setAttribute('viewBox', '0 0 100 22');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS('http://www.w3.org/2000/svg', 'path'));
  return svg;
}
