// SPDX-License-Identifier: MIT
#include "rehearsal/rehearsal.h"

#include "plugin/loader.h"
#include "rehearsal/try_plugin.h"

#include <exception>
#include <optional>
#include <vector>

namespace lemonade {

namespace {

/// Creates an instance, tries it on this thread and destroys it.
template <class Table>
Status tryInstance(plugin::Loader& loader, const plugin::PluginFile& file, const RehearsalContext& context) {
  context.on_stage("being loaded and created");
  std::optional<plugin::Instance<Table>> instance;
  (void)onControl(context.loop, [&] {
    std::vector<plugin::OptionProblem> problems;
    if (auto made = loader.create<Table>(file, context.rehearsal.choice, problems)) instance.emplace(std::move(*made));
    return success();
  });
  if (!instance) return success();
  auto status = tryPlugin(*instance, context);
  (void)onControl(context.loop, [&] {
    context.on_stage("being destroyed");
    instance.reset();
    return success();
  });
  return status;
}

}  // namespace

Status onControl(ControlLoop& loop, const std::function<Status()>& step) {
  Status status = success();
  std::exception_ptr thrown;
  loop.run([&] {
    try {
      status = step();
    } catch (...) {
      thrown = std::current_exception();
    }
  });
  if (thrown) std::rethrow_exception(thrown);
  return status;
}

Status rehearse(const Rehearsal& rehearsal, const plugin::PluginFile& file, const OnStage& on_stage) try {
  // Kept until the process ends, as host handles demand.
  auto& loop = *new ControlLoop;
  auto& loader = *new plugin::Loader(loop, *new plugin::MetricCells);
  loop.start();
  Status status = success();
  plugin::forEachKind(rehearsal.kind, [&]<class Table>(std::type_identity<Table>) {
    if (status) status = tryInstance<Table>(loader, file, {rehearsal, loop, on_stage});
  });
  return status;
} catch (const std::exception& e) {
  return Error{std::string("threw an exception through the ABI: ") + e.what()};
} catch (...) {
  return Error{"threw an exception through the ABI"};
}

}  // namespace lemonade
