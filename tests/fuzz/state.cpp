// SPDX-License-Identifier: MIT
//
// What one generation of a strategy hands to the next. First as the host carries it to a rehearsal: a request, which is
// one line of JSON and then the state. Then as a strategy takes it, through the SDK's framing: imported, exported, and
// imported again by another instance.
#include "target.h"

#include "plugin/text.h"
#include "rehearsal/rehearsal.h"

#include <lemonade/strategy.h>

extern "C" const lemonade_plugin_t lemonade_plugin_v1;
using lemonade::Rehearsal;
using lemonade::fuzz::require;
using lemonade::plugin::str;

namespace {

const lemonade_strategy_t& table() {
  return *static_cast<const lemonade_strategy_t*>(lemonade_plugin_v1.get_interface(str(LEMONADE_STRATEGY_INTERFACE)));
}

lemonade_status_t append(void* context, const void* data, std::uint64_t size) noexcept {
  static_cast<std::string*>(context)->append(static_cast<const char*>(data), size);
  return LEMONADE_OK;
}

/// One instance of the strategy.
class Instance {
 public:
  Instance() {
    const lemonade_options_t options{sizeof(options), 0, nullptr};
    lemonade_error_t error{};
    require(table().create(&host_, &options, &self_, &error) == LEMONADE_OK, "an instance is made");
  }
  ~Instance() { table().destroy(self_); }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  lemonade_status_t import(std::string_view format, std::string_view bytes) {
    lemonade_error_t error{};
    error.struct_size = sizeof(error);
    const auto status = table().import_state(self_, str(format), str(bytes), &error);
    if (status != LEMONADE_OK) require(error.message[0] != '\0', "a refusal says why");
    return status;
  }
  std::string exported() {
    std::string bytes;
    const lemonade_writer_t writer{sizeof(writer), 0, &bytes, append};
    lemonade_error_t error{};
    require(table().export_state(self_, &writer, &error) == LEMONADE_OK, "a state is exported");
    return bytes;
  }

 private:
  lemonade_host_t host_{};
  void* self_ = nullptr;
};

void take(std::string_view format, std::string_view bytes) {
  const std::string copy(bytes);  // of exactly that size
  Instance one, other;
  if (one.import(format, copy) != LEMONADE_OK) return;
  const auto state = one.exported();
  require(other.import(format, state) == LEMONADE_OK, "what is exported can be imported");
  require(other.exported() == state, "a state survives being handed on");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = lemonade::fuzz::textOf(data, size);
  const auto format = table().state_format(nullptr);
  take({format.data, format.size}, bytes);
  const auto request = Rehearsal::decode(bytes);
  if (!request) {
    require(!request.error().message.empty(), "a refusal says why");
    return 0;
  }
  const auto encoded = request.value().encode();
  const auto again = Rehearsal::decode(encoded);
  require(again.ok() && again.value().encode() == encoded, "a request that is written reads the same");
  if (request.value().state) take(request.value().state->format, request.value().state->bytes);
  return 0;
}
