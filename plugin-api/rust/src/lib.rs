// SPDX-License-Identifier: MIT
//! Plugins for the Lemonade load balancer in Rust: [`Strategy`] chooses the backend of each connection.
//!
//! ```ignore
//! use lemonade_plugin::{Choice, Error, Host, Info, Options, Pick, Strategy, View};
//!
//! /// The first eligible backend takes every connection.
//! struct First;
//!
//! impl Strategy for First {
//!     type Prepared = ();
//!     type Lane = ();
//!
//!     fn new(_: Host, _: &Options) -> Result<Self, Error> {
//!         Ok(First)
//!     }
//!     fn prepare(&self, _: View) -> Result<(), Error> {
//!         Ok(())
//!     }
//!     fn lane(&self, _worker: u32) -> Result<(), Error> {
//!         Ok(())
//!     }
//!     fn pick(&self, pick: &mut Pick<Self>) -> Choice {
//!         let found = pick.view.eligible().iter().find(|index| pick.allowed(**index));
//!         found.map_or(Choice::None, |index| Choice::Backend(*index))
//!     }
//! }
//!
//! lemonade_plugin::strategy!(First, Info {
//!     id: "com.example.first",
//!     version: "1.0.0",
//!     name: "First",
//!     vendor: "Example",
//!     ..Info::DEFAULT
//! });
//! ```
//!
//! The shared object is a crate of `crate-type = ["cdylib"]` with `panic = "abort"` in its profiles. A panic must not
//! unwind into the balancer, which is not Rust. Where it aborts, the balancer breaks the call off, names the plugin,
//! and goes on without it; [`strategy!`] refuses to be compiled otherwise.
//!
//! [`Strategy::pick`] and [`Strategy::event`] run on all workers at once, thousands of times a second: they must not
//! allocate, free, block, call the system or the [`Host`]. So: no `Vec`, `String`, `Box`, `format!` or lock there; what
//! has to be built is built by `new`, `prepare` and `lane`. `plugin-validate` fails a plugin that does otherwise.
//!
//! Where memory is out, Rust aborts, unless asked not to: `vec.try_reserve(n)?` before `push` and [`owned`] in place of
//! `to_string` make an error of it, which `new`, `prepare` and `lane` can return.
#![warn(missing_docs)]

pub mod abi;
mod plugin;
mod strategy;

pub use plugin::{owned, Error, Host, Info, Level, Metric, MetricKind, OptionRow, Options};
pub use strategy::{Backend, Choice, Connection, Event, Family, Pick, Reason, Strategy, View, Writer};

#[doc(hidden)]
pub mod detail {
    //! What the macro is made of.
    pub use crate::plugin::{describe, interface};
    pub use crate::strategy::table;
}

/// Makes a type the strategy of this shared object: `strategy!(Type, Info { ... })`, once in a crate.
#[macro_export]
macro_rules! strategy {
    ($type:ty, $info:expr) => {
        #[cfg(not(any(panic = "abort", test, doc)))]
        compile_error!(
            "a panic must not unwind into the balancer: say panic = \"abort\" in [profile.release] and [profile.dev]"
        );

        static LEMONADE_STRATEGY_TABLE: $crate::abi::Shared<$crate::abi::lemonade_strategy_t> =
            $crate::abi::Shared($crate::detail::table::<$type>());

        unsafe extern "C" fn lemonade_get_interface(id: $crate::abi::lemonade_str_t) -> *const ::core::ffi::c_void {
            $crate::detail::interface(id, $crate::abi::LEMONADE_STRATEGY_INTERFACE, &LEMONADE_STRATEGY_TABLE)
        }

        /// The entry symbol.
        #[no_mangle]
        #[allow(non_upper_case_globals)]
        pub static lemonade_plugin_v1: $crate::abi::Shared<$crate::abi::lemonade_plugin_t> =
            $crate::abi::Shared($crate::detail::describe(
                &$info,
                $crate::abi::LEMONADE_KIND_STRATEGY,
                <$type as $crate::Strategy>::OPTIONS,
                lemonade_get_interface,
            ));
    };
}
