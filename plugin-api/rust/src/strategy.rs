// SPDX-License-Identifier: MIT
//! What a strategy sees and answers, and how its functions become the table of the ABI.
use crate::abi::*;
use crate::plugin::{tried, Error, Host, OptionRow, Options};
use crate::size_to;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::alloc::Layout;
use std::os::raw::c_char;

/// Chooses the backend of each connection. One instance serves all workers.
pub trait Strategy: Sized + Send + Sync + 'static {
    /// What [`prepare`](Strategy::prepare) works out of a view, `()` where that is nothing. All workers read it.
    type Prepared: Send + Sync + 'static;
    /// What one worker keeps for itself instead of in a `thread_local!`, `()` where that is nothing.
    type Lane: Send + 'static;

    /// The options that an operator may set.
    const OPTIONS: &'static [OptionRow] = &[];
    /// Those that he may set for each backend; see [`Backend::options`].
    const BACKEND_OPTIONS: &'static [OptionRow] = &[];
    /// Which events to be told of: a mask of `abi::LEMONADE_EVENT_*`.
    const EVENTS: u32 = 0;
    /// What is needed beyond what every pick is told: a mask of `abi::LEMONADE_NEED_*`.
    const NEEDS: u32 = 0;
    /// The name and version of what [`export_state`](Strategy::export_state) writes, such as "com.example.ewma/2";
    /// nothing: no state is handed to a later version.
    const STATE_FORMAT: Option<&'static str> = None;
    /// Whether [`why`](Strategy::why) has something to say.
    const SAYS_WHY: bool = false;

    /// Makes an instance. Control thread; must not block, nor claim what only one process can have.
    fn new(host: Host, options: &Options) -> Result<Self, Error>;

    /// Works out of a view what picks need, before the view is published. Control thread; must not block. Where it
    /// fails, the view is published without.
    fn prepare(&self, view: View) -> Result<Self::Prepared, Error>;

    /// Makes what a worker keeps for itself. Control thread; must not block.
    fn lane(&self, worker: u32) -> Result<Self::Lane, Error>;

    /// Chooses. All workers at once; must not allocate, free, block, call the system or the host.
    fn pick(&self, pick: &mut Pick<Self>) -> Choice;

    /// Hears of an event of [`EVENTS`](Strategy::EVENTS), on the worker that picked. What `pick` must not, this must
    /// not.
    fn event(&self, _lane: &mut Self::Lane, _event: &Event) {}

    /// Says in a few words why `pick` has just answered this backend of the view, for people. Asked only while an
    /// operator looks, on the worker that picked; what `pick` must not, this must not. Nobody sees the cookie. Hosts of
    /// ABI 1.2 and later ask.
    fn why(&self, _pick: &Pick<Self>, _index: u32, _reason: &mut Reason) {}

    /// Writes the state for a later version. Control thread, while picks go on.
    fn export_state(&self, _writer: &mut Writer) -> Result<(), Error> {
        Ok(())
    }

    /// Takes over what an earlier version wrote, or another strategy: check it. Control thread, before anything else.
    fn import_state(&mut self, _format: &str, _data: &[u8]) -> Result<(), Error> {
        Err(Error::unsupported("this strategy takes no state over"))
    }
}

/// What a pick comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The index of a backend of the view that is eligible and [allowed](Pick::allowed).
    Backend(u32),
    /// None of these now: the next tier is asked, then the connection waits or is closed.
    None,
    /// This client is refused.
    Reject,
}

// ---- what it sees --------------------------------------------------------------------------------------------------

/// An immutable set of backends. Valid as long as the call that got it, or what was prepared of it.
#[derive(Clone, Copy)]
pub struct View<'a>(&'a lemonade_view_t);

