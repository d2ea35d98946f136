// SPDX-License-Identifier: MIT
//
// C++ face of lemonade/strategy.h. A strategy is a class with a pick():
//
//   class First : public lemonade::sdk::Strategy {
//    public:
//     std::uint32_t pick(const lemonade::sdk::Pick<>& pick) noexcept {
//       for (const auto index : pick.view.eligible())
//         if (pick.allowed(index)) return index;
//       return LEMONADE_PICK_NONE;
//     }
//   };
//   LEMONADE_STRATEGY(First, .id = "com.example.first", .version = "1.0.0", .name = "First", .vendor = "Example")
//
// Everything else is found by its presence:
//   a constructor (Host, const Options&) or (const Options&), with static constexpr lemonade_option_t kOptions[];
//   using Prepared = P;  std::unique_ptr<P> prepare(View);           and then pick takes Pick<P>
//   using Lane = L;      std::unique_ptr<L> makeLane(worker);        and then pick takes Pick<P, L>
//   static constexpr std::uint32_t kEvents;  void onEvent(const lemonade_strategy_event_t&, Lane*) noexcept;
//   static constexpr std::string_view kStateFormat;  void exportState(Writer);
//                        void importState(std::string_view format, std::string_view data);
//   static constexpr lemonade_option_t kBackendOptions[];            and then View::options<S>(index) has the values
//   static constexpr std::uint32_t kNeeds;                           mask of LEMONADE_NEED_*
//   void why(const Pick<>&, std::uint32_t index, Reason&) noexcept;  why pick has just answered this backend
// pick, onEvent and why run on all workers at once, and must not throw: pick has to say so by noexcept. The rest runs
// on the control thread.
#pragma once

#include <lemonade/strategy.h>
#include <lemonade/sdk/plugin.hpp>
#include <lemonade/sdk/reason.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace lemonade::sdk {

/// Base of every strategy; holds the defaults of what a strategy may leave out.
class Strategy {
 public:
  using Prepared = void;
  using Lane = void;
};

/// The backends to choose from; a cheap handle, valid as long as the ABI view behind it.
class View {
 public:
  explicit View(const lemonade_view_t& view) noexcept : view_(&view) {}

  /// Indices of the backends that may take connections, ascending.
  std::span<const std::uint32_t> eligible() const noexcept { return {view_->eligible, view_->eligible_count}; }
  /// All backends, eligible or not.
  std::uint32_t size() const noexcept { return view_->backend_count; }
  const lemonade_backend_t& operator[](std::uint32_t index) const noexcept {
    return *lemonade_view_backend(view_, index);
  }
  const lemonade_view_t& raw() const noexcept { return *view_; }

  // What a host of 1.0 does not tell is empty. Texts and spans are valid as long as the view.

  /// The name of the pool.
  std::string_view pool() const noexcept {
    return LEMONADE_HAS(view_, lemonade_view_t, pool) ? sdk::view(view_->pool) : std::string_view{};
  }
  /// The balancer's own zone, and that of a backend; empty where none is configured.
  std::string_view zone() const noexcept {
    return LEMONADE_HAS(view_, lemonade_view_t, zone) ? sdk::view(view_->zone) : std::string_view{};
  }
  std::string_view zone(std::uint32_t index) const noexcept {
    return LEMONADE_VIEW_HAS(view_, zone) ? sdk::view((*this)[index].zone) : std::string_view{};
  }
  /// True where a backend is in the balancer's own zone, and both are known. Compares texts: for prepare.
  bool isNear(std::uint32_t index) const noexcept { return lemonade_backend_is_near(view_, index) != 0; }

  /// The labels of a backend in the order of their names, and the value of one of them. Compares texts: for prepare.
  std::span<const lemonade_label_t> labels(std::uint32_t index) const noexcept {
    if (!LEMONADE_VIEW_HAS(view_, label_count)) return {};
    return {(*this)[index].labels, (*this)[index].label_count};
  }
  std::string_view label(std::uint32_t index, std::string_view name) const noexcept {
    return sdk::view(lemonade_backend_label(view_, index, str(name)));
  }

  /// What the operator said of a backend for the strategy S, by the rows of S::kBackendOptions; nothing in a host of
  /// 1.0. For prepare.
  template <class S>
  std::optional<Options> options(std::uint32_t index) const {
    if (!LEMONADE_VIEW_HAS(view_, options) || (*this)[index].options == nullptr) return std::nullopt;
    return Options(S::kBackendOptions, *(*this)[index].options);
  }

 private:
  const lemonade_view_t* view_;
};

/// The arguments of one pick. Valid during the call.
template <class Prepared = void, class Lane = void>
struct Pick {
  const lemonade_connection_t& connection;
  View view;
  const Prepared* prepared;  ///< what prepare made of this view; null where it failed or there is no prepare
  Lane* lane;                ///< the calling worker's lane; null where there is no makeLane
  std::uint64_t& cookie;     ///< comes back with every event of this pick

  /// True where the connection may be given this backend: not tried before, and below its own limit.
  bool allowed(std::uint32_t index) const noexcept { return lemonade_may_pick(&connection, &view.raw(), index) != 0; }

  /// The name of the listener that took the connection; empty in a host of 1.0.
  std::string_view listener() const noexcept {
    return LEMONADE_HAS(&connection, lemonade_connection_t, listener) ? sdk::view(connection.listener)
                                                                      : std::string_view{};
  }
  /// Where the client came to, in network order, IPv4 as ::ffff:a.b.c.d: what its PROXY header named, else the address
  /// of its socket. Empty in a host of 1.0, without LEMONADE_NEED_LOCAL_ADDRESS in kNeeds, of a Unix socket, and where
  /// it could not be learned.
  std::span<const std::uint8_t> localAddress() const noexcept {
    if (!LEMONADE_HAS(&connection, lemonade_connection_t, local_family)) return {};
    const bool has = connection.local_family == LEMONADE_FAMILY_IPV4 || connection.local_family == LEMONADE_FAMILY_IPV6;
    return has ? std::span<const std::uint8_t>(connection.local_address) : std::span<const std::uint8_t>();
  }
};

