// SPDX-License-Identifier: MIT
//! A strategy that uses all that the crate has: lanes, events, state, metrics, options of backends, reasons. It takes the
//! backends in turn, over its own replacement too.
use lemonade_plugin::abi::{LEMONADE_EVENT_CLOSED, LEMONADE_EVENT_CONNECTED, LEMONADE_NEED_LOCAL_ADDRESS};
use lemonade_plugin::{
    owned, Choice, Error, Event, Host, Info, Level, Metric, MetricKind, OptionRow, Options, Pick, Reason, Strategy,
    View, Writer,
};
use std::fmt::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const VERSION: &str = if cfg!(feature = "second") {
    "2.0.0"
} else if cfg!(feature = "panics") {
    "3.0.0"
} else if cfg!(feature = "allocates") {
    "4.0.0"
} else {
    "1.0.0"
};

struct Everything {
    turn: AtomicU32,
    picked: Metric,
    closed: Metric,
    skipped: String,
}

/// True once the file is there that this variable names: a panic must not spoil a rehearsal.
fn is_time() -> bool {
    std::env::var_os("LEMONADE_TEST_FATAL").map_or(false, |file| std::path::Path::new(&file).exists())
}

/// Of one worker.
struct Lane {
    worker: u32,
    open: u64,
}

impl Strategy for Everything {
    type Prepared = Vec<u32>;
    type Lane = Lane;

    const OPTIONS: &'static [OptionRow] = &[
        OptionRow::text("skipped", "", "The id of a backend that gets no connection."),
        OptionRow::number("unused", "1.5", "Is looked at and then forgotten.").between(1.0, 2.0),
        OptionRow::duration("period", "1s", "The same."),
        OptionRow::choice("colour", "red,green", "green", "The same."),
    ];
    const BACKEND_OPTIONS: &'static [OptionRow] =
        &[OptionRow::integer("places", "1", "Its places in the turn.").between(0.0, 10.0)];
    const EVENTS: u32 = LEMONADE_EVENT_CONNECTED | LEMONADE_EVENT_CLOSED;
    const NEEDS: u32 = LEMONADE_NEED_LOCAL_ADDRESS;
    const STATE_FORMAT: Option<&'static str> = Some("com.example.rust_everything/1");
    const SAYS_WHY: bool = true;

    fn new(host: Host, options: &Options) -> Result<Self, Error> {
        if options.text("skipped") == "nobody" {
            return Err(Error::option("skipped", "there is no backend called nobody"));
        }
        if options.duration("period") < Duration::from_secs(1) {
            host.log(Level::Info, options.text("colour"));
        }
        let metric = |name, help| host.metric(MetricKind::Counter, name, help);
        Ok(Everything {
            turn: AtomicU32::new(0),
            picked: metric("rust_picked_total", "Connections that were placed.")?,
            closed: metric("rust_closed_total", "Sessions that have ended.")?,
            skipped: owned(options.text("skipped"))?,
        })
    }

    fn prepare(&self, view: View) -> Result<Vec<u32>, Error> {
        let mut order = Vec::new();
        for &index in view.eligible() {
            let backend = view.backend(index);
            let places = backend.options::<Self>().map_or(1, |options| options.integer("places"));
            if backend.id() != self.skipped && backend.label("role") != Some("spare") {
                order.try_reserve(places as usize)?;
                order.extend((0..places).map(|_| index));
            }
        }
        Ok(order)
    }

    fn lane(&self, worker: u32) -> Result<Lane, Error> {
        Ok(Lane { worker, open: 0 })
    }

    fn pick(&self, pick: &mut Pick<Self>) -> Choice {
        let order = match pick.prepared {
            Some(order) if !order.is_empty() => order,
            _ => return Choice::None,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if cfg!(feature = "panics") && is_time() {
            panic!("it is time to");
        }
        if cfg!(feature = "allocates") {
            let allocated = vec![turn];
            // SAFETY: it is there. Without a look that has to be taken, the compiler leaves the allocation out.
            *pick.cookie += u64::from(unsafe { std::ptr::read_volatile(allocated.as_ptr()) });
        }
        let came_here = pick.connection.local_address().is_some() || pick.connection.local_port() == 0;
        *pick.cookie += u64::from(pick.lane.worker) + u64::from(came_here);
        let all = (0..order.len()).map(|step| order[(turn as usize + step) % order.len()]);
        match all.into_iter().find(|index| pick.allowed(*index)) {
            Some(index) => {
                self.picked.add(1);
                Choice::Backend(index)
            }
            None => Choice::None,
        }
    }

    fn event(&self, lane: &mut Lane, event: &Event) {
        if event.kind() == LEMONADE_EVENT_CONNECTED {
            lane.open += 1;
        } else {
            self.closed.add(1);
            lane.open = lane.open.wrapping_sub(1);
        }
    }

    fn why(&self, pick: &Pick<Self>, index: u32, reason: &mut Reason) {
        let places = pick.prepared.map_or(0, |order| order.iter().filter(|place| **place == index).count());
        let _ = write!(reason, "its turn came, with {} of the places", places);
    }

    fn export_state(&self, writer: &mut Writer) -> Result<(), Error> {
        writer.write(&self.turn.load(Ordering::Relaxed).to_be_bytes())
    }

    fn import_state(&mut self, format: &str, data: &[u8]) -> Result<(), Error> {
        if Some(format) != Self::STATE_FORMAT {
            return Err(Error::unsupported("it is of another strategy"));
        }
        let bytes = data.try_into().map_err(|_| Error::new("the state has not four bytes"))?;
        self.turn = AtomicU32::new(u32::from_be_bytes(bytes));
        Ok(())
    }
}

lemonade_plugin::strategy!(
    Everything,
    Info {
        id: "com.example.rust_everything",
        version: VERSION,
        name: "Everything",
        vendor: "Example",
        doc: "Takes the backends in turn.",
        unload_safe: true,
        ..Info::DEFAULT
    }
);