impl<'a> View<'a> {
    /// Indices of the backends that may take connections, ascending.
    pub fn eligible(&self) -> &'a [u32] {
        let count = self.0.eligible_count as usize;
        if count == 0 {
            return &[];
        }
        // SAFETY: the host's, constant as long as the view.
        unsafe { core::slice::from_raw_parts(self.0.eligible, count) }
    }

    /// How many backends there are, eligible or not.
    pub fn len(&self) -> u32 {
        self.0.backend_count
    }

    /// True where there is no backend.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The backend at an index, which must be below [`len`](View::len): otherwise this panics.
    pub fn backend(&self, index: u32) -> Backend<'a> {
        assert!(index < self.0.backend_count, "there is no such backend");
        let place = index as usize * self.0.backend_stride as usize;
        // SAFETY: within the host's array, whose elements are that far apart and at least as large as in ABI 1.0. What
        // is newer is read only where the stride says that it is there.
        let backend = unsafe { (self.0.backends as *const u8).add(place) as *const lemonade_backend_t };
        Backend { backend, stride: self.0.backend_stride as usize, view: PhantomData }
    }

    /// Counts what was published, from 1.
    pub fn serial(&self) -> u64 {
        self.0.serial
    }

    /// The name of the pool; empty in a host of ABI 1.0.
    pub fn pool(&self) -> &'a str {
        if (self.0.struct_size as usize) < size_to!(lemonade_view_t, pool) {
            return "";
        }
        // SAFETY: the host's, constant as long as the view.
        unsafe { text_of(self.0.pool) }
    }

    /// The balancer's own zone; empty where none is configured, and in a host of ABI 1.0.
    pub fn zone(&self) -> &'a str {
        if (self.0.struct_size as usize) < size_to!(lemonade_view_t, zone) {
            return "";
        }
        // SAFETY: the host's, constant as long as the view.
        unsafe { text_of(self.0.zone) }
    }
}

/// One backend of a view.
#[derive(Clone, Copy)]
pub struct Backend<'a> {
    backend: *const lemonade_backend_t,
    stride: usize,
    view: PhantomData<&'a lemonade_view_t>,
}

