// SPDX-License-Identifier: MIT
//! Rendezvous hashing with weights (Thaler and Ravishankar, 1998; Schindelhauer and Schomaker, 2005). Client and
//! backend together give each backend a score, and the highest wins: a client comes to the same backend again, on every
//! balancer, and a backend that leaves moves its own clients only. A pick looks at every backend, so this is for pools
//! of up to some dozens; the shipped `consistent_hash` is for large ones.
//!
//! Here to be read: options, what is worked out once for each change of the backends, and a pick that allocates
//! nothing.
use lemonade_plugin::{Choice, Error, Host, Info, Level, OptionRow, Options, Pick, Strategy, View};

struct Rendezvous {
    by_port: bool,
}

/// An eligible backend, with what does not change while the view lives.
struct Candidate {
    index: u32,
    identity: u64,
    weight: f64,
}

impl Strategy for Rendezvous {
    type Prepared = Vec<Candidate>;
    type Lane = ();

    const OPTIONS: &'static [OptionRow] =
        &[OptionRow::boolean("by_port", "false", "Tells clients behind one address apart by their port.")];

    fn new(host: Host, options: &Options) -> Result<Self, Error> {
        let by_port = options.boolean("by_port");
        host.log(Level::Debug, if by_port { "hashes address and port" } else { "hashes the address" });
        Ok(Rendezvous { by_port })
    }

    fn prepare(&self, view: View) -> Result<Vec<Candidate>, Error> {
        let mut candidates = Vec::new();
        candidates.try_reserve_exact(view.eligible().len())?; // where memory is out, an error instead of an abort
        for &index in view.eligible() {
            let backend = view.backend(index);
            let weight = f64::from(backend.effective_weight());
            if weight > 0.0 {
                candidates.push(Candidate { index, identity: backend.identity(), weight });
            }
        }
        Ok(candidates)
    }

    fn lane(&self, _worker: u32) -> Result<(), Error> {
        Ok(())
    }

    fn pick(&self, pick: &mut Pick<Self>) -> Choice {
        let client = self.hash_of(pick);
        let mut best = (Choice::None, f64::NEG_INFINITY);
        for candidate in pick.prepared.map_or(&[][..], |candidates| candidates) {
            let score = score(mix(client ^ candidate.identity), candidate.weight);
            if score > best.1 && pick.allowed(candidate.index) {
                best = (Choice::Backend(candidate.index), score);
            }
        }
        best.0
    }
}

impl Rendezvous {
    fn hash_of(&self, pick: &Pick<Self>) -> u64 {
        let address = u128::from_be_bytes(*pick.connection.client_address());
        let port = if self.by_port { u64::from(pick.connection.client_port()) + 1 } else { 0 };
        mix(mix((address >> 64) as u64 ^ port) ^ address as u64)
    }
}

/// How much a backend of a weight is wanted, by a hash: it is the highest of all in proportion to the weight.
fn score(hash: u64, weight: f64) -> f64 {
    const STEPS: f64 = (1u64 << 53) as f64;
    let luck = ((hash >> 11) as f64 + 0.5) / STEPS; // above 0, below 1
    weight / -luck.ln()
}

/// The finaliser of splitmix64.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

lemonade_plugin::strategy!(
    Rendezvous,
    Info {
        id: "com.example.rendezvous",
        version: env!("CARGO_PKG_VERSION"),
        name: "Rendezvous",
        vendor: "Example",
        doc: "Gives a client the same backend again, by the highest hash of both.",
        unload_safe: true,
        ..Info::DEFAULT
    }
);
