// SPDX-License-Identifier: MIT
//! The structs and constants of `lemonade/plugin.h`, `lemonade/host.h` and `lemonade/strategy.h`, under their own
//! names. What each of them means stands there. A test compares sizes, offsets and values with what a C compiler makes of the
//! headers.
#![allow(non_camel_case_types)]
#![allow(missing_docs)]

use core::ffi::c_void;
use std::os::raw::c_char;

/// A status, `LEMONADE_OK` or `LEMONADE_ERROR_*`.
pub type lemonade_status_t = i32;

/// A name, an offset or value, and a size, as [`layout`] tells them.
pub type Row = (String, u64, u64);

/// Defines structs as C lays them out, and says where each field is.
macro_rules! structs {
    ($($(#[$about:meta])* $name:ident { $($field:ident: $type:ty,)* })*) => {
        $(
            $(#[$about])*
            #[repr(C)]
            #[derive(Clone, Copy)]
            pub struct $name { $(pub $field: $type,)* }
        )*

        fn offsets(rows: &mut Vec<Row>) {
            $({
                let place = core::mem::MaybeUninit::<$name>::uninit();
                let start = place.as_ptr();
                rows.push((stringify!($name).into(), 0, core::mem::size_of::<$name>() as u64));
                $({
                    // SAFETY: only an address is taken, within the place.
                    let field = unsafe { core::ptr::addr_of!((*start).$field) };
                    rows.push((
                        concat!(stringify!($name), ".", stringify!($field)).into(),
                        (field as usize - start as usize) as u64,
                        size_behind(field) as u64,
                    ));
                })*
            })*
        }
    };
}

fn size_behind<T>(_: *const T) -> usize {
    core::mem::size_of::<T>()
}

/// Defines constants, and says their values.
macro_rules! constants {
    ($($name:ident: $type:ty = $value:expr;)*) => {
        $(pub const $name: $type = $value;)*

        fn values(rows: &mut Vec<Row>) {
            $(rows.push((stringify!($name).into(), $name as u64, core::mem::size_of::<$type>() as u64));)*
        }
    };
}

/// Every struct with its size, every field with its offset and size, every constant with its value: for the test that
/// compares them with the headers.
pub fn layout() -> Vec<Row> {
    let mut rows = Vec::new();
    offsets(&mut rows);
    values(&mut rows);
    rows
}

constants! {
    LEMONADE_ABI_MAJOR: u16 = 1;
    LEMONADE_ABI_MINOR: u16 = 2;
    LEMONADE_LAYOUT_HASH: u64 = 0x4c9e06286fd99575;

    LEMONADE_OK: lemonade_status_t = 0;
    LEMONADE_ERROR_FAILED: lemonade_status_t = 1;
    LEMONADE_ERROR_INVALID: lemonade_status_t = 2;
    LEMONADE_ERROR_UNSUPPORTED: lemonade_status_t = 3;
    LEMONADE_ERROR_NO_MEMORY: lemonade_status_t = 4;
    LEMONADE_ERROR_RETIRED: lemonade_status_t = 5;
    LEMONADE_ERROR_LIMIT: lemonade_status_t = 6;

    LEMONADE_KIND_STRATEGY: u32 = 1;
    LEMONADE_KIND_HEALTH_CHECKER: u32 = 2;
    LEMONADE_KIND_METRICS_SINK: u32 = 4;
    LEMONADE_FLAG_UNLOAD_SAFE: u32 = 1;

    LEMONADE_OPTION_BOOLEAN: u32 = 1;
    LEMONADE_OPTION_INTEGER: u32 = 2;
    LEMONADE_OPTION_NUMBER: u32 = 3;
    LEMONADE_OPTION_STRING: u32 = 4;
    LEMONADE_OPTION_DURATION: u32 = 5;
    LEMONADE_OPTION_CHOICE: u32 = 6;
    LEMONADE_OPTION_REQUIRED: u32 = 1;
    LEMONADE_OPTION_SECRET: u32 = 2;

    LEMONADE_LOG_ERROR: u32 = 1;
    LEMONADE_LOG_WARNING: u32 = 2;
    LEMONADE_LOG_INFO: u32 = 3;
    LEMONADE_LOG_DEBUG: u32 = 4;
    LEMONADE_METRIC_COUNTER: u32 = 1;
    LEMONADE_METRIC_GAUGE: u32 = 2;
    LEMONADE_METRIC_HISTOGRAM: u32 = 3;

    LEMONADE_BACKEND_HEALTHY: u32 = 1;
    LEMONADE_BACKEND_ENABLED: u32 = 2;
    LEMONADE_BACKEND_DRAINING: u32 = 4;
    LEMONADE_BACKEND_ELIGIBLE: u32 = 8;
    LEMONADE_BACKEND_EJECTED: u32 = 16;
    LEMONADE_SPEED_SPANS: u32 = 3;
    LEMONADE_FAMILY_IPV4: u32 = 4;
    LEMONADE_FAMILY_IPV6: u32 = 6;
    LEMONADE_FAMILY_UNIX: u32 = 1;
    LEMONADE_PICK_NONE: u32 = 0xffff_ffff;
    LEMONADE_PICK_REJECT: u32 = 0xffff_fffe;
    LEMONADE_EVENT_CONNECTED: u32 = 1;
    LEMONADE_EVENT_CONNECT_FAILED: u32 = 2;
    LEMONADE_EVENT_EXCHANGE: u32 = 4;
    LEMONADE_EVENT_CLOSED: u32 = 8;
    LEMONADE_EVENT_ERROR: u32 = 16;
    LEMONADE_EVENT_ABANDONED: u32 = 32;
    LEMONADE_NEED_LOCAL_ADDRESS: u32 = 1;
    LEMONADE_NEED_REFUSALS: u32 = 2;
}

/// The first bytes of the entry symbol.
pub const LEMONADE_MAGIC: &[u8; 8] = b"LEMONADE";
/// The id that `get_interface` knows the table of a strategy by.
pub const LEMONADE_STRATEGY_INTERFACE: &str = "lemonade.strategy/1";

type Callback = Option<unsafe extern "C" fn(user: *mut c_void)>;

structs! {
    lemonade_str_t {
        data: *const c_char,
        size: u64,
    }
    lemonade_label_t {
        name: lemonade_str_t,
        value: lemonade_str_t,
    }
    lemonade_error_t {
        struct_size: u32,
        code: i32,
        key: [c_char; 64],
        message: [c_char; 440],
    }
    lemonade_option_t {
        key: lemonade_str_t,
        r#type: u32,
        flags: u32,
        minimum: f64,
        maximum: f64,
        default_value: lemonade_str_t,
        choices: lemonade_str_t,
        doc: lemonade_str_t,
    }
    lemonade_option_value_t {
        integer: i64,
        number: f64,
        text: lemonade_str_t,
    }
    lemonade_options_t {
        struct_size: u32,
        count: u32,
        values: *const lemonade_option_value_t,
    }
    lemonade_writer_t {
        struct_size: u32,
        reserved: u32,
        context: *mut c_void,
        write: Option<unsafe extern "C" fn(context: *mut c_void, data: *const c_void, size: u64) -> lemonade_status_t>,
    }
    lemonade_plugin_tag_t {
        magic: [u8; 8],
        abi_major: u16,
        abi_minor: u16,
        need_minor: u16,
        reserved0: u16,
        kinds: u32,
        flags: u32,
        layout_hash: u64,
        reserved: [u8; 32],
    }
    lemonade_plugin_t {
        tag: lemonade_plugin_tag_t,
        id: [c_char; 64],
        version: [c_char; 32],
        struct_size: u32,
        option_count: u32,
        option_stride: u32,
        reserved: u32,
        options: *const lemonade_option_t,
        name: lemonade_str_t,
        vendor: lemonade_str_t,
        license: lemonade_str_t,
        doc: lemonade_str_t,
        get_interface: Option<unsafe extern "C" fn(id: lemonade_str_t) -> *const c_void>,
    }

    lemonade_metric_cell_t {
        value: i64,
    }
    lemonade_host_t {
        struct_size: u32,
        abi_minor: u32,
        context: *mut c_void,
        log: Option<unsafe extern "C" fn(context: *mut c_void, level: u32, message: lemonade_str_t)>,
        now_ns: Option<unsafe extern "C" fn(context: *mut c_void) -> u64>,
        post: Option<
            unsafe extern "C" fn(context: *mut c_void, callback: Callback, user: *mut c_void) -> lemonade_status_t,
        >,
        timer_start: Option<
            unsafe extern "C" fn(
                context: *mut c_void,
                interval_ns: u64,
                callback: Callback,
                user: *mut c_void,
                timer: *mut u64,
            ) -> lemonade_status_t,
        >,
        timer_cancel: Option<unsafe extern "C" fn(context: *mut c_void, timer: u64)>,
        register_metric: Option<
            unsafe extern "C" fn(
                context: *mut c_void,
                kind: u32,
                name: lemonade_str_t,
                help: lemonade_str_t,
                cell: *mut *mut lemonade_metric_cell_t,
            ) -> lemonade_status_t,
        >,
        get_extension: Option<unsafe extern "C" fn(context: *mut c_void, id: lemonade_str_t) -> *const c_void>,
    }

    lemonade_backend_stats_t {
        active: u32,
        waiting: u32,
        waiting_since_sum_us: u64,
        connect_ewma_ns: f64,
        exchange_ewma_ns: f64,
        sampled_at_ns: u64,
        failed_at_ns: u64,
        fail_streak: u32,
        error_rate: f32,
        picks: u32,
        quiet: u32,
    }
    lemonade_backend_speed_t {
        struct_size: u32,
        gap_ns: f32,
        answered_at_ns: u64,
        head_since_ns: u64,
        root: [f32; 3],
        count: [f32; 3],
        newest: f32,
        spread: f32,
    }
    lemonade_backend_t {
        id: lemonade_str_t,
        name: lemonade_str_t,
        address: lemonade_str_t,
        identity: u64,
        weight: u32,
        effective_weight: u32,
        max_connections: u32,
        flags: u32,
        priority: u32,
        reserved: u32,
        stats: *const lemonade_backend_stats_t,
        zone: lemonade_str_t,
        labels: *const lemonade_label_t,
        options: *const lemonade_options_t,
        label_count: u32,
        reserved1: u32,
        speed: *const lemonade_backend_speed_t,
    }
    lemonade_view_t {
        struct_size: u32,
        backend_stride: u32,
        backend_count: u32,
        eligible_count: u32,
        backends: *const lemonade_backend_t,
        eligible: *const u32,
        serial: u64,
        pool: lemonade_str_t,
        zone: lemonade_str_t,
    }
    lemonade_connection_t {
        struct_size: u32,
        attempt: u32,
        now_ns: u64,
        random: u64,
        client_address: [u8; 16],
        client_family: u32,
        client_port: u16,
        local_port: u16,
        tried: *const u32,
        tried_count: u32,
        worker: u32,
        server_name: lemonade_str_t,
        listener: lemonade_str_t,
        local_address: [u8; 16],
        local_family: u32,
        reserved: u32,
    }
    lemonade_strategy_event_t {
        struct_size: u32,
        r#type: u32,
        backend_identity: u64,
        cookie: u64,
        now_ns: u64,
        value_ns: u64,
        bytes_in: u64,
        bytes_out: u64,
        exchanges: u64,
        error: i32,
        foreign: u32,
    }
    lemonade_strategy_t {
        struct_size: u32,
        events: u32,
        create: Option<
            unsafe extern "C" fn(
                host: *const lemonade_host_t,
                options: *const lemonade_options_t,
                self_: *mut *mut c_void,
                error: *mut lemonade_error_t,
            ) -> lemonade_status_t,
        >,
        destroy: Option<unsafe extern "C" fn(self_: *mut c_void)>,
        lane_create: Option<
            unsafe extern "C" fn(
                self_: *mut c_void,
                worker: u32,
                lane: *mut *mut c_void,
                error: *mut lemonade_error_t,
            ) -> lemonade_status_t,
        >,
        lane_destroy: Option<unsafe extern "C" fn(self_: *mut c_void, lane: *mut c_void)>,
        prepare: Option<
            unsafe extern "C" fn(
                self_: *mut c_void,
                view: *const lemonade_view_t,
                prepared: *mut *mut c_void,
                error: *mut lemonade_error_t,
            ) -> lemonade_status_t,
        >,
        release: Option<unsafe extern "C" fn(self_: *mut c_void, prepared: *mut c_void)>,
        pick: Option<
            unsafe extern "C" fn(
                self_: *mut c_void,
                lane: *mut c_void,
                prepared: *const c_void,
                connection: *const lemonade_connection_t,
                view: *const lemonade_view_t,
                cookie: *mut u64,
            ) -> u32,
        >,
        event: Option<
            unsafe extern "C" fn(self_: *mut c_void, lane: *mut c_void, event: *const lemonade_strategy_event_t),
        >,
        state_format: Option<unsafe extern "C" fn(self_: *mut c_void) -> lemonade_str_t>,
        export_state: Option<
            unsafe extern "C" fn(
                self_: *mut c_void,
                writer: *const lemonade_writer_t,
                error: *mut lemonade_error_t,
            ) -> lemonade_status_t,
        >,
        import_state: Option<
            unsafe extern "C" fn(
                self_: *mut c_void,
                format: lemonade_str_t,
                data: lemonade_str_t,
                error: *mut lemonade_error_t,
            ) -> lemonade_status_t,
        >,
        backend_options: *const lemonade_option_t,
        backend_option_count: u32,
        backend_option_stride: u32,
        needs: u32,
        reserved: u32,
        why: Option<
            unsafe extern "C" fn(
                self_: *mut c_void,
                lane: *mut c_void,
                prepared: *const c_void,
                connection: *const lemonade_connection_t,
                view: *const lemonade_view_t,
                index: u32,
                text: *mut c_char,
                size: u32,
            ) -> u32,
        >,
    }
}

/// A constant of the ABI that holds pointers to constants alone, so that all threads may read it.
#[repr(transparent)]
pub struct Shared<T>(pub T);

// SAFETY: nobody changes what it holds, nor what that points to.
unsafe impl<T> Sync for Shared<T> {}

/// The bytes of a struct up to and with a field: whether a host that may be older has it.
#[macro_export]
#[doc(hidden)]
macro_rules! size_to {
    ($type:ty, $field:ident) => {{
        let place = ::core::mem::MaybeUninit::<$type>::uninit();
        let start = place.as_ptr();
        // SAFETY: only addresses are taken, within the place.
        unsafe { ::core::ptr::addr_of!((*start).$field).add(1) as usize - start as usize }
    }};
}

/// Borrowed text as the ABI has it.
pub const fn str_of(text: &'static str) -> lemonade_str_t {
    lemonade_str_t { data: text.as_ptr() as *const c_char, size: text.len() as u64 }
}

/// The bytes of a text of the ABI.
///
/// # Safety
/// What it points to must live and stay as it is for `'a`.
pub unsafe fn bytes_of<'a>(text: lemonade_str_t) -> &'a [u8] {
    if text.size == 0 {
        return &[];
    }
    core::slice::from_raw_parts(text.data as *const u8, text.size as usize)
}

/// A text of the ABI, which is UTF-8; empty where it is not.
///
/// # Safety
/// As of [`bytes_of`].
pub unsafe fn text_of<'a>(text: lemonade_str_t) -> &'a str {
    core::str::from_utf8(bytes_of(text)).unwrap_or("")
}
