// SPDX-License-Identifier: MIT
//! What plugins of every kind have: what they say of themselves, options, errors, and the host's services.
use crate::abi::*;
use core::ffi::c_void;
use core::sync::atomic::{AtomicI64, Ordering};
use std::borrow::Cow;
use std::os::raw::c_char;
use std::time::Duration;

/// What a plugin says of itself. Begin with [`Info::DEFAULT`].
#[derive(Clone, Copy)]
pub struct Info {
    /// Reverse-DNS, such as "com.example.first": lower-case letters, digits, `_`, `.`, `-`, at most 63.
    pub id: &'static str,
    /// A semantic version, at most 31 bytes.
    pub version: &'static str,
    /// For people.
    pub name: &'static str,
    /// Who made it.
    pub vendor: &'static str,
    /// An SPDX expression.
    pub license: &'static str,
    /// One paragraph for people.
    pub doc: &'static str,
    /// True where its code may be unmapped once nothing uses it any more: it leaves no thread running and no
    /// `thread_local!` with a destructor behind.
    pub unload_safe: bool,
}

impl Info {
    /// Nothing said, but for the license.
    pub const DEFAULT: Info =
        Info { id: "", version: "", name: "", vendor: "", license: "MIT", doc: "", unload_safe: false };
}

/// Why something did not work. Its texts reach the operator.
#[derive(Debug, Clone)]
pub struct Error {
    code: lemonade_status_t,
    key: &'static str,
    message: Text,
}

type Text = Cow<'static, str>;

impl Error {
    /// It did not work; the message says why, and the mend.
    pub fn new(message: impl Into<Text>) -> Error {
        Error { code: LEMONADE_ERROR_FAILED, key: "", message: message.into() }
    }

    /// The value of an option cannot be used, although it is of the right type and in range.
    pub fn option(key: &'static str, message: impl Into<Text>) -> Error {
        Error { code: LEMONADE_ERROR_INVALID, key, message: message.into() }
    }

    /// Of [`crate::Strategy::import_state`]: the format is unknown, the instance is used without the state.
    pub fn unsupported(message: impl Into<Text>) -> Error {
        Error { code: LEMONADE_ERROR_UNSUPPORTED, key: "", message: message.into() }
    }

    pub(crate) const NO_MEMORY: Error =
        Error { code: LEMONADE_ERROR_NO_MEMORY, key: "", message: Cow::Borrowed("out of memory") };

    /// Puts it where the host reads it.
    pub(crate) unsafe fn tell(&self, to: *mut lemonade_error_t) -> lemonade_status_t {
        (*to).code = self.code;
        copy_text(&mut (*to).key, self.key);
        copy_text(&mut (*to).message, &self.message);
        self.code
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, to: &mut core::fmt::Formatter) -> core::fmt::Result {
        to.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// So that `vec.try_reserve(n)?` says that memory is out, where `vec.push` would abort.
impl From<std::collections::TryReserveError> for Error {
    fn from(_: std::collections::TryReserveError) -> Error {
        Error::NO_MEMORY
    }
}

/// A copy of a text, for what outlives the call that got it; an error where memory is out.
pub fn owned(text: &str) -> Result<String, Error> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len())?;
    copy.push_str(text);
    Ok(copy)
}

fn copy_text(to: &mut [c_char], text: &str) {
    let room = to.len() - 1;
    let size = (0..=room.min(text.len())).rev().find(|size| text.is_char_boundary(*size)).unwrap_or(0);
    for (place, byte) in to.iter_mut().zip(text.as_bytes()[..size].iter()) {
        *place = *byte as c_char;
    }
    to[size] = 0;
}

/// Runs what may fail on behalf of the host.
pub(crate) unsafe fn tried(
    error: *mut lemonade_error_t,
    body: impl FnOnce() -> Result<(), Error>,
) -> lemonade_status_t {
    match body() {
        Ok(()) => LEMONADE_OK,
        Err(why) => why.tell(error),
    }
}

// ---- options -------------------------------------------------------------------------------------------------------

/// One row of an option schema. The host checks what the operator says against it and fills in defaults.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct OptionRow(lemonade_option_t);

// SAFETY: it points to constants.
unsafe impl Sync for OptionRow {}
unsafe impl Send for OptionRow {}

impl OptionRow {
    const fn of(kind: u32, key: &'static str, fallback: &'static str, doc: &'static str) -> OptionRow {
        OptionRow(lemonade_option_t {
            key: str_of(key),
            r#type: kind,
            flags: 0,
            minimum: 0.0,
            maximum: 0.0,
            default_value: str_of(fallback),
            choices: str_of(""),
            doc: str_of(doc),
        })
    }

