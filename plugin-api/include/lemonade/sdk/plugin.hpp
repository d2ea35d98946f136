// SPDX-License-Identifier: MIT
//
// C++ face of the plugin ABI: text, options, errors and the entry symbol. Header only; a plugin that includes it
// imports nothing from the host. What a plugin throws is caught here and turned into an ABI error, wherever the ABI has
// one to return.
#pragma once

#include <lemonade/host.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lemonade::sdk {

/// Borrowed ABI text as a string_view, and back. Neither copies. [any]
constexpr std::string_view view(lemonade_str_t text) noexcept {
  return {text.data, static_cast<std::size_t>(text.size)};
}
constexpr lemonade_str_t str(std::string_view text) noexcept { return {text.data(), text.size()}; }

/// Thrown by a constructor that cannot use an option's value although it is of the right type and in range.
class OptionError : public std::runtime_error {
 public:
  OptionError(std::string key, const std::string& what) : std::runtime_error(what), key_(std::move(key)) {}
  const std::string& key() const noexcept { return key_; }

 private:
  std::string key_;
};

/// Thrown by importState for a format it does not know: the instance is used without the state.
class UnsupportedState : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {

inline void copyText(char* to, std::size_t capacity, std::string_view text) noexcept {
  const std::size_t size = std::min(capacity - 1, text.size());
  std::memcpy(to, text.data(), size);
  to[size] = '\0';
}

inline lemonade_status_t fail(lemonade_error_t* error, lemonade_status_t code, std::string_view key,
                              std::string_view message) noexcept {
  error->code = code;
  copyText(error->key, sizeof(error->key), key);
  copyText(error->message, sizeof(error->message), message);
  return code;
}

/// Runs body; what it throws becomes an ABI error, so that no exception crosses the boundary.
template <class Body>
lemonade_status_t guarded(lemonade_error_t* error, Body&& body) noexcept {
  try {
    body();
    return LEMONADE_OK;
  } catch (const OptionError& e) {
    return fail(error, LEMONADE_ERROR_INVALID, e.key(), e.what());
  } catch (const UnsupportedState& e) {
    return fail(error, LEMONADE_ERROR_UNSUPPORTED, "", e.what());
  } catch (const std::bad_alloc&) {
    return fail(error, LEMONADE_ERROR_NO_MEMORY, "", "out of memory");
  } catch (const std::exception& e) {
    return fail(error, LEMONADE_ERROR_FAILED, "", e.what());
  } catch (...) {
    return fail(error, LEMONADE_ERROR_FAILED, "", "threw something that is no std::exception");
  }
}

}  // namespace detail

/// One row of an option schema, for `static constexpr lemonade_option_t kOptions[] = {option(...), ...}`.
/// `fallback` is written as in TOML, a string without its quotes. minimum and maximum are inclusive (of durations: in
/// milliseconds); both 0 means no bound.
consteval lemonade_option_t option(std::string_view key, std::uint32_t type, std::string_view fallback,
                                   std::string_view doc, double minimum = 0, double maximum = 0,
                                   std::string_view choices = {}) {
  return {str(key), type, 0, minimum, maximum, str(fallback), str(choices), str(doc)};
}

/// A row whose value the configuration must give, and one whose value is never shown:
/// secret(option("password", LEMONADE_OPTION_STRING, "", "...")).
consteval lemonade_option_t required(lemonade_option_t row) {
  row.flags |= LEMONADE_OPTION_REQUIRED;
  return row;
}
consteval lemonade_option_t secret(lemonade_option_t row) {
  row.flags |= LEMONADE_OPTION_SECRET;
  return row;
}

/// The values of the options, by the key of their schema row. Valid during the constructor that received it, and those
/// of a backend as long as their view. [control]
class Options {
 public:
  Options(std::span<const lemonade_option_t> rows, const lemonade_options_t& values) : rows_(rows), values_(values) {}

  bool boolean(std::string_view key) const { return at(key).integer != 0; }
  std::int64_t integer(std::string_view key) const { return at(key).integer; }
  double number(std::string_view key) const { return at(key).number; }
  std::string_view text(std::string_view key) const { return view(at(key).text); }
  std::chrono::nanoseconds duration(std::string_view key) const { return std::chrono::nanoseconds(at(key).integer); }

 private:
  const lemonade_option_value_t& at(std::string_view key) const {
    for (std::size_t i = 0; i < rows_.size() && i < values_.count; ++i)
      if (view(rows_[i].key) == key) return values_.values[i];
    throw OptionError(std::string(key), "the plugin asks for an option that its schema does not have");
  }

  std::span<const lemonade_option_t> rows_;
  const lemonade_options_t& values_;
};

/// The host's services. A copyable handle; usable from any thread where the ABI function says so.
class Host {
 public:
  explicit Host(const lemonade_host_t& table) noexcept : table_(&table) {}

  /// level is LEMONADE_LOG_*. [any]
  void log(std::uint32_t level, std::string_view message) const noexcept {
    table_->log(table_->context, level, str(message));
  }
  std::uint64_t nowNs() const noexcept { return table_->now_ns(table_->context); }