macro_rules! fields {
    ($($(#[$about:meta])* $name:ident: $type:ty;)*) => {
        $($(#[$about])* pub fn $name(&self) -> $type {
            // SAFETY: of ABI 1.0, constant as long as the view.
            unsafe { (*self.backend).$name }
        })*
    };
}

macro_rules! texts {
    ($($(#[$about:meta])* $name:ident;)*) => {
        $($(#[$about])* pub fn $name(&self) -> &'a str {
            // SAFETY: of ABI 1.0, constant as long as the view.
            unsafe { text_of((*self.backend).$name) }
        })*
    };
}

macro_rules! counts {
    ($($(#[$about:meta])* $name:ident: $atomic:ty => $type:ty, $convert:expr;)*) => {
        $($(#[$about])* pub fn $name(&self) -> $type {
            // SAFETY: as long as the view; the host changes it by atomic operations, too.
            let field = unsafe { &*(core::ptr::addr_of!((*(*self.backend).stats).$name) as *const $atomic) };
            ($convert)(field.load(Ordering::Relaxed))
        })*
    };
}

impl<'a> Backend<'a> {
    texts! {
        /// As configured.
        id;
        /// For people.
        name;
        /// "10.0.1.10:8080", "[2001:db8::1]:80".
        address;
    }

    fields! {
        /// A hash of id and address: the same backend has the same one in every view.
        identity: u64;
        /// As configured; 0 takes no connections.
        weight: u32;
        /// 1000 times the weight, lowered while a slow start runs.
        effective_weight: u32;
        /// 0: no limit.
        max_connections: u32;
        /// A mask of `abi::LEMONADE_BACKEND_*`.
        flags: u32;
        /// Its tier: 0 comes first.
        priority: u32;
    }

    counts! {
        /// Sessions now, those still connecting included.
        active: AtomicU32 => u32, core::convert::identity;
        /// Exchanges whose answer has not begun.
        waiting: AtomicU32 => u32, core::convert::identity;
        /// The average of the time to connect, in nanoseconds; 0: no sample yet.
        connect_ewma_ns: AtomicU64 => f64, f64::from_bits;
        /// The same of the time from a request to the first byte of its answer.
        exchange_ewma_ns: AtomicU64 => f64, f64::from_bits;
        /// When the newest successful sample was taken; 0: never.
        sampled_at_ns: AtomicU64 => u64, core::convert::identity;
        /// When the newest failure was seen; 0: never.
        failed_at_ns: AtomicU64 => u64, core::convert::identity;
        /// Failures since the last success.
        fail_streak: AtomicU32 => u32, core::convert::identity;
        /// The share of sessions that failed lately, 0 to 1.
        error_rate: AtomicU32 => f32, f32::from_bits;
        /// Sessions ever given to it, modulo 2^32.
        picks: AtomicU32 => u32, core::convert::identity;
        /// Of the active: those that were answered and have asked nothing since.
        quiet: AtomicU32 => u32, core::convert::identity;
    }

    /// Its zone, as configured; empty where none is, and in a host of ABI 1.0.
    pub fn zone(&self) -> &'a str {
        if self.stride < size_to!(lemonade_backend_t, zone) {
            return "";
        }
        // SAFETY: the host has it, constant as long as the view.
        unsafe { text_of((*self.backend).zone) }
    }

    /// The value of a label; nothing where it has none of that name, and in a host of ABI 1.0. Compares texts: meant
    /// for `prepare`.
    pub fn label(&self, name: &str) -> Option<&'a str> {
        if self.stride < size_to!(lemonade_backend_t, label_count) {
            return None;
        }
        // SAFETY: the host has them, constant as long as the view.
        unsafe {
            let count = (*self.backend).label_count as usize;
            let labels: &'a [lemonade_label_t] =
                if count == 0 { &[] } else { core::slice::from_raw_parts((*self.backend).labels, count) };
            labels.iter().find(|label| text_of(label.name) == name).map(|label| text_of(label.value))
        }
    }

    /// What the operator said of it for the strategy, by `S::BACKEND_OPTIONS`; nothing in a host of ABI 1.0. Meant for
    /// `prepare`.
    pub fn options<S: Strategy>(&self) -> Option<Options<'a>> {
        if self.stride < size_to!(lemonade_backend_t, options) {
            return None;
        }
        // SAFETY: the host has them, constant as long as the view.
        unsafe {
            let values = (*self.backend).options;
            if values.is_null() {
                None
            } else {
                Some(Options::of(S::BACKEND_OPTIONS, values))
            }
        }
    }
}

/// What kind of address something has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// A Unix socket, which has no address.
    Unix,
    /// It is not known.
    Unknown,
}

fn family_of(number: u32) -> Family {
    match number {
        LEMONADE_FAMILY_IPV4 => Family::Ipv4,
        LEMONADE_FAMILY_IPV6 => Family::Ipv6,
        LEMONADE_FAMILY_UNIX => Family::Unix,
        _ => Family::Unknown,
    }
}

/// What is known of the connection to place.
#[derive(Clone, Copy)]
pub struct Connection<'a>(&'a lemonade_connection_t);

impl<'a> Connection<'a> {
    /// 0 for the first pick of a connection, then how many backends failed it.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }
    /// The monotonic clock, as it was when the worker woke up.
    pub fn now_ns(&self) -> u64 {
        self.0.now_ns
    }
    /// Uniform over 64 bits, fresh for each pick.
    pub fn random(&self) -> u64 {
        self.0.random
    }
    /// In network order, IPv4 as `::ffff:a.b.c.d`.
    pub fn client_address(&self) -> &'a [u8; 16] {
        &self.0.client_address
    }
    /// Of the client's address.
    pub fn client_family(&self) -> Family {
        family_of(self.0.client_family)
    }
    /// The client's port.
    pub fn client_port(&self) -> u16 {
        self.0.client_port
    }
    /// The port that the client came to.
    pub fn local_port(&self) -> u16 {
        self.0.local_port
    }
    /// The index of the calling worker.
    pub fn worker(&self) -> u32 {
        self.0.worker
    }
    /// Indices that this connection must not be given.
    pub fn tried(&self) -> &'a [u32] {
        let count = self.0.tried_count as usize;
        if count == 0 {
            return &[];
        }
        // SAFETY: the host's, valid during the call.
        unsafe { core::slice::from_raw_parts(self.0.tried, count) }
    }
    /// The name of the listener that took it; empty in a host of ABI 1.0.
    pub fn listener(&self) -> &'a str {
        if (self.0.struct_size as usize) < size_to!(lemonade_connection_t, listener) {
            return "";
        }
        // SAFETY: the host's, valid during the call.
        unsafe { text_of(self.0.listener) }
    }
    /// Where the client came to, as `client_address`; nothing without `LEMONADE_NEED_LOCAL_ADDRESS` in
    /// [`NEEDS`](Strategy::NEEDS), of a Unix socket, where it could not be learned, and in a host of ABI 1.0.
    pub fn local_address(&self) -> Option<&'a [u8; 16]> {
        if (self.0.struct_size as usize) < size_to!(lemonade_connection_t, local_family) {
            return None;
        }
        match family_of(self.0.local_family) {
            Family::Ipv4 | Family::Ipv6 => Some(&self.0.local_address),
            _ => None,
        }
    }
}