    /// True or false. `fallback` is written as in TOML.
    pub const fn boolean(key: &'static str, fallback: &'static str, doc: &'static str) -> OptionRow {
        Self::of(LEMONADE_OPTION_BOOLEAN, key, fallback, doc)
    }
    /// 64 bits, signed.
    pub const fn integer(key: &'static str, fallback: &'static str, doc: &'static str) -> OptionRow {
        Self::of(LEMONADE_OPTION_INTEGER, key, fallback, doc)
    }
    /// A finite number.
    pub const fn number(key: &'static str, fallback: &'static str, doc: &'static str) -> OptionRow {
        Self::of(LEMONADE_OPTION_NUMBER, key, fallback, doc)
    }
    /// Any text; `fallback` without quotes.
    pub const fn text(key: &'static str, fallback: &'static str, doc: &'static str) -> OptionRow {
        Self::of(LEMONADE_OPTION_STRING, key, fallback, doc)
    }
    /// "10s", "500ms".
    pub const fn duration(key: &'static str, fallback: &'static str, doc: &'static str) -> OptionRow {
        Self::of(LEMONADE_OPTION_DURATION, key, fallback, doc)
    }
    /// One of `choices`, comma separated, without spaces.
    pub const fn choice(
        key: &'static str,
        choices: &'static str,
        fallback: &'static str,
        doc: &'static str,
    ) -> OptionRow {
        let mut row = Self::of(LEMONADE_OPTION_CHOICE, key, fallback, doc);
        row.0.choices = str_of(choices);
        row
    }
    /// Bounds, inclusive; of a duration in milliseconds.
    pub const fn between(mut self, minimum: f64, maximum: f64) -> OptionRow {
        self.0.minimum = minimum;
        self.0.maximum = maximum;
        self
    }
    /// The configuration must give it.
    pub const fn required(mut self) -> OptionRow {
        self.0.flags |= LEMONADE_OPTION_REQUIRED;
        self
    }
    /// Its value is never shown.
    pub const fn secret(mut self) -> OptionRow {
        self.0.flags |= LEMONADE_OPTION_SECRET;
        self
    }
}

/// The values of options, by the key of their row. An unknown key is a mistake of the plugin and panics.
pub struct Options<'a> {
    rows: &'static [OptionRow],
    values: &'a [lemonade_option_value_t],
}

impl<'a> Options<'a> {
    pub(crate) unsafe fn of(rows: &'static [OptionRow], values: *const lemonade_options_t) -> Options<'a> {
        let count = (*values).count as usize;
        let values: &'a [_] = if count == 0 { &[] } else { core::slice::from_raw_parts((*values).values, count) };
        Options { rows, values }
    }

    fn at(&self, key: &str) -> &'a lemonade_option_value_t {
        // SAFETY: rows point to constants.
        let place = self.rows.iter().position(|row| unsafe { text_of(row.0.key) } == key);
        match place.and_then(|place| self.values.get(place)) {
            Some(value) => value,
            None => panic!("the plugin asks for the option {}, which its schema does not have", key),
        }
    }

    /// Of a boolean row.
    pub fn boolean(&self, key: &str) -> bool {
        self.at(key).integer != 0
    }
    /// Of an integer row.
    pub fn integer(&self, key: &str) -> i64 {
        self.at(key).integer
    }
    /// Of a number, integer or duration row.
    pub fn number(&self, key: &str) -> f64 {
        self.at(key).number
    }
    /// Of a text or choice row.
    pub fn text(&self, key: &str) -> &'a str {
        // SAFETY: valid as long as the values.
        unsafe { text_of(self.at(key).text) }
    }
    /// Of a duration row.
    pub fn duration(&self, key: &str) -> Duration {
        Duration::from_nanos(self.at(key).integer.max(0) as u64)
    }
}

// ---- the host ------------------------------------------------------------------------------------------------------

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error = LEMONADE_LOG_ERROR as isize,
    /// It works, but somebody should look.
    Warning = LEMONADE_LOG_WARNING as isize,
    /// What an operator wants to know of a sound system.
    Info = LEMONADE_LOG_INFO as isize,
    /// What its author wants to know; off unless configured.
    Debug = LEMONADE_LOG_DEBUG as isize,
}

/// What a metric does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever grows; its name ends in `_total`.
    Counter = LEMONADE_METRIC_COUNTER as isize,
    /// Goes up and down.
    Gauge = LEMONADE_METRIC_GAUGE as isize,
}

