// SPDX-License-Identifier: MIT
//
// What a plugin meets in a check: its loaded code, a host table that stands alone, and its options. Used in
// the child process of a check only; what goes wrong here is thrown as a Fault.
#pragma once

#include "plugin/image.h"
#include "plugin/kind.h"
#include "plugin/options.h"
#include "plugin/text.h"
#include "validate/check.h"
#include "validate/guarded.h"
#include "validate/isolation.h"

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace lemonade::validate {

/// How much larger the structs of a later host are in the checks.
constexpr std::size_t kExtra = 64;

using plugin::forEachKind;
using plugin::kKindOf;
using plugin::str;
using plugin::view;

/// The code of the plugin, loaded as the balancer does it.
class Code {
 public:
  /// Another image_generation loads another image, which has its own static variables.
  explicit Code(const Subject& subject, std::uint64_t image_generation = 1);

  const lemonade_plugin_t& entry() const noexcept { return image_->entry(); }
  std::uint32_t kinds() const noexcept { return entry().tag.kinds; }
  void unload() noexcept { image_.reset(); }

  /// The table of a kind; it must be of that kind.
  template <class Table>
  const Table& table() const {
    const auto* table = static_cast<const Table*>(entry().get_interface(str(kKindOf<Table>.interface_id)));
    require(table != nullptr, "it has no interface " + std::string(kKindOf<Table>.interface_id));
    return *table;
  }

 private:
  std::shared_ptr<const plugin::Image> image_;
};

/// A host that does as little as the ABI allows. It stays readable until the process ends, as every host table does.
const lemonade_host_t* soloHost(std::size_t extra = 0);

/// The options of a plugin: its defaults, what the user gave, sample values for what is required, and then `changes`.
class Values {
 public:
  explicit Values(const Subject& subject, const lemonade_plugin_t& plugin, const config::OptionTable& changes = {},
                  std::size_t extra = 0);
  const lemonade_options_t* get() noexcept { return options_.get(); }

 private:
  plugin::OptionSet set_;
  Guarded<lemonade_options_t> options_;
};

/// What would be said of the options of a schema: `changes`, and sample values for what is required.
config::OptionTable withSamples(const plugin::OptionSchema& schema, const config::OptionTable& changes);

/// Row of a plugin's schema.
const lemonade_option_t& optionRow(const lemonade_plugin_t& plugin, std::uint32_t index);

/// Options that have no default and that the user gave no value: what the plugin makes of a sample is its own affair.
std::vector<std::string> sampledOptions(const Subject& subject, const lemonade_plugin_t& plugin);

/// Throws unless an error that came with a status is filled as the ABI says.
void requireError(const lemonade_plugin_t& plugin, lemonade_status_t status, const lemonade_error_t& error);
std::string describe(const lemonade_error_t& error);

/// A created instance, destroyed with this.
template <class Table>
class Live {
 public:
  Live(const Subject& subject, const Code& code, const config::OptionTable& changes = {}, std::size_t extra = 0)
      : table_(code.template table<Table>()) {
    Values values(subject, code.entry(), changes, extra);
    Guarded<lemonade_error_t> error(extra);
    stage("creating an instance");
    const auto status = table_.create(soloHost(extra), values.get(), &self_, error.get());
    if (status == LEMONADE_OK) return;
    requireError(code.entry(), status, *error.get());
    throw Fault{"it refuses to start: " + describe(*error.get())};
  }
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;
  ~Live() {
    stage("destroying an instance");
    table_.destroy(self_);
  }

  const Table& table() const noexcept { return table_; }
  void* self() const noexcept { return self_; }

 private:
  const Table& table_;
  void* self_ = nullptr;
};

}  // namespace lemonade::validate