/// The arguments of one pick.
pub struct Pick<'a, S: Strategy> {
    /// The connection to place.
    pub connection: Connection<'a>,
    /// The backends to choose from.
    pub view: View<'a>,
    /// What was prepared of this view; nothing where that failed.
    pub prepared: Option<&'a S::Prepared>,
    /// The calling worker's own.
    pub lane: &'a mut S::Lane,
    /// 0, and may be set: comes back with every event of this pick.
    pub cookie: &'a mut u64,
}

impl<'a, S: Strategy> Pick<'a, S> {
    /// True where the connection may be given this backend: not tried before, and below its own limit.
    pub fn allowed(&self, index: u32) -> bool {
        let backend = self.view.backend(index);
        !self.connection.tried().contains(&index)
            && (backend.max_connections() == 0 || backend.active() < backend.max_connections())
    }
}

/// What became of a pick.
#[derive(Clone, Copy)]
pub struct Event<'a>(&'a lemonade_strategy_event_t);

impl<'a> Event<'a> {
    /// One of `abi::LEMONADE_EVENT_*`.
    pub fn kind(&self) -> u32 {
        self.0.r#type
    }
    /// Of the picked backend, which may have left the view since.
    pub fn backend_identity(&self) -> u64 {
        self.0.backend_identity
    }
    /// As the pick left it.
    pub fn cookie(&self) -> u64 {
        self.0.cookie
    }
    /// The monotonic clock.
    pub fn now_ns(&self) -> u64 {
        self.0.now_ns
    }
    /// A duration: which one is said at the constant of its kind; else 0.
    pub fn value_ns(&self) -> u64 {
        self.0.value_ns
    }
    /// Of CLOSED: from client to backend, from backend to client, and how many exchanges there were.
    pub fn totals(&self) -> (u64, u64, u64) {
        (self.0.bytes_in, self.0.bytes_out, self.0.exchanges)
    }
    /// errno, or 0.
    pub fn error(&self) -> i32 {
        self.0.error
    }
    /// True where an earlier version picked, or the host: the cookie is not yours.
    pub fn is_foreign(&self) -> bool {
        self.0.foreign != 0
    }
}

/// Where a state goes.
pub struct Writer<'a>(&'a lemonade_writer_t);