  /// A number of the plugin's own in the host's metrics; null where the host refuses. type is LEMONADE_METRIC_COUNTER
  /// or LEMONADE_METRIC_GAUGE. [control]
  lemonade_metric_cell_t* metric(std::uint32_t type, std::string_view name, std::string_view help) const noexcept {
    lemonade_metric_cell_t* cell = nullptr;
    const auto status = table_->register_metric(table_->context, type, str(name), str(help), &cell);
    return status == LEMONADE_OK ? cell : nullptr;
  }

  const lemonade_host_t& table() const noexcept { return *table_; }

 private:
  const lemonade_host_t* table_;
};

/// Where a plugin writes text or state; throws when the reader is gone, which the glue turns into a status.
class Writer {
 public:
  explicit Writer(const lemonade_writer_t& writer) noexcept : writer_(writer) {}
  void write(std::string_view data) const {
    if (writer_.write(writer_.context, data.data(), data.size()) != LEMONADE_OK)
      throw std::runtime_error("the reader takes no more");
  }

 private:
  const lemonade_writer_t& writer_;
};

/// What a plugin says of itself; see lemonade_plugin_t.
struct Info {
  std::string_view id = {};
  std::string_view version = {};
  std::string_view name = {};
  std::string_view vendor = {};
  std::string_view license = "MIT";
  std::string_view doc = {};
  std::uint32_t flags = 0;  ///< LEMONADE_FLAG_UNLOAD_SAFE, where that is true of all that is linked into the plugin
};

namespace detail {

/// A class's kOptions, or no rows where it has none.
template <class Plugin>
constexpr std::span<const lemonade_option_t> optionRows() {
  if constexpr (requires { Plugin::kOptions; })
    return std::span<const lemonade_option_t>(Plugin::kOptions);
  else
    return {};
}

/// Constructs a plugin from (host, options), (options) or nothing, whichever it takes.
template <class Plugin>
Plugin* construct(const lemonade_host_t* host, const lemonade_options_t* values) {
  const Options options(optionRows<Plugin>(), *values);
  if constexpr (requires { Plugin(Host(*host), options); })
    return new Plugin(Host(*host), options);
  else if constexpr (requires { Plugin(options); })
    return new Plugin(options);
  else
    return new Plugin();
}

template <class Plugin>
lemonade_status_t create(const lemonade_host_t* host, const lemonade_options_t* options, void** self,
                         lemonade_error_t* error) noexcept {
  return guarded(error, [&] { *self = construct<Plugin>(host, options); });
}

template <class Plugin>
void destroy(void* self) noexcept {
  delete static_cast<Plugin*>(self);
}

/// The entry symbol of a plugin of one kind; Kind names its interface, its kind bit and its table.
template <class Plugin, template <class> class Kind>
consteval lemonade_plugin_t describe(const Info& info) {
  lemonade_plugin_t plugin{};
  const auto place = [](char* to, std::size_t capacity, std::string_view text) {
    if (text.size() >= capacity) throw "an id has at most 63 bytes, a version 31";
    for (std::size_t i = 0; i < text.size(); ++i) to[i] = text[i];
  };
  place(plugin.tag.magic, sizeof(plugin.tag.magic) + 1, LEMONADE_MAGIC);
  plugin.tag.abi_major = LEMONADE_ABI_MAJOR;
  plugin.tag.abi_minor = LEMONADE_ABI_MINOR;
  if constexpr (requires { Kind<Plugin>::kNeedMinor; }) plugin.tag.need_minor = Kind<Plugin>::kNeedMinor;
  plugin.tag.kinds = Kind<Plugin>::kKind;
  plugin.tag.flags = info.flags;
  plugin.tag.layout_hash = LEMONADE_LAYOUT_HASH;
  place(plugin.id, sizeof(plugin.id), info.id);
  place(plugin.version, sizeof(plugin.version), info.version);
  const auto rows = optionRows<Plugin>();
  plugin.struct_size = sizeof(lemonade_plugin_t);
  plugin.option_count = static_cast<std::uint32_t>(rows.size());
  plugin.option_stride = sizeof(lemonade_option_t);
  plugin.options = rows.data();
  plugin.name = str(info.name);
  plugin.vendor = str(info.vendor);
  plugin.license = str(info.license);
  plugin.doc = str(info.doc);
  plugin.get_interface = [](lemonade_str_t id) noexcept -> const void* {
    return view(id) == Kind<Plugin>::kInterface ? &Kind<Plugin>::kTable : nullptr;
  };
  return plugin;
}

}  // namespace detail
}  // namespace lemonade::sdk

/// Defines the entry symbol; the kinds' headers wrap it. constinit makes a dynamic initialisation, which would leave
/// the file without its tag, a compile error. The first declaration decides the visibility, the definition that it is
/// kept.
#define LEMONADE_SDK_ENTRY(Kind, Plugin, ...)                                               \
  extern "C" {                                                                              \
  __attribute__((visibility("default"))) extern const lemonade_plugin_t lemonade_plugin_v1; \
  __attribute__((used)) constinit const lemonade_plugin_t lemonade_plugin_v1 =              \
      ::lemonade::sdk::detail::describe<Plugin, Kind>(::lemonade::sdk::Info{__VA_ARGS__});  \
  }