/// The services of the host. Any thread, but not in `pick` and `event` of a strategy.
#[derive(Clone, Copy)]
pub struct Host(&'static lemonade_host_t);

// SAFETY: the host's table is constant, readable until the process ends, and its functions are for any thread.
unsafe impl Sync for Host {}
unsafe impl Send for Host {}

impl Host {
    pub(crate) unsafe fn of(table: *const lemonade_host_t) -> Host {
        Host(&*table)
    }

    /// Writes one line to the balancer's log under the plugin's id. Never blocks.
    pub fn log(&self, level: Level, message: &str) {
        if let Some(log) = self.0.log {
            // SAFETY: the message is copied.
            unsafe { log(self.0.context, level as u32, borrowed(message)) }
        }
    }

    /// The monotonic clock, which every time of the ABI is of; 0 once the instance is being destroyed.
    pub fn now_ns(&self) -> u64 {
        // SAFETY: asks for nothing but the time.
        self.0.now_ns.map_or(0, |now_ns| unsafe { now_ns(self.0.context) })
    }

    /// Publishes a number as `lemonade_plugin_<name>{plugin="<id>"}`; the same name gives the same one again, also in a
    /// later version of the plugin. In `new`, `prepare` and `lane` only.
    pub fn metric(&self, kind: MetricKind, name: &str, help: &str) -> Result<Metric, Error> {
        let mut cell = core::ptr::null_mut();
        let register = self.0.register_metric.ok_or_else(|| Error::unsupported("this host has no metrics"))?;
        // SAFETY: the texts are copied, the cell is there until the process ends.
        let status = unsafe { register(self.0.context, kind as u32, borrowed(name), borrowed(help), &mut cell) };
        if status != LEMONADE_OK {
            return Err(Error::new(format!("the host refuses the metric {} (status {})", name, status)));
        }
        // SAFETY: as above; the host changes it by atomic operations, too.
        Ok(Metric(unsafe { &*(cell as *const AtomicI64) }))
    }
}

fn borrowed(text: &str) -> lemonade_str_t {
    lemonade_str_t { data: text.as_ptr() as *const c_char, size: text.len() as u64 }
}

/// A number that the host publishes. One atomic operation, allowed in `pick` and `event`, too.
#[derive(Clone, Copy)]
pub struct Metric(&'static AtomicI64);

impl Metric {
    /// Adds to it.
    pub fn add(&self, amount: i64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }
    /// Sets a gauge.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

// ---- the entry symbol ----------------------------------------------------------------------------------------------

const fn chars<const SIZE: usize>(text: &str) -> [c_char; SIZE] {
    let bytes = text.as_bytes();
    assert!(bytes.len() < SIZE, "an id has at most 63 bytes, a version 31");
    let mut chars = [0; SIZE];
    let mut i = 0;
    while i < bytes.len() {
        chars[i] = bytes[i] as c_char;
        i += 1;
    }
    chars
}

/// The descriptor of a plugin of one kind.
#[doc(hidden)]
pub const fn describe(
    info: &Info,
    kind: u32,
    rows: &'static [OptionRow],
    get_interface: unsafe extern "C" fn(lemonade_str_t) -> *const c_void,
) -> lemonade_plugin_t {
    lemonade_plugin_t {
        tag: lemonade_plugin_tag_t {
            magic: *LEMONADE_MAGIC,
            abi_major: LEMONADE_ABI_MAJOR,
            abi_minor: LEMONADE_ABI_MINOR,
            need_minor: 0,
            reserved0: 0,
            kinds: kind,
            flags: if info.unload_safe { LEMONADE_FLAG_UNLOAD_SAFE } else { 0 },
            layout_hash: LEMONADE_LAYOUT_HASH,
            reserved: [0; 32],
        },
        id: chars::<64>(info.id),
        version: chars::<32>(info.version),
        struct_size: core::mem::size_of::<lemonade_plugin_t>() as u32,
        option_count: rows.len() as u32,
        option_stride: core::mem::size_of::<lemonade_option_t>() as u32,
        reserved: 0,
        options: rows.as_ptr() as *const lemonade_option_t,
        name: str_of(info.name),
        vendor: str_of(info.vendor),
        license: str_of(info.license),
        doc: str_of(info.doc),
        get_interface: Some(get_interface),
    }
}

/// The table where the id is that of its interface, else null.
///
/// # Safety
/// id is text of the host.
#[doc(hidden)]
pub unsafe fn interface<T>(id: lemonade_str_t, own: &str, table: &'static Shared<T>) -> *const c_void {
    if bytes_of(id) == own.as_bytes() {
        &table.0 as *const T as *const c_void
    } else {
        core::ptr::null()
    }
}