impl<'a> Writer<'a> {
    /// Writes the next bytes. An error: the reader is gone or takes no more; pass it on.
    pub fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        let write = self.0.write.ok_or_else(|| Error::unsupported("this host takes no state"))?;
        // SAFETY: the bytes are copied.
        match unsafe { write(self.0.context, data.as_ptr() as *const c_void, data.len() as u64) } {
            LEMONADE_OK => Ok(()),
            _ => Err(Error::new("the reader takes no more")),
        }
    }
}

/// What a strategy says when it is asked why: `write!(reason, "{} sessions", open)`. Put together in the host's memory
/// without an allocation; what does not fit is left out.
pub struct Reason<'a> {
    room: &'a mut [u8],
    size: usize,
}

impl core::fmt::Write for Reason<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let mut size = text.len().min(self.room.len() - self.size);
        while !text.is_char_boundary(size) {
            size -= 1;
        }
        self.room[self.size..self.size + size].copy_from_slice(&text.as_bytes()[..size]);
        self.size += size;
        Ok(())
    }
}

// ---- the table -----------------------------------------------------------------------------------------------------

// The pointers that the host keeps are those of boxes. What is of no size is none: its pointer dangles and is not null.

unsafe fn lent<'a, T>(pointer: *mut c_void) -> &'a T {
    &*(pointer as *const T)
}

fn kept<T>(value: T) -> Result<*mut c_void, Error> {
    let layout = Layout::new::<T>();
    if layout.size() == 0 {
        return Ok(Box::into_raw(Box::new(value)) as *mut c_void);
    }
    // As Box::new, which aborts where there is no memory.
    // SAFETY: of the size and alignment of a T, which is all that Box asks for.
    unsafe {
        let place = std::alloc::alloc(layout) as *mut T;
        if place.is_null() {
            return Err(Error::NO_MEMORY);
        }
        place.write(value);
        Ok(place as *mut c_void)
    }
}

unsafe fn ended<T>(pointer: *mut c_void) {
    drop(Box::from_raw(pointer as *mut T));
}

unsafe extern "C" fn create<S: Strategy>(
    host: *const lemonade_host_t,
    options: *const lemonade_options_t,
    instance: *mut *mut c_void,
    error: *mut lemonade_error_t,
) -> lemonade_status_t {
    tried(error, || {
        *instance = kept(S::new(Host::of(host), &Options::of(S::OPTIONS, options))?)?;
        Ok(())
    })
}

unsafe extern "C" fn destroy<S: Strategy>(instance: *mut c_void) {
    ended::<S>(instance);
}

unsafe extern "C" fn lane_create<S: Strategy>(
    instance: *mut c_void,
    worker: u32,
    lane: *mut *mut c_void,
    error: *mut lemonade_error_t,
) -> lemonade_status_t {
    tried(error, || {
        *lane = kept(lent::<S>(instance).lane(worker)?)?;
        Ok(())
    })
}

unsafe extern "C" fn lane_destroy<S: Strategy>(_: *mut c_void, lane: *mut c_void) {
    ended::<S::Lane>(lane);
}

unsafe extern "C" fn prepare<S: Strategy>(
    instance: *mut c_void,
    view: *const lemonade_view_t,
    prepared: *mut *mut c_void,
    error: *mut lemonade_error_t,
) -> lemonade_status_t {
    tried(error, || {
        *prepared = kept(lent::<S>(instance).prepare(View(&*view))?)?;
        Ok(())
    })
}

unsafe extern "C" fn release<S: Strategy>(_: *mut c_void, prepared: *mut c_void) {
    ended::<S::Prepared>(prepared);
}