/// Sessions of a backend now, those still connecting included.
inline std::uint32_t active(const lemonade_backend_t& backend) noexcept {
  return lemonade_load_u32(&backend.stats->active);
}

namespace detail {

template <class S>
struct StrategyKind {
  using Prepared = typename S::Prepared;
  using Lane = typename S::Lane;
  static constexpr std::uint32_t kKind = LEMONADE_KIND_STRATEGY;
  static constexpr std::string_view kInterface = LEMONADE_STRATEGY_INTERFACE;
  static constexpr bool kHasLane = !std::is_void_v<Lane>;
  static constexpr bool kHasPrepared = !std::is_void_v<Prepared>;
  static constexpr bool kHasEvents = requires { S::kEvents; };
  static constexpr bool kHasState = requires { S::kStateFormat; };

  static S& self(void* instance) noexcept { return *static_cast<S*>(instance); }

  static lemonade_status_t laneCreate(void* instance, std::uint32_t worker, void** lane,
                                      lemonade_error_t* error) noexcept {
    return guarded(error, [&] { *lane = self(instance).makeLane(worker).release(); });
  }
  static void laneDestroy(void*, void* lane) noexcept { delete static_cast<Lane*>(lane); }

  static lemonade_status_t prepare(void* instance, const lemonade_view_t* view, void** prepared,
                                   lemonade_error_t* error) noexcept {
    return guarded(error, [&] { *prepared = self(instance).prepare(View(*view)).release(); });
  }
  static void release(void*, void* prepared) noexcept { delete static_cast<Prepared*>(prepared); }

  static std::uint32_t pick(void* instance, void* lane, const void* prepared, const lemonade_connection_t* connection,
                            const lemonade_view_t* view, std::uint64_t* cookie) noexcept {
    return self(instance).pick(Pick<Prepared, Lane>{*connection, View(*view), static_cast<const Prepared*>(prepared),
                                                    static_cast<Lane*>(lane), *cookie});
  }

  static void event(void* instance, void* lane, const lemonade_strategy_event_t* event) noexcept {
    self(instance).onEvent(*event, static_cast<Lane*>(lane));
  }

  static std::uint32_t why(void* instance, void* lane, const void* prepared, const lemonade_connection_t* connection,
                           const lemonade_view_t* view, std::uint32_t index, char* text, std::uint32_t size) noexcept {
    std::uint64_t cookie = 0;
    Reason reason({text, size});
    self(instance).why(Pick<Prepared, Lane>{*connection, View(*view), static_cast<const Prepared*>(prepared),
                                            static_cast<Lane*>(lane), cookie},
                       index, reason);
    return reason.size();
  }

  static lemonade_str_t stateFormat(void*) noexcept { return str(S::kStateFormat); }
  static lemonade_status_t exportState(void* instance, const lemonade_writer_t* writer,
                                       lemonade_error_t* error) noexcept {
    return guarded(error, [&] { self(instance).exportState(Writer(*writer)); });
  }
  static lemonade_status_t importState(void* instance, lemonade_str_t format, lemonade_str_t data,
                                       lemonade_error_t* error) noexcept {
    return guarded(error, [&] { self(instance).importState(view(format), view(data)); });
  }

  static constexpr lemonade_strategy_t table() {
    static_assert(noexcept(std::declval<S&>().pick(std::declval<Pick<Prepared, Lane>>())),
                  "pick must not throw, since no exception may leave the plugin: declare it noexcept, as in "
                  "std::uint32_t pick(const Pick<>& pick) noexcept");
    lemonade_strategy_t table{};
    table.struct_size = sizeof(lemonade_strategy_t);
    table.create = create<S>;
    table.destroy = destroy<S>;
    table.pick = pick;
    if constexpr (kHasLane) {
      table.lane_create = laneCreate;
      table.lane_destroy = laneDestroy;
    }
    if constexpr (kHasPrepared) {
      table.prepare = prepare;
      table.release = release;
    }
    if constexpr (kHasEvents) {
      table.events = S::kEvents;
      table.event = event;
    }
    if constexpr (kHasState) {
      table.state_format = stateFormat;
      table.export_state = exportState;
      table.import_state = importState;
    }
    if constexpr (requires { S::kBackendOptions; }) {
      const std::span<const lemonade_option_t> rows(S::kBackendOptions);
      table.backend_options = rows.data();
      table.backend_option_count = static_cast<std::uint32_t>(rows.size());
      table.backend_option_stride = sizeof(lemonade_option_t);
    }
    if constexpr (requires { S::kNeeds; }) table.needs = S::kNeeds;
    if constexpr (requires(S & one, const Pick<Prepared, Lane>& pick, Reason& reason) { one.why(pick, 0u, reason); })
      table.why = why;
    return table;
  }
  static constexpr lemonade_strategy_t kTable = table();
};

}  // namespace detail
}  // namespace lemonade::sdk

/// Makes a class the strategy of this shared object. The rest of the arguments initialise lemonade::sdk::Info.
#define LEMONADE_STRATEGY(Class, ...) LEMONADE_SDK_ENTRY(::lemonade::sdk::detail::StrategyKind, Class, __VA_ARGS__)