unsafe extern "C" fn pick<S: Strategy>(
    instance: *mut c_void,
    lane: *mut c_void,
    prepared: *const c_void,
    connection: *const lemonade_connection_t,
    view: *const lemonade_view_t,
    cookie: *mut u64,
) -> u32 {
    let mut pick = Pick::<S> {
        connection: Connection(&*connection),
        view: View(&*view),
        prepared: (prepared as *const S::Prepared).as_ref(),
        lane: &mut *(lane as *mut S::Lane),
        cookie: &mut *cookie,
    };
    match lent::<S>(instance).pick(&mut pick) {
        Choice::Backend(index) => index,
        Choice::None => LEMONADE_PICK_NONE,
        Choice::Reject => LEMONADE_PICK_REJECT,
    }
}

unsafe extern "C" fn event<S: Strategy>(
    instance: *mut c_void,
    lane: *mut c_void,
    event: *const lemonade_strategy_event_t,
) {
    lent::<S>(instance).event(&mut *(lane as *mut S::Lane), &Event(&*event));
}

#[allow(clippy::too_many_arguments)] // as the ABI has it
unsafe extern "C" fn why<S: Strategy>(
    instance: *mut c_void,
    lane: *mut c_void,
    prepared: *const c_void,
    connection: *const lemonade_connection_t,
    view: *const lemonade_view_t,
    index: u32,
    text: *mut c_char,
    size: u32,
) -> u32 {
    let mut nobody_sees = 0;
    let pick = Pick::<S> {
        connection: Connection(&*connection),
        view: View(&*view),
        prepared: (prepared as *const S::Prepared).as_ref(),
        lane: &mut *(lane as *mut S::Lane),
        cookie: &mut nobody_sees,
    };
    let mut reason = Reason { room: core::slice::from_raw_parts_mut(text as *mut u8, size as usize), size: 0 };
    lent::<S>(instance).why(&pick, index, &mut reason);
    reason.size as u32
}

unsafe extern "C" fn state_format<S: Strategy>(_: *mut c_void) -> lemonade_str_t {
    str_of(S::STATE_FORMAT.unwrap_or(""))
}

unsafe extern "C" fn export_state<S: Strategy>(
    instance: *mut c_void,
    writer: *const lemonade_writer_t,
    error: *mut lemonade_error_t,
) -> lemonade_status_t {
    tried(error, || lent::<S>(instance).export_state(&mut Writer(&*writer)))
}

unsafe extern "C" fn import_state<S: Strategy>(
    instance: *mut c_void,
    format: lemonade_str_t,
    data: lemonade_str_t,
    error: *mut lemonade_error_t,
) -> lemonade_status_t {
    // Before the first lane, prepare and pick, so nobody else has it.
    tried(error, || (*(instance as *mut S)).import_state(text_of(format), bytes_of(data)))
}

/// The table of a strategy.
#[doc(hidden)]
pub const fn table<S: Strategy>() -> lemonade_strategy_t {
    let mut table = lemonade_strategy_t {
        struct_size: core::mem::size_of::<lemonade_strategy_t>() as u32,
        events: S::EVENTS,
        create: Some(create::<S>),
        destroy: Some(destroy::<S>),
        lane_create: Some(lane_create::<S>),
        lane_destroy: Some(lane_destroy::<S>),
        prepare: Some(prepare::<S>),
        release: Some(release::<S>),
        pick: Some(pick::<S>),
        event: None,
        state_format: None,
        export_state: None,
        import_state: None,
        backend_options: S::BACKEND_OPTIONS.as_ptr() as *const lemonade_option_t,
        backend_option_count: S::BACKEND_OPTIONS.len() as u32,
        backend_option_stride: core::mem::size_of::<lemonade_option_t>() as u32,
        needs: S::NEEDS,
        reserved: 0,
        why: None,
    };
    if S::EVENTS != 0 {
        table.event = Some(event::<S>);
    }
    if S::SAYS_WHY {
        table.why = Some(why::<S>);
    }
    if S::STATE_FORMAT.is_some() {
        table.state_format = Some(state_format::<S>);
        table.export_state = Some(export_state::<S>);
        table.import_state = Some(import_state::<S>);
    }
    table
}
